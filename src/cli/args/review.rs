//! Arguments about findings: which are known, which are new, and what fails a pipeline.

use std::path::PathBuf;

use clap::ValueEnum;

use crate::rbac::sensitive::Severity;

/// What counts of the findings of an audit.
#[derive(Debug, clap::Args)]
pub struct Review {
    /// Configuration; by default overgrant.toml where there is one
    ///
    /// Each flag of `audit` is a key of its table `[audit]`; what is typed wins. `[[suppress]]` and
    /// `[break-glass]` are what --suppress and --break-glass are.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// A finding that is known: grant=ID,owner=WHO,reason=WHY,expires=DATE; repeat for more
    ///
    /// In place of grant, or beside it: principal, cluster (`*` for any text), verdict, query (a report). It
    /// stays in all tables and counts for nothing. After the day of expiry it is a finding itself.
    #[arg(long, value_name = "RULE")]
    pub suppress: Vec<String>,
    /// Principals for emergencies: principals=GLOB,owner=WHO,reason=WHY,expires=DATE
    ///
    /// That they are unused or too powerful is known; that one was used is a finding.
    #[arg(long, value_name = "RULE")]
    pub break_glass: Vec<String>,
    /// Show what is new since a run: its output, or the newest in --out that ended by a date
    #[arg(long, value_name = "RUN|DATE")]
    pub new_since: Option<String>,
    /// Exit with 1 when a finding is at least this bad; new:high for those that are new
    ///
    /// New is what the run of --new-since did not say, by default the newest one before in --out.
    #[arg(long, value_name = "[new:]SEVERITY", value_parser = fail_on)]
    pub fail_on: Option<FailOn>,
    /// What stdout holds
    #[arg(long, value_name = "FORMAT", default_value = "table")]
    pub format: SummaryFormat,
}

/// `overgrant diff`
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Kinds of change: new, gone, changed (scope, namespaces, role, rules, power), verdict, newly_used,
newly_unused, severity_up, severity_down.

Exit codes: 0 compared, 1 a change for the worse at or above --fail-on, 2 usage, 4 failed.

Examples:
  overgrant diff last-week reports
  overgrant diff s3://reports/main s3://reports/branch --fail-on new:high --format sarif")]
pub struct Diff {
    /// Folder or s3://bucket/prefix that the earlier run wrote
    #[arg(value_name = "A")]
    pub before: String,
    /// That of the later run
    #[arg(value_name = "B")]
    pub after: String,
    /// Exit with 1 when a change for the worse is at least this bad; new:high for new grants and findings
    ///
    /// Known findings do not count. A grant that is new or changed is as bad as what it allows.
    #[arg(long, value_name = "[new:]SEVERITY", value_parser = fail_on)]
    pub fail_on: Option<FailOn>,
    /// What stdout holds
    #[arg(long, value_name = "FORMAT", default_value = "table")]
    pub format: DiffFormat,
    /// Region of the buckets, in place of that of the environment
    #[arg(long, value_name = "REGION")]
    pub region: Option<String>,
}

/// How a summary is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum SummaryFormat {
    /// The summary, for people
    Table,
    /// The same as one JSON object
    Json,
    /// The findings as SARIF 2.1.0
    Sarif,
}

/// How changes are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum DiffFormat {
    /// For people
    Table,
    /// An array of objects
    Json,
    /// A line a change
    Csv,
    /// SARIF 2.1.0
    Sarif,
}

/// What fails a pipeline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FailOn {
    /// Only what is new.
    pub new: bool,
    /// At least this bad.
    pub severity: Severity,
}

fn fail_on(text: &str) -> Result<FailOn, String> {
    let (new, name) = match text.strip_prefix("new:") {
        Some(name) => (true, name),
        None => (false, text),
    };
    let severity = Severity::named(name).filter(|severity| *severity > Severity::Info);
    let severity = severity.ok_or("low, medium, high or critical, alone or after new:")?;
    Ok(FailOn { new, severity })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fails_a_pipeline() {
        let check = |text: &str, expected: Option<(bool, Severity)>| {
            let got = fail_on(text).ok().map(|got| (got.new, got.severity));
            assert_eq!(got, expected, "{text}");
        };
        check("high", Some((false, Severity::High)));
        check("new:low", Some((true, Severity::Low)));
        check("new:", None);
        check("info", None);
        check("old:high", None);
    }
}
