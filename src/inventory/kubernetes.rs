//! Objects of the Kubernetes API, from `kubectl get -o json`: Lists, single objects, streams of both.
//!
//! Source: <https://kubernetes.io/docs/reference/access-authn-authz/rbac/>.

use serde_json::Value;

use super::load::{Notes, field, text, time};
use crate::decode::aws_auth;
use crate::model::inventory::{
    AwsAuth, Binding, Kubernetes, Role, RoleKind, ServiceAccount, Subject,
};
use crate::model::permission::Rule;

const IRSA_ANNOTATION: &str = "eks.amazonaws.com/role-arn";
const AUDIENCE_ANNOTATION: &str = "eks.amazonaws.com/audience";
const MAX_LIST_DEPTH: usize = 8;

/// Collects objects of several files.
#[derive(Debug, Default)]
pub struct Reader {
    found: Kubernetes,
}

impl Reader {
    /// Takes one JSON value: an object, a List, or an array.
    pub fn take(&mut self, value: &Value, notes: &mut Notes) {
        self.take_nested(value, notes, 0);
    }

    /// Everything, sorted; of several copies of one object the last one read stays.
    #[must_use]
    pub fn finish(mut self) -> Kubernetes {
        let found = &mut self.found;
        found.roles.reverse();
        found
            .roles
            .sort_by(|a, b| (a.kind, &a.namespace, &a.name).cmp(&(b.kind, &b.namespace, &b.name)));
        found
            .roles
            .dedup_by(|a, b| (a.kind, &a.namespace, &a.name) == (b.kind, &b.namespace, &b.name));
        found.bindings.reverse();
        found.bindings.sort_by(|a, b| (&a.namespace, &a.name).cmp(&(&b.namespace, &b.name)));
        found.bindings.dedup_by(|a, b| (&a.namespace, &a.name) == (&b.namespace, &b.name));
        found.service_accounts.sort();
        found.service_accounts.dedup_by(|a, b| (&a.namespace, &a.name) == (&b.namespace, &b.name));
        found.namespaces.sort();
        found.namespaces.dedup();
        found.token_secrets.sort();
        found.token_secrets.dedup();
        self.found
    }

    fn take_nested(&mut self, value: &Value, notes: &mut Notes, depth: usize) {
        let items = value.as_array().or_else(|| value.get("items").and_then(Value::as_array));
        if let Some(items) = items {
            if depth < MAX_LIST_DEPTH {
                let kind = value.get("kind").and_then(Value::as_str).unwrap_or_default();
                for item in items {
                    // A typed list (`RoleList`) leaves the kind out of its items.
                    match (item.get("kind"), kind.strip_suffix("List")) {
                        (None, Some(kind)) if !kind.is_empty() => self.object(kind, item, notes),
                        _ => self.take_nested(item, notes, depth + 1),
                    }
                }
            }
            return;
        }
        match value.get("kind").and_then(Value::as_str) {
            Some(kind) => self.object(kind, value, notes),
            None => notes.lost("an object without kind"),
        }
    }

    fn object(&mut self, kind: &str, value: &Value, notes: &mut Notes) {
        let metadata = field(value, "metadata").unwrap_or(&Value::Null);
        let Some(name) = text(metadata, "name") else {
            notes.lost(format!("a {kind} without a name"));
            return;
        };
        let namespace = text(metadata, "namespace").unwrap_or_default();
        let created_at = time(metadata, "creationTimestamp");
        match kind {
            "ClusterRole" | "Role" => {
                let rules =
                    field(value, "rules").cloned().unwrap_or_else(|| Value::Array(Vec::new()));
                match serde_json::from_value::<Vec<Rule>>(rules) {
                    Ok(rules) => self.found.roles.push(Role {
                        kind: role_kind(kind),
                        namespace,
                        name,
                        rules,
                        aggregated: field(value, "aggregationRule").is_some(),
                        created_at,
                    }),
                    Err(error) => notes.lost(format!("{kind} {name}: {error}")),
                }
            }
            "ClusterRoleBinding" | "RoleBinding" => {
                let role = field(value, "roleRef").unwrap_or(&Value::Null);
                let (Some(role_name), Some(kind_name)) = (text(role, "name"), text(role, "kind"))
                else {
                    notes.lost(format!("{kind} {name} without a roleRef"));
                    return;
                };
                let listed = field(value, "subjects").and_then(Value::as_array);
                let mut subjects = Vec::new();
                for subject in listed.into_iter().flatten() {
                    match read_subject(subject, &namespace) {
                        Some(subject) => subjects.push(subject),
                        None => notes.lost(format!("{kind} {name}: subject {subject}")),
                    }
                }
                subjects.sort();
                subjects.dedup();
                self.found.bindings.push(Binding {
                    namespace,
                    name,
                    role_kind: role_kind(&kind_name),
                    role_name,
                    subjects,
                    created_at,
                });
            }
            "ServiceAccount" => {
                let annotation = |key: &str| {
                    field(metadata, "annotations")
                        .and_then(|all| text(all, key))
                        .filter(|value| !value.is_empty())
                };
                self.found.service_accounts.push(ServiceAccount {
                    namespace,
                    name,
                    role_arn: annotation(IRSA_ANNOTATION),
                    audience: annotation(AUDIENCE_ANNOTATION),
                    created_at,
                });
            }
            "Namespace" => self.found.namespaces.push(name),
            "ConfigMap" if namespace == "kube-system" && name == "aws-auth" => {
                let data = field(value, "data").unwrap_or(&Value::Null);
                let of = |key: &str| text(data, key).unwrap_or_default();
                self.found.aws_auth = Some(read_aws_auth(
                    &of("mapRoles"),
                    &of("mapUsers"),
                    &of("mapAccounts"),
                    notes,
                ));
            }
            "Secret"
                if text(value, "type").as_deref()
                    == Some("kubernetes.io/service-account-token") =>
            {
                let account = field(metadata, "annotations")
                    .and_then(|all| text(all, "kubernetes.io/service-account.name"))
                    .unwrap_or_default();
                self.found.token_secrets.push((namespace, name, account));
            }
            _ => {}
        }
    }
}

fn read_aws_auth(roles: &str, users: &str, accounts: &str, notes: &mut Notes) -> AwsAuth {
    let mut lost = |what: String| notes.lost(what);
    AwsAuth {
        roles: aws_auth::rows(roles, "rolearn", &mut lost),
        users: aws_auth::rows(users, "userarn", &mut lost),
        accounts: aws_auth::accounts(accounts, &mut lost),
    }
}

fn role_kind(kind: &str) -> RoleKind {
    if kind == "Role" { RoleKind::Role } else { RoleKind::ClusterRole }
}

fn read_subject(value: &Value, binding_namespace: &str) -> Option<Subject> {
    let name = text(value, "name")?;
    match text(value, "kind")?.as_str() {
        "User" => Some(Subject::User(name)),
        "Group" => Some(Subject::Group(name)),
        "ServiceAccount" => {
            let namespace = text(value, "namespace")
                .filter(|namespace| !namespace.is_empty())
                .unwrap_or_else(|| binding_namespace.to_owned());
            Some(Subject::ServiceAccount { namespace, name })
        }
        _ => None,
    }
}
