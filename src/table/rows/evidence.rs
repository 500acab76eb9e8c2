//! What the verdicts rest on, and findings that need no verdict.

use crate::model::time::Micros;
use crate::table::table;

table! {
    "coverage", "an expected stream and an hour, holes included",
    key (stream_kind, cluster, account, region, stream, hour),
    sort (stream_kind, cluster, account, region, stream, hour),
    CoverageRow {
        "`audit` or `cloudtrail`." stream_kind: String,
        "Cluster ARN of an audit stream, else empty." cluster: String,
        "Account of a trail, else empty." account: String,
        "Region of a trail, else empty." region: String,
        "Log stream; empty where none delivered or the export does not say." stream: String,
        "Hour." hour: Micros,
        "Objects with a record of that hour." objects: i64,
        "Records, copies included." events: i64,
        "Records that were rejected." rejected: i64,
        "True when the hour counts as covered." covered: bool,
        "With --verify what digests say of the logs of the hour, the worst: `valid` `not_checked` `unsigned` `missing` `invalid`. Audit logs carry no digest: `not_checked`." digest_status: String,
        "False when copies in late facts of the day could not be told apart." count_exact: bool,
    }
}

table! {
    "rejects", "an object and a reason", key (object, reason), sort (object, reason),
    RejectRow {
        "Key, as listed, escaped." object: String,
        "`bad_gzip` `bad_json` `truncated` `cluster_ambiguous` …" reason: String,
        "How often." count: i64,
        "The smallest example, cut and escaped." first_example: String,
    }
}

table! {
    "notes", "a finding about the inventory itself, or about a suppression", key (cluster, code, what),
    sort (cluster, code, what),
    NoteRow {
        "Cluster ARN; empty for a suppression." cluster: String,
        "`altered_default` `looks_managed` `widens_everyone` `wildcard_trust` `no_service_account` `suppression_expired` `suppression_unmatched` `break_glass_used` …" code: String,
        "The grant it is about." grant_id: Option<String>,
        "For people." what: String,
    }
}

table! {
    "auth_mode_rows", "an aws-auth row", key (cluster, kind, principal, row_no),
    sort (cluster, kind, principal, row_no),
    AuthModeRow {
        "Cluster ARN." cluster: String,
        "For people." cluster_name: String,
        "`role` `user` `account`." kind: String,
        "ARN or account id, as written." principal: String,
        "Tells rows of one principal apart." row_no: i32,
        "Username, with templates." username: String,
        "Groups, comma-joined." groups: String,
        "True when it can be exercised." effective: bool,
        "Why not." ineffective_reason: Option<String>,
        "True when an access entry can take its place." movable: bool,
        "What to make, or why it is not made." how: String,
        "True when somebody came in by it in the window; null where no audit log of the cluster was read." used: Option<bool>,
        "Latest request of somebody who came in by it." last_used: Option<Micros>,
        "Latest sign of its principal in CloudTrail or the authenticator's log." last_authenticated: Option<Micros>,
        "What to do: `drop` `create_entry` `replace` `rebind_first` `find_arn` `cannot_move` `already_moved`." action: String,
        "True while mode API would, or might, lock out whoever comes in by it." blocking: bool,
        "ARN that an entry needs, with its path; null where the inventory does not know it." iam_arn: Option<String>,
        "Command that does it, quoted for a POSIX shell." command: Option<String>,
        "IAM policy of a role that may run the command and make no other entry." guardrail: Option<String>,
    }
}

table! {
    "auth_mode_plan", "a cluster and a step of its way to mode API",
    key (cluster, step_no), sort (cluster, step_no),
    AuthModePlanRow {
        "Cluster ARN." cluster: String,
        "For people." cluster_name: String,
        "`CONFIG_MAP` `API_AND_CONFIG_MAP` `API`; null when it was not read." mode: Option<String>,
        "True when mode API locks nobody out who came in: `yes` `no` `unknown`; `done` in mode API." api_safe: String,
        "Order of the steps, from 1." step_no: i32,
        "`read_inventory` `enable_entries` `creator` `admin_entry` `cover_logs` `drop` `create_entry` `replace` `rebind_first` `find_arn` `cannot_move` `already_moved` `switch_to_api` `delete_aws_auth`." step: String,
        "Principal of a row of aws-auth, or empty." subject: String,
        "What to do, for people." what: String,
        "Why, for people." why: String,
        "Command that does it, quoted for a POSIX shell." command: Option<String>,
        "IAM policy of a role that may run the command and make no other entry." guardrail: Option<String>,
        "True while mode API must wait for it." blocking: bool,
        "True when there is nothing left to do." done: bool,
    }
}

table! {
    "token_findings", "a finding about tokens, certificates or OIDC",
    key (cluster, kind, subject, detail), sort (cluster, kind, subject, detail),
    TokenFindingRow {
        "Cluster ARN." cluster: String,
        "For people." cluster_name: String,
        "`long_token` `token_longer_than_hour` `foreign_audience` `legacy_token_used` `stale_token` `legacy_secret_token` `refused_credentials` `x509_user` `anonymous_access` `audit_id_reused` `oidc_no_groups_prefix` `oidc_no_username_prefix` `oidc_own_issuer` `oidc_too_many_providers` `oidc_issuer_not_https` `oidc_issuer_twice` `oidc_reserved_prefix`." kind: String,
        "Whose." subject: String,
        "For people." detail: String,
        "Earliest use in the window." first_seen: Option<Micros>,
        "Latest use in the window." last_seen: Option<Micros>,
        "Requests in the window." count: i64,
        "`critical` … `info`." severity: String,
    }
}

table! {
    "grant_changes", "a grant was made, changed or taken away",
    key (), sort (cluster, at),
    GrantChangeRow {
        "Cluster ARN." cluster: String,
        "When." at: Micros,
        "`entry_made` `policy_attached` `pod_identity_deleted` `object_changed` …" change: String,
        "IAM ARN of an entry, `namespace/serviceaccount`, `RoleBinding/ns/x`, `aws-auth`, …" subject: String,
        "Policy, role, authentication mode." reference: Option<String>,
        "Groups of an entry, subjects of a binding; comma-joined." names: Option<String>,
        "Namespaces of a policy's scope, comma-joined; null for the whole cluster." namespaces: Option<String>,
        "Who did it: IAM ARN, service, or Kubernetes username." actor: String,
        "Session of whoever did it." session_id: Option<String>,
        "Service that acted for the caller." invoked_by: Option<String>,
    }
}

table! {
    "logins", "IAM principals that came to a cluster, per hour, from the authenticator log",
    key (cluster, hour, granted, arn, username, refusal, groups),
    sort (cluster, hour, granted, arn, username, refusal, groups),
    LoginRow {
        "Cluster ARN." cluster: String,
        "Hour." hour: Micros,
        "True when a mapping let it in." granted: bool,
        "IAM ARN without path; empty where the log does not say." arn: String,
        "Kubernetes username it became." username: String,
        "`not_mapped` `expired` `other`; empty when granted." refusal: String,
        "Groups it got, comma-joined." groups: String,
        "`AROA…`/`AIDA…`." principal_id: Option<String>,
        "Lines of the log; the authenticator caches, so there are fewer than requests." count: i64,
        "Earliest." first_seen: Micros,
        "Latest." last_seen: Micros,
    }
}
