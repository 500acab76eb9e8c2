//! Dates that the logs correct, grants that are gone, and who did it.

use super::super::tests::{ARN, entry, enumerate_files};
use super::*;
use crate::model::fact::ChangeKind;

const ROLE: &str = "arn:aws:iam::111122223333:role/";
const VIEW: &str = "arn:aws:eks::aws:cluster-access-policy/AmazonEKSViewPolicy";

fn at(text: &str) -> Micros {
    Micros::parse(&format!("{text}T00:00:00Z")).unwrap()
}

fn change(
    day: &str,
    kind: ChangeKind,
    subject: &str,
    reference: &str,
    names: &[&str],
) -> (Micros, ChangeFact) {
    let is_policy = matches!(kind, ChangeKind::PolicyAttached | ChangeKind::PolicyDetached);
    let owned: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let fact = ChangeFact {
        cluster: ARN.to_owned(),
        kind,
        subject: subject.to_owned(),
        reference: reference.to_owned(),
        names: if is_policy { Vec::new() } else { owned.clone() },
        replaces: !is_policy && !names.is_empty(),
        namespaces: if is_policy { owned } else { Vec::new() },
        actor: format!("by-{day}"),
        ..ChangeFact::default()
    };
    (at(day), fact)
}

/// `kind principal: from .. to by`, customers' grants only.
fn lives(given: &[(&str, &str)], changes: &[(Micros, ChangeFact)]) -> Vec<String> {
    let (cluster, found) = enumerate_files("API_AND_CONFIG_MAP", given);
    let changes: Vec<(Micros, &ChangeFact)> =
        changes.iter().map(|(at, fact)| (*at, fact)).collect();
    let found = with_changes(&cluster, PolicyTable::builtin(), found, &changes);
    let day = |at: Option<Micros>| at.map_or("?".to_owned(), |at| at.day().to_iso());
    let mut lines: Vec<String> = found
        .grants
        .iter()
        .filter(|grant| !grant.managed_by_aws)
        .map(|grant| {
            let principal = grant.principal.rsplit('/').next().unwrap_or_default();
            let reference = grant.grant_ref.rsplit('/').next().unwrap_or_default();
            let state = grant.ineffective.map_or("ok", Ineffective::as_str);
            let by = grant.granted_by.as_deref().unwrap_or("?");
            let (from, to) = (day(grant.valid_from), day(grant.valid_to));
            format!("{} {principal} {reference}: {from} {to} {by} {state}", grant.kind.as_str())
        })
        .collect();
    lines.sort();
    lines
}

/// An entry of 2026-01-01 with the view policy of 2026-02-01 on `dev-*`; snapshot of 2026-11-24.
fn with_entry(changes: &[(Micros, ChangeFact)]) -> Vec<String> {
    let policy = format!(
        r#"{{"policyArn":"{VIEW}","accessScope":{{"type":"namespace","namespaces":["dev-*"]}},"associatedAt":"2026-02-01T00:00:00Z"}}"#
    );
    lives(&[("access-entries.json", &format!("[{}]", entry("a", "", &policy)))], changes)
}

