//! What a scan tells, what can go wrong between scans and join, and that it is said.

use std::io::Read;
use std::process::{Command, Stdio};

use overgrant::pipeline::shards::ShardError;
use overgrant::table::rows::evidence::GrantChangeRow;

use super::*;
use crate::support::s3::{Fault, Server};
use crate::support::{copy, rows, samples_plan};

fn why(result: Result<impl std::fmt::Debug, PipelineError>) -> ShardError {
    match result {
        Err(PipelineError::Shards(error)) => error,
        other => panic!("{other:?}"),
    }
}

#[test]
fn shares_are_disjoint_and_whole_and_their_names_tell_their_content() {
    let world = World::new(1);
    world.make_it_hard();
    let all: Vec<Told> = (0..3).map(|number| world.scan("facts", number, 3).unwrap()).collect();
    let objects = all[0].listed;
    // Deliveries of other days are not among them.
    assert!((40..=files_below(&world.at("logs")).len() as u64).contains(&objects), "{objects}");
    assert_eq!(all.iter().map(|told| told.objects).sum::<u64>(), objects);
    assert!(all.iter().all(|told| told.listed == objects && told.facts > 0 && told.unread == 0));
    let bytes: Vec<u64> = all.iter().map(|told| told.bytes).collect();
    let (least, most) = (bytes.iter().min().unwrap(), bytes.iter().max().unwrap());
    assert!(most - least < most / 5, "the shares are even: {bytes:?}");

    let before = bytes_of(&world.at("facts"));
    world.scan_all("facts", 3);
    same(&bytes_of(&world.at("facts")), &before, "scans that run again");
    // One folder for each number of shards: a set that is whole is taken.
    world.scan("facts", 1, 2).unwrap();
    world.check("facts", "beside a set that is not whole");
}

#[test]
fn what_is_delivered_between_scans_waits_for_the_next_place() {
    let world = World::new(2);
    audit(&world.plan("whole")).unwrap();
    world.scan("facts", 0, 2).unwrap();
    let log = files_below(&world.at("logs")).pop().unwrap();
    std::fs::copy(&log, log.with_extension("late.gz")).unwrap();
    world.scan("facts", 1, 2).unwrap();
    world.check("facts", "the listing of the first scan holds");
}

#[test]
fn the_join_goes_on_where_it_was_and_a_run_over_logs_goes_on_from_it() {
    let world = World::new(1);
    world.scan_all("facts", 2);
    world.join("facts", "out").unwrap();
    let outcome = audit(&world.plan("out")).unwrap();
    assert_eq!(outcome.summary.objects.0, 0, "no object is read again");
    audit(&world.plan("whole")).unwrap();
    same(&world.bytes("out"), &world.bytes("whole"), "a run over logs, after a join");
}

#[test]
fn a_shorter_window_and_a_smaller_inventory_are_enough() {
    let world = World::new(1);
    world.scan_all("facts", 2);
    let shorter = Plan { since: Since::Days(7), ..world.join_plan("facts", "out") };
    audit(&shorter).unwrap();
    audit(&Plan { since: Since::Days(7), ..world.plan("whole") }).unwrap();
    let tables = |out: &str| {
        let mut bytes = report_of(&world.at(out));
        bytes.retain(|path, _| path.starts_with("reports/"));
        bytes
    };
    same(&tables("out"), &tables("whole"), "a window of a week");
}

