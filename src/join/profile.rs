//! What tells the users of one grant apart: session tags, source identity, person, pod.
//!
//! Input: sessions and callers. Output: a number for each distinct set of attributes, so that use can
//! remember who made it in four bytes. Tags that take many values (a run's number, a commit) tell no
//! team apart and are left out.

use std::collections::{BTreeMap, BTreeSet};

use rustc_hash::FxHashMap;

use crate::model::fact::KubeUser;

use super::sessions::Sessions;

/// A tag with more values than this is no name of a team.
const MAX_VALUES: usize = 64;
/// Stands for profiles that a use no longer lists one by one.
pub const MANY: u32 = u32::MAX;
/// Profiles that a use lists.
pub const MAX_LISTED: usize = 64;

/// Attribute and value, sorted by attribute: `tag:team`, `source_identity`, `person`, `pod`.
pub type Profile = Vec<(String, String)>;

/// All profiles that were met.
#[derive(Debug, Default)]
pub struct Profiles {
    all: Vec<Profile>,
    known: FxHashMap<Profile, u32>,
    of_session: FxHashMap<usize, u32>,
    keys: BTreeSet<String>,
}

impl Profiles {
    /// Looks at the tags of all sessions.
    #[must_use]
    pub fn new(sessions: &Sessions) -> Self {
        let mut values: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for session in &sessions.all {
            for (key, value, _) in sessions.tags(session) {
                let known = values.entry(key).or_default();
                if known.len() <= MAX_VALUES {
                    known.insert(value);
                }
            }
        }
        let few = values.into_iter().filter(|(_, values)| values.len() <= MAX_VALUES);
        Profiles { keys: few.map(|(key, _)| key.to_owned()).collect(), ..Profiles::default() }
    }

    /// The profile of a request: of its session, or of the pod whose token it showed.
    pub fn of(&mut self, sessions: &Sessions, session: Option<usize>, caller: &KubeUser) -> u32 {
        if !caller.pod_name.is_empty() {
            return self.of_attributes(&[("pod", workload_of(&caller.pod_name))]);
        }
        let Some(idx) = session else { return self.number(Vec::new()) };
        if let Some(&known) = self.of_session.get(&idx) {
            return known;
        }
        let number = self.number(self.read(sessions, idx));
        self.of_session.insert(idx, number);
        number
    }

    /// The number of these attributes; those without a value are not there.
    pub fn of_attributes(&mut self, attributes: &[(&str, &str)]) -> u32 {
        let given = attributes.iter().filter(|(_, value)| !value.is_empty());
        let mut profile: Profile =
            given.map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        profile.sort();
        self.number(profile)
    }

    /// What the number stands for.
    #[must_use]
    pub fn get(&self, number: u32) -> &[(String, String)] {
        usize::try_from(number).ok().and_then(|idx| self.all.get(idx)).map_or(&[], Vec::as_slice)
    }

    fn read(&self, sessions: &Sessions, idx: usize) -> Profile {
        let Some(session) = sessions.get(idx) else { return Vec::new() };
        let mut profile: Profile = sessions
            .tags(session)
            .filter(|(key, ..)| self.keys.contains(*key))
            .map(|(key, value, _)| (format!("tag:{key}"), value.to_owned()))
            .collect();
        let own = [("person", session.person), ("source_identity", session.source_identity)];
        profile.extend(
            own.into_iter()
                .map(|(key, text)| (key.to_owned(), sessions.text(text).to_owned()))
                .filter(|(_, value)| !value.is_empty()),
        );
        profile.sort();
        profile
    }

    fn number(&mut self, profile: Profile) -> u32 {
        if let Some(&known) = self.known.get(&profile) {
            return known;
        }
        let number = u32::try_from(self.all.len()).unwrap_or(MANY);
        self.all.push(profile.clone());
        self.known.insert(profile, number);
        number
    }
}

/// Notes a profile in a sorted list that stays short.
pub fn note(list: &mut Vec<u32>, profile: u32) {
    if list.last() == Some(&MANY) {
        return;
    }
    if let Err(at) = list.binary_search(&profile) {
        if list.len() >= MAX_LISTED {
            *list = vec![MANY];
        } else {
            list.insert(at, profile);
        }
    }
}

/// The pod's name without what its controllers added: `api` of `api-7d9c5b6f4d-x2x4z`, of `api-0`.
fn workload_of(pod: &str) -> &str {
    let is_random = |part: &str| part.len() == 5 && part.bytes().all(|b| b.is_ascii_alphanumeric());
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    let is_template = |part: &str| {
        (6..=10).contains(&part.len())
            && part.bytes().all(|b| b.is_ascii_alphanumeric())
            && part.bytes().any(|b| b.is_ascii_digit())
    };
    match pod.rsplit_once('-') {
        Some((rest, last)) if is_random(last) => match rest.rsplit_once('-') {
            Some((name, hash)) if is_template(hash) => name,
            _ => rest,
        },
        Some((rest, last)) if is_number(last) => rest,
        _ => pod,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pods_are_told_by_their_workload() {
        let check = |pod: &str, expected: &str| assert_eq!(workload_of(pod), expected);
        check("api-7d9c5b6f4d-x2x4z", "api");
        check("node-agent-x2x4z", "node-agent");
        check("db-0", "db");
        check("nightly-29012345-abcde", "nightly");
        check("plain", "plain");
        check("", "");
    }

    #[test]
    fn a_list_of_profiles_stays_short() {
        let mut list = Vec::new();
        for profile in [3, 1, 3, 2] {
            note(&mut list, profile);
        }
        assert_eq!(list, [1, 2, 3]);
        (0..100).for_each(|profile| note(&mut list, profile));
        assert_eq!(list, [MANY]);
    }
}
