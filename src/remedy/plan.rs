//! Which steps a finding takes, given what earlier ones left.

use std::collections::BTreeSet;

use crate::model::grant::has_reserved_prefix;
use crate::model::permission::{Rule, Scope, ScopedRule};
use crate::model::secret_names::is_mark;
use crate::report::terminal::printable;
use crate::table::rows::grants::GrantRow;
use crate::table::rows::verdicts::{ProposalRow, VerdictRow};

use super::state::State;
use super::step::{Own, Row, Step, Subject, own_name};

const MASTERS: &str = "system:masters";

/// The steps, or why a person must do it.
pub(super) fn steps(
    grant: &GrantRow,
    verdict: &VerdictRow,
    proposals: &[&ProposalRow],
    state: &State,
) -> Result<Vec<Step>, String> {
    let chosen: Vec<&ProposalRow> = proposals.iter().copied().filter(|row| row.chosen).collect();
    let steps = match (verdict.recommendation.as_str(), chosen.is_empty()) {
        ("remove", _) => remove(grant, state)?,
        (_, false) if verdict.replay_denied == Some(0) => replace(grant, &chosen, state)?,
        (_, false) => return Err("the replay refuses what was used".to_owned()),
        (_, true) if matches!(verdict.verdict.as_str(), "unused" | "redundant" | "ineffective") => {
            remove(grant, state)?
        }
        _ => return Err("nothing smaller is known".to_owned()),
    };
    if steps.is_empty() {
        return Err("there is nothing left to change".to_owned());
    }
    Ok(steps)
}

fn remove(grant: &GrantRow, state: &State) -> Result<Vec<Step>, String> {
    let (cluster, principal) = (grant.cluster.clone(), grant.principal.clone());
    let key = (cluster.clone(), principal.clone());
    Ok(match grant.grant_kind.as_str() {
        "access_policy" => {
            let Some(entry) = state.entries.get(&key) else { return Ok(Vec::new()) };
            let others = entry.policies.keys().any(|policy| *policy != grant.grant_ref);
            if others || !entry.groups.is_empty() || is_bound_user(state, &key) {
                let policy = grant.grant_ref.clone();
                vec![Step::Disassociate { cluster, principal, policy }]
            } else {
                vec![Step::DeleteEntry { cluster, principal }]
            }
        }
        "entry_group" => {
            let Some(entry) = state.entries.get(&key) else { return Ok(Vec::new()) };
            let groups: Vec<String> =
                entry.groups.iter().filter(|group| **group != grant.grant_ref).cloned().collect();
            if groups.is_empty() && entry.policies.is_empty() && !is_bound_user(state, &key) {
                vec![Step::DeleteEntry { cluster, principal }]
            } else {
                vec![Step::Groups { cluster, principal, groups }]
            }
        }
        "none" if grant.identity_kind.as_deref() == Some("access_entry") => {
            if state.entries.contains_key(&key) {
                vec![Step::DeleteEntry { cluster, principal }]
            } else {
                Vec::new()
            }
        }
        "aws_auth_group" | "none" => {
            let rows = state.aws_auth.get(&cluster).cloned().unwrap_or_default();
            let rows = without_group(rows, grant);
            let mut steps = Vec::new();
            let (_, principal) = entry_key(grant, state);
            // An earlier finding may have put an entry in the row's place, with this group.
            if let Some(entry) = state.entries.get(&(cluster.clone(), principal.clone()))
                && entry.groups.contains(&grant.grant_ref)
                && grant.ineffective_reason.is_none()
            {
                let groups = entry.groups.iter().filter(|g| **g != grant.grant_ref);
                steps.push(Step::Groups {
                    cluster: cluster.clone(),
                    principal,
                    groups: groups.cloned().collect(),
                });
            }
            steps.push(Step::AwsAuth { rows, cluster, grant_id: grant.grant_id.clone() });
            steps
        }
        "rbac_subject" => without_subject(grant, state),
        "pod_identity" => {
            let roles = state.pods.get(&key).map_or(0, Vec::len);
            if roles > 1 {
                return Err(format!(
                    "the association of {principal} reaches a second role: delete or change it as a whole"
                ));
            }
            vec![Step::DeletePod { cluster, account: principal }]
        }
        "irsa" => vec![Step::Annotate { cluster, account: principal, role: None }],
        _ => return Err("it is in no list that could be edited".to_owned()),
    })
}

/// The cluster and the principal of the entry that a grant hangs on, or would: a row of aws-auth is
/// written without the path of its role, an entry is not.
fn entry_key(grant: &GrantRow, state: &State) -> (String, String) {
    let rows = state.aws_auth.get(&grant.cluster).map(Vec::as_slice).unwrap_or_default();
    let of_row = rows
        .iter()
        .rfind(|row| grant.subject_kind == "aws_auth" && row.principal == grant.principal);
    let principal = of_row.map_or(&grant.principal, |row| &row.iam_arn);
    (grant.cluster.clone(), principal.clone())
}

