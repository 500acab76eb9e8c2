//! Reads the tables of a finished run and writes a bundle of remedies: `overgrant remediate`.

use std::collections::BTreeSet;
use std::path::PathBuf;

use super::PipelineError;
use super::finished::Finished;
use crate::remedy::{self, Tables};
use crate::report::bundle;
use crate::source::{Location, S3Options};

/// What to make and where to put it.
#[derive(Debug, Clone)]
pub struct RemediatePlan {
    /// The output of a run: a folder, or a prefix in a bucket.
    pub from: Location,
    /// Folder of the bundle.
    pub to: PathBuf,
    /// Only these grants.
    pub only: Option<BTreeSet<String>>,
    /// How to reach S3.
    pub s3: S3Options,
}

/// What came of it.
#[derive(Debug, Clone)]
pub struct Remediated {
    /// Where it is.
    pub to: PathBuf,
    /// Grants that are changed: id and what is done.
    pub done: Vec<(String, String)>,
    /// Grants that are left to a person: id and why.
    pub left: Vec<(String, String)>,
    /// Grants that stay because somebody answers for them: id, who and why.
    pub known: Vec<(String, String)>,
}

/// Makes the bundle.
///
/// # Errors
/// When the run cannot be read, a grant is not in it, or the folder cannot be written.
pub fn remediate(plan: &RemediatePlan) -> Result<Remediated, PipelineError> {
    let tables = super::runtime()?.block_on(async {
        let finished = Finished::open(&plan.from, &plan.s3).await?;
        Ok::<Tables, PipelineError>(Tables {
            run: finished.rows().await?,
            identities: finished.rows().await?,
            grants: finished.rows().await?,
            verdicts: finished.rows().await?,
            proposals: finished.rows().await?,
        })
    })?;
    let made = remedy::bundle(&tables, plan.only.as_ref())?;
    bundle::write(&plan.to, &made.files)?;
    let remedy::Bundle { done, left, known, .. } = made;
    Ok(Remediated { to: plan.to.clone(), done, left, known })
}
