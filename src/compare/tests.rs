//! Rows of two runs, and what differs.

use std::collections::BTreeSet;

use super::*;
use crate::model::time::Micros;
use crate::table::rows::grants::{GrantRow, GrantRuleRow};
use crate::table::rows::verdicts::{VerdictHistoryRow, VerdictRow};

fn grant(id: &str) -> GrantRow {
    GrantRow {
        grant_id: id.to_owned(),
        cluster: "arn:prod".to_owned(),
        cluster_name: "prod".to_owned(),
        grant_kind: "rbac_subject".to_owned(),
        principal: "dev".to_owned(),
        grant_ref: "RoleBinding/shop/dev".to_owned(),
        role_ref: "Role/shop/dev".to_owned(),
        scope: "namespace".to_owned(),
        namespaces: "shop".to_owned(),
        effective: true,
        power: Some("medium".to_owned()),
        ..GrantRow::default()
    }
}

fn verdict(id: &str, verdict: &str, severity: &str, used: i64) -> VerdictRow {
    let fine = FINE.contains(&verdict);
    VerdictRow {
        grant_id: id.to_owned(),
        verdict: verdict.to_owned(),
        severity: severity.to_owned(),
        severity_rank: rank(severity),
        used_count: used,
        last_used: (used > 0).then_some(Micros(used)),
        suppressed: (!fine).then_some(false),
        ..VerdictRow::default()
    }
}

fn rule(verb: &str) -> GrantRuleRow {
    GrantRuleRow {
        cluster: "arn:prod".to_owned(),
        role_ref: "Role/shop/dev".to_owned(),
        api_groups: vec![String::new()],
        resources: vec!["pods".to_owned()],
        verbs: vec![verb.to_owned()],
        ..GrantRuleRow::default()
    }
}

fn side(verdicts: Vec<VerdictRow>) -> Side {
    let grants = verdicts.iter().map(|row| grant(&row.grant_id)).collect();
    Side { grants, verdicts, ..Side::default() }
}

/// `kind what severity from -> to`, with `!` for worse and `+` for new.
fn lines(a: &Side, b: &Side) -> Vec<String> {
    let line = |one: Change| {
        let marks = [(one.worse, "!"), (one.new, "+"), (one.suppression.is_some(), "~")];
        let marks: String = marks.iter().filter(|(is, _)| *is).map(|(_, mark)| *mark).collect();
        let (from, to) = (one.from.unwrap_or_default(), one.to.unwrap_or_default());
        format!("{} {} {} {from} -> {to} {marks}", one.kind.as_str(), one.what, one.severity)
    };
    compare(a, b).into_iter().map(line).collect()
}

#[test]
fn verdicts_use_and_severity() {
    let check = |was: VerdictRow, is: VerdictRow, expected: &[&str]| {
        assert_eq!(lines(&side(vec![was]), &side(vec![is])), expected);
    };
    let row = |word: &str, severity: &str, used| verdict("a", word, severity, used);
    check(row("used", "info", 1), row("used", "info", 9), &[]);
    check(
        row("used", "info", 1),
        row("unused", "high", 0),
        &[
            "verdict verdict high used -> unused !+",
            "newly_unused use high last used 1970-01-01T00:00:00.000001Z -> not used !",
            "severity_up severity high info -> high !+",
        ],
    );
    check(
        row("unused", "high", 0),
        row("used", "info", 1),
        &[
            "verdict verdict info unused -> used ",
            "newly_used use info not used -> last used 1970-01-01T00:00:00.000001Z ",
            "severity_down severity info high -> info ",
        ],
    );
    // A hole in the logs is not the end of use.
    check(
        row("used", "info", 1),
        row("unobservable", "low", 0),
        &["verdict verdict low used -> unobservable ", "severity_up severity low info -> low "],
    );
    check(
        row("over_scoped", "high", 1),
        row("over_scoped", "critical", 1),
        &["severity_up severity critical high -> critical !+"],
    );
    let known = VerdictRow { suppressed: Some(true), ..row("unused", "info", 0) };
    check(row("too_new", "info", 0), known, &["verdict verdict info too_new -> unused !+~"]);
}

