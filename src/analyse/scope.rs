//! Is a grant wider than its use? By what, and what smaller thing would fit?
//!
//! Three measures, each enough: a smaller predefined access policy or scope covers the use; the
//! grant holds a sensitive permission that was never used; exact RBAC would need at most half of its
//! cells. The proposals are named here and proven elsewhere: nothing is recommended from this alone.

use std::borrow::Cow;

use crate::model::grant::{Allows, Grant, GrantKind};
use crate::model::permission::{Permission, Rule, Scope, ScopedRule};
use crate::rbac::cells::{self, Universe};
use crate::rbac::sensitive::{self, Severity};
use crate::rbac::smallest::Offers;

/// By what a grant is too wide.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TooWide {
    /// `smaller_policy`, `unused_sensitive`, `few_cells`, in this order, those that hold.
    pub by: Vec<&'static str>,
    /// Cells that exact RBAC would need.
    pub needs: u64,
    /// For people: what fits, what is unused, how much is needed.
    pub detail: String,
    /// How bad the unused part is.
    pub severity: Severity,
}

/// Cells that a grant allows.
#[must_use]
pub fn width(grant: &Grant, universe: &Universe) -> u64 {
    match &grant.allows {
        Allows::Everything => cells::cells_everything(universe),
        Allows::Rules(rules) => cells::cells(rules, universe),
        Allows::Unpublished | Allows::Hole | Allows::AwsRole => 0,
    }
}

/// Everything, as rules: what `system:masters` may do.
#[must_use]
pub fn everything() -> Vec<ScopedRule> {
    let all = || vec!["*".to_owned()];
    let resources = Rule { verbs: all(), api_groups: all(), resources: all(), ..Rule::default() };
    let paths = Rule { verbs: all(), non_resource_urls: all(), ..Rule::default() };
    [resources, paths].map(|rule| ScopedRule { scope: Scope::Cluster, rule }).to_vec()
}

/// The rules of a grant, `system:masters` spelled out; `None` where they are not known.
#[must_use]
pub fn rules_of(grant: &Grant) -> Option<Cow<'_, [ScopedRule]>> {
    match &grant.allows {
        Allows::Rules(rules) => Some(Cow::Borrowed(rules)),
        Allows::Everything => Some(Cow::Owned(everything())),
        Allows::Unpublished | Allows::Hole | Allows::AwsRole => None,
    }
}

/// Compares a used grant, which allows `has` cells, with its use; `None` when it fits.
#[must_use]
pub fn too_wide(
    grant: &Grant,
    has: u64,
    used: &[&Permission],
    universe: &Universe,
    offers: &Offers<'_>,
    ratio: f64,
) -> Option<TooWide> {
    let rules = rules_of(grant)?;
    let needs = cells::needed_cells(&rules, used, universe);
    let unused = sensitive::unused_sensitive(&rules, used);
    let mut by = Vec::new();
    let mut words = Vec::new();

    if grant.kind == GrantKind::AccessPolicy
        && let Some((cells, smaller)) = offers.smallest_alone(used)
        && cells < has
    {
        let place = smaller.namespaces.map(|list| list.join(","));
        let place = place.as_deref().unwrap_or("the cluster");
        by.push("smaller_policy");
        words.push(format!("{} on {place} covers all of it", smaller.policy));
    }
    let listed: Vec<&str> = unused
        .iter()
        .filter(|s| sensitive::OVER_SCOPE_LIST.contains(s))
        .map(|s| s.name())
        .collect();
    if !listed.is_empty() {
        by.push("unused_sensitive");
        words.push(format!("never used: {}", listed.join(", ")));
    }
    if few(needs, has, ratio) {
        by.push("few_cells");
    }
    if by.is_empty() {
        return None;
    }
    words.push(format!("exact RBAC needs {needs} of {has} cells"));
    let widest = sensitive::severity_of(&rules);
    // What was exercised is no excess: without an unused sensitive part the rest is at most medium.
    let severity = if unused.is_empty() { widest.min(Severity::Medium) } else { widest };
    Some(TooWide { by, needs, detail: words.join("; "), severity })
}

fn few(needs: u64, has: u64, ratio: f64) -> bool {
    let float = |n: u64| f64::from(u32::try_from(n).unwrap_or(u32::MAX));
    has > 0 && float(needs) <= ratio * float(has)
}
