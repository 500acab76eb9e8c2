//! What changed between two runs: for a terminal of 80 columns, as CSV, as JSON. Pure.

use std::io;

use serde_json::{Value, json};

use super::answer::{csv_line, harmless};
use super::terminal::{Style, painted, printable, wrap};
use crate::compare::{Change, ChangeKind};
use crate::model::suppression::Suppression;

const COLUMNS: [&str; 15] = [
    "kind",
    "severity",
    "cluster_name",
    "principal",
    "grant",
    "what",
    "from",
    "to",
    "suppressed",
    "worse",
    "grant_id",
    "cluster",
    "suppressed_by",
    "suppressed_reason",
    "suppressed_until",
];

/// For people: a block a grant, the worst first.
#[must_use]
pub fn table(changes: &[Change], before: &str, after: &str, style: Style) -> String {
    let mut out = format!("Changes\n\n  before  {before}\n  after   {after}\n");
    let count = |kind| changes.iter().filter(|change| change.kind == kind).count();
    for kind in ChangeKind::ALL.into_iter().filter(|kind| count(*kind) > 0) {
        out.push_str(&format!("  {:<14}{:>6}  {}\n", kind.as_str(), count(kind), meaning(kind)));
    }
    if changes.is_empty() {
        out.push_str("\nNothing changed.\n");
    }
    for group in changes.chunk_by(|a, b| a.grant_id == b.grant_id) {
        let Some(first) = group.first() else { continue };
        let worst = group.iter().max_by_key(|change| crate::compare::rank(&change.severity));
        let severity = worst.map_or("info", |change| change.severity.as_str());
        let suppressed = match &first.suppression {
            Some(known) => format!(" (suppressed by {} until {})", known.owner, known.expires),
            None => String::new(),
        };
        let who = format!("{}: {}{suppressed}", first.cluster_name, first.principal);
        let who = wrapped(&printable(&who), 11);
        out.push_str(&format!("\n  {} {who}\n", painted(severity, 8, style)));
        for line in [&first.grant, &first.grant_id] {
            out.push_str(&format!("           {}\n", wrapped(&printable(line), 11)));
        }
        for change in group {
            let line = format!("- {}", wrapped(&printable(&words(change)), 13));
            out.push_str(&format!("           {line}\n"));
        }
    }
    out
}

/// For spreadsheets. Text that they would take for a formula gets a quote in front.
///
/// # Errors
/// Never in memory; the writer of CSV says it can.
pub fn csv(changes: &[Change]) -> io::Result<String> {
    let mut lines = vec![csv_line(COLUMNS.into_iter().map(str::to_owned))?];
    for change in changes {
        let known = change.suppression.as_ref();
        let known = |of: fn(&Suppression) -> &str| known.map(of).unwrap_or_default();
        let cells = [
            change.kind.as_str(),
            &change.severity,
            &change.cluster_name,
            &change.principal,
            &change.grant,
            change.what,
            change.from.as_deref().unwrap_or_default(),
            change.to.as_deref().unwrap_or_default(),
            if change.suppression.is_some() { "true" } else { "false" },
            if change.worse { "true" } else { "false" },
            &change.grant_id,
            &change.cluster,
            known(|known| &known.owner),
            known(|known| &known.reason),
            known(|known| &known.expires),
        ];
        // A line a change: what breaks lines is shown, not written.
        lines.push(csv_line(cells.into_iter().map(|cell| harmless(&printable(cell))))?);
    }
    String::from_utf8(lines.concat()).map_err(io::Error::other)
}

/// For programs: an array, one object a change.
#[must_use]
pub fn json(changes: &[Change]) -> String {
    let all: Vec<Value> = changes
        .iter()
        .map(|change| {
            json!({
                "kind": change.kind.as_str(),
                "severity": change.severity,
                "grant_id": change.grant_id,
                "cluster": change.cluster,
                "cluster_name": change.cluster_name,
                "principal": change.principal,
                "grant": change.grant,
                "what": change.what,
                "from": change.from,
                "to": change.to,
                "suppressed": change.suppression.is_some(),
                "suppression": change.suppression.as_ref().map(|known| json!({
                    "owner": known.owner, "reason": known.reason, "expires": known.expires,
                })),
                "worse": change.worse,
            })
        })
        .collect();
    format!("{:#}\n", Value::Array(all))
}

