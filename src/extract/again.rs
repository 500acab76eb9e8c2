//! Audit events that say what an earlier one said, but for when, of which object and as which request.
//!
//! Nearly all events do: a caller makes few kinds of requests. Of such an event only the members that
//! decide are looked at; what the earlier one said, which a parser has read, is said again. Every event
//! that may say more than who asked for what (impersonation, reviews, minted tokens, changes of grants)
//! is none of these.

use std::rc::Rc;

use super::audit::{Asked, Read, sees_name};
use super::memo::{Key, Memo, Memory};
use super::{id_from_parts, low_half, product_of};
use crate::decode::audit::Glance;
use crate::decode::lenient::{MAX_TEXT, Raw};
use crate::decode::quoted::Quoted;
use crate::model::fact::{Fact, FactBody};
use crate::model::secret_names;
use crate::model::time::Micros;

/// What an event said.
#[derive(Debug, Clone)]
pub(super) struct Said {
    pub(super) body: Rc<FactBody>,
    /// Digest of who asked, as whom, with which verb: for the request's identity.
    pub(super) asker: [u8; 32],
    /// Objects of the request are named by marks.
    pub(super) hides_name: bool,
}

/// The parts of an event that decide what it says.
pub(super) fn key<'a>(glance: &'a Glance<'_>, cluster: &'a str) -> Option<Key<'a, 11>> {
    let object = &glance.object;
    let (group, resource) = (object.api_group.as_str(), object.resource.as_str());
    let subresource = object.subresource.as_str();
    let reads = matches!(glance.verb.as_str(), "get" | "list" | "watch");
    let may_say_more = match (group, resource) {
        ("", "serviceaccounts") => !reads || subresource == "token",
        ("", "configmaps") | ("rbac.authorization.k8s.io" | "authorization.k8s.io", _) => !reads,
        _ => false,
    };
    if may_say_more {
        return None;
    }
    Some(
        [
            cluster,
            glance.user.map_or("", Raw::get),
            glance.verb.as_str(),
            group,
            resource,
            subresource,
            object.namespace.as_str(),
            if resource.is_empty() { path_of(glance.request_uri.as_str()) } else { "" },
            product_of(glance.user_agent.as_str()),
            glance.code.as_str(),
            glance.annotations.map_or("", Raw::get),
        ]
        .map(str::as_bytes),
    )
}

/// Hands on the fact of an event of which the like was met; `None` for any other. `quoted` is where it
/// stands with its escapes.
pub(super) fn extract(
    (bytes, quoted): (&[u8], Option<&[u8]>),
    asked: &Asked<'_>,
    memory: &mut Memory,
    take: &mut dyn FnMut(Fact<'_>),
) -> Option<Read> {
    let glance = Glance::find(bytes, &mut memory.members)?;
    let at = Micros::parse_loose(glance.received.as_str())?;
    let said = memory.events.get(&key(&glance, asked.cluster)?)?;
    if let Some(quoted) = quoted.and_then(Quoted::read)
        && says_the_same(&quoted, &glance)
    {
        let key = quoted_key(&quoted, asked.cluster);
        if memory.quoted.get(&key).is_none() {
            memory.quoted.put(&key, said.clone());
        }
    }
    if asked.window.contains(at) {
        let audit_id = glance.audit_id.as_str().as_bytes();
        let verb = glance.verb.as_str();
        let (group, id) = ident(audit_id, glance.request_uri.as_str(), &said.asker, Some(at));
        let object = &glance.object;
        let sees = sees_name(verb, object.resource.as_str(), object.subresource.as_str());
        let name = if sees { object.name.bounded() } else { "".into() };
        let name = if said.hides_name { secret_names::mark(&name).into() } else { name };
        let (rank, body) = (rank_of(glance.stage.as_str()), Rc::clone(&said.body));
        take(Fact { group, id, ordinal: 0, rank, at, name, body });
    }
    Some(Read { at, salvaged: false })
}

/// True when both ways of reading an event agree on all of it.
fn says_the_same(quoted: &Quoted<'_>, glance: &Glance<'_>) -> bool {
    let (object, of) = (&quoted.object, &glance.object);
    [
        (quoted.audit_id, &glance.audit_id),
        (quoted.stage.as_bytes(), &glance.stage),
        (quoted.request_uri.as_bytes(), &glance.request_uri),
        (quoted.verb.as_bytes(), &glance.verb),
        (quoted.user_agent.as_bytes(), &glance.user_agent),
        (quoted.received.as_bytes(), &glance.received),
        (object.resource.as_bytes(), &of.resource),
        (object.namespace, &of.namespace),
        (object.name.as_bytes(), &of.name),
        (object.api_group, &of.api_group),
        (object.subresource.as_bytes(), &of.subresource),
    ]
    .iter()
    .all(|(one, other)| *one == other.as_str().as_bytes())
}

/// The parts of an event that decide what it says, as they stand in a message. Whatever one of them is:
/// where all are those of an event that was read, this one differs from it in plain texts alone, which are
/// in the same places, and says the same.
fn quoted_key<'a>(quoted: &'a Quoted<'_>, cluster: &'a str) -> Key<'a, 11> {
    let object = &quoted.object;
    let no_resource = object.resource.is_empty();
    [
        cluster.as_bytes(),
        quoted.user,
        quoted.verb.as_bytes(),
        object.api_group,
        object.resource.as_bytes(),
        object.subresource.as_bytes(),
        object.namespace,
        if no_resource { path_of(&quoted.request_uri).as_bytes() } else { b"" },
        product_of(quoted.user_agent).as_bytes(),
        quoted.status,
        quoted.annotations,
    ]
}

