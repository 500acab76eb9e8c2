//! An external sort for facts: bounded buffers and sorted runs, which [`merge`](super::merge) makes one
//! stream of.
//!
//! Input: facts in any order, from any number of workers. Output: the same facts in runs, each in one
//! total order. A run that fits its buffer never touches the disk. Runs on disk are zstd streams of
//! `length, key, body`; a worker merges its own whenever it has [`WORKER_RUNS`] of them, so that this
//! pass runs on all threads and the last merge seldom has too many to open.
#![expect(clippy::disallowed_methods, reason = "facts owns the spill files")]

use std::cmp::Ordering;
use std::fs::File;
use std::hint::black_box;
use std::io::{BufWriter, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering as AtomicOrdering};

use rustc_hash::FxHashMap;

use super::FactsError;
use super::key::{SortKey, number_of_place, place};
use super::merge::merge_to_disk;
use crate::model::fact::{Fact, FactBody};
use crate::model::outcome::{Family, Unit};
use crate::model::time::Micros;

/// Runs that a worker gathers before it merges them. All workers may do so at once.
pub const WORKER_RUNS: usize = 32;

/// Spill files are temporary; the cheapest level already halves them several times over.
const SPILL_LEVEL: i32 = 1;
pub(super) const RUN_BUFFER: usize = 64 * 1024;

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
    buffer: Buffer,
    known: Known,
    /// Not merged yet.
    fresh: Vec<Run>,
    merged: Vec<Run>,
    /// The last place and its number: most facts of an object share it.
    place: (String, u32),
}

/// A sorted sequence of facts.
#[derive(Debug)]
pub enum Run {
    /// It fitted.
    Memory(Buffer),
    /// It did not.
    Disk(PathBuf),
    /// Other processes made it: files of rows, which stay where they are.
    Rows(Vec<PathBuf>),
}

/// Facts in memory: what they say once, however many say it.
#[derive(Debug, Default)]
pub struct Buffer {
    /// Encoded bodies, back to back.
    arena: Vec<u8>,
    bodies: Vec<Body>,
    /// Names, back to back.
    names: String,
    index: Vec<Entry>,
}

#[derive(Debug, Clone, Copy)]
struct Body {
    family: Family,
    place: u32,
    start: usize,
    len: usize,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    key: SortKey,
    /// Into the hour of the key, which is shorter than 2³² of them.
    micros: u32,
    body: u32,
    /// Start and length.
    name: (u32, u32),
}

/// A fact in the stream.
#[derive(Debug, Clone, Copy)]
pub struct Sorted<'a> {
    /// Its place in the order.
    pub key: &'a SortKey,
    /// When it was.
    pub at: Micros,
    /// The object's name.
    pub name: &'a str,
    /// What it says: the postcard form of a `FactBody`.
    pub body: &'a [u8],
    /// Equal only for facts that say the same, where that is known.
    pub(super) number: Option<Number>,
}

/// Stands for what a fact says: the run, and which of its bodies.
pub(super) type Number = (usize, u32);

impl<'a> Sorted<'a> {
    /// Writes all but the key to `into`: time, name, body.
    pub(super) fn record(&self, into: &mut Vec<u8>) -> Result<(), FactsError> {
        into.clear();
        *into = postcard::to_extend(&(self.at, self.name), std::mem::take(into))?;
        into.extend_from_slice(self.body);
        Ok(())
    }

    /// Undoes [`Sorted::record`].
    pub(super) fn of_record(key: &'a SortKey, record: &'a [u8]) -> Result<Self, FactsError> {
        let ((at, name), body) = postcard::take_from_bytes::<(Micros, &str)>(record)?;
        Ok(Sorted { key, at, name, body, number: None })
    }
}

/// Bodies that whoever made them may hand on again, by where they are. They are held, so that no other
/// comes to be there.
#[derive(Debug, Default)]
struct Known {
    numbers: FxHashMap<*const FactBody, u32>,
    held: Vec<Rc<FactBody>>,
}

/// What one held body takes beside its texts, which it has a second time.
const HELD_COST: usize = 640;

impl Buffer {
    fn bytes(&self) -> usize {
        self.arena.len() + self.names.len() + self.index.len() * size_of::<Entry>()
    }

    /// Encodes a body; returns its number.
    fn encode(&mut self, body: &FactBody, place: u32) -> Result<u32, FactsError> {
        let start = self.arena.len();
        self.arena = postcard::to_extend(body, std::mem::take(&mut self.arena))?;
        let len = self.arena.len() - start;
        self.bodies.push(Body { family: Family::of(body), place, start, len });
        Ok(u32_of(self.bodies.len() - 1))
    }

    fn add(&mut self, fact: &Fact<'_>, number: u32) {
        let Some(body) = self.bodies.get(number as usize) else { return };
        let key = SortKey::of(fact, body.family, body.place);
        let start = self.names.len();
        self.names.push_str(&fact.name);
        self.index.push(Entry {
            key,
            micros: u32::try_from(fact.at.0 - fact.at.hour().start().0).unwrap_or_default(),
            body: number,
            name: (u32_of(start), u32_of(fact.name.len())),
        });
    }

