//! Arguments to a plan, results to an exit code. Touches no byte of data.
//!
//! stdout is data, stderr is talk. [`args`] is what was typed, [`plan`] what it means: after a plan
//! exists nobody asks whether a flag was given.

pub mod args;
pub mod config;
pub mod dry_run;
pub mod error;
pub mod exit;
mod explain;
mod hints;
mod log;
pub mod plan;
pub mod progress;
mod shards;
pub mod shell;
mod signals;
mod sql;
pub mod ui;
pub mod version;

use std::path::Path;
use std::process::ExitCode;

use args::{Audit, Command, Diff, Inventory, Remediate, SummaryFormat, Verify};
use config::{Config, Mistake};
use error::UserError;
use exit::Exit;
use ui::Ui;

use crate::pipeline::{Outcome, PipelineError};
use crate::report::metrics;

/// Runs the program.
#[must_use]
pub fn main() -> ExitCode {
    let given = config::read(std::env::args_os().collect(), Path::new(""));
    let config::Given { args, config } = match given {
        Ok(given) => given,
        Err(Mistake::File(error)) => {
            ui::refuse(&error);
            return error.exit().into();
        }
        Err(Mistake::Typed(error)) => {
            // clap sends help and version to stdout with 0, mistakes to stderr with 2.
            let code = if error.use_stderr() { Exit::Usage } else { Exit::Complete };
            if error.use_stderr() && progress::wants_json(std::env::args_os()) {
                return progress::usage_as_json(&error, code);
            }
            return match error.print() {
                Ok(()) => code.into(),
                Err(_) => Exit::Failed.into(),
            };
        }
    };
    let mut ui = Ui::new(&args);
    ui.start_log();
    let result = match &args.command {
        Command::Audit(audit) if audit.dry.dry_run => run_dry(audit, &mut ui),
        Command::Audit(audit) => run_audit(audit, config.as_ref(), &mut ui),
        Command::Inventory(inventory) => run_inventory(inventory, &mut ui),
        Command::Verify(verify) => run_verify(verify, &mut ui),
        Command::Remediate(remediate) => run_remediate(remediate, &mut ui),
        Command::Explain(explain) => explain::run(explain, &mut ui),
        Command::Sql(sql) => sql::run(sql, &mut ui),
        Command::Scan(scan) => shards::run_scan(scan, &mut ui),
        Command::Worker(worker) => shards::run_worker(worker),
        Command::Schema(schema) => shards::run_schema(schema, &ui),
        Command::Diff(diff) => run_diff(diff, &mut ui),
        Command::Completions(completions) => Ok(shell::completions(completions, &ui)),
        Command::Man(man) => shell::man(man, &ui),
    };
    match result {
        Ok(exit) => exit.into(),
        Err(error) => {
            ui.error(&error);
            error.exit().into()
        }
    }
}

fn run_audit(audit: &Audit, config: Option<&Config>, ui: &mut Ui) -> Result<Exit, UserError> {
    let result = audited(audit, config, ui);
    let Some(path) = &audit.metrics else { return result.map(|(exit, _)| exit) };
    // A failure must be seen by whoever watches the file, so it is written whatever happened.
    let (exit, outcome) = match &result {
        Ok((exit, outcome)) => (*exit, Some((&outcome.summary, &outcome.figures))),
        Err(error) => (error.exit(), None),
    };
    let now = plan::Env::read().now;
    let schema_version = crate::pipeline::SCHEMA;
    let ended = metrics::Ended { now, exit: exit.code(), schema_version, outcome };
    let written = metrics::write(path, &metrics::render(&ended));
    let written = written.map_err(|error| UserError::Run(error.into()));
    match (result, written) {
        (Ok((exit, _)), written) => written.map(|()| exit),
        (Err(error), Ok(())) => Err(error),
        (Err(error), Err(unwritten)) => {
            // Both went wrong: the run's own error decides the exit. Of a wrong command line one
            // mistake at a time is enough.
            if error.exit() != Exit::Usage {
                ui.error(&unwritten);
            }
            Err(error)
        }
    }
}

