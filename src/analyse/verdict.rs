//! The verdict of a grant: the first rule that holds, and the others that hold beside it.
//!
//! Order: `ineffective`, `unobservable`, without use `too_new` or `unused`, with use `redundant`,
//! `over_scoped`, `used`. No verdict without evidence: a hole in the logs, an unpublished policy or
//! a permission that leaves no audit line is said and never called unused.

use std::collections::BTreeSet;

use crate::join::cluster::Cluster;
use crate::join::presence::Presence;
use crate::model::arn::PrincipalName;
use crate::model::grant::{Allows, Grant, GrantKind, Ineffective};
use crate::model::inventory::ClusterInventory;
use crate::model::time::{MICROS_PER_HOUR, Micros, Window};
use crate::rbac::cells::Universe;
use crate::rbac::observable::{Observability, rule_observability};
use crate::rbac::sensitive::{self, Severity};
use crate::rbac::smallest::Offers;

use super::AnalysePlan;
use super::alone::{self, Silent, last_authenticated};
use super::coverage::{Coverage, Covered, Share, span_of};
use super::evidence::{ClassesSeen, Evidence, class_of_grant, is_read};
use super::scope::{TooWide, rules_of, too_wide};

/// What is said of a grant, in the order of the rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// It cannot be exercised.
    Ineffective,
    /// Its rules or the evidence are missing.
    Unobservable,
    /// Not used, and too young to say.
    TooNew,
    /// Not used.
    Unused,
    /// The principal's other grants cover all its use.
    Redundant,
    /// Wider than its use.
    OverScoped,
    /// Used, and no wider than it should be.
    Used,
}

impl Kind {
    /// All kinds, in order.
    pub const ALL: [Kind; 7] = [
        Kind::Ineffective,
        Kind::Unobservable,
        Kind::TooNew,
        Kind::Unused,
        Kind::Redundant,
        Kind::OverScoped,
        Kind::Used,
    ];

    /// The name in tables.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::Ineffective => "ineffective",
            Kind::Unobservable => "unobservable",
            Kind::TooNew => "too_new",
            Kind::Unused => "unused",
            Kind::Redundant => "redundant",
            Kind::OverScoped => "over_scoped",
            Kind::Used => "used",
        }
    }
}

/// How sure the verdict is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Confidence {
    /// Something that matters is missing or inferred.
    Low,
    /// Something small is.
    Medium,
    /// Nothing is.
    High,
}

impl Confidence {
    /// The name in tables.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Confidence::Low => "low",
            Confidence::Medium => "medium",
            Confidence::High => "high",
        }
    }
}

/// What is said of one grant.
#[derive(Debug, Clone, PartialEq)]
pub struct Verdict {
    /// The first rule that holds.
    pub kind: Kind,
    /// Further rules that hold, in order.
    pub also: Vec<Kind>,
    /// A code: `no_use`, `no_session`, `coverage`, `never_matches`, …
    pub reason: String,
    /// The same for people, with figures.
    pub detail: String,
    /// When anyone it serves was last seen by CloudTrail or redeemed a token.
    pub last_authenticated: Option<Micros>,
    /// Cells that exact RBAC would need, of what is too wide.
    pub needs: Option<u64>,
    /// How sure.
    pub confidence: Confidence,
    /// How bad.
    pub severity: Severity,
    /// Days since the grant could first be used; `None` when nothing tells.
    pub age_days: Option<i64>,
    /// Coverage of the span that was judged.
    pub share: Share,
    /// The span that was judged.
    pub span: Window,
    /// True when the grant could be used during the whole window, and the window is covered.
    pub whole_window: bool,
}

/// What the rules need to know of a cluster.
#[derive(Debug)]
pub struct Case<'a> {
    /// Identities and grants.
    pub cluster: &'a Cluster<'a>,
    /// The snapshot they came from.
    pub inventory: &'a ClusterInventory,
    /// Resources to count cells over.
    pub universe: Universe,
    /// Audit hours of the cluster.
    pub audit: Covered,
    /// CloudTrail hours of the cluster's account.
    pub cloudtrail: Covered,
    /// Coverage of all accounts: a principal may live in another one.
    pub coverage: &'a Coverage,
    /// What CloudTrail alone shows of IAM principals.
    pub presence: &'a Presence,
    /// Accounts of whose principals every audited session left a redemption, so that none proves no
    /// login.
    pub calibrated: BTreeSet<String>,
    /// True when CloudTrail silence in a region proves anything.
    pub regions_known: bool,
    /// Which classes of callers reach the logs.
    pub classes: ClassesSeen,
    /// True when access reviews reach the log with their bodies.
    pub reviews_seen: bool,
    /// Published policies, measured.
    pub offers: &'a Offers<'a>,
}

