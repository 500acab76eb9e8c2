//! An audit event as the API server writes it, read where it stands: in a text of a CloudWatch Logs
//! message, escapes and all.
//!
//! Input: the inside of a JSON string. Output: the texts of the event, and as they are written the parts that come
//! again and again: who asked, how it ended, what the authorizer said. The members must come in the order of the API
//! server's `Event` type, each text must be plain; everything else is for [`super::audit`], bodies of
//! requests included. Where parts end is guessed from what follows, and nothing is made of a guess: only
//! parts that were the very parts of another event ([`Quoted::is`]) tell anything of this one, since then
//! all that differs is plain texts in the same places.
//! Source: <https://kubernetes.io/docs/reference/config-api/apiserver-audit.v1/>.

use std::borrow::Cow;
use std::sync::LazyLock;

use memchr::memmem::Finder;

use super::audit::{Event, ObjectRef};

/// The texts, which are ASCII, and the parts of one event; absent texts are empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quoted<'a> {
    /// Chosen by the client if it wants to.
    pub audit_id: &'a [u8],
    /// Stage.
    pub stage: &'a [u8],
    /// Path and query.
    pub request_uri: Cow<'a, [u8]>,
    /// Verb.
    pub verb: &'a [u8],
    /// Who, as it is written.
    pub user: &'a [u8],
    /// Client.
    pub user_agent: &'a [u8],
    /// What, for resource requests.
    pub object: Object<'a>,
    /// How it ended, as it is written.
    pub status: &'a [u8],
    /// When it came in.
    pub received: &'a str,
    /// Notes, as they are written.
    pub annotations: &'a [u8],
    /// Bytes of the string, the last quote included.
    pub len: usize,
}

/// `objectRef`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Object<'a> {
    /// Plural.
    pub resource: &'a [u8],
    /// Namespace.
    pub namespace: &'a [u8],
    /// Name, also filled from the body of a create.
    pub name: &'a [u8],
    /// Absent for core.
    pub api_group: &'a [u8],
    /// `log`, `exec`, …
    pub subresource: &'a [u8],
}

/// A status without bodies behind it is shorter, and so is all that stands before the end of a caller
/// or of the notes.
const LONGEST_STATUS: usize = 512;
const LONGEST_PART: usize = 8 << 10;