#[test]
fn a_policy_is_dated_by_its_last_widening() {
    use ChangeKind::{EntryDeleted, EntryMade, PolicyAttached, PolicyDetached};
    let role = format!("{ROLE}a");
    let attach = |day, namespaces: &[&str]| change(day, PolicyAttached, &role, VIEW, namespaces);
    let detach = |day| change(day, PolicyDetached, &role, VIEW, &[]);
    let check = |changes: &[(Micros, ChangeFact)], expected: &str| {
        let name = "access_policy a AmazonEKSViewPolicy";
        assert_eq!(with_entry(changes), [format!("{name}: {expected}")], "{changes:?}");
    };
    check(&[], "2026-02-01 ? ? ok");
    // What it reached before is not known.
    check(&[attach("2026-09-01", &["dev-*"])], "2026-09-01 ? by-2026-09-01 ok");
    check(
        &[attach("2026-09-01", &["dev-*"]), attach("2026-10-01", &["dev-*"])],
        "2026-09-01 ? by-2026-10-01 ok",
    );
    check(
        &[attach("2026-09-01", &["dev-*"]), attach("2026-10-01", &["dev-*", "prod"])],
        "2026-10-01 ? by-2026-10-01 ok",
    );
    check(
        &[attach("2026-09-01", &[]), attach("2026-10-01", &["dev-*"])],
        "2026-09-01 ? by-2026-10-01 ok",
    );
    check(
        &[attach("2026-09-01", &["dev-*"]), attach("2026-10-01", &[])],
        "2026-10-01 ? by-2026-10-01 ok",
    );
    // Taken away and made again as it was: the first date stays.
    check(
        &[attach("2026-09-01", &["dev-*"]), detach("2026-10-01"), attach("2026-10-02", &["dev-*"])],
        "2026-09-01 ? by-2026-10-02 ok",
    );
    let rebuilt = [
        attach("2026-09-01", &["dev-*"]),
        change("2026-10-01", EntryDeleted, &role, "", &[]),
        change("2026-10-01", EntryMade, &role, "", &[]),
        attach("2026-10-01", &["dev-*"]),
    ];
    check(&rebuilt, "2026-09-01 ? by-2026-10-01 ok");
    // It is in the snapshot, so it was made again unseen.
    check(&[detach("2026-10-01")], "2026-02-01 ? ? ok");
    check(&[detach("2026-11-25")], "2026-02-01 2026-11-25 ? deleted");
}

#[test]
fn what_is_gone_is_shown_and_what_came_after_the_snapshot_too() {
    use ChangeKind::{EntryDeleted, EntryMade, PolicyAttached, PolicyDetached};
    let role = format!("{ROLE}gone");
    let attach = |day| change(day, PolicyAttached, &role, VIEW, &["x"]);
    let check = |changes: &[(Micros, ChangeFact)], expected: &[&str]| {
        assert_eq!(lives(&[], changes), expected, "{changes:?}");
    };
    check(
        &[attach("2026-09-01"), change("2026-09-05", PolicyDetached, &role, VIEW, &[])],
        &["access_policy gone AmazonEKSViewPolicy: 2026-09-01 2026-09-05 by-2026-09-01 deleted"],
    );
    check(
        &[
            change("2026-09-01", EntryMade, &role, "", &["dev"]),
            change("2026-09-05", EntryDeleted, &role, "", &[]),
        ],
        &["entry_group gone dev: 2026-09-01 2026-09-05 by-2026-09-01 deleted"],
    );
    check(
        &[change("2026-09-05", EntryDeleted, &role, "", &[])],
        &["none gone : 2026-09-05 2026-09-05 ? deleted"],
    );
    check(
        &[attach("2026-11-25")],
        &["access_policy gone AmazonEKSViewPolicy: 2026-11-25 ? by-2026-11-25 ok"],
    );
    // Made before the snapshot and not in it: the snapshot is the truth.
    check(&[attach("2026-09-01")], &[]);
}

