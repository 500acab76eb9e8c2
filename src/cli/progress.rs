//! What stderr hears while a run is at work: a bar on a terminal, lines for a scheduler, or nothing.
//!
//! A run tells of each object once ([`Events`]); figures are kept behind one lock that is taken as often
//! and by the thread that prints a line every ten seconds. Time is read here and nowhere below.
#![expect(clippy::print_stderr, reason = "cli is the one room that prints")]
#![expect(
    clippy::disallowed_methods,
    reason = "cli reads the clock, for rates and for lines of a log"
)]

use std::ffi::OsString;
use std::io::Write;
use std::process::ExitCode;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{HumanBytes, HumanCount, HumanDuration, ProgressBar, ProgressStyle};
use serde::Serialize;

use super::exit::Exit;
use crate::model::time::{MICROS_PER_HOUR, Micros};
use crate::pipeline::Events;
use crate::report::terminal::printable;

/// Between two lines of a long stage.
const EVERY: Duration = Duration::from_secs(10);
/// Between two steps of a bar that waits.
const TICK: Duration = Duration::from_millis(120);
const MICROS_PER_SECOND: i64 = MICROS_PER_HOUR / 3600;

/// How lines on stderr look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// Time, level, text
    Text,
    /// A JSON object per line
    Json,
}

/// How bad a line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// The run cannot go on.
    Error,
    /// Something to know.
    Warn,
    /// What happens.
    Info,
    /// For who develops.
    Debug,
}

impl Level {
    fn as_str(self) -> &'static str {
        match self {
            Level::Error => "error",
            Level::Warn => "warn",
            Level::Info => "info",
            Level::Debug => "debug",
        }
    }
}

/// An error in its parts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Told {
    /// What failed, and where.
    pub what: String,
    /// Why, outermost first.
    pub because: Vec<String>,
    /// What to do next.
    pub hint: Option<String>,
}

/// Where lines go.
type Sink = Arc<dyn Fn(&str) + Send + Sync>;

/// Who speaks on stderr, and how.
#[derive(Clone)]
pub struct Talk {
    format: Option<LogFormat>,
    quiet: bool,
    verbose: u8,
    bar: ProgressBar,
    sink: Sink,
}

impl Talk {
    /// Lines go to stderr, above the bar where there is one.
    #[must_use]
    pub fn new(format: Option<LogFormat>, quiet: bool, verbose: u8, bar: ProgressBar) -> Self {
        let above = bar.clone();
        // Nobody can be told that stderr is closed.
        let print = move |text: &str| {
            above.suspend(|| std::io::stderr().lock().write_all(text.as_bytes()).ok());
        };
        Talk { format, quiet, verbose, bar, sink: Arc::new(print) }
    }

    /// Says something, unless less is to be said. Names in it are hostile.
    pub fn say(&self, level: Level, text: &str) {
        if !self.quiet || level == Level::Error {
            (self.sink)(&message(self.format, level, None, text, now()));
        }
    }

    /// Says something that only who asks for more wants to know.
    pub fn note(&self, text: &str) {
        if self.verbose > 0 {
            self.say(Level::Info, text);
        }
    }

    /// Says an error; as plain text it is `plain`.
    pub fn error(&self, level: Level, told: &Told, plain: &str) {
        match self.format {
            Some(LogFormat::Json) => (self.sink)(&error_as_json(level, told, now())),
            Some(LogFormat::Text) | None => (self.sink)(plain),
        }
    }

    /// Writes lines as they are.
    pub(super) fn raw(&self, lines: &str) {
        (self.sink)(lines);
    }

    /// How lines look.
    pub(super) fn format(&self) -> Option<LogFormat> {
        self.format
    }

    /// True when figures are told as lines.
    fn has_lines(&self) -> bool {
        self.format.is_some() && !self.quiet
    }
}

/// Seconds are enough.
pub(super) fn now() -> Micros {
    let now = chrono::Utc::now().timestamp_micros();
    Micros(now - now.rem_euclid(MICROS_PER_SECOND))
}

