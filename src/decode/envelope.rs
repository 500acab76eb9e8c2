//! The CloudWatch Logs subscription message around log lines.
//!
//! Source: <https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/SubscriptionFilters.html>.

use std::borrow::Cow;

use serde::Deserialize;

use super::lenient::{Part, Text, Unread, object, read_or_repair};
use super::split;

/// A subscription message; the log events are read one by one, unless all are of one kind.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Envelope<'a, L = Part<'a>> {
    /// `DATA_MESSAGE` or `CONTROL_MESSAGE`.
    #[serde(borrow, default)]
    pub message_type: Text<'a>,
    /// Account that owns the log group.
    #[serde(borrow, default)]
    pub owner: Text<'a>,
    /// `/aws/eks/CLUSTER/cluster`
    #[serde(borrow, default)]
    pub log_group: Text<'a>,
    /// `kube-apiserver-audit-<hex>`
    #[serde(borrow, default)]
    pub log_stream: Text<'a>,
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

/// A subscription message as CloudWatch Logs writes it: every line is a text.
pub type Message<'a> = Envelope<'a, Vec<Line<'a>>>;

/// One log line that is a text.
#[derive(Debug, Deserialize)]
pub struct Line<'a> {
    /// Epoch milliseconds.
    #[serde(borrow, default)]
    pub timestamp: Text<'a>,
    /// Without the escapes that it was carried with.
    #[serde(borrow)]
    pub message: Cow<'a, str>,
}

impl<'a> Message<'a> {
    /// Reads a message in one pass; `None` for any that is out of the ordinary, for [`Envelope::read`] to
    /// make what it can of it.
    #[must_use]
    pub fn of_texts(bytes: &'a [u8]) -> Option<Self> {
        serde_json::from_slice(object(bytes).ok()?).ok()
    }

    /// In order.
    #[must_use]
    pub fn lines(&self) -> &[Line<'a>] {
        &self.log_events
    }
}

impl Envelope<'_> {
    /// Reads a message and hands it to `then`.
    ///
    /// # Errors
    /// When it is no JSON object.
    pub fn read<R>(bytes: &[u8], mut then: impl FnMut(&Envelope<'_>) -> R) -> Result<R, Unread> {
        read_or_repair(bytes, |bytes| {
            serde_json::from_slice::<Envelope<'_>>(bytes).map(|it| then(&it))
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
