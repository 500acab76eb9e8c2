//! The persisted facts: one Parquet file per family, place and day, written once.
//!
//! Input: the folded stream. Output: files under `facts/`, which [`read`](super::read) reads back. The
//! stream comes family by family, day by day and place by place, so only one file is open, however
//! many places there are. Should two places interleave (equal numbers in the sort key), the later rows
//! of one go into a further part. What came late for a day that cannot be folded anew is a file beside
//! the first.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use arrow::datatypes::SchemaRef;

use super::FactsError;
use super::encode::{Desk, Encoding, Job};
use super::fold::{FactSink, Folded, Hourly, NamedAccess};
use super::hourly::Sum;
use super::rows::{call_row, change_row, login_row, session_row, set_access};
use crate::model::digest;
use crate::model::outcome::{Family, Unit};
use crate::model::time::Day;
use crate::table::facts::{
    AccessFactRow, CallFactRow, ChangeFactRow, LoginFactRow, SessionFactRow,
};
use crate::table::parquet::Rows;
use crate::table::{Row, schema};

/// Columns of the folders of places.
const ACCOUNT: &str = "p_account";
const CLUSTER: &str = "p_cluster";

/// Writes facts into a folder.
pub struct FactStore {
    folder: Folder,
    sessions: Files<SessionFactRow>,
    authentications: Files<CallFactRow>,
    calls: Files<CallFactRow>,
    logins: Files<LoginFactRow>,
    changes: Files<ChangeFactRow>,
    access: Files<AccessFactRow>,
    /// The last row of them.
    row: AccessFactRow,
}

/// Where all files go.
struct Folder {
    root: PathBuf,
    encoding: Encoding,
    /// Begun, below the root.
    begun: BTreeSet<PathBuf>,
    /// Days that keep the files they have, and the number of the file beside them.
    late: BTreeMap<Unit, u32>,
    /// The family of the last fact.
    family: &'static str,
    /// The account or cluster of the last fact, and its folder.
    place: (String, String),
}

/// The open file of one family.
struct Files<R: Row> {
    open: Option<OpenFile<R>>,
}

struct OpenFile<R: Row> {
    day: Day,
    place: String,
    rows: Rows<R>,
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
            folder: Folder {
                root,
                encoding: Encoding::Here(Desk::default()),
                begun: BTreeSet::new(),
                late: BTreeMap::new(),
                family: "",
                place: (String::new(), String::new()),
            },
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
    pub fn with_late(mut self, late: BTreeMap<Unit, u32>) -> Self {
        self.folder.late = late;
        self
    }

    /// Encodes and writes on a thread of its own, while the next rows are made.
    #[must_use]
    pub fn beside(mut self) -> Self {
        self.folder.encoding = Encoding::beside();
        self
    }

    /// Ends all files; returns their paths below the root, sorted.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn finish(mut self) -> Result<Vec<PathBuf>, FactsError> {
        self.close()?;
        self.folder.encoding.finish()?;
        Ok(self.folder.begun.into_iter().collect())
    }

    fn close(&mut self) -> Result<(), FactsError> {
        let encoding = &mut self.folder.encoding;
        self.sessions.close(encoding)?;
        self.authentications.close(encoding)?;
        self.calls.close(encoding)?;
        self.logins.close(encoding)?;
        self.changes.close(encoding)?;
        self.access.close(encoding)
    }

    /// Goes on to a family and place.
    fn go_to(&mut self, family: Family, place: &str) -> Result<(), FactsError> {
        if self.folder.family != family.folder() {
            self.close()?;
            self.folder.family = family.folder();
        }
        let column = match family {
            Family::Session | Family::Authentication | Family::AwsCall => ACCOUNT,
            Family::Login | Family::Change | Family::Access => CLUSTER,
        };
        let (known, folder) = &mut self.folder.place;
        if known != place || !folder.starts_with(column) {
            *folder = partition(column, place);
            place.clone_into(known);
        }
        Ok(())
    }
}

