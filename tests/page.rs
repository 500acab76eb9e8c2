//! `report.html` in a browser: what the pages of real runs show, do and refuse, in headless Chromium.

use std::path::Path;
use std::process::Command;

use overgrant::source::Location;
use serde_json::{Value, json};

use crate::hostile::corpus::message;
use crate::support::{self, audit, copy, gzip, project, samples_plan, told};

/// Names as an attacker chooses them; `tests/browser/hard.py` looks for them in the page.
const PAYLOADS: [&str; 16] = [
    "<img src=x onerror=window.__pwned=1>",
    "</script><script>window.__pwned=1</script>",
    "<svg/onload=window.__pwned=1>",
    "\"'><x-made onclick=alert(1)>",
    "javascript:window.__pwned=1",
    "<!--<script>",
    "safe\u{202e}gnp.exe",
    "zero\u{200b}width\u{feff}",
    "bell\u{7}esc\u{1b}[2Jnul\u{0}",
    "line\nbreak\ttab\u{2028}sep\u{2029}",
    "{{DATA}}{{SCRIPT}}{{COUNTS}}",
    "=cmd|' /C calc'!A0",
    "@SUM(1+1)*cmd",
    "__proto__",
    "constructor",
    "`rm -rf ~`$(id)'\"",
];
/// An hour inside the window of the samples.
const AT: &str = "2026-11-10T09:20:00Z";
const MADE_AT: &str = "2026-05-08T00:00:00Z";

/// A Python that has Playwright, with a Chromium: the one that is named, else the one on the path.
fn python() -> Option<String> {
    support::python("OVERGRANT_BROWSER_PYTHON", "has no playwright or Chromium", |python| {
        let script = project("tests/browser/check_report.py");
        let probe = Command::new(python).arg("-B").arg(script).arg("--probe").output();
        probe.is_ok_and(|done| done.status.success())
    })
}

fn changed(path: &Path, change: impl FnOnce(&mut Value)) {
    let mut value: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    change(&mut value);
    std::fs::write(path, value.to_string()).unwrap();
}

fn push(list: &mut Value, values: impl IntoIterator<Item = Value>) {
    list.as_array_mut().unwrap().extend(values);
}

/// Why the binding of that name allows something.
fn reason(name: &str) -> String {
    let binding = json!(format!("{name}/{name}"));
    let name = json!(name);
    format!("RBAC: allowed by RoleBinding {binding} of Role {name} to User {name}")
}

/// The samples with hostile names wherever a cluster lets someone choose one.
fn hostile(to: &Path) {
    copy(&project("samples"), to);
    let inventory = to.join("inventory/prod");
    changed(&inventory.join("access-entries.json"), |entries| {
        push(
            entries,
            PAYLOADS.iter().map(|name| {
                let arn = format!("arn:aws:iam::111122223333:role/{name}");
                json!({
                    "accessEntry": {
                        "clusterName": "prod", "principalArn": arn, "kubernetesGroups": [name],
                        "accessEntryArn": format!("arn:aws:eks:us-west-2:111122223333:access-entry/prod/{name}"),
                        "createdAt": MADE_AT, "modifiedAt": MADE_AT, "tags": {}, "username": name,
                        "type": "STANDARD",
                    },
                    "associatedAccessPolicies": [{
                        "policyArn": "arn:aws:eks::aws:cluster-access-policy/AmazonEKSEditPolicy",
                        "accessScope": { "type": "namespace", "namespaces": [name] },
                        "associatedAt": MADE_AT, "modifiedAt": MADE_AT,
                    }],
                })
            }),
        );
    });
    changed(&inventory.join("kubernetes.json"), |list| {
        let rbac = "rbac.authorization.k8s.io";
        let objects = PAYLOADS.iter().flat_map(|name| {
            let of = |kind: &str| {
                json!({
                    "apiVersion": format!("{rbac}/v1"), "kind": kind,
                    "metadata": {
                        "name": name, "namespace": name, "uid": format!("{kind}-{name}"),
                        "creationTimestamp": MADE_AT,
                    },
                })
            };
            let (mut role, mut binding) = (of("Role"), of("RoleBinding"));
            role["rules"] = json!([
                { "verbs": ["*"], "apiGroups": ["*"], "resources": ["*"] },
                { "verbs": [name], "apiGroups": [name], "resources": [name], "resourceNames": [name] },
            ]);
            binding["subjects"] = json!([
                { "kind": "User", "apiGroup": rbac, "name": name },
                { "kind": "ServiceAccount", "namespace": name, "name": name },
            ]);
            binding["roleRef"] = json!({ "apiGroup": rbac, "kind": "Role", "name": name });
            [role, binding]
        });
        push(&mut list["items"], objects);
    });
    let lines: Vec<String> = PAYLOADS
        .iter()
        .enumerate()
        .map(|(n, name)| {
            json!({
                "kind": "Event", "apiVersion": "audit.k8s.io/v1", "level": "Metadata",
                "auditID": format!("hostile-page-{n}"), "stage": "ResponseComplete",
                "requestURI": format!("/api/v1/namespaces/{name}/secrets/{name}"), "verb": "get",
                "user": { "username": name, "groups": ["system:authenticated", name] },
                "userAgent": name,
                "objectRef": { "resource": "secrets", "namespace": name, "name": name, "apiVersion": "v1" },
                "responseStatus": { "code": 200 }, "requestReceivedTimestamp": AT,
                "annotations": {
                    "authorization.k8s.io/decision": "allow",
                    "authorization.k8s.io/reason": reason(name),
                },
            })
            .to_string()
        })
        .collect();
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    let place = to.join("logs/eks-audit/2026/11/10/09");
    std::fs::create_dir_all(&place).unwrap();
    let bytes = gzip(message("111122223333", "kube-apiserver-audit-page", &lines).as_bytes());
    std::fs::write(place.join("audit-to-s3-1-2026-11-10-09-25-00-hostile"), bytes).unwrap();
}

#[test]
fn the_page_of_a_run_holds_in_a_browser() {
    let Some(python) = python() else {
        eprintln!(
            "SKIPPED: no python3 with playwright and no Chromium is here, and OVERGRANT_BROWSER_PYTHON names none"
        );
        return;
    };
    let out = tempfile::tempdir().unwrap();
    audit(&samples_plan(out.path())).unwrap();
    let (from, logged) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    hostile(from.path());
    let mut plan = samples_plan(logged.path());
    plan.logs = vec![Location::Local(from.path().join("logs"))];
    plan.inventories = vec![Location::Local(from.path().join("inventory"))];
    audit(&plan).unwrap();
    let done = Command::new(&python)
        .arg("-B")
        .arg(project("tests/browser/check_report.py"))
        .arg(out.path().join("report.html"))
        .arg("--logged")
        .arg(logged.path().join("report.html"))
        .output()
        .unwrap();
    let told = told(&done);
    // Nothing was passed over in silence.
    for page in ["report.html", "logged.html", "plain.html", "big.html", "hostile.html"] {
        let ran = told.lines().any(|line| line.starts_with(&format!("ok    {page} ")));
        assert!(ran, "nothing was checked of {page}: {told}");
    }
    let last = told.lines().last().unwrap_or_default();
    assert!(last.ends_with("checks passed"), "{last}");
}
