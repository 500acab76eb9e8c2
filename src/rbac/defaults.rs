//! What Kubernetes and EKS put into every cluster, by an exact list.
//!
//! A binding is AWS's or Kubernetes' own only if its name, role, subjects and rules are those of the
//! shipped list: the label `kubernetes.io/bootstrapping` and the prefixes `system:` and `eks:` prove
//! nothing, anybody can set them. A default with something added is a finding of the highest
//! severity. The rules of controllers vary over versions, so rules of the list are a union; fewer
//! rules than the list are no finding. Source:
//! <https://kubernetes.io/docs/reference/access-authn-authz/rbac/#default-roles-and-role-bindings>,
//! <https://docs.aws.amazon.com/eks/latest/userguide/default-roles-users.html>.

use std::sync::OnceLock;

use serde::Deserialize;

use crate::model::grant::has_reserved_prefix;
use crate::model::inventory::{Binding, Role, RoleKind, Subject};
use crate::model::permission::{Permission, Rule};
use crate::model::service_account;

use super::rule_covers;

const BUILTIN: &str = include_str!("default-roles.json");

/// Names of EKS's own roles, each bound by a binding of the same name to a user of the same name.
const EKS_SELF_NAMED: [&str; 22] = [
    "eks:addon-manager",
    "eks:addon-cluster-admin",
    "eks:az-poller",
    "eks:certificate-controller",
    "eks:certificate-controller-approver",
    "eks:cloud-controller-manager",
    "eks:cloud-provider-extraction-migration",
    "eks:cloudwatch-agent-role",
    "eks:cluster-bootstrap",
    "eks:cluster-event-watcher",
    "eks:coredns-autoscaler",
    "eks:extension-metrics-apiserver",
    "eks:fargate-manager",
    "eks:fargate-scheduler",
    "eks:k8s-metrics",
    "eks:laser-eye",
    "eks:network-policy-controller",
    "eks:node-manager",
    "eks:pod-identity-mutating-webhook",
    "eks:service-operations",
    "eks:tagging-controller",
    "eks:authenticator",
];

/// True for the usernames that the templates of AWS give to nodes.
#[must_use]
pub fn is_node_username(username: &str) -> bool {
    matches!(username, "system:node:{{EC2PrivateDNSName}}" | "system:node:{{SessionName}}")
}

/// Is a binding AWS's or Kubernetes' own?
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Managed {
    /// Exactly.
    Exact,
    /// It carries a default's name, with something added: what, for people.
    Altered(String),
    /// It is the customer's.
    No,
}

#[derive(Debug, Deserialize)]
struct File {
    roles: Vec<FileRole>,
    bindings: Vec<FileBinding>,
}

#[derive(Debug, Deserialize)]
struct FileRole {
    kind: String,
    namespace: String,
    name: String,
    rules: Vec<Rule>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct FileBinding {
    namespace: String,
    name: String,
    role_kind: String,
    role_name: String,
    subjects: Vec<FileSubject>,
}

#[derive(Debug, Deserialize)]
struct FileSubject {
    kind: String,
    name: String,
    #[serde(default)]
    namespace: String,
}

impl FileSubject {
    fn is(&self, subject: &Subject) -> bool {
        match subject {
            Subject::User(name) => self.kind == "User" && self.name == *name,
            Subject::Group(name) => self.kind == "Group" && self.name == *name,
            Subject::ServiceAccount { namespace, name } => {
                self.kind == "ServiceAccount" && self.name == *name && self.namespace == *namespace
            }
        }
    }
}

fn table() -> &'static File {
    static TABLE: OnceLock<File> = OnceLock::new();
    // A test reads the shipped file; without it everything would be the customer's.
    TABLE.get_or_init(|| {
        serde_json::from_str(BUILTIN).unwrap_or(File { roles: Vec::new(), bindings: Vec::new() })
    })
}

/// Compares a binding, and the role it names, with the list.
#[must_use]
pub fn classify_binding(binding: &Binding, role: Option<&Role>) -> Managed {
    if let Some(eks) = eks_binding(binding) {
        return eks;
    }
    let listed = table()
        .bindings
        .iter()
        .find(|b| b.namespace == binding.namespace && b.name == binding.name);
    let Some(listed) = listed else { return Managed::No };
    let kind = kind_name(binding.role_kind);
    if listed.role_kind != kind || listed.role_name != binding.role_name {
        return Managed::Altered(format!("it binds {kind} {}", binding.role_name));
    }
    if let Some(added) = binding.subjects.iter().find(|s| !listed.subjects.iter().any(|l| l.is(s)))
    {
        return Managed::Altered(format!("it names {}", words(added)));
    }
    if let Some(role) = role
        && let Some(added) = rule_beyond_default(role)
    {
        return Managed::Altered(format!("its role also allows {added}"));
    }
    Managed::Exact
}

