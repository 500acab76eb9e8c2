//! Lists, fetches and extracts: objects in, sorted runs of facts and what each object came to out.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use rustc_hash::{FxHashMap, FxHashSet};

use super::fan_out::{Feed, Load, fan_out};
use super::trust::{Trust, is_signed_kind};
use super::world::World;
use super::{Events, PipelineError, Plan};
use crate::extract::clusters::ClusterResolver;
use crate::extract::{Batch, Context, Extractor};
use crate::facts::FactsError;
use crate::facts::sort::{Run, Sorter, SpillDir};
use crate::integrity::Status;
use crate::ledger::entry::{Details, Listed};
use crate::model::digest;
use crate::model::outcome::{Hash, Outcome, Unit};
use crate::model::tally::{Counts, Reason, Stream};
use crate::model::time::{Day, Window};
use crate::source::key::read_key;
use crate::source::{Fetched, Location, Object, Prune, S3Options, Store};

/// Compressed bytes in flight per thread; more only hides longer latencies.
const IN_FLIGHT_PER_THREAD: u64 = 32 << 20;
/// Facts buffered per thread before they are sorted and spilled. The last buffer of each thread
/// stays in memory until it is folded, so many threads get less.
const SORT_BUFFER: usize = 32 << 20;
const LEAST_SORT_BUFFER: usize = 4 << 20;

/// What is there to be read.
pub(super) struct Work {
    pub(super) objects: Vec<(Arc<Store>, Object)>,
    /// The same as the ledger knows them.
    pub(super) listed: Vec<Listed>,
    pub(super) pruned: BTreeMap<&'static str, u64>,
    pub(super) unreadable: Vec<(String, String)>,
    pub(super) unlisted: Vec<(String, String)>,
    /// In the order in which they were given.
    pub(super) places: Vec<Share>,
}

/// One place of logs, and its part of the work.
pub(super) struct Share {
    /// As it was given.
    pub(super) place: String,
    pub(super) is_bucket: bool,
    /// Its objects; those that an earlier place holds too are not among them.
    pub(super) range: std::ops::Range<usize>,
    pub(super) pruned: BTreeMap<&'static str, u64>,
    /// Folders and files that cannot be looked at.
    pub(super) hidden: u64,
    /// Requests that listing took.
    pub(super) requests: u64,
}

/// Nothing to read is a mistake, not silence.
pub(super) fn some_logs(work: &Work, logs: &[Location]) -> Result<(), PipelineError> {
    if !work.listed.is_empty() {
        return Ok(());
    }
    let places: Vec<String> = logs.iter().map(ToString::to_string).collect();
    let unlisted = match work.unlisted.as_slice() {
        [] => String::new(),
        [(folder, why), ..] => format!(
            "; {} folders cannot be listed, the first of them {folder}: {why}",
            work.unlisted.len()
        ),
    };
    Err(PipelineError::NoLogs { places: places.join(", "), unlisted })
}

impl Work {
    /// Where each object is.
    pub(super) fn objects(&self) -> impl Iterator<Item = &(Arc<Store>, Object)> {
        self.objects.iter()
    }
}

/// The days that a window needs: its own and one more on each side, as keys tell them.
pub(super) fn days_of(window: Window) -> (Day, Day) {
    Prune::window(window.since, window.until).days.unwrap_or_default()
}

