//! The rules of Kubernetes authorization and of access policies, as pure functions.
//!
//! Input: rules, permissions, reasons. Output: does this rule cover that permission, which grant did
//! the authorizer name, how wide is a set of rules, what of it is sensitive. No I/O, no state; every
//! function here is tested against an oracle written another way. Source:
//! <https://kubernetes.io/docs/reference/access-authn-authz/rbac/>.

pub mod cells;
pub mod defaults;
pub mod exact;
mod granting;
pub mod observable;
pub mod policies;
pub mod reason;
pub mod sensitive;
pub mod smallest;

use crate::model::grant::{Grant, Identity};
use crate::model::permission::{Permission, Rule, Scope, ScopedRule};

/// True when any rule, where it holds, covers the permission.
#[must_use]
pub fn covers(rules: &[ScopedRule], permission: &Permission) -> bool {
    rules.iter().any(|scoped| {
        scope_covers(&scoped.scope, permission) && rule_covers(&scoped.rule, permission)
    })
}

/// True when the rule covers the permission, wherever it is.
#[must_use]
pub fn rule_covers(rule: &Rule, permission: &Permission) -> bool {
    if !has(&rule.verbs, &permission.verb) {
        return false;
    }
    if permission.is_non_resource() {
        return rule.non_resource_urls.iter().any(|pattern| url_covers(pattern, &permission.path));
    }
    has(&rule.api_groups, &permission.api_group)
        && rule
            .resources
            .iter()
            .any(|r| resource_covers(r, &permission.resource, &permission.subresource))
        && (rule.resource_names.is_empty()
            || (!permission.name.is_empty() && rule.resource_names.contains(&permission.name)))
}

/// True when a rule of this scope can cover the permission at all. A RoleBinding never reaches
/// cluster-scoped resources or URLs; that a request for one Namespace object carries its name as
/// the namespace is the one exception, and needs no case here.
#[must_use]
pub fn scope_covers(scope: &Scope, permission: &Permission) -> bool {
    match scope {
        Scope::Cluster => true,
        Scope::Namespace(namespace) => {
            !permission.namespace.is_empty() && *namespace == permission.namespace
        }
        Scope::NamespaceGlobs(globs) => {
            !permission.namespace.is_empty()
                && globs.iter().any(|glob| glob_match(glob, &permission.namespace))
        }
    }
}

/// `*` covers all, `pods` does not cover `pods/log`, `*/scale` covers every `scale`.
#[must_use]
pub fn resource_covers(pattern: &str, resource: &str, subresource: &str) -> bool {
    if pattern == "*" {
        return true;
    }
    if subresource.is_empty() {
        return pattern == resource;
    }
    pattern
        .split_once('/')
        .is_some_and(|(parent, sub)| sub == subresource && (parent == "*" || parent == resource))
}

/// Exact, or a prefix when the pattern ends in stars.
#[must_use]
pub fn url_covers(pattern: &str, path: &str) -> bool {
    if pattern.ends_with('*') {
        path.starts_with(pattern.trim_end_matches('*'))
    } else {
        pattern == path
    }
}

/// Matches a glob whose `*` stands for any text, in time linear in both for one star.
#[must_use]
pub fn glob_match(pattern: &str, text: &str) -> bool {
    let mut pieces = pattern.split('*');
    let Some(first) = pieces.next() else { return text.is_empty() };
    let Some(mut rest) = text.strip_prefix(first) else { return false };
    let mut pieces: Vec<&str> = pieces.collect();
    // Without a star the one piece must be the whole text.
    let Some(last) = pieces.pop() else { return rest.is_empty() };
    for piece in pieces {
        match rest.find(piece) {
            Some(at) => rest = rest.get(at + piece.len()..).unwrap_or_default(),
            None => return false,
        }
    }
    rest.ends_with(last)
}

fn has(list: &[String], wanted: &str) -> bool {
    list.iter().any(|item| item == "*" || item == wanted)
}

/// True when a username template (`…/{{SessionName}}`) can come out as `name`.
#[must_use]
pub fn template_matches(template: &str, name: &str) -> bool {
    if !template.contains("{{") {
        return template == name;
    }
    let mut glob = String::with_capacity(template.len());
    let mut rest = template;
    while let Some((before, after)) = rest.split_once("{{") {
        glob.push_str(before);
        glob.push('*');
        rest = after.split_once("}}").map_or("", |(_, tail)| tail);
    }
    glob.push_str(rest);
    glob_match(&glob, name)
}

/// True when the mapping can come out with the group `name`.
#[must_use]
pub fn carries_group(identity: &Identity, name: &str) -> bool {
    identity.groups.iter().any(|group| template_matches(group, name))
}

/// True when the grant gives its holder the group `name`.
#[must_use]
pub fn gives_group(grant: &Grant, name: &str) -> bool {
    grant.group.as_deref().is_some_and(|group| template_matches(group, name))
}

#[cfg(test)]
mod tests;
