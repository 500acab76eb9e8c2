//! ARNs, read without ever assuming a partition.
//!
//! STS drops the path of a role (`arn:aws:sts::A:assumed-role/NAME/SESSION`), IAM keeps it
//! (`arn:aws:iam::A:role/PATH/NAME`), so two ARNs of one principal seldom compare equal as text.
//! Compare [`PrincipalName`]s, or better the unique ids (`AROA…`, `AIDA…`).
//! Source: <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html>.

use serde::{Deserialize, Serialize};

/// The six fields of an ARN, borrowed: `arn:partition:service:region:account:resource`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Arn<'a> {
    /// `aws`, `aws-cn`, `aws-us-gov`, `aws-eusc`, …
    pub partition: &'a str,
    /// `iam`, `sts`, `eks`, …
    pub service: &'a str,
    /// Empty for global services.
    pub region: &'a str,
    /// Twelve digits, or `aws`, or empty.
    pub account: &'a str,
    /// The rest, with any further colons in it.
    pub resource: &'a str,
}

impl<'a> Arn<'a> {
    /// Splits `text`, or `None` when it is not an ARN.
    #[must_use]
    pub fn parse(text: &'a str) -> Option<Self> {
        let mut parts = text.splitn(6, ':');
        if parts.next() != Some("arn") {
            return None;
        }
        let arn = Arn {
            partition: parts.next()?,
            service: parts.next()?,
            region: parts.next()?,
            account: parts.next()?,
            resource: parts.next()?,
        };
        (!arn.partition.is_empty() && !arn.service.is_empty() && !arn.resource.is_empty())
            .then_some(arn)
    }
}

/// What kind of IAM principal a name belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum PrincipalKind {
    /// An IAM role, or a session of one.
    Role,
    /// An IAM user.
    User,
    /// A session of `GetFederationToken`.
    Federated,
    /// The account's root user.
    Root,
}

/// Account, kind and path-less name: what all ARNs of one principal have in common.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PrincipalName {
    /// Twelve digits.
    pub account: String,
    /// Role, user, …
    pub kind: PrincipalKind,
    /// The last path segment, as written (IAM compares names without regard to case, but keeps it).
    pub name: String,
}

impl PrincipalName {
    /// In lower case, to compare by.
    #[must_use]
    pub fn folded(mut self) -> Self {
        self.name.make_ascii_lowercase();
        self
    }

    /// Reads `role/…`, `user/…`, `assumed-role/NAME/SESSION`, `federated-user/…` and `root`.
    #[must_use]
    pub fn from_arn(text: &str) -> Option<Self> {
        let arn = Arn::parse(text)?;
        let (kind, name) = match (arn.service, arn.resource.split_once('/')) {
            ("iam", Some(("role", path))) => (PrincipalKind::Role, last_segment(path)),
            ("iam", Some(("user", path))) => (PrincipalKind::User, last_segment(path)),
            ("sts", Some(("assumed-role", rest))) => {
                (PrincipalKind::Role, rest.split('/').next().unwrap_or(rest))
            }
            ("sts", Some(("federated-user", name))) => (PrincipalKind::Federated, name),
            ("iam", None) if arn.resource == "root" => (PrincipalKind::Root, "root"),
            _ => return None,
        };
        (!name.is_empty()).then(|| PrincipalName {
            account: arn.account.to_owned(),
            kind,
            name: name.to_owned(),
        })
    }
}

/// The partition that a region belongs to.
/// Source: <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference-arns.html>.
#[must_use]
pub fn partition_of_region(region: &str) -> &'static str {
    match region.split('-').next() {
        Some("cn") => "aws-cn",
        Some("eusc") => "aws-eusc",
        Some("us") if region.starts_with("us-gov-") => "aws-us-gov",
        Some("us") if region.starts_with("us-iso-") => "aws-iso",
        Some("us") if region.starts_with("us-isob-") => "aws-iso-b",
        Some("us") if region.starts_with("us-isof-") => "aws-iso-f",
        Some("eu") if region.starts_with("eu-isoe-") => "aws-iso-e",
        _ => "aws",
    }
}

/// What names an OIDC issuer, in its URL and in the ARN of its provider: the last path segment. Hosts
/// differ between IPv4 and dual-stack names, the id does not.
#[must_use]
pub fn issuer_id(issuer: &str) -> &str {
    issuer.trim_end_matches('/').rsplit('/').next().unwrap_or(issuer)
}