#[test]
fn one_cluster_is_joined_without_the_others() {
    let world = World::new(2);
    let second = world.at("inventory/stage");
    copy(&project("samples/inventory"), &world.at("inventory"));
    copy(&world.at("inventory/prod"), &second);
    for file in files_below(&second) {
        let text = std::fs::read_to_string(&file).unwrap();
        std::fs::write(&file, text.replace("cluster/prod", "cluster/stage")).unwrap();
    }
    for log in files_below(&world.at("logs/eks-audit")) {
        let renamed = of_stage(std::fs::read(&log).unwrap());
        std::fs::write(log.with_extension("stage"), renamed).unwrap();
    }
    let of = |inventory: &str, plan: Plan| Plan {
        inventories: vec![location(&world.at(inventory))],
        ..plan
    };
    scan(&of("inventory", world.plan("facts")), Some(Shard { number: 0, of: 1 }), &mut Deaf)
        .unwrap();
    for name in ["prod", "stage"] {
        let (alone, inventory) = (format!("of-{name}"), format!("inventory/{name}"));
        let joined = audit(&of(&inventory, world.join_plan("facts", &alone))).unwrap();
        let whole = format!("whole-{name}");
        let read = audit(&of(&inventory, world.plan(&whole))).unwrap();
        let tables = |out: &str| {
            let mut bytes = report_of(&world.at(out));
            bytes.retain(|path, _| path.starts_with("reports/") || path.starts_with("tables/"));
            // CloudTrail tells a run over logs of changes in clusters of no inventory, too.
            bytes.retain(|path, _| !path.contains("grant_changes") && !path.contains("timeline"));
            bytes
        };
        assert!(tables(&whole).len() > 30);
        same(&tables(&alone), &tables(&whole), name);
        let mut changes: Vec<GrantChangeRow> = rows(&world.at(&whole));
        changes.retain(|row| row.cluster.ends_with(&format!("cluster/{name}")));
        // The trail of the samples tells of `prod` alone.
        assert_eq!(changes.is_empty(), name == "stage");
        assert_eq!(rows::<GrantChangeRow>(&world.at(&alone)), changes, "{name}");
        assert_eq!(joined.summary.verdicts, read.summary.verdicts);
    }
}

