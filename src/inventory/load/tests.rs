//! Folders, holes and tolerance.

use super::*;
use crate::model::inventory::AuthMode;

const HEADER: &str = r#"{"captured_at":"2026-11-24T00:00:00Z","cluster_arn":"arn:aws:eks:us-west-2:111122223333:cluster/prod"}"#;

fn files(list: &[(&str, &str)]) -> Vec<(String, Vec<u8>)> {
    list.iter().map(|(path, text)| ((*path).to_owned(), text.as_bytes().to_vec())).collect()
}

fn one(list: &[(&str, &str)]) -> ClusterInventory {
    let mut all = vec![("c/inventory.json", HEADER)];
    all.extend(list);
    let mut loaded = load(&files(&all));
    assert_eq!(loaded.clusters.len(), 1, "{:?}", loaded.problems);
    loaded.clusters.remove(0)
}

#[test]
fn a_missing_file_is_a_hole_and_an_empty_list_is_none() {
    let cluster = one(&[("c/access-entries.json", "[]")]);
    assert_eq!(cluster.access_entries, Some(Vec::new()));
    assert_eq!(cluster.kubernetes, None);
    assert!(cluster.holes.iter().any(|hole| hole.what == "kubernetes.json"));
    assert!(!cluster.holes.iter().any(|hole| hole.what == "access-entries.json"));
    assert!(!cluster.holes.iter().any(|hole| hole.what == "trails.json"), "it is optional");
}

#[test]
fn a_broken_file_is_a_hole_and_a_broken_element_costs_itself() {
    let cluster = one(&[
        ("c/iam-roles.json", "[{"),
        (
            "c/access-entries.json",
            r#"[{"accessEntry":{"principalArn":"arn:aws:iam::1:role/a"}},{"accessEntry":{}}]"#,
        ),
    ]);
    assert_eq!(cluster.iam_roles, None);
    assert_eq!(cluster.access_entries.as_ref().map(Vec::len), Some(1));
    let holes: Vec<&str> = cluster.holes.iter().map(|hole| hole.what.as_str()).collect();
    assert!(
        holes.contains(&"iam-roles.json") && holes.contains(&"access-entries.json"),
        "{holes:?}"
    );
}

#[test]
fn a_snapshot_that_cannot_be_dated_is_a_problem() {
    let loaded =
        load(&files(&[("c/inventory.json", r#"{"cluster_arn":"arn:aws:eks:r:1:cluster/x"}"#)]));
    assert!(loaded.clusters.is_empty());
    assert!(loaded.problems[0].what.contains("captured_at"), "{:?}", loaded.problems);
    let loaded = load(&files(&[("c/inventory.json", r#"{"captured_at":"2026-11-24T00:00:00Z"}"#)]));
    assert!(loaded.clusters.is_empty() && loaded.problems[0].what.contains("cluster_arn"));
}

#[test]
fn folders_may_lie_anywhere_and_the_newest_snapshot_counts() {
    let later = HEADER.replace("24T00", "25T00");
    let other = HEADER.replace("cluster/prod", "cluster/test");
    let loaded = load(&files(&[
        ("a/deep/one/inventory.json", HEADER),
        ("a/deep/two/inventory.json", &later),
        ("inventory.json", &other),
        ("stray.json", "[]"),
    ]));
    assert_eq!(loaded.clusters.len(), 3);
    let newest = newest(&loaded.clusters);
    let got: Vec<(&str, String)> =
        newest.iter().map(|c| (c.name.as_str(), c.captured_at.to_rfc3339())).collect();
    assert_eq!(
        got,
        [("prod", "2026-11-25T00:00:00Z".to_owned()), ("test", "2026-11-24T00:00:00Z".to_owned())]
    );
}

#[test]
fn answers_read_with_and_without_their_outer_name() {
    let bare = r#"{"arn":"arn:aws:eks:us-west-2:111122223333:cluster/prod","accessConfig":{"authenticationMode":"API"},"createdAt":1730000000.5}"#;
    let wrapped = format!(r#"{{"cluster":{bare}}}"#);
    for text in [bare, &wrapped] {
        let cluster = one(&[("c/cluster.json", text)]).cluster.unwrap();
        assert_eq!(cluster.auth_mode, AuthMode::Api);
        assert_eq!(cluster.created_at.unwrap().0, 1_730_000_000_500_000);
    }
    let old =
        one(&[("c/cluster.json", r#"{"arn":"arn:aws:eks:us-west-2:111122223333:cluster/prod"}"#)]);
    assert_eq!(old.cluster.unwrap().auth_mode, AuthMode::ConfigMap);
    let roles = r#"{"Roles":[{"Role":{"Arn":"arn:aws:iam::1:role/a","RoleId":"AROA1","CreateDate":"2025-01-01T00:00:00+00:00","AssumeRolePolicyDocument":"%7B%22Statement%22%3A%5B%5D%7D"}}]}"#;
    let roles = one(&[("c/iam-roles.json", roles)]).iam_roles.unwrap();
    assert_eq!(roles[0].trust_policy.as_deref(), Some(r#"{"Statement":[]}"#));
}

#[test]
fn kubernetes_objects_come_in_lists_streams_and_files() {
    let role = r#"{"kind":"ClusterRole","metadata":{"name":"r"},"rules":null}"#;
    let sa = r#"{"kind":"ServiceAccount","metadata":{"name":"s","namespace":"n","annotations":{"eks.amazonaws.com/role-arn":"arn:aws:iam::1:role/x"}}}"#;
    let binding = r#"{"kind":"RoleBinding","metadata":{"name":"b","namespace":"n"},"roleRef":{"kind":"ClusterRole","name":"r"},"subjects":[{"kind":"ServiceAccount","name":"s"},{"kind":"Group","name":"g"},{"kind":"Robot","name":"x"}]}"#;
    let list = format!(r#"{{"kind":"List","items":[{role},{sa},{binding}]}}"#);
    let typed = r#"{"kind":"NamespaceList","items":[{"metadata":{"name":"n"}}]}"#;
    let shapes: [&[(&str, &str)]; 2] = [
        &[("c/kubernetes.json", &list), ("c/kubernetes-ns.json", typed)],
        &[
            ("c/kubernetes/a.json", &format!("{role}\n{sa}\n{binding}")),
            ("c/kubernetes/b.json", typed),
        ],
    ];
    for shape in shapes {
        let cluster = one(shape);
        let kubernetes = cluster.kubernetes.unwrap();
        assert_eq!(kubernetes.roles.len(), 1);
        assert_eq!(kubernetes.namespaces, ["n"]);
        assert_eq!(
            kubernetes.service_accounts[0].role_arn.as_deref(),
            Some("arn:aws:iam::1:role/x")
        );
        let subjects = &kubernetes.bindings[0].subjects;
        assert_eq!(subjects.len(), 2, "the unknown kind is dropped: {subjects:?}");
        assert!(cluster.holes.iter().any(|hole| hole.what.starts_with("kubernetes")), "and told");
    }
}

proptest::proptest! {
    #[test]
    fn no_bytes_panic(name in "(inventory|cluster|access-entries|iam-roles|kubernetes|api-resources|trails)", bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..120)) {
        let header = ("c/inventory.json".to_owned(), HEADER.as_bytes().to_vec());
        let loaded = load(&[(format!("c/{name}.json"), bytes), header]);
        proptest::prop_assert!(loaded.clusters.len() <= 1);
    }
}
