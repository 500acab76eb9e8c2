//! Facts: what one log record states about one source, before anything is joined.
//!
//! `decode` and `extract` make them, `facts` removes copies and adds them up per hour, `join`
//! reads them. A fact never says whose grant was used; that needs the inventory.

use std::borrow::Cow;
use std::rc::Rc;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::permission::Permission;
use super::time::Micros;

/// A fact with what is needed to count it once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fact<'a> {
    /// Equal for all facts that one `Audit-ID` names, 0 where there is none: clients choose it, and
    /// one that names several requests is reported.
    pub group: u64,
    /// Equal for copies of one record (and for the stages of one audit event). The low 64 bits are
    /// 0 for an audit event that was cut before its own time; its whole copy has the same high bits.
    pub id: u128,
    /// Tells apart the facts that one record yields (impersonation yields two).
    pub ordinal: u8,
    /// Among unequal copies the smallest rank wins: addendum, then whole, then truncated; for
    /// audit events the final stage first.
    pub rank: u8,
    /// Event time.
    pub at: Micros,
    /// The object's name of an [`AccessFact`], which is not in its body: facts of many objects say the
    /// same but for it.
    pub name: Cow<'a, str>,
    /// What it says, shared by the facts that say the same.
    pub body: Rc<FactBody>,
}

impl Fact<'_> {
    /// With a name of its own.
    #[must_use]
    pub fn into_owned(self) -> Fact<'static> {
        Fact { name: Cow::Owned(self.name.into_owned()), ..self }
    }
}

/// The families of facts.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum FactBody {
    /// A request to a Kubernetes API server, or a review made on someone's behalf.
    Access(Box<AccessFact>),
    /// STS issued credentials, or refused to.
    Session(Box<SessionFact>),
    /// `GetCallerIdentity`: the mark that redeeming an EKS token leaves.
    Authentication(Box<AwsCallFact>),
    /// Any other AWS call by a principal of the inventory.
    AwsCall(Box<AwsCallFact>),
    /// Someone came to a cluster with an IAM token.
    Login(Box<LoginFact>),
    /// A grant was made, changed or taken away.
    Change(Box<ChangeFact>),
}

/// A Kubernetes user as an audit event shows it. AWS extras are filled only when `uid` proves
/// that the IAM authenticator wrote them.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct KubeUser {
    /// Empty when authentication failed.
    pub username: String,
    /// `aws-iam-authenticator:<account>:<AROA…>` for IAM principals, else a ServiceAccount's UID or
    /// empty.
    pub uid: String,
    /// Sorted, without repetition.
    pub groups: Vec<String>,
    /// `extra.accessKeyId`, the exact key to the STS session; empty when absent.
    pub access_key_id: String,
    /// `AROA…`/`AIDA…` from `uid`, else from `extra.principalId`; empty when absent.
    pub principal_id: String,
    /// `extra.sessionName`; empty for IAM users.
    pub session_name: String,
    /// `extra.arn`: the STS session ARN, or the user's ARN.
    pub arn: String,
    /// `extra.canonicalArn`: the IAM ARN without its path.
    pub canonical_arn: String,
    /// `authentication.kubernetes.io/credential-id`: `JTI=…` or `X509SHA256=…`.
    pub credential_id: String,
    /// `authentication.kubernetes.io/pod-name`.
    pub pod_name: String,
}

impl Via {
    /// The name in tables.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Via::Direct => "direct",
            Via::Impersonated => "impersonated",
            Via::Delegated => "delegated",
        }
    }
}

impl Decision {
    /// The name in tables.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Decision::Allow => "allow",
            Decision::Forbid => "forbid",
            Decision::Unknown => "unknown",
        }
    }
}

/// How a permission came to be used.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
pub enum Via {
    /// The caller asked for itself.
    #[default]
    Direct,
    /// Another caller asked as this subject (`--as`).
    Impersonated,
    /// A component asked a SubjectAccessReview about this subject.
    Delegated,
}

