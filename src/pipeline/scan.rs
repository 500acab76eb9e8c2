//! Lists, fetches and extracts: objects in, sorted runs of facts and what each object came to out.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use rustc_hash::{FxHashMap, FxHashSet};
use serde::{Deserialize, Serialize};

use super::fan_out::{Feed, Load, fan_out};
use super::trust::{Trust, is_signed_kind};
use super::world::World;
use super::{Events, PipelineError, Plan};
use crate::extract::clusters::ClusterResolver;
use crate::extract::{Batch, Context, Extractor};
use crate::facts::FactsError;
use crate::facts::sort::{Run, Sorter, SpillDir};
use crate::integrity::Status;
use crate::ledger::diff::ToRead;
use crate::ledger::entries::Delivered;
use crate::ledger::entry::{Details, Entry, Listed, number_of};
use crate::model::digest;
use crate::model::outcome::{Hash, Outcome, Unit};
use crate::model::packed::{self, Packed, PackedError, Packer};
use crate::model::tally::{Counts, Reason, Stream};
use crate::model::time::{Day, Window};
use crate::source::key::read_key;
use crate::source::{Fetched, Location, Object, Prune, S3Options, Store, Wanted};

/// Compressed bytes in flight per thread; more only hides longer latencies.
const IN_FLIGHT_PER_THREAD: u64 = 32 << 20;
/// Facts buffered per thread before they are sorted and spilled. The last buffer of each thread
/// stays in memory until it is folded, so many threads get less.
const SORT_BUFFER: usize = 32 << 20;
const LEAST_SORT_BUFFER: usize = 4 << 20;

/// What is there to be read, by place and key.
pub(super) struct Work {
    /// Held packed: there may be millions.
    pub(super) objects: Arc<Packed<Item>>,
    /// Where they are.
    pub(super) stores: Vec<Arc<Store>>,
    pub(super) pruned: BTreeMap<&'static str, u64>,
    pub(super) unreadable: Vec<(String, String)>,
    pub(super) unlisted: Vec<(String, String)>,
    /// In the order in which they were given.
    pub(super) places: Vec<Share>,
}

/// An object, and what the ledger calls it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Item {
    pub(super) object: Object,
    /// Its bucket; empty for folders.
    pub(super) source: String,
    /// Its name, where that is not its key.
    pub(super) name: Option<String>,
    /// Which of the stores; none where nobody reads.
    pub(super) store: Option<u32>,
}

impl Item {
    /// As the ledger knows it.
    pub(super) fn into_listed(self) -> Listed {
        let Item { object: Object { key, etag, size, .. }, source, name, .. } = self;
        Listed { name: (source, name.unwrap_or(key)), etag, size }
    }

    /// What the ledger calls it, without its bucket.
    pub(super) fn name(&self) -> &str {
        self.name.as_deref().unwrap_or(&self.object.key)
    }

    /// The day of its delivery.
    pub(super) fn day(&self) -> Delivered {
        read_key(self.name()).day
    }
}

/// One place of logs, and its part of the work.
pub(super) struct Share {
    /// As it was given.
    pub(super) place: String,
    pub(super) is_bucket: bool,
    /// Its objects; those that an earlier place holds too are not among them.
    pub(super) range: std::ops::Range<usize>,
    /// Their bytes as stored.
    pub(super) bytes: u64,
    pub(super) pruned: BTreeMap<&'static str, u64>,
    /// Folders and files that cannot be looked at.
    pub(super) hidden: u64,
    /// Requests that listing took.
    pub(super) requests: u64,
}

/// Nothing to read is a mistake, not silence.
pub(super) fn some_logs(work: &Work, logs: &[Location]) -> Result<(), PipelineError> {
    if !work.objects.is_empty() {
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
    /// All objects, as the ledger knows them, with their days.
    pub(super) fn listed(
        &self,
    ) -> impl Iterator<Item = Result<(Delivered, Listed), PackedError>> + '_ {
        self.objects.iter().map(|item| item.map(|item| (item.day(), item.into_listed())))
    }

    /// Where an object is, for who reads.
    pub(super) fn store(&self, item: &Item) -> Option<&Arc<Store>> {
        item.store.and_then(|store| self.stores.get(store as usize))
    }

    /// What has to be fetched, in the order in which it is best read.
    pub(super) fn load(&self, mut picks: Vec<Pick>, threads: usize, in_flight: u64) -> Load {
        // Day by day, so that a run that is interrupted leaves few days half done.
        picks.sort_unstable();
        let bytes = picks.iter().map(|pick| pick.size).sum();
        let amount = (u64::try_from(picks.len()).unwrap_or(u64::MAX), bytes);
        let (objects, stores) = (Arc::clone(&self.objects), self.stores.clone());
        let objects = Queue { picks, at: 0, objects, stores, ready: Vec::new() };
        Load { objects: Box::new(objects), amount, threads, in_flight }
    }
}

