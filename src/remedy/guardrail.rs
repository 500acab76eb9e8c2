//! What a pipeline needs in IAM to make the entries and associations of a bundle, and no more.
//!
//! A role that may create entries may make itself an administrator of the cluster, unless conditions name
//! what it may create. Input: steps. Output: an IAM policy per cluster, cut into files that IAM takes.
//! Which key goes with which action, and what no key narrows:
//! <https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonelastickubernetesservice.html>.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::model::arn::Arn;

use super::hcl::slug;
use super::shell::place;
use super::step::Step;

/// Characters of a managed policy, white space not counted, with room for its frame.
/// Source: <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html>.
const MAX_CHARS: usize = 6_000;

/// What one step needs, as a statement; `None` where it calls no API of entries.
pub(super) fn statement(step: &Step) -> Option<(&str, Value)> {
    Some(match step {
        Step::CreateEntry { cluster, principal, username, groups, entry_type } => {
            let kind = if entry_type.is_empty() { "STANDARD" } else { entry_type };
            let typed = kind != "STANDARD";
            let mut equals = BTreeMap::from([("eks:principalArn", literal(principal))]);
            if !typed && !username.is_empty() && username != principal {
                equals.insert("eks:username", literal(username));
            }
            // All of none holds: with an empty text in the list, no group or nothing is what fits.
            let list = if groups.is_empty() { vec![String::new()] } else { literals(groups) };
            let mut condition = BTreeMap::from([(
                "ForAllValues:StringEquals",
                json!({ "eks:kubernetesGroups": list }),
            )]);
            if typed {
                equals.insert("eks:accessEntryType", literal(kind));
            } else {
                // The type may be left out of a call, and is then this one.
                condition.insert("StringEqualsIfExists", json!({ "eks:accessEntryType": kind }));
            }
            condition.insert("StringEquals", json!(equals));
            (cluster, allow("eks:CreateAccessEntry", cluster, &json!(condition)))
        }
        Step::Associate { cluster, principal, policy, namespaces } => {
            let scope = if namespaces.is_some() { "namespace" } else { "cluster" };
            let mut condition = BTreeMap::from([(
                "StringEquals",
                json!({ "eks:policyArn": literal(policy), "eks:accessScope": scope }),
            )]);
            if let Some(names) = namespaces {
                // "All of none" holds: a call without namespaces must fail by itself.
                condition.insert(
                    "ForAllValues:StringEquals",
                    json!({ "eks:namespaces": literals(names) }),
                );
                condition.insert("Null", json!({ "eks:namespaces": "false" }));
            }
            (cluster, allow_entry("eks:AssociateAccessPolicy", cluster, principal, condition))
        }
        Step::Disassociate { cluster, principal, policy } => {
            let condition =
                BTreeMap::from([("StringEquals", json!({ "eks:policyArn": literal(policy) }))]);
            (cluster, allow_entry("eks:DisassociateAccessPolicy", cluster, principal, condition))
        }
        Step::Groups { cluster, principal, .. } => {
            (cluster, allow_entry("eks:UpdateAccessEntry", cluster, principal, BTreeMap::new()))
        }
        Step::DeleteEntry { cluster, principal } => {
            (cluster, allow_entry("eks:DeleteAccessEntry", cluster, principal, BTreeMap::new()))
        }
        _ => return None,
    })
}

/// The text itself where a dollar would begin a variable. Source:
/// <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_variables.html>.
fn literal(text: &str) -> String {
    text.replace('$', "${$}")
}

fn literals(texts: &[String]) -> Vec<String> {
    texts.iter().map(|text| literal(text)).collect()
}

fn allow(action: &str, resource: &str, condition: &Value) -> Value {
    json!({ "Effect": "Allow", "Action": action, "Resource": resource, "Condition": condition })
}

/// On the entry of one principal, whose ARN is `…:access-entry/CLUSTER/role/ACCOUNT/NAME/ID`. The key says
/// the same with the path of the role, where the call has it.
fn allow_entry(
    action: &str,
    cluster: &str,
    principal: &str,
    mut condition: BTreeMap<&str, Value>,
) -> Value {
    let (region, name) = place(cluster);
    let (partition, account) =
        Arn::parse(cluster).map_or(("aws", ""), |arn| (arn.partition, arn.account));
    let of = Arn::parse(principal);
    let kind =
        of.map_or("*", |arn| if arn.resource.starts_with("user/") { "user" } else { "role" });
    let owner = of.map_or("*", |arn| arn.account);
    let who = of.and_then(|arn| arn.resource.rsplit('/').next()).unwrap_or("*");
    // A dollar would begin a policy variable, a star and a question mark are patterns: then the key alone
    // tells whose entry it is.
    let is_plain = !who.is_empty() && !who.contains(['$', '*', '?']);
    let (who, operator) =
        if is_plain { (who, "StringEqualsIfExists") } else { ("*", "StringEquals") };
    let keys = condition.entry(operator).or_insert_with(|| json!({}));
    if let Some(keys) = keys.as_object_mut() {
        keys.insert("eks:principalArn".to_owned(), literal(principal).into());
    }
    let resource = format!(
        "arn:{partition}:eks:{region}:{account}:access-entry/{name}/{kind}/{owner}/{who}/*"
    );
    allow(action, &resource, &json!(condition))
}

