//! The only printer: the summary on stdout, progress and errors on stderr.
#![expect(clippy::print_stderr, reason = "cli is the one room that prints")]
#![expect(clippy::disallowed_methods, reason = "cli reads NO_COLOR and the log filter")]

use std::collections::BTreeMap;
use std::io::{IsTerminal, Write};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::args::{Args, Color, Diff, DiffFormat, SummaryFormat};
use super::error::UserError;
use crate::integrity::Status;
use crate::model::time::Micros;
use crate::pipeline::Events;
use crate::pipeline::diff::Compared;
use crate::pipeline::inputs::Settled;
use crate::pipeline::remediate::Remediated;
use crate::pipeline::snapshot::Snapshots;
use crate::pipeline::verify::Verified;
use crate::report::summary::{Style, SummaryInput, printable, render};
use crate::report::{diff, json, sarif};

/// What may be shown, decided once.
pub struct Ui {
    quiet: bool,
    verbose: u8,
    color: bool,
    bar: ProgressBar,
    bytes: u64,
    total_bytes: u64,
}

impl Ui {
    /// Looks at the arguments and at what stdout and stderr are.
    #[must_use]
    pub fn new(args: &Args) -> Self {
        let no_color = std::env::var("NO_COLOR").is_ok_and(|value| !value.is_empty());
        let color = match args.color {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => std::io::stdout().is_terminal() && !no_color,
        };
        let draw = !args.quiet && std::io::stderr().is_terminal();
        let target = if draw { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let bar = ProgressBar::with_draw_target(None, target);
        Ui { quiet: args.quiet, verbose: args.verbose, color, bar, bytes: 0, total_bytes: 0 }
    }

    /// Starts the log on stderr: warnings, more with `-v`; `RUST_LOG` overrides.
    pub fn start_log(&self) {
        use tracing_subscriber::EnvFilter;
        let level = match self.verbose {
            // What Kubernetes refuses is told as a hole.
            0 => "error,kube_client=off",
            1 => "warn,overgrant=info",
            2 => "info,overgrant=debug",
            _ => "debug",
        };
        let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(level));
        let logger = tracing_subscriber::fmt()
            .with_env_filter(filter)
            .with_writer(std::io::stderr)
            .without_time()
            .try_init();
        if logger.is_err() {
            self.warn("the log was already started");
        }
    }

    /// Prints the summary; a closed pipe is no error. What is for programs is data, and never too much.
    pub fn summary(&self, input: &SummaryInput, format: SummaryFormat) {
        let text = match format {
            SummaryFormat::Table if self.quiet => return,
            SummaryFormat::Table => render(input, Style { color: self.color }),
            SummaryFormat::Json => json::of_summary(input),
            SummaryFormat::Sarif => sarif::of_summary(input),
        };
        self.print(&text);
    }

    /// Prints what changed between two runs.
    pub fn changes(&self, compared: &Compared, asked: &Diff) {
        let span = |place: &str, (since, until): (Micros, Micros)| {
            let (since, until) = (since.to_rfc3339(), until.to_rfc3339());
            format!("{since} … {until}\n          {}", printable(place))
        };
        let changes = &compared.changes;
        let text = match asked.format {
            DiffFormat::Table if self.quiet => return,
            DiffFormat::Table => {
                let before = span(&asked.before, compared.before);
                let after = span(&asked.after, compared.after);
                diff::table(changes, &before, &after, Style { color: self.color })
            }
            DiffFormat::Json => diff::json(changes),
            DiffFormat::Csv => diff::csv(changes),
            DiffFormat::Sarif => sarif::of_changes(changes),
        };
        self.print(&text);
    }

    /// Says what stands for the live inputs, on stderr.
    pub fn inputs(&self, settled: &Settled) {
        if self.quiet {
            return;
        }
        for line in &settled.said {
            eprintln!("{}", printable(line));
        }
        for (arn, hole) in &settled.holes {
            let (arn, what, why) = (printable(arn), printable(&hole.what), printable(&hole.why));
            eprintln!("  hole of {arn}  {what}: {why}");
        }
    }

    /// Says what was taken of each cluster, and what could not be read.
    pub fn snapshots(&self, taken: &Snapshots) {
        for error in &taken.failed {
            eprintln!("error: {}", printable(&error.to_string()));
        }
        if self.quiet {
            return;
        }
        let mut lines = Vec::new();
        for snapshot in &taken.written {
            lines.push(printable(&snapshot.arn));
            lines.extend(snapshot.counts.iter().map(|(what, n)| format!("  {n:>6}  {what}")));
            lines.extend(snapshot.holes.iter().map(|hole| {
                format!("    hole  {}: {}", printable(&hole.what), printable(&hole.why))
            }));
            lines.push(format!("  written to {}", snapshot.folder.display()));
        }
        lines.push(String::new());
        self.print(&lines.join("\n"));
    }

