//! `audit --dry-run`: it counts what a run then reads, and touches nothing.

use std::path::Path;

use overgrant::pipeline::dry_run::{DryRun, dry_run};
use serde_json::Value;

use super::{overgrant, text};
use crate::support::s3::{Fault, Server};
use crate::support::{Deaf, audit, copy, project, samples_plan};
use overgrant::source::Location;

/// What `run.json` says of objects: read, read again, kept.
fn told(out: &Path) -> (u64, u64, u64) {
    let run: Value = serde_json::from_slice(&std::fs::read(out.join("run.json")).unwrap()).unwrap();
    let of = |name: &str| run["objects"][name].as_u64().unwrap();
    (of("read"), of("read_again"), of("kept"))
}

fn known(told: &DryRun) -> u64 {
    told.places.iter().map(|place| place.known.objects).sum()
}

#[test]
fn a_dry_run_counts_what_a_run_then_reads() {
    let folder = tempfile::tempdir().unwrap();
    let logs = folder.path().join("logs");
    copy(&project("samples/logs"), &logs);
    let out = folder.path().join("out");
    let mut plan = samples_plan(&out);
    plan.logs = vec![Location::Local(logs.clone())];
    let check = |plan: &overgrant::pipeline::Plan, why: &[&str]| {
        let dry = dry_run(plan, &mut Deaf).unwrap();
        let whys: Vec<&str> =
            dry.places.iter().flat_map(|place| &place.read).map(|read| read.why).collect();
        assert_eq!(whys, why);
        audit(plan).unwrap();
        let (read, again, _) = told(&plan_out(plan));
        assert_eq!(dry.to_read().objects, read, "{dry:?}");
        (dry, again)
    };
    let dry = dry_run(&plan, &mut Deaf).unwrap();
    assert!(dry.to_read().objects > 100 && !out.exists(), "nothing is made");

    // Two late objects and one that changed, after a run over the rest.
    let mut all: Vec<_> = crate::support::bytes_of(&logs).into_keys().collect();
    all.retain(|name| name.contains("CloudTrail"));
    let late: Vec<(std::path::PathBuf, Vec<u8>)> = all
        .iter()
        .step_by(all.len() / 2)
        .map(|name| (logs.join(name), std::fs::read(logs.join(name)).unwrap()))
        .collect();
    for (path, _) in &late {
        std::fs::remove_file(path).unwrap();
    }
    let (dry, again) = check(&plan, &["new"]);
    assert_eq!((dry.rebuilt.objects, again, known(&dry)), (0, 0, 0), "there are no days yet");

    for (path, bytes) in &late {
        std::fs::write(path, bytes).unwrap();
    }
    let changed = logs.join(&all[1]);
    let bytes = std::fs::read(&changed).unwrap();
    std::fs::remove_file(&changed).unwrap();
    std::fs::write(&changed, bytes).unwrap();
    let (dry, again) = check(&plan, &["new", "changed"]);
    assert!(again > 0 && dry.rebuilt.objects >= again, "{again} of {:?}", dry.rebuilt);
    assert!(known(&dry) > 0);

    let (dry, again) = check(&plan, &[]);
    assert_eq!((dry.rebuilt.objects, again), (0, 0), "nothing is left to read");
    plan.hide_secret_names = true;
    check(&plan, &["secret_names"]);
}

fn plan_out(plan: &overgrant::pipeline::Plan) -> std::path::PathBuf {
    let Location::Local(out) = &plan.out else { panic!("{:?}", plan.out) };
    out.clone()
}

#[test]
fn a_dry_run_is_told_as_a_table_and_as_json() {
    let out = tempfile::tempdir().unwrap();
    let place = out.path().join("out").display().to_string();
    let run = |extra: &[&str]| {
        let base = ["audit", "samples/logs", "--inventory", "samples/inventory", "--out", &place];
        let args: Vec<&str> = base.iter().chain(extra).copied().collect();
        let got = overgrant(&args);
        assert_eq!((got.status.code(), text(&got.stderr)), (Some(0), String::new()));
        text(&got.stdout)
    };
    insta::assert_snapshot!("dry_run", run(&["--dry-run", "--since", "2026-11-01"]));
    let json: Value = serde_json::from_str(&run(&["--dry-run", "--format", "json"])).unwrap();
    assert_eq!(json["places"][0]["to_read"][0]["why"], "new");
    assert_eq!(json["to_read"]["objects"], 184);
    assert!(!Path::new(&place).exists(), "nothing is written");
    run(&["-q"]);
    assert!(run(&["--dry-run"]).contains("nothing to read"));
    // A history is not asked for, and that is said.
    let left = overgrant(&[
        "audit",
        "lookup-events:eu-west-1",
        "--lookup-cache",
        &place,
        "--out",
        &place,
        "--dry-run",
    ]);
    assert_eq!(left.status.code(), Some(0), "{}", text(&left.stderr));
    assert!(text(&left.stdout).contains("lookup-events:eu-west-1 is not asked for"));
}

#[test]
fn a_dry_run_over_s3_lists_and_fetches_no_log() {
    let root = tempfile::tempdir().unwrap();
    copy(&project("samples/logs"), &root.path().join("logs/deep"));
    copy(&project("samples/inventory"), &root.path().join("logs/inventory"));
    std::fs::create_dir_all(root.path().join("results")).unwrap();
    let server = Server::start(root.path(), |_, _| Fault::None);
    let at = |text: &str| Location::parse(text).unwrap();
    let local = tempfile::tempdir().unwrap();
    let mut plan = samples_plan(local.path());
    plan.logs = vec![at("s3://logs/deep/")];
    plan.inventories = vec![at("s3://logs/inventory/")];
    plan.out = at("s3://results/nightly");
    plan.s3 = server.options();

    let lists = ["list-type=2", "prefix=deep"];
    let dry = dry_run(&plan, &mut Deaf).unwrap();
    assert_eq!(server.count(&["GET", "/logs/deep/"]), 0, "no log is fetched");
    let wrote = |what: &&str| server.count(&[what]) > 0;
    assert!(!["PUT", "DELETE", "POST"].iter().any(wrote), "nothing is written");
    let asked = u64::try_from(server.count(&lists)).unwrap();
    assert!(asked > 0, "{:?}", server.requests.lock().unwrap());
    assert_eq!((dry.requests.list, dry.requests.get), (asked, dry.to_read().objects));

    audit(&plan).unwrap();
    let gets = u64::try_from(server.count(&["GET", "/logs/deep/"])).unwrap();
    let listed = u64::try_from(server.count(&lists)).unwrap() - asked;
    assert_eq!((dry.requests.list, dry.requests.get), (listed, gets), "as the run then asks");

    let again = dry_run(&plan, &mut Deaf).unwrap();
    assert_eq!((again.requests.get, again.to_read().objects), (0, 0));
    assert_eq!(known(&again), gets);
}
