//! Passes over the records of a CloudTrail file that no grant is about, without parsing them.
//!
//! Input: a file whose records [`find`](crate::decode::find) found. A record that may matter, or that
//! cannot be told from its bytes, is handed back to be parsed, where the decision is made again; of the
//! others only what they prove to be delivered is counted. Never the other way round: what is passed over here would be
//! filtered as not relevant there, or rejected because some member that nobody reads is no JSON.

use std::hash::Hasher;

use memchr::{memchr, memrchr};
use rustc_hash::{FxHashSet, FxHasher};

use super::Context;
use super::cloudtrail::{is_management, is_wanted_service};
use crate::decode::find::Found;
use crate::model::time::{Hour, Micros};

/// Longest account or region that is looked at as it stands.
const LONGEST_PLACE: usize = 64;

/// How to tell from bytes whether a record may matter.
#[derive(Debug)]
pub(super) struct Skim {
    /// Digests of the unique ids of the inventory's principals.
    ids: FxHashSet<u64>,
    /// Of their names.
    names: FxHashSet<u64>,
    /// Date and hour of the last record, as text, and which hour that is.
    last: ([u8; HOUR_LEN], Hour),
}

/// `2026-06-01T09`
const HOUR_LEN: usize = 13;

/// Records of one place and hour that follow each other and that no grant is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Run<'a> {
    /// As the records say; empty where the object's key says it.
    pub(super) account: &'a str,
    pub(super) region: &'a str,
    pub(super) hour: Hour,
    pub(super) records: u64,
}

/// What was passed over of one file.
#[derive(Debug, Default)]
pub(super) struct Passed<'a> {
    pub(super) records: u64,
    /// Of management events.
    pub(super) runs: Vec<Run<'a>>,
}

impl<'a> Passed<'a> {
    fn add(&mut self, account: &'a str, region: &'a str, hour: Hour) {
        // Where the key says the place, both are empty: a call to compare nothing costs as much as the
        // rest of this.
        let same = |a: &str, b: &str| a.len() == b.len() && (a.is_empty() || a == b);
        match self.runs.last_mut() {
            Some(run)
                if run.hour == hour && same(run.account, account) && same(run.region, region) =>
            {
                run.records += 1;
            }
            _ => self.runs.push(Run { account, region, hour, records: 1 }),
        }
    }
}

impl Skim {
    pub(super) fn new(context: &Context) -> Self {
        let names = context.relevant_names.iter();
        Skim {
            ids: context.relevant_ids.iter().map(|id| digest_of(id.as_bytes())).collect(),
            names: names.map(|name| digest_of(last_segment(name.name.as_bytes()))).collect(),
            last: ([0; HOUR_LEN], Hour::default()),
        }
    }

    /// True when the record can be passed over; `passed` then knows it. `place_is_known` where nobody
    /// needs to ask the record for it.
    pub(super) fn pass<'a>(
        &mut self,
        file: &'a [u8],
        one: &Found,
        place_is_known: bool,
        passed: &mut Passed<'a>,
    ) -> bool {
        self.look(file, one, place_is_known, passed).is_some()
    }

    fn look<'a>(
        &mut self,
        file: &'a [u8],
        one: &Found,
        place_is_known: bool,
        passed: &mut Passed<'a>,
    ) -> Option<()> {
        let source = one.source(file)?;
        // By its first letter nearly every other service is told.
        let may_be = matches!(source.first(), Some(b's' | b'e' | b'r') | None);
        if may_be && is_wanted_service(std::str::from_utf8(source).ok()?) {
            return None;
        }
        let hour = self.hour(one.time(file)?)?;
        let is_management = is_management(one.category(file)?);
        if self.may_be_wanted(file, one) {
            return None;
        }
        if is_management && place_is_known {
            passed.add("", "", hour);
        } else if is_management {
            let (account, region) = one.account_and_region(file)?;
            if account.len().max(region.len()) > LONGEST_PLACE {
                return None;
            }
            let text = |bytes: &'a [u8]| std::str::from_utf8(bytes).ok();
            passed.add(text(account)?, text(region)?, hour);
        }
        passed.records += 1;
        Some(())
    }

    /// `2026-06-01T09:00:00Z` and nothing else; other spellings are for a parser.
    fn hour(&mut self, text: &[u8]) -> Option<Hour> {
        let (hour, rest) = text.split_first_chunk::<HOUR_LEN>()?;
        let [b':', m1, m2, b':', s1, s2, b'Z'] = rest else { return None };
        let below_60 = |tens: &u8, ones: &u8| matches!(tens, b'0'..=b'5') && ones.is_ascii_digit();
        if !below_60(m1, m2) || !below_60(s1, s2) {
            return None;
        }
        if self.last.0 != *hour {
            let at = Micros::parse(std::str::from_utf8(text).ok()?)?;
            self.last = (*hour, at.hour());
        }
        Some(self.last.1)
    }

    /// False only when no id and no ARN of the caller is one that is looked for.
    fn may_be_wanted<'a>(&self, file: &'a [u8], one: &Found) -> bool {
        let (mut ids, mut arns) = one.callers(file);
        let unique = |id: &'a [u8]| id.get(..memchr(b':', id).unwrap_or(id.len()));
        ids.any(|id| id.and_then(unique).is_none_or(|id| self.ids.contains(&digest_of(id))))
            || arns.any(|arn| arn.is_none_or(|arn| self.names.contains(&digest_of(name_of(arn)))))
    }
}

