//! An external sort for encoded rows: what a table needs in another order than the facts have.
//!
//! Input: rows as bytes, each a key that compares like the table's order (made with [`Key`]) and
//! whatever follows it. Output: the same rows, ascending. What does not fit is spilled as sorted
//! runs, so memory does not grow with the table.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::FactsError;
use super::key::SortKey;
use super::merge::merge;
use super::sort::{Run, RunWriter, SpillDir};

/// Bytes of rows that are held before they are spilled.
pub const ROW_BUFFER: usize = 64 << 20;

/// Rows on their way into order.
#[derive(Debug)]
pub struct Ordered<'a> {
    spill: &'a SpillDir,
    max_bytes: usize,
    arena: Vec<u8>,
    /// Start and length.
    index: Vec<(usize, usize)>,
    runs: Vec<Run>,
    /// Room for one.
    row: Vec<u8>,
}

impl<'a> Ordered<'a> {
    /// Holds about `max_bytes` before it spills.
    #[must_use]
    pub fn new(spill: &'a SpillDir, max_bytes: usize) -> Self {
        let (arena, index, runs) = (Vec::new(), Vec::new(), Vec::new());
        Ordered { spill, max_bytes, arena, index, runs, row: Vec::new() }
    }

    /// Takes a row.
    ///
    /// # Errors
    /// When the buffer is full and cannot be spilled.
    pub fn push(&mut self, row: &[u8]) -> Result<(), FactsError> {
        self.index.push((self.arena.len(), row.len()));
        self.arena.extend_from_slice(row);
        let held = self.arena.len() + self.index.len() * size_of::<(usize, usize)>();
        if held > self.max_bytes { self.spill_run() } else { Ok(()) }
    }

    /// Takes a value to be handed on in the order of `key`, which [`Key`] wrote.
    ///
    /// # Errors
    /// As of [`Ordered::push`].
    pub fn put(&mut self, key: &[u8], value: &impl Serialize) -> Result<(), FactsError> {
        let mut row = std::mem::take(&mut self.row);
        row.clear();
        row.extend_from_slice(key);
        row = postcard::to_extend(value, row)?;
        let key_len = u64::try_from(key.len()).unwrap_or(u64::MAX);
        row.extend_from_slice(&key_len.to_be_bytes());
        let pushed = self.push(&row);
        self.row = row;
        pushed
    }

    /// Hands on all values that were [put](Ordered::put), in the order of their keys, and values of one
    /// key in that of their bytes.
    ///
    /// # Errors
    /// As of [`Ordered::drain`], and when they are of another type.
    pub fn values<T: DeserializeOwned, E: From<FactsError>>(
        self,
        mut each: impl FnMut(T) -> Result<(), E>,
    ) -> Result<(), E> {
        self.drain(|row| {
            let Some((row, key_len)) = row.split_last_chunk::<8>() else { return Ok(()) };
            let key_len = usize::try_from(u64::from_be_bytes(*key_len)).unwrap_or(usize::MAX);
            let value = row.get(key_len..).unwrap_or_default();
            each(postcard::from_bytes(value).map_err(FactsError::from)?)
        })
    }

    /// Hands on all rows, the smallest first.
    ///
    /// # Errors
    /// When a spill file cannot be written or read, or `each` fails.
    pub fn drain<E: From<FactsError>>(
        mut self,
        mut each: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        if self.runs.is_empty() {
            self.sort();
            for &(start, len) in &self.index {
                each(row(&self.arena, (start, len)))?;
            }
            return Ok(());
        }
        if !self.index.is_empty() {
            self.spill_run()?;
        }
        self.arena = Vec::new();
        self.index = Vec::new();
        let mut failed = None;
        let merged = merge(self.runs, self.spill, |_, body| {
            if failed.is_none() {
                failed = each(body).err();
            }
            Ok(())
        });
        match failed {
            Some(error) => Err(error),
            None => Ok(merged?),
        }
    }

    fn sort(&mut self) {
        let arena = &self.arena;
        self.index.sort_unstable_by(|a, b| row(arena, *a).cmp(row(arena, *b)));
    }

    fn spill_run(&mut self) -> Result<(), FactsError> {
        self.sort();
        let mut writer = RunWriter::create(self.spill.next_file())?;
        for at in &self.index {
            writer.write(&SortKey::NONE, row(&self.arena, *at))?;
        }
        self.runs.push(writer.finish()?);
        self.arena.clear();
        self.index.clear();
        Ok(())
    }
}

fn row(arena: &[u8], (start, len): (usize, usize)) -> &[u8] {
    arena.get(start..start + len).unwrap_or_default()
}

/// Writes values so that their bytes compare like them, one after the other.
#[derive(Debug)]
pub struct Key<'a>(pub &'a mut Vec<u8>);

impl Key<'_> {
    /// A text. It ends with two zeros, and a zero in it is marked, so that no text runs into the
    /// next value.
    pub fn text(&mut self, text: &str) -> &mut Self {
        for byte in text.bytes() {
            self.0.push(byte);
            if byte == 0 {
                self.0.push(0xff);
            }
        }
        self.0.extend_from_slice(&[0, 0]);
        self
    }

    /// A number.
    pub fn number(&mut self, number: i64) -> &mut Self {
        // Flipping the sign bit makes negative numbers sort before positive ones.
        let flipped = number.cast_unsigned() ^ (1 << 63);
        self.0.extend_from_slice(&flipped.to_be_bytes());
        self
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::disallowed_methods, reason = "the test looks at what is left on disk")]

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn any_buffer_gives_the_order_of_the_values(
            mut rows in prop::collection::vec(("[\0a\u{ff}]{0,3}", any::<i64>(), "[a\0]{0,2}"), 0..60),
            buffer in 1usize..2000,
        ) {
            let dir = tempfile::tempdir().unwrap();
            let spill = SpillDir::new(dir.path().to_path_buf());
            let mut ordered = Ordered::new(&spill, buffer);
            for row in &rows {
                let mut bytes = Vec::new();
                Key(&mut bytes).text(&row.0).number(row.1).text(&row.2);
                bytes.extend(postcard::to_stdvec(row).unwrap());
                ordered.push(&bytes).unwrap();
            }
            let mut keys = Vec::new();
            ordered.drain(|bytes| {
                keys.push(bytes.to_vec());
                Ok::<(), FactsError>(())
            }).unwrap();
            rows.sort();
            let wanted: Vec<Vec<u8>> = rows.iter().map(|row| {
                let mut bytes = Vec::new();
                Key(&mut bytes).text(&row.0).number(row.1).text(&row.2);
                bytes.extend(postcard::to_stdvec(row).unwrap());
                bytes
            }).collect();
            prop_assert_eq!(keys, wanted);
            prop_assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
        }
    }
}
