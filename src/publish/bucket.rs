//! An output in a bucket: written below a name of its own, switched by one conditional put.
//!
//! S3 has no links and no rename, so what a run keeps stays where an earlier run put it, and readers by
//! glob get copies at names that never change: each object goes from one run to the next at once. Two
//! runs at once both write; the manifest says which of them counts.

#![expect(clippy::disallowed_methods, reason = "publish puts the files of a run")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use futures::stream::{self, StreamExt, TryStreamExt};

use super::{
    FOLDERS, Finished, GENERATIONS, HISTORY, KeptFile, LEDGER, MANIFEST, PublishError, RUN,
    STATE_FILE, STATES, State, files_below, io, write_file,
};
use crate::model::digest;
use crate::source::s3::Bucket;
use crate::source::s3::output::{Only, Put};
use crate::source::{S3Options, read_file};

/// Which run the copies are of.
const EXPOSED: &str = ".exposed";
/// Requests at once.
const IN_FLIGHT: usize = 16;

/// An output in a bucket.
#[derive(Debug)]
pub struct Remote {
    bucket: Bucket,
    name: String,
    scratch: tempfile::TempDir,
    /// What is there: the manifest's digest and ETag.
    manifest: Option<(String, String)>,
    state: Option<(Vec<u8>, String)>,
}

impl Remote {
    /// Reads what is there.
    ///
    /// # Errors
    /// When the bucket refuses or there is no room for a temporary folder.
    pub async fn open(name: &str, prefix: &str, options: &S3Options) -> Result<Self, PublishError> {
        let bucket = Bucket::open(name, prefix, options).await;
        let scratch = tempfile::tempdir().map_err(|source| PublishError::Io {
            doing: "create a folder in",
            path: std::env::temp_dir(),
            source,
        })?;
        let manifest = bucket.get(MANIFEST).await?;
        let manifest = manifest.map(|(bytes, etag)| (digest_of(&bytes), etag));
        let state = bucket.get(STATE_FILE).await?;
        Ok(Remote { bucket, name: format!("s3://{name}/{prefix}"), scratch, manifest, state })
    }

    /// Where files are written until they are put in place.
    #[must_use]
    pub fn staging(&self) -> PathBuf {
        self.scratch.path().to_path_buf()
    }

    /// What an earlier run left.
    ///
    /// # Errors
    /// When a later version wrote it.
    pub fn state(&self) -> Result<Option<State>, PublishError> {
        let read = self.state.as_ref().and_then(|(bytes, _)| State::from_json(bytes));
        let place = || self.name.clone();
        read.transpose().map_err(|found| PublishError::LaterVersion { place: place(), found })
    }

    /// Puts files of the state below `to`; false for those that are not there or damaged. Files that
    /// are not needed stay where they are.
    ///
    /// # Errors
    /// When the bucket refuses, or a file cannot be written.
    pub async fn bring(
        &self,
        files: &[(&KeptFile, bool)],
        to: &Path,
    ) -> Result<Vec<bool>, PublishError> {
        stream::iter(files.iter().copied())
            .map(|(file, needed)| async move {
                if !needed {
                    return Ok(true);
                }
                match self.bucket.get(&format!("{}/{}", file.at, file.path)).await? {
                    Some((bytes, _)) if file.is(&bytes) => {
                        write_file(&to.join(&file.path), &bytes)?;
                        Ok(true)
                    }
                    _ => Ok(false),
                }
            })
            .buffered(IN_FLIGHT)
            .try_collect()
            .await
    }

