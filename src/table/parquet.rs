//! Rows to Parquet bytes and back; the one place that knows writer properties.
//!
//! The bytes depend on the rows alone: fixed properties, no clock, a fixed `created_by`. Where the
//! bytes go is the caller's. zstd level 1 costs less than the dictionary pages it shrinks, but for small
//! files: every page of a column would make its tables anew, which takes longer than all the rest.
//!
//! Batches and row groups end by bytes as well as by rows, and are read one row group at a time:
//! texts of logs may be a megabyte each, and neither side may hold thousands of them.

use std::borrow::Borrow;
use std::io::Write;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::compute::BatchCoalescer;
use arrow::datatypes::SchemaRef;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader,
    ParquetRecordBatchReaderBuilder,
};
use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::file::reader::{ChunkReader, Length};
use parquet::schema::types::ColumnPath;

use super::{Row, TableError, schema};

const ROWS_PER_GROUP: usize = 128 * 1024;
const ROWS_PER_BATCH: usize = 8 * 1024;
/// Of rows that come one by one: some are encoded while more are gathered.
const ROWS_PER_PUSH: usize = 2 * 1024;
/// Bytes of the rows of a row group, as they are in memory.
const BYTES_PER_GROUP: usize = 64 << 20;
const BYTES_PER_BATCH: usize = 16 << 20;

