//! The smaller grant, and the proof that it is enough.
//!
//! Input: grants with their verdicts and use. Output: for each grant what to do and, where something
//! smaller would do, what. All changes of a cluster are replayed together against everything that was
//! done: whoever follows every line at once refuses nobody anything that was used. Where that cannot
//! be shown a person must look ([`Advice::Review`]), and is told why.

mod candidate;
pub mod replay;
pub mod split;

use std::collections::{BTreeMap, BTreeSet};

pub use candidate::{Candidate, Candidates, Chosen, Making};

use crate::join::cluster::Cluster;
use crate::join::profile::Profiles;
use crate::join::usage::Usage;
use crate::model::arn::{PrincipalName, access_policy_name};
use crate::model::grant::{Grant, GrantKind, Holder, IdentityKind, Member};
use crate::model::inventory::{AuthMode, Subject};
use crate::model::permission::{Permission, ScopedRule};
use crate::model::time::Micros;
use crate::rbac;
use crate::rbac::cells::needed_cells;
use crate::rbac::exact::VerbGroups;

use super::evidence::Evidence;
use super::parallel;
use super::paths::Paths;
use super::recommend::Advice;
use super::scope::rules_of;
use super::verdict::{Kind, Verdict};
use candidate::hangs_on_entry;
use replay::{Changes, Replay};

/// What is said of refused uses and of members, at most.
const MAX_WORDS: usize = 10;

/// What to do with a grant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// The word.
    pub advice: Advice,
    /// What could stand in its place; `None` where nothing is smaller or nothing is to change.
    pub candidates: Option<Candidates>,
    /// One for each group of users, where the grant should be split.
    pub parts: Vec<Part>,
    /// Uses that all changes together would refuse; `None` where nothing would change.
    pub refused: Option<u64>,
    /// Those, for people.
    pub breaks: Vec<String>,
    /// What to know before acting. In order.
    pub why: Vec<String>,
}

/// What one group of users needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// Attribute and value: `tag:team=shop`.
    pub group: String,
    /// What it would hold.
    pub candidate: Candidate,
}

/// Everything a proposal rests on.
pub struct Case<'a> {
    /// Identities and grants.
    pub cluster: &'a Cluster<'a>,
    /// Which mapping counts.
    pub mode: Option<AuthMode>,
    /// Known members of each grant, from the inventory.
    pub members: &'a [Member],
    /// Use.
    pub usage: &'a Usage,
    /// Who made it.
    pub profiles: &'a Profiles,
    /// People with sessions of a role.
    pub people: &'a BTreeMap<PrincipalName, BTreeSet<&'a str>>,
    /// Of each grant.
    pub evidence: &'a [Evidence<'a>],
    /// Of each grant.
    pub verdicts: &'a [Verdict],
    /// Of each grant, before anything smaller is looked for.
    pub advice: &'a [Advice],
    /// Cells of each grant.
    pub widths: &'a [u64],
    /// Of each use.
    pub paths: &'a BTreeMap<usize, Paths>,
    /// How candidates are made.
    pub making: Making<'a>,
    /// True when the node metrics that pods read show in the log.
    pub reviews_seen: bool,
    /// True for an inventory too old to act on.
    pub stale: bool,
    /// Threads that look for candidates.
    pub threads: usize,
    /// Principals that came later are too new for their silence to mean anything.
    pub new_since: Micros,
}

/// Decides for every grant of a cluster, in grant order.
#[must_use]
pub fn propose(case: &Case<'_>) -> Vec<Decision> {
    let mut decisions: Vec<Decision> = case
        .advice
        .iter()
        .map(|advice| Decision {
            advice: *advice,
            candidates: None,
            parts: Vec::new(),
            refused: None,
            breaks: Vec::new(),
            why: Vec::new(),
        })
        .collect();
    case.look_for_smaller(&mut decisions);
    case.choose_halves(&mut decisions);
    case.explain_spare(&mut decisions);
    case.give_each_policy_once(&mut decisions);
    let replay = Replay::new(case.cluster, case.usage, case.paths);
    case.prove(&mut decisions, &replay);
    for idx in 0..decisions.len() {
        case.split(idx, &mut decisions);
    }
    decisions
}

