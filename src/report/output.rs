//! The output folder: staged beside its place, put there as a whole.
//!
//! Everything is written under `.staging` inside the folder, which `tables/**` and the like do not
//! match. Putting it in place moves one top-level folder at a time, the old one aside first, and the
//! manifest last. A folder that holds anything else than an earlier run is refused.
#![expect(clippy::disallowed_methods, reason = "report writes and replaces files")]

use std::fs::{self, File};
use std::io::BufWriter;
use std::path::{Path, PathBuf};

use super::{ReportError, io};
use crate::model::digest;
use crate::table::Row;
use crate::table::parquet::{CodecError, RowWriter};

/// The file that is put in place last and names all others.
pub const MANIFEST: &str = "manifest.json";
/// Top-level folders of a run.
pub const FOLDERS: [&str; 4] = ["facts", "history", "reports", "tables"];
const RUN: &str = "run.json";

/// A run's output in the making.
#[derive(Debug)]
pub struct OutputDir {
    place: PathBuf,
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
    /// Opens the folder early, so that a place that cannot be written fails before the work.
    ///
    /// # Errors
    /// When it cannot be made or holds something else.
    pub fn create(place: &Path) -> Result<Self, ReportError> {
        fs::create_dir_all(place).map_err(io("create", place))?;
        let mut foreign = false;
        for entry in fs::read_dir(place).map_err(io("read", place))? {
            let name = entry.map_err(io("read", place))?.file_name();
            let name = name.to_string_lossy();
            foreign |= !(FOLDERS.contains(&&*name)
                || name.starts_with('.')
                || name == RUN
                || name == MANIFEST);
        }
        if foreign && !place.join(MANIFEST).is_file() {
            return Err(ReportError::ForeignFolder { path: place.to_path_buf() });
        }
        let staging = place.join(".staging");
        if staging.exists() {
            fs::remove_dir_all(&staging).map_err(io("remove", &staging))?;
        }
        fs::create_dir_all(&staging).map_err(io("create", &staging))?;
        for folder in FOLDERS {
            let folder = staging.join(folder);
            fs::create_dir_all(&folder).map_err(io("create", &folder))?;
        }
        Ok(OutputDir { place: place.to_path_buf(), staging })
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
        RowWriter::new(BufWriter::new(file))
            .map_err(|source| ReportError::Table { table: R::TABLE.name.to_owned(), source })
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

    /// Every file staged so far, with its digest, by path.
    ///
    /// # Errors
    /// When one cannot be read.
    pub fn files(&self) -> Result<Vec<WrittenFile>, ReportError> {
        let mut files = Vec::new();
        let mut folders = vec![self.staging.clone()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(&folder).map_err(io("read", &folder))? {
                let path = entry.map_err(io("read", &folder))?.path();
                if path.is_dir() {
                    folders.push(path);
                    continue;
                }
                let bytes = fs::read(&path).map_err(io("read", &path))?;
                let relative = path.strip_prefix(&self.staging).unwrap_or(&path);
                let parts: Vec<_> =
                    relative.components().map(|c| c.as_os_str().to_string_lossy()).collect();
                files.push(WrittenFile {
                    path: parts.join("/"),
                    bytes: u64::try_from(bytes.len()).unwrap_or(u64::MAX),
                    sha256: digest::hex(&digest::of_bytes(&bytes), 64),
                });
            }
        }
        files.sort();
        Ok(files)
    }

    /// Puts everything in place, the manifest last.
    ///
    /// # Errors
    /// When something cannot be moved; the earlier run may then be partly aside under `.old`.
    pub fn publish(self) -> Result<(), ReportError> {
        let old = self.place.join(".old");
        if old.exists() {
            fs::remove_dir_all(&old).map_err(io("remove", &old))?;
        }
        fs::create_dir_all(&old).map_err(io("create", &old))?;
        // Without a manifest no reader by manifest takes a half-moved run for a whole one.
        move_if_there(&self.place.join(MANIFEST), &old.join(MANIFEST))?;
        for name in FOLDERS.into_iter().chain([RUN]) {
            move_if_there(&self.place.join(name), &old.join(name))?;
            move_if_there(&self.staging.join(name), &self.place.join(name))?;
        }
        move_if_there(&self.staging.join(MANIFEST), &self.place.join(MANIFEST))?;
        for leftover in [&old, &self.staging] {
            fs::remove_dir_all(leftover).map_err(io("remove", leftover))?;
        }
        Ok(())
    }
}

/// Ends a table.
///
/// # Errors
/// When it cannot be written.
pub fn finish<R: Row>(writer: RowWriter<R, BufWriter<File>>) -> Result<(), ReportError> {
    let table = |source: CodecError| ReportError::Table { table: R::TABLE.name.to_owned(), source };
    let (file, _) = writer.finish().map_err(table)?;
    file.into_inner()
        .map(drop)
        .map_err(|error| table(CodecError::Parquet(error.into_error().into())))
}

fn create(path: &Path) -> Result<File, ReportError> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(io("create", folder))?;
    }
    File::create(path).map_err(io("create", path))
}

fn move_if_there(from: &Path, to: &Path) -> Result<(), ReportError> {
    match fs::rename(from, to) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(source) => Err(ReportError::Io { doing: "move", path: from.to_path_buf(), source }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_replaces_a_run_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let place = dir.path().join("out");
        for generation in ["one", "two"] {
            let out = OutputDir::create(&place).unwrap();
            out.write(&format!("tables/t/{generation}.parquet"), b"x").unwrap();
            out.write(MANIFEST, generation.as_bytes()).unwrap();
            assert_eq!(out.files().unwrap().len(), 2);
            out.publish().unwrap();
            let tables: Vec<_> = fs::read_dir(place.join("tables/t")).unwrap().collect();
            assert_eq!(tables.len(), 1, "{generation}");
            assert_eq!(fs::read(place.join(MANIFEST)).unwrap(), generation.as_bytes());
            assert!(!place.join(".staging").exists() && !place.join(".old").exists());
        }
        let foreign = dir.path().join("foreign");
        fs::create_dir_all(&foreign).unwrap();
        fs::write(foreign.join("thesis.doc"), b"x").unwrap();
        assert!(matches!(OutputDir::create(&foreign), Err(ReportError::ForeignFolder { .. })));
        let file = dir.path().join("file");
        fs::write(&file, b"x").unwrap();
        assert!(matches!(OutputDir::create(&file), Err(ReportError::Io { .. })));
    }
}
