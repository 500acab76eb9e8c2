//! Puts a dossier together from the rows that were selected.

use std::collections::{BTreeMap, BTreeSet};

use super::matrix::{HeldRule, Matrix, matrix};
use super::rows::{
    AgentRow, CallRow, CoveredRow, IssuedRow, RequestRow, TagRow, UseDayRow, UseRow,
};
use super::who::Subject;
use super::{Dossier, GrantWords, Held, Issued, OfDay, Tables, WayIn, reference_words};
use crate::model::permission::Rule;
use crate::model::service_account;
use crate::model::time::Micros;
use crate::table::rows::grants::{GrantMemberRow, GrantRow, GrantRuleRow};
use crate::table::rows::sessions::SessionRow;
use crate::table::rows::verdicts::VerdictRow;

/// What was selected for one subject.
#[derive(Debug, Clone, Default)]
pub struct Material {
    /// Window.
    pub since: Micros,
    /// Window.
    pub until: Micros,
    /// Rules of the roles and policies that its grants name.
    pub rules: Vec<GrantRuleRow>,
    /// Its use.
    pub uses: Vec<UseRow>,
    /// Its use per day.
    pub days: Vec<UseDayRow>,
    /// Programs.
    pub agents: Vec<AgentRow>,
    /// Its sessions.
    pub issued: Vec<IssuedRow>,
    /// Sessions above its own, by id.
    pub parents: Vec<SessionRow>,
    /// Tags.
    pub tags: Vec<TagRow>,
    /// Calls of AWS.
    pub calls: Vec<CallRow>,
    /// Coverage of audit logs per day.
    pub covered: Vec<CoveredRow>,
}

impl Material {
    /// Takes a row of its requests, by what the row counts.
    pub fn add(&mut self, row: RequestRow) {
        let RequestRow { verb, day, user_agent_family, count, .. } = row;
        let text = Option::unwrap_or_default;
        match (verb, day, user_agent_family) {
            (Some(verb), ..) => self.uses.push(UseRow {
                cluster: text(row.cluster),
                principal_arn: text(row.principal_arn),
                impersonated_username: row.impersonated_username,
                via: text(row.via),
                verb,
                api_group: text(row.api_group),
                resource: text(row.resource),
                subresource: text(row.subresource),
                namespace: text(row.namespace),
                path: text(row.path),
                decision: text(row.decision),
                count,
            }),
            (None, Some(day), _) => {
                self.days.push(UseDayRow { day, decision: text(row.decision), count });
            }
            (None, None, Some(user_agent_family)) => {
                self.agents.push(AgentRow { user_agent_family, count });
            }
            (None, None, None) => {}
        }
    }
}

/// Grants that a subject holds, with the group that carries each.
#[must_use]
pub(super) fn held<'a>(
    subject: &Subject,
    tables: &'a Tables,
) -> Vec<(&'a GrantRow, Option<&'a str>)> {
    let mut groups: BTreeMap<&str, &str> = BTreeMap::new();
    for member in tables.members.iter().filter(|member| is_member(subject, member)) {
        let group = groups.entry(&member.grant_id).or_default();
        if group.is_empty() {
            *group = &member.via_group;
        }
    }
    let holds = |grant: &GrantRow| {
        if let Some(id) = &subject.grant_id {
            return grant.grant_id == *id;
        }
        let is_own = match grant.subject_kind.as_str() {
            "service_account" => {
                grant.principal.split_once('/').is_some_and(|(namespace, name)| {
                    subject.usernames.contains(&service_account::username(namespace, name))
                })
            }
            "group" => subject.group.as_ref() == Some(&grant.principal),
            "user" => subject.usernames.contains(&grant.principal),
            _ => {
                subject.arns.contains(&grant.principal)
                    || grant
                        .principal_id
                        .as_ref()
                        .is_some_and(|id| subject.principal_ids.contains(id))
            }
        };
        is_own || groups.contains_key(grant.grant_id.as_str())
    };
    let all = tables.grants.iter().filter(|grant| holds(grant));
    all.map(|grant| {
        let group = groups.get(grant.grant_id.as_str()).copied().filter(|group| !group.is_empty());
        (grant, group)
    })
    .collect()
}

fn is_member(subject: &Subject, member: &GrantMemberRow) -> bool {
    subject.principal_ids.contains(&member.principal_id)
        || subject.usernames.contains(&member.username)
        || subject.arns.contains(&member.username)
}

/// Roles and policies that the grants of a subject name.
#[must_use]
pub fn role_refs(subject: &Subject, tables: &Tables) -> BTreeSet<String> {
    let all = held(subject, tables);
    all.iter().flat_map(|(grant, _)| grant.role_ref.split(',')).map(str::to_owned).collect()
}

