//! Objects as an attacker, a broken pipeline or bad luck leaves them, and what each must count as.
//!
//! Everything is generated here. A good record beside a bad one must count; nothing may panic.

use crate::support::gzip;

/// The cap under which the corpus is read, so that a bomb stays small.
pub(crate) const CAP: u64 = 4 << 20;
/// An hour inside the window of the samples, covered by them.
pub(crate) const AT: &str = "2026-10-05T09:20:00Z";

/// One object.
pub(crate) struct Case {
    /// Key below `native/`, whose cluster is mapped.
    pub(crate) key: &'static str,
    pub(crate) bytes: Vec<u8>,
    /// `stream: kept filtered rejected(reason)…`, sorted, as [`super::words`] prints it.
    pub(crate) expected: &'static str,
}

/// A CloudTrail record of somebody no grant is about, with `extra` members at its end.
pub(crate) fn record(n: usize, extra: &str) -> String {
    format!(
        r#"{{"eventVersion":"1.08","userIdentity":{{"type":"IAMUser","principalId":"AIDAHOSTILE","arn":"arn:aws:iam::111122223333:user/hostile","accountId":"111122223333","userName":"hostile"}},"eventTime":"{AT}","eventSource":"sts.amazonaws.com","eventName":"GetCallerIdentity","awsRegion":"us-west-2","eventID":"hostile-{n}","recipientAccountId":"111122223333"{extra}}}"#
    )
}

/// An audit event of a user that no grant is about, refused; `extra` members come first.
pub(crate) fn event(id: &str, extra: &str) -> String {
    format!(
        r#"{{{extra}"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"Metadata","auditID":"{id}","stage":"ResponseComplete","requestURI":"/api/v1/namespaces/shop/pods","verb":"list","user":{{"username":"mallory","groups":["system:authenticated"]}},"objectRef":{{"resource":"pods","namespace":"shop"}},"responseStatus":{{"code":403}},"requestReceivedTimestamp":"{AT}","annotations":{{"authorization.k8s.io/decision":"forbid","authorization.k8s.io/reason":""}}}}"#
    )
}

