//! Field types that accept whatever a log holds and keep what can be used.
//!
//! A field of an unexpected type must not cost the record: it reads as absent. Numbers and booleans
//! read as their text, because some exporters write account ids as numbers.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::find::Members;
use crate::model::digest;

/// Longest text that is kept of a field, in bytes. No name, ARN, path or reason that AWS or
/// Kubernetes accepts comes near it; a forged record must not fill the memory.
pub const MAX_TEXT: usize = 8 * 1024;
/// Most elements that are kept of a list of texts.
pub const MAX_LIST: usize = 4096;

/// Text, or empty when the value is no text, number or boolean.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Text<'a>(pub Cow<'a, str>);

impl<'a> Text<'a> {
    /// A JSON string that has no escape; `None` for anything else.
    #[must_use]
    pub fn plain(json: &'a str) -> Option<Self> {
        let text = json.strip_prefix('"')?.strip_suffix('"')?;
        memchr::memchr2(b'"', b'\\', text.as_bytes()).is_none().then_some(Text(Cow::Borrowed(text)))
    }
}

impl<'a> Text<'a> {
    /// A JSON value as a field of its kind reads it; `None` for what is no JSON.
    #[must_use]
    pub fn read(json: &'a str) -> Option<Self> {
        // A number as JSON writes it, short enough to be one exactly.
        let is_number = matches!(json.as_bytes(), [b'1'..=b'9', rest @ ..] if rest.len() < 15 && rest.iter().all(u8::is_ascii_digit));
        if is_number {
            return Some(Text(Cow::Borrowed(json)));
        }
        Text::plain(json).or_else(|| serde_json::from_str(json).ok())
    }
}

impl Text<'_> {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Owned; empty when absent. Longer than [`MAX_TEXT`] it is cut and ends in a digest of the
    /// whole, so that two long texts stay two.
    #[must_use]
    pub fn to_owned(&self) -> String {
        self.bounded().into_owned()
    }

    /// The same, borrowed where it is not too long.
    #[must_use]
    pub fn bounded(&self) -> Cow<'_, str> {
        if self.0.len() <= MAX_TEXT { Cow::Borrowed(&self.0) } else { Cow::Owned(bounded(&self.0)) }
    }
}

fn bounded(text: &str) -> String {
    let mut end = MAX_TEXT / 2;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let whole = digest::hex(&digest::of_bytes(text.as_bytes()), 32);
    format!("{}…{whole}", text.get(..end).unwrap_or_default())
}

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(source: D) -> Result<Self, D::Error> {
        source.deserialize_any(TextVisitor)
    }
}

struct TextVisitor;

impl<'de> Visitor<'de> for TextVisitor {
    type Value = Text<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("anything")
    }
    fn visit_borrowed_str<E>(self, v: &'de str) -> Result<Self::Value, E> {
        Ok(Text(Cow::Borrowed(v)))
    }
    fn visit_str<E>(self, v: &str) -> Result<Self::Value, E> {
        Ok(Text(Cow::Owned(v.to_owned())))
    }
    fn visit_string<E>(self, v: String) -> Result<Self::Value, E> {
        Ok(Text(Cow::Owned(v)))
    }
    fn visit_bool<E>(self, v: bool) -> Result<Self::Value, E> {
        Ok(Text(Cow::Borrowed(if v { "true" } else { "false" })))
    }
    fn visit_i64<E>(self, v: i64) -> Result<Self::Value, E> {
        Ok(Text(Cow::Owned(v.to_string())))
    }
    fn visit_u64<E>(self, v: u64) -> Result<Self::Value, E> {
        Ok(Text(Cow::Owned(v.to_string())))
    }
    fn visit_f64<E>(self, v: f64) -> Result<Self::Value, E> {
        Ok(Text(Cow::Owned(v.to_string())))
    }
    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Text::default())
    }
    fn visit_none<E>(self) -> Result<Self::Value, E> {
        Ok(Text::default())
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Text::default())
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Text::default())
    }
}

/// JSON as it is written.
#[derive(Debug, Clone, Copy)]
pub struct Raw<'a>(&'a str);

impl<'a> Raw<'a> {
    /// What stands after a colon.
    #[must_use]
    pub fn part(text: &'a str) -> Part<'a> {
        (text != "null").then_some(Raw(text))
    }

    /// The text.
    #[must_use]
    pub fn get(self) -> &'a str {
        self.0
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Raw<'a> {
    fn deserialize<D: Deserializer<'de>>(source: D) -> Result<Self, D::Error> {
        <&RawValue>::deserialize(source).map(|raw| Raw(raw.get()))
    }
}

