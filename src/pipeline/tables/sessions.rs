//! Rows of `sessions`, `session_keys`, `session_tags`, `authentications`, `aws_access`,
//! `group_sets`.

use super::{Inputs, write_sorted};
use crate::join::sessions::Session;
use crate::model::arn::unique_id_from_principal_id;
use crate::model::fact::{AwsCaller, IssuedBy};
use crate::pipeline::PipelineError;
use crate::pipeline::access::some;
use crate::table::rows::access::{AwsAccessRow, GroupSetRow};
use crate::table::rows::sessions::{AuthenticationRow, SessionKeyRow, SessionRow, SessionTagRow};

pub(super) fn write(inputs: &Inputs<'_>) -> Result<(), PipelineError> {
    let sessions = &inputs.joined.sessions;
    let id_of = |idx: usize| sessions.all.get(idx).map(|s| s.id.clone()).unwrap_or_default();
    let rows = sessions.all.iter().map(|session| session_row(session, session.parent.map(id_of)));
    write_sorted(inputs, rows.collect(), |row| (row.issued_at, row.session_id.clone()))?;
    let keys = sessions.session_keys().into_iter().map(|key| SessionKeyRow {
        session_id: id_of(key.session),
        access_key_id: key.access_key_id,
        first_seen: key.first_seen,
        last_seen: key.last_seen,
    });
    write_sorted(inputs, keys.collect(), |row| {
        (row.session_id.clone(), row.access_key_id.clone())
    })?;
    let tags = sessions.all.iter().flat_map(|session| {
        session.tags.iter().map(|(key, value, inherited)| SessionTagRow {
            session_id: session.id.clone(),
            tag_key: key.clone(),
            tag_value: value.clone(),
            inherited: *inherited,
        })
    });
    write_sorted(inputs, tags.collect(), |row| (row.session_id.clone(), row.tag_key.clone()))?;
    authentications(inputs)?;
    aws_access(inputs)?;
    let sets = inputs.joined.group_sets.iter().map(|(digest, groups)| GroupSetRow {
        groups_digest: digest.clone(),
        groups: groups.clone(),
    });
    write_sorted(inputs, sets.collect(), |row| row.groups_digest.clone())
}

fn session_row(session: &Session, parent: Option<String>) -> SessionRow {
    let fact = &session.fact;
    let source = [&fact.source.arn, &fact.source.user_name, &fact.source.invoked_by]
        .into_iter()
        .find(|text| !text.is_empty());
    SessionRow {
        session_id: session.id.clone(),
        kind: fact.issued_by.as_str().to_owned(),
        role_arn: fact.role_arn.clone(),
        role_id: fact.role_id.clone(),
        session_name: fact.session_name.clone(),
        how: call_name(fact.issued_by).to_owned(),
        issued_at: session.issued_at,
        expires_at: fact.expires_at,
        source_principal: source.cloned().unwrap_or_default(),
        source_identity: some(fact.source_identity.clone())
            .or_else(|| some(fact.source.source_identity.clone())),
        tags: session.tags.iter().map(|(k, v, _)| (k.clone(), v.clone())).collect(),
        transitive_keys: session.transitive_keys.clone(),
        parent_session_id: parent,
        minted_by: None,
        web_identity_subject: some(fact.subject.clone()),
        pod_namespace: session.tag("kubernetes-namespace").map(str::to_owned),
        pod_service_account: session.tag("kubernetes-service-account").map(str::to_owned),
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
    found.and_then(|idx| sessions.all.get(idx))
}

fn authentications(inputs: &Inputs<'_>) -> Result<(), PipelineError> {
    let rows = inputs.joined.authentications.iter().map(|call| AuthenticationRow {
        hour: call.hour.start(),
        account: call.body.account.clone(),
        principal_id: principal_id(&call.body.caller),
        session_id: session_of(inputs, call).map(|s| s.id.clone()).unwrap_or_default(),
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
            session_id: session.map(|s| s.id.clone()).unwrap_or_default(),
            pod_namespace: session.and_then(|s| s.tag("kubernetes-namespace")).map(str::to_owned),
            pod_service_account: session
                .and_then(|s| s.tag("kubernetes-service-account"))
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
