//! What was seen of each grant: use through the API server, or sessions of its IAM role.
//!
//! Input: joined use and resolved sessions. Output: one [`Evidence`] per grant. Counting is
//! idempotent where verdicts rest on it: sets of permissions, first, last, distinct days.

use std::collections::{BTreeMap, BTreeSet};

use rustc_hash::FxHashMap;

use crate::join::cluster::Cluster;
use crate::join::sessions::texts::Text;
use crate::join::sessions::{Session, Sessions};
use crate::join::usage::Usage;
use crate::model::arn::{PrincipalName, issuer_id};
use crate::model::fact::{IssuedBy, KubeUser, Via};
use crate::model::grant::{Grant, GrantKind, Holder, IdentityKind};
use crate::model::inventory::Subject;
use crate::model::permission::Permission;
use crate::model::service_account;
use crate::model::time::{Day, Micros, Window};

/// What was seen of one grant.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Evidence<'a> {
    /// Indices into [`Usage::uses`].
    pub uses: Vec<usize>,
    /// Distinct permissions used, sorted.
    pub permissions: Vec<&'a Permission>,
    /// Indices into [`Usage::members`].
    pub members: BTreeSet<usize>,
    /// True when the authorizer named the grant, not only evaluation.
    pub credited: bool,
    /// Earliest use.
    pub first: Option<Micros>,
    /// Earliest use that the authorizer, or the session itself, put down to this grant.
    pub first_credited: Option<Micros>,
    /// Latest use.
    pub last: Option<Micros>,
    /// Distinct days with use.
    pub days: BTreeSet<Day>,
    /// Requests, or sessions issued.
    pub count: i64,
}

/// What a verdict and a finding say of [`Evidence`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Observed {
    /// Who used it.
    pub members: usize,
    /// Distinct permissions used.
    pub permissions: usize,
    /// Earliest use.
    pub first: Option<Micros>,
    /// Latest use.
    pub last: Option<Micros>,
    /// Distinct days with use.
    pub days: usize,
    /// Requests, or sessions issued.
    pub count: i64,
}

impl Evidence<'_> {
    /// In numbers.
    #[must_use]
    pub fn observed(&self) -> Observed {
        Observed {
            members: self.members.len(),
            permissions: self.permissions.len(),
            first: self.first,
            last: self.last,
            days: self.days.len(),
            count: self.count,
        }
    }

    /// True when the grant was used at all.
    #[must_use]
    pub fn is_used(&self) -> bool {
        self.first.is_some()
    }

    fn credit(&mut self, at: Micros) {
        self.first_credited = Some(self.first_credited.map_or(at, |known| known.min(at)));
    }

    fn see(
        &mut self,
        first: Micros,
        last: Micros,
        days: impl IntoIterator<Item = Day>,
        count: i64,
    ) {
        self.first = Some(self.first.map_or(first, |at| at.min(first)));
        self.last = Some(self.last.map_or(last, |at| at.max(last)));
        self.days.extend(days);
        self.count += count;
    }
}

/// Evidence for every grant of a cluster, in grant order. `issuer` is the cluster's
/// own OIDC issuer.
#[must_use]
pub fn collect<'a>(
    cluster: &Cluster<'_>,
    usage: &'a Usage,
    sessions: &Sessions,
    issuer: Option<&str>,
    window: Window,
) -> Vec<Evidence<'a>> {
    let mut all = vec![Evidence::default(); cluster.grants.len()];
    for (use_idx, used) in usage.uses.iter().enumerate() {
        for &(grant, credited) in &used.grants {
            let valid_from = cluster.grants.get(grant).and_then(|grant| grant.valid_from);
            let Some(evidence) = all.get_mut(grant) else { continue };
            let mut first = used.first;
            if credited {
                evidence.credit(first);
            } else if let Some(from) = valid_from {
                // It covers the request, but was not there: others carried it.
                if used.last < from {
                    continue;
                }
                first = first.max(from);
            }
            evidence.uses.push(use_idx);
            evidence.permissions.push(&used.permission);
            evidence.members.insert(used.member);
            evidence.credited |= credited;
            let days = used.days.iter().copied().filter(|day| *day >= first.day());
            evidence.see(first, used.last, days, used.count);
        }
    }
    for evidence in &mut all {
        evidence.permissions.sort();
        evidence.permissions.dedup();
    }
    see_sessions(&mut all, cluster.grants, sessions, issuer, window);
    all
}

