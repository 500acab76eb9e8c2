//! The documents: every command in them is run or at least understood, what they show is what comes out, and every
//! link leads somewhere.
//!
//! - A line `$ …` of a `console` block is run, and what stands below it is compared; a line `…` stands for any number
//!   of lines.
//! - A line of an `sh` block is run, or, where it names a place that no test has, parsed by the command line's own
//!   parser.
//! - What is neither is one of [`ELSEWHERE`], with the reason.
//!
//! A document is one story: its commands run in order in a folder of its own that has the samples. With
//! `OVERGRANT_REFRESH=1` a document gets what really came out; read it, and run the test again.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use clap::builder::Resettable;
use clap::error::ErrorKind;
use clap::{CommandFactory, Id, Parser};
use overgrant::cli::args::Args;

use crate::support::project;

/// Reading: blocks, commands, headings.
mod page;

use page::{Block, Page, simple_commands};

/// Commands that no test of documents runs, by how they begin, and why.
const ELSEWHERE: &[(&str, &str)] = &[
    ("cargo test", "this is it"),
    ("cargo bench", "takes minutes and measures the machine"),
    ("CARGO_PROFILE_DEV_OPT_LEVEL=3 cargo bench", "takes minutes and measures the machine"),
    ("alias overgrant=", "a word of the reader's shell; here the binary goes by that name"),
    ("pip install", "the registry of Python; .ci/run installs what the tests need"),
    (
        "python benches/peers/compare.py",
        "needs other programs and corpora of hundreds of megabytes",
    ),
    ("aws ", "asks AWS"),
    ("scan=$(aws ", "asks AWS"),
    ("cd tests/fuzz", "another toolchain's build; `cargo test` runs the targets themselves"),
    ("RUSTFLAGS=", "another toolchain's build; `cargo test` runs the targets themselves"),
    ("TARGET=", "another toolchain's build; `cargo test` runs the targets themselves"),
    (
        "mkdir -p target/found",
        "another toolchain's build; `cargo test` runs the targets themselves",
    ),
];

/// Programs that stories may use beside overgrant: they read and write in the story's own folder.
const TOOLS: &[&str] =
    &["bash", "cat", "cp", "echo", "grep", "head", "ls", "mkdir", "sed", "sort", "tail", "wc"];

/// A command line with one of these names something that no test has.
const NO_SUCH_PLACE: &[&str] = &["s3://", "--cluster", "…"];

/// Flags in the prose of the documents that are not overgrant's.
const OTHER_FLAGS: &[&str] = &[
    "--approve",
    "--by-place",
    "--partition-mib",
    "--partitions",
    "--queries",
    "--steps",
    "--tables",
];

/// Languages of blocks that hold no command.
const NO_COMMANDS: &[&str] = &["text", "toml", "json", "yaml", "hcl"];

/// The page that `tests/analysts` runs: there, languages have answers to compare.
const OF_ANALYSTS: &str = "queries/README.md";

fn pages() -> Vec<Page> {
    let mut found = Vec::new();
    let mut folders = vec![project("")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            let made = ["target", "reports", "bundle"].contains(&name.as_str());
            if path.is_dir() && !name.starts_with('.') && !made {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "md") {
                found.push(Page::read(&path));
            }
        }
    }
    found.sort_by(|left, right| left.name.cmp(&right.name));
    found
}

/// What is to be done about a line.
#[derive(Debug, PartialEq, Eq)]
enum Class {
    /// Run it.
    Runs,
    /// It names what is not here: parse it.
    Parses,
    /// Another test, or nobody, runs it: the index into [`ELSEWHERE`].
    Elsewhere(usize),
}

fn classify(line: &str) -> Result<Class, String> {
    if let Some(index) = ELSEWHERE.iter().position(|(start, _)| line.starts_with(start)) {
        // What stands behind it on the line must be known all the same.
        let rest = simple_commands(line).into_iter().skip(1);
        for command in rest {
            classify(&command.join(" "))?;
        }
        return Ok(Class::Elsewhere(index));
    }
    let mut class = Class::Runs;
    for command in simple_commands(line) {
        let Some(program) = command.first() else { continue };
        if program == "overgrant" {
            let place = |word: &String| NO_SUCH_PLACE.iter().any(|place| word.contains(place));
            if command.iter().any(place) {
                class = Class::Parses;
            }
        } else if !TOOLS.contains(&program.as_str()) {
            return Err(format!("nobody knows what {program:?} is"));
        }
    }
    Ok(class)
}