/// What the authorizer said.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
pub enum Decision {
    /// Allowed: use, whatever the status code was.
    Allow,
    /// Refused: never use.
    Forbid,
    /// No authorization annotation: authentication failed, or the event is an early stage.
    #[default]
    Unknown,
}

/// What the API server remarks about the ServiceAccount token of a request.
/// Source: <https://kubernetes.io/docs/reference/labels-annotations-taints/audit-annotations/>.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
pub enum TokenState {
    /// Nothing, or it was no such token.
    #[default]
    Unremarked,
    /// Its hour is over: only the grace period of rotation keeps it valid.
    Stale,
    /// It came out of a Secret and never expires.
    Legacy,
}

/// One authorised, refused or unauthenticated request.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct AccessFact {
    /// Cluster ARN.
    pub cluster: String,
    /// Who was authenticated.
    pub caller: KubeUser,
    /// How.
    pub via: Via,
    /// Whose rights decided: the caller, the impersonated user or the reviewed one. Only
    /// `username`, `uid` and `groups` are filled unless it is the caller. Empty where it is the
    /// caller, until facts are read back.
    pub subject: KubeUser,
    /// What was asked. Until facts are added up the object's name is beside it, in [`Fact::name`].
    pub permission: Permission,
    /// The answer.
    pub decision: Decision,
    /// `authorization.k8s.io/reason`, as written (for a review, `status.reason`).
    pub reason: String,
    /// First digit of the HTTP status, 0 when there was none.
    pub status_class: u8,
    /// `kubectl`, `datadog-agent`, `Go-http-client`, …: the product of the user agent, bounded.
    pub user_agent_family: String,
    /// `authentication.kubernetes.io/issued-credential-id` of a minted token; empty when absent.
    pub issued_credential_id: String,
    /// Of the caller's token.
    pub token: TokenState,
}

/// A line of the authenticator log.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct LoginFact {
    /// Cluster ARN.
    pub cluster: String,
    /// True when the principal was mapped to a user.
    pub granted: bool,
    /// IAM ARN, without path.
    pub arn: String,
    /// `AROA…`/`AIDA…`; empty when refused.
    pub principal_id: String,
    /// The user it became.
    pub username: String,
    /// Sorted.
    pub groups: Vec<String>,
    /// Why it was refused, as a code: `not_mapped`, `expired`, `other`.
    pub refusal: String,
}

/// What happened to a grant.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
pub enum ChangeKind {
    /// `CreateAccessEntry`
    #[default]
    EntryMade,
    /// `UpdateAccessEntry`
    EntryChanged,
    /// `DeleteAccessEntry`
    EntryDeleted,
    /// `AssociateAccessPolicy`
    PolicyAttached,
    /// `DisassociateAccessPolicy`
    PolicyDetached,
    /// `CreatePodIdentityAssociation`
    PodIdentityMade,
    /// `UpdatePodIdentityAssociation`
    PodIdentityChanged,
    /// `DeletePodIdentityAssociation`
    PodIdentityDeleted,
    /// `AssociateIdentityProviderConfig`
    ProviderAttached,
    /// `DisassociateIdentityProviderConfig`
    ProviderDetached,
    /// `UpdateClusterConfig` with an authentication mode.
    AuthModeChanged,
    /// `CreateCluster`
    ClusterMade,
    /// An audited create of a binding or role.
    ObjectMade,
    /// An audited update or patch of a binding, a role or aws-auth.
    ObjectChanged,
    /// An audited delete of one.
    ObjectDeleted,
}

