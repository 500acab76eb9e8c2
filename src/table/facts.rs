//! The persisted facts: what the logs of one source state, folded per hour, before any join.

use crate::model::time::Micros;
use crate::table::table;

table! {
    "access_facts", "equal API-server requests of one hour",
    key (), sort (cluster, hour),
    AccessFactRow {
        "Cluster ARN." cluster: String,
        "Hour." hour: Micros,
        "0 direct, 1 impersonated, 2 delegated." via: i32,
        "Verb." verb: String,
        "API group." api_group: String,
        "Resource." resource: String,
        "Subresource." subresource: String,
        "Namespace." namespace: String,
        "Object name." name: String,
        "Path." path: String,
        "0 allow, 1 forbid, 2 unknown." decision: i32,
        "The authorizer's words." reason: String,
        "First digit of the status, 0 for none." status_class: i32,
        "Product of the user agent." user_agent_family: String,
        "Credential id of a minted token." issued_credential_id: String,
        "0 nothing remarked, 1 stale token, 2 token of a Secret." token: i32,
        "Caller's username." username: String,
        "Caller's uid." uid: String,
        "Caller's groups." groups: Vec<String>,
        "Caller's access key." access_key_id: String,
        "Caller's unique id." principal_id: String,
        "Caller's session name." session_name: String,
        "Caller's ARN." arn: String,
        "Caller's IAM ARN without path." canonical_arn: String,
        "Caller's credential id." credential_id: String,
        "Caller's pod." pod_name: String,
        "Whose rights decided; empty where it was the caller." subject_username: String,
        "Their uid." subject_uid: String,
        "Their groups." subject_groups: Vec<String>,
        "True when the name was dropped because too many names were met." name_capped: bool,
        "Distinct requests." count: i64,
        "Earliest." first_seen: Micros,
        "Latest." last_seen: Micros,
    }
}

table! {
    "call_facts", "equal AWS calls of one hour",
    key (), sort (account, hour, is_authentication, event_source, event_name),
    CallFactRow {
        "Account of the record." account: String,
        "Hour." hour: Micros,
        "True for GetCallerIdentity." is_authentication: bool,
        "Event source." event_source: String,
        "Event name." event_name: String,
        "Region." region: String,
        "Error code." error: String,
        "True for data events." data_event: bool,
        "Product of the user agent." user_agent_family: String,
        "Type of the caller." caller_kind: String,
        "Its principal id." principal_id: String,
        "Its ARN." arn: String,
        "Its account." caller_account: String,
        "Its access key." access_key_id: String,
        "Its role's ARN." issuer_arn: String,
        "Its role's id." issuer_id: String,
        "Its role's name." issuer_name: String,
        "When its session was issued." created_at: Option<Micros>,
        "Its source identity." source_identity: String,
        "Service that acted for it." invoked_by: String,
        "Its user name." user_name: String,
        "The person of IAM Identity Center behind it." on_behalf_of: String,
        "Distinct records." count: i64,
        "Earliest." first_seen: Micros,
        "Latest." last_seen: Micros,
    }
}

table! {
    "session_facts", "credentials that STS issued or refused",
    key (), sort (account, issued_at, role_arn, session_name, access_key_id),
    SessionFactRow {
        "Account of the record." account: String,
        "When." issued_at: Micros,
        "Region." region: String,
        "How." issued_by: String,
        "Role ARN." role_arn: String,
        "Role id." role_id: String,
        "Session name." session_name: String,
        "Issued key." access_key_id: String,
        "Until when." expires_at: Option<Micros>,
        "Source identity." source_identity: String,
        "Session tags." tags: Vec<(String, String)>,
        "Keys that pass on." transitive_keys: Vec<String>,
        "Identity provider." provider: String,
        "Web identity or SAML subject." subject: String,
        "Equal in the records of two accounts." shared_event_id: String,
        "Error code." error: String,
        "Type of the caller." caller_kind: String,
        "Its principal id." caller_principal_id: String,
        "Its ARN." caller_arn: String,
        "Its account." caller_account: String,
        "Its access key." caller_access_key_id: String,
        "Its role's ARN." caller_issuer_arn: String,
        "Its role's id." caller_issuer_id: String,
        "Its role's name." caller_issuer_name: String,
        "When its session was issued." caller_created_at: Option<Micros>,
        "Its source identity." caller_source_identity: String,
        "Service that acted for it." caller_invoked_by: String,
        "Its user name." caller_user_name: String,
        "The person of IAM Identity Center behind it." caller_on_behalf_of: String,
    }
}

table! {
    "login_facts", "equal lines of the authenticator log of one hour", key (), sort (cluster, hour),
    LoginFactRow {
        "Cluster ARN." cluster: String,
        "Hour." hour: Micros,
        "True when the principal was mapped." granted: bool,
        "IAM ARN without path." arn: String,
        "Unique id." principal_id: String,
        "User it became." username: String,
        "Its groups." groups: Vec<String>,
        "Why it was refused." refusal: String,
        "Distinct lines." count: i64,
        "Earliest." first_seen: Micros,
        "Latest." last_seen: Micros,
    }
}

table! {
    "change_facts", "a grant was made, changed or taken away", key (), sort (at),
    ChangeFactRow {
        "Cluster ARN." cluster: String,
        "When." at: Micros,
        "`entry_made` … `object_deleted`." change: String,
        "Entry's principal, ServiceAccount, binding, role, provider." subject: String,
        "Policy, role, authentication mode." reference: String,
        "Association." association_id: String,
        "Groups, subjects of a binding, rows of aws-auth." names: Vec<String>,
        "True when the names are all there is from then on." replaces: bool,
        "Namespaces of a scope." namespaces: Vec<String>,
        "Username of an entry." username: String,
        "Type of an entry." entry_type: String,
        "Who did it." actor: String,
        "Key that signed." actor_access_key_id: String,
        "Service that acted." invoked_by: String,
    }
}
