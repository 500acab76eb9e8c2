//! Audit events: objects to facts to sorted runs to fact files, and back.

use std::error::Error;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use overgrant::decode::gunzip::Limits;
use overgrant::extract::clusters::ClusterResolver;
use overgrant::extract::{Batch, Context, Extractor};
use overgrant::facts::FactsError;
use overgrant::facts::fold::{FactSink, Folded, fold, records};
use overgrant::facts::read::FactReader;
use overgrant::facts::sort::{Run, Sorter, SpillDir};
use overgrant::facts::store::FactStore;
use overgrant::model::outcome::Family;
use overgrant::model::time::{Micros, Window};

use super::ALWAYS;

use super::audit::{Load, Made};
use super::meter::{FolderPeak, Meter, bytes_below, mega};
use super::{Arguments, is_equal};

const CLUSTER: &str = "arn:aws:eks:us-west-2:111122223333:cluster/bench";
/// As in a run.
const SORT_BUFFER: usize = 32 << 20;

/// Counts what passes through.
struct Counted<S> {
    inner: S,
    rows: u64,
    requests: u64,
}

impl<S> Counted<S> {
    fn new(inner: S) -> Self {
        Counted { inner, rows: 0, requests: 0 }
    }
}

impl<S: FactSink> FactSink for Counted<S> {
    fn take(&mut self, fact: Folded) -> Result<(), FactsError> {
        self.rows += 1;
        if let Folded::Access(access, _) = &fact {
            self.requests += u64::try_from(access.count).unwrap_or(0);
        }
        self.inner.take(fact)
    }
}

struct Nowhere;

impl FactSink for Nowhere {
    fn take(&mut self, _: Folded) -> Result<(), FactsError> {
        Ok(())
    }
}

pub(crate) fn run(arguments: &Arguments, folder: &Path) -> Result<bool, Box<dyn Error>> {
    let load = Load {
        events: arguments.events,
        duplicates: arguments.duplicates,
        hostile: arguments.hostile,
    };
    let (spilled, out) = (folder.join("spill"), folder.join("out"));
    std::fs::create_dir_all(&spilled)?;
    std::fs::create_dir_all(&out)?;
    println!(
        "{} audit events of one hour in {} objects, {} threads, {} % own namespaces",
        load.events,
        load.objects(),
        arguments.threads,
        load.hostile
    );
    let spill = SpillDir::new(spilled.clone());
    let watch = FolderPeak::watch(&spilled);
    let mut meter = Meter::default();

    let scanned = meter.stage("make, extract, sort", (load.events, "events"), || {
        scan(load, arguments.threads, &spill)
    })?;
    scanned.print(arguments.threads);
    let mut store = Counted::new(FactStore::new(out.clone()));
    let counts =
        meter.stage("fold", (load.events, "events"), || fold(scanned.runs, &spill, &mut store))?;
    let Counted { inner, rows, requests } = store;
    let files = meter.stage("end the fact files", (rows, "rows"), || inner.finish())?;
    let mut back = Counted::new(Nowhere);
    let reader = FactReader::new(&out, &files, ALWAYS, &spill);
    meter.stage("read the facts back", (rows, "rows"), || reader.read(|_| None, &mut back))?;

    let (distinct, copies) = records(&counts, Family::Access);
    println!(
        "  {distinct} distinct, {copies} copies, {rows} rows in {} files of {} MB",
        files.len(),
        mega(bytes_below(&out))
    );
    println!("  spilled at most        {} MB", mega(watch.end()));
    let good = [
        is_equal("distinct events", distinct, scanned.made.distinct),
        is_equal("copies", copies, scanned.made.copies),
        is_equal("requests in the rows", requests, load.events),
        is_equal("rows read back", back.rows, rows),
        is_equal("requests read back", back.requests, load.events),
        is_equal("bytes left in the spill folder", bytes_below(&spilled), 0),
        meter.within(arguments.events_bound),
    ];
    Ok(good.iter().all(|good| *good))
}

#[derive(Default)]
struct Scanned {
    runs: Vec<Run>,
    made: Made,
    making: Duration,
    extracting: Duration,
    sorting: Duration,
    bytes: u64,
    inflated: u64,
}

impl Scanned {
    fn print(&self, threads: usize) {
        let lines = self.made.distinct + self.made.copies;
        let on = |took: Duration| {
            let rate = super::meter::per_second(lines, took);
            format!("{:.1} s ({rate} lines/s of a thread)", took.as_secs_f64())
        };
        println!("    {lines} lines, {} MB gzipped, {} MB", mega(self.bytes), mega(self.inflated));
        println!("    threads {threads}: making {}", on(self.making));
        println!("               extracting {}", on(self.extracting));
        println!("               sorting, spilling {}", on(self.sorting));
    }
}

/// What `pipeline` does with objects that it fetched.
fn scan(load: Load, threads: usize, spill: &SpillDir) -> Result<Scanned, Box<dyn Error>> {
    let context = Arc::new(Context {
        window: Window {
            since: Micros::parse("2026-06-01T00:00:00Z").unwrap_or_default(),
            until: Micros::parse("2026-06-02T00:00:00Z").unwrap_or_default(),
        },
        relevant_ids: std::iter::empty().collect(),
        relevant_names: std::iter::empty().collect(),
        clusters: ClusterResolver::new(&[CLUSTER.to_owned()], &[]),
        limits: Limits::default(),
        hide_secret_names: false,
    });
    let next = AtomicU64::new(0);
    let parts: Vec<Result<Scanned, FactsError>> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads.max(1))
            .map(|_| {
                let (context, next) = (Arc::clone(&context), &next);
                scope.spawn(move || worker(load, context, next, spill))
            })
            .collect();
        workers.into_iter().filter_map(|worker| worker.join().ok()).collect()
    });
    let mut all = Scanned::default();
    for part in parts {
        let part = part?;
        all.runs.extend(part.runs);
        all.made.distinct += part.made.distinct;
        all.made.copies += part.made.copies;
        all.making += part.making;
        all.extracting += part.extracting;
        all.sorting += part.sorting;
        all.bytes += part.bytes;
        all.inflated += part.inflated;
    }
    println!("    {} runs", all.runs.len());
    Ok(all)
}

fn worker(
    load: Load,
    context: Arc<Context>,
    next: &AtomicU64,
    spill: &SpillDir,
) -> Result<Scanned, FactsError> {
    let mut extractor = Extractor::new(context);
    let mut sorter = Sorter::new(spill, SORT_BUFFER);
    let mut batch = Batch::default();
    let mut done = Scanned::default();
    let mut object = Vec::new();
    let mut failed = None;
    loop {
        let number = next.fetch_add(1, Ordering::Relaxed);
        if number >= load.objects() {
            break;
        }
        let start = Instant::now();
        let made = load.object(number, &mut object);
        done.making += start.elapsed();
        done.made.distinct += made.distinct;
        done.made.copies += made.copies;
        let start = Instant::now();
        let mut sorting = Duration::ZERO;
        extractor.object("audit/object.gz", &object, &mut batch, &mut |fact| {
            let start = Instant::now();
            if failed.is_none() {
                failed = sorter.push(&fact).err();
            }
            sorting += start.elapsed();
        });
        done.extracting += start.elapsed().saturating_sub(sorting);
        done.sorting += sorting;
    }
    done.bytes = batch.tally.bytes_in;
    done.inflated = batch.tally.bytes_inflated;
    if let Some(error) = failed {
        return Err(error);
    }
    done.runs = sorter.finish();
    Ok(done)
}
