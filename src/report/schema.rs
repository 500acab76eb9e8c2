//! The columns of tables, for `overgrant schema`: to read, for Spark, for programs.

use serde_json::json;

use crate::table::facts::{
    AccessFactRow, CallFactRow, ChangeFactRow, LoginFactRow, SessionFactRow,
};
use crate::table::ledger::{DayRow, LedgerRow};
use crate::table::reference::{hive_type, type_name};
use crate::table::rows::ALL;
use crate::table::rows::verdicts::VerdictHistoryRow;
use crate::table::scanned::{FactRow, ListingRow, ScannedRow};
use crate::table::{Description, Row};

/// How a schema is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SchemaForm {
    /// Columns, types and meanings.
    Table,
    /// A schema string of Spark, one line per table.
    SparkDdl,
    /// For programs.
    Json,
}

/// All tables that a run, its facts, its ledger or a scan writes.
fn all() -> impl Iterator<Item = Description> {
    let kept = [
        VerdictHistoryRow::TABLE,
        AccessFactRow::TABLE,
        CallFactRow::TABLE,
        ChangeFactRow::TABLE,
        LoginFactRow::TABLE,
        SessionFactRow::TABLE,
        LedgerRow::TABLE,
        DayRow::TABLE,
        ListingRow::TABLE,
        FactRow::TABLE,
        ScannedRow::TABLE,
    ];
    ALL.into_iter().chain(kept)
}

/// Tells tables; all of them where none is named.
///
/// # Errors
/// With the name of a table that there is not.
pub fn schema_of(names: &[String], form: SchemaForm) -> Result<String, String> {
    let mut tables: Vec<Description> = all().collect();
    if !names.is_empty() {
        let of = |name: &String| {
            tables.iter().find(|table| table.name == name).copied().ok_or_else(|| name.clone())
        };
        tables = names.iter().map(of).collect::<Result<_, _>>()?;
    }
    let one = tables.len() == 1;
    Ok(match form {
        SchemaForm::Table => tables.iter().map(text).collect::<Vec<_>>().join("\n"),
        // A line each; of several: the name, a tab, the schema.
        SchemaForm::SparkDdl => {
            let line = |table: &Description| {
                if one { ddl(table) } else { format!("{}\t{}", table.name, ddl(table)) }
            };
            tables.iter().map(line).collect::<Vec<_>>().join("\n") + "\n"
        }
        SchemaForm::Json => {
            let tables: Vec<_> = tables.iter().map(as_json).collect();
            format!("{}\n", serde_json::to_string_pretty(&tables).unwrap_or_default())
        }
    })
}

fn text(table: &Description) -> String {
    let mut lines = vec![format!("{}: one row is {}", table.name, table.one_row_is)];
    let width = table.columns.iter().map(|column| column.name.len()).max().unwrap_or(0);
    for column in table.columns {
        let null = if column.nullable { "?" } else { "" };
        let kind = format!("{}{null}", type_name(&(column.data_type)()));
        lines.push(format!("  {:width$}  {kind:13}  {}", column.name, column.doc));
    }
    lines.push(String::new());
    lines.join("\n")
}

fn ddl(table: &Description) -> String {
    let column = |column: &crate::table::ColumnDescription| {
        let null = if column.nullable { "" } else { " NOT NULL" };
        format!("{} {}{null}", column.name, hive_type(&(column.data_type)()))
    };
    table.columns.iter().map(column).collect::<Vec<_>>().join(", ")
}

fn as_json(table: &Description) -> serde_json::Value {
    let columns: Vec<_> = table
        .columns
        .iter()
        .map(|column| {
            json!({
                "name": column.name,
                "type": type_name(&(column.data_type)()),
                "nullable": column.nullable,
                "meaning": column.doc,
            })
        })
        .collect();
    json!({
        "table": table.name,
        "one_row_is": table.one_row_is,
        "key": table.primary_key,
        "order": table.sort_key,
        "columns": columns,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spark_gets_types_and_nulls() {
        let got = schema_of(&["scanned_facts".to_owned()], SchemaForm::SparkDdl).unwrap();
        assert_eq!(
            got,
            "family string NOT NULL, place string, day timestamp NOT NULL, key binary NOT NULL, \
             at timestamp NOT NULL, name string NOT NULL, body binary NOT NULL\n"
        );
        let all = schema_of(&[], SchemaForm::SparkDdl).unwrap();
        assert!(all.lines().any(|line| line.starts_with("sessions\tsession_id string NOT NULL")));
    }

    #[test]
    fn a_table_that_is_not_there_is_named() {
        assert_eq!(schema_of(&["nix".to_owned()], SchemaForm::Table), Err("nix".to_owned()));
    }

    #[test]
    fn every_table_is_told_once() {
        let told = schema_of(&[], SchemaForm::Json).unwrap();
        let told: Vec<serde_json::Value> = serde_json::from_str(&told).unwrap();
        let mut names: Vec<&str> = told.iter().map(|t| t["table"].as_str().unwrap()).collect();
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count);
        assert!(told.iter().all(|table| !table["columns"].as_array().unwrap().is_empty()));
    }
}