/// One line, with its end.
pub(super) fn message(
    format: Option<LogFormat>,
    level: Level,
    target: Option<&str>,
    text: &str,
    at: Micros,
) -> String {
    #[derive(Serialize)]
    struct Line<'a> {
        at: &'a str,
        level: Level,
        #[serde(skip_serializing_if = "Option::is_none")]
        target: Option<&'a str>,
        message: &'a str,
    }
    let (at, text) = (at.to_rfc3339(), printable(text));
    let of = target.map(|target| format!("{target}: ")).unwrap_or_default();
    match format {
        Some(LogFormat::Json) => json(&Line { at: &at, level, target, message: text.trim() }),
        Some(LogFormat::Text) => format!("{at} {:<5} {of}{}\n", level.as_str(), text.trim()),
        None if level == Level::Info && target.is_none() => format!("{text}\n"),
        None if level == Level::Warn && target.is_none() => format!("warning: {text}\n"),
        None => format!("{}: {of}{text}\n", level.as_str()),
    }
}

fn error_as_json(level: Level, told: &Told, at: Micros) -> String {
    #[derive(Serialize)]
    struct Line<'a> {
        at: String,
        level: Level,
        #[serde(flatten)]
        told: &'a Told,
    }
    json(&Line { at: at.to_rfc3339(), level, told })
}

fn json(line: &impl Serialize) -> String {
    let mut text = serde_json::to_string(line).unwrap_or_default();
    text.push('\n');
    text
}

/// What was counted of a stage.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Figures {
    /// Empty when nothing is under way.
    stage: &'static str,
    objects: u64,
    objects_total: u64,
    bytes: u64,
    bytes_total: u64,
    records: u64,
    /// Of all stages so far.
    rejects: u64,
}

impl Figures {
    fn begin(&mut self, stage: &'static str) {
        *self = Figures { stage, rejects: self.rejects, ..Figures::default() };
    }

    fn per_second(&self, elapsed: Duration) -> Option<u64> {
        let millis = u64::try_from(elapsed.as_millis()).ok().filter(|millis| *millis > 0)?;
        (self.records > 0).then(|| self.records.saturating_mul(1000) / millis)
    }

    /// What is left, by bytes: objects are of very different sizes. By objects where bytes are not known.
    fn eta(&self, elapsed: Duration) -> Option<Duration> {
        let (done, total) = if self.bytes_total > 0 {
            (self.bytes, self.bytes_total)
        } else {
            (self.objects, self.objects_total)
        };
        if done == 0 {
            return None;
        }
        let left = u128::from(total.saturating_sub(done));
        let millis = elapsed.as_millis().checked_mul(left)? / u128::from(done);
        Some(Duration::from_millis(u64::try_from(millis).ok()?))
    }

    /// `12 of 345 objects, 1.00 MiB of 3.00 GiB, 1,234 records/s, 0 rejects, 12 seconds left`
    fn text(&self, elapsed: Duration) -> String {
        let count = HumanCount;
        let mut parts = Vec::new();
        if self.objects_total > 0 {
            parts.push(format!("{} of {} objects", count(self.objects), count(self.objects_total)));
        }
        if self.bytes_total > 0 {
            parts.push(format!("{} of {}", HumanBytes(self.bytes), HumanBytes(self.bytes_total)));
            if let Some(rate) = self.per_second(elapsed) {
                parts.push(format!("{} records/s", count(rate)));
            }
            parts.push(format!("{} rejects", count(self.rejects)));
        }
        if let Some(eta) = self.eta(elapsed).filter(|_| self.objects < self.objects_total) {
            parts.push(format!("{} left", HumanDuration(eta)));
        }
        parts.join(", ")
    }

