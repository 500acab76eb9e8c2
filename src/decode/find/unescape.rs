//! Takes the escapes out of a JSON string that holds JSON, where every tenth byte is one.

use memchr::memchr2;

use super::lanes::{BLOCK, Masks, last};
use super::{escaped, lanes};

/// Writes what a JSON string stands for, of which `json` begins behind the first quote, to `into[used..]`;
/// returns where that ends, and how many bytes of `json` were read, the last quote included. `into` is
/// made so long that it has room for all of `json`. `None` for what only a parser can read, as the number
/// of a character that is not ASCII, and for what is no string.
pub(in crate::decode) fn unescape(
    json: &[u8],
    into: &mut Vec<u8>,
    used: usize,
) -> Option<(usize, usize)> {
    let room = used + json.len() + BLOCK;
    if into.len() < room {
        into.resize(room, 0);
    }
    let out = into.get_mut(used..)?;
    #[cfg(target_arch = "x86_64")]
    if let Ok(done) = crate::decode::audited::unescape_by_avx2(json, out) {
        return done.map(|(written, read)| (used + written, read));
    }
    let done = run(json, out, lanes::masks, lanes::without);
    done.map(|(written, read)| (used + written, read))
}

/// The same with the instructions of newer machines.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,pclmulqdq,popcnt")]
pub(in crate::decode) fn unescape_avx2(json: &[u8], out: &mut [u8]) -> Option<(usize, usize)> {
    let masks = |block: &[u8; BLOCK]| lanes::avx2::masks(block);
    run(json, out, masks, |word, gone| lanes::avx2::without(word, gone))
}

#[inline(always)]
fn run(
    json: &[u8],
    out: &mut [u8],
    masks: impl Fn(&[u8; BLOCK]) -> Masks,
    without: impl Fn(u64, u8) -> u64,
) -> Option<(usize, usize)> {
    let (blocks, rest) = json.as_chunks::<BLOCK>();
    let mut to = 0;
    // 1 where the next byte is escaped.
    let mut carry = 0_u64;
    let tail = last(rest);
    for (n, block) in blocks.iter().chain(std::iter::once(&tail)).enumerate() {
        let before = carry;
        let of = masks(block);
        let escaped = escaped(of.backslash, &mut carry);
        let end = of.quote & !escaped;
        // What is before the end.
        let inside = end.wrapping_sub(1) & !end;
        if of.control & inside != 0 {
            return None;
        }
        if escaped & !(of.quote | of.backslash) & inside != 0 {
            // One that does not stand for itself, or the end within one.
            let from = n * BLOCK - usize::from(before != 0);
            return one_by_one(json, from, out, to);
        }
        let mut gone = of.backslash & !escaped;
        if end != 0 {
            gone &= inside;
        }
        let kept = BLOCK - gone.count_ones() as usize;
        let mut at = to;
        let (words, _) = block.as_chunks::<8>();
        for word in words {
            let [here, ..] = gone.to_le_bytes();
            gone >>= 8;
            let word = without(u64::from_le_bytes(*word), here);
            *out.get_mut(at..)?.first_chunk_mut()? = word.to_le_bytes();
            at += 8 - here.count_ones() as usize;
        }
        if end != 0 {
            let len = end.trailing_zeros() as usize;
            return Some((to + kept - (BLOCK - len), n * BLOCK + len + 1));
        }
        to += kept;
    }
    None
}

/// From a place that is in no escape, where so much is written.
fn one_by_one(json: &[u8], from: usize, out: &mut [u8], mut to: usize) -> Option<(usize, usize)> {
    let mut at = from;
    loop {
        let rest = json.get(at..)?;
        let len = memchr2(b'\\', b'"', rest)?;
        let plain = rest.get(..len)?;
        if plain.iter().any(|byte| *byte < b' ') {
            return None;
        }
        out.get_mut(to..to + len)?.copy_from_slice(plain);
        to += len;
        let rest = rest.get(len..)?;
        if rest.starts_with(b"\"") {
            return Some((to, at + len + 1));
        }
        let (byte, read) = meant(rest)?;
        *out.get_mut(to)? = byte;
        to += 1;
        at += len + read;
    }
}

/// The byte that an escape stands for, and how long it is.
fn meant(escape: &[u8]) -> Option<(u8, usize)> {
    let [b'\\', kind, ..] = escape else { return None };
    Some(match kind {
        same @ (b'"' | b'\\' | b'/') => (*same, 2),
        b'n' => (b'\n', 2),
        b't' => (b'\t', 2),
        b'r' => (b'\r', 2),
        b'b' => (8, 2),
        b'f' => (12, 2),
        b'u' => {
            let digits = std::str::from_utf8(escape.get(2..6)?).ok()?;
            let plain = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
            let number = u8::from_str_radix(digits, 16).ok().filter(|_| plain)?;
            (number.is_ascii().then_some(number)?, 6)
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What a parser makes of it.
    fn parsed(inside: &str) -> Option<String> {
        serde_json::from_str(&format!("\"{inside}\"")).ok()
    }

    fn fast(inside: &str) -> Option<String> {
        let json = format!("{inside}\"}},{{");
        let mut out = b"before".to_vec();
        let done = unescape(json.as_bytes(), &mut out, 6);
        let mut portable = vec![0; json.len() + BLOCK];
        let by_portable = run(json.as_bytes(), &mut portable, lanes::masks, lanes::without);
        assert_eq!(done, by_portable.map(|(written, read)| (written + 6, read)), "both ways");
        let (end, read) = done?;
        assert_eq!(out.get(..6), Some(b"before".as_slice()));
        assert_eq!(out.get(6..end), portable.get(..end - 6));
        // A quote that ends it early.
        (read == inside.len() + 1).then(|| String::from_utf8(out.get(6..end)?.to_vec()).ok())?
    }

    #[test]
    fn escapes() {
        let check = |inside: &str, same: bool| {
            let expected = parsed(inside).filter(|_| same);
            assert_eq!(fast(inside), expected, "{inside}");
        };
        for pad in [0, 1, 13, 47, 48, 60, 61, 62, 63, 64, 127] {
            let pad = "x".repeat(pad);
            check(&pad, true);
            check(&format!(r#"{pad}{{\"a\":\"b\\\\\\\"\/\n\t\r\b\f\"}}"#), true);
            check(&format!(r"{pad}\u0026\u003c\u007f."), true);
            check(&format!("{pad}äöü\\\"€"), true);
            // For a parser.
            check(&format!(r"{pad}\u00e4"), false);
            check(&format!(r"{pad}\ud83d\ude00"), false);
            // No JSON.
            check(&format!(r#"{pad}"x"#), false);
            check(&format!(r"{pad}\"), false);
            check(&format!(r"{pad}\x"), false);
            check(&format!(r"{pad}\u+026"), false);
            check(&format!(r"{pad}\u00"), false);
            check(&format!("{pad}\n"), false);
            check(&format!("{pad}\\\"\u{1}"), false);
            check(&format!("{pad}\\n\u{1}"), false);
        }
    }

    proptest! {
        #[test]
        fn any_text_comes_back(text in "[ -~äé\n\t\"\\\\]{0,300}") {
            let json = serde_json::to_string(&text).unwrap();
            let inside = json.get(1..json.len() - 1).unwrap();
            prop_assert_eq!(fast(inside), Some(text));
        }
    }
}
