//! Grants that were there in the window and are not in the snapshot, or came after it.
//!
//! Input: the history of the window. Output: further grants, each with its dates; those that are gone
//! are `deleted`. What was made before the snapshot and is not in it is no news: the snapshot is the
//! truth about its moment. The rules that a binding or group gave then are not in the log.

use std::collections::BTreeSet;

use crate::decode::aws_auth;
use crate::model::arn::{PrincipalKind, PrincipalName};
use crate::model::grant::{Allows, Grant, GrantKind, Holder, Identity, IdentityKind, Ineffective};
use crate::model::inventory::Subject;
use crate::model::permission::{Scope, ScopedRule};
use crate::rbac::policies::Lookup;

use super::super::super::principals::folded_name;
use super::super::{Builder, identity};
use super::history::{AWS_AUTH, History, subject_of};
use super::life::{EVERYWHERE, Life};

impl Builder<'_> {
    /// Grants that were there in the window and are not in the snapshot, or came after it.
    pub(super) fn add_gone(&mut self, history: &History) {
        let mut told: BTreeSet<PrincipalName> = BTreeSet::new();
        for ((principal, policy), steps) in &history.policies {
            let arn = history.arns.get(principal).map_or("", String::as_str);
            told.insert(principal.clone());
            let life = Life::of(steps);
            if self.knows(GrantKind::AccessPolicy, principal, policy) || !self.is_news(&life) {
                continue;
            }
            let idx = self.entry_identity(arn, &life);
            let mut grant = self.grant(GrantKind::AccessPolicy, "iam", arn, policy);
            grant.identity_kind = Some(IdentityKind::AccessEntry);
            grant.principal_id = self.iam_id(arn);
            grant.role_ref.clone_from(policy);
            let scope = if life.reach.is_empty() || life.reach == EVERYWHERE {
                Scope::Cluster
            } else {
                grant.scope = "namespace";
                grant.namespaces = life.reach.split(',').map(str::to_owned).collect();
                Scope::NamespaceGlobs(grant.namespaces.clone())
            };
            grant.allows = match self.policies.lookup(policy) {
                Lookup::Published(rules) => {
                    let scoped = |rule: &crate::model::permission::Rule| ScopedRule {
                        scope: scope.clone(),
                        rule: rule.clone(),
                    };
                    Allows::Rules(rules.iter().map(scoped).collect())
                }
                Lookup::Unpublished | Lookup::Unknown => Allows::Unpublished,
            };
            grant.holder = Holder::Identity(idx);
            self.push_dated(grant, &life);
        }
        for (principal, group, steps) in history.groups.named() {
            let arn = history.arns.get(principal).map_or("", String::as_str);
            told.insert(principal.clone());
            let life = Life::of(steps);
            if self.knows(GrantKind::EntryGroup, principal, group) || !self.is_news(&life) {
                continue;
            }
            let idx = self.entry_identity(arn, &life);
            self.push_group(GrantKind::EntryGroup, "iam", idx, arn, group, &life);
        }
        for (principal, steps) in &history.entries {
            let arn = history.arns.get(principal).map_or("", String::as_str);
            let life = Life::of(steps);
            let known = self.found.identities.iter().any(|identity| {
                identity.kind == IdentityKind::AccessEntry
                    && folded_name(&identity.principal).as_ref() == Some(principal)
            });
            if known || told.contains(principal) || life.gone.is_none() {
                continue;
            }
            let idx = self.entry_identity(arn, &life);
            let mut grant = self.grant(GrantKind::None, "iam", arn, "");
            grant.identity_kind = Some(IdentityKind::AccessEntry);
            grant.principal_id = self.iam_id(arn);
            grant.allows = Allows::Rules(Vec::new());
            grant.holder = Holder::Identity(idx);
            self.push_dated(grant, &life);
        }
        self.add_gone_pods(history);
        self.add_gone_bindings(history);
        self.add_gone_rows(history);
    }

    fn add_gone_pods(&mut self, history: &History) {
        for ((subject, role_arn), steps) in &history.pods {
            let Some((namespace, name)) = subject.split_once('/') else { continue };
            let life = Life::of(steps);
            let known = self.found.grants.iter().any(|grant| {
                grant.kind == GrantKind::PodIdentity
                    && grant.principal == *subject
                    && folded_name(&grant.grant_ref) == folded_name(role_arn)
            });
            if known || !self.is_news(&life) {
                continue;
            }
            let mut grant =
                self.grant(GrantKind::PodIdentity, "service_account", subject, role_arn);
            grant.identity_kind = Some(IdentityKind::ServiceAccount);
            grant.principal_id = self.iam_id(role_arn);
            grant.scope = "namespace";
            grant.namespaces = vec![namespace.to_owned()];
            grant.holder = Holder::Subject(Subject::ServiceAccount {
                namespace: namespace.to_owned(),
                name: name.to_owned(),
            });
            self.push_dated(grant, &life);
        }
    }

    fn add_gone_bindings(&mut self, history: &History) {
        for (binding, named, steps) in history.subjects.named() {
            let Some((subject_kind, principal, subject)) = subject_of(named) else { continue };
            let life = Life::of(steps);
            let known = self.found.grants.iter().any(|grant| {
                grant.kind == GrantKind::RbacSubject
                    && grant.grant_ref == *binding
                    && matches!(&grant.holder, Holder::Subject(held) if *held == subject)
            });
            if known || !self.is_news(&life) {
                continue;
            }
            let mut grant = self.grant(GrantKind::RbacSubject, subject_kind, &principal, binding);
            grant.role_ref = history.role_of.get(binding).cloned().unwrap_or_default();
            if let Some((namespace, _)) =
                binding.strip_prefix("RoleBinding/").and_then(|rest| rest.split_once('/'))
            {
                grant.scope = "namespace";
                grant.namespaces = vec![namespace.to_owned()];
            }
            // The rules of then are not in the log.
            grant.allows = Allows::Hole;
            grant.holder = Holder::Subject(subject);
            self.push_dated(grant, &life);
        }
    }

    fn add_gone_rows(&mut self, history: &History) {
        for (owner, row, steps) in history.subjects.named() {
            let Some((arn, group)) = row.split_once(" -> ") else { continue };
            let life = Life::of(steps);
            let known = self.found.grants.iter().any(|grant| {
                grant.kind == GrantKind::AwsAuthGroup
                    && aws_auth::row_name(&grant.principal, &grant.grant_ref) == row
            });
            if owner != AWS_AUTH || known || !self.is_news(&life) {
                continue;
            }
            let is_user =
                PrincipalName::from_arn(arn).is_some_and(|name| name.kind == PrincipalKind::User);
            let kind = if is_user { IdentityKind::AwsAuthUser } else { IdentityKind::AwsAuthRole };
            let idx = self.identity_of(kind, arn, "audit log", &life);
            self.push_group(GrantKind::AwsAuthGroup, "aws_auth", idx, arn, group, &life);
        }
    }

    fn push_group(
        &mut self,
        kind: GrantKind,
        subject_kind: &str,
        identity: usize,
        arn: &str,
        group: &str,
        life: &Life,
    ) {
        let mut grant = self.grant(kind, subject_kind, arn, group);
        grant.identity_kind = self.found.identities.get(identity).map(|identity| identity.kind);
        grant.principal_id = self.iam_id(arn);
        grant.allows = self.group_allows(group);
        grant.holder = Holder::Identity(identity);
        grant.group = Some(group.to_owned());
        self.push_dated(grant, life);
    }

    fn knows(&self, kind: GrantKind, principal: &PrincipalName, reference: &str) -> bool {
        self.found.grants.iter().any(|grant| {
            grant.kind == kind
                && grant.grant_ref == reference
                && folded_name(&grant.principal).as_ref() == Some(principal)
        })
    }

    /// True for what is gone, or came after the snapshot.
    fn is_news(&self, life: &Life) -> bool {
        life.gone.is_some() || life.first.is_some_and(|first| first > self.cluster.captured_at)
    }

    fn entry_identity(&mut self, arn: &str, life: &Life) -> usize {
        self.identity_of(IdentityKind::AccessEntry, arn, "CloudTrail", life)
    }

    /// The identity of a mapping that is gone or new; made where it is not known.
    fn identity_of(
        &mut self,
        kind: IdentityKind,
        arn: &str,
        source: &'static str,
        life: &Life,
    ) -> usize {
        let same = |identity: &Identity| {
            identity.kind == kind && folded_name(&identity.principal) == folded_name(arn)
        };
        if let Some(idx) = self.found.identities.iter().position(same) {
            return idx;
        }
        let mut made = identity(self.cluster, kind, arn, source);
        made.principal_id = self.iam_id(arn);
        made.created_by.clone_from(&life.granted_by);
        made.ineffective = life.gone.map(|_| Ineffective::Deleted);
        self.found.identities.push(made);
        self.found.identities.len() - 1
    }

    fn push_dated(&mut self, mut grant: Grant, life: &Life) {
        grant.valid_from = life.first;
        grant.valid_to = life.gone;
        grant.granted_by.clone_from(&life.granted_by);
        grant.ineffective = life.gone.map(|_| Ineffective::Deleted);
        self.found.grants.push(grant);
    }
}
