//! A CloudTrail record to its facts: one of who called what, one more where a grant changed.
//!
//! Relevant are the services that issue or redeem credentials and EKS itself, and every call of a
//! principal that some grant is about. All other records count as delivered and are filtered.
//! Source: <https://docs.aws.amazon.com/IAM/latest/UserGuide/cloudtrail-integration.html>.

use std::borrow::Cow;
use std::rc::Rc;
use std::sync::Arc;

use chrono::NaiveDateTime;

use super::identity::of_record;
use super::memo::{Key, Memory, Number};
use super::{Context, changes, product_of, user_agent_family};
use crate::decode::cloudtrail::{
    AssumeRoleAnswer, AssumeRoleRequest, AssumedRoleUser, Credentials, FederatedUser, Record, Tag,
    caller_of,
};
use crate::decode::find::Members;
use crate::decode::lenient::{Raw, Text, Unread, part, strings};
use crate::model::arn::{
    PrincipalName, is_pod_identity_service, percent_decoded, unique_id_from_principal_id,
};
use crate::model::fact::{AwsCallFact, AwsCaller, Fact, FactBody, IssuedBy, SessionFact};
use crate::model::outcome::Kept;
use crate::model::tally::{Filter, Reason};
use crate::model::time::Micros;

const RANK_ADDENDUM: u8 = 0;
const RANK_WHOLE: u8 = 1;

/// What a record came to.
#[derive(Debug)]
pub(super) struct Outcome {
    /// What it proves to have been delivered.
    pub(super) delivered: Option<Delivery>,
    /// Why there is no fact, if there is none.
    pub(super) left: Option<Left>,
    /// When it happened, where that reads.
    pub(super) at: Option<Micros>,
    /// What it counts as where there is a fact.
    pub(super) kept: Kept,
}

/// A management event of a trail.
#[derive(Debug)]
pub(super) struct Delivery {
    /// Account and region, as the record says; empty where the object's key says it.
    pub(super) place: (String, String),
    pub(super) at: Micros,
    /// True when it shows a session being issued or redeemed.
    pub(super) issues: bool,
}

/// Why a record yields no fact.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Left {
    /// On purpose.
    Filtered(Filter),
    /// It should have.
    Rejected(Reason),
}

