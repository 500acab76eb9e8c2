//! The recorded cluster: every grant of its README gets its verdict, every event counts once.

use std::path::{Path, PathBuf};

use overgrant::model::time::Micros;
use overgrant::pipeline::{Plan, Since};
use overgrant::table::rows::access::ApiAccessRow;
use overgrant::table::rows::sessions::{SessionKeyRow, SessionRow};

use crate::support::{audit, plan, rows, shared, verdicts};

/// Grant, verdict, severity where the truth names one, recommendations that are right.
const TRUTH: &[(&str, &str, &str, &[&str])] = &[
    (
        "access_policy ci-deployer AmazonEKSClusterAdminPolicy",
        "over_scoped",
        "critical",
        &["split"],
    ),
    ("access_policy datadog AmazonEKSViewPolicy", "over_scoped", "low", &["replace"]),
    ("access_policy old-contractor AmazonEKSAdminPolicy", "unused", "", &["remove"]),
    ("access_policy new-hire AmazonEKSViewPolicy", "too_new", "", &["keep"]),
    ("none prober ", "ineffective", "", &["remove"]),
    ("entry_group release-bot releasers", "used", "", &["keep"]),
    ("rbac_subject releasers RoleBinding/ci-system/token-minter", "used", "", &["keep"]),
    ("rbac_subject releasers RoleBinding/ci-system/impersonate-ci", "used", "", &["keep"]),
    ("aws_auth_group terraform system:masters", "over_scoped", "critical", &["replace"]),
    ("aws_auth_group jenkins system:masters", "unused", "", &["remove"]),
    (
        "rbac_subject oidc:platform ClusterRoleBinding/platform-view",
        "over_scoped",
        "low",
        &["review"],
    ),
    (
        "rbac_subject legacy-ops ClusterRoleBinding/legacy-ops",
        "over_scoped",
        "critical",
        &["review"],
    ),
    (
        "rbac_subject ci-system/ci-pipeline-sa RoleBinding/ci-system/ci-pipeline",
        "over_scoped",
        "",
        &["narrow"],
    ),
    ("rbac_subject monitoring/prometheus ClusterRoleBinding/prom-metrics", "used", "", &["keep"]),
    ("pod_identity shop/app-controller shop-app-role", "used", "", &["keep"]),
    ("pod_identity pay/ledger pay-ledger-role", "unused", "", &["remove"]),
];

const SSO: &str = "AWSReservedSSO_Dev_0123456789abcdef";

/// Compares the verdicts of a run with the truth of the lab.
pub(crate) fn check_truth(out: &Path) {
    let verdicts = verdicts(out);
    for (grant, verdict, severity, advice) in TRUTH {
        let (_, got) = verdicts.get(*grant).unwrap_or_else(|| panic!("no grant {grant}"));
        assert_eq!(got.verdict, *verdict, "{grant}: {got:?}");
        assert!(severity.is_empty() || got.severity == *severity, "{grant}: {}", got.severity);
        assert!(advice.contains(&got.recommendation.as_str()), "{grant}: {}", got.recommendation);
    }

    // Two ways to the same use: one is spare, one is too wide, and never both are to go.
    let policy = &verdicts[&format!("access_policy {SSO} AmazonEKSAdminPolicy")].1;
    let group = &verdicts[&format!("entry_group {SSO} developers")].1;
    let binding = &verdicts["rbac_subject developers RoleBinding/shop/developers-edit"].1;
    let mut pair = [policy.verdict.as_str(), group.verdict.as_str()];
    pair.sort_unstable();
    assert_eq!(pair, ["over_scoped", "redundant"]);
    assert_eq!(binding.verdict, group.verdict);
    let spare = if policy.verdict == "redundant" { policy } else { group };
    assert_ne!(spare.recommendation, "keep");
    let said = [policy, group, binding].map(|verdict| verdict.recommendation.as_str());
    assert_eq!(said, ["replace", "remove", "keep"], "of the two halves one goes");
    check_proposals(&verdicts);

    // Nothing else of the customer's is there.
    let customers = verdicts.values().filter(|(grant, _)| !grant.managed_by_aws).count();
    assert_eq!(customers, TRUTH.len() + 3);
    for (name, (grant, verdict)) in &verdicts {
        if grant.managed_by_aws {
            assert_eq!(verdict.recommendation, "keep", "{name}");
            assert_eq!(verdict.severity, "info", "{name}");
        }
    }
}

