//! Sorted runs to one stream in the total order.
//!
//! Input: runs in memory, on disk, and of other processes. Output: all that is in them, smallest first;
//! spill files are removed once they are read.
#![expect(clippy::disallowed_methods, reason = "facts owns the spill files")]

use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use super::FactsError;
use super::key::SortKey;
use super::records::Files;
use super::sort::{Buffer, RUN_BUFFER, Run, RunWriter, Sorted, SpillDir};

/// Runs that are open at once; each costs about a megabyte: a zstd window, two buffers.
pub const MAX_OPEN_RUNS: usize = 64;

/// Facts in memory that are fetched before they are merged.
const SOON: usize = 16;

enum RunReader {
    Memory(Rc<Buffer>),
    Disk { path: PathBuf, input: zstd::Decoder<'static, BufReader<File>> },
    Rows(Box<Files>),
}

impl RunReader {
    fn open(run: Run) -> Result<Self, FactsError> {
        match run {
            Run::Memory(buffer) => Ok(RunReader::Memory(Rc::new(buffer))),
            Run::Rows(files) => Ok(RunReader::Rows(Box::new(Files::new(files)))),
            Run::Disk(path) => {
                let open = |path: &Path| {
                    let file = File::open(path)?;
                    zstd::Decoder::with_buffer(BufReader::with_capacity(RUN_BUFFER, file))
                };
                match open(&path) {
                    Ok(input) => Ok(RunReader::Disk { path, input }),
                    Err(source) => Err(FactsError::ReadSpill { path, source }),
                }
            }
        }
    }

    /// Reads the next fact into `into`; false at the end of the run.
    fn next(&mut self, into: &mut Head) -> Result<bool, FactsError> {
        match self {
            RunReader::Memory(buffer) => {
                // The head of a run stays with it, and knows how far it is.
                let next = into.held.as_ref().map_or(0, |(_, place)| place + 1);
                let Some(key) = buffer.key(next) else { return Ok(false) };
                into.key = *key;
                if next.is_multiple_of(SOON) {
                    buffer.touch(next + SOON..next + 2 * SOON);
                }
                match &mut into.held {
                    Some((_, place)) => *place = next,
                    held => *held = Some((Rc::clone(buffer), next)),
                }
                Ok(true)
            }
            RunReader::Disk { path, input } => read_record(input, into)
                .map_err(|source| FactsError::ReadSpill { path: path.clone(), source }),
            RunReader::Rows(files) => files.next(&mut into.key, &mut into.record),
        }
    }
}

impl RunReader {
    /// Gives the room of a run back as soon as it is read.
    fn remove(&mut self) -> Result<(), FactsError> {
        match self {
            RunReader::Memory(buffer) => *buffer = Rc::default(),
            RunReader::Rows(files) => files.close(),
            RunReader::Disk { path, .. } => std::fs::remove_file(&*path)
                .map_err(|source| FactsError::ReadSpill { path: path.clone(), source })?,
        }
        Ok(())
    }
}

fn read_record(input: &mut impl Read, into: &mut Head) -> std::io::Result<bool> {
    let mut len = [0; 4];
    if input.read(&mut len[..1])? == 0 {
        return Ok(false);
    }
    input.read_exact(&mut len[1..])?;
    input.read_exact(&mut into.key.0)?;
    into.record.clear();
    let wanted = u64::from(u32::from_le_bytes(len));
    let got = input.take(wanted).read_to_end(&mut into.record)?;
    if u64::try_from(got).unwrap_or(0) == wanted {
        Ok(true)
    } else {
        Err(std::io::ErrorKind::UnexpectedEof.into())
    }
}

/// The next fact of a run.
#[derive(Debug)]
struct Head {
    key: SortKey,
    run: usize,
    /// In memory, and at which place; it stays where it is.
    held: Option<(Rc<Buffer>, usize)>,
    /// Elsewhere: all but the key.
    record: Vec<u8>,
}

impl Head {
    fn sorted(&self) -> Result<Sorted<'_>, FactsError> {
        let held = self.held.as_ref().and_then(|(buffer, place)| buffer.sorted(*place));
        match held {
            Some((sorted, number)) => Ok(Sorted { number: Some((self.run, number)), ..sorted }),
            None => Sorted::of_record(&self.key, &self.record),
        }
    }

