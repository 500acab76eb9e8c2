//! Names made of digests: SHA-256 over parts that cannot run into each other, and hex digits.
//!
//! Ids, keys and names in logs are chosen by whoever calls, so a collision must not be makeable:
//! every part goes in with its length, and the hash is a cryptographic one.

use sha2::block_api::compress256;
use sha2::{Digest, Sha256};

/// SHA-256 over length-prefixed parts.
#[must_use]
pub fn of_parts<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> [u8; 32] {
    let mut all = Parts::default();
    for part in parts {
        all.add(part);
    }
    all.finish()
}

/// The same of parts that come one by one.
#[derive(Debug)]
pub struct Parts {
    hash: Sha256,
    /// Parts are short: the hash is fed many at once.
    few: [u8; 256],
    used: usize,
}

impl Default for Parts {
    fn default() -> Self {
        Parts { hash: Sha256::new(), few: [0; 256], used: 0 }
    }
}

impl Parts {
    /// Adds a part.
    #[inline]
    pub fn add(&mut self, part: &[u8]) {
        for piece in [part.len().to_be_bytes().as_slice(), part] {
            if let Some(room) = self.few.get_mut(self.used..self.used + piece.len()) {
                room.copy_from_slice(piece);
                self.used += piece.len();
                continue;
            }
            self.hash.update(self.few.get(..self.used).unwrap_or_default());
            self.hash.update(piece);
            self.used = 0;
        }
    }

    /// SHA-256 over all of them.
    #[must_use]
    pub fn finish(mut self) -> [u8; 32] {
        self.hash.update(self.few.get(..self.used).unwrap_or_default());
        self.hash.finalize().into()
    }
}

/// What many digests begin with: hashed once, in blocks of its own. What goes on is padded here: through the buffer
/// of [`Sha256`] one or two blocks take a third longer.
#[derive(Debug, Clone, Copy)]
pub struct Begun {
    state: [u32; 8],
    /// Bytes so far, in whole blocks.
    len: u64,
}

/// Of SHA-256.
const BLOCK: usize = 64;
/// Blocks that are hashed at once. What goes on is seldom longer than two.
const FEW: usize = 4;
/// How SHA-256 begins. Source: FIPS 180-4, 5.3.3.
const FIRST: [u32; 8] = [
    0x6a09_e667,
    0xbb67_ae85,
    0x3c6e_f372,
    0xa54f_f53a,
    0x510e_527f,
    0x9b05_688c,
    0x1f83_d9ab,
    0x5be0_cd19,
];

impl Begun {
    /// Begins with a part.
    #[must_use]
    pub fn with(part: &[u8]) -> Self {
        let mut all = [part.len().to_be_bytes().as_slice(), part].concat();
        all.resize(all.len().next_multiple_of(BLOCK), 0);
        let mut state = FIRST;
        compress256(&mut state, all.as_chunks().0);
        Begun { state, len: u64::try_from(all.len()).unwrap_or(u64::MAX) }
    }

    /// SHA-256 over that and two pieces, of which the second may have any length; where the first ends
    /// must be told by what it is.
    #[must_use]
    pub fn and(&self, piece: &[u8], rest: &[u8]) -> [u8; 32] {
        let mut state = self.state;
        let mut few = [[0_u8; BLOCK]; FEW];
        let mut used = 0;
        for mut more in [piece, rest] {
            while !more.is_empty() {
                let room = few.as_flattened_mut().get_mut(used..).unwrap_or_default();
                let (now, later) = more.split_at(more.len().min(room.len()));
                room.iter_mut().zip(now).for_each(|(to, from)| *to = *from);
                (used, more) = (used + now.len(), later);
                if used == FEW * BLOCK {
                    compress256(&mut state, &few);
                    (few, used) = ([[0; BLOCK]; FEW], 0);
                }
            }
        }
        // A bit, and in the last eight bytes of a block how many there were.
        let len = [piece, rest].map(|more| u64::try_from(more.len()).unwrap_or(u64::MAX));
        let bits = (self.len + len[0] + len[1]) * 8;
        few.as_flattened_mut()[used] = 0x80;
        let mut blocks = (used + 9).div_ceil(BLOCK);
        if blocks > FEW {
            compress256(&mut state, &few);
            (few, blocks) = ([[0; BLOCK]; FEW], 1);
        }
        few[blocks - 1][BLOCK - 8..].copy_from_slice(&bits.to_be_bytes());
        compress256(&mut state, few.get(..blocks).unwrap_or_default());
        let mut digest = [0; 32];
        for (to, word) in digest.as_chunks_mut().0.iter_mut().zip(state) {
            *to = word.to_be_bytes();
        }
        digest
    }
}

