//! Bytes to borrowed records: inflates an object, finds its records, reads the fields we use.
//!
//! Input: one object's bytes. Output: slices and borrowed structs; nothing is kept between calls
//! but reused buffers. The kind of an object is read from its bytes, never from its name, and
//! record borders come from an exact count of quotes and brackets: a separator can be forged by
//! whoever chooses a request parameter. This room knows no source, no fact and no rule, and skips
//! what it does not need without parsing it, because other services' shapes break rigid types.

pub mod audit;
mod audited;
pub mod authenticator;
pub mod aws_auth;
pub mod carrier;
pub mod cloudtrail;
pub mod envelope;
pub mod find;
pub mod gunzip;
pub mod lenient;
pub mod quoted;
pub mod sniff;
pub mod split;
