//! What earlier runs into the same output left: loaded, brought up to date, and written again.
//!
//! Input: the state of the output. Output: entries and days for [`ledger`](crate::ledger), and the fact
//! files of the days that stay as they are, put beside those that this run writes.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::PipelineError;
use crate::facts::store::unit_of_path;
use crate::ledger::days::Days;
use crate::ledger::entries::{Delivered, Entries, Fresh};
use crate::ledger::entry::{Entry, Name};
use crate::ledger::lens::Lens;
use crate::ledger::{FACTS_VERSION, LedgerError};
use crate::model::outcome::Unit;
use crate::model::time::Day;
use crate::publish::place::Place;
use crate::publish::{KeptFile, State};
use crate::source::key::read_key;
use crate::source::read_file;
use crate::table::Row;
use crate::table::ledger::{DayRow, LedgerRow};
use crate::table::parquet::{RowWriter, rows_of};

const OBJECTS: &str = "ledger/objects";
const DAYS: &str = "ledger/days/part-0.parquet";

/// What earlier runs left.
#[derive(Debug, Default)]
pub(super) struct Memory {
    /// Of the delivery days of the window, and those whose key tells no day.
    pub(super) entries: Entries,
    pub(super) days: Days,
    pub(super) lenses: BTreeMap<String, Lens>,
    /// Fact files by path; those of the window are below the run already.
    facts: BTreeMap<String, KeptFile>,
    /// Delivery days whose entries are others than in their file.
    changed: BTreeSet<Delivered>,
    /// Ledger files of other delivery days, and of days that did not change.
    ledger: BTreeMap<String, KeptFile>,
    /// For people.
    pub(super) warnings: Vec<String>,
}

/// Where a run is written.
#[derive(Debug, Clone, Copy)]
pub(super) struct Folders<'a> {
    pub(super) run: &'a Path,
    pub(super) state: &'a Path,
}

impl Memory {
    /// Loads what a window of these delivery days needs.
    pub(super) fn load(
        place: &Place,
        days: (Day, Day),
        folders: Folders<'_>,
        runtime: &tokio::runtime::Runtime,
    ) -> Result<Self, PipelineError> {
        let Some(state) = place.state()? else { return Ok(Memory::default()) };
        let mut memory = Memory::of_ledger(&state, place, days, folders, runtime)?;
        // It warns of a ledger that is damaged: then no facts can be used either.
        if memory.warnings.is_empty() {
            runtime.block_on(memory.load_facts(place, &state, days, folders))?;
        }
        Ok(memory)
    }

    /// The same without facts: what was read, and what days it was folded to. That a file of facts is
    /// damaged is not seen.
    pub(super) fn peek(
        place: &Place,
        days: (Day, Day),
        folders: Folders<'_>,
        runtime: &tokio::runtime::Runtime,
    ) -> Result<Self, PipelineError> {
        match place.state()? {
            Some(state) => Memory::of_ledger(&state, place, days, folders, runtime),
            None => Ok(Memory::default()),
        }
    }

    fn of_ledger(
        state: &State,
        place: &Place,
        days: (Day, Day),
        folders: Folders<'_>,
        runtime: &tokio::runtime::Runtime,
    ) -> Result<Self, PipelineError> {
        let mut memory = Memory { lenses: state.lenses.clone(), ..Memory::default() };
        let whole = runtime.block_on(memory.load_ledger(place, state, days, folders))?;
        if !whole {
            // Without the ledger nobody knows what the facts rest on.
            let warnings = vec![
                "the ledger of the earlier run is damaged: everything in the window is read again"
                    .to_owned(),
            ];
            return Ok(Memory { warnings, ..Memory::default() });
        }
        Ok(memory)
    }

