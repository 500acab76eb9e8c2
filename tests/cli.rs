//! The binary, as a person or a scheduler meets it.

use std::process::{Command, Output};

use crate::support::project;

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
