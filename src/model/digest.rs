//! Names made of digests: SHA-256 over parts that cannot run into each other, and hex digits.
//!
//! Ids, keys and names in logs are chosen by whoever calls, so a collision must not be makeable:
//! every part goes in with its length, and the hash is a cryptographic one.

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

/// What many digests begin with: hashed once, in blocks of its own.
#[derive(Debug, Clone)]
pub struct Begun(Sha256);

/// Of SHA-256.
const BLOCK: usize = 64;

impl Begun {
    /// Begins with a part.
    #[must_use]
    pub fn with(part: &[u8]) -> Self {
        let mut hash = Sha256::new();
        let len = part.len().to_be_bytes();
        hash.update(len);
        hash.update(part);
        let used = (len.len() + part.len()) % BLOCK;
        hash.update([0; BLOCK].get(used..).filter(|_| used > 0).unwrap_or_default());
        Begun(hash)
    }

    /// SHA-256 over that and two pieces, of which the second may have any length; where the first ends
    /// must be told by what it is.
    #[must_use]
    pub fn and(&self, piece: &[u8], rest: &[u8]) -> [u8; 32] {
        self.0.clone().chain_update(piece).chain_update(rest).finalize().into()
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
