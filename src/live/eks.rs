//! What EKS itself knows of a cluster: its settings, access entries, associations, providers.
//!
//! Input: a client and a cluster's name. Output: lists of JSON, each whole or the reason why not. An
//! entry whose policies could not be listed would look as if it had none, so one refusal costs the
//! list. Something that is deleted between list and describe is gone and no hole.
//! Source: <https://docs.aws.amazon.com/eks/latest/APIReference/API_DescribeAccessEntry.html>.

use aws_sdk_eks::Client;
use aws_sdk_eks::types::{
    AccessEntry, AccessScopeType, AssociatedAccessPolicy, AuthenticationMode, ClusterStatus,
    ConfigStatus, IdentityProviderConfig, LogType,
};
use futures::{StreamExt, stream};
use serde_json::{Value, json};

use super::answer::{is, sorted, time, why, without_nulls};
use crate::model::arn::Arn;
use crate::model::inventory::AuthMode;

/// A cluster that exists.
pub(super) struct Described {
    pub(super) arn: String,
    pub(super) name: String,
    pub(super) region: String,
    pub(super) account: String,
    pub(super) auth_mode: AuthMode,
    /// `https://…`; empty where it is not said.
    pub(super) endpoint: String,
    /// Base64 of a PEM file; empty where it is not said.
    pub(super) certificate_authority: String,
    /// Of ServiceAccount tokens; empty where it is not said.
    pub(super) issuer: String,
    pub(super) json: Value,
}

/// Describes a cluster; `None` when there is none of this name here.
pub(super) async fn describe(client: &Client, name: &str) -> Result<Option<Described>, String> {
    let answer = match client.describe_cluster().name(name).send().await {
        Ok(answer) => answer,
        Err(error) if is(&error, "ResourceNotFound") => return Ok(None),
        Err(error) => return Err(why("eks:DescribeCluster", "the cluster", &error)),
    };
    let cluster = answer.cluster.ok_or("eks:DescribeCluster answered without a cluster")?;
    let arn = cluster.arn.clone().unwrap_or_default();
    let parsed = Arn::parse(&arn).ok_or("eks:DescribeCluster answered without an ARN")?;
    let (region, account) = (parsed.region.to_owned(), parsed.account.to_owned());
    let mode = cluster.access_config().and_then(|config| config.authentication_mode());
    let auth_mode = match mode.map(AuthenticationMode::as_str) {
        Some("API") => AuthMode::Api,
        Some("CONFIG_MAP") | None => AuthMode::ConfigMap,
        // A mode that is not known here has entries to ask for.
        Some(_) => AuthMode::ApiAndConfigMap,
    };
    let logging: Option<Vec<Value>> = cluster.logging().map(|logging| {
        let sets = logging.cluster_logging().iter();
        sets.map(|set| {
            let types: Vec<&str> = set.types().iter().map(LogType::as_str).collect();
            json!({ "types": types, "enabled": set.enabled() })
        })
        .collect()
    });
    let issuer = cluster.identity().and_then(|i| i.oidc()).and_then(|oidc| oidc.issuer());
    let json = without_nulls(json!({ "cluster": {
        "name": cluster.name(),
        "arn": arn,
        "createdAt": time(cluster.created_at()),
        "version": cluster.version(),
        "platformVersion": cluster.platform_version(),
        "status": cluster.status().map(ClusterStatus::as_str),
        "endpoint": cluster.endpoint(),
        "accessConfig": cluster.access_config().map(|config| json!({
            "authenticationMode": mode.map(AuthenticationMode::as_str),
            "bootstrapClusterCreatorAdminPermissions":
                config.bootstrap_cluster_creator_admin_permissions(),
        })),
        "identity": issuer.map(|issuer| json!({ "oidc": { "issuer": issuer } })),
        "logging": logging.map(|sets| json!({ "clusterLogging": sets })),
    }}));
    Ok(Some(Described {
        issuer: issuer.unwrap_or_default().to_owned(),
        name: cluster.name().unwrap_or(name).to_owned(),
        region,
        account,
        auth_mode,
        endpoint: cluster.endpoint().unwrap_or_default().to_owned(),
        certificate_authority: cluster
            .certificate_authority()
            .and_then(|authority| authority.data())
            .unwrap_or_default()
            .to_owned(),
        arn,
        json,
    }))
}

