//! The persisted facts: one Parquet file per family, place and day, written once.
//!
//! Input: the folded stream. Output: files under `facts/`, which [`read`](super::read) reads back. The
//! stream comes family by family, day by day and place by place, so only one file is open, however
//! many places there are. Should two places interleave (equal numbers in the sort key), the later rows
//! of one go into a further part. What came late for a day that cannot be folded anew is a file beside
//! the first.
#![expect(clippy::disallowed_methods, reason = "facts owns the files under facts/")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::BufWriter;
use std::path::{Path, PathBuf};

use super::FactsError;
use super::fold::{FactSink, Folded, Hourly, NamedAccess};
use super::hourly::Sum;
use super::rows::{call_row, change_row, login_row, session_row, set_access};
use crate::model::digest;
use crate::model::outcome::{Family, Unit};
use crate::model::time::Day;
use crate::table::Row;
use crate::table::facts::{
    AccessFactRow, CallFactRow, ChangeFactRow, LoginFactRow, SessionFactRow,
};
use crate::table::parquet::RowWriter;

/// Columns of the folders of places.
const ACCOUNT: &str = "p_account";
const CLUSTER: &str = "p_cluster";

/// Writes facts into a folder.
pub struct FactStore {
    root: PathBuf,
    written: BTreeSet<PathBuf>,
    /// Days that keep the files they have, and the number of the file beside them.
    late: BTreeMap<Unit, u32>,
    /// The family of the last fact.
    family: &'static str,
    /// The account or cluster of the last fact, and its folder.
    place: (String, String),
    sessions: Files<SessionFactRow>,
    authentications: Files<CallFactRow>,
    calls: Files<CallFactRow>,
    logins: Files<LoginFactRow>,
    changes: Files<ChangeFactRow>,
    access: Files<AccessFactRow>,
    /// The last row of them.
    row: AccessFactRow,
}

/// The open file of one family.
struct Files<R: Row> {
    open: Option<OpenFile<R>>,
}

struct OpenFile<R: Row> {
    day: Day,
    place: String,
    path: PathBuf,
    /// The same from where the system sees it.
    full: PathBuf,
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
            late: BTreeMap::new(),
            family: "",
            place: (String::new(), String::new()),
            sessions: Files::default(),
            authentications: Files::default(),
            calls: Files::default(),
            logins: Files::default(),
            changes: Files::default(),
            access: Files::default(),
            row: AccessFactRow::default(),
        }
    }

    /// Writes what comes for these days beside the files that they have.
    #[must_use]
    pub fn with_late(self, late: BTreeMap<Unit, u32>) -> Self {
        FactStore { late, ..self }
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
        (day, row): (Day, &R),
        (written, late): (&mut BTreeSet<PathBuf>, &BTreeMap<Unit, u32>),
    ) -> Result<(), FactsError> {
        if !self.open.as_ref().is_some_and(|open| open.day == day && open.place == place) {
            self.close(written)?;
            let folder = Path::new("facts")
                .join(family)
                .join(place)
                .join(format!("p_date={}", day.to_iso()));
            let late = late.get(&Unit { place: number_in(place), day });
            let part = |n: u32| match (n, late) {
                (n, Some(late)) => folder.join(format!("{LATE}{late:06}-{n:06}.parquet")),
                (0, None) => folder.join("part-0.parquet"),
                // Sorts behind the first as text, in order of number.
                (n, None) => folder.join(format!("part-{n:06}.parquet")),
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
                .map_err(|source| FactsError::WriteFacts { path: full.clone(), source })?;
            let writer = RowWriter::new(BufWriter::new(file));
            self.open = Some(OpenFile { day, place: place.to_owned(), path, full, writer });
        }
        if let Some(open) = &mut self.open {
            open.writer
                .push(row)
                .map_err(|source| FactsError::WriteRows { path: open.full.clone(), source })?;
        }
        Ok(())
    }

    fn close(&mut self, written: &mut BTreeSet<PathBuf>) -> Result<(), FactsError> {
        let Some(OpenFile { path, full, writer, .. }) = self.open.take() else { return Ok(()) };
        let (file, _) = writer
            .finish()
            .map_err(|source| FactsError::WriteRows { path: full.clone(), source })?;
        file.into_inner()
            .map_err(|error| FactsError::WriteFacts { path: full, source: error.into_error() })?;
        written.insert(path);
        Ok(())
    }
}

