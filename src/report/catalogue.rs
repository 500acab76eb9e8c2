//! The reports: one SQL file each, embedded so that the binary is complete.

/// A report.
#[derive(Debug, Clone, Copy)]
pub struct Query {
    /// Name of the report and of its file.
    pub name: &'static str,
    /// The statement, with its header comment.
    pub sql: &'static str,
}

macro_rules! queries {
    ($($name:literal),* $(,)?) => {
        /// All reports, in the order in which they are written.
        pub const QUERIES: &[Query] = &[
            $(Query { name: $name, sql: include_str!(concat!("../../queries/", $name, ".sql")) }),*
        ];
    };
}

queries![
    "grant_review",
    "unused_grants",
    "over_scoped_grants",
    "redundant_grants",
    "ineffective_grants",
    "access_by_principal",
    "access_by_tag",
    "denied_access",
    "unmanaged_access",
    "auth_mode_migration",
    "auth_mode_plan",
    "token_hygiene",
    "grant_timeline",
    "refused_logins",
];