/// EKS's own: role, binding and user share one exact name, or nodes get the bootstrap role.
fn eks_binding(binding: &Binding) -> Option<Managed> {
    let self_named = EKS_SELF_NAMED.contains(&binding.name.as_str());
    let node = binding.name == "eks:node-bootstrapper";
    let windows = binding.name == "eks:kube-proxy-windows";
    if !self_named && !node && !windows {
        return None;
    }
    if binding.role_name != binding.name && !(windows && binding.role_name == "system:node-proxier")
    {
        return Some(Managed::Altered(format!("it binds {}", binding.role_name)));
    }
    let allowed = |subject: &Subject| match subject {
        Subject::User(name) => self_named && *name == binding.name,
        Subject::Group(name) => {
            (node && matches!(name.as_str(), "system:bootstrappers" | "system:nodes"))
                || (windows && name == "eks:kube-proxy-windows")
        }
        Subject::ServiceAccount { .. } => false,
    };
    match binding.subjects.iter().find(|subject| !allowed(subject)) {
        Some(added) => Some(Managed::Altered(format!("it names {}", words(added)))),
        None => Some(Managed::Exact),
    }
}

/// The first thing a default role allows beyond the list; `None` when it fits or is not a default.
#[must_use]
pub fn rule_beyond_default(role: &Role) -> Option<String> {
    let kind = kind_name(role.kind);
    let listed = table()
        .roles
        .iter()
        .find(|r| r.kind == kind && r.namespace == role.namespace && r.name == role.name)?;
    let is_controller = role.name.starts_with("system:controller:");
    for atom in role.rules.iter().flat_map(atoms) {
        if listed.rules.iter().any(|rule| rule_covers(rule, &atom)) {
            continue;
        }
        // Controllers gain single permissions from version to version; only a grab for everything
        // is told apart from that.
        let grab = [&atom.verb, &atom.resource].into_iter().all(|part| part == "*");
        if !is_controller || grab {
            return Some(atom.to_words());
        }
    }
    None
}

fn atoms(rule: &Rule) -> Vec<Permission> {
    let mut all = Vec::new();
    let names: &[String] =
        if rule.resource_names.is_empty() { &[String::new()] } else { &rule.resource_names };
    for verb in &rule.verbs {
        for path in &rule.non_resource_urls {
            // A prefix is covered by the same prefix: the star stays in the text.
            all.push(Permission {
                verb: verb.clone(),
                path: path.clone(),
                ..Permission::default()
            });
        }
        for api_group in &rule.api_groups {
            for resource in &rule.resources {
                let (resource, subresource) = resource.split_once('/').unwrap_or((resource, ""));
                for name in names {
                    all.push(Permission {
                        verb: verb.clone(),
                        api_group: api_group.clone(),
                        resource: resource.to_owned(),
                        subresource: subresource.to_owned(),
                        name: name.clone(),
                        ..Permission::default()
                    });
                }
            }
        }
    }
    all
}

/// True for a name under a prefix that AWS and Kubernetes keep for themselves. It proves nothing: the
/// prefix alone makes nobody theirs.
/// Source: <https://docs.aws.amazon.com/eks/latest/userguide/creating-access-entries.html>.
#[must_use]
pub fn is_reserved(name: &str) -> bool {
    has_reserved_prefix(name) && !name.starts_with(service_account::PREFIX)
}

/// True for a user of a customer's binding that looks as if it were AWS's or Kubernetes' own.
#[must_use]
pub fn looks_managed(subject: &Subject) -> bool {
    matches!(subject, Subject::User(name) if is_reserved(name) && name != "system:anonymous")
}

/// True when a binding opens a role to everybody who reaches the API server.
#[must_use]
pub fn widens_everyone(binding: &Binding) -> bool {
    binding.subjects.iter().any(|subject| match subject {
        Subject::Group(name) => matches!(
            name.as_str(),
            "system:authenticated" | "system:unauthenticated" | "system:serviceaccounts"
        ),
        Subject::User(name) => name == "system:anonymous",
        Subject::ServiceAccount { .. } => false,
    })
}

/// True when the roles that everybody has cover the permission: discovery, health, self-review.
#[must_use]
pub fn covered_by_discovery(permission: &Permission, groups: &[String]) -> bool {
    let authenticated = groups.iter().any(|group| group == "system:authenticated");
    let roles: &[&str] = if authenticated {
        &["system:discovery", "system:basic-user", "system:public-info-viewer"]
    } else if groups.iter().any(|group| group == "system:unauthenticated") {
        &["system:public-info-viewer"]
    } else {
        return false;
    };
    table()
        .roles
        .iter()
        .filter(|role| role.kind == "ClusterRole" && roles.contains(&role.name.as_str()))
        .flat_map(|role| &role.rules)
        .any(|rule| rule_covers(rule, permission))
}

