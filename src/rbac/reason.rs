//! What the authorizer wrote beside a decision: which binding of which role to whom.
//!
//! Input: the annotation `authorization.k8s.io/reason`. The authorizer's own words are anchored at
//! the start and names are read as Go's quoted text, so a name with quotes in it cannot pretend to
//! be another reason. Sources: the RBAC authorizer's message and
//! <https://docs.aws.amazon.com/eks/latest/userguide/access-policies.html>.

use crate::model::inventory::{RoleKind, Subject};

/// The grant that was named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Credit {
    /// An RBAC binding.
    RbacBinding {
        /// `None` for a ClusterRoleBinding.
        binding_namespace: Option<String>,
        /// Its name.
        binding: String,
        /// Kind of the role it binds.
        role_kind: RoleKind,
        /// Name of the role.
        role: String,
        /// Whom it names.
        subject: Subject,
    },
    /// An access policy of an access entry.
    AccessPolicy {
        /// Principal ARN of the entry.
        principal_arn: String,
        /// Policy ARN.
        policy_arn: String,
        /// Namespace that matched, for a namespace scope.
        namespace: Option<String>,
        /// `AROA…`
        principal_id: String,
    },
    /// Nothing: `system:masters` and the node authorizer write none.
    Empty,
    /// Words of another authorizer.
    Other,
}

/// Reads a reason.
#[must_use]
pub fn parse(reason: &str) -> Credit {
    if reason.is_empty() {
        return Credit::Empty;
    }
    let parsed = if let Some(rest) = reason.strip_prefix("RBAC: allowed by ") {
        sentence(rest).and_then(|parts| rbac(&parts))
    } else if let Some(rest) = reason.strip_prefix("EKS Access Policy: allowed by ") {
        sentence(rest).and_then(|parts| access_policy(&parts))
    } else {
        None
    };
    parsed.unwrap_or(Credit::Other)
}

/// `KIND "binding" of KIND "role" to KIND "subject"`.
struct Sentence {
    namespaced: bool,
    binding: String,
    role_kind: RoleKind,
    role: String,
    subject_kind: &'static str,
    subject: String,
}

fn sentence(text: &str) -> Option<Sentence> {
    let (namespaced, rest) = match text.strip_prefix("ClusterRoleBinding ") {
        Some(rest) => (false, rest),
        None => (true, text.strip_prefix("RoleBinding ")?),
    };
    let (binding, rest) = quoted(rest)?;
    let rest = rest.strip_prefix(" of ")?;
    let (role_kind, rest) = match rest.strip_prefix("ClusterRole ") {
        Some(rest) => (RoleKind::ClusterRole, rest),
        None => (RoleKind::Role, rest.strip_prefix("Role ")?),
    };
    let (role, rest) = quoted(rest)?;
    let rest = rest.strip_prefix(" to ")?;
    let (subject_kind, rest) = ["User", "Group", "ServiceAccount"]
        .into_iter()
        .find_map(|kind| Some((kind, rest.strip_prefix(kind)?.strip_prefix(' ')?)))?;
    let (subject, rest) = quoted(rest)?;
    rest.is_empty().then_some(Sentence {
        namespaced,
        binding,
        role_kind,
        role,
        subject_kind,
        subject,
    })
}

fn rbac(parts: &Sentence) -> Option<Credit> {
    let (binding_namespace, binding) = if parts.namespaced {
        let (name, namespace) = parts.binding.rsplit_once('/')?;
        (Some(namespace.to_owned()), name.to_owned())
    } else {
        (None, parts.binding.clone())
    };
    let subject = match parts.subject_kind {
        "User" => Subject::User(parts.subject.clone()),
        "Group" => Subject::Group(parts.subject.clone()),
        _ => {
            let (name, namespace) = parts.subject.rsplit_once('/')?;
            Subject::ServiceAccount { namespace: namespace.to_owned(), name: name.to_owned() }
        }
    };
    Some(Credit::RbacBinding {
        binding_namespace,
        binding,
        role_kind: parts.role_kind,
        role: parts.role.clone(),
        subject,
    })
}

