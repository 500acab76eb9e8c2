//! What is to act on: which grants are findings, who answers for which, and what the summary says.

use std::collections::BTreeMap;

use super::{Inputs, Judged, JudgedCluster, proposals};
use crate::analyse::coverage::Coverage;
use crate::analyse::propose::Decision;
use crate::analyse::verdict::{Kind, Verdict};
use crate::join::cluster::Cluster;
use crate::model::arn::access_policy_name;
use crate::model::grant::{Grant, Ineffective};
use crate::model::inventory::ClusterInventory;
use crate::model::suppression::Suppression;
use crate::model::time::Micros;
use crate::rbac::sensitive::Severity;
use crate::report::summary::Finding;
use crate::suppress::{self, Case, Marks, Rule};
use crate::table::rows::evidence::NoteRow;

/// A suppression that has ended is small by itself; what it covered shows again.
const EXPIRED_ALONE: Severity = Severity::Low;
/// Who comes only when all else fails was here.
const BREAK_GLASS_USED: Severity = Severity::High;

/// A finding, and the rule that covers it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Mark<'a> {
    pub(super) rule: Option<&'a Rule>,
}

/// The findings of a run, marked by the rules.
pub(super) struct Marked<'a> {
    rules: &'a [Rule],
    until: Micros,
    /// Cluster, grant; and its place in `marks.by`.
    places: BTreeMap<(usize, usize), usize>,
    severities: Vec<Severity>,
    marks: Marks,
    /// Cluster ARN, finding, and its note.
    broken: Vec<(String, Finding)>,
}

impl<'a> Marked<'a> {
    pub(super) fn new(inputs: &Inputs<'a>, judged: &[JudgedCluster]) -> Self {
        let (rules, until) = (inputs.rules, inputs.analyse.window.until);
        let (mut places, mut cases, mut severities) = (BTreeMap::new(), Vec::new(), Vec::new());
        let mut broken = Vec::new();
        for (idx, (cluster, judged)) in inputs.joined.clusters.iter().zip(judged).enumerate() {
            let all = cluster.grants.iter().zip(&judged.verdicts).zip(&judged.observed);
            for (grant_idx, ((grant, verdict), seen)) in all.enumerate() {
                let case = case_of(grant, verdict);
                if is_finding(grant, verdict) {
                    places.insert((idx, grant_idx), cases.len());
                    cases.push(case);
                    severities.push(verdict.severity);
                }
                let rule = rules
                    .iter()
                    .find(|rule| rule.kind == suppress::Kind::BreakGlass && rule.names(&case));
                if let (Some(rule), Some(last)) = (rule, seen.last)
                    && !grant.managed_by_aws
                {
                    broken
                        .push((grant.cluster.clone(), break_glass(grant, rule, last, seen.count)));
                }
            }
        }
        let marks = suppress::mark(rules, until, &cases);
        Marked { rules, until, places, severities, marks, broken }
    }

