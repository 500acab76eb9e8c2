//! Audit events that say what an earlier one said, but for when, of which object and as which request.
//!
//! Nearly all events do: a caller makes few kinds of requests. What the earlier one said, of which every part
//! was read, is said again: of an event that was found by the parts that decide ([`extract`]), and of one that
//! still stands in a message by the same parts as they are written ([`Taken`]). Every event that may say
//! more than who asked for what (impersonation, reviews, minted tokens, changes of grants) is none of
//! these.

use std::rc::Rc;

use memchr::memchr;

use super::audit::{Asked, Read, sees_name};
use super::identity::of_request;
use super::memo::{Bound, Key, Memo, Memory, Number, Numbered};
use super::product_of;
use crate::decode::audit::{Event, ObjectRef, ResponseStatus};
use crate::decode::lenient::{MAX_TEXT, Raw, Text};
use crate::decode::quoted::Quoted;
use crate::model::digest::Begun;
use crate::model::fact::{Fact, FactBody};
use crate::model::secret_names;
use crate::model::time::Micros;

/// What an event said.
#[derive(Debug, Clone)]
pub(super) struct Said {
    pub(super) body: Rc<FactBody>,
    /// Who asked, as whom, with which verb: what the request's identity begins with.
    pub(super) asker: Begun,
    /// Objects of the request are named by marks.
    pub(super) hides_name: bool,
}

/// An event that is read, but for who asked and what the authorizer said.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seen<'a> {
    pub(super) event: &'a Event<'a>,
    pub(super) object: &'a ObjectRef<'a>,
    pub(super) status: &'a ResponseStatus<'a>,
}

impl<'a> Seen<'a> {
    /// True when authorization saw the object's name.
    pub(super) fn sees_name(&self) -> bool {
        let object = self.object;
        let [verb, resource, subresource] =
            [&self.event.verb, &object.resource, &object.subresource];
        let bytes = |text: &'a Text<'_>| text.as_str().as_bytes();
        sees_name(bytes(verb), bytes(resource), bytes(subresource))
    }

    /// The parts that decide what the event says. `None` for one that may say more.
    pub(super) fn key(&self, cluster: &'a str) -> Option<Key<'a, 11>> {
        let Seen { event, object, status } = *self;
        let (group, resource) = (object.api_group.as_str(), object.resource.as_str());
        let subresource = object.subresource.as_str();
        let reads = matches!(event.verb.as_str(), "get" | "list" | "watch");
        let may_say_more = match (group, resource) {
            ("", "serviceaccounts") => !reads || subresource == "token",
            ("", "configmaps") | ("rbac.authorization.k8s.io" | "authorization.k8s.io", _) => {
                !reads
            }
            _ => false,
        };
        if may_say_more || event.impersonated_user.is_some() {
            return None;
        }
        let text = str::as_bytes;
        Some([
            text(cluster),
            text(event.user.map_or("", Raw::get)),
            text(event.verb.as_str()),
            text(group),
            text(resource),
            text(subresource),
            text(object.namespace.as_str()),
            if resource.is_empty() { path_of(text(event.request_uri.as_str())) } else { b"" },
            product_of(text(event.user_agent.as_str())),
            text(status.code.as_str()),
            text(event.annotations.map_or("", Raw::get)),
        ])
    }
}

/// Hands on the fact of an event of which the like was met; `None` for any other. `quoted` is its line with
/// all escapes, where it stands in a message.
pub(super) fn extract(
    seen: &Seen<'_>,
    quoted: Option<&[u8]>,
    asked: &Asked<'_>,
    memory: &mut Memory,
    take: &mut dyn FnMut(Fact<'_>),
) -> Option<Read> {
    let Seen { event, object, .. } = *seen;
    // Without its own time an event takes another's.
    let at = Micros::parse_loose(event.request_received_timestamp.as_str())?;
    let said = memory.events.get(&seen.key(asked.cluster)?)?;
    if let Some(text) = quoted
        && let Some(quoted) = Quoted::read(text)
        && quoted.is(text, event, object)
    {
        memory.quoted.learn(&quoted, asked.cluster, said);
    }
    if asked.window.contains(at) {
        let audit_id = event.audit_id.as_str().as_bytes();
        let uri = event.request_uri.as_str().as_bytes();
        let (group, id) = of_request(audit_id, uri, &said.asker, Some(at));
        let name = if seen.sees_name() { object.name.bounded() } else { "".into() };
        let name = if said.hides_name { secret_names::mark(&name).into() } else { name };
        let rank = rank_of(event.stage.as_str().as_bytes());
        let body = Rc::clone(&said.body);
        take(Fact { group, id, ordinal: 0, rank, at, name, body });
    }
    Some(Read { at, salvaged: false })
}

/// What events said that were read, by how they stand in a message.
#[derive(Debug)]
pub(super) struct Quotes {
    /// Of the parts that come again and again: callers, answers, notes.
    parts: Numbered<()>,
    events: Memo<11, Said>,
}

impl Default for Quotes {
    fn default() -> Self {
        // What events say is held by those that were read.
        let parts = Numbered::within(Bound { all: 4 << 20, each: 128 });
        let events = Memo::within(Bound { all: 4 << 20, each: 384 });
        Quotes { parts, events }
    }
}

impl Quotes {
    fn get(&self, quoted: &Quoted<'_>, cluster: &str) -> Option<&Said> {
        let number = |part| self.parts.get(part).map(|(number, ())| *number);
        let parts = [number(quoted.user)?, number(quoted.status)?, number(quoted.annotations)?];
        self.events.get(&quoted_key(quoted, cluster, &parts))
    }

    fn learn(&mut self, quoted: &Quoted<'_>, cluster: &str, said: &Said) {
        let parts = [quoted.user, quoted.status, quoted.annotations].map(|part| self.number(part));
        let key = quoted_key(quoted, cluster, &parts);
        if self.events.get(&key).is_none() {
            self.events.put(&key, said.clone());
        }
    }

    fn number(&mut self, part: &[u8]) -> Number {
        let known = self.parts.get(part).map(|(number, ())| *number);
        known.unwrap_or_else(|| self.parts.put(part, ()))
    }
}

/// The parts of an event that decide what it says, as they stand in a message. Whatever one of them is:
/// where all are those of an event that was read, this one differs from it in plain texts alone, which are
/// in the same places, and says the same.
fn quoted_key<'a>(
    quoted: &'a Quoted<'_>,
    cluster: &'a str,
    [user, status, annotations]: &'a [Number; 3],
) -> Key<'a, 11> {
    let object = &quoted.object;
    let no_resource = object.resource.is_empty();
    [
        cluster.as_bytes(),
        user,
        quoted.verb,
        object.api_group,
        object.resource,
        object.subresource,
        object.namespace,
        if no_resource { path_of(&quoted.request_uri) } else { b"" },
        product_of(quoted.user_agent),
        status,
        annotations,
    ]
}

