//! Hostile logs: rejected or reported, the rest counts, memory stays bounded, nothing panics.

pub(crate) mod corpus;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use overgrant::decode::gunzip::Limits;
use overgrant::extract::clusters::ClusterResolver;
use overgrant::extract::{Batch, Context, Extractor};
use overgrant::model::fact::{Fact, FactBody};
use overgrant::model::tally::Tally;
use overgrant::model::time::{Micros, Window};
use overgrant::pipeline::Outcome;
use overgrant::source::Location;
use overgrant::table::rows::access::ApiAccessRow;
use overgrant::table::rows::evidence::{CoverageRow, TokenFindingRow};
use overgrant::table::rows::verdicts::VerdictRow;

use crate::support::{audit, copy, gzip, project, rows, samples_plan, verdicts};
use corpus::{CAP, Case, cases, record};

const CLUSTER: &str = "arn:aws:eks:us-west-2:111122223333:cluster/prod";

fn extractor(max_inflated: u64) -> Extractor {
    let at = |text: &str| Micros::parse(text).unwrap();
    Extractor::new(Arc::new(Context {
        window: Window { since: at("2026-08-26T00:00:00Z"), until: at("2026-11-24T00:00:00Z") },
        relevant_ids: std::iter::empty().collect(),
        relevant_names: std::iter::empty().collect(),
        clusters: ClusterResolver::new(
            &[CLUSTER.to_owned()],
            &[("native/".to_owned(), CLUSTER.to_owned())],
        ),
        limits: Limits { max_inflated },
        hide_secret_names: false,
    }))
}

/// `stream: kept filtered rejected(reason)…`
fn words(tally: &Tally) -> String {
    let streams = tally.streams.iter().map(|(stream, counts)| {
        let rejected = counts.rejected.iter().map(|(why, n)| format!(" {}({n})", why.as_str()));
        let salvaged = (counts.salvaged > 0).then(|| format!(" salvaged({})", counts.salvaged));
        let filtered = counts.filtered_total();
        let rest: String = rejected.chain(salvaged).collect();
        format!("{}: {} {filtered}{rest}", stream.as_str(), counts.kept)
    });
    let mut streams: Vec<String> = streams.collect();
    streams.sort();
    streams.join("; ")
}

fn read(key: &str, bytes: &[u8], cap: u64) -> (Vec<Fact<'static>>, Batch) {
    let mut facts = Vec::new();
    let mut batch = Batch::default();
    extractor(cap).object(&format!("native/{key}"), bytes, &mut batch, &mut |fact| {
        facts.push(fact.into_owned());
    });
    assert!(batch.tally.partitions(), "{key}: {:?}", batch.tally);
    (facts, batch)
}

