//! One of several scans: reads its share of the objects and leaves their facts.
//!
//! Input: a [`Plan`] whose output is a place of facts, and which share. Output: files of facts in
//! order, a row for each object that was read, and, last, the file that names them. Their bytes depend
//! on the objects alone, not on threads or on what another scan does.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Agreed, Asked, FORMAT, Shard, ShardError, agree, named, parquet};
use crate::facts::records;
use crate::facts::sort::{Run, SpillDir};
use crate::ledger::LedgerError;
use crate::ledger::entry::is_unread;
use crate::ledger::share::{Weight, shares};
use crate::model::packed::PackedError;
use crate::model::tally::Stream;
use crate::pipeline::scan::{self as reading, How, Pick, ReadObject, Work};
use crate::pipeline::{Events, PipelineError, Plan, memory, read_world, runtime, window};
use crate::publish::{KeptFile, to_json};
use crate::source::{Location, Store};
use crate::table::Row;
use crate::table::parquet::RowWriter;
use crate::table::scanned::FactRow;

/// Rows of a file of facts, about: files of some tens of megabytes are fetched and read one by one.
const ROWS_PER_FILE: u64 = 1 << 20;
/// Bytes of the rows of a file, as they are in memory.
const BYTES_PER_FILE: usize = 512 << 20;

/// What a scan left.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Note {
    pub(super) format: u32,
    /// In order: each goes on where the one before ends.
    pub(super) facts: Vec<KeptFile>,
    pub(super) objects: Vec<KeptFile>,
    /// Digest of what was agreed on.
    pub(super) listing: String,
}

/// What a scan came to, for people.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Told {
    /// Which of how many; `None` where nothing but the listing was made.
    pub shard: Option<Shard>,
    /// Objects of all scans.
    pub listed: u64,
    /// Objects that were read.
    pub objects: u64,
    /// Their bytes as stored.
    pub bytes: u64,
    /// Records of them.
    pub records: u64,
    /// Facts that are left.
    pub facts: u64,
    /// Bytes of the files that are left.
    pub written: u64,
    /// What was rejected: records, and whole objects.
    pub rejected: u64,
    /// Objects that could not be had: to be scanned again.
    pub unread: u64,
    /// Folders and files that could not be looked at when all was listed.
    pub hidden: u64,
    /// Where it is.
    pub out: String,
}

/// Makes the listing, if nobody did, and reads a share; without one the listing is all.
///
/// # Errors
/// When the scan cannot go on; bad input never is a reason.
pub fn scan(
    plan: &Plan,
    shard: Option<Shard>,
    events: &mut dyn Events,
) -> Result<Told, PipelineError> {
    let runtime = runtime()?;
    events.stage("inventory");
    let (_, world) = read_world(plan, &runtime)?;
    let (window, until_from) = window(plan, &world)?;
    if until_from == "clock" {
        return Err(ShardError::NoEnd.into());
    }
    let days = reading::days_of(window);
    let lens = memory::lens(&reading::context(plan, days, &world), plan, &world.arns());
    let mine = Asked {
        format: FORMAT,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        days,
        lens,
        logs: plan.logs.iter().map(whole).collect(),
    };
    events.stage("list");
    let list = || {
        let work = reading::list(&plan.logs, &plan.s3, window, &runtime)?;
        reading::some_logs(&work, &plan.logs)?;
        Ok(work)
    };
    let agreed = agree(plan, &mine, &runtime, list)?;
    let mut told = Told {
        shard,
        listed: agreed.pinned.objects,
        hidden: u64::try_from(agreed.pinned.unreadable.len() + agreed.pinned.unlisted.len())
            .unwrap_or(u64::MAX),
        out: plan.out.to_string(),
        ..Told::default()
    };
    if let Some(shard) = shard {
        read(plan, &agreed, shard, &runtime, &mut told, events)?;
    }
    Ok(told)
}

/// A place as every process sees it.
fn whole(location: &Location) -> String {
    match location {
        Location::Local(path) => {
            std::path::absolute(path).unwrap_or_else(|_| path.clone()).display().to_string()
        }
        Location::S3 { .. } => location.to_string(),
    }
}

