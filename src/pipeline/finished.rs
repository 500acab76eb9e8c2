//! Rows of a finished run, for what reads whole tables of it.

use super::PipelineError;
use crate::source::{self, Location, S3Options};
use crate::table::Row;
use crate::table::parquet::rows_of;

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
