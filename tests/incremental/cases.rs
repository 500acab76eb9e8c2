//! One thing at a time: windows, late and expired objects, inventories, damage, two runs at once.

use std::path::PathBuf;

use overgrant::pipeline::{Events, PipelineError, Since, run};
use overgrant::table::rows::evidence::CoverageRow;
use overgrant::table::rows::verdicts::VerdictHistoryRow;

use super::{World, location, logs, logs_below, moment};
use crate::support::{audit, project, rows, same};

fn with_all() -> World {
    let world = World::new();
    world.add_all(&logs());
    world
}

fn warned(outcome: &overgrant::pipeline::Outcome, part: &str) {
    let all = &outcome.summary.warnings;
    assert!(all.iter().any(|warning| warning.contains(part)), "{part}: {all:#?}");
}

#[test]
fn the_window_moves_both_ways() {
    let world = with_all();
    // Delivered two weeks late, with what is new: some of it lies before the first windows.
    let record = |day: &str| {
        format!(
            r#"{{"eventTime":"{day}T05:00:00Z","eventSource":"sts.amazonaws.com","eventName":"GetCallerIdentity","awsRegion":"us-west-2","eventID":"{day}","recipientAccountId":"111122223333"}}"#
        )
    };
    let late = world.at("logs/AWSLogs/111122223333/CloudTrail/us-west-2/2026/11/19/late.json");
    std::fs::create_dir_all(late.parent().unwrap()).unwrap();
    let both = format!(r#"{{"Records":[{},{}]}}"#, record("2026-11-05"), record("2026-11-19"));
    std::fs::write(late, both).unwrap();
    let mut plan = world.plan("out");
    plan.until = Some(moment("2026-11-12T07:00:00Z"));
    plan.since = Since::Days(5);
    audit(&plan).unwrap();
    plan.until = Some(moment("2026-11-20T03:00:00Z"));
    audit(&plan).unwrap();
    // Forward to the end, and further back than ever.
    let outcome = world.run("out");
    warned(&outcome, "the window reaches records that were left out before");
    world.check("out", "the window moved");
    let history = std::fs::read_dir(world.at("out/history/verdicts")).unwrap().count();
    assert_eq!(history, 3, "every run is remembered");
    let path = world.at("out/history/verdicts/p_until=2026-11-12T07Z/part-0.parquet");
    let mut n = 0;
    overgrant::table::parquet::read_rows(std::fs::File::open(path).unwrap(), |row| {
        let row: VerdictHistoryRow = row;
        assert_eq!(row.until, moment("2026-11-12T07:00:00Z"));
        n += 1;
        Ok::<(), overgrant::table::parquet::CodecError>(())
    })
    .unwrap();
    assert!(n > 10);
}

#[test]
fn facts_older_than_the_window_stay() {
    let world = with_all();
    let files = || {
        let facts = world.bytes("out").into_keys().filter(|path| path.starts_with("facts/"));
        facts.count()
    };
    world.run("out");
    let all = files();
    let mut plan = world.plan("out");
    plan.since = Since::Days(3);
    audit(&plan).unwrap();
    assert_eq!(files(), all);
    let outcome = world.run("out");
    assert!(!outcome.summary.warnings.iter().any(|w| w.contains("read again")));
    world.check("out", "back again, from what was kept");
    plan.rescan = true;
    audit(&plan).unwrap();
    assert!(files() < all, "--rescan forgets");
}

/// Audit objects of one day.
fn of_day(day: &str) -> Vec<PathBuf> {
    logs().into_iter().filter(|log| log.display().to_string().contains(day)).collect()
}

#[test]
fn a_late_object_whose_neighbours_expired_is_kept_beside_them() {
    let world = with_all();
    let day = of_day("CloudTrail/us-west-2/2026/11/20/");
    assert!(day.len() > 1, "{day:?}");
    world.remove(&day[0]);
    world.run("out");
    // The neighbours expire, the late one comes.
    day[1..].iter().for_each(|log| world.remove(log));
    world.add(&day[0]);
    let outcome = world.run("out");
    warned(&outcome, "late facts whose copies cannot be told apart");
    let inexact = |out: &str| {
        let coverage: Vec<CoverageRow> = rows(&world.at(out));
        coverage.iter().filter(|row| !row.count_exact).count()
    };
    assert!(inexact("out") > 0);
    let late = |bytes: &std::collections::BTreeMap<String, Vec<u8>>| {
        bytes.keys().filter(|path| path.contains("/late-")).count()
    };
    assert!(late(&world.bytes("out")) > 0);
    // All use of a whole run is there.
    let used = |out: &str| {
        let verdicts: Vec<overgrant::table::rows::verdicts::VerdictRow> = rows(&world.at(out));
        verdicts
            .into_iter()
            .map(|row| (row.grant_id, row.first_used, row.last_used))
            .collect::<Vec<_>>()
    };
    let got = used("out");
    // When they are back, the day is made whole.
    world.add_all(&day[1..]);
    world.run("out");
    world.check("out", "the neighbours are back");
    assert_eq!(got, used("out"));
    assert_eq!((inexact("out"), late(&world.bytes("out"))), (0, 0));
}

#[test]
fn an_object_that_changed_is_read_again() {
    let world = with_all();
    let logs = logs();
    let (changed, other) = (&logs[logs.len() / 2], &logs[logs.len() / 2 + 1]);
    world.remove(changed);
    let to = world.at("logs").join(changed);
    std::fs::copy(project("samples/logs").join(other), &to).unwrap();
    world.run("out");
    std::fs::write(&to, b"\x1f\x8b broken").unwrap();
    world.run("out");
    std::fs::remove_file(&to).unwrap();
    world.add(changed);
    let outcome = world.run("out");
    warned(&outcome, "objects were read again: they changed");
    world.check("out", "what was another object counts no more");
}

#[test]
fn a_new_principal_or_cluster_is_looked_for_in_what_was_read() {
    let world = with_all();
    let thin = world.at("thin");
    let whole = project("samples/inventory");
    let clusters: Vec<PathBuf> = std::fs::read_dir(&whole)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_dir())
        .collect();
    let copy = |without: &str| {
        std::fs::remove_dir_all(&thin).ok();
        for cluster in &clusters {
            let to = thin.join(cluster.file_name().unwrap());
            std::fs::create_dir_all(&to).unwrap();
            for file in std::fs::read_dir(cluster).unwrap() {
                let file = file.unwrap();
                if file.file_name() != without {
                    std::fs::copy(file.path(), to.join(file.file_name())).unwrap();
                }
            }
        }
    };
    let mut plan = world.plan("out");
    // Principals of Pod Identity are not known yet.
    copy("pod-identity-associations.json");
    plan.inventories = vec![location(&thin)];
    audit(&plan).unwrap();
    let outcome = world.run("out");
    warned(&outcome, "principals that were not looked for before");
    world.check("out", "a new principal");

    // No cluster was known: the audit log was nobody's.
    plan = world.plan("none");
    plan.inventories = Vec::new();
    plan.until = Some(moment("2026-11-24T00:00:00Z"));
    audit(&plan).unwrap();
    let outcome = world.run("none");
    warned(&outcome, "the clusters of the inventory");
    world.check("none", "a new cluster");

    // Fewer principals need nothing to be read.
    plan = world.plan("out");
    plan.inventories = vec![location(&thin)];
    let outcome = audit(&plan).unwrap();
    assert!(!outcome.summary.warnings.iter().any(|w| w.contains("read again")));
}

