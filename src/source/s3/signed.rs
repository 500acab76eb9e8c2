//! An object with what was written beside it: digests carry their signature as user metadata.
//!
//! Source: <https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingMetadata.html>.

use super::Bucket;
use crate::source::{FetchError, Object, Signed};

impl Bucket {
    /// Fetches a digest.
    ///
    /// # Errors
    /// When it cannot be had, after retries.
    pub async fn fetch_signed(&self, object: &Object) -> Result<Signed, FetchError> {
        let mut whole = self.fetch_whole(object).await?;
        let signature = whole.metadata.remove("signature");
        let algorithm = whole.metadata.remove("signature-algorithm");
        Ok(Signed { bytes: whole.bytes, signature, algorithm })
    }
}