fn audited(
    audit: &Audit,
    config: Option<&Config>,
    ui: &mut Ui,
) -> Result<(Exit, Outcome), UserError> {
    let env = plan::Env::read();
    let mut plan = plan::resolve(audit, &env)?;
    if let Some(config) = config {
        tracing::info!(file = %config.path.display(), rules = config.rules.len(), "configuration");
        plan.rules.extend(config.rules.iter().cloned());
        plan.config_digest = Some(config.digest.clone());
    }
    let inputs = plan::resolve_inputs(audit, &env)?;
    signals::watch(plan.stop.clone(), ui.talk()).map_err(PipelineError::Start)?;
    let settled = crate::pipeline::inputs::settle(&inputs, &mut plan, ui);
    ui.finish_progress();
    let settled = settled?;
    ui.inputs(&settled);
    let outcome = crate::pipeline::run(&plan, ui);
    ui.finish_progress();
    let mut outcome = outcome?;
    outcome.summary.warnings.extend(settled.warnings.iter().cloned());
    ui.summary(&outcome.summary, audit.review.format);
    Ok((exit::of_outcome(&outcome, audit.review.fail_on), outcome))
}

fn run_dry(audit: &Audit, ui: &mut Ui) -> Result<Exit, UserError> {
    let as_json = match audit.review.format {
        SummaryFormat::Table => false,
        SummaryFormat::Json => true,
        SummaryFormat::Sarif => {
            let (flag, expected) = ("--format", "table or json beside --dry-run");
            return Err(UserError::Usage { flag, value: "sarif".to_owned(), expected });
        }
    };
    let env = plan::Env::read();
    let mut plan = plan::resolve(audit, &env)?;
    let mut inputs = plan::resolve_inputs(audit, &env)?;
    let left_alone = dry_run::leave_histories(&mut inputs);
    signals::watch(plan.stop.clone(), ui.talk()).map_err(PipelineError::Start)?;
    let settled = crate::pipeline::inputs::settle(&inputs, &mut plan, ui);
    ui.finish_progress();
    let settled = settled?;
    ui.inputs(&settled);
    let told = crate::pipeline::dry_run::dry_run(&plan, ui);
    ui.finish_progress();
    let mut told = told?;
    told.notes.extend(left_alone);
    told.notes.extend(settled.warnings.iter().cloned());
    ui.print(&dry_run::render(&told, as_json));
    Ok(Exit::Complete)
}

fn run_inventory(inventory: &Inventory, ui: &mut Ui) -> Result<Exit, UserError> {
    let plan = plan::resolve_inventory(inventory)?;
    let taken = crate::pipeline::snapshot::snapshot(&plan, ui);
    ui.finish_progress();
    let taken = taken?;
    ui.snapshots(&taken);
    let holes = taken.written.iter().any(|snapshot| !snapshot.holes.is_empty());
    Ok(match (taken.failed.is_empty(), holes) {
        (false, _) => Exit::Failed,
        (true, true) => Exit::Partial,
        (true, false) => Exit::Complete,
    })
}

fn run_verify(verify: &Verify, ui: &mut Ui) -> Result<Exit, UserError> {
    let plan = plan::resolve_verify(verify, &plan::Env::read())?;
    let verified = crate::pipeline::verify::verify(&plan, ui);
    ui.finish_progress();
    let verified = verified?;
    ui.verified(&verified);
    Ok(match (verified.tampered(), verified.incomplete()) {
        (true, _) => Exit::Findings,
        (false, true) => Exit::Partial,
        (false, false) => Exit::Complete,
    })
}

fn run_remediate(remediate: &Remediate, ui: &mut Ui) -> Result<Exit, UserError> {
    let made = crate::pipeline::remediate::remediate(&plan::resolve_remediate(remediate)?)?;
    ui.bundle(&made);
    Ok(if made.left.is_empty() { Exit::Complete } else { Exit::Partial })
}

fn run_diff(diff: &Diff, ui: &mut Ui) -> Result<Exit, UserError> {
    let compared = crate::pipeline::diff::diff(&plan::resolve_diff(diff)?)?;
    ui.changes(&compared, diff);
    Ok(exit::of_changes(&compared.changes, diff.fail_on))
}
