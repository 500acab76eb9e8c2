//! Names the cluster of an audit event, which the event itself does not do.
//!
//! The envelope's account and log group name it, if exactly one cluster of the inventory fits; else a
//! key prefix that the user mapped; else nobody does, and the event is rejected: a wrong cluster
//! would make someone else's grant look used. The envelope's owner must be the cluster's account.

use std::collections::BTreeMap;

use crate::decode::envelope::cluster_from_log_group;
use crate::model::arn::Arn;

/// Clusters by account and name, and by key prefix.
#[derive(Debug, Clone, Default)]
pub struct ClusterResolver {
    by_name: BTreeMap<(String, String), Vec<String>>,
    by_prefix: Vec<(String, String)>,
}

impl ClusterResolver {
    /// From the ARNs of the inventory and `--cluster-map` pairs of key prefix and ARN.
    #[must_use]
    pub fn new(arns: &[String], map: &[(String, String)]) -> Self {
        let mut by_name: BTreeMap<(String, String), Vec<String>> = BTreeMap::new();
        for arn in arns {
            if let Some(parsed) = Arn::parse(arn)
                && let Some(name) = parsed.resource.strip_prefix("cluster/")
            {
                let key = (parsed.account.to_owned(), name.to_owned());
                by_name.entry(key).or_default().push(arn.clone());
            }
        }
        let mut by_prefix = map.to_vec();
        // The longest prefix is the most precise.
        by_prefix.sort_by(|a, b| (b.0.len(), a).cmp(&(a.0.len(), b)));
        ClusterResolver { by_name, by_prefix }
    }

    /// True when the envelope names a cluster of which no inventory speaks, and none of the same name:
    /// what it carries is somebody else's business. The same name in another account may be a lie.
    #[must_use]
    pub fn is_other(&self, owner: Option<&str>, log_group: Option<&str>) -> bool {
        let named = owner.is_some_and(|owner| !owner.is_empty());
        log_group.and_then(cluster_from_log_group).is_some_and(|name| {
            named && !self.by_name.is_empty() && self.all_named(Some(name)).is_empty()
        })
    }

    /// The accounts that have clusters.
    pub fn accounts(&self) -> impl Iterator<Item = &str> {
        self.by_name.keys().map(|(account, _)| account.as_str())
    }

    /// The ARN, when exactly one cluster can be named.
    ///
    /// # Errors
    /// The clusters that it could be: none where the envelope names a cluster that the inventory
    /// does not hold, all of them where nothing is said.
    pub fn resolve(
        &self,
        owner: Option<&str>,
        log_group: Option<&str>,
        key: &str,
    ) -> Result<&str, Vec<&str>> {
        let mapped = || {
            self.by_prefix
                .iter()
                .find(|(prefix, _)| key.starts_with(prefix.as_str()))
                .map(|(_, arn)| arn.as_str())
        };
        let named =
            (owner.filter(|owner| !owner.is_empty()), log_group.and_then(cluster_from_log_group));
        let (Some(owner), Some(name)) = named else {
            // A log group that names another cluster than the map does is not the mapped one.
            let fits = |arn: &&str| named.1.is_none_or(|name| arn.ends_with(&format!("/{name}")));
            return mapped().filter(fits).ok_or_else(|| self.all_named(named.1));
        };
        match self.by_name.get(&(owner.to_owned(), name.to_owned())).map(Vec::as_slice) {
            Some([arn]) => Ok(arn),
            // Two regions hold a cluster of this name: only the key can tell them apart.
            Some(several) => mapped()
                .filter(|arn| several.iter().any(|known| known == arn))
                .ok_or_else(|| several.iter().map(String::as_str).collect()),
            None => Err(Vec::new()),
        }
    }

    fn all_named(&self, name: Option<&str>) -> Vec<&str> {
        self.by_name
            .iter()
            .filter(|((_, known), _)| name.is_none_or(|name| name == known))
            .flat_map(|(_, arns)| arns.iter().map(String::as_str))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(owner: Option<&str>, group: Option<&str>, key: &str, expected: Result<&str, usize>) {
        let arns = [
            "arn:aws:eks:r1:1:cluster/a",
            "arn:aws:eks:r1:1:cluster/b",
            "arn:aws:eks:r2:1:cluster/b",
        ]
        .map(str::to_owned);
        let map = [
            ("x/".to_owned(), "arn:aws:eks:r1:1:cluster/a".to_owned()),
            ("x/y/".to_owned(), "arn:aws:eks:r2:1:cluster/b".to_owned()),
        ];
        let resolver = ClusterResolver::new(&arns, &map);
        let got = resolver.resolve(owner, group, key).map_err(|candidates| candidates.len());
        assert_eq!(got, expected, "{owner:?} {group:?} {key}");
    }

    #[test]
    fn one_cluster_or_none() {
        let (a, b) = (Some("/aws/eks/a/cluster"), Some("/aws/eks/b/cluster"));
        let (a1, b2) = (Ok("arn:aws:eks:r1:1:cluster/a"), Ok("arn:aws:eks:r2:1:cluster/b"));
        check(Some("1"), a, "k", a1);
        check(Some("2"), a, "k", Err(0));
        check(Some("2"), a, "x/k", Err(0));
        check(Some("1"), b, "k", Err(2));
        check(Some("1"), b, "x/y/k", b2);
        check(Some("1"), b, "x/k", Err(2));
        check(Some("1"), Some("/other"), "x/k", a1);
        check(None, b, "k", Err(2));
        check(None, None, "x/y/k", b2);
        check(None, b, "x/y/k", b2);
        check(None, a, "x/y/k", Err(1));
        check(None, None, "k", Err(3));
        let arns = ["arn:aws:eks:r1:1:cluster/a".to_owned()];
        let resolver = ClusterResolver::new(&arns, &[]);
        assert!(resolver.is_other(Some("2"), Some("/aws/eks/z/cluster")));
        assert!(!resolver.is_other(Some("2"), a), "a namesake");
        assert!(!resolver.is_other(None, Some("/aws/eks/z/cluster")));
        assert!(!ClusterResolver::default().is_other(Some("2"), a));
    }
}
