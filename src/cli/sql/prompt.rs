//! The prompt: history, completion, and statements over several lines that end with a semicolon.

use std::borrow::Cow;
use std::io::{self, BufWriter};
use std::path::PathBuf;

use rustyline::completion::{Completer, Pair};
use rustyline::error::ReadlineError;
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::history::DefaultHistory;
use rustyline::validate::{ValidationContext, ValidationResult, Validator};
use rustyline::{CompletionType, Config, Context, Editor, Helper};

use super::{counted, dot, not_all};
use crate::cli::error::UserError;
use crate::cli::plan::Env;
use crate::cli::ui::Ui;
use crate::pipeline::PipelineError;
use crate::pipeline::ask::{AskError, Asked, Shape};
use crate::report::answer::Format;
use crate::report::engine::Parameter;

const KEYWORDS: [&str; 32] = [
    "SELECT",
    "FROM",
    "WHERE",
    "GROUP BY",
    "ORDER BY",
    "HAVING",
    "LIMIT",
    "JOIN",
    "LEFT JOIN",
    "ON",
    "USING",
    "AND",
    "OR",
    "NOT",
    "IN",
    "LIKE",
    "ILIKE",
    "BETWEEN",
    "IS NULL",
    "IS NOT NULL",
    "AS",
    "CASE WHEN",
    "THEN",
    "ELSE",
    "END",
    "DISTINCT",
    "WITH",
    "UNION ALL",
    "NULLS LAST",
    "DESC",
    "INTERVAL",
    "count(*)",
];
const COMMANDS: [&str; 5] = [".tables", ".schema", ".format", ".help", ".quit"];
const HELP: &str = "\
.tables           what can be asked
.schema TABLE     its columns
.format FORMAT    table, csv or json
.quit             or Ctrl-D
A statement ends with ; and may take several lines. Ctrl-C ends one that runs.
$since and $until are the window of the run.
";

/// Asks until there is nothing more to ask.
pub(super) fn run(
    asked: &mut Asked,
    parameters: &[(String, Parameter)],
    mut shape: Shape,
    ui: &Ui,
) -> Result<(), UserError> {
    let failed = |error: ReadlineError| {
        UserError::from(PipelineError::from(AskError::Write(io::Error::other(error))))
    };
    let config = Config::builder()
        .completion_type(CompletionType::List)
        .auto_add_history(true)
        .max_history_size(1000)
        .map_err(failed)?
        .build();
    let mut editor: Editor<Words, DefaultHistory> = Editor::with_config(config).map_err(failed)?;
    editor.set_helper(Some(Words::of(asked)));
    let history = history_file();
    if let Some(path) = &history {
        // Without one there is nothing to load.
        let _none = editor.load_history(path);
    }
    ui.say("overgrant sql: .tables, .schema TABLE, .help; a statement ends with ;");
    loop {
        let line = match editor.readline("overgrant> ") {
            Ok(line) => line,
            Err(ReadlineError::Interrupted) => continue,
            Err(ReadlineError::Eof) => break,
            Err(error) => return Err(failed(error)),
        };
        let text = line.trim().trim_end_matches(';').trim();
        match text.split_whitespace().collect::<Vec<_>>().as_slice() {
            [] => continue,
            [".quit" | ".exit" | "quit" | "exit"] => break,
            [".help"] => ui.print(HELP),
            [".format", format] => match *format {
                "table" => shape = in_table(shape),
                "csv" => shape = Shape::Text(Format::Csv),
                "json" => shape = Shape::Text(Format::Json),
                _ => ui.say(".format takes table, csv or json"),
            },
            _ => match ask(asked, text, parameters, shape, ui) {
                Ok(()) => {}
                // A mistake is no reason to leave.
                Err(error) => ui.error(&error),
            },
        }
        if let Some(path) = &history {
            keep(&mut editor, path);
        }
    }
    Ok(())
}

fn ask(
    asked: &mut Asked,
    text: &str,
    parameters: &[(String, Parameter)],
    shape: Shape,
    ui: &Ui,
) -> Result<(), UserError> {
    if let Some(answer) = dot(text, asked)? {
        ui.print(&answer);
        return Ok(());
    }
    let out = BufWriter::new(io::stdout());
    let (rows, unshown) = asked.write(text, parameters, shape, out).map_err(PipelineError::from)?;
    ui.say(&if unshown > 0 { not_all(rows, unshown) } else { counted(rows) });
    Ok(())
}

fn in_table(shape: Shape) -> Shape {
    if matches!(shape, Shape::Text(Format::Table { .. })) {
        return shape;
    }
    let width = terminal_size::terminal_size().map(|(columns, _)| columns.0);
    Shape::Text(Format::Table { width, most: 500 })
}

/// Where statements are remembered; nowhere without a home.
fn history_file() -> Option<PathBuf> {
    Some(Env::read().cache?.join("overgrant").join("sql_history"))
}

