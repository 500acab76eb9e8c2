//! Whole objects in, facts and counters out.

mod again;
mod changes;
mod exports;
mod passing;

use super::*;
use crate::model::coverage::LogStream;
use crate::model::fact::{Decision, FactBody, IssuedBy, TokenState, Via};

const CLUSTER: &str = "arn:aws:eks:us-west-2:111122223333:cluster/prod";

struct Got {
    facts: Vec<Fact<'static>>,
    tally: Tally,
    proofs: BTreeMap<(LogStream, Hour), Proof>,
    ambiguous: BTreeSet<(String, Hour)>,
}

pub(super) fn context() -> Context {
    let window = Window {
        since: Micros::parse("2026-01-01T00:00:00Z").unwrap(),
        until: Micros::parse("2026-02-01T00:00:00Z").unwrap(),
    };
    Context {
        window,
        relevant_ids: std::iter::once("AROAKNOWN".to_owned()).collect(),
        relevant_names: PrincipalName::from_arn("arn:aws:iam::1:role/known").into_iter().collect(),
        clusters: ClusterResolver::new(
            &[CLUSTER.to_owned()],
            &[("native/".to_owned(), CLUSTER.to_owned())],
        ),
        limits: Limits { max_inflated: 1 << 20 },
        hide_secret_names: false,
    }
}

fn extract(objects: &[(&str, &[u8])]) -> Got {
    let mut extractor = Extractor::new(Arc::new(context()));
    let mut batch = Batch::default();
    let mut facts = Vec::new();
    for (key, bytes) in objects {
        extractor.object(key, bytes, &mut batch, &mut |fact| facts.push(fact.into_owned()));
    }
    assert!(batch.tally.partitions(), "{:?}", batch.tally);
    Got { facts, tally: batch.tally, proofs: batch.proofs, ambiguous: batch.ambiguous }
}

/// `stream: seen kept | filters | rejects` of the streams that saw anything.
fn counts(batch: &Got) -> Vec<String> {
    let names = |map: Vec<(String, u64)>| {
        map.iter().map(|(name, n)| format!("{name} {n}")).collect::<Vec<_>>().join(",")
    };
    batch
        .tally
        .streams
        .iter()
        .map(|(stream, counts)| {
            let filtered = counts.filtered.iter().map(|(f, n)| (f.as_str().to_owned(), *n));
            let rejected = counts.rejected.iter().map(|(r, n)| (r.as_str().to_owned(), *n));
            format!(
                "{}: {} {} | {} | {}",
                stream.as_str(),
                counts.seen,
                counts.kept,
                names(filtered.collect()),
                names(rejected.collect())
            )
        })
        .collect()
}

fn record(source: &str, name: &str, extra: &str) -> String {
    format!(
        r#"{{"eventVersion":"1.08","eventTime":"2026-01-05T09:00:00Z","eventSource":"{source}.amazonaws.com","eventName":"{name}","awsRegion":"us-west-2","eventID":"{source}{name}","recipientAccountId":"111122223333"{extra}}}"#
    )
}

fn event(extra: &str) -> String {
    format!(
        r#"{{"kind":"Event","apiVersion":"audit.k8s.io/v1","auditID":"a","stage":"ResponseComplete","requestURI":"/api/v1/namespaces/shop/pods?limit=5","verb":"list","user":{{"username":"ann","groups":["b","a","b"]}},"objectRef":{{"resource":"pods","namespace":"shop","apiVersion":"v1"}},"responseStatus":{{"code":200}},"requestReceivedTimestamp":"2026-01-05T09:10:00.000001Z","annotations":{{"authorization.k8s.io/decision":"allow","authorization.k8s.io/reason":"r"}}{extra}}}"#
    )
}

fn envelope(messages: &[&str]) -> String {
    let events: Vec<String> = messages
        .iter()
        .map(|m| {
            format!(
                r#"{{"id":"1","timestamp":1767604200000,"message":{}}}"#,
                serde_json::to_string(m).unwrap()
            )
        })
        .collect();
    format!(
        r#"{{"messageType":"DATA_MESSAGE","owner":"111122223333","logGroup":"/aws/eks/prod/cluster","logStream":"kube-apiserver-audit-1","subscriptionFilters":["x"],"logEvents":[{}]}}"#,
        events.join(",")
    )
}

