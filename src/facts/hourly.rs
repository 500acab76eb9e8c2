//! Adds up equal facts of one hour, in bounded memory.
//!
//! Input: encoded facts in any order, with their time; none is what another begins with. Output: each
//! once, in the order of its bytes, with how often, first and last. What does not fit is spilled as sorted
//! partial sums and merged at the end of the hour.

use std::hash::Hasher;

use hashbrown::HashTable;
use rustc_hash::{FxHashMap, FxHasher};

use super::FactsError;
use super::key::SortKey;
use super::sort::{Number, Run, RunWriter, SpillDir, merge};
pub use crate::model::outcome::Sum;
use crate::model::time::Micros;

/// Bytes of distinct facts of one hour that are held before they are spilled.
pub const HOUR_BUFFER: usize = 64 << 20;
/// What one entry costs beside its bytes: itself, and the slots of half full maps.
const ENTRY_COST: usize = 112;
/// Facts that are found by their number.
const MAX_NOTES: usize = 1 << 18;
pub(super) const SUM_LEN: usize = 24;

impl Sum {
    fn one(at: Micros) -> Self {
        Sum { count: 1, first: at, last: at }
    }

    pub(super) fn to_bytes(self) -> [u8; SUM_LEN] {
        let mut bytes = [0; SUM_LEN];
        for (slot, value) in bytes.chunks_exact_mut(8).zip([self.count, self.first.0, self.last.0])
        {
            slot.copy_from_slice(&value.to_be_bytes());
        }
        bytes
    }

    pub(super) fn from_bytes(bytes: &[u8]) -> Self {
        let mut values = bytes.chunks_exact(8).map(|chunk| {
            let mut eight = [0; 8];
            eight.copy_from_slice(chunk);
            i64::from_be_bytes(eight)
        });
        let mut next = || values.next().unwrap_or_default();
        Sum { count: next(), first: Micros(next()), last: Micros(next()) }
    }
}

/// The sums of one hour.
#[derive(Debug)]
pub struct HourTable<'a> {
    spill: &'a SpillDir,
    max_bytes: usize,
    /// Of all facts, back to back.
    bytes: Vec<u8>,
    facts: Vec<(Span, Sum)>,
    /// Places in `facts`, by their bytes, with their hash.
    by_bytes: HashTable<(u64, u32)>,
    /// The same by the number of what they say and a digest of the name, which many may share.
    by_number: FxHashMap<(Number, u64), u32>,
    runs: Vec<Run>,
}

/// Start and end of a fact.
type Span = (usize, usize);

/// The hash of a fact that is not in the table.
#[derive(Debug, Clone, Copy)]
pub(super) struct Missing(u64);

fn hash_of(parts: &[&[u8]]) -> u64 {
    let mut hasher = FxHasher::default();
    for part in parts {
        hasher.write(part);
    }
    hasher.finish()
}

impl<'a> HourTable<'a> {
    /// An empty table that holds about `max_bytes` before it spills.
    #[must_use]
    pub fn new(spill: &'a SpillDir, max_bytes: usize) -> Self {
        HourTable {
            spill,
            max_bytes,
            bytes: Vec::new(),
            facts: Vec::new(),
            by_bytes: HashTable::new(),
            by_number: FxHashMap::default(),
            runs: Vec::new(),
        }
    }

    /// Counts one fact.
    ///
    /// # Errors
    /// When the table is full and cannot be spilled.
    pub fn add(&mut self, fact: &[u8], at: Micros) -> Result<(), FactsError> {
        match self.add_known(fact, None, at) {
            Ok(()) => Ok(()),
            Err(missing) => self.add_new(fact, missing, at),
        }
    }

    /// Counts a fact that is not in the table.
    ///
    /// # Errors
    /// When the table is full and cannot be spilled.
    pub(super) fn add_new(
        &mut self,
        fact: &[u8],
        Missing(hash): Missing,
        at: Micros,
    ) -> Result<(), FactsError> {
        let place = u32::try_from(self.facts.len()).unwrap_or(u32::MAX);
        self.by_bytes.insert_unique(hash, (hash, place), |(hash, _)| *hash);
        let start = self.bytes.len();
        self.bytes.extend_from_slice(fact);
        self.facts.push(((start, self.bytes.len()), Sum::one(at)));
        let held = self.bytes.len() + self.facts.len() * ENTRY_COST;
        if held > self.max_bytes { self.spill() } else { Ok(()) }
    }

    /// Counts one fact if it is in the table already, which it is not if it was spilled. One that has a
    /// number is found by that from then on; what follows the number is what stands behind what it says.
    pub(super) fn add_known(
        &mut self,
        fact: &[u8],
        numbered: Option<(Number, &[&[u8]])>,
        at: Micros,
    ) -> Result<(), Missing> {
        let hash = hash_of(&[fact]);
        let same = |(known, place): &(u64, u32)| *known == hash && self.fact(*place) == fact;
        let found = self.by_bytes.find(hash, same).copied();
        let (_, place) = found.ok_or(Missing(hash))?;
        self.count(place, at);
        if let Some((number, ending)) = numbered
            && self.by_number.len() < MAX_NOTES
        {
            self.by_number.insert((number, hash_of(ending)), place);
        }
        Ok(())
    }

