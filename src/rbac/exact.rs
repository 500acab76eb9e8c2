//! The rules that allow exactly what was used.
//!
//! Input: permissions used, and the rules they were used through. Output: one rule set that covers
//! them, with the fewest cells: a Role in each namespace, a ClusterRole only for what is
//! cluster-scoped, over all namespaces, or a URL. Names are kept where the old rules granted by name,
//! and for what names are the whole point of (whom to impersonate, whose tokens to mint). Dropping
//! any rule breaks some use. Source: <https://kubernetes.io/docs/concepts/security/rbac-good-practices/>.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::permission::{Permission, Rule, Scope, ScopedRule};

use super::covers;
use super::granting::Granting;

/// Verbs that are given together although one was used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum VerbGroups {
    /// What was used, and no more.
    #[default]
    Exact,
    /// `get`, `list` and `watch` together: an informer that lists will watch.
    Read,
}

/// More names than this are not names of anything in particular.
const MAX_NAMES: usize = 20;
const READS: [&str; 3] = ["get", "list", "watch"];
/// A WebSocket client sends GET where an older one sends POST, for the same session.
const STREAMS: [&str; 3] = ["exec", "attach", "portforward"];

/// The rules for `used`, which `granted` covers. Ordered by scope.
#[must_use]
pub fn exact(used: &[&Permission], granted: &[ScopedRule], groups: VerbGroups) -> Vec<ScopedRule> {
    let names = NamesKept::of(used);
    let mut of_place: BTreeMap<Scope, Vec<(&Permission, bool)>> = BTreeMap::new();
    let mut granting = Granting::new(granted);
    for &one in used {
        let (how, is_new) = granting.of(one);
        let keeps_name = names.keeps(one);
        if !is_new && !keeps_name {
            continue;
        }
        let by_name = keeps_name || how.is_some_and(|how| how.by_name);
        // A request for a Namespace object carries its name as its namespace.
        let is_object = one.resource == "namespaces" && how.is_none_or(|how| how.by_cluster);
        let scope = if one.namespace.is_empty() || is_object {
            Scope::Cluster
        } else {
            Scope::Namespace(one.namespace.clone())
        };
        of_place.entry(scope).or_default().push((one, by_name && !one.name.is_empty()));
    }
    // The cluster comes first, and rules without names before those with: what they give anyway is
    // not given again.
    let mut rules: Vec<ScopedRule> = Vec::new();
    for (scope, uses) in of_place {
        for named in [false, true] {
            let mut targets = Targets::default();
            for (one, _) in uses.iter().filter(|(_, by_name)| *by_name == named) {
                if !covers(&rules, one) {
                    targets.add(one, named, groups);
                }
            }
            let found = targets.into_rules().into_iter();
            rules.extend(found.map(|rule| ScopedRule { scope: scope.clone(), rule }));
        }
    }
    rules
}

/// What rules are about: group, resource with subresource, name; or a path. With its verbs.
#[derive(Default)]
struct Targets {
    resources: BTreeMap<(String, String, String), BTreeSet<String>>,
    paths: BTreeMap<String, BTreeSet<String>>,
}

impl Targets {
    fn add(&mut self, one: &Permission, named: bool, groups: VerbGroups) {
        if one.is_non_resource() {
            self.paths.entry(one.path.clone()).or_default().insert(one.verb.clone());
            return;
        }
        let name = if named { one.name.clone() } else { String::new() };
        let verbs = self.resources.entry((one.api_group.clone(), full_name(one), name));
        verbs.or_default().extend(verbs_with(one, groups));
    }

    /// One rule for all resources of a group that share their verbs; with names one for each resource
    /// and set of verbs.
    fn into_rules(self) -> Vec<Rule> {
        type Key = (String, Option<String>, Vec<String>);
        let mut grouped: BTreeMap<Key, Vec<String>> = BTreeMap::new();
        for ((group, resource, name), verbs) in self.resources {
            let verbs: Vec<String> = verbs.into_iter().collect();
            let (key, item) = if name.is_empty() {
                ((group, None, verbs), resource)
            } else {
                ((group, Some(resource), verbs), name)
            };
            grouped.entry(key).or_default().push(item);
        }
        let of_resources = grouped.into_iter().map(|((group, resource, verbs), items)| {
            let (resources, resource_names) = match resource {
                None => (items, Vec::new()),
                Some(resource) => (vec![resource], items),
            };
            Rule { verbs, api_groups: vec![group], resources, resource_names, ..Rule::default() }
        });
        let mut by_verbs: BTreeMap<Vec<String>, Vec<String>> = BTreeMap::new();
        for (path, verbs) in self.paths {
            by_verbs.entry(verbs.into_iter().collect()).or_default().push(path);
        }
        let of_paths = by_verbs.into_iter().map(|(verbs, non_resource_urls)| Rule {
            verbs,
            non_resource_urls,
            ..Rule::default()
        });
        of_resources.chain(of_paths).collect()
    }
}

/// Targets of which only a few names were used.
struct NamesKept(BTreeSet<(String, String, String)>);

impl NamesKept {
    fn of(used: &[&Permission]) -> Self {
        let mut names: BTreeMap<(String, String, String), BTreeSet<&str>> = BTreeMap::new();
        for one in used.iter().filter(|one| is_about_names(one)) {
            names.entry(key_of(one)).or_default().insert(&one.name);
        }
        // A use whose name is not known asks for a rule without names.
        let few = |names: &BTreeSet<&str>| names.len() <= MAX_NAMES && !names.contains("");
        NamesKept(names.into_iter().filter(|(_, names)| few(names)).map(|(key, _)| key).collect())
    }

    fn keeps(&self, one: &Permission) -> bool {
        is_about_names(one) && self.0.contains(&key_of(one))
    }
}

fn key_of(one: &Permission) -> (String, String, String) {
    (one.verb.clone(), full_name(one), one.namespace.clone())
}

fn is_about_names(one: &Permission) -> bool {
    one.verb == "impersonate" || (one.resource == "serviceaccounts" && one.subresource == "token")
}

fn full_name(one: &Permission) -> String {
    if one.subresource.is_empty() {
        one.resource.clone()
    } else {
        format!("{}/{}", one.resource, one.subresource)
    }
}

fn verbs_with(one: &Permission, groups: VerbGroups) -> Vec<String> {
    let all = |verbs: &[&str]| verbs.iter().map(|verb| (*verb).to_owned()).collect();
    let verb = one.verb.as_str();
    let is_stream = one.resource == "pods" && STREAMS.contains(&one.subresource.as_str());
    if is_stream && matches!(verb, "get" | "create") {
        all(&["create", "get"])
    } else if groups == VerbGroups::Read && READS.contains(&verb) && one.subresource.is_empty() {
        all(&READS)
    } else {
        vec![one.verb.clone()]
    }
}
