//! Records to facts: knows what the fields of CloudTrail and of the audit log mean.
//!
//! Input: one object's bytes. Output: facts, handed on one by one, and counters and deliveries in a
//! [`Batch`]. No state crosses events, so objects may come in any order and on any thread. A broken
//! object leaves nothing behind but its reject; a broken record leaves its reject and the rest
//! counts.

mod again;
mod audit;
mod changes;
mod cloudtrail;
pub mod clusters;
mod identity;
mod impersonation;
mod login;
mod memo;
mod object;
mod origin;
mod skim;
mod stray;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use memchr::memchr2;
use rustc_hash::FxHashSet;

use crate::decode::find::Records;
use crate::decode::gunzip::{GunzipError, Inflater, Limits};
use crate::decode::lenient::Unread;
use crate::model::arn::PrincipalName;
use crate::model::coverage::LogStream;
use crate::model::digest;
use crate::model::fact::{AwsCallFact, Fact};
use crate::model::outcome::{Hash, Kept, KeptCount, Outcome, Proof};
use crate::model::tally::{Filter, Reason, Stream, Tally};
use crate::model::time::{Hour, Micros, Window};

use clusters::ClusterResolver;
use memo::Memory;
use object::Object;
use skim::Skim;

/// A user agent's family is cut here: it is a label, not evidence.
const FAMILY_CHARS: usize = 40;

/// What the extractors know before they start; part of what a run is.
#[derive(Debug)]
pub struct Context {
    /// Events outside are left out: whole days, so that what a day holds is the same for any window
    /// that needs it.
    pub window: Window,
    /// Unique ids of the principals of the inventory.
    pub relevant_ids: FxHashSet<String>,
    /// Their names, lower-cased, for records without an id.
    pub relevant_names: FxHashSet<PrincipalName>,
    /// Names the cluster of an audit event.
    pub clusters: ClusterResolver,
    /// Caps.
    pub limits: Limits,
    /// Marks stand in place of the names of Secrets, and rejects show no example.
    pub hide_secret_names: bool,
}

impl Context {
    /// Accounts of which deliveries can cover anything: those of clusters and principals; none where
    /// there is no inventory, and then all do.
    #[must_use]
    pub fn accounts(&self) -> BTreeSet<String> {
        let principals = self.relevant_names.iter().map(|name| name.account.clone());
        self.clusters.accounts().map(str::to_owned).chain(principals).collect()
    }

    /// True when a call is one that grants are judged by: of the services that issue and redeem
    /// credentials, of EKS, or by a principal that some grant is about.
    #[must_use]
    pub fn wants(&self, call: &AwsCallFact) -> bool {
        cloudtrail::is_wanted(&call.event_source, &call.caller, self)
    }
}

/// What one or more objects yielded beside facts.
#[derive(Debug, Default)]
pub struct Batch {
    /// Counters.
    pub tally: Tally,
    /// Kept records by hour.
    pub kept: BTreeMap<(Kept, Hour), KeptCount>,
    /// Who delivered when.
    pub proofs: BTreeMap<(LogStream, Hour), Proof>,
    /// Cluster ARN and hour of audit events that may be its own and could not be told to be.
    pub ambiguous: BTreeSet<(String, Hour)>,
    /// First and last hour of records outside the window.
    pub outside: Option<(Hour, Hour)>,
}

impl Batch {
    /// What reading one object came to.
    #[must_use]
    pub fn into_outcome(self) -> Outcome {
        let Batch { tally, kept, proofs, ambiguous, outside } = self;
        Outcome {
            damaged: !tally.damaged.is_empty(),
            rejects: tally.rejects.into_iter().map(|((_, why), reject)| (why, reject)).collect(),
            streams: tally.streams,
            bytes_in: tally.bytes_in,
            bytes_inflated: tally.bytes_inflated,
            kept,
            proofs,
            ambiguous,
            outside,
            units: BTreeSet::new(),
            hash: Hash::NotAsked,
        }
    }

    fn keep(&mut self, kept: Kept, at: Micros, salvaged: bool) {
        self.tally.keep(kept.stream());
        let count = self.kept.entry((kept, at.hour())).or_default();
        count.records += 1;
        if salvaged {
            self.tally.salvage(kept.stream());
            count.salvaged += 1;
        }
    }

    fn is_outside(&mut self, at: Micros) {
        let hour = at.hour();
        let (first, last) = self.outside.unwrap_or((hour, hour));
        self.outside = Some((first.min(hour), last.max(hour)));
    }
}

/// What is passed over, and the records of the file at hand.
#[derive(Debug)]
struct Skimmer {
    skim: Skim,
    records: Records,
}

/// One worker's extractor: scratch buffers and what all workers share.
#[derive(Debug)]
pub struct Extractor {
    context: Arc<Context>,
    /// Those of the context: deliveries of others cover nothing.
    accounts: BTreeSet<String>,
    inflater: Inflater,
    skimmer: Skimmer,
    memory: Memory,
}

impl Extractor {
    /// An extractor for one worker.
    #[must_use]
    pub fn new(context: Arc<Context>) -> Self {
        let accounts = context.accounts();
        let skimmer = Skimmer { skim: Skim::new(&context), records: Records::default() };
        let inflater = Inflater::default();
        Extractor { context, accounts, inflater, skimmer, memory: Memory::default() }
    }

    /// Decodes the object `key`, hands its facts (copies included) to `take` and adds the rest of
    /// what it holds to `batch`. Nothing is handed on before all of the object is inflated and its
    /// checksums were right.
    pub fn object(
        &mut self,
        key: &str,
        bytes: &[u8],
        batch: &mut Batch,
        take: &mut dyn FnMut(Fact<'_>),
    ) {
        self.read(key, bytes, batch, take);
        if self.context.hide_secret_names {
            batch.tally.hide_examples();
        }
    }

    fn read(&mut self, key: &str, bytes: &[u8], batch: &mut Batch, take: &mut dyn FnMut(Fact<'_>)) {
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
        let into = (batch, &mut self.memory);
        Object::new(&self.context, &self.accounts, key, into, take)
            .read(inflated, &mut self.skimmer);
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

/// What stands in a user agent before its first `/` or space.
fn product_of(agent: &[u8]) -> &[u8] {
    agent.get(..memchr2(b'/', b' ', agent).unwrap_or(agent.len())).unwrap_or_default()
}

/// The product of a user agent, bounded, printable.
pub(crate) fn user_agent_family(agent: &str) -> String {
    let product = agent.get(..product_of(agent.as_bytes()).len()).unwrap_or_default();
    product.chars().filter(|c| !c.is_control()).take(FAMILY_CHARS).collect()
}

#[cfg(test)]
mod tests;
