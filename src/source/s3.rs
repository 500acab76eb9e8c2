//! Buckets as sources and as targets.
//!
//! The default credential chain; `AWS_ENDPOINT_URL_S3` and `AWS_ENDPOINT_URL` are honoured, and any
//! endpoint of one's own gets path-style addresses. Listing walks prefixes with a delimiter, so that
//! accounts, regions and days that cannot matter cost no page. A body that is cut is resumed with a
//! range under `If-Match`, which the SDK does not do by itself. Source:
//! <https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html>.
#![expect(
    clippy::disallowed_methods,
    reason = "source reads files, and AWS settings live in the environment"
)]

pub mod output;
pub mod signed;

use aws_config::{BehaviorVersion, Region};
use aws_sdk_s3::Client;
use aws_sdk_s3::config::Credentials;
use aws_sdk_s3::error::{DisplayErrorContext, ProvideErrorMetadata, SdkError};
use futures::StreamExt;
use futures::stream;

use super::key::read_key;
use super::{FetchError, Listing, Object, Prune, SourceError};
use crate::model::needs::statement;

/// Prefixes listed at once.
const LISTS_IN_FLIGHT: usize = 16;
/// How often a cut body is resumed.
const MAX_RESUMES: u32 = 4;
/// Below this many levels a layout has no more parts that pruning knows: the rest is listed flat.
const MAX_WALK_DEPTH: usize = 12;

/// How to reach S3; empty means the default chain.
#[derive(Debug, Clone, Default)]
pub struct S3Options {
    /// Region, if not that of the environment.
    pub region: Option<String>,
    /// Endpoint, if not AWS's own.
    pub endpoint: Option<String>,
    /// Access key and secret, if not those of the chain.
    pub credentials: Option<(String, String)>,
}

/// A bucket and a prefix in it.
#[derive(Debug, Clone)]
pub struct Bucket {
    client: Client,
    name: String,
    prefix: String,
}

