//! What made, changed or took away a grant: EKS calls in CloudTrail, writes to RBAC and aws-auth in
//! the audit log.
//!
//! A failed call changes nothing and yields nothing. What an answer says wins over what was asked:
//! path parameters come percent-encoded, answers plain.
//! Source: <https://docs.aws.amazon.com/eks/latest/userguide/logging-using-cloudtrail.html>.

use crate::decode::audit::{
    Annotated, AwsAuthData, Event, Named, ObjectRef, RbacBody, ResponseStatus,
};
use crate::decode::aws_auth;
use crate::decode::cloudtrail::{AccessScope, EksAnswer, EksDetail, EksRequest, Record};
use crate::decode::lenient::{MAX_LIST, Part, Text, part, strings};
use crate::model::arn::{partition_of_region, percent_decoded};
use crate::model::digest;
use crate::model::fact::{AwsCaller, ChangeFact, ChangeKind};

/// The change that an EKS call of `account` made.
pub(super) fn of_call(
    record: &Record<'_>,
    caller: &AwsCaller,
    account: &str,
) -> Option<ChangeFact> {
    if !record.error_code.as_str().is_empty() {
        return None;
    }
    let asked: EksRequest<'_> = part(record.request_parameters);
    let answer: EksAnswer<'_> = part(record.response_elements);
    let entry: EksRequest<'_> = part(answer.access_entry);
    let association: EksRequest<'_> = part(answer.association);
    let detail = |raw: Part<'_>, of: fn(&EksDetail<'_>) -> String| of(&part(raw));
    let subject = match (entry.principal_arn.as_str(), answer.principal_arn.as_str()) {
        ("", "") => percent_decoded(asked.principal_arn.as_str()),
        ("", arn) | (arn, _) => arn.to_owned(),
    };
    let of_entry = |kind| ChangeFact {
        kind,
        subject: subject.clone(),
        names: names([entry.kubernetes_groups, asked.kubernetes_groups]),
        replaces: entry.kubernetes_groups.or(asked.kubernetes_groups).is_some(),
        username: first(&[&entry.username, &asked.username]),
        entry_type: first(&[&entry.entry_type, &asked.entry_type]),
        ..ChangeFact::default()
    };
    let of_policy = |kind| {
        let given: EksRequest<'_> = part(answer.associated_access_policy);
        let scope: AccessScope<'_> = part(given.access_scope.or(asked.access_scope));
        ChangeFact {
            kind,
            subject: subject.clone(),
            reference: percent_decoded(&first(&[&given.policy_arn, &asked.policy_arn])),
            namespaces: sorted(strings(scope.namespaces)),
            ..ChangeFact::default()
        }
    };
    let of_association = |kind| {
        let namespace = first(&[&association.namespace, &asked.namespace]);
        let account = first(&[&association.service_account, &asked.service_account]);
        ChangeFact {
            kind,
            subject: if account.is_empty() {
                String::new()
            } else {
                format!("{namespace}/{account}")
            },
            reference: percent_decoded(&first(&[&association.role_arn, &asked.role_arn])),
            association_id: first(&[&association.association_id, &asked.association_id]),
            // The role of a second hop is a grant of its own.
            names: Some(percent_decoded(&first(&[
                &association.target_role_arn,
                &asked.target_role_arn,
            ])))
            .filter(|arn| !arn.is_empty())
            .into_iter()
            .collect(),
            ..ChangeFact::default()
        }
    };
    let mut change = match record.event_name.as_str() {
        "CreateAccessEntry" => of_entry(ChangeKind::EntryMade),
        "UpdateAccessEntry" => of_entry(ChangeKind::EntryChanged),
        "DeleteAccessEntry" => of_entry(ChangeKind::EntryDeleted),
        "AssociateAccessPolicy" => of_policy(ChangeKind::PolicyAttached),
        "DisassociateAccessPolicy" => of_policy(ChangeKind::PolicyDetached),
        "CreatePodIdentityAssociation" => of_association(ChangeKind::PodIdentityMade),
        "UpdatePodIdentityAssociation" => of_association(ChangeKind::PodIdentityChanged),
        "DeletePodIdentityAssociation" => of_association(ChangeKind::PodIdentityDeleted),
        "AssociateIdentityProviderConfig" => ChangeFact {
            kind: ChangeKind::ProviderAttached,
            subject: detail(asked.oidc, |oidc| oidc.identity_provider_config_name.to_owned()),
            ..ChangeFact::default()
        },
        "DisassociateIdentityProviderConfig" => ChangeFact {
            kind: ChangeKind::ProviderDetached,
            subject: detail(asked.identity_provider_config, |config| config.name.to_owned()),
            ..ChangeFact::default()
        },
        "UpdateClusterConfig" => ChangeFact {
            kind: ChangeKind::AuthModeChanged,
            reference: detail(asked.access_config, |c| c.authentication_mode.to_owned()),
            ..ChangeFact::default()
        },
        "CreateCluster" => ChangeFact {
            kind: ChangeKind::ClusterMade,
            reference: detail(asked.access_config, |c| c.authentication_mode.to_owned()),
            ..ChangeFact::default()
        },
        _ => return None,
    };
    if change.kind == ChangeKind::AuthModeChanged && change.reference.is_empty() {
        return None;
    }
    let name = percent_decoded(&first(&[&asked.name, &asked.cluster_name]));
    let region = record.aws_region.as_str();
    change.cluster =
        format!("arn:{}:eks:{region}:{account}:cluster/{name}", partition_of_region(region));
    change.actor = actor(caller);
    change.actor_access_key_id.clone_from(&caller.access_key_id);
    change.invoked_by.clone_from(&caller.invoked_by);
    (!name.is_empty()).then_some(change)
}

