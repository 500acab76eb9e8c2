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
                r#"{{"kind":"Event","apiVersion":"audit.k8s.io/v1","auditID":"{id}","requestURI":"{uri}","verb":"{verb}","user":{user},"userAgent":"{agent}","objectRef":{object},"responseStatus":{{"metadata":{{}},"code":{code}}},"requestReceivedTimestamp":"{at}","annotations":{annotations}{extra}}}"#
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
        // The second time every event has been met.
        for event in events.iter().chain(&events) {
            let alone = read(&mut Extractor::new(Arc::clone(&context)), event);
            prop_assert_eq!(read(&mut all, event), alone, "{}", event);
        }
    }
}
