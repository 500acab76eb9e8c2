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

mod access;
mod fetch;
mod list;
pub mod output;
pub mod parts;
pub mod signed;

use aws_config::{BehaviorVersion, Region};
use aws_sdk_s3::Client;
use aws_sdk_s3::config::Credentials;
use aws_sdk_s3::error::{DisplayErrorContext, ProvideErrorMetadata, SdkError};

use super::{FetchError, SourceError};
use crate::model::needs::statement;
use access::{Access, is_expired};

pub use access::Patience;

/// How to reach S3; empty means the default chain.
#[derive(Debug, Clone, Default)]
pub struct S3Options {
    /// Region, if not that of the environment.
    pub region: Option<String>,
    /// Endpoint, if not AWS's own.
    pub endpoint: Option<String>,
    /// Access key and secret, if not those of the chain.
    pub credentials: Option<(String, String)>,
    /// How long to wait, and how often to try.
    pub patience: Patience,
}

/// A bucket and a prefix in it.
#[derive(Debug, Clone)]
pub struct Bucket {
    access: Access,
    patience: Patience,
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
            access: Access::new(Client::from_conf(options.patience.configure(config).build())),
            patience: options.patience,
            name: bucket.to_owned(),
            prefix: prefix.to_owned(),
        }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    fn key_of(&self, relative: &str) -> String {
        let prefix = self.prefix.trim_end_matches('/');
        if prefix.is_empty() { relative.to_owned() } else { format!("{prefix}/{relative}") }
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
        self.failure(operation, key, message(error), action)
    }

    fn failure(
        &self,
        operation: &'static str,
        key: &str,
        message: String,
        action: &'static str,
    ) -> SourceError {
        SourceError::S3 {
            operation,
            bucket: self.name.clone(),
            key: key.to_owned(),
            message,
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
            code if is_expired(code) => FetchError::Expired { message: message(error) },
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
