//! Exact rules and the smallest policies, against enumeration.

use super::*;
use crate::rbac::cells::{Universe, cells};
use crate::rbac::exact::{VerbGroups, exact};
use crate::rbac::policies::PolicyTable;
use crate::rbac::smallest::{Offers, PolicyGrant};

fn spelled(rules: &[ScopedRule]) -> BTreeSet<Permission> {
    rules.iter().flat_map(spelled_out).collect()
}

proptest! {
    #[test]
    fn exact_rules_cover_the_use_and_nothing_can_be_dropped(
        granted in prop::collection::vec(any_scoped_rule(), 1..4),
        picks in prop::collection::vec(any::<prop::sample::Index>(), 1..8),
    ) {
        // Nothing that is used is called `*`.
        let real = |one: &Permission| one.verb != "*" && one.api_group != "*" && one.resource != "*";
        let allowed: Vec<Permission> = spelled(&granted).into_iter().filter(real).collect();
        prop_assume!(!allowed.is_empty());
        let used: BTreeSet<Permission> = picks.iter().map(|at| at.get(&allowed).clone()).collect();
        let used: Vec<Permission> = used.into_iter().collect();
        let used: Vec<&Permission> = used.iter().collect();
        let rules = exact(&used, &granted, VerbGroups::Exact);
        let allows = spelled(&rules);
        for one in &used {
            prop_assert!(allows.contains(*one), "{:?} is not in {:?}", one, rules);
        }
        // Never a right that was not held before.
        let held: BTreeSet<Permission> = allowed.into_iter().collect();
        for one in &allows {
            prop_assert!(held.contains(one), "{:?} was not held: {:?}", one, rules);
        }
        for idx in 0..rules.len() {
            let mut fewer = rules.clone();
            let dropped = fewer.remove(idx);
            let allows = spelled(&fewer);
            prop_assert!(used.iter().any(|one| !allows.contains(*one)), "{:?} is idle: {:?} for {:?}", dropped, rules, used);
        }
        // Reads together cover no less.
        let wide = spelled(&exact(&used, &granted, VerbGroups::Read));
        prop_assert!(used.iter().all(|one| wide.contains(*one)));
    }

    #[test]
    fn no_other_choice_of_policies_is_smaller(
        picks in prop::collection::vec((0_usize..4, 0_usize..3, 0_usize..3), 1..7),
    ) {
        const TABLE: &str = r#"{"version":"t","policies":[
            {"name":"A","rules":[{"verbs":["get"],"apiGroups":[""],"resources":["pods"]}]},
            {"name":"B","rules":[{"verbs":["get","list"],"apiGroups":[""],"resources":["pods","secrets"]}]},
            {"name":"C","rules":[{"verbs":["*"],"apiGroups":[""],"resources":["configmaps"]}]},
            {"name":"D","rules":null}]}"#;
        let table = PolicyTable::from_json(TABLE.as_bytes()).unwrap();
        let used: BTreeSet<Permission> = picks
            .iter()
            .map(|(what, verb, place)| {
                let resource = ["pods", "secrets", "configmaps", "custom"][*what];
                let mut one = permission(&format!("{} {resource}", ["get", "list", "create"][*verb]));
                one.namespace = ["", "n1", "n2"][*place].to_owned();
                one
            })
            .collect();
        let used: Vec<Permission> = used.into_iter().collect();
        let namespaces = ["n1".to_owned(), "n2".to_owned(), "n3".to_owned()];
        let universe = Universe::new(None, &namespaces, std::iter::empty());
        let offers = Offers::new(&table, &universe);
        let used: Vec<&Permission> = used.iter().collect();
        let found = offers.smallest(&used, &BTreeSet::new());
        // Cells, twice as dear where they change things or read secrets, four times over the cluster.
        let cost = |choice: &[PolicyGrant]| -> u64 {
            let of = |grant: &PolicyGrant| {
                let dear = match (grant.policy.as_str(), &grant.namespaces) {
                    ("A", _) => 1,
                    ("B", None) => 4,
                    _ => 2,
                };
                dear * cells(&offers.rules(grant), &universe)
            };
            choice.iter().map(of).sum()
        };
        prop_assert_eq!(cost(&found.policies), offers.cost(&found.policies));
        if let Some((measured, severity)) = offers.measured(&found.policies) {
            let rules = offers.rules(&found.policies[0]);
            prop_assert_eq!(measured, cells(&rules, &universe));
            prop_assert_eq!(severity, crate::rbac::sensitive::severity_of(&rules));
        }
        let covered_by = |choice: &[PolicyGrant], one: &Permission| {
            choice.iter().any(|grant| covers(&offers.rules(grant), one))
        };
        for (idx, one) in used.iter().enumerate() {
            prop_assert!(found.uncovered.contains(&idx) || covered_by(&found.policies, one));
        }
        // Every way to give each policy nothing, the cluster, or some of the namespaces.
        let scopes: Vec<Option<Option<Vec<String>>>> = vec![
            None,
            Some(None),
            Some(Some(vec!["n1".to_owned()])),
            Some(Some(vec!["n2".to_owned()])),
            Some(Some(vec!["n1".to_owned(), "n2".to_owned()])),
        ];
        let reachable: Vec<&Permission> = used
            .iter()
            .copied()
            .filter(|one| {
                let all: Vec<PolicyGrant> = ["A", "B", "C"]
                    .map(|p| PolicyGrant { policy: p.to_owned(), namespaces: None })
                    .to_vec();
                covered_by(&all, one)
            })
            .collect();
        prop_assert_eq!(used.len() - reachable.len(), found.uncovered.len());
        for a in &scopes {
            for b in &scopes {
                for c in &scopes {
                    let choice: Vec<PolicyGrant> = [("A", a), ("B", b), ("C", c)]
                        .into_iter()
                        .filter_map(|(name, scope)| {
                            let namespaces = scope.clone()?;
                            Some(PolicyGrant { policy: name.to_owned(), namespaces })
                        })
                        .collect();
                    if reachable.iter().all(|one| covered_by(&choice, one)) {
                        prop_assert!(cost(&found.policies) <= cost(&choice), "{:?} < {:?}", choice, found);
                    }
                }
            }
        }
    }
}

