//! Every permission that overgrant may ask for: the one table of it.
//!
//! The policy and the ClusterRole of `samples/deploy/` are made from it, errors quote it, and a test
//! compares it with the calls that are really made, both ways. Source:
//! <https://docs.aws.amazon.com/service-authorization/latest/reference/reference_policies_actions-resources-contextkeys.html>,
//! <https://kubernetes.io/docs/reference/access-authn-authz/rbac/>.

use serde_json::{Map, Value, json};

/// What a permission is needed for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Feature {
    /// Logs and inventories in buckets.
    ReadBuckets,
    /// `--out s3://…`
    WriteOutput,
    /// `overgrant inventory` and `audit --cluster`.
    Inventory,
    /// `trail:NAME`
    Trail,
    /// `lookup-events:REGION`
    LookupEvents,
    /// `overgrant verify` and `audit --verify`, without `--public-keys`.
    Verify,
    /// `--role-arn`
    AssumeRole,
}

impl Feature {
    /// Also the `Sid` of its statement.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Feature::ReadBuckets => "ReadBuckets",
            Feature::WriteOutput => "WriteOutput",
            Feature::Inventory => "Inventory",
            Feature::Trail => "Trail",
            Feature::LookupEvents => "LookupEvents",
            Feature::Verify => "Verify",
            Feature::AssumeRole => "AssumeRole",
        }
    }
}

/// An AWS call and the IAM action that allows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Call {
    /// What for.
    pub feature: Feature,
    /// `service:Operation`; empty where AWS makes the call itself.
    pub call: &'static str,
    /// IAM action; empty where AWS asks for none.
    pub action: &'static str,
    /// ARN pattern; upper-case words are to be filled in.
    pub resource: &'static str,
}

const fn call(
    feature: Feature,
    call: &'static str,
    action: &'static str,
    resource: &'static str,
) -> Call {
    Call { feature, call, action, resource }
}

/// A call that the action of its own name allows.
const fn of_its_name(feature: Feature, name: &'static str, resource: &'static str) -> Call {
    call(feature, name, name, resource)
}

const CLUSTERS: &str = "arn:aws:eks:*:ACCOUNT:cluster/*";
const ENTRIES: &str = "arn:aws:eks:*:ACCOUNT:access-entry/*";
const ASSOCIATIONS: &str = "arn:aws:eks:*:ACCOUNT:podidentityassociation/*";
const PROVIDERS: &str = "arn:aws:eks:*:ACCOUNT:identityproviderconfig/*";

