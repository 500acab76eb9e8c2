//! The IAM principals that a cluster's grants mention, as they are now.
//!
//! Input: ARNs. Output: the roles and users of the cluster's own account, by `GetRole` and `GetUser`.
//! One that does not exist is simply not in the list: that is how a reader knows it is gone. A
//! refusal makes a hole, and then nothing is called gone. Principals of other accounts cannot be
//! asked for; a name looked up here would be another principal of the same name. Source:
//! <https://docs.aws.amazon.com/IAM/latest/APIReference/API_GetRole.html>.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_iam::Client;
use aws_sdk_iam::types::{Role, User};
use futures::{StreamExt, stream};
use serde_json::{Value, json};

use super::answer::{is, time, why, without_nulls};
use super::eks::Described;
use crate::model::arn::{PrincipalKind, PrincipalName, percent_decoded};
use crate::model::inventory::Hole;

/// Where IAM Identity Center keeps its roles.
const SSO_PATH: &str = "/aws-reserved/sso.amazonaws.com/";
const SSO_NAME: &str = "AWSReservedSSO_";

/// What was read.
#[derive(Debug, Default)]
pub(super) struct Read {
    pub(super) roles: Vec<Value>,
    pub(super) users: Vec<Value>,
    pub(super) holes: Vec<Hole>,
}

enum Found {
    Role(Value),
    User(Value),
    Gone,
    /// Which file it would be in, who, and why it is not.
    Refused(&'static str, String, String),
}

/// Asks for every principal of `arns` in the cluster's account.
pub(super) async fn read(
    client: &Client,
    cluster: &Described,
    arns: &BTreeSet<String>,
    concurrency: usize,
) -> Read {
    let names: BTreeSet<PrincipalName> = arns
        .iter()
        .filter_map(|arn| PrincipalName::from_arn(arn))
        .filter(|name| name.account == cluster.account)
        .collect();
    let from_sso = names.iter().any(|name| name.name.starts_with(SSO_NAME));
    let answers: Vec<Found> = stream::iter(names)
        .map(|name| ask(client, name))
        .buffered(concurrency.max(1))
        .collect()
        .await;
    let mut read = Read::default();
    let mut roles: BTreeMap<String, Value> = BTreeMap::new();
    let mut refused: BTreeMap<&str, Vec<(String, String)>> = BTreeMap::new();
    let mut keep = |role: Value| {
        let arn = role.get("Arn").and_then(Value::as_str).unwrap_or_default().to_owned();
        roles.insert(arn, role);
    };
    for found in answers {
        match found {
            Found::Role(role) => keep(role),
            Found::User(user) => read.users.push(user),
            Found::Gone => {}
            Found::Refused(file, name, why) => refused.entry(file).or_default().push((name, why)),
        }
    }
    read.holes.extend(refused.into_iter().map(|(file, all)| {
        let names: Vec<&str> = all.iter().map(|(name, _)| name.as_str()).collect();
        let why = all.first().map(|(_, why)| why.as_str()).unwrap_or_default();
        Hole { what: file.to_owned(), why: format!("{why}; not read: {}", names.join(", ")) }
    }));
    if from_sso {
        // Identity Center makes a role again under another suffix; the other one tells.
        let pages = client.list_roles().path_prefix(SSO_PATH).into_paginator().items().send();
        match pages.collect::<Result<Vec<Role>, _>>().await {
            Ok(list) => list.iter().map(role_json).for_each(keep),
            Err(error) => read.holes.push(Hole {
                what: "roles of IAM Identity Center".to_owned(),
                why: why("iam:ListRoles", SSO_PATH, &error),
            }),
        }
    }
    read.roles = roles.into_values().collect();
    read
}

async fn ask(client: &Client, name: PrincipalName) -> Found {
    let refused = |file, why: String| Found::Refused(file, name.name.clone(), why);
    // Credentials of another account would find another principal of the same name.
    let is_it = |arn: &str| PrincipalName::from_arn(arn).is_some_and(|found| found == name);
    let odd = |call: &str| format!("{call} answered with another principal");
    match name.kind {
        PrincipalKind::Role => match client.get_role().role_name(&name.name).send().await {
            Ok(answer) => match answer.role {
                Some(role) if is_it(role.arn()) => Found::Role(role_json(&role)),
                _ => refused("iam-roles.json", odd("iam:GetRole")),
            },
            Err(error) if is(&error, "NoSuchEntity") => Found::Gone,
            Err(error) => refused("iam-roles.json", why("iam:GetRole", "the roles", &error)),
        },
        PrincipalKind::User => match client.get_user().user_name(&name.name).send().await {
            Ok(answer) => match answer.user {
                Some(user) if is_it(user.arn()) => Found::User(user_json(&user)),
                _ => refused("iam-users.json", odd("iam:GetUser")),
            },
            Err(error) if is(&error, "NoSuchEntity") => Found::Gone,
            Err(error) => refused("iam-users.json", why("iam:GetUser", "the users", &error)),
        },
        PrincipalKind::Federated | PrincipalKind::Root => Found::Gone,
    }
}

fn role_json(role: &Role) -> Value {
    // The API percent-encodes the document; the CLI prints it as an object.
    let trust = role.assume_role_policy_document().map(percent_decoded);
    let trust = trust.map(|text| serde_json::from_str(&text).unwrap_or(Value::String(text)));
    without_nulls(json!({
        "Path": role.path(),
        "RoleName": role.role_name(),
        "RoleId": role.role_id(),
        "Arn": role.arn(),
        "CreateDate": time(Some(role.create_date())),
        "AssumeRolePolicyDocument": trust,
    }))
}

fn user_json(user: &User) -> Value {
    without_nulls(json!({
        "Path": user.path(),
        "UserName": user.user_name(),
        "UserId": user.user_id(),
        "Arn": user.arn(),
        "CreateDate": time(Some(user.create_date())),
    }))
}
