//! Facts to rows of Parquet and back, field by field; the round trip loses nothing.

use std::sync::Arc;

use super::fold::{Dated, Hourly, Issued, NamedAccess};
use crate::model::fact::{
    AccessFact, AwsCallFact, AwsCaller, ChangeFact, ChangeKind, Decision, IssuedBy, KubeUser,
    LoginFact, SessionFact, TokenState, Via,
};
use crate::model::permission::Permission;
use crate::table::facts::{
    AccessFactRow, CallFactRow, ChangeFactRow, LoginFactRow, SessionFactRow,
};

/// Makes `row` one of `access`; what it says of the body stays where that is the same.
pub(super) fn set_access(row: &mut AccessFactRow, access: &NamedAccess<'_>) {
    if !access.same_body {
        set_body(row, access.body);
    }
    row.hour = access.hour.start();
    access.name.clone_into(&mut row.name);
    row.name_capped = access.name_capped;
    row.count = access.sum.count;
    row.first_seen = access.sum.first;
    row.last_seen = access.sum.last;
}

fn set_body(row: &mut AccessFactRow, fact: &AccessFact) {
    let AccessFact { caller, subject, permission, .. } = fact;
    // All columns, so that none keeps what it was.
    let AccessFactRow {
        cluster,
        hour: _,
        via,
        verb,
        api_group,
        resource,
        subresource,
        namespace,
        name: _,
        path,
        decision,
        reason,
        status_class,
        user_agent_family,
        issued_credential_id,
        token,
        username,
        uid,
        groups,
        access_key_id,
        principal_id,
        session_name,
        arn,
        canonical_arn,
        credential_id,
        pod_name,
        subject_username,
        subject_uid,
        subject_groups,
        name_capped: _,
        count: _,
        first_seen: _,
        last_seen: _,
    } = row;
    *via = fact.via as i32;
    *decision = fact.decision as i32;
    *status_class = i32::from(fact.status_class);
    *token = fact.token as i32;
    for (to, from) in [
        (cluster, &fact.cluster),
        (verb, &permission.verb),
        (api_group, &permission.api_group),
        (resource, &permission.resource),
        (subresource, &permission.subresource),
        (namespace, &permission.namespace),
        (path, &permission.path),
        (reason, &fact.reason),
        (user_agent_family, &fact.user_agent_family),
        (issued_credential_id, &fact.issued_credential_id),
        (username, &caller.username),
        (uid, &caller.uid),
        (access_key_id, &caller.access_key_id),
        (principal_id, &caller.principal_id),
        (session_name, &caller.session_name),
        (arn, &caller.arn),
        (canonical_arn, &caller.canonical_arn),
        (credential_id, &caller.credential_id),
        (pod_name, &caller.pod_name),
        (subject_username, &subject.username),
        (subject_uid, &subject.uid),
    ] {
        to.clone_from(from);
    }
    groups.clone_from(&caller.groups);
    subject_groups.clone_from(&subject.groups);
}

pub(super) fn access(row: AccessFactRow) -> Hourly<AccessFact> {
    let via = match row.via {
        1 => Via::Impersonated,
        2 => Via::Delegated,
        _ => Via::Direct,
    };
    let caller = KubeUser {
        username: row.username,
        uid: row.uid,
        groups: row.groups,
        access_key_id: row.access_key_id,
        principal_id: row.principal_id,
        session_name: row.session_name,
        arn: row.arn,
        canonical_arn: row.canonical_arn,
        credential_id: row.credential_id,
        pod_name: row.pod_name,
    };
    let subject = if via == Via::Direct {
        caller.clone()
    } else {
        KubeUser {
            username: row.subject_username,
            uid: row.subject_uid,
            groups: row.subject_groups,
            ..KubeUser::default()
        }
    };
    let body = AccessFact {
        cluster: row.cluster,
        via,
        permission: Permission {
            verb: row.verb,
            api_group: row.api_group,
            resource: row.resource,
            subresource: row.subresource,
            namespace: row.namespace,
            name: row.name,
            path: row.path,
        },
        decision: match row.decision {
            0 => Decision::Allow,
            1 => Decision::Forbid,
            _ => Decision::Unknown,
        },
        reason: row.reason,
        status_class: u8::try_from(row.status_class).unwrap_or(0),
        user_agent_family: row.user_agent_family,
        issued_credential_id: row.issued_credential_id,
        token: match row.token {
            1 => TokenState::Stale,
            2 => TokenState::Legacy,
            _ => TokenState::Unremarked,
        },
        caller,
        subject,
    };
    Hourly {
        hour: row.hour.hour(),
        body,
        count: row.count,
        first: row.first_seen,
        last: row.last_seen,
    }
}

