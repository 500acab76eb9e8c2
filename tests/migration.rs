//! The way from aws-auth to access entries, and findings about tokens: a small cluster from its logs to
//! the rows that a person reads.

use std::collections::BTreeMap;
use std::path::Path;

use overgrant::model::time::Micros;
use overgrant::pipeline::Since;
use overgrant::source::Location;
use overgrant::table::rows::evidence::{AuthModePlanRow, AuthModeRow, TokenFindingRow};
use serde_json::{Value, json};

use crate::support::{audit, plan, rows, samples_plan};

const CLUSTER: &str = "arn:aws:eks:us-west-2:111122223333:cluster/old";
const HOURS: i64 = 72;

/// A request of hour `n` of the window.
fn event(n: i64, id: &str, user: &Value, asked: Value) -> Value {
    let at = Micros(Micros::parse("2026-11-20T00:00:00Z").unwrap().0 + n * 3_600_000_000);
    let mut event = json!({
        "kind": "Event", "apiVersion": "audit.k8s.io/v1", "level": "Request", "auditID": format!("{id}-{n}"),
        "stage": "ResponseComplete", "requestURI": "/api/v1/pods", "verb": "list", "user": user,
        "userAgent": "kubectl/v1.33", "objectRef": { "resource": "pods", "namespace": "shop", "apiVersion": "v1" },
        "responseStatus": { "code": 200 },
        "requestReceivedTimestamp": at.to_rfc3339(), "stageTimestamp": at.to_rfc3339(),
        "annotations": { "authorization.k8s.io/decision": "allow", "authorization.k8s.io/reason": "" }
    });
    if let (Some(event), Value::Object(asked)) = (event.as_object_mut(), asked) {
        event.extend(asked);
    }
    event
}

fn iam(account: &str, name: &str, username: &str, groups: &[&str]) -> Value {
    json!({
        "username": username, "groups": groups,
        "uid": format!("aws-iam-authenticator:{account}:AROA{name}"),
        "extra": {
            "canonicalArn": [format!("arn:aws:iam::{account}:role/{name}")],
            "arn": [format!("arn:aws:sts::{account}:assumed-role/{name}/s")], "sessionName": ["s"]
        }
    })
}

/// A token of `pay/app`.
fn token(n: i64, id: &str, user: &Value, seconds: i64, audiences: &[&str]) -> Value {
    let asked = json!({
        "verb": "create", "requestURI": "/api/v1/namespaces/pay/serviceaccounts/app/token",
        "objectRef": { "resource": "serviceaccounts", "subresource": "token", "namespace": "pay", "name": "app",
            "apiVersion": "v1" },
        "responseStatus": { "code": 201 },
        "requestObject": { "spec": { "expirationSeconds": seconds, "audiences": audiences } },
        "annotations": { "authorization.k8s.io/decision": "allow", "authorization.k8s.io/reason": "",
            "authentication.kubernetes.io/issued-credential-id": format!("JTI={id}-{n}") }
    });
    event(n, id, user, asked)
}

fn logs(folder: &Path) {
    let ann = iam("111122223333", "ann", "ann", &["system:masters"]);
    let node = iam("111122223333", "node", "system:node:i-1", &["system:nodes"]);
    let guest = iam("222222222222", "guest", "arn:aws:iam::222222222222:role/guest", &[]);
    let mut all: Vec<Value> = (0..HOURS).map(|n| event(n, "ann", &ann, json!({}))).collect();
    all.push(event(1, "node", &node, json!({})));
    all.push(event(2, "guest", &guest, json!({})));
    // What a pod gets, and what IRSA's webhook asks for it.
    all.push(token(3, "t-pod", &node, 3607, &["https://kubernetes.default.svc"]));
    all.push(token(3, "t-irsa", &node, 86_400, &["sts.amazonaws.com"]));
    all.push(token(4, "t-hour", &ann, 3600, &[]));
    all.push(token(4, "t-longer", &ann, 7200, &[]));
    all.push(token(5, "t-vault", &node, 3607, &["vault"]));
    all.push(token(5, "t-both", &ann, 600, &["https://kubernetes.default.svc", "vault"]));
    all.push(token(6, "t-month", &guest, 2_592_000, &[]));
    all.push(event(
        7,
        "nobody",
        &json!({}),
        json!({ "stage": "ResponseStarted", "annotations": {}, "userAgent": "curl/8",
            "responseStatus": { "code": 401, "message": "Authentication failed, attempted: bearer" } }),
    ));
    let lines: Vec<String> = all.iter().map(Value::to_string).collect();
    std::fs::create_dir_all(folder.join("native")).unwrap();
    std::fs::write(folder.join("native/audit.ndjson"), lines.join("\n")).unwrap();
}

