//! What the logs say of when a grant was made, widened, taken away, and by whom.
//!
//! Input: enumerated grants and the changes of the window, in order of time. Output: the same grants
//! with `valid_from`, `valid_to` and `granted_by`, and those that existed in the window and are gone.
//! The inventory is the truth about the moment it was taken; changes after that moment are applied to
//! it. A grant that was taken away and made again for the same subject and reference keeps its first
//! date: whoever rebuilds everything each night does not stay young for ever.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::arn::PrincipalName;
use crate::model::fact::{ChangeFact, ChangeKind};
use crate::model::grant::{Allows, Grant, GrantKind, Holder, Identity, IdentityKind, Ineffective};
use crate::model::inventory::{ClusterInventory, Subject};
use crate::model::permission::{Scope, ScopedRule};
use crate::model::time::Micros;
use crate::rbac::policies::{Lookup, PolicyTable};

use super::super::principals::folded_name;
use super::{Builder, Enumerated, identity};

/// Applies the changes of one cluster, in order of time.
#[must_use]
pub fn with_changes(
    cluster: &ClusterInventory,
    policies: &PolicyTable,
    found: Enumerated,
    changes: &[(Micros, &ChangeFact)],
) -> Enumerated {
    if changes.is_empty() {
        return found;
    }
    let history = History::of(changes);
    let mut builder = Builder::new(cluster, policies);
    builder.found = found;
    builder.date(&history);
    builder.add_gone(&history);
    builder.note_modes(&history);
    builder.finish()
}

/// One step in the life of a grant.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Step {
    at: Micros,
    /// `None` when it was taken away; else what it then reached, comma-joined: namespaces of a
    /// policy (`*` for all), the role of a binding, the digest of a role's rules, or just
    /// [`HELD`]. Empty where the log does not say.
    reach: Option<String>,
    /// True where the step made the thing new, so that nothing of it can be older.
    made: bool,
    actor: String,
}

type Key = (String, String);

/// The reach of what has only one: a group, an association, an entry.
const HELD: &str = "held";

#[derive(Debug, Default)]
struct History {
    /// Entry and policy.
    policies: BTreeMap<(PrincipalName, String), Vec<Step>>,
    /// Entry and group.
    groups: BTreeMap<(PrincipalName, String), Vec<Step>>,
    entries: BTreeMap<PrincipalName, Vec<Step>>,
    /// `ns/sa` and role.
    pods: BTreeMap<Key, Vec<Step>>,
    /// Binding and subject, as `Group:x`.
    subjects: BTreeMap<Key, Vec<Step>>,
    /// Role of a binding when it was last seen.
    role_of: BTreeMap<String, String>,
    /// `ClusterRole/x`, `Role/ns/x`, `aws-auth`.
    objects: BTreeMap<String, Vec<Step>>,
    modes: Vec<Step>,
    creator: Option<Step>,
    /// An entry's ARN as the log wrote it.
    arns: BTreeMap<PrincipalName, String>,
}

