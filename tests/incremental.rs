//! Runs that continue runs: any cut gives the bytes of one run, and what cannot be read again is said.

mod cases;
mod killed;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use overgrant::model::time::Micros;
use overgrant::pipeline::{Plan, Since};
use overgrant::source::Location;
use proptest::prelude::*;

use crate::support::{audit, bytes_of, files_below, plan, project, report_of, same};

/// Logs of the samples of three weeks and more, as paths below the project's logs.
fn logs() -> Vec<PathBuf> {
    logs_below("/2026/11/")
}

/// Logs whose path has `part`.
fn logs_below(part: &str) -> Vec<PathBuf> {
    let root = project("samples/logs");
    let relative = |path: PathBuf| path.strip_prefix(&root).unwrap().to_path_buf();
    let all = files_below(&root).into_iter().map(relative);
    all.filter(|path| path.display().to_string().contains(part)).collect()
}

/// A place of logs that grows, and outputs of runs over it.
struct World {
    folder: tempfile::TempDir,
}

impl World {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(folder.path().join("logs")).unwrap();
        World { folder }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Adds a log object. A link keeps the time of change.
    fn add(&self, log: &Path) {
        let to = self.at("logs").join(log);
        std::fs::create_dir_all(to.parent().unwrap()).unwrap();
        std::fs::hard_link(project("samples/logs").join(log), to).unwrap();
    }

    fn add_all(&self, logs: &[PathBuf]) {
        for log in logs {
            self.add(log);
        }
    }

    fn remove(&self, log: &Path) {
        std::fs::remove_file(self.at("logs").join(log)).unwrap();
    }

    fn plan(&self, out: &str) -> Plan {
        let text = |path: PathBuf| path.display().to_string();
        let mut plan =
            plan(&text(self.at("logs")), &text(project("samples/inventory")), &text(self.at(out)));
        plan.since = Since::Days(21);
        plan.threads = 1;
        plan
    }

    fn run(&self, out: &str) -> overgrant::pipeline::Outcome {
        audit(&self.plan(out)).unwrap()
    }

    /// What readers see of an output, but for the past.
    fn bytes(&self, out: &str) -> BTreeMap<String, Vec<u8>> {
        report_of(&self.at(out))
    }

    /// The same with the ledger, which tells when files changed.
    fn bytes_and_ledger(&self, out: &str) -> BTreeMap<String, Vec<u8>> {
        let mut bytes = self.bytes(out);
        for (path, ledger) in bytes_of(&self.at(out).join("ledger")) {
            bytes.insert(format!("ledger/{path}"), ledger);
        }
        bytes
    }

    /// The output is that of one run over what is there now.
    fn check(&self, out: &str, why: &str) {
        self.check_as(out, &self.plan(""), why);
    }

    /// The same of another plan.
    fn check_as(&self, out: &str, plan: &Plan, why: &str) {
        std::fs::remove_dir_all(self.at("whole")).ok();
        audit(&Plan { out: location(&self.at("whole")), ..plan.clone() }).unwrap();
        same(&self.bytes(out), &self.bytes("whole"), why);
    }
}

fn moment(text: &str) -> Micros {
    Micros::parse(text).unwrap()
}

fn location(path: &Path) -> Location {
    Location::Local(path.to_path_buf())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(6))]

    #[test]
    fn any_cut_into_runs_gives_the_bytes_of_one_run(
        cut in prop::collection::vec(0usize..4, 200),
        runs in 2usize..4,
    ) {
        let world = World::new();
        for run in 0..runs {
            for (log, _) in logs().iter().zip(&cut).filter(|(_, of)| **of % runs == run) {
                world.add(log);
            }
            world.run("cut");
        }
        world.run("whole");
        same(&world.bytes_and_ledger("cut"), &world.bytes_and_ledger("whole"), "any cut");
    }
}
