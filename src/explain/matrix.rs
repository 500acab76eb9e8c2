//! Resources by verbs: used, granted and unused, refused, not to be seen.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::rows::UseRow;
use crate::model::permission::{Permission, Rule, Scope, ScopedRule};
use crate::rbac::observable::{Observability, rule_observability};
use crate::rbac::rule_covers;

/// Verbs that every resource has, in the order in which people read them.
const COMMON: [&str; 8] =
    ["get", "list", "watch", "create", "update", "patch", "delete", "deletecollection"];
/// Resources that are shown though nobody touched them: what they give is worth a line. True for
/// those that no namespace holds.
const WORTH_A_LINE: [(&str, &str, bool); 6] = [
    ("", "secrets", false),
    ("", "pods", false),
    ("", "pods/exec", false),
    ("", "serviceaccounts/token", false),
    ("rbac.authorization.k8s.io", "clusterrolebindings", true),
    ("", "nodes", true),
];

/// A rule that is held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct HeldRule {
    /// What it gives.
    pub(super) rule: Rule,
    /// True for the whole cluster: only then it gives what no namespace holds.
    pub(super) cluster_wide: bool,
}

/// What is known of one verb on one resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Cell {
    /// Not granted, not asked for.
    Nothing,
    /// Allowed at least once.
    Used,
    /// Granted, and nobody used it.
    Unused,
    /// Refused, never allowed.
    Refused,
    /// Allowed in one place and refused in another.
    UsedAndRefused,
    /// Granted, and its use leaves no line in the log.
    Unobservable,
}

impl Cell {
    /// Its mark.
    #[must_use]
    pub fn mark(self) -> &'static str {
        match self {
            Cell::Nothing => "·",
            Cell::Used => "●",
            Cell::Unused => "○",
            Cell::Refused => "×",
            Cell::UsedAndRefused => "●×",
            Cell::Unobservable => "?",
        }
    }
}

/// A resource or path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MatrixRow {
    /// `deployments.apps`, `pods/log`, `/metrics`, `*` for all that is not listed.
    pub resource: String,
    /// One for each verb.
    pub cells: Vec<Cell>,
    /// Namespaces it was used in, comma-joined; empty for none or the cluster.
    pub namespaces: String,
    /// True when somebody asked for it.
    pub touched: bool,
    /// True for what is worth a line of its own, touched or not.
    pub telling: bool,
}

/// What someone may do and did in one cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Matrix {
    /// Cluster name.
    pub cluster: String,
    /// Columns.
    pub verbs: Vec<String>,
    /// Rows: used ones by name, then what nobody touched, then `*`.
    pub rows: Vec<MatrixRow>,
    /// Roles and policies whose rules are not known.
    pub unknown: Vec<String>,
}

/// API group, resource with its subresource; or empty and a path.
type Key = (String, String);

#[derive(Default)]
struct Seen {
    allowed: BTreeSet<String>,
    refused: BTreeSet<String>,
    namespaces: BTreeSet<String>,
}