fn cloudtrail_in_cloudwatch(messages: &[&str]) -> String {
    envelope(messages)
        .replace("/aws/eks/prod/cluster", "org-trail")
        .replace("kube-apiserver-audit-1", "o-1_111122223333_CloudTrail_us-west-2")
}

#[test]
fn relevant_records_are_kept_and_all_prove_delivery() {
    let known = r#","userIdentity":{"type":"AssumedRole","principalId":"AROAKNOWN:s"}"#;
    let named =
        r#","userIdentity":{"type":"AssumedRole","arn":"arn:aws:sts::1:assumed-role/KNOWN/s"}"#;
    let records = [
        record("sts", "GetCallerIdentity", ""),
        record("eks", "ListClusters", ""),
        record("s3", "GetObject", known),
        record("ec2", "RunInstances", named),
        record(
            "s3",
            "PutObject",
            r#","requestParameters":{"x":{"Records":[{"eventSource":"sts.amazonaws.com"}]}}"#,
        ),
        r#"{"eventName":"NoTime","eventSource":"sts.amazonaws.com"}"#.to_owned(),
        "17".to_owned(),
    ];
    let file = format!(r#"{{"Records":[{}]}}"#, records.join(","));
    let key = "p//AWSLogs/o-x/111122223333/CloudTrail/eu-central-1/2026/01/05/f.json.gz";
    let batch = extract(&[(key, file.as_bytes())]);
    assert_eq!(
        counts(&batch),
        [
            "objects: 1 1 |  | ",
            "cloudtrail: 7 4 | not_relevant 1 | not_an_object 1,missing_field 1",
        ]
    );
    let delivered: Vec<_> = batch.proofs.iter().collect();
    let expected =
        LogStream::CloudTrail { account: "111122223333".into(), region: "eu-central-1".into() };
    assert_eq!((delivered.len(), &delivered[0].0.0, delivered[0].1.events), (1, &expected, 5));
}

#[test]
fn shapes_of_cloudtrail_files_give_the_same_facts() {
    let one = record(
        "sts",
        "AssumeRole",
        r#","requestParameters":{"roleArn":"arn%3Aaws%3Aiam%3A%3A1%3Arole%2Fr","tags":[{"key":"b","value":"2"},{"key":"a","value":"1"}]},"responseElements":{"credentials":{"accessKeyId":"ASIA1","expiration":"Jan 5, 2026, 10:00:00 AM"},"assumedRoleUser":{"assumedRoleId":"AROA1:s"}}"#,
    );
    let two = record("sts", "GetCallerIdentity", "");
    let value: serde_json::Value =
        serde_json::from_str(&format!(r#"{{"Records":[{one},{two}]}}"#)).unwrap();
    let shapes = [
        value.to_string(),
        serde_json::to_string_pretty(&value).unwrap(),
        value["Records"].to_string(),
        format!("\u{feff}{one}\n{two}\n"),
        format!(r#"{{"version":"0","detail-type":"x","detail":{one}}}{{"detail":{two}}}"#),
        cloudtrail_in_cloudwatch(&[&one, &two]),
        format!("{{\"message\":{}}}\n{{\"message\":{two}}}", serde_json::json!(one)),
        format!(
            r#"{{"Events":[{{"EventId":"x","CloudTrailEvent":{}}},{{"CloudTrailEvent":{}}}]}}"#,
            serde_json::to_string(&one).unwrap(),
            serde_json::to_string(&two).unwrap()
        ),
    ];
    let expected = extract(&[("k", shapes[0].as_bytes())]).facts;
    assert_eq!(expected.len(), 2);
    let FactBody::Session(session) = &*expected[0].body else { panic!("{:?}", expected[0]) };
    assert_eq!(session.role_arn, "arn:aws:iam::1:role/r");
    assert_eq!((session.role_id.as_str(), session.session_name.as_str()), ("AROA1", "s"));
    assert_eq!(session.tags, [("a".to_owned(), "1".to_owned()), ("b".to_owned(), "2".to_owned())]);
    for shape in &shapes {
        assert_eq!(extract(&[("k", shape.as_bytes())]).facts, expected, "{shape}");
    }
}

#[test]
fn who_issued_and_to_whom() {
    let check = |name: &str, extra: &str, how: IssuedBy, subject: &str| {
        let file = record("sts", name, extra);
        let batch = extract(&[("k", file.as_bytes())]);
        let FactBody::Session(session) = &*batch.facts[0].body else { panic!("{name}") };
        assert_eq!((session.issued_by, session.subject.as_str()), (how, subject), "{name}");
    };
    check("AssumeRole", "", IssuedBy::AssumeRole, "");
    check(
        "AssumeRole",
        r#","userIdentity":{"type":"AWSService","invokedBy":"pods.eks.amazonaws.com"}"#,
        IssuedBy::PodIdentity,
        "",
    );
    check(
        "AssumeRoleWithWebIdentity",
        r#","userIdentity":{"type":"WebIdentityUser","userName":"system:serviceaccount:a:b"}"#,
        IssuedBy::WebIdentity,
        "system:serviceaccount:a:b",
    );
    check(
        "AssumeRoleWithSAML",
        r#","responseElements":{"subject":"dana"}"#,
        IssuedBy::Saml,
        "dana",
    );
}

#[test]
fn tokens_that_are_no_roles() {
    let check = |source: &str, name: &str, extra: &str, expected: [&str; 4]| {
        let file = record(source, name, extra);
        let got = extract(&[("k", file.as_bytes())]);
        let FactBody::Session(s) = &*got.facts[0].body else { panic!("{name}") };
        let found = [&s.role_arn, &s.role_id, &s.session_name, &s.access_key_id];
        assert_eq!(found.map(String::as_str), expected, "{name}");
    };
    check(
        "sts",
        "GetSessionToken",
        r#","userIdentity":{"type":"IAMUser","principalId":"AIDA1","userName":"ann"},"responseElements":{"credentials":{"accessKeyId":"ASIA1"}}"#,
        ["", "AIDA1", "", "ASIA1"],
    );
    check(
        "sts",
        "GetFederationToken",
        r#","requestParameters":{"name":"bob"},"responseElements":{"credentials":{"accessKeyId":"ASIA2"},"federatedUser":{"federatedUserId":"1:bob","arn":"arn:aws:sts::1:federated-user/bob"}}"#,
        ["arn:aws:sts::1:federated-user/bob", "1:bob", "bob", "ASIA2"],
    );
    check(
        "rolesanywhere",
        "CreateSession",
        r#","requestParameters":{"roleArn":"arn:aws:iam::1:role/host"},"responseElements":{"credentialSet":[{"assumedRoleUser":{"assumedRoleId":"AROAH:00ab"},"credentials":{"accessKeyId":"ASIA3","expiration":"2026-01-05T10:00:00Z"},"sourceIdentity":"CN=h"}]}"#,
        ["arn:aws:iam::1:role/host", "AROAH", "00ab", "ASIA3"],
    );
    // Services that assume a role for you leave no id of it.
    check(
        "sts",
        "AssumeRole",
        r#","userIdentity":{"invokedBy":"ec2.amazonaws.com"},"requestParameters":{"roleArn":"arn:aws:iam::1:role/node","roleSessionName":"i-1"},"responseElements":{"credentials":{"accessKeyId":"ASIA4"}}"#,
        ["arn:aws:iam::1:role/node", "", "i-1", "ASIA4"],
    );
}

#[test]
fn audit_events_come_in_envelopes_and_natively() {
    let one = event("");
    let shapes =
        [("k", envelope(&[&one])), ("native/k", one.clone()), ("native/k", format!("[{one}]"))];
    for (key, shape) in &shapes {
        let batch = extract(&[(key, shape.as_bytes())]);
        assert_eq!(batch.facts.len(), 1, "{shape}");
        let FactBody::Access(access) = &*batch.facts[0].body else { panic!("{shape}") };
        assert_eq!(access.cluster, CLUSTER);
        assert_eq!(access.permission.to_words(), "list pods in shop");
        assert_eq!(access.caller.groups, ["a", "b"]);
        assert_eq!((access.decision, access.status_class), (Decision::Allow, 2));
    }
    let batch = extract(&[("elsewhere/k", one.as_bytes())]);
    assert_eq!(counts(&batch)[1], "audit: 1 0 |  | cluster_ambiguous 1");
}

#[test]
fn one_broken_line_costs_only_itself() {
    let one = event("");
    let cut = one.get(..40).unwrap();
    let late = event("").replace("2026-01-05T09", "2026-03-05T09");
    let text = envelope(&[&one, cut, "{broken}", "[]", &late]);
    let batch = extract(&[("k", text.as_bytes())]);
    assert_eq!(
        counts(&batch)[1],
        "audit: 5 1 | outside_window 1 | bad_json 1,not_an_object 1,truncated 1"
    );
}

#[test]
fn objects_that_are_no_logs() {
    let batch = extract(&[
        (
            "control",
            br#"{"messageType":"CONTROL_MESSAGE","owner":"CloudwatchLogs","logEvents":[]}"#,
        ),
        ("digest", br#"{"awsAccountId":"1","digestStartTime":"x"}"#),
        ("text", b"Permission Check Successful"),
        ("empty", b""),
        ("folder/", b""),
        ("other", b"A text.\nNo log."),
        ("binary", b"PAR1\x00\x01 and more"),
        ("gzip", b"\x1f\x8b\x08\x00broken"),
        ("cut", br#"{"Records":[{"eventName":"#),
    ]);
    assert_eq!(
        counts(&batch),
        [
            "objects: 9 0 | not_a_log 2,control_message 2 | empty 1,bad_gzip 1,unknown_format 2,bad_json 1"
        ]
    );
    let damaged: Vec<&str> = batch.tally.damaged.iter().map(String::as_str).collect();
    assert_eq!(damaged, ["binary", "cut", "empty", "gzip"], "a text is said and loses nothing");
}

#[test]
fn other_streams_of_the_log_group_are_left_out() {
    let text = envelope(&["I1124 listening"]).replace("apiserver-audit-1", "apiserver-1");
    let batch = extract(&[("k", text.as_bytes())]);
    assert_eq!(counts(&batch)[1], "audit: 1 0 | other_stream 1 | ");
}

fn accesses(events: &[String]) -> Vec<AccessOf> {
    let texts: Vec<&str> = events.iter().map(String::as_str).collect();
    let batch = extract(&[("k", envelope(&texts).as_bytes())]);
    batch
        .facts
        .iter()
        .map(|fact| match &*fact.body {
            FactBody::Access(a) => {
                let subject = if a.via == Via::Direct { &a.caller } else { &a.subject };
                (a.via, subject.username.clone(), words(fact), a.decision)
            }
            other => panic!("{other:?}"),
        })
        .collect()
}

/// What a fact asked for, its object's name included.
fn words(fact: &Fact<'_>) -> String {
    let FactBody::Access(access) = &*fact.body else { panic!("{fact:?}") };
    let mut permission = access.permission.clone();
    assert_eq!(std::mem::replace(&mut permission.name, fact.name.clone().into_owned()), "");
    permission.to_words()
}

type AccessOf = (Via, String, String, Decision);

#[test]
fn impersonation_is_two_facts_and_chosen_extras_are_not_believed() {
    let target = r#","impersonatedUser":{"username":"system:serviceaccount:ci:bot","uid":"aws-iam-authenticator:1:AROAX","groups":["system:serviceaccounts","system:serviceaccounts:ci","system:authenticated","extra"],"extra":{"accessKeyId":["FORGED"],"arn":["arn:forged"]}}"#;
    let got = accesses(&[event(target)]);
    let row =
        |via, user: &str, words: &str| (via, user.to_owned(), words.to_owned(), Decision::Allow);
    assert_eq!(
        got,
        [
            row(Via::Direct, "ann", "impersonate serviceaccounts bot in ci"),
            row(Via::Direct, "ann", "impersonate groups extra"),
            row(
                Via::Direct,
                "ann",
                "impersonate uids.authentication.k8s.io aws-iam-authenticator:1:AROAX"
            ),
            row(
                Via::Direct,
                "ann",
                "impersonate userextras/accessKeyId.authentication.k8s.io FORGED"
            ),
            row(Via::Direct, "ann", "impersonate userextras/arn.authentication.k8s.io arn:forged"),
            row(Via::Impersonated, "system:serviceaccount:ci:bot", "list pods in shop"),
        ]
    );
    let batch = extract(&[("k", envelope(&[&event(target)]).as_bytes())]);
    for fact in &batch.facts {
        let FactBody::Access(access) = &*fact.body else { panic!("{fact:?}") };
        for user in [&access.caller, &access.subject] {
            assert!(!format!("{user:?}").to_lowercase().contains("forged"));
        }
    }
}

#[test]
fn impersonated_ids_and_extras_are_asked_for_too() {
    let target = r#","impersonatedUser":{"username":"bo","uid":"7","extra":{"scopes":["a","b"],"acme.com%2fteam":["x"]}}"#;
    let got: Vec<String> = accesses(&[event(target)]).into_iter().map(|row| row.2).collect();
    assert_eq!(
        got,
        [
            "impersonate users bo",
            "impersonate uids.authentication.k8s.io 7",
            "impersonate userextras/acme.com%2fteam.authentication.k8s.io x",
            "impersonate userextras/scopes.authentication.k8s.io a",
            "impersonate userextras/scopes.authentication.k8s.io b",
            "list pods in shop",
        ]
    );
}

#[test]
fn a_refused_impersonation_is_told() {
    let check = |message: &str, expected: &str| {
        let status = serde_json::json!({ "code": 403, "message": message }).to_string();
        let text = event("")
            .replace(r#""responseStatus":{"code":200}"#, &format!(r#""responseStatus":{status}"#))
            .replace(r#""authorization.k8s.io/decision":"allow""#, r#""x":"y""#);
        let got = accesses(&[text]);
        assert_eq!(got.len(), 1, "{message}");
        let decision =
            if expected.starts_with("impersonate") { Decision::Forbid } else { Decision::Unknown };
        assert_eq!((got[0].2.as_str(), got[0].3), (expected, decision), "{message}");
    };
    check(
        r#"users "bo" is forbidden: User "ann" cannot impersonate resource "users" in API group "" at the cluster scope"#,
        "impersonate users bo",
    );
    check(
        r#"serviceaccounts "bot" is forbidden: User "ann" cannot impersonate resource "serviceaccounts" in API group "" in the namespace "ci""#,
        "impersonate serviceaccounts bot in ci",
    );
    check(
        r#"userextras.authentication.k8s.io "x" is forbidden: User "ann" cannot impersonate resource "userextras/scopes" in API group "authentication.k8s.io" at the cluster scope"#,
        "impersonate userextras/scopes.authentication.k8s.io x",
    );
    check("admission webhook said no", "list pods in shop");
}

#[test]
fn remarks_about_tokens_are_kept() {
    let check = |key: &str, expected: TokenState| {
        let text = event("").replace(
            r#""authorization.k8s.io/decision""#,
            &format!(r#""{key}":"x","authorization.k8s.io/decision""#),
        );
        let batch = extract(&[("k", envelope(&[&text]).as_bytes())]);
        let FactBody::Access(access) = &*batch.facts[0].body else { panic!("{key}") };
        assert_eq!(access.token, expected, "{key}");
    };
    check("authentication.k8s.io/legacy-token", TokenState::Legacy);
    check("authentication.k8s.io/stale-token", TokenState::Stale);
    check("x", TokenState::Unremarked);
}

#[test]
fn a_mark_where_a_line_was_cut_is_no_json() {
    let whole = event("");
    let cut = format!("{}[Truncated...]", whole.get(..whole.len() - 30).unwrap());
    let batch = extract(&[("k", envelope(&[&cut]).as_bytes())]);
    assert_eq!(batch.tally.streams[&Stream::Audit].salvaged, 1, "{:?}", counts(&batch));
}

#[test]
fn aws_extras_need_the_authenticators_uid() {
    let check = |uid: &str, expected: (&str, &str)| {
        let user = format!(
            r#""user":{{"username":"u","uid":"{uid}","extra":{{"AccessKeyId":["ASIA1"],"principalId":["AROAEXTRA"]}}}}"#
        );
        let text = event("").replace(r#""user":{"username":"ann","groups":["b","a","b"]}"#, &user);
        let batch = extract(&[("k", envelope(&[&text]).as_bytes())]);
        let FactBody::Access(a) = &*batch.facts[0].body else { panic!("{uid}") };
        let got = (a.caller.access_key_id.as_str(), a.caller.principal_id.as_str());
        assert_eq!(got, expected, "{uid}");
    };
    check("aws-iam-authenticator:111122223333:AROA1", ("ASIA1", "AROA1"));
    check("heptio-authenticator-aws:111122223333:AROA1", ("ASIA1", "AROA1"));
    check("aws-iam-authenticator:administrative:eks:addon-manager", ("ASIA1", ""));
    check("1234", ("", ""));
    check("xaws-iam-authenticator:1:AROA1", ("", ""));
}

#[test]
fn a_review_is_use_by_the_reviewed() {
    let review = |allowed: bool| {
        event(&format!(
            r#","responseObject":{{"spec":{{"user":"system:serviceaccount:m:p","groups":["g"],"resourceAttributes":{{"verb":"get","resource":"nodes","subresource":"metrics","name":"n1"}}}},"status":{{"allowed":{allowed},"reason":"RBAC: x"}}}}"#
        ))
        .replace(r#""verb":"list""#, r#""verb":"create""#)
        .replace(
            r#""objectRef":{"resource":"pods","namespace":"shop","apiVersion":"v1"}"#,
            r#""objectRef":{"resource":"subjectaccessreviews","apiGroup":"authorization.k8s.io"}"#,
        )
    };
    let got = accesses(&[review(true), review(false)]);
    let of = |decision| {
        (
            Via::Delegated,
            "system:serviceaccount:m:p".to_owned(),
            "get nodes/metrics n1".to_owned(),
            decision,
        )
    };
    assert_eq!((got.len(), &got[1], &got[3]), (4, &of(Decision::Allow), &of(Decision::Forbid)));
}

#[test]
fn names_that_rbac_never_saw_are_dropped() {
    let check = |verb: &str, object: &str, expected: &str| {
        let text = event("").replace(r#""verb":"list""#, &format!(r#""verb":"{verb}""#)).replace(
            r#""objectRef":{"resource":"pods","namespace":"shop","apiVersion":"v1"}"#,
            &format!(r#""objectRef":{object}"#),
        );
        assert_eq!(accesses(&[text])[0].2, expected);
    };
    check("create", r#"{"resource":"pods","namespace":"a","name":"x"}"#, "create pods in a");
    check(
        "create",
        r#"{"resource":"pods","subresource":"exec","namespace":"a","name":"x"}"#,
        "create pods/exec x in a",
    );
    check(
        "deletecollection",
        r#"{"resource":"pods","namespace":"a","name":"x"}"#,
        "deletecollection pods in a",
    );
    check("patch", r#"{"resource":"pods","namespace":"a","name":"x"}"#, "patch pods x in a");
    check("list", "null", "list /api/v1/namespaces/shop/pods");
}

#[test]
fn stages_of_one_request_share_an_id_and_a_chosen_audit_id_does_not() {
    let started = event("").replace("ResponseComplete", "ResponseStarted");
    let other = event("").replace("/shop/pods", "/shop/secrets");
    let text = envelope(&[&event(""), &started, &other]);
    let facts = extract(&[("k", text.as_bytes())]).facts;
    assert_eq!((facts[0].id == facts[1].id, facts[0].id == facts[2].id), (true, false));
    assert!(facts[0].rank < facts[1].rank);
}

#[test]
fn failed_authentication_is_kept_without_a_decision() {
    let text = event("").replace(r#"{"username":"ann","groups":["b","a","b"]}"#, "{}").replace(
        r#""authorization.k8s.io/decision":"allow","authorization.k8s.io/reason":"r""#,
        "",
    );
    assert_eq!(accesses(&[text])[0].3, Decision::Unknown);
}

proptest::proptest! {
    #[test]
    fn no_bytes_panic(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..300)) {
        extract(&[("k", &bytes)]);
    }

    #[test]
    fn no_mutation_panics(at in 0usize..900, byte: u8, cut in 0usize..900) {
        let records = [record("sts", "AssumeRole", ""), record("eks", "CreateAccessEntry", "")];
        let file = format!(r#"{{"Records":[{}]}}{}"#, records.join(","), envelope(&[&event("")]));
        let mut bytes = file.into_bytes();
        if let Some(slot) = bytes.get_mut(at) {
            *slot = byte;
        }
        bytes.truncate(bytes.len().saturating_sub(cut));
        extract(&[("k", &bytes)]);
    }
}
