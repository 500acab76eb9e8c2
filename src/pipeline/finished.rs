//! A finished run, for every command that reads one: the same run all the while, whatever is published
//! meanwhile.

use super::PipelineError;
use crate::publish::published::Published;
use crate::source::{Location, S3Options};
use crate::table::Row;
use crate::table::parquet::rows_of;

/// A finished run, and where it was asked for.
pub(super) struct Finished {
    from: String,
    pub(super) published: Published,
}

impl Finished {
    /// Opens the run that `from` holds.
    pub(super) async fn open(from: &Location, s3: &S3Options) -> Result<Self, PipelineError> {
        let published = Published::open(from, s3).await?;
        let from = from.to_string();
        match published {
            Some(published) => Ok(Finished { from, published }),
            None => Err(PipelineError::NoRun { from }),
        }
    }

    /// All rows of a table.
    pub(super) async fn rows<R: Row>(&self) -> Result<Vec<R>, PipelineError> {
        let folder = format!("tables/{}/", R::TABLE.name);
        let is_its = |path: &&str| path.starts_with(&folder) && path.ends_with(".parquet");
        let mut rows = Vec::new();
        let mut paths = self.published.paths().filter(is_its).peekable();
        if paths.peek().is_none() {
            return Err(self.without(R::TABLE.name));
        }
        for path in paths {
            if let Some(bytes) = self.published.bytes(path).await? {
                rows.extend(rows_of::<R>(bytes)?);
            }
        }
        Ok(rows)
    }

    /// That a table, or what should be in it, is missing.
    pub(super) fn without(&self, table: &'static str) -> PipelineError {
        PipelineError::NoTable { from: self.from.clone(), table }
    }
}