impl History {
    fn of(changes: &[(Micros, &ChangeFact)]) -> Self {
        let mut history = History::default();
        let mut associations: BTreeMap<&str, Key> = BTreeMap::new();
        // What each binding named when it was last seen.
        let mut bound: BTreeMap<&str, &[String]> = BTreeMap::new();
        for &(at, change) in changes {
            let step = |reach: Option<&str>, made: bool| Step {
                at,
                reach: reach.map(str::to_owned),
                made,
                actor: change.actor.clone(),
            };
            let name = folded_name(&change.subject);
            if let Some(name) = &name {
                history.arns.insert(name.clone(), change.subject.clone());
            }
            match (change.kind, name) {
                (ChangeKind::EntryMade | ChangeKind::EntryChanged, Some(name)) => {
                    let made = change.kind == ChangeKind::EntryMade;
                    history.entries.entry(name.clone()).or_default().push(step(Some(HELD), made));
                    history.entry_groups(&name, change, &step, made);
                }
                (ChangeKind::EntryDeleted, Some(name)) => {
                    history.entries.entry(name.clone()).or_default().push(step(None, false));
                    let of_entry = |map: &mut BTreeMap<(PrincipalName, String), Vec<Step>>| {
                        for ((principal, _), steps) in map.iter_mut() {
                            if *principal == name {
                                steps.push(step(None, false));
                            }
                        }
                    };
                    of_entry(&mut history.policies);
                    of_entry(&mut history.groups);
                }
                (ChangeKind::PolicyAttached, Some(name)) => {
                    let joined = change.namespaces.join(",");
                    let all = change.namespaces.is_empty();
                    let reach = Some(if all { "*" } else { joined.as_str() });
                    let key = (name, change.reference.clone());
                    history.policies.entry(key).or_default().push(step(reach, false));
                }
                (ChangeKind::PolicyDetached, Some(name)) => {
                    let key = (name, change.reference.clone());
                    history.policies.entry(key).or_default().push(step(None, false));
                }
                (ChangeKind::PodIdentityMade | ChangeKind::PodIdentityChanged, _) => {
                    let key = (change.subject.clone(), change.reference.clone());
                    let made = change.kind == ChangeKind::PodIdentityMade;
                    if !change.association_id.is_empty()
                        && let Some(before) =
                            associations.insert(&change.association_id, key.clone())
                        && before != key
                    {
                        history.pods.entry(before).or_default().push(step(None, false));
                    }
                    history.pods.entry(key).or_default().push(step(Some(HELD), made));
                }
                (ChangeKind::PodIdentityDeleted, _) => {
                    let known = associations.remove(change.association_id.as_str());
                    let key = if change.subject.is_empty() {
                        known
                    } else {
                        Some((change.subject.clone(), change.reference.clone()))
                    };
                    if let Some(key) = key {
                        history.pods.entry(key).or_default().push(step(None, false));
                    }
                }
                (ChangeKind::AuthModeChanged, _) => {
                    history.modes.push(step(Some(&change.reference), false));
                }
                (ChangeKind::ClusterMade, _) => history.creator = Some(step(Some(HELD), true)),
                (
                    ChangeKind::ObjectMade | ChangeKind::ObjectChanged | ChangeKind::ObjectDeleted,
                    _,
                ) => {
                    let gone = change.kind == ChangeKind::ObjectDeleted;
                    let made = change.kind == ChangeKind::ObjectMade;
                    if change.subject.contains("Binding/") {
                        let before =
                            bound.insert(&change.subject, &change.names).unwrap_or_default();
                        history.binding(change, before, &step, made, gone);
                    } else {
                        let reach = (!gone).then_some(change.reference.as_str());
                        let steps = history.objects.entry(change.subject.clone()).or_default();
                        steps.push(step(reach, made));
                    }
                }
                _ => {}
            }
        }
        history
    }

    fn entry_groups(
        &mut self,
        name: &PrincipalName,
        change: &ChangeFact,
        step: &dyn Fn(Option<&str>, bool) -> Step,
        made: bool,
    ) {
        // An update that does not speak of groups leaves them; one that does replaces them all.
        if change.names.is_empty() {
            return;
        }
        for ((principal, group), steps) in &mut self.groups {
            if principal == name && !change.names.contains(group) {
                steps.push(step(None, false));
            }
        }
        for group in &change.names {
            let key = (name.clone(), group.clone());
            self.groups.entry(key).or_default().push(step(Some(HELD), made));
        }
    }

    fn binding(
        &mut self,
        change: &ChangeFact,
        before: &[String],
        step: &dyn Fn(Option<&str>, bool) -> Step,
        made: bool,
        gone: bool,
    ) {
        if !change.reference.is_empty() {
            self.role_of.insert(change.subject.clone(), change.reference.clone());
        }
        if gone || change.names.is_empty() {
            // Who it named is known only where the log showed its body before; for the others the
            // step is kept under no subject and counts for all of them.
            let reach = (!gone).then_some("");
            let key = (change.subject.clone(), String::new());
            self.subjects.entry(key).or_default().push(step(reach, made));
            for ((binding, subject), steps) in &mut self.subjects {
                if *binding == change.subject && !subject.is_empty() {
                    steps.push(step(reach, made));
                }
            }
            return;
        }
        for subject in before.iter().filter(|subject| !change.names.contains(subject)) {
            let key = (change.subject.clone(), subject.clone());
            self.subjects.entry(key).or_default().push(step(None, false));
        }
        for subject in &change.names {
            let key = (change.subject.clone(), subject.clone());
            self.subjects.entry(key).or_default().push(step(Some(&change.reference), made));
        }
    }
}

