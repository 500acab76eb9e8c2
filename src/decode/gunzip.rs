//! Inflates all members of an object, layer by layer, under a cap.
//!
//! Firehose leaves many gzip members back to back, sometimes gzipped once more, without a suffix;
//! CloudTrail leaves one member. An object is read whole or not at all: nothing is handed out before
//! every checksum was right. Zero padding after the last member is tolerated, other bytes are not:
//! no digest covers them. Source: RFC 1952,
//! <https://docs.aws.amazon.com/firehose/latest/dev/writing-with-cloudwatch-logs.html>.
#![expect(clippy::disallowed_types, reason = "the one place that reads every member, capped")]

use std::io::{ErrorKind, Read};

use flate2::bufread::GzDecoder;

use super::audited::{Deflate, Member};

/// How far decoding may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes that one object may inflate to.
    pub max_inflated: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { max_inflated: 2 << 30 }
    }
}

/// Firehose compresses at most once over what CloudWatch Logs compressed; one more for a copy job.
const MAX_LAYERS: usize = 3;
const MAGIC: [u8; 2] = [0x1f, 0x8b];
/// Scratch larger than this is given back after the object that needed it.
const KEEP_SCRATCH: usize = 64 << 20;
/// A member that inflates to more is streamed.
const ONE_SHOT: usize = 64 << 20;
/// The first room of a scratch.
const LEAST_ROOM: usize = 256 << 10;

/// Why an object does not inflate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum GunzipError {
    /// A member is broken or cut, or other bytes follow.
    #[error("the gzip stream is broken or cut")]
    Broken,
    /// The cap is passed.
    #[error("the object inflates past the cap")]
    TooLarge,
}

/// Reused buffers: growing and clearing memory costs more than inflating into it.
#[derive(Debug, Default)]
pub struct Inflater {
    /// `None` until the first object, and where there is no memory for it.
    deflate: Option<Deflate>,
    /// Longer than what they hold.
    front: Vec<u8>,
    back: Vec<u8>,
}

impl Inflater {
    /// The bytes of `object` without any gzip layer; `object` itself when there is none.
    ///
    /// # Errors
    /// When a member is broken or the cap is passed; nothing of the object must then be used.
    pub fn inflate<'a>(
        &'a mut self,
        object: &'a [u8],
        limits: Limits,
    ) -> Result<&'a [u8], GunzipError> {
        if !object.starts_with(&MAGIC) {
            return Ok(object);
        }
        for scratch in [&mut self.front, &mut self.back] {
            if scratch.len() > KEEP_SCRATCH {
                *scratch = Vec::new();
            }
        }
        if self.deflate.is_none() {
            self.deflate = Deflate::new();
        }
        let deflate = &mut self.deflate;
        let mut len = inflate_members(deflate, object, &mut self.front, limits)?;
        for _ in 1..MAX_LAYERS {
            let layer = self.front.get(..len).unwrap_or_default();
            if !layer.starts_with(&MAGIC) {
                break;
            }
            len = inflate_members(deflate, layer, &mut self.back, limits)?;
            std::mem::swap(&mut self.front, &mut self.back);
        }
        Ok(self.front.get(..len).unwrap_or_default())
    }
}

/// The bytes of an object that must be one gzip member and nothing else: what a digest vouches for.
///
/// # Errors
/// When it is anything else, or the cap is passed.
pub fn inflate_one(object: &[u8], limits: Limits) -> Result<Vec<u8>, GunzipError> {
    let mut out = Vec::new();
    let mut member = GzDecoder::new(object).take(limits.max_inflated.saturating_add(1));
    member.read_to_end(&mut out).map_err(|_| GunzipError::Broken)?;
    if u64::try_from(out.len()).unwrap_or(u64::MAX) > limits.max_inflated {
        return Err(GunzipError::TooLarge);
    }
    if member.into_inner().into_inner().is_empty() { Ok(out) } else { Err(GunzipError::Broken) }
}

