//! Rows of `proposals`, and what `verdicts` says of them.

use std::collections::BTreeSet;

use super::{Inputs, JudgedCluster, write_sorted};
use crate::analyse::propose::{Candidate, Chosen, Decision};
use crate::analyse::recommend::Advice;
use crate::model::arn::Arn;
use crate::model::permission::{Rule, Scope, ScopedRule};
use crate::pipeline::PipelineError;
use crate::pipeline::access::some;
use crate::rbac::smallest::PolicyGrant;
use crate::table::rows::verdicts::{ProposalRow, VerdictRow};

/// Rules that a sentence names, at most.
const MAX_WORDS: usize = 400;

pub(super) fn write(inputs: &Inputs<'_>, judged: &[JudgedCluster]) -> Result<(), PipelineError> {
    let mut rows = Vec::new();
    for (cluster, judged) in inputs.joined.clusters.iter().zip(judged) {
        for (grant, decision) in cluster.grants.iter().zip(&judged.decisions) {
            let Some(found) = &decision.candidates else { continue };
            let mut add = |name: &str, group: &str, chosen: bool, candidate: &Candidate| {
                rows_of(&mut rows, (&grant.id, cluster.arn), (name, group), chosen, candidate);
            };
            if let Some(policy) = &found.policy {
                add("policy", "", found.chosen == Chosen::Policy, policy);
            }
            add("rbac", "", found.chosen == Chosen::Rbac, &found.rbac);
            if let Some(hybrid) = &found.hybrid {
                add("hybrid", "", found.chosen == Chosen::Hybrid, hybrid);
            }
            for part in &decision.parts {
                add("split", &part.group, false, &part.candidate);
            }
        }
    }
    write_sorted(inputs, rows, |row| {
        (row.grant_id.clone(), row.candidate.clone(), row.for_group.clone(), row.part)
    })
}

fn rows_of(
    rows: &mut Vec<ProposalRow>,
    (grant_id, cluster): (&str, &str),
    (name, group): (&str, &str),
    chosen: bool,
    candidate: &Candidate,
) {
    let blank = |part: usize| ProposalRow {
        grant_id: grant_id.to_owned(),
        cluster: cluster.to_owned(),
        candidate: name.to_owned(),
        for_group: group.to_owned(),
        part: i32::try_from(part).unwrap_or(i32::MAX),
        chosen,
        excess: i64::try_from(candidate.excess).unwrap_or(i64::MAX),
        ..ProposalRow::default()
    };
    let partition = Arn::parse(cluster).map_or("aws", |arn| arn.partition);
    for policy in &candidate.policies {
        rows.push(ProposalRow {
            kind: "access_policy".to_owned(),
            policy_arn: Some(format!(
                "arn:{partition}:eks::aws:cluster-access-policy/{}",
                policy.policy
            )),
            namespaces: policy.namespaces.as_ref().map(|list| list.join(",")),
            ..blank(rows_in(rows, grant_id, name, group))
        });
    }
    for ScopedRule { scope, rule } in &candidate.rules {
        let namespace = match scope {
            Scope::Namespace(namespace) => Some(namespace.clone()),
            Scope::Cluster | Scope::NamespaceGlobs(_) => None,
        };
        rows.push(ProposalRow {
            kind: if namespace.is_some() { "role" } else { "cluster_role" }.to_owned(),
            namespaces: namespace,
            verbs: rule.verbs.clone(),
            api_groups: rule.api_groups.clone(),
            resources: rule.resources.clone(),
            resource_names: rule.resource_names.clone(),
            non_resource_urls: rule.non_resource_urls.clone(),
            ..blank(rows_in(rows, grant_id, name, group))
        });
    }
}

/// Rows of this proposal so far: they are the last ones.
fn rows_in(rows: &[ProposalRow], grant_id: &str, candidate: &str, group: &str) -> usize {
    let same = |row: &&ProposalRow| {
        (row.grant_id.as_str(), row.candidate.as_str(), row.for_group.as_str())
            == (grant_id, candidate, group)
    };
    rows.iter().rev().take_while(same).count()
}

