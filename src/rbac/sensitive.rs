//! What is dangerous to hold, and how dangerous a set of rules is.
//!
//! The list is the field's: reading secrets, running code in pods, becoming someone else, widening
//! one's own rights, minting tokens, reaching kubelets. Source:
//! <https://kubernetes.io/docs/concepts/security/rbac-good-practices/>.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use crate::model::permission::{Permission, Rule, Scope, ScopedRule};

use super::rule_covers;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Nothing to do.
    Info,
    /// Reads of ordinary objects.
    Low,
    /// Changes, or secrets of one namespace.
    Medium,
    /// Secrets, code or identities of the cluster; everything in a namespace.
    High,
    /// The whole cluster.
    Critical,
}

impl Severity {
    /// The name in tables.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Severity::Info => "info",
            Severity::Low => "low",
            Severity::Medium => "medium",
            Severity::High => "high",
            Severity::Critical => "critical",
        }
    }

    /// The severity of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        use Severity::{Critical, High, Info, Low, Medium};
        [Info, Low, Medium, High, Critical].into_iter().find(|one| one.as_str() == name)
    }
}

/// A dangerous kind of permission.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Sensitive {
    /// Every verb on every resource.
    Everything,
    /// Becoming someone else.
    Impersonate,
    /// Giving rights one does not have.
    Escalate,
    /// Binding roles one does not have.
    Bind,
    /// Reading secrets.
    SecretsRead,
    /// Changing secrets.
    SecretsWrite,
    /// exec, attach, port-forward, ephemeral containers.
    Exec,
    /// Minting ServiceAccount tokens.
    TokenMint,
    /// The kubelet's API.
    NodeProxy,
    /// Approving certificate requests.
    CsrApproval,
    /// Changing roles and bindings.
    RbacWrite,
    /// Changing admission webhooks.
    WebhookWrite,
    /// Any resource of some group or verb.
    Wildcard,
    /// Creating or changing what runs.
    WorkloadWrite,
}

/// Those that, held and never used, make a grant too wide by themselves. Changing workloads is the
/// daily work of most grants and is left to the count of cells.
pub const OVER_SCOPE_LIST: [Sensitive; 13] = [
    Sensitive::Everything,
    Sensitive::Impersonate,
    Sensitive::Escalate,
    Sensitive::Bind,
    Sensitive::SecretsRead,
    Sensitive::SecretsWrite,
    Sensitive::Exec,
    Sensitive::TokenMint,
    Sensitive::NodeProxy,
    Sensitive::CsrApproval,
    Sensitive::RbacWrite,
    Sensitive::WebhookWrite,
    Sensitive::Wildcard,
];

const RBAC: &str = "rbac.authorization.k8s.io";
const READS: &[&str] = &["get", "list", "watch"];
const WRITES: &[&str] = &["create", "update", "patch", "delete", "deletecollection"];

/// Kind, verbs, group and resources (`resource/sub`) that mean it.
type Probe = (Sensitive, &'static [&'static str], &'static str, &'static [&'static str]);

const PROBES: &[Probe] = &[
    (Sensitive::Impersonate, &["impersonate"], "", &["users", "groups", "serviceaccounts"]),
    (Sensitive::Impersonate, &["impersonate"], "authentication.k8s.io", &["uids"]),
    (Sensitive::Escalate, &["escalate"], RBAC, &["roles", "clusterroles"]),
    (Sensitive::Bind, &["bind"], RBAC, &["roles", "clusterroles"]),
    (Sensitive::SecretsRead, READS, "", &["secrets"]),
    (Sensitive::SecretsWrite, WRITES, "", &["secrets"]),
    (Sensitive::Exec, &["create", "get"], "", &["pods/exec", "pods/attach", "pods/portforward"]),
    (Sensitive::Exec, &["update", "patch"], "", &["pods/ephemeralcontainers"]),
    (Sensitive::TokenMint, &["create"], "", &["serviceaccounts/token"]),
    (Sensitive::NodeProxy, &["get", "create", "update", "patch", "delete"], "", &["nodes/proxy"]),
    (
        Sensitive::CsrApproval,
        &["update", "patch"],
        "certificates.k8s.io",
        &["certificatesigningrequests/approval"],
    ),
    (
        Sensitive::RbacWrite,
        &["create", "update", "patch"],
        RBAC,
        &["roles", "rolebindings", "clusterroles", "clusterrolebindings"],
    ),
    (
        Sensitive::WebhookWrite,
        &["create", "update", "patch"],
        "admissionregistration.k8s.io",
        &["mutatingwebhookconfigurations", "validatingwebhookconfigurations"],
    ),
    (
        Sensitive::WorkloadWrite,
        &["create", "update", "patch"],
        "",
        &["pods", "replicationcontrollers"],
    ),
    (
        Sensitive::WorkloadWrite,
        &["create", "update", "patch"],
        "apps",
        &["deployments", "daemonsets", "statefulsets", "replicasets"],
    ),
    (Sensitive::WorkloadWrite, &["create", "update", "patch"], "batch", &["jobs", "cronjobs"]),
];

impl Sensitive {
    /// For people and tables.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Sensitive::Everything => "everything",
            Sensitive::Impersonate => "impersonate",
            Sensitive::Escalate => "escalate",
            Sensitive::Bind => "bind",
            Sensitive::SecretsRead => "secrets read",
            Sensitive::SecretsWrite => "secrets write",
            Sensitive::Exec => "exec",
            Sensitive::TokenMint => "token creation",
            Sensitive::NodeProxy => "node proxy",
            Sensitive::CsrApproval => "CSR approval",
            Sensitive::RbacWrite => "RBAC write",
            Sensitive::WebhookWrite => "webhook write",
            Sensitive::Wildcard => "wildcard",
            Sensitive::WorkloadWrite => "workload write",
        }
    }

    /// True where use would show under this verb in the audit log.
    #[must_use]
    pub fn is_observable(self) -> bool {
        !matches!(self, Sensitive::Bind | Sensitive::Escalate | Sensitive::NodeProxy)
    }
}

