//! What a scan costs beside what any reader of the same objects has to pay: to inflate them.
//!
//! `cargo bench --bench scan` makes its corpora, puts them through the rooms stage by stage and prints
//! every stage as a multiple of libdeflate, one shot per object, in the same run. Rounds are interleaved
//! and the first is dropped; a figure is the median of the others. One thread works and never waits, so its
//! time is that of the processor. Nothing is compared with other machines.

#![expect(
    clippy::disallowed_methods,
    reason = "measures time, puts fact files into a folder of its own"
)]
#![expect(clippy::print_stdout, reason = "the result of a bench is what it prints")]

mod corpus;
#[path = "../support/mod.rs"]
#[expect(dead_code, reason = "shared with the other bench, which asks for more of it")]
mod support;

use std::collections::BTreeMap;
use std::error::Error;
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser;
use overgrant::decode::find;
use overgrant::decode::gunzip::{Inflater, Limits};
use overgrant::extract::{Batch, Extractor};
use overgrant::facts::FactsError;
use overgrant::facts::fold::fold;
use overgrant::facts::merge::merge;
use overgrant::facts::sort::{Run, Sorter, SpillDir};
use overgrant::facts::store::FactStore;

use corpus::Corpus;

/// As in a run.
const SORT_BUFFER: usize = 32 << 20;

#[derive(Debug, Parser)]
struct Arguments {
    /// Megabytes of each corpus, inflated.
    #[arg(long, default_value_t = 48)]
    megabytes: usize,
    /// Only corpora whose name has this in it.
    #[arg(long, default_value = "")]
    only: String,
    /// Only stages whose name has this in it, beside the first.
    #[arg(long, default_value = "")]
    stage: String,
    /// Writes the objects of the corpora below this folder, for other programs, and measures nothing.
    #[arg(long)]
    write: Option<PathBuf>,
    /// Rounds that count.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Given by cargo.
    #[arg(long, hide = true)]
    bench: bool,
}

type Stage<'a> = (&'static str, Box<dyn FnMut() -> Result<u64, Box<dyn Error>> + 'a>);

fn stages<'a>(corpus: &'a Corpus, is_trail: bool) -> Result<Vec<Stage<'a>>, Box<dyn Error>> {
    let largest = corpus.objects.iter().map(|one| one.raw).max().unwrap_or(0);
    let mut room = vec![0; largest];
    let mut all: Vec<Stage<'a>> = Vec::new();
    let mut deflate = libdeflater::Decompressor::new();
    let members = move |object: &[u8]| -> Result<u64, Box<dyn Error>> {
        Ok(u64::try_from(deflate.gzip_decompress(object, &mut room)?)?)
    };
    if is_trail {
        let mut members = members;
        all.push((
            "libdeflate, one shot",
            Box::new(move || {
                let mut sum = 0;
                for one in &corpus.objects {
                    sum += members(&one.gzipped)?;
                }
                Ok(sum)
            }),
        ));
    }
    let mut inflater = Inflater::default();
    all.push((
        if is_trail { "inflate" } else { "inflate (libdeflate, member by member)" },
        Box::new(move || {
            let mut sum = 0;
            for one in &corpus.objects {
                sum += inflater.inflate(&one.gzipped, Limits::default())?.len();
            }
            Ok(u64::try_from(sum)?)
        }),
    ));
    if is_trail {
        let (mut inflater, mut found) = (Inflater::default(), find::Records::default());
        all.push((
            "inflate, find",
            Box::new(move || {
                let mut sum = 0;
                for one in &corpus.objects {
                    let bytes = inflater.inflate(&one.gzipped, Limits::default())?;
                    assert!(
                        find::records(bytes, &mut found, |_| false),
                        "a trail's file has that shape"
                    );
                    sum += found.found.len();
                }
                Ok(u64::try_from(sum)?)
            }),
        ));
    }
    all.push((
        "inflate, find, extract",
        Box::new(move || {
            let mut extractor = new_extractor();
            let mut facts = 0;
            for one in &corpus.objects {
                let mut batch = Batch::default();
                extractor.object(&one.key, &one.gzipped, &mut batch, &mut |fact| {
                    facts += 1;
                    black_box(fact);
                });
            }
            Ok(facts)
        }),
    ));
    if is_trail {
        // A member before the records makes it a file of another shape.
        let general: Vec<(&str, Vec<u8>)> = corpus
            .objects
            .iter()
            .map(|one| Ok((one.key.as_str(), in_general(&one.gzipped)?)))
            .collect::<Result<_, Box<dyn Error>>>()?;
        all.push((
            "the same, every record parsed",
            Box::new(move || {
                let mut extractor = new_extractor();
                let mut facts = 0;
                for (key, object) in &general {
                    let mut batch = Batch::default();
                    extractor.object(key, object, &mut batch, &mut |fact| {
                        facts += 1;
                        black_box(fact);
                    });
                }
                Ok(facts)
            }),
        ));
    }
    all.push((
        "sorted",
        Box::new(move || {
            let folder = tempfile::tempdir()?;
            let spill = SpillDir::new(folder.path().to_path_buf());
            let runs = sorted(corpus, &spill)?;
            Ok(u64::try_from(runs.len())?)
        }),
    ));
    all.push((
        "merged",
        Box::new(move || {
            let folder = tempfile::tempdir()?;
            let spill = SpillDir::new(folder.path().to_path_buf());
            let runs = sorted(corpus, &spill)?;
            let mut facts = 0;
            merge(runs, &spill, |_, fact| {
                facts += 1;
                black_box(fact);
                Ok(())
            })?;
            Ok(facts)
        }),
    ));
    all.push((
        "the whole scan: facts written",
        Box::new(move || {
            let folder = tempfile::tempdir()?;
            let spill = SpillDir::new(folder.path().to_path_buf());
            let runs = sorted(corpus, &spill)?;
            let mut store = FactStore::new(folder.path().join("out"));
            fold(runs, &spill, &mut store)?;
            Ok(u64::try_from(store.finish()?.len())?)
        }),
    ));
    Ok(all)
}

