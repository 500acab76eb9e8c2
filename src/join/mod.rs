//! Facts and grants to use: whose grant carried which request.
//!
//! Input: folded facts, sessions, and the identities and grants of each cluster. Output: sessions
//! with their tags and chains ([`sessions`]), what CloudTrail alone shows of a principal
//! ([`presence`]), and use per member, permission and grant ([`usage`]).
//! Pure and synchronous: the same facts in any order of arrival give the same use.

pub mod cluster;
pub mod presence;
pub mod profile;
pub mod sessions;
pub mod usage;

pub use crate::facts::fold::{Hourly, Issued};