#[test]
fn pod_identities_and_bindings() {
    use ChangeKind::{
        ObjectChanged, ObjectDeleted, ObjectMade, PodIdentityDeleted, PodIdentityMade,
    };
    let app = format!("{ROLE}app");
    let made = change("2026-09-01", PodIdentityMade, "shop/app", &app, &[]);
    let gone = change("2026-09-05", PodIdentityDeleted, "shop/app", &app, &[]);
    assert_eq!(
        lives(&[], &[made, gone]),
        ["pod_identity app app: 2026-09-01 2026-09-05 by-2026-09-01 deleted"]
    );
    let kubernetes = r#"{"kind":"List","items":[
        {"kind":"Role","metadata":{"name":"r","namespace":"shop","creationTimestamp":"2026-01-01T00:00:00Z"},"rules":[{"verbs":["get"],"apiGroups":[""],"resources":["pods"]}]},
        {"kind":"RoleBinding","metadata":{"name":"b","namespace":"shop","creationTimestamp":"2026-01-02T00:00:00Z"},"roleRef":{"kind":"Role","name":"r"},"subjects":[{"kind":"User","name":"ann"}]}]}"#;
    let check = |changes: &[(Micros, ChangeFact)], expected: &[&str]| {
        assert_eq!(lives(&[("kubernetes.json", kubernetes)], changes), expected, "{changes:?}");
    };
    let binding =
        |day, kind, names: &[&str]| change(day, kind, "RoleBinding/shop/b", "Role/shop/r", names);
    let role = |day, digest| change(day, ObjectChanged, "Role/shop/r", digest, &[]);
    check(&[], &["rbac_subject ann b: 2026-01-02 ? ? ok"]);
    check(
        &[
            binding("2026-09-01", ObjectChanged, &["User:ann"]),
            binding("2026-10-01", ObjectChanged, &["User:ann"]),
        ],
        &["rbac_subject ann b: 2026-09-01 ? ? ok"],
    );
    check(
        &[
            binding("2026-09-01", ObjectChanged, &["User:bob"]),
            binding("2026-10-01", ObjectChanged, &["User:ann"]),
        ],
        &[
            "rbac_subject ann b: 2026-10-01 ? by-2026-10-01 ok",
            "rbac_subject bob b: 2026-09-01 2026-10-01 ? deleted",
        ],
    );
    // Bodies were not logged: the write may have added anybody.
    check(&[binding("2026-09-01", ObjectChanged, &[])], &["rbac_subject ann b: 2026-09-01 ? ? ok"]);
    // A deployment that writes the same role every night widens nothing after the first sight.
    check(
        &[role("2026-09-01", "aa"), role("2026-10-01", "aa")],
        &["rbac_subject ann b: 2026-09-01 ? ? ok"],
    );
    check(
        &[role("2026-09-01", "aa"), role("2026-10-01", "bb")],
        &["rbac_subject ann b: 2026-10-01 ? ? ok"],
    );
    check(
        &[
            binding("2026-09-01", ObjectMade, &["User:eve"]),
            change("2026-09-02", ObjectDeleted, "RoleBinding/shop/b", "", &[]),
        ],
        &[
            "rbac_subject ann b: 2026-01-02 ? ? ok",
            "rbac_subject eve b: 2026-09-01 2026-09-02 by-2026-09-01 deleted",
        ],
    );
}