/// The part of an ARN that may be the name of a principal: of a session the role's, else what comes
/// last. Its account and kind are for the parser to look at.
fn name_of(arn: &[u8]) -> &[u8] {
    let Some(first) = memchr(b'/', arn) else {
        let colon = memrchr(b':', arn).map_or(0, |colon| colon + 1);
        return arn.get(colon..).unwrap_or_default();
    };
    let (before, rest) = arn.split_at(first);
    let rest = rest.get(1..).unwrap_or_default();
    if before.ends_with(b":assumed-role") {
        rest.get(..memchr(b'/', rest).unwrap_or(rest.len())).unwrap_or_default()
    } else {
        last_segment(rest)
    }
}

fn last_segment(name: &[u8]) -> &[u8] {
    name.get(memrchr(b'/', name).map_or(0, |slash| slash + 1)..).unwrap_or_default()
}

/// IAM compares names without regard to case, which is one bit of a letter. Some names that are two have
/// one digest: then there is something to parse.
fn digest_of(name: &[u8]) -> u64 {
    const CASE: u64 = 0x2020_2020_2020_2020;
    let mut hasher = FxHasher::default();
    let (eights, rest) = name.as_chunks::<8>();
    for eight in eights {
        hasher.write_u64(u64::from_le_bytes(*eight) | CASE);
    }
    let mut last = [0; 8];
    for (to, from) in last.iter_mut().zip(rest) {
        *to = *from;
    }
    hasher.write_u64(u64::from_le_bytes(last) | CASE);
    hasher.write_usize(name.len());
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hours_are_read_as_a_parser_reads_them() {
        let mut skim = Skim::new(&crate::extract::tests::context());
        let mut check = |text: &str, reads: bool| {
            let expected = Micros::parse(text).map(Micros::hour).filter(|_| reads);
            assert_eq!(skim.hour(text.as_bytes()), expected, "{text}");
        };
        check("2026-06-01T09:00:00Z", true);
        check("2026-06-01T09:59:59Z", true);
        check("2026-06-01T10:00:00Z", true);
        check("1969-12-31T23:59:59Z", true);
        for other in [
            "2026-06-01T09:60:00Z",
            "2026-06-01T09:00:60Z",
            "2026-06-01T24:00:00Z",
            "2026-02-30T09:00:00Z",
            "2026-06-01T09:00:00.5Z",
            "2026-06-01T09:00:00+01:00",
            "yesterday",
            "",
        ] {
            check(other, false);
        }
    }

    #[test]
    fn names_are_told_whatever_their_case() {
        let of = |arn: &str| digest_of(name_of(arn.as_bytes()));
        let role = of("arn:aws:iam::1:role/path/Deployer-of-prod");
        assert_eq!(role, of("arn:aws:sts::1:assumed-role/deployer-OF-prod/session"));
        assert_eq!(role, digest_of(b"deployer-of-prod"));
        assert_ne!(role, of("arn:aws:iam::1:role/Deployer-of-prod2"));
        assert_eq!(of("arn:aws:iam::1:root"), digest_of(b"root"));
        assert_eq!(of("arn:aws:sts::1:federated-user/a/b"), digest_of(last_segment(b"a/b")));
    }
}