    /// What is said of a grant that is a finding.
    pub(super) fn of(&self, cluster: usize, grant: usize) -> Option<Mark<'a>> {
        let place = *self.places.get(&(cluster, grant))?;
        let rule = self.marks.by.get(place).copied().flatten();
        Some(Mark { rule: rule.and_then(|rule| self.rules.get(rule)) })
    }

    /// Rules that have expired, and how bad the worst finding is that they no longer cover.
    fn expired(&self) -> impl Iterator<Item = (&'a Rule, Severity)> {
        let all = self.rules.iter().zip(&self.marks.covered);
        all.filter(|(rule, _)| rule.expired(self.until)).map(|(rule, covered)| {
            let open = covered.iter().filter(|&&case| self.marks.by.get(case) == Some(&None));
            let worst = open.filter_map(|&case| self.severities.get(case)).max();
            (rule, worst.copied().unwrap_or(EXPIRED_ALONE))
        })
    }

    /// Rules that hold and cover nothing. Whom one calls in an emergency may be nobody's finding.
    fn unmatched(&self) -> impl Iterator<Item = &'a Rule> {
        let all = self.rules.iter().zip(&self.marks.covered);
        all.filter(|(rule, covered)| {
            covered.is_empty() && !rule.expired(self.until) && rule.kind == suppress::Kind::Suppress
        })
        .map(|(rule, _)| rule)
    }

    /// What the table `notes` says of rules.
    pub(super) fn notes(&self) -> Vec<NoteRow> {
        let of_rule = |code: &str, what: String| NoteRow {
            code: code.to_owned(),
            what,
            ..NoteRow::default()
        };
        let expired = self.expired().map(|(rule, _)| {
            of_rule("suppression_expired", format!("{}: {}", rule.words(), ended(rule)))
        });
        let unmatched = self.unmatched().map(|rule| of_rule("suppression_unmatched", rule.words()));
        let broken = self.broken.iter().map(|(cluster, finding)| NoteRow {
            cluster: cluster.clone(),
            grant_id: Some(finding.grant_id.clone()),
            ..of_rule(
                "break_glass_used",
                format!("{} by {}: {}", finding.principal, finding.grant, finding.detail),
            )
        });
        expired.chain(unmatched).chain(broken).collect()
    }

    /// Findings that are about rules, and not about the verdict of a grant.
    fn findings(&self) -> Vec<(Severity, Finding)> {
        let broken = self.broken.iter().map(|(_, finding)| (BREAK_GLASS_USED, finding.clone()));
        let expired =
            self.expired().map(|(rule, severity)| {
                let finding = Finding {
                    severity: severity.as_str(),
                    verdict: "suppression_expired",
                    principal: rule.owner.clone(),
                    grant: rule.words(),
                    detail: ended(rule),
                    recommendation:
                        "renew it with a later date, or act on what it covered and delete it"
                            .to_owned(),
                    since: Some(rule.ends()),
                    ..Finding::default()
                };
                (severity, finding)
            });
        expired.chain(broken).collect()
    }

    fn warnings(&self) -> impl Iterator<Item = String> {
        self.unmatched().map(|rule| {
            let words = rule.words();
            format!("suppression_unmatched: {words} covers no finding: delete it, or correct it")
        })
    }
}

fn ended(rule: &Rule) -> String {
    format!("its last day was {}; its reason was: {}", rule.expires.to_iso(), rule.reason)
}

fn case_of<'a>(grant: &'a Grant, verdict: &Verdict) -> Case<'a> {
    Case {
        grant: &grant.id,
        principal: &grant.principal,
        cluster: &grant.cluster,
        cluster_name: &grant.cluster_name,
        verdict: verdict.kind.as_str(),
    }
}

fn break_glass(grant: &Grant, rule: &Rule, last: Micros, count: i64) -> Finding {
    Finding {
        severity: BREAK_GLASS_USED.as_str(),
        verdict: "break_glass_used",
        grant_id: grant.id.clone(),
        cluster: grant.cluster_name.clone(),
        principal: grant.principal.clone(),
        grant: words(grant),
        detail: format!(
            "a break-glass principal was used {count} times, last at {}",
            last.to_rfc3339()
        ),
        recommendation: format!("review: ask {} whether it was an emergency", rule.owner),
        since: Some(last),
        ..Finding::default()
    }
}

/// True when a grant of the customer's is to act on.
fn is_finding(grant: &Grant, verdict: &Verdict) -> bool {
    let fine = matches!(verdict.kind, Kind::Used | Kind::TooNew | Kind::Unobservable);
    let quiet = fine && !grant.impostor || grant.ineffective == Some(Ineffective::Deleted);
    !quiet && !grant.managed_by_aws
}

