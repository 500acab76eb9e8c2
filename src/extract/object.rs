//! One object while it is read: which of its parts are records, of which stream, of which cluster.

mod trail;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use crate::decode::authenticator;
use crate::decode::carrier::{self, Carried};
use crate::decode::envelope::{Envelope, Head, cluster_from_log_group};
use crate::decode::lenient::Unread;
use crate::decode::sniff::{Kind, kind};
use crate::decode::split::{self, Piece};
use crate::model::coverage::LogStream;
use crate::model::fact::Fact;
use crate::model::outcome::{Kept, Proof};
use crate::model::tally::{Filter, Reason, Stream};
use crate::model::time::{Hour, Micros};

use super::memo::Memory;
use super::origin::{AUDIT_STREAM, Origin, Source, is_other_stream, split_time};
use super::{Batch, Context, Skimmer, audit, cloudtrail, login, reason_of, stray};

/// Deepest nesting of arrays and carriers around a record; forged deeper ones are rejected.
const MAX_CARRIERS: usize = 4;
const AUTHENTICATOR_STREAM: &str = "authenticator-";
/// What CloudWatch Logs leaves in a bucket to see whether it may write there.
const WRITE_TEST: &[u8] = b"Permission Check Successful";

/// The state of one object.
pub(super) struct Object<'a> {
    context: &'a Context,
    accounts: &'a BTreeSet<String>,
    key: &'a str,
    /// Account and region of a trail, where the key says them.
    place: Option<(&'a str, &'a str)>,
    batch: &'a mut Batch,
    memory: &'a mut Memory,
    take: &'a mut dyn FnMut(Fact<'_>),
    /// Owner, log group and cluster of the last audit event.
    resolved: Option<(String, String, &'a str)>,
    /// Records of one stream and hour that followed each other, and are not yet among the deliveries.
    last: Option<(LogStream, Hour, Proof)>,
    hours: BTreeMap<(LogStream, Hour), Proof>,
    has_records: bool,
    filter: Option<Filter>,
    /// Lines of text that are no record; they count as such only where others are.
    other_lines: u64,
    broken: Option<(Reason, Vec<u8>)>,
}

