//! Statements and pages for analysts: what DuckDB answers is what `overgrant sql` answers.

use std::process::Command;

use crate::support::{audit, project, samples_plan};

/// A Python that has DuckDB: the one that is named, else the one on the path.
fn python() -> Option<String> {
    let named = std::env::var("OVERGRANT_PYTHON").ok().filter(|name| !name.is_empty());
    let python = named.clone().unwrap_or_else(|| "python3".to_owned());
    let has = Command::new(&python).args(["-c", "import duckdb, pytz"]).output();
    let has = has.is_ok_and(|done| done.status.success());
    // Whoever names one means it.
    assert!(has || named.is_none(), "OVERGRANT_PYTHON={python} cannot import duckdb and pytz");
    has.then_some(python)
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
    let told = String::from_utf8_lossy(&done.stdout);
    let errors = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{told}\n{errors}");
    for line in told.lines().filter(|line| line.starts_with("SKIPPED")) {
        eprintln!("{line}");
    }
    // Nothing was passed over in silence.
    let last = told.lines().last().unwrap_or_default();
    let reports = overgrant::report::catalogue::QUERIES.len();
    let tables = overgrant::table::rows::ALL.len();
    for counted in [format!("reports {reports}"), format!("tables {tables}")] {
        assert!(last.split(", ").any(|part| part == counted), "{counted}: {last}");
    }
}
