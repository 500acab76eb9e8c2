//! Does a role's trust policy let a pod in?
//!
//! Only what decides that is read: Allow and Deny statements on `sts:AssumeRole*`, their principal,
//! and the conditions on `sub` and `aud`. A condition that is not understood neither lets in nor
//! keeps out: the answer is then unknown. Source:
//! <https://docs.aws.amazon.com/eks/latest/userguide/associate-service-account-role.html>.

use serde_json::Value;

use crate::model::arn::{is_pod_identity_service, issuer_id};
use crate::model::inventory::ServiceAccount;
use crate::model::service_account;

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

/// May EKS Pod Identity do `action` (`sts:AssumeRole`, `sts:TagSession`) on the role?
#[must_use]
pub fn pod_identity(policy: &str, action: &str) -> Trust {
    decide(policy, action, |principal, condition| {
        if !named(principal, "Service", is_pod_identity_service) {
            Match::No
        } else if condition.is_some() {
            // On session tags, source account or source ARN: not evaluated here.
            Match::Unclear
        } else {
            Match::Yes { by_wildcard: false }
        }
    })
}

/// May the ServiceAccount of the cluster with this OIDC issuer assume the role?
#[must_use]
pub fn irsa(policy: &str, issuer: &str, account: &ServiceAccount) -> Trust {
    let token = Token {
        issuer: issuer_id(issuer),
        subject: service_account::username(&account.namespace, &account.name),
        audiences: match account.audience.as_deref() {
            Some(audience) => vec![audience],
            None => DEFAULT_AUDIENCES.to_vec(),
        },
    };
    decide(policy, "sts:AssumeRoleWithWebIdentity", |principal, condition| {
        if !named(principal, "Federated", |provider| issuer_id(provider) == token.issuer) {
            return Match::No;
        }
        conditions(condition, &token)
    })
}

/// What Pod Identity must be allowed to do.
pub const ASSUME: &str = "sts:AssumeRole";
/// What it must be allowed as well, unless the association turns session tags off.
pub const TAG: &str = "sts:TagSession";

/// What the webhook asks for by default, and its form in China.
const DEFAULT_AUDIENCES: [&str; 2] = ["sts.amazonaws.com", "sts.amazonaws.com.cn"];

/// What the token of a ServiceAccount says.
struct Token<'a> {
    issuer: &'a str,
    subject: String,
    audiences: Vec<&'a str>,
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
            .any(|a| like(&a.to_lowercase(), &action.to_lowercase()))
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
                // One statement is enough to let others in, however exact the next one is.
                allowed = Some(allowed.unwrap_or(false) || by_wildcard);
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

fn conditions(condition: Option<&Value>, token: &Token<'_>) -> Match {
    let Some(condition) = condition.and_then(Value::as_object) else {
        // Without a condition every ServiceAccount of the cluster gets in.
        return Match::Yes { by_wildcard: true };
    };
    let subject = token.subject.as_str();
    let (mut only_this_subject, mut unclear) = (false, false);
    for (operator, keys) in condition {
        let by_pattern = match operator.to_ascii_lowercase().as_str() {
            "stringequals" | "foranyvalue:stringequals" => false,
            "stringlike" | "foranyvalue:stringlike" => true,
            _ => {
                unclear = true;
                continue;
            }
        };
        let Some(keys) = keys.as_object() else { return Match::Unclear };
        for (key, values) in keys {
            let values = texts(Some(values));
            if values.iter().any(|value| value.contains("${")) {
                unclear = true;
                continue;
            }
            let matches = |value: &String, wanted: &str| {
                value == wanted || (by_pattern && like(value, wanted))
            };
            // Keys are compared without regard to case.
            let key = key.to_ascii_lowercase();
            match key.rsplit_once(':') {
                // A key of another issuer is not in this token, so it equals nothing.
                Some((issuer, "sub" | "aud"))
                    if !issuer_id(issuer).eq_ignore_ascii_case(token.issuer) =>
                {
                    return Match::No;
                }
                Some((_, "sub")) => {
                    if !values.iter().any(|value| matches(value, subject)) {
                        return Match::No;
                    }
                    let others = |value: &String| value != subject && matches(value, subject);
                    only_this_subject |= !values.iter().any(others);
                }
                Some((_, "aud")) => {
                    let known = |wanted: &&str| values.iter().any(|value| matches(value, wanted));
                    if !token.audiences.iter().any(known) {
                        return Match::No;
                    }
                }
                _ => unclear = true,
            }
        }
    }
    if unclear { Match::Unclear } else { Match::Yes { by_wildcard: !only_this_subject } }
}

