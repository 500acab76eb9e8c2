//! A trail made up with keys of its own, and one change at a time.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{KeyPair, RSA_PKCS1_SHA256, RsaKeyPair};

use super::chain::{ChainId, Walked, chain_of, walk};
use super::digest::{PublicKey, Read, public_keys};
use super::index::{Index, delivered};
use super::*;
use crate::model::digest;
use crate::model::time::Micros;

const BUCKET: &str = "logs";

struct Trail {
    pair: RsaKeyPair,
    name: &'static str,
    backfill: bool,
    /// The hour whose digest is in another bucket.
    moved: Option<usize>,
}

impl Trail {
    fn new(name: &'static str) -> Self {
        let pair = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
        Trail { pair, name, backfill: false, moved: None }
    }

    fn key(&self) -> PublicKey {
        let der = self.pair.public_key().as_ref().to_vec();
        PublicKey { fingerprint: "f".to_owned(), der }
    }

    fn digest_key(&self, hour: usize) -> String {
        let backfill = if self.backfill { "_backfill" } else { "" };
        format!(
            "p/AWSLogs/1/CloudTrail-Digest/r1/2026/10/03/1_CloudTrail-Digest_r1_{}_r2_20261003T{hour:02}0000Z{backfill}.json.gz",
            self.name
        )
    }

    fn sign(&self, text: &str) -> String {
        let mut made = vec![0; self.pair.public_modulus_len()];
        let random = SystemRandom::new();
        self.pair.sign(&RSA_PKCS1_SHA256, &random, text.as_bytes(), &mut made).unwrap();
        made.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
    }

    /// Digests that end at these hours, oldest first, each naming one log, and the one before it.
    fn digests(&self, hours: &[usize]) -> Vec<Read> {
        let mut all: Vec<Read> = Vec::new();
        for hour in hours {
            let previous = all.last().map_or_else(
                || [("Bucket", None), ("Object", None), ("Hash", None), ("Signature", None)],
                |last| {
                    [
                        ("Bucket", last.bucket.clone()),
                        ("Object", Some(last.key.clone())),
                        ("Hash", Some(last.hash())),
                        ("Signature", last.signature.clone()),
                    ]
                },
            );
            let of = |name: &str| {
                previous.iter().find(|(known, _)| *known == name).and_then(|(_, text)| text.clone())
            };
            let key = self.digest_key(*hour);
            let end = format!("2026-10-03T{hour:02}:00:00Z");
            let json = serde_json::json!({
                "digestStartTime": format!("2026-10-03T{:02}:00:00Z", hour - 1),
                "digestEndTime": end,
                "digestS3Bucket": BUCKET,
                "digestS3Object": key,
                "digestPublicKeyFingerprint": "f",
                "previousDigestS3Bucket": of("Bucket"),
                "previousDigestS3Object": of("Object"),
                "previousDigestHashValue": of("Hash"),
                "previousDigestSignature": of("Signature"),
                "logFiles": [{
                    "s3Bucket": BUCKET,
                    "s3Object": log_key(self.name, hour - 1),
                    "hashValue": digest::hex(&hash_of(self.name, hour - 1), 64),
                    "hashAlgorithm": "SHA-256",
                }],
            });
            let inflated = json.to_string().into_bytes();
            let hash = digest::hex(&digest::of_bytes(&inflated), 64);
            let before = of("Signature").unwrap_or_else(|| "null".to_owned());
            let signature = self.sign(&format!("{end}\n{BUCKET}/{key}\n{hash}\n{before}"));
            all.push(Read {
                bucket: Some(BUCKET.to_owned()),
                key,
                inflated,
                signature: Some(signature),
                algorithm: Some("SHA256withRSA".to_owned()),
            });
            if self.moved == Some(*hour) {
                all.last_mut().unwrap().bucket = Some("old".to_owned());
            }
        }
        all
    }
}

fn log_key(trail: &str, hour: usize) -> String {
    format!(
        "p/AWSLogs/1/CloudTrail/r1/2026/10/03/1_CloudTrail_r1_20261003T{hour:02}05Z_{trail}.json.gz"
    )
}

