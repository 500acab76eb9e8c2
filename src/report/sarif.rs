//! Findings and changes as SARIF 2.1.0, for whatever shows the results of analysers.
//!
//! Source: <https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html>. A grant is no place in a
//! source file: it is a logical location, and the report that holds it stands for the file. What is
//! suppressed is there, with its suppression.

use serde_json::{Map, Value, json};

use super::summary::{Finding, SummaryInput};
use super::terminal::printable;
use crate::compare::{Change, ChangeKind};
use crate::model::suppression::Suppression;

const SCHEMA: &str = "https://json.schemastore.org/sarif-2.1.0.json";
const REPORT: &str = "reports/grant_review.parquet";

/// Rules that a finding or a change may be of: id, in a few words, and what it says.
const RULES: [(&str, &str, &str); 17] = [
    (
        "break_glass_used",
        "A break-glass principal was used",
        "A principal that [break-glass] names is for emergencies only, and was seen in the window: ask whether it was one.",
    ),
    (
        "changed",
        "A grant changed",
        "It allows something else, or elsewhere, than in the earlier run.",
    ),
    ("gone", "A grant is gone", "It was there in the earlier run."),
    (
        "ineffective",
        "A grant that cannot be exercised",
        "It cannot be exercised: inert or overridden aws-auth row, recreated or deleted principal, unbound group, dangling role or subject.",
    ),
    ("new", "A grant is new", "It was not there in the earlier run."),
    (
        "newly_unused",
        "A grant is no longer used",
        "It was used in the window of the earlier run, and is not in that of the later one.",
    ),
    (
        "newly_used",
        "A grant is used for the first time",
        "It was not used in the window of the earlier run, and is in that of the later one.",
    ),
    (
        "over_scoped",
        "A grant that is wider than its use",
        "A smaller predefined policy fits, or it holds a sensitive permission nobody used, or exact RBAC needs at most half of its cells.",
    ),
    (
        "redundant",
        "A grant whose use others cover",
        "Other grants, as they will remain, cover all its use.",
    ),
    ("severity_down", "A verdict is less bad", "Its severity fell since the earlier run."),
    ("severity_up", "A verdict is worse", "Its severity rose since the earlier run."),
    (
        "suppression_expired",
        "A suppression has ended",
        "It no longer covers anything: renew it with a later date, or act on what it covered and delete it.",
    ),
    ("too_new", "A grant that is too young to judge", "Not used, and younger than --min-age."),
    (
        "unobservable",
        "A grant that cannot be judged",
        "Its rules or the evidence are missing: a hole in the logs, an unpublished policy, a permission that leaves no audit line.",
    ),
    (
        "unused",
        "A grant that nobody used",
        "Not used in the window, and the logs cover enough of it to say so.",
    ),
    ("used", "A grant that is used as it is", "Used, and no wider than it should be."),
    (
        "verdict",
        "A verdict changed",
        "The later run says something else of the grant than the earlier one.",
    ),
];

/// One result, before it is JSON.
struct Entry<'a> {
    rule: &'a str,
    severity: &'a str,
    message: String,
    grant_id: &'a str,
    /// Cluster, principal, grant.
    place: [&'a str; 3],
    suppression: Option<Value>,
    state: Option<&'static str>,
}

/// The findings of a run.
#[must_use]
pub fn of_summary(input: &SummaryInput) -> String {
    let all = input.findings.iter().chain(&input.suppressed);
    log(&all.map(of_finding).collect::<Vec<_>>())
}

/// The changes between two runs.
#[must_use]
pub fn of_changes(changes: &[Change]) -> String {
    log(&changes.iter().map(of_change).collect::<Vec<_>>())
}

fn of_finding(finding: &Finding) -> Entry<'_> {
    let Finding { detail, recommendation, principal, grant, .. } = finding;
    Entry {
        rule: finding.verdict,
        severity: finding.severity,
        message: format!("{principal}, {grant}: {detail}. Recommended: {recommendation}"),
        grant_id: &finding.grant_id,
        place: [&finding.cluster, principal, grant],
        suppression: finding.suppression.as_ref().map(of_suppression),
        state: finding.new.map(|new| if new { "new" } else { "unchanged" }),
    }
}

fn of_suppression(suppression: &Suppression) -> Value {
    let Suppression { owner, reason, expires } = suppression;
    json!({
        "kind": "external",
        "status": "accepted",
        "justification": printable(reason),
        "properties": { "owner": printable(owner), "expires": expires },
    })
}