/// The command line's parser without what must be there, for commands with `…` in them.
fn lenient() -> clap::Command {
    fn loosen(command: clap::Command) -> clap::Command {
        let names: Vec<String> =
            command.get_subcommands().map(|sub| sub.get_name().to_owned()).collect();
        names.into_iter().fold(
            command
                .mut_args(|arg| {
                    arg.required(false).required_unless_present(Resettable::<Id>::Reset)
                })
                .subcommand_required(false),
            |command, name| command.mut_subcommand(name, loosen),
        )
    }
    loosen(Args::command())
}

/// Every call of overgrant in the line is understood, whoever runs it.
fn parses(line: &str) -> Result<(), String> {
    for words in simple_commands(line) {
        if words.first().is_none_or(|program| program != "overgrant") {
            continue;
        }
        // What is left out here is said by `…` or by the configuration.
        let elsewhere = |word: &String| word.contains('…') || word == "--config";
        let understood = if words.iter().any(elsewhere) {
            lenient().try_get_matches_from(&words).map(drop)
        } else {
            Args::try_parse_from(&words).map(drop)
        };
        understood.map_err(|error| error.to_string())?;
    }
    Ok(())
}

/// The folder of a story.
struct Stage {
    folder: tempfile::TempDir,
}

impl Stage {
    fn new(page: &Page) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        for name in ["bin", "home", "story"] {
            std::fs::create_dir(at(name)).unwrap();
        }
        let link = |from: &Path, to: &str| std::os::unix::fs::symlink(from, at(to)).unwrap();
        link(Path::new(env!("CARGO_BIN_EXE_overgrant")), "bin/overgrant");
        link(&project("samples"), "story/samples");
        link(&project("queries"), "story/queries");
        let stage = Stage { folder };
        let first = page.commands().find(|line| line.contains("overgrant "));
        if page.name == OF_ANALYSTS {
            // Its reader stands in the output.
            stage.prepare("story");
        } else if !first.is_some_and(|line| line.starts_with("overgrant audit samples/")) {
            stage.prepare("story/reports");
        }
        stage
    }

    fn prepare(&self, out: &str) {
        let place = self.folder.path().join(out);
        // The links are no part of a run: it is made beside them and moved in.
        let made = self.folder.path().join("made");
        let audit = format!(
            "overgrant audit samples/logs --inventory samples/inventory -q --out {}",
            made.display()
        );
        let (code, said) = self.run(&audit);
        assert_eq!(code, Some(0), "{said}");
        if place.exists() {
            for entry in std::fs::read_dir(&made).unwrap() {
                let entry = entry.unwrap();
                std::fs::rename(entry.path(), place.join(entry.file_name())).unwrap();
            }
        } else {
            std::fs::rename(&made, &place).unwrap();
        }
    }

    /// Exit code and all that was said.
    fn run(&self, line: &str) -> (Option<i32>, String) {
        let at = |name: &str| self.folder.path().join(name);
        let done = Command::new("bash")
            .args(["-uo", "pipefail", "-c", &format!("exec 2>&1\n{line}")])
            .current_dir(at("story"))
            .env_clear()
            .env("PATH", format!("{}:/usr/local/bin:/usr/bin:/bin", at("bin").display()))
            .env("HOME", at("home"))
            .env("TMPDIR", self.folder.path())
            .env("QUERIES", project("queries"))
            .env("LC_ALL", "C.UTF-8")
            .env("TZ", "UTC")
            .stdin(Stdio::null())
            .output()
            .unwrap();
        (done.status.code(), String::from_utf8(done.stdout).unwrap())
    }
}

/// True when `shown` is `real`, where a line `…` stands for any number of lines.
fn shows(shown: &[&str], real: &[&str]) -> bool {
    match (shown.split_first(), real.split_first()) {
        (None, None) => true,
        (Some((&"…", rest)), _) => (0..=real.len()).any(|at| shows(rest, &real[at..])),
        (Some((left, shown)), Some((right, real))) => left == right && shows(shown, real),
        _ => false,
    }
}

/// What to show of `real`, left out where it was left out before: each part of `shown` keeps its number of lines,
/// from where its first line is found. All of it where a part is not found.
fn refreshed(shown: &[&str], real: &[&str]) -> Vec<String> {
    let all = || real.iter().map(|line| (*line).to_owned()).collect();
    if !shown.contains(&"…") {
        return all();
    }
    let parts: Vec<&[&str]> = shown.split(|line| *line == "…").collect();
    let mut kept: Vec<String> = Vec::new();
    let mut from = 0;
    for (number, part) in parts.iter().enumerate() {
        if number > 0 {
            kept.push("…".to_owned());
        }
        let Some(first) = part.first() else { continue };
        let found = if number == 0 {
            Some(0)
        } else {
            real[from..].iter().position(|line| line == first).map(|at| from + at)
        };
        let until =
            found.map(|at| if number + 1 == parts.len() { real.len() } else { at + part.len() });
        let (Some(at), Some(until)) = (found, until.filter(|until| *until <= real.len())) else {
            return all();
        };
        kept.extend(real[at..until].iter().map(|line| (*line).to_owned()));
        from = until;
    }
    let shown: Vec<&str> = kept.iter().map(String::as_str).collect();
    if shows(&shown, real) { kept } else { all() }
}

