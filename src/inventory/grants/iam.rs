//! Grants of IAM principals: access entries, aws-auth rows, the hidden cluster creator.
//!
//! Entries win over aws-auth for the same principal, unless the entry is dead: the authenticator
//! matches entries by unique id, so one whose role was made again never matches and the row counts.

use crate::model::arn::{self, PrincipalKind, PrincipalName};
use crate::model::grant::{Allows, GrantKind, Holder, Identity, IdentityKind, Ineffective, Member};
use crate::model::inventory::{AccessEntry, AuthMode, AwsAuthRow, Binding, IamPrincipal, Subject};
use crate::model::permission::{Scope, ScopedRule};
use crate::model::time::Micros;
use crate::rbac::defaults::{self, Managed};
use crate::rbac::policies::Lookup;
use crate::rbac::template_matches;

use super::super::principals::folded_name;
use super::{
    Builder, account_of, identity, is_node_group, is_service_linked, same_principal, scope_of_rules,
};

const ENTRIES: &str = "access-entries.json";
const AWS_AUTH: &str = "kube-system/aws-auth";
/// The group of everybody who is authenticated.
const EVERYBODY: &str = "system:authenticated";

impl<'a> Builder<'a> {
    pub(super) fn identities_from_iam(&mut self) {
        let cluster = self.cluster;
        for entry in cluster.access_entries.iter().flatten() {
            let mut found =
                identity(cluster, IdentityKind::AccessEntry, &entry.principal_arn, ENTRIES);
            found.principal_id = self.iam_id(&entry.principal_arn);
            found.username.clone_from(&entry.username);
            found.groups.clone_from(&entry.groups);
            found.entry_type = Some(entry.entry_type.clone());
            found.created_at = entry.created_at;
            found.modified_at = entry.modified_at;
            found.ineffective = self.entry_state(entry);
            self.found.identities.push(found);
        }
        let aws_auth = self.kubernetes().and_then(|k| k.aws_auth.as_ref());
        if let Some(auth) = aws_auth {
            for (rows, kind) in
                [(&auth.roles, IdentityKind::AwsAuthRole), (&auth.users, IdentityKind::AwsAuthUser)]
            {
                for row in rows {
                    let mut found = identity(cluster, kind, &row.arn, AWS_AUTH);
                    found.principal_id = self.iam_id(&row.arn);
                    found.username.clone_from(&row.username);
                    found.groups.clone_from(&row.groups);
                    found.groups.sort();
                    found.groups.dedup();
                    found.ineffective = self.row_state(row, kind);
                    self.found.identities.push(found);
                }
            }
            for account in &auth.accounts {
                let mut found = identity(cluster, IdentityKind::AwsAuthAccount, account, AWS_AUTH);
                found.ineffective =
                    (self.mode == AuthMode::Api).then_some(Ineffective::InertAwsAuth);
                self.found.identities.push(found);
            }
        }
        // With access entries on, the creator is an entry that can be seen and deleted.
        let describes = cluster.cluster.as_ref();
        let creator_is_admin = describes.is_some_and(|c| c.creator_is_admin != Some(false));
        if creator_is_admin && self.mode == AuthMode::ConfigMap {
            let mut found = identity(cluster, IdentityKind::ClusterCreator, "", "cluster.json");
            "kubernetes-admin".clone_into(&mut found.username);
            found.groups = vec!["system:masters".to_owned()];
            found.created_at = describes.and_then(|c| c.created_at);
            self.found.identities.push(found);
        }
    }

