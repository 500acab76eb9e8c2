//! An external sort for facts: bounded buffers, sorted runs, one merged stream.
//!
//! Input: facts in any order, from any number of workers. Output: the same facts in one total
//! order. A run that fits its buffer never touches the disk. Runs on disk are zstd streams of
//! `length, key, body`; a worker merges its own whenever it has [`WORKER_RUNS`] of them, so that this
//! pass runs on all threads and the last merge seldom has more than [`MAX_OPEN_RUNS`] to open.
#![expect(clippy::disallowed_methods, reason = "facts owns the spill files")]

use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;
use std::fs::File;
use std::io::{BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering as AtomicOrdering};

use super::FactsError;
use crate::model::digest;
use crate::model::fact::{Fact, FactBody, KubeUser, Via};
use crate::model::outcome::{Family, Unit};
use crate::model::time::{Day, Hour};

/// Runs that are open at once in a merge; each costs about a megabyte: a zstd window, two buffers.
pub const MAX_OPEN_RUNS: usize = 64;
/// Runs that a worker gathers before it merges them. All workers may do so at once.
pub const WORKER_RUNS: usize = 32;

const KEY_LEN: usize = 36;
/// Spill files are temporary; the cheapest level already halves them several times over.
const SPILL_LEVEL: i32 = 1;
const RUN_BUFFER: usize = 64 * 1024;

impl Family {
    fn of(body: &FactBody) -> Self {
        match body {
            FactBody::Session(_) => Family::Session,
            FactBody::Authentication(_) => Family::Authentication,
            FactBody::AwsCall(_) => Family::AwsCall,
            FactBody::Login(_) => Family::Login,
            FactBody::Change(_) => Family::Change,
            FactBody::Access(_) => Family::Access,
        }
    }

    fn from_byte(byte: u8) -> Self {
        match byte {
            0 => Family::Session,
            1 => Family::Authentication,
            2 => Family::AwsCall,
            3 => Family::Login,
            4 => Family::Change,
            _ => Family::Access,
        }
    }
}

/// The total order of facts, as bytes that compare like it: family (1), day (4), place (4), hour of
/// the day (1), group (8), id (16), ordinal (1), rank (1). The place, a digest of the account or
/// cluster, stands before the hour so that the files of a day are written one after the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct SortKey([u8; KEY_LEN]);

impl SortKey {
    fn of(fact: &Fact, place: u32) -> Self {
        let mut bytes = [0; KEY_LEN];
        let hour = fact.at.hour();
        let day = hour.day();
        bytes[0] = Family::of(&fact.body) as u8;
        // Flipping the sign bit makes negative days sort before positive ones.
        bytes[1..5].copy_from_slice(&(day.0.cast_unsigned() ^ 0x8000_0000).to_be_bytes());
        bytes[5..9].copy_from_slice(&place.to_be_bytes());
        bytes[9] = u8::try_from(hour.0.rem_euclid(24)).unwrap_or(0);
        bytes[10..18].copy_from_slice(&fact.group.to_be_bytes());
        bytes[18..34].copy_from_slice(&fact.id.to_be_bytes());
        bytes[34] = fact.ordinal;
        bytes[35] = fact.rank;
        SortKey(bytes)
    }

    /// For records that are ordered by their body alone.
    pub(super) const NONE: SortKey = SortKey([0; KEY_LEN]);

    /// Which family.
    #[must_use]
    pub fn family(&self) -> Family {
        Family::from_byte(self.0[0])
    }

    /// Event hour.
    #[must_use]
    pub fn hour(&self) -> Hour {
        let [_, a, b, c, d, _, _, _, _, hour, ..] = self.0;
        let day = (u32::from_be_bytes([a, b, c, d]) ^ 0x8000_0000).cast_signed();
        Hour(day * 24 + i32::from(hour))
    }

    /// Day and place: what is folded by itself.
    #[must_use]
    pub fn unit(&self) -> Unit {
        let both = u64::from_be_bytes(self.eight(1));
        let [day, place] = [both >> 32, both].map(low_u32);
        Unit { place, day: Day((day ^ 0x8000_0000).cast_signed()) }
    }

    /// Hour of the day.
    #[must_use]
    pub fn hour_of_day(&self) -> u8 {
        self.0[9]
    }

    /// Family, day, place and hour: what is added up together.
    #[must_use]
    pub fn bucket(&self) -> [u8; 10] {
        let mut bytes = [0; 10];
        bytes.copy_from_slice(&self.0[..10]);
        bytes
    }