/// What can go wrong between rows and bytes.
#[derive(Debug, thiserror::Error)]
pub enum CodecError {
    /// The writer or reader of Parquet refused.
    #[error("Parquet refused")]
    Parquet(#[from] ParquetError),
    /// A batch did not build or read.
    #[error("Arrow refused")]
    Arrow(#[from] arrow::error::ArrowError),
    /// The columns are others.
    #[error(transparent)]
    Table(#[from] TableError),
}

/// Rows and their bytes in memory up to which a file is small.
const SMALL: (usize, usize) = (1024, 512 << 10);

/// Of which columns the smallest and largest values are kept, for readers to pass over what they do not
/// need.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Statistics {
    /// Of all.
    OfAll,
    /// Of times and numbers. Comparing texts takes a tenth of what writing takes, for nothing where rows
    /// are in the order of time.
    OfNumbers,
}

fn properties(schema: &SchemaRef, is_small: bool, statistics: Statistics) -> WriterProperties {
    let level = ZstdLevel::try_new(1).unwrap_or_default();
    let mut builder = WriterProperties::builder()
        .set_compression(if is_small {
            Compression::UNCOMPRESSED
        } else {
            Compression::ZSTD(level)
        })
        // Whoever makes the batches ends the groups: it knows the bytes of the rows.
        .set_max_row_group_row_count(None)
        .set_created_by("overgrant".to_owned());
    if statistics == Statistics::OfNumbers {
        builder = builder.set_statistics_enabled(EnabledStatistics::None);
        for field in schema.fields().iter().filter(|field| field.data_type().is_primitive()) {
            let column = ColumnPath::from(field.name().as_str());
            builder = builder.set_column_statistics_enabled(column, EnabledStatistics::Page);
        }
    }
    builder.build()
}

/// Rows of one table that are gathered to batches.
pub struct Rows<R: Row> {
    columns: R::Columns,
    /// Rows in the columns, and their bytes as rows.
    held: (usize, usize),
}

impl<R: Row> Default for Rows<R> {
    fn default() -> Self {
        Rows { columns: R::Columns::default(), held: (0, 0) }
    }
}

/// Rows as columns.
#[derive(Debug)]
pub struct Batch {
    columns: RecordBatch,
    /// Bytes of the rows.
    bytes: usize,
}

impl<R: Row> Rows<R> {
    /// Adds a row; rows must come in order of the table's sort key. Gives back a batch once there are
    /// enough.
    ///
    /// # Errors
    /// As of [`Row::finish`].
    pub fn push(&mut self, row: &R) -> Result<Option<Batch>, CodecError> {
        row.append(&mut self.columns);
        let (rows, bytes) = self.held;
        self.held = (rows + 1, bytes + row.weight());
        let is_full = self.held.0 >= ROWS_PER_PUSH || self.held.1 >= BYTES_PER_BATCH;
        if is_full { self.take() } else { Ok(None) }
    }

    /// What is left; `None` where nothing is.
    ///
    /// # Errors
    /// As of [`Row::finish`].
    pub fn take(&mut self) -> Result<Option<Batch>, CodecError> {
        let (rows, bytes) = std::mem::take(&mut self.held);
        if rows == 0 {
            return Ok(None);
        }
        Ok(Some(Batch { columns: R::finish(&mut self.columns)?, bytes }))
    }
}

/// Where the rows of a file go.
enum Out<W: Write + Send> {
    /// Whether the file is small is not yet known.
    Waiting(W),
    Begun(Box<ArrowWriter<W>>),
    /// An error was given back.
    Failed,
}

/// Batches of rows to the bytes of one file.
pub struct Encoder<W: Write + Send> {
    out: Out<W>,
    schema: SchemaRef,
    statistics: Statistics,
    /// Rows and bytes of the row group in the making.
    group: (usize, usize),
}

impl<W: Write + Send> Encoder<W> {
    /// Starts a file.
    pub fn new(out: W, schema: SchemaRef, statistics: Statistics) -> Self {
        Encoder { out: Out::Waiting(out), schema, statistics, group: (0, 0) }
    }

    /// Adds rows.
    ///
    /// # Errors
    /// When `out` refuses or the batch has other columns.
    pub fn write(&mut self, batch: &Batch) -> Result<(), CodecError> {
        let is_small = batch.columns.num_rows() <= SMALL.0 && batch.bytes <= SMALL.1;
        let bytes = self.group.1 + batch.bytes;
        self.add(&batch.columns, is_small, |_| bytes)
    }

    /// Adds rows to the row group, whose bytes are `held` then, and ends it where it is large enough.
    fn add(
        &mut self,
        columns: &RecordBatch,
        is_small: bool,
        held: impl FnOnce(&ArrowWriter<W>) -> usize,
    ) -> Result<(), CodecError> {
        let mut writer = self.begin(is_small)?;
        writer.write(columns)?;
        self.group = (self.group.0 + columns.num_rows(), held(&writer));
        if self.group.0 >= ROWS_PER_GROUP || self.group.1 >= BYTES_PER_GROUP {
            self.group = (0, 0);
            writer.flush()?;
        }
        self.out = Out::Begun(writer);
        Ok(())
    }

    /// The writer of the file; `is_small` decides how one is written that has not begun.
    fn begin(&mut self, is_small: bool) -> Result<Box<ArrowWriter<W>>, CodecError> {
        match std::mem::replace(&mut self.out, Out::Failed) {
            Out::Begun(writer) => Ok(writer),
            Out::Waiting(out) => {
                let properties = properties(&self.schema, is_small, self.statistics);
                let schema = Arc::clone(&self.schema);
                Ok(Box::new(ArrowWriter::try_new(out, schema, Some(properties))?))
            }
            Out::Failed => Err(ParquetError::General("an earlier batch failed".to_owned()).into()),
        }
    }

    /// Ends the file; returns what it was written into.
    ///
    /// # Errors
    /// When `out` refuses.
    pub fn finish(mut self) -> Result<W, CodecError> {
        Ok(self.begin(true)?.into_inner()?)
    }
}

/// Writes rows of one table, batch by batch.
pub struct RowWriter<R: Row, W: Write + Send> {
    rows: Rows<R>,
    encoder: Encoder<W>,
    written: u64,
}

impl<R: Row, W: Write + Send> RowWriter<R, W> {
    /// Starts a file.
    pub fn new(out: W) -> Self {
        let encoder = Encoder::new(out, schema(&R::TABLE), Statistics::OfAll);
        RowWriter { rows: Rows::default(), encoder, written: 0 }
    }

    /// Adds a row; rows must come in order of the table's sort key.
    ///
    /// # Errors
    /// When `out` refuses.
    pub fn push(&mut self, row: impl Borrow<R>) -> Result<(), CodecError> {
        self.written += 1;
        match self.rows.push(row.borrow())? {
            Some(batch) => self.encoder.write(&batch),
            None => Ok(()),
        }
    }

    /// Ends the file; returns what it was written into and the number of rows.
    ///
    /// # Errors
    /// When `out` refuses.
    pub fn finish(mut self) -> Result<(W, u64), CodecError> {
        if let Some(batch) = self.rows.take()? {
            self.encoder.write(&batch)?;
        }
        Ok((self.encoder.finish()?, self.written))
    }
}

/// Writes batches of one schema as they come, however many. They are cut anew, so that the bytes do not
/// depend on where whoever made them cut them.
pub struct BatchWriter<W: Write + Send> {
    encoder: Encoder<W>,
    batches: BatchCoalescer,
    rows: usize,
}

impl<W: Write + Send> BatchWriter<W> {
    /// Starts a file.
    #[must_use]
    pub fn new(out: W, schema: SchemaRef) -> Self {
        let batches = BatchCoalescer::new(Arc::clone(&schema), ROWS_PER_BATCH);
        BatchWriter { encoder: Encoder::new(out, schema, Statistics::OfAll), batches, rows: 0 }
    }

    /// Adds rows.
    ///
    /// # Errors
    /// When `out` refuses or the batch has other columns.
    pub fn write(&mut self, batch: RecordBatch) -> Result<(), CodecError> {
        self.rows += batch.num_rows();
        self.batches.push_batch(batch.with_schema(Arc::clone(&self.encoder.schema))?)?;
        self.write_full()
    }

    fn write_full(&mut self) -> Result<(), CodecError> {
        while let Some(batch) = self.batches.next_completed_batch() {
            self.encoder.add(&batch, self.rows <= SMALL.0, ArrowWriter::in_progress_size)?;
        }
        Ok(())
    }

    /// Ends the file; returns what it was written into and how many rows it has.
    ///
    /// # Errors
    /// When `out` refuses.
    pub fn finish(mut self) -> Result<(W, u64), CodecError> {
        self.batches.finish_buffered_batch()?;
        self.write_full()?;
        let rows = u64::try_from(self.rows).unwrap_or(u64::MAX);
        Ok((self.encoder.finish()?, rows))
    }
}

/// Reads all rows of a file, batch by batch, into `each`.
///
/// # Errors
/// When the bytes are no such table, or `each` fails.
pub fn read_rows<R: Row, E: From<CodecError>>(
    input: impl ChunkReader + 'static,
    mut each: impl FnMut(R) -> Result<(), E>,
) -> Result<(), E> {
    let mut reader = RowReader::open(input, ROWS_PER_BATCH)?;
    while let Some(row) = reader.next_row()? {
        each(row)?;
    }
    Ok(())
}

/// The rows of a file, one by one.
pub struct RowReader<R: Row, T: ChunkReader> {
    input: Arc<T>,
    metadata: ArrowReaderMetadata,
    rows_per_batch: usize,
    /// Row groups that are begun.
    groups: usize,
    group: Option<ParquetRecordBatchReader>,
    batch: std::vec::IntoIter<R>,
}

impl<R: Row, T: ChunkReader + 'static> RowReader<R, T> {
    /// Opens a file; at most `rows_per_batch` of its rows are held at once.
    ///
    /// # Errors
    /// When the bytes are no Parquet.
    pub fn open(input: T, rows_per_batch: usize) -> Result<Self, CodecError> {
        let metadata = ArrowReaderMetadata::load(&input, ArrowReaderOptions::new())?;
        let (input, batch) = (Arc::new(input), Vec::new().into_iter());
        Ok(RowReader { input, metadata, rows_per_batch, groups: 0, group: None, batch })
    }

    /// The next row; `None` after the last.
    ///
    /// # Errors
    /// When the bytes are no such table.
    pub fn next_row(&mut self) -> Result<Option<R>, CodecError> {
        loop {
            if let Some(row) = self.batch.next() {
                return Ok(Some(row));
            }
            match self.group.as_mut().and_then(Iterator::next) {
                Some(batch) => self.batch = R::from_batch(&batch?)?.into_iter(),
                None if self.groups < self.metadata.metadata().num_row_groups() => {
                    let shared = Shared(Arc::clone(&self.input));
                    let metadata = self.metadata.clone();
                    let reader =
                        ParquetRecordBatchReaderBuilder::new_with_metadata(shared, metadata)
                            .with_row_groups(vec![self.groups])
                            .with_batch_size(self.rows_per_batch)
                            .build()?;
                    self.group = Some(reader);
                    self.groups += 1;
                }
                None => return Ok(None),
            }
        }
    }
}

/// All rows of a file that is small.
///
/// # Errors
/// When the bytes are no such table.
pub fn rows_of<R: Row>(bytes: Vec<u8>) -> Result<Vec<R>, CodecError> {
    let mut rows = Vec::new();
    read_rows(bytes::Bytes::from(bytes), |row: R| {
        rows.push(row);
        Ok::<(), CodecError>(())
    })?;
    Ok(rows)
}

/// One input for the readers of all row groups.
struct Shared<T>(Arc<T>);

impl<T: Length> Length for Shared<T> {
    fn len(&self) -> u64 {
        self.0.len()
    }
}

impl<T: ChunkReader> ChunkReader for Shared<T> {
    type T = T::T;

