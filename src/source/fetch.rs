//! Fetches many objects ahead of the workers, in flight as many as the byte budget allows.

use std::sync::Arc;

use futures::StreamExt;
use futures::stream;
use tokio::sync::mpsc;

use super::budget::{ByteBudget, Permit};
use super::{FetchError, Object, Store};

/// An object and its bytes, or why there are none. Dropping it gives its bytes back to the budget.
#[derive(Debug)]
pub struct Fetched {
    /// Which.
    pub object: Object,
    /// What.
    pub bytes: Result<Vec<u8>, FetchError>,
    _permit: Permit,
}

/// What is fetched from where; shared, because a run may list a million objects.
pub type Work = Arc<Vec<(Arc<Store>, Object)>>;

/// Fetches `work` in order of start, hands results over as they come, and returns when the last one
/// is handed over or nobody listens any more.
pub async fn fetch_all(
    work: Work,
    budget: ByteBudget,
    max_in_flight: usize,
    to: mpsc::Sender<Fetched>,
) {
    let fetches = (0..work.len()).filter_map(|at| work.get(at).cloned()).map(|(store, object)| {
        let budget = budget.clone();
        async move {
            let permit = budget.acquire(object.size).await;
            let bytes = store.fetch(&object).await;
            Fetched { object, bytes, _permit: permit }
        }
    });
    let mut fetched = stream::iter(fetches).buffer_unordered(max_in_flight.max(1));
    while let Some(one) = fetched.next().await {
        if to.send(one).await.is_err() {
            break;
        }
    }
}
