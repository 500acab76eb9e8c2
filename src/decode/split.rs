//! Finds JSON values in bytes by counting quotes and brackets, exactly.
//!
//! Input: a buffer of values that follow each other with or without white space, commas or line
//! ends between them, or one array or object. Output: slices. Nothing recurses, so depth costs
//! nothing; what is inside a value is not checked here. A raw line end inside a string is no JSON,
//! so a value that was cut cannot swallow the lines after it. Source: RFC 8259 section 7.

use memchr::{memchr, memchr3};

use super::find::{self, End};

/// Where a value could not be ended: the buffer is cut or broken from this offset on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Broken {
    /// Offset of the value that does not end.
    pub at: usize,
}

/// The values of a buffer, one after the other.
#[derive(Debug, Clone)]
pub struct Values<'a> {
    bytes: &'a [u8],
    at: usize,
}

/// A part of an object that follows other parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Piece<'a> {
    /// An object or an array.
    Json(&'a [u8]),
    /// A line of text that is neither, without its end.
    Line(&'a [u8]),
    /// An object or array that does not end: the rest of its line, or of the buffer.
    Cut(&'a [u8]),
}

/// Cuts a whole object: JSON values and lines of text in any mix.
#[derive(Debug, Clone)]
pub struct Pieces<'a> {
    bytes: &'a [u8],
    at: usize,
    /// Set once a value did not end: from then on a value ends with its line, so that a thousand
    /// broken lines cost one pass and not a thousand.
    by_line: bool,
    /// Where the line ends that was looked at last. Firehose writes objects of one line and many
    /// values, so it is looked for once per line and only where it matters.
    line_end: usize,
}

/// The pieces of `bytes`.
#[must_use]
pub fn pieces(bytes: &[u8]) -> Pieces<'_> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    Pieces { bytes, at: 0, by_line: false, line_end: 0 }
}

impl<'a> Pieces<'a> {
    /// True once a value did not end: what is left is read line by line.
    #[must_use]
    pub fn is_broken(&self) -> bool {
        self.by_line
    }

    /// What is left, from the next piece on.
    pub fn rest(&mut self) -> &'a [u8] {
        while self.bytes.get(self.at).is_some_and(|b| b.is_ascii_whitespace() || *b == b',') {
            self.at += 1;
        }
        self.bytes.get(self.at..).unwrap_or_default()
    }

    /// Goes on behind so many bytes of what is left, which were pieces that somebody else has read.
    pub fn skip_bytes(&mut self, read: usize) {
        self.at += read;
    }

    /// From `start`, which is no line end, to the end of its line.
    fn line(&mut self, start: usize) -> &'a [u8] {
        let bytes = self.bytes;
        if self.line_end <= start {
            let rest = bytes.get(start..).unwrap_or_default();
            self.line_end = start + memchr(b'\n', rest).unwrap_or(rest.len());
        }
        bytes.get(start..self.line_end).unwrap_or_default()
    }
}

impl<'a> Iterator for Pieces<'a> {
    type Item = Piece<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        let rest = self.rest();
        let start = self.at;
        let first = *rest.first()?;
        if !matches!(first, b'{' | b'[') {
            let line = self.line(start);
            self.at = start + line.len();
            return Some(Piece::Line(line.trim_ascii_end()));
        }
        let within = if self.by_line { self.line(start) } else { rest };
        if let Some(end) = end_of_container(within, 0) {
            self.at = start + end;
            return Some(Piece::Json(rest.get(..end).unwrap_or_default()));
        }
        self.by_line = true;
        let line = self.line(start);
        if let Some(end) = end_of_container(line, 0) {
            self.at = start + end;
            return Some(Piece::Json(rest.get(..end).unwrap_or_default()));
        }
        self.at = start + line.len();
        Some(Piece::Cut(line))
    }
}

/// The object `bytes` as far as it goes: its whole members, closed with a brace. `None` when it has
/// none. For records that were cut at a size limit.
#[must_use]
pub fn whole_members(bytes: &[u8]) -> Option<Vec<u8>> {
    let start = bytes.iter().position(|b| !b.is_ascii_whitespace())?;
    let bytes = bytes.get(start..)?;
    if bytes.first() != Some(&b'{') {
        return None;
    }
    let mut members = members(bytes);
    let mut end = 0;
    while let Some((_, value)) = members.next() {
        let at = members.0.at;
        // A number or a word at the very end may have lost its tail.
        let may_be_cut =
            at >= members.0.bytes.len() && !matches!(value.last(), Some(b'"' | b'}' | b']'));
        if may_be_cut {
            break;
        }
        end = at;
    }
    let kept = members.0.bytes.get(..end).filter(|kept| !kept.is_empty())?;
    Some([b"{", kept, b"}"].concat())
}

/// Values at the top of `bytes`.
#[must_use]
pub fn values(bytes: &[u8]) -> Values<'_> {
    Values { bytes: bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes), at: 0 }
}

