//! Use, added up: which permission of whom was used when, and which grants cover it.
//!
//! Input: hourly access facts of a cluster in order of time. Output: one [`Use`] per member, way and
//! permission, with every grant that covers it and those the authorizer credited. Evaluation is
//! remembered per class of caller and permission, so an hour that repeats the last one costs two
//! look-ups.

use std::hash::{BuildHasher, BuildHasherDefault, Hash};
use std::sync::Arc;

use hashbrown::HashTable;
use rustc_hash::{FxHashMap, FxHasher};
use serde::{Deserialize, Serialize};

use crate::model::fact::{AccessFact, Decision, KubeUser, Via};
use crate::model::grant::IdentityKind;
use crate::model::permission::Permission;
use crate::model::time::{Day, Micros};
use crate::rbac;
use crate::rbac::reason::{self, Credit};

use super::cluster::{Cluster, Who};
use super::profile;

/// Evaluations that are remembered: they cost time to repeat, and their number has no bound.
const MAX_REMEMBERED: usize = 200_000;

/// Use of one permission by one member.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Use {
    /// Who used it: an index into [`Usage::members`].
    pub member: usize,
    /// How.
    pub via: Via,
    /// What.
    pub permission: Permission,
    /// Grants that cover it, with whether the authorizer named them. Sorted.
    pub grants: Vec<(usize, bool)>,
    /// Earliest.
    pub first: Micros,
    /// Latest.
    pub last: Micros,
    /// Distinct days, ascending.
    pub days: Vec<Day>,
    /// Requests.
    pub count: i64,
    /// Who made them, by [`super::profile`]; sorted.
    pub profiles: Vec<u32>,
}

/// Someone whose rights were used.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Member {
    /// `AROA…`/`AIDA…`, or empty.
    pub principal_id: String,
    /// Kubernetes username; for IAM roles the same over all sessions (the canonical ARN).
    pub username: String,
    /// Groups, sorted.
    pub groups: Vec<String>,
}

/// How one request was joined to grants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Joined {
    /// The grant to show beside the request: the one the authorizer named, else the only one that
    /// covers it, else none.
    pub credited: Option<usize>,
    /// How many cover it.
    pub covering: usize,
}

/// An evaluation, and what it depends on: member, way, permission and the authorizer's words.
#[derive(Debug)]
struct Covered {
    member: usize,
    via: Via,
    permission: Permission,
    reason: String,
    grants: Arc<[(usize, bool)]>,
}

/// All use of a cluster in a window.
#[derive(Debug, Default)]
pub struct Usage {
    /// Ordered by first sight until [`Usage::finish`] sorts them.
    pub uses: Vec<Use>,
    /// Ordered by first sight.
    pub members: Vec<Member>,
    member_idx: FxHashMap<Member, usize>,
    /// Finds a use by member, way, permission and grants.
    use_idx: HashTable<usize>,
    covering: HashTable<Covered>,
    /// The last one: most facts that follow each other are of one.
    member: usize,
}

impl Usage {
    /// Joins one hourly fact and adds it up. Facts must come in order of hour.
    pub fn add(
        &mut self,
        cluster: &Cluster<'_>,
        who: &Who,
        fact: &AccessFact,
        seen: (Micros, Micros, i64),
        profile: u32,
    ) -> Joined {
        let member = self.member(fact);
        let asked_by_service = who.component || who.kind == Some(IdentityKind::ServiceAccount);
        // Anybody with the right may ask what somebody else may do; only servers ask because that
        // one is using it.
        let idle = (fact.via == Via::Delegated && !asked_by_service) || is_wild(&fact.permission);
        if fact.decision != Decision::Allow || idle {
            return Joined { credited: None, covering: 0 };
        }
        let grants = self.covering((cluster, who), member, fact);
        self.add_use(member, fact, &grants, seen, profile);
        Joined { credited: shown(cluster, &grants), covering: grants.len() }
    }

