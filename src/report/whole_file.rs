//! A file that is there as a whole or not at all.

use std::fs::{File, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// A temporary file is for its owner alone; this one is for whom the folder is for.
const READABLE: u32 = 0o644;

/// A file in the making, beside the one that it will replace.
#[derive(Debug)]
pub struct WholeFile {
    temporary: tempfile::NamedTempFile,
    path: PathBuf,
}

impl WholeFile {
    /// Starts one.
    ///
    /// # Errors
    /// When its folder cannot be written.
    pub fn create(path: &Path) -> io::Result<Self> {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let temporary = tempfile::Builder::new()
            .prefix(".overgrant-")
            .permissions(Permissions::from_mode(READABLE))
            .tempfile_in(folder.unwrap_or(Path::new(".")))?;
        Ok(WholeFile { temporary, path: path.to_path_buf() })
    }

    /// What to write into.
    pub fn file(&mut self) -> &mut File {
        self.temporary.as_file_mut()
    }

    /// Puts it in its place.
    ///
    /// # Errors
    /// When it cannot be moved there.
    pub fn finish(mut self) -> io::Result<()> {
        self.temporary.as_file_mut().flush()?;
        self.temporary.persist(&self.path).map(drop).map_err(|error| error.error)
    }
}
