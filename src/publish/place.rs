//! An output, wherever it is.

use std::path::{Path, PathBuf};

use super::bucket::Remote;
use super::local::Folder;
use super::{Finished, KeptFile, PublishError, State};
use crate::source::{Location, S3Options};

/// An output that this run may write.
#[derive(Debug)]
pub enum Place {
    /// A folder.
    Local(Folder),
    /// A bucket.
    Bucket(Box<Remote>),
}

impl Place {
    /// Opens an output.
    ///
    /// # Errors
    /// When it cannot be written, holds something else, or is in use.
    pub async fn open(out: &Location, options: &S3Options) -> Result<Self, PublishError> {
        match out {
            Location::Local(path) => Ok(Place::Local(Folder::open(path)?)),
            Location::S3 { bucket, prefix } => {
                Ok(Place::Bucket(Box::new(Remote::open(bucket, prefix, options).await?)))
            }
        }
    }

    /// Looks at an output that is not going to be written: nothing is made, nobody is kept out.
    ///
    /// # Errors
    /// When it cannot be read, or holds something else.
    pub async fn peek(out: &Location, options: &S3Options) -> Result<Self, PublishError> {
        match out {
            Location::Local(path) => Ok(Place::Local(Folder::peek(path)?)),
            Location::S3 { .. } => Place::open(out, options).await,
        }
    }

    /// Where files are written until they are put in place.
    #[must_use]
    pub fn staging(&self) -> PathBuf {
        match self {
            Place::Local(folder) => folder.staging(),
            Place::Bucket(remote) => remote.staging(),
        }
    }

    /// What an earlier run left.
    ///
    /// # Errors
    /// When it cannot be read, or a later version wrote it.
    pub fn state(&self) -> Result<Option<State>, PublishError> {
        match self {
            Place::Local(folder) => folder.state(),
            Place::Bucket(remote) => remote.state(),
        }
    }

    /// Puts files of the state below `to`; false for those that are not there or damaged. A file that
    /// is not needed (the second value) is only kept.
    ///
    /// # Errors
    /// When one cannot be put.
    pub async fn bring(
        &self,
        files: &[(&KeptFile, bool)],
        to: &Path,
    ) -> Result<Vec<bool>, PublishError> {
        match self {
            Place::Local(folder) => {
                files.iter().map(|(file, needed)| folder.bring(file, to, *needed)).collect()
            }
            Place::Bucket(remote) => remote.bring(files, to).await,
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
            Place::Bucket(remote) => remote.publish(finished, state).await,
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
            Place::Bucket(remote) => remote.checkpoint(run, state_folder, state).await,
        }
    }
}
