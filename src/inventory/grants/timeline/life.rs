//! One thing that can be granted, over the window: step by step, and what that comes to.
//!
//! Input: the steps that the log shows, in order of time. Output: when it was first proven, when it
//! last came to reach further, whether it is away at the end. A first sight proves nothing of what
//! was before it, unless the step made the thing new.

use std::collections::BTreeSet;

use crate::model::time::Micros;

/// The reach of what has only one: a group, a row, an association, an entry.
pub(super) const HELD: &str = "held";
/// The reach of a policy that is scoped to the whole cluster.
pub(super) const EVERYWHERE: &str = "*";

/// One step in the life of a grant.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Step {
    pub(super) at: Micros,
    /// `None` when it was taken away; else what it then reached, comma-joined: namespaces of a
    /// policy, the role of a binding, the digest of a role's rules, or just [`HELD`]. Empty where the
    /// log does not say.
    pub(super) reach: Option<String>,
    /// True where the step made the thing new, so that nothing of it can be older.
    pub(super) made: bool,
    /// Who did it, where the step proves that it granted something.
    pub(super) by: Option<String>,
}

/// What a life comes to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Life {
    /// The first instant at which the log proves it.
    pub(super) first: Option<Micros>,
    /// When it was made, where the first step made it.
    pub(super) made: Option<Micros>,
    /// When it last came to reach further.
    pub(super) widened: Option<Micros>,
    /// True when it was taken away and made again.
    pub(super) restored: bool,
    /// When it was taken away, if it is away at the end.
    pub(super) gone: Option<Micros>,
    /// Who made it as it is now.
    pub(super) granted_by: Option<String>,
    /// What it reached last.
    pub(super) reach: String,
}

impl Life {
    pub(super) fn of(steps: &[Step]) -> Self {
        let mut life = Life::default();
        let mut known: Option<&str> = None;
        for step in steps {
            let Some(reach) = &step.reach else {
                // It was there to be taken away.
                life.first = life.first.or(Some(step.at));
                life.gone = Some(step.at);
                continue;
            };
            let wider = match known {
                // It was there before; how far it reached is not known, unless there is one reach.
                None if life.first.is_some() => reach != HELD,
                None => !step.made,
                Some(before) => is_wider(reach, before),
            };
            if wider {
                life.widened = Some(step.at);
            }
            if step.made && life.first.is_none() {
                life.made = Some(step.at);
            }
            life.restored |= life.gone.take().is_some();
            life.first = life.first.or(Some(step.at));
            if step.by.is_some() {
                life.granted_by.clone_from(&step.by);
            }
            known = Some(reach);
            life.reach.clone_from(reach);
        }
        life
    }

    /// The first instant at which the grant could be used as it is now, given what the inventory
    /// says. What was made again keeps its first date: whoever rebuilds everything each night does
    /// not stay young for ever.
    pub(super) fn valid_from(&self, dated: Option<Micros>) -> Option<Micros> {
        if self.restored {
            self.first.max(self.widened)
        } else {
            dated.or(self.made).max(self.widened)
        }
    }
}

/// True when the comma-joined `new` names something that `old` does not, or either is not known.
fn is_wider(new: &str, old: &str) -> bool {
    if old.is_empty() || new.is_empty() {
        return true;
    }
    let old: BTreeSet<&str> = old.split(',').collect();
    !old.contains(EVERYWHERE) && new.split(',').any(|name| !old.contains(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `at reach`, `-` for taken away, `+` in front where made.
    fn life(steps: &str) -> Life {
        let steps: Vec<Step> = steps
            .split_whitespace()
            .enumerate()
            .map(|(at, step)| Step {
                at: Micros(i64::try_from(at).unwrap() + 1),
                reach: (step != "-").then(|| step.trim_start_matches('+').replace('?', "")),
                made: step.starts_with('+'),
                by: (step != "-").then(|| format!("by{}", at + 1)),
            })
            .collect();
        Life::of(&steps)
    }

    #[test]
    fn dates() {
        let check = |steps: &str, dated: Option<i64>, expected: Option<i64>| {
            let got = life(steps).valid_from(dated.map(Micros)).map(|at| at.0);
            assert_eq!(got, expected, "{steps}");
        };
        check("", Some(-5), Some(-5));
        check("", None, None);
        // A first sight may have widened it; making it new dates it.
        check("a", Some(-5), Some(1));
        check("+a", Some(0), Some(0));
        check("+a", None, Some(1));
        check("a a a", Some(-5), Some(1));
        check("a a,b", Some(-5), Some(2));
        check("a,b a", Some(-5), Some(1));
        check("* a", Some(-5), Some(1));
        check("a *", Some(-5), Some(2));
        check("a ? a", Some(-5), Some(3));
        // Taken away and made again.
        check("a - a", Some(3), Some(1));
        check("- a", Some(2), Some(2));
        check("- held", Some(2), Some(1));
        check("held - held - held", Some(5), Some(1));
        assert_eq!(life("a -").gone, Some(Micros(2)));
        assert_eq!(life("a - a").gone, None);
        assert_eq!(life("a a").granted_by.as_deref(), Some("by2"));
    }
}
