//! A semaphore counted in bytes: objects vary a thousandfold, so their number says little.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Permits are counted in this many bytes, so that any budget fits the semaphore.
const UNIT: u64 = 4096;

/// Bytes in flight: fetched and not yet decoded.
#[derive(Debug, Clone)]
pub struct ByteBudget {
    permits: Arc<Semaphore>,
    units: u32,
}

/// Bytes that are given back when it is dropped.
#[derive(Debug)]
pub struct Permit {
    _held: Option<OwnedSemaphorePermit>,
}

impl ByteBudget {
    /// At most `bytes` in flight, but always one object, however large.
    #[must_use]
    pub fn new(bytes: u64) -> Self {
        let units = u32::try_from(bytes.div_ceil(UNIT)).unwrap_or(u32::MAX).clamp(1, 1 << 28);
        ByteBudget { permits: Arc::new(Semaphore::new(usize::try_from(units).unwrap_or(1))), units }
    }

    /// Waits until `bytes` fit; an object larger than the budget waits until it is alone.
    pub async fn acquire(&self, bytes: u64) -> Permit {
        let units = u32::try_from(bytes.div_ceil(UNIT)).unwrap_or(u32::MAX).clamp(1, self.units);
        // The semaphore is never closed.
        let held = Arc::clone(&self.permits).acquire_many_owned(units).await.ok();
        Permit { _held: held }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn bytes_are_counted_and_given_back() {
        let budget = ByteBudget::new(3 * UNIT);
        let first = budget.acquire(2 * UNIT).await;
        let wait = |bytes| {
            let budget = budget.clone();
            async move { tokio::time::timeout(Duration::from_millis(20), budget.acquire(bytes)).await }
        };
        assert!(wait(2 * UNIT).await.is_err());
        assert!(wait(UNIT).await.is_ok());
        drop(first);
        assert!(wait(1000 * UNIT).await.is_ok(), "one object may exceed the budget alone");
    }
}
