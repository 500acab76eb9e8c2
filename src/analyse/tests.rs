//! The order of the verdicts, and that advice taken all at once locks nobody out.

mod alone;
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

const DAY: i64 = 24 * 3_600_000_000;

fn window() -> Window {
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

fn grant(kind: GrantKind, reference: &str, holder: Holder, rules: Vec<ScopedRule>) -> Grant {
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

fn identity(number: usize, groups: &[String]) -> Identity {
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

fn inventory() -> ClusterInventory {
    ClusterInventory {
        arn: "c".to_owned(),
        name: "c".to_owned(),
        account: "1".to_owned(),
        region: "r".to_owned(),
        captured_at: Micros(90 * DAY),
        cluster: None,
        access_entries: None,
        pod_identities: None,
        identity_providers: None,
        iam_roles: None,
        iam_users: None,
        kubernetes: None,
        api_resources: None,
        trails: None,
        whole: Vec::new(),
        holes: Vec::new(),
    }
}

/// A case with every hour covered, in which IAM callers read and write.
fn case<'a>(cluster: &'a Cluster<'a>, inventory: &'a ClusterInventory) -> Case<'a> {
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

/// A small random cluster: roles with policies and groups, bindings of the groups, and use.
#[derive(Debug, Clone)]
struct Small {
    /// Per role: which rule sets it has as policies, which groups it carries.
    roles: Vec<(BTreeSet<usize>, BTreeSet<usize>)>,
    /// Group and rule set.
    bindings: BTreeSet<(usize, usize)>,
    /// Role, verb and resource.
    requests: Vec<(usize, usize, usize)>,
}

const VERBS: [&str; 2] = ["get", "create"];
const RESOURCES: [&str; 2] = ["pods", "secrets"];

fn rule_set(number: usize) -> Vec<ScopedRule> {
    match number {
        0 => vec![rule(&["get"], &["pods"])],
        1 => vec![rule(&["get", "create"], &["pods"])],
        2 => vec![rule(&["get"], &["pods", "secrets"])],
        _ => vec![rule(&["*"], &["*"])],
    }
}

fn allows(number: usize, verb: usize, resource: usize) -> bool {
    match number {
        0 => verb == 0 && resource == 0,
        1 => resource == 0,
        2 => verb == 0,
        _ => true,
    }
}

impl Small {
    /// May the role do it, with these policies, mappings and bindings left? Written from scratch.
    fn may(&self, gone: &BTreeSet<String>, (role, verb, resource): (usize, usize, usize)) -> bool {
        let Some((policies, groups)) = self.roles.get(role) else { return false };
        policies
            .iter()
            .any(|p| allows(*p, verb, resource) && !gone.contains(&format!("policy {role} {p}")))
            || self.bindings.iter().any(|(group, set)| {
                groups.contains(group)
                    && allows(*set, verb, resource)
                    && !gone.contains(&format!("group {role} {group}"))
                    && !gone.contains(&format!("binding {group} {set}"))
            })
    }
}

impl Small {
    /// The same once every grant in `after` is gone or has other rules in its place.
    fn may_after(
        &self,
        after: &BTreeMap<&str, Option<Vec<ScopedRule>>>,
        (role, verb, resource): (usize, usize, usize),
    ) -> bool {
        let Some((policies, groups)) = self.roles.get(role) else { return false };
        let asked = permission(VERBS[verb], RESOURCES[resource]);
        // Whether the grant of this name allows it, as it is or in its new form.
        let by = |name: String, before: bool| match after.get(name.as_str()) {
            None => before,
            Some(rules) => rules.as_ref().is_some_and(|rules| crate::rbac::covers(rules, &asked)),
        };
        if policies.iter().any(|p| by(format!("policy {role} {p}"), allows(*p, verb, resource))) {
            return true;
        }
        groups.iter().any(|group| match after.get(format!("group {role} {group}").as_str()) {
            // The mapping has gone, or leads to rules of its own.
            Some(rules) => rules.as_ref().is_some_and(|r| crate::rbac::covers(r, &asked)),
            None => {
                self.bindings.iter().filter(|(g, _)| g == group).any(|(_, set)| {
                    by(format!("binding {group} {set}"), allows(*set, verb, resource))
                })
            }
        })
    }
}

fn small() -> impl Strategy<Value = Small> {
    let sets = || prop::collection::btree_set(0_usize..4, 0..3);
    let role = (sets(), prop::collection::btree_set(0_usize..3, 0..3));
    (
        prop::collection::vec(role, 1..4),
        prop::collection::btree_set((0_usize..3, 0_usize..4), 0..5),
        prop::collection::vec((0_usize..3, 0_usize..2, 0_usize..2), 0..10),
    )
        .prop_map(|(roles, bindings, requests)| Small { roles, bindings, requests })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn advice_taken_all_at_once_locks_nobody_out(small in small()) {
        let group_name = |group: usize| format!("g{group}");
        let mut identities = Vec::new();
        let (mut grants, mut names) = (Vec::new(), Vec::new());
        for (role, (policies, groups)) in small.roles.iter().enumerate() {
            let carried: Vec<String> = groups.iter().map(|g| group_name(*g)).collect();
            identities.push(identity(role, &carried));
            for policy in policies {
                grants.push(grant(GrantKind::AccessPolicy, &format!("p{policy}"), Holder::Identity(role), rule_set(*policy)));
                names.push(format!("policy {role} {policy}"));
            }
            for group in groups {
                let rules = small.bindings.iter().filter(|(g, _)| g == group).flat_map(|(_, set)| rule_set(*set)).collect();
                grants.push(grant(GrantKind::EntryGroup, &group_name(*group), Holder::Identity(role), rules));
                names.push(format!("group {role} {group}"));
            }
        }
        for (group, set) in &small.bindings {
            let holder = Holder::Subject(Subject::Group(group_name(*group)));
            grants.push(grant(GrantKind::RbacSubject, &format!("ClusterRoleBinding/b{group}-{set}"), holder, rule_set(*set)));
            names.push(format!("binding {group} {set}"));
        }
        let cluster = Cluster::new("c", "c", &identities, &grants, &[]);
        let mut usage = Usage::default();
        let nobody_gone = BTreeSet::new();
        let mut allowed = Vec::new();
        for request in &small.requests {
            if !small.may(&nobody_gone, *request) {
                continue;
            }
            allowed.push(*request);
            let (role, verb, resource) = *request;
            let caller = user(role, &identities[role].groups);
            let fact = AccessFact {
                cluster: "c".to_owned(),
                subject: caller.clone(),
                caller,
                permission: permission(VERBS[verb], RESOURCES[resource]),
                decision: Decision::Allow,
                reason: "another authorizer's words".to_owned(),
                ..AccessFact::default()
            };
            let who = cluster.who(&fact.caller);
            usage.add(0, &cluster, &who, &fact, (Micros(1), Micros(2), 1), 0);
        }
        usage.finish();
        let evidence = collect(0, &cluster, &usage, &Sessions::default(), None, window());
        let all_paths = paths::of_uses(0, &cluster, &usage);
        let inventory = inventory();
        let case = case(&cluster, &inventory);
        let redundant = paths::redundant(&cluster, &evidence, &all_paths, |idx| scope::width(&grants[idx], &case.universe));
        let plan = AnalysePlan::new(window());
        let verdicts: Vec<Verdict> = grants
            .iter()
            .zip(&evidence)
            .enumerate()
            .map(|(idx, (grant, seen))| {
                let width = scope::width(grant, &case.universe);
                judge(&case, grant, seen, redundant.contains(&idx), width, &plan)
            })
            .collect();
        let rivals = paths::rivals(grants.len(), &all_paths);
        let advice = advise(&grants, &evidence, &verdicts, &rivals, false);

        // Whatever is not to be kept is taken away, all of it at once.
        let gone: BTreeSet<String> = names
            .iter()
            .zip(&advice)
            .filter(|(_, advice)| **advice == Advice::Remove)
            .map(|(name, _)| name.clone())
            .collect();
        for request in &allowed {
            prop_assert!(small.may(&gone, *request), "{:?} is locked out by {:?}", request, gone);
        }
        // And with everything made smaller that is proposed to be.
        let widths: Vec<u64> =
            grants.iter().map(|grant| scope::width(grant, &case.universe)).collect();
        let offers = case.offers;
        let decisions = propose::propose(&propose::Case {
            cluster_idx: 0,
            cluster: &cluster,
            mode: Some(AuthMode::Api),
            members: &[],
            usage: &usage,
            profiles: &Profiles::default(),
            people: &BTreeMap::new(),
            evidence: &evidence,
            verdicts: &verdicts,
            advice: &advice,
            widths: &widths,
            paths: &all_paths,
            making: propose::Making {
                universe: &case.universe,
                offers,
                verb_groups: VerbGroups::Exact,
            },
            reviews_seen: true,
            stale: false,
            threads: 2,
            new_since: Micros(60 * DAY),
        });
        let after: BTreeMap<&str, Option<Vec<ScopedRule>>> = names
            .iter()
            .zip(&decisions)
            .filter_map(|(name, decision)| match decision.advice {
                Advice::Remove => Some((name.as_str(), None)),
                Advice::Narrow | Advice::Replace | Advice::Split => {
                    let chosen = decision.candidates.as_ref().unwrap().chosen();
                    Some((name.as_str(), Some(chosen.allows(offers))))
                }
                Advice::Keep | Advice::Review => None,
            })
            .collect();
        for request in &allowed {
            prop_assert!(small.may_after(&after, *request), "{:?} is refused after {:?}", request, after);
        }
        for (decision, verdict) in decisions.iter().zip(&verdicts) {
            if let Some(found) = &decision.candidates {
                prop_assert_eq!(verdict.kind, Kind::OverScoped);
                prop_assert_eq!(decision.refused, Some(0));
                prop_assert!(found.chosen().policies.is_empty() || found.policy.is_some());
            }
        }
        // All that is called redundant may go together, too.
        let spare: BTreeSet<String> = redundant.iter().map(|idx| names[*idx].clone()).collect();
        for request in &allowed {
            prop_assert!(small.may(&spare, *request), "{:?} is locked out by {:?}", request, spare);
        }
        // Of grants that share a use, at most one is acted on.
        for used in &usage.uses {
            let acting = used.grants.iter().filter(|(idx, _)| advice[*idx] != Advice::Keep).count();
            prop_assert!(acting <= 1, "{:?}", used);
        }
        // Every use is seen by every grant that carries it, and by no other.
        for used in &usage.uses {
            prop_assert!(!used.grants.is_empty());
        }
    }
}
