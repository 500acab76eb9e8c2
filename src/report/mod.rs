//! Writes tables, reports and the manifest, and the summary for people.
//!
//! Input: rows, counters, written tables. Output: files in a staging folder that is put in place as a
//! whole, so that a reader by glob never sees two runs of one table. Nothing is computed here that
//! is not in a table: reports are the SQL files under `queries/`, run over the written Parquet.

pub mod answer;
pub mod bundle;
pub mod by_day;
pub mod catalogue;
pub mod diff;
pub mod engine;
pub mod history;
pub mod json;
pub mod manifest;
pub mod metrics;
pub mod output;
pub mod page;
pub mod reference;
pub mod sarif;
pub mod schema;
pub mod snapshot;
pub mod summary;
pub mod terminal;
pub mod whole_file;

use std::path::{Path, PathBuf};

use crate::table::parquet::CodecError;

/// Why the output cannot be made: a failed run.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// The folder holds something that is not an earlier run.
    #[error(
        "{path} is not empty and holds nothing that overgrant made; choose another folder or empty it"
    )]
    ForeignFolder {
        /// The folder.
        path: PathBuf,
    },
    /// A file or folder cannot be written, read or moved.
    #[error("cannot {doing} {path}")]
    Io {
        /// `create`, `write`, `move`, …
        doing: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// Rows do not become Parquet.
    #[error("cannot write the table {table}")]
    Table {
        /// The table.
        table: String,
        /// Why.
        #[source]
        source: CodecError,
    },
    /// A report query failed.
    #[error("the query {query} failed")]
    Query {
        /// Name of the report.
        query: String,
        /// What the engine said.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A statement that somebody asked does not run.
    #[error("the statement does not run")]
    Statement {
        /// What the engine said.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The manifest does not serialise.
    #[error("cannot write the manifest")]
    Manifest(#[from] serde_json::Error),
}

/// What the system said of a file or folder, as an error of this room.
fn io(doing: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> ReportError + use<> {
    let path = path.to_path_buf();
    move |source| ReportError::Io { doing, path, source }
}
