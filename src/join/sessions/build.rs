//! Session facts to the index: copies made one, texts kept once, chains linked.

use std::collections::{BTreeMap, BTreeSet};

use super::texts::{Text, Texts};
use super::{Asker, Caller, Session, Sessions, role_key, second_of};
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
    rows: Vec<(Session, Asker)>,
    texts: Texts,
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
        let session = Session {
            number: session_number(issued.at, fact),
            issued_at: issued.at,
            expires_at: fact.expires_at,
            issued_by: fact.issued_by,
            role_arn: texts.keep(&fact.role_arn),
            role_id: texts.keep(&fact.role_id),
            session_name: texts.keep(&fact.session_name),
            access_key_id: texts.keep(&fact.access_key_id),
            source: texts.keep(source),
            source_identity: texts.keep(source_identity),
            subject: texts.keep(&fact.subject),
            person: texts.keep(person),
            parent: None,
            tags: tags.into(),
            transitive_keys: fact.transitive_keys.iter().map(|key| texts.keep(key)).collect(),
        };
        let caller = Caller::of(&fact.source);
        let asker = Asker {
            access_key_id: texts.keep(&fact.source.access_key_id),
            role: texts.keep(caller.role),
            role_by_name: texts.keep(&role_key("", caller.role_arn)),
            name: texts.keep(caller.name),
            created_second: fact.source.created_at.map(second_of),
            shared_event: texts.keep(&fact.shared_event_id),
        };
        self.rows.push((session, asker));
    }

    /// Links chains and hands tags down them.
    #[must_use]
    pub fn finish(self) -> Sessions {
        let SessionsBuilder { mut rows, mut texts } = self;
        let by_text = |a: Text, b: Text, texts: &Texts| texts.get(a).cmp(texts.get(b));
        // Every order below is over what the texts say: their numbers depend on arrival.
        rows.sort_by(|(a, by_a), (b, by_b)| {
            (a.issued_at, a.number, richness(b))
                .cmp(&(b.issued_at, b.number, richness(a)))
                .then_with(|| by_text(a.source, b.source, &texts))
                .then_with(|| by_text(by_a.access_key_id, by_b.access_key_id, &texts))
        });
        // A copy in the other account's trail is the same session; the fuller record stays.
        rows.dedup_by(|(next, asker), (kept, kept_asker)| {
            let same = next.number == kept.number;
            if same {
                fill(kept, kept_asker, next, asker);
            }
            same
        });
        merge_shared(&mut rows, &texts);

        let askers: Vec<Asker> = rows.iter().map(|(_, asker)| *asker).collect();
        let all = rows.into_iter().map(|(session, _)| session).collect();
        let mut sessions = Sessions { all, ..Sessions::default() };
        for (idx, session) in (0_u32..).zip(&sessions.all) {
            if !session.access_key_id.is_empty() {
                sessions.by_key.entry(session.access_key_id).or_insert(idx);
            }
            let role = if session.role_id.is_empty() {
                let by_name = role_key("", texts.get(session.role_arn));
                texts.keep(&by_name)
            } else {
                session.role_id
            };
            sessions.by_second.push((role, second_of(session.issued_at), idx));
            sessions.by_name.push((role, session.session_name, idx));
        }
        sessions.by_second.sort_unstable();
        sessions.by_name.sort_unstable();
        sessions.texts = texts;
        sessions.link(&askers);
        sessions
    }
}

fn richness(session: &Session) -> (usize, bool, bool) {
    (session.tags.len(), !session.source.is_empty(), !session.role_id.is_empty())
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
    take(&mut kept.person, other.person);
    kept.expires_at = kept.expires_at.or(other.expires_at);
    if kept.tags.is_empty() {
        kept.tags.clone_from(&other.tags);
        kept.transitive_keys.clone_from(&other.transitive_keys);
    }
    // The caller's own account shows its key and session; the role's account only who it is.
    if kept_asker.access_key_id.is_empty() && kept_asker.created_second.is_none() {
        *kept_asker = Asker { shared_event: kept_asker.shared_event, ..*asker };
    }
}

/// Makes one of the two records that a call across accounts leaves, where they differ so much that
/// they look like two sessions: one of them shows no issued key.
/// Source: <https://docs.aws.amazon.com/awscloudtrail/latest/userguide/shared-event-ID.html>.
fn merge_shared(rows: &mut Vec<(Session, Asker)>, texts: &Texts) {
    let mut by_event: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (idx, (_, asker)) in rows.iter().enumerate() {
        if !asker.shared_event.is_empty() {
            by_event.entry(texts.get(asker.shared_event)).or_default().push(idx);
        }
    }
    let mut gone = BTreeSet::new();
    for pair in by_event.into_values() {
        let [first, second] = pair.as_slice() else { continue };
        let (Some(a), Some(b)) = (rows.get(*first).cloned(), rows.get(*second).cloned()) else {
            continue;
        };
        let same = a.0.issued_at == b.0.issued_at
            && a.0.session_name == b.0.session_name
            && (a.0.access_key_id.is_empty() || b.0.access_key_id.is_empty());
        if !same {
            continue;
        }
        let (keep, drop, other) =
            if a.0.access_key_id.is_empty() { (*second, *first, a) } else { (*first, *second, b) };
        if let Some((session, asker)) = rows.get_mut(keep) {
            fill(session, asker, &other.0, &other.1);
            gone.insert(drop);
        }
    }
    let mut idx = 0;
    rows.retain(|_| {
        idx += 1;
        !gone.contains(&(idx - 1))
    });
}

fn session_number(issued_at: Micros, fact: &SessionFact) -> u64 {
    let role = role_key(&fact.role_id, &fact.role_arn);
    let at = issued_at.0.to_be_bytes();
    let parts: [&[u8]; 4] =
        [role.as_bytes(), fact.session_name.as_bytes(), &at, fact.access_key_id.as_bytes()];
    let id = digest::id(&digest::of_parts(parts));
    u64::try_from(id >> 64).unwrap_or(u64::MAX)
}
