//! A scan that another engine feeds: objects on stdin, rows on stdout.
//!
//! Input: a line per object, a row of the listing as JSON or its URI alone. Output: one Arrow IPC stream of
//! `scanned` rows: the facts of an object and then the object itself. What cannot be read is a row as
//! well. All queues are short, so that whoever reads slowly is waited for, and so is whoever writes
//! slowly; a million lines take no more memory than ten.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, Write};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex};

use arrow::array::RecordBatch;
use arrow_ipc::writer::StreamWriter;
use futures::StreamExt;
use serde::Deserialize;
use tokio::sync::mpsc;

use super::{Pinned, ShardError, read_pinned};
use crate::extract::{Batch, Context, Extractor};
use crate::facts::records::{row_of, unit_of};
use crate::ledger::entry::{Details, Entry, Listed};
use crate::model::outcome::Outcome;
use crate::model::tally::{Reason, Stream};
use crate::pipeline::{PipelineError, runtime};
use crate::publish::depot::Depot;
use crate::source::{FetchError, Location, Object, S3Options, Store};
use crate::table::parquet::CodecError;
use crate::table::scanned::ScannedRow;
use crate::table::{Row, schema};

/// Rows of a batch: some hundred kilobytes.
const ROWS_PER_BATCH: usize = 4096;
/// Bytes of the rows of a batch, as they are in memory.
const BYTES_PER_BATCH: usize = 4 << 20;
/// Objects that are fetched ahead, per thread.
const AHEAD: usize = 4;
/// Characters of a bad line that are shown.
const SHOWN: usize = 200;

/// Everything that decides what a worker does.
#[derive(Debug, Clone)]
pub struct WorkerPlan {
    /// Where the plan of the scan is.
    pub facts: Location,
    /// Threads that decode.
    pub threads: usize,
    /// How to reach S3.
    pub s3: S3Options,
}

/// A line of stdin. Without the rest it is named by its URI.
#[derive(Debug, Deserialize)]
struct Line {
    uri: String,
    key: Option<String>,
    source: Option<String>,
    object: Option<String>,
    etag: Option<String>,
    size: Option<i64>,
}

/// An object to be read.
struct Wanted {
    location: Location,
    key: String,
    listed: Listed,
    /// False where its size is what its bytes say.
    sized: bool,
}

/// An object and its bytes, or why there are none.
struct Fetched {
    wanted: Wanted,
    bytes: Result<Vec<u8>, FetchError>,
}

/// Reads objects until `input` ends, and writes their rows to `output`.
///
/// # Errors
/// When there is no plan, a line names no object, or a stream breaks; never for what an object holds.
pub fn worker(
    plan: &WorkerPlan,
    input: impl BufRead + Send + 'static,
    output: impl Write,
) -> Result<(), PipelineError> {
    let runtime = runtime()?;
    let depot = runtime.block_on(Depot::open(&plan.facts, &plan.s3));
    let pinned = Arc::new(runtime.block_on(read_pinned(&depot, &plan.facts))?);
    let context = Arc::new(pinned.context());
    let threads = plan.threads.max(1);
    let (lines, wanted) = mpsc::channel::<Wanted>(threads * AHEAD);
    let (to_threads, fetched) = mpsc::channel::<Fetched>(threads);
    let fetched = Arc::new(Mutex::new(fetched));
    runtime.spawn(fetch(wanted, to_threads, threads * AHEAD, plan.s3.clone()));
    let (rows, batches) = sync_channel::<RecordBatch>(threads * 2);
    let table = schema(&ScannedRow::TABLE);
    let mut writer = StreamWriter::try_new(output, &table).map_err(ShardError::Stream)?;
    // They may wait for a line for ever: nobody waits for them when the output breaks.
    let reader = std::thread::spawn(move || read(input, &lines));
    let decoders: Vec<_> = (0..threads)
        .map(|_| {
            let (fetched, context) = (Arc::clone(&fetched), Arc::clone(&context));
            let (pinned, rows) = (Arc::clone(&pinned), rows.clone());
            std::thread::spawn(move || decode(&fetched, context, &pinned, rows))
        })
        .collect();
    drop(rows);
    for batch in batches {
        writer.write(&batch).and_then(|()| writer.flush()).map_err(ShardError::Stream)?;
    }
    for decoder in decoders {
        decoder.join().map_err(|_| PipelineError::Worker)??;
    }
    reader.join().map_err(|_| PipelineError::Worker)??;
    writer.finish().map_err(ShardError::Stream)?;
    Ok(())
}

