//! The samples' CloudTrail records as the event history answers them.

use std::io::Read;

use overgrant::model::time::Micros;
use serde_json::{Value, json};

use super::project;

/// Whose history it is.
pub(crate) const ACCOUNT: &str = "111122223333";

/// Management events of the samples, newest first.
pub(crate) fn records() -> Vec<Value> {
    let mut all: Vec<Value> = Vec::new();
    let mut folders = vec![project("samples/logs/AWSLogs")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let mut text = String::new();
            let file = std::fs::File::open(&path).unwrap();
            if flate2::read::MultiGzDecoder::new(file).read_to_string(&mut text).is_err() {
                continue;
            }
            let read: Value = serde_json::from_str(&text).unwrap_or_default();
            all.extend(read["Records"].as_array().cloned().unwrap_or_default());
        }
    }
    all.retain(|record| seconds(record).is_some());
    all.sort_by_key(|record| (std::cmp::Reverse(seconds(record)), record.to_string()));
    all.dedup_by_key(|record| record["eventID"].clone());
    all
}

fn seconds(record: &Value) -> Option<i64> {
    record["eventTime"].as_str().and_then(Micros::parse).map(|at| at.0 / 1_000_000)
}

/// One page of `LookupEvents`; both ends of the time count.
pub(crate) fn page(all: &[Value], asked: &Value) -> Value {
    let [attribute] = asked["LookupAttributes"].as_array().unwrap().as_slice() else {
        panic!("one attribute is allowed: {asked}")
    };
    assert_eq!(attribute["AttributeKey"], "EventSource");
    let time = |name: &str| asked[name].as_f64().map(|at| format!("{at:.0}").parse().unwrap());
    let (from, to): (i64, i64) = (time("StartTime").unwrap(), time("EndTime").unwrap());
    let found: Vec<&Value> = all
        .iter()
        .filter(|record| record["eventSource"] == attribute["AttributeValue"])
        .filter(|record| seconds(record).is_some_and(|at| from <= at && at <= to))
        .collect();
    let size: usize = asked["MaxResults"].as_u64().unwrap().try_into().unwrap();
    assert!((1..=50).contains(&size));
    let start: usize = asked["NextToken"].as_str().map_or(0, |token| token.parse().unwrap());
    let end = (start + size).min(found.len());
    let events: Vec<Value> = found[start..end]
        .iter()
        .map(|record| {
            json!({ "EventId": record["eventID"], "EventTime": seconds(record),
                "CloudTrailEvent": record.to_string() })
        })
        .collect();
    let mut answer = json!({ "Events": events });
    if end < found.len() {
        answer["NextToken"] = end.to_string().into();
    }
    answer
}
