//! Finds JSON values in bytes by counting quotes and brackets, exactly.
//!
//! Input: a buffer of values that follow each other with or without white space, commas or line
//! ends between them, or one array or object. Output: slices. Nothing recurses, so depth costs
//! nothing; what is inside a value is not checked here.

use memchr::memchr2;

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
        at += memchr2(b'"', b'\\', bytes.get(at..)?)?;
        if bytes.get(at) == Some(&b'"') {
            return Some(at + 1);
        }
        at += 2;
    }
}

fn end_of_container(bytes: &[u8], start: usize) -> Option<usize> {
    let mut depth = 0_usize;
    let mut at = start;
    loop {
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
        }
    }
}
