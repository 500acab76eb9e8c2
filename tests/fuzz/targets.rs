//! What every decoder must hold for any bytes: one function per target, panicking where it does not.
//!
//! Compiled twice: here under libFuzzer, and into `cargo test`, which runs the corpus and mutations of
//! it. Where an answer can be had another way (another parser, the inverse), it is compared; where not,
//! the target asserts that counters partition and slices stay inside.

use std::borrow::Cow;
use std::io::{Read, Write};
use std::sync::Arc;

use super::decode::gunzip::{GunzipError, Inflater, Limits};
use super::decode::lenient::{self, Unread};
use super::decode::quoted::Quoted;
use super::decode::split::{self, Piece};
use super::decode::{audit, authenticator, aws_auth, carrier, cloudtrail, envelope, find, sniff};
use super::extract::clusters::ClusterResolver;
use super::extract::{Batch, Context, Extractor};
use super::model::fact::Fact;
use super::model::time::{Micros, Window};
use serde_json::Value;
use serde_json::value::RawValue;

/// Takes any bytes.
pub(crate) type Target = fn(&[u8]);

/// By name; the seeds of each are in the folder of its name in `corpus/`.
pub(crate) const TARGETS: [(&str, Target); 13] = [
    ("gunzip", gunzip),
    ("split", split),
    ("find", find),
    ("sniff", sniff),
    ("lenient", lenient),
    ("carrier", carrier),
    ("envelope", envelope),
    ("authenticator", authenticator),
    ("audit", audit),
    ("quoted", quoted),
    ("cloudtrail", cloudtrail),
    ("aws_auth", aws_auth),
    ("object", object),
];

const CAP: u64 = 1 << 20;
const CLUSTER: &str = "arn:aws:eks:us-west-2:111122223333:cluster/prod";

/// Gzipped bytes inflate to themselves, a cap is a cap, and a lone member reads as flate2 reads it.
fn gunzip(bytes: &[u8]) {
    let limits = Limits { max_inflated: CAP };
    let mut inflater = Inflater::default();
    let got = inflater.inflate(bytes, limits).map(<[u8]>::to_vec);
    if !bytes.starts_with(&[0x1f, 0x8b]) {
        assert_eq!(got.as_deref(), Ok(bytes), "what is not compressed is handed on");
        assert_eq!(inflater.inflate(&gzip(bytes), limits), Ok(bytes), "the inverse");
        return;
    }
    let mut plain = Vec::new();
    let reader = flate2::read::MultiGzDecoder::new(bytes);
    let read = reader.take(CAP + 1).read_to_end(&mut plain);
    let small = plain.len() <= usize::try_from(CAP).expect("small");
    let layered = plain.starts_with(&[0x1f, 0x8b]);
    match got {
        Ok(got) => {
            assert!(got.len() <= usize::try_from(CAP).expect("small"));
            // Padding after the last member is ours to tolerate.
            assert!(layered || read.is_err() || got == plain);
        }
        // Of a member that is large and broken, either may be seen first.
        Err(GunzipError::TooLarge) => assert!(!small || layered || read.is_err()),
        Err(GunzipError::Broken) => assert!(read.is_err() || !small || layered),
    }
}

/// What is found is what the general way finds, and members are those that it reads.
fn find(bytes: &[u8]) {
    let file = [b"{\"Records\":[{\"a\":", bytes, b"}]}"].concat();
    for file in [bytes, &file] {
        let mut records = find::Records::default();
        if !find::records(file, &mut records, |_| false) {
            continue;
        }
        let mut pieces = split::pieces(file);
        let Some(Piece::Json(whole)) = pieces.next() else { panic!("no value") };
        assert_eq!(pieces.next(), None);
        let list = split::members(whole).next().map(|(_, list)| list).expect("a list");
        let expected: Vec<&[u8]> = split::elements(list).map(|one| one.expect("whole")).collect();
        let got: Vec<&[u8]> = records.found.iter().map(|one| one.bytes(file)).collect();
        assert_eq!(got, expected);
        for one in records.found.iter().filter(|one| !one.odd) {
            let read = serde_json::from_slice::<Value>(one.bytes(file));
            if read.is_ok() {
                let mut members = find::Members::default();
                let text = std::str::from_utf8(one.bytes(file)).expect("JSON is text");
                let mut got = Vec::new();
                let read = members.each(text, |key, value| {
                    got.push((key.as_bytes(), value.as_bytes()));
                    Some(None)
                });
                assert!(read.is_some(), "not odd");
                let expected: Vec<_> = split::members(one.bytes(file)).collect();
                assert_eq!(got, expected);
            }
        }
    }
}

