//! Whatever came before, an event says what it says: one extractor for all beside a new one for each.

use proptest::prelude::*;

use super::*;

/// Events that differ in one member or a few, so that many say what another said.
fn event() -> impl Strategy<Value = String> {
    let pick = |all: &'static [&'static str]| prop::sample::select(all);
    let user = pick(&[
        r#"{"username":"ann","groups":["g","system:authenticated"]}"#,
        r#"{"username":"ann","groups":["system:authenticated","g"]}"#,
        r#"{"username":"bob","uid":"aws-iam-authenticator:1:AROA1","extra":{"accessKeyId":["ASIA1"],"sessionName":["s"]}}"#,
        r#"{"username":"bob","uid":"7","extra":{"accessKeyId":["FORGED"]}}"#,
        "null",
    ]);
    let verb = pick(&["get", "list", "create", "patch", "delete"]);
    let object = pick(&[
        r#"{"resource":"pods","namespace":"shop","name":"a"}"#,
        r#"{"resource":"pods","namespace":"shop","name":"b\u0061"}"#,
        r#"{"resource":"pods","namespace":"shop","subresource":"log","name":"a"}"#,
        r#"{"resource":"secrets","namespace":"shop","name":"token"}"#,
        r#"{"resource":"serviceaccounts","subresource":"token","namespace":"ci","name":"bot"}"#,
        r#"{"resource":"rolebindings","apiGroup":"rbac.authorization.k8s.io","namespace":"shop","name":"r"}"#,
        r#"{"resource":"configmaps","namespace":"kube-system","name":"aws-auth"}"#,
        r#"{"resource":"subjectaccessreviews","apiGroup":"authorization.k8s.io"}"#,
        "null",
        r#"{"namespace":"shop","name":"of-nothing"}"#,
        r#"{"resource":7}"#,
    ]);
    let annotations = pick(&[
        r#"{"authorization.k8s.io/decision":"allow","authorization.k8s.io/reason":"RBAC: \"x\""}"#,
        r#"{"authorization.k8s.io/decision":"forbid"}"#,
        r#"{"authorization.k8s.io/decision":"allow","authentication.kubernetes.io/issued-credential-id":"JTI=1"}"#,
        "{}",
    ]);
    let extra = pick(&[
        "",
        r#","impersonatedUser":{"username":"carol","groups":["h"]}"#,
        r#","requestObject":{"spec":{"user":"dan","resourceAttributes":{"verb":"get","resource":"pods"}}},"responseObject":{"status":{"allowed":true}}"#,
        r#","responseObject":{"roleRef":{"kind":"ClusterRole","name":"view"},"subjects":[{"kind":"Group","name":"g"}]}"#,
        r#","verb":"watch""#,
        r#", "stage" : "ResponseStarted""#,
    ]);
    let uri = pick(&["/api/v1/pods?limit=5", r"/api/v1/pods?limit=5\u0026watch=1", "/metrics", ""]);
    let code = pick(&["200", "201", "403", "401", "\"200\"", "null"]);
    let at =
        pick(&["2026-01-05T09:10:00.000001Z", "2026-01-06T09:10:00Z", "2027-01-05T09:10:00Z", ""]);
    let id = pick(&["0a000000-0000-4000-8000-000000000001", "0A000000", ""]);
    let agent = pick(&["kubectl/v1.33", "kubectl/v1.34 (linux)", "curl"]);
    ((user, verb, object, annotations, extra), (uri, code, at, id, agent)).prop_map(
        |((user, verb, object, annotations, extra), (uri, code, at, id, agent))| {
            format!(
                r#"{{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"Metadata","auditID":"{id}","stage":"ResponseComplete","requestURI":"{uri}","verb":"{verb}","user":{user},"sourceIPs":["10.0.0.1"],"userAgent":"{agent}","objectRef":{object},"responseStatus":{{"metadata":{{}},"code":{code}}},"requestReceivedTimestamp":"{at}","stageTimestamp":"{at}","annotations":{annotations}{extra}}}"#
            )
        },
    )
}

fn read(extractor: &mut Extractor, event: &str) -> (Vec<Fact<'static>>, String) {
    let mut batch = Batch::default();
    let mut facts = Vec::new();
    let mut take = |fact: Fact<'_>| facts.push(fact.into_owned());
    extractor.object("k", envelope(&[event]).as_bytes(), &mut batch, &mut take);
    (facts, format!("{:?} {:?} {:?}", batch.tally, batch.kept, batch.proofs))
}

proptest! {
    #[test]
    fn what_came_before_changes_nothing(
        events in prop::collection::vec(event(), 1..40),
        hide_secret_names: bool,
    ) {
        let context = Arc::new(Context { hide_secret_names, ..context() });
        let mut all = Extractor::new(Arc::clone(&context));
        // The second time every event has been met, and the third time that it was is known.
        for event in events.iter().chain(&events).chain(&events) {
            let alone = read(&mut Extractor::new(Arc::clone(&context)), event);
            prop_assert_eq!(read(&mut all, event), alone, "{}", event);
        }
    }
}