fn read(
    plan: &Plan,
    agreed: &Agreed,
    shard: Shard,
    runtime: &tokio::runtime::Runtime,
    told: &mut Told,
    events: &mut dyn Events,
) -> Result<(), PipelineError> {
    let mut stores = Vec::with_capacity(plan.logs.len());
    for location in &plan.logs {
        stores.push(Arc::new(runtime.block_on(Store::open(location, &plan.s3))?));
    }
    let work = agreed.work(&stores)?;
    let which = picks(&work, shard)?;
    let scratch = tempfile::tempdir().map_err(PipelineError::Start)?;
    let spill = SpillDir::new(scratch.path().to_path_buf());
    let context = Arc::new(agreed.pinned.context());
    events.stage("scan");
    let how = How { only: None, trust: None };
    let scanned = reading::run(plan, &context, &work, which, how, (&spill, runtime), events)?;
    if plan.stop.is_set() {
        return Err(ShardError::Interrupted.into());
    }
    for one in reading::read_objects(&work, &scanned.outcomes) {
        let ReadObject { listed, details, .. } = one?;
        let outcome = details.outcome(&listed.name.1)?;
        told.objects += 1;
        told.bytes += listed.size;
        told.unread += u64::from(is_unread(&outcome));
        for (stream, counts) in &outcome.streams {
            told.rejected += counts.rejected_total();
            told.records += if *stream == Stream::Objects { 0 } else { counts.seen };
        }
    }
    events.stage("fold");
    let folder = shard.folder();
    let Asked { days, lens, .. } = &agreed.pinned.asked;
    let lens: Arc<str> = lens.digest().into();
    let row = |one: Result<ReadObject, PackedError>| one?.into_entry(*days, &lens).row();
    let read = reading::read_objects(&work, &scanned.outcomes);
    let mut rows = read.map(row).collect::<Result<Vec<_>, LedgerError>>()?;
    rows.sort_by(|a, b| (&a.source, &a.object).cmp(&(&b.source, &b.object)));
    let bytes = parquet(rows)?;
    let objects = named(&folder, "objects", &bytes);
    runtime.block_on(agreed.depot.put(&objects.path, bytes))?;
    let mut facts = Vec::new();
    let mut put = |bytes: Vec<u8>| -> Result<(), PipelineError> {
        let file = named(&folder, "facts", &bytes);
        runtime.block_on(agreed.depot.put(&file.path, bytes))?;
        facts.push(file);
        Ok(())
    };
    told.facts = leave(scanned.runs, &spill, &mut put)?;
    told.written = facts.iter().chain([&objects]).map(|file| file.bytes).sum();
    let listing = agreed.pinned.listing.sha256.clone();
    let note = Note { format: FORMAT, facts, objects: vec![objects], listing };
    runtime.block_on(agreed.depot.put(&shard.note(), to_json(&note)))?;
    Ok(())
}

/// The objects of a share.
fn picks(work: &Work, shard: Shard) -> Result<Vec<Pick>, PackedError> {
    let mut objects = Vec::with_capacity(work.objects.len());
    let mut weights = Vec::with_capacity(work.objects.len());
    for (at, object) in (0_u32..).zip(work.listed()) {
        let (day, listed) = object?;
        objects.push(Pick { day, at, size: listed.size });
        weights.push(Weight::of(&listed));
    }
    let shares = shares(weights, shard.of).into_iter();
    Ok(objects
        .into_iter()
        .zip(shares)
        .filter(|(_, n)| *n == shard.number)
        .map(|(o, _)| o)
        .collect())
}

/// Hands on all facts as files; returns how many facts there are.
fn leave(
    runs: Vec<Run>,
    spill: &SpillDir,
    put: &mut impl FnMut(Vec<u8>) -> Result<(), PipelineError>,
) -> Result<u64, PipelineError> {
    let (mut all, mut failed) = (0, None);
    let mut file: RowWriter<FactRow, Vec<u8>> = RowWriter::new(Vec::new());
    let (mut rows, mut bytes) = (0, 0);
    records::rows(runs, spill, |row| {
        if rows == ROWS_PER_FILE || bytes >= BYTES_PER_FILE {
            let full = std::mem::replace(&mut file, RowWriter::new(Vec::new()));
            let ended = full.finish().map_err(PipelineError::from);
            failed = failed.take().or(ended.and_then(|(bytes, _)| put(bytes)).err());
            (rows, bytes) = (0, 0);
        }
        all += 1;
        rows += 1;
        bytes += row.weight();
        Ok(file.push(row)?)
    })?;
    if rows > 0 {
        put(file.finish()?.0)?;
    }
    failed.map_or(Ok(all), Err)
}
