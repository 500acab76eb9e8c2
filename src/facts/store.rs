//! The persisted facts: one Parquet file per family, place and day, written once.
//!
//! Input: the folded stream. Output: files under `facts/`, and the same facts back. The stream comes
//! family by family, day by day and place by place, so only one file is open, however many places
//! there are. Should two places interleave (equal numbers in the sort key), the later rows of one go
//! into a further part.
#![expect(clippy::disallowed_methods, reason = "facts owns the files under facts/")]

use std::collections::BTreeSet;
use std::fs::File;
use std::io::BufWriter;
use std::path::{Path, PathBuf};

use super::FactsError;
use super::fold::{Dated, FactSink, Folded, Hourly};
use super::rows::{
    access, access_row, call, call_row, change, change_row, issued, login, login_row, session_row,
};
use crate::model::digest;
use crate::model::fact::{AwsCallFact, ChangeFact};
use crate::model::time::Day;
use crate::table::Row;
use crate::table::facts::{
    AccessFactRow, CallFactRow, ChangeFactRow, LoginFactRow, SessionFactRow,
};
use crate::table::parquet::{CodecError, RowWriter, read_rows};

/// Writes facts into a folder.
pub struct FactStore {
    root: PathBuf,
    written: BTreeSet<PathBuf>,
    /// The family of the last fact.
    family: &'static str,
    sessions: Files<SessionFactRow>,
    authentications: Files<CallFactRow>,
    calls: Files<CallFactRow>,
    logins: Files<LoginFactRow>,
    changes: Files<ChangeFactRow>,
    access: Files<AccessFactRow>,
}

/// The open file of one family.
struct Files<R: Row> {
    open: Option<OpenFile<R>>,
}

struct OpenFile<R: Row> {
    day: Day,
    place: String,
    path: PathBuf,
    writer: RowWriter<R, BufWriter<File>>,
}

impl<R: Row> Default for Files<R> {
    fn default() -> Self {
        Files { open: None }
    }
}

impl FactStore {
    /// Writes below `root`, which must exist.
    #[must_use]
    pub fn new(root: PathBuf) -> Self {
        FactStore {
            root,
            written: BTreeSet::new(),
            family: "",
            sessions: Files::default(),
            authentications: Files::default(),
            calls: Files::default(),
            logins: Files::default(),
            changes: Files::default(),
            access: Files::default(),
        }
    }

    /// Ends all files; returns their paths below the root, sorted.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn finish(mut self) -> Result<Vec<PathBuf>, FactsError> {
        self.close()?;
        Ok(self.written.into_iter().collect())
    }

    fn close(&mut self) -> Result<(), FactsError> {
        self.sessions.close(&mut self.written)?;
        self.authentications.close(&mut self.written)?;
        self.calls.close(&mut self.written)?;
        self.logins.close(&mut self.written)?;
        self.changes.close(&mut self.written)?;
        self.access.close(&mut self.written)
    }
}

impl<R: Row> Files<R> {
    fn push(
        &mut self,
        root: &Path,
        family: &str,
        place: &str,
        (day, row): (Day, R),
        written: &mut BTreeSet<PathBuf>,
    ) -> Result<(), FactsError> {
        if !self.open.as_ref().is_some_and(|open| open.day == day && open.place == place) {
            self.close(written)?;
            let folder = Path::new("facts")
                .join(family)
                .join(place)
                .join(format!("p_date={}", day.to_iso()));
            let part = |n: u32| match n {
                0 => folder.join("part-0.parquet"),
                // Sorts behind the first as text, in order of number.
                n => folder.join(format!("part-{n:06}.parquet")),
            };
            let mut n = 0;
            let mut path = part(n);
            while written.contains(&path) {
                n += 1;
                path = part(n);
            }
            let full = root.join(&path);
            let file = full
                .parent()
                .map_or(Ok(()), std::fs::create_dir_all)
                .and_then(|()| File::create(&full))
                .map_err(|source| FactsError::WriteFacts { path: full, source })?;
            let writer = RowWriter::new(BufWriter::new(file))?;
            self.open = Some(OpenFile { day, place: place.to_owned(), path, writer });
        }
        if let Some(open) = &mut self.open {
            open.writer.push(row)?;
        }
        Ok(())
    }

    fn close(&mut self, written: &mut BTreeSet<PathBuf>) -> Result<(), FactsError> {
        let Some(OpenFile { path, writer, .. }) = self.open.take() else { return Ok(()) };
        let (file, _) = writer.finish()?;
        file.into_inner().map_err(|error| FactsError::WriteFacts {
            path: path.clone(),
            source: error.into_error(),
        })?;
        written.insert(path);
        Ok(())
    }
}

