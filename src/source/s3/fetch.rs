//! Fetching: one object whole, as it was listed, over connections that end where they like.
//!
//! The SDK tries a request again and never a body. A body that is cut, or of which no byte comes for
//! a while, is continued with a range under `If-Match`; every answer must be of the version that was
//! listed. Source: <https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html>.

use std::collections::BTreeMap;

use aws_sdk_s3::operation::get_object::GetObjectOutput;

use super::Bucket;
use crate::source::{FetchError, Object};

/// How often in a row a body is continued and brings nothing.
const MAX_FRUITLESS: u32 = 4;
/// How often a body is continued at all: so often, and once more per mebibyte.
const MAX_RESUMES: u64 = 16;
/// Room taken before a byte has come: a listing may say any size.
const MAX_ROOM: u64 = 8 << 20;

/// Why a body ended early.
enum Cut {
    /// It may be continued.
    Again(FetchError),
    /// It makes no sense to.
    Final(FetchError),
}

/// An object, as far as it came.
#[derive(Default)]
pub(super) struct Whole {
    pub(super) bytes: Vec<u8>,
    /// As listed, or as first answered.
    pub(super) etag: Option<String>,
    /// The same.
    size: Option<u64>,
    pub(super) metadata: BTreeMap<String, String>,
}

fn again(message: impl Into<String>) -> Cut {
    Cut::Again(FetchError::Failed { message: message.into() })
}

fn length(bytes: &[u8]) -> u64 {
    u64::try_from(bytes.len()).unwrap_or(u64::MAX)
}

/// Where the bytes of an answer begin in the object.
fn first_byte(content_range: &str) -> Option<u64> {
    let (first, _) = content_range.strip_prefix("bytes ")?.split_once('-')?;
    first.trim().parse().ok()
}

impl Bucket {
    /// Fetches one object whole, as it was listed.
    ///
    /// # Errors
    /// When it is gone, changed, denied, or fails after retries.
    pub async fn fetch(&self, object: &Object) -> Result<Vec<u8>, FetchError> {
        Ok(self.fetch_whole(object).await?.bytes)
    }

    /// The same with its user metadata.
    pub(super) async fn fetch_whole(&self, object: &Object) -> Result<Whole, FetchError> {
        let whole =
            Whole { etag: object.etag.clone(), size: Some(object.size), ..Whole::default() };
        self.fetch_from(&object.key, whole).await
    }

    /// Fetches what is at a key now, listed or not.
    pub(super) async fn fetch_current(&self, key: &str) -> Result<Whole, FetchError> {
        self.fetch_from(key, Whole::default()).await
    }

    async fn fetch_from(&self, key: &str, mut whole: Whole) -> Result<Whole, FetchError> {
        let (mut most, mut fruitless, mut resumes) = (0, 0, 0);
        loop {
            let failure = match self.fetch_rest(key, &mut whole).await {
                Ok(()) => return Ok(whole),
                Err(Cut::Final(error)) => return Err(error),
                Err(Cut::Again(error)) => error,
            };
            let got = length(&whole.bytes);
            fruitless = if got > most { 0 } else { fruitless + 1 };
            most = most.max(got);
            resumes += 1;
            if fruitless > MAX_FRUITLESS || resumes > MAX_RESUMES + (whole.size.unwrap_or(0) >> 20)
            {
                return Err(failure);
            }
            tokio::time::sleep(self.patience.pause(fruitless)).await;
        }
    }

    /// One request for what is still missing.
    async fn fetch_rest(&self, key: &str, whole: &mut Whole) -> Result<(), Cut> {
        let Whole { bytes, etag, size, metadata } = whole;
        let range = (!bytes.is_empty()).then(|| format!("bytes={}-", bytes.len()));
        let answer = self
            .ask(|client| {
                client
                    .get_object()
                    .bucket(&self.name)
                    .key(key)
                    .set_if_match(etag.clone())
                    .set_range(range.clone())
                    .customize()
                    .config_override(self.patience.of_reads())
                    .send()
            })
            .await
            .map_err(|error| Cut::Final(self.fetch_error(&error)))?;
        check_version(&answer, etag)?;
        if let Some(told) = answer.metadata() {
            *metadata = told.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
        }
        if !bytes.is_empty() {
            match answer.content_range() {
                Some(range) if first_byte(range) == Some(length(bytes)) => {}
                Some(_) => return Err(again("another range was answered than was asked for")),
                // Some servers know no ranges and begin anew.
                None => bytes.clear(),
            }
        }
        // A whole body's length is told, and a range is only asked for once it is known.
        let told = answer.content_length().and_then(|length| u64::try_from(length).ok());
        *size = size.or(told);
        let Some(size) = *size else {
            return Err(Cut::Final(FetchError::Failed {
                message: "no length was told".to_owned(),
            }));
        };
        bytes.reserve(usize::try_from(size.min(MAX_ROOM)).unwrap_or(0).saturating_sub(bytes.len()));
        let mut body = answer.body;
        loop {
            match tokio::time::timeout(self.patience.stall, body.next()).await {
                Err(_) => {
                    let seconds = self.patience.stall.as_secs_f32();
                    return Err(again(format!("no byte came for {seconds} seconds")));
                }
                Ok(Some(Ok(part))) => {
                    if length(bytes) + length(&part) > size {
                        let message = format!("it has more than the {size} bytes that were listed");
                        return Err(Cut::Final(FetchError::Failed { message }));
                    }
                    bytes.extend_from_slice(&part);
                }
                Ok(Some(Err(error))) => return Err(again(error.to_string())),
                Ok(None) if length(bytes) == size => return Ok(()),
                Ok(None) => return Err(again("the body is short")),
            }
        }
    }
}

/// Every answer is of the version that was listed, or of that of the first answer.
fn check_version(answer: &GetObjectOutput, etag: &mut Option<String>) -> Result<(), Cut> {
    let bare = |text: &str| text.trim_matches('"').to_owned();
    match (etag.as_deref(), answer.e_tag()) {
        (Some(known), Some(got)) if bare(known) != bare(got) => {
            Err(Cut::Final(FetchError::Changed))
        }
        (None, Some(got)) => {
            *etag = Some(got.to_owned());
            Ok(())
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges() {
        for (text, expected) in [
            ("bytes 100-199/200", Some(100)),
            ("bytes 0-0/*", Some(0)),
            ("bytes */200", None),
            ("100-199/200", None),
            ("", None),
        ] {
            assert_eq!(first_byte(text), expected, "{text}");
        }
    }
}
