//! Entries, diffs, days and sums, case by case.

use std::collections::{BTreeMap, BTreeSet};

use super::days::{Days, rebuild};
use super::diff::{Diff, Need, Why, diff};
use super::entries::{Entries, Fresh};
use super::entry::{Details, Entry, Listed, Name};
use super::lens::Lens;
use super::totals::totals;
use super::*;
use crate::model::coverage::LogStream;
use crate::model::outcome::{Family, Kept, KeptCount, Outcome, Proof, Unit, UnitCounts};
use crate::model::packed::PackedError;
use crate::model::tally::{Counts, Filter, Reason, Reject, Stream};
use crate::model::time::{Day, Hour, Window};

const PROD: &str = "arn:aws:eks:r1:111122223333:cluster/prod";

fn lens() -> Lens {
    Lens {
        version: FACTS_VERSION,
        ids: BTreeSet::from(["AROA1".to_owned()]),
        accounts: BTreeSet::from(["111122223333".to_owned()]),
        clusters: BTreeSet::from([PROD.to_owned()]),
        max_inflated: 10,
        ..Lens::default()
    }
}

fn name(key: &str) -> Name {
    (String::new(), key.to_owned())
}

fn listed(key: &str) -> Listed {
    Listed { name: name(key), etag: Some("1".to_owned()), size: 7 }
}

/// A kept object of one stream.
fn of_stream(stream: Stream) -> Outcome {
    let counts = Counts { seen: 3, kept: 3, ..Counts::default() };
    let object = Counts { seen: 1, kept: 1, ..Counts::default() };
    let streams = BTreeMap::from([(stream, counts), (Stream::Objects, object)]);
    Outcome { streams, ..Outcome::default() }
}

fn rejected(why: Reason) -> Outcome {
    let reject = Reject { count: 1, example: String::new() };
    Outcome { rejects: BTreeMap::from([(why, reject)]), ..Outcome::default() }
}

fn entry(key: &str, lens: &Lens, outcome: &Outcome) -> Entry {
    let details = Details::of(outcome).unwrap();
    Entry { listed: listed(key), days: (Day(10), Day(20)), lens: lens.digest().into(), details }
}

fn known(all: impl IntoIterator<Item = Entry>) -> Entries {
    let mut entries = Entries::default();
    entries.set_day(None, all).unwrap();
    entries
}

fn diff_of(listed: &[Listed], entries: &Entries, need: Need<'_>) -> Diff {
    let listed = listed.iter().map(|one| Ok::<_, PackedError>((None, one.clone())));
    diff(listed, entries, need).unwrap()
}

/// Reads `now` of an object that was read through `old`, and is needed for days 12 to 22.
fn why(old: &Lens, now: &Lens, outcome: &Outcome) -> Option<Why> {
    let lenses = BTreeMap::from([(old.digest(), old.clone())]);
    let need = Need { days: (Day(12), Day(22)), lens: now, lenses: &lenses };
    let diff = diff_of(&[listed("k")], &known([entry("k", old, outcome)]), need);
    assert!(diff.gone.is_empty());
    diff.read.first().map(|read| read.why)
}

#[test]
fn what_is_new_or_changed_is_read() {
    let lens = lens();
    let lenses = BTreeMap::from([(lens.digest(), lens.clone())]);
    let need = Need { days: (Day(10), Day(20)), lens: &lens, lenses: &lenses };
    let entries = known([entry("k", &lens, &of_stream(Stream::Audit))]);
    let check = |object: Listed, expected: Option<Why>| {
        let Diff { read, gone } = diff_of(std::slice::from_ref(&object), &entries, need);
        assert_eq!(read.first().map(|read| read.why), expected, "{object:?}");
        assert!(gone.is_empty());
    };
    check(listed("k"), None);
    check(listed("new"), Some(Why::New));
    check(Listed { size: 8, ..listed("k") }, Some(Why::Changed));
    check(Listed { etag: None, ..listed("k") }, Some(Why::Changed));
    check(Listed { name: ("bucket".to_owned(), "k".to_owned()), ..listed("k") }, Some(Why::New));
    let unread = known([entry("k", &lens, &rejected(Reason::Unreadable))]);
    let found = diff_of(&[], &unread, need);
    assert_eq!(found.gone.into_values().next(), Some(Why::Unread), "it is not listed any more");
}

