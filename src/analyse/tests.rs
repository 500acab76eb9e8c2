//! The order of the verdicts, and that advice taken all at once locks nobody out.

mod alone;
mod joint;
mod pods;

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::AnalysePlan;
use super::coverage::{Coverage, Covered, Unreadable};
use super::evidence::{ClassesSeen, Evidence, collect};
use super::recommend::{Advice, advise};
use super::verdict::{Case, Kind, Verdict, judge};
use super::{paths, propose, scope};
use crate::join::cluster::Cluster;
use crate::join::profile::Profiles;
use crate::join::sessions::Sessions;
use crate::join::usage::Usage;
use crate::model::coverage::Deliveries;
use crate::model::fact::{AccessFact, Decision, KubeUser, Via};
use crate::model::grant::{Allows, Grant, GrantKind, Holder, Identity, IdentityKind, Ineffective};
use crate::model::inventory::{AuthMode, ClusterInventory, Subject};
use crate::model::permission::{Permission, Rule, Scope, ScopedRule};
use crate::model::time::{Micros, Window};
use crate::rbac::cells::Universe;
use crate::rbac::exact::VerbGroups;
use crate::rbac::policies::PolicyTable;
use crate::rbac::sensitive::Severity;
use crate::rbac::smallest::Offers;

pub(super) const DAY: i64 = 24 * 3_600_000_000;

pub(super) fn window() -> Window {
    Window { since: Micros(0), until: Micros(90 * DAY) }
}

fn permission(verb: &str, resource: &str) -> Permission {
    Permission {
        verb: verb.to_owned(),
        resource: resource.to_owned(),
        namespace: "shop".to_owned(),
        ..Permission::default()
    }
}

fn rule(verbs: &[&str], resources: &[&str]) -> ScopedRule {
    let owned = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect();
    let rule = Rule {
        verbs: owned(verbs),
        api_groups: vec![String::new()],
        resources: owned(resources),
        ..Rule::default()
    };
    ScopedRule { scope: Scope::Cluster, rule }
}

pub(super) fn grant(
    kind: GrantKind,
    reference: &str,
    holder: Holder,
    rules: Vec<ScopedRule>,
) -> Grant {
    let group = (kind == GrantKind::EntryGroup).then(|| reference.to_owned());
    Grant {
        id: format!("{} {reference} {holder:?}", kind.as_str()),
        cluster: "c".to_owned(),
        cluster_name: "c".to_owned(),
        kind,
        identity_kind: Some(IdentityKind::AccessEntry),
        principal: "p".to_owned(),
        principal_id: None,
        grant_ref: reference.to_owned(),
        role_ref: String::new(),
        scope: "cluster",
        namespaces: Vec::new(),
        ineffective: None,
        valid_from: Some(Micros(-365 * DAY)),
        valid_to: None,
        granted_by: None,
        managed_by_aws: false,
        impostor: false,
        open_ended: false,
        group,
        holder,
        allows: Allows::Rules(rules),
    }
}

pub(super) fn identity(number: usize, groups: &[String]) -> Identity {
    Identity {
        cluster: "c".to_owned(),
        kind: IdentityKind::AccessEntry,
        principal: format!("arn:aws:iam::1:role/r{number}"),
        principal_id: Some(format!("AROA{number}")),
        username: format!("r{number}"),
        groups: groups.to_vec(),
        entry_type: Some("STANDARD".to_owned()),
        ineffective: None,
        created_at: None,
        modified_at: None,
        created_by: None,
        source: "test",
    }
}

fn user(number: usize, groups: &[String]) -> KubeUser {
    KubeUser {
        username: format!("r{number}"),
        uid: format!("aws-iam-authenticator:1:AROA{number}"),
        principal_id: format!("AROA{number}"),
        canonical_arn: format!("arn:aws:iam::1:role/r{number}"),
        groups: groups.to_vec(),
        ..KubeUser::default()
    }
}

pub(super) fn inventory() -> ClusterInventory {
    ClusterInventory {
        arn: "c".to_owned(),
        name: "c".to_owned(),
        account: "1".to_owned(),
        region: "r".to_owned(),
        captured_at: Micros(90 * DAY),
        ..ClusterInventory::default()
    }
}

