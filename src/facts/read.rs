//! Reads the persisted facts back: those of a window, in the order in which they explain each other.
//!
//! Input: files of [`store`](super::store). Output: the folded facts of the hours of the window, family
//! by family and day by day. A day that has a file of late facts beside its own is added up again, so
//! that equal facts of an hour stay one.
#![expect(clippy::disallowed_methods, reason = "facts owns the files under facts/")]

use std::fs::File;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::FactsError;
use super::fold::{Dated, FactSink, Folded, Hourly};
use super::hourly::{SUM_LEN, Sum};
use super::ordered::{Key, Ordered, ROW_BUFFER};
use super::rows::{access, call, change, issued, login};
use super::sort::SpillDir;
use super::store::{is_late, unit_of_path};
use crate::model::fact::{AccessFact, AwsCallFact, ChangeFact, LoginFact, SessionFact};
use crate::model::outcome::Family;
use crate::model::time::{Micros, Window};
use crate::table::Row;
use crate::table::facts::{
    AccessFactRow, CallFactRow, ChangeFactRow, LoginFactRow, SessionFactRow,
};
use crate::table::parquet::read_rows;

/// The files of a run's facts.
#[derive(Debug)]
pub struct FactReader<'a> {
    root: &'a Path,
    /// Below the root.
    paths: &'a [PathBuf],
    window: Window,
    spill: &'a SpillDir,
}

/// A row of a fact file as a fact.
trait FactRow: Row {
    type Body: Serialize + DeserializeOwned;
    /// Its place in time, what it says, its flag, how often.
    fn unpack(self) -> Option<(Micros, Self::Body, bool, Sum)>;
    /// Undoes `unpack`.
    fn pack(at: Micros, body: Self::Body, flag: bool, sum: Sum) -> Folded;
}

impl<'a> FactReader<'a> {
    /// Reads of `paths` below `root` what lies in `window`.
    #[must_use]
    pub fn new(root: &'a Path, paths: &'a [PathBuf], window: Window, spill: &'a SpillDir) -> Self {
        FactReader { root, paths, window, spill }
    }

    /// Reads everything: family by family and day by day, but access place by place in the order that
    /// `rank` gives to the folder names of places.
    ///
    /// # Errors
    /// When a file cannot be read or is no fact file.
    pub fn read(
        &self,
        rank: impl Fn(&str) -> Option<usize>,
        sink: &mut impl FactSink,
    ) -> Result<(), FactsError> {
        for family in Family::ALL {
            let mut days = self.days(family);
            if family == Family::Access {
                days.sort_by_cached_key(|files| {
                    let place = files.first().and_then(|path| path.components().nth(2));
                    let place = place.map(|place| place.as_os_str().to_string_lossy().into_owned());
                    let rank = place.as_deref().and_then(&rank);
                    (rank, files.first().copied())
                });
            }
            for files in days {
                match family {
                    Family::Session => self.day::<SessionFactRow>(family, &files, sink)?,
                    Family::Authentication | Family::AwsCall => {
                        self.day::<CallFactRow>(family, &files, sink)?;
                    }
                    Family::Login => self.day::<LoginFactRow>(family, &files, sink)?,
                    Family::Change => self.day::<ChangeFactRow>(family, &files, sink)?,
                    Family::Access => self.day::<AccessFactRow>(family, &files, sink)?,
                }
            }
        }
        Ok(())
    }

    /// Reads what made, changed or took away grants, and nothing else, in order of time.
    ///
    /// # Errors
    /// When a file cannot be read or is no fact file.
    pub fn changes(&self) -> Result<Vec<Dated<ChangeFact>>, FactsError> {
        struct Changes(Vec<Dated<ChangeFact>>);
        impl FactSink for Changes {
            fn take(&mut self, fact: Folded) -> Result<(), FactsError> {
                if let Folded::Change(change) = fact {
                    self.0.push(change);
                }
                Ok(())
            }
        }
        let mut changes = Changes(Vec::new());
        for files in self.days(Family::Change) {
            self.day::<ChangeFactRow>(Family::Change, &files, &mut changes)?;
        }
        changes.0.sort();
        Ok(changes.0)
    }

