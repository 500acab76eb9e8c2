//! The order of the rooms: what runs when, on which threads, within which budgets.
//!
//! Input: a [`Plan`]. Output: a finished output folder and an [`Outcome`]. Async runs where something
//! waits (sources, the SQL engine); decoding and extraction run on plain threads fed by a queue that
//! is budgeted in bytes. No business rule and no text for people is decided here.

mod access;
pub mod ask;
pub mod baseline;
mod catch_up;
mod clock;
pub mod diff;
pub mod dry_run;
mod events;
pub mod explain;
mod fan_out;
mod finished;
pub mod inputs;
mod memory;
pub mod remediate;
mod reports;
mod scan;
pub mod shards;
pub mod snapshot;
mod tables;
pub mod trust;
mod used;
pub mod verify;
mod vouched;
mod world;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::analyse::AnalysePlan;
use crate::decode::gunzip::Limits;
use crate::facts::FactsError;
use crate::facts::sort::SpillDir;
use crate::model::digest;
use crate::model::tally::Stream;
use crate::model::time::{Hour, MICROS_PER_HOUR, Micros, Window};
use crate::publish::place::Place;
use crate::publish::{Finished, MANIFEST, PublishError};
use crate::rbac::exact::VerbGroups;
use crate::rbac::policies::{PolicyTable, PolicyTableError};
use crate::rbac::sensitive::Severity;
use crate::report::manifest::{Input, Manifest, Share};
use crate::report::metrics::Figures;
use crate::report::output::OutputDir;
use crate::report::summary::SummaryInput;
use crate::report::{self, ReportError};
use crate::source::{self, Location, S3Options, SourceError};
use crate::suppress::Rule;
pub use crate::table::SCHEMA_VERSION as SCHEMA;
use crate::table::SCHEMA_VERSION;
use crate::table::parquet::CodecError;
pub use events::Events;

use catch_up::Site;
use clock::Clock;
use memory::Folders;
use world::World;

/// Where the window starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Since {
    /// So many days before its end.
    Days(i64),
    /// At this instant.
    At(Micros),
}

impl Since {
    /// The start of a window that ends at `until`.
    #[must_use]
    pub fn before(self, until: Micros) -> Micros {
        match self {
            Since::Days(days) => {
                Micros(until.0.saturating_sub(days.saturating_mul(24 * MICROS_PER_HOUR)))
            }
            Since::At(at) => at.hour().start(),
        }
    }
}

/// Everything that decides a run.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Where logs are.
    pub logs: Vec<Location>,
    /// Where scans left facts, in place of logs.
    pub facts: Option<Location>,
    /// Where inventories are.
    pub inventories: Vec<Location>,
    /// Start of the window.
    pub since: Since,
    /// End of the window, if it was given.
    pub until: Option<Micros>,
    /// The clock, read by `cli` for a run without an inventory.
    pub now: Micros,
    /// Where the output goes.
    pub out: Location,
    /// Key prefix and cluster ARN.
    pub cluster_map: Vec<(String, String)>,
    /// A table of access policies that replaces the built-in one.
    pub policies: Option<PathBuf>,
    /// Threads that decode.
    pub threads: usize,
    /// Bytes of memory for everything but the scan.
    pub memory: usize,
    /// Caps of decoding.
    pub limits: Limits,
    /// How to reach S3.
    pub s3: S3Options,
    /// Forget what earlier runs read.
    pub rescan: bool,
    /// Put marks in place of the names of Secrets.
    pub hide_secret_names: bool,
    /// Check logs against their digests.
    pub verify: Option<trust::Verify>,
    /// Set by whoever wants the run to end early.
    pub stop: Stop,
    /// Thresholds of the verdicts; the window in it is replaced.
    pub min_age_days: i64,
    /// Share of hours.
    pub min_coverage: f64,
    /// Hours.
    pub max_hole_hours: i64,
    /// Share of rejects of a stream above which the run is partial.
    pub max_reject_share: f64,
    /// Verbs that proposals give together.
    pub verb_groups: VerbGroups,
    /// What people said of findings.
    pub rules: Vec<Rule>,
    /// The run that findings are compared with.
    pub baseline: Option<baseline::BaselineSpec>,
    /// SHA-256 of the configuration file, for the manifest.
    pub config_digest: Option<String>,
}

/// A wish that a run should end: what is under way is finished and kept.
#[derive(Debug, Clone, Default)]
pub struct Stop(Arc<AtomicBool>);