/// Matches a pattern of IAM: `*` stands for any text, `?` for one character.
/// Source: <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html>.
fn like(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) =
        (pattern.chars().collect(), text.chars().collect());
    let (mut p, mut t) = (0, 0);
    // Where the last star was, and how much of the text it takes so far.
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some('*') => {
                star = Some((p, t));
                p += 1;
            }
            Some(c) if *c == '?' || text.get(t) == Some(c) => {
                p += 1;
                t += 1;
            }
            _ => {
                let Some((at, taken)) = star else { return false };
                star = Some((at, taken + 1));
                p = at + 1;
                t = taken + 1;
            }
        }
    }
    pattern.get(p..).unwrap_or_default().iter().all(|c| *c == '*')
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

    fn account(audience: Option<&str>) -> ServiceAccount {
        ServiceAccount {
            namespace: "a".to_owned(),
            name: "b".to_owned(),
            role_arn: None,
            audience: audience.map(str::to_owned),
            created_at: None,
        }
    }

    fn check(condition: &str, expected: Trust) {
        assert_eq!(irsa(&policy(condition), ISSUER, &account(None)), expected, "{condition}");
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
        check(&on("StringLike", "system:serviceaccount:?:b"), wide);
        check(&on("StringEquals", "system:serviceaccount:?:b"), Trust::Denies);
        check(&on("StringLike", "system:serviceaccount:${aws:x}:b"), Trust::Unknown);
        check(&on("StringEquals", "system:serviceaccount:a:b").replace(":sub", ":Sub"), yes);
        check(&on("StringEquals", "system:serviceaccount:a:*"), Trust::Denies);
        check(&on("StringEquals", "system:serviceaccount:a:c"), Trust::Denies);
        check("", wide);
        check(r#","Condition":{"IpAddress":{"aws:SourceIp":"1.2.3.4"}}"#, Trust::Unknown);
        assert_eq!(irsa(&policy(""), "https://x/id/OTHER", &account(None)), Trust::Denies);
        assert_eq!(irsa("not json", ISSUER, &account(None)), Trust::Unknown);
        // A wildcard beside the exact name lets others in; an exact name beside a wildcard does not.
        let key = "oidc.eks.us-west-2.amazonaws.com/id/ABC:sub";
        let listed = format!(
            r#","Condition":{{"StringLike":{{"{key}":["system:serviceaccount:a:b","system:serviceaccount:a:*"]}}}}"#
        );
        check(&listed, wide);
        let both = format!(
            r#","Condition":{{"StringEquals":{{"{key}":"system:serviceaccount:a:b"}},"StringLike":{{"{key}":"system:serviceaccount:*"}}}}"#
        );
        check(&both, yes);
        // A key of another cluster's issuer is in no token of this one.
        check(
            &on("StringEquals", "system:serviceaccount:a:b").replace("ABC:sub", "XYZ:sub"),
            Trust::Denies,
        );
        // The dual-stack host of the same issuer is the same.
        let dual = policy(&on("StringEquals", "system:serviceaccount:a:b"))
            .replace("oidc.eks.us-west-2.amazonaws.com", "oidc-eks.us-west-2.api.aws");
        assert_eq!(irsa(&dual, ISSUER, &account(None)), yes);
    }

    #[test]
    fn audiences() {
        let on = |audience: &str| {
            policy(&format!(
                r#","Condition":{{"StringEquals":{{"x/id/ABC:sub":"system:serviceaccount:a:b","x/id/ABC:aud":"{audience}"}}}}"#
            ))
        };
        let (yes, no) = (Trust::Allows { by_wildcard: false }, Trust::Denies);
        let check = |wanted: &str, annotated: Option<&str>, expected: Trust| {
            assert_eq!(
                irsa(&on(wanted), ISSUER, &account(annotated)),
                expected,
                "{wanted} {annotated:?}"
            );
        };
        check("sts.amazonaws.com", None, yes);
        check("sts.amazonaws.com.cn", None, yes);
        check("vault", None, no);
        check("vault", Some("vault"), yes);
        check("sts.amazonaws.com", Some("vault"), no);
    }

    #[test]
    fn pod_identity_needs_its_service() {
        let of = |service: &str| {
            format!(
                r#"{{"Statement":{{"Effect":"Allow","Principal":{{"Service":"{service}"}},"Action":["sts:AssumeRole","sts:TagSession"]}}}}"#
            )
        };
        assert_eq!(
            pod_identity(&of("pods.eks.amazonaws.com"), ASSUME),
            Trust::Allows { by_wildcard: false }
        );
        let untagged = of("pods.eks.amazonaws.com.cn").replace("TagSession", "SetSourceIdentity");
        assert_eq!(pod_identity(&untagged, ASSUME), Trust::Allows { by_wildcard: false });
        assert_eq!(pod_identity(&untagged, TAG), Trust::Denies);
        assert_eq!(pod_identity(&of("ec2.amazonaws.com"), ASSUME), Trust::Denies);
        assert!(like("a*c?", "abbcd") && like("*", "") && like("a**", "a"));
        assert!(!like("a?", "a") && !like("a*b", "ac") && !like("", "a"));
        let both = r#"{"Statement":[
            {"Effect":"Allow","Principal":{"Federated":"x/id/ABC"},"Action":"sts:*"},
            {"Effect":"Allow","Principal":{"Federated":"x/id/ABC"},"Action":"sts:AssumeRoleWithWebIdentity",
             "Condition":{"StringEquals":{"x/id/ABC:sub":"system:serviceaccount:a:b"}}}]}"#;
        assert_eq!(irsa(both, ISSUER, &account(None)), Trust::Allows { by_wildcard: true });
        let guarded = r#"{"Statement":[
            {"Effect":"Allow","Principal":{"Service":"pods.eks.amazonaws.com"},"Action":"sts:AssumeRole"},
            {"Effect":"Deny","Principal":{"Service":"pods.eks.amazonaws.com"},"Action":"sts:AssumeRole",
             "Condition":{"StringNotEquals":{"aws:RequestTag/kubernetes-namespace":"shop"}}}]}"#;
        assert_eq!(pod_identity(guarded, ASSUME), Trust::Allows { by_wildcard: false });
        let conditional = r#"{"Statement":{"Effect":"Allow","Principal":{"Service":"pods.eks.amazonaws.com"},
            "Action":"sts:AssumeRole","Condition":{"StringEquals":{"aws:SourceAccount":"1"}}}}"#;
        assert_eq!(pod_identity(conditional, ASSUME), Trust::Unknown);
    }
}
