//! All objects that were read, by delivery day: held packed, because a window has millions.
//!
//! Input: the entries of a day, in any order. Output: the same by name; one of them; all of them. The day
//! is what the key says, none where it says none: whoever asks knows it, as files of the ledger do.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::iter::Peekable;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::LedgerError;
use super::entry::{Details, Entry, Listed, Name};
use crate::model::packed::{Merge, Packed, PackedError, Packer, Reader, Sorter};
use crate::model::time::Day;

/// The delivery day of an object.
pub type Delivered = Option<Day>;

/// An entry on its way into a packed list. Keys come first, so that those of a day are in the order in
/// which a listing has them.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
struct Stored {
    day: Delivered,
    key: String,
    source: String,
    etag: Option<String>,
    size: u64,
    days: (Day, Day),
    /// Among the lenses of the list.
    lens: u32,
    details: Details,
}

/// What the lenses of entries are called.
#[derive(Debug, Clone, Default)]
struct Lenses(Vec<Arc<str>>);

impl Lenses {
    /// There are few.
    fn number(&mut self, lens: &Arc<str>) -> u32 {
        let known = self.0.iter().position(|known| known == lens);
        let at = known.unwrap_or_else(|| {
            self.0.push(Arc::clone(lens));
            self.0.len() - 1
        });
        u32::try_from(at).unwrap_or(u32::MAX)
    }

    fn name(&self, number: u32) -> Arc<str> {
        self.0.get(number as usize).map_or_else(|| "".into(), Arc::clone)
    }

    fn pack(&mut self, day: Delivered, entry: Entry) -> Stored {
        let Entry { listed: Listed { name: (source, key), etag, size }, days, lens, details } =
            entry;
        Stored { day, key, source, etag, size, days, lens: self.number(&lens), details }
    }

    fn unpack(&self, stored: Stored) -> Entry {
        let Stored { key, source, etag, size, days, lens, details, .. } = stored;
        Entry {
            listed: Listed { name: (source, key), etag, size },
            days,
            lens: self.name(lens),
            details,
        }
    }
}

/// Entries by day and name.
#[derive(Debug, Clone, Default)]
pub struct Entries {
    shelves: BTreeMap<Delivered, Shelf>,
    lenses: Lenses,
}

/// The entries of one day.
#[derive(Debug, Clone, Default)]
struct Shelf {
    entries: Packed<Stored>,
    /// Of the first of each block.
    firsts: Vec<Name>,
    sources: BTreeSet<String>,
}

fn by_key(name: &Name) -> (&str, &str) {
    (&name.1, &name.0)
}

#[derive(Default)]
struct Shelving {
    packer: Packer<Stored>,
    firsts: Vec<Name>,
    sources: BTreeSet<String>,
}

impl Shelving {
    fn push(&mut self, stored: &Stored) -> Result<(), LedgerError> {
        if self.packer.push(stored)? {
            self.firsts.push((stored.source.clone(), stored.key.clone()));
        }
        if !self.sources.contains(&stored.source) {
            self.sources.insert(stored.source.clone());
        }
        Ok(())
    }

    fn finish(self) -> Result<Shelf, LedgerError> {
        Ok(Shelf { entries: self.packer.finish()?, firsts: self.firsts, sources: self.sources })
    }
}

impl Entries {
    /// How many.
    #[must_use]
    pub fn len(&self) -> usize {
        self.shelves.values().map(|shelf| shelf.entries.len()).sum()
    }

    /// True when there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All, by day and then by key.
    pub fn iter(&self) -> impl Iterator<Item = Result<(Delivered, Entry), LedgerError>> {
        self.shelves.iter().flat_map(|(day, shelf)| {
            shelf.entries.iter().map(|stored| Ok((*day, self.lenses.unpack(stored?))))
        })
    }

    /// Those of a day, by key.
    pub fn of_day(&self, day: Delivered) -> impl Iterator<Item = Result<Entry, LedgerError>> {
        let stored = self.shelves.get(&day).into_iter().flat_map(|shelf| shelf.entries.iter());
        stored.map(|stored| Ok(self.lenses.unpack(stored?)))
    }

    /// Buckets of all; empty for folders.
    #[must_use]
    pub fn sources(&self) -> BTreeSet<&str> {
        self.shelves.values().flat_map(|shelf| &shelf.sources).map(String::as_str).collect()
    }