pub(super) fn list(
    logs: &[Location],
    s3: &S3Options,
    window: Window,
    runtime: &tokio::runtime::Runtime,
) -> Result<Work, PipelineError> {
    let prune = Prune::window(window.since, window.until);
    let mut work = Work {
        objects: Vec::new(),
        listed: Vec::new(),
        pruned: BTreeMap::new(),
        unreadable: Vec::new(),
        unlisted: Vec::new(),
        places: Vec::new(),
    };
    // By digests: there may be millions, and names are long.
    let mut names: FxHashMap<u128, u32> = FxHashMap::default();
    let mut files: FxHashSet<u128> = FxHashSet::default();
    let number = |parts: [&[u8]; 2]| digest::id(&digest::of_parts(parts));
    for location in logs {
        let store = Arc::new(runtime.block_on(Store::open(location, s3))?);
        let listing = runtime.block_on(store.list(&prune))?;
        let from = work.listed.len();
        let hidden = listing.unreadable.len() + listing.unlisted.len();
        for (why, n) in &listing.pruned {
            *work.pruned.entry(why).or_default() += n;
        }
        work.unreadable.extend(listing.unreadable);
        work.unlisted.extend(listing.unlisted);
        for object in listing.objects {
            let mut name = (store.name().to_owned(), object.key.clone());
            // Locations may overlap: an object counts once.
            let number_of_name = number([name.0.as_bytes(), name.1.as_bytes()]);
            let known = names.entry(number_of_name).or_default();
            let again = match object.path() {
                Some(path) => {
                    let path = std::path::absolute(path).unwrap_or_default();
                    !files.insert(number([path.as_os_str().as_encoded_bytes(), b""]))
                }
                None => *known > 0,
            };
            if again {
                continue;
            }
            *known += 1;
            // Two folders may hold files of one relative path.
            if *known > 1 {
                name.1 = format!("{} ({known})", name.1);
            }
            work.listed.push(Listed { name, etag: object.etag.clone(), size: object.size });
            work.objects.push((Arc::clone(&store), object));
        }
        work.places.push(Share {
            place: location.to_string(),
            is_bucket: matches!(location, Location::S3 { .. }),
            range: from..work.listed.len(),
            pruned: listing.pruned,
            hidden: u64::try_from(hidden).unwrap_or(u64::MAX),
            requests: listing.requests,
        });
    }
    Ok(work)
}

/// From the start of the first day to the end of the last: what a day holds is the same for any window.
pub(super) fn whole_days(days: (Day, Day)) -> Window {
    Window { since: days.0.start(), until: Day(days.1.0.saturating_add(1)).start() }
}

/// What the extractors must know.
pub(super) fn context(plan: &Plan, days: (Day, Day), world: &World) -> Context {
    Context {
        window: whole_days(days),
        relevant_ids: world.principals.relevant_ids().into_iter().collect(),
        relevant_names: world.principals.relevant_names().iter().cloned().collect(),
        clusters: ClusterResolver::new(&world.arns(), &plan.cluster_map),
        limits: plan.limits,
        hide_secret_names: plan.hide_secret_names,
    }
}

/// What a scan yields.
#[derive(Default)]
pub(super) struct Scanned {
    pub(super) runs: Vec<Run>,
    /// What each object came to, by its place in the work.
    pub(super) outcomes: BTreeMap<usize, Details>,
    /// Where their facts went.
    pub(super) units: BTreeSet<Unit>,
}

/// What counts of what is read.
#[derive(Clone, Copy)]
pub(super) struct How<'a> {
    /// Facts of these days alone.
    pub(super) only: Option<&'a BTreeSet<Unit>>,
    /// Logs that digests do not contradict.
    pub(super) trust: Option<&'a Trust>,
}

/// Reads the objects at `which`.
pub(super) fn run(
    plan: &Plan,
    context: &Arc<Context>,
    work: &Work,
    which: impl IntoIterator<Item = usize>,
    how: How<'_>,
    (spill, runtime): (&SpillDir, &tokio::runtime::Runtime),
    events: &mut dyn Events,
) -> Result<Scanned, PipelineError> {
    // Day by day, so that a run that is interrupted leaves few days half done; of a day the largest
    // first, so that no thread ends with one while the others have nothing left.
    let mut order: Vec<(Option<Day>, Reverse<u64>, usize)> = which
        .into_iter()
        .filter_map(|at| {
            let listed = work.listed.get(at)?;
            Some((read_key(&listed.name.1).day, Reverse(listed.size), at))
        })
        .collect();
    order.sort_unstable();
    let objects: Vec<_> =
        order.iter().filter_map(|(.., at)| work.objects.get(*at).cloned()).collect();
    if objects.is_empty() {
        return Ok(Scanned::default());
    }
    let threads = plan.threads.max(1);
    let buffer = (plan.memory / 8 / threads).clamp(LEAST_SORT_BUFFER, SORT_BUFFER);
    let in_flight = IN_FLIGHT_PER_THREAD * u64::try_from(threads).unwrap_or(1);
    let load = Load { objects, threads, in_flight };
    let workers = fan_out(load, &plan.stop, runtime, events, |feed| {
        worker(Arc::clone(context), feed, Sorter::new(spill, buffer), how, plan)
    })?;

    let mut all = Scanned::default();
    for part in workers {
        all.runs.extend(part.runs);
        all.units.extend(part.units);
        let outcomes = part.outcomes.into_iter();
        all.outcomes.extend(outcomes.filter_map(|(n, outcome)| Some((order.get(n)?.2, outcome))));
    }
    Ok(all)
}