    /// Family, day and place: what goes into one file.
    #[must_use]
    pub fn place_and_day(&self) -> [u8; 9] {
        let mut bytes = [0; 9];
        bytes.copy_from_slice(&self.0[..9]);
        bytes
    }

    /// Everything but the rank: equal for copies of one fact.
    #[must_use]
    pub fn identity(&self) -> &[u8] {
        &self.0[..KEY_LEN - 1]
    }

    /// The number of the `Audit-ID`, 0 for none.
    #[must_use]
    pub fn group(&self) -> u64 {
        u64::from_be_bytes(self.eight(10))
    }

    /// Everything but time, ordinal and rank: equal for an audit event that was cut and its whole
    /// copy.
    #[must_use]
    pub fn what(&self) -> &[u8] {
        &self.0[..26]
    }

    /// True for an audit event that was cut before its own time.
    #[must_use]
    pub fn is_cut(&self) -> bool {
        self.family() == Family::Access && self.eight(26) == [0; 8]
    }

    /// Tells apart the facts of one record.
    #[must_use]
    pub fn ordinal(&self) -> u8 {
        self.0[34]
    }

    fn eight(&self, at: usize) -> [u8; 8] {
        let mut bytes = [0; 8];
        bytes.copy_from_slice(&self.0[at..at + 8]);
        bytes
    }
}

fn low_u32(both: u64) -> u32 {
    u32::try_from(both & u64::from(u32::MAX)).unwrap_or_default()
}

/// Where runs may be spilled, shared by all workers of a run.
#[derive(Debug)]
pub struct SpillDir {
    path: PathBuf,
    next: AtomicU64,
}

impl SpillDir {
    /// Uses `path`, which must exist and belong to this run alone.
    #[must_use]
    pub fn new(path: PathBuf) -> Self {
        SpillDir { path, next: AtomicU64::new(0) }
    }

    pub(super) fn next_file(&self) -> PathBuf {
        let n = self.next.fetch_add(1, AtomicOrdering::Relaxed);
        self.path.join(format!("run-{n:06}.zst"))
    }
}

/// One worker's buffer and the runs it has made.
#[derive(Debug)]
pub struct Sorter<'a> {
    spill: &'a SpillDir,
    max_bytes: usize,
    arena: Vec<u8>,
    index: Vec<Entry>,
    /// Not merged yet.
    fresh: Vec<Run>,
    merged: Vec<Run>,
    /// The last place and its number: most facts of an object share it.
    place: (String, u32),
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    key: SortKey,
    start: usize,
    len: usize,
}

/// A sorted sequence of facts.
#[derive(Debug)]
pub enum Run {
    /// It fitted.
    Memory {
        /// Bodies, back to back.
        arena: Vec<u8>,
        /// Sorted.
        index: Vec<RunEntry>,
    },
    /// It did not.
    Disk(PathBuf),
}

/// One fact of a run in memory.
#[derive(Debug, Clone, Copy)]
pub struct RunEntry(Entry);

impl<'a> Sorter<'a> {
    /// A sorter that holds at most about `max_bytes` in memory before it spills.
    #[must_use]
    pub fn new(spill: &'a SpillDir, max_bytes: usize) -> Self {
        Sorter {
            spill,
            max_bytes,
            arena: Vec::new(),
            index: Vec::new(),
            fresh: Vec::new(),
            merged: Vec::new(),
            place: (String::new(), number_of_place("")),
        }
    }

    /// Takes one fact. An object's name is kept apart from the rest of its fact, so that names can
    /// be counted and capped without reading the rest; a subject who is the caller is left out.
    ///
    /// # Errors
    /// When the buffer is full and the spill file cannot be written.
    pub fn push(&mut self, mut fact: Fact) -> Result<(), FactsError> {
        let start = self.arena.len();
        let key = SortKey::of(&fact, self.place_of(&fact.body));
        let name = match &mut fact.body {
            FactBody::Access(access) => {
                if access.via == Via::Direct && access.subject == access.caller {
                    access.subject = KubeUser::default();
                }
                std::mem::take(&mut access.permission.name)
            }
            _ => String::new(),
        };
        let arena = std::mem::take(&mut self.arena);
        self.arena = postcard::to_extend(&(fact.at, &name, &fact.body), arena)?;
        let len = self.arena.len() - start;
        self.index.push(Entry { key, start, len });
        if self.arena.len() + self.index.len() * size_of::<Entry>() > self.max_bytes {
            self.spill_run()?;
        }
        Ok(())
    }

