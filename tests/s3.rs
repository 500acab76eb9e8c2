//! Logs, inventory and output in a bucket: an in-process server behind a real socket.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use overgrant::model::needs::{CALLS, Feature};
use overgrant::model::time::Micros;
use overgrant::publish::place::Place;
use overgrant::publish::{Finished, State};
use overgrant::source::{FetchError, Location, Object, Prune, SourceError, Store};

use crate::support::s3::{Fault, Server};
use crate::support::{audit, bytes_of, copy, gzip, project, samples_plan};

fn put(root: &Path, key: &str, bytes: &[u8]) {
    let path = root.join(key);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, bytes).unwrap();
}

fn everything() -> Prune {
    Prune::everything()
}

fn open(server: &Server, url: &str) -> Store {
    let location = Location::parse(url).unwrap();
    server.block_on(Store::open(&location, &server.options())).unwrap()
}

#[test]
fn the_audit_over_s3_gives_the_bytes_of_the_audit_over_folders() {
    let root = tempfile::tempdir().unwrap();
    copy(&project("samples/logs"), &root.path().join("logs/deep"));
    copy(&project("samples/inventory"), &root.path().join("logs/inventory"));
    std::fs::create_dir_all(root.path().join("results")).unwrap();
    let server = Server::start(root.path(), |_, _| Fault::None);

    let local = tempfile::tempdir().unwrap();
    audit(&samples_plan(local.path())).unwrap();

    let mut plan = samples_plan(local.path());
    let at = |text: &str| Location::parse(text).unwrap();
    plan.logs = vec![at("s3://logs/deep/")];
    plan.inventories = vec![at("s3://logs/inventory/")];
    plan.out = at("s3://results/nightly");
    plan.s3 = server.options();
    // What an earlier run left must not stay beside the new tables.
    put(root.path(), "results/nightly/tables/gone/part-0.parquet", b"old");
    put(root.path(), "results/nightly/tables-of-others/x", b"not ours");
    audit(&plan).unwrap();

    let mut expected = bytes_of(local.path());
    let mut got = bytes_of(&root.path().join("results/nightly"));
    assert!(got.remove("tables-of-others/x").is_some(), "others' objects stay");
    assert!(!got.contains_key("tables/gone/part-0.parquet"));
    // Keys are named from the bucket's root, so the digest of the input and the rejects differ.
    for map in [&mut expected, &mut got] {
        map.remove("manifest.json").unwrap();
        map.retain(|path, _| !path.starts_with("tables/rejects/") && !path.contains(".s3s"));
    }
    let names =
        |map: &std::collections::BTreeMap<String, Vec<u8>>| map.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&got), names(&expected));
    assert_eq!(got, expected);

    let requests = server.requests.lock().unwrap().clone();
    let of = |part: &str| requests.iter().rposition(|r| r.starts_with("PUT") && r.contains(part));
    let switch = of("nightly/manifest.json").unwrap();
    assert!(of("/.generations/").unwrap() < switch, "a run is whole before it counts");
    assert!(switch < of("nightly/tables/run/").unwrap(), "readers by name come after");

    // The next run keeps what it has and reads nothing again.
    let before = server.count(&["GET", "/logs/deep/"]);
    audit(&plan).unwrap();
    let listed = server.count(&["GET", "/logs/deep/"]) - before;
    assert_eq!(listed, 0, "{:?}", server.requests.lock().unwrap());
    let mut again = bytes_of(&root.path().join("results/nightly"));
    again.retain(|path, _| got.contains_key(path));
    assert_eq!(again, got);

    // Each request is in the table of permissions, and each entry of it for buckets was needed.
    let made: BTreeSet<(Feature, &str)> = requests
        .iter()
        .map(|line| {
            let (method, path) = line.split_once(' ').unwrap();
            let feature = if path.starts_with("/results") {
                Feature::WriteOutput
            } else {
                Feature::ReadBuckets
            };
            let call = match method {
                "GET" if path.contains("list-type=2") => "s3:ListObjectsV2",
                "GET" => "s3:GetObject",
                "PUT" => "s3:PutObject",
                "DELETE" => "s3:DeleteObject",
                other => panic!("{other} {path}"),
            };
            (feature, call)
        })
        .collect();
    let known: BTreeSet<(Feature, &str)> = CALLS
        .iter()
        // Parts of what is large: `a_large_table_goes_in_parts`.
        .filter(|call| call.call.starts_with("s3:") && call.call != "s3:AbortMultipartUpload")
        .map(|call| (call.feature, call.call))
        .collect();
    assert_eq!(made, known);
}

