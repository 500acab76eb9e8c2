//! Which objects each of several scans reads.
//!
//! Input: sizes and names of a listing that all of them see. Output: a number for each object. The
//! largest object first, each to whoever has least to read, and of equal sizes in the order of a hash
//! of their names, so that neighbours of one prefix, or one busy hour, are spread. It is a function of
//! the listing alone.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::entry::{Listed, number_of};

/// What an object costs beside its bytes, in bytes: a request, and the start of a decoder.
const PER_OBJECT: u64 = 32 << 10;

/// All that decides who reads an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Weight {
    size: Reverse<u64>,
    /// Of its name.
    number: u128,
}

impl Weight {
    /// Of an object.
    #[must_use]
    pub fn of(listed: &Listed) -> Self {
        let (source, key) = &listed.name;
        Weight { size: Reverse(listed.size), number: number_of(source, key) }
    }
}

/// The scan of `of` that reads each object, by its place in `listed`; numbers from 0.
#[must_use]
pub fn shares(listed: impl IntoIterator<Item = Weight>, of: u32) -> Vec<u32> {
    let listed = listed.into_iter().enumerate();
    let mut order: Vec<(Weight, usize)> = listed.map(|(at, weight)| (weight, at)).collect();
    order.sort_unstable();
    let mut least: BinaryHeap<Reverse<(u64, u32)>> = (0..of).map(|n| Reverse((0, n))).collect();
    let mut shares = vec![0; order.len()];
    for (Weight { size: Reverse(size), .. }, at) in order {
        let Some(mut top) = least.peek_mut() else { break };
        let Reverse((load, number)) = &mut *top;
        *load = load.saturating_add(size).saturating_add(PER_OBJECT);
        if let Some(share) = shares.get_mut(at) {
            *share = *number;
        }
    }
    shares
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn listed(sizes: &[u64]) -> Vec<Weight> {
        let of = |(n, size): (usize, &u64)| {
            let name = ("logs".to_owned(), format!("2026/11/{n:06}"));
            Weight::of(&Listed { name, etag: None, size: *size })
        };
        sizes.iter().enumerate().map(of).collect()
    }

    fn loads(listed: &[Weight], of: u32) -> Vec<u64> {
        let mut loads = vec![0; of as usize];
        for (object, share) in listed.iter().zip(shares(listed.to_vec(), of)) {
            loads[share as usize] += object.size.0 + PER_OBJECT;
        }
        loads
    }

    proptest! {
        /// No scan reads more than the mean and the largest object: what the greedy rule promises.
        #[test]
        fn loads_are_even(sizes in prop::collection::vec(0_u64..50_000_000, 0..200), of in 1_u32..20) {
            let listed = listed(&sizes);
            let loads = loads(&listed, of);
            let all: u64 = listed.iter().map(|object| object.size.0 + PER_OBJECT).sum();
            let largest = listed.iter().map(|object| object.size.0 + PER_OBJECT).max().unwrap_or(0);
            prop_assert_eq!(loads.iter().sum::<u64>(), all);
            prop_assert!(loads.iter().all(|load| *load <= all / u64::from(of) + largest));
        }

        /// The order in which objects are listed does not matter.
        #[test]
        fn names_decide(sizes in prop::collection::vec(0_u64..3, 0..60), of in 1_u32..7) {
            let listed = listed(&sizes);
            let mut turned = listed.clone();
            turned.reverse();
            let mut back = shares(turned, of);
            back.reverse();
            prop_assert_eq!(shares(listed, of), back);
        }
    }

    #[test]
    fn one_scan_reads_all_and_no_object_is_read_by_none() {
        assert_eq!(shares(listed(&[5, 5, 5]), 1), [0, 0, 0]);
        assert_eq!(shares(listed(&[]), 3), [0; 0]);
        let mut three = shares(listed(&[5, 5, 5]), 3);
        three.sort_unstable();
        assert_eq!(three, [0, 1, 2]);
    }
}
