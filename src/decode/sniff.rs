//! What a top-level JSON value is, by the keys it has.
//!
//! Input: one value of an object, as [`super::split`] cut it. Output: its kind. Names of
//! files and folders say nothing here. New export shapes get a variant and a line in [`kind`].

use super::split;

/// The shapes that are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind<'a> {
    /// A CloudTrail file: the `Records` array.
    CloudTrailFile(&'a [u8]),
    /// One CloudTrail record.
    CloudTrailRecord(&'a [u8]),
    /// A record that another service carries as JSON text: `lookup-events`.
    CloudTrailText(&'a [u8]),
    /// An answer of `lookup-events`: the `Events` array.
    LookupEvents(&'a [u8]),
    /// A CloudWatch Logs subscription message.
    CloudWatchMessage(&'a [u8]),
    /// One Kubernetes audit event.
    AuditEvent(&'a [u8]),
    /// A Kubernetes `EventList`: its `items`.
    AuditEventList(&'a [u8]),
    /// An array of any of these.
    Array(&'a [u8]),
    /// A forwarder's record around a log line: Fluent Bit, Vector, Logs Insights.
    Carrier(&'a [u8]),
    /// An answer of Logs Insights: rows of fields.
    InsightsRows(&'a [u8]),
    /// A CloudTrail digest, an event of another service, or a file that is known not to be a log.
    NotALog,
    /// None of these.
    Unknown,
}

/// Looks at the keys of `value`.
#[must_use]
pub fn kind(value: &[u8]) -> Kind<'_> {
    match value.first() {
        Some(b'[') => return Kind::Array(value),
        Some(b'{') => {}
        _ => return Kind::Unknown,
    }
    let mut is_digest = false;
    let mut is_audit = false;
    let mut is_carrier = false;
    let mut has_source = false;
    let mut has_name = false;
    for (key, part) in split::members(value) {
        match key {
            b"Records" if part.starts_with(b"[") => return Kind::CloudTrailFile(part),
            b"Events" if part.starts_with(b"[") => return Kind::LookupEvents(part),
            b"CloudTrailEvent" if part.starts_with(b"\"") => return Kind::CloudTrailText(part),
            b"messageType" | b"logEvents" => return Kind::CloudWatchMessage(value),
            b"detail" if part.starts_with(b"{") => return eventbridge(part),
            b"results" if part.starts_with(b"[[") || part == b"[]" => {
                return Kind::InsightsRows(part);
            }
            b"log" | b"message" | b"@message" if matches!(part.first(), Some(b'"' | b'{')) => {
                is_carrier = true;
            }
            b"items" if part.starts_with(b"[") && is_audit => return Kind::AuditEventList(part),
            b"auditID" | b"auditId" | b"AuditID" => return Kind::AuditEvent(value),
            b"apiVersion" if part.starts_with(b"\"audit.k8s.io/") => is_audit = true,
            b"kind" if matches!(part, b"\"EventList\"") => is_audit = true,
            b"eventSource" => has_source = true,
            b"eventName" | b"eventTime" => has_name = true,
            b"digestStartTime" | b"digestEndTime" | b"awsAccountId" => is_digest = true,
            _ => {}
        }
        if has_source && has_name {
            return Kind::CloudTrailRecord(value);
        }
    }
    if is_audit {
        Kind::AuditEvent(value)
    } else if is_carrier {
        Kind::Carrier(value)
    } else if has_source || has_name {
        Kind::CloudTrailRecord(value)
    } else if is_digest {
        Kind::NotALog
    } else {
        Kind::Unknown
    }
}

/// The `detail` of an EventBridge event: a CloudTrail record, or what another service says.
/// Source: <https://docs.aws.amazon.com/eventbridge/latest/ref/events-ref-aws-service-event-cloudtrail.html>.
fn eventbridge(detail: &[u8]) -> Kind<'_> {
    let is_record = split::members(detail).any(|(key, _)| key == b"eventSource");
    if is_record { Kind::CloudTrailRecord(detail) } else { Kind::NotALog }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(value: &str, expected: &str) {
        let got = match kind(value.as_bytes()) {
            Kind::CloudTrailFile(_) => "file",
            Kind::CloudTrailRecord(_) => "record",
            Kind::CloudTrailText(_) => "text",
            Kind::LookupEvents(_) => "lookup",
            Kind::CloudWatchMessage(_) => "cloudwatch",
            Kind::AuditEvent(_) => "audit",
            Kind::AuditEventList(_) => "audit list",
            Kind::Array(_) => "array",
            Kind::Carrier(_) => "carrier",
            Kind::InsightsRows(_) => "insights",
            Kind::NotALog => "not a log",
            Kind::Unknown => "unknown",
        };
        assert_eq!(got, expected, "{value}");
    }

    #[test]
    fn shapes_are_read_from_keys() {
        check(r#"{"Records":[]}"#, "file");
        check(r#"{"x":{"Records":1},"Records":[{}]}"#, "file");
        check(r#"{"eventVersion":"1.0","eventTime":"","eventSource":"s"}"#, "record");
        check(r#"[{"eventVersion":"1.0"}]"#, "array");
        check(r#"{"version":"0","detail-type":"x","detail":{"eventSource":"y"}}"#, "record");
        check(r#"{"version":"0","detail-type":"x","detail":{"state":"stopped"}}"#, "not a log");
        check(r#"{"log":"x","stream":"stdout"}"#, "carrier");
        check(r#"{"@timestamp":"t","@message":"{}"}"#, "carrier");
        check(r#"{"message":{"kind":"Event"}}"#, "carrier");
        check(r#"{"log":1}"#, "unknown");
        check(r#"{"results":[[{"field":"@message","value":"{}"}]]}"#, "insights");
        check(r#"{"kind":"Event","apiVersion":"audit.k8s.io/v1","message":"x"}"#, "audit");
        check(r#"{"Events":[]}"#, "lookup");
        check(r#"{"EventId":"e","CloudTrailEvent":"{}"}"#, "text");
        check(r#"{"messageType":"CONTROL_MESSAGE"}"#, "cloudwatch");
        check(r#"{"kind":"Event","apiVersion":"audit.k8s.io/v1","auditID":"a"}"#, "audit");
        check(r#"{"kind":"EventList","apiVersion":"audit.k8s.io/v1","items":[]}"#, "audit list");
        check(r#"{"awsAccountId":"1","digestStartTime":"t","logFiles":[]}"#, "not a log");
        check(r#"{"awsAccountId":"1"}"#, "not a log");
        check(r#"{"a":1}"#, "unknown");
        check("12", "unknown");
    }
}
