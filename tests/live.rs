//! The live inventory against the APIs of AWS and Kubernetes over a real socket.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use overgrant::inventory::load;
use overgrant::inventory::principals::{arns_of_grants, folded_name};
use overgrant::model::inventory::ClusterInventory;
use overgrant::pipeline::Stop;
use overgrant::pipeline::snapshot::{SnapshotPlan, Snapshots, snapshot};
use serde_json::Value;

use crate::support::aws::{Stub, live_plan};
use crate::support::{Deaf, audit, project, samples_plan, verdicts};

fn take(
    denied: &[&str],
    throttles: bool,
    change: impl FnOnce(&mut BTreeMap<String, Value>),
    out: &Path,
) -> (Snapshots, Vec<String>) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let (stub, address) = Stub::start(&runtime, denied, throttles, change);
    let live = live_plan(address, &["prod"]);
    let taken =
        snapshot(&SnapshotPlan { live, out: out.to_path_buf(), stop: Stop::default() }, &mut Deaf)
            .unwrap();
    let calls = stub.calls.lock().unwrap().clone();
    (taken, calls)
}

fn loaded(folder: &Path) -> ClusterInventory {
    let files: Vec<(String, Vec<u8>)> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| {
            (
                path.file_name().unwrap().to_string_lossy().into_owned(),
                std::fs::read(&path).unwrap(),
            )
        })
        .collect();
    let loaded = load(&files);
    assert_eq!(loaded.problems, []);
    loaded.clusters.into_iter().next().unwrap()
}

#[test]
fn what_the_apis_say_is_what_the_files_say() {
    let out = tempfile::tempdir().unwrap();
    let (taken, calls) = take(&[], true, |_| {}, out.path());
    let [one] = taken.written.as_slice() else { panic!("{taken:?}") };
    assert_eq!((one.holes.len(), taken.failed.len()), (0, 0), "{:?}", one.holes);
    // Entries come in pages of two, and every operation was throttled once.
    let n = |name: &str| calls.iter().filter(|call| *call == name).count();
    let entries = one.counts.iter().find(|(what, _)| *what == "access entries").unwrap().1;
    assert_eq!(n("ListAccessEntries"), entries.div_ceil(2) + 1);
    assert!(entries > 4 && n("DescribeAccessEntry") > entries);

    let mut got = loaded(&out.path().join("prod"));
    let mut expected = loaded(&project("samples/inventory/prod"));
    // Only what grants mention is asked for, and trails are there at all.
    let mentioned: Vec<_> = arns_of_grants(&expected).into_iter().filter_map(folded_name).collect();
    for list in [&mut expected.iam_roles, &mut expected.iam_users] {
        let kept = list.take().map(|list| {
            list.into_iter()
                .filter(|one| folded_name(&one.arn).is_some_and(|name| mentioned.contains(&name)))
                .collect()
        });
        *list = kept;
    }
    assert_eq!(got.trails.take(), Some(Vec::new()));
    for inventory in [&mut got, &mut expected] {
        inventory.holes.clear();
        inventory.whole.clear();
    }
    assert!(got.iam_roles.as_ref().is_some_and(|roles| roles.len() > 5));
    assert_eq!(got, expected);

    // The same answers give the same bytes.
    let again = tempfile::tempdir().unwrap();
    take(&[], false, |_| {}, again.path());
    for file in std::fs::read_dir(out.path().join("prod")).unwrap() {
        let name = file.unwrap().file_name();
        if name == "cluster.json" {
            // The stub's own address is in it.
            continue;
        }
        let of = |root: &Path| std::fs::read(root.join("prod").join(&name)).unwrap();
        assert_eq!(of(out.path()), of(again.path()), "{}", name.display());
    }
}

