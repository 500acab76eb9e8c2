//! A model of what is granted: entries with their policies and groups, aws-auth, bindings.

use std::collections::{BTreeMap, BTreeSet};

use crate::table::rows::grants::{GrantRow, IdentityRow};

use super::Tables;
use super::step::{Row, Step, Subject};

/// Cluster ARN and what is in it: a principal, a binding, `ns/sa`.
pub(super) type Key = (String, String);

/// An access entry.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Entry {
    /// Empty for AWS's default.
    pub(super) username: String,
    pub(super) groups: BTreeSet<String>,
    /// `STANDARD`, …
    pub(super) kind: String,
    /// Namespaces by policy ARN; `None` for the cluster.
    pub(super) policies: BTreeMap<String, Option<Vec<String>>>,
}

/// A RoleBinding or ClusterRoleBinding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Binding {
    /// `ClusterRole/x`, `Role/ns/x`
    pub(super) role: String,
    pub(super) subjects: Vec<Subject>,
}

/// Everything that steps change.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct State {
    pub(super) entries: BTreeMap<Key, Entry>,
    pub(super) bindings: BTreeMap<Key, Binding>,
    /// By cluster, in order.
    pub(super) aws_auth: BTreeMap<String, Vec<Row>>,
    /// Roles of a ServiceAccount's association; two where a second hop follows.
    pub(super) pods: BTreeMap<Key, Vec<String>>,
    /// Role that a ServiceAccount is annotated with.
    pub(super) annotations: BTreeMap<Key, String>,
    /// Roles and bindings of our own, by cluster and grant.
    pub(super) own: BTreeMap<Key, Step>,
}

impl State {
    /// As the tables say. What is gone already is left out.
    pub(super) fn of(tables: &Tables) -> Self {
        let mut state = State::default();
        let mut identities: Vec<&IdentityRow> = tables.identities.iter().collect();
        identities.sort_by_key(|row| (&row.cluster, &row.identity_kind, row.mapping_no));
        for row in identities {
            let key = (row.cluster.clone(), row.principal_arn.clone());
            match row.identity_kind.as_str() {
                "access_entry" if row.ineffective_reason.as_deref() != Some("deleted") => {
                    let entry = state.entries.entry(key).or_default();
                    entry.username.clone_from(&row.username);
                    entry.groups.extend(row.groups.iter().cloned());
                    entry.kind = row.entry_type.clone().unwrap_or_default();
                }
                "aws_auth_role" | "aws_auth_user" | "aws_auth_account" => {
                    state.aws_auth.entry(row.cluster.clone()).or_default().push(Row {
                        kind: row.identity_kind.clone(),
                        principal: row.principal_arn.clone(),
                        iam_arn: row.iam_arn.clone().unwrap_or(row.principal_arn.clone()),
                        username: row.username.clone(),
                        groups: row.groups.clone(),
                    });
                }
                _ => {}
            }
        }
        for grant in &tables.grants {
            if grant.ineffective_reason.as_deref() != Some("deleted") {
                state.add(grant);
            }
        }
        state
    }

    fn add(&mut self, grant: &GrantRow) {
        let key = (grant.cluster.clone(), grant.principal.clone());
        match grant.grant_kind.as_str() {
            "access_policy" => {
                let namespaces = (grant.scope != "cluster")
                    .then(|| grant.namespaces.split(',').map(str::to_owned).collect());
                let entry = self.entries.entry(key).or_default();
                entry.policies.insert(grant.grant_ref.clone(), namespaces);
            }
            "rbac_subject" => {
                let key = (grant.cluster.clone(), grant.grant_ref.clone());
                let role = grant.role_ref.clone();
                let binding =
                    self.bindings.entry(key).or_insert(Binding { role, subjects: Vec::new() });
                binding.subjects.extend(Subject::of(grant));
                binding.subjects.sort();
            }
            "pod_identity" => self.pods.entry(key).or_default().push(grant.grant_ref.clone()),
            "irsa" => {
                self.annotations.insert(key, grant.grant_ref.clone());
            }
            _ => {}
        }
    }

