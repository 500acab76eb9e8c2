//! Removes copies and adds up equal facts of one hour.
//!
//! Input: the merged stream of [`sort`](super::sort). Output: each distinct fact of an hour once,
//! with how often and when it was seen, pushed into a [`FactSink`] in the order family, hour,
//! bytes. Among copies the smallest rank wins (addendum, whole, truncated; the last stage of an
//! audit event), then the smallest bytes, so that unequal copies cannot make a run depend on order.
//! An audit event delivered under two clusters counts for both: one of them is a misrouted log, and
//! dropping either could hide use.

use std::collections::BTreeMap;

use rustc_hash::FxHashMap;

use super::FactsError;
use super::sort::{Family, Run, SpillDir, merge};
use crate::model::fact::{AccessFact, AwsCallFact, FactBody, SessionFact};
use crate::model::time::{Hour, Micros};

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

/// A session, never added up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issued {
    /// When it was issued.
    pub at: Micros,
    /// What the record says.
    pub body: SessionFact,
}

/// Takes what the fold yields.
pub trait FactSink {
    /// A session; all sessions come before anything else, by hour.
    fn session(&mut self, issued: Issued) -> Result<(), FactsError>;
    /// Token redemptions of one hour.
    fn authentication(&mut self, call: Hourly<AwsCallFact>) -> Result<(), FactsError>;
    /// Other AWS calls of one hour.
    fn aws_call(&mut self, call: Hourly<AwsCallFact>) -> Result<(), FactsError>;
    /// API-server requests of one hour.
    fn access(&mut self, access: Hourly<AccessFact>) -> Result<(), FactsError>;
}

/// What the fold counted; `records = distinct + copies` per family.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FoldCounts {
    /// Distinct records, by family name.
    pub distinct: BTreeMap<&'static str, u64>,
    /// Copies and earlier stages that were folded away.
    pub copies: BTreeMap<&'static str, u64>,
}

impl Family {
    /// The name in counters.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Family::Session => "sessions",
            Family::Authentication => "authentications",
            Family::AwsCall => "aws_calls",
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
        hourly: FxHashMap::default(),
    };
    merge(runs, spill, |key, body| {
        let bucket = (key.family(), key.hour());
        if fold.bucket != Some(bucket) {
            fold.flush(sink)?;
            fold.bucket = Some(bucket);
        }
        // Ordinal 0 stands for the record; further facts of it are no further records.
        let is_record = key.identity().last() == Some(&0);
        if fold.identity == key.identity() {
            if is_record {
                *fold.counts.copies.entry(bucket.0.as_str()).or_default() += 1;
            }
            if bucket.0 != Family::Access {
                return Ok(());
            }
        } else {
            fold.identity.clear();
            fold.identity.extend_from_slice(key.identity());
            fold.clusters_taken.clear();
            if is_record {
                *fold.counts.distinct.entry(bucket.0.as_str()).or_default() += 1;
            }
        }
        fold.take(bucket, body, sink)
    })?;
    fold.flush(sink)?;
    Ok(fold.counts)
}

struct Fold {
    counts: FoldCounts,
    identity: Vec<u8>,
    clusters_taken: Vec<String>,
    bucket: Option<(Family, Hour)>,
    hourly: FxHashMap<Vec<u8>, (i64, Micros, Micros)>,
}

impl Fold {
    fn take(
        &mut self,
        bucket: (Family, Hour),
        body: &[u8],
        sink: &mut impl FactSink,
    ) -> Result<(), FactsError> {
        let (at, rest) = postcard::take_from_bytes::<Micros>(body)?;
        match bucket.0 {
            Family::Session => {
                if let FactBody::Session(body) = postcard::from_bytes(rest)? {
                    sink.session(Issued { at, body: *body })?;
                }
                return Ok(());
            }
            Family::Access => {
                // The variant, then the first field of `AccessFact`: no need to read the rest.
                let ((_, cluster), _) = postcard::take_from_bytes::<(u32, &str)>(rest)?;
                if self.clusters_taken.iter().any(|taken| taken == cluster) {
                    return Ok(());
                }
                self.clusters_taken.push(cluster.to_owned());
            }
            Family::Authentication | Family::AwsCall => {}
        }
        if let Some((count, first, last)) = self.hourly.get_mut(rest) {
            *count += 1;
            *first = at.min(*first);
            *last = at.max(*last);
        } else {
            self.hourly.insert(rest.to_vec(), (1, at, at));
        }
        Ok(())
    }

