//! One cluster's identities and grants, indexed by who can use them.
//!
//! Input: what the inventory enumerates. Output: for a caller, the identities it came in through
//! and the grants that can serve its requests. Matching goes by IAM unique id first and by account,
//! kind and path-less name second, never by comparing ARNs as text.
//! Source: <https://docs.aws.amazon.com/eks/latest/userguide/access-entries.html>.

use rustc_hash::FxHashMap;

use crate::model::arn::PrincipalName;
use crate::model::fact::{KubeUser, Via};
use crate::model::grant::{Allows, Grant, GrantKind, Holder, Identity, IdentityKind};
use crate::model::inventory::{OidcProvider, Subject};
use crate::model::permission::{Permission, ScopedRule};
use crate::model::service_account;
use crate::rbac;
use crate::rbac::reason::Credit;
use crate::rbac::template_matches;

/// The group that the API server lets do anything without asking RBAC.
pub const MASTERS: &str = "system:masters";

/// A cluster, ready to be asked.
#[derive(Debug)]
pub struct Cluster<'a> {
    /// Cluster ARN.
    pub arn: &'a str,
    /// For people.
    pub name: &'a str,
    /// In the order of the inventory room.
    pub identities: &'a [Identity],
    /// In the order of the inventory room.
    pub grants: &'a [Grant],
    providers: &'a [OidcProvider],
    by_unique_id: FxHashMap<&'a str, Vec<usize>>,
    by_name: FxHashMap<PrincipalName, Vec<usize>>,
    by_account: FxHashMap<&'a str, Vec<usize>>,
    of_identity: FxHashMap<usize, Vec<usize>>,
    of_subject: FxHashMap<&'a Subject, Vec<usize>>,
    creators: Vec<usize>,
}

/// Who a request came from, in the cluster's terms.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Who {
    /// How it came in; `None` when no mapping of the inventory explains it.
    pub kind: Option<IdentityKind>,
    /// The effective identities it matches.
    pub identities: Vec<usize>,
    /// True for AWS's own and Kubernetes' own components.
    pub component: bool,
}

impl<'a> Cluster<'a> {
    /// Indexes identities and grants.
    #[must_use]
    pub fn new(
        arn: &'a str,
        name: &'a str,
        identities: &'a [Identity],
        grants: &'a [Grant],
        providers: &'a [OidcProvider],
    ) -> Self {
        let mut cluster = Cluster {
            arn,
            name,
            identities,
            grants,
            providers,
            by_unique_id: FxHashMap::default(),
            by_name: FxHashMap::default(),
            by_account: FxHashMap::default(),
            of_identity: FxHashMap::default(),
            of_subject: FxHashMap::default(),
            creators: Vec::new(),
        };
        for (idx, identity) in identities.iter().enumerate() {
            match identity.kind {
                IdentityKind::AccessEntry
                | IdentityKind::AwsAuthRole
                | IdentityKind::AwsAuthUser => {
                    if let Some(id) = &identity.principal_id {
                        cluster.by_unique_id.entry(id).or_default().push(idx);
                    }
                    if let Some(name) = PrincipalName::from_arn(&identity.principal) {
                        cluster.by_name.entry(name.folded()).or_default().push(idx);
                    }
                }
                IdentityKind::AwsAuthAccount => {
                    cluster.by_account.entry(&identity.principal).or_default().push(idx);
                }
                IdentityKind::ClusterCreator => cluster.creators.push(idx),
                IdentityKind::Oidc | IdentityKind::X509 | IdentityKind::ServiceAccount => {}
            }
        }
        for (idx, grant) in grants.iter().enumerate() {
            match &grant.holder {
                Holder::Identity(identity) => {
                    cluster.of_identity.entry(*identity).or_default().push(idx);
                }
                Holder::Subject(subject) => {
                    if grant.kind == GrantKind::RbacSubject {
                        cluster.of_subject.entry(subject).or_default().push(idx);
                    }
                }
            }
        }
        cluster
    }