/// An object that is to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Pick {
    pub(super) day: Delivered,
    /// Its place in the work.
    pub(super) at: u32,
    pub(super) size: u64,
}

impl From<&ToRead> for Pick {
    fn from(read: &ToRead) -> Self {
        Pick { day: read.day, at: read.at, size: read.size }
    }
}

/// Objects that are named at once; the others are held packed.
const NAMED_AT_ONCE: usize = 8 << 10;

/// Objects in the order in which they are read.
struct Queue {
    picks: Vec<Pick>,
    /// The next of them.
    at: usize,
    objects: Arc<Packed<Item>>,
    stores: Vec<Arc<Store>>,
    /// The next one last.
    ready: Vec<Wanted>,
}

impl Iterator for Queue {
    type Item = Wanted;

    fn next(&mut self) -> Option<Wanted> {
        if self.ready.is_empty() {
            self.fill();
        }
        self.ready.pop()
    }
}

impl Queue {
    /// Names the next objects of a day: whoever waits for more than there is hears of it by their number.
    fn fill(&mut self) {
        let rest = self.picks.get(self.at..).unwrap_or_default();
        let day = rest.first().map(|pick| pick.day);
        let many = rest.iter().take(NAMED_AT_ONCE).take_while(|pick| Some(pick.day) == day).count();
        self.at += many;
        let mut reader = self.objects.reader();
        for pick in rest.iter().take(many) {
            let at = pick.at as usize;
            let Ok(Some(item)) = reader.get(at) else { continue };
            let store = item.store.and_then(|store| self.stores.get(store as usize));
            self.ready.extend(store.map(|store| Wanted {
                at,
                store: Arc::clone(store),
                object: item.object.clone(),
            }));
        }
        // The largest first, so that no thread ends with one while the others have nothing left.
        self.ready.sort_by(|a, b| (a.object.size, b.at).cmp(&(b.object.size, a.at)));
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
        objects: Arc::default(),
        stores: Vec::new(),
        pruned: BTreeMap::new(),
        unreadable: Vec::new(),
        unlisted: Vec::new(),
        places: Vec::new(),
    };
    let mut packer = Packer::default();
    let mut seen = Seen::new(logs.len());
    let mut from = 0;
    for (number, location) in (0_u32..).zip(logs) {
        let store = Arc::new(runtime.block_on(Store::open(location, s3))?);
        let mut listing = runtime.block_on(store.list(&prune))?;
        let hidden = listing.unreadable.len() + listing.unlisted.len();
        for (why, n) in &listing.pruned {
            *work.pruned.entry(why).or_default() += n;
        }
        let (mut objects, mut bytes) = (0, 0);
        for object in listing.objects()? {
            let object = object?;
            let Some(times) = seen.again(&store, &object) else { continue };
            // Two folders may hold files of one relative path.
            let name = (times > 1).then(|| format!("{} ({times})", object.key));
            objects += 1;
            bytes += object.size;
            let source = store.name().to_owned();
            packer.push(&Item { object, source, name, store: Some(number) })?;
        }
        work.unreadable.extend(listing.unreadable);
        work.unlisted.extend(listing.unlisted);
        work.places.push(Share {
            place: location.to_string(),
            is_bucket: matches!(location, Location::S3 { .. }),
            range: from..from + objects,
            bytes,
            pruned: listing.pruned,
            hidden: u64::try_from(hidden).unwrap_or(u64::MAX),
            requests: listing.requests,
        });
        work.stores.push(store);
        from += objects;
    }
    work.objects = Arc::new(packer.finish()?);
    Ok(work)
}

/// Objects that were listed: locations may overlap, and one counts once.
struct Seen {
    /// By digests: there may be millions, and names are long. Of one place alone nobody asks.
    names: Option<FxHashMap<u128, u32>>,
    files: FxHashSet<u128>,
    /// The last one, and how many had its name: those of a place come by name.
    last: (String, u32),
}

