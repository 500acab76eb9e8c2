//! The report as one page: `report.html`, self-contained and inert.
//!
//! Input: the written tables, through the engine. Output: the template with its style, its script and
//! the data as JSON. Nothing in the data can run: the policy of the page names the digests of its own
//! style and script and allows nothing else, and the JSON cannot end the element that it stands in.
//! Source: <https://www.w3.org/TR/CSP3/#strict-csp>.

use std::collections::BTreeMap;

use arrow::array::RecordBatch;
use base64::Engine as _;
use serde_json::{Map, Value, json};

use super::ReportError;
use super::answer::cell;
use super::by_day::COVERAGE;
use super::engine::Engine;
use crate::model::digest;

const TEMPLATE: &str = include_str!("page.html");
const STYLE: &str = include_str!("page.css");
/// Parts of the script, in the order of their names.
const SCRIPT: [&str; 13] = [
    include_str!("js/10-text.js"),
    include_str!("js/20-words.js"),
    include_str!("js/30-model.js"),
    include_str!("js/40-state.js"),
    include_str!("js/50-overview.js"),
    include_str!("js/60-table.js"),
    include_str!("js/70-drawer.js"),
    include_str!("js/75-yaml.js"),
    include_str!("js/80-todo.js"),
    include_str!("js/82-heat.js"),
    include_str!("js/84-timeline.js"),
    include_str!("js/86-coverage.js"),
    include_str!("js/90-main.js"),
];
/// Verdicts and severities that are counted for readers without scripts.
const VERDICTS: [&str; 7] =
    ["ineffective", "unobservable", "too_new", "unused", "redundant", "over_scoped", "used"];
const SEVERITIES: [&str; 5] = ["critical", "high", "medium", "low", "info"];
const PARTIAL: &str = "<p>The evidence is partial: some of it is missing.</p>";
/// Uses of a grant that are listed; the others are counted.
const USES: usize = 50;
/// Principals of the heat map, those with most requests.
const PRINCIPALS: usize = 100;
/// Changes of the timeline, the latest.
const CHANGES: usize = 1000;

const RUN: &str = "SELECT since, until, tool_version, policy_table_version FROM run";
const GRANTS: &str = "\
SELECT g.grant_id, g.cluster, g.grant_kind, g.identity_kind, g.principal, g.grant_ref, g.role_ref, g.scope,
    g.namespaces, v.members, v.verdict, v.also, v.reason, v.detail, v.confidence, v.severity, v.age_days,
    v.coverage, v.first_used, v.last_used, v.used_days, v.used_count, v.used_permissions, v.recommendation,
    v.recommendation_detail, v.recommended_policy, v.recommended_scope, v.recommended_namespaces,
    v.recommended_rbac, v.excess_before, v.excess_after, v.replay_denied, g.valid_from, g.granted_by,
    g.managed_by_aws AS managed, g.open_ended,
    CASE WHEN v.suppressed THEN v.suppressed_by || ': ' || v.suppressed_reason END AS suppressed
FROM grants g JOIN verdicts v ON v.grant_id = g.grant_id
ORDER BY v.severity_rank DESC, g.cluster, g.principal, g.grant_id";
const CLUSTERS: &str =
    "SELECT DISTINCT cluster AS arn, cluster_name AS name FROM grants ORDER BY arn, name";
const USED: &str = "\
SELECT u.grant_id, u.via, u.verb, u.api_group, u.resource, u.subresource, u.namespace, u.name, u.path,
    u.count, u.used_days, u.first_used, u.last_used
FROM grant_usage u JOIN grants g ON g.grant_id = u.grant_id WHERE NOT g.managed_by_aws
ORDER BY u.grant_id, u.count DESC, u.via, u.verb, u.api_group, u.resource, u.subresource, u.namespace,
    u.name, u.path";
const PROPOSED: &str = "\
SELECT grant_id, kind, policy_arn, namespaces, verbs, api_groups, resources, resource_names,
    non_resource_urls
