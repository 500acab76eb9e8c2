//! Long lists in little memory: packed in blocks, because neighbours say nearly the same.
//!
//! Input: items one by one, in order ([`Packer`]) or in any ([`Sorter`]). Output: a [`Packed`] list that is
//! read from start to end, or at ascending places ([`Reader`]). Names of a million objects take some 50
//! bytes each and not 300, and what is sorted is never held as it is but for one part.

use std::borrow::Borrow;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;
use std::marker::PhantomData;

use serde::Serialize;
use serde::de::DeserializeOwned;

/// Bytes of a block before it is packed, about.
const BLOCK: usize = 32 << 10;
/// The cheapest level: what is alike is alike in whole texts.
const LEVEL: i32 = 1;
/// Items that are sorted at once.
const PART: usize = 16 << 10;

/// A block that does not become what it was made of: the memory is damaged, or full.
#[derive(Debug, thiserror::Error)]
pub enum PackedError {
    /// Items do not become bytes, or the other way round.
    #[error("a packed list does not read")]
    Items(#[from] postcard::Error),
    /// Nor do bytes become fewer, or more.
    #[error("a packed list does not unpack")]
    Block(#[from] std::io::Error),
}

/// Some items, packed.
#[derive(Debug, Clone)]
pub struct Block {
    /// Place of its first item.
    first: usize,
    packed: Box<[u8]>,
    /// Bytes that it unpacks to.
    len: usize,
}

/// A list that is held packed.
#[derive(Debug, Clone)]
pub struct Packed<T> {
    blocks: Vec<Block>,
    len: usize,
    of: PhantomData<fn() -> T>,
}

impl<T> Default for Packed<T> {
    fn default() -> Self {
        Packed { blocks: Vec::new(), len: 0, of: PhantomData }
    }
}

impl<T> Packed<T> {
    /// How many items.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// True when there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Bytes that it takes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.blocks.iter().map(|block| block.packed.len() + size_of::<Block>()).sum()
    }
}

impl<T: DeserializeOwned> Packed<T> {
    /// All items, in order.
    #[must_use]
    pub fn iter(&self) -> Iter<'_, T> {
        self.from(0)
    }

    /// Those from a place on.
    #[must_use]
    pub fn from(&self, at: usize) -> Iter<'_, T> {
        let block = self.blocks.partition_point(|block| block.first <= at).saturating_sub(1);
        let skip = at - self.blocks.get(block).map_or(at, |block| block.first);
        let blocks = self.blocks.get(block..).unwrap_or_default().iter();
        Items { blocks, open: Vec::new().into_iter(), skip }
    }

    /// Finds items by their places.
    #[must_use]
    pub fn reader(&self) -> Reader<'_, T> {
        Reader { list: self, open: None, unpacked: 0 }
    }
}

impl<'a, T: DeserializeOwned> IntoIterator for &'a Packed<T> {
    type Item = Result<T, PackedError>;
    type IntoIter = Iter<'a, T>;

    fn into_iter(self) -> Iter<'a, T> {
        self.iter()
    }
}

fn unpack<T: DeserializeOwned>(block: &Block) -> Result<Vec<T>, PackedError> {
    let bytes = zstd::bulk::decompress(&block.packed, block.len)?;
    let (mut rest, mut items) = (bytes.as_slice(), Vec::new());
    while !rest.is_empty() {
        let (item, after) = postcard::take_from_bytes(rest)?;
        items.push(item);
        rest = after;
    }
    Ok(items)
}

/// Items in order, of blocks that stay or that are given back as they are read.
#[derive(Debug)]
pub struct Items<B, T> {
    blocks: B,
    open: std::vec::IntoIter<T>,
    skip: usize,
}

/// Those of a list that stays.
pub type Iter<'a, T> = Items<std::slice::Iter<'a, Block>, T>;
/// Those of a list that goes.
pub type Drain<T> = Items<std::vec::IntoIter<Block>, T>;

impl<B: Iterator<Item: Borrow<Block>>, T: DeserializeOwned> Iterator for Items<B, T> {
    type Item = Result<T, PackedError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(item) = self.open.next() {
                return Some(Ok(item));
            }
            match unpack(self.blocks.next()?.borrow()) {
                Ok(items) => {
                    self.open = items.into_iter();
                    for _ in 0..std::mem::take(&mut self.skip) {
                        self.open.next();
                    }
                }
                Err(error) => return Some(Err(error)),
            }
        }
    }
}

impl<T: DeserializeOwned> IntoIterator for Packed<T> {
    type Item = Result<T, PackedError>;
    type IntoIter = Drain<T>;