    /// All but the key, which is made in `room` where it is not at hand.
    fn record<'a>(&'a self, room: &'a mut Vec<u8>) -> Result<&'a [u8], FactsError> {
        if self.held.is_none() {
            return Ok(&self.record);
        }
        self.sorted()?.record(room)?;
        Ok(room)
    }

    /// Of copies of one record, which are few. What does not read is last, and fails when it is its turn.
    fn cmp_copies(&self, other: &Self) -> Ordering {
        if self.held.is_none() && other.held.is_none() {
            return self.record.cmp(&other.record);
        }
        let (mut one, mut two) = (Vec::new(), Vec::new());
        match (self.record(&mut one), other.record(&mut two)) {
            (Ok(one), Ok(two)) => one.cmp(two),
            (one, two) => one.is_err().cmp(&two.is_err()),
        }
    }
}

// Reversed, because `BinaryHeap` yields the greatest and the merge wants the smallest.
impl Ord for Head {
    fn cmp(&self, other: &Self) -> Ordering {
        other
            .key
            .cmp(&self.key)
            .then_with(|| other.cmp_copies(self))
            .then_with(|| other.run.cmp(&self.run))
    }
}

impl PartialOrd for Head {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Head {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Head {}

/// Calls `each` with the key and the record of all that is in the runs, in the total order: of facts the
/// postcard form of `(Micros, name, FactBody)`. Spill files are removed once they are read.
///
/// # Errors
/// When a run cannot be read or merged, or when `each` fails.
pub fn merge(
    runs: Vec<Run>,
    spill: &SpillDir,
    mut each: impl FnMut(&SortKey, &[u8]) -> Result<(), FactsError>,
) -> Result<(), FactsError> {
    let runs = at_most(MAX_OPEN_RUNS, runs, spill)?;
    let mut room = Vec::new();
    merge_open(runs, &mut |head| each(&head.key, head.record(&mut room)?))
}

/// Calls `each` with every fact of two groups of runs, in the total order, and whether it is of the
/// second.
///
/// # Errors
/// When a run cannot be read or merged, or when `each` fails.
pub(super) fn merge_groups(
    (first, second): (Vec<Run>, Vec<Run>),
    spill: &SpillDir,
    mut each: impl FnMut(&Sorted<'_>, bool) -> Result<(), FactsError>,
) -> Result<(), FactsError> {
    let most = if second.is_empty() { MAX_OPEN_RUNS } else { MAX_OPEN_RUNS / 2 };
    let mut runs = at_most(most, first, spill)?;
    let firsts = runs.len();
    runs.extend(at_most(most, second, spill)?);
    merge_open(runs, &mut |head| each(&head.sorted()?, head.run >= firsts))
}

fn at_most(open: usize, mut runs: Vec<Run>, spill: &SpillDir) -> Result<Vec<Run>, FactsError> {
    while runs.len() > open {
        let oldest = runs.drain(..open).collect();
        runs.push(merge_to_disk(oldest, spill)?);
    }
    Ok(runs)
}

/// Makes one run of many.
pub(super) fn merge_to_disk(runs: Vec<Run>, spill: &SpillDir) -> Result<Run, FactsError> {
    let mut writer = RunWriter::create(spill.next_file())?;
    let mut room = Vec::new();
    merge_open(runs, &mut |head| writer.write(&head.key, head.record(&mut room)?))?;
    writer.finish()
}

fn merge_open(
    runs: Vec<Run>,
    each: &mut impl FnMut(&Head) -> Result<(), FactsError>,
) -> Result<(), FactsError> {
    let mut readers = Vec::with_capacity(runs.len());
    let mut heap = BinaryHeap::with_capacity(runs.len());
    for run in runs {
        let mut reader = RunReader::open(run)?;
        let (key, run) = (SortKey::NONE, readers.len());
        let mut head = Head { key, run, held: None, record: Vec::new() };
        if reader.next(&mut head)? {
            heap.push(head);
        } else {
            reader.remove()?;
        }
        readers.push(reader);
    }
    // The smallest is replaced in its place: one descent of the heap instead of two.
    while let Some(mut head) = heap.peek_mut() {
        each(&head)?;
        let run = head.run;
        let Some(reader) = readers.get_mut(run) else { break };
        if !reader.next(&mut head)? {
            PeekMut::pop(head);
            reader.remove()?;
        }
    }
    Ok(())
}
