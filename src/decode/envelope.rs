//! The CloudWatch Logs subscription message around log lines.
//!
//! Source: <https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/SubscriptionFilters.html>.

use std::borrow::Cow;

use memchr::{memchr2, memmem};
use serde::Deserialize;

use super::find;
use super::lenient::{Part, Text, Unread, object, read_or_repair};
use super::split;

/// A subscription message; the log events are read one by one.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Envelope<'a, L = Part<'a>> {
    #[serde(borrow, default)]
    message_type: Text<'a>,
    #[serde(borrow, default)]
    owner: Text<'a>,
    #[serde(borrow, default)]
    log_group: Text<'a>,
    #[serde(borrow, default)]
    log_stream: Text<'a>,
    #[serde(default)]
    log_events: L,
}

/// One log line.
#[derive(Debug, Deserialize, Default)]
pub struct LogEvent<'a> {
    /// Epoch milliseconds.
    #[serde(borrow, default)]
    pub timestamp: Text<'a>,
    /// The line: JSON text in a JSON string, or already an object.
    #[serde(borrow, default)]
    pub message: Part<'a>,
}

/// What a message says of all its lines.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Head {
    /// `DATA_MESSAGE` or `CONTROL_MESSAGE`.
    pub message_type: String,
    /// Account that owns the log group.
    pub owner: String,
    /// `/aws/eks/CLUSTER/cluster`
    pub log_group: String,
    /// `kube-apiserver-audit-<hex>`
    pub log_stream: String,
}

/// A subscription message as CloudWatch Logs writes it, every line a text, without the escapes that the
/// lines were carried with. Kept for the next one: it makes no new memory then.
#[derive(Debug, Default)]
pub struct Unpacked {
    /// Of all lines, back to back; longer than they are.
    texts: Vec<u8>,
    lines: Vec<Place>,
}

/// Where a line is.
#[derive(Debug)]
struct Place {
    millis: i64,
    /// In the message, with all escapes, from behind its first quote to behind its last.
    from: usize,
    to: usize,
    /// Without escapes; `None` for one that was taken as it stood.
    text: Option<(usize, usize)>,
}

/// A line of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Line<'a> {
    /// Epoch milliseconds.
    pub millis: i64,
    /// Where its text is in the message with all escapes, from behind its first quote to behind its last.
    pub place: (usize, usize),
    /// The text; `None` for one that was taken as it stood.
    pub text: Option<&'a [u8]>,
}

/// How a message begins, and how its list does.
const DATA: &[u8] = b"{\"messageType\":\"DATA_MESSAGE\",";
const LINES: &[u8] = b"\"logEvents\":[";
/// What stands between is not longer.
const LONGEST_HEAD: usize = 4096;
/// Nor is a message, which Firehose bounds.
const LONGEST: usize = 4 << 20;

impl Unpacked {
    /// Unpacks the message that `bytes` begins with; returns what it says of its lines, and where it ends.
    /// `None` for anything out of the ordinary, for [`Envelope::read`] to make what it can of it.
    ///
    /// `take` is shown what follows the first quote of each line. It may take the line as it stands, and
    /// then says how long it is, the last quote included. Whatever it took counts only if the message does.
    pub fn message(
        &mut self,
        bytes: &[u8],
        mut take: impl FnMut(&Head, &[u8]) -> Option<usize>,
    ) -> Option<(Head, usize)> {
        self.lines.clear();
        if !bytes.starts_with(DATA) {
            return None;
        }
        let near = bytes.get(..bytes.len().min(LONGEST_HEAD))?;
        let first = memmem::find(near, LINES)? + LINES.len();
        // What stands before the list must be an object with nothing in its list.
        let empty = [bytes.get(..first)?, b"]}"].concat();
        let head: Envelope<'_, [(); 0]> = serde_json::from_slice(object(&empty).ok()?).ok()?;
        let head = head.head();
        // Each line is read on from where the last one ended, so nothing is looked for.
        let message = bytes.get(..bytes.len().min(LONGEST))?;
        let (mut at, mut used) = (first, 0);
        loop {
            let (millis, len) = before_text(message.get(at..)?)?;
            let from = at + len;
            let line = message.get(from..)?;
            if let Some(read) = take(&head, line) {
                at = from + read;
                self.lines.push(Place { millis, from, to: at, text: None });
            } else {
                let (end, read) = find::unescape(line, &mut self.texts, used)?;
                at = from + read;
                self.lines.push(Place { millis, from, to: at, text: Some((used, end)) });
                used = end;
            }
            match message.get(at..at + 2)? {
                b"}," => at += 2,
                b"}]" => break,
                _ => return None,
            }
        }
        if message.get(at + 2) != Some(&b'}') {
            return None;
        }
        simdutf8::basic::from_utf8(self.texts.get(..used)?).ok()?;
        Some((head, at + 3))
    }

