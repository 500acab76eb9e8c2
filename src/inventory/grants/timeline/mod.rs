//! What the logs say of when a grant was made, widened, taken away, and by whom.
//!
//! Input: enumerated grants and the changes of the window, in order of time. Output: the same grants
//! with `valid_from`, `valid_to` and `granted_by`, and those that existed in the window and are gone
//! ([`gone`]). The inventory is the truth about the moment it was taken; changes after that moment are
//! applied to it. What each thing went through is sorted by [`history`] and summed up by [`life`].

mod gone;
mod history;
mod life;
mod listing;

use std::collections::BTreeMap;

use crate::model::fact::ChangeFact;
use crate::model::grant::{Grant, GrantKind, Holder, IdentityKind, Ineffective};
use crate::model::inventory::{AuthMode, ClusterInventory, Subject};
use crate::model::time::Micros;
use crate::rbac::policies::PolicyTable;

use super::super::principals::folded_name;
use super::super::subjects::{oidc_could_be_user, oidc_could_give_group};
use super::{Builder, Enumerated, binding_ref};
use history::History;
use life::Life;

/// Applies the changes of one cluster, in order of time.
#[must_use]
pub fn with_changes(
    cluster: &ClusterInventory,
    policies: &PolicyTable,
    found: Enumerated,
    changes: &[(Micros, &ChangeFact)],
) -> Enumerated {
    let history = History::of(changes);
    let mut builder = Builder::new(cluster, policies);
    builder.found = found;
    builder.date(&history);
    builder.add_gone(&history);
    builder.note_settings(&history);
    builder.finish()
}

/// When a binding and its role were made, as the snapshot says.
#[derive(Debug, Clone, Copy, Default)]
struct Made {
    binding: Option<Micros>,
    role: Option<Micros>,
}

