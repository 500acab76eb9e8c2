//! What was looked for when an object was read, and whether that is still enough.
//!
//! Records that no grant is about are left out when an object is read, so a principal or cluster that
//! is new in the inventory may need them now. One that is gone needs nothing: its records are left out
//! again when facts are read.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::FACTS_VERSION;
use super::diff::Why;
use crate::model::arn::{Arn, PrincipalName};
use crate::model::coverage::LogStream;
use crate::model::digest;
use crate::model::outcome::Outcome;
use crate::model::tally::{Filter, Reason, Stream};

/// What decides which records of an object are kept.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Lens {
    /// [`FACTS_VERSION`] of the tool.
    pub version: u32,
    /// Unique ids of the principals of the inventory.
    pub ids: BTreeSet<String>,
    /// Their names, lower-cased.
    pub names: BTreeSet<PrincipalName>,
    /// Accounts whose deliveries are counted; none where all are.
    pub accounts: BTreeSet<String>,
    /// Cluster ARNs.
    pub clusters: BTreeSet<String>,
    /// Key prefix and cluster ARN.
    pub cluster_map: Vec<(String, String)>,
    /// Bytes that an object may inflate to.
    pub max_inflated: u64,
    /// Marks stand in place of the names of Secrets.
    #[serde(default)]
    pub hide_secret_names: bool,
}

impl Lens {
    /// 16 hex digits.
    #[must_use]
    pub fn digest(&self) -> String {
        let text = serde_json::to_vec(self).unwrap_or_default();
        digest::hex(&digest::of_bytes(&text), 16)
    }

    /// Why an object that was read through `old` must be read again through `self`.
    #[must_use]
    pub fn lacks(&self, old: &Lens, outcome: &Outcome) -> Option<Why> {
        if old.version != FACTS_VERSION {
            return Some(Why::Version);
        }
        if outcome.rejects.contains_key(&Reason::TooLarge) && self.max_inflated > old.max_inflated {
            return Some(Why::Limit);
        }
        if outcome.streams.contains_key(&Stream::CloudTrail) && !self.sees_as_much_as(old) {
            return Some(Why::Principals);
        }
        let names = outcome.streams.contains_key(&Stream::Audit) || !outcome.rejects.is_empty();
        if names && self.hide_secret_names != old.hide_secret_names {
            return Some(Why::SecretNames);
        }
        self.names_other_clusters(old, outcome).then_some(Why::Clusters)
    }

    /// The same with the clusters of `old` too, but for namesakes of those that are asked for. For whoever
    /// leaves out facts of other clusters when facts are read: then a cluster that is gone needs nothing,
    /// unless records that could have been a namesake's are no longer ambiguous.
    #[must_use]
    pub fn with_strangers_of(&self, old: &Lens) -> Lens {
        let names: BTreeSet<_> = self.clusters.iter().map(|arn| name_of(arn)).collect();
        let strangers = old.clusters.iter().filter(|arn| !names.contains(&name_of(arn)));
        let mut all = self.clone();
        all.clusters.extend(strangers.cloned());
        all
    }

    /// True when every call that `self` wants was kept by `old`.
    fn sees_as_much_as(&self, old: &Lens) -> bool {
        let all = old.accounts.is_empty();
        self.ids.is_subset(&old.ids)
            && self.names.is_subset(&old.names)
            && (all || !self.accounts.is_empty() && self.accounts.is_subset(&old.accounts))
    }

    /// True when the cluster of a record of the object may be another one now.
    fn names_other_clusters(&self, old: &Lens, outcome: &Outcome) -> bool {
        let streams = [Stream::Audit, Stream::Authenticator];
        let counts = || streams.iter().filter_map(|stream| outcome.streams.get(stream));
        if counts().next().is_none() {
            return false;
        }
        if self.cluster_map != old.cluster_map {
            return true;
        }
        let changed: Vec<&String> = self.clusters.symmetric_difference(&old.clusters).collect();
        if changed.is_empty() {
            return false;
        }
        let unnamed = counts().any(|counts| {
            counts.filtered.contains_key(&Filter::OtherCluster)
                || counts.rejected.contains_key(&Reason::ClusterAmbiguous)
        });
        if unnamed {
            return true;
        }
        let changed: BTreeSet<_> = changed.into_iter().map(|arn| name_of(arn)).collect();
        let known = |arn: &String| changed.contains(&name_of(arn));
        let named = outcome.proofs.keys().any(|(stream, _)| match stream {
            LogStream::Audit { cluster, .. } => known(cluster),
            LogStream::CloudTrail { .. } => false,
        });
        // A line of the authenticator proves no delivery, so its clusters are not listed.
        named
            || outcome.streams.contains_key(&Stream::Authenticator)
                && self.clusters.union(&old.clusters).filter(|arn| known(arn)).count() > 1
    }
}

/// Account and name: what an envelope says of a cluster.
fn name_of(arn: &str) -> (String, String) {
    let parsed = Arn::parse(arn);
    parsed.map_or_else(Default::default, |arn| (arn.account.to_owned(), arn.resource.to_owned()))
}
