//! The facts of all scans of a place, in place of reading logs.
//!
//! Input: what [`scan`](super::scan) or Spark left. Output: what
//! [`catch_up`](crate::pipeline::catch_up) yields of the same objects, so that whatever follows is the
//! same. Every object of the listing must have its row, once; copies of a record in files of different
//! scans are told apart here, as they are within one.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use futures::stream::{self, StreamExt, TryStreamExt};

use super::scan::Note;
use super::{Agreed, FORMAT, RECORDS, SUCCESS, Shard, ShardError, listed};
use crate::facts::fold::Runs;
use crate::facts::key::number_of_place;
use crate::facts::records::run_of;
use crate::ledger::diff::Why;
use crate::ledger::entries::Fresh;
use crate::ledger::entry::{Entry, Name};
use crate::ledger::lens::Lens;
use crate::model::coverage::LogStream;
use crate::model::outcome::Unit;
use crate::model::time::{Day, Window};
use crate::pipeline::catch_up::{Facts, Site, fold, totals_of};
use crate::pipeline::memory::{self, Memory};
use crate::pipeline::scan::{context, days_of};
use crate::pipeline::vouched::Vouched;
use crate::pipeline::world::World;
use crate::pipeline::{Events, PipelineError};
use crate::publish::KeptFile;
use crate::publish::depot::Depot;
use crate::source::key::read_key;
use crate::source::{Location, read_file};
use crate::table::ledger::LedgerRow;
use crate::table::parquet::rows_of;

/// Files fetched at once.
const IN_FLIGHT: usize = 8;
/// Missing scans, or objects, that are named.
const NAMED: usize = 8;

/// Files of what was scanned.
#[derive(Default)]
struct Files {
    /// Files that go on where the one before ends.
    facts: Vec<Vec<PathBuf>>,
    objects: Vec<PathBuf>,
}

/// Takes facts from where scans left them.
pub(in crate::pipeline) fn gather(
    site: &Site<'_>,
    place: &Location,
    window: Window,
    world: &World,
    events: &mut dyn Events,
) -> Result<Facts, PipelineError> {
    let (plan, runtime) = (site.plan, site.runtime);
    events.stage("facts");
    let depot = runtime.block_on(Depot::open(place, &plan.s3));
    let agreed = runtime.block_on(Agreed::read(depot, place))?;
    let days = days_of(window);
    check_days(&agreed, days, place)?;
    // Facts of a cluster that is not in this inventory are of no use to it.
    let known = world.arns();
    let others: BTreeSet<u32> = agreed
        .pinned
        .asked
        .lens
        .clusters
        .iter()
        .filter(|cluster| !known.contains(cluster))
        .map(|cluster| number_of_place(cluster))
        .collect();
    let scratch = site.place.staging().join("scanned");
    let files = runtime.block_on(bring(&agreed, &scratch, &others, place))?;
    let entries = entries(&agreed, &files, place)?;
    let context = std::sync::Arc::new(context(plan, days, world));
    let lens = memory::lens(&context, plan, &world.arns());
    check_lens(&agreed, &entries, &lens, place)?;

    events.stage("fold");
    let mut memory = Memory::default();
    memory.lenses.insert(agreed.pinned.asked.lens.digest(), agreed.pinned.asked.lens.clone());
    let runs = Runs { fresh: files.facts.into_iter().map(run_of).collect(), again: Vec::new() };
    let wanted = |unit: Unit, _: bool| {
        days.0 <= unit.day && unit.day <= days.1 && !others.contains(&unit.place)
    };
    let written = fold(site, &mut memory, runs, &wanted, &BTreeMap::new())?;
    let read = u64::try_from(entries.len()).unwrap_or(u64::MAX);
    let mut fresh = Fresh::default();
    for entry in entries {
        fresh.push(read_key(&entry.listed.name.1).day, entry)?;
    }
    let state = memory.save(fresh, &lens, written, site.folders)?;
    let work = agreed.work(&[])?;
    let mut totals = totals_of(&memory, &work, window, &context)?;
    // Nor does it matter when they were heard of.
    totals.deliveries.by_hour.retain(|(stream, _), _| match stream {
        LogStream::Audit { cluster, .. } => known.contains(cluster),
        LogStream::CloudTrail { .. } => true,
    });
    let (paths, known) = (memory.fact_paths().collect(), memory.known_facts());
    Ok(Facts {
        vouched: Vouched::default(),
        paths,
        known,
        sums: memory.days.sums(window),
        inexact: BTreeSet::new(),
        read: (read, 0, 0),
        totals,
        pruned: work.pruned,
        unlisted: work.unlisted.into_iter().map(|(folder, _)| folder).collect(),
        context,
        warnings: Vec::new(),
        state,
    })
}

