//! Which days must be folded anew, and from which objects.
//!
//! A day of a place is folded from all objects that hold facts of it, so that copies in two of them
//! count once. When an object brings facts of a day that was folded already, the day is folded anew and
//! those objects are read again. Where one of them cannot be had any more, the day stays as it is, and
//! what came late stands beside it.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

use super::LedgerError;
use super::entries::Entries;
use super::entry::{Listed, Name, is_unread};
use crate::model::outcome::{Family, Reused, Unit, UnitCounts};
use crate::model::time::{Hour, Window};
use crate::table::ledger::DayRow;

/// A day as it was folded: the number of its part, 0 for the first.
pub type DayKey = (Family, Unit, u32);

/// Days that were folded.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Days {
    counts: BTreeMap<DayKey, UnitCounts>,
    /// Those whose copies could not all be told apart.
    inexact: BTreeSet<Unit>,
}

/// What to do with the days that a run touches.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Rebuild {
    /// Folded anew.
    pub anew: BTreeSet<Unit>,
    /// Kept; what came late goes beside them.
    pub late: BTreeSet<Unit>,
    /// Read again for the first.
    pub again: BTreeSet<Name>,
}

impl Days {
    /// From the rows of a ledger.
    ///
    /// # Errors
    /// When the ledger was changed by someone else.
    pub fn from_rows(rows: impl IntoIterator<Item = DayRow>) -> Result<Self, LedgerError> {
        let mut days = Days::default();
        for row in rows {
            let what = || format!("{} of {}", row.family, row.day.to_rfc3339());
            let Some(family) = Family::ALL.into_iter().find(|f| f.as_str() == row.family) else {
                continue;
            };
            let place = u32::from_str_radix(&row.place, 16).unwrap_or_default();
            let unit = Unit { place, day: row.day.day() };
            let counts = postcard::from_bytes(&row.details)
                .map_err(|source| LedgerError::Details { what: what(), source })?;
            days.counts.insert((family, unit, u32::try_from(row.part).unwrap_or(0)), counts);
            if !row.count_exact {
                days.inexact.insert(unit);
            }
        }
        Ok(days)
    }

    /// The rows, in order.
    ///
    /// # Errors
    /// Never for values of this type.
    pub fn rows(&self) -> Result<Vec<DayRow>, LedgerError> {
        let mut rows = Vec::with_capacity(self.counts.len());
        for ((family, unit, part), counts) in &self.counts {
            let details = postcard::to_allocvec(counts).map_err(|source| LedgerError::Details {
                what: family.as_str().to_owned(),
                source,
            })?;
            let (distinct, copies) =
                counts.hours.values().fold((0, 0), |sum, hour| (sum.0 + hour.0, sum.1 + hour.1));
            rows.push(DayRow {
                family: family.as_str().to_owned(),
                place: format!("{:08x}", unit.place),
                day: unit.day.start(),
                part: i32::try_from(*part).unwrap_or(i32::MAX),
                count_exact: !self.inexact.contains(unit),
                distinct: i64::try_from(distinct).unwrap_or(i64::MAX),
                copies: i64::try_from(copies).unwrap_or(i64::MAX),
                details,
            });
        }
        rows.sort_by(|a, b| {
            let key = |row: &DayRow| (row.family.clone(), row.place.clone(), row.day, row.part);
            key(a).cmp(&key(b))
        });
        Ok(rows)
    }

    /// Days that were folded, of every place.
    #[must_use]
    pub fn units(&self) -> BTreeSet<Unit> {
        self.counts.keys().map(|(_, unit, _)| *unit).collect()
    }

    /// True when some of the day was folded before.
    #[must_use]
    pub fn holds(&self, unit: Unit) -> bool {
        self.inexact.contains(&unit)
            || Family::ALL.into_iter().any(|family| {
                self.counts.range((family, unit, 0)..=(family, unit, u32::MAX)).next().is_some()
            })
    }

    /// Days whose copies could not all be told apart.
    #[must_use]
    pub fn inexact(&self) -> &BTreeSet<Unit> {
        &self.inexact
    }

    /// The number of the next file of late facts of a day.
    #[must_use]
    pub fn next_part(&self, unit: Unit) -> u32 {
        let parts = Family::ALL.into_iter().filter_map(|family| {
            self.counts.range((family, unit, 0)..=(family, unit, u32::MAX)).next_back()
        });
        parts.map(|((.., part), _)| part + 1).max().unwrap_or(1)
    }

