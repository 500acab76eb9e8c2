//! An earlier run, to tell what is new since.

use std::collections::{BTreeMap, BTreeSet};

use super::{FINE, rank};
use crate::model::time::Micros;
use crate::table::rows::verdicts::{VerdictHistoryRow, VerdictRow};

/// What an earlier run said of every grant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Baseline {
    /// First instant after its window.
    pub until: Micros,
    rows: BTreeMap<String, Known>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Known {
    verdict: String,
    rank: i64,
    /// `None` where the run does not say.
    finding: Option<bool>,
}

impl Baseline {
    /// From a file of the history.
    #[must_use]
    pub fn of_history(until: Micros, rows: Vec<VerdictHistoryRow>) -> Self {
        let known = |row: &VerdictHistoryRow| Known {
            verdict: row.verdict.clone(),
            rank: rank(&row.severity),
            finding: row.finding,
        };
        let rows = rows.into_iter().map(|row| (row.grant_id.clone(), known(&row))).collect();
        Baseline { until, rows }
    }

    /// From the table of another run.
    #[must_use]
    pub fn of_verdicts(until: Micros, rows: Vec<VerdictRow>) -> Self {
        let known = |row: &VerdictRow| Known {
            verdict: row.verdict.clone(),
            rank: row.severity_rank,
            // Null where there is nothing to act on, and in runs of earlier versions.
            finding: row.suppressed.map(|_| true),
        };
        let rows = rows.into_iter().map(|row| (row.grant_id.clone(), known(&row))).collect();
        Baseline { until, rows }
    }

    /// True when the run did not say this of the grant, or not as gravely.
    #[must_use]
    pub fn is_new(&self, grant: &str, verdict: &str, severity: &str) -> bool {
        self.rows.get(grant).is_none_or(|known| {
            let was = known.finding.unwrap_or(!FINE.contains(&known.verdict.as_str()));
            !was || known.verdict != verdict || known.rank < rank(severity)
        })
    }

    /// How many findings of the run are not in `now`: pairs of grant and verdict, suppressed ones too.
    #[must_use]
    pub fn gone(&self, now: &BTreeSet<(&str, &str)>) -> usize {
        let was = self.rows.iter().filter(|(_, known)| known.finding == Some(true));
        was.filter(|(grant, known)| !now.contains(&(grant.as_str(), known.verdict.as_str())))
            .count()
    }
}
