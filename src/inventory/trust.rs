//! Does a role's trust policy let a pod in?
//!
//! Only what decides that is read: Allow and Deny statements on `sts:AssumeRole*`, their principal,
//! and the conditions on `sub` and `aud`. A condition that is not understood neither lets in nor
//! keeps out: the answer is then unknown. Source:
//! <https://docs.aws.amazon.com/eks/latest/userguide/associate-service-account-role.html>.

use serde_json::Value;

use crate::rbac::glob_match;

/// What the policy says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trust {
    /// It lets the caller in.
    Allows {
        /// By a wildcard over ServiceAccounts, so that others get in too.
        by_wildcard: bool,
    },
    /// It does not.
    Denies,
    /// It does not read, or rests on a condition that is not understood.
    Unknown,
}

/// May EKS Pod Identity assume the role?
#[must_use]
pub fn pod_identity(policy: &str) -> Trust {
    decide(policy, "sts:AssumeRole", |principal, _| {
        if named(principal, "Service", |service| service == "pods.eks.amazonaws.com") {
            Match::Yes { by_wildcard: false }
        } else {
            Match::No
        }
    })
}

/// May `system:serviceaccount:NS:SA` of the cluster with this OIDC issuer assume the role?
#[must_use]
pub fn irsa(policy: &str, issuer: &str, namespace: &str, service_account: &str) -> Trust {
    let subject = format!("system:serviceaccount:{namespace}:{service_account}");
    let id = issuer_id(issuer);
    decide(policy, "sts:AssumeRoleWithWebIdentity", |principal, condition| {
        if !named(principal, "Federated", |provider| issuer_id(provider) == id) {
            return Match::No;
        }
        conditions(condition, &subject)
    })
}

