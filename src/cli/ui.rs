//! The only printer: the summary on stdout, progress and errors on stderr.
#![expect(clippy::disallowed_methods, reason = "cli reads NO_COLOR and the log filter")]

use std::collections::BTreeMap;
use std::io::{IsTerminal, Write};

use indicatif::{ProgressBar, ProgressDrawTarget};

use super::args::{Args, Color, Diff, DiffFormat, SummaryFormat};
use super::error::UserError;
use super::log;
use super::progress::{Level, LogFormat, Progress, Talk};
use crate::integrity::Status;
use crate::model::time::Micros;
use crate::pipeline::Events;
use crate::pipeline::diff::Compared;
use crate::pipeline::inputs::Settled;
use crate::pipeline::remediate::Remediated;
use crate::pipeline::snapshot::Snapshots;
use crate::pipeline::verify::Verified;
use crate::report::summary::{SummaryInput, render};
use crate::report::terminal::{Style, printable};
use crate::report::{diff, json, sarif};

/// What may be shown, decided once.
pub struct Ui {
    quiet: bool,
    verbose: u8,
    color: bool,
    talk: Talk,
    progress: Progress,
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
        let terminal = std::io::stderr().is_terminal();
        // Who asks for more gets lines where a bar cannot be drawn.
        let lines = (args.verbose > 0 && !terminal).then_some(LogFormat::Text);
        let format = args.log_format.or(lines);
        let draw = !args.quiet && terminal && format.is_none();
        let target = if draw { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let bar = ProgressBar::with_draw_target(None, target);
        // Before the first stage there is nothing to draw: what is said would be followed by an empty bar.
        bar.finish_and_clear();
        let talk = Talk::new(format, args.quiet, args.verbose, bar);
        let progress = Progress::new(talk.clone());
        Ui { quiet: args.quiet, verbose: args.verbose, color, talk, progress }
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
            .event_format(log::Lines(self.talk.clone()))
            .with_writer(log::Out(self.talk.clone()))
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
            DiffFormat::Csv => match diff::csv(changes) {
                Ok(text) => text,
                Err(error) => return self.warn(&format!("cannot write CSV: {error}")),
            },
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
            self.talk.say(Level::Info, line);
        }
        for (arn, hole) in &settled.holes {
            let text = format!("  hole of {arn}  {}: {}", hole.what, hole.why);
            self.talk.say(Level::Info, &text);
        }
    }

    /// Says what was taken of each cluster, and what could not be read.
    pub fn snapshots(&self, taken: &Snapshots) {
        for error in &taken.failed {
            self.talk.say(Level::Error, &error.to_string());
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
        let say = |text: String| self.talk.say(Level::Info, &text);
        say(format!("digests  {} in {} chains", count(&verified.digests), verified.chains));
        say(format!("logs     {}", count(&verified.logs)));
        if verified.others > 0 {
            let others = verified.others;
            say(format!("others   {others} audit logs and other files, which carry no digest"));
        }
        for note in &verified.notes {
            say(format!("note: {note}"));
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
        let known = made.known.iter();
        lines.extend(known.map(|(id, why)| format!("  {id}  stays, {}", printable(why))));
        let to = printable(&made.to.display().to_string());
        lines.push(format!(
            "written to {to}: read apply.sh, then run it; rollback/apply.sh undoes it"
        ));
        lines.push(String::new());
        self.print(&lines.join("\n"));
    }

    /// True when nobody wants to be told what was done.
    pub(super) fn is_quiet(&self) -> bool {
        self.quiet
    }

    /// Prints data on stdout; a closed pipe is no error.
    pub fn print(&self, text: &str) {
        let mut out = std::io::stdout().lock();
        if out.write_all(text.as_bytes()).and_then(|()| out.flush()).is_err() {
            self.warn("stdout was closed before the summary was written");
        }
    }

    /// Prints an error.
    pub fn error(&self, error: &UserError) {
        self.finish_progress();
        self.talk.error(error.level(), &error.told(), &error.render());
    }

    /// True when what is printed may have colour.
    pub(super) fn has_color(&self) -> bool {
        self.color
    }

    /// Says something on stderr.
    pub(super) fn say(&self, what: &str) {
        self.talk.say(Level::Info, what);
    }

    /// Who speaks on stderr.
    #[must_use]
    pub fn talk(&self) -> Talk {
        self.talk.clone()
    }

    /// Says that a signal was heard.
    pub fn stopping(talk: &Talk) {
        let text = "stopping: what is under way is finished and kept; once more ends at once";
        talk.say(Level::Info, text);
    }

    /// Takes the progress bar away.
    pub fn finish_progress(&self) {
        self.progress.finish();
    }

    fn warn(&self, what: &str) {
        self.talk.say(Level::Warn, what);
    }
}

/// Says why nothing was started.
pub fn refuse(error: &UserError) {
    Talk::new(None, false, 0, ProgressBar::hidden()).error(
        error.level(),
        &error.told(),
        &error.render(),
    );
}

impl Events for Ui {
    fn stage(&mut self, name: &'static str) {
        self.progress.stage(name);
    }

    fn total(&mut self, objects: u64, bytes: u64) {
        self.progress.total(objects, bytes);
    }

    fn object(&mut self, bytes: u64) {
        self.progress.object(bytes);
    }

    fn counted(&mut self, records: u64, rejects: u64) {
        self.progress.counted(records, rejects);
    }

    fn note(&mut self, text: &str) {
        self.progress.note(text);
    }
}
