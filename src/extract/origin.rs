//! Where a line says it comes from.

use crate::decode::envelope::Head;
use crate::model::coverage::LogStream;
use crate::model::time::Micros;

pub(super) const AUDIT_STREAM: &str = "kube-apiserver-audit-";

/// Where a line says it comes from, beside the object's key.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Origin<'a> {
    pub(super) owner: Option<&'a str>,
    pub(super) log_group: Option<&'a str>,
    pub(super) log_stream: &'a str,
    /// When the line was logged.
    pub(super) logged_at: Option<Micros>,
}

impl<'a> Origin<'a> {
    /// What a message of CloudWatch Logs says of a line, which was logged then.
    pub(super) fn of(message: &'a Head, millis: Option<i64>) -> Self {
        Origin {
            owner: Some(&message.owner),
            log_group: Some(&message.log_group),
            log_stream: &message.log_stream,
            logged_at: millis.and_then(Micros::from_millis),
        }
    }
}

/// What delivers records: account and region of a trail, or cluster and stream of audit events.
#[derive(Debug, Clone, Copy)]
pub(super) enum Source<'a> {
    Trail(&'a str, &'a str),
    Audit(&'a str, &'a str),
}

impl Source<'_> {
    pub(super) fn stream(self) -> LogStream {
        match self {
            Source::Trail(account, region) => {
                LogStream::CloudTrail { account: account.to_owned(), region: region.to_owned() }
            }
            Source::Audit(cluster, stream) => {
                LogStream::Audit { cluster: cluster.to_owned(), stream: stream.to_owned() }
            }
        }
    }

    /// Whether [`stream`](Self::stream) would be that one.
    pub(super) fn is(self, other: &LogStream) -> bool {
        match (self, other) {
            (Source::Trail(of, at), LogStream::CloudTrail { account, region }) => {
                of == account && at == region
            }
            (Source::Audit(of, at), LogStream::Audit { cluster, stream }) => {
                of == cluster && at == stream
            }
            _ => false,
        }
    }
}

/// True for a control-plane stream that is not read: `kube-apiserver-`, `kube-scheduler-`, … The
/// audit stream's name starts like the API server's.
pub(super) fn is_other_stream(stream: &str) -> bool {
    let of_control_plane = [
        "kube-apiserver-",
        "kube-controller-manager-",
        "kube-scheduler-",
        "cloud-controller-manager-",
    ];
    !stream.starts_with(AUDIT_STREAM)
        && of_control_plane.iter().any(|name| stream.starts_with(name))
}

/// The time in front of a line of an export task, and the rest.
pub(super) fn split_time(line: &[u8]) -> Option<(Micros, &[u8])> {
    if !line.first()?.is_ascii_digit() {
        return None;
    }
    let space = line.iter().take(40).position(|b| *b == b' ')?;
    let time = std::str::from_utf8(line.get(..space)?).ok()?;
    Some((Micros::parse(time)?, line.get(space + 1..)?))
}
