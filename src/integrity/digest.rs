//! One digest: what it says, where it belongs, who signed it.
//!
//! Source:
//! <https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-log-file-custom-validation.html>.

use aws_lc_rs::signature::{RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};
use serde::Deserialize;

use crate::model::digest;

/// Bytes of an inflated digest that are read at all; one hour of one region is far smaller.
pub const MAX_DIGEST: usize = 64 << 20;
/// The one algorithm that CloudTrail signs with.
const ALGORITHM: &str = "SHA256withRSA";

/// A digest; strings as they stand in the JSON, because they are part of what is signed. A field
/// given twice does not parse.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Digest {
    /// RFC 3339, UTC.
    pub digest_start_time: String,
    /// RFC 3339, UTC.
    pub digest_end_time: String,
    /// Where CloudTrail put it.
    pub digest_s3_bucket: String,
    /// Key where CloudTrail put it.
    pub digest_s3_object: String,
    /// Names the key of the signature.
    pub digest_public_key_fingerprint: String,
    /// Null in the first digest of a chain.
    pub previous_digest_s3_bucket: Option<String>,
    /// Null in the first digest of a chain.
    pub previous_digest_s3_object: Option<String>,
    /// Hex SHA-256 of the inflated older digest; null in the first.
    pub previous_digest_hash_value: Option<String>,
    /// Hex signature of the older digest; null in the first.
    pub previous_digest_signature: Option<String>,
    /// Logs delivered in the hour.
    pub log_files: Vec<LogFile>,
}

/// A log that a digest names.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LogFile {
    /// Bucket of the log.
    pub s3_bucket: String,
    /// Key of the log.
    pub s3_object: String,
    /// Hex SHA-256 of the inflated log.
    pub hash_value: String,
    /// `SHA-256`
    pub hash_algorithm: String,
}

/// A digest as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Read {
    /// Bucket that it was read from; `None` for a copy in a folder.
    pub bucket: Option<String>,
    /// Key that it was read from; below the folder for a copy.
    pub key: String,
    /// Its bytes without gzip, not serialised anew.
    pub inflated: Vec<u8>,
    /// Metadata `signature`, hex; a copy has none.
    pub signature: Option<String>,
    /// Metadata `signature-algorithm`.
    pub algorithm: Option<String>,
}

/// Which check a digest failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    /// Past [`MAX_DIGEST`].
    #[error("the digest is larger than any that CloudTrail writes")]
    TooLarge,
    /// No JSON, or a field is missing, given twice or of another type.
    #[error("the digest does not parse")]
    Malformed,
    /// It says that it belongs elsewhere.
    #[error("the digest was moved: it names another bucket or key than where it was read")]
    Moved,
    /// Not SHA256withRSA.
    #[error("the signature algorithm is not SHA256withRSA")]
    Algorithm,
    /// Key and digest do not belong together.
    #[error("the digest names another public key")]
    OtherKey,
    /// No hex, or made over something else or by another key.
    #[error("the signature does not match")]
    Signature,
}

impl Read {
    /// Parses it, and checks that it is where CloudTrail put it. What comes back is not verified.
    ///
    /// # Errors
    /// The first check that failed.
    pub fn parse(&self) -> Result<Digest, Invalid> {
        if self.inflated.len() > MAX_DIGEST {
            return Err(Invalid::TooLarge);
        }
        let digest: Digest =
            serde_json::from_slice(&self.inflated).map_err(|_| Invalid::Malformed)?;
        let here = match &self.bucket {
            Some(bucket) => {
                digest.digest_s3_bucket == *bucket && digest.digest_s3_object == self.key
            }
            // A folder holds some part of the bucket: where the layout begins, the keys are equal.
            None => in_layout(&digest.digest_s3_object) == in_layout(&self.key),
        };
        if here { Ok(digest) } else { Err(Invalid::Moved) }
    }

    /// Checks the signature beside a parsed digest.
    ///
    /// # Errors
    /// The first check that failed.
    pub fn verify(&self, digest: &Digest, key: &PublicKey) -> Result<(), Invalid> {
        if self.algorithm.as_deref() != Some(ALGORITHM) {
            return Err(Invalid::Algorithm);
        }
        if digest.digest_public_key_fingerprint != key.fingerprint {
            return Err(Invalid::OtherKey);
        }
        let signature = self.signature.as_deref().and_then(unhex).ok_or(Invalid::Signature)?;
        UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, &key.der)
            .verify(string_to_sign(digest, &self.inflated).as_bytes(), &signature)
            .map_err(|_| Invalid::Signature)
    }

    /// Hex SHA-256 of the inflated bytes.
    #[must_use]
    pub fn hash(&self) -> String {
        digest::hex(&digest::of_bytes(&self.inflated), 64)
    }
}

/// A key from where the layout of CloudTrail begins.
#[must_use]
pub fn in_layout(key: &str) -> &str {
    key.rfind("AWSLogs/").and_then(|at| key.get(at..)).unwrap_or(key)
}

/// A public key of CloudTrail, as `ListPublicKeys` answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicKey {
    /// What digests call it.
    pub fingerprint: String,
    /// PKCS#1 or SubjectPublicKeyInfo: the crate reads both.
    pub der: Vec<u8>,
}