/// Elements of the array `bytes` (brackets included).
#[must_use]
pub fn elements(bytes: &[u8]) -> Values<'_> {
    let inner = bytes.strip_prefix(b"[").unwrap_or(bytes);
    Values { bytes: inner.strip_suffix(b"]").unwrap_or(inner), at: 0 }
}

impl<'a> Iterator for Values<'a> {
    type Item = Result<&'a [u8], Broken>;

    fn next(&mut self) -> Option<Self::Item> {
        while self.bytes.get(self.at).is_some_and(|b| b.is_ascii_whitespace() || *b == b',') {
            self.at += 1;
        }
        let start = self.at;
        let first = *self.bytes.get(start)?;
        let end = match first {
            b'{' | b'[' => end_of_container(self.bytes, start),
            b'"' => end_of_string(self.bytes, start),
            _ => Some(end_of_scalar(self.bytes, start)),
        };
        let Some(end) = end else {
            self.at = self.bytes.len();
            return Some(Err(Broken { at: start }));
        };
        self.at = end;
        Some(Ok(self.bytes.get(start..end).unwrap_or_default()))
    }
}

/// The members of an object, keys without quotes and as written (escapes are not resolved).
#[derive(Debug, Clone)]
pub struct Members<'a>(Values<'a>);

/// Members of the object `bytes` (braces included).
#[must_use]
pub fn members(bytes: &[u8]) -> Members<'_> {
    let inner = bytes.strip_prefix(b"{").unwrap_or(bytes);
    Members(Values { bytes: inner.strip_suffix(b"}").unwrap_or(inner), at: 0 })
}

impl<'a> Iterator for Members<'a> {
    type Item = (&'a [u8], &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let key = self.0.next()?.ok()?;
        let key = key.strip_prefix(b"\"")?.strip_suffix(b"\"")?;
        let (bytes, mut at) = (self.0.bytes, self.0.at);
        while bytes.get(at).is_some_and(u8::is_ascii_whitespace) {
            at += 1;
        }
        if bytes.get(at) != Some(&b':') {
            return None;
        }
        self.0.at = at + 1;
        Some((key, self.0.next()?.ok()?))
    }
}

fn end_of_string(bytes: &[u8], start: usize) -> Option<usize> {
    let mut at = start + 1;
    loop {
        at += memchr3(b'"', b'\\', b'\n', bytes.get(at..)?)?;
        match bytes.get(at) {
            Some(b'"') => return Some(at + 1),
            Some(b'\\') => at += 2,
            _ => return None,
        }
    }
}

/// What is longer is gone through by blocks.
const LONG: usize = 512;

fn end_of_container(bytes: &[u8], start: usize) -> Option<usize> {
    end_of(bytes, start, true)
}

fn end_of(bytes: &[u8], start: usize, mut by_blocks: bool) -> Option<usize> {
    let mut depth = 0_usize;
    let mut at = start;
    loop {
        if by_blocks && at - start >= LONG && depth > 0 {
            match find::end_at_depth(bytes, at, depth) {
                End::At(end) => return Some(end),
                End::Never => return None,
                End::Unclear => by_blocks = false,
            }
        }
        match *bytes.get(at)? {
            b'"' => {
                at = end_of_string(bytes, at)?;
                continue;
            }
            b'{' | b'[' => depth += 1,
            b'}' | b']' => {
                depth -= 1;
                if depth == 0 {
                    return Some(at + 1);
                }
            }
            _ => {}
        }
        at += 1;
    }
}

