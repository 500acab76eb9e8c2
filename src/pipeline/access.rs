//! Folds the facts to disk and joins them to sessions, members and grants.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::BufWriter;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use rustc_hash::FxHashSet;

use super::used::UsedBy;
use super::vouched::Vouched;
use super::world::World;
use super::{PipelineError, finish};
use crate::analyse::evidence::ClassesSeen;
use crate::extract::Context;
use crate::facts::FactsError;
use crate::facts::fold::{Dated, FactSink, Folded, Hourly};
use crate::facts::read::FactReader;
use crate::facts::sort::SpillDir;
use crate::facts::store::partition;
use crate::join::cluster::{Cluster, Who, is_iam};
use crate::join::presence::{Presence, is_redemption};
use crate::join::profile::Profiles;
use crate::join::sessions::{Session, Sessions, SessionsBuilder};
use crate::join::usage::Usage;
use crate::model::arn::Arn;
use crate::model::digest;
use crate::model::fact::{
    AccessFact, AwsCallFact, ChangeFact, Decision, IssuedBy, KubeUser, LoginFact, TokenState, Via,
};
use crate::model::grant::IdentityKind;
use crate::model::time::{MICROS_PER_HOUR, Micros, Window};
use crate::report::output::OutputDir;
use crate::table::parquet::RowWriter;
use crate::table::rows::access::ApiAccessRow;

/// How many names that anybody can make up are held, so that a hostile log cannot fill the memory.
const NAMED: usize = 1_000;

/// The facts of a window, on disk.
pub(super) struct FactFiles<'a> {
    reader: FactReader<'a>,
    context: &'a Context,
    spill: &'a SpillDir,
}

impl<'a> FactFiles<'a> {
    pub(super) fn new(
        root: &'a Path,
        paths: &'a [PathBuf],
        window: Window,
        spill: &'a SpillDir,
        context: &'a Context,
    ) -> Self {
        FactFiles { reader: FactReader::new(root, paths, window, spill), context, spill }
    }

    /// AWS calls, or token redemptions, day by day.
    pub(super) fn each_call(
        &self,
        redemptions: bool,
        mut each: impl FnMut(Hourly<AwsCallFact>) -> Result<(), PipelineError>,
    ) -> Result<(), PipelineError> {
        self.reader.calls(redemptions, |call: Hourly<AwsCallFact>| {
            // An earlier inventory may have had principals that this one has not.
            if self.context.wants(&call.body) { each(call) } else { Ok(()) }
        })
    }

    /// What made, changed or took away grants, in order of time.
    pub(super) fn changes(&self) -> Result<Vec<Dated<ChangeFact>>, PipelineError> {
        Ok(self.reader.changes()?)
    }
}

/// Everything the verdicts and tables need of the logs.
pub(super) struct Joined<'a> {
    pub(super) clusters: Vec<Cluster<'a>>,
    pub(super) sessions: Sessions,
    pub(super) profiles: Profiles,
    pub(super) logins: Vec<Hourly<LoginFact>>,
    pub(super) seen: Vec<Seen>,
    pub(super) group_sets: BTreeMap<String, Vec<String>>,
    pub(super) presence: Presence,
    /// Access keys that the audit log showed, by number, of each account; those of the first hour
    /// apart, whose token may have been redeemed before the window.
    audited_keys: BTreeMap<String, FxHashSet<u64>>,
    /// Access keys that redeemed a token, by number.
    redeemed_keys: FxHashSet<u64>,
}

impl Joined<'_> {
    /// Accounts of which every audited access key left a redemption, and there is one. A redemption
    /// is logged where the principal lives, so one account says nothing of another.
    pub(super) fn calibrated(&self) -> impl Iterator<Item = &str> {
        let whole = |keys: &FxHashSet<u64>| keys.is_subset(&self.redeemed_keys);
        self.audited_keys.iter().filter(move |(_, keys)| whole(keys)).map(|(a, _)| a.as_str())
    }
}

