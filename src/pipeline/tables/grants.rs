//! Rows of `identities`, `grants`, `grant_members`, `grant_rules`, `grant_usage`, `member_usage`.

use std::collections::{BTreeMap, BTreeSet};

use super::{Inputs, JudgedCluster, write_sorted};
use crate::analyse::scope::rules_of;
use crate::join::usage::Use;
use crate::model::fact::Via;
use crate::model::grant::{Grant, Holder, IdentityKind};
use crate::model::inventory::{RoleKind, Subject};
use crate::model::permission::Rule;
use crate::model::time::{Day, Micros};
use crate::pipeline::PipelineError;
use crate::pipeline::access::digest_of_groups;
use crate::rbac::policies::Lookup;
use crate::rbac::sensitive::severity_of;
use crate::table::rows::access::{GrantUsageRow, MemberUsageRow};
use crate::table::rows::grants::{GrantMemberRow, GrantRow, GrantRuleRow, IdentityRow};

pub(super) fn write(
    inputs: &Inputs<'_>,
    judged: &[JudgedCluster<'_>],
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
    members(inputs, judged)?;
    rules(inputs)?;
    grant_usage(inputs)?;
    member_usage(inputs)
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

/// Use added up over several [`Use`]s: first, last, distinct days, requests.
#[derive(Default)]
struct Sum {
    first: Option<Micros>,
    last: Option<Micros>,
    days: BTreeSet<Day>,
    count: i64,
    credited: bool,
}

impl Sum {
    fn add(&mut self, used: &Use) {
        self.first = Some(self.first.map_or(used.first, |at| at.min(used.first)));
        self.last = Some(self.last.map_or(used.last, |at| at.max(used.last)));
        self.days.extend(&used.days);
        self.count += used.count;
    }

    fn days(&self) -> i64 {
        i64::try_from(self.days.len()).unwrap_or(i64::MAX)
    }
}

fn members(inputs: &Inputs<'_>, judged: &[JudgedCluster<'_>]) -> Result<(), PipelineError> {
    let mut rows = Vec::new();
    let usage = &inputs.joined.usage;
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
        let evidence = judged.get(idx).map(|j| j.evidence.as_slice()).unwrap_or_default();
        for (grant, seen) in cluster.grants.iter().zip(evidence) {
            let mut by_member: BTreeMap<(String, String), Sum> = BTreeMap::new();
            for used in seen.uses.iter().filter_map(|&used| usage.uses.get(used)) {
                let Some(member) = usage.members.get(used.member) else { continue };
                let key = (member.principal_id.clone(), member.username.clone());
                by_member.entry(key).or_default().add(used);
            }
            for ((principal_id, username), sum) in by_member {
                rows.push(GrantMemberRow {
                    grant_id: grant.id.clone(),
                    principal_id,
                    username,
                    via_identity: grant.identity_kind.map_or("", |kind| kind.as_str()).to_owned(),
                    via_group: grant.group.clone().unwrap_or_default(),
                    source: "observed".to_owned(),
                    open_ended: grant.open_ended,
                    used_days: sum.days(),
                    first_used: sum.first,
                    last_used: sum.last,
                });
            }
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

fn grant_usage(inputs: &Inputs<'_>) -> Result<(), PipelineError> {
    let mut sums: BTreeMap<(String, Via, &crate::model::permission::Permission), (Sum, bool)> =
        BTreeMap::new();
    for used in &inputs.joined.usage.uses {
        let Some(cluster) = inputs.joined.clusters.get(used.cluster) else { continue };
        for &(grant_idx, credited) in &used.grants {
            let Some(grant) = cluster.grants.get(grant_idx) else { continue };
            let key = (grant.id.clone(), used.via, &used.permission);
            let (sum, covered) = sums.entry(key).or_default();
            sum.add(used);
            sum.credited |= credited;
            *covered |= cluster.allows(grant_idx, &used.permission);
        }
    }
    let rows = sums.into_iter().map(|((grant_id, via, p), (sum, covered))| GrantUsageRow {
        grant_id,
        via: via.as_str().to_owned(),
        verb: p.verb.clone(),
        api_group: p.api_group.clone(),
        resource: p.resource.clone(),
        subresource: p.subresource.clone(),
        namespace: p.namespace.clone(),
        name: p.name.clone(),
        path: p.path.clone(),
        credited: sum.credited,
        covered,
        first_used: sum.first.unwrap_or_default(),
        last_used: sum.last.unwrap_or_default(),
        used_days: sum.days(),
        count: sum.count,
    });
    // The order of keys is the order of the table, but for the names of `via`.
    write_sorted(inputs, rows.collect(), |row| {
        (
            row.grant_id.clone(),
            row.via.clone(),
            (
                row.verb.clone(),
                row.api_group.clone(),
                row.resource.clone(),
                row.subresource.clone(),
            ),
            (row.namespace.clone(), row.name.clone(), row.path.clone()),
        )
    })
}

fn member_usage(inputs: &Inputs<'_>) -> Result<(), PipelineError> {
    let usage = &inputs.joined.usage;
    let mut sums: BTreeMap<
        (usize, Via, &crate::model::permission::Permission),
        (Sum, BTreeSet<usize>),
    > = BTreeMap::new();
    for used in &usage.uses {
        let (sum, grants) = sums.entry((used.member, used.via, &used.permission)).or_default();
        sum.add(used);
        grants.extend(used.grants.iter().map(|(grant, _)| *grant));
    }
    let mut rows = Vec::new();
    for ((member, via, p), (sum, grants)) in sums {
        let Some(member) = usage.members.get(member) else { continue };
        let Some(cluster) = inputs.joined.clusters.get(member.cluster) else { continue };
        rows.push(MemberUsageRow {
            cluster: cluster.arn.to_owned(),
            principal_id: member.principal_id.clone(),
            username: member.username.clone(),
            groups_digest: digest_of_groups(&member.groups),
            via: via.as_str().to_owned(),
            verb: p.verb.clone(),
            api_group: p.api_group.clone(),
            resource: p.resource.clone(),
            subresource: p.subresource.clone(),
            namespace: p.namespace.clone(),
            name: p.name.clone(),
            path: p.path.clone(),
            grants: i64::try_from(grants.len()).unwrap_or(i64::MAX),
            first_used: sum.first.unwrap_or_default(),
            last_used: sum.last.unwrap_or_default(),
            used_days: sum.days(),
            count: sum.count,
        });
    }
    write_sorted(inputs, rows, |row| {
        (
            (row.cluster.clone(), row.principal_id.clone(), row.username.clone()),
            (row.groups_digest.clone(), row.via.clone()),
            (
                row.verb.clone(),
                row.api_group.clone(),
                row.resource.clone(),
                row.subresource.clone(),
            ),
            (row.namespace.clone(), row.name.clone(), row.path.clone()),
        )
    })
}
