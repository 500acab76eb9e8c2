//! Issued credentials and their redemption.

use crate::model::time::Micros;
use crate::table::table;

table! {
    "sessions", "issued credentials", key (session_id), sort (issued_at, session_id),
    SessionRow {
        "16 hex digits over role, session name, time of issue and issued key." session_id: String,
        "`assume_role` `saml` `web_identity` `pod_identity` `session_token` `federation_token` `assume_root` `roles_anywhere` `token_request`." kind: String,
        "Role ARN, with its path; of a federated user his ARN; empty for other tokens." role_arn: String,
        "`AROA…`; empty where AWS does not log it." role_id: String,
        "Session name; `namespace/serviceaccount` of a ServiceAccount token." session_name: String,
        "Call that issued it." how: String,
        "When." issued_at: Micros,
        "Until when; null when not said." expires_at: Option<Micros>,
        "Who asked: ARN, service, or web identity." source_principal: String,
        "`sourceIdentity`, its own or its chain's." source_identity: Option<String>,
        "The person behind it: source identity, or user of IAM Identity Center; its own or its chain's." person: Option<String>,
        "Session tags, inherited ones too, sorted by key." tags: Vec<(String, String)>,
        "Keys that pass on, sorted." transitive_keys: Vec<String>,
        "Session that asked for this one." parent_session_id: Option<String>,
        "Who minted a ServiceAccount token." minted_by: Option<String>,
        "Subject of a web identity, SAML session or ServiceAccount token." web_identity_subject: Option<String>,
        "Namespace of the pod, from its session tags." pod_namespace: Option<String>,
        "ServiceAccount of the pod, from its session tags." pod_service_account: Option<String>,
    }
}

table! {
    "session_keys", "an access key of a session", key (session_id, access_key_id),
    sort (session_id, access_key_id),
    SessionKeyRow {
        "The session." session_id: String,
        "`ASIA…`; one session may show many. `JTI=…` of a ServiceAccount token." access_key_id: String,
        "First time seen." first_seen: Micros,
        "Last time seen." last_seen: Micros,
    }
}

table! {
    "session_tags", "a tag of a session", key (session_id, tag_key), sort (session_id, tag_key),
    SessionTagRow {
        "The session." session_id: String,
        "Key." tag_key: String,
        "Value." tag_value: String,
        "True when a session up the chain passed it on." inherited: bool,
    }
}

table! {
    "authentications", "token redemptions (GetCallerIdentity) of one hour",
    key (hour, account, region, principal_id, session_id, user_agent_family),
    sort (hour, account, region, principal_id, session_id, user_agent_family),
    #[derive(serde::Serialize, serde::Deserialize)]
    AuthenticationRow {
        "Hour." hour: Micros,
        "Account of the record." account: String,
        "`AROA…`/`AIDA…`." principal_id: String,
        "The session; empty when it is not known." session_id: String,
        "Region of the STS endpoint." region: String,
        "Product of the user agent; `Go-http-client` is what the EKS authenticator shows." user_agent_family: String,
        "How often." count: i64,
        "Earliest." first_seen: Micros,
        "Latest." last_seen: Micros,
    }
}
