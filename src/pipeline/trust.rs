//! Which logs CloudTrail vouches for: digests are fetched, their chains walked, keys asked for.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use futures::StreamExt;
use futures::stream;
use rustc_hash::FxHashSet;

use super::PipelineError;
use super::scan::{Item, Work};
use crate::decode::gunzip::{Limits, inflate_one};
use crate::integrity::chain::{ChainId, chain_of, walk};
use crate::integrity::digest::{MAX_DIGEST, PublicKey, Read, in_layout, public_keys};
use crate::integrity::index::{Index, delivered};
use crate::integrity::{Finding, Status, name_of};
use crate::ledger::entry::{Entry, number_of};
use crate::live::{Reach, digest_keys};
use crate::model::digest;
use crate::model::outcome::Hash;
use crate::model::packed::PackedError;
use crate::model::time::{MICROS_PER_HOUR, Micros, Window};
use crate::source::{Object, Store, read_file};

/// Digests fetched at once.
const IN_FLIGHT: usize = 32;

/// How digests are verified.
#[derive(Debug, Clone, Default)]
pub struct Verify {
    /// Keys, as `aws cloudtrail list-public-keys` prints them; CloudTrail is asked where there are none.
    pub public_keys: Vec<PathBuf>,
    /// How CloudTrail is asked.
    pub reach: Reach,
    /// Logs that are not what a digest says count all the same.
    pub use_unverified: bool,
}

/// What digests say.
#[derive(Debug, Default)]
pub(super) struct Trust {
    pub(super) index: Index,
    /// Of digests.
    pub(super) findings: Vec<Finding>,
    /// Spans without digests, by chain, for people.
    pub(super) gaps: Vec<String>,
    pub(super) chains: usize,
    pub(super) warnings: Vec<String>,
}

impl Trust {
    /// What is known of a log, by its stored bytes, and the hash of what is in them.
    pub(super) fn of(
        &self,
        bucket: &str,
        key: &str,
        bytes: &[u8],
        limits: Limits,
    ) -> (Status, &'static str, Hash) {
        let Ok(inflated) = inflate_one(bytes, limits) else {
            let why = "it is not one gzip member and nothing else";
            let named = self.index.names(key);
            let status = if named { Status::Invalid } else { Status::NotChecked };
            return (status, why, Hash::NotOneMember);
        };
        let hash = digest::of_bytes(&inflated);
        let (status, why) = self.index.status(in_bucket(bucket), key, &hash);
        (status, why, Hash::Sha256(hash))
    }

    /// The same of a log that was read before.
    pub(super) fn of_entry(&self, entry: &Entry, hash: Hash) -> Status {
        let (bucket, key) = &entry.listed.name;
        match hash {
            Hash::Sha256(hash) => self.index.status(in_bucket(bucket), key, &hash).0,
            Hash::NotOneMember if self.index.names(key) => Status::Invalid,
            Hash::NotOneMember | Hash::NotAsked => Status::NotChecked,
        }
    }
}

/// The bucket, for what is in one.
fn in_bucket(name: &str) -> Option<&str> {
    Some(name).filter(|name| !name.is_empty())
}

/// True for a log of CloudTrail, which a digest may name.
pub(super) fn is_signed_kind(key: &str) -> bool {
    delivered(key).is_some()
}