    /// Takes a step; what takes it back, in order.
    pub(super) fn apply(&mut self, step: &Step) -> Vec<Step> {
        match step {
            Step::Own(own) => {
                let key = (own.cluster.clone(), own.grant_id.clone());
                self.own.insert(key, step.clone());
                vec![Step::DropOwn(own.clone())]
            }
            Step::DropOwn(own) => {
                self.own.remove(&(own.cluster.clone(), own.grant_id.clone()));
                vec![Step::Own(own.clone())]
            }
            Step::CreateEntry { cluster, principal, username, groups, entry_type } => {
                let entry = Entry {
                    username: username.clone(),
                    groups: groups.iter().cloned().collect(),
                    kind: entry_type.clone(),
                    policies: BTreeMap::new(),
                };
                self.entries.insert((cluster.clone(), principal.clone()), entry);
                let (cluster, principal) = (cluster.clone(), principal.clone());
                vec![Step::DeleteEntry { cluster, principal }]
            }
            Step::DeleteEntry { cluster, principal } => {
                let old = self.entries.remove(&(cluster.clone(), principal.clone()));
                let Some(old) = old else { return Vec::new() };
                let mut back = vec![Step::CreateEntry {
                    cluster: cluster.clone(),
                    principal: principal.clone(),
                    username: old.username,
                    groups: old.groups.into_iter().collect(),
                    entry_type: old.kind,
                }];
                back.extend(old.policies.into_iter().map(|(policy, namespaces)| Step::Associate {
                    cluster: cluster.clone(),
                    principal: principal.clone(),
                    policy,
                    namespaces,
                }));
                back
            }
            Step::Associate { cluster, principal, policy, namespaces } => {
                let entry = self.entries.entry((cluster.clone(), principal.clone())).or_default();
                let old = entry.policies.insert(policy.clone(), namespaces.clone());
                let (cluster, principal, policy) =
                    (cluster.clone(), principal.clone(), policy.clone());
                vec![match old {
                    Some(namespaces) => Step::Associate { cluster, principal, policy, namespaces },
                    None => Step::Disassociate { cluster, principal, policy },
                }]
            }
            Step::Disassociate { cluster, principal, policy } => {
                let entry = self.entries.entry((cluster.clone(), principal.clone())).or_default();
                let Some(namespaces) = entry.policies.remove(policy) else { return Vec::new() };
                vec![Step::Associate {
                    cluster: cluster.clone(),
                    principal: principal.clone(),
                    policy: policy.clone(),
                    namespaces,
                }]
            }
            Step::Groups { cluster, principal, groups } => {
                let entry = self.entries.entry((cluster.clone(), principal.clone())).or_default();
                let new: BTreeSet<String> = groups.iter().cloned().collect();
                let old = std::mem::replace(&mut entry.groups, new);
                vec![Step::Groups {
                    cluster: cluster.clone(),
                    principal: principal.clone(),
                    groups: old.into_iter().collect(),
                }]
            }
            Step::Subjects { cluster, binding, subjects } => {
                let key = (cluster.clone(), binding.clone());
                let Some(found) = self.bindings.get_mut(&key) else { return Vec::new() };
                let old = std::mem::replace(&mut found.subjects, subjects.clone());
                vec![Step::Subjects {
                    cluster: cluster.clone(),
                    binding: binding.clone(),
                    subjects: old,
                }]
            }
            Step::DeleteBinding { cluster, binding } => {
                let key = (cluster.clone(), binding.clone());
                let Some(old) = self.bindings.remove(&key) else { return Vec::new() };
                vec![Step::CreateBinding {
                    cluster: cluster.clone(),
                    binding: binding.clone(),
                    role: old.role,
                    subjects: old.subjects,
                }]
            }
            Step::CreateBinding { cluster, binding, role, subjects } => {
                let key = (cluster.clone(), binding.clone());
                let (role, subjects) = (role.clone(), subjects.clone());
                self.bindings.insert(key, Binding { role, subjects });
                vec![Step::DeleteBinding { cluster: cluster.clone(), binding: binding.clone() }]
            }
            Step::AwsAuth { cluster, grant_id, rows } => {
                let old = self.aws_auth.insert(cluster.clone(), rows.clone()).unwrap_or_default();
                vec![Step::AwsAuth {
                    cluster: cluster.clone(),
                    grant_id: grant_id.clone(),
                    rows: old,
                }]
            }
            Step::DeletePod { cluster, account } => {
                let key = (cluster.clone(), account.clone());
                let Some(roles) = self.pods.remove(&key) else { return Vec::new() };
                vec![Step::CreatePod { cluster: cluster.clone(), account: account.clone(), roles }]
            }
            Step::CreatePod { cluster, account, roles } => {
                self.pods.insert((cluster.clone(), account.clone()), roles.clone());
                vec![Step::DeletePod { cluster: cluster.clone(), account: account.clone() }]
            }
            Step::Annotate { cluster, account, role } => {
                let key = (cluster.clone(), account.clone());
                let old = match role {
                    Some(role) => self.annotations.insert(key, role.clone()),
                    None => self.annotations.remove(&key),
                };
                vec![Step::Annotate {
                    cluster: cluster.clone(),
                    account: account.clone(),
                    role: old,
                }]
            }
        }
    }
}
