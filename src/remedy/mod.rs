//! From what a run says to files that a person can apply, and undo.
//!
//! Input: rows of the tables of a finished run. Output: file names and bytes: a script for the AWS and
//! Kubernetes command lines, Terraform, RBAC objects, and the inverse of all of it. Nothing is ever
//! applied here. Findings are taken one after the other over a model of the cluster ([`state`]), so
//! that each step knows what the earlier ones left, and its inverse what it found ([`step`]). What is
//! new comes before what is old goes. With it comes what a role needs in IAM to run it and no more
//! ([`guardrail`]).

pub mod commands;
mod guardrail;
mod hcl;
mod objects;
mod plan;
mod shell;
mod state;
mod step;

use std::collections::{BTreeMap, BTreeSet};

use crate::report::terminal::printable;
use crate::table::rows::grants::{GrantRow, IdentityRow};
use crate::table::rows::verdicts::{ProposalRow, RunRow, VerdictRow};

use state::State;
use step::Step;

/// What a bundle is made from.
#[derive(Debug, Clone, Default)]
pub struct Tables {
    /// The run.
    pub run: Vec<RunRow>,
    /// All identity mappings.
    pub identities: Vec<IdentityRow>,
    /// All grants.
    pub grants: Vec<GrantRow>,
    /// What is said of them.
    pub verdicts: Vec<VerdictRow>,
    /// What could stand in their place.
    pub proposals: Vec<ProposalRow>,
}

/// Files, and what they hold.
#[derive(Debug, Clone, Default)]
pub struct Bundle {
    /// Bytes by path below the bundle's folder.
    pub files: BTreeMap<String, Vec<u8>>,
    /// Grants that are changed: id and what is done, in order.
    pub done: Vec<(String, String)>,
    /// Grants that a person must change: id and why.
    pub left: Vec<(String, String)>,
    /// Grants that stay as they are because somebody answers for them: id, who and why.
    pub known: Vec<(String, String)>,
}

/// Why there is no bundle.
#[derive(Debug, thiserror::Error)]
pub enum RemedyError {
    /// An id that no grant of the run has.
    #[error("no grant of the run has the id {id}")]
    UnknownGrant {
        /// As given.
        id: String,
    },
    /// An object does not become YAML.
    #[error("an object does not become YAML")]
    Yaml(#[from] serde_yaml_ng::Error),
}

/// One finding: what is to change, why, and how.
#[derive(Debug)]
struct Block {
    /// Lines for people, one comment each.
    words: Vec<String>,
    forward: Vec<Step>,
    /// In the order in which they undo it.
    back: Vec<Step>,
}

/// Makes the bundle of all findings that can be acted on, or of those in `only`. A grant that a
/// person must look at is taken only if it is named.
///
/// # Errors
/// When `only` names a grant that is not there, or an object does not become YAML.
pub fn bundle(tables: &Tables, only: Option<&BTreeSet<String>>) -> Result<Bundle, RemedyError> {
    if let Some(missing) = only
        .into_iter()
        .flatten()
        .find(|id| !tables.grants.iter().any(|grant| grant.grant_id == **id))
    {
        return Err(RemedyError::UnknownGrant { id: missing.clone() });
    }
    let mut state = State::of(tables);
    let before = state.clone();
    let grants: BTreeMap<&str, &GrantRow> =
        tables.grants.iter().map(|grant| (grant.grant_id.as_str(), grant)).collect();
    let mut proposed: BTreeMap<&str, Vec<&ProposalRow>> = BTreeMap::new();
    for row in &tables.proposals {
        proposed.entry(&row.grant_id).or_default().push(row);
    }
    let mut verdicts: Vec<&VerdictRow> = tables.verdicts.iter().collect();
    verdicts.sort_by_key(|v| (std::cmp::Reverse(v.severity_rank), &v.cluster, &v.grant_id));
    let mut bundle = Bundle::default();
    let mut blocks = Vec::new();
    for verdict in verdicts {
        let Some(grant) = grants.get(verdict.grant_id.as_str()) else { continue };
        let named = only.is_some_and(|only| only.contains(&grant.grant_id));
        let wanted = match verdict.recommendation.as_str() {
            "remove" | "narrow" | "replace" | "split" => only.is_none() || named,
            "review" => named,
            _ => false,
        };
        if !wanted {
            continue;
        }
        // Somebody answers for it: a break-glass principal is not taken away for want of use.
        if let (false, Some(by)) = (named, verdict.suppression()) {
            let ends = verdict.suppressed_until.map(|at| format!(", ends {}", at.day().to_iso()));
            let ends = ends.unwrap_or_default();
            let why = format!("suppressed by {}: {}{ends}", by.owner, by.reason);
            bundle.known.push((grant.grant_id.clone(), why));
            continue;
        }
        let proposals = proposed.get(grant.grant_id.as_str()).map_or(&[][..], Vec::as_slice);
        match plan::steps(grant, verdict, proposals, &state) {
            Ok(forward) => {
                let mut back = Vec::new();
                for step in &forward {
                    back.push(state.apply(step));
                }
                let back = back.into_iter().rev().flatten().collect();
                let words = plan::words(grant, verdict, proposals);
                bundle
                    .done
                    .push((grant.grant_id.clone(), words.first().cloned().unwrap_or_default()));
                blocks.push(Block { words, forward, back });
            }
            Err(why) => bundle.left.push((grant.grant_id.clone(), why)),
        }
    }
    let guardrails = guardrail::files(blocks.iter().flat_map(|block| &block.forward));
    let header = header(tables, &bundle, !guardrails.is_empty());
    let forward = blocks.iter().map(|block| (block.words.as_slice(), block.forward.as_slice()));
    let script = shell::script(&header, "Applies", forward);
    bundle.files.insert("apply.sh".to_owned(), script.into_bytes());
    let back = blocks.iter().rev().map(|block| (block.words.as_slice(), block.back.as_slice()));
    let script = shell::script(&header, "Takes back", back);
    bundle.files.insert("rollback/apply.sh".to_owned(), script.into_bytes());
    for block in &blocks {
        for (folder, steps) in [("", &block.forward), ("rollback/", &block.back)] {
            for step in steps {
                if let Some((path, yaml)) = objects::file(step)? {
                    bundle.files.insert(format!("{folder}{path}"), yaml.into_bytes());
                }
            }
        }
    }
    let files = hcl::files(&header, &before, &state, &blocks);
    let back = guardrail::files(blocks.iter().flat_map(|block| &block.back));
    let back = back.into_iter().map(|(path, text)| (format!("rollback/{path}"), text));
    for (path, text) in files.into_iter().chain(guardrails).chain(back) {
        bundle.files.insert(path, text.into_bytes());
    }
    Ok(bundle)
}

fn header(tables: &Tables, bundle: &Bundle, guarded: bool) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(run) = tables.run.first() {
        lines.push(format!(
            "overgrant {}: what the logs from {} to {} show",
            run.tool_version,
            run.since.to_rfc3339(),
            run.until.to_rfc3339()
        ));
    }
    lines.push(format!("{} changes, {} left to a person", bundle.done.len(), bundle.left.len()));
    for (id, why) in &bundle.left {
        lines.push(format!("left: {id}: {}", printable(why)));
    }
    for (id, why) in &bundle.known {
        lines.push(format!("known: {id}: {}", printable(why)));
    }
    if guarded {
        let what = "iam/: what the role that applies it needs on access entries, and no more";
        lines.push(what.to_owned());
    }
    lines
}