impl FactStore {
    /// Goes on to a family and place.
    fn go_to(&mut self, family: Family, place: &str) -> Result<(), FactsError> {
        if self.family != family.folder() {
            self.close()?;
            self.family = family.folder();
        }
        let column = match family {
            Family::Session | Family::Authentication | Family::AwsCall => ACCOUNT,
            Family::Login | Family::Change | Family::Access => CLUSTER,
        };
        let (known, folder) = &mut self.place;
        if known != place || !folder.starts_with(column) {
            *folder = partition(column, place);
            place.clone_into(known);
        }
        Ok(())
    }
}

impl FactSink for FactStore {
    fn take(&mut self, fact: Folded) -> Result<(), FactsError> {
        let (family, place) = match &fact {
            Folded::Session(issued) => (Family::Session, &issued.body.account),
            Folded::Authentication(call) => (Family::Authentication, &call.body.account),
            Folded::AwsCall(call) => (Family::AwsCall, &call.body.account),
            Folded::Login(login) => (Family::Login, &login.body.cluster),
            Folded::Change(change) => (Family::Change, &change.body.cluster),
            Folded::Access(access, name_capped) => {
                let Hourly { hour, body, count, first, last } = access;
                return self.take_access(NamedAccess {
                    hour: *hour,
                    body,
                    same_body: false,
                    name: &body.permission.name,
                    name_capped: *name_capped,
                    sum: Sum { count: *count, first: *first, last: *last },
                });
            }
        };
        self.go_to(family, place)?;
        let (root, written) = (&self.root, (&mut self.written, &self.late));
        let (family, place) = (self.family, self.place.1.as_str());
        match fact {
            Folded::Session(issued) => {
                let (day, row) = (issued.at.day(), session_row(issued));
                self.sessions.push(root, family, place, (day, &row), written)
            }
            Folded::Authentication(call) => {
                let (day, row) = (call.hour.day(), call_row(call, true));
                self.authentications.push(root, family, place, (day, &row), written)
            }
            Folded::AwsCall(call) => {
                let (day, row) = (call.hour.day(), call_row(call, false));
                self.calls.push(root, family, place, (day, &row), written)
            }
            Folded::Login(login) => {
                let (day, row) = (login.hour.day(), login_row(login));
                self.logins.push(root, family, place, (day, &row), written)
            }
            Folded::Change(change) => {
                let (day, row) = (change.at.day(), change_row(change));
                self.changes.push(root, family, place, (day, &row), written)
            }
            Folded::Access(..) => Ok(()),
        }
    }

    fn take_access(&mut self, access: NamedAccess<'_>) -> Result<(), FactsError> {
        self.go_to(Family::Access, &access.body.cluster)?;
        set_access(&mut self.row, &access);
        let (root, written) = (&self.root, (&mut self.written, &self.late));
        let row = (access.hour.day(), &self.row);
        self.access.push(root, self.family, &self.place.1, row, written)
    }
}

/// How the name of a file of late facts begins.
pub(super) const LATE: &str = "late-";

/// The family and unit that a path below the root belongs to; `None` for what is no fact file.
#[must_use]
pub fn unit_of_path(path: &Path) -> Option<(Family, Unit)> {
    let mut parts = path.components().map(|part| part.as_os_str().to_str().unwrap_or_default());
    let (top, family, place, day) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let family = Family::ALL.into_iter().find(|known| known.folder() == family)?;
    let day = Day::parse(day.strip_prefix("p_date=")?)?;
    (top == "facts").then_some((family, Unit { place: number_in(place), day }))
}

/// True for a file beside the first of its day.
#[must_use]
pub fn is_late(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(LATE))
}

/// The number of the place that [`partition`] wrote.
fn number_in(partition: &str) -> u32 {
    let digits = partition.rsplit('-').next().unwrap_or_default();
    u32::from_str_radix(digits, 16).unwrap_or_default()
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
