//! How wide is a set of rules? Counts the cells it allows.
//!
//! A cell is verb × resource × place: one namespace, or the cluster for cluster-scoped resources, or
//! one object where a rule names it (a name pins the object, so it is not multiplied by namespaces).
//! For URLs a cell is verb × path. Wildcards count over the resources that the cluster serves and
//! the log shows; nothing is multiplied out beyond that. Use is counted by the same measure, so that
//! `needed ≤ allowed` always holds for what a grant covers.

use std::collections::{BTreeMap, BTreeSet};

use rustc_hash::FxHashSet;

use crate::model::inventory::ApiResource;
use crate::model::permission::{Permission, Rule, Scope, ScopedRule};

use super::granting::Granting;
use super::policies::PolicyTable;
use super::{glob_match, resource_covers, url_covers};

const HTTP_VERBS: [&str; 7] = ["get", "head", "options", "post", "put", "patch", "delete"];
const KNOWN_PATHS: [&str; 12] = [
    "/api",
    "/apis",
    "/openapi",
    "/metrics",
    "/healthz",
    "/livez",
    "/readyz",
    "/version",
    "/logs",
    "/debug",
    "/.well-known",
    "/configz",
];
const STANDARD_VERBS: [&str; 8] =
    ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"];

/// Verbs that no endpoint serves and the authorizer knows all the same.
const UNSERVED_VERBS: [&str; 7] =
    ["impersonate", "bind", "escalate", "use", "approve", "sign", "attest"];
/// Resources that no endpoint serves and rules speak of all the same.
const UNSERVED_RESOURCES: [&str; 4] = ["users", "groups", "uids", "signers"];

/// Resources of every cluster, for snapshots without `api-resources.json`: group, resource,
/// namespaced.
const BUILTIN: &[(&str, &str, bool)] = &[
    ("", "bindings", true),
    ("", "configmaps", true),
    ("", "endpoints", true),
    ("", "events", true),
    ("", "limitranges", true),
    ("", "namespaces", false),
    ("", "nodes", false),
    ("", "nodes/proxy", false),
    ("", "persistentvolumeclaims", true),
    ("", "persistentvolumes", false),
    ("", "pods", true),
    ("", "pods/attach", true),
    ("", "pods/ephemeralcontainers", true),
    ("", "pods/eviction", true),
    ("", "pods/exec", true),
    ("", "pods/log", true),
    ("", "pods/portforward", true),
    ("", "replicationcontrollers", true),
    ("", "resourcequotas", true),
    ("", "secrets", true),
    ("", "serviceaccounts", true),
    ("", "serviceaccounts/token", true),
    ("", "services", true),
    ("admissionregistration.k8s.io", "mutatingwebhookconfigurations", false),
    ("admissionregistration.k8s.io", "validatingwebhookconfigurations", false),
    ("apiextensions.k8s.io", "customresourcedefinitions", false),
    ("apiregistration.k8s.io", "apiservices", false),
    ("apps", "controllerrevisions", true),
    ("apps", "daemonsets", true),
    ("apps", "deployments", true),
    ("apps", "deployments/scale", true),
    ("apps", "replicasets", true),
    ("apps", "statefulsets", true),
    ("autoscaling", "horizontalpodautoscalers", true),
    ("batch", "cronjobs", true),
    ("batch", "jobs", true),
    ("certificates.k8s.io", "certificatesigningrequests", false),
    ("coordination.k8s.io", "leases", true),
    ("discovery.k8s.io", "endpointslices", true),
    ("networking.k8s.io", "ingresses", true),
    ("networking.k8s.io", "networkpolicies", true),
    ("policy", "poddisruptionbudgets", true),
    ("rbac.authorization.k8s.io", "clusterrolebindings", false),
    ("rbac.authorization.k8s.io", "clusterroles", false),
    ("rbac.authorization.k8s.io", "rolebindings", true),
    ("rbac.authorization.k8s.io", "roles", true),
    ("scheduling.k8s.io", "priorityclasses", false),
    ("storage.k8s.io", "storageclasses", false),
];

#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Resource {
    namespaced: bool,
    verbs: BTreeSet<String>,
}