    fn get_read(&self, start: u64) -> Result<Self::T, ParquetError> {
        self.0.get_read(start)
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<bytes::Bytes, ParquetError> {
        self.0.get_bytes(start, length)
    }
}

/// A schema without the metadata that a query engine may have added or lost.
#[must_use]
pub fn plain_schema(schema: &SchemaRef) -> SchemaRef {
    Arc::new(arrow::datatypes::Schema::new(schema.fields().clone()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::time::Micros;
    use crate::table::rows::sessions::SessionRow;

    #[test]
    fn rows_survive_and_bytes_repeat() {
        let rows = vec![
            SessionRow {
                session_id: "a".to_owned(),
                issued_at: Micros(-1),
                expires_at: None,
                tags: vec![("k".to_owned(), "v".to_owned()), ("l".to_owned(), String::new())],
                transitive_keys: vec!["k".to_owned()],
                ..SessionRow::default()
            },
            SessionRow {
                expires_at: Some(Micros(7)),
                source_identity: Some("x".to_owned()),
                ..SessionRow::default()
            },
        ];
        let write = || {
            let mut writer = RowWriter::new(Vec::new());
            for row in &rows {
                writer.push(row.clone()).unwrap();
            }
            writer.finish().unwrap().0
        };
        let bytes = write();
        assert_eq!(bytes, write());
        let mut back = Vec::new();
        read_rows::<SessionRow, CodecError>(bytes::Bytes::from(bytes), |row| {
            back.push(row);
            Ok(())
        })
        .unwrap();
        assert_eq!(back, rows);
    }

    #[test]
    fn batches_give_the_same_bytes_however_they_are_cut() {
        let row = |n: i64| SessionRow { session_id: format!("{n:04}"), ..SessionRow::default() };
        for rows in [0, 1, 1024, 1025, 20_000] {
            let all: Vec<SessionRow> = (0..rows).map(row).collect();
            let bytes = |cut: usize| {
                let mut writer = BatchWriter::new(Vec::new(), schema(&SessionRow::TABLE));
                for some in all.chunks(cut) {
                    writer.write(SessionRow::to_batch(some).unwrap()).unwrap();
                }
                let (bytes, written) = writer.finish().unwrap();
                assert_eq!(written, u64::try_from(rows).unwrap());
                bytes
            };
            let whole = bytes(usize::MAX);
            assert!([1, 1000, 8192].into_iter().all(|cut| bytes(cut) == whole), "{rows}");
            assert_eq!(rows_of::<SessionRow>(whole).unwrap(), all);
        }
    }

    #[test]
    fn a_column_that_came_later_is_null_in_older_files() {
        use crate::table::rows::verdicts::VerdictHistoryRow;
        let row = VerdictHistoryRow {
            grant_id: "a".to_owned(),
            verdict: "unused".to_owned(),
            finding: Some(true),
            ..VerdictHistoryRow::default()
        };
        let batch = VerdictHistoryRow::to_batch(std::slice::from_ref(&row)).unwrap();
        let without = |column: &str| {
            let mut older = batch.clone();
            older.remove_column(batch.schema().index_of(column).unwrap());
            VerdictHistoryRow::from_batch(&older)
        };
        assert_eq!(without("finding").unwrap(), [VerdictHistoryRow { finding: None, ..row }]);
        let error = without("verdict").unwrap_err();
        assert_eq!(error.to_string(), "table verdict_history has no column verdict");
    }
}
