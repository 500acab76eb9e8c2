//! What the reports are, generated from their statements: the reference of their columns, and views
//! for Athena.
//!
//! Input: the embedded statements, and the schemas that the engine gives them. Output: text that a test
//! keeps fresh under `queries/`.

use arrow::datatypes::SchemaRef;

use super::catalogue::{QUERIES, Query};
use crate::table::Description;
use crate::table::reference::type_name;
use crate::table::rows::ALL;

/// Markdown: every report with its header and its columns, given the schema of each in the order of
/// [`QUERIES`].
///
/// A column that a table of the report has by the same name is explained there; the others are
/// computed, and the statement says how.
#[must_use]
pub fn markdown(schemas: &[SchemaRef]) -> String {
    let intro = "\n# Reports\n\nEach is the statement of its file, run over the tables above and written to \
                 `reports/NAME.parquet`. Where a column has the name of one of a table, it is explained there.\n";
    let sections: Vec<String> =
        QUERIES.iter().zip(schemas).map(|(query, schema)| section(query, schema)).collect();
    format!("{intro}{}", sections.concat())
}

fn section(query: &Query, schema: &SchemaRef) -> String {
    let name = query.name;
    let header: Vec<&str> = header(query).collect();
    let title = header.first().copied().unwrap_or_default();
    let rest = header.get(1..).unwrap_or_default().join("\n");
    let columns: Vec<String> = schema
        .fields()
        .iter()
        .map(|field| {
            let null = if field.is_nullable() { ", may be null" } else { "" };
            let see = reads(query)
                .find(|table| table.columns.iter().any(|column| column.name == field.name()))
                .map_or("computed", |table| table.name);
            format!("| {} | {}{null} | {see} |\n", field.name(), type_name(field.data_type()))
        })
        .collect();
    let columns = columns.concat();
    format!(
        "\n## {name}\n\n{title}, [{name}.sql]({name}.sql).\n\n```text\n{rest}\n```\n\n\
         | column | type | see |\n|---|---|---|\n{columns}"
    )
}

/// The reports as views of Athena, a file each below `queries/athena`: its name and its statement.
///
/// A table of Athena is a folder, and reports are files side by side; but a report is its statement over
/// the tables, so a view of it is the same rows. A view has no order: whoever wants one says so again.
#[must_use]
pub fn athena_views() -> Vec<(String, String)> {
    let view = |query: &Query| {
        let Query { name, .. } = query;
        let body: Vec<&str> = query.sql.lines().filter(|line| !line.starts_with("--")).collect();
        let body = body.join("\n");
        (format!("reports/{name}.sql"), format!("CREATE OR REPLACE VIEW {name} AS\n{body}\n"))
    };
    QUERIES.iter().map(view).collect()
}

/// The lines of its header, without the marks.
fn header(query: &Query) -> impl Iterator<Item = &'static str> {
    query.sql.lines().map_while(|line| line.strip_prefix("-- "))
}

/// The tables that its header says it reads.
fn reads(query: &Query) -> impl Iterator<Item = Description> {
    let names =
        header(query).find_map(|line| line.split_once("Reads: ")).map_or("", |(_, names)| names);
    let names = names.trim_end_matches('.').split(", ");
    names.filter_map(|name| ALL.into_iter().find(|table| table.name == name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_report_says_what_it_reads() {
        for query in QUERIES {
            let header: Vec<&str> = header(query).collect();
            assert!(header.iter().any(|line| line.starts_with("Question: ")), "{}", query.name);
            assert!(
                header.iter().any(|line| line.starts_with("Grain: one row ")),
                "{}",
                query.name
            );
            let names: Vec<&str> = reads(query).map(|table| table.name).collect();
            assert!(!names.is_empty(), "{}", query.name);
            // Every table it names, and no other.
            for table in ALL {
                let after = [format!("FROM {} ", table.name), format!("JOIN {} ", table.name)];
                let text = query.sql.replace('\n', " ");
                let used = after.iter().any(|place| text.contains(place));
                assert_eq!(used, names.contains(&table.name), "{} and {}", query.name, table.name);
            }
        }
    }

    #[test]
    fn a_view_is_its_statement_without_the_header() {
        let views = athena_views();
        assert_eq!(views.len(), QUERIES.len());
        for (path, sql) in views {
            assert!(sql.starts_with("CREATE OR REPLACE VIEW "), "{path}");
            assert!(!sql.contains("--") && sql.contains("SELECT\n"), "{path}: {sql}");
        }
    }
}
