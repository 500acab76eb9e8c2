//! Names made of digests: SHA-256 over parts that cannot run into each other, and hex digits.
//!
//! Ids, keys and names in logs are chosen by whoever calls, so a collision must not be makeable:
//! every part goes in with its length, and the hash is a cryptographic one.

use sha2::{Digest, Sha256};

/// SHA-256 over length-prefixed parts.
#[must_use]
pub fn of_parts<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> [u8; 32] {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part.len().to_be_bytes());
        hash.update(part);
    }
    hash.finalize().into()
}

/// SHA-256 of bytes.
#[must_use]
pub fn of_bytes(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
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
    fn parts_do_not_run_into_each_other() {
        let of = |parts: &[&str]| of_parts(parts.iter().map(|part| part.as_bytes()));
        assert_ne!(of(&["ab", "c"]), of(&["a", "bc"]));
        assert_ne!(of(&["a", ""]), of(&["a"]));
        assert_eq!(hex(&of_bytes(b"abc"), 16), "ba7816bf8f01cfea");
        assert_eq!(id(&of_bytes(b"abc")) >> 64, 0xba78_16bf_8f01_cfea);
    }
}