#[test]
fn a_denied_call_is_a_hole_that_names_the_permission() {
    let check = |denied: &str, file: &str, why: &str| {
        let out = tempfile::tempdir().unwrap();
        let (taken, _) = take(&[denied], false, |_| {}, out.path());
        let holes = &taken.written[0].holes;
        assert!(
            holes.iter().any(|hole| hole.what == file && hole.why.contains(why)),
            "{denied}: {holes:?}"
        );
        let folder = out.path().join("prod");
        let header: Value =
            serde_json::from_slice(&std::fs::read(folder.join("inventory.json")).unwrap()).unwrap();
        assert_eq!(header["holes"].as_array().unwrap().len(), holes.len());
        // What is denied in part is not there at all, but for IAM, where each principal stands alone.
        if file.contains(".json") && !file.starts_with("iam-") {
            assert!(!folder.join(file).exists(), "{denied}: {file}");
        }
    };
    let denied = |call: &str| format!("eks:{call} was denied: allow it on");
    check("ListAccessEntries", "access-entries.json", &denied("ListAccessEntries"));
    check("DescribeAccessEntry", "access-entries.json", &denied("DescribeAccessEntry"));
    let policies = "ListAssociatedAccessPolicies";
    check(policies, "access-entries.json", &denied(policies));
    let pods = "pod-identity-associations.json";
    check("ListPodIdentityAssociations", pods, &denied("ListPodIdentityAssociations"));
    check("DescribePodIdentityAssociation", pods, &denied("DescribePodIdentityAssociation"));
    let providers = "identity-provider-configs.json";
    check("ListIdentityProviderConfigs", providers, &denied("ListIdentityProviderConfigs"));
    check("GetRole", "iam-roles.json", "iam:GetRole was denied");
    check("ListRoles", "roles of IAM Identity Center", "iam:ListRoles was denied");
    check("DescribeTrails", "trails.json", "cloudtrail:DescribeTrails was denied");
    check("clusterroles", "kubernetes.json", "list cluster roles: forbidden");
    check("rolebindings", "kubernetes.json", "list role bindings: forbidden");
    check("serviceaccounts", "service accounts", "forbidden");
    check("aws-auth", "kube-system/aws-auth", "forbidden");
    check("secrets", "ServiceAccount token secrets", "forbidden");
    check("apis", "api-resources.json", "get /apis: forbidden");
}

#[test]
fn what_a_hole_would_hold_is_not_called_unused() {
    let verdict = |denied: &[&str], grant: &str| {
        let inventory = tempfile::tempdir().unwrap();
        take(denied, false, |_| {}, inventory.path());
        let out = tempfile::tempdir().unwrap();
        let mut plan = samples_plan(out.path());
        plan.inventories = vec![overgrant::source::Location::Local(inventory.path().to_path_buf())];
        let outcome = audit(&plan).unwrap();
        let found = verdicts(out.path()).remove(grant).map(|(_, v)| (v.verdict, v.reason));
        (found, outcome.partial)
    };
    let is = |verdict: &str, reason: &str| Some((verdict.to_owned(), reason.to_owned()));
    let group = "entry_group release-bot releasers";
    assert_eq!(verdict(&[], group), (is("used", "in_use"), false));
    assert_eq!(verdict(&["roles"], group), (is("unobservable", "inventory_hole"), true));
    // A role that could not be asked for is not called gone.
    let contractor = "access_policy old-contractor AmazonEKSAdminPolicy";
    assert_eq!(verdict(&["GetRole"], contractor).0, is("unused", "no_use"));
}

#[test]
fn a_principal_that_is_gone_is_gone() {
    let inventory = tempfile::tempdir().unwrap();
    let without = |files: &mut BTreeMap<String, Value>| {
        let roles = files.get_mut("iam-roles.json").unwrap().as_array_mut().unwrap();
        roles.retain(|role| role["RoleName"] != "old-contractor");
        // The only user, too: an empty list that was asked for says so.
        *files.get_mut("iam-users.json").unwrap() = Value::Array(Vec::new());
    };
    let (taken, _) = take(&[], false, without, inventory.path());
    assert!(taken.written[0].holes.is_empty());
    let out = tempfile::tempdir().unwrap();
    let mut plan = samples_plan(out.path());
    plan.inventories = vec![overgrant::source::Location::Local(inventory.path().to_path_buf())];
    audit(&plan).unwrap();
    let found = verdicts(out.path());
    for grant in [
        "access_policy old-contractor AmazonEKSAdminPolicy",
        "aws_auth_group terraform system:masters",
    ] {
        let (_, got) = &found[grant];
        let is = (got.verdict.as_str(), got.reason.as_str());
        assert_eq!(is, ("ineffective", "deleted_principal"), "{grant}");
    }
}