fn meaning(kind: ChangeKind) -> &'static str {
    match kind {
        ChangeKind::New => "grants that were not there",
        ChangeKind::Gone => "grants that are no longer there",
        ChangeKind::Changed => "grants that allow something else, or elsewhere",
        ChangeKind::Verdict => "another verdict",
        ChangeKind::NewlyUsed => "used, and were not before",
        ChangeKind::NewlyUnused => "no longer used",
        ChangeKind::SeverityUp => "worse",
        ChangeKind::SeverityDown => "less bad",
    }
}

fn words(change: &Change) -> String {
    let side = |text: &Option<String>| match text.as_deref() {
        None | Some("") => "nothing".to_owned(),
        Some(text) => text.to_owned(),
    };
    let told = |verdict: &Option<String>| match verdict {
        Some(verdict) => format!(" ({verdict})"),
        None => String::new(),
    };
    let name = change.kind.as_str();
    match change.kind {
        ChangeKind::New => format!("{name}{}", told(&change.to)),
        ChangeKind::Gone => format!("{name}{}", told(&change.from)),
        ChangeKind::Changed => {
            format!("{name} {}: {} -> {}", change.what, side(&change.from), side(&change.to))
        }
        _ => format!("{name}: {} -> {}", side(&change.from), side(&change.to)),
    }
}

/// A text that begins at column `indent`, as do the lines that it is broken into.
fn wrapped(text: &str, indent: usize) -> String {
    let lines = wrap(&" ".repeat(indent), indent, text).join("\n");
    lines.trim_start().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::terminal::WIDTH;

    fn changes() -> Vec<Change> {
        let change = |kind, severity: &str, id: &str| {
            Change {
            kind,
            severity: severity.to_owned(),
            grant_id: id.to_owned(),
            cluster: "arn:aws:eks:us-west-2:111122223333:cluster/prod".to_owned(),
            cluster_name: "prod".to_owned(),
            principal: "arn:aws:iam::111122223333:role/aws-reserved/sso.amazonaws.com/us-west-2/AWSReservedSSO_Dev_0123456789abcdef".to_owned(),
            grant: "access_policy AmazonEKSAdminPolicy on pay, shop".to_owned(),
            what: "grant",
            from: None,
            to: None,
            suppression: None,
            worse: true,
            new: true,
        }
        };
        let text = |text: &str| Some(text.to_owned());
        let known = || Suppression {
            owner: "sre".to_owned(),
            reason: "moved, \"soon\"\n=1+1".to_owned(),
            expires: "2027-01-31".to_owned(),
        };
        vec![
            Change {
                to: text("too_new"),
                ..change(ChangeKind::New, "critical", "00000000000000aa")
            },
            Change {
                what: "rules",
                from: text(""),
                to: text(
                    "get,list,watch secrets of core; create,delete,get,list,patch,update,watch pods,pods/exec of core",
                ),
                suppression: Some(known()),
                principal: "evil\u{1b}[2J\u{202e}".to_owned(),
                ..change(ChangeKind::Changed, "high", "00000000000000bb")
            },
            Change {
                what: "verdict",
                from: text("used"),
                to: text("unused"),
                suppression: Some(known()),
                principal: "evil\u{1b}[2J\u{202e}".to_owned(),
                ..change(ChangeKind::Verdict, "high", "00000000000000bb")
            },
            Change {
                from: text("used"),
                principal: "=HYPERLINK(\"x\")".to_owned(),
                ..change(ChangeKind::Gone, "low", "00000000000000cc")
            },
        ]
    }

    #[test]
    fn a_terminal_of_eighty_columns_is_enough() {
        let text = table(&changes(), "a … b", "c … d", Style::default());
        let widest = text.lines().map(|line| line.chars().count()).max();
        assert!(widest <= Some(WIDTH), "{widest:?}");
        assert!(!text.contains('\u{1b}') && !text.contains('\u{202e}'), "{text}");
        insta::assert_snapshot!(text);
        let none = table(&[], "a", "b", Style::default());
        assert!(none.ends_with("\nNothing changed.\n"), "{none}");
    }

    #[test]
    fn csv_holds_no_formula_and_every_cell() {
        let text = csv(&changes()).unwrap();
        insta::assert_snapshot!(text);
    }

    #[test]
    fn json_is_an_array() {
        let value: Value = serde_json::from_str(&json(&changes())).unwrap();
        let kinds: Vec<&str> =
            value.as_array().unwrap().iter().map(|one| one["kind"].as_str().unwrap()).collect();
        assert_eq!(kinds, ["new", "changed", "verdict", "gone"]);
        assert_eq!(value[0]["from"], Value::Null);
    }
}