/// Runs a story. What is wrong, and the page as it should be.
fn tell(page: &Page, used: &mut BTreeSet<usize>) -> (Vec<String>, String) {
    let mut wrong = Vec::new();
    let mut stage: Option<Stage> = None;
    let mut edits: Vec<(usize, usize, Vec<String>)> = Vec::new();
    for block in &page.blocks {
        if block.language != "console" && block.language != "sh" {
            continue;
        }
        if block.needs {
            assert_eq!(
                page.name, OF_ANALYSTS,
                "a block that needs something is run by tests/analysts"
            );
            continue;
        }
        for command in block.commands() {
            let at = format!("{}:{}: {}", page.name, command.line, command.text);
            let class = match parses(&command.text).and_then(|()| classify(&command.text)) {
                Ok(class) => class,
                Err(why) => {
                    wrong.push(format!("{at}\n{why}"));
                    continue;
                }
            };
            match class {
                Class::Elsewhere(index) => {
                    used.insert(index);
                }
                Class::Parses => {}
                Class::Runs => {
                    let stage = stage.get_or_insert_with(|| Stage::new(page));
                    let (code, said) = stage.run(&command.text);
                    if code != Some(0) {
                        wrong.push(format!("{at}\nexit {code:?}: {said}"));
                        continue;
                    }
                    if block.language == "sh" {
                        continue;
                    }
                    let said: Vec<&str> = said.lines().map(str::trim_end).collect();
                    let shown: Vec<&str> = command.shown.iter().map(String::as_str).collect();
                    if !shows(&shown, &said) {
                        wrong.push(format!("{at}\nsays\n{}", said.join("\n")));
                        edits.push((command.shown_from, shown.len(), refreshed(&shown, &said)));
                    }
                }
            }
            if block.language == "console" && class != Class::Runs {
                wrong.push(format!("{at}\nshows what no test can compare: {class:?}"));
            }
        }
    }
    let mut lines: Vec<String> = page.text.lines().map(str::to_owned).collect();
    for (from, count, real) in edits.into_iter().rev() {
        lines.splice(from..from + count, real);
    }
    (wrong, lines.join("\n") + "\n")
}

#[test]
fn every_command_runs_or_parses_and_says_what_is_shown() {
    let refresh = std::env::var_os("OVERGRANT_REFRESH").is_some_and(|value| value == "1");
    let mut used = BTreeSet::new();
    let mut wrong = Vec::new();
    for page in pages() {
        let (found, fresh) = tell(&page, &mut used);
        if refresh && fresh != page.text {
            std::fs::write(&page.path, fresh).unwrap();
            eprintln!("{} was refreshed: look at it", page.name);
        }
        wrong.extend(found);
    }
    for (index, (start, _)) in ELSEWHERE.iter().enumerate() {
        if !used.contains(&index) {
            wrong.push(format!("no document says {start:?} any more: take it off the list"));
        }
    }
    assert!(
        wrong.is_empty(),
        "OVERGRANT_REFRESH=1 puts in what comes out\n\n{}",
        wrong.join("\n\n")
    );
}