impl Folder {
    /// Begins the file of the place and a day.
    fn open(&mut self, day: Day, schema: SchemaRef) -> Result<(), FactsError> {
        let place = &self.place.1;
        let folder = Path::new("facts")
            .join(self.family)
            .join(place)
            .join(format!("p_date={}", day.to_iso()));
        let late = self.late.get(&Unit { place: number_in(place), day });
        let part = |n: u32| match (n, late) {
            (n, Some(late)) => folder.join(format!("{LATE}{late:06}-{n:06}.parquet")),
            (0, None) => folder.join("part-0.parquet"),
            // Sorts behind the first as text, in order of number.
            (n, None) => folder.join(format!("part-{n:06}.parquet")),
        };
        let mut n = 0;
        let mut path = part(n);
        while self.begun.contains(&path) {
            n += 1;
            path = part(n);
        }
        self.encoding.give(Job::Open(self.root.join(&path), schema))?;
        self.begun.insert(path);
        Ok(())
    }
}

impl<R: Row> Files<R> {
    fn push(&mut self, row: &R, day: Day, folder: &mut Folder) -> Result<(), FactsError> {
        let is_here = |open: &OpenFile<R>| open.day == day && open.place == folder.place.1;
        if !self.open.as_ref().is_some_and(is_here) {
            self.close(&mut folder.encoding)?;
            folder.open(day, schema(&R::TABLE))?;
            self.open =
                Some(OpenFile { day, place: folder.place.1.clone(), rows: Rows::default() });
        }
        if let Some(open) = &mut self.open
            && let Some(batch) = open.rows.push(row)?
        {
            folder.encoding.give(Job::Write(batch))?;
        }
        Ok(())
    }

    fn close(&mut self, encoding: &mut Encoding) -> Result<(), FactsError> {
        let Some(mut open) = self.open.take() else { return Ok(()) };
        if let Some(batch) = open.rows.take()? {
            encoding.give(Job::Write(batch))?;
        }
        encoding.give(Job::Close)
    }
}

impl FactSink for FactStore {
    fn take(&mut self, fact: Folded) -> Result<(), FactsError> {
        match fact {
            Folded::Session(fact) => {
                self.go_to(Family::Session, &fact.body.account)?;
                let day = fact.at.day();
                self.sessions.push(&session_row(fact), day, &mut self.folder)
            }
            Folded::Authentication(fact) => {
                self.go_to(Family::Authentication, &fact.body.account)?;
                let day = fact.hour.day();
                self.authentications.push(&call_row(fact, true), day, &mut self.folder)
            }
            Folded::AwsCall(fact) => {
                self.go_to(Family::AwsCall, &fact.body.account)?;
                let day = fact.hour.day();
                self.calls.push(&call_row(fact, false), day, &mut self.folder)
            }
            Folded::Login(fact) => {
                self.go_to(Family::Login, &fact.body.cluster)?;
                let day = fact.hour.day();
                self.logins.push(&login_row(fact), day, &mut self.folder)
            }
            Folded::Change(fact) => {
                self.go_to(Family::Change, &fact.body.cluster)?;
                let day = fact.at.day();
                self.changes.push(&change_row(fact), day, &mut self.folder)
            }
            Folded::Access(Hourly { hour, body, count, first, last }, name_capped) => {
                let (name, sum) = (&body.permission.name, Sum { count, first, last });
                let body = &body;
                let same_body = false;
                self.take_access(NamedAccess { hour, body, same_body, name, name_capped, sum })
            }
        }
    }

    fn take_access(&mut self, access: NamedAccess<'_>) -> Result<(), FactsError> {
        self.go_to(Family::Access, &access.body.cluster)?;
        set_access(&mut self.row, &access);
        self.access.push(&self.row, access.hour.day(), &mut self.folder)
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
