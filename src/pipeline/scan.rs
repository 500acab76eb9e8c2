//! Lists, fetches and extracts: objects in, sorted runs of facts and counters out.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use tokio::sync::mpsc;

use super::world::World;
use super::{Events, PipelineError, Plan};
use crate::extract::clusters::ClusterResolver;
use crate::extract::{Batch, Context, Extractor};
use crate::facts::FactsError;
use crate::facts::sort::{Run, Sorter, SpillDir};
use crate::model::coverage::Deliveries;
use crate::model::digest;
use crate::model::tally::{Reason, Stream, Tally};
use crate::model::time::Window;
use crate::source::budget::ByteBudget;
use crate::source::{Fetched, Prune, Store, fetch, fetch_all};

/// Compressed bytes in flight per thread; more only hides longer latencies.
const IN_FLIGHT_PER_THREAD: u64 = 32 << 20;
/// Requests in flight per thread.
const REQUESTS_PER_THREAD: usize = 32;
/// Facts buffered per thread before they are sorted and spilled. The last buffer of each thread
/// stays in memory until it is folded, so many threads get less.
const SORT_BUFFER: usize = 32 << 20;
const LEAST_SORT_BUFFER: usize = 4 << 20;

/// What will be read.
pub(super) struct Work {
    objects: fetch::Work,
    pub(super) pruned: BTreeMap<&'static str, u64>,
    unreadable: Vec<(String, String)>,
}

impl Work {
    pub(super) fn objects(&self) -> u64 {
        u64::try_from(self.objects.len()).unwrap_or(u64::MAX)
    }

    pub(super) fn bytes(&self) -> u64 {
        self.objects.iter().map(|(_, object)| object.size).sum()
    }

    /// SHA-256 over the sorted keys and sizes.
    pub(super) fn digest(&self) -> String {
        let mut all: Vec<(&str, u64)> =
            self.objects.iter().map(|(_, object)| (object.key.as_str(), object.size)).collect();
        all.sort_unstable();
        let sizes: Vec<[u8; 8]> = all.iter().map(|(_, size)| size.to_be_bytes()).collect();
        let parts = all.iter().zip(&sizes).flat_map(|((key, _), size)| [key.as_bytes(), size]);
        digest::hex(&digest::of_parts(parts), 64)
    }
}

pub(super) fn list(
    plan: &Plan,
    window: Window,
    runtime: &tokio::runtime::Runtime,
) -> Result<Work, PipelineError> {
    let prune = Prune::window(window.since, window.until);
    let mut objects = Vec::new();
    let (mut pruned, mut unreadable) = (BTreeMap::new(), Vec::new());
    for location in &plan.logs {
        let store = Arc::new(runtime.block_on(Store::open(location, &plan.s3))?);
        let listing = runtime.block_on(store.list(&prune))?;
        for (why, n) in listing.pruned {
            *pruned.entry(why).or_default() += n;
        }
        unreadable.extend(listing.unreadable);
        objects.extend(listing.objects.into_iter().map(|object| (Arc::clone(&store), object)));
    }
    if objects.is_empty() {
        let places: Vec<String> = plan.logs.iter().map(ToString::to_string).collect();
        return Err(PipelineError::NoLogs { places: places.join(", ") });
    }
    Ok(Work { objects: Arc::new(objects), pruned, unreadable })
}

/// What the scan yields.
pub(super) struct Scanned {
    pub(super) runs: Vec<Run>,
    pub(super) tally: Tally,
    pub(super) deliveries: Deliveries,
}

pub(super) fn run(
    plan: &Plan,
    window: Window,
    world: &World,
    work: &Work,
    spill: &SpillDir,
    runtime: &tokio::runtime::Runtime,
    events: &mut dyn Events,
) -> Result<Scanned, PipelineError> {
    let arns: Vec<String> = world.clusters.iter().map(|(cluster, _)| cluster.arn.clone()).collect();
    let context = Arc::new(Context {
        window,
        relevant_ids: world.principals.relevant_ids().into_iter().collect(),
        relevant_names: world.principals.relevant_names().iter().cloned().collect(),
        clusters: ClusterResolver::new(&arns, &plan.cluster_map),
        limits: plan.limits,
    });
    let threads = plan.threads.max(1);
    let buffer = (plan.memory / 8 / threads).clamp(LEAST_SORT_BUFFER, SORT_BUFFER);
    let budget = ByteBudget::new(IN_FLIGHT_PER_THREAD * u64::try_from(threads).unwrap_or(1));
    let (sender, receiver) = mpsc::channel::<Fetched>(threads * 4);
    let receiver = Mutex::new(receiver);
    let (done_sender, done) = std::sync::mpsc::channel::<u64>();
    runtime.spawn(fetch_all(
        Arc::clone(&work.objects),
        budget,
        threads * REQUESTS_PER_THREAD,
        sender,
    ));

    let workers = std::thread::scope(|scope| {
        let handles: Vec<_> = (0..threads)
            .map(|_| {
                let done = done_sender.clone();
                let (context, receiver, spill) = (Arc::clone(&context), &receiver, spill);
                scope.spawn(move || worker(context, receiver, Sorter::new(spill, buffer), &done))
            })
            .collect();
        drop(done_sender);
        for bytes in done {
            events.object(bytes);
        }
        handles
            .into_iter()
            .map(|handle| handle.join().map_err(|_| PipelineError::Worker)?.map_err(Into::into))
            .collect::<Result<Vec<Scanned>, PipelineError>>()
    })?;

    let mut all =
        Scanned { runs: Vec::new(), tally: Tally::default(), deliveries: Deliveries::default() };
    for part in workers {
        all.runs.extend(part.runs);
        all.tally.merge(part.tally);
        all.deliveries.merge(part.deliveries);
    }
    for (key, why) in &work.unreadable {
        all.tally.reject(Stream::Objects, key, Reason::Unreadable, why.as_bytes());
    }
    Ok(all)
}

fn worker(
    context: Arc<Context>,
    receiver: &Mutex<mpsc::Receiver<Fetched>>,
    mut sorter: Sorter<'_>,
    done: &std::sync::mpsc::Sender<u64>,
) -> Result<Scanned, FactsError> {
    let mut extractor = Extractor::new(context);
    let mut batch = Batch::default();
    let mut failed = None;
    loop {
        // The lock is held while waiting for an object, never while working on one.
        let next = match receiver.lock() {
            Ok(mut receiver) => receiver.blocking_recv(),
            Err(_) => None,
        };
        let Some(fetched) = next else { break };
        match &fetched.bytes {
            Ok(bytes) => extractor.object(&fetched.object.key, bytes, &mut batch, &mut |fact| {
                if failed.is_none() {
                    failed = sorter.push(fact).err();
                }
            }),
            Err(error) => {
                let example = error.to_string();
                batch.tally.reject(
                    Stream::Objects,
                    &fetched.object.key,
                    Reason::Unreadable,
                    example.as_bytes(),
                );
            }
        }
        if let Some(error) = failed {
            return Err(error);
        }
        // Progress only: whether anybody listens changes nothing.
        done.send(fetched.object.size).ok();
    }
    Ok(Scanned { runs: sorter.finish(), tally: batch.tally, deliveries: batch.deliveries })
}
