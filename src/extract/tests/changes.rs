//! What made, changed or took away a grant.

use super::*;
use crate::model::fact::{ChangeFact, ChangeKind};

fn changes<'a>(got: &'a Got) -> Vec<&'a ChangeFact> {
    let of = |fact: &'a Fact<'_>| match &*fact.body {
        FactBody::Change(change) => Some(&**change),
        _ => None,
    };
    got.facts.iter().filter_map(of).collect()
}

fn words(change: &ChangeFact) -> String {
    let lists = [change.names.join(","), change.namespaces.join(",")];
    [change.kind.as_str(), &change.subject, &change.reference, &lists[0], &lists[1], &change.actor]
        .join(" | ")
}

#[test]
fn eks_calls() {
    let actor = r#","userIdentity":{"type":"AssumedRole","arn":"arn:aws:sts::1:assumed-role/ops/x","sessionContext":{"sessionIssuer":{"arn":"arn:aws:iam::1:role/team/ops"}}}"#;
    let check = |name: &str, params: &str, answer: &str, expected: &str| {
        let extra = format!(r#"{actor},"requestParameters":{params},"responseElements":{answer}"#);
        let file = record("eks", name, &extra);
        let got = extract(&[("k", file.as_bytes())]);
        let found: Vec<String> = changes(&got).into_iter().map(words).collect();
        let ops = "arn:aws:iam::1:role/team/ops";
        assert_eq!(found, [format!("{expected} | {ops}")], "{name}");
        assert_eq!(changes(&got)[0].cluster, "arn:aws:eks:us-west-2:111122223333:cluster/prod");
        let refused =
            file.replace(r#""eventVersion""#, r#""errorCode":"AccessDenied","eventVersion""#);
        let got = extract(&[("k", refused.as_bytes())]);
        assert!(changes(&got).is_empty(), "a failed {name} changes nothing");
        assert_eq!(got.facts.len(), 1);
    };
    let encoded = "arn%3Aaws%3Aiam%3A%3A1%3Arole%2Fr";
    let policy = "arn:aws:eks::aws:cluster-access-policy/P";
    check(
        "CreateAccessEntry",
        r#"{"name":"prod","principalArn":"arn:aws:iam::1:role/r","kubernetesGroups":["b","a"]}"#,
        r#"{"accessEntry":{"principalArn":"arn:aws:iam::1:role/p/r","kubernetesGroups":["b","a"],"type":"STANDARD"}}"#,
        "entry_made | arn:aws:iam::1:role/p/r |  | a,b | ",
    );
    check(
        "UpdateAccessEntry",
        &format!(r#"{{"name":"prod","principalArn":"{encoded}","kubernetesGroups":["c"]}}"#),
        "null",
        "entry_changed | arn:aws:iam::1:role/r |  | c | ",
    );
    check(
        "DeleteAccessEntry",
        &format!(r#"{{"clusterName":"prod","principalArn":"{encoded}"}}"#),
        "null",
        "entry_deleted | arn:aws:iam::1:role/r |  |  | ",
    );
    check(
        "AssociateAccessPolicy",
        &format!(
            r#"{{"name":"prod","principalArn":"{encoded}","policyArn":"{policy}","accessScope":{{"type":"namespace","namespaces":["b","a-*"]}}}}"#
        ),
        "null",
        &format!("policy_attached | arn:aws:iam::1:role/r | {policy} |  | a-*,b"),
    );
    check(
        "DisassociateAccessPolicy",
        &format!(
            r#"{{"name":"prod","principalArn":"{encoded}","policyArn":"arn%3Aaws%3Aeks%3A%3Aaws%3Acluster-access-policy%2FP"}}"#
        ),
        "null",
        &format!("policy_detached | arn:aws:iam::1:role/r | {policy} |  | "),
    );
    check(
        "CreatePodIdentityAssociation",
        r#"{"name":"prod","namespace":"shop","serviceAccount":"app","roleArn":"arn:aws:iam::1:role/app"}"#,
        r#"{"association":{"associationId":"a-1"}}"#,
        "pod_identity_made | shop/app | arn:aws:iam::1:role/app |  | ",
    );
    check(
        "DeletePodIdentityAssociation",
        r#"{"name":"prod","associationId":"a-1"}"#,
        r#"{"association":{"namespace":"shop","serviceAccount":"app","roleArn":"arn:aws:iam::1:role/app"}}"#,
        "pod_identity_deleted | shop/app | arn:aws:iam::1:role/app |  | ",
    );
    check(
        "UpdateClusterConfig",
        r#"{"name":"prod","accessConfig":{"authenticationMode":"API"}}"#,
        r#"{"update":{"id":"u","status":"InProgress"}}"#,
        "auth_mode_changed |  | API |  | ",
    );
    check(
        "AssociateIdentityProviderConfig",
        r#"{"name":"prod","oidc":{"identityProviderConfigName":"okta"}}"#,
        "null",
        "provider_attached | okta |  |  | ",
    );
    check(
        "DisassociateIdentityProviderConfig",
        r#"{"name":"prod","identityProviderConfig":{"type":"oidc","name":"okta"}}"#,
        "null",
        "provider_detached | okta |  |  | ",
    );
    check(
        "CreateCluster",
        r#"{"name":"prod","accessConfig":{"authenticationMode":"API_AND_CONFIG_MAP"}}"#,
        "null",
        "cluster_made |  | API_AND_CONFIG_MAP |  | ",
    );
    let logging = record(
        "eks",
        "UpdateClusterConfig",
        r#","requestParameters":{"name":"prod","logging":{}}"#,
    );
    assert!(changes(&extract(&[("k", logging.as_bytes())])).is_empty());
}

#[test]
fn a_list_is_whole_or_not() {
    let check = |verb: &str, bodies: &str, expected: bool| {
        let text = event(bodies).replace(r#""verb":"list""#, &format!(r#""verb":"{verb}""#)).replace(
            r#""objectRef":{"resource":"pods","namespace":"shop","apiVersion":"v1"}"#,
            r#""objectRef":{"resource":"rolebindings","apiGroup":"rbac.authorization.k8s.io","namespace":"shop","name":"b"}"#,
        );
        let got = extract(&[("k", envelope(&[&text]).as_bytes())]);
        assert_eq!(changes(&got)[0].replaces, expected, "{verb} {bodies}");
    };
    let sent = r#","requestObject":{"metadata":{"name":"b"},"roleRef":{"kind":"Role","name":"r"},"subjects":[]}"#;
    let answered = r#","responseObject":{"roleRef":{"kind":"Role","name":"r"}}"#;
    check("update", sent, true);
    check("update", "", false);
    check("update", answered, true);
    check("patch", answered, true);
    check(
        "patch",
        r#","requestObject":{"metadata":{},"subjects":[{"kind":"User","name":"u"}]}"#,
        false,
    );
    check("delete", r#","responseObject":{"status":"Success"}"#, false);
}

#[test]
fn audited_writes() {
    let write = |verb: &str, object: &str, extra: &str| {
        event(extra).replace(r#""verb":"list""#, &format!(r#""verb":"{verb}""#)).replace(
            r#""objectRef":{"resource":"pods","namespace":"shop","apiVersion":"v1"}"#,
            &format!(r#""objectRef":{object}"#),
        )
    };
    let check = |text: String, expected: Option<&str>| {
        let got = extract(&[("k", envelope(&[&text]).as_bytes())]);
        let found: Vec<String> = changes(&got).into_iter().map(words).collect();
        assert_eq!(
            found,
            expected.map(|e| format!("{e} | ann")).into_iter().collect::<Vec<_>>(),
            "{text}"
        );
    };
    let binding = r#"{"resource":"rolebindings","apiGroup":"rbac.authorization.k8s.io","namespace":"shop","name":"b"}"#;
    let body = r#","responseObject":{"roleRef":{"kind":"Role","name":"r"},"subjects":[{"kind":"User","name":"u"},{"kind":"ServiceAccount","name":"s"}]}"#;
    check(
        write("create", binding, body),
        Some("object_made | RoleBinding/shop/b | Role/shop/r | ServiceAccount:shop/s,User:u | "),
    );
    check(write("delete", binding, ""), Some("object_deleted | RoleBinding/shop/b |  |  | "));
    let aws_auth = r#"{"resource":"configmaps","namespace":"kube-system","name":"aws-auth"}"#;
    check(write("patch", aws_auth, ""), Some("object_changed | aws-auth |  |  | "));
    let rows = r#","responseObject":{"kind":"ConfigMap","data":{"mapRoles":"- rolearn: arn:aws:iam::1:role/R\n  groups: [g, h]\n- rolearn: arn:aws:iam::1:role/r\n  groups: [i]\n- bad\n","mapUsers":"- userarn: arn:aws:iam::1:user/u\n  groups: [system:masters]\n"}}"#;
    check(
        write("update", aws_auth, rows),
        Some(
            "object_changed | aws-auth |  | arn:aws:iam::1:role/r -> i,arn:aws:iam::1:user/u -> system:masters | ",
        ),
    );
    check(write("get", aws_auth, ""), None);
    let role = r#"{"resource":"clusterroles","apiGroup":"rbac.authorization.k8s.io","name":"r"}"#;
    check(write("update", role, ""), Some("object_changed | ClusterRole/r |  |  | "));
    check(write("update", role, "").replace("200", "409"), None);
    let asked = r#""requestURI":""#;
    let dry = write("update", role, "");
    assert!(dry.contains(asked), "{dry}");
    check(dry.replace(asked, r#""requestURI":"/x?dryRun=All&y="#), None);
    check(write("update", role, "").replace(r#""allow""#, r#""forbid""#), None);
    check(write("update", r#"{"resource":"pods","namespace":"a","name":"x"}"#, ""), None);
}

#[test]
fn a_minted_token_is_a_session() {
    let text = event(r#","requestObject":{"spec":{"audiences":["sts.amazonaws.com"],"expirationSeconds":3600}}"#)
        .replace(r#""verb":"list""#, r#""verb":"create""#)
        .replace(
            r#""objectRef":{"resource":"pods","namespace":"shop","apiVersion":"v1"}"#,
            r#""objectRef":{"resource":"serviceaccounts","subresource":"token","namespace":"ci","name":"bot"}"#,
        )
        .replace(
            r#""annotations":{"#,
            r#""annotations":{"authentication.kubernetes.io/issued-credential-id":"JTI=7","#,
        );
    let got = extract(&[("k", envelope(&[&text]).as_bytes())]);
    let [_, token] = got.facts.as_slice() else { panic!("{:?}", got.facts) };
    let FactBody::Session(session) = &*token.body else { panic!("{token:?}") };
    assert_eq!(session.issued_by, IssuedBy::TokenRequest);
    assert_eq!(
        (session.access_key_id.as_str(), session.session_name.as_str()),
        ("JTI=7", "ci/bot")
    );
    assert_eq!(
        (session.provider.as_str(), session.subject.as_str()),
        ("sts.amazonaws.com", "system:serviceaccount:ci:bot")
    );
    assert_eq!(session.expires_at, Some(Micros(token.at.0 + 3_600_000_000)));
    assert_eq!(session.source.user_name, "ann");
    let refused = text.replace(r#""allow""#, r#""forbid""#);
    assert_eq!(extract(&[("k", envelope(&[&refused]).as_bytes())]).facts.len(), 1);
    assert_eq!(ChangeKind::parse("no such kind"), None);
}
