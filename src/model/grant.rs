//! Grants: the things one can delete, who they serve and what they allow.

use super::inventory::Subject;
use super::permission::ScopedRule;
use super::time::Micros;

/// How someone becomes a Kubernetes user and groups.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum IdentityKind {
    /// An access entry.
    AccessEntry,
    /// A mapRoles row.
    AwsAuthRole,
    /// A mapUsers row.
    AwsAuthUser,
    /// A mapAccounts row.
    AwsAuthAccount,
    /// An external OIDC provider.
    Oidc,
    /// A client certificate.
    X509,
    /// A ServiceAccount token.
    ServiceAccount,
    /// The hidden mapping of whoever created the cluster.
    ClusterCreator,
}

impl IdentityKind {
    /// The name in tables.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            IdentityKind::AccessEntry => "access_entry",
            IdentityKind::AwsAuthRole => "aws_auth_role",
            IdentityKind::AwsAuthUser => "aws_auth_user",
            IdentityKind::AwsAuthAccount => "aws_auth_account",
            IdentityKind::Oidc => "oidc",
            IdentityKind::X509 => "x509",
            IdentityKind::ServiceAccount => "service_account",
            IdentityKind::ClusterCreator => "cluster_creator",
        }
    }
}

/// True for a text that an access entry takes neither as username nor as group.
/// Source: <https://docs.aws.amazon.com/eks/latest/userguide/creating-access-entries.html>.
#[must_use]
pub fn has_reserved_prefix(text: &str) -> bool {
    ["system:", "eks:", "aws:", "amazon:", "iam:"].iter().any(|prefix| text.starts_with(prefix))
}

/// What kind of deletable thing a grant is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum GrantKind {
    /// Entry × access policy.
    AccessPolicy,
    /// Entry × Kubernetes group.
    EntryGroup,
    /// aws-auth row × group.
    AwsAuthGroup,
    /// Binding × subject.
    RbacSubject,
    /// Hidden cluster creator.
    Superuser,
    /// ServiceAccount → IAM role by association.
    PodIdentity,
    /// ServiceAccount → IAM role by annotation.
    Irsa,
    /// A mapping that leads to no permission.
    None,
}

impl GrantKind {
    /// The name in tables.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            GrantKind::AccessPolicy => "access_policy",
            GrantKind::EntryGroup => "entry_group",
            GrantKind::AwsAuthGroup => "aws_auth_group",
            GrantKind::RbacSubject => "rbac_subject",
            GrantKind::Superuser => "superuser",
            GrantKind::PodIdentity => "pod_identity",
            GrantKind::Irsa => "irsa",
            GrantKind::None => "none",
        }
    }
}

/// Why a mapping or grant cannot be exercised.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Ineffective {
    /// aws-auth in mode API.
    InertAwsAuth,
    /// aws-auth row of a principal that has an effective access entry.
    OverriddenByEntry,
    /// A later aws-auth row for the same ARN wins.
    OverriddenByRow,
    /// An aws-auth `rolearn` with a path.
    NeverMatches,
    /// The role or user was deleted and made again after the entry.
    RecreatedPrincipal,
    /// The role or user no longer exists.
    DeletedPrincipal,
    /// No binding names the group, and no policy is attached.
    UnboundGroup,
    /// The mapping has no policy, no group and no bound username.
    NoPermission,
    /// The binding's role does not exist.
    DanglingRole,
    /// The binding's ServiceAccount, or its namespace, does not exist.
    DanglingSubject,
    /// No identity of the cluster can carry this username or group.
    NoSuchSubject,
    /// The role's trust policy does not let the ServiceAccount in.
    TrustDenies,
    /// The access-entry API is off in mode CONFIG_MAP.
    EntriesDisabled,
    /// The role grants no rule.
    EmptyRole,
    /// It was taken away within the window.
    Deleted,
    /// The role was made by IAM Identity Center, which has since made it again under another suffix.
    ReprovisionedSsoRole,
}