#[test]
fn what_was_left_out_and_is_needed_is_read_again() {
    let lens = lens();
    let outside = |first: i32, last: i32| Outcome {
        outside: Some((Hour(first * 24), Hour(last * 24 + 23))),
        ..of_stream(Stream::CloudTrail)
    };
    // Days 10 to 20 were taken, 12 to 22 are needed.
    let check = |first, last, expected: Option<Why>| {
        assert_eq!(why(&lens, &lens, &outside(first, last)), expected, "{first} to {last}");
    };
    check(21, 21, Some(Why::Window));
    check(22, 40, Some(Why::Window));
    check(0, 30, Some(Why::Window));
    check(23, 40, None);
    check(0, 9, None);
    assert_eq!(why(&lens, &lens, &rejected(Reason::Unreadable)), Some(Why::Unread));
    assert_eq!(why(&lens, &lens, &rejected(Reason::BadGzip)), None);
}

#[test]
fn who_is_looked_for_decides_what_must_be_read_again() {
    let trail = of_stream(Stream::CloudTrail);
    let audit = of_stream(Stream::Audit);
    let change = |change: fn(&mut Lens)| {
        let mut lens = lens();
        change(&mut lens);
        lens
    };
    let check = |now: &Lens, outcome: &Outcome, expected: Option<Why>| {
        assert_eq!(why(&lens(), now, outcome), expected, "{now:?}");
    };
    let more = change(|lens| lens.ids.extend(["AROA2".to_owned()]));
    check(&more, &trail, Some(Why::Principals));
    check(&more, &audit, None);
    assert_eq!(why(&more, &lens(), &trail), None, "fewer principals need nothing");
    let account = change(|lens| lens.accounts.extend(["444455556666".to_owned()]));
    check(&account, &trail, Some(Why::Principals));
    let any_account = change(|lens| lens.accounts.clear());
    check(&any_account, &trail, Some(Why::Principals));
    assert_eq!(why(&any_account, &lens(), &trail), None);
    let map = change(|lens| lens.cluster_map.push(("a".to_owned(), PROD.to_owned())));
    check(&map, &audit, Some(Why::Clusters));
    check(&map, &trail, None);
    let limit = change(|lens| lens.max_inflated = 11);
    check(&limit, &rejected(Reason::TooLarge), Some(Why::Limit));
    check(&limit, &audit, None);
    let old = change(|lens| lens.version = 0);
    assert_eq!(why(&old, &lens(), &audit), Some(Why::Version));
}

#[test]
fn another_cluster_matters_where_it_may_take_or_give_a_name() {
    let other = |arn: &str| {
        let mut lens = lens();
        lens.clusters.insert(arn.to_owned());
        lens
    };
    let namesake = other("arn:aws:eks:r2:111122223333:cluster/prod");
    let stranger = other("arn:aws:eks:r2:111122223333:cluster/dev");
    let of_prod = || {
        let stream = LogStream::Audit { cluster: PROD.to_owned(), stream: String::new() };
        let proofs = BTreeMap::from([((stream, Hour(300)), Proof::default())]);
        Outcome { proofs, ..of_stream(Stream::Audit) }
    };
    let check = |now: &Lens, outcome: &Outcome, expected: Option<Why>| {
        assert_eq!(why(&lens(), now, outcome), expected, "{outcome:?}");
    };
    check(&stranger, &of_prod(), None);
    check(&namesake, &of_prod(), Some(Why::Clusters));
    let mut unnamed = of_prod();
    let counts = unnamed.streams.get_mut(&Stream::Audit).unwrap();
    counts.filtered.insert(Filter::OtherCluster, 1);
    check(&stranger, &unnamed, Some(Why::Clusters));
    let logins = of_stream(Stream::Authenticator);
    check(&stranger, &logins, None);
    check(&namesake, &logins, Some(Why::Clusters));
    assert_eq!(why(&namesake, &lens(), &of_prod()), Some(Why::Clusters), "a namesake is gone");
}

