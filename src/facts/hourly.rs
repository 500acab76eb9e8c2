//! Adds up equal facts of one hour, in bounded memory.
//!
//! Input: facts in any order, each in two parts, with their time: what many say, and what tells those apart.
//! Output: each once, in one total order (the first part by length and bytes, then the second), with how often,
//! first and last. What does not fit is spilled as sorted partial sums and merged at the end of the hour.

use std::hash::Hasher;

use hashbrown::HashTable;
use rustc_hash::{FxHashMap, FxHasher};

use super::FactsError;
use super::key::SortKey;
use super::merge::merge;
use super::sort::{Number, Run, RunWriter, SpillDir};
pub use crate::model::outcome::Sum;
use crate::model::time::Micros;

/// Bytes of distinct facts of one hour that are held before they are spilled.
pub const HOUR_BUFFER: usize = 64 << 20;
/// What one fact, and one head, costs beside its bytes: itself, and the slots of half full maps.
const ENTRY_COST: usize = 112;
/// Heads that are found by their number.
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
    /// Of all heads and tails, back to back.
    bytes: Vec<u8>,
    /// With the mark that whoever added them made.
    heads: Vec<(Span, u32)>,
    /// Heads by their bytes, with their hash.
    by_bytes: HashTable<(u64, Head)>,
    by_number: FxHashMap<Number, (Head, u32)>,
    facts: Vec<Fact>,
    /// Places in `facts`, with the hash of head and tail.
    places: HashTable<(u64, u32)>,
    runs: Vec<Run>,
}

/// Start and end.
type Span = (usize, usize);

/// What many facts of the table begin with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Head(u32);

#[derive(Debug)]
struct Fact {
    head: Head,
    tail: Span,
    sum: Sum,
}

/// The hash of a fact that is not in the table.
#[derive(Debug, Clone, Copy)]
pub(super) struct Missing(u64);

/// A fact that was added up.
#[derive(Debug, Clone, Copy)]
pub struct Added<'a> {
    /// What it begins with.
    pub head: &'a [u8],
    /// True when that is the head of the one before.
    pub same_head: bool,
    /// What tells it from others of that head.
    pub tail: &'a [u8],
    /// How often, first and last.
    pub sum: Sum,
}

