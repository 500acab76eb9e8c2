//! A run's output in the making: tables, reports and their digests, below a staging folder.
//!
//! Where it goes from there is for the room that publishes to say.
#![expect(clippy::disallowed_methods, reason = "report writes and replaces files")]

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::BufWriter;
use std::path::{Path, PathBuf};

use super::engine::Rows;
use super::{ReportError, io};
use crate::model::digest;
use crate::table::Row;
use crate::table::parquet::{BatchWriter, CodecError, RowWriter, plain_schema};

/// A run's output in the making.
#[derive(Debug)]
pub struct OutputDir {
    staging: PathBuf,
}

/// A file of the run, for the manifest.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
pub struct WrittenFile {
    /// Relative, with `/`.
    pub path: String,
    /// Size.
    pub bytes: u64,
    /// Hex digits.
    pub sha256: String,
}

impl OutputDir {
    /// Writes below `staging`, which is made.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn create(staging: &Path) -> Result<Self, ReportError> {
        fs::create_dir_all(staging).map_err(io("create", staging))?;
        Ok(OutputDir { staging: staging.to_path_buf() })
    }

    /// Where files are written until they are put in place.
    #[must_use]
    pub fn staging(&self) -> &Path {
        &self.staging
    }

    /// Writes a table of one file, rows in order of its sort key.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write_table<R: Row>(
        &self,
        rows: impl IntoIterator<Item = R>,
    ) -> Result<(), ReportError> {
        let mut writer = self.table_writer::<R>()?;
        let table = |source| ReportError::Table { table: R::TABLE.name.to_owned(), source };
        for row in rows {
            writer.push(row).map_err(table)?;
        }
        finish(writer)
    }

    /// Starts a table that is written row by row; end it with [`finish`].
    ///
    /// # Errors
    /// When the file cannot be made.
    pub fn table_writer<R: Row>(&self) -> Result<RowWriter<R, BufWriter<File>>, ReportError> {
        let path = self.staging.join("tables").join(R::TABLE.name).join("part-0.parquet");
        let file = create(&path)?;
        Ok(RowWriter::new(BufWriter::new(file)))
    }

    /// Writes a report as its rows come; little of it is held.
    ///
    /// # Errors
    /// When its statement fails on the way, or it cannot be written.
    pub async fn write_report(&self, name: &str, mut rows: Rows) -> Result<(), ReportError> {
        let path = self.staging.join("reports").join(format!("{name}.parquet"));
        let refused = |source: CodecError| ReportError::Table { table: name.to_owned(), source };
        let file = BufWriter::new(create(&path)?);
        let mut writer = BatchWriter::new(file, plain_schema(&rows.schema()));
        while let Some(batch) = rows.next().await? {
            writer.write(batch).map_err(refused)?;
        }
        ended(writer.finish().map_err(refused)?.0).map_err(refused)
    }

    /// Writes a file of bytes.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&self, relative: &str, bytes: &[u8]) -> Result<(), ReportError> {
        let path = self.staging.join(relative);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(io("create", folder))?;
        }
        fs::write(&path, bytes).map_err(io("write", &path))
    }

    /// Every file staged so far, with its digest, by path; `known` tells digests that need no reading.
    ///
    /// # Errors
    /// When one cannot be read.
    pub fn files(
        &self,
        known: &BTreeMap<String, (u64, String)>,
    ) -> Result<Vec<WrittenFile>, ReportError> {
        let mut files = Vec::new();
        let mut folders = vec![self.staging.clone()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(&folder).map_err(io("read", &folder))? {
                let path = entry.map_err(io("read", &folder))?.path();
                if path.is_dir() {
                    folders.push(path);
                    continue;
                }
                let relative = path.strip_prefix(&self.staging).unwrap_or(&path);
                let known = relative.to_str().and_then(|name| Some((name, known.get(name)?)));
                files.push(match known {
                    Some((name, (bytes, sha256))) => {
                        WrittenFile { path: name.to_owned(), bytes: *bytes, sha256: sha256.clone() }
                    }
                    None => written(&self.staging, relative)?,
                });
            }
        }
        files.sort();
        Ok(files)
    }
}

/// A file below `root` with its digest.
///
/// # Errors
/// When it cannot be read.
pub fn written(root: &Path, relative: &Path) -> Result<WrittenFile, ReportError> {
    let path = root.join(relative);
    let read = File::open(&path).and_then(digest::of_reader);
    let (sha256, bytes) = read.map_err(io("read", &path))?;
    let parts: Vec<_> = relative.components().map(|c| c.as_os_str().to_string_lossy()).collect();
    Ok(WrittenFile { path: parts.join("/"), bytes, sha256: digest::hex(&sha256, 64) })
}

/// Ends a table.
///
/// # Errors
/// When it cannot be written.
pub fn finish<R: Row>(writer: RowWriter<R, BufWriter<File>>) -> Result<(), ReportError> {
    let table = |source: CodecError| ReportError::Table { table: R::TABLE.name.to_owned(), source };
    let (file, _) = writer.finish().map_err(table)?;
    ended(file).map_err(table)
}

fn ended(file: BufWriter<File>) -> Result<(), CodecError> {
    file.into_inner().map(drop).map_err(|error| CodecError::Parquet(error.into_error().into()))
}

fn create(path: &Path) -> Result<File, ReportError> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(io("create", folder))?;
    }
    File::create(path).map_err(io("create", path))
}
