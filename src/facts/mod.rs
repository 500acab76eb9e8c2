//! Counts every fact once and adds facts up per hour, in bounded memory.
//!
//! Workers push [`Fact`](crate::model::fact::Fact)s into a [`sort::Sorter`], which keeps them as
//! sorted runs, in memory while they fit and in a spill folder when they do not. [`merge`] makes one
//! stream of the runs; [`fold`] removes copies from it and adds up equal facts of one hour ([`hourly`]);
//! [`store`] holds the result as Parquet, one immutable file per family, place and day, and [`read`] gives
//! it back. Nothing here joins two objects, and no rule here knows a grant.
//!
//! The merge order is total (family, hour, id, ordinal, rank, bytes), so what comes out does not
//! depend on how objects were spread over workers or runs.

mod encode;
pub mod fold;
pub mod hourly;
pub mod key;
pub mod merge;
pub mod ordered;
pub mod read;
pub mod records;
mod rows;
pub mod sort;
pub mod spool;
pub mod store;

use std::path::PathBuf;

/// What can go wrong with the spill folder or the fact files: a failed run, never bad input.
#[derive(Debug, thiserror::Error)]
pub enum FactsError {
    /// The spill folder or a run in it cannot be written.
    #[error("cannot write facts to the spill file {path}")]
    WriteSpill {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// A run cannot be read back.
    #[error("cannot read facts back from the spill file {path}")]
    ReadSpill {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// A fact file cannot be written.
    #[error("cannot write the fact file {path}")]
    WriteFacts {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// Rows cannot be written to a fact file.
    #[error("cannot write the fact file {path}")]
    WriteRows {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: crate::table::parquet::CodecError,
    },
    /// A fact file cannot be opened.
    #[error("cannot open the fact file {path}")]
    ReadFacts {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// A fact file is not what it should be, or cannot be written.
    #[error("a fact file does not read or write")]
    Codec(#[from] crate::table::parquet::CodecError),
    /// A file of scanned facts is not in order, or holds something else.
    #[error("{path} is no file of scanned facts in their order; scan its objects again")]
    NotInOrder {
        /// The file.
        path: PathBuf,
    },
    /// Whoever took facts takes no more; why is said elsewhere.
    #[error("facts are not taken any more")]
    NotTaken,
    /// A fact does not serialise or read back: the spill file was changed by someone else.
    #[error("a fact does not read back from the spill file")]
    Encoding(#[from] postcard::Error),
}