FROM proposals WHERE chosen AND for_group = '' ORDER BY grant_id, candidate, part";
const HEAT: &str = "\
SELECT principal_arn, namespace, sum(count) AS requests FROM api_access
WHERE decision = 'allow' AND NOT component GROUP BY principal_arn, namespace
ORDER BY principal_arn, namespace";
const CHANGED: &str = "\
SELECT at, cluster, change, subject, reference, actor FROM grant_changes
ORDER BY at, cluster, change, subject, reference, names, namespaces, actor, session_id, invoked_by";

/// Makes the page from the tables that the engine has; `complete` when nothing was lowered or lost.
///
/// # Errors
/// When a table does not read.
pub async fn page(
    engine: &Engine,
    warnings: &[String],
    complete: bool,
) -> Result<Vec<u8>, ReportError> {
    let data = data(engine, warnings, complete).await?;
    Ok(filled(&data).into_bytes())
}

async fn data(engine: &Engine, warnings: &[String], complete: bool) -> Result<Value, ReportError> {
    let run = rows(engine, RUN).await?;
    let run = run.first().map(Vec::as_slice).unwrap_or_default();
    let of_run = |at: usize| run.get(at).cloned().unwrap_or_default();
    let clusters = rows(engine, CLUSTERS).await?;
    let number: BTreeMap<String, usize> =
        clusters.iter().enumerate().map(|(n, row)| (text(row, 0), n)).collect();
    let names: BTreeMap<String, String> =
        clusters.iter().map(|row| (text(row, 0), text(row, 1))).collect();
    let numbered = |row: &[Value], at: usize| json!(number.get(&text(row, at)));

    let (columns, mut grants) = named_rows(engine, GRANTS).await?;
    let place: BTreeMap<String, usize> =
        grants.iter().enumerate().map(|(n, row)| (text(row, 0), n)).collect();
    for row in &mut grants {
        let cluster = numbered(row, 1);
        if let Some(cell) = row.get_mut(1) {
            *cell = cluster;
        }
    }

    let mut uses: Map<String, Value> = Map::new();
    let mut counts: BTreeMap<usize, (Vec<Value>, usize)> = BTreeMap::new();
    // A batch of it is held at a time: only a few of each grant are kept.
    each(engine, USED, |mut row| {
        let Some(&grant) = place.get(&text(&row, 0)) else { return };
        let (listed, more) = counts.entry(grant).or_default();
        if listed.len() < USES {
            row.remove(0);
            listed.push(Value::Array(row));
        } else {
            *more += 1;
        }
    })
    .await?;
    for (grant, (listed, more)) in counts {
        uses.insert(grant.to_string(), json!({ "rows": listed, "more": more }));
    }

    let (names_of, proposed) = named_rows(engine, PROPOSED).await?;
    let mut proposals: Map<String, Value> = Map::new();
    for row in proposed {
        let Some(grant) = place.get(&text(&row, 0)) else { continue };
        let part: Map<String, Value> = names_of.iter().cloned().zip(row).skip(1).collect();
        let parts = proposals.entry(grant.to_string()).or_insert_with(|| json!([]));
        if let Value::Array(parts) = parts {
            parts.push(Value::Object(part));
        }
    }

    let changes = rows(engine, CHANGED).await?;
    let more = changes.len().saturating_sub(CHANGES);
    let changes: Vec<Value> = changes
        .into_iter()
        .skip(more)
        .map(|mut row| {
            let cluster = numbered(&row, 1);
            if let Some(cell) = row.get_mut(1) {
                *cell = cluster;
            }
            Value::Array(row)
        })
        .collect();
    let covered = format!("{COVERAGE} ORDER BY stream_kind, of, day");
    Ok(json!({
        "tool": { "version": of_run(2), "policy_table_version": of_run(3) },
        "window": { "since": of_run(0), "until": of_run(1) },
        "complete": complete,
        "clusters": clusters.iter().map(|row| json!({ "arn": text(row, 0), "name": text(row, 1) })).collect::<Vec<_>>(),
        "warnings": warnings,
        "grants": { "columns": columns, "rows": grants },
        "uses": uses,
        "proposals": proposals,
        "heat": heat(&rows(engine, HEAT).await?),
        "coverage": coverage(&rows(engine, &covered).await?, &names),
        "changes": changes,
        "changes_more": more,
    }))
}

