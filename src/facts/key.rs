//! The total order of facts: which come first, which belong together.

use std::cmp::Ordering;

use crate::model::digest;
use crate::model::fact::{Fact, FactBody};
use crate::model::outcome::{Family, Unit};
use crate::model::time::{Day, Hour};

pub(super) const KEY_LEN: usize = 36;

impl Family {
    pub(super) fn of(body: &FactBody) -> Self {
        match body {
            FactBody::Session(_) => Family::Session,
            FactBody::Authentication(_) => Family::Authentication,
            FactBody::AwsCall(_) => Family::AwsCall,
            FactBody::Login(_) => Family::Login,
            FactBody::Change(_) => Family::Change,
            FactBody::Access(_) => Family::Access,
        }
    }

    fn from_byte(byte: u8) -> Self {
        match byte {
            0 => Family::Session,
            1 => Family::Authentication,
            2 => Family::AwsCall,
            3 => Family::Login,
            4 => Family::Change,
            _ => Family::Access,
        }
    }
}

/// The total order of facts, as bytes that compare like it: family (1), day (4), place (4), hour of
/// the day (1), group (8), id (16), ordinal (1), rank (1). The place, a digest of the account or
/// cluster, stands before the hour so that the files of a day are written one after the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SortKey(pub(super) [u8; KEY_LEN]);

impl Ord for SortKey {
    /// By words, which compare like the bytes and faster: sorting does little else.
    fn cmp(&self, other: &Self) -> Ordering {
        self.words().cmp(&other.words())
    }
}

impl PartialOrd for SortKey {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl SortKey {
    #[inline]
    fn words(&self) -> ([u64; 4], [u8; 4]) {
        let (words, rest) = self.0.as_chunks::<8>();
        let [a, b, c, d, ..] = words else { return Default::default() };
        ([*a, *b, *c, *d].map(u64::from_be_bytes), rest.first_chunk().copied().unwrap_or_default())
    }

    pub(super) fn of(fact: &Fact<'_>, family: Family, place: u32) -> Self {
        let mut bytes = [0; KEY_LEN];
        let hour = fact.at.hour();
        let day = hour.day();
        bytes[0] = family as u8;
        // Flipping the sign bit makes negative days sort before positive ones.
        bytes[1..5].copy_from_slice(&(day.0.cast_unsigned() ^ 0x8000_0000).to_be_bytes());
        bytes[5..9].copy_from_slice(&place.to_be_bytes());
        bytes[9] = u8::try_from(hour.0.rem_euclid(24)).unwrap_or(0);
        bytes[10..18].copy_from_slice(&fact.group.to_be_bytes());
        bytes[18..34].copy_from_slice(&fact.id.to_be_bytes());
        bytes[34] = fact.ordinal;
        bytes[35] = fact.rank;
        SortKey(bytes)
    }

    /// For records that are ordered by their body alone.
    pub(super) const NONE: SortKey = SortKey([0; KEY_LEN]);

    /// Which family.
    #[must_use]
    pub fn family(&self) -> Family {
        Family::from_byte(self.0[0])
    }

    /// Event hour.
    #[must_use]
    pub fn hour(&self) -> Hour {
        let [_, a, b, c, d, _, _, _, _, hour, ..] = self.0;
        let day = (u32::from_be_bytes([a, b, c, d]) ^ 0x8000_0000).cast_signed();
        Hour(day * 24 + i32::from(hour))
    }

    /// Day and place: what is folded by itself.
    #[must_use]
    pub fn unit(&self) -> Unit {
        let both = u64::from_be_bytes(self.eight(1));
        let [day, place] = [both >> 32, both].map(low_u32);
        Unit { place, day: Day((day ^ 0x8000_0000).cast_signed()) }
    }

    /// Hour of the day.
    #[must_use]
    pub fn hour_of_day(&self) -> u8 {
        self.0[9]
    }

    /// Family, day, place and hour: what is added up together.
    #[must_use]
    pub fn bucket(&self) -> [u8; 10] {
        let mut bytes = [0; 10];
        bytes.copy_from_slice(&self.0[..10]);
        bytes
    }

    /// Family, day and place: what goes into one file.
    #[must_use]
    pub fn place_and_day(&self) -> [u8; 9] {
        let mut bytes = [0; 9];
        bytes.copy_from_slice(&self.0[..9]);
        bytes
    }

    /// Everything but the rank: equal for copies of one fact.
    #[must_use]
    pub fn identity(&self) -> &[u8] {
        &self.0[..KEY_LEN - 1]
    }

    /// The number of the `Audit-ID`, 0 for none.
    #[must_use]
    pub fn group(&self) -> u64 {
        u64::from_be_bytes(self.eight(10))
    }

    /// Everything but time, ordinal and rank: equal for an audit event that was cut and its whole
    /// copy.
    #[must_use]
    pub fn what(&self) -> &[u8] {
        &self.0[..26]
    }

    /// True for an audit event that was cut before its own time.
    #[must_use]
    pub fn is_cut(&self) -> bool {
        self.family() == Family::Access && self.eight(26) == [0; 8]
    }

    /// Tells apart the facts of one record.
    #[must_use]
    pub fn ordinal(&self) -> u8 {
        self.0[34]
    }

    fn eight(&self, at: usize) -> [u8; 8] {
        let mut bytes = [0; 8];
        bytes.copy_from_slice(&self.0[at..at + 8]);
        bytes
    }
}

fn low_u32(both: u64) -> u32 {
    u32::try_from(both & u64::from(u32::MAX)).unwrap_or_default()
}

/// Whose log it is: the account of a trail, or the cluster.
pub(super) fn place(body: &FactBody) -> &str {
    match body {
        FactBody::Session(fact) => &fact.account,
        FactBody::Authentication(fact) | FactBody::AwsCall(fact) => &fact.account,
        FactBody::Login(fact) => &fact.cluster,
        FactBody::Change(fact) => &fact.cluster,
        FactBody::Access(fact) => &fact.cluster,
    }
}

/// The number of a place in a sort key. Two places of one number only lie between each other in the order; nothing mixes them up.
#[must_use]
pub fn number_of_place(place: &str) -> u32 {
    let [a, b, c, d, ..] = digest::of_bytes(place.as_bytes());
    u32::from_be_bytes([a, b, c, d])
}
