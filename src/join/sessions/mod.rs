//! Sessions: issued credentials, who asked for them, and which tags they carry.
//!
//! Input: all session facts of the window, and the keys that later calls showed. Output: an index
//! that answers "which session made this call" with a confidence. Files arrive in any order, so
//! nothing is resolved before all sessions are known. Texts and lists of tags are kept once
//! ([`texts`]), indexes are sorted lists: `benches/scale` prints the bytes that a session costs.
//!
//! The ranks follow what real logs allow (129 of 129 checkable records agree to the second):
//! access key, then role id + issue second, then role id + session name, then the principal alone.
//! A rank that fits several sessions answers nothing: one of them would be a guess. ServiceAccount
//! tokens join by their JTI. Sources:
//! <https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html>,
//! <https://kubernetes.io/docs/reference/access-authn-authz/service-accounts-admin/>.

mod build;
mod chain;
pub mod texts;

pub use build::SessionsBuilder;

use std::collections::{BTreeMap, BTreeSet};

use rustc_hash::FxHashMap;

use crate::facts::fold::Issued;
use crate::model::arn::{PrincipalName, unique_id_from_principal_id};
use crate::model::fact::{AwsCaller, IssuedBy, KubeUser};
use crate::model::time::Micros;

use texts::{List, Lists, Text, Texts};

/// Longest life of a role session, for sessions whose expiry is not known.
/// Source: <https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_use.html>.
const MAX_SESSION: i64 = 12 * crate::model::time::MICROS_PER_HOUR;

/// Stand for what is not there in fewer bytes than an `Option`: there may be millions of sessions.
const NEVER_SAID: Micros = Micros(i64::MIN);
const NO_SECOND: i64 = i64::MIN;
const NOBODY: u32 = u32::MAX;

/// How sure a join to a session is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Confidence {
    /// The access key that STS issued, or the JTI of a ServiceAccount token.
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

/// One set of issued credentials. Texts are read through [`Sessions::text`].
#[derive(Debug, Clone)]
pub struct Session {
    /// Over role, session name, time of issue and issued key. The key is in it because two sessions
    /// of one role may share name and second and still differ in tags.
    number: u64,
    /// When.
    pub issued_at: Micros,
    /// Until when; [`NEVER_SAID`] where it is not said.
    expires: Micros,
    /// How.
    pub issued_by: IssuedBy,
    /// Role ARN, with its path where the request had one; empty for tokens of users.
    pub role_arn: Text,
    /// `AROA…`; the user's id or the federated user's id for their tokens; the cluster ARN for a
    /// ServiceAccount token.
    pub role_id: Text,
    /// `roleSessionName`; `namespace/serviceaccount` of a token.
    pub session_name: Text,
    /// Issued key, or `JTI=…`.
    pub access_key_id: Text,
    /// Who asked, for people.
    pub source: Text,
    /// `sourceIdentity`: its own or its chain's.
    pub source_identity: Text,
    /// Subject of a web identity, SAML or ServiceAccount token.
    pub subject: Text,
    /// What vouched for the subject: ARN of an OIDC or SAML provider, audiences of a token.
    pub provider: Text,
    /// The person behind it: source identity, Identity Center user, or the chain's.
    pub person: Text,
    /// What later calls show of its role: its id, else account and name.
    role: Text,
    /// Index of the session that asked for this one; [`NOBODY`] where none is known.
    parent: u32,
    /// Own tags and those inherited from the chain, sorted by key: key, value, and the key again
    /// where it is inherited.
    tags: List,
    /// Keys that pass on, own and inherited. Sorted.
    transitive_keys: List,
}

impl Session {
    /// Until when, where it is said.
    #[must_use]
    pub fn expires_at(&self) -> Option<Micros> {
        (self.expires != NEVER_SAID).then_some(self.expires)
    }

    /// Index of the session that asked for this one.
    #[must_use]
    pub fn parent(&self) -> Option<usize> {
        (self.parent != NOBODY).then_some(self.parent).and_then(|parent| parent.try_into().ok())
    }

    /// Sorts like [`Session::id`].
    #[must_use]
    pub fn number(&self) -> u64 {
        self.number
    }