/// A case with every hour covered, in which IAM callers read and write.
pub(super) fn case<'a>(cluster: &'a Cluster<'a>, inventory: &'a ClusterInventory) -> Case<'a> {
    let mut classes = ClassesSeen::default();
    for verb in ["get", "create"] {
        classes.note(&user(0, &[]), Via::Direct, &permission(verb, "pods"));
    }
    let shown = Deliveries {
        issuing: BTreeSet::from([inventory.account.clone()]),
        ..Deliveries::default()
    };
    let coverage = Coverage::new(&shown, &Unreadable::default(), window());
    let namespaces = ["shop".to_owned(), "pay".to_owned()];
    let universe = Universe::new(None, &namespaces, std::iter::empty());
    let offers = Box::leak(Box::new(Offers::new(PolicyTable::builtin(), &universe)));
    Case {
        cluster,
        inventory,
        universe,
        audit: Covered::from_hours(window().hours()),
        cloudtrail: Covered::from_hours(window().hours()),
        coverage: Box::leak(Box::new(coverage)),
        presence: Box::leak(Box::default()),
        calibrated: BTreeSet::new(),
        regions_known: true,
        classes,
        reviews_seen: false,
        offers,
    }
}

fn used(permissions: &[Permission]) -> Evidence<'static> {
    let permissions: &[Permission] = Box::leak(permissions.to_vec().into_boxed_slice());
    Evidence {
        permissions: permissions.iter().collect(),
        credited: true,
        first: Some(Micros(1)),
        first_credited: Some(Micros(1)),
        last: Some(Micros(2)),
        ..Evidence::default()
    }
}