/// Lines to objects.
fn read(input: impl BufRead, to: &mpsc::Sender<Wanted>) -> Result<(), ShardError> {
    for line in input.lines() {
        let line = line.map_err(ShardError::Stdin)?;
        if line.trim().is_empty() {
            continue;
        }
        let wanted = wanted(&line)
            .ok_or_else(|| ShardError::BadLine { line: line.chars().take(SHOWN).collect() })?;
        if to.blocking_send(wanted).is_err() {
            break;
        }
    }
    Ok(())
}

fn wanted(line: &str) -> Option<Wanted> {
    let line = line.trim_end_matches('\r');
    let line = if line.starts_with('{') {
        serde_json::from_str(line).ok()?
    } else {
        let (key, source, object, etag, size) = (None, None, None, None, None);
        Line { uri: line.to_owned(), key, source, object, etag, size }
    };
    let (location, source, key) = match Location::parse(&line.uri).ok()? {
        Location::S3 { bucket, prefix } if !prefix.is_empty() => {
            let whole = Location::S3 { bucket: bucket.clone(), prefix: String::new() };
            (whole, bucket, prefix)
        }
        Location::S3 { .. } => return None,
        Location::Local(path) => {
            let key = path.to_string_lossy().into_owned();
            (Location::Local(path), String::new(), key)
        }
    };
    // In a bucket the key is the address; below a folder it is what the listing calls the file.
    let named = if source.is_empty() { line.key.unwrap_or_else(|| key.clone()) } else { key };
    let listed = Listed {
        name: (line.source.unwrap_or(source), line.object.unwrap_or_else(|| named.clone())),
        etag: line.etag,
        size: line.size.and_then(|size| u64::try_from(size).ok()).unwrap_or(0),
    };
    Some(Wanted { location, key: named, sized: line.size.is_some(), listed })
}

/// Fetches ahead, some objects at once.
async fn fetch(
    wanted: mpsc::Receiver<Wanted>,
    to: mpsc::Sender<Fetched>,
    at_once: usize,
    s3: S3Options,
) {
    let stores: Mutex<BTreeMap<Location, Store>> = Mutex::new(BTreeMap::new());
    let (stores, s3) = (&stores, &s3);
    let queue = futures::stream::unfold(wanted, |mut wanted| async move {
        wanted.recv().await.map(|one| (one, wanted))
    });
    let fetches = queue.map(|wanted| async move {
        let bytes = match open(&wanted.location, stores, s3).await {
            Some(store) => {
                let Listed { etag, size, .. } = &wanted.listed;
                let object = Object::new(wanted.key.clone(), *size, etag.clone());
                store.fetch(&object).await
            }
            None => Err(FetchError::Gone),
        };
        Fetched { wanted, bytes }
    });
    let mut fetched = std::pin::pin!(fetches.buffer_unordered(at_once));
    while let Some(one) = fetched.next().await {
        if to.send(one).await.is_err() {
            break;
        }
    }
}

/// A store that was opened before, or is now; `None` for a file that is not there.
async fn open(
    location: &Location,
    stores: &Mutex<BTreeMap<Location, Store>>,
    s3: &S3Options,
) -> Option<Store> {
    let known = |stores: &Mutex<BTreeMap<Location, Store>>| {
        stores.lock().ok().and_then(|stores| stores.get(location).cloned())
    };
    if let Some(store) = known(stores) {
        return Some(store);
    }
    let store = Store::open(location, s3).await.ok()?;
    // There are as many files as objects, and only some buckets.
    if matches!(location, Location::S3 { .. })
        && let Ok(mut stores) = stores.lock()
    {
        stores.insert(location.clone(), store.clone());
    }
    Some(store)
}

