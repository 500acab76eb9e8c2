//! A finished run, for whoever reads it: one generation of it, whatever is switched meanwhile.
//!
//! In a folder the link is followed once. In a bucket the manifest names the generation, whose files are
//! fetched when they are asked for; where somebody copied a run without it, the files beside the
//! manifest are taken, and each must have the digest that the manifest gives.
#![expect(clippy::disallowed_methods, reason = "publish knows where the files of a run are")]

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::local::CURRENT;
use super::{GENERATIONS, HISTORY, MANIFEST, PublishError, io, is_absent, is_below, write_file};
use crate::model::digest;
use crate::source::s3::Bucket;
use crate::source::{Location, S3Options};

/// A finished run.
#[derive(Debug)]
pub struct Published {
    place: Place,
    /// Digest in hex digits, by path.
    files: BTreeMap<String, String>,
    manifest: Vec<u8>,
}

#[derive(Debug)]
enum Place {
    Local { out: PathBuf, root: PathBuf },
    Bucket { bucket: Box<Bucket>, name: String, generation: String, scratch: tempfile::TempDir },
}

impl Published {
    /// Opens the run that `from` holds; `None` when there is none.
    ///
    /// # Errors
    /// When it is there and cannot be read.
    pub async fn open(from: &Location, options: &S3Options) -> Result<Option<Self>, PublishError> {
        let (place, manifest) = match from {
            Location::Local(out) => {
                let current = out.join(CURRENT);
                let root = std::fs::canonicalize(&current).unwrap_or_else(|_| out.clone());
                let path = root.join(MANIFEST);
                let manifest = match std::fs::read(&path) {
                    Ok(bytes) => bytes,
                    Err(error) if is_absent(&error) => return Ok(None),
                    Err(error) => return Err(io("read", &path)(error)),
                };
                (Place::Local { out: out.clone(), root }, manifest)
            }
            Location::S3 { bucket: name, prefix } => {
                let bucket = Bucket::open(name, prefix, options).await;
                let Some((manifest, _)) = bucket.get(MANIFEST).await? else { return Ok(None) };
                let scratch = tempfile::tempdir().map_err(|source| PublishError::Io {
                    doing: "create a folder in",
                    path: std::env::temp_dir(),
                    source,
                })?;
                let generation = digest::hex(&digest::of_bytes(&manifest), 16);
                let name = format!("s3://{name}/{}", prefix.trim_end_matches('/'));
                (Place::Bucket { bucket: Box::new(bucket), name, generation, scratch }, manifest)
            }
        };
        let files = files_of(&manifest);
        Ok(files.map(|files| Published { place, files, manifest }))
    }

    /// What the run says of itself, as JSON.
    #[must_use]
    pub fn manifest(&self) -> &[u8] {
        &self.manifest
    }

    /// Paths of its files, sorted.
    pub fn paths(&self) -> impl Iterator<Item = &str> {
        self.files.keys().map(String::as_str)
    }

    /// The bytes of a file of the run; `None` when it has no such file.
    ///
    /// # Errors
    /// When it cannot be fetched, or is not what the manifest says.
    pub async fn bytes(&self, path: &str) -> Result<Option<Vec<u8>>, PublishError> {
        let Some(sha256) = self.files.get(path) else { return Ok(None) };
        let (found, file) = match &self.place {
            Place::Local { root, .. } => {
                let path = root.join(path);
                let found = match std::fs::read(&path) {
                    Ok(bytes) => Some(bytes),
                    Err(error) if is_absent(&error) => None,
                    Err(error) => return Err(io("read", &path)(error)),
                };
                (found, path.display().to_string())
            }
            Place::Bucket { bucket, name, generation, .. } => {
                let kept = bucket.get(&format!("{GENERATIONS}/{generation}/{path}")).await?;
                let found = if kept.is_some() { kept } else { bucket.get(path).await? };
                (found.map(|(bytes, _)| bytes), format!("{name}/{path}"))
            }
        };
        let found = found.filter(|bytes| digest::hex(&digest::of_bytes(bytes), 64) == *sha256);
        found.map(Some).ok_or(PublishError::Replaced { file })
    }

    /// Where a file of the run can be read; `None` when it has no such file. One in a folder is not
    /// compared with its digest: whoever reads a part of it must not pay for all of it.
    ///
    /// # Errors
    /// When it cannot be fetched, or is not there, or not what the manifest says.
    pub async fn file(&self, path: &str) -> Result<Option<PathBuf>, PublishError> {
        if !self.files.contains_key(path) {
            return Ok(None);
        }
        let scratch = match &self.place {
            Place::Local { root, .. } => {
                let local = root.join(path);
                let file = local.display().to_string();
                return if local.is_file() {
                    Ok(Some(local))
                } else {
                    Err(PublishError::Replaced { file })
                };
            }
            Place::Bucket { scratch, .. } => scratch,
        };
        let local = scratch.path().join(path);
        if !local.exists() {
            let Some(bytes) = self.bytes(path).await? else { return Ok(None) };
            write_file(&local, &bytes)?;
        }
        Ok(Some(local))
    }

    /// The folder of the verdicts of every run; `None` when there is none.
    ///
    /// # Errors
    /// When it cannot be fetched.
    pub async fn history(&self) -> Result<Option<PathBuf>, PublishError> {
        let (bucket, scratch) = match &self.place {
            Place::Local { out, .. } => {
                let folder = out.join(HISTORY).join("verdicts");
                return Ok(folder.is_dir().then_some(folder));
            }
            Place::Bucket { bucket, scratch, .. } => (bucket, scratch),
        };
        for key in bucket.keys_below(&format!("{HISTORY}/verdicts/")).await? {
            // Keys come from a bucket: none may lead out of the folder.
            if let (true, Some((bytes, _))) = (is_below(&key), bucket.get(&key).await?) {
                write_file(&scratch.path().join(&key), &bytes)?;
            }
        }
        let folder = scratch.path().join(HISTORY).join("verdicts");
        Ok(folder.is_dir().then_some(folder))
    }
}

/// Paths and digests of a manifest; `None` when it is none.
fn files_of(manifest: &[u8]) -> Option<BTreeMap<String, String>> {
    let manifest: serde_json::Value = serde_json::from_slice(manifest).ok()?;
    let files = manifest.get("files")?.as_array()?.iter().filter_map(|file| {
        let path = file.get("path")?.as_str()?;
        let sha256 = file.get("sha256")?.as_str()?;
        is_below(path).then(|| (path.to_owned(), sha256.to_owned()))
    });
    Some(files.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_names_files_below_itself_only() {
        let check = |text: &str, expected: Option<&[&str]>| {
            let got = files_of(text.as_bytes());
            let got: Option<Vec<&str>> =
                got.as_ref().map(|files| files.keys().map(String::as_str).collect());
            assert_eq!(got.as_deref(), expected, "{text}");
        };
        check(
            r#"{"files":[{"path":"b/c","sha256":"1"},{"path":"a","sha256":"2"}]}"#,
            Some(&["a", "b/c"]),
        );
        check(r#"{"files":[{"path":"../a","sha256":"1"},{"path":"/a","sha256":"1"}]}"#, Some(&[]));
        check(r#"{"files":[{"path":"a"}]}"#, Some(&[]));
        check("{}", None);
        check("[", None);
    }
}
