//! Sessions: issued credentials, who asked for them, and which tags they carry.
//!
//! Input: all session facts of the window, and the keys that later calls showed. Output: an index
//! that answers "which session made this call" with a confidence. Files arrive in any order, so
//! nothing is resolved before all sessions are known.
//!
//! The ranks follow what real logs allow (129 of 129 checkable records agree to the second):
//! access key, then role id + issue second, then role id + session name, then the principal alone.
//! A rank that fits several sessions answers nothing: one of them would be a guess.
//! Source: <https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html>.

use std::collections::{BTreeMap, BTreeSet};

use rustc_hash::FxHashMap;

use crate::facts::fold::Issued;
use crate::model::arn::{PrincipalName, unique_id_from_principal_id};
use crate::model::digest;
use crate::model::fact::{AwsCaller, KubeUser};
use crate::model::time::Micros;

/// Longest life of a role session, for sessions whose expiry is not known.
/// Source: <https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_use.html>.
const MAX_SESSION: i64 = 12 * crate::model::time::MICROS_PER_HOUR;

/// How sure a join to a session is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Confidence {
    /// The access key that STS issued.
    AccessKey,
    /// Role id and the second of issue.
    IssueSecond,
    /// Role id and session name, one session alive.
    SessionName,
    /// The principal is known, its session is not.
    Principal,
    /// Not an IAM caller, or one that cannot be named.
    None,
}

impl Confidence {
    /// The name in tables.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Confidence::AccessKey => "access_key",
            Confidence::IssueSecond => "issue_second",
            Confidence::SessionName => "session_name",
            Confidence::Principal => "principal",
            Confidence::None => "none",
        }
    }
}

/// One set of issued credentials.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// 16 hex digits over role, session name, time of issue and issued key. The key is in it
    /// because two sessions of one role may share name and second and still differ in tags.
    pub id: String,
    /// When.
    pub issued_at: Micros,
    /// What the record says.
    pub fact: crate::model::fact::SessionFact,
    /// Index of the session that asked for this one.
    pub parent: Option<usize>,
    /// Own tags and those inherited from the chain; true where inherited. Sorted by key.
    pub tags: Vec<(String, String, bool)>,
    /// Keys that pass on, own and inherited. Sorted.
    pub transitive_keys: Vec<String>,
}

impl Session {
    /// The value of a tag, inherited or not.
    #[must_use]
    pub fn tag(&self, key: &str) -> Option<&str> {
        let at = self.tags.binary_search_by(|(k, ..)| k.as_str().cmp(key)).ok()?;
        self.tags.get(at).map(|(_, value, _)| value.as_str())
    }
}

/// A key that a session was seen with.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct SessionKey {
    /// Index of the session.
    pub session: usize,
    /// `ASIA…`
    pub access_key_id: String,
    /// First time seen.
    pub first_seen: Micros,
    /// Last time seen.
    pub last_seen: Micros,
}

/// All sessions, indexed.
#[derive(Debug, Default)]
pub struct Sessions {
    /// Ordered by time of issue, then id.
    pub all: Vec<Session>,
    by_key: FxHashMap<String, usize>,
    by_second: FxHashMap<(String, i64), Vec<usize>>,
    by_name: FxHashMap<(String, String), Vec<usize>>,
    keys: BTreeMap<(usize, String), (Micros, Micros)>,
}

impl Sessions {
    /// Builds the index. Refused requests issue nothing and are left out.
    #[must_use]
    pub fn new(issued: impl IntoIterator<Item = Issued>) -> Self {
        let mut all: Vec<Session> = issued
            .into_iter()
            .filter(|issued| issued.body.error.is_empty())
            .map(|issued| Session {
                id: session_id(&issued),
                issued_at: issued.at,
                parent: None,
                tags: Vec::new(),
                transitive_keys: Vec::new(),
                fact: issued.body,
            })
            .collect();
        // Cross-account issues are logged in both accounts; keep the fuller record of each.
        all.sort_by(|a, b| {
            (a.issued_at, &a.id, richness(b), &a.fact).cmp(&(
                b.issued_at,
                &b.id,
                richness(a),
                &b.fact,
            ))
        });
        all.dedup_by(|next, kept| next.id == kept.id);

        let mut sessions = Sessions { all, ..Sessions::default() };
        for (idx, session) in sessions.all.iter().enumerate() {
            let fact = &session.fact;
            if !fact.access_key_id.is_empty() {
                sessions.by_key.entry(fact.access_key_id.clone()).or_insert(idx);
            }
            let role = role_key(&fact.role_id, &fact.role_arn);
            let second = session.issued_at.0.div_euclid(1_000_000);
            sessions.by_second.entry((role.clone(), second)).or_default().push(idx);
            sessions.by_name.entry((role, fact.session_name.clone())).or_default().push(idx);
        }
        sessions.link_parents();
        sessions.inherit_tags();
        sessions
    }

