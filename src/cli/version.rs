//! What this binary is: version, commit, date of the table of access policies.
//!
//! `build.rs` finds the last two; a build that knows no commit does not name one. Nothing of it gets
//! into an output but the version and the date, so that equal inputs give equal bytes from any build.

/// `0.1.0 (0123456789ab, access policies of 2025-11-06)`
#[must_use]
pub fn long() -> &'static str {
    env!("OVERGRANT_LONG_VERSION")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rbac::policies::PolicyTable;

    #[test]
    fn the_date_is_that_of_the_table_that_ships() {
        let date = PolicyTable::builtin().version();
        let expected = format!("access policies of {date})");
        assert!(long().ends_with(&expected), "{} names {date}", long());
        assert!(long().starts_with(concat!(env!("CARGO_PKG_VERSION"), " (")), "{}", long());
    }
}
