//! Role chains: which session asked for which, and what passes down.
//!
//! Transitive tags and the source identity reach every session further down, whatever the depth.
//! Source: <https://docs.aws.amazon.com/IAM/latest/UserGuide/id_session-tags.html>.

use std::collections::BTreeMap;

use super::texts::Text;
use super::{Asker, Confidence, NOBODY, Session, Sessions, read_tag, written_tag};

/// Sessions of one chain that are walked for a person.
const MAX_DEPTH: usize = 10_000;

impl Sessions {
    pub(super) fn link(&mut self, askers: &[Asker]) {
        let parents: Vec<u32> = self
            .all
            .iter()
            .zip(askers)
            .enumerate()
            .map(|(idx, (session, asker))| {
                let (parent, confidence) = self.resolve(asker, session.issued_at);
                let sure = !matches!(confidence, Confidence::Principal | Confidence::None);
                let parent = parent.filter(|&parent| parent != idx && sure);
                parent.and_then(|parent| u32::try_from(parent).ok()).unwrap_or(NOBODY)
            })
            .collect();
        for (session, parent) in self.all.iter_mut().zip(parents) {
            session.parent = parent;
        }
        self.pass_on();
    }

    /// Fills tags and source identity down every chain. STS forbids overriding an inherited
    /// transitive tag, so a clash can only come from a forged or foreign record: the own tag is
    /// kept, as STS logged it.
    fn pass_on(&mut self) {
        let mut done = vec![false; self.all.len()];
        for start in 0..self.all.len() {
            let mut chain: Vec<usize> = Vec::new();
            let mut next = Some(start);
            while let Some(idx) = next {
                let Some(flag) = done.get_mut(idx) else { break };
                // Marked on the way up, so a cycle, which can only be forged, ends where it closes.
                if std::mem::replace(flag, true) {
                    break;
                }
                chain.push(idx);
                next = self.all.get(idx).and_then(Session::parent);
            }
            while let Some(idx) = chain.pop() {
                self.inherit(idx);
            }
        }
    }

    /// Gives every session without a person the one that calls named for it, or for the nearest
    /// session up its chain.
    pub(super) fn adopt_people(&mut self) {
        let people = std::mem::take(&mut self.people);
        if people.is_empty() {
            return;
        }
        let person_of = |idx: usize| {
            let mut at = Some(idx);
            // A cycle can only be forged; no honest chain is longer.
            for _ in 0..MAX_DEPTH {
                let here = at?;
                let session = self.all.get(here)?;
                let observed = u32::try_from(here).ok().and_then(|number| people.get(&number));
                let person =
                    if session.person.is_empty() { observed } else { Some(&session.person) };
                if person.is_some() {
                    return person.copied();
                }
                at = session.parent();
            }
            None
        };
        let found: Vec<(usize, Text)> = (0..self.all.len())
            .filter(|&idx| self.all.get(idx).is_some_and(|session| session.person.is_empty()))
            .filter_map(|idx| Some((idx, person_of(idx)?)))
            .collect();
        for (idx, person) in found {
            if let Some(session) = self.all.get_mut(idx) {
                session.person = person;
            }
        }
    }

    fn inherit(&mut self, idx: usize) {
        let parent = self.all.get(idx).and_then(Session::parent);
        let Some(parent) = parent.and_then(|parent| self.all.get(parent)) else { return };
        let (passed_list, passed_tags) = (parent.transitive_keys, parent.tags);
        let (source_identity, person) = (parent.source_identity, parent.person);
        let Some(session) = self.all.get_mut(idx) else { return };
        if session.source_identity.is_empty() {
            session.source_identity = source_identity;
        }
        if session.person.is_empty() {
            session.person = person;
        }
        if passed_list.is_empty() {
            return;
        }
        let (texts, lists) = (&self.texts, &self.lists);
        let tags_of = |list| lists.get(list).as_chunks::<3>().0.iter().map(read_tag);
        let passed_keys = lists.get(passed_list);
        let mut tags: BTreeMap<&str, (Text, Text, bool)> = tags_of(passed_tags)
            .filter(|(key, ..)| passed_keys.contains(key))
            .map(|(key, value, _)| (texts.get(key), (key, value, true)))
            .collect();
        tags.extend(tags_of(session.tags).map(|tag| (texts.get(tag.0), tag)));
        let mut keys: BTreeMap<&str, Text> =
            passed_keys.iter().map(|key| (texts.get(*key), *key)).collect();
        let own_keys = lists.get(session.transitive_keys);
        keys.extend(own_keys.iter().map(|key| (texts.get(*key), *key)));
        let tags: Vec<Text> = tags.into_values().flat_map(written_tag).collect();
        let keys: Vec<Text> = keys.into_values().collect();
        session.tags = self.lists.keep(&tags);
        session.transitive_keys = self.lists.keep(&keys);
    }
}