/// What the summary says, by what is to act on and what somebody answers for.
pub(super) fn summarise(
    inputs: &Inputs<'_>,
    coverage: &Coverage,
    judged: &[JudgedCluster],
    marks: &Marked<'_>,
) -> Judged {
    let mut counts: BTreeMap<Kind, u64> = BTreeMap::new();
    let (mut managed, mut lowered) = (0, 0);
    let (mut findings, mut suppressed) = (marks.findings(), Vec::new());
    for (idx, (cluster, judged)) in inputs.joined.clusters.iter().zip(judged).enumerate() {
        let all = cluster.grants.iter().zip(&judged.verdicts).zip(&judged.decisions);
        for (grant_idx, ((grant, verdict), decision)) in all.enumerate() {
            if grant.managed_by_aws {
                managed += 1;
                continue;
            }
            *counts.entry(verdict.kind).or_default() += 1;
            let for_want = ["coverage", "no_logs", "inventory_hole", "authenticated_no_audit_log"];
            if for_want.contains(&verdict.reason.as_str()) {
                lowered += 1;
            }
            let Some(mark) = marks.of(idx, grant_idx) else { continue };
            let suppression = mark.rule.map(suppression);
            let list = if suppression.is_some() { &mut suppressed } else { &mut findings };
            let finding = finding(grant, verdict, decision);
            list.push((verdict.severity, Finding { suppression, ..finding }));
        }
    }
    let mut streams = Vec::new();
    let mut warnings: Vec<String> = marks.warnings().collect();
    let window = inputs.analyse.window;
    for (idx, (inventory, _)) in inputs.world.clusters.iter().enumerate() {
        let share = coverage.audit(&inventory.arn).share(window);
        let name = format!("audit log of {}", inputs.world.name_of(inventory));
        streams.push((name, share.covered, share.hours));
        if !coverage.has_audit(&inventory.arn) {
            warnings.push(without_audit(
                inventory,
                inputs.joined.clusters.get(idx),
                judged.get(idx),
            ));
        }
        let share = coverage.cloudtrail(&inventory.account).share(window);
        let name = format!("CloudTrail of {}", inventory.account);
        if !streams.iter().any(|(known, ..)| *known == name) {
            if share.covered == 0 {
                warnings.push(format!(
                    "no {name} was found: what pods do in AWS through Pod Identity and IRSA cannot be \
                     judged, and sessions, their tags and who made each grant are not known"
                ));
            }
            streams.push((name, share.covered, share.hours));
        }
    }
    Judged {
        verdicts: Kind::ALL
            .into_iter()
            .map(|kind| (kind.as_str(), counts.get(&kind).copied().unwrap_or(0)))
            .collect(),
        managed,
        findings: worst_first(findings),
        suppressed: worst_first(suppressed),
        coverage: streams,
        warnings,
        lowered,
        api_moves: Vec::new(),
        history: Vec::new(),
    }
}

fn suppression(rule: &Rule) -> Suppression {
    Suppression {
        owner: rule.owner.clone(),
        reason: rule.reason.clone(),
        expires: rule.expires.to_iso(),
    }
}

fn worst_first(mut findings: Vec<(Severity, Finding)>) -> Vec<Finding> {
    findings.sort_by(|a, b| {
        let key = |f: &Finding| (f.cluster.clone(), f.principal.clone(), f.grant.clone());
        (b.0, key(&a.1)).cmp(&(a.0, key(&b.1)))
    });
    findings.into_iter().map(|(_, finding)| finding).collect()
}

/// What is judged without the audit log of a cluster, and what it would add.
fn without_audit(
    inventory: &ClusterInventory,
    cluster: Option<&Cluster<'_>>,
    judged: Option<&JudgedCluster>,
) -> String {
    let (mut silent, mut present, mut blind) = (0, 0, 0);
    let grants = cluster.map(|cluster| cluster.grants).unwrap_or_default();
    let verdicts = judged.map(|judged| judged.verdicts.as_slice()).unwrap_or_default();
    for (_, verdict) in grants.iter().zip(verdicts).filter(|(grant, _)| !grant.managed_by_aws) {
        match verdict.reason.as_str() {
            "no_session" | "no_token_redeemed" => silent += 1,
            "authenticated_no_audit_log" => present += 1,
            "no_logs" => blind += 1,
            _ => {}
        }
    }
    let name = &inventory.name;
    let audit_enabled = inventory.cluster.as_ref().and_then(|cluster| cluster.audit_enabled);
    let how = if audit_enabled == Some(false) {
        "; its audit log type is off (aws eks update-cluster-config --logging)"
    } else {
        ""
    };
    format!(
        "no audit log of {name} was found: CloudTrail alone shows that {silent} grants served nobody; \
         the audit log would show what {present} grants of principals that came were used for, \
         and judge {blind} that only Kubernetes sees{how}"
    )
}

/// The grant, for people.
fn words(grant: &Grant) -> String {
    let place = if grant.scope == "cluster" {
        "the cluster".to_owned()
    } else {
        grant.namespaces.join(", ")
    };
    let short = access_policy_name(&grant.grant_ref);
    let through = match short {
        "" => String::new(),
        short => format!(" {short}"),
    };
    let role = match grant.role_ref.as_str() {
        role if role.is_empty() || role == grant.grant_ref => String::new(),
        role => format!(" -> {role}"),
    };
    format!("{}{through}{role} on {place}", grant.kind.as_str())
}

fn finding(grant: &Grant, verdict: &Verdict, decision: &Decision) -> Finding {
    Finding {
        severity: verdict.severity.as_str(),
        verdict: verdict.kind.as_str(),
        grant_id: grant.id.clone(),
        cluster: grant.cluster_name.clone(),
        principal: grant.principal.clone(),
        grant: words(grant),
        detail: verdict.detail.clone(),
        recommendation: proposals::words(decision),
        ..Finding::default()
    }
}
