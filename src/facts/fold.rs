//! Removes copies and adds up equal facts of one hour.
//!
//! Input: the merged stream of [`sort`](super::sort). Output: each distinct fact of an hour once,
//! with how often and when it was seen, pushed into a [`FactSink`] by family, day, account or cluster,
//! and hour. Among copies
//! the smallest rank wins (addendum, whole, truncated; the last stage of an audit event), then the
//! smallest bytes, so that unequal copies cannot make a run depend on order. An audit event that was
//! cut gives way to a whole copy of it. An audit event delivered under two clusters counts for both:
//! one of them is a misrouted log, and dropping either could hide use.
//!
//! Names that a rule's `resourceNames` could match are kept for at most [`MAX_NAMES`] objects per
//! remaining fact and day; what comes after is added up without a name and says so, because no exact
//! named rule can be proposed from it any more.
//!
//! One total merge, and not partitions by hash: a partition would be read and sorted again, the names
//! of a day could only be capped after all of them, and what the merge holds does not grow with the
//! number of events (see `benches/scale`).

use std::collections::BTreeMap;

use rustc_hash::{FxHashMap, FxHashSet};

use super::FactsError;
use super::hourly::{Added, HOUR_BUFFER, HourTable, Sum};
use super::key::SortKey;
use super::merge::merge_groups;
use super::sort::{Number, Run, Sorted, SpillDir};
use crate::model::digest;
use crate::model::fact::{AccessFact, AwsCallFact, ChangeFact, FactBody, LoginFact, SessionFact};
use crate::model::outcome::{Family, Unit, UnitCounts};
use crate::model::time::{Hour, Micros};

/// Names kept per remaining fact and day.
pub const MAX_NAMES: usize = 64;
/// Names kept per day and cluster over all facts, so that no log can fill the memory with them.
const MAX_NAMES_PER_DAY: usize = 1_000_000;
/// Callers of one `Audit-ID` over several requests that are told apart, per day and cluster.
const MAX_REUSERS: usize = 1_000;
/// A username longer than this is not among them.
const MAX_REUSER_LEN: usize = 1024;

/// Equal facts of one hour.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hourly<T> {
    /// Event hour.
    pub hour: Hour,
    /// What they say.
    pub body: T,
    /// How many distinct records said it.
    pub count: i64,
    /// The earliest.
    pub first: Micros,
    /// The latest.
    pub last: Micros,
}

/// A fact that is never added up.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Dated<T> {
    /// When it happened.
    pub at: Micros,
    /// What the record says.
    pub body: T,
}

/// A session.
pub type Issued = Dated<SessionFact>;

/// What the fold yields, in this order of families.
#[expect(clippy::large_enum_variant, reason = "each is handed on as soon as it is made")]
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Folded {
    /// A session.
    Session(Issued),
    /// Token redemptions of one hour.
    Authentication(Hourly<AwsCallFact>),
    /// Other AWS calls of one hour.
    AwsCall(Hourly<AwsCallFact>),
    /// Logins of one hour.
    Login(Hourly<LoginFact>),
    /// A grant was made, changed or taken away.
    Change(Dated<ChangeFact>),
    /// API-server requests of one hour; true when their name was dropped.
    Access(Hourly<AccessFact>, bool),
}

/// API-server requests of one hour that differ from others in their object's name, if at all.
#[derive(Debug, Clone, Copy)]
pub struct NamedAccess<'a> {
    /// Event hour.
    pub hour: Hour,
    /// What they say, without the name.
    pub body: &'a AccessFact,
    /// True when it is that of the one before.
    pub same_body: bool,
    /// The object.
    pub name: &'a str,
    /// True when the name was dropped.
    pub name_capped: bool,
    /// How many distinct records, first and last.
    pub sum: Sum,
}

impl NamedAccess<'_> {
    fn to_owned(self) -> Folded {
        let mut body = self.body.clone();
        self.name.clone_into(&mut body.permission.name);
        let Sum { count, first, last } = self.sum;
        Folded::Access(Hourly { hour: self.hour, body, count, first, last }, self.name_capped)
    }
}

/// Takes what the fold yields.
pub trait FactSink {
    /// One fact.
    fn take(&mut self, fact: Folded) -> Result<(), FactsError>;

    /// One of those that are the most, for who can do with less than all of it.
    fn take_access(&mut self, access: NamedAccess<'_>) -> Result<(), FactsError> {
        self.take(access.to_owned())
    }
}

