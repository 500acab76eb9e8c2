//! The column reference and the DDL, generated from the declarations.

use std::fmt;

use arrow::datatypes::DataType;

use super::rows::ALL;

/// Markdown: every table, its keys and its columns.
#[must_use]
pub fn markdown() -> String {
    Reference.to_string()
}

struct Reference;

impl fmt::Display for Reference {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(
        "# Tables and columns\n\nGenerated from the declarations in `src/table/rows`. Timestamps are UTC with \
         microseconds; lists and maps are sorted; reports read these tables and nothing else.\n",
    )?;
        for table in ALL {
            let keys = |keys: &[&str]| keys.join(", ");
            write!(out, "\n## {}\n\nOne row is {}.", table.name, table.one_row_is)?;
            if !table.primary_key.is_empty() {
                write!(out, " Key: {}.", keys(table.primary_key))?;
            }
            write!(
                out,
                " Order: {}.\n\n| column | type | meaning |\n|---|---|---|\n",
                keys(table.sort_key)
            )?;
            for column in table.columns {
                let null = if column.nullable { ", may be null" } else { "" };
                writeln!(
                    out,
                    "| {} | {}{null} | {} |",
                    column.name,
                    type_name(&(column.data_type)()),
                    column.doc.replace('|', "\\|")
                )?;
            }
        }
        Ok(())
    }
}

/// DDL for DuckDB: one view per table over the Parquet under a folder.
#[must_use]
pub fn schema_sql() -> String {
    let views = ALL.map(|table| {
        let name = table.name;
        format!("CREATE OR REPLACE VIEW {name} AS SELECT * FROM read_parquet('tables/{name}/*.parquet');\n")
    });
    let header = "-- Generated. Views over a run's tables for DuckDB; run from the output folder:\n--   duckdb -init tables/schema.sql\n";
    format!("{header}{}", views.concat())
}

/// A type in the words of the reference.
#[must_use]
pub fn type_name(data_type: &DataType) -> &'static str {
    match data_type {
        DataType::Utf8 => "text",
        DataType::Int64 | DataType::Int32 => "integer",
        DataType::Float64 => "float",
        DataType::Boolean => "boolean",
        DataType::Timestamp(..) => "timestamp",
        DataType::List(_) => "list of text",
        DataType::Map(..) => "map of text",
        _ => "other",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::{Description, schema};

    #[test]
    fn every_table_is_well_declared() {
        let mut names = std::collections::BTreeSet::new();
        for table in ALL {
            let Description { name, columns, primary_key, sort_key, .. } = table;
            assert!(names.insert(name), "{name} twice");
            let has = |key: &&str| columns.iter().any(|c| c.name == *key);
            assert!(primary_key.iter().all(has) && sort_key.iter().all(has), "{name}");
            assert!(!sort_key.is_empty(), "{name}");
            for column in columns {
                assert!(!column.doc.is_empty(), "{name}.{}", column.name);
                let of = (column.data_type)();
                assert!(!of.is_unsigned_integer(), "{name}.{}", column.name);
                assert_ne!(type_name(&of), "other", "{name}.{}", column.name);
                assert!(!column.name.starts_with("p_"), "{name}.{}", column.name);
            }
            assert_eq!(schema(&table).fields().len(), columns.len());
        }
    }
}
