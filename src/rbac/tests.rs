//! The evaluator against tables, and against an oracle that spells every permission out.

mod exact;

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

fn rule(text: &str) -> Rule {
    serde_json::from_str(text).expect("a rule")
}

/// `verb group/resource[/sub] [name] [@namespace]`, or `verb /path`.
fn permission(text: &str) -> Permission {
    let mut words = text.split(' ');
    let verb = words.next().unwrap().to_owned();
    let what = words.next().unwrap();
    if what.starts_with('/') {
        return Permission { verb, path: what.to_owned(), ..Permission::default() };
    }
    let (group, resource) = what.split_once(':').unwrap_or(("", what));
    let (resource, subresource) = resource.split_once('/').unwrap_or((resource, ""));
    let mut p = Permission {
        verb,
        api_group: group.to_owned(),
        resource: resource.to_owned(),
        subresource: subresource.to_owned(),
        ..Permission::default()
    };
    for word in words {
        match word.strip_prefix('@') {
            Some(namespace) => namespace.clone_into(&mut p.namespace),
            None => word.clone_into(&mut p.name),
        }
    }
    p
}

fn check(rule_text: &str, covered: &[&str], not: &[&str]) {
    let rule = rule(rule_text);
    for text in covered {
        assert!(rule_covers(&rule, &permission(text)), "{rule_text} must cover {text}");
    }
    for text in not {
        assert!(!rule_covers(&rule, &permission(text)), "{rule_text} must not cover {text}");
    }
}

