//! Completions, manual pages, and what the binary says that it is.

use std::process::Command;

use super::{overgrant, text};
use crate::support::project;

const SUBCOMMANDS: [&str; 12] = [
    "audit",
    "completions",
    "diff",
    "explain",
    "inventory",
    "man",
    "remediate",
    "scan",
    "schema",
    "sql",
    "verify",
    "worker",
];

/// True when a program is here; says so when it is not.
fn is_here(program: &str) -> bool {
    let here = Command::new(program).arg("--version").output().is_ok();
    if !here {
        eprintln!("SKIPPED: {program} is not installed");
    }
    here
}

fn script(folder: &std::path::Path, shell: &str) -> std::path::PathBuf {
    let got = overgrant(&["completions", shell]);
    assert_eq!(got.status.code(), Some(0), "{}", text(&got.stderr));
    let script = text(&got.stdout);
    for name in SUBCOMMANDS {
        assert!(script.contains(name), "{shell} completes {name}");
    }
    let path = folder.join(shell);
    std::fs::write(&path, script).unwrap();
    path
}

#[test]
fn every_shell_reads_its_completions() {
    let folder = tempfile::tempdir().unwrap();
    for shell in ["bash", "zsh", "fish"] {
        let path = script(folder.path(), shell);
        if is_here(shell) {
            let done = Command::new(shell).arg("-n").arg(&path).output().unwrap();
            assert!(done.status.success(), "{shell}: {}", text(&done.stderr));
        }
    }
}

#[test]
fn bash_completes_subcommands_and_options() {
    if !is_here("bash") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = script(folder.path(), "bash");
    let check = |words: &[&str], expected: &str| {
        let last = words.len() - 1;
        let words = words.join(" ");
        let line = format!(
            "source '{}'; COMP_WORDS=({words}); COMP_CWORD={last}; \
             _overgrant overgrant \"${{COMP_WORDS[{last}]}}\" \"${{COMP_WORDS[{last}-1]}}\"; \
             compgen -W \"${{COMPREPLY[*]}}\" -- \"${{COMP_WORDS[{last}]}}\"",
            path.display()
        );
        let done = Command::new("bash").args(["--norc", "-c", &line]).output().unwrap();
        assert_eq!(text(&done.stdout).trim(), expected, "{words}: {}", text(&done.stderr));
    };
    check(&["overgrant", "rem"], "remediate");
    check(&["overgrant", "audit", "--dry"], "--dry-run");
    check(&["overgrant", "audit", "--log-format", "j"], "json");
}

#[test]
fn the_manual_names_every_subcommand_and_renders() {
    let got = overgrant(&["man"]);
    assert_eq!(got.status.code(), Some(0));
    let page = text(&got.stdout);
    for name in SUBCOMMANDS {
        assert!(page.contains(&format!("overgrant\\-{name}(1)")), "{name}");
    }
    let folder = tempfile::tempdir().unwrap();
    let to = folder.path().join("man1");
    let got = overgrant(&["man", "--to", &to.display().to_string()]);
    assert_eq!((got.status.code(), text(&got.stdout)), (Some(0), String::new()));
    let mut pages: Vec<String> =
        SUBCOMMANDS.iter().map(|name| format!("overgrant-{name}.1")).collect();
    pages.push("overgrant.1".to_owned());
    pages.sort();
    let mut found: Vec<String> = std::fs::read_dir(&to)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    found.sort();
    assert_eq!(found, pages);
    if is_here("man") {
        let shown = Command::new("man")
            .args(["--warnings", "-l"])
            .arg(to.join("overgrant-audit.1"))
            .env("MANWIDTH", "80")
            .output()
            .unwrap();
        let (shown, complaints) = (text(&shown.stdout), text(&shown.stderr));
        assert!(shown.contains("--dry-run") && shown.contains("SYNOPSIS"), "{complaints}{shown}");
    }
    let refused = overgrant(&["man", "--to", "/dev/null/x"]);
    assert_eq!(refused.status.code(), Some(4));
    assert!(text(&refused.stderr).contains("/dev/null/x"), "{}", text(&refused.stderr));
}

#[test]
fn the_version_names_the_commit_and_the_policies() {
    let short = text(&overgrant(&["-V"]).stdout);
    assert_eq!(short, format!("overgrant {}\n", env!("CARGO_PKG_VERSION")));
    let long = text(&overgrant(&["--version"]).stdout);
    let commit = |long: &str| {
        let inside = long.split_once('(').unwrap().1;
        inside.split_once(", access policies of 20").map(|(commit, _)| commit.to_owned())
    };
    assert!(long.starts_with(&format!("{} (", short.trim())) && long.ends_with(")\n"), "{long}");
    assert!(!long.contains("unknown"), "{long}");
    if project(".git").exists() && is_here("git") && std::env::var_os("OVERGRANT_COMMIT").is_none()
    {
        let head =
            Command::new("git").args(["rev-parse", "HEAD"]).current_dir(project("")).output();
        let head = text(&head.unwrap().stdout);
        let named = commit(&long).unwrap();
        assert!(named.len() == 12 && head.starts_with(&named), "{named} of {head}");
    }
}

#[test]
fn the_script_of_the_build_takes_a_commit_that_is_given_and_does_without() {
    let folder = tempfile::tempdir().unwrap();
    let built = folder.path().join("build");
    let done = Command::new("rustc")
        .args(["--edition", "2024", "-o"])
        .arg(&built)
        .arg(project("build.rs"))
        .output()
        .unwrap();
    assert!(done.status.success(), "{}", text(&done.stderr));
    let run = |root: &std::path::Path, commit: Option<&str>| {
        let mut command = Command::new(&built);
        command.current_dir(root).env("CARGO_MANIFEST_DIR", root).env("CARGO_PKG_VERSION", "9.9.9");
        command.env_remove("OVERGRANT_COMMIT");
        command.envs(commit.map(|commit| ("OVERGRANT_COMMIT", commit)));
        let said = text(&command.output().unwrap().stdout);
        let version = said.lines().find_map(|line| line.split_once("LONG_VERSION="));
        (version.unwrap().1.to_owned(), said)
    };
    let outside = folder.path().join("archive");
    std::fs::create_dir_all(outside.join("src/rbac")).unwrap();
    assert_eq!(run(&outside, None).0, "9.9.9", "nothing is known, nothing is said");
    std::fs::write(outside.join("src/rbac/access-policies.json"), "{\"version\": \"2025-01-02\"}")
        .unwrap();
    assert_eq!(run(&outside, None).0, "9.9.9 (access policies of 2025-01-02)");
    let given = "9.9.9 (abc-1, access policies of 2025-01-02)";
    assert_eq!(run(&outside, Some("abc-1")).0, given);
    assert_eq!(run(&outside, Some("a\nb")).0, "9.9.9 (access policies of 2025-01-02)");
    // What cargo watches is there, or it would build anew each time.
    let (_, said) = run(&project(""), None);
    for path in said.lines().filter_map(|line| line.strip_prefix("cargo:rerun-if-changed=")) {
        assert!(project(path).exists(), "{path}");
    }
}
