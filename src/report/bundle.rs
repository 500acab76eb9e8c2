//! Puts a bundle of remedies into a folder of its own, as a whole.
#![expect(clippy::disallowed_methods, reason = "report writes and replaces files")]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use super::{ReportError, io};

/// Says that the folder is ours to replace.
const MARK: &str = ".overgrant-bundle";

/// Writes the files; scripts can be run. An earlier bundle there is replaced.
///
/// # Errors
/// When the folder cannot be written, or holds anything that is no bundle.
pub fn write(place: &Path, files: &BTreeMap<String, Vec<u8>>) -> Result<(), ReportError> {
    if place.exists() {
        let empty = fs::read_dir(place).map_err(io("read", place))?.next().is_none();
        if !empty && !place.join(MARK).exists() {
            return Err(ReportError::ForeignFolder { path: place.to_path_buf() });
        }
        fs::remove_dir_all(place).map_err(io("replace", place))?;
    }
    fs::create_dir_all(place).map_err(io("create", place))?;
    let mark = place.join(MARK);
    fs::write(&mark, b"").map_err(io("write", &mark))?;
    for (name, bytes) in files {
        let path = place.join(name);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(io("create", folder))?;
        }
        fs::write(&path, bytes).map_err(io("write", &path))?;
        #[cfg(unix)]
        if path.extension().is_some_and(|extension| extension == "sh") {
            use std::os::unix::fs::PermissionsExt;
            let mode = fs::Permissions::from_mode(0o755);
            fs::set_permissions(&path, mode).map_err(io("write", &path))?;
        }
    }
    Ok(())
}
