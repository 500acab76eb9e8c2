//! What reading one object, or folding one day of one place, came to: the parts that a run adds up.
//!
//! Both are kept between runs, so nothing in them depends on which run it was or what its window is:
//! records are counted by hour, and a run takes the hours of its own window.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::coverage::LogStream;
use super::tally::{Counts, Reason, Reject, Stream};
use super::time::{Day, Hour, MICROS_PER_HOUR, Micros, Window};

/// Longest life of a session that a role may give.
/// Source: <https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_update-role-settings.html>.
const MAX_SESSION_HOURS: i64 = 12;

/// One day of one place (an account or a cluster): what is folded by itself and kept in files of its
/// own.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
pub struct Unit {
    /// Number of the place: a digest of the account or cluster ARN. Two places of one number only
    /// share their units.
    pub place: u32,
    /// Event day.
    pub day: Day,
}

/// Kinds of facts, in the order in which they are folded and read: sessions are known before their
/// use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Family {
    /// STS sessions.
    Session,
    /// Token redemptions.
    Authentication,
    /// Other AWS calls.
    AwsCall,
    /// Logins with IAM tokens.
    Login,
    /// Grants made, changed or taken away.
    Change,
    /// API-server requests.
    Access,
}

impl Family {
    /// All, in order.
    pub const ALL: [Family; 6] = [
        Family::Session,
        Family::Authentication,
        Family::AwsCall,
        Family::Login,
        Family::Change,
        Family::Access,
    ];

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

    /// The folder of its facts.
    #[must_use]
    pub fn folder(self) -> &'static str {
        match self {
            Family::AwsCall => "calls",
            Family::Access => "access",
            other => other.as_str(),
        }
    }

    /// The span in which its facts matter to a window: a session issued before may be used inside.
    #[must_use]
    pub fn span(self, window: Window) -> Window {
        if self == Family::Session { session_span(window) } else { window }
    }
}

/// Records that were kept, by what decides which window they belong to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Kept {
    /// CloudTrail records that issue a session.
    Session,
    /// Other CloudTrail records.
    Call,
    /// Audit events.
    Audit,
    /// Lines of the authenticator.
    Authenticator,
}

impl Kept {
    /// Where they are counted.
    #[must_use]
    pub fn stream(self) -> Stream {
        match self {
            Kept::Session | Kept::Call => Stream::CloudTrail,
            Kept::Audit => Stream::Audit,
            Kept::Authenticator => Stream::Authenticator,
        }
    }

    /// The span in which they count for a window.
    #[must_use]
    pub fn span(self, window: Window) -> Window {
        if self == Kept::Session { session_span(window) } else { window }
    }
}

fn session_span(window: Window) -> Window {
    let since = window.since.0.saturating_sub(MAX_SESSION_HOURS * MICROS_PER_HOUR);
    Window { since: Micros(since), until: window.until }
}

/// Kept records of one hour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct KeptCount {
    /// How many.
    pub records: u64,
    /// Of these, cut at a size limit and known only in part.
    pub salvaged: u64,
}

/// What one object proves of one stream and hour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Proof {
    /// Records, copies included.
    pub events: u64,
    /// Records that were rejected.
    pub rejected: u64,
    /// True when one of them shows a session being issued or redeemed.
    pub issues: bool,
}

/// All that reading one object came to, beside its facts.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Outcome {
    /// `seen = kept + filtered + rejected`, per stream, whatever the hour.
    pub streams: BTreeMap<Stream, Counts>,
    /// Kept records by hour.
    pub kept: BTreeMap<(Kept, Hour), KeptCount>,
    /// Rejects by reason.
    pub rejects: BTreeMap<Reason, Reject>,
    /// An unknown number of its records is lost.
    pub damaged: bool,
    /// Bytes as stored.
    pub bytes_in: u64,
    /// Bytes after inflating.
    pub bytes_inflated: u64,
    /// Deliveries.
    pub proofs: BTreeMap<(LogStream, Hour), Proof>,
    /// Cluster ARN and hour of audit events that may be its own and could not be told to be.
    pub ambiguous: BTreeSet<(String, Hour)>,
    /// First and last hour of records beyond the days that were read.
    pub outside: Option<(Hour, Hour)>,
    /// Where its facts went.
    pub units: BTreeSet<Unit>,
    /// What a digest may be compared with.
    pub hash: Hash,
}

/// The hash of an object, as far as it is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Hash {
    /// Nobody asked for it.
    #[default]
    NotAsked,
    /// SHA-256 of its inflated bytes.
    Sha256([u8; 32]),
    /// It is not one gzip member, of which alone a digest speaks.
    NotOneMember,
}

impl Outcome {
    /// First and last hour of all records with a time that reads.
    #[must_use]
    pub fn hours(&self) -> Option<(Hour, Hour)> {
        let kept = self.kept.keys().map(|(_, hour)| *hour);
        let proved = self.proofs.keys().map(|(_, hour)| *hour);
        let outside = self.outside.into_iter().flat_map(|(first, last)| [first, last]);
        let all = kept.chain(proved).chain(outside);
        all.fold(None, |span, hour| {
            let (first, last) = span.unwrap_or((hour, hour));
            Some((first.min(hour), last.max(hour)))
        })
    }
}

/// How often, first, last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Sum {
    /// Distinct records.
    pub count: i64,
    /// The earliest.
    pub first: Micros,
    /// The latest.
    pub last: Micros,
}

impl Sum {
    /// Adds further records.
    pub fn add(&mut self, other: Sum) {
        self.count += other.count;
        self.first = self.first.min(other.first);
        self.last = self.last.max(other.last);
    }
}

/// By cluster and caller: requests that carry the `Audit-ID` of another request of the hour.
pub type Reused = BTreeMap<(String, String), Sum>;

/// What folding one family of a [`Unit`] counted, by hour of the day.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct UnitCounts {
    /// Distinct records, and copies that were folded away.
    pub hours: BTreeMap<u8, (u64, u64)>,
    /// Reused numbers of requests.
    pub reused: BTreeMap<(u8, String, String), Sum>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_counts_from_half_a_day_before() {
        let window = Window { since: Hour(100).start(), until: Hour(110).start() };
        assert!(Kept::Session.span(window).contains(Hour(88).start()));
        assert!(!Kept::Session.span(window).contains(Hour(87).start()));
        assert_eq!(Kept::Call.span(window), window);
        assert_eq!(Family::Session.span(window), Kept::Session.span(window));
    }

    #[test]
    fn hours_span_all_records() {
        let mut outcome = Outcome::default();
        assert_eq!(outcome.hours(), None);
        outcome.kept.insert((Kept::Audit, Hour(5)), KeptCount::default());
        outcome.outside = Some((Hour(9), Hour(11)));
        assert_eq!(outcome.hours(), Some((Hour(5), Hour(11))));
    }
}
