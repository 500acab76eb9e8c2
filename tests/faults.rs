//! What goes wrong outside: faults of a bucket over real sockets, full disks, places that cannot be
//! written. What passes changes no byte; what stays unread is rejected, and no verdict gets stronger.

mod disk;
mod soak;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use overgrant::pipeline::{Outcome, PipelineError, Plan, Since};
use overgrant::source::{Location, SourceError};
use overgrant::table::rows::evidence::RejectRow;
use overgrant::table::rows::verdicts::VerdictRow;

use crate::support::faulty_s3::FaultyS3;
use crate::support::faulty_s3::plan::{Fault, FaultPlan, Op, Rule};
use crate::support::{audit, bytes_of, project, verdicts};

/// A bucket with nine days of the samples, and outputs of runs over it.
struct World {
    server: FaultyS3,
    folder: tempfile::TempDir,
    /// Keys of the logs.
    keys: Vec<String>,
}

/// Files below a folder whose path contains one of `parts`, relative to it.
fn files_below(root: &Path, parts: &[String]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![root.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let relative = path.strip_prefix(root).unwrap().to_path_buf();
                let text = relative.display().to_string();
                if parts.iter().any(|part| text.contains(part)) {
                    found.push(relative);
                }
            }
        }
    }
    found.sort();
    found
}

impl World {
    fn new() -> Self {
        let server = FaultyS3::start(4);
        let root = project("samples/logs");
        let days: Vec<String> = (15..24).map(|day| format!("/2026/11/{day}/")).collect();
        let mut keys = Vec::new();
        for file in files_below(&root, &days) {
            let key = format!("logs/{}", file.display());
            server.put(&format!("buck/{key}"), &std::fs::read(root.join(&file)).unwrap());
            keys.push(key);
        }
        server.put_folder("buck/inventory", &project("samples/inventory"));
        World { server, folder: tempfile::tempdir().unwrap(), keys }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn plan(&self, out: &str) -> Plan {
        let place = self.at(out).display().to_string();
        let mut plan = crate::support::plan("s3://buck/logs/", "s3://buck/inventory/", &place);
        plan.since = Since::Days(8);
        plan.min_age_days = 3;
        plan.s3 = self.server.options();
        plan
    }

    fn run(&self, out: &str) -> Result<Outcome, PipelineError> {
        audit(&self.plan(out))
    }

    /// What readers see of an output, but for the past.
    fn bytes(&self, out: &str) -> BTreeMap<String, Vec<u8>> {
        let mut bytes = bytes_of(&self.at(out));
        bytes.retain(|path, _| !path.starts_with("history/"));
        bytes
    }

    /// The run without faults that all others are compared with.
    fn reference(&self) -> Reference {
        assert!(!self.run("clean").unwrap().partial, "the samples are whole");
        Reference { bytes: self.bytes("clean"), actions: actions(&self.at("clean")) }
    }

    /// Whatever happened: after healing, a run into `out` gives the bytes of the reference.
    fn recovers(&self, out: &str, reference: &Reference, why: &str) {
        self.server.heal();
        self.run(out).unwrap();
        same(&self.bytes(out), &reference.bytes, why);
    }
}

/// A run without faults.
struct Reference {
    bytes: BTreeMap<String, Vec<u8>>,
    actions: BTreeMap<String, Action>,
}

/// What a run tells to do about a grant, and how sure it is.
#[derive(Debug, Clone, PartialEq)]
struct Action {
    /// How much is taken away: nothing, what nobody used, what single users did not use, everything.
    taken: u8,
    /// Policies and rules that stay.
    stays: [Option<String>; 2],
    confidence: u8,
}

fn actions(out: &Path) -> BTreeMap<String, Action> {
    let read = |(name, (_, verdict)): (String, (_, VerdictRow))| {
        let taken = match verdict.recommendation.as_str() {
            "keep" | "review" => 0,
            "narrow" | "replace" => 1,
            "split" => 2,
            "remove" => 3,
            other => panic!("{name}: {other}"),
        };
        let confidence = match verdict.confidence.as_str() {
            "high" => 2,
            "medium" => 1,
            "low" => 0,
            other => panic!("{name}: {other}"),
        };
        let stays = [verdict.recommended_policy, verdict.recommended_rbac];
        (name, Action { taken, stays, confidence })
    };
    verdicts(out).into_iter().map(read).collect()
}

/// No more is to be taken away than without faults, and nothing else unless it is said with less
/// confidence.
fn never_stronger(got: &BTreeMap<String, Action>, clean: &BTreeMap<String, Action>, why: &str) {
    assert_eq!(got.len(), clean.len(), "{why}");
    for (grant, got) in got {
        let clean = &clean[grant];
        let fine = match (got.taken, clean.taken) {
            (0, _) | (1 | 2, 3) => true,
            (1 | 2, 1 | 2) => got.taken <= clean.taken && got.stays == clean.stays,
            (got, clean) => got <= clean,
        };
        let less_sure = got.confidence < clean.confidence;
        assert!(fine || less_sure, "{why}: {grant}: {got:?}, and without faults {clean:?}");
    }
}

/// Equal maps; says which files differ, not their bytes.
fn same(got: &BTreeMap<String, Vec<u8>>, expected: &BTreeMap<String, Vec<u8>>, why: &str) {
    let names = |map: &BTreeMap<String, Vec<u8>>| map.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(got), names(expected), "{why}");
    let differ: Vec<_> = got
        .iter()
        .filter(|(path, bytes)| expected[*path] != **bytes)
        .map(|(path, _)| path)
        .collect();
    assert!(differ.is_empty(), "{why}: {differ:?}");
}

