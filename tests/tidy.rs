//! Rooms and fences: who may name whom, how long a file may be, what is written down.

use std::path::{Path, PathBuf};

use crate::support::{self, project};

/// Room and the rooms it may name. A new edge is a reviewed line.
const EDGES: &[(&str, &[&str])] = &[
    ("model", &[]),
    ("source", &["model"]),
    ("decode", &["model"]),
    ("integrity", &["model"]),
    ("extract", &["model", "decode"]),
    ("rbac", &["model"]),
    ("table", &["model"]),
    ("facts", &["model", "table"]),
    ("ledger", &["model", "table"]),
    // The state names what was looked for.
    ("publish", &["model", "source", "ledger"]),
    // Both read the YAML of aws-auth: from a snapshot, and from audited writes to it.
    ("inventory", &["model", "decode", "rbac"]),
    // Reads what it took as whoever gets the snapshot will, to know whom it mentions.
    ("live", &["model", "inventory"]),
    ("join", &["model", "rbac", "facts"]),
    ("analyse", &["model", "rbac", "join"]),
    // Principals are matched as RBAC matches globs.
    ("suppress", &["model", "rbac"]),
    ("compare", &["model", "table"]),
    ("report", &["model", "table", "compare"]),
    // How hostile text is printed is said once, for all texts of a terminal.
    ("remedy", &["model", "table", "report"]),
    ("explain", &["model", "rbac", "table", "report"]),
    (
        "pipeline",
        &[
            "model",
            "source",
            "decode",
            "extract",
            "facts",
            "ledger",
            "integrity",
            "publish",
            "inventory",
            "live",
            "rbac",
            "join",
            "analyse",
            "table",
            "report",
            "remedy",
            "explain",
            "suppress",
            "compare",
        ],
    ),
    // The plan structs of rooms, the summary, how to print hostile text, and what columns mean.
    (
        "cli",
        &[
            "model",
            "integrity",
            "pipeline",
            "report",
            "source",
            "decode",
            "rbac",
            "live",
            "remedy",
            "explain",
            // Their errors, to say what to do about them; the last three in the test of that alone.
            "publish",
            "facts",
            "ledger",
            "table",
            "suppress",
            "compare",
        ],
    ),
];

const MAX_LINES: usize = 600;

fn files_below(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let mut found = support::files_below(folder);
    found.retain(|path| path.extension().is_some_and(|e| e == extension));
    found
}

/// Rooms that a source text names as `crate::room`, also inside `use crate::{…}`.
fn named_rooms(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (number, line) in text.lines().enumerate() {
        for (_, rest) in line.match_indices("crate::").map(|(at, m)| line.split_at(at + m.len())) {
            let room: String =
                rest.chars().take_while(|c| c.is_ascii_lowercase() || *c == '_').collect();
            found.push((number + 1, room));
        }
    }
    found
}