/// Judges one grant. `redundant` comes from [`super::paths::redundant`], `width` from
/// [`super::scope::width`].
#[must_use]
pub fn judge(
    case: &Case<'_>,
    grant: &Grant,
    evidence: &Evidence<'_>,
    redundant: bool,
    width: u64,
    plan: &AnalysePlan,
) -> Verdict {
    let aws_role = grant.allows == Allows::AwsRole;
    let valid_from = effective_from(grant, evidence);
    let span = span_of(plan.window, valid_from);
    let is_enough = |share: Share| {
        share.ratio() >= plan.min_coverage && share.longest_hole <= plan.max_hole_hours
    };
    let mut covered = match (aws_role, trail_of(case, grant)) {
        (true, account) if account == case.inventory.account => case.cloudtrail.clone(),
        (true, account) => case.coverage.cloudtrail(&account),
        (false, _) => case.audit.clone(),
    };
    // Where the audit log cannot tell, CloudTrail may: who never came did nothing.
    let alone = if aws_role || evidence.is_used() || is_enough(covered.share(span)) {
        None
    } else {
        alone::look(case, grant)
    };
    let silent = alone.as_ref().and_then(|alone| alone.silent);
    if let Some(alone) = &alone
        && silent.is_some()
        && is_enough(alone.covered.share(span))
    {
        covered = alone.covered.clone();
    }
    let share = covered.share(span);
    let enough = is_enough(share);
    let age_days =
        valid_from.map(|from| (plan.window.until.0 - from.0).max(0) / (24 * MICROS_PER_HOUR));
    let wide = if aws_role || !evidence.is_used() {
        None
    } else {
        too_wide(
            grant,
            width,
            &evidence.permissions,
            &case.universe,
            case.offers,
            plan.over_scope_ratio,
        )
    };
    let judgeable = matches!(grant.allows, Allows::Rules(_) | Allows::Everything);
    let blind = match (&alone, silent) {
        (Some(_), Some(_)) if enough && judgeable => None,
        (Some(alone), None) if share.covered == 0 && alone.seen.last.is_some() && judgeable => {
            Some(alone.words())
        }
        _ => blind_spot(case, grant, evidence, enough, share),
    };
    let old_enough = age_days.is_none_or(|days| days >= plan.min_age_days);

    let mut holds = Vec::new();
    if grant.ineffective.is_some() {
        holds.push(Kind::Ineffective);
    }
    if blind.is_some() {
        holds.push(Kind::Unobservable);
    }
    if evidence.is_used() {
        if redundant {
            holds.push(Kind::Redundant);
        }
        if wide.is_some() {
            holds.push(Kind::OverScoped);
        }
        if holds.is_empty() || holds == [Kind::Unobservable] {
            holds.push(Kind::Used);
        }
    } else if !old_enough {
        holds.push(Kind::TooNew);
    } else if blind.is_none() && enough {
        holds.push(Kind::Unused);
    }
    let kind = holds.first().copied().unwrap_or(Kind::Unobservable);
    let (reason, mut detail) =
        words(grant, evidence, kind, (blind, silent), wide.as_ref(), share, age_days);
    if grant.impostor {
        detail = format!("it looks like AWS's or Kubernetes' own and is not; {detail}");
    }
    let whole = covered.share(plan.window);
    // Only the audit log shows writes to aws-auth and to bindings: without it their dates prove
    // nothing.
    let dated =
        silent.is_none() || !matches!(grant.kind, GrantKind::AwsAuthGroup | GrantKind::RbacSubject);
    let whole_window = whole.ratio() >= plan.min_coverage
        && whole.longest_hole <= plan.max_hole_hours
        && dated
        // A row of aws-auth that the covering log never saw written is older than the window; of
        // anything else no date is no proof.
        && valid_from.map_or(grant.kind == GrantKind::AwsAuthGroup, |from| {
            from <= plan.window.since
        });
    Verdict {
        kind,
        also: holds.into_iter().skip(1).collect(),
        reason,
        detail,
        last_authenticated: last_authenticated(case, grant),
        needs: wide.as_ref().map(|wide| wide.needs),
        confidence: confidence(case, grant, evidence, kind, share, silent),
        severity: severity(grant, kind, wide.as_ref()),
        age_days,
        share,
        span,
        whole_window,
    }
}

