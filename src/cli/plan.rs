//! What the arguments mean: defaults and conflicts settled, before the first byte is read.

use super::args::{Audit, Inventory, Remediate};
use super::error::UserError;
use crate::decode::gunzip::Limits;
use crate::live::LivePlan;
use crate::model::arn::Arn;
use crate::model::time::{Day, Micros};
use crate::pipeline::remediate::RemediatePlan;
use crate::pipeline::snapshot::SnapshotPlan;
use crate::pipeline::{Plan, Since, Stop};
use crate::source::{Location, S3Options};

const MIB: u64 = 1 << 20;

/// What the machine says; the only place that asks.
#[derive(Debug, Clone, Copy)]
pub struct Env {
    /// Now.
    pub now: Micros,
    /// Cores.
    pub cores: usize,
}

impl Env {
    /// Asks the machine.
    #[must_use]
    #[expect(
        clippy::disallowed_methods,
        reason = "cli reads the clock, for runs without an inventory"
    )]
    pub fn read() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get);
        Env { now: Micros(chrono::Utc::now().timestamp_micros()), cores }
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
        endpoint: None,
        credentials: None,
    };
    Ok(SnapshotPlan { live, out: inventory.out.clone() })
}

/// Settles a plan.
///
/// # Errors
/// When an argument does not read.
pub fn resolve(audit: &Audit, env: &Env) -> Result<Plan, UserError> {
    let locations = |list: &[String], flag| {
        list.iter().map(|text| location(flag, text)).collect::<Result<Vec<_>, _>>()
    };
    let cluster_map = audit
        .cluster_map
        .iter()
        .map(|text| match text.split_once('=') {
            Some((prefix, arn)) if Arn::parse(arn).is_some() => {
                Ok((prefix.to_owned(), arn.to_owned()))
            }
            _ => Err(usage("--cluster-map", text, "KEYPREFIX=CLUSTER-ARN")),
        })
        .collect::<Result<Vec<_>, _>>()?;
    let until = match &audit.until {
        Some(text) => Some(
            instant(text)
                .ok_or_else(|| usage("--until", text, "a date (2026-11-24) or RFC 3339"))?,
        ),
        None => None,
    };
    for (flag, share) in
        [("--min-coverage", audit.min_coverage), ("--max-rejects", audit.max_rejects)]
    {
        if !(0.0..=1.0).contains(&share) {
            return Err(usage(flag, &share.to_string(), "a share from 0 to 1"));
        }
    }
    let memory = audit.memory.saturating_mul(usize::try_from(MIB).unwrap_or(1));
    Ok(Plan {
        logs: locations(&audit.logs, "LOGS")?,
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
        stop: Stop::default(),
        min_age_days: audit.min_age.max(0),
        min_coverage: audit.min_coverage,
        max_hole_hours: audit.max_hole.max(0),
        max_reject_share: audit.max_rejects,
        verb_groups: audit.verb_groups.into(),
    })
}

/// Reads the arguments of `remediate`.
#[must_use]
pub fn resolve_remediate(remediate: &Remediate) -> RemediatePlan {
    RemediatePlan {
        from: remediate.from.clone(),
        to: remediate.to.clone(),
        only: (!remediate.only.is_empty()).then(|| remediate.only.iter().cloned().collect()),
        s3: S3Options { region: remediate.region.clone(), ..S3Options::default() },
    }
}

fn location(flag: &'static str, text: &str) -> Result<Location, UserError> {
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

fn instant(text: &str) -> Option<Micros> {
    Day::parse(text).map(Day::start).or_else(|| Micros::parse(text))
}

fn usage(flag: &'static str, value: &str, expected: &'static str) -> UserError {
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
        let env = Env { now: Micros(0), cores: 3 };
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
            &["--min-coverage", "2"],
            "error: --min-coverage takes a share from 0 to 1, not \"2\"\n",
        );
    }
}