#[test]
fn rooms_name_only_their_neighbours() {
    let mut wrong = Vec::new();
    for (room, may) in EDGES {
        for path in files_below(&project("src").join(room), "rs") {
            let text = std::fs::read_to_string(&path).unwrap();
            for (line, named) in named_rooms(&text) {
                if named != *room && !may.contains(&named.as_str()) {
                    wrong.push(format!("{}:{line} names {named}", path.display()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let rooms = std::fs::read_dir(project("src")).unwrap();
    let rooms = rooms.filter(|entry| entry.as_ref().unwrap().path().is_dir()).count();
    assert_eq!(rooms, EDGES.len(), "every room is in the table");
}

#[test]
fn only_the_engine_names_the_engine() {
    for path in files_below(&project("src"), "rs") {
        let text = std::fs::read_to_string(&path).unwrap();
        if text.contains("datafusion::") {
            assert!(path.ends_with("report/engine.rs"), "{}", path.display());
        }
        if text.contains("aws_sdk_s3::") {
            let s3 = path.ends_with("source/s3.rs") || path.starts_with(project("src/source/s3"));
            assert!(s3, "{}", path.display());
        }
        let live =
            ["aws_sdk_eks::", "aws_sdk_iam::", "aws_sdk_cloudtrail::", "aws_sdk_sts::", "kube::"];
        if live.iter().any(|name| text.contains(name)) {
            assert!(path.starts_with(project("src/live")), "{}", path.display());
        }
    }
}

#[test]
fn unsafe_code_is_in_one_place() {
    for path in files_below(&project("src"), "rs") {
        let text = std::fs::read_to_string(&path).unwrap();
        let code = |line: &&str| !line.trim_start().starts_with("//");
        let says = |what: &str| text.lines().filter(code).any(|line| line.contains(what));
        let place = path.ends_with("decode/audited.rs");
        let loose =
            says("unsafe {") || says("unsafe fn") || says("unsafe impl") || says("(unsafe_code");
        assert_eq!(loose, place, "{}", path.display());
        // Each has its reason in front.
        let count = |what: &str| text.matches(what).count();
        if place {
            assert_eq!(count("// SAFETY:"), count("unsafe {") + count("unsafe impl"));
        }
    }
}

#[test]
fn files_open_with_what_they_are_for_and_stay_small() {
    for path in
        files_below(&project("src"), "rs").into_iter().chain(files_below(&project("tests"), "rs"))
    {
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.starts_with("//!"), "{} has no module doc", path.display());
        let lines = text.lines().count();
        assert!(lines <= MAX_LINES, "{} has {lines} lines", path.display());
        for banned in ["allow(", "ignore"] {
            let attribute = format!("#[{banned}");
            assert!(!text.contains(&attribute), "{} says {attribute}", path.display());
        }
    }
}

/// Statements that people write: the reports and the investigations.
fn statements(folder: &str) -> Vec<(String, String)> {
    let mut paths = files_below(&project(folder), "sql");
    paths.retain(|path| {
        path.parent() == Some(project(folder).as_path()) && !path.ends_with("schema.sql")
    });
    paths
        .iter()
        .map(|path| {
            let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
            (name, std::fs::read_to_string(path).unwrap())
        })
        .collect()
}

#[test]
fn every_query_is_a_report() {
    let listed: Vec<&str> =
        overgrant::report::catalogue::QUERIES.iter().map(|query| query.name).collect();
    let found = statements("queries");
    for (name, _) in &found {
        assert!(listed.contains(&name.as_str()), "{name} is not in the catalogue");
    }
    assert_eq!(found.len(), listed.len());
}

#[test]
fn every_statement_is_in_the_portable_subset() {
    let investigations = statements("queries/investigations");
    assert!(investigations.len() >= 10);
    for (name, text) in statements("queries").into_iter().chain(investigations) {
        let header: Vec<&str> = text.lines().take_while(|line| line.starts_with("-- ")).collect();
        assert!(header.len() >= 3, "{name} has no header");
        assert!(header[1].starts_with("-- Question: "), "{name}: {}", header[1]);
        assert!(header[2].starts_with("-- Grain: one row "), "{name}: {}", header[2]);
        assert!(header[2].contains(" Reads: "), "{name}: {}", header[2]);
        let statement: String =
            text.lines().filter(|line| !line.starts_with("--")).collect::<Vec<_>>().join("\n");
        let upper = statement.to_uppercase();
        assert!(upper.contains("ORDER BY"), "{name} has no order");
        let order = upper.rsplit("ORDER BY").next().unwrap();
        let keys = order.split(',').filter(|key| !key.trim().is_empty());
        assert!(keys.clone().all(|key| key.contains("NULLS LAST")), "{name}: {order}");
        for word in [
            "SELECT *",
            "QUALIFY",
            "AS STRING",
            "AS VARCHAR",
            "STRING_AGG",
            "UNNEST",
            "(DOW",
            "DATE_PART",
            "RECURSIVE",
            ";",
            "$",
            "\"",
        ] {
            assert!(!upper.contains(word), "{name} says {word}");
        }
        // A keyword to some engines where no table stands before it.
        let bare = upper.split(|c: char| !(c.is_ascii_alphanumeric() || "._".contains(c)));
        assert!(bare.clone().all(|word| word != "AT"), "{name} says at without its table");
    }
}

#[test]
fn the_page_for_analysts_tells_every_investigation() {
    let page = std::fs::read_to_string(project("queries/README.md")).unwrap();
    for (name, text) in statements("queries/investigations") {
        let title = text.lines().next().unwrap().trim_start_matches("-- ");
        assert!(page.contains(&format!("### {title}\n")), "{title}");
        assert!(page.contains(&format!("(investigations/{name}.sql)")), "{name}");
    }
}

#[test]
fn generated_files_are_fresh() {
    let check = |path: &str, expected: &str| {
        let place = project(path);
        let found = std::fs::read_to_string(&place).unwrap_or_default();
        if found != expected {
            std::fs::create_dir_all(place.parent().unwrap()).unwrap();
            std::fs::write(&place, expected).unwrap();
            eprintln!("{path} was not fresh; it is now, look at it and run the test again");
        }
        found == expected
    };
    let reports = overgrant::report::reference::markdown(&crate::queries::schemas());
    let columns = overgrant::table::reference::markdown() + &reports;
    let features = overgrant::model::needs::FEATURES;
    let mut fresh = vec![
        check("queries/COLUMNS.md", &columns),
        check("queries/schema.sql", &overgrant::table::reference::schema_sql()),
        check("samples/deploy/iam-policy.json", &overgrant::model::needs::policy(&features)),
        check("samples/deploy/clusterrole.yaml", &overgrant::model::needs::cluster_role()),
    ];
    let mut athena = overgrant::table::reference::athena_ddl();
    athena.extend(overgrant::report::reference::athena_views());
    for (path, sql) in &athena {
        fresh.push(check(&format!("queries/athena/{path}"), sql));
    }
    assert!(fresh.iter().all(|fresh| *fresh), "files were not fresh");
    let there = files_below(&project("queries/athena"), "sql");
    assert_eq!(there.len(), athena.len(), "a file for Athena that nothing generates: {there:?}");
}

#[test]
fn one_arrow_and_one_tls_stack() {
    let lock = std::fs::read_to_string(project("Cargo.lock")).unwrap();
    let versions = |name: &str| lock.matches(&format!("name = \"{name}\"\n")).count();
    for name in
        ["arrow", "arrow-array", "arrow-schema", "parquet", "object_store", "rustls", "datafusion"]
    {
        assert_eq!(versions(name), 1, "{name}");
    }
    for name in ["openssl-sys", "reqwest", "native-tls"] {
        assert_eq!(versions(name), 0, "{name}");
    }
}
