//! Live inputs of an audit, against the APIs over a real socket; and the permissions they take.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use overgrant::model::needs::{CALLS, Feature, RULES};
use overgrant::model::time::Micros;
use overgrant::pipeline::inputs::{LiveInputs, LogInput, Settled, settle};
use overgrant::pipeline::{PipelineError, Plan};
use overgrant::source::Location;
use serde_json::{Value, json};

use crate::support::aws::{Stub, live_plan};
use crate::support::{Deaf, audit, project, samples_plan, verdicts};

const TRAIL: &str = "arn:aws:cloudtrail:us-west-2:111122223333:trail/main";

/// A trail that leaves nothing out, and its answers.
fn trail(files: &mut BTreeMap<String, Value>) {
    let trail = json!({ "Name": "main", "S3BucketName": "logs", "S3KeyPrefix": "deep",
        "IsMultiRegionTrail": true, "HomeRegion": "us-west-2", "TrailARN": TRAIL,
        "LogFileValidationEnabled": true, "IsOrganizationTrail": true });
    files.insert("trails.json".to_owned(), json!([trail]));
    files.insert("trail-status.json".to_owned(), json!({ "IsLogging": true }));
    let all = json!({ "ReadWriteType": "All", "IncludeManagementEvents": true });
    files.insert("event-selectors.json".to_owned(), json!({ "EventSelectors": [all] }));
}

fn inputs(address: SocketAddr, cache: &Path, logs: &[LogInput]) -> LiveInputs {
    LiveInputs {
        logs: logs.to_vec(),
        clusters: live_plan(address, &[]),
        region: Some("us-west-2".to_owned()),
        lookup_cache: cache.to_path_buf(),
        pace: Duration::ZERO,
    }
}

fn empty_plan(out: &Path) -> Plan {
    let mut plan = samples_plan(out);
    plan.logs.clear();
    plan.inventories.clear();
    plan
}

struct Scene {
    stub: Arc<Stub>,
    address: SocketAddr,
    folder: tempfile::TempDir,
    runtime: tokio::runtime::Runtime,
}

fn scene(denied: &[&str], change: impl FnOnce(&mut BTreeMap<String, Value>)) -> Scene {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let change = |files: &mut BTreeMap<String, Value>| {
        trail(files);
        change(files);
    };
    let (stub, address) = Stub::start(&runtime, denied, false, change);
    Scene { stub, address, folder: tempfile::tempdir().unwrap(), runtime }
}

impl Scene {
    fn settle(&self, logs: &[LogInput], plan: &mut Plan) -> Result<Settled, PipelineError> {
        settle(&inputs(self.address, self.folder.path(), logs), plan, &mut Deaf)
    }

    fn public_keys(&self) -> Result<Vec<(String, Vec<u8>)>, String> {
        let reach = inputs(self.address, self.folder.path(), &[]).clusters.reach;
        let span = (Micros(0), Micros(3_600_000_000));
        let keys = overgrant::live::digest_keys::of_region(&reach, "us-west-2", span);
        self.runtime.block_on(keys)
    }

    fn calls(&self) -> BTreeSet<String> {
        self.stub.calls.lock().unwrap().iter().cloned().collect()
    }
}