impl Case<'_> {
    fn grant(&self, idx: usize) -> Option<&Grant> {
        self.cluster.grants.get(idx)
    }

    /// Finds what could stand in the place of every grant that is too wide, and what speaks against
    /// changing it without a person.
    fn look_for_smaller(&self, decisions: &mut [Decision]) {
        let known = Known::of(self);
        let mut policies_of: BTreeMap<usize, BTreeSet<String>> = BTreeMap::new();
        for grant in self.cluster.grants {
            if let (GrantKind::AccessPolicy, Holder::Identity(idx)) = (grant.kind, &grant.holder) {
                policies_of
                    .entry(*idx)
                    .or_default()
                    .insert(access_policy_name(&grant.grant_ref).into());
            }
        }
        let found = parallel::map(self.threads, self.cluster.grants, |idx, grant| {
            let verdict = self.verdicts.get(idx)?;
            let evidence = self.evidence.get(idx)?;
            let wide = verdict.kind == Kind::OverScoped && !grant.managed_by_aws;
            let mut taken = match &grant.holder {
                Holder::Identity(idx) => policies_of.get(idx).cloned().unwrap_or_default(),
                Holder::Subject(_) => BTreeSet::new(),
            };
            if grant.kind == GrantKind::AccessPolicy {
                taken.remove(access_policy_name(&grant.grant_ref));
            }
            wide.then(|| self.smaller(idx, grant, evidence, &taken)).flatten()
        });
        for (idx, (decision, found)) in decisions.iter_mut().zip(found).enumerate() {
            let (Some(grant), Some(evidence), Some(verdict), Some(found)) =
                (self.grant(idx), self.evidence.get(idx), self.verdicts.get(idx), found)
            else {
                continue;
            };
            decision.candidates = Some(found);
            decision.advice =
                if grant.kind == GrantKind::RbacSubject { Advice::Narrow } else { Advice::Replace };
            if stays_itself(grant, decision) {
                decision.advice = Advice::Narrow;
            }
            let against = self.against(idx, grant, verdict, &known);
            if !against.is_empty() {
                decision.advice = Advice::Review;
                decision.why.extend(against);
            }
            decision.why.extend(self.who_else(idx, grant, evidence, &known));
            let keeps_events = decision.candidates.as_ref().is_some_and(|found| {
                let rules = &found.chosen().rules;
                rules.iter().any(|scoped| scoped.rule.resources == ["events"])
            });
            if keeps_events {
                decision.why.push("core events stay, EKS does not audit them".to_owned());
            }
            if self.making.verb_groups == VerbGroups::Read {
                decision.why.push("get, list and watch are given together".to_owned());
            }
        }
    }

    /// Says of spare grants what carries their use, or why they stay for now.
    fn explain_spare(&self, decisions: &mut [Decision]) {
        for (idx, evidence) in self.evidence.iter().enumerate() {
            let redundant = self.verdicts.get(idx).is_some_and(|v| v.kind == Kind::Redundant);
            let Some(decision) = decisions.get_mut(idx).filter(|_| redundant) else { continue };
            if decision.advice == Advice::Keep {
                let why = "another grant of the same use goes first: look again after that";
                decision.why.push(why.to_owned());
                continue;
            }
            let others: BTreeSet<&str> = evidence
                .uses
                .iter()
                .filter_map(|used| self.paths.get(used))
                .flat_map(|paths| paths.iter())
                .filter(|path| !path.contains(&idx))
                .flatten()
                .filter_map(|&other| self.grant(other))
                .map(|grant| access_policy_name(&grant.grant_ref))
                .collect();
            decision.why.push(format!("covered by {}", listed(others.into_iter())));
        }
    }

    /// What could stand in the place of a grant that is too wide.
    fn smaller(
        &self,
        idx: usize,
        grant: &Grant,
        evidence: &Evidence<'_>,
        taken: &BTreeSet<String>,
    ) -> Option<Candidates> {
        let has = self.widths.get(idx).copied().unwrap_or(0);
        let used = needed(grant, evidence);
        let by_entry = hangs_on_entry(grant) && self.mode != Some(AuthMode::ConfigMap);
        let needs = self.verdicts.get(idx).and_then(|verdict| verdict.needs)?;
        self.making.candidates(grant, &used, (has, needs), by_entry, taken)
    }

    /// Why a person must look before this grant is made smaller.
    fn against(
        &self,
        idx: usize,
        grant: &Grant,
        verdict: &Verdict,
        known: &Known<'_>,
    ) -> Vec<String> {
        let mut why = Vec::new();
        let mut add = |text: &str| why.push(text.to_owned());
        if self.stale {
            add("the inventory is too old to act on");
        }
        if !verdict.whole_window {
            add("it could not be used, or was not watched, during the whole window");
        }
        if grant.open_ended {
            add("its members cannot be listed: others may use it tomorrow");
        }
        if grant.impostor {
            add("it looks like AWS's or Kubernetes' own and is not");
        }
        if grant.ineffective.is_some() {
            add("it cannot be exercised now");
        }
        if grant.kind == GrantKind::Superuser {
            add("the creator of a cluster in mode CONFIG_MAP is in no list that could be edited");
        }
        if grant.kind == GrantKind::AwsAuthGroup && self.mode == Some(AuthMode::ConfigMap) {
            add(
                "the cluster knows no access entries yet: set its mode to API_AND_CONFIG_MAP first",
            );
        }
        if !self.reviews_seen && may_scrape(grant) {
            add("pods may read node metrics through it, which the log does not show");
        }
        let new = known.members_of(idx).any(|member| {
            let key = (member.username.as_str(), member.via_identity);
            known.made.get(&key).copied().flatten().is_some_and(|at| at > self.new_since)
        });
        if new {
            add("one of its members is too new to have shown what it needs");
        }
        why
    }

    /// Who else holds the grant, and how many people of a role used it.
    fn who_else(
        &self,
        idx: usize,
        grant: &Grant,
        evidence: &Evidence<'_>,
        known: &Known<'_>,
    ) -> Vec<String> {
        let mut why = Vec::new();
        if grant.kind == GrantKind::RbacSubject {
            let used: BTreeSet<&str> = evidence
                .members
                .iter()
                .filter_map(|&member| self.usage.members.get(member))
                .flat_map(|member| [member.username.as_str(), member.principal_id.as_str()])
                .collect();
            let silent: BTreeSet<&str> = known
                .members_of(idx)
                .filter(|m| {
                    !used.contains(m.username.as_str())
                        && (m.principal_id.is_empty() || !used.contains(m.principal_id.as_str()))
                })
                .map(|member| member.username.as_str())
                .collect();
            if !silent.is_empty() {
                let who = listed(silent.iter().copied());
                why.push(format!(
                    "also serves, unused so far, and would keep no more than that: {who}"
                ));
            }
        }
        let role = PrincipalName::from_arn(&grant.principal).map(PrincipalName::folded);
        let of_role = role.and_then(|role| self.people.get(&role));
        if let (Some(all), Some(who)) =
            (of_role, split::people(&evidence.uses, self.usage, self.profiles))
            && all.len() > who.len()
            && !who.is_empty()
        {
            why.push(format!("used by {} of {} people", who.len(), all.len()));
        }
        why
    }

    /// A binding to a group and the mappings to it are halves of one path with the same excess: it is
    /// cut off once, at the binding where that can be changed, else at the mappings.
    fn choose_halves(&self, decisions: &mut [Decision]) {
        let acts = |decision: &Decision| {
            matches!(decision.advice, Advice::Narrow | Advice::Replace | Advice::Split)
        };
        let mut done: BTreeMap<usize, usize> = BTreeMap::new();
        for path in self.paths.values().flat_map(|p| p.iter()).filter(|path| path.len() > 1) {
            let binding = path.iter().copied().find(|&idx| {
                self.grant(idx).is_some_and(|g| g.kind == GrantKind::RbacSubject)
                    && decisions.get(idx).is_some_and(acts)
            });
            if let Some(binding) = binding {
                done.extend(path.iter().filter(|&&idx| idx != binding).map(|&idx| (idx, binding)));
            }
        }
        for (idx, binding) in done {
            let at = self.grant(binding).map(|g| g.grant_ref.clone()).unwrap_or_default();
            if let Some(decision) = decisions.get_mut(idx).filter(|decision| acts(decision)) {
                decision.advice = Advice::Keep;
                decision.candidates = None;
                decision.why = vec![format!("made smaller at {at}")];
            }
        }
    }

    /// An entry holds a policy once, with one scope: of two proposals that want the same one, the
    /// second takes exact rules.
    fn give_each_policy_once(&self, decisions: &mut [Decision]) {
        let mut given: BTreeSet<(usize, String)> = BTreeSet::new();
        for (idx, decision) in decisions.iter_mut().enumerate() {
            let Some(Holder::Identity(entry)) = self.grant(idx).map(|grant| &grant.holder) else {
                continue;
            };
            let acts = matches!(decision.advice, Advice::Narrow | Advice::Replace);
            let Some(found) = decision.candidates.as_mut().filter(|_| acts) else { continue };
            let wanted: Vec<(usize, String)> =
                found.chosen().policies.iter().map(|one| (*entry, one.policy.clone())).collect();
            if wanted.iter().any(|one| given.contains(one)) {
                found.chosen = Chosen::Rbac;
                decision.advice = Advice::Replace;
            } else {
                given.extend(wanted);
            }
        }
    }

    /// Replays all changes together; what would refuse somebody something is taken back.
    fn prove(&self, decisions: &mut [Decision], replay: &Replay<'_>) {
        let mut changes: Changes = Changes::new();
        for (idx, decision) in decisions.iter().enumerate() {
            match decision.advice {
                Advice::Remove => {
                    changes.insert(idx, None);
                }
                Advice::Narrow | Advice::Replace | Advice::Split => {
                    let rules = decision.candidates.as_ref().map(|found| self.rules_of(found));
                    changes.insert(idx, Some(rules.unwrap_or_default()));
                }
                Advice::Keep | Advice::Review => {}
            }
        }
        // What is taken back stays as it is, so every round leaves fewer changes.
        loop {
            let mut back: BTreeMap<usize, Vec<String>> = BTreeMap::new();
            for &idx in changes.keys() {
                let dead = self.grant(idx).is_some_and(|grant| grant.ineffective.is_some());
                if !dead && let Some(why) = replay.needs_rights(idx, &changes) {
                    back.entry(idx).or_default().push(why);
                }
            }
            let refused = replay.refused(&changes);
            let mut breaks: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
            for &used in &refused {
                let touched = self.paths.get(&used).into_iter().flat_map(|p| p.iter()).flatten();
                for &grant in touched.filter(|grant| changes.contains_key(grant)) {
                    breaks.entry(grant).or_default().push(used);
                }
            }
            if back.is_empty() && breaks.is_empty() {
                break;
            }
            for (idx, why) in back {
                changes.remove(&idx);
                if let Some(decision) = decisions.get_mut(idx) {
                    decision.advice = Advice::Review;
                    decision.why.extend(why);
                }
            }
            for (idx, mut uses) in breaks {
                changes.remove(&idx);
                uses.sort_unstable();
                uses.dedup();
                if let Some(decision) = decisions.get_mut(idx) {
                    decision.advice = Advice::Review;
                    decision.refused = Some(u64::try_from(uses.len()).unwrap_or(u64::MAX));
                    decision.breaks = uses.iter().take(MAX_WORDS).map(|u| self.words(*u)).collect();
                    decision.why.push("the replay refuses what was used".to_owned());
                }
            }
        }
        for (idx, decision) in decisions.iter_mut().enumerate() {
            if changes.contains_key(&idx) {
                decision.refused = Some(0);
            } else if decision.refused.is_none()
                && let Some(found) = &decision.candidates
            {
                // What a person is asked about is replayed as well, beside what is to change anyway.
                let mut with = changes.clone();
                with.insert(idx, Some(self.rules_of(found)));
                let uses = self.evidence.get(idx).map(|seen| seen.uses.as_slice());
                let uses = uses.unwrap_or_default().iter().copied();
                let refused = replay.refused_of(&with, uses);
                decision.refused = Some(u64::try_from(refused.len()).unwrap_or(u64::MAX));
                decision.breaks = refused.iter().take(MAX_WORDS).map(|u| self.words(*u)).collect();
            }
        }
    }

    fn rules_of(&self, found: &Candidates) -> Vec<ScopedRule> {
        found.chosen().allows(self.making.offers)
    }

    /// `ann: get pods in shop`
    fn words(&self, used: usize) -> String {
        let Some(used) = self.usage.uses.get(used) else { return String::new() };
        let who = self.usage.members.get(used.member).map_or("", |member| &member.username);
        format!("{who}: {}", used.permission.to_words())
    }

    /// Looks for groups of users that share nothing but the grant.
    fn split(&self, idx: usize, decisions: &mut [Decision]) {
        let (Some(decision), Some(grant), Some(evidence)) =
            (decisions.get_mut(idx), self.grant(idx), self.evidence.get(idx))
        else {
            return;
        };
        if !matches!(decision.advice, Advice::Narrow | Advice::Replace) {
            return;
        }
        let rules = rules_of(grant).unwrap_or_default();
        let by_entry = hangs_on_entry(grant);
        let has = self.widths.get(idx).copied().unwrap_or(0);
        let parts: Option<Vec<Part>> = split::groups(&evidence.uses, self.usage, self.profiles)
            .into_iter()
            .map(|group| {
                let used: Vec<&Permission> =
                    group.used.iter().filter(|one| rbac::covers(&rules, one)).collect();
                let none = BTreeSet::new();
                let needs = needed_cells(&rules, &used, self.making.universe);
                let found = self.making.candidates(grant, &used, (has, needs), by_entry, &none)?;
                Some(Part { group: group.name, candidate: found.chosen().clone() })
            })
            .collect();
        let parts = parts.unwrap_or_default();
        if parts.len() > 1 {
            let names = listed(parts.iter().map(|part| part.group.as_str()));
            decision.why.push(format!("its users share nothing: {names}"));
            decision.advice = Advice::Split;
            decision.parts = parts;
        }
    }
}