    fn into_iter(self) -> Drain<T> {
        Items { blocks: self.blocks.into_iter(), open: Vec::new().into_iter(), skip: 0 }
    }
}

/// Finds items by their places; those near the last one are at hand.
#[derive(Debug)]
pub struct Reader<'a, T> {
    list: &'a Packed<T>,
    /// The last block: which, and its items.
    open: Option<(usize, Vec<T>)>,
    /// How many blocks were unpacked.
    unpacked: u64,
}

impl<T: DeserializeOwned> Reader<'_, T> {
    /// The item at a place; `None` beyond the end.
    ///
    /// # Errors
    /// When a block does not unpack.
    pub fn get(&mut self, at: usize) -> Result<Option<&T>, PackedError> {
        let blocks = &self.list.blocks;
        let Some(block) = blocks.partition_point(|block| block.first <= at).checked_sub(1) else {
            return Ok(None);
        };
        let (first, items) = self.block(block)?;
        Ok(items.get(at - first))
    }

    /// The place of the first item of a block, and its items; none beyond the last.
    ///
    /// # Errors
    /// When it does not unpack.
    pub fn block(&mut self, block: usize) -> Result<(usize, &[T]), PackedError> {
        let first = self.list.blocks.get(block).map_or(0, |block| block.first);
        if self.open.as_ref().is_none_or(|(open, _)| *open != block) {
            let items = self.list.blocks.get(block).map(unpack).transpose()?.unwrap_or_default();
            self.open = Some((block, items));
            self.unpacked += 1;
        }
        Ok((first, self.open.as_ref().map_or(&[], |(_, items)| items)))
    }
}

/// Packs items that come in order.
#[derive(Debug)]
pub struct Packer<T> {
    open: Vec<u8>,
    first: usize,
    done: Packed<T>,
}

impl<T> Default for Packer<T> {
    fn default() -> Self {
        Packer { open: Vec::new(), first: 0, done: Packed::default() }
    }
}

impl<T: Serialize> Packer<T> {
    /// Adds an item behind all others; true when it is the first of a block.
    ///
    /// # Errors
    /// When it has no bytes.
    pub fn push(&mut self, item: &T) -> Result<bool, PackedError> {
        let begins = self.open.is_empty();
        self.open = postcard::to_extend(item, std::mem::take(&mut self.open))?;
        self.done.len += 1;
        if self.open.len() >= BLOCK {
            self.pack()?;
        }
        Ok(begins)
    }

    fn pack(&mut self) -> Result<(), PackedError> {
        let packed = zstd::bulk::compress(&self.open, LEVEL)?.into_boxed_slice();
        self.done.blocks.push(Block { first: self.first, packed, len: self.open.len() });
        self.first = self.done.len;
        self.open.clear();
        Ok(())
    }

    /// All items.
    ///
    /// # Errors
    /// When the last block does not pack.
    pub fn finish(mut self) -> Result<Packed<T>, PackedError> {
        if !self.open.is_empty() {
            self.pack()?;
        }
        self.done.blocks.shrink_to_fit();
        Ok(self.done)
    }
}

/// Orders items that come in any order: parts are sorted and packed, and merged in the end.
#[derive(Debug)]
pub struct Sorter<T> {
    open: Vec<T>,
    parts: Vec<Packed<T>>,
}

impl<T> Default for Sorter<T> {
    fn default() -> Self {
        Sorter { open: Vec::new(), parts: Vec::new() }
    }
}

impl<T: Ord + Serialize + DeserializeOwned> Sorter<T> {
    /// Adds an item.
    ///
    /// # Errors
    /// When a part does not pack.
    pub fn push(&mut self, item: T) -> Result<(), PackedError> {
        self.open.push(item);
        if self.open.len() == PART { self.pack() } else { Ok(()) }
    }

    fn pack(&mut self) -> Result<(), PackedError> {
        self.open.sort_unstable();
        let mut packer = Packer::default();
        for item in self.open.drain(..) {
            packer.push(&item)?;
        }
        self.parts.push(packer.finish()?);
        Ok(())
    }

    /// Adds all items of another.
    pub fn append(&mut self, other: Sorter<T>) -> Result<(), PackedError> {
        self.parts.extend(other.parts);
        other.open.into_iter().try_for_each(|item| self.push(item))
    }

    /// All items, in order; equal ones stay beside each other.
    ///
    /// # Errors
    /// When a part does not pack.
    pub fn finish(mut self) -> Result<Merge<T>, PackedError> {
        if !self.open.is_empty() {
            self.pack()?;
        }
        Merge::of(self.parts.into_iter().map(Packed::into_iter).collect())
    }
}

