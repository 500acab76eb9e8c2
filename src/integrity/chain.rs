//! The chain of digests of one trail and region, from the newest back.
//!
//! Each digest names the one before it with its hash and signature, so a digest vouches for all that came
//! before. A copy in a folder has lost the signature beside it, but the digest after it names it: whoever
//! wrote that, a signature that the public key accepts for these bytes is CloudTrail's. The newest digest of
//! a copied chain has none after it and is not checked.
//!
//! A digest that is not there or is wrong ends its part of the chain; the next older one that is listed
//! begins another, by its own signature. Stricter than the AWS CLI: the hash and the signature that a
//! digest names are compared with those of its predecessor.

use std::collections::BTreeMap;

use super::digest::{Digest, Invalid, PublicKey, Read, in_layout};
use super::{Finding, Status, name_of};

/// Which chain a digest is of: one trail in one region, standard and backfill apart.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ChainId {
    /// Twelve digits.
    pub account: String,
    /// Region of the events.
    pub region: String,
    /// The trail.
    pub trail: String,
    /// Where the trail was made.
    pub home: String,
    /// Digests that were made later for hours that had none.
    pub backfill: bool,
}

/// Reads a key `…/ACCOUNT_CloudTrail-Digest_REGION_TRAIL_HOME_YYYYMMDDTHHMMSSZ[_backfill].json.gz`: the
/// chain and its end time, as text that sorts like time.
#[must_use]
pub fn chain_of(key: &str) -> Option<(ChainId, String)> {
    let name = key.rsplit('/').next()?.strip_suffix(".json.gz")?;
    let (name, backfill) = match name.strip_suffix("_backfill") {
        Some(name) => (name, true),
        None => (name, false),
    };
    let (account, rest) = name.split_once("_CloudTrail-Digest_")?;
    let (region, rest) = rest.split_once('_')?;
    let (rest, end) = rest.rsplit_once('_')?;
    let (trail, home) = rest.rsplit_once('_')?;
    let id = ChainId {
        account: account.to_owned(),
        region: region.to_owned(),
        trail: trail.to_owned(),
        home: home.to_owned(),
        backfill,
    };
    Some((id, end.to_owned()))
}

/// A chain, walked.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Walked {
    /// Digests that CloudTrail vouches for, the newest first.
    pub valid: Vec<Digest>,
    /// What was found of every digest, and of those that are missing.
    pub findings: Vec<Finding>,
    /// Hours without digests between valid ones, for people: logging or validation may have been off.
    pub gaps: Vec<String>,
}

/// What a verified digest says of the one before it.
struct Named {
    bucket: String,
    key: String,
    hash: String,
    signature: String,
}

/// Walks one chain. `reads` are all of it that is there, in any order; `keys` those of its region.
#[must_use]
pub fn walk(reads: &[Read], keys: &[PublicKey]) -> Walked {
    let keys: BTreeMap<&str, &PublicKey> =
        keys.iter().map(|key| (key.fingerprint.as_str(), key)).collect();
    let mut order: Vec<(String, &Read)> =
        reads.iter().filter_map(|read| chain_of(&read.key).map(|(_, end)| (end, read))).collect();
    order.sort_by(|a, b| (&b.0, &b.1.key).cmp(&(&a.0, &a.1.key)));
    // What any digest says of the signature of the one before it.
    let mut said: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (_, read) in &order {
        if let Some(named) = read.parse().ok().as_ref().and_then(named_by) {
            said.entry(in_layout(&named.key).to_owned()).or_default().push(named.signature);
        }
    }
    let mut walked = Walked::default();
    let mut named: Option<Named> = None;
    let mut newer_start: Option<String> = None;
    for (_, read) in order {
        let vouched = named.take().and_then(|named| match_named(named, read, &mut walked));
        let said = said.get(in_layout(&read.key)).map(Vec::as_slice).unwrap_or_default();
        let (status, why, digest) = check(read, vouched.as_ref(), said, &keys);
        walked.findings.push(Finding {
            object: name_of(read.bucket.as_deref().unwrap_or_default(), &read.key),
            status,
            why,
        });
        let Some(digest) = digest.filter(|_| status == Status::Valid) else { continue };
        if vouched.is_none()
            && let Some(start) = &newer_start
            && digest.digest_end_time != *start
        {
            walked.gaps.push(format!("{} to {start}", digest.digest_end_time));
        }
        newer_start = Some(digest.digest_start_time.clone());
        named = named_by(&digest);
        walked.valid.push(digest);
    }
    // What the oldest one names may lie before the hours that were asked for.
    walked
}