    /// The session of a CloudTrail caller.
    #[must_use]
    pub fn of_aws_caller(&self, caller: &AwsCaller, at: Micros) -> (Option<usize>, Confidence) {
        if let Some(&idx) = self.by_key.get(&caller.access_key_id) {
            return (Some(idx), Confidence::AccessKey);
        }
        let role_id = if caller.issuer_id.is_empty() {
            unique_id_from_principal_id(&caller.principal_id)
        } else {
            &caller.issuer_id
        };
        if role_id.is_empty() && caller.issuer_arn.is_empty() {
            return (None, Confidence::None);
        }
        let name = caller.principal_id.split_once(':').map_or("", |(_, name)| name);
        if let Some(created) = caller.created_at {
            let second = created.0.div_euclid(1_000_000);
            let found = one(role_id, &caller.issuer_arn, |role| {
                let here = self.by_second.get(&(role, second))?;
                unique(here.iter().copied().filter(|&idx| {
                    name.is_empty()
                        || self.all.get(idx).is_some_and(|s| s.fact.session_name == name)
                }))
            });
            // A known second that fits no session of the window means an older session: a match
            // by name would be another one.
            return match found {
                Some(idx) => (Some(idx), Confidence::IssueSecond),
                None => (None, Confidence::Principal),
            };
        }
        match self.by_session_name(role_id, &caller.issuer_arn, name, at) {
            Some(idx) => (Some(idx), Confidence::SessionName),
            None => (None, Confidence::Principal),
        }
    }

    /// The session of a Kubernetes user that the IAM authenticator made.
    #[must_use]
    pub fn of_kube_user(&self, user: &KubeUser, at: Micros) -> (Option<usize>, Confidence) {
        if let Some(&idx) = self.by_key.get(&user.access_key_id) {
            return (Some(idx), Confidence::AccessKey);
        }
        if user.principal_id.is_empty() && user.canonical_arn.is_empty() {
            return (None, Confidence::None);
        }
        match self.by_session_name(&user.principal_id, &user.canonical_arn, &user.session_name, at)
        {
            Some(idx) => (Some(idx), Confidence::SessionName),
            None => (None, Confidence::Principal),
        }
    }

    /// Notes that a call by `caller` showed a key, so that later uses of that key resolve. Call it
    /// for every AWS call before any use is joined.
    pub fn observe_key(&mut self, caller: &AwsCaller, first: Micros, last: Micros) {
        if caller.access_key_id.is_empty() {
            return;
        }
        let (Some(idx), Confidence::AccessKey | Confidence::IssueSecond) =
            self.of_aws_caller(caller, first)
        else {
            return;
        };
        let seen = self.keys.entry((idx, caller.access_key_id.clone())).or_insert((first, last));
        *seen = (seen.0.min(first), seen.1.max(last));
    }

    /// Makes the observed keys resolvable. A key seen under two sessions proves nothing and is
    /// left out, so the order of observation does not matter.
    pub fn adopt_observed_keys(&mut self) {
        let mut owners: BTreeMap<&str, BTreeSet<usize>> = BTreeMap::new();
        for (idx, key) in self.keys.keys() {
            owners.entry(key).or_default().insert(*idx);
        }
        for (key, sessions) in owners {
            if let (1, Some(&idx)) = (sessions.len(), sessions.first()) {
                self.by_key.entry(key.to_owned()).or_insert(idx);
            }
        }
    }

    /// All keys of all sessions: issued and observed.
    #[must_use]
    pub fn session_keys(&self) -> Vec<SessionKey> {
        let mut rows = self.keys.clone();
        for (idx, session) in self.all.iter().enumerate() {
            if !session.fact.access_key_id.is_empty() {
                let at = session.issued_at;
                let seen =
                    rows.entry((idx, session.fact.access_key_id.clone())).or_insert((at, at));
                seen.0 = seen.0.min(at);
            }
        }
        rows.into_iter()
            .map(|((session, access_key_id), (first_seen, last_seen))| SessionKey {
                session,
                access_key_id,
                first_seen,
                last_seen,
            })
            .collect()
    }