/// The last path segment: issuer hosts differ between IPv4 and dual-stack names, the id does not.
fn issuer_id(issuer: &str) -> &str {
    issuer.trim_end_matches('/').rsplit('/').next().unwrap_or(issuer)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Match {
    Yes { by_wildcard: bool },
    No,
    Unclear,
}

fn decide(policy: &str, action: &str, matches: impl Fn(&Value, Option<&Value>) -> Match) -> Trust {
    let Ok(policy) = serde_json::from_str::<Value>(policy) else { return Trust::Unknown };
    let statements = match policy.get("Statement") {
        Some(Value::Array(list)) => list.clone(),
        Some(one @ Value::Object(_)) => vec![one.clone()],
        _ => return Trust::Unknown,
    };
    let (mut allowed, mut unclear) = (None, false);
    for statement in &statements {
        if !texts(statement.get("Action"))
            .iter()
            .any(|a| glob_match(&a.to_lowercase(), &action.to_lowercase()))
        {
            unclear |= statement.get("NotAction").is_some();
            continue;
        }
        let Some(principal) = statement.get("Principal") else {
            unclear = true;
            continue;
        };
        let found = matches(principal, statement.get("Condition"));
        match (statement.get("Effect").and_then(Value::as_str), found) {
            (Some("Allow"), Match::Yes { by_wildcard }) => {
                // The statement that names the account exactly is the one that counts.
                allowed = Some(allowed.unwrap_or(true) && by_wildcard);
            }
            (Some("Deny"), Match::Yes { .. }) => return Trust::Denies,
            (_, Match::Unclear) => unclear = true,
            _ => {}
        }
    }
    match (allowed, unclear) {
        (Some(by_wildcard), _) => Trust::Allows { by_wildcard },
        (None, true) => Trust::Unknown,
        (None, false) => Trust::Denies,
    }
}

fn named(principal: &Value, kind: &str, is: impl Fn(&str) -> bool) -> bool {
    principal.as_str() == Some("*")
        || texts(principal.get(kind)).iter().any(|name| name == "*" || is(name))
}

fn conditions(condition: Option<&Value>, subject: &str) -> Match {
    let Some(condition) = condition.and_then(Value::as_object) else {
        // Without a condition every ServiceAccount of the cluster gets in.
        return Match::Yes { by_wildcard: true };
    };
    let (mut named_subject, mut unclear, mut by_wildcard) = (false, false, false);
    for (operator, keys) in condition {
        let like = match operator.to_ascii_lowercase().as_str() {
            "stringequals" | "foranyvalue:stringequals" => false,
            "stringlike" | "foranyvalue:stringlike" => true,
            _ => {
                unclear = true;
                continue;
            }
        };
        let Some(keys) = keys.as_object() else { return Match::Unclear };
        for (key, values) in keys {
            let wanted = match key.rsplit(':').next() {
                Some("sub") => subject,
                Some("aud") => "sts.amazonaws.com",
                _ => {
                    unclear = true;
                    continue;
                }
            };
            let values = texts(Some(values));
            let hit =
                values.iter().find(|value| *value == wanted || (like && glob_match(value, wanted)));
            let Some(hit) = hit else { return Match::No };
            if wanted == subject {
                named_subject = true;
                by_wildcard = like && hit != subject;
            }
        }
    }
    if unclear { Match::Unclear } else { Match::Yes { by_wildcard: by_wildcard || !named_subject } }
}

fn texts(value: Option<&Value>) -> Vec<String> {
    match value {
        Some(Value::String(text)) => vec![text.clone()],
        Some(Value::Array(list)) => {
            list.iter().filter_map(Value::as_str).map(str::to_owned).collect()
        }
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ISSUER: &str = "https://oidc.eks.us-west-2.amazonaws.com/id/ABC";

    fn policy(condition: &str) -> String {
        format!(
            r#"{{"Statement":[{{"Effect":"Allow","Principal":{{"Federated":"arn:aws:iam::1:oidc-provider/oidc.eks.us-west-2.amazonaws.com/id/ABC"}},"Action":"sts:AssumeRoleWithWebIdentity"{condition}}}]}}"#
        )
    }

    fn check(condition: &str, expected: Trust) {
        assert_eq!(irsa(&policy(condition), ISSUER, "a", "b"), expected, "{condition}");
    }

    #[test]
    fn irsa_conditions() {
        let (yes, wide) =
            (Trust::Allows { by_wildcard: false }, Trust::Allows { by_wildcard: true });
        let on = |operator: &str, sub: &str| {
            format!(
                r#","Condition":{{"{operator}":{{"oidc.eks.us-west-2.amazonaws.com/id/ABC:sub":"{sub}","oidc.eks.us-west-2.amazonaws.com/id/ABC:aud":"sts.amazonaws.com"}}}}"#
            )
        };
        check(&on("StringEquals", "system:serviceaccount:a:b"), yes);
        check(&on("StringLike", "system:serviceaccount:a:*"), wide);
        check(&on("StringLike", "system:serviceaccount:a:b"), yes);
        check(&on("StringEquals", "system:serviceaccount:a:*"), Trust::Denies);
        check(&on("StringEquals", "system:serviceaccount:a:c"), Trust::Denies);
        check("", wide);
        check(r#","Condition":{"IpAddress":{"aws:SourceIp":"1.2.3.4"}}"#, Trust::Unknown);
        assert_eq!(irsa(&policy(""), "https://x/id/OTHER", "a", "b"), Trust::Denies);
        assert_eq!(irsa("not json", ISSUER, "a", "b"), Trust::Unknown);
    }

    #[test]
    fn pod_identity_needs_its_service() {
        let of = |service: &str| {
            format!(
                r#"{{"Statement":{{"Effect":"Allow","Principal":{{"Service":"{service}"}},"Action":["sts:AssumeRole","sts:TagSession"]}}}}"#
            )
        };
        assert_eq!(
            pod_identity(&of("pods.eks.amazonaws.com")),
            Trust::Allows { by_wildcard: false }
        );
        assert_eq!(pod_identity(&of("ec2.amazonaws.com")), Trust::Denies);
    }
}