#[test]
fn who_answers_for_a_finding_is_told() {
    let known = VerdictRow {
        suppressed: Some(true),
        suppressed_by: Some("sre".to_owned()),
        suppressed_reason: Some("migrating".to_owned()),
        suppressed_until: Micros::parse("2027-02-01T00:00:00Z"),
        ..verdict("a", "unused", "info", 0)
    };
    let changes = compare(&side(vec![verdict("a", "too_new", "info", 0)]), &side(vec![known]));
    let expected = crate::model::suppression::Suppression {
        owner: "sre".to_owned(),
        reason: "migrating".to_owned(),
        expires: "2027-01-31".to_owned(),
    };
    let got: Vec<_> = changes.into_iter().map(|change| change.suppression).collect();
    assert_eq!(got, [Some(expected)]);
}

#[test]
fn grants_come_go_and_change() {
    let one = || side(vec![verdict("a", "used", "info", 1)]);
    let none = Side::default();
    assert_eq!(lines(&none, &one()), ["new grant medium  -> used !+"]);
    assert_eq!(lines(&one(), &none), ["gone grant medium used ->  "]);
    let check = |change: fn(&mut GrantRow), expected: &[&str]| {
        let mut later = one();
        later.grants.iter_mut().for_each(change);
        assert_eq!(lines(&one(), &later), expected);
    };
    check(|_| {}, &[]);
    check(|grant| grant.valid_from = Some(Micros(1)), &[]);
    check(
        |grant| grant.namespaces = "shop,pay".to_owned(),
        &["changed namespaces medium shop -> shop,pay !"],
    );
    check(
        |grant| {
            grant.scope = "cluster".to_owned();
            grant.power = Some("critical".to_owned());
        },
        &[
            "changed power critical medium -> critical !",
            "changed scope critical namespace -> cluster !",
        ],
    );
    check(|grant| grant.power = None, &["changed power info medium -> unknown !"]);
    let mut before = one();
    before.rules = vec![rule("get"), rule("list")];
    let mut after = one();
    after.rules = vec![rule("list"), rule("delete")];
    let expected = "changed rules medium get pods of core -> delete pods of core !";
    assert_eq!(lines(&before, &after), [expected]);
}

#[test]
fn what_aws_manages_in_both_is_left_out() {
    let managed = |by_aws: bool| {
        let mut side = side(vec![verdict("a", "unused", "info", 0)]);
        side.verdicts[0].suppressed = None;
        side.grants[0].managed_by_aws = by_aws;
        side
    };
    let none = Side::default();
    assert_eq!(lines(&managed(true), &none), [""; 0]);
    assert_eq!(lines(&managed(true), &managed(true)), [""; 0]);
    assert_eq!(
        lines(&managed(true), &managed(false)),
        ["changed managed_by_aws medium true -> false !"]
    );
}

#[test]
fn the_worst_grant_comes_first_and_keeps_its_changes_together() {
    let before = side(vec![verdict("a", "used", "info", 1), verdict("b", "used", "info", 1)]);
    let after = side(vec![
        verdict("a", "used", "info", 1),
        verdict("b", "unused", "critical", 0),
        verdict("c", "too_new", "info", 0),
    ]);
    let got: Vec<String> = compare(&before, &after).into_iter().map(|one| one.grant_id).collect();
    assert_eq!(got, ["b", "b", "b", "c"]);
}

#[test]
fn new_is_what_the_baseline_did_not_say_or_not_as_gravely() {
    let row = |id: &str, verdict: &str, severity: &str, finding| VerdictHistoryRow {
        grant_id: id.to_owned(),
        verdict: verdict.to_owned(),
        severity: severity.to_owned(),
        finding,
        ..VerdictHistoryRow::default()
    };
    let rows = vec![
        row("a", "unused", "high", Some(true)),
        row("b", "used", "info", Some(false)),
        row("old", "unused", "high", None),
        row("managed", "unused", "high", Some(false)),
    ];
    let baseline = Baseline::of_history(Micros(0), rows);
    let check = |id: &str, verdict: &str, severity: &str, expected: bool| {
        assert_eq!(baseline.is_new(id, verdict, severity), expected, "{id} {verdict} {severity}");
    };
    check("a", "unused", "high", false);
    check("a", "unused", "medium", false);
    check("a", "unused", "critical", true);
    check("a", "over_scoped", "high", true);
    check("b", "used", "info", true);
    check("old", "unused", "high", false);
    check("managed", "unused", "high", true);
    check("c", "unused", "low", true);
    let gone = |now: &[(&str, &str)]| baseline.gone(&now.iter().copied().collect::<BTreeSet<_>>());
    assert_eq!(gone(&[("a", "unused")]), 0);
    assert_eq!(gone(&[("a", "over_scoped")]), 1);
    assert_eq!(gone(&[]), 1);
}
