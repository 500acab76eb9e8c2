//! Time as the tables hold it: whole microseconds, hours and days since 1970-01-01 UTC.
//!
//! Windows are half-open. Nothing here reads a clock.

use chrono::{DateTime, NaiveDate, SecondsFormat, Utc};
use serde::{Deserialize, Serialize};

/// Microseconds in a second.
pub const MICROS_PER_SECOND: i64 = 1_000_000;
/// Microseconds in an hour.
pub const MICROS_PER_HOUR: i64 = 3_600_000_000;

/// An instant: microseconds since the epoch, UTC.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
pub struct Micros(pub i64);

/// An hour: hours since the epoch, UTC.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
pub struct Hour(pub i32);

/// A day: days since the epoch, UTC.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
pub struct Day(pub i32);

impl Micros {
    /// Reads RFC 3339 (`2026-11-24T00:00:00Z`, fractions and offsets allowed).
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if let Some(at) = Micros::parse_plain(text.as_bytes()) {
            return Some(at);
        }
        let at = DateTime::parse_from_rfc3339(text).ok()?;
        Some(Micros(at.timestamp_micros()))
    }

    /// The two spellings that logs have: `2026-11-24T00:00:00Z`, and with six digits of a second.
    fn parse_plain(text: &[u8]) -> Option<Self> {
        let (seconds, fraction) = text.split_first_chunk::<19>()?;
        let fraction = match fraction {
            b"Z" => 0,
            [b'.', six @ .., b'Z'] if six.len() == 6 => number(six)?,
            _ => return None,
        };
        let &[y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2, b'T', h1, h2, b':', i1, i2, b':', s1, s2] =
            seconds
        else {
            return None;
        };
        let year = i32::try_from(number(&[y1, y2, y3, y4])?).ok()?;
        let [month, day, hour, minute, second] =
            [[m1, m2], [d1, d2], [h1, h2], [i1, i2], [s1, s2]].map(|two| number(&two));
        let date = NaiveDate::from_ymd_opt(year, month?, day?)?;
        let at = date.and_hms_micro_opt(hour?, minute?, second?, fraction)?;
        Some(Micros(at.and_utc().timestamp_micros()))
    }

    /// Reads what forwarders and Logs Insights make of a time as well: `2026-11-24 00:00:00.123`
    /// (UTC), or epoch milliseconds.
    #[must_use]
    pub fn parse_loose(text: &str) -> Option<Self> {
        if let Some(at) = Micros::parse(text) {
            return Some(at);
        }
        if let Ok(at) = chrono::NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S%.f") {
            return Some(Micros(at.and_utc().timestamp_micros()));
        }
        Self::from_millis(text.parse().ok()?)
    }

    /// From epoch milliseconds, as CloudWatch Logs writes them.
    #[must_use]
    pub fn from_millis(millis: i64) -> Option<Self> {
        millis.checked_mul(1000).map(Micros)
    }

    /// The hour this instant is in.
    #[must_use]
    pub fn hour(self) -> Hour {
        let hours = self.0.div_euclid(MICROS_PER_HOUR);
        Hour(i32::try_from(hours).unwrap_or(if hours < 0 { i32::MIN } else { i32::MAX }))
    }

    /// The day this instant is in.
    #[must_use]
    pub fn day(self) -> Day {
        self.hour().day()
    }

    /// `2026-11-24T00:00:00Z`; microseconds are shown only where there are any.
    #[must_use]
    pub fn to_rfc3339(self) -> String {
        match DateTime::<Utc>::from_timestamp_micros(self.0) {
            Some(at) => at.to_rfc3339_opts(SecondsFormat::AutoSi, true),
            None => format!("{}us", self.0),
        }
    }
}

impl Hour {
    /// The first instant of the hour.
    #[must_use]
    pub fn start(self) -> Micros {
        Micros(i64::from(self.0) * MICROS_PER_HOUR)
    }

    /// The day this hour is in.
    #[must_use]
    pub fn day(self) -> Day {
        Day(self.0.div_euclid(24))
    }
}

impl Day {
    /// From a calendar date; `None` when there is no such date.
    #[must_use]
    pub fn from_ymd(year: i32, month: u32, day: u32) -> Option<Self> {
        let date = NaiveDate::from_ymd_opt(year, month, day)?;
        let epoch = NaiveDate::from_ymd_opt(1970, 1, 1)?;
        i32::try_from((date - epoch).num_days()).ok().map(Day)
    }

    /// Reads `2026-11-24`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let date = NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?;
        let epoch = NaiveDate::from_ymd_opt(1970, 1, 1)?;
        i32::try_from((date - epoch).num_days()).ok().map(Day)
    }

    /// The first instant of the day.
    #[must_use]
    pub fn start(self) -> Micros {
        Micros(i64::from(self.0) * 24 * MICROS_PER_HOUR)
    }

    /// `2026-11-24`.
    #[must_use]
    pub fn to_iso(self) -> String {
        self.start().to_rfc3339().chars().take(10).collect()
    }
}