/// What the fold counted: `records = distinct + copies` per family, day and place.
pub type FoldCounts = BTreeMap<(Family, Unit), UnitCounts>;

/// Distinct records and copies of a family, over all days and places.
#[must_use]
pub fn records(counts: &FoldCounts, family: Family) -> (u64, u64) {
    let of_family = counts.iter().filter(|((of, _), _)| *of == family);
    let hours = of_family.flat_map(|(_, unit)| unit.hours.values());
    hours.fold((0, 0), |(distinct, copies), (d, c)| (distinct + d, copies + c))
}

/// Sorted runs on their way into the fold.
#[derive(Debug, Default)]
pub struct Runs {
    /// Facts that are new.
    pub fresh: Vec<Run>,
    /// Facts that were read before, of the days that are made anew.
    pub again: Vec<Run>,
}

/// Merges `runs` and pushes what remains into `sink`; facts count only where `wanted` says so of their
/// day and place, and of whether they were read before.
///
/// # Errors
/// When a spill file cannot be read or written, or the sink fails.
pub fn fold_days(
    runs: Runs,
    wanted: &dyn Fn(Unit, bool) -> bool,
    spill: &SpillDir,
    sink: &mut impl FactSink,
) -> Result<FoldCounts, FactsError> {
    fold_within(runs, wanted, spill, HOUR_BUFFER, sink)
}

/// Merges `runs` and pushes what remains into `sink`.
///
/// # Errors
/// When a spill file cannot be read or written, or the sink fails.
pub fn fold(
    runs: Vec<Run>,
    spill: &SpillDir,
    sink: &mut impl FactSink,
) -> Result<FoldCounts, FactsError> {
    let runs = Runs { fresh: runs, again: Vec::new() };
    fold_within(runs, &|_, _| true, spill, HOUR_BUFFER, sink)
}

fn fold_within(
    runs: Runs,
    wanted: &dyn Fn(Unit, bool) -> bool,
    spill: &SpillDir,
    hour_buffer: usize,
    sink: &mut impl FactSink,
) -> Result<FoldCounts, FactsError> {
    let mut fold = Fold {
        counts: FoldCounts::new(),
        of_hour: (0, 0),
        identity: Vec::new(),
        clusters: Vec::new(),
        taken: Vec::new(),
        bucket: None,
        hourly: HourTable::new(spill, hour_buffer),
        names: Names::default(),
        cut: Vec::new(),
        cut_what: Vec::new(),
        group: 0,
        tail: Vec::new(),
    };
    merge_groups((runs.fresh, runs.again), spill, |fact, again| {
        let key = fact.key;
        if !wanted(key.unit(), again) {
            return Ok(());
        }
        let bucket = key.bucket();
        if fold.bucket.as_ref().is_none_or(|(known, _)| *known != bucket) {
            fold.settle_cut(sink)?;
            fold.flush(sink)?;
            fold.count_hour();
            fold.bucket = Some((bucket, *key));
            fold.group = 0;
        }
        if key.is_cut() {
            if fold.cut_what != key.what() {
                fold.settle_cut(sink)?;
                fold.cut_what.clear();
                fold.cut_what.extend_from_slice(key.what());
            }
            return fold.wait_for_whole(fact);
        }
        if !fold.cut.is_empty() {
            if fold.cut_what == key.what() {
                let n: u64 = fold.cut.iter().map(|cut| cut.records).sum();
                fold.of_hour.1 += n;
                fold.cut.clear();
            } else {
                fold.settle_cut(sink)?;
            }
        }
        fold.record(fact, sink)
    })?;
    fold.settle_cut(sink)?;
    fold.flush(sink)?;
    fold.count_hour();
    Ok(fold.counts)
}

struct Fold<'a> {
    counts: FoldCounts,
    /// Distinct records and copies of the bucket.
    of_hour: (u64, u64),
    identity: Vec<u8>,
    /// Clusters of the hour, by the numbers that heads of facts have.
    clusters: Vec<String>,
    /// Those that the last identity was counted for: nearly always one.
    taken: Vec<u32>,
    /// The bucket and its first key.
    bucket: Option<([u8; 10], SortKey)>,
    hourly: HourTable<'a>,
    names: Names,
    /// Audit events that were cut and wait for a whole copy.
    cut: Vec<Cut>,
    cut_what: Vec<u8>,
    /// Of the last distinct audit request.
    group: u64,
    tail: Vec<u8>,
}

/// A fact of an audit event that was cut, and how many records of it there are.
struct Cut {
    key: SortKey,
    at: Micros,
    name: String,
    cluster: String,
    body: Vec<u8>,
    records: u64,
}

