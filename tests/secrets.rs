//! What must never leave: canaries planted wherever logs may hold secrets, looked for in all that a run
//! writes and says.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use overgrant::table::rows::grants::GrantRow;
use overgrant::table::rows::verdicts::VerdictRow;

use crate::support::{copy, project, report_of, rows, same};

/// No encoding that a table or a log line uses changes it.
const CANARY: &str = "CANARYxq7";

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { all.extend(files(&path)) } else { all.push(path) }
    }
    all.sort();
    all
}

/// Plants canaries in a CloudTrail record or an audit event; true where there was a place for one.
fn plant(value: &mut Value) -> bool {
    let Some(record) = value.as_object_mut() else { return false };
    if record.contains_key("auditID") {
        let body = json!({ "kind": "Secret", "data": { "password": CANARY },
            "stringData": { "token": CANARY }, "spec": { "token": CANARY } });
        record.insert("requestObject".to_owned(), body.clone());
        record.insert("responseObject".to_owned(), body);
        record.insert("requestURI".to_owned(), json!(format!("/api/v1/x?token={CANARY}")));
        let agent = format!("curl/8 Bearer {CANARY}");
        record.insert("userAgent".to_owned(), json!(agent));
        let annotations = record.entry("annotations").or_insert_with(|| json!({}));
        annotations["bearer"] = json!(format!("Bearer {CANARY}"));
        return true;
    }
    if record.contains_key("eventSource") {
        if let Some(answer) = record.get_mut("responseElements").and_then(Value::as_object_mut) {
            let credentials = answer.entry("credentials").or_insert_with(|| json!({}));
            credentials["sessionToken"] = json!(CANARY);
            credentials["secretAccessKey"] = json!(CANARY);
        }
        if let Some(asked) = record.get_mut("requestParameters").and_then(Value::as_object_mut) {
            asked.insert("token".to_owned(), json!(CANARY));
            asked.insert("webIdentityToken".to_owned(), json!(CANARY));
            asked.insert("sAMLAssertion".to_owned(), json!(CANARY));
        }
        return true;
    }
    false
}

/// Every record below, wherever the carrier keeps it.
fn plant_below(value: &mut Value) -> u64 {
    let planted = u64::from(plant(value));
    let below: Vec<&mut Value> = match value {
        Value::Object(members) if planted == 0 => members.values_mut().collect(),
        Value::Array(list) => list.iter_mut().collect(),
        _ => Vec::new(),
    };
    planted
        + below
            .into_iter()
            .map(|value| match value {
                Value::String(text) if text.contains("auditID") => {
                    let Ok(mut inner) = serde_json::from_str::<Value>(text) else { return 0 };
                    let planted = plant_below(&mut inner);
                    *text = inner.to_string();
                    planted
                }
                other => plant_below(other),
            })
            .sum::<u64>()
}

/// True when a file holds one of the words, in its bytes or in a row of a table; and how many rows.
fn holds(path: &Path, words: &[&str]) -> (bool, usize) {
    let within = |bytes: &[u8]| {
        words.iter().any(|word| bytes.windows(word.len()).any(|w| w == word.as_bytes()))
    };
    let (mut held, mut rows) = (within(&std::fs::read(path).unwrap()), 0);
    if path.extension().is_some_and(|extension| extension == "parquet") {
        let file = std::fs::File::open(path).unwrap();
        let reader = parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder::try_new(file);
        for batch in reader.unwrap().build().unwrap() {
            let batch = batch.unwrap();
            rows += batch.num_rows();
            for column in batch.columns() {
                held |= within(format!("{column:?}").as_bytes());
                for row in 0..column.len() {
                    let shown = arrow::util::display::array_value_to_string(column, row);
                    held |= within(shown.unwrap().as_bytes());
                }
            }
        }
    }
    (held, rows)
}

