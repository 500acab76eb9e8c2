//! Judges every grant and writes the tables that are recomputed in each run.

mod evidence;
mod findings;
mod grants;
mod lost;
mod migration;
mod proposals;
mod sessions;
mod tokens;
mod used;

use std::collections::{BTreeMap, BTreeSet};

use super::PipelineError;
use super::access::{FactFiles, Joined, some};
use super::used::UsedBy;
use super::vouched::Vouched;
use super::world::World;
use crate::analyse::coverage::{self, Coverage, Unreadable};
use crate::analyse::evidence::{Evidence, Observed, collect};
use crate::analyse::propose::{self, Decision};
use crate::analyse::recommend::advise;
use crate::analyse::scope::{rules_of, width};
use crate::analyse::verdict::{Case, Verdict, judge};
use crate::analyse::{AnalysePlan, parallel, paths};
use crate::facts::fold::Dated;
use crate::facts::sort::SpillDir;
use crate::join::sessions::Sessions;
use crate::join::usage::Usage;
use crate::model::arn::PrincipalName;
use crate::model::coverage::{Deliveries, LogStream};
use crate::model::fact::ChangeFact;
use crate::model::outcome::{Reused, Unit};
use crate::model::tally::Tally;
use crate::model::time::{MICROS_PER_HOUR, Micros, Window};
use crate::rbac::cells::{Universe, needed_cells};
use crate::rbac::policies::PolicyTable;
use crate::rbac::smallest::Offers;
use crate::report::output::OutputDir;
use crate::report::summary::{ApiMove, Finding};
use crate::suppress::Rule;
use crate::table::parquet::RowWriter;
use crate::table::rows::verdicts::{RunRow, VerdictHistoryRow, VerdictRow};
use crate::table::{Row, SCHEMA_VERSION};
use used::UsedRows;

pub(super) struct Inputs<'a> {
    pub(super) world: &'a World,
    pub(super) policies: &'a PolicyTable,
    pub(super) joined: &'a Joined<'a>,
    /// For tables of what is too much to be held.
    pub(super) facts: &'a FactFiles<'a>,
    pub(super) spill: &'a SpillDir,
    pub(super) changes: &'a [Dated<ChangeFact>],
    pub(super) reused: &'a Reused,
    pub(super) deliveries: &'a Deliveries,
    pub(super) tally: &'a Tally,
    /// What digests say of hours.
    pub(super) vouched: &'a Vouched,
    /// Folders that could not be listed.
    pub(super) unlisted: &'a [String],
    /// Days whose copies could not all be told apart.
    pub(super) inexact: &'a BTreeSet<Unit>,
    pub(super) analyse: AnalysePlan,
    /// What people said of findings.
    pub(super) rules: &'a [Rule],
    pub(super) threads: usize,
    pub(super) out: &'a OutputDir,
}