#[test]
fn every_block_says_what_it_is() {
    let mut wrong = Vec::new();
    for page in pages() {
        for Block { language, line, needs, text, .. } in &page.blocks {
            let known = match language.as_str() {
                "console" => text.starts_with("$ "),
                "sh" => true,
                "sql" | "python" => page.name == OF_ANALYSTS,
                other => NO_COMMANDS.contains(&other) && !needs,
            };
            let hidden = language != "sh"
                && language != "console"
                && text.lines().any(|line| {
                    ["$ ", "overgrant ", "cargo "].iter().any(|start| line.starts_with(start))
                });
            if !known || hidden {
                wrong.push(format!("{}:{line}: {language:?}", page.name));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_configuration_is_one() {
    let folder = tempfile::tempdir().unwrap();
    let mut count = 0;
    for page in pages() {
        for block in page.blocks.iter().filter(|block| block.language == "toml") {
            let file = folder.path().join("overgrant.toml");
            std::fs::write(&file, &block.text).unwrap();
            let argv = ["overgrant", "audit", "logs", "--out", "reports"].map(Into::into).to_vec();
            let given = overgrant::cli::config::read(argv, folder.path());
            let read =
                given.unwrap_or_else(|error| panic!("{}:{}: {error:?}", page.name, block.line));
            assert!(read.config.is_some());
            count += 1;
        }
    }
    assert!(count > 0, "no document shows a configuration");
}

#[test]
fn what_prose_says_of_flags_and_commands_is_so() {
    fn flags(command: &clap::Command, all: &mut BTreeSet<String>) {
        all.extend(
            command
                .get_arguments()
                .filter_map(|arg| arg.get_long().map(|name| format!("--{name}"))),
        );
        for sub in command.get_subcommands() {
            flags(sub, all);
        }
    }
    let mut command = Args::command();
    command.build();
    let mut all = BTreeSet::new();
    flags(&command, &mut all);
    let mut wrong = Vec::new();
    let mut others = BTreeSet::new();
    for page in pages().iter().filter(|page| page.of_the_product()) {
        for (line, span) in page.spans() {
            let flag: String =
                span.chars().take_while(|c| c.is_ascii_lowercase() || *c == '-').collect();
            if flag.len() > 2 && flag.starts_with("--") && !all.contains(&flag) {
                match OTHER_FLAGS.iter().find(|other| **other == flag) {
                    Some(other) => _ = others.insert(*other),
                    None => wrong.push(format!("{}:{line}: {span}", page.name)),
                }
            }
            let Some(words) = simple_commands(span).into_iter().next() else { continue };
            if words.len() < 2 || words[0] != "overgrant" {
                continue;
            }
            if let Err(error) = lenient().try_get_matches_from(&words)
                && matches!(error.kind(), ErrorKind::UnknownArgument | ErrorKind::InvalidSubcommand)
            {
                wrong.push(format!("{}:{line}: {span}: {error}", page.name));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(others.len(), OTHER_FLAGS.len(), "{OTHER_FLAGS:?}: one is in no document");
}

#[test]
fn every_link_leads_somewhere() {
    let pages = pages();
    let anchors: BTreeMap<PathBuf, BTreeSet<String>> =
        pages.iter().map(|page| (page.path.clone(), page.anchors())).collect();
    let mut wrong = Vec::new();
    let mut count = 0;
    for page in &pages {
        for (line, target) in page.links() {
            if target.starts_with("https://") || target.starts_with("http://") {
                continue;
            }
            count += 1;
            let (file, anchor) = target.split_once('#').unwrap_or((&target, ""));
            let place = if file.is_empty() {
                page.path.clone()
            } else {
                page.path.parent().unwrap().join(file)
            };
            let found = std::fs::canonicalize(&place).ok();
            let inside = found
                .as_ref()
                .is_some_and(|found| found.starts_with(project("").canonicalize().unwrap()));
            let reached = anchor.is_empty()
                || found.is_some_and(|found| {
                    anchors.get(&found).is_some_and(|all| all.contains(anchor))
                });
            if !inside || !reached {
                wrong.push(format!("{}:{line}: {target}", page.name));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(count > 20, "{count} links");
    // Who reads the front page finds all of docs/.
    let front = pages.iter().find(|page| page.name == "README.md").unwrap();
    let linked: BTreeSet<String> = front.links().into_iter().map(|(_, target)| target).collect();
    for page in pages.iter().filter(|page| page.name.starts_with("docs/")) {
        assert!(linked.contains(&page.name), "README.md has no link to {}", page.name);
    }
}

/// It is made anew, where the page looks different, by
/// `chromium --headless --hide-scrollbars --window-size=1280,800 --screenshot=docs/report.png reports/report.html`.
#[test]
fn the_picture_is_small() {
    let bytes = std::fs::read(project("docs/report.png")).unwrap();
    assert!(bytes.starts_with(b"\x89PNG\r\n"));
    assert!(bytes.len() < 200_000, "{} bytes", bytes.len());
}

#[test]
fn left_out_lines_are_any_number_of_lines() {
    let check = |shown: &str, real: &str, same: bool| {
        let shown: Vec<&str> = shown.lines().collect();
        let real: Vec<&str> = real.lines().collect();
        assert_eq!(shows(&shown, &real), same, "{shown:?} {real:?}");
        let fresh = refreshed(&shown, &real);
        let fresh: Vec<&str> = fresh.iter().map(String::as_str).collect();
        assert!(shows(&fresh, &real), "{fresh:?} {real:?}");
    };
    check("a\nb", "a\nb", true);
    check("a\nb", "a\nc", false);
    check("a", "a\nb", false);
    check("a\n…", "a\nb\nc", true);
    check("…\nc", "a\nb\nc", true);
    check("a\n…\nd", "a\nb\nc\nd", true);
    check("a\n…\nb\nx\n…", "a\n1\nb\nc\nd", false);
    check("a\n…\nd", "a\nb", false);
    check("", "a", false);
    // A part keeps its number of lines.
    assert_eq!(
        refreshed(&["a", "…", "c", "4", "…"], &["a", "b", "c", "5", "d"]),
        ["a", "…", "c", "5", "…"]
    );
}
