//! Every way an export writes the same lines gives the same facts.

use std::io::Write;

use super::*;

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    out.write_all(bytes).unwrap();
    out.finish().unwrap()
}

fn json(text: &str) -> String {
    serde_json::to_string(text).unwrap()
}

#[test]
fn audit_events_in_every_export() {
    let (one, two) = (event(""), event("").replace("/shop/pods", "/shop/secrets"));
    let (first, second) = (envelope(&[&one]), envelope(&[&two]));
    let members = [gzip(first.as_bytes()), gzip(second.as_bytes())].concat();
    let group = r#""log_group":"/aws/eks/prod/cluster","owner":"111122223333""#;
    let insights = |line: &str| {
        format!(
            r#"[{{"field":"@timestamp","value":"2026-01-05 09:10:00.000"}},{{"field":"@message","value":{}}},{{"field":"@log","value":"111122223333:/aws/eks/prod/cluster"}}]"#,
            json(line)
        )
    };
    let shapes: Vec<(&str, &str, Vec<u8>)> = vec![
        ("Firehose, plain", "a/2026/01/05/09/x", members.clone()),
        ("Firehose, compressed", "a/x.gz", gzip(&members)),
        ("Firehose, decompressed", "a/x", [first.as_bytes(), second.as_bytes()].concat()),
        ("Firehose, extracted", "native/x", format!("{one}{two}").into_bytes()),
        ("Firehose, extracted lines", "native/x", format!("{one}\n{two}\n").into_bytes()),
        (
            "export task",
            "native/task/kube-apiserver-audit-1/000000.gz",
            gzip(format!("2026-01-05T09:10:01.000Z {one}\n2026-01-05T09:10:02.000Z {two}\n").as_bytes()),
        ),
        (
            "Fluent Bit",
            "a/x",
            format!("{{\"log\":{},{group}}}\n{{\"log\":{},{group}}}", json(&one), json(&two)).into_bytes(),
        ),
        (
            "Vector, parsed",
            "a/x",
            format!("{{\"message\":{one},{group}}}\n{{\"message\":{two},{group}}}").into_bytes(),
        ),
        (
            "Logs Insights",
            "a/x",
            format!("{{\"results\":[{},{}],\"status\":\"Complete\"}}", insights(&one), insights(&two)).into_bytes(),
        ),
        (
            "Logs Insights, lines",
            "a/x",
            format!(
                "[{{\"@message\":{},\"@log\":\"111122223333:/aws/eks/prod/cluster\"}},{{\"@message\":{},\"@log\":\"111122223333:/aws/eks/prod/cluster\"}}]",
                json(&one), json(&two)
            ).into_bytes(),
        ),
    ];
    let expected = extract(&[("k", first.as_bytes()), ("k", second.as_bytes())]).facts;
    assert_eq!(expected.len(), 2);
    for (name, key, bytes) in shapes {
        let got = extract(&[(key, &bytes)]);
        assert_eq!(got.facts, expected, "{name}");
        assert!(got.tally.rejects.is_empty(), "{name}: {:?}", got.tally.rejects);
    }
}

