//! Steps as a bash script over the AWS and Kubernetes command lines.
//!
//! Every name may be hostile: a word is either of harmless characters or in single quotes, which
//! nothing inside can end. Lists go as JSON, which both command lines take, because their own short
//! forms split at commas. Source: <https://www.gnu.org/software/bash/manual/html_node/Single-Quotes.html>.

use crate::model::arn::Arn;

use super::objects::path;
use super::step::{Step, Subject};

/// The script of blocks of words and steps.
pub(super) fn script<'a>(
    header: &[String],
    verb: &str,
    blocks: impl Iterator<Item = (&'a [String], &'a [Step])>,
) -> String {
    let mut out = String::from("#!/usr/bin/env bash\n");
    for line in header {
        out.push_str(&format!("# {line}\n"));
    }
    out.push_str(&format!(
        "#\n# {verb} the changes with the aws and kubectl of whoever runs it. Read it first.\n\
         # Contexts of kubectl are named as `aws eks update-kubeconfig` names them: by cluster ARN.\n\
         # Names are quoted so that nothing in them expands:\n\
         # shellcheck disable=SC2016\n\
         set -euo pipefail\ncd \"$(dirname \"$0\")\"\n"
    ));
    for (number, (words, steps)) in (1..).zip(blocks) {
        out.push('\n');
        for (idx, line) in words.iter().enumerate() {
            let mark = if idx == 0 { format!("{number}. ") } else { "   ".to_owned() };
            out.push_str(&format!("# {mark}{line}\n"));
        }
        for step in steps {
            out.push_str(&command(step));
            out.push('\n');
        }
    }
    out
}

/// One step, as one or more lines.
pub(super) fn command(step: &Step) -> String {
    match step {
        Step::Own(own) => kubectl(&own.cluster, &["apply", "-f", &path(step)]),
        Step::DropOwn(own) => {
            // The objects are written beside the script that makes them.
            kubectl(&own.cluster, &["delete", "--ignore-not-found", "-f", &path(step)])
        }
        Step::CreateEntry { cluster, principal, username, groups, entry_type } => {
            let groups = json(groups);
            let mut words = vec!["--principal-arn", principal];
            if matches!(entry_type.as_str(), "" | "STANDARD") {
                words.extend(["--kubernetes-groups", &groups]);
                if !username.is_empty() && username != principal {
                    words.extend(["--username", username]);
                }
            } else {
                words.extend(["--type", entry_type]);
            }
            aws(cluster, "create-access-entry", &words)
        }
        Step::DeleteEntry { cluster, principal } => {
            aws(cluster, "delete-access-entry", &["--principal-arn", principal])
        }
        Step::Associate { cluster, principal, policy, namespaces } => {
            let scope = match namespaces {
                None => serde_json::json!({ "type": "cluster" }),
                Some(list) => serde_json::json!({ "type": "namespace", "namespaces": list }),
            };
            let scope = scope.to_string();
            let words =
                ["--principal-arn", principal, "--policy-arn", policy, "--access-scope", &scope];
            aws(cluster, "associate-access-policy", &words)
        }
        Step::Disassociate { cluster, principal, policy } => {
            let words = ["--principal-arn", principal, "--policy-arn", policy];
            aws(cluster, "disassociate-access-policy", &words)
        }
        Step::Groups { cluster, principal, groups } => {
            let groups = json(groups);
            let words = ["--principal-arn", principal, "--kubernetes-groups", &groups];
            aws(cluster, "update-access-entry", &words)
        }
        Step::Subjects { cluster, binding, subjects } => {
            let patch =
                serde_json::json!({ "subjects": subjects.iter().map(subject).collect::<Vec<_>>() });
            let patch = patch.to_string();
            let words = of_binding(binding);
            let mut all = vec!["patch", "--type=merge", "-p", &patch];
            all.extend(words.iter().map(String::as_str));
            kubectl(cluster, &all)
        }
        Step::DeleteBinding { cluster, binding } => {
            let words = of_binding(binding);
            let mut all = vec!["delete"];
            all.extend(words.iter().map(String::as_str));
            kubectl(cluster, &all)
        }
        Step::CreateBinding { cluster, .. } => kubectl(cluster, &["apply", "-f", &path(step)]),
        Step::AwsAuth { cluster, .. } => kubectl(cluster, &["replace", "-f", &path(step)]),
        Step::DeletePod { cluster, account } => {
            let (namespace, name) = account.split_once('/').unwrap_or_default();
            let listed = aws(
                cluster,
                "list-pod-identity-associations",
                &[
                    "--namespace",
                    namespace,
                    "--service-account",
                    name,
                    "--query",
                    "associations[0].associationId",
                    "--output",
                    "text",
                ],
            );
            let (region, cluster) = place(cluster);
            format!(
                "association=\"$({listed})\"\naws eks delete-pod-identity-association --region {} \
                 --cluster-name {} --association-id \"$association\"",
                word(region),
                word(cluster)
            )
        }
        Step::CreatePod { cluster, account, roles } => {
            let (namespace, name) = account.split_once('/').unwrap_or_default();
            let role = roles.first().map(String::as_str).unwrap_or_default();
            let words = ["--namespace", namespace, "--service-account", name, "--role-arn", role];
            aws(cluster, "create-pod-identity-association", &words)
        }
        Step::Annotate { cluster, account, role } => {
            let (namespace, name) = account.split_once('/').unwrap_or_default();
            let note = match role {
                Some(role) => format!("eks.amazonaws.com/role-arn={role}"),
                None => "eks.amazonaws.com/role-arn-".to_owned(),
            };
            let words =
                ["annotate", "--overwrite", "serviceaccount", "-n", namespace, "--", name, &note];
            kubectl(cluster, &words)
        }
    }
}