/// A part that is read later, if at all; `None` where it is absent or `null`.
pub type Part<'a> = Option<Raw<'a>>;

/// Reads a part as `T`; the default where it is absent, of another shape, or broken.
#[must_use]
pub fn part<'a, T: Deserialize<'a> + Default>(part: Part<'a>) -> T {
    part.and_then(|raw| serde_json::from_str(raw.get()).ok()).unwrap_or_default()
}

/// The same without a parser where that can be: `take` fills in a member as [`Members::each`] has it.
#[must_use]
pub fn part_by<'a, T: Deserialize<'a> + Default>(
    raw: Part<'a>,
    members: &mut Members,
    mut take: impl FnMut(&mut T, &'a str, &'a str) -> Option<Option<u32>>,
) -> T {
    let found = raw.and_then(|raw| {
        let mut all = T::default();
        members.each(raw.get(), |key, value| take(&mut all, key, value))?;
        Some(all)
    });
    found.unwrap_or_else(|| part(raw))
}

/// Fills in a text from its value; returns its number, or `None` for what is no JSON.
pub fn set<'a>(text: &mut Text<'a>, value: &'a str, n: u32) -> Option<u32> {
    *text = Text::read(value)?;
    Some(n)
}

/// The same for a part, which may be any value.
pub fn set_part<'a>(part: &mut Part<'a>, value: &'a str, n: u32) -> u32 {
    *part = Raw::part(value);
    n
}

/// Strings of an array; elements that are no text are left out.
#[must_use]
pub fn strings(raw: Part<'_>) -> Vec<String> {
    let list: Vec<Text<'_>> = part(raw);
    let texts = list.iter().filter(|text| !text.as_str().is_empty());
    texts.take(MAX_LIST).map(Text::to_owned).collect()
}

/// Why a record does not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unread {
    /// It is no JSON.
    Broken,
    /// It ends too early.
    Cut,
    /// It is JSON, but no object.
    NotAnObject,
}

/// The record, if it is an object: a struct would also read from an array.
///
/// # Errors
/// When it starts with anything but a brace.
pub fn object(record: &[u8]) -> Result<&[u8], Unread> {
    match record.iter().find(|b| !b.is_ascii_whitespace()) {
        Some(b'{') => Ok(record),
        Some(_) => Err(Unread::NotAnObject),
        None => Err(Unread::Cut),
    }
}

/// Classifies a parse error.
#[must_use]
pub fn unread(record: &[u8], error: &serde_json::Error) -> Unread {
    match object(record) {
        Err(other) => other,
        Ok(_) if error.is_eof() => Unread::Cut,
        Ok(_) => Unread::Broken,
    }
}

/// Reads a record with `read`; where it refuses, repairs what can be repaired and reads again.
/// First invalid UTF-8 and halves of surrogate pairs (left where a text was cut) are replaced, then
/// repeated keys are settled (the last wins, as in every common parser).
///
/// # Errors
/// When the record is no JSON object even so.
pub fn read_or_repair<R>(
    record: &[u8],
    mut read: impl FnMut(&[u8]) -> Result<R, serde_json::Error>,
) -> Result<R, Unread> {
    let failure = match read(object(record)?) {
        Ok(done) => return Ok(done),
        Err(error) => unread(record, &error),
    };
    if failure != Unread::Broken {
        return Err(failure);
    }
    let text = whole_pairs(&String::from_utf8_lossy(record));
    if let Ok(done) = read(text.as_bytes()) {
        return Ok(done);
    }
    let settled = settle_keys(&text).ok_or(failure)?;
    read(&settled).map_err(|_| failure)
}

