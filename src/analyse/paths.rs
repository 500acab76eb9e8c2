//! Access paths: the sets of grants that together let a member use a permission.
//!
//! An access policy is a path by itself. A binding to a group is half of one: the mapping that gives
//! the member its group is the other half, and either half can be deleted. Redundancy is decided on
//! paths, so that two halves of one path never vouch for each other, and of two paths one is kept.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use rustc_hash::FxHashMap;

use crate::join::cluster::Cluster;
use crate::join::usage::Usage;
use crate::model::fact::Via;
use crate::model::grant::{Allows, Grant, GrantKind, Holder};
use crate::model::inventory::Subject;
use crate::rbac::gives_group;

use super::evidence::Evidence;

/// All paths of one use: each is a sorted set of grants. Uses that the same grants cover share them.
pub type Paths = Arc<[Vec<usize>]>;

/// The paths of every use of a cluster, by index into [`Usage::uses`].
#[must_use]
pub fn of_uses(cluster: &Cluster<'_>, usage: &Usage) -> BTreeMap<usize, Paths> {
    let mut known: FxHashMap<(Vec<usize>, Via), Paths> = FxHashMap::default();
    usage
        .uses
        .iter()
        .enumerate()
        .filter(|(_, used)| !used.grants.is_empty())
        .map(|(idx, used)| {
            let covering: Vec<usize> = used.grants.iter().map(|(grant, _)| *grant).collect();
            if let Some(paths) = known.get(&(covering.clone(), used.via)) {
                return (idx, Arc::clone(paths));
            }
            let paths = paths_of(cluster, &covering, used.via);
            known.insert((covering, used.via), Arc::clone(&paths));
            (idx, paths)
        })
        .collect()
}

fn paths_of(cluster: &Cluster<'_>, covering: &[usize], via: Via) -> Paths {
    let grant = |idx: usize| cluster.grants.get(idx);
    let mut paths = BTreeSet::new();
    for &idx in covering {
        let Some(here) = grant(idx) else { continue };
        if let Some(group) = bound_group(here) {
            let mappings: Vec<usize> = covering
                .iter()
                .copied()
                .filter(|&other| grant(other).is_some_and(|other| gives_group(other, group)))
                .collect();
            if mappings.is_empty() || via != Via::Direct {
                paths.insert(vec![idx]);
            }
            for mapping in mappings {
                let mut path = vec![idx, mapping];
                path.sort_unstable();
                paths.insert(path);
            }
        } else if here.group.is_none() || here.allows == Allows::Everything {
            // A mapping to a group carries nothing alone, except to `system:masters`.
            paths.insert(vec![idx]);
        }
    }
    // What is dead, or is gone by now, vouches for nothing that remains.
    let live = |path: &Vec<usize>| {
        path.iter().all(|&idx| grant(idx).is_some_and(|grant| grant.ineffective.is_none()))
    };
    paths.into_iter().filter(live).collect()
}

fn bound_group(grant: &Grant) -> Option<&str> {
    match (&grant.kind, &grant.holder) {
        (GrantKind::RbacSubject, Holder::Subject(Subject::Group(group))) => Some(group),
        _ => None,
    }
}

/// The grants whose every use has another path, decided one after the other: a grant found
/// redundant no longer vouches for the next. The order prefers to let go what the authorizer never
/// named, then the wider grant, then the later kind, and is total.
#[must_use]
pub fn redundant(
    cluster: &Cluster<'_>,
    evidence: &[Evidence<'_>],
    paths: &BTreeMap<usize, Paths>,
    width: impl Fn(usize) -> u64,
) -> BTreeSet<usize> {
    let mut order: Vec<usize> = (0..cluster.grants.len())
        .filter(|&idx| {
            let customers = cluster.grants.get(idx).is_some_and(|g| !g.managed_by_aws);
            customers && evidence.get(idx).is_some_and(Evidence::is_used)
        })
        .collect();
    order.sort_by_key(|&idx| {
        let credited = evidence.get(idx).is_some_and(|e| e.credited);
        let grant = cluster.grants.get(idx);
        let halves_last = grant.is_some_and(|g| g.kind == GrantKind::RbacSubject);
        (credited, halves_last, std::cmp::Reverse(width(idx)), grant.map(|g| g.id.clone()))
    });
    let mut gone = BTreeSet::new();
    for idx in order {
        let Some(seen) = evidence.get(idx) else { continue };
        let spare = !seen.uses.is_empty()
            && seen.uses.iter().all(|used| {
                paths.get(used).is_some_and(|paths| {
                    paths
                        .iter()
                        .any(|path| !path.contains(&idx) && path.iter().all(|g| !gone.contains(g)))
                })
            });
        if spare {
            gone.insert(idx);
        }
    }
    gone
}

/// Groups of grants that cover a common use: of each, at most one may be advised against.
#[must_use]
pub fn rivals(n_grants: usize, paths: &BTreeMap<usize, Paths>) -> Vec<usize> {
    let mut leader: Vec<usize> = (0..n_grants).collect();
    for path_set in paths.values() {
        let mut all = path_set.iter().flatten().copied();
        let Some(first) = all.next() else { continue };
        for other in all {
            let (a, b) = (find(&mut leader, first), find(&mut leader, other));
            let (low, high) = (a.min(b), a.max(b));
            if let Some(slot) = leader.get_mut(high) {
                *slot = low;
            }
        }
    }
    (0..n_grants).map(|idx| find(&mut leader, idx)).collect()
}

fn find(leader: &mut [usize], mut idx: usize) -> usize {
    while let Some(&up) = leader.get(idx) {
        if up == idx {
            break;
        }
        let above = leader.get(up).copied().unwrap_or(up);
        if let Some(slot) = leader.get_mut(idx) {
            *slot = above;
        }
        idx = above;
    }
    idx
}
