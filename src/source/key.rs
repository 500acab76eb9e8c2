//! What a key says: kind, account, region, delivery day. Pure.
//!
//! CloudTrail: `[prefix/]AWSLogs/[o-id/]ACCOUNT/CloudTrail/REGION/YYYY/MM/DD/…`; Firehose:
//! `[prefix/]YYYY/MM/DD/HH/…`. Days are delivery days, up to a day or more after the events. Source:
//! <https://docs.aws.amazon.com/awscloudtrail/latest/userguide/get-and-view-cloudtrail-log-files.html>.

use std::collections::BTreeSet;

use crate::model::time::{Day, Micros};

/// Days around the window whose deliveries may hold its events.
const SLACK_DAYS: i32 = 1;

/// Why something is left out by its key: all the words that [`Prune::reason`] and listings have.
pub const PRUNED: [&str; 4] = ["account", "day", "prefix", "region"];

/// What a key says; every part may be missing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LogKey {
    /// True below `CloudTrail`, `CloudTrail-Digest` and the like.
    pub is_cloudtrail: bool,
    /// Twelve digits.
    pub account: Option<String>,
    /// `us-west-2`
    pub region: Option<String>,
    /// Delivery day.
    pub day: Option<Day>,
    /// Delivery hour, for layouts that have one.
    pub hour: Option<i32>,
}

/// Reads a key.
#[must_use]
pub fn read_key(key: &str) -> LogKey {
    let parts: Vec<&str> = key.split('/').filter(|part| !part.is_empty()).collect();
    let mut found = LogKey::default();
    if let Some(at) = parts.iter().rposition(|part| *part == "AWSLogs") {
        let mut rest = parts.get(at + 1..).unwrap_or_default();
        if rest.first().is_some_and(|part| part.starts_with("o-")) {
            rest = rest.get(1..).unwrap_or_default();
        }
        if let [account, kind, region, ..] = rest
            && is_account(account)
        {
            found.account = Some((*account).to_owned());
            if kind.starts_with("CloudTrail") {
                found.is_cloudtrail = true;
                found.region = Some((*region).to_owned());
            }
        }
    }
    for window in parts.windows(3) {
        let [year, month, day] = window else { continue };
        if let Some(read) = day_from_parts(year, month, day) {
            found.day = Some(read);
        }
    }
    if let Some(day) = found.day {
        found.hour = parts.windows(4).find_map(|window| match window {
            [y, m, d, h] if day_from_parts(y, m, d) == Some(day) => {
                number(h, 2).filter(|h| *h < 24)
            }
            _ => None,
        });
    }
    found
}

/// True for what readers of data lakes skip: a name that begins with `_` or `.`, as markers of other
/// programs do. Source: <https://docs.aws.amazon.com/athena/latest/ug/tables-location-format.html>.
#[must_use]
pub fn is_hidden(key: &str) -> bool {
    key.rsplit('/').next().is_some_and(|name| name.starts_with(['_', '.']))
}

/// The delivery days of everything below a prefix, the last excluded, as far as it says.
#[must_use]
pub fn days_below(prefix: &str) -> Option<(Day, Day)> {
    spans(prefix).last()
}

/// Start and end of every year, month or day that a prefix may name.
fn spans(prefix: &str) -> impl Iterator<Item = (Day, Day)> {
    let parts: Vec<&str> = prefix.split('/').filter(|part| !part.is_empty()).collect();
    let part = |at: usize| parts.get(at).and_then(|text| number(text, 2));
    let mut found = Vec::new();
    for (idx, year) in parts.iter().enumerate() {
        let Some(year) = number(year, 4).filter(|y| (2000..2200).contains(y)) else { continue };
        let month = part(idx + 1).filter(|m| (1..=12).contains(m));
        let month = month.and_then(|m| u32::try_from(m).ok());
        let day = part(idx + 2).and_then(|d| u32::try_from(d).ok());
        let start = Day::from_ymd(year, month.unwrap_or(1), day.unwrap_or(1));
        let end = match (month, day) {
            (Some(_), Some(_)) => start.map(|d| Day(d.0 + 1)),
            (Some(12) | None, _) => Day::from_ymd(year + 1, 1, 1),
            (Some(m), None) => Day::from_ymd(year, m + 1, 1),
        };
        found.extend(start.zip(end));
    }
    found.into_iter()
}