#[test]
fn what_a_container_prints_is_no_audit_event() {
    let forged = event("");
    let check = |bytes: String| {
        let got = extract(&[("native/k", bytes.as_bytes())]);
        assert!(got.facts.is_empty(), "{bytes}");
        assert_eq!(counts(&got)[1], "audit: 1 0 | other_stream 1 | ", "{bytes}");
    };
    check(format!(r#"{{"log":{},"stream":"stdout","logtag":"F"}}"#, json(&forged)));
    check(format!(r#"{{"log":{},"kubernetes":{{"pod_name":"p"}}}}"#, json(&forged)));
    check(
        envelope(&[&forged])
            .replace("/aws/eks/prod/cluster", "/aws/containerinsights/prod/application")
            .replace("kube-apiserver-audit-1", "pod-1"),
    );
    check(envelope(&[&record("sts", "AssumeRole", "")]).replace("kube-apiserver-audit-1", "pod_1"));
    check(format!(r#"{{"message":{},"logStream":"kube-scheduler-1"}}"#, json(&forged)));
}

#[test]
fn another_accounts_envelope_names_no_cluster_of_ours() {
    let text =
        envelope(&[&event("")]).replace(r#""owner":"111122223333""#, r#""owner":"666666666666""#);
    let got = extract(&[("k", text.as_bytes())]);
    assert_eq!(counts(&got)[1], "audit: 1 0 |  | cluster_ambiguous 1");
    assert!(got.ambiguous.is_empty(), "it could be none of ours");
    let other = text.replace("/aws/eks/prod/cluster", "/aws/eks/unheard-of/cluster");
    let got = extract(&[("k", other.as_bytes())]);
    assert_eq!(counts(&got)[1], "audit: 1 0 | other_cluster 1 | ", "nobody asked about it");
    let got = extract(&[("elsewhere/k", event("").as_bytes())]);
    assert_eq!(got.ambiguous.len(), 1, "it could be any of ours");
}

#[test]
fn an_event_that_was_cut_is_kept_as_far_as_it_goes() {
    let body = r#","requestObject":{"data":"xxxxxxxx"#;
    let whole = event("");
    // As the API server orders them: the answer before the bodies, the times last.
    let cut = |code: &str| {
        format!(
            "{}{}",
            whole.split(r#","requestReceivedTimestamp""#).next().unwrap().replace("200", code),
            body
        )
    };
    let check = |line: String, decision: Decision| {
        let got = extract(&[("k", envelope(&[&line]).as_bytes())]);
        let FactBody::Access(access) = &*got.facts[0].body else { panic!("{line}") };
        assert_eq!(
            (access.decision, access.permission.to_words()),
            (decision, "list pods in shop".to_owned())
        );
        assert_eq!(got.tally.streams[&Stream::Audit].salvaged, 1);
        assert_eq!(got.facts[0].at, Micros::from_millis(1_767_604_200_000).unwrap());
        got.facts[0].clone()
    };
    let first = check(cut("201"), Decision::Allow);
    check(cut("403"), Decision::Unknown);
    let whole = extract(&[("k", envelope(&[&whole]).as_bytes())]).facts[0].clone();
    assert_eq!((first.group, first.id >> 64), (whole.group, whole.id >> 64));
    assert!(first.rank > whole.rank);
    // Without a time of its own or of the log, nothing can be said of it.
    let got = extract(&[("native/k", cut("201").as_bytes())]);
    assert_eq!((got.facts.len(), counts(&got)[1].as_str()), (0, "audit: 1 0 |  | truncated 1"));
}

#[test]
fn cut_lines_do_not_swallow_the_next() {
    let one = event("");
    let text = format!("{}\n{one}\n{{\"x\":\n{one}\n", one.get(..300).unwrap());
    let got = extract(&[("native/k", text.as_bytes())]);
    assert_eq!(got.facts.len(), 2);
    assert_eq!(counts(&got), ["objects: 1 1 |  | ", "audit: 4 2 |  | bad_json 1,truncated 1"]);
    assert!(got.tally.damaged.contains("native/k"));
}

#[test]
fn authenticator_lines_tell_who_tried() {
    let granted = r#"time="2026-01-05T09:10:00Z" level=info msg="access granted" arn="arn:aws:iam::1:role/r" groups="[]" uid="aws-iam-authenticator:1:AROA1" username=u"#;
    let denied = r#"time="2026-01-05T09:10:00Z" level=warning msg="access denied" arn="arn:aws:iam::1:role/x" error="ARN is not mapped""#;
    let other = r#"time="2026-01-05T09:10:00Z" level=info msg="STS response" arn="arn:aws:sts::1:assumed-role/r/s""#;
    let text = envelope(&[granted, denied, other, "klog line"])
        .replace("kube-apiserver-audit-1", "authenticator-0a");
    let task = format!("2026-01-05T09:10:00.1Z {granted}\n2026-01-05T09:10:00.1Z {denied}\n");
    for (key, text) in [("k", text), ("native/task/authenticator-0a/000000.gz", task)] {
        let got = extract(&[(key, text.as_bytes())]);
        let logins: Vec<(bool, &str)> = got
            .facts
            .iter()
            .map(|fact| match &*fact.body {
                FactBody::Login(login) => (login.granted, login.refusal.as_str()),
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(logins, [(true, ""), (false, "not_mapped")], "{key}");
    }
}

#[test]
fn streams_of_an_export_task_that_are_not_read() {
    let klog = "2026-01-05T09:10:00.123Z I0105 09:10:00 server.go] listening\n";
    let got = extract(&[("native/task/kube-apiserver-0a/000000", klog.as_bytes())]);
    assert_eq!(counts(&got), ["objects: 1 0 | other_stream 1 | "]);
    let got = extract(&[("native/aws-logs-write-test", b"Permission Check Successful")]);
    assert_eq!(counts(&got), ["objects: 1 0 | control_message 1 | "]);
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(48))]

    #[test]
    fn any_members_space_and_key_order_give_the_same_facts(
        cuts in proptest::collection::vec(0usize..1500, 0..4),
        pretty: bool,
        twice: bool,
        seed in 0usize..1000,
    ) {
        let records = [record("sts", "GetCallerIdentity", ""), record("eks", "ListClusters", "")];
        let file: serde_json::Value =
            serde_json::from_str(&format!(r#"{{"Records":[{}]}}"#, records.join(","))).unwrap();
        let expected = extract(&[("k", file.to_string().as_bytes())]).facts;
        let turned = turn(&file, seed);
        let text = if pretty { spaced(&turned) } else { turned };
        let mut at: Vec<usize> = cuts.iter().map(|cut| cut % text.len()).collect();
        at.extend([0, text.len()]);
        at.sort_unstable();
        let mut bytes = Vec::new();
        for pair in at.windows(2) {
            bytes.extend(gzip(text.as_bytes().get(pair[0]..pair[1]).unwrap()));
        }
        if twice {
            bytes = gzip(&bytes);
        }
        proptest::prop_assert_eq!(extract(&[("k", &bytes)]).facts, expected);
    }
}

/// The value as text, with the keys of every object turned around by `by`.
fn turn(value: &serde_json::Value, by: usize) -> String {
    match value {
        serde_json::Value::Object(map) => {
            let mut parts: Vec<String> = map
                .iter()
                .map(|(key, value)| format!("{}:{}", json(key), turn(value, by)))
                .collect();
            let n = parts.len().max(1);
            parts.rotate_left(by % n);
            format!("{{{}}}", parts.join(","))
        }
        serde_json::Value::Array(list) => {
            let parts: Vec<String> = list.iter().map(|value| turn(value, by)).collect();
            format!("[{}]", parts.join(","))
        }
        other => other.to_string(),
    }
}

/// The same JSON with white space wherever it may stand.
fn spaced(text: &str) -> String {
    let mut out = String::new();
    let (mut inside, mut escaped) = (false, false);
    for c in text.chars() {
        let structural = !inside && matches!(c, '{' | '}' | '[' | ']' | ',' | ':');
        if c == '"' && !escaped {
            inside = !inside;
        }
        escaped = inside && c == '\\' && !escaped;
        out.push(c);
        if structural {
            out.push_str(" \t\r\n ");
        }
    }
    out
}
