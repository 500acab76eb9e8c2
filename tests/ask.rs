//! `overgrant sql` and `overgrant explain`, as people and programs meet them.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;

use overgrant::explain::render;
use overgrant::pipeline::PipelineError;
use overgrant::pipeline::ask::{AskError, AskPlan, Asked, Shape};
use overgrant::pipeline::explain::{Explained, explain};
use overgrant::report::answer::Format;
use overgrant::report::terminal::Style;
use overgrant::source::Location;

use crate::support::s3::{Fault, Server};
use crate::support::{audit, copy, project, samples_plan};

/// A run over the samples, for all tests of this module.
pub(crate) fn run() -> &'static Path {
    static RUN: OnceLock<tempfile::TempDir> = OnceLock::new();
    let made = || {
        let out = tempfile::tempdir().unwrap();
        audit(&samples_plan(out.path())).unwrap();
        out
    };
    RUN.get_or_init(made).path()
}

fn overgrant(args: &[&str], stdin: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_overgrant"))
        .args(args)
        .args(["--from", &run().display().to_string()])
        .current_dir(project(""))
        .env_remove("RUST_LOG")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(stdin.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn answered(args: &[&str], stdin: &str) -> String {
    let got = overgrant(args, stdin);
    assert_eq!(got.status.code(), Some(0), "{args:?}: {}", text(&got.stderr));
    text(&got.stdout)
}

#[test]
fn a_statement_comes_as_an_argument_a_file_or_on_stdin() {
    let sql = "SELECT verdict, count(*) AS n FROM grant_review WHERE NOT managed_by_aws \
               GROUP BY verdict ORDER BY verdict NULLS LAST";
    let expected =
        "verdict,n\nineffective,1\nover_scoped,7\nredundant,2\ntoo_new,1\nunused,3\nused,5\n";
    assert_eq!(answered(&["sql", sql, "--format", "csv"], ""), expected);
    assert_eq!(answered(&["sql", "-", "--format", "csv"], &format!("{sql};\n")), expected);
    assert_eq!(answered(&["sql", "--format", "csv"], sql), expected);
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), sql).unwrap();
    let path = file.path().display().to_string();
    assert_eq!(answered(&["sql", "--file", &path, "--format", "csv"], ""), expected);
    insta::assert_snapshot!(answered(&["sql", sql], ""), @r"
     verdict       n
    ─────────────────
     ineffective   1
     over_scoped   7
     redundant     2
     too_new       1
     unused        3
     used          5
    ");
    let few = overgrant(&["sql", sql, "--max-rows", "2"], "");
    assert_eq!(text(&few.stdout).lines().count(), 4);
    assert!(text(&few.stderr).starts_with("2 of 6 rows are shown"), "{}", text(&few.stderr));
}

#[test]
fn parameters_and_the_window() {
    let sql = "SELECT count(*) AS n FROM api_access WHERE hour >= $since AND hour < $until";
    let all = answered(&["sql", "SELECT count(*) AS n FROM api_access", "--format", "csv"], "");
    assert_eq!(answered(&["sql", sql, "--format", "csv"], ""), all, "the window of the run");
    let week = ["sql", sql, "--format", "csv", "--param", "since=2026-11-17"];
    let count = |text: String| text.lines().nth(1).unwrap().parse::<u64>().unwrap();
    let (week, all) = (count(answered(&week, "")), count(all));
    assert!(week > 0 && week * 5 < all, "{week} of {all}");
    let tag = "SELECT DISTINCT tag_value FROM session_tags WHERE tag_key = $key ORDER BY tag_value";
    let got = answered(&["sql", tag, "--param", "key=team", "--format", "json"], "");
    assert_eq!(
        got,
        "[\n{\"tag_value\":\"payments\"},\n{\"tag_value\":\"release\"},\n{\"tag_value\":\"shop\"}\n]\n"
    );
}

#[test]
fn rows_as_parquet_are_rows_again() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("grants.parquet");
    let path = file.display().to_string();
    let args =
        ["sql", "SELECT * FROM grants ORDER BY grant_id", "--format", "parquet", "--output", &path];
    let got = overgrant(&args, "");
    assert_eq!(got.status.code(), Some(0), "{}", text(&got.stderr));
    let rows: Vec<overgrant::table::rows::grants::GrantRow> =
        overgrant::table::parquet::rows_of(std::fs::read(&file).unwrap()).unwrap();
    let all: Vec<overgrant::table::rows::grants::GrantRow> = crate::support::rows(run());
    assert_eq!(rows.len(), all.len());
    assert!(rows.iter().all(|row| all.contains(row)));
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "no temporary file stays");
}

