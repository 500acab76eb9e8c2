//! Session facts to the index: copies made one, texts kept once, chains linked.

use std::collections::BTreeSet;

use super::texts::{Lists, Text, Texts};
use super::{
    Asker, Caller, NEVER_SAID, NO_SECOND, NOBODY, Session, Sessions, role_key, second_of,
    written_tag,
};
use crate::facts::fold::Issued;
use crate::model::arn::PrincipalName;
use crate::model::digest;
use crate::model::fact::SessionFact;
use crate::model::time::Micros;

/// Roles that IAM Identity Center makes; their session name is the person.
/// Source: <https://docs.aws.amazon.com/singlesignon/latest/userguide/identity-center-and-iam-roles.html>.
const SSO_ROLE: &str = "AWSReservedSSO_";

/// Takes session facts as they are read, so that no more than the index is ever held.
#[derive(Debug, Default)]
pub struct SessionsBuilder {
    rows: Rows,
    texts: Texts,
    lists: Lists,
}

/// Sessions and who asked for them, by the same index.
#[derive(Debug, Default)]
struct Rows {
    sessions: Vec<Session>,
    askers: Vec<Asker>,
}

impl SessionsBuilder {
    /// Takes one. Refused requests issue nothing and are left out.
    pub fn add(&mut self, issued: &Issued) {
        let fact = &issued.body;
        if !fact.error.is_empty() {
            return;
        }
        let texts = &mut self.texts;
        let source = [
            &fact.source.arn,
            &fact.source.user_name,
            &fact.source.invoked_by,
            &fact.source.principal_id,
        ];
        let source = source.into_iter().find(|text| !text.is_empty()).map_or("", String::as_str);
        let source_identity = if fact.source_identity.is_empty() {
            &fact.source.source_identity
        } else {
            &fact.source_identity
        };
        let role_name = PrincipalName::from_arn(&fact.role_arn).map(|name| name.name);
        let person = if !fact.source.on_behalf_of.is_empty() {
            &fact.source.on_behalf_of
        } else if !source_identity.is_empty() {
            source_identity
        } else if role_name.is_some_and(|name| name.starts_with(SSO_ROLE)) {
            &fact.session_name
        } else {
            ""
        };
        let mut tags: Vec<(Text, Text, bool)> =
            fact.tags.iter().map(|(k, v)| (texts.keep(k), texts.keep(v), false)).collect();
        tags.sort_by(|a, b| texts.get(a.0).cmp(texts.get(b.0)));
        let tags: Vec<Text> = tags.into_iter().flat_map(written_tag).collect();
        let keys: Vec<Text> = fact.transitive_keys.iter().map(|key| texts.keep(key)).collect();
        let session = Session {
            number: session_number(issued.at, fact),
            issued_at: issued.at,
            expires: fact.expires_at.unwrap_or(NEVER_SAID),
            issued_by: fact.issued_by,
            role_arn: texts.keep(&fact.role_arn),
            role_id: texts.keep(&fact.role_id),
            session_name: texts.keep(&fact.session_name),
            access_key_id: texts.keep(&fact.access_key_id),
            source: texts.keep(source),
            source_identity: texts.keep(source_identity),
            subject: texts.keep(&fact.subject),
            provider: texts.keep(&fact.provider),
            person: texts.keep(person),
            role: Text::default(),
            parent: NOBODY,
            tags: self.lists.keep(&tags),
            transitive_keys: self.lists.keep(&keys),
        };
        let caller = Caller::of(&fact.source);
        let asker = Asker {
            access_key_id: texts.keep(&fact.source.access_key_id),
            role: texts.keep(caller.role),
            role_by_name: texts.keep(&role_key("", caller.role_arn)),
            name: texts.keep(caller.name),
            created_second: fact.source.created_at.map_or(NO_SECOND, second_of),
            shared_event: event_number(&fact.shared_event_id),
        };
        self.rows.sessions.push(session);
        self.rows.askers.push(asker);
    }