/// How far a sensitive permission reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reach {
    /// Named objects only.
    Named,
    /// Namespaces.
    Namespaces,
    /// The cluster.
    Cluster,
}

/// What the rules hold, each with its widest reach.
#[must_use]
pub fn held(rules: &[ScopedRule]) -> BTreeMap<Sensitive, Reach> {
    let mut held = BTreeMap::new();
    let mut note = |what: Sensitive, reach: Reach| {
        let slot = held.entry(what).or_insert(reach);
        *slot = (*slot).max(reach);
    };
    for scoped in rules {
        let reach = match (&scoped.scope, scoped.rule.resource_names.is_empty()) {
            (_, false) => Reach::Named,
            (Scope::Cluster, true) => Reach::Cluster,
            (_, true) => Reach::Namespaces,
        };
        let star = |list: &[String]| list.iter().any(|item| item == "*");
        let rule = &scoped.rule;
        if star(&rule.resources) && !rule.api_groups.is_empty() {
            let changes = rule.verbs.iter().any(|v| v == "*" || !READS.contains(&v.as_str()));
            if star(&rule.verbs) && star(&rule.api_groups) {
                note(Sensitive::Everything, reach);
            } else if changes {
                note(Sensitive::Wildcard, reach);
            }
        }
        for (what, permissions) in probes() {
            if permissions.iter().any(|permission| covers_unnamed(rule, permission)) {
                note(*what, reach);
            }
        }
    }
    held
}

/// True when the rule covers the permission, on some object where it names any.
fn covers_unnamed(rule: &Rule, permission: &Permission) -> bool {
    let Some(name) = rule.resource_names.first() else { return rule_covers(rule, permission) };
    rule_covers(rule, &Permission { name: name.clone(), ..permission.clone() })
}

/// The probes as permissions.
fn probes() -> &'static [(Sensitive, Vec<Permission>)] {
    static ALL: OnceLock<Vec<(Sensitive, Vec<Permission>)>> = OnceLock::new();
    ALL.get_or_init(|| {
        let spelled = |(what, verbs, group, resources): &Probe| {
            let all = verbs.iter().flat_map(|verb| {
                resources.iter().map(move |resource| {
                    let (resource, subresource) =
                        resource.split_once('/').unwrap_or((resource, ""));
                    Permission {
                        verb: (*verb).to_owned(),
                        api_group: (*group).to_owned(),
                        resource: resource.to_owned(),
                        subresource: subresource.to_owned(),
                        ..Permission::default()
                    }
                })
            });
            (*what, all.collect())
        };
        PROBES.iter().map(spelled).collect()
    })
}

/// The kinds that one use exercises.
#[must_use]
pub fn exercised(used: &Permission) -> Vec<Sensitive> {
    let same = |p: &Permission| {
        p.resource == used.resource
            && p.verb == used.verb
            && p.subresource == used.subresource
            && p.api_group == used.api_group
    };
    let found = probes().iter().filter(|(_, permissions)| permissions.iter().any(same));
    found.map(|(what, _)| *what).collect()
}

