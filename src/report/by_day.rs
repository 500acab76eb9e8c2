//! What the logs cover by day: the statement that every reader of `coverage` shares.

/// A day of a stream: `stream_kind`, `of` (cluster ARN or account), `day`, hours that all of its streams
/// cover, hours expected. It has no order: whoever asks gives one.
pub const COVERAGE: &str = "\
SELECT stream_kind, of, date_trunc('day', hour) AS day, sum(ok) AS covered, count(*) AS hours
FROM (SELECT stream_kind, CASE WHEN stream_kind = 'audit' THEN cluster ELSE account END AS of, hour,
        min(CASE WHEN covered THEN 1 ELSE 0 END) AS ok
    FROM coverage GROUP BY stream_kind, CASE WHEN stream_kind = 'audit' THEN cluster ELSE account END, hour) hours
GROUP BY stream_kind, of, date_trunc('day', hour)";
