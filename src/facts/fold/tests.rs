//! Copies, cut events, names and sums, against plain maps; and many runs in small buffers.
#![expect(clippy::disallowed_methods, reason = "the test looks at what is left on disk")]

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::rc::Rc;

use proptest::prelude::*;

use super::super::sort::Sorter;
use super::*;
use crate::model::fact::{Fact, KubeUser};
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

fn run(facts: &[Fact<'_>], workers: usize, buffer: usize) -> (Seen, FoldCounts) {
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

/// Distinct audit requests and copies.
fn requests(counts: &FoldCounts) -> (u64, u64) {
    records(counts, Family::Access)
}

fn access(id: u128, rank: u8, at: i64, cluster: &str, verb: &str) -> Fact<'static> {
    let mut body = AccessFact { cluster: cluster.to_owned(), ..AccessFact::default() };
    verb.clone_into(&mut body.permission.verb);
    let body = Rc::new(FactBody::Access(Box::new(body)));
    // As extraction does it: a low half of 0 says that the event was cut.
    let id = (id << 64) | u128::from(rank != 9);
    Fact { group: 0, id, ordinal: 0, rank, at: Micros(at), name: Cow::Borrowed(""), body }
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
    assert_eq!(requests(&counts), (2, 2));
}

#[test]
fn one_event_in_two_clusters_counts_in_both() {
    let facts = [access(1, 1, 5, "a", "get"), access(1, 1, 5, "b", "get")];
    let (seen, _) = run(&facts, 1, 1 << 20);
    let mut clusters: Vec<_> = seen.access().iter().map(|a| a.body.cluster.as_str()).collect();
    clusters.sort_unstable();
    assert_eq!(clusters, ["a", "b"]);
}

#[test]
fn a_cut_event_gives_way_to_its_whole_copy() {
    let verbs = |facts: &[Fact]| {
        let (seen, counts) = run(facts, 1, 1 << 20);
        let verbs: Vec<String> =
            seen.access().iter().map(|a| a.body.permission.verb.clone()).collect();
        (verbs, requests(&counts))
    };
    let (cut, whole) = (access(7, 9, 5, "c", "cut"), access(7, 1, 5, "c", "whole"));
    let other = access(8, 1, 5, "c", "other");
    let is = |verbs: &[&str], distinct, copies| {
        (verbs.iter().map(|v| (*v).to_owned()).collect::<Vec<_>>(), (distinct, copies))
    };
    assert_eq!(verbs(&[whole.clone(), cut.clone()]), is(&["whole"], 1, 1));
    assert_eq!(verbs(&[cut.clone(), cut.clone()]), is(&["cut"], 1, 1));
    assert_eq!(verbs(&[cut, other, whole]), is(&["other", "whole"], 2, 1));
}

#[test]
fn an_audit_id_on_several_requests_is_noted() {
    let with = |group, id, user: &str| {
        let mut fact = access(id, 1, 5, "c", "get");
        fact.group = group;
        if let FactBody::Access(access) = Rc::make_mut(&mut fact.body) {
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
    let got: Vec<_> = counts
        .values()
        .flat_map(|unit| &unit.reused)
        .map(|((.., who), sum)| (who.as_str(), sum.count))
        .collect();
    assert_eq!(got, [("eve", 2)]);
}

#[test]
fn names_beyond_the_cap_are_added_up() {
    let named = |n: usize, day: i64| {
        let at = day * 24 * MICROS_PER_HOUR;
        let mut fact = access(u128::try_from(n).unwrap(), 1, at, "c", "get");
        fact.name = Cow::Owned(format!("n{n}"));
        fact
    };
    let mut facts: Vec<Fact<'_>> = (0..MAX_NAMES + 10).map(|n| named(n, 0)).collect();
    facts.push(named(900, 1));
    let (seen, _) = run(&facts, 3, 1 << 20);
    let access = seen.access();
    assert_eq!(access.len(), MAX_NAMES + 2);
    let nameless: Vec<_> =
        access.iter().filter(|a| a.body.permission.name.is_empty()).map(|a| a.count).collect();
    assert_eq!(nameless, [10]);
    assert!(access.iter().any(|a| a.body.permission.name == "n900"));
}

fn any_fact() -> impl Strategy<Value = Fact<'static>> {
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
                    let mut body = AccessFact { cluster: text.clone(), ..AccessFact::default() };
                    body.permission.verb = text;
                    FactBody::Access(Box::new(body))
                }
            };
            Fact {
                group: 0,
                id: (id << 64) | 1,
                ordinal,
                rank,
                at: Micros(at),
                name: Cow::Borrowed(""),
                body: Rc::new(body),
            }
        },
    )
}

