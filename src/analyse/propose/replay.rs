//! Would everything that was done still be allowed after the changes, all of them at once?
//!
//! Input: use with its access paths, and the changes. Output: the uses that would be refused, and the
//! changes that take from a writer of roles the rights it gives away: the API server lets nobody hand
//! out what he does not hold, and that check leaves no line in the log. Source:
//! <https://kubernetes.io/docs/reference/access-authn-authz/rbac/#privilege-escalation-prevention-and-bootstrapping>.

use std::collections::{BTreeMap, BTreeSet};

use crate::analyse::evidence::is_read;
use crate::analyse::paths::Paths;
use crate::join::cluster::Cluster;
use crate::join::usage::{Member, Usage};
use crate::model::arn::PrincipalName;
use crate::model::grant::{Allows, Grant, Holder};
use crate::model::inventory::Subject;
use crate::model::permission::{Permission, Rule, Scope, ScopedRule};
use crate::model::service_account;
use crate::rbac;

const RBAC: &str = "rbac.authorization.k8s.io";
const CERTIFICATES: &str = "certificates.k8s.io";

/// What becomes of grants: `None` where one goes, else the rules in its place.
pub type Changes = BTreeMap<usize, Option<Vec<ScopedRule>>>;

/// A cluster's use, ready to be replayed.
pub struct Replay<'a> {
    cluster: &'a Cluster<'a>,
    usage: &'a Usage,
    paths: &'a BTreeMap<usize, Paths>,
    writers: BTreeMap<usize, Writer>,
}

/// A member that gave rights away, or approved certificates.
struct Writer {
    /// Grants that carried any of its requests, or could.
    grants: BTreeSet<usize>,
    wrote_rbac: bool,
    approved: bool,
}

impl<'a> Replay<'a> {
    /// Looks for writers among the members of the cluster.
    #[must_use]
    pub fn new(
        cluster: &'a Cluster<'a>,
        usage: &'a Usage,
        paths: &'a BTreeMap<usize, Paths>,
    ) -> Self {
        let mut writers: BTreeMap<usize, Writer> = BTreeMap::new();
        for used in &usage.uses {
            let (wrote_rbac, approved) =
                (writes_rbac(&used.permission), approves(&used.permission));
            if wrote_rbac || approved {
                let writer = writers.entry(used.member).or_insert(Writer {
                    grants: BTreeSet::new(),
                    wrote_rbac: false,
                    approved: false,
                });
                writer.wrote_rbac |= wrote_rbac;
                writer.approved |= approved;
            }
        }
        for used in &usage.uses {
            if let Some(writer) = writers.get_mut(&used.member) {
                writer.grants.extend(used.grants.iter().map(|(grant, _)| *grant));
            }
        }
        // What serves it without having been used may be what it hands out.
        for (member, writer) in &mut writers {
            let Some(member) = usage.members.get(*member) else { continue };
            let all = cluster.grants.iter().enumerate();
            writer.grants.extend(all.filter(|(_, g)| serves(cluster, g, member)).map(|(i, _)| i));
        }
        Replay { cluster, usage, paths, writers }
    }

    /// Uses that some grant carries now and none would carry then. A use that no grant of the
    /// inventory explains is not the business of any change.
    #[must_use]
    pub fn refused(&self, changes: &Changes) -> Vec<usize> {
        self.refused_of(changes, self.paths.keys().copied())
    }

    /// The same, looking at some uses only.
    #[must_use]
    pub fn refused_of(
        &self,
        changes: &Changes,
        uses: impl IntoIterator<Item = usize>,
    ) -> Vec<usize> {
        let refused = uses.into_iter().filter(|idx| {
            self.paths.get(idx).is_some_and(|paths| {
                let touched = paths.iter().flatten().any(|grant| changes.contains_key(grant));
                touched && !self.allowed(*idx, paths, changes)
            })
        });
        refused.collect()
    }

    fn allowed(&self, idx: usize, paths: &Paths, changes: &Changes) -> bool {
        let Some(used) = self.usage.uses.get(idx) else { return true };
        let in_place = |grant: &usize| changes.get(grant).map(Option::as_deref);
        paths.iter().any(|path| {
            // What stands in for a mapping to a group brings rules of its own.
            let by_itself = path.iter().any(|grant| {
                let is_mapping = self.cluster.grants.get(*grant).is_some_and(|g| g.group.is_some());
                is_mapping
                    && in_place(grant)
                        .flatten()
                        .is_some_and(|rules| rbac::covers(rules, &used.permission))
            });
            by_itself
                || path.iter().all(|grant| match in_place(grant) {
                    None => true,
                    Some(None) => false,
                    Some(Some(rules)) => rbac::covers(rules, &used.permission),
                })
        })
    }

