//! `overgrant.toml`, the only configuration file.
//!
//! Every key of `[audit]` is a flag of `overgrant audit`: it is handed to the parser of the command line as
//! if it had been typed, unless it was typed. `[[suppress]]` and `[break-glass]` are rules. What does not
//! read is a wrong command line, with the line of the file.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::builder::Resettable;
use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Command, CommandFactory, Id, Parser};
use toml::de::{DeTable, DeValue};

use super::args::Args;
use super::error::UserError;
use crate::model::{digest, near};
use crate::source;
use crate::suppress::{Fields, Kind, Rule, RuleError};

/// The file that is read where there is one and no other is named.
pub const AMBIENT: &str = "overgrant.toml";
const TABLES: [&str; 3] = ["audit", "suppress", "break-glass"];
/// Keys of no configuration: the file itself, and what asks for help.
const NO_KEYS: [&str; 3] = ["config", "help", "version"];
const LOGS: &str = "logs";

/// What the file says beside flags.
#[derive(Debug, Clone)]
pub struct Config {
    /// The file.
    pub path: PathBuf,
    /// SHA-256 of its bytes.
    pub digest: String,
    /// Its rules, in order.
    pub rules: Vec<Rule>,
}

/// The command line, with what the file adds to it.
#[derive(Debug)]
pub struct Given {
    /// As if all of it had been typed.
    pub args: Args,
    /// The file, if one was read.
    pub config: Option<Config>,
}

/// Why there is nothing to do.
#[derive(Debug)]
pub enum Mistake {
    /// The command line is wrong, or asks for help.
    Typed(clap::Error),
    /// The file is wrong.
    File(UserError),
}

impl From<clap::Error> for Mistake {
    fn from(error: clap::Error) -> Self {
        Mistake::Typed(error)
    }
}

/// Reads the command line, and the file that it names or that lies in `folder`.
///
/// # Errors
/// When either does not read, or help is asked for.
pub fn read(argv: Vec<OsString>, folder: &Path) -> Result<Given, Mistake> {
    let strict = |argv: &[OsString]| Args::try_parse_from(argv).map_err(Mistake::Typed);
    let Some((typed, path)) = audit_of(&argv, folder) else {
        return Ok(Given { args: strict(&argv)?, config: None });
    };
    let wrong = |line, what| Mistake::File(UserError::Config { path: path.clone(), line, what });
    let bytes = source::read_file(&path).map_err(|error| wrong(None, error.to_string()))?;
    let text = std::str::from_utf8(&bytes).map_err(|_| wrong(None, "it is no UTF-8".to_owned()))?;
    let parsed = parse(text).map_err(|(line, what)| wrong(line, what))?;
    let mut flags: Vec<OsString> = Vec::new();
    for key in parsed.flags {
        let is_typed = |id: &str| typed.value_source(id) == Some(ValueSource::CommandLine);
        // Facts stand in place of logs.
        let replaced = key.id == LOGS && is_typed("facts");
        if !is_typed(&key.id) && !replaced {
            flags.extend(key.tokens.into_iter().map(OsString::from));
        }
    }
    let mut argv = argv;
    let at = argv.iter().position(|one| one == "audit").map_or(argv.len(), |at| at + 1);
    argv.splice(at..at, flags);
    let digest = digest::hex(&digest::of_bytes(&bytes), 64);
    Ok(Given { args: strict(&argv)?, config: Some(Config { path, digest, rules: parsed.rules }) })
}

/// What was typed of an audit, and the file that it reads; nothing where it reads none.
fn audit_of(argv: &[OsString], folder: &Path) -> Option<(ArgMatches, PathBuf)> {
    let mut matches = lenient().try_get_matches_from(argv).ok()?;
    let (name, audit) = matches.remove_subcommand()?;
    if name != "audit" {
        return None;
    }
    let named = audit.get_one::<PathBuf>("config").cloned();
    let path = named.or_else(|| Some(folder.join(AMBIENT)).filter(|path| path.is_file()))?;
    Some((audit, path))
}

/// The command line without what must be there: the file may hold it.
fn lenient() -> Command {
    let free = |arg: Arg| arg.required(false).required_unless_present(Resettable::<Id>::Reset);
    Args::command().mut_subcommand("audit", |audit| audit.mut_args(free))
}

/// A key of `[audit]`.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Flag {
    /// What the parser calls it.
    id: String,
    /// As it would be typed.
    tokens: Vec<String>,
}

#[derive(Debug, Default)]
struct Parsed {
    flags: Vec<Flag>,
    rules: Vec<Rule>,
}

/// A line of the file, from 1, and what is wrong there.
type Wrong = (Option<usize>, String);

fn parse(text: &str) -> Result<Parsed, Wrong> {
    let line_of = |at: usize| Some(1 + text.bytes().take(at).filter(|byte| *byte == b'\n').count());
    let table = DeTable::parse(text).map_err(|error| {
        let line = error.span().and_then(|span| line_of(span.start));
        (line, error.message().to_owned())
    })?;
    let mut parsed = Parsed::default();
    for (key, value) in table.get_ref() {
        let name: &str = key.get_ref();
        let line = line_of(key.span().start);
        match name {
            "audit" => {
                let keys = value.get_ref().as_table();
                let keys = keys.ok_or_else(|| (line, "[audit] is a table".to_owned()))?;
                for (key, value) in keys {
                    let line = line_of(key.span().start);
                    let flag = flag(key.get_ref(), value.get_ref()).map_err(|what| (line, what))?;
                    parsed.flags.extend(flag);
                }
            }
            "suppress" | "break-glass" => {
                let (kind, shape) = match name {
                    "suppress" => (Kind::Suppress, "[[suppress]]"),
                    _ => (Kind::BreakGlass, "[break-glass]"),
                };
                let all =
                    tables(value).ok_or_else(|| (line, format!("{name} is a table: {shape}")))?;
                for (number, (at, table)) in all.into_iter().enumerate() {
                    let place = format!("{name} {}", number + 1);
                    let rule = rule(&place, kind, table).map_err(|(key, what)| {
                        let of_key =
                            table.keys().find(|one| Some(&**one.get_ref()) == key.as_deref());
                        let at = of_key.map_or(at, |key| key.span().start);
                        (line_of(at), format!("{place}: {what}"))
                    })?;
                    parsed.rules.push(rule);
                }
            }
            unknown => return Err((line, unknown_key(unknown, "the file", TABLES))),
        }
    }
    Ok(parsed)
}