/// What a life comes to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Life {
    /// The first instant at which the log proves it.
    first: Option<Micros>,
    /// When it last came to reach further.
    widened: Option<Micros>,
    /// True when it was taken away and made again.
    restored: bool,
    /// When it was taken away, if it is away at the end.
    gone: Option<Micros>,
    /// Who made it as it is now.
    granted_by: Option<String>,
    /// Who took it away.
    removed_by: Option<String>,
    reach: String,
}

impl Life {
    fn of(steps: &[Step]) -> Self {
        let mut life = Life::default();
        let mut known: Option<&str> = None;
        for step in steps {
            let Some(reach) = &step.reach else {
                // It was there to be taken away.
                life.first = life.first.or(Some(step.at));
                life.gone = Some(step.at);
                life.removed_by = Some(step.actor.clone());
                continue;
            };
            let wider = match known {
                // Something older may have reached less, unless this step made it.
                None => life.first.is_some() || !step.made,
                Some(before) => is_wider(reach, before),
            };
            if wider {
                life.widened = Some(step.at);
            }
            life.restored |= life.gone.take().is_some();
            life.first = life.first.or(Some(step.at));
            life.granted_by = Some(step.actor.clone());
            known = Some(reach);
            life.reach.clone_from(reach);
        }
        life
    }

    /// The first instant at which the grant could be used as it is now, given what the inventory
    /// says.
    fn valid_from(&self, dated: Option<Micros>) -> Option<Micros> {
        if self.restored { self.first.max(self.widened) } else { dated.max(self.widened) }
    }
}

/// True when the comma-joined `new` names something that `old` does not, or either is not known.
fn is_wider(new: &str, old: &str) -> bool {
    if old.is_empty() || new.is_empty() {
        return true;
    }
    let old: BTreeSet<&str> = old.split(',').collect();
    !old.contains("*") && new.split(',').any(|name| !old.contains(name))
}