    fn line(&self, format: LogFormat, elapsed: Duration, at: Micros, says: &str) -> String {
        #[derive(Serialize)]
        struct Line<'a> {
            at: &'a str,
            level: Level,
            stage: &'a str,
            objects: u64,
            objects_total: u64,
            bytes: u64,
            bytes_total: u64,
            records: u64,
            records_per_second: Option<u64>,
            rejects: u64,
            eta_seconds: Option<u64>,
            message: &'a str,
        }
        let text = self.text(elapsed);
        let text = if text.is_empty() { says.to_owned() } else { format!("{says}: {text}") };
        if format == LogFormat::Text {
            let text = format!("{} {text}", self.stage);
            return message(Some(format), Level::Info, None, &text, at);
        }
        json(&Line {
            at: &at.to_rfc3339(),
            level: Level::Info,
            stage: self.stage,
            objects: self.objects,
            objects_total: self.objects_total,
            bytes: self.bytes,
            bytes_total: self.bytes_total,
            records: self.records,
            records_per_second: self.per_second(elapsed),
            rejects: self.rejects,
            eta_seconds: self.eta(elapsed).map(|eta| eta.as_secs()),
            message: &text,
        })
    }
}

/// Figures, and since when the stage is under way.
struct Stage {
    figures: Figures,
    since: Instant,
}

/// The progress of a run.
pub struct Progress {
    talk: Talk,
    stage: Arc<Mutex<Stage>>,
    every: Duration,
    /// Ends the thread that prints lines when it is dropped.
    ticker: Option<Sender<()>>,
}

impl Progress {
    /// Nothing is under way yet.
    #[must_use]
    pub fn new(talk: Talk) -> Self {
        let stage = Stage { figures: Figures::default(), since: Instant::now() };
        Progress { talk, stage: Arc::new(Mutex::new(stage)), every: EVERY, ticker: None }
    }

    /// Nothing is under way any more.
    pub fn finish(&self) {
        let mut stage = self.stage.lock().unwrap_or_else(PoisonError::into_inner);
        end(&mut stage, &self.talk);
        self.talk.bar.finish_and_clear();
    }

    fn change(&self, change: impl FnOnce(&mut Figures)) {
        let mut stage = self.stage.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut stage.figures);
        let bar = &self.talk.bar;
        if !bar.is_hidden() {
            let figures = &stage.figures;
            let by_bytes = figures.bytes_total > 0;
            bar.set_position(if by_bytes { figures.bytes } else { figures.objects });
            bar.set_length(if by_bytes { figures.bytes_total } else { figures.objects_total });
            bar.set_message(figures.text(stage.since.elapsed()));
        }
    }

    /// A line every so often, also where nothing comes to an end for long.
    fn tick(&mut self) {
        if self.ticker.is_some() || !self.talk.has_lines() {
            return;
        }
        let (sender, receiver) = channel();
        let (talk, stage, every) = (self.talk.clone(), Arc::clone(&self.stage), self.every);
        let lines = move || {
            while receiver.recv_timeout(every) == Err(RecvTimeoutError::Timeout) {
                let stage = stage.lock().unwrap_or_else(PoisonError::into_inner);
                if !stage.figures.stage.is_empty() && stage.since.elapsed() >= every {
                    tell(&stage, &talk, "goes on");
                }
            }
        };
        // Without it there are fewer lines, and nothing else.
        if std::thread::Builder::new().name("progress".to_owned()).spawn(lines).is_ok() {
            self.ticker = Some(sender);
        }
    }
}

/// Ends a stage; one that counted something says what.
fn end(stage: &mut Stage, talk: &Talk) {
    if stage.figures.objects_total > 0 {
        tell(stage, talk, "done");
    }
    stage.figures.begin("");
}

fn tell(stage: &Stage, talk: &Talk, says: &str) {
    if let (Some(format), true) = (talk.format, talk.has_lines()) {
        (talk.sink)(&stage.figures.line(format, stage.since.elapsed(), now(), says));
    }
}