/// The window may be shorter than that of the scans, and not longer.
fn check_days(agreed: &Agreed, days: (Day, Day), place: &Location) -> Result<(), ShardError> {
    let (from, to) = agreed.pinned.asked.days;
    if from <= days.0 && days.1 <= to {
        return Ok(());
    }
    Err(ShardError::OtherDays {
        place: place.to_string(),
        from: from.to_iso(),
        to: to.to_iso(),
        wanted: format!("{} to {}", days.0.to_iso(), days.1.to_iso()),
    })
}

/// The scans must have looked for all that this inventory and these options need.
fn check_lens(
    agreed: &Agreed,
    entries: &[Entry],
    lens: &Lens,
    place: &Location,
) -> Result<(), PipelineError> {
    let scanned = &agreed.pinned.asked.lens;
    // Facts of clusters that are not asked for are left out here, by their place.
    let lens = &lens.with_strangers_of(scanned);
    if scanned == lens {
        return Ok(());
    }
    let mut lacking: Vec<Why> = Vec::new();
    for entry in entries {
        lacking.extend(lens.lacks(scanned, &entry.outcome()?));
    }
    match lacking.first() {
        Some(&why) => {
            let (place, objects) = (place.to_string(), lacking.len());
            Err(ShardError::Lacks { place, objects, why }.into())
        }
        None => Ok(()),
    }
}

/// What reading each object came to; each object of the listing must have been read, once.
fn entries(agreed: &Agreed, files: &Files, place: &Location) -> Result<Vec<Entry>, PipelineError> {
    let mut wanted: BTreeMap<Name, _> = BTreeMap::new();
    for row in &agreed.rows {
        let listed = listed(row);
        wanted.insert(listed.name.clone(), listed);
    }
    let mut entries = Vec::with_capacity(wanted.len());
    for path in &files.objects {
        let bytes = read_file(path).map_err(PipelineError::Start)?;
        for row in rows_of::<LedgerRow>(bytes)? {
            let entry = Entry::from_row(row);
            if wanted.remove(&entry.listed.name).as_ref() != Some(&entry.listed) {
                let file = path.display().to_string();
                return Err(ShardError::Damaged { file }.into());
            }
            entries.push(entry);
        }
    }
    if wanted.is_empty() {
        return Ok(entries);
    }
    let named: Vec<&str> = wanted.keys().take(NAMED).map(|(_, key)| key.as_str()).collect();
    let missing =
        format!("{} objects were not scanned: {}", wanted.len(), list(&named, wanted.len()));
    Err(ShardError::Incomplete { place: place.to_string(), missing }.into())
}

/// Some of many.
fn list(named: &[&str], of: usize) -> String {
    let more = if of > named.len() { ", …" } else { "" };
    format!("{}{more}", named.join(", "))
}

/// Finds a set of scans that is whole, and brings its files.
async fn bring(
    agreed: &Agreed,
    scratch: &Path,
    others: &BTreeSet<u32>,
    place: &Location,
) -> Result<Files, PipelineError> {
    let depot = &agreed.depot;
    let keys = depot.keys().await?;
    let mut sets: BTreeMap<u32, BTreeSet<u32>> = BTreeMap::new();
    for shard in keys.iter().filter_map(|key| shard_of(key)) {
        sets.entry(shard.of).or_default().insert(shard.number);
    }
    let whole = |(of, numbers): &(&u32, &BTreeSet<u32>)| numbers.len() == **of as usize;
    if let Some((of, _)) = sets.iter().find(whole) {
        return bring_shards(agreed, *of, scratch).await;
    }
    if keys.iter().any(|key| key == SUCCESS) {
        return bring_records(depot, keys, scratch, others).await;
    }
    let missing = match sets.iter().max_by_key(|(_, numbers)| numbers.len()) {
        Some((of, numbers)) => {
            let missing: Vec<String> =
                (0..*of).filter(|n| !numbers.contains(n)).map(|n| n.to_string()).collect();
            let named: Vec<&str> = missing.iter().take(NAMED).map(String::as_str).collect();
            format!(
                "of {of} shards these are missing: {}; run `overgrant scan … --shard {}/{of}`",
                list(&named, missing.len()),
                missing.first().map_or("0", String::as_str)
            )
        }
        None => "no scan is done yet; run `overgrant scan … --shard 0/1`".to_owned(),
    };
    Err(ShardError::Incomplete { place: place.to_string(), missing }.into())
}