pub(super) fn call_row(call: Hourly<AwsCallFact>, is_authentication: bool) -> CallFactRow {
    let caller = Arc::unwrap_or_clone(call.body.caller);
    CallFactRow {
        account: call.body.account,
        hour: call.hour.start(),
        is_authentication,
        event_source: call.body.event_source,
        event_name: call.body.event_name,
        region: call.body.region,
        error: call.body.error,
        data_event: call.body.data_event,
        user_agent_family: call.body.user_agent_family,
        caller_kind: caller.kind,
        principal_id: caller.principal_id,
        arn: caller.arn,
        caller_account: caller.account,
        access_key_id: caller.access_key_id,
        issuer_arn: caller.issuer_arn,
        issuer_id: caller.issuer_id,
        issuer_name: caller.issuer_name,
        created_at: caller.created_at,
        source_identity: caller.source_identity,
        invoked_by: caller.invoked_by,
        user_name: caller.user_name,
        on_behalf_of: caller.on_behalf_of,
        count: call.count,
        first_seen: call.first,
        last_seen: call.last,
    }
}

pub(super) fn call(row: CallFactRow) -> Hourly<AwsCallFact> {
    let caller = Arc::new(AwsCaller {
        kind: row.caller_kind,
        principal_id: row.principal_id,
        arn: row.arn,
        account: row.caller_account,
        access_key_id: row.access_key_id,
        issuer_arn: row.issuer_arn,
        issuer_id: row.issuer_id,
        issuer_name: row.issuer_name,
        created_at: row.created_at,
        source_identity: row.source_identity,
        invoked_by: row.invoked_by,
        user_name: row.user_name,
        on_behalf_of: row.on_behalf_of,
    });
    let body = AwsCallFact {
        account: row.account,
        region: row.region,
        caller,
        event_source: row.event_source,
        event_name: row.event_name,
        error: row.error,
        data_event: row.data_event,
        user_agent_family: row.user_agent_family,
    };
    Hourly {
        hour: row.hour.hour(),
        body,
        count: row.count,
        first: row.first_seen,
        last: row.last_seen,
    }
}

pub(super) fn session_row(issued: Issued) -> SessionFactRow {
    let fact = issued.body;
    let caller = Arc::unwrap_or_clone(fact.source);
    SessionFactRow {
        account: fact.account,
        issued_at: issued.at,
        region: fact.region,
        issued_by: fact.issued_by.as_str().to_owned(),
        role_arn: fact.role_arn,
        role_id: fact.role_id,
        session_name: fact.session_name,
        access_key_id: fact.access_key_id,
        expires_at: fact.expires_at,
        source_identity: fact.source_identity,
        tags: fact.tags,
        transitive_keys: fact.transitive_keys,
        provider: fact.provider,
        subject: fact.subject,
        shared_event_id: fact.shared_event_id,
        error: fact.error,
        caller_kind: caller.kind,
        caller_principal_id: caller.principal_id,
        caller_arn: caller.arn,
        caller_account: caller.account,
        caller_access_key_id: caller.access_key_id,
        caller_issuer_arn: caller.issuer_arn,
        caller_issuer_id: caller.issuer_id,
        caller_issuer_name: caller.issuer_name,
        caller_created_at: caller.created_at,
        caller_source_identity: caller.source_identity,
        caller_invoked_by: caller.invoked_by,
        caller_user_name: caller.user_name,
        caller_on_behalf_of: caller.on_behalf_of,
    }
}

