//! The Spark way of `samples/spark`, on a cluster of processes of this machine, over a bucket: what comes
//! out is what one machine says, whatever happens to an executor.

use std::path::Path;
use std::process::{Command, Output};

use crate::support::s3::{Fault, Server};
use crate::support::{copy, project};

/// What is run with a line of Spark, the variable that names a Python which has it, and the line.
const LINES: &[(&str, &str, &[&str])] = &[
    (
        "4.",
        "OVERGRANT_SPARK_PYTHON",
        &[
            "equal", "killed", "clusters", "united", "cautious", "unjudged", "pipes", "refused",
            "reports",
        ],
    ),
    // That of EMR 7 and Glue 5.
    ("3.5.", "OVERGRANT_SPARK35_PYTHON", &["equal", "clusters", "reports", "investigations"]),
];

/// An object that no decoder can read, between those of a day.
const CORRUPT: &str = "111122223333_CloudTrail_us-west-2_20261110T1200Z_0000000000000000.json.gz";

/// The Python that is named, and where its Spark is.
fn spark(line: &str, variable: &str) -> Option<(String, String)> {
    let python = std::env::var(variable).ok().filter(|name| !name.is_empty())?;
    let find = "import os, pyarrow, pyspark; print(pyspark.__version__, os.path.dirname(pyspark.__file__))";
    let found = Command::new(&python).args(["-c", find]).output();
    // Whoever names one means it.
    let found = found.unwrap_or_else(|error| panic!("{variable}={python}: {error}"));
    let said = String::from_utf8_lossy(&found.stdout).trim().to_owned();
    let (version, home) = said.split_once(' ').unwrap_or_default();
    assert!(version.starts_with(line), "{variable}={python} has pyspark {version:?}, not {line}");
    Some((python, home.to_owned()))
}

fn java_is_here() -> bool {
    let version = Command::new("java").arg("-version").output();
    version.is_ok_and(|done| done.status.success())
}

fn submit(python: &str, home: &str, server: &Server, work: &Path, steps: &[&str]) -> Output {
    // Tiny tables: what takes time is to compile for them.
    let quick = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC";
    let conf = [
        "spark.driver.host=127.0.0.1".to_owned(),
        "spark.driver.bindAddress=127.0.0.1".to_owned(),
        "spark.ui.enabled=false".to_owned(),
        "spark.sql.shuffle.partitions=2".to_owned(),
        format!("spark.driver.extraJavaOptions={quick}"),
        format!("spark.executor.extraJavaOptions={quick}"),
        format!("spark.sql.warehouse.dir={}", work.join("warehouse").display()),
    ];
    Command::new(Path::new(home).join("bin/spark-submit"))
        .args(["--master", "local-cluster[2,1,1024]", "--driver-memory", "1g"])
        .args(conf.iter().flat_map(|one| ["--conf", one]))
        .arg("--py-files")
        .arg(project("samples/spark/overgrant_spark.py"))
        .arg(project("tests/spark/check_spark.py"))
        .arg(env!("CARGO_BIN_EXE_overgrant"))
        .arg(work)
        .args(steps)
        .current_dir(work)
        .env("SPARK_HOME", home)
        .env("SPARK_LOCAL_IP", "127.0.0.1")
        .env("SPARK_WORKER_DIR", work.join("executors"))
        .env("PYSPARK_PYTHON", python)
        .env("PYSPARK_DRIVER_PYTHON", python)
        .env("AWS_ENDPOINT_URL_S3", server.options().endpoint.unwrap())
        .env("AWS_ACCESS_KEY_ID", "test")
        .env("AWS_SECRET_ACCESS_KEY", "testtest")
        .env("AWS_REGION", "us-west-2")
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .output()
        .unwrap()
}

#[test]
fn spark_says_what_one_machine_says() {
    if !java_is_here() {
        eprintln!("SKIPPED: no java is here, which Spark needs");
        return;
    }
    let root = tempfile::tempdir().unwrap();
    copy(&project("samples/logs"), &root.path().join("logs/deep"));
    let day = "logs/deep/AWSLogs/111122223333/CloudTrail/us-west-2/2026/11/10";
    std::fs::create_dir_all(root.path().join(day)).unwrap();
    let no_gzip = [&[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3][..], &[0xee; 400]].concat();
    std::fs::write(root.path().join(day).join(CORRUPT), no_gzip).unwrap();
    let server = Server::start(root.path(), |_, _| Fault::None);

    // Both at once: what one waits for, the other computes.
    std::thread::scope(|scope| {
        let runs: Vec<_> = LINES
            .iter()
            .filter_map(|&(line, variable, steps)| {
                let found = spark(line, variable);
                if found.is_none() {
                    eprintln!("SKIPPED: {variable} names no Python that has Spark {line}x");
                }
                let (python, home) = found?;
                let server = &server;
                Some(scope.spawn(move || check(line, &python, &home, server, steps)))
            })
            .collect();
        for run in runs {
            run.join().unwrap();
        }
    });
}

fn check(line: &str, python: &str, home: &str, server: &Server, steps: &[&str]) {
    let work = tempfile::tempdir().unwrap();
    let plan = serde_json::json!({
        "logs": ["s3://logs/deep/"],
        "inventory": project("samples/inventory"),
        "corrupt": [CORRUPT],
    });
    std::fs::write(work.path().join("plan.json"), plan.to_string()).unwrap();
    let done = submit(python, home, server, work.path(), steps);
    let told = String::from_utf8_lossy(&done.stdout);
    let errors = String::from_utf8_lossy(&done.stderr);
    let end = errors.ceil_char_boundary(errors.len().saturating_sub(20_000));
    let end = errors.get(end..).unwrap_or_default();
    assert!(done.status.success(), "{line}: {told}\n{end}");
    eprintln!("Spark {line}x:\n{told}");

    // Nothing was passed over in silence.
    let last = told.lines().last().unwrap_or_default();
    let reports = overgrant::report::catalogue::QUERIES.len();
    let tables = overgrant::table::rows::ALL.len();
    let investigations = std::fs::read_dir(project("queries/investigations")).unwrap().count();
    let asked = |step: &str, number: usize| if steps.contains(&step) { number } else { 0 };
    let statements = asked("reports", reports) + asked("investigations", investigations);
    let mut expected = vec![
        format!("reports {reports}"),
        format!("tables {tables}"),
        format!("statements {statements}"),
        "corrupt objects 1".to_owned(),
    ];
    if steps.contains(&"refused") {
        expected.push("refused 2".to_owned());
    }
    if steps.contains(&"clusters") {
        expected.push("tables of clusters 8".to_owned());
        expected.push("audits of clusters 2".to_owned());
    }
    if steps.contains(&"united") {
        expected.push(format!("reports of clusters {reports}"));
    }
    if steps.contains(&"cautious") {
        expected.push("cautious 2".to_owned());
    }
    if steps.contains(&"unjudged") {
        expected.push("unjudged 2".to_owned());
    }
    for counted in expected {
        assert!(last.split(", ").any(|part| part == counted), "{counted}: {last}");
    }
}
