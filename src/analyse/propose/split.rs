//! One grant, several disjoint groups of users: by session tag, source identity, person or pod.
//!
//! An attribute splits a grant when every use of it shows a value, there are few values, and no two
//! of them were in the same place. Requests for the cluster as a whole are a place of their own.

use std::collections::{BTreeMap, BTreeSet};

use crate::join::profile::{MANY, Profiles};
use crate::join::usage::Usage;
use crate::model::permission::Permission;

/// More groups than this are no teams.
const MAX_GROUPS: usize = 16;

/// Uses of one group, by what names it: `tag:team=shop`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// Attribute and value.
    pub name: String,
    /// What it used. Sorted.
    pub used: Vec<Permission>,
}

/// What organisations call those who own things; asked before other attributes.
const OWNERS: [&str; 8] =
    ["team", "squad", "owner", "department", "project", "application", "app", "service"];

/// The groups of the best attribute: one that names owners, then the one with most groups, then by
/// its name. Empty when none splits.
#[must_use]
pub fn groups(uses: &[usize], usage: &Usage, profiles: &Profiles) -> Vec<Group> {
    type OfKey<'a> = BTreeMap<&'a str, BTreeSet<&'a Permission>>;
    let uses: Vec<_> = uses.iter().filter_map(|&idx| usage.uses.get(idx)).collect();
    let mut by_key: BTreeMap<&str, OfKey<'_>> = BTreeMap::new();
    let mut everywhere: Option<BTreeSet<&str>> = None;
    for used in &uses {
        for &number in &used.profiles {
            if number == MANY {
                return Vec::new();
            }
            let profile = profiles.get(number);
            let keys: BTreeSet<&str> = profile.iter().map(|(key, _)| key.as_str()).collect();
            everywhere = Some(match everywhere {
                None => keys,
                Some(known) => known.intersection(&keys).copied().collect(),
            });
            for (key, value) in profile {
                let of_key = by_key.entry(key).or_default();
                of_key.entry(value).or_default().insert(&used.permission);
            }
        }
    }
    let everywhere = everywhere.unwrap_or_default();
    let owns = |key: &str| {
        let key = key.trim_start_matches("tag:").to_ascii_lowercase();
        OWNERS.contains(&key.as_str())
    };
    let mut best: Option<((bool, usize), &str, &OfKey<'_>)> = None;
    for (key, of_key) in &by_key {
        let splits = everywhere.contains(key)
            && (2..=MAX_GROUPS).contains(&of_key.len())
            && are_disjoint(of_key.values());
        let rank = (owns(key), of_key.len());
        if splits && best.is_none_or(|(known, ..)| rank > known) {
            best = Some((rank, key, of_key));
        }
    }
    let Some((_, key, of_key)) = best else { return Vec::new() };
    of_key
        .iter()
        .map(|(value, used)| Group {
            name: format!("{key}={value}"),
            used: used.iter().map(|one| (*one).clone()).collect(),
        })
        .collect()
}

/// True when no place is used by two groups.
fn are_disjoint<'a>(groups: impl Iterator<Item = &'a BTreeSet<&'a Permission>>) -> bool {
    let mut taken: BTreeSet<&str> = BTreeSet::new();
    for group in groups {
        let places: BTreeSet<&str> = group.iter().map(|one| one.namespace.as_str()).collect();
        for place in places {
            if !taken.insert(place) {
                return false;
            }
        }
    }
    true
}

/// Values of `person` that are seen behind the uses; `None` when they are too many to list.
#[must_use]
pub fn people<'a>(
    uses: &[usize],
    usage: &Usage,
    profiles: &'a Profiles,
) -> Option<BTreeSet<&'a str>> {
    let mut found = BTreeSet::new();
    for used in uses.iter().filter_map(|&idx| usage.uses.get(idx)) {
        for &number in &used.profiles {
            if number == MANY {
                return None;
            }
            let person = profiles.get(number).iter().find(|(key, _)| key == "person");
            found.extend(person.map(|(_, value)| value.as_str()));
        }
    }
    Some(found)
}