/// Pieces lie in order, cover all but separators, and agree with a parser wherever it has an answer.
fn split(bytes: &[u8]) {
    let mut at = bytes.as_ptr() as usize;
    let end = at + bytes.len();
    let start = at;
    for piece in split::pieces(bytes) {
        let (Piece::Json(part) | Piece::Line(part) | Piece::Cut(part)) = piece;
        let from = part.as_ptr() as usize;
        assert!(at <= from && from + part.len() <= end, "in order and inside");
        separators(&bytes[at - start..from - start]);
        at = from + part.len();
        if let Piece::Json(part) = piece {
            assert!(part.starts_with(b"{") || part.starts_with(b"["));
        }
    }
    separators(&bytes[at - start..]);

    let trimmed = bytes.trim_ascii();
    if let Ok(list) = serde_json::from_slice::<Vec<&RawValue>>(trimmed) {
        let got: Vec<&[u8]> =
            split::elements(trimmed).map(|element| element.expect("an element")).collect();
        let expected: Vec<&[u8]> = list.iter().map(|raw| raw.get().as_bytes()).collect();
        assert_eq!(got, expected);
        assert_eq!(split::pieces(trimmed).next(), Some(Piece::Json(trimmed)));
    }
    if trimmed.starts_with(b"{") && serde_json::from_slice::<&RawValue>(trimmed).is_ok() {
        assert_eq!(split::pieces(trimmed).next(), Some(Piece::Json(trimmed)));
        for (key, value) in split::members(trimmed) {
            let quoted = [b"\"", key, b"\""].concat();
            serde_json::from_slice::<&RawValue>(&quoted).expect("a key");
            serde_json::from_slice::<&RawValue>(value).expect("a value");
        }
        // However it is cut, what is saved of it is JSON.
        for cut in 1..trimmed.len().min(400) {
            if let Some(saved) = split::whole_members(&trimmed[..cut]) {
                serde_json::from_slice::<&RawValue>(&saved).expect("what was saved");
            }
        }
    } else if let Some(saved) = split::whole_members(bytes) {
        assert!(saved.len() <= bytes.len() + 2);
    }
}

fn separators(between: &[u8]) {
    let between = between.strip_prefix(b"\xef\xbb\xbf").unwrap_or(between);
    assert!(between.iter().all(|b| b.is_ascii_whitespace() || *b == b','), "{between:?}");
}

/// The part that a kind names is a part of the value.
fn sniff(bytes: &[u8]) {
    use sniff::Kind as K;
    match sniff::kind(bytes) {
        K::CloudTrailFile(part)
        | K::CloudTrailRecord(part)
        | K::CloudTrailText(part)
        | K::LookupEvents(part)
        | K::CloudWatchMessage(part)
        | K::AuditEvent(part)
        | K::AuditEventList(part)
        | K::Array(part)
        | K::Carrier(part)
        | K::InsightsRows(part) => assert!(
            bytes.as_ptr_range().start <= part.as_ptr()
                && part.as_ptr_range().end <= bytes.as_ptr_range().end
        ),
        K::NotALog | K::Unknown => {}
    }
}