impl Fold<'_> {
    /// Keeps what a whole copy may still replace: of equal events the first, and their number.
    fn wait_for_whole(&mut self, fact: &Sorted<'_>) -> Result<(), FactsError> {
        let Sorted { key, at, name, body, .. } = *fact;
        let records = u64::from(key.ordinal() == 0);
        let cluster = cluster_of(body)?;
        let same = |cut: &&mut Cut| cut.key.identity() == key.identity() && cut.cluster == cluster;
        if let Some(known) = self.cut.iter_mut().find(same) {
            known.records += records;
        } else {
            let (name, cluster, body) = (name.to_owned(), cluster.to_owned(), body.to_vec());
            self.cut.push(Cut { key: *key, at, name, cluster, body, records });
        }
        Ok(())
    }

    fn settle_cut(&mut self, sink: &mut impl FactSink) -> Result<(), FactsError> {
        for cut in std::mem::take(&mut self.cut) {
            let Cut { key, at, name, body, .. } = &cut;
            self.record(&Sorted { key, at: *at, name, body, number: None }, sink)?;
            self.of_hour.1 += cut.records.saturating_sub(1);
        }
        Ok(())
    }

    fn record(&mut self, fact: &Sorted<'_>, sink: &mut impl FactSink) -> Result<(), FactsError> {
        let key = fact.key;
        let family = key.family();
        // Ordinal 0 stands for the record; further facts of it are no further records.
        let is_record = key.ordinal() == 0;
        if self.identity == key.identity() {
            if is_record {
                self.of_hour.1 += 1;
            }
            if family != Family::Access {
                return Ok(());
            }
        } else {
            self.identity.clear();
            self.identity.extend_from_slice(key.identity());
            self.taken.clear();
            if is_record {
                self.of_hour.0 += 1;
                if family == Family::Access && key.group() != 0 {
                    if self.group == key.group() {
                        self.note_reuse(fact)?;
                    }
                    self.group = key.group();
                }
            }
        }
        self.take(fact, sink)
    }

    fn note_reuse(&mut self, fact: &Sorted<'_>) -> Result<(), FactsError> {
        let Sorted { key, at, body, .. } = *fact;
        let FactBody::Access(fact) = postcard::from_bytes(body)? else { return Ok(()) };
        let who = (key.hour_of_day(), fact.cluster, fact.caller.username);
        let reused = &mut self.counts.entry((key.family(), key.unit())).or_default().reused;
        let known = reused.len();
        if let Some(sum) = reused.get_mut(&who) {
            sum.count += 1;
            sum.first = sum.first.min(at);
            sum.last = sum.last.max(at);
        } else if known < MAX_REUSERS && who.2.len() <= MAX_REUSER_LEN {
            reused.insert(who, Sum { count: 1, first: at, last: at });
        }
        Ok(())
    }

    fn count_hour(&mut self) {
        let Some((_, key)) = self.bucket else { return };
        let of_hour = std::mem::take(&mut self.of_hour);
        let counts = self.counts.entry((key.family(), key.unit())).or_default();
        counts.hours.insert(key.hour_of_day(), of_hour);
    }

    fn take(&mut self, fact: &Sorted<'_>, sink: &mut impl FactSink) -> Result<(), FactsError> {
        let Sorted { key, at, name, body, number } = *fact;
        match key.family() {
            Family::Session | Family::Change => match postcard::from_bytes(body)? {
                FactBody::Session(body) => sink.take(Folded::Session(Dated { at, body: *body })),
                FactBody::Change(body) => sink.take(Folded::Change(Dated { at, body: *body })),
                _ => Ok(()),
            },
            Family::Authentication | Family::AwsCall | Family::Login => {
                let (head, _) = self.hourly.head(body, number, |_| Ok(0))?;
                self.hourly.add(head, b"", at)
            }
            Family::Access => {
                let clusters = &mut self.clusters;
                let cluster_of = |body: &[u8]| Ok(number_in(clusters, cluster_of(body)?));
                let (head, cluster) = self.hourly.head(body, number, cluster_of)?;
                if self.taken.contains(&cluster) {
                    return Ok(());
                }
                self.taken.push(cluster);
                named(&mut self.tail, name, false);
                // A name in the table was kept before; no need to ask for it again.
                match self.hourly.add_known(head, &self.tail, at) {
                    Ok(()) => Ok(()),
                    Err(missing) if self.names.keep(key.place_and_day(), (body, number), name) => {
                        self.hourly.add_new(head, &self.tail, missing, at)
                    }
                    Err(_) => {
                        named(&mut self.tail, "", true);
                        self.hourly.add(head, &self.tail, at)
                    }
                }
            }
        }
    }

    fn flush(&mut self, sink: &mut impl FactSink) -> Result<(), FactsError> {
        let Some((_, key)) = self.bucket else { return Ok(()) };
        let (family, hour) = (key.family(), key.hour());
        self.clusters.clear();
        self.taken.clear();
        let mut last = None;
        self.hourly.drain(|Added { head: bytes, same_head, tail, sum }| {
            if family == Family::Access {
                if !same_head {
                    last = match postcard::from_bytes(bytes)? {
                        FactBody::Access(body) => Some(body),
                        _ => None,
                    };
                }
                let (Some(body), Some((capped, name))) = (&last, tail.split_first()) else {
                    return Ok(());
                };
                return sink.take_access(NamedAccess {
                    hour,
                    body,
                    same_body: same_head,
                    name: &String::from_utf8_lossy(name),
                    name_capped: *capped != 0,
                    sum,
                });
            }
            let Sum { count, first, last } = sum;
            match postcard::from_bytes::<FactBody>(bytes)? {
                FactBody::Authentication(body) => sink.take(Folded::Authentication(Hourly {
                    hour,
                    body: *body,
                    count,
                    first,
                    last,
                })),
                FactBody::AwsCall(body) => {
                    sink.take(Folded::AwsCall(Hourly { hour, body: *body, count, first, last }))
                }
                FactBody::Login(body) => {
                    sink.take(Folded::Login(Hourly { hour, body: *body, count, first, last }))
                }
                _ => Ok(()),
            }
        })
    }
}

