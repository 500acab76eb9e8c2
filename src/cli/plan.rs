//! What the arguments mean: defaults and conflicts settled, before the first byte is read.

use std::collections::BTreeSet;
use std::path::PathBuf;

use super::args::scanning::Scan;
use super::args::{self, Audit, Inventory, Remediate, Review, Roles};
use super::error::UserError;
use crate::decode::gunzip::Limits;
use crate::live::{LivePlan, Reach, lookup};
use crate::model::arn::Arn;
use crate::model::time::{Day, Micros, Window};
use crate::pipeline::baseline::BaselineSpec;
use crate::pipeline::diff::DiffPlan;
use crate::pipeline::inputs::{LiveInputs, LogInput};
use crate::pipeline::remediate::RemediatePlan;
use crate::pipeline::snapshot::SnapshotPlan;
use crate::pipeline::verify::VerifyPlan;
use crate::pipeline::{Plan, Since, Stop, trust};
use crate::rbac::exact::VerbGroups;
use crate::source::{Location, S3Options};
use crate::suppress::{self, Kind, Rule};

const MIB: u64 = 1 << 20;
/// Calls at once, per cluster, of `audit --cluster`.
const CALLS_AT_ONCE: usize = 8;

/// What the machine says; the only place that asks.
#[derive(Debug, Clone)]
pub struct Env {
    /// Now.
    pub now: Micros,
    /// Cores.
    pub cores: usize,
    /// The user's cache folder, if there is one.
    pub cache: Option<PathBuf>,
    /// Which of several jobs this is, and of how many, where somebody says so.
    pub job: (Option<String>, Option<String>),
}

impl Env {
    /// Asks the machine.
    #[must_use]
    #[expect(
        clippy::disallowed_methods,
        reason = "cli reads the clock, for runs without an inventory, and where caches are"
    )]
    pub fn read() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get);
        let set =
            |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let cache = set("XDG_CACHE_HOME").or_else(|| set("HOME").map(|home| home.join(".cache")));
        let text = |name| std::env::var(name).ok().filter(|text| !text.is_empty());
        // Sources: <https://kubernetes.io/docs/concepts/workloads/controllers/job/#completion-mode>,
        // <https://docs.aws.amazon.com/batch/latest/userguide/job_env_vars.html>.
        let index = text("JOB_COMPLETION_INDEX").or_else(|| text("AWS_BATCH_JOB_ARRAY_INDEX"));
        let job = (index, text("AWS_BATCH_JOB_ARRAY_SIZE"));
        Env { now: Micros(chrono::Utc::now().timestamp_micros()), cores, cache, job }
    }
}

/// Settles a plan of snapshots.
///
/// # Errors
/// When one kubeconfig would have to stand for several clusters.
pub fn resolve_inventory(inventory: &Inventory) -> Result<SnapshotPlan, UserError> {
    if inventory.kubeconfig.is_some() && inventory.cluster.len() + inventory.region.len() > 2 {
        let all = inventory.cluster.join(", ");
        return Err(usage("--kubeconfig", &all, "one --cluster in one --region"));
    }
    let live = LivePlan {
        clusters: inventory.cluster.clone(),
        regions: inventory.region.clone(),
        kubeconfig: inventory.kubeconfig.clone(),
        context: inventory.context.clone(),
        concurrency: inventory.concurrency.clamp(1, 64),
        now: || Env::read().now,
        reach: reach(&inventory.roles)?,
    };
    Ok(SnapshotPlan { live, out: inventory.out.clone(), stop: Stop::default() })
}

fn reach(roles: &Roles) -> Result<Reach, UserError> {
    let mut accounts = BTreeSet::new();
    for role in &roles.role_arn {
        let arn = Arn::parse(role)
            .filter(|arn| arn.service == "iam" && arn.resource.starts_with("role/"))
            .ok_or_else(|| usage("--role-arn", role, "arn:aws:iam::ACCOUNT:role/NAME"))?;
        if !accounts.insert(arn.account) {
            return Err(usage("--role-arn", role, "one role per account"));
        }
    }
    let (roles, external_id) = (roles.role_arn.clone(), roles.external_id.clone());
    Ok(Reach { roles, external_id, ..Reach::default() })
}

/// Settles a plan of verification.
///
/// # Errors
/// When an argument does not read.
pub fn resolve_verify(verify: &args::Verify, env: &Env) -> Result<VerifyPlan, UserError> {
    let until = until(verify.until.as_deref())?.unwrap_or(env.now);
    let since = since(&verify.since)?.before(until);
    let logs = verify.logs.iter().map(|text| location("LOGS", text)).collect::<Result<_, _>>()?;
    Ok(VerifyPlan {
        logs,
        window: Window { since, until },
        verify: trust::Verify { public_keys: verify.public_keys.clone(), ..Default::default() },
        s3: S3Options { region: verify.region.clone(), ..S3Options::default() },
        threads: verify.threads.unwrap_or(env.cores).max(1),
        limits: Limits::default(),
    })
}