/// The text with the replacement character for every escaped surrogate that has no partner.
fn whole_pairs(text: &str) -> String {
    const UNIT: usize = 6;
    let unit = |at: usize| {
        let digits = text.get(at..at + UNIT)?.strip_prefix("\\u")?;
        u16::from_str_radix(digits, 16).ok()
    };
    let mut out = String::with_capacity(text.len());
    let mut rest = 0;
    while let Some(found) = memchr::memchr(b'\\', text.as_bytes().get(rest..).unwrap_or_default()) {
        let at = rest + found;
        out.push_str(text.get(rest..at).unwrap_or_default());
        let (kept, len) = match (unit(at), unit(at + UNIT)) {
            (Some(0xD800..=0xDBFF), Some(0xDC00..=0xDFFF)) => (true, 2 * UNIT),
            (Some(0xD800..=0xDFFF), _) => (false, UNIT),
            // The escaped character may be a backslash; whatever it is, it is not the next escape.
            _ => (
                true,
                1 + text.get(at + 1..).and_then(|t| t.chars().next()).map_or(0, char::len_utf8),
            ),
        };
        let escape = text.get(at..at + len).unwrap_or_default();
        out.push_str(if kept { escape } else { "\\ufffd" });
        rest = at + len;
    }
    out.push_str(text.get(rest..).unwrap_or_default());
    out
}

/// The object with each key of its top level once; `None` when none is repeated.
fn settle_keys(text: &str) -> Option<Vec<u8>> {
    let mut kept: BTreeMap<&[u8], &[u8]> = BTreeMap::new();
    let mut n = 0_usize;
    for (key, value) in super::split::members(text.trim_ascii().as_bytes()) {
        kept.insert(key, value);
        n += 1;
    }
    if n == kept.len() {
        return None;
    }
    let mut out = vec![b'{'];
    for (key, value) in kept {
        if out.len() > 1 {
            out.push(b',');
        }
        out.extend_from_slice(b"\"");
        out.extend_from_slice(key);
        out.extend_from_slice(b"\":");
        out.extend_from_slice(value);
    }
    out.push(b'}');
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_takes_anything() {
        let check = |json: &str, expected: &str| {
            let text: Text<'_> = serde_json::from_str(json).unwrap();
            assert_eq!(text.as_str(), expected, "{json}");
        };
        check(r#""a\nb""#, "a\nb");
        check("12", "12");
        check("888888888888888888888888", "888888888888888900000000");
        check("true", "true");
        check("null", "");
        check(r#"{"a":[1,{"b":2}]}"#, "");
        check("[1,[2]]", "");
    }

    #[test]
    fn parts_of_another_shape_are_absent() {
        let raw: Raw<'_> = serde_json::from_str(r#"{"a":1}"#).unwrap();
        assert!(strings(Some(raw)).is_empty());
        let raw: Raw<'_> = serde_json::from_str(r#"["x",1,null,{}]"#).unwrap();
        assert_eq!(strings(Some(raw)), ["x", "1"]);
    }

    #[test]
    fn repair_settles_what_can_be_settled() {
        let check = |record: &[u8], expected: Result<&str, Unread>| {
            #[derive(serde::Deserialize)]
            struct Strict {
                a: String,
            }
            let got = read_or_repair(record, |bytes| {
                serde_json::from_slice::<Strict>(bytes).map(|strict| strict.a)
            });
            assert_eq!(got.as_deref(), expected.as_ref().copied());
        };
        check(br#"{"a":"1"}"#, Ok("1"));
        check(br#"{"a":"1","a":"2"}"#, Ok("2"));
        check(b" \r\n{\"a\":\"1\",\"a\":\"2\"} ", Ok("2"));
        check(br#"{"a":"\ud800"}"#, Ok("\u{fffd}"));
        check(br#"{"a":"\ud83d\ude00\ud83dx\\ud800"}"#, Ok("\u{1f600}\u{fffd}x\\ud800"));
        check(b"{\"a\":\"\xff\"}", Ok("\u{fffd}"));
        check(br#"{"a":"1""#, Err(Unread::Cut));
        check(b"[1]", Err(Unread::NotAnObject));
        check(b"{\"a\":\"1\"}}", Err(Unread::Broken));
        let deep =
            format!(r#"{{"a":"1","a":"2","b":{}{}}}"#, "[".repeat(200_000), "]".repeat(200_000));
        check(deep.as_bytes(), Ok("2"));
    }

    #[test]
    fn long_texts_are_cut_and_stay_apart() {
        let of = |c: &str| Text(Cow::Owned(c.repeat(100_000))).to_owned();
        assert!(of("é").len() < MAX_TEXT);
        assert_ne!(of("a"), of("aa"));
        let many = format!("[{}\"x\"]", "\"y\",".repeat(10_000));
        let raw: Raw<'_> = serde_json::from_str(&many).unwrap();
        assert_eq!(strings(Some(raw)).len(), MAX_LIST);
    }
}