    /// Reads AWS calls, or token redemptions, and nothing else, day by day.
    ///
    /// # Errors
    /// When a file cannot be read or is no fact file, or `each` fails.
    pub fn calls<E: From<FactsError>>(
        &self,
        redemptions: bool,
        mut each: impl FnMut(Hourly<AwsCallFact>) -> Result<(), E>,
    ) -> Result<(), E> {
        struct Calls<F, E>(F, Option<E>);
        impl<E, F: FnMut(Hourly<AwsCallFact>) -> Result<(), E>> FactSink for Calls<F, E> {
            fn take(&mut self, fact: Folded) -> Result<(), FactsError> {
                if let (Folded::Authentication(call) | Folded::AwsCall(call), None) =
                    (fact, &self.1)
                {
                    self.1 = (self.0)(call).err();
                }
                Ok(())
            }
        }
        let family = if redemptions { Family::Authentication } else { Family::AwsCall };
        let mut calls = Calls(&mut each, None);
        for files in self.days(family) {
            self.day::<CallFactRow>(family, &files, &mut calls)?;
            if let Some(error) = calls.1.take() {
                return Err(error);
            }
        }
        Ok(())
    }

    /// The files of each day and place of a family, days before places: what reads them wants time to
    /// run forward.
    fn days(&self, family: Family) -> Vec<Vec<&'a PathBuf>> {
        let span = family.span(self.window);
        let (first, last) = (span.since.day(), Micros(span.until.0 - 1).day());
        let mut files: Vec<_> = self
            .paths
            .iter()
            .filter_map(|path| {
                let (of, unit) = unit_of_path(path)?;
                let wanted = of == family && first <= unit.day && unit.day <= last;
                wanted.then_some((unit.day, path.parent()?, path))
            })
            .collect();
        files.sort_unstable();
        files
            .chunk_by(|a, b| a.1 == b.1)
            .map(|files| files.iter().map(|(_, _, path)| *path).collect())
            .collect()
    }

    fn day<R: FactRow>(
        &self,
        family: Family,
        files: &[&PathBuf],
        sink: &mut impl FactSink,
    ) -> Result<(), FactsError> {
        let span = family.span(self.window);
        let mut late =
            files.iter().any(|path| is_late(path)).then(|| Ordered::new(self.spill, ROW_BUFFER));
        let mut bytes = Vec::new();
        for path in files {
            let mut take = |row: R| {
                let Some((at, body, flag, sum)) = row.unpack().filter(|row| span.contains(row.0))
                else {
                    return Ok(());
                };
                let Some(late) = &mut late else {
                    return sink.take(R::pack(at, body, flag, sum));
                };
                let encoded = postcard::to_allocvec(&(&body, flag))?;
                bytes.clear();
                let len = i64::try_from(encoded.len()).unwrap_or(i64::MAX);
                Key(&mut bytes).number(at.0).number(len);
                bytes.extend_from_slice(&encoded);
                bytes.extend_from_slice(&sum.to_bytes());
                late.push(&bytes)
            };
            match self.open(path)? {
                Opened::Whole(file) => read_rows(file, &mut take)?,
                Opened::Large(file) => read_rows(file, &mut take)?,
            }
        }
        let Some(late) = late else { return Ok(()) };
        let mut last: Option<(Vec<u8>, Sum)> = None;
        let mut give = |last: Option<(Vec<u8>, Sum)>| {
            let Some((fact, sum)) = last else { return Ok(()) };
            let (at, encoded) = split(&fact);
            let (body, flag) = postcard::from_bytes(encoded)?;
            sink.take(R::pack(at, body, flag, sum))
        };
        late.drain(|row| {
            let (fact, sum) = row.split_at(row.len().saturating_sub(SUM_LEN));
            let sum = Sum::from_bytes(sum);
            match &mut last {
                Some((known, total)) if known == fact => {
                    total.add(sum);
                    Ok(())
                }
                _ => give(last.replace((fact.to_vec(), sum))),
            }
        })?;
        give(last)
    }

    fn open(&self, path: &Path) -> Result<Opened, FactsError> {
        let path = self.root.join(path);
        let open = || {
            let file = File::open(&path)?;
            if file.metadata()?.len() > SMALL {
                return Ok(Opened::Large(file));
            }
            std::fs::read(&path).map(|bytes| Opened::Whole(bytes.into()))
        };
        open().map_err(|source| FactsError::ReadFacts { path: path.clone(), source })
    }
}