impl Builder<'_> {
    fn date(&mut self, history: &History) {
        let captured = self.cluster.captured_at;
        let aws_auth = history.objects.get("aws-auth").map(|steps| Life::of(steps));
        let mut lives = Vec::with_capacity(self.found.grants.len());
        for grant in &self.found.grants {
            let mut life = match grant.kind {
                GrantKind::AwsAuthGroup => {
                    // Which row a write touched is not in the log: it may have been any.
                    let granted_by = aws_auth.as_ref().and_then(|life| life.granted_by.clone());
                    let widened = aws_auth.as_ref().and_then(|life| life.widened);
                    lives.push(Life { widened, granted_by, ..Life::default() });
                    continue;
                }
                _ => history.life_of(grant),
            };
            if grant.kind == GrantKind::RbacSubject {
                let rules = history.objects.get(&grant.role_ref).map(|steps| Life::of(steps));
                life.widened = life.widened.max(rules.and_then(|rules| rules.widened));
            }
            lives.push(life);
        }
        for (grant, life) in self.found.grants.iter_mut().zip(lives) {
            if !grant.managed_by_aws {
                grant.valid_from = life.valid_from(grant.valid_from);
            }
            grant.granted_by = life.granted_by;
            // What was taken away before the snapshot and is in it was made again unseen.
            if let Some(gone) = life.gone.filter(|gone| *gone > captured) {
                grant.valid_to = Some(gone);
                grant.ineffective = Some(Ineffective::Deleted);
            }
        }
        for identity in &mut self.found.identities {
            let steps = folded_name(&identity.principal).and_then(|n| history.entries.get(&n));
            identity.created_by = match (identity.kind, steps, &history.creator) {
                (IdentityKind::AccessEntry, Some(steps), _) => Life::of(steps).granted_by,
                (IdentityKind::ClusterCreator, _, Some(made)) => {
                    identity.principal.clone_from(&made.actor);
                    Some(made.actor.clone())
                }
                _ => None,
            };
        }
    }

    /// Grants that were there in the window and are not in the snapshot, or came after it.
    fn add_gone(&mut self, history: &History) {
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
            let scope = if life.reach.is_empty() || life.reach == "*" {
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
        for ((principal, group), steps) in &history.groups {
            let arn = history.arns.get(principal).map_or("", String::as_str);
            told.insert(principal.clone());
            let life = Life::of(steps);
            if self.knows(GrantKind::EntryGroup, principal, group) || !self.is_news(&life) {
                continue;
            }
            let idx = self.entry_identity(arn, &life);
            let mut grant = self.grant(GrantKind::EntryGroup, "iam", arn, group);
            grant.identity_kind = Some(IdentityKind::AccessEntry);
            grant.principal_id = self.iam_id(arn);
            grant.allows = self.group_allows(group);
            grant.holder = Holder::Identity(idx);
            grant.group = Some(group.clone());
            self.push_dated(grant, &life);
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
        for ((binding, named), steps) in &history.subjects {
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

    fn note_modes(&mut self, history: &History) {
        for step in &history.modes {
            let mode = step.reach.as_deref().unwrap_or_default();
            let what = format!(
                "authentication mode set to {mode} on {} by {}",
                step.at.to_rfc3339(),
                step.actor
            );
            self.note(None, "auth_mode_changed", what);
        }
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

    /// The identity of an entry that is gone or new; made where it is not known.
    fn entry_identity(&mut self, arn: &str, life: &Life) -> usize {
        let same = |identity: &Identity| {
            identity.kind == IdentityKind::AccessEntry
                && folded_name(&identity.principal) == folded_name(arn)
        };
        if let Some(idx) = self.found.identities.iter().position(same) {
            return idx;
        }
        let mut made = identity(self.cluster, IdentityKind::AccessEntry, arn, "CloudTrail");
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

impl History {
    fn life_of(&self, grant: &Grant) -> Life {
        let steps = match grant.kind {
            GrantKind::AccessPolicy | GrantKind::EntryGroup | GrantKind::None => {
                let Some(name) = folded_name(&grant.principal) else { return Life::default() };
                let own = match grant.kind {
                    GrantKind::AccessPolicy => {
                        self.policies.get(&(name.clone(), grant.grant_ref.clone()))
                    }
                    GrantKind::EntryGroup => {
                        self.groups.get(&(name.clone(), grant.grant_ref.clone()))
                    }
                    _ => None,
                };
                // An entry that was deleted took what hung on it along, seen or not.
                let deleted = self.entries.get(&name).into_iter().flatten();
                let deleted = deleted.filter(|step| {
                    grant.identity_kind == Some(IdentityKind::AccessEntry) && step.reach.is_none()
                });
                let mut steps: Vec<Step> =
                    own.into_iter().flatten().chain(deleted).cloned().collect();
                steps.sort();
                steps.dedup();
                steps
            }
            GrantKind::PodIdentity => {
                let of_grant = |key: &&Key| {
                    key.0 == grant.principal && folded_name(&key.1) == folded_name(&grant.grant_ref)
                };
                let key = self.pods.keys().find(of_grant);
                key.and_then(|key| self.pods.get(key)).cloned().unwrap_or_default()
            }
            GrantKind::RbacSubject => {
                let Holder::Subject(subject) = &grant.holder else { return Life::default() };
                let named = (grant.grant_ref.clone(), name_of(subject));
                let unnamed = (grant.grant_ref.clone(), String::new());
                self.subjects
                    .get(&named)
                    .or_else(|| self.subjects.get(&unnamed))
                    .cloned()
                    .unwrap_or_default()
            }
            GrantKind::AwsAuthGroup | GrantKind::Superuser | GrantKind::Irsa => Vec::new(),
        };
        Life::of(&steps)
    }
}

fn name_of(subject: &Subject) -> String {
    match subject {
        Subject::User(name) => format!("User:{name}"),
        Subject::Group(name) => format!("Group:{name}"),
        Subject::ServiceAccount { namespace, name } => format!("ServiceAccount:{namespace}/{name}"),
    }
}

fn subject_of(named: &str) -> Option<(&'static str, String, Subject)> {
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

#[cfg(test)]
mod tests;