    /// Links chains and hands tags down them.
    #[must_use]
    pub fn finish(self) -> Sessions {
        let SessionsBuilder { mut rows, mut texts, lists } = self;
        rows.sort(&texts, &lists);
        rows.dedup();
        rows.merge_shared();

        let Rows { sessions: all, askers } = rows;
        let mut sessions = Sessions { all, lists, ..Sessions::default() };
        for (idx, session) in (0_u32..).zip(&mut sessions.all) {
            if !session.access_key_id.is_empty() {
                sessions.by_key.entry(session.access_key_id).or_insert(idx);
            }
            session.role = if session.role_id.is_empty() {
                let by_name = role_key("", texts.get(session.role_arn));
                texts.keep(&by_name)
            } else {
                session.role_id
            };
        }
        let all = &sessions.all;
        let rows = u32::try_from(all.len()).unwrap_or(u32::MAX);
        let at = |idx: u32| usize::try_from(idx).ok().and_then(|idx| all.get(idx));
        let mut by_second: Vec<u32> = (0..rows).collect();
        let mut by_name = by_second.clone();
        by_second
            .sort_unstable_by_key(|&idx| (at(idx).map(|s| (s.role, second_of(s.issued_at))), idx));
        by_name.sort_unstable_by_key(|&idx| (at(idx).map(|s| (s.role, s.session_name)), idx));
        (sessions.by_second, sessions.by_name) = (by_second, by_name);
        sessions.texts = texts;
        sessions.link(&askers);
        sessions
    }
}

impl Rows {
    /// By time, number and fullness. The order is over what texts say: their numbers depend on
    /// arrival. An order of indices first, because the rows of millions of sessions are not copied.
    fn sort(&mut self, texts: &Texts, lists: &Lists) {
        let richness = |session: &Session| {
            let tags = lists.get(session.tags).len();
            (tags, !session.source.is_empty(), !session.role_id.is_empty())
        };
        let key = |at: u32| {
            let at = usize::try_from(at).ok()?;
            let (session, asker) = (self.sessions.get(at)?, self.askers.get(at)?);
            let place = (session.issued_at, session.number);
            let texts = (texts.get(session.source), texts.get(asker.access_key_id));
            Some((place, std::cmp::Reverse(richness(session)), texts))
        };
        let rows = u32::try_from(self.sessions.len()).unwrap_or(u32::MAX);
        let mut order: Vec<u32> = (0..rows).collect();
        order.sort_by(|&a, &b| key(a).cmp(&key(b)));
        // `order[n]` is where row `n` comes from: each cycle of it is walked once.
        for start in 0..order.len() {
            let mut at = start;
            while let Some(slot) = order.get_mut(at) {
                let from = usize::try_from(*slot).unwrap_or(at);
                *slot = u32::try_from(at).unwrap_or(rows);
                if from == start || from == at {
                    break;
                }
                self.sessions.swap(at, from);
                self.askers.swap(at, from);
                at = from;
            }
        }
    }

    /// A copy in the other account's trail is the same session; the fuller record stays.
    fn dedup(&mut self) {
        let mut kept = 0;
        for at in 1..self.sessions.len() {
            if !self.absorb(kept, at) {
                kept += 1;
                self.sessions.swap(kept, at);
                self.askers.swap(kept, at);
            }
        }
        let rows = self.sessions.len().min(kept + 1);
        self.sessions.truncate(rows);
        self.askers.truncate(rows);
    }

    /// Takes row `other` into row `kept` if they are one session.
    fn absorb(&mut self, kept: usize, other: usize) -> bool {
        let (Some(next), Some(&asker)) =
            (self.sessions.get(other).cloned(), self.askers.get(other))
        else {
            return false;
        };
        let (Some(session), Some(known)) = (self.sessions.get_mut(kept), self.askers.get_mut(kept))
        else {
            return false;
        };
        let same = next.number == session.number;
        if same {
            fill(session, known, &next, &asker);
        }
        same
    }

