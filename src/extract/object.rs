//! One object while it is read: which of its parts are records, of which stream, of which cluster.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use crate::decode::authenticator;
use crate::decode::carrier::{self, Carried};
use crate::decode::cloudtrail::Record;
use crate::decode::envelope::{Envelope, Message, cluster_from_log_group};
use crate::decode::find;
use crate::decode::lenient::Unread;
use crate::decode::sniff::{Kind, kind};
use crate::decode::split::{self, Piece};
use crate::model::coverage::LogStream;
use crate::model::fact::{Fact, FactBody};
use crate::model::outcome::{Kept, Proof};
use crate::model::secret_names;
use crate::model::tally::{Filter, Reason, Stream};
use crate::model::time::{Hour, Micros};

use super::skim::Passed;
use super::{Batch, Context, Skimmer, audit, cloudtrail, login, reason_of, stray};

/// Deepest nesting of arrays and carriers around a record; forged deeper ones are rejected.
const MAX_CARRIERS: usize = 4;
const AUDIT_STREAM: &str = "kube-apiserver-audit-";
const AUTHENTICATOR_STREAM: &str = "authenticator-";
/// What CloudWatch Logs leaves in a bucket to see whether it may write there.
const WRITE_TEST: &[u8] = b"Permission Check Successful";

/// Where a line says it comes from, beside the object's key.
#[derive(Debug, Clone, Copy, Default)]
struct Origin<'a> {
    owner: Option<&'a str>,
    log_group: Option<&'a str>,
    log_stream: &'a str,
    /// When the line was logged.
    logged_at: Option<Micros>,
}

impl<'a> Origin<'a> {
    /// What a message of CloudWatch Logs says of a line, which was logged then.
    fn of<L>(message: &'a Envelope<'_, L>, millis: Option<i64>) -> Self {
        Origin {
            owner: Some(message.owner.as_str()),
            log_group: Some(message.log_group.as_str()),
            log_stream: message.log_stream.as_str(),
            logged_at: millis.and_then(Micros::from_millis),
        }
    }
}

