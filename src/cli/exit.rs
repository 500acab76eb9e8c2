//! Exit codes: what a scheduler may rely on.

use std::process::ExitCode;

use super::args::FailOn;
use crate::compare::Change;
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
pub fn of_outcome(outcome: &Outcome, fail_on: Option<FailOn>) -> Exit {
    let bad = fail_on.is_some_and(|limit| {
        let worst = if limit.new { outcome.worst_new } else { outcome.worst };
        worst.is_some_and(|worst| worst >= limit.severity)
    });
    match (outcome.partial, bad) {
        (true, _) => Exit::Partial,
        (false, true) => Exit::Findings,
        (false, false) => Exit::Complete,
    }
}

/// The exit of a comparison: changes for the worse count, unless somebody answers for the finding.
#[must_use]
pub fn of_changes(changes: &[Change], fail_on: Option<FailOn>) -> Exit {
    let Some(limit) = fail_on else { return Exit::Complete };
    let mut counted = changes
        .iter()
        .filter(|one| one.worse && one.suppression.is_none() && (one.new || !limit.new));
    let bad = counted.any(|one| Severity::named(&one.severity) >= Some(limit.severity));
    if bad { Exit::Findings } else { Exit::Complete }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::suppression::Suppression;
    use crate::report::metrics::Figures;
    use crate::report::summary::SummaryInput;

    #[test]
    fn partial_comes_before_findings() {
        let check = |partial, worst, worst_new, fail_on: Option<(bool, Severity)>, expected| {
            let outcome = Outcome {
                summary: SummaryInput::default(),
                partial,
                worst,
                worst_new,
                figures: Figures::default(),
            };
            let fail_on = fail_on.map(|(new, severity)| FailOn { new, severity });
            assert_eq!(of_outcome(&outcome, fail_on), expected);
        };
        let (high, medium) = (Some(Severity::High), Some(Severity::Medium));
        check(false, None, None, None, Exit::Complete);
        check(false, Some(Severity::Critical), None, None, Exit::Complete);
        check(false, high, None, Some((false, Severity::High)), Exit::Findings);
        check(false, medium, None, Some((false, Severity::High)), Exit::Complete);
        check(true, high, None, Some((false, Severity::High)), Exit::Partial);
        check(false, high, medium, Some((true, Severity::High)), Exit::Complete);
        check(false, high, high, Some((true, Severity::High)), Exit::Findings);
    }

    #[test]
    fn changes_for_the_worse_count_and_known_ones_do_not() {
        let change = |severity: &str, worse, new, suppressed: bool| Change {
            kind: crate::compare::ChangeKind::Changed,
            severity: severity.to_owned(),
            grant_id: String::new(),
            cluster: String::new(),
            cluster_name: String::new(),
            principal: String::new(),
            grant: String::new(),
            what: "scope",
            from: None,
            to: None,
            suppression: suppressed.then(|| Suppression {
                owner: "sre".to_owned(),
                reason: "known".to_owned(),
                expires: "2027-01-31".to_owned(),
            }),
            worse,
            new,
        };
        let check = |change: Change, (new, severity), expected| {
            let got = of_changes(std::slice::from_ref(&change), Some(FailOn { new, severity }));
            assert_eq!(got, expected, "{change:?}");
        };
        let (high, medium) = (Severity::High, Severity::Medium);
        check(change("high", true, false, false), (false, high), Exit::Findings);
        check(change("critical", true, false, false), (false, high), Exit::Findings);
        check(change("medium", true, false, false), (false, high), Exit::Complete);
        check(change("high", false, false, false), (false, high), Exit::Complete);
        check(change("high", true, true, true), (false, high), Exit::Complete);
        check(change("high", true, false, false), (true, medium), Exit::Complete);
        check(change("high", true, true, false), (true, medium), Exit::Findings);
        let none = of_changes(&[change("critical", true, true, false)], None);
        assert_eq!(none, Exit::Complete);
    }
}