/// SHA-256 of bytes.
#[must_use]
pub fn of_bytes(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

/// SHA-256 of all that can be read, and how many bytes that were; little of it is held.
///
/// # Errors
/// When it cannot be read.
pub fn of_reader(mut input: impl std::io::Read) -> std::io::Result<([u8; 32], u64)> {
    let mut hash = Sha256::new();
    let (mut some, mut len) = (vec![0; 1 << 16], 0);
    loop {
        match input.read(&mut some) {
            Ok(0) => return Ok((hash.finalize().into(), len)),
            Ok(n) => {
                hash.update(some.get(..n).unwrap_or_default());
                len += u64::try_from(n).unwrap_or(0);
            }
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// The first 128 bits of a digest.
#[must_use]
pub fn id(digest: &[u8; 32]) -> u128 {
    digest.iter().take(16).fold(0, |id, byte| (id << 8) | u128::from(*byte))
}

/// The first `digits` hex digits of a digest.
#[must_use]
pub fn hex(digest: &[u8; 32], digits: usize) -> String {
    let nibbles = digest.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    nibbles.take(digits).filter_map(|nibble| char::from_digit(u32::from(nibble), 16)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_begun_goes_on_as_if_at_once() {
        for len in [0, 1, 32, 55, 56, 57, 64, 120, 200] {
            let part = vec![7; len];
            let mut all = [len.to_be_bytes().as_slice(), &part].concat();
            all.resize(all.len().next_multiple_of(BLOCK), 0);
            all.extend_from_slice(b"piece and rest");
            assert_eq!(Begun::with(&part).and(b"piece ", b"and rest"), of_bytes(&all), "{len}");
        }
        for len in 0..600 {
            let rest = vec![9; len];
            // The length of no bytes, in a block of its own.
            let all = [[0; BLOCK].as_slice(), b"piece", &rest].concat();
            assert_eq!(Begun::with(b"").and(b"piece", &rest), of_bytes(&all), "{len}");
        }
    }

    #[test]
    fn parts_do_not_run_into_each_other() {
        let of = |parts: &[&str]| of_parts(parts.iter().map(|part| part.as_bytes()));
        assert_ne!(of(&["ab", "c"]), of(&["a", "bc"]));
        assert_ne!(of(&["a", ""]), of(&["a"]));
        assert_eq!(hex(&of_bytes(b"abc"), 16), "ba7816bf8f01cfea");
        assert_eq!(id(&of_bytes(b"abc")) >> 64, 0xba78_16bf_8f01_cfea);
        for long in [vec![], b"abc".to_vec(), vec![7; 200_000]] {
            let len = u64::try_from(long.len()).unwrap();
            assert_eq!(of_reader(long.as_slice()).unwrap(), (of_bytes(&long), len));
        }
        // However they are fed.
        for len in [0, 1, 239, 240, 241, 248, 256, 1000] {
            let long = "x".repeat(len);
            let all = [
                3_u64.to_be_bytes().as_slice(),
                b"abc",
                &(long.len() as u64).to_be_bytes(),
                long.as_bytes(),
                &1_u64.to_be_bytes(),
                b"y",
            ]
            .concat();
            assert_eq!(of(&["abc", &long, "y"]), of_bytes(&all), "{len}");
        }
    }
}
