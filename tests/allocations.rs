//! The hot path allocates nothing per record that no grant is about, and little per one that counts. A
//! test of its own, because it counts what the whole process allocates; it does not depend on how fast
//! or busy the machine is.
#![expect(clippy::unwrap_used, reason = "a test")]

use std::alloc::System;
use std::sync::Arc;

use overgrant::decode::gunzip::Limits;
use overgrant::extract::clusters::ClusterResolver;
use overgrant::extract::{Batch, Context, Extractor};
use overgrant::model::time::{Micros, Window};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static COUNTED: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// A file of a trail, gzipped.
fn file(records: usize, source: &str, callers: usize) -> Vec<u8> {
    let records: Vec<String> = (0..records)
        .map(|n| {
            format!(
                r#"{{"eventVersion":"1.11","userIdentity":{{"type":"AssumedRole","principalId":"AROA{:017}:s","arn":"arn:aws:sts::111122223333:assumed-role/r-{}/s","accountId":"111122223333","accessKeyId":"ASIA{:016}","sessionContext":{{"sessionIssuer":{{"type":"Role","principalId":"AROA{:017}","arn":"arn:aws:iam::111122223333:role/p/r-{}"}}}}}},"eventTime":"2026-06-01T09:{:02}:00Z","eventSource":"{source}","eventName":"GetCallerIdentity","awsRegion":"us-west-2","requestParameters":{{"policy":"{{\"a\":[1]}}"}},"responseElements":null,"eventID":"e-{n}","eventCategory":"Management","recipientAccountId":"111122223333"}}"#,
                n % callers,
                n % callers,
                n % callers,
                n % callers,
                n % callers,
                n % 60
            )
        })
        .collect();
    gzip(&format!(r#"{{"Records":[{}]}}"#, records.join(",")))
}

fn context() -> Arc<Context> {
    Arc::new(Context {
        window: Window {
            since: Micros::parse("2026-01-01T00:00:00Z").unwrap(),
            until: Micros::parse("2027-01-01T00:00:00Z").unwrap(),
        },
        relevant_ids: std::iter::once("AROAKNOWN".to_owned()).collect(),
        relevant_names: std::iter::empty().collect(),
        clusters: ClusterResolver::new(
            &["arn:aws:eks:us-west-2:111122223333:cluster/prod".to_owned()],
            &[],
        ),
        limits: Limits::default(),
        hide_secret_names: false,
    })
}

/// A message of CloudWatch Logs, gzipped.
fn message(events: usize) -> Vec<u8> {
    let lines: Vec<String> = (0..events)
        .map(|n| {
            let event = format!(
                r#"{{"kind":"Event","auditID":"{n:08x}-0000-4000-8000-000000000000","stage":"ResponseComplete","requestURI":"/api/v1/namespaces/ns-{}/pods/p-{n}","verb":"get","user":{{"username":"u-{}","groups":["system:authenticated"]}},"userAgent":"kubectl/v1.33.1","objectRef":{{"resource":"pods","namespace":"ns-{}","name":"p-{n}"}},"responseStatus":{{"code":200}},"requestReceivedTimestamp":"2026-06-01T09:10:00.{n:06}Z","annotations":{{"authorization.k8s.io/decision":"allow"}}}}"#,
                n % 5,
                n % 10,
                n % 5
            );
            let event = serde_json::to_string(&event).unwrap();
            format!(r#"{{"id":"{n}","timestamp":1780305000000,"message":{event}}}"#)
        })
        .collect();
    gzip(&format!(
        r#"{{"messageType":"DATA_MESSAGE","owner":"111122223333","logGroup":"/aws/eks/prod/cluster","logStream":"kube-apiserver-audit-0","subscriptionFilters":["f"],"logEvents":[{}]}}"#,
        lines.join(",")
    ))
}

fn gzip(text: &str) -> Vec<u8> {
    let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut out, text.as_bytes()).unwrap();
    out.finish().unwrap()
}

#[test]
fn per_record() {
    let mut extractor = Extractor::new(context());
    let mut allocations = |object: &[u8], records: u64| {
        let mut facts = 0_u64;
        let region = Region::new(COUNTED);
        let mut batch = Batch::default();
        let key = "AWSLogs/111122223333/CloudTrail/us-west-2/2026/06/01/f.json.gz";
        extractor.object(key, object, &mut batch, &mut |_| facts += 1);
        let stats = region.change();
        assert_eq!(
            batch.tally.streams.values().map(|counts| counts.seen).sum::<u64>(),
            records + 1
        );
        (stats.allocations + stats.reallocations, facts)
    };
    let few = file(100, "ec2.amazonaws.com", 50);
    let many = file(20_000, "ec2.amazonaws.com", 50);
    // The first file makes the scratch.
    allocations(&many, 20_000);
    let (of_few, facts) = allocations(&few, 100);
    assert_eq!(facts, 0);
    let (of_many, facts) = allocations(&many, 20_000);
    assert_eq!(facts, 0);
    assert_eq!(of_few, of_many, "not one more for 19,900 more records");
    assert!(of_many < 32, "{of_many} for a file");

    // Whoever called before costs nothing more.
    let known = file(10_000, "sts.amazonaws.com", 50);
    allocations(&known, 10_000);
    let (of_known, facts) = allocations(&known, 10_000);
    assert_eq!(facts, 10_000);
    assert!(of_known <= of_many, "{of_known}: not one for a call of a caller who was met");

    let unknown = file(10_000, "sts.amazonaws.com", 10_000);
    let (of_unknown, facts) = allocations(&unknown, 10_000);
    assert_eq!(facts, 10_000);
    let each = of_unknown / 10_000;
    eprintln!("{of_many} allocations for a file, {each} for a caller who was not met before");
    assert!(each <= 26, "{each} for a caller who was not met before");

    let (few, many) = (message(100), message(5_000));
    allocations(&many, 5_000);
    let (of_few, facts) = allocations(&few, 100);
    assert_eq!(facts, 100);
    let (of_many, facts) = allocations(&many, 5_000);
    assert_eq!(facts, 5_000);
    assert_eq!(of_few, of_many, "not one for an event of which the like was met");
    assert!(of_many < 64, "{of_many} for a message");
}
