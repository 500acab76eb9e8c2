//! A bucket as the place of an output: whole objects in and out, and the one put that must not
//! overwrite what somebody else put.
//!
//! Source: <https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html>.

use aws_sdk_s3::error::ProvideErrorMetadata;
use aws_sdk_s3::primitives::ByteStream;

use super::Bucket;
use crate::source::{FetchError, SourceError};

/// When an object may be put.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Only {
    /// Whatever is there.
    Always,
    /// Nothing is there.
    IfAbsent,
    /// What is there has this ETag.
    IfUnchanged(String),
}

/// What became of a put.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Put {
    /// It is there.
    Done,
    /// Somebody else put something.
    Lost,
}

impl Bucket {
    /// An object below the prefix and its ETag; `None` when there is none.
    ///
    /// # Errors
    /// When it cannot be had.
    pub async fn get(&self, relative: &str) -> Result<Option<(Vec<u8>, String)>, SourceError> {
        let key = self.key_of(relative);
        match self.fetch_current(&key).await {
            Ok(whole) => Ok(Some((whole.bytes, whole.etag.unwrap_or_default()))),
            Err(FetchError::Gone) => Ok(None),
            Err(source) => Err(SourceError::Fetch { key, source }),
        }
    }

    /// Puts an object below the prefix.
    ///
    /// # Errors
    /// When it cannot be put.
    pub async fn put_bytes(
        &self,
        relative: &str,
        bytes: Vec<u8>,
        only: &Only,
    ) -> Result<Put, SourceError> {
        let key = self.key_of(relative);
        let body = bytes::Bytes::from(bytes);
        let mut conflicts = 0;
        let error = loop {
            let put = self
                .ask(|client| {
                    let put = client.put_object().bucket(&self.name).key(&key);
                    let put = match only {
                        Only::Always => put,
                        Only::IfAbsent => put.if_none_match("*"),
                        Only::IfUnchanged(etag) => put.if_match(etag),
                    };
                    put.body(ByteStream::from(body.clone()))
                        .customize()
                        .config_override(self.patience.of_writes(body.len()))
                        .send()
                })
                .await;
            match put {
                Ok(_) => return Ok(Put::Done),
                // Somebody else is about to put or remove it: who wins is not known yet.
                Err(error)
                    if error.code() == Some("ConditionalRequestConflict")
                        && conflicts < self.patience.attempts =>
                {
                    tokio::time::sleep(self.patience.pause(conflicts)).await;
                    conflicts += 1;
                }
                Err(error) => break error,
            }
        };
        let lost = ["PreconditionFailed", "ConditionalRequestConflict", "NoSuchKey"];
        if *only == Only::Always || !error.code().is_some_and(|code| lost.contains(&code)) {
            return Err(self.error("PutObject", &key, &error, "s3:PutObject"));
        }
        // A put whose answer was lost is tried again, and then meets itself.
        let there = self.get(relative).await?;
        let ours = there.is_some_and(|(there, _)| there == body);
        Ok(if ours { Put::Done } else { Put::Lost })
    }

    /// Copies an object below the prefix within the bucket.
    ///
    /// # Errors
    /// When it cannot be read or put.
    pub async fn copy(&self, from: &str, to: &str) -> Result<(), SourceError> {
        match self.get(from).await? {
            Some((bytes, _)) => self.put_bytes(to, bytes, &Only::Always).await.map(drop),
            None => Err(SourceError::Fetch { key: self.key_of(from), source: FetchError::Gone }),
        }
    }

    /// Keys below a folder of the prefix, relative to the prefix.
    ///
    /// # Errors
    /// When they cannot be listed.
    pub async fn keys_below(&self, folder: &str) -> Result<Vec<String>, SourceError> {
        let level = self.list_level(&self.key_of(folder), false).await;
        let (objects, ..) = level.map_err(|failed| failed.error)?;
        let prefix = self.key_of("");
        let relative = |key: String| key.strip_prefix(&prefix).map(str::to_owned);
        Ok(objects.into_iter().filter_map(|object| relative(object.key)).collect())
    }

    /// Removes an object below the prefix.
    ///
    /// # Errors
    /// When it cannot be removed.
    pub async fn remove_object(&self, relative: &str) -> Result<(), SourceError> {
        let key = self.key_of(relative);
        let removed = self
            .ask(|client| {
                client
                    .delete_object()
                    .bucket(&self.name)
                    .key(&key)
                    .customize()
                    .config_override(self.patience.of_reads())
                    .send()
            })
            .await;
        match removed {
            Ok(_) => Ok(()),
            Err(error) => Err(self.error("DeleteObject", &key, &error, "s3:DeleteObject")),
        }
    }
}
