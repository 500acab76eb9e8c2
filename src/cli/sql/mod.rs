//! `overgrant sql`: one statement, or a prompt.

mod prompt;

use std::io::{self, BufWriter, IsTerminal, Read};
use std::path::Path;

use super::args::asking::{RowFormat, Sql};
use super::error::UserError;
use super::exit::Exit;
use super::plan::{self, usage};
use super::ui::Ui;
use crate::pipeline::PipelineError;
use crate::pipeline::ask::{AskError, AskPlan, Asked, Shape};
use crate::report::answer::Format;
use crate::report::engine::Parameter;
use crate::report::terminal::printable;
use crate::report::whole_file::WholeFile;
use crate::source::{S3Options, read_file};

const MIB: usize = 1 << 20;

/// Runs the command.
///
/// # Errors
/// When the run cannot be read or the statement fails.
pub(super) fn run(sql: &Sql, ui: &mut Ui) -> Result<Exit, UserError> {
    let parameters =
        sql.params.iter().map(|text| parameter(text)).collect::<Result<Vec<_>, _>>()?;
    let statement = statement(sql)?;
    let to_terminal = sql.output.is_none() && io::stdout().is_terminal();
    if sql.format == RowFormat::Parquet && to_terminal {
        return Err(usage("--format", "parquet", "parquet with --output FILE or a pipe"));
    }
    let interactive = statement.is_none();
    let plan = AskPlan {
        from: plan::location("--from", &sql.from)?,
        memory: sql.memory.max(16).saturating_mul(MIB),
        s3: S3Options { region: sql.region.clone(), ..S3Options::default() },
        interactive,
    };
    let mut asked = Asked::open(&plan)?;
    let shape = shape(sql, to_terminal);
    let Some(statement) = statement else {
        prompt::run(&mut asked, &parameters, shape, ui)?;
        return Ok(Exit::Complete);
    };
    if let Some(answer) = dot(&statement, &mut asked)? {
        ui.print(&answer);
        return Ok(Exit::Complete);
    }
    if let Some(path) = &sql.output {
        let (rows, _) = into_file(path, |out| asked.write(&statement, &parameters, shape, out))?;
        ui.say(&format!("{} written to {}", counted(rows), path.display()));
        return Ok(Exit::Complete);
    }
    let out = BufWriter::new(io::stdout());
    let answer = asked.write(&statement, &parameters, shape, out);
    written(answer.map(|(rows, unshown)| {
        if unshown > 0 {
            ui.say(&not_all(rows, unshown));
        }
    }))?;
    Ok(Exit::Complete)
}

/// A reader that went away is no failure.
fn written(result: Result<(), AskError>) -> Result<(), UserError> {
    match result {
        Err(AskError::Write(error)) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other.map_err(|error| PipelineError::from(error).into()),
    }
}

fn counted(rows: u64) -> String {
    if rows == 1 { "1 row".to_owned() } else { format!("{rows} rows") }
}

fn not_all(rows: u64, unshown: u64) -> String {
    format!("{} of {rows} rows are shown; --max-rows 0 shows all, --format csv too", rows - unshown)
}

fn into_file<T>(
    path: &Path,
    write: impl FnOnce(BufWriter<&mut std::fs::File>) -> Result<T, AskError>,
) -> Result<T, UserError> {
    let whole = || {
        let mut file = WholeFile::create(path)?;
        let done = write(BufWriter::new(file.file()))?;
        file.finish()?;
        Ok::<T, AskError>(done)
    };
    whole().map_err(|error| PipelineError::from(error).into())
}

/// The statement that was given, wherever; `None` for a prompt.
fn statement(sql: &Sql) -> Result<Option<String>, UserError> {
    let from_stdin = || {
        let mut text = String::new();
        let read = io::stdin().read_to_string(&mut text);
        read.map_err(|error| UserError::from(PipelineError::from(AskError::Write(error))))?;
        Ok::<_, UserError>(text)
    };
    let text = match (&sql.statement, &sql.file) {
        (Some(text), _) if text == "-" => from_stdin()?,
        (Some(text), _) => text.clone(),
        (None, Some(path)) => {
            let bytes = read_file(path).map_err(|_| {
                usage("--file", &path.display().to_string(), "a file that can be read")
            })?;
            String::from_utf8_lossy(&bytes).into_owned()
        }
        (None, None) if io::stdin().is_terminal() => return Ok(None),
        (None, None) => from_stdin()?,
    };
    let text = text.trim().trim_end_matches(';').trim().to_owned();
    if text.is_empty() {
        return Err(usage("STATEMENT", "", "a statement, `.tables` or `.schema TABLE`"));
    }
    Ok(Some(text))
}