/// Every access entry with its policies, as `{accessEntry, associatedAccessPolicies}`.
pub(super) async fn access_entries(
    client: &Client,
    cluster: &Described,
    concurrency: usize,
) -> Result<Vec<Value>, String> {
    let pages =
        client.list_access_entries().cluster_name(&cluster.name).into_paginator().items().send();
    let arns = pages
        .collect::<Result<Vec<String>, _>>()
        .await
        .map_err(|error| why("eks:ListAccessEntries", &cluster.arn, &error))?;
    let each = arns.into_iter().map(|arn| access_entry(client, cluster, arn));
    whole(each, concurrency).await
}

async fn access_entry(
    client: &Client,
    cluster: &Described,
    arn: String,
) -> Result<Option<Value>, String> {
    let described = client.describe_access_entry().cluster_name(&cluster.name).principal_arn(&arn);
    let entry = match described.send().await {
        Ok(answer) => answer.access_entry,
        Err(error) if is(&error, "ResourceNotFound") => return Ok(None),
        Err(error) => return Err(why("eks:DescribeAccessEntry", &arn, &error)),
    };
    let Some(entry) = entry else {
        return Err(format!("eks:DescribeAccessEntry answered nothing for {arn}"));
    };
    let pages = client
        .list_associated_access_policies()
        .cluster_name(&cluster.name)
        .principal_arn(&arn)
        .into_paginator()
        .items()
        .send();
    let policies = match pages.collect::<Result<Vec<AssociatedAccessPolicy>, _>>().await {
        Ok(policies) => policies,
        Err(error) if is(&error, "ResourceNotFound") => return Ok(None),
        Err(error) => {
            return Err(why("eks:ListAssociatedAccessPolicies", "the cluster's entries", &error));
        }
    };
    let policies = sorted(policies.iter().map(policy_json).collect());
    Ok(Some(without_nulls(json!({
        "accessEntry": entry_json(&entry),
        "associatedAccessPolicies": policies,
    }))))
}

fn entry_json(entry: &AccessEntry) -> Value {
    let mut groups = entry.kubernetes_groups().to_vec();
    groups.sort();
    json!({
        "clusterName": entry.cluster_name(),
        "principalArn": entry.principal_arn(),
        "kubernetesGroups": groups,
        "accessEntryArn": entry.access_entry_arn(),
        "createdAt": time(entry.created_at()),
        "modifiedAt": time(entry.modified_at()),
        "username": entry.username(),
        "type": entry.r#type(),
    })
}

fn policy_json(policy: &AssociatedAccessPolicy) -> Value {
    let scope = policy.access_scope().map(|scope| {
        let mut namespaces = scope.namespaces().to_vec();
        namespaces.sort();
        json!({
            "type": scope.r#type().map(AccessScopeType::as_str),
            "namespaces": namespaces,
        })
    });
    json!({
        "policyArn": policy.policy_arn(),
        "accessScope": scope,
        "associatedAt": time(policy.associated_at()),
        "modifiedAt": time(policy.modified_at()),
    })
}

/// Every Pod Identity association, as `{association}`; the list alone holds no role.
pub(super) async fn pod_identities(
    client: &Client,
    cluster: &Described,
    concurrency: usize,
) -> Result<Vec<Value>, String> {
    let pages = client
        .list_pod_identity_associations()
        .cluster_name(&cluster.name)
        .into_paginator()
        .items();
    let listed = pages
        .send()
        .collect::<Result<Vec<_>, _>>()
        .await
        .map_err(|error| why("eks:ListPodIdentityAssociations", &cluster.arn, &error))?;
    let ids = listed.into_iter().filter_map(|summary| summary.association_id);
    let each = ids.map(|id| pod_identity(client, cluster, id));
    whole(each, concurrency).await
}