impl Bucket {
    /// Prepares a client; nothing is sent yet.
    pub async fn open(bucket: &str, prefix: &str, options: &S3Options) -> Self {
        let mut loader = aws_config::defaults(BehaviorVersion::latest());
        if let Some(region) = &options.region {
            loader = loader.region(Region::new(region.clone()));
        }
        if let Some((key, secret)) = &options.credentials {
            loader =
                loader.credentials_provider(Credentials::new(key, secret, None, None, "given"));
        }
        let shared = loader.load().await;
        let mut config = aws_sdk_s3::config::Builder::from(&shared);
        let of_environment = ["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"]
            .into_iter()
            .find_map(|name| std::env::var(name).ok().filter(|url| !url.is_empty()));
        if let Some(endpoint) = options.endpoint.clone().or(of_environment) {
            config = config.endpoint_url(endpoint).force_path_style(true);
        }
        if shared.region().is_none() {
            // S3 answers from any region with where the bucket is; the signature needs some name.
            config = config.region(Region::new("us-east-1"));
        }
        Bucket {
            client: Client::from_conf(config.build()),
            name: bucket.to_owned(),
            prefix: prefix.to_owned(),
        }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Lists objects below the prefix.
    ///
    /// # Errors
    /// When a page cannot be had.
    pub async fn list(&self, prune: &Prune) -> Result<Listing, SourceError> {
        let mut listing = Listing::default();
        let mut level = vec![self.prefix.clone()];
        for depth in 0.. {
            let pages: Vec<_> = stream::iter(level)
                .map(|prefix| self.list_level(prefix, depth < MAX_WALK_DEPTH))
                .buffered(LISTS_IN_FLIGHT)
                .collect()
                .await;
            level = Vec::new();
            for page in pages {
                let (objects, prefixes) = page?;
                for object in objects {
                    match prune.reason(&read_key(&object.key)) {
                        Some(why) => *listing.pruned.entry(why).or_default() += 1,
                        None => listing.objects.push(object),
                    }
                }
                for prefix in prefixes {
                    if prune.skips_prefix(prefix.trim_end_matches('/')) {
                        *listing.pruned.entry("prefix").or_default() += 1;
                    } else {
                        level.push(prefix);
                    }
                }
            }
            if level.is_empty() {
                break;
            }
        }
        Ok(listing)
    }

    /// One level: objects and the prefixes below; flat when `delimited` is false.
    async fn list_level(
        &self,
        prefix: String,
        delimited: bool,
    ) -> Result<(Vec<Object>, Vec<String>), SourceError> {
        let (mut objects, mut prefixes) = (Vec::new(), Vec::new());
        let mut pages = self
            .client
            .list_objects_v2()
            .bucket(&self.name)
            .prefix(&prefix)
            .set_delimiter(delimited.then(|| "/".to_owned()))
            .into_paginator()
            .send();
        while let Some(page) = pages.next().await {
            let page = page
                .map_err(|error| self.error("ListObjectsV2", &prefix, &error, "s3:ListBucket"))?;
            for object in page.contents() {
                let Some(key) = object.key() else { continue };
                // A key that ends in a slash is a folder that some console made.
                if key.ends_with('/') {
                    continue;
                }
                objects.push(Object {
                    key: key.to_owned(),
                    size: u64::try_from(object.size().unwrap_or(0)).unwrap_or(0),
                    etag: object.e_tag().map(str::to_owned),
                    path: None,
                });
            }
            prefixes.extend(
                page.common_prefixes().iter().filter_map(|p| p.prefix()).map(str::to_owned),
            );
        }
        Ok((objects, prefixes))
    }

    /// Fetches one object whole, as it was listed.
    ///
    /// # Errors
    /// When it is gone, changed, denied, or fails after retries.
    pub async fn fetch(&self, object: &Object) -> Result<Vec<u8>, FetchError> {
        let mut bytes = Vec::with_capacity(usize::try_from(object.size).unwrap_or(0));
        let mut failure = FetchError::Failed { message: "no answer".to_owned() };
        for _ in 0..=MAX_RESUMES {
            let range = (!bytes.is_empty()).then(|| format!("bytes={}-", bytes.len()));
            let answer = self
                .client
                .get_object()
                .bucket(&self.name)
                .key(&object.key)
                .set_if_match(object.etag.clone())
                .set_range(range)
                .send()
                .await;
            let mut body = match answer {
                Ok(answer) => answer.body,
                Err(error) => return Err(self.fetch_error(&error)),
            };
            loop {
                match body.next().await {
                    Some(Ok(part)) => bytes.extend_from_slice(&part),
                    Some(Err(error)) => {
                        failure = FetchError::Failed { message: error.to_string() };
                        break;
                    }
                    None if u64::try_from(bytes.len()).unwrap_or(0) >= object.size => {
                        return Ok(bytes);
                    }
                    None => {
                        failure = FetchError::Failed { message: "the body is short".to_owned() };
                        break;
                    }
                }
            }
        }
        Err(failure)
    }

    fn key_of(&self, relative: &str) -> String {
        let prefix = self.prefix.trim_end_matches('/');
        if prefix.is_empty() { relative.to_owned() } else { format!("{prefix}/{relative}") }
    }

    async fn remove(&self, key: String) -> Result<(), SourceError> {
        let removed = self.client.delete_object().bucket(&self.name).key(&key).send().await;
        match removed {
            Ok(_) => Ok(()),
            Err(error) => Err(self.error("DeleteObject", &key, &error, "s3:DeleteObject")),
        }
    }

    fn error<E, R>(
        &self,
        operation: &'static str,
        key: &str,
        error: &SdkError<E, R>,
        action: &'static str,
    ) -> SourceError
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
        R: std::fmt::Debug,
    {
        SourceError::S3 {
            operation,
            bucket: self.name.clone(),
            key: key.to_owned(),
            message: message(error),
            action,
        }
    }

    fn fetch_error<E, R>(&self, error: &SdkError<E, R>) -> FetchError
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
        R: std::fmt::Debug,
    {
        match error.code() {
            Some("NoSuchKey" | "NotFound") => FetchError::Gone,
            Some("PreconditionFailed") => FetchError::Changed,
            Some(code @ ("AccessDenied" | "KMS.DisabledException" | "KMS.NotFoundException")) => {
                let message = message(error);
                let of_key = code != "AccessDenied" || message.contains("kms:Decrypt");
                let objects = format!("arn:aws:s3:::{}/*", self.name);
                let statement = if of_key {
                    statement("kms:Decrypt", "the key")
                } else {
                    statement("s3:GetObject", &objects)
                };
                FetchError::Denied { message, statement }
            }
            _ => FetchError::Failed { message: message(error) },
        }
    }
}

fn message<E, R>(error: &SdkError<E, R>) -> String
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
    R: std::fmt::Debug,
{
    match (error.code(), error.message()) {
        (Some(code), Some(message)) => format!("{code}: {message}"),
        (Some(code), None) => code.to_owned(),
        _ => DisplayErrorContext(error).to_string(),
    }
}
