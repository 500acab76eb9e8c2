//! Live inputs become places with files, before a run begins.
//!
//! Input: trails, regions whose event history is looked up, clusters. Output: locations of logs and of
//! inventories in the [`Plan`], and what to tell. A trail is where its files are; a history is kept in a
//! folder, so that what was asked once is not asked again; a snapshot of clusters lives as long as the
//! run. A source that was asked for and cannot be had ends the run: without it silence would count.

use std::path::PathBuf;
use std::time::Duration;

use super::snapshot::{SnapshotPlan, snapshot};
use super::{Events, PipelineError, Plan, Since};
use crate::live::lookup::{DAYS, History, SOURCES};
use crate::live::trails::{TrailFiles, locate};
use crate::live::{LiveError, LivePlan};
use crate::model::inventory::Hole;
use crate::model::time::{MICROS_PER_HOUR, Micros};
use crate::report::ReportError;
use crate::report::history::HistoryDir;
use crate::source::Location;

/// Events take up to a quarter of an hour to show; an hour that is asked for too early would be kept
/// without its last ones.
const SETTLING: i64 = MICROS_PER_HOUR;

/// Where logs come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogInput {
    /// A folder, a file, a bucket.
    Location(Location),
    /// Where a trail leaves its files; name or ARN.
    Trail(String),
    /// The event history of a region.
    LookupEvents(String),
}

/// What must be asked for before a run.
#[derive(Debug, Clone)]
pub struct LiveInputs {
    /// Trails and histories; locations are in the plan already.
    pub logs: Vec<LogInput>,
    /// Clusters to take a snapshot of; none where the list is empty.
    pub clusters: LivePlan,
    /// Where names of trails are looked for.
    pub region: Option<String>,
    /// Where histories are kept.
    pub lookup_cache: PathBuf,
    /// Between two requests for a history.
    pub pace: Duration,
}

/// What came of it. The snapshot goes with it.
#[derive(Debug, Default)]
pub struct Settled {
    /// What stands for what, for people.
    pub said: Vec<String>,
    /// What to know before acting.
    pub warnings: Vec<String>,
    /// What could not be read of each cluster.
    pub holes: Vec<(String, Hole)>,
    scratch: Option<tempfile::TempDir>,
}

/// Why an input cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum InputError {
    /// The trail.
    #[error("trail:{trail}: {why}")]
    Trail {
        /// As given.
        trail: String,
        /// Which permission, or what AWS said.
        why: String,
    },
    /// The history; what was had so far is kept.
    #[error("lookup-events:{region}: {why}; what was had so far is kept, run again to go on")]
    Lookup {
        /// As given.
        region: String,
        /// Which permission, or what AWS said.
        why: String,
    },
    /// Somebody asked for the end.
    #[error(
        "interrupted while lookup-events:{region} was asked for: what was had so far is kept, the next \
         run goes on from there; the report is the earlier one"
    )]
    Stopped {
        /// As given.
        region: String,
    },
    /// Somebody asked for the end.
    #[error("interrupted while clusters were read: the report is the earlier one")]
    StoppedClusters,
    /// A cluster.
    #[error(transparent)]
    Cluster(#[from] LiveError),
}

/// Turns live inputs into locations of `plan`.
///
/// # Errors
/// When one of them cannot be had.
pub fn settle(
    inputs: &LiveInputs,
    plan: &mut Plan,
    events: &mut dyn Events,
) -> Result<Settled, PipelineError> {
    let mut settled = Settled::default();
    if !inputs.clusters.clusters.is_empty() {
        take_clusters(inputs, plan, events, &mut settled)?;
    }
    if inputs.logs.is_empty() {
        return Ok(settled);
    }
    let runtime = super::runtime()?;
    for input in &inputs.logs {
        match input {
            LogInput::Location(location) => plan.logs.push(location.clone()),
            LogInput::Trail(name) => {
                let region = inputs.region.as_deref();
                let found = runtime.block_on(locate(&inputs.clusters.reach, name, region));
                let found = found.map_err(|why| InputError::Trail { trail: name.clone(), why })?;
                trail(plan, name, found, &mut settled);
            }
            LogInput::LookupEvents(region) => {
                look_up(inputs, region, plan, &runtime, events, &mut settled)?;
            }
        }
    }
    Ok(settled)
}

