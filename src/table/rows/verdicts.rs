//! The run, and what it says of every grant.

use crate::model::suppression::Suppression;
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
    "verdict_history", "what one run said of a grant", key (until, grant_id), sort (until, grant_id),
    VerdictHistoryRow {
        "The grant." grant_id: String,
        "Cluster ARN." cluster: String,
        "The verdict." verdict: String,
        "Its severity." severity: String,
        "What to do." recommendation: String,
        "First instant after the window of the run." until: Micros,
        "True for what is to act on, suppressed or not; null in runs of earlier versions." finding: Option<bool>,
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
        "`keep` `remove` `narrow` `replace` `split` `review`: after all of them together everything that was used is still allowed." recommendation: String,
        "What to know before acting, and why a person must look." recommendation_detail: Option<String>,
        "Access policies that would be enough, comma-joined; null where none is smaller or the replay refuses." recommended_policy: Option<String>,
        "Their scope: `cluster`, `namespace`, or `mixed`: see `proposals`." recommended_scope: Option<String>,
        "Their namespaces, comma-joined." recommended_namespaces: Option<String>,
        "Rules that would be exactly enough, for people." recommended_rbac: Option<String>,
        "Cells the grant allows beyond its use; null where its rules are not known." excess_before: Option<i64>,
        "Cells that what is proposed allows beyond the use." excess_after: Option<i64>,
        "Permissions used, per member, that all proposals together would refuse; null where nothing is to change." replay_denied: Option<i64>,
        "The first of them, for people." replay_breaks: Option<String>,
        "True when somebody answers for the finding, false when it counts; null where there is none to act on." suppressed: Option<bool>,
        "Who answers for it." suppressed_by: Option<String>,
        "Why." suppressed_reason: Option<String>,
        "First instant at which it is no longer suppressed." suppressed_until: Option<Micros>,
    }
}

table! {
    "proposals", "a policy or a rule that would stand in the place of a grant",
    key (grant_id, candidate, for_group, part), sort (grant_id, candidate, for_group, part),
    ProposalRow {
        "The grant." grant_id: String,
        "Cluster ARN." cluster: String,
        "`policy`: predefined policies; `rbac`: exact rules; `hybrid`: both; `split`: what one group of users would hold." candidate: String,
        "Attribute and value of that group, `tag:team=shop`; empty for all." for_group: String,
        "Place in the proposal, from 0." part: i32,
        "True for the candidate that the recommendation speaks of." chosen: bool,
        "`access_policy` `role` `cluster_role`." kind: String,
        "ARN of the policy." policy_arn: Option<String>,
        "Namespace of a role; namespaces of a policy, comma-joined; null for the cluster." namespaces: Option<String>,
        "Verbs." verbs: Vec<String>,
        "API groups; empty text for core." api_groups: Vec<String>,
        "Resources." resources: Vec<String>,
        "Names, empty for any." resource_names: Vec<String>,
        "Paths." non_resource_urls: Vec<String>,
        "Cells that the candidate as a whole allows beyond the use." excess: i64,
    }
}

impl VerdictRow {
    /// Who answers for what is found, if somebody does.
    #[must_use]
    pub fn suppression(&self) -> Option<Suppression> {
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        // The instant is the first at which it no longer holds.
        let last =
            self.suppressed_until.map(|until| Micros(until.0.saturating_sub(1)).day().to_iso());
        (self.suppressed == Some(true)).then(|| Suppression {
            owner: text(&self.suppressed_by),
            reason: text(&self.suppressed_reason),
            expires: last.unwrap_or_default(),
        })
    }
}
