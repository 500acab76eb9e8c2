//! A large object, put part by part: little of it is held, and it may be larger than one request takes.
//!
//! Source: <https://docs.aws.amazon.com/AmazonS3/latest/userguide/mpuoverview.html>.

use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{CompletedMultipartUpload, CompletedPart};

use super::Bucket;
use crate::source::SourceError;

const ACTION: &str = "s3:PutObject";

/// Parts on their way; nothing is to be seen of them before [`Parts::end`].
#[derive(Debug)]
pub struct Parts<'a> {
    bucket: &'a Bucket,
    key: String,
    id: String,
    done: Vec<CompletedPart>,
}

impl Bucket {
    /// Begins an object below the prefix.
    ///
    /// # Errors
    /// When it may not be put.
    pub async fn begin_parts(&self, relative: &str) -> Result<Parts<'_>, SourceError> {
        let key = self.key_of(relative);
        let begun = self
            .ask(|client| {
                let begin = client.create_multipart_upload().bucket(&self.name).key(&key);
                begin.customize().config_override(self.patience.of_reads()).send()
            })
            .await
            .map_err(|error| self.error("CreateMultipartUpload", &key, &error, ACTION))?;
        let id = begun.upload_id.unwrap_or_default();
        Ok(Parts { bucket: self, key, id, done: Vec::new() })
    }
}

impl Parts<'_> {
    /// Puts the next part; all but the last have at least 5 MiB, and there are at most 10,000.
    ///
    /// # Errors
    /// When it cannot be put.
    pub async fn put(&mut self, bytes: Vec<u8>) -> Result<(), SourceError> {
        let number = i32::try_from(self.done.len() + 1).unwrap_or(i32::MAX);
        let (bucket, body) = (self.bucket, bytes::Bytes::from(bytes));
        let put = bucket
            .ask(|client| {
                let put = client.upload_part().bucket(&bucket.name).key(&self.key);
                put.upload_id(&self.id)
                    .part_number(number)
                    .body(ByteStream::from(body.clone()))
                    .customize()
                    .config_override(bucket.patience.of_writes(body.len()))
                    .send()
            })
            .await
            .map_err(|error| bucket.error("UploadPart", &self.key, &error, ACTION))?;
        let part = CompletedPart::builder().part_number(number).set_e_tag(put.e_tag);
        self.done.push(part.build());
        Ok(())
    }

    /// Makes an object of the parts.
    ///
    /// # Errors
    /// When it cannot be made.
    pub async fn end(self) -> Result<(), SourceError> {
        let Parts { bucket, key, id, done } = self;
        let parts = CompletedMultipartUpload::builder().set_parts(Some(done)).build();
        bucket
            .ask(|client| {
                let end = client.complete_multipart_upload().bucket(&bucket.name).key(&key);
                end.upload_id(&id)
                    .multipart_upload(parts.clone())
                    .customize()
                    .config_override(bucket.patience.of_reads())
                    .send()
            })
            .await
            .map_err(|error| bucket.error("CompleteMultipartUpload", &key, &error, ACTION))?;
        Ok(())
    }

    /// Gives the parts up. Where that is refused, a rule of the bucket removes what is left of them.
    pub async fn give_up(self) {
        let Parts { bucket, key, id, .. } = self;
        let refused = bucket
            .ask(|client| {
                let abort = client.abort_multipart_upload().bucket(&bucket.name).key(&key);
                abort.upload_id(&id).customize().config_override(bucket.patience.of_reads()).send()
            })
            .await
            .is_err();
        if refused {
            tracing::warn!(key, "parts of an upload that failed could not be removed");
        }
    }
}
