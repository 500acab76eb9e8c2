//! Counters that partition the input: `seen = kept + filtered + rejected[reason]`.
//!
//! Every worker keeps one [`Tally`]; merging commutes, so the sum does not depend on threads.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

/// Longest example kept of a rejected thing, in characters after escaping.
pub const EXAMPLE_CHARS: usize = 200;

/// What is being counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stream {
    /// Objects of any kind, as listed.
    Objects,
    /// CloudTrail records.
    CloudTrail,
    /// Kubernetes audit events.
    Audit,
    /// Lines of the EKS authenticator.
    Authenticator,
}

impl Stream {
    /// The name in tables and summaries.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Stream::Objects => "objects",
            Stream::CloudTrail => "cloudtrail",
            Stream::Audit => "audit",
            Stream::Authenticator => "authenticator",
        }
    }
}

/// Why something that should have counted does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// The object could not be read from where it is listed.
    Unreadable,
    /// The object has no byte.
    Empty,
    /// The gzip stream is broken or cut.
    BadGzip,
    /// The inflated size passes the cap.
    TooLarge,
    /// Not a log of any known shape.
    UnknownFormat,
    /// The JSON of an object or record is broken.
    BadJson,
    /// A record that is no JSON object.
    NotAnObject,
    /// A field that must be there is missing.
    MissingField,
    /// A field has another type than it must have.
    WrongType,
    /// A time that does not read.
    BadTime,
    /// A CloudWatch Logs entry cut at its size limit.
    Truncated,
    /// No single cluster can be named for an audit event.
    ClusterAmbiguous,
    /// The object is not what CloudTrail wrote.
    DigestMismatch,
}

impl Reason {
    /// The name in tables and summaries.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Reason::Unreadable => "unreadable",
            Reason::Empty => "empty",
            Reason::BadGzip => "bad_gzip",
            Reason::TooLarge => "too_large",
            Reason::UnknownFormat => "unknown_format",
            Reason::BadJson => "bad_json",
            Reason::NotAnObject => "not_an_object",
            Reason::MissingField => "missing_field",
            Reason::WrongType => "wrong_type",
            Reason::BadTime => "bad_time",
            Reason::Truncated => "truncated",
            Reason::ClusterAmbiguous => "cluster_ambiguous",
            Reason::DigestMismatch => "digest_mismatch",
        }
    }
}

/// Why something was left out on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Filter {
    /// A CloudTrail digest, insight or aggregated file.
    NotALog,
    /// A connectivity probe of CloudWatch Logs or S3.
    ControlMessage,
    /// A log group or stream that is not the audit log.
    OtherStream,
    /// A call by someone and to something that no grant is about.
    NotRelevant,
    /// Outside the window.
    OutsideWindow,
    /// Of a cluster that no inventory describes.
    OtherCluster,
}

impl Filter {
    /// The name in tables and summaries.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Filter::NotALog => "not_a_log",
            Filter::ControlMessage => "control_message",
            Filter::OtherStream => "other_stream",
            Filter::NotRelevant => "not_relevant",
            Filter::OutsideWindow => "outside_window",
            Filter::OtherCluster => "other_cluster",
        }
    }
}

/// Counts of one stream.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Counts {
    /// Everything met.
    pub seen: u64,
    /// Passed on.
    pub kept: u64,
    /// Left out on purpose, by why.
    pub filtered: BTreeMap<Filter, u64>,
    /// Should have counted, does not, by why.
    pub rejected: BTreeMap<Reason, u64>,
    /// Of those passed on, how many were cut at a size limit and are known only in part.
    pub salvaged: u64,
}

impl Counts {
    /// True when the parts add up to what was seen.
    #[must_use]
    pub fn partitions(&self) -> bool {
        self.seen == self.kept + self.filtered_total() + self.rejected_total()
    }

    /// All rejects.
    #[must_use]
    pub fn rejected_total(&self) -> u64 {
        self.rejected.values().sum()
    }

    /// All that was left out on purpose.
    #[must_use]
    pub fn filtered_total(&self) -> u64 {
        self.filtered.values().sum()
    }
}

/// What was rejected of one object for one reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reject {
    /// How often.
    pub count: u64,
    /// The smallest of the examples met, bounded, control characters escaped.
    pub example: String,
}

/// All counters of a run or of a worker.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tally {
    /// Per stream.
    pub streams: BTreeMap<Stream, Counts>,
    /// Per object key and reason.
    pub rejects: BTreeMap<(String, Reason), Reject>,
    /// Objects of which an unknown number of records is lost: rejected whole, or from some byte on.
    pub damaged: BTreeSet<String>,
    /// Compressed bytes read.
    pub bytes_in: u64,
    /// Bytes after inflating.
    pub bytes_inflated: u64,
}

impl Tally {
    /// Something was met and is passed on.
    pub fn keep(&mut self, stream: Stream) {
        let counts = self.streams.entry(stream).or_default();
        counts.seen += 1;
        counts.kept += 1;
    }

    /// Something was met and is left out on purpose.
    pub fn filter(&mut self, stream: Stream, why: Filter) {
        self.filter_many(stream, why, 1);
    }

    /// The same, so often at once.
    pub fn filter_many(&mut self, stream: Stream, why: Filter, times: u64) {
        if times == 0 {
            return;
        }
        let counts = self.streams.entry(stream).or_default();
        counts.seen += times;
        *counts.filtered.entry(why).or_default() += times;
    }