fn hash_of(trail: &str, hour: usize) -> [u8; 32] {
    digest::of_bytes(format!("{trail} {hour}").as_bytes())
}

/// Statuses by the hour in the key, the newest first.
fn statuses(walked: &Walked) -> Vec<String> {
    let short = |finding: &Finding| {
        let at = finding.object.rfind("20261003T").unwrap();
        format!("{} {}", finding.object.get(at + 9..at + 11).unwrap(), finding.status.as_str())
    };
    walked.findings.iter().map(short).collect()
}

#[test]
fn a_chain_is_walked_back_and_one_change_is_seen_where_it_is() {
    let trail = Trail::new("t");
    let keys = [trail.key()];
    let whole = trail.digests(&[1, 2, 3, 4]);
    let check = |name: &str, change: &dyn Fn(&mut Vec<Read>), expected: &[&str], gaps: usize| {
        let mut reads = whole.clone();
        change(&mut reads);
        let walked = walk(&reads, &keys);
        assert_eq!(statuses(&walked), expected, "{name}: {:#?}", walked.findings);
        assert_eq!(walked.gaps.len(), gaps, "{name}: {:?}", walked.gaps);
    };
    let good = ["04 valid", "03 valid", "02 valid", "01 valid"];
    check("whole", &|_| {}, &good, 0);
    check("any order", &|reads| reads.reverse(), &good, 0);
    check(
        "one is gone",
        &|reads| drop(reads.remove(1)),
        &["04 valid", "03 valid", "02 missing", "01 valid"],
        1,
    );
    check(
        "bytes changed",
        &|reads| {
            reads[1].inflated = String::from_utf8(reads[1].inflated.clone())
                .unwrap()
                .replace("T0105Z", "T0106Z")
                .into_bytes();
        },
        &["04 valid", "03 valid", "02 invalid", "01 valid"],
        1,
    );
    check(
        "another signature",
        &|reads| reads[2].signature.clone_from(&whole[1].signature),
        &["04 valid", "03 invalid", "02 valid", "01 valid"],
        1,
    );
    check(
        "an older digest in its place",
        &|reads| {
            let key = reads[2].key.clone();
            reads[2] = Read { key, ..whole[0].clone() };
        },
        &["04 valid", "03 invalid", "02 valid", "01 valid"],
        1,
    );
    check(
        "moved",
        &|reads| reads[3].bucket = Some("other".to_owned()),
        &["04 invalid", "03 valid", "02 valid", "01 valid"],
        0,
    );
    check(
        "a copy without metadata",
        &|reads| {
            for read in reads {
                *read = Read { bucket: None, signature: None, algorithm: None, ..read.clone() };
            }
        },
        &["04 not_checked", "03 not_checked", "02 not_checked", "01 not_checked"],
        0,
    );
    check(
        "a copy whose newest has its signature",
        &|reads| {
            for read in reads.iter_mut().take(3) {
                *read = Read { bucket: None, signature: None, algorithm: None, ..read.clone() };
            }
        },
        &good,
        0,
    );
    let none = walk(&whole, &[]);
    assert_eq!(statuses(&none)[0], "04 not_checked", "without a key nothing is said");
}

#[test]
fn a_gap_is_no_forgery_and_a_first_digest_names_none() {
    let trail = Trail::new("t");
    let mut reads = trail.digests(&[1, 2]);
    reads.extend(trail.digests(&[5, 6]));
    let walked = walk(&reads, &[trail.key()]);
    assert_eq!(statuses(&walked), ["06 valid", "05 valid", "02 valid", "01 valid"]);
    assert_eq!(walked.gaps, ["2026-10-03T02:00:00Z to 2026-10-03T04:00:00Z"]);
    // The chain goes on in another bucket.
    let trail = Trail { moved: Some(2), ..trail };
    let mut reads = trail.digests(&[1, 2, 3]);
    reads.remove(1);
    let walked = walk(&reads, &[trail.key()]);
    assert_eq!(statuses(&walked), ["03 valid", "02 not_checked", "01 valid"]);
    assert!(walked.findings[1].object.starts_with("s3://old/"), "{walked:?}");
}