impl ChangeKind {
    /// Every kind, in the order of their names in tables.
    pub const ALL: [(ChangeKind, &'static str); 15] = [
        (ChangeKind::EntryMade, "entry_made"),
        (ChangeKind::EntryChanged, "entry_changed"),
        (ChangeKind::EntryDeleted, "entry_deleted"),
        (ChangeKind::PolicyAttached, "policy_attached"),
        (ChangeKind::PolicyDetached, "policy_detached"),
        (ChangeKind::PodIdentityMade, "pod_identity_made"),
        (ChangeKind::PodIdentityChanged, "pod_identity_changed"),
        (ChangeKind::PodIdentityDeleted, "pod_identity_deleted"),
        (ChangeKind::ProviderAttached, "provider_attached"),
        (ChangeKind::ProviderDetached, "provider_detached"),
        (ChangeKind::AuthModeChanged, "auth_mode_changed"),
        (ChangeKind::ClusterMade, "cluster_made"),
        (ChangeKind::ObjectMade, "object_made"),
        (ChangeKind::ObjectChanged, "object_changed"),
        (ChangeKind::ObjectDeleted, "object_deleted"),
    ];

    /// The name in tables.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        Self::ALL.iter().find(|(kind, _)| *kind == self).map_or("", |(_, name)| name)
    }

    /// The kind of a name in tables.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(_, known)| *known == name).map(|(kind, _)| *kind)
    }
}

/// A grant was made, changed or taken away. Failed calls change nothing and are none of these.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct ChangeFact {
    /// Cluster ARN.
    pub cluster: String,
    /// What happened.
    pub kind: ChangeKind,
    /// IAM ARN of an entry; `namespace/serviceaccount`; `RoleBinding/ns/x`, `ClusterRole/x`,
    /// `aws-auth`; name of a provider; empty for the cluster itself.
    pub subject: String,
    /// Policy ARN, role ARN, `ClusterRole/x` or `Role/ns/x` of a binding, digest of a role's rules,
    /// authentication mode.
    pub reference: String,
    /// Association id.
    pub association_id: String,
    /// Groups of an entry; subjects of a binding as `Group:x`, `User:x`, `ServiceAccount:ns/x`; rows
    /// of aws-auth as `arn -> group`. Sorted.
    pub names: Vec<String>,
    /// True when `names` is all there is from now on, even if it is empty.
    pub replaces: bool,
    /// Namespaces of a policy's scope, sorted; empty for the whole cluster.
    pub namespaces: Vec<String>,
    /// Username of an entry.
    pub username: String,
    /// Type of an entry.
    pub entry_type: String,
    /// Who: IAM ARN of the role (with its path) or user, service, or Kubernetes username.
    pub actor: String,
    /// Key that signed, to find the session.
    pub actor_access_key_id: String,
    /// Service that acted for the caller.
    pub invoked_by: String,
}

/// What facts share is written as if it were in each.
mod shared {
    use std::sync::Arc;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<T: Serialize, S: Serializer>(
        value: &Arc<T>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        value.as_ref().serialize(to)
    }

    pub(super) fn deserialize<'a, T: Deserialize<'a>, D: Deserializer<'a>>(
        from: D,
    ) -> Result<Arc<T>, D::Error> {
        T::deserialize(from).map(Arc::new)
    }
}

/// The `userIdentity` of a CloudTrail record. Absent fields are empty.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct AwsCaller {
    /// `AssumedRole`, `IAMUser`, `AWSService`, …
    pub kind: String,
    /// `AROA…:session`, `AIDA…`, or a web identity's long form.
    pub principal_id: String,
    /// STS or IAM ARN.
    pub arn: String,
    /// Account of the caller.
    pub account: String,
    /// Key that signed; one session may show many.
    pub access_key_id: String,
    /// Role ARN with its path.
    pub issuer_arn: String,
    /// `AROA…` of the role.
    pub issuer_id: String,
    /// Role or user name.
    pub issuer_name: String,
    /// `sessionContext.attributes.creationDate`: the second in which the session was issued.
    pub created_at: Option<Micros>,
    /// `sessionContext.sourceIdentity`.
    pub source_identity: String,
    /// Service that acted for the caller.
    pub invoked_by: String,
    /// Name of an IAM user, or of a web or SAML identity.
    pub user_name: String,
    /// `onBehalfOf.userId`: the person of IAM Identity Center behind the session.
    pub on_behalf_of: String,
}