/// Events of a message that were taken as they stood, and count once all of it was read.
#[derive(Debug, Default)]
pub(super) struct Taken {
    events: Vec<Met>,
    /// Back to back.
    names: String,
}

#[derive(Debug)]
struct Met {
    at: Micros,
    ident: (u64, u128),
    rank: u8,
    /// Where its name ends; it begins where that of the one before ends.
    name_end: usize,
    body: Rc<FactBody>,
}

impl Taken {
    /// Forgets all.
    pub(super) fn clear(&mut self) {
        self.events.clear();
        self.names.clear();
    }

    /// Takes the event that `text` begins with, escapes and all, if the like was met; returns how long it
    /// is.
    pub(super) fn take(&mut self, text: &[u8], cluster: &str, known: &Quotes) -> Option<usize> {
        let quoted = Quoted::read(text)?;
        let at = Micros::parse_loose(quoted.received)?;
        let object = &quoted.object;
        if object.name.len() > MAX_TEXT {
            return None;
        }
        let said = known.get(&quoted, cluster)?;
        if sees_name(quoted.verb, object.resource, object.subresource) {
            let name = std::str::from_utf8(object.name).ok()?;
            if said.hides_name {
                self.names.push_str(&secret_names::mark(name));
            } else {
                self.names.push_str(name);
            }
        }
        self.events.push(Met {
            at,
            ident: of_request(quoted.audit_id, &quoted.request_uri, &said.asker, Some(at)),
            rank: rank_of(quoted.stage),
            name_end: self.names.len(),
            body: Rc::clone(&said.body),
        });
        Some(quoted.len)
    }

    /// The facts of all, in order.
    pub(super) fn facts(&self) -> impl Iterator<Item = Fact<'_>> {
        let mut start = 0;
        self.events.iter().map(move |event| {
            let name = self.names.get(start..event.name_end).unwrap_or_default();
            start = event.name_end;
            let (group, id) = event.ident;
            let (rank, at, body) = (event.rank, event.at, Rc::clone(&event.body));
            Fact { group, id, ordinal: 0, rank, at, name: name.into(), body }
        })
    }
}

/// The path of a request, without its query.
pub(super) fn path_of(uri: &[u8]) -> &[u8] {
    uri.get(..memchr(b'?', uri).unwrap_or(uri.len())).unwrap_or_default()
}

/// Of the stages of one event the last wins.
pub(super) fn rank_of(stage: &[u8]) -> u8 {
    match stage {
        b"RequestReceived" => 4,
        b"ResponseStarted" => 3,
        b"Panic" => 2,
        _ => 1,
    }
}