/// The role is the policy's ARN, so it tells where the principal's ARN ends, whatever is in it.
fn access_policy(parts: &Sentence) -> Option<Credit> {
    let policy_arn = &parts.role;
    if !policy_arn.contains(":cluster-access-policy/") || parts.subject_kind != "User" {
        return None;
    }
    let joint = format!("+{policy_arn}");
    let at = parts.binding.rfind(&joint)?;
    let principal_arn = parts.binding.get(..at)?.to_owned();
    let namespace = match parts.binding.get(at + joint.len()..)? {
        "" => None,
        rest => Some(rest.strip_prefix('/')?.to_owned()),
    };
    Some(Credit::AccessPolicy {
        principal_arn,
        policy_arn: policy_arn.clone(),
        namespace,
        principal_id: parts.subject.clone(),
    })
}

/// Reads text as Go's `%q` writes it and returns what follows.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut out = String::new();
    let mut chars = text.strip_prefix('"')?.chars();
    loop {
        match chars.next()? {
            '"' => return Some((out, chars.as_str())),
            '\\' => out.push(match chars.next()? {
                'a' => '\u{7}',
                'b' => '\u{8}',
                'f' => '\u{c}',
                'n' => '\n',
                'r' => '\r',
                't' => '\t',
                'v' => '\u{b}',
                'x' => hex(&mut chars, 2)?,
                'u' => hex(&mut chars, 4)?,
                'U' => hex(&mut chars, 8)?,
                same @ ('\\' | '"' | '\'') => same,
                _ => return None,
            }),
            plain => out.push(plain),
        }
    }
}

fn hex(chars: &mut std::str::Chars<'_>, digits: usize) -> Option<char> {
    let mut value = 0;
    for _ in 0..digits {
        value = value * 16 + chars.next()?.to_digit(16)?;
    }
    char::from_u32(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(reason: &str, expected: &str) {
        let got = match parse(reason) {
            Credit::RbacBinding { binding_namespace, binding, role, subject, .. } => {
                format!("{binding_namespace:?} {binding} {role} {subject:?}")
            }
            Credit::AccessPolicy { principal_arn, policy_arn, namespace, principal_id } => {
                let policy = policy_arn.rsplit('/').next().unwrap_or_default();
                format!("{principal_arn} {policy} {namespace:?} {principal_id}")
            }
            Credit::Empty => "empty".to_owned(),
            Credit::Other => "other".to_owned(),
        };
        assert_eq!(got, expected, "{reason}");
    }

    #[test]
    fn rbac_reasons() {
        check(
            r#"RBAC: allowed by ClusterRoleBinding "a" of ClusterRole "view" to Group "oidc:x""#,
            r#"None a view Group("oidc:x")"#,
        );
        check(
            r#"RBAC: allowed by RoleBinding "b/ns" of Role "r" to ServiceAccount "sa/ci""#,
            r#"Some("ns") b r ServiceAccount { namespace: "ci", name: "sa" }"#,
        );
        check(
            r#"RBAC: allowed by ClusterRoleBinding "a\" of ClusterRole \"x" of ClusterRole "y" to User "z\n\u00e9\x41""#,
            "None a\" of ClusterRole \"x y User(\"z\\néA\")",
        );
        check("", "empty");
        check("no relationship found between node", "other");
        check(
            r#"x RBAC: allowed by ClusterRoleBinding "a" of ClusterRole "v" to User "u""#,
            "other",
        );
        check(
            r#"RBAC: allowed by ClusterRoleBinding "a" of ClusterRole "v" to User "u" and more"#,
            "other",
        );
        check(
            r#"RBAC: allowed by ClusterRoleBinding "a" of ClusterRole "v" to Robot "u""#,
            "other",
        );
        check(r#"RBAC: allowed by ClusterRoleBinding "a"#, "other");
    }

    #[test]
    fn access_policy_reasons() {
        let policy = "arn:aws:eks::aws:cluster-access-policy/AmazonEKSViewPolicy";
        check(
            &format!(
                r#"EKS Access Policy: allowed by ClusterRoleBinding "arn:aws:iam::1:role/x+{policy}" of ClusterRole "{policy}" to User "AROA1""#
            ),
            "arn:aws:iam::1:role/x AmazonEKSViewPolicy None AROA1",
        );
        check(
            &format!(
                r#"EKS Access Policy: allowed by RoleBinding "arn:aws-cn:iam::1:role/p/a+b@c+{policy}/shop" of ClusterRole "{policy}" to User "AROA1""#
            ),
            r#"arn:aws-cn:iam::1:role/p/a+b@c AmazonEKSViewPolicy Some("shop") AROA1"#,
        );
        check(
            &format!(
                r#"EKS Access Policy: allowed by ClusterRoleBinding "other" of ClusterRole "{policy}" to User "AROA1""#
            ),
            "other",
        );
    }
}
