//! Errors as people see them: what, why, and what to do; and their only rendering.

use std::error::Error;

use super::exit::Exit;
use crate::pipeline::PipelineError;
use crate::pipeline::inputs::InputError;
use crate::remedy::RemedyError;
use crate::report::summary::printable;
use crate::source::SourceError;

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

/// True when what the system said of a file is at the bottom of it.
fn is_of_the_disk(error: &PipelineError) -> bool {
    let mut cause: Option<&dyn Error> = Some(error);
    while let Some(error) = cause {
        if error.is::<std::io::Error>() {
            return true;
        }
        cause = error.source();
    }
    false
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
                | PipelineError::Remedy(RemedyError::UnknownGrant { .. }),
            ) => Exit::Usage,
            UserError::Run(
                PipelineError::Interrupted { .. }
                | PipelineError::Input(InputError::Stopped { .. } | InputError::StoppedClusters),
            ) => Exit::Interrupted,
            UserError::Run(_) => Exit::Failed,
        }
    }

    /// All of it, for stderr.
    #[must_use]
    pub fn render(&self) -> String {
        let mut lines = match self {
            UserError::Usage { flag, value, expected } => {
                vec![format!("error: {flag} takes {expected}, not {:?}", printable(value))]
            }
            UserError::Config { path, line, what } => {
                let line = line.map(|line| format!(" line {line}")).unwrap_or_default();
                let path = printable(&path.display().to_string());
                vec![format!("error: {path}{line}: {}", printable(what))]
            }
            UserError::Rule { flag, source } => {
                vec![format!("error: {flag}: {}", printable(&source.to_string()))]
            }
            UserError::Run(error) if self.exit() == Exit::Interrupted => {
                vec![printable(&error.to_string())]
            }
            UserError::Run(error) => {
                let mut lines = vec![format!("error: {}", printable(&error.to_string()))];
                let mut source = error.source();
                while let Some(cause) = source {
                    lines.push(format!("  because: {}", printable(&cause.to_string())));
                    source = cause.source();
                }
                lines
            }
        };
        lines.extend(self.hint().map(|hint| format!("  hint: {hint}")));
        lines.push(String::new());
        lines.join("\n")
    }

    fn hint(&self) -> Option<&'static str> {
        match self {
            UserError::Run(PipelineError::NoLogs { .. }) => Some(
                "give the folder or prefix that holds AWSLogs/ or the audit log objects; --since and --until prune by delivery day",
            ),
            UserError::Run(PipelineError::Source(SourceError::Local { .. })) => {
                Some("check the path; logs may also be s3://bucket/prefix")
            }
            UserError::Run(PipelineError::Source(SourceError::S3 { .. })) => {
                Some("check credentials (AWS_PROFILE), region (--region) and the bucket's policy")
            }
            UserError::Run(error) if error.is_of_writing() || is_of_the_disk(error) => {
                Some("check that --out can be written and the disk is not full")
            }
            _ => None,
        }
    }
}
