//! Sessions resolve by rank, chains inherit tags, and nothing is guessed.

use std::sync::Arc;

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

fn caller(principal: &str, key: &str, created: Option<i64>) -> Arc<AwsCaller> {
    Arc::new(AwsCaller {
        principal_id: principal.to_owned(),
        access_key_id: key.to_owned(),
        created_at: created.map(|s| Micros(s * 1_000_000)),
        ..AwsCaller::default()
    })
}

fn check(sessions: &Sessions, caller: &AwsCaller, at: i64, expected: (Option<&str>, Confidence)) {
    let (found, confidence) = sessions.of_aws_caller(caller, Micros(at * 1_000_000));
    let key = found.map(|idx| key_of(sessions, idx));
    assert_eq!((key, confidence), expected, "{caller:?} at {at}");
}

fn key_of(sessions: &Sessions, idx: usize) -> &str {
    sessions.text(sessions.all[idx].access_key_id)
}

fn with_key<'a>(sessions: &'a Sessions, key: &str) -> &'a Session {
    let idx = (0..sessions.all.len()).find(|&idx| key_of(sessions, idx) == key);
    &sessions.all[idx.unwrap()]
}

fn tags_of(sessions: &Sessions, session: &Session) -> String {
    let tags = sessions.tags(session).map(|(key, value, inherited)| {
        format!("{key}={value}{}", if inherited { "*" } else { "" })
    });
    tags.collect::<Vec<_>>().join(" ")
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
    sessions.adopt_observed();
    let user = KubeUser { access_key_id: "K9".to_owned(), ..KubeUser::default() };
    assert_eq!(sessions.of_kube_user(&user, Micros(0)), (Some(0), Confidence::AccessKey));
    let keys: Vec<_> = sessions.keys_of(0).into_iter().map(|k| k.access_key_id).collect();
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
        assert_eq!(sessions.tag(&sessions.all[0], "team"), Some("shop"));
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
    let last = with_key(&sessions, "K3");
    assert_eq!(tags_of(&sessions, last), "team=shop*");
    assert_eq!(sessions.transitive_keys(last).collect::<Vec<_>>(), ["team"]);
    assert_eq!(tags_of(&sessions, with_key(&sessions, "K2")), "own=1 team=shop*");
}

#[test]
fn a_chain_of_any_depth_carries_tags_and_the_person() {
    let mut chain = vec![issue(0, "AROA0", "ann", "K0")];
    chain[0].body.source_identity = "ann".to_owned();
    chain[0].body.tags = vec![("team".to_owned(), "shop".to_owned())];
    chain[0].body.transitive_keys = vec!["team".to_owned()];
    for n in 1..200 {
        let mut next = issue(n, &format!("AROA{n}"), "x", &format!("K{n}"));
        next.body.source = caller(&format!("AROA{}:x", n - 1), &format!("K{}", n - 1), None);
        chain.push(next);
    }
    chain.reverse();
    let sessions = Sessions::new(chain);
    let last = with_key(&sessions, "K199");
    assert_eq!(tags_of(&sessions, last), "team=shop*");
    assert_eq!((sessions.text(last.person), sessions.text(last.source_identity)), ("ann", "ann"));
}

#[test]
fn two_records_of_one_call_across_accounts_are_one_session() {
    // The role's account shows who came, the caller's account how; one of them shows no key.
    let mut role_side = issue(100, "AROA1", "a", "K1");
    role_side.body.shared_event_id = "shared".to_owned();
    role_side.body.source =
        Arc::new(AwsCaller { kind: "AWSAccount".to_owned(), ..AwsCaller::default() });
    let mut caller_side = issue(100, "", "a", "");
    caller_side.body.shared_event_id = "shared".to_owned();
    caller_side.body.source = caller("AROA0:x", "K0", Some(50));
    Arc::make_mut(&mut caller_side.body.source).arn = "arn:aws:sts::2:assumed-role/r0/x".to_owned();
    let first = issue(50, "AROA0", "x", "K0");
    for order in [[0, 1, 2], [2, 1, 0], [1, 2, 0]] {
        let all = [role_side.clone(), caller_side.clone(), first.clone()];
        let sessions = Sessions::new(order.map(|n| all[n].clone()));
        assert_eq!(sessions.all.len(), 2);
        let last = with_key(&sessions, "K1");
        assert_eq!(sessions.text(last.source), "arn:aws:sts::2:assumed-role/r0/x");
        assert_eq!(last.parent(), Some(0));
    }
}

