//! Grants and the use of them, through verdicts, advice, proposals and the joint replay.

use std::collections::{BTreeMap, BTreeSet};

use overgrant::analyse::coverage::{Coverage, Covered, Unreadable};
use overgrant::analyse::evidence::{ClassesSeen, collect};
use overgrant::analyse::propose::{self, Making};
use overgrant::analyse::recommend::{Advice, advise};
use overgrant::analyse::scope::width;
use overgrant::analyse::verdict::{Case, Kind, judge};
use overgrant::analyse::{AnalysePlan, parallel, paths};
use overgrant::join::cluster::Cluster;
use overgrant::join::presence::Presence;
use overgrant::join::profile::Profiles;
use overgrant::join::sessions::Sessions;
use overgrant::join::usage::{Member, Usage, Use};
use overgrant::model::coverage::Deliveries;
use overgrant::model::fact::{KubeUser, Via};
use overgrant::model::grant::{Allows, Grant, GrantKind, Holder, Identity, IdentityKind};
use overgrant::model::inventory::{AuthMode, ClusterInventory, Subject};
use overgrant::model::permission::{Permission, Scope, ScopedRule};
use overgrant::model::time::{Micros, Window};
use overgrant::rbac::cells::Universe;
use overgrant::rbac::exact::VerbGroups;
use overgrant::rbac::policies::{Lookup, PolicyTable};
use overgrant::rbac::smallest::Offers;

use super::dice::Dice;
use super::meter::Meter;
use super::{Arguments, is_equal};

const DAY: i64 = 24 * 3_600_000_000;
const NAMESPACES: u64 = 200;
const READS: [&str; 3] = ["get", "list", "watch"];
const WRITES: [&str; 4] = ["create", "update", "patch", "delete"];
const KINDS: [(&str, &str); 8] = [
    ("", "pods"),
    ("", "configmaps"),
    ("", "services"),
    ("", "secrets"),
    ("apps", "deployments"),
    ("apps", "statefulsets"),
    ("batch", "jobs"),
    ("networking.k8s.io", "ingresses"),
];

struct Made {
    identities: Vec<Identity>,
    grants: Vec<Grant>,
    usage: Usage,
}

/// Every second principal holds a policy, every other a group with its binding; each uses a few kinds
/// in a few namespaces.
fn make(n_grants: u64, n_uses: u64) -> Made {
    let mut made = Made { identities: Vec::new(), grants: Vec::new(), usage: Usage::default() };
    let admin = rules("AmazonEKSClusterAdminPolicy");
    let edit = rules("AmazonEKSEditPolicy");
    let per_grant = n_uses / n_grants.max(1);
    let mut dice = Dice::new(7);
    while u64::try_from(made.grants.len()).unwrap_or(u64::MAX) < n_grants {
        let idx = made.identities.len();
        let by_group = idx % 2 == 1;
        let group = format!("g{idx}");
        let groups: Vec<String> = by_group.then(|| group.clone()).into_iter().collect();
        made.identities.push(identity(idx, groups.clone()));
        let held = if dice.below(3) == 0 { &admin } else { &edit };
        let first = made.grants.len();
        if by_group {
            let holder = Holder::Subject(Subject::Group(group.clone()));
            made.grants.push(grant(GrantKind::EntryGroup, &group, Holder::Identity(idx), held));
            let binding = format!("ClusterRoleBinding/{group}");
            made.grants.push(grant(GrantKind::RbacSubject, &binding, holder, held));
        } else {
            let policy = "arn:aws:eks::aws:cluster-access-policy/AmazonEKSEditPolicy";
            made.grants.push(grant(GrantKind::AccessPolicy, policy, Holder::Identity(idx), held));
        }
        let grants: Vec<(usize, bool)> = (first..made.grants.len()).map(|g| (g, true)).collect();
        let member = made.usage.members.len();
        made.usage.members.push(Member {
            principal_id: format!("AROA{idx}"),
            username: format!("arn:aws:iam::1:role/r{idx}"),
            groups,
        });
        let wanted = per_grant * u64::try_from(made.grants.len() - first).unwrap_or(1);
        uses(&mut made.usage, member, &grants, wanted, &mut dice);
    }
    made.usage.finish();
    made
}

