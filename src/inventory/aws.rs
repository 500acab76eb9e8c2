//! Answers of the EKS, IAM and CloudTrail APIs, as the AWS CLI prints them.
//!
//! Sources: <https://docs.aws.amazon.com/eks/latest/APIReference/Welcome.html>,
//! <https://docs.aws.amazon.com/IAM/latest/APIReference/API_GetRole.html>.

use serde_json::Value;

use super::load::{Notes, field, list, text, texts, time};
use crate::model::arn::percent_decoded;
use crate::model::inventory::{
    AccessEntry, ApiResource, AssociatedPolicy, AuthMode, Cluster, Hole, IamPrincipal,
    OidcProvider, PodIdentity, Trail,
};
use crate::model::time::Micros;

/// `inventory.json`
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Header {
    /// When the snapshot was taken.
    pub captured_at: Option<Micros>,
    /// Whose.
    pub cluster_arn: Option<String>,
    /// What the tool that took it could not read.
    pub holes: Vec<Hole>,
    /// Files of which an empty list says that there is nothing.
    pub whole: Vec<String>,
}

/// Reads `inventory.json`.
#[must_use]
pub fn header(value: &Value) -> Header {
    let holes = field(value, "holes").and_then(Value::as_array);
    let holes = holes.into_iter().flatten().map(|hole| match hole {
        Value::String(what) => Hole { what: what.clone(), why: "not read when taken".to_owned() },
        other => Hole {
            what: text(other, "what").unwrap_or_default(),
            why: text(other, "why").unwrap_or_default(),
        },
    });
    Header {
        captured_at: time(value, "captured_at").or_else(|| time(value, "capturedAt")),
        cluster_arn: text(value, "cluster_arn").or_else(|| text(value, "clusterArn")),
        holes: holes.collect(),
        whole: texts(value, "whole"),
    }
}

/// Reads `describe-cluster`, with or without its outer `cluster`.
pub fn cluster(value: &Value, notes: &mut Notes) -> Option<(String, Cluster)> {
    let value = field(value, "cluster").unwrap_or(value);
    let Some(arn) = text(value, "arn") else {
        notes.lost("no cluster ARN");
        return None;
    };
    let access = field(value, "accessConfig");
    let mode = access.and_then(|config| text(config, "authenticationMode"));
    let creator_is_admin = access
        .and_then(|config| field(config, "bootstrapClusterCreatorAdminPermissions"))
        .and_then(Value::as_bool);
    let auth_mode = match mode.as_deref() {
        Some("API") => AuthMode::Api,
        Some("API_AND_CONFIG_MAP") => AuthMode::ApiAndConfigMap,
        // Clusters from before access entries say nothing: they consult the ConfigMap alone.
        Some("CONFIG_MAP") | None => AuthMode::ConfigMap,
        Some(other) => {
            notes.lost(format!("authenticationMode {other} is not known"));
            return None;
        }
    };
    let logging =
        field(value, "logging").and_then(|l| field(l, "clusterLogging")).and_then(Value::as_array);
    let audit_enabled = logging.map(|sets| {
        sets.iter().any(|set| {
            field(set, "enabled").and_then(Value::as_bool) == Some(true)
                && texts(set, "types").iter().any(|kind| kind == "audit")
        })
    });
    let issuer =
        field(value, "identity").and_then(|i| field(i, "oidc")).and_then(|o| text(o, "issuer"));
    let cluster = Cluster {
        auth_mode,
        created_at: time(value, "createdAt"),
        version: text(value, "version").unwrap_or_default(),
        oidc_issuer: issuer,
        creator_is_admin,
        audit_enabled,
    };
    Some((arn, cluster))
}

/// Reads an array of `{accessEntry, associatedAccessPolicies}`.
pub fn access_entries(value: &Value, notes: &mut Notes) -> Vec<AccessEntry> {
    let mut entries = Vec::new();
    for element in elements(value, "accessEntries", notes) {
        let entry = field(element, "accessEntry").unwrap_or(element);
        let Some(principal_arn) = text(entry, "principalArn") else {
            notes.lost(format!("an access entry without principalArn: {element}"));
            continue;
        };
        let listed = field(element, "associatedAccessPolicies").and_then(Value::as_array);
        let mut policies = Vec::new();
        for policy in listed.into_iter().flatten() {
            let Some(policy_arn) = text(policy, "policyArn") else {
                notes.lost(format!("an associated policy without policyArn: {policy}"));
                continue;
            };
            let scope = field(policy, "accessScope");
            let kind = scope.and_then(|scope| text(scope, "type"));
            policies.push(AssociatedPolicy {
                policy_arn,
                // A scope that does not say `namespace` is taken as wide as it can be.
                namespaces: (kind.as_deref() == Some("namespace"))
                    .then(|| scope.map(|scope| texts(scope, "namespaces")).unwrap_or_default()),
                associated_at: time(policy, "associatedAt"),
                modified_at: time(policy, "modifiedAt"),
            });
        }
        policies.sort_by(|a, b| a.policy_arn.cmp(&b.policy_arn));
        entries.push(AccessEntry {
            principal_arn,
            arn: text(entry, "accessEntryArn").unwrap_or_default(),
            groups: texts(entry, "kubernetesGroups"),
            username: text(entry, "username").unwrap_or_default(),
            entry_type: text(entry, "type").unwrap_or_else(|| "STANDARD".to_owned()),
            created_at: time(entry, "createdAt"),
            modified_at: time(entry, "modifiedAt"),
            policies,
        });
    }
    entries.sort_by(|a, b| a.principal_arn.cmp(&b.principal_arn));
    entries
}