#[test]
fn subresources_are_not_their_parents() {
    check(
        r#"{"verbs":["get"],"apiGroups":[""],"resources":["pods"]}"#,
        &["get pods", "get pods x @a"],
        &["get pods/log", "list pods", "get apps:pods", "get /pods"],
    );
    check(
        r#"{"verbs":["*"],"apiGroups":["*"],"resources":["*/scale"]}"#,
        &["update apps:deployments/scale x @a"],
        &["update apps:deployments", "get pods/log"],
    );
    check(
        r#"{"verbs":["get"],"apiGroups":[""],"resources":["pods/*"]}"#,
        &[],
        &["get pods/log", "get pods"],
    );
    check(r#"{"verbs":["*"],"apiGroups":[""],"resources":["*"]}"#, &["x pods/exec"], &["x apps:a"]);
}

#[test]
fn names_bind_only_requests_that_have_one() {
    check(
        r#"{"verbs":["*"],"apiGroups":[""],"resources":["secrets"],"resourceNames":["a"]}"#,
        &["get secrets a", "list secrets a", "delete secrets a"],
        &["get secrets b", "list secrets", "create secrets", "deletecollection secrets"],
    );
}

#[test]
fn urls() {
    check(
        r#"{"verbs":["get"],"nonResourceURLs":["/metrics","/x/*"]}"#,
        &["get /metrics", "get /x/", "get /x/y/z"],
        &["get /metrics/a", "get /x", "post /metrics", "get pods"],
    );
    check(r#"{"verbs":["get"],"nonResourceURLs":["*"]}"#, &["get /anything"], &["get pods"]);
}

#[test]
fn scopes() {
    let check = |scope: &Scope, text: &str, expected: bool| {
        assert_eq!(scope_covers(scope, &permission(text)), expected, "{scope:?} {text}");
    };
    let shop = Scope::Namespace("shop".to_owned());
    check(&shop, "get pods @shop", true);
    check(&shop, "get pods @pay", false);
    check(&shop, "list pods", false);
    check(&shop, "list nodes", false);
    check(&shop, "get /metrics", false);
    check(&shop, "get namespaces shop @shop", true);
    let dev = Scope::NamespaceGlobs(vec!["dev-*".to_owned(), "x".to_owned()]);
    check(&dev, "get pods @dev-1", true);
    check(&dev, "get pods @x", true);
    check(&dev, "get pods @xx", false);
    check(&dev, "list pods", false);
    check(&Scope::Cluster, "list nodes", true);
}

#[test]
fn globs() {
    for (pattern, text, expected) in [
        ("", "", true),
        ("a", "a", true),
        ("a", "ab", false),
        ("*", "", true),
        ("a*", "ab", true),
        ("*b", "ab", true),
        ("a*c*e", "abcde", true),
        ("a*c*e", "ace", true),
        ("a*c*e", "aec", false),
        ("ab*ba", "aba", false),
        ("**", "x", true),
    ] {
        assert_eq!(glob_match(pattern, text), expected, "{pattern} {text}");
    }
    let hostile = "a*".repeat(2000);
    assert!(!glob_match(&hostile, &"b".repeat(20_000)));
}

const VERBS: [&str; 3] = ["get", "list", "create"];
const GROUPS: [&str; 2] = ["", "apps"];
const RESOURCES: [&str; 4] = ["pods", "pods/log", "deployments", "deployments/scale"];
const NAMES: [&str; 3] = ["", "a", "b"];
const NAMESPACES: [&str; 4] = ["", "n1", "n2", "dev-1"];
const PATHS: [&str; 4] = ["/a", "/a/b", "/a/b/c", "/z"];

fn universe() -> Vec<Permission> {
    let mut all = Vec::new();
    for verb in VERBS {
        for path in PATHS {
            all.push(permission(&format!("{verb} {path}")));
        }
        for group in GROUPS {
            for resource in RESOURCES {
                for name in NAMES {
                    for namespace in NAMESPACES {
                        let mut p = permission(&format!("{verb} {group}:{resource}"));
                        name.clone_into(&mut p.name);
                        namespace.clone_into(&mut p.namespace);
                        all.push(p);
                    }
                }
            }
        }
    }
    all
}

/// Spells a rule out over the small universe: the set of texts it allows.
fn spelled_out(scoped: &ScopedRule) -> BTreeSet<Permission> {
    let expand = |list: &[String], all: &[&str]| -> BTreeSet<String> {
        let mut out: BTreeSet<String> = list.iter().cloned().collect();
        if list.iter().any(|item| item == "*") {
            out.extend(all.iter().map(|item| (*item).to_owned()));
        }
        out
    };
    let verbs = expand(&scoped.rule.verbs, &VERBS);
    let groups = expand(&scoped.rule.api_groups, &GROUPS);
    let mut resources: BTreeSet<String> = BTreeSet::new();
    for pattern in &scoped.rule.resources {
        if pattern == "*" {
            resources.extend(RESOURCES.iter().map(|r| (*r).to_owned()));
        } else if let Some(sub) = pattern.strip_prefix("*/") {
            for r in RESOURCES {
                if r.ends_with(&format!("/{sub}")) {
                    resources.insert(r.to_owned());
                }
            }
        } else {
            resources.insert(pattern.clone());
        }
    }
    let names: Vec<&str> = if scoped.rule.resource_names.is_empty() {
        NAMES.to_vec()
    } else {
        NAMES.into_iter().filter(|n| scoped.rule.resource_names.iter().any(|r| r == n)).collect()
    };
    let namespaces: Vec<&str> = match &scoped.scope {
        Scope::Cluster => NAMESPACES.to_vec(),
        Scope::Namespace(ns) => NAMESPACES.into_iter().filter(|n| n == ns).collect(),
        Scope::NamespaceGlobs(globs) => NAMESPACES
            .into_iter()
            .filter(|n| {
                !n.is_empty()
                    && globs.iter().any(|g| match g.strip_suffix('*') {
                        Some(prefix) => n.starts_with(prefix),
                        None => g == n,
                    })
            })
            .collect(),
    };
    let mut out = BTreeSet::new();
    for verb in &verbs {
        for group in &groups {
            for resource in &resources {
                for name in &names {
                    for namespace in &namespaces {
                        let mut p = permission(&format!("{verb} {group}:{resource}"));
                        (*name).clone_into(&mut p.name);
                        (*namespace).clone_into(&mut p.namespace);
                        out.insert(p);
                    }
                }
            }
        }
        if scoped.scope == Scope::Cluster {
            for path in PATHS {
                let hit = scoped.rule.non_resource_urls.iter().any(|url| {
                    url == path || url.split_once('*').is_some_and(|(p, _)| path.starts_with(p))
                });
                if hit {
                    out.insert(permission(&format!("{verb} {path}")));
                }
            }
        }
    }
    out
}

fn some(of: &'static [&'static str]) -> impl Strategy<Value = Vec<String>> {
    prop::collection::vec(prop::sample::select(of).prop_map(str::to_owned), 0..3)
}

pub(super) fn any_scoped_rule() -> impl Strategy<Value = ScopedRule> {
    let scope = prop_oneof![
        Just(Scope::Cluster),
        prop::sample::select(&["n1", "n2"][..]).prop_map(|n| Scope::Namespace(n.to_owned())),
        some(&["n1", "dev-*", "*"]).prop_map(Scope::NamespaceGlobs),
    ];
    (
        scope,
        some(&["get", "list", "create", "*"]),
        some(&["", "apps", "*"]),
        some(&["pods", "pods/log", "deployments", "*/scale", "*"]),
        some(&["a", "b"]),
        some(&["/a", "/a/*", "*"]),
    )
        .prop_map(
            |(scope, verbs, api_groups, resources, resource_names, non_resource_urls)| {
                let rule = Rule { verbs, api_groups, resources, resource_names, non_resource_urls };
                ScopedRule { scope, rule }
            },
        )
}

proptest! {
    #[test]
    fn the_evaluator_agrees_with_spelling_out(rules in prop::collection::vec(any_scoped_rule(), 0..4)) {
        let allowed: BTreeSet<Permission> = rules.iter().flat_map(spelled_out).collect();
        for p in universe() {
            prop_assert_eq!(covers(&rules, &p), allowed.contains(&p), "{:?} {:?}", rules, p);
        }
    }
}

#[test]
fn usernames_from_templates() {
    let check = |template: &str, name: &str, expected: bool| {
        assert_eq!(template_matches(template, name), expected, "{template} {name}");
    };
    check("ann", "ann", true);
    check("ann", "anna", false);
    check("arn:x/{{SessionName}}", "arn:x/i-1", true);
    check("arn:x/{{SessionName}}", "arn:y/i-1", false);
    check("{{AccountID}}-{{SessionName}}-x", "1-2-x", true);
    check("a{{broken", "abc", true);
}