    /// 16 hex digits.
    #[must_use]
    pub fn id(&self) -> String {
        format!("{:016x}", self.number)
    }
}

/// A key that a session was seen with.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct SessionKey {
    /// `ASIA…`, or `JTI=…`.
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
    texts: Texts,
    lists: Lists,
    by_key: FxHashMap<Text, u32>,
    /// Sessions by role, then second of issue.
    by_second: Vec<u32>,
    /// Sessions by role, then session name.
    by_name: Vec<u32>,
    keys: BTreeMap<(u32, Text), (Micros, Micros)>,
    /// People that calls name and the session's own record does not.
    people: BTreeMap<u32, Text>,
}

/// What is needed of the caller until chains are linked.
#[derive(Debug, Clone, Copy)]
struct Asker {
    access_key_id: Text,
    role: Text,
    role_by_name: Text,
    name: Text,
    /// [`NO_SECOND`] where it is not known.
    created_second: i64,
    /// Number of the event that two accounts share, 0 for none.
    shared_event: u64,
}

/// What identifies a caller beside its key.
struct Caller<'a> {
    role: &'a str,
    role_arn: &'a str,
    name: &'a str,
}

impl<'a> Caller<'a> {
    fn of(caller: &'a AwsCaller) -> Self {
        // A federated user's id is `ACCOUNT:name` as a whole.
        let (role, name) = if caller.kind == "FederatedUser" {
            (caller.principal_id.as_str(), "")
        } else {
            let role = if caller.issuer_id.is_empty() {
                unique_id_from_principal_id(&caller.principal_id)
            } else {
                &caller.issuer_id
            };
            (role, caller.principal_id.split_once(':').map_or("", |(_, name)| name))
        };
        Caller { role, role_arn: &caller.issuer_arn, name }
    }
}

impl Sessions {
    /// Builds the index from facts in any order.
    #[must_use]
    pub fn new(issued: impl IntoIterator<Item = Issued>) -> Self {
        let mut builder = SessionsBuilder::default();
        for issued in issued {
            builder.add(&issued);
        }
        builder.finish()
    }

    /// What a text of a session says.
    #[must_use]
    pub fn text(&self, text: Text) -> &str {
        self.texts.get(text)
    }

    /// The session at `idx`.
    #[must_use]
    pub fn get(&self, idx: usize) -> Option<&Session> {
        self.all.get(idx)
    }

    /// The value of a tag, inherited or not.
    #[must_use]
    pub fn tag(&self, session: &Session, key: &str) -> Option<&str> {
        let key = self.texts.find(key)?;
        let found = self.tags_of(session).find(|(known, ..)| *known == key)?;
        Some(self.text(found.1))
    }

