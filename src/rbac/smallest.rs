//! The smallest set of published access policies that covers a use.
//!
//! Input: permissions, the table of policies, what a policy costs: its cells, each the dearer the more
//! power over secrets, code and identities the policy holds. Output: policies with
//! their scope, and what no policy covers (custom resources). One entry holds each policy once, with
//! one scope, so a policy is either for the cluster or for a list of namespaces. Up to two policies
//! are tried for the cluster and up to two for each namespace: more would be harder to read than the
//! rules they stand for. Source: <https://docs.aws.amazon.com/eks/latest/userguide/access-policies.html>.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::permission::{Permission, Rule, Scope, ScopedRule};

use super::cells::{self, Universe};
use super::policies::PolicyTable;
use super::rule_covers;
use super::sensitive::{Severity, severity_of};

/// A policy and where it holds: `None` for the cluster.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct PolicyGrant {
    /// Its name, without the ARN around it.
    pub policy: String,
    /// Namespaces, sorted.
    pub namespaces: Option<Vec<String>>,
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    /// Sorted.
    pub policies: Vec<PolicyGrant>,
    /// Indices into the use that no policy covers. Sorted.
    pub uncovered: Vec<usize>,
}

/// Policies that can be chosen, with what each costs.
#[derive(Debug)]
pub struct Offers<'a> {
    offers: Vec<Offer<'a>>,
}

#[derive(Debug)]
struct Offer<'a> {
    name: &'a str,
    rules: &'a [Rule],
    cluster: Price,
    /// In one namespace: the same in each.
    namespace: Price,
}

/// What a policy costs in a scope.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Price {
    cells: u64,
    /// Cells, weighed by the power they hold.
    cost: u64,
    severity: Severity,
}

/// API groups of Kubernetes itself and of its metrics. Custom resources are reached by policies only
/// through a wildcard over everything, which is no way to grant them.
const KUBERNETES_GROUPS: [&str; 21] = [
    "",
    "admissionregistration.k8s.io",
    "apiextensions.k8s.io",
    "apiregistration.k8s.io",
    "apps",
    "authentication.k8s.io",
    "authorization.k8s.io",
    "autoscaling",
    "batch",
    "certificates.k8s.io",
    "coordination.k8s.io",
    "discovery.k8s.io",
    "events.k8s.io",
    "extensions",
    "flowcontrol.apiserver.k8s.io",
    "metrics.k8s.io",
    "networking.k8s.io",
    "policy",
    "rbac.authorization.k8s.io",
    "scheduling.k8s.io",
    "storage.k8s.io",
];

/// True when a policy should give the permission by this rule.
fn gives(rule: &Rule, one: &Permission) -> bool {
    KUBERNETES_GROUPS.contains(&one.api_group.as_str()) && rule_covers(rule, one)
}

/// Reading secrets is not to be had for fewer cells elsewhere.
fn weight(severity: Severity) -> u64 {
    match severity {
        Severity::Info | Severity::Low => 1,
        Severity::Medium => 2,
        Severity::High => 4,
        Severity::Critical => 16,
    }
}

/// A set of uses, by index.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Mask(Vec<u64>);

impl Mask {
    fn empty(len: usize) -> Self {
        Mask(vec![0; len.div_ceil(64)])
    }
    fn set(&mut self, idx: usize) {
        if let Some(word) = self.0.get_mut(idx / 64) {
            *word |= 1 << (idx % 64);
        }
    }
    fn or(&self, other: &Mask) -> Mask {
        Mask(self.0.iter().zip(&other.0).map(|(a, b)| a | b).collect())
    }
    fn minus(&self, other: &Mask) -> Mask {
        Mask(self.0.iter().zip(&other.0).map(|(a, b)| a & !b).collect())
    }
    fn and(&self, other: &Mask) -> Mask {
        Mask(self.0.iter().zip(&other.0).map(|(a, b)| a & b).collect())
    }
    fn is_empty(&self) -> bool {
        self.0.iter().all(|word| *word == 0)
    }
    fn is_in(&self, other: &Mask) -> bool {
        self.0.iter().zip(&other.0).all(|(a, b)| a & !b == 0)
    }
    fn indices(&self) -> Vec<usize> {
        let bits = |(at, word): (usize, &u64)| {
            let word = *word;
            (0..64).filter(move |bit| word & (1 << bit) != 0).map(move |bit| at * 64 + bit)
        };
        self.0.iter().enumerate().flat_map(bits).collect()
    }
}