/// Grant, policy with its namespaces, rules.
const PROPOSED: &[(&str, &str, &str)] = &[
    (
        "access_policy ci-deployer AmazonEKSClusterAdminPolicy",
        "AmazonEKSEditPolicy on pay,shop",
        "pay: create/delete/get configmaps, create/delete/get/list/patch deployments.apps, \
         create/get/list/patch/update/watch events; shop: create/delete/get configmaps, \
         create/delete/get/list/patch deployments.apps, create/get/list/patch/update/watch events",
    ),
    (
        "access_policy AWSReservedSSO_Dev_0123456789abcdef AmazonEKSAdminPolicy",
        "AmazonEKSViewPolicy on shop",
        "",
    ),
    (
        "access_policy datadog AmazonEKSViewPolicy",
        "",
        "the cluster: get/list/watch events, list pods; monitoring: get/list/watch events, list \
         deployments.apps",
    ),
    (
        "aws_auth_group terraform system:masters",
        "AmazonEKSClusterAdminPolicy on shop",
        "the cluster: create/get/list/patch/update/watch events, get/list/patch namespaces",
    ),
    (
        "rbac_subject legacy-ops ClusterRoleBinding/legacy-ops",
        "",
        "pay: get/list/watch events, list configmaps; shop: get/list/watch events, list secrets",
    ),
    (
        "rbac_subject ci-system/ci-pipeline-sa RoleBinding/ci-system/ci-pipeline",
        "",
        "ci-system: get/list/watch events, list pods, list cronjobs.batch",
    ),
];

/// What is proposed in the place of each grant that is too wide, and that it refuses nothing.
fn check_proposals(verdicts: &crate::support::Verdicts) {
    for (grant, policy, rules) in PROPOSED {
        let got = &verdicts[*grant].1;
        match policy.split_once(" on ") {
            Some((name, namespaces)) => {
                let got_policy = got.recommended_policy.as_deref().unwrap();
                assert!(got_policy.contains(name), "{grant}: {got:?}");
                assert_eq!(got.recommended_namespaces.as_deref(), Some(namespaces), "{grant}");
            }
            None => assert_eq!(got.recommended_policy, None, "{grant}"),
        }
        if !rules.is_empty() {
            assert_eq!(got.recommended_rbac.as_deref(), Some(*rules), "{grant}");
        }
        assert!(got.excess_after < got.excess_before, "{grant}: {got:?}");
        assert_eq!(got.replay_denied, Some(0), "{grant}");
    }
    for (name, (_, verdict)) in verdicts {
        let changes = !matches!(verdict.recommendation.as_str(), "keep" | "review");
        assert!(!changes || verdict.replay_denied == Some(0), "{name}: {verdict:?}");
    }
}

/// The lab, unpacked; `None` where it is not here.
fn lab() -> Option<(tempfile::TempDir, PathBuf)> {
    let archive = shared("labs/prod.tar.gz")?;
    let lab = tempfile::tempdir().unwrap();
    let unpacked = std::process::Command::new("tar")
        .arg("xzf")
        .arg(&archive)
        .arg("-C")
        .arg(lab.path())
        .status()
        .unwrap();
    assert!(unpacked.success());
    let root = lab.path().join("lab-a");
    Some((lab, root))
}

/// The plan of the lab over the logs below `logs`.
fn lab_plan(root: &Path, logs: &str, out: &Path) -> Plan {
    let of = |path: &str| root.join(path).display().to_string();
    let mut plan = plan(&of(logs), &of("inventory"), &out.display().to_string());
    plan.since = Since::At(Micros::parse("2026-08-25T00:00:00Z").unwrap());
    plan.until = Micros::parse("2026-11-24T00:00:00Z");
    plan
}