    /// Makes one of the two records that a call across accounts leaves, where they differ so much
    /// that they look like two sessions: one of them shows no issued key. Source:
    /// <https://docs.aws.amazon.com/awscloudtrail/latest/userguide/shared-event-ID.html>.
    fn merge_shared(&mut self) {
        let shared = self.askers.iter().zip(0_u32..).filter(|(asker, _)| asker.shared_event != 0);
        let mut by_event: Vec<(u64, u32)> =
            shared.map(|(asker, idx)| (asker.shared_event, idx)).collect();
        by_event.sort_unstable();
        let mut gone = BTreeSet::new();
        for pair in by_event.chunk_by(|a, b| a.0 == b.0) {
            let [(_, first), (_, second)] = pair else { continue };
            gone.extend(self.merge_pair(*first, *second));
        }
        drop(by_event);
        if gone.is_empty() {
            return;
        }
        let mut idx = 0;
        self.sessions.retain(|_| {
            idx += 1;
            !gone.contains(&(idx - 1))
        });
        idx = 0;
        self.askers.retain(|_| {
            idx += 1;
            !gone.contains(&(idx - 1))
        });
    }

    /// The one of the two that is no session of its own.
    fn merge_pair(&mut self, first: u32, second: u32) -> Option<u32> {
        let row = |idx: u32| {
            let idx = usize::try_from(idx).ok()?;
            Some((self.sessions.get(idx)?, *self.askers.get(idx)?))
        };
        let ((a, by_a), (b, by_b)) = (row(first)?, row(second)?);
        let same = a.issued_at == b.issued_at
            && a.session_name == b.session_name
            && (a.access_key_id.is_empty() || b.access_key_id.is_empty());
        if !same {
            return None;
        }
        let (keep, gone, other, asker) = if a.access_key_id.is_empty() {
            (second, first, a.clone(), by_a)
        } else {
            (first, second, b.clone(), by_b)
        };
        let keep = usize::try_from(keep).ok()?;
        fill(self.sessions.get_mut(keep)?, self.askers.get_mut(keep)?, &other, &asker);
        Some(gone)
    }
}

/// Takes over what one record of a session says and the other does not.
fn fill(kept: &mut Session, kept_asker: &mut Asker, other: &Session, asker: &Asker) {
    let take = |ours: &mut Text, theirs: Text| {
        if ours.is_empty() {
            *ours = theirs;
        }
    };
    take(&mut kept.role_arn, other.role_arn);
    take(&mut kept.role_id, other.role_id);
    take(&mut kept.access_key_id, other.access_key_id);
    take(&mut kept.source, other.source);
    take(&mut kept.source_identity, other.source_identity);
    take(&mut kept.subject, other.subject);
    take(&mut kept.provider, other.provider);
    take(&mut kept.person, other.person);
    if kept.expires == NEVER_SAID {
        kept.expires = other.expires;
    }
    if kept.tags.is_empty() {
        kept.tags = other.tags;
        kept.transitive_keys = other.transitive_keys;
    }
    // The caller's own account shows its key and session; the role's account only who it is.
    if kept_asker.access_key_id.is_empty() && kept_asker.created_second == NO_SECOND {
        *kept_asker = Asker { shared_event: kept_asker.shared_event, ..*asker };
    }
}

/// A number for an event id, 0 for none.
fn event_number(id: &str) -> u64 {
    if id.is_empty() {
        return 0;
    }
    let number = digest::id(&digest::of_bytes(id.as_bytes()));
    u64::try_from(number >> 64).unwrap_or(u64::MAX)
}

fn session_number(issued_at: Micros, fact: &SessionFact) -> u64 {
    let role = role_key(&fact.role_id, &fact.role_arn);
    let at = issued_at.0.to_be_bytes();
    let parts: [&[u8]; 4] =
        [role.as_bytes(), fact.session_name.as_bytes(), &at, fact.access_key_id.as_bytes()];
    let id = digest::id(&digest::of_parts(parts));
    u64::try_from(id >> 64).unwrap_or(u64::MAX)
}