#[test]
fn tokens_for_users_join_by_key_and_by_issue_second() {
    let mut token = issue(100, "AIDA1", "", "K1");
    token.body.issued_by = IssuedBy::SessionToken;
    token.body.role_arn.clear();
    let mut federated = issue(100, "1:bob", "bob", "K2");
    federated.body.issued_by = IssuedBy::FederationToken;
    federated.body.role_arn = "arn:aws:sts::1:federated-user/bob".to_owned();
    let sessions = Sessions::new([token, federated]);
    let by_second = Confidence::IssueSecond;
    check(&sessions, &caller("AIDA1", "KX", Some(100)), 200, (Some("K1"), by_second));
    let mut bob = caller("1:bob", "KX", Some(100));
    Arc::make_mut(&mut bob).kind = "FederatedUser".to_owned();
    check(&sessions, &bob, 200, (Some("K2"), by_second));
    check(&sessions, &caller("AIDA1", "AKIA", None), 200, (None, Confidence::Principal));
}

#[test]
fn a_person_stands_behind_many_sessions() {
    let mut sso = issue(100, "AROA1", "ann@x.org", "K1");
    sso.body.role_arn =
        "arn:aws:iam::1:role/aws-reserved/sso.amazonaws.com/AWSReservedSSO_Dev_0123".to_owned();
    let job = issue(200, "AROA2", "job", "K2");
    // A session that this one asked for is the same person's.
    let mut step = issue(300, "AROA3", "step", "K3");
    step.body.source = caller("AROA2:job", "K2", Some(200));
    let mut sessions = Sessions::new([sso, job, step]);
    for (principal, key, second, who) in [
        ("AROA2:job", "K2", 200, "user-2"),
        ("AROA2:job", "K2", 200, "user-1"),
        ("AROA1:ann@x.org", "K1", 100, "a-user"),
    ] {
        let mut on_behalf = caller(principal, key, Some(second));
        Arc::make_mut(&mut on_behalf).on_behalf_of = who.to_owned();
        sessions.observe_key(&on_behalf, Micros(0), Micros(0));
    }
    sessions.adopt_observed();
    let person = |key| sessions.text(with_key(&sessions, key).person).to_owned();
    // What the session's own record says is not replaced.
    assert_eq!(["K1", "K2", "K3"].map(person), ["ann@x.org", "user-1", "user-1"]);
}

#[test]
fn a_service_account_token_joins_by_its_jti() {
    let mut token = issue(200, "arn:aws:eks:r:1:cluster/c", "ci/pipeline", "JTI=7");
    token.body.issued_by = IssuedBy::TokenRequest;
    token.body.role_arn.clear();
    token.body.source = caller("AROA1:bot", "K1", None);
    let sessions = Sessions::new([token, issue(100, "AROA1", "bot", "K1")]);
    let user = KubeUser {
        username: "system:serviceaccount:ci:pipeline".to_owned(),
        credential_id: "JTI=7".to_owned(),
        ..KubeUser::default()
    };
    let (found, confidence) = sessions.of_kube_user(&user, Micros(0));
    assert_eq!(confidence, Confidence::AccessKey);
    let parent = sessions.all[found.unwrap()].parent().unwrap();
    assert_eq!(key_of(&sessions, parent), "K1");
    let other = KubeUser { credential_id: "JTI=8".to_owned(), ..user };
    assert_eq!(sessions.of_kube_user(&other, Micros(0)), (None, Confidence::None));
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