/// True when RBAC binds the entry's username.
fn is_bound_user(state: &State, key: &(String, String)) -> bool {
    let Some(entry) = state.entries.get(key) else { return false };
    let user = Subject::User(entry.username.clone());
    state.bindings.iter().any(|((cluster, _), b)| *cluster == key.0 && b.subjects.contains(&user))
}

fn without_group(mut rows: Vec<Row>, grant: &GrantRow) -> Vec<Row> {
    let of_kind = |row: &Row| grant.identity_kind.as_deref() == Some(row.kind.as_str());
    let reason = grant.ineffective_reason.as_deref();
    // Of two rows for one ARN the first is the dead one.
    let at = if reason == Some("overridden_by_row") {
        rows.iter().position(|row| of_kind(row) && row.principal == grant.principal)
    } else {
        rows.iter().rposition(|row| of_kind(row) && row.principal == grant.principal)
    };
    let Some(at) = at else { return rows };
    if let Some(row) = rows.get_mut(at) {
        row.groups.retain(|group| *group != grant.grant_ref);
        if row.groups.is_empty() {
            rows.remove(at);
        }
    }
    rows
}

fn without_subject(grant: &GrantRow, state: &State) -> Vec<Step> {
    let (cluster, binding) = (grant.cluster.clone(), grant.grant_ref.clone());
    let (Some(found), Some(subject)) =
        (state.bindings.get(&(cluster.clone(), binding.clone())), Subject::of(grant))
    else {
        return Vec::new();
    };
    let subjects: Vec<Subject> =
        found.subjects.iter().filter(|one| **one != subject).cloned().collect();
    if subjects.is_empty() {
        vec![Step::DeleteBinding { cluster, binding }]
    } else if subjects.len() == found.subjects.len() {
        Vec::new()
    } else {
        vec![Step::Subjects { cluster, binding, subjects }]
    }
}

/// What is new first, then what it stands for.
fn replace(grant: &GrantRow, chosen: &[&ProposalRow], state: &State) -> Result<Vec<Step>, String> {
    let key = entry_key(grant, state);
    let (cluster, principal) = key.clone();
    let rules: Vec<ScopedRule> = chosen.iter().filter_map(|row| rule_of(row)).collect();
    if rules.iter().flat_map(|scoped| &scoped.rule.resource_names).any(|name| is_mark(name)) {
        return Err("it names Secrets, and the audit ran with --hide-secret-names".to_owned());
    }
    let policies: Vec<(String, Option<Vec<String>>)> = chosen
        .iter()
        .filter_map(|row| {
            let namespaces = row.namespaces.as_ref();
            let list = namespaces.map(|text| text.split(',').map(str::to_owned).collect());
            Some((row.policy_arn.clone()?, list))
        })
        .collect();
    let own = |subject: Subject| {
        Step::Own(Own {
            cluster: cluster.clone(),
            grant_id: grant.grant_id.clone(),
            rules: rules.clone(),
            subject,
        })
    };
    let associate = |(policy, namespaces): &(String, Option<Vec<String>>)| Step::Associate {
        cluster: cluster.clone(),
        principal: principal.clone(),
        policy: policy.clone(),
        namespaces: namespaces.clone(),
    };
    let new_group = (!rules.is_empty()).then(|| own_name(&grant.grant_id));
    let mut steps = Vec::new();
    match grant.grant_kind.as_str() {
        "rbac_subject" => {
            let subject = Subject::of(grant).ok_or("the subject of the binding is not known")?;
            steps.push(own(subject));
            steps.extend(without_subject(grant, state));
        }
        // A row of aws-auth whose place an earlier finding gave to an entry is an entry by now.
        kind @ ("access_policy" | "entry_group" | "aws_auth_group")
            if kind != "aws_auth_group" || state.entries.contains_key(&key) =>
        {
            let Some(entry) = state.entries.get(&key) else {
                return Err("its access entry is gone".to_owned());
            };
            steps.extend(new_group.clone().map(|group| own(Subject::Group(group))));
            steps.extend(policies.iter().map(&associate));
            let mut groups = entry.groups.clone();
            groups.extend(new_group);
            if kind != "access_policy" {
                groups.remove(&grant.grant_ref);
            }
            if groups != entry.groups {
                steps.push(Step::Groups {
                    cluster: cluster.clone(),
                    principal: principal.clone(),
                    groups: groups.into_iter().collect(),
                });
            }
            let stays = policies.iter().any(|(policy, _)| *policy == grant.grant_ref);
            if grant.grant_kind == "access_policy" && !stays {
                steps.push(Step::Disassociate {
                    cluster,
                    principal,
                    policy: grant.grant_ref.clone(),
                });
            }
        }
        "aws_auth_group" => {
            let rows = state.aws_auth.get(&cluster).map(Vec::as_slice).unwrap_or_default();
            let row = rows.iter().rfind(|row| row.principal == grant.principal);
            let row = row.ok_or("its row of aws-auth is gone")?;
            let mut groups: BTreeSet<String> = row.groups.iter().cloned().collect();
            groups.remove(&grant.grant_ref);
            if let Some(stuck) = groups.iter().find(|g| has_reserved_prefix(g) || g.contains("{{"))
            {
                return Err(format!("an access entry may not carry the group {stuck}"));
            }
            if has_reserved_prefix(&row.username) || row.username.contains("{{EC2") {
                return Err(format!("an access entry may not take the username {}", row.username));
            }
            groups.extend(new_group.clone());
            steps.extend(new_group.map(|group| own(Subject::Group(group))));
            // From here on the entry counts and the row does not: deleting the entry undoes it.
            steps.push(Step::CreateEntry {
                cluster: cluster.clone(),
                principal: principal.clone(),
                username: row.username.clone(),
                groups: groups.into_iter().collect(),
                entry_type: "STANDARD".to_owned(),
            });
            steps.extend(policies.iter().map(&associate));
        }
        _ => return Err("it is in no list that could be edited".to_owned()),
    }
    Ok(steps)
}

