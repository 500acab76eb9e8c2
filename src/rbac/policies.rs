//! The access policies whose rules AWS publishes.
//!
//! No API returns the rules, so a dated table ships with the tool and a file of the same shape can
//! replace it. A policy without rules in the table cannot be judged. Source:
//! <https://docs.aws.amazon.com/eks/latest/userguide/access-policy-permissions.html>.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use serde::Deserialize;

use crate::model::arn::Arn;
use crate::model::permission::Rule;

const BUILTIN: &str = include_str!("access-policies.json");

/// Policies by name.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PolicyTable {
    version: String,
    policies: BTreeMap<String, Option<Vec<Rule>>>,
}

/// A file that is no policy table.
#[derive(Debug, thiserror::Error)]
#[error("the access policy table does not read")]
pub struct PolicyTableError(#[from] serde_json::Error);

/// What the table knows of a policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lookup<'a> {
    /// Its rules.
    Published(&'a [Rule]),
    /// That it exists.
    Unpublished,
    /// Nothing.
    Unknown,
}

#[derive(Deserialize)]
struct File {
    version: String,
    policies: Vec<FilePolicy>,
}

#[derive(Deserialize)]
struct FilePolicy {
    name: String,
    rules: Option<Vec<Rule>>,
}

impl PolicyTable {
    /// The table that ships with this version.
    #[must_use]
    pub fn builtin() -> &'static PolicyTable {
        static TABLE: OnceLock<PolicyTable> = OnceLock::new();
        // A test reads the shipped file; an empty table would judge nothing, never wrongly.
        TABLE.get_or_init(|| PolicyTable::from_json(BUILTIN.as_bytes()).unwrap_or_default())
    }

    /// Reads a table: `{"version": …, "policies": [{"name": …, "rules": […] or null}]}`.
    ///
    /// # Errors
    /// When the file has another shape.
    pub fn from_json(bytes: &[u8]) -> Result<PolicyTable, PolicyTableError> {
        let file: File = serde_json::from_slice(bytes)?;
        let policies = file.policies.into_iter().map(|p| (p.name, p.rules)).collect();
        Ok(PolicyTable { version: file.version, policies })
    }

    /// The date of the table.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Looks a policy up by its ARN, in any partition.
    #[must_use]
    pub fn lookup(&self, policy_arn: &str) -> Lookup<'_> {
        let name = Arn::parse(policy_arn)
            .filter(|arn| arn.service == "eks")
            .and_then(|arn| arn.resource.strip_prefix("cluster-access-policy/"));
        match name.and_then(|name| self.policies.get(name)) {
            Some(Some(rules)) => Lookup::Published(rules),
            Some(None) => Lookup::Unpublished,
            None => Lookup::Unknown,
        }
    }

    /// Policies with rules, by name.
    pub fn published(&self) -> impl Iterator<Item = (&str, &[Rule])> {
        self.policies.iter().filter_map(|(name, rules)| Some((name.as_str(), rules.as_deref()?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::permission::Permission;
    use crate::rbac::rule_covers;

    fn allows(policy: &str, verb: &str, group: &str, resource: &str) -> bool {
        let arn = format!("arn:aws-cn:eks::aws:cluster-access-policy/{policy}");
        let Lookup::Published(rules) = PolicyTable::builtin().lookup(&arn) else {
            panic!("{policy} is published")
        };
        let (resource, subresource) = resource.split_once('/').unwrap_or((resource, ""));
        let permission = Permission {
            verb: verb.to_owned(),
            api_group: group.to_owned(),
            resource: resource.to_owned(),
            subresource: subresource.to_owned(),
            ..Permission::default()
        };
        rules.iter().any(|rule| rule_covers(rule, &permission))
    }

    #[test]
    fn the_shipped_table_reads() {
        let table = PolicyTable::builtin();
        assert_eq!(table.version(), "2025-11-06");
        let names: Vec<&str> = table.published().map(|(name, _)| name).collect();
        assert_eq!(
            names,
            [
                "AmazonEKSAdminPolicy",
                "AmazonEKSAdminViewPolicy",
                "AmazonEKSClusterAdminPolicy",
                "AmazonEKSEditPolicy",
                "AmazonEKSHybridPolicy",
                "AmazonEKSSecretReaderPolicy",
                "AmazonEKSViewPolicy",
            ]
        );
    }

    #[test]
    fn what_the_documentation_says_of_them() {
        assert!(allows("AmazonEKSClusterAdminPolicy", "anything", "any.group", "thing"));
        assert!(allows(
            "AmazonEKSAdminPolicy",
            "create",
            "rbac.authorization.k8s.io",
            "rolebindings"
        ));
        assert!(allows("AmazonEKSEditPolicy", "patch", "apps", "deployments"));
        assert!(allows("AmazonEKSViewPolicy", "list", "", "pods"));
        assert!(!allows("AmazonEKSViewPolicy", "list", "", "secrets"));
        assert!(allows("AmazonEKSAdminViewPolicy", "list", "", "secrets"));
        assert!(allows("AmazonEKSSecretReaderPolicy", "get", "", "secrets"));
        assert!(!allows(
            "AmazonEKSEditPolicy",
            "create",
            "rbac.authorization.k8s.io",
            "rolebindings"
        ));
        assert!(!allows("AmazonEKSAdminPolicy", "create", "", "serviceaccounts/token"));
    }

    #[test]
    fn unknown_and_unpublished_are_told_apart() {
        let table = PolicyTable::builtin();
        let of = |arn: &str| table.lookup(arn);
        assert_eq!(
            of("arn:aws:eks::aws:cluster-access-policy/AmazonEKSACKPolicy"),
            Lookup::Unpublished
        );
        assert_eq!(of("arn:aws:eks::aws:cluster-access-policy/Nope"), Lookup::Unknown);
        assert_eq!(of("arn:aws:iam::aws:policy/AmazonEKSViewPolicy"), Lookup::Unknown);
        assert!(PolicyTable::from_json(b"[]").is_err());
    }
}
