//! Finds the records of a CloudTrail file, and in each the members that decide whether it matters, in
//! one pass and without parsing.
//!
//! Input: the inflated bytes of a file. Output: a [`Found`] per record, or "not of this shape", which
//! sends the whole object the general way ([`super::split`]); nothing is handed on before the end of
//! the file was seen. Borders come from an exact count of quotes and brackets, as there: a separator
//! can be forged by whoever chooses a request parameter. A member counts at the depth of the record
//! alone. What is out of the ordinary about a record (an escape in a key, a member twice, a value of
//! another type) marks it as [`Found::odd`]: it must be parsed to be judged.

#![expect(
    clippy::inline_always,
    reason = "it is compiled twice, and only what is inlined gets the instructions of the faster way"
)]

mod end;
mod lanes;
mod object;
mod unescape;

pub use end::End;
use lanes::{BLOCK, Masks};
pub use object::Members;
#[cfg(target_arch = "x86_64")]
pub(super) use object::members_avx2;
use std::ops::ControlFlow;
pub(super) use unescape::unescape;
#[cfg(target_arch = "x86_64")]
pub(super) use unescape::unescape_avx2;

use memchr::memchr2;

/// One record, as offsets into the file. 0 stands for a member that is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Found {
    /// Its brace.
    pub start: u32,
    /// After its closing brace.
    pub end: u32,
    /// It must be parsed: its members cannot be told from here.
    pub odd: bool,
    time: u32,
    source: u32,
    category: u32,
    account: u32,
    region: u32,
    identity: u32,
    /// Whether that was left.
    identity_ended: bool,
    /// Values of `principalId` and of `arn` in it, at whatever depth.
    ids: [u32; PLACES],
    arns: [u32; PLACES],
}

/// The records of a file. Kept for the next one: it makes no new memory then.
#[derive(Debug, Default)]
pub struct Records {
    /// In the order of the file.
    pub found: Vec<Found>,
}

/// Depth of the members of a record: file, list, record.
const MEMBERS: i32 = 3;
/// Ids and ARNs of a caller: its own and its role's.
const PLACES: usize = 2;
/// A key of ours with every character escaped is not longer.
const LONGEST_KEY: usize = 128;

/// Finds all records of `bytes`; false when it is no file of the one shape that CloudTrail writes:
/// `{"Records":[{…},{…}]}`, with any white space between. `into` is cleared first.
///
/// Each record that is not odd is shown to `pass` as soon as it ends, while its bytes are at hand; those
/// of which it says true are not kept. What it learns counts only if the file turns out to be one.
pub fn records(bytes: &[u8], into: &mut Records, mut pass: impl FnMut(&Found) -> bool) -> bool {
    let Some(first) = first_record(bytes) else { return false };
    let end = list((bytes, first), into, &mut pass);
    end.is_some_and(|end| bytes.get(end..).unwrap_or_default().trim_ascii() == b"}")
}

/// Where the list ends whose first record may begin at an offset.
fn list(
    from: (&[u8], usize),
    into: &mut Records,
    pass: &mut impl FnMut(&Found) -> bool,
) -> Option<usize> {
    #[cfg(target_arch = "x86_64")]
    if let Ok(done) = super::audited::records_by_avx2(from, into, pass) {
        return done;
    }
    walk(from, into, lanes::masks, lanes::prefix_xor, pass)
}

/// The same with the instructions of newer machines.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,pclmulqdq,popcnt")]
pub(super) fn records_avx2(
    from: (&[u8], usize),
    into: &mut Records,
    pass: &mut impl FnMut(&Found) -> bool,
) -> Option<usize> {
    walk(from, into, |block| lanes::avx2::masks(block), |bits| lanes::avx2::prefix_xor(bits), pass)
}

#[inline(always)]
fn walk(
    (bytes, first): (&[u8], usize),
    into: &mut Records,
    masks: impl Fn(&[u8; BLOCK]) -> Masks,
    prefix_xor: impl Fn(u64) -> u64,
    pass: &mut impl FnMut(&Found) -> bool,
) -> Option<usize> {
    into.found.clear();
    u32::try_from(bytes.len()).ok()?;
    let mut walk = Walk { bytes, into, pass, record: Found::default(), depth: 2, last: first };
    walk.all(first, masks, prefix_xor)
}

/// After the bracket of `Records`.
fn first_record(bytes: &[u8]) -> Option<usize> {
    let mut rest = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    for part in [b"{".as_slice(), b"\"Records\"", b":", b"["] {
        rest = rest.trim_ascii_start().strip_prefix(part)?;
    }
    Some(bytes.len() - rest.len())
}

/// Goes on, or ends with where the list does, if it does as expected.
type Step = ControlFlow<Option<usize>>;
const OTHER: Step = ControlFlow::Break(None);