/// A finished run whose one table has so many bytes.
fn run_of(bytes: usize) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let table: Vec<u8> = (0..bytes).map(|n| u8::try_from(n % 251).unwrap()).collect();
    put(folder.path(), "run/tables/large/part-0.parquet", &table);
    put(folder.path(), "run/manifest.json", b"{}");
    put(folder.path(), "state/ledger/days/part-0.parquet", b"x");
    folder
}

#[test]
fn a_large_table_goes_in_parts() {
    let root = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(root.path().join("results")).unwrap();
    let refuse = Arc::new(AtomicBool::new(false));
    let asked = Arc::clone(&refuse);
    let server = Server::start(root.path(), move |_, path| {
        let refused = asked.load(Ordering::Relaxed) && path.contains("partNumber=3");
        if refused { Fault::Denied } else { Fault::None }
    });
    let publish = |out: &str| {
        let run = run_of(40 << 20);
        let out = Location::parse(out).unwrap();
        let (of_run, of_state) = (run.path().join("run"), run.path().join("state"));
        let finished = Finished {
            run: &of_run,
            state: &of_state,
            generation: "0123456789abcdef",
            run_json: b"{}",
            history: &[],
        };
        server.block_on(async {
            let place = Place::open(&out, &server.options()).await.unwrap();
            place.publish(finished, &mut State::default()).await
        })
    };
    publish("s3://results/whole").unwrap();
    let got = std::fs::read(root.path().join("results/whole/tables/large/part-0.parquet")).unwrap();
    assert!(
        got.len() == 40 << 20
            && got.iter().enumerate().all(|(n, byte)| n % 251 == usize::from(*byte))
    );
    let asked_for = |what: &str| {
        server.requests.lock().unwrap().iter().filter(|request| request.contains(what)).count()
    };
    // Under the name of the run, and where readers by glob look.
    assert_eq!((asked_for("partNumber=3"), asked_for("partNumber=4")), (2, 0));

    refuse.store(true, Ordering::Relaxed);
    let error = publish("s3://results/refused").unwrap_err();
    assert!(format!("{error:?}").contains("UploadPart"), "{error:?}");
    assert!(asked_for("DELETE /results/refused") > 0, "the parts are given up");
    assert!(!root.path().join("results/refused/tables/large/part-0.parquet").exists());
}

#[test]
fn listing_leaves_out_what_the_window_does_not_need() {
    let root = tempfile::tempdir().unwrap();
    for account in ["111122223333", "444455556666"] {
        for year in ["2024", "2025", "2026"] {
            for day in ["01", "02", "03", "04"] {
                let key = format!(
                    "buck/AWSLogs/{account}/CloudTrail/us-west-2/{year}/10/{day}/f-{day}.json.gz"
                );
                put(root.path(), &key, b"x");
            }
        }
    }
    let server = Server::start(root.path(), |_, _| Fault::None);
    let since = Micros::parse("2026-10-03T00:00:00Z").unwrap();
    let mut prune = Prune::window(since, Micros(since.0 + 3_600_000_000));
    prune.accounts = Some(std::iter::once("111122223333".to_owned()).collect());
    let objects = listed(&server, &open(&server, "s3://buck/"), &prune);
    let keys: Vec<&str> = objects.iter().map(|object| object.key.as_str()).collect();
    let base = "AWSLogs/111122223333/CloudTrail/us-west-2/2026/10";
    assert_eq!(keys, [2, 3, 4].map(|d| format!("{base}/0{d}/f-0{d}.json.gz")));
    assert_eq!(
        server.count(&["list-type=2", "444455556666"]),
        0,
        "no page for an unwanted account"
    );
    assert_eq!(server.count(&["list-type=2", "2024"]), 0, "no page for an unwanted year");
}

