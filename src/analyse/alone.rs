//! What CloudTrail alone says of a grant, where the audit log cannot.
//!
//! A role for which no session was issued, which made no call and whose token nobody redeemed has
//! not been at any cluster: silence in a fully covered trail is proof. An IAM user needs no session;
//! of it only the redemption would show. Redemption (`GetCallerIdentity`
//! by the EKS authenticator) names no cluster, so its presence proves nothing of this one; its absence
//! counts only where it is calibrated. Source:
//! <https://docs.aws.amazon.com/eks/latest/userguide/logging-using-cloudtrail.html>.

use std::collections::BTreeSet;

use crate::join::presence::Seen;
use crate::model::arn::{PrincipalKind, PrincipalName};
use crate::model::grant::{Grant, GrantKind, Holder, Identity, IdentityKind};
use crate::model::inventory::Subject;
use crate::model::time::Micros;
use crate::rbac::{carries_group, template_matches};

use super::coverage::Covered;
use super::verdict::Case;

/// Why silence is proof.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Silent {
    /// No session, no call.
    NoSession,
    /// Sessions, but no token was redeemed, and every audited one leaves a redemption.
    NoTokenRedeemed,
}

/// What CloudTrail says of the principals that a grant serves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alone {
    /// Set when nobody it serves can have used it.
    pub silent: Option<Silent>,
    /// What was seen of them, the latest of each.
    pub seen: Seen,
    /// Hours in which the trails of all their accounts are covered.
    pub covered: Covered,
}

impl Alone {
    /// Why nothing can be said, as a code and for people.
    pub(super) fn words(&self) -> (&'static str, String) {
        let last = self.seen.last_redeemed.or(self.seen.last);
        let when = last.map(|at| at.day().to_iso()).unwrap_or_default();
        let how = if self.seen.last_redeemed.is_some() {
            "redeemed a token of EKS"
        } else {
            "had a session or made a call"
        };
        let detail =
            format!("someone it serves last {how} on {when}; what was done needs the audit log");
        ("authenticated_no_audit_log", detail)
    }
}

/// Looks at a grant that IAM principals hold; `None` for all others, and where the principals cannot
/// be enumerated.
#[must_use]
pub fn look(case: &Case<'_>, grant: &Grant) -> Option<Alone> {
    let principals = principals_of(case, grant)?;
    let mut seen = Seen::default();
    let mut covered: Option<Covered> = None;
    let mut accounts = BTreeSet::new();
    // A role's session is always issued, and issuing it is always logged. A user signs tokens with
    // a key of its own: only the redemption shows.
    let mut need_sessions = true;
    let mut shows_sessions = true;
    let mut calibrated = true;
    for identity in principals {
        need_sessions &= !is_user(&identity.principal);
        let one = case.presence.of(identity.principal_id.as_deref(), &identity.principal);
        seen.last = seen.last.max(one.last);
        seen.last_redeemed = seen.last_redeemed.max(one.last_redeemed);
        let account = PrincipalName::from_arn(&identity.principal)?.account;
        calibrated &= case.calibrated.contains(&account);
        shows_sessions &= case.coverage.shows_sessions(&account);
        if accounts.insert(account.clone()) {
            let hours = case.coverage.cloudtrail(&account);
            covered = Some(match covered {
                None => hours,
                Some(before) => before.and(&hours),
            });
        }
    }
    let silent = match (seen.last, seen.last_redeemed) {
        _ if !shows_sessions => None,
        (None, _) if need_sessions || calibrated => Some(Silent::NoSession),
        (Some(_), None) if calibrated => Some(Silent::NoTokenRedeemed),
        _ => None,
    };
    Some(Alone { silent, seen, covered: covered? })
}

fn is_user(arn: &str) -> bool {
    PrincipalName::from_arn(arn).is_none_or(|name| name.kind != PrincipalKind::Role)
}

/// When anyone a grant serves was last seen: the latest redemption, else the latest sign of life.
#[must_use]
pub fn last_authenticated(case: &Case<'_>, grant: &Grant) -> Option<Micros> {
    let principals = principals_of(case, grant)?;
    let seen = principals
        .into_iter()
        .map(|identity| case.presence.of(identity.principal_id.as_deref(), &identity.principal));
    seen.filter_map(|seen| seen.last_redeemed.or(seen.last)).max()
}

/// The IAM principals a grant serves; `None` where they are not all IAM principals or not all known.
fn principals_of<'a>(case: &'a Case<'_>, grant: &Grant) -> Option<Vec<&'a Identity>> {
    let identities = case.cluster.identities;
    let is_principal = |identity: &Identity| {
        matches!(
            identity.kind,
            IdentityKind::AccessEntry | IdentityKind::AwsAuthRole | IdentityKind::AwsAuthUser
        )
    };
    match &grant.holder {
        Holder::Identity(idx) => {
            let identity = identities.get(*idx)?;
            is_principal(identity).then(|| vec![identity])
        }
        Holder::Subject(subject) => {
            if grant.kind != GrantKind::RbacSubject || grant.open_ended {
                return None;
            }
            let mut found = Vec::new();
            for identity in identities.iter().filter(|identity| identity.ineffective.is_none()) {
                let carries = match subject {
                    Subject::Group(group) => carries_group(identity, group),
                    Subject::User(name) => template_matches(&identity.username, name),
                    Subject::ServiceAccount { .. } => false,
                };
                if carries {
                    if !is_principal(identity) {
                        return None;
                    }
                    found.push(identity);
                }
            }
            (!found.is_empty()).then_some(found)
        }
    }
}
