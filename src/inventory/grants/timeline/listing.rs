//! Things that name others: an entry its groups, a binding its subjects, aws-auth its rows.
//!
//! Input: what each write left in the list, where the log shows it. Output: the steps of each name.
//! A write whose body was not logged may have added or dropped anybody: its step has no reach, and
//! is kept under the empty name for those that were never seen.

use std::collections::{BTreeMap, BTreeSet};

use super::life::{Life, Step};
use crate::model::time::Micros;

/// When, and by whom.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moment<'a> {
    pub(super) at: Micros,
    pub(super) actor: &'a str,
    /// True when the thing that names was itself made.
    pub(super) made: bool,
}

impl Moment<'_> {
    pub(super) fn step(self, reach: Option<&str>) -> Step {
        let by = reach.map(|_| self.actor.to_owned());
        Step { at: self.at, reach: reach.map(str::to_owned), made: self.made, by }
    }
}

/// The lists of many owners.
#[derive(Debug)]
pub(super) struct Listings<K> {
    steps: BTreeMap<(K, String), Vec<Step>>,
    /// What each list held when it was last seen whole.
    listed: BTreeMap<K, BTreeSet<String>>,
    /// When each list was last seen whole.
    seen: BTreeMap<K, Micros>,
}

impl<K> Default for Listings<K> {
    fn default() -> Self {
        Listings { steps: BTreeMap::new(), listed: BTreeMap::new(), seen: BTreeMap::new() }
    }
}

impl<K: Ord + Clone> Listings<K> {
    /// The list holds `names` from now on and nothing else; each reaches `reach`.
    pub(super) fn replace(&mut self, owner: &K, names: &[String], reach: &str, moment: Moment<'_>) {
        let names: BTreeSet<String> = names.iter().cloned().collect();
        self.end(owner, moment, |name| !name.is_empty() && !names.contains(name));
        let before = self.listed.insert(owner.clone(), names.clone());
        self.seen.insert(owner.clone(), moment.at);
        for name in names {
            let is_new = before.as_ref().is_none_or(|before| !before.contains(&name));
            if !is_new {
                // It was there and is there: nobody granted anything.
                continue;
            }
            let mut step = moment.step(Some(reach));
            if before.is_none() && !moment.made {
                // It may have been there before the first sight.
                step.by = None;
            }
            self.steps.entry((owner.clone(), name)).or_default().push(step);
        }
    }

    /// The list was written, and the log does not show how it looks now.
    pub(super) fn unknown(&mut self, owner: &K, moment: Moment<'_>) {
        self.listed.remove(owner);
        let step = Step { made: false, by: None, ..moment.step(Some("")) };
        self.push_all(owner, &step);
    }

    /// The list is gone, with all it held.
    pub(super) fn remove(&mut self, owner: &K, moment: Moment<'_>) {
        self.listed.insert(owner.clone(), BTreeSet::new());
        self.push_all(owner, &Step { made: false, ..moment.step(None) });
    }

    /// The steps of `name`, else those of writes that may have named it.
    pub(super) fn of(&self, owner: &K, name: &str) -> Option<&[Step]> {
        let find = |name: &str| self.steps.get(&(owner.clone(), name.to_owned()));
        find(name).or_else(|| find("")).map(Vec::as_slice)
    }

    /// What the log says of a name that is in the list now. Where the list was seen whole without it,
    /// it came later, by a write that was not seen.
    pub(super) fn life(&self, owner: &K, name: &str) -> Life {
        let mut life = Life::of(self.of(owner, name).unwrap_or_default());
        let missed = self.listed.get(owner).is_some_and(|listed| !listed.contains(name));
        if missed && life.gone.is_none() {
            life.widened = life.widened.max(self.seen.get(owner).copied());
        }
        life
    }

    /// Every name that was seen.
    pub(super) fn named(&self) -> impl Iterator<Item = (&K, &str, &[Step])> {
        let named = self.steps.iter().filter(|((_, name), _)| !name.is_empty());
        named.map(|((owner, name), steps)| (owner, name.as_str(), steps.as_slice()))
    }

    fn push_all(&mut self, owner: &K, step: &Step) {
        self.steps.entry((owner.clone(), String::new())).or_default();
        for (_, steps) in self.steps_of(owner) {
            steps.push(step.clone());
        }
    }

    fn end(&mut self, owner: &K, moment: Moment<'_>, ends: impl Fn(&str) -> bool) {
        let step = Step { made: false, ..moment.step(None) };
        for (name, steps) in self.steps_of(owner) {
            if ends(name) && steps.last().is_some_and(|last| last.reach.is_some()) {
                steps.push(step.clone());
            }
        }
    }

    fn steps_of(&mut self, owner: &K) -> impl Iterator<Item = (&str, &mut Vec<Step>)> {
        let first = (owner.clone(), String::new());
        let owner = owner.clone();
        self.steps
            .range_mut(first..)
            .take_while(move |((of, _), _)| *of == owner)
            .map(|((_, name), steps)| (name.as_str(), steps))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_over_time() {
        let mut all: Listings<&str> = Listings::default();
        let moment = |at, made| Moment { at: Micros(at), actor: "a", made };
        let names = |list: &str| list.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        let words = |all: &Listings<&str>, name: &str| {
            let steps = all.of(&"b", name).unwrap_or_default().iter();
            let word = |step: &Step| {
                let by = step.by.as_deref().unwrap_or("?");
                format!("{}{}{by}", step.at.0, step.reach.as_deref().unwrap_or("-"))
            };
            steps.map(word).collect::<Vec<_>>().join(" ")
        };
        all.replace(&"b", &names("x y"), "r", moment(1, false));
        all.replace(&"b", &names("x z"), "r", moment(2, false));
        assert_eq!(words(&all, "x"), "1r?");
        assert_eq!(words(&all, "y"), "1r? 2-?");
        assert_eq!(words(&all, "z"), "2ra");
        all.replace(&"b", &names("x z"), "r", moment(3, false));
        assert_eq!(words(&all, "z"), "2ra");
        all.unknown(&"b", moment(4, false));
        assert_eq!(words(&all, "never"), "4?");
        all.replace(&"b", &names("x"), "r", moment(5, false));
        assert_eq!(words(&all, "x"), "1r? 4? 5r?");
        assert_eq!(words(&all, "z"), "2ra 4? 5-?");
        all.remove(&"b", moment(6, false));
        all.replace(&"b", &names("x"), "r", moment(7, true));
        assert_eq!(words(&all, "x"), "1r? 4? 5r? 6-? 7ra");
        assert_eq!(all.named().count(), 3);
        assert_eq!(all.of(&"other", "x"), None);
    }
}