    /// Puts a run in place, and then its state.
    ///
    /// # Errors
    /// When another run was faster, or the bucket refuses.
    pub async fn publish(
        &self,
        finished: Finished<'_>,
        state: &mut State,
    ) -> Result<(), PublishError> {
        let generation = format!("{GENERATIONS}/{}", finished.generation);
        // What an earlier run put is not put again.
        let kept: BTreeSet<String> = state
            .files
            .iter()
            .filter(|file| !file.at.is_empty())
            .map(|file| file.path.clone())
            .collect();
        let mut run = files_below(finished.run)?;
        run.retain(|path| !kept.contains(path));
        self.upload(finished.run, &run, &generation).await?;
        state.settle("facts/", &generation);
        let manifest = read(finished.run, MANIFEST)?;
        let only = match &self.manifest {
            Some((_, etag)) => Only::IfUnchanged(etag.clone()),
            None => Only::IfAbsent,
        };
        if self.bucket.put_bytes(MANIFEST, manifest, &only).await? == Put::Lost {
            return Err(self.busy());
        }
        let ledger = state.fresh("ledger/");
        let switched = self.switch_state(finished.state, state).await?;
        self.expose(&finished, (&run, &ledger), state).await?;
        match switched {
            Put::Done => self.sweep(&generation, state).await,
            // An interrupted run was faster with its state: that is as good, and its files are not ours.
            Put::Lost => Ok(()),
        }
    }

    /// Puts the state of an interrupted run in place.
    ///
    /// # Errors
    /// When another run was faster, or the bucket refuses.
    pub async fn checkpoint(
        &self,
        run: &Path,
        folder: &Path,
        state: &mut State,
    ) -> Result<(), PublishError> {
        let at = format!("{STATES}/{}", state.id());
        self.upload(run, &state.fresh("facts/"), &at).await?;
        state.settle("facts/", &at);
        match self.switch_state(folder, state).await? {
            Put::Done => Ok(()),
            Put::Lost => Err(self.busy()),
        }
    }

    async fn switch_state(&self, folder: &Path, state: &mut State) -> Result<Put, PublishError> {
        let at = format!("{STATES}/{}", state.id());
        self.upload(folder, &state.fresh("ledger/"), &at).await?;
        state.settle("ledger/", &at);
        let only = match &self.state {
            Some((_, etag)) => Only::IfUnchanged(etag.clone()),
            None => Only::IfAbsent,
        };
        Ok(self.bucket.put_bytes(STATE_FILE, state.to_json(), &only).await?)
    }

    /// Copies for readers by glob; what an earlier run left goes.
    async fn expose(
        &self,
        finished: &Finished<'_>,
        (run, fresh_ledger): (&[String], &[String]),
        state: &State,
    ) -> Result<(), PublishError> {
        let exposed = self.bucket.get(EXPOSED).await?.map(|(bytes, _)| bytes);
        let before = self.manifest.as_ref().map(|(digest, _)| digest.as_bytes().to_vec());
        // After a crash nobody knows which copies are of which run.
        let trusted = exposed.is_some() && exposed == before;
        let mut there = BTreeSet::new();
        for folder in FOLDERS.into_iter().chain([LEDGER]) {
            there.extend(self.bucket.keys_below(&format!("{folder}/")).await?);
        }
        let (ledger, rest): (Vec<String>, Vec<String>) = state
            .files
            .iter()
            .map(|file| file.path.clone())
            .partition(|path| path.starts_with("ledger/"));
        let visible = run.iter().filter(|path| *path != MANIFEST);
        let (facts, tables): (Vec<String>, Vec<String>) =
            visible.cloned().partition(|path| path.starts_with("facts/"));
        self.upload(finished.run, &facts, "").await?;
        let fresh: BTreeSet<&String> = facts.iter().chain(fresh_ledger).collect();
        let places: BTreeMap<&str, &str> =
            state.files.iter().map(|file| (file.path.as_str(), file.at.as_str())).collect();
        let copies: Vec<(String, String)> = rest
            .iter()
            .chain(&ledger)
            .filter(|path| !(fresh.contains(path) || trusted && there.contains(*path)))
            .filter_map(|path| {
                Some((format!("{}/{path}", places.get(path.as_str())?), path.clone()))
            })
            .collect();
        stream::iter(copies)
            .map(|(from, to)| async move { self.bucket.copy(&from, &to).await })
            .buffer_unordered(IN_FLIGHT)
            .try_collect::<Vec<()>>()
            .await?;
        self.upload(finished.state, fresh_ledger, "").await?;
        self.upload(finished.run, &tables, "").await?;
        self.bucket.put_bytes(RUN, finished.run_json.to_vec(), &Only::Always).await?;
        for (path, bytes) in finished.history {
            let path = format!("{HISTORY}/{path}");
            self.bucket.put_bytes(&path, bytes.clone(), &Only::Always).await?;
        }
        let wanted: BTreeSet<&String> =
            rest.iter().chain(&ledger).chain(&facts).chain(&tables).collect();
        let stale = there.iter().filter(|key| !wanted.contains(key));
        self.remove_all(stale.cloned().collect()).await?;
        let mark = finished.generation.as_bytes().to_vec();
        self.bucket.put_bytes(EXPOSED, mark, &Only::Always).await?;
        Ok(())
    }

