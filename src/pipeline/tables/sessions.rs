//! Rows of `sessions`, `session_keys`, `session_tags`, `authentications`, `aws_access`,
//! `group_sets`.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Inputs, write_sorted};
use crate::facts::fold::Hourly;
use crate::facts::ordered::{Key, Ordered, ROW_BUFFER};
use crate::join::sessions::texts::Text;
use crate::join::sessions::{Session, Sessions};
use crate::model::arn::unique_id_from_principal_id;
use crate::model::fact::{AwsCallFact, AwsCaller, IssuedBy};
use crate::pipeline::access::some;
use crate::pipeline::{PipelineError, finish};
use crate::table::rows::access::{AwsAccessRow, GroupSetRow};
use crate::table::rows::sessions::{AuthenticationRow, SessionKeyRow, SessionRow, SessionTagRow};

pub(super) fn write(inputs: &Inputs<'_>) -> Result<(), PipelineError> {
    let sessions = &inputs.joined.sessions;
    let id_of = |idx: usize| sessions.get(idx).map(Session::id).unwrap_or_default();
    // Sessions are in the order of their table already, and there may be millions of them.
    inputs.out.write_table(sessions.all.iter().map(|session| session_row(sessions, session)))?;
    let mut by_id: Vec<usize> = (0..sessions.all.len()).collect();
    by_id.sort_by_key(|&idx| sessions.get(idx).map(Session::number));
    let mut keys = inputs.out.table_writer::<SessionKeyRow>()?;
    let mut tags = inputs.out.table_writer::<SessionTagRow>()?;
    for idx in by_id {
        for key in sessions.keys_of(idx) {
            keys.push(SessionKeyRow {
                session_id: id_of(idx),
                access_key_id: key.access_key_id,
                first_seen: key.first_seen,
                last_seen: key.last_seen,
            })?;
        }
        let Some(session) = sessions.get(idx) else { continue };
        for (key, value, inherited) in sessions.tags(session) {
            tags.push(SessionTagRow {
                session_id: session.id(),
                tag_key: key.to_owned(),
                tag_value: value.to_owned(),
                inherited,
            })?;
        }
    }
    finish(keys)?;
    finish(tags)?;
    authentications(inputs)?;
    aws_access(inputs)?;
    let sets = inputs.joined.group_sets.iter().map(|(digest, groups)| GroupSetRow {
        groups_digest: digest.clone(),
        groups: groups.clone(),
    });
    write_sorted(inputs, sets.collect(), |row| row.groups_digest.clone())
}

fn session_row(sessions: &Sessions, session: &Session) -> SessionRow {
    let text = |text: Text| sessions.text(text).to_owned();
    let minted = session.issued_by == IssuedBy::TokenRequest;
    SessionRow {
        session_id: session.id(),
        kind: session.issued_by.as_str().to_owned(),
        role_arn: text(session.role_arn),
        role_id: if minted { String::new() } else { text(session.role_id) },
        session_name: text(session.session_name),
        how: call_name(session.issued_by).to_owned(),
        issued_at: session.issued_at,
        expires_at: session.expires_at(),
        source_principal: text(session.source),
        source_identity: some(text(session.source_identity)),
        person: some(text(session.person)),
        tags: sessions.tags(session).map(|(k, v, _)| (k.to_owned(), v.to_owned())).collect(),
        transitive_keys: sessions.transitive_keys(session).map(str::to_owned).collect(),
        parent_session_id: session.parent().and_then(|idx| sessions.get(idx)).map(Session::id),
        minted_by: minted.then(|| text(session.source)),
        web_identity_subject: some(text(session.subject)),
        pod_namespace: sessions.tag(session, "kubernetes-namespace").map(str::to_owned),
        pod_service_account: sessions.tag(session, "kubernetes-service-account").map(str::to_owned),
    }
}

fn call_name(issued_by: IssuedBy) -> &'static str {
    match issued_by {
        IssuedBy::AssumeRole | IssuedBy::PodIdentity => "AssumeRole",
        IssuedBy::Saml => "AssumeRoleWithSAML",
        IssuedBy::WebIdentity => "AssumeRoleWithWebIdentity",
        IssuedBy::SessionToken => "GetSessionToken",
        IssuedBy::FederationToken => "GetFederationToken",
        IssuedBy::AssumeRoot => "AssumeRoot",
        IssuedBy::RolesAnywhere => "CreateSession",
        IssuedBy::TokenRequest => "TokenRequest",
    }
}

fn principal_id(caller: &AwsCaller) -> &str {
    if caller.issuer_id.is_empty() {
        unique_id_from_principal_id(&caller.principal_id)
    } else {
        &caller.issuer_id
    }
}

