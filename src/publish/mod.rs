//! Where a run's output lives, and how a new one takes the place of the old one at once.
//!
//! A run is written beside the old one and whole before anybody can see it; then one thing switches: a
//! symbolic link in a folder, one object in a bucket. Readers by glob and by manifest see the old run
//! or the new one. What the next run continues from (the *state*: ledger and facts, by path and
//! digest) is switched by itself, because it is right whichever report stands beside it: after an
//! interrupted run it is newer than the report.
//!
//! ```text
//! OUT/manifest.json report.html facts reports tables  links to .current/…; in a bucket: copies of one run
//! OUT/ledger                                 link to the ledger of the state
//! OUT/history/verdicts/p_until=…/            verdicts of every run; never replaced
//! OUT/run.json                               durations
//! OUT/.current                               link to .generations/ID: what switches
//! OUT/.generations/ID/{facts,reports,tables} whole runs: this one and the one before
//! OUT/.state/ID/{ledger,facts}               ledgers, and the facts of an interrupted run
//! OUT/.state.json                            files of the state: what switches it
//! OUT/.lock                                  held while a run is at work
//! ```

pub mod bucket;
pub mod depot;
pub mod local;
pub mod place;
pub mod published;
pub mod state;

use std::path::{Path, PathBuf};

pub use state::{KeptFile, State};

use crate::model::packed::PackedError;

/// The file that names all others of a run.
pub const MANIFEST: &str = "manifest.json";
/// The report as one page.
pub const PAGE: &str = "report.html";
/// What differs between equal runs.
pub const RUN: &str = "run.json";
/// Folders of a run that readers see.
pub const FOLDERS: [&str; 3] = ["facts", "reports", "tables"];
/// Folder of the ledger.
pub const LEDGER: &str = "ledger";
/// Folder of what is never replaced.
pub const HISTORY: &str = "history";
const GENERATIONS: &str = ".generations";
const STATES: &str = ".state";
const STATE_FILE: &str = ".state.json";

/// Why an output cannot be opened or switched.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// Another run is at work in this place, or was faster.
    #[error(
        "{place} is in use: {what}. Nothing was changed; run again when it is done, or give --out another place"
    )]
    Busy {
        /// The output.
        place: String,
        /// What is known of the other run.
        what: &'static str,
    },
    /// The folder holds something else.
    #[error(
        "{path} holds {found:?}, which no overgrant run wrote; choose another folder or empty it"
    )]
    Foreign {
        /// The folder.
        path: PathBuf,
        /// One of the names.
        found: String,
    },
    /// The system refused.
    #[error("cannot {doing} {path}")]
    Io {
        /// `create`, `write`, …
        doing: &'static str,
        /// What.
        path: PathBuf,
        /// What it said.
        #[source]
        source: std::io::Error,
    },
    /// The state was written by a later version.
    #[error(
        "{place} was written by a later version of overgrant (state format {found}, this one knows {}); use that version, or --rescan to start anew",
        state::FORMAT
    )]
    LaterVersion {
        /// The output.
        place: String,
        /// Its format.
        found: u32,
    },
    /// A run was replaced, or damaged, while it was read.
    #[error(
        "{file} is not the file that manifest.json names: the run was replaced while it was read, or copied in part; try again, or copy the whole output"
    )]
    Replaced {
        /// The file.
        file: String,
    },
    /// The bucket refused.
    #[error(transparent)]
    Source(#[from] crate::source::SourceError),
}

/// Wraps what the system said.
fn io<'a>(doing: &'static str, path: &'a Path) -> impl FnOnce(std::io::Error) -> PublishError + 'a {
    move |source| PublishError::Io { doing, path: path.to_path_buf(), source }
}

/// True for a path that does not lead out of the folder it is joined to.
fn is_below(path: &str) -> bool {
    Path::new(path).components().all(|part| matches!(part, std::path::Component::Normal(_)))
}

/// True where nothing is.
fn is_absent(error: &std::io::Error) -> bool {
    matches!(error.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory)
}

/// Paths of all files below a folder, with `/`, sorted.
fn files_below(root: &Path) -> Result<Vec<String>, PublishError> {
    let folder = crate::source::local::Folder::open(root)?;
    let mut listing = folder.list(&crate::source::Prune::everything())?;
    let objects = listing.objects()?;
    // What cannot be looked at may be anything.
    if let Some((at, why)) = listing.unlisted.into_iter().chain(listing.unreadable).next() {
        return Err(io("list", &root.join(at))(std::io::Error::other(why)));
    }
    let paths: Result<_, PackedError> = objects.map(|object| Ok(object?.key)).collect();
    Ok(paths.map_err(crate::source::SourceError::from)?)
}

/// What a file of this room holds: JSON with a final newline.
#[must_use]
pub fn to_json<T: serde::Serialize>(value: &T) -> Vec<u8> {
    let mut bytes = serde_json::to_vec_pretty(value).unwrap_or_default();
    bytes.push(b'\n');
    bytes
}

/// Writes a file below a staging folder.
///
/// # Errors
/// When it cannot be written.
#[expect(clippy::disallowed_methods, reason = "publish owns the staging folder")]
pub fn write_file(path: &Path, bytes: &[u8]) -> Result<(), PublishError> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(io("create", folder))?;
    }
    std::fs::write(path, bytes).map_err(io("write", path))
}

/// Removes a file below a staging folder, if it is there.
///
/// # Errors
/// When it cannot be removed.
pub fn discard(path: &Path) -> Result<(), PublishError> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(io("remove", path)(error))
        }
        _ => Ok(()),
    }
}

/// What is put in place, below the staging folder.
#[derive(Debug, Clone, Copy)]
pub struct Finished<'a> {
    /// The run: manifest, facts, reports, tables.
    pub run: &'a Path,
    /// The ledger.
    pub state: &'a Path,
    /// 16 hex digits: equal for equal runs.
    pub generation: &'a str,
    /// Durations.
    pub run_json: &'a [u8],
    /// Files for the history, by path below it.
    pub history: &'a [(String, Vec<u8>)],
}