/// Makes the matrix of one cluster from what was asked for and the rules that are held.
#[must_use]
pub(super) fn matrix(
    cluster: &str,
    uses: &[&UseRow],
    rules: &[HeldRule],
    unknown: &[String],
) -> Matrix {
    let mut seen: BTreeMap<Key, Seen> = BTreeMap::new();
    for one in uses {
        let name = if one.resource.is_empty() {
            one.path.clone()
        } else if one.subresource.is_empty() {
            one.resource.clone()
        } else {
            format!("{}/{}", one.resource, one.subresource)
        };
        let row = seen.entry((one.api_group.clone(), name)).or_default();
        match one.decision.as_str() {
            "allow" => {
                row.allowed.insert(one.verb.clone());
                row.namespaces
                    .extend(Some(one.namespace.clone()).filter(|namespace| !namespace.is_empty()));
            }
            "forbid" => {
                row.refused.insert(one.verb.clone());
            }
            _ => {}
        }
    }
    let verbs = verbs(&seen, rules);
    let mut rows: Vec<MatrixRow> = seen
        .iter()
        .map(|(key, seen)| MatrixRow {
            resource: words(key),
            cells: verbs.iter().map(|verb| cell(key, verb, Some(seen), rules)).collect(),
            namespaces: seen.namespaces.iter().map(String::as_str).collect::<Vec<_>>().join(","),
            touched: true,
            telling: true,
        })
        .collect();
    let named = |group: &str, name: &str| {
        WORTH_A_LINE.iter().any(|(one, other, _)| *one == group && *other == name)
    };
    let mut untouched: BTreeSet<Key> = BTreeSet::new();
    for HeldRule { rule, .. } in rules {
        for group in rule.api_groups.iter().filter(|group| *group != "*") {
            let plain = rule.resources.iter().filter(|name| !name.contains('*'));
            let plain = plain.filter(|name| !named(group, name));
            untouched.extend(plain.map(|name| (group.clone(), name.clone())));
        }
        let paths = rule.non_resource_urls.iter().filter(|url| *url != "*");
        untouched.extend(paths.map(|url| (String::new(), url.clone())));
    }
    let wide: Vec<HeldRule> = rules.iter().filter(|held| held.cluster_wide).cloned().collect();
    for (group, name, of_cluster) in WORTH_A_LINE {
        let key = (group.to_owned(), name.to_owned());
        if !seen.contains_key(&key) {
            push_granted(
                &mut rows,
                words(&key),
                &key,
                &verbs,
                if of_cluster { &wide } else { rules },
            );
        }
    }
    for row in &mut rows {
        row.telling = true;
    }
    for key in untouched.iter().filter(|key| !seen.contains_key(*key)) {
        push_granted(&mut rows, words(key), key, &verbs, rules);
    }
    // A resource that no list has: what it may is what wildcards give.
    let other = ("other.invalid".to_owned(), "others".to_owned());
    push_granted(&mut rows, "*".to_owned(), &other, &verbs, rules);
    if let Some(last) = rows.last_mut().filter(|row| row.resource == "*") {
        last.telling = true;
    }
    Matrix { cluster: cluster.to_owned(), verbs, rows, unknown: unknown.to_vec() }
}

fn push_granted(
    rows: &mut Vec<MatrixRow>,
    resource: String,
    key: &Key,
    verbs: &[String],
    rules: &[HeldRule],
) {
    let cells: Vec<Cell> = verbs.iter().map(|verb| cell(key, verb, None, rules)).collect();
    if cells.iter().any(|cell| *cell != Cell::Nothing) {
        let namespaces = String::new();
        rows.push(MatrixRow { resource, cells, namespaces, touched: false, telling: false });
    }
}

/// Common verbs, then those that were used or that a rule names.
fn verbs(seen: &BTreeMap<Key, Seen>, rules: &[HeldRule]) -> Vec<String> {
    let mut others: BTreeSet<&str> = BTreeSet::new();
    for row in seen.values() {
        others.extend(row.allowed.iter().chain(&row.refused).map(String::as_str));
    }
    for HeldRule { rule, .. } in rules {
        others.extend(rule.verbs.iter().map(String::as_str).filter(|verb| *verb != "*"));
    }
    let rare = others.into_iter().filter(|verb| !COMMON.contains(verb));
    COMMON.into_iter().chain(rare).map(str::to_owned).collect()
}