impl Builder<'_> {
    fn date(&mut self, history: &History) {
        let captured = self.cluster.captured_at;
        let bindings: BTreeMap<String, Made> = self
            .bindings()
            .iter()
            .map(|binding| {
                let role = self.role(binding).and_then(|role| role.created_at);
                (binding_ref(binding), Made { binding: binding.created_at, role })
            })
            .collect();
        let inert_since = history
            .modes
            .iter()
            .filter(|step| step.reach.as_deref() == Some("API"))
            .map(|step| step.at)
            .max();
        let dates: Vec<(Life, Option<Micros>)> = self
            .found
            .grants
            .iter()
            .map(|grant| {
                let life = history.life_of(grant);
                let from = match bindings.get(&grant.grant_ref) {
                    Some(made) if grant.kind == GrantKind::RbacSubject => {
                        let role = history.life_of_role(&grant.role_ref).valid_from(made.role);
                        let from = life.valid_from(made.binding).max(role);
                        from.max(self.provider_attached(grant, history))
                    }
                    _ => life.valid_from(grant.valid_from),
                };
                (life, from)
            })
            .collect();
        let dates = self.spread(&dates);
        for (grant, (life, from)) in self.found.grants.iter_mut().zip(dates) {
            if !grant.managed_by_aws {
                grant.valid_from = from;
            }
            grant.granted_by = life.granted_by;
            // What was taken away before the snapshot and is in it was made again unseen.
            if let Some(gone) = life.gone.filter(|gone| *gone > captured) {
                grant.valid_to = Some(gone);
                grant.ineffective = Some(Ineffective::Deleted);
            } else if grant.ineffective == Some(Ineffective::InertAwsAuth) {
                grant.valid_to = inert_since.filter(|since| *since <= captured);
            }
        }
        self.end_identities(history);
        for identity in &mut self.found.identities {
            let steps = folded_name(&identity.principal).and_then(|n| history.entries.get(&n));
            identity.created_by = match (identity.kind, steps, &history.creator) {
                (IdentityKind::AccessEntry, Some(steps), _) => Life::of(steps).granted_by,
                (IdentityKind::ClusterCreator, _, Some((_, actor))) => {
                    identity.principal.clone_from(actor);
                    Some(actor.clone())
                }
                _ => None,
            };
        }
    }

    /// Half of a path is of no use before the other half: a mapping to a group reaches further with
    /// every binding of it, and a binding serves nobody before the first mapping that carries it.
    fn spread(&self, dates: &[(Life, Option<Micros>)]) -> Vec<(Life, Option<Micros>)> {
        let grants = &self.found.grants;
        let mut bound: BTreeMap<&str, Micros> = BTreeMap::new();
        let mut carried: BTreeMap<&str, Option<Micros>> = BTreeMap::new();
        for (grant, (life, from)) in grants.iter().zip(dates) {
            match (&grant.holder, &grant.group) {
                (Holder::Subject(Subject::Group(group)), _) => {
                    if let Some(from) = from {
                        let latest = bound.entry(group).or_insert(*from);
                        *latest = (*latest).max(*from);
                    }
                }
                (Holder::Identity(idx), Some(group)) if grant.ineffective.is_none() => {
                    let made = self.found.identities.get(*idx).and_then(|one| one.created_at);
                    let own = life.valid_from(made);
                    let first = carried.entry(group).or_insert(own);
                    // Whoever carries no date may always have carried it.
                    *first = first.zip(own).map(|(first, own)| first.min(own));
                }
                _ => {}
            }
        }
        let spread = grants.iter().zip(dates).map(|(grant, (life, from))| {
            let from = match (&grant.holder, &grant.group) {
                (Holder::Subject(Subject::Group(group)), _) if !grant.open_ended => {
                    (*from).max(carried.get(group.as_str()).copied().flatten())
                }
                (Holder::Identity(_), Some(group)) => {
                    (*from).max(bound.get(group.as_str()).copied())
                }
                _ => *from,
            };
            (life.clone(), from)
        });
        spread.collect()
    }

    /// An entry that was deleted after the snapshot overrides nothing any more.
    fn end_identities(&mut self, history: &History) {
        let captured = self.cluster.captured_at;
        let mut ended = Vec::new();
        for identity in &mut self.found.identities {
            let name = folded_name(&identity.principal);
            let steps = name.as_ref().and_then(|name| history.entries.get(name));
            let gone = steps.and_then(|steps| Life::of(steps).gone).filter(|at| *at > captured);
            if identity.kind == IdentityKind::AccessEntry && gone.is_some() {
                identity.ineffective = Some(Ineffective::Deleted);
                ended.extend(name);
            }
        }
        let mut freed = Vec::new();
        for (idx, identity) in self.found.identities.iter_mut().enumerate() {
            let was_overridden = identity.ineffective == Some(Ineffective::OverriddenByEntry)
                && folded_name(&identity.principal).is_some_and(|name| ended.contains(&name));
            if was_overridden {
                identity.ineffective = None;
                freed.push(Holder::Identity(idx));
            }
        }
        for grant in &mut self.found.grants {
            let overridden = grant.ineffective == Some(Ineffective::OverriddenByEntry);
            if overridden && freed.contains(&grant.holder) {
                grant.ineffective = None;
            }
        }
    }

    /// When the first provider came that can make the subject, if none is older than the log.
    fn provider_attached(&self, grant: &Grant, history: &History) -> Option<Micros> {
        let Holder::Subject(subject) = &grant.holder else { return None };
        if grant.identity_kind != Some(IdentityKind::Oidc) {
            return None;
        }
        let able = self.providers.iter().filter(|provider| {
            let one = std::slice::from_ref(*provider);
            match subject {
                Subject::Group(group) => oidc_could_give_group(one, group),
                Subject::User(name) => oidc_could_be_user(one, name),
                Subject::ServiceAccount { .. } => false,
            }
        });
        let mut earliest = None;
        for provider in able {
            let life = history.providers.get(&provider.name).map(|steps| Life::of(steps));
            // Held all along, or not in the log: older.
            let attached = life.and_then(|life| life.valid_from(None))?;
            earliest = Some(earliest.map_or(attached, |known: Micros| known.min(attached)));
        }
        earliest
    }

    /// Changes that are about no single grant.
    fn note_settings(&mut self, history: &History) {
        for step in &history.modes {
            let mode = step.reach.as_deref().unwrap_or_default();
            let by = step.by.as_deref().unwrap_or_default();
            let what =
                format!("authentication mode set to {mode} on {} by {by}", step.at.to_rfc3339());
            self.note(None, "auth_mode_changed", what);
        }
        let mode = match self.mode {
            AuthMode::Api => "API",
            AuthMode::ApiAndConfigMap => "API_AND_CONFIG_MAP",
            AuthMode::ConfigMap => "CONFIG_MAP",
        };
        let captured = self.cluster.captured_at;
        let later = history.modes.iter().rfind(|step| step.at > captured);
        if later.is_some_and(|step| step.reach.as_deref() != Some(mode)) {
            let what =
                "the authentication mode was changed after the inventory was taken".to_owned();
            self.note(None, "inventory_outdated", what);
        }
        for (name, steps) in &history.providers {
            for step in steps {
                let what = if step.reach.is_some() { "attached" } else { "detached" };
                let what = format!("identity provider {name} {what} on {}", step.at.to_rfc3339());
                self.note(None, "identity_provider_changed", what);
            }
        }
    }
}

#[cfg(test)]
mod tests;