fn shape(sql: &Sql, to_terminal: bool) -> Shape {
    match sql.format {
        RowFormat::Parquet => Shape::Parquet,
        RowFormat::Csv => Shape::Text(Format::Csv),
        RowFormat::Json => Shape::Text(Format::Json),
        RowFormat::Table => {
            let width = to_terminal.then(terminal_size::terminal_size).flatten();
            let width = width.map(|(columns, _)| columns.0);
            let most = if sql.max_rows == 0 { usize::MAX } else { sql.max_rows };
            Shape::Text(Format::Table { width, most })
        }
    }
}

/// `NAME=VALUE`
fn parameter(text: &str) -> Result<(String, Parameter), UserError> {
    let is_name = |name: &str| {
        name.starts_with(|c: char| c.is_ascii_alphabetic())
            && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
    };
    let (name, value) = text
        .split_once('=')
        .filter(|(name, _)| is_name(name))
        .ok_or_else(|| usage("--param", text, "NAME=VALUE"))?;
    let value = match value {
        "true" | "false" => Parameter::Boolean(value == "true"),
        _ => value
            .parse()
            .map(Parameter::Integer)
            .ok()
            .or_else(|| plan::instant(value).map(Parameter::Instant))
            .unwrap_or_else(|| Parameter::Text(value.to_owned())),
    };
    Ok((name.to_owned(), value))
}

/// The answer to `.tables` and `.schema TABLE`; `None` for anything that does not begin with a dot.
fn dot(text: &str, asked: &mut Asked) -> Result<Option<String>, UserError> {
    let mut words = text.split_whitespace();
    let lines: Vec<String> = match (words.next(), words.next()) {
        (Some(".tables"), None) => {
            let wide = asked.known().iter().map(|one| one.name.len()).max().unwrap_or(0);
            asked.known().iter().map(|one| format!("{:<wide$}  {}", one.name, one.about)).collect()
        }
        (Some(".schema"), Some(name)) => {
            let schema = asked.columns(name).map_err(PipelineError::from)?;
            let wide = schema.fields().iter().map(|field| field.name().len()).max().unwrap_or(0);
            let docs = crate::table::rows::ALL.iter().find(|table| table.name == name);
            let doc = |column: &str| {
                let found = docs?.columns.iter().find(|one| one.name == column)?;
                Some(found.doc)
            };
            let fields = schema.fields().iter();
            fields
                .map(|field| {
                    let kind = crate::table::reference::type_name(field.data_type());
                    let kind =
                        if field.is_nullable() { format!("{kind}?") } else { kind.to_owned() };
                    let doc = doc(field.name()).unwrap_or_default();
                    let line = format!("{:<wide$}  {:<14}  {doc}", field.name(), kind);
                    line.trim_end().to_owned()
                })
                .collect()
        }
        (Some(word), _) if word.starts_with('.') => {
            return Err(usage("STATEMENT", text, "`.tables`, `.schema TABLE` or SQL"));
        }
        _ => return Ok(None),
    };
    Ok(Some(printable_lines(&lines)))
}

fn printable_lines(lines: &[String]) -> String {
    lines.iter().map(|line| printable(line) + "\n").collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::time::Micros;

    #[test]
    fn parameters_have_the_type_that_they_look_like() {
        let check = |text: &str, expected: Option<Parameter>| {
            let got = parameter(text).ok().map(|(_, value)| value);
            assert_eq!(got, expected, "{text}");
        };
        let at = |text: &str| Some(Parameter::Instant(Micros::parse(text).unwrap()));
        check("n=5", Some(Parameter::Integer(5)));
        check("n=-5", Some(Parameter::Integer(-5)));
        check("since=2026-11-01", at("2026-11-01T00:00:00Z"));
        check("since=2026-11-01T10:30:00Z", at("2026-11-01T10:30:00Z"));
        check("is=true", Some(Parameter::Boolean(true)));
        check("team=a=b", Some(Parameter::Text("a=b".to_owned())));
        check("team=", Some(Parameter::Text(String::new())));
        check("team", None);
        check("1=2", None);
        check("a b=2", None);
    }
}
