//! Figures of a run for whoever watches that it runs: OpenMetrics text.
//!
//! It is written when a run fails, too: what is missing then is told by `overgrant_success 0` and by the
//! age of `overgrant_run_timestamp_seconds`. The client library of Prometheus keeps a registry of live
//! counters for a server; a file of figures that are all known needs none of it. Source:
//! <https://github.com/prometheus/OpenMetrics/blob/main/specification/OpenMetrics.md>.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

use super::summary::SummaryInput;
use super::whole_file::WholeFile;
use super::{ReportError, io};
use crate::model::time::Micros;

/// What the run tells beside its summary.
#[derive(Debug, Clone, Default)]
pub struct Figures {
    /// Objects that were read.
    pub objects: u64,
    /// Their bytes, as stored.
    pub bytes: u64,
    /// End of the window.
    pub until: Option<Micros>,
    /// Kind of log and where it is from, and the end of the newest hour with a record of it.
    pub newest: BTreeMap<(&'static str, String), Micros>,
    /// Cluster ARN and when its inventory was taken.
    pub captured: BTreeMap<String, String>,
    /// Milliseconds by stage.
    pub stages: BTreeMap<&'static str, u64>,
}

/// A run that ended, somehow.
#[derive(Debug, Clone, Copy)]
pub struct Ended<'a> {
    /// When.
    pub now: Micros,
    /// The exit code.
    pub exit: u8,
    /// Version of the tables.
    pub schema_version: &'a str,
    /// What it came to; nothing where it failed.
    pub outcome: Option<(&'a SummaryInput, &'a Figures)>,
}

/// Writes the text under another name and moves it into place, so that nobody reads half of it.
///
/// # Errors
/// When the folder is not there or cannot be written.
pub fn write(path: &Path, text: &str) -> Result<(), ReportError> {
    let mut whole = WholeFile::create(path).map_err(io("write", path))?;
    std::io::Write::write_all(whole.file(), text.as_bytes()).map_err(io("write", path))?;
    whole.finish().map_err(io("move", path))
}

/// The text, `# EOF` included.
#[must_use]
pub fn render(ended: &Ended<'_>) -> String {
    let mut text = Text::default();
    text.family("run_timestamp_seconds", "seconds", "When the run ended, since the epoch.");
    text.sample("run_timestamp_seconds", &[], seconds(ended.now));
    text.family(
        "exit_code",
        "",
        "Exit code of the run: 0 complete, 1 findings, 2 usage, 3 partial, 4 failed, 130 interrupted.",
    );
    text.sample("exit_code", &[], f64::from(ended.exit));
    text.family("success", "", "1 when the run wrote its output, partial or not.");
    text.sample("success", &[], if ended.outcome.is_some() { 1.0 } else { 0.0 });
    text.0.push_str(
        "# TYPE overgrant_build info\n# HELP overgrant_build Versions of tool and tables.\n",
    );
    let versions =
        [("version", env!("CARGO_PKG_VERSION")), ("schema_version", ended.schema_version)];
    text.sample("build_info", &versions, 1.0);
    if let Some((summary, figures)) = ended.outcome {
        of_outcome(&mut text, ended.now, summary, figures);
    }
    text.0.push_str("# EOF\n");
    text.0
}

fn of_outcome(text: &mut Text, now: Micros, summary: &SummaryInput, figures: &Figures) {
    text.family("input_objects", "", "Log objects that were read.");
    text.sample("input_objects", &[], float(figures.objects));
    text.family("input_bytes", "bytes", "Bytes of log objects, as stored.");
    text.sample("input_bytes", &[], float(figures.bytes));
    text.family("records", "", "Records and objects by stream and what became of them.");
    for (stream, counts) in &summary.counters {
        for (state, n) in
            [("seen", counts.seen), ("kept", counts.kept), ("rejected", counts.rejected_total())]
        {
            text.sample("records", &[("stream", stream), ("state", state)], float(n));
        }
    }
    text.family("rejects", "", "Records and objects that do not count, by reason.");
    for (stream, counts) in &summary.counters {
        for (reason, n) in &counts.rejected {
            text.sample("rejects", &[("stream", stream), ("reason", reason.as_str())], float(*n));
        }
    }
    text.family("coverage_ratio", "ratio", "Share of the window's hours that the logs cover.");
    for (stream, covered, hours) in &summary.coverage {
        let share = signed(*covered) / signed((*hours).max(1));
        text.sample("coverage_ratio", &[("stream", stream)], share);
    }
    if let Some(until) = figures.until {
        let age = seconds(Micros(now.0.saturating_sub(until.0)));
        text.family(
            "window_age_seconds",
            "seconds",
            "From the end of the window to the end of the run.",
        );
        text.sample("window_age_seconds", &[], age);
    }
    text.family(
        "log_age_seconds",
        "seconds",
        "From the end of the newest hour in which a log delivered to the end of the run.",
    );
    for ((kind, of), newest) in &figures.newest {
        let age = seconds(Micros(now.0.saturating_sub(newest.0).max(0)));
        text.sample("log_age_seconds", &[("log", kind), ("of", of)], age);
    }
    text.family("inventory_age_seconds", "seconds", "Since the inventory of a cluster was taken.");
    for (arn, at) in &figures.captured {
        if let Some(at) = Micros::parse(at) {
            let age = seconds(Micros(now.0.saturating_sub(at.0)));
            text.sample("inventory_age_seconds", &[("cluster", arn)], age);
        }
    }
    text.family("grants", "", "Grants of customers by verdict.");
    for (verdict, n) in &summary.verdicts {
        text.sample("grants", &[("verdict", verdict)], float(*n));
    }
    let mut findings: BTreeMap<(&str, &str), u64> = BTreeMap::new();
    for finding in &summary.findings {
        *findings.entry((finding.verdict, finding.severity)).or_default() += 1;
    }
    text.family("findings", "", "Findings by verdict and severity.");
    for ((verdict, severity), n) in findings {
        text.sample("findings", &[("verdict", verdict), ("severity", severity)], float(n));
    }
    text.family("findings_suppressed", "", "Findings that somebody answers for.");
    let suppressed = u64::try_from(summary.suppressed.len()).unwrap_or(u64::MAX);
    text.sample("findings_suppressed", &[], float(suppressed));
    text.family("stage_duration_seconds", "seconds", "Duration of each stage.");
    for (stage, millis) in &figures.stages {
        text.sample("stage_duration_seconds", &[("stage", stage)], float(*millis) / 1000.0);
    }
}