/// Fetches and verifies all digests of the work.
pub(super) fn establish(
    verify: &Verify,
    work: &Work,
    window: Window,
    runtime: &tokio::runtime::Runtime,
) -> Result<Trust, PipelineError> {
    let mut trust = Trust::default();
    let given = given_keys(verify)?;
    let mut by_chain: BTreeMap<ChainId, Vec<(Arc<Store>, Object)>> = BTreeMap::new();
    for item in work.objects.iter() {
        let item = item?;
        if let (Some((chain, _)), Some(store)) = (chain_of(&item.object.key), work.store(&item)) {
            by_chain.entry(chain).or_default().push((Arc::clone(store), item.object));
        }
    }
    let mut keys: BTreeMap<String, Vec<PublicKey>> = BTreeMap::new();
    for (chain, objects) in by_chain {
        if let Some(given) = &given {
            keys.entry(chain.region.clone()).or_insert_with(|| given.clone());
        } else if !keys.contains_key(&chain.region) {
            let asked = runtime.block_on(ask(verify, &chain.region, window));
            let asked = asked.unwrap_or_else(|why| {
                let region = &chain.region;
                trust.warnings.push(format!("digests of {region} are not checked: {why}"));
                Vec::new()
            });
            keys.insert(chain.region.clone(), asked);
        }
        let reads = runtime.block_on(fetch(objects, &mut trust.findings));
        let of_region = keys.get(&chain.region).map(Vec::as_slice).unwrap_or_default();
        let walked = walk(&reads, of_region);
        trust.index.add(&chain, &walked.valid);
        trust.chains += 1;
        trust.findings.extend(walked.findings);
        trust.gaps.extend(walked.gaps.iter().map(|gap| {
            format!(
                "trail {} of {} in {}: no digest for {gap}",
                chain.trail, chain.account, chain.region
            )
        }));
    }
    trust.findings.sort();
    Ok(trust)
}

fn given_keys(verify: &Verify) -> Result<Option<Vec<PublicKey>>, PipelineError> {
    if verify.public_keys.is_empty() {
        return Ok(None);
    }
    let mut all = Vec::new();
    for path in &verify.public_keys {
        let bytes = read_file(path).map_err(|source| PipelineError::PublicKeys {
            path: path.clone(),
            why: source.to_string(),
        })?;
        all.extend(public_keys(&bytes).ok_or_else(|| PipelineError::PublicKeys {
            path: path.clone(),
            why: "it is not what `aws cloudtrail list-public-keys` prints".to_owned(),
        })?);
    }
    Ok(Some(all))
}

async fn ask(verify: &Verify, region: &str, window: Window) -> Result<Vec<PublicKey>, String> {
    // A digest is signed after the hour that it is of.
    let span = (
        Micros(window.since.0.saturating_sub(24 * MICROS_PER_HOUR)),
        Micros(window.until.0.saturating_add(26 * MICROS_PER_HOUR)),
    );
    let keys = digest_keys::of_region(&verify.reach, region, span).await?;
    Ok(keys.into_iter().map(|(fingerprint, der)| PublicKey { fingerprint, der }).collect())
}

async fn fetch(objects: Vec<(Arc<Store>, Object)>, findings: &mut Vec<Finding>) -> Vec<Read> {
    let limits = Limits { max_inflated: u64::try_from(MAX_DIGEST).unwrap_or(u64::MAX) };
    let fetched: Vec<_> = stream::iter(objects)
        .map(|(store, object)| async move {
            let signed = store.fetch_signed(&object).await;
            (store, object, signed)
        })
        .buffered(IN_FLIGHT)
        .collect()
        .await;
    let mut reads = Vec::with_capacity(fetched.len());
    for (store, object, signed) in fetched {
        let place = name_of(store.name(), &object.key);
        let mut bad = |status, why: String| {
            findings.push(Finding { object: place.clone(), status, why });
        };
        match signed {
            Ok(signed) => match inflate_one(&signed.bytes, limits) {
                Ok(inflated) => reads.push(Read {
                    bucket: in_bucket(store.name()).map(str::to_owned),
                    key: object.key,
                    inflated,
                    signature: signed.signature,
                    algorithm: signed.algorithm,
                }),
                Err(error) => bad(Status::Invalid, error.to_string()),
            },
            Err(error) => bad(Status::NotChecked, error.to_string()),
        }
    }
    reads
}

/// Logs that digests name and that are not listed.
pub(super) fn missing(
    trust: &Trust,
    work: &Work,
    window: Window,
) -> Result<Vec<Finding>, PackedError> {
    // By digests: there may be millions, and names are long.
    let mut there = FxHashSet::default();
    for item in work.objects.iter() {
        let Item { object, source, .. } = item?;
        let key = if source.is_empty() { in_layout(&object.key) } else { &object.key };
        there.insert(number_of(&source, key));
    }
    let is_there = move |bucket: &str, key: &str| {
        there.contains(&number_of(bucket, key)) || there.contains(&number_of("", in_layout(key)))
    };
    Ok(trust.index.missing(is_there, (window.since, window.until)).collect())
}
