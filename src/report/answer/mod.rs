//! An answer of the engine for whoever asked: a table for people, CSV, JSON or Parquet for programs.
//!
//! Input: record batches as they come. Output: bytes into a writer. All but the table are written as
//! rows come, so that an answer of any length fits. Texts come from logs: in a table what would steer
//! a terminal is shown, and in CSV a text that a spreadsheet would run gets an apostrophe in front.

pub(super) mod cell;

use std::io::{self, Write};

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use comfy_table::{Cell, CellAlignment, ContentArrangement, Table, TableComponent, presets};
use serde_json::Value;

use super::terminal::printable;

/// Narrower columns cannot be read: then each row gets lines of its own.
const NARROW: usize = 9;

/// How it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Columns for people.
    Table {
        /// Columns of the terminal; `None` where there is none, and lines may be of any length.
        width: Option<u16>,
        /// Rows that are shown; the others are counted.
        most: usize,
    },
    /// RFC 4180, with a header.
    Csv,
    /// An array of objects, one to a line.
    Json,
}

/// Writes an answer.
pub struct Writer<W: Write> {
    out: W,
    schema: SchemaRef,
    format: Format,
    rows: u64,
    held: Vec<Vec<String>>,
}

impl<W: Write> Writer<W> {
    /// Starts one.
    ///
    /// # Errors
    /// When `out` refuses.
    pub fn new(out: W, schema: SchemaRef, format: Format) -> io::Result<Self> {
        let mut writer = Writer { out, schema, format, rows: 0, held: Vec::new() };
        match format {
            Format::Csv => {
                let names = writer.schema.fields().iter().map(|field| harmless(field.name()));
                let line = csv_line(names)?;
                writer.out.write_all(&line)?;
            }
            Format::Json => writer.out.write_all(b"[")?,
            Format::Table { .. } => {}
        }
        Ok(writer)
    }

    /// Adds rows.
    ///
    /// # Errors
    /// When `out` refuses.
    pub fn write(&mut self, batch: &RecordBatch) -> io::Result<()> {
        for row in 0..batch.num_rows() {
            let cells = batch.columns().iter().map(|column| cell::json(column.as_ref(), row));
            match self.format {
                Format::Table { most, .. } => {
                    if self.held.len() < most {
                        self.held.push(cells.map(|cell| printable(&cell::words(&cell))).collect());
                    }
                }
                Format::Csv => {
                    let texts = cells.map(|cell| match &cell {
                        Value::Number(_) => cell::words(&cell),
                        _ => harmless(&cell::words(&cell)),
                    });
                    let line = csv_line(texts)?;
                    self.out.write_all(&line)?;
                }
                Format::Json => {
                    let fields = self.schema.fields().iter().zip(cells);
                    let fields: Vec<String> = fields
                        .map(|(field, cell)| {
                            format!("{}:{cell}", Value::from(field.name().as_str()))
                        })
                        .collect();
                    let comma = if self.rows == 0 { "" } else { "," };
                    write!(self.out, "{comma}\n{{{}}}", fields.join(","))?;
                }
            }
            self.rows += 1;
        }
        Ok(())
    }

    /// Ends it; the rows that were written and those that were not shown.
    ///
    /// # Errors
    /// When `out` refuses.
    pub fn finish(mut self) -> io::Result<(u64, u64)> {
        let mut unshown = 0;
        match self.format {
            Format::Table { width, .. } => {
                let text = self.table(width);
                self.out.write_all(text.as_bytes())?;
                unshown = self.rows - u64::try_from(self.held.len()).unwrap_or(self.rows);
            }
            Format::Csv => {}
            Format::Json => self.out.write_all(if self.rows == 0 { b"]\n" } else { b"\n]\n" })?,
        }
        self.out.flush()?;
        Ok((self.rows, unshown))
    }