impl Ineffective {
    /// The name in tables.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Ineffective::InertAwsAuth => "inert_aws_auth",
            Ineffective::OverriddenByEntry => "overridden_by_entry",
            Ineffective::OverriddenByRow => "overridden_by_row",
            Ineffective::NeverMatches => "never_matches",
            Ineffective::RecreatedPrincipal => "recreated_principal",
            Ineffective::DeletedPrincipal => "deleted_principal",
            Ineffective::UnboundGroup => "unbound_group",
            Ineffective::NoPermission => "no_permission",
            Ineffective::DanglingRole => "dangling_role",
            Ineffective::DanglingSubject => "dangling_subject",
            Ineffective::NoSuchSubject => "no_such_subject",
            Ineffective::TrustDenies => "trust_denies",
            Ineffective::EntriesDisabled => "entries_disabled",
            Ineffective::EmptyRole => "empty_role",
            Ineffective::Deleted => "deleted",
            Ineffective::ReprovisionedSsoRole => "reprovisioned_sso_role",
        }
    }
}

/// A row of the table `identities`: someone becomes a user with groups.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Cluster ARN.
    pub cluster: String,
    /// Which mapping.
    pub kind: IdentityKind,
    /// IAM ARN as configured, `ns/sa`, provider name; empty for the hidden creator.
    pub principal: String,
    /// `AROA…`/`AIDA…` where the inventory knows it.
    pub principal_id: Option<String>,
    /// With templates, as configured.
    pub username: String,
    /// Sorted. `system:authenticated` is implied and not listed.
    pub groups: Vec<String>,
    /// Access-entry type.
    pub entry_type: Option<String>,
    /// `None` when it works.
    pub ineffective: Option<Ineffective>,
    /// When it was made.
    pub created_at: Option<Micros>,
    /// When it was last changed, where the inventory says it.
    pub modified_at: Option<Micros>,
    /// Who made it, where the logs tell.
    pub created_by: Option<String>,
    /// The inventory file or ConfigMap it was read from.
    pub source: &'static str,
}

/// What a grant allows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Allows {
    /// These rules.
    Rules(Vec<ScopedRule>),
    /// Everything: `system:masters`.
    Everything,
    /// An access policy whose rules AWS does not publish.
    Unpublished,
    /// The inventory has a hole where the rules would be.
    Hole,
    /// AWS rights of a role, not Kubernetes rights.
    AwsRole,
}

/// Whose requests a grant can serve.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Holder {
    /// The IAM principal behind an access entry or an aws-auth row. An index into the identities.
    Identity(usize),
    /// Whoever carries this user, group or ServiceAccount.
    Subject(Subject),
}

/// A grant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// 16 hex digits over what the grant is, never over its scope.
    pub id: String,
    /// Cluster ARN.
    pub cluster: String,
    /// For people.
    pub cluster_name: String,
    /// Kind of thing.
    pub kind: GrantKind,
    /// The mapping it hangs on; for RBAC subjects what the subject is.
    pub identity_kind: Option<IdentityKind>,
    /// ARN, or Kubernetes user, group or `ns/sa`.
    pub principal: String,
    /// `AROA…`/`AIDA…`.
    pub principal_id: Option<String>,
    /// Policy ARN, group, `ClusterRoleBinding/x`, `RoleBinding/ns/x`, role ARN, `system:masters`.
    pub grant_ref: String,
    /// `ClusterRole/x`, `Role/ns/x`, policy ARN; several for a group, comma-joined, sorted.
    pub role_ref: String,
    /// `cluster` or `namespace`.
    pub scope: &'static str,
    /// Namespaces or globs, sorted; empty for cluster scope.
    pub namespaces: Vec<String>,
    /// `None` when it can be exercised.
    pub ineffective: Option<Ineffective>,
    /// First instant at which it could be used; `None` when nothing tells.
    pub valid_from: Option<Micros>,
    /// When it was taken away, if it is away.
    pub valid_to: Option<Micros>,
    /// Who granted it as it is now, where the logs tell.
    pub granted_by: Option<String>,
    /// True for what AWS put there, by an exact list.
    pub managed_by_aws: bool,
    /// True for what looks like AWS's or Kubernetes' own and is not: a default with something added,
    /// a customer's subject under a reserved name.
    pub impostor: bool,
    /// True when its members cannot be enumerated.
    pub open_ended: bool,
    /// For a group grant: the group that connects it to RBAC.
    pub group: Option<String>,
    /// Whose requests it serves.
    pub holder: Holder,
    /// What it allows.
    pub allows: Allows,
}

/// Someone whom a grant serves, from the inventory.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Member {
    /// Index into the grants.
    pub grant: usize,
    /// `AROA…`, or empty.
    pub principal_id: String,
    /// Username (template) of the identity.
    pub username: String,
    /// How the member becomes that user.
    pub via_identity: IdentityKind,
    /// Group that carries it, or empty.
    pub via_group: String,
}
