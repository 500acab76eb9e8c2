//! Passes over the records of a CloudTrail file that no grant is about, without parsing them.
//!
//! Input: a file whose records [`find`] found. A record that may matter, or that cannot be told from
//! its bytes, is handed back to be parsed, where the decision is made again; of the others only what
//! they prove to be delivered is counted. Never the other way round: what is passed over here would be
//! filtered as not relevant there, or rejected because some member that nobody reads is no JSON.

use std::hash::{Hash, Hasher};

use memchr::{memchr, memmem};
use rustc_hash::{FxHashSet, FxHasher};

use super::Context;
use super::cloudtrail::is_wanted_service;
use crate::decode::find::Found;
use crate::model::arn::{PrincipalKind, PrincipalName, unique_id_from_principal_id};
use crate::model::time::{Hour, Micros};

/// Longest account or region that is looked at as it stands.
const LONGEST_PLACE: usize = 64;

/// How to tell from bytes whether a record may matter.
#[derive(Debug)]
pub(super) struct Skim {
    /// Digests of the names of the inventory's principals.
    names: FxHashSet<u64>,
    principal_id: memmem::Finder<'static>,
    arn: memmem::Finder<'static>,
    /// Date and hour of the last record, as text, and which hour that is.
    last: ([u8; HOUR_LEN], Hour),
}

/// `2026-06-01T09`
const HOUR_LEN: usize = 13;

/// A record that no grant is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Passed<'a> {
    pub(super) hour: Hour,
    /// A management event, of this account and region as the record says.
    pub(super) delivered: Option<(&'a str, &'a str)>,
}

impl Skim {
    pub(super) fn new(context: &Context) -> Self {
        let names = context.relevant_names.iter();
        Skim {
            names: names.map(|name| digest_of(&name.account, name.kind, &name.name)).collect(),
            principal_id: memmem::Finder::new("\"principalId\""),
            arn: memmem::Finder::new("\"arn\""),
            last: ([0; HOUR_LEN], Hour::default()),
        }
    }

    /// The record, if it can be passed over.
    pub(super) fn pass<'a>(
        &mut self,
        file: &'a [u8],
        one: &Found,
        context: &Context,
    ) -> Option<Passed<'a>> {
        if one.odd || is_wanted_service(std::str::from_utf8(one.source(file)?).ok()?) {
            return None;
        }
        let hour = self.hour(one.time(file)?)?;
        let is_management = matches!(one.category(file)?, b"" | b"Management");
        if self.may_be_wanted(one.identity(file), context) {
            return None;
        }
        let (account, region) = one.account_and_region(file)?;
        if account.len().max(region.len()) > LONGEST_PLACE {
            return None;
        }
        let place = (std::str::from_utf8(account).ok()?, std::str::from_utf8(region).ok()?);
        Some(Passed { hour, delivered: is_management.then_some(place) })
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
    fn may_be_wanted(&self, identity: &[u8], context: &Context) -> bool {
        if memchr(b'\\', identity).is_some() {
            return true;
        }
        let unknown = |text: Option<&str>, is_known: &dyn Fn(&str) -> bool| {
            text.is_some_and(|text| !is_known(text))
        };
        let is_id = |id: &str| context.relevant_ids.contains(unique_id_from_principal_id(id));
        let is_name = |arn: &str| {
            PrincipalName::parts(arn).is_some_and(|(account, kind, name)| {
                self.names.contains(&digest_of(account, kind, name))
            })
        };
        let all_unknown = values(identity, &self.principal_id).all(|id| unknown(id, &is_id))
            && values(identity, &self.arn).all(|arn| unknown(arn, &is_name));
        !all_unknown
    }
}

/// What stands after each place of a key: a text, or `None` where it is anything else.
fn values<'a>(
    bytes: &'a [u8],
    key: &'a memmem::Finder<'static>,
) -> impl Iterator<Item = Option<&'a str>> {
    key.find_iter(bytes).map(move |at| {
        let rest = bytes.get(at + key.needle().len()..)?.trim_ascii_start();
        let text = rest.strip_prefix(b":")?.trim_ascii_start().strip_prefix(b"\"")?;
        std::str::from_utf8(text.get(..memchr(b'"', text)?)?).ok()
    })
}

/// IAM compares names without regard to case.
fn digest_of(account: &str, kind: PrincipalKind, name: &str) -> u64 {
    let mut hasher = FxHasher::default();
    (account, kind).hash(&mut hasher);
    for chunk in name.as_bytes().chunks(8) {
        let mut eight = [0; 8];
        for (to, from) in eight.iter_mut().zip(chunk) {
            *to = from.to_ascii_lowercase();
        }
        hasher.write_u64(u64::from_le_bytes(eight));
    }
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
        let of = |arn| PrincipalName::parts(arn).map(|(a, kind, name)| digest_of(a, kind, name));
        let role = of("arn:aws:iam::1:role/path/Deployer");
        assert!(role.is_some());
        assert_eq!(role, of("arn:aws:sts::1:assumed-role/deployer/session"));
        assert_ne!(role, of("arn:aws:iam::2:role/Deployer"));
        assert_ne!(role, of("arn:aws:iam::1:user/Deployer"));
        assert_ne!(role, of("arn:aws:iam::1:role/Deployer2"));
    }
}