#[test]
fn damage_is_made_good() {
    let world = with_all();
    world.run("out");
    let facts: Vec<String> =
        world.bytes("out").into_keys().filter(|path| path.starts_with("facts/access")).collect();
    // Another inode, so that no other run is damaged.
    let spoil = |path: PathBuf, bytes: &[u8]| {
        std::fs::remove_file(&path).unwrap();
        std::fs::write(path, bytes).unwrap();
    };
    spoil(world.at("out").join(&facts[0]), b"PAR1 not");
    std::fs::remove_file(world.at("out").join(&facts[1])).unwrap();
    let outcome = world.run("out");
    warned(&outcome, "facts of 2 days of the earlier run are damaged");
    world.check("out", "facts");

    spoil(world.at("out/ledger/days/part-0.parquet"), b"");
    let outcome = world.run("out");
    warned(&outcome, "the ledger of the earlier run is damaged");
    world.check("out", "the ledger");

    std::fs::write(world.at("out/.state.json"), b"{").unwrap();
    world.run("out");
    world.check("out", "the state");

    let state = world.at("out/.state.json");
    std::fs::write(&state, b"{\"format\":99}").unwrap();
    let error = audit(&world.plan("out")).unwrap_err().to_string();
    assert!(error.contains("later version") && error.contains("--rescan"), "{error}");
    let mut plan = world.plan("out");
    plan.rescan = true;
    audit(&plan).unwrap();
}