#[test]
fn what_there_is_to_ask() {
    insta::assert_snapshot!("tables", answered(&["sql", ".tables"], ""));
    insta::assert_snapshot!("schema", answered(&["sql", ".schema grant_members"], ""));
    let history = "SELECT count(DISTINCT until) AS runs FROM verdict_history";
    assert_eq!(answered(&["sql", history, "--format", "csv"], ""), "runs\n1\n");
    // A list of columns may hold one that other dialects take for a keyword.
    answered(&["sql", "SELECT stream_kind, cluster, hour FROM coverage LIMIT 1"], "");
}

#[test]
fn mistakes_are_told_and_nothing_is_written() {
    let check = |sql: &str, code: i32, expected: &str| {
        let got = overgrant(&["sql", sql], "");
        assert_eq!(got.status.code(), Some(code), "{sql}");
        assert!(text(&got.stderr).contains(expected), "{sql}: {}", text(&got.stderr));
        assert_eq!(text(&got.stdout), "", "{sql}");
    };
    check("SELECT * FROM grnts", 4, "there is no table grnts; did you mean grants?");
    check("SELECT nope FROM grants", 4, "nope");
    check("SELEC 1", 4, "the statement does not run");
    check("SELECT 1; SELECT 2", 4, "single SQL statement");
    check("SELECT $nobody", 4, "nobody");
    check("DROP TABLE grants", 4, "DDL not supported");
    check("CREATE EXTERNAL TABLE x STORED AS CSV LOCATION '/etc/passwd'", 4, "there is no table x");
    check("COPY (SELECT 1) TO 'x.csv'", 4, "DML not supported");
    check("SET datafusion.execution.batch_size = 1", 4, "not supported");
    check("SELECT * FROM '/etc/passwd'", 4, "there is no table");
    check(".nothing", 2, "`.tables`, `.schema TABLE` or SQL");
    check("", 2, "a statement");
    let nowhere = tempfile::tempdir().unwrap();
    let place = nowhere.path().display().to_string();
    let got = Command::new(env!("CARGO_BIN_EXE_overgrant"))
        .args(["sql", "SELECT 1", "--from", &place])
        .output()
        .unwrap();
    assert_eq!(got.status.code(), Some(4));
    assert!(text(&got.stderr).contains("holds no overgrant run"), "{}", text(&got.stderr));
}

#[test]
fn a_run_in_a_bucket_is_asked_without_reading_all_of_it() {
    let root = tempfile::tempdir().unwrap();
    copy(&project("samples/logs"), &root.path().join("logs"));
    std::fs::create_dir_all(root.path().join("results")).unwrap();
    let fetched = std::sync::Arc::new(std::sync::Mutex::new(Vec::<String>::new()));
    let heard = std::sync::Arc::clone(&fetched);
    let server = Server::start(root.path(), move |method, key| {
        if method == "GET" {
            heard.lock().unwrap().push(key.to_owned());
        }
        Fault::None
    });
    let mut plan = samples_plan(root.path());
    plan.out = Location::parse("s3://results/nightly").unwrap();
    plan.s3 = server.options();
    audit(&plan).unwrap();
    fetched.lock().unwrap().clear();
    let ask = AskPlan {
        from: plan.out.clone(),
        memory: 64 << 20,
        s3: server.options(),
        interactive: false,
    };
    let mut asked = Asked::open(&ask).unwrap();
    let mut out = Vec::new();
    let sql = "SELECT count(*) AS n FROM verdicts";
    asked.write(sql, &[], Shape::Text(Format::Csv), &mut out).unwrap();
    assert_eq!(text(&out), "n\n70\n");
    let keys = fetched.lock().unwrap().clone();
    let parquet: Vec<&String> = keys.iter().filter(|key| key.contains(".parquet")).collect();
    assert_eq!(parquet.len(), 1, "{keys:?}");
    // The history is not of one run.
    let sql = "SELECT count(*) AS n FROM verdict_history";
    let mut out = Vec::new();
    asked.write(sql, &[], Shape::Text(Format::Csv), &mut out).unwrap();
    assert_eq!(text(&out), "n\n70\n");
    // The page is the one of the same run in a folder.
    let local = tempfile::tempdir().unwrap();
    audit(&samples_plan(local.path())).unwrap();
    let in_folder = AskPlan { from: Location::Local(local.path().to_path_buf()), ..ask.clone() };
    for who in ["ci-deployer", "shop/app-controller-7d9f-abcde", "be585374df5c7161"] {
        let page = page(&ask, who);
        assert!(page.lines().count() > 20, "{page}");
        assert_eq!(page, self::page(&in_folder, who), "{who}");
    }
    assert!(
        matches!(explain(&ask, "jenkin").unwrap(), Explained::Nobody(near) if !near.is_empty())
    );
    // A file that is not the one the manifest names is not believed.
    let broken = root.path().join("results/nightly");
    for folder in [broken.join("tables"), broken.join(".generations")] {
        spoil(&folder, "identities");
    }
    let failed = asked.write("SELECT * FROM identities", &[], Shape::Text(Format::Csv), Vec::new());
    assert!(matches!(failed, Err(AskError::Publish(_))), "{failed:?}");
    let failed = explain(&ask, "ci-deployer").map(|_| ()).unwrap_err();
    assert!(matches!(failed, PipelineError::Ask(AskError::Publish(_))), "{failed:?}");
}