fn number_of(key: &str) -> u64 {
    let id = digest::id(&digest::of_bytes(key.as_bytes()));
    u64::try_from(id >> 64).unwrap_or(u64::MAX)
}

/// What was seen of one cluster beside use.
#[derive(Default)]
pub(super) struct Seen {
    pub(super) classes: ClassesSeen,
    pub(super) reviews: bool,
    /// External users: first, last, requests.
    pub(super) certificate_users: BTreeMap<String, (Micros, Micros, i64)>,
    /// Anonymous requests that were allowed, beyond what everybody may.
    pub(super) anonymous: Option<(Micros, Micros, i64)>,
    /// Use of tokens that the API server remarks about: first, last, requests.
    pub(super) tokens: BTreeMap<(TokenState, String), (Micros, Micros, i64)>,
    /// When each identity was last seen making a request, whatever became of it.
    pub(super) identities: BTreeMap<usize, Micros>,
    /// Principals that came in by a row of a whole account, by identity.
    pub(super) of_accounts: BTreeMap<usize, BTreeSet<String>>,
    /// Requests whose credentials were refused, by product of the user agent: first, last, requests.
    pub(super) refused: BTreeMap<String, (Micros, Micros, i64)>,
}

pub(super) fn join<'a>(
    world: &'a World,
    facts: &FactFiles<'_>,
    window: Window,
    vouched: &Vouched,
    out: &OutputDir,
) -> Result<(Joined<'a>, UsedBy), PipelineError> {
    let clusters: Vec<Cluster<'a>> = world
        .clusters
        .iter()
        .map(|(inventory, found)| {
            let providers = inventory.identity_providers.as_deref().unwrap_or_default();
            Cluster::new(
                &inventory.arn,
                &inventory.name,
                &found.identities,
                &found.grants,
                providers,
            )
        })
        .collect();
    let seen = clusters.iter().map(|_| Seen::default()).collect();
    let writer = out.table_writer::<ApiAccessRow>()?;
    let (to, from) = sync_channel(WAITING);
    let mut sink = Sink {
        world,
        context: facts.context,
        spill: facts.spill,
        vouched,
        window,
        issued: SessionsBuilder::default(),
        known: Known::Nothing,
        at: None,
        usage: Usage::default(),
        used: UsedBy::default(),
        rows: Rows { batch: Vec::new(), to },
        caller: None,
        groups: (Vec::new(), String::new()),
        joined: Joined {
            clusters,
            sessions: Sessions::default(),
            profiles: Profiles::default(),
            logins: Vec::new(),
            seen,
            group_sets: BTreeMap::new(),
            presence: Presence::default(),
            audited_keys: BTreeMap::new(),
            redeemed_keys: FxHashSet::default(),
        },
    };
    // Clusters in order of ARN, and time forward within each, is the order of the table.
    let order: BTreeMap<String, usize> = world
        .clusters
        .iter()
        .enumerate()
        .map(|(idx, (cluster, _))| (partition("p_cluster", &cluster.arn), idx))
        .collect();
    let (mut joined, used) = std::thread::scope(|scope| {
        let writing = scope.spawn(move || write_rows(writer, &from));
        let read = facts.reader.read(|place| order.get(place).copied(), &mut sink);
        sink.know_calls();
        let left = read.and_then(|()| sink.leave_cluster()).and_then(|()| sink.rows.hand_over());
        let Sink { rows, joined, used, .. } = sink;
        // No more rows.
        drop(rows);
        // What ended the writing ended the reading.
        writing.join().map_err(|_| PipelineError::Worker)??;
        left.map(|()| (joined, used)).map_err(PipelineError::from)
    })?;
    let mut presence = std::mem::take(&mut joined.presence);
    joined.logins.iter().for_each(|login| presence.see_login(login));
    joined.presence = presence;
    Ok((joined, used))
}

/// Who made a request, and what is known of that without the request.
struct Caller {
    cluster: usize,
    user: KubeUser,
    who: Who,
    principal_arn: String,
    /// The account of the access key that was shown, and the number of the key.
    audited: Option<(String, u64)>,
}