/// Reads an array of `{association}`.
pub fn pod_identities(value: &Value, notes: &mut Notes) -> Vec<PodIdentity> {
    let mut all = Vec::new();
    for element in elements(value, "associations", notes) {
        let value = field(element, "association").unwrap_or(element);
        let (Some(namespace), Some(service_account), Some(role_arn)) =
            (text(value, "namespace"), text(value, "serviceAccount"), text(value, "roleArn"))
        else {
            notes.lost(format!(
                "an association without namespace, service account or role: {element}"
            ));
            continue;
        };
        all.push(PodIdentity {
            id: text(value, "associationId").unwrap_or_default(),
            namespace,
            service_account,
            role_arn,
            target_role_arn: text(value, "targetRoleArn").filter(|arn| !arn.is_empty()),
            disable_session_tags: field(value, "disableSessionTags").and_then(Value::as_bool)
                == Some(true),
            created_at: time(value, "createdAt"),
            modified_at: time(value, "modifiedAt"),
            owner_arn: text(value, "ownerArn"),
        });
    }
    all.sort_by(|a, b| {
        (&a.namespace, &a.service_account, &a.id).cmp(&(&b.namespace, &b.service_account, &b.id))
    });
    all
}

/// Reads an array of `{oidc}` or `{identityProviderConfig: {oidc}}`.
pub fn oidc_providers(value: &Value, notes: &mut Notes) -> Vec<OidcProvider> {
    let mut all = Vec::new();
    for element in elements(value, "identityProviderConfigs", notes) {
        let value = field(element, "identityProviderConfig").unwrap_or(element);
        let value = field(value, "oidc").unwrap_or(value);
        let Some(issuer_url) = text(value, "issuerUrl") else {
            notes.lost(format!("an identity provider without issuerUrl: {element}"));
            continue;
        };
        all.push(OidcProvider {
            name: text(value, "identityProviderConfigName").unwrap_or_default(),
            issuer_url,
            client_id: text(value, "clientId").unwrap_or_default(),
            username_claim: text(value, "usernameClaim").unwrap_or_else(|| "sub".to_owned()),
            username_prefix: text(value, "usernamePrefix"),
            groups_claim: text(value, "groupsClaim"),
            groups_prefix: text(value, "groupsPrefix"),
            status: text(value, "status").unwrap_or_default(),
        });
    }
    all.sort_by(|a, b| (&a.name, &a.issuer_url).cmp(&(&b.name, &b.issuer_url)));
    all
}

/// Reads an array of `get-role` or `get-user` answers.
pub fn iam_principals(value: &Value, notes: &mut Notes) -> Vec<IamPrincipal> {
    let mut all = Vec::new();
    let outer = if field(value, "Users").is_some() { "Users" } else { "Roles" };
    for element in elements(value, outer, notes) {
        let value = field(element, "Role").or_else(|| field(element, "User")).unwrap_or(element);
        let id = text(value, "RoleId").or_else(|| text(value, "UserId"));
        let (Some(arn), Some(id)) = (text(value, "Arn"), id) else {
            notes.lost(format!("a principal without Arn or id: {element}"));
            continue;
        };
        let trust_policy = field(value, "AssumeRolePolicyDocument").map(|policy| match policy {
            Value::String(encoded) => percent_decoded(encoded),
            object => object.to_string(),
        });
        all.push(IamPrincipal { arn, id, created_at: time(value, "CreateDate"), trust_policy });
    }
    all.sort_by(|a, b| a.arn.cmp(&b.arn));
    all
}

/// Reads `api-resources.json`: what the discovery endpoints list.
pub fn api_resources(value: &Value, notes: &mut Notes) -> Vec<ApiResource> {
    let mut all = Vec::new();
    for element in elements(value, "resources", notes) {
        let Some(name) = text(element, "name") else {
            notes.lost(format!("an API resource without a name: {element}"));
            continue;
        };
        let group_version = text(element, "groupVersion").unwrap_or_default();
        let group = group_version.rsplit_once('/').map_or("", |(group, _)| group);
        all.push(ApiResource {
            api_group: text(element, "group").unwrap_or_else(|| group.to_owned()),
            name,
            namespaced: field(element, "namespaced").and_then(Value::as_bool) == Some(true),
            verbs: texts(element, "verbs"),
        });
    }
    all.sort();
    all.dedup();
    all
}

/// Reads `describe-trails`.
pub fn trails(value: &Value, notes: &mut Notes) -> Vec<Trail> {
    let flag =
        |value: &Value, name: &str| field(value, name).and_then(Value::as_bool) == Some(true);
    let mut all: Vec<Trail> = elements(value, "trailList", notes)
        .iter()
        .map(|trail| Trail {
            name: text(trail, "Name").unwrap_or_default(),
            home_region: text(trail, "HomeRegion").unwrap_or_default(),
            multi_region: flag(trail, "IsMultiRegionTrail"),
            organization: flag(trail, "IsOrganizationTrail"),
        })
        .collect();
    all.sort();
    all
}

fn elements<'a>(value: &'a Value, outer: &str, notes: &mut Notes) -> &'a [Value] {
    let more = field(value, "IsTruncated").and_then(Value::as_bool) == Some(true)
        || text(value, "nextToken").or_else(|| text(value, "Marker")).is_some();
    if more {
        notes.lost("one page of several: the rest is missing");
    }
    if let Some(list) = list(value, outer) {
        return list;
    }
    notes.lost(format!("neither an array nor an object with {outer}"));
    &[]
}
