//! Digest chains end to end: made with keys of the test over the logs of the samples, then changed.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{KeyPair, RSA_PKCS1_SHA256, RsaKeyPair};
use overgrant::decode::gunzip::{Limits, inflate_one};
use overgrant::integrity::Status;
use overgrant::integrity::index::delivered;
use overgrant::model::digest;
use overgrant::model::time::{Micros, Window};
use overgrant::pipeline::trust::Verify;
use overgrant::pipeline::verify::{Verified, VerifyPlan, verify};
use overgrant::pipeline::{Plan, Since};
use overgrant::source::{Location, S3Options};
use overgrant::table::rows::access::ApiAccessRow;
use overgrant::table::rows::evidence::{CoverageRow, RejectRow};

use crate::support::s3::{Fault, Server};
use crate::support::{Deaf, audit, gzip, plan, project, rows};

const LOGS: &str = "AWSLogs/o-exampleorg/111122223333";
const BUCKET: &str = "trail";

/// A bucket's folder with three weeks of the samples' trail, and a digest a day.
struct Trail {
    root: tempfile::TempDir,
    pair: RsaKeyPair,
    /// Key, and the signature beside it.
    digests: Vec<(String, String)>,
    logs: Vec<String>,
}

impl Trail {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let pair = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
        let mut trail = Trail { root, pair, digests: Vec::new(), logs: Vec::new() };
        let mut days: BTreeMap<i32, Vec<String>> = BTreeMap::new();
        let from = project("samples/logs");
        for day in 3..24 {
            let folder = format!("{LOGS}/CloudTrail/us-west-2/2026/11/{day:02}");
            let Ok(entries) = std::fs::read_dir(from.join(&folder)) else { continue };
            for entry in entries {
                let name = entry.unwrap().file_name().display().to_string();
                let key = format!("{folder}/{name}");
                trail.put(&key, &std::fs::read(from.join(&key)).unwrap());
                days.entry(day).or_default().push(key.clone());
                trail.logs.push(key);
            }
        }
        trail.logs.sort();
        assert!(trail.logs.len() > 15, "{:?}", trail.logs);
        let mut previous: Option<(String, String, String)> = None;
        for (day, mut logs) in days {
            logs.sort();
            let key = format!(
                "{LOGS}/CloudTrail-Digest/us-west-2/2026/11/{day:02}/111122223333_CloudTrail-Digest_us-west-2_org_us-west-2_202611{:02}T000000Z.json.gz",
                day + 1
            );
            let (end, digest) = trail.digest(day, &key, &logs, previous.as_ref());
            let hash = digest::hex(&digest::of_bytes(digest.as_bytes()), 64);
            let before = previous.as_ref().map_or("null", |(_, _, signature)| signature);
            let text = format!("{end}\n{BUCKET}/{key}\n{hash}\n{before}");
            let signature = trail.sign(&text);
            trail.put(&key, &gzip(digest.as_bytes()));
            previous = Some((key.clone(), hash, signature.clone()));
            trail.digests.push((key, signature));
        }
        trail
    }

    fn digest(
        &self,
        day: i32,
        key: &str,
        logs: &[String],
        previous: Option<&(String, String, String)>,
    ) -> (String, String) {
        let end = format!("2026-11-{:02}T00:00:00Z", day + 1);
        let named: Vec<serde_json::Value> = logs
            .iter()
            .map(|log| {
                let bytes = std::fs::read(self.path(log)).unwrap();
                let inflated = inflate_one(&bytes, Limits::default()).unwrap();
                serde_json::json!({
                    "s3Bucket": BUCKET, "s3Object": log, "hashAlgorithm": "SHA-256",
                    "hashValue": digest::hex(&digest::of_bytes(&inflated), 64),
                })
            })
            .collect();
        let digest = serde_json::json!({
            "digestStartTime": format!("2026-11-{day:02}T00:00:00Z"),
            "digestEndTime": end,
            "digestS3Bucket": BUCKET,
            "digestS3Object": key,
            "digestPublicKeyFingerprint": "f",
            "previousDigestS3Bucket": previous.map(|_| BUCKET),
            "previousDigestS3Object": previous.map(|(key, ..)| key),
            "previousDigestHashValue": previous.map(|(_, hash, _)| hash),
            "previousDigestSignature": previous.map(|(.., signature)| signature),
            "logFiles": named,
        });
        (end, digest.to_string())
    }

    fn sign(&self, text: &str) -> String {
        let mut made = vec![0; self.pair.public_modulus_len()];
        let random = SystemRandom::new();
        self.pair.sign(&RSA_PKCS1_SHA256, &random, text.as_bytes(), &mut made).unwrap();
        made.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
    }

    fn path(&self, key: &str) -> PathBuf {
        self.root.path().join(BUCKET).join(key)
    }

    fn put(&self, key: &str, bytes: &[u8]) {
        let path = self.path(key);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }

    fn keys(&self) -> PathBuf {
        use base64::Engine;
        let der = self.pair.public_key().as_ref();
        let value = base64::engine::general_purpose::STANDARD.encode(der);
        let json = serde_json::json!({ "PublicKeyList": [{ "Value": value, "Fingerprint": "f" }] });
        let path = self.root.path().join("keys.json");
        std::fs::write(&path, json.to_string()).unwrap();
        path
    }

    /// A server whose digests have their signatures beside them.
    fn serve(&self) -> Server {
        let server = Server::start(self.root.path(), |_, _| Fault::None);
        let options = server.options();
        let (key, secret) = options.credentials.clone().unwrap();
        let credentials = aws_sdk_s3::config::Credentials::new(key, secret, None, None, "test");
        let config = aws_sdk_s3::Config::builder()
            .behavior_version_latest()
            .region(aws_sdk_s3::config::Region::new("us-west-2"))
            .endpoint_url(options.endpoint.unwrap())
            .credentials_provider(credentials)
            .force_path_style(true)
            .build();
        let client = aws_sdk_s3::Client::from_conf(config);
        for (key, signature) in &self.digests {
            let bytes = std::fs::read(self.path(key)).unwrap();
            let put = client
                .put_object()
                .bucket(BUCKET)
                .key(key)
                .metadata("signature", signature)
                .metadata("signature-algorithm", "SHA256withRSA")
                .body(bytes.into());
            server.block_on(async { put.send().await }).unwrap();
        }
        server
    }

    fn verify(&self, logs: &str, s3: S3Options) -> Verified {
        let at = |text: &str| Micros::parse(text).unwrap();
        let plan = VerifyPlan {
            logs: vec![Location::parse(logs).unwrap()],
            window: Window { since: at("2026-11-03T00:00:00Z"), until: at("2026-11-24T00:00:00Z") },
            verify: Verify { public_keys: vec![self.keys()], ..Verify::default() },
            s3,
            threads: 2,
            limits: Limits::default(),
        };
        verify(&plan, &mut Deaf).unwrap()
    }

    fn local(&self) -> Verified {
        self.verify(&self.root.path().join(BUCKET).display().to_string(), S3Options::default())
    }
}

