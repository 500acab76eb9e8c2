//! Listing: level by level, so that what cannot matter costs no page.
//!
//! A prefix that one may not list is said and the rest counts; the place itself must be listable. Any
//! other failure ends the run: what a listing hides by accident must not look like silence.

use std::collections::BTreeSet;

use aws_sdk_s3::error::ProvideErrorMetadata;
use aws_sdk_s3::operation::list_objects_v2::ListObjectsV2Output;
use futures::StreamExt;
use futures::stream;

use super::Bucket;
use crate::source::key::read_key;
use crate::source::{Listing, Object, Prune, SourceError};

/// Prefixes listed at once.
const LISTS_IN_FLIGHT: usize = 16;
/// How often a level is listed from its start, because its pages make no sense together.
const MAX_LISTS: u32 = 3;
/// Below this many levels a layout has no more parts that pruning knows: the rest is listed flat.
const MAX_WALK_DEPTH: usize = 12;

/// Why a level cannot be listed.
pub(super) struct ListError {
    /// One may not.
    denied: bool,
    /// In words.
    pub(super) error: SourceError,
}

/// One level: objects and the prefixes below, and the pages that it took.
type Level = (Vec<Object>, Vec<String>, u64);

impl Bucket {
    /// Lists objects below the prefix.
    ///
    /// # Errors
    /// When the prefix itself may not be listed, or a page cannot be had.
    pub async fn list(&self, prune: &Prune) -> Result<Listing, SourceError> {
        let mut listing = Listing::default();
        let mut level = vec![self.prefix.clone()];
        for depth in 0.. {
            let pages = stream::iter(level).map(|prefix| async move {
                let page = self.list_level(&prefix, depth < MAX_WALK_DEPTH).await;
                (prefix, page)
            });
            let mut pages = std::pin::pin!(pages.buffered(LISTS_IN_FLIGHT));
            level = Vec::new();
            while let Some((prefix, page)) = pages.next().await {
                let (objects, prefixes, pages) = match page {
                    Ok(page) => page,
                    Err(ListError { denied: true, error }) if depth > 0 => {
                        listing.requests += 1;
                        listing.unlisted.push((prefix, error.to_string()));
                        continue;
                    }
                    Err(ListError { error, .. }) => return Err(error),
                };
                listing.requests += pages;
                for object in objects {
                    match prune.reason(&read_key(&object.key)) {
                        Some(why) => *listing.pruned.entry(why).or_default() += 1,
                        None => listing.objects.push(object)?,
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

    /// One level whole; flat when `delimited` is false.
    pub(super) async fn list_level(
        &self,
        prefix: &str,
        delimited: bool,
    ) -> Result<Level, ListError> {
        let mut lists = 1;
        loop {
            match self.list_pages(prefix, delimited).await? {
                Ok(level) => return Ok(level),
                Err(_) if lists < MAX_LISTS => lists += 1,
                Err(message) => {
                    let error =
                        self.failure("ListObjectsV2", prefix, message.to_owned(), "s3:ListBucket");
                    return Err(ListError { denied: false, error });
                }
            }
        }
    }

    /// All pages of one level, or why they make no sense together.
    async fn list_pages(
        &self,
        prefix: &str,
        delimited: bool,
    ) -> Result<Result<Level, &'static str>, ListError> {
        let (mut objects, mut prefixes, mut pages) = (Vec::new(), Vec::new(), 0);
        let mut tokens: BTreeSet<String> = BTreeSet::new();
        let mut token = None;
        loop {
            let page = self.list_page(prefix, delimited, token.take()).await?;
            pages += 1;
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
            match page.next_continuation_token() {
                Some(next) if !tokens.insert(next.to_owned()) => {
                    return Ok(Err("its pages go in a circle"));
                }
                Some(next) => token = Some(next.to_owned()),
                None if page.is_truncated() == Some(true) => {
                    return Ok(Err("a page says that there are more and not where"));
                }
                None => break,
            }
        }
        // What is put meanwhile may move what is listed from one page to the next.
        objects.sort();
        objects.dedup_by(|next, kept| next.key == kept.key);
        prefixes.sort();
        prefixes.dedup();
        Ok(Ok((objects, prefixes, pages)))
    }

    async fn list_page(
        &self,
        prefix: &str,
        delimited: bool,
        token: Option<String>,
    ) -> Result<ListObjectsV2Output, ListError> {
        let answer = self
            .ask(|client| {
                client
                    .list_objects_v2()
                    .bucket(&self.name)
                    .prefix(prefix)
                    .set_delimiter(delimited.then(|| "/".to_owned()))
                    .set_continuation_token(token.clone())
                    .customize()
                    .config_override(self.patience.of_reads())
                    .send()
            })
            .await;
        answer.map_err(|error| ListError {
            denied: error.code() == Some("AccessDenied"),
            error: self.error("ListObjectsV2", prefix, &error, "s3:ListBucket"),
        })
    }
}