fn listed(server: &Server, store: &Store, prune: &Prune) -> Vec<Object> {
    let mut listing = server.block_on(store.list(prune)).unwrap();
    listing.objects().unwrap().map(Result::unwrap).collect()
}

#[test]
fn a_listing_of_many_pages_is_whole() {
    let root = tempfile::tempdir().unwrap();
    for n in 0..2100 {
        put(root.path(), &format!("buck/flat/{n:05}"), b"x");
    }
    let server = Server::start(root.path(), |_, _| Fault::None);
    let objects = listed(&server, &open(&server, "s3://buck/flat/"), &everything());
    assert_eq!(objects.len(), 2100);
    assert!(objects.is_sorted());
    assert!(server.count(&["continuation-token"]) >= 2, "pages were followed");
}

#[test]
fn a_cut_body_is_resumed_and_a_storm_is_waited_out() {
    let root = tempfile::tempdir().unwrap();
    let body: Vec<u8> = (0..200_000_u32).map(|n| u8::try_from(n % 251).unwrap()).collect();
    put(root.path(), "buck/big", &body);
    let gets = AtomicUsize::new(0);
    let server = Server::start(root.path(), move |method, uri| {
        if method != hyper::Method::GET || !uri.contains("/big") {
            return Fault::None;
        }
        match gets.fetch_add(1, Ordering::SeqCst) {
            0 => Fault::SlowDown,
            1 | 2 => Fault::CutBody,
            _ => Fault::None,
        }
    });
    let store = open(&server, "s3://buck/");
    let objects = listed(&server, &store, &everything());
    let got = server.block_on(store.fetch(&objects[0])).unwrap();
    assert_eq!(got, body);
}

