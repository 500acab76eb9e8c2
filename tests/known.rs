//! What people said of findings, and what is new: by the binary, from the file to the tables.

use std::path::Path;
use std::process::{Command, Output};

use overgrant::table::rows::evidence::NoteRow;
use overgrant::table::rows::verdicts::VerdictRow;

use crate::support::{bytes_of, copy, project, report_of, rows, same};

fn run(folder: &Path, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_overgrant"))
        .args(args)
        .current_dir(folder)
        .env_remove("RUST_LOG")
        .output()
        .unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// Runs an audit of the samples with more flags: exit code, stdout, stderr.
fn audit(out: &Path, more: &[&str]) -> (Option<i32>, String, String) {
    audit_of("samples/inventory", out, more)
}

fn audit_of(inventory: &str, out: &Path, more: &[&str]) -> (Option<i32>, String, String) {
    let place = out.display().to_string();
    let base = ["audit", "samples/logs", "--inventory", inventory, "--out", &place];
    let got = run(&project(""), &[&base, more].concat());
    (got.status.code(), text(&got.stdout).replace(&place, "OUT"), text(&got.stderr))
}

/// The lines of a summary that are about findings.
fn findings(summary: &str) -> String {
    let start = summary.find("exact and unchanged\n\n").map_or(0, |at| at + 21);
    let end = summary.find("\nCoverage").unwrap_or(summary.len());
    summary.get(start..end).unwrap().to_owned()
}

#[test]
fn the_example_is_run() {
    let out = tempfile::tempdir().unwrap();
    let place = out.path().join("out").display().to_string();
    let args = ["audit", "--config", "samples/overgrant.toml", "--out", &place];
    let got = run(&project(""), &args);
    assert_eq!((got.status.code(), text(&got.stderr)), (Some(0), String::new()));
    insta::assert_snapshot!("known_summary", findings(&text(&got.stdout)));

    let out = out.path().join("out");
    let known: Vec<(String, String)> = rows::<VerdictRow>(&out)
        .into_iter()
        .filter(|row| row.suppressed == Some(true))
        .map(|row| (row.verdict, row.suppressed_by.unwrap()))
        .collect();
    let count = |verdict: &str, by: &str| {
        known.iter().filter(|(v, b)| v == verdict && b.starts_with(by)).count()
    };
    assert_eq!(count("over_scoped", "platform"), 1, "terraform");
    assert_eq!(count("redundant", "platform"), 2);
    assert_eq!((count("unused", "security"), count("over_scoped", "security")), (1, 1));
    assert_eq!(known.len(), 5, "{known:?}");
    let notes: Vec<String> = rows::<NoteRow>(&out).into_iter().map(|row| row.code).collect();
    for code in ["suppression_expired", "break_glass_used"] {
        assert!(notes.iter().any(|one| one == code), "{code} in {notes:?}");
    }
    let manifest = std::fs::read_to_string(out.join("manifest.json")).unwrap();
    assert!(manifest.contains("\"config_digest\"") && manifest.contains("\"suppressions\": 4"));
    assert!(!manifest.contains("overgrant.toml"), "no path of the machine");

    // The same file, the same bytes; another file moves no verdict.
    let first = bytes_of(&out);
    assert_eq!(run(&project(""), &args).status.code(), Some(0));
    same(&bytes_of(&out), &first, "again");
    let plain = tempfile::tempdir().unwrap();
    assert_eq!(audit(plain.path(), &["-q"]).0, Some(0));
    let without = |place: &Path| -> Vec<VerdictRow> {
        let clear = |row: VerdictRow| VerdictRow {
            suppressed: row.suppressed.map(|_| false),
            suppressed_by: None,
            suppressed_reason: None,
            suppressed_until: None,
            ..row
        };
        rows::<VerdictRow>(place).into_iter().map(clear).collect()
    };
    assert_eq!(without(&out), without(plain.path()));
}

#[test]
fn what_is_known_fails_nothing_and_what_has_expired_does() {
    let out = tempfile::tempdir().unwrap();
    let all =
        |expires: &str| format!("principal=*,owner=sre,reason=all, for now,expires={expires}");
    let (code, summary, _) =
        audit(out.path(), &["--fail-on", "low", "--suppress", &all("2026-11-24")]);
    assert_eq!(code, Some(0));
    assert_eq!(findings(&summary), "Nothing to act on, 13 suppressed.\n");
    // The window ends as the 24th begins: the 23rd is over.
    let (code, summary, _) =
        audit(out.path(), &["--fail-on", "critical", "--suppress", &all("2026-11-23")]);
    assert_eq!(code, Some(1));
    assert!(summary.contains("Worst findings (14 of 14)"), "{summary}");
    assert!(summary.contains("critical suppression_expired  sre"), "{summary}");
    let nobody = "principal=nobody,owner=sre,reason=r,expires=2030-01-01";
    let (_, summary, _) = audit(out.path(), &["--suppress", nobody]);
    assert!(summary.contains("suppression_unmatched: --suppress 1: principal nobody, of sre"));
    let (code, _, stderr) = audit(out.path(), &["--suppress", "principal=*,owner=sre"]);
    assert_eq!(code, Some(2));
    assert_eq!(
        stderr,
        "error: --suppress: reason is missing: a suppression has owner, reason and expires\n"
    );
}

#[test]
fn use_of_break_glass_is_a_finding_that_its_own_rule_does_not_cover() {
    let out = tempfile::tempdir().unwrap();
    let rule = "principals=legacy-ops,owner=sec,reason=runbook,expires=2027-01-01";
    let (_, summary, _) = audit(out.path(), &["--break-glass", rule]);
    assert!(summary.contains("13 of 13, 1 suppressed"), "{summary}");
    assert!(summary.contains("high     break_glass_used  prod: legacy-ops"), "{summary}");
}

#[test]
fn new_is_told_from_the_history() {
    let out = tempfile::tempdir().unwrap();
    let week = ["--since", "2026-08-26", "--until", "2026-11-17"];
    let first = tempfile::tempdir().unwrap();
    let (code, summary, _) = audit(first.path(), &["--fail-on", "new:critical"]);
    assert_eq!(code, Some(1), "nothing earlier: all is new");
    assert!(summary.contains("No earlier run to compare with"), "{summary}");
    // A week before, the contractor was not in the inventory.
    let inventory = tempfile::tempdir().unwrap();
    other_inventory(inventory.path());
    let place = inventory.path().display().to_string();
    audit_of(&place, out.path(), &[week.as_slice(), &["-q"]].concat());
    // A week later: only what came in that week.
    let (code, summary, _) = audit(out.path(), &["--fail-on", "new:critical"]);
    insta::assert_snapshot!("known_new", findings(&summary));
    assert_eq!(code, Some(1), "the contractor is new");
    // What is new and known does not count, what is old counts without new:.
    let known = "principal=*contractor,owner=sre,reason=r,expires=2027-01-01";
    let one = ["-q", "--fail-on", "new:low", "--suppress", known];
    assert_eq!(audit(out.path(), &one).0, Some(0));
    let one = ["-q", "--fail-on", "critical", "--suppress", known];
    assert_eq!(audit(out.path(), &one).0, Some(1));
    audit(out.path(), &["-q"]);
    // A date, another output, and none by then.
    let (_, by_date, _) = audit(out.path(), &["--new-since", "2026-11-20"]);
    assert_eq!(findings(&by_date), findings(&summary));
    let copied = tempfile::tempdir().unwrap();
    copy(out.path(), copied.path());
    let of_run = copied.path().display().to_string();
    let (code, same_run, _) = audit(out.path(), &["--new-since", &of_run]);
    assert_eq!(code, Some(0));
    assert!(same_run.contains("0 new, 0 gone since 2026-11-24T00:00:00Z"), "{same_run}");
    assert!(same_run.contains("\nNothing new to act on.\n"), "{same_run}");
    let (code, _, stderr) = audit(out.path(), &["--new-since", "2026-11-01"]);
    assert_eq!(code, Some(2), "{stderr}");
    assert!(stderr.contains("holds no earlier run that ended by 2026-11-01"), "{stderr}");
    // What is compared with changes no byte of the output.
    let plain = tempfile::tempdir().unwrap();
    audit(plain.path(), &["-q"]);
    let of = |place: &Path| {
        let mut bytes = report_of(place);
        bytes.retain(|path, _| path.starts_with("tables/") || path.starts_with("reports/"));
        bytes
    };
    same(&of(out.path()), &of(plain.path()), "a baseline is for people");
}

#[test]
fn the_file_beside_a_run_is_read_and_said() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(
        folder.path().join("overgrant.toml"),
        format!(
            "[audit]\nlogs = {:?}\ninventory = {:?}\nout = \"out\"\nfail-on = \"critical\"\n",
            project("samples/logs").display().to_string(),
            project("samples/inventory").display().to_string(),
        ),
    )
    .unwrap();
    let got = run(folder.path(), &["audit", "-q"]);
    assert_eq!((got.status.code(), text(&got.stderr)), (Some(1), String::new()));
    assert!(folder.path().join("out/manifest.json").exists());
    let got = run(folder.path(), &["audit", "-q", "-v"]);
    assert!(text(&got.stderr).contains("overgrant.toml"), "{}", text(&got.stderr));
    std::fs::write(folder.path().join("overgrant.toml"), "[audit]\nmin-agee = 3\n").unwrap();
    let got = run(folder.path(), &["audit"]);
    assert_eq!(got.status.code(), Some(2));
    assert_eq!(
        text(&got.stderr),
        "error: overgrant.toml line 2: unknown key \"min-agee\" in [audit], the nearest is \"min-age\"\n"
    );
}