#[test]
fn chains_are_told_apart_by_their_names() {
    let check = |name: &str, expected: Option<(&str, &str, bool)>| {
        let key = format!("p/AWSLogs/1/CloudTrail-Digest/r1/2026/10/03/{name}");
        let got = chain_of(&key);
        let got = got.as_ref().map(|(id, end)| (id.trail.as_str(), end.as_str(), id.backfill));
        assert_eq!(got, expected, "{name}");
    };
    check(
        "1_CloudTrail-Digest_r1_a_b-c_r2_20261003T010000Z.json.gz",
        Some(("a_b-c", "20261003T010000Z", false)),
    );
    check(
        "1_CloudTrail-Digest_r1_a_r2_20261003T010000Z_backfill.json.gz",
        Some(("a", "20261003T010000Z", true)),
    );
    check("1_CloudTrail_r1_20261003T0105Z_x.json.gz", None);
    check("", None);
    let other = Trail { backfill: true, ..Trail::new("t") };
    let (standard, backfill) = (Trail::new("t").digest_key(1), other.digest_key(1));
    let of = |key: &str| -> ChainId { chain_of(key).unwrap().0 };
    assert_ne!(of(&standard), of(&backfill));
}

#[test]
fn logs_are_as_good_as_the_digests_that_name_them() {
    let (one, two) = (Trail::new("one"), Trail::new("two"));
    let mut index = Index::default();
    for trail in [&one, &two] {
        let reads = trail.digests(if trail.name == "one" { &[1, 2, 3, 4] } else { &[1, 2, 3] });
        let (id, _) = chain_of(&reads[0].key).unwrap();
        index.add(&id, &walk(&reads, &[trail.key()]).valid);
    }
    let check = |bucket: Option<&str>, key: &str, hash: [u8; 32], expected: Status| {
        assert_eq!(index.status(bucket, key, &hash).0, expected, "{key}");
    };
    let here = Some(BUCKET);
    check(here, &log_key("one", 1), hash_of("one", 1), Status::Valid);
    check(here, &log_key("two", 1), hash_of("two", 1), Status::Valid);
    check(None, log_key("two", 1).trim_start_matches("p/"), hash_of("two", 1), Status::Valid);
    check(here, &log_key("one", 1), hash_of("two", 1), Status::Invalid);
    // Nobody names it, in hours that are covered and whose next hour is.
    check(here, &log_key("three", 1), hash_of("three", 1), Status::Unsigned);
    check(here, &log_key("three", 0), hash_of("three", 0), Status::Unsigned);
    // The digests of one trail end here: it may be its.
    check(here, &log_key("three", 2), hash_of("three", 2), Status::NotChecked);
    check(here, &log_key("three", 9), hash_of("three", 9), Status::NotChecked);
    check(Some("other"), &log_key("one", 1), hash_of("one", 1), Status::Unsigned);
    check(here, "eks-audit/2026/10/03/01/audit-1", [0; 32], Status::NotChecked);
    let there = |_: &str, key: &str| key != log_key("one", 1);
    let day = Micros::parse("2026-10-03T00:00:00Z").unwrap();
    let missing: Vec<String> = index
        .missing(there, (day, Micros(day.0 + 86_400_000_000)))
        .map(|finding| finding.object)
        .collect();
    assert_eq!(missing, [format!("s3://logs/{}", log_key("one", 1))]);
    assert!(delivered("x").is_none() && delivered("1_CloudTrail_r1_2026é003T0105Z_x").is_none());
}

#[test]
fn keys_are_read_as_the_command_line_prints_them() {
    let json = br#"{"PublicKeyList":[{"Value":"AAEC","ValidityStartTime":1,"ValidityEndTime":2,"Fingerprint":"f"}]}"#;
    let expected = PublicKey { fingerprint: "f".to_owned(), der: vec![0, 1, 2] };
    assert_eq!(public_keys(json), Some(vec![expected]));
    assert_eq!(public_keys(b"{}"), None);
}
