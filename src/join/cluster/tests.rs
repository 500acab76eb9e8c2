//! Who a caller is, what can serve it, and whom the authorizer named.

use super::*;
use crate::model::grant::Ineffective;
use crate::model::permission::{Rule, Scope};

fn identity(kind: IdentityKind, principal: &str, id: Option<&str>, groups: &[&str]) -> Identity {
    Identity {
        cluster: "c".to_owned(),
        kind,
        principal: principal.to_owned(),
        principal_id: id.map(str::to_owned),
        username: String::new(),
        groups: groups.iter().map(|g| (*g).to_owned()).collect(),
        entry_type: Some("STANDARD".to_owned()),
        ineffective: None,
        created_at: None,
        modified_at: None,
        created_by: None,
        source: "test",
    }
}

fn grant(kind: GrantKind, reference: &str, holder: Holder, group: Option<&str>) -> Grant {
    let rule = Rule {
        verbs: vec!["get".to_owned()],
        api_groups: vec![String::new()],
        resources: vec!["pods".to_owned()],
        ..Rule::default()
    };
    Grant {
        id: format!("{}-{reference}", kind.as_str()),
        cluster: "c".to_owned(),
        cluster_name: "c".to_owned(),
        kind,
        identity_kind: None,
        principal: String::new(),
        principal_id: None,
        grant_ref: reference.to_owned(),
        role_ref: String::new(),
        scope: "cluster",
        namespaces: Vec::new(),
        ineffective: None,
        valid_from: None,
        valid_to: None,
        granted_by: None,
        managed_by_aws: false,
        impostor: false,
        open_ended: false,
        group: group.map(str::to_owned),
        holder,
        allows: Allows::Rules(vec![ScopedRule { scope: Scope::Cluster, rule }]),
    }
}

fn iam(id: &str, arn: &str, groups: &[&str]) -> KubeUser {
    KubeUser {
        username: "anything".to_owned(),
        uid: format!("aws-iam-authenticator:1:{id}"),
        principal_id: id.to_owned(),
        canonical_arn: arn.to_owned(),
        groups: groups.iter().map(|g| (*g).to_owned()).collect(),
        ..KubeUser::default()
    }
}

fn named(username: &str, groups: &[&str]) -> KubeUser {
    KubeUser {
        username: username.to_owned(),
        groups: groups.iter().map(|g| (*g).to_owned()).collect(),
        ..KubeUser::default()
    }
}

#[test]
fn callers_are_matched_by_id_then_by_name() {
    use IdentityKind::{AccessEntry, AwsAuthAccount, AwsAuthRole};
    let mut inert = identity(AwsAuthRole, "arn:aws:iam::1:role/inert", None, &[]);
    inert.ineffective = Some(Ineffective::InertAwsAuth);
    let identities = [
        identity(AccessEntry, "arn:aws:iam::1:role/path/One", Some("AROA1"), &[]),
        identity(AwsAuthRole, "arn:aws:iam::1:role/two", None, &[]),
        inert,
        identity(AwsAuthAccount, "222222222222", None, &[]),
    ];
    let cluster = Cluster::new("c", "c", &identities, &[], &[]);
    let check = |user: &KubeUser, kind: Option<IdentityKind>, expected: &[usize]| {
        let who = cluster.who(user);
        assert_eq!((who.kind, who.identities.as_slice()), (kind, expected), "{user:?}");
    };
    check(&iam("AROA1", "arn:aws:iam::1:role/other-name", &[]), Some(AccessEntry), &[0]);
    check(&iam("", "arn:aws:iam::1:role/one", &[]), Some(AccessEntry), &[0]);
    check(&iam("AROA9", "arn:aws:iam::1:role/One", &[]), None, &[]);
    check(&iam("AROA5", "arn:aws:iam::1:role/TWO", &[]), Some(AwsAuthRole), &[1]);
    check(&iam("AROA5", "arn:aws:iam::3:role/two", &[]), None, &[]);
    // It may have worked before the mode changed.
    check(&iam("AROA5", "arn:aws:iam::1:role/inert", &[]), Some(AwsAuthRole), &[2]);
    check(&iam("AROA5", "arn:aws:iam::222222222222:role/x", &[]), Some(AwsAuthAccount), &[3]);
}

#[test]
fn other_ways_in() {
    use IdentityKind::{Oidc, ServiceAccount, X509};
    let provider = OidcProvider {
        name: "p".to_owned(),
        issuer_url: "https://i".to_owned(),
        client_id: String::new(),
        username_claim: "email".to_owned(),
        username_prefix: Some("oidc:".to_owned()),
        groups_claim: None,
        groups_prefix: None,
        status: String::new(),
    };
    let providers = [provider];
    let cluster = Cluster::new("c", "c", &[], &[], &providers);
    let check = |user: &KubeUser, kind: Option<IdentityKind>, component: bool| {
        let who = cluster.who(user);
        assert_eq!((who.kind, who.component), (kind, component), "{user:?}");
    };
    check(&named("system:serviceaccount:a:b", &[]), Some(ServiceAccount), false);
    check(&named("oidc:ann", &[]), Some(Oidc), false);
    check(&named("robot", &[]), Some(X509), false);
    check(&named("system:kube-scheduler", &[]), Some(X509), true);
    check(&named("system:anonymous", &[]), None, false);
    check(&named("", &[]), None, false);
    let mut internal = iam("", "", &[]);
    "aws-iam-authenticator:administrative:eks:addon-manager".clone_into(&mut internal.uid);
    check(&internal, None, true);
}

