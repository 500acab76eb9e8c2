//! Whether CloudTrail vouches for a digest file: its place and its signature.
//!
//! Input: inflated bytes of a digest, where it was read, the signature beside it, a public key.
//! Output: the digest, or which check failed. Pure. Source:
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
#[derive(Debug, Clone, Copy)]
pub struct Read<'a> {
    /// Bucket that it was read from.
    pub bucket: &'a str,
    /// Key that it was read from.
    pub key: &'a str,
    /// Its bytes without gzip, not serialised anew.
    pub inflated: &'a [u8],
    /// Metadata `signature`, hex.
    pub signature: &'a str,
    /// Metadata `signature-algorithm`.
    pub algorithm: &'a str,
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

/// Checks one digest; `key_der` is PKCS#1 or SubjectPublicKeyInfo, the crate reads both.
///
/// # Errors
/// The first check that failed.
pub fn verify(read: Read<'_>, fingerprint: &str, key_der: &[u8]) -> Result<Digest, Invalid> {
    if read.inflated.len() > MAX_DIGEST {
        return Err(Invalid::TooLarge);
    }
    let digest: Digest = serde_json::from_slice(read.inflated).map_err(|_| Invalid::Malformed)?;
    if digest.digest_s3_bucket != read.bucket || digest.digest_s3_object != read.key {
        return Err(Invalid::Moved);
    }
    if read.algorithm != ALGORITHM {
        return Err(Invalid::Algorithm);
    }
    if digest.digest_public_key_fingerprint != fingerprint {
        return Err(Invalid::OtherKey);
    }
    let signature = unhex(read.signature).ok_or(Invalid::Signature)?;
    UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, key_der)
        .verify(string_to_sign(&digest, read.inflated).as_bytes(), &signature)
        .map_err(|_| Invalid::Signature)?;
    Ok(digest)
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
        made.iter().map(|byte| format!("{byte:02x}")).collect()
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
            bucket: "b",
            key: "k",
            inflated: JSON.as_bytes(),
            signature: &signature,
            algorithm: ALGORITHM,
        };
        let check = |read: Read<'_>, der: &[u8], expected: Result<(), Invalid>| {
            assert_eq!(verify(read, "f", der).map(|_| ()), expected);
        };
        check(good, &pkcs1, Ok(()));
        check(good, &spki, Ok(()));
        check(good, &foreign, Err(Invalid::Signature));
        check(good, b"no key", Err(Invalid::Signature));
        check(Read { bucket: "c", ..good }, &pkcs1, Err(Invalid::Moved));
        check(Read { key: "k2", ..good }, &pkcs1, Err(Invalid::Moved));
        check(Read { algorithm: "none", ..good }, &pkcs1, Err(Invalid::Algorithm));
        check(Read { signature: "", ..good }, &pkcs1, Err(Invalid::Signature));
        check(Read { signature: "0", ..good }, &pkcs1, Err(Invalid::Signature));
        check(Read { signature: "zz", ..good }, &pkcs1, Err(Invalid::Signature));
        assert_eq!(verify(good, "g", &pkcs1), Err(Invalid::OtherKey));
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
            check(Read { inflated: forged.as_bytes(), ..good }, &pkcs1, Err(expected));
        }
        let padded = format!("{JSON} ");
        check(Read { inflated: padded.as_bytes(), ..good }, &pkcs1, Err(Invalid::Signature));
    }
}
