//! What can go, decided jointly so that advice never locks anyone out.
//!
//! Of several grants that cover a common use at most one goes: whoever follows every line at once
//! still has every permission that was used. What is too wide is left to [`super::propose`], which
//! finds something smaller and replays all changes together.

use std::collections::BTreeMap;

use crate::model::grant::{Allows, Grant, GrantKind, Ineffective};
use crate::rbac::observable::{Observability, rule_observability};

use super::evidence::Evidence;
use super::verdict::{Kind, Verdict};

/// What to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Advice {
    /// Leave it.
    Keep,
    /// Delete it.
    Remove,
    /// Make it smaller where it is.
    Narrow,
    /// Put something smaller in its place.
    Replace,
    /// Give each group of its users one of their own.
    Split,
    /// A person must look.
    Review,
}

impl Advice {
    /// The name in tables.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Advice::Keep => "keep",
            Advice::Remove => "remove",
            Advice::Narrow => "narrow",
            Advice::Replace => "replace",
            Advice::Split => "split",
            Advice::Review => "review",
        }
    }
}

/// Advice for every grant of a cluster, in grant order. `rivals` comes from
/// [`super::paths::rivals`]; `stale` is true for an inventory too old to act on.
#[must_use]
pub fn advise(
    grants: &[Grant],
    evidence: &[Evidence<'_>],
    verdicts: &[Verdict],
    rivals: &[usize],
    stale: bool,
) -> Vec<Advice> {
    let mut advice: Vec<Advice> = grants
        .iter()
        .zip(evidence)
        .zip(verdicts)
        .map(|((grant, evidence), verdict)| alone(grant, evidence, verdict, stale))
        .collect();

    // Rivals share a use: the one to act on is the surest and worst, the others stay.
    let mut chosen: BTreeMap<usize, usize> = BTreeMap::new();
    let rank = |idx: usize| {
        let verdict = verdicts.get(idx);
        let grant = grants.get(idx);
        let redundant = verdict.is_some_and(|v| v.kind == Kind::Redundant);
        // What is spare goes where it touches one principal; what is too wide is where its rules are.
        let is_binding = grant.is_some_and(|g| g.kind == GrantKind::RbacSubject);
        (
            !redundant,
            std::cmp::Reverse(verdict.map(|v| v.severity)),
            if redundant { is_binding } else { !is_binding },
            grant.map(|g| g.id.clone()),
        )
    };
    for (idx, &group) in rivals.iter().enumerate() {
        let acts = advice.get(idx).is_some_and(|a| *a != Advice::Keep);
        if !acts || !evidence.get(idx).is_some_and(Evidence::is_used) {
            continue;
        }
        let best = chosen.entry(group).or_insert(idx);
        if rank(idx) < rank(*best) {
            *best = idx;
        }
    }
    for (idx, &group) in rivals.iter().enumerate() {
        if let Some(&best) = chosen.get(&group)
            && best != idx
            && evidence.get(idx).is_some_and(Evidence::is_used)
            && let Some(slot) = advice.get_mut(idx)
        {
            *slot = Advice::Keep;
        }
    }
    advice
}

fn alone(grant: &Grant, evidence: &Evidence<'_>, verdict: &Verdict, stale: bool) -> Advice {
    if grant.managed_by_aws {
        return Advice::Keep;
    }
    let removal = if stale { Advice::Review } else { Advice::Remove };
    match verdict.kind {
        Kind::Used | Kind::TooNew | Kind::Unobservable if grant.impostor => Advice::Review,
        Kind::Used | Kind::TooNew | Kind::Unobservable => Advice::Keep,
        Kind::OverScoped => Advice::Review,
        Kind::Ineffective => match grant.ineffective {
            // Nothing is left to remove.
            Some(Ineffective::Deleted) => Advice::Keep,
            // Seen in use within the window: the inventory or the window is not what it seems.
            _ if evidence.is_used() => Advice::Review,
            // The list it is missing from may be short: somebody of this name was there.
            Some(Ineffective::DeletedPrincipal) if verdict.last_authenticated.is_some() => {
                Advice::Review
            }
            // The entry starts to work the day the mode changes.
            Some(Ineffective::EntriesDisabled) => Advice::Keep,
            _ => removal,
        },
        Kind::Redundant | Kind::Unused => {
            let sure = verdict.whole_window && !grant.open_ended && !has_blind_part(grant);
            if sure { removal } else { Advice::Review }
        }
    }
}

/// True when the grant names, other than by a wildcard, a permission that leaves no audit line: its
/// use could not have been seen. A holder of a wildcard would have shown in its other requests.
fn has_blind_part(grant: &Grant) -> bool {
    let Allows::Rules(rules) = &grant.allows else { return false };
    rules.iter().any(|rule| rule_observability(rule) != Observability::Observable)
}