    /// Key, value and whether a session up the chain passed it on; sorted by key.
    pub fn tags<'a>(
        &'a self,
        session: &'a Session,
    ) -> impl Iterator<Item = (&'a str, &'a str, bool)> {
        self.tags_of(session)
            .map(|(key, value, inherited)| (self.text(key), self.text(value), inherited))
    }

    fn tags_of(&self, session: &Session) -> impl Iterator<Item = (Text, Text, bool)> {
        self.lists.get(session.tags).as_chunks::<3>().0.iter().map(read_tag)
    }

    /// Keys that pass on, sorted.
    pub fn transitive_keys<'a>(&'a self, session: &'a Session) -> impl Iterator<Item = &'a str> {
        self.lists.get(session.transitive_keys).iter().map(|key| self.text(*key))
    }

    /// The session of a CloudTrail caller.
    #[must_use]
    pub fn of_aws_caller(&self, caller: &AwsCaller, at: Micros) -> (Option<usize>, Confidence) {
        let parts = Caller::of(caller);
        if parts.role.is_empty() && parts.role_arn.is_empty() && caller.access_key_id.is_empty() {
            return (None, Confidence::None);
        }
        let known = |text: &str| self.texts.find(text);
        let asker = Asker {
            access_key_id: known(&caller.access_key_id).unwrap_or_default(),
            role: known(parts.role).unwrap_or_default(),
            role_by_name: known(&role_key("", parts.role_arn)).unwrap_or_default(),
            // A name that no session has must not read as no name.
            name: known(parts.name).unwrap_or(Text::default()),
            created_second: caller.created_at.map_or(NO_SECOND, second_of),
            shared_event: 0,
        };
        if !parts.name.is_empty() && asker.name.is_empty() {
            let found = self.of_key(asker.access_key_id);
            let confidence = if found.is_some() {
                Confidence::AccessKey
            } else if parts.role.is_empty() && parts.role_arn.is_empty() {
                Confidence::None
            } else {
                Confidence::Principal
            };
            return (found, confidence);
        }
        let (found, confidence) = self.resolve(&asker, at);
        let nobody = parts.role.is_empty() && parts.role_arn.is_empty();
        match (found, confidence) {
            (None, Confidence::None) if !nobody => (None, Confidence::Principal),
            other => other,
        }
    }

    fn of_key(&self, key: Text) -> Option<usize> {
        if key.is_empty() {
            return None;
        }
        self.by_key.get(&key).and_then(|&idx| usize::try_from(idx).ok())
    }

    fn resolve(&self, asker: &Asker, at: Micros) -> (Option<usize>, Confidence) {
        if let Some(idx) = self.of_key(asker.access_key_id) {
            return (Some(idx), Confidence::AccessKey);
        }
        if asker.role.is_empty() && asker.role_by_name.is_empty() {
            return (None, Confidence::None);
        }
        if asker.created_second != NO_SECOND {
            let second = asker.created_second;
            // A known second that fits no session of the window means an older session: a match
            // by name would be another one.
            return match self.by_issue_second(asker, second) {
                Some(idx) => (Some(idx), Confidence::IssueSecond),
                None => (None, Confidence::Principal),
            };
        }
        match self.by_session_name(asker.role, asker.role_by_name, asker.name, at) {
            Some(idx) => (Some(idx), Confidence::SessionName),
            None => (None, Confidence::Principal),
        }
    }

    /// The session of a Kubernetes user: by the key or the JTI that the authenticator noted.
    #[must_use]
    pub fn of_kube_user(&self, user: &KubeUser, at: Micros) -> (Option<usize>, Confidence) {
        let by_text = |text: &str| self.texts.find(text).and_then(|key| self.of_key(key));
        if let Some(idx) = by_text(&user.access_key_id).or_else(|| by_text(&user.credential_id)) {
            return (Some(idx), Confidence::AccessKey);
        }
        if user.principal_id.is_empty() && user.canonical_arn.is_empty() {
            return (None, Confidence::None);
        }
        let known = |text: &str| self.texts.find(text).unwrap_or_default();
        let by_name = known(&role_key("", &user.canonical_arn));
        let name = known(&user.session_name);
        match self.by_session_name(known(&user.principal_id), by_name, name, at) {
            Some(idx) => (Some(idx), Confidence::SessionName),
            None => (None, Confidence::Principal),
        }
    }

    /// Notes that a call by `caller` showed a key, so that later uses of that key resolve. Call it
    /// for every AWS call before any use is joined.
    pub fn observe_key(&mut self, caller: &AwsCaller, first: Micros, last: Micros) {
        let (Some(idx), Confidence::AccessKey | Confidence::IssueSecond) =
            self.of_aws_caller(caller, first)
        else {
            return;
        };
        let Ok(number) = u32::try_from(idx) else { return };
        if !caller.on_behalf_of.is_empty() {
            let person = self.texts.keep(&caller.on_behalf_of);
            let known = self.people.entry(number).or_insert(person);
            if self.texts.get(person) < self.texts.get(*known) {
                *known = person;
            }
        }
        if caller.access_key_id.is_empty() {
            return;
        }
        let key = self.texts.keep(&caller.access_key_id);
        let seen = self.keys.entry((number, key)).or_insert((first, last));
        *seen = (seen.0.min(first), seen.1.max(last));
    }

    /// Makes what calls showed part of the sessions: keys, and the people behind them.
    pub fn adopt_observed(&mut self) {
        self.adopt_observed_keys();
        self.adopt_people();
    }

    /// Makes the observed keys resolvable. A key seen under two sessions proves nothing and is
    /// left out, so the order of observation does not matter.
    fn adopt_observed_keys(&mut self) {
        let mut owners: BTreeMap<Text, BTreeSet<u32>> = BTreeMap::new();
        for (idx, key) in self.keys.keys() {
            owners.entry(*key).or_default().insert(*idx);
        }
        for (key, sessions) in owners {
            if let (1, Some(&idx)) = (sessions.len(), sessions.first()) {
                self.by_key.entry(key).or_insert(idx);
            }
        }
    }

    /// All keys of a session, issued and observed, sorted.
    #[must_use]
    pub fn keys_of(&self, idx: usize) -> Vec<SessionKey> {
        let (Some(session), Ok(number)) = (self.get(idx), u32::try_from(idx)) else {
            return Vec::new();
        };
        let first = (number, Text::default());
        let mut keys: BTreeMap<&str, (Micros, Micros)> = self
            .keys
            .range(first..)
            .take_while(|((of, _), _)| *of == number)
            .map(|((_, key), seen)| (self.text(*key), *seen))
            .collect();
        if !session.access_key_id.is_empty() {
            let at = session.issued_at;
            let seen = keys.entry(self.text(session.access_key_id)).or_insert((at, at));
            seen.0 = seen.0.min(at);
        }
        keys.into_iter()
            .map(|(key, (first_seen, last_seen))| SessionKey {
                access_key_id: key.to_owned(),
                first_seen,
                last_seen,
            })
            .collect()
    }

    fn by_issue_second(&self, asker: &Asker, second: i64) -> Option<usize> {
        one(asker.role, asker.role_by_name, |role| {
            let key = |&idx: &u32| self.at(idx).map(|s| (s.role, second_of(s.issued_at)));
            let from = self.by_second.partition_point(|idx| key(idx) < Some((role, second)));
            let here = self.by_second.get(from..).unwrap_or_default();
            let here = here.iter().take_while(|idx| key(idx) == Some((role, second)));
            unique(here.copied().filter(|&idx| {
                asker.name.is_empty() || self.at(idx).is_some_and(|s| s.session_name == asker.name)
            }))
        })
    }

    fn by_session_name(
        &self,
        role: Text,
        role_by_name: Text,
        name: Text,
        at: Micros,
    ) -> Option<usize> {
        if name.is_empty() {
            return None;
        }
        one(role, role_by_name, |role| {
            let key = |&idx: &u32| self.at(idx).map(|s| (s.role, s.session_name));
            let from = self.by_name.partition_point(|idx| key(idx) < Some((role, name)));
            let here = self.by_name.get(from..).unwrap_or_default();
            let here = here.iter().take_while(|idx| key(idx) == Some((role, name)));
            unique(here.copied().filter(|&idx| {
                self.at(idx).is_some_and(|session| {
                    let ends = session
                        .expires_at()
                        .unwrap_or(Micros(session.issued_at.0.saturating_add(MAX_SESSION)));
                    session.issued_at <= at && at <= ends
                })
            }))
        })
    }

    fn at(&self, idx: u32) -> Option<&Session> {
        self.all.get(usize::try_from(idx).ok()?)
    }
}

/// A tag as a list holds it.
fn read_tag(&[key, value, inherited]: &[Text; 3]) -> (Text, Text, bool) {
    (key, value, !inherited.is_empty())
}

/// Undoes [`read_tag`].
fn written_tag((key, value, inherited): (Text, Text, bool)) -> [Text; 3] {
    [key, value, if inherited { key } else { Text::default() }]
}

fn one(role: Text, role_by_name: Text, find: impl Fn(Text) -> Option<u32>) -> Option<usize> {
    // A session issued by ec2 or lambda has no role id in its record, only the role's ARN.
    let of = |role: Text| if role.is_empty() { None } else { find(role) };
    of(role).or_else(|| of(role_by_name)).and_then(|idx| usize::try_from(idx).ok())
}

fn second_of(at: Micros) -> i64 {
    at.0.div_euclid(1_000_000)
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

fn unique(mut found: impl Iterator<Item = u32>) -> Option<u32> {
    let first = found.next()?;
    found.next().is_none().then_some(first)
}

#[cfg(test)]
mod tests;