fn inventory(folder: &Path, mode: &str, moved: bool) {
    let put = |name: &str, value: Value| {
        std::fs::write(folder.join(name), value.to_string()).unwrap();
    };
    let issuer = "https://oidc.eks.us-west-2.amazonaws.com/id/ABC";
    put("inventory.json", json!({ "captured_at": "2026-11-23T00:00:00Z", "cluster_arn": CLUSTER }));
    put(
        "cluster.json",
        json!({ "cluster": {
        "name": "old", "arn": CLUSTER, "version": "1.29", "createdAt": "2024-01-01T00:00:00Z",
        "accessConfig": { "authenticationMode": mode }, "identity": { "oidc": { "issuer": issuer } },
    } }),
    );
    let entry = |name: &str, entry_type: &str, policies: Value| {
        json!({ "accessEntry": { "principalArn": format!("arn:aws:iam::111122223333:role/{name}"),
            "kubernetesGroups": [], "username": short(name), "type": entry_type,
            "createdAt": "2024-02-01T00:00:00Z" }, "associatedAccessPolicies": policies })
    };
    let admin = json!([{ "accessScope": { "type": "cluster" },
        "policyArn": "arn:aws:eks::aws:cluster-access-policy/AmazonEKSClusterAdminPolicy" }]);
    let entries = [entry("people/ann", "STANDARD", admin), entry("node", "EC2_LINUX", json!([]))];
    put("access-entries.json", if moved { json!(entries) } else { json!([]) });
    let accounts = if moved { "" } else { "- \"222222222222\"\n" };
    put(
        "identity-provider-configs.json",
        json!([{ "oidc": { "identityProviderConfigName": "self",
        "issuerUrl": issuer, "clientId": "x", "usernamePrefix": "o:", "groupsPrefix": "o:" } }]),
    );
    let role = |name: &str, path: &str| {
        json!({ "Role": { "RoleId": format!("AROA{name}"),
        "Arn": format!("arn:aws:iam::111122223333:role/{path}{name}"), "CreateDate": "2024-01-01T00:00:00Z" } })
    };
    put("iam-roles.json", json!([role("ann", "people/"), role("node", ""), role("idle", "")]));
    let row = |name: &str, username: &str, groups: &[&str]| {
        let groups: Vec<String> = groups.iter().map(|group| format!("  - {group}\n")).collect();
        let groups = groups.concat();
        format!(
            "- rolearn: arn:aws:iam::111122223333:role/{name}\n  username: \"{username}\"\n  groups:\n{groups}"
        )
    };
    let roles = [
        row("ann", "ann", &["system:masters"]),
        row("node", "system:node:{{EC2PrivateDNSName}}", &["system:bootstrappers", "system:nodes"]),
        row("idle", "idle", &["ops"]),
    ];
    put(
        "kubernetes.json",
        json!({ "kind": "List", "items": [
        { "kind": "ConfigMap", "metadata": { "name": "aws-auth", "namespace": "kube-system" },
          "data": { "mapRoles": roles.concat(), "mapAccounts": accounts } },
    ] }),
    );
}

fn run(mode: &str, moved: bool) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let of = |name: &str| dir.path().join(name);
    logs(&of("logs"));
    std::fs::create_dir_all(of("inventory")).unwrap();
    inventory(&of("inventory"), mode, moved);
    let text = |name: &str| of(name).display().to_string();
    let mut plan = plan(&text("logs"), &text("inventory"), &text("out"));
    plan.since = Since::At(Micros::parse("2026-11-20T00:00:00Z").unwrap());
    plan.until = Micros::parse("2026-11-23T00:00:00Z");
    plan.logs = vec![Location::Local(of("logs"))];
    plan.cluster_map = vec![("native/".to_owned(), CLUSTER.to_owned())];
    audit(&plan).unwrap();
    dir
}

fn short(text: &str) -> &str {
    text.rsplit('/').next().unwrap_or(text)
}

fn steps(out: &Path) -> Vec<String> {
    let state = |row: &AuthModePlanRow| match (row.done, row.blocking) {
        (true, _) => "done",
        (false, true) => "blocks",
        (false, false) => "open",
    };
    rows::<AuthModePlanRow>(out)
        .iter()
        .map(|row| format!("{} {} {} {}", row.api_safe, row.step, short(&row.subject), state(row)))
        .collect()
}