fn uses(usage: &mut Usage, member: usize, grants: &[(usize, bool)], n: u64, dice: &mut Dice) {
    let writes = dice.below(2) == 0;
    let (n_kinds, base) = (dice.below(5) + 3, dice.below(NAMESPACES));
    let mut seen = BTreeSet::new();
    let mut number = 0;
    while u64::try_from(seen.len()).unwrap_or(u64::MAX) < n {
        number += 1;
        let place = (base + number / 40) % NAMESPACES;
        let kind = usize::try_from(dice.below(n_kinds)).unwrap_or(0);
        let (api_group, resource) = KINDS[kind];
        let verb = if writes && dice.below(3) == 0 { dice.of(&WRITES) } else { dice.of(&READS) };
        // Names tell uses apart, as they do in a log.
        let name = if verb == "create" { String::new() } else { format!("o{}", dice.below(50)) };
        let permission = Permission {
            verb: verb.to_owned(),
            api_group: api_group.to_owned(),
            resource: resource.to_owned(),
            namespace: format!("ns{place}"),
            name,
            ..Permission::default()
        };
        if seen.insert(permission.clone()) {
            usage.uses.push(Use {
                member,
                via: Via::Direct,
                permission,
                grants: grants.to_vec(),
                first: Micros(DAY),
                last: Micros(2 * DAY),
                days: vec![Micros(DAY).day(), Micros(2 * DAY).day()],
                count: 9,
                profiles: vec![0],
            });
        }
    }
}

fn rules(policy: &str) -> Vec<ScopedRule> {
    let arn = format!("arn:aws:eks::aws:cluster-access-policy/{policy}");
    let Lookup::Published(rules) = PolicyTable::builtin().lookup(&arn) else { return Vec::new() };
    let scope = Scope::Cluster;
    rules.iter().map(|rule| ScopedRule { scope: scope.clone(), rule: rule.clone() }).collect()
}

fn identity(idx: usize, groups: Vec<String>) -> Identity {
    Identity {
        cluster: "c".to_owned(),
        kind: IdentityKind::AccessEntry,
        principal: format!("arn:aws:iam::1:role/r{idx}"),
        principal_id: Some(format!("AROA{idx}")),
        username: format!("r{idx}"),
        groups,
        entry_type: Some("STANDARD".to_owned()),
        ineffective: None,
        created_at: Some(Micros(-365 * DAY)),
        modified_at: None,
        created_by: None,
        source: "bench",
    }
}

fn grant(kind: GrantKind, reference: &str, holder: Holder, rules: &[ScopedRule]) -> Grant {
    Grant {
        id: format!("{holder:?} {reference}"),
        cluster: "c".to_owned(),
        cluster_name: "c".to_owned(),
        kind,
        identity_kind: Some(IdentityKind::AccessEntry),
        principal: format!("{holder:?}"),
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
        group: (kind == GrantKind::EntryGroup).then(|| reference.to_owned()),
        holder,
        allows: Allows::Rules(rules.to_vec()),
    }
}

fn inventory() -> ClusterInventory {
    ClusterInventory {
        arn: "c".to_owned(),
        name: "c".to_owned(),
        account: "1".to_owned(),
        region: "r".to_owned(),
        captured_at: Micros(90 * DAY),
        ..ClusterInventory::default()
    }
}

