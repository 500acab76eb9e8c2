//! Statements and pages for analysts: what DuckDB answers is what `overgrant sql` answers.

use std::process::Command;

use crate::support::{self, audit, project, samples_plan, told};

/// A Python that has DuckDB: the one that is named, else the one on the path.
fn python() -> Option<String> {
    support::python("OVERGRANT_PYTHON", "cannot import duckdb and pytz", |python| {
        let has = Command::new(python).args(["-c", "import duckdb, pytz"]).output();
        has.is_ok_and(|done| done.status.success())
    })
}

#[test]
fn duckdb_answers_the_same() {
    let Some(python) = python() else {
        eprintln!(
            "SKIPPED: no python3 with duckdb and pytz is here, and OVERGRANT_PYTHON names none"
        );
        return;
    };
    let out = tempfile::tempdir().unwrap();
    audit(&samples_plan(out.path())).unwrap();
    let done = Command::new(&python)
        .arg(project("tests/analysts/check_queries.py"))
        .arg(env!("CARGO_BIN_EXE_overgrant"))
        .arg(out.path())
        .output()
        .unwrap();
    let told = told(&done);
    // Nothing was passed over in silence.
    let last = told.lines().last().unwrap_or_default();
    let reports = overgrant::report::catalogue::QUERIES.len();
    let tables = overgrant::table::rows::ALL.len();
    for counted in [format!("reports {reports}"), format!("tables {tables}")] {
        assert!(last.split(", ").any(|part| part == counted), "{counted}: {last}");
    }
}