#[test]
fn exact_rules_read_well() {
    let check = |used: &[&str], granted: &str, groups: VerbGroups, expected: &[&str]| {
        let used: Vec<Permission> = used.iter().map(|text| permission(text)).collect();
        let used: Vec<&Permission> = used.iter().collect();
        let granted = [ScopedRule { scope: Scope::Cluster, rule: rule(granted) }];
        let got: Vec<String> = exact(&used, &granted, groups)
            .iter()
            .map(|ScopedRule { scope, rule }| {
                let place = match scope {
                    Scope::Namespace(namespace) => format!(" @{namespace}"),
                    _ => String::new(),
                };
                let what = rule.resources.iter().chain(&rule.non_resource_urls);
                let what: Vec<&str> = what.map(String::as_str).collect();
                format!(
                    "{} {}:{} {}{place}",
                    rule.verbs.join("+"),
                    rule.api_groups.join("+"),
                    what.join("+"),
                    rule.resource_names.join("+")
                )
            })
            .collect();
        assert_eq!(got, expected, "{used:?}");
    };
    let all = r#"{"verbs":["*"],"apiGroups":["*"],"resources":["*"],"nonResourceURLs":["*"]}"#;
    let exactly = VerbGroups::Exact;
    check(
        &["get pods a @shop", "list pods @shop", "get services b @shop", "list services @shop"],
        all,
        exactly,
        &["get+list :pods+services  @shop"],
    );
    // What is read everywhere is not said again for a namespace.
    check(
        &["list pods", "list pods @shop", "get /metrics"],
        all,
        exactly,
        &["list :pods ", "get :/metrics "],
    );
    check(&["list pods @shop"], all, VerbGroups::Read, &["get+list+watch :pods  @shop"]);
    check(&["create pods/exec a @shop"], all, exactly, &["create+get :pods/exec  @shop"]);
    check(
        &["impersonate users ann", "create serviceaccounts/token bot @ci"],
        all,
        exactly,
        &["impersonate :users ann", "create :serviceaccounts/token bot @ci"],
    );
    let named = r#"{"verbs":["get","update"],"apiGroups":[""],"resources":["configmaps"],"resourceNames":["a","b"]}"#;
    check(&["get configmaps a @shop"], named, exactly, &["get :configmaps a @shop"]);
}
