//! Bundles: run with fake command lines, applied to the recorded cluster, and taken back.

mod cluster;
mod guardrail;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use overgrant::model::time::Micros;
use overgrant::remedy::{Bundle, Tables, bundle};
use overgrant::table::rows::access::{ApiAccessRow, GroupSetRow};
use overgrant::table::rows::grants::{GrantRow, IdentityRow};
use overgrant::table::rows::verdicts::{ProposalRow, RunRow, VerdictRow};

use crate::support::{audit, project, rows, samples_plan};
use cluster::{Asked, Cluster, Who};

/// Records its name, its folder and its words, each ended by a NUL, after their number.
const FAKE: &str = r#"#!/bin/bash
{ printf '%s\0' $(($# + 2)) "$PWD" "${0##*/}" "$@"; } >> "$CALLS"
namespace=""; account=""
while [ $# -gt 0 ]; do
  case "$1" in --namespace) namespace="$2";; --service-account) account="$2";; esac
  shift
done
printf '%s/%s\n' "$namespace" "$account"
"#;

/// A script's calls: folder and words.
fn run(script: &Path, scratch: &Path) -> Vec<(PathBuf, Vec<String>)> {
    let bin = scratch.join("bin");
    std::fs::create_dir_all(&bin).unwrap();
    for name in ["aws", "kubectl"] {
        let path = bin.join(name);
        std::fs::write(&path, FAKE).unwrap();
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(&path, mode).unwrap();
    }
    let calls = scratch.join("calls");
    std::fs::write(&calls, b"").unwrap();
    let path = format!("{}:/usr/bin:/bin", bin.display());
    let done =
        Command::new("bash").arg(script).env("PATH", path).env("CALLS", &calls).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let recorded = String::from_utf8(std::fs::read(&calls).unwrap()).unwrap();
    let mut words = recorded.split_terminator('\0').map(str::to_owned);
    let mut all = Vec::new();
    while let Some(n) = words.next() {
        let n: usize = n.parse().unwrap();
        let folder = words.next().unwrap();
        all.push((PathBuf::from(folder), words.by_ref().take(n - 1).collect()));
    }
    all
}

fn put(bundle: &Bundle, folder: &Path) {
    for (name, bytes) in &bundle.files {
        let path = folder.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }
}

fn tables(out: &Path) -> Tables {
    Tables {
        run: rows(out),
        identities: rows(out),
        grants: rows(out),
        verdicts: rows(out),
        proposals: rows(out),
    }
}

fn samples() -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out");
    audit(&samples_plan(&out)).unwrap();
    (dir, out)
}

fn text(bundle: &Bundle, name: &str) -> String {
    String::from_utf8(bundle.files[name].clone()).unwrap()
}

#[test]
fn a_bundle_takes_no_right_that_was_used_and_is_taken_back_whole() {
    let (dir, out) = samples();
    let made = bundle(&tables(&out), None).unwrap();
    assert!(made.left.is_empty(), "{:?}", made.left);
    let folder = dir.path().join("bundle");
    put(&made, &folder);
    let before = Cluster::read(&project("samples/inventory/prod"));
    let mut now = before.clone();
    for (place, words) in run(&folder.join("apply.sh"), dir.path()) {
        now.call(&place, &words);
    }
    assert_ne!(now, before);

    // Everything that was allowed and explained still is, by an evaluator of its own.
    let groups: BTreeMap<String, Vec<String>> =
        rows::<GroupSetRow>(&out).into_iter().map(|set| (set.groups_digest, set.groups)).collect();
    let (mut checked, mut seen) = (0, BTreeSet::new());
    for row in rows::<ApiAccessRow>(&out) {
        let explained = row.covering_grants > 0 && row.decision == "allow" && !row.component;
        if !explained || row.via == "delegated" {
            continue;
        }
        // Groups that a mapping gives are the mapping's; those of tokens and certificates stay.
        let own: Vec<&str> = if row.principal_arn.starts_with("arn:") && row.via == "direct" {
            vec!["system:authenticated"]
        } else {
            groups[&row.groups_digest].iter().map(String::as_str).collect()
        };
        let username = row.impersonated_username.as_ref().unwrap_or(&row.username);
        let who = Who {
            principal: if row.via == "direct" { &row.principal_arn } else { "" },
            username,
            groups: &own,
        };
        let resource = if row.subresource.is_empty() {
            row.resource.clone()
        } else {
            format!("{}/{}", row.resource, row.subresource)
        };
        let asked = Asked {
            verb: &row.verb,
            group: &row.api_group,
            resource: &resource,
            namespace: &row.namespace,
            name: &row.name,
            path: &row.path,
        };
        assert!(before.allows(&who, &asked), "the evaluator does not explain {row:?}");
        assert!(now.allows(&who, &asked), "refused after the bundle: {row:?}");
        seen.insert(row.principal_arn.clone());
        checked += 1;
    }
    assert!(checked > 1000 && seen.len() > 6, "{checked} rows of {seen:?}");
    // And what was too much is gone.
    let secrets =
        Asked { verb: "get", group: "", resource: "secrets", namespace: "pay", name: "", path: "" };
    let terraform = Who {
        principal: "arn:aws:iam::111122223333:user/terraform",
        username: "terraform",
        groups: &[],
    };
    assert!(before.allows(&terraform, &secrets) && !now.allows(&terraform, &secrets));

    for (place, words) in run(&folder.join("rollback/apply.sh"), dir.path()) {
        now.call(&place, &words);
    }
    assert_eq!(now.entries, before.entries);
    assert_eq!(now.pods, before.pods);
    for (key, object) in &before.objects {
        assert_eq!(now.objects.get(key), Some(object), "{key}");
    }
    assert_eq!(now.objects.len(), before.objects.len());
}

#[test]
fn what_a_bundle_of_the_samples_says() {
    let (dir, out) = samples();
    let all = bundle(&tables(&out), None).unwrap();
    insta::assert_snapshot!("bundle_apply", text(&all, "apply.sh"));
    insta::assert_snapshot!("bundle_rollback", text(&all, "rollback/apply.sh"));
    let terraform = all.files.keys().find(|name| name.starts_with("terraform/")).unwrap();
    insta::assert_snapshot!("bundle_terraform", text(&all, terraform));
    let objects: Vec<String> = all
        .files
        .keys()
        .filter(|name| is(name, "yaml"))
        .map(|name| format!("# {name}\n{}", text(&all, name)))
        .collect();
    insta::assert_snapshot!("bundle_objects", objects.join("---\n"));
    let guardrail = all.files.keys().find(|name| name.starts_with("iam/")).unwrap();
    insta::assert_snapshot!("bundle_guardrail", text(&all, guardrail));

    // One grant alone; a person's own only when it is named.
    let verdicts: Vec<VerdictRow> = rows(&out);
    let of = |word: &str| {
        let found = verdicts.iter().find(|verdict| verdict.recommendation == word).unwrap();
        BTreeSet::from([found.grant_id.clone()])
    };
    let one = bundle(&tables(&out), Some(&of("review"))).unwrap();
    assert_eq!((one.done.len(), one.left.len()), (1, 0));
    assert!(all.done.iter().all(|(id, _)| !of("review").contains(id)));
    let nothing = bundle(&tables(&out), Some(&of("keep"))).unwrap();
    assert!(nothing.done.is_empty());
    let unknown = BTreeSet::from(["0000".to_owned()]);
    assert!(bundle(&tables(&out), Some(&unknown)).is_err());

    let folder = dir.path().join("bundle");
    put(&all, &folder);
    checked_by("shellcheck", &[], &folder, "sh", &all);
    checked_by("terraform", &["fmt", "-check"], &folder, "tf", &all);
}

/// The guardrails of a script.
fn guardrails(bundle: &Bundle, folder: &str) -> Vec<serde_json::Value> {
    let below = format!("{folder}iam/");
    let files = bundle.files.iter().filter(|(name, _)| name.starts_with(&below));
    files.map(|(_, bytes)| serde_json::from_slice(bytes).unwrap()).collect()
}

#[test]
fn the_guardrail_lets_the_script_through_and_nothing_wider() {
    let (dir, out) = samples();
    let made = bundle(&tables(&out), None).unwrap();
    let folder = dir.path().join("bundle");
    put(&made, &folder);
    for (script, below) in [("apply.sh", ""), ("rollback/apply.sh", "rollback/")] {
        let policies = guardrails(&made, below);
        let mut checked = 0;
        for (_, words) in run(&folder.join(script), dir.path()) {
            let Some(allowed) = guardrail::allows(&policies, &words) else { continue };
            assert!(allowed, "{words:?}");
            checked += 1;
            // The same call for somebody else, for more, or in another place.
            for (from, to) in [
                (":role/", ":role/x-"),
                ("\"namespace\"", "\"cluster\""),
                ("\"shop\"", "\"kube-system\""),
                ("AmazonEKSViewPolicy", "AmazonEKSClusterAdminPolicy"),
                ("[\"overgrant-", "[\"system-"),
            ] {
                let other: Vec<String> = words.iter().map(|word| word.replace(from, to)).collect();
                // What groups an entry is changed to, no key can tell.
                let untold = words[2] == "update-access-entry" && from.starts_with('[');
                if other != words && !untold {
                    assert_eq!(guardrail::allows(&policies, &other), Some(false), "{other:?}");
                }
            }
        }
        assert!(checked > 3, "{script}: {checked}");
    }
}

fn is(name: &str, extension: &str) -> bool {
    Path::new(name).extension().is_some_and(|found| found == extension)
}

/// Runs a checker over files of the bundle; says so where it is missing.
fn checked_by(tool: &str, words: &[&str], folder: &Path, extension: &str, bundle: &Bundle) {
    let files =
        bundle.files.keys().filter(|name| is(name, extension)).map(|name| folder.join(name));
    match Command::new(tool).args(words).args(files).output() {
        Ok(done) => assert!(
            done.status.success(),
            "{tool}: {}{}",
            String::from_utf8_lossy(&done.stdout),
            String::from_utf8_lossy(&done.stderr)
        ),
        Err(_) => eprintln!("SKIPPED: {tool} is not here"),
    }
}

const CLUSTER: &str = "arn:aws:eks:us-west-2:111122223333:cluster/prod";
/// Names that would run, break out, or steer.
const HOSTILE: [&str; 6] = [
    "$(touch owned)`touch owned`",
    "it's \"quoted\" \\ '",
    "a\nb\r\tc",
    "${var.x} %{if} $${y}",
    "plus+at@equals=,dot.dash-",
    "- yaml: [x] #\u{202e}\u{1b}[2J",
];

/// A run of grants whose names are all `name`.
fn hostile(name: &str) -> Tables {
    let arn = format!("arn:aws:iam::111122223333:role/{name}");
    let grant = |id: &str, kind: &str, subject: &str, principal: &str, reference: &str| GrantRow {
        grant_id: id.to_owned(),
        cluster: CLUSTER.to_owned(),
        cluster_name: name.to_owned(),
        grant_kind: kind.to_owned(),
        identity_kind: Some("access_entry".to_owned()),
        subject_kind: subject.to_owned(),
        principal: principal.to_owned(),
        grant_ref: reference.to_owned(),
        role_ref: "ClusterRole/x".to_owned(),
        scope: "cluster".to_owned(),
        effective: true,
        ..GrantRow::default()
    };
    let verdict = |id: &str, word: &str| VerdictRow {
        grant_id: id.to_owned(),
        cluster: CLUSTER.to_owned(),
        verdict: "over_scoped".to_owned(),
        recommendation: word.to_owned(),
        detail: name.to_owned(),
        recommendation_detail: Some(name.to_owned()),
        replay_denied: Some(0),
        ..VerdictRow::default()
    };
    let rule = |id: &str| ProposalRow {
        grant_id: id.to_owned(),
        cluster: CLUSTER.to_owned(),
        candidate: "rbac".to_owned(),
        chosen: true,
        kind: "role".to_owned(),
        namespaces: Some("shop".to_owned()),
        verbs: vec!["get".to_owned()],
        api_groups: vec![String::new()],
        resources: vec!["secrets".to_owned()],
        resource_names: vec![name.to_owned()],
        ..ProposalRow::default()
    };
    let row = |kind: &str, arn: &str| IdentityRow {
        cluster: CLUSTER.to_owned(),
        identity_kind: kind.to_owned(),
        principal_arn: arn.to_owned(),
        username: name.to_owned(),
        groups: vec![name.to_owned(), "other".to_owned()],
        entry_type: Some("STANDARD".to_owned()),
        ..IdentityRow::default()
    };
    let policy = "arn:aws:eks::aws:cluster-access-policy/AmazonEKSViewPolicy";
    let mut in_aws_auth = grant("04", "aws_auth_group", "aws_auth", &format!("{arn}2"), name);
    in_aws_auth.identity_kind = Some("aws_auth_role".to_owned());
    Tables {
        run: vec![RunRow { since: Micros(0), until: Micros(1), ..RunRow::default() }],
        identities: vec![row("access_entry", &arn), row("aws_auth_role", &format!("{arn}2"))],
        grants: vec![
            grant("01", "access_policy", "iam", &arn, policy),
            grant("02", "entry_group", "iam", &arn, name),
            grant("03", "rbac_subject", "user", name, "RoleBinding/shop/x"),
            in_aws_auth,
            grant("05", "rbac_subject", "group", name, "RoleBinding/shop/y"),
        ],
        verdicts: vec![
            verdict("01", "replace"),
            verdict("02", "remove"),
            verdict("03", "narrow"),
            verdict("04", "remove"),
            verdict("05", "remove"),
        ],
        proposals: vec![rule("01"), rule("03")],
    }
}

#[test]
fn hostile_names_are_names() {
    for name in HOSTILE {
        let dir = tempfile::tempdir().unwrap();
        let made = bundle(&hostile(name), None).unwrap();
        assert_eq!((made.done.len(), made.left.len()), (5, 0), "{:?}", made.left);
        let folder = dir.path().join("bundle");
        put(&made, &folder);
        for script in ["apply.sh", "rollback/apply.sh"] {
            let policies = guardrails(&made, script.trim_end_matches("apply.sh"));
            let path = folder.join(script);
            assert!(Command::new("bash").arg("-n").arg(&path).status().unwrap().success());
            let calls = run(&path, dir.path());
            let refused = |words: &Vec<String>| guardrail::allows(&policies, words) == Some(false);
            assert!(!calls.iter().any(|(_, words)| refused(words)), "{policies:?}");
            let arn = format!("arn:aws:iam::111122223333:role/{name}");
            let principals = calls.iter().filter_map(|(_, words)| {
                let at = words.iter().position(|word| word == "--principal-arn")?;
                words.get(at + 1)
            });
            let principals: Vec<&String> = principals.collect();
            assert!(
                !principals.is_empty() && principals.iter().all(|p| **p == arn),
                "{principals:?}"
            );
            // Nothing ran but what was meant to, and no comment became a line of its own.
            let known = |words: &Vec<String>| matches!(words[0].as_str(), "aws" | "kubectl");
            assert!(calls.iter().all(|(_, words)| known(words)));
            assert!(!dir.path().join("owned").exists() && !folder.join("owned").exists());
            let listed = text(&made, script);
            for line in listed.lines().filter(|line| line.starts_with('#')) {
                assert!(!line.contains(['\u{1b}', '\u{202e}', '\r']), "{line:?}");
            }
        }
        // YAML holds the names as they are.
        for (file, bytes) in made.files.iter().filter(|(file, _)| is(file, "yaml")) {
            let documents = std::str::from_utf8(bytes).unwrap().split("\n---\n");
            let values: Vec<serde_json::Value> =
                documents.map(|document| serde_yaml_ng::from_str(document).unwrap()).collect();
            let found = values.iter().any(|value| holds(value, name));
            assert!(found || file.contains("aws-auth"), "{file}: {values:?}");
        }
        checked_by("shellcheck", &[], &folder, "sh", &made);
        checked_by("terraform", &["fmt", "-check"], &folder, "tf", &made);
    }
}

/// True when some text of the value is `name`.
fn holds(value: &serde_json::Value, name: &str) -> bool {
    match value {
        serde_json::Value::String(text) => text == name,
        serde_json::Value::Array(list) => list.iter().any(|item| holds(item, name)),
        serde_json::Value::Object(map) => map.values().any(|item| holds(item, name)),
        _ => false,
    }
}

/// Kind of grant, why it is dead, the words that take it away.
const DEAD: &[(&str, &str, &str)] = &[
    ("access_policy", "recreated_principal", "aws eks delete-access-entry"),
    ("access_policy", "deleted_principal", "aws eks delete-access-entry"),
    ("access_policy", "reprovisioned_sso_role", "aws eks delete-access-entry"),
    ("none", "no_permission", "aws eks delete-access-entry"),
    ("entry_group", "unbound_group", "--kubernetes-groups []"),
    ("rbac_subject", "dangling_role", "delete rolebinding -n shop -- x"),
    ("rbac_subject", "dangling_subject", "delete rolebinding -n shop -- x"),
    ("aws_auth_group", "never_matches", "replace -f rbac/aws-auth-01.yaml"),
    ("aws_auth_group", "inert_aws_auth", "replace -f rbac/aws-auth-01.yaml"),
    ("aws_auth_group", "overridden_by_row", "replace -f rbac/aws-auth-01.yaml"),
    ("pod_identity", "trust_denies", "aws eks delete-pod-identity-association"),
    (
        "irsa",
        "deleted_principal",
        "annotate --overwrite serviceaccount -n shop -- api eks.amazonaws.com/role-arn-",
    ),
];

#[test]
fn every_dead_thing_has_its_removal() {
    let arn = "arn:aws:iam::111122223333:role/gone";
    for (kind, why, expected) in DEAD {
        let of_pod = matches!(*kind, "pod_identity" | "irsa");
        let of_row = *kind == "aws_auth_group";
        let (subject, principal) = match *kind {
            "rbac_subject" => ("group", "devs"),
            _ if of_pod => ("service_account", "shop/api"),
            _ => ("iam", arn),
        };
        let reference = match *kind {
            "access_policy" => "arn:aws:eks::aws:cluster-access-policy/AmazonEKSViewPolicy",
            "rbac_subject" => "RoleBinding/shop/x",
            "none" => "",
            _ if of_pod => arn,
            _ => "nobody",
        };
        let identity = if of_row { "aws_auth_role" } else { "access_entry" };
        let grant = GrantRow {
            grant_id: "01".to_owned(),
            cluster: CLUSTER.to_owned(),
            grant_kind: (*kind).to_owned(),
            identity_kind: Some(identity.to_owned()),
            subject_kind: subject.to_owned(),
            principal: principal.to_owned(),
            grant_ref: reference.to_owned(),
            role_ref: "Role/shop/x".to_owned(),
            scope: "cluster".to_owned(),
            ineffective_reason: Some((*why).to_owned()),
            ..GrantRow::default()
        };
        let verdict = VerdictRow {
            grant_id: "01".to_owned(),
            verdict: "ineffective".to_owned(),
            recommendation: "remove".to_owned(),
            ..VerdictRow::default()
        };
        let row = IdentityRow {
            cluster: CLUSTER.to_owned(),
            identity_kind: identity.to_owned(),
            principal_arn: arn.to_owned(),
            groups: if matches!(*kind, "entry_group" | "aws_auth_group") {
                vec!["nobody".to_owned()]
            } else {
                Vec::new()
            },
            username: "bound".to_owned(),
            ..IdentityRow::default()
        };
        // RBAC names the user of the entry: a mapping without groups is not without use.
        let bound = GrantRow {
            grant_id: "02".to_owned(),
            cluster: CLUSTER.to_owned(),
            grant_kind: "rbac_subject".to_owned(),
            subject_kind: "user".to_owned(),
            principal: if *kind == "entry_group" { "bound" } else { "other" }.to_owned(),
            grant_ref: "RoleBinding/shop/y".to_owned(),
            ..GrantRow::default()
        };
        let tables = Tables {
            identities: if of_pod || *kind == "rbac_subject" { Vec::new() } else { vec![row] },
            grants: vec![grant, bound],
            verdicts: vec![verdict],
            ..Tables::default()
        };
        let made = bundle(&tables, None).unwrap();
        assert_eq!(made.left, [], "{kind} {why}");
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("bundle");
        put(&made, &folder);
        let calls = run(&folder.join("apply.sh"), dir.path());
        let calls: Vec<String> = calls.into_iter().map(|(_, words)| words.join(" ")).collect();
        assert!(calls.iter().any(|call| call.contains(expected)), "{kind} {why}: {calls:?}");
        let back = run(&folder.join("rollback/apply.sh"), dir.path());
        assert!(!back.is_empty(), "{kind} {why} has a way back");
    }
}

#[test]
fn a_row_of_aws_auth_becomes_an_entry_under_the_whole_name_of_its_role() {
    let mut tables = hostile("plain");
    let of_row = "arn:aws:iam::111122223333:role/plain2";
    let whole = "arn:aws:iam::111122223333:role/with/path/plain2";
    tables.identities[1].iam_arn = Some(whole.to_owned());
    tables.identities[1].groups = vec!["system:masters".to_owned(), "other".to_owned()];
    let masters = &mut tables.grants[3];
    "system:masters".clone_into(&mut masters.grant_ref);
    let other =
        GrantRow { grant_id: "06".to_owned(), grant_ref: "other".to_owned(), ..masters.clone() };
    tables.grants.push(other);
    "replace".clone_into(&mut tables.verdicts[3].recommendation);
    let spare = VerdictRow {
        grant_id: "06".to_owned(),
        recommendation: "remove".to_owned(),
        ..tables.verdicts[3].clone()
    };
    tables.verdicts.push(spare);
    let rule = ProposalRow { grant_id: "04".to_owned(), ..tables.proposals[0].clone() };
    tables.proposals.push(rule);
    let only = BTreeSet::from(["04".to_owned(), "06".to_owned()]);
    let made = bundle(&tables, Some(&only)).unwrap();
    assert_eq!(made.left, []);
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("bundle");
    put(&made, &folder);
    let calls: Vec<String> = run(&folder.join("apply.sh"), dir.path())
        .into_iter()
        .map(|(_, words)| words.join(" "))
        .collect();
    let entries: Vec<&String> = calls.iter().filter(|call| call.contains("access-entry")).collect();
    assert!(
        entries.iter().all(|call| call.contains(whole) && !call.contains(of_row)),
        "{entries:?}"
    );
    // The entry carries what the row carried; what is spare then goes from both.
    assert!(entries[0].contains(r#"--kubernetes-groups ["other","overgrant-04"]"#), "{entries:?}");
    assert!(entries[1].contains(r#"--kubernetes-groups ["overgrant-04"]"#), "{entries:?}");
    assert!(calls.last().unwrap().contains("replace -f rbac/aws-auth-06.yaml"));
}

/// Somebody answers for a finding: it is not taken away, unless it is asked for by its id.
#[test]
fn what_somebody_answers_for_stays() {
    let grant = |id: &str| GrantRow {
        grant_id: id.to_owned(),
        cluster: CLUSTER.to_owned(),
        grant_kind: "rbac_subject".to_owned(),
        subject_kind: "user".to_owned(),
        principal: format!("user-{id}"),
        grant_ref: format!("RoleBinding/shop/{id}"),
        role_ref: "Role/shop/x".to_owned(),
        ..GrantRow::default()
    };
    let verdict = |id: &str| VerdictRow {
        grant_id: id.to_owned(),
        cluster: CLUSTER.to_owned(),
        verdict: "unused".to_owned(),
        recommendation: "remove".to_owned(),
        ..VerdictRow::default()
    };
    let known = VerdictRow {
        suppressed: Some(true),
        suppressed_by: Some("security@example.com".to_owned()),
        suppressed_reason: Some("break-glass".to_owned()),
        suppressed_until: Some(Micros::parse("2027-02-01T00:00:00Z").unwrap()),
        ..verdict("01")
    };
    let tables = Tables {
        run: vec![RunRow::default()],
        grants: vec![grant("01"), grant("02")],
        verdicts: vec![known, verdict("02")],
        ..Tables::default()
    };
    let made = bundle(&tables, None).unwrap();
    assert_eq!(made.done.iter().map(|(id, _)| id.as_str()).collect::<Vec<_>>(), ["02"]);
    let why = "suppressed by security@example.com: break-glass, ends 2027-02-01";
    assert_eq!(made.known, [("01".to_owned(), why.to_owned())]);
    assert!(made.left.is_empty());
    let script = String::from_utf8(made.files["apply.sh"].clone()).unwrap();
    assert!(script.contains(why) && !script.contains("user-01"), "{script}");
    let only = std::collections::BTreeSet::from(["01".to_owned()]);
    assert_eq!(bundle(&tables, Some(&only)).unwrap().done.len(), 1);
}