fn of_change(change: &Change) -> Entry<'_> {
    let side = |text: &Option<String>| match text.as_deref() {
        None | Some("") => "nothing".to_owned(),
        Some(text) => text.to_owned(),
    };
    let Change { principal, grant, what, .. } = change;
    let told = format!("{what}: {} -> {}", side(&change.from), side(&change.to));
    Entry {
        rule: change.kind.as_str(),
        severity: &change.severity,
        message: format!("{principal}, {grant}: {told}"),
        grant_id: &change.grant_id,
        place: [&change.cluster_name, principal, grant],
        suppression: change.suppression.as_ref().map(of_suppression),
        state: Some(match change.kind {
            ChangeKind::New => "new",
            ChangeKind::Gone => "absent",
            _ => "updated",
        }),
    }
}

fn log(entries: &[Entry<'_>]) -> String {
    let rules: Vec<Value> = RULES
        .iter()
        .filter(|(id, ..)| entries.iter().any(|entry| entry.rule == *id))
        .map(|(id, short, help)| {
            json!({
                "id": id,
                "name": id,
                "shortDescription": { "text": short },
                "fullDescription": { "text": help },
                "help": { "text": help },
            })
        })
        .collect();
    let results: Vec<Value> = entries.iter().map(result).collect();
    let value = json!({
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [{
            "tool": {
                "driver": {
                    "name": "overgrant",
                    "semanticVersion": env!("CARGO_PKG_VERSION"),
                    "rules": rules,
                },
            },
            "results": results,
        }],
    });
    format!("{value:#}\n")
}

fn result(entry: &Entry<'_>) -> Value {
    let level = match entry.severity {
        "critical" | "high" => "error",
        "medium" => "warning",
        _ => "note",
    };
    let fingerprint = match entry.grant_id {
        "" => printable(&entry.place.join("/")),
        id => id.to_owned(),
    };
    let locations: Vec<Value> = entry
        .place
        .into_iter()
        .zip(["cluster", "principal", "grant"])
        .filter(|(name, _)| !name.is_empty())
        .map(|(name, kind)| json!({ "name": printable(name), "kind": kind }))
        .collect();
    let mut result = Map::new();
    let mut put = |key: &str, value: Value| result.insert(key.to_owned(), value);
    put("ruleId", json!(entry.rule));
    put("level", json!(level));
    put("message", json!({ "text": printable(&entry.message) }));
    put(
        "locations",
        json!([{
            "physicalLocation": {
                "artifactLocation": { "uri": REPORT, "uriBaseId": "OUT" },
                // No line of a table of bytes means anything; GitHub asks for one.
                "region": { "startLine": 1 },
            },
            "logicalLocations": locations,
        }]),
    );
    put("partialFingerprints", json!({ "grant_id/v1": fingerprint }));
    put("properties", json!({ "severity": entry.severity }));
    if let Some(suppression) = &entry.suppression {
        put("suppressions", json!([suppression]));
    }
    if let Some(state) = entry.state {
        put("baselineState", json!(state));
    }
    Value::Object(result)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_change_is_a_rule() {
        for kind in ChangeKind::ALL {
            assert!(RULES.iter().any(|(id, ..)| *id == kind.as_str()), "{}", kind.as_str());
        }
    }

    #[test]
    fn a_change_that_is_known_says_who_answers_for_it() {
        let change = |suppression| Change {
            kind: ChangeKind::Verdict,
            severity: "high".to_owned(),
            grant_id: "0123456789abcdef".to_owned(),
            cluster: "arn:prod".to_owned(),
            cluster_name: "prod".to_owned(),
            principal: "dev".to_owned(),
            grant: "rbac_subject".to_owned(),
            what: "verdict",
            from: None,
            to: None,
            suppression,
            worse: true,
            new: true,
        };
        let known = Suppression {
            owner: "sre".to_owned(),
            reason: "evil\u{1b}[2J".to_owned(),
            expires: "2027-01-31".to_owned(),
        };
        let log: Value =
            serde_json::from_str(&of_changes(&[change(Some(known)), change(None)])).unwrap();
        let results = &log["runs"][0]["results"];
        assert_eq!(
            results[0]["suppressions"],
            json!([{
                "kind": "external",
                "status": "accepted",
                "justification": "evil\\u{1b}[2J",
                "properties": { "owner": "sre", "expires": "2027-01-31" },
            }])
        );
        assert_eq!(results[1]["suppressions"], Value::Null);
    }

    #[test]
    fn a_finding_is_a_result() {
        let finding = Finding {
            severity: "medium",
            verdict: "unused",
            grant_id: "0123456789abcdef".to_owned(),
            cluster: "prod".to_owned(),
            principal: "evil\u{1b}[2J".to_owned(),
            grant: "pod_identity".to_owned(),
            detail: "not one request".to_owned(),
            recommendation: "remove".to_owned(),
            new: Some(false),
            suppression: Some(Suppression {
                owner: "sre".to_owned(),
                reason: "migrating".to_owned(),
                expires: "2027-01-31".to_owned(),
            }),
            ..Finding::default()
        };
        let input = SummaryInput { suppressed: vec![finding], ..SummaryInput::default() };
        insta::assert_snapshot!(of_summary(&input));
    }
}