fn kind_name(kind: RoleKind) -> &'static str {
    match kind {
        RoleKind::ClusterRole => "ClusterRole",
        RoleKind::Role => "Role",
    }
}

fn words(subject: &Subject) -> String {
    match subject {
        Subject::User(name) => format!("user {name}"),
        Subject::Group(name) => format!("group {name}"),
        Subject::ServiceAccount { namespace, name } => format!("ServiceAccount {namespace}/{name}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(name: &str) -> Subject {
        Subject::Group(name.to_owned())
    }

    fn user(name: &str) -> Subject {
        Subject::User(name.to_owned())
    }

    fn binding(name: &str, role: &str, subjects: &[Subject]) -> Binding {
        Binding {
            namespace: String::new(),
            name: name.to_owned(),
            role_kind: RoleKind::ClusterRole,
            role_name: role.to_owned(),
            subjects: subjects.to_vec(),
            created_at: None,
        }
    }

    fn check(binding: &Binding, expected: &str) {
        let got = match classify_binding(binding, None) {
            Managed::Exact => "exact".to_owned(),
            Managed::Altered(what) => what,
            Managed::No => "no".to_owned(),
        };
        assert_eq!(got, expected, "{binding:?}");
    }

    #[test]
    fn only_the_exact_default_is_managed() {
        check(&binding("cluster-admin", "cluster-admin", &[group("system:masters")]), "exact");
        check(&binding("cluster-admin", "cluster-admin", &[]), "exact");
        check(
            &binding("cluster-admin", "cluster-admin", &[group("system:masters"), group("devs")]),
            "it names group devs",
        );
        check(&binding("system:basic-user", "view", &[]), "it binds ClusterRole view");
        check(&binding("system:mine", "view", &[user("system:x")]), "no");
        check(
            &binding("eks:addon-manager", "eks:addon-manager", &[user("eks:addon-manager")]),
            "exact",
        );
        check(&binding("eks:addon-manager", "cluster-admin", &[]), "it binds cluster-admin");
        check(
            &binding("eks:addon-manager", "eks:addon-manager", &[user("eve")]),
            "it names user eve",
        );
        check(&binding("eks:mine", "cluster-admin", &[user("eks:mine")]), "no");
        check(
            &binding("eks:node-bootstrapper", "eks:node-bootstrapper", &[group("system:nodes")]),
            "exact",
        );
    }

    #[test]
    fn a_default_role_with_more_is_altered() {
        let role = |name: &str, rules: &str| Role {
            kind: RoleKind::ClusterRole,
            namespace: String::new(),
            name: name.to_owned(),
            rules: serde_json::from_str(rules).expect("rules"),
            aggregated: false,
            created_at: None,
        };
        let check = |role: &Role, expected: Option<&str>| {
            assert_eq!(rule_beyond_default(role).as_deref(), expected, "{role:?}");
        };
        let secrets = r#"[{"verbs":["get"],"apiGroups":[""],"resources":["secrets"]}]"#;
        let all = r#"[{"verbs":["*"],"apiGroups":["*"],"resources":["*"]}]"#;
        check(
            &role("system:discovery", r#"[{"verbs":["get"],"nonResourceURLs":["/api/*"]}]"#),
            None,
        );
        check(&role("system:discovery", secrets), Some("get secrets"));
        check(&role("cluster-admin", all), None);
        check(&role("system:controller:job-controller", secrets), None);
        check(&role("system:controller:job-controller", all), Some("* *.*"));
        check(&role("mine", all), None);
    }

    #[test]
    fn discovery_is_everybodys() {
        let path = |verb: &str, path: &str| Permission {
            verb: verb.to_owned(),
            path: path.to_owned(),
            ..Permission::default()
        };
        let everybody = ["system:authenticated".to_owned()];
        assert!(covered_by_discovery(&path("get", "/apis/apps/v1"), &everybody));
        assert!(covered_by_discovery(
            &path("get", "/version"),
            &["system:unauthenticated".to_owned()]
        ));
        assert!(!covered_by_discovery(
            &path("get", "/apis"),
            &["system:unauthenticated".to_owned()]
        ));
        assert!(!covered_by_discovery(&path("get", "/metrics"), &everybody));
        let review = Permission {
            verb: "create".to_owned(),
            api_group: "authorization.k8s.io".to_owned(),
            resource: "selfsubjectaccessreviews".to_owned(),
            ..Permission::default()
        };
        assert!(covered_by_discovery(&review, &everybody));
    }

    #[test]
    fn doors_to_everybody_and_borrowed_names() {
        assert!(widens_everyone(&binding("x", "view", &[group("system:authenticated")])));
        assert!(!widens_everyone(&binding("x", "view", &[group("devs")])));
        assert!(is_reserved("eks:x") && is_reserved("system:x") && !is_reserved("eksx"));
        assert!(looks_managed(&user("eks:support-engineer")));
        assert!(!looks_managed(&user("system:serviceaccount:a:b")));
    }
}