async fn pod_identity(
    client: &Client,
    cluster: &Described,
    id: String,
) -> Result<Option<Value>, String> {
    let described = client.describe_pod_identity_association().cluster_name(&cluster.name);
    let found = match described.association_id(&id).send().await {
        Ok(answer) => answer.association,
        Err(error) if is(&error, "ResourceNotFound") => return Ok(None),
        Err(error) => {
            return Err(why("eks:DescribePodIdentityAssociation", &cluster.arn, &error));
        }
    };
    let Some(found) = found else {
        return Err(format!("eks:DescribePodIdentityAssociation answered nothing for {id}"));
    };
    Ok(Some(without_nulls(json!({ "association": {
        "clusterName": found.cluster_name(),
        "namespace": found.namespace(),
        "serviceAccount": found.service_account(),
        "roleArn": found.role_arn(),
        "targetRoleArn": found.target_role_arn(),
        "externalId": found.external_id(),
        "associationArn": found.association_arn(),
        "associationId": found.association_id(),
        "disableSessionTags": found.disable_session_tags(),
        "createdAt": time(found.created_at()),
        "modifiedAt": time(found.modified_at()),
        "ownerArn": found.owner_arn(),
    }}))))
}

/// Every external identity provider, as `{oidc}`.
pub(super) async fn identity_providers(
    client: &Client,
    cluster: &Described,
) -> Result<Vec<Value>, String> {
    let pages = client
        .list_identity_provider_configs()
        .cluster_name(&cluster.name)
        .into_paginator()
        .items();
    let listed = pages
        .send()
        .collect::<Result<Vec<IdentityProviderConfig>, _>>()
        .await
        .map_err(|error| why("eks:ListIdentityProviderConfigs", &cluster.arn, &error))?;
    let each = listed.into_iter().map(|config| identity_provider(client, cluster, config));
    whole(each, 1).await
}

async fn identity_provider(
    client: &Client,
    cluster: &Described,
    config: IdentityProviderConfig,
) -> Result<Option<Value>, String> {
    let described = client.describe_identity_provider_config().cluster_name(&cluster.name);
    let found = match described.identity_provider_config(config).send().await {
        Ok(answer) => answer.identity_provider_config.and_then(|config| config.oidc),
        Err(error) if is(&error, "ResourceNotFound") => return Ok(None),
        Err(error) => {
            return Err(why("eks:DescribeIdentityProviderConfig", &cluster.arn, &error));
        }
    };
    let Some(oidc) = found else {
        return Err("eks:DescribeIdentityProviderConfig answered without oidc".to_owned());
    };
    Ok(Some(without_nulls(json!({ "oidc": {
        "identityProviderConfigName": oidc.identity_provider_config_name(),
        "identityProviderConfigArn": oidc.identity_provider_config_arn(),
        "clusterName": oidc.cluster_name(),
        "issuerUrl": oidc.issuer_url(),
        "clientId": oidc.client_id(),
        "usernameClaim": oidc.username_claim(),
        "usernamePrefix": oidc.username_prefix(),
        "groupsClaim": oidc.groups_claim(),
        "groupsPrefix": oidc.groups_prefix(),
        "status": oidc.status().map(ConfigStatus::as_str),
    }}))))
}

/// All of them, or why one is missing. The reason is that of the first in order.
async fn whole<F>(each: impl Iterator<Item = F>, concurrency: usize) -> Result<Vec<Value>, String>
where
    F: Future<Output = Result<Option<Value>, String>>,
{
    let answers: Vec<_> = stream::iter(each).buffered(concurrency.max(1)).collect().await;
    let found = answers.into_iter().collect::<Result<Vec<Option<Value>>, String>>()?;
    Ok(sorted(found.into_iter().flatten().collect()))
}