    /// Where a fact belongs.
    #[must_use]
    pub fn unit_of(&mut self, fact: &Fact) -> Unit {
        Unit { place: self.place_of(&fact.body), day: fact.at.day() }
    }

    fn place_of(&mut self, body: &FactBody) -> u32 {
        let place = place(body);
        if self.place.0 != place {
            self.place = (place.to_owned(), number_of_place(place));
        }
        self.place.1
    }

    /// The runs this worker made, the last one still in memory.
    #[must_use]
    pub fn finish(mut self) -> Vec<Run> {
        let mut runs = self.merged;
        runs.append(&mut self.fresh);
        self.merged = runs;
        if !self.index.is_empty() {
            self.sort();
            self.index.shrink_to_fit();
            self.arena.shrink_to_fit();
            let index = self.index.into_iter().map(RunEntry).collect();
            self.merged.push(Run::Memory { arena: self.arena, index });
        }
        self.merged
    }

    fn sort(&mut self) {
        let arena = &self.arena;
        self.index.sort_unstable_by(|a, b| {
            a.key.cmp(&b.key).then_with(|| body(arena, a).cmp(body(arena, b)))
        });
    }

    fn spill_run(&mut self) -> Result<(), FactsError> {
        self.sort();
        let path = self.spill.next_file();
        let mut writer = RunWriter::create(path)?;
        for entry in &self.index {
            writer.write(&entry.key, body(&self.arena, entry))?;
        }
        self.fresh.push(writer.finish()?);
        self.arena.clear();
        self.index.clear();
        if self.fresh.len() == WORKER_RUNS {
            let fresh = std::mem::take(&mut self.fresh);
            self.merged.push(merge_to_disk(fresh, self.spill)?);
        }
        Ok(())
    }
}

/// Whose log it is: the account of a trail, or the cluster.
fn place(body: &FactBody) -> &str {
    match body {
        FactBody::Session(fact) => &fact.account,
        FactBody::Authentication(fact) | FactBody::AwsCall(fact) => &fact.account,
        FactBody::Login(fact) => &fact.cluster,
        FactBody::Change(fact) => &fact.cluster,
        FactBody::Access(fact) => &fact.cluster,
    }
}

/// The number of a place in a sort key. Two places of one number only lie between each other in the order; nothing mixes them up.
#[must_use]
pub fn number_of_place(place: &str) -> u32 {
    let [a, b, c, d, ..] = digest::of_bytes(place.as_bytes());
    u32::from_be_bytes([a, b, c, d])
}

fn body<'a>(arena: &'a [u8], entry: &Entry) -> &'a [u8] {
    arena.get(entry.start..entry.start + entry.len).unwrap_or_default()
}

/// Writes one sorted run.
pub(super) struct RunWriter {
    path: PathBuf,
    out: zstd::Encoder<'static, BufWriter<File>>,
}

impl RunWriter {
    pub(super) fn create(path: PathBuf) -> Result<Self, FactsError> {
        let open = |path: &Path| {
            let file = File::create(path)?;
            zstd::Encoder::new(BufWriter::with_capacity(RUN_BUFFER, file), SPILL_LEVEL)
        };
        match open(&path) {
            Ok(out) => Ok(RunWriter { path, out }),
            Err(source) => Err(FactsError::WriteSpill { path, source }),
        }
    }

    pub(super) fn write(&mut self, key: &SortKey, body: &[u8]) -> Result<(), FactsError> {
        let len = u32::try_from(body.len()).unwrap_or(u32::MAX);
        let put = |out: &mut zstd::Encoder<'static, BufWriter<File>>| {
            out.write_all(&len.to_le_bytes())?;
            out.write_all(&key.0)?;
            out.write_all(body)
        };
        put(&mut self.out)
            .map_err(|source| FactsError::WriteSpill { path: self.path.clone(), source })
    }

    pub(super) fn finish(self) -> Result<Run, FactsError> {
        let path = self.path;
        let done = self.out.finish().and_then(|mut out| out.flush());
        match done {
            Ok(()) => Ok(Run::Disk(path)),
            Err(source) => Err(FactsError::WriteSpill { path, source }),
        }
    }
}

