//! What two runs say differently.
//!
//! Input: the tables of two finished runs, or what the history keeps of one. Output: changes of grants and
//! verdicts, and which findings of today were not there before. Pure, in a total order. A grant is the
//! same grant in both runs when it has the same `grant_id`, whatever became of its scope.

mod baseline;
mod diff;

pub use baseline::Baseline;
pub use diff::{Change, ChangeKind, Side, compare};

use crate::table::rows::verdicts::VerdictRow;

/// Verdicts with which there is nothing to do.
const FINE: [&str; 3] = ["used", "too_new", "unobservable"];

/// 4 for `critical` to 0 for `info` and anything else: as in `verdicts.severity_rank`.
#[must_use]
pub fn rank(severity: &str) -> i64 {
    match severity {
        "critical" => 4,
        "high" => 3,
        "medium" => 2,
        "low" => 1,
        _ => 0,
    }
}

/// True when the row is to act on. Runs of earlier versions only tell by the verdict.
fn is_finding(row: &VerdictRow, managed: bool) -> bool {
    row.suppressed.is_some() || !managed && !FINE.contains(&row.verdict.as_str())
}

#[cfg(test)]
mod tests;