fn counters_partition(outcome: &Outcome, why: &str) {
    let counters: BTreeMap<_, _> = outcome.summary.counters.clone().into_iter().collect();
    assert!(!counters.is_empty(), "{why}");
    for (stream, counts) in counters {
        assert!(counts.partitions(), "{why}: {stream}: {counts:?}");
    }
}

const AUDIT: &str = "eks-audit/2026/11/20/";
const TRAIL: &str = "CloudTrail/us-west-2/2026/11/20/";

#[test]
fn faults_that_pass_change_no_byte() {
    let world = World::new();
    let reference = world.reference();
    let check = |name: &str, rules: Vec<Rule>| {
        world.server.meet(FaultPlan::new(rules));
        let outcome = world.run(name).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(world.server.injected() > 0, "{name}: no request met it");
        assert!(!outcome.partial, "{name}");
        same(&world.bytes(name), &reference.bytes, name);
    };
    for (name, fault) in [
        ("slow down", Fault::SlowDown),
        ("broken", Fault::Broken),
        ("reset before", Fault::ResetBefore),
        ("reset inside", Fault::ResetInside),
        ("short", Fault::Short),
        ("expired", Fault::Expired),
    ] {
        check(&format!("list {name}"), vec![Rule::times(Op::List, "", 2, fault)]);
        check(&format!("get {name}"), vec![Rule::times(Op::Get, AUDIT, 2, fault)]);
    }
    check("get stall", vec![Rule::times(Op::Get, TRAIL, 2, Fault::Stall)]);
    check("list stall", vec![Rule::times(Op::List, "logs/eks", 1, Fault::Stall)]);
    check("storm", vec![Rule::times(Op::Get, "logs/", 60, Fault::SlowDown)]);
    check("circle", vec![Rule::times(Op::List, "logs/eks", 2, Fault::RepeatedPage)]);
    check("no token", vec![Rule::times(Op::List, "logs/eks", 2, Fault::NoToken)]);
    check(
        "range ignored",
        vec![
            Rule::times(Op::Get, AUDIT, 1, Fault::ResetInside),
            Rule::times(Op::Get, AUDIT, 1, Fault::RangeIgnored).after(1),
        ],
    );
}