/// When the grant could first be used. An aws-auth row carries no date but that of the writes that
/// were seen: without one it is older than the window. Use before a date proves the date wrong.
fn effective_from(grant: &Grant, evidence: &Evidence<'_>) -> Option<Micros> {
    match (grant.valid_from, evidence.first_credited) {
        (Some(from), Some(first)) => Some(from.min(first)),
        (from, _) => from,
    }
}

/// The account whose trail shows the sessions of a pod's role. Whoever brings a web identity signs
/// nothing, so only the role's own account records it.
/// Source: <https://docs.aws.amazon.com/IAM/latest/UserGuide/cloudtrail-integration.html>.
fn trail_of(case: &Case<'_>, grant: &Grant) -> String {
    let of_role = PrincipalName::from_arn(&grant.grant_ref).map(|name| name.account);
    match (grant.kind, of_role) {
        (GrantKind::Irsa, Some(account)) => account,
        _ => case.inventory.account.clone(),
    }
}

fn blind_spot(
    case: &Case<'_>,
    grant: &Grant,
    evidence: &Evidence<'_>,
    enough: bool,
    share: Share,
) -> Option<(&'static str, String)> {
    match grant.allows {
        Allows::Unpublished => {
            return Some((
                "rules_unpublished",
                "AWS does not publish the rules of this policy".into(),
            ));
        }
        Allows::Hole => {
            let what = "the inventory does not hold the rules; take it again with kubernetes.json";
            return Some(("inventory_hole", what.into()));
        }
        Allows::Rules(_) | Allows::Everything | Allows::AwsRole => {}
    }
    if evidence.is_used() {
        return None;
    }
    if share.covered == 0 {
        let log = if grant.allows == Allows::AwsRole { "CloudTrail" } else { "audit" };
        return Some(("no_logs", format!("no {log} log covers any hour of it")));
    }
    if !enough {
        let detail = format!(
            "{} of {} hours covered, longest hole {} h",
            share.covered, share.hours, share.longest_hole
        );
        return Some(("coverage", detail));
    }
    if grant.allows == Allows::AwsRole && !case.coverage.shows_sessions(&trail_of(case, grant)) {
        let what = "the trail shows no session of anybody: one of writes alone leaves them out";
        return Some(("sessions_not_logged", what.into()));
    }
    let Allows::Rules(rules) = &grant.allows else { return None };
    if !rules.is_empty()
        && rules.iter().all(|rule| match rule_observability(rule) {
            Observability::Observable => false,
            Observability::NeedsReviews => !case.reviews_seen,
            Observability::Never => true,
        })
    {
        return Some(("leaves_no_trace", "its permissions leave no line in the audit log".into()));
    }
    let class = class_of_grant(grant)?;
    let reads = rules.iter().flat_map(|r| &r.rule.verbs).any(|v| v == "*" || is_read(v));
    if !grant.managed_by_aws && !case.classes.has(class, reads) {
        let what = if reads { "reads" } else { "writes" };
        let detail =
            format!("no {what} of this kind of caller reach the log; a filter may drop them");
        return Some(("class_not_logged", detail));
    }
    None
}

