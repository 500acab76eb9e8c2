//! The manifest: what a run read, decided and wrote. No clock, no host, no path of the machine.

use std::collections::BTreeMap;

use serde::Serialize;

use super::output::WrittenFile;
use crate::model::tally::Counts;

/// The manifest of a run; serialised with its fields in this order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Manifest {
    /// `overgrant`
    pub tool: &'static str,
    /// Version of the tool.
    pub version: &'static str,
    /// Version of the tables.
    pub schema_version: &'static str,
    /// Date of the table of access policies.
    pub policy_table_version: String,
    /// First instant of the window.
    pub since: String,
    /// First instant after it.
    pub until: String,
    /// Where the end of the window comes from: `argument`, `inventory` or `clock`.
    pub until_from: &'static str,
    /// SHA-256 of the configuration file, where there was one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub config_digest: Option<String>,
    /// Suppressions that were given.
    pub suppressions: usize,
    /// Clusters and when their snapshots were taken.
    pub clusters: BTreeMap<String, String>,
    /// SHA-256 over the sorted keys and sizes of all objects that were listed.
    pub input_digest: String,
    /// Objects and bytes.
    pub input: Input,
    /// `seen = kept + filtered + rejected`, per stream.
    pub counters: BTreeMap<&'static str, Counts>,
    /// Distinct records, by family.
    pub distinct: BTreeMap<&'static str, u64>,
    /// Copies folded away, by family.
    pub copies: BTreeMap<&'static str, u64>,
    /// Covered hours of all hours, by stream.
    pub coverage: BTreeMap<String, Share>,
    /// What the inventory does not say, and what did not read.
    pub holes: Vec<String>,
    /// Every other file of the run.
    pub files: Vec<WrittenFile>,
}

/// What was read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Input {
    /// Objects listed and wanted.
    pub objects: u64,
    /// Left out by key, by why.
    pub pruned: BTreeMap<&'static str, u64>,
    /// Bytes as stored.
    pub bytes: u64,
    /// Bytes after inflating.
    pub inflated: u64,
}

/// Hours.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Share {
    /// Covered.
    pub covered: i64,
    /// All.
    pub hours: i64,
}

impl Manifest {
    /// Pretty JSON with a final newline.
    ///
    /// # Errors
    /// Never for values of this type.
    pub fn to_json(&self) -> Result<Vec<u8>, serde_json::Error> {
        let mut bytes = serde_json::to_vec_pretty(self)?;
        bytes.push(b'\n');
        Ok(bytes)
    }
}