    /// The lines of the last message, in order.
    pub fn lines(&self) -> impl Iterator<Item = Line<'_>> {
        let text = |(start, end)| self.texts.get(start..end).unwrap_or_default();
        self.lines.iter().map(move |line| Line {
            millis: line.millis,
            place: (line.from, line.to),
            text: line.text.map(text),
        })
    }
}

/// The time of the line that `line` begins with, and how much stands before the inside of its text.
fn before_text(line: &[u8]) -> Option<(i64, usize)> {
    let rest = line.strip_prefix(b"{\"id\":\"")?;
    let (id, rest) = rest.split_at_checked(memchr2(b'"', b'\\', rest)?)?;
    let rest = rest.strip_prefix(b"\",\"timestamp\":")?;
    let digits = rest.iter().position(|byte| !byte.is_ascii_digit()).filter(|len| *len < 18)?;
    let (time, rest) = rest.split_at_checked(digits).filter(|(time, _)| !time.starts_with(b"0"))?;
    let rest = rest.strip_prefix(b",\"message\":\"")?;
    let plain = id.iter().all(|byte| *byte >= b' ');
    let millis = time.iter().fold(0, |n: i64, digit| n * 10 + i64::from(digit - b'0'));
    (plain && !time.is_empty()).then_some((millis, line.len() - rest.len()))
}

impl<L> Envelope<'_, L> {
    fn head(&self) -> Head {
        let owned = |text: &Text<'_>| text.as_str().to_owned();
        Head {
            message_type: owned(&self.message_type),
            owner: owned(&self.owner),
            log_group: owned(&self.log_group),
            log_stream: owned(&self.log_stream),
        }
    }
}

impl Envelope<'_> {
    /// Reads a message and hands it to `then`.
    ///
    /// # Errors
    /// When it is no JSON object.
    pub fn read<R>(
        bytes: &[u8],
        mut then: impl FnMut(&Head, &Envelope<'_>) -> R,
    ) -> Result<R, Unread> {
        read_or_repair(bytes, |bytes| {
            serde_json::from_slice::<Envelope<'_>>(bytes).map(|it| then(&it.head(), &it))
        })
    }

    /// The log lines, each as JSON bytes with its time in epoch milliseconds; `Err` for an element
    /// that is none.
    pub fn log_events(&self) -> impl Iterator<Item = Result<(Cow<'_, [u8]>, Option<i64>), Unread>> {
        let array = self.log_events.map_or("", |raw| raw.get());
        split::elements(array.as_bytes()).map(|element| {
            let element = element.map_err(|_| Unread::Cut)?;
            let event: LogEvent<'_> =
                serde_json::from_slice(element).map_err(|_| Unread::Broken)?;
            let message = event.message.ok_or(Unread::NotAnObject)?.get();
            let line = if message.starts_with('"') {
                let text: String = serde_json::from_str(message).map_err(|_| Unread::Broken)?;
                Cow::Owned(text.into_bytes())
            } else {
                Cow::Borrowed(message.as_bytes())
            };
            Ok((line, event.timestamp.as_str().parse().ok()))
        })
    }
}

/// The cluster name in `/aws/eks/CLUSTER/cluster`.
#[must_use]
pub fn cluster_from_log_group(log_group: &str) -> Option<&str> {
    let name = log_group.strip_prefix("/aws/eks/")?.strip_suffix("/cluster")?;
    (!name.is_empty() && !name.contains('/')).then_some(name)
}