/// The inventory of the samples at another time: a contractor is not there, developers may do more, and the new
/// colleague may do everything.
fn other_inventory(folder: &Path) {
    copy(&project("samples/inventory"), folder);
    let path = folder.join("prod/access-entries.json");
    let mut entries: Vec<serde_json::Value> =
        serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    let of = |entry: &serde_json::Value, who: &str| {
        entry["accessEntry"]["principalArn"].as_str().unwrap().contains(who)
    };
    entries.retain(|entry| !of(entry, "old-contractor"));
    for entry in &mut entries {
        if of(entry, "AWSReservedSSO_Dev") {
            entry["associatedAccessPolicies"][0]["accessScope"]["namespaces"] =
                serde_json::json!(["shop", "pay"]);
        }
        if of(entry, "new-hire") {
            let policy = &mut entry["associatedAccessPolicies"][0];
            policy["policyArn"] =
                "arn:aws:eks::aws:cluster-access-policy/AmazonEKSClusterAdminPolicy".into();
            policy["accessScope"] = serde_json::json!({ "type": "cluster", "namespaces": [] });
        }
    }
    std::fs::write(&path, serde_json::to_vec(&entries).unwrap()).unwrap();
}

#[test]
fn two_runs_are_compared() {
    let (a, b) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let inventory = tempfile::tempdir().unwrap();
    other_inventory(inventory.path());
    audit(a.path(), &["-q"]);
    audit_of(&inventory.path().display().to_string(), b.path(), &["-q"]);
    let (before, after) = (a.path().display().to_string(), b.path().display().to_string());
    let diff = |more: &[&str]| {
        let got = run(&project(""), &[&["diff", &before, &after], more].concat());
        let shown = text(&got.stdout).replace(&before, "A").replace(&after, "B");
        (got.status.code(), shown, text(&got.stderr))
    };
    let (code, shown, stderr) = diff(&[]);
    assert_eq!((code, stderr), (Some(0), String::new()));
    assert!(!shown.contains('\u{1b}'), "no colour where stdout is no terminal");
    insta::assert_snapshot!("diff", shown);
    let (_, csv, _) = diff(&["--format", "csv"]);
    let (_, json, _) = diff(&["--format", "json"]);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(csv.lines().count(), json.as_array().unwrap().len() + 1);
    // The new grant may do everything, and is as bad as that before anybody used it.
    assert_eq!(diff(&["-q", "--fail-on", "new:critical"]).0, Some(1));
    assert_eq!(diff(&["--fail-on", "none"]).0, Some(2));
    let same = run(&project(""), &["diff", &before, &before, "--fail-on", "low"]);
    assert_eq!(same.status.code(), Some(0));
    assert!(text(&same.stdout).ends_with("\nNothing changed.\n"));
    let nowhere = run(&project(""), &["diff", &before, "/no/such"]);
    assert_eq!(nowhere.status.code(), Some(4));
}

