//! Objects fetched ahead within a byte budget, and threads that work on them as they come.

use std::sync::{Mutex, mpsc as channel};

use tokio::sync::mpsc;

use super::{Events, PipelineError, Stop};
use crate::source::budget::ByteBudget;
use crate::source::{Fetched, Object, Wanted, fetch_all};

/// Requests in flight per thread, so many that the bytes in flight bind first but for small objects: of
/// those a bucket 75 ms away still answers 1,700 a second for each thread.
const REQUESTS_PER_THREAD: usize = 128;
/// Requests in flight at all: each may have a socket, of which many systems allow a process 1024.
const MOST_REQUESTS: usize = 512;

/// Where a thread gets its objects.
pub(super) struct Feed<'a> {
    receiver: &'a Mutex<mpsc::Receiver<Fetched>>,
    done: channel::Sender<Done>,
}

/// What came of an object, for progress.
struct Done {
    bytes: u64,
    records: u64,
    rejects: u64,
}

impl Feed<'_> {
    /// The next object; `None` when there are no more.
    pub(super) fn next(&self) -> Option<Fetched> {
        // The lock is held while waiting for an object, never while working on one.
        self.receiver.lock().ok()?.blocking_recv()
    }

    /// Tells that an object is done. Progress only: whether anybody listens changes nothing.
    pub(super) fn done(&self, object: &Object, records: u64, rejects: u64) {
        self.done.send(Done { bytes: object.size, records, rejects }).ok();
    }
}

/// Objects, and how many of them at once.
pub(super) struct Load {
    pub(super) objects: Box<dyn Iterator<Item = Wanted> + Send>,
    /// How many they are, and their bytes as stored.
    pub(super) amount: (u64, u64),
    pub(super) threads: usize,
    /// Compressed bytes fetched and not yet worked on.
    pub(super) in_flight: u64,
}

/// Runs `work` on so many threads until all objects are fetched and taken, or `stop` is set; returns
/// what each thread came to.
pub(super) fn fan_out<T: Send, E: Into<PipelineError> + Send>(
    load: Load,
    stop: &Stop,
    runtime: &tokio::runtime::Runtime,
    events: &mut dyn Events,
    work: impl Fn(&Feed<'_>) -> Result<T, E> + Sync,
) -> Result<Vec<T>, PipelineError> {
    let Load { objects, amount, threads, in_flight } = load;
    events.total(amount.0, amount.1);
    let (sender, receiver) = mpsc::channel::<Fetched>(threads * 4);
    let receiver = Mutex::new(receiver);
    let (done, all_done) = channel::channel::<Done>();
    runtime.spawn(fetch_all(
        objects,
        ByteBudget::new(in_flight),
        (threads * REQUESTS_PER_THREAD).min(MOST_REQUESTS),
        stop.flag(),
        sender,
    ));
    std::thread::scope(|scope| {
        let handles: Vec<_> = (0..threads)
            .map(|_| {
                let feed = Feed { receiver: &receiver, done: done.clone() };
                let work = &work;
                scope.spawn(move || work(&feed))
            })
            .collect();
        drop(done);
        for Done { bytes, records, rejects } in all_done {
            events.counted(records, rejects);
            events.object(bytes);
        }
        handles
            .into_iter()
            .map(|handle| handle.join().map_err(|_| PipelineError::Worker)?.map_err(Into::into))
            .collect()
    })
}
