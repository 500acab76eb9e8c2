//! What rules cover, when they end, and what is wrong with them.

use super::*;
use crate::model::time::Day;

const FULL: &str = "owner=sre,reason=known,expires=2026-11-30";

fn rule(text: &str) -> Result<Rule, String> {
    let read = |text: &str| {
        let fields = fields_of(Kind::Suppress, text)?;
        Rule::new("suppress 1", Kind::Suppress, &fields)
    };
    read(text).map_err(|error: RuleError| error.to_string())
}

fn case<'a>(grant: &'a str, principal: &'a str, verdict: &'a str) -> Case<'a> {
    let cluster = "arn:aws:eks:us-west-2:111122223333:cluster/prod";
    Case { grant, principal, cluster, cluster_name: "prod", verdict }
}

#[test]
fn every_part_of_a_rule_must_hold() {
    let check = |names: &str, expected: bool| {
        let got = rule(&format!("{names},{FULL}")).unwrap();
        let role = case("0123", "arn:aws:iam::1:role/ci/jenkins", "unused");
        assert_eq!(got.covers(&role), expected, "{names}");
    };
    check("grant=0123", true);
    check("grant=012*", false);
    check("principal=arn:aws:iam::1:role/ci/jenkins", true);
    check("principal=jenkins", false);
    check("principal=*/jenkins", true);
    check("principal=*/JENKINS", false);
    check("principal=arn:*role/ci/*", true);
    check("cluster=prod", true);
    check("cluster=arn:aws:eks:*:cluster/prod", true);
    check("cluster=pro", false);
    check("verdict=unused", true);
    check("query=unused_grants", true);
    check("query=over_scoped_grants", false);
    check("grant=0123,cluster=dev", false);
    check("principal=*jenkins,query=unused_grants,cluster=p*", true);
}

#[test]
fn the_day_of_expiry_is_the_last_on_which_it_holds() {
    let rule = rule(&format!("grant=0123,{FULL}")).unwrap();
    let check = |until: &str, expected: bool| {
        assert_eq!(rule.expired(Micros::parse(until).unwrap()), expected, "{until}");
    };
    check("2026-11-30T23:00:00Z", false);
    check("2026-12-01T00:00:00Z", true);
    check("2027-12-01T00:00:00Z", true);
    assert_eq!(rule.ends(), Day::parse("2026-12-01").unwrap().start());
}

#[test]
fn the_first_that_holds_covers_and_all_that_name_it_are_counted() {
    let old = rule("grant=a,owner=x,reason=y,expires=2025-01-01").unwrap();
    let first = rule("principal=b*,owner=x,reason=y,expires=2027-01-01").unwrap();
    let second = rule("verdict=unused,owner=x,reason=y,expires=2027-01-01").unwrap();
    let idle = rule("grant=z,owner=x,reason=y,expires=2027-01-01").unwrap();
    let rules = [old, first, second, idle];
    let until = Micros::parse("2026-11-24T00:00:00Z").unwrap();
    let cases =
        [case("a", "bob", "redundant"), case("a", "eve", "redundant"), case("c", "bob", "unused")];
    let marks = mark(&rules, until, &cases);
    assert_eq!(marks.by, [Some(1), None, Some(1)]);
    assert_eq!(marks.covered, [vec![0, 1], vec![0, 2], vec![2], vec![]]);
}

#[test]
fn break_glass_is_expected_to_be_unused_and_powerful() {
    let fields = fields_of(
        Kind::BreakGlass,
        "principals=*/breakglass,principals=root-*,owner=sec,reason=r,expires=2027-01-01",
    )
    .unwrap();
    let rule = Rule::new("break-glass", Kind::BreakGlass, &fields).unwrap();
    let check = |principal: &str, verdict: &str, expected: bool| {
        assert_eq!(rule.covers(&case("a", principal, verdict)), expected, "{principal} {verdict}");
    };
    check("role/breakglass", "unused", true);
    check("role/breakglass", "over_scoped", true);
    check("root-2", "unused", true);
    check("role/breakglass", "redundant", false);
    check("role/breakglass", "ineffective", false);
    check("role/other", "unused", false);
    let missing = fields_of(Kind::BreakGlass, FULL).unwrap();
    let error = Rule::new("break-glass", Kind::BreakGlass, &missing).unwrap_err();
    assert_eq!(error.to_string(), "it names nothing: give principals");
}

#[test]
fn a_comma_that_no_key_follows_is_text() {
    let got = rule("grant=0123,owner=sre,reason=old, but a=b, and known,expires=2026-11-30");
    assert_eq!(got.unwrap().reason, "old, but a=b, and known");
}

#[test]
fn mistakes_say_what_is_wrong() {
    let check = |text: &str, expected: &str| assert_eq!(rule(text).unwrap_err(), expected);
    check(FULL, "it names nothing: give principal, grant, query, verdict or cluster");
    check(
        "grant=a,reason=x,expires=2026-11-30",
        "owner is missing: a suppression has owner, reason and expires",
    );
    check(
        "grant=a,owner=x,expires=2026-11-30",
        "reason is missing: a suppression has owner, reason and expires",
    );
    check(
        "grant=a,owner=x,reason=y",
        "expires is missing: a suppression has owner, reason and expires",
    );
    check("grant=,owner=x,reason=y,expires=2026-11-30", "grant takes one text that is not empty");
    check(
        "grant=a,owner=x,reason=y,expires=never",
        "expires takes a date (2027-01-31), not \"never\"",
    );
    check("onwer=x", "unknown key \"onwer\", the nearest is \"owner\"");
    check("everything", "it takes key=value, comma-joined, not \"everything\"");
    check(
        &format!("query=denied_access,{FULL}"),
        "query takes unused_grants, over_scoped_grants, redundant_grants, \
         ineffective_grants, not \"denied_access\"",
    );
    check(
        &format!("verdict=idle,{FULL}"),
        "verdict takes ineffective, unobservable, too_new, unused, redundant, over_scoped, used, \
         not \"idle\"",
    );
    check(
        &format!("query=unused_grants,verdict=redundant,{FULL}"),
        "query unused_grants never holds verdict redundant",
    );
}