/// True for the service principal of EKS Pod Identity; in China it may end in another suffix.
#[must_use]
pub fn is_pod_identity_service(service: &str) -> bool {
    const SERVICE: &str = "pods.eks.amazonaws.com";
    service.strip_prefix(SERVICE).is_some_and(|suffix| matches!(suffix, "" | ".cn"))
}

/// The session name of `arn:…:assumed-role/NAME/SESSION`.
#[must_use]
pub fn session_name_from_arn(text: &str) -> Option<&str> {
    let arn = Arn::parse(text)?;
    let rest = arn.resource.strip_prefix("assumed-role/")?;
    rest.split_once('/').map(|(_, session)| session)
}

/// The name at the end of an access policy's ARN; any other text as it is.
#[must_use]
pub fn access_policy_name(text: &str) -> &str {
    text.rsplit_once(":cluster-access-policy/").map_or(text, |(_, name)| name)
}

/// The unique id before the colon of `AROA…:session`, or the whole text.
#[must_use]
pub fn unique_id_from_principal_id(text: &str) -> &str {
    text.split(':').next().unwrap_or(text)
}

/// True when a role ARN has a path between `role/` and the name; such an ARN never matches a
/// `rolearn` of aws-auth.
#[must_use]
pub fn has_path(text: &str) -> bool {
    Arn::parse(text).is_some_and(|arn| {
        arn.resource.strip_prefix("role/").is_some_and(|name| name.contains('/'))
    })
}

/// Resolves `%3A` and the like; text that is not so encoded stays as it is.
#[must_use]
pub fn percent_decoded(text: &str) -> String {
    if !text.contains('%') {
        return text.to_owned();
    }
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, tail)) = rest.split_first() {
        let hex = |at: usize| {
            tail.get(at)
                .and_then(|b| char::from(*b).to_digit(16))
                .and_then(|d| u8::try_from(d).ok())
        };
        if let (b'%', Some(high), Some(low)) = (byte, hex(0), hex(1)) {
            out.push(high << 4 | low);
            rest = tail.get(2..).unwrap_or_default();
        } else {
            out.push(byte);
            rest = tail;
        }
    }
    String::from_utf8(out).unwrap_or_else(|_| text.to_owned())
}

fn last_segment(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(arn: &str, expected: Option<(&str, PrincipalKind, &str)>) {
        let got = PrincipalName::from_arn(arn);
        let got = got.as_ref().map(|p| (p.account.as_str(), p.kind, p.name.as_str()));
        assert_eq!(got, expected, "{arn}");
    }

    #[test]
    fn one_principal_has_many_arns() {
        use PrincipalKind::{Federated, Role, Root, User};
        check("arn:aws:iam::1:role/a/b/c", Some(("1", Role, "c")));
        check("arn:aws:sts::1:assumed-role/c/session/odd", Some(("1", Role, "c")));
        check("arn:aws-cn:iam::1:user/team/ann", Some(("1", User, "ann")));
        check("arn:aws-us-gov:iam::1:root", Some(("1", Root, "root")));
        check("arn:aws:sts::1:federated-user/bob", Some(("1", Federated, "bob")));
        check("arn:aws:iam::1:role/", None);
        check("arn:aws:eks:r:1:cluster/x", None);
        check("nonsense", None);
        check("", None);
    }

    #[test]
    fn regions_tell_the_partition() {
        let check = |region: &str, expected: &str| {
            assert_eq!(partition_of_region(region), expected, "{region}");
        };
        check("us-west-2", "aws");
        check("us-gov-west-1", "aws-us-gov");
        check("cn-north-1", "aws-cn");
        check("eusc-de-east-1", "aws-eusc");
        check("us-isob-east-1", "aws-iso-b");
        check("", "aws");
    }

    #[test]
    fn a_path_is_noticed() {
        assert!(has_path("arn:aws:iam::1:role/x/y"));
        assert!(!has_path("arn:aws:iam::1:role/y"));
        assert_eq!(session_name_from_arn("arn:aws:sts::1:assumed-role/r/a@b"), Some("a@b"));
        assert_eq!(unique_id_from_principal_id("AROAX:s:t"), "AROAX");
        assert_eq!(percent_decoded("arn%3Aaws%3aiam%3A%3A1%3Arole%2Fr"), "arn:aws:iam::1:role/r");
        assert_eq!(percent_decoded("100%"), "100%");
        assert_eq!(percent_decoded("%zz%2"), "%zz%2");
    }
}