/// Items of several parts in one order.
#[derive(Debug)]
pub struct Merge<T, I = Drain<T>> {
    parts: Vec<I>,
    heads: BinaryHeap<Reverse<(T, usize)>>,
}

impl<T: Ord, I: Iterator<Item = Result<T, PackedError>>> Merge<T, I> {
    /// Merges parts, each of which is in order.
    ///
    /// # Errors
    /// When one has no first item to give.
    pub fn of(mut parts: Vec<I>) -> Result<Self, PackedError> {
        let mut heads = BinaryHeap::with_capacity(parts.len());
        for (part, items) in parts.iter_mut().enumerate() {
            heads.extend(items.next().transpose()?.map(|head| Reverse((head, part))));
        }
        Ok(Merge { parts, heads })
    }
}

impl<T: Ord, I: Iterator<Item = Result<T, PackedError>>> Iterator for Merge<T, I> {
    type Item = Result<T, PackedError>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut top = self.heads.peek_mut()?;
        let part = top.0.1;
        match self.parts.get_mut(part).and_then(Iterator::next) {
            Some(Ok(next)) => {
                let Reverse((item, _)) = std::mem::replace(&mut *top, Reverse((next, part)));
                Some(Ok(item))
            }
            Some(Err(error)) => Some(Err(error)),
            None => Some(Ok(PeekMut::pop(top).0.0)),
        }
    }
}

impl<T: Ord + Serialize + DeserializeOwned> Merge<T> {
    /// All that is left, packed.
    ///
    /// # Errors
    /// When a block does not pack.
    pub fn packed(self) -> Result<Packed<T>, PackedError> {
        let mut packer = Packer::default();
        for item in self {
            packer.push(&item?)?;
        }
        packer.finish()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn packed(items: &[String]) -> Packed<String> {
        let mut packer = Packer::default();
        for item in items {
            packer.push(item).unwrap();
        }
        packer.finish().unwrap()
    }

    fn keys(n: usize) -> Vec<String> {
        let key = |at: usize| {
            let random = at.wrapping_mul(0x9e37_79b9_7f4a_7c15);
            format!(
                "AWSLogs/111122223333/CloudTrail/us-west-2/2026/11/10/111122223333_CloudTrail_us-west-2_20261110T0905Z_{random:016x}.json.gz"
            )
        };
        (0..n).map(key).collect()
    }

    #[test]
    fn keys_take_little() {
        let keys = keys(20_000);
        let packed = packed(&keys);
        let each = packed.bytes() / keys.len();
        assert!(each < 40, "{each} bytes a key, of {}", keys[0].len());
    }

    #[test]
    fn items_are_found_by_their_places() {
        let keys = keys(2_000);
        let packed = packed(&keys);
        let mut reader = packed.reader();
        for (at, key) in keys.iter().enumerate() {
            assert_eq!(reader.get(at).unwrap(), Some(key));
        }
        assert!(packed.blocks.len() > 3 && reader.unpacked == packed.blocks.len() as u64);
        assert_eq!(reader.get(0).unwrap(), Some(&keys[0]));
        assert_eq!(reader.get(keys.len()).unwrap(), None);
        assert_eq!(Packed::<String>::default().reader().get(0).unwrap(), None);
    }

    #[test]
    fn parts_are_merged() {
        let mut keys = keys(3 * PART + 7);
        let mut sorter = Sorter::default();
        let mut other = Sorter::default();
        for (at, key) in keys.iter().enumerate() {
            let to = if at % 3 == 0 { &mut other } else { &mut sorter };
            to.push(key.clone()).unwrap();
        }
        sorter.append(other).unwrap();
        keys.sort();
        assert_eq!(sorter.parts.len(), 3);
        let merged: Result<Vec<_>, _> = sorter.finish().unwrap().collect();
        assert_eq!(merged.unwrap(), keys);
    }

    proptest! {
        #[test]
        fn what_is_packed_is_read(items in prop::collection::vec("[a-c]{0,3}|x{4000,9000}", 0..40), at in 0_usize..50) {
            let list = packed(&items);
            prop_assert_eq!(list.len(), items.len());
            let all: Result<Vec<_>, _> = list.iter().collect();
            prop_assert_eq!(&all.unwrap(), &items);
            let from: Result<Vec<_>, _> = list.from(at).collect();
            prop_assert_eq!(&from.unwrap()[..], items.get(at..).unwrap_or_default());
            let drained: Result<Vec<_>, _> = list.into_iter().collect();
            prop_assert_eq!(drained.unwrap(), items);
        }
    }
}