#[test]
fn whoever_leaves_out_facts_of_a_cluster_needs_nothing_where_it_is_gone() {
    let dev = "arn:aws:eks:r2:111122223333:cluster/dev";
    let namesake = "arn:aws:eks:r2:111122223333:cluster/prod";
    let scanned = |other: &str| {
        let mut lens = lens();
        lens.clusters.insert(other.to_owned());
        lens
    };
    let stream = LogStream::Audit { cluster: dev.to_owned(), stream: String::new() };
    let proofs = BTreeMap::from([((stream, Hour(300)), Proof::default())]);
    let mut outcome = Outcome { proofs, ..of_stream(Stream::Audit) };
    let old = scanned(dev);
    assert!(lens().lacks(&old, &outcome).is_some(), "its records are counted as kept");
    let asked = lens().with_strangers_of(&old);
    assert_eq!(asked, old);
    assert_eq!(asked.lacks(&old, &outcome), None);

    let old = scanned(namesake);
    let asked = lens().with_strangers_of(&old);
    assert_eq!(asked, lens());
    let counts = outcome.streams.get_mut(&Stream::Audit).unwrap();
    counts.rejected.insert(Reason::ClusterAmbiguous, 1);
    assert_eq!(asked.lacks(&old, &outcome), Some(Why::Clusters), "whose they are is told anew");
}

fn unit(day: i32) -> Unit {
    Unit { place: 1, day: Day(day) }
}

fn holding(units: &[i32]) -> Outcome {
    let units = units.iter().map(|day| unit(*day)).collect();
    Outcome { units, ..of_stream(Stream::Audit) }
}

fn folded(units: &[i32], late: &[i32]) -> Days {
    let counts = |units: &[i32]| -> BTreeMap<_, _> {
        units.iter().map(|day| ((Family::Access, unit(*day)), UnitCounts::default())).collect()
    };
    let mut days = Days::default();
    days.take(counts(units), &BTreeMap::new());
    days.take(counts(late), &late.iter().map(|day| (unit(*day), 1)).collect());
    days
}

#[test]
fn days_are_folded_anew_from_all_that_holds_them() {
    let lens = lens();
    let held = [("a", vec![1, 2]), ("b", vec![2, 3]), ("gone", vec![3])];
    let entries = known(held.map(|(key, units)| entry(key, &lens, &holding(&units))));
    let check =
        |touched: &[i32], late: &[i32], read: &[&str], expected: (&[i32], &[i32], &[&str])| {
            let days = folded(&[1, 2, 3], late);
            let touched = touched.iter().map(|day| unit(*day)).collect();
            let read = |name: &Name| read.contains(&name.1.as_str());
            let mut present = |needed: &BTreeMap<Name, Listed>| {
                Ok(needed.keys().filter(|name| name.1 != "gone").cloned().collect())
            };
            let got = rebuild(&touched, &days, &entries, &read, &mut present).unwrap();
            let units = |units: &BTreeSet<Unit>| units.iter().map(|u| u.day.0).collect::<Vec<_>>();
            let again: Vec<&str> = got.again.iter().map(|(_, key)| key.as_str()).collect();
            let got = (units(&got.anew), units(&got.late), again);
            let expected = (expected.0.to_vec(), expected.1.to_vec(), expected.2.to_vec());
            assert_eq!(got, expected, "{touched:?}");
        };
    check(&[1], &[], &[], (&[1], &[], &["a"]));
    check(&[2], &[], &[], (&[2], &[], &["a", "b"]));
    check(&[2], &[], &["b"], (&[2], &[], &["a"]));
    check(&[2, 3], &[], &[], (&[2], &[3], &["a", "b"]));
    check(&[9], &[], &[], (&[], &[], &[]));
    check(&[], &[1], &[], (&[1], &[], &["a"]));
    check(&[], &[3], &[], (&[], &[3], &[]));
    check(&[3], &[], &["gone"], (&[3], &[], &["b"]));
}

#[test]
fn days_survive_their_rows() {
    let mut days = folded(&[1, 2], &[2]);
    assert_eq!(days.next_part(unit(1)), 1);
    assert_eq!(days.next_part(unit(2)), 2);
    assert_eq!(Days::from_rows(days.rows().unwrap()).unwrap(), days);
    days.forget(unit(2));
    assert!(days.inexact().is_empty() && !days.holds(unit(2)) && days.holds(unit(1)));
    days.lose(unit(1));
    assert!(days.holds(unit(1)), "it is to be made anew");
}

