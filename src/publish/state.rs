//! What a run leaves for the next one: which files, where, with which digests.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::ledger::lens::Lens;
use crate::model::digest;

/// Version of this file and of the layout.
pub const FORMAT: u32 = 1;

/// A file of the state.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct KeptFile {
    /// Below the run or the state: `facts/…`, `ledger/…`.
    pub path: String,
    /// The folder of the run or state that holds it, below the output.
    pub at: String,
    /// Size.
    pub bytes: u64,
    /// Hex digits.
    pub sha256: String,
}

impl KeptFile {
    /// A file that is in no place yet.
    #[must_use]
    pub fn of(path: String, bytes: &[u8]) -> Self {
        KeptFile {
            path,
            at: String::new(),
            bytes: u64::try_from(bytes.len()).unwrap_or(u64::MAX),
            sha256: digest::hex(&digest::of_bytes(bytes), 64),
        }
    }

    /// True when these are its bytes.
    #[must_use]
    pub fn is(&self, bytes: &[u8]) -> bool {
        u64::try_from(bytes.len()) == Ok(self.bytes)
            && digest::hex(&digest::of_bytes(bytes), 64) == self.sha256
    }
}

/// The state of an output.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct State {
    /// [`FORMAT`].
    pub format: u32,
    /// What was looked for, by digest.
    pub lenses: BTreeMap<String, Lens>,
    /// Facts and ledger, by path.
    pub files: Vec<KeptFile>,
}

impl State {
    /// JSON with a final newline.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        super::to_json(self)
    }

    /// Reads what `to_json` wrote; a format that is not known is said, and bytes that are none are as
    /// good as no state.
    #[must_use]
    pub fn from_json(bytes: &[u8]) -> Option<Result<Self, u32>> {
        #[derive(Deserialize)]
        struct Format {
            format: u32,
        }
        let Format { format } = serde_json::from_slice(bytes).ok()?;
        if format > FORMAT {
            return Some(Err(format));
        }
        serde_json::from_slice(bytes).ok().map(Ok)
    }

    /// Paths of the files below a folder that are in no place yet.
    #[must_use]
    pub fn fresh(&self, folder: &str) -> Vec<String> {
        let files = self.files.iter().filter(|file| file.at.is_empty());
        files.filter(|file| file.path.starts_with(folder)).map(|file| file.path.clone()).collect()
    }

    /// Says where these files are now.
    pub fn settle(&mut self, folder: &str, at: &str) {
        let files = self.files.iter_mut().filter(|file| file.at.is_empty());
        for file in files.filter(|file| file.path.starts_with(folder)) {
            at.clone_into(&mut file.at);
        }
    }

    /// 16 hex digits over the files: the name of the folder of a state.
    #[must_use]
    pub fn id(&self) -> String {
        let parts = self.files.iter().flat_map(|f| [f.path.as_bytes(), f.sha256.as_bytes()]);
        digest::hex(&digest::of_parts(parts), 16)
    }
}
