//! Rows of `sessions`, `session_keys`, `session_tags`, `authentications`, `aws_access`,
//! `group_sets`.

use super::{Inputs, write_sorted};
use crate::join::sessions::texts::Text;
use crate::join::sessions::{Session, Sessions};
use crate::model::arn::unique_id_from_principal_id;
use crate::model::fact::{AwsCaller, IssuedBy};
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
    by_id.sort_by_cached_key(|&idx| id_of(idx));
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
    let parent = session.parent.and_then(|parent| usize::try_from(parent).ok());
    let minted = session.issued_by == IssuedBy::TokenRequest;
    SessionRow {
        session_id: session.id(),
        kind: session.issued_by.as_str().to_owned(),
        role_arn: text(session.role_arn),
        role_id: if minted { String::new() } else { text(session.role_id) },
        session_name: text(session.session_name),
        how: call_name(session.issued_by).to_owned(),
        issued_at: session.issued_at,
        expires_at: session.expires_at,
        source_principal: text(session.source),
        source_identity: some(text(session.source_identity)),
        person: some(text(session.person)),
        tags: sessions.tags(session).map(|(k, v, _)| (k.to_owned(), v.to_owned())).collect(),
        transitive_keys: sessions.transitive_keys(session).map(str::to_owned).collect(),
        parent_session_id: parent.and_then(|idx| sessions.get(idx)).map(Session::id),
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

fn principal_id(caller: &AwsCaller) -> String {
    if caller.issuer_id.is_empty() {
        unique_id_from_principal_id(&caller.principal_id).to_owned()
    } else {
        caller.issuer_id.clone()
    }
}

/// The session of a call, in table form.
fn session_of<'a>(
    inputs: &Inputs<'a>,
    call: &crate::facts::fold::Hourly<crate::model::fact::AwsCallFact>,
) -> Option<&'a Session> {
    let sessions = &inputs.joined.sessions;
    let (found, _) = sessions.of_aws_caller(&call.body.caller, call.first);
    found.and_then(|idx| sessions.get(idx))
}

fn authentications(inputs: &Inputs<'_>) -> Result<(), PipelineError> {
    let rows = inputs.joined.authentications.iter().map(|call| AuthenticationRow {
        hour: call.hour.start(),
        account: call.body.account.clone(),
        principal_id: principal_id(&call.body.caller),
        session_id: session_of(inputs, call).map(Session::id).unwrap_or_default(),
        region: call.body.region.clone(),
        user_agent_family: call.body.user_agent_family.clone(),
        count: call.count,
        first_seen: call.first,
        last_seen: call.last,
    });
    let key = |row: &AuthenticationRow| {
        (
            (row.hour, row.account.clone(), row.region.clone()),
            (row.principal_id.clone(), row.session_id.clone(), row.user_agent_family.clone()),
        )
    };
    let mut rows: Vec<AuthenticationRow> = rows.collect();
    // Facts differ by key and region of the caller where rows do not.
    rows.sort_by_key(key);
    rows.dedup_by(|next, kept| {
        let same = key(next) == key(kept);
        if same {
            kept.count += next.count;
            kept.first_seen = kept.first_seen.min(next.first_seen);
            kept.last_seen = kept.last_seen.max(next.last_seen);
        }
        same
    });
    write_sorted(inputs, rows, key)
}

fn aws_access(inputs: &Inputs<'_>) -> Result<(), PipelineError> {
    let relevant = inputs.world.principals.relevant_ids();
    let sessions = &inputs.joined.sessions;
    let mut rows = Vec::new();
    for call in &inputs.joined.calls {
        let caller = &call.body.caller;
        if !relevant.contains(&principal_id(caller)) {
            continue;
        }
        let session = session_of(inputs, call);
        let role_arn = if caller.issuer_arn.is_empty() { &caller.arn } else { &caller.issuer_arn };
        rows.push(AwsAccessRow {
            hour: call.hour.start(),
            account: call.body.account.clone(),
            region: call.body.region.clone(),
            role_arn: role_arn.clone(),
            session_id: session.map(Session::id).unwrap_or_default(),
            pod_namespace: session
                .and_then(|s| sessions.tag(s, "kubernetes-namespace"))
                .map(str::to_owned),
            pod_service_account: session
                .and_then(|s| sessions.tag(s, "kubernetes-service-account"))
                .map(str::to_owned),
            event_source: call.body.event_source.clone(),
            event_name: call.body.event_name.clone(),
            error: call.body.error.clone(),
            data_event: call.body.data_event,
            count: call.count,
            first_seen: call.first,
            last_seen: call.last,
        });
    }
    write_sorted(inputs, rows, |row| {
        (
            (row.hour, row.account.clone(), row.role_arn.clone(), row.session_id.clone()),
            (row.event_source.clone(), row.event_name.clone(), row.error.clone()),
            (row.region.clone(), row.data_event, row.first_seen, row.last_seen, row.count),
        )
    })
}