/// Principals with most requests, by namespace.
fn heat(rows: &[Vec<Value>]) -> Value {
    let mut sums: BTreeMap<String, i64> = BTreeMap::new();
    for row in rows {
        *sums.entry(text(row, 0)).or_default() += whole(row, 2);
    }
    let mut most: Vec<(i64, String)> = sums.into_iter().map(|(name, n)| (-n, name)).collect();
    most.sort();
    let more = most.len().saturating_sub(PRINCIPALS);
    most.truncate(PRINCIPALS);
    let principals: Vec<String> = most.into_iter().map(|(_, name)| name).collect();
    let mut namespaces: Vec<String> = Vec::new();
    let mut cells = Vec::new();
    for row in rows {
        let name = text(row, 0);
        let Some(principal) = principals.iter().position(|one| *one == name) else { continue };
        let namespace = text(row, 1);
        let known = namespaces.iter().position(|one| *one == namespace);
        let at = known.unwrap_or_else(|| {
            namespaces.push(namespace);
            namespaces.len() - 1
        });
        cells.push(json!([principal, at, whole(row, 2)]));
    }
    json!({ "principals": principals, "namespaces": namespaces, "cells": cells, "more_principals": more })
}

fn coverage(rows: &[Vec<Value>], names: &BTreeMap<String, String>) -> Value {
    let mut streams: Vec<(String, Vec<Value>)> = Vec::new();
    for row in rows {
        let of = text(row, 1);
        let name = if text(row, 0) == "audit" {
            format!("audit log of {}", names.get(&of).unwrap_or(&of))
        } else {
            format!("CloudTrail of {of}")
        };
        let day: String = text(row, 2).chars().take(10).collect();
        let day = json!([day, whole(row, 3), whole(row, 4)]);
        match streams.last_mut() {
            Some((last, days)) if *last == name => days.push(day),
            _ => streams.push((name, vec![day])),
        }
    }
    streams.into_iter().map(|(stream, days)| json!({ "stream": stream, "days": days })).collect()
}

fn text(row: &[Value], at: usize) -> String {
    row.get(at).map(cell::words).unwrap_or_default()
}

fn whole(row: &[Value], at: usize) -> i64 {
    row.get(at).and_then(Value::as_i64).unwrap_or(0)
}

async fn rows(engine: &Engine, sql: &str) -> Result<Vec<Vec<Value>>, ReportError> {
    named_rows(engine, sql).await.map(|(_, rows)| rows)
}

async fn named_rows(
    engine: &Engine,
    sql: &str,
) -> Result<(Vec<String>, Vec<Vec<Value>>), ReportError> {
    let mut all = Vec::new();
    let names = each(engine, sql, |row| all.push(row)).await?;
    Ok((names, all))
}

/// Hands over the rows of a statement as they come; the names of its columns.
async fn each(
    engine: &Engine,
    sql: &str,
    mut take: impl FnMut(Vec<Value>),
) -> Result<Vec<String>, ReportError> {
    let mut answer = engine.ask(sql, &[]).await?;
    let names = answer.schema().fields().iter().map(|field| field.name().clone()).collect();
    while let Some(batch) = answer.next().await? {
        (0..batch.num_rows()).for_each(|row| take(cells(&batch, row)));
    }
    Ok(names)
}

fn cells(batch: &RecordBatch, row: usize) -> Vec<Value> {
    batch.columns().iter().map(|column| cell::json(column.as_ref(), row)).collect()
}