fn cell((group, name): &Key, verb: &str, seen: Option<&Seen>, rules: &[HeldRule]) -> Cell {
    let has =
        |which: fn(&Seen) -> &BTreeSet<String>| seen.is_some_and(|seen| which(seen).contains(verb));
    match (has(|seen| &seen.allowed), has(|seen| &seen.refused)) {
        (true, true) => return Cell::UsedAndRefused,
        (true, false) => return Cell::Used,
        (false, true) => return Cell::Refused,
        (false, false) => {}
    }
    let permission = if name.starts_with('/') {
        Permission { verb: verb.to_owned(), path: name.clone(), ..Permission::default() }
    } else {
        let (resource, subresource) = name.split_once('/').unwrap_or((name, ""));
        Permission {
            verb: verb.to_owned(),
            api_group: group.clone(),
            resource: resource.to_owned(),
            subresource: subresource.to_owned(),
            ..Permission::default()
        }
    };
    let covers = |held: &HeldRule| {
        // Whatever the names are: somewhere it is granted.
        let any_name = Rule { resource_names: Vec::new(), ..held.rule.clone() };
        (held.cluster_wide || permission.path.is_empty()) && rule_covers(&any_name, &permission)
    };
    if !rules.iter().any(covers) {
        return Cell::Nothing;
    }
    let alone = Rule {
        verbs: vec![verb.to_owned()],
        api_groups: if permission.path.is_empty() { vec![group.clone()] } else { Vec::new() },
        resources: if permission.path.is_empty() { vec![name.clone()] } else { Vec::new() },
        non_resource_urls: Some(permission.path)
            .filter(|path| !path.is_empty())
            .into_iter()
            .collect(),
        resource_names: Vec::new(),
    };
    match rule_observability(&ScopedRule { scope: Scope::Cluster, rule: alone }) {
        Observability::Observable => Cell::Unused,
        Observability::NeedsReviews | Observability::Never => Cell::Unobservable,
    }
}

fn words((group, name): &Key) -> String {
    if group.is_empty() { name.clone() } else { format!("{name}.{group}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn use_of(verb: &str, resource: &str, namespace: &str, decision: &str) -> UseRow {
        UseRow {
            verb: verb.to_owned(),
            resource: resource.to_owned(),
            namespace: namespace.to_owned(),
            decision: decision.to_owned(),
            ..UseRow::default()
        }
    }

    fn drawn(uses: &[UseRow], rules: &str, cluster_wide: bool) -> Vec<String> {
        let rules: Vec<Rule> = serde_json::from_str(rules).unwrap();
        let rules: Vec<HeldRule> =
            rules.into_iter().map(|rule| HeldRule { rule, cluster_wide }).collect();
        let uses: Vec<&UseRow> = uses.iter().collect();
        let matrix = matrix("prod", &uses, &rules, &[]);
        let mut lines = vec![matrix.verbs.join(" ")];
        lines.extend(matrix.rows.iter().map(|row| {
            let marks: Vec<&str> = row.cells.iter().map(|cell| cell.mark()).collect();
            format!("{} {} {}", row.resource, marks.join(""), row.namespaces).trim_end().to_owned()
        }));
        lines
    }

    #[test]
    fn what_was_done_beside_what_may_be_done() {
        let uses = [
            use_of("get", "pods", "shop", "allow"),
            use_of("get", "pods", "pay", "forbid"),
            use_of("list", "secrets", "pay", "forbid"),
            use_of("get", "pods", "blog", "allow"),
        ];
        let rules = r#"[
            {"verbs":["get","list","create"],"apiGroups":[""],"resources":["pods","events"]},
            {"verbs":["bind"],"apiGroups":["rbac.authorization.k8s.io"],"resources":["roles"]},
            {"verbs":["get"],"nonResourceURLs":["/metrics"]}
        ]"#;
        assert_eq!(
            drawn(&uses, rules, true),
            [
                "get list watch create update patch delete deletecollection bind",
                "pods ●×○·○····· blog,shop",
                "secrets ·×·······",
                "/metrics ?········",
                "events ??·?·····",
                "roles.rbac.authorization.k8s.io ········?",
            ]
        );
    }

    #[test]
    fn a_wildcard_is_one_line() {
        let rules = r#"[{"verbs":["*"],"apiGroups":["*"],"resources":["*"]}]"#;
        let lines = drawn(&[], rules, true);
        assert!(lines.contains(&"* ○○○○○○○○".to_owned()), "{lines:#?}");
        assert!(lines.contains(&"secrets ○○○○○○○○".to_owned()), "{lines:#?}");
        assert!(lines.contains(&"nodes ○○○○○○○○".to_owned()), "{lines:#?}");
        let of_namespace = drawn(&[], rules, false);
        assert!(of_namespace.contains(&"secrets ○○○○○○○○".to_owned()), "{of_namespace:#?}");
        assert!(!of_namespace.iter().any(|line| line.starts_with("nodes")), "{of_namespace:#?}");
        assert_eq!(drawn(&[], "[]", true).len(), 1, "nothing held, nothing drawn");
    }
}