/// The change that an audited write made; cluster and actor are left to the caller.
pub(super) fn of_object(
    event: &Event<'_>,
    object: &ObjectRef<'_>,
    status: &ResponseStatus<'_>,
) -> Option<ChangeFact> {
    let kind = match event.verb.as_str() {
        "create" => ChangeKind::ObjectMade,
        // A server-side apply of what was not there makes it.
        "patch" if status.code.as_str() == "201" => ChangeKind::ObjectMade,
        "update" | "patch" => ChangeKind::ObjectChanged,
        "delete" => ChangeKind::ObjectDeleted,
        _ => return None,
    };
    // Bodies may be large; most are about something else.
    let may_grant = matches!(
        (object.api_group.as_str(), object.resource.as_str()),
        ("rbac.authorization.k8s.io", _) | ("", "configmaps" | "serviceaccounts")
    );
    if !may_grant || !object.subresource.as_str().is_empty() {
        return None;
    }
    let body: RbacBody<'_> = part(event.response_object);
    let sent: RbacBody<'_> = part(event.request_object);
    let metadata: Named<'_> = part(body.metadata);
    let (namespace, name) = (object.namespace.as_str(), first(&[&object.name, &metadata.name]));
    let subject = match (object.api_group.as_str(), object.resource.as_str()) {
        ("rbac.authorization.k8s.io", "clusterrolebindings") => {
            format!("ClusterRoleBinding/{name}")
        }
        ("rbac.authorization.k8s.io", "rolebindings") => format!("RoleBinding/{namespace}/{name}"),
        ("rbac.authorization.k8s.io", "clusterroles") => format!("ClusterRole/{name}"),
        ("rbac.authorization.k8s.io", "roles") => format!("Role/{namespace}/{name}"),
        ("", "configmaps") if namespace == "kube-system" && name == "aws-auth" => {
            "aws-auth".to_owned()
        }
        ("", "serviceaccounts") => format!("ServiceAccount/{namespace}/{name}"),
        _ => return None,
    };
    // What the server answered is the whole object; what was sent may be a patch.
    let role: Named<'_> = part(body.role_ref.or(sent.role_ref));
    let reference = match role.kind.as_str() {
        "" if object.resource.as_str() == "serviceaccounts" => {
            let annotated: Annotated<'_> = part(body.metadata.or(sent.metadata));
            annotated.role_arn()
        }
        // Of a role what it then allowed, as a digest: whether a write changed anything shows in it.
        "" => body.rules.or(sent.rules).map_or_else(String::new, |rules| {
            digest::hex(&digest::of_bytes(rules.get().as_bytes()), 16)
        }),
        "Role" => format!("Role/{namespace}/{}", role.name.as_str()),
        kind => format!("{kind}/{}", role.name.as_str()),
    };
    let names = if subject == "aws-auth" {
        rows_of_aws_auth(body.data.or(sent.data))
    } else {
        subjects_of_binding(body.subjects.or(sent.subjects), namespace)
    };
    // A patch may speak of a part; a longer list than is kept may hide anybody.
    let answered = body.role_ref.is_some() || body.data.is_some();
    let whole = answered || (event.verb.as_str() != "patch" && sent.metadata.is_some());
    Some(ChangeFact {
        kind,
        subject,
        reference,
        replaces: whole && names.len() < MAX_LIST && kind != ChangeKind::ObjectDeleted,
        names,
        ..ChangeFact::default()
    })
}

fn subjects_of_binding(raw: Part<'_>, namespace: &str) -> Vec<String> {
    let subjects: Vec<Named<'_>> = part(raw);
    let names = subjects.iter().take(MAX_LIST).map(|subject| match subject.kind.as_str() {
        "ServiceAccount" => {
            let own = subject.namespace.as_str();
            let of = if own.is_empty() { namespace } else { own };
            format!("ServiceAccount:{of}/{}", subject.name.as_str())
        }
        kind => format!("{kind}:{}", subject.name.as_str()),
    });
    sorted(names.collect())
}

/// What the authenticator drops is dropped here too.
fn rows_of_aws_auth(raw: Part<'_>) -> Vec<String> {
    let data: AwsAuthData<'_> = part(raw);
    let mut lost = |_| {};
    let roles = aws_auth::rows(&data.map_roles, "rolearn", &mut lost);
    let users = aws_auth::rows(&data.map_users, "userarn", &mut lost);
    let rows = roles.iter().chain(&users).filter(|row| !row.overridden);
    let names =
        rows.flat_map(|row| row.groups.iter().map(|group| aws_auth::row_name(&row.arn, group)));
    sorted(names.take(MAX_LIST).collect())
}

/// Who called: the role with its path rather than one of its sessions.
fn actor(caller: &AwsCaller) -> String {
    let texts = [&caller.issuer_arn, &caller.arn, &caller.invoked_by, &caller.principal_id];
    texts.into_iter().find(|text| !text.is_empty()).cloned().unwrap_or_default()
}

fn first(texts: &[&Text<'_>]) -> String {
    texts
        .iter()
        .find(|text| !text.as_str().is_empty())
        .map_or_else(String::new, |text| Text::to_owned(text))
}

fn names(lists: [Part<'_>; 2]) -> Vec<String> {
    sorted(lists.into_iter().flatten().next().map(|raw| strings(Some(raw))).unwrap_or_default())
}

fn sorted(mut list: Vec<String>) -> Vec<String> {
    list.sort();
    list.dedup();
    list
}
