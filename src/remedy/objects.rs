//! Steps that need a Kubernetes object, as YAML of typed objects.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::api::rbac::v1::{
    ClusterRole, ClusterRoleBinding, PolicyRule, Role, RoleBinding, RoleRef, Subject as Named,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::Serialize;

use crate::model::permission::Rule;

use super::step::{Own, Row, Step, Subject};

const GROUP: &str = "rbac.authorization.k8s.io";

/// Where the object of a step is, from the folder of its script.
pub(super) fn path(step: &Step) -> String {
    match step {
        Step::Own(own) | Step::DropOwn(own) => format!("rbac/{}.yaml", own.name()),
        Step::AwsAuth { grant_id, .. } => format!("rbac/aws-auth-{grant_id}.yaml"),
        Step::CreateBinding { binding, .. } => {
            let name: String = binding
                .chars()
                .map(|c| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' })
                .collect();
            format!("rbac/{}-{name}.yaml", short(binding))
        }
        _ => String::new(),
    }
}

/// Tells bindings apart whose names read alike once they are made safe.
fn short(text: &str) -> String {
    use crate::model::digest;
    digest::hex(&digest::of_bytes(text.as_bytes()), 8)
}

/// The file of a step: its path and its YAML.
pub(super) fn file(step: &Step) -> Result<Option<(String, String)>, serde_yaml_ng::Error> {
    let yaml = match step {
        Step::Own(own) | Step::DropOwn(own) => of_own(own)?,
        Step::AwsAuth { rows, .. } => serde_yaml_ng::to_string(&aws_auth(rows)?)?,
        Step::CreateBinding { binding, role, subjects, .. } => bound(binding, role, subjects)?,
        _ => return Ok(None),
    };
    Ok(Some((path(step), yaml)))
}

/// A Role in each namespace, a ClusterRole where something is for the cluster, and their bindings.
fn of_own(own: &Own) -> Result<String, serde_yaml_ng::Error> {
    let name = own.name();
    let subjects = Some(vec![named(&own.subject)]);
    let labels =
        BTreeMap::from([("app.kubernetes.io/managed-by".to_owned(), "overgrant".to_owned())]);
    let meta = |namespace: Option<&str>| ObjectMeta {
        name: Some(name.clone()),
        namespace: namespace.map(str::to_owned),
        labels: Some(labels.clone()),
        ..ObjectMeta::default()
    };
    let role_ref = |kind: &str| RoleRef {
        api_group: GROUP.to_owned(),
        kind: kind.to_owned(),
        name: name.clone(),
    };
    let mut documents = Vec::new();
    for (place, rules) in own.by_place() {
        let rules = Some(rules.into_iter().map(policy_rule).collect());
        if place.is_some() {
            documents.push(yaml(&Role { metadata: meta(place), rules })?);
            documents.push(yaml(&RoleBinding {
                metadata: meta(place),
                role_ref: role_ref("Role"),
                subjects: subjects.clone(),
            })?);
        } else {
            documents.push(yaml(&ClusterRole {
                metadata: meta(None),
                rules,
                aggregation_rule: None,
            })?);
            documents.push(yaml(&ClusterRoleBinding {
                metadata: meta(None),
                role_ref: role_ref("ClusterRole"),
                subjects: subjects.clone(),
            })?);
        }
    }
    Ok(documents.join("---\n"))
}

/// A binding that was deleted, as far as the tables know it: without labels and annotations.
fn bound(binding: &str, role: &str, subjects: &[Subject]) -> Result<String, serde_yaml_ng::Error> {
    let role_ref = RoleRef {
        api_group: GROUP.to_owned(),
        kind: role.split('/').next().unwrap_or_default().to_owned(),
        name: role.rsplit('/').next().unwrap_or_default().to_owned(),
    };
    let subjects = Some(subjects.iter().map(named).collect());
    let metadata = |name: &str, namespace: Option<&str>| ObjectMeta {
        name: Some(name.to_owned()),
        namespace: namespace.map(str::to_owned),
        ..ObjectMeta::default()
    };
    match binding.split('/').collect::<Vec<_>>().as_slice() {
        ["RoleBinding", namespace, name] => {
            yaml(&RoleBinding { metadata: metadata(name, Some(namespace)), role_ref, subjects })
        }
        parts => {
            let name = parts.last().copied().unwrap_or_default();
            yaml(&ClusterRoleBinding { metadata: metadata(name, None), role_ref, subjects })
        }
    }
}

/// The typed objects leave out what says what they are.
fn yaml<T: Serialize + k8s_openapi::Resource>(object: &T) -> Result<String, serde_yaml_ng::Error> {
    let mut value = serde_yaml_ng::to_value(object)?;
    if let Some(map) = value.as_mapping_mut() {
        map.insert("apiVersion".into(), T::API_VERSION.into());
        map.insert("kind".into(), T::KIND.into());
    }
    serde_yaml_ng::to_string(&value)
}

fn policy_rule(rule: &Rule) -> PolicyRule {
    let some = |list: &[String]| (!list.is_empty()).then(|| list.to_vec());
    PolicyRule {
        api_groups: some(&rule.api_groups),
        non_resource_urls: some(&rule.non_resource_urls),
        resource_names: some(&rule.resource_names),
        resources: some(&rule.resources),
        verbs: rule.verbs.clone(),
    }
}

fn named(subject: &Subject) -> Named {
    let (kind, name, namespace) = match subject {
        Subject::User(name) => ("User", name, None),
        Subject::Group(name) => ("Group", name, None),
        Subject::ServiceAccount { namespace, name } => {
            ("ServiceAccount", name, Some(namespace.clone()))
        }
    };
    Named {
        api_group: namespace.is_none().then(|| GROUP.to_owned()),
        kind: kind.to_owned(),
        name: name.clone(),
        namespace,
    }
}

#[derive(Serialize)]
struct Mapping<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    rolearn: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    userarn: Option<&'a str>,
    #[serde(skip_serializing_if = "str::is_empty")]
    username: &'a str,
    groups: &'a [String],
}

fn aws_auth(rows: &[Row]) -> Result<serde_yaml_ng::Value, serde_yaml_ng::Error> {
    let mut data: BTreeMap<String, String> = BTreeMap::new();
    for (key, kind) in [("mapRoles", "aws_auth_role"), ("mapUsers", "aws_auth_user")] {
        let of_kind = rows.iter().filter(|row| row.kind == kind);
        let list: Vec<Mapping<'_>> = of_kind
            .map(|row| {
                let arn = Some(row.principal.as_str());
                let is_role = kind == "aws_auth_role";
                Mapping {
                    rolearn: arn.filter(|_| is_role),
                    userarn: arn.filter(|_| !is_role),
                    username: &row.username,
                    groups: &row.groups,
                }
            })
            .collect();
        if !list.is_empty() {
            data.insert(key.to_owned(), serde_yaml_ng::to_string(&list)?);
        }
    }
    let accounts: Vec<&str> = rows
        .iter()
        .filter(|row| row.kind == "aws_auth_account")
        .map(|row| row.principal.as_str())
        .collect();
    if !accounts.is_empty() {
        data.insert("mapAccounts".to_owned(), serde_yaml_ng::to_string(&accounts)?);
    }
    let map = ConfigMap {
        metadata: ObjectMeta {
            name: Some("aws-auth".to_owned()),
            namespace: Some("kube-system".to_owned()),
            ..ObjectMeta::default()
        },
        data: Some(data),
        ..ConfigMap::default()
    };
    serde_yaml_ng::from_str(&yaml(&map)?)
}