struct Walk<'a, P> {
    bytes: &'a [u8],
    pass: &'a mut P,
    into: &'a mut Records,
    /// The record that is open.
    record: Found,
    depth: i32,
    /// End of the last record, or of the bracket.
    last: usize,
}

/// What one block hands to the next.
#[derive(Default)]
struct Carry {
    /// Of [`strings`].
    string: (u64, u64),
    /// End of the last block that had a backslash.
    backslash: usize,
}

impl<P: FnMut(&Found) -> bool> Walk<'_, P> {
    /// Returns where the list ends; `None` when it does not, or not as expected.
    #[inline(always)]
    fn all(
        &mut self,
        first: usize,
        masks: impl Fn(&[u8; BLOCK]) -> Masks,
        prefix_xor: impl Fn(u64) -> u64,
    ) -> Option<usize> {
        let mut carry = Carry::default();
        let mut base = first;
        let (blocks, rest) = self.bytes.get(first..)?.as_chunks::<BLOCK>();
        for block in blocks {
            if let ControlFlow::Break(end) =
                self.block(base, &masks(block), &prefix_xor, &mut carry)
            {
                return end;
            }
            base += BLOCK;
        }
        match self.block(base, &masks(&lanes::last(rest)), &prefix_xor, &mut carry) {
            ControlFlow::Break(end) => end,
            // The file ends and its list does not.
            ControlFlow::Continue(()) => None,
        }
    }

    /// Breaks at the end of the list with where that is, or with `None` when the shape is another.
    #[inline(always)]
    fn block(
        &mut self,
        base: usize,
        of: &Masks,
        prefix_xor: &impl Fn(u64) -> u64,
        carry: &mut Carry,
    ) -> Step {
        let (in_string, clear) = strings(of, &mut carry.string, prefix_xor);
        if !clear {
            return OTHER;
        }
        if of.backslash != 0 {
            carry.backslash = base + BLOCK;
        }
        let (open, close) = (of.open & !in_string, of.close & !in_string);
        let colon = of.colon & !in_string;
        let careful = carry.backslash + LONGEST_KEY > base;
        if self.record.identity != 0 && !self.record.identity_ended {
            self.callers(base, colon, of.backslash);
        }
        let falls = i32::try_from(close.count_ones()).unwrap_or(0);
        if self.depth - falls > MEMBERS {
            self.depth += i32::try_from(open.count_ones()).unwrap_or(0) - falls;
            return ControlFlow::Continue(());
        }
        if open | close != 0 {
            self.brackets(base, (open, close, colon), careful)?;
        } else if self.depth == MEMBERS {
            self.members(base, colon, careful);
        }
        // A caller that begins in this block.
        if self.record.identity as usize > base {
            let after = self.record.identity as usize - base;
            let later = u32::try_from(after).ok().and_then(|n| u64::MAX.checked_shl(n));
            self.callers(base, colon & later.unwrap_or(0), of.backslash);
        }
        ControlFlow::Continue(())
    }

    #[inline(always)]
    fn brackets(
        &mut self,
        base: usize,
        (open, close, colon): (u64, u64, u64),
        careful: bool,
    ) -> Step {
        let mut both = open | close;
        // Bits from here on.
        let mut rest = u64::MAX;
        while both != 0 {
            let bit = both & both.wrapping_neg();
            let below = bit - 1;
            if self.depth == MEMBERS {
                self.members(base, colon & below & rest, careful);
            }
            rest = !(below | bit);
            both ^= bit;
            let at = base + bit_number(bit);
            if open & bit != 0 {
                if self.depth == 2 {
                    self.begin(at)?;
                }
                self.depth += 1;
                continue;
            }
            self.depth -= 1;
            match self.depth {
                2 => self.end(base, at)?,
                1 => {
                    let whole = self.bytes.get(at) == Some(&b']') && self.only_between(at);
                    return ControlFlow::Break(whole.then_some(at + 1));
                }
                _ => {}
            }
        }
        if self.depth == MEMBERS {
            self.members(base, colon & rest, careful);
        }
        ControlFlow::Continue(())
    }

    /// True when nothing but commas and white space is between the last record and `at`.
    fn only_between(&self, at: usize) -> bool {
        let between = self.bytes.get(self.last..at).unwrap_or_default();
        between.iter().all(|byte| *byte == b',' || byte.is_ascii_whitespace())
    }

    fn begin(&mut self, at: usize) -> Step {
        if self.bytes.get(at) != Some(&b'{') || !self.only_between(at) {
            return OTHER;
        }
        self.record = Found { start: offset(at), ..Found::default() };
        ControlFlow::Continue(())
    }

    fn end(&mut self, base: usize, at: usize) -> Step {
        if self.bytes.get(at) != Some(&b'}') {
            return OTHER;
        }
        // So short that its caller has not been looked at.
        self.record.odd |= self.record.identity as usize > base;
        self.last = at + 1;
        self.record.end = offset(at + 1);
        if self.record.odd || !(self.pass)(&self.record) {
            self.into.found.push(self.record);
        }
        ControlFlow::Continue(())
    }

    /// Looks at the keys before the colons of a record's own members.
    #[inline(always)]
    fn members(&mut self, base: usize, mut colons: u64, careful: bool) {
        while colons != 0 {
            let at = base + colons.trailing_zeros() as usize;
            colons &= colons - 1;
            self.member(at, careful);
        }
    }

    #[inline(always)]
    fn member(&mut self, colon: usize, careful: bool) {
        let record = &mut self.record;
        record.identity_ended = record.identity != 0;
        let before = self.bytes.get(..colon).unwrap_or_default();
        // Two words and a quote. With less before it, it is the first key of all and none of ours.
        let Some(tail) = before.last_chunk::<17>() else {
            record.odd |= before.last() != Some(&b'"') || careful && has_escape(before);
            return;
        };
        if tail[16] != b'"' || careful && has_escape(before) {
            record.odd = true;
            return;
        }
        let (words, _) = tail.as_chunks::<8>();
        let [front, ending] = [words[0], words[1]].map(u64::from_le_bytes);
        let slot = match ending {
            word::TIME if front >> 48 == word::E => &mut record.time,
            word::SOURCE if front >> 32 == word::EVE => &mut record.source,
            word::CATEGORY if front >> 16 == word::EVENT => &mut record.category,
            word::IDENTITY if front >> 24 == word::USER => &mut record.identity,
            word::REGION if front >> 48 == word::A => &mut record.region,
            word::ACCOUNT if before.ends_with(b"\"recipientAccountId\"") => &mut record.account,
            _ => return,
        };
        record.odd |= *slot != 0;
        *slot = offset(colon + 1);
    }
}

