//! Buckets in memory, and what they answer when nothing is wrong.

use std::collections::{BTreeMap, BTreeSet};

use super::plan::Op;

/// An object and how often its key was put.
#[derive(Debug, Clone)]
pub(crate) struct Stored {
    pub(crate) bytes: Vec<u8>,
    pub(crate) version: u64,
}

impl Stored {
    pub(crate) fn etag(&self) -> String {
        let digest = overgrant::model::digest::of_bytes(&self.bytes);
        let hex = overgrant::model::digest::hex(&digest, 32);
        if self.version == 0 { format!("\"{hex}\"") } else { format!("\"{hex}-{}\"", self.version) }
    }
}

/// All objects, by `bucket/key`.
#[derive(Debug, Default)]
pub(crate) struct Buckets {
    pub(crate) objects: BTreeMap<String, Stored>,
    pub(crate) page: usize,
}

/// A request, read.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) op: Op,
    pub(crate) bucket: String,
    /// The key; the prefix of a listing.
    pub(crate) key: String,
    pub(crate) query: BTreeMap<String, String>,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: Vec<u8>,
}

impl Request {
    pub(crate) fn place(&self) -> String {
        format!("{}/{}", self.bucket, self.key)
    }

    /// Of the signature. Source:
    /// <https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-auth-using-authorization-header.html>.
    pub(crate) fn access_key(&self) -> Option<String> {
        let (_, credential) = self.header("authorization")?.split_once("Credential=")?;
        Some(credential.split('/').next()?.to_owned())
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }
}

/// An answer before it is sent.
#[derive(Debug, Clone, Default)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn error(status: u16, code: &str, message: &str) -> Self {
        let body = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>{code}</Code><Message>{}</Message></Error>",
            escaped(message)
        );
        Answer {
            status,
            headers: vec![("content-type", "application/xml".to_owned())],
            body: body.into_bytes(),
        }
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

impl Buckets {
    pub(crate) fn put(&mut self, place: &str, bytes: Vec<u8>) -> String {
        let version = match self.objects.get(place) {
            Some(old) if old.bytes == bytes => old.version + 1,
            _ => 0,
        };
        let stored = Stored { bytes, version };
        let etag = stored.etag();
        self.objects.insert(place.to_owned(), stored);
        etag
    }

    /// What S3 answers; puts, copies and removals are done.
    pub(crate) fn answer(&mut self, request: &Request) -> Answer {
        match request.op {
            Op::List => self.list(request),
            Op::Get | Op::Head => self.get(request),
            Op::Put => self.put_object(request),
            Op::Copy => self.copy(request),
            Op::Delete => {
                self.objects.remove(&request.place());
                Answer { status: 204, ..Answer::default() }
            }
        }
    }

