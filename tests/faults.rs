//! Whatever S3 does: a fault that passes changes nothing, one that stays is said and makes no verdict
//! stronger, and the next run over a healed bucket gives the bytes of a run that met none.

mod output;
mod soak;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use overgrant::pipeline::{Outcome, PipelineError, Plan, Since};
use overgrant::source::s3::Patience;
use overgrant::table::rows::evidence::{CoverageRow, RejectRow};
use overgrant::table::rows::verdicts::VerdictRow;

use crate::support::faulty_s3::FaultyS3;
use crate::support::faulty_s3::plan::{Fault, FaultPlan, Op, Rule};
use crate::support::{audit, plan, project, report_of, rows, same};

/// An hour's storm in a test's time.
const PATIENCE: Patience = Patience {
    stall: Duration::from_millis(150),
    attempts: 6,
    backoff: Duration::from_millis(1),
    max_backoff: Duration::from_millis(4),
};

/// A bucket of logs that fails as it is told, and a small inventory.
struct Scene {
    server: FaultyS3,
    folder: tempfile::TempDir,
    /// Below the bucket.
    keys: Vec<String>,
}

impl Scene {
    fn new() -> Self {
        // Pages of a few entries, so that there are many.
        let server = FaultyS3::start(5);
        let folder = tempfile::tempdir().unwrap();
        let mut keys = Vec::new();
        for (from, days) in [
            ("eks-audit/2026/11", 14..24),
            ("AWSLogs/o-exampleorg/111122223333/CloudTrail/us-west-2/2026/11", 14..24),
        ] {
            for day in days {
                let place = format!("{from}/{day}");
                let path = project("samples/logs").join(&place);
                server.put_folder(&format!("logs/{place}"), &path);
            }
        }
        // A copy whose key says nothing of when: without it, any hour may be missing.
        let spare = server.objects("logs/eks-audit/").into_values().next().unwrap();
        server.put("logs/spare/audit", &spare);
        keys.extend(server.objects("logs/").into_keys());
        assert!(keys.len() >= 20, "{keys:?}");
        // A few grants are enough to see whether one changes.
        let to = folder.path().join("inventory/prod");
        std::fs::create_dir_all(&to).unwrap();
        for name in ["inventory.json", "cluster.json", "access-entries.json", "iam-roles.json"] {
            std::fs::copy(project("samples/inventory/prod").join(name), to.join(name)).unwrap();
        }
        Scene { server, folder, keys }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn plan(&self, out: &str) -> Plan {
        let text = |path: &Path| path.display().to_string();
        let mut plan = plan("s3://logs/", &text(&self.at("inventory")), &text(&self.at(out)));
        plan.since =
            Since::At(overgrant::model::time::Micros::parse("2026-11-14T00:00:00Z").unwrap());
        plan.threads = 1;
        // No loss is tolerated, so that each one shows.
        plan.min_coverage = 1.0;
        plan.max_hole_hours = 0;
        plan.min_age_days = 5;
        plan.s3 = self.server.options();
        plan.s3.patience = PATIENCE;
        plan
    }

    fn run(&self, out: &str) -> Result<Outcome, PipelineError> {
        audit(&self.plan(out))
    }

    fn bytes(&self, out: &str) -> BTreeMap<String, Vec<u8>> {
        report_of(&self.at(out))
    }

    /// A run that meets nothing.
    fn clean(&self) -> Clean {
        self.server.heal();
        self.run("clean").unwrap();
        let advice = advice(&self.at("clean"));
        assert!(advice.values().any(|row| rank(&row.recommendation) > 0), "{advice:?}");
        Clean { bytes: self.bytes("clean"), advice }
    }

    /// After a run that met faults: heals, runs again, compares.
    fn next_run_is_right(&self, out: &str, clean: &Clean, why: &str) {
        self.server.heal();
        self.run(out).unwrap();
        same(&self.bytes(out), &clean.bytes, why);
    }
}

/// What a run says without faults.
struct Clean {
    bytes: BTreeMap<String, Vec<u8>>,
    advice: Advice,
}

/// By grant.
type Advice = BTreeMap<String, VerdictRow>;

fn advice(out: &Path) -> Advice {
    let verdicts: Vec<VerdictRow> = rows(out);
    verdicts.into_iter().map(|row| (row.grant_id.clone(), row)).collect()
}

/// How much an advice takes away: a smaller policy, exact rules for all, exact rules for each, all.
fn rank(advice: &str) -> usize {
    let order = ["narrow", "replace", "split", "remove"];
    order.iter().position(|known| *known == advice).map_or(0, |at| at + 1)
}

/// What an advice leaves.
fn left(row: &VerdictRow) -> [&Option<String>; 4] {
    let VerdictRow { recommended_policy, recommended_scope, recommended_namespaces, .. } = row;
    [recommended_policy, recommended_scope, recommended_namespaces, &row.recommended_rbac]
}

/// Nobody is told to do more than without faults, nor called idle who was not.
fn no_stronger(got: &Advice, clean: &Advice, why: &str) {
    assert!(got.keys().eq(clean.keys()), "{why}: other grants");
    for (grant, row) in got {
        let before = &clean[grant];
        let idle = ["unused", "ineffective"].contains(&row.verdict.as_str());
        assert!(!idle || row.verdict == before.verdict, "{why}: {grant}: {row:?}, was {before:?}");
        // Whoever is told to act is told on the whole of the use; where sessions are lost, on that of
        // all instead of each.
        let (now, then) = (rank(&row.recommendation), rank(&before.recommendation));
        let same = now < then || now == then && left(row) == left(before);
        let whole = (row.used_permissions, row.used_count, row.last_used)
            == (before.used_permissions, before.used_count, before.last_used);
        assert!(now == 0 || same && whole, "{why}: {grant}: {row:?}, was {before:?}");
        assert!(row.last_used <= before.last_used && row.used_count <= before.used_count, "{why}");
    }
}

/// Grants that are left to a person for want of logs.
fn lowered(advice: &Advice) -> usize {
    let for_want = |row: &&VerdictRow| row.reason == "coverage" || row.reason == "no_logs";
    advice.values().filter(for_want).count()
}

/// Audit and trail objects of one day.
const AUDIT: &str = "eks-audit/2026/11/20/";
const TRAIL: &str = "CloudTrail/us-west-2/2026/11/20/";

#[test]
fn what_passes_changes_nothing() {
    let scene = Scene::new();
    let clean = scene.clean();
    let check = |name: &str, rules: Vec<Rule>| {
        let out = format!("passing {name}");
        scene.server.meet(FaultPlan::new(rules));
        scene.run(&out).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(scene.server.injected() > 0, "{name}: nothing was met");
        same(&scene.bytes(&out), &clean.bytes, name);
    };
    let get = |key: &str, times, fault| Rule::times(Op::Get, key, times, fault);
    check("storm", vec![get("", 60, Fault::SlowDown)]);
    check("errors", vec![get(AUDIT, 3, Fault::Broken)]);
    check("reset before", vec![get(AUDIT, 3, Fault::ResetBefore)]);
    check("reset inside", vec![get("", 9, Fault::ResetInside)]);
    check("short body", vec![get(TRAIL, 2, Fault::Short)]);
    check("stalled body", vec![get(TRAIL, 2, Fault::Stall)]);
    check("expired once", vec![get("", 1, Fault::Expired).after(7)]);
    check("no answer", vec![get(AUDIT, 2, Fault::Silence)]);
    check("listing without answer", vec![Rule::times(Op::List, "", 2, Fault::Silence)]);
    let cut = vec![get(AUDIT, 1, Fault::ResetInside), get(AUDIT, 1, Fault::RangeIgnored).after(1)];
    check("range ignored", cut);
    let list = |times, fault| Rule::times(Op::List, "", times, fault);
    check("listing storm", vec![list(5, Fault::SlowDown)]);
    check("listing cut", vec![list(3, Fault::ResetInside)]);
    check("listing fails", vec![list(2, Fault::Broken).after(4)]);
    check("pages repeat", vec![list(1, Fault::RepeatedPage).after(2)]);
    check("page without end", vec![list(1, Fault::NoToken).after(3)]);
    check("listing expired", vec![list(1, Fault::Expired).after(5)]);
}

#[test]
fn credentials_that_run_out_are_fetched_anew() {
    let scene = Scene::new();
    let clean = scene.clean();
    let at = |name: &str| scene.at(name).display().to_string();
    // As a role's: every time that the chain asks, another key.
    let script = format!(
        r#"echo x >>'{0}'
printf '{{"Version":1,"AccessKeyId":"ASIAKEY%s","SecretAccessKey":"s","SessionToken":"t"}}' $(wc -l <'{0}')"#,
        at("asked")
    );
    std::fs::write(at("key.sh"), script).unwrap();
    let config =
        format!("[default]\nregion = us-west-2\ncredential_process = sh {}\n", at("key.sh"));
    std::fs::write(at("config"), config).unwrap();
    let expired = |op, after| Rule::always(op, "", Fault::FirstKeyExpired).after(after);
    scene.server.meet(FaultPlan::new([expired(Op::Get, 7), expired(Op::List, 1000)]));
    let ended = std::process::Command::new(env!("CARGO_BIN_EXE_overgrant"))
        .args(["audit", "s3://logs/", "-q", "--inventory", &at("inventory"), "--out", &at("anew")])
        .args(["--since", "2026-11-14", "--min-coverage", "1", "--max-hole", "0"])
        .args(["--min-age", "5", "--threads", "1"])
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap())
        .env("AWS_CONFIG_FILE", at("config"))
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .env("AWS_ENDPOINT_URL_S3", scene.server.endpoint())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&ended.stderr);
    assert!(matches!(ended.status.code(), Some(0 | 3)), "{said}");
    assert!(scene.server.injected() > 0);
    let asked = std::fs::read_to_string(at("asked")).unwrap().lines().count();
    // Listing and fetching have a client each, and one of them renews.
    assert!((2..=4).contains(&asked), "{asked}");
    let rejects: Vec<RejectRow> = rows(&scene.at("anew"));
    assert!(rejects.is_empty(), "{said} {asked} {} {rejects:?}", scene.server.injected());
    same(&scene.bytes("anew"), &clean.bytes, "with the second key");
}