pub(super) fn issued(row: SessionFactRow) -> Issued {
    let source = Arc::new(AwsCaller {
        kind: row.caller_kind,
        principal_id: row.caller_principal_id,
        arn: row.caller_arn,
        account: row.caller_account,
        access_key_id: row.caller_access_key_id,
        issuer_arn: row.caller_issuer_arn,
        issuer_id: row.caller_issuer_id,
        issuer_name: row.caller_issuer_name,
        created_at: row.caller_created_at,
        source_identity: row.caller_source_identity,
        invoked_by: row.caller_invoked_by,
        user_name: row.caller_user_name,
        on_behalf_of: row.caller_on_behalf_of,
    });
    let body = SessionFact {
        account: row.account,
        region: row.region,
        issued_by: IssuedBy::parse(&row.issued_by),
        role_arn: row.role_arn,
        role_id: row.role_id,
        session_name: row.session_name,
        access_key_id: row.access_key_id,
        expires_at: row.expires_at,
        source,
        source_identity: row.source_identity,
        tags: row.tags,
        transitive_keys: row.transitive_keys,
        provider: row.provider,
        subject: row.subject,
        shared_event_id: row.shared_event_id,
        error: row.error,
    };
    Issued { at: row.issued_at, body }
}

pub(super) fn login_row(login: Hourly<LoginFact>) -> LoginFactRow {
    let fact = login.body;
    LoginFactRow {
        cluster: fact.cluster,
        hour: login.hour.start(),
        granted: fact.granted,
        arn: fact.arn,
        principal_id: fact.principal_id,
        username: fact.username,
        groups: fact.groups,
        refusal: fact.refusal,
        count: login.count,
        first_seen: login.first,
        last_seen: login.last,
    }
}

pub(super) fn login(row: LoginFactRow) -> Hourly<LoginFact> {
    let body = LoginFact {
        cluster: row.cluster,
        granted: row.granted,
        arn: row.arn,
        principal_id: row.principal_id,
        username: row.username,
        groups: row.groups,
        refusal: row.refusal,
    };
    let (first, last) = (row.first_seen, row.last_seen);
    Hourly { hour: row.hour.hour(), body, count: row.count, first, last }
}

pub(super) fn change_row(change: Dated<ChangeFact>) -> ChangeFactRow {
    let fact = change.body;
    ChangeFactRow {
        cluster: fact.cluster,
        at: change.at,
        change: fact.kind.as_str().to_owned(),
        subject: fact.subject,
        reference: fact.reference,
        association_id: fact.association_id,
        names: fact.names,
        replaces: fact.replaces,
        namespaces: fact.namespaces,
        username: fact.username,
        entry_type: fact.entry_type,
        actor: fact.actor,
        actor_access_key_id: fact.actor_access_key_id,
        invoked_by: fact.invoked_by,
    }
}

/// `None` for a kind that this version does not know.
pub(super) fn change(row: ChangeFactRow) -> Option<Dated<ChangeFact>> {
    let body = ChangeFact {
        cluster: row.cluster,
        kind: ChangeKind::parse(&row.change)?,
        subject: row.subject,
        reference: row.reference,
        association_id: row.association_id,
        names: row.names,
        replaces: row.replaces,
        namespaces: row.namespaces,
        username: row.username,
        entry_type: row.entry_type,
        actor: row.actor,
        actor_access_key_id: row.actor_access_key_id,
        invoked_by: row.invoked_by,
    };
    Some(Dated { at: row.at, body })
}