    /// Who `user` is, as authenticated.
    #[must_use]
    pub fn who(&self, user: &KubeUser) -> Who {
        if is_iam(user) {
            return self.iam_who(user);
        }
        let (kind, component) = if user.username.starts_with(service_account::PREFIX) {
            (Some(IdentityKind::ServiceAccount), false)
        } else if user.username.is_empty() || user.username == "system:anonymous" {
            (None, false)
        } else if user.username.starts_with("system:") {
            // Only the control plane's own certificates and the node authenticator make these; a
            // customer cannot get a certificate for them on EKS.
            (Some(IdentityKind::X509), true)
        } else if self.providers.iter().any(|provider| could_issue(provider, user)) {
            (Some(IdentityKind::Oidc), false)
        } else {
            (Some(IdentityKind::X509), false)
        };
        Who { kind, identities: Vec::new(), component }
    }

    fn iam_who(&self, user: &KubeUser) -> Who {
        if user.uid.split(':').nth(1) == Some("administrative") {
            return Who { kind: None, identities: Vec::new(), component: true };
        }
        let mut found =
            self.by_unique_id.get(user.principal_id.as_str()).cloned().unwrap_or_default();
        let name = [&user.canonical_arn, &user.arn]
            .into_iter()
            .find_map(|arn| PrincipalName::from_arn(arn))
            .map(PrincipalName::folded);
        if let Some(name) = &name {
            let by_name = self.by_name.get(name).into_iter().flatten().copied();
            found.extend(by_name.filter(|&idx| {
                // A mapping whose principal has another id is a dead one of the same name.
                let known = self.identities.get(idx).and_then(|i| i.principal_id.as_deref());
                known.is_none_or(|id| user.principal_id.is_empty() || id == user.principal_id)
            }));
            let by_account = self.by_account.get(name.account.as_str()).into_iter().flatten();
            found.extend(by_account.copied());
        }
        found.sort_unstable();
        found.dedup();
        // A mapping that has no effect now may have had one earlier in the window; but a master whom
        // no live mapping explains is first of all the hidden creator.
        let works =
            |idx: &usize| self.identities.get(*idx).is_some_and(|i| i.ineffective.is_none());
        if found.iter().any(works) {
            found.retain(works);
        }
        let is_master = |idx: &usize| {
            self.identities.get(*idx).is_some_and(|i| i.groups.iter().any(|g| g == MASTERS))
        };
        let masters = user.groups.iter().any(|group| group == MASTERS);
        if masters && !found.iter().any(|idx| works(idx) && is_master(idx)) {
            found.extend(&self.creators);
            if found.iter().any(works) {
                found.retain(works);
            }
        }
        let component = found.iter().any(|&idx| {
            self.identities.get(idx).is_some_and(|identity| {
                identity.entry_type.as_deref().is_some_and(|of| of != "STANDARD")
                    || (is_row(identity.kind)
                        && rbac::defaults::is_node_username(&identity.username))
            })
        });
        let kind = found.first().and_then(|&idx| self.identities.get(idx)).map(|i| i.kind);
        Who { kind, identities: found, component }
    }

    /// Grants that could serve a request of `subject`, effective or not, in order.
    #[must_use]
    pub fn candidates(&self, who: &Who, subject: &KubeUser, via: Via) -> Vec<usize> {
        let mut found = Vec::new();
        // Access policies and mappings belong to the principal, not to the name it takes on.
        if via == Via::Direct {
            for identity in &who.identities {
                found.extend(self.of_identity.get(identity).into_iter().flatten().copied().filter(
                    |&idx| {
                        let group = self.grants.get(idx).and_then(|g| g.group.as_ref());
                        group.is_none_or(|group| {
                            subject.groups.iter().any(|carried| template_matches(group, carried))
                        })
                    },
                ));
            }
        }
        let mut take = |subject: &Subject| {
            found.extend(self.of_subject.get(subject).into_iter().flatten().copied());
        };
        take(&Subject::User(subject.username.clone()));
        for group in &subject.groups {
            take(&Subject::Group(group.clone()));
        }
        if let Some((namespace, name)) = service_account::parts(&subject.username) {
            take(&Subject::ServiceAccount {
                namespace: namespace.to_owned(),
                name: name.to_owned(),
            });
        }
        found.sort_unstable();
        found.dedup();
        found
    }

    /// True when `grant` allows `permission`; an unpublished or missing rule set allows nothing
    /// that can be shown.
    #[must_use]
    pub fn allows(&self, grant: usize, permission: &Permission) -> bool {
        let Some(grant) = self.grants.get(grant) else { return false };
        match &grant.allows {
            Allows::Everything => true,
            Allows::Rules(rules) => rbac::covers(rules, permission),
            Allows::Unpublished | Allows::Hole | Allows::AwsRole => false,
        }
    }