/// Judges one grant on its own.
fn one(
    change: impl FnOnce(&mut Grant),
    evidence: &Evidence<'_>,
    redundant: bool,
    alter: impl FnOnce(&mut Case<'_>),
) -> Verdict {
    let inventory = inventory();
    let person = Identity {
        principal: "arn:aws:iam::1:user/u1".to_owned(),
        principal_id: Some("AIDA1".to_owned()),
        ..identity(1, &[])
    };
    let identities = [identity(0, &[]), person];
    let mut grant = grant(
        GrantKind::AccessPolicy,
        "x",
        Holder::Identity(0),
        vec![rule(&["get"], &["pods", "services"])],
    );
    change(&mut grant);
    let cluster = Cluster::new("c", "c", &identities, &[], &[]);
    let mut case = case(&cluster, &inventory);
    alter(&mut case);
    let width = scope::width(&grant, &case.universe);
    judge(&case, &grant, evidence, redundant, width, &AnalysePlan::new(window()))
}

#[test]
fn the_first_rule_that_holds_wins() {
    let nothing = Evidence::default();
    let pods = used(&[permission("get", "pods"), permission("get", "services")]);
    let check = |verdict: Verdict, kind: Kind, reason: &str, also: &[Kind]| {
        assert_eq!(
            (verdict.kind, verdict.reason.as_str(), verdict.also.as_slice()),
            (kind, reason, also),
            "{verdict:?}"
        );
    };
    let same = |_: &mut Grant| {};
    let full = |_: &mut Case<'_>| {};
    check(one(same, &nothing, false, full), Kind::Unused, "no_use", &[]);
    check(
        one(|g| g.ineffective = Some(Ineffective::UnboundGroup), &nothing, false, full),
        Kind::Ineffective,
        "unbound_group",
        &[Kind::Unused],
    );
    check(
        one(|g| g.allows = Allows::Unpublished, &pods, false, full),
        Kind::Unobservable,
        "rules_unpublished",
        &[Kind::Used],
    );
    check(
        one(|g| g.allows = Allows::Hole, &nothing, false, full),
        Kind::Unobservable,
        "inventory_hole",
        &[],
    );
    check(
        one(|g| g.valid_from = Some(Micros(80 * DAY)), &nothing, false, full),
        Kind::TooNew,
        "too_new",
        &[],
    );
    check(
        one(|g| g.valid_from = Some(Micros(60 * DAY)), &nothing, false, full),
        Kind::Unused,
        "no_use",
        &[],
    );
    check(one(|g| g.valid_from = None, &nothing, false, full), Kind::Unused, "no_use", &[]);
    check(
        one(same, &nothing, false, |c| c.audit = Covered::default()),
        Kind::Unobservable,
        "no_logs",
        &[],
    );
    check(
        one(same, &nothing, false, |c| {
            c.audit = Covered::from_hours(window().hours().filter(|h| !(100..130).contains(&h.0)));
        }),
        Kind::Unobservable,
        "coverage",
        &[],
    );
    check(
        one(same, &nothing, false, |c| c.classes = ClassesSeen::default()),
        Kind::Unobservable,
        "class_not_logged",
        &[],
    );
    check(
        one(
            |g| g.allows = Allows::Rules(vec![rule(&["create"], &["events"])]),
            &nothing,
            false,
            full,
        ),
        Kind::Unobservable,
        "leaves_no_trace",
        &[],
    );
    check(one(same, &pods, true, full), Kind::Redundant, "covered_by_others", &[Kind::OverScoped]);
    let namespaced = |g: &mut Grant| {
        let Allows::Rules(rules) = &mut g.allows else { unreachable!() };
        rules[0].scope = Scope::Namespace("shop".to_owned());
    };
    check(one(namespaced, &pods, false, full), Kind::Used, "in_use", &[]);
    check(one(namespaced, &pods, true, full), Kind::Redundant, "covered_by_others", &[]);
    let half = used(&[permission("get", "pods")]);
    check(one(namespaced, &half, false, full), Kind::OverScoped, "few_cells", &[]);
    check(
        one(|g| g.allows = Allows::AwsRole, &nothing, false, full),
        Kind::Unused,
        "no_session",
        &[],
    );
    check(
        one(|g| g.allows = Allows::AwsRole, &nothing, false, |c| c.cloudtrail = Covered::default()),
        Kind::Unobservable,
        "no_logs",
        &[],
    );
}

#[test]
fn silence_of_aws_auth_counts_from_its_last_write() {
    let nothing = Evidence::default();
    let check = |written: Option<i64>, expected: Kind| {
        let row = |g: &mut Grant| {
            g.kind = GrantKind::AwsAuthGroup;
            g.valid_from = written.map(|day| Micros(day * DAY));
        };
        assert_eq!(one(row, &nothing, false, |_| {}).kind, expected, "{written:?}");
    };
    check(None, Kind::Unused);
    check(Some(85), Kind::TooNew);
}

#[test]
fn what_pretends_to_be_managed_is_as_bad_as_it_gets() {
    let impostor = |g: &mut Grant| g.impostor = true;
    let pods = used(&[permission("get", "pods"), permission("get", "services")]);
    let verdict = one(impostor, &pods, false, |_| {});
    assert_ne!(one(|_| {}, &pods, false, |_| {}).severity, Severity::Critical);
    assert_eq!(verdict.severity, Severity::Critical);
    assert!(verdict.detail.starts_with("it looks like AWS's"));
    let gone = |g: &mut Grant| {
        g.impostor = true;
        g.ineffective = Some(Ineffective::Deleted);
    };
    assert_eq!(one(gone, &pods, false, |_| {}).severity, Severity::Info);
}

#[test]
fn use_before_a_date_proves_the_date_wrong() {
    let verdict = one(
        |g| g.valid_from = Some(Micros(80 * DAY)),
        &used(&[permission("get", "pods")]),
        false,
        |_| {},
    );
    assert_eq!((verdict.age_days, verdict.span.since), (Some(89), Micros(0)));
}

#[test]
fn removal_needs_the_whole_window_and_nothing_unseen() {
    let check = |change: &dyn Fn(&mut Grant), stale: bool, expected: Advice| {
        let mut grant = grant(
            GrantKind::AccessPolicy,
            "x",
            Holder::Identity(0),
            vec![rule(&["get"], &["pods"])],
        );
        change(&mut grant);
        let verdict = one(|g| *g = grant.clone(), &Evidence::default(), false, |_| {});
        let advice = advise(&[grant], &[Evidence::default()], &[verdict], &[0], stale);
        assert_eq!(advice, [expected]);
    };
    check(&|_| {}, false, Advice::Remove);
    check(&|_| {}, true, Advice::Review);
    check(&|g| g.valid_from = Some(Micros(50 * DAY)), false, Advice::Review);
    check(&|g| g.valid_from = Some(Micros(80 * DAY)), false, Advice::Keep);
    check(&|g| g.open_ended = true, false, Advice::Review);
    check(&|g| g.managed_by_aws = true, false, Advice::Keep);
    check(
        &|g| {
            g.allows =
                Allows::Rules(vec![rule(&["get"], &["pods"]), rule(&["create"], &["events"])]);
        },
        false,
        Advice::Review,
    );
    check(&|g| g.allows = Allows::Hole, false, Advice::Keep);
    check(&|g| g.ineffective = Some(Ineffective::DanglingRole), false, Advice::Remove);
    check(&|g| g.ineffective = Some(Ineffective::EntriesDisabled), false, Advice::Keep);
}
