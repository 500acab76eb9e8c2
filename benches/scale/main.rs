//! Memory and time at the sizes that the limits of the README speak of.
//!
//! `cargo bench --bench scale -- --events 50000000` puts so many audit events of one hour, copies and
//! early stages beside them, through extraction, sort, fold and the fact files, as a run does;
//! `--sessions 5000000` so many issued sessions up to the index that resolves callers. Input is made
//! as it is needed and never held. `--grants 10000 --uses 1000000` judges so many grants and replays what
//! is proposed. The counts must be those of the generator and the memory must stay
//! within the bound, else the bench fails. Without arguments it is small and quick.

#![expect(
    clippy::disallowed_methods,
    reason = "measures time and memory, looks at the spill folder"
)]
#![expect(clippy::print_stdout, reason = "the result of a bench is what it prints")]

mod audit;
mod dice;
mod judge;
mod meter;
mod requests;
mod sessions;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use overgrant::model::time::{Micros, Window};

/// A window that holds every fact.
const ALWAYS: Window = Window { since: Micros(0), until: Micros(i64::MAX) };

/// Generated load through the real rooms.
#[derive(Debug, Parser)]
struct Arguments {
    /// Audit events in one hour, each with an Audit-ID of its own; 0 for none.
    #[arg(long, default_value_t = 20_000)]
    events: u64,
    /// Of a hundred events, how many are delivered twice.
    #[arg(long, default_value_t = 5)]
    duplicates: u64,
    /// Of a hundred events, how many have a namespace of their own: rows that nothing adds up.
    #[arg(long, default_value_t = 0)]
    hostile: u64,
    /// Sessions issued by STS in 30 days; 0 for none.
    #[arg(long, default_value_t = 5_000)]
    sessions: u64,
    /// Grants of one cluster that are judged; 0 for none.
    #[arg(long, default_value_t = 100)]
    grants: u64,
    /// Permissions used through them.
    #[arg(long, default_value_t = 10_000)]
    uses: u64,
    /// Threads that extract.
    #[arg(long, default_value_t = 2)]
    threads: usize,
    /// Megabytes that may be resident with audit events.
    #[arg(long, default_value_t = 512)]
    events_bound: u64,
    /// Megabytes that may be resident with sessions: the default of `--memory`.
    #[arg(long, default_value_t = 2048)]
    sessions_bound: u64,
    /// Megabytes that may be resident while grants are judged.
    #[arg(long, default_value_t = 1024)]
    grants_bound: u64,
    /// Where the spill and fact files go for the time being.
    #[arg(long)]
    folder: Option<PathBuf>,
    /// Given by cargo.
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let done = run(&arguments);
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            println!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<bool, Box<dyn std::error::Error>> {
    let mut good = true;
    if arguments.events > 0 {
        let folder = scratch(arguments)?;
        good &= requests::run(arguments, folder.path())?;
    }
    if arguments.sessions > 0 {
        let folder = scratch(arguments)?;
        good &= sessions::run(arguments, folder.path())?;
    }
    if arguments.grants > 0 {
        good &= judge::run(arguments);
    }
    Ok(good)
}

fn scratch(arguments: &Arguments) -> std::io::Result<tempfile::TempDir> {
    match &arguments.folder {
        Some(folder) => tempfile::tempdir_in(folder),
        None => tempfile::tempdir(),
    }
}

/// Prints both when they differ.
fn is_equal(what: &str, got: u64, wanted: u64) -> bool {
    if got != wanted {
        println!("  WRONG {what}: {got}, the generator made {wanted}");
    }
    got == wanted
}
