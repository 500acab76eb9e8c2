//! Removes copies and adds up equal facts of one hour.
//!
//! Input: the merged stream of [`sort`](super::sort). Output: each distinct fact of an hour once,
//! with how often and when it was seen, pushed into a [`FactSink`] by family and hour. Among copies
//! the smallest rank wins (addendum, whole, truncated; the last stage of an audit event), then the
//! smallest bytes, so that unequal copies cannot make a run depend on order. An audit event that was
//! cut gives way to a whole copy of it. An audit event delivered under two clusters counts for both:
//! one of them is a misrouted log, and dropping either could hide use.
//!
//! Names that a rule's `resourceNames` could match are kept for at most [`MAX_NAMES`] objects per
//! remaining fact and day; what comes after is added up without a name and says so, because no exact
//! named rule can be proposed from it any more.

use std::collections::BTreeMap;

use rustc_hash::FxHashMap;

use super::FactsError;
use super::hourly::{HOUR_BUFFER, HourTable, Sum};
use super::sort::{Family, Run, SortKey, SpillDir, merge};
use crate::model::digest;
use crate::model::fact::{AccessFact, AwsCallFact, ChangeFact, FactBody, LoginFact, SessionFact};
use crate::model::time::{Day, Hour, Micros};

/// Names kept per remaining fact and day.
pub const MAX_NAMES: usize = 64;
/// Names kept per day over all facts, so that no log can fill the memory with them.
const MAX_NAMES_PER_DAY: usize = 2_000_000;
/// Callers of one `Audit-ID` over several requests that are told apart.
const MAX_REUSERS: usize = 10_000;

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

/// What the fold yields, in this order of families, each by hour.
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

/// Takes what the fold yields.
pub trait FactSink {
    /// One fact.
    fn take(&mut self, fact: Folded) -> Result<(), FactsError>;
}

/// Who used one `Audit-ID` for several requests, and how many went beyond the first.
pub type Reused = BTreeMap<(String, String), Sum>;

/// What the fold counted; `records = distinct + copies` per family.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FoldCounts {
    /// Distinct records, by family name.
    pub distinct: BTreeMap<&'static str, u64>,
    /// Copies and earlier stages that were folded away.
    pub copies: BTreeMap<&'static str, u64>,
    /// By cluster and caller: requests that carry the `Audit-ID` of another request of the hour.
    pub reused: Reused,
}

impl Family {
    /// The name in counters.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Family::Session => "sessions",
            Family::Authentication => "authentications",
            Family::AwsCall => "aws_calls",
            Family::Login => "logins",
            Family::Change => "changes",
            Family::Access => "audit_requests",
        }
    }
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
    let mut fold = Fold {
        counts: FoldCounts::default(),
        identity: Vec::new(),
        clusters_taken: Vec::new(),
        bucket: None,
        hourly: HourTable::new(spill, HOUR_BUFFER),
        names: Names::default(),
        cut: Vec::new(),
        cut_what: Vec::new(),
        group: 0,
        scratch: Vec::new(),
    };
    merge(runs, spill, |key, body| {
        let bucket = (key.family(), key.hour());
        if fold.bucket != Some(bucket) {
            fold.settle_cut(sink)?;
            fold.flush(sink)?;
            fold.bucket = Some(bucket);
            fold.group = 0;
        }
        if key.is_cut() {
            if fold.cut_what != key.what() {
                fold.settle_cut(sink)?;
                fold.cut_what.clear();
                fold.cut_what.extend_from_slice(key.what());
            }
            fold.cut.push((*key, body.to_vec()));
            return Ok(());
        }
        if !fold.cut.is_empty() {
            if fold.cut_what == key.what() {
                let n = fold.cut.iter().filter(|(key, _)| key.ordinal() == 0).count();
                *fold.counts.copies.entry(bucket.0.as_str()).or_default() +=
                    u64::try_from(n).unwrap_or(u64::MAX);
                fold.cut.clear();
            } else {
                fold.settle_cut(sink)?;
            }
        }
        fold.record(key, body, sink)
    })?;
    fold.settle_cut(sink)?;
    fold.flush(sink)?;
    Ok(fold.counts)
}