/// What the summary and the exit code need.
pub(super) struct Judged {
    pub(super) verdicts: Vec<(&'static str, u64)>,
    pub(super) managed: u64,
    /// What counts, worst first.
    pub(super) findings: Vec<Finding>,
    /// What somebody answers for, worst first.
    pub(super) suppressed: Vec<Finding>,
    pub(super) coverage: Vec<(String, i64, i64)>,
    pub(super) warnings: Vec<String>,
    /// Customers' grants that could not be judged for want of logs or inventory.
    pub(super) lowered: u64,
    /// Clusters that are not yet in mode API.
    pub(super) api_moves: Vec<ApiMove>,
    /// The verdicts as a file of the history.
    pub(super) history: Vec<u8>,
}

/// One cluster, judged. What was used of it is in the tables by then.
#[derive(Default)]
pub(super) struct JudgedCluster {
    pub(super) observed: Vec<Observed>,
    pub(super) verdicts: Vec<Verdict>,
    pub(super) decisions: Vec<Decision>,
    /// Cells beyond the use; `None` where the rules are not known.
    excess: Vec<Option<i64>>,
}

pub(super) fn write(inputs: &Inputs<'_>, mut used: UsedBy) -> Result<Judged, PipelineError> {
    let (coverage, undated) = coverage_of(inputs);
    let people = people(&inputs.joined.sessions, inputs.analyse.window);
    let mut rows = UsedRows::new(inputs);
    let mut judged = Vec::with_capacity(inputs.joined.clusters.len());
    for idx in 0..inputs.joined.clusters.len() {
        let usage = used.take(idx, inputs.spill)?;
        judged.push(judge_cluster(inputs, &coverage, &people, (idx, &usage), &mut rows)?);
    }

    let run = RunRow {
        since: inputs.analyse.window.since,
        until: inputs.analyse.window.until,
        tool_version: env!("CARGO_PKG_VERSION").to_owned(),
        schema_version: SCHEMA_VERSION.to_owned(),
        policy_table_version: inputs.policies.version().to_owned(),
        clusters: i64::try_from(inputs.world.clusters.len()).unwrap_or(i64::MAX),
    };
    inputs.out.write_table([run])?;
    let observed = rows.write(inputs)?;
    grants::write(inputs, observed)?;
    sessions::write(inputs)?;
    let marks = findings::Marked::new(inputs, &judged);
    evidence::write(inputs, &coverage, marks.notes())?;
    let api_moves = migration::write(inputs, &coverage, &judged)?;
    tokens::write(inputs)?;
    let history = write_verdicts(inputs, &judged, &marks)?;
    proposals::write(inputs, &judged)?;
    let mut judged = findings::summarise(inputs, &coverage, &judged, &marks);
    judged.warnings.extend(undated);
    Ok(Judged { api_moves, history, ..judged })
}

/// What is covered, and what to say of objects that are lost with all hours.
fn coverage_of(inputs: &Inputs<'_>) -> (Coverage, Option<String>) {
    let mut unreadable =
        Unreadable { of_cluster: inputs.deliveries.ambiguous.clone(), ..Unreadable::default() };
    let window = inputs.analyse.window;
    let undated: Vec<&str> = inputs
        .tally
        .damaged
        .iter()
        .filter(|object| !lost::note_object(&mut unreadable, object, window))
        .map(String::as_str)
        .collect();
    for (account, hours) in &inputs.vouched.missing {
        unreadable.cloudtrail.entry(account.clone()).or_default().extend(hours);
    }
    for folder in inputs.unlisted {
        lost::note_unlisted(&mut unreadable, folder, window);
    }
    (Coverage::new(inputs.deliveries, &unreadable, window), lost::warning(&undated))
}

fn judge_cluster(
    inputs: &Inputs<'_>,
    coverage: &Coverage,
    people: &People<'_>,
    (idx, usage): (usize, &Usage),
    rows: &mut UsedRows<'_>,
) -> Result<JudgedCluster, PipelineError> {
    let (Some(cluster), Some((inventory, found)), Some(seen)) = (
        inputs.joined.clusters.get(idx),
        inputs.world.clusters.get(idx),
        inputs.joined.seen.get(idx),
    ) else {
        return Ok(JudgedCluster::default());
    };
    let window = inputs.analyse.window;
    let issuer = inventory.cluster.as_ref().and_then(|cluster| cluster.oidc_issuer.as_deref());
    let evidence = collect(cluster, usage, &inputs.joined.sessions, issuer, window);
    let namespaces =
        inventory.kubernetes.as_ref().map(|k| k.namespaces.as_slice()).unwrap_or_default();
    let used = usage.uses.iter().map(|used| &used.permission);
    let universe = Universe::new(inventory.api_resources.as_deref(), namespaces, used);
    let multi_region = inventory.trails.iter().flatten().any(|trail| trail.multi_region);
    let offers = Offers::new(inputs.policies, &universe);
    let case = Case {
        cluster,
        inventory,
        audit: coverage.audit(cluster.arn),
        cloudtrail: coverage.cloudtrail(&inventory.account),
        coverage,
        presence: &inputs.joined.presence,
        // Tokens are redeemed where the cluster is: a trail without that region shows none.
        calibrated: inputs
            .joined
            .calibrated()
            .filter(|account| coverage.has_region(account, &inventory.region))
            .map(str::to_owned)
            .collect(),
        regions_known: multi_region || coverage.region_count(&inventory.account) > 1,
        classes: seen.classes.clone(),
        reviews_seen: seen.reviews,
        offers: &offers,
        universe,
    };
    let all_paths = paths::of_uses(cluster, usage);
    let threads = inputs.threads;
    let widths: Vec<u64> =
        parallel::map(threads, cluster.grants, |_, grant| width(grant, &case.universe));
    let redundant = paths::redundant(cluster, &evidence, &all_paths, |grant| {
        widths.get(grant).copied().unwrap_or(0)
    });
    let verdicts: Vec<Verdict> = parallel::map(threads, &evidence, |idx, seen| {
        let width = widths.get(idx).copied().unwrap_or(0);
        cluster.grants.get(idx).map(|grant| {
            judge(&case, grant, seen, redundant.contains(&idx), width, &inputs.analyse)
        })
    })
    .into_iter()
    .flatten()
    .collect();
    let rivals = paths::rivals(cluster.grants.len(), &all_paths);
    let age_hours = (window.until.0 - inventory.captured_at.0) / MICROS_PER_HOUR;
    let stale = age_hours > 24 * inputs.analyse.max_inventory_age_days;
    let advice = advise(cluster.grants, &evidence, &verdicts, &rivals, stale);
    let min_age = inputs.analyse.min_age_days.saturating_mul(24 * MICROS_PER_HOUR);
    let decisions = propose::propose(&propose::Case {
        cluster,
        mode: inventory.cluster.as_ref().map(|cluster| cluster.auth_mode),
        members: &found.members,
        usage,
        profiles: &inputs.joined.profiles,
        people,
        evidence: &evidence,
        verdicts: &verdicts,
        advice: &advice,
        widths: &widths,
        paths: &all_paths,
        making: propose::Making {
            universe: &case.universe,
            offers: &offers,
            verb_groups: inputs.analyse.verb_groups,
        },
        reviews_seen: seen.reviews,
        stale,
        threads,
        new_since: Micros(window.until.0.saturating_sub(min_age)),
    });
    let excess = parallel::map(threads, &evidence, |idx, seen| {
        let rules = cluster.grants.get(idx).and_then(rules_of)?;
        let known = verdicts.get(idx).and_then(|verdict| verdict.needs);
        let needs =
            known.unwrap_or_else(|| needed_cells(&rules, &seen.permissions, &case.universe));
        i64::try_from(widths.get(idx)?.saturating_sub(needs)).ok()
    });
    rows.add(cluster, usage, &evidence)?;
    let observed = evidence.iter().map(Evidence::observed).collect();
    Ok(JudgedCluster { observed, verdicts, decisions, excess })
}

/// People that were seen with sessions of a role.
type People<'a> = BTreeMap<PrincipalName, BTreeSet<&'a str>>;

fn people(sessions: &Sessions, window: Window) -> People<'_> {
    let mut by_text = BTreeMap::new();
    for session in sessions.all.iter().filter(|session| session.issued_at < window.until) {
        if !session.person.is_empty() {
            let people: &mut BTreeSet<_> = by_text.entry(session.role_arn).or_default();
            people.insert(session.person);
        }
    }
    let mut people = People::new();
    for (role, persons) in by_text {
        if let Some(name) = PrincipalName::from_arn(sessions.text(role)) {
            let known = people.entry(name.folded()).or_default();
            known.extend(persons.into_iter().map(|person| sessions.text(person)));
        }
    }
    people
}

