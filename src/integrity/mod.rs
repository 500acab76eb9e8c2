//! Whether CloudTrail vouches for a log: digests, their chain, and what they say of each object.
//!
//! Input: digests as they were read, public keys, and the SHA-256 of logs. Output: a status for every
//! digest and every log. Pure: nothing is fetched here. Every hour CloudTrail signs a digest that names
//! the logs of the hour with their hashes, and the digest before it ([`digest`], [`chain`]); a log is as
//! good as the digest that names it ([`index`]). Audit logs of EKS go through CloudWatch Logs and
//! Firehose, which sign nothing: they are never checked. Source:
//! <https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-log-file-validation-intro.html>.

pub mod chain;
pub mod digest;
pub mod index;

/// What is known of an object.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize,
)]
pub enum Status {
    /// CloudTrail wrote it, and it is as it was written.
    Valid,
    /// Nothing vouches for it or against it.
    NotChecked,
    /// It lies where a chain of digests covers everything, and none names it.
    Unsigned,
    /// A digest names it, and it is not there.
    Missing,
    /// It is not what CloudTrail wrote.
    Invalid,
}

impl Status {
    /// The name in tables.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Status::Valid => "valid",
            Status::NotChecked => "not_checked",
            Status::Unsigned => "unsigned",
            Status::Missing => "missing",
            Status::Invalid => "invalid",
        }
    }
}

/// What was found of one object.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    /// `s3://bucket/key`, or the key of a copy.
    pub object: String,
    /// What is known.
    pub status: Status,
    /// Why, for people.
    pub why: String,
}

/// `s3://bucket/key`; the key alone for a copy in a folder, whose bucket is empty.
#[must_use]
pub fn name_of(bucket: &str, key: &str) -> String {
    if bucket.is_empty() { key.to_owned() } else { format!("s3://{bucket}/{key}") }
}

#[cfg(test)]
mod tests;