    /// Removes what neither this run, nor the one before, nor the state names.
    async fn sweep(&self, generation: &str, state: &State) -> Result<(), PublishError> {
        let before = self.manifest.as_ref().map(|(digest, _)| format!("{GENERATIONS}/{digest}/"));
        let current = format!("{generation}/");
        let named: BTreeSet<String> =
            state.files.iter().map(|file| format!("{}/{}", file.at, file.path)).collect();
        let mut stale = Vec::new();
        for parent in [GENERATIONS, STATES] {
            for key in self.bucket.keys_below(&format!("{parent}/")).await? {
                let kept = named.contains(&key)
                    || key.starts_with(&current)
                    || before.as_ref().is_some_and(|before| key.starts_with(before));
                if !kept {
                    stale.push(key);
                }
            }
        }
        self.remove_all(stale).await
    }

    async fn remove_all(&self, keys: Vec<String>) -> Result<(), PublishError> {
        stream::iter(keys)
            .map(|key| async move { self.bucket.remove_object(&key).await })
            .buffer_unordered(IN_FLIGHT)
            .try_collect::<Vec<()>>()
            .await?;
        Ok(())
    }

    async fn upload(&self, root: &Path, files: &[String], to: &str) -> Result<(), PublishError> {
        stream::iter(files)
            .map(|path| async move {
                let key = if to.is_empty() { path.clone() } else { format!("{to}/{path}") };
                put_file(&self.bucket, &root.join(path), &key).await
            })
            .buffer_unordered(IN_FLIGHT)
            .try_collect::<Vec<()>>()
            .await?;
        Ok(())
    }

    fn busy(&self) -> PublishError {
        PublishError::Busy { place: self.name.clone(), what: "another run was faster" }
    }
}

/// Bytes of a part, or more where a file would have too many parts.
const PART: u64 = 16 << 20;
/// Parts of an object; S3 takes some more.
const MAX_PARTS: u64 = 9_000;

/// Puts a file; one of many bytes in parts, so that it is not held.
async fn put_file(bucket: &Bucket, path: &Path, key: &str) -> Result<(), PublishError> {
    let mut file = File::open(path).map_err(io("read", path))?;
    let len = file.metadata().map_err(io("read", path))?.len();
    let part = PART.max(len / MAX_PARTS);
    let mut next = || {
        let mut bytes = Vec::new();
        let read = file.by_ref().take(part).read_to_end(&mut bytes);
        read.map(|_| bytes).map_err(io("read", path))
    };
    if len <= part {
        bucket.put_bytes(key, next()?, &Only::Always).await?;
        return Ok(());
    }
    let mut parts = bucket.begin_parts(key).await?;
    for _ in 0..len.div_ceil(part) {
        let put = match next() {
            Ok(bytes) => parts.put(bytes).await.map_err(PublishError::from),
            Err(error) => Err(error),
        };
        if let Err(error) = put {
            parts.give_up().await;
            return Err(error);
        }
    }
    Ok(parts.end().await?)
}

/// The name that a run has by its manifest.
fn digest_of(manifest: &[u8]) -> String {
    digest::hex(&digest::of_bytes(manifest), 16)
}

fn read(root: &Path, path: &str) -> Result<Vec<u8>, PublishError> {
    let path = root.join(path);
    read_file(&path).map_err(|source| PublishError::Io { doing: "read", path, source })
}
