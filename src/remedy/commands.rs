//! Single commands for the tables: the same words and quotes as in a bundle's script.

use super::guardrail;
use super::shell;
use super::step::Step;

/// An access entry that is to be made.
#[derive(Debug, Clone, Default)]
pub struct Entry {
    /// Cluster ARN.
    pub cluster: String,
    /// IAM ARN, with its path.
    pub principal: String,
    /// Empty for the default.
    pub username: String,
    /// Its groups.
    pub groups: Vec<String>,
    /// `STANDARD`, `EC2_LINUX`, …
    pub entry_type: String,
    /// Access policies, each on the whole cluster.
    pub policies: Vec<String>,
    /// True where an entry of the principal is in its way.
    pub delete_first: bool,
}

impl Entry {
    fn steps(&self) -> Vec<Step> {
        let (cluster, principal) = (&self.cluster, &self.principal);
        let mut steps = Vec::new();
        if self.delete_first {
            let (cluster, principal) = (cluster.clone(), principal.clone());
            steps.push(Step::DeleteEntry { cluster, principal });
        }
        steps.push(Step::CreateEntry {
            cluster: cluster.clone(),
            principal: principal.clone(),
            username: self.username.clone(),
            groups: self.groups.clone(),
            entry_type: self.entry_type.clone(),
        });
        steps.extend(self.policies.iter().map(|policy| Step::Associate {
            cluster: cluster.clone(),
            principal: principal.clone(),
            policy: policy.clone(),
            namespaces: None,
        }));
        steps
    }

    /// Commands of the AWS command line that make it, each after the one before went well.
    #[must_use]
    pub fn command(&self) -> String {
        self.steps().iter().map(shell::command).collect::<Vec<_>>().join(" && ")
    }

    /// What a role needs in IAM to run [`Entry::command`] and make no other entry: a policy as JSON.
    #[must_use]
    pub fn guardrail(&self) -> String {
        let steps = self.steps();
        let statements: Vec<_> =
            steps.iter().filter_map(guardrail::statement).map(|(_, statement)| statement).collect();
        serde_json::json!({ "Version": "2012-10-17", "Statement": statements }).to_string()
    }
}

/// Sets the authentication mode of a cluster. It cannot be set back.
#[must_use]
pub fn set_mode(cluster: &str, mode: &str) -> String {
    let (region, name) = shell::place(cluster);
    let access = format!("authenticationMode={mode}");
    let words = ["aws", "eks", "update-cluster-config", "--region", region, "--name", name];
    shell::line(&[&words[..], &["--access-config", &access]].concat())
}

/// Lists the access entries of a cluster.
#[must_use]
pub fn list_entries(cluster: &str) -> String {
    shell::aws(cluster, "list-access-entries", &[])
}

/// Prints the ARN of a role, with its path, to a caller of the role's account.
#[must_use]
pub fn role_arn(name: &str) -> String {
    let words =
        ["aws", "iam", "get-role", "--query", "Role.Arn", "--output", "text", "--role-name"];
    shell::line(&[&words[..], &[name]].concat())
}

/// A verb of kubectl on the aws-auth ConfigMap.
#[must_use]
pub fn aws_auth(cluster: &str, verb: &str) -> String {
    shell::kubectl(cluster, &[verb, "configmap", "aws-auth", "-n", "kube-system"])
}
