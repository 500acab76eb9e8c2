//! The run, and what it says of every grant.

use crate::model::time::Micros;
use crate::table::table;

table! {
    "run", "the run", key (tool_version), sort (tool_version),
    RunRow {
        "First instant of the window." since: Micros,
        "First instant after the window." until: Micros,
        "Version of overgrant." tool_version: String,
        "Version of these tables." schema_version: String,
        "Date of the table of published access policies." policy_table_version: String,
        "Clusters in the inventory." clusters: i64,
    }
}

table! {
    "verdicts", "what is said of a grant", key (grant_id), sort (grant_id),
    VerdictRow {
        "The grant." grant_id: String,
        "Cluster ARN." cluster: String,
        "`ineffective` `unobservable` `too_new` `unused` `redundant` `over_scoped` `used`: the first that holds." verdict: String,
        "Further verdicts that hold, comma-joined." also: String,
        "Why, as a code: `no_use`, `no_session`, `coverage`, `smaller_policy`, …" reason: String,
        "Why, for people." detail: String,
        "`high` `medium` `low`." confidence: String,
        "`critical` `high` `medium` `low` `info`." severity: String,
        "4 critical to 0 info, to order by." severity_rank: i64,
        "Whole days since the grant could first be used; null when nothing tells." age_days: Option<i64>,
        "Share of the judged hours that the logs cover, 0 to 1." coverage: f64,
        "First instant of the judged span." window_start: Micros,
        "First instant after it." window_end: Micros,
        "Principals that the grant serves, known or seen." members: i64,
        "Earliest use in the window." first_used: Option<Micros>,
        "Latest use in the window." last_used: Option<Micros>,
        "When an IAM principal it serves last redeemed a token of EKS, else was last seen by CloudTrail." last_authenticated: Option<Micros>,
        "Distinct days with use." used_days: i64,
        "Requests, or sessions of an IAM role." used_count: i64,
        "Distinct permissions used." used_permissions: i64,
        "`keep` `remove` `review`." recommendation: String,
        "Access policy that would be enough; null until it is proven." recommended_policy: Option<String>,
        "Its scope." recommended_scope: Option<String>,
        "Its namespaces, comma-joined." recommended_namespaces: Option<String>,
        "RBAC that would be enough." recommended_rbac: Option<String>,
        "Cells the grant allows beyond its use; null where its rules are not known." excess_before: Option<i64>,
        "Cells the proposal allows beyond the use." excess_after: Option<i64>,
        "Observed requests that the proposal would refuse." replay_denied: Option<i64>,
    }
}
