//! The order of the rooms: what runs when, on which threads, within which budgets.
//!
//! Input: a [`Plan`]. Output: a finished output folder and an [`Outcome`]. Async runs where something
//! waits (sources, the SQL engine); decoding and extraction run on plain threads fed by a queue that
//! is budgeted in bytes. No business rule and no text for people is decided here.

mod access;
pub mod inputs;
pub mod remediate;
mod scan;
pub mod snapshot;
mod tables;
mod world;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::analyse::AnalysePlan;
use crate::decode::gunzip::Limits;
use crate::facts::FactsError;
use crate::facts::sort::SpillDir;
use crate::model::tally::Stream;
use crate::model::time::{MICROS_PER_HOUR, Micros, Window};
use crate::rbac::exact::VerbGroups;
use crate::rbac::policies::{PolicyTable, PolicyTableError};
use crate::rbac::sensitive::Severity;
use crate::report::catalogue::QUERIES;
use crate::report::engine::{Engine, EnginePlan};
use crate::report::manifest::{Input, Manifest, Share};
use crate::report::metrics::Figures;
use crate::report::output::{FOLDERS, MANIFEST, OutputDir};
use crate::report::summary::SummaryInput;
use crate::report::{self, ReportError};
use crate::source::{self, Location, S3Options, SourceError};
pub use crate::table::SCHEMA_VERSION as SCHEMA;
use crate::table::SCHEMA_VERSION;
use crate::table::parquet::{CodecError, plain_schema, write_batches};
use crate::table::rows::ALL;

use world::World;

/// Where the window starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Since {
    /// So many days before its end.
    Days(i64),
    /// At this instant.
    At(Micros),
}

/// Everything that decides a run.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Where logs are.
    pub logs: Vec<Location>,
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
}

/// What a run came to.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// For people.
    pub summary: SummaryInput,
    /// True when a verdict was lowered or too much was rejected.
    pub partial: bool,
    /// The worst finding, if there is one.
    pub worst: Option<Severity>,
    /// For who watches.
    pub figures: Figures,
}

