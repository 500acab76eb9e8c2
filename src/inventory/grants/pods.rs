//! Grants from ServiceAccounts to IAM roles: Pod Identity associations and IRSA annotations.

use crate::model::grant::{Allows, GrantKind, Holder, IdentityKind, Ineffective, Member};
use crate::model::inventory::{IamPrincipal, Subject};
use crate::model::service_account;
use crate::model::time::Micros;

use super::super::principals::folded_name;
use super::super::trust::{self, Trust};
use super::{Builder, account_of, ineffective_if};

struct PodGrant<'a> {
    kind: GrantKind,
    namespace: &'a str,
    name: &'a str,
    role_arn: &'a str,
    created_at: Option<Micros>,
    trust: Trust,
}

impl Builder<'_> {
    pub(super) fn grants_from_pods(&mut self) {
        let cluster = self.cluster;
        for association in cluster.pod_identities.iter().flatten() {
            let of = |role_arn, trust| PodGrant {
                kind: GrantKind::PodIdentity,
                namespace: &association.namespace,
                name: &association.service_account,
                role_arn,
                created_at: association.created_at.max(association.modified_at),
                trust,
            };
            let policy = self.trust_policy(&association.role_arn);
            let may = |action| {
                policy.map_or(Trust::Unknown, |policy| trust::pod_identity(policy, action))
            };
            let (trust, tagging) = (may(trust::ASSUME), may(trust::TAG));
            let id = self.push_pod_grant(&of(&association.role_arn, trust));
            if tagging == Trust::Denies
                && trust != Trust::Denies
                && !association.disable_session_tags
            {
                let what = format!(
                    "the trust policy of {} does not allow sts:TagSession to EKS Pod Identity",
                    association.role_arn
                );
                self.note(Some(&id), "no_tag_session", what);
            }
            if let Some(target) = &association.target_role_arn {
                // The second hop trusts the first role, in conditions this does not evaluate.
                self.push_pod_grant(&of(target, Trust::Unknown));
            }
        }
        let issuer =
            cluster.cluster.as_ref().and_then(|c| c.oidc_issuer.clone()).unwrap_or_default();
        let accounts = self.kubernetes().map(|k| k.service_accounts.as_slice());
        for account in accounts.unwrap_or_default() {
            let Some(role_arn) = &account.role_arn else { continue };
            let trust = match self.trust_policy(role_arn) {
                Some(policy) if !issuer.is_empty() => trust::irsa(policy, &issuer, account),
                _ => Trust::Unknown,
            };
            self.push_pod_grant(&PodGrant {
                kind: GrantKind::Irsa,
                namespace: &account.namespace,
                name: &account.name,
                role_arn,
                // The annotation carries no date: the log may, see the timeline.
                created_at: account.created_at.max(self.made_at(role_arn)),
                trust,
            });
        }
    }

    /// The id of the grant.
    fn push_pod_grant(&mut self, of: &PodGrant<'_>) -> String {
        let principal = format!("{}/{}", of.namespace, of.name);
        let mut grant = self.grant(of.kind, "service_account", &principal, of.role_arn);
        grant.identity_kind = Some(IdentityKind::ServiceAccount);
        grant.principal_id = self.iam_id(of.role_arn);
        grant.scope = "namespace";
        grant.namespaces = vec![of.namespace.to_owned()];
        grant.valid_from = of.created_at;
        grant.holder = Holder::Subject(Subject::ServiceAccount {
            namespace: of.namespace.to_owned(),
            name: of.name.to_owned(),
        });
        grant.allows = Allows::AwsRole;
        let deleted = self.role_is_gone(of.role_arn);
        grant.ineffective = ineffective_if(deleted, Ineffective::DeletedPrincipal)
            .or(ineffective_if(of.trust == Trust::Denies, Ineffective::TrustDenies));
        // An association may name a ServiceAccount that does not exist yet: said, not judged.
        if self.account_is_missing(of) {
            let what = format!("the ServiceAccount {principal} does not exist");
            self.note(Some(&grant.id.clone()), "no_service_account", what);
        }
        if of.trust == (Trust::Allows { by_wildcard: true }) {
            let what = format!("the trust policy of {} lets more than {principal} in", of.role_arn);
            self.note(Some(&grant.id.clone()), "wildcard_trust", what);
        }
        self.found.members.push(Member {
            grant: self.found.grants.len(),
            principal_id: String::new(),
            username: service_account::username(of.namespace, of.name),
            via_identity: IdentityKind::ServiceAccount,
            via_group: String::new(),
        });
        let id = grant.id.clone();
        self.found.grants.push(grant);
        id
    }

    fn role_record(&self, arn: &str) -> Option<&IamPrincipal> {
        self.iam.get(&folded_name(arn)?)?.first().copied()
    }

    fn made_at(&self, role_arn: &str) -> Option<Micros> {
        self.role_record(role_arn)?.created_at
    }

    fn trust_policy(&self, arn: &str) -> Option<&str> {
        self.role_record(arn)?.trust_policy.as_deref()
    }

    fn role_is_gone(&self, arn: &str) -> bool {
        let own_account = account_of(arn).as_deref() == Some(self.cluster.account.as_str());
        let roles = self.cluster.iam_roles.as_ref();
        let whole = roles.is_some_and(|roles| self.is_whole(roles, "iam-roles"));
        own_account && whole && self.role_record(arn).is_none()
    }

    fn account_is_missing(&self, of: &PodGrant<'_>) -> bool {
        self.kubernetes().is_some_and(|kubernetes| {
            let all = &kubernetes.service_accounts;
            !all.is_empty()
                && !all.iter().any(|sa| sa.namespace == of.namespace && sa.name == of.name)
        })
    }
}
