//! From a snapshot to its identities, grants and members.
//!
//! A grant is the thing one can delete. Input: one snapshot and the table of published policies.
//! Output: everything in one deterministic order. Whether a grant works is decided here, from the
//! inventory alone; whether it was used is decided elsewhere. Rules: <https://docs.aws.amazon.com/eks/latest/userguide/grant-k8s-access.html>.

mod iam;
mod pods;
mod rbac_subjects;
pub mod timeline;

use std::collections::BTreeMap;

use crate::model::arn::PrincipalName;
use crate::model::digest;
use crate::model::grant::{
    Allows, Grant, GrantKind, Holder, Identity, IdentityKind, Ineffective, Member,
};
use crate::model::inventory::{
    AuthMode, Binding, ClusterInventory, IamPrincipal, Kubernetes, OidcProvider, Role, RoleKind,
    Subject,
};
use crate::model::permission::{Scope, ScopedRule};
use crate::rbac::policies::PolicyTable;
use crate::rbac::template_matches;

use super::principals::folded_name;

/// Everything a snapshot grants.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Enumerated {
    /// Sorted by kind and principal.
    pub identities: Vec<Identity>,
    /// Sorted by kind, principal and reference.
    pub grants: Vec<Grant>,
    /// Sorted by grant.
    pub members: Vec<Member>,
    /// Findings that need no log.
    pub notes: Vec<Note>,
}

/// A finding about the inventory itself.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Note {
    /// The grant it is about, if it is about one.
    pub grant_id: Option<String>,
    /// `altered_default`, `looks_managed`, `wildcard_trust`, `widens_everyone`, …
    pub code: &'static str,
    /// For people.
    pub what: String,
}

/// 16 hex digits that name a grant for ever: SHA-256 over cluster, kind, kind of subject, subject
/// and reference, each with its length. The scope is not in it, so that a rescope keeps the id.
#[must_use]
pub fn grant_id(
    cluster_arn: &str,
    kind: GrantKind,
    subject_kind: &str,
    subject: &str,
    grant_ref: &str,
) -> String {
    let parts = [cluster_arn, kind.as_str(), subject_kind, subject, grant_ref];
    digest::hex(&digest::of_parts(parts.map(str::as_bytes)), 16)
}

/// Enumerates one snapshot.
#[must_use]
pub fn enumerate(cluster: &ClusterInventory, policies: &PolicyTable) -> Enumerated {
    let mut builder = Builder::new(cluster, policies);
    builder.identities_from_iam();
    builder.grants_from_iam();
    builder.grants_from_bindings();
    builder.grants_from_pods();
    builder.finish()
}

struct Builder<'a> {
    cluster: &'a ClusterInventory,
    policies: &'a PolicyTable,
    mode: AuthMode,
    providers: &'a [OidcProvider],
    /// Roles and users of the snapshot by name.
    iam: BTreeMap<PrincipalName, Vec<&'a IamPrincipal>>,
    found: Enumerated,
}

impl<'a> Builder<'a> {
    fn new(cluster: &'a ClusterInventory, policies: &'a PolicyTable) -> Self {
        let mut iam: BTreeMap<PrincipalName, Vec<&IamPrincipal>> = BTreeMap::new();
        for principal in cluster.iam_roles.iter().chain(&cluster.iam_users).flatten() {
            if let Some(name) = folded_name(&principal.arn) {
                iam.entry(name).or_default().push(principal);
            }
        }
        Builder {
            cluster,
            policies,
            // Where cluster.json is a hole both mappings may count; nothing is called inert then.
            mode: cluster.cluster.as_ref().map_or(AuthMode::ApiAndConfigMap, |c| c.auth_mode),
            providers: cluster.identity_providers.as_deref().unwrap_or_default(),
            iam,
            found: Enumerated::default(),
        }
    }

