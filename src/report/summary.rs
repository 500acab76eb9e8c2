//! The summary for a terminal. Pure: values in, text out.
//!
//! Names come from logs and are hostile: control characters and bidirectional overrides are shown
//! escaped, so that no grant can move the cursor or hide a line.

use std::collections::BTreeMap;
use std::fmt;

use super::terminal::{Style, painted, printable};
use crate::model::suppression::Suppression;
use crate::model::tally::Counts;
use crate::model::time::Micros;

const MAX_FINDINGS: usize = 15;

/// What the summary tells.
#[derive(Debug, Clone, Default)]
pub struct SummaryInput {
    /// `2026-08-26T00:00:00Z … 2026-11-24T00:00:00Z`
    pub window: String,
    /// Names of clusters.
    pub clusters: Vec<String>,
    /// Customers' grants by verdict, in the order of verdicts.
    pub verdicts: Vec<(&'static str, u64)>,
    /// Grants that AWS and Kubernetes put into every cluster.
    pub managed: u64,
    /// Findings, worst first.
    pub findings: Vec<Finding>,
    /// Findings that somebody answers for, worst first; they do not count.
    pub suppressed: Vec<Finding>,
    /// What is new; nothing where nobody asked.
    pub news: Option<News>,
    /// Streams: name, covered hours, all hours.
    pub coverage: Vec<(String, i64, i64)>,
    /// Clusters that are not yet in mode API.
    pub api_moves: Vec<ApiMove>,
    /// Counters by stream.
    pub counters: BTreeMap<&'static str, Counts>,
    /// Copies folded away.
    pub copies: u64,
    /// Objects read now, read again for days that these touch, and kept from earlier runs.
    pub objects: (u64, u64, u64),
    /// What to know before acting.
    pub warnings: Vec<String>,
    /// Where the output is.
    pub out: String,
}

/// One finding.
#[derive(Debug, Clone, Default)]
pub struct Finding {
    /// `critical` …
    pub severity: &'static str,
    /// `over_scoped` …, or `suppression_expired`, `break_glass_used`.
    pub verdict: &'static str,
    /// The grant's id; empty where it is about no grant.
    pub grant_id: String,
    /// Cluster name.
    pub cluster: String,
    /// Principal.
    pub principal: String,
    /// What it may, in a few words.
    pub grant: String,
    /// Why, with figures.
    pub detail: String,
    /// `review` …
    pub recommendation: String,
    /// When it came about, where that is known without an earlier run.
    pub since: Option<Micros>,
    /// Whether it was not there in the baseline; `None` without one.
    pub new: Option<bool>,
    /// Who answers for it, if somebody does.
    pub suppression: Option<Suppression>,
}

/// A cluster that is not yet in mode API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiMove {
    /// Its name.
    pub cluster: String,
    /// Its mode; nothing where it was not read.
    pub mode: Option<&'static str>,
    /// Whether mode API locks nobody out who came in: `yes` `no` `unknown`.
    pub safe: &'static str,
    /// Why.
    pub why: String,
}

/// What is new since an earlier run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct News {
    /// First instant after the window of that run; nothing where there was no such run.
    pub since: Option<String>,
    /// Findings that were not there.
    pub new: usize,
    /// Findings that are no longer there.
    pub gone: usize,
}

/// Renders the summary.
#[must_use]
pub fn render(input: &SummaryInput, style: Style) -> String {
    Rendered { input, style }.to_string()
}

struct Rendered<'a> {
    input: &'a SummaryInput,
    style: Style,
}