fn hash_of(of: u32, bytes: &[u8]) -> u64 {
    let mut hasher = FxHasher::default();
    hasher.write_u32(of);
    hasher.write(bytes);
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
            heads: Vec::new(),
            by_bytes: HashTable::new(),
            by_number: FxHashMap::default(),
            facts: Vec::new(),
            places: HashTable::new(),
            runs: Vec::new(),
        }
    }

    /// The head of a fact that is added next; by its number, if it has one under which it was met. A head
    /// that is new gets a mark, which comes back with it until the table is emptied or spilled.
    ///
    /// # Errors
    /// When `mark` fails.
    pub(super) fn head(
        &mut self,
        bytes: &[u8],
        number: Option<Number>,
        mark: impl FnOnce(&[u8]) -> Result<u32, FactsError>,
    ) -> Result<(Head, u32), FactsError> {
        if let Some(known) = number.and_then(|number| self.by_number.get(&number)) {
            return Ok(*known);
        }
        let hash = hash_of(0, bytes);
        let same = |(known, head): &(u64, Head)| *known == hash && self.bytes_of(*head) == bytes;
        let known = if let Some((_, head)) = self.by_bytes.find(hash, same) {
            (*head, self.heads.get(head.0 as usize).map_or(0, |(_, mark)| *mark))
        } else {
            let head = Head(u32::try_from(self.heads.len()).unwrap_or(u32::MAX));
            let mark = mark(bytes)?;
            let span = self.put(bytes);
            self.heads.push((span, mark));
            self.by_bytes.insert_unique(hash, (hash, head), |(hash, _)| *hash);
            (head, mark)
        };
        if let Some(number) = number
            && self.by_number.len() < MAX_NOTES
        {
            self.by_number.insert(number, known);
        }
        Ok(known)
    }

    fn put(&mut self, bytes: &[u8]) -> Span {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(bytes);
        (start, self.bytes.len())
    }

    fn bytes_of(&self, head: Head) -> &[u8] {
        self.heads.get(head.0 as usize).map_or(&[], |(span, _)| at(&self.bytes, *span))
    }

    /// Counts one fact. All heads are forgotten once the table is full.
    ///
    /// # Errors
    /// When the table is full and cannot be spilled.
    pub(super) fn add(&mut self, head: Head, tail: &[u8], time: Micros) -> Result<(), FactsError> {
        match self.add_known(head, tail, time) {
            Ok(()) => Ok(()),
            Err(missing) => self.add_new(head, tail, missing, time),
        }
    }

    /// Counts a fact that is not in the table.
    ///
    /// # Errors
    /// When the table is full and cannot be spilled.
    pub(super) fn add_new(
        &mut self,
        head: Head,
        tail: &[u8],
        Missing(hash): Missing,
        time: Micros,
    ) -> Result<(), FactsError> {
        let place = u32::try_from(self.facts.len()).unwrap_or(u32::MAX);
        self.places.insert_unique(hash, (hash, place), |(hash, _)| *hash);
        let tail = self.put(tail);
        self.facts.push(Fact { head, tail, sum: Sum::one(time) });
        let held = self.bytes.len() + (self.facts.len() + self.heads.len()) * ENTRY_COST;
        if held > self.max_bytes { self.spill() } else { Ok(()) }
    }

    /// Counts one fact if it is in the table already, which it is not if it was spilled.
    pub(super) fn add_known(
        &mut self,
        head: Head,
        tail: &[u8],
        time: Micros,
    ) -> Result<(), Missing> {
        let hash = hash_of(head.0, tail);
        let facts = &self.facts;
        let same = |(known, place): &(u64, u32)| {
            *known == hash
                && facts
                    .get(*place as usize)
                    .is_some_and(|fact| fact.head == head && at(&self.bytes, fact.tail) == tail)
        };
        let (_, place) = self.places.find(hash, same).ok_or(Missing(hash))?;
        if let Some(fact) = self.facts.get_mut(*place as usize) {
            fact.sum.add(Sum::one(time));
        }
        Ok(())
    }

    /// Empties the table into `each`.
    ///
    /// # Errors
    /// When a spill file cannot be written or read, or `each` fails.
    pub fn drain(
        &mut self,
        mut each: impl FnMut(Added<'_>) -> Result<(), FactsError>,
    ) -> Result<(), FactsError> {
        if self.runs.is_empty() {
            let mut last = None;
            self.sort();
            for fact in &self.facts {
                let same_head = last.replace(fact.head) == Some(fact.head);
                let (head, tail) = (self.bytes_of(fact.head), at(&self.bytes, fact.tail));
                each(Added { head, same_head, tail, sum: fact.sum })?;
            }
            self.clear();
            return Ok(());
        }
        if !self.facts.is_empty() {
            self.spill()?;
        }
        let mut open: Option<(Vec<u8>, Sum)> = None;
        let mut last: Option<Vec<u8>> = None;
        let mut give = |fact: &[u8], sum: Sum| {
            let (head, rest) = split_len(fact);
            let (tail, _) = split_len(rest);
            let same_head = last.as_deref() == Some(head);
            if !same_head {
                last = Some(head.to_vec());
            }
            each(Added { head, same_head, tail, sum })
        };
        merge(std::mem::take(&mut self.runs), self.spill, |_, record| {
            let (fact, sum) = record.split_at(record.len().saturating_sub(SUM_LEN));
            let sum = Sum::from_bytes(sum);
            match &mut open {
                Some((known, total)) if known.as_slice() == fact => total.add(sum),
                open => {
                    if let Some((known, total)) = open.replace((fact.to_vec(), sum)) {
                        give(&known, total)?;
                    }
                }
            }
            Ok(())
        })?;
        match open {
            Some((known, total)) => give(&known, total),
            None => Ok(()),
        }
    }

    /// Puts the facts in their order.
    fn sort(&mut self) {
        let mut heads: Vec<u32> =
            (0..u32::try_from(self.heads.len()).unwrap_or(u32::MAX)).collect();
        let by_len = |bytes: &[u8], other: &[u8]| {
            bytes.len().cmp(&other.len()).then_with(|| bytes.cmp(other))
        };
        heads.sort_unstable_by(|a, b| by_len(self.bytes_of(Head(*a)), self.bytes_of(Head(*b))));
        let mut ranks = vec![0_u32; heads.len()];
        for (rank, head) in (0_u32..).zip(heads) {
            if let Some(slot) = ranks.get_mut(head as usize) {
                *slot = rank;
            }
        }
        let rank = |fact: &Fact| ranks.get(fact.head.0 as usize);
        let bytes = &self.bytes;
        self.facts.sort_unstable_by(|a, b| {
            let tails = || by_len(at(bytes, a.tail), at(bytes, b.tail));
            rank(a).cmp(&rank(b)).then_with(tails)
        });
    }

    /// Keeps the room for the facts of the next hour.
    fn clear(&mut self) {
        self.bytes.clear();
        self.heads.clear();
        self.by_bytes.clear();
        self.by_number.clear();
        self.facts.clear();
        self.places.clear();
    }

    fn spill(&mut self) -> Result<(), FactsError> {
        let mut writer = RunWriter::create(self.spill.next_file())?;
        let mut record = Vec::new();
        self.sort();
        for fact in &self.facts {
            record.clear();
            // Lengths keep one fact's sums together where another fact starts like it.
            for part in [self.bytes_of(fact.head), at(&self.bytes, fact.tail)] {
                record.extend_from_slice(
                    &u32::try_from(part.len()).unwrap_or(u32::MAX).to_be_bytes(),
                );
                record.extend_from_slice(part);
            }
            record.extend_from_slice(&fact.sum.to_bytes());
            writer.write(&SortKey::NONE, &record)?;
        }
        self.clear();
        self.runs.push(writer.finish()?);
        Ok(())
    }
}

