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
        "`not_checked` until digests are verified." digest_status: String,
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
    "notes", "a finding about the inventory itself", key (cluster, code, what),
    sort (cluster, code, what),
    NoteRow {
        "Cluster ARN." cluster: String,
        "`altered_default` `looks_managed` `widens_everyone` `wildcard_trust` `no_service_account` …" code: String,
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
        "What to make, or why nothing can be made." how: String,
        "True when it was used in the window." used: bool,
        "Latest use." last_used: Option<Micros>,
    }
}

table! {
    "token_findings", "a finding about tokens, certificates or OIDC",
    key (cluster, kind, subject), sort (cluster, kind, subject),
    TokenFindingRow {
        "Cluster ARN." cluster: String,
        "For people." cluster_name: String,
        "`legacy_secret_token` `x509_user` `oidc_no_prefix` …" kind: String,
        "Whose." subject: String,
        "For people." detail: String,
        "Earliest use in the window." first_seen: Option<Micros>,
        "Latest use in the window." last_seen: Option<Micros>,
        "Requests in the window." count: i64,
        "`critical` … `info`." severity: String,
    }
}
