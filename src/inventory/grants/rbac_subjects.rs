//! Grants of RBAC: each binding × subject, and who carries the subject.

use crate::model::grant::{Allows, GrantKind, Holder, IdentityKind, Ineffective, Member};
use crate::model::inventory::{Binding, Subject};
use crate::model::service_account;
use crate::rbac::carries_group;
use crate::rbac::defaults::{self, Managed};

use super::super::subjects::{oidc_could_be_user, oidc_could_give_group};
use super::iam::makes_user;
use super::{Builder, binding_ref, binding_scope, is_node_group, role_ref};

impl Builder<'_> {
    pub(super) fn grants_from_bindings(&mut self) {
        for binding in self.bindings() {
            for subject in &binding.subjects {
                // A name that was added to a default does not make the others the customer's.
                let alone = Binding { subjects: vec![subject.clone()], ..binding.clone() };
                let managed = defaults::classify_binding(&alone, self.role(binding));
                self.subject_grant(binding, subject, &managed);
            }
        }
    }

    fn subject_grant(&mut self, binding: &Binding, subject: &Subject, managed: &Managed) {
        let (subject_kind, principal) = match subject {
            Subject::User(name) => ("user", name.clone()),
            Subject::Group(name) => ("group", name.clone()),
            Subject::ServiceAccount { namespace, name } => {
                ("service_account", format!("{namespace}/{name}"))
            }
        };
        let reference = binding_ref(binding);
        let mut grant = self.grant(GrantKind::RbacSubject, subject_kind, &principal, &reference);
        let rules = self.rules(binding);
        let role = self.role(binding);
        grant.role_ref = role_ref(binding);
        (grant.scope, grant.namespaces) = match binding_scope(binding) {
            crate::model::permission::Scope::Namespace(ns) => ("namespace", vec![ns]),
            _ => ("cluster", Vec::new()),
        };
        grant.managed_by_aws = *managed == Managed::Exact;
        grant.impostor = match managed {
            Managed::Exact => false,
            Managed::Altered(_) => true,
            Managed::No => defaults::looks_managed(subject),
        };
        grant.holder = Holder::Subject(subject.clone());
        grant.valid_from = binding.created_at.max(role.and_then(|role| role.created_at));
        let (kind, open_ended) = self.carriers(subject);
        grant.identity_kind = kind;
        grant.open_ended = open_ended;
        grant.ineffective = match role {
            None => Some(Ineffective::DanglingRole),
            Some(_) if self.is_missing_account(subject) && !grant.managed_by_aws => {
                Some(Ineffective::DanglingSubject)
            }
            Some(_) if rules.is_empty() => Some(Ineffective::EmptyRole),
            Some(_) => None,
        };
        grant.allows = Allows::Rules(rules);
        let id = grant.id.clone();
        let grant_idx = self.found.grants.len();
        self.found.grants.push(grant);
        self.members_of(grant_idx, subject);
        self.remark(&id, binding, subject, managed);
    }

    /// What makes the subject, and whether its members cannot be enumerated.
    fn carriers(&self, subject: &Subject) -> (Option<IdentityKind>, bool) {
        let of_mappings = |carries: &dyn Fn(&crate::model::grant::Identity) -> bool| {
            self.found.identities.iter().find(|identity| carries(identity)).map(|i| i.kind)
        };
        match subject {
            Subject::ServiceAccount { .. } => (Some(IdentityKind::ServiceAccount), false),
            Subject::Group(group) => {
                if group == "system:serviceaccounts" || group.starts_with("system:serviceaccounts:")
                {
                    return (Some(IdentityKind::ServiceAccount), false);
                }
                let mapped = of_mappings(&|identity| carries_group(identity, group));
                let by_oidc = oidc_could_give_group(self.providers, group);
                match (mapped, by_oidc) {
                    (Some(kind), by_oidc) => (Some(kind), by_oidc),
                    (None, true) => (Some(IdentityKind::Oidc), true),
                    // Everybody, or nodes: not a list of members.
                    (None, false) if group.starts_with("system:") => (None, !is_node_group(group)),
                    (None, false) => (Some(IdentityKind::X509), true),
                }
            }
            Subject::User(name) => {
                if name.starts_with(service_account::PREFIX) {
                    return (Some(IdentityKind::ServiceAccount), false);
                }
                let mapped = of_mappings(&|identity| makes_user(identity, name));
                match mapped {
                    Some(kind) => (Some(kind), false),
                    None if oidc_could_be_user(self.providers, name) => {
                        (Some(IdentityKind::Oidc), false)
                    }
                    None => (Some(IdentityKind::X509), false),
                }
            }
        }
    }

    /// True when a ServiceAccount is provably absent.
    fn is_missing_account(&self, subject: &Subject) -> bool {
        let Some(kubernetes) = self.kubernetes() else { return false };
        // A cluster without a single ServiceAccount does not exist: they were not listed.
        if kubernetes.service_accounts.is_empty() {
            return false;
        }
        let exists = |namespace: &str, name: &str| {
            kubernetes
                .service_accounts
                .iter()
                .any(|sa| sa.namespace == namespace && sa.name == name)
        };
        match subject {
            Subject::ServiceAccount { namespace, name } => !exists(namespace, name),
            Subject::User(user) => service_account::parts(user)
                .is_some_and(|(namespace, name)| !exists(namespace, name)),
            Subject::Group(_) => false,
        }
    }

    fn members_of(&mut self, grant: usize, subject: &Subject) {
        let mut members = Vec::new();
        match subject {
            Subject::ServiceAccount { namespace, name } => members.push(Member {
                grant,
                principal_id: String::new(),
                username: service_account::username(namespace, name),
                via_identity: IdentityKind::ServiceAccount,
                via_group: String::new(),
            }),
            Subject::Group(group) => {
                for identity in &self.found.identities {
                    if identity.ineffective.is_none() && carries_group(identity, group) {
                        members.push(member(grant, identity, group));
                    }
                }
                let namespace = group.strip_prefix("system:serviceaccounts:");
                let accounts = self.kubernetes().map(|k| k.service_accounts.as_slice());
                for account in accounts.unwrap_or_default() {
                    if namespace == Some(account.namespace.as_str()) {
                        members.push(Member {
                            grant,
                            principal_id: String::new(),
                            username: service_account::username(&account.namespace, &account.name),
                            via_identity: IdentityKind::ServiceAccount,
                            via_group: group.clone(),
                        });
                    }
                }
            }
            Subject::User(name) => {
                for identity in &self.found.identities {
                    if identity.ineffective.is_none() && makes_user(identity, name) {
                        members.push(member(grant, identity, ""));
                    }
                }
            }
        }
        self.found.members.append(&mut members);
    }

    /// Findings that need no log: what only looks like AWS's, and what opens the door to everybody.
    fn remark(&mut self, id: &str, binding: &Binding, subject: &Subject, managed: &Managed) {
        let name = binding_ref(binding);
        match managed {
            Managed::Exact => {}
            Managed::Altered(what) => {
                self.note(Some(id), "altered_default", format!("{name}: {what}"));
            }
            Managed::No => {
                if defaults::looks_managed(subject) || defaults::is_reserved(&binding.name) {
                    let what =
                        format!("{name} carries a reserved name and is not one of the defaults");
                    self.note(Some(id), "looks_managed", what);
                }
                if defaults::widens_everyone(binding) {
                    let what = format!("{name} grants to everybody who can reach the API server");
                    self.note(Some(id), "widens_everyone", what);
                }
            }
        }
    }
}

fn member(grant: usize, identity: &crate::model::grant::Identity, group: &str) -> Member {
    Member {
        grant,
        principal_id: identity.principal_id.clone().unwrap_or_default(),
        username: identity.username.clone(),
        via_identity: identity.kind,
        via_group: group.to_owned(),
    }
}
