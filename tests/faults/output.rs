//! An output in a bucket that fails, two runs at once, a disk that is full or may not be written.

use std::process::Command;

use overgrant::pipeline::{Events, PipelineError, Plan, run};
use overgrant::publish::PublishError;
use overgrant::source::Location;

use super::{Clean, Scene};
use crate::support::faulty_s3::plan::{Fault, FaultPlan, Op, Rule};
use crate::support::{audit, bytes_of, project, same};

impl Scene {
    fn to_bucket(&self) -> Plan {
        Plan { out: Location::parse("s3://logs-out/nightly").unwrap(), ..self.plan("unused") }
    }

    /// What readers by name see.
    fn exposed(&self) -> std::collections::BTreeMap<String, Vec<u8>> {
        let mut bytes = self.server.objects("logs-out/nightly/");
        bytes.retain(|path, _| !path.starts_with(['.', 'h', 'l']) && path != "run.json");
        bytes
    }

    fn out_is(&self, clean: &Clean, why: &str) {
        same(&self.exposed(), &clean.bytes, why);
    }
}

#[test]
fn puts_that_fail_leave_a_whole_run_and_the_next_one_repairs() {
    let scene = Scene::new();
    let clean = scene.clean();
    let plan = scene.to_bucket();
    let put = |key: &str, times, fault| Rule::times(Op::Put, key, times, fault);
    for rules in [
        vec![put("", 30, Fault::SlowDown)],
        vec![put("manifest.json", 1, Fault::LostAnswer)],
        vec![put("", 4, Fault::Silence), Rule::times(Op::Get, "nightly/", 2, Fault::Silence)],
        vec![Rule::times(Op::Get, "nightly/", 3, Fault::ResetInside)],
        vec![put("manifest.json", 3, Fault::Conflict)],
        vec![put(".state.json", 1, Fault::LostAnswer), put("tables/", 3, Fault::ResetBefore)],
    ] {
        scene.server.meet(FaultPlan::new(rules.clone()));
        audit(&plan).unwrap_or_else(|error| panic!("{rules:?}: {error}"));
        assert!(scene.server.injected() > 0, "{rules:?}");
        scene.out_is(&clean, &format!("{rules:?}"));
    }
    // Another run's report is there; the next one fails at some put for good.
    let mut shorter = plan.clone();
    shorter.until = Some(overgrant::model::time::Micros::parse("2026-11-22T00:00:00Z").unwrap());
    let manifest = || scene.server.objects("logs-out/nightly/manifest.json").into_values().next();
    for first in [0, 5, 40] {
        scene.server.heal();
        audit(&plan).unwrap();
        let before = manifest();
        let rule = Rule::always(Op::Put, "nightly/.", Fault::Denied).after(first);
        scene.server.meet(FaultPlan::new([rule]));
        let error = audit(&shorter).unwrap_err().to_string();
        assert!(error.contains("s3:PutObject"), "{error}");
        if manifest() == before {
            scene.out_is(&clean, "the earlier run is whole");
        }
        scene.server.heal();
        audit(&plan).unwrap();
        scene.out_is(&clean, "repaired");
    }
    // The switch went well and the copies did not.
    scene.server.meet(FaultPlan::new([Rule::always(Op::Put, "nightly/tables/", Fault::Denied)]));
    audit(&shorter).unwrap_err();
    assert_ne!(manifest().as_ref(), clean.bytes.get("manifest.json"));
    scene.server.heal();
    audit(&plan).unwrap();
    scene.out_is(&clean, "the copies follow");
}

#[test]
fn of_two_runs_into_one_bucket_one_wins() {
    struct Second<'a>(&'a Plan);
    impl Events for Second<'_> {
        fn stage(&mut self, name: &'static str) {
            if name == "report" {
                audit(self.0).unwrap();
            }
        }
        fn total(&mut self, _: u64, _: u64) {}
        fn object(&mut self, _: u64) {}
    }
    let scene = Scene::new();
    let clean = scene.clean();
    let mut other = scene.to_bucket();
    for until in ["2026-11-22T00:00:00Z", "2026-11-23T00:00:00Z"] {
        // Both read the same state; the second is done before the first.
        other.until = Some(overgrant::model::time::Micros::parse(until).unwrap());
        let error = run(&scene.to_bucket(), &mut Second(&other)).unwrap_err();
        let PipelineError::Publish(PublishError::Busy { .. }) = &error else { panic!("{error:?}") };
        assert!(error.to_string().contains("another run was faster"), "{error}");
    }
    audit(&scene.to_bucket()).unwrap();
    scene.out_is(&clean, "the next run is right");
}

/// Runs the program through a shell, over the samples.
fn shell(before: &str, out: &str) -> (Option<i32>, String) {
    let text = |path: &str| project(path).display().to_string();
    let script = format!(
        "{before} exec '{}' audit '{}' --inventory '{}' --out '{out}' \"$@\"",
        env!("CARGO_BIN_EXE_overgrant"),
        text("samples/logs"),
        text("samples/inventory"),
    );
    let ended = Command::new("sh").args(["-c", &script]).output().unwrap();
    (ended.status.code(), String::from_utf8_lossy(&ended.stderr).into_owned())
}

#[test]
fn a_full_disk_ends_a_run_and_leaves_the_report() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out").display().to_string();
    assert_eq!(shell("", &out).0, Some(0));
    let before = bytes_of(&folder.path().join("out"));
    // No file may grow beyond so many half kibibytes; the signal is ignored, so writing fails.
    for blocks in [1, 20, 60] {
        let (code, said) = shell(&format!("trap '' XFSZ; ulimit -f {blocks};"), &out);
        assert_eq!(code, Some(4), "{blocks}: {said}");
        assert!(said.contains("error: ") && said.contains("hint: check that --out"), "{said}");
        assert_eq!(bytes_of(&folder.path().join("out")), before, "{blocks}");
    }
    assert_eq!(shell("", &out).0, Some(0));
    assert_eq!(bytes_of(&folder.path().join("out")), before);

    // A week's facts fit a buffer: the first long file is a fact file, written by another crate.
    let week = folder.path().join("week").display().to_string();
    let (code, said) = shell("trap '' XFSZ; ulimit -f 1; set -- --since 7d;", &week);
    assert_eq!(code, Some(4), "{said}");
    assert!(said.contains("cannot write the fact file") && said.contains("/facts/"), "{said}");
    assert!(said.contains("File too large") && said.contains("hint: check that --out"), "{said}");
}

#[test]
fn an_output_that_may_not_be_written_says_so() {
    let folder = tempfile::tempdir().unwrap();
    // Who runs the tests may be root, whom modes do not stop: a file stands where a folder must be.
    let out = folder.path().join("out");
    std::fs::write(&out, "x").unwrap();
    let (code, said) = shell("", &out.display().to_string());
    assert_eq!(code, Some(4), "{said}");
    assert!(said.contains("cannot create") && said.contains("hint: check that --out"), "{said}");
    let (code, said) = shell("", "/proc/overgrant");
    assert_eq!(code, Some(4), "{said}");
}
