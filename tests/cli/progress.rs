//! What stderr hears: nothing, a bar, lines, errors in their parts.

use std::process::Command;

use serde_json::Value;

use super::{overgrant, text};
use crate::support::project;

/// An audit of the samples with further arguments.
fn samples(out: &str, extra: &[&str]) -> std::process::Output {
    let base = ["audit", "samples/logs", "--inventory", "samples/inventory", "--out", out];
    let args: Vec<&str> = base.iter().chain(extra).copied().collect();
    overgrant(&args)
}

fn lines(bytes: &[u8]) -> Vec<Value> {
    let parse = |line: &str| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"));
    text(bytes).lines().map(parse).collect()
}

#[test]
fn a_scheduler_gets_a_line_for_each_stage_with_what_was_counted() {
    let out = tempfile::tempdir().unwrap();
    let got = samples(&out.path().display().to_string(), &["--log-format", "json"]);
    assert_eq!(got.status.code(), Some(0));
    assert!(text(&got.stdout).contains("Worst findings"), "the summary stays");
    let lines = lines(&got.stderr);
    let begun: Vec<&str> = lines
        .iter()
        .filter(|line| line["message"] == "begins")
        .map(|line| line["stage"].as_str().unwrap())
        .collect();
    assert_eq!(begun, ["inventory", "list", "scan", "fold", "judge", "report"]);
    let done = lines.iter().find(|line| line["stage"] == "scan" && line["message"] != "begins");
    let done = done.unwrap();
    let objects = crate::support::project("samples/logs");
    let objects = crate::support::bytes_of(&objects).into_values().collect::<Vec<_>>();
    let bytes: usize = objects.iter().map(Vec::len).sum();
    for (name, expected) in [
        ("objects", objects.len()),
        ("objects_total", objects.len()),
        ("bytes", bytes),
        ("bytes_total", bytes),
        ("rejects", 0),
        ("eta_seconds", 0),
    ] {
        assert_eq!(done[name], expected, "{name} in {done}");
    }
    assert!(done["records"].as_u64().unwrap() > 1000, "{done}");
    assert!(done["records_per_second"].as_u64().unwrap() > 0, "{done}");
    for line in &lines {
        assert!(line["at"].as_str().unwrap().ends_with('Z') && line["level"] == "info", "{line}");
    }
}

#[test]
fn more_is_said_for_the_asking_and_less_too() {
    let out = tempfile::tempdir().unwrap();
    let place = out.path().display().to_string();
    let got = samples(&place, &["-v", "--hide-secret-names"]);
    let said = text(&got.stderr);
    for part in
        ["samples/logs: ", " bytes are read: they are new", "0 objects are known", "scan done: "]
    {
        assert!(said.contains(part), "{part} in {said}");
    }
    // What is read again, and why.
    let got = samples(&place, &["-v"]);
    let said = text(&got.stderr);
    assert!(said.contains(" bytes are read: --hide-secret-names came or went"), "{said}");
    let got = samples(&place, &["-v", "--since", "2026-11-20"]);
    assert!(text(&got.stderr).contains(" by prefix, "), "{}", text(&got.stderr));

    let got = samples(&place, &["-q", "--log-format", "json"]);
    assert_eq!((text(&got.stdout), text(&got.stderr)), (String::new(), String::new()));
    let got = samples(&place, &["-q", "--since", "2027-01-01"]);
    assert!(text(&got.stderr).starts_with("error: the window is empty"), "errors stay");
}

#[test]
fn errors_are_told_in_their_parts() {
    let out = tempfile::tempdir().unwrap();
    let place = out.path().display().to_string();
    let check = |args: &[&str], level: &str, what: &str, because: &str, hint: &str| {
        let got = overgrant(args);
        let lines = lines(&got.stderr);
        let error = lines.last().unwrap();
        assert_eq!(error["level"], level, "{error}");
        assert!(error["what"].as_str().unwrap().contains(what), "{error}");
        let told = error["because"].as_array().unwrap();
        let first = told.first().map_or("", |cause| cause.as_str().unwrap());
        assert!(first.contains(because) && first.is_empty() == because.is_empty(), "{error}");
        assert!(error["hint"].as_str().unwrap_or_default().contains(hint), "{error}");
    };
    let nowhere = ["audit", "/no/such\u{1b}[2J", "--out", &place, "--log-format", "json"];
    check(&nowhere, "error", "/no/such\\u{1b}[2J", "No such file", "s3://bucket/prefix");
    check(
        &["audit", "samples/logs", "--out", &place, "--since", "x", "--log-format=json"],
        "error",
        "--since takes days",
        "",
        "",
    );
    check(&["audit", "--nope", "--log-format", "json"], "error", "--nope", "", "--help");
}

#[test]
fn a_terminal_gets_a_bar() {
    if Command::new("script").arg("--version").output().is_err() {
        eprintln!("SKIPPED: script is not installed, which makes a terminal");
        return;
    }
    let out = tempfile::tempdir().unwrap();
    let run = |extra: &str| {
        let line = format!(
            "stty cols 120 rows 40; '{}' audit samples/logs --inventory samples/inventory --out '{}' --rescan {extra} >/dev/null",
            env!("CARGO_BIN_EXE_overgrant"),
            out.path().display(),
        );
        let got = Command::new("script")
            .args(["-qec", &line, "/dev/null"])
            .current_dir(project(""))
            .env("TERM", "xterm")
            .env_remove("NO_COLOR")
            .output()
            .unwrap();
        String::from_utf8_lossy(&got.stdout).into_owned()
    };
    let drawn = run("");
    assert!(drawn.contains("scan [") && drawn.contains(" of 184 objects"), "{drawn:?}");
    assert_eq!(run("-q"), "");
}