    /// Why a change may take away a right that is needed and leaves no trace; `None` when it does not.
    #[must_use]
    pub fn needs_rights(&self, grant: usize, changes: &Changes) -> Option<String> {
        for (member, writer) in &self.writers {
            if !writer.grants.contains(&grant) {
                continue;
            }
            let kept = |covers: &dyn Fn(&Grant) -> bool| {
                writer.grants.iter().any(|idx| {
                    let found = self.cluster.grants.get(*idx).filter(|g| g.ineffective.is_none());
                    !changes.contains_key(idx) && found.is_some_and(covers)
                })
            };
            let who = self.usage.members.get(*member).map_or("", |member| &member.username);
            if writer.wrote_rbac && !kept(&gives_anything) {
                return Some(format!(
                    "{who} writes roles or bindings, and may hand out only what it holds"
                ));
            }
            if writer.approved && !kept(&|grant| allows(grant, &of_signers("approve"))) {
                return Some(format!(
                    "{who} approves certificates: that also needs approve on the signer, which leaves \
                     no line"
                ));
            }
        }
        None
    }
}

fn writes_rbac(permission: &Permission) -> bool {
    permission.api_group == RBAC
        && matches!(permission.verb.as_str(), "create" | "update" | "patch")
}

fn approves(permission: &Permission) -> bool {
    permission.api_group == CERTIFICATES
        && permission.resource == "certificatesigningrequests"
        && matches!(permission.subresource.as_str(), "approval" | "status")
        && matches!(permission.verb.as_str(), "update" | "patch")
}

fn of_signers(verb: &str) -> Permission {
    Permission {
        verb: verb.to_owned(),
        api_group: CERTIFICATES.to_owned(),
        resource: "signers".to_owned(),
        ..Permission::default()
    }
}

/// True for who may hand out any right: everything is his, or he may escalate and bind.
fn gives_anything(grant: &Grant) -> bool {
    let may = |verb: &str| {
        ["roles", "clusterroles"].iter().all(|resource| {
            let permission = Permission {
                verb: verb.to_owned(),
                api_group: RBAC.to_owned(),
                resource: (*resource).to_owned(),
                ..Permission::default()
            };
            allows(grant, &permission)
        })
    };
    may("escalate") && may("bind")
}

fn allows(grant: &Grant, permission: &Permission) -> bool {
    match &grant.allows {
        Allows::Everything => true,
        Allows::Rules(rules) => rbac::covers(rules, permission),
        Allows::Unpublished | Allows::Hole | Allows::AwsRole => false,
    }
}

/// True when a grant can serve the member, used or not.
fn serves(cluster: &Cluster<'_>, grant: &Grant, member: &Member) -> bool {
    match &grant.holder {
        Holder::Identity(idx) => cluster.identities.get(*idx).is_some_and(|identity| {
            let by_id =
                identity.principal_id.as_deref().is_some_and(|id| id == member.principal_id);
            let name = |arn: &str| PrincipalName::from_arn(arn).map(PrincipalName::folded);
            let member_name = name(&member.username);
            by_id || (member_name.is_some() && member_name == name(&identity.principal))
        }),
        Holder::Subject(Subject::User(name)) => *name == member.username,
        Holder::Subject(Subject::Group(group)) => member.groups.contains(group),
        Holder::Subject(Subject::ServiceAccount { namespace, name }) => {
            member.username == service_account::username(namespace, name)
        }
    }
}

/// The rules on core events that a grant holds in the places where `rules` hold: the audit policy of
/// EKS drops events, so that their use cannot be seen and must not be taken away unseen. Who only ever
/// reads in a place keeps reading them.
#[must_use]
pub fn kept_events(granted: &[ScopedRule], rules: &[ScopedRule]) -> Vec<ScopedRule> {
    let scopes: BTreeSet<&Scope> = rules.iter().map(|scoped| &scoped.scope).collect();
    let mut kept = Vec::new();
    for scope in scopes {
        let namespace = match scope {
            Scope::Namespace(namespace) => namespace.as_str(),
            Scope::Cluster | Scope::NamespaceGlobs(_) => "",
        };
        let writes = rules
            .iter()
            .filter(|scoped| scoped.scope == *scope)
            .flat_map(|scoped| &scoped.rule.verbs)
            .any(|verb| !is_read(verb));
        let verbs: &[&str] = if writes {
            &["create", "get", "list", "patch", "update", "watch"]
        } else {
            &["get", "list", "watch"]
        };
        let of_verb = |verb: &&str| Permission {
            verb: (*verb).to_owned(),
            resource: "events".to_owned(),
            namespace: namespace.to_owned(),
            ..Permission::default()
        };
        let verbs = verbs.iter().map(of_verb);
        let verbs = verbs.filter(|p| rbac::covers(granted, p) && !rbac::covers(rules, p));
        let verbs: Vec<String> = verbs.map(|permission| permission.verb).collect();
        if !verbs.is_empty() {
            let rule = Rule {
                verbs,
                api_groups: vec![String::new()],
                resources: vec!["events".to_owned()],
                ..Rule::default()
            };
            kept.push(ScopedRule { scope: scope.clone(), rule });
        }
    }
    kept
}
