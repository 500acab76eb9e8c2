//! From files to grants: modes, precedence, dead mappings, members.

use super::*;
use crate::inventory::load;

pub(super) const ARN: &str = "arn:aws:eks:us-west-2:111122223333:cluster/prod";

/// A snapshot from its files, everything that is not given empty.
pub(super) fn enumerate_files(
    mode: &str,
    given: &[(&str, &str)],
) -> (ClusterInventory, Enumerated) {
    let header = format!(r#"{{"captured_at":"2026-11-24T00:00:00Z","cluster_arn":"{ARN}"}}"#);
    let cluster = format!(
        r#"{{"cluster":{{"arn":"{ARN}","createdAt":"2025-01-01T00:00:00Z","accessConfig":{{"authenticationMode":"{mode}"}},"identity":{{"oidc":{{"issuer":"https://oidc.eks.us-west-2.amazonaws.com/id/ABC"}}}}}}}}"#
    );
    let mut files: std::collections::BTreeMap<&str, String> = [
        ("inventory.json", header),
        ("cluster.json", cluster),
        ("access-entries.json", "[]".to_owned()),
        ("pod-identity-associations.json", "[]".to_owned()),
        ("identity-provider-configs.json", "[]".to_owned()),
        ("iam-roles.json", "[]".to_owned()),
        ("iam-users.json", "[]".to_owned()),
        ("kubernetes.json", r#"{"kind":"List","items":[]}"#.to_owned()),
    ]
    .into();
    for (name, text) in given {
        files.insert(name, (*text).to_owned());
    }
    let files: Vec<(String, Vec<u8>)> =
        files.into_iter().map(|(name, text)| (name.to_owned(), text.into_bytes())).collect();
    let loaded = load(&files);
    assert!(loaded.problems.is_empty(), "{:?}", loaded.problems);
    let cluster = loaded.clusters[0].clone();
    let found = enumerate(&cluster, PolicyTable::builtin());
    (cluster, found)
}

/// `kind principal ref: state`, customers' grants only.
fn lines(found: &Enumerated) -> Vec<String> {
    found
        .grants
        .iter()
        .filter(|grant| !grant.managed_by_aws)
        .map(|grant| {
            let principal = grant.principal.rsplit(":role/").next().unwrap_or_default();
            let reference = grant.grant_ref.rsplit('/').next().unwrap_or_default();
            let state = grant.ineffective.map_or("ok", Ineffective::as_str);
            format!("{} {principal} {reference}: {state}", grant.kind.as_str())
        })
        .collect()
}

fn check(mode: &str, given: &[(&str, &str)], expected: &[&str]) {
    assert_eq!(lines(&enumerate_files(mode, given).1), expected, "{mode} {given:?}");
}

pub(super) fn entry(name: &str, groups: &str, policies: &str) -> String {
    format!(
        r#"{{"accessEntry":{{"principalArn":"arn:aws:iam::111122223333:role/{name}","kubernetesGroups":[{groups}],"username":"arn:aws:sts::111122223333:assumed-role/x/{{{{SessionName}}}}","type":"STANDARD","createdAt":"2026-01-01T00:00:00Z"}},"associatedAccessPolicies":[{policies}]}}"#
    )
}

const VIEW: &str = r#"{"policyArn":"arn:aws:eks::aws:cluster-access-policy/AmazonEKSViewPolicy","accessScope":{"type":"namespace","namespaces":["dev-*"]},"associatedAt":"2026-02-01T00:00:00Z"}"#;

pub(super) fn aws_auth(roles: &str) -> String {
    let roles = serde_json::to_string(roles).unwrap();
    format!(
        r#"{{"kind":"List","items":[{{"kind":"ConfigMap","metadata":{{"name":"aws-auth","namespace":"kube-system"}},"data":{{"mapRoles":{roles}}}}}]}}"#
    )
}

#[test]
fn the_mode_decides_which_mapping_works() {
    let entries = format!("[{}]", entry("a", "", VIEW));
    let auth = aws_auth(
        "- rolearn: arn:aws:iam::111122223333:role/b\n  username: b\n  groups: [system:masters]",
    );
    let given: &[(&str, &str)] = &[("access-entries.json", &entries), ("kubernetes.json", &auth)];
    check(
        "API",
        given,
        &[
            "access_policy a AmazonEKSViewPolicy: ok",
            "aws_auth_group b system:masters: inert_aws_auth",
        ],
    );
    check(
        "API_AND_CONFIG_MAP",
        given,
        &["access_policy a AmazonEKSViewPolicy: ok", "aws_auth_group b system:masters: ok"],
    );
    check(
        "CONFIG_MAP",
        given,
        &[
            "access_policy a AmazonEKSViewPolicy: entries_disabled",
            "aws_auth_group b system:masters: ok",
            "superuser  system:masters: ok",
        ],
    );
}

#[test]
fn a_creator_without_rights_is_no_grant() {
    let none = r#"CONFIG_MAP","bootstrapClusterCreatorAdminPermissions":false,"x":""#;
    check(none, &[], &[]);
    check("CONFIG_MAP", &[], &["superuser  system:masters: ok"]);
}

#[test]
fn an_entry_wins_over_aws_auth_unless_it_is_dead() {
    let entries = format!("[{}]", entry("path/A", "", VIEW));
    let auth = aws_auth("- rolearn: arn:aws:iam::111122223333:role/a\n  groups: [system:masters]");
    let roles = |created: &str| {
        format!(
            r#"[{{"Arn":"arn:aws:iam::111122223333:role/path/A","RoleId":"AROA1","CreateDate":"{created}"}}]"#
        )
    };
    let (before, after) = (roles("2025-01-01T00:00:00Z"), roles("2026-06-01T00:00:00Z"));
    let given = |roles| {
        [
            ("access-entries.json", entries.as_str()),
            ("kubernetes.json", auth.as_str()),
            ("iam-roles.json", roles),
        ]
    };
    check(
        "API_AND_CONFIG_MAP",
        &given(&before),
        &[
            "access_policy path/A AmazonEKSViewPolicy: ok",
            "aws_auth_group a system:masters: overridden_by_entry",
        ],
    );
    check(
        "API_AND_CONFIG_MAP",
        &given(&after),
        &[
            "access_policy path/A AmazonEKSViewPolicy: recreated_principal",
            "aws_auth_group a system:masters: ok",
        ],
    );
}

#[test]
fn rows_that_never_match() {
    let auth = aws_auth(
        "- rolearn: arn:aws:iam::111122223333:role/p/x\n  groups: [system:masters]\n- rolearn: arn:aws:iam::111122223333:role/y\n  groups: [system:masters]\n- rolearn: arn:aws:iam::111122223333:role/Y\n  groups: [other]",
    );
    check(
        "API_AND_CONFIG_MAP",
        &[("kubernetes.json", &auth)],
        &[
            "aws_auth_group Y other: unbound_group",
            "aws_auth_group p/x system:masters: never_matches",
            "aws_auth_group y system:masters: overridden_by_row",
        ],
    );
}

#[test]
fn a_principal_is_called_deleted_only_where_a_list_would_hold_it() {
    let entries = format!(
        "[{},{}]",
        entry("gone", "", VIEW),
        entry("there", "", VIEW).replace("111122223333:role/there", "999900001111:role/there")
    );
    let other = r#"[{"Arn":"arn:aws:iam::111122223333:role/z","RoleId":"AROAZ","CreateDate":"2025-01-01T00:00:00Z"}]"#;
    check(
        "API",
        &[("access-entries.json", &entries), ("iam-roles.json", other)],
        &[
            "access_policy gone AmazonEKSViewPolicy: deleted_principal",
            "access_policy there AmazonEKSViewPolicy: ok",
        ],
    );
    check(
        "API",
        &[("access-entries.json", &entries)],
        &[
            "access_policy gone AmazonEKSViewPolicy: ok",
            "access_policy there AmazonEKSViewPolicy: ok",
        ],
    );
}

#[test]
fn groups_reach_rbac_and_mappings_to_nothing_are_said() {
    let entries = format!("[{},{}]", entry("a", r#""devs","nobody""#, ""), entry("b", "", ""));
    let objects = r#"{"kind":"List","items":[
        {"kind":"ClusterRole","metadata":{"name":"r"},"rules":[{"verbs":["get"],"apiGroups":[""],"resources":["pods"]}]},
        {"kind":"RoleBinding","metadata":{"name":"devs","namespace":"shop"},"roleRef":{"kind":"ClusterRole","name":"r"},"subjects":[{"kind":"Group","name":"devs"},{"kind":"User","name":"x509-user"}]},
        {"kind":"ClusterRoleBinding","metadata":{"name":"dangling"},"roleRef":{"kind":"ClusterRole","name":"missing"},"subjects":[{"kind":"Group","name":"devs"}]},
        {"kind":"ServiceAccount","metadata":{"name":"here","namespace":"shop"}},
        {"kind":"ClusterRoleBinding","metadata":{"name":"sa"},"roleRef":{"kind":"ClusterRole","name":"r"},"subjects":[{"kind":"ServiceAccount","name":"here","namespace":"shop"},{"kind":"ServiceAccount","name":"gone","namespace":"shop"}]}]}"#;
    let found =
        enumerate_files("API", &[("access-entries.json", &entries), ("kubernetes.json", objects)])
            .1;
    assert_eq!(
        lines(&found),
        [
            "entry_group a devs: ok",
            "entry_group a nobody: unbound_group",
            "rbac_subject devs dangling: dangling_role",
            "rbac_subject devs devs: ok",
            "rbac_subject shop/gone sa: dangling_subject",
            "rbac_subject shop/here sa: ok",
            "rbac_subject x509-user devs: ok",
            "none b : no_permission",
        ]
    );
    let group = &found.grants[0];
    // The dangling binding is cluster-wide and grants nothing.
    assert_eq!(
        (group.scope, group.namespaces.as_slice()),
        ("namespace", ["shop".to_owned()].as_slice())
    );
    let binding = found
        .grants
        .iter()
        .position(|g| g.grant_ref == "RoleBinding/shop/devs" && g.principal == "devs")
        .unwrap();
    let members: Vec<&str> =
        found.members.iter().filter(|m| m.grant == binding).map(|m| m.via_group.as_str()).collect();
    assert_eq!(members, ["devs"]);
    let open = found.grants.iter().find(|g| g.principal == "x509-user").unwrap();
    assert_eq!(open.identity_kind, Some(IdentityKind::X509));
}

#[test]
fn what_everybody_may_is_what_a_bare_mapping_gives() {
    let entries = format!("[{}]", entry("bare", "", ""));
    let objects = |group: &str| {
        format!(
            r#"{{"kind":"List","items":[
        {{"kind":"ClusterRole","metadata":{{"name":"r"}},"rules":[{{"verbs":["get"],"apiGroups":[""],"resources":["pods"]}}]}},
        {{"kind":"ClusterRoleBinding","metadata":{{"name":"all"}},"roleRef":{{"kind":"ClusterRole","name":"r"}},"subjects":[{{"kind":"Group","name":"{group}"}}]}}]}}"#
        )
    };
    let of = |group: &str| {
        let files = [("access-entries.json", entries.as_str())];
        let objects = objects(group);
        let files = [files[0], ("kubernetes.json", objects.as_str())];
        let found = enumerate_files("API", &files).1;
        let bare = found.grants.iter().find(|grant| grant.kind == GrantKind::None).cloned();
        bare.map(|grant| (grant.ineffective, grant.group))
    };
    let everybody = "system:authenticated";
    assert_eq!(of(everybody), Some((None, Some(everybody.to_owned()))));
    assert_eq!(of("others"), Some((Some(Ineffective::NoPermission), None)));
}