    /// The fact at a place in the order, and the number of what it says; `None` behind the last.
    pub(super) fn sorted(&self, place: usize) -> Option<(Sorted<'_>, u32)> {
        self.index.get(place).map(|entry| (self.of(entry), entry.body))
    }

    /// Reads something of facts that come soon: they lie anywhere, and memory is fetched for many at once.
    pub(super) fn touch(&self, places: Range<usize>) {
        let first = |entry: &Entry| self.names.as_bytes().get(entry.name.0 as usize);
        let entries = self.index.get(places).unwrap_or_default();
        black_box(entries.iter().filter_map(first).fold(0, |all, byte| all ^ byte));
    }

    /// The key alone.
    pub(super) fn key(&self, place: usize) -> Option<&SortKey> {
        self.index.get(place).map(|entry| &entry.key)
    }

    fn of<'a>(&'a self, entry: &'a Entry) -> Sorted<'a> {
        let at = Micros(entry.key.hour().start().0 + i64::from(entry.micros));
        let (start, len) = (entry.name.0 as usize, entry.name.1 as usize);
        let name = self.names.get(start..start + len).unwrap_or_default();
        let body = self.bodies.get(entry.body as usize);
        let body = body.and_then(|body| self.arena.get(body.start..body.start + body.len));
        Sorted { key: &entry.key, at, name, body: body.unwrap_or_default(), number: None }
    }

    fn sort(&mut self) {
        let mut index = std::mem::take(&mut self.index);
        let (mut one, mut other) = (Vec::new(), Vec::new());
        index.sort_unstable_by(|a, b| {
            a.key.cmp(&b.key).then_with(|| {
                // Copies of one record, which are few; ordered as they are on disk.
                let read = self.of(a).record(&mut one).and_then(|()| self.of(b).record(&mut other));
                read.map_or(Ordering::Equal, |()| one.cmp(&other))
            })
        });
        self.index = index;
    }

    fn clear(&mut self) {
        self.arena.clear();
        self.bodies.clear();
        self.names.clear();
        self.index.clear();
    }
}

/// Buffers end long before this many.
fn u32_of(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

impl<'a> Sorter<'a> {
    /// A sorter that holds at most about `max_bytes` in memory before it spills.
    #[must_use]
    pub fn new(spill: &'a SpillDir, max_bytes: usize) -> Self {
        Sorter {
            spill,
            max_bytes: max_bytes.min(u32::MAX as usize / 2),
            buffer: Buffer::default(),
            known: Known::default(),
            fresh: Vec::new(),
            merged: Vec::new(),
            place: (String::new(), number_of_place("")),
        }
    }

    /// Takes one fact.
    ///
    /// # Errors
    /// When the buffer is full and the spill file cannot be written.
    pub fn push(&mut self, fact: &Fact<'_>) -> Result<(), FactsError> {
        let number = self.number_of(&fact.body)?;
        self.buffer.add(fact, number);
        let held = self.known.held.len() * HELD_COST + self.buffer.arena.len();
        if self.buffer.bytes() + held > self.max_bytes {
            self.spill_run()?;
        }
        Ok(())
    }

    /// The number of a body, which is encoded unless it was before.
    fn number_of(&mut self, body: &Rc<FactBody>) -> Result<u32, FactsError> {
        if let Some(number) = self.known.numbers.get(&Rc::as_ptr(body)) {
            return Ok(*number);
        }
        let place = self.place_of(body);
        let number = self.buffer.encode(body, place)?;
        // One that only this fact has does not come again.
        if Rc::strong_count(body) > 1 {
            self.known.numbers.insert(Rc::as_ptr(body), number);
            self.known.held.push(Rc::clone(body));
        }
        Ok(number)
    }

    /// Where a fact belongs.
    #[must_use]
    pub fn unit_of(&mut self, fact: &Fact<'_>) -> Unit {
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
        if !self.buffer.index.is_empty() {
            self.buffer.sort();
            self.buffer.index.shrink_to_fit();
            self.buffer.arena.shrink_to_fit();
            self.buffer.names.shrink_to_fit();
            runs.push(Run::Memory(self.buffer));
        }
        runs
    }

    fn spill_run(&mut self) -> Result<(), FactsError> {
        self.buffer.sort();
        let path = self.spill.next_file();
        let mut writer = RunWriter::create(path)?;
        let mut record = Vec::new();
        for entry in &self.buffer.index {
            self.buffer.of(entry).record(&mut record)?;
            writer.write(&entry.key, &record)?;
        }
        self.fresh.push(writer.finish()?);
        self.buffer.clear();
        self.known = Known::default();
        if self.fresh.len() == WORKER_RUNS {
            let fresh = std::mem::take(&mut self.fresh);
            self.merged.push(merge_to_disk(fresh, self.spill)?);
        }
        Ok(())
    }
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
