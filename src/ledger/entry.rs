//! An object that was read: its row in the ledger, and back.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::LedgerError;
use crate::model::digest;
use crate::model::outcome::Outcome;
use crate::model::tally::{Reason, Stream};
use crate::model::time::{Day, Hour};
use crate::table::ledger::LedgerRow;

/// Names an object: bucket (empty for folders) and key.
pub type Name = (String, String);

/// A number for a name, where very many are told apart: names are long.
#[must_use]
pub fn number_of(source: &str, key: &str) -> u128 {
    digest::id(&digest::of_parts([source.as_bytes(), key.as_bytes()]))
}

/// An object as it is listed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Listed {
    /// Bucket and key.
    pub name: Name,
    /// ETag, or the time of change of a file.
    pub etag: Option<String>,
    /// Bytes as stored.
    pub size: u64,
}

/// What reading an object came to, encoded: a run holds a million of them, and as they are they would take
/// some kilobytes each.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Details(Box<[u8]>);

impl Details {
    /// Encodes it.
    ///
    /// # Errors
    /// Never for values of this type.
    pub fn of(outcome: &Outcome) -> Result<Self, postcard::Error> {
        Ok(Details(postcard::to_allocvec(outcome)?.into()))
    }

    /// Decodes it; `what` names the object.
    ///
    /// # Errors
    /// When it was changed by someone else.
    pub fn outcome(&self, what: &str) -> Result<Outcome, LedgerError> {
        postcard::from_bytes(&self.0)
            .map_err(|source| LedgerError::Details { what: what.to_owned(), source })
    }
}

/// An object that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// As it was listed.
    pub listed: Listed,
    /// First and last day whose records were taken.
    pub days: (Day, Day),
    /// Digest of the [`Lens`](super::lens::Lens), one for all entries of a run.
    pub lens: Arc<str>,
    /// What reading it came to.
    pub details: Details,
}

impl Entry {
    /// What reading it came to.
    ///
    /// # Errors
    /// When the ledger was changed by someone else.
    pub fn outcome(&self) -> Result<Outcome, LedgerError> {
        self.details.outcome(&self.listed.name.1)
    }

    /// Its row.
    ///
    /// # Errors
    /// When the ledger was changed by someone else.
    pub fn row(&self) -> Result<LedgerRow, LedgerError> {
        let outcome = self.outcome()?;
        let hours = outcome.hours();
        let (word, reason) = word(&outcome);
        let (source, object) = self.listed.name.clone();
        Ok(LedgerRow {
            source,
            object,
            etag: self.listed.etag.clone(),
            size: i64::try_from(self.listed.size).unwrap_or(i64::MAX),
            outcome: word.to_owned(),
            reason: reason.map(str::to_owned),
            first_hour: hours.map(|(first, _)| Hour::start(first)),
            last_hour: hours.map(|(_, last)| Hour::start(last)),
            days_from: self.days.0.start(),
            days_to: self.days.1.start(),
            looked_for: self.lens.to_string(),
            details: self.details.0.to_vec(),
        })
    }

    /// From its row.
    #[must_use]
    pub fn from_row(row: LedgerRow) -> Self {
        Entry {
            listed: Listed {
                name: (row.source, row.object),
                etag: row.etag,
                size: u64::try_from(row.size).unwrap_or(0),
            },
            days: (row.days_from.day(), row.days_to.day()),
            lens: row.looked_for.into(),
            details: Details(row.details.into()),
        }
    }
}

/// True when its bytes could not be had: it counts as not read.
#[must_use]
pub fn is_unread(outcome: &Outcome) -> bool {
    outcome.rejects.contains_key(&Reason::Unreadable)
}

fn word(outcome: &Outcome) -> (&'static str, Option<&'static str>) {
    let Some(objects) = outcome.streams.get(&Stream::Objects) else { return ("filtered", None) };
    if let Some(why) = objects.rejected.keys().next() {
        return ("rejected", Some(why.as_str()));
    }
    match objects.filtered.keys().next() {
        Some(why) => ("filtered", Some(why.as_str())),
        None => ("kept", None),
    }
}
