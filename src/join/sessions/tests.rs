//! Sessions resolve by rank, chains inherit tags, and nothing is guessed.

use super::*;
use crate::model::fact::SessionFact;

fn issue(at: i64, role: &str, name: &str, key: &str) -> Issued {
    let body = SessionFact {
        role_id: role.to_owned(),
        role_arn: format!("arn:aws:iam::1:role/{}", role.to_lowercase()),
        session_name: name.to_owned(),
        access_key_id: key.to_owned(),
        expires_at: Some(Micros((at + 3600) * 1_000_000)),
        ..SessionFact::default()
    };
    Issued { at: Micros(at * 1_000_000), body }
}

fn caller(principal: &str, key: &str, created: Option<i64>) -> AwsCaller {
    AwsCaller {
        principal_id: principal.to_owned(),
        access_key_id: key.to_owned(),
        created_at: created.map(|s| Micros(s * 1_000_000)),
        ..AwsCaller::default()
    }
}

fn check(sessions: &Sessions, caller: &AwsCaller, at: i64, expected: (Option<&str>, Confidence)) {
    let (found, confidence) = sessions.of_aws_caller(caller, Micros(at * 1_000_000));
    let key = found.and_then(|idx| sessions.all.get(idx)).map(|s| s.fact.access_key_id.as_str());
    assert_eq!((key, confidence), expected, "{caller:?} at {at}");
}

#[test]
fn the_ranks_in_order() {
    use Confidence::{AccessKey, IssueSecond, None as Nobody, Principal, SessionName};
    let sessions = Sessions::new([
        issue(100, "AROA1", "a", "K1"),
        issue(100, "AROA1", "b", "K2"),
        issue(5000, "AROA1", "a", "K3"),
    ]);
    check(&sessions, &caller("AROA1:a", "K1", Some(100)), 200, (Some("K1"), AccessKey));
    check(&sessions, &caller("AROA1:a", "KX", Some(100)), 200, (Some("K1"), IssueSecond));
    check(&sessions, &caller("AROA1:b", "KX", Some(100)), 200, (Some("K2"), IssueSecond));
    check(&sessions, &caller("AROA1:a", "KX", Some(101)), 200, (None, Principal));
    check(&sessions, &caller("AROA1:a", "", None), 5100, (Some("K3"), SessionName));
    check(&sessions, &caller("AROA1:a", "", None), 4000, (None, Principal));
    check(&sessions, &caller("AROA2:a", "", None), 200, (None, Principal));
    check(&sessions, &caller("", "", None), 200, (None, Nobody));
}

#[test]
fn two_sessions_of_one_second_and_name_are_two_and_only_the_key_tells_them() {
    let sessions =
        Sessions::new([issue(100, "AROA1", "ci", "K1"), issue(100, "AROA1", "ci", "K2")]);
    assert_eq!(sessions.all.len(), 2);
    check(
        &sessions,
        &caller("AROA1:ci", "K2", Some(100)),
        200,
        (Some("K2"), Confidence::AccessKey),
    );
    check(&sessions, &caller("AROA1:ci", "KX", Some(100)), 200, (None, Confidence::Principal));
}

#[test]
fn a_second_key_of_a_session_is_learnt_from_a_call() {
    let mut sessions = Sessions::new([issue(100, "AROA1", "a", "K1")]);
    let console = caller("AROA1:a", "K9", Some(100));
    sessions.observe_key(&console, Micros(1), Micros(2));
    sessions.adopt_observed_keys();
    let user = KubeUser { access_key_id: "K9".to_owned(), ..KubeUser::default() };
    assert_eq!(sessions.of_kube_user(&user, Micros(0)), (Some(0), Confidence::AccessKey));
    let keys: Vec<_> = sessions.session_keys().into_iter().map(|k| k.access_key_id).collect();
    assert_eq!(keys, ["K1", "K9"]);
}

#[test]
fn a_copy_in_the_other_account_is_the_same_session() {
    let mut bare = issue(100, "AROA1", "a", "K1");
    "2".clone_into(&mut bare.body.account);
    let mut full = issue(100, "AROA1", "a", "K1");
    full.body.tags = vec![("team".to_owned(), "shop".to_owned())];
    for pair in [[bare.clone(), full.clone()], [full, bare]] {
        let sessions = Sessions::new(pair);
        assert_eq!(sessions.all.len(), 1);
        assert_eq!(sessions.all[0].tag("team"), Some("shop"));
    }
}

#[test]
fn transitive_tags_go_down_the_chain_and_others_do_not() {
    let mut first = issue(100, "AROA1", "a", "K1");
    first.body.tags =
        vec![("cost".to_owned(), "x".to_owned()), ("team".to_owned(), "shop".to_owned())];
    first.body.transitive_keys = vec!["team".to_owned()];
    let mut second = issue(200, "AROA2", "b", "K2");
    second.body.source = caller("AROA1:a", "K1", Some(100));
    second.body.tags = vec![("own".to_owned(), "1".to_owned())];
    let mut third = issue(300, "AROA3", "c", "K3");
    third.body.source = caller("AROA2:b", "K2", Some(200));
    let sessions = Sessions::new([third, second, first]);
    let last = sessions.all.iter().find(|s| s.fact.access_key_id == "K3").unwrap();
    assert_eq!(last.tags, [("team".to_owned(), "shop".to_owned(), true)]);
    assert_eq!(last.transitive_keys, ["team"]);
    let middle = &sessions.all[last.parent.unwrap()];
    assert_eq!(
        (middle.tag("team"), middle.tag("own"), middle.tag("cost")),
        (Some("shop"), Some("1"), None)
    );
}

#[test]
fn a_forged_cycle_ends() {
    let mut a = issue(100, "AROA1", "a", "K1");
    a.body.source = caller("AROA2:b", "K2", None);
    let mut b = issue(100, "AROA2", "b", "K2");
    b.body.source = caller("AROA1:a", "K1", None);
    assert_eq!(Sessions::new([a, b]).all.len(), 2);
}

#[test]
fn refused_requests_issue_nothing() {
    let mut refused = issue(100, "AROA1", "a", "");
    "AccessDenied".clone_into(&mut refused.body.error);
    assert!(Sessions::new([refused]).all.is_empty());
}