/// What is said of someone.
fn page(plan: &AskPlan, who: &str) -> String {
    match explain(plan, who).unwrap() {
        Explained::One(dossier) => render(&dossier, Style::default()),
        other => panic!("{who}: {other:?}"),
    }
}

/// Overwrites the files of a table wherever they are below a folder.
fn spoil(folder: &Path, table: &str) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            spoil(&path, table);
        } else if path.to_string_lossy().contains(table)
            && path.extension().is_some_and(|e| e == "parquet")
        {
            std::fs::write(&path, b"PAR1").unwrap();
        }
    }
}

#[test]
fn whoever_is_asked_for_is_explained() {
    for (name, who) in [
        ("explain_role", "ci-deployer"),
        ("explain_chain", "release-bot"),
        ("explain_account", "ci-system/ci-pipeline-sa"),
        ("explain_pod", "shop/app-controller-7d9f-abcde"),
        ("explain_group", "developers"),
        ("explain_unused", "jenkins"),
        ("explain_grant", "be585374df5c7161"),
    ] {
        let page = answered(&["explain", who], "");
        assert!(page.lines().all(|line| line.chars().count() <= 80), "{page}");
        assert!(!page.contains('\u{1b}'), "no colour in a pipe");
        insta::assert_snapshot!(name, page);
    }
}

#[test]
fn the_same_someone_by_every_name() {
    let key_of = "SELECT k.access_key_id FROM session_keys k JOIN sessions s ON s.session_id = k.session_id \
                  WHERE s.role_arn LIKE '%/ci-deployer' AND k.access_key_id LIKE 'ASIA%' \
                  ORDER BY k.access_key_id LIMIT 1";
    let key = answered(&["sql", key_of, "--format", "csv"], "");
    let key = key.lines().nth(1).unwrap();
    let label = "arn:aws:iam::111122223333:role/ci-deployer";
    for who in [
        label,
        "ci-deployer",
        "AROACIDEPLOYER0000001",
        "arn:aws:sts::111122223333:assumed-role/ci-deployer/GitHubActions",
        "arn:aws:sts::111122223333:assumed-role/ci-deployer/somebody",
        key,
    ] {
        let page = answered(&["explain", who], "");
        assert_eq!(page.lines().next(), Some(label), "{who}");
    }
    let json = answered(&["explain", "ci-deployer", "--format", "json"], "");
    let read: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(read["subject"]["label"], label);
    assert_eq!(read["grants"][0]["grant"]["grant_id"], "be585374df5c7161");
    assert_eq!(read["since"], "2026-08-26T00:00:00Z");
    assert_eq!(read["days"].as_array().unwrap().len(), 90);
}

#[test]
fn who_is_not_known_gets_a_hint() {
    let got = overgrant(&["explain", "jenkin"], "");
    assert_eq!(got.status.code(), Some(2));
    let said = text(&got.stderr);
    assert!(said.contains("did you mean arn:aws:iam::111122223333:role/jenkins?"), "{said}");
    let got = overgrant(&["explain", "zz\u{1b}[2J"], "");
    assert!(!text(&got.stderr).contains('\u{1b}'));
}
