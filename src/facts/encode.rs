//! Fact files in the making: columns to bytes on disk, beside what makes the columns where a thread may be had.
//!
//! Input: what to do, in order; one file is open at a time. Output: the files. What is written does not
//! depend on where it is done.
#![expect(clippy::disallowed_methods, reason = "facts owns the files under facts/")]

use std::fs::File;
use std::io::BufWriter;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use arrow::datatypes::SchemaRef;

use super::FactsError;
use crate::table::parquet::{Batch, Encoder, Statistics};

/// Batches that wait for the thread: one is written, one waits, one is made.
const WAITING: usize = 1;

/// A step on the way of a file.
pub(super) enum Job {
    /// Begins a file, and the folders it is in.
    Open(PathBuf, SchemaRef),
    /// Adds rows.
    Write(Batch),
    /// Ends it.
    Close,
}

/// Who does it.
pub(super) enum Encoding {
    Here(Desk),
    Beside(Thread),
    /// All is done, or something failed and was said: nothing more may come.
    Ended,
}

impl Encoding {
    /// On a thread of its own.
    pub(super) fn beside() -> Self {
        let (jobs, waiting) = sync_channel(WAITING);
        let handle = std::thread::spawn(move || all(&waiting));
        Encoding::Beside(Thread { jobs: Some(jobs), handle: Some(handle) })
    }

    /// Does something, or hands it on; an error may be that of an earlier job.
    pub(super) fn give(&mut self, job: Job) -> Result<(), FactsError> {
        match self {
            Encoding::Here(desk) => desk.run(job),
            Encoding::Beside(Thread { jobs: Some(jobs), .. }) if jobs.send(job).is_ok() => Ok(()),
            // The thread has ended, which it does by itself only where something failed.
            Encoding::Beside(_) => self.finish().and(Err(FactsError::NotTaken)),
            Encoding::Ended => Err(FactsError::NotTaken),
        }
    }

    /// Waits until all is done.
    pub(super) fn finish(&mut self) -> Result<(), FactsError> {
        match std::mem::replace(self, Encoding::Ended) {
            Encoding::Here(_) => Ok(()),
            Encoding::Beside(mut thread) => match thread.end() {
                Some(Ok(done)) => done,
                Some(Err(panic)) => std::panic::resume_unwind(panic),
                None => Err(FactsError::NotTaken),
            },
            Encoding::Ended => Err(FactsError::NotTaken),
        }
    }
}

pub(super) struct Thread {
    /// `None` once it may end.
    jobs: Option<SyncSender<Job>>,
    handle: Option<JoinHandle<Result<(), FactsError>>>,
}

impl Thread {
    fn end(&mut self) -> Option<std::thread::Result<Result<(), FactsError>>> {
        self.jobs = None;
        self.handle.take().map(JoinHandle::join)
    }
}

impl Drop for Thread {
    /// Nobody may write into a folder that whoever failed takes away.
    fn drop(&mut self) {
        let _said_already = self.end();
    }
}

fn all(jobs: &Receiver<Job>) -> Result<(), FactsError> {
    let mut desk = Desk::default();
    jobs.iter().try_for_each(|job| desk.run(job))
}

/// The file that is open.
#[derive(Default)]
pub(super) struct Desk {
    open: Option<(PathBuf, Encoder<BufWriter<File>>)>,
}

impl Desk {
    fn run(&mut self, job: Job) -> Result<(), FactsError> {
        match (job, &mut self.open) {
            (Job::Open(path, schema), open) => {
                let file = path
                    .parent()
                    .map_or(Ok(()), std::fs::create_dir_all)
                    .and_then(|()| File::create(&path))
                    .map_err(|source| FactsError::WriteFacts { path: path.clone(), source })?;
                // By place and day there are folders; within them facts are in the order of time.
                let encoder = Encoder::new(BufWriter::new(file), schema, Statistics::OfNumbers);
                *open = Some((path, encoder));
                Ok(())
            }
            (Job::Write(batch), Some((path, encoder))) => encoder
                .write(&batch)
                .map_err(|source| FactsError::WriteRows { path: path.clone(), source }),
            (Job::Write(_), None) => Err(FactsError::NotTaken),
            (Job::Close, open) => {
                let Some((path, encoder)) = open.take() else { return Err(FactsError::NotTaken) };
                let written = encoder
                    .finish()
                    .map_err(|source| FactsError::WriteRows { path: path.clone(), source })?;
                let ended = written.into_inner().map_err(std::io::IntoInnerError::into_error);
                ended.map(drop).map_err(|source| FactsError::WriteFacts { path, source })
            }
        }
    }
}
