//! Records to facts: knows what the fields of CloudTrail and of the audit log mean.
//!
//! Input: one object's bytes. Output: facts, counters and deliveries in a [`Batch`]. No state
//! crosses events, so objects may come in any order and on any thread. A broken object leaves
//! nothing behind but its reject; a broken record leaves its reject and the rest counts.

pub mod audit;
pub mod cloudtrail;
pub mod clusters;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use rustc_hash::FxHashSet;

use crate::decode::envelope::{Envelope, cluster_from_log_group};
use crate::decode::gunzip::{GunzipError, Inflater, Limits};
use crate::decode::lenient::Unread;
use crate::decode::sniff::{Kind, kind};
use crate::decode::split;
use crate::model::arn::PrincipalName;
use crate::model::coverage::{Deliveries, LogStream};
use crate::model::digest;
use crate::model::fact::Fact;
use crate::model::tally::{Filter, Reason, Stream, Tally};
use crate::model::time::{Hour, Micros, Window};

use clusters::ClusterResolver;

/// Deepest nesting of arrays and carriers around a record; forged deeper ones are rejected.
const MAX_CARRIERS: usize = 4;
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

/// What one or more objects yielded.
#[derive(Debug, Default)]
pub struct Batch {
    /// Facts, copies included.
    pub facts: Vec<Fact>,
    /// Counters.
    pub tally: Tally,
    /// Who delivered when.
    pub deliveries: Deliveries,
}

/// One worker's extractor: scratch buffers and what all workers share.
#[derive(Debug)]
pub struct Extractor {
    context: Arc<Context>,
    inflater: Inflater,
}

impl Extractor {
    /// An extractor for one worker.
    #[must_use]
    pub fn new(context: Arc<Context>) -> Self {
        Extractor { context, inflater: Inflater::default() }
    }

    /// Decodes the object `key` and appends what it holds to `batch`.
    pub fn object(&mut self, key: &str, bytes: &[u8], batch: &mut Batch) {
        batch.tally.bytes_in += u64::try_from(bytes.len()).unwrap_or(u64::MAX);
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
        let mut object = Object {
            context: &self.context,
            key,
            batch,
            hours: BTreeMap::new(),
            has_records: false,
            filter: None,
        };
        let mut broken = None;
        for value in split::values(inflated) {
            match value {
                Ok(value) => {
                    if !object.value(value, 0) && broken.is_none() {
                        broken = Some((Reason::UnknownFormat, value));
                    }
                }
                Err(at) => {
                    broken = Some((Reason::BadJson, inflated.get(at.at..).unwrap_or_default()));
                }
            }
        }
        object.finish(broken, inflated);
    }
}

/// The state of one object while it is read.
struct Object<'a> {
    context: &'a Context,
    key: &'a str,
    batch: &'a mut Batch,
    hours: BTreeMap<(LogStream, Hour), (u64, u64)>,
    has_records: bool,
    filter: Option<Filter>,
}

