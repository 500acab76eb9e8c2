//! Who really did what.

use crate::model::time::Micros;
use crate::table::table;

table! {
    "group_sets", "a set of groups that a user carried", key (groups_digest), sort (groups_digest),
    GroupSetRow {
        "16 hex digits over the sorted groups." groups_digest: String,
        "Groups, sorted." groups: Vec<String>,
    }
}

table! {
    "api_access", "requests of one hour that are alike in everything but time",
    key (), sort (cluster, hour),
    ApiAccessRow {
        "Cluster ARN." cluster: String,
        "Hour." hour: Micros,
        "IAM ARN with its path, or the Kubernetes name where there is none." principal_arn: String,
        "`AROA…`/`AIDA…`; null when not an IAM principal." principal_id: Option<String>,
        "Kubernetes uid of the caller." uid: String,
        "Kubernetes username of the caller." username: String,
        "Groups whose rights decided; see group_sets." groups_digest: String,
        "How the caller comes in; null when no mapping of the inventory explains it." identity_kind: Option<String>,
        "True for AWS's own and Kubernetes' own components." component: bool,
        "The STS session." session_id: Option<String>,
        "`access_key` `issue_second` `session_name` `principal` `none`." join_confidence: String,
        "True when the session was issued in an hour whose CloudTrail logs are all verified: the audit log itself is signed by nobody." corroborated: bool,
        "Whose rights were used, if not the caller's." impersonated_username: Option<String>,
        "`direct` `impersonated` `delegated`." via: String,
        "Verb." verb: String,
        "API group; empty for core." api_group: String,
        "Resource; empty for paths." resource: String,
        "Subresource, or empty." subresource: String,
        "Namespace, or empty." namespace: String,
        "Object name where authorization saw one." name: String,
        "Path of a non-resource request." path: String,
        "`allow` `forbid` `unknown`." decision: String,
        "`2xx` …; null when there was no answer." status_class: Option<String>,
        "Grant that the authorizer named, or the only one that covers it." credited_grant_id: Option<String>,
        "How many grants cover it; 0 when the inventory does not explain it, or it was refused." covering_grants: i64,
        "Product of the user agent." user_agent_family: String,
        "Log it was read from." source: String,
        "Distinct requests." count: i64,
        "Earliest." first_seen: Micros,
        "Latest." last_seen: Micros,
    }
}

table! {
    "aws_access", "AWS calls of one hour by a principal of the inventory",
    key (), sort (hour, account, role_arn, session_id, event_source, event_name, error),
    #[derive(serde::Serialize, serde::Deserialize)]
    AwsAccessRow {
        "Hour." hour: Micros,
        "Account of the record." account: String,
        "Region." region: String,
        "Role ARN with its path, or the user's ARN." role_arn: String,
        "The session; empty when it is not known." session_id: String,
        "Namespace of the pod, from its session tags." pod_namespace: Option<String>,
        "ServiceAccount of the pod." pod_service_account: Option<String>,
        "`s3.amazonaws.com`." event_source: String,
        "`GetObject`." event_name: String,
        "Error code, or empty." error: String,
        "True for data events, which most trails lack." data_event: bool,
        "How often." count: i64,
        "Earliest." first_seen: Micros,
        "Latest." last_seen: Micros,
    }
}

table! {
    "grant_usage", "a permission used and a grant that covers it",
    key (grant_id, via, verb, api_group, resource, subresource, namespace, name, path),
    sort (grant_id, via, verb, api_group, resource, subresource, namespace, name, path),
    GrantUsageRow {
        "The grant." grant_id: String,
        "`direct` `impersonated` `delegated`." via: String,
        "Verb." verb: String,
        "API group; empty for core." api_group: String,
        "Resource; empty for paths." resource: String,
        "Subresource, or empty." subresource: String,
        "Namespace, or empty." namespace: String,
        "Object name, or empty." name: String,
        "Path." path: String,
        "True when the authorizer named the grant." credited: bool,
        "True when the grant's rules cover it." covered: bool,
        "Earliest." first_used: Micros,
        "Latest." last_used: Micros,
        "Distinct days." used_days: i64,
        "Requests." count: i64,
    }
}

table! {
    "member_usage", "a permission used by someone, whatever granted it",
    key (cluster, principal_id, username, groups_digest, via, verb, api_group, resource, subresource, namespace, name, path),
    sort (cluster, principal_id, username, groups_digest, via, verb, api_group, resource, subresource, namespace, name, path),
    MemberUsageRow {
        "Cluster ARN." cluster: String,
        "`AROA…`/`AIDA…`, or empty." principal_id: String,
        "Kubernetes username; of a role the ARN without session." username: String,
        "Groups that decided." groups_digest: String,
        "`direct` `impersonated` `delegated`." via: String,
        "Verb." verb: String,
        "API group." api_group: String,
        "Resource." resource: String,
        "Subresource." subresource: String,
        "Namespace." namespace: String,
        "Object name." name: String,
        "Path." path: String,
        "Grants that cover it." grants: i64,
        "Earliest." first_used: Micros,
        "Latest." last_used: Micros,
        "Distinct days." used_days: i64,
        "Requests." count: i64,
    }
}