#[test]
fn a_trail_is_where_its_files_are() {
    let at_home = |name: &str, denied: &[&str], change: fn(&mut BTreeMap<String, Value>)| {
        let scene = scene(denied, change);
        let mut plan = empty_plan(scene.folder.path());
        let settled = scene.settle(&[LogInput::Trail(name.to_owned())], &mut plan);
        settled.map(|settled| (plan, settled))
    };
    for name in ["main", TRAIL] {
        let (plan, settled) = at_home(name, &[], |_| {}).unwrap();
        let expected = Location::parse("s3://logs/deep/AWSLogs/o-").unwrap();
        assert_eq!((plan.logs, settled.warnings), (vec![expected], Vec::new()));
        assert_eq!(plan.s3.region.as_deref(), Some("us-west-2"));
        assert!(settled.said[0].contains("home region us-west-2"), "{:?}", settled.said);
    }
    let doubt = |denied: &[&str], change: fn(&mut BTreeMap<String, Value>), expected: &str| {
        let (_, settled) = at_home("main", denied, change).unwrap();
        let [warning] = settled.warnings.as_slice() else { panic!("{:?}", settled.warnings) };
        assert!(warning.contains(expected), "{warning}");
    };
    doubt(
        &[],
        |all| all.get_mut("trail-status.json").unwrap()["IsLogging"] = false.into(),
        "is not logging",
    );
    let one_region = |all: &mut BTreeMap<String, Value>| {
        all.get_mut("trails.json").unwrap()[0]["IsMultiRegionTrail"] = false.into();
    };
    doubt(&[], one_region, "records us-west-2 alone");
    let unsigned = |all: &mut BTreeMap<String, Value>| {
        all.get_mut("trails.json").unwrap()[0]["LogFileValidationEnabled"] = false.into();
    };
    doubt(&[], unsigned, "no log file validation");
    let writes = |all: &mut BTreeMap<String, Value>| {
        all.get_mut("event-selectors.json").unwrap()["EventSelectors"][0]["ReadWriteType"] =
            "WriteOnly".into();
    };
    doubt(&[], writes, "reads or writes alone");
    let data = |all: &mut BTreeMap<String, Value>| {
        all.get_mut("event-selectors.json").unwrap()["EventSelectors"][0]["IncludeManagementEvents"] =
            false.into();
    };
    doubt(&[], data, "no management events");
    let without_sts = |all: &mut BTreeMap<String, Value>| {
        let fields = json!([{ "Field": "eventCategory", "Equals": ["Management"] },
            { "Field": "eventSource", "NotEquals": ["kms.amazonaws.com", "sts.amazonaws.com"] }]);
        let selectors = json!({ "AdvancedEventSelectors": [{ "FieldSelectors": fields }] });
        all.insert("event-selectors.json".to_owned(), selectors);
    };
    doubt(&[], without_sts, "selects management events by eventSource");
    doubt(&["GetTrailStatus"], |_| {}, r#"add {"Action":"cloudtrail:GetTrailStatus","#);
    doubt(&["GetEventSelectors"], |_| {}, r#"add {"Action":"cloudtrail:GetEventSelectors","#);
    let without_kms = |all: &mut BTreeMap<String, Value>| {
        let fields = json!([{ "Field": "eventCategory", "Equals": ["Management"] },
            { "Field": "eventSource", "NotEquals": ["kms.amazonaws.com"] }]);
        let selectors = json!({ "AdvancedEventSelectors": [{ "FieldSelectors": fields }] });
        all.insert("event-selectors.json".to_owned(), selectors);
    };
    assert_eq!(at_home("main", &[], without_kms).unwrap().1.warnings, Vec::<String>::new());
    let error = at_home("nowhere", &[], |_| {}).unwrap_err().to_string();
    assert!(error.starts_with("trail:nowhere: no such trail in us-west-2"), "{error}");
    let error = at_home("main", &["DescribeTrails"], |_| {}).unwrap_err().to_string();
    assert!(error.contains(r#"add {"Action":"cloudtrail:DescribeTrails","#), "{error}");
}

#[test]
fn the_event_history_is_asked_once_and_judged_like_a_trail() {
    let scene = scene(&[], |_| {});
    let look_up = [LogInput::LookupEvents("us-west-2".to_owned())];
    let out = tempfile::tempdir().unwrap();
    // Cut short after some requests: what was had is kept, and only the rest is asked for.
    *scene.stub.lookups_left.lock().unwrap() = 100;
    let mut plan = samples_plan(out.path());
    let error = scene.settle(&look_up, &mut plan).unwrap_err().to_string();
    assert!(error.contains("the token has expired") && error.contains("run again"), "{error}");
    *scene.stub.lookups_left.lock().unwrap() = usize::MAX;
    let mut plan = samples_plan(out.path());
    plan.logs = vec![Location::Local(project("samples/logs/eks-audit"))];
    let settled = scene.settle(&look_up, &mut plan).unwrap();
    assert!(settled.warnings[0].contains("no data events"), "{:?}", settled.warnings);
    let asked = |scene: &Scene| scene.stub.lookups.lock().unwrap().clone();
    let stretches: Vec<String> = asked(&scene)
        .iter()
        .filter(|one| one.get("NextToken").is_none())
        .map(|one| format!("{}{}", one["LookupAttributes"], one["StartTime"]))
        .collect();
    let distinct: BTreeSet<&String> = stretches.iter().collect();
    assert!(stretches.len() - distinct.len() <= 1, "only what was cut is asked for again");
    assert_eq!(distinct.len(), 4 * 90);
    // A third run asks for nothing.
    let before = asked(&scene).len();
    scene.settle(&look_up, &mut empty_plan(out.path())).unwrap();
    assert_eq!(asked(&scene).len(), before);

    audit(&plan).unwrap();
    let told = |out: &Path| -> BTreeMap<String, String> {
        verdicts(out).into_iter().map(|(grant, (_, v))| (grant, v.verdict)).collect()
    };
    let got = told(out.path());
    let expected = tempfile::tempdir().unwrap();
    audit(&samples_plan(expected.path())).unwrap();
    assert_eq!(got, told(expected.path()));
}

#[test]
fn requests_for_the_history_keep_their_pace_and_wait_when_throttled() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let (stub, address) = Stub::start(&runtime, &[], true, trail);
    let folder = tempfile::tempdir().unwrap();
    let mut live =
        inputs(address, folder.path(), &[LogInput::LookupEvents("us-west-2".to_owned())]);
    live.pace = Duration::from_millis(50);
    let mut plan = empty_plan(folder.path());
    plan.since = overgrant::pipeline::Since::Days(1);
    let started = std::time::Instant::now();
    settle(&live, &mut plan, &mut Deaf).unwrap();
    let n = stub.lookups.lock().unwrap().len();
    assert!(n >= 4);
    assert!(started.elapsed() >= live.pace * u32::try_from(n).unwrap(), "{n} requests");
    let calls = stub.calls.lock().unwrap();
    assert_eq!(calls.iter().filter(|call| *call == "LookupEvents").count(), n + 1);
}

#[test]
fn a_denied_history_says_what_to_add() {
    let scene = scene(&["LookupEvents"], |_| {});
    let look_up = [LogInput::LookupEvents("us-west-2".to_owned())];
    let error = scene.settle(&look_up, &mut empty_plan(scene.folder.path())).unwrap_err();
    let expected = r#"add {"Action":"cloudtrail:LookupEvents","Effect":"Allow","Resource":"*"}"#;
    assert!(error.to_string().contains(expected), "{error}");
}

#[test]
fn clusters_are_taken_as_the_role_of_their_account() {
    let roles = ["111122223333", "444455556666"].map(|n| format!("arn:aws:iam::{n}:role/audit"));
    let run = |cluster: &str, roles: &[String], denied: &[&str]| {
        let scene = scene(denied, |_| {});
        let mut live = inputs(scene.address, scene.folder.path(), &[]);
        live.clusters.clusters = vec![cluster.to_owned()];
        live.clusters.reach.roles = roles.to_vec();
        live.clusters.reach.external_id = Some("ours".to_owned());
        let mut plan = empty_plan(scene.folder.path());
        plan.logs = vec![Location::Local(project("samples/logs"))];
        let settled = settle(&live, &mut plan, &mut Deaf)?;
        assert_eq!(settled.holes, []);
        let out = tempfile::tempdir().unwrap();
        plan.out = Location::Local(out.path().to_path_buf());
        audit(&plan)?;
        let callers = scene.stub.callers.lock().unwrap().iter().cloned().collect::<Vec<_>>();
        Ok::<_, PipelineError>((callers, verdicts(out.path()).len()))
    };
    let arn = "arn:aws:eks:us-west-2:111122223333:cluster/prod";
    let (callers, grants) = run(arn, &roles, &[]).unwrap();
    assert_eq!(callers, ["ASIA111122223333"]);
    assert!(grants > 50);
    // A name is looked for in every account.
    let (callers, _) = run("prod", &roles, &[]).unwrap();
    assert_eq!(callers, ["ASIA111122223333", "ASIA444455556666"]);
    assert_eq!(run(arn, &roles[1..], &[]).unwrap().0, ["AKID"]);
    let error = run(arn, &roles, &["AssumeRole"]).unwrap_err().to_string();
    let expected = r#""Action":"sts:AssumeRole","Effect":"Allow","Resource":"arn:aws:iam::111122223333:role/audit""#;
    assert!(error.contains(expected) && error.contains("not authorized"), "{error}");
}

/// Operations of a feature that the table knows.
fn of_table(features: &[Feature]) -> BTreeSet<String> {
    CALLS
        .iter()
        .filter(|call| features.contains(&call.feature) && !call.call.is_empty())
        .map(|call| call.call.split_once(':').unwrap().1.to_owned())
        .collect()
}

#[test]
fn public_keys_come_page_by_page() {
    let keys = scene(&[], |_| {}).public_keys().unwrap();
    assert_eq!(keys, [("one".to_owned(), vec![0, 1, 2]), ("two".to_owned(), vec![0, 1, 2])]);
    let error = scene(&["ListPublicKeys"], |_| {}).public_keys().unwrap_err();
    let statement = r#""Action":"cloudtrail:ListPublicKeys","Effect":"Allow","Resource":"*""#;
    assert!(error.contains(statement), "{error}");
}

#[test]
fn the_table_of_permissions_is_what_is_asked_for() {
    let scene_of_trail = scene(&[], |_| {});
    let mut plan = empty_plan(scene_of_trail.folder.path());
    scene_of_trail.settle(&[LogInput::Trail("main".to_owned())], &mut plan).unwrap();
    assert_eq!(scene_of_trail.calls(), of_table(&[Feature::Trail]));

    let scene_of_lookup = scene(&[], |_| {});
    let look_up = [LogInput::LookupEvents("us-west-2".to_owned())];
    scene_of_lookup.settle(&look_up, &mut plan).unwrap();
    assert_eq!(scene_of_lookup.calls(), of_table(&[Feature::LookupEvents]));

    let scene_of_keys = scene(&[], |_| {});
    scene_of_keys.public_keys().unwrap();
    assert_eq!(scene_of_keys.calls(), of_table(&[Feature::Verify]));

    // Through a kubeconfig, so that the one path that only it asks for is among them.
    let scene = scene(&[], |files| {
        let role = files["iam-roles.json"][0].clone();
        let mut sso = role;
        let name = "AWSReservedSSO_Admin_0123456789abcdef";
        let path = "/aws-reserved/sso.amazonaws.com/";
        sso["RoleName"] = name.into();
        sso["Path"] = path.into();
        sso["Arn"] = format!("arn:aws:iam::111122223333:role{path}{name}").into();
        let mut entry = files["access-entries.json"][0].clone();
        entry["accessEntry"]["principalArn"] = sso["Arn"].clone();
        files.get_mut("iam-roles.json").unwrap().as_array_mut().unwrap().push(sso);
        files.get_mut("access-entries.json").unwrap().as_array_mut().unwrap().push(entry);
    });
    let kubeconfig = scene.folder.path().join("kubeconfig");
    let text = json!({ "apiVersion": "v1", "kind": "Config", "current-context": "c",
        "clusters": [{ "name": "c", "cluster": { "server": format!("http://{}", scene.address) } }],
        "users": [{ "name": "u", "user": { "token": "k8s-aws-v1.x" } }],
        "contexts": [{ "name": "c", "context": { "cluster": "c", "user": "u" } }] });
    std::fs::write(&kubeconfig, text.to_string()).unwrap();
    let mut live = inputs(scene.address, scene.folder.path(), &[]);
    live.clusters.clusters = vec!["prod".to_owned()];
    live.clusters.kubeconfig = Some(kubeconfig);
    live.clusters.reach.roles = vec!["arn:aws:iam::111122223333:role/audit".to_owned()];
    live.clusters.reach.external_id = Some("ours".to_owned());
    settle(&live, &mut plan, &mut Deaf).unwrap();
    let (paths, operations): (BTreeSet<String>, BTreeSet<String>) =
        scene.calls().into_iter().partition(|call| call.starts_with('/'));
    assert_eq!(operations, of_table(&[Feature::Inventory, Feature::AssumeRole]));

    // Each path is a rule, and each rule is a path.
    let matches = |path: &str| -> Option<usize> {
        let last = path.rsplit('/').next().unwrap();
        RULES.iter().position(|rule| match rule.resource.strip_suffix('*') {
            Some(prefix) => {
                let tail = path.strip_prefix(prefix);
                tail.is_some_and(|tail| tail.split('/').count() <= 2)
                    && !RULES.iter().any(|rule| rule.resource == last)
            }
            None if rule.resource.starts_with('/') => path == rule.resource,
            None if !rule.name.is_empty() => {
                path.ends_with(&format!("{}/{}", rule.resource, rule.name))
            }
            None => {
                let base = if rule.group.is_empty() {
                    "/api/v1".to_owned()
                } else {
                    format!("/apis/{}/v1", rule.group)
                };
                path == format!("{base}/{}", rule.resource)
            }
        })
    };
    let used: BTreeSet<usize> = paths
        .iter()
        .map(|path| matches(path).unwrap_or_else(|| panic!("{path} is in no rule")))
        .collect();
    let idle: Vec<_> = (0..RULES.len()).filter(|n| !used.contains(n)).map(|n| RULES[n]).collect();
    assert_eq!(idle, []);
}