    fn list(&self, request: &Request) -> Answer {
        let of = |name: &str| request.query.get(name).map(String::as_str).unwrap_or_default();
        let delimiter = of("delimiter");
        let after = of("continuation-token").strip_prefix("after:").unwrap_or_default();
        let asked = of("max-keys").parse().unwrap_or(1000);
        let limit: usize = self.page.min(asked);
        let base = format!("{}/", request.bucket);
        let mut seen = BTreeSet::new();
        let mut entries: Vec<(String, Option<&Stored>)> = Vec::new();
        for (place, stored) in &self.objects {
            let Some(key) = place.strip_prefix(&base) else { continue };
            let Some(rest) = key.strip_prefix(&request.key) else { continue };
            match rest.split_once(delimiter).filter(|_| !delimiter.is_empty()) {
                Some((head, _)) => {
                    let prefix = format!("{}{head}{delimiter}", request.key);
                    if prefix.as_str() > after && seen.insert(prefix.clone()) {
                        entries.push((prefix, None));
                    }
                }
                None if key > after => entries.push((key.to_owned(), Some(stored))),
                None => {}
            }
        }
        let more = entries.len() > limit;
        entries.truncate(limit);
        let mut xml = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Name>{}</Name><Prefix>{}</Prefix><KeyCount>{}</KeyCount><MaxKeys>{limit}</MaxKeys><IsTruncated>{more}</IsTruncated>",
            request.bucket,
            escaped(&request.key),
            entries.len(),
        );
        if more && let Some((last, _)) = entries.last() {
            xml +=
                &format!("<NextContinuationToken>after:{}</NextContinuationToken>", escaped(last));
        }
        for (name, stored) in &entries {
            xml += &match stored {
                Some(stored) => format!(
                    "<Contents><Key>{}</Key><LastModified>2026-11-24T00:00:00.000Z</LastModified><ETag>{}</ETag><Size>{}</Size><StorageClass>STANDARD</StorageClass></Contents>",
                    escaped(name),
                    escaped(&stored.etag()),
                    stored.bytes.len()
                ),
                None => {
                    format!("<CommonPrefixes><Prefix>{}</Prefix></CommonPrefixes>", escaped(name))
                }
            };
        }
        xml += "</ListBucketResult>";
        Answer {
            status: 200,
            headers: vec![("content-type", "application/xml".to_owned())],
            body: xml.into_bytes(),
        }
    }

    fn get(&self, request: &Request) -> Answer {
        let Some(stored) = self.objects.get(&request.place()) else {
            return Answer::error(404, "NoSuchKey", "The specified key does not exist.");
        };
        let etag = stored.etag();
        if request.header("if-match").is_some_and(|wanted| wanted != etag) {
            return failed_condition();
        }
        let mut headers = vec![("etag", etag), ("accept-ranges", "bytes".to_owned())];
        let range = request.header("range").and_then(|range| range.strip_prefix("bytes="));
        let Some((first, last)) = range.and_then(|range| range.split_once('-')) else {
            return Answer { status: 200, headers, body: stored.bytes.clone() };
        };
        let size = stored.bytes.len();
        let first: usize = first.parse().unwrap_or(0);
        let end = last.parse().map_or(size, |last: usize| size.min(last + 1));
        if first >= end {
            return Answer::error(416, "InvalidRange", "The requested range is not satisfiable");
        }
        headers.push(("content-range", format!("bytes {first}-{}/{size}", end - 1)));
        Answer { status: 206, headers, body: stored.bytes[first..end].to_vec() }
    }

    /// Source: <https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html>.
    fn put_object(&mut self, request: &Request) -> Answer {
        let there = self.objects.get(&request.place()).map(Stored::etag);
        if request.header("if-none-match") == Some("*") && there.is_some() {
            return failed_condition();
        }
        if let Some(wanted) = request.header("if-match") {
            match there {
                None => {
                    return Answer::error(404, "NoSuchKey", "The specified key does not exist.");
                }
                Some(etag) if etag != wanted => return failed_condition(),
                Some(_) => {}
            }
        }
        let etag = self.put(&request.place(), request.body.clone());
        Answer { status: 200, headers: vec![("etag", etag)], body: Vec::new() }
    }

    fn copy(&mut self, request: &Request) -> Answer {
        let from = request.header("x-amz-copy-source").unwrap_or_default();
        let from = super::http::decoded(from.trim_start_matches('/'));
        let Some(stored) = self.objects.get(&from) else {
            return Answer::error(404, "NoSuchKey", "The specified key does not exist.");
        };
        let bytes = stored.bytes.clone();
        let etag = self.put(&request.place(), bytes);
        let body = format!(
            "<CopyObjectResult><LastModified>2026-11-24T00:00:00.000Z</LastModified><ETag>{}</ETag></CopyObjectResult>",
            escaped(&etag)
        );
        Answer { status: 200, headers: Vec::new(), body: body.into_bytes() }
    }
}

fn failed_condition() -> Answer {
    Answer::error(
        412,
        "PreconditionFailed",
        "At least one of the pre-conditions you specified did not hold",
    )
}