/// The state of one object.
pub(super) struct Object<'a> {
    context: &'a Context,
    accounts: &'a BTreeSet<String>,
    key: &'a str,
    /// Account and region of a trail, where the key says them.
    place: Option<(&'a str, &'a str)>,
    batch: &'a mut Batch,
    take: &'a mut dyn FnMut(Fact),
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
        batch: &'a mut Batch,
        take: &'a mut dyn FnMut(Fact),
    ) -> Self {
        Object {
            context,
            accounts,
            key,
            place: cloudtrail::place_of(key),
            batch,
            take,
            hours: BTreeMap::new(),
            has_records: false,
            filter: None,
            other_lines: 0,
            broken: None,
        }
    }

    pub(super) fn read(mut self, inflated: &[u8], skimmer: &mut Skimmer) {
        if self.cloudtrail_file(inflated, skimmer) {
            self.finish(inflated);
            return;
        }
        // An export task names its folders after log streams.
        let stream = self.key.rsplit('/').nth(1).unwrap_or_default();
        let origin = Origin { log_stream: stream, ..Origin::default() };
        for piece in split::pieces(inflated) {
            match piece {
                Piece::Json(value) => {
                    if !self.value(value, origin, 0) {
                        self.broke(Reason::UnknownFormat, value);
                    }
                }
                Piece::Line(line) => self.line(line, origin),
                Piece::Cut(line) if kind(line) == Kind::AuditEvent(line) => {
                    self.audit_event(line, origin);
                }
                Piece::Cut(line) => self.broke(Reason::BadJson, line),
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
                        Ok(item) => self.audit_event(item, origin),
                        Err(_) => self.reject(Stream::Audit, Reason::BadJson, items),
                    }
                }
            }
            Kind::AuditEvent(event) => self.audit_event(event, origin),
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
                self.audit_event(line, origin);
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
                Kind::AuditEvent(event) => self.audit_event(event, origin),
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

    fn cloudwatch_message(&mut self, message: &[u8]) {
        if let Some(read) = Message::of_texts(message)
            && read.message_type.as_str() != "CONTROL_MESSAGE"
        {
            for line in read.lines() {
                let origin = Origin::of(&read, line.timestamp.as_str().parse().ok());
                self.cloudwatch_line(line.message.as_bytes(), origin);
            }
            return;
        }
        let read = Envelope::read(message, |envelope| {
            if envelope.message_type.as_str() == "CONTROL_MESSAGE" {
                self.filter = self.filter.or(Some(Filter::ControlMessage));
                return;
            }
            for event in envelope.log_events() {
                match event {
                    Ok((line, millis)) => {
                        self.cloudwatch_line(&line, Origin::of(envelope, millis));
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
    fn cloudwatch_line(&mut self, line: &[u8], origin: Origin<'_>) {
        let group = origin.log_group.unwrap_or_default();
        let stream = origin.log_stream;
        if stream.starts_with(AUDIT_STREAM) {
            self.audit_event(line, origin);
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

    fn audit_event(&mut self, event: &[u8], origin: Origin<'_>) {
        self.has_records = true;
        let resolved = self.context.clusters.resolve(origin.owner, origin.log_group, self.key);
        let cluster = match resolved {
            Ok(cluster) => cluster.to_owned(),
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
            cluster: &cluster,
            window: self.context.window,
            logged_at: origin.logged_at,
        };
        let mut n = 0_usize;
        let hide = self.context.hide_secret_names;
        let mut take = |mut fact: Fact| {
            n += 1;
            if hide && let FactBody::Access(access) = &mut fact.body {
                secret_names::hide(&mut access.permission);
            }
            (self.take)(fact);
        };
        let outcome = audit::extract(event, &asked, &mut take);
        let stream = if origin.log_stream.starts_with(AUDIT_STREAM) {
            origin.log_stream.to_owned()
        } else {
            String::new()
        };
        let stream = LogStream::Audit { cluster, stream };
        match outcome {
            Ok(Some(read)) => {
                self.delivered(stream, read.at, false);
                if n > 0 {
                    self.batch.keep(Kept::Audit, read.at, read.salvaged);
                } else {
                    self.batch.tally.filter(Stream::Audit, Filter::OutsideWindow);
                }
            }
            Ok(None) => self.reject(Stream::Audit, Reason::BadTime, event),
            Err(unread) => {
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

    /// A trail's file: what no grant is about is counted and not parsed. False when it is none.
    fn cloudtrail_file(&mut self, file: &[u8], Skimmer { skim, records }: &mut Skimmer) -> bool {
        let mut passed = Passed::default();
        let is_file = find::records(file, records, |one| {
            skim.pass(file, one, self.place.is_some(), &mut passed)
        });
        if !is_file {
            return false;
        }
        self.has_records = true;
        for run in passed.runs {
            let stream = cloudtrail::stream_of(self.place.unwrap_or((run.account, run.region)));
            self.delivered_many(stream, run.hour.start(), run.records, false);
        }
        self.batch.tally.filter_many(Stream::CloudTrail, Filter::NotRelevant, passed.records);
        for one in &records.found {
            let record = one.bytes(file);
            match Record::from_found(records, one, file) {
                Some(read) => {
                    let outcome =
                        cloudtrail::read(&read, record, self.context, self.place, self.take);
                    self.cloudtrail_outcome(outcome, record);
                }
                None => self.cloudtrail_record(record),
            }
        }
        true
    }

    fn cloudtrail_record(&mut self, record: &[u8]) {
        self.has_records = true;
        match cloudtrail::extract(record, self.context, self.place, self.take) {
            Ok(outcome) => self.cloudtrail_outcome(outcome, record),
            Err(unread) => self.reject(Stream::CloudTrail, reason_of(unread), record),
        }
    }

    fn cloudtrail_outcome(&mut self, outcome: cloudtrail::Outcome, record: &[u8]) {
        if let Some(delivery) = outcome.delivered {
            self.delivered(delivery.stream, delivery.at, delivery.issues);
        }
        match outcome.left {
            None => {
                let at = outcome.at.unwrap_or_default();
                self.batch.keep(outcome.kept, at, false);
            }
            Some(cloudtrail::Left::Filtered(Filter::OutsideWindow)) => {
                self.batch.is_outside(outcome.at.unwrap_or_default());
                self.batch.tally.filter(Stream::CloudTrail, Filter::OutsideWindow);
            }
            Some(cloudtrail::Left::Filtered(why)) => {
                self.batch.tally.filter(Stream::CloudTrail, why);
            }
            Some(cloudtrail::Left::Rejected(why)) => {
                self.reject(Stream::CloudTrail, why, record);
            }
        }
    }

    /// True when a delivery can cover anything: records may claim any account and any hour.
    fn counts(&self, stream: &LogStream, hour: Hour) -> bool {
        self.context.window.contains(hour.start()) && stream.is_of(self.accounts)
    }

    fn delivered(&mut self, stream: LogStream, at: Micros, issues: bool) {
        self.delivered_many(stream, at, 1, issues);
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

    fn finish(self, inflated: &[u8]) {
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

/// True for a control-plane stream that is not read: `kube-apiserver-`, `kube-scheduler-`, … The
/// audit stream's name starts like the API server's.
fn is_other_stream(stream: &str) -> bool {
    let of_control_plane = [
        "kube-apiserver-",
        "kube-controller-manager-",
        "kube-scheduler-",
        "cloud-controller-manager-",
    ];
    !stream.starts_with(AUDIT_STREAM)
        && of_control_plane.iter().any(|name| stream.starts_with(name))
}

/// The time in front of a line of an export task, and the rest.
fn split_time(line: &[u8]) -> Option<(Micros, &[u8])> {
    if !line.first()?.is_ascii_digit() {
        return None;
    }
    let space = line.iter().take(40).position(|b| *b == b' ')?;
    let time = std::str::from_utf8(line.get(..space)?).ok()?;
    Some((Micros::parse(time)?, line.get(space + 1..)?))
}