    /// Something was met that should count and cannot. `example` is raw; it is escaped and cut here.
    pub fn reject(&mut self, stream: Stream, object: &str, why: Reason, example: &[u8]) {
        if stream == Stream::Objects {
            self.damage(object);
        }
        self.note_reject(stream, object, why, example);
    }

    /// An object among the logs that is no log: said, and nothing is lost with it.
    pub fn stray(&mut self, object: &str, example: &[u8]) {
        self.note_reject(Stream::Objects, object, Reason::UnknownFormat, example);
    }

    fn note_reject(&mut self, stream: Stream, object: &str, why: Reason, example: &[u8]) {
        let counts = self.streams.entry(stream).or_default();
        counts.seen += 1;
        *counts.rejected.entry(why).or_default() += 1;
        let example = example_from_bytes(example);
        self.add_reject(object.to_owned(), why, Reject { count: 1, example });
    }

    /// Some of what was just passed on is known only in part.
    pub fn salvage(&mut self, stream: Stream) {
        self.streams.entry(stream).or_default().salvaged += 1;
    }

    /// Forgets what rejected things looked like.
    pub fn hide_examples(&mut self) {
        for reject in self.rejects.values_mut() {
            reject.example.clear();
        }
    }

    /// An unknown number of records of this object is lost.
    pub fn damage(&mut self, object: &str) {
        if !self.damaged.contains(object) {
            self.damaged.insert(object.to_owned());
        }
    }

    /// Adds another tally. Commutes and associates.
    pub fn merge(&mut self, other: Tally) {
        for (stream, theirs) in other.streams {
            let ours = self.streams.entry(stream).or_default();
            ours.seen += theirs.seen;
            ours.kept += theirs.kept;
            ours.salvaged += theirs.salvaged;
            for (why, n) in theirs.filtered {
                *ours.filtered.entry(why).or_default() += n;
            }
            for (why, n) in theirs.rejected {
                *ours.rejected.entry(why).or_default() += n;
            }
        }
        for ((object, why), reject) in other.rejects {
            self.add_reject(object, why, reject);
        }
        self.damaged.extend(other.damaged);
        self.bytes_in += other.bytes_in;
        self.bytes_inflated += other.bytes_inflated;
    }

    /// True when every stream's parts add up.
    #[must_use]
    pub fn partitions(&self) -> bool {
        self.streams.values().all(Counts::partitions)
    }

    fn add_reject(&mut self, object: String, why: Reason, reject: Reject) {
        match self.rejects.entry((object, why)) {
            std::collections::btree_map::Entry::Vacant(slot) => {
                slot.insert(reject);
            }
            std::collections::btree_map::Entry::Occupied(mut slot) => {
                let ours = slot.get_mut();
                ours.count += reject.count;
                if reject.example < ours.example {
                    ours.example = reject.example;
                }
            }
        }
    }
}

/// Escapes and cuts hostile bytes so that they can be shown anywhere as one short line.
#[must_use]
pub fn example_from_bytes(bytes: &[u8]) -> String {
    let head = &bytes[..bytes.len().min(EXAMPLE_CHARS)];
    let mut out = String::with_capacity(head.len());
    for c in without_values(&String::from_utf8_lossy(head)).chars() {
        if c.is_control()
            || matches!(c, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
        {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
    }
    if bytes.len() > EXAMPLE_CHARS {
        out.push('…');
    }
    out
}

/// The text with the keys of JSON and without its strings: those may be tokens, or what a request held.
fn without_values(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        if c != '"' {
            out.push(c);
            continue;
        }
        let (mut string, mut closed) = (String::new(), false);
        while let Some(c) = chars.next() {
            if c == '"' {
                closed = true;
                break;
            }
            string.push(c);
            if c == '\\' {
                string.extend(chars.next());
            }
        }
        let mut space = String::new();
        while let Some(c) = chars.next_if(char::is_ascii_whitespace) {
            space.push(c);
        }
        let is_key = closed && chars.peek() == Some(&':');
        out.push('"');
        out.push_str(if is_key { &string } else { "…" });
        out.push('"');
        out.push_str(&space);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn merging_commutes_and_partitions() {
        let mut a = Tally::default();
        a.keep(Stream::Audit);
        a.reject(Stream::Audit, "k", Reason::BadJson, b"zz\x1b[31m");
        let mut b = Tally::default();
        b.filter(Stream::CloudTrail, Filter::NotRelevant);
        b.reject(Stream::Audit, "k", Reason::BadJson, b"aa");
        let mut ab = a.clone();
        ab.merge(b.clone());
        let mut ba = b;
        ba.merge(a);
        assert_eq!(ab, ba);
        assert!(ab.partitions());
        let reject = &ab.rejects[&("k".to_owned(), Reason::BadJson)];
        assert_eq!((reject.count, reject.example.as_str()), (2, "aa"));
    }

    #[test]
    fn examples_cannot_move_a_cursor() {
        assert_eq!(example_from_bytes(b"a\x1b[2Jb\n\xff"), "a\\u{1b}[2Jb\\n\u{fffd}");
        let record = br#"{"a": "se\"cret", "b": [1, "x"], "cut": "tok"#;
        assert_eq!(example_from_bytes(record), r#"{"a": "…", "b": [1, "…"], "cut": "…""#);
        assert_eq!(example_from_bytes(&[b'x'; 500]).chars().count(), EXAMPLE_CHARS + 1);
    }
}