/// Settles what must be asked for before a run.
///
/// # Errors
/// When an argument does not read, or nothing says where to keep an event history.
pub fn resolve_inputs(audit: &Audit, env: &Env) -> Result<LiveInputs, UserError> {
    if audit.kubeconfig.is_some() && audit.cluster.len() > 1 {
        return Err(usage("--kubeconfig", &audit.cluster.join(", "), "one --cluster"));
    }
    let mut logs = log_inputs(audit)?;
    logs.retain(|input| !matches!(input, LogInput::Location(_)));
    let lookup_cache = match (&audit.lookup_cache, &env.cache) {
        (Some(given), _) => given.clone(),
        (None, Some(cache)) => cache.join("overgrant/lookup-events"),
        (None, None) if logs.iter().any(|one| matches!(one, LogInput::LookupEvents(_))) => {
            return Err(usage(
                "--lookup-cache",
                "",
                "a folder where neither HOME nor XDG_CACHE_HOME is set",
            ));
        }
        (None, None) => PathBuf::new(),
    };
    Ok(LiveInputs {
        logs,
        clusters: LivePlan {
            clusters: audit.cluster.clone(),
            regions: audit.region.iter().cloned().collect(),
            kubeconfig: audit.kubeconfig.clone(),
            context: audit.context.clone(),
            concurrency: CALLS_AT_ONCE,
            now: || Env::read().now,
            reach: reach(&audit.roles)?,
        },
        region: audit.region.clone(),
        lookup_cache,
        pace: lookup::PACE,
    })
}

fn log_inputs(audit: &Audit) -> Result<Vec<LogInput>, UserError> {
    audit.logs.iter().map(|text| log_input(text)).collect()
}

fn log_input(text: &str) -> Result<LogInput, UserError> {
    if let Some(trail) = text.strip_prefix("trail:") {
        let trail = Some(trail).filter(|trail| !trail.is_empty());
        let trail = trail.ok_or_else(|| usage("LOGS", text, "trail:NAME or trail:ARN"))?;
        return Ok(LogInput::Trail(trail.to_owned()));
    }
    if let Some(region) = text.strip_prefix("lookup-events:") {
        let is_region = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if region.is_empty() || !region.chars().all(is_region) {
            return Err(usage("LOGS", text, "lookup-events:REGION"));
        }
        return Ok(LogInput::LookupEvents(region.to_owned()));
    }
    location("LOGS", text).map(LogInput::Location)
}

/// Settles a plan; live inputs are not in it yet.
///
/// # Errors
/// When an argument does not read.
pub fn resolve(audit: &Audit, env: &Env) -> Result<Plan, UserError> {
    let locations = |list: &[String], flag| {
        list.iter().map(|text| location(flag, text)).collect::<Result<Vec<_>, _>>()
    };
    let cluster_map = cluster_map(&audit.cluster_map)?;
    let until = until(audit.until.as_deref())?;
    for (flag, share) in
        [("--min-coverage", audit.min_coverage), ("--max-rejects", audit.max_rejects)]
    {
        if !(0.0..=1.0).contains(&share) {
            return Err(usage(flag, &share.to_string(), "a share from 0 to 1"));
        }
    }
    let logs = log_inputs(audit)?.into_iter().filter_map(|input| match input {
        LogInput::Location(location) => Some(location),
        LogInput::Trail(_) | LogInput::LookupEvents(_) => None,
    });
    let logs = logs.collect();
    let memory = audit.memory.saturating_mul(usize::try_from(MIB).unwrap_or(1));
    let facts = audit.from.facts.as_deref();
    Ok(Plan {
        logs,
        facts: facts.map(|text| location("--facts", text)).transpose()?,
        inventories: locations(&audit.inventory, "--inventory")?,
        since: since(&audit.since)?,
        until,
        now: env.now,
        out: location("--out", &audit.out)?,
        cluster_map,
        policies: audit.access_policies.clone(),
        threads: audit.threads.unwrap_or(env.cores).max(1),
        memory,
        limits: Limits { max_inflated: audit.max_object.saturating_mul(MIB) },
        s3: S3Options { region: audit.region.clone(), ..S3Options::default() },
        rescan: audit.rescan,
        hide_secret_names: audit.hide_secret_names,
        verify: audit.verify.then(|| trust::Verify {
            public_keys: audit.public_keys.clone(),
            use_unverified: audit.use_unverified,
            ..trust::Verify::default()
        }),
        stop: Stop::default(),
        min_age_days: audit.min_age.max(0),
        min_coverage: audit.min_coverage,
        max_hole_hours: audit.max_hole.max(0),
        max_reject_share: audit.max_rejects,
        verb_groups: audit.verb_groups.into(),
        rules: rules(&audit.review)?,
        baseline: baseline(&audit.review)?,
        config_digest: None,
    })
}

