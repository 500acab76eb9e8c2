//! Sessions that pods opened, and whose they are.

use super::*;
use crate::join::Issued;
use crate::model::fact::{IssuedBy, SessionFact};

/// A session of a web identity, by whom it was vouched for.
#[test]
fn irsa_sessions_are_told_apart_by_their_provider() {
    let (namespace, name) = ("shop".to_owned(), "api".to_owned());
    let holder = Holder::Subject(Subject::ServiceAccount { namespace, name });
    let mut irsa = grant(GrantKind::Irsa, "arn:aws:iam::1:role/r", holder, Vec::new());
    irsa.allows = Allows::AwsRole;
    let grants = [irsa];
    let cluster = Cluster::new("c", "c", &[], &grants, &[]);
    let check = |provider: &str, issuer: Option<&str>, expected: i64| {
        let body = SessionFact {
            issued_by: IssuedBy::WebIdentity,
            role_arn: "arn:aws:iam::1:role/r".to_owned(),
            subject: "system:serviceaccount:shop:api".to_owned(),
            provider: provider.to_owned(),
            ..SessionFact::default()
        };
        let sessions = Sessions::new([Issued { at: Micros(DAY), body }]);
        let usage = Usage::default();
        let seen = collect(&cluster, &usage, &sessions, issuer, window());
        assert_eq!(seen[0].count, expected, "{provider} {issuer:?}");
    };
    let ours = "https://oidc.eks.r.amazonaws.com/id/A";
    check("arn:aws:iam::1:oidc-provider/oidc.eks.r.amazonaws.com/id/A", Some(ours), 1);
    check("arn:aws:iam::1:oidc-provider/oidc.eks.r.amazonaws.com/id/B", Some(ours), 0);
    check("", Some(ours), 1);
    check("arn:aws:iam::1:oidc-provider/oidc.eks.r.amazonaws.com/id/B", None, 1);
}