#[test]
fn tokens_and_bodies_stay_where_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let logs = folder.path().join("logs");
    copy(&project("samples/logs"), &logs);
    let mut planted = 0;
    for path in files(&logs) {
        let bytes = std::fs::read(&path).unwrap();
        let mut text = String::new();
        let inflated =
            flate2::read::MultiGzDecoder::new(bytes.as_slice()).read_to_string(&mut text);
        if inflated.is_err() {
            text = String::from_utf8_lossy(&bytes).into_owned();
        }
        let stream = serde_json::Deserializer::from_str(&text).into_iter::<Value>();
        let mut changed = String::new();
        for value in stream {
            let Ok(mut value) = value else { break };
            planted += plant_below(&mut value);
            changed.push_str(&value.to_string());
            changed.push('\n');
        }
        if !changed.is_empty() {
            std::fs::write(&path, changed).unwrap();
        }
    }
    // A record that is rejected leaves an example of itself: it must not be of its secrets.
    let broken = json!({ "Records": [{ "eventSource": "sts.amazonaws.com", "eventName": "AssumeRole",
        "responseElements": { "credentials": { "sessionToken": CANARY } } }] });
    std::fs::write(logs.join("broken.json"), broken.to_string()).unwrap();
    assert!(planted > 5000, "{planted}");

    let out = folder.path().join("out");
    let got = Command::new(env!("CARGO_BIN_EXE_overgrant"))
        .args(["audit", "-vvv", "--inventory", "samples/inventory"])
        .args(["--metrics"])
        .arg(folder.path().join("metrics"))
        .arg("--out")
        .arg(&out)
        .arg(&logs)
        .current_dir(project(""))
        .output()
        .unwrap();
    for said in [&got.stdout, &got.stderr] {
        assert!(!String::from_utf8_lossy(said).contains(CANARY));
    }
    assert!(matches!(got.status.code(), Some(0 | 3)), "{}", String::from_utf8_lossy(&got.stderr));
    let mut values = 0;
    for path in files(&out) {
        let (held, rows) = holds(&path, &[CANARY]);
        assert!(!held, "{}", path.display());
        values += rows;
    }
    assert!(values > 1000, "{values} rows were looked at");
    assert!(!std::fs::read_to_string(folder.path().join("metrics")).unwrap().contains(CANARY));
}

/// Of the samples, what requests and a rule call by name.
const SECRET: &str = "db-password";