    fn fact(&self, place: u32) -> &[u8] {
        self.facts.get(place as usize).map_or(&[], |(span, _)| at(&self.bytes, *span))
    }

    fn count(&mut self, place: u32, at: Micros) {
        if let Some((_, sum)) = self.facts.get_mut(place as usize) {
            sum.add(Sum::one(at));
        }
    }

    /// Counts a fact by its number, where it has one by which [`add_known`](Self::add_known) noted it.
    pub(super) fn add_numbered(
        &mut self,
        numbered: Option<(Number, &[&[u8]])>,
        at: Micros,
    ) -> bool {
        let Some((number, ending)) = numbered else { return false };
        let key = (number, hash_of(ending));
        let Some(place) = self.by_number.get(&key).copied() else { return false };
        let mut rest = self.fact(place);
        // Names may share a digest.
        let same = ending
            .iter()
            .rev()
            .all(|part| rest.strip_suffix(*part).map(|before| rest = before).is_some());
        if same {
            self.count(place, at);
        }
        same
    }

    /// Empties the table into `each`.
    ///
    /// # Errors
    /// When a spill file cannot be written or read, or `each` fails.
    pub fn drain(
        &mut self,
        mut each: impl FnMut(&[u8], Sum) -> Result<(), FactsError>,
    ) -> Result<(), FactsError> {
        if self.runs.is_empty() {
            let (bytes, facts) = self.sorted();
            for (span, sum) in facts {
                each(at(&bytes, span), sum)?;
            }
            self.give_back(bytes);
            return Ok(());
        }
        if !self.facts.is_empty() {
            self.spill()?;
        }
        let mut open: Option<(Vec<u8>, Sum)> = None;
        merge(std::mem::take(&mut self.runs), self.spill, |_, body| {
            let (fact, sum) = body.split_at(body.len().saturating_sub(SUM_LEN));
            let sum = Sum::from_bytes(sum);
            match &mut open {
                Some((known, total)) if known.as_slice() == fact => total.add(sum),
                open => {
                    if let Some((known, total)) = open.replace((fact.to_vec(), sum)) {
                        each(&known, total)?;
                    }
                }
            }
            Ok(())
        })?;
        match open {
            Some((known, total)) => each(&known, total),
            None => Ok(()),
        }
    }

    /// All facts in order, and their bytes; the table is empty then.
    fn sorted(&mut self) -> (Vec<u8>, Vec<(Span, Sum)>) {
        self.by_bytes.clear();
        self.by_number.clear();
        let bytes = std::mem::take(&mut self.bytes);
        let mut facts = std::mem::take(&mut self.facts);
        facts.sort_unstable_by(|(a, _), (b, _)| at(&bytes, *a).cmp(at(&bytes, *b)));
        (bytes, facts)
    }

    /// Room for the facts of the next hour.
    fn give_back(&mut self, mut bytes: Vec<u8>) {
        bytes.clear();
        self.bytes = bytes;
    }

    fn spill(&mut self) -> Result<(), FactsError> {
        let mut writer = RunWriter::create(self.spill.next_file())?;
        let mut record = Vec::new();
        let (bytes, facts) = self.sorted();
        for (span, sum) in facts {
            record.clear();
            record.extend_from_slice(at(&bytes, span));
            record.extend_from_slice(&sum.to_bytes());
            writer.write(&SortKey::NONE, &record)?;
        }
        self.give_back(bytes);
        self.runs.push(writer.finish()?);
        Ok(())
    }
}

fn at(bytes: &[u8], (start, end): Span) -> &[u8] {
    bytes.get(start..end).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::disallowed_methods, reason = "the test looks at what is left on disk")]

    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn any_buffer_gives_the_same_sums(
            facts in prop::collection::vec(("[ab]{0,4};", 0i64..50), 0..80),
            buffer in 1usize..2000,
        ) {
            let dir = tempfile::tempdir().unwrap();
            let spill = SpillDir::new(dir.path().to_path_buf());
            let mut table = HourTable::new(&spill, buffer);
            let mut oracle: BTreeMap<Vec<u8>, Sum> = BTreeMap::new();
            for (fact, at) in &facts {
                table.add(fact.as_bytes(), Micros(*at)).unwrap();
                let one = Sum::one(Micros(*at));
                oracle
                    .entry(fact.as_bytes().to_vec())
                    .and_modify(|sum| sum.add(one))
                    .or_insert(one);
            }
            let mut got = Vec::new();
            table.drain(|fact, sum| {
                got.push((fact.to_vec(), sum));
                Ok(())
            }).unwrap();
            prop_assert_eq!(got, oracle.into_iter().collect::<Vec<_>>());
            prop_assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
        }
    }
}