/// Makes the dossier.
#[must_use]
pub fn build(subject: Subject, tables: &Tables, material: &Material) -> Dossier {
    let holds = held(&subject, tables);
    let names: BTreeMap<&str, &str> = tables
        .grants
        .iter()
        .map(|grant| (grant.cluster.as_str(), grant.cluster_name.as_str()))
        .collect();
    let name_of = |cluster: &str| {
        let last = cluster.rsplit('/').next().unwrap_or(cluster);
        names.get(cluster).copied().unwrap_or(last).to_owned()
    };
    let verdicts: BTreeMap<&str, &VerdictRow> =
        tables.verdicts.iter().map(|verdict| (verdict.grant_id.as_str(), verdict)).collect();
    let mut grants: Vec<(i64, Held)> = holds
        .iter()
        .map(|(grant, group)| {
            let verdict = verdicts.get(grant.grant_id.as_str()).copied();
            (
                verdict.map_or(0, |verdict| verdict.severity_rank),
                held_of(grant, *group, verdict, tables),
            )
        })
        .collect();
    grants.sort_by(|(a, x), (b, y)| {
        let managed = x.grant.managed.cmp(&y.grant.managed);
        managed.then(b.cmp(a)).then_with(|| x.grant.grant_id.cmp(&y.grant.grant_id))
    });
    let matrices = matrices(&holds, material, &name_of);
    let mut in_its_name: BTreeMap<(String, String), i64> = BTreeMap::new();
    for one in material.uses.iter().filter(|one| one.via != "direct") {
        let is_by_itself = subject.arns.contains(&one.principal_arn)
            || subject.usernames.contains(&one.principal_arn);
        let who = if is_by_itself {
            format!("as {}", one.impersonated_username.as_deref().unwrap_or_default())
        } else {
            format!("by {}", one.principal_arn)
        };
        *in_its_name.entry((who, one.via.clone())).or_default() += one.count;
    }
    Dossier {
        since: material.since,
        until: material.until,
        ways_in: ways_in(&subject, tables, &name_of),
        grants: grants.into_iter().map(|(_, held)| held).collect(),
        sessions: issued(material),
        tags: material
            .tags
            .iter()
            .map(|t| (t.tag_key.clone(), t.tag_value.clone(), t.sessions))
            .collect(),
        matrices,
        days: days(material),
        agents: material.agents.iter().map(|a| (a.user_agent_family.clone(), a.count)).collect(),
        in_its_name: in_its_name.into_iter().map(|((who, via), n)| (who, via, n)).collect(),
        aws: material
            .calls
            .iter()
            .map(|c| (c.event_source.clone(), c.event_name.clone(), c.error.clone(), c.count))
            .collect(),
        evidence: evidence(material, &name_of),
        subject,
    }
}

fn held_of(
    grant: &GrantRow,
    group: Option<&str>,
    verdict: Option<&VerdictRow>,
    tables: &Tables,
) -> Held {
    let verdict = verdict.cloned().unwrap_or_default();
    let enough = match (&verdict.recommended_policy, &verdict.recommended_rbac) {
        (Some(policies), rbac) => {
            let short: Vec<&str> =
                policies.split(',').map(|arn| arn.rsplit('/').next().unwrap_or(arn)).collect();
            let namespaces =
                verdict.recommended_namespaces.as_deref().filter(|all| !all.is_empty());
            let on = namespaces.unwrap_or("the cluster");
            // Of policies and rules one is enough, but where both were chosen.
            let both = tables.hybrids.iter().any(|hybrid| hybrid.grant_id == grant.grant_id);
            let rules = rbac.as_ref().filter(|_| both);
            let and = rules.map_or_else(String::new, |rbac| format!(" and {rbac}"));
            Some(format!("{} on {on}{and}", short.join(", ")))
        }
        (None, rbac) => rbac.clone(),
    };
    Held {
        grant: GrantWords {
            grant_id: grant.grant_id.clone(),
            cluster: grant.cluster_name.clone(),
            kind: grant.grant_kind.clone(),
            principal: grant.principal.clone(),
            reference: reference_words(grant),
            on: if grant.scope == "namespace" {
                grant.namespaces.clone()
            } else {
                "the cluster".to_owned()
            },
            managed: grant.managed_by_aws,
        },
        via_group: group.map(str::to_owned),
        verdict: verdict.verdict,
        also: verdict.also,
        severity: verdict.severity,
        confidence: verdict.confidence,
        detail: verdict.detail,
        coverage: verdict.coverage,
        valid_from: grant.valid_from,
        granted_by: grant.granted_by.clone(),
        last_used: verdict.last_used,
        used_days: verdict.used_days,
        recommendation: verdict.recommendation,
        enough,
        recommendation_detail: verdict.recommendation_detail,
        replay_denied: verdict.replay_denied,
        replay_breaks: verdict.replay_breaks,
    }
}

fn ways_in(subject: &Subject, tables: &Tables, name_of: &dyn Fn(&str) -> String) -> Vec<WayIn> {
    let is_its = |id: Option<&String>, arns: [Option<&String>; 2]| {
        id.is_some_and(|id| subject.principal_ids.contains(id))
            || arns.into_iter().flatten().any(|arn| subject.arns.contains(arn))
    };
    let mappings = tables.identities.iter().filter(|identity| {
        is_its(
            identity.principal_id.as_ref(),
            [Some(&identity.principal_arn), identity.iam_arn.as_ref()],
        )
    });
    mappings
        .map(|identity| WayIn {
            cluster: name_of(&identity.cluster),
            how: identity.identity_kind.clone(),
            principal: identity.principal_arn.clone(),
            entry_type: identity.entry_type.clone(),
            username: identity.username.clone(),
            groups: identity.groups.clone(),
            dead_because: (!identity.effective)
                .then(|| identity.ineffective_reason.clone().unwrap_or_default()),
            created_at: identity.created_at,
            created_by: identity.created_by.clone(),
        })
        .collect()
}

