//! Where scans leave their facts for whoever joins them: a folder or a bucket that many processes write.
//!
//! Nobody holds it against others. A name is given to one content only, so that a file that is put
//! twice, or by two at once, is the same file; the one thing that must be decided once is put only
//! where nothing is.
#![expect(clippy::disallowed_methods, reason = "publish writes the places of outputs")]

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::{KeptFile, PublishError, files_below, io, is_absent, is_below, write_file};
use crate::source::s3::Bucket;
use crate::source::s3::output::{Only, Put};
use crate::source::{Location, S3Options};

/// A temporary file is its owner's alone; this one is for whoever joins.
const READABLE: u32 = 0o644;

/// A place of facts.
#[derive(Debug)]
pub enum Depot {
    /// A folder.
    Local(PathBuf),
    /// A bucket.
    Bucket(Box<Bucket>),
}

impl Depot {
    /// Opens a place; nothing is made yet.
    pub async fn open(location: &Location, options: &S3Options) -> Self {
        match location {
            Location::Local(path) => Depot::Local(path.clone()),
            Location::S3 { bucket, prefix } => {
                Depot::Bucket(Box::new(Bucket::open(bucket, prefix, options).await))
            }
        }
    }

    /// A small file; `None` when it is not there.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn get(&self, key: &str) -> Result<Option<Vec<u8>>, PublishError> {
        match self {
            Depot::Local(root) => {
                let path = root.join(key);
                match fs::read(&path) {
                    Ok(bytes) => Ok(Some(bytes)),
                    Err(error) if is_absent(&error) => Ok(None),
                    Err(error) => Err(io("read", &path)(error)),
                }
            }
            Depot::Bucket(bucket) => Ok(bucket.get(key).await?.map(|(bytes, _)| bytes)),
        }
    }

    /// Puts a file, whatever is there: it has the same content, or is the newer word.
    ///
    /// # Errors
    /// When it cannot be put.
    pub async fn put(&self, key: &str, bytes: Vec<u8>) -> Result<(), PublishError> {
        match self {
            Depot::Local(root) => {
                let path = root.join(key);
                let put = beside(&path, &bytes)?.persist(&path);
                put.map(drop).map_err(|error| io("write", &path)(error.error))
            }
            Depot::Bucket(bucket) => {
                bucket.put_bytes(key, bytes, &Only::Always).await?;
                Ok(())
            }
        }
    }

    /// Puts a file where none is; returns what is there then, by whomever.
    ///
    /// # Errors
    /// When it cannot be put or read.
    pub async fn pin(&self, key: &str, bytes: Vec<u8>) -> Result<Vec<u8>, PublishError> {
        let lost = match self {
            Depot::Local(root) => {
                let path = root.join(key);
                match beside(&path, &bytes)?.persist_noclobber(&path) {
                    Ok(_) => false,
                    Err(error) if error.error.kind() == ErrorKind::AlreadyExists => true,
                    Err(error) => return Err(io("write", &path)(error.error)),
                }
            }
            Depot::Bucket(bucket) => {
                bucket.put_bytes(key, bytes.clone(), &Only::IfAbsent).await? == Put::Lost
            }
        };
        if !lost {
            return Ok(bytes);
        }
        // Nobody removes it, but somebody may have.
        Ok(self.get(key).await?.unwrap_or(bytes))
    }

    /// Where a file can be read, fetched below `scratch` if need be; `None` when it is not there, or is not
    /// what it is known to be.
    ///
    /// # Errors
    /// When it cannot be fetched.
    pub async fn file(
        &self,
        key: &str,
        known: Option<&KeptFile>,
        scratch: &Path,
    ) -> Result<Option<PathBuf>, PublishError> {
        if !is_below(key) {
            return Ok(None);
        }
        match self {
            Depot::Local(root) => {
                let path = root.join(key);
                let whole = match known {
                    Some(known) => fs::read(&path).is_ok_and(|bytes| known.is(&bytes)),
                    None => path.is_file(),
                };
                Ok(whole.then_some(path))
            }
            Depot::Bucket(bucket) => {
                let found = bucket.get(key).await?.map(|(bytes, _)| bytes);
                let whole = |bytes: &Vec<u8>| known.is_none_or(|known| known.is(bytes));
                let Some(bytes) = found.filter(whole) else { return Ok(None) };
                let path = scratch.join(key);
                write_file(&path, &bytes)?;
                Ok(Some(path))
            }
        }
    }

    /// All keys, sorted; none where there is no such place yet.
    ///
    /// # Errors
    /// When they cannot be listed.
    pub async fn keys(&self) -> Result<Vec<String>, PublishError> {
        match self {
            Depot::Local(root) if !root.try_exists().map_err(io("list", root))? => Ok(Vec::new()),
            Depot::Local(root) => files_below(root),
            Depot::Bucket(bucket) => {
                let mut keys = bucket.keys_below("").await?;
                keys.sort();
                Ok(keys)
            }
        }
    }
}

/// A file beside the one that is to be: whole before it gets its name.
fn beside(path: &Path, bytes: &[u8]) -> Result<tempfile::NamedTempFile, PublishError> {
    let folder = path.parent().unwrap_or(path);
    fs::create_dir_all(folder).map_err(io("create", folder))?;
    let file = tempfile::Builder::new()
        .prefix(".part-")
        .permissions(fs::Permissions::from_mode(READABLE))
        .tempfile_in(folder)
        .map_err(io("create a file in", folder))?;
    fs::write(file.path(), bytes).map_err(io("write", file.path()))?;
    Ok(file)
}