#[test]
fn what_stays_is_said_and_lowers_verdicts() {
    let scene = Scene::new();
    let clean = scene.clean();
    let check = |name: &str, rule: Rule, words: &[&str], stream: &str| {
        let out = format!("staying {name}");
        scene.server.meet(FaultPlan::new([rule]));
        let outcome = scene.run(&out).unwrap_or_else(|error| panic!("{name}: {error}"));
        let place = scene.at(&out);
        let rejects: Vec<RejectRow> = rows(&place);
        let said = rejects.iter().find(|row| row.reason == "unreadable");
        let said = said.unwrap_or_else(|| panic!("{name}: {rejects:?}"));
        for word in words {
            assert!(said.first_example.contains(word), "{name}: {}", said.first_example);
        }
        let coverage: Vec<CoverageRow> = rows(&place);
        let day = overgrant::model::time::Day::parse("2026-11-20").unwrap();
        let of_day =
            coverage.iter().filter(|row| row.stream_kind == stream && row.hour.day() == day);
        assert!(of_day.clone().any(|row| !row.covered), "{name}: nothing is uncovered");
        assert!(outcome.partial, "{name}");
        let got = advice(&place);
        no_stronger(&got, &clean.advice, name);
        let (before, now) = (lowered(&clean.advice), lowered(&got));
        assert!(before < now, "{name}: no verdict rests on what was lost: {before}, {now}");
        scene.next_run_is_right(&out, &clean, name);
    };
    let get = |key: &str, fault| Rule::always(Op::Get, key, fault);
    check("object denied", get(AUDIT, Fault::Denied), &["AccessDenied", "s3:GetObject"], "audit");
    check("key denied", get(AUDIT, Fault::KmsDenied), &["kms:Decrypt"], "audit");
    check("overwritten", get(AUDIT, Fault::Overwritten), &["changed"], "audit");
    check("deleted", get(AUDIT, Fault::Deleted), &["gone"], "audit");
    check("too long", get(AUDIT, Fault::TooLong), &["more than"], "audit");
    check("never whole", get(AUDIT, Fault::ResetInside), &[], "audit");
    check("never answered", get(AUDIT, Fault::Silence), &[], "audit");
    check("always stalled", get(AUDIT, Fault::Stall), &["no byte came"], "audit");
    check("expired for good", get(AUDIT, Fault::Expired), &["ExpiredToken"], "audit");
    check("undated denied", get("spare/", Fault::Denied), &["AccessDenied"], "audit");
    check("undated gone", get("spare/", Fault::Deleted), &["gone"], "audit");
    let list = |prefix: &str| Rule::always(Op::List, prefix, Fault::Denied);
    check("audit prefix denied", list("eks-audit/2026/11/20"), &["s3:ListBucket"], "audit");
    check("trail denied", list("AWSLogs/o-exampleorg/111122223333"), &["ListBucket"], "cloudtrail");
}

#[test]
fn what_ends_a_run_says_what_it_takes_and_leaves_the_report() {
    let scene = Scene::new();
    let clean = scene.clean();
    let check = |rule: Rule, words: &[&str]| {
        scene.server.meet(FaultPlan::new([rule.clone()]));
        let error = scene.run("clean").unwrap_err().to_string();
        for word in words {
            assert!(error.contains(word), "{rule:?}: {error}");
        }
        same(&scene.bytes("clean"), &clean.bytes, "the earlier report");
    };
    let list = |fault| Rule::always(Op::List, "", fault);
    check(list(Fault::Denied), &["ListObjectsV2", "s3:ListBucket", "arn:aws:s3:::logs"]);
    check(list(Fault::SlowDown), &["SlowDown"]);
    check(list(Fault::RepeatedPage), &["circle"]);
    check(list(Fault::NoToken), &["more and not where"]);
    scene.next_run_is_right("clean", &clean, "after all of it");
}
