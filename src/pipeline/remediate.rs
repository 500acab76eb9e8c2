//! Reads the tables of a finished run and writes a bundle of remedies: `overgrant remediate`.

use std::collections::BTreeSet;
use std::path::PathBuf;

use super::PipelineError;
use crate::remedy::{self, Tables};
use crate::report::bundle;
use crate::source::{self, Location, S3Options};
use crate::table::Row;
use crate::table::parquet::rows_of;

/// What to make and where to put it.
#[derive(Debug, Clone)]
pub struct RemediatePlan {
    /// The output of a run: a folder, or a prefix in a bucket.
    pub from: String,
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
}

/// Makes the bundle.
///
/// # Errors
/// When the run cannot be read, a grant is not in it, or the folder cannot be written.
pub fn remediate(plan: &RemediatePlan) -> Result<Remediated, PipelineError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(PipelineError::Start)?;
    let tables = runtime.block_on(async {
        Ok::<Tables, PipelineError>(Tables {
            run: read(&plan.from, &plan.s3).await?,
            identities: read(&plan.from, &plan.s3).await?,
            grants: read(&plan.from, &plan.s3).await?,
            verdicts: read(&plan.from, &plan.s3).await?,
            proposals: read(&plan.from, &plan.s3).await?,
        })
    })?;
    let made = remedy::bundle(&tables, plan.only.as_ref())?;
    bundle::write(&plan.to, &made.files)?;
    Ok(Remediated { to: plan.to.clone(), done: made.done, left: made.left })
}

/// The rows of one table of a finished run.
pub(super) async fn read<R: Row>(from: &str, s3: &S3Options) -> Result<Vec<R>, PipelineError> {
    let name = R::TABLE.name;
    let text = format!("{}/tables/{name}", from.trim_end_matches('/'));
    let none = || PipelineError::NoRun { from: from.to_owned(), table: name };
    let location = Location::parse(&text).map_err(|_| none())?;
    let files = source::read_small_files(&location, s3).await?;
    let mut rows = Vec::new();
    for (_, bytes) in files.into_iter().filter(|(key, _)| key.ends_with(".parquet")) {
        rows.extend(rows_of::<R>(bytes)?);
    }
    Ok(rows)
}