fn rule_of(row: &ProposalRow) -> Option<ScopedRule> {
    let scope = match (row.kind.as_str(), &row.namespaces) {
        ("role", Some(namespace)) => Scope::Namespace(namespace.clone()),
        ("cluster_role", _) => Scope::Cluster,
        _ => return None,
    };
    let rule = Rule {
        verbs: row.verbs.clone(),
        api_groups: row.api_groups.clone(),
        resources: row.resources.clone(),
        resource_names: row.resource_names.clone(),
        non_resource_urls: row.non_resource_urls.clone(),
    };
    Some(ScopedRule { scope, rule })
}

/// What a person reads above the steps. Every text may come from a log or a cluster.
pub(super) fn words(
    grant: &GrantRow,
    verdict: &VerdictRow,
    proposals: &[&ProposalRow],
) -> Vec<String> {
    let place = if grant.scope == "cluster" { "the cluster" } else { &grant.namespaces };
    let adds = !grant.role_ref.is_empty() && grant.role_ref != grant.grant_ref;
    let reference = match (grant.grant_ref.as_str(), adds) {
        ("", _) => "of no right".to_owned(),
        (reference, true) if reference != MASTERS => format!("{reference} ({})", grant.role_ref),
        (reference, _) => reference.to_owned(),
    };
    let mut words = vec![
        format!("{} {} in {}", verdict.recommendation, grant.principal, grant.cluster_name),
        format!(
            "{} {reference} on {place}: {} {}",
            grant.grant_kind, verdict.severity, verdict.verdict
        ),
        format!("evidence: {}", verdict.detail),
    ];
    if let Some(last) = verdict.last_used {
        words.push(format!("used {} times, last {}", verdict.used_count, last.to_rfc3339()));
    }
    if let Some(denied) = verdict.replay_denied {
        let n = verdict.used_permissions;
        if n > 0 {
            words.push(format!(
                "replay: {denied} of {n} permissions that were used would be refused"
            ));
        }
    }
    if let (Some(before), Some(after)) = (verdict.excess_before, verdict.excess_after) {
        words.push(format!("excess: {before} cells before, {after} after"));
    }
    words.extend(verdict.recommendation_detail.iter().map(|why| format!("note: {why}")));
    let groups: BTreeSet<&str> =
        proposals.iter().map(|row| row.for_group.as_str()).filter(|g| !g.is_empty()).collect();
    let is_split = !groups.is_empty();
    for group in groups {
        let of_group = proposals.iter().filter(|row| row.for_group == group);
        let what: Vec<String> = of_group
            .map(|row| {
                let place = row.namespaces.as_deref().unwrap_or("the cluster");
                let what = row.policy_arn.clone().unwrap_or_else(|| {
                    format!("{} {}", row.verbs.join("/"), row.resources.join("+"))
                });
                format!("{what} on {place}")
            })
            .collect();
        words.push(format!("split: a role of its own for {group} needs only {}", what.join(", ")));
    }
    if is_split {
        let keys = "guardrail: let whoever makes them do so only with eks:principalArn of the new roles, and with \
                    eks:policyArn, eks:accessScope and eks:namespaces as above";
        words.push(keys.to_owned());
    }
    words.iter().map(|line| printable(line)).collect()
}
