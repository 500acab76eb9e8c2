//! The members of one object, found in one pass and without parsing.
//!
//! Input: the bytes of an object, brace to brace. Output: the places of its own colons and commas;
//! nothing for anything that is not one whole object.

use super::lanes::{self, BLOCK, Masks};
use super::offset;
use std::ops::Range;

/// Where the members of an object are. Kept for the next one: it makes no new memory then.
#[derive(Debug, Default)]
pub struct Members {
    /// Its own colons and commas, in order.
    marks: Vec<u32>,
}

impl Members {
    /// Finds the members of `object`; false when it is not one whole object and nothing else.
    fn find(&mut self, object: &[u8]) -> bool {
        self.marks.clear();
        if object.first() != Some(&b'{') || u32::try_from(object.len()).is_err() {
            return false;
        }
        #[cfg(target_arch = "x86_64")]
        if let Ok(found) = crate::decode::audited::members_by_avx2(object, &mut self.marks) {
            return found;
        }
        members(object, &mut self.marks, lanes::masks, lanes::prefix_xor)
    }

    /// The members that were found, in order: keys as written but without quotes, values as written.
    /// `None` for one that only a parser can read.
    fn of<'a>(
        &self,
        object: &'a str,
    ) -> impl Iterator<Item = Option<(&'a str, &'a str)>> + use<'_, 'a> {
        // Behind the brace, then behind each comma.
        let mut start = 1;
        let mut marks = self.marks.iter().map(|mark| *mark as usize);
        std::iter::from_fn(move || {
            let Some(colon) = marks.next() else {
                // An object without members, or the end; behind a comma something must follow.
                let inside = object.get(start..object.len().saturating_sub(1));
                let is_empty = inside.is_some_and(|inside| inside.trim_ascii().is_empty());
                let done = start == usize::MAX || start == 1 && is_empty;
                start = usize::MAX;
                return (!done).then_some(None);
            };
            let end = marks.next().unwrap_or(object.len().saturating_sub(1));
            let read = member(object, start, colon, end);
            start = if end + 1 < object.len() { end + 1 } else { usize::MAX };
            Some(read)
        })
    }

    /// Hands keys and values of `object` to `take`, which gives back the number of a member that it
    /// took and `Some(None)` for one that it does not ask for. `None` for an object that a parser must
    /// read: with one of those members twice, with one that `take` refuses, or with an escape in a key.
    pub fn each<'a>(
        &mut self,
        object: &'a str,
        mut take: impl FnMut(&'a str, &'a str) -> Option<Option<u32>>,
    ) -> Option<()> {
        let mut seen = 0_u32;
        if !self.find(object.as_bytes()) {
            return None;
        }
        for member in self.of(object) {
            let (key, value) = member?;
            let Some(n) = take(key, value)? else {
                // Spelt with escapes it may be one that is asked for.
                if key.as_bytes().contains(&b'\\') {
                    return None;
                }
                continue;
            };
            if seen & 1 << n != 0 {
                return None;
            }
            seen |= 1 << n;
        }
        Some(())
    }
}

#[inline]
fn member(object: &str, start: usize, colon: usize, end: usize) -> Option<(&str, &str)> {
    let bytes = object.as_bytes();
    if bytes.get(colon) != Some(&b':') || !matches!(bytes.get(end), Some(b',' | b'}')) {
        return None;
    }
    let key = trimmed(bytes, start, colon);
    // White space before the colon is for a parser.
    let [b'"', .., b'"'] = bytes.get(key.start..colon)? else { return None };
    let value = trimmed(bytes, colon + 1, end);
    Some((object.get(key.start + 1..colon - 1)?, object.get(value)?))
}

/// Without the white space on both sides.
#[inline]
fn trimmed(bytes: &[u8], mut start: usize, mut end: usize) -> Range<usize> {
    let is_space = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_whitespace);
    while start < end && is_space(start) {
        start += 1;
    }
    while end > start && is_space(end - 1) {
        end -= 1;
    }
    start..end
}

/// The same with the instructions of newer machines.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,pclmulqdq,popcnt")]
pub(in crate::decode) fn members_avx2(object: &[u8], marks: &mut Vec<u32>) -> bool {
    let masks = |block: &[u8; BLOCK]| lanes::avx2::masks(block);
    members(object, marks, masks, |bits| lanes::avx2::prefix_xor(bits))
}