fn matrices(
    holds: &[(&GrantRow, Option<&str>)],
    material: &Material,
    name_of: &dyn Fn(&str) -> String,
) -> Vec<Matrix> {
    let mut clusters: BTreeSet<&str> =
        material.uses.iter().map(|one| one.cluster.as_str()).collect();
    clusters.extend(holds.iter().map(|(grant, _)| grant.cluster.as_str()));
    clusters
        .into_iter()
        .map(|cluster| {
            // Pod Identity and IRSA give nothing in Kubernetes, and a dead grant gives nothing at all.
            let gives = |grant: &GrantRow| {
                grant.effective
                    && grant.cluster == cluster
                    && !matches!(grant.grant_kind.as_str(), "pod_identity" | "irsa")
            };
            // Role or policy, and whether any grant gives it for the whole cluster.
            let mut refs: BTreeMap<&str, bool> = BTreeMap::new();
            for (grant, _) in holds.iter().filter(|(grant, _)| gives(grant)) {
                for role in grant.role_ref.split(',').filter(|role| !role.is_empty()) {
                    *refs.entry(role).or_default() |= grant.scope == "cluster";
                }
            }
            let mut known = BTreeSet::new();
            let mut rules = Vec::new();
            for row in material.rules.iter().filter(|row| row.cluster == cluster) {
                if let Some(&cluster_wide) = refs.get(row.role_ref.as_str()) {
                    known.insert(row.role_ref.as_str());
                    rules.push(HeldRule { rule: rule(row), cluster_wide });
                }
            }
            let unknown: Vec<String> = refs
                .keys()
                .filter(|role| !known.contains(*role))
                .map(|role| (*role).to_owned())
                .collect();
            let uses: Vec<&UseRow> =
                material.uses.iter().filter(|one| one.cluster == cluster).collect();
            matrix(&name_of(cluster), &uses, &rules, &unknown)
        })
        .filter(|matrix| !matrix.rows.is_empty() || !matrix.unknown.is_empty())
        .collect()
}

fn rule(row: &GrantRuleRow) -> Rule {
    Rule {
        verbs: row.verbs.clone(),
        api_groups: row.api_groups.clone(),
        resources: row.resources.clone(),
        resource_names: row.resource_names.clone(),
        non_resource_urls: row.non_resource_urls.clone(),
    }
}

fn issued(material: &Material) -> Vec<Issued> {
    let parents: BTreeMap<&str, &SessionRow> =
        material.parents.iter().map(|row| (row.session_id.as_str(), row)).collect();
    material
        .issued
        .iter()
        .map(|row| {
            let mut chain = Vec::new();
            let mut seen = BTreeSet::new();
            let mut above = row.parent_session_id.as_deref();
            // A chain that goes round ends.
            while let Some(id) = above.filter(|id| seen.insert(*id)) {
                let Some(parent) = parents.get(id) else { break };
                chain.push(parent.source_principal.clone());
                above = parent.parent_session_id.as_deref();
            }
            Issued {
                kind: row.kind.clone(),
                source: row.source_principal.clone(),
                person: row.person.clone(),
                chain,
                sessions: row.sessions,
                first: row.first_issued,
                last: row.last_issued,
            }
        })
        .collect()
}

fn days(material: &Material) -> Vec<OfDay> {
    let mut all: BTreeMap<_, OfDay> = BTreeMap::new();
    let (first, last) = (material.since.day(), Micros(material.until.0 - 1).day());
    for day in (first.0..=last.0).map(crate::model::time::Day) {
        all.insert(day, OfDay { day, allowed: 0, refused: 0, covered: 0, hours: 0 });
    }
    for row in &material.covered {
        if let Some(of) = all.get_mut(&row.day.day()) {
            of.covered += row.covered;
            of.hours += row.hours;
        }
    }
    for row in &material.days {
        if let Some(of) = all.get_mut(&row.day.day()) {
            match row.decision.as_str() {
                "allow" => of.allowed += row.count,
                "forbid" => of.refused += row.count,
                _ => {}
            }
        }
    }
    all.into_values().collect()
}

fn evidence(material: &Material, name_of: &dyn Fn(&str) -> String) -> Vec<(String, i64, i64)> {
    let mut all: BTreeMap<&str, (i64, i64)> = BTreeMap::new();
    for row in &material.covered {
        let sum = all.entry(&row.cluster).or_default();
        sum.0 += row.covered;
        sum.1 += row.hours;
    }
    all.into_iter()
        .map(|(cluster, (covered, hours))| {
            (format!("audit log of {}", name_of(cluster)), covered, hours)
        })
        .collect()
}