impl<'a> Offers<'a> {
    /// The published policies, measured in `universe`.
    #[must_use]
    pub fn new(policies: &'a PolicyTable, universe: &Universe) -> Self {
        let measure = |rules: &[Rule], scope: &Scope| {
            let scoped: Vec<ScopedRule> = rules
                .iter()
                .map(|rule| ScopedRule { scope: scope.clone(), rule: rule.clone() })
                .collect();
            let cells = cells::cells(&scoped, universe);
            let severity = severity_of(&scoped);
            Price { cells, cost: cells.saturating_mul(weight(severity)), severity }
        };
        let offers = policies.published().map(|(name, rules)| Offer {
            name,
            rules,
            cluster: measure(rules, &Scope::Cluster),
            namespace: measure(rules, &Scope::Namespace("one".to_owned())),
        });
        Offers { offers: offers.collect() }
    }

    /// The set that costs least. `taken` are policies that the entry already holds for another
    /// reason: associating one again would replace its scope.
    #[must_use]
    pub fn smallest(&self, used: &[&Permission], taken: &BTreeSet<String>) -> Choice {
        let free: Vec<&Offer<'_>> =
            self.offers.iter().filter(|offer| !taken.contains(offer.name)).collect();
        let covered: Vec<Mask> = free.iter().map(|offer| covered_by(offer.rules, used)).collect();
        let mut all = Mask::empty(used.len());
        // What needs a policy over the cluster, and what is in each namespace.
        let mut wide = Mask::empty(used.len());
        let mut by_namespace: BTreeMap<&str, Mask> = BTreeMap::new();
        let any = covered.iter().fold(Mask::empty(used.len()), |any, one| any.or(one));
        for (idx, one) in used.iter().enumerate() {
            all.set(idx);
            let place = if one.is_non_resource() || one.namespace.is_empty() {
                &mut wide
            } else {
                by_namespace.entry(&one.namespace).or_insert_with(|| Mask::empty(used.len()))
            };
            place.set(idx);
        }
        let uncovered = all.minus(&any).indices();
        let wide = wide.and(&any);
        let mut best: Option<(u64, Vec<PolicyGrant>)> = None;
        let mut seen: BTreeMap<Mask, Option<(u64, Vec<usize>)>> = BTreeMap::new();
        for over_cluster in subsets(free.len(), &covered, &wide) {
            let sum = |of: &[usize], cost: fn(&Offer<'_>) -> u64| -> u64 {
                of.iter().filter_map(|&idx| free.get(idx)).map(|offer| cost(offer)).sum()
            };
            let reached = over_cluster
                .iter()
                .filter_map(|&idx| covered.get(idx))
                .fold(Mask::empty(used.len()), |any, one| any.or(one));
            let mut cost = sum(&over_cluster, |offer| offer.cluster.cost);
            let mut chosen: BTreeMap<usize, Option<Vec<String>>> =
                over_cluster.iter().map(|&idx| (idx, None)).collect();
            let mut whole = true;
            for (namespace, mask) in &by_namespace {
                let rest = mask.and(&any).minus(&reached);
                if rest.is_empty() {
                    continue;
                }
                let found = seen.entry(rest.clone()).or_insert_with(|| {
                    subsets(free.len(), &covered, &rest)
                        .into_iter()
                        .map(|set| (sum(&set, |offer| offer.namespace.cost), set))
                        .min()
                });
                let Some((cells, set)) = found else {
                    whole = false;
                    break;
                };
                cost += *cells;
                for idx in set.iter() {
                    if let Some(list) =
                        chosen.entry(*idx).or_insert_with(|| Some(Vec::new())).as_mut()
                    {
                        list.push((*namespace).to_owned());
                    }
                }
            }
            if !whole {
                continue;
            }
            let mut policies: Vec<PolicyGrant> = chosen
                .into_iter()
                .filter_map(|(idx, namespaces)| {
                    let policy = free.get(idx)?.name.to_owned();
                    Some(PolicyGrant { policy, namespaces })
                })
                .collect();
            policies.sort();
            let candidate = (cost, policies);
            let fewer = |best: &(u64, Vec<PolicyGrant>)| {
                (candidate.0, candidate.1.len(), &candidate.1) < (best.0, best.1.len(), &best.1)
            };
            if best.as_ref().is_none_or(fewer) {
                best = Some(candidate);
            }
        }
        match best {
            Some((_, policies)) => Choice { policies, uncovered },
            None => Choice { policies: Vec::new(), uncovered: all.indices() },
        }
    }

