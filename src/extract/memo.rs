//! What was made of bytes that were met before, so that it is not made again.
//!
//! Most of what a log holds is said over and over: the same caller, the same call. A worker keeps what it
//! made of the parts of a record that decide what it says, by these very bytes. What is kept has a bound,
//! and nothing depends on whether something was kept: it is only faster.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::rc::Rc;
use std::sync::Arc;

use hashbrown::HashTable;
use rustc_hash::FxHasher;

use super::again::{Quotes, Said, Taken};
use crate::decode::envelope::Unpacked;
use crate::decode::find::Members;
use crate::model::fact::{AwsCaller, FactBody};

/// What a memo may take; then it starts anew.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bound {
    /// All of it, in bytes.
    pub(super) all: usize,
    /// What one thing takes beside its key, about.
    pub(super) each: usize,
}

/// Of things that say something and are held nowhere else.
const BODIES: Bound = Bound { all: 12 << 20, each: 1024 };
/// Of calls, whose callers are held by themselves.
const CALLS: Bound = Bound { all: 12 << 20, each: 640 };
/// A longer key is not worth it.
const LONGEST_KEY: usize = 8 << 10;

/// Whether two texts of one length are equal. Most are short, and a call takes longer than that.
#[inline]
fn same_bytes(one: &[u8], other: &[u8]) -> bool {
    match (one.first_chunk::<8>(), other.first_chunk::<8>()) {
        (Some(start), Some(known)) if one.len() <= 16 => {
            start == known && one.last_chunk::<8>() == other.last_chunk::<8>()
        }
        (Some(_), Some(_)) => one == other,
        _ => one.iter().eq(other),
    }
}

/// All that a worker remembers, and room that it uses again.
#[derive(Debug)]
pub(super) struct Memory {
    /// Callers by their `userIdentity`.
    pub(super) callers: Numbered<Arc<AwsCaller>>,
    /// Calls that yield one fact and nothing more, by the number of who called among others.
    pub(super) calls: Memo<8, Rc<FactBody>>,
    /// Audit events in the same way.
    pub(super) events: Memo<11, Said>,
    /// The same, by how they stand in a message.
    pub(super) quoted: Quotes,
    /// Of the record or event at hand, and of a part of it.
    pub(super) members: [Members; 2],
    /// Of the message at hand, and what was taken of it.
    pub(super) unpacked: Unpacked,
    pub(super) taken: Taken,
}

impl Default for Memory {
    fn default() -> Self {
        Memory {
            callers: Numbered::within(BODIES),
            calls: Memo::within(CALLS),
            events: Memo::within(BODIES),
            quoted: Quotes::default(),
            members: <[Members; 2]>::default(),
            unpacked: Unpacked::default(),
            taken: Taken::default(),
        }
    }
}

/// The parts that decide, as they are written.
pub(super) type Key<'a, const N: usize> = [&'a [u8]; N];

/// Things by the bytes that they were made of.
#[derive(Debug)]
pub(super) struct Memo<const N: usize, T> {
    table: HashTable<Known<N, T>>,
    keys: Vec<u8>,
    bound: Bound,
    /// Differs in every run, so that nobody can write logs of which all keys have one hash.
    seed: u64,
}

#[derive(Debug)]
struct Known<const N: usize, T> {
    hash: u64,
    start: usize,
    lengths: [usize; N],
    value: T,
}

impl<const N: usize, T> Memo<N, T> {
    pub(super) fn within(bound: Bound) -> Self {
        let seed = RandomState::new().hash_one(N);
        Memo { table: HashTable::new(), keys: Vec::new(), bound, seed }
    }

    fn hash(&self, key: &Key<'_, N>) -> u64 {
        let mut hasher = FxHasher::default();
        hasher.write_u64(self.seed);
        for part in key {
            hasher.write(part);
            hasher.write_usize(part.len());
        }
        hasher.finish()
    }

