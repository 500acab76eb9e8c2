//! The public tables: one declaration per table gives its rows, its Arrow schema and its reference.
//!
//! A column is a documented field of a row struct; its Rust type decides the Arrow type and whether
//! it may be null. Input: rows, in order of the sort key. Output: record batches and the
//! descriptions from which the reference and the DDL are generated. No query engine and no file is
//! known here. Rules of the contract: UTC microseconds, signed integers only, account ids as text.

mod column;
pub mod facts;
pub mod ledger;
pub mod parquet;
pub mod reference;
pub mod rows;
pub mod scanned;

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};

pub use column::Column;

/// The version of all tables; a column that goes or changes its meaning raises it.
pub const SCHEMA_VERSION: &str = "1";

/// A table as the public sees it.
#[derive(Debug, Clone, Copy)]
pub struct Description {
    /// Its name, also the folder.
    pub name: &'static str,
    /// One row is …
    pub one_row_is: &'static str,
    /// Columns in order.
    pub columns: &'static [ColumnDescription],
    /// Columns that name a row.
    pub primary_key: &'static [&'static str],
    /// Columns by which rows are ordered.
    pub sort_key: &'static [&'static str],
}

/// A column as the public sees it.
#[derive(Debug, Clone, Copy)]
pub struct ColumnDescription {
    /// Its name.
    pub name: &'static str,
    /// Its meaning.
    pub doc: &'static str,
    /// Arrow type.
    pub data_type: fn() -> DataType,
    /// True when it may be null.
    pub nullable: bool,
}

/// A row of a table.
pub trait Row: Sized {
    /// The table.
    const TABLE: Description;

    /// Columns in the making.
    type Columns: Default;

    /// Adds the row to columns.
    fn append(&self, to: &mut Self::Columns);

    /// Ends the columns, which are empty then.
    ///
    /// # Errors
    /// When a column does not build; never for rows of this type.
    fn finish(columns: &mut Self::Columns) -> Result<RecordBatch, arrow::error::ArrowError>;

    /// Rows to columns.
    ///
    /// # Errors
    /// As of [`Row::finish`].
    fn to_batch(rows: &[Self]) -> Result<RecordBatch, arrow::error::ArrowError> {
        let mut columns = Self::Columns::default();
        for row in rows {
            row.append(&mut columns);
        }
        Self::finish(&mut columns)
    }

    /// Columns to rows.
    ///
    /// # Errors
    /// When a column that cannot be null is missing, or one has another type.
    fn from_batch(batch: &RecordBatch) -> Result<Vec<Self>, TableError>;

    /// Bytes of memory, texts included.
    fn weight(&self) -> usize;
}

/// A file that is not the table it should be.
#[derive(Debug, thiserror::Error)]
pub enum TableError {
    /// A column is missing.
    #[error("table {table} has no column {column}")]
    MissingColumn {
        /// The table.
        table: &'static str,
        /// The column.
        column: &'static str,
    },
    /// A column has another type, or nulls where none may be.
    #[error("column {column} of table {table} has another type")]
    WrongType {
        /// The table.
        table: &'static str,
        /// The column.
        column: &'static str,
    },
}

/// The Arrow schema of a table, with its name and version as metadata.
#[must_use]
pub fn schema(table: &Description) -> SchemaRef {
    let fields: Vec<Field> = table
        .columns
        .iter()
        .map(|column| Field::new(column.name, (column.data_type)(), column.nullable))
        .collect();
    let metadata = [
        ("overgrant.schema_version".to_owned(), SCHEMA_VERSION.to_owned()),
        ("overgrant.table".to_owned(), table.name.to_owned()),
    ];
    Arc::new(Schema::new_with_metadata(fields, metadata.into_iter().collect()))
}

/// A column by name, for the generated readers. One that may be null may be missing: the file was
/// written before there was such a column.
pub(crate) fn column_of<C: Column>(
    batch: &RecordBatch,
    table: &'static str,
    column: &'static str,
) -> Result<ArrayRef, TableError> {
    match batch.column_by_name(column) {
        Some(found) => Ok(Arc::clone(found)),
        None if C::NULLABLE => Ok(arrow::array::new_null_array(&C::data_type(), batch.num_rows())),
        None => Err(TableError::MissingColumn { table, column }),
    }
}

/// Declares a table. Shape:
/// `table! { name "one row is" (primary key) (sort key) struct Row { "meaning" column: Type, … } }`.
macro_rules! table {
    (
        $name:literal, $one_row_is:literal,
        key ($($key:ident),*), sort ($($sort:ident),*),
        $(#[$meta:meta])* $row:ident { $($doc:literal $column:ident: $ty:ty,)* }
    ) => {
        $(#[$meta])*
        #[doc = concat!("One row of `", $name, "`: ", $one_row_is, ".")]
        #[derive(Debug, Clone, PartialEq, Default)]
        pub struct $row {
            $(#[doc = $doc] pub $column: $ty,)*
        }

        const _: () = {
        /// Columns in the making.
        #[derive(Default)]
        pub struct Columns {
            $($column: <$ty as $crate::table::Column>::Builder,)*
        }

        impl $crate::table::Row for $row {
            const TABLE: $crate::table::Description = $crate::table::Description {
                name: $name,
                one_row_is: $one_row_is,
                columns: &[
                    $($crate::table::ColumnDescription {
                        name: stringify!($column),
                        doc: $doc,
                        data_type: <$ty as $crate::table::Column>::data_type,
                        nullable: <$ty as $crate::table::Column>::NULLABLE,
                    },)*
                ],
                primary_key: &[$(stringify!($key)),*],
                sort_key: &[$(stringify!($sort)),*],
            };

            type Columns = Columns;

            fn append(&self, to: &mut Columns) {
                $($crate::table::Column::append(&self.$column, &mut to.$column);)*
            }

            fn finish(
                columns: &mut Columns,
            ) -> Result<arrow::array::RecordBatch, arrow::error::ArrowError> {
                let columns: Vec<arrow::array::ArrayRef> = vec![
                    $(<$ty as $crate::table::Column>::finish(&mut columns.$column),)*
                ];
                arrow::array::RecordBatch::try_new($crate::table::schema(&Self::TABLE), columns)
            }

            fn weight(&self) -> usize {
                size_of::<Self>() $(+ $crate::table::Column::held(&self.$column))*
            }

            fn from_batch(
                batch: &arrow::array::RecordBatch,
            ) -> Result<Vec<Self>, $crate::table::TableError> {
                $(
                    let $column = <$ty as $crate::table::Column>::values(
                        &$crate::table::column_of::<$ty>(batch, $name, stringify!($column))?,
                    )
                    .ok_or($crate::table::TableError::WrongType {
                        table: $name,
                        column: stringify!($column),
                    })?;
                )*
                $(let mut $column = $column.into_iter();)*
                let mut rows = Vec::with_capacity(batch.num_rows());
                for _ in 0..batch.num_rows() {
                    rows.push($row { $($column: $column.next().unwrap_or_default(),)* });
                }
                Ok(rows)
            }
        }
        };
    };
}
pub(crate) use table;