/// What is held, would show if it were used, and was not used.
#[must_use]
pub fn unused_sensitive(rules: &[ScopedRule], used: &[&Permission]) -> Vec<Sensitive> {
    let exercised: Vec<Sensitive> = used.iter().flat_map(|one| exercised(one)).collect();
    held(rules)
        .into_keys()
        .filter(|what| what.is_observable() && !exercised.contains(what))
        .collect()
}

/// The worst that the rules allow.
#[must_use]
pub fn severity_of(rules: &[ScopedRule]) -> Severity {
    let of = |(what, reach): (Sensitive, Reach)| match (what, reach) {
        (
            Sensitive::Everything | Sensitive::Impersonate | Sensitive::Escalate | Sensitive::Bind,
            Reach::Cluster,
        ) => Severity::Critical,
        (Sensitive::WorkloadWrite, _) => Severity::Medium,
        (_, Reach::Cluster) | (Sensitive::Everything, Reach::Namespaces) => Severity::High,
        (_, Reach::Namespaces) => Severity::Medium,
        (_, Reach::Named) => Severity::Low,
    };
    let sensitive = held(rules).into_iter().map(of).max().unwrap_or(Severity::Low);
    let changes = rules.iter().any(|scoped| {
        let verbs = &scoped.rule.verbs;
        scoped.rule.resource_names.is_empty()
            && scoped.rule.non_resource_urls.is_empty()
            && verbs.iter().any(|v| v == "*" || WRITES.contains(&v.as_str()))
    });
    if changes { sensitive.max(Severity::Medium) } else { sensitive }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rbac::policies::{Lookup, PolicyTable};

    fn scoped(scope: &Scope, rules: &[Rule]) -> Vec<ScopedRule> {
        rules.iter().map(|rule| ScopedRule { scope: scope.clone(), rule: rule.clone() }).collect()
    }

    fn policy(name: &str, scope: &Scope) -> Vec<ScopedRule> {
        let arn = format!("arn:aws:eks::aws:cluster-access-policy/{name}");
        match PolicyTable::builtin().lookup(&arn) {
            Lookup::Published(rules) => scoped(scope, rules),
            other => panic!("{name}: {other:?}"),
        }
    }

    #[test]
    fn severities() {
        let shop = Scope::Namespace("shop".to_owned());
        let check = |rules: &[ScopedRule], expected: Severity| {
            assert_eq!(severity_of(rules), expected, "{rules:?}");
        };
        check(&policy("AmazonEKSClusterAdminPolicy", &Scope::Cluster), Severity::Critical);
        check(&policy("AmazonEKSViewPolicy", &Scope::Cluster), Severity::Low);
        check(&policy("AmazonEKSSecretReaderPolicy", &Scope::Cluster), Severity::High);
        check(&policy("AmazonEKSSecretReaderPolicy", &shop), Severity::Medium);
        check(&policy("AmazonEKSEditPolicy", &shop), Severity::Medium);
        let of = |rules: &str| -> Vec<Rule> { serde_json::from_str(rules).expect("rules") };
        check(
            &scoped(&shop, &of(r#"[{"verbs":["*"],"apiGroups":["*"],"resources":["*"]}]"#)),
            Severity::High,
        );
        check(
            &scoped(
                &Scope::Cluster,
                &of(
                    r#"[{"verbs":["get"],"apiGroups":[""],"resources":["secrets"],"resourceNames":["a"]}]"#,
                ),
            ),
            Severity::Low,
        );
        check(&[], Severity::Low);
    }

    #[test]
    fn unused_sensitive_parts() {
        let view = policy("AmazonEKSViewPolicy", &Scope::Cluster);
        assert!(unused_sensitive(&view, &[]).is_empty());
        let minter = scoped(
            &Scope::Cluster,
            &[serde_json::from_str(
                r#"{"verbs":["create"],"apiGroups":[""],"resources":["serviceaccounts/token"]}"#,
            )
            .expect("a rule")],
        );
        assert_eq!(unused_sensitive(&minter, &[]), [Sensitive::TokenMint]);
        let used = Permission {
            verb: "create".to_owned(),
            resource: "serviceaccounts".to_owned(),
            subresource: "token".to_owned(),
            ..Permission::default()
        };
        assert!(unused_sensitive(&minter, &[&used]).is_empty());
        let edit = policy("AmazonEKSEditPolicy", &Scope::Cluster);
        assert!(unused_sensitive(&edit, &[]).contains(&Sensitive::SecretsRead));
        assert!(!OVER_SCOPE_LIST.contains(&Sensitive::WorkloadWrite));
    }
}