/// Reading ends, whatever the repair has to do; what reads once reads again; nothing but an object does.
fn lenient(bytes: &[u8]) {
    let read = || {
        lenient::read_or_repair(bytes, |bytes| {
            serde_json::from_slice::<std::collections::BTreeMap<Cow<'_, str>, &RawValue>>(bytes)
                .map(|map| map.len())
        })
    };
    let got = read();
    assert_eq!(got, read());
    let is_object = serde_json::from_slice::<Value>(bytes).is_ok_and(|value| value.is_object());
    assert!(!is_object || got.is_ok(), "{got:?}");
    if got.is_ok() {
        assert_eq!(bytes.trim_ascii_start().first(), Some(&b'{'));
    }
    if let Ok(text) = std::str::from_utf8(bytes)
        && let Ok(raw) = serde_json::from_str::<&RawValue>(text)
    {
        if let Ok(mut list) = serde_json::from_str::<Vec<String>>(text) {
            let got = lenient::strings(lenient::Raw::part(raw.get()));
            list.retain(|text| !text.is_empty());
            list.truncate(got.len().max(16));
            assert_eq!(got, list);
        }
        ends(lenient::part::<lenient::Text<'_>>(lenient::Raw::part(raw.get())));
    }
}

/// A line comes out as it was put in.
fn carrier(bytes: &[u8]) {
    ends(carrier::read(bytes));
    assert!(carrier::insights_rows(bytes).count() <= bytes.len());
    let text = String::from_utf8_lossy(bytes);
    for key in ["log", "message", "@message"] {
        let carried =
            serde_json::json!({ "owner": "1", key: text, "stream": "stdout" }).to_string();
        let read = carrier::read(carried.as_bytes()).expect("a line");
        assert_eq!((read.line.as_ref(), read.owner.as_ref()), (text.as_bytes(), "1"));
        assert!(read.from_container);
    }
}

/// Lines come out as they were put in.
fn envelope(bytes: &[u8]) {
    unpacked(bytes);
    let text = String::from_utf8_lossy(bytes);
    let lines: Vec<&str> = text.split('\n').collect();
    let events: Vec<Value> =
        lines.iter().map(|line| serde_json::json!({ "timestamp": 5, "message": line })).collect();
    let message = serde_json::json!({ "owner": "1", "logGroup": text, "logEvents": events });
    // In the order of CloudWatch Logs.
    let [group, lines_of] = [serde_json::json!(text), serde_json::json!(events)];
    let ordered = format!(
        r#"{{"messageType":"DATA_MESSAGE","owner":"1","logGroup":{group},"logEvents":{lines_of}}}{{"#
    );
    unpacked(ordered.as_bytes());
    let got = envelope::Envelope::read(message.to_string().as_bytes(), |head, message| {
        assert_eq!(head.log_group, text);
        let lines = message.log_events().map(|line| line.expect("a line"));
        lines.map(|(line, at)| (line.into_owned(), at)).collect::<Vec<_>>()
    });
    let expected = lines.iter().map(|line| (line.as_bytes().to_vec(), Some(5))).collect();
    assert_eq!(got, Ok(expected));
    let named = envelope::cluster_from_log_group(&text).map(|n| format!("/aws/eks/{n}/cluster"));
    assert!(named.is_none_or(|group| group == text));
}

/// What is unpacked without a parser is what a parser makes of it.
fn unpacked(bytes: &[u8]) {
    let mut unpacked = envelope::Unpacked::default();
    let head = unpacked.message(bytes, |_, _| None);
    // What follows is somebody else's.
    let bytes = bytes.get(..head.as_ref().map_or(bytes.len(), |(_, end)| *end)).unwrap_or_default();
    let read = envelope::Envelope::read(bytes, |head, message| {
        let lines = message.log_events().map(|line| line.map(|(line, at)| (line.into_owned(), at)));
        (head.clone(), lines.collect::<Result<Vec<_>, _>>())
    });
    if let (Some((head, _)), Ok((of, Ok(lines)))) = (head, read) {
        assert_eq!(head, of);
        let got = unpacked
            .lines()
            .map(|line| (line.text.unwrap_or_default().to_vec(), Some(line.millis)));
        assert_eq!(got.collect::<Vec<_>>(), lines);
    }
}

/// Quoted values come out as they were put in.
fn authenticator(bytes: &[u8]) {
    ends(authenticator::read(bytes));
    let text = String::from_utf8_lossy(bytes);
    let quoted = text.replace('\\', "\\\\").replace('"', "\\\"");
    let line = format!("time=\"2026-10-05T09:20:00Z\" arn=\"{quoted}\" username=u");
    let read = authenticator::read(line.as_bytes()).expect("a line");
    assert_eq!((read.arn.as_ref(), read.username.as_ref()), (text.as_ref(), "u"));
}

/// Texts of an event are those that a general parser reads.
fn audit(bytes: &[u8]) {
    let got = audit::Event::read(bytes, |event| {
        ends(event.annotations());
        ends(lenient::part::<audit::User<'_>>(event.user));
        ends(lenient::part::<audit::ObjectRef<'_>>(event.object_ref));
        ends(lenient::part::<audit::ResponseStatus<'_>>(event.response_status));
        ends(lenient::part::<audit::Review<'_>>(event.request_object));
        ends(lenient::part::<audit::RbacBody<'_>>(event.request_object));
        found(bytes, event);
        [event.verb.to_owned(), event.stage.to_owned(), event.user_agent.to_owned()]
    });
    agrees(bytes, &got, ["verb", "stage", "userAgent"]);
}

/// An event that is read where it stands is, text by text, the one that a parser reads once it is taken out of
/// its escapes.
fn quoted(bytes: &[u8]) {
    ends(Quoted::read(bytes));
    let Ok(event) = std::str::from_utf8(bytes) else { return };
    let escaped = serde_json::to_string(event).expect("a string");
    let text = escaped.as_bytes().get(1..).expect("a quote");
    let (Some(read), Ok(value)) = (Quoted::read(text), serde_json::from_str::<Value>(event)) else {
        return;
    };
    let is =
        audit::Event::read(bytes, |event| read.is(text, event, &lenient::part(event.object_ref)));
    if is != Ok(true) {
        return;
    }
    let part = |quoted: &[u8]| {
        let text = [b"\"", quoted, b"\""].concat();
        let text: String = serde_json::from_slice(&text).expect("a string");
        serde_json::from_str::<Value>(&text).expect("a value")
    };
    assert_eq!(value["user"], part(read.user));
    assert_eq!(value["responseStatus"], part(read.status));
    assert_eq!(value["annotations"], part(read.annotations));
    let object = &value["objectRef"];
    for (of, name, text) in [
        (&value, "auditID", read.audit_id),
        (&value, "stage", read.stage),
        (&value, "requestURI", &read.request_uri),
        (&value, "verb", read.verb),
        (&value, "userAgent", read.user_agent),
        (&value, "requestReceivedTimestamp", read.received.as_bytes()),
        (object, "resource", read.object.resource),
        (object, "namespace", read.object.namespace),
        (object, "name", read.object.name),
        (object, "apiGroup", read.object.api_group),
        (object, "subresource", read.object.subresource),
    ] {
        assert_eq!(of[name].as_str().unwrap_or_default().as_bytes(), text, "{name}");
    }
}

/// What is found without a parser is what a parser reads.
fn found(bytes: &[u8], event: &audit::Event<'_>) {
    let [mut members, mut part] = <[find::Members; 2]>::default();
    let text = std::str::from_utf8(bytes).ok();
    let Some(found) = text.and_then(|text| audit::Event::find(text, &mut members)) else { return };
    // Parts with strings that only a parser can tell to be none are not looked into.
    if serde_json::from_slice::<Value>(bytes).is_ok() {
        assert_eq!(format!("{found:?}"), format!("{event:?}"));
        let object: audit::ObjectRef<'_> = lenient::part(event.object_ref);
        let status: audit::ResponseStatus<'_> = lenient::part(event.response_status);
        let of = audit::ObjectRef::of(found.object_ref, &mut part);
        assert_eq!(format!("{of:?}"), format!("{object:?}"));
        let of = audit::ResponseStatus::of(found.response_status, &mut part);
        assert_eq!(format!("{of:?}"), format!("{status:?}"));
    }
}

/// Texts of a record are those that a general parser reads.
fn cloudtrail(bytes: &[u8]) {
    let got = cloudtrail::Record::read(bytes, |record| {
        ends(cloudtrail::caller_of(record.user_identity));
        ends(lenient::part::<cloudtrail::AssumeRoleRequest<'_>>(record.request_parameters));
        ends(lenient::part::<cloudtrail::AssumeRoleAnswer<'_>>(record.response_elements));
        ends(lenient::part::<cloudtrail::EksRequest<'_>>(record.request_parameters));
        ends(lenient::part::<cloudtrail::EksAnswer<'_>>(record.response_elements));
        [record.event_id.to_owned(), record.event_name.to_owned(), record.event_time.to_owned()]
    });
    agrees(bytes, &got, ["eventID", "eventName", "eventTime"]);
}

/// Compares texts with those of a general parser, which settles repeated keys the same way.
fn agrees(bytes: &[u8], got: &Result<[String; 3], Unread>, keys: [&str; 3]) {
    let parsed = serde_json::from_slice::<Value>(bytes);
    if let Ok(Value::Object(map)) = &parsed {
        let Ok(got) = got else {
            // A key written in two ways, one of them escaped, is settled by refusing.
            assert!(bytes.contains(&b'\\'), "{got:?}");
            return;
        };
        for (key, got) in keys.iter().zip(got) {
            if let Some(Value::String(text)) = map.get(*key) {
                assert_eq!(got, text, "{key}");
            }
        }
    }
    assert!(!parsed.is_ok_and(|value| !value.is_object()) || got.is_err());
}

/// Rows that were written come out, with strange names as they are.
fn aws_auth(bytes: &[u8]) {
    let Ok(yaml) = std::str::from_utf8(bytes) else { return };
    let mut lost = 0;
    for key in ["rolearn", "userarn"] {
        for row in aws_auth::rows(yaml, key, &mut |_| lost += 1) {
            assert!(!row.arn.is_empty());
        }
    }
    let accounts = aws_auth::accounts(yaml, &mut |_| lost += 1);
    assert!(accounts.iter().all(|id| id.len() >= 12 && id.bytes().all(|b| b.is_ascii_digit())));
    // JSON is YAML, but for what JSON need not escape and YAML forbids.
    let refused = |c: char| {
        matches!(
            c,
            '\u{7f}'..='\u{9f}' | '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}'
        )
    };
    if yaml.contains(refused) {
        return;
    }
    let written = serde_json::json!([{ "rolearn": "r", "username": "u", "groups": ["g", yaml] }]);
    let rows = aws_auth::rows(&written.to_string(), "rolearn", &mut |why| panic!("{why}"));
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0].groups, ["g", yaml]);
}

/// An ordinary message.
const MESSAGE: &[u8] = include_bytes!("corpus/object/message");

/// Counters partition, reading twice gives the same, and compression changes nothing.
fn object(bytes: &[u8]) {
    let read = |bytes: &[u8]| {
        let mut batch = Batch::default();
        let mut facts = Vec::new();
        let mut extractor = extractor();
        extractor.object("native/x", bytes, &mut batch, &mut |fact| facts.push(fact.into_owned()));
        // What was met before is said again; what was met twice may not even be unpacked.
        for _ in 0..2 {
            let (mut more, mut other) = (Batch::default(), Vec::new());
            let mut take = |fact: Fact<'_>| other.push(fact.into_owned());
            extractor.object("native/x", bytes, &mut more, &mut take);
            assert_eq!(facts, other);
            assert_eq!(batch.tally.streams, more.tally.streams);
        }
        assert!(batch.tally.partitions(), "{:?}", batch.tally);
        batch.tally.bytes_in = 0;
        (format!("{facts:?}"), format!("{:?}", batch.tally.streams), batch.proofs)
    };
    let plain = read(bytes);
    // Nor does anything depend on what others said: of most seeds only a byte or two differs from these.
    let mut primed = extractor();
    for known in [MESSAGE; 3] {
        primed.object("native/y", known, &mut Batch::default(), &mut |_| {});
    }
    let (mut batch, mut facts) = (Batch::default(), Vec::new());
    primed.object("native/x", bytes, &mut batch, &mut |fact| facts.push(fact.into_owned()));
    let streams = format!("{:?}", batch.tally.streams);
    assert_eq!((&plain.0, &plain.1), (&format!("{facts:?}"), &streams));
    assert_eq!(plain.2, batch.proofs);
    let again = read(bytes);
    assert_eq!(plain.0, again.0);
    assert_eq!(plain.1, again.1);
    if !bytes.is_empty() && !bytes.starts_with(&[0x1f, 0x8b]) {
        let packed = read(&gzip(bytes));
        assert_eq!((plain.0, plain.1), (packed.0, packed.1));
        assert_eq!(format!("{:?}", plain.2), format!("{:?}", packed.2));
    }
}

fn extractor() -> Extractor {
    let at = |text: &str| Micros::parse(text).expect("a time");
    Extractor::new(Arc::new(Context {
        window: Window { since: at("2026-08-26T00:00:00Z"), until: at("2026-11-24T00:00:00Z") },
        relevant_ids: std::iter::once("AROACIDEPLOYER0000001".to_owned()).collect(),
        relevant_names: std::iter::empty().collect(),
        clusters: ClusterResolver::new(
            &[CLUSTER.to_owned()],
            &[("native/".to_owned(), CLUSTER.to_owned())],
        ),
        limits: Limits { max_inflated: CAP },
        hide_secret_names: false,
    }))
}

/// Takes what nothing can be compared with: that it was made at all is the test.
fn ends<T>(_: T) {}

/// Compresses.
pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    out.write_all(bytes).expect("memory");
    out.finish().expect("memory")
}