/// Every AWS call.
pub const CALLS: &[Call] = &[
    call(Feature::ReadBuckets, "s3:ListObjectsV2", "s3:ListBucket", "arn:aws:s3:::LOGS"),
    of_its_name(Feature::ReadBuckets, "s3:GetObject", "arn:aws:s3:::LOGS/*"),
    call(Feature::ReadBuckets, "", "kms:Decrypt", "arn:aws:kms:*:ACCOUNT:key/KEY-OF-LOGS"),
    call(Feature::WriteOutput, "s3:ListObjectsV2", "s3:ListBucket", "arn:aws:s3:::OUTPUT"),
    // Where the bucket of the output encrypts with a key of one's own.
    call(
        Feature::WriteOutput,
        "",
        "kms:GenerateDataKey",
        "arn:aws:kms:*:ACCOUNT:key/KEY-OF-OUTPUT",
    ),
    call(Feature::WriteOutput, "", "kms:Decrypt", "arn:aws:kms:*:ACCOUNT:key/KEY-OF-OUTPUT"),
    of_its_name(Feature::WriteOutput, "s3:GetObject", "arn:aws:s3:::OUTPUT/PREFIX/*"),
    of_its_name(Feature::WriteOutput, "s3:PutObject", "arn:aws:s3:::OUTPUT/PREFIX/*"),
    // Of a large table whose parts did not all come through.
    of_its_name(Feature::WriteOutput, "s3:AbortMultipartUpload", "arn:aws:s3:::OUTPUT/PREFIX/*"),
    of_its_name(Feature::WriteOutput, "s3:DeleteObject", "arn:aws:s3:::OUTPUT/PREFIX/*"),
    of_its_name(Feature::Inventory, "eks:DescribeCluster", CLUSTERS),
    of_its_name(Feature::Inventory, "eks:ListAccessEntries", CLUSTERS),
    of_its_name(Feature::Inventory, "eks:DescribeAccessEntry", ENTRIES),
    of_its_name(Feature::Inventory, "eks:ListAssociatedAccessPolicies", ENTRIES),
    of_its_name(Feature::Inventory, "eks:ListPodIdentityAssociations", CLUSTERS),
    of_its_name(Feature::Inventory, "eks:DescribePodIdentityAssociation", ASSOCIATIONS),
    of_its_name(Feature::Inventory, "eks:ListIdentityProviderConfigs", CLUSTERS),
    of_its_name(Feature::Inventory, "eks:DescribeIdentityProviderConfig", PROVIDERS),
    of_its_name(Feature::Inventory, "iam:GetRole", "arn:aws:iam::ACCOUNT:role/*"),
    of_its_name(Feature::Inventory, "iam:GetUser", "arn:aws:iam::ACCOUNT:user/*"),
    of_its_name(
        Feature::Inventory,
        "iam:ListRoles",
        "arn:aws:iam::ACCOUNT:role/aws-reserved/sso.amazonaws.com/*",
    ),
    of_its_name(Feature::Inventory, "cloudtrail:DescribeTrails", "*"),
    of_its_name(Feature::Trail, "cloudtrail:DescribeTrails", "*"),
    of_its_name(
        Feature::Trail,
        "cloudtrail:GetTrailStatus",
        "arn:aws:cloudtrail:*:ACCOUNT:trail/*",
    ),
    of_its_name(
        Feature::Trail,
        "cloudtrail:GetEventSelectors",
        "arn:aws:cloudtrail:*:ACCOUNT:trail/*",
    ),
    of_its_name(Feature::Verify, "cloudtrail:ListPublicKeys", "*"),
    of_its_name(Feature::LookupEvents, "cloudtrail:LookupEvents", "*"),
    // Allowed to everybody, whatever a policy says.
    call(Feature::LookupEvents, "sts:GetCallerIdentity", "", ""),
    of_its_name(Feature::AssumeRole, "sts:AssumeRole", "arn:aws:iam::ACCOUNT:role/ROLE"),
];

/// A request to the Kubernetes API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rule {
    /// `get`, `list`
    pub verb: &'static str,
    /// API group; empty for the core.
    pub group: &'static str,
    /// Plural; a path that begins with `/` is none of a resource.
    pub resource: &'static str,
    /// The only object of that name; empty for all.
    pub name: &'static str,
}

const RBAC: &str = "rbac.authorization.k8s.io";

const fn list(group: &'static str, resource: &'static str) -> Rule {
    Rule { verb: "list", group, resource, name: "" }
}

const fn path(resource: &'static str) -> Rule {
    Rule { verb: "get", group: "", resource, name: "" }
}

/// Every request to Kubernetes.
pub const RULES: &[Rule] = &[
    list(RBAC, "clusterroles"),
    list(RBAC, "clusterrolebindings"),
    list(RBAC, "roles"),
    list(RBAC, "rolebindings"),
    list("", "serviceaccounts"),
    list("", "namespaces"),
    list("", "secrets"),
    Rule { verb: "get", group: "", resource: "configmaps", name: "aws-auth" },
    path("/api/*"),
    path("/apis"),
    path("/apis/*"),
    path("/.well-known/openid-configuration"),
];

/// The statement that allows `action` on `resource`, in one line. `resource` counts where it is an
/// ARN or `*`, else what the table says.
#[must_use]
pub fn statement(action: &str, resource: &str) -> String {
    let known = CALLS.iter().find(|call| call.action == action).map(|call| call.resource);
    let is_arn = resource == "*" || resource.starts_with("arn:");
    let resource = if is_arn { resource } else { known.unwrap_or("*") };
    json!({ "Effect": "Allow", "Action": action, "Resource": resource }).to_string()
}

/// The rule that allows `verb` on the resource, as a line of a ClusterRole's `rules`.
#[must_use]
pub fn rule(verb: &str, resource: &str) -> String {
    let found = RULES.iter().find(|rule| rule.resource == resource && rule.verb == verb);
    found.map_or_else(String::new, |rule| format!("- {}", rule_value(rule)))
}