#[test]
fn a_group_may_be_a_template() {
    let auth =
        aws_auth("- rolearn: arn:aws:iam::111122223333:role/a\n  groups: ['team-{{SessionName}}']");
    let objects = auth.replace(
        r#""items":["#,
        r#""items":[{"kind":"ClusterRole","metadata":{"name":"r"},"rules":[{"verbs":["get"],"apiGroups":[""],"resources":["pods"]}]},
        {"kind":"RoleBinding","metadata":{"name":"shop","namespace":"shop"},"roleRef":{"kind":"ClusterRole","name":"r"},"subjects":[{"kind":"Group","name":"team-shop"}]},"#,
    );
    check(
        "CONFIG_MAP",
        &[("kubernetes.json", &objects)],
        &[
            "aws_auth_group a team-{{SessionName}}: ok",
            "rbac_subject team-shop shop: ok",
            "superuser  system:masters: ok",
        ],
    );
    let found = enumerate_files("CONFIG_MAP", &[("kubernetes.json", &objects)]).1;
    let bound = found.grants.iter().position(|g| g.principal == "team-shop").unwrap();
    assert!(found.members.iter().any(|m| m.grant == bound), "{:?}", found.members);
    assert_eq!(found.grants[bound].identity_kind, Some(IdentityKind::AwsAuthRole));
}

