//! Rows that `explain` asks the engine for: sums over the public tables.

use crate::model::time::Micros;
use crate::table::table;

table! {
    "callers", "someone who made a request", key (principal_arn), sort (principal_arn),
    CallerRow {
        "IAM ARN, or the Kubernetes name." principal_arn: String,
        "`AROA…`/`AIDA…`." principal_id: Option<String>,
    }
}

table! {
    "hybrids", "a grant that predefined policies replace only together with rules", key (grant_id), sort (grant_id),
    HybridRow {
        "The grant." grant_id: String,
    }
}

table! {
    "requests", "a permission that somebody asked for, a day with requests, or a program", key (), sort (),
    RequestRow {
        "Cluster ARN; only of a permission, as all but the count." cluster: Option<String>,
        "Who asked." principal_arn: Option<String>,
        "Whose rights were used." impersonated_username: Option<String>,
        "`direct` …" via: Option<String>,
        "Verb; null where the row is no permission." verb: Option<String>,
        "API group." api_group: Option<String>,
        "Resource." resource: Option<String>,
        "Subresource." subresource: Option<String>,
        "Namespace." namespace: Option<String>,
        "Path." path: Option<String>,
        "`allow` …, of a permission or a day." decision: Option<String>,
        "First instant of a day." day: Option<Micros>,
        "Product of a program." user_agent_family: Option<String>,
        "How often." count: i64,
    }
}

table! {
    "uses", "a permission that somebody asked for", key (), sort (),
    UseRow {
        "Cluster ARN." cluster: String,
        "Who asked." principal_arn: String,
        "Whose rights were used." impersonated_username: Option<String>,
        "`direct` …" via: String,
        "Verb." verb: String,
        "API group." api_group: String,
        "Resource." resource: String,
        "Subresource." subresource: String,
        "Namespace." namespace: String,
        "Path." path: String,
        "`allow` …" decision: String,
        "How often." count: i64,
    }
}

table! {
    "use_days", "a day with requests", key (), sort (),
    UseDayRow {
        "Its first instant." day: Micros,
        "`allow` …" decision: String,
        "How often." count: i64,
    }
}

table! {
    "agents", "a program", key (), sort (),
    AgentRow {
        "Its product." user_agent_family: String,
        "How often." count: i64,
    }
}

table! {
    "issued", "sessions that came about in one way", key (), sort (),
    IssuedRow {
        "`assume_role` …" kind: String,
        "Who asked." source_principal: String,
        "The person." person: Option<String>,
        "One of the sessions that asked." parent_session_id: Option<String>,
        "How many." sessions: i64,
        "Earliest." first_issued: Micros,
        "Latest." last_issued: Micros,
    }
}

table! {
    "tags", "a tag", key (), sort (),
    TagRow {
        "Key." tag_key: String,
        "Value." tag_value: String,
        "Sessions with it." sessions: i64,
    }
}

table! {
    "calls", "a call of AWS", key (), sort (),
    CallRow {
        "Service." event_source: String,
        "Call." event_name: String,
        "Error, or empty." error: String,
        "How often." count: i64,
    }
}

table! {
    "covered_days", "a day of a cluster's audit log", key (), sort (),
    CoveredRow {
        "Its first instant." day: Micros,
        "Cluster ARN." cluster: String,
        "Hours that every stream covers." covered: i64,
        "Hours." hours: i64,
    }
}