/// Rows on their way to the thread that writes them: encoding takes as long as joining.
struct Rows {
    batch: Vec<ApiAccessRow>,
    to: SyncSender<Vec<ApiAccessRow>>,
}

/// Rows that are handed over at once.
const BATCH: usize = 4096;
/// Batches that wait.
const WAITING: usize = 2;

impl Rows {
    fn push(&mut self, row: ApiAccessRow) -> Result<(), FactsError> {
        self.batch.push(row);
        if self.batch.len() < BATCH { Ok(()) } else { self.hand_over() }
    }

    fn hand_over(&mut self) -> Result<(), FactsError> {
        let full = std::mem::replace(&mut self.batch, Vec::with_capacity(BATCH));
        self.to.send(full).map_err(|_| FactsError::NotTaken)
    }
}

/// Writes what comes until nothing more does.
fn write_rows(
    mut writer: RowWriter<ApiAccessRow, BufWriter<File>>,
    from: &Receiver<Vec<ApiAccessRow>>,
) -> Result<(), PipelineError> {
    while let Ok(rows) = from.recv() {
        for row in rows {
            writer.push(row)?;
        }
    }
    finish(writer)
}

struct Sink<'a, 'b> {
    world: &'a World,
    context: &'b Context,
    spill: &'b SpillDir,
    vouched: &'b Vouched,
    window: Window,
    issued: SessionsBuilder,
    known: Known,
    /// The cluster whose accesses are read.
    at: Option<usize>,
    /// What was used of it.
    usage: Usage,
    used: UsedBy,
    rows: Rows,
    caller: Option<Rc<Caller>>,
    /// The last set of groups, and its digest.
    groups: (Vec<String>, String),
    joined: Joined<'a>,
}

/// What was read so far: each family explains the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Known {
    Nothing,
    Sessions,
    /// And the keys that calls showed.
    Calls,
}

impl Sink<'_, '_> {
    /// True when CloudTrail vouches for the log that shows the session being issued: it is logged where
    /// the role lives.
    fn is_verified(&self, session: &Session) -> bool {
        let role = Arn::parse(self.joined.sessions.text(session.role_arn));
        role.is_some_and(|role| self.vouched.verified(role.account, session.issued_at.hour()))
    }

    fn has_cluster(&self, arn: &str) -> bool {
        self.joined.clusters.iter().any(|cluster| cluster.arn == arn)
    }

    fn know_sessions(&mut self) {
        if self.known < Known::Sessions {
            self.known = Known::Sessions;
            self.joined.sessions = std::mem::take(&mut self.issued).finish();
            self.joined.presence.note_sessions(&self.joined.sessions, self.window);
        }
    }

    /// All sessions, and the keys that calls showed, are known before the first access.
    fn know_calls(&mut self) {
        self.know_sessions();
        if self.known < Known::Calls {
            self.known = Known::Calls;
            self.joined.sessions.adopt_observed();
            self.joined.profiles = Profiles::new(&self.joined.sessions);
        }
    }

    /// Calls are noted and not held: there may be many millions of them.
    fn note_call(&mut self, call: &Hourly<AwsCallFact>) {
        self.know_sessions();
        self.joined.sessions.observe_key(&call.body.caller, call.first, call.last);
    }

    /// Puts aside what was used of the cluster that was read.
    fn leave_cluster(&mut self) -> Result<(), FactsError> {
        let Some(cluster) = self.at.take() else { return Ok(()) };
        self.used.keep(cluster, &std::mem::take(&mut self.usage), self.spill)
    }

    /// What is the same for all requests of a caller in a cluster.
    fn caller(&mut self, cluster_idx: usize, user: &KubeUser) -> Option<Rc<Caller>> {
        if let Some(last) = &self.caller
            && last.cluster == cluster_idx
            && last.user == *user
        {
            return Some(Rc::clone(last));
        }
        let who = self.joined.clusters.get(cluster_idx)?.who(user);
        let principal_arn = if is_iam(user) {
            let known = self.world.principals.arn_of(&user.principal_id);
            known.map_or_else(|| user.canonical_arn.clone(), str::to_owned)
        } else {
            user.username.clone()
        };
        let audited = (!who.component && !user.access_key_id.is_empty()).then(|| {
            let account = user.uid.split(':').nth(1).unwrap_or_default();
            (account.to_owned(), number_of(&user.access_key_id))
        });
        let caller =
            Caller { cluster: cluster_idx, user: user.clone(), who, principal_arn, audited };
        let caller = Rc::new(caller);
        self.caller = Some(Rc::clone(&caller));
        Some(caller)
    }