#[test]
fn groups_of_a_provider_are_open_ended() {
    let provider = r#"[{"oidc":{"identityProviderConfigName":"corp","issuerUrl":"https://i","clientId":"k","groupsClaim":"groups","groupsPrefix":"oidc:","usernamePrefix":"oidc:"}}]"#;
    let objects = r#"{"kind":"List","items":[
        {"kind":"ClusterRole","metadata":{"name":"r"},"rules":[{"verbs":["get"],"apiGroups":[""],"resources":["pods"]}]},
        {"kind":"ClusterRoleBinding","metadata":{"name":"b"},"roleRef":{"kind":"ClusterRole","name":"r"},"subjects":[{"kind":"Group","name":"oidc:team"},{"kind":"Group","name":"certs"},{"kind":"User","name":"oidc:ann"}]}]}"#;
    let (_, found) = enumerate_files(
        "API",
        &[("identity-provider-configs.json", provider), ("kubernetes.json", objects)],
    );
    let of = |principal: &str| {
        let grant = found.grants.iter().find(|g| g.principal == principal).unwrap();
        (grant.identity_kind, grant.open_ended)
    };
    assert_eq!(of("oidc:team"), (Some(IdentityKind::Oidc), true));
    assert_eq!(of("certs"), (Some(IdentityKind::X509), true));
    assert_eq!(of("oidc:ann"), (Some(IdentityKind::Oidc), false));
}

