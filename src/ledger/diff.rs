//! Which of the listed objects must be read, and why.

use std::collections::BTreeMap;

use super::LedgerError;
use super::entries::{Delivered, Entries};
use super::entry::{Entry, Listed, Name, is_unread};
use super::lens::Lens;
use crate::model::time::{Day, Hour};

/// Why an object is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Why {
    /// It is not in the ledger.
    New,
    /// It is another object under the same key.
    Changed,
    /// It could not be read before.
    Unread,
    /// The window reaches records that were left out.
    Window,
    /// The inventory has principals or accounts that were not looked for.
    Principals,
    /// The clusters of the inventory or the map changed.
    Clusters,
    /// More bytes are allowed now.
    Limit,
    /// Names of Secrets are hidden now, or not any more.
    SecretNames,
    /// Its hash was not asked for, and is needed to verify it.
    Hash,
    /// What its digest says of it changed.
    Digest,
    /// Another version of the tool read it.
    Version,
}

impl Why {
    /// For programs.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Why::New => "new",
            Why::Changed => "changed",
            Why::Unread => "unread",
            Why::Window => "window",
            Why::Principals => "principals",
            Why::Clusters => "clusters",
            Why::Limit => "limit",
            Why::SecretNames => "secret_names",
            Why::Hash => "hash",
            Why::Digest => "digest",
            Why::Version => "version",
        }
    }

    /// For people; what follows "so many objects are read again:".
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Why::New => "they are new",
            Why::Changed => "they changed",
            Why::Unread => "they could not be read before",
            Why::Window => "the window reaches records that were left out before",
            Why::Principals => "the inventory has principals that were not looked for before",
            Why::Clusters => "the clusters of the inventory, or --cluster-map, changed",
            Why::Limit => "--max-object allows them now",
            Why::SecretNames => "--hide-secret-names came or went",
            Why::Hash => "--verify needs their hashes",
            Why::Digest => "what their digests say of them changed, or whether that counts",
            Why::Version => "another version of overgrant read them",
        }
    }
}

/// An object that is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ToRead {
    /// Its place in the list.
    pub at: u32,
    /// Why.
    pub why: Why,
    /// When it was delivered.
    pub day: Delivered,
    /// Bytes as stored.
    pub size: u64,
}

/// What to read.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Diff {
    /// In the order of the list.
    pub read: Vec<ToRead>,
    /// Entries that would have to be read again and are not listed any more.
    pub gone: BTreeMap<Name, Why>,
}

/// What is needed of every object.
#[derive(Debug, Clone, Copy)]
pub struct Need<'a> {
    /// First and last day of records.
    pub days: (Day, Day),
    /// What is looked for now.
    pub lens: &'a Lens,
    /// What was looked for, by digest.
    pub lenses: &'a BTreeMap<String, Lens>,
}

/// Compares what is listed with what was read.
///
/// # Errors
/// When the ledger was changed by someone else.
pub fn diff<E>(
    listed: impl Iterator<Item = Result<(Delivered, Listed), E>>,
    entries: &Entries,
    need: Need<'_>,
) -> Result<Diff, LedgerError>
where
    LedgerError: From<E>,
{
    let mut diff = Diff::default();
    // Places of entries that are listed still.
    let mut present: BTreeMap<Delivered, Vec<bool>> = BTreeMap::new();
    let mut finder = entries.finder();
    for (at, object) in (0..).zip(listed) {
        let (day, object) = object?;
        let why = match finder.find(day, &object.name)? {
            None => Some(Why::New),
            Some((place, entry)) => {
                let present = present.entry(day).or_default();
                if present.len() <= place {
                    present.resize(place + 1, false);
                }
                if let Some(here) = present.get_mut(place) {
                    *here = true;
                }
                if (&entry.listed.etag, entry.listed.size) == (&object.etag, object.size) {
                    stale(&entry, need)?
                } else {
                    Some(Why::Changed)
                }
            }
        };
        diff.read.extend(why.map(|why| ToRead { at, why, day, size: object.size }));
    }
    let mut of_day = (None, 0);
    for entry in entries.iter() {
        let (day, entry) = entry?;
        of_day = if of_day.0 == day { (day, of_day.1) } else { (day, 0) };
        let place = of_day.1;
        of_day.1 += 1;
        let is_present = present.get(&day).and_then(|places| places.get(place)) == Some(&true);
        if !is_present && let Some(why) = stale(&entry, need)? {
            diff.gone.insert(entry.listed.name, why);
        }
    }
    Ok(diff)
}

/// Why an entry does not say what is needed now.
fn stale(entry: &Entry, need: Need<'_>) -> Result<Option<Why>, LedgerError> {
    let Some(old) = need.lenses.get(&*entry.lens) else { return Ok(Some(Why::Version)) };
    let outcome = entry.outcome()?;
    if is_unread(&outcome) {
        return Ok(Some(Why::Unread));
    }
    if let Some((first, last)) = outcome.outside {
        // Beyond the days that were taken, within those that are needed, and between what was seen.
        let before = (need.days.0, Day(need.days.1.0.min(entry.days.0.0 - 1)));
        let after = (Day(need.days.0.0.max(entry.days.1.0 + 1)), need.days.1);
        let seen = (Hour::day(first), Hour::day(last));
        let meets = |span: (Day, Day)| span.0 <= span.1 && span.0 <= seen.1 && seen.0 <= span.1;
        if meets(before) || meets(after) {
            return Ok(Some(Why::Window));
        }
    }
    Ok(need.lens.lacks(old, &outcome))
}
