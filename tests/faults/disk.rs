//! The program itself, on disks that are full and places that cannot be written.

use std::path::Path;
use std::process::{Command, Output};

use super::{files_below, same};
use crate::support::{bytes_of, project};

/// The audit of the samples under a shell's limit, `ulimit -f` in blocks of 512 bytes.
fn audit(out: &Path, since: &str, limit: &str) -> Output {
    // A file that grows too long is an error of the write, not the end of the process.
    let script = format!("trap '' XFSZ; ulimit -f {limit}; exec \"$@\"");
    Command::new("sh")
        .args(["-c", &script, "sh", env!("CARGO_BIN_EXE_overgrant"), "audit", "samples/logs"])
        .args(["--inventory", "samples/inventory", "-q", "--since", since, "--out"])
        .arg(out)
        .current_dir(project(""))
        .env_remove("RUST_LOG")
        .output()
        .unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn a_full_disk_is_said_and_leaves_the_earlier_output() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let first = audit(&out, "7d", "unlimited");
    assert!(matches!(first.status.code(), Some(0 | 3)), "{}", said(&first));
    let before = bytes_of(&out);

    for blocks in ["1", "4", "16"] {
        let full = audit(&out, "8d", blocks);
        let text = said(&full);
        assert_eq!(full.status.code(), Some(4), "{blocks}: {text}");
        assert!(text.contains("error: ") && text.contains("because: "), "{text}");
        assert!(text.contains("hint: ") && text.contains("disk"), "{text}");
        same(&bytes_of(&out), &before, blocks);
    }

    let after = audit(&out, "8d", "unlimited");
    assert_eq!(after.status.code(), first.status.code(), "{}", said(&after));
    let whole = folder.path().join("whole");
    audit(&whole, "8d", "unlimited");
    let without_past = |out: &Path| {
        let mut bytes = bytes_of(out);
        bytes.retain(|path, _| !path.starts_with("history/"));
        bytes
    };
    same(&without_past(&out), &without_past(&whole), "the run after the full disk");
}

#[test]
fn an_output_below_a_file_is_refused_and_the_file_stays() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "mine").unwrap();
    for out in [file.clone(), file.join("out")] {
        let refused = audit(&out, "7d", "unlimited");
        let text = said(&refused);
        assert_eq!(refused.status.code(), Some(4), "{text}");
        assert!(text.contains(&file.display().to_string()), "{text}");
        assert!(text.contains("because: ") && text.contains("hint: "), "{text}");
    }
    assert_eq!(std::fs::read(&file).unwrap(), b"mine");
    assert_eq!(files_below(folder.path(), &[String::new()]).len(), 1);
}
