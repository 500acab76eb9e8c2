//! What a request asked for, in the words of Kubernetes authorization.
//!
//! Source: <https://kubernetes.io/docs/reference/access-authn-authz/authorization/#review-your-request-attributes>.

use serde::{Deserialize, Serialize};

/// One request's attributes. Either `path` is set (a non-resource request) or `resource` is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct Permission {
    /// `get`, `list`, …, `impersonate`; for a non-resource request the lower-case HTTP method.
    pub verb: String,
    /// Empty for the core group.
    pub api_group: String,
    /// Plural, lower case; empty for a non-resource request.
    pub resource: String,
    /// Empty when there is none.
    pub subresource: String,
    /// Empty for cluster-scoped resources and for requests over all namespaces.
    pub namespace: String,
    /// The object's name where authorization saw one (`create` of a top-level resource has none).
    pub name: String,
    /// Path of a non-resource request, without its query; empty otherwise.
    pub path: String,
}

impl Permission {
    /// True for a request on a URL that is no resource (`/metrics`, `/api`, …).
    #[must_use]
    pub fn is_non_resource(&self) -> bool {
        self.resource.is_empty()
    }

    /// `get pods/log in shop`, `list nodes`, `get /metrics`: for people.
    #[must_use]
    pub fn to_words(&self) -> String {
        if self.is_non_resource() {
            return format!("{} {}", self.verb, self.path);
        }
        let mut words = format!("{} {}", self.verb, self.resource);
        if !self.subresource.is_empty() {
            words.push('/');
            words.push_str(&self.subresource);
        }
        if !self.api_group.is_empty() {
            words.push('.');
            words.push_str(&self.api_group);
        }
        if !self.name.is_empty() {
            words.push(' ');
            words.push_str(&self.name);
        }
        if !self.namespace.is_empty() {
            words.push_str(" in ");
            words.push_str(&self.namespace);
        }
        words
    }
}

/// A rule of a Role, ClusterRole or access policy, as written: never multiplied out.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Rule {
    /// Verbs, `*` for all.
    #[serde(deserialize_with = "null_as_empty")]
    pub verbs: Vec<String>,
    /// API groups, `""` for core, `*` for all.
    #[serde(deserialize_with = "null_as_empty")]
    pub api_groups: Vec<String>,
    /// `pods`, `pods/log`, `*`, `*/scale`.
    #[serde(deserialize_with = "null_as_empty")]
    pub resources: Vec<String>,
    /// Empty for any name.
    #[serde(deserialize_with = "null_as_empty")]
    pub resource_names: Vec<String>,
    /// Paths, a trailing `*` for a prefix.
    #[serde(rename = "nonResourceURLs", deserialize_with = "null_as_empty")]
    pub non_resource_urls: Vec<String>,
}

fn null_as_empty<'de, D: serde::Deserializer<'de>>(source: D) -> Result<Vec<String>, D::Error> {
    Ok(Option::<Vec<String>>::deserialize(source)?.unwrap_or_default())
}

/// Where a rule holds.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Scope {
    /// Everywhere, cluster-scoped resources and non-resource URLs included.
    Cluster,
    /// In one namespace: a RoleBinding.
    Namespace(String),
    /// In the namespaces that match a glob: a namespace-scoped access policy. Sorted.
    NamespaceGlobs(Vec<String>),
}

/// A rule and where it holds.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ScopedRule {
    /// Where.
    pub scope: Scope,
    /// What.
    pub rule: Rule,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_read_null_lists_as_empty() {
        let rule: Rule = serde_json::from_str(
            r#"{"verbs":["get"],"resources":null,"nonResourceURLs":["/x"],"later":1}"#,
        )
        .expect("a rule");
        assert_eq!(rule.non_resource_urls, ["/x"]);
        assert!(rule.resources.is_empty());
    }
}
