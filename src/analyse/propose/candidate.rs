//! What could stand in the place of a grant: predefined policies, exact RBAC, or both.

use std::collections::BTreeSet;

use crate::analyse::scope::rules_of;
use crate::model::grant::{Grant, GrantKind};
use crate::model::permission::{Permission, ScopedRule};
use crate::rbac::cells::{self, Universe};
use crate::rbac::exact::{VerbGroups, exact};
use crate::rbac::sensitive::{Severity, severity_of};
use crate::rbac::smallest::{Offers, PolicyGrant};

use super::replay::kept_events;

/// Predefined policies are preferred, they keep up with Kubernetes by themselves, as long as they
/// leave at most this share of the excess.
const SMALL_EXCESS: f64 = 0.5;

/// One way to grant less.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Candidate {
    /// Access policies, sorted.
    pub policies: Vec<PolicyGrant>,
    /// Rules of roles of our own, by scope.
    pub rules: Vec<ScopedRule>,
    /// Cells it allows beyond the use.
    pub excess: u64,
}

impl Candidate {
    /// Everything it allows.
    #[must_use]
    pub fn allows(&self, offers: &Offers<'_>) -> Vec<ScopedRule> {
        let mut rules: Vec<ScopedRule> =
            self.policies.iter().flat_map(|grant| offers.rules(grant)).collect();
        rules.extend(self.rules.iter().cloned());
        rules
    }
}

/// Both ways, and the one to take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidates {
    /// Predefined policies that cover all of the use, where there are any and they are smaller.
    pub policy: Option<Candidate>,
    /// Exact rules.
    pub rbac: Candidate,
    /// Policies for what they cover, rules for the rest.
    pub hybrid: Option<Candidate>,
    /// Which is proposed.
    pub chosen: Chosen,
    /// Cells that the use needs.
    pub needs: u64,
}

/// Which candidate is proposed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Chosen {
    /// Predefined policies.
    Policy,
    /// Exact rules.
    Rbac,
    /// Both.
    Hybrid,
}

impl Candidates {
    /// The one to take.
    #[must_use]
    pub fn chosen(&self) -> &Candidate {
        match (self.chosen, &self.policy, &self.hybrid) {
            (Chosen::Policy, Some(policy), _) => policy,
            (Chosen::Hybrid, _, Some(hybrid)) => hybrid,
            _ => &self.rbac,
        }
    }
}

/// How candidates are made.
#[derive(Debug)]
pub struct Making<'a> {
    /// What there is to allow.
    pub universe: &'a Universe,
    /// Policies that can be had.
    pub offers: &'a Offers<'a>,
    /// Verbs that go together.
    pub verb_groups: VerbGroups,
}

impl Making<'_> {
    /// Candidates for `grant`, which allows `has` cells and of which `used`, that is `needs`, was used; `None` where its rules are not known or
    /// nothing smaller exists. `taken` are policies that its entry holds for another reason.
    #[must_use]
    pub fn candidates(
        &self,
        grant: &Grant,
        used: &[&Permission],
        (has, needs): (u64, u64),
        by_entry: bool,
        taken: &BTreeSet<String>,
    ) -> Option<Candidates> {
        let granted = rules_of(grant)?;
        let excess =
            |rules: &[ScopedRule]| cells::cells(rules, self.universe).saturating_sub(needs);
        let rules_for = |used: &[&Permission]| {
            let mut rules = exact(used, &granted, self.verb_groups);
            let events = kept_events(&granted, &rules);
            rules.extend(events);
            rules.sort();
            rules
        };
        let rules = rules_for(used);
        let rbac = Candidate { policies: Vec::new(), excess: excess(&rules), rules };
        let before = has.saturating_sub(needs);
        let (mut policy, mut hybrid) = (None, None);
        if by_entry {
            let choice = self.offers.smallest(used, taken);
            let mut candidate = Candidate { policies: choice.policies, ..Candidate::default() };
            if !choice.uncovered.is_empty() {
                let rest: Vec<&Permission> =
                    choice.uncovered.iter().filter_map(|&idx| used.get(idx)).copied().collect();
                candidate.rules = rules_for(&rest);
            }
            candidate.excess = match self.measured(&candidate) {
                Some((cells, _)) => cells.saturating_sub(needs),
                None => excess(&candidate.allows(self.offers)),
            };
            let smaller = candidate.excess < before && !candidate.policies.is_empty();
            if smaller && candidate.rules.is_empty() {
                policy = Some(candidate);
            } else if smaller {
                hybrid = Some(candidate);
            }
        }
        // No convenience is worth more power over secrets, code or identities than was used.
        let power = severity_of(&rbac.rules).max(Severity::Medium);
        let small = |candidate: &Candidate| {
            float(candidate.excess) <= SMALL_EXCESS * float(before)
                && self.severity(candidate) <= power
        };
        let fewer_rules =
            |candidate: &Candidate| small(candidate) && candidate.rules.len() < rbac.rules.len();
        let chosen = if policy.as_ref().is_some_and(small) {
            Chosen::Policy
        } else if hybrid.as_ref().is_some_and(fewer_rules) {
            Chosen::Hybrid
        } else {
            Chosen::Rbac
        };
        let found = Candidates { policy, rbac, hybrid, chosen, needs };
        (found.chosen().excess < before).then_some(found)
    }

    /// Cells and power of a candidate that is one policy and nothing else.
    fn measured(&self, candidate: &Candidate) -> Option<(u64, Severity)> {
        self.offers.measured(&candidate.policies).filter(|_| candidate.rules.is_empty())
    }

    fn severity(&self, candidate: &Candidate) -> Severity {
        match self.measured(candidate) {
            Some((_, severity)) => severity,
            None => severity_of(&candidate.allows(self.offers)),
        }
    }
}

fn float(n: u64) -> f64 {
    f64::from(u32::try_from(n).unwrap_or(u32::MAX))
}

/// True where an access entry holds the grant, or could.
#[must_use]
pub(super) fn hangs_on_entry(grant: &Grant) -> bool {
    matches!(grant.kind, GrantKind::AccessPolicy | GrantKind::EntryGroup | GrantKind::AwsAuthGroup)
}
