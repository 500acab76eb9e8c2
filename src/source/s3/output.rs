//! A bucket as the place of an output: whole objects in and out, and the one put that must not
//! overwrite what somebody else put.
//!
//! Source: <https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html>.

use aws_sdk_s3::error::ProvideErrorMetadata;
use aws_sdk_s3::primitives::ByteStream;

use super::Bucket;
use crate::source::SourceError;

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
        let answer =
            self.ask(|client| client.get_object().bucket(&self.name).key(&key).send()).await;
        let answer = match answer {
            Ok(answer) => answer,
            Err(error) if matches!(error.code(), Some("NoSuchKey" | "NotFound")) => {
                return Ok(None);
            }
            Err(error) => {
                return Err(self.error("GetObject", &key, &error, "s3:GetObject"));
            }
        };
        let etag = answer.e_tag().unwrap_or_default().to_owned();
        let size = u64::try_from(answer.content_length().unwrap_or(0)).unwrap_or(0);
        if let Ok(body) = answer.body.collect().await {
            return Ok(Some((body.to_vec(), etag)));
        }
        // The reader of logs resumes where a body was cut.
        let known = Some(etag.clone()).filter(|etag| !etag.is_empty());
        let object = crate::source::Object { key: key.clone(), size, etag: known, path: None };
        let bytes =
            self.fetch(&object).await.map_err(|source| SourceError::Fetch { key, source })?;
        Ok(Some((bytes, etag)))
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
        let put = self
            .ask(|client| {
                let put = client.put_object().bucket(&self.name).key(&key);
                let put = match only {
                    Only::Always => put,
                    Only::IfAbsent => put.if_none_match("*"),
                    Only::IfUnchanged(etag) => put.if_match(etag),
                };
                put.body(ByteStream::from(body.clone())).send()
            })
            .await;
        match put {
            Ok(_) => Ok(Put::Done),
            Err(error)
                if *only != Only::Always
                    && matches!(
                        error.code(),
                        Some("PreconditionFailed" | "ConditionalRequestConflict" | "NoSuchKey")
                    ) =>
            {
                // A put whose answer was lost is tried again, and then meets itself.
                let there = self.get(relative).await?;
                let ours = there.is_some_and(|(there, _)| there == body);
                Ok(if ours { Put::Done } else { Put::Lost })
            }
            Err(error) => Err(self.error("PutObject", &key, &error, "s3:PutObject")),
        }
    }

    /// Copies an object below the prefix within the bucket.
    ///
    /// # Errors
    /// When it cannot be read or put.
    pub async fn copy(&self, from: &str, to: &str) -> Result<(), SourceError> {
        match self.get(from).await? {
            Some((bytes, _)) => self.put_bytes(to, bytes, &Only::Always).await.map(drop),
            None => Err(SourceError::Fetch {
                key: self.key_of(from),
                source: crate::source::FetchError::Gone,
            }),
        }
    }

    /// Keys below a folder of the prefix, relative to the prefix.
    ///
    /// # Errors
    /// When they cannot be listed.
    pub async fn keys_below(&self, folder: &str) -> Result<Vec<String>, SourceError> {
        let level = self.list_level(&self.key_of(folder), false).await;
        let (objects, _) = level.map_err(|failed| failed.error)?;
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
        let removed =
            self.ask(|client| client.delete_object().bucket(&self.name).key(&key).send()).await;
        match removed {
            Ok(_) => Ok(()),
            Err(error) => Err(self.error("DeleteObject", &key, &error, "s3:DeleteObject")),
        }
    }
}