pub(crate) fn run(arguments: &Arguments) -> bool {
    let (n_grants, n_uses) = (arguments.grants, arguments.uses);
    println!("{n_grants} grants, {n_uses} permissions used");
    let window = Window { since: Micros(0), until: Micros(90 * DAY) };
    let plan = AnalysePlan::new(window);
    let made = make(n_grants, n_uses);
    let uses = u64::try_from(made.usage.uses.len()).unwrap_or(u64::MAX);
    let mut meter = Meter::default();
    let start = std::time::Instant::now();
    let inventory = inventory();
    let cluster = Cluster::new("c", "c", &made.identities, &made.grants, &[]);
    let usage = &made.usage;
    let sessions = Sessions::default();
    let evidence = meter
        .stage("evidence", (uses, "uses"), || collect(&cluster, usage, &sessions, None, window));
    let namespaces: Vec<String> = (0..NAMESPACES).map(|n| format!("ns{n}")).collect();
    let permissions = usage.uses.iter().map(|used| &used.permission);
    let universe = Universe::new(None, &namespaces, permissions);
    let mut classes = ClassesSeen::default();
    let who = KubeUser { uid: "aws-iam-authenticator:1:A".to_owned(), ..KubeUser::default() };
    for used in usage.uses.iter().take(1000) {
        classes.note(&who, Via::Direct, &used.permission);
    }
    let offers = Offers::new(PolicyTable::builtin(), &universe);
    let coverage = Coverage::new(&Deliveries::default(), &Unreadable::default(), window);
    let presence = Presence::default();
    let case = Case {
        cluster: &cluster,
        inventory: &inventory,
        audit: Covered::from_hours(window.hours()),
        cloudtrail: Covered::from_hours(window.hours()),
        coverage: &coverage,
        presence: &presence,
        calibrated: BTreeSet::new(),
        regions_known: true,
        classes,
        reviews_seen: false,
        offers: &offers,
        universe,
    };
    let all_paths = meter.stage("paths", (uses, "uses"), || paths::of_uses(&cluster, usage));
    let threads = arguments.threads;
    let widths: Vec<u64> = meter.stage("widths", (n_grants, "grants"), || {
        parallel::map(threads, &made.grants, |_, grant| width(grant, &case.universe))
    });
    let redundant = meter.stage("redundant", (uses, "uses"), || {
        paths::redundant(&cluster, &evidence, &all_paths, |idx| {
            widths.get(idx).copied().unwrap_or(0)
        })
    });
    let verdicts: Vec<_> = meter.stage("verdicts", (n_grants, "grants"), || {
        parallel::map(threads, &made.grants, |idx, grant| {
            let width = widths.get(idx).copied().unwrap_or(0);
            judge(&case, grant, &evidence[idx], redundant.contains(&idx), width, &plan)
        })
    });
    let decisions = meter.stage("proposals and replay", (n_grants, "grants"), || {
        let rivals = paths::rivals(made.grants.len(), &all_paths);
        let advice = advise(&made.grants, &evidence, &verdicts, &rivals, false);
        propose::propose(&propose::Case {
            cluster: &cluster,
            mode: Some(AuthMode::Api),
            members: &[],
            usage,
            profiles: &Profiles::default(),
            people: &BTreeMap::new(),
            evidence: &evidence,
            verdicts: &verdicts,
            advice: &advice,
            widths: &widths,
            paths: &all_paths,
            making: Making {
                universe: &case.universe,
                offers: &offers,
                verb_groups: VerbGroups::Exact,
            },
            reviews_seen: false,
            stale: false,
            threads,
            new_since: Micros(60 * DAY),
        })
    });
    let took = start.elapsed();
    println!("  all of it              {:.1} s", took.as_secs_f64());
    let wide = verdicts.iter().filter(|verdict| verdict.kind == Kind::OverScoped).count();
    let acting = |advice: Advice| matches!(advice, Advice::Narrow | Advice::Replace);
    let changed = decisions.iter().filter(|decision| acting(decision.advice)).count();
    let refused = decisions.iter().filter(|decision| decision.refused.unwrap_or(0) > 0).count();
    println!("  {wide} too wide, {changed} to be made smaller");
    let good = is_equal("grants refused", u64::try_from(refused).unwrap_or(u64::MAX), 0);
    good && changed > 0 && meter.within(arguments.grants_bound) && took.as_secs() < 10
}