/// The same rules over plain maps: what the sorted stream must come to.
fn oracle(facts: &[Fact<'_>]) -> BTreeMap<(i32, Vec<u8>), i64> {
    let mut best: BTreeMap<_, (u8, Vec<u8>)> = BTreeMap::new();
    for fact in facts {
        let cluster = match &*fact.body {
            FactBody::Access(access) => access.cluster.clone(),
            _ => String::new(),
        };
        let family = Family::of_test(&fact.body);
        let key = (family, fact.at.hour(), fact.id, fact.ordinal, cluster);
        let value = (fact.rank, postcard::to_stdvec(&(fact.at, &*fact.body)).unwrap());
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

/// Enough events that every worker merges its own runs, and the hour its partial sums.
#[test]
fn many_events_in_small_buffers_count_once_and_leave_nothing_behind() {
    const EVENTS: u64 = 200_000;
    const WORKERS: u64 = 3;
    let event = |n: u64| {
        let id = u128::from(n.wrapping_mul(0x9e37_79b9_7f4a_7c15)) << 64 | 1;
        let at = i64::try_from(n * 15_000).unwrap();
        let mut fact = access(0, 1, at, if n.is_multiple_of(5) { "a" } else { "b" }, "get");
        fact.id = id;
        fact.group = n + 1;
        if let FactBody::Access(access) = Rc::make_mut(&mut fact.body) {
            access.caller.username = format!("user-{}", n % 9000);
        }
        fact.name = Cow::Owned(format!("name-{}", n % 7));
        fact
    };
    let dir = tempfile::tempdir().unwrap();
    let spill = SpillDir::new(dir.path().to_path_buf());
    let mut runs = Vec::new();
    for worker in 0..WORKERS {
        let mut sorter = Sorter::new(&spill, 128 << 10);
        for n in 0..EVENTS {
            // Every tenth event is delivered twice, to different workers.
            if n % WORKERS == worker || (n.is_multiple_of(10) && (n + 1) % WORKERS == worker) {
                sorter.push(&event(n)).unwrap();
            }
        }
        runs.extend(sorter.finish());
    }
    let files = std::fs::read_dir(dir.path()).unwrap().count();
    let mut seen = Seen::default();
    let counts = fold_within(
        Runs { fresh: runs, again: Vec::new() },
        &|_, _| true,
        &spill,
        128 << 10,
        &mut seen,
    )
    .unwrap();
    let key = |n: u64| (n.is_multiple_of(5), n % 9000, n % 7);
    let rows: BTreeSet<_> = (0..EVENTS).map(key).collect();
    let access = seen.access();
    // Files are numbered: each worker made dozens of runs and merged them, and the fold its sums.
    let next = spill.next_file().file_name().unwrap().to_string_lossy().into_owned();
    assert!((3..100).contains(&files), "{files} files before the fold");
    assert!(next.as_str() > "run-000400", "the next file is {next}");
    assert_eq!(requests(&counts), (EVENTS, EVENTS / 10));
    assert!(counts.values().all(|unit| unit.reused.is_empty()));
    assert_eq!(access.iter().map(|row| row.count).sum::<i64>(), i64::try_from(EVENTS).unwrap());
    assert_eq!(access.len(), rows.len());
    assert!(access.iter().all(|row| row.body.subject == KubeUser::default()), "it is the caller");
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
}