/// Notes the sessions that pods opened through their associations and annotations.
fn see_sessions(
    all: &mut [Evidence<'_>],
    grants: &[Grant],
    sessions: &Sessions,
    issuer: Option<&str>,
    window: Window,
) {
    let mut by_role: BTreeMap<PrincipalName, Vec<usize>> = BTreeMap::new();
    for (idx, grant) in grants.iter().enumerate() {
        if matches!(grant.kind, GrantKind::PodIdentity | GrantKind::Irsa)
            && let Some(role) = PrincipalName::from_arn(&grant.grant_ref)
        {
            by_role.entry(role).or_default().push(idx);
        }
    }
    if by_role.is_empty() {
        return;
    }
    // Millions of sessions share few roles: each ARN is read once.
    let mut of_arn: FxHashMap<Text, Vec<usize>> = FxHashMap::default();
    for session in sessions.all.iter().filter(|session| window.contains(session.issued_at)) {
        let candidates = of_arn.entry(session.role_arn).or_insert_with(|| {
            let role = PrincipalName::from_arn(sessions.text(session.role_arn));
            role.and_then(|role| by_role.get(&role)).cloned().unwrap_or_default()
        });
        for &idx in candidates.iter() {
            let (Some(grant), Some(evidence)) = (grants.get(idx), all.get_mut(idx)) else {
                continue;
            };
            if is_session_of(sessions, session, grant, issuer) {
                evidence.credited |= names_service_account(sessions, session);
                let at = session.issued_at;
                evidence.credit(at);
                evidence.see(at, at, [at.day()], 1);
            }
        }
    }
}

/// True when the session of the grant's role was issued through this association or annotation.
fn is_session_of(
    sessions: &Sessions,
    session: &Session,
    grant: &Grant,
    issuer: Option<&str>,
) -> bool {
    let Holder::Subject(Subject::ServiceAccount { namespace, name }) = &grant.holder else {
        return false;
    };
    match grant.kind {
        GrantKind::Irsa => {
            // Two clusters may have an account of one name: the provider tells them apart.
            let provider = sessions.text(session.provider);
            let of_cluster = provider.is_empty()
                || issuer.is_none_or(|issuer| issuer_id(issuer) == issuer_id(provider));
            session.issued_by == IssuedBy::WebIdentity
                && of_cluster
                && sessions.text(session.subject) == service_account::username(namespace, name)
        }
        GrantKind::PodIdentity => {
            let tag = |key| sessions.tag(session, key);
            let (namespace_tag, account_tag) =
                (tag("kubernetes-namespace"), tag("kubernetes-service-account"));
            if let (Some(ns), Some(sa)) = (namespace_tag, account_tag) {
                let cluster = tag("eks-cluster-arn");
                return ns == namespace
                    && sa == name
                    && cluster.is_none_or(|arn| arn == grant.cluster);
            }
            // Associations may switch session tags off; then only the role tells, and of a target
            // role that the session which asked for it was a pod's.
            let parent = session.parent().and_then(|idx| sessions.get(idx));
            [Some(session), parent]
                .into_iter()
                .flatten()
                .any(|session| session.issued_by == IssuedBy::PodIdentity)
        }
        _ => false,
    }
}

fn names_service_account(sessions: &Sessions, session: &Session) -> bool {
    session.issued_by == IssuedBy::WebIdentity
        || sessions.tag(session, "kubernetes-service-account").is_some()
}

/// Classes of callers that a log pipeline may drop as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// IAM principals.
    Iam,
    /// ServiceAccounts.
    ServiceAccount,
    /// External users: OIDC and certificates.
    External,
}

/// Which classes were seen reading and writing, allowed or refused.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ClassesSeen {
    seen: BTreeSet<(Class, bool)>,
}

impl ClassesSeen {
    /// Notes a request.
    pub fn note(&mut self, caller: &KubeUser, via: Via, permission: &Permission) {
        if via == Via::Direct
            && let Some(class) = class_of_user(caller)
        {
            self.seen.insert((class, is_read(&permission.verb)));
        }
    }

    /// True when requests of this class and kind reach the logs at all.
    #[must_use]
    pub fn has(&self, class: Class, reads: bool) -> bool {
        self.seen.contains(&(class, reads))
    }
}

fn class_of_user(user: &KubeUser) -> Option<Class> {
    if crate::join::cluster::is_iam(user) {
        Some(Class::Iam)
    } else if user.username.starts_with(service_account::PREFIX) {
        Some(Class::ServiceAccount)
    } else if user.username.is_empty() || user.username.starts_with("system:") {
        None
    } else {
        Some(Class::External)
    }
}

/// The class a grant serves, where it is one.
#[must_use]
pub fn class_of_grant(grant: &Grant) -> Option<Class> {
    match grant.identity_kind? {
        IdentityKind::AccessEntry
        | IdentityKind::AwsAuthRole
        | IdentityKind::AwsAuthUser
        | IdentityKind::AwsAuthAccount
        | IdentityKind::ClusterCreator => Some(Class::Iam),
        IdentityKind::ServiceAccount => Some(Class::ServiceAccount),
        IdentityKind::Oidc | IdentityKind::X509 => Some(Class::External),
    }
}

/// True for verbs that change nothing.
#[must_use]
pub fn is_read(verb: &str) -> bool {
    matches!(verb, "get" | "list" | "watch" | "head" | "options")
}