/// What there is to allow in one cluster.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Universe {
    /// By group and `resource[/sub]`.
    resources: BTreeMap<(String, String), Resource>,
    namespaces: BTreeSet<String>,
    paths: BTreeSet<String>,
    /// True when the cluster told what it serves: then a rule about anything else allows nothing.
    is_whole: bool,
}

impl Universe {
    /// Resources of the cluster, its namespaces, and whatever the log shows beyond them.
    #[must_use]
    pub fn new<'a>(
        api_resources: Option<&[ApiResource]>,
        namespaces: &[String],
        used: impl Iterator<Item = &'a Permission>,
    ) -> Self {
        let mut all = Universe::default();
        if let Some(listed) = api_resources {
            all.is_whole = true;
            for one in listed {
                let key = (one.api_group.clone(), one.name.clone());
                let slot = all.resources.entry(key).or_default();
                slot.namespaced |= one.namespaced;
                slot.verbs.extend(one.verbs.iter().cloned());
            }
        } else {
            for (group, name, namespaced) in BUILTIN {
                let verbs = STANDARD_VERBS.iter().map(|v| (*v).to_owned()).collect();
                let resource = Resource { namespaced: *namespaced, verbs };
                all.resources.insert(((*group).to_owned(), (*name).to_owned()), resource);
            }
            // Else a policy that spells them out would look wider than one that says `*`.
            for (_, rules) in PolicyTable::builtin().published() {
                all.spell_out(rules);
            }
        }
        all.namespaces.extend(namespaces.iter().cloned());
        all.paths.extend(KNOWN_PATHS.iter().map(|path| (*path).to_owned()));
        for one in used {
            if one.is_non_resource() {
                all.paths.insert(one.path.clone());
                continue;
            }
            let slot = all.resources.entry((one.api_group.clone(), full_name(one))).or_default();
            slot.verbs.insert(one.verb.clone());
            // A Namespace object carries its own name as the namespace and is still cluster-scoped.
            if !one.namespace.is_empty() {
                slot.namespaced |= one.resource != "namespaces";
                all.namespaces.insert(one.namespace.clone());
            }
        }
        all
    }
}