/// What decimal digits are, of which there are few.
fn number(digits: &[u8]) -> Option<u32> {
    digits.iter().try_fold(0, |number, digit| {
        digit.is_ascii_digit().then(|| number * 10 + u32::from(digit - b'0'))
    })
}

/// A half-open span of time, `since ≤ t < until`, both on an hour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Window {
    /// First instant inside.
    pub since: Micros,
    /// First instant after.
    pub until: Micros,
}

impl Window {
    /// True when `at` is inside.
    #[must_use]
    pub fn contains(&self, at: Micros) -> bool {
        self.since <= at && at < self.until
    }

    /// The hours inside, in order.
    pub fn hours(&self) -> impl Iterator<Item = Hour> + use<> {
        let first = self.since.hour().0;
        let last = Micros(self.until.0.saturating_sub(1)).hour().0;
        (first..=last.max(first.saturating_sub(1))).map(Hour)
    }

    /// How many hours are inside.
    #[must_use]
    pub fn hour_count(&self) -> i64 {
        (self.until.0 - self.since.0).max(0) / MICROS_PER_HOUR
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Option<&str>) {
        let got = Micros::parse(text).map(Micros::to_rfc3339);
        assert_eq!(got.as_deref(), expected, "{text}");
    }

    #[test]
    fn instants_read_and_write() {
        check("2026-11-24T00:00:00Z", Some("2026-11-24T00:00:00Z"));
        check("2026-08-25T09:10:00.245370Z", Some("2026-08-25T09:10:00.245370Z"));
        check("2026-08-25T09:10:00+02:00", Some("2026-08-25T07:10:00Z"));
        check("1969-12-31T23:59:59Z", Some("1969-12-31T23:59:59Z"));
        check("yesterday", None);
        check("", None);
    }

    #[test]
    fn what_is_plain_is_read_as_the_parser_of_all_spellings_reads_it() {
        for day in (-719_528_i64..=2_932_896).step_by(89) {
            for micros in [0, 1, 999_999, 86_399_000_000, 86_399_999_999] {
                let at = Micros(day * 24 * MICROS_PER_HOUR + micros);
                assert_eq!(Micros::parse_plain(at.to_rfc3339().as_bytes()), Some(at));
            }
        }
        for year in ["0000", "1900", "1970", "2000", "2024", "2026", "2100", "9999"] {
            for (month, day) in (0..14).flat_map(|month| (0..33).map(move |day| (month, day))) {
                let text = format!("{year}-{month:02}-{day:02}T23:59:59.000001Z");
                let parsed = DateTime::parse_from_rfc3339(&text).ok();
                let expected = parsed.map(|at| Micros(at.timestamp_micros()));
                assert_eq!(Micros::parse_plain(text.as_bytes()), expected, "{text}");
            }
        }
        for other in [
            "2026-06-01T24:00:00Z",
            "2026-06-01T09:60:00Z",
            "2026-06-30T23:59:60Z",
            "2026-06-01t09:00:00Z",
            "2026-06-01T09:00:00z",
            "2026-06-01T09:00:00.Z",
            "2026-06-01T09:00:00.12345Z",
            "2026-06-01T09:00:00.1234567Z",
            "2026-06-01T09:00:00.12345xZ",
            "2026-06-01T09:00:00",
            "2026-06-01T09:00:00+00:00",
            "+026-06-01T09:00:00Z",
            "2026-06-01T-9:00:00Z",
        ] {
            assert_eq!(Micros::parse_plain(other.as_bytes()), None, "{other}");
        }
    }

    #[test]
    fn forwarders_write_times_in_their_own_way() {
        let check = |text: &str, expected: Option<&str>| {
            let got = Micros::parse_loose(text).map(Micros::to_rfc3339);
            assert_eq!(got.as_deref(), expected, "{text}");
        };
        check("2026-11-24T00:00:00+01:00", Some("2026-11-23T23:00:00Z"));
        check("2022-11-29 00:09:04.38", Some("2022-11-29T00:09:04.380Z"));
        check("2022-11-29 00:09:04", Some("2022-11-29T00:09:04Z"));
        check("1724509627491", Some("2024-08-24T14:27:07.491Z"));
        check("soon", None);
        check("", None);
    }

    #[test]
    fn hours_and_days_floor_before_the_epoch_too() {
        assert_eq!(Micros(-1).hour(), Hour(-1));
        assert_eq!(Hour(-1).day(), Day(-1));
        assert_eq!(Day::parse("2026-11-24").map(Day::to_iso).as_deref(), Some("2026-11-24"));
    }

    #[test]
    fn a_window_is_half_open() {
        let window = Window { since: Hour(10).start(), until: Hour(12).start() };
        assert_eq!(window.hours().collect::<Vec<_>>(), vec![Hour(10), Hour(11)]);
        assert_eq!(window.hour_count(), 2);
        assert!(!window.contains(Hour(12).start()));
        let empty = Window { since: Hour(10).start(), until: Hour(10).start() };
        assert_eq!(empty.hours().count(), 0);
    }
}