#[test]
fn what_stays_unread_is_rejected_and_no_verdict_gets_stronger() {
    let world = World::new();
    let reference = world.reference();
    let check = |name: &str, op: Op, key: &str, fault: Fault, says: &str| {
        world.server.meet(FaultPlan::new([Rule::always(op, key, fault)]));
        let outcome = world.run(name).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(world.server.injected() > 0, "{name}: no request met it");
        assert!(outcome.partial, "{name}");
        counters_partition(&outcome, name);
        let rejects: Vec<RejectRow> = crate::support::rows(&world.at(name));
        assert!(
            rejects.iter().any(|row| row.object.contains(key) && row.first_example.contains(says)),
            "{name}: {rejects:?}"
        );
        never_stronger(&actions(&world.at(name)), &reference.actions, name);
        world.recovers(name, &reference, name);
    };
    check("gone", Op::Get, AUDIT, Fault::Deleted, "gone since it was listed");
    check("changed", Op::Get, AUDIT, Fault::Overwritten, "changed since it was listed");
    check("denied", Op::Get, TRAIL, Fault::Denied, "s3:GetObject");
    check("key denied", Op::Get, TRAIL, Fault::KmsDenied, "kms:Decrypt");
    check("expired", Op::Get, AUDIT, Fault::Expired, "credentials ran out");
    check("broken", Op::Get, AUDIT, Fault::Broken, "InternalError");
    check("too long", Op::Get, AUDIT, Fault::TooLong, "bytes that were listed");
    check("reset", Op::Get, AUDIT, Fault::ResetBefore, "");
    check("trail prefix", Op::List, "111122223333/CloudTrail/", Fault::Denied, "AccessDenied");
    check("audit prefix", Op::List, "eks-audit/2026/11/", Fault::Denied, "AccessDenied");
}

#[test]
fn a_place_that_cannot_be_listed_ends_the_run_and_leaves_the_earlier_output() {
    let world = World::new();
    let reference = world.reference();
    for (fault, says) in [
        (Fault::Denied, "needs s3:ListBucket on arn:aws:s3:::buck"),
        (Fault::Expired, "ExpiredToken"),
        (Fault::Broken, "InternalError"),
        (Fault::NoToken, "more and not where"),
        (Fault::RepeatedPage, "circle"),
    ] {
        world.server.meet(FaultPlan::new([Rule::always(Op::List, "logs/", fault)]));
        let error = world.run("clean").unwrap_err();
        assert!(matches!(error, PipelineError::Source(SourceError::S3 { .. })), "{error:?}");
        assert!(error.to_string().contains(says), "{error}");
        same(&world.bytes("clean"), &reference.bytes, says);
    }
    world.recovers("clean", &reference, "after all of them");
}

#[test]
fn puts_that_fail_leave_a_whole_run_and_the_next_one_is_right() {
    let world = World::new();
    let at = |text: &str| Location::parse(text).unwrap();
    let mut plan = world.plan("");
    plan.out = at("s3://buck/out");
    let seen = || {
        let mut all = world.server.objects("buck/out/");
        all.retain(|key, _| {
            !key.starts_with('.')
                && !["history/", "ledger/", "run.json"].iter().any(|own| key.starts_with(own))
        });
        all
    };
    plan.since = Since::Days(7);
    audit(&plan).unwrap();
    let manifest = || world.server.objects("buck/out/manifest.json");
    let before = manifest();

    plan.since = Since::Days(8);
    for rule in [
        Rule::always(Op::Put, "out/", Fault::Broken),
        Rule::always(Op::Put, "out/", Fault::Broken).after(5),
        Rule::always(Op::Put, "manifest.json", Fault::Denied),
    ] {
        world.server.meet(FaultPlan::new([rule.clone()]));
        let error = audit(&plan).unwrap_err();
        assert!(error.to_string().contains("PutObject failed"), "{rule:?}: {error}");
        assert_eq!(manifest(), before, "{rule:?}");
    }
    // What passes is not noticed.
    world.server.meet(FaultPlan::new([
        Rule::times(Op::Put, "out/", 3, Fault::SlowDown),
        Rule::times(Op::Put, "out/", 2, Fault::LostAnswer).after(6),
    ]));
    audit(&plan).unwrap();
    assert_eq!(world.server.injected(), 5);
    let got = seen();
    plan.out = at("s3://buck/whole");
    world.server.heal();
    audit(&plan).unwrap();
    let mut whole = world.server.objects("buck/whole/");
    whole.retain(|key, _| got.contains_key(key));
    same(&got, &whole, "the run after the failed ones");
}