#[test]
fn pods_and_their_roles() {
    let pods = r#"[{"association":{"namespace":"shop","serviceAccount":"app","roleArn":"arn:aws:iam::111122223333:role/one","targetRoleArn":"arn:aws:iam::999900001111:role/two","associationId":"a-1"}}]"#;
    let roles = r#"[{"Arn":"arn:aws:iam::111122223333:role/one","RoleId":"AROA1","AssumeRolePolicyDocument":{"Statement":[{"Effect":"Allow","Principal":{"Service":"pods.eks.amazonaws.com"},"Action":"sts:AssumeRole"}]}},
        {"Arn":"arn:aws:iam::111122223333:role/irsa","RoleId":"AROA2","AssumeRolePolicyDocument":{"Statement":[{"Effect":"Allow","Principal":{"Federated":"arn:aws:iam::111122223333:oidc-provider/oidc.eks.us-west-2.amazonaws.com/id/ABC"},"Action":"sts:AssumeRoleWithWebIdentity","Condition":{"StringEquals":{"x:sub":"system:serviceaccount:shop:other"}}}]}}]"#;
    let objects = r#"{"kind":"List","items":[{"kind":"ServiceAccount","metadata":{"name":"app","namespace":"shop"}},{"kind":"ServiceAccount","metadata":{"name":"web","namespace":"shop","annotations":{"eks.amazonaws.com/role-arn":"arn:aws:iam::111122223333:role/irsa"}}}]}"#;
    check(
        "API",
        &[
            ("pod-identity-associations.json", pods),
            ("iam-roles.json", roles),
            ("kubernetes.json", objects),
        ],
        &[
            "pod_identity shop/app one: ok",
            "pod_identity shop/app two: ok",
            "irsa shop/web irsa: trust_denies",
        ],
    );
}