fn is_account(text: &str) -> bool {
    text.len() == 12 && text.bytes().all(|b| b.is_ascii_digit())
}

fn day_from_parts(year: &str, month: &str, day: &str) -> Option<Day> {
    let part = |text: &str| number(text, 2).and_then(|n| u32::try_from(n).ok());
    Day::from_ymd(number(year, 4).filter(|y| *y >= 2000)?, part(month)?, part(day)?)
}

fn number(text: &str, digits: usize) -> Option<i32> {
    (text.len() == digits && text.bytes().all(|b| b.is_ascii_digit())).then(|| text.parse().ok())?
}

/// What to leave out by key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prune {
    /// Delivery days that may hold events of the window; `None` for all.
    pub days: Option<(Day, Day)>,
    /// Accounts wanted; `None` for all.
    pub accounts: Option<BTreeSet<String>>,
    /// Regions wanted; `None` for all.
    pub regions: Option<BTreeSet<String>>,
}

impl Prune {
    /// Leaves nothing out.
    #[must_use]
    pub fn everything() -> Self {
        Prune { days: None, accounts: None, regions: None }
    }

    /// Keeps deliveries of `since ≤ t < until`, a day more on each side.
    #[must_use]
    pub fn window(since: Micros, until: Micros) -> Self {
        let days = (Day(since.day().0 - SLACK_DAYS), Day(until.day().0 + SLACK_DAYS));
        Prune { days: Some(days), accounts: None, regions: None }
    }