    /// The digest of a set of groups, which is mostly that of the one before.
    fn groups_digest(&mut self, groups: &[String]) -> String {
        if self.groups.0 != groups || self.groups.1.is_empty() {
            let digest = digest_of_groups(groups);
            self.joined.group_sets.entry(digest.clone()).or_insert_with(|| groups.to_vec());
            self.groups = (groups.to_vec(), digest);
        }
        self.groups.1.clone()
    }

    fn join_one(&mut self, access: Hourly<AccessFact>) -> Result<(), FactsError> {
        let fact = access.body;
        let found = self.joined.clusters.iter().position(|cluster| cluster.arn == fact.cluster);
        let Some(idx) = found else { return Ok(()) };
        if self.at != Some(idx) {
            self.leave_cluster()?;
            self.at = Some(idx);
        }
        let Some(caller) = self.caller(idx, &fact.caller) else { return Ok(()) };
        let groups_digest = self.groups_digest(&fact.subject.groups);
        let Some(cluster) = self.joined.clusters.get(idx) else { return Ok(()) };
        let who = &caller.who;
        let times = (access.first, access.last, access.count);
        let (session, confidence) = self.joined.sessions.of_kube_user(&fact.caller, access.first);
        let profile = self.joined.profiles.of(&self.joined.sessions, session, &fact.caller);
        let joined = self.usage.add(cluster, who, &fact, times, profile);
        let session = session.and_then(|idx| self.joined.sessions.get(idx));
        let corroborated = session.is_some_and(|session| self.is_verified(session));
        let session_id = session.map(Session::id);
        let credited =
            joined.credited.and_then(|idx| cluster.grants.get(idx)).map(|g| g.id.clone());
        let settled = access.first.0 >= self.window.since.0 + MICROS_PER_HOUR;
        if settled && let Some((account, key)) = &caller.audited {
            match self.joined.audited_keys.get_mut(account) {
                Some(keys) => keys.insert(*key),
                None => self.joined.audited_keys.entry(account.clone()).or_default().insert(*key),
            };
        }
        if let Some(seen) = self.joined.seen.get_mut(idx) {
            note(seen, &fact, times, who.kind, who.component);
            for identity in &who.identities {
                let last = seen.identities.entry(*identity).or_insert(access.last);
                *last = (*last).max(access.last);
                let kind = cluster.identities.get(*identity).map(|identity| identity.kind);
                if kind == Some(IdentityKind::AwsAuthAccount) {
                    let came = seen.of_accounts.entry(*identity).or_default();
                    came.insert(caller.principal_arn.clone());
                    if came.len() > NAMED {
                        came.pop_last();
                    }
                }
            }
        }
        let permission = fact.permission;
        let row = ApiAccessRow {
            cluster: fact.cluster,
            hour: access.hour.start(),
            principal_arn: caller.principal_arn.clone(),
            principal_id: some(fact.caller.principal_id),
            uid: fact.caller.uid,
            username: fact.caller.username,
            groups_digest,
            identity_kind: who.kind.map(|kind| kind.as_str().to_owned()),
            component: who.component,
            session_id,
            join_confidence: confidence.as_str().to_owned(),
            corroborated,
            impersonated_username: (fact.via != Via::Direct).then_some(fact.subject.username),
            via: fact.via.as_str().to_owned(),
            verb: permission.verb,
            api_group: permission.api_group,
            resource: permission.resource,
            subresource: permission.subresource,
            namespace: permission.namespace,
            name: permission.name,
            path: permission.path,
            decision: fact.decision.as_str().to_owned(),
            status_class: (fact.status_class > 0).then(|| format!("{}xx", fact.status_class)),
            credited_grant_id: credited,
            covering_grants: i64::try_from(joined.covering).unwrap_or(i64::MAX),
            user_agent_family: fact.user_agent_family,
            source: "eks_audit".to_owned(),
            count: access.count,
            first_seen: access.first,
            last_seen: access.last,
        };
        self.rows.push(row)
    }
}