impl Events for Progress {
    fn stage(&mut self, name: &'static str) {
        self.tick();
        {
            let mut stage = self.stage.lock().unwrap_or_else(PoisonError::into_inner);
            end(&mut stage, &self.talk);
            stage.figures.begin(name);
            stage.since = Instant::now();
            tell(&stage, &self.talk, "begins");
        }
        let bar = &self.talk.bar;
        if !bar.is_hidden() {
            let template = match name {
                "scan" | "again" | "verify" | "clusters" | "lookup" => {
                    "{prefix:>9} [{bar:20}] {msg}"
                }
                _ => "{prefix:>9} {spinner} {msg}",
            };
            if let Ok(style) = ProgressStyle::with_template(template) {
                bar.set_style(style.progress_chars("=> "));
            }
            // One that was taken away, as before a question to AWS, is drawn again.
            bar.reset();
            bar.set_message("");
            bar.set_prefix(name);
            bar.enable_steady_tick(TICK);
        }
    }

    fn total(&mut self, objects: u64, bytes: u64) {
        self.change(|figures| {
            figures.begin(figures.stage);
            (figures.objects_total, figures.bytes_total) = (objects, bytes);
        });
    }

    fn object(&mut self, bytes: u64) {
        self.change(|figures| {
            figures.objects += 1;
            figures.bytes += bytes;
        });
    }

    fn counted(&mut self, records: u64, rejects: u64) {
        let mut stage = self.stage.lock().unwrap_or_else(PoisonError::into_inner);
        stage.figures.records += records;
        stage.figures.rejects += rejects;
    }

    fn note(&mut self, text: &str) {
        self.talk.note(text);
    }
}

/// True when the arguments ask for JSON, though they do not read as a whole.
#[must_use]
pub fn wants_json(arguments: impl IntoIterator<Item = OsString>) -> bool {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    let pair = |two: &[OsString]| matches!(two, [flag, value] if flag == "--log-format" && value == "json");
    arguments.iter().any(|one| one == "--log-format=json") || arguments.windows(2).any(pair)
}

/// A wrong command line as a JSON line on stderr.
#[must_use]
pub fn usage_as_json(error: &clap::Error, exit: Exit) -> ExitCode {
    eprint!("{}", error_as_json(Level::Error, &told_of_usage(error), now()));
    exit.into()
}