enum RunReader {
    Memory { arena: Vec<u8>, index: std::vec::IntoIter<RunEntry> },
    Disk { path: PathBuf, input: zstd::Decoder<'static, BufReader<File>> },
}

impl RunReader {
    fn open(run: Run) -> Result<Self, FactsError> {
        match run {
            Run::Memory { arena, index } => {
                Ok(RunReader::Memory { arena, index: index.into_iter() })
            }
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
            RunReader::Memory { arena, index } => {
                let Some(RunEntry(entry)) = index.next() else { return Ok(false) };
                into.key = entry.key;
                into.body.clear();
                into.body.extend_from_slice(body(arena, &entry));
                Ok(true)
            }
            RunReader::Disk { path, input } => read_record(input, into)
                .map_err(|source| FactsError::ReadSpill { path: path.clone(), source }),
        }
    }
}

impl RunReader {
    /// Gives the room of a run back as soon as it is read.
    fn remove(&mut self) -> Result<(), FactsError> {
        match self {
            RunReader::Memory { arena, .. } => *arena = Vec::new(),
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
    into.body.clear();
    let wanted = u64::from(u32::from_le_bytes(len));
    let got = input.take(wanted).read_to_end(&mut into.body)?;
    if u64::try_from(got).unwrap_or(0) == wanted {
        Ok(true)
    } else {
        Err(std::io::ErrorKind::UnexpectedEof.into())
    }
}

#[derive(Debug)]
struct Head {
    key: SortKey,
    body: Vec<u8>,
    run: usize,
}

// Reversed, because `BinaryHeap` yields the greatest and the merge wants the smallest.
impl Ord for Head {
    fn cmp(&self, other: &Self) -> Ordering {
        (&other.key, &other.body, other.run).cmp(&(&self.key, &self.body, self.run))
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

/// Calls `each` with every fact of all runs, in the total order. The body is the postcard form of
/// `(Micros, name, FactBody)`. Spill files are removed once they are read.
///
/// # Errors
/// When a run cannot be read or merged, or when `each` fails.
pub fn merge(
    runs: Vec<Run>,
    spill: &SpillDir,
    mut each: impl FnMut(&SortKey, &[u8]) -> Result<(), FactsError>,
) -> Result<(), FactsError> {
    let runs = at_most(MAX_OPEN_RUNS, runs, spill)?;
    merge_open(runs, &mut |key, body, _| each(key, body))
}

/// As [`merge`], of two groups at once; `each` hears whether a fact is of the second.
///
/// # Errors
/// When a run cannot be read or merged, or when `each` fails.
pub fn merge_groups(
    (first, second): (Vec<Run>, Vec<Run>),
    spill: &SpillDir,
    mut each: impl FnMut(&SortKey, &[u8], bool) -> Result<(), FactsError>,
) -> Result<(), FactsError> {
    if second.is_empty() {
        return merge(first, spill, |key, body| each(key, body, false));
    }
    let mut runs = at_most(MAX_OPEN_RUNS / 2, first, spill)?;
    let firsts = runs.len();
    runs.extend(at_most(MAX_OPEN_RUNS / 2, second, spill)?);
    merge_open(runs, &mut |key, body, run| each(key, body, run >= firsts))
}

fn at_most(open: usize, mut runs: Vec<Run>, spill: &SpillDir) -> Result<Vec<Run>, FactsError> {
    while runs.len() > open {
        let oldest = runs.drain(..open).collect();
        runs.push(merge_to_disk(oldest, spill)?);
    }
    Ok(runs)
}

fn merge_to_disk(runs: Vec<Run>, spill: &SpillDir) -> Result<Run, FactsError> {
    let mut writer = RunWriter::create(spill.next_file())?;
    merge_open(runs, &mut |key, body, _| writer.write(key, body))?;
    writer.finish()
}

fn merge_open(
    runs: Vec<Run>,
    each: &mut impl FnMut(&SortKey, &[u8], usize) -> Result<(), FactsError>,
) -> Result<(), FactsError> {
    let mut readers = Vec::with_capacity(runs.len());
    let mut heap = BinaryHeap::with_capacity(runs.len());
    for run in runs {
        let mut reader = RunReader::open(run)?;
        let mut head = Head { key: SortKey([0; KEY_LEN]), body: Vec::new(), run: readers.len() };
        if reader.next(&mut head)? {
            heap.push(head);
        }
        readers.push(reader);
    }
    // The smallest is replaced in its place: one descent of the heap instead of two.
    while let Some(mut head) = heap.peek_mut() {
        each(&head.key, &head.body, head.run)?;
        let run = head.run;
        let Some(reader) = readers.get_mut(run) else { break };
        if !reader.next(&mut head)? {
            PeekMut::pop(head);
            reader.remove()?;
        }
    }
    Ok(())
}