impl FactSink for FactStore {
    fn take(&mut self, fact: Folded) -> Result<(), FactsError> {
        let family = match &fact {
            Folded::Session(_) => "sessions",
            Folded::Authentication(_) => "authentications",
            Folded::AwsCall(_) => "calls",
            Folded::Login(_) => "logins",
            Folded::Change(_) => "changes",
            Folded::Access(..) => "access",
        };
        if self.family != family {
            self.close()?;
            self.family = family;
        }
        let (root, written) = (&self.root, &mut self.written);
        let of_account = |account: &str| partition("p_account", account);
        let of_cluster = |cluster: &str| partition("p_cluster", cluster);
        match fact {
            Folded::Session(issued) => {
                let place = of_account(&issued.body.account);
                let row = (issued.at.day(), session_row(issued));
                self.sessions.push(root, family, &place, row, written)
            }
            Folded::Authentication(call) => {
                let place = of_account(&call.body.account);
                let row = (call.hour.day(), call_row(call, true));
                self.authentications.push(root, family, &place, row, written)
            }
            Folded::AwsCall(call) => {
                let place = of_account(&call.body.account);
                let row = (call.hour.day(), call_row(call, false));
                self.calls.push(root, family, &place, row, written)
            }
            Folded::Login(login) => {
                let place = of_cluster(&login.body.cluster);
                let row = (login.hour.day(), login_row(login));
                self.logins.push(root, family, &place, row, written)
            }
            Folded::Change(change) => {
                let place = of_cluster(&change.body.cluster);
                let row = (change.at.day(), change_row(change));
                self.changes.push(root, family, &place, row, written)
            }
            Folded::Access(access, name_capped) => {
                let place = of_cluster(&access.body.cluster);
                let row = (access.hour.day(), access_row(access, name_capped));
                self.access.push(root, family, &place, row, written)
            }
        }
    }
}

/// Families in the order in which they are read back: what explains use comes before use.
const FAMILIES: [&str; 6] = ["sessions", "authentications", "calls", "logins", "changes", "access"];

/// Reads facts back from files below `root`: family by family and day by day, but access in the
/// order of `paths`.
///
/// # Errors
/// When a file cannot be read or is no fact file.
pub fn read(root: &Path, paths: &[PathBuf], sink: &mut impl FactSink) -> Result<(), FactsError> {
    for family in FAMILIES {
        read_family(root, paths, family, sink)?;
    }
    Ok(())
}

/// Reads what made, changed or took away grants, and nothing else.
///
/// # Errors
/// When a file cannot be read or is no fact file.
pub fn read_changes(root: &Path, paths: &[PathBuf]) -> Result<Vec<Dated<ChangeFact>>, FactsError> {
    let mut changes = Vec::new();
    for path in in_days(paths, "changes") {
        read_rows(open(root, path)?, |row: ChangeFactRow| {
            changes.extend(change(row));
            Ok::<(), FactsError>(())
        })?;
    }
    changes.sort();
    Ok(changes)
}

/// Reads AWS calls, or token redemptions, and nothing else, day by day.
///
/// # Errors
/// When a file cannot be read or is no fact file, or `each` fails.
pub fn read_calls<E: From<FactsError> + From<CodecError>>(
    root: &Path,
    paths: &[PathBuf],
    redemptions: bool,
    mut each: impl FnMut(Hourly<AwsCallFact>) -> Result<(), E>,
) -> Result<(), E> {
    let family = if redemptions { "authentications" } else { "calls" };
    for path in in_days(paths, family) {
        read_rows(open(root, path)?, |row: CallFactRow| each(call(row)))?;
    }
    Ok(())
}

fn read_family(
    root: &Path,
    paths: &[PathBuf],
    family: &'static str,
    sink: &mut impl FactSink,
) -> Result<(), FactsError> {
    if family == "access" {
        // Whoever joins them knows which cluster comes first.
        for path in paths.iter().filter(|path| path.starts_with("facts/access")) {
            read_rows(open(root, path)?, |row: AccessFactRow| {
                let name_capped = row.name_capped;
                sink.take(Folded::Access(access(row), name_capped))
            })?;
        }
        return Ok(());
    }
    for path in in_days(paths, family) {
        let file = open(root, path)?;
        match family {
            "sessions" => {
                read_rows(file, |row: SessionFactRow| sink.take(Folded::Session(issued(row))))?;
            }
            "authentications" => {
                read_rows(file, |row: CallFactRow| sink.take(Folded::Authentication(call(row))))?;
            }
            "calls" => read_rows(file, |row: CallFactRow| sink.take(Folded::AwsCall(call(row))))?,
            "logins" => read_rows(file, |row: LoginFactRow| sink.take(Folded::Login(login(row))))?,
            _ => read_rows(file, |row: ChangeFactRow| {
                change(row).map_or(Ok(()), |change| sink.take(Folded::Change(change)))
            })?,
        }
    }
    Ok(())
}

/// The files of a family, days before places: what reads them wants time to run forward.
fn in_days<'a>(paths: &'a [PathBuf], family: &str) -> Vec<&'a PathBuf> {
    let mut files: Vec<&PathBuf> =
        paths.iter().filter(|path| path.starts_with(Path::new("facts").join(family))).collect();
    files.sort_by_key(|path| {
        let parts: Vec<_> = path.components().rev().take(3).collect();
        (parts.get(1).copied(), parts.get(2).copied())
    });
    files
}

fn open(root: &Path, path: &Path) -> Result<File, FactsError> {
    let path = root.join(path);
    File::open(&path).map_err(|source| FactsError::ReadFacts { path, source })
}

/// `p_cluster=prod-1a2b3c4d`: readable, safe in any path, and never the ARN itself.
#[must_use]
pub fn partition(column: &str, value: &str) -> String {
    let short = value.rsplit(['/', ':']).next().unwrap_or_default();
    let safe: String = short
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' })
        .take(40)
        .collect();
    format!("{column}={safe}-{}", digest::hex(&digest::of_bytes(value.as_bytes()), 8))
}

#[cfg(test)]
mod tests;
