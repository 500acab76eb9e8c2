//! Advice and proposals followed all at once, against a model of access written from scratch.

use super::*;

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
            usage.add(&cluster, &who, &fact, (Micros(1), Micros(2), 1), 0);
        }
        usage.finish();
        let evidence = collect(&cluster, &usage, &Sessions::default(), None, window());
        let all_paths = paths::of_uses(&cluster, &usage);
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