/// `of-0004/shard-0002.json`
fn shard_of(key: &str) -> Option<Shard> {
    let (of, rest) = key.strip_prefix("of-")?.split_once("/shard-")?;
    let (of, number) = (of.parse().ok()?, rest.strip_suffix(".json")?.parse().ok()?);
    let shard = Shard { number, of };
    (number < of && shard.note() == key).then_some(shard)
}

async fn bring_shards(agreed: &Agreed, of: u32, scratch: &Path) -> Result<Files, PipelineError> {
    let damaged = |file: String| ShardError::Damaged { file };
    let mut files = Files::default();
    for number in 0..of {
        let shard = Shard { number, of };
        let note = agreed.depot.get(&shard.note()).await?;
        let note: Option<Note> = note.and_then(|bytes| serde_json::from_slice(&bytes).ok());
        let note = note
            .filter(|n| n.format == FORMAT && n.listing == agreed.pinned.listing.sha256)
            .ok_or_else(|| damaged(shard.note()))?;
        files.facts.push(bring_kept(&agreed.depot, &note.facts, scratch).await?);
        files.objects.extend(bring_kept(&agreed.depot, &note.objects, scratch).await?);
    }
    Ok(files)
}

async fn bring_kept(
    depot: &Depot,
    files: &[KeptFile],
    scratch: &Path,
) -> Result<Vec<PathBuf>, PipelineError> {
    stream::iter(files)
        .map(|file| async move {
            let path = depot.file(&file.path, Some(file), scratch).await?;
            path.ok_or_else(|| ShardError::Damaged { file: file.path.clone() }.into())
        })
        .buffered(IN_FLIGHT)
        .try_collect()
        .await
}

/// What Spark left has no digests: a row for each object is asked for all the same.
/// Files that are of one place and of no use are left where they are.
async fn bring_records(
    depot: &Depot,
    keys: Vec<String>,
    scratch: &Path,
    others: &BTreeSet<u32>,
) -> Result<Files, PipelineError> {
    let mut files = Files::default();
    let rows = keys.into_iter().filter(|key| {
        let useless = place_of(key).is_some_and(|place| others.contains(&place));
        key.starts_with(RECORDS) && key.ends_with(".parquet") && !useless
    });
    let brought: Vec<(String, PathBuf)> = stream::iter(rows)
        .map(|key| async move {
            let path = depot.file(&key, None, scratch).await?;
            let path = path.ok_or_else(|| ShardError::Damaged { file: key.clone() })?;
            Ok::<_, PipelineError>((key, path))
        })
        .buffered(IN_FLIGHT)
        .try_collect()
        .await?;
    for (key, path) in brought {
        if key.starts_with("records/kind=fact/") {
            files.facts.push(vec![path]);
        } else if key.starts_with("records/kind=object/") {
            files.objects.push(path);
        }
    }
    Ok(files)
}

/// The place of a file whose folder says it: `…/place=1a2b3c4d/…`.
fn place_of(key: &str) -> Option<u32> {
    let (_, rest) = key.split_once("/place=")?;
    u32::from_str_radix(rest.split('/').next()?, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_shards() {
        let check = |key: &str, expected: Option<(u32, u32)>| {
            assert_eq!(shard_of(key).map(|shard| (shard.number, shard.of)), expected, "{key}");
        };
        check("of-0004/shard-0002.json", Some((2, 4)));
        check("of-0004/shard-0004.json", None);
        check("of-4/shard-2.json", None);
        check("of-0004/shard-0002/facts-0.parquet", None);
        check("plan.json", None);
    }

    #[test]
    fn places_of_files() {
        assert_eq!(place_of("records/kind=fact/place=0000001f/part-0.parquet"), Some(31));
        assert_eq!(place_of("records/kind=fact/part-0.parquet"), None);
        assert_eq!(place_of("records/kind=fact/place=x/part-0.parquet"), None);
    }
}