    pub(super) fn grants_from_iam(&mut self) {
        let entries: Vec<&'a AccessEntry> = self.cluster.access_entries.iter().flatten().collect();
        for idx in 0..self.found.identities.len() {
            let Some(identity) = self.found.identities.get(idx).cloned() else { continue };
            let n_before = self.found.grants.len();
            match identity.kind {
                IdentityKind::AccessEntry => {
                    let entry = entries.iter().find(|e| e.principal_arn == identity.principal);
                    if let Some(entry) = entry {
                        self.policy_grants(idx, &identity, entry);
                    }
                    self.group_grants(idx, &identity, GrantKind::EntryGroup);
                }
                IdentityKind::AwsAuthRole | IdentityKind::AwsAuthUser => {
                    self.group_grants(idx, &identity, GrantKind::AwsAuthGroup);
                }
                IdentityKind::ClusterCreator => self.superuser(idx, &identity),
                _ => {}
            }
            if self.found.grants.len() == n_before && !self.username_is_bound(&identity) {
                self.empty_grant(idx, &identity);
            }
        }
    }

    /// Why an entry cannot be exercised, if it cannot.
    fn entry_state(&self, entry: &AccessEntry) -> Option<Ineffective> {
        if self.mode == AuthMode::ConfigMap {
            return Some(Ineffective::EntriesDisabled);
        }
        let principal = self.iam_principal(&entry.principal_arn)?;
        match principal {
            Ok(found) => {
                let made_again = match (found.created_at, entry.created_at) {
                    (Some(role), Some(entry)) => role > entry,
                    _ => false,
                };
                made_again.then_some(Ineffective::RecreatedPrincipal)
            }
            Err(Gone) if self.is_reprovisioned(&entry.principal_arn) => {
                Some(Ineffective::ReprovisionedSsoRole)
            }
            Err(Gone) => Some(Ineffective::DeletedPrincipal),
        }
    }

    /// True when the account has a role of the same permission set under another suffix: Identity
    /// Center deletes and makes its roles as assignments go and come.
    /// Source: <https://docs.aws.amazon.com/singlesignon/latest/userguide/referencingpermissionsets.html>.
    fn is_reprovisioned(&self, arn: &str) -> bool {
        let permission_set = |arn: &str| {
            let name = PrincipalName::from_arn(arn)?.name;
            let rest = name.strip_prefix("AWSReservedSSO_")?.to_owned();
            rest.rsplit_once('_').map(|(set, _)| set.to_owned())
        };
        let Some(wanted) = permission_set(arn) else { return false };
        let roles = self.cluster.iam_roles.iter().flatten();
        roles.filter_map(|role| permission_set(&role.arn)).any(|set| set == wanted)
    }

    fn row_state(&self, row: &AwsAuthRow, kind: IdentityKind) -> Option<Ineffective> {
        if self.mode == AuthMode::Api {
            return Some(Ineffective::InertAwsAuth);
        }
        if kind == IdentityKind::AwsAuthRole && arn::has_path(&row.arn) {
            return Some(Ineffective::NeverMatches);
        }
        if row.overridden {
            return Some(Ineffective::OverriddenByRow);
        }
        let entry_wins = self.mode == AuthMode::ApiAndConfigMap
            && self.found.identities.iter().any(|other| {
                other.kind == IdentityKind::AccessEntry
                    && other.ineffective.is_none()
                    && same_principal(&other.principal, &row.arn)
            });
        if entry_wins {
            return Some(Ineffective::OverriddenByEntry);
        }
        let gone = matches!(self.iam_principal(&row.arn), Some(Err(Gone)));
        gone.then(|| {
            if self.is_reprovisioned(&row.arn) {
                Ineffective::ReprovisionedSsoRole
            } else {
                Ineffective::DeletedPrincipal
            }
        })
    }

