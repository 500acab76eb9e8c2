//! What the logs cover: an expected stream and the hours in which it delivered.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::time::Hour;

/// Something that is expected to deliver log objects.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum LogStream {
    /// One audit log stream of one API server instance.
    Audit {
        /// Cluster ARN.
        cluster: String,
        /// `kube-apiserver-audit-<hex>`; empty where the export does not say.
        stream: String,
    },
    /// CloudTrail of one account and region.
    CloudTrail {
        /// Twelve digits.
        account: String,
        /// `us-west-2`
        region: String,
    },
}

impl LogStream {
    /// True when its deliveries can cover anything for grants of `accounts`; no account means any. The
    /// cluster of an audit log was resolved by the inventory, so it always is.
    #[must_use]
    pub fn is_of(&self, accounts: &BTreeSet<String>) -> bool {
        match self {
            LogStream::Audit { .. } => true,
            LogStream::CloudTrail { account, .. } => {
                accounts.is_empty() || accounts.contains(account)
            }
        }
    }
}

/// What one stream delivered in one hour of event time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Delivered {
    /// Objects with at least one record of that hour.
    pub objects: u64,
    /// Records, copies included.
    pub events: u64,
    /// Records that were rejected.
    pub rejected: u64,
}

/// Deliveries of all streams.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Deliveries {
    /// By stream and hour.
    pub by_hour: BTreeMap<(LogStream, Hour), Delivered>,
    /// Cluster ARN and hour of audit events that may be its own and could not be told to be.
    pub ambiguous: BTreeSet<(String, Hour)>,
    /// Accounts whose trail shows sessions being issued or redeemed: one of writes alone does not, and
    /// its silence proves nothing.
    pub issuing: BTreeSet<String>,
}

impl Deliveries {
    /// `audit` or `cloudtrail` and the cluster or account, and the newest hour with a record of it.
    #[must_use]
    pub fn newest(&self) -> BTreeMap<(&'static str, String), Hour> {
        let mut newest = BTreeMap::new();
        for ((stream, hour), delivered) in &self.by_hour {
            let key = match stream {
                LogStream::Audit { cluster, .. } => ("audit", cluster.clone()),
                LogStream::CloudTrail { account, .. } => ("cloudtrail", account.clone()),
            };
            if delivered.events > 0 {
                let known = newest.entry(key).or_insert(*hour);
                *known = (*known).max(*hour);
            }
        }
        newest
    }
}