/// The session of a call, in table form.
fn session_of<'a>(inputs: &Inputs<'a>, call: &Hourly<AwsCallFact>) -> Option<&'a Session> {
    let sessions = &inputs.joined.sessions;
    let (found, _) = sessions.of_aws_caller(&call.body.caller, call.first);
    found.and_then(|idx| sessions.get(idx))
}

/// Brings rows of calls into the order of their table without holding them: facts are in order of day and
/// account, the tables of hour and account. `row` writes the key of a row, and makes none of a call that
/// is not to be shown.
fn in_order<R: Serialize + DeserializeOwned>(
    inputs: &Inputs<'_>,
    redemptions: bool,
    row: impl Fn(Hourly<AwsCallFact>, &mut Key<'_>) -> Option<R>,
    each: impl FnMut(R) -> Result<(), PipelineError>,
) -> Result<(), PipelineError> {
    let mut ordered = Ordered::new(inputs.spill, ROW_BUFFER);
    let mut key = Vec::new();
    inputs.facts.each_call(redemptions, |call| {
        key.clear();
        if let Some(row) = row(call, &mut Key(&mut key)) {
            ordered.put(&key, &row)?;
        }
        Ok(())
    })?;
    ordered.values(each)
}

fn authentications(inputs: &Inputs<'_>) -> Result<(), PipelineError> {
    let mut writer = inputs.out.table_writer::<AuthenticationRow>()?;
    let mut open: Option<AuthenticationRow> = None;
    in_order(
        inputs,
        true,
        |call, key| {
            let row = AuthenticationRow {
                hour: call.hour.start(),
                session_id: session_of(inputs, &call).map(Session::id).unwrap_or_default(),
                principal_id: principal_id(&call.body.caller).to_owned(),
                account: call.body.account,
                region: call.body.region,
                user_agent_family: call.body.user_agent_family,
                count: call.count,
                first_seen: call.first,
                last_seen: call.last,
            };
            key.number(row.hour.0)
                .text(&row.account)
                .text(&row.region)
                .text(&row.principal_id)
                .text(&row.session_id)
                .text(&row.user_agent_family);
            Some(row)
        },
        |row| {
            match &mut open {
                // Facts differ by key and region of the caller where rows do not.
                Some(kept) if is_same(kept, &row) => {
                    kept.count += row.count;
                    kept.first_seen = kept.first_seen.min(row.first_seen);
                    kept.last_seen = kept.last_seen.max(row.last_seen);
                }
                open => {
                    if let Some(done) = open.replace(row) {
                        writer.push(done)?;
                    }
                }
            }
            Ok(())
        },
    )?;
    if let Some(done) = open {
        writer.push(done)?;
    }
    finish(writer)
}

fn is_same(a: &AuthenticationRow, b: &AuthenticationRow) -> bool {
    (a.hour, &a.account, &a.region) == (b.hour, &b.account, &b.region)
        && (&a.principal_id, &a.session_id) == (&b.principal_id, &b.session_id)
        && a.user_agent_family == b.user_agent_family
}

fn role_arn(caller: &AwsCaller) -> &str {
    if caller.issuer_arn.is_empty() { &caller.arn } else { &caller.issuer_arn }
}

fn aws_access(inputs: &Inputs<'_>) -> Result<(), PipelineError> {
    let relevant = inputs.world.principals.relevant_ids();
    let sessions = &inputs.joined.sessions;
    let mut writer = inputs.out.table_writer::<AwsAccessRow>()?;
    in_order(
        inputs,
        false,
        |call, key| {
            if !relevant.contains(principal_id(&call.body.caller)) {
                return None;
            }
            let session = session_of(inputs, &call);
            let tag = |key| session.and_then(|s| sessions.tag(s, key)).map(str::to_owned);
            let fact = call.body;
            let row = AwsAccessRow {
                hour: call.hour.start(),
                role_arn: role_arn(&fact.caller).to_owned(),
                account: fact.account,
                region: fact.region,
                session_id: session.map(Session::id).unwrap_or_default(),
                pod_namespace: tag("kubernetes-namespace"),
                pod_service_account: tag("kubernetes-service-account"),
                event_source: fact.event_source,
                event_name: fact.event_name,
                error: fact.error,
                data_event: fact.data_event,
                count: call.count,
                first_seen: call.first,
                last_seen: call.last,
            };
            key.number(row.hour.0)
                .text(&row.account)
                .text(&row.role_arn)
                .text(&row.session_id)
                .text(&row.event_source)
                .text(&row.event_name)
                .text(&row.error)
                .text(&row.region)
                .number(i64::from(row.data_event))
                .number(row.first_seen.0)
                .number(row.last_seen.0)
                .number(row.count);
            Some(row)
        },
        |row| Ok(writer.push(row)?),
    )?;
    finish(writer)
}
