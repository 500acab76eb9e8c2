//! CloudTrail's event history, where no trail leaves files: `LookupEvents`.
//!
//! Output: records of one account and region, newest first, in parts, so that whoever keeps them can go
//! on where an earlier run ended. It holds management events of the last 90 days, no data events.
//!
//! One account and region answers two requests a second with 50 events each, whoever asks; one
//! attribute may be given. All events of a busy account are mostly calls that say nothing of who came
//! to a cluster (`kms:Decrypt` alone can be most of them), so what is asked for are the four services that
//! issue credentials or are EKS itself, one after the other: [`SOURCES`]. Calls of principals to other
//! services are not seen this way. Source:
//! <https://docs.aws.amazon.com/awscloudtrail/latest/APIReference/API_LookupEvents.html>.

use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_sdk_cloudtrail::Client;
use aws_sdk_cloudtrail::primitives::DateTime;
use aws_sdk_cloudtrail::types::{LookupAttribute, LookupAttributeKey};

use super::Reach;
use super::answer::{is, why};
use crate::model::time::{MICROS_PER_SECOND, Micros};

/// Services whose events are asked for: those that extraction reads whoever the caller is.
pub const SOURCES: [&str; 4] = [
    "sts.amazonaws.com",
    "eks.amazonaws.com",
    "eks-auth.amazonaws.com",
    "rolesanywhere.amazonaws.com",
];
/// How far back the history goes.
pub const DAYS: i64 = 90;
/// Two requests a second, with some room for others who ask.
pub const PACE: Duration = Duration::from_millis(550);
/// Pages of a part: a minute of asking, and some ten megabytes.
const PAGES_PER_PART: usize = 100;
/// Events of a page; the most there may be.
const PAGE: i32 = 50;
/// Attempts of one request by the SDK.
const ATTEMPTS: u32 = 4;
/// Waits after a throttled request, beyond those of the SDK.
const MAX_WAITS: u32 = 6;

/// An account and region that can be asked.
#[derive(Debug, Clone)]
pub struct History {
    client: Client,
    /// Twelve digits.
    pub account: String,
    /// `us-west-2`
    pub region: String,
    pace: Duration,
}

/// Records of one service of a stretch of time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// All events from here on are in it…
    pub from: Micros,
    /// …to here, exclusive.
    pub to: Micros,
    /// CloudTrail records as JSON.
    pub records: Vec<String>,
}

impl History {
    /// The history of a region in every account there is a role for, or in one's own.
    ///
    /// # Errors
    /// When an account cannot be reached; in words.
    pub async fn open(reach: &Reach, region: &str, pace: Duration) -> Result<Vec<History>, String> {
        let mut all = Vec::new();
        for role in reach.everybody() {
            let config = reach.config(Some(region.to_owned()), role).await?;
            let account = Reach::account(&config).await?;
            let retry = RetryConfig::adaptive().with_max_attempts(ATTEMPTS);
            let own = aws_sdk_cloudtrail::config::Builder::from(&config).retry_config(retry);
            let (client, region) = (Client::from_conf(own.build()), region.to_owned());
            all.push(History { client, account, region, pace });
        }
        Ok(all)
    }

    /// Asks for the events of `source` from `from` to `to`, both whole seconds, and hands on parts,
    /// newest first. What was handed on needs not be asked for again.
    ///
    /// # Errors
    /// When AWS refuses, in words, or `take` fails.
    pub async fn fetch<E: From<String>>(
        &self,
        source: &str,
        from: Micros,
        to: Micros,
        take: &mut dyn FnMut(Part) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut upper = to;
        let mut token = None;
        let mut records = Vec::new();
        for page in 1.. {
            let answer = self.page(source, from, to, token.take()).await?;
            let mut oldest = None;
            for event in answer.events.unwrap_or_default() {
                let at = event.event_time.map(|at| at.secs() * MICROS_PER_SECOND);
                oldest = at.map_or(oldest, |at| Some(oldest.map_or(at, |old: i64| old.min(at))));
                records.extend(event.cloud_trail_event);
            }
            token = answer.next_token.filter(|token| !token.is_empty());
            if token.is_none() {
                return take(Part { from, to: upper, records });
            }
            // Of the second of the oldest event there may be more on the next page.
            let whole_from = oldest.map(|at| Micros(at + MICROS_PER_SECOND));
            if let Some(lower) =
                whole_from.filter(|lower| page % PAGES_PER_PART == 0 && *lower < upper)
            {
                take(Part { from: lower, to: upper, records: std::mem::take(&mut records) })?;
                upper = lower;
            }
        }
        Ok(())
    }

    async fn page(
        &self,
        source: &str,
        from: Micros,
        to: Micros,
        token: Option<String>,
    ) -> Result<aws_sdk_cloudtrail::operation::lookup_events::LookupEventsOutput, String> {
        let attribute = LookupAttribute::builder()
            .attribute_key(LookupAttributeKey::EventSource)
            .attribute_value(source)
            .build()
            .map_err(|error| error.to_string())?;
        let mut wait = self.pace;
        for attempt in 0.. {
            tokio::time::sleep(wait).await;
            // Both ends count for AWS; `to` does not for us.
            let answer = self
                .client
                .lookup_events()
                .lookup_attributes(attribute.clone())
                .start_time(DateTime::from_secs(from.0 / MICROS_PER_SECOND))
                .end_time(DateTime::from_secs(to.0 / MICROS_PER_SECOND - 1))
                .max_results(PAGE)
                .set_next_token(token.clone())
                .send()
                .await;
            match answer {
                Ok(answer) => return Ok(answer),
                Err(error) if attempt < MAX_WAITS && is(&error, "Throttling") => wait *= 2,
                Err(error) => return Err(why("cloudtrail:LookupEvents", "*", &error)),
            }
        }
        Err("cloudtrail:LookupEvents was not asked".to_owned())
    }
}
