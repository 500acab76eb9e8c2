//! The same end in Terraform: what is touched, as it will be.
//!
//! A file per cluster, because providers are configured per cluster. Entries and associations that
//! exist already come with an `import` block, so that Terraform changes them in place of making them
//! again; what goes is listed for whoever has it in a configuration of their own. Source:
//! <https://registry.terraform.io/providers/hashicorp/aws/latest/docs/resources/eks_access_policy_association>.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::digest;

use crate::report::terminal::printable;

use super::Block;
use super::shell::place;
use super::state::{Entry, State};
use super::step::{Own, Step, Subject};

/// File names and texts.
pub(super) fn files(
    header: &[String],
    before: &State,
    after: &State,
    blocks: &[Block],
) -> BTreeMap<String, String> {
    let mut touched: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    let mut gone: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    let mut own: BTreeMap<&str, Vec<&Own>> = BTreeMap::new();
    for step in blocks.iter().flat_map(|block| &block.forward) {
        match step {
            Step::CreateEntry { cluster, principal, .. }
            | Step::DeleteEntry { cluster, principal }
            | Step::Associate { cluster, principal, .. }
            | Step::Disassociate { cluster, principal, .. }
            | Step::Groups { cluster, principal, .. } => {
                touched.entry(cluster).or_default().insert(principal);
            }
            Step::Own(made) => own.entry(&made.cluster).or_default().push(made),
            Step::DeleteBinding { cluster, binding } => {
                gone.entry(cluster).or_default().push(format!("the binding {binding}"));
            }
            Step::Subjects { cluster, binding, .. } => {
                gone.entry(cluster).or_default().push(format!("a subject of {binding}"));
            }
            Step::AwsAuth { cluster, grant_id, .. } => {
                let what = format!("rows of aws-auth: see rbac/aws-auth-{grant_id}.yaml");
                gone.entry(cluster).or_default().push(what);
            }
            Step::DeletePod { cluster, account } => {
                let what = format!("the Pod Identity association of {account}");
                gone.entry(cluster).or_default().push(what);
            }
            Step::Annotate { cluster, account, .. } => {
                let what = format!("the role annotation of the ServiceAccount {account}");
                gone.entry(cluster).or_default().push(what);
            }
            Step::DropOwn(_) | Step::CreateBinding { .. } | Step::CreatePod { .. } => {}
        }
    }
    let clusters: BTreeSet<&str> =
        touched.keys().chain(gone.keys()).chain(own.keys()).copied().collect();
    let mut files = BTreeMap::new();
    for cluster in clusters {
        let mut text = String::new();
        for line in header {
            text.push_str(&format!("# {line}\n"));
        }
        text.push_str(&format!("# cluster {}\n", printable(cluster)));
        for principal in touched.get(cluster).into_iter().flatten() {
            let key = (cluster.to_owned(), (*principal).to_owned());
            let (old, new) = (before.entries.get(&key), after.entries.get(&key));
            entry(&mut text, cluster, principal, old, new);
        }
        for made in own.get(cluster).into_iter().flatten() {
            roles(&mut text, made);
        }
        if let Some(gone) = gone.get(cluster) {
            text.push_str("\n# Take out of your configuration:\n");
            for what in gone {
                text.push_str(&format!("#   {}\n", printable(what)));
            }
        }
        let (region, name) = place(cluster);
        let folder = slug(&format!("{name}-{region}"), cluster);
        files.insert(format!("terraform/{folder}/overgrant.tf"), text);
    }
    files
}

fn entry(
    text: &mut String,
    cluster: &str,
    principal: &str,
    old: Option<&Entry>,
    new: Option<&Entry>,
) {
    let (_, name) = place(cluster);
    let label = slug(principal.rsplit('/').next().unwrap_or_default(), principal);
    let Some(new) = new else {
        let what = printable(principal);
        text.push_str(&format!("\n# Gone: the access entry of {what}\n"));
        return;
    };
    if old.is_some() {
        import(text, &format!("aws_eks_access_entry.{label}"), &format!("{name}:{principal}"));
    }
    text.push_str(&format!("\nresource \"aws_eks_access_entry\" \"{label}\" {{\n"));
    pairs(
        text,
        &[
            ("cluster_name", quoted(name)),
            ("principal_arn", quoted(principal)),
            ("kubernetes_groups", list(&new.groups.iter().cloned().collect::<Vec<_>>())),
            ("user_name", optional(&new.username)),
        ],
    );
    text.push_str("}\n");
    for (policy, namespaces) in &new.policies {
        let short = policy.rsplit('/').next().unwrap_or_default();
        let label = slug(short, &format!("{principal} {policy}"));
        if old.is_some_and(|old| old.policies.contains_key(policy)) {
            let id = format!("{name}#{principal}#{policy}");
            import(text, &format!("aws_eks_access_policy_association.{label}"), &id);
        }
        text.push_str(&format!(
            "\nresource \"aws_eks_access_policy_association\" \"{label}\" {{\n"
        ));
        pairs(
            text,
            &[
                ("cluster_name", quoted(name)),
                ("principal_arn", quoted(principal)),
                ("policy_arn", quoted(policy)),
            ],
        );
        text.push_str("\n  access_scope {\n");
        match namespaces {
            None => text.push_str("    type = \"cluster\"\n"),
            Some(names) => {
                text.push_str("    type       = \"namespace\"\n");
                text.push_str(&format!("    namespaces = {}\n", list(names)));
            }
        }
        text.push_str("  }\n}\n");
    }
    let lost = old.into_iter().flat_map(|old| old.policies.keys());
    for policy in lost.filter(|policy| !new.policies.contains_key(*policy)) {
        let policy = printable(policy);
        text.push_str(&format!("\n# Gone: the association of {policy}\n"));
    }
}