/// Files of the policies, by path below the bundle's folder.
pub(super) fn files<'a>(steps: impl Iterator<Item = &'a Step>) -> BTreeMap<String, String> {
    let mut by_cluster: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for (cluster, statement) in steps.filter_map(statement) {
        by_cluster.entry(cluster).or_default().insert(statement.to_string());
    }
    let mut files = BTreeMap::new();
    for (cluster, statements) in by_cluster {
        let (region, name) = place(cluster);
        let folder = slug(&format!("{name}-{region}"), cluster);
        for (number, part) in (1..).zip(parts(statements.into_iter().collect())) {
            let mut text =
                String::from("{\n  \"Version\": \"2012-10-17\",\n  \"Statement\": [\n    ");
            text.push_str(&part.join(",\n    "));
            text.push_str("\n  ]\n}\n");
            files.insert(format!("iam/{folder}/guardrail-{number}.json"), text);
        }
    }
    files
}

/// As many statements in each as a managed policy holds.
fn parts(statements: Vec<String>) -> Vec<Vec<String>> {
    let mut parts: Vec<Vec<String>> = Vec::new();
    let mut left = 0;
    for statement in statements {
        let chars = statement.chars().count() + 1;
        match parts.last_mut() {
            Some(part) if chars <= left => part.push(statement),
            _ => {
                parts.push(vec![statement]);
                left = MAX_CHARS;
            }
        }
        left = left.saturating_sub(chars);
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLUSTER: &str = "arn:aws:eks:us-west-2:1:cluster/prod";

    fn check(step: &Step, expected: &str) {
        let got = statement(step).unwrap().1;
        let expected: Value = serde_json::from_str(expected).unwrap();
        assert_eq!(got, expected);
    }

    fn entry(username: &str, groups: &[&str], entry_type: &str) -> Step {
        Step::CreateEntry {
            cluster: CLUSTER.to_owned(),
            principal: "arn:aws:iam::1:role/team/ci".to_owned(),
            username: username.to_owned(),
            groups: groups.iter().map(|group| (*group).to_owned()).collect(),
            entry_type: entry_type.to_owned(),
        }
    }

    #[test]
    fn an_entry_is_made_for_one_principal_with_these_groups() {
        check(
            &entry("ci", &["ops"], "STANDARD"),
            r#"{"Effect":"Allow","Action":"eks:CreateAccessEntry",
            "Resource":"arn:aws:eks:us-west-2:1:cluster/prod","Condition":{
            "StringEquals":{"eks:principalArn":"arn:aws:iam::1:role/team/ci","eks:username":"ci"},
            "StringEqualsIfExists":{"eks:accessEntryType":"STANDARD"},
            "ForAllValues:StringEquals":{"eks:kubernetesGroups":["ops"]}}}"#,
        );
        check(
            &entry("", &[], "EC2_LINUX"),
            r#"{"Effect":"Allow","Action":"eks:CreateAccessEntry",
            "Resource":"arn:aws:eks:us-west-2:1:cluster/prod","Condition":{
            "StringEquals":{"eks:principalArn":"arn:aws:iam::1:role/team/ci",
            "eks:accessEntryType":"EC2_LINUX"},
            "ForAllValues:StringEquals":{"eks:kubernetesGroups":[""]}}}"#,
        );
    }

    #[test]
    fn a_policy_is_tied_to_its_namespaces() {
        let policy = "arn:aws:eks::aws:cluster-access-policy/AmazonEKSViewPolicy";
        check(
            &Step::Associate {
                cluster: CLUSTER.to_owned(),
                principal: "arn:aws:iam::2:user/a/ann".to_owned(),
                policy: policy.to_owned(),
                namespaces: Some(vec!["shop".to_owned()]),
            },
            r#"{"Effect":"Allow","Action":"eks:AssociateAccessPolicy",
            "Resource":"arn:aws:eks:us-west-2:1:access-entry/prod/user/2/ann/*","Condition":{
            "StringEquals":{"eks:accessScope":"namespace",
            "eks:policyArn":"arn:aws:eks::aws:cluster-access-policy/AmazonEKSViewPolicy"},
            "StringEqualsIfExists":{"eks:principalArn":"arn:aws:iam::2:user/a/ann"},
            "ForAllValues:StringEquals":{"eks:namespaces":["shop"]},
            "Null":{"eks:namespaces":"false"}}}"#,
        );
        let whole = Step::Associate {
            cluster: CLUSTER.to_owned(),
            principal: "arn:aws:iam::1:role/$*".to_owned(),
            policy: policy.to_owned(),
            namespaces: None,
        };
        let (_, got) = statement(&whole).unwrap();
        assert_eq!(got["Condition"]["StringEquals"]["eks:accessScope"], "cluster");
        let resource = "arn:aws:eks:us-west-2:1:access-entry/prod/role/1/*/*";
        assert_eq!(got["Resource"], resource, "a name that is a pattern is none");
        let (_, got) = statement(&entry("${aws:username}", &[], "STANDARD")).unwrap();
        assert_eq!(got["Condition"]["StringEquals"]["eks:username"], "${$}{aws:username}");
    }

    #[test]
    fn no_part_is_longer_than_iam_takes() {
        let made = parts((0..50).map(|n| format!("{n:0>400}")).collect());
        assert_eq!(made.iter().map(Vec::len).sum::<usize>(), 50);
        assert!(made.len() > 3);
        for part in made {
            assert!(part.iter().map(|one| one.len() + 1).sum::<usize>() <= MAX_CHARS);
        }
    }
}
