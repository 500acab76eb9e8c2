//! Facts as rows that leave the process: sorted, and with their copies still in them.
//!
//! Input: runs of [`sort`](super::sort), or facts as they come. Output: rows of `scanned_facts`; and
//! back: files of such rows are a [`Run`] again. Copies of one record may be in files of different
//! scans, so nothing is added up before all of them are merged.

#![expect(clippy::disallowed_methods, reason = "facts owns the files of facts")]

use std::fs::File;
use std::path::PathBuf;

use super::FactsError;
use super::key::{KEY_LEN, SortKey, number_of_place, place};
use super::merge::merge;
use super::sort::{Run, SpillDir};
use crate::model::fact::Fact;
use crate::model::outcome::{Family, Unit};
use crate::model::time::Micros;
use crate::table::parquet::RowReader;
use crate::table::scanned::FactRow;

/// Calls `each` with every fact of all runs as a row, in the total order.
///
/// # Errors
/// When a run cannot be read or merged, or when `each` fails.
pub fn rows(
    runs: Vec<Run>,
    spill: &SpillDir,
    mut each: impl FnMut(FactRow) -> Result<(), FactsError>,
) -> Result<(), FactsError> {
    merge(runs, spill, |key, record| {
        let (at, rest) = postcard::take_from_bytes::<Micros>(record)?;
        let (name, body) = postcard::take_from_bytes::<&str>(rest)?;
        each(row(key, at, name, body.to_vec()))
    })
}

/// One fact as a row.
///
/// # Errors
/// Never for facts of this tool.
pub fn row_of(fact: &Fact<'_>) -> Result<FactRow, FactsError> {
    let number = number_of_place(place(&fact.body));
    let key = SortKey::of(fact, Family::of(&fact.body), number);
    Ok(row(&key, fact.at, &fact.name, postcard::to_allocvec(&*fact.body)?))
}

/// Where a fact belongs.
#[must_use]
pub fn unit_of(fact: &Fact<'_>) -> Unit {
    Unit { place: number_of_place(place(&fact.body)), day: fact.at.day() }
}

fn row(key: &SortKey, at: Micros, name: &str, body: Vec<u8>) -> FactRow {
    let Unit { place, day } = key.unit();
    FactRow {
        family: key.family().as_str().to_owned(),
        place: Some(format!("{place:08x}")),
        day: day.start(),
        key: key.0.to_vec(),
        at,
        name: name.to_owned(),
        body,
    }
}

/// Files of rows as a run: each goes on where the one before ends. They stay where they are.
#[must_use]
pub fn run_of(files: Vec<PathBuf>) -> Run {
    Run::Rows(files)
}

/// Rows of a run that are held: as many runs may be open as a merge opens at once.
const ROWS_AT_ONCE: usize = 1024;

/// The files of a run, read one after the other.
///
/// Whoever wrote them ordered them by their key alone; equal keys are ordered here, as the bytes of
/// what they say decide between unequal copies.
pub(super) struct Files {
    /// To be read, the next one last.
    left: Vec<PathBuf>,
    /// The one that is read.
    path: PathBuf,
    rows: Option<RowReader<FactRow, File>>,
    /// What all records that wait have in common.
    key: SortKey,
    /// The next one last.
    waiting: Vec<Vec<u8>>,
    /// The first row of the next key.
    ahead: Option<(SortKey, Vec<u8>)>,
}

impl Files {
    pub(super) fn new(mut files: Vec<PathBuf>) -> Self {
        files.reverse();
        Files {
            left: files,
            path: PathBuf::new(),
            rows: None,
            key: SortKey::NONE,
            waiting: Vec::new(),
            ahead: None,
        }
    }

    pub(super) fn close(&mut self) {
        self.rows = None;
    }

    /// Reads the next fact; false after the last.
    pub(super) fn next(
        &mut self,
        key: &mut SortKey,
        record: &mut Vec<u8>,
    ) -> Result<bool, FactsError> {
        if self.waiting.is_empty() {
            let Some((next, first)) =
                self.ahead.take().map_or_else(|| self.read(), |a| Ok(Some(a)))?
            else {
                return Ok(false);
            };
            self.key = next;
            self.waiting.push(first);
            while let Some((next, more)) = self.read()? {
                if next != self.key {
                    self.ahead = Some((next, more));
                    break;
                }
                self.waiting.push(more);
            }
            self.waiting.sort_unstable_by(|a, b| b.cmp(a));
        }
        *key = self.key;
        if let Some(next) = self.waiting.pop() {
            record.clear();
            record.extend_from_slice(&next);
        }
        Ok(true)
    }

    fn read(&mut self) -> Result<Option<(SortKey, Vec<u8>)>, FactsError> {
        loop {
            if let Some(row) = self.rows.as_mut().map(RowReader::next_row).transpose()?.flatten() {
                let read = unpack(&row).filter(|(key, _)| self.key <= *key);
                let wrong = || FactsError::NotInOrder { path: self.path.clone() };
                return read.map(Some).ok_or_else(wrong);
            }
            let Some(path) = self.left.pop() else { return Ok(None) };
            let file = File::open(&path)
                .map_err(|source| FactsError::ReadFacts { path: path.clone(), source })?;
            self.rows = Some(RowReader::open(file, ROWS_AT_ONCE)?);
            self.path = path;
        }
    }
}

/// A row in the form in which runs are merged; `None` when it is none.
fn unpack(row: &FactRow) -> Option<(SortKey, Vec<u8>)> {
    let key = <[u8; KEY_LEN]>::try_from(row.key.as_slice()).ok()?;
    let mut record = postcard::to_allocvec(&(row.at, row.name.as_str())).ok()?;
    record.extend_from_slice(&row.body);
    Some((SortKey(key), record))
}