fn roles(text: &mut String, own: &Own) {
    let name = own.name();
    let label = name.replace('-', "_");
    for (place, rules) in own.by_place() {
        let (kind, role) = if place.is_some() {
            ("kubernetes_role", "Role")
        } else {
            ("kubernetes_cluster_role", "ClusterRole")
        };
        let label = place.map_or_else(|| label.clone(), |ns| format!("{label}_{}", slug(ns, ns)));
        let mut metadata = vec![("name", quoted(&name))];
        metadata.extend(place.map(|namespace| ("namespace", quoted(namespace))));
        text.push_str(&format!("\nresource \"{kind}_v1\" \"{label}\" {{\n"));
        block(text, "metadata", &metadata);
        for rule in rules {
            text.push('\n');
            let some =
                |name: &'static str, all: &[String]| (!all.is_empty()).then(|| (name, list(all)));
            let lines: Vec<(&str, String)> = [
                some("api_groups", &rule.api_groups),
                some("resources", &rule.resources),
                some("resource_names", &rule.resource_names),
                some("non_resource_urls", &rule.non_resource_urls),
                some("verbs", &rule.verbs),
            ]
            .into_iter()
            .flatten()
            .collect();
            block(text, "rule", &lines);
        }
        text.push_str("}\n");
        text.push_str(&format!("\nresource \"{kind}_binding_v1\" \"{label}\" {{\n"));
        block(text, "metadata", &metadata);
        text.push('\n');
        let api_group = quoted("rbac.authorization.k8s.io");
        let reference = [
            ("api_group", api_group.clone()),
            ("kind", quoted(role)),
            ("name", format!("{kind}_v1.{label}.metadata[0].name")),
        ];
        block(text, "role_ref", &reference);
        text.push('\n');
        let subject = match &own.subject {
            Subject::User(name) => {
                vec![("kind", quoted("User")), ("name", quoted(name)), ("api_group", api_group)]
            }
            Subject::Group(name) => {
                vec![("kind", quoted("Group")), ("name", quoted(name)), ("api_group", api_group)]
            }
            Subject::ServiceAccount { namespace, name } => vec![
                ("kind", quoted("ServiceAccount")),
                ("name", quoted(name)),
                ("namespace", quoted(namespace)),
            ],
        };
        block(text, "subject", &subject);
        text.push_str("}\n");
    }
}

fn import(text: &mut String, to: &str, id: &str) {
    text.push_str("\nimport {\n");
    pairs(text, &[("to", to.to_owned()), ("id", quoted(id))]);
    text.push_str("}\n");
}

fn block(text: &mut String, name: &str, lines: &[(&str, String)]) {
    text.push_str(&format!("  {name} {{\n"));
    let width = lines.iter().map(|(key, _)| key.len()).max().unwrap_or(0);
    for (key, value) in lines {
        text.push_str(&format!("    {key:width$} = {value}\n"));
    }
    text.push_str("  }\n");
}

/// Lines with their signs under each other; a pair without a value is left out.
fn pairs(text: &mut String, all: &[(&str, String)]) {
    let all: Vec<_> = all.iter().filter(|(_, value)| !value.is_empty()).collect();
    let width = all.iter().map(|(key, _)| key.len()).max().unwrap_or(0);
    for (key, value) in all {
        text.push_str(&format!("  {key:width$} = {value}\n"));
    }
}

fn optional(text: &str) -> String {
    if text.is_empty() { String::new() } else { quoted(text) }
}

fn list(all: &[String]) -> String {
    let all: Vec<String> = all.iter().map(|text| quoted(text)).collect();
    format!("[{}]", all.join(", "))
}

/// A string of HCL that is this text and no template. Source:
/// <https://developer.hashicorp.com/terraform/language/expressions/strings>.
pub(super) fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '$' | '%' if chars.peek() == Some(&'{') => {
                out.push(c);
                out.push(c);
            }
            c if c.is_control() => {
                out.push_str(&format!("\\u{:04x}", u32::from(c)));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// A label that says what it is and is like no other's.
pub(super) fn slug(name: &str, whole: &str) -> String {
    let kept: String = name
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '_' })
        .take(40)
        .collect();
    format!("{kept}_{}", digest::hex(&digest::of_bytes(whole.as_bytes()), 8))
}
