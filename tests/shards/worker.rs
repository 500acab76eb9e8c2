//! The worker that another engine feeds: what it is given comes back as rows, whatever it is given, and
//! what is made of the rows is the report of one run.

use std::io::{Read, Write};
use std::process::{Child, Command, Stdio};

use arrow_ipc::reader::StreamReader;
use overgrant::table::Row;
use overgrant::table::ledger::LedgerRow;
use overgrant::table::parquet::{RowWriter, rows_of};
use overgrant::table::scanned::{FactRow, ListingRow, ScannedRow};

use super::*;

fn start(world: &World, threads: &str) -> Child {
    Command::new(env!("CARGO_BIN_EXE_overgrant"))
        .args(["worker", "--threads", threads, "--facts"])
        .arg(world.at("facts"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Feeds lines; returns the rows, what it said, and how it ended.
fn work(world: &World, threads: &str, lines: Vec<String>) -> (Vec<ScannedRow>, String, i32) {
    let mut child = start(world, threads);
    let mut stdin = child.stdin.take().unwrap();
    let feeder = std::thread::spawn(move || {
        for line in lines {
            if writeln!(stdin, "{line}").is_err() {
                break;
            }
        }
    });
    let mut rows = Vec::new();
    let reader = StreamReader::try_new(child.stdout.take().unwrap(), None).unwrap();
    for batch in reader {
        let Ok(batch) = batch else { break };
        rows.extend(ScannedRow::from_batch(&batch).unwrap());
    }
    feeder.join().unwrap();
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    (rows, said, child.wait().unwrap().code().unwrap())
}

/// The lines of a listing, as JSON.
fn lines(world: &World) -> Vec<String> {
    scan(&world.plan("facts"), None, &mut Deaf).unwrap();
    let listing = files_below(&world.at("facts"))
        .into_iter()
        .find(|path| path.display().to_string().contains("/listing-"))
        .unwrap();
    let rows = rows_of::<ListingRow>(std::fs::read(listing).unwrap()).unwrap();
    rows.into_iter()
        .map(|row| {
            serde_json::json!({
                "uri": row.uri, "at_place": row.at_place, "key": row.key, "source": row.source,
                "object": row.object, "etag": row.etag, "size": row.size,
            })
            .to_string()
        })
        .collect()
}

/// Puts rows where Spark leaves them: by kind, in files that are each in order of key.
fn leave(world: &World, rows: &[ScannedRow], files: usize) {
    let write = |path: PathBuf, bytes: Vec<u8>| {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    };
    for file in 0..files {
        let mine = rows.iter().skip(file).step_by(files).cloned();
        let (mut facts, objects): (Vec<ScannedRow>, Vec<ScannedRow>) =
            mine.partition(|row| row.kind == "fact");
        // Equal keys stay as they come: their order is the join's to find.
        facts.sort_by(|a, b| a.key.cmp(&b.key));
        let mut of_facts = RowWriter::new(Vec::new());
        for row in facts {
            of_facts
                .push(FactRow {
                    family: row.family.unwrap(),
                    place: row.place,
                    day: row.day.unwrap(),
                    key: row.key.unwrap(),
                    at: row.at.unwrap(),
                    name: row.name.unwrap(),
                    body: row.body.unwrap(),
                })
                .unwrap();
        }
        let mut of_objects = RowWriter::new(Vec::new());
        for row in objects {
            of_objects
                .push(LedgerRow {
                    source: row.source.unwrap(),
                    object: row.object.unwrap(),
                    etag: row.etag,
                    size: row.size.unwrap(),
                    outcome: row.outcome.unwrap(),
                    reason: row.reason,
                    first_hour: row.first_hour,
                    last_hour: row.last_hour,
                    days_from: row.days_from.unwrap(),
                    days_to: row.days_to.unwrap(),
                    looked_for: row.looked_for.unwrap(),
                    details: row.details.unwrap(),
                })
                .unwrap();
        }
        // By kind and by place, or by kind alone: both are read.
        let records = world.at("facts/records");
        write(records.join(format!("kind=fact/part-{file}.parquet")), of_facts.finish().unwrap().0);
        write(
            records.join(format!("kind=object/part-{file}.parquet")),
            of_objects.finish().unwrap().0,
        );
    }
    write(world.at("facts/records/_SUCCESS"), Vec::new());
}

#[test]
fn rows_of_workers_give_the_bytes_of_one_run() {
    let world = World::new(1);
    world.make_it_hard();
    let all = lines(&world);
    let half = all.len() / 2;
    let (mut rows, said, exit) = work(&world, "1", all[..half].to_vec());
    assert_eq!((said.as_str(), exit), ("", 0));
    let (more, said, exit) = work(&world, "3", all[half..].to_vec());
    assert_eq!((said.as_str(), exit), ("", 0));
    rows.extend(more);
    let objects = rows.iter().filter(|row| row.kind == "object").count();
    assert_eq!(objects, all.len());
    leave(&world, &rows, 3);
    world.check("facts", "rows of two workers in three files");
}

#[test]
fn what_cannot_be_read_is_a_row() {
    let world = World::new(2);
    lines(&world);
    let broken = world.at("broken.gz");
    std::fs::write(&broken, b"\x1f\x8b\x08\x00 not gzip").unwrap();
    let missing = world.at("missing.gz").display().to_string();
    let given = vec![String::new(), broken.display().to_string(), missing.clone()];
    let (rows, said, exit) = work(&world, "1", given);
    assert_eq!((said.as_str(), exit), ("", 0));
    let of = |name: &str| {
        let row = rows.iter().find(|row| row.object.as_deref() == Some(name)).unwrap();
        (row.kind.as_str(), row.outcome.as_deref().unwrap(), row.reason.as_deref())
    };
    assert_eq!(of(&broken.display().to_string()), ("object", "rejected", Some("bad_gzip")));
    assert_eq!(of(&missing), ("object", "rejected", Some("unreadable")));
    assert_eq!(rows.len(), 2);

    let (rows, said, exit) = work(&world, "2", Vec::new());
    assert_eq!((rows.len(), said.as_str(), exit), (0, "", 0), "no line is a stream all the same");
}

#[test]
fn a_worker_that_cannot_go_on_says_why() {
    let world = World::new(2);
    lines(&world);
    let (_, said, exit) = work(&world, "1", vec!["https://elsewhere/x".to_owned()]);
    assert_eq!(exit, 4);
    assert!(said.contains("a line on stdin names no object: \"https://elsewhere/x\""), "{said}");

    std::fs::remove_file(world.at("facts/plan.json")).unwrap();
    let mut child = start(&world, "1");
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(4));
    assert!(said.contains("holds no facts: there is no plan.json"), "{said}");
}

/// Whoever takes no rows is waited for; whoever goes away ends it.
#[test]
fn nobody_is_outrun() {
    let world = World::new(1);
    let all = lines(&world);
    let mut child = start(&world, "2");
    let mut stdin = child.stdin.take().unwrap();
    let written = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let count = std::sync::Arc::clone(&written);
    let feeder = std::thread::spawn(move || {
        for line in std::iter::repeat_n(all, 10_000).flatten() {
            if writeln!(stdin, "{line}").is_err() {
                return;
            }
            count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        }
    });
    let settled = || {
        let mut last = usize::MAX;
        for _ in 0..100 {
            std::thread::sleep(std::time::Duration::from_millis(200));
            let now = written.load(std::sync::atomic::Ordering::Relaxed);
            if now == last && now > 0 {
                return now;
            }
            last = now;
        }
        panic!("lines are taken without end")
    };
    let taken = settled();
    assert!(taken < 5_000, "{taken} lines were taken and no row was");
    // stdin stays open: the end comes from the other side.
    drop(child.stdout.take());
    assert_eq!(child.wait().unwrap().code(), Some(4));
    feeder.join().unwrap();
}
