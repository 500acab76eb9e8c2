//! Puts a snapshot of a cluster into its folder, as a whole.
//!
//! Input: file names and bytes. Output: a folder below the given place, named after the cluster; an
//! earlier snapshot of the same cluster is replaced, anything else is left alone. A cluster of the
//! same name elsewhere gets a folder of its own.
#![expect(clippy::disallowed_methods, reason = "report writes and replaces files")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::{ReportError, io};

/// The file that says whose snapshot a folder holds.
const HEADER: &str = "inventory.json";
const STAGING: &str = ".snapshot-";

/// Where a cluster is, for naming its folder.
#[derive(Debug, Clone, Copy)]
pub struct Whose<'a> {
    /// Cluster ARN.
    pub arn: &'a str,
    /// Of the cluster.
    pub name: &'a str,
    /// Of the cluster.
    pub region: &'a str,
    /// Of the cluster.
    pub account: &'a str,
}

/// Writes the snapshot and tells where.
///
/// # Errors
/// When the folder cannot be written, or holds something that is no snapshot of this cluster.
pub fn write(
    place: &Path,
    whose: Whose<'_>,
    files: &BTreeMap<String, Vec<u8>>,
) -> Result<PathBuf, ReportError> {
    fs::create_dir_all(place).map_err(io("create", place))?;
    let short = safe(whose.name);
    let long = safe(&format!("{}-{}-{}", whose.name, whose.region, whose.account));
    let taken = |name: &str| {
        let folder = place.join(name);
        folder.exists() && owner_of(&folder).as_deref() != Some(whose.arn)
    };
    let name = if taken(&short) { long } else { short };
    let folder = place.join(&name);
    if taken(&name) {
        return Err(ReportError::ForeignFolder { path: folder });
    }
    let staging = place.join(format!("{STAGING}{name}"));
    let old = place.join(format!("{STAGING}{name}.old"));
    for leftover in [&staging, &old] {
        if leftover.exists() {
            fs::remove_dir_all(leftover).map_err(io("remove", leftover))?;
        }
    }
    fs::create_dir_all(&staging).map_err(io("create", &staging))?;
    for (file, bytes) in files {
        let path = staging.join(safe(file));
        fs::write(&path, bytes).map_err(io("write", &path))?;
    }
    if folder.exists() {
        fs::rename(&folder, &old).map_err(io("move", &folder))?;
    }
    fs::rename(&staging, &folder).map_err(io("move", &staging))?;
    if old.exists() {
        fs::remove_dir_all(&old).map_err(io("remove", &old))?;
    }
    Ok(folder)
}

/// The cluster ARN in the folder's header.
fn owner_of(folder: &Path) -> Option<String> {
    let bytes = fs::read(folder.join(HEADER)).ok()?;
    let header: serde_json::Value = serde_json::from_slice(&bytes).ok()?;
    Some(header.get("cluster_arn")?.as_str()?.to_owned())
}

/// A name that is one safe part of a path, whatever it came from.
fn safe(name: &str) -> String {
    let kept: String = name
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.') { c } else { '_' })
        .take(200)
        .collect();
    let kept = kept.trim_start_matches('.');
    if kept.is_empty() { "_".to_owned() } else { kept.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_snapshot_replaces_its_own_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let of = |arn: &'static str, name: &'static str, extra: &str| {
            let whose = Whose { arn, name, region: "r", account: "1" };
            let header = format!(r#"{{"cluster_arn":"{arn}"}}"#).into_bytes();
            let files =
                BTreeMap::from([(HEADER.to_owned(), header), (extra.to_owned(), b"x".to_vec())]);
            write(dir.path(), whose, &files).map(|folder| {
                let name = folder.file_name().unwrap().to_string_lossy().into_owned();
                let mut files: Vec<String> = fs::read_dir(&folder)
                    .unwrap()
                    .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
                    .collect();
                files.sort();
                (name, files.join(" "))
            })
        };
        let is = |name: &str, files: &str| (name.to_owned(), files.to_owned());
        assert_eq!(of("a", "prod", "one").unwrap(), is("prod", "inventory.json one"));
        assert_eq!(of("a", "prod", "two").unwrap(), is("prod", "inventory.json two"));
        assert_eq!(of("b", "prod", "one").unwrap(), is("prod-r-1", "inventory.json one"));
        assert_eq!(of("c", "../evil", "../x").unwrap(), is("_evil", "_x inventory.json"));
        fs::create_dir_all(dir.path().join("mine")).unwrap();
        fs::create_dir_all(dir.path().join("mine-r-1")).unwrap();
        assert!(matches!(of("d", "mine", "x"), Err(ReportError::ForeignFolder { .. })));
        let left = fs::read_dir(dir.path()).unwrap();
        let left = left
            .filter(|entry| entry.as_ref().unwrap().file_name().to_string_lossy().starts_with('.'));
        assert_eq!(left.count(), 0);
    }
}