struct Fold<'a> {
    counts: FoldCounts,
    identity: Vec<u8>,
    clusters_taken: Vec<String>,
    bucket: Option<(Family, Hour)>,
    hourly: HourTable<'a>,
    names: Names,
    /// Audit events that were cut and wait for a whole copy.
    cut: Vec<(SortKey, Vec<u8>)>,
    cut_what: Vec<u8>,
    /// Of the last distinct audit request.
    group: u64,
    scratch: Vec<u8>,
}

impl Fold<'_> {
    fn settle_cut(&mut self, sink: &mut impl FactSink) -> Result<(), FactsError> {
        for (key, body) in std::mem::take(&mut self.cut) {
            self.record(&key, &body, sink)?;
        }
        Ok(())
    }

    fn record(
        &mut self,
        key: &SortKey,
        body: &[u8],
        sink: &mut impl FactSink,
    ) -> Result<(), FactsError> {
        let family = key.family();
        // Ordinal 0 stands for the record; further facts of it are no further records.
        let is_record = key.ordinal() == 0;
        if self.identity == key.identity() {
            if is_record {
                *self.counts.copies.entry(family.as_str()).or_default() += 1;
            }
            if family != Family::Access {
                return Ok(());
            }
        } else {
            self.identity.clear();
            self.identity.extend_from_slice(key.identity());
            self.clusters_taken.clear();
            if is_record {
                *self.counts.distinct.entry(family.as_str()).or_default() += 1;
                if family == Family::Access && key.group() != 0 {
                    if self.group == key.group() {
                        self.note_reuse(body)?;
                    }
                    self.group = key.group();
                }
            }
        }
        self.take(family, key.hour(), body, sink)
    }

    fn note_reuse(&mut self, body: &[u8]) -> Result<(), FactsError> {
        let (at, rest) = postcard::take_from_bytes::<Micros>(body)?;
        let (_, rest) = postcard::take_from_bytes::<&str>(rest)?;
        let FactBody::Access(fact) = postcard::from_bytes(rest)? else { return Ok(()) };
        let who = (fact.cluster, fact.caller.username);
        let known = self.counts.reused.len();
        if let Some(sum) = self.counts.reused.get_mut(&who) {
            sum.count += 1;
            sum.first = sum.first.min(at);
            sum.last = sum.last.max(at);
        } else if known < MAX_REUSERS {
            self.counts.reused.insert(who, Sum { count: 1, first: at, last: at });
        }
        Ok(())
    }

    fn take(
        &mut self,
        family: Family,
        hour: Hour,
        body: &[u8],
        sink: &mut impl FactSink,
    ) -> Result<(), FactsError> {
        let (at, rest) = postcard::take_from_bytes::<Micros>(body)?;
        let (name, rest) = postcard::take_from_bytes::<&str>(rest)?;
        match family {
            Family::Session | Family::Change => match postcard::from_bytes(rest)? {
                FactBody::Session(body) => sink.take(Folded::Session(Dated { at, body: *body })),
                FactBody::Change(body) => sink.take(Folded::Change(Dated { at, body: *body })),
                _ => Ok(()),
            },
            Family::Authentication | Family::AwsCall | Family::Login => self.hourly.add(rest, at),
            Family::Access => {
                // The variant, then the first field of `AccessFact`: no need to read the rest.
                let ((_, cluster), _) = postcard::take_from_bytes::<(u32, &str)>(rest)?;
                if self.clusters_taken.iter().any(|taken| taken == cluster) {
                    return Ok(());
                }
                self.clusters_taken.push(cluster.to_owned());
                let kept = self.names.keep(hour.day(), rest, name);
                self.scratch.clear();
                self.scratch.extend_from_slice(rest);
                let kept_name = if kept { name } else { "" };
                self.scratch.extend_from_slice(kept_name.as_bytes());
                let len = u32::try_from(kept_name.len()).unwrap_or(u32::MAX);
                self.scratch.extend_from_slice(&len.to_be_bytes());
                self.scratch.push(u8::from(!kept));
                let scratch = std::mem::take(&mut self.scratch);
                let done = self.hourly.add(&scratch, at);
                self.scratch = scratch;
                done
            }
        }
    }

    fn flush(&mut self, sink: &mut impl FactSink) -> Result<(), FactsError> {
        let Some((family, hour)) = self.bucket else { return Ok(()) };
        self.hourly.drain(|bytes, sum| {
            let Sum { count, first, last } = sum;
            if family == Family::Access {
                let (bytes, name, capped) = split_name(bytes);
                let FactBody::Access(mut body) = postcard::from_bytes(bytes)? else {
                    return Ok(());
                };
                body.permission.name = String::from_utf8_lossy(name).into_owned();
                let access = Hourly { hour, body: *body, count, first, last };
                return sink.take(Folded::Access(access, capped));
            }
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

/// Undoes what [`Fold::take`] put behind an access fact: its name, whose length, and whether it was
/// dropped.
fn split_name(bytes: &[u8]) -> (&[u8], &[u8], bool) {
    let Some((rest, &[a, b, c, d, capped])) = bytes.split_last_chunk::<5>() else {
        return (bytes, b"", false);
    };
    let len = usize::try_from(u32::from_be_bytes([a, b, c, d])).unwrap_or(usize::MAX);
    let (fact, name) = rest.split_at(rest.len().saturating_sub(len));
    (fact, name, capped != 0)
}

/// Which names of a day are kept. The merged stream has one order, so the same names are kept
/// however the facts arrived.
#[derive(Default)]
struct Names {
    day: Option<Day>,
    of: FxHashMap<u128, Vec<u64>>,
    kept: usize,
}

impl Names {
    fn keep(&mut self, day: Day, fact: &[u8], name: &str) -> bool {
        if name.is_empty() {
            return true;
        }
        if self.day != Some(day) {
            *self = Names { day: Some(day), ..Names::default() };
        }
        let names = self.of.entry(digest::id(&digest::of_bytes(fact))).or_default();
        let name = digest::id(&digest::of_bytes(name.as_bytes()));
        let name = u64::try_from(name >> 64).unwrap_or(u64::MAX);
        if names.contains(&name) {
            return true;
        }
        if names.len() >= MAX_NAMES || self.kept >= MAX_NAMES_PER_DAY {
            return false;
        }
        names.push(name);
        self.kept += 1;
        true
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::sort::Sorter;
    use super::*;
    use crate::model::fact::Fact;
    use crate::model::time::MICROS_PER_HOUR;

    #[derive(Debug, Default, PartialEq, Eq, Clone)]
    struct Seen(Vec<Folded>);

    impl FactSink for Seen {
        fn take(&mut self, fact: Folded) -> Result<(), FactsError> {
            self.0.push(fact);
            Ok(())
        }
    }

    impl Seen {
        fn access(&self) -> Vec<&Hourly<AccessFact>> {
            fn of(fact: &Folded) -> Option<&Hourly<AccessFact>> {
                match fact {
                    Folded::Access(access, _) => Some(access),
                    _ => None,
                }
            }
            self.0.iter().filter_map(of).collect()
        }
    }

    fn run(facts: &[Fact], workers: usize, buffer: usize) -> (Seen, FoldCounts) {
        let dir = tempfile::tempdir().unwrap();
        let spill = SpillDir::new(dir.path().to_path_buf());
        let mut runs = Vec::new();
        for worker in 0..workers {
            let mut sorter = Sorter::new(&spill, buffer);
            for fact in facts.iter().skip(worker).step_by(workers) {
                sorter.push(fact.clone()).unwrap();
            }
            runs.extend(sorter.finish());
        }
        let mut seen = Seen::default();
        let counts = fold(runs, &spill, &mut seen).unwrap();
        (seen, counts)
    }

    fn access(id: u128, rank: u8, at: i64, cluster: &str, verb: &str) -> Fact {
        let mut body = AccessFact { cluster: cluster.to_owned(), ..AccessFact::default() };
        verb.clone_into(&mut body.permission.verb);
        let body = FactBody::Access(Box::new(body));
        // As extraction does it: a low half of 0 says that the event was cut.
        let id = (id << 64) | u128::from(rank != 9);
        Fact { group: 0, id, ordinal: 0, rank, at: Micros(at), body }
    }

    #[test]
    fn copies_count_once_and_the_best_copy_wins() {
        let facts = [
            access(1, 3, 5, "c", "early"),
            access(1, 1, 5, "c", "whole"),
            access(1, 1, 5, "c", "whole"),
            access(2, 1, 9, "c", "whole"),
        ];
        let (seen, counts) = run(&facts, 2, 1 << 20);
        let access = seen.access();
        assert_eq!(access.len(), 1);
        assert_eq!(access[0].body.permission.verb, "whole");
        assert_eq!((access[0].count, access[0].first.0, access[0].last.0), (2, 5, 9));
        assert_eq!((counts.distinct["audit_requests"], counts.copies["audit_requests"]), (2, 2));
    }

    #[test]
    fn one_event_in_two_clusters_counts_in_both() {
        let facts = [access(1, 1, 5, "a", "get"), access(1, 1, 5, "b", "get")];
        let (seen, _) = run(&facts, 1, 1 << 20);
        let clusters: Vec<_> = seen.access().iter().map(|a| a.body.cluster.as_str()).collect();
        assert_eq!(clusters, ["a", "b"]);
    }

    #[test]
    fn a_cut_event_gives_way_to_its_whole_copy() {
        let verbs = |facts: &[Fact]| {
            let (seen, counts) = run(facts, 1, 1 << 20);
            let verbs: Vec<String> =
                seen.access().iter().map(|a| a.body.permission.verb.clone()).collect();
            let of = |counts: &BTreeMap<_, u64>| counts.get("audit_requests").copied();
            (verbs, of(&counts.distinct), of(&counts.copies))
        };
        let (cut, whole) = (access(7, 9, 5, "c", "cut"), access(7, 1, 5, "c", "whole"));
        let other = access(8, 1, 5, "c", "other");
        let is = |verbs: &[&str], distinct, copies| {
            (verbs.iter().map(|v| (*v).to_owned()).collect::<Vec<_>>(), Some(distinct), copies)
        };
        assert_eq!(verbs(&[whole.clone(), cut.clone()]), is(&["whole"], 1, Some(1)));
        assert_eq!(verbs(&[cut.clone(), cut.clone()]), is(&["cut"], 1, Some(1)));
        assert_eq!(verbs(&[cut, other, whole]), is(&["other", "whole"], 2, Some(1)));
    }

    #[test]
    fn an_audit_id_on_several_requests_is_noted() {
        let with = |group, id, user: &str| {
            let mut fact = access(id, 1, 5, "c", "get");
            fact.group = group;
            if let FactBody::Access(access) = &mut fact.body {
                user.clone_into(&mut access.caller.username);
            }
            fact
        };
        let facts = [
            with(1, 1, "eve"),
            with(1, 2, "eve"),
            with(1, 2, "eve"),
            with(1, 3, "eve"),
            with(2, 4, "ann"),
            with(0, 5, "old"),
            with(0, 6, "old"),
        ];
        let (_, counts) = run(&facts, 2, 1 << 20);
        let got: Vec<_> =
            counts.reused.iter().map(|((_, who), sum)| (who.as_str(), sum.count)).collect();
        assert_eq!(got, [("eve", 2)]);
    }

    #[test]
    fn names_beyond_the_cap_are_added_up() {
        let named = |n: usize, day: i64| {
            let at = day * 24 * MICROS_PER_HOUR;
            let mut fact = access(u128::try_from(n).unwrap(), 1, at, "c", "get");
            if let FactBody::Access(access) = &mut fact.body {
                access.permission.name = format!("n{n}");
            }
            fact
        };
        let mut facts: Vec<Fact> = (0..MAX_NAMES + 10).map(|n| named(n, 0)).collect();
        facts.push(named(900, 1));
        let (seen, _) = run(&facts, 3, 1 << 20);
        let access = seen.access();
        assert_eq!(access.len(), MAX_NAMES + 2);
        let nameless: Vec<_> =
            access.iter().filter(|a| a.body.permission.name.is_empty()).map(|a| a.count).collect();
        assert_eq!(nameless, [10]);
        assert!(access.iter().any(|a| a.body.permission.name == "n900"));
    }

    fn any_fact() -> impl Strategy<Value = Fact> {
        let at = -2 * MICROS_PER_HOUR..3 * MICROS_PER_HOUR;
        (0u128..40, 0u8..2, 0u8..3, at, 0usize..3, "[a-c]{1,2}").prop_map(
            |(id, ordinal, rank, at, kind, text)| {
                let body = match kind {
                    0 => FactBody::Session(Box::new(SessionFact {
                        session_name: text,
                        ..SessionFact::default()
                    })),
                    1 => FactBody::AwsCall(Box::new(AwsCallFact {
                        event_name: text,
                        ..AwsCallFact::default()
                    })),
                    _ => {
                        let mut body =
                            AccessFact { cluster: text.clone(), ..AccessFact::default() };
                        body.permission.verb = text;
                        FactBody::Access(Box::new(body))
                    }
                };
                Fact { group: 0, id: (id << 64) | 1, ordinal, rank, at: Micros(at), body }
            },
        )
    }

    /// The same rules over plain maps: what the sorted stream must come to.
    fn oracle(facts: &[Fact]) -> BTreeMap<(i32, Vec<u8>), i64> {
        let mut best: BTreeMap<_, (u8, Vec<u8>)> = BTreeMap::new();
        for fact in facts {
            let cluster = match &fact.body {
                FactBody::Access(access) => access.cluster.clone(),
                _ => String::new(),
            };
            let family = Family::of_test(&fact.body);
            let key = (family, fact.at.hour(), fact.id, fact.ordinal, cluster);
            let value = (fact.rank, postcard::to_stdvec(&(fact.at, &fact.body)).unwrap());
            let slot = best.entry(key).or_insert_with(|| value.clone());
            *slot = value.min(slot.clone());
        }
        let mut sums = BTreeMap::new();
        for ((_, hour, ..), (_, bytes)) in best {
            let (_, rest) = postcard::take_from_bytes::<Micros>(&bytes).unwrap();
            *sums.entry((hour.0, rest.to_vec())).or_insert(0) += 1;
        }
        sums
    }

    impl Family {
        fn of_test(body: &FactBody) -> u8 {
            match body {
                FactBody::Session(_) => 0,
                FactBody::Authentication(_) => 1,
                FactBody::AwsCall(_) => 2,
                FactBody::Login(_) => 3,
                FactBody::Change(_) => 4,
                FactBody::Access(_) => 5,
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(96))]

        #[test]
        fn any_split_and_any_buffer_gives_the_same(
            facts in prop::collection::vec(any_fact(), 0..120),
            workers in 1usize..4,
            buffer in 64usize..4096,
        ) {
            let whole = run(&facts, 1, 1 << 20);
            let split = run(&facts, workers, buffer);
            prop_assert_eq!(&whole, &split);

            let mut sums = BTreeMap::new();
            for fact in whole.0.0 {
                let (hour, body, count) = match fact {
                    Folded::Access(row, _) => (row.hour, FactBody::Access(Box::new(row.body)), row.count),
                    Folded::AwsCall(row) => (row.hour, FactBody::AwsCall(Box::new(row.body)), row.count),
                    Folded::Session(row) => (row.at.hour(), FactBody::Session(Box::new(row.body)), 1),
                    other => panic!("{other:?}"),
                };
                let body = postcard::to_stdvec(&body).unwrap();
                *sums.entry((hour.0, body)).or_insert(0) += count;
            }
            prop_assert_eq!(sums, oracle(&facts));
        }
    }
}