impl Stop {
    /// Asks for the end.
    pub fn set(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// True once somebody asked.
    #[must_use]
    pub fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// Waits until somebody asks.
    async fn asked(&self) {
        while !self.is_set() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    pub(crate) fn flag(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.0)
    }
}

/// What a run came to.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// For people.
    pub summary: SummaryInput,
    /// True when a verdict was lowered or too much was rejected.
    pub partial: bool,
    /// The worst finding, if there is one; what is suppressed does not count.
    pub worst: Option<Severity>,
    /// The worst that the baseline did not have.
    pub worst_new: Option<Severity>,
    /// For who watches.
    pub figures: Figures,
}

/// Why a run failed.
#[derive(Debug, thiserror::Error)]
pub enum PipelineError {
    /// A location cannot be used.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The spill folder or the facts cannot be written or read.
    #[error(transparent)]
    Facts(#[from] FactsError),
    /// The output cannot be made.
    #[error(transparent)]
    Report(#[from] ReportError),
    /// A table does not become Parquet.
    #[error("cannot write a table")]
    Codec(#[from] CodecError),
    /// The table of access policies does not read.
    #[error("cannot read the access policies in {path}")]
    Policies {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: PolicyTableError,
    },
    /// The window is empty.
    #[error("the window is empty: it starts at {since} and ends at {until}")]
    EmptyWindow {
        /// Start.
        since: String,
        /// End.
        until: String,
    },
    /// No log object was found.
    #[error("no log objects were found in {places}{unlisted}")]
    NoLogs {
        /// Where.
        places: String,
        /// What could not be listed, and why.
        unlisted: String,
    },
    /// The machine refuses a runtime, a thread or a temporary folder.
    #[error("cannot start")]
    Start(#[source] std::io::Error),
    /// There is no finished run.
    #[error("{from} holds no overgrant run: there is no manifest.json that an audit wrote")]
    NoRun {
        /// Where.
        from: String,
    },
    /// A finished run lacks a table, or the row that every run has.
    #[error(
        "the run in {from} has nothing in its table {table}: another version of overgrant wrote it"
    )]
    NoTable {
        /// Where.
        from: String,
        /// Which.
        table: &'static str,
    },
    /// The history holds no run that ended by then.
    #[error(
        "{out} holds no earlier run that ended by {at}: --new-since has nothing to compare with"
    )]
    NoBaseline {
        /// The output.
        out: String,
        /// By when.
        at: String,
    },
    /// The bundle cannot be made.
    #[error(transparent)]
    Remedy(#[from] crate::remedy::RemedyError),
    /// The public keys cannot be used.
    #[error("--public-keys {path}: {why}")]
    PublicKeys {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The output cannot be opened or switched.
    #[error(transparent)]
    Publish(#[from] PublishError),
    /// The ledger was changed by someone else.
    #[error("the ledger of the output does not read; --rescan starts without it")]
    Ledger(#[from] crate::ledger::LedgerError),
    /// What is listed or read cannot be held.
    #[error(transparent)]
    Packed(#[from] crate::model::packed::PackedError),
    /// Facts of another version rest on objects that are gone.
    #[error(
        "the facts in the output were made by another version of overgrant, and {objects} of their log \
         objects are gone: go on with that version, give --out another place, or --rescan to start \
         with what is still there"
    )]
    Expired {
        /// How many.
        objects: usize,
    },
    /// Facts name Secrets, or do not, and rest on objects that are gone.
    #[error(
        "--hide-secret-names is not as it was in the runs before, and {objects} of their log objects are \
         gone: go on as before, give --out another place, or --rescan to start with what is still there"
    )]
    Named {
        /// How many.
        objects: usize,
    },
    /// Somebody asked for the end.
    #[error(
        "interrupted: {kept} of {of} objects are read and kept, the next run goes on from there; the \
         report is the earlier one"
    )]
    Interrupted {
        /// Objects that need not be read again.
        kept: usize,
        /// Objects that were to be read.
        of: usize,
    },
    /// A live input cannot be had.
    #[error(transparent)]
    Input(#[from] inputs::InputError),
    /// A question to a finished run has no answer.
    #[error(transparent)]
    Ask(#[from] ask::AskError),
    /// Scans and who joins them do not come together.
    #[error(transparent)]
    Shards(#[from] shards::ShardError),
    /// A worker ended early.
    #[error("a worker thread ended early")]
    Worker,
}

impl PipelineError {
    /// True when rows could not be written: the Parquet writer hands on what the system said as text.
    #[must_use]
    pub fn is_of_writing(&self) -> bool {
        matches!(
            self,
            PipelineError::Facts(FactsError::WriteRows { .. })
                | PipelineError::Report(ReportError::Table { .. })
                | PipelineError::Codec(_)
        )
    }
}

/// Runs the audit.
///
/// # Errors
/// When the run cannot go on; bad input never is a reason.
pub fn run(plan: &Plan, events: &mut dyn Events) -> Result<Outcome, PipelineError> {
    let runtime = runtime()?;
    let mut clock = Clock::default();

    events.stage("inventory");
    let (policies, mut world) = read_world(plan, &runtime)?;
    let (window, until_from) = window(plan, &world)?;
    let baseline = runtime.block_on(baseline::read(plan, window))?;
    clock.lap("inventory");

    let place = runtime.block_on(Place::open(&plan.out, &plan.s3))?;
    let staging = place.staging();
    let (run, state) = (staging.join("run"), staging.join("state"));
    let out = OutputDir::create(&run)?;
    let spill_path = staging.join("spill");
    for folder in [&state, &spill_path, &run.join("facts")] {
        std::fs::create_dir_all(folder).map_err(PipelineError::Start)?;
    }
    let spill = SpillDir::new(spill_path.clone());
    let folders = Folders { run: &run, state: &state };
    let site = Site { plan, runtime: &runtime, place: &place, folders, spill: &spill };
    let mut facts = match &plan.facts {
        Some(place) => shards::gather::gather(&site, place, window, &world, events)?,
        None => catch_up::catch_up(&site, window, &world, events)?,
    };
    if plan.stop.is_set() {
        return Err(site.stopped(&mut facts)?);
    }
    let files = access::FactFiles::new(&run, &facts.paths, window, &spill, &facts.context);
    let changes = files.changes()?;
    world.learn(&changes, &policies);
    clock.lap("read");

    events.stage("judge");
    let analyse = AnalysePlan {
        min_age_days: plan.min_age_days,
        min_coverage: plan.min_coverage,
        max_hole_hours: plan.max_hole_hours,
        verb_groups: plan.verb_groups,
        ..AnalysePlan::new(window)
    };
    let (joined, used) = access::join(&world, &files, window, &facts.vouched, &out)?;
    let inputs = tables::Inputs {
        world: &world,
        policies: &policies,
        joined: &joined,
        facts: &files,
        spill: &spill,
        changes: &changes,
        reused: &facts.sums.reused,
        deliveries: &facts.totals.deliveries,
        tally: &facts.totals.tally,
        unlisted: &facts.unlisted,
        inexact: &facts.inexact,
        vouched: &facts.vouched,
        analyse,
        rules: &plan.rules,
        threads: plan.threads,
        out: &out,
    };
    let judged = tables::write(&inputs, used)?;
    // The engine of the reports gets the room.
    drop(joined);
    clock.lap("judge");

    events.stage("report");
    let mut warnings = world.warnings(window);
    warnings.extend(judged.warnings);
    let tally = &facts.totals.tally;
    let (share, too_many) = reject_share(plan, tally);
    let rejects = too_many.then(|| format!("{share}: see tables/rejects"));
    let partial = judged.lowered > 0 || too_many;
    let on_page: Vec<String> = warnings.iter().cloned().chain(rejects.clone()).collect();
    runtime.block_on(reports::write(plan, &out, &spill_path, &on_page, !partial))?;
    let manifest = Manifest {
        tool: "overgrant",
        version: env!("CARGO_PKG_VERSION"),
        schema_version: SCHEMA_VERSION,
        policy_table_version: policies.version().to_owned(),
        since: window.since.to_rfc3339(),
        until: window.until.to_rfc3339(),
        until_from,
        config_digest: plan.config_digest.clone(),
        suppressions: plan.rules.len(),
        clusters: world.captured(),
        input_digest: facts.totals.digest.clone(),
        input: Input {
            objects: facts.totals.objects,
            pruned: facts.pruned.clone(),
            bytes: tally.bytes_in,
            inflated: tally.bytes_inflated,
        },
        counters: tally.streams.iter().map(|(s, c)| (s.as_str(), c.clone())).collect(),
        distinct: facts.sums.distinct.clone(),
        copies: facts.sums.copies.clone(),
        coverage: judged
            .coverage
            .iter()
            .map(|(name, covered, hours)| {
                (name.clone(), Share { covered: *covered, hours: *hours })
            })
            .collect(),
        holes: world.holes(),
        files: out.files(&facts.known)?,
    };
    let manifest = manifest.to_json().map_err(ReportError::from)?;
    out.write(MANIFEST, &manifest)?;
    clock.lap("report");
    if plan.stop.is_set() {
        return Err(site.stopped(&mut facts)?);
    }
    let generation = digest::hex(&digest::of_bytes(&manifest), 16);
    let history = [(history_path(window), judged.history)];
    let finished = Finished {
        run: &run,
        state: &state,
        generation: &generation,
        run_json: &clock.to_json(plan.threads, facts.read),
        history: &history,
    };
    runtime.block_on(place.publish(finished, &mut facts.state))?;

    // What this run alone met is not on the page, which is the same however the logs were cut.
    warnings.extend(facts.warnings);
    warnings.extend(rejects);
    let mut summary = SummaryInput {
        window: format!("{} … {}", window.since.to_rfc3339(), window.until.to_rfc3339()),
        clusters: world.names(),
        verdicts: judged.verdicts,
        managed: judged.managed,
        findings: judged.findings,
        suppressed: judged.suppressed,
        news: None,
        coverage: judged.coverage,
        api_moves: judged.api_moves,
        counters: tally.streams.iter().map(|(s, c)| (s.as_str(), c.clone())).collect(),
        copies: facts.sums.copies.values().sum(),
        objects: facts.read,
        warnings,
        out: plan.out.to_string(),
    };
    let figures = Figures {
        objects: facts.totals.objects,
        bytes: tally.bytes_in,
        until: Some(window.until),
        newest: facts
            .totals
            .deliveries
            .newest()
            .into_iter()
            .map(|(of, hour)| (of, Hour(hour.0 + 1).start()))
            .collect(),
        captured: world.captured(),
        stages: clock.millis(),
    };
    if plan.baseline.is_some() {
        baseline::compare(&mut summary, baseline.as_ref());
    }
    let (worst, worst_new) = baseline::worst(&summary.findings);
    Ok(Outcome { summary, partial, worst, worst_new, figures })
}

/// Where what waits runs; what computes has threads of its own.
fn runtime() -> Result<tokio::runtime::Runtime, PipelineError> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(PipelineError::Start)
}

/// What is granted, and the rules of access policies.
fn read_world(
    plan: &Plan,
    runtime: &tokio::runtime::Runtime,
) -> Result<(PolicyTable, World), PipelineError> {
    let policies = read_policies(plan, runtime)?;
    let mut files = Vec::new();
    for location in &plan.inventories {
        files.extend(runtime.block_on(source::read_small_files(location, &plan.s3))?);
    }
    let world = World::new(&files, &policies, plan.hide_secret_names);
    Ok((policies, world))
}

fn read_policies(
    plan: &Plan,
    runtime: &tokio::runtime::Runtime,
) -> Result<PolicyTable, PipelineError> {
    let Some(path) = &plan.policies else { return Ok(PolicyTable::builtin().clone()) };
    let location = Location::Local(path.clone());
    let files = runtime.block_on(source::read_small_files(&location, &plan.s3))?;
    let bytes = files.first().map(|(_, bytes)| bytes.as_slice()).unwrap_or_default();
    PolicyTable::from_json(bytes)
        .map_err(|source| PipelineError::Policies { path: path.clone(), source })
}

fn window(plan: &Plan, world: &World) -> Result<(Window, &'static str), PipelineError> {
    let (until, from) = match (plan.until, world.newest_capture()) {
        (Some(until), _) => (until, "argument"),
        (None, Some(captured)) => (captured, "inventory"),
        (None, None) => (plan.now, "clock"),
    };
    let until = until.hour().start();
    let since = plan.since.before(until);
    if since >= until {
        let (since, until) = (since.to_rfc3339(), until.to_rfc3339());
        return Err(PipelineError::EmptyWindow { since, until });
    }
    Ok((Window { since, until }, from))
}

/// The largest share of rejects of a stream, in words, and whether it is too large.
fn reject_share(plan: &Plan, tally: &crate::model::tally::Tally) -> (String, bool) {
    let float = |n: u64| f64::from(u32::try_from(n).unwrap_or(u32::MAX));
    let mut worst = (0.0, String::new());
    for (stream, counts) in &tally.streams {
        let share = float(counts.rejected_total()) / float(counts.seen.max(1));
        if share > worst.0 {
            let what = if *stream == Stream::Objects { "objects" } else { "records" };
            let text = format!(
                "{} of {} {} {what} were rejected",
                counts.rejected_total(),
                counts.seen,
                stream.as_str()
            );
            worst = (share, text);
        }
    }
    (worst.1, worst.0 > plan.max_reject_share)
}

/// Where the verdicts of a window that ends then are kept; a later run of the same end replaces them.
fn history_path(window: Window) -> String {
    let until = window.until.to_rfc3339().replace(':', "").replace("0000Z", "Z");
    format!("verdicts/p_until={until}/part-0.parquet")
}

/// Ends a table, for the modules of this room.
fn finish<R: crate::table::Row>(
    writer: crate::table::parquet::RowWriter<R, std::io::BufWriter<std::fs::File>>,
) -> Result<(), PipelineError> {
    Ok(report::output::finish(writer)?)
}
