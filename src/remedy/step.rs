//! One change of a cluster, typed: what the shell, Terraform and the objects are rendered from.

use std::collections::BTreeMap;

use crate::model::permission::{Rule, Scope, ScopedRule};
use crate::table::rows::grants::GrantRow;

/// Whom a binding names.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Subject {
    User(String),
    Group(String),
    ServiceAccount { namespace: String, name: String },
}

impl Subject {
    /// The subject of an RBAC grant.
    pub(super) fn of(grant: &GrantRow) -> Option<Self> {
        let name = grant.principal.clone();
        Some(match grant.subject_kind.as_str() {
            "user" => Subject::User(name),
            "group" => Subject::Group(name),
            "service_account" => {
                let (namespace, name) = name.split_once('/')?;
                Subject::ServiceAccount { namespace: namespace.to_owned(), name: name.to_owned() }
            }
            _ => return None,
        })
    }
}

/// A row of aws-auth.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Row {
    /// `aws_auth_role` `aws_auth_user` `aws_auth_account`
    pub(super) kind: String,
    pub(super) principal: String,
    /// With its path: what an access entry needs.
    pub(super) iam_arn: String,
    pub(super) username: String,
    pub(super) groups: Vec<String>,
}

/// Roles and bindings that stand in the place of one grant. All carry the name `overgrant-<grant id>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Own {
    pub(super) cluster: String,
    pub(super) grant_id: String,
    pub(super) rules: Vec<ScopedRule>,
    pub(super) subject: Subject,
}

impl Own {
    /// The rules of each namespace; `None` for the cluster.
    pub(super) fn by_place(&self) -> BTreeMap<Option<&str>, Vec<&Rule>> {
        let mut by_place: BTreeMap<Option<&str>, Vec<&Rule>> = BTreeMap::new();
        for scoped in &self.rules {
            let place = match &scoped.scope {
                Scope::Namespace(namespace) => Some(namespace.as_str()),
                Scope::Cluster | Scope::NamespaceGlobs(_) => None,
            };
            by_place.entry(place).or_default().push(&scoped.rule);
        }
        by_place
    }

    /// The name of its objects, and of its group where it has one.
    pub(super) fn name(&self) -> String {
        own_name(&self.grant_id)
    }
}

/// `overgrant-<grant id>`
pub(super) fn own_name(grant_id: &str) -> String {
    format!("overgrant-{grant_id}")
}

/// A change. Principals are IAM ARNs, bindings `ClusterRoleBinding/x` or `RoleBinding/ns/x`, accounts
/// `ns/sa`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    Own(Own),
    DropOwn(Own),
    CreateEntry {
        cluster: String,
        principal: String,
        username: String,
        groups: Vec<String>,
        entry_type: String,
    },
    DeleteEntry {
        cluster: String,
        principal: String,
    },
    Associate {
        cluster: String,
        principal: String,
        policy: String,
        namespaces: Option<Vec<String>>,
    },
    Disassociate {
        cluster: String,
        principal: String,
        policy: String,
    },
    Groups {
        cluster: String,
        principal: String,
        groups: Vec<String>,
    },
    Subjects {
        cluster: String,
        binding: String,
        subjects: Vec<Subject>,
    },
    DeleteBinding {
        cluster: String,
        binding: String,
    },
    CreateBinding {
        cluster: String,
        binding: String,
        role: String,
        subjects: Vec<Subject>,
    },
    AwsAuth {
        cluster: String,
        grant_id: String,
        rows: Vec<Row>,
    },
    DeletePod {
        cluster: String,
        account: String,
    },
    CreatePod {
        cluster: String,
        account: String,
        roles: Vec<String>,
    },
    Annotate {
        cluster: String,
        account: String,
        role: Option<String>,
    },
}