    /// What is known of these very bytes.
    pub(super) fn get(&self, key: &Key<'_, N>) -> Option<&T> {
        let hash = self.hash(key);
        let same = |known: &Known<N, T>| {
            let mut at = known.start;
            known.hash == hash
                && key.iter().zip(known.lengths).all(|(part, len)| {
                    let from = at;
                    at += len;
                    part.len() == len
                        && self.keys.get(from..at).is_some_and(|known| same_bytes(known, part))
                })
        };
        self.table.find(hash, same).map(|known| &known.value)
    }

    /// Keeps what was made of them; they must not be known yet.
    pub(super) fn put(&mut self, key: &Key<'_, N>, value: T) {
        let len: usize = key.iter().map(|part| part.len()).sum();
        if len > LONGEST_KEY {
            return;
        }
        let held = self.keys.len() + len + (self.table.len() + 1) * self.bound.each;
        if held > self.bound.all {
            self.keys.clear();
            self.table.clear();
        }
        let hash = self.hash(key);
        let start = self.keys.len();
        for part in key {
            self.keys.extend_from_slice(part);
        }
        let known = Known { hash, start, lengths: key.map(<[u8]>::len), value };
        self.table.insert_unique(hash, known, |known| known.hash);
    }
}

/// Numbers of bytes that come again and again, with what was made of them: long parts of other keys, which
/// hold the number in their place.
#[derive(Debug)]
pub(super) struct Numbered<T> {
    memo: Memo<1, (Number, T)>,
    /// None is given twice, so what is held under one that was forgotten is never found.
    next: u64,
}

/// As a part of a key.
pub(super) type Number = [u8; 8];

impl<T> Numbered<T> {
    pub(super) fn within(bound: Bound) -> Self {
        Numbered { memo: Memo::within(bound), next: 0 }
    }

    /// Number of these very bytes and what was made of them, if they are known.
    pub(super) fn get(&self, bytes: &[u8]) -> Option<&(Number, T)> {
        self.memo.get(&[bytes])
    }

    /// Keeps what was made of them; they must not be known yet. Returns their number.
    pub(super) fn put(&mut self, bytes: &[u8], value: T) -> Number {
        let number = self.next.to_be_bytes();
        self.next += 1;
        self.memo.put(&[bytes], (number, value));
        number
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_never_given_twice() {
        let mut known = Numbered::within(Bound { all: 100, each: 40 });
        let numbers: Vec<Number> = (0..20_u8).map(|n| known.put(&[n], n)).collect();
        assert!(known.get(&[0]).is_none(), "forgotten");
        assert_eq!(known.get(&[19]), Some(&(numbers[19], 19)));
        let again = known.put(&[0], 0);
        assert!(!numbers.contains(&again));
    }

    #[test]
    fn parts_do_not_run_into_each_other() {
        let mut memo: Memo<2, u8> = Memo::within(BODIES);
        memo.put(&[b"ab", b"c"], 1);
        memo.put(&[b"a", b"bc"], 2);
        assert_eq!(memo.get(&[b"ab", b"c"]), Some(&1));
        assert_eq!(memo.get(&[b"a", b"bc"]), Some(&2));
        assert_eq!(memo.get(&[b"", b"abc"]), None);
    }

    #[test]
    fn one_byte_makes_another_key() {
        for len in 0..40 {
            let key: Vec<u8> = (0..len).collect();
            let mut same = Memo::<1, u8>::within(BODIES);
            same.put(&[&key], 1);
            assert_eq!(same.get(&[&key]), Some(&1));
            for at in 0..key.len() {
                let mut other = key.clone();
                other[at] ^= 1;
                assert!(!same_bytes(&key, &other), "{len} {at}");
                assert_eq!(same.get(&[&other]), None);
            }
        }
    }

    #[test]
    fn what_is_kept_has_a_bound() {
        let mut memo: Memo<1, usize> = Memo::within(BODIES);
        for n in 0..3 * BODIES.all / BODIES.each {
            memo.put(&[&n.to_be_bytes()], n);
            assert_eq!(memo.get(&[&n.to_be_bytes()]), Some(&n));
        }
        assert!(memo.table.len() <= BODIES.all / BODIES.each && memo.keys.len() <= BODIES.all);
        memo.put(&[&[0; LONGEST_KEY + 1]], 0);
        assert_eq!(memo.get(&[&[0; LONGEST_KEY + 1]]), None);
    }
}
