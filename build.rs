//! Finds what `overgrant --version` says: the commit, and the date of the table of access policies.
//!
//! The commit is `OVERGRANT_COMMIT` where that is set (for builds from an archive), else that of the
//! git checkout whose root is this folder, else none. Whether files differ from the commit is not said:
//! this script runs again when the commit changes, not when a source does.
#![expect(clippy::disallowed_methods, reason = "cargo tells it what to do in the environment")]

use std::path::Path;
use std::process::Command;

const POLICIES: &str = "src/rbac/access-policies.json";
/// Digits of a commit.
const DIGITS: usize = 12;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed={POLICIES}");
    println!("cargo:rerun-if-env-changed=OVERGRANT_COMMIT");
    let version = std::env::var("CARGO_PKG_VERSION").unwrap_or_default();
    let given = std::env::var("OVERGRANT_COMMIT").ok();
    let commit =
        given.map(|text| text.trim().to_owned()).filter(|text| is_word(text)).or_else(of_git);
    let date = policies_date().map(|date| format!("access policies of {date}"));
    let parts: Vec<String> = commit.into_iter().chain(date).collect();
    let long = if parts.is_empty() { version } else { format!("{version} ({})", parts.join(", ")) };
    println!("cargo:rustc-env=OVERGRANT_LONG_VERSION={long}");
}

/// True for what may stand for a commit in one line of text.
fn is_word(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-._+".contains(c);
    !text.is_empty() && text.len() <= 64 && text.chars().all(plain)
}

/// The `"version"` of the table; the table itself is tested where it is read.
fn policies_date() -> Option<String> {
    let text = std::fs::read_to_string(POLICIES).ok()?;
    let (_, rest) = text.split_once("\"version\"")?;
    let date = rest.split('"').nth(1)?.to_owned();
    is_word(&date).then_some(date)
}

fn of_git() -> Option<String> {
    let root = std::env::var("CARGO_MANIFEST_DIR").ok()?;
    let git = |arguments: &[&str]| git(&root, arguments);
    // Sources that were unpacked inside of another checkout are not of its commit.
    let top = git(&["rev-parse", "--show-toplevel"])?;
    if Path::new(&top).canonicalize().ok()? != Path::new(&root).canonicalize().ok()? {
        return None;
    }
    // In a worktree `.git` is a file: git knows where these are. A path that does not exist would
    // have this script run at every build.
    let branch = git(&["symbolic-ref", "--quiet", "HEAD"]);
    let watched = ["HEAD", "logs/HEAD", "packed-refs"].map(str::to_owned);
    for name in watched.into_iter().chain(branch) {
        if let Some(path) = git(&["rev-parse", "--git-path", &name])
            && Path::new(&root).join(&path).is_file()
        {
            println!("cargo:rerun-if-changed={path}");
        }
    }
    git(&["rev-parse", "HEAD"])?.get(..DIGITS).map(str::to_owned)
}

/// What git prints, if it is there and knows.
fn git(root: &str, arguments: &[&str]) -> Option<String> {
    let done = Command::new("git").args(arguments).current_dir(root).output().ok()?;
    let text = String::from_utf8(done.stdout).ok()?.trim().to_owned();
    (done.status.success() && !text.is_empty()).then_some(text)
}
