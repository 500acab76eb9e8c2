//! Rows of `identities`, `grants`, `grant_members`, `grant_rules`.

use std::collections::{BTreeMap, BTreeSet};

use super::{Inputs, write_sorted};
use crate::analyse::scope::rules_of;
use crate::model::grant::{Grant, Holder, IdentityKind};
use crate::model::inventory::{RoleKind, Subject};
use crate::model::permission::Rule;
use crate::pipeline::PipelineError;
use crate::rbac::policies::Lookup;
use crate::rbac::sensitive::severity_of;
use crate::table::rows::grants::{GrantMemberRow, GrantRow, GrantRuleRow, IdentityRow};

/// Writes them; `observed` are the members that were seen.
pub(super) fn write(
    inputs: &Inputs<'_>,
    observed: Vec<GrantMemberRow>,
) -> Result<(), PipelineError> {
    identities(inputs)?;
    let mut rows = Vec::new();
    for cluster in &inputs.joined.clusters {
        for grant in cluster.grants {
            rows.push(GrantRow {
                grant_id: grant.id.clone(),
                cluster: grant.cluster.clone(),
                cluster_name: grant.cluster_name.clone(),
                grant_kind: grant.kind.as_str().to_owned(),
                identity_kind: grant.identity_kind.map(|kind| kind.as_str().to_owned()),
                subject_kind: subject_kind(grant).to_owned(),
                principal: grant.principal.clone(),
                principal_id: grant.principal_id.clone(),
                grant_ref: grant.grant_ref.clone(),
                role_ref: grant.role_ref.clone(),
                scope: grant.scope.to_owned(),
                namespaces: grant.namespaces.join(","),
                effective: grant.ineffective.is_none(),
                ineffective_reason: grant.ineffective.map(|why| why.as_str().to_owned()),
                power: rules_of(grant).map(|rules| severity_of(&rules).as_str().to_owned()),
                valid_from: grant.valid_from,
                valid_to: grant.valid_to,
                granted_by: grant.granted_by.clone(),
                managed_by_aws: grant.managed_by_aws,
                open_ended: grant.open_ended,
            });
        }
    }
    write_sorted(inputs, rows, |row| (row.cluster.clone(), row.grant_id.clone()))?;
    members(inputs, observed)?;
    rules(inputs)
}

fn subject_kind(grant: &Grant) -> &'static str {
    match (&grant.holder, grant.identity_kind) {
        (Holder::Subject(Subject::User(_)), _) => "user",
        (Holder::Subject(Subject::Group(_)), _) => "group",
        (Holder::Subject(Subject::ServiceAccount { .. }), _) => "service_account",
        (Holder::Identity(_), Some(IdentityKind::AccessEntry)) => "iam",
        (Holder::Identity(_), Some(IdentityKind::ClusterCreator)) => "cluster_creator",
        (Holder::Identity(_), _) => "aws_auth",
    }
}

fn identities(inputs: &Inputs<'_>) -> Result<(), PipelineError> {
    let mut rows = Vec::new();
    let mut numbers: BTreeMap<(String, &str, String), i32> = BTreeMap::new();
    for cluster in &inputs.joined.clusters {
        for identity in cluster.identities {
            let key =
                (identity.cluster.clone(), identity.kind.as_str(), identity.principal.clone());
            let number = numbers.entry(key).or_insert(0);
            let mapping_no = *number;
            *number += 1;
            rows.push(IdentityRow {
                cluster: identity.cluster.clone(),
                identity_kind: identity.kind.as_str().to_owned(),
                principal_arn: identity.principal.clone(),
                mapping_no,
                principal_id: identity.principal_id.clone(),
                iam_arn: identity
                    .principal_id
                    .as_deref()
                    .and_then(|id| inputs.world.principals.arn_of(id))
                    .map(str::to_owned),
                username: identity.username.clone(),
                groups: identity.groups.clone(),
                entry_type: identity.entry_type.clone(),
                effective: identity.ineffective.is_none(),
                ineffective_reason: identity.ineffective.map(|why| why.as_str().to_owned()),
                created_at: identity.created_at,
                created_by: identity.created_by.clone(),
                source: identity.source.to_owned(),
            });
        }
    }
    write_sorted(inputs, rows, |row| {
        let kind = row.identity_kind.clone();
        (row.cluster.clone(), kind, row.principal_arn.clone(), row.source.clone(), row.mapping_no)
    })
}

fn members(inputs: &Inputs<'_>, observed: Vec<GrantMemberRow>) -> Result<(), PipelineError> {
    let mut rows = observed;
    for (idx, cluster) in inputs.joined.clusters.iter().enumerate() {
        let Some((_, found)) = inputs.world.clusters.get(idx) else { continue };
        let listed = found.members.iter().filter_map(|m| Some((m, cluster.grants.get(m.grant)?)));
        for (member, grant) in listed {
            rows.push(GrantMemberRow {
                grant_id: grant.id.clone(),
                principal_id: member.principal_id.clone(),
                username: member.username.clone(),
                via_identity: member.via_identity.as_str().to_owned(),
                via_group: member.via_group.clone(),
                source: "inventory".to_owned(),
                open_ended: grant.open_ended,
                ..GrantMemberRow::default()
            });
        }
    }
    write_sorted(inputs, rows, |row| {
        (
            row.grant_id.clone(),
            row.principal_id.clone(),
            row.username.clone(),
            row.via_identity.clone(),
            row.via_group.clone(),
            row.source.clone(),
        )
    })
}

fn rules(inputs: &Inputs<'_>) -> Result<(), PipelineError> {
    let mut rows = Vec::new();
    let mut add = |cluster: &str, role_ref: &str, rules: &[Rule]| {
        for (rule_no, rule) in rules.iter().enumerate() {
            rows.push(GrantRuleRow {
                cluster: cluster.to_owned(),
                role_ref: role_ref.to_owned(),
                rule_no: i32::try_from(rule_no).unwrap_or(i32::MAX),
                api_groups: rule.api_groups.clone(),
                resources: rule.resources.clone(),
                resource_names: rule.resource_names.clone(),
                non_resource_urls: rule.non_resource_urls.clone(),
                verbs: rule.verbs.clone(),
            });
        }
    };
    for (inventory, found) in &inputs.world.clusters {
        for role in inventory.kubernetes.iter().flat_map(|k| &k.roles) {
            let name = match role.kind {
                RoleKind::ClusterRole => format!("ClusterRole/{}", role.name),
                RoleKind::Role => format!("Role/{}/{}", role.namespace, role.name),
            };
            add(&inventory.arn, &name, &role.rules);
        }
        let policies: BTreeSet<&str> =
            found.grants.iter().map(|grant| grant.role_ref.as_str()).collect();
        for policy in policies {
            if let Lookup::Published(rules) = inputs.policies.lookup(policy) {
                add(&inventory.arn, policy, rules);
            }
        }
    }
    write_sorted(inputs, rows, |row| (row.cluster.clone(), row.role_ref.clone(), row.rule_no))
}
