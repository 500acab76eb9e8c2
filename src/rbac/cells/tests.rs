//! Widths by hand, and the property that use never needs more than a grant allows.

use proptest::prelude::*;

use super::*;
use crate::rbac::covers;

fn rules(scope: &Scope, text: &str) -> Vec<ScopedRule> {
    let rules: Vec<Rule> = serde_json::from_str(text).expect("rules");
    rules.into_iter().map(|rule| ScopedRule { scope: scope.clone(), rule }).collect()
}

fn small() -> Universe {
    let resource = |api_group: &str, name: &str, namespaced: bool, verbs: &[&str]| ApiResource {
        api_group: api_group.to_owned(),
        name: name.to_owned(),
        namespaced,
        verbs: verbs.iter().map(|v| (*v).to_owned()).collect(),
    };
    let listed = [
        resource("", "pods", true, &["get", "list"]),
        resource("", "nodes", false, &["get"]),
        resource("apps", "deployments", true, &["get"]),
        resource("", "namespaces", false, &["get"]),
    ];
    let namespaces = ["n1", "n2", "dev-1"].map(str::to_owned);
    Universe::new(Some(&listed), &namespaces, std::iter::empty())
}

fn check(scope: &Scope, text: &str, expected: u64) {
    assert_eq!(cells(&rules(scope, text), &small()), expected, "{scope:?} {text}");
}

#[test]
fn widths() {
    let n1 = Scope::Namespace("n1".to_owned());
    let new = Scope::Namespace("not-listed".to_owned());
    let dev = Scope::NamespaceGlobs(vec!["dev-*".to_owned()]);
    let pods = r#"[{"verbs":["get","list"],"apiGroups":[""],"resources":["pods"]}]"#;
    let all = r#"[{"verbs":["*"],"apiGroups":["*"],"resources":["*"]}]"#;
    check(&Scope::Cluster, pods, 6);
    check(&n1, pods, 2);
    check(&new, pods, 2);
    check(&dev, pods, 2);
    check(&Scope::Cluster, all, 3 + 3 + 1 + 3 + 1);
    check(&n1, all, 1 + 1 + 1 + 1);
    check(
        &Scope::Cluster,
        r#"[{"verbs":["get"],"apiGroups":[""],"resources":["pods"],"resourceNames":["a","b"]}]"#,
        2,
    );
    check(&Scope::Cluster, r#"[{"verbs":["get"],"nonResourceURLs":["/metrics","/metrics/*"]}]"#, 2);
    check(&n1, r#"[{"verbs":["get"],"nonResourceURLs":["/metrics"]}]"#, 0);
    check(&n1, r#"[{"verbs":["get"],"apiGroups":[""],"resources":["nodes"]}]"#, 0);
    check(&Scope::Cluster, r#"[{"verbs":["get"],"apiGroups":["x"],"resources":["things"]}]"#, 0);
    check(&Scope::Cluster, r#"[{"verbs":["get","fly"],"apiGroups":[""],"resources":["pods"]}]"#, 3);
    check(
        &Scope::Cluster,
        r#"[{"verbs":["impersonate"],"apiGroups":[""],"resources":["users","pods"]}]"#,
        4,
    );
    check(&Scope::Cluster, "[]", 0);
}

#[test]
fn overlapping_rules_count_once() {
    let twice = r#"[{"verbs":["get"],"apiGroups":[""],"resources":["pods"]},{"verbs":["*"],"apiGroups":["*"],"resources":["pods"],"resourceNames":["a"]}]"#;
    // get everywhere holds the named get; the named list is one more.
    check(&Scope::Cluster, twice, 4);
}

#[test]
fn needs() {
    let universe = small();
    let view = rules(
        &Scope::Cluster,
        r#"[{"verbs":["get","list"],"apiGroups":[""],"resources":["pods","nodes"]}]"#,
    );
    let of = |verb: &str, resource: &str, namespace: &str| Permission {
        verb: verb.to_owned(),
        resource: resource.to_owned(),
        namespace: namespace.to_owned(),
        ..Permission::default()
    };
    let check = |used: &[Permission], expected: u64| {
        assert_eq!(
            needed_cells(&view, &used.iter().collect::<Vec<_>>(), &universe),
            expected,
            "{used:?}"
        );
    };
    check(&[of("list", "pods", "n1")], 1);
    check(&[of("list", "pods", "")], 3);
    check(&[of("list", "pods", ""), of("list", "pods", "n1")], 3);
    check(&[of("get", "nodes", "")], 1);
    check(&[of("get", "secrets", "n1")], 0);
}

fn any_permission() -> impl Strategy<Value = Permission> {
    (
        prop::sample::select(&["get", "list", "create"][..]),
        prop::sample::select(&["", "apps"][..]),
        prop::sample::select(&["pods", "pods/log", "deployments", "nodes", "namespaces", ""][..]),
        prop::sample::select(&["", "a", "b", "c"][..]),
        prop::sample::select(&["", "n1", "n2", "dev-1", "other"][..]),
        prop::sample::select(&["/a", "/a/b", "/metrics"][..]),
    )
        .prop_map(|(verb, group, resource, name, namespace, path)| {
            let (resource, subresource) = resource.split_once('/').unwrap_or((resource, ""));
            if resource.is_empty() {
                return Permission {
                    verb: verb.to_owned(),
                    path: path.to_owned(),
                    ..Permission::default()
                };
            }
            Permission {
                verb: verb.to_owned(),
                api_group: group.to_owned(),
                resource: resource.to_owned(),
                subresource: subresource.to_owned(),
                namespace: namespace.to_owned(),
                name: name.to_owned(),
                path: String::new(),
            }
        })
}

proptest! {
    #[test]
    fn use_never_needs_more_than_is_allowed(
        rules in prop::collection::vec(crate::rbac::tests::any_scoped_rule(), 0..4),
        used in prop::collection::vec(any_permission(), 0..12),
    ) {
        let used: Vec<Permission> = used.into_iter().filter(|p| covers(&rules, p)).collect();
        let namespaces = ["n1".to_owned(), "n2".to_owned()];
        let universe = Universe::new(None, &namespaces, used.iter());
        prop_assert!(needed_cells(&rules, &used.iter().collect::<Vec<_>>(), &universe) <= cells(&rules, &universe));
    }

    /// More rules never allow less.
    #[test]
    fn width_is_monotone(
        rules in prop::collection::vec(crate::rbac::tests::any_scoped_rule(), 1..4),
    ) {
        let universe = small();
        let fewer = rules.get(1..).unwrap_or_default();
        prop_assert!(cells(fewer, &universe) <= cells(&rules, &universe));
    }
}