    fn flush(&mut self, sink: &mut impl FactSink) -> Result<(), FactsError> {
        let Some((_, hour)) = self.bucket else { return Ok(()) };
        let mut rows: Vec<_> = self.hourly.drain().collect();
        rows.sort_unstable();
        for (bytes, (count, first, last)) in rows {
            match postcard::from_bytes::<FactBody>(&bytes)? {
                FactBody::Access(body) => {
                    sink.access(Hourly { hour, body: *body, count, first, last })?;
                }
                FactBody::Authentication(body) => {
                    sink.authentication(Hourly { hour, body: *body, count, first, last })?;
                }
                FactBody::AwsCall(body) => {
                    sink.aws_call(Hourly { hour, body: *body, count, first, last })?;
                }
                FactBody::Session(_) => {}
            }
        }
        Ok(())
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
    struct Seen {
        sessions: Vec<Issued>,
        access: Vec<Hourly<AccessFact>>,
        calls: Vec<Hourly<AwsCallFact>>,
    }

    impl FactSink for Seen {
        fn session(&mut self, issued: Issued) -> Result<(), FactsError> {
            self.sessions.push(issued);
            Ok(())
        }
        fn authentication(&mut self, call: Hourly<AwsCallFact>) -> Result<(), FactsError> {
            self.calls.push(call);
            Ok(())
        }
        fn aws_call(&mut self, call: Hourly<AwsCallFact>) -> Result<(), FactsError> {
            self.calls.push(call);
            Ok(())
        }
        fn access(&mut self, access: Hourly<AccessFact>) -> Result<(), FactsError> {
            self.access.push(access);
            Ok(())
        }
    }

    fn run(facts: &[Fact], workers: usize, buffer: usize) -> (Seen, FoldCounts) {
        let dir = tempfile::tempdir().unwrap();
        let spill = SpillDir::new(dir.path().to_path_buf());
        let mut runs = Vec::new();
        for worker in 0..workers {
            let mut sorter = Sorter::new(&spill, buffer);
            for fact in facts.iter().skip(worker).step_by(workers) {
                sorter.push(fact).unwrap();
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
        Fact { id, ordinal: 0, rank, at: Micros(at), body: FactBody::Access(Box::new(body)) }
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
        assert_eq!(seen.access.len(), 1);
        assert_eq!(seen.access[0].body.permission.verb, "whole");
        assert_eq!(
            (seen.access[0].count, seen.access[0].first.0, seen.access[0].last.0),
            (2, 5, 9)
        );
        assert_eq!((counts.distinct["audit_requests"], counts.copies["audit_requests"]), (2, 2));
    }

    #[test]
    fn one_event_in_two_clusters_counts_in_both() {
        let facts = [access(1, 1, 5, "a", "get"), access(1, 1, 5, "b", "get")];
        let (seen, _) = run(&facts, 1, 1 << 20);
        let clusters: Vec<_> = seen.access.iter().map(|a| a.body.cluster.as_str()).collect();
        assert_eq!(clusters, ["a", "b"]);
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
                Fact { id, ordinal, rank, at: Micros(at), body }
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
                FactBody::Access(_) => 3,
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
            for row in whole.0.access {
                let body = postcard::to_stdvec(&FactBody::Access(Box::new(row.body))).unwrap();
                *sums.entry((row.hour.0, body)).or_insert(0) += row.count;
            }
            for row in whole.0.calls {
                let body = postcard::to_stdvec(&FactBody::AwsCall(Box::new(row.body))).unwrap();
                *sums.entry((row.hour.0, body)).or_insert(0) += row.count;
            }
            for row in whole.0.sessions {
                let body = postcard::to_stdvec(&FactBody::Session(Box::new(row.body))).unwrap();
                *sums.entry((row.at.hour().0, body)).or_insert(0) += 1;
            }
            prop_assert_eq!(sums, oracle(&facts));
        }
    }
}