/// Settles the plan of a scan: what decides verdicts has no say in it.
///
/// # Errors
/// When an argument does not read.
pub(super) fn resolve_scan(scan: &Scan, env: &Env) -> Result<Plan, UserError> {
    let locations = |list: &[String], flag| {
        list.iter().map(|text| location(flag, text)).collect::<Result<Vec<_>, _>>()
    };
    Ok(Plan {
        logs: locations(&scan.logs, "LOGS")?,
        facts: None,
        inventories: locations(&scan.inventory, "--inventory")?,
        since: since(&scan.since)?,
        until: until(scan.until.as_deref())?,
        now: env.now,
        out: location("--out", &scan.out)?,
        cluster_map: cluster_map(&scan.cluster_map)?,
        policies: None,
        threads: scan.threads.unwrap_or(env.cores).max(1),
        memory: scan.memory.saturating_mul(usize::try_from(MIB).unwrap_or(1)),
        limits: Limits { max_inflated: scan.max_object.saturating_mul(MIB) },
        s3: S3Options { region: scan.region.clone(), ..S3Options::default() },
        rescan: false,
        hide_secret_names: scan.hide_secret_names,
        verify: None,
        stop: Stop::default(),
        min_age_days: 0,
        min_coverage: 0.0,
        max_hole_hours: 0,
        max_reject_share: 1.0,
        verb_groups: VerbGroups::Exact,
        rules: Vec::new(),
        baseline: None,
        config_digest: None,
    })
}

/// Key prefixes and cluster ARNs.
fn cluster_map(texts: &[String]) -> Result<Vec<(String, String)>, UserError> {
    let read = |text: &String| match text.split_once('=') {
        Some((prefix, arn)) if Arn::parse(arn).is_some() => Ok((prefix.to_owned(), arn.to_owned())),
        _ => Err(usage("--cluster-map", text, "KEYPREFIX=CLUSTER-ARN")),
    };
    texts.iter().map(read).collect()
}

/// The rules that were typed.
fn rules(review: &Review) -> Result<Vec<Rule>, UserError> {
    let flags = [
        ("--suppress", Kind::Suppress, &review.suppress),
        ("--break-glass", Kind::BreakGlass, &review.break_glass),
    ];
    let mut all = Vec::new();
    for (flag, kind, texts) in flags {
        for (number, text) in texts.iter().enumerate() {
            let place = format!("{flag} {}", number + 1);
            let fields = suppress::fields_of(kind, text);
            let rule = fields.and_then(|fields| Rule::new(&place, kind, &fields));
            all.push(rule.map_err(|source| UserError::Rule { flag, source })?);
        }
    }
    Ok(all)
}

/// The run that findings are compared with, if somebody asks what is new.
fn baseline(review: &Review) -> Result<Option<BaselineSpec>, UserError> {
    let Some(text) = &review.new_since else {
        let asked = review.fail_on.is_some_and(|fail_on| fail_on.new);
        return Ok(asked.then_some(BaselineSpec::Newest));
    };
    if let Some(at) = instant(text) {
        return Ok(Some(BaselineSpec::At(at)));
    }
    let expected = "the output of a run, or a date (2026-11-17) or RFC 3339";
    let run = Location::parse(text).map_err(|_| usage("--new-since", text, expected))?;
    Ok(Some(BaselineSpec::Run(run)))
}

/// Reads the arguments of `diff`.
///
/// # Errors
/// When one is no place.
pub fn resolve_diff(diff: &args::Diff) -> Result<DiffPlan, UserError> {
    Ok(DiffPlan {
        before: location("A", &diff.before)?,
        after: location("B", &diff.after)?,
        s3: S3Options { region: diff.region.clone(), ..S3Options::default() },
    })
}

/// Reads the arguments of `remediate`.
///
/// # Errors
/// When the run is at no place.
pub fn resolve_remediate(remediate: &Remediate) -> Result<RemediatePlan, UserError> {
    Ok(RemediatePlan {
        from: location("--from", &remediate.from)?,
        to: remediate.to.clone(),
        only: (!remediate.only.is_empty()).then(|| remediate.only.iter().cloned().collect()),
        s3: S3Options { region: remediate.region.clone(), ..S3Options::default() },
    })
}