/// Objects to rows.
fn decode(
    fetched: &Mutex<mpsc::Receiver<Fetched>>,
    context: Arc<Context>,
    pinned: &Pinned,
    to: SyncSender<RecordBatch>,
) -> Result<(), PipelineError> {
    let mut extractor = Extractor::new(context);
    let mut rows = Rows { held: Vec::new(), bytes: 0, to };
    let lens: Arc<str> = pinned.asked.lens.digest().into();
    loop {
        let next = match fetched.lock() {
            Ok(mut fetched) => fetched.blocking_recv(),
            Err(_) => None,
        };
        let Some(Fetched { mut wanted, bytes }) = next else { return Ok(()) };
        let mut batch = Batch::default();
        let (mut units, mut failed) = (BTreeSet::new(), None);
        match &bytes {
            Ok(bytes) => {
                if !wanted.sized {
                    wanted.listed.size = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
                }
                extractor.object(&wanted.key, bytes, &mut batch, &mut |fact| {
                    units.insert(unit_of(&fact));
                    if failed.is_none() {
                        let row = row_of(&fact).map_err(PipelineError::from);
                        failed = row.and_then(|row| rows.push(row.into())).err();
                    }
                });
            }
            Err(error) => {
                let why = error.to_string();
                batch.tally.reject(
                    Stream::Objects,
                    &wanted.key,
                    Reason::Unreadable,
                    why.as_bytes(),
                );
            }
        }
        if let Some(error) = failed {
            return Err(error);
        }
        let outcome = Outcome { units, ..batch.into_outcome() };
        let details = Details::of(&outcome).map_err(crate::facts::FactsError::from)?;
        let (listed, days, lens) = (wanted.listed, pinned.asked.days, Arc::clone(&lens));
        rows.push(Entry { listed, days, lens, details }.row()?.into())?;
        rows.flush()?;
    }
}

/// Rows on their way to stdout.
struct Rows {
    held: Vec<ScannedRow>,
    bytes: usize,
    to: SyncSender<RecordBatch>,
}

impl Rows {
    fn push(&mut self, row: ScannedRow) -> Result<(), PipelineError> {
        self.bytes += row.weight();
        self.held.push(row);
        if self.held.len() >= ROWS_PER_BATCH || self.bytes >= BYTES_PER_BATCH {
            self.flush()?;
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), PipelineError> {
        let batch = ScannedRow::to_batch(&self.held).map_err(CodecError::from)?;
        self.held.clear();
        self.bytes = 0;
        // Whoever writes is gone only when the output broke, and says so.
        self.to.send(batch).map_err(|_| PipelineError::Worker)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_name_objects() {
        let check = |line: &str, expected: Option<(&str, &str, &str, u64)>| {
            let got = wanted(line);
            let got = got.as_ref().map(|wanted| {
                let Listed { name, size, .. } = &wanted.listed;
                (name.0.as_str(), name.1.as_str(), wanted.key.as_str(), *size)
            });
            assert_eq!(got, expected, "{line}");
        };
        check("s3://b/k/x.gz", Some(("b", "k/x.gz", "k/x.gz", 0)));
        check("/logs/x.gz", Some(("", "/logs/x.gz", "/logs/x.gz", 0)));
        check(
            r#"{"uri":"/logs/a/x.gz","key":"a/x.gz","source":"","object":"a/x.gz (2)","size":7}"#,
            Some(("", "a/x.gz (2)", "a/x.gz", 7)),
        );
        check(r#"{"uri":"s3://b/k","key":"other"}"#, Some(("b", "k", "k", 0)));
        check("s3://b", None);
        check("https://b/k", None);
        check("{", None);
    }
}