impl Object<'_> {
    /// Takes one value; false when its shape is unknown.
    fn value(&mut self, value: &[u8], depth: usize) -> bool {
        if depth > MAX_CARRIERS {
            return false;
        }
        match kind(value) {
            Kind::CloudTrailFile(records) => {
                for record in split::elements(records) {
                    match record {
                        Ok(record) => self.cloudtrail_record(record),
                        Err(_) => self.reject(Stream::CloudTrail, Reason::BadJson, records),
                    }
                }
                self.has_records = true;
            }
            Kind::CloudTrailRecord(record) => self.cloudtrail_record(record),
            Kind::CloudTrailText(text) => match serde_json::from_slice::<Cow<'_, str>>(text) {
                Ok(record) => self.cloudtrail_record(record.as_bytes()),
                Err(_) => self.reject(Stream::CloudTrail, Reason::BadJson, text),
            },
            Kind::LookupEvents(list) | Kind::Array(list) => {
                let mut known = true;
                for element in split::elements(list) {
                    known &= element.is_ok_and(|element| self.value(element, depth + 1));
                }
                return known;
            }
            Kind::AuditEventList(items) => {
                for item in split::elements(items) {
                    match item {
                        Ok(item) => self.audit_event(item, None, None),
                        Err(_) => self.reject(Stream::Audit, Reason::BadJson, items),
                    }
                }
                self.has_records = true;
            }
            Kind::AuditEvent(event) => self.audit_event(event, None, None),
            Kind::CloudWatchMessage(message) => self.cloudwatch_message(message),
            Kind::NotALog => self.filter = self.filter.or(Some(Filter::NotALog)),
            Kind::Unknown => return false,
        }
        true
    }

    fn cloudwatch_message(&mut self, message: &[u8]) {
        let read = Envelope::read(message, |envelope| {
            if envelope.message_type.as_str() == "CONTROL_MESSAGE" {
                self.filter = self.filter.or(Some(Filter::ControlMessage));
                return;
            }
            let stream = envelope.log_stream.as_str();
            let is_eks = cluster_from_log_group(envelope.log_group.as_str()).is_some();
            let is_audit = stream.starts_with("kube-apiserver-audit-");
            for event in envelope.log_events() {
                match event {
                    // A log group of another name may carry CloudTrail, or audit events that a
                    // forwarder renamed: what they are is read from their bytes.
                    Ok((line, _)) if !is_eks && !is_audit => match kind(&line) {
                        Kind::CloudTrailRecord(record) => self.cloudtrail_record(record),
                        Kind::AuditEvent(event) => {
                            self.audit_event(event, Some(envelope), Some(stream));
                        }
                        _ => self.filter_record(Stream::Audit, Filter::OtherStream),
                    },
                    Ok(_) if !is_audit => self.filter_record(Stream::Audit, Filter::OtherStream),
                    Ok((line, _)) => self.audit_event(&line, Some(envelope), Some(stream)),
                    Err(unread) => {
                        self.reject(Stream::Audit, reason_of(unread), message);
                    }
                }
            }
        });
        match read {
            Ok(()) => {}
            Err(unread) => self.reject(Stream::Audit, reason_of(unread), message),
        }
    }

    fn audit_event(&mut self, event: &[u8], envelope: Option<&Envelope<'_>>, stream: Option<&str>) {
        self.has_records = true;
        let owner = envelope.map(|envelope| envelope.owner.as_str());
        let group = envelope.map(|envelope| envelope.log_group.as_str());
        let Some(cluster) = self.context.clusters.resolve(owner, group, self.key) else {
            self.reject(Stream::Audit, Reason::ClusterAmbiguous, event);
            return;
        };
        let cluster = cluster.to_owned();
        let n_before = self.batch.facts.len();
        let outcome = audit::extract(event, &cluster, self.context.window, &mut self.batch.facts);
        let stream = LogStream::Audit { cluster, stream: stream.unwrap_or_default().to_owned() };
        match outcome {
            Ok(Some(at)) => {
                self.delivered(stream, at.hour());
                if self.batch.facts.len() > n_before {
                    self.batch.tally.keep(Stream::Audit);
                } else {
                    self.batch.tally.filter(Stream::Audit, Filter::OutsideWindow);
                }
            }
            Ok(None) => self.reject(Stream::Audit, Reason::BadTime, event),
            Err(unread) => {
                let reason =
                    if unread == Unread::Cut { Reason::Truncated } else { reason_of(unread) };
                self.reject(Stream::Audit, reason, event);
            }
        }
    }

    fn cloudtrail_record(&mut self, record: &[u8]) {
        self.has_records = true;
        match cloudtrail::extract(record, self.context, self.key) {
            Ok(outcome) => {
                if let Some((stream, at)) = outcome.delivered {
                    self.delivered(stream, at.hour());
                }
                match outcome.result {
                    Ok(fact) => {
                        self.batch.facts.push(fact);
                        self.batch.tally.keep(Stream::CloudTrail);
                    }
                    Err(cloudtrail::Left::Filtered(why)) => {
                        self.batch.tally.filter(Stream::CloudTrail, why);
                    }
                    Err(cloudtrail::Left::Rejected(why)) => {
                        self.reject(Stream::CloudTrail, why, record);
                    }
                }
            }
            Err(unread) => self.reject(Stream::CloudTrail, reason_of(unread), record),
        }
    }

    fn delivered(&mut self, stream: LogStream, hour: Hour) {
        self.hours.entry((stream, hour)).or_default().0 += 1;
    }

    fn filter_record(&mut self, stream: Stream, why: Filter) {
        self.has_records = true;
        self.batch.tally.filter(stream, why);
    }

    fn reject(&mut self, stream: Stream, why: Reason, example: &[u8]) {
        self.has_records = true;
        self.batch.tally.reject(stream, self.key, why, example);
    }

    fn finish(self, broken: Option<(Reason, &[u8])>, inflated: &[u8]) {
        let tally = &mut self.batch.tally;
        match (broken, self.has_records, self.filter) {
            // Something of it reads and something does not: the object is kept, its broken part is
            // a reject of its own, so that neither is silent.
            (Some((reason, part)), true, _) => {
                tally.keep(Stream::Objects);
                tally.reject(Stream::Audit, self.key, reason, part);
            }
            (Some((reason, part)), false, _) => {
                tally.reject(Stream::Objects, self.key, reason, part);
            }
            (None, true, _) => tally.keep(Stream::Objects),
            (None, false, Some(why)) => tally.filter(Stream::Objects, why),
            (None, false, None) => {
                tally.reject(Stream::Objects, self.key, Reason::UnknownFormat, inflated);
            }
        }
        for (key, (events, rejected)) in self.hours {
            let delivered = self.batch.deliveries.by_hour.entry(key).or_default();
            delivered.objects += 1;
            delivered.events += events;
            delivered.rejected += rejected;
        }
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
