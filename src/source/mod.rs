//! The outside world: lists and fetches objects from folders and S3, and puts results there.
//!
//! Input: locations and a window. Output: objects in order of key, and their bytes. What a key says
//! of account, region and day is used to leave out what cannot matter before anything is fetched;
//! what an object is, is read from its bytes elsewhere. Async is allowed here and nowhere left of it.

pub mod budget;
pub mod fetch;
pub mod key;
pub mod local;
pub mod s3;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};

pub use fetch::{Fetched, Wanted, fetch_all};
pub use key::Prune;
pub use s3::S3Options;
use serde::{Deserialize, Serialize};

use crate::model::needs::statement;
use crate::model::packed::{Merge, PackedError, Sorter};

/// Largest inventory file that is read; a snapshot is megabytes, not gigabytes.
const MAX_SMALL_FILE: u64 = 512 << 20;

/// Where logs, inventories and outputs are.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Location {
    /// A folder or a file.
    Local(PathBuf),
    /// `s3://bucket/prefix`
    S3 {
        /// Bucket name.
        bucket: String,
        /// Key prefix without a leading slash, as typed.
        prefix: String,
    },
}

impl Location {
    /// Reads what was typed.
    ///
    /// # Errors
    /// When it is an S3 URL without a bucket, or of a kind that is not supported.
    pub fn parse(text: &str) -> Result<Self, SourceError> {
        if let Some(rest) = text.strip_prefix("s3://") {
            let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
            if bucket.is_empty() {
                return Err(SourceError::BadLocation { text: text.to_owned() });
            }
            return Ok(Location::S3 { bucket: bucket.to_owned(), prefix: prefix.to_owned() });
        }
        if text.is_empty() || text.contains("://") {
            return Err(SourceError::BadLocation { text: text.to_owned() });
        }
        Ok(Location::Local(PathBuf::from(text)))
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Location::Local(path) => write!(f, "{}", path.display()),
            Location::S3 { bucket, prefix } => write!(f, "s3://{bucket}/{prefix}"),
        }
    }
}

/// Something that may be fetched.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Object {
    /// Path below the location, or S3 key; `/` between parts. For people and for rejects, never
    /// used as a path.
    pub key: String,
    /// Bytes as stored.
    pub size: u64,
    /// S3's ETag; the time of change of a file.
    pub etag: Option<String>,
    /// The file, where its key does not say it: a name that is no text.
    path: Option<OsString>,
}

impl Object {
    /// As [`Store::list`] told it in another process.
    #[must_use]
    pub fn new(key: String, size: u64, etag: Option<String>) -> Self {
        Object { key, size, etag, path: None }
    }
}

/// An object and the signature that is written beside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signed {
    /// As stored.
    pub bytes: Vec<u8>,
    /// User metadata `signature`.
    pub signature: Option<String>,
    /// User metadata `signature-algorithm`.
    pub algorithm: Option<String>,
}

/// What a location holds.
#[derive(Debug, Default)]
pub struct Listing {
    objects: Sorter<Object>,
    /// Left out by key, by why.
    pub pruned: BTreeMap<&'static str, u64>,
    /// Files that could not be looked at, and why.
    pub unreadable: Vec<(String, String)>,
    /// Folders that could not be listed, and why: nobody knows what they hold.
    pub unlisted: Vec<(String, String)>,
    /// Requests that it took; none for folders.
    pub requests: u64,
}

impl Listing {
    /// All that may matter, by key.
    ///
    /// # Errors
    /// When the memory is full.
    pub fn objects(&mut self) -> Result<Merge<Object>, SourceError> {
        Ok(std::mem::take(&mut self.objects).finish()?)
    }
}

/// A location that cannot be used: the run stops.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// Neither a path nor an S3 URL.
    #[error("{text:?} is neither a path nor s3://bucket/prefix")]
    BadLocation {
        /// What was typed.
        text: String,
    },
    /// The path cannot be opened.
    #[error("cannot read {path}")]
    Local {
        /// The path.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// An S3 operation failed.
    #[error(
        "{operation} failed on s3://{bucket}/{key}: {message} ({})",
        needs(action, bucket, key)
    )]
    S3 {
        /// `ListObjectsV2`, …
        operation: &'static str,
        /// Bucket.
        bucket: String,
        /// Key or prefix.
        key: String,
        /// What AWS said.
        message: String,
        /// The IAM action that it takes.
        action: &'static str,
    },
    /// A file of an inventory is too large to be one.
    #[error("{key} has {size} bytes; an inventory file has at most {MAX_SMALL_FILE}")]
    FileTooLarge {
        /// The file.
        key: String,
        /// Its size.
        size: u64,
    },
    /// A file was listed and cannot be fetched.
    #[error("cannot fetch {key}")]
    Fetch {
        /// The file.
        key: String,
        /// Why.
        #[source]
        source: FetchError,
    },
    /// What is listed cannot be held.
    #[error("the listing cannot be held")]
    Packed(#[from] PackedError),
}