fn at(bytes: &[u8], (start, end): Span) -> &[u8] {
    bytes.get(start..end).unwrap_or_default()
}

/// What stands behind a length, and the rest.
fn split_len(bytes: &[u8]) -> (&[u8], &[u8]) {
    let Some((len, rest)) = bytes.split_first_chunk::<4>() else { return (bytes, b"") };
    let len = usize::try_from(u32::from_be_bytes(*len)).unwrap_or(usize::MAX);
    rest.split_at_checked(len).unwrap_or((rest, b""))
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
            facts in prop::collection::vec(("[ab\0]{0,4}", "[ab\0]{0,4}", any::<bool>(), 0i64..50), 0..80),
            buffer in 1usize..2000,
        ) {
            let dir = tempfile::tempdir().unwrap();
            let spill = SpillDir::new(dir.path().to_path_buf());
            let mut table = HourTable::new(&spill, buffer);
            let by_len = |text: &str| (text.len(), text.as_bytes().to_vec());
            let mut oracle: BTreeMap<_, Sum> = BTreeMap::new();
            let mut numbers: Vec<&str> = Vec::new();
            for (head, tail, numbered, at) in &facts {
                let number = numbers.iter().position(|known| known == head).unwrap_or_else(|| {
                    numbers.push(head);
                    numbers.len() - 1
                });
                let number = numbered.then_some((0, u32::try_from(number).unwrap()));
                let mark = |head: &[u8]| Ok(u32::try_from(head.len()).unwrap());
                let (known, mark) = table.head(head.as_bytes(), number, mark).unwrap();
                assert_eq!(mark, u32::try_from(head.len()).unwrap());
                table.add(known, tail.as_bytes(), Micros(*at)).unwrap();
                let one = Sum::one(Micros(*at));
                oracle
                    .entry((by_len(head), by_len(tail)))
                    .and_modify(|sum| sum.add(one))
                    .or_insert(one);
            }
            let mut got = Vec::new();
            let mut last = None;
            table.drain(|Added { head, same_head, tail, sum }| {
                assert_eq!(same_head, last.as_deref() == Some(head), "told right");
                last = Some(head.to_vec());
                got.push((((head.len(), head.to_vec()), (tail.len(), tail.to_vec())), sum));
                Ok(())
            }).unwrap();
            prop_assert_eq!(got, oracle.into_iter().collect::<Vec<_>>());
            prop_assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
        }
    }
}
