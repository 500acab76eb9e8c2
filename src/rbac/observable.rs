//! Which permissions leave a line in the audit log when they are used.
//!
//! Verbs that secondary checks use never appear as a request; the EKS audit policy drops core events
//! and health checks; kubelets and proxies ask the API server by SubjectAccessReview, whose bodies
//! may not be logged. Silence of such a permission proves nothing. Source:
//! <https://docs.aws.amazon.com/eks/latest/best-practices/auditing-and-logging.html>.

use crate::model::permission::{Rule, ScopedRule};

/// How use of a rule shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Observability {
    /// As requests.
    Observable,
    /// Only as access reviews made by kubelets and proxies.
    NeedsReviews,
    /// Not at all.
    Never,
}

const SECONDARY_VERBS: [&str; 6] = ["bind", "escalate", "use", "approve", "sign", "attest"];
const KUBELET_SUBRESOURCES: [&str; 8] = [
    "nodes/metrics",
    "nodes/stats",
    "nodes/log",
    "nodes/proxy",
    "nodes/spec",
    "nodes/configz",
    "nodes/healthz",
    "nodes/pods",
];

/// The best way in which any part of the rule would show: a wildcard shows in its other parts.
#[must_use]
pub fn rule_observability(scoped: &ScopedRule) -> Observability {
    let rule = &scoped.rule;
    if !rule.verbs.is_empty() && rule.verbs.iter().all(|v| SECONDARY_VERBS.contains(&v.as_str())) {
        return Observability::Never;
    }
    let resources = rule
        .resources
        .iter()
        .filter(|_| !rule.api_groups.is_empty())
        .map(|resource| of_resource(rule, resource));
    let urls = rule.non_resource_urls.iter().map(|url| of_url(url));
    resources.chain(urls).min().unwrap_or(Observability::Never)
}

fn of_resource(rule: &Rule, resource: &str) -> Observability {
    let only_core = rule.api_groups.iter().all(String::is_empty);
    if only_core && resource == "events" {
        Observability::Never
    } else if only_core && KUBELET_SUBRESOURCES.contains(&resource) {
        Observability::NeedsReviews
    } else {
        Observability::Observable
    }
}

fn of_url(url: &str) -> Observability {
    let dropped = ["/healthz", "/version", "/swagger"];
    if dropped.iter().any(|prefix| url.starts_with(prefix)) {
        Observability::Never
    } else {
        // Others than the API server serve paths too, and ask it whether they may.
        Observability::NeedsReviews
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::permission::Scope;

    #[test]
    fn the_best_part_counts() {
        use Observability::{NeedsReviews, Never, Observable};
        let check = |rule: &str, expected: Observability| {
            let rule: Rule = serde_json::from_str(rule).expect("a rule");
            let scoped = ScopedRule { scope: Scope::Cluster, rule };
            assert_eq!(rule_observability(&scoped), expected, "{scoped:?}");
        };
        check(r#"{"verbs":["get"],"apiGroups":[""],"resources":["pods"]}"#, Observable);
        check(r#"{"verbs":["*"],"apiGroups":["*"],"resources":["*"]}"#, Observable);
        check(
            r#"{"verbs":["bind","escalate"],"apiGroups":["rbac.authorization.k8s.io"],"resources":["roles"]}"#,
            Never,
        );
        check(
            r#"{"verbs":["bind","get"],"apiGroups":["rbac.authorization.k8s.io"],"resources":["roles"]}"#,
            Observable,
        );
        check(r#"{"verbs":["create"],"apiGroups":[""],"resources":["events"]}"#, Never);
        check(
            r#"{"verbs":["create"],"apiGroups":["","events.k8s.io"],"resources":["events"]}"#,
            Observable,
        );
        check(r#"{"verbs":["get"],"apiGroups":[""],"resources":["nodes/metrics"]}"#, NeedsReviews);
        check(
            r#"{"verbs":["get"],"apiGroups":[""],"resources":["nodes/metrics","nodes"]}"#,
            Observable,
        );
        check(r#"{"verbs":["get"],"nonResourceURLs":["/metrics"]}"#, NeedsReviews);
        check(r#"{"verbs":["get"],"nonResourceURLs":["/healthz/*","/version"]}"#, Never);
        check(r#"{"verbs":["impersonate"],"apiGroups":[""],"resources":["users"]}"#, Observable);
        check("{}", Never);
    }
}
