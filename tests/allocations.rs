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
fn file(records: usize, source: &str) -> Vec<u8> {
    let records: Vec<String> = (0..records)
        .map(|n| {
            format!(
                r#"{{"eventVersion":"1.11","userIdentity":{{"type":"AssumedRole","principalId":"AROA{:017}:s","arn":"arn:aws:sts::111122223333:assumed-role/r-{}/s","accountId":"111122223333","accessKeyId":"ASIA{n:016}","sessionContext":{{"sessionIssuer":{{"type":"Role","principalId":"AROA{:017}","arn":"arn:aws:iam::111122223333:role/p/r-{}"}}}}}},"eventTime":"2026-06-01T09:{:02}:00Z","eventSource":"{source}","eventName":"GetCallerIdentity","awsRegion":"us-west-2","requestParameters":{{"policy":"{{\"a\":[1]}}"}},"responseElements":null,"eventID":"e-{n}","eventCategory":"Management","recipientAccountId":"111122223333"}}"#,
                n % 50,
                n % 50,
                n % 50,
                n % 50,
                n % 60
            )
        })
        .collect();
    let text = format!(r#"{{"Records":[{}]}}"#, records.join(","));
    let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut out, text.as_bytes()).unwrap();
    out.finish().unwrap()
}

fn context() -> Arc<Context> {
    Arc::new(Context {
        window: Window {
            since: Micros::parse("2026-01-01T00:00:00Z").unwrap(),
            until: Micros::parse("2027-01-01T00:00:00Z").unwrap(),
        },
        relevant_ids: std::iter::once("AROAKNOWN".to_owned()).collect(),
        relevant_names: std::iter::empty().collect(),
        clusters: ClusterResolver::new(&[], &[]),
        limits: Limits::default(),
        hide_secret_names: false,
    })
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
    let few = file(100, "ec2.amazonaws.com");
    let many = file(20_000, "ec2.amazonaws.com");
    // The first file makes the scratch.
    allocations(&many, 20_000);
    let (of_few, facts) = allocations(&few, 100);
    assert_eq!(facts, 0);
    let (of_many, facts) = allocations(&many, 20_000);
    assert_eq!(facts, 0);
    assert_eq!(of_few, of_many, "not one more for 19,900 more records");
    assert!(of_many < 32, "{of_many} for a file");

    let wanted = file(10_000, "sts.amazonaws.com");
    allocations(&wanted, 10_000);
    let (of_wanted, facts) = allocations(&wanted, 10_000);
    assert_eq!(facts, 10_000);
    let each = of_wanted / 10_000;
    eprintln!("{of_many} allocations for a file, {each} for a record that counts");
    assert!(each <= 16, "{each} for a record that counts");
}