#[test]
fn cloudtrail_alone_judges_who_never_came() {
    let Some((_lab, root)) = lab() else { return };
    let out = tempfile::tempdir().unwrap();
    let outcome = audit(&lab_plan(&root, "bucket/AWSLogs", out.path())).unwrap();
    assert!(outcome.partial, "what was done in the cluster is not known");
    let verdicts = verdicts(out.path());
    let check = |grant: &str, verdict: &str, reason: &str, advice: &str| {
        let (_, got) = verdicts.get(grant).unwrap_or_else(|| panic!("no grant {grant}"));
        let is = (got.verdict.as_str(), got.reason.as_str(), got.recommendation.as_str());
        assert_eq!(is, (verdict, reason, advice), "{grant}: {}", got.detail);
        got.last_authenticated
    };
    let contractor = "access_policy old-contractor AmazonEKSAdminPolicy";
    assert_eq!(check(contractor, "unused", "no_session", "remove"), None);
    // Nothing dates an aws-auth row but the audit log.
    check("aws_auth_group jenkins system:masters", "unused", "no_session", "review");
    check("access_policy new-hire AmazonEKSViewPolicy", "too_new", "too_new", "keep");
    check("pod_identity shop/app-controller shop-app-role", "used", "in_use", "keep");
    check("pod_identity pay/ledger pay-ledger-role", "unused", "no_session", "remove");
    check("none prober ", "ineffective", "no_permission", "remove");
    let blind = "authenticated_no_audit_log";
    for grant in [
        "access_policy ci-deployer AmazonEKSClusterAdminPolicy",
        "access_policy datadog AmazonEKSViewPolicy",
        "entry_group release-bot releasers",
        "rbac_subject releasers RoleBinding/ci-system/token-minter",
    ] {
        let last = check(grant, "unobservable", blind, "keep");
        assert!(last.is_some_and(|at| at.day().to_iso().as_str() >= "2026-11-22"), "{grant}");
    }
    for grant in [
        // A user signs tokens with its own key: its silence proves nothing, and it is at work.
        "aws_auth_group terraform system:masters",
        "rbac_subject oidc:platform ClusterRoleBinding/platform-view",
        "rbac_subject legacy-ops ClusterRoleBinding/legacy-ops",
        "rbac_subject monitoring/prometheus ClusterRoleBinding/prom-metrics",
    ] {
        check(grant, "unobservable", "no_logs", "keep");
    }
    let said = outcome.summary.warnings.join("\n");
    assert!(said.contains("no audit log of prod"), "{said}");
}

#[test]
fn the_audit_log_alone_judges_what_was_done() {
    let Some((_lab, root)) = lab() else { return };
    let out = tempfile::tempdir().unwrap();
    let outcome = audit(&lab_plan(&root, "bucket/eks-audit", out.path())).unwrap();
    assert!(outcome.partial, "what pods did in AWS is not known");
    let verdicts = verdicts(out.path());
    for (grant, verdict, ..) in TRUTH {
        let (_, got) = verdicts.get(*grant).unwrap_or_else(|| panic!("no grant {grant}"));
        if grant.starts_with("pod_identity") {
            let is = (got.verdict.as_str(), got.reason.as_str(), got.recommendation.as_str());
            assert_eq!(is, ("unobservable", "no_logs", "keep"), "{grant}");
        } else {
            assert_eq!(got.verdict, *verdict, "{grant}: {}", got.detail);
        }
    }
    // Principals are known from the audit log; their sessions and tags are not.
    let access = rows::<ApiAccessRow>(out.path());
    let from_iam: Vec<_> = access.iter().filter(|row| row.principal_id.is_some()).collect();
    assert!(from_iam.iter().all(|row| row.session_id.is_none()));
    assert!(from_iam.iter().any(|row| row.join_confidence == "principal"));
    let said = outcome.summary.warnings.join("\n");
    assert!(said.contains("no CloudTrail of 111122223333"), "{said}");
}