/// Events of a message that were taken as they stood, and count once all of it was read.
#[derive(Debug, Default)]
pub(super) struct Taken {
    events: Vec<Event>,
    /// Back to back.
    names: String,
}

#[derive(Debug)]
struct Event {
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
    pub(super) fn take(
        &mut self,
        text: &[u8],
        cluster: &str,
        known: &Memo<11, Said>,
    ) -> Option<usize> {
        let quoted = Quoted::read(text)?;
        let at = Micros::parse_loose(quoted.received)?;
        let object = &quoted.object;
        if object.name.len() > MAX_TEXT {
            return None;
        }
        let said = known.get(&quoted_key(&quoted, cluster))?;
        if sees_name(quoted.verb, object.resource, object.subresource) {
            if said.hides_name {
                self.names.push_str(&secret_names::mark(object.name));
            } else {
                self.names.push_str(object.name);
            }
        }
        self.events.push(Event {
            at,
            ident: ident(quoted.audit_id, &quoted.request_uri, &said.asker, Some(at)),
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
pub(super) fn path_of(uri: &str) -> &str {
    uri.split('?').next().unwrap_or_default()
}

/// The Audit-ID's number and the event's: what was asked by whom in the high half, when in the low half,
/// 0 where the time is lost. `asker` is the digest of who asked, as whom, with which verb.
pub(super) fn ident(
    audit_id: &[u8],
    uri: &str,
    asker: &[u8; 32],
    at: Option<Micros>,
) -> (u64, u128) {
    let (number, what) = match uuid(audit_id) {
        Some(digits) => {
            let [high, low] = halves(digits);
            let mut head = [0; 48];
            head[..32].copy_from_slice(asker);
            head[32..].copy_from_slice(&digits.to_be_bytes());
            // Half of what an Audit-ID is written with: it is one block of the digest less.
            ((high ^ low).max(1), id_from_parts(&[&head, uri.as_bytes()]))
        }
        None if audit_id.is_empty() => (0, id_from_parts(&[asker, b"", uri.as_bytes()])),
        None => {
            let number = low_half(id_from_parts(&[audit_id])).max(1);
            (number, id_from_parts(&[asker, audit_id, uri.as_bytes()]))
        }
    };
    let [high, low] = halves(what);
    // Of one request every time gives another number.
    let low = at.map_or(0, |at| {
        let spread = at.0.cast_unsigned().wrapping_mul(0x9e37_79b9_7f4a_7c15);
        low.wrapping_add(spread).max(1)
    });
    (number, u128::from(high) << 64 | u128::from(low))
}

fn halves(both: u128) -> [u64; 2] {
    [low_half(both >> 64), low_half(both)]
}

/// The digits of a UUID as the API server writes it. Two get one number only where somebody makes them up,
/// who could as well use one twice.
fn uuid(text: &[u8]) -> Option<u128> {
    let text: &[u8; 36] = text.try_into().ok()?;
    let (mut number, mut all) = (0_u128, 0);
    for (n, byte) in text.iter().enumerate() {
        if matches!(n, 8 | 13 | 18 | 23) {
            all |= if *byte == b'-' { 0 } else { NO_DIGIT };
            continue;
        }
        let digit = DIGITS[usize::from(*byte)];
        all |= digit;
        number = number << 4 | u128::from(digit);
    }
    (all & NO_DIGIT == 0).then_some(number)
}

const NO_DIGIT: u8 = 0x80;

/// What a byte is as a hexadecimal digit in lower case.
const DIGITS: [u8; 256] = {
    let mut all = [NO_DIGIT; 256];
    let mut n = 0;
    while n < 16 {
        all[b"0123456789abcdef"[n as usize] as usize] = n;
        n += 1;
    }
    all
};

/// Of the stages of one event the last wins.
pub(super) fn rank_of(stage: &str) -> u8 {
    match stage {
        "RequestReceived" => 4,
        "ResponseStarted" => 3,
        "Panic" => 2,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_audit_id_is_one_however_it_is_written() {
        let check = |text: &str, expected: Option<u128>| {
            assert_eq!(uuid(text.as_bytes()), expected, "{text}");
        };
        let digits = 0x0123_4567_89ab_cdef_0123_4567_89ab_cdef;
        check("01234567-89ab-cdef-0123-456789abcdef", Some(digits));
        check("01234567-89AB-cdef-0123-456789abcdef", None);
        check("0123456789ab-cdef-0123-456789abcdef00", None);
        check("01234567089ab-cdef-0123-456789abcdef", None);
        check("01234567-89ab-cdef-0123-456789abcde-", None);
        check("+1234567-89ab-cdef-0123-456789abcdef", None);
        check("", None);
        let of = |id: &str, uri: &str| ident(id.as_bytes(), uri, &[7; 32], Some(Micros(1)));
        let one = "01234567-89ab-cdef-0123-456789abcdef";
        assert_eq!(of(one, "/a"), of(one, "/a"));
        let all =
            [of(one, "/a"), of(one, "/b"), of("", "/a"), of("chosen", "/a"), of("", "chosen/a")];
        let ids: std::collections::BTreeSet<u128> = all.iter().map(|(_, id)| *id).collect();
        assert_eq!(ids.len(), all.len());
        // The high half tells what was asked, whenever it was.
        let later = ident(one.as_bytes(), "/a", &[7; 32], None);
        assert_eq!((later.0, later.1 >> 64), (all[0].0, all[0].1 >> 64));
        assert_eq!((later.1, all[2].0), (later.1 >> 64 << 64, 0));
    }
}