fn end_of_scalar(bytes: &[u8], start: usize) -> usize {
    let rest = bytes.get(start + 1..).unwrap_or_default();
    let len = rest
        .iter()
        .position(|b| {
            b.is_ascii_whitespace() || matches!(b, b',' | b'{' | b'[' | b'"' | b'}' | b']' | b':')
        })
        .unwrap_or(rest.len());
    start + 1 + len
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(bytes: &str, expected: &[&str]) {
        let got: Vec<String> = values(bytes.as_bytes())
            .map(|value| match value {
                Ok(value) => String::from_utf8_lossy(value).into_owned(),
                Err(broken) => format!("broken at {}", broken.at),
            })
            .collect();
        assert_eq!(got, expected, "{bytes}");
    }

    #[test]
    fn borders_are_exact() {
        check(r#"{"a":1}{"b":[2]}"#, &[r#"{"a":1}"#, r#"{"b":[2]}"#]);
        check("{}\n{}\r\n", &["{}", "{}"]);
        check("\u{feff}{}", &["{}"]);
        check(r#"{"a":"}{\"eventVersion\":\\"}{}"#, &[r#"{"a":"}{\"eventVersion\":\\"}"#, "{}"]);
        check("1 true \"x\\\"\" null", &["1", "true", "\"x\\\"\"", "null"]);
        check(r#"{"a":1}{"cut":"#, &[r#"{"a":1}"#, "broken at 7"]);
        check("", &[]);
        check("}x", &["}x"]);
    }

    fn check_pieces(bytes: &str, expected: &[&str]) {
        let got: Vec<String> = pieces(bytes.as_bytes())
            .map(|piece| {
                let (kind, bytes) = match piece {
                    Piece::Json(bytes) => ("json", bytes),
                    Piece::Line(bytes) => ("line", bytes),
                    Piece::Cut(bytes) => ("cut", bytes),
                };
                format!("{kind} {}", String::from_utf8_lossy(bytes))
            })
            .collect();
        assert_eq!(got, expected, "{bytes}");
    }

    #[test]
    fn a_cut_value_costs_its_line_and_no_other() {
        check_pieces("{}{}\n[1]", &["json {}", "json {}", "json [1]"]);
        check_pieces("{\n \"a\": [\n1]\n}\n{}", &["json {\n \"a\": [\n1]\n}", "json {}"]);
        check_pieces("{\"a\":\"x\n{}\n", &["cut {\"a\":\"x", "json {}"]);
        check_pieces("{\"a\":\n{}\n{", &["cut {\"a\":", "json {}", "cut {"]);
        check_pieces("Permission ok\r\n{}", &["line Permission ok", "json {}"]);
        check_pieces("t1 {\"a\":1}\nt2 {", &["line t1 {\"a\":1}", "line t2 {"]);
        check_pieces("\u{feff}{}", &["json {}"]);
        check_pieces("", &[]);
        check_pieces(" \n,", &[]);
    }

    #[test]
    fn a_cut_object_keeps_its_whole_members() {
        let check = |bytes: &str, expected: Option<&str>| {
            let got = whole_members(bytes.as_bytes());
            let got = got.map(|got| String::from_utf8(got).unwrap());
            assert_eq!(got.as_deref(), expected, "{bytes}");
        };
        check(r#"{"a":1,"b":{"c":"#, Some(r#"{"a":1}"#));
        check(r#"{"a":"x","b":12"#, Some(r#"{"a":"x"}"#));
        check(r#"{"a":"x","b":12,"#, Some(r#"{"a":"x","b":12}"#));
        check(r#"{"a":"x","b"#, Some(r#"{"a":"x"}"#));
        check(r#"{"a":["x"]"#, Some(r#"{"a":["x"]}"#));
        check(r#" {"a":"x"#, None);
        check("{", None);
        check("[1", None);
        check("", None);
    }

    #[test]
    fn depth_costs_no_stack() {
        let deep = ["[".repeat(200_000), "]".repeat(200_000)].concat();
        check(&deep, &[&deep]);
        assert_eq!(elements(deep.as_bytes()).count(), 1);
    }

    #[test]
    fn members_of_an_object() {
        let got: Vec<_> = members(br#"{ "a" : {"b":1}, "c\"d":[2] ,"e":null}"#).collect();
        let expected: [(&[u8], &[u8]); 3] =
            [(b"a", br#"{"b":1}"#), (br#"c\"d"#, b"[2]"), (b"e", b"null")];
        assert_eq!(got, expected);
        assert_eq!(members(b"{}").count(), 0);
        assert_eq!(members(b"{\"a\" 1}").count(), 0);
    }

    fn json() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            Just(serde_json::Value::Null),
            any::<bool>().prop_map(Into::into),
            any::<i32>().prop_map(Into::into),
            "[a-z\"\\\\{}\\[\\],:\u{7f}é\n]{0,8}".prop_map(Into::into),
        ];
        leaf.prop_recursive(4, 32, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Into::into),
                prop::collection::btree_map("[a-z\"{]{0,3}", inner, 0..4)
                    .prop_map(|map| serde_json::Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn blocks_end_where_bytes_do(bytes in prop::collection::vec(
            prop::sample::select(b"{}[]\",:\\a \n\t{}\"\"xxxx".to_vec()), 0..400), pad in 500_usize..600) {
            let text = ["{\"a\":\"", &"x".repeat(pad), "\",\"b\":[\""].concat();
            for bytes in [bytes.clone(), bytes.into_iter().filter(|b| *b != b'\n').collect()] {
                let whole = [text.as_bytes(), &bytes, b"\"]}", &bytes].concat();
                prop_assert_eq!(end_of(&whole, 0, true), end_of(&whole, 0, false));
            }
        }

        #[test]
        fn agrees_with_a_real_parser(all in prop::collection::vec(json(), 0..6), pretty: bool) {
            let write = |value: &serde_json::Value| {
                if pretty { serde_json::to_string_pretty(value) } else { serde_json::to_string(value) }
            };
            let texts: Vec<String> = all.iter().map(|value| write(value).unwrap()).collect();
            let joined = texts.join("\n");
            let got: Vec<String> = values(joined.as_bytes())
                .map(|value| String::from_utf8(value.unwrap().to_vec()).unwrap())
                .collect();
            prop_assert_eq!(got, texts);
        }

        #[test]
        fn never_panics_and_always_ends(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let n = values(&bytes).count();
            prop_assert!(n <= bytes.len());
            prop_assert!(members(&bytes).count() <= bytes.len());
            prop_assert!(elements(&bytes).count() <= bytes.len());
            prop_assert!(pieces(&bytes).count() <= bytes.len());
            prop_assert!(whole_members(&bytes).is_none_or(|kept| kept.len() <= bytes.len() + 1));
        }
    }
}
