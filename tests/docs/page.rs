//! A document in pieces: blocks, the commands in them, links, headings, code in prose.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::support::project;

/// A fenced block.
#[derive(Debug)]
pub(super) struct Block {
    /// The first word behind the fence.
    pub(super) language: String,
    /// Something must be installed for it.
    pub(super) needs: bool,
    /// Line of the fence, from 1.
    pub(super) line: usize,
    pub(super) text: String,
}

/// A command of a block.
#[derive(Debug)]
pub(super) struct Typed {
    /// Line, from 1.
    pub(super) line: usize,
    /// What bash gets: continued lines joined, `cargo run` said shortly.
    pub(super) text: String,
    /// What the document shows of its output.
    pub(super) shown: Vec<String>,
    /// Index of the line at which that begins, from 0.
    pub(super) shown_from: usize,
}

impl Block {
    /// Commands of a `console` or `sh` block.
    pub(super) fn commands(&self) -> Vec<Typed> {
        let console = self.language == "console";
        let mut all: Vec<Typed> = Vec::new();
        let mut open = false;
        for (number, line) in self.text.lines().enumerate() {
            let typed = if console { line.strip_prefix("$ ") } else { Some(line.trim()) };
            // The fence is on line `self.line`, so the text begins one below it.
            let at = self.line + 1 + number;
            match (typed, all.last_mut()) {
                (_, Some(last)) if open => {
                    last.text.push(' ');
                    last.text.push_str(line.trim());
                    last.shown_from = at;
                }
                (Some(typed), _) => {
                    if typed.is_empty() || typed.starts_with('#') {
                        continue;
                    }
                    let text = typed.to_owned();
                    all.push(Typed { line: at, text, shown: Vec::new(), shown_from: at });
                }
                (None, Some(last)) => last.shown.push(line.to_owned()),
                (None, None) => {}
            }
            open = false;
            if let Some(last) = all.last_mut()
                && last.shown.is_empty()
                && let Some(before) = last.text.strip_suffix('\\')
            {
                last.text = before.trim_end().to_owned();
                open = true;
            }
        }
        for typed in &mut all {
            for way in ["cargo run --quiet -- ", "cargo run -q -- ", "cargo run -- "] {
                typed.text = typed.text.replace(way, "overgrant ");
            }
        }
        all
    }
}

/// A document.
#[derive(Debug)]
pub(super) struct Page {
    /// Path below the project.
    pub(super) name: String,
    pub(super) path: PathBuf,
    pub(super) text: String,
    pub(super) blocks: Vec<Block>,
    /// Lines outside blocks, numbered from 1.
    prose: Vec<(usize, String)>,
}

impl Page {
    pub(super) fn read(path: &Path) -> Self {
        let text = std::fs::read_to_string(path).unwrap();
        let root = project("");
        let name = path.strip_prefix(&root).unwrap().to_str().unwrap().to_owned();
        let (mut blocks, mut prose) = (Vec::new(), Vec::new());
        let mut open: Option<Block> = None;
        for (number, line) in text.lines().enumerate() {
            match (line.strip_prefix("```"), open.take()) {
                (Some(fence), None) => {
                    let mut words = fence.split(' ');
                    open = Some(Block {
                        language: words.next().unwrap_or_default().to_owned(),
                        needs: words.next().is_some_and(|word| word.starts_with("needs=")),
                        line: number + 1,
                        text: String::new(),
                    });
                }
                (Some(_), Some(block)) => blocks.push(block),
                (None, Some(mut block)) => {
                    block.text.push_str(line);
                    block.text.push('\n');
                    open = Some(block);
                }
                (None, None) => prose.push((number + 1, line.to_owned())),
            }
        }
        assert!(open.is_none(), "{name} has an open block");
        Page { name, path: path.canonicalize().unwrap(), text, blocks, prose }
    }

    /// All that is typed in the document, in order.
    pub(super) fn commands(&self) -> impl Iterator<Item = String> {
        let typed = |block: &&Block| block.language == "console" || block.language == "sh";
        self.blocks.iter().filter(typed).flat_map(Block::commands).map(|typed| typed.text)
    }

