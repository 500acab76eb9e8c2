//! 64 bytes at once: which of them are quotes, backslashes, brackets, colons, control characters.

/// One bit per byte, the first byte lowest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Masks {
    pub(super) quote: u64,
    pub(super) backslash: u64,
    /// `{` and `[`
    pub(super) open: u64,
    /// `}` and `]`
    pub(super) close: u64,
    pub(super) colon: u64,
    pub(super) comma: u64,
    /// Below the space.
    pub(super) control: u64,
}

pub(super) const BLOCK: usize = 64;

/// Brackets and braces differ in this bit alone.
const FOLD: u8 = 0x20;

/// What is left of a file that ends, filled up with spaces.
#[inline(always)]
pub(super) fn last(rest: &[u8]) -> [u8; BLOCK] {
    let mut block = [b' '; BLOCK];
    for (to, from) in block.iter_mut().zip(rest) {
        *to = *from;
    }
    block
}

/// The next block, filled up with spaces at the end, and whether it is the last.
#[inline(always)]
pub(super) fn block_of(rest: &[u8]) -> ([u8; BLOCK], bool) {
    match rest.first_chunk::<BLOCK>() {
        Some(block) => (*block, false),
        None => (last(rest), true),
    }
}

/// For any machine.
#[inline(always)]
pub(super) fn masks(block: &[u8; BLOCK]) -> Masks {
    let mut found = Masks::default();
    for (n, byte) in block.iter().enumerate() {
        let bit = |is: bool| u64::from(is) << n;
        found.quote |= bit(*byte == b'"');
        found.backslash |= bit(*byte == b'\\');
        found.open |= bit(*byte | FOLD == b'{');
        found.close |= bit(*byte | FOLD == b'}');
        found.colon |= bit(*byte == b':');
        found.comma |= bit(*byte == b',');
        found.control |= bit(*byte < b' ');
    }
    found
}

/// Every bit: how many bits up to and with it are set, modulo two.
#[inline(always)]
pub(super) fn prefix_xor(mut bits: u64) -> u64 {
    for shift in [1, 2, 4, 8, 16, 32] {
        bits ^= bits << shift;
    }
    bits
}

/// The bytes of a word without those whose bit is set; what comes after them means nothing.
#[inline(always)]
pub(super) fn without(word: u64, gone: u8) -> u64 {
    let mut kept = [0; 8];
    let mut to = 0;
    for (n, byte) in word.to_le_bytes().into_iter().enumerate() {
        if gone >> n & 1 == 0 {
            kept[to] = byte;
            to += 1;
        }
    }
    u64::from_le_bytes(kept)
}

/// For every set of bytes that go, which bytes stay, in order.
const STAY: [u64; 256] = {
    let mut all = [0; 256];
    let mut gone = 0;
    while gone < 256 {
        let (mut n, mut to) = (0, 0);
        while n < 8 {
            if gone >> n & 1 == 0 {
                all[gone] |= n << (8 * to);
                to += 1;
            }
            n += 1;
        }
        gone += 1;
    }
    all
};

#[cfg(target_arch = "x86_64")]
pub(super) mod avx2 {
    use std::arch::x86_64::{
        __m256i, _mm_clmulepi64_si128, _mm_cvtsi64_si128, _mm_cvtsi128_si64, _mm_set_epi64x,
        _mm_set1_epi8, _mm_shuffle_epi8, _mm256_andnot_si256, _mm256_cmpeq_epi8, _mm256_max_epu8,
        _mm256_min_epu8, _mm256_movemask_epi8, _mm256_or_si256, _mm256_set_epi64x,
        _mm256_set1_epi8,
    };

    use super::{BLOCK, FOLD, Masks, STAY};

    #[inline]
    #[target_feature(enable = "avx2")]
    pub(in crate::decode) fn masks(block: &[u8; BLOCK]) -> Masks {
        let (halves, _) = block.as_chunks::<32>();
        let [low, high] = [load(&halves[0]), load(&halves[1])];
        let both = |low: __m256i, high: __m256i| bits(low) | bits(high) << 32;
        let same = |byte: u8| {
            let all = _mm256_set1_epi8(byte.cast_signed());
            both(_mm256_cmpeq_epi8(low, all), _mm256_cmpeq_epi8(high, all))
        };
        let fold = _mm256_set1_epi8(FOLD.cast_signed());
        let [folded_low, folded_high] = [_mm256_or_si256(low, fold), _mm256_or_si256(high, fold)];
        let same_folded = |byte: u8| {
            let all = _mm256_set1_epi8(byte.cast_signed());
            both(_mm256_cmpeq_epi8(folded_low, all), _mm256_cmpeq_epi8(folded_high, all))
        };
        let printable = |half: __m256i| _mm256_cmpeq_epi8(_mm256_max_epu8(half, fold), half);
        let slash = _mm256_set1_epi8(b'\\'.cast_signed());
        let [slash_low, slash_high] =
            [_mm256_cmpeq_epi8(low, slash), _mm256_cmpeq_epi8(high, slash)];
        // Most blocks have neither: one question instead of two masks.
        let plain = _mm256_andnot_si256(
            _mm256_or_si256(slash_low, slash_high),
            printable(_mm256_min_epu8(low, high)),
        );
        let (backslash, control) = if _mm256_movemask_epi8(plain) == -1 {
            (0, 0)
        } else {
            (both(slash_low, slash_high), !both(printable(low), printable(high)))
        };
        Masks {
            quote: same(b'"'),
            backslash,
            open: same_folded(b'{'),
            close: same_folded(b'}'),
            colon: same(b':'),
            comma: same(b','),
            control,
        }
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn load(half: &[u8; 32]) -> __m256i {
        let (eights, _) = half.as_chunks::<8>();
        let [a, b, c, d] = [eights[0], eights[1], eights[2], eights[3]].map(i64::from_le_bytes);
        _mm256_set_epi64x(d, c, b, a)
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn bits(lanes: __m256i) -> u64 {
        u64::from(_mm256_movemask_epi8(lanes).cast_unsigned())
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    pub(in crate::decode) fn without(word: u64, gone: u8) -> u64 {
        let stay = STAY[usize::from(gone)];
        let bytes = _mm_cvtsi64_si128(word.cast_signed());
        let kept = _mm_shuffle_epi8(bytes, _mm_cvtsi64_si128(stay.cast_signed()));
        _mm_cvtsi128_si64(kept).cast_unsigned()
    }

    #[inline]
    #[target_feature(enable = "pclmulqdq")]
    pub(in crate::decode) fn prefix_xor(bits: u64) -> u64 {
        let all = _mm_set1_epi8(-1);
        let product = _mm_clmulepi64_si128(_mm_set_epi64x(0, bits.cast_signed()), all, 0);
        _mm_cvtsi128_si64(product).cast_unsigned()
    }
}