impl<'a> Object<'a> {
    pub(super) fn new(
        context: &'a Context,
        accounts: &'a BTreeSet<String>,
        key: &'a str,
        (batch, memory): (&'a mut Batch, &'a mut Memory),
        take: &'a mut dyn FnMut(Fact<'_>),
    ) -> Self {
        Object {
            context,
            accounts,
            key,
            place: cloudtrail::place_of(key),
            batch,
            memory,
            take,
            resolved: None,
            last: None,
            hours: BTreeMap::new(),
            has_records: false,
            filter: None,
            other_lines: 0,
            broken: None,
        }
    }

    pub(super) fn read(mut self, inflated: &[u8], skimmer: &mut Skimmer) {
        if self.trail_file(inflated, skimmer) {
            self.finish(inflated);
            return;
        }
        // An export task names its folders after log streams.
        let stream = self.key.rsplit('/').nth(1).unwrap_or_default();
        let origin = Origin { log_stream: stream, ..Origin::default() };
        let mut pieces = split::pieces(inflated);
        while !pieces.rest().is_empty() {
            // In what is broken a message may seem to go on to the end.
            if !pieces.is_broken()
                && let Some(read) = self.unpacked(pieces.rest())
            {
                pieces.skip_bytes(read);
                continue;
            }
            match pieces.next() {
                Some(Piece::Json(value)) => {
                    if !self.value(value, origin, 0) {
                        self.broke(Reason::UnknownFormat, value);
                    }
                }
                Some(Piece::Line(line)) => self.line(line, origin),
                Some(Piece::Cut(line)) if kind(line) == Kind::AuditEvent(line) => {
                    self.audit_event((line, None), origin);
                }
                Some(Piece::Cut(line)) => self.broke(Reason::BadJson, line),
                None => break,
            }
        }
        self.finish(inflated);
    }

    fn broke(&mut self, why: Reason, example: &[u8]) {
        if self.broken.is_none() {
            let head = example.get(..example.len().min(1024)).unwrap_or_default();
            self.broken = Some((why, head.to_vec()));
        }
    }

    /// Takes one value; false when its shape is unknown.
    fn value(&mut self, value: &[u8], origin: Origin<'_>, depth: usize) -> bool {
        if depth > MAX_CARRIERS {
            return false;
        }
        match kind(value) {
            Kind::CloudTrailFile(records) => {
                self.has_records = true;
                for record in split::elements(records) {
                    match record {
                        Ok(record) => self.cloudtrail_record(record),
                        Err(_) => self.reject(Stream::CloudTrail, Reason::BadJson, records),
                    }
                }
            }
            Kind::CloudTrailRecord(record) => self.cloudtrail_record(record),
            Kind::CloudTrailText(text) => match serde_json::from_slice::<Cow<'_, str>>(text) {
                Ok(record) => self.cloudtrail_record(record.as_bytes()),
                Err(_) => self.reject(Stream::CloudTrail, Reason::BadJson, text),
            },
            Kind::LookupEvents(list) | Kind::Array(list) => {
                let mut known = true;
                for element in split::elements(list) {
                    known &= element.is_ok_and(|element| self.value(element, origin, depth + 1));
                }
                return known;
            }
            Kind::AuditEventList(items) => {
                self.has_records = true;
                for item in split::elements(items) {
                    match item {
                        Ok(item) => self.audit_event((item, None), origin),
                        Err(_) => self.reject(Stream::Audit, Reason::BadJson, items),
                    }
                }
            }
            Kind::AuditEvent(event) => self.audit_event((event, None), origin),
            Kind::CloudWatchMessage(message) => self.cloudwatch_message(message),
            Kind::Carrier(value) => match carrier::read(value) {
                Some(carried) => return self.carried(&carried, origin, depth),
                None => return false,
            },
            Kind::InsightsRows(rows) => {
                let mut known = true;
                for row in carrier::insights_rows(rows) {
                    known &= row.is_some_and(|row| self.carried(&row, origin, depth));
                }
                return known;
            }
            Kind::NotALog => self.filter = self.filter.or(Some(Filter::NotALog)),
            Kind::Unknown => return false,
        }
        true
    }

    /// Takes a line that a forwarder carried; false when it carries something unknown.
    fn carried(&mut self, carried: &Carried<'_>, outer: Origin<'_>, depth: usize) -> bool {
        let says = |text: &'_ Cow<'_, str>| !text.is_empty();
        if carried.from_container
            || (says(&carried.log_stream) && is_other_stream(&carried.log_stream))
        {
            self.filter_record(Stream::Audit, Filter::OtherStream);
            return true;
        }
        let origin = Origin {
            owner: says(&carried.owner).then_some(carried.owner.as_ref()).or(outer.owner),
            log_group: says(&carried.log_group)
                .then_some(carried.log_group.as_ref())
                .or(outer.log_group),
            log_stream: if says(&carried.log_stream) {
                &carried.log_stream
            } else {
                outer.log_stream
            },
            logged_at: Micros::parse_loose(&carried.time).or(outer.logged_at),
        };
        match split::pieces(&carried.line).next() {
            Some(Piece::Json(value)) => self.value(value, origin, depth + 1),
            Some(Piece::Line(line)) => {
                self.line(line, origin);
                true
            }
            Some(Piece::Cut(line)) if kind(line) == Kind::AuditEvent(line) => {
                self.audit_event((line, None), origin);
                true
            }
            Some(Piece::Cut(_)) => false,
            None => {
                self.filter_record(Stream::Audit, Filter::OtherStream);
                true
            }
        }
    }

    /// Takes a line of text: of an export task, of the authenticator, or of something else.
    fn line(&mut self, line: &[u8], mut origin: Origin<'_>) {
        if line.starts_with(WRITE_TEST) {
            self.filter = self.filter.or(Some(Filter::ControlMessage));
            return;
        }
        let mut rest = line;
        if let Some((time, after)) = split_time(line) {
            origin.logged_at = Some(time);
            rest = after;
        }
        if let Some(read) = authenticator::read(rest) {
            self.login(&read, rest, origin);
        } else if rest.starts_with(b"{") && !is_other_stream(origin.log_stream) {
            match kind(rest) {
                Kind::AuditEvent(event) => self.audit_event((event, None), origin),
                Kind::CloudTrailRecord(record) => self.cloudtrail_record(record),
                _ => self.other_lines += 1,
            }
        } else if memchr::memmem::find(rest, b"audit.k8s.io/").is_some()
            && memchr::memmem::find(rest, b"\"auditID\"").is_some()
            && !is_other_stream(origin.log_stream)
        {
            // An audit event inside text of a shape that is not known: lost, and said so.
            self.broke(Reason::UnknownFormat, line);
        } else {
            self.other_lines += 1;
            if rest.len() < line.len() {
                // A time in front is how an export task writes the lines of any stream.
                self.filter = self.filter.or(Some(Filter::OtherStream));
            }
        }
    }

    /// Takes the message that `rest` begins with, where that is one of the ordinary; returns its length.
    fn unpacked(&mut self, rest: &[u8]) -> Option<usize> {
        let mut unpacked = std::mem::take(&mut self.memory.unpacked);
        let mut taken = std::mem::take(&mut self.memory.taken);
        taken.clear();
        // Of all lines: `None` until the first of them, and within where they are of no cluster of ours.
        let mut cluster = None;
        let read = unpacked.message(rest, |head, text| {
            let cluster = cluster.get_or_insert_with(|| {
                let is_audit = head.log_stream.starts_with(AUDIT_STREAM);
                is_audit.then(|| self.cluster_of(Origin::of(head, None)).ok()).flatten()
            });
            taken.take(text, (*cluster)?, &self.memory.quoted)
        });
        if let Some((head, _)) = &read {
            let mut facts = taken.facts();
            for line in unpacked.lines() {
                let origin = Origin::of(head, Some(line.millis));
                if let Some(text) = line.text {
                    let (from, to) = line.place;
                    self.cloudwatch_line((text, rest.get(from..to)), origin);
                } else if let (Some(fact), Some(cluster)) = (facts.next(), cluster.flatten()) {
                    self.audit_event_again(fact, cluster, origin);
                }
            }
        }
        self.memory.taken = taken;
        self.memory.unpacked = unpacked;
        read.map(|(_, len)| len)
    }

    fn cloudwatch_message(&mut self, message: &[u8]) {
        let read = Envelope::read(message, |head, envelope| {
            if is_control(head) {
                self.filter = self.filter.or(Some(Filter::ControlMessage));
                return;
            }
            for event in envelope.log_events() {
                match event {
                    Ok((line, millis)) => {
                        self.cloudwatch_line((&line, None), Origin::of(head, millis));
                    }
                    Err(unread) => self.reject(Stream::Audit, reason_of(unread), message),
                }
            }
        });
        if let Err(unread) = read {
            self.reject(Stream::Audit, reason_of(unread), message);
        }
    }

    /// A line of CloudWatch Logs is what its stream says. Whoever runs a pod or may put log events
    /// writes what he likes into other groups, so nothing there is taken for an audit event.
    fn cloudwatch_line(&mut self, (line, quoted): (&[u8], Option<&[u8]>), origin: Origin<'_>) {
        let group = origin.log_group.unwrap_or_default();
        let stream = origin.log_stream;
        if stream.starts_with(AUDIT_STREAM) {
            self.audit_event((line, quoted), origin);
        } else if stream.starts_with(AUTHENTICATOR_STREAM)
            && cluster_from_log_group(group).is_some()
        {
            match authenticator::read(line) {
                Some(read) => self.login(&read, line, origin),
                None => self.filter_record(Stream::Authenticator, Filter::OtherStream),
            }
        } else if stream.contains("_CloudTrail_") {
            match kind(line) {
                Kind::CloudTrailRecord(record) => self.cloudtrail_record(record),
                _ => self.reject(Stream::CloudTrail, Reason::UnknownFormat, line),
            }
        } else {
            self.filter_record(Stream::Audit, Filter::OtherStream);
        }
    }

    fn login(&mut self, line: &authenticator::LoginLine<'_>, bytes: &[u8], origin: Origin<'_>) {
        self.has_records = true;
        let resolved = self.context.clusters.resolve(origin.owner, origin.log_group, self.key);
        let Ok(cluster) = resolved else {
            if self.context.clusters.is_other(origin.owner, origin.log_group) {
                self.filter_record(Stream::Authenticator, Filter::OtherCluster);
            } else {
                self.reject(Stream::Authenticator, Reason::ClusterAmbiguous, bytes);
            }
            return;
        };
        match login::extract(line, bytes, cluster, origin.log_stream) {
            Ok(Some(fact)) if self.context.window.contains(fact.at) => {
                self.batch.keep(Kept::Authenticator, fact.at, false);
                (self.take)(fact);
            }
            Ok(Some(fact)) => {
                self.batch.is_outside(fact.at);
                self.filter_record(Stream::Authenticator, Filter::OutsideWindow);
            }
            Ok(None) => self.filter_record(Stream::Authenticator, Filter::NotRelevant),
            Err(why) => self.reject(Stream::Authenticator, why, bytes),
        }
    }

    /// `quoted` is where the event stands in a message, with its escapes, where it does.
    fn audit_event(&mut self, (event, quoted): (&[u8], Option<&[u8]>), origin: Origin<'_>) {
        self.has_records = true;
        let cluster = match self.cluster_of(origin) {
            Ok(cluster) => cluster,
            Err(_) if self.context.clusters.is_other(origin.owner, origin.log_group) => {
                self.filter_record(Stream::Audit, Filter::OtherCluster);
                return;
            }
            Err(candidates) => {
                match audit::time(event).or(origin.logged_at) {
                    Some(at) if self.context.window.contains(at) => {
                        let lost = candidates.into_iter().map(|arn| (arn.to_owned(), at.hour()));
                        self.batch.ambiguous.extend(lost);
                    }
                    Some(at) => self.batch.is_outside(at),
                    None => {}
                }
                self.reject(Stream::Audit, Reason::ClusterAmbiguous, event);
                return;
            }
        };
        let asked = audit::Asked {
            cluster,
            window: self.context.window,
            logged_at: origin.logged_at,
            hide_secret_names: self.context.hide_secret_names,
        };
        let mut n = 0_usize;
        let mut take = |fact: Fact<'_>| {
            n += 1;
            (self.take)(fact);
        };
        let outcome = audit::extract((event, quoted), &asked, self.memory, &mut take);
        let source = source_of(cluster, origin);
        match outcome {
            Ok(Some(read)) => self.audit_event_read(source, &read, n > 0),
            Ok(None) => self.reject(Stream::Audit, Reason::BadTime, event),
            Err(unread) => {
                let stream = source.stream();
                if let Some(at) = origin.logged_at
                    && self.counts(&stream, at.hour())
                {
                    self.hours.entry((stream, at.hour())).or_default().rejected += 1;
                }
                let reason =
                    if unread == Unread::Cut { Reason::Truncated } else { reason_of(unread) };
                self.reject(Stream::Audit, reason, event);
            }
        }
    }

    /// An event that says what another said.
    fn audit_event_again(&mut self, fact: Fact<'_>, cluster: &str, origin: Origin<'_>) {
        self.has_records = true;
        let read = audit::Read { at: fact.at, salvaged: false };
        let is_inside = self.context.window.contains(fact.at);
        if is_inside {
            (self.take)(fact);
        }
        self.audit_event_read(source_of(cluster, origin), &read, is_inside);
    }

    fn audit_event_read(&mut self, source: Source<'_>, read: &audit::Read, is_inside: bool) {
        self.delivered(source, read.at.hour(), false);
        if is_inside {
            self.batch.keep(Kept::Audit, read.at, read.salvaged);
        } else {
            self.batch.tally.filter(Stream::Audit, Filter::OutsideWindow);
        }
    }

    /// The cluster of an audit event, which is mostly that of the one before.
    fn cluster_of(&mut self, origin: Origin<'_>) -> Result<&'a str, Vec<&'a str>> {
        let (owner, group) =
            (origin.owner.unwrap_or_default(), origin.log_group.unwrap_or_default());
        if let Some((known, of, cluster)) = &self.resolved
            && known == owner
            && of == group
        {
            return Ok(cluster);
        }
        let clusters = &self.context.clusters;
        let cluster = clusters.resolve(origin.owner, origin.log_group, self.key)?;
        self.resolved = Some((owner.to_owned(), group.to_owned(), cluster));
        Ok(cluster)
    }

    /// One record of a source and hour, which are mostly those of the one before.
    fn delivered(&mut self, source: Source<'_>, hour: Hour, issues: bool) {
        if let Some((stream, of, proof)) = &mut self.last
            && *of == hour
            && source.is(stream)
        {
            proof.events += 1;
            proof.issues |= issues;
            return;
        }
        let one = Proof { events: 1, issues, ..Proof::default() };
        let before = self.last.replace((source.stream(), hour, one));
        self.settle(before);
    }

    fn settle(&mut self, delivered: Option<(LogStream, Hour, Proof)>) {
        if let Some((stream, hour, proof)) = delivered {
            self.delivered_many(stream, hour.start(), proof.events, proof.issues);
        }
    }

    /// True when a delivery can cover anything: records may claim any account and any hour.
    fn counts(&self, stream: &LogStream, hour: Hour) -> bool {
        self.context.window.contains(hour.start()) && stream.is_of(self.accounts)
    }

    /// So many records of the hour of `at`.
    fn delivered_many(&mut self, stream: LogStream, at: Micros, times: u64, issues: bool) {
        let hour = at.hour();
        if self.counts(&stream, hour) {
            let proof = self.hours.entry((stream, hour)).or_default();
            proof.events += times;
            proof.issues |= issues;
        } else if !self.context.window.contains(at) {
            self.batch.is_outside(at);
        }
    }

    fn filter_record(&mut self, stream: Stream, why: Filter) {
        self.has_records = true;
        self.batch.tally.filter(stream, why);
    }

    fn reject(&mut self, stream: Stream, why: Reason, example: &[u8]) {
        self.has_records = true;
        self.batch.tally.reject(stream, self.key, why, example);
    }

    fn finish(mut self, inflated: &[u8]) {
        let last = self.last.take();
        self.settle(last);
        let tally = &mut self.batch.tally;
        if self.has_records {
            for _ in 0..self.other_lines {
                tally.filter(Stream::Audit, Filter::OtherStream);
            }
        }
        match (self.broken, self.has_records, self.filter) {
            (Some((Reason::UnknownFormat, _)) | None, false, None) if stray::is_stray(inflated) => {
                tally.stray(self.key, inflated);
            }
            // Something of it reads and something does not: the object is kept, its broken part is
            // a reject of its own, so that neither is silent.
            (Some((reason, part)), true, _) => {
                tally.keep(Stream::Objects);
                tally.reject(Stream::Audit, self.key, reason, &part);
                tally.damage(self.key);
            }
            (Some((reason, part)), false, _) => {
                tally.reject(Stream::Objects, self.key, reason, &part);
            }
            (None, true, _) => tally.keep(Stream::Objects),
            (None, false, Some(why)) => tally.filter(Stream::Objects, why),
            (None, false, None) => {
                tally.reject(Stream::Objects, self.key, Reason::UnknownFormat, inflated);
            }
        }
        for (key, read) in self.hours {
            let proof = self.batch.proofs.entry(key).or_default();
            proof.events += read.events;
            proof.rejected += read.rejected;
            proof.issues |= read.issues;
        }
    }
}

/// Who delivered an audit event.
fn source_of<'a>(cluster: &'a str, origin: Origin<'a>) -> Source<'a> {
    let is_audit = origin.log_stream.starts_with(AUDIT_STREAM);
    Source::Audit(cluster, if is_audit { origin.log_stream } else { "" })
}

/// True for a message that only proves that the subscription works.
fn is_control(head: &Head) -> bool {
    head.message_type == "CONTROL_MESSAGE"
}
