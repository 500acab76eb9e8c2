//! What verified digests say of logs: by key, its hash; by account and region, the hours they cover.

use std::collections::BTreeMap;

use super::chain::ChainId;
use super::digest::{Digest, in_layout};
use super::{Finding, Status, name_of};
use crate::model::digest;
use crate::model::time::{MICROS_PER_HOUR, Micros};

/// The logs that digests name, and the hours that they cover.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Index {
    /// By key from where the layout begins: bucket, key and hash.
    logs: BTreeMap<String, Vec<Expected>>,
    /// By account and region, and by trail: spans that its chains cover.
    covered: BTreeMap<(String, String), Trails>,
}

/// By name and home region: spans of time.
type Trails = BTreeMap<(String, String), Vec<(Micros, Micros)>>;

#[derive(Debug, Clone, PartialEq, Eq)]
struct Expected {
    bucket: String,
    key: String,
    sha256: String,
}

impl Index {
    /// Takes in the valid digests of a chain.
    pub fn add(&mut self, chain: &ChainId, digests: &[Digest]) {
        let place = (chain.account.clone(), chain.region.clone());
        let trail = (chain.trail.clone(), chain.home.clone());
        let spans = self.covered.entry(place).or_default().entry(trail).or_default();
        for digest in digests {
            for log in &digest.log_files {
                let known = self.logs.entry(in_layout(&log.s3_object).to_owned()).or_default();
                let expected = Expected {
                    bucket: log.s3_bucket.clone(),
                    key: log.s3_object.clone(),
                    sha256: log.hash_value.to_ascii_lowercase(),
                };
                // Trails that share a prefix name files of their own; a backfill may name one again.
                if !known.contains(&expected) {
                    known.push(expected);
                }
            }
            let span =
                (Micros::parse(&digest.digest_start_time), Micros::parse(&digest.digest_end_time));
            if let (Some(start), Some(end)) = span {
                spans.push((start, end));
            }
        }
    }

    /// What is known of a log that was read, by the SHA-256 of its inflated bytes. `bucket` is `None` for
    /// a copy in a folder.
    #[must_use]
    pub fn status(
        &self,
        bucket: Option<&str>,
        key: &str,
        sha256: &[u8; 32],
    ) -> (Status, &'static str) {
        let here = |expected: &&Expected| match bucket {
            Some(bucket) => expected.bucket == bucket && expected.key == key,
            None => true,
        };
        let mut named = self.logs.get(in_layout(key)).into_iter().flatten().filter(here).peekable();
        if named.peek().is_none() {
            return self.unnamed(key);
        }
        let hash = digest::hex(sha256, 64);
        if named.all(|expected| expected.sha256 == hash) {
            (Status::Valid, "a digest names it with this hash")
        } else {
            (Status::Invalid, "its bytes are others than the digest names")
        }
    }

    /// True when a digest names a log at all.
    #[must_use]
    pub fn names(&self, key: &str) -> bool {
        self.logs.contains_key(in_layout(key))
    }

    fn unnamed(&self, key: &str) -> (Status, &'static str) {
        let Some((account, region, at)) = delivered(key) else {
            return (Status::NotChecked, "no digest is about it: audit logs and copies carry none");
        };
        // The name of a log does not say its trail: only where every trail's digests cover it may its
        // name be missed.
        let trails = self.covered.get(&(account, region));
        let covers = |at: Micros| {
            trails.is_some_and(|trails| {
                trails.values().all(|spans| spans.iter().any(|(from, to)| *from <= at && at < *to))
            })
        };
        // A log may be named by the digest of the next hour only.
        if covers(at) && covers(Micros(at.0 + MICROS_PER_HOUR)) {
            (Status::Unsigned, "the digests of its hour do not name it")
        } else {
            (Status::NotChecked, "no digest covers its hour, or not yet")
        }
    }

    /// Logs that digests name and that `there` does not hold, of deliveries between two instants.
    pub fn missing<'a>(
        &'a self,
        there: impl Fn(&str, &str) -> bool + 'a,
        (since, until): (Micros, Micros),
    ) -> impl Iterator<Item = Finding> + 'a {
        let named = self.logs.values().flatten();
        named
            .filter(move |log| {
                let at = delivered(&log.key).map(|(_, _, at)| at);
                at.is_some_and(|at| since <= at && at < until) && !there(&log.bucket, &log.key)
            })
            .map(|log| Finding {
                object: name_of(&log.bucket, &log.key),
                status: Status::Missing,
                why: "a digest names it, and it is not there".to_owned(),
            })
    }
}

/// Account, region and time of delivery in `ACCOUNT_CloudTrail_REGION_YYYYMMDDTHHmmZ_RANDOM.json.gz`.
#[must_use]
pub fn delivered(key: &str) -> Option<(String, String, Micros)> {
    let name = key.rsplit('/').next()?;
    let (account, rest) = name.split_once("_CloudTrail_")?;
    let mut parts = rest.split('_');
    let (region, at) = (parts.next()?, parts.next()?);
    let digits = |from: usize, to: usize| {
        at.get(from..to).filter(|part| part.bytes().all(|b| b.is_ascii_digit()))
    };
    let (date, time) = (digits(0, 8)?, digits(9, 13)?);
    let text = format!(
        "{}-{}-{}T{}:{}:00Z",
        date.get(0..4)?,
        date.get(4..6)?,
        date.get(6..8)?,
        time.get(0..2)?,
        time.get(2..4)?
    );
    Some((account.to_owned(), region.to_owned(), Micros::parse(&text)?))
}