    fn kubernetes(&self) -> Option<&'a Kubernetes> {
        self.cluster.kubernetes.as_ref()
    }

    fn bindings(&self) -> &'a [Binding] {
        self.kubernetes().map(|k| k.bindings.as_slice()).unwrap_or_default()
    }

    fn role(&self, binding: &Binding) -> Option<&'a Role> {
        let namespace = match binding.role_kind {
            RoleKind::ClusterRole => "",
            RoleKind::Role => &binding.namespace,
        };
        self.kubernetes()?.roles.iter().find(|role| {
            role.kind == binding.role_kind
                && role.namespace == namespace
                && role.name == binding.role_name
        })
    }

    /// The rules of a binding where it binds.
    fn rules(&self, binding: &Binding) -> Vec<ScopedRule> {
        let scope = binding_scope(binding);
        let rules = self.role(binding).map(|role| role.rules.as_slice()).unwrap_or_default();
        rules.iter().map(|rule| ScopedRule { scope: scope.clone(), rule: rule.clone() }).collect()
    }

    fn bindings_of_group(&self, group: &str) -> impl Iterator<Item = &'a Binding> {
        let group = group.to_owned();
        // A group of aws-auth may be a template.
        let named = move |subject: &Subject| match subject {
            Subject::Group(name) => template_matches(&group, name),
            _ => false,
        };
        self.bindings().iter().filter(move |binding| binding.subjects.iter().any(&named))
    }

    /// Unions the rules of all bindings of a group; a hole when the objects were not listed.
    fn group_allows(&self, group: &str) -> Allows {
        if group == "system:masters" {
            return Allows::Everything;
        }
        if self.kubernetes().is_none() {
            return Allows::Hole;
        }
        Allows::Rules(self.bindings_of_group(group).flat_map(|b| self.rules(b)).collect())
    }

    fn grant(
        &self,
        kind: GrantKind,
        subject_kind: &str,
        principal: &str,
        grant_ref: &str,
    ) -> Grant {
        let stable = if subject_kind == "aws_auth" {
            principal.to_lowercase()
        } else {
            principal.to_owned()
        };
        Grant {
            id: grant_id(&self.cluster.arn, kind, subject_kind, &stable, grant_ref),
            cluster: self.cluster.arn.clone(),
            cluster_name: self.cluster.name.clone(),
            kind,
            identity_kind: None,
            principal: principal.to_owned(),
            principal_id: None,
            grant_ref: grant_ref.to_owned(),
            role_ref: String::new(),
            scope: "cluster",
            namespaces: Vec::new(),
            ineffective: None,
            valid_from: None,
            valid_to: None,
            granted_by: None,
            managed_by_aws: false,
            impostor: false,
            open_ended: false,
            group: None,
            holder: Holder::Subject(Subject::User(String::new())),
            allows: Allows::AwsRole,
        }
    }

    fn note(&mut self, grant_id: Option<&str>, code: &'static str, what: String) {
        self.found.notes.push(Note { grant_id: grant_id.map(str::to_owned), code, what });
    }

    /// The unique id of an IAM ARN, if the snapshot knows it.
    fn iam_id(&self, arn: &str) -> Option<String> {
        match self.iam.get(&folded_name(arn)?)?.as_slice() {
            [only] => Some(only.id.clone()),
            _ => None,
        }
    }

    fn finish(mut self) -> Enumerated {
        let found = &mut self.found;
        // Members point at grants by index, so they are renumbered with the sort.
        let mut order: Vec<usize> = (0..found.grants.len()).collect();
        let key = |grant: &Grant| {
            (grant.kind, grant.principal.clone(), grant.grant_ref.clone(), grant.id.clone())
        };
        order.sort_by_key(|&idx| found.grants.get(idx).map(key));
        let mut new_idx = vec![0; order.len()];
        for (new, &old) in order.iter().enumerate() {
            if let Some(slot) = new_idx.get_mut(old) {
                *slot = new;
            }
        }
        found.grants.sort_by_key(key);
        for member in &mut found.members {
            member.grant = new_idx.get(member.grant).copied().unwrap_or(0);
        }
        found.members.sort();
        found.members.dedup();
        found.notes.sort();
        found.notes.dedup();
        self.found
    }
}

fn binding_scope(binding: &Binding) -> Scope {
    if binding.namespace.is_empty() {
        Scope::Cluster
    } else {
        Scope::Namespace(binding.namespace.clone())
    }
}

fn binding_ref(binding: &Binding) -> String {
    if binding.namespace.is_empty() {
        format!("ClusterRoleBinding/{}", binding.name)
    } else {
        format!("RoleBinding/{}/{}", binding.namespace, binding.name)
    }
}

fn role_ref(binding: &Binding) -> String {
    match binding.role_kind {
        RoleKind::ClusterRole => format!("ClusterRole/{}", binding.role_name),
        RoleKind::Role => format!("Role/{}/{}", binding.namespace, binding.role_name),
    }
}

/// Groups that only nodes carry.
fn is_node_group(group: &str) -> bool {
    matches!(
        group,
        "system:bootstrappers" | "system:nodes" | "system:node-proxier" | "eks:kube-proxy-windows"
    )
}

fn same_principal(a: &str, b: &str) -> bool {
    match (folded_name(a), folded_name(b)) {
        (Some(a), Some(b)) => a == b,
        _ => false,
    }
}

fn is_service_linked(arn: &str) -> bool {
    arn.contains(":role/aws-service-role/")
}

fn account_of(arn: &str) -> Option<String> {
    PrincipalName::from_arn(arn).map(|name| name.account)
}

fn scope_of_rules(rules: &[ScopedRule]) -> (&'static str, Vec<String>) {
    let mut namespaces = Vec::new();
    for rule in rules {
        match &rule.scope {
            Scope::Cluster => return ("cluster", Vec::new()),
            Scope::Namespace(namespace) => namespaces.push(namespace.clone()),
            Scope::NamespaceGlobs(globs) => namespaces.extend(globs.iter().cloned()),
        }
    }
    namespaces.sort();
    namespaces.dedup();
    (if namespaces.is_empty() { "cluster" } else { "namespace" }, namespaces)
}

fn ineffective_if(condition: bool, why: Ineffective) -> Option<Ineffective> {
    condition.then_some(why)
}

fn identity(
    cluster: &ClusterInventory,
    kind: IdentityKind,
    principal: &str,
    source: &'static str,
) -> Identity {
    Identity {
        cluster: cluster.arn.clone(),
        kind,
        principal: principal.to_owned(),
        principal_id: None,
        username: String::new(),
        groups: Vec::new(),
        entry_type: None,
        ineffective: None,
        created_at: None,
        modified_at: None,
        created_by: None,
        source,
    }
}

#[cfg(test)]
mod tests;