fn unknown_key<'a>(key: &str, of: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    format!("unknown key {key:?} in {of}, {}", near::hint(key, known))
}

/// The tables of a table or an array of tables, with where each begins.
fn tables<'a>(value: &'a toml::Spanned<DeValue<'a>>) -> Option<Vec<(usize, &'a DeTable<'a>)>> {
    let one = |value: &'a toml::Spanned<DeValue<'a>>| {
        Some((value.span().start, value.get_ref().as_table()?))
    };
    match value.get_ref() {
        DeValue::Array(all) => all.iter().map(one).collect(),
        _ => Some(vec![one(value)?]),
    }
}

/// A rule; an error with the key that it is about.
fn rule(place: &str, kind: Kind, table: &DeTable<'_>) -> Result<Rule, (Option<String>, String)> {
    let mut fields = Fields::new();
    for (key, value) in table {
        let key: &str = key.get_ref();
        let texts = match value.get_ref() {
            DeValue::Array(all) => all.iter().map(|one| scalar(one.get_ref())).collect(),
            one => scalar(one).map(|one| vec![one]),
        };
        let texts = texts
            .ok_or_else(|| (Some(key.to_owned()), format!("{key} takes text or a list of text")))?;
        fields.insert(key.to_owned(), texts);
    }
    Rule::new(place, kind, &fields)
        .map_err(|error: RuleError| (error.key().map(str::to_owned), error.to_string()))
}

/// A value as it would be typed; nothing for what nobody types.
fn scalar(value: &DeValue<'_>) -> Option<String> {
    match value {
        DeValue::String(text) => Some(text.to_string()),
        DeValue::Integer(number) if number.radix() == 10 => Some(number.as_str().to_owned()),
        DeValue::Float(number) => Some(number.as_str().to_owned()),
        DeValue::Datetime(at) => Some(at.to_string()),
        DeValue::Integer(_) | DeValue::Boolean(_) | DeValue::Array(_) | DeValue::Table(_) => None,
    }
}

/// The flag that a key stands for; nothing where it says that a switch is off.
fn flag(key: &str, value: &DeValue<'_>) -> Result<Option<Flag>, String> {
    let command = lenient();
    let args: Vec<&Arg> = command
        .find_subcommand("audit")
        .map(|audit| audit.get_arguments().filter(|arg| name_of(arg).is_some()).collect())
        .unwrap_or_default();
    let Some(arg) = args.iter().find(|arg| name_of(arg) == Some(key)) else {
        let known = args.iter().filter_map(|arg| name_of(arg));
        return Err(unknown_key(key, "[audit]", known));
    };
    let is_list = matches!(arg.get_action(), ArgAction::Append);
    let values: Vec<String> = match (arg.get_action(), value) {
        (ArgAction::SetTrue, DeValue::Boolean(true)) => vec![format!("--{key}")],
        (ArgAction::SetTrue, DeValue::Boolean(false)) => return Ok(None),
        (ArgAction::SetTrue, _) => return Err(format!("{key} takes true or false")),
        (_, DeValue::Array(all)) if is_list => all
            .iter()
            .map(|one| scalar(one.get_ref()))
            .collect::<Option<Vec<_>>>()
            .ok_or_else(|| format!("{key} takes a list of text"))?,
        (_, value) => vec![scalar(value).ok_or_else(|| {
            format!("{key} takes {}", if is_list { "text or a list of text" } else { "one value" })
        })?],
    };
    let tokens: Vec<String> = match arg.get_action() {
        ArgAction::SetTrue => values,
        _ if key == LOGS => {
            if let Some(wrong) = values.iter().find(|value| value.starts_with('-')) {
                return Err(format!("logs takes places, not {wrong:?}"));
            }
            values
        }
        _ => values.into_iter().map(|value| format!("--{key}={value}")).collect(),
    };
    let typed = ["overgrant", "audit"].into_iter().map(str::to_owned).chain(tokens.clone());
    match lenient().try_get_matches_from(typed) {
        // Another flag that it needs may be typed.
        Err(error) if error.kind() != ErrorKind::MissingRequiredArgument => {
            let text = error.to_string();
            let first = text.lines().next().unwrap_or_default();
            Err(first.trim_start_matches("error: ").to_owned())
        }
        _ => Ok(Some(Flag { id: arg.get_id().to_string(), tokens })),
    }
}

/// How the file spells an argument: as its flag; nothing for what is no key.
fn name_of(arg: &Arg) -> Option<&str> {
    let logs = (arg.get_id() == LOGS).then_some(LOGS);
    arg.get_long().filter(|long| !NO_KEYS.contains(long) && !arg.is_global_set()).or(logs)
}

#[cfg(test)]
mod tests;