#[test]
fn clusters_in_the_old_mode_have_no_entries() {
    let out = tempfile::tempdir().unwrap();
    let old = |files: &mut BTreeMap<String, Value>| {
        files.get_mut("cluster.json").unwrap()["cluster"]["accessConfig"]["authenticationMode"] =
            "CONFIG_MAP".into();
    };
    let (taken, calls) = take(&["ListAccessEntries"], false, old, out.path());
    assert!(taken.written[0].holes.is_empty());
    assert!(!calls.contains(&"ListAccessEntries".to_owned()));
    assert_eq!(loaded(&out.path().join("prod")).access_entries, Some(Vec::new()));
}

#[test]
fn the_command_and_its_exit_codes() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let run = |denied: &[&str], cluster: &str| {
        let (_stub, address) = Stub::start(&runtime, denied, false, |_| {});
        let out = tempfile::tempdir().unwrap();
        let got = Command::new(env!("CARGO_BIN_EXE_overgrant"))
            .args(["inventory", "--cluster", cluster, "--out"])
            .arg(out.path())
            .env("AWS_ENDPOINT_URL", format!("http://{address}"))
            .env("AWS_ACCESS_KEY_ID", "AKID")
            .env("AWS_SECRET_ACCESS_KEY", "secret")
            .env("AWS_REGION", "us-west-2")
            .env_remove("RUST_LOG")
            .output()
            .unwrap();
        let text = |bytes: &[u8]| {
            let place = out.path().display().to_string();
            String::from_utf8(bytes.to_vec()).unwrap().replace(&place, "OUT")
        };
        (got.status.code(), text(&got.stdout), text(&got.stderr))
    };
    let (code, said, _) = run(&[], "arn:aws:eks:us-west-2:111122223333:cluster/prod");
    assert_eq!(code, Some(0), "{said}");
    insta::assert_snapshot!("inventory", said);
    let (code, said, _) = run(&["ListAccessEntries", "secrets"], "prod");
    assert_eq!(code, Some(3), "{said}");
    insta::assert_snapshot!("inventory_with_holes", said);
    let (code, _, complaint) = run(&[], "nowhere");
    assert_eq!(code, Some(4));
    assert_eq!(complaint, "error: nowhere: no such cluster in us-west-2\n");
    let (code, _, complaint) = run(&[], "arn:aws:eks:us-west-2:999999999999:cluster/prod");
    assert_eq!(code, Some(4));
    assert!(complaint.contains("the credentials are of another account"), "{complaint}");
    let (code, _, complaint) = run(&["DescribeCluster"], "prod");
    assert_eq!(code, Some(4));
    assert!(complaint.contains("eks:DescribeCluster was denied"), "{complaint}");
}

#[test]
fn a_wish_to_end_is_heard_while_clusters_are_read() {
    // Takes connections and says nothing.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let live = live_plan(listener.local_addr().unwrap(), &["prod"]);
    let out = tempfile::tempdir().unwrap();
    let stop = Stop::default();
    let plan = SnapshotPlan { live, out: out.path().to_path_buf(), stop: stop.clone() };
    let asking = std::thread::spawn(move || {
        std::thread::sleep(std::time::Duration::from_millis(300));
        stop.set();
    });
    let began = std::time::Instant::now();
    let error = snapshot(&plan, &mut Deaf).unwrap_err().to_string();
    asking.join().unwrap();
    assert!(error.starts_with("interrupted while clusters"), "{error}");
    assert!(began.elapsed() < std::time::Duration::from_secs(5), "{:?}", began.elapsed());
}
