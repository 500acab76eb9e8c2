//! Texts, and lists of texts, kept once each: millions of sessions share roles, names and tags.
//!
//! Numbers are given in order of arrival; whoever sorts must sort by what the texts say.

use std::hash::{BuildHasher, BuildHasherDefault, Hash};

use hashbrown::HashTable;
use rustc_hash::FxHasher;

/// A text of a [`Texts`]; the default is the empty one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Text(u32);

impl Text {
    /// True for the empty text.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }
}

/// All texts, back to back.
#[derive(Debug)]
pub struct Texts {
    bytes: String,
    /// Where text `n + 1` ends; text 0 is empty.
    ends: Vec<usize>,
    index: HashTable<u32>,
}

impl Default for Texts {
    fn default() -> Self {
        let mut texts = Texts { bytes: String::new(), ends: vec![0], index: HashTable::new() };
        let hash = hash_of("");
        texts.index.insert_unique(hash, 0, |_| hash);
        texts
    }
}

impl Texts {
    /// The text of `text`, kept from now on. Beyond four thousand million texts all further ones
    /// read as empty.
    pub fn keep(&mut self, text: &str) -> Text {
        if let Some(known) = self.find(text) {
            return known;
        }
        let Ok(new) = u32::try_from(self.ends.len()) else { return Text::default() };
        self.bytes.push_str(text);
        self.ends.push(self.bytes.len());
        let Texts { bytes, ends, index } = self;
        index.insert_unique(hash_of(text), new, |&known| hash_of(slice(bytes, ends, known)));
        Text(new)
    }

    /// The text, if it is kept already.
    #[must_use]
    pub fn find(&self, text: &str) -> Option<Text> {
        let same = |&known: &u32| slice(&self.bytes, &self.ends, known) == text;
        self.index.find(hash_of(text), same).copied().map(Text)
    }

    /// What a text says.
    #[must_use]
    pub fn get(&self, text: Text) -> &str {
        slice(&self.bytes, &self.ends, text.0)
    }
}

/// A list of a [`Lists`]; the default is the empty one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct List(u32);

impl List {
    /// True for the empty list.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }
}

/// All lists, back to back.
#[derive(Debug, Default)]
pub struct Lists {
    texts: Vec<Text>,
    /// Where list `n + 1` ends; list 0 is empty.
    ends: Vec<usize>,
    index: HashTable<u32>,
}

impl Lists {
    /// The list of `texts`, kept from now on. Beyond four thousand million lists all further ones
    /// read as empty.
    pub fn keep(&mut self, texts: &[Text]) -> List {
        if texts.is_empty() {
            return List::default();
        }
        let hash = hash_of(texts);
        let same = |&known: &u32| self.get(List(known)) == texts;
        if let Some(&known) = self.index.find(hash, same) {
            return List(known);
        }
        let Ok(new) = u32::try_from(self.ends.len() + 1) else { return List::default() };
        self.texts.extend_from_slice(texts);
        self.ends.push(self.texts.len());
        let Lists { texts, ends, index } = self;
        index.insert_unique(hash, new, |&known| hash_of(list(texts, ends, known)));
        List(new)
    }

    /// The texts of a list.
    #[must_use]
    pub fn get(&self, of: List) -> &[Text] {
        list(&self.texts, &self.ends, of.0)
    }
}

fn list<'a>(texts: &'a [Text], ends: &[usize], list: u32) -> &'a [Text] {
    let Some(at) = usize::try_from(list).ok().and_then(|at| at.checked_sub(1)) else { return &[] };
    let start = at.checked_sub(1).and_then(|before| ends.get(before)).copied().unwrap_or(0);
    let end = ends.get(at).copied().unwrap_or(start);
    texts.get(start..end).unwrap_or_default()
}

fn slice<'a>(bytes: &'a str, ends: &[usize], text: u32) -> &'a str {
    let at = usize::try_from(text).unwrap_or(usize::MAX);
    let start = at.checked_sub(1).and_then(|before| ends.get(before)).copied().unwrap_or(0);
    let end = ends.get(at).copied().unwrap_or(start);
    bytes.get(start..end).unwrap_or_default()
}

fn hash_of(what: impl Hash) -> u64 {
    BuildHasherDefault::<FxHasher>::default().hash_one(what)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_text_is_kept_once() {
        let mut texts = Texts::default();
        assert!(texts.keep("").is_empty());
        let kept: Vec<Text> = (0..5000).map(|n| texts.keep(&format!("t{n}"))).collect();
        for (n, text) in kept.iter().enumerate() {
            assert_eq!(texts.get(*text), format!("t{n}"));
            assert_eq!(texts.find(&format!("t{n}")), Some(*text));
        }
        assert_eq!(texts.keep("t7"), kept[7]);
        assert_eq!(texts.find("never"), None);
        assert_eq!(texts.ends.len(), 5001);
    }

    #[test]
    fn each_list_is_kept_once() {
        let mut lists = Lists::default();
        assert!(lists.keep(&[]).is_empty() && lists.get(List::default()).is_empty());
        let of = |n: u32| [Text(n % 700), Text(n % 70), Text(n % 7)];
        let kept: Vec<List> = (0..5000).map(|n| lists.keep(&of(n)[..=n as usize % 3])).collect();
        for (n, list) in (0..).zip(&kept) {
            assert_eq!(lists.get(*list), &of(n)[..=n as usize % 3]);
        }
        assert_eq!(lists.ends.len(), 2100);
    }
}
