//! overgrant: who may do what in your EKS clusters, who really did, and what smaller grant would
//! have been enough.
//!
//! The library exists for the binary, the tests and the benches; its API is not stable.
//!
//! # The map
//!
//! Data moves one way. Each folder is a room; `tests/tidy.rs` holds the table of who may name whom,
//! `.clippy.toml` the calls that only one room may make.
//!
//! 1. [`source`] lists and fetches objects from folders and S3. Async.
//! 2. [`decode`] turns bytes into borrowed records; knows no source, no fact, no rule.
//! 3. [`extract`] turns records into facts; knows what CloudTrail and audit fields mean. No state
//!    crosses events.
//! 4. [`facts`] counts every fact once, adds facts up per hour, in bounded memory, and keeps them.
//! 5. [`inventory`] stands beside the source: files of a snapshot to identities, grants, members.
//!    [`live`] makes such files: it asks AWS and Kubernetes what is granted now. Async.
//! 6. [`join`] says whose grant carried which request, through which session.
//! 7. [`analyse`] turns use and coverage into verdicts and advice.
//! 8. [`table`] declares the public tables; [`report`] writes them and runs `queries/*.sql` over them.
//! 9. [`remedy`] turns the tables of a finished run into files that a person can apply, and undo.
//!    [`explain`] tells a person what such a run says of one principal or grant.
//! 10. [`publish`] puts a finished run in the place of the one before, at once, and keeps what the next
//!     one continues from.
//! 11. [`pipeline`] is the only one that knows this order; [`cli`] is what people type.
//!
//! Below all is [`model`]: plain values that cross a boundary. Five rooms hold rules as pure functions:
//! [`rbac`] those of authorization, [`ledger`] what must be read again and what need not, [`integrity`]
//! whether CloudTrail vouches for a log. [`suppress`] says which findings are known, [`compare`] what two
//! runs say differently; neither moves a verdict.
//!
//! # What always holds
//!
//! - Bad input is data: a [`model::tally::Reason`], counted and shown. It never ends a run and never
//!   passes in silence: `seen = kept + filtered + rejected`.
//! - The same inputs give the same bytes, in any order and on any threads: every merge is over a
//!   total order, and nothing below [`cli`] reads a clock.
//! - Errors come in three classes: a wrong command line, bad input (no error), a run that cannot go
//!   on. Each room has one enum for the last.
//! - No verdict without evidence: what the logs do not cover is said, never called unused.

pub mod analyse;
pub mod cli;
pub mod compare;
pub mod decode;
pub mod explain;
pub mod extract;
pub mod facts;
pub mod integrity;
pub mod inventory;
pub mod join;
pub mod ledger;
pub mod live;
pub mod model;
pub mod pipeline;
pub mod publish;
pub mod rbac;
pub mod remedy;
pub mod report;
pub mod source;
pub mod suppress;
pub mod table;