#[inline(always)]
fn members(
    object: &[u8],
    marks: &mut Vec<u32>,
    masks: impl Fn(&[u8; BLOCK]) -> Masks,
    prefix_xor: impl Fn(u64) -> u64,
) -> bool {
    let mut carried = (0_u64, 0_u64);
    let mut depth = 0_i32;
    let mut base = 0;
    loop {
        let (block, is_last) = lanes::block_of(object.get(base..).unwrap_or_default());
        let of = masks(&block);
        let (in_string, clear) = super::strings(&of, &mut carried, &prefix_xor);
        if !clear {
            return false;
        }
        let (open, close) = (of.open & !in_string, of.close & !in_string);
        let falls = i32::try_from(close.count_ones()).unwrap_or(0);
        if depth - falls > 1 {
            depth += i32::try_from(open.count_ones()).unwrap_or(0) - falls;
        } else {
            let mark = (of.colon | of.comma) & !in_string;
            let mut push = |mut bits: u64| {
                while bits != 0 {
                    marks.push(offset(base + bits.trailing_zeros() as usize));
                    bits &= bits - 1;
                }
            };
            let mut both = open | close;
            let mut rest = u64::MAX;
            while both != 0 {
                let bit = both & both.wrapping_neg();
                if depth == 1 {
                    push(mark & (bit - 1) & rest);
                }
                rest = !((bit - 1) | bit);
                both ^= bit;
                if open & bit != 0 {
                    depth += 1;
                    continue;
                }
                depth -= 1;
                if depth == 0 {
                    let at = base + bit.trailing_zeros() as usize;
                    return at + 1 == object.len() && object.get(at) == Some(&b'}');
                }
            }
            if depth == 1 {
                push(mark & rest);
            }
        }
        if is_last {
            return false;
        }
        base += BLOCK;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::decode::split;

    fn found(object: &str) -> Option<Vec<(&str, &str)>> {
        let mut members = Members::default();
        let mut all = Vec::new();
        members.each(object, |key, value| {
            all.push((key, value));
            Some(None)
        })?;
        Some(all)
    }

    #[test]
    fn members_are_found_or_left_to_a_parser() {
        let check = |object: &str, expected: Option<&[(&str, &str)]>| {
            let got = found(object);
            assert_eq!(got.as_deref(), expected, "{object}");
        };
        check("{}", Some(&[]));
        check(r#"{"a":1}"#, Some(&[("a", "1")]));
        check(
            r#"{"a":"x,","b":{"c":[1,{}]} ,"":null}"#,
            Some(&[("a", r#""x,""#), ("b", r#"{"c":[1,{}]}"#), ("", "null")]),
        );
        check("{ \"a\": [ ] ,\n \"b\": true\n}", Some(&[("a", "[ ]"), ("b", "true")]));
        check(
            r#"{ "a" :1, "b":{"c":[1,{"d":2}]} ,"e":"x:,\"}" }"#,
            None, // white space before a colon
        );
        check(
            r#"{ "a": 1, "b":{"c":[1,{"d":2}]} ,"e":"x:,\"}" }"#,
            Some(&[("a", "1"), ("b", r#"{"c":[1,{"d":2}]}"#), ("e", r#""x:,\"}""#)]),
        );
        for other in [
            "",
            "[]",
            "1",
            "{",
            r#"{"a":1"#,
            r#"{"a":1}}"#,
            r#"{"a":1} "#,
            r#"{"a":"x}"#,
            r#"{"\u0061":1}"#,
            r#"{"a\"":1}"#,
            "{a:1}",
            r#"{"a":1,}"#,
            r#"{,"a":1}"#,
            r#"{"a":1 "b":2}"#,
            r#"{"a","b":1}"#,
            r#"{"a":1,,"b":2}"#,
            r#"{"a"}"#,
            "{1}",
            "{\"a\":\"x\ny\"}",
        ] {
            check(other, None);
        }
    }

    proptest! {
        #[test]
        fn what_is_found_is_what_is_there(
            members in prop::collection::vec(("[a-z]{0,12}", "[ -~]{0,90}", 0usize..5), 0..9),
        ) {
            let members: Vec<String> = members
                .iter()
                .map(|(key, text, depth)| {
                    let text = serde_json::to_string(text).unwrap();
                    let value = (0..*depth).fold(text, |value, n| {
                        if n % 2 == 0 { format!("[{value}]") } else { format!("{{\"k\":{value}}}") }
                    });
                    format!("\"{key}\":{value}")
                })
                .collect();
            let object = format!("{{{}}}", members.join(","));
            let got = found(&object).map(|all| {
                all.into_iter().map(|(k, v)| (k.as_bytes(), v.as_bytes())).collect::<Vec<_>>()
            });
            let by_split: Vec<_> = split::members(object.as_bytes()).collect();
            prop_assert_eq!(got, Some(by_split));
        }

        #[test]
        fn any_bytes_are_found_by_both_ways_alike(bytes in prop::collection::vec(
            prop_oneof![Just(b'{'), Just(b'}'), Just(b'"'), Just(b'\\'), Just(b':'), Just(b'['), Just(b']'), any::<u8>()],
            0..200,
        )) {
            let bytes = [b"{".as_slice(), &bytes].concat();
            let mut members = Members::default();
            let is = members.find(&bytes);
            let mut marks = Vec::new();
            prop_assert_eq!(is, super::members(&bytes, &mut marks, lanes::masks, lanes::prefix_xor));
            if is {
                prop_assert_eq!(members.marks, marks);
            }
        }
    }
}
