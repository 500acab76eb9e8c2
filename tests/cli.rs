//! The binary, as a person or a scheduler meets it.

use std::process::{Command, Output};

use crate::support::project;

/// What would be read.
mod dry_run;
/// What stderr hears.
mod progress;
/// What shells and `man` are told.
mod shell;

fn overgrant(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_overgrant"))
        .args(args)
        .current_dir(project(""))
        .env_remove("RUST_LOG")
        .output()
        .unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn the_summary_of_the_samples() {
    let out = tempfile::tempdir().unwrap();
    let place = out.path().display().to_string();
    let got =
        overgrant(&["audit", "samples/logs", "--inventory", "samples/inventory", "--out", &place]);
    assert_eq!(got.status.code(), Some(0), "{}", text(&got.stderr));
    assert_eq!(text(&got.stderr), "", "no talk where stderr is no terminal");
    insta::assert_snapshot!("summary", text(&got.stdout).replace(&place, "OUT"));
}

#[test]
fn help_tells_only_what_works() {
    let got = overgrant(&["--help"]);
    assert_eq!(got.status.code(), Some(0));
    insta::assert_snapshot!("help", text(&got.stdout));
    let got = overgrant(&["audit", "--help"]);
    insta::assert_snapshot!("help_audit", text(&got.stdout));
    let got = overgrant(&["inventory", "--help"]);
    insta::assert_snapshot!("help_inventory", text(&got.stdout));
    for (name, snapshot) in [("completions", "help_completions"), ("man", "help_man")] {
        insta::assert_snapshot!(snapshot, text(&overgrant(&[name, "--help"]).stdout));
    }
    let got = overgrant(&["diff", "--help"]);
    insta::assert_snapshot!("help_diff", text(&got.stdout));
}

#[test]
fn exit_codes() {
    let out = tempfile::tempdir().unwrap();
    let place = out.path().join("out").display().to_string();
    let audit = |extra: &[&str]| {
        let base = ["audit", "samples/logs", "--inventory", "samples/inventory", "--out", &place];
        let args: Vec<&str> = base.iter().chain(extra).copied().collect();
        overgrant(&args).status.code()
    };
    assert_eq!(audit(&["-q", "--fail-on", "critical"]), Some(1));
    assert_eq!(audit(&["-q", "--since", "2026-06-01"]), Some(3), "months without logs");
    assert_eq!(audit(&["-q", "--since", "never"]), Some(2));
    assert_eq!(audit(&["-q", "--since", "2027-01-01"]), Some(2), "an empty window");
    assert_eq!(audit(&["-q", "--no-such-flag"]), Some(2));
    let nowhere = overgrant(&["audit", "/no/such/folder", "--out", &place]);
    assert_eq!(nowhere.status.code(), Some(4));
    insta::assert_snapshot!(text(&nowhere.stderr), @r"
    error: cannot read /no/such/folder
      because: No such file or directory (os error 2)
      hint: check the path; logs may also be s3://bucket/prefix
    ");
}

#[test]
fn a_foreign_folder_is_left_alone() {
    let out = tempfile::tempdir().unwrap();
    std::fs::write(out.path().join("thesis.txt"), "mine").unwrap();
    let place = out.path().display().to_string();
    let got =
        overgrant(&["audit", "samples/logs", "--inventory", "samples/inventory", "--out", &place]);
    assert_eq!(got.status.code(), Some(4));
    assert!(text(&got.stderr).contains("choose another folder or empty it"));
    assert_eq!(std::fs::read_dir(out.path()).unwrap().count(), 1);
}

#[test]
fn metrics_are_written_whether_the_run_ends_well_or_not() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("overgrant.prom");
    let run = |logs: &str| {
        let status = std::process::Command::new(env!("CARGO_BIN_EXE_overgrant"))
            .args(["audit", logs, "--inventory", "samples/inventory", "--quiet", "--out"])
            .arg(folder.path().join("out"))
            .arg("--metrics")
            .arg(&file)
            .current_dir(crate::support::project(""))
            .status()
            .unwrap();
        (status.code(), std::fs::read_to_string(&file).unwrap())
    };
    let (code, text) = run("samples/logs");
    assert_eq!(code, Some(0));
    for line in ["overgrant_success 1\n", "overgrant_grants{verdict=\"over_scoped\"} 7\n"] {
        assert!(text.contains(line), "{line} in {text}");
    }
    assert!(text.contains("overgrant_rejects") && text.ends_with("# EOF\n"), "{text}");
    let (code, text) = run("samples/nothing");
    assert_eq!(code, Some(4));
    assert!(text.contains("overgrant_success 0\n") && text.ends_with("# EOF\n"), "{text}");
    assert!(text.contains("overgrant_exit_code 4\n"), "{text}");
}
