//! What a cluster grants, as AWS and Kubernetes tools print it: one value per snapshot.
//!
//! `None` where a file was missing: a hole, never an empty list. What a hole would have held is
//! unobservable.

use super::permission::Rule;
use super::secret_names;
use super::time::Micros;

/// Which of the two IAM mappings a cluster consults.
/// Source: <https://docs.aws.amazon.com/eks/latest/userguide/setting-up-access-entries.html>.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AuthMode {
    /// Only the aws-auth ConfigMap.
    ConfigMap,
    /// Access entries first, then aws-auth.
    ApiAndConfigMap,
    /// Only access entries; aws-auth is inert.
    Api,
}

impl AuthMode {
    /// The name in the API and in tables.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            AuthMode::ConfigMap => "CONFIG_MAP",
            AuthMode::ApiAndConfigMap => "API_AND_CONFIG_MAP",
            AuthMode::Api => "API",
        }
    }
}

/// One snapshot of one cluster.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ClusterInventory {
    /// `arn:aws:eks:REGION:ACCOUNT:cluster/NAME`
    pub arn: String,
    /// For people; repeats across accounts and regions.
    pub name: String,
    /// Twelve digits.
    pub account: String,
    /// `us-west-2`
    pub region: String,
    /// When the snapshot was taken.
    pub captured_at: Micros,
    /// `describe-cluster`; `None` when cluster.json is missing.
    pub cluster: Option<Cluster>,
    /// `access-entries.json`
    pub access_entries: Option<Vec<AccessEntry>>,
    /// `pod-identity-associations.json`
    pub pod_identities: Option<Vec<PodIdentity>>,
    /// `identity-provider-configs.json`
    pub identity_providers: Option<Vec<OidcProvider>>,
    /// `iam-roles.json`
    pub iam_roles: Option<Vec<IamPrincipal>>,
    /// `iam-users.json`
    pub iam_users: Option<Vec<IamPrincipal>>,
    /// `kubernetes.json`
    pub kubernetes: Option<Kubernetes>,
    /// `api-resources.json`
    pub api_resources: Option<Vec<ApiResource>>,
    /// `trails.json`
    pub trails: Option<Vec<Trail>>,
    /// What the snapshot itself says it could not read, and what was missing or broken here.
    pub holes: Vec<Hole>,
    /// Files of which an empty list says that there is nothing; of others it may say that nobody
    /// asked.
    pub whole: Vec<String>,
}

/// Something a snapshot does not say.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Hole {
    /// The file or object.
    pub what: String,
    /// Why, for people.
    pub why: String,
}

/// `describe-cluster`, what matters of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cluster {
    /// Absent in old answers: then CONFIG_MAP.
    pub auth_mode: AuthMode,
    /// When the cluster was made.
    pub created_at: Option<Micros>,
    /// `1.33`
    pub version: String,
    /// `https://oidc.eks.REGION.amazonaws.com/id/ID`
    pub oidc_issuer: Option<String>,
    /// False when the cluster was made without rights for its creator, `None` when not said.
    pub creator_is_admin: Option<bool>,
    /// True when the `audit` log type is enabled, `None` when not said.
    pub audit_enabled: Option<bool>,
}

/// `describe-access-entry` with `list-associated-access-policies`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessEntry {
    /// IAM ARN, with its path.
    pub principal_arn: String,
    /// Names the principal's account and a uuid.
    pub arn: String,
    /// Sorted.
    pub groups: Vec<String>,
    /// With templates (`{{SessionName}}`).
    pub username: String,
    /// `STANDARD`, `EC2_LINUX`, …
    pub entry_type: String,
    /// When it was made.
    pub created_at: Option<Micros>,
    /// When it was last changed.
    pub modified_at: Option<Micros>,
    /// Sorted by policy ARN.
    pub policies: Vec<AssociatedPolicy>,
}

/// An access policy on an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AssociatedPolicy {
    /// `arn:aws:eks::aws:cluster-access-policy/NAME`
    pub policy_arn: String,
    /// `None` for the whole cluster, else namespace globs, sorted.
    pub namespaces: Option<Vec<String>>,
    /// When it was associated.
    pub associated_at: Option<Micros>,
    /// When its scope was last changed.
    pub modified_at: Option<Micros>,
}

/// A Pod Identity association.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PodIdentity {
    /// `a-…`
    pub id: String,
    /// Of the ServiceAccount.
    pub namespace: String,
    /// ServiceAccount name.
    pub service_account: String,
    /// Role in the cluster's account.
    pub role_arn: String,
    /// Role reached by a second hop.
    pub target_role_arn: Option<String>,
    /// True when sessions carry no tags.
    pub disable_session_tags: bool,
    /// When it was made.
    pub created_at: Option<Micros>,
    /// When its role or target was last changed.
    pub modified_at: Option<Micros>,
    /// The addon that owns it.
    pub owner_arn: Option<String>,
}