/// The columns of a verdict that speak of what is proposed; only what the replay has proven.
pub(super) fn recommended(decision: &Decision) -> VerdictRow {
    let mut row = VerdictRow::default();
    let Some(found) = &decision.candidates else { return row };
    if decision.refused != Some(0) {
        return row;
    }
    row.excess_after = i64::try_from(found.chosen().excess).ok();
    row.recommended_rbac = some(words_of_rules(&found.rbac.rules));
    let policies = match (found.chosen, &found.policy, &found.hybrid) {
        (Chosen::Hybrid, _, Some(hybrid)) => {
            row.recommended_rbac = some(words_of_rules(&hybrid.rules));
            &hybrid.policies
        }
        (_, Some(policy), _) => &policy.policies,
        _ => return row,
    };
    let names: Vec<&str> = policies.iter().map(|one| one.policy.as_str()).collect();
    let namespaces: BTreeSet<&str> = policies
        .iter()
        .flat_map(|one| one.namespaces.iter().flatten())
        .map(String::as_str)
        .collect();
    let wide = policies.iter().filter(|one| one.namespaces.is_none()).count();
    row.recommended_policy = some(names.join(","));
    row.recommended_scope = Some(
        match wide {
            0 => "namespace",
            n if n == policies.len() => "cluster",
            _ => "mixed",
        }
        .to_owned(),
    );
    row.recommended_namespaces = some(namespaces.into_iter().collect::<Vec<_>>().join(","));
    row
}

/// `replace: AmazonEKSEditPolicy on pay,shop; nothing used is refused`
pub(super) fn words(decision: &Decision) -> String {
    let mut words = decision.advice.as_str().to_owned();
    let acts = matches!(decision.advice, Advice::Narrow | Advice::Replace | Advice::Split);
    if let (Some(found), true) = (&decision.candidates, decision.refused == Some(0)) {
        let what = words_of(&found.chosen().policies, &found.chosen().rules);
        let what = if acts { what } else { format!("{what} would be enough") };
        words.push_str(&format!(": {what}"));
    }
    if !decision.why.is_empty() {
        words.push_str(&format!(" ({})", decision.why.join("; ")));
    }
    words
}

fn words_of(policies: &[PolicyGrant], rules: &[ScopedRule]) -> String {
    let mut all: Vec<String> = policies
        .iter()
        .map(|one| {
            let place = one.namespaces.as_ref().map(|list| list.join(","));
            format!("{} on {}", one.policy, place.as_deref().unwrap_or("the cluster"))
        })
        .collect();
    let rules = words_of_rules(rules);
    all.extend(some(rules));
    all.join(" and ")
}

/// `shop: get,list pods; the cluster: get /metrics`
fn words_of_rules(rules: &[ScopedRule]) -> String {
    let mut all: Vec<(String, Vec<String>)> = Vec::new();
    for ScopedRule { scope, rule } in rules {
        let place = match scope {
            Scope::Namespace(namespace) => namespace.clone(),
            Scope::NamespaceGlobs(globs) => globs.join(","),
            Scope::Cluster => "the cluster".to_owned(),
        };
        match all.last_mut() {
            Some((last, words)) if *last == place => words.push(words_of_rule(rule)),
            _ => all.push((place, vec![words_of_rule(rule)])),
        }
    }
    let all: Vec<String> =
        all.into_iter().map(|(place, rules)| format!("{place}: {}", rules.join(", "))).collect();
    let words = all.join("; ");
    if words.chars().count() <= MAX_WORDS {
        return words;
    }
    let cut: String = words.chars().take(MAX_WORDS).collect();
    format!("{cut}… ({} rules: see proposals)", rules.len())
}

fn words_of_rule(rule: &Rule) -> String {
    let group = rule.api_groups.first().filter(|group| !group.is_empty());
    let resources: Vec<String> = rule
        .resources
        .iter()
        .map(|resource| group.map_or_else(|| resource.clone(), |g| format!("{resource}.{g}")))
        .chain(rule.non_resource_urls.iter().cloned())
        .collect();
    let names = if rule.resource_names.is_empty() {
        String::new()
    } else {
        format!(" named {}", rule.resource_names.join("|"))
    };
    format!("{} {}{names}", rule.verbs.join("/"), resources.join("+"))
}
