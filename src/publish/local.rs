//! An output folder: locked, staged, switched by one rename.
#![expect(clippy::disallowed_methods, reason = "publish replaces files and folders of the output")]

use std::collections::BTreeSet;
use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};

use super::{
    FOLDERS, Finished, GENERATIONS, HISTORY, KeptFile, LEDGER, MANIFEST, PAGE, PublishError, RUN,
    STATE_FILE, STATES, State, io, write_file,
};

/// Link to the run that readers see.
pub(super) const CURRENT: &str = ".current";
const STAGING: &str = ".staging";
const LOCK: &str = ".lock";

/// An output folder that this run holds.
#[derive(Debug)]
pub struct Folder {
    place: PathBuf,
    hold: Hold,
}

/// How an output folder is held.
#[derive(Debug)]
enum Hold {
    /// Against other runs: released when it is dropped, also by a crash.
    Locked(#[expect(dead_code, reason = "it is held, not read")] File),
    /// Not at all; what must be put somewhere goes to a temporary folder.
    Peek(tempfile::TempDir),
}

impl Folder {
    /// Opens the folder early, so that a place that cannot be written fails before the work, and holds
    /// it against other runs.
    ///
    /// # Errors
    /// When it cannot be made, holds something else, or another run is at work in it.
    pub fn open(place: &Path) -> Result<Self, PublishError> {
        fs::create_dir_all(place).map_err(io("create", place))?;
        refuse_foreign(place)?;
        let path = place.join(LOCK);
        let lock = File::create(&path).map_err(io("create", &path))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let place = place.display().to_string();
                return Err(PublishError::Busy { place, what: "another run is at work in it" });
            }
            Err(TryLockError::Error(source)) => return Err(io("lock", &path)(source)),
        }
        let folder = Folder { place: place.to_path_buf(), hold: Hold::Locked(lock) };
        folder.remove(STAGING)?;
        let staging = folder.staging();
        fs::create_dir_all(&staging).map_err(io("create", &staging))?;
        Ok(folder)
    }

    /// Looks at a folder without writing to it or holding it; it need not be there.
    ///
    /// # Errors
    /// When it holds something else, or there is no room for a temporary folder.
    pub fn peek(place: &Path) -> Result<Self, PublishError> {
        if place.try_exists().map_err(io("read", place))? {
            refuse_foreign(place)?;
        }
        let temporary = std::env::temp_dir();
        let scratch = tempfile::tempdir().map_err(io("create a folder in", &temporary))?;
        Ok(Folder { place: place.to_path_buf(), hold: Hold::Peek(scratch) })
    }

    /// Where files are written until they are put in place.
    #[must_use]
    pub fn staging(&self) -> PathBuf {
        match &self.hold {
            Hold::Locked(_) => self.place.join(STAGING),
            Hold::Peek(scratch) => scratch.path().to_path_buf(),
        }
    }

    /// What an earlier run left.
    ///
    /// # Errors
    /// When it cannot be read, or a later version wrote it.
    pub fn state(&self) -> Result<Option<State>, PublishError> {
        let path = self.place.join(STATE_FILE);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(io("read", &path)(source)),
        };
        let place = || self.place.display().to_string();
        State::from_json(&bytes)
            .transpose()
            .map_err(|found| PublishError::LaterVersion { place: place(), found })
    }

    /// Puts a file of the state below `to` as well. False when it is not there or has other bytes;
    /// those of a file that is only kept are not looked at.
    ///
    /// # Errors
    /// When it cannot be put.
    pub fn bring(&self, file: &KeptFile, to: &Path, verify: bool) -> Result<bool, PublishError> {
        let from = self.place.join(&file.at).join(&file.path);
        if verify {
            match fs::read(&from) {
                Ok(bytes) if file.is(&bytes) => {}
                _ => return Ok(false),
            }
        } else if !from.is_file() {
            return Ok(false);
        }
        let target = to.join(&file.path);
        if let Some(folder) = target.parent() {
            fs::create_dir_all(folder).map_err(io("create", folder))?;
        }
        // Facts are never written to again, so that two runs may share one file.
        if fs::hard_link(&from, &target).is_err() {
            fs::copy(&from, &target).map_err(io("write", &target))?;
        }
        Ok(true)
    }

    /// Puts a run in place, and then its state.
    ///
    /// # Errors
    /// When something cannot be moved; readers then see the earlier run or the new one, whole.
    pub fn publish(&self, finished: Finished<'_>, state: &mut State) -> Result<(), PublishError> {
        let before = fs::read_link(self.place.join(CURRENT)).ok();
        let generation = self.move_in(finished.run, GENERATIONS, finished.generation)?;
        self.link(CURRENT, &generation)?;
        for name in FOLDERS.into_iter().chain([MANIFEST, PAGE]) {
            self.link(name, &format!("{CURRENT}/{name}"))?;
        }
        self.put(RUN, finished.run_json)?;
        for (path, bytes) in finished.history {
            self.put(&format!("{HISTORY}/{path}"), bytes)?;
        }
        for file in state.files.iter_mut().filter(|file| file.path.starts_with("facts/")) {
            file.at.clone_from(&generation);
        }
        self.switch_state(finished.state, state, |file| file.path.starts_with("ledger/"))?;
        let mut keep: BTreeSet<String> = before
            .iter()
            .filter_map(|path| path.to_str().map(str::to_owned))
            .chain([generation])
            .collect();
        keep.extend(state.files.iter().map(|file| file.at.clone()));
        self.sweep(&keep)?;
        self.remove(STAGING)
    }

    /// Puts the state of an interrupted run in place; the report stays as it is.
    ///
    /// # Errors
    /// When something cannot be moved; the earlier state or the new one is whole.
    pub fn checkpoint(
        &self,
        run: &Path,
        folder: &Path,
        state: &mut State,
    ) -> Result<(), PublishError> {
        let facts = run.join("facts");
        fs::rename(&facts, folder.join("facts")).map_err(io("move", &facts))?;
        self.switch_state(folder, state, |_| true)?;
        self.remove(STAGING)
    }

    fn switch_state(
        &self,
        folder: &Path,
        state: &mut State,
        is_in: impl Fn(&KeptFile) -> bool,
    ) -> Result<(), PublishError> {
        let at = self.move_in(folder, STATES, &state.id())?;
        for file in state.files.iter_mut().filter(|file| is_in(file)) {
            file.at.clone_from(&at);
        }
        self.put(STATE_FILE, &state.to_json())?;
        self.link(LEDGER, &format!("{at}/{LEDGER}"))
    }

    /// Moves a finished folder to a place of its own, and says which. An equal one that is there stays:
    /// readers may be at it.
    fn move_in(&self, from: &Path, parent: &str, id: &str) -> Result<String, PublishError> {
        let names = std::iter::once(id.to_owned()).chain((1..).map(|n: u32| format!("{id}.{n}")));
        let mut free = names
            .map(|name| format!("{parent}/{name}"))
            .filter(|name| self.place.join(name).symlink_metadata().is_err());
        let name = free.next().unwrap_or_default();
        let to = self.place.join(&name);
        if let Some(folder) = to.parent() {
            fs::create_dir_all(folder).map_err(io("create", folder))?;
        }
        fs::rename(from, &to).map_err(io("move", from))?;
        Ok(name)
    }

    /// Makes `name` a link to `target`, in one step where it is one already.
    fn link(&self, name: &str, target: &str) -> Result<(), PublishError> {
        let path = self.place.join(name);
        if fs::read_link(&path).is_ok_and(|known| known == Path::new(target)) {
            return Ok(());
        }
        let fresh = self.place.join(format!(".new-{}", name.trim_start_matches('.')));
        if fresh.symlink_metadata().is_ok() {
            fs::remove_file(&fresh).map_err(io("remove", &fresh))?;
        }
        std::os::unix::fs::symlink(target, &fresh).map_err(io("link", &fresh))?;
        // A folder of an earlier layout cannot be renamed over.
        if path.symlink_metadata().is_ok_and(|about| about.is_dir()) {
            let aside = self.place.join(format!(".old-{name}"));
            if aside.exists() {
                fs::remove_dir_all(&aside).map_err(io("remove", &aside))?;
            }
            fs::rename(&path, &aside).map_err(io("move", &path))?;
            fs::rename(&fresh, &path).map_err(io("move", &fresh))?;
            return fs::remove_dir_all(&aside).map_err(io("remove", &aside));
        }
        fs::rename(&fresh, &path).map_err(io("move", &fresh))
    }

    /// Writes a file in one step.
    fn put(&self, name: &str, bytes: &[u8]) -> Result<(), PublishError> {
        let path = self.place.join(name);
        let folder = path.parent().unwrap_or(&self.place);
        fs::create_dir_all(folder).map_err(io("create", folder))?;
        let fresh = self.staging().join("put");
        write_file(&fresh, bytes)?;
        fs::rename(&fresh, &path).map_err(io("move", &fresh))
    }

    /// Removes runs and states that nothing names any more.
    fn sweep(&self, keep: &BTreeSet<String>) -> Result<(), PublishError> {
        for parent in [GENERATIONS, STATES] {
            let folder = self.place.join(parent);
            let Ok(entries) = fs::read_dir(&folder) else { continue };
            for entry in entries {
                let name = entry.map_err(io("read", &folder))?.file_name();
                let name = format!("{parent}/{}", name.to_string_lossy());
                if !keep.contains(&name) {
                    self.remove(&name)?;
                }
            }
        }
        Ok(())
    }

    fn remove(&self, name: &str) -> Result<(), PublishError> {
        let path = self.place.join(name);
        match fs::remove_dir_all(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(io("remove", &path)(error))
            }
            _ => Ok(()),
        }
    }
}

/// Refuses a folder that holds anything but a run, unless a run is there to be replaced.
fn refuse_foreign(place: &Path) -> Result<(), PublishError> {
    if place.join(MANIFEST).is_file() {
        return Ok(());
    }
    let ours = |name: &str| {
        name.starts_with('.')
            || FOLDERS.contains(&name)
            || [HISTORY, LEDGER, MANIFEST, PAGE, RUN].contains(&name)
    };
    for entry in fs::read_dir(place).map_err(io("read", place))? {
        let name = entry.map_err(io("read", place))?.file_name();
        let name = name.to_string_lossy();
        if !ours(&name) {
            let found = name.into_owned();
            return Err(PublishError::Foreign { path: place.to_path_buf(), found });
        }
    }
    Ok(())
}
