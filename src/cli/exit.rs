//! Exit codes: what a scheduler may rely on.

use std::process::ExitCode;

use crate::pipeline::Outcome;
use crate::rbac::sensitive::Severity;

/// How the program ended. Where several hold: 4 before 130 before 3 before 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// 0: everything was read and judged.
    Complete,
    /// 1: a finding is at least as bad as `--fail-on`.
    Findings,
    /// 2: the command line is wrong.
    Usage,
    /// 3: a verdict was lowered for want of evidence, or too much was rejected.
    Partial,
    /// 4: the run failed.
    Failed,
    /// 130: somebody asked for the end; what was read is kept.
    Interrupted,
}

impl Exit {
    /// The number.
    #[must_use]
    pub fn code(self) -> u8 {
        match self {
            Exit::Complete => 0,
            Exit::Findings => 1,
            Exit::Usage => 2,
            Exit::Partial => 3,
            Exit::Failed => 4,
            Exit::Interrupted => 130,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit.code())
    }
}

/// The exit of a run that ended.
#[must_use]
pub fn of_outcome(outcome: &Outcome, fail_on: Option<Severity>) -> Exit {
    let bad = matches!((outcome.worst, fail_on), (Some(worst), Some(limit)) if worst >= limit);
    match (outcome.partial, bad) {
        (true, _) => Exit::Partial,
        (false, true) => Exit::Findings,
        (false, false) => Exit::Complete,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::metrics::Figures;
    use crate::report::summary::SummaryInput;

    #[test]
    fn partial_comes_before_findings() {
        let check = |partial, worst, fail_on, expected| {
            let outcome = Outcome {
                summary: SummaryInput::default(),
                partial,
                worst,
                worst_new: None,
                figures: Figures::default(),
            };
            assert_eq!(of_outcome(&outcome, fail_on), expected);
        };
        check(false, None, None, Exit::Complete);
        check(false, Some(Severity::Critical), None, Exit::Complete);
        check(false, Some(Severity::High), Some(Severity::High), Exit::Findings);
        check(false, Some(Severity::Medium), Some(Severity::High), Exit::Complete);
        check(true, Some(Severity::High), Some(Severity::High), Exit::Partial);
    }
}