#[test]
fn groups_of_an_entry() {
    use ChangeKind::{EntryChanged, EntryDeleted, EntryMade};
    let role = format!("{ROLE}a");
    let of = |day, kind, names: &[&str]| change(day, kind, &role, "", names);
    let none_left = |day| {
        let (at, mut fact) = of(day, EntryChanged, &[]);
        fact.replaces = true;
        (at, fact)
    };
    let inventory = format!("[{}]", entry("a", r#""dev""#, ""));
    let check = |changes: &[(Micros, ChangeFact)], expected: &[&str]| {
        assert_eq!(lives(&[("access-entries.json", &inventory)], changes), expected, "{changes:?}");
    };
    check(&[], &["entry_group a dev: 2026-01-01 ? ? unbound_group"]);
    // Only the username changed.
    check(
        &[of("2026-09-01", EntryChanged, &[])],
        &["entry_group a dev: 2026-01-01 ? ? unbound_group"],
    );
    check(
        &[of("2026-09-01", EntryChanged, &["ops"]), of("2026-10-01", EntryChanged, &["dev"])],
        &[
            "entry_group a dev: 2026-10-01 ? by-2026-10-01 unbound_group",
            "entry_group a ops: 2026-09-01 2026-10-01 ? deleted",
        ],
    );
    check(
        &[of("2026-09-01", EntryChanged, &["dev"]), none_left("2026-11-25")],
        &["entry_group a dev: 2026-09-01 2026-11-25 ? deleted"],
    );
    // Rebuilt each night: as old as the log shows it.
    let nights = ["2026-09-01", "2026-09-02", "2026-09-03"];
    let rebuilt: Vec<_> = nights
        .iter()
        .flat_map(|&day| [of(day, EntryDeleted, &[]), of(day, EntryMade, &["dev"])])
        .collect();
    check(&rebuilt, &["entry_group a dev: 2026-09-01 ? by-2026-09-03 unbound_group"]);
}

#[test]
fn rows_of_aws_auth() {
    use ChangeKind::{ObjectChanged, ObjectDeleted, ObjectMade};
    let auth = super::super::tests::aws_auth(
        "- rolearn: arn:aws:iam::111122223333:role/B\n  username: b\n  groups: [system:masters]",
    );
    let row = "arn:aws:iam::111122223333:role/b -> system:masters";
    let other = "arn:aws:iam::111122223333:user/eve -> dev";
    let write = |day, kind, names: &[&str]| change(day, kind, "aws-auth", "", names);
    let check = |changes: &[(Micros, ChangeFact)], expected: &[&str]| {
        assert_eq!(lives(&[("kubernetes.json", &auth)], changes), expected, "{changes:?}");
    };
    let is = |dates: &str| format!("aws_auth_group B system:masters: {dates}");
    check(&[], &[&is("? ? ? ok")]);
    // A write whose body is not there may have made any row.
    check(&[write("2026-09-01", ObjectChanged, &[])], &[&is("2026-09-01 ? ? ok")]);
    check(&[write("2026-09-01", ObjectMade, &[])], &[&is("2026-09-01 ? ? ok")]);
    check(&[write("2026-09-01", ObjectMade, &[row])], &[&is("2026-09-01 ? by-2026-09-01 ok")]);
    check(
        &[
            write("2026-09-01", ObjectChanged, &[other]),
            write("2026-10-01", ObjectChanged, &[row, other]),
            write("2026-10-05", ObjectChanged, &[row]),
        ],
        &[
            &is("2026-10-01 ? by-2026-10-01 ok"),
            "aws_auth_group eve dev: 2026-09-01 2026-10-05 ? deleted",
        ],
    );
    check(
        &[write("2026-09-01", ObjectChanged, &[row]), write("2026-11-25", ObjectDeleted, &[])],
        &[&is("2026-09-01 2026-11-25 ? deleted")],
    );
}

#[test]
fn what_stopped_working_and_what_came_with_a_provider() {
    let auth = super::super::tests::aws_auth(
        "- rolearn: arn:aws:iam::111122223333:role/b\n  username: b\n  groups: [system:masters]",
    );
    let mode = change("2026-09-01", ChangeKind::AuthModeChanged, "", "API", &[]);
    let (cluster, found) = enumerate_files("API", &[("kubernetes.json", &auth)]);
    let found = with_changes(&cluster, PolicyTable::builtin(), found, &[(mode.0, &mode.1)]);
    let row = found.grants.iter().find(|g| g.kind == GrantKind::AwsAuthGroup).unwrap();
    assert_eq!(row.valid_to, Some(at("2026-09-01")));
    assert!(found.notes.iter().any(|note| note.code == "auth_mode_changed"));

    let providers = r#"[{"oidc":{"identityProviderConfigName":"okta","issuerUrl":"https://i","groupsClaim":"g","groupsPrefix":"oidc:"}}]"#;
    let kubernetes = r#"{"kind":"List","items":[
        {"kind":"ClusterRole","metadata":{"name":"r","creationTimestamp":"2026-01-01T00:00:00Z"},"rules":[{"verbs":["get"],"apiGroups":[""],"resources":["pods"]}]},
        {"kind":"ClusterRoleBinding","metadata":{"name":"b","creationTimestamp":"2026-01-02T00:00:00Z"},"roleRef":{"kind":"ClusterRole","name":"r"},"subjects":[{"kind":"Group","name":"oidc:team"}]}]}"#;
    let files = [("identity-provider-configs.json", providers), ("kubernetes.json", kubernetes)];
    let check = |changes: &[(Micros, ChangeFact)], expected: &str| {
        assert_eq!(lives(&files, changes), [format!("rbac_subject oidc:team b: {expected}")]);
    };
    let attached = |day, name| change(day, ChangeKind::ProviderAttached, name, "", &[]);
    check(&[], "2026-01-02 ? ? ok");
    check(&[attached("2026-09-01", "okta")], "2026-09-01 ? ? ok");
    check(&[attached("2026-09-01", "other")], "2026-01-02 ? ? ok");
}