    fn by_session_name(
        &self,
        role_id: &str,
        role_arn: &str,
        name: &str,
        at: Micros,
    ) -> Option<usize> {
        if name.is_empty() {
            return None;
        }
        one(role_id, role_arn, |role| {
            let here = self.by_name.get(&(role, name.to_owned()))?;
            unique(here.iter().copied().filter(|&idx| {
                self.all.get(idx).is_some_and(|session| {
                    let ends = session
                        .fact
                        .expires_at
                        .unwrap_or(Micros(session.issued_at.0.saturating_add(MAX_SESSION)));
                    session.issued_at <= at && at <= ends
                })
            }))
        })
    }

    fn link_parents(&mut self) {
        let parents: Vec<Option<usize>> = self
            .all
            .iter()
            .enumerate()
            .map(|(idx, session)| {
                let (parent, confidence) =
                    self.of_aws_caller(&session.fact.source, session.issued_at);
                parent.filter(|&parent| {
                    parent != idx && !matches!(confidence, Confidence::Principal | Confidence::None)
                })
            })
            .collect();
        for (session, parent) in self.all.iter_mut().zip(parents) {
            session.parent = parent;
        }
    }

    /// Fills tags down every chain. STS forbids overriding an inherited transitive tag, so a clash
    /// can only come from a forged or foreign record: the own tag is kept, as STS logged it.
    fn inherit_tags(&mut self) {
        let mut done = vec![false; self.all.len()];
        for start in 0..self.all.len() {
            let mut chain = Vec::new();
            let mut next = Some(start);
            while let Some(idx) = next {
                // A cycle can only be forged; it ends where it closes.
                if done.get(idx).copied().unwrap_or(true) || chain.contains(&idx) {
                    break;
                }
                chain.push(idx);
                next = self.all.get(idx).and_then(|session| session.parent);
            }
            while let Some(idx) = chain.pop() {
                let (inherited, mut keys) = self.passed_on_to(idx);
                let Some(session) = self.all.get_mut(idx) else { continue };
                let mut tags: BTreeMap<String, (String, bool)> = inherited;
                for (key, value) in &session.fact.tags {
                    tags.insert(key.clone(), (value.clone(), false));
                }
                keys.extend(session.fact.transitive_keys.iter().cloned());
                session.tags = tags.into_iter().map(|(k, (v, i))| (k, v, i)).collect();
                session.transitive_keys = keys.into_iter().collect();
                if let Some(flag) = done.get_mut(idx) {
                    *flag = true;
                }
            }
        }
    }

    fn passed_on_to(&self, idx: usize) -> (BTreeMap<String, (String, bool)>, BTreeSet<String>) {
        let parent = self.all.get(idx).and_then(|s| s.parent).and_then(|p| self.all.get(p));
        let Some(parent) = parent else { return Default::default() };
        let keys: BTreeSet<String> = parent.transitive_keys.iter().cloned().collect();
        let tags = parent
            .tags
            .iter()
            .filter(|(key, ..)| keys.contains(key))
            .map(|(key, value, _)| (key.clone(), (value.clone(), true)))
            .collect();
        (tags, keys)
    }
}

fn one(role_id: &str, role_arn: &str, find: impl Fn(String) -> Option<usize>) -> Option<usize> {
    // A session issued by ec2 or lambda has no role id in its record, only the role's ARN.
    find(role_id.to_owned()).or_else(|| find(role_key("", role_arn)))
}

fn richness(session: &Session) -> (usize, bool, bool) {
    let fact = &session.fact;
    (fact.tags.len(), !fact.source.arn.is_empty(), !fact.role_id.is_empty())
}

fn role_key(role_id: &str, role_arn: &str) -> String {
    if role_id.is_empty() {
        match PrincipalName::from_arn(role_arn) {
            Some(name) => format!("{}/{}", name.account, name.name.to_ascii_lowercase()),
            None => role_arn.to_owned(),
        }
    } else {
        role_id.to_owned()
    }
}

fn unique(mut found: impl Iterator<Item = usize>) -> Option<usize> {
    let first = found.next()?;
    found.next().is_none().then_some(first)
}

fn session_id(issued: &Issued) -> String {
    let fact = &issued.body;
    let role = role_key(&fact.role_id, &fact.role_arn);
    let at = issued.at.0.to_be_bytes();
    let parts: [&[u8]; 4] =
        [role.as_bytes(), fact.session_name.as_bytes(), &at, fact.access_key_id.as_bytes()];
    digest::hex(&digest::of_parts(parts), 16)
}

#[cfg(test)]
mod tests;