    /// The IAM principal of an ARN: `None` when the snapshot cannot tell. Only principals of the
    /// cluster's own account are looked up, in a file that was read and is not empty.
    fn iam_principal(&self, arn: &str) -> Option<Result<&'a IamPrincipal, Gone>> {
        let name = PrincipalName::from_arn(arn)?;
        if name.account != self.cluster.account {
            return None;
        }
        let (list, file) = match name.kind {
            PrincipalKind::Role => (self.cluster.iam_roles.as_ref()?, "iam-roles"),
            PrincipalKind::User => (self.cluster.iam_users.as_ref()?, "iam-users"),
            _ => return None,
        };
        let known = folded_name(arn).and_then(|name| self.iam.get(&name)?.first().copied());
        if let Some(found) = known {
            return Some(Ok(found));
        }
        self.is_whole(list, file).then_some(Err(Gone))
    }

    /// True when a principal that is not in the list does not exist.
    pub(super) fn is_whole(&self, list: &[IamPrincipal], file: &str) -> bool {
        let asked = !list.is_empty() || self.cluster.whole.iter().any(|name| name.contains(file));
        asked && !self.cluster.holes.iter().any(|hole| hole.what.contains(file))
    }

    fn policy_grants(&mut self, idx: usize, identity: &Identity, entry: &AccessEntry) {
        for policy in &entry.policies {
            let mut grant = self.grant(
                GrantKind::AccessPolicy,
                "iam",
                &entry.principal_arn,
                &policy.policy_arn,
            );
            grant.identity_kind = Some(IdentityKind::AccessEntry);
            grant.principal_id.clone_from(&identity.principal_id);
            grant.role_ref.clone_from(&policy.policy_arn);
            if let Some(namespaces) = &policy.namespaces {
                grant.scope = "namespace";
                grant.namespaces.clone_from(namespaces);
            }
            let scope = match &policy.namespaces {
                None => Scope::Cluster,
                Some(globs) => Scope::NamespaceGlobs(globs.clone()),
            };
            grant.allows = match self.policies.lookup(&policy.policy_arn) {
                Lookup::Published(rules) => Allows::Rules(
                    rules
                        .iter()
                        .map(|rule| ScopedRule { scope: scope.clone(), rule: rule.clone() })
                        .collect(),
                ),
                Lookup::Unpublished | Lookup::Unknown => Allows::Unpublished,
            };
            grant.ineffective = identity.ineffective;
            // What a later change widened, only the log could tell.
            grant.valid_from = entry.created_at.max(policy.associated_at).max(policy.modified_at);
            grant.managed_by_aws = is_managed_entry(identity);
            grant.holder = Holder::Identity(idx);
            self.push_with_member(grant, identity, "");
        }
    }

    fn group_grants(&mut self, idx: usize, identity: &Identity, kind: GrantKind) {
        let subject_kind = if kind == GrantKind::EntryGroup { "iam" } else { "aws_auth" };
        for group in &identity.groups {
            let mut grant = self.grant(kind, subject_kind, &identity.principal, group);
            grant.identity_kind = Some(identity.kind);
            grant.principal_id.clone_from(&identity.principal_id);
            grant.allows = self.group_allows(group);
            if let Allows::Rules(rules) = &grant.allows {
                (grant.scope, grant.namespaces) = scope_of_rules(rules);
            }
            let mut roles: Vec<String> =
                self.bindings_of_group(group).map(super::role_ref).collect();
            roles.sort();
            roles.dedup();
            grant.role_ref = roles.join(",");
            let unbound = grant.allows == Allows::Rules(Vec::new()) && !is_node_group(group);
            grant.ineffective =
                identity.ineffective.or(unbound.then_some(Ineffective::UnboundGroup));
            grant.valid_from = self.group_valid_from(identity, group);
            grant.managed_by_aws = is_managed_entry(identity)
                || (is_node_group(group) && defaults::is_node_username(&identity.username));
            grant.impostor = defaults::is_reserved(&identity.username) && !grant.managed_by_aws;
            if grant.impostor {
                let what = format!("{} becomes {}", identity.principal, identity.username);
                self.note(Some(&grant.id.clone()), "looks_managed", what);
            }
            grant.holder = Holder::Identity(idx);
            grant.group = Some(group.clone());
            self.push_with_member(grant, identity, group);
        }
    }

    /// A group reaches further with every binding; its entry may have got it in its last change.
    fn group_valid_from(&self, identity: &Identity, group: &str) -> Option<Micros> {
        let bound = self.bindings_of_group(group).filter_map(|binding| binding.created_at).max();
        identity.created_at.max(identity.modified_at).max(bound)
    }

    fn superuser(&mut self, idx: usize, identity: &Identity) {
        let mut grant = self.grant(GrantKind::Superuser, "cluster_creator", "", "system:masters");
        grant.identity_kind = Some(IdentityKind::ClusterCreator);
        grant.allows = Allows::Everything;
        grant.valid_from = identity.created_at;
        grant.holder = Holder::Identity(idx);
        self.push_with_member(grant, identity, "system:masters");
    }

    fn empty_grant(&mut self, idx: usize, identity: &Identity) {
        let subject_kind = match identity.kind {
            IdentityKind::AccessEntry => "iam",
            _ => "aws_auth",
        };
        // A node's rights come from the node authorizer, not from a policy or a binding.
        let is_node = is_managed_entry(identity);
        let mut grant = self.grant(GrantKind::None, subject_kind, &identity.principal, "");
        grant.identity_kind = Some(identity.kind);
        grant.principal_id.clone_from(&identity.principal_id);
        grant.allows = if is_node { Allows::Rules(Vec::new()) } else { self.everybody_allows() };
        if let Allows::Rules(rules) = &grant.allows
            && !rules.is_empty()
        {
            // Who gets in carries this group, and what was bound to it.
            grant.group = Some(EVERYBODY.to_owned());
            (grant.scope, grant.namespaces) = scope_of_rules(rules);
        }
        let nothing = (grant.allows == Allows::Rules(Vec::new()) && !is_node)
            .then_some(Ineffective::NoPermission);
        grant.ineffective = identity.ineffective.or(nothing);
        grant.valid_from = identity.created_at;
        grant.managed_by_aws = is_node;
        grant.holder = Holder::Identity(idx);
        self.push_with_member(grant, identity, "");
    }

    /// What bindings of the cluster's owner give to everybody who is authenticated.
    fn everybody_allows(&self) -> Allows {
        if self.kubernetes().is_none() {
            return Allows::Hole;
        }
        let own = self.bindings_of_group(EVERYBODY).filter(|binding| {
            let alone = Binding {
                subjects: vec![Subject::Group(EVERYBODY.to_owned())],
                ..(*binding).clone()
            };
            defaults::classify_binding(&alone, self.role(binding)) != Managed::Exact
        });
        Allows::Rules(own.flat_map(|binding| self.rules(binding)).collect())
    }

    /// True when RBAC names the user that this mapping makes.
    fn username_is_bound(&self, identity: &Identity) -> bool {
        self.bindings().iter().flat_map(|binding| &binding.subjects).any(|subject| match subject {
            Subject::User(name) => makes_user(identity, name),
            _ => false,
        })
    }

    fn push_with_member(
        &mut self,
        grant: crate::model::grant::Grant,
        identity: &Identity,
        group: &str,
    ) {
        let member = Member {
            grant: self.found.grants.len(),
            principal_id: identity.principal_id.clone().unwrap_or_default(),
            username: identity.username.clone(),
            via_identity: identity.kind,
            via_group: group.to_owned(),
        };
        self.found.members.push(member);
        self.found.grants.push(grant);
    }
}

/// The principal is not in a list that would hold it.
struct Gone;

/// True when the identity can come out as the user `name`.
pub(super) fn makes_user(identity: &Identity, name: &str) -> bool {
    match identity.kind {
        // Everybody of the account becomes the user named by the ARN.
        IdentityKind::AwsAuthAccount => account_of(name).is_some_and(|a| a == identity.principal),
        _ => template_matches(&identity.username, name),
    }
}

/// Node entry types and service-linked roles are AWS's, whatever else is named alike.
fn is_managed_entry(identity: &Identity) -> bool {
    let node = matches!(
        identity.entry_type.as_deref(),
        Some(
            "EC2"
                | "EC2_LINUX"
                | "EC2_WINDOWS"
                | "FARGATE_LINUX"
                | "HYBRID_LINUX"
                | "HYPERPOD_LINUX"
        )
    );
    node || (identity.kind == IdentityKind::AccessEntry && is_service_linked(&identity.principal))
}
