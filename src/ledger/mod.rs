//! What was read, and what must be read next: the memory of a run, as pure functions.
//!
//! Input: the entries and days that an earlier run left, and what is listed now. Output: which objects
//! to read and why ([`diff`]), which days to fold anew and from what ([`days`]), and the sums over all
//! entries of the window ([`totals`]). No counter is carried from run to run: every total is added up
//! from the entries, and an entry is the same whichever run read it.
//!
//! An object is found by listing its delivery day again, never by a high-water mark: keys end in random
//! letters and late objects sort anywhere.

pub mod days;
pub mod diff;
pub mod entries;
pub mod entry;
pub mod lens;
pub mod share;
pub mod totals;

/// Version of what extraction makes of a record and of how entries are kept. A change of either raises
/// it, and everything in the window is read again.
pub const FACTS_VERSION: u32 = 2;

use crate::model::packed::PackedError;

/// An entry that does not read: the ledger was changed by someone else.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// The counters of an object or a day.
    #[error("the counters of {what} in the ledger do not read")]
    Details {
        /// The object or day.
        what: String,
        /// Why.
        #[source]
        source: postcard::Error,
    },
    /// Its entries cannot be held.
    #[error("the ledger cannot be held")]
    Packed(#[from] PackedError),
}

#[cfg(test)]
mod tests;
