//! Which hours the logs cover. An hour without logs is said, never counted as silence.
//!
//! Input: what each stream delivered and what could not be read. Output: for every expected stream
//! the hours that are covered. An API server is never silent for an hour, so an audit hour is
//! covered only if every log stream alive around it delivered; CloudTrail may be silent, so an hour
//! of it is a hole only if the account's trail delivered nothing for 24 hours around it.
//! Source: <https://docs.aws.amazon.com/eks/latest/userguide/control-plane-logs.html>.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::model::coverage::{Delivered, Deliveries, LogStream};
use crate::model::time::{Hour, Micros, Window};

/// Half of the 24 hours in which an account's trail must have delivered something.
const QUIET_HOURS: i32 = 12;

/// Hours of one expected source of evidence.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Covered {
    /// Shared: every verdict starts from the same hours.
    hours: Arc<BTreeSet<Hour>>,
}

/// How well a span is covered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Share {
    /// Covered hours.
    pub covered: i64,
    /// All hours.
    pub hours: i64,
    /// Longest run of uncovered hours.
    pub longest_hole: i64,
}

impl Share {
    /// Covered over all, 0 when the span is empty.
    #[must_use]
    pub fn ratio(&self) -> f64 {
        if self.hours == 0 {
            return 0.0;
        }
        let part = |n: i64| f64::from(i32::try_from(n).unwrap_or(i32::MAX));
        part(self.covered) / part(self.hours)
    }
}

impl Covered {
    /// From the hours themselves.
    #[must_use]
    pub fn from_hours(hours: impl IntoIterator<Item = Hour>) -> Self {
        Covered { hours: Arc::new(hours.into_iter().collect()) }
    }

    /// True when the hour is covered.
    #[must_use]
    pub fn contains(&self, hour: Hour) -> bool {
        self.hours.contains(&hour)
    }

    /// The hours that both cover.
    #[must_use]
    pub fn and(&self, other: &Covered) -> Covered {
        Covered::from_hours(self.hours.intersection(&other.hours).copied())
    }

    /// How well `span` is covered.
    #[must_use]
    pub fn share(&self, span: Window) -> Share {
        let hours = span.hour_count();
        if hours == 0 {
            return Share { covered: 0, hours, longest_hole: 0 };
        }
        let first = i64::from(span.since.hour().0);
        let (mut covered, mut longest_hole, mut next) = (0, 0, first);
        let end = Hour(i32::try_from(first + hours).unwrap_or(i32::MAX));
        for hour in self.hours.range(span.since.hour()..end) {
            covered += 1;
            longest_hole = longest_hole.max(i64::from(hour.0) - next);
            next = i64::from(hour.0) + 1;
        }
        longest_hole = longest_hole.max(first + hours - next);
        Share { covered, hours, longest_hole }
    }
}

/// Hours in which something that was listed could not be read.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Unreadable {
    /// Audit objects, by hour: which cluster they were about is not known.
    pub audit: BTreeSet<Hour>,
    /// Audit events of one cluster that may be lost.
    pub of_cluster: BTreeSet<(String, Hour)>,
    /// CloudTrail objects, by account.
    pub cloudtrail: BTreeMap<String, BTreeSet<Hour>>,
    /// CloudTrail objects of any account.
    pub cloudtrail_of_all: BTreeSet<Hour>,
}

/// Coverage of all clusters and accounts.
#[derive(Debug, Clone, Default)]
pub struct Coverage {
    audit: BTreeMap<String, Covered>,
    cloudtrail: BTreeMap<String, Covered>,
    regions: BTreeSet<(String, String)>,
    issuing: BTreeSet<String>,
}