impl<P: FnMut(&Found) -> bool> Walk<'_, P> {
    /// Looks at the keys before the colons of a block that has a part of a caller.
    #[inline(always)]
    fn callers(&mut self, base: usize, mut colons: u64, backslash: u64) {
        let record = &mut self.record;
        // Keys may be spelt with escapes.
        record.odd |= backslash != 0;
        while colons != 0 {
            let at = base + colons.trailing_zeros() as usize;
            colons &= colons - 1;
            let before = self.bytes.get(..at).unwrap_or_default();
            let Some(tail) = before.last_chunk::<5>() else { continue };
            let places = if tail == b"\"arn\"" {
                &mut record.arns
            } else if tail == b"alId\"" && before.ends_with(b"\"principalId\"") {
                &mut record.ids
            } else if tail[4] == b'"' {
                continue;
            } else {
                // White space before the colon: whatever the key is.
                record.odd = true;
                continue;
            };
            match places.iter_mut().find(|place| **place == 0) {
                Some(place) => *place = offset(at + 1),
                None => record.odd = true,
            }
        }
    }
}

/// The bytes of a block that are in strings, opening quotes included, and whether that is sure. Carried
/// from block to block: all ones within a string, and 1 where the next byte is escaped.
#[inline(always)]
fn strings(of: &Masks, carried: &mut (u64, u64), prefix_xor: &impl Fn(u64) -> u64) -> (u64, bool) {
    let mut quote = of.quote;
    if of.backslash | carried.1 != 0 {
        quote &= !escaped(of.backslash, &mut carried.1);
    }
    let in_string = prefix_xor(quote) ^ carried.0;
    carried.0 = (in_string.cast_signed() >> 63).cast_unsigned();
    // A raw line end in a string is no JSON: a value that was cut must not swallow what follows. Nor is a
    // backslash outside of one.
    (in_string, of.control & in_string | of.backslash & !in_string == 0)
}

/// The end of a container, `depth` deep at `from`, which is in no string.
pub(super) fn end_at_depth(bytes: &[u8], from: usize, depth: usize) -> End {
    #[cfg(target_arch = "x86_64")]
    if let Ok(end) = super::audited::end_by_avx2(bytes, from, depth) {
        return end;
    }
    end::end(bytes, from, depth, lanes::masks, lanes::prefix_xor)
}

/// The same with the instructions of newer machines.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,pclmulqdq,popcnt")]
pub(super) fn end_avx2(bytes: &[u8], from: usize, depth: usize) -> End {
    let masks = |block: &[u8; BLOCK]| lanes::avx2::masks(block);
    end::end(bytes, from, depth, masks, |bits| lanes::avx2::prefix_xor(bits))
}