/// Reads what `aws cloudtrail list-public-keys` prints; `None` when it is something else.
#[must_use]
pub fn public_keys(json: &[u8]) -> Option<Vec<PublicKey>> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Answer {
        public_key_list: Vec<Key>,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Key {
        value: String,
        fingerprint: String,
    }
    let answer: Answer = serde_json::from_slice(json).ok()?;
    let read = |key: Key| {
        let der = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, key.value);
        Some(PublicKey { fingerprint: key.fingerprint, der: der.ok()? })
    };
    answer.public_key_list.into_iter().map(read).collect()
}

/// What CloudTrail signs: four lines, the last without an end.
fn string_to_sign(digest: &Digest, inflated: &[u8]) -> String {
    format!(
        "{}\n{}/{}\n{}\n{}",
        digest.digest_end_time,
        digest.digest_s3_bucket,
        digest.digest_s3_object,
        digest::hex(&digest::of_bytes(inflated), 64),
        digest.previous_digest_signature.as_deref().unwrap_or("null"),
    )
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let nibble = |byte: u8| char::from(byte).to_digit(16).and_then(|n| u8::try_from(n).ok());
    let bytes = text.as_bytes().chunks(2).map(|pair| match pair {
        [high, low] => Some(nibble(*high)? << 4 | nibble(*low)?),
        _ => None,
    });
    bytes.collect()
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::encoding::AsDer;
    use aws_lc_rs::rand::SystemRandom;
    use aws_lc_rs::rsa::KeySize;
    use aws_lc_rs::signature::{KeyPair, RSA_PKCS1_SHA256, RsaKeyPair};

    use super::*;

    const JSON: &str = r#"{"digestStartTime":"2026-10-03T09:00:00Z","digestEndTime":"2026-10-03T10:00:00Z","digestS3Bucket":"b","digestS3Object":"k","digestPublicKeyFingerprint":"f","previousDigestS3Bucket":null,"previousDigestS3Object":null,"previousDigestHashValue":null,"previousDigestSignature":null,"logFiles":[{"s3Bucket":"b","s3Object":"l","hashValue":"00","hashAlgorithm":"SHA-256"}]}"#;

    fn sign(pair: &RsaKeyPair, json: &str) -> String {
        // Written out by hand, not through `string_to_sign`.
        let hash = digest::hex(&digest::of_bytes(json.as_bytes()), 64);
        let text = format!("2026-10-03T10:00:00Z\nb/k\n{hash}\nnull");
        let mut made = vec![0; pair.public_modulus_len()];
        pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), text.as_bytes(), &mut made).unwrap();
        made.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
    }

    #[test]
    fn each_forged_field_is_found() {
        let pair = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
        let other = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
        let signature = sign(&pair, JSON);
        let pkcs1 = pair.public_key().as_ref().to_vec();
        let spki = AsDer::as_der(pair.public_key()).unwrap().as_ref().to_vec();
        let foreign = other.public_key().as_ref().to_vec();
        let good = Read {
            bucket: Some("b".to_owned()),
            key: "k".to_owned(),
            inflated: JSON.as_bytes().to_vec(),
            signature: Some(signature),
            algorithm: Some(ALGORITHM.to_owned()),
        };
        let verify = |read: &Read, fingerprint: &str, der: &[u8]| {
            let key = PublicKey { fingerprint: fingerprint.to_owned(), der: der.to_vec() };
            read.parse().and_then(|digest| read.verify(&digest, &key))
        };
        let with = |change: &dyn Fn(&mut Read)| {
            let mut read = good.clone();
            change(&mut read);
            read
        };
        let check = |read: &Read, der: &[u8], expected: Result<(), Invalid>| {
            assert_eq!(verify(read, "f", der), expected);
        };
        check(&good, &pkcs1, Ok(()));
        check(&good, &spki, Ok(()));
        check(&good, &foreign, Err(Invalid::Signature));
        check(&good, b"no key", Err(Invalid::Signature));
        check(&with(&|r| r.bucket = Some("c".to_owned())), &pkcs1, Err(Invalid::Moved));
        check(&with(&|r| r.key = "k2".to_owned()), &pkcs1, Err(Invalid::Moved));
        check(&with(&|r| r.algorithm = Some("none".to_owned())), &pkcs1, Err(Invalid::Algorithm));
        check(&with(&|r| r.algorithm = None), &pkcs1, Err(Invalid::Algorithm));
        for text in ["", "0", "zz"] {
            let read = with(&|r| r.signature = Some(text.to_owned()));
            check(&read, &pkcs1, Err(Invalid::Signature));
        }
        assert_eq!(verify(&good, "g", &pkcs1), Err(Invalid::OtherKey));
        for (from, to, expected) in [
            ("09:00", "08:00", Invalid::Signature),
            ("T10:00", "T11:00", Invalid::Signature),
            ("\"00\"", "\"01\"", Invalid::Signature),
            ("\"l\"", "\"m\"", Invalid::Signature),
            ("Signature\":null", "Signature\":\"00\"", Invalid::Signature),
            ("HashValue\":null", "HashValue\":\"00\"", Invalid::Signature),
            ("\"logFiles\"", "\"logs\"", Invalid::Malformed),
            ("{\"digestStart", "{\"digestS3Bucket\":\"b\",\"digestStart", Invalid::Malformed),
        ] {
            let forged = JSON.replace(from, to);
            assert_ne!(forged, JSON, "{from} is not in the digest");
            check(&with(&|r| r.inflated = forged.as_bytes().to_vec()), &pkcs1, Err(expected));
        }
        let padded = format!("{JSON} ");
        check(&with(&|r| r.inflated = padded.as_bytes().to_vec()), &pkcs1, Err(Invalid::Signature));
    }
}