impl Coverage {
    /// Works out which hours of `window` are covered.
    #[must_use]
    pub fn new(deliveries: &Deliveries, unreadable: &Unreadable, window: Window) -> Self {
        let mut audit_streams: BTreeMap<(&str, &str), BTreeSet<Hour>> = BTreeMap::new();
        let mut trails: BTreeMap<&str, BTreeSet<Hour>> = BTreeMap::new();
        let mut regions = BTreeSet::new();
        for ((stream, hour), delivered) in &deliveries.by_hour {
            if delivered.events == 0 {
                continue;
            }
            match stream {
                LogStream::Audit { cluster, stream } => {
                    audit_streams.entry((cluster, stream)).or_default().insert(*hour);
                }
                LogStream::CloudTrail { account, region } => {
                    trails.entry(account).or_default().insert(*hour);
                    regions.insert((account.clone(), region.clone()));
                }
            }
        }

        let mut by_cluster: BTreeMap<&str, Vec<&BTreeSet<Hour>>> = BTreeMap::new();
        for ((cluster, _), hours) in &audit_streams {
            by_cluster.entry(cluster).or_default().push(hours);
        }
        let audit = by_cluster
            .into_iter()
            .map(|(cluster, streams)| {
                let covered = window.hours().filter(|hour| {
                    !unreadable.audit.contains(hour)
                        && !unreadable.of_cluster.contains(&(cluster.to_owned(), *hour))
                        && audit_hour_is_covered(&streams, *hour)
                });
                (cluster.to_owned(), Covered::from_hours(covered))
            })
            .collect();
        let cloudtrail = trails
            .into_iter()
            .map(|(account, hours)| {
                let lost = unreadable.cloudtrail.get(account);
                let covered = window.hours().filter(|hour| {
                    let around = Hour(hour.0.saturating_sub(QUIET_HOURS))
                        ..=Hour(hour.0.saturating_add(QUIET_HOURS));
                    hours.range(around).next().is_some()
                        && !unreadable.cloudtrail_of_all.contains(hour)
                        && lost.is_none_or(|lost| !lost.contains(hour))
                });
                (account.to_owned(), Covered::from_hours(covered))
            })
            .collect();
        Coverage { audit, cloudtrail, regions, issuing: deliveries.issuing.clone() }
    }

    /// Audit hours of a cluster; nothing when it never delivered.
    #[must_use]
    pub fn audit(&self, cluster: &str) -> Covered {
        self.audit.get(cluster).cloned().unwrap_or_default()
    }

    /// True when the cluster delivered any audit event.
    #[must_use]
    pub fn has_audit(&self, cluster: &str) -> bool {
        self.audit.contains_key(cluster)
    }

    /// CloudTrail hours of an account; nothing when it never delivered.
    #[must_use]
    pub fn cloudtrail(&self, account: &str) -> Covered {
        self.cloudtrail.get(account).cloned().unwrap_or_default()
    }

    /// True when the account's CloudTrail delivered anything from this region.
    #[must_use]
    pub fn has_region(&self, account: &str, region: &str) -> bool {
        self.regions.contains(&(account.to_owned(), region.to_owned()))
    }

    /// True when the account's trail shows sessions at all: then silence of one is silence.
    #[must_use]
    pub fn shows_sessions(&self, account: &str) -> bool {
        self.issuing.contains(account)
    }

    /// How many regions of the account delivered.
    #[must_use]
    pub fn region_count(&self, account: &str) -> usize {
        self.regions.iter().filter(|(seen, _)| seen == account).count()
    }
}

fn audit_hour_is_covered(streams: &[&BTreeSet<Hour>], hour: Hour) -> bool {
    let delivered = streams.iter().any(|hours| hours.contains(&hour));
    let silent = streams.iter().any(|hours| {
        let alive = hours.first().is_some_and(|first| *first <= hour)
            && hours.last().is_some_and(|last| hour <= *last);
        alive && !hours.contains(&hour)
    });
    delivered && !silent
}

/// One hour of one expected stream, for the table `coverage`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CoverageHour {
    /// What was expected.
    pub stream: LogStream,
    /// Which hour.
    pub hour: Hour,
    /// What came.
    pub delivered: Delivered,
    /// Whether it counts as covered.
    pub covered: bool,
}

/// Every hour of every stream of `window`, holes included. `expected` names streams that must be
/// listed even if they never delivered.
#[must_use]
pub fn hours(
    coverage: &Coverage,
    deliveries: &Deliveries,
    expected: impl IntoIterator<Item = LogStream>,
    window: Window,
) -> Vec<CoverageHour> {
    let mut streams: BTreeSet<LogStream> =
        deliveries.by_hour.keys().map(|(stream, _)| stream.clone()).collect();
    for stream in expected {
        let LogStream::Audit { cluster, .. } = &stream else {
            streams.insert(stream);
            continue;
        };
        if !coverage.has_audit(cluster) {
            streams.insert(stream);
        }
    }
    let mut rows = Vec::new();
    for stream in streams {
        let covered = match &stream {
            LogStream::Audit { cluster, .. } => coverage.audit(cluster),
            LogStream::CloudTrail { account, .. } => coverage.cloudtrail(account),
        };
        for hour in window.hours() {
            let delivered =
                deliveries.by_hour.get(&(stream.clone(), hour)).copied().unwrap_or_default();
            rows.push(CoverageHour {
                stream: stream.clone(),
                hour,
                delivered,
                covered: covered.contains(hour),
            });
        }
    }
    rows
}