    /// Puts everything into its final order.
    pub fn finish(&mut self) {
        self.covering = HashTable::new();
        self.use_idx = HashTable::new();
        // Members are compared once each, and uses stay where they are until their place is known.
        let mut members: Vec<(&Member, usize)> = self.members.iter().zip(0..).collect();
        members.sort_unstable();
        let mut ranks = vec![0; members.len()];
        for (rank, same) in members.chunk_by(|a, b| a.0 == b.0).enumerate() {
            for (_, member) in same {
                ranks[*member] = rank;
            }
        }
        let mut order: Vec<&mut Use> = self.uses.iter_mut().collect();
        order.sort_by(|a, b| {
            let of = |used: &Use| (ranks.get(used.member).copied(), used.via);
            let decided = of(a).cmp(&of(b));
            decided.then_with(|| (&a.permission, &a.grants).cmp(&(&b.permission, &b.grants)))
        });
        self.uses = order.into_iter().map(std::mem::take).collect();
    }

    /// Grants that cover the request; evaluated once for each class of caller and permission.
    fn covering(
        &mut self,
        (cluster, who): (&Cluster<'_>, &Who),
        member: usize,
        fact: &AccessFact,
    ) -> Arc<[(usize, bool)]> {
        let hash = hash_of((member, fact.via, &fact.permission, &fact.reason));
        let same = |known: &Covered| {
            (known.member, known.via) == (member, fact.via)
                && known.permission == fact.permission
                && known.reason == fact.reason
        };
        if let Some(known) = self.covering.find(hash, same) {
            return Arc::clone(&known.grants);
        }
        if self.covering.len() >= MAX_REMEMBERED {
            self.covering.clear();
        }
        let grants: Arc<[(usize, bool)]> = evaluate(cluster, who, fact).into();
        let covered = Covered {
            member,
            via: fact.via,
            permission: fact.permission.clone(),
            reason: fact.reason.clone(),
            grants: Arc::clone(&grants),
        };
        let again =
            |known: &Covered| hash_of((known.member, known.via, &known.permission, &known.reason));
        self.covering.insert_unique(hash, covered, again);
        grants
    }

    fn member(&mut self, fact: &AccessFact) -> usize {
        let subject = &fact.subject;
        let caller = (fact.via == Via::Direct).then_some(&fact.caller);
        let principal_id = caller.map_or("", |caller| caller.principal_id.as_str());
        let username = stable_username(subject, caller);
        let is_last = self.members.get(self.member).is_some_and(|last| {
            last.principal_id == principal_id
                && last.username == username
                && last.groups == subject.groups
        });
        if is_last {
            return self.member;
        }
        let member = Member {
            principal_id: principal_id.to_owned(),
            username: username.to_owned(),
            groups: subject.groups.clone(),
        };
        let idx = if let Some(&idx) = self.member_idx.get(&member) {
            idx
        } else {
            self.members.push(member.clone());
            self.member_idx.insert(member, self.members.len() - 1);
            self.members.len() - 1
        };
        self.member = idx;
        idx
    }

    fn add_use(
        &mut self,
        member: usize,
        fact: &AccessFact,
        grants: &[(usize, bool)],
        (first, last, count): (Micros, Micros, i64),
        profile: u32,
    ) {
        let Usage { uses, use_idx, .. } = self;
        let hash = hash_of((member, fact.via, &fact.permission));
        // The same permission may be credited to another grant later: grants come and go.
        let same = |used: &Use| {
            (used.member, used.via, &used.permission) == (member, fact.via, &fact.permission)
                && used.grants == grants
        };
        let found = use_idx.find(hash, |&idx| uses.get(idx).is_some_and(same)).copied();
        if let Some(used) = found.and_then(|idx| uses.get_mut(idx)) {
            // Facts come hour by hour, so a new day is a later day.
            if used.days.last().is_none_or(|&day| day < first.day()) {
                used.days.push(first.day());
            }
            used.first = used.first.min(first);
            used.last = used.last.max(last);
            used.count += count;
            profile::note(&mut used.profiles, profile);
            return;
        }
        use_idx.insert_unique(hash, uses.len(), |&idx| {
            uses.get(idx).map_or(0, |used| hash_of((used.member, used.via, &used.permission)))
        });
        uses.push(Use {
            member,
            via: fact.via,
            permission: fact.permission.clone(),
            grants: grants.to_vec(),
            first,
            last,
            days: vec![first.day()],
            count,
            profiles: vec![profile],
        });
    }
}

/// True for a question about everything, or a request for what cannot exist: nothing is called `*`, and
/// a rule made from such a use would allow all.
fn is_wild(permission: &Permission) -> bool {
    let Permission { verb, api_group, resource, subresource, path, .. } = permission;
    [verb, api_group, resource, subresource].into_iter().any(|text| text.contains('*'))
        || path.ends_with('*')
}

fn hash_of(of: impl Hash) -> u64 {
    BuildHasherDefault::<FxHasher>::default().hash_one(of)
}

/// A name that does not change with the session: for a role the ARN without session.
fn stable_username<'a>(subject: &'a KubeUser, caller: Option<&'a KubeUser>) -> &'a str {
    match caller {
        Some(caller) if !caller.canonical_arn.is_empty() => &caller.canonical_arn,
        _ => &subject.username,
    }
}

/// Every grant that covers the request, and whether the authorizer named it.
fn evaluate(cluster: &Cluster<'_>, who: &Who, fact: &AccessFact) -> Vec<(usize, bool)> {
    let credit = reason::parse(&fact.reason);
    let mut candidates = cluster.candidates(who, &fact.subject, fact.via);
    if fact.via == Via::Delegated {
        // The webhook that answers knows the principal; the review only names the user.
        candidates.extend(cluster.policy_grants(&credit));
        candidates.sort_unstable();
        candidates.dedup();
    }
    // Everybody may discover and review themselves; such a request keeps no other grant alive.
    let discovery = rbac::defaults::covered_by_discovery(&fact.permission, &fact.subject.groups);
    let named = cluster.credited(&candidates, &fact.subject, &credit);
    let mut grants: Vec<(usize, bool)> = candidates
        .iter()
        .copied()
        .filter(|&idx| {
            let Some(grant) = cluster.grants.get(idx) else { return false };
            if discovery && !grant.managed_by_aws {
                return false;
            }
            named.contains(&idx)
                || (grant.ineffective.is_none() && cluster.allows(idx, &fact.permission))
        })
        .map(|idx| (idx, named.contains(&idx)))
        .collect();
    // The API server writes no reason for an impersonation, a master or a node. Where nothing is
    // named, a single grant that covers the request is the one that carried it.
    if named.is_empty() && matches!(credit, Credit::Empty | Credit::Other) {
        let effective: Vec<usize> = carriers(cluster, &grants);
        if let [only] = effective.as_slice() {
            let group = cluster.grants.get(*only).and_then(|g| match &g.holder {
                crate::model::grant::Holder::Subject(crate::model::inventory::Subject::Group(
                    group,
                )) => Some(group.clone()),
                _ => None,
            });
            for (idx, credited) in &mut grants {
                let same_group = group
                    .as_deref()
                    .zip(cluster.grants.get(*idx))
                    .is_some_and(|(group, grant)| rbac::gives_group(grant, group));
                *credited = idx == only || same_group;
            }
        }
    }
    grants
}

/// The grants that can carry a request by themselves: mappings to a group only pass it on.
fn carriers(cluster: &Cluster<'_>, grants: &[(usize, bool)]) -> Vec<usize> {
    grants
        .iter()
        .map(|(idx, _)| *idx)
        .filter(|&idx| {
            cluster.grants.get(idx).is_some_and(|grant| {
                grant.group.is_none() || grant.allows == crate::model::grant::Allows::Everything
            })
        })
        .collect()
}

fn shown(cluster: &Cluster<'_>, grants: &[(usize, bool)]) -> Option<usize> {
    let named: Vec<(usize, bool)> = grants.iter().copied().filter(|(_, named)| *named).collect();
    carriers(cluster, &named).first().copied().or_else(|| named.first().map(|(idx, _)| *idx))
}