impl fmt::Display for Rendered<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Rendered { input, style } = *self;
        writeln!(
            out,
            "{} of {}\n",
            if input.clusters.len() == 1 { "Grants" } else { "Grants by cluster" },
            printable(&input.clusters.join(", "))
        )?;
        writeln!(out, "  window  {}", input.window)?;
        for (verdict, n) in &input.verdicts {
            writeln!(out, "  {verdict:<14}{n:>6}  {}", meaning(verdict))?;
        }
        writeln!(
            out,
            "  {:<14}{:>6}  defaults of AWS and Kubernetes, exact and unchanged",
            "managed", input.managed
        )?;

        if let Some(News { since, new, gone }) = &input.news {
            match since {
                Some(since) => writeln!(out, "\n{new} new, {gone} gone since {since}")?,
                None => writeln!(out, "\nNo earlier run to compare with: all findings are new")?,
            }
        }
        // Of a run that asks what is new the old findings are in the tables.
        let listed: Vec<&Finding> =
            input.findings.iter().filter(|finding| finding.new != Some(false)).collect();
        let what = if input.news.is_some() { "new findings" } else { "findings" };
        let suppressed = match input.suppressed.len() {
            0 => String::new(),
            n => format!(", {n} suppressed"),
        };
        if listed.is_empty() {
            let nothing = if input.news.is_some() { "Nothing new" } else { "Nothing" };
            writeln!(out, "\n{nothing} to act on{suppressed}.")?;
        } else {
            let shown = listed.len().min(MAX_FINDINGS);
            writeln!(out, "\nWorst {what} ({shown} of {}{suppressed})\n", listed.len())?;
            for finding in listed.into_iter().take(MAX_FINDINGS) {
                writeln!(
                    out,
                    "  {} {}  {}{}",
                    painted(finding.severity, 8, style),
                    finding.verdict,
                    cluster_of(finding),
                    printable(&finding.principal),
                )?;
                writeln!(out, "           {}", printable(&finding.grant))?;
                writeln!(out, "           {}", printable(&finding.detail))?;
                writeln!(out, "           -> {}", printable(&finding.recommendation))?;
            }
        }

        writeln!(out, "\nCoverage")?;
        for (stream, covered, hours) in &input.coverage {
            writeln!(out, "  {covered:>6} of {hours} h  {}", printable(stream))?;
        }
        if !input.api_moves.is_empty() {
            writeln!(out, "\nIs authentication mode API safe (reports/auth_mode_plan)")?;
        }
        for ApiMove { cluster, mode, safe, why } in &input.api_moves {
            let mode = mode.unwrap_or("an unknown mode");
            writeln!(out, "  {safe:<8} {}, now in {mode}: {}", printable(cluster), printable(why))?;
        }
        writeln!(out, "\nRead")?;
        for (stream, counts) in &input.counters {
            writeln!(
                out,
                "  {stream:<13}{:>9} seen = {} kept{} + {} filtered{} + {} rejected{}",
                counts.seen,
                counts.kept,
                reasons((counts.salvaged > 0).then_some(("cut", counts.salvaged)).into_iter()),
                counts.filtered_total(),
                reasons(counts.filtered.iter().map(|(why, n)| (why.as_str(), *n))),
                counts.rejected_total(),
                reasons(counts.rejected.iter().map(|(why, n)| (why.as_str(), *n))),
            )?;
        }
        writeln!(out, "  {:<13}{:>9} folded away", "copies", input.copies)?;
        let (read, again, kept) = input.objects;
        if kept > 0 {
            writeln!(
                out,
                "  {:<13}{read:>9} objects, {again} more again for days that these touch; {kept} kept \
                 from earlier runs",
                "this run"
            )?;
        }
        if !input.warnings.is_empty() {
            writeln!(out, "\nBefore you act")?;
            for warning in &input.warnings {
                writeln!(out, "  - {}", printable(warning))?;
            }
        }
        let place = printable(&input.out);
        writeln!(out, "\nWritten to {place}")?;
        writeln!(out, "  duckdb -c \"FROM '{place}/reports/grant_review.parquet'\"")?;
        Ok(())
    }
}

/// `prod: `; a suppression is of no cluster.
fn cluster_of(finding: &Finding) -> String {
    match finding.cluster.as_str() {
        "" => String::new(),
        cluster => format!("{}: ", printable(cluster)),
    }
}

fn meaning(verdict: &str) -> &'static str {
    match verdict {
        "ineffective" => "cannot be exercised",
        "unobservable" => "rules or evidence are missing",
        "too_new" => "not used, too young to say",
        "unused" => "not used",
        "redundant" => "other grants cover all its use",
        "over_scoped" => "wider than its use",
        "used" => "used as it is",
        _ => "",
    }
}

fn reasons<'a>(counts: impl Iterator<Item = (&'a str, u64)>) -> String {
    let parts: Vec<String> = counts.map(|(why, n)| format!("{n} {why}")).collect();
    if parts.is_empty() { String::new() } else { format!(" ({})", parts.join(", ")) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::tally::{Filter, Reason};

    #[test]
    fn a_summary_reads_like_this() {
        let counts = Counts {
            seen: 10,
            kept: 7,
            filtered: BTreeMap::from([(Filter::NotRelevant, 2)]),
            rejected: BTreeMap::from([(Reason::Truncated, 1)]),
            salvaged: 2,
        };
        let input = SummaryInput {
            window: "2026-08-26 … 2026-11-24".to_owned(),
            clusters: vec!["prod".to_owned()],
            verdicts: vec![("unused", 2), ("over_scoped", 1)],
            managed: 44,
            findings: vec![Finding {
                severity: "critical",
                verdict: "over_scoped",
                cluster: "prod".to_owned(),
                principal: "evil\u{1b}[2J\u{202e}name".to_owned(),
                grant: "AmazonEKSClusterAdminPolicy on the cluster".to_owned(),
                detail: "exact RBAC needs 16 of 5,000 cells".to_owned(),
                recommendation: "review".to_owned(),
                ..Finding::default()
            }],
            suppressed: Vec::new(),
            news: None,
            coverage: vec![("audit of prod".to_owned(), 2184, 2184)],
            api_moves: vec![ApiMove {
                cluster: "prod".to_owned(),
                mode: Some("API_AND_CONFIG_MAP"),
                safe: "no",
                why: "rows in use that are not moved: 2".to_owned(),
            }],
            counters: BTreeMap::from([("audit", counts)]),
            copies: 3,
            objects: (12, 3, 172),
            warnings: vec!["trails.json is missing".to_owned()],
            out: "reports".to_owned(),
        };
        insta::assert_snapshot!(render(&input, Style::default()));
        let colored = render(&input, Style { color: true });
        assert!(colored.contains("\u{1b}[1;31mcritical"));
        assert!(!colored.contains("\u{1b}[2J"));
    }
}