#[test]
fn every_row_of_the_truth() {
    let Some((_lab, root)) = lab() else { return };
    let truth: serde_json::Value =
        serde_json::from_slice(&std::fs::read(root.join("truth.json")).unwrap()).unwrap();

    let out = tempfile::tempdir().unwrap();
    let plan = lab_plan(&root, "bucket", out.path());
    let outcome = audit(&plan).unwrap();
    check_truth(out.path());
    assert!(!outcome.partial);

    let manifest: serde_json::Value =
        serde_json::from_slice(&std::fs::read(out.path().join("manifest.json")).unwrap()).unwrap();
    // The truth counts the events that were cut apart; here they count as far as they go.
    let n = |value: &serde_json::Value| value.as_u64().unwrap();
    let audit = &manifest["counters"]["audit"];
    assert_eq!(audit["salvaged"], truth["truncated_audit_events"]);
    let distinct = n(&manifest["distinct"]["audit_requests"]);
    assert_eq!(distinct - n(&audit["salvaged"]), n(&truth["audit_requests"]));
    // Records that no grant is about are filtered before copies are folded.
    let trail = &manifest["counters"]["cloudtrail"];
    let copies = 133;
    let seen = truth["cloudtrail_records"].as_u64().unwrap() + copies;
    assert_eq!(trail["seen"].as_u64().unwrap(), seen);

    // Facts of one request count once: impersonation and reviews add rows, not requests.
    let access = rows::<ApiAccessRow>(out.path());
    let direct: i64 = access
        .iter()
        .filter(|row| row.verb != "impersonate" && row.via != "delegated")
        .map(|row| row.count)
        .sum();
    assert_eq!(direct, i64::try_from(distinct).unwrap());

    sessions_carry_their_tags(out.path(), &access);
}

fn sessions_carry_their_tags(out: &Path, access: &[ApiAccessRow]) {
    let sessions = rows::<SessionRow>(out);
    let of = |id: &str| sessions.iter().find(|session| session.session_id == id).unwrap();
    let tag = |session: &SessionRow, key: &str| {
        session.tags.iter().find(|(k, _)| k == key).map(|(_, value)| value.clone())
    };
    let (mut teams, mut released) = (0, 0);
    for row in access.iter().filter(|row| row.principal_id.is_some()) {
        let Some(id) = &row.session_id else {
            assert!(row.username == "terraform", "{} has no session", row.username);
            continue;
        };
        let session = of(id);
        if row.principal_arn.ends_with("/ci-deployer") {
            // Two sessions of one second and name: the key alone tells the teams apart.
            let team = if row.namespace == "shop" { "shop" } else { "payments" };
            assert_eq!(tag(session, "team").as_deref(), Some(team), "{}", row.namespace);
            teams += 1;
        }
        if row.principal_arn.ends_with("/release-bot") {
            assert_eq!(tag(session, "team").as_deref(), Some("release"), "passed down the chain");
            assert!(session.parent_session_id.is_some());
            released += 1;
        }
    }
    assert!(teams > 1000 && released > 200, "{teams} {released}");
    let mut by_token = 0;
    for row in access.iter().filter(|row| row.username.ends_with(":ci-pipeline-sa")) {
        // The server was too old to note JTIs everywhere; where it did, the minter is known.
        let Some(session) = row.session_id.as_deref().map(of) else { continue };
        assert_eq!(session.kind, "token_request");
        assert!(session.minted_by.as_deref().unwrap().ends_with(":role/release-bot"));
        let parent = of(session.parent_session_id.as_deref().unwrap());
        assert_eq!(tag(parent, "team").as_deref(), Some("release"));
        by_token += 1;
    }
    assert!(by_token > 200, "{by_token}");
    let pods = sessions.iter().filter(|s| s.kind == "pod_identity");
    for pod in pods {
        assert_eq!(pod.pod_namespace.as_deref(), Some("shop"));
        assert_eq!(pod.pod_service_account.as_deref(), Some("app-controller"));
    }
    assert!(rows::<SessionKeyRow>(out).len() >= sessions.len());
}
