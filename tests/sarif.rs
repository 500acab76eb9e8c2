//! What `--format sarif` writes, against the schema of the standard.

use std::io::Write;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::support::project;

/// Says every error of the document on stdin; 9 where the validator is missing.
const CHECK: &str = "\
import json, sys
try:
    from jsonschema import Draft7Validator
except ImportError:
    sys.exit(9)
schema = json.load(open(sys.argv[1]))
Draft7Validator.check_schema(schema)
errors = [error.json_path + ': ' + error.message for error in Draft7Validator(schema).iter_errors(json.load(sys.stdin))]
print('\\n'.join(errors[:9]))
sys.exit(1 if errors else 0)
";

/// What is wrong with a document; nothing where there is no validator.
fn errors(document: &str) -> Option<Vec<String>> {
    let child = Command::new("python3")
        .args(["-c", CHECK])
        .arg(project("tests/sarif/sarif-schema-2.1.0.json"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn();
    let Ok(mut child) = child else {
        eprintln!("SKIPPED: there is no python3 here");
        return None;
    };
    // Without a validator nobody reads.
    drop(child.stdin.take().unwrap().write_all(document.as_bytes()));
    let got = child.wait_with_output().unwrap();
    if got.status.code() == Some(9) {
        eprintln!("SKIPPED: the Python package jsonschema is not here");
        return None;
    }
    let text = String::from_utf8(got.stdout).unwrap();
    let lines: Vec<String> =
        text.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect();
    assert_eq!(got.status.success(), lines.is_empty(), "{lines:?}");
    Some(lines)
}

fn overgrant(args: &[&str]) -> String {
    let got = Command::new(env!("CARGO_BIN_EXE_overgrant"))
        .args(args)
        .current_dir(project(""))
        .env_remove("RUST_LOG")
        .output()
        .unwrap();
    String::from_utf8(got.stdout).unwrap()
}

#[test]
fn findings_and_changes_are_sarif() {
    let out = tempfile::tempdir().unwrap();
    let at = |name: &str| out.path().join(name).display().to_string();
    let (a, b) = (at("a"), at("b"));
    let config = ["audit", "--config", "samples/overgrant.toml"];
    let before = ["-q", "--since", "2026-08-26", "--until", "2026-11-17", "--out", &a];
    overgrant(&[config.as_slice(), &before].concat());
    let after = ["-q", "--out", &b, "--new-since", &a, "--format", "sarif"];
    let findings = overgrant(&[config.as_slice(), &after].concat());
    let changes = overgrant(&["diff", &a, &b, "--format", "sarif"]);
    for document in [&findings, &changes] {
        if let Some(errors) = errors(document) {
            assert_eq!(errors, [""; 0]);
        }
    }

    // A known finding says who answers for it, in a run and between two runs.
    for (document, all) in [(&findings, 5), (&changes, 0)] {
        let value: Value = serde_json::from_str(document).unwrap();
        let results = value["runs"][0]["results"].as_array().unwrap();
        let known: Vec<&Value> =
            results.iter().map(|one| &one["suppressions"]).filter(|one| one.is_array()).collect();
        assert!(known.len() >= all, "{document}");
        for one in known {
            assert!(one[0]["justification"].as_str().is_some_and(|why| !why.is_empty()), "{one}");
            let owner = one[0]["properties"]["owner"].as_str();
            assert!(owner.is_some_and(|owner| owner.contains('@')), "{one}");
        }
    }
    let value: Value = serde_json::from_str(&findings).unwrap();
    let results = value["runs"][0]["results"].as_array().unwrap();
    let rules = value["runs"][0]["tool"]["driver"]["rules"].as_array().unwrap();
    for result in results {
        let id = &result["ruleId"];
        assert!(rules.iter().any(|rule| rule["id"] == *id), "{id} is described");
        let fingerprint = result["partialFingerprints"]["grant_id/v1"].as_str().unwrap();
        assert!(!fingerprint.is_empty(), "{result}");
    }
    let suppressed = results.iter().filter(|one| one["suppressions"].is_array()).count();
    assert_eq!(suppressed, 5, "{findings}");
    let states: Vec<&Value> = results.iter().map(|one| &one["baselineState"]).collect();
    assert!(states.contains(&&Value::from("unchanged")), "{states:?}");

    // The schema refuses what is wrong: the test can fail.
    let broken = findings.replacen("\"error\"", "\"terrible\"", 1);
    if let Some(errors) = errors(&broken) {
        assert!(!errors.is_empty());
    }
}
