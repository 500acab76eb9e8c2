//! Many scans and one join: for any number of shards, in any order, killed, run again or twice at once,
//! the bytes are those of one run over the logs.

mod cases;
mod scale;
mod worker;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use overgrant::pipeline::shards::Shard;
use overgrant::pipeline::shards::scan::{Told, scan};
use overgrant::pipeline::{Outcome, PipelineError, Plan, Since};
use overgrant::source::Location;
use proptest::prelude::*;

use crate::support::{Deaf, audit, bytes_of, files_below, gzip, plan, project, report_of, same};

/// Logs, facts and outputs.
struct World {
    folder: tempfile::TempDir,
}

impl World {
    /// Every `step`th log of the samples' last weeks.
    fn new(step: usize) -> Self {
        let world = World { folder: tempfile::tempdir().unwrap() };
        let logs: Vec<PathBuf> = files_below(&project("samples/logs"))
            .into_iter()
            .filter(|path| path.display().to_string().contains("/2026/11/"))
            .step_by(step)
            .collect();
        assert!(logs.len() > 12, "{} logs", logs.len());
        for log in logs {
            let to = world.at("logs").join(log.strip_prefix(project("samples/logs")).unwrap());
            std::fs::create_dir_all(to.parent().unwrap()).unwrap();
            std::fs::hard_link(&log, to).unwrap();
        }
        world
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn plan(&self, out: &str) -> Plan {
        let text = |path: PathBuf| path.display().to_string();
        let mut plan =
            plan(&text(self.at("logs")), &text(project("samples/inventory")), &text(self.at(out)));
        plan.since = Since::Days(21);
        plan
    }

    /// Adds copies, a broken object and one that holds nothing of interest.
    fn make_it_hard(&self) {
        let logs = files_below(&self.at("logs"));
        let log = |part: &str| logs.iter().find(|log| log.display().to_string().contains(part));
        for part in ["CloudTrail", "eks"] {
            let Some(log) = log(part) else { panic!("no log of {part}: {logs:?}") };
            // The same records under another key: a delivery that was tried twice.
            std::fs::copy(log, log.with_extension("again.gz")).unwrap();
            let bytes = std::fs::read(log).unwrap();
            std::fs::write(log.with_extension("cut.gz"), &bytes[..bytes.len() / 2]).unwrap();
        }
        std::fs::write(self.at("logs/other.gz"), gzip(b"{\"a\":1}\n")).unwrap();
    }

    fn scan(&self, facts: &str, number: u32, of: u32) -> Result<Told, PipelineError> {
        scan(&self.plan(facts), Some(Shard { number, of }), &mut Deaf)
    }

    fn scan_all(&self, facts: &str, of: u32) {
        for number in 0..of {
            self.scan(facts, number, of).unwrap();
        }
    }

    /// The plan of the join.
    fn join_plan(&self, facts: &str, out: &str) -> Plan {
        Plan { logs: Vec::new(), facts: Some(location(&self.at(facts))), ..self.plan(out) }
    }

    fn join(&self, facts: &str, out: &str) -> Result<Outcome, PipelineError> {
        audit(&self.join_plan(facts, out))
    }

    /// What readers see, and what the next run continues from.
    fn bytes(&self, out: &str) -> BTreeMap<String, Vec<u8>> {
        let mut bytes = report_of(&self.at(out));
        for (path, ledger) in bytes_of(&self.at(out).join("ledger")) {
            bytes.insert(format!("ledger/{path}"), ledger);
        }
        bytes
    }

    /// Joins `facts`, and compares with one run over the logs.
    fn check(&self, facts: &str, why: &str) {
        if !self.at("whole").exists() {
            audit(&self.plan("whole")).unwrap();
        }
        std::fs::remove_dir_all(self.at("joined")).ok();
        self.join(facts, "joined").unwrap();
        same(&self.bytes("joined"), &self.bytes("whole"), why);
    }
}

fn location(path: &Path) -> Location {
    Location::parse(&path.display().to_string()).unwrap()
}

/// What happens to a shard on its way.
#[derive(Debug, Clone, Copy)]
enum Fate {
    Once,
    Twice,
    /// Twice at once.
    Double,
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4, max_shrink_iters: 0, ..ProptestConfig::default() })]

    /// Any number of shards, in any order, on any number of threads, some of them again.
    #[test]
    fn any_shards_give_the_bytes_of_one_run(
        of in 1_u32..9,
        seed in any::<u64>(),
        fates in prop::collection::vec(
            prop_oneof![3 => Just(Fate::Once), 1 => Just(Fate::Twice), 1 => Just(Fate::Double)],
            9,
        ),
    ) {
        let world = World::new(2);
        world.make_it_hard();
        let mut order: Vec<u32> = (0..of).collect();
        let mut state = seed | 1;
        for at in (1..order.len()).rev() {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            order.swap(at, usize::try_from(state >> 33).unwrap() % (at + 1));
        }
        for number in order {
            let threads = usize::try_from(number % 3).unwrap() + 1;
            let plan = Plan { threads, ..world.plan("facts") };
            let shard = Some(Shard { number, of });
            match fates[number as usize] {
                Fate::Once => drop(scan(&plan, shard, &mut Deaf).unwrap()),
                Fate::Twice => {
                    scan(&plan, shard, &mut Deaf).unwrap();
                    scan(&Plan { threads: 1, ..plan }, shard, &mut Deaf).unwrap();
                }
                Fate::Double => std::thread::scope(|scope| {
                    for _ in 0..2 {
                        scope.spawn(|| scan(&plan, shard, &mut Deaf).unwrap());
                    }
                }),
            }
        }
        world.check("facts", &format!("{of} shards, {fates:?}"));
    }
}
