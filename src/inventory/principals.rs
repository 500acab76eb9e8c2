//! The IAM principals that grants are about, and what the snapshots know of them.
//!
//! They decide which CloudTrail records are relevant, so they are known before the scan. Unique ids
//! come first; names are kept for records and entries that show no id.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::arn::PrincipalName;
use crate::model::inventory::ClusterInventory;

/// Principals of all clusters.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Principals {
    by_id: BTreeMap<String, String>,
    by_name: BTreeMap<PrincipalName, BTreeSet<String>>,
    names: BTreeSet<PrincipalName>,
}

impl Principals {
    /// Collects them.
    #[must_use]
    pub fn new(clusters: &[&ClusterInventory]) -> Self {
        let mut all = Principals::default();
        for cluster in clusters {
            let iam = cluster.iam_roles.iter().chain(&cluster.iam_users).flatten();
            for principal in iam {
                all.by_id.insert(principal.id.clone(), principal.arn.clone());
                if let Some(name) = folded_name(&principal.arn) {
                    all.by_name.entry(name).or_default().insert(principal.id.clone());
                }
            }
            all.names.extend(arns_of_grants(cluster).into_iter().filter_map(folded_name));
        }
        all
    }

    /// The ARN, with its path, of a unique id.
    #[must_use]
    pub fn arn_of(&self, id: &str) -> Option<&str> {
        self.by_id.get(id).map(String::as_str)
    }

    /// The unique id of a principal, by account, kind and name; `None` when unknown or ambiguous.
    #[must_use]
    pub fn id_of(&self, arn: &str) -> Option<&str> {
        let ids = self.by_name.get(&folded_name(arn)?)?;
        let mut ids = ids.iter();
        let first = ids.next()?;
        ids.next().is_none().then_some(first.as_str())
    }

    /// Unique ids of the principals that grants mention.
    #[must_use]
    pub fn relevant_ids(&self) -> BTreeSet<String> {
        self.names.iter().filter_map(|name| self.by_name.get(name)).flatten().cloned().collect()
    }

    /// Names of the principals that grants mention, lower-cased.
    #[must_use]
    pub fn relevant_names(&self) -> &BTreeSet<PrincipalName> {
        &self.names
    }
}

/// Every IAM ARN that a grant of the cluster mentions.
#[must_use]
pub fn arns_of_grants(cluster: &ClusterInventory) -> Vec<&str> {
    let mut arns = Vec::new();
    for entry in cluster.access_entries.iter().flatten() {
        arns.push(entry.principal_arn.as_str());
    }
    for association in cluster.pod_identities.iter().flatten() {
        arns.push(&association.role_arn);
        arns.extend(association.target_role_arn.as_deref());
    }
    if let Some(kubernetes) = &cluster.kubernetes {
        arns.extend(kubernetes.service_accounts.iter().filter_map(|sa| sa.role_arn.as_deref()));
        for rows in kubernetes.aws_auth.iter().flat_map(|auth| [&auth.roles, &auth.users]) {
            arns.extend(rows.iter().map(|row| row.arn.as_str()));
        }
    }
    arns
}

/// Account, kind and lower-cased name of an ARN.
#[must_use]
pub fn folded_name(arn: &str) -> Option<PrincipalName> {
    PrincipalName::from_arn(arn).map(PrincipalName::folded)
}