#[test]
fn names_of_secrets_are_hidden_and_verdicts_stay() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    copy(&project("samples/logs"), &at("logs"));
    copy(&project("samples/inventory"), &at("inventory"));
    // A ServiceAccount that may read one Secret and does, another that may and does not.
    let role = |name: &str, secret: &str| {
        json!({ "kind": "Role", "metadata": { "name": name, "namespace": "shop" }, "rules": [
            { "apiGroups": [""], "resources": ["secrets"], "verbs": ["get"], "resourceNames": [secret] },
            { "apiGroups": [""], "resources": ["secrets", "configmaps"], "verbs": ["update"],
                "resourceNames": ["settings"] }] })
    };
    let binding = |name: &str| {
        json!({ "kind": "RoleBinding", "metadata": { "name": name, "namespace": "shop" },
            "roleRef": { "kind": "Role", "name": name },
            "subjects": [{ "kind": "ServiceAccount", "name": name, "namespace": "shop" }] })
    };
    let account = |name: &str| {
        json!({ "kind": "ServiceAccount", "metadata": { "name": name, "namespace": "shop",
            "creationTimestamp": "2026-05-01T00:00:00Z" } })
    };
    let token = json!({ "kind": "Secret", "type": "kubernetes.io/service-account-token",
        "metadata": { "name": format!("{SECRET}-token"), "namespace": "shop",
            "annotations": { "kubernetes.io/service-account.name": "reader" } } });
    let added = json!({ "kind": "List", "items": [role("reader", SECRET), role("idler", "db-other"),
        binding("reader"), binding("idler"), account("reader"), account("idler"), token] });
    std::fs::write(at("inventory/prod/kubernetes-more.json"), added.to_string()).unwrap();
    let events: Vec<String> = (0..40)
        .map(|n| {
            let at = format!("2026-11-{:02}T08:{n:02}:00.000000Z", 1 + n % 20);
            json!({ "kind": "Event", "apiVersion": "audit.k8s.io/v1", "level": "Metadata",
                "auditID": format!("s-{n}"), "stage": "ResponseComplete", "verb": "get",
                "requestURI": format!("/api/v1/namespaces/shop/secrets/{SECRET}"),
                "user": { "username": "system:serviceaccount:shop:reader",
                    "groups": ["system:serviceaccounts", "system:serviceaccounts:shop",
                        "system:authenticated"] },
                "objectRef": { "resource": "secrets", "namespace": "shop", "name": SECRET,
                    "apiVersion": "v1" },
                "responseStatus": { "code": 200 }, "requestReceivedTimestamp": at,
                "annotations": { "authorization.k8s.io/decision": "allow",
                    "authorization.k8s.io/reason": "RBAC: allowed by RoleBinding \"reader/shop\" of Role \"reader\" to ServiceAccount \"reader/shop\"" } })
            .to_string()
        })
        .collect();
    let place = at("logs/native/2026/11/20");
    std::fs::create_dir_all(&place).unwrap();
    std::fs::write(place.join("audit.log"), events.join("\n")).unwrap();
    // What is rejected shows what it was.
    let broken = format!("{{\"kind\":\"Event\",\"auditID\":\"{SECRET}\",\n");
    std::fs::write(place.join("broken.log"), broken).unwrap();

    let run = |out: &str, more: &[&str]| {
        let got = Command::new(env!("CARGO_BIN_EXE_overgrant"))
            .args(["audit", "-vv"])
            .arg(at("logs"))
            .arg("--inventory")
            .arg(at("inventory"))
            .arg("--out")
            .arg(at(out))
            .args(["--cluster-map", "native/=arn:aws:eks:us-west-2:111122223333:cluster/prod"])
            .args(more)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&got.stderr).into_owned()
            + &String::from_utf8_lossy(&got.stdout);
        assert!(matches!(got.status.code(), Some(0 | 3)), "{said}");
        said
    };
    let named = |out: &str| -> Vec<PathBuf> {
        let current = std::fs::canonicalize(at(out).join(".current")).unwrap();
        let all = files(&current);
        assert!(all.len() > 20, "{all:?}");
        all.into_iter().filter(|path| holds(path, &[SECRET, "db-other"]).0).collect()
    };
    run("open", &[]);
    assert!(named("open").len() > 3);
    let said = run("hidden", &["--hide-secret-names"]);
    assert!(!said.contains(SECRET), "{said}");
    let left = named("hidden");
    assert!(left.is_empty(), "{left:?}");
    let said = |out: &str| {
        let rows: Vec<VerdictRow> = rows(&at(out));
        rows.into_iter()
            .map(|row| {
                (row.grant_id, row.verdict, row.recommendation, row.used_count, row.excess_before)
            })
            .collect::<Vec<_>>()
    };
    assert_eq!(said("open"), said("hidden"));

    // Onto an open report: all is read again, and nothing of it is kept.
    let told = run("open", &["--hide-secret-names"]);
    assert!(told.contains("--hide-secret-names came or went"), "{told}");
    assert!(named("open").is_empty());
    same(&report_of(&at("open")), &report_of(&at("hidden")), "as if it had always been hidden");

    let grants: Vec<GrantRow> = rows(&at("hidden"));
    let reader = grants.iter().find(|row| row.principal == "shop/reader").unwrap();
    let got = Command::new(env!("CARGO_BIN_EXE_overgrant"))
        .args(["remediate", "--only", &reader.grant_id, "--from"])
        .arg(at("hidden"))
        .arg("--to")
        .arg(at("remedy"))
        .output()
        .unwrap();
    let said =
        String::from_utf8_lossy(&got.stdout).into_owned() + &String::from_utf8_lossy(&got.stderr);
    assert!(said.contains("--hide-secret-names"), "{said}");
}