    fn table(&self, width: Option<u16>) -> String {
        let names: Vec<String> =
            self.schema.fields().iter().map(|field| printable(field.name())).collect();
        if width.is_some_and(|width| names.len() * NARROW > usize::from(width)) {
            return self.records(&names);
        }
        let mut table = Table::new();
        table.load_preset(presets::NOTHING);
        table.set_style(TableComponent::HeaderLines, '─');
        table.set_style(TableComponent::MiddleHeaderIntersections, '─');
        if let Some(width) = width {
            table.set_width(width).set_content_arrangement(ContentArrangement::Dynamic);
        }
        table.set_header(names.iter().map(Cell::new));
        for row in &self.held {
            table.add_row(row.iter().zip(self.schema.fields()).map(|(text, field)| {
                let cell = Cell::new(text);
                if cell::is_number(field.data_type()) {
                    cell.set_alignment(CellAlignment::Right)
                } else {
                    cell
                }
            }));
        }
        let lines: Vec<String> = table.lines().map(|line| line.trim_end().to_owned()).collect();
        lines.join("\n") + "\n"
    }

    /// A line per cell.
    fn records(&self, names: &[String]) -> String {
        let wide = names.iter().map(|name| name.chars().count()).max().unwrap_or(0);
        let mut text = String::new();
        for (n, row) in self.held.iter().enumerate() {
            text.push_str(&format!("row {}\n", n + 1));
            for (name, cell) in names.iter().zip(row).filter(|(_, cell)| !cell.is_empty()) {
                text.push_str(&format!("  {name:<wide$}  {cell}\n"));
            }
        }
        text
    }
}

/// Text that no spreadsheet takes for a formula and that steers no terminal; line breaks stay.
pub(super) fn harmless(text: &str) -> String {
    let text = &text.split('\n').map(printable).collect::<Vec<_>>().join("\n");
    if text.starts_with(['=', '+', '-', '@', '\t', '\r']) {
        format!("'{text}")
    } else {
        text.to_owned()
    }
}

/// A line of CSV, with its end.
pub(super) fn csv_line(texts: impl Iterator<Item = String>) -> io::Result<Vec<u8>> {
    let mut line = csv::WriterBuilder::new().from_writer(Vec::new());
    line.write_record(texts)?;
    line.into_inner().map_err(csv::IntoInnerError::into_error)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, Float64Array, Int64Array, StringArray};

    use super::*;
    use crate::model::time::Micros;
    use crate::table::Column;

    fn batch() -> RecordBatch {
        let text: ArrayRef =
            Arc::new(StringArray::from(vec![Some("pay \"x\",\ny"), None, Some("=1+1\u{1b}[2J")]));
        let lists = [vec!["a".to_owned(), "b".to_owned()], vec![], vec!["*".to_owned()]];
        let maps = [vec![("team".to_owned(), "pay".to_owned())], vec![], vec![]];
        let at = [Micros(0), Micros(1_500_000), Micros(-1_000_000)];
        RecordBatch::try_from_iter([
            ("text", text),
            ("n", Arc::new(Int64Array::from(vec![1, -20, 300])) as ArrayRef),
            ("share", Arc::new(Float64Array::from(vec![0.5, 1.0, f64::NAN]))),
            ("at", Micros::array(at.iter())),
            ("list", Vec::<String>::array(lists.iter())),
            ("tags", Vec::<(String, String)>::array(maps.iter())),
        ])
        .unwrap()
    }

    fn written(format: Format) -> String {
        let batch = batch();
        let mut out = Vec::new();
        let mut writer = Writer::new(&mut out, batch.schema(), format).unwrap();
        writer.write(&batch).unwrap();
        writer.finish().unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn for_programs() {
        insta::assert_snapshot!(written(Format::Csv));
        insta::assert_snapshot!(written(Format::Json));
        let read: Value = serde_json::from_str(&written(Format::Json)).unwrap();
        assert_eq!(read[2]["text"], "=1+1\u{1b}[2J");
    }

    #[test]
    fn for_people() {
        insta::assert_snapshot!(written(Format::Table { width: None, most: 100 }));
        insta::assert_snapshot!(written(Format::Table { width: Some(60), most: 2 }));
        insta::assert_snapshot!(written(Format::Table { width: Some(40), most: 1 }));
        assert!(!written(Format::Table { width: None, most: 100 }).contains('\u{1b}'));
    }

    #[test]
    fn no_rows() {
        let none = |format| {
            let mut out = Vec::new();
            let writer = Writer::new(&mut out, batch().schema(), format).unwrap();
            writer.finish().unwrap();
            String::from_utf8(out).unwrap()
        };
        assert_eq!(none(Format::Json), "[]\n");
        assert_eq!(none(Format::Csv), "text,n,share,at,list,tags\n");
    }
}