/// How the keys that decide end, as words: one comparison each, and none of slices.
mod word {
    pub(super) const TIME: u64 = u64::from_le_bytes(*b"ventTime");
    pub(super) const SOURCE: u64 = u64::from_le_bytes(*b"ntSource");
    pub(super) const CATEGORY: u64 = u64::from_le_bytes(*b"Category");
    pub(super) const IDENTITY: u64 = u64::from_le_bytes(*b"Identity");
    pub(super) const ACCOUNT: u64 = u64::from_le_bytes(*b"ccountId");
    pub(super) const REGION: u64 = u64::from_le_bytes(*b"wsRegion");
    // And what stands before, from the quote on.
    pub(super) const E: u64 = u64::from_le_bytes(*b"\"e\0\0\0\0\0\0");
    pub(super) const EVE: u64 = u64::from_le_bytes(*b"\"eve\0\0\0\0");
    pub(super) const EVENT: u64 = u64::from_le_bytes(*b"\"event\0\0");
    pub(super) const USER: u64 = u64::from_le_bytes(*b"\"user\0\0\0");
    pub(super) const A: u64 = u64::from_le_bytes(*b"\"a\0\0\0\0\0\0");
}

/// Files are shorter than 4 GiB, which [`records`] has seen to.
#[inline]
fn offset(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}

#[inline]
fn bit_number(bit: u64) -> usize {
    bit.trailing_zeros() as usize
}

/// True when the key that ends here has an escape, or is too long to be one of ours without.
#[cold]
fn has_escape(before: &[u8]) -> bool {
    let key = before.strip_suffix(b"\"").unwrap_or(before);
    let near = key.get(key.len().saturating_sub(LONGEST_KEY)..).unwrap_or_default();
    match near.iter().rposition(|byte| *byte == b'"') {
        // A quote with a backslash before it is part of the key, and an escape.
        Some(quote) => near.get(quote.saturating_sub(1)..).unwrap_or_default().contains(&b'\\'),
        None => true,
    }
}

/// The bytes that a backslash before them escapes: every second one after the start of a run of
/// backslashes. Adding a run that starts at an odd place to itself carries past its end, which tells runs
/// of both kinds apart without looking at each.
#[inline(always)]
fn escaped(backslash: u64, carry: &mut u64) -> u64 {
    const EVEN: u64 = 0x5555_5555_5555_5555;
    // Of a backslash that is escaped itself nothing comes.
    let active = backslash & !*carry;
    let follows = active << 1 | *carry;
    let odd_starts = active & !EVEN & !follows;
    let (ends, over) = odd_starts.overflowing_add(active);
    *carry = u64::from(over);
    (EVEN ^ ends << 1) & follows
}

impl Found {
    /// The record itself.
    #[must_use]
    pub fn bytes<'a>(&self, file: &'a [u8]) -> &'a [u8] {
        file.get(self.start as usize..self.end as usize).unwrap_or_default()
    }

    /// `eventTime`; `None` when it is absent, no text, or has an escape.
    #[must_use]
    pub fn time<'a>(&self, file: &'a [u8]) -> Option<&'a [u8]> {
        self.text(file, self.time)
    }

    /// `eventSource`, in the same way.
    #[must_use]
    pub fn source<'a>(&self, file: &'a [u8]) -> Option<&'a [u8]> {
        self.text(file, self.source)
    }

    /// `eventCategory`; empty when it is absent.
    #[must_use]
    pub fn category<'a>(&self, file: &'a [u8]) -> Option<&'a [u8]> {
        if self.category == 0 { Some(b"") } else { self.text(file, self.category) }
    }

    /// `recipientAccountId` and `awsRegion`; empty when absent.
    #[must_use]
    pub fn account_and_region<'a>(&self, file: &'a [u8]) -> Option<(&'a [u8], &'a [u8])> {
        let text = |at| if at == 0 { Some(b"".as_slice()) } else { self.text(file, at) };
        Some((text(self.account)?, text(self.region)?))
    }

    /// The unique ids and ARNs within `userIdentity`, at whatever depth, and perhaps of what stands
    /// within 64 bytes of it; `None` for a value that is no text.
    pub fn callers<'a>(
        &self,
        file: &'a [u8],
    ) -> (impl Iterator<Item = Option<&'a [u8]>>, impl Iterator<Item = Option<&'a [u8]>>) {
        let texts = move |places: [u32; PLACES]| {
            let one = *self;
            places.into_iter().filter(|at| *at != 0).map(move |at| one.text(file, at))
        };
        (texts(self.ids), texts(self.arns))
    }

    fn text<'a>(&self, file: &'a [u8], at: u32) -> Option<&'a [u8]> {
        if at == 0 {
            return None;
        }
        let value = file.get(at as usize..self.end as usize)?.trim_ascii_start();
        let rest = value.strip_prefix(b"\"")?;
        let end = memchr2(b'"', b'\\', rest)?;
        (rest.get(end) == Some(&b'"')).then(|| rest.get(..end))?
    }
}

#[cfg(test)]
mod tests;
