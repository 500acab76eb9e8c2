//! The column reference and the DDL, generated from the declarations.

use std::fmt;

use arrow::datatypes::DataType;

use super::facts::{AccessFactRow, CallFactRow, ChangeFactRow, LoginFactRow, SessionFactRow};
use super::rows::ALL;
use super::rows::verdicts::VerdictHistoryRow;
use super::{Description, Row, SCHEMA_VERSION};
use crate::model::outcome::Family;

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
         microseconds; lists and maps are sorted; reports read these tables and nothing else: \
         they are at the end. How to open them: [README.md](README.md).\n",
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

/// DDL for Athena, a file each below `queries/athena`: its name and its statement.
///
/// External tables over an output in a bucket, which `${LOCATION}` stands for (`s3://bucket/prefix`, no
/// slash behind): every table, the verdicts of all runs, and the facts by place and day. No comment and
/// no quote is in them: the parser of Hive's DDL is not that of queries.
#[must_use]
pub fn athena_ddl() -> Vec<(String, String)> {
    let tables = ALL.iter().map(|table| {
        let name = table.name;
        (format!("tables/{name}.sql"), external_table(name, &format!("tables/{name}"), table, None))
    });
    // Each row says its run, so the folders need not be told as partitions: all below is read.
    let history = VerdictHistoryRow::TABLE;
    let history = std::iter::once((
        format!("tables/{}.sql", history.name),
        external_table(history.name, "history/verdicts", &history, None),
    ));
    let facts = FACTS.iter().map(|(family, place, table)| {
        let folder = family.folder();
        let name = format!("facts_{folder}");
        let sql = external_table(&name, &format!("facts/{folder}"), table, Some(place));
        (format!("facts/{name}.sql"), sql)
    });
    tables.chain(history).chain(facts).collect()
}

/// Families of facts, the column of their places, and their rows.
const FACTS: [(Family, &str, Description); 6] = [
    (Family::Access, "p_cluster", AccessFactRow::TABLE),
    (Family::Authentication, "p_account", CallFactRow::TABLE),
    (Family::AwsCall, "p_account", CallFactRow::TABLE),
    (Family::Change, "p_cluster", ChangeFactRow::TABLE),
    (Family::Login, "p_cluster", LoginFactRow::TABLE),
    (Family::Session, "p_account", SessionFactRow::TABLE),
];

/// One external table. With a column of places it is partitioned by that and the day, and Athena works
/// the folders out from the query: a place must be given, since what is not named would not be read.
fn external_table(name: &str, folder: &str, table: &Description, place: Option<&str>) -> String {
    let columns: Vec<String> = table
        .columns
        .iter()
        .map(|column| format!("  `{}` {}", column.name, hive_type(&(column.data_type)())))
        .collect();
    let columns = columns.join(",\n");
    let mut properties = vec![("overgrant.schema_version".to_owned(), SCHEMA_VERSION)];
    let mut partitions = String::new();
    if let Some(place) = place {
        partitions = format!("PARTITIONED BY (`{place}` string, `p_date` string)\n");
        let day = [
            ("type", "date"),
            ("format", "yyyy-MM-dd"),
            ("range", "NOW-3YEARS,NOW+1DAYS"),
            ("interval", "1"),
            ("interval.unit", "DAYS"),
        ];
        properties.push(("projection.enabled".to_owned(), "true"));
        properties.push((format!("projection.{place}.type"), "injected"));
        properties.extend(day.map(|(key, value)| (format!("projection.p_date.{key}"), value)));
    }
    let properties: Vec<String> =
        properties.iter().map(|(key, value)| format!("  '{key}' = '{value}'")).collect();
    let properties = properties.join(",\n");
    format!(
        "CREATE EXTERNAL TABLE IF NOT EXISTS `{name}` (\n{columns}\n)\n{partitions}STORED AS PARQUET\n\
         LOCATION '${{LOCATION}}/{folder}/'\nTBLPROPERTIES (\n{properties}\n)\n"
    )
}

/// The type of a column in Hive's DDL, which is that of Athena and Spark.
#[must_use]
pub fn hive_type(data_type: &DataType) -> &'static str {
    match data_type {
        DataType::Int64 => "bigint",
        DataType::Int32 => "int",
        DataType::Float64 => "double",
        DataType::Boolean => "boolean",
        DataType::Timestamp(..) => "timestamp",
        DataType::List(_) => "array<string>",
        DataType::Map(..) => "map<string,string>",
        DataType::Binary => "binary",
        _ => "string",
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
        DataType::Binary => "bytes",
        _ => "other",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::schema;

    /// What Trino reserves: such a name would need quotes in every query.
    const RESERVED: &str = "alter and as between by case cast constraint create cross cube current_date \
        current_role current_time current_timestamp current_user deallocate delete describe distinct drop else end \
        escape except exists extract false for from full group grouping having in inner insert intersect into is join \
        json_array json_exists json_object json_query json_table json_value left like listagg localtime \
        localtimestamp natural normalize not null on or order outer prepare recursive right select skip table then \
        trim true uescape union unnest using values when where with";

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
                assert!(
                    !RESERVED.split(' ').any(|word| word == column.name),
                    "{name}.{}",
                    column.name
                );
            }
            assert_eq!(schema(&table).fields().len(), columns.len());
        }
    }

    #[test]
    fn athena_gets_every_table_and_every_family() {
        let ddl = athena_ddl();
        assert_eq!(ddl.len(), ALL.len() + 1 + Family::ALL.len());
        let of = |path: &str| {
            let found = ddl.iter().find(|(at, _)| at == path);
            found.map(|(_, sql)| sql.as_str()).unwrap_or_default()
        };
        let sessions = of("tables/sessions.sql");
        for line in [
            "  `issued_at` timestamp,\n",
            "  `tags` map<string,string>,\n",
            "  `transitive_keys` array<string>,\n",
            "LOCATION '${LOCATION}/tables/sessions/'\n",
        ] {
            assert!(sessions.contains(line), "{line}: {sessions}");
        }
        assert!(!sessions.contains("PARTITIONED"), "{sessions}");
        assert!(of("tables/verdicts.sql").contains("`coverage` double"));
        let access = of("facts/facts_access.sql");
        for line in [
            "  `decision` int,\n",
            "PARTITIONED BY (`p_cluster` string, `p_date` string)\n",
            "LOCATION '${LOCATION}/facts/access/'\n",
            "  'projection.p_cluster.type' = 'injected',\n",
            "  'projection.p_date.format' = 'yyyy-MM-dd',\n",
        ] {
            assert!(access.contains(line), "{line}: {access}");
        }
    }
}