/// The same log of the other cluster. Some are packed twice.
fn of_stage(bytes: Vec<u8>) -> Vec<u8> {
    if !bytes.starts_with(&[0x1f, 0x8b]) {
        let text = String::from_utf8(bytes).unwrap();
        // Requests of its own: one event is of one cluster.
        let text = text.replace(r#"auditID\":\""#, r#"auditID\":\"5"#);
        let text = text.replace(r#""auditID":""#, r#""auditID":"5"#);
        return text.replace("/aws/eks/prod/", "/aws/eks/stage/").into_bytes();
    }
    let mut inner = Vec::new();
    flate2::read::MultiGzDecoder::new(bytes.as_slice()).read_to_end(&mut inner).unwrap();
    gzip(&of_stage(inner))
}

#[test]
fn mistakes_are_told_apart() {
    let world = World::new(3);
    let text = |error: ShardError| error.to_string();
    assert!(matches!(why(world.join("facts", "out")), ShardError::NoFacts { .. }));

    std::fs::create_dir_all(world.at("foreign")).unwrap();
    std::fs::write(world.at("foreign/notes.txt"), "mine").unwrap();
    let error = text(why(world.scan("foreign", 0, 1)));
    assert!(error.contains("\"notes.txt\"") && error.contains("another place"), "{error}");

    world.scan("facts", 1, 4).unwrap();
    world.scan("facts", 3, 4).unwrap();
    let error = text(why(world.join("facts", "out")));
    assert!(error.contains("of 4 shards these are missing: 0, 2;"), "{error}");
    assert!(error.contains("--shard 0/4"), "{error}");

    let error = text(why(scan(
        &Plan { since: Since::Days(10), ..world.plan("facts") },
        Some(Shard { number: 0, of: 4 }),
        &mut Deaf,
    )));
    assert!(error.contains("it is of another window"), "{error}");
    let error = text(why(scan(
        &Plan {
            inventories: Vec::new(),
            until: Some(overgrant::model::time::Micros::parse("2026-11-24T00:00:00Z").unwrap()),
            ..world.plan("facts")
        },
        Some(Shard { number: 0, of: 4 }),
        &mut Deaf,
    )));
    assert!(error.contains("another"), "{error}");

    world.scan_all("facts", 4);
    let error = why(audit(&Plan { since: Since::Days(40), ..world.join_plan("facts", "out") }));
    assert!(matches!(error, ShardError::OtherDays { .. }), "{error}");
    let hidden = Plan { hide_secret_names: true, ..world.join_plan("facts", "out") };
    let error = why(audit(&hidden));
    assert!(matches!(error, ShardError::Lacks { .. }), "{error}");

    // A file that was changed is not read.
    let facts = files_below(&world.at("facts/of-0004/shard-0002"))
        .into_iter()
        .find(|path| path.display().to_string().contains("facts-"))
        .unwrap();
    let mut bytes = std::fs::read(&facts).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&facts, bytes).unwrap();
    let error = why(world.join("facts", "out"));
    assert!(
        matches!(&error, ShardError::Damaged { file } if file.contains("shard-0002")),
        "{error}"
    );
    // And the shard mends it.
    world.scan("facts", 2, 4).unwrap();
    world.check("facts", "mended");
}

#[test]
fn without_an_end_that_all_share_there_is_no_scan() {
    let world = World::new(3);
    let plan = Plan { inventories: Vec::new(), ..world.plan("facts") };
    let error = why(scan(&plan, Some(Shard { number: 0, of: 1 }), &mut Deaf));
    assert!(matches!(error, ShardError::NoEnd));
}

/// Kills a scan again and again, a little later each time, until it is done.
#[test]
fn a_scan_that_is_killed_is_run_again() {
    let world = World::new(1);
    world.make_it_hard();
    let mut kills = 0;
    for number in 0..2 {
        for round in 0_u32.. {
            let mut child = Command::new(env!("CARGO_BIN_EXE_overgrant"))
                .arg("scan")
                .arg(world.at("logs"))
                .args(["--since", "21d", "--threads", "2", "--quiet", "--inventory"])
                .arg(project("samples/inventory"))
                .args(["--shard", &format!("{number}/2"), "--out"])
                .arg(world.at("facts"))
                .stdout(Stdio::null())
                .spawn()
                .unwrap();
            std::thread::sleep(std::time::Duration::from_millis(u64::from(20 + 60 * round)));
            if let Some(status) = child.try_wait().unwrap() {
                assert!(status.success(), "{status}");
                break;
            }
            child.kill().unwrap();
            child.wait().unwrap();
            kills += 1;
        }
    }
    assert!(kills > 0, "no scan was killed");
    world.check("facts", &format!("after {kills} kills"));
}

#[test]
fn shards_over_s3_give_the_bytes_of_one_run_over_s3() {
    let root = tempfile::tempdir().unwrap();
    copy(&project("samples/logs"), &root.path().join("logs/deep"));
    copy(&project("samples/inventory"), &root.path().join("logs/inventory"));
    for bucket in ["results", "work"] {
        std::fs::create_dir_all(root.path().join(bucket)).unwrap();
    }
    // Some requests fail and are tried again.
    let mut n = 0;
    let server = Server::start(root.path(), move |_, _| {
        n += 1;
        if n % 11 == 0 { Fault::SlowDown } else { Fault::None }
    });
    let at = |text: &str| Location::parse(text).unwrap();
    let mut plan = samples_plan(root.path());
    plan.logs = vec![at("s3://logs/deep/")];
    plan.inventories = vec![at("s3://logs/inventory/")];
    plan.s3 = server.options();
    plan.since = Since::Days(14);
    audit(&Plan { out: at("s3://results/whole"), ..plan.clone() }).unwrap();
    let facts = Plan { out: at("s3://work/facts"), ..plan.clone() };
    std::thread::scope(|scope| {
        for number in [2, 0, 1] {
            let facts = &facts;
            let shard = Some(Shard { number, of: 3 });
            scope.spawn(move || scan(facts, shard, &mut Deaf).unwrap());
        }
    });
    let listings = server.count(&["GET", "/logs", "list-type=2"]);
    let joined = Plan {
        logs: Vec::new(),
        facts: Some(at("s3://work/facts/")),
        out: at("s3://results/joined"),
        ..plan
    };
    audit(&joined).unwrap();
    assert!(server.count(&["GET", "/logs", "list-type=2"]) >= listings);
    let of = |out: &str| {
        let mut bytes = report_of(&root.path().join("results").join(out));
        bytes.retain(|path, _| !path.contains(".s3s"));
        bytes
    };
    same(&of("joined"), &of("whole"), "three shards in a bucket");
}