#[test]
fn each_mode_has_its_plan() {
    let old = run("CONFIG_MAP", false);
    let out = old.path().join("out");
    assert_eq!(
        steps(&out),
        [
            "no enable_entries  blocks",
            "no creator  blocks",
            "no admin_entry  blocks",
            "no replace ann blocks",
            "no replace node blocks",
            "no cannot_move 222222222222 blocks",
            "no drop idle open",
            "no switch_to_api  open",
            "no delete_aws_auth  open",
        ]
    );
    let by_principal: BTreeMap<String, AuthModeRow> = rows::<AuthModeRow>(&out)
        .into_iter()
        .map(|row| (short(&row.principal).to_owned(), row))
        .collect();
    let check = |who: &str, how: &str, command: Option<&str>| {
        let row = &by_principal[who];
        assert!(row.how.contains(how), "{who}: {}", row.how);
        assert_eq!(row.command.as_deref(), command, "{who}");
    };
    // The path that aws-auth leaves out is back.
    check(
        "ann",
        "AmazonEKSClusterAdminPolicy in place of system:masters",
        Some(
            "aws eks create-access-entry --region us-west-2 --cluster-name old --principal-arn \
             arn:aws:iam::111122223333:role/people/ann --kubernetes-groups '[]' --username ann && \
             aws eks associate-access-policy --region us-west-2 --cluster-name old --principal-arn \
             arn:aws:iam::111122223333:role/people/ann --policy-arn \
             arn:aws:eks::aws:cluster-access-policy/AmazonEKSClusterAdminPolicy --access-scope \
             '{\"type\":\"cluster\"}'",
        ),
    );
    check(
        "node",
        "EC2_LINUX",
        Some(
            "aws eks create-access-entry --region us-west-2 --cluster-name old --principal-arn \
             arn:aws:iam::111122223333:role/node --type EC2_LINUX",
        ),
    );
    check("222222222222", "make one for arn:aws:iam::222222222222:role/guest", None);
    let guardrail = by_principal["ann"].guardrail.as_deref().unwrap();
    for key in ["eks:principalArn", "eks:policyArn", "eks:accessScope", "eks:kubernetesGroups"] {
        assert!(guardrail.contains(key), "{guardrail}");
    }

    let both = run("API_AND_CONFIG_MAP", false);
    let both = steps(&both.path().join("out"));
    assert_eq!(both[0], "no enable_entries  done");
    assert!(!both.iter().any(|step| step.contains("creator")), "{both:?}");
    let moved = run("API_AND_CONFIG_MAP", true);
    assert_eq!(
        steps(&moved.path().join("out")),
        [
            "yes enable_entries  done",
            "yes admin_entry  done",
            "yes already_moved ann open",
            "yes already_moved node open",
            "yes drop idle open",
            "yes switch_to_api  open",
            "yes delete_aws_auth  open",
        ]
    );
    // The way without a way back is handed out when it is safe, and not before.
    let switch = |out: &Path| {
        let rows = rows::<AuthModePlanRow>(out);
        rows.into_iter().find(|row| row.step == "switch_to_api").unwrap().command
    };
    assert_eq!(switch(&out), None);
    assert!(switch(&moved.path().join("out")).unwrap().ends_with("authenticationMode=API"));
    let new = run("API", false);
    assert_eq!(
        steps(&new.path().join("out")),
        [
            "done enable_entries  done",
            "done drop ann open",
            "done drop node open",
            "done drop idle open",
            "done drop 222222222222 open",
            "done switch_to_api  done",
            "done delete_aws_auth  open",
        ]
    );
}

#[test]
fn where_the_log_has_holes_nothing_is_dropped() {
    let out = tempfile::tempdir().unwrap();
    let mut plan = samples_plan(out.path());
    audit(&plan).unwrap();
    let jenkins = |out: &Path| {
        let rows = rows::<AuthModeRow>(out);
        let row = rows.into_iter().find(|row| row.principal.ends_with("/jenkins")).unwrap();
        (row.action, row.blocking)
    };
    assert_eq!(jenkins(out.path()), ("drop".to_owned(), false));
    // Half a year back: the logs cover only the second half.
    plan.since = Since::Days(180);
    audit(&plan).unwrap();
    assert_eq!(jenkins(out.path()), ("replace".to_owned(), true));
    assert!(steps(out.path()).contains(&"no cover_logs  blocks".to_owned()));
}

#[test]
fn tokens_and_issuers() {
    let dir = run("CONFIG_MAP", false);
    let found: Vec<String> = rows::<TokenFindingRow>(&dir.path().join("out"))
        .into_iter()
        .map(|row| {
            format!("{} {} {} {}: {}", row.kind, row.subject, row.severity, row.count, row.detail)
        })
        .collect();
    insta::assert_snapshot!("token_findings", found.join("\n"));
}