impl Universe {
    /// Adds what the rules name, with the verbs they give on it.
    fn spell_out(&mut self, rules: &[Rule]) {
        for rule in rules {
            for group in rule.api_groups.iter().filter(|group| *group != "*") {
                for name in rule.resources.iter().filter(|name| !name.contains('*')) {
                    let namespaced = !UNSERVED_RESOURCES.contains(&name.as_str());
                    let slot = self
                        .resources
                        .entry((group.clone(), name.clone()))
                        .or_insert_with(|| Resource { namespaced, verbs: BTreeSet::new() });
                    slot.verbs.extend(rule.verbs.iter().filter(|verb| *verb != "*").cloned());
                }
            }
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Place<'a> {
    Cluster,
    Namespace(&'a str),
    Object(&'a str),
}

/// Verb, API group, resource with subresource, path.
type Asked<'a> = (&'a str, &'a str, (&'a str, &'a str), &'a str);

fn full_name(permission: &Permission) -> String {
    if permission.subresource.is_empty() {
        permission.resource.clone()
    } else {
        format!("{}/{}", permission.resource, permission.subresource)
    }
}

/// Cells that the rules allow.
#[must_use]
pub fn cells(rules: &[ScopedRule], universe: &Universe) -> u64 {
    let mut sum = url_cells(rules, universe);
    let namespaces = with_bound_namespaces(rules, universe);
    let reaches = Reaches::of(rules, &namespaces);
    let named = with_named_resources(rules, universe);
    let all = universe.resources.iter().chain(&named);
    for ((group, name), known) in all {
        let matching: Vec<(&ScopedRule, &Reach)> = rules
            .iter()
            .zip(reaches.each())
            .filter(|(scoped, _)| names_resource(&scoped.rule, group, name))
            .collect();
        if matching.is_empty() {
            continue;
        }
        let mut verbs: BTreeSet<&str> = known.verbs.iter().map(String::as_str).collect();
        let explicit = matching.iter().flat_map(|(s, _)| &s.rule.verbs).filter(|v| *v != "*");
        verbs.extend(
            explicit
                .filter(|v| !universe.is_whole || UNSERVED_VERBS.contains(&v.as_str()))
                .map(String::as_str),
        );
        for verb in verbs {
            let granting = matching.iter().filter(|(scoped, _)| has(&scoped.rule.verbs, verb));
            sum = sum.saturating_add(places(granting.copied(), known, namespaces.len(), name));
        }
    }
    sum
}

/// Where a rule holds: everywhere, or in namespaces, a bit each.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Reach {
    Everywhere,
    Namespaces(Vec<u64>),
}

/// The reach of every rule. Neighbours mostly share their scope, which is then looked up once.
struct Reaches {
    of_rule: Vec<usize>,
    distinct: Vec<Reach>,
}

impl Reaches {
    fn of(rules: &[ScopedRule], namespaces: &BTreeSet<String>) -> Self {
        let mut reaches =
            Reaches { of_rule: Vec::with_capacity(rules.len()), distinct: Vec::new() };
        let mut seen: BTreeMap<&Scope, usize> = BTreeMap::new();
        for scoped in rules {
            let next = reaches.distinct.len();
            let idx = *seen.entry(&scoped.scope).or_insert(next);
            if idx == next {
                reaches.distinct.push(reach_of(&scoped.scope, namespaces));
            }
            reaches.of_rule.push(idx);
        }
        reaches
    }

    fn each(&self) -> impl Iterator<Item = &Reach> {
        self.of_rule.iter().filter_map(|&idx| self.distinct.get(idx))
    }
}

fn reach_of(scope: &Scope, namespaces: &BTreeSet<String>) -> Reach {
    let holds = |namespace: &str| match scope {
        Scope::Cluster => true,
        Scope::Namespace(only) => only == namespace,
        Scope::NamespaceGlobs(globs) => globs.iter().any(|glob| glob_match(glob, namespace)),
    };
    if *scope == Scope::Cluster {
        return Reach::Everywhere;
    }
    let mut bits = vec![0_u64; namespaces.len().div_ceil(64)];
    for (idx, namespace) in namespaces.iter().enumerate() {
        if holds(namespace)
            && let Some(word) = bits.get_mut(idx / 64)
        {
            *word |= 1 << (idx % 64);
        }
    }
    Reach::Namespaces(bits)
}

/// Cells of everything there is.
#[must_use]
pub fn cells_everything(universe: &Universe) -> u64 {
    let all = || vec!["*".to_owned()];
    let resources = Rule { verbs: all(), api_groups: all(), resources: all(), ..Rule::default() };
    let urls = Rule { verbs: all(), non_resource_urls: all(), ..Rule::default() };
    cells(&[resources, urls].map(|rule| ScopedRule { scope: Scope::Cluster, rule }), universe)
}

/// Cells that exact RBAC needs for the use that the rules cover.
#[must_use]
pub fn needed_cells(rules: &[ScopedRule], used: &[&Permission], universe: &Universe) -> u64 {
    let namespaces = with_bound_namespaces(rules, universe);
    let mut needed: FxHashSet<(Asked<'_>, Place<'_>)> = FxHashSet::default();
    let mut granting = Granting::new(rules);
    for &one in used {
        let (Some(how), true) = granting.of(one) else { continue };
        let key = (&*one.verb, &*one.api_group, (&*one.resource, &*one.subresource), &*one.path);
        let known = universe.resources.get(&(one.api_group.clone(), full_name(one)));
        let namespaced = known.is_some_and(|r| r.namespaced);
        if one.is_non_resource() {
            needed.insert((key, Place::Cluster));
        } else if how.by_name {
            needed.insert((key, Place::Object(&one.name)));
        } else if one.resource == "namespaces" && !one.namespace.is_empty() {
            let place =
                if how.by_cluster { Place::Cluster } else { Place::Namespace(&one.namespace) };
            needed.insert((key, place));
        } else if !namespaced {
            needed.insert((key, Place::Cluster));
        } else if one.namespace.is_empty() {
            // Over all namespaces.
            needed.extend(namespaces.iter().map(|ns| (key, Place::Namespace(ns))));
        } else {
            needed.insert((key, Place::Namespace(&one.namespace)));
        }
    }
    u64::try_from(needed.len()).unwrap_or(u64::MAX)
}

/// Distinct places in which some of `granting` allows one verb on one resource.
fn places<'a>(
    granting: impl Iterator<Item = (&'a ScopedRule, &'a Reach)>,
    known: &Resource,
    namespaces: usize,
    name: &str,
) -> u64 {
    let mut objects: BTreeSet<&str> = BTreeSet::new();
    let mut found = vec![0_u64; namespaces.div_ceil(64)];
    let mut everywhere = false;
    for (scoped, reach) in granting {
        if !scoped.rule.resource_names.is_empty() {
            objects.extend(scoped.rule.resource_names.iter().map(String::as_str));
            continue;
        }
        match reach {
            Reach::Everywhere => everywhere = true,
            // A RoleBinding reaches no cluster-scoped resource but the Namespace object itself.
            Reach::Namespaces(_) if !known.namespaced && name != "namespaces" => {}
            Reach::Namespaces(bits) => {
                found.iter_mut().zip(bits).for_each(|(word, more)| *word |= more);
            }
        }
    }
    if everywhere {
        // Names and namespaces are inside.
        let all = if known.namespaced { namespaces.max(1) } else { 1 };
        return u64::try_from(all).unwrap_or(u64::MAX);
    }
    let objects = u64::try_from(objects.len()).unwrap_or(u64::MAX);
    found.iter().map(|word| u64::from(word.count_ones())).sum::<u64>().saturating_add(objects)
}

/// Namespaces of the universe and those that a binding names although nobody listed them.
fn with_bound_namespaces(rules: &[ScopedRule], universe: &Universe) -> BTreeSet<String> {
    let mut all = universe.namespaces.clone();
    for scoped in rules {
        match &scoped.scope {
            Scope::Namespace(namespace) => {
                all.insert(namespace.clone());
            }
            Scope::NamespaceGlobs(globs) => {
                all.extend(globs.iter().filter(|glob| !glob.contains('*')).cloned());
            }
            Scope::Cluster => {}
        }
    }
    all
}

/// Resources beyond the universe that a rule spells out: any where the cluster did not tell what it
/// serves, else only those that no endpoint serves.
fn with_named_resources(
    rules: &[ScopedRule],
    universe: &Universe,
) -> BTreeMap<(String, String), Resource> {
    let mut all = BTreeMap::new();
    let may_exist = |name: &str| !universe.is_whole || UNSERVED_RESOURCES.contains(&name);
    for rule in rules.iter().map(|scoped| &scoped.rule) {
        for group in rule.api_groups.iter().filter(|group| *group != "*") {
            for name in rule.resources.iter().filter(|name| !name.starts_with('*')) {
                if !may_exist(name) {
                    continue;
                }
                let namespaced = !UNSERVED_RESOURCES.contains(&name.as_str());
                let key = (group.clone(), name.clone());
                if !universe.resources.contains_key(&key) {
                    all.insert(key, Resource { namespaced, verbs: BTreeSet::new() });
                }
            }
        }
    }
    all
}

fn names_resource(rule: &Rule, group: &str, name: &str) -> bool {
    let (resource, subresource) = name.split_once('/').unwrap_or((name, ""));
    has(&rule.api_groups, group)
        && rule.resources.iter().any(|pattern| resource_covers(pattern, resource, subresource))
}

fn url_cells(rules: &[ScopedRule], universe: &Universe) -> u64 {
    let mut found = BTreeSet::new();
    for scoped in rules.iter().filter(|scoped| scoped.scope == Scope::Cluster) {
        let verbs: Vec<&str> = if scoped.rule.verbs.iter().any(|v| v == "*") {
            HTTP_VERBS.to_vec()
        } else {
            scoped.rule.verbs.iter().map(String::as_str).collect()
        };
        for pattern in &scoped.rule.non_resource_urls {
            for verb in &verbs {
                found.insert((*verb, pattern.as_str()));
                let known = universe.paths.iter().filter(|path| url_covers(pattern, path));
                found.extend(known.map(|path| (*verb, path.as_str())));
            }
        }
    }
    u64::try_from(found.len()).unwrap_or(u64::MAX)
}

fn has(list: &[String], wanted: &str) -> bool {
    list.iter().any(|item| item == "*" || item == wanted)
}

#[cfg(test)]
mod tests;