/// The log with one record less: what an intruder would do.
fn thinned(path: &Path) -> Vec<u8> {
    let bytes = std::fs::read(path).unwrap();
    let inflated = inflate_one(&bytes, Limits::default()).unwrap();
    let mut value: serde_json::Value = serde_json::from_slice(&inflated).unwrap();
    value["Records"].as_array_mut().unwrap().pop().unwrap();
    gzip(value.to_string().as_bytes())
}

fn count(verified: &Verified, status: Status) -> (u64, u64) {
    let of = |counts: &BTreeMap<Status, u64>| counts.get(&status).copied().unwrap_or(0);
    (of(&verified.digests), of(&verified.logs))
}

#[test]
fn a_trail_in_a_bucket_is_verified_and_every_change_is_seen() {
    let trail = Trail::new();
    let server = trail.serve();
    let url = format!("s3://{BUCKET}/AWSLogs");
    let verified = trail.verify(&url, server.options());
    let (digests, logs) = (trail.digests.len() as u64, trail.logs.len() as u64);
    assert_eq!(count(&verified, Status::Valid), (digests, logs), "{:#?}", verified.findings);
    assert!(verified.findings.is_empty() && !verified.tampered() && !verified.incomplete());

    let (changed, gone) = (&trail.logs[3], &trail.logs[5]);
    trail.put(changed, &thinned(&trail.path(changed)));
    std::fs::remove_file(trail.path(gone)).unwrap();
    let added = trail.logs[7].replace(".json.gz", "X.json.gz");
    trail.put(&added, &gzip(br#"{"Records":[]}"#));
    let padded = &trail.logs[9];
    let mut bytes = std::fs::read(trail.path(padded)).unwrap();
    bytes.push(0);
    trail.put(padded, &bytes);
    let verified = trail.verify(&url, server.options());
    let found: Vec<(Status, &str)> = verified
        .findings
        .iter()
        .map(|found| (found.status, found.object.strip_prefix("s3://trail/").unwrap()))
        .collect();
    let mut expected = vec![
        (Status::Invalid, changed.as_str()),
        (Status::Missing, gone.as_str()),
        (Status::Unsigned, added.as_str()),
        (Status::Invalid, padded.as_str()),
    ];
    expected.sort_by_key(|(_, key)| *key);
    assert_eq!(found, expected);
    assert!(verified.tampered());
}

#[test]
fn a_copy_in_a_folder_is_as_good_as_its_successor() {
    let trail = Trail::new();
    let verified = trail.local();
    // The signature of each stands in the one after it; the newest has none.
    let digests = trail.digests.len() as u64;
    assert_eq!(count(&verified, Status::Valid).0, digests - 1);
    assert_eq!(count(&verified, Status::NotChecked), (1, 1), "{:#?}", verified.findings);
    assert!(verified.incomplete() && !verified.tampered());
    let changed = &trail.logs[2];
    trail.put(changed, &thinned(&trail.path(changed)));
    assert_eq!(count(&trail.local(), Status::Invalid), (0, 1));
}

#[test]
fn keys_that_are_none_are_told() {
    let trail = Trail::new();
    let path = trail.root.path().join("none.json");
    std::fs::write(&path, "{}").unwrap();
    let verify = Verify { public_keys: vec![path], ..Verify::default() };
    let mut plan = trail_plan(&trail, "out");
    plan.logs.pop();
    plan.verify = Some(verify);
    let error = audit(&plan).unwrap_err().to_string();
    assert!(error.contains("aws cloudtrail list-public-keys"), "{error}");
}

fn trail_plan(trail: &Trail, out: &str) -> Plan {
    let audit_logs = project("samples/logs/eks-audit").display().to_string();
    let inventory = project("samples/inventory").display().to_string();
    let out = trail.root.path().join(out).display().to_string();
    let mut plan = plan(&audit_logs, &inventory, &out);
    plan.logs.push(Location::parse(&format!("s3://{BUCKET}/AWSLogs")).unwrap());
    plan.since = Since::Days(21);
    plan
}

#[test]
fn an_audit_uses_what_cloudtrail_wrote_and_says_what_it_rests_on() {
    let trail = Trail::new();
    let server = trail.serve();
    let mut plan = trail_plan(&trail, "out");
    plan.s3 = server.options();
    plan.verify = Some(Verify { public_keys: vec![trail.keys()], ..Verify::default() });
    audit(&plan).unwrap();
    let out = trail.root.path().join("out");
    let statuses = || -> BTreeSet<String> {
        let coverage: Vec<CoverageRow> = rows(&out);
        let trails = coverage.into_iter().filter(|row| row.stream_kind == "cloudtrail");
        trails.filter(|row| row.objects > 0).map(|row| row.digest_status).collect()
    };
    let corroborated = || {
        let access: Vec<ApiAccessRow> = rows(&out);
        access.iter().filter(|row| row.corroborated).map(|row| row.count).sum::<i64>()
    };
    assert_eq!(statuses(), BTreeSet::from(["valid".to_owned()]));
    let all = corroborated();
    assert!(all > 0, "some use is by sessions that verified logs show");

    // One log is not what it was: the next run reads it again and does not use it.
    let changed = &trail.logs[trail.logs.len() - 4];
    let day = delivered(changed).unwrap().2.day();
    trail.put(changed, &thinned(&trail.path(changed)));
    let outcome = audit(&plan).unwrap();
    let warned = |part: &str| outcome.summary.warnings.iter().any(|w| w.contains(part));
    assert!(warned("1 CloudTrail logs are not what CloudTrail wrote"));
    let rejects: Vec<RejectRow> = rows(&out);
    assert!(rejects.iter().any(|row| row.object == *changed && row.reason == "digest_mismatch"));
    let coverage: Vec<CoverageRow> = rows(&out);
    let of_day =
        coverage.iter().filter(|row| row.stream_kind == "cloudtrail" && row.hour.day() == day);
    assert!(of_day.clone().all(|row| !row.covered), "what it would say is missing");
    assert!(of_day.clone().any(|row| row.digest_status == "invalid"));
    assert!(corroborated() < all);
    let used_before = outcome.summary.counters["cloudtrail"].kept;

    // It counts all the same where that is asked for, and no more where it is not.
    if let Some(verify) = &mut plan.verify {
        verify.use_unverified = true;
    }
    let outcome = audit(&plan).unwrap();
    assert!(outcome.summary.counters["cloudtrail"].kept > used_before);
    let fresh = Plan { out: Location::Local(trail.root.path().join("fresh")), ..plan.clone() };
    audit(&fresh).unwrap();
    let (again, whole): (Vec<CoverageRow>, Vec<CoverageRow>) =
        (rows(&out), rows(&trail.root.path().join("fresh")));
    assert_eq!(again, whole, "a run that continues says what one run says");

    // Without --verify nothing is checked and nothing refused.
    plan.verify = None;
    let outcome = audit(&plan).unwrap();
    assert!(outcome.summary.counters["objects"].rejected.is_empty());
    assert_eq!(statuses(), BTreeSet::from(["not_checked".to_owned()]));
    assert_eq!(corroborated(), 0);
}