    /// The single policy and scope that covers all of it and costs least: cells and policy.
    #[must_use]
    pub fn smallest_alone(&self, used: &[&Permission]) -> Option<(u64, PolicyGrant)> {
        let namespaces: BTreeSet<&str> = used.iter().map(|one| one.namespace.as_str()).collect();
        let narrow = !used.is_empty()
            && used.iter().all(|one| !one.is_non_resource())
            && !namespaces.contains("");
        let covering = self
            .offers
            .iter()
            .filter(|offer| used.iter().all(|one| offer.rules.iter().any(|rule| gives(rule, one))));
        let all = covering.flat_map(|offer| {
            let of = |namespaces| PolicyGrant { policy: offer.name.to_owned(), namespaces };
            let places = u64::try_from(namespaces.len()).unwrap_or(u64::MAX);
            let list = || namespaces.iter().map(|one| (*one).to_owned()).collect();
            let small = narrow.then(|| {
                let Price { cells, cost, .. } = offer.namespace;
                (cost * places, cells * places, of(Some(list())))
            });
            let wide = (offer.cluster.cost, offer.cluster.cells, of(None));
            [Some(wide), small].into_iter().flatten()
        });
        all.min().map(|(_, cells, grant)| (cells, grant))
    }

    /// Cells and power of a choice, where it is one policy: those were measured once for all.
    #[must_use]
    pub fn measured(&self, choice: &[PolicyGrant]) -> Option<(u64, Severity)> {
        let [only] = choice else { return None };
        let offer = self.offers.iter().find(|offer| offer.name == only.policy)?;
        Some(match &only.namespaces {
            None => (offer.cluster.cells, offer.cluster.severity),
            Some(list) => {
                let places = u64::try_from(list.len()).unwrap_or(u64::MAX);
                (offer.namespace.cells.saturating_mul(places), offer.namespace.severity)
            }
        })
    }

    /// What a choice costs; the least of all that cover a use is chosen.
    #[must_use]
    pub fn cost(&self, choice: &[PolicyGrant]) -> u64 {
        let price = |grant: &PolicyGrant| {
            let offer = self.offers.iter().find(|offer| offer.name == grant.policy)?;
            Some(match &grant.namespaces {
                None => offer.cluster.cost,
                Some(list) => {
                    let places = u64::try_from(list.len()).unwrap_or(u64::MAX);
                    offer.namespace.cost.saturating_mul(places)
                }
            })
        };
        choice.iter().filter_map(price).sum()
    }

    /// The rules of a policy where it is granted.
    #[must_use]
    pub fn rules(&self, grant: &PolicyGrant) -> Vec<ScopedRule> {
        let scope = match &grant.namespaces {
            None => Scope::Cluster,
            Some(list) => Scope::NamespaceGlobs(list.clone()),
        };
        let rules =
            self.offers.iter().find(|o| o.name == grant.policy).map_or(&[][..], |o| o.rules);
        rules.iter().map(|rule| ScopedRule { scope: scope.clone(), rule: rule.clone() }).collect()
    }
}

fn covered_by(rules: &[Rule], used: &[&Permission]) -> Mask {
    let mut mask = Mask::empty(used.len());
    for (idx, one) in used.iter().enumerate() {
        if rules.iter().any(|rule| gives(rule, one)) {
            mask.set(idx);
        }
    }
    mask
}

/// Sets of none, one or two policies that cover `needed`. A pair of which one is enough is left out.
fn subsets(n: usize, covered: &[Mask], needed: &Mask) -> Vec<Vec<usize>> {
    let mut found = Vec::new();
    if needed.is_empty() {
        found.push(Vec::new());
    }
    let enough: Vec<bool> = covered.iter().map(|mask| needed.is_in(mask)).collect();
    found.extend((0..n).filter(|&idx| enough.get(idx) == Some(&true)).map(|idx| vec![idx]));
    if needed.is_empty() {
        return found;
    }
    for a in 0..n {
        for b in a + 1..n {
            let (Some(one), Some(two)) = (covered.get(a), covered.get(b)) else { continue };
            let single = enough.get(a) == Some(&true) || enough.get(b) == Some(&true);
            if !single && needed.is_in(&one.or(two)) {
                found.push(vec![a, b]);
            }
        }
    }
    found
}