/// Takes what happens, for progress; called from one thread.
pub trait Events {
    /// A stage begins.
    fn stage(&mut self, name: &'static str);
    /// So many objects and bytes are known.
    fn total(&mut self, objects: u64, bytes: u64);
    /// One more object is done.
    fn object(&mut self, bytes: u64);
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
    #[error("{path}")]
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
    #[error("no log objects were found in {places}")]
    NoLogs {
        /// Where.
        places: String,
    },
    /// The machine refuses a runtime, a thread or a temporary folder.
    #[error("cannot start")]
    Start(#[source] std::io::Error),
    /// The output of a run is not there.
    #[error("{from} holds no overgrant run: its table {table} cannot be read")]
    NoRun {
        /// Where.
        from: String,
        /// Which.
        table: &'static str,
    },
    /// The bundle cannot be made.
    #[error(transparent)]
    Remedy(#[from] crate::remedy::RemedyError),
    /// A live input cannot be had.
    #[error(transparent)]
    Input(#[from] inputs::InputError),
    /// A worker ended early.
    #[error("a worker thread ended early")]
    Worker,
}

/// Runs the audit.
///
/// # Errors
/// When the run cannot go on; bad input never is a reason.
pub fn run(plan: &Plan, events: &mut dyn Events) -> Result<Outcome, PipelineError> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(PipelineError::Start)?;
    let mut clock = Clock::default();

    events.stage("inventory");
    let policies = read_policies(plan, &runtime)?;
    let mut files = Vec::new();
    for location in &plan.inventories {
        files.extend(runtime.block_on(source::read_small_files(location, &plan.s3))?);
    }
    let mut world = World::new(&files, &policies);
    drop(files);
    let (window, until_from) = window(plan, &world)?;
    clock.lap("inventory");

    let staging = Staging::open(&plan.out)?;
    events.stage("list");
    let work = scan::list(plan, window, &runtime)?;
    events.total(work.objects(), work.bytes());
    clock.lap("list");

    events.stage("scan");
    let spill = SpillDir::new(staging.spill().to_path_buf());
    let scanned = scan::run(plan, window, &world, &work, &spill, &runtime, events)?;
    clock.lap("scan");

    events.stage("fold");
    let folded = access::fold(scanned.runs, &spill, staging.out.staging())?;
    let changes = folded.changes()?;
    world.learn(&changes, &policies);
    clock.lap("fold");

    events.stage("judge");
    let analyse = AnalysePlan {
        min_age_days: plan.min_age_days,
        min_coverage: plan.min_coverage,
        max_hole_hours: plan.max_hole_hours,
        verb_groups: plan.verb_groups,
        ..AnalysePlan::new(window)
    };
    let joined = access::join(&world, &folded, window, &staging.out)?;
    let judged = tables::write(&tables::Inputs {
        world: &world,
        policies: &policies,
        joined: &joined,
        facts: &folded,
        spill: &spill,
        changes: &changes,
        reused: &folded.counts.reused,
        deliveries: &scanned.deliveries,
        tally: &scanned.tally,
        analyse,
        threads: plan.threads,
        out: &staging.out,
    })?;
    // The engine of the reports gets the room.
    drop(joined);
    clock.lap("judge");

    events.stage("report");
    runtime.block_on(write_reports(plan, &staging))?;
    let (share, too_many) = reject_share(plan, &scanned.tally);
    let manifest = Manifest {
        tool: "overgrant",
        version: env!("CARGO_PKG_VERSION"),
        schema_version: SCHEMA_VERSION,
        policy_table_version: policies.version().to_owned(),
        since: window.since.to_rfc3339(),
        until: window.until.to_rfc3339(),
        until_from,
        clusters: world.captured(),
        input_digest: work.digest(),
        input: Input {
            objects: work.objects(),
            pruned: work.pruned.clone(),
            bytes: scanned.tally.bytes_in,
            inflated: scanned.tally.bytes_inflated,
        },
        counters: scanned.tally.streams.iter().map(|(s, c)| (s.as_str(), c.clone())).collect(),
        distinct: folded.counts.distinct.clone(),
        copies: folded.counts.copies.clone(),
        coverage: judged
            .coverage
            .iter()
            .map(|(name, covered, hours)| {
                (name.clone(), Share { covered: *covered, hours: *hours })
            })
            .collect(),
        holes: world.holes(),
        files: staging.out.files()?,
    };
    staging.out.write(MANIFEST, &manifest.to_json().map_err(ReportError::from)?)?;
    clock.lap("report");
    staging.out.write("run.json", &clock.to_json(plan.threads))?;
    runtime.block_on(staging.publish(plan))?;

    let mut warnings = world.warnings(window);
    warnings.extend(judged.warnings);
    if too_many {
        warnings.push(format!("{share}: see tables/rejects"));
    }
    let partial = judged.lowered > 0 || too_many;
    let summary = SummaryInput {
        window: format!("{} … {}", window.since.to_rfc3339(), window.until.to_rfc3339()),
        clusters: world.names(),
        verdicts: judged.verdicts,
        managed: judged.managed,
        findings: judged.findings,
        coverage: judged.coverage,
        counters: scanned.tally.streams.iter().map(|(s, c)| (s.as_str(), c.clone())).collect(),
        copies: folded.counts.copies.values().sum(),
        warnings,
        out: plan.out.to_string(),
    };
    let figures = Figures {
        objects: work.objects(),
        bytes: scanned.tally.bytes_in,
        until: Some(window.until),
        captured: world.captured(),
        stages: clock.millis(),
    };
    Ok(Outcome { summary, partial, worst: judged.worst, figures })
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
    let since = match plan.since {
        Since::Days(days) => {
            Micros(until.0.saturating_sub(days.saturating_mul(24 * MICROS_PER_HOUR)))
        }
        Since::At(at) => at.hour().start(),
    };
    if since >= until {
        let (since, until) = (since.to_rfc3339(), until.to_rfc3339());
        return Err(PipelineError::EmptyWindow { since, until });
    }
    Ok((Window { since, until }, from))
}

async fn write_reports(plan: &Plan, staging: &Staging) -> Result<(), PipelineError> {
    let engine_plan = EnginePlan { memory: plan.memory / 2, spill: staging.spill().to_path_buf() };
    let root = staging.out.staging();
    let engine = Engine::open(root, &ALL, &engine_plan).await?;
    for query in QUERIES {
        let (schema, batches) = engine.run(query).await?;
        let schema = plain_schema(&schema);
        let batches: Result<Vec<_>, _> =
            batches.into_iter().map(|batch| batch.with_schema(schema.clone())).collect();
        let batches = batches.map_err(CodecError::from)?;
        let bytes = write_batches(Vec::new(), schema, &batches)?;
        staging.out.write(&format!("reports/{}.parquet", query.name), &bytes)?;
    }
    staging.out.write("tables/schema.sql", crate::table::reference::schema_sql().as_bytes())?;
    Ok(())
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

/// Where the run writes until it is whole: beside a local output, or in a temporary folder.
struct Staging {
    out: OutputDir,
    place: PathBuf,
    scratch: tempfile::TempDir,
}

impl Staging {
    fn open(out: &Location) -> Result<Self, PipelineError> {
        let (place, scratch) = match out {
            Location::Local(path) => {
                let out = OutputDir::create(path)?;
                let scratch = tempfile::Builder::new()
                    .prefix(".spill-")
                    .tempdir_in(path)
                    .map_err(PipelineError::Start)?;
                return Ok(Staging { out, place: path.clone(), scratch });
            }
            Location::S3 { .. } => {
                let scratch = tempfile::tempdir().map_err(PipelineError::Start)?;
                (scratch.path().join("out"), scratch)
            }
        };
        Ok(Staging { out: OutputDir::create(&place)?, place, scratch })
    }

    fn spill(&self) -> &Path {
        self.scratch.path()
    }

    async fn publish(self, plan: &Plan) -> Result<(), PipelineError> {
        self.out.publish()?;
        let managed = FOLDERS.map(|folder| format!("{folder}/"));
        let managed: Vec<&str> = managed.iter().map(String::as_str).collect();
        source::publish(&self.place, &plan.out, &plan.s3, MANIFEST, &managed).await?;
        Ok(())
    }
}

/// Durations of the stages: everything that may differ between equal runs.
#[derive(Default)]
struct Clock {
    started: Option<Instant>,
    laps: BTreeMap<&'static str, Duration>,
}

impl Clock {
    #[expect(clippy::disallowed_methods, reason = "pipeline times its stages, into run.json")]
    fn lap(&mut self, stage: &'static str) {
        let now = Instant::now();
        let since = self.started.replace(now).unwrap_or(now);
        self.laps.insert(stage, now - since);
    }

    fn millis(&self) -> BTreeMap<&'static str, u64> {
        let millis = |lap: &Duration| u64::try_from(lap.as_millis()).unwrap_or(u64::MAX);
        self.laps.iter().map(|(stage, lap)| (*stage, millis(lap))).collect()
    }

    fn to_json(&self, threads: usize) -> Vec<u8> {
        let laps: BTreeMap<&str, u128> =
            self.laps.iter().map(|(stage, lap)| (*stage, lap.as_millis())).collect();
        let value = serde_json::json!({ "threads": threads, "milliseconds": laps });
        let mut bytes = value.to_string().into_bytes();
        bytes.push(b'\n');
        bytes
    }
}

/// Ends a table, for the modules of this room.
fn finish<R: crate::table::Row>(
    writer: crate::table::parquet::RowWriter<R, std::io::BufWriter<std::fs::File>>,
) -> Result<(), PipelineError> {
    Ok(report::output::finish(writer)?)
}
