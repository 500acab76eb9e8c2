//! A forwarder's record around one log line.
//!
//! Fluent Bit writes the line under `log`, Vector under `message`, Logs Insights under `@message`;
//! each as text or as an object it has already parsed. Where the line came from stands beside it
//! under names that differ by forwarder. What a container printed is never an audit event, however
//! much it looks like one: whoever runs a pod chooses its output. Sources:
//! <https://docs.fluentbit.io/manual/pipeline/filters/kubernetes>,
//! <https://vector.dev/docs/reference/configuration/sources/aws_kinesis_firehose/>,
//! <https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/CWL_AnalyzeLogData-discoverable-fields.html>.

use std::borrow::Cow;

use serde::Deserialize;

use super::lenient::{Part, Text};
use super::split;

/// A line and where it came from. Absent fields are empty.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Carried<'a> {
    /// The line: JSON or text.
    pub line: Cow<'a, [u8]>,
    /// Account that owns the log group.
    pub owner: Cow<'a, str>,
    /// Log group.
    pub log_group: Cow<'a, str>,
    /// Log stream.
    pub log_stream: Cow<'a, str>,
    /// When the line was logged: RFC 3339, epoch milliseconds, or as Logs Insights prints it.
    pub time: Cow<'a, str>,
    /// True when a container printed it.
    pub from_container: bool,
}

/// Reads a carrier; `None` when it holds no line.
#[must_use]
pub fn read(value: &[u8]) -> Option<Carried<'_>> {
    let mut carried = Carried::default();
    let mut found = false;
    for (key, part) in split::members(value) {
        match key {
            b"log" | b"message" | b"@message" => {
                carried.line = line(part)?;
                found = true;
            }
            b"kubernetes" => carried.from_container = true,
            b"stream" => {
                carried.from_container |= matches!(text(part).as_ref(), "stdout" | "stderr");
            }
            b"owner" | b"account" | b"accountId" | b"account_id" => carried.owner = text(part),
            b"logGroup" | b"log_group" | b"log_group_name" | b"logGroupName" | b"@logGroup" => {
                carried.log_group = text(part);
            }
            b"logStream" | b"log_stream" | b"log_stream_name" | b"logStreamName"
            | b"@logStream" => carried.log_stream = text(part),
            b"@log" => name_group(&mut carried, &text(part)),
            b"timestamp" | b"@timestamp" | b"time" => carried.time = text(part),
            _ => {}
        }
    }
    found.then_some(carried)
}

/// The rows of a Logs Insights answer; each is a list of fields and values.
pub fn insights_rows(rows: &[u8]) -> impl Iterator<Item = Option<Carried<'_>>> {
    split::elements(rows).map(|row| {
        let mut carried = Carried::default();
        let mut found = false;
        for cell in split::elements(row.ok()?) {
            let cell: Cell<'_> = serde_json::from_slice(cell.ok()?).ok()?;
            let value = cell.value.0;
            match cell.field.as_str() {
                "@message" => {
                    carried.line = owned_bytes(value);
                    found = true;
                }
                "@logStream" => carried.log_stream = value,
                "@log" => name_group(&mut carried, &value),
                "@timestamp" => carried.time = value,
                _ => {}
            }
        }
        found.then_some(carried)
    })
}

#[derive(Debug, Deserialize)]
struct Cell<'a> {
    #[serde(borrow, default)]
    field: Text<'a>,
    #[serde(borrow, default)]
    value: Text<'a>,
}

/// `@log` is `ACCOUNT:LOG-GROUP`.
fn name_group(carried: &mut Carried<'_>, log: &str) {
    if let Some((owner, group)) = log.split_once(':') {
        carried.owner = Cow::Owned(owner.to_owned());
        carried.log_group = Cow::Owned(group.to_owned());
    }
}

fn line(part: &[u8]) -> Option<Cow<'_, [u8]>> {
    match part.first()? {
        b'"' => Some(owned_bytes(string(part)?)),
        b'{' => Some(Cow::Borrowed(part)),
        _ => None,
    }
}

fn owned_bytes(text: Cow<'_, str>) -> Cow<'_, [u8]> {
    match text {
        Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
        Cow::Owned(text) => Cow::Owned(text.into_bytes()),
    }
}

fn string(part: &[u8]) -> Option<Cow<'_, str>> {
    let raw: Part<'_> = serde_json::from_slice(part).ok()?;
    serde_json::from_str::<Text<'_>>(raw?.get()).ok().map(|text| text.0)
}

fn text(part: &[u8]) -> Cow<'_, str> {
    string(part).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forwarders_name_things_differently() {
        let check = |value: &str, line: &str, group: &str, container: bool| {
            let got = read(value.as_bytes()).unwrap();
            assert_eq!(String::from_utf8_lossy(&got.line), line, "{value}");
            assert_eq!((got.log_group.as_ref(), got.from_container), (group, container), "{value}");
        };
        check(r#"{"log":"{\"a\":1}\n","log_group":"g"}"#, "{\"a\":1}\n", "g", false);
        check(r#"{"message":{"a":1},"logGroup":"g"}"#, r#"{"a":1}"#, "g", false);
        check(
            r#"{"@log":"1:/aws/eks/c/cluster","@message":"x"}"#,
            "x",
            "/aws/eks/c/cluster",
            false,
        );
        check(r#"{"log":"x","stream":"stdout"}"#, "x", "", true);
        check(r#"{"log":"x","kubernetes":{"pod_name":"p"}}"#, "x", "", true);
        assert_eq!(read(br#"{"log":3}"#), None);
        assert_eq!(read(b"{}"), None);
    }

    #[test]
    fn insights_answers() {
        let rows = br#"[[{"field":"@timestamp","value":"2026-01-01 00:00:00.000"},{"field":"@message","value":"m"},{"field":"@log","value":"1:g"}],[{"field":"count","value":"1"}],3]"#;
        let got: Vec<_> = insights_rows(rows).collect();
        assert_eq!(got.len(), 3);
        let first = got[0].as_ref().unwrap();
        assert_eq!((first.owner.as_ref(), first.log_group.as_ref()), ("1", "g"));
        assert!(got[1].is_none() && got[2].is_none());
    }
}