pub(super) fn aws(cluster: &str, call: &str, words: &[&str]) -> String {
    let (region, name) = place(cluster);
    let mut all = vec!["aws", "eks", call, "--region", region, "--cluster-name", name];
    all.extend(words);
    line(&all)
}

pub(super) fn kubectl(cluster: &str, words: &[&str]) -> String {
    let mut all = vec!["kubectl", "--context", cluster];
    all.extend(words);
    line(&all)
}

pub(super) fn line(words: &[&str]) -> String {
    words.iter().map(|text| word(text)).collect::<Vec<_>>().join(" ")
}

/// Region and name of a cluster.
pub(super) fn place(cluster: &str) -> (&str, &str) {
    Arn::parse(cluster).map_or(("", cluster), |arn| {
        (arn.region, arn.resource.strip_prefix("cluster/").unwrap_or(arn.resource))
    })
}

/// `rolebinding -n ns -- name`
fn of_binding(binding: &str) -> Vec<String> {
    match binding.split('/').collect::<Vec<_>>().as_slice() {
        ["RoleBinding", namespace, name] => {
            ["rolebinding", "-n", namespace, "--", name].map(str::to_owned).to_vec()
        }
        [_, name] => ["clusterrolebinding", "--", name].map(str::to_owned).to_vec(),
        _ => Vec::new(),
    }
}

fn subject(subject: &Subject) -> serde_json::Value {
    let group = "rbac.authorization.k8s.io";
    match subject {
        Subject::User(name) => {
            serde_json::json!({ "kind": "User", "apiGroup": group, "name": name })
        }
        Subject::Group(name) => {
            serde_json::json!({ "kind": "Group", "apiGroup": group, "name": name })
        }
        Subject::ServiceAccount { namespace, name } => {
            serde_json::json!({ "kind": "ServiceAccount", "namespace": namespace, "name": name })
        }
    }
}

fn json(list: &[String]) -> String {
    serde_json::Value::from(list.to_vec()).to_string()
}

/// A word of the shell that is this text and nothing else. A NUL cannot be in a word: it is left out.
pub(super) fn word(text: &str) -> String {
    let harmless = |c: char| c.is_ascii_alphanumeric() || "-_./:=@,+".contains(c);
    if !text.is_empty() && text.chars().all(harmless) {
        return text.to_owned();
    }
    let inner = text.replace('\0', "").replace('\'', "'\\''");
    format!("'{inner}'")
}