/// What allows a call, on which resource, as which statement.
fn needs(action: &str, bucket: &str, key: &str) -> String {
    let resource = match action {
        "s3:ListBucket" => format!("arn:aws:s3:::{bucket}"),
        _ => format!("arn:aws:s3:::{bucket}/{key}"),
    };
    format!("needs {action} on {resource}; add {}", statement(action, &resource))
}

/// An object that cannot be fetched: it is rejected, the run goes on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FetchError {
    /// It is gone since it was listed.
    #[error("it is gone since it was listed")]
    Gone,
    /// It changed since it was listed.
    #[error("it changed since it was listed")]
    Changed,
    /// Access is denied, to it or to its key.
    #[error(
        "access denied: {message} (needs s3:GetObject, and kms:Decrypt where it is encrypted; add {statement})"
    )]
    Denied {
        /// What AWS said.
        message: String,
        /// The statement that allows it, as JSON.
        statement: String,
    },
    /// The credentials ran out, and new ones are no better.
    #[error("the credentials ran out: {message} (renew them and run again)")]
    Expired {
        /// What AWS said.
        message: String,
    },
    /// Anything else, after retries.
    #[error("{message}")]
    Failed {
        /// What the system or AWS said.
        message: String,
    },
}

/// An opened location.
#[derive(Debug, Clone)]
pub enum Store {
    /// A folder or file.
    Local(local::Folder),
    /// A bucket and prefix.
    S3(s3::Bucket),
}

impl Store {
    /// Opens a location.
    ///
    /// # Errors
    /// When a path does not exist.
    pub async fn open(location: &Location, options: &S3Options) -> Result<Self, SourceError> {
        match location {
            Location::Local(path) => Ok(Store::Local(local::Folder::open(path)?)),
            Location::S3 { bucket, prefix } => {
                Ok(Store::S3(s3::Bucket::open(bucket, prefix, options).await))
            }
        }
    }

    /// The bucket; empty for folders.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Store::Local(_) => "",
            Store::S3(bucket) => bucket.name(),
        }
    }

    /// Lists what may matter.
    ///
    /// # Errors
    /// When the location itself cannot be listed.
    pub async fn list(&self, prune: &Prune) -> Result<Listing, SourceError> {
        let mut listing = match self {
            Store::Local(folder) => folder.list(prune)?,
            Store::S3(bucket) => bucket.list(prune).await?,
        };
        listing.unreadable.sort();
        listing.unlisted.sort();
        Ok(listing)
    }

    /// The file of an object, for what is in a folder; `None` for a key that would lead out of it.
    #[must_use]
    pub fn path(&self, object: &Object) -> Option<PathBuf> {
        match self {
            Store::Local(folder) => folder.path_of(object),
            Store::S3(_) => None,
        }
    }

    /// Fetches a digest with its signature; a copy in a folder has none.
    ///
    /// # Errors
    /// When it cannot be had.
    pub async fn fetch_signed(&self, object: &Object) -> Result<Signed, FetchError> {
        match self {
            Store::Local(folder) => {
                let bytes = folder.fetch(object).await?;
                Ok(Signed { bytes, signature: None, algorithm: None })
            }
            Store::S3(bucket) => bucket.fetch_signed(object).await,
        }
    }

    /// Fetches one object whole.
    ///
    /// # Errors
    /// When it cannot be had; the run goes on without it.
    pub async fn fetch(&self, object: &Object) -> Result<Vec<u8>, FetchError> {
        match self {
            Store::Local(folder) => folder.fetch(object).await,
            Store::S3(bucket) => bucket.fetch(object).await,
        }
    }
}

/// Reads one file of this machine.
///
/// # Errors
/// What the system said.
#[expect(clippy::disallowed_methods, reason = "source reads files")]
pub fn read_file(path: &Path) -> std::io::Result<Vec<u8>> {
    std::fs::read(path)
}

/// All files below a location with their relative paths, sorted: for inventories.
///
/// # Errors
/// When the location or one of its files cannot be read.
pub async fn read_small_files(
    location: &Location,
    options: &S3Options,
) -> Result<Vec<(String, Vec<u8>)>, SourceError> {
    let store = Store::open(location, options).await?;
    let mut files = Vec::new();
    for object in store.list(&Prune::everything()).await?.objects()? {
        let object = object?;
        if object.size > MAX_SMALL_FILE {
            return Err(SourceError::FileTooLarge { key: object.key, size: object.size });
        }
        let bytes = store
            .fetch(&object)
            .await
            .map_err(|source| SourceError::Fetch { key: object.key.clone(), source })?;
        files.push((object.key, bytes));
    }
    Ok(files)
}