fn told_of_usage(error: &clap::Error) -> Told {
    let text = error.render().to_string();
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let what = lines.next().unwrap_or_default();
    let what = printable(what.strip_prefix("error: ").unwrap_or(what));
    let rest: Vec<String> = lines.map(printable).collect();
    Told { what, because: Vec::new(), hint: (!rest.is_empty()).then(|| rest.join(" ")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figures() -> Figures {
        Figures {
            stage: "scan",
            objects: 1,
            objects_total: 4,
            bytes: 3 << 20,
            bytes_total: 4 << 20,
            records: 3000,
            rejects: 2,
        }
    }

    #[test]
    fn what_is_left_goes_by_bytes_not_by_objects() {
        let check = |figures: &Figures, seconds, expected: Option<u64>| {
            let eta = figures.eta(Duration::from_secs(seconds));
            assert_eq!(eta.map(|eta| eta.as_secs()), expected, "{figures:?}");
        };
        // A quarter of the bytes is left, three quarters of the objects.
        check(&figures(), 30, Some(10));
        check(&Figures { bytes: 0, ..figures() }, 30, None);
        check(&Figures { bytes: 5 << 20, ..figures() }, 30, Some(0));
        check(&Figures { bytes: 0, bytes_total: 0, ..figures() }, 30, Some(90));
        check(&Figures::default(), 30, None);
    }

    #[test]
    fn a_line_of_figures() {
        let elapsed = Duration::from_secs(30);
        let at = Micros::parse("2026-11-24T00:00:00Z").unwrap();
        let line = |format| figures().line(format, elapsed, at, "goes on");
        insta::assert_snapshot!(line(LogFormat::Text), @"2026-11-24T00:00:00Z info  scan goes on: 1 of 4 objects, 3.00 MiB of 4.00 MiB, 100 records/s, 2 rejects, 10 seconds left");
        insta::assert_snapshot!(line(LogFormat::Json), @r#"{"at":"2026-11-24T00:00:00Z","level":"info","stage":"scan","objects":1,"objects_total":4,"bytes":3145728,"bytes_total":4194304,"records":3000,"records_per_second":100,"rejects":2,"eta_seconds":10,"message":"goes on: 1 of 4 objects, 3.00 MiB of 4.00 MiB, 100 records/s, 2 rejects, 10 seconds left"}"#);
    }

    #[test]
    fn hostile_names_are_escaped_in_every_shape() {
        let check = |format, level, expected: &str| {
            let line = message(format, level, None, "  k\x1b[2J\u{202e}\n\"", Micros(0));
            assert_eq!(line, expected);
        };
        check(None, Level::Info, "  k\\u{1b}[2J\\u{202e}\\n\"\n");
        check(None, Level::Warn, "warning:   k\\u{1b}[2J\\u{202e}\\n\"\n");
        check(
            Some(LogFormat::Text),
            Level::Info,
            "1970-01-01T00:00:00Z info  k\\u{1b}[2J\\u{202e}\\n\"\n",
        );
        check(
            Some(LogFormat::Json),
            Level::Warn,
            "{\"at\":\"1970-01-01T00:00:00Z\",\"level\":\"warn\",\"message\":\"k\\\\u{1b}[2J\\\\u{202e}\\\\n\\\"\"}\n",
        );
    }

    /// A progress that writes to a string.
    fn heard(format: Option<LogFormat>, quiet: bool) -> (Progress, Arc<Mutex<String>>) {
        let text = Arc::new(Mutex::new(String::new()));
        let to = Arc::clone(&text);
        let mut talk = Talk::new(format, quiet, 0, ProgressBar::hidden());
        talk.sink = Arc::new(move |line: &str| to.lock().unwrap().push_str(line));
        (Progress { every: Duration::from_millis(20), ..Progress::new(talk) }, text)
    }

    #[test]
    fn a_long_stage_is_told_of_though_nothing_comes_to_an_end() {
        let (mut progress, text) = heard(Some(LogFormat::Text), false);
        progress.stage("fold");
        let patience = Instant::now();
        while !text.lock().unwrap().contains("fold goes on") {
            assert!(patience.elapsed() < Duration::from_secs(20), "{}", text.lock().unwrap());
            std::thread::sleep(Duration::from_millis(5));
        }
        progress.finish();
        let before = text.lock().unwrap().clone();
        std::thread::sleep(Duration::from_millis(80));
        assert_eq!(*text.lock().unwrap(), before, "nothing is under way");
    }

    #[test]
    fn a_stage_that_counted_says_what_and_rejects_add_up() {
        let (mut progress, text) = heard(Some(LogFormat::Text), false);
        for stage in ["scan", "again"] {
            progress.stage(stage);
            progress.total(1, 10);
            progress.counted(5, 1);
            progress.object(10);
        }
        progress.finish();
        let text = text.lock().unwrap().clone();
        let done: Vec<&str> = text.lines().filter(|line| line.contains(" done: ")).collect();
        assert_eq!(done.len(), 2, "{text}");
        assert!(done[0].contains("1 of 1 objects, 10 B of 10 B") && done[0].contains("1 rejects"));
        assert!(done[1].contains("again done") && done[1].contains("2 rejects"), "{text}");

        for (format, quiet) in [(None, false), (Some(LogFormat::Json), true)] {
            let (mut progress, text) = heard(format, quiet);
            progress.stage("scan");
            progress.total(1, 10);
            progress.object(10);
            progress.finish();
            assert_eq!(*text.lock().unwrap(), "", "{format:?} {quiet}");
        }
    }

    #[test]
    fn the_wish_for_json_is_heard_in_a_wrong_command_line() {
        let check = |arguments: &[&str], expected| {
            assert_eq!(wants_json(arguments.iter().map(OsString::from)), expected, "{arguments:?}");
        };
        check(&["overgrant", "--log-format", "json", "--nope"], true);
        check(&["overgrant", "--log-format=json"], true);
        check(&["overgrant", "--log-format", "text"], false);
        check(&["overgrant", "json", "--log-format"], false);
    }
}