#[test]
fn an_output_of_the_earlier_layout_is_taken_over() {
    let world = with_all();
    for name in ["tables", "reports", "facts", "history"] {
        std::fs::create_dir_all(world.at("out").join(name).join("old")).unwrap();
        std::fs::write(world.at("out").join(name).join("old/x.parquet"), b"x").unwrap();
    }
    std::fs::write(world.at("out/manifest.json"), b"{}").unwrap();
    world.run("out");
    world.check("out", "nothing of the old layout is left");
}

#[test]
fn two_runs_at_once_one_wins_and_the_other_says_so() {
    struct Second<'a>(&'a World, Option<PipelineError>);
    impl Events for Second<'_> {
        fn stage(&mut self, name: &'static str) {
            if name == "judge" {
                self.1 = audit(&self.0.plan("out")).err();
            }
        }
        fn total(&mut self, _: u64, _: u64) {}
        fn object(&mut self, _: u64) {}
    }
    let world = with_all();
    let mut second = Second(&world, None);
    run(&world.plan("out"), &mut second).unwrap();
    let error = second.1.unwrap().to_string();
    assert!(error.contains("another run is at work") && error.contains("Nothing was changed"));
    world.check("out", "the first is whole");
}

/// Asks for the end after so many objects.
struct Impatient(overgrant::pipeline::Stop, usize);

impl Events for Impatient {
    fn stage(&mut self, _: &'static str) {}
    fn total(&mut self, _: u64, _: u64) {}
    fn object(&mut self, _: u64) {
        self.1 = self.1.saturating_sub(1);
        if self.1 == 0 {
            self.0.set();
        }
    }
}

#[test]
fn a_run_that_is_interrupted_while_it_judges_keeps_all_that_it_read() {
    struct AtStage(overgrant::pipeline::Stop, &'static str);
    impl Events for AtStage {
        fn stage(&mut self, name: &'static str) {
            if name == self.1 {
                self.0.set();
            }
        }
        fn total(&mut self, _: u64, _: u64) {}
        fn object(&mut self, _: u64) {}
    }
    for stage in ["fold", "judge", "report"] {
        let world = with_all();
        let plan = world.plan("out");
        let error = run(&plan, &mut AtStage(plan.stop.clone(), stage)).unwrap_err();
        assert!(
            matches!(error, PipelineError::Interrupted { kept, of } if kept == of && of > 40),
            "{stage}: {error:?}"
        );
        world.run("out");
        let told = std::fs::read_to_string(world.at("out/run.json")).unwrap();
        assert!(told.contains("\"read\":0"), "{stage}: {told}");
        world.check("out", stage);
    }
}

#[test]
fn an_interrupted_run_keeps_what_it_read_and_its_report() {
    let world = World::new();
    let logs = logs_below("");
    let half = logs.len() / 2;
    let mut plan = world.plan("out");
    plan.since = Since::Days(90);
    // Nothing is there yet: what was read counts for the next run.
    world.add_all(&logs[..half]);
    let error = run(&plan, &mut Impatient(plan.stop.clone(), 5)).unwrap_err();
    let PipelineError::Interrupted { kept, of } = error else { panic!("{error:?}") };
    assert!(kept >= 5 && of == half && kept < half, "{kept} of {of}");
    assert!(!world.at("out/manifest.json").exists(), "no report of half the logs");
    plan.stop = overgrant::pipeline::Stop::default();
    audit(&plan).unwrap();
    let told = std::fs::read_to_string(world.at("out/run.json")).unwrap();
    assert!(told.contains(&format!("\"read\":{}", half - kept)), "{kept}: {told}");
    world.check_as("out", &plan, "interrupted at first");

    // A report is there: it stays, byte for byte.
    let before = world.bytes("out");
    world.add_all(&logs[half..]);
    for patience in [1, 8] {
        let error = run(&plan, &mut Impatient(plan.stop.clone(), patience)).unwrap_err();
        plan.stop = overgrant::pipeline::Stop::default();
        assert!(matches!(error, PipelineError::Interrupted { .. }), "{error:?}");
        same(&world.bytes("out"), &before, "the report is the earlier one");
    }
    audit(&plan).unwrap();
    world.check_as("out", &plan, "interrupted twice");
}