impl Seen {
    fn new(places: usize) -> Self {
        let names = (places > 1).then(FxHashMap::default);
        Seen { names, files: FxHashSet::default(), last: Default::default() }
    }

    /// How many have its name by now; `None` for one that was listed before.
    fn again(&mut self, store: &Store, object: &Object) -> Option<u32> {
        let Some(names) = &mut self.names else {
            if self.last.0 != object.key {
                self.last = (object.key.clone(), 0);
            }
            self.last.1 += 1;
            return Some(self.last.1);
        };
        let known = names.entry(number_of(store.name(), &object.key)).or_default();
        let again = match store.path(object) {
            Some(path) => {
                let path = std::path::absolute(path).unwrap_or_default();
                let path = digest::of_bytes(path.as_os_str().as_encoded_bytes());
                !self.files.insert(digest::id(&path))
            }
            None => *known > 0,
        };
        *known += u32::from(!again);
        (!again).then_some(*known)
    }
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
    pub(super) outcomes: Packed<(u32, Details)>,
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

/// What one thread of a scan yields.
#[derive(Default)]
struct Part {
    runs: Vec<Run>,
    outcomes: packed::Sorter<(u32, Details)>,
    units: BTreeSet<Unit>,
}

/// Reads the objects at `which`.
pub(super) fn run(
    plan: &Plan,
    context: &Arc<Context>,
    work: &Work,
    which: Vec<Pick>,
    how: How<'_>,
    (spill, runtime): (&SpillDir, &tokio::runtime::Runtime),
    events: &mut dyn Events,
) -> Result<Scanned, PipelineError> {
    if which.is_empty() {
        return Ok(Scanned::default());
    }
    let threads = plan.threads.max(1);
    let buffer = (plan.memory / 8 / threads).clamp(LEAST_SORT_BUFFER, SORT_BUFFER);
    let in_flight = IN_FLIGHT_PER_THREAD * u64::try_from(threads).unwrap_or(1);
    let wanted = which.len();
    let load = work.load(which, threads, in_flight);
    let parts = fan_out(load, &plan.stop, runtime, events, |feed| {
        worker(Arc::clone(context), feed, Sorter::new(spill, buffer), how, plan)
    })?;

    let (mut all, mut outcomes) = (Scanned::default(), packed::Sorter::default());
    for part in parts {
        all.runs.extend(part.runs);
        all.units.extend(part.units);
        outcomes.append(part.outcomes)?;
    }
    all.outcomes = outcomes.finish()?.packed()?;
    if all.outcomes.len() < wanted && !plan.stop.is_set() {
        return Err(PipelineError::Worker);
    }
    Ok(all)
}

/// An object that was read.
pub(super) struct ReadObject {
    pub(super) day: Delivered,
    pub(super) listed: Listed,
    pub(super) details: Details,
}

impl ReadObject {
    /// What the ledger keeps of it.
    pub(super) fn into_entry(self, days: (Day, Day), lens: &Arc<str>) -> Entry {
        let ReadObject { listed, details, .. } = self;
        Entry { listed, days, lens: Arc::clone(lens), details }
    }
}

/// What was read, in the order of the work.
pub(super) fn read_objects<'a>(
    work: &'a Work,
    outcomes: &'a Packed<(u32, Details)>,
) -> impl Iterator<Item = Result<ReadObject, PackedError>> + 'a {
    let mut reader = work.objects.reader();
    outcomes.iter().filter_map(move |outcome| {
        let read = || {
            let (at, details) = outcome?;
            let Some(item) = reader.get(at as usize)?.cloned() else { return Ok(None) };
            let day = item.day();
            Ok(Some(ReadObject { day, listed: item.into_listed(), details }))
        };
        read().transpose()
    })
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
) -> Result<Part, PipelineError> {
    let mut extractor = Extractor::new(context);
    let mut scanned = Part::default();
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
            return Err(error.into());
        }
        scanned.units.extend(&units);
        let outcome = Outcome { units, hash, ..batch.into_outcome() };
        let details = Details::of(&outcome).map_err(FactsError::from)?;
        scanned.outcomes.push((u32::try_from(fetched.at).unwrap_or(u32::MAX), details))?;
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