/// The cluster of an encoded access fact: the variant, then the first field; no need to read the rest.
fn cluster_of(body: &[u8]) -> Result<&str, FactsError> {
    let ((_, cluster), _) = postcard::take_from_bytes::<(u32, &str)>(body)?;
    Ok(cluster)
}

/// The number of a text among others, which gets one if it has none.
fn number_in(all: &mut Vec<String>, text: &str) -> u32 {
    let known = all.iter().position(|known| known == text);
    let number = known.unwrap_or_else(|| {
        all.push(text.to_owned());
        all.len() - 1
    });
    u32::try_from(number).unwrap_or(u32::MAX)
}

/// What tells access facts of one body apart: whether the name was dropped, and the name.
fn named(out: &mut Vec<u8>, name: &str, capped: bool) {
    out.clear();
    out.push(u8::from(capped));
    out.extend_from_slice(name.as_bytes());
}

/// Which names of a day and cluster are kept, by number: some 30 bytes each. The merged stream has
/// one order, so the same names are kept however the facts arrived.
#[derive(Default)]
struct Names {
    of: Option<[u8; 9]>,
    /// A fact with a name of it.
    kept: FxHashSet<u64>,
    /// How many names of a fact.
    of_fact: FxHashMap<u64, u8>,
    /// Digests of facts that were met under a number.
    digests: FxHashMap<Number, u64>,
}

/// Facts whose digest is held.
const MAX_DIGESTS: usize = 1 << 16;

impl Names {
    fn keep(&mut self, of: [u8; 9], (fact, number): (&[u8], Option<Number>), name: &str) -> bool {
        if name.is_empty() {
            return true;
        }
        if self.of != Some(of) {
            let digests = std::mem::take(&mut self.digests);
            *self = Names { of: Some(of), digests, ..Names::default() };
        }
        let short = |digest: [u8; 32]| u64::try_from(digest::id(&digest) >> 64).unwrap_or(u64::MAX);
        let met = number.and_then(|number| self.digests.get(&number).copied());
        let fact = met.unwrap_or_else(|| short(digest::of_bytes(fact)));
        if let Some(number) = number
            && met.is_none()
            && self.digests.len() < MAX_DIGESTS
        {
            self.digests.insert(number, fact);
        }
        let name = short(digest::of_parts([&fact.to_be_bytes(), name.as_bytes()]));
        if self.kept.contains(&name) {
            return true;
        }
        if self.kept.len() >= MAX_NAMES_PER_DAY {
            return false;
        }
        let names = self.of_fact.entry(fact).or_default();
        if usize::from(*names) >= MAX_NAMES {
            return false;
        }
        *names += 1;
        self.kept.insert(name)
    }
}

#[cfg(test)]
mod tests;