/// What stands behind a part. Within a string of the event every quote has three backslashes before it.
static AFTER_USER: LazyLock<Finder<'static>> =
    LazyLock::new(|| Finder::new(br#",\"sourceIPs\":["#));
static AFTER_STATUS: LazyLock<Finder<'static>> =
    LazyLock::new(|| Finder::new(br#",\"requestReceivedTimestamp\":\""#));
static AFTER_NOTES: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"}}\""));

impl<'a> Quoted<'a> {
    /// Reads the event that `text` begins with; `None` for any that is not as described.
    #[must_use]
    pub fn read(text: &'a [u8]) -> Option<Self> {
        let mut walk = Walk { rest: text };
        walk.skip(br#"{\"kind\":\"Event\",\"apiVersion\":\"audit.k8s.io/v1\",\"level\":\""#)?;
        walk.plain()?;
        walk.skip(br#",\"auditID\":\""#)?;
        let audit_id = walk.plain()?;
        walk.skip(br#",\"stage\":\""#)?;
        let stage = walk.plain()?;
        walk.skip(br#",\"requestURI\":\""#)?;
        let request_uri = walk.uri()?;
        walk.skip(br#",\"verb\":\""#)?;
        let verb = walk.plain()?;
        walk.skip(br#",\"user\":"#)?;
        let user = walk.until(&AFTER_USER, LONGEST_PART)?;
        walk.addresses()?;
        walk.skip(br#",\"userAgent\":\""#)?;
        let user_agent = walk.plain()?;
        let object = match walk.skip(br#",\"objectRef\":{"#) {
            Some(()) => walk.object()?,
            None => Object::default(),
        };
        walk.skip(br#",\"responseStatus\":"#)?;
        let status = walk.until(&AFTER_STATUS, LONGEST_STATUS)?;
        let received = std::str::from_utf8(walk.plain()?).ok()?;
        walk.skip(br#",\"stageTimestamp\":\""#)?;
        walk.plain()?;
        walk.skip(br#",\"annotations\":"#)?;
        let notes = walk.rest;
        let brace = walk.until(&AFTER_NOTES, LONGEST_PART)?.len() + 1;
        let annotations = notes.get(..brace)?;
        let len = text.len() - walk.rest.len();
        Some(Quoted {
            audit_id,
            stage,
            request_uri,
            verb,
            user,
            user_agent,
            object,
            status,
            received,
            annotations,
            len,
        })
    }
}

impl Quoted<'_> {
    /// True when it is this event, text by text and part by part, and nothing beside it.
    #[must_use]
    pub fn is(&self, text: &[u8], event: &Event<'_>, object: &ObjectRef<'_>) -> bool {
        let texts = [
            (self.audit_id, &event.audit_id),
            (self.stage, &event.stage),
            (&self.request_uri, &event.request_uri),
            (self.verb, &event.verb),
            (self.user_agent, &event.user_agent),
            (self.received.as_bytes(), &event.request_received_timestamp),
            (self.object.resource, &object.resource),
            (self.object.namespace, &object.namespace),
            (self.object.name, &object.name),
            (self.object.api_group, &object.api_group),
            (self.object.subresource, &object.subresource),
        ];
        let parts = [
            (self.user, event.user),
            (self.status, event.response_status),
            (self.annotations, event.annotations),
        ];
        self.len == text.len()
            && texts.iter().all(|(one, other)| *one == other.as_str().as_bytes())
            && parts.iter().all(|(one, other)| other.is_some_and(|it| stands_for(one, it.get())))
    }
}

/// True when that is what `json` is written like within a string.
fn stands_for(quoted: &[u8], json: &str) -> bool {
    let mut quoted = quoted.iter();
    let same = json.bytes().all(|byte| {
        (!matches!(byte, b'"' | b'\\') || quoted.next() == Some(&b'\\'))
            && quoted.next() == Some(&byte)
    });
    same && quoted.next().is_none()
}

struct Walk<'a> {
    rest: &'a [u8],
}

impl<'a> Walk<'a> {
    /// Of a known length, so that comparing is a few instructions and no call.
    #[inline]
    fn skip<const N: usize>(&mut self, known: &[u8; N]) -> Option<()> {
        let (start, rest) = self.rest.split_first_chunk::<N>()?;
        (start == known).then(|| self.rest = rest)
    }

    /// What stands before a quote, which is skipped: plain texts alone.
    #[inline]
    fn plain(&mut self) -> Option<&'a [u8]> {
        let (text, rest) = self.rest.split_at_checked(plain_len(self.rest))?;
        self.rest = rest;
        self.skip(br#"\""#)?;
        Some(text)
    }

    /// A text in which the API server may have escaped what HTML would take for its own.
    fn uri(&mut self) -> Option<Cow<'a, [u8]>> {
        let whole = self.rest;
        let mut owned = Vec::new();
        loop {
            let (text, rest) = self.rest.split_at_checked(plain_len(self.rest))?;
            if let Some(rest) = rest.strip_prefix(br#"\""#) {
                self.rest = rest;
                if whole.len() - rest.len() == text.len() + 2 {
                    return Some(Cow::Borrowed(text));
                }
                owned.extend_from_slice(text);
                return Some(Cow::Owned(owned));
            }
            let (escape, rest) = rest.split_first_chunk::<7>()?;
            let meant = match escape {
                br"\\u0026" => b'&',
                br"\\u003c" => b'<',
                br"\\u003e" => b'>',
                _ => return None,
            };
            owned.extend_from_slice(text);
            owned.push(meant);
            self.rest = rest;
        }
    }

    /// What stands before `end`, which is skipped.
    fn until(&mut self, end: &Finder<'_>, longest: usize) -> Option<&'a [u8]> {
        let near = self.rest.get(..self.rest.len().min(longest))?;
        let at = end.find(near)?;
        let (part, rest) = self.rest.split_at_checked(at)?;
        self.rest = rest.get(end.needle().len()..)?;
        Some(part)
    }

    /// Behind the bracket of a list of plain texts, to its end.
    fn addresses(&mut self) -> Option<()> {
        loop {
            self.skip(br#"\""#)?;
            self.plain()?;
            if self.skip(b"]").is_some() {
                return Some(());
            }
            self.skip(b",")?;
        }
    }

    /// Behind the brace of `objectRef`, to its end.
    fn object(&mut self) -> Option<Object<'a>> {
        let mut object = Object::default();
        let (mut uid, mut version, mut revision) = (b"".as_slice(), b"".as_slice(), b"".as_slice());
        let ended = self.member(br#"\"resource\":\""#, &mut object.resource)?
            || self.member(br#"\"namespace\":\""#, &mut object.namespace)?
            || self.member(br#"\"name\":\""#, &mut object.name)?
            || self.member(br#"\"uid\":\""#, &mut uid)?
            || self.member(br#"\"apiGroup\":\""#, &mut object.api_group)?
            || self.member(br#"\"apiVersion\":\""#, &mut version)?
            || self.member(br#"\"resourceVersion\":\""#, &mut revision)?
            || self.member(br#"\"subresource\":\""#, &mut object.subresource)?;
        ended.then_some(object)
    }

    /// Takes a member if it is the next one; true when it is the last.
    #[inline]
    fn member<const N: usize>(&mut self, key: &[u8; N], text: &mut &'a [u8]) -> Option<bool> {
        if self.skip(key).is_none() {
            return Some(false);
        }
        *text = self.plain()?;
        if self.skip(b"}").is_some() {
            return Some(true);
        }
        self.skip(b",").map(|()| false)
    }
}

/// How many bytes at the start are printable ASCII and neither quote nor backslash.
fn plain_len(bytes: &[u8]) -> usize {
    const ONES: u64 = u64::MAX / 0xff;
    const TOPS: u64 = ONES << 7;
    // The lowest top bit that is set is that of the first byte that is meant; those above may be false.
    let below = |word: u64, limit: u8| word.wrapping_sub(ONES * u64::from(limit)) & !word;
    let same = |word: u64, byte: u8| below(word ^ (ONES * u64::from(byte)), 1);
    let (words, rest) = bytes.as_chunks::<8>();
    for (n, word) in words.iter().enumerate() {
        let word = u64::from_le_bytes(*word);
        let other = (word | below(word, b' ') | same(word, b'"') | same(word, b'\\')) & TOPS;
        if other != 0 {
            return 8 * n + other.trailing_zeros() as usize / 8;
        }
    }
    let other = |byte: &u8| !matches!(byte, b' '..=b'\x7f') || matches!(byte, b'"' | b'\\');
    8 * words.len() + rest.iter().position(other).unwrap_or(rest.len())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const EVENT: &str = r#"{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"Metadata","auditID":"1b40","stage":"ResponseComplete","requestURI":"/api/v1/pods?a=1\u0026b=2","verb":"get","user":{"username":"a\"b","extra":{"k":["v"]}},"sourceIPs":["10.0.0.1","::1"],"userAgent":"kubectl/v1 (x)","objectRef":{"resource":"pods","namespace":"n","name":"p","apiGroup":"g","apiVersion":"v1","subresource":"log"},"responseStatus":{"metadata":{},"code":200},"requestReceivedTimestamp":"2026-06-01T09:00:00.000001Z","stageTimestamp":"2026-06-01T09:00:01Z","annotations":{"authorization.k8s.io/decision":"allow","authorization.k8s.io/reason":"by \"x\""}}"#;

    /// As it stands in a message, with what follows.
    fn in_message(event: &str) -> String {
        format!("{}}},{{\"id\":\"2", serde_json::to_string(event).unwrap().get(1..).unwrap())
    }

    #[test]
    fn texts_and_parts_are_had_as_they_stand() {
        let text = in_message(EVENT);
        let read = Quoted::read(text.as_bytes()).unwrap();
        assert_eq!(read.audit_id, b"1b40");
        assert_eq!((read.stage, read.verb), (b"ResponseComplete".as_slice(), b"get".as_slice()));
        assert_eq!(*read.request_uri, *b"/api/v1/pods?a=1&b=2");
        assert_eq!(read.user_agent, b"kubectl/v1 (x)");
        assert_eq!(read.received, "2026-06-01T09:00:00.000001Z");
        let object = Object {
            resource: b"pods",
            namespace: b"n",
            name: b"p",
            api_group: b"g",
            subresource: b"log",
        };
        assert_eq!(read.object, object);
        assert_eq!(read.user, br#"{\"username\":\"a\\\"b\",\"extra\":{\"k\":[\"v\"]}}"#);
        assert_eq!(read.status, br#"{\"metadata\":{},\"code\":200}"#);
        assert!(read.annotations.ends_with(br#"\"by \\\"x\\\"\"}"#));
        assert_eq!(text.get(read.len..), Some("},{\"id\":\"2"));
    }

    #[test]
    fn all_else_is_for_a_parser() {
        let check = |from: &str, to: &str, reads: bool| {
            let event = EVENT.replacen(from, to, 1);
            assert_ne!(event, EVENT);
            assert_eq!(Quoted::read(in_message(&event).as_bytes()).is_some(), reads, "{from} {to}");
        };
        check(r#""verb":"get""#, r#""verb":"list""#, true);
        check(r#","subresource":"log""#, "", true);
        check(
            r#""objectRef":{"resource":"pods","namespace":"n","name":"p","apiGroup":"g","apiVersion":"v1","subresource":"log"},"#,
            "",
            true,
        );
        check(r"\u0026", r"\u003c", true);
        check(r#""verb":"get""#, r#""verb": "get""#, false);
        check(r#""verb":"get""#, r#""verb":"g\"et""#, false);
        check(r#""verb":"get""#, r#""verb":"gét""#, false);
        check(r#""verb":"get""#, r#""verb":7"#, false);
        check(r#""verb":"get","#, "", false);
        check(r#""verb":"get","#, r#""verb":"get","verb":"get","#, false);
        check(r#""user":"#, r#""impersonatedUser":{},"user":"#, false);
        check(r#""sourceIPs":"#, r#""impersonatedUser":{},"sourceIPs":"#, true); // a part of the caller, and never known
        check(r"\u0026", r"\u00e4", false);
        check(r"\u0026", r"\n", false);
        check(r#""namespace":"n","name":"p""#, r#""name":"p","namespace":"n""#, false);
        check(r#","annotations""#, r#","x":1,"annotations""#, false);
        check(
            r#""code":200}"#,
            &format!(r#""code":200}},"requestObject":{{"a":"{}"}}"#, "x".repeat(600)),
            false,
        );
        let text = in_message(EVENT);
        for end in 0..text.len() - "},{\"id\":\"2".len() {
            assert_eq!(Quoted::read(text.get(..end).unwrap().as_bytes()), None, "{end}");
        }
    }

    #[test]
    fn a_part_is_what_it_was_written_from() {
        for json in ["", "{}", r#"{"a":"b\"c\\"}"#, "é"] {
            let quoted = serde_json::to_string(json).unwrap();
            let quoted = quoted.get(1..quoted.len() - 1).unwrap();
            assert!(stands_for(quoted.as_bytes(), json), "{json}");
            assert!(!stands_for(format!("{quoted} ").as_bytes(), json), "{json}");
            assert!(!stands_for(quoted.as_bytes(), &format!("{json}x")), "{json}");
            assert_eq!(stands_for(json.as_bytes(), json), json == quoted, "{json}");
        }
    }

    proptest! {
        #[test]
        fn plain_ends_at_the_first_that_is_not(bytes in prop::collection::vec(prop_oneof![20 => b' '..=b'~', 1 => any::<u8>()], 0..60)) {
            let plain = |byte: &u8| (b' '..0x80).contains(byte) && *byte != b'"' && *byte != b'\\';
            prop_assert_eq!(plain_len(&bytes), bytes.iter().take_while(|byte| plain(byte)).count());
        }
    }
}