fn take_clusters(
    inputs: &LiveInputs,
    plan: &mut Plan,
    events: &mut dyn Events,
    settled: &mut Settled,
) -> Result<(), PipelineError> {
    let scratch = tempfile::tempdir().map_err(PipelineError::Start)?;
    let out = scratch.path().to_path_buf();
    let taken = snapshot(
        &SnapshotPlan { live: inputs.clusters.clone(), out: out.clone(), stop: plan.stop.clone() },
        events,
    )?;
    if let Some(error) = taken.failed.into_iter().next() {
        return Err(InputError::Cluster(error).into());
    }
    for one in taken.written {
        settled.said.push(format!("{} was read", one.arn));
        settled.holes.extend(one.holes.into_iter().map(|hole| (one.arn.clone(), hole)));
    }
    plan.inventories.push(Location::Local(out));
    settled.scratch = Some(scratch);
    Ok(())
}

fn trail(plan: &mut Plan, name: &str, found: TrailFiles, settled: &mut Settled) {
    let location = Location::S3 { bucket: found.bucket, prefix: found.prefix };
    let kind = if found.organization { "organisation trail" } else { "trail" };
    settled.said.push(format!(
        "trail:{name} is {location} ({kind} {}, home region {})",
        found.arn, found.home_region
    ));
    settled.warnings.extend(found.warnings);
    let elsewhere = plan
        .logs
        .iter()
        .chain(&plan.inventories)
        .chain([&plan.out])
        .any(|other| matches!(other, Location::S3 { .. }));
    if plan.s3.region.is_none() && !elsewhere {
        // Nothing else says where its bucket is, and most are where the trail was made.
        plan.s3.region = Some(found.home_region);
    }
    plan.logs.push(location);
}

/// The stretch of the history that the window needs: whole hours, settled ones.
fn stretch(plan: &Plan) -> (Micros, Micros) {
    let settled = Micros(plan.now.0.saturating_sub(SETTLING));
    let to = plan.until.unwrap_or(settled).min(settled).hour().start();
    let day = 24 * MICROS_PER_HOUR;
    let since = match plan.since {
        Since::Days(days) => Micros(to.0.saturating_sub(days.saturating_mul(day))),
        Since::At(at) => at,
    };
    let oldest = Micros(plan.now.0.saturating_sub(DAYS * day) + MICROS_PER_HOUR);
    (since.max(oldest).hour().start(), to)
}

fn look_up(
    inputs: &LiveInputs,
    region: &str,
    plan: &mut Plan,
    runtime: &tokio::runtime::Runtime,
    events: &mut dyn Events,
    settled: &mut Settled,
) -> Result<(), PipelineError> {
    let stop = plan.stop.clone();
    let failed = |why| InputError::Lookup { region: region.to_owned(), why };
    let stopped = || InputError::Stopped { region: region.to_owned() }.into();
    let opened = runtime.block_on(History::open(&inputs.clusters.reach, region, inputs.pace));
    let histories = opened.map_err(failed)?;
    let (from, to) = stretch(plan);
    for history in histories {
        let root = inputs.lookup_cache.join(&history.account).join(region);
        let kept = HistoryDir::new(&root, &history.account, region);
        let mut missing = Vec::new();
        for source in SOURCES {
            // Newest first: that is what a run that is cut short should have.
            let stretches = kept.missing(source, from, to)?;
            missing.extend(stretches.into_iter().rev().map(|stretch| (source, stretch)));
        }
        events.stage("lookup");
        events.total(u64::try_from(missing.len()).unwrap_or(u64::MAX), 0);
        let (mut asked, mut got) = (0_usize, 0_usize);
        for (source, (from, to)) in missing {
            let fetched = runtime.block_on(history.fetch(source, from, to, &mut |part| {
                got += part.records.len();
                kept.put(source, (part.from, part.to), &part.records).map_err(Fetch::Keep)?;
                // A history takes hours; a part of it is kept whole or not at all.
                if stop.is_set() { Err(Fetch::Stopped) } else { Ok(()) }
            }));
            fetched.map_err(|error| match error {
                Fetch::Asked(why) => failed(why).into(),
                Fetch::Keep(error) => PipelineError::Report(error),
                Fetch::Stopped => stopped(),
            })?;
            if stop.is_set() {
                return Err(stopped());
            }
            asked += 1;
            events.object(0);
        }
        settled.said.push(format!(
            "lookup-events:{region} of {}: {got} events in {asked} stretches asked for, kept in {}",
            history.account,
            root.display()
        ));
        settled.warnings.push(format!(
            "the event history of {} in {region} holds no data events, and was asked for {} alone",
            history.account,
            SOURCES.map(|source| source.trim_end_matches(".amazonaws.com")).join(", ")
        ));
        plan.logs.push(Location::Local(root));
    }
    Ok(())
}

/// What ends a look-up.
enum Fetch {
    Asked(String),
    Keep(ReportError),
    Stopped,
}

impl From<String> for Fetch {
    fn from(why: String) -> Self {
        Fetch::Asked(why)
    }
}