    /// True where flags are overgrant's own: not in pages about benches and tests.
    pub(super) fn of_the_product(&self) -> bool {
        ["README.md", "docs/", "samples/", "queries/"].iter().any(|of| self.name.starts_with(of))
    }

    /// Code in the prose. A span may go over the end of a line.
    pub(super) fn spans(&self) -> Vec<(usize, &str)> {
        let mut all = Vec::new();
        for (number, line) in &self.prose {
            let parts: Vec<&str> = line.split('`').collect();
            // Without the other half on its line it is no span that begins with a command.
            let whole = if parts.len() % 2 == 1 { parts.len() } else { parts.len() - 1 };
            all.extend((1..whole).step_by(2).map(|at| (*number, parts[at])));
        }
        all
    }

    /// Targets of links and pictures.
    pub(super) fn links(&self) -> Vec<(usize, String)> {
        let mut all = Vec::new();
        for (number, line) in &self.prose {
            // Code is no link, but a link may be named by code.
            for behind in line.split("](").skip(1) {
                all.extend(behind.split_once(')').map(|(target, _)| (*number, target.to_owned())));
            }
        }
        all
    }

    /// What `#…` may say of this page, as GitHub makes it of headings.
    pub(super) fn anchors(&self) -> BTreeSet<String> {
        let mut all = BTreeSet::new();
        for (_, line) in &self.prose {
            let title = line.trim_start_matches('#');
            if title.len() == line.len() || !title.starts_with(' ') {
                continue;
            }
            let kept = |c: &char| c.is_alphanumeric() || " -_".contains(*c);
            let slug: String = title.trim().to_lowercase().chars().filter(kept).collect();
            let slug = slug.replace(' ', "-");
            let mut unique = slug.clone();
            let mut times = 0;
            while !all.insert(unique.clone()) {
                times += 1;
                unique = format!("{slug}-{times}");
            }
        }
        all
    }
}

/// The words of each simple command of a line of bash, without where its output goes.
pub(super) fn simple_commands(line: &str) -> Vec<Vec<String>> {
    let mut commands: Vec<Vec<String>> = vec![Vec::new()];
    let mut word: Option<String> = None;
    let mut quote: Option<char> = None;
    let mut target = false;
    let mut chars = line.chars().peekable();
    let end_word =
        |word: &mut Option<String>, target: &mut bool, commands: &mut Vec<Vec<String>>| {
            if let Some(done) = word.take()
                && !std::mem::take(target)
            {
                commands.last_mut().unwrap().push(done);
            }
        };
    while let Some(c) = chars.next() {
        match (quote, c) {
            (Some(open), _) if c == open => quote = None,
            (Some('"') | None, '\\') => word.get_or_insert_default().extend(chars.next()),
            (None, '\'' | '"') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None, '#') if word.is_none() => break,
            (None, ' ' | '\t') => end_word(&mut word, &mut target, &mut commands),
            (None, '|' | '&' | ';') => {
                end_word(&mut word, &mut target, &mut commands);
                if !commands.last().unwrap().is_empty() {
                    commands.push(Vec::new());
                }
            }
            (None, '>') => {
                // A number in front of it is no word.
                if word.as_deref().is_some_and(|word| word.bytes().all(|b| b.is_ascii_digit())) {
                    word = None;
                }
                end_word(&mut word, &mut target, &mut commands);
                target = true;
            }
            _ => word.get_or_insert_default().push(c),
        }
    }
    end_word(&mut word, &mut target, &mut commands);
    commands.retain(|command| !command.is_empty());
    commands
}

#[test]
fn lines_of_bash_are_words() {
    let check =
        |line: &str, expected: &[&[&str]]| assert_eq!(simple_commands(line), expected, "{line}");
    check("overgrant audit a --out b  # why", &[&["overgrant", "audit", "a", "--out", "b"]]);
    check(
        "overgrant sql \"SELECT 'a' | 1\" | head -5",
        &[&["overgrant", "sql", "SELECT 'a' | 1"], &["head", "-5"]],
    );
    check("a b > c 2>d && e; f 2>&1", &[&["a", "b"], &["e"], &["f"]]);
    check("# nothing", &[]);
}
