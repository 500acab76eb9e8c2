//! Records to facts: knows what the fields of CloudTrail and of the audit log mean.
//!
//! Input: one object's bytes. Output: facts, handed on one by one, and counters and deliveries in a
//! [`Batch`]. No state crosses events, so objects may come in any order and on any thread. A broken
//! object leaves nothing behind but its reject; a broken record leaves its reject and the rest
//! counts.

mod audit;
mod changes;
mod cloudtrail;
pub mod clusters;
mod login;
mod object;

use std::collections::BTreeSet;
use std::sync::Arc;

use rustc_hash::FxHashSet;

use crate::decode::gunzip::{GunzipError, Inflater, Limits};
use crate::decode::lenient::Unread;
use crate::model::arn::PrincipalName;
use crate::model::coverage::{Deliveries, LogStream};
use crate::model::digest;
use crate::model::fact::Fact;
use crate::model::tally::{Filter, Reason, Stream, Tally};
use crate::model::time::{Hour, MICROS_PER_HOUR, Micros, Window};

use clusters::ClusterResolver;
use object::Object;

/// A user agent's family is cut here: it is a label, not evidence.
const FAMILY_CHARS: usize = 40;

/// What the extractors know before they start; part of what a run is.
#[derive(Debug)]
pub struct Context {
    /// Events outside are left out, but for sessions issued up to 12 hours before: they may be used
    /// inside.
    pub window: Window,
    /// Unique ids of the principals of the inventory.
    pub relevant_ids: FxHashSet<String>,
    /// Their names, lower-cased, for records without an id.
    pub relevant_names: FxHashSet<PrincipalName>,
    /// Names the cluster of an audit event.
    pub clusters: ClusterResolver,
    /// Caps.
    pub limits: Limits,
}

/// What one or more objects yielded beside facts.
#[derive(Debug, Default)]
pub struct Batch {
    /// Counters.
    pub tally: Tally,
    /// Who delivered when.
    pub deliveries: Deliveries,
}

/// One worker's extractor: scratch buffers and what all workers share.
#[derive(Debug)]
pub struct Extractor {
    context: Arc<Context>,
    expected: Expected,
    inflater: Inflater,
}

/// Which deliveries can cover anything: records may claim any account and any hour.
#[derive(Debug)]
struct Expected {
    /// Accounts of clusters and principals; empty where there is no inventory.
    accounts: BTreeSet<String>,
    /// The window, and a day around it: silence is judged by what came before and after.
    around: Window,
}

impl Expected {
    fn of(context: &Context) -> Self {
        let principals = context.relevant_names.iter().map(|name| name.account.clone());
        let accounts = context.clusters.accounts().map(str::to_owned).chain(principals).collect();
        let Window { since, until } = context.window;
        let around = Window {
            since: Micros(since.0.saturating_sub(24 * MICROS_PER_HOUR)),
            until: Micros(until.0.saturating_add(24 * MICROS_PER_HOUR)),
        };
        Expected { accounts, around }
    }

    fn holds(&self, stream: &LogStream, hour: Hour) -> bool {
        let account = match stream {
            LogStream::Audit { .. } => None,
            LogStream::CloudTrail { account, .. } => Some(account),
        };
        self.around.contains(hour.start())
            && account
                .is_none_or(|account| self.accounts.is_empty() || self.accounts.contains(account))
    }
}

impl Extractor {
    /// An extractor for one worker.
    #[must_use]
    pub fn new(context: Arc<Context>) -> Self {
        let expected = Expected::of(&context);
        Extractor { context, expected, inflater: Inflater::default() }
    }

    /// Decodes the object `key`, hands its facts (copies included) to `take` and adds the rest of
    /// what it holds to `batch`. Nothing is handed on before all of the object is inflated and its
    /// checksums were right.
    pub fn object(
        &mut self,
        key: &str,
        bytes: &[u8],
        batch: &mut Batch,
        take: &mut dyn FnMut(Fact),
    ) {
        batch.tally.bytes_in += u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        if bytes.is_empty() {
            // A key that ends in a slash is how consoles show a folder.
            if key.ends_with('/') {
                batch.tally.filter(Stream::Objects, Filter::NotALog);
            } else {
                batch.tally.reject(Stream::Objects, key, Reason::Empty, b"");
            }
            return;
        }
        let inflated = match self.inflater.inflate(bytes, self.context.limits) {
            Ok(inflated) => inflated,
            Err(error) => {
                let reason = match error {
                    GunzipError::Broken => Reason::BadGzip,
                    GunzipError::TooLarge => Reason::TooLarge,
                };
                batch.tally.reject(Stream::Objects, key, reason, bytes);
                return;
            }
        };
        batch.tally.bytes_inflated += u64::try_from(inflated.len()).unwrap_or(u64::MAX);
        Object::new(&self.context, &self.expected, key, batch, take).read(inflated);
    }
}

fn reason_of(unread: Unread) -> Reason {
    match unread {
        Unread::Broken | Unread::Cut => Reason::BadJson,
        Unread::NotAnObject => Reason::NotAnObject,
    }
}

/// 128 bits over the parts of a record's identity.
pub(crate) fn id_from_parts(parts: &[&[u8]]) -> u128 {
    digest::id(&digest::of_parts(parts.iter().copied()))
}

/// The low 64 bits.
pub(crate) fn low_half(id: u128) -> u64 {
    u64::try_from(id & u128::from(u64::MAX)).unwrap_or(u64::MAX)
}

/// The product of a user agent: what stands before its first `/` or space, bounded, printable.
pub(crate) fn user_agent_family(agent: &str) -> String {
    let product = agent.split(['/', ' ']).next().unwrap_or_default();
    product.chars().filter(|c| !c.is_control()).take(FAMILY_CHARS).collect()
}

/// The event time of a session that may still be used in the window.
pub(crate) fn session_window(window: Window) -> Window {
    const MAX_SESSION_HOURS: i64 = 12;
    let before = MAX_SESSION_HOURS * crate::model::time::MICROS_PER_HOUR;
    Window { since: Micros(window.since.0.saturating_sub(before)), until: window.until }
}

#[cfg(test)]
mod tests;
