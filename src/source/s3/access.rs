//! A client whose credentials may run out, and how long it waits for what.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use aws_sdk_s3::Client;
use aws_sdk_s3::config::retry::{RetryConfig, RetryPartition, TokenBucket};
use aws_sdk_s3::config::timeout::TimeoutConfig;
use aws_sdk_s3::config::{Builder, IdentityCache, StalledStreamProtectionConfig};
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};

use super::Bucket;

/// How often one request may ask for new credentials.
const MAX_RENEWALS: usize = 2;

/// Bytes a second that a line must carry: what sends more slowly counts as stalled.
const SLOWEST: usize = 64 << 10;

/// How long to wait for a server, and how often to try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// Without a byte for so long, a connection counts as cut.
    pub stall: Duration,
    /// Attempts of one request.
    pub attempts: u32,
    /// Wait before the second attempt; it doubles each time.
    pub backoff: Duration,
    /// The longest wait.
    pub max_backoff: Duration,
}

impl Default for Patience {
    /// A storm of a minute and a half is waited out: 0.5 + 1 + 2 + … + 20 + 20 + 20 seconds at most.
    fn default() -> Self {
        Patience {
            stall: Duration::from_secs(20),
            attempts: 10,
            backoff: Duration::from_millis(500),
            max_backoff: Duration::from_secs(20),
        }
    }
}

impl Patience {
    /// The wait before a body is continued the n-th time in vain.
    pub(super) fn pause(&self, fruitless: u32) -> Duration {
        self.max_backoff.min(self.backoff.saturating_mul(1 << fruitless.min(16)))
    }

    /// Settings of every request.
    pub(super) fn configure(&self, config: Builder) -> Builder {
        let retries = RetryConfig::standard()
            .with_max_attempts(self.attempts.max(1))
            .with_initial_backoff(self.backoff)
            .with_max_backoff(self.max_backoff);
        // The budget of retries that the SDK shares among requests runs dry in a storm when many
        // objects are on their way; attempts per request are bounded anyway.
        let partition =
            RetryPartition::custom("overgrant").token_bucket(TokenBucket::unlimited()).build();
        let stalls = StalledStreamProtectionConfig::enabled().grace_period(self.stall).build();
        config.retry_config(retries).retry_partition(partition).stalled_stream_protection(stalls)
    }

    /// Settings of requests that send nothing large: their answer begins soon.
    pub(super) fn of_reads(&self) -> Builder {
        self.of_writes(0)
    }

    /// Settings of requests that send so many bytes first.
    pub(super) fn of_writes(&self, bytes: usize) -> Builder {
        let sending = Duration::from_secs(u64::try_from(bytes / SLOWEST).unwrap_or(u64::MAX));
        let timeouts = TimeoutConfig::builder().read_timeout(self.stall + sending).build();
        Builder::new().timeout_config(timeouts)
    }
}

/// The client in use; when the service says that its credentials ran out, another takes its place
/// that asks the chain anew.
#[derive(Debug, Clone)]
pub(super) struct Access {
    current: Arc<RwLock<(u64, Client)>>,
}

impl Access {
    pub(super) fn new(client: Client) -> Self {
        Access { current: Arc::new(RwLock::new((0, client))) }
    }

    fn get(&self) -> (u64, Client) {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Renews unless another request has done so since `seen`.
    fn renew(&self, seen: u64) {
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        if current.0 == seen {
            let cache = IdentityCache::lazy().build();
            let config = current.1.config().to_builder().identity_cache(cache).build();
            *current = (seen + 1, Client::from_conf(config));
        }
    }
}

/// Source: <https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html>.
pub(super) fn is_expired(code: Option<&str>) -> bool {
    matches!(
        code,
        Some(
            "ExpiredToken"
                | "ExpiredTokenException"
                | "InvalidToken"
                | "RequestExpired"
                | "TokenRefreshRequired"
        )
    )
}

impl Bucket {
    /// Makes a request, again with new credentials when they ran out.
    pub(super) async fn ask<T, E, R, F>(
        &self,
        call: impl Fn(Client) -> F,
    ) -> Result<T, SdkError<E, R>>
    where
        F: Future<Output = Result<T, SdkError<E, R>>>,
        E: ProvideErrorMetadata,
    {
        let mut renewals = 0;
        loop {
            let (seen, client) = self.access.get();
            match call(client).await {
                Err(error) if renewals < MAX_RENEWALS && is_expired(error.code()) => {
                    self.access.renew(seen);
                    renewals += 1;
                }
                answer => return answer,
            }
        }
    }
}