/// How credentials were issued.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
pub enum IssuedBy {
    /// `AssumeRole`.
    #[default]
    AssumeRole,
    /// `AssumeRoleWithSAML`.
    Saml,
    /// `AssumeRoleWithWebIdentity`; IRSA among them.
    WebIdentity,
    /// `AssumeRole` by `pods.eks.amazonaws.com`.
    PodIdentity,
    /// `GetSessionToken`.
    SessionToken,
    /// `GetFederationToken`.
    FederationToken,
    /// `AssumeRoot`.
    AssumeRoot,
    /// `CreateSession` of IAM Roles Anywhere.
    RolesAnywhere,
    /// TokenRequest: a ServiceAccount token.
    TokenRequest,
}

impl IssuedBy {
    /// The name in tables.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            IssuedBy::AssumeRole => "assume_role",
            IssuedBy::Saml => "saml",
            IssuedBy::WebIdentity => "web_identity",
            IssuedBy::PodIdentity => "pod_identity",
            IssuedBy::SessionToken => "session_token",
            IssuedBy::FederationToken => "federation_token",
            IssuedBy::AssumeRoot => "assume_root",
            IssuedBy::RolesAnywhere => "roles_anywhere",
            IssuedBy::TokenRequest => "token_request",
        }
    }

    /// The kind of a name in tables; `assume_role` for a name that is none.
    #[must_use]
    pub fn parse(name: &str) -> Self {
        [
            IssuedBy::Saml,
            IssuedBy::WebIdentity,
            IssuedBy::PodIdentity,
            IssuedBy::SessionToken,
            IssuedBy::FederationToken,
            IssuedBy::AssumeRoot,
            IssuedBy::RolesAnywhere,
            IssuedBy::TokenRequest,
        ]
        .into_iter()
        .find(|kind| kind.as_str() == name)
        .unwrap_or_default()
    }
}

/// Credentials that STS issued (`error` empty) or refused to issue.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct SessionFact {
    /// `recipientAccountId`.
    pub account: String,
    /// `awsRegion`.
    pub region: String,
    /// How.
    pub issued_by: IssuedBy,
    /// `requestParameters.roleArn`, percent-decoded.
    pub role_arn: String,
    /// `AROA…` from `assumedRoleUser.assumedRoleId`; empty for some service-assumed sessions. The
    /// cluster ARN of a ServiceAccount token; the user's id of a token for one.
    pub role_id: String,
    /// `roleSessionName`.
    pub session_name: String,
    /// Issued key, or `JTI=…` of a ServiceAccount token; empty when refused or withheld.
    pub access_key_id: String,
    /// `credentials.expiration`.
    pub expires_at: Option<Micros>,
    /// Who asked.
    #[serde(with = "shared")]
    pub source: Arc<AwsCaller>,
    /// `requestParameters.sourceIdentity`.
    pub source_identity: String,
    /// Session tags asked for, sorted by key.
    pub tags: Vec<(String, String)>,
    /// `transitiveTagKeys`, sorted.
    pub transitive_keys: Vec<String>,
    /// Identity provider ARN of a web identity or SAML session; audiences of a ServiceAccount token.
    pub provider: String,
    /// `subjectFromWebIdentityToken`, `subject`.
    pub subject: String,
    /// `sharedEventID`: equal in the records that the caller's and the role's account each got.
    pub shared_event_id: String,
    /// `errorCode`.
    pub error: String,
}

/// Any AWS call that matters only by who made it, where and whether it was refused.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct AwsCallFact {
    /// `recipientAccountId`.
    pub account: String,
    /// `awsRegion`.
    pub region: String,
    /// Who called; whoever calls does so again.
    #[serde(with = "shared")]
    pub caller: Arc<AwsCaller>,
    /// `s3.amazonaws.com`.
    pub event_source: String,
    /// `GetObject`.
    pub event_name: String,
    /// `errorCode`.
    pub error: String,
    /// True for data events, which most trails lack.
    pub data_event: bool,
    /// As in [`AccessFact::user_agent_family`].
    pub user_agent_family: String,
}
