//! Plain values that cross a boundary between rooms.
//!
//! A type lives in the room that makes it until a second room needs it; then it moves here. This
//! room does no I/O, knows no Arrow and no wire format, and holds no rule that decides a verdict.
//! Everything in it is ordered and comparable, because the tool promises the same bytes for the
//! same input.

pub mod arn;
pub mod coverage;
pub mod digest;
pub mod fact;
pub mod grant;
pub mod inventory;
pub mod near;
pub mod needs;
pub mod outcome;
pub mod packed;
pub mod permission;
pub mod secret_names;
pub mod service_account;
pub mod suppression;
pub mod tally;
pub mod time;
