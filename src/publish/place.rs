//! An output, wherever it is.

use std::path::{Path, PathBuf};

use super::local::Folder;
use super::{Finished, KeptFile, PublishError, State};
use crate::source::{Location, S3Options};

/// An output that this run may write.
#[derive(Debug)]
pub enum Place {
    /// A folder.
    Local(Folder),
}

impl Place {
    /// Opens an output.
    ///
    /// # Errors
    /// When it cannot be written, holds something else, or is in use.
    pub async fn open(out: &Location, _options: &S3Options) -> Result<Self, PublishError> {
        match out {
            Location::Local(path) => Ok(Place::Local(Folder::open(path)?)),
            Location::S3 { .. } => Err(PublishError::Busy { place: out.to_string(), what: "soon" }),
        }
    }

    /// Where files are written until they are put in place.
    #[must_use]
    pub fn staging(&self) -> PathBuf {
        match self {
            Place::Local(folder) => folder.staging(),
        }
    }

    /// What an earlier run left.
    ///
    /// # Errors
    /// When it cannot be read, or a later version wrote it.
    pub async fn state(&self) -> Result<Option<State>, PublishError> {
        match self {
            Place::Local(folder) => folder.state(),
        }
    }

    /// Puts a file of the state below `to`; false when it is not there or damaged. A file that is not
    /// `needed` is only kept.
    ///
    /// # Errors
    /// When it cannot be put.
    pub async fn bring(
        &self,
        file: &KeptFile,
        to: &Path,
        needed: bool,
    ) -> Result<bool, PublishError> {
        match self {
            Place::Local(folder) => folder.bring(file, to, needed),
        }
    }

    /// Puts a run in place, and then its state.
    ///
    /// # Errors
    /// When another run was faster, or something cannot be put.
    pub async fn publish(
        &self,
        finished: Finished<'_>,
        state: &mut State,
    ) -> Result<(), PublishError> {
        match self {
            Place::Local(folder) => folder.publish(finished, state),
        }
    }

    /// Puts the state of an interrupted run in place: the ledger below `state_folder`, the facts below
    /// `run`. The report stays as it is.
    ///
    /// # Errors
    /// When another run was faster, or something cannot be put.
    pub async fn checkpoint(
        &self,
        run: &Path,
        state_folder: &Path,
        state: &mut State,
    ) -> Result<(), PublishError> {
        match self {
            Place::Local(folder) => folder.checkpoint(run, state_folder, state),
        }
    }
}