/// Reads one record and hands on its facts; `place` is what the object's key says of its trail.
pub(super) fn extract(
    bytes: &[u8],
    knows: (&Context, &mut Memory),
    place: Option<(&str, &str)>,
    take: &mut dyn FnMut(Fact<'_>),
) -> Result<Outcome, Unread> {
    let (context, memory) = knows;
    Record::read(bytes, |record| read(record, bytes, (context, memory), place, take))
}

/// The same for a record that is read.
pub(super) fn read(
    record: &Record<'_>,
    bytes: &[u8],
    knows: (&Context, &mut Memory),
    place: Option<(&str, &str)>,
    take: &mut dyn FnMut(Fact<'_>),
) -> Outcome {
    let Some(at) = Micros::parse(record.event_time.as_str()) else {
        let why = if record.event_time.as_str().is_empty() {
            Reason::MissingField
        } else {
            Reason::BadTime
        };
        let left = Some(Left::Rejected(why));
        return Outcome { delivered: None, left, at: None, kept: Kept::Call };
    };
    let (service, name) = (service_of(record.event_source.as_str()), record.event_name.as_str());
    let issued = issued_by(service, name);
    let left = facts(record, bytes, at, issued, knows, take).err().map(Left::Filtered);
    // Data, insight and network events come from selectors of their own: they prove nothing of
    // the management events that sessions are.
    let is_management = is_management(record.event_category.as_str().as_bytes());
    let redeems = service == "sts" && name == "GetCallerIdentity";
    let issues = issued.is_some() || redeems;
    // The key says it for sure, the record says it where the key does not.
    let delivered = is_management.then(|| {
        let place = match place {
            Some(_) => (String::new(), String::new()),
            None => (record.recipient_account_id.to_owned(), record.aws_region.to_owned()),
        };
        Delivery { place, at, issues }
    });
    let kept = if issued.is_some() { Kept::Session } else { Kept::Call };
    Outcome { delivered, left, at: Some(at), kept }
}

/// True for an event of the category that a trail has without selectors; old ones do not say it.
pub(super) fn is_management(category: &[u8]) -> bool {
    matches!(category, b"" | b"Management")
}

/// Account and region of a trail's object, as its key says.
pub(super) fn place_of(key: &str) -> Option<(&str, &str)> {
    key.rsplit_once("AWSLogs/").and_then(|(_, rest)| {
        let mut parts = rest.split('/').filter(|part| !part.is_empty());
        let mut account = parts.next()?;
        if account.starts_with("o-") {
            account = parts.next()?;
        }
        let kind = parts.next()?;
        let region = parts.next()?;
        let is_account = account.len() == 12 && account.bytes().all(|b| b.is_ascii_digit());
        (is_account && kind.starts_with("CloudTrail")).then_some((account, region))
    })
}

fn facts(
    record: &Record<'_>,
    bytes: &[u8],
    at: Micros,
    issued_by: Option<IssuedBy>,
    (context, memory): (&Context, &mut Memory),
    take: &mut dyn FnMut(Fact<'_>),
) -> Result<(), Filter> {
    let service = service_of(record.event_source.as_str());
    let name = record.event_name.as_str();
    let may_change = service == "eks" && !name.starts_with("Describe") && !name.starts_with("List");
    // Others are remembered once they were found to be wanted.
    let says_more = issued_by.is_some() || may_change;
    let identity = record.user_identity.map_or("", Raw::get).as_bytes();
    // Who calls mostly called before, and often just so.
    let said = if let Some((number, caller)) = memory.callers.get(identity) {
        let key = (!says_more).then(|| deciding(number, record));
        let body = key.and_then(|key| memory.calls.get(&key)).cloned();
        body.ok_or_else(|| (*number, Arc::clone(caller)))
    } else {
        let caller = Arc::new(caller_of(record.user_identity));
        Err((memory.callers.put(identity, Arc::clone(&caller)), caller))
    };
    if let Err((_, caller)) = &said
        && !is_wanted(record.event_source.as_str(), caller, context)
    {
        return Err(Filter::NotRelevant);
    }
    if !context.window.contains(at) {
        return Err(Filter::OutsideWindow);
    }
    let id = of_record(record.event_id.as_str(), record.recipient_account_id.as_str(), bytes);
    let rank = if record.addendum.is_some() { RANK_ADDENDUM } else { RANK_WHOLE };
    let mut ordinal = 0;
    let mut push = |body| {
        take(Fact { group: 0, id, ordinal, rank, at, name: Cow::Borrowed(""), body });
        ordinal += 1;
    };
    let (number, caller) = match said {
        Ok(body) => {
            push(body);
            return Ok(());
        }
        Err(caller) => caller,
    };
    if let Some(how) = issued_by {
        let session = session(record, how, caller, &mut memory.members[0]);
        push(Rc::new(FactBody::Session(Box::new(session))));
        return Ok(());
    }
    let account = account_of(record, &caller);
    let change = may_change.then(|| changes::of_call(record, &caller, &account)).flatten();
    let call = Box::new(AwsCallFact {
        account,
        region: record.aws_region.to_owned(),
        caller,
        event_source: record.event_source.to_owned(),
        event_name: record.event_name.to_owned(),
        error: record.error_code.to_owned(),
        data_event: record.event_category.as_str() == "Data",
        user_agent_family: user_agent_family(record.user_agent.as_str()),
    });
    let body = if service == "sts" && name == "GetCallerIdentity" {
        FactBody::Authentication(call)
    } else {
        FactBody::AwsCall(call)
    };
    let body = Rc::new(body);
    if !says_more {
        memory.calls.put(&deciding(&number, record), Rc::clone(&body));
    }
    push(body);
    if let Some(change) = change {
        push(Rc::new(FactBody::Change(Box::new(change))));
    }
    Ok(())
}

/// The parts that decide what a call says that issues nothing and changes no grant.
fn deciding<'a>(caller: &'a Number, record: &'a Record<'_>) -> Key<'a, 8> {
    [
        caller,
        record.event_source.as_str().as_bytes(),
        record.event_name.as_str().as_bytes(),
        record.aws_region.as_str().as_bytes(),
        record.error_code.as_str().as_bytes(),
        record.event_category.as_str().as_bytes(),
        product_of(record.user_agent.as_str().as_bytes()),
        record.recipient_account_id.as_str().as_bytes(),
    ]
}

fn service_of(event_source: &str) -> &str {
    event_source.split('.').next().unwrap_or_default()
}

/// True when a call is of a service that issues or redeems credentials, of EKS, or by a principal
/// that some grant is about.
pub(super) fn is_wanted(event_source: &str, caller: &AwsCaller, context: &Context) -> bool {
    is_wanted_service(event_source) || is_relevant(caller, context)
}

/// True for services whose every call counts.
pub(super) fn is_wanted_service(event_source: &str) -> bool {
    matches!(service_of(event_source), "sts" | "eks" | "eks-auth" | "rolesanywhere")
}

/// True when the call was made by a principal that a grant is about: by id, else by name.
fn is_relevant(caller: &AwsCaller, context: &Context) -> bool {
    let id = if caller.issuer_id.is_empty() {
        unique_id_from_principal_id(&caller.principal_id)
    } else {
        &caller.issuer_id
    };
    if context.relevant_ids.contains(id) {
        return true;
    }
    [&caller.issuer_arn, &caller.arn].into_iter().any(|arn| {
        PrincipalName::from_arn(arn)
            .is_some_and(|name| context.relevant_names.contains(&name.folded()))
    })
}

fn account_of(record: &Record<'_>, caller: &AwsCaller) -> String {
    if record.recipient_account_id.as_str().is_empty() {
        caller.account.clone()
    } else {
        record.recipient_account_id.to_owned()
    }
}

fn issued_by(service: &str, event_name: &str) -> Option<IssuedBy> {
    Some(match (service, event_name) {
        ("sts", "AssumeRole") => IssuedBy::AssumeRole,
        ("sts", "AssumeRoleWithSAML") => IssuedBy::Saml,
        ("sts", "AssumeRoleWithWebIdentity") => IssuedBy::WebIdentity,
        ("sts", "AssumeRoot") => IssuedBy::AssumeRoot,
        ("sts", "GetSessionToken") => IssuedBy::SessionToken,
        ("sts", "GetFederationToken") => IssuedBy::FederationToken,
        ("rolesanywhere", "CreateSession") => IssuedBy::RolesAnywhere,
        _ => return None,
    })
}

fn session(
    record: &Record<'_>,
    how: IssuedBy,
    source: Arc<AwsCaller>,
    members: &mut Members,
) -> SessionFact {
    let request = AssumeRoleRequest::of(record.request_parameters, members);
    let mut answer = AssumeRoleAnswer::of(record.response_elements, members);
    if how == IssuedBy::RolesAnywhere {
        // One element, shaped like the answer of AssumeRole.
        let set: Vec<AssumeRoleAnswer<'_>> = part(answer.credential_set);
        answer = set.into_iter().next().unwrap_or_default();
    }
    let credentials = Credentials::of(answer.credentials, members);
    let assumed: AssumedRoleUser<'_> = part(answer.assumed_role_user);
    let federated: FederatedUser<'_> = part(answer.federated_user);
    let by_pod = [source.invoked_by.as_str(), record.source_ip_address.as_str()]
        .into_iter()
        .any(is_pod_identity_service);
    let issued_by = if how == IssuedBy::AssumeRole && by_pod { IssuedBy::PodIdentity } else { how };
    let (assumed_id, named) = assumed.assumed_role_id.as_str().split_once(':').unwrap_or_default();
    let first = |texts: [&str; 3]| {
        texts.into_iter().find(|text| !text.is_empty()).unwrap_or_default().to_owned()
    };
    // What later calls show in place of a role's id.
    let role_id = match how {
        IssuedBy::SessionToken => unique_id_from_principal_id(&source.principal_id).to_owned(),
        IssuedBy::FederationToken => federated.federated_user_id.to_owned(),
        _ => assumed_id.to_owned(),
    };
    let role_arn = percent_decoded(&first([
        request.role_arn.as_str(),
        answer.role_arn.as_str(),
        federated.arn.as_str(),
    ]));
    let mut tags = tags(&request);
    tags.sort();
    tags.dedup_by(|next, kept| next.0 == kept.0);
    let mut transitive_keys = strings(request.transitive_tag_keys);
    transitive_keys.sort();
    transitive_keys.dedup();
    SessionFact {
        account: account_of(record, &source),
        region: record.aws_region.to_owned(),
        issued_by,
        role_arn,
        role_id,
        session_name: first([request.role_session_name.as_str(), named, request.name.as_str()]),
        access_key_id: credentials.access_key_id.to_owned(),
        expires_at: expiry(credentials.expiration.as_str()),
        source_identity: first([
            request.source_identity.as_str(),
            answer.source_identity.as_str(),
            "",
        ]),
        tags,
        transitive_keys,
        provider: first([answer.provider.as_str(), request.principal_arn.as_str(), ""]),
        subject: first([
            answer.subject_from_web_identity_token.as_str(),
            answer.subject.as_str(),
            if matches!(how, IssuedBy::WebIdentity | IssuedBy::Saml) {
                &source.user_name
            } else {
                ""
            },
        ]),
        shared_event_id: record.shared_event_id.to_owned(),
        error: record.error_code.to_owned(),
        source,
    }
}

fn tags(request: &AssumeRoleRequest<'_>) -> Vec<(String, String)> {
    let listed: Vec<Tag<'_>> = part(request.tags);
    let mapped: std::collections::BTreeMap<String, Text<'_>> = part(request.principal_tags);
    let listed = listed.iter().map(|tag| (tag.key.to_owned(), tag.value.to_owned()));
    let mapped = mapped.iter().map(|(key, value)| (key.clone(), value.to_owned()));
    listed.chain(mapped).filter(|(key, _)| !key.is_empty()).collect()
}

/// `Apr 16, 2024, 3:20:04 PM` (UTC), or RFC 3339, or epoch seconds.
fn expiry(text: &str) -> Option<Micros> {
    // Newer runtimes put a narrow no-break space before AM and PM.
    let plain = if text.is_ascii() {
        Cow::Borrowed(text)
    } else {
        Cow::Owned(text.replace('\u{202f}', " "))
    };
    if let Ok(at) = NaiveDateTime::parse_from_str(&plain, "%b %e, %Y, %I:%M:%S %p") {
        return Some(Micros(at.and_utc().timestamp_micros()));
    }
    if let Some(at) = Micros::parse(text) {
        return Some(at);
    }
    let seconds: i64 = text.split('.').next()?.parse().ok()?;
    seconds.checked_mul(1_000_000).map(Micros)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expiry_reads_what_cloudtrail_writes() {
        let check = |text: &str, expected: Option<&str>| {
            assert_eq!(expiry(text).map(Micros::to_rfc3339).as_deref(), expected, "{text}");
        };
        check("Apr 16, 2024, 3:20:04 PM", Some("2024-04-16T15:20:04Z"));
        check("Mar 3, 2016, 12:39:51 AM", Some("2016-03-03T00:39:51Z"));
        check("Apr 16, 2024, 3:20:04\u{202f}PM", Some("2024-04-16T15:20:04Z"));
        check("2024-04-16T15:20:04Z", Some("2024-04-16T15:20:04Z"));
        check("1713280804", Some("2024-04-16T15:20:04Z"));
        check("HIDDEN", None);
        check("", None);
    }
}