/// A place, as it was typed.
pub(super) fn location(flag: &'static str, text: &str) -> Result<Location, UserError> {
    Location::parse(text).map_err(|_| usage(flag, text, "a path or s3://bucket/prefix"))
}

fn since(text: &str) -> Result<Since, UserError> {
    let days = text.strip_suffix('d').and_then(|days| days.parse().ok()).filter(|days| *days > 0);
    if let Some(days) = days {
        return Ok(Since::Days(days));
    }
    instant(text)
        .map(Since::At)
        .ok_or_else(|| usage("--since", text, "days (90d), a date (2026-08-25) or RFC 3339"))
}

fn until(text: Option<&str>) -> Result<Option<Micros>, UserError> {
    let read = |text| {
        instant(text).ok_or_else(|| usage("--until", text, "a date (2026-11-24) or RFC 3339"))
    };
    text.map(read).transpose()
}

/// A date, or RFC 3339.
pub(super) fn instant(text: &str) -> Option<Micros> {
    Day::parse(text).map(Day::start).or_else(|| Micros::parse(text))
}

/// A mistake on the command line.
pub(super) fn usage(flag: &'static str, value: &str, expected: &'static str) -> UserError {
    UserError::Usage { flag, value: value.to_owned(), expected }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::super::args::{Args, Command};
    use super::*;

    fn plan(args: &[&str]) -> Result<Plan, String> {
        let base = ["overgrant", "audit", "logs", "--out", "out"];
        let args = Args::try_parse_from(base.iter().chain(args)).map_err(|e| e.to_string())?;
        let Command::Audit(audit) = args.command else { panic!("{args:?}") };
        let env = Env { now: Micros(0), cores: 3, cache: None, job: (None, None) };
        resolve_inputs(&audit, &env).map_err(|error| error.render())?;
        resolve(&audit, &env).map_err(|error| error.render())
    }

    #[test]
    fn defaults() {
        let plan = plan(&[]).unwrap();
        assert_eq!((plan.since, plan.until, plan.threads), (Since::Days(90), None, 3));
        assert_eq!(plan.limits.max_inflated, 2 << 30);
        assert_eq!(plan.out, Location::Local("out".into()));
    }

    #[test]
    fn times_and_places() {
        let at = |text: &str| Micros::parse(text).unwrap();
        let got = plan(&["--since", "2026-08-25", "--until", "2026-11-24T01:30:00Z"]).unwrap();
        assert_eq!(got.since, Since::At(at("2026-08-25T00:00:00Z")));
        assert_eq!(got.until, Some(at("2026-11-24T01:30:00Z")));
        let got = plan(&["--cluster-map", "x/y=arn:aws:eks:r:1:cluster/c"]).unwrap();
        assert_eq!(got.cluster_map[0].0, "x/y");
    }

    #[test]
    fn mistakes_name_the_flag_and_what_it_takes() {
        let check = |args: &[&str], expected: &str| {
            assert_eq!(plan(args).unwrap_err(), expected, "{args:?}");
        };
        check(
            &["--since", "soon"],
            "error: --since takes days (90d), a date (2026-08-25) or RFC 3339, not \"soon\"\n",
        );
        check(
            &["--since", "0d"],
            "error: --since takes days (90d), a date (2026-08-25) or RFC 3339, not \"0d\"\n",
        );
        check(
            &["--until", "\u{1b}[2J"],
            "error: --until takes a date (2026-11-24) or RFC 3339, not \"\\\\u{1b}[2J\"\n",
        );
        check(
            &["--cluster-map", "x"],
            "error: --cluster-map takes KEYPREFIX=CLUSTER-ARN, not \"x\"\n",
        );
        check(
            &["--inventory", "s3://"],
            "error: --inventory takes a path or s3://bucket/prefix, not \"s3://\"\n",
        );
        check(
            &["lookup-events:"],
            "error: LOGS takes lookup-events:REGION, not \"lookup-events:\"\n",
        );
        check(&["trail:"], "error: LOGS takes trail:NAME or trail:ARN, not \"trail:\"\n");
        check(
            &["--role-arn", "ci"],
            "error: --role-arn takes arn:aws:iam::ACCOUNT:role/NAME, not \"ci\"\n",
        );
        check(
            &["--role-arn", "arn:aws:iam::1:role/a", "--role-arn", "arn:aws:iam::1:role/b"],
            "error: --role-arn takes one role per account, not \"arn:aws:iam::1:role/b\"\n",
        );
        check(
            &["lookup-events:eu-west-1"],
            "error: --lookup-cache takes a folder where neither HOME nor XDG_CACHE_HOME is set, not \"\"\n",
        );
        check(
            &["--min-coverage", "2"],
            "error: --min-coverage takes a share from 0 to 1, not \"2\"\n",
        );
    }
}