/// What the newer digest says of this one, if it is the one that it names; else the one that it names is
/// missing.
fn match_named(named: Named, read: &Read, walked: &mut Walked) -> Option<Named> {
    if in_layout(&named.key) == in_layout(&read.key) {
        return Some(named);
    }
    let object = name_of(&named.bucket, &named.key);
    let elsewhere = read.bucket.as_ref().is_some_and(|bucket| *bucket != named.bucket);
    let (status, why) = if elsewhere {
        (Status::NotChecked, "the chain goes on in another bucket")
    } else {
        (Status::Missing, "the digest after it names it, and it is not there")
    };
    walked.findings.push(Finding { object, status, why: why.to_owned() });
    None
}

fn check(
    read: &Read,
    vouched: Option<&Named>,
    said: &[String],
    keys: &BTreeMap<&str, &PublicKey>,
) -> (Status, String, Option<Digest>) {
    let invalid = |why: String| (Status::Invalid, why, None);
    let digest = match read.parse() {
        Ok(digest) => digest,
        Err(why) => return invalid(why.to_string()),
    };
    if let Some(named) = vouched {
        if !named.hash.eq_ignore_ascii_case(&read.hash()) {
            return invalid("its hash is another than the digest after it names".to_owned());
        }
        let other = |signature: &String| !signature.eq_ignore_ascii_case(&named.signature);
        if read.signature.as_ref().is_some_and(other) {
            return invalid("its signature is another than the digest after it names".to_owned());
        }
    }
    let Some(key) = keys.get(digest.digest_public_key_fingerprint.as_str()) else {
        let fingerprint = &digest.digest_public_key_fingerprint;
        return match vouched {
            Some(_) => {
                (Status::Valid, "the digest after it vouches for it".to_owned(), Some(digest))
            }
            None => {
                (Status::NotChecked, format!("the public key {fingerprint:?} is not at hand"), None)
            }
        };
    };
    match (&read.signature, vouched) {
        (None, Some(_)) => {
            (Status::Valid, "the digest after it vouches for it".to_owned(), Some(digest))
        }
        (None, None) => {
            if said.iter().any(|signature| read.verify_by(&digest, key, signature).is_ok()) {
                let why = "the digest after it names CloudTrail's signature of it";
                return (Status::Valid, why.to_owned(), Some(digest));
            }
            let why =
                "a copy has no signature beside it, and no digest after it names one that fits";
            (Status::NotChecked, why.to_owned(), None)
        }
        (Some(_), _) => match read.verify(&digest, key) {
            Ok(()) => (Status::Valid, "its signature is CloudTrail's".to_owned(), Some(digest)),
            Err(why @ Invalid::Signature) if vouched.is_some() => {
                invalid(format!("{why}, though the digest after it names it"))
            }
            Err(why) => invalid(why.to_string()),
        },
    }
}

fn named_by(digest: &Digest) -> Option<Named> {
    Some(Named {
        bucket: digest.previous_digest_s3_bucket.clone()?,
        key: digest.previous_digest_s3_object.clone()?,
        hash: digest.previous_digest_hash_value.clone()?,
        signature: digest.previous_digest_signature.clone()?,
    })
}