#[derive(Default)]
struct Text(String);

impl Text {
    /// `TYPE`, `UNIT` and `HELP` of a gauge, in that order.
    fn family(&mut self, name: &str, unit: &str, help: &str) {
        self.0.push_str(&format!("# TYPE overgrant_{name} gauge\n"));
        if !unit.is_empty() {
            self.0.push_str(&format!("# UNIT overgrant_{name} {unit}\n"));
        }
        self.0.push_str(&format!("# HELP overgrant_{name} {}\n", escaped(help)));
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: f64) {
        let labels: Vec<String> =
            labels.iter().map(|(key, value)| format!("{key}=\"{}\"", escaped(value))).collect();
        let labels =
            if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
        // Writing to a String does not fail.
        writeln!(self.0, "overgrant_{name}{labels} {value}").ok();
    }
}

/// Backslash, quote and line feed are the three that the format escapes; other control characters come
/// from hostile names and are spelled out.
fn escaped(text: &str) -> String {
    super::terminal::printable(text).replace('\\', "\\\\").replace('"', "\\\"")
}

fn float(n: u64) -> f64 {
    // Exact up to 2^53: 9 petabytes.
    n.to_string().parse().unwrap_or(0.0)
}

fn signed(n: i64) -> f64 {
    n.to_string().parse().unwrap_or(0.0)
}

fn seconds(at: Micros) -> f64 {
    signed(at.0 / 1000) / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::summary::Finding;

    #[test]
    fn a_run_and_a_failure() {
        let now = Micros::parse("2026-11-24T01:00:00.5Z").unwrap();
        let failed = Ended { now, exit: 4, schema_version: "7", outcome: None };
        let text = render(&failed);
        assert!(text.contains("overgrant_success 0\n") && text.ends_with("\n# EOF\n"), "{text}");
        assert!(text.contains("overgrant_run_timestamp_seconds 1795482000.5\n"), "{text}");
        let finding = Finding { severity: "high", verdict: "unused", ..Finding::default() };
        let summary = SummaryInput {
            verdicts: vec![("unused", 2)],
            findings: vec![finding.clone(), finding],
            coverage: vec![("audit log of a\"b\\\n".to_owned(), 1, 4)],
            ..SummaryInput::default()
        };
        let figures = Figures {
            objects: 3,
            bytes: 1 << 40,
            until: Micros::parse("2026-11-24T00:00:00Z"),
            newest: BTreeMap::from([(
                ("audit", "arn:x".to_owned()),
                Micros::parse("2026-11-24T00:00:00Z").unwrap(),
            )]),
            captured: BTreeMap::from([("arn:x".to_owned(), "2026-11-24T00:00:00Z".to_owned())]),
            stages: BTreeMap::from([("scan", 1500)]),
        };
        let text = render(&Ended { exit: 0, outcome: Some((&summary, &figures)), ..failed });
        for line in [
            "# TYPE overgrant_input_bytes gauge\n# UNIT overgrant_input_bytes bytes\n# HELP overgrant_input_bytes Bytes",
            "overgrant_input_bytes 1099511627776\n",
            "overgrant_success 1\n",
            "overgrant_coverage_ratio{stream=\"audit log of a\\\"b",
            "} 0.25\n",
            "overgrant_grants{verdict=\"unused\"} 2\n",
            "overgrant_findings{verdict=\"unused\",severity=\"high\"} 2\n",
            "overgrant_window_age_seconds 3600.5\n",
            "overgrant_log_age_seconds{log=\"audit\",of=\"arn:x\"} 3600.5\n",
            "overgrant_inventory_age_seconds{cluster=\"arn:x\"} 3600.5\n",
            "overgrant_stage_duration_seconds{stage=\"scan\"} 1.5\n",
        ] {
            assert!(text.contains(line), "{line} in {text}");
        }
        let names = |line: &str| line.split(['{', ' ']).next().map(str::to_owned);
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let name = names(line).unwrap();
            let is_typed = text.contains(&format!("# TYPE {name} gauge\n"));
            assert!(is_typed || name == "overgrant_build_info", "{line}");
        }
    }
}