#[test]
fn the_reason_names_the_binding_and_the_mapping_that_led_there() {
    let identities = [identity(
        IdentityKind::AccessEntry,
        "arn:aws:iam::1:role/a",
        Some("AROA1"),
        &["devs", "ops"],
    )];
    let policy = "arn:aws:eks::aws:cluster-access-policy/AmazonEKSViewPolicy";
    let group = |name: &str| Holder::Subject(Subject::Group(name.to_owned()));
    let grants = [
        grant(GrantKind::AccessPolicy, policy, Holder::Identity(0), None),
        grant(GrantKind::EntryGroup, "devs", Holder::Identity(0), Some("devs")),
        grant(GrantKind::EntryGroup, "ops", Holder::Identity(0), Some("ops")),
        grant(GrantKind::RbacSubject, "ClusterRoleBinding/devs", group("devs"), None),
        grant(GrantKind::RbacSubject, "RoleBinding/shop/devs", group("devs"), None),
    ];
    let cluster = Cluster::new("c", "c", &identities, &grants, &[]);
    let user = iam("AROA1", "arn:aws:iam::1:role/a", &["devs", "system:authenticated"]);
    let who = cluster.who(&user);
    assert_eq!(cluster.candidates(&who, &user, Via::Direct), [0, 1, 3, 4], "ops was not carried");
    assert_eq!(
        cluster.candidates(&who, &user, Via::Impersonated),
        [3, 4],
        "the principal's stay out"
    );
    let all = [0, 1, 2, 3, 4];
    let check = |reason: &str, expected: &[usize]| {
        let credit = crate::rbac::reason::parse(reason);
        assert_eq!(cluster.credited(&all, &user, &credit), expected, "{reason}");
    };
    check(
        r#"RBAC: allowed by RoleBinding "devs/shop" of ClusterRole "x" to Group "devs""#,
        &[1, 4],
    );
    check(
        r#"RBAC: allowed by ClusterRoleBinding "devs" of ClusterRole "x" to Group "devs""#,
        &[1, 3],
    );
    check(r#"RBAC: allowed by ClusterRoleBinding "devs" of ClusterRole "x" to User "devs""#, &[]);
    check(
        &format!(
            r#"EKS Access Policy: allowed by ClusterRoleBinding "arn:aws:iam::1:role/a+{policy}" of ClusterRole "{policy}" to User "AROA1""#
        ),
        &[0],
    );
    check("", &[]);
}

#[test]
fn masters_are_credited_without_a_reason() {
    let identities =
        [identity(IdentityKind::AwsAuthUser, "arn:aws:iam::1:user/u", None, &[MASTERS])];
    let mut masters = grant(GrantKind::AwsAuthGroup, MASTERS, Holder::Identity(0), Some(MASTERS));
    masters.allows = Allows::Everything;
    let grants = [masters];
    let cluster = Cluster::new("c", "c", &identities, &grants, &[]);
    let user = iam("AIDA1", "arn:aws:iam::1:user/u", &[MASTERS]);
    let who = cluster.who(&user);
    let candidates = cluster.candidates(&who, &user, Via::Direct);
    assert_eq!(cluster.credited(&candidates, &user, &Credit::Empty), [0]);
    let plain = iam("AIDA1", "arn:aws:iam::1:user/u", &[]);
    assert!(cluster.candidates(&who, &plain, Via::Direct).is_empty());
}

#[test]
fn a_hidden_creator_stands_beside_a_row_that_makes_no_master() {
    let row = identity(IdentityKind::AwsAuthRole, "arn:aws:iam::1:role/maker", None, &["devs"]);
    let creator = identity(IdentityKind::ClusterCreator, "", None, &[MASTERS]);
    let identities = [row, creator];
    let cluster = Cluster::new("c", "c", &identities, &[], &[]);
    let check = |groups: &[&str], expected: &[usize]| {
        let user = iam("AROA1", "arn:aws:iam::1:role/maker", groups);
        assert_eq!(cluster.who(&user).identities, expected, "{groups:?}");
    };
    check(&["devs"], &[0]);
    check(&["devs", MASTERS], &[0, 1]);
}

#[test]
fn a_group_may_be_a_template() {
    let identities = [identity(
        IdentityKind::AwsAuthRole,
        "arn:aws:iam::1:role/a",
        None,
        &["team-{{SessionName}}"],
    )];
    let team = Holder::Subject(Subject::Group("team-shop".to_owned()));
    let template = Some("team-{{SessionName}}");
    let grants = [
        grant(GrantKind::AwsAuthGroup, "team-{{SessionName}}", Holder::Identity(0), template),
        grant(GrantKind::RbacSubject, "RoleBinding/shop/x", team, None),
    ];
    let cluster = Cluster::new("c", "c", &identities, &grants, &[]);
    let user = iam("AROA1", "arn:aws:iam::1:role/a", &["team-shop"]);
    let candidates = cluster.candidates(&cluster.who(&user), &user, Via::Direct);
    assert_eq!(candidates, [0, 1]);
    let reason = r#"RBAC: allowed by RoleBinding "x/shop" of Role "r" to Group "team-shop""#;
    let credit = crate::rbac::reason::parse(reason);
    assert_eq!(cluster.credited(&candidates, &user, &credit), [0, 1]);
}

#[test]
fn rows_of_nodes_make_components() {
    let mut node = identity(IdentityKind::AwsAuthRole, "arn:aws:iam::1:role/node", None, &[]);
    node.entry_type = None;
    "system:node:{{EC2PrivateDNSName}}".clone_into(&mut node.username);
    let identities = [node];
    let cluster = Cluster::new("c", "c", &identities, &[], &[]);
    assert!(cluster.who(&iam("AROA1", "arn:aws:iam::1:role/node", &["system:nodes"])).component);
}