fn words(
    grant: &Grant,
    evidence: &Evidence<'_>,
    kind: Kind,
    (blind, silent): (Option<(&'static str, String)>, Option<Silent>),
    wide: Option<&TooWide>,
    share: Share,
    age_days: Option<i64>,
) -> (String, String) {
    let hours = format!("{} of {} hours covered", share.covered, share.hours);
    match kind {
        Kind::Ineffective => {
            let why = grant.ineffective.map_or("ineffective", |why| why.as_str());
            (why.to_owned(), ineffective_words(why).to_owned())
        }
        Kind::Unobservable => {
            blind.map_or(("coverage".to_owned(), hours), |(code, why)| (code.to_owned(), why))
        }
        Kind::TooNew => {
            ("too_new".to_owned(), format!("{} days old, not used yet", age_days.unwrap_or(0)))
        }
        Kind::Unused if grant.allows == Allows::AwsRole => {
            ("no_session".to_owned(), format!("no session was issued through it; {hours}"))
        }
        Kind::Unused => match silent {
            Some(Silent::NoSession) => {
                let what = "CloudTrail shows no session and no call of anyone it serves";
                ("no_session".to_owned(), format!("{what}; {hours}"))
            }
            Some(Silent::NoTokenRedeemed) => {
                let what = "nobody it serves redeemed a token of EKS";
                ("no_token_redeemed".to_owned(), format!("{what}; {hours}"))
            }
            None => ("no_use".to_owned(), format!("not one request; {hours}")),
        },
        Kind::Redundant => {
            let others = "other grants of everyone it serves cover all its use";
            ("covered_by_others".to_owned(), others.to_owned())
        }
        Kind::OverScoped => wide.map_or_else(
            || ("too_wide".to_owned(), String::new()),
            |wide| (wide.by.join(","), wide.detail.clone()),
        ),
        Kind::Used => {
            let days = evidence.days.len();
            let what = if grant.allows == Allows::AwsRole { "sessions" } else { "requests" };
            ("in_use".to_owned(), format!("{} {what} on {days} days", evidence.count))
        }
    }
}

fn ineffective_words(code: &str) -> &'static str {
    match code {
        "inert_aws_auth" => "the cluster is in mode API: aws-auth is ignored",
        "overridden_by_entry" => "an access entry for the same principal wins over aws-auth",
        "overridden_by_row" => "a later aws-auth row for the same ARN wins",
        "never_matches" => "a rolearn with a path never matches: STS drops the path",
        "recreated_principal" => {
            "the role or user was made again after the entry; its new id never matches"
        }
        "deleted_principal" => "the role or user no longer exists",
        "unbound_group" => "no binding names the group",
        "no_permission" => "the mapping leads to no permission",
        "dangling_role" => "the bound role does not exist",
        "dangling_subject" => "the ServiceAccount does not exist",
        "no_such_subject" => "nobody can become this user or group",
        "trust_denies" => "the role's trust policy does not let this ServiceAccount in",
        "entries_disabled" => "the cluster is in mode CONFIG_MAP: access entries are off",
        "empty_role" => "the role grants nothing",
        "deleted" => "it was taken away within the window",
        "reprovisioned_sso_role" => {
            "Identity Center has made the role again under another suffix; this one is gone"
        }
        _ => "it cannot be exercised",
    }
}

fn confidence(
    case: &Case<'_>,
    grant: &Grant,
    evidence: &Evidence<'_>,
    kind: Kind,
    share: Share,
    silent: Option<Silent>,
) -> Confidence {
    let by_coverage = if share.ratio() >= 0.99 {
        Confidence::High
    } else if share.ratio() >= 0.95 {
        Confidence::Medium
    } else {
        Confidence::Low
    };
    match kind {
        Kind::Ineffective => Confidence::High,
        Kind::Unobservable => Confidence::Low,
        Kind::TooNew | Kind::Unused => {
            let from_cloudtrail = grant.allows == Allows::AwsRole || silent.is_some();
            let regions = !from_cloudtrail || case.regions_known;
            if regions { by_coverage } else { by_coverage.min(Confidence::Medium) }
        }
        // A missing hour may hide use that makes the grant fit better than it seems.
        Kind::Redundant | Kind::OverScoped => by_coverage,
        Kind::Used => {
            if evidence.credited {
                Confidence::High
            } else {
                Confidence::Medium
            }
        }
    }
}

fn severity(grant: &Grant, kind: Kind, wide: Option<&TooWide>) -> Severity {
    if grant.managed_by_aws {
        return Severity::Info;
    }
    if grant.impostor && grant.ineffective != Some(Ineffective::Deleted) {
        return Severity::Critical;
    }
    let held = || match rules_of(grant) {
        Some(rules) => sensitive::severity_of(&rules),
        // What an IAM role or an unpublished policy may do is not known here.
        None => Severity::Medium,
    };
    match kind {
        Kind::Used | Kind::TooNew => Severity::Info,
        Kind::Ineffective if grant.ineffective == Some(Ineffective::Deleted) => Severity::Info,
        Kind::Unobservable | Kind::Ineffective => Severity::Low,
        Kind::Unused | Kind::Redundant => held(),
        Kind::OverScoped => wide.map_or_else(held, |wide| wide.severity),
    }
}
