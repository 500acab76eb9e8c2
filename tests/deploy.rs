//! The examples of `samples/deploy/`: they parse, and they say what a safe run must say.

use std::collections::BTreeMap;
use std::process::Command;

use serde::Deserialize;
use serde_json::Value;

use crate::support::project;

fn read(name: &str) -> String {
    std::fs::read_to_string(project("samples/deploy").join(name)).unwrap()
}

fn arguments_are_known(args: &[&str]) {
    let got = Command::new(env!("CARGO_BIN_EXE_overgrant"))
        .args(args)
        .args(["--min-coverage", "7"])
        .output()
        .unwrap();
    // Everything before the one mistake was understood, and nothing was asked for.
    let complaint = String::from_utf8(got.stderr).unwrap();
    assert_eq!(complaint, "error: --min-coverage takes a share from 0 to 1, not \"7\"\n");
    assert_eq!(got.status.code(), Some(2));
}

#[test]
fn the_cron_job_runs_without_privileges() {
    let documents: Vec<Value> = serde_yaml_ng::Deserializer::from_str(&read("cronjob.yaml"))
        .map(|document| Value::deserialize(document).unwrap())
        .collect();
    let kinds: Vec<&str> = documents.iter().map(|one| one["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["Namespace", "ServiceAccount", "CronJob"]);
    let job = &documents[2]["spec"];
    assert_eq!(job["concurrencyPolicy"], "Forbid");
    let pod = &job["jobTemplate"]["spec"]["template"]["spec"];
    assert_eq!(pod["serviceAccountName"], documents[1]["metadata"]["name"]);
    assert_eq!(pod["securityContext"]["runAsNonRoot"], true);
    assert_eq!(pod["automountServiceAccountToken"], false);
    let container = &pod["containers"][0];
    assert_eq!(container["securityContext"]["readOnlyRootFilesystem"], true);
    assert_eq!(container["securityContext"]["allowPrivilegeEscalation"], false);
    assert!(container["resources"]["limits"]["memory"].is_string());
    // What is written is on a volume.
    let mounts = container["volumeMounts"].as_array().unwrap();
    let volumes = pod["volumes"].as_array().unwrap();
    assert!(mounts.iter().all(|m| volumes.iter().any(|v| v["name"] == m["name"])));
    assert_eq!(container["env"][0]["value"], mounts[0]["mountPath"]);
    let args: Vec<&str> =
        container["args"].as_array().unwrap().iter().map(|arg| arg.as_str().unwrap()).collect();
    arguments_are_known(&args);

    let role: Value = serde_yaml_ng::from_str(&read("clusterrole.yaml")).unwrap();
    let rules = role["rules"].as_array().unwrap();
    assert_eq!(rules.len(), overgrant::model::needs::RULES.len());
    let policy: Value = serde_json::from_str(&read("iam-policy.json")).unwrap();
    assert_eq!(policy["Version"], "2012-10-17");
}

#[test]
fn the_ecs_task_runs_without_privileges() {
    let task: Value = serde_json::from_str(&read("ecs-task.json")).unwrap();
    let container = &task["containerDefinitions"][0];
    assert_eq!(container["readonlyRootFilesystem"], true);
    assert_ne!(container["user"], Value::Null);
    assert_eq!(container["mountPoints"][0]["sourceVolume"], task["volumes"][0]["name"]);
    let command: Vec<String> = container["command"]
        .as_array()
        .unwrap()
        .iter()
        .map(|arg| arg.as_str().unwrap().replace("OTHER-ACCOUNT", "444455556666"))
        .collect();
    arguments_are_known(&command.iter().map(String::as_str).collect::<Vec<_>>());
    let schedule: Value = serde_json::from_str(&read("ecs-schedule.json")).unwrap();
    let of_task = schedule["Target"]["EcsParameters"]["TaskDefinitionArn"].as_str().unwrap();
    assert!(of_task.ends_with(&format!("/{}", task["family"].as_str().unwrap())));
}

/// Everything before the one mistake was understood, and nothing was asked for.
fn scan_is_known(args: &[&str], job: &[(&str, &str)]) {
    let got = Command::new(env!("CARGO_BIN_EXE_overgrant"))
        .args(args)
        .args(["--cluster-map", "none"])
        .envs(job.iter().copied())
        .output()
        .unwrap();
    let complaint = String::from_utf8(got.stderr).unwrap();
    assert_eq!(complaint, "error: --cluster-map takes KEYPREFIX=CLUSTER-ARN, not \"none\"\n");
}

#[test]
fn the_indexed_job_runs_as_many_scans_as_there_are_shards() {
    let documents: Vec<Value> = serde_yaml_ng::Deserializer::from_str(&read("indexed-job.yaml"))
        .map(|document| Value::deserialize(document).unwrap())
        .collect();
    let [scan, audit] = documents.as_slice() else { panic!("{} documents", documents.len()) };
    let args = |job: &Value| -> Vec<String> {
        let pod = &job["spec"]["template"]["spec"];
        assert_eq!(pod["securityContext"]["runAsNonRoot"], true);
        assert_eq!(pod["automountServiceAccountToken"], false);
        let container = &pod["containers"][0];
        assert_eq!(container["securityContext"]["readOnlyRootFilesystem"], true);
        assert_eq!(container["env"][0]["value"], container["volumeMounts"][0]["mountPath"]);
        let args = container["args"].as_array().unwrap().iter();
        args.map(|arg| arg.as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(scan["spec"]["completionMode"], "Indexed");
    let of = scan["spec"]["completions"].as_u64().unwrap();
    let mine = args(scan);
    assert!(mine.contains(&format!("--shard=auto/{of}")), "{mine:?}");
    let mine: Vec<&str> = mine.iter().map(String::as_str).collect();
    scan_is_known(&mine, &[("JOB_COMPLETION_INDEX", "3")]);
    let theirs = args(audit);
    let facts = |args: &[&str], flag: &str| {
        args.iter().find_map(|arg| arg.strip_prefix(flag)).map(str::to_owned)
    };
    let theirs: Vec<&str> = theirs.iter().map(String::as_str).collect();
    assert_eq!(facts(&mine, "--out="), facts(&theirs, "--facts="));
    assert_eq!(facts(&mine, "--inventory="), facts(&theirs, "--inventory="));
    arguments_are_known(&theirs);
}

#[test]
fn the_array_of_aws_batch_runs_scans_and_the_join() {
    let command = |name: &str| -> Vec<String> {
        let job: Value = serde_json::from_str(&read(name)).unwrap();
        let container = &job["containerProperties"];
        assert_eq!(container["readonlyRootFilesystem"], true);
        assert_eq!(container["mountPoints"][0]["sourceVolume"], container["volumes"][0]["name"]);
        assert_eq!(container["environment"][0]["value"], "/scratch");
        let args = container["command"].as_array().unwrap().iter();
        args.map(|arg| arg.as_str().unwrap().replace("Ref::", "s3://WORK/RUN/")).collect()
    };
    let scan = command("batch-scan.json");
    let job = [("AWS_BATCH_JOB_ARRAY_INDEX", "7"), ("AWS_BATCH_JOB_ARRAY_SIZE", "8")];
    scan_is_known(&scan.iter().map(String::as_str).collect::<Vec<_>>(), &job);
    let audit = command("batch-audit.json");
    arguments_are_known(&audit.iter().map(String::as_str).collect::<Vec<_>>());
}

#[test]
fn the_units_are_hardened_and_verify() {
    let service = read("overgrant.service");
    let settings: BTreeMap<&str, &str> =
        service.lines().filter_map(|line| line.split_once('=')).collect();
    for (key, value) in [
        ("DynamicUser", "yes"),
        ("ProtectSystem", "strict"),
        ("NoNewPrivileges", "yes"),
        ("CapabilityBoundingSet", ""),
        ("SuccessExitStatus", "1 3"),
    ] {
        assert_eq!(settings.get(key), Some(&value), "{key}");
    }
    let (_, args) = settings["ExecStart"].split_once(' ').unwrap();
    arguments_are_known(&args.split(' ').collect::<Vec<_>>());
    assert!(read("overgrant.timer").contains("OnCalendar="));

    // The binary is not where the unit says; the copy that is verified names one that is there.
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("overgrant.service");
    let binary = env!("CARGO_BIN_EXE_overgrant");
    std::fs::write(&place, service.replace("/usr/local/bin/overgrant", binary)).unwrap();
    let timer = folder.path().join("overgrant.timer");
    std::fs::write(&timer, read("overgrant.timer")).unwrap();
    let verified = Command::new("systemd-analyze")
        .args(["verify", "--man=no"])
        .args([&place, &timer])
        .output();
    match verified {
        Ok(got) => {
            let said = String::from_utf8_lossy(&got.stderr).into_owned();
            let ours: Vec<&str> = said.lines().filter(|line| line.contains("overgrant.")).collect();
            assert_eq!(ours, Vec::<&str>::new(), "{said}");
        }
        Err(error) => eprintln!("SKIPPED: systemd-analyze: {error}"),
    }
}

#[test]
fn the_image_is_built_in_stages_and_runs_as_nobody() {
    let text = read("Containerfile");
    let stages: Vec<&str> = text.lines().filter(|line| line.starts_with("FROM ")).collect();
    let [build, run] = stages.as_slice() else { panic!("{stages:?}") };
    let toolchain = env!("CARGO_PKG_RUST_VERSION");
    assert!(build.contains(&format!("rust:{toolchain}-")), "{build}");
    assert!(run.contains("distroless/cc") && run.ends_with(":nonroot"), "{run}");
    assert!(text.contains("\nUSER 65532:65532\n"));
}