/// A small file is read at once: column by column it would take hundreds of calls.
enum Opened {
    Whole(bytes::Bytes),
    Large(File),
}

/// Files up to this many bytes are small.
const SMALL: u64 = 1 << 20;

/// The place in time and the rest of a row in the making.
fn split(fact: &[u8]) -> (Micros, &[u8]) {
    let Some((at, rest)) = fact.split_first_chunk::<8>() else { return (Micros(0), b"") };
    let at = (u64::from_be_bytes(*at) ^ (1 << 63)).cast_signed();
    (Micros(at), rest.get(8..).unwrap_or_default())
}

fn sum_of<T>(fact: &Hourly<T>) -> Sum {
    Sum { count: fact.count, first: fact.first, last: fact.last }
}

fn hourly<T>(at: Micros, body: T, sum: Sum) -> Hourly<T> {
    Hourly { hour: at.hour(), body, count: sum.count, first: sum.first, last: sum.last }
}

fn once(at: Micros) -> Sum {
    Sum { count: 1, first: at, last: at }
}

impl FactRow for SessionFactRow {
    type Body = SessionFact;
    fn unpack(self) -> Option<(Micros, SessionFact, bool, Sum)> {
        let fact = issued(self);
        Some((fact.at, fact.body, false, once(fact.at)))
    }
    fn pack(at: Micros, body: SessionFact, _: bool, _: Sum) -> Folded {
        Folded::Session(Dated { at, body })
    }
}

impl FactRow for ChangeFactRow {
    type Body = ChangeFact;
    fn unpack(self) -> Option<(Micros, ChangeFact, bool, Sum)> {
        let fact = change(self)?;
        Some((fact.at, fact.body, false, once(fact.at)))
    }
    fn pack(at: Micros, body: ChangeFact, _: bool, _: Sum) -> Folded {
        Folded::Change(Dated { at, body })
    }
}

impl FactRow for CallFactRow {
    type Body = AwsCallFact;
    /// The flag tells redemptions.
    fn unpack(self) -> Option<(Micros, AwsCallFact, bool, Sum)> {
        let redemption = self.is_authentication;
        let fact = call(self);
        let sum = sum_of(&fact);
        Some((fact.hour.start(), fact.body, redemption, sum))
    }
    fn pack(at: Micros, body: AwsCallFact, redemption: bool, sum: Sum) -> Folded {
        let fact = hourly(at, body, sum);
        if redemption { Folded::Authentication(fact) } else { Folded::AwsCall(fact) }
    }
}

impl FactRow for LoginFactRow {
    type Body = LoginFact;
    fn unpack(self) -> Option<(Micros, LoginFact, bool, Sum)> {
        let fact = login(self);
        let sum = sum_of(&fact);
        Some((fact.hour.start(), fact.body, false, sum))
    }
    fn pack(at: Micros, body: LoginFact, _: bool, sum: Sum) -> Folded {
        Folded::Login(hourly(at, body, sum))
    }
}

impl FactRow for AccessFactRow {
    type Body = AccessFact;
    /// The flag tells facts whose name was dropped.
    fn unpack(self) -> Option<(Micros, AccessFact, bool, Sum)> {
        let capped = self.name_capped;
        let fact = access(self);
        let sum = sum_of(&fact);
        Some((fact.hour.start(), fact.body, capped, sum))
    }
    fn pack(at: Micros, body: AccessFact, capped: bool, sum: Sum) -> Folded {
        Folded::Access(hourly(at, body, sum), capped)
    }
}
