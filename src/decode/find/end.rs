//! Where a container ends that is too long to be gone through byte by byte.

use super::lanes::{BLOCK, Masks, block_of};

/// Where it ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// After this many bytes of the buffer.
    At(usize),
    /// The buffer ends first.
    Never,
    /// There is something in it that only its bytes one by one can tell.
    Unclear,
}

/// From `from`, which is in no string and so many containers deep, to the end of the outermost.
#[inline(always)]
pub(super) fn end(
    bytes: &[u8],
    from: usize,
    mut depth: usize,
    masks: impl Fn(&[u8; BLOCK]) -> Masks,
    prefix_xor: impl Fn(u64) -> u64,
) -> End {
    let mut carried = (0_u64, 0_u64);
    let mut base = from;
    loop {
        let rest = bytes.get(base..).unwrap_or_default();
        let (block, is_last) = block_of(rest);
        let of = masks(&block);
        let (in_string, clear) = super::strings(&of, &mut carried, &prefix_xor);
        if !clear {
            return End::Unclear;
        }
        let (open, close) = (of.open & !in_string, of.close & !in_string);
        let falls = close.count_ones() as usize;
        if falls < depth {
            depth += open.count_ones() as usize;
            depth -= falls;
        } else {
            let mut both = open | close;
            while both != 0 {
                let bit = both & both.wrapping_neg();
                both ^= bit;
                if open & bit != 0 {
                    depth += 1;
                    continue;
                }
                depth -= 1;
                if depth == 0 {
                    return End::At(base + bit.trailing_zeros() as usize + 1);
                }
            }
        }
        if is_last {
            return End::Never;
        }
        base += BLOCK;
    }
}
