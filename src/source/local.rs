//! Folders as sources: the same listing as a bucket, without following links in circles.
#![expect(clippy::disallowed_methods, reason = "source reads files and lists folders")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use tokio::sync::Semaphore;

use super::key::read_key;
use super::{FetchError, Listing, Object, Prune, SourceError};

/// A folder or a single file.
#[derive(Debug, Clone)]
pub struct Folder {
    root: PathBuf,
    is_file: bool,
    reads: Arc<Semaphore>,
}

/// Files that are read at once. A disk answers at once, a file system over a network within milliseconds;
/// with more of them on few cores the first is done when all nearly are, and nothing else has begun.
const READS: usize = 8;

impl Folder {
    /// Opens a path.
    ///
    /// # Errors
    /// When it does not exist or may not be looked at.
    pub fn open(path: &Path) -> Result<Self, SourceError> {
        let about = fs::metadata(path)
            .map_err(|source| SourceError::Local { path: path.to_path_buf(), source })?;
        let (root, is_file) = (path.to_path_buf(), !about.is_dir());
        Ok(Folder { root, is_file, reads: Arc::new(Semaphore::new(READS)) })
    }

    /// Lists files below, deepest last; what cannot be listed is said and the rest counts.
    ///
    /// # Errors
    /// When the root itself cannot be listed.
    pub fn list(&self, prune: &Prune) -> Result<Listing, SourceError> {
        let mut listing = Listing::default();
        let root = &self.root;
        let about = fs::metadata(root)
            .map_err(|source| SourceError::Local { path: root.clone(), source })?;
        if !about.is_dir() {
            let key =
                root.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
            let (size, etag) = (about.len(), changed_at(&about));
            listing.objects.push(Object { key, size, etag, path: None })?;
            return Ok(listing);
        }
        fs::read_dir(root).map_err(|source| SourceError::Local { path: root.clone(), source })?;
        let mut seen = BTreeSet::new();
        let mut folders = vec![(root.clone(), String::new(), true)];
        while let Some((folder, prefix, is_text)) = folders.pop() {
            // A link may lead back up: a folder counts once under its real path.
            match fs::canonicalize(&folder) {
                Ok(real) if seen.insert(real.clone()) => {}
                Ok(_) => continue,
                Err(error) => {
                    listing.unlisted.push((prefix, error.to_string()));
                    continue;
                }
            }
            let entries = match fs::read_dir(&folder) {
                Ok(entries) => entries,
                Err(error) => {
                    listing.unlisted.push((prefix, error.to_string()));
                    continue;
                }
            };
            for entry in entries {
                let entry = match entry {
                    Ok(entry) => entry,
                    Err(error) => {
                        listing.unlisted.push((prefix.clone(), error.to_string()));
                        continue;
                    }
                };
                let name = entry.file_name();
                let is_text = is_text && name.to_str().is_some();
                let name = name.to_string_lossy().into_owned();
                let key = if prefix.is_empty() { name } else { format!("{prefix}/{name}") };
                match fs::metadata(entry.path()) {
                    Ok(about) if about.is_dir() => {
                        if prune.skips_prefix(&key) {
                            *listing.pruned.entry("prefix").or_default() += 1;
                        } else {
                            folders.push((entry.path(), key, is_text));
                        }
                    }
                    Ok(about) if about.is_file() => match prune.reason(&read_key(&key)) {
                        Some(why) => *listing.pruned.entry(why).or_default() += 1,
                        None => listing.objects.push(Object {
                            key,
                            size: about.len(),
                            etag: changed_at(&about),
                            path: (!is_text).then(|| entry.path().into_os_string()),
                        })?,
                    },
                    Ok(_) => {
                        listing.unreadable.push((key, "neither a file nor a folder".to_owned()));
                    }
                    Err(error) => listing.unreadable.push((key, error.to_string())),
                }
            }
        }
        Ok(listing)
    }

    /// The file of an object; `None` for a key that would lead out of the folder.
    pub(super) fn path_of(&self, object: &Object) -> Option<PathBuf> {
        if let Some(path) = &object.path {
            return Some(path.into());
        }
        if self.is_file {
            return Some(self.root.clone());
        }
        let mut parts = Path::new(&object.key).components();
        let inside = parts.all(|part| matches!(part, Component::Normal(_)));
        inside.then(|| self.root.join(&object.key))
    }

    /// Reads one file.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn fetch(&self, object: &Object) -> Result<Vec<u8>, FetchError> {
        let Some(path) = self.path_of(object) else { return Err(FetchError::Gone) };
        // The semaphore is never closed.
        let _turn = self.reads.acquire().await;
        let read = tokio::task::spawn_blocking(move || fs::read(path)).await;
        match read {
            Ok(Ok(bytes)) => Ok(bytes),
            Ok(Err(error)) if error.kind() == std::io::ErrorKind::NotFound => Err(FetchError::Gone),
            Ok(Err(error)) => Err(FetchError::Failed { message: error.to_string() }),
            Err(error) => Err(FetchError::Failed { message: error.to_string() }),
        }
    }
}

/// When a file was changed last: what stands for an ETag.
fn changed_at(about: &fs::Metadata) -> Option<String> {
    let since = about.modified().ok()?.duration_since(std::time::UNIX_EPOCH).ok()?;
    Some(format!("{}.{:09}", since.as_secs(), since.subsec_nanos()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::time::Micros;

    #[test]
    fn listing_prunes_and_ends() {
        let dir = tempfile::tempdir().unwrap();
        let put = |path: &str| {
            let path = dir.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, b"x").unwrap();
        };
        put("eks/2026/10/03/00/a");
        put("eks/2026/10/03/00/b");
        put("eks/2026/01/03/00/old");
        put("readme.txt");
        fs::create_dir_all(dir.path().join("looks-like.json.gz")).unwrap();
        std::os::unix::fs::symlink(dir.path(), dir.path().join("loop")).unwrap();
        std::os::unix::fs::symlink(dir.path().join("nowhere"), dir.path().join("dangling"))
            .unwrap();
        let since = Micros::parse("2026-10-03T00:00:00Z").unwrap();
        let prune = Prune::window(since, Micros(since.0 + 3_600_000_000));
        let keys = |listing: &mut Listing| -> Vec<String> {
            listing.objects().unwrap().map(|object| object.unwrap().key).collect()
        };
        let mut listing = Folder::open(dir.path()).unwrap().list(&prune).unwrap();
        assert_eq!(
            keys(&mut listing),
            ["eks/2026/10/03/00/a", "eks/2026/10/03/00/b", "readme.txt"]
        );
        assert_eq!(listing.unreadable.len(), 1, "{:?}", listing.unreadable);
        let mut one = Folder::open(&dir.path().join("readme.txt")).unwrap().list(&prune).unwrap();
        assert_eq!(keys(&mut one), ["readme.txt"]);
        assert!(Folder::open(&dir.path().join("nowhere")).is_err());
    }
}
