//! How a set of rules covers many uses, each kind of use looked at once.
//!
//! Most uses of a grant differ by the object's name alone, which rules without names never look at.

use rustc_hash::FxHashMap;

use crate::model::permission::{Permission, Scope, ScopedRule};

use super::{rule_covers, scope_covers};

/// How rules cover a use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct How {
    /// Only by rules that name objects.
    pub(super) by_name: bool,
    /// By a rule for the whole cluster, among others.
    pub(super) by_cluster: bool,
}

type Key<'a> = ([&'a str; 5], &'a str, &'a str);

/// Remembers.
pub(super) struct Granting<'r, 'u> {
    rules: &'r [ScopedRule],
    named: bool,
    seen: FxHashMap<Key<'u>, Option<How>>,
}

impl<'r, 'u> Granting<'r, 'u> {
    pub(super) fn new(rules: &'r [ScopedRule]) -> Self {
        let named = rules.iter().any(|scoped| !scoped.rule.resource_names.is_empty());
        Granting { rules, named, seen: FxHashMap::default() }
    }

    /// How the rules cover `one`, and whether it is the first of its kind; `None` when they do not.
    pub(super) fn of(&mut self, one: &'u Permission) -> (Option<How>, bool) {
        let name = if self.named { one.name.as_str() } else { "" };
        let what = [
            one.verb.as_str(),
            one.api_group.as_str(),
            one.resource.as_str(),
            one.subresource.as_str(),
            one.path.as_str(),
        ];
        let key = (what, one.namespace.as_str(), name);
        if let Some(&known) = self.seen.get(&key) {
            return (known, false);
        }
        let mut how: Option<How> = None;
        for scoped in self.rules {
            if scope_covers(&scoped.scope, one) && rule_covers(&scoped.rule, one) {
                let by_name = !scoped.rule.resource_names.is_empty();
                let by_cluster = scoped.scope == Scope::Cluster;
                let known = how.get_or_insert(How { by_name, by_cluster });
                known.by_name &= by_name;
                known.by_cluster |= by_cluster;
            }
        }
        self.seen.insert(key, how);
        (how, true)
    }
}