#[test]
fn nodes_are_managed_and_lookalikes_are_findings() {
    let node = entry("node", "", "").replace("STANDARD", "EC2_LINUX");
    let entries = format!(
        "[{node},{}]",
        entry(
            "a",
            "",
            r#"{"policyArn":"arn:aws:eks::aws:cluster-access-policy/AmazonEKSACKPolicy","accessScope":{"type":"cluster"}}"#
        )
    );
    let objects = r#"{"kind":"List","items":[
        {"kind":"ClusterRole","metadata":{"name":"cluster-admin"},"rules":[{"verbs":["*"],"apiGroups":["*"],"resources":["*"]},{"verbs":["*"],"nonResourceURLs":["*"]}]},
        {"kind":"ClusterRoleBinding","metadata":{"name":"cluster-admin"},"roleRef":{"kind":"ClusterRole","name":"cluster-admin"},"subjects":[{"kind":"Group","name":"system:masters"},{"kind":"Group","name":"devs"}]},
        {"kind":"ClusterRoleBinding","metadata":{"name":"eks:mine"},"roleRef":{"kind":"ClusterRole","name":"cluster-admin"},"subjects":[{"kind":"User","name":"eks:mine"}]}]}"#;
    let found =
        enumerate_files("API", &[("access-entries.json", &entries), ("kubernetes.json", objects)])
            .1;
    assert_eq!(
        lines(&found),
        [
            "access_policy a AmazonEKSACKPolicy: ok",
            "rbac_subject devs cluster-admin: ok",
            "rbac_subject eks:mine eks:mine: ok",
        ]
    );
    let impostors: Vec<&str> =
        found.grants.iter().filter(|g| g.impostor).map(|g| g.principal.as_str()).collect();
    assert_eq!(impostors, ["devs", "eks:mine"]);
    // A row of aws-auth may take any name.
    let auth = aws_auth(
        "- rolearn: arn:aws:iam::111122223333:role/b\n  username: eks:addon-manager\n  groups: [system:masters]\n- rolearn: arn:aws:iam::111122223333:role/n\n  username: system:node:{{EC2PrivateDNSName}}\n  groups: [system:nodes]",
    );
    let rows = enumerate_files("CONFIG_MAP", &[("kubernetes.json", &auth)]).1;
    let impostors: Vec<&str> =
        rows.grants.iter().filter(|g| g.impostor).map(|g| g.grant_ref.as_str()).collect();
    assert_eq!(impostors, ["system:masters"]);
    let codes: Vec<&str> = found.notes.iter().map(|note| note.code).collect();
    assert_eq!(codes.iter().filter(|code| **code == "altered_default").count(), 1);
    assert!(codes.contains(&"looks_managed"));
    assert_eq!(found.grants[0].allows, Allows::Unpublished);
}

#[test]
fn a_grant_keeps_its_id_over_a_rescope() {
    let of = |policy: &str| {
        let entries = format!("[{}]", entry("a", "", policy));
        enumerate_files("API", &[("access-entries.json", &entries)]).1.grants[0].clone()
    };
    let (narrow, wide) =
        (of(VIEW), of(&VIEW.replace("namespace\",\"namespaces\":[\"dev-*\"]", "cluster\"")));
    assert_eq!(narrow.id, wide.id);
    assert_eq!((narrow.scope, wide.scope), ("namespace", "cluster"));
    assert_eq!(narrow.valid_from.unwrap().to_rfc3339(), "2026-02-01T00:00:00Z");
    assert_ne!(
        grant_id("c", GrantKind::EntryGroup, "iam", "a", "b"),
        grant_id("c", GrantKind::EntryGroup, "iam", "ab", "")
    );
    assert_eq!(grant_id(ARN, GrantKind::None, "iam", "x", "").len(), 16);
}