fn rule_value(rule: &Rule) -> Value {
    if rule.resource.starts_with('/') {
        return json!({ "nonResourceURLs": [rule.resource], "verbs": [rule.verb] });
    }
    let mut value =
        json!({ "apiGroups": [rule.group], "resources": [rule.resource], "verbs": [rule.verb] });
    if let (false, Some(members)) = (rule.name.is_empty(), value.as_object_mut()) {
        members.insert("resourceNames".to_owned(), json!([rule.name]));
    }
    value
}

/// The least IAM policy of the features, as JSON. Upper-case words are to be filled in.
#[must_use]
pub fn policy(features: &[Feature]) -> String {
    let mut statements = Vec::new();
    for feature in features {
        let of_feature = || CALLS.iter().filter(|call| call.feature == *feature);
        let mut resources: Vec<&str> = Vec::new();
        for call in of_feature().filter(|call| !call.action.is_empty()) {
            if !resources.contains(&call.resource) {
                resources.push(call.resource);
            }
        }
        for (n, resource) in resources.iter().enumerate() {
            let actions: Vec<&str> = of_feature()
                .filter(|call| call.resource == *resource && !call.action.is_empty())
                .map(|call| call.action)
                .collect();
            let number = if n == 0 { String::new() } else { (n + 1).to_string() };
            let mut members = Map::new();
            members.insert("Sid".to_owned(), json!(format!("{}{number}", feature.as_str())));
            members.insert("Effect".to_owned(), json!("Allow"));
            members.insert("Action".to_owned(), json!(actions));
            members.insert("Resource".to_owned(), json!(resource));
            statements.push(Value::Object(members));
        }
    }
    let policy = json!({ "Version": "2012-10-17", "Statement": statements });
    // A JSON value always serialises.
    let mut text = serde_json::to_string_pretty(&policy).unwrap_or_default();
    text.push('\n');
    text
}

/// All features, in the order of the policy.
pub const FEATURES: [Feature; 7] = [
    Feature::ReadBuckets,
    Feature::WriteOutput,
    Feature::Inventory,
    Feature::Trail,
    Feature::LookupEvents,
    Feature::Verify,
    Feature::AssumeRole,
];

/// The least ClusterRole, as YAML.
#[must_use]
pub fn cluster_role() -> String {
    let mut text = "\
# What `overgrant inventory` and `audit --cluster` ask of the Kubernetes API, and no more. Bind it to a
# group of an access entry. Of secrets only names and owners of ServiceAccount tokens are fetched, but
# RBAC cannot say that: without that rule the finding on legacy tokens is missing, and nothing else.
# The paths are open to everybody who is authenticated, unless system:discovery was taken away.
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata:
  name: overgrant
rules:
"
    .to_owned();
    for rule in RULES {
        text.push_str(&format!("  - {}\n", rule_value(rule)));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statement_names_what_was_asked_or_what_the_table_knows() {
        let check = |action: &str, resource: &str, expected: &str| {
            assert_eq!(statement(action, resource), expected);
        };
        check(
            "iam:GetRole",
            "the roles",
            r#"{"Action":"iam:GetRole","Effect":"Allow","Resource":"arn:aws:iam::ACCOUNT:role/*"}"#,
        );
        check(
            "s3:ListBucket",
            "arn:aws:s3:::b",
            r#"{"Action":"s3:ListBucket","Effect":"Allow","Resource":"arn:aws:s3:::b"}"#,
        );
        assert_eq!(
            rule("get", "configmaps"),
            r#"- {"apiGroups":[""],"resourceNames":["aws-auth"],"resources":["configmaps"],"verbs":["get"]}"#
        );
        assert_eq!(rule("get", "/apis"), r#"- {"nonResourceURLs":["/apis"],"verbs":["get"]}"#);
    }

    #[test]
    fn nothing_is_asked_for_that_changes_anything_but_the_output() {
        for call in CALLS.iter().filter(|call| call.feature != Feature::WriteOutput) {
            let (_, verb) = call.action.split_once(':').unwrap_or(("", "Get"));
            let reads = ["Get", "List", "Describe", "Lookup", "Decrypt", "AssumeRole"];
            assert!(reads.iter().any(|read| verb.starts_with(read)), "{}", call.action);
        }
        assert!(RULES.iter().all(|rule| ["get", "list"].contains(&rule.verb)));
    }
}