    /// The rules of a grant, where they are known and finite.
    #[must_use]
    pub fn rules(&self, grant: usize) -> &[ScopedRule] {
        match self.grants.get(grant).map(|grant| &grant.allows) {
            Some(Allows::Rules(rules)) => rules,
            _ => &[],
        }
    }

    /// Among `candidates`, the grants that the authorizer's reason names. A group binding names two:
    /// the binding, and the mapping that gave the caller the group.
    #[must_use]
    pub fn credited(
        &self,
        candidates: &[usize],
        subject: &KubeUser,
        credit: &Credit,
    ) -> Vec<usize> {
        let matches = |grant: &Grant| match credit {
            Credit::RbacBinding { binding_namespace, binding, subject: named, .. } => {
                let by_binding = grant.kind == GrantKind::RbacSubject
                    && grant.grant_ref == binding_ref(binding_namespace.as_deref(), binding)
                    && matches!(&grant.holder, Holder::Subject(held) if held == named);
                let by_group = matches!(named, Subject::Group(group)
                    if self.group_reaches(grant, group, binding_namespace.as_deref(), binding));
                by_binding || by_group
            }
            Credit::AccessPolicy { policy_arn, .. } => {
                grant.kind == GrantKind::AccessPolicy && grant.grant_ref == *policy_arn
            }
            Credit::Empty => {
                subject.groups.iter().any(|group| group == MASTERS)
                    && grant.allows == Allows::Everything
            }
            Credit::Other => false,
        };
        candidates
            .iter()
            .copied()
            .filter(|&idx| self.grants.get(idx).is_some_and(matches))
            .collect()
    }

    /// Grants of the entry and policy that a reason names.
    pub fn policy_grants<'s>(&'s self, credit: &'s Credit) -> impl Iterator<Item = usize> + 's {
        let is_named = move |grant: &Grant| match credit {
            Credit::AccessPolicy { principal_arn, policy_arn, principal_id, .. } => {
                let same = match grant.principal_id.as_deref() {
                    Some(id) if !principal_id.is_empty() => id == principal_id,
                    _ => grant.principal == *principal_arn,
                };
                grant.kind == GrantKind::AccessPolicy && grant.grant_ref == *policy_arn && same
            }
            _ => false,
        };
        let grants = self.grants.iter().enumerate();
        grants.filter(move |(_, grant)| is_named(grant)).map(|(idx, _)| idx)
    }

    /// Bindings to `group`, as grants.
    pub fn bindings_of_group(&self, group: &str) -> impl Iterator<Item = usize> {
        self.of_subject.get(&Subject::Group(group.to_owned())).into_iter().flatten().copied()
    }

    fn group_reaches(
        &self,
        grant: &Grant,
        group: &str,
        namespace: Option<&str>,
        binding: &str,
    ) -> bool {
        let wanted = binding_ref(namespace, binding);
        rbac::gives_group(grant, group)
            && self
                .bindings_of_group(group)
                .any(|idx| self.grants.get(idx).is_some_and(|g| g.grant_ref == wanted))
    }
}

/// `ClusterRoleBinding/x` or `RoleBinding/ns/x`.
#[must_use]
pub fn binding_ref(namespace: Option<&str>, name: &str) -> String {
    match namespace {
        Some(namespace) => format!("RoleBinding/{namespace}/{name}"),
        None => format!("ClusterRoleBinding/{name}"),
    }
}

/// True when the IAM authenticator made this user.
#[must_use]
pub fn is_iam(user: &KubeUser) -> bool {
    user.uid.starts_with("aws-iam-authenticator:")
        || user.uid.starts_with("heptio-authenticator-aws:")
}

fn is_row(kind: IdentityKind) -> bool {
    matches!(kind, IdentityKind::AwsAuthRole | IdentityKind::AwsAuthUser)
}

fn could_issue(provider: &OidcProvider, user: &KubeUser) -> bool {
    let prefix = match provider.username_prefix.as_deref() {
        Some("-") => String::new(),
        Some(prefix) => prefix.to_owned(),
        None if provider.username_claim == "email" => String::new(),
        None => format!("{}#", provider.issuer_url),
    };
    // Without a prefix any plain name could be the provider's, unless a certificate proves itself.
    user.username.starts_with(&prefix) && !user.credential_id.starts_with("X509SHA256=")
}

#[cfg(test)]
mod tests;
