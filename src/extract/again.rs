//! Audit events that say what an earlier one said, but for when, of which object and as which request.
//!
//! Nearly all events do: a caller makes few kinds of requests. Of such an event only the members that
//! decide are looked at; what the earlier one said, which a parser has read, is said again. Every event
//! that may say more than who asked for what (impersonation, reviews, minted tokens, changes of grants)
//! is none of these.

use std::rc::Rc;

use super::audit::{Asked, Read, sees_name};
use super::memo::{Key, Memory};
use super::{id_from_parts, low_half, product_of};
use crate::decode::audit::Glance;
use crate::decode::lenient::Raw;
use crate::model::fact::{Fact, FactBody};
use crate::model::secret_names;
use crate::model::time::Micros;

/// What an event said.
#[derive(Debug, Clone)]
pub(super) struct Said {
    pub(super) body: Rc<FactBody>,
    /// Of the caller, for the request's identity.
    pub(super) who: [u8; 32],
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

/// Hands on the fact of an event of which the like was met; `None` for any other.
pub(super) fn extract(
    bytes: &[u8],
    asked: &Asked<'_>,
    memory: &mut Memory,
    take: &mut dyn FnMut(Fact<'_>),
) -> Option<Read> {
    let glance = Glance::find(bytes, &mut memory.members)?;
    let at = Micros::parse_loose(glance.received.as_str())?;
    let said = memory.events.get(&key(&glance, asked.cluster)?)?;
    if asked.window.contains(at) {
        let audit_id = glance.audit_id.as_str().as_bytes();
        let (verb, uri) = (glance.verb.as_str(), glance.request_uri.as_str());
        let (group, id) = ident(audit_id, [verb, uri], &said.who, Some(at));
        let object = &glance.object;
        let name = if sees_name(verb, object) { object.name.bounded() } else { "".into() };
        let name = if said.hides_name { secret_names::mark(&name).into() } else { name };
        let (rank, body) = (rank_of(glance.stage.as_str()), Rc::clone(&said.body));
        take(Fact { group, id, ordinal: 0, rank, at, name, body });
    }
    Some(Read { at, salvaged: false })
}

/// The path of a request, without its query.
pub(super) fn path_of(uri: &str) -> &str {
    uri.split('?').next().unwrap_or_default()
}

/// The Audit-ID's number and the event's: what was asked by whom in the high half, when in the low half,
/// 0 where the time is lost. `asked` is the verb and the URI.
pub(super) fn ident(
    audit_id: &[u8],
    asked: [&str; 2],
    who: &[u8; 32],
    at: Option<Micros>,
) -> (u64, u128) {
    let [verb, uri] = asked.map(str::as_bytes);
    let what = id_from_parts(&[audit_id, verb, uri, who]);
    let high = what & !u128::from(u64::MAX);
    // Of one request every time gives another number.
    let low = at.map_or(0, |at| {
        let spread = at.0.cast_unsigned().wrapping_mul(0x9e37_79b9_7f4a_7c15);
        low_half(what).wrapping_add(spread).max(1)
    });
    (number_of(audit_id), high | u128::from(low))
}

/// The number of an Audit-ID, 0 for none. Two get one number only where somebody makes them up, who could
/// as well use one twice.
fn number_of(audit_id: &[u8]) -> u64 {
    if audit_id.is_empty() {
        return 0;
    }
    let digit = |byte: &u8| char::from(*byte).to_digit(16).map(u64::from);
    let digits = audit_id.iter().filter(|byte| **byte != b'-');
    let is_uuid = audit_id.len() == 36
        && [8, 13, 18, 23].iter().all(|at| audit_id.get(*at) == Some(&b'-'))
        && digits.clone().count() == 32
        && digits.clone().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    if is_uuid {
        let number =
            digits.filter_map(digit).fold(0, |number: u64, digit| number.rotate_left(4) ^ digit);
        return number.max(1);
    }
    low_half(id_from_parts(&[audit_id])).max(1)
}

/// Of the stages of one event the last wins.
pub(super) fn rank_of(stage: &str) -> u8 {
    match stage {
        "RequestReceived" => 4,
        "ResponseStarted" => 3,
        "Panic" => 2,
        _ => 1,
    }
}