#[test]
fn every_object_counts_as_what_it_is() {
    let mut wrong = Vec::new();
    for Case { key, bytes, expected } in cases() {
        let (_, batch) = read(key, &bytes, CAP);
        let got = words(&batch.tally);
        if got != expected {
            wrong.push(format!("{key}: {got}, expected {expected}"));
        }
        // The same inside another layer of compression.
        if !bytes.is_empty() && !bytes.starts_with(&[0x1f, 0x8b]) {
            let (_, packed) = read(key, &gzip(&bytes), CAP);
            assert_eq!(words(&packed.tally), got, "{key}, gzipped");
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn forged_extras_name_nobody() {
    let forged = cases().into_iter().find(|case| case.key == "forged-impersonation").unwrap();
    let (facts, _) = read(forged.key, &forged.bytes, CAP);
    for fact in &facts {
        let FactBody::Access(access) = &*fact.body else { panic!("{fact:?}") };
        for user in [&access.caller, &access.subject] {
            let names = [&user.access_key_id, &user.principal_id, &user.arn, &user.canonical_arn];
            assert!(names.iter().all(|text| text.is_empty()), "{user:?}");
        }
    }
    assert!(facts.len() > 1, "the impersonation and the request");
}

#[test]
fn hostile_keys_of_maps_stay_few() {
    // One object that claims many hours, accounts and regions.
    let records: Vec<String> = (0..60_000)
        .map(|n| {
            let at = Micros((n - 30_000) * 1_000_003 * 3_600_000).to_rfc3339();
            record(usize::try_from(n).unwrap(), "")
                .replace(corpus::AT, &at)
                .replace("us-west-2", &format!("r-{n}"))
                .replace(
                    r#""recipientAccountId":"111122223333""#,
                    &format!(r#""recipientAccountId":"{n:012}""#),
                )
        })
        .collect();
    let (_, batch) =
        read("map-keys", format!(r#"{{"Records":[{}]}}"#, records.join(",")).as_bytes(), 1 << 30);
    // Only hours of the window can be covered or not.
    assert!(batch.proofs.len() <= 91 * 24, "{}", batch.proofs.len());
}

/// Copies the samples and mixes the corpus in below `folder`, with what only a folder can hold.
fn mixed(to: &Path, folder: &str) {
    copy(&project("samples/logs"), to);
    let hostile = to.join(folder);
    std::fs::create_dir_all(hostile.join("looks-like-a-log.json.gz/inner")).unwrap();
    for Case { key, bytes, .. } in cases() {
        std::fs::write(hostile.join(key), bytes).unwrap();
    }
    std::os::unix::fs::symlink(&hostile, hostile.join("loop")).unwrap();
    std::os::unix::fs::symlink(to, hostile.join("looks-like-a-log.json.gz/inner/up")).unwrap();
    std::os::unix::fs::symlink(to.join("nowhere"), hostile.join("dangling.json.gz")).unwrap();
}

type Said = BTreeMap<String, (String, String, String, i64, Option<Micros>)>;

/// What is said of every grant, but how surely.
fn said(out: &Path) -> Said {
    verdicts(out)
        .into_iter()
        .map(|(name, (_, v))| {
            let said = (v.verdict, v.severity, v.recommendation, v.used_count, v.last_used);
            (name, said)
        })
        .collect()
}

/// One day of ninety: a hole that verdicts bear.
const ONE_DAY: &str = "native/2026/10/05";

fn audit_mixed(folder: &str, out: &Path) -> Outcome {
    let logs = tempfile::tempdir().unwrap();
    mixed(logs.path(), folder);
    let mut plan = samples_plan(out);
    plan.logs = vec![Location::Local(logs.path().to_path_buf())];
    plan.cluster_map = vec![("native/".to_owned(), CLUSTER.to_owned())];
    plan.limits = Limits { max_inflated: CAP };
    audit(&plan).unwrap()
}

#[test]
fn what_is_lost_at_any_time_leaves_no_hour_covered() {
    let out = tempfile::tempdir().unwrap();
    let outcome = audit_mixed("native", out.path());
    assert!(outcome.partial);
    let coverage = rows::<CoverageRow>(out.path());
    assert!(coverage.len() > 2000 && coverage.iter().all(|row| !row.covered));
    let verdicts = verdicts(out.path());
    // What leads to no permission needs no log to be told.
    let unsure = |v: &VerdictRow| {
        v.verdict != "unused" && (v.recommendation != "remove" || v.verdict == "ineffective")
    };
    let sure: Vec<_> = verdicts.values().filter(|(_, v)| !unsure(v)).collect();
    assert!(sure.is_empty(), "{sure:?}");
    let said = outcome.summary.warnings.join("\n");
    assert!(said.contains("objects cannot be read") && said.contains("native/"), "{said}");
}

#[test]
fn a_file_that_is_no_log_costs_nothing() {
    let clean = tempfile::tempdir().unwrap();
    audit(&samples_plan(clean.path())).unwrap();
    let logs = tempfile::tempdir().unwrap();
    copy(&project("samples/logs"), logs.path());
    for (name, bytes) in [
        ("README.md", "# Logs of prod\n\nCopied in October.\n"),
        ("_SUCCESS", ""),
        (".DS_Store", "\0\u{1}Bud1"),
        ("settings.json", "{\"copied\": true}"),
    ] {
        std::fs::write(logs.path().join(name), bytes).unwrap();
    }
    let out = tempfile::tempdir().unwrap();
    let mut plan = samples_plan(out.path());
    plan.logs = vec![Location::Local(logs.path().to_path_buf())];
    let outcome = audit(&plan).unwrap();
    assert_eq!(said(clean.path()), said(out.path()));
    let objects = &outcome.summary.counters["objects"];
    assert_eq!(objects.rejected_total(), 4, "{objects:?}");
}

#[test]
fn mixed_into_one_day_of_the_samples_it_changes_no_verdict() {
    let clean = tempfile::tempdir().unwrap();
    audit(&samples_plan(clean.path())).unwrap();
    let out = tempfile::tempdir().unwrap();
    let outcome = audit_mixed(ONE_DAY, out.path());
    assert!(outcome.partial);
    let (clean, got) = (said(clean.path()), said(out.path()));
    assert_eq!(clean.len(), got.len());
    for (grant, before) in &clean {
        assert_eq!(before, &got[grant], "{grant}");
    }

    // Reported, not believed.
    let findings = rows::<TokenFindingRow>(out.path());
    let reused = findings.iter().find(|row| row.kind == "audit_id_reused").unwrap();
    assert_eq!((reused.subject.as_str(), reused.count), ("mallory", 39));
    let access = rows::<ApiAccessRow>(out.path());
    let of = |name: &str| access.iter().find(|row| row.username == name).unwrap();
    let lookalike = of("eks:addon-manager");
    assert!(!lookalike.component && lookalike.credited_grant_id.is_none());
    let namesake = of("prober");
    assert_eq!(namesake.principal_arn, "arn:aws:iam::999999999999:role/prober");
    assert!(access.iter().all(|row| row.session_id.is_none() || row.username != "mallory"));
    let rejects = rows::<overgrant::table::rows::evidence::RejectRow>(out.path());
    assert!(
        rejects
            .iter()
            .any(|row| row.object.ends_with("dangling.json.gz") && row.reason == "unreadable")
    );
    assert!(rejects.iter().all(|row| !row.first_example.contains('\u{1b}')));
}

#[test]
fn through_the_binary_it_exits_3_and_steers_no_terminal() {
    let logs = tempfile::tempdir().unwrap();
    mixed(logs.path(), ONE_DAY);
    let out = tempfile::tempdir().unwrap();
    let inventory = project("samples/inventory");
    let run = |max_object: &str| {
        Command::new(env!("CARGO_BIN_EXE_overgrant"))
            .arg("audit")
            .arg(logs.path())
            .arg("--inventory")
            .arg(&inventory)
            .arg("--out")
            .arg(out.path().join("out"))
            .args(["--cluster-map", &format!("native/={CLUSTER}"), "--max-object", max_object])
            .output()
            .unwrap()
    };
    let got = run("4");
    assert_eq!(got.status.code(), Some(3), "{}", String::from_utf8_lossy(&got.stderr));
    let text = String::from_utf8(got.stdout).unwrap();
    for steering in ['\u{1b}', '\u{202e}', '\u{0}'] {
        assert!(!text.contains(steering), "{steering:?} in {text}");
    }
    assert!(text.contains("too_large"), "{text}");
    // Under a wider cap the bombs are only spaces.
    let text = String::from_utf8(run("16").stdout).unwrap();
    assert!(!text.contains("too_large"), "{text}");
}

/// Highest resident memory of a child, in MiB.
#[cfg(target_os = "linux")]
fn peak_of(child: &mut std::process::Child) -> u64 {
    let path = format!("/proc/{}/status", child.id());
    let mut peak = 0;
    while child.try_wait().unwrap().is_none() {
        let status = std::fs::read_to_string(&path).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = line.and_then(|line| line.trim().split(' ').next()?.parse::<u64>().ok());
        peak = peak.max(kib.unwrap_or(0) >> 10);
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    peak
}

#[cfg(target_os = "linux")]
#[test]
fn large_records_cost_their_size_and_little_more() {
    let logs = tempfile::tempdir().unwrap();
    let place = logs.path().join("AWSLogs/111122223333/CloudTrail/us-west-2/2026/10/05");
    std::fs::create_dir_all(&place).unwrap();
    let wide = record(1, &format!(r#","requestParameters":{{"x":"{}"}}"#, "y".repeat(100 << 20)));
    let deep = format!(r#","requestParameters":{}{}"#, "[".repeat(200_000), "]".repeat(200_000));
    let whole = format!(r#"{{"Records":[{wide},{}]}}"#, record(2, &deep));
    std::fs::write(place.join("wide.json.gz"), gzip(whole.as_bytes())).unwrap();
    let lines = format!("{{\"broken\":\n{}\n", record(3, "")).repeat(200_000);
    std::fs::write(place.join("lines.json.gz"), gzip(lines.as_bytes())).unwrap();
    drop((whole, wide, lines));
    let out = tempfile::tempdir().unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_overgrant"))
        .args(["audit", "-q", "--threads", "2"])
        .arg(logs.path())
        .arg("--inventory")
        .arg(project("samples/inventory"))
        .arg("--out")
        .arg(out.path().join("out"))
        .spawn()
        .unwrap();
    let peak = peak_of(&mut child);
    let code = child.wait().unwrap().code();
    eprintln!("peak {peak} MiB for an object of 100 MiB beside one of 110 MiB");
    assert!(peak > 0 && peak < 700, "{peak} MiB");
    assert_eq!(code, Some(3));
}