    /// False when a file is missing or damaged.
    async fn load_ledger(
        &mut self,
        place: &Place,
        state: &State,
        days: (Day, Day),
        folders: Folders<'_>,
    ) -> Result<bool, PipelineError> {
        let files: Vec<(&KeptFile, bool)> = state
            .files
            .iter()
            .filter(|file| file.path.starts_with("ledger/"))
            .map(|file| {
                let delivered = delivered_in(&file.path);
                (file, delivered.is_none_or(|day| days.0 <= day && day <= days.1))
            })
            .collect();
        if place.bring(&files, folders.state).await?.contains(&false) {
            return Ok(false);
        }
        for (file, needed) in files {
            self.ledger.insert(file.path.clone(), file.clone());
            if !needed {
                continue;
            }
            let bytes = read_file(&folders.state.join(&file.path)).map_err(PipelineError::Start)?;
            let read = if file.path == DAYS {
                rows_of::<DayRow>(bytes).ok().and_then(|rows| Days::from_rows(rows).ok()).map(
                    |days| {
                        self.days = days;
                    },
                )
            } else {
                match rows_of::<LedgerRow>(bytes) {
                    Ok(rows) => {
                        let rows = rows.into_iter().map(Entry::from_row);
                        Some(self.entries.set_day(delivered_in(&file.path), rows)?)
                    }
                    Err(_) => None,
                }
            };
            if read.is_none() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// A day of which a file is missing or damaged is forgotten, and made anew from its objects.
    async fn load_facts(
        &mut self,
        place: &Place,
        state: &State,
        days: (Day, Day),
        folders: Folders<'_>,
    ) -> Result<(), PipelineError> {
        let mut lost = BTreeSet::new();
        let units: Vec<(&KeptFile, Unit)> = state
            .files
            .iter()
            .filter_map(|file| Some((file, unit_of_path(Path::new(&file.path))?.1)))
            .collect();
        let files: Vec<(&KeptFile, bool)> = units
            .iter()
            .map(|(file, unit)| (*file, days.0 <= unit.day && unit.day <= days.1))
            .collect();
        let whole = place.bring(&files, folders.run).await?;
        for ((file, unit), whole) in units.into_iter().zip(whole) {
            if whole {
                self.facts.insert(file.path.clone(), file.clone());
            } else {
                lost.insert(unit);
            }
        }
        if !lost.is_empty() {
            self.warnings.push(format!(
                "facts of {} days of the earlier run are damaged and are made anew",
                lost.len()
            ));
        }
        for unit in lost {
            self.drop_files(unit, folders)?;
            self.days.lose(unit);
        }
        Ok(())
    }

    /// Forgets objects.
    pub(super) fn forget_entries(&mut self, names: Vec<Name>) -> Result<(), LedgerError> {
        let mut by_day: BTreeMap<Delivered, BTreeSet<Name>> = BTreeMap::new();
        for name in names {
            by_day.entry(read_key(&name.1).day).or_default().insert(name);
        }
        for (day, names) in by_day {
            if self.entries.forget(day, &names)? {
                self.changed.insert(day);
            }
        }
        Ok(())
    }

    /// Forgets a day that is folded anew.
    pub(super) fn forget(&mut self, unit: Unit, folders: Folders<'_>) -> Result<(), PipelineError> {
        self.drop_files(unit, folders)?;
        self.days.forget(unit);
        Ok(())
    }

    fn drop_files(&mut self, unit: Unit, folders: Folders<'_>) -> Result<(), PipelineError> {
        let of_unit =
            |path: &str| unit_of_path(Path::new(path)).is_some_and(|(_, known)| known == unit);
        let gone: Vec<String> = self.facts.keys().filter(|path| of_unit(path)).cloned().collect();
        for path in gone {
            self.facts.remove(&path);
            crate::publish::discard(&folders.run.join(&path))?;
        }
        Ok(())
    }

    /// Digests of all facts.
    pub(super) fn known_facts(&self) -> BTreeMap<String, (u64, String)> {
        let known = self.facts.iter();
        known.map(|(path, file)| (path.clone(), (file.bytes, file.sha256.clone()))).collect()
    }

    /// Paths of all facts.
    pub(super) fn fact_paths(&self) -> impl Iterator<Item = PathBuf> {
        self.facts.keys().map(PathBuf::from)
    }

    /// Takes in what was read now, and writes the ledger. `written` are the fact files of this run.
    pub(super) fn save(
        &mut self,
        read: Fresh,
        lens: &Lens,
        written: impl IntoIterator<Item = KeptFile>,
        folders: Folders<'_>,
    ) -> Result<State, PipelineError> {
        let mut changed = std::mem::take(&mut self.changed);
        changed.extend(self.entries.take(read)?);
        let mut fresh = Vec::new();
        for day in changed {
            let path = ledger_path(day);
            let rows = self.entries.of_day(day).map(|entry| entry?.row());
            fresh.push(write(&path, rows, folders.state)?);
        }
        fresh.push(write(DAYS, self.days.rows()?.into_iter().map(Ok), folders.state)?);
        for file in fresh {
            self.ledger.insert(file.path.clone(), file);
        }
        for file in written {
            self.facts.insert(file.path.clone(), file);
        }
        self.lenses.insert(lens.digest(), lens.clone());
        Ok(State {
            format: crate::publish::state::FORMAT,
            lenses: self.lenses.clone(),
            files: self.ledger.values().chain(self.facts.values()).cloned().collect(),
        })
    }
}

/// What a run with this inventory and these options looks for.
pub(super) fn lens(context: &crate::extract::Context, plan: &super::Plan, arns: &[String]) -> Lens {
    Lens {
        version: FACTS_VERSION,
        ids: context.relevant_ids.iter().cloned().collect(),
        names: context.relevant_names.iter().cloned().collect(),
        accounts: context.accounts(),
        clusters: arns.iter().cloned().collect(),
        cluster_map: plan.cluster_map.clone(),
        max_inflated: plan.limits.max_inflated,
        hide_secret_names: plan.hide_secret_names,
    }
}

fn ledger_path(day: Option<Day>) -> String {
    let day = day.map_or_else(|| "none".to_owned(), Day::to_iso);
    format!("{OBJECTS}/p_delivered={day}/part-0.parquet")
}

/// The delivery day of a ledger file; `None` where it must always be read.
fn delivered_in(path: &str) -> Option<Day> {
    Day::parse(path.strip_prefix(OBJECTS)?.strip_prefix("/p_delivered=")?.split('/').next()?)
}

fn write<R: Row>(
    path: &str,
    rows: impl Iterator<Item = Result<R, LedgerError>>,
    root: &Path,
) -> Result<KeptFile, PipelineError> {
    let mut writer = RowWriter::new(Vec::new());
    for row in rows {
        writer.push(row?)?;
    }
    let bytes = writer.finish()?.0;
    crate::publish::write_file(&root.join(path), &bytes)?;
    Ok(KeptFile::of(path.to_owned(), &bytes))
}