    /// Forgets a day that is folded anew.
    pub fn forget(&mut self, unit: Unit) {
        self.counts.retain(|(_, known, _), _| *known != unit);
        self.inexact.remove(&unit);
    }

    /// Keeps in mind that the facts of a day are lost: it is made anew as soon as its objects can be had.
    pub fn lose(&mut self, unit: Unit) {
        self.forget(unit);
        self.inexact.insert(unit);
    }

    /// Takes in what a fold counted; `late` gives the part of days that were kept.
    pub fn take(
        &mut self,
        counts: BTreeMap<(Family, Unit), UnitCounts>,
        late: &BTreeMap<Unit, u32>,
    ) {
        for ((family, unit), counts) in counts {
            let part = late.get(&unit).copied().unwrap_or(0);
            self.counts.insert((family, unit, part), counts);
        }
        self.inexact.extend(late.keys());
    }

    /// Distinct records and copies by family, and reused numbers of requests, of a window.
    #[must_use]
    pub fn sums(&self, window: Window) -> Sums {
        let mut sums = Sums::default();
        for ((family, unit, _), counts) in &self.counts {
            let span = family.span(window);
            let inside = |hour: u8| span.contains(Hour(unit.day.0 * 24 + i32::from(hour)).start());
            for (_, (distinct, copies)) in counts.hours.iter().filter(|(hour, _)| inside(**hour)) {
                for (map, n) in [(&mut sums.distinct, distinct), (&mut sums.copies, copies)] {
                    if *n > 0 {
                        *map.entry(family.as_str()).or_default() += n;
                    }
                }
            }
            for ((hour, cluster, who), sum) in &counts.reused {
                if !inside(*hour) {
                    continue;
                }
                match sums.reused.entry((cluster.clone(), who.clone())) {
                    Entry::Vacant(slot) => {
                        slot.insert(*sum);
                    }
                    Entry::Occupied(mut known) => known.get_mut().add(*sum),
                }
            }
        }
        sums
    }
}

/// Sums of a window.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Sums {
    /// Distinct records, by family name.
    pub distinct: BTreeMap<&'static str, u64>,
    /// Copies and earlier stages that were folded away.
    pub copies: BTreeMap<&'static str, u64>,
    /// By cluster and caller: requests that carry the `Audit-ID` of another request of the hour.
    pub reused: Reused,
}

/// Tells which of some objects are there as they were when they were read.
pub type Present<'a> =
    dyn FnMut(&BTreeMap<Name, Listed>) -> Result<BTreeSet<Name>, LedgerError> + 'a;

/// What to do with days that exist and are touched by objects that were read now. `entries` are those
/// of before, `read` tells which of them were read now, and `present` which of some can be had.
///
/// # Errors
/// When the ledger was changed by someone else, or `present` fails.
pub fn rebuild(
    touched: &BTreeSet<Unit>,
    days: &Days,
    entries: &Entries,
    read: &dyn Fn(&Name) -> bool,
    present: &mut Present<'_>,
) -> Result<Rebuild, LedgerError> {
    let mut touched: BTreeSet<Unit> =
        touched.iter().copied().filter(|unit| days.holds(*unit)).collect();
    // A day that could not be made whole before may be by now.
    touched.extend(days.inexact());
    let mut rebuild = Rebuild::default();
    if touched.is_empty() {
        return Ok(rebuild);
    }
    let mut needed: BTreeMap<Name, Listed> = BTreeMap::new();
    let mut units: BTreeMap<Name, BTreeSet<Unit>> = BTreeMap::new();
    for entry in entries.iter() {
        let (_, entry) = entry?;
        let outcome = entry.outcome()?;
        let of_entry: BTreeSet<Unit> = outcome.units.intersection(&touched).copied().collect();
        let name = &entry.listed.name;
        if of_entry.is_empty() || is_unread(&outcome) || read(name) {
            continue;
        }
        units.insert(name.clone(), of_entry);
        needed.insert(name.clone(), entry.listed);
    }
    let present = present(&needed)?;
    for (name, of_entry) in &units {
        if !present.contains(name) {
            rebuild.late.extend(of_entry);
        }
    }
    rebuild.anew = touched.difference(&rebuild.late).copied().collect();
    let again = units.into_iter().filter(|(_, units)| !units.is_disjoint(&rebuild.anew));
    rebuild.again = again.map(|(name, _)| name).collect();
    Ok(rebuild)
}