/// An external OIDC provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OidcProvider {
    /// Configuration name.
    pub name: String,
    /// `https://…`
    pub issuer_url: String,
    /// Audience.
    pub client_id: String,
    /// Default `sub`.
    pub username_claim: String,
    /// As configured; `-` means none, absent means `<issuer>#` unless the claim is `email`.
    pub username_prefix: Option<String>,
    /// Claim that lists groups.
    pub groups_claim: Option<String>,
    /// Put before each group.
    pub groups_prefix: Option<String>,
    /// `ACTIVE`, …
    pub status: String,
}

/// `get-role` or `get-user`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IamPrincipal {
    /// With its path.
    pub arn: String,
    /// `AROA…`, `AIDA…`
    pub id: String,
    /// When it was made.
    pub created_at: Option<Micros>,
    /// The trust policy, as JSON text; `None` for users or when not read.
    pub trust_policy: Option<String>,
}

/// Kind of a role.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RoleKind {
    /// `ClusterRole`
    ClusterRole,
    /// `Role`
    Role,
}

/// A Role or ClusterRole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Role {
    /// Which.
    pub kind: RoleKind,
    /// Empty for a ClusterRole.
    pub namespace: String,
    /// `metadata.name`
    pub name: String,
    /// As listed; for an aggregated role, what the controller filled in.
    pub rules: Vec<Rule>,
    /// True when an aggregationRule fills it.
    pub aggregated: bool,
    /// `metadata.creationTimestamp`
    pub created_at: Option<Micros>,
}

/// What a binding names.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Subject {
    /// A username, exact.
    User(String),
    /// A group, exact.
    Group(String),
    /// A ServiceAccount.
    ServiceAccount {
        /// Its namespace; a RoleBinding's own where the subject left it out.
        namespace: String,
        /// Its name.
        name: String,
    },
}

/// A RoleBinding (`namespace` set) or ClusterRoleBinding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binding {
    /// Empty for a ClusterRoleBinding.
    pub namespace: String,
    /// `metadata.name`
    pub name: String,
    /// Kind of the referenced role.
    pub role_kind: RoleKind,
    /// Name of the referenced role.
    pub role_name: String,
    /// Sorted, without repetition.
    pub subjects: Vec<Subject>,
    /// `metadata.creationTimestamp`
    pub created_at: Option<Micros>,
}

/// A ServiceAccount.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ServiceAccount {
    /// `metadata.namespace`
    pub namespace: String,
    /// `metadata.name`
    pub name: String,
    /// `eks.amazonaws.com/role-arn`: IRSA.
    pub role_arn: Option<String>,
    /// `eks.amazonaws.com/audience`, where it is not the default.
    pub audience: Option<String>,
    /// `metadata.creationTimestamp`
    pub created_at: Option<Micros>,
}

/// A row of mapRoles or mapUsers.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct AwsAuthRow {
    /// `rolearn` or `userarn`, as written.
    pub arn: String,
    /// With templates; empty when left out.
    pub username: String,
    /// As written, with templates.
    pub groups: Vec<String>,
    /// True when a later row for the same ARN replaces this one.
    pub overridden: bool,
}

/// The aws-auth ConfigMap.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AwsAuth {
    /// `mapRoles`, in order.
    pub roles: Vec<AwsAuthRow>,
    /// `mapUsers`, in order.
    pub users: Vec<AwsAuthRow>,
    /// `mapAccounts`, in order.
    pub accounts: Vec<String>,
}

/// Objects of the Kubernetes API, sorted by namespace and name.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Kubernetes {
    /// ClusterRoles and Roles.
    pub roles: Vec<Role>,
    /// ClusterRoleBindings and RoleBindings.
    pub bindings: Vec<Binding>,
    /// ServiceAccounts.
    pub service_accounts: Vec<ServiceAccount>,
    /// Namespace names.
    pub namespaces: Vec<String>,
    /// `None` when the ConfigMap does not exist.
    pub aws_auth: Option<AwsAuth>,
    /// Secrets of type `kubernetes.io/service-account-token`: namespace, name, ServiceAccount.
    pub token_secrets: Vec<(String, String, String)>,
}

impl Kubernetes {
    /// Puts marks in place of the names of Secrets.
    pub fn hide_secret_names(&mut self) {
        for role in &mut self.roles {
            let rules = std::mem::take(&mut role.rules);
            role.rules = rules.into_iter().flat_map(secret_names::hidden).collect();
        }
        for (_, name, _) in &mut self.token_secrets {
            *name = secret_names::mark(name);
        }
        self.token_secrets.sort();
    }
}

/// `kubectl api-resources`, one line.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ApiResource {
    /// Empty for core.
    pub api_group: String,
    /// `pods`, or `pods/log`.
    pub name: String,
    /// False for cluster-scoped kinds.
    pub namespaced: bool,
    /// Sorted.
    pub verbs: Vec<String>,
}

/// `describe-trails`, what matters of it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Trail {
    /// Trail name.
    pub name: String,
    /// Home region.
    pub home_region: String,
    /// True when it records every region.
    pub multi_region: bool,
    /// True for an organisation trail.
    pub organization: bool,
}
