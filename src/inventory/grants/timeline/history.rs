//! The changes of a cluster, sorted by what they are about.
//!
//! Input: change facts in order of time. Output: the steps of every entry, policy, group, row,
//! association, binding, role and provider. Nothing here knows the inventory.

use std::collections::BTreeMap;

use crate::decode::aws_auth;
use crate::model::arn::PrincipalName;
use crate::model::fact::{ChangeFact, ChangeKind};
use crate::model::grant::{Grant, GrantKind, Holder, IdentityKind};
use crate::model::inventory::Subject;
use crate::model::time::Micros;

use super::super::super::principals::folded_name;
use super::life::{EVERYWHERE, HELD, Life, Step};
use super::listing::{Listings, Moment};

/// The subject of changes to the ConfigMap.
pub(super) const AWS_AUTH: &str = "aws-auth";

/// `ns/sa` and role.
pub(super) type Pod = (String, String);

#[derive(Debug, Default)]
pub(super) struct History {
    /// Entry and policy.
    pub(super) policies: BTreeMap<(PrincipalName, String), Vec<Step>>,
    /// Groups of entries.
    pub(super) groups: Listings<PrincipalName>,
    pub(super) entries: BTreeMap<PrincipalName, Vec<Step>>,
    pub(super) pods: BTreeMap<Pod, Vec<Step>>,
    /// Subjects of bindings as `Group:x`; rows of aws-auth.
    pub(super) subjects: Listings<String>,
    /// Role of a binding when it was last seen.
    pub(super) role_of: BTreeMap<String, String>,
    /// `ClusterRole/x`, `Role/ns/x`.
    pub(super) roles: BTreeMap<String, Vec<Step>>,
    /// Identity provider configurations by name.
    pub(super) providers: BTreeMap<String, Vec<Step>>,
    pub(super) modes: Vec<Step>,
    /// When and by whom the cluster was made.
    pub(super) creator: Option<(Micros, String)>,
    /// An entry's ARN as the log wrote it.
    pub(super) arns: BTreeMap<PrincipalName, String>,
}

impl History {
    pub(super) fn of(changes: &[(Micros, &ChangeFact)]) -> Self {
        let mut history = History::default();
        let mut associations: BTreeMap<&str, Vec<Pod>> = BTreeMap::new();
        for &(at, change) in changes {
            let made = matches!(
                change.kind,
                ChangeKind::EntryMade
                    | ChangeKind::PodIdentityMade
                    | ChangeKind::ClusterMade
                    | ChangeKind::ObjectMade
            );
            let moment = Moment { at, actor: &change.actor, made };
            match change.kind {
                ChangeKind::EntryMade | ChangeKind::EntryChanged | ChangeKind::EntryDeleted => {
                    history.entry(change, moment);
                }
                ChangeKind::PolicyAttached | ChangeKind::PolicyDetached => {
                    history.policy(change, moment);
                }
                ChangeKind::PodIdentityMade | ChangeKind::PodIdentityChanged => {
                    let now = pods_of(change);
                    let before = if change.association_id.is_empty() {
                        None
                    } else {
                        associations.insert(&change.association_id, now.clone())
                    };
                    for key in before.into_iter().flatten().filter(|key| !now.contains(key)) {
                        history.pods.entry(key).or_default().push(moment.step(None));
                    }
                    for key in now {
                        history.pods.entry(key).or_default().push(moment.step(Some(HELD)));
                    }
                }
                ChangeKind::PodIdentityDeleted => {
                    let known = associations.remove(change.association_id.as_str());
                    let gone = if change.subject.is_empty() {
                        known.unwrap_or_default()
                    } else {
                        pods_of(change)
                    };
                    for key in gone {
                        history.pods.entry(key).or_default().push(moment.step(None));
                    }
                }
                ChangeKind::ProviderAttached | ChangeKind::ProviderDetached => {
                    let held = (change.kind == ChangeKind::ProviderAttached).then_some(HELD);
                    let steps = history.providers.entry(change.subject.clone()).or_default();
                    steps.push(moment.step(held));
                }
                ChangeKind::AuthModeChanged => {
                    history.modes.push(moment.step(Some(&change.reference)));
                }
                ChangeKind::ClusterMade => history.creator = Some((at, change.actor.clone())),
                ChangeKind::ObjectMade | ChangeKind::ObjectChanged | ChangeKind::ObjectDeleted => {
                    history.object(change, moment);
                }
            }
        }
        history
    }

    fn entry(&mut self, change: &ChangeFact, moment: Moment<'_>) {
        let Some(name) = self.named(change) else { return };
        if change.kind == ChangeKind::EntryDeleted {
            self.entries.entry(name.clone()).or_default().push(moment.step(None));
            for ((principal, _), steps) in &mut self.policies {
                if *principal == name {
                    steps.push(moment.step(None));
                }
            }
            self.groups.remove(&name, moment);
            return;
        }
        self.entries.entry(name.clone()).or_default().push(moment.step(Some(HELD)));
        // An update that does not speak of groups leaves them.
        if change.replaces {
            self.groups.replace(&name, &change.names, HELD, moment);
        }
    }