    /// Looks for entries by name.
    #[must_use]
    pub fn finder(&self) -> Finder<'_> {
        Finder { entries: self, readers: BTreeMap::new() }
    }

    /// Keys and sizes of all, by key.
    ///
    /// # Errors
    /// When a list does not unpack.
    pub fn keys(
        &self,
    ) -> Result<impl Iterator<Item = Result<(String, u64), LedgerError>>, LedgerError> {
        let key =
            |stored: Result<Stored, PackedError>| stored.map(|stored| (stored.key, stored.size));
        let shelves = self.shelves.values().map(|shelf| shelf.entries.iter().map(key)).collect();
        Ok(Merge::of(shelves)?.map(|next| Ok(next?)))
    }

    /// Puts the entries of a day in the place of those that it had.
    ///
    /// # Errors
    /// When the memory is full.
    pub fn set_day(
        &mut self,
        day: Delivered,
        entries: impl IntoIterator<Item = Entry>,
    ) -> Result<(), LedgerError> {
        let mut sorted = Sorter::default();
        for entry in entries {
            sorted.push(self.lenses.pack(day, entry))?;
        }
        let mut shelving = Shelving::default();
        for stored in sorted.finish()? {
            shelving.push(&stored?)?;
        }
        self.shelves.insert(day, shelving.finish()?);
        Ok(())
    }

    /// Forgets objects of a day; false when none of them was known.
    ///
    /// # Errors
    /// When a list does not unpack.
    pub fn forget(&mut self, day: Delivered, names: &BTreeSet<Name>) -> Result<bool, LedgerError> {
        let all = self.of_day(day).collect::<Result<Vec<_>, _>>()?;
        let before = all.len();
        let left: Vec<Entry> =
            all.into_iter().filter(|entry| !names.contains(&entry.listed.name)).collect();
        let known = left.len() < before;
        if known {
            self.set_day(day, left)?;
        }
        Ok(known)
    }

    /// Takes in what was read, day by day; returns the days whose entries are others than before.
    ///
    /// # Errors
    /// When a list does not unpack.
    pub fn take(&mut self, read: Fresh) -> Result<Vec<Delivered>, LedgerError> {
        let Fresh { sorted, lenses } = read;
        let numbers: Vec<u32> = lenses.0.iter().map(|lens| self.lenses.number(lens)).collect();
        let mut changed = Vec::new();
        let mut fresh = sorted.finish()?.peekable();
        while let Some(day) = next_day(&mut fresh)? {
            let old = self.shelves.remove(&day).unwrap_or_default();
            let (shelf, differs) = merged(day, old, &mut fresh, &numbers)?;
            self.shelves.insert(day, shelf);
            if differs {
                changed.push(day);
            }
        }
        Ok(changed)
    }
}

type Sorted = Peekable<Merge<Stored>>;

fn next_day(fresh: &mut Sorted) -> Result<Option<Delivered>, LedgerError> {
    match fresh.peek() {
        Some(Ok(next)) => Ok(Some(next.day)),
        Some(Err(_)) => fresh.next().transpose().map(|_| None).map_err(Into::into),
        None => Ok(None),
    }
}

/// The entries of a day, the new one of each object that has one, and whether any is other than before.
fn merged(
    day: Delivered,
    old: Shelf,
    fresh: &mut Sorted,
    numbers: &[u32],
) -> Result<(Shelf, bool), LedgerError> {
    let mut shelving = Shelving::default();
    let mut old = old.entries.into_iter();
    let mut before = old.next().transpose()?;
    let mut differs = false;
    loop {
        let of_day = matches!(fresh.peek(), Some(Ok(next)) if next.day == day);
        let mut next = if of_day { fresh.next().transpose()? } else { None };
        if let Some(next) = &mut next {
            next.lens = numbers.get(next.lens as usize).copied().unwrap_or(u32::MAX);
        }
        // What stands before it stays.
        while let Some(kept) = &before
            && next.as_ref().is_none_or(|next| order(kept, next) == Ordering::Less)
        {
            shelving.push(kept)?;
            before = old.next().transpose()?;
        }
        let Some(next) = next else { break };
        if before.as_ref().is_some_and(|kept| order(kept, &next) == Ordering::Equal) {
            differs |= before.as_ref() != Some(&next);
            before = old.next().transpose()?;
        } else {
            differs = true;
        }
        shelving.push(&next)?;
    }
    Ok((shelving.finish()?, differs))
}

fn order(one: &Stored, other: &Stored) -> Ordering {
    (&one.key, &one.source).cmp(&(&other.key, &other.source))
}

/// Entries of what was read now, in any order; of each object one.
#[derive(Debug, Default)]
pub struct Fresh {
    sorted: Sorter<Stored>,
    lenses: Lenses,
}

impl Fresh {
    /// Adds one.
    ///
    /// # Errors
    /// When the memory is full.
    pub fn push(&mut self, day: Delivered, entry: Entry) -> Result<(), LedgerError> {
        let stored = self.lenses.pack(day, entry);
        Ok(self.sorted.push(stored)?)
    }
}

/// Looks for entries by name; those near the last one of a day are at hand.
#[derive(Debug)]
pub struct Finder<'a> {
    entries: &'a Entries,
    readers: BTreeMap<Delivered, Reader<'a, Stored>>,
}

/// So many days may have a block open.
const MOST_OPEN: usize = 64;

impl Finder<'_> {
    /// The entry of an object, and its place among those of its day.
    ///
    /// # Errors
    /// When a list does not unpack.
    pub fn find(
        &mut self,
        day: Delivered,
        name: &Name,
    ) -> Result<Option<(usize, Entry)>, LedgerError> {
        let Some(shelf) = self.entries.shelves.get(&day) else { return Ok(None) };
        let after = shelf.firsts.partition_point(|first| by_key(first) <= by_key(name));
        let Some(block) = after.checked_sub(1) else { return Ok(None) };
        if self.readers.len() >= MOST_OPEN && !self.readers.contains_key(&day) {
            self.readers.clear();
        }
        let reader = self.readers.entry(day).or_insert_with(|| shelf.entries.reader());
        let (first, items) = reader.block(block)?;
        let compare =
            |stored: &Stored| (stored.key.as_str(), stored.source.as_str()).cmp(&by_key(name));
        let Ok(at) = items.binary_search_by(compare) else { return Ok(None) };
        let found = items.get(at).map(|stored| self.entries.lenses.unpack(stored.clone()));
        Ok(found.map(|entry| (first + at, entry)))
    }

    /// The entry of an object.
    ///
    /// # Errors
    /// When a list does not unpack.
    pub fn get(&mut self, day: Delivered, name: &Name) -> Result<Option<Entry>, LedgerError> {
        Ok(self.find(day, name)?.map(|(_, entry)| entry))
    }
}