/// Writes the verdicts; returns what of them is kept for good.
fn write_verdicts(
    inputs: &Inputs<'_>,
    judged: &[JudgedCluster],
    marks: &findings::Marked<'_>,
) -> Result<Vec<u8>, PipelineError> {
    let mut rows = Vec::new();
    for (idx, (cluster, judged)) in inputs.joined.clusters.iter().zip(judged).enumerate() {
        let Some((_, found)) = inputs.world.clusters.get(idx) else { continue };
        let mut known: BTreeMap<usize, i64> = BTreeMap::new();
        for member in &found.members {
            *known.entry(member.grant).or_default() += 1;
        }
        let all = cluster
            .grants
            .iter()
            .zip(&judged.verdicts)
            .zip(&judged.observed)
            .zip(&judged.decisions);
        for (grant_idx, (((grant, verdict), seen), decision)) in all.enumerate() {
            let also: Vec<&str> = verdict.also.iter().map(|kind| kind.as_str()).collect();
            let count = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
            let mark = marks.of(idx, grant_idx);
            let rule = mark.and_then(|mark| mark.rule);
            rows.push(VerdictRow {
                grant_id: grant.id.clone(),
                cluster: grant.cluster.clone(),
                verdict: verdict.kind.as_str().to_owned(),
                also: also.join(","),
                reason: verdict.reason.clone(),
                detail: verdict.detail.clone(),
                confidence: verdict.confidence.as_str().to_owned(),
                severity: verdict.severity.as_str().to_owned(),
                severity_rank: verdict.severity as i64,
                age_days: verdict.age_days,
                coverage: verdict.share.ratio(),
                window_start: verdict.span.since,
                window_end: verdict.span.until,
                members: count(seen.members).max(known.get(&grant_idx).copied().unwrap_or(0)),
                first_used: seen.first,
                last_used: seen.last,
                last_authenticated: verdict.last_authenticated,
                used_days: count(seen.days),
                used_count: seen.count,
                used_permissions: count(seen.permissions),
                recommendation: decision.advice.as_str().to_owned(),
                recommendation_detail: some(decision.why.join("; ")),
                excess_before: judged.excess.get(grant_idx).copied().flatten(),
                replay_denied: decision.refused.and_then(|n| i64::try_from(n).ok()),
                replay_breaks: some(decision.breaks.join("; ")),
                suppressed: mark.map(|mark| mark.rule.is_some()),
                suppressed_by: rule.map(|rule| rule.owner.clone()),
                suppressed_reason: rule.map(|rule| rule.reason.clone()),
                suppressed_until: rule.map(Rule::ends),
                ..proposals::recommended(decision)
            });
        }
    }
    rows.sort_by(|a, b| a.grant_id.cmp(&b.grant_id));
    let mut history = RowWriter::new(Vec::new());
    for row in &rows {
        history.push(VerdictHistoryRow {
            grant_id: row.grant_id.clone(),
            cluster: row.cluster.clone(),
            verdict: row.verdict.clone(),
            severity: row.severity.clone(),
            recommendation: row.recommendation.clone(),
            until: inputs.analyse.window.until,
            finding: Some(row.suppressed.is_some()),
        })?;
    }
    inputs.out.write_table(rows)?;
    Ok(history.finish()?.0)
}

/// Streams that must be listed even if they never delivered.
fn expected_streams(inputs: &Inputs<'_>) -> Vec<LogStream> {
    let mut all = Vec::new();
    for (inventory, _) in &inputs.world.clusters {
        all.push(LogStream::Audit { cluster: inventory.arn.clone(), stream: String::new() });
        all.push(LogStream::CloudTrail {
            account: inventory.account.clone(),
            region: inventory.region.clone(),
        });
    }
    all
}

fn coverage_hours(inputs: &Inputs<'_>, coverage: &Coverage) -> Vec<coverage::CoverageHour> {
    coverage::hours(coverage, inputs.deliveries, expected_streams(inputs), inputs.analyse.window)
}

/// Writes rows in the order of `key`.
fn write_sorted<R: Row, K: Ord>(
    inputs: &Inputs<'_>,
    mut rows: Vec<R>,
    key: impl Fn(&R) -> K,
) -> Result<(), PipelineError> {
    rows.sort_by_key(|row| key(row));
    Ok(inputs.out.write_table(rows)?)
}