    fn policy(&mut self, change: &ChangeFact, moment: Moment<'_>) {
        let Some(name) = self.named(change) else { return };
        let joined = change.namespaces.join(",");
        let reach = if change.namespaces.is_empty() { EVERYWHERE } else { &joined };
        let reach = (change.kind == ChangeKind::PolicyAttached).then_some(reach);
        let key = (name, change.reference.clone());
        self.policies.entry(key).or_default().push(moment.step(reach));
    }

    fn object(&mut self, change: &ChangeFact, moment: Moment<'_>) {
        let gone = change.kind == ChangeKind::ObjectDeleted;
        let is_list = change.subject == AWS_AUTH || change.subject.contains("Binding/");
        if !is_list {
            let reach = (!gone).then_some(change.reference.as_str());
            self.roles.entry(change.subject.clone()).or_default().push(moment.step(reach));
            return;
        }
        if !change.reference.is_empty() {
            self.role_of.insert(change.subject.clone(), change.reference.clone());
        }
        if gone {
            self.subjects.remove(&change.subject, moment);
        } else if change.replaces {
            let reach = if change.reference.is_empty() { HELD } else { &change.reference };
            self.subjects.replace(&change.subject, &change.names, reach, moment);
        } else {
            self.subjects.unknown(&change.subject, moment);
        }
    }

    fn named(&mut self, change: &ChangeFact) -> Option<PrincipalName> {
        let name = folded_name(&change.subject)?;
        self.arns.insert(name.clone(), change.subject.clone());
        Some(name)
    }

    /// What the log says of a grant of the inventory.
    pub(super) fn life_of(&self, grant: &Grant) -> Life {
        match grant.kind {
            GrantKind::AccessPolicy | GrantKind::EntryGroup | GrantKind::None => {
                self.life_on_entry(grant)
            }
            GrantKind::PodIdentity => {
                let of_grant = |key: &&Pod| {
                    key.0 == grant.principal && folded_name(&key.1) == folded_name(&grant.grant_ref)
                };
                let key = self.pods.keys().find(of_grant);
                Life::of(key.and_then(|key| self.pods.get(key)).map_or(&[], Vec::as_slice))
            }
            GrantKind::RbacSubject => {
                let Holder::Subject(subject) = &grant.holder else { return Life::default() };
                self.subjects.life(&grant.grant_ref, &name_of(subject))
            }
            GrantKind::AwsAuthGroup => {
                let row = aws_auth::row_name(&grant.principal, &grant.grant_ref);
                self.subjects.life(&AWS_AUTH.to_owned(), &row)
            }
            GrantKind::Superuser => {
                let granted_by = self.creator.as_ref().map(|(_, actor)| actor.clone());
                Life { granted_by, ..Life::default() }
            }
            GrantKind::Irsa => {
                let mut life = self.life_of_role(&format!("ServiceAccount/{}", grant.principal));
                // An account that is away takes the annotation along, but the role stays.
                life.gone = life.gone.filter(|_| life.reach == grant.grant_ref);
                life
            }
        }
    }

    fn life_on_entry(&self, grant: &Grant) -> Life {
        let Some(name) = folded_name(&grant.principal) else { return Life::default() };
        let own = match grant.kind {
            GrantKind::AccessPolicy => {
                self.policies.get(&(name.clone(), grant.grant_ref.clone())).map(Vec::as_slice)
            }
            GrantKind::EntryGroup => self.groups.of(&name, &grant.grant_ref),
            _ => None,
        };
        // An entry that was deleted took what hung on it along, seen or not.
        let deleted = self.entries.get(&name).into_iter().flatten().filter(|step| {
            grant.identity_kind == Some(IdentityKind::AccessEntry) && step.reach.is_none()
        });
        let mut steps: Vec<Step> = own.into_iter().flatten().chain(deleted).cloned().collect();
        steps.sort();
        steps.dedup();
        Life::of(&steps)
    }

    /// What the log says of a role's rules.
    pub(super) fn life_of_role(&self, role_ref: &str) -> Life {
        Life::of(self.roles.get(role_ref).map_or(&[], Vec::as_slice))
    }
}

/// A subject as changes name it.
pub(super) fn name_of(subject: &Subject) -> String {
    match subject {
        Subject::User(name) => format!("User:{name}"),
        Subject::Group(name) => format!("Group:{name}"),
        Subject::ServiceAccount { namespace, name } => format!("ServiceAccount:{namespace}/{name}"),
    }
}

/// The subject that a change names: its kind, its name for people, and itself.
pub(super) fn subject_of(named: &str) -> Option<(&'static str, String, Subject)> {
    let (kind, name) = named.split_once(':')?;
    match kind {
        "User" => Some(("user", name.to_owned(), Subject::User(name.to_owned()))),
        "Group" => Some(("group", name.to_owned(), Subject::Group(name.to_owned()))),
        "ServiceAccount" => {
            let (namespace, account) = name.split_once('/')?;
            let subject = Subject::ServiceAccount {
                namespace: namespace.to_owned(),
                name: account.to_owned(),
            };
            Some(("service_account", name.to_owned(), subject))
        }
        _ => None,
    }
}

/// The grants of an association: its role, and the role of a second hop.
fn pods_of(change: &ChangeFact) -> Vec<Pod> {
    let roles = std::iter::once(&change.reference).chain(&change.names);
    roles.map(|role| (change.subject.clone(), role.clone())).collect()
}