#[test]
fn what_changed_or_went_since_the_listing_is_told_apart() {
    let root = tempfile::tempdir().unwrap();
    put(root.path(), "buck/changed", b"one");
    put(root.path(), "buck/gone", b"one");
    put(root.path(), "buck/secret", b"one");
    let server =
        Server::start(root.path(), |method, uri| match (method == hyper::Method::GET, uri) {
            (true, uri) if uri.contains("/secret") => Fault::Denied,
            (true, uri) if uri.contains("/changed") => Fault::Changed,
            _ => Fault::None,
        });
    let store = open(&server, "s3://buck/");
    let objects = listed(&server, &store, &everything());
    std::fs::remove_file(root.path().join("buck/gone")).unwrap();
    let errors: Vec<FetchError> =
        objects.iter().map(|object| server.block_on(store.fetch(object)).unwrap_err()).collect();
    assert_eq!(errors[0], FetchError::Changed);
    assert_eq!(errors[1], FetchError::Gone);
    assert!(
        matches!(&errors[2], FetchError::Denied { message, statement } if message.contains("AccessDenied")
            && statement.contains(r#""Resource":"arn:aws:s3:::buck/*""#))
    );
}

#[test]
fn a_bucket_that_cannot_be_listed_says_what_it_takes() {
    let root = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(root.path().join("buck")).unwrap();
    let server = Server::start(root.path(), |_, _| Fault::Denied);
    let error = server.block_on(open(&server, "s3://buck/logs").list(&everything())).unwrap_err();
    let SourceError::S3 { operation, action, message, .. } = &error else { panic!("{error:?}") };
    assert_eq!((*operation, *action), ("ListObjectsV2", "s3:ListBucket"));
    assert!(message.contains("AccessDenied"), "{message}");
    let needed = r#"needs s3:ListBucket on arn:aws:s3:::buck; add {"Action":"s3:ListBucket","#;
    assert!(error.to_string().contains(needed), "{error}");
}

/// A bucket that is far away costs a few of its round trips, not one for each object: requests wait at
/// the same time, as many as their bytes allow.
#[test]
fn a_bucket_that_is_far_away_does_not_starve_the_threads() {
    const OBJECTS: usize = 400;
    const DELAY: Duration = Duration::from_millis(75);
    let root = tempfile::tempdir().unwrap();
    for n in 0..OBJECTS {
        let records: Vec<String> = (0..100)
            .map(|at| {
                format!(
                    r#"{{"eventTime":"2026-10-05T{:02}:{:02}:00Z","eventSource":"sts.amazonaws.com","eventName":"GetCallerIdentity","awsRegion":"us-west-2","userIdentity":{{"type":"IAMUser","principalId":"AIDA{n}"}},"eventID":"{n}-{at}","recipientAccountId":"111122223333"}}"#,
                    n % 24,
                    at % 60
                )
            })
            .collect();
        let key = format!(
            "logs/deep/AWSLogs/111122223333/CloudTrail/us-west-2/2026/10/05/111122223333_CloudTrail_us-west-2_20261005T0000Z_{n:016}.json.gz"
        );
        put(
            root.path(),
            &key,
            &gzip(format!(r#"{{"Records":[{}]}}"#, records.join(",")).as_bytes()),
        );
    }
    let run = |delay: Duration| {
        let server = Server::start_slow(root.path(), delay, |_, _| Fault::None);
        let out = tempfile::tempdir().unwrap();
        let mut plan = samples_plan(out.path());
        plan.logs = vec![Location::parse("s3://logs/deep/").unwrap()];
        plan.s3 = server.options();
        plan.threads = 2;
        let before = Instant::now();
        audit(&plan).unwrap();
        let took = before.elapsed();
        assert_eq!(server.count(&["GET", ".json.gz"]), OBJECTS);
        let mut report = bytes_of(out.path());
        report.remove("manifest.json").unwrap();
        (took, server.most_at_once.load(Ordering::Relaxed), report)
    };
    let (near, _, report) = run(Duration::ZERO);
    let (far, at_once, same) = run(DELAY);
    let one_by_one = DELAY * u32::try_from(OBJECTS).unwrap();
    eprintln!("{near:?} near, {far:?} far, {at_once} requests at once; one by one {one_by_one:?}");
    assert!(at_once >= 64, "{at_once} requests at once");
    assert!(far < near + one_by_one / 10, "{far:?} far, {near:?} near");
    assert!(same == report, "the same report");
}

#[test]
fn an_earlier_run_in_a_bucket_is_a_baseline_and_one_side_of_a_diff() {
    use overgrant::pipeline::baseline::BaselineSpec;
    use overgrant::pipeline::diff::{DiffPlan, diff};

    let root = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(root.path().join("results")).unwrap();
    let server = Server::start(root.path(), |_, _| Fault::None);
    let mut plan = samples_plan(root.path());
    plan.out = Location::parse("s3://results/nightly").unwrap();
    plan.s3 = server.options();
    plan.baseline = Some(BaselineSpec::Newest);
    let news = |plan: &overgrant::pipeline::Plan| {
        let news = audit(plan).unwrap().summary.news.unwrap();
        (news.since, news.new, news.gone)
    };
    // A bucket without a history is a first run.
    assert_eq!(news(&plan), (None, 13, 0));
    plan.until = Micros::parse("2026-11-24T05:00:00Z");
    assert_eq!(news(&plan), (Some("2026-11-24T00:00:00Z".to_owned()), 0, 0));

    let local = tempfile::tempdir().unwrap();
    audit(&samples_plan(local.path())).unwrap();
    let before = Location::Local(local.path().to_path_buf());
    let after = plan.out.clone();
    let compared = diff(&DiffPlan { before, after, s3: server.options() }).unwrap();
    assert_eq!(compared.after.1, Micros::parse("2026-11-24T05:00:00Z").unwrap());
    assert!(compared.changes.iter().all(|change| !change.new), "{:?}", compared.changes);
}
