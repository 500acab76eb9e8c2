//! Fetches many objects ahead of the workers, in flight as many as the byte budget allows.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures::StreamExt;
use futures::stream;
use tokio::sync::mpsc;

use super::budget::{ByteBudget, Permit};
use super::{FetchError, Object, Store};

/// An object and its bytes, or why there are none. Dropping it gives its bytes back to the budget.
#[derive(Debug)]
pub struct Fetched {
    /// Its place in the work.
    pub at: usize,
    /// Where from.
    pub store: Arc<Store>,
    /// Which.
    pub object: Object,
    /// What.
    pub bytes: Result<Vec<u8>, FetchError>,
    _permit: Permit,
}

/// What is fetched from where.
#[derive(Debug)]
pub struct Wanted {
    /// Its place in the work.
    pub at: usize,
    /// Where from.
    pub store: Arc<Store>,
    /// Which.
    pub object: Object,
}

/// Fetches `work` in order of start, hands results over as they come, and returns when the last one
/// is handed over or nobody listens any more. Once `stop` is set no further fetch starts, and those
/// under way are left.
pub async fn fetch_all(
    work: impl Iterator<Item = Wanted> + Send,
    budget: ByteBudget,
    max_in_flight: usize,
    stop: Arc<AtomicBool>,
    to: mpsc::Sender<Fetched>,
) {
    let wanted = work.take_while(|_| !stop.load(Ordering::Relaxed));
    let fetches = wanted.map(|Wanted { at, store, object }| {
        let budget = budget.clone();
        async move {
            let permit = budget.acquire(object.size).await;
            let bytes = store.fetch(&object).await;
            Fetched { at, store, object, bytes, _permit: permit }
        }
    });
    let mut fetched = stream::iter(fetches).buffer_unordered(max_in_flight.max(1));
    while let Some(one) = fetched.next().await {
        // Whoever wants to end does not wait for what is under way.
        if stop.load(Ordering::Relaxed) || to.send(one).await.is_err() {
            break;
        }
    }
}
