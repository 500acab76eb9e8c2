//! Public logs, where they are: nothing panics, counters partition, sessions resolve.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use overgrant::decode::gunzip::Limits;
use overgrant::extract::clusters::ClusterResolver;
use overgrant::extract::{Batch, Context, Extractor};
use overgrant::facts::fold::Issued;
use overgrant::join::sessions::Sessions;
use overgrant::model::fact::{Fact, FactBody};
use overgrant::model::time::{Micros, Window};

use crate::support::{files_below, shared};

fn extractor(relevant: &[&str]) -> Extractor {
    let window = Window {
        since: Micros::parse("2000-01-01T00:00:00Z").unwrap(),
        until: Micros::parse("2100-01-01T00:00:00Z").unwrap(),
    };
    let arn = "arn:aws:eks:us-west-2:111122223333:cluster/any".to_owned();
    Extractor::new(Arc::new(Context {
        window,
        relevant_ids: relevant.iter().map(|id| (*id).to_owned()).collect(),
        relevant_names: std::iter::empty().collect(),
        clusters: ClusterResolver::new(std::slice::from_ref(&arn), &[(String::new(), arn.clone())]),
        limits: Limits::default(),
        hide_secret_names: false,
    }))
}

#[test]
fn every_public_file_is_read_or_rejected_with_a_reason() {
    let Some(folder) = shared("logs/real") else { return };
    let mut extractor = extractor(&[]);
    let (mut objects, mut facts) = (0, 0);
    for path in files_below(&folder) {
        let mut batch = Batch::default();
        let bytes = std::fs::read(&path).unwrap();
        let key = path.display().to_string();
        extractor.object(&key, &bytes, &mut batch, &mut |_| facts += 1);
        assert!(batch.tally.partitions(), "{}: {:?}", path.display(), batch.tally);
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let is_log = !name.starts_with("LICENSE") && name != "README.md";
        let counts = batch.tally.streams.values().map(|c| c.kept + c.filtered_total()).sum::<u64>();
        assert_eq!(is_log, counts > 0, "{}: {:?}", path.display(), batch.tally);
        objects += 1;
    }
    eprintln!("{objects} files, {facts} facts");
    assert!(objects > 60 && facts > 60, "{objects} files, {facts} facts");
}

#[test]
fn sessions_of_a_real_account_are_those_of_a_plain_walk() {
    let Some(folder) = shared("logs/real/invictus-aws_dataset") else { return };
    // The expectation comes from a plain walk over the JSON, not from the code under test.
    let mut records: Vec<serde_json::Value> = Vec::new();
    let mut objects = Vec::new();
    for path in
        files_below(&folder).into_iter().filter(|p| p.extension().is_some_and(|e| e == "gz"))
    {
        let bytes = std::fs::read(&path).unwrap();
        let mut text = String::new();
        std::io::Read::read_to_string(
            &mut flate2::read::MultiGzDecoder::new(bytes.as_slice()),
            &mut text,
        )
        .unwrap();
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        records.extend(value["Records"].as_array().unwrap().iter().cloned());
        objects.push((path.display().to_string(), bytes));
    }
    let issued: BTreeMap<(String, String), String> = records
        .iter()
        .filter_map(|r| {
            let id = r["responseElements"]["assumedRoleUser"]["assumedRoleId"].as_str()?;
            let key = r["responseElements"]["credentials"]["accessKeyId"].as_str()?;
            Some(((id.to_owned(), r["eventTime"].as_str()?.to_owned()), key.to_owned()))
        })
        .collect();
    let ids: BTreeSet<&str> =
        issued.keys().map(|(id, _)| id.split(':').next().unwrap_or_default()).collect();
    let (mut expected, mut second_keys) = (0, 0);
    for r in &records {
        let identity = &r["userIdentity"];
        let created = identity["sessionContext"]["attributes"]["creationDate"].as_str();
        let (Some(id), Some(created)) = (identity["principalId"].as_str(), created) else {
            continue;
        };
        if let Some(key) = issued.get(&(id.to_owned(), created.to_owned())) {
            expected += 1;
            second_keys += usize::from(identity["accessKeyId"].as_str() != Some(key));
        }
    }
    let mut extractor = extractor(&ids.iter().copied().collect::<Vec<_>>());
    let mut batch = Batch::default();
    let mut facts: Vec<Fact<'_>> = Vec::new();
    for (key, bytes) in &objects {
        extractor.object(key, bytes, &mut batch, &mut |fact| facts.push(fact.into_owned()));
    }
    let mut calls = Vec::new();
    let mut sessions = Vec::new();
    for fact in facts {
        match (*fact.body).clone() {
            FactBody::Session(body) => {
                calls.push((fact.at, body.source.clone()));
                sessions.push(Issued { at: fact.at, body: *body });
            }
            FactBody::AwsCall(call) | FactBody::Authentication(call) => {
                calls.push((fact.at, call.caller));
            }
            FactBody::Access(_) | FactBody::Login(_) | FactBody::Change(_) => {}
        }
    }
    let sessions = Sessions::new(sessions);
    let resolved =
        calls.iter().filter(|(at, caller)| sessions.of_aws_caller(caller, *at).0.is_some()).count();
    eprintln!("{resolved} calls resolve, {second_keys} of them by the second of issue");
    assert_eq!(resolved, expected);
    // A service-linked role with its id, and an instance's role that only its ARN names.
    let keys = records.iter().filter(|r| {
        r["eventSource"] == "sts.amazonaws.com"
            && r["responseElements"]["credentials"]["accessKeyId"].is_string()
    });
    assert_eq!(sessions.all.len(), keys.count());
    assert!(sessions.all.iter().any(|s| s.role_id.is_empty() && !s.role_arn.is_empty()));
}
