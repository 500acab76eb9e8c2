//! What is passed over is what a parser would have filtered: both ways over the same records.

use proptest::prelude::*;

use super::*;

/// The same records in a file of a shape that is read the general way.
fn general(file: &str) -> String {
    file.replacen('{', r#"{"x":0,"#, 1)
}

fn same(key: &str, file: &str) {
    let mut found = crate::decode::find::Records::default();
    assert!(crate::decode::find::records(file.as_bytes(), &mut found, |_| false), "{file}");
    let other = general(file);
    assert!(!crate::decode::find::records(other.as_bytes(), &mut found, |_| false), "{other}");
    let (fast, slow) = (extract(&[(key, file.as_bytes())]), extract(&[(key, other.as_bytes())]));
    assert_eq!(fast.facts, slow.facts, "{file}");
    assert_eq!(fast.proofs, slow.proofs, "{file}");
    assert_eq!(fast.tally.streams, slow.tally.streams, "{file}");
    assert_eq!(fast.tally.rejects, slow.tally.rejects, "{file}");
    assert_eq!(fast.tally.damaged, slow.tally.damaged, "{file}");
}

fn file(records: &[&str]) -> String {
    format!(r#"{{"Records":[{}]}}"#, records.join(","))
}

#[test]
fn odd_records_come_to_the_same() {
    for record in [
        r#"{"eventTime":"2026-01-05T09:00:00Z","eventSource":"ec2.amazonaws.com"}"#,
        r#"{"eventTime":"2026-01-05T09:00:00Z","eventSource":"sts.amazonaws.com","eventName":"AssumeRole"}"#,
        r#"{"eventTime":"2026-01-05T09:00:00Z","eventSource":"ec2","userIdentity":{"principalId":"AROAKNOWN:x"}}"#,
        r#"{"eventTime":"2026-01-05T09:00:00Z","eventSource":"ec2","userIdentity":{"principalId":"AROAKNOWN"}}"#,
        r#"{"eventTime":"2026-01-05T09:00:00Z","eventSource":"ec2","userIdentity":{"principal\u0049d":"AROAKNOWN:x"}}"#,
        r#"{"eventTime":"2026-01-05T09:00:00Z","eventSource":"ec2","userIdentity":{"arn":"arn:aws:sts::1:assumed-role/KNOWN/s"}}"#,
        r#"{"eventTime":"2026-01-05T09:00:00Z","eventSource":"ec2","userIdentity":{"sessionContext":{"sessionIssuer":{"principalId":"AROAKNOWN"}},"principalId":"AROAOTHER:x"}}"#,
        r#"{"eventTime":"2026-01-05T09:00:00Z","eventSource":"ec2","userIdentity":{"sessionContext":{"sessionIssuer":{"arn" : "arn:aws:iam::1:role/a/b/known"}}}}"#,
        r#"{"eventTime":"2026-01-05T09:00:00Z","eventSource":"ec2","userIdentity":{"principalId":7}}"#,
        r#"{"eventTime":"2026-01-05T09:00:00Z","eventSource":"ec2","userIdentity":"AROAKNOWN"}"#,
        r#"{"eventTime":"2026-01-05T09:00:00Z","eventSource":"ec2","userIdentity":null}"#,
        r#"{"eventTime":"2026-01-05T09:00:00Z","eventSource":"ec2","eventCategory":"Data"}"#,
        r#"{"eventTime":"2026-01-05T09:00:00Z","eventSource":"ec2","eventCategory":null}"#,
        r#"{"eventTime":"2026-01-05T09:00:00Z","eventSource":"ec2","recipientAccountId":111122223333,"awsRegion":"r"}"#,
        r#"{"eventTime":"2026-01-05T09:00:00Z","eventSource":"ec2","recipientAccountId":"1","awsRegion":"r"}"#,
        r#"{"eventTime":"2026-03-05T09:00:00Z","eventSource":"ec2"}"#,
        r#"{"eventTime":"2026-03-05T09:00:00Z","eventSource":"eks.amazonaws.com"}"#,
        r#"{"eventTime":"yesterday","eventSource":"ec2"}"#,
        r#"{"eventTime":7,"eventSource":"ec2"}"#,
        r#"{"eventSource":"ec2"}"#,
        r#"{"eventTime":"2026-01-05T09:00:00Z"}"#,
        r#"{"eventTime":"2026-01-05T09:00:00Z","eventSource":"ec2","eventSource":"sts.amazonaws.com"}"#,
        r#"{"eventTime":"2026-01-05T09:00:00Z","event\u0053ource":"sts.amazonaws.com"}"#,
        r#"{"eventTime":"2026-01-05T09:00:00Z","eventSource":"\u0073ts.amazonaws.com"}"#,
        r#"{"eventTime":"2026-01-05T09:00:00Z","eventSource":"ec2","requestParameters":{"eventSource":"sts.amazonaws.com"}}"#,
        r#"{"eventTime":"2026-01-05T09:00:00Z","eventSource":"ec2","x":"\"eventSource\":\"sts.amazonaws.com\""}"#,
        "{}",
        "{\n  \"eventTime\": \"2026-01-05T09:00:00Z\",\n  \"eventSource\": \"sts.amazonaws.com\"\n}",
    ] {
        for key in ["k", "AWSLogs/111122223333/CloudTrail/us-west-2/2026/01/05/f.json.gz"] {
            same(key, &file(&[record]));
            same(
                key,
                &file(&[
                    record,
                    r#"{"eventTime":"2026-01-05T09:30:00Z","eventSource":"s3"}"#,
                    record,
                ]),
            );
        }
    }
    same("k", &file(&[]));
}

fn member() -> impl Strategy<Value = String> {
    prop_oneof![
        prop::sample::select(vec![
            r#""eventTime":"2026-01-05T09:10:00Z""#,
            r#""eventTime":"2026-01-06T09:10:00Z""#,
            r#""eventTime":"2026-02-06T09:10:00Z""#,
            r#""eventTime" : "2026-01-05T09:10:00Z""#,
            r#""eventSource":"ec2.amazonaws.com""#,
            r#""eventSource":"sts.amazonaws.com""#,
            r#""eventSource": "eks.amazonaws.com""#,
            r#""eventSource":null"#,
            r#""eventName":"GetCallerIdentity""#,
            r#""eventCategory":"Data""#,
            r#""eventCategory":"Management""#,
            r#""awsRegion":"us-east-1""#,
            r#""recipientAccountId":"111122223333""#,
            r#""eventID":"e-1""#,
            r#""userIdentity":{"principalId":"AROAKNOWN:x","arn":"arn:aws:sts::1:assumed-role/known/x"}"#,
            r#""userIdentity":{"principalId":"AROAOTHER:x","arn":"arn:aws:sts::1:assumed-role/other/x"}"#,
            r#""userIdentity":{"type":"AWSService","invokedBy":"ec2.amazonaws.com"}"#,
            r#""requestParameters":{"a":[{"b":"\\\"}"}],"userIdentity":{"principalId":"AROAKNOWN"}}"#,
        ])
        .prop_map(str::to_owned),
        "[a-z\"\\\\{}]{0,6}".prop_map(|text| {
            let text = serde_json::to_string(&text).unwrap();
            format!("{text}:{text}")
        }),
    ]
}

proptest! {
    #[test]
    fn any_records_come_to_the_same(
        records in prop::collection::vec(prop::collection::vec(member(), 0..8), 0..6),
        of_trail: bool,
    ) {
        let records: Vec<String> =
            records.iter().map(|members| format!("{{{}}}", members.join(","))).collect();
        let records: Vec<&str> = records.iter().map(String::as_str).collect();
        let key = if of_trail { "AWSLogs/1/CloudTrail/us-west-2/2026/01/05/f.json.gz" } else { "k" };
        same(key, &file(&records));
    }
}

#[test]
fn plain_records_are_passed_over() {
    let record = r#"{"eventVersion":"1.11","userIdentity":{"type":"AssumedRole","principalId":"AROA00000000000000612:session-1","arn":"arn:aws:sts::111122223333:assumed-role/service-role-612/session-1","accountId":"111122223333","accessKeyId":"ASIA0000000000002449","sessionContext":{"sessionIssuer":{"type":"Role","principalId":"AROA00000000000000612","arn":"arn:aws:iam::111122223333:role/platform/service-role-612","accountId":"111122223333","userName":"service-role-612"},"webIdFederationData":{},"attributes":{"creationDate":"2026-01-05T00:00:00Z","mfaAuthenticated":"false"}}},"eventTime":"2026-01-05T09:12:34Z","eventSource":"kms.amazonaws.com","eventName":"Decrypt","awsRegion":"us-west-2","sourceIPAddress":"10.0.1.2","userAgent":"Boto3/1.34.144","requestParameters":{"policy":"{\"a\":[1]}"},"responseElements":null,"requestID":"r","eventID":"e","readOnly":true,"eventType":"AwsApiCall","managementEvent":true,"recipientAccountId":"111122223333","eventCategory":"Management"}"#;
    for pad in 0..70 {
        let pad = " ".repeat(pad);
        let service = r#"{"userIdentity":{"type":"AWSService","invokedBy":"ec2.amazonaws.com"},"eventTime":"2026-01-05T09:12:34Z","eventSource":"sns.amazonaws.com"}"#;
        let file = file(&[&format!("{pad}{record}"), record, service, record]);
        let context = context();
        let mut skim = crate::extract::skim::Skim::new(&context);
        let mut passed = crate::extract::skim::Passed::default();
        let mut records = crate::decode::find::Records::default();
        assert!(crate::decode::find::records(file.as_bytes(), &mut records, |one| {
            skim.pass(file.as_bytes(), one, true, &mut passed)
        }));
        assert_eq!((passed.records, records.found.len()), (4, 0), "{file}");
        assert_eq!(passed.runs.len(), 1);
    }
}
