//! An object with what was written beside it: digests carry their signature as user metadata.
//!
//! Source: <https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingMetadata.html>.

use super::Bucket;
use crate::source::{FetchError, Object, Signed};

impl Bucket {
    /// Fetches a digest.
    ///
    /// # Errors
    /// When it cannot be had; it is tried again as a whole, digests are small.
    pub async fn fetch_signed(&self, object: &Object) -> Result<Signed, FetchError> {
        let mut failed = FetchError::Failed { message: "no answer".to_owned() };
        for _ in 0..3 {
            let answer = self
                .ask(|client| {
                    client
                        .get_object()
                        .bucket(&self.name)
                        .key(&object.key)
                        .set_if_match(object.etag.clone())
                        .customize()
                        .config_override(self.patience.of_reads())
                        .send()
                })
                .await
                .map_err(|error| self.fetch_error(&error))?;
            let of = |name: &str| answer.metadata().and_then(|all| all.get(name)).cloned();
            let (signature, algorithm) = (of("signature"), of("signature-algorithm"));
            match answer.body.collect().await {
                Ok(body) => return Ok(Signed { bytes: body.to_vec(), signature, algorithm }),
                Err(error) => failed = FetchError::Failed { message: error.to_string() },
            }
        }
        Err(failed)
    }
}
