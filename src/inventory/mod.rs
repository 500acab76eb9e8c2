//! Inventory files to grants: who may do what.
//!
//! Input: the files of one folder per cluster, as `aws` and `kubectl` print them. Output: typed
//! snapshots ([`mod@load`]) and, from each, the identities, grants and members it holds ([`grants`]).
//! A missing or broken file is a hole, never an empty list: what it would have held is unobservable.
//! Nothing here reads a log or a clock.

pub mod aws;
pub mod grants;
pub mod kubernetes;
pub mod load;
pub mod principals;
pub mod subjects;
pub mod trust;

pub use load::{Loaded, Problem, load, newest};