/// Inflates all members to the start of `out`, which grows as it must; returns how far it is filled.
fn inflate_members(
    deflate: &mut Option<Deflate>,
    mut rest: &[u8],
    out: &mut Vec<u8>,
    limits: Limits,
) -> Result<usize, GunzipError> {
    let cap = usize::try_from(limits.max_inflated).unwrap_or(usize::MAX);
    let mut filled = 0;
    while rest.starts_with(&MAGIC) {
        let Some(deflate) = deflate else {
            return stream_members(rest, out, filled, cap);
        };
        let room = out.len() - filled;
        match deflate.member(rest, out.get_mut(filled..).unwrap_or_default()) {
            Member::Whole { read, written } => {
                filled += written;
                if filled > cap {
                    return Err(GunzipError::TooLarge);
                }
                rest = rest.get(read..).unwrap_or_default();
            }
            Member::TooSmall if room > cap - filled => return Err(GunzipError::TooLarge),
            Member::TooSmall if room > ONE_SHOT => return stream_members(rest, out, filled, cap),
            Member::TooSmall => {
                let more = expected(rest).max(2 * room).clamp(LEAST_ROOM, ONE_SHOT + 1);
                out.resize(filled + more, 0);
            }
            Member::Broken => return Err(GunzipError::Broken),
        }
    }
    if rest.iter().all(|byte| *byte == 0) { Ok(filled) } else { Err(GunzipError::Broken) }
}

/// What the last four bytes say the last member inflates to: right for the one member of a CloudTrail
/// file, a hint at best for others, and never believed.
fn expected(rest: &[u8]) -> usize {
    let told = rest.last_chunk::<4>().map_or(0, |tail| u32::from_le_bytes(*tail));
    let told = usize::try_from(told).unwrap_or(0);
    // Logs inflate ten times or so; what claims more may be lying.
    told.min(rest.len().saturating_mul(32)).saturating_add(1)
}

/// Members that are too large to be inflated in one go: what is read grows with what is there.
fn stream_members(
    mut rest: &[u8],
    out: &mut Vec<u8>,
    filled: usize,
    cap: usize,
) -> Result<usize, GunzipError> {
    out.truncate(filled);
    while rest.starts_with(&MAGIC) {
        let room = u64::try_from(cap.saturating_sub(out.len())).unwrap_or(u64::MAX);
        let mut member = GzDecoder::new(rest).take(room.saturating_add(1));
        match member.read_to_end(out) {
            Ok(got) if u64::try_from(got).unwrap_or(u64::MAX) > room => {
                return Err(GunzipError::TooLarge);
            }
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(_) => return Err(GunzipError::Broken),
        }
        rest = member.into_inner().into_inner();
    }
    if rest.iter().all(|byte| *byte == 0) { Ok(out.len()) } else { Err(GunzipError::Broken) }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        out.write_all(bytes).unwrap();
        out.finish().unwrap()
    }

    fn check(object: &[u8], expected: Result<&[u8], GunzipError>) {
        let limits = Limits { max_inflated: 100 };
        assert_eq!(Inflater::default().inflate(object, limits), expected);
    }

    #[test]
    fn members_and_layers() {
        let two = [gzip(b"ab"), gzip(b"cd")].concat();
        let limits = Limits { max_inflated: 2 };
        assert_eq!(inflate_one(&gzip(b"ab"), limits), Ok(b"ab".to_vec()));
        for bytes in [two.clone(), [gzip(b"ab"), vec![0]].concat(), b"ab".to_vec(), Vec::new()] {
            assert_eq!(inflate_one(&bytes, limits), Err(GunzipError::Broken));
        }
        assert_eq!(inflate_one(&gzip(b"abc"), limits), Err(GunzipError::TooLarge));
        check(b"plain", Ok(b"plain"));
        check(b"", Ok(b""));
        check(&two, Ok(b"abcd"));
        check(&gzip(&two), Ok(b"abcd"));
        check(&[two.clone(), vec![0; 7]].concat(), Ok(b"abcd"));
        check(&[two.clone(), b"x".to_vec()].concat(), Err(GunzipError::Broken));
        check(&two[..two.len() - 1], Err(GunzipError::Broken));
        check(&two[..3], Err(GunzipError::Broken));
        let mut flipped = two.clone();
        let crc = two.len() - 6;
        flipped[crc] ^= 1;
        check(&flipped, Err(GunzipError::Broken));
    }

    #[test]
    fn a_bomb_stops_at_the_cap() {
        check(&gzip(&[b'x'; 100]), Ok(&[b'x'; 100]));
        check(&gzip(&[b'x'; 101]), Err(GunzipError::TooLarge));
        check(&[gzip(&[b'x'; 60]), gzip(&[b'x'; 60])].concat(), Err(GunzipError::TooLarge));
    }
}