/// The hash of a log for the ledger, and why its records must not be used.
fn check(
    trust: &Trust,
    plan: &Plan,
    fetched: &Fetched,
    bytes: &[u8],
) -> (Hash, Option<&'static str>) {
    let key = &fetched.object.key;
    if !is_signed_kind(key) {
        return (Hash::NotAsked, None);
    }
    let (status, why, hash) = trust.of(fetched.store.name(), key, bytes, plan.limits);
    let use_all = plan.verify.as_ref().is_some_and(|verify| verify.use_unverified);
    let refused = (status == Status::Invalid && !use_all).then_some(why);
    (hash, refused)
}

fn worker(
    context: Arc<Context>,
    feed: &Feed<'_>,
    mut sorter: Sorter<'_>,
    how: How<'_>,
    plan: &Plan,
) -> Result<Scanned, FactsError> {
    let mut extractor = Extractor::new(context);
    let mut scanned = Scanned::default();
    let mut failed = None;
    while let Some(fetched) = feed.next() {
        let mut batch = Batch::default();
        let mut units = BTreeSet::new();
        let mut last = None;
        let key = &fetched.object.key;
        let (mut hash, mut refused) = (Hash::NotAsked, None);
        if let (Ok(bytes), Some(trust)) = (&fetched.bytes, how.trust) {
            (hash, refused) = check(trust, plan, &fetched, bytes);
        }
        match &fetched.bytes {
            Ok(bytes) if let Some(why) = refused => {
                batch.tally.bytes_in += u64::try_from(bytes.len()).unwrap_or(u64::MAX);
                batch.tally.reject(Stream::Objects, key, Reason::DigestMismatch, why.as_bytes());
            }
            Ok(bytes) => extractor.object(key, bytes, &mut batch, &mut |fact| {
                let unit = sorter.unit_of(&fact);
                // Facts of an object are nearly all of one day and place.
                if last != Some(unit) {
                    units.insert(unit);
                    last = Some(unit);
                }
                if failed.is_none() && how.only.is_none_or(|only| only.contains(&unit)) {
                    failed = sorter.push(&fact).err();
                }
            }),
            Err(error) => {
                let example = error.to_string();
                batch.tally.reject(Stream::Objects, key, Reason::Unreadable, example.as_bytes());
            }
        }
        if let Some(error) = failed {
            return Err(error);
        }
        scanned.units.extend(&units);
        let outcome = Outcome { units, hash, ..batch.into_outcome() };
        scanned.outcomes.insert(fetched.at, Details::of(&outcome)?);
        let (records, rejects) = counted(&outcome);
        // What is read again for its days was rejected before.
        let rejects = if how.only.is_none() { rejects } else { 0 };
        feed.done(&fetched.object, records, rejects);
    }
    scanned.runs = sorter.finish();
    Ok(scanned)
}

/// Records of an object, and how much of it was rejected.
fn counted(outcome: &Outcome) -> (u64, u64) {
    let records = outcome.streams.iter().filter(|(stream, _)| **stream != Stream::Objects);
    let rejects = outcome.streams.values().map(Counts::rejected_total).sum();
    (records.map(|(_, counts)| counts.seen).sum(), rejects)
}