/// What a reader without scripts gets, as in a mail program: how many grants have which verdict and
/// severity. Only codes that are known here are counted, so that nothing of the data gets into it.
fn counts(data: &Value) -> String {
    let columns = data["grants"]["columns"].as_array().map(Vec::as_slice).unwrap_or_default();
    let at = |name: &str| columns.iter().position(|column| *column == *name);
    let of = |row: &Value, name: &str| at(name).and_then(|at| row.get(at)).cloned();
    let rows = data["grants"]["rows"].as_array().map(Vec::as_slice).unwrap_or_default();
    let mine: Vec<&Value> = rows
        .iter()
        .filter(|row| of(row, "managed") != Some(Value::Bool(true)))
        .filter(|row| of(row, "suppressed").is_none_or(|value| value.is_null()))
        .collect();
    let told = |name: &str, codes: &[&str]| {
        let parts = codes.iter().map(|code| {
            let n = mine.iter().filter(|row| of(row, name).is_some_and(|is| is == *code)).count();
            format!("{} {n}", code.replace('_', " "))
        });
        parts.collect::<Vec<_>>().join(", ")
    };
    let verdicts = told("verdict", &VERDICTS);
    let severities = told("severity", &SEVERITIES);
    let partial = if data["complete"] == Value::Bool(true) { "" } else { PARTIAL };
    format!(
        "{partial}<p>Grants by verdict: {verdicts}.</p><p>Grants by severity: {severities}.</p>"
    )
}

/// The template with its places filled, in one pass: what is put in is never searched again.
fn filled(data: &Value) -> String {
    let script = format!("\"use strict\";(()=>{{\n{}}})();\n", SCRIPT.concat());
    let policy = format!(
        "default-src 'none'; script-src '{}'; style-src '{}'; img-src data:; base-uri 'none'; form-action 'none'",
        hash(&script),
        hash(STYLE)
    );
    let mut page = String::with_capacity(TEMPLATE.len() + STYLE.len() + script.len());
    for part in TEMPLATE.split("{{") {
        match part.split_once("}}") {
            Some((name @ ("CSP" | "STYLE" | "SCRIPT" | "COUNTS" | "DATA"), rest)) => {
                match name {
                    "CSP" => page.push_str(&policy),
                    "STYLE" => page.push_str(STYLE),
                    "SCRIPT" => page.push_str(&script),
                    "COUNTS" => page.push_str(&counts(data)),
                    _ => page.push_str(&inert(data)),
                }
                page.push_str(rest);
            }
            _ => page.push_str(part),
        }
    }
    page
}

/// JSON that cannot end the element it stands in.
fn inert(data: &Value) -> String {
    let mut out = String::new();
    for c in data.to_string().chars() {
        match c {
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
                out.push_str(&format!("\\u{:04x}", u32::from(c)));
            }
            c => out.push(c),
        }
    }
    out
}

fn hash(text: &str) -> String {
    let digest = digest::of_bytes(text.as_bytes());
    format!("sha256-{}", base64::engine::general_purpose::STANDARD.encode(digest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_places_are_filled_and_nothing_in_the_data_is_markup() {
        let hostile = "</script><script>alert(1)</script>{{SCRIPT}}\u{2028}<!--";
        let page = filled(&json!({ "warnings": [hostile] }));
        assert_eq!(page.matches("{{SCRIPT}}").count(), 1, "that of the data stays as it is");
        assert!(!page.contains("alert(1)</script>"));
        assert_eq!(page.matches("<script").count(), 2, "the data and the script");
        let start = page.find("id=\"data\">").unwrap() + "id=\"data\">".len();
        let rest = page.get(start..).unwrap();
        let data: Value = serde_json::from_str(rest.split_once("</script>").unwrap().0).unwrap();
        assert_eq!(data["warnings"][0], hostile);
    }

    #[test]
    fn without_scripts_only_known_codes_are_counted() {
        let data = json!({ "grants": {
            "columns": ["verdict", "severity", "managed", "suppressed"],
            "rows": [
                ["unused", "high", false, null],
                ["unused", "<b>", false, null],
                ["<b>", "high", false, null],
                ["unused", "high", true, null],
                ["unused", "high", false, "me: later"],
            ],
        } });
        let counted = counts(&data);
        assert!(counted.contains("too new 0, unused 2, redundant 0"), "{counted}");
        assert!(counted.contains("critical 0, high 2, medium 0"), "{counted}");
        assert!(!counted.contains("<b>"), "{counted}");
        assert!(counted.starts_with(PARTIAL), "nothing says that it is complete: {counted}");
        assert!(!counts(&json!({ "complete": true })).contains(PARTIAL));
    }
}