impl FactSink for Sink<'_, '_> {
    fn take(&mut self, fact: Folded) -> Result<(), FactsError> {
        match fact {
            // A token of a cluster that this inventory has not is in the trail of no account: only an audit
            // log tells of it.
            Folded::Session(issued)
                if issued.body.issued_by == IssuedBy::TokenRequest
                    && !self.has_cluster(&issued.body.role_id) => {}
            Folded::Session(issued) => {
                self.joined.presence.see_caller(&issued.body.source, issued.at);
                self.issued.add(&issued);
            }
            Folded::Authentication(call) => {
                self.note_call(&call);
                self.joined.presence.note_authentication(&call);
                if is_redemption(&call.body) {
                    let key = number_of(&call.body.caller.access_key_id);
                    self.joined.redeemed_keys.insert(key);
                }
            }
            // An earlier inventory may have had principals and clusters that this one has not.
            Folded::AwsCall(call) if !self.context.wants(&call.body) => {}
            Folded::Login(login) if !self.has_cluster(&login.body.cluster) => {}
            Folded::AwsCall(call) => {
                self.note_call(&call);
                self.joined.presence.note_call(&call);
            }
            Folded::Login(login) => self.joined.logins.push(login),
            // Read before the rest: they decide which grants there are.
            Folded::Change(_) => {}
            Folded::Access(access, _) => {
                self.know_calls();
                self.join_one(access)?;
            }
        }
        Ok(())
    }
}

fn note(
    seen: &mut Seen,
    fact: &AccessFact,
    (first, last, count): (Micros, Micros, i64),
    kind: Option<IdentityKind>,
    component: bool,
) {
    seen.classes.note(&fact.caller, fact.via, &fact.permission);
    seen.reviews |= fact.via == Via::Delegated;
    let permission = &fact.permission;
    let add = |slot: &mut (Micros, Micros, i64)| {
        *slot = (slot.0.min(first), slot.1.max(last), slot.2 + count);
    };
    if kind == Some(IdentityKind::X509) && !component && fact.via == Via::Direct {
        let name = fact.caller.username.clone();
        add(seen.certificate_users.entry(name).or_insert((first, last, 0)));
    }
    if fact.token != TokenState::Unremarked && fact.via == Via::Direct {
        let key = (fact.token, fact.caller.username.clone());
        add(seen.tokens.entry(key).or_insert((first, last, 0)));
    }
    // Who failed to authenticate has no name and no word of the authorizer.
    let nobody = fact.caller.username.is_empty() && fact.decision == Decision::Unknown;
    if nobody && fact.status_class == 4 && fact.via == Via::Direct {
        let is_new = !seen.refused.contains_key(&fact.user_agent_family);
        let full = is_new && seen.refused.len() >= NAMED;
        let product = if full { "other".to_owned() } else { fact.user_agent_family.clone() };
        add(seen.refused.entry(product).or_insert((first, last, 0)));
    }
    let beyond_everybody =
        !crate::rbac::defaults::covered_by_discovery(permission, &fact.subject.groups);
    if fact.caller.username == "system:anonymous"
        && fact.decision == Decision::Allow
        && beyond_everybody
    {
        add(seen.anonymous.get_or_insert((first, last, 0)));
    }
}

/// 16 hex digits over a set of groups.
pub(super) fn digest_of_groups(groups: &[String]) -> String {
    digest::hex(&digest::of_parts(groups.iter().map(String::as_bytes)), 16)
}

pub(super) fn some(text: String) -> Option<String> {
    (!text.is_empty()).then_some(text)
}