/// An event as the API server writes it.
fn plain(name: &str, uri: &str, second: usize) -> String {
    format!(
        r#"{{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"Metadata","auditID":"0a000000-0000-4000-8000-00000000000{second}","stage":"ResponseComplete","requestURI":"{uri}","verb":"get","user":{{"username":"ann","groups":["g"]}},"sourceIPs":["10.0.0.{second}"],"userAgent":"kubectl/v1.{second}","objectRef":{{"resource":"secrets","namespace":"shop","name":"{name}","apiVersion":"v1"}},"responseStatus":{{"metadata":{{}},"code":200}},"requestReceivedTimestamp":"2026-01-05T09:10:0{second}.000001Z","stageTimestamp":"2026-01-05T09:10:00Z","annotations":{{"authorization.k8s.io/decision":"allow","authorization.k8s.io/reason":"RBAC: \"x\""}}}}"#
    )
}

#[test]
fn what_is_met_a_third_time_is_taken_as_it_stands() {
    for hide_secret_names in [false, true] {
        let context = Arc::new(Context { hide_secret_names, ..context() });
        let mut all = Extractor::new(Arc::clone(&context));
        let events = [
            plain("a", "/api/v1/a", 1),
            plain("b", r"/api/v1/b?x=1\u0026y=2", 2),
            plain("c", r"/api/v1/c?x=\u003c1\u003e", 3),
            plain("d", "/api/v1/d", 4),
        ];
        for (n, event) in events.iter().enumerate() {
            let alone = read(&mut Extractor::new(Arc::clone(&context)), event);
            assert_eq!(read(&mut all, event), alone, "{event}");
            assert_eq!(all.memory.taken.facts().count(), usize::from(n >= 2), "{event}");
        }
        // A message that breaks behind such events leaves nothing of them.
        let whole = envelope(&[events[2].as_str(), events[3].as_str()]);
        for len in 0..whole.len() {
            let cut = whole.get(..len).unwrap_or_default();
            let of = |extractor: &mut Extractor| {
                let (mut batch, mut facts) = (Batch::default(), Vec::new());
                let mut take = |fact: Fact<'_>| facts.push(fact.into_owned());
                extractor.object("k", cut.as_bytes(), &mut batch, &mut take);
                (facts, format!("{:?} {:?} {:?}", batch.tally, batch.kept, batch.proofs))
            };
            assert_eq!(of(&mut all), of(&mut Extractor::new(Arc::clone(&context))), "{cut}");
        }
    }
}

/// What one extractor makes of the same bytes three times, beside what a new one makes of them.
fn three_times(bytes: &str) {
    let context = Arc::new(context());
    let of = |extractor: &mut Extractor| {
        let (mut batch, mut facts) = (Batch::default(), Vec::new());
        let mut take = |fact: Fact<'_>| facts.push(fact.into_owned());
        extractor.object("k", bytes.as_bytes(), &mut batch, &mut take);
        (facts, format!("{:?} {:?} {:?}", batch.tally, batch.kept, batch.proofs))
    };
    let mut all = Extractor::new(Arc::clone(&context));
    for _ in 0..3 {
        assert_eq!(of(&mut all), of(&mut Extractor::new(Arc::clone(&context))), "{bytes}");
    }
}

#[test]
fn an_event_ends_with_its_line() {
    let plain = plain("a", "/api/v1/a", 1);
    let without_addresses = plain.replace(r#""sourceIPs":["10.0.0.1"],"#, "");
    let with_more = format!("{},\"z\":\"y\"}}", plain.strip_suffix('}').unwrap());
    for first in [&without_addresses, &with_more] {
        assert_ne!(first, &plain);
        three_times(&envelope(&[first.as_str(), plain.as_str()]));
        three_times(&[envelope(&[first.as_str()]), envelope(&[plain.as_str()])].concat());
    }
}

#[test]
fn what_is_nested_is_not_the_event() {
    let context = Arc::new(context());
    let event = |name: &str, second: usize| {
        let of = |name: &str, second: usize| {
            format!(
                r#""userAgent":"kubectl/v1","objectRef":{{"resource":"secrets","namespace":"shop","name":"{name}"}},"responseStatus":{{"code":200}},"requestReceivedTimestamp":"2026-01-05T09:10:0{second}Z""#
            )
        };
        format!(
            r#"{{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"Metadata","auditID":"A","stage":"ResponseComplete","requestURI":"/x","verb":"get","user":{{"username":"ann"}},{},"annotations":{{"authorization.k8s.io/decision":"allow"}},"z":{{"y":1,"sourceIPs":["10.0.0.1"],{},"stageTimestamp":"x","annotations":{{"b":"c"}}}}}}"#,
            of("a", 1),
            of(name, second)
        )
    };
    let mut all = Extractor::new(Arc::clone(&context));
    for event in [event("a", 1), event("a", 1), event("b", 2)] {
        let alone = read(&mut Extractor::new(Arc::clone(&context)), &event);
        assert_eq!(read(&mut all, &event), alone, "{event}");
    }
}

#[test]
fn what_no_field_is_made_of_changes_nothing() {
    let context = Arc::new(context());
    let mut all = Extractor::new(Arc::clone(&context));
    let whole = plain("a", "/api/v1/a", 1);
    let broken = [
        whole.replace(r#""stageTimestamp":"2026-01-05T09:10:00Z""#, r#""stageTimestamp":oops"#),
        whole.replace(r#""code":200"#, r#""code":200,"x":oops"#),
        whole.replace(r#""apiVersion":"v1"}"#, r#""apiVersion":oops}"#),
    ];
    for event in broken.iter().chain([&whole]).chain(&broken).chain(&broken) {
        let alone = read(&mut Extractor::new(Arc::clone(&context)), event);
        assert_eq!(read(&mut all, event), alone, "{event}");
    }
}