fn file(records: &[String]) -> Vec<u8> {
    format!(r#"{{"Records":[{}]}}"#, records.join(",")).into_bytes()
}

/// A message of CloudWatch Logs around audit lines.
pub(crate) fn message(owner: &str, stream: &str, lines: &[&str]) -> String {
    let events: Vec<String> = lines
        .iter()
        .map(|line| {
            let line = serde_json::to_string(line).unwrap();
            format!(r#"{{"id":"1","timestamp":1791192000000,"message":{line}}}"#)
        })
        .collect();
    format!(
        r#"{{"messageType":"DATA_MESSAGE","owner":"{owner}","logGroup":"/aws/eks/prod/cluster","logStream":"{stream}","subscriptionFilters":["f"],"logEvents":[{}]}}"#,
        events.join(",")
    )
}

const OWNER: &str = "111122223333";
const STREAM: &str = "kube-apiserver-audit-hostile";

/// Breaks of the compression.
fn compressed(cases: &mut Vec<Case>) {
    let mut add = |key, bytes, expected| cases.push(Case { key, bytes, expected });
    let good = gzip(&file(&[record(1, "")]));
    add("empty", Vec::new(), "objects: 0 0 empty(1)");
    add("cut.gz", good[..good.len() / 2].to_vec(), "objects: 0 0 bad_gzip(1)");
    add("header-only.gz", good[..10].to_vec(), "objects: 0 0 bad_gzip(1)");
    let mut flipped = good.clone();
    let crc = good.len() - 8;
    flipped[crc] ^= 1;
    add("wrong-checksum.gz", flipped, "objects: 0 0 bad_gzip(1)");
    let mut lying = good.clone();
    let isize_at = good.len() - 4;
    lying[isize_at..].copy_from_slice(&u32::MAX.to_le_bytes());
    add("lying-size.gz", lying, "objects: 0 0 bad_gzip(1)");
    let trailing = [good.clone(), b"{\"Records\":[]}".to_vec()].concat();
    add("trailing.gz", trailing, "objects: 0 0 bad_gzip(1)");
    let padded = [good.clone(), vec![0; 600]].concat();
    add("padded.gz", padded, "cloudtrail: 1 0; objects: 1 0");
    let zeros = vec![b' '; usize::try_from(CAP).unwrap() + 1];
    add("bomb.gz", gzip(&zeros), "objects: 0 0 too_large(1)");
    add("bomb-in-bomb.gz", gzip(&gzip(&zeros)), "objects: 0 0 too_large(1)");
    let matryoshka = (0..6).fold(good.clone(), |inner, _| gzip(&inner));
    add("matryoshka.gz", matryoshka, "objects: 0 0 unknown_format(1)");
    let broken_second = [good.clone(), good[..good.len() - 1].to_vec()].concat();
    add("second-member-cut.gz", broken_second, "objects: 0 0 bad_gzip(1)");
}

/// Breaks of JSON and of its encoding.
fn malformed(cases: &mut Vec<Case>) {
    let mut add = |key, bytes: Vec<u8>, expected| cases.push(Case { key, bytes, expected });
    let deep = |n: usize| format!("{}{}", "[".repeat(n), "]".repeat(n));
    let one = "cloudtrail: 1 0; objects: 1 0";
    add("bom", [b"\xef\xbb\xbf".to_vec(), file(&[record(2, "")])].concat(), one);
    add(
        "deep-value",
        file(&[record(3, &format!(r#","requestParameters":{}"#, deep(200_000)))]),
        one,
    );
    add("deep-object", deep(200_000).into_bytes(), "objects: 0 0 unknown_format(1)");
    add("deep-open", "[".repeat(200_000).into_bytes(), "objects: 0 0 bad_json(1)");
    let deep_record = format!(r#"{{"Records":[{},{}]}}"#, deep(200_000), record(4, ""));
    add("deep-record", deep_record.into_bytes(), "cloudtrail: 1 0 not_an_object(1); objects: 1 0");
    let bad_text = file(&[record(5, r#","userAgent":"@""#)]);
    let bad_text = bad_text.iter().map(|&b| if b == b'@' { 0xff } else { b }).collect();
    add("invalid-utf8", bad_text, one);
    let huge = format!(r#","readOnly":{},"managementEvent":-{}"#, "9".repeat(400), "9".repeat(30));
    add("huge-numbers", file(&[record(6, &huge)]), one);
    let twice =
        r#","eventName":"DeleteTrail","eventName":"GetCallerIdentity","eventID":"hostile-7b""#;
    add("duplicate-keys", file(&[record(7, twice)]), one);
    let odd = ["1", "\"text\"", "null", "[]", "true", "{}"].map(str::to_owned);
    let odd = [odd.as_slice(), &[record(8, "")]].concat();
    add(
        "odd-records",
        file(&odd),
        "cloudtrail: 1 0 not_an_object(5) missing_field(1); objects: 1 0",
    );
    let control = file(&[record(9, ",\"userAgent\":\"a\u{0}b\""), record(10, "")]);
    add("raw-nul", control, "cloudtrail: 1 0 bad_json(1); objects: 1 0");
    let escaped = r#","userAgent":"\u0000\u001b[2J\u202e\u0007","errorMessage":"\ud800""#;
    add("escaped-control", file(&[record(11, escaped)]), one);
    let fake = record(12, "").replace('"', "\\\"");
    let nested = format!(
        r#","requestParameters":{{"Records":[{}],"x":"{{\"Records\":[{fake}]}}"}}"#,
        record(13, "")
    );
    add("nested-fakes", file(&[record(14, &nested)]), one);
    add(
        "cut-array",
        file(&[record(15, ""), record(15, "")])[..500].to_vec(),
        "objects: 0 0 bad_json(1)",
    );
    let swapped = record(16, "").replace(AT, "yesterday");
    add("bad-time", file(&[swapped, record(17, "")]), "cloudtrail: 1 0 bad_time(1); objects: 1 0");
    let timeless = record(18, "").replace(&format!(r#""eventTime":"{AT}","#), "");
    add("no-time", file(&[timeless]), "cloudtrail: 0 0 missing_field(1); objects: 1 0");
    let types =
        r#"{"Records":[{"eventTime":5,"eventSource":[],"userIdentity":"me","eventID":{}}]}"#;
    add("wrong-types", types.into(), "cloudtrail: 0 0 bad_time(1); objects: 1 0");
    let ages: Vec<String> =
        ["0000-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "+262142-12-31T23:59:59Z"]
            .iter()
            .enumerate()
            .map(|(n, at)| record(30 + n, "").replace(AT, at))
            .collect();
    add("ends-of-time", file(&ages), "cloudtrail: 0 2 bad_time(1); objects: 1 0");
    add("text", b"hello\nworld\n".to_vec(), "objects: 0 0 unknown_format(1)");
    add("image", b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR".to_vec(), "objects: 0 0 unknown_format(1)");
    add("other-json", br#"{"a":{"Records":[]}}"#.to_vec(), "objects: 0 0 unknown_format(1)");
    add("null", b"null".to_vec(), "objects: 0 0 unknown_format(1)");
    let digest = br#"{"awsAccountId":"1","digestStartTime":"t","logFiles":[]}"#;
    add("digest", digest.to_vec(), "objects: 0 1");
}

/// Audit logs that lie, or were cut.
fn audit(cases: &mut Vec<Case>) {
    let mut add = |key, bytes: Vec<u8>, expected| cases.push(Case { key, bytes, expected });
    let good = event("a-1", "");
    add("native", good.clone().into_bytes(), "audit: 1 0; objects: 1 0");
    let foreign = message("999999999999", STREAM, &[&good]);
    add("foreign-owner", foreign.into_bytes(), "audit: 0 0 cluster_ambiguous(1); objects: 1 0");
    let odd = message(OWNER, STREAM, &["", "null", "[]", "\u{0}", &good, "{\"kind\":", "x"]);
    add("odd-lines", odd.into_bytes(), "audit: 1 0 not_an_object(4) truncated(2); objects: 1 0");
    // What a pod prints into its own log group is no audit event.
    let printed = message(OWNER, "pod-stdout", &[&good]).replace("/aws/eks/prod/cluster", "/pods");
    add("printed-by-a-pod", printed.into_bytes(), "audit: 0 1; objects: 1 0");
    let fluent =
        format!(r#"{{"log":{},"stream":"stdout"}}"#, serde_json::to_string(&good).unwrap());
    add("container-line", fluent.into_bytes(), "audit: 0 1; objects: 1 0");
    let head = |n: usize| good.get(..n).unwrap();
    let cut = head(good.len() - 120);
    let cut_lines = message(OWNER, STREAM, &[cut, head(60), &good]);
    add("cut-lines", cut_lines.into_bytes(), "audit: 2 0 truncated(1) salvaged(1); objects: 1 0");
    let timeless = good.replace(&format!(r#","requestReceivedTimestamp":"{AT}""#), "");
    add("timeless", timeless.into_bytes(), "audit: 0 0 bad_time(1); objects: 1 0");
    let control = message(OWNER, STREAM, &[]).replace("DATA_MESSAGE", "CONTROL_MESSAGE");
    add("control", control.into_bytes(), "objects: 0 1");
    let carriers = (0..8).fold(good.clone(), |inner, _| {
        format!(r#"{{"message":{}}}"#, serde_json::to_string(&inner).unwrap())
    });
    add("carriers", carriers.into_bytes(), "objects: 0 0 unknown_format(1)");
    let many: Vec<String> = (0..40)
        .map(|n| event("one-id", "").replace("namespaces/shop", &format!("namespaces/n{n}")))
        .collect();
    add("one-audit-id", many.join("\n").into_bytes(), "audit: 40 0; objects: 1 0");
    // Whoever impersonates chooses the other's extras: they name nobody.
    let forged = event(
        "a-2",
        r#""impersonatedUser":{"username":"mallory2","uid":"aws-iam-authenticator:111122223333:AROACIDEPLOYER0000001","extra":{"arn":["arn:aws:sts::111122223333:assumed-role/ci-deployer/x"],"accessKeyId":["ASIAFORGED"],"principalId":["AROACIDEPLOYER0000001"]}},"#,
    );
    add("forged-impersonation", forged.into_bytes(), "audit: 1 0; objects: 1 0");
    // A customer's own user under a reserved name, and a namesake of a role in another account.
    let lookalike = event("a-3", "").replace("mallory", "eks:addon-manager");
    add("eks-lookalike", lookalike.into_bytes(), "audit: 1 0; objects: 1 0");
    let namesake = event("a-4", "").replace(
        r#""username":"mallory","#,
        r#""username":"prober","uid":"aws-iam-authenticator:999999999999:AROAOTHER","extra":{"canonicalArn":["arn:aws:iam::999999999999:role/prober"]},"#,
    );
    add("namesake", namesake.into_bytes(), "audit: 1 0; objects: 1 0");
    let names = event("a-5", "").replace("mallory", "\\u001b[2Jmallory\\u202e\\n\\u0000");
    add("steering-name", names.into_bytes(), "audit: 1 0; objects: 1 0");
}

/// All of them.
pub(crate) fn cases() -> Vec<Case> {
    let mut all = Vec::new();
    compressed(&mut all);
    malformed(&mut all);
    audit(&mut all);
    all
}