/// One that has met nothing: what it learns is part of what a scan costs.
fn new_extractor() -> Extractor {
    Extractor::new(support::context_of(corpus::KNOWN_ROLES))
}

/// The facts of a corpus in sorted runs.
fn sorted(corpus: &Corpus, spill: &SpillDir) -> Result<Vec<Run>, FactsError> {
    let mut extractor = new_extractor();
    let mut sorter = Sorter::new(spill, SORT_BUFFER);
    let mut failed = None;
    for one in &corpus.objects {
        let mut batch = Batch::default();
        extractor.object(&one.key, &one.gzipped, &mut batch, &mut |fact| {
            if failed.is_none() {
                failed = sorter.push(&fact).err();
            }
        });
    }
    failed.map_or_else(|| Ok(sorter.finish()), Err)
}

/// The same records in a file that must be read the general way.
fn in_general(object: &[u8]) -> Result<Vec<u8>, Box<dyn Error>> {
    let mut inflater = Inflater::default();
    let text = std::str::from_utf8(inflater.inflate(object, Limits::default())?)?;
    Ok(support::gzip(text.replacen('{', r#"{"x":0,"#, 1).as_bytes()))
}

fn median(times: &mut [Duration]) -> Duration {
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

fn measure(corpus: &Corpus, is_trail: bool, arguments: &Arguments) -> Result<(), Box<dyn Error>> {
    println!(
        "{}: {} objects, {} records, {} relevant, {:.1} MB raw, {:.1} MB gzipped",
        corpus.name,
        corpus.objects.len(),
        corpus.records,
        corpus.relevant,
        megabytes(corpus.raw),
        megabytes(corpus.gzipped())
    );
    let mut stages = stages(corpus, is_trail)?;
    let first = stages[0].0;
    stages.retain(|(name, _)| *name == first || name.contains(&arguments.stage));
    let mut took: BTreeMap<usize, Vec<Duration>> = BTreeMap::new();
    for round in 0..=arguments.rounds {
        for (n, (_, stage)) in stages.iter_mut().enumerate() {
            let before = Instant::now();
            black_box(stage()?);
            if round > 0 {
                took.entry(n).or_default().push(before.elapsed());
            }
        }
    }
    let mut floor = Duration::ZERO;
    for (n, (name, _)) in stages.iter().enumerate() {
        let took = median(took.entry(n).or_default());
        if n == 0 {
            floor = took;
        }
        let ratio = took.as_secs_f64() / floor.as_secs_f64().max(1e-9);
        let beyond = took.saturating_sub(floor.mul_f64(if is_trail { 1.25 } else { 1.0 }));
        let each = beyond.as_secs_f64() * 1e6 / f64::from(u32::try_from(corpus.relevant)?.max(1));
        let rate = megabytes(corpus.raw) / took.as_secs_f64().max(1e-9);
        println!(
            "  {name:<40} {:>7.1} ms  {ratio:>5.2} x  {rate:>6.0} MB/s  {each:>6.2} us per relevant record beyond {}",
            took.as_secs_f64() * 1e3,
            if is_trail { "1.25 x" } else { "1 x" }
        );
    }
    Ok(())
}

fn megabytes(bytes: usize) -> f64 {
    f64::from(u32::try_from(bytes >> 10).unwrap_or(u32::MAX)) / 1024.0
}

/// The objects as a bucket holds them.
fn write(corpus: &Corpus, folder: &Path) -> Result<(), Box<dyn Error>> {
    for one in &corpus.objects {
        let path = folder.join(&one.key);
        std::fs::create_dir_all(path.parent().unwrap_or(folder))?;
        std::fs::write(path, &one.gzipped)?;
    }
    println!("{}: {} objects in {}", corpus.name, corpus.objects.len(), folder.display());
    Ok(())
}

fn run(arguments: &Arguments) -> Result<(), Box<dyn Error>> {
    let wanted = |name: &str| name.contains(&arguments.only);
    let take = |corpus: &Corpus, is_trail: bool, folder: &str| match &arguments.write {
        Some(below) => write(corpus, &below.join(folder)),
        None => measure(corpus, is_trail, arguments),
    };
    for (name, percent) in [("CloudTrail, 5 % relevant", 5), ("CloudTrail, 40 % relevant", 40)] {
        if wanted(name) {
            let corpus = Corpus::trail(name, arguments.megabytes, percent);
            take(&corpus, true, &format!("trail-{percent}"))?;
        }
    }
    let name = "EKS audit, Firehose";
    if wanted(name) {
        take(&Corpus::audit(name, arguments.megabytes), false, "audit")?;
    }
    Ok(())
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("{error}");
            ExitCode::FAILURE
        }
    }
}
