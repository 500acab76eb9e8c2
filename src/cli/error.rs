//! Errors as people see them: what, why, and what to do; and their only rendering.

use std::error::Error;

use super::exit::Exit;
use super::hints;
use super::progress::{Level, Told};
use crate::pipeline::PipelineError;
use crate::pipeline::inputs::InputError;
use crate::pipeline::shards::ShardError;
use crate::remedy::RemedyError;
use crate::report::terminal::printable;

/// Something to tell the user before ending.
#[derive(Debug)]
pub enum UserError {
    /// The command line is wrong: which flag, and what it takes.
    Usage {
        /// `--since`
        flag: &'static str,
        /// What was typed.
        value: String,
        /// What it takes.
        expected: &'static str,
    },
    /// The configuration file is wrong.
    Config {
        /// The file.
        path: std::path::PathBuf,
        /// The line, from 1, where one is to blame.
        line: Option<usize>,
        /// What is wrong.
        what: String,
    },
    /// A rule on the command line is wrong.
    Rule {
        /// `--suppress`
        flag: &'static str,
        /// What is wrong.
        source: crate::suppress::RuleError,
    },
    /// The run failed.
    Run(PipelineError),
}

impl From<PipelineError> for UserError {
    fn from(error: PipelineError) -> Self {
        UserError::Run(error)
    }
}

impl UserError {
    /// The code it ends with.
    #[must_use]
    pub fn exit(&self) -> Exit {
        match self {
            UserError::Usage { .. }
            | UserError::Config { .. }
            | UserError::Rule { .. }
            | UserError::Run(
                PipelineError::EmptyWindow { .. }
                | PipelineError::NoBaseline { .. }
                | PipelineError::Shards(ShardError::NoEnd)
                | PipelineError::Remedy(RemedyError::UnknownGrant { .. }),
            ) => Exit::Usage,
            UserError::Run(
                PipelineError::Interrupted { .. }
                | PipelineError::Shards(ShardError::Interrupted)
                | PipelineError::Input(InputError::Stopped { .. } | InputError::StoppedClusters),
            ) => Exit::Interrupted,
            UserError::Run(_) => Exit::Failed,
        }
    }

    /// How bad it is: an end that was asked for is no error.
    #[must_use]
    pub fn level(&self) -> Level {
        if self.exit() == Exit::Interrupted { Level::Warn } else { Level::Error }
    }

    /// Its parts, with hostile names escaped.
    #[must_use]
    pub fn told(&self) -> Told {
        match self {
            UserError::Usage { flag, value, expected } => Told {
                what: format!("{flag} takes {expected}, not {:?}", printable(value)),
                because: Vec::new(),
                hint: None,
            },
            UserError::Config { path, line, what } => {
                let line = line.map(|line| format!(" line {line}")).unwrap_or_default();
                let path = printable(&path.display().to_string());
                let what = format!("{path}{line}: {}", printable(what));
                Told { what, because: Vec::new(), hint: None }
            }
            UserError::Rule { flag, source } => {
                let what = format!("{flag}: {}", printable(&source.to_string()));
                Told { what, because: Vec::new(), hint: None }
            }
            UserError::Run(error) => {
                let mut because = Vec::new();
                let mut source = error.source();
                while let Some(cause) = source {
                    because.push(printable(&cause.to_string()));
                    source = cause.source();
                }
                let hint = hints::hint(error).map(str::to_owned);
                Told { what: printable(&error.to_string()), because, hint }
            }
        }
    }

    /// All of it, for stderr.
    #[must_use]
    pub fn render(&self) -> String {
        let Told { what, because, hint } = self.told();
        let mut lines =
            vec![if self.level() == Level::Error { format!("error: {what}") } else { what }];
        lines.extend(because.iter().map(|cause| format!("  because: {cause}")));
        lines.extend(hint.map(|hint| format!("  hint: {hint}")));
        lines.push(String::new());
        lines.join("\n")
    }
}