#[test]
fn a_window_takes_its_own_hours() {
    let mut outcome = of_stream(Stream::CloudTrail);
    let count = KeptCount { records: 1, salvaged: 0 };
    for key in [(Kept::Call, Hour(47)), (Kept::Session, Hour(47)), (Kept::Call, Hour(48))] {
        outcome.kept.insert(key, count);
    }
    let stream = |account: &str| LogStream::CloudTrail {
        account: account.to_owned(),
        region: "r1".to_owned(),
    };
    let proof = Proof { events: 2, rejected: 1, issues: true };
    for (account, hour) in [("111122223333", 48), ("111122223333", 10), ("444455556666", 48)] {
        outcome.proofs.insert((stream(account), Hour(hour)), proof);
    }
    let lens = lens();
    let entries = known([entry("k", &lens, &outcome)]);
    let window = Window { since: Hour(48).start(), until: Hour(72).start() };
    let got = totals(&entries, window, &lens.accounts).unwrap();
    let counts = &got.tally.streams[&Stream::CloudTrail];
    assert!(counts.partitions());
    assert_eq!((counts.kept, counts.filtered[&Filter::OutsideWindow]), (2, 1));
    let delivered: Vec<_> = got.deliveries.by_hour.keys().map(|(_, hour)| hour.0).collect();
    assert_eq!(delivered, [48], "a day around the window, and accounts of grants");
    assert_eq!(got.deliveries.issuing.len(), 1);
    let entry = entries.of_day(None).next().unwrap().unwrap();
    let row = entry.row().unwrap();
    assert_eq!((row.outcome.as_str(), row.first_hour), ("kept", Some(Hour(10).start())));
    assert_eq!(Entry::from_row(row), entry);
}

fn sized(key: &str, size: u64) -> Entry {
    let mut entry = entry(key, &lens(), &of_stream(Stream::Audit));
    entry.listed.size = size;
    entry
}

/// As many as several blocks hold, of two buckets and two days, taken in in two halves.
#[test]
fn entries_are_as_in_a_plain_map() {
    let all: Vec<(Option<Day>, Entry)> = (0..3000_u64)
        .map(|n| {
            let mut entry = sized(&format!("logs/{:04}", n * 7919 % 3000), n);
            entry.listed.name.0 = format!("bucket-{}", n % 2);
            (Some(Day(i32::try_from(n % 3).unwrap())).filter(|day| day.0 > 0), entry)
        })
        .collect();
    let mut plain: BTreeMap<(Option<Day>, String, String), Entry> = BTreeMap::new();
    let mut entries = Entries::default();
    let mut take = |some: &[(Option<Day>, Entry)], changed: &[Option<Day>]| {
        let mut fresh = Fresh::default();
        for (day, entry) in some {
            let (source, key) = entry.listed.name.clone();
            plain.insert((*day, key, source), entry.clone());
            fresh.push(*day, entry.clone()).unwrap();
        }
        assert_eq!(entries.take(fresh).unwrap(), changed);
        let got: Result<Vec<_>, _> = entries.iter().collect();
        let got: Vec<_> =
            got.unwrap().into_iter().map(|(day, entry)| (day, entry.listed)).collect();
        let expected: Vec<_> =
            plain.iter().map(|((day, ..), entry)| (*day, entry.listed.clone())).collect();
        assert!(got == expected);
    };
    let every = [None, Some(Day(1)), Some(Day(2))];
    take(&all[..1500], &every);
    take(&all[1000..1500], &[]);
    take(&all[1200..], &every);
    take(&[(None, sized("logs/more", 1))], &[None]);
    take(&[(Some(Day(9)), sized("logs/day", 1))], &[Some(Day(9))]);
    take(&[(Some(Day(9)), sized("logs/day", 2))], &[Some(Day(9))]);
    let mut finder = entries.finder();
    for ((day, ..), entry) in &plain {
        assert_eq!(finder.get(*day, &entry.listed.name).unwrap().as_ref(), Some(entry));
        assert_eq!(finder.get(Some(Day(7)), &entry.listed.name).unwrap(), None);
    }
    for key in ["", "logs/0000x", "zzz"] {
        assert_eq!(finder.get(None, &name(key)).unwrap(), None, "{key}");
    }
    let mut keys: Vec<(String, u64)> =
        plain.values().map(|entry| (entry.listed.name.1.clone(), entry.listed.size)).collect();
    keys.sort();
    let got: Result<Vec<_>, _> = entries.keys().unwrap().collect();
    assert!(got.unwrap() == keys);
    assert_eq!(entries.sources(), BTreeSet::from(["", "bucket-0", "bucket-1"]));
    let more = BTreeSet::from([name("logs/more")]);
    assert!(entries.forget(None, &more).unwrap());
    assert!(!entries.forget(None, &more).unwrap());
    assert_eq!(entries.len(), plain.len() - 1);
}