/// What was used through the grant and is covered by its rules.
fn needed<'e>(grant: &Grant, evidence: &Evidence<'e>) -> Vec<&'e Permission> {
    let rules = rules_of(grant).unwrap_or_default();
    evidence.permissions.iter().copied().filter(|one| rbac::covers(&rules, one)).collect()
}

/// True when the proposal is the same policy with a smaller scope.
fn stays_itself(grant: &Grant, decision: &Decision) -> bool {
    let chosen = decision.candidates.as_ref().map(Candidates::chosen);
    chosen.is_some_and(|chosen| {
        chosen.rules.is_empty()
            && matches!(chosen.policies.as_slice(),
                [only] if grant.kind == GrantKind::AccessPolicy
                    && only.policy == access_policy_name(&grant.grant_ref))
    })
}

/// True for a grant of pods that reaches the kubelets' own resources.
fn may_scrape(grant: &Grant) -> bool {
    let of_pods = match &grant.holder {
        Holder::Subject(Subject::ServiceAccount { .. }) => true,
        Holder::Subject(Subject::Group(group)) => group.starts_with("system:serviceaccounts"),
        _ => false,
    };
    let metrics = Permission {
        verb: "get".to_owned(),
        resource: "nodes".to_owned(),
        subresource: "metrics".to_owned(),
        ..Permission::default()
    };
    of_pods && rules_of(grant).is_some_and(|rules| rbac::covers(&rules, &metrics))
}

/// Members by grant, and when the mappings of their users were made.
struct Known<'a> {
    members: BTreeMap<usize, Vec<&'a Member>>,
    made: BTreeMap<(&'a str, IdentityKind), Option<Micros>>,
}

impl<'a> Known<'a> {
    fn of(case: &Case<'a>) -> Self {
        let mut members: BTreeMap<usize, Vec<&Member>> = BTreeMap::new();
        for member in case.members {
            members.entry(member.grant).or_default().push(member);
        }
        let identities = case.cluster.identities.iter();
        let made = identities.map(|one| ((one.username.as_str(), one.kind), one.created_at));
        Known { members, made: made.collect() }
    }

    fn members_of(&self, grant: usize) -> impl Iterator<Item = &'a Member> {
        self.members.get(&grant).into_iter().flatten().copied()
    }
}

/// A few of them, and how many more.
fn listed<'a>(all: impl Iterator<Item = &'a str>) -> String {
    let all: Vec<&str> = all.collect();
    let mut words = all.get(..all.len().min(MAX_WORDS)).unwrap_or_default().join(", ");
    if all.len() > MAX_WORDS {
        words.push_str(&format!(" and {} more", all.len() - MAX_WORDS));
    }
    words
}

#[cfg(test)]
mod tests;