/// The instant at which a grant's evidence starts: the window, or the grant's own first day.
#[must_use]
pub fn span_of(window: Window, valid_from: Option<Micros>) -> Window {
    let from = valid_from.unwrap_or(window.since).max(window.since).min(window.until);
    Window { since: from.hour().start(), until: window.until }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn deliveries(of: &[(&str, &[i32])]) -> Deliveries {
        let mut all = Deliveries::default();
        for (stream, hours) in of {
            let stream = match stream.split_once('/') {
                Some((account, region)) => {
                    LogStream::CloudTrail { account: account.to_owned(), region: region.to_owned() }
                }
                None => LogStream::Audit { cluster: "c".to_owned(), stream: (*stream).to_owned() },
            };
            for hour in *hours {
                let delivered = Delivered { objects: 1, events: 1, rejected: 0 };
                all.by_hour.insert((stream.clone(), Hour(*hour)), delivered);
            }
        }
        all
    }

    fn window(since: i32, until: i32) -> Window {
        Window { since: Hour(since).start(), until: Hour(until).start() }
    }

    fn check(streams: &[(&str, &[i32])], expected: &[i32]) {
        let coverage = Coverage::new(&deliveries(streams), &Unreadable::default(), window(0, 10));
        let covered: Vec<i32> = coverage.audit("c").hours.iter().map(|hour| hour.0).collect();
        assert_eq!(covered, expected, "{streams:?}");
    }

    #[test]
    fn an_audit_hour_needs_every_stream_alive_around_it() {
        check(&[("a", &[1, 2, 3])], &[1, 2, 3]);
        check(&[("a", &[1, 2, 3]), ("b", &[1, 3])], &[1, 3]);
        check(&[("a", &[1, 2]), ("b", &[3, 4])], &[1, 2, 3, 4]);
        check(&[], &[]);
    }

    #[test]
    fn cloudtrail_may_be_silent_for_half_a_day() {
        let all = deliveries(&[("1/r", &[0, 60])]);
        let coverage = Coverage::new(&all, &Unreadable::default(), window(0, 61));
        let covered = coverage.cloudtrail("1");
        assert!(covered.contains(Hour(12)) && !covered.contains(Hour(13)));
        assert!(!covered.contains(Hour(47)) && covered.contains(Hour(48)));
        assert_eq!(covered.share(window(0, 61)).longest_hole, 35);
        assert_eq!(coverage.cloudtrail("2").share(window(0, 61)).covered, 0);
    }

    #[test]
    fn what_could_not_be_read_is_a_hole() {
        let unreadable = Unreadable {
            audit: BTreeSet::from([Hour(2)]),
            of_cluster: BTreeSet::from([("c".to_owned(), Hour(3)), ("d".to_owned(), Hour(1))]),
            cloudtrail: BTreeMap::from([("1".to_owned(), BTreeSet::from([Hour(3)]))]),
            cloudtrail_of_all: BTreeSet::from([Hour(2)]),
        };
        let all = deliveries(&[("a", &[1, 2, 3]), ("1/r", &[1, 2, 3])]);
        let coverage = Coverage::new(&all, &unreadable, window(1, 4));
        assert!(!coverage.audit("c").contains(Hour(2)));
        assert!(!coverage.audit("c").contains(Hour(3)));
        assert!(coverage.audit("c").contains(Hour(1)));
        assert!(!coverage.cloudtrail("1").contains(Hour(3)));
        assert!(!coverage.cloudtrail("1").contains(Hour(2)));
        assert!(coverage.cloudtrail("1").contains(Hour(1)));
        let rows = hours(&coverage, &all, [], window(1, 4));
        assert_eq!(rows.len(), 6);
        assert_eq!(rows.iter().filter(|row| row.covered).count(), 2);
    }

    #[test]
    fn a_stream_that_never_came_is_listed_with_holes() {
        let none = Deliveries::default();
        let coverage = Coverage::new(&none, &Unreadable::default(), window(0, 3));
        let expected = LogStream::Audit { cluster: "c".to_owned(), stream: String::new() };
        let rows = hours(&coverage, &none, [expected], window(0, 3));
        assert_eq!(rows.len(), 3);
        assert!(rows.iter().all(|row| !row.covered));
    }
}
