//! Marks in place of the names of Secrets, for reports that more people read than may know them.
//!
//! A mark stands for the same name wherever it is met: in requests, in rules that are given by name,
//! and in lists of token Secrets. Whoever can guess a name can make its mark and see that it was right;
//! nothing more comes back from it.

use super::digest;
use super::permission::{Permission, Rule};

/// No Kubernetes name has a colon.
/// Source: <https://kubernetes.io/docs/concepts/overview/working-with-objects/names/>.
const PREFIX: &str = "hidden:";
const SECRETS: &str = "secrets";

/// The mark of a name; of none, none.
#[must_use]
pub fn mark(name: &str) -> String {
    if name.is_empty() || is_mark(name) {
        return name.to_owned();
    }
    let digest = digest::of_parts([b"name of a Secret\0".as_slice(), name.as_bytes()]);
    format!("{PREFIX}{}", digest::hex(&digest, 12))
}

/// True for a mark.
#[must_use]
pub fn is_mark(name: &str) -> bool {
    name.starts_with(PREFIX)
}

/// True for a request on a Secret.
#[must_use]
pub fn is_of_secrets(permission: &Permission) -> bool {
    permission.api_group.is_empty() && permission.resource == SECRETS
}

/// Hides the name that a request gives.
pub fn hide(permission: &mut Permission) {
    if is_of_secrets(permission) {
        permission.name = mark(&permission.name);
    }
    // A path that is no resource may still look like one.
    if let Some((before, name)) = permission.path.rsplit_once("/secrets/") {
        permission.path = format!("{before}/secrets/{}", mark(name));
    }
}

/// The same rule without names of Secrets: one that is for other resources too falls in two.
#[must_use]
pub fn hidden(rule: Rule) -> Vec<Rule> {
    let has = |list: &[String], what: &str| list.iter().any(|one| one == what || one == "*");
    if rule.resource_names.is_empty()
        || !has(&rule.api_groups, "")
        || !has(&rule.resources, SECRETS)
    {
        return vec![rule];
    }
    let of_secrets = Rule {
        api_groups: vec![String::new()],
        resources: vec![SECRETS.to_owned()],
        resource_names: rule.resource_names.iter().map(|name| mark(name)).collect(),
        verbs: rule.verbs.clone(),
        non_resource_urls: Vec::new(),
    };
    let mut rest = rule;
    rest.resources.retain(|resource| resource != SECRETS);
    if rest.resources.is_empty() { vec![of_secrets] } else { vec![of_secrets, rest] }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(groups: &[&str], resources: &[&str], names: &[&str]) -> Rule {
        let texts = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect();
        Rule {
            verbs: texts(&["get"]),
            api_groups: texts(groups),
            resources: texts(resources),
            resource_names: texts(names),
            non_resource_urls: Vec::new(),
        }
    }

    #[test]
    fn rules_keep_what_they_give() {
        let db = mark("db");
        assert!(is_mark(&db) && !db.contains("db\"") && db != mark("db2") && mark(&db) == db);
        let check = |from: Rule, expected: &[Rule]| {
            let got = hidden(from.clone());
            assert_eq!(got, expected, "{from:?}");
        };
        let same = |from: Rule| check(from.clone(), &[from]);
        same(rule(&[""], &["secrets"], &[]));
        same(rule(&[""], &["configmaps"], &["db"]));
        same(rule(&["example.com"], &["secrets"], &["db"]));
        check(rule(&[""], &["secrets"], &["db"]), &[rule(&[""], &["secrets"], &[&db])]);
        check(
            rule(&["", "apps"], &["configmaps", "secrets"], &["db"]),
            &[rule(&[""], &["secrets"], &[&db]), rule(&["", "apps"], &["configmaps"], &["db"])],
        );
        check(
            rule(&["*"], &["*"], &["db"]),
            &[rule(&[""], &["secrets"], &[&db]), rule(&["*"], &["*"], &["db"])],
        );
    }

    #[test]
    fn requests_keep_all_but_the_name() {
        let check = |group: &str, resource: &str, path: &str, hides: bool| {
            let before = Permission {
                api_group: group.to_owned(),
                resource: resource.to_owned(),
                name: if path.is_empty() { "db".to_owned() } else { String::new() },
                path: path.to_owned(),
                ..Permission::default()
            };
            let mut after = before.clone();
            hide(&mut after);
            assert_eq!(before != after, hides, "{after:?}");
            assert_eq!(after.name.is_empty(), before.name.is_empty());
        };
        check("", "secrets", "", true);
        check("", "configmaps", "", false);
        check("example.com", "secrets", "", false);
        check("", "", "/api/v1/namespaces/shop/secrets/db", true);
        check("", "", "/healthz", false);
    }
}