#[test]
fn whoever_reads_a_run_wants_a_whole_one() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    audit(&out, &["-q"]);
    let place = |path: &Path| path.display().to_string();
    let (whole, below) = (place(&out), place(&out.join("tables")));
    let bundle = place(&folder.path().join("bundle"));
    let readers = |from: &str| {
        [
            vec!["diff".to_owned(), whole.clone(), from.to_owned()],
            ["remediate", "--from", from, "--to", &bundle].map(str::to_owned).to_vec(),
            ["sql", "SELECT * FROM grants", "--from", from].map(str::to_owned).to_vec(),
            ["explain", "jenkins", "--from", from].map(str::to_owned).to_vec(),
        ]
    };
    let check = |from: &str, expected: &[&str]| {
        for args in readers(from) {
            let args: Vec<&str> = args.iter().map(String::as_str).collect();
            let got = run(&project(""), &args);
            let told = text(&got.stderr);
            assert_eq!((got.status.code(), text(&got.stdout)), (Some(4), String::new()), "{told}");
            for part in expected {
                assert!(told.contains(part), "{args:?}: {part:?} in {told}");
            }
        }
    };
    check(&below, &["holds no overgrant run: there is no manifest.json", "hint: give the folder"]);
    let (code, _, told) = audit(&folder.path().join("other"), &["--new-since", &below]);
    assert_eq!(code, Some(4));
    assert!(told.contains("holds no overgrant run") && told.contains("hint: "), "{told}");
    // What was copied in part is not taken for all of it.
    let copied = folder.path().join("copied");
    copy(&out, &copied);
    std::fs::remove_dir_all(copied.join(".current")).unwrap();
    std::fs::remove_dir_all(copied.join("tables/grants")).unwrap();
    check(&place(&copied), &["is not the file that manifest.json names", "copied in part"]);
    assert!(!Path::new(&bundle).exists());
}