    /// Prints a line per object that is not valid, and on stderr what was checked.
    pub fn verified(&self, verified: &Verified) {
        let lines: Vec<String> = verified
            .findings
            .iter()
            .map(|found| {
                let (object, why) = (printable(&found.object), printable(&found.why));
                format!("{:<11}  {object}  {why}\n", found.status.as_str())
            })
            .collect();
        self.print(&lines.concat());
        if self.quiet {
            return;
        }
        let count = |counts: &BTreeMap<Status, u64>| {
            let each: Vec<String> =
                counts.iter().map(|(status, n)| format!("{n} {}", status.as_str())).collect();
            if each.is_empty() { "none".to_owned() } else { each.join(", ") }
        };
        eprintln!("digests  {} in {} chains", count(&verified.digests), verified.chains);
        eprintln!("logs     {}", count(&verified.logs));
        if verified.others > 0 {
            eprintln!(
                "others   {} audit logs and other files, which carry no digest",
                verified.others
            );
        }
        for note in &verified.notes {
            eprintln!("note: {}", printable(note));
        }
    }

    /// Says what a bundle changes, and what it leaves to a person.
    pub fn bundle(&self, made: &Remediated) {
        if self.quiet {
            return;
        }
        let mut lines =
            vec![format!("{} changes, {} left to a person", made.done.len(), made.left.len())];
        // The words of a finding were made printable when it was written.
        lines.extend(made.done.iter().map(|(id, what)| format!("  {id}  {what}")));
        lines.extend(made.left.iter().map(|(id, why)| format!("  {id}  left: {}", printable(why))));
        let to = printable(&made.to.display().to_string());
        lines.push(format!(
            "written to {to}: read apply.sh, then run it; rollback/apply.sh undoes it"
        ));
        lines.push(String::new());
        self.print(&lines.join("\n"));
    }

    fn print(&self, text: &str) {
        let mut out = std::io::stdout().lock();
        if out.write_all(text.as_bytes()).and_then(|()| out.flush()).is_err() {
            self.warn("stdout was closed before the summary was written");
        }
    }

    /// Prints an error.
    pub fn error(&self, error: &UserError) {
        self.finish_progress();
        eprint!("{}", error.render());
    }

    /// True when less should be said.
    #[must_use]
    pub fn is_quiet(&self) -> bool {
        self.quiet
    }

    /// Says that a signal was heard.
    pub fn stopping(quiet: bool) {
        if !quiet {
            eprintln!("stopping: what is under way is finished and kept; once more ends at once");
        }
    }

    /// Takes the progress bar away.
    pub fn finish_progress(&self) {
        self.bar.finish_and_clear();
    }

    fn warn(&self, what: &str) {
        if !self.quiet {
            eprintln!("warning: {what}");
        }
    }
}

/// Says why nothing was started.
pub fn refuse(error: &UserError) {
    eprint!("{}", error.render());
}

impl Events for Ui {
    fn stage(&mut self, name: &'static str) {
        if name == "scan" {
            let style = ProgressStyle::with_template(
                "{prefix:>9} [{bar:30}] {pos}/{len} objects  {msg}  {eta} left",
            );
            if let Ok(style) = style {
                self.bar.set_style(style.progress_chars("=> "));
            }
        } else if matches!(name, "clusters" | "lookup") {
            let style =
                ProgressStyle::with_template("{prefix:>9} [{bar:30}] {pos}/{len}  {eta} left");
            if let Ok(style) = style {
                self.bar.set_style(style.progress_chars("=> "));
            }
        } else if let Ok(style) = ProgressStyle::with_template("{prefix:>9} {spinner}") {
            self.bar.set_style(style);
        }
        self.bar.set_position(0);
        self.bar.set_prefix(name);
        self.bar.tick();
    }

    fn total(&mut self, objects: u64, bytes: u64) {
        self.bar.set_length(objects);
        self.total_bytes = bytes;
    }

    fn object(&mut self, bytes: u64) {
        self.bytes += bytes;
        self.bar.inc(1);
        if !self.bar.is_hidden() {
            let mib = |n: u64| n >> 20;
            self.bar.set_message(format!("{} of {} MiB", mib(self.bytes), mib(self.total_bytes)));
        }
    }
}