/// Remembers; a history that cannot be kept is not worth a word.
fn keep(editor: &mut Editor<Words, DefaultHistory>, path: &std::path::Path) {
    let folder = path.parent().map(std::fs::create_dir_all);
    if matches!(folder, Some(Ok(()))) {
        let _kept = editor.save_history(path);
    }
}

/// What can be completed.
struct Words {
    tables: Vec<String>,
    /// Columns of tables that are declared.
    columns: Vec<String>,
}

impl Words {
    fn of(asked: &Asked) -> Self {
        let tables = asked.known().iter().map(|known| known.name.clone()).collect();
        let declared = crate::table::rows::ALL.iter();
        let mut columns: Vec<String> = declared
            .flat_map(|table| table.columns.iter().map(|column| column.name.to_owned()))
            .collect();
        columns.sort();
        columns.dedup();
        Words { tables, columns }
    }

    /// What may stand at the end of `line`, and where the word begins.
    fn candidates(&self, line: &str) -> (usize, Vec<String>) {
        let start = line
            .rfind(|c: char| !(c.is_alphanumeric() || matches!(c, '_' | '.')))
            .map_or(0, |at| {
                at + line.get(at..).and_then(|rest| rest.chars().next()).map_or(1, char::len_utf8)
            });
        let (before, word) = line.split_at(start);
        let word = word.rsplit('.').next().filter(|_| !before.is_empty()).unwrap_or(word);
        let start = line.len() - word.len();
        let lower = word.to_lowercase();
        let last = before.split_whitespace().next_back().unwrap_or_default().to_lowercase();
        let begins = |all: &[String]| {
            let fits = all.iter().filter(|name| name.to_lowercase().starts_with(&lower));
            fits.cloned().collect::<Vec<_>>()
        };
        let owned = |all: &[&str]| all.iter().map(|&one| one.to_owned()).collect::<Vec<_>>();
        let found = if before.trim().is_empty() && word.starts_with('.') {
            begins(&owned(&COMMANDS))
        } else if matches!(last.as_str(), "from" | "join" | ".schema") {
            begins(&self.tables)
        } else if word.is_empty() {
            Vec::new()
        } else {
            let mut all = begins(&self.columns);
            all.extend(begins(&owned(&KEYWORDS)));
            all.extend(begins(&self.tables));
            all
        };
        (start, found)
    }
}

impl Completer for Words {
    type Candidate = Pair;

    fn complete(
        &self,
        line: &str,
        at: usize,
        _: &Context<'_>,
    ) -> rustyline::Result<(usize, Vec<Pair>)> {
        let (start, found) = self.candidates(line.get(..at).unwrap_or(line));
        let pair = |text: String| Pair { display: text.clone(), replacement: text };
        Ok((start, found.into_iter().map(pair).collect()))
    }
}

impl Hinter for Words {
    type Hint = String;
}

impl Highlighter for Words {
    fn highlight_prompt<'b, 's: 'b, 'p: 'b>(&'s self, prompt: &'p str, _: bool) -> Cow<'b, str> {
        Cow::Borrowed(prompt)
    }
}

impl Validator for Words {
    fn validate(&self, context: &mut ValidationContext<'_>) -> rustyline::Result<ValidationResult> {
        Ok(if is_whole(context.input()) {
            ValidationResult::Valid(None)
        } else {
            ValidationResult::Incomplete
        })
    }
}

impl Helper for Words {}

/// True when there is nothing more to wait for.
fn is_whole(text: &str) -> bool {
    let text = text.trim();
    text.is_empty()
        || text.ends_with(';')
        || text.starts_with('.')
        || matches!(text, "quit" | "exit")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statement_ends_with_a_semicolon() {
        for whole in ["", " ", "SELECT 1;", ".tables", "quit", "SELECT\n 1 ;\n"] {
            assert!(is_whole(whole), "{whole}");
        }
        assert!(!is_whole("SELECT 1"));
    }

    #[test]
    fn words_are_completed_where_they_fit() {
        let words = Words {
            tables: vec!["grants".to_owned(), "grant_usage".to_owned(), "verdicts".to_owned()],
            columns: vec!["grant_id".to_owned(), "verb".to_owned()],
        };
        let check = |line: &str, start: usize, expected: &[&str]| {
            let (at, found) = words.candidates(line);
            assert_eq!(
                (at, found),
                (start, expected.iter().map(|&s| s.to_owned()).collect()),
                "{line}"
            );
        };
        check("SELECT * FROM gr", 14, &["grants", "grant_usage"]);
        check("select * from g join ", 21, &["grants", "grant_usage", "verdicts"]);
        check("SELECT ver", 7, &["verb", "verdicts"]);
        check("SELECT g.ver", 9, &["verb", "verdicts"]);
        check(".sch", 0, &[".schema"]);
        check(".schema verd", 8, &["verdicts"]);
        check("SEL", 0, &["SELECT"]);
        check("SELECT é", 7, &[]);
    }
}