    /// Why an object is left out, or `None` when it may matter.
    #[must_use]
    pub fn reason(&self, key: &LogKey) -> Option<&'static str> {
        if let (Some((first, last)), Some(day)) = (self.days, key.day)
            && !(first <= day && day <= last)
        {
            return Some("day");
        }
        let unwanted = |wanted: &Option<BTreeSet<String>>, value: &Option<String>| matches!((wanted, value), (Some(wanted), Some(value)) if !wanted.contains(value));
        if unwanted(&self.accounts, &key.account) {
            return Some("account");
        }
        unwanted(&self.regions, &key.region).then_some("region")
    }

    /// True when nothing below a prefix can matter, judged by the prefix alone.
    #[must_use]
    pub fn skips_prefix(&self, prefix: &str) -> bool {
        if let Some((first, last)) = self.days {
            // A year or month decides by itself when it ends before or starts after the days.
            if spans(prefix).any(|(start, end)| end.0 <= first.0 || start.0 > last.0) {
                return true;
            }
        }
        let key = read_key(&format!("{prefix}/-/-/-"));
        let probe = LogKey { day: None, ..key };
        let region_is_real = probe.region.as_deref().is_none_or(|region| region != "-");
        match self.reason(&probe) {
            Some("region") => region_is_real,
            Some(_) => true,
            None => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(
        key: &str,
        account: Option<&str>,
        region: Option<&str>,
        day: Option<&str>,
        hour: Option<i32>,
    ) {
        let got = read_key(key);
        let day_text = got.day.map(Day::to_iso);
        assert_eq!(
            (got.account.as_deref(), got.region.as_deref(), day_text.as_deref(), got.hour),
            (account, region, day, hour),
            "{key}"
        );
    }

    #[test]
    fn keys() {
        check(
            "AWSLogs/111122223333/CloudTrail/us-west-2/2026/10/03/111122223333_CloudTrail_x.json.gz",
            Some("111122223333"),
            Some("us-west-2"),
            Some("2026-10-03"),
            None,
        );
        check(
            "p//AWSLogs/o-abc/111122223333/CloudTrail-Digest/eu-west-1/2026/10/03/x",
            Some("111122223333"),
            Some("eu-west-1"),
            Some("2026-10-03"),
            None,
        );
        check(
            "eks/2026/10/03/09/audit-1-2026-10-03-09-05",
            None,
            None,
            Some("2026-10-03"),
            Some(9),
        );
        check("eks/2026/13/03/09/x", None, None, None, None);
        check("AWSLogs/12/CloudTrail/x/2026/02/30/y", None, None, None, None);
        check("", None, None, None, None);
        check("anything", None, None, None, None);
    }

    #[test]
    fn what_a_prefix_says_of_days() {
        let check = |prefix: &str, expected: Option<(&str, &str)>| {
            let got = days_below(prefix).map(|(a, b)| (a.to_iso(), b.to_iso()));
            let got = got.as_ref().map(|(a, b)| (a.as_str(), b.as_str()));
            assert_eq!(got, expected, "{prefix}");
        };
        check("a/2026", Some(("2026-01-01", "2027-01-01")));
        check("a/2026/12/", Some(("2026-12-01", "2027-01-01")));
        check("AWSLogs/111122223333/CloudTrail/r/2026/02", Some(("2026-02-01", "2026-03-01")));
        check("a/2026/10/03/07", Some(("2026-10-03", "2026-10-04")));
        check("AWSLogs/111122223333/CloudTrail", None);
    }

    #[test]
    fn pruning() {
        let since = Micros::parse("2026-10-03T00:00:00Z").unwrap();
        let until = Micros::parse("2026-10-05T00:00:00Z").unwrap();
        let mut prune = Prune::window(since, until);
        prune.accounts = Some(BTreeSet::from(["111122223333".to_owned()]));
        let reason = |key: &str| prune.reason(&read_key(key));
        assert_eq!(reason("a/2026/10/02/00/x"), None);
        assert_eq!(reason("a/2026/10/01/00/x"), Some("day"));
        assert_eq!(reason("a/2026/10/06/00/x"), None);
        assert_eq!(reason("a/2026/10/07/00/x"), Some("day"));
        assert_eq!(reason("AWSLogs/222222222222/CloudTrail/r/2026/10/03/x"), Some("account"));
        assert_eq!(reason("no/day/at/all"), None);

        let skips = |prefix: &str| prune.skips_prefix(prefix);
        assert!(skips("AWSLogs/111122223333/CloudTrail/us-west-2/2025"));
        assert!(!skips("AWSLogs/111122223333/CloudTrail/us-west-2/2026"));
        assert!(skips("a/2026/09") && !skips("a/2026/10") && skips("a/2026/11"));
        assert!(skips("a/2026/10/01") && !skips("a/2026/10/02"));
        assert!(skips("AWSLogs/222222222222") && !skips("AWSLogs/111122223333"));
        assert!(!skips("AWSLogs") && !skips(""));
        prune.regions = Some(BTreeSet::from(["us-west-2".to_owned()]));
        assert!(prune.skips_prefix("AWSLogs/111122223333/CloudTrail/eu-west-1"));
        assert!(!prune.skips_prefix("AWSLogs/111122223333/CloudTrail"));
    }

    proptest! {
        #[test]
        fn a_skipped_prefix_holds_nothing_wanted(key in "(a/)?(AWSLogs/)?(o-x/)?(1{12}|2{12})?/?(CloudTrail/)?(r1/|r2/)?20(25|26)/(0[1-9]|1[0-2])/(0[1-9]|1[0-9]|2[0-8])/[0-2][0-9]/x") {
            let since = Micros::parse("2026-03-10T00:00:00Z").unwrap();
            let mut prune = Prune::window(since, Micros(since.0 + 86_400_000_000 * 20));
            prune.accounts = Some(BTreeSet::from(["1".repeat(12)]));
            prune.regions = Some(BTreeSet::from(["r1".to_owned()]));
            let wanted = prune.reason(&read_key(&key)).is_none();
            for (at, _) in key.match_indices('/') {
                let prefix = key.get(..at).unwrap();
                if prune.skips_prefix(prefix) {
                    prop_assert!(!wanted, "{} was skipped at {}", key, prefix);
                }
            }
        }

        #[test]
        fn hostile_keys_never_panic(key in "\\PC{0,60}") {
            let prune = Prune::window(Micros(0), Micros(1));
            let wanted = prune.reason(&read_key(&key)).is_none();
            prop_assert!(!(wanted && prune.skips_prefix(&key)), "{}", key);
        }
    }
}
