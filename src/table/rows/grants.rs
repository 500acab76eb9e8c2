//! Who may do what.

use crate::model::time::Micros;
use crate::table::table;

table! {
    "identities", "an identity mapping",
    key (cluster, identity_kind, principal_arn, source, mapping_no),
    sort (cluster, identity_kind, principal_arn, source, mapping_no),
    IdentityRow {
        "Cluster ARN." cluster: String,
        "`access_entry` `aws_auth_role` `aws_auth_user` `aws_auth_account` `cluster_creator`." identity_kind: String,
        "IAM ARN as configured; an account id for `aws_auth_account`; empty for the hidden creator." principal_arn: String,
        "Tells rows of one principal apart: an aws-auth row may be there twice." mapping_no: i32,
        "`AROA…`/`AIDA…`; null when the inventory does not know it." principal_id: Option<String>,
        "ARN with its path, where the inventory knows it: aws-auth is written without." iam_arn: Option<String>,
        "Kubernetes username, with templates." username: String,
        "Kubernetes groups, sorted." groups: Vec<String>,
        "Type of an access entry." entry_type: Option<String>,
        "True when it can be exercised." effective: bool,
        "Why not." ineffective_reason: Option<String>,
        "When it was made; aws-auth rows carry no date." created_at: Option<Micros>,
        "Who made it, where the logs tell." created_by: Option<String>,
        "File or ConfigMap it was read from." source: String,
    }
}

table! {
    "grants", "a grant: a thing one can delete", key (grant_id), sort (cluster, grant_id),
    GrantRow {
        "16 hex digits that name the grant for ever." grant_id: String,
        "Cluster ARN." cluster: String,
        "For people; repeats across accounts and regions." cluster_name: String,
        "`access_policy` `entry_group` `aws_auth_group` `rbac_subject` `superuser` `pod_identity` `irsa` `none`." grant_kind: String,
        "How its subject becomes a Kubernetes user; null for groups of everybody." identity_kind: Option<String>,
        "What `principal` is: `iam` `aws_auth` `user` `group` `service_account` `cluster_creator`." subject_kind: String,
        "ARN, or Kubernetes user, group or `namespace/serviceaccount`." principal: String,
        "`AROA…`/`AIDA…`." principal_id: Option<String>,
        "Policy ARN, group, `ClusterRoleBinding/x`, `RoleBinding/ns/x`, role ARN, `system:masters`." grant_ref: String,
        "`ClusterRole/x`, `Role/ns/x`, policy ARN; of a group all, comma-joined." role_ref: String,
        "`cluster` or `namespace`." scope: String,
        "Namespaces or globs, comma-joined." namespaces: String,
        "True when it can be exercised." effective: bool,
        "Why not." ineffective_reason: Option<String>,
        "How much it could do, used or not: `critical` the whole cluster … `low` reads; null where its rules are not known." power: Option<String>,
        "First instant at which it could be used; null when nothing tells." valid_from: Option<Micros>,
        "When it was taken away." valid_to: Option<Micros>,
        "Who granted it as it is now, where the logs tell." granted_by: Option<String>,
        "True for what AWS and Kubernetes put into every cluster, by an exact list." managed_by_aws: bool,
        "True when its members cannot be enumerated." open_ended: bool,
    }
}

table! {
    "grant_members", "a grant and someone it serves",
    key (grant_id, principal_id, username, via_identity, via_group, source),
    sort (grant_id, principal_id, username, via_identity, via_group, source),
    GrantMemberRow {
        "The grant." grant_id: String,
        "`AROA…`/`AIDA…`, or empty." principal_id: String,
        "Kubernetes username; with templates where it comes from the inventory." username: String,
        "How the member comes in." via_identity: String,
        "Group that carries it, or empty." via_group: String,
        "`inventory` or `observed`." source: String,
        "True when other members cannot be enumerated." open_ended: bool,
        "Earliest use by this member." first_used: Option<Micros>,
        "Latest use by this member." last_used: Option<Micros>,
        "Distinct days with use by this member." used_days: i64,
    }
}

table! {
    "grant_rules", "a rule of a role or policy, never multiplied out",
    key (cluster, role_ref, rule_no), sort (cluster, role_ref, rule_no),
    GrantRuleRow {
        "Cluster ARN." cluster: String,
        "`ClusterRole/x`, `Role/ns/x`, or policy ARN." role_ref: String,
        "Place in the role, from 0." rule_no: i32,
        "API groups; empty text for core." api_groups: Vec<String>,
        "Resources." resources: Vec<String>,
        "Names, empty for any." resource_names: Vec<String>,
        "Paths." non_resource_urls: Vec<String>,
        "Verbs." verbs: Vec<String>,
    }
}
