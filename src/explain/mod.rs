//! One principal or one grant, from grant to use, for a person at a terminal: `overgrant explain`.
//!
//! Input: rows of a finished run, selected by who is meant ([`who`]). Output: a [`Dossier`] and its
//! rendering. Pure: nothing is read, and nothing is judged anew; verdicts are those of the run.

mod build;
mod matrix;
mod render;
pub mod rows;
pub mod who;

pub use build::{Material, build, role_refs};
pub use matrix::{Cell, Matrix, MatrixRow};
pub use render::render;

use serde::{Serialize, Serializer};

use crate::model::arn::access_policy_name;
use crate::model::time::{Day, Micros};
use crate::table::rows::grants::{GrantMemberRow, GrantRow, IdentityRow};
use crate::table::rows::verdicts::VerdictRow;
use rows::{CallerRow, HybridRow};
use who::Subject;

/// Tables of the size of the inventory, read whole.
#[derive(Debug, Clone, Default)]
pub struct Tables {
    /// Grants.
    pub grants: Vec<GrantRow>,
    /// Their verdicts.
    pub verdicts: Vec<VerdictRow>,
    /// Mappings.
    pub identities: Vec<IdentityRow>,
    /// Whom grants serve.
    pub members: Vec<GrantMemberRow>,
    /// Everyone who made a request.
    pub callers: Vec<CallerRow>,
    /// Grants whose policies are enough only together with their rules.
    pub hybrids: Vec<HybridRow>,
}

/// All that is said of someone.
#[derive(Debug, Clone, Serialize)]
pub struct Dossier {
    /// Who.
    pub subject: Subject,
    /// First instant of the window.
    #[serde(serialize_with = "instant")]
    pub since: Micros,
    /// First instant after it.
    #[serde(serialize_with = "instant")]
    pub until: Micros,
    /// Mappings that let it in.
    pub ways_in: Vec<WayIn>,
    /// What it may do, worst first.
    pub grants: Vec<Held>,
    /// Who is behind it.
    pub sessions: Vec<Issued>,
    /// Tags of its sessions and in how many.
    pub tags: Vec<(String, String, i64)>,
    /// What it did and what not, per cluster.
    pub matrices: Vec<Matrix>,
    /// Per day of the window.
    pub days: Vec<OfDay>,
    /// Programs it came with, most requests first.
    pub agents: Vec<(String, i64)>,
    /// Others who acted in its name.
    pub in_its_name: Vec<(String, String, i64)>,
    /// Calls of AWS by its role, most first: service, call, error, how often.
    pub aws: Vec<(String, String, String, i64)>,
    /// What the logs cover: stream, covered hours, all hours.
    pub evidence: Vec<(String, i64, i64)>,
}

/// A mapping that lets someone in.
#[derive(Debug, Clone, Serialize)]
pub struct WayIn {
    /// Cluster name.
    pub cluster: String,
    /// `access_entry` …
    pub how: String,
    /// As configured.
    pub principal: String,
    /// Type of an access entry.
    pub entry_type: Option<String>,
    /// Kubernetes username.
    pub username: String,
    /// Kubernetes groups.
    pub groups: Vec<String>,
    /// Why it cannot be exercised; `None` when it can.
    pub dead_because: Option<String>,
    /// When it was made.
    #[serde(serialize_with = "maybe_instant")]
    pub created_at: Option<Micros>,
    /// By whom.
    pub created_by: Option<String>,
}

/// A grant that someone holds, with what the run says of it.
#[derive(Debug, Clone, Serialize)]
pub struct Held {
    /// The grant.
    pub grant: GrantWords,
    /// Group that carries it.
    pub via_group: Option<String>,
    /// `over_scoped` …
    pub verdict: String,
    /// Others that hold.
    pub also: String,
    /// `critical` …
    pub severity: String,
    /// `high` …
    pub confidence: String,
    /// Why.
    pub detail: String,
    /// Share of hours that the logs cover.
    pub coverage: f64,
    /// Since when it could be used.
    #[serde(serialize_with = "maybe_instant")]
    pub valid_from: Option<Micros>,
    /// By whom it was granted.
    pub granted_by: Option<String>,
    /// Latest use, by anyone it serves.
    #[serde(serialize_with = "maybe_instant")]
    pub last_used: Option<Micros>,
    /// Distinct days with use.
    pub used_days: i64,
    /// `keep` …
    pub recommendation: String,
    /// What would be enough.
    pub enough: Option<String>,
    /// What to know before acting.
    pub recommendation_detail: Option<String>,
    /// Permissions used that the proposals would refuse; `None` where nothing is to change.
    pub replay_denied: Option<i64>,
    /// The first of them.
    pub replay_breaks: Option<String>,
}

/// A grant in words.
#[derive(Debug, Clone, Serialize)]
pub struct GrantWords {
    /// The grant.
    pub grant_id: String,
    /// Cluster name.
    pub cluster: String,
    /// `access_policy` …
    pub kind: String,
    /// Whose.
    pub principal: String,
    /// Policy, group, binding or role.
    pub reference: String,
    /// Where: `the cluster` or namespaces.
    pub on: String,
    /// True for defaults of AWS and Kubernetes.
    pub managed: bool,
}

/// Sessions that came about in one way.
#[derive(Debug, Clone, Serialize)]
pub struct Issued {
    /// `assume_role` …
    pub kind: String,
    /// Who asked.
    pub source: String,
    /// The person behind it.
    pub person: Option<String>,
    /// Who asked for the session that asked, and so on, nearest first.
    pub chain: Vec<String>,
    /// How many.
    pub sessions: i64,
    /// Earliest.
    #[serde(serialize_with = "instant")]
    pub first: Micros,
    /// Latest.
    #[serde(serialize_with = "instant")]
    pub last: Micros,
}

/// Use on one day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct OfDay {
    /// The day.
    #[serde(serialize_with = "date")]
    pub day: Day,
    /// Requests that were allowed.
    pub allowed: i64,
    /// Requests that were refused.
    pub refused: i64,
    /// Hours that the audit logs cover, of those expected.
    pub covered: i64,
    /// Hours expected.
    pub hours: i64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands out references")]
fn instant<S: Serializer>(at: &Micros, out: S) -> Result<S::Ok, S::Error> {
    out.serialize_str(&at.to_rfc3339())
}

#[expect(clippy::ref_option, reason = "serde hands out references")]
fn maybe_instant<S: Serializer>(at: &Option<Micros>, out: S) -> Result<S::Ok, S::Error> {
    at.map(Micros::to_rfc3339).serialize(out)
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands out references")]
fn date<S: Serializer>(day: &Day, out: S) -> Result<S::Ok, S::Error> {
    out.serialize_str(&day.to_iso())
}

/// `ci-deployer: AmazonEKSViewPolicy on shop`
#[must_use]
pub fn grant_words(grant: &GrantRow) -> String {
    format!("{}: {}", grant.principal, reference_words(grant))
}

/// Policy, binding or role without what repeats in every one of its kind.
fn reference_words(grant: &GrantRow) -> String {
    let reference = access_policy_name(&grant.grant_ref);
    if grant.role_ref.is_empty() || grant.role_ref == grant.grant_ref {
        reference.to_owned()
    } else {
        format!("{reference} -> {}", grant.role_ref)
    }
}
