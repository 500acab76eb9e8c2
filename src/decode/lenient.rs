//! Field types that accept whatever a log holds and keep what can be used.
//!
//! A field of an unexpected type must not cost the record: it reads as absent. Numbers and booleans
//! read as their text, because some exporters write account ids as numbers.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// Text, or empty when the value is no text, number or boolean.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Text<'a>(pub Cow<'a, str>);

impl Text<'_> {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Owned; empty when absent.
    #[must_use]
    pub fn to_owned(&self) -> String {
        self.0.clone().into_owned()
    }
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

/// A part that is read later, if at all; `None` where it is absent or `null`.
pub type Part<'a> = Option<&'a RawValue>;

/// Reads a part as `T`; the default where it is absent, of another shape, or broken.
#[must_use]
pub fn part<'a, T: Deserialize<'a> + Default>(part: Part<'a>) -> T {
    part.and_then(|raw| serde_json::from_str(raw.get()).ok()).unwrap_or_default()
}

/// Strings of an array; elements that are no text are left out.
#[must_use]
pub fn strings(raw: Part<'_>) -> Vec<String> {
    let list: Vec<Text<'_>> = part(raw);
    list.into_iter().map(|text| text.0.into_owned()).filter(|text| !text.is_empty()).collect()
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

/// A second chance for a record that a typed read refused: invalid UTF-8 is replaced and repeated
/// keys are settled (the last wins, as in every common parser).
///
/// # Errors
/// When the record is no JSON object even so.
pub fn repair(record: &[u8], error: &serde_json::Error) -> Result<String, Unread> {
    let failure = unread(record, error);
    if failure != Unread::Broken {
        return Err(failure);
    }
    let text = String::from_utf8_lossy(record);
    let value: serde_json::Value = serde_json::from_str(&text).map_err(|_| failure)?;
    serde_json::to_string(&value).map_err(|_| failure)
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
        let raw: &RawValue = serde_json::from_str(r#"{"a":1}"#).unwrap();
        assert!(strings(Some(raw)).is_empty());
        let raw: &RawValue = serde_json::from_str(r#"["x",1,null,{}]"#).unwrap();
        assert_eq!(strings(Some(raw)), ["x", "1"]);
    }

    #[test]
    fn repair_settles_what_can_be_settled() {
        let check = |record: &[u8], expected: Result<&str, Unread>| {
            #[derive(serde::Deserialize)]
            struct Strict {
                #[expect(dead_code, reason = "only its repetition matters")]
                a: String,
            }
            let error = serde_json::from_slice::<Strict>(record).err().unwrap();
            assert_eq!(repair(record, &error).as_deref(), expected.as_ref().copied());
        };
        check(br#"{"a":"1","a":"2"}"#, Ok(r#"{"a":"2"}"#));
        check(b"{\"a\":\"\xff\"}", Ok("{\"a\":\"\u{fffd}\"}"));
        check(br#"{"a":"1""#, Err(Unread::Cut));
        check(b"[1]", Err(Unread::NotAnObject));
        check(b"{\"a\":\"1\"}}", Err(Unread::Broken));
    }
}
