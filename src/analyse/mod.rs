//! Use and coverage to verdicts: the rules that people act on.
//!
//! Input: grants, use, coverage. Output: one [`verdict::Verdict`] per grant. Pure and synchronous;
//! nothing here reads a file or a clock. The order of the rules is the product's promise: what
//! cannot be exercised, what cannot be seen, what is too new, what is unused, and only then what is
//! redundant, too wide or fine.

pub mod alone;
pub mod coverage;
pub mod evidence;
pub mod migration;
pub mod parallel;
pub mod paths;
pub mod propose;
pub mod recommend;
pub mod scope;
pub mod verdict;

use crate::model::time::Window;
use crate::rbac::exact::VerbGroups;

/// The knobs of the verdicts; flags of the command line fill them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AnalysePlan {
    /// What is judged.
    pub window: Window,
    /// Days a grant must be old before its silence means anything.
    pub min_age_days: i64,
    /// Share of hours that must be covered.
    pub min_coverage: f64,
    /// Longest hole that is tolerated, in hours.
    pub max_hole_hours: i64,
    /// A grant is too wide when exact RBAC needs at most this share of its cells.
    pub over_scope_ratio: f64,
    /// An inventory older than this many days changes nothing but by review.
    pub max_inventory_age_days: i64,
    /// Verbs that proposals give together.
    pub verb_groups: VerbGroups,
}

impl AnalysePlan {
    /// The defaults of the design for a window.
    #[must_use]
    pub fn new(window: Window) -> Self {
        AnalysePlan {
            window,
            min_age_days: 30,
            min_coverage: 0.95,
            max_hole_hours: 24,
            over_scope_ratio: 0.5,
            max_inventory_age_days: 7,
            verb_groups: VerbGroups::Exact,
        }
    }
}

#[cfg(test)]
mod tests;
