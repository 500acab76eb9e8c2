//! The samples: their verdicts, the output contract, and the same bytes whatever the order.

use std::collections::BTreeSet;
use std::path::Path;

use overgrant::table::rows::ALL;

use crate::support::{audit, bytes_of, copy, project, rows, samples_plan, verdicts};

#[test]
fn the_output_is_as_the_contract_says() {
    let out = tempfile::tempdir().unwrap();
    let outcome = audit(&samples_plan(out.path())).unwrap();
    assert!(!outcome.partial);
    let mut files: BTreeSet<String> = bytes_of(out.path()).into_keys().collect();
    let history = "history/verdicts/p_until=2026-11-24T00Z/part-0.parquet";
    assert!(files.remove(history), "{files:?}");
    for table in ALL {
        let path = format!("tables/{}/part-0.parquet", table.name);
        assert!(files.contains(&path), "{path}");
    }
    for query in overgrant::report::catalogue::QUERIES {
        let path = format!("reports/{}.parquet", query.name);
        assert!(files.contains(&path), "{path}");
    }
    assert!(files.iter().any(|path| path.starts_with("facts/access/p_cluster=prod-")));
    assert!(!files.iter().any(|path| path.contains("arn:") || path.starts_with('.')));

    let manifest: serde_json::Value =
        serde_json::from_slice(&std::fs::read(out.path().join("manifest.json")).unwrap()).unwrap();
    let listed = manifest["files"].as_array().unwrap();
    assert_eq!(listed.len() + 1, files.len(), "every file but the manifest itself");
    for stream in ["objects", "cloudtrail", "audit"] {
        let counts = &manifest["counters"][stream];
        let sum = |part: &str| {
            counts[part].as_object().unwrap().values().map(|n| n.as_u64().unwrap()).sum::<u64>()
        };
        let parts = counts["kept"].as_u64().unwrap() + sum("filtered") + sum("rejected");
        assert_eq!(counts["seen"].as_u64().unwrap(), parts, "{stream}");
    }
}

#[test]
fn any_order_and_any_threads_give_the_same_bytes() {
    let whole = tempfile::tempdir().unwrap();
    audit(&samples_plan(whole.path())).unwrap();
    let expected = bytes_of(whole.path());

    let one = tempfile::tempdir().unwrap();
    let mut plan = samples_plan(one.path());
    plan.threads = 1;
    audit(&plan).unwrap();
    assert_same(&expected, one.path(), "one thread");

    // Two locations, listed the other way round, four threads.
    let split = tempfile::tempdir().unwrap();
    let mut plan = samples_plan(split.path());
    plan.threads = 4;
    let of = |path: &str| overgrant::source::Location::Local(project(path));
    plan.logs = vec![of("samples/logs/eks-audit"), of("samples/logs/AWSLogs")];
    audit(&plan).unwrap();
    // The manifest names objects by their place below a location, so its input digest differs, and
    // CloudTrail is then named by its records.
    let mut got = bytes_of(split.path());
    let mut expected_tables = expected.clone();
    for map in [&mut got, &mut expected_tables] {
        map.retain(|path, _| {
            !path.ends_with("manifest.json") && !path.starts_with("tables/rejects/")
        });
    }
    let differing: Vec<&String> = expected_tables
        .keys()
        .filter(|path| got.get(*path) != expected_tables.get(*path))
        .collect();
    assert!(differing.is_empty(), "{differing:?}");
}

fn assert_same(expected: &std::collections::BTreeMap<String, Vec<u8>>, out: &Path, what: &str) {
    let got = bytes_of(out);
    let differing: Vec<&String> = expected
        .keys()
        .chain(got.keys())
        .filter(|path| got.get(*path) != expected.get(*path))
        .collect();
    assert!(differing.is_empty(), "{what}: {differing:?}");
}

#[test]
fn a_second_run_replaces_the_first() {
    let out = tempfile::tempdir().unwrap();
    audit(&samples_plan(out.path())).unwrap();
    let first = bytes_of(out.path());
    audit(&samples_plan(out.path())).unwrap();
    assert_same(&first, out.path(), "again");
}

#[test]
fn a_gap_in_the_logs_lowers_verdicts_and_says_so() {
    let out = tempfile::tempdir().unwrap();
    let mut plan = samples_plan(out.path());
    // Half a year back: the logs cover only the second half.
    plan.since = overgrant::pipeline::Since::Days(180);
    let outcome = audit(&plan).unwrap();
    assert!(outcome.partial);
    let verdicts = verdicts(out.path());
    let (_, jenkins) = &verdicts["aws_auth_group jenkins system:masters"];
    assert_eq!((jenkins.verdict.as_str(), jenkins.reason.as_str()), ("unobservable", "coverage"));
    assert_eq!(jenkins.recommendation, "keep");
    let (_, deployer) = &verdicts["access_policy ci-deployer AmazonEKSClusterAdminPolicy"];
    assert_eq!(deployer.confidence, "low");
}

#[test]
fn logs_without_an_inventory_are_counted_and_nothing_is_judged() {
    let out = tempfile::tempdir().unwrap();
    let mut plan = samples_plan(out.path());
    plan.inventories.clear();
    let outcome = audit(&plan).unwrap();
    assert!(outcome.partial, "every audit event is rejected: its cluster has no name");
    assert!(rows::<overgrant::table::rows::grants::GrantRow>(out.path()).is_empty());
    assert!(outcome.summary.warnings.iter().any(|line| line.contains("no inventory")));
}

#[test]
fn a_lost_object_makes_its_hours_holes() {
    let logs = tempfile::tempdir().unwrap();
    copy(&project("samples/logs"), logs.path());
    // A whole day of audit log arrives broken.
    let day = logs.path().join("eks-audit/2026/10/05/00");
    let object = std::fs::read_dir(&day).unwrap().next().unwrap().unwrap().path();
    let bytes = std::fs::read(&object).unwrap();
    std::fs::write(&object, &bytes[..bytes.len() / 2]).unwrap();
    let out = tempfile::tempdir().unwrap();
    let mut plan = samples_plan(out.path());
    plan.logs = vec![overgrant::source::Location::Local(logs.path().to_path_buf())];
    audit(&plan).unwrap();
    let rejects: Vec<(String, String)> =
        rows::<overgrant::table::rows::evidence::RejectRow>(out.path())
            .into_iter()
            .map(|row| (row.object, row.reason))
            .collect();
    assert!(
        rejects
            .iter()
            .any(|(object, reason)| object.contains("2026/10/05") && reason == "bad_gzip")
    );
    let verdicts = verdicts(out.path());
    let (_, jenkins) = &verdicts["aws_auth_group jenkins system:masters"];
    assert!(jenkins.coverage < 1.0, "{}", jenkins.coverage);
}

#[test]
fn the_verdicts_of_the_samples_are_those_of_the_lab() {
    let out = tempfile::tempdir().unwrap();
    audit(&samples_plan(out.path())).unwrap();
    crate::lab::check_truth(out.path());
}
