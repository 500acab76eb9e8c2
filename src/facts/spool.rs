//! Values that wait on disk until it is their turn, in the order they came.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::FactsError;
use super::key::SortKey;
use super::merge::merge;
use super::sort::{Run, RunWriter, SpillDir};

/// Takes values.
pub struct Spool {
    writer: RunWriter,
    value: Vec<u8>,
}

/// Values that were taken.
#[derive(Debug)]
pub struct Spooled(Run);

impl Spool {
    /// An empty one.
    ///
    /// # Errors
    /// When its file cannot be created.
    pub fn new(spill: &SpillDir) -> Result<Self, FactsError> {
        Ok(Spool { writer: RunWriter::create(spill.next_file())?, value: Vec::new() })
    }

    /// Takes a value.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn push(&mut self, value: &impl Serialize) -> Result<(), FactsError> {
        self.value.clear();
        self.value = postcard::to_extend(value, std::mem::take(&mut self.value))?;
        self.writer.write(&SortKey::NONE, &self.value)
    }

    /// All that were taken.
    ///
    /// # Errors
    /// When the last of them cannot be written.
    pub fn finish(self) -> Result<Spooled, FactsError> {
        Ok(Spooled(self.writer.finish()?))
    }
}

impl Spooled {
    /// Hands them on, and gives their room back.
    ///
    /// # Errors
    /// When they cannot be read, or are of another type.
    pub fn each<T: DeserializeOwned>(
        self,
        spill: &SpillDir,
        mut each: impl FnMut(T),
    ) -> Result<(), FactsError> {
        merge(vec![self.0], spill, |_, value| {
            each(postcard::from_bytes(value)?);
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::disallowed_methods, reason = "the test looks at what is left on disk")]

    use super::*;

    #[test]
    fn values_come_out_as_they_came() {
        let folder = tempfile::tempdir().unwrap();
        let spill = SpillDir::new(folder.path().to_path_buf());
        for values in
            [vec![], vec!["b".to_owned()], vec!["b".to_owned(), String::new(), "a".to_owned()]]
        {
            let mut spool = Spool::new(&spill).unwrap();
            for value in &values {
                spool.push(value).unwrap();
            }
            let mut got: Vec<String> = Vec::new();
            spool.finish().unwrap().each(&spill, |value| got.push(value)).unwrap();
            assert_eq!(got, values);
        }
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
