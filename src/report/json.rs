//! The summary as one JSON object, for programs.

use serde_json::{Map, Value, json};

use super::summary::{Finding, SummaryInput};

/// The object, pretty, with a final newline. Keys are sorted.
#[must_use]
pub fn of_summary(input: &SummaryInput) -> String {
    let verdicts: Map<String, Value> =
        input.verdicts.iter().map(|(verdict, n)| ((*verdict).to_owned(), json!(n))).collect();
    let coverage: Vec<Value> = input
        .coverage
        .iter()
        .map(|(stream, covered, hours)| {
            json!({ "stream": stream, "covered_hours": covered, "hours": hours })
        })
        .collect();
    let list = |findings: &[Finding]| findings.iter().map(finding).collect::<Vec<Value>>();
    let api_moves: Vec<Value> = input
        .api_moves
        .iter()
        .map(|one| {
            json!({ "cluster": one.cluster, "mode": one.mode, "api_safe": one.safe, "why": one.why })
        })
        .collect();
    let (read, again, kept) = input.objects;
    let news = input
        .news
        .as_ref()
        .map(|news| json!({ "since": news.since, "new": news.new, "gone": news.gone }));
    let value = json!({
        "window": input.window,
        "clusters": input.clusters,
        "verdicts": verdicts,
        "managed": input.managed,
        "findings": list(&input.findings),
        "suppressed": list(&input.suppressed),
        "baseline": news,
        "coverage": coverage,
        "api_moves": api_moves,
        "counters": input.counters,
        "copies": input.copies,
        "objects": { "read": read, "read_again": again, "kept": kept },
        "warnings": input.warnings,
        "out": input.out,
    });
    format!("{value:#}\n")
}

fn finding(finding: &Finding) -> Value {
    let suppression = finding
        .suppression
        .as_ref()
        .map(|one| json!({ "owner": one.owner, "reason": one.reason, "expires": one.expires }));
    json!({
        "severity": finding.severity,
        "verdict": finding.verdict,
        "grant_id": finding.grant_id,
        "cluster": finding.cluster,
        "principal": finding.principal,
        "grant": finding.grant,
        "detail": finding.detail,
        "recommendation": finding.recommendation,
        "new": finding.new,
        "suppression": suppression,
    })
}

#[cfg(test)]
mod tests {
    use super::super::summary::News;
    use super::*;
    use crate::model::suppression::Suppression;

    #[test]
    fn a_summary_is_one_object() {
        let finding = |severity, new| Finding {
            severity,
            verdict: "unused",
            grant_id: "0123456789abcdef".to_owned(),
            principal: "evil\u{1b}[2J".to_owned(),
            new,
            ..Finding::default()
        };
        let suppression = Suppression {
            owner: "sre".to_owned(),
            reason: "migrating".to_owned(),
            expires: "2027-01-31".to_owned(),
        };
        let input = SummaryInput {
            window: "a … b".to_owned(),
            clusters: vec!["prod".to_owned()],
            verdicts: vec![("unused", 2)],
            findings: vec![finding("high", Some(true))],
            suppressed: vec![Finding {
                suppression: Some(suppression),
                ..finding("critical", None)
            }],
            news: Some(News { since: Some("2026-11-17T00:00:00Z".to_owned()), new: 1, gone: 0 }),
            coverage: vec![("audit log of prod".to_owned(), 9, 10)],
            ..SummaryInput::default()
        };
        insta::assert_snapshot!(of_summary(&input));
    }
}
