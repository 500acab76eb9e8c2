//! What must never leave: canaries planted wherever logs may hold secrets, looked for in all that a run
//! writes and says.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use crate::support::{copy, project};

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
        let bytes = std::fs::read(&path).unwrap();
        let holds = |bytes: &[u8]| bytes.windows(CANARY.len()).any(|w| w == CANARY.as_bytes());
        assert!(!holds(&bytes), "{}", path.display());
        if path.extension().is_some_and(|extension| extension == "parquet") {
            let file = std::fs::File::open(&path).unwrap();
            let reader =
                parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder::try_new(file);
            for batch in reader.unwrap().build().unwrap() {
                let batch = batch.unwrap();
                values += batch.num_rows();
                for column in batch.columns() {
                    let text = format!("{column:?}");
                    assert!(!text.contains(CANARY), "{}", path.display());
                    for row in 0..column.len() {
                        let shown = arrow::util::display::array_value_to_string(column, row);
                        assert!(!shown.unwrap().contains(CANARY), "{}", path.display());
                    }
                }
            }
        }
    }
    assert!(values > 1000, "{values} rows were looked at");
    assert!(!std::fs::read_to_string(folder.path().join("metrics")).unwrap().contains(CANARY));
}
