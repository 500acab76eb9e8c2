//! Reads the tables of two finished runs and compares them: `overgrant diff`.

use super::PipelineError;
use super::finished::Finished;
use crate::compare::{self, Change, Side};
use crate::model::time::Micros;
use crate::source::{Location, S3Options};

/// What to compare.
#[derive(Debug, Clone)]
pub struct DiffPlan {
    /// The output of the earlier run: a folder, or a prefix in a bucket.
    pub before: Location,
    /// That of the later one.
    pub after: Location,
    /// How to reach S3.
    pub s3: S3Options,
}

/// What came of it.
#[derive(Debug, Clone)]
pub struct Compared {
    /// The changes, those of the worst grant first.
    pub changes: Vec<Change>,
    /// Window of the earlier run.
    pub before: (Micros, Micros),
    /// Window of the later one.
    pub after: (Micros, Micros),
}

/// Compares.
///
/// # Errors
/// When a run cannot be read.
pub fn diff(plan: &DiffPlan) -> Result<Compared, PipelineError> {
    let runtime = super::runtime()?;
    let (before, was) = runtime.block_on(side(&plan.before, &plan.s3))?;
    let (after, is) = runtime.block_on(side(&plan.after, &plan.s3))?;
    Ok(Compared { changes: compare::compare(&was, &is), before, after })
}

async fn side(from: &Location, s3: &S3Options) -> Result<((Micros, Micros), Side), PipelineError> {
    let finished = Finished::open(from, s3).await?;
    let side = Side {
        run: finished.rows().await?,
        grants: finished.rows().await?,
        rules: finished.rows().await?,
        verdicts: finished.rows().await?,
    };
    let window = side.window().ok_or_else(|| finished.without("run"))?;
    Ok((window, side))
}
