//! A Kubernetes audit event, the fields we read.
//!
//! Bodies stay raw; only those of access reviews are looked into. Source:
//! <https://kubernetes.io/docs/reference/config-api/apiserver-audit.v1/>.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::Deserialize;

use super::find::Members;
use super::lenient::{Part, Text, Unread, part, part_by, read_or_repair, set, set_part};

/// One event. Absent fields are empty.
#[derive(Debug, Deserialize, Default)]
#[serde(rename_all = "camelCase")]
pub struct Event<'a> {
    /// Chosen by the client if it wants to.
    #[serde(borrow, default, rename = "auditID", alias = "auditId", alias = "AuditID")]
    pub audit_id: Text<'a>,
    /// `RequestReceived`, `ResponseStarted`, `ResponseComplete`, `Panic`.
    #[serde(borrow, default)]
    pub stage: Text<'a>,
    /// Path and query.
    #[serde(borrow, default, rename = "requestURI")]
    pub request_uri: Text<'a>,
    /// `list`, or the lower-case method.
    #[serde(borrow, default)]
    pub verb: Text<'a>,
    /// Who was authenticated.
    #[serde(borrow, default)]
    pub user: Part<'a>,
    /// As whom, if it impersonated.
    #[serde(borrow, default)]
    pub impersonated_user: Part<'a>,
    /// Client.
    #[serde(borrow, default)]
    pub user_agent: Text<'a>,
    /// What, for resource requests.
    #[serde(borrow, default)]
    pub object_ref: Part<'a>,
    /// How it ended.
    #[serde(borrow, default)]
    pub response_status: Part<'a>,
    /// Body of the request.
    #[serde(borrow, default)]
    pub request_object: Part<'a>,
    /// Body of the answer.
    #[serde(borrow, default)]
    pub response_object: Part<'a>,
    /// When it came in; equal over all stages.
    #[serde(borrow, default)]
    pub request_received_timestamp: Text<'a>,
    /// Old events have only this.
    #[serde(borrow, default)]
    pub timestamp: Text<'a>,
    /// When the stage was reached.
    #[serde(borrow, default)]
    pub stage_timestamp: Text<'a>,
    /// Authorization and authentication notes.
    #[serde(borrow, default)]
    pub annotations: Part<'a>,
}

impl<'a> Event<'a> {
    /// Reads an event without a parser; `None` for one that a parser must look at. What no field is made
    /// of is only known to end where it must.
    #[must_use]
    pub fn find(event: &'a str, members: &mut Members) -> Option<Self> {
        let mut found = Event::default();
        members.each(event, |key, value| {
            Some(Some(match key {
                "auditID" | "auditId" | "AuditID" => set(&mut found.audit_id, value, 0)?,
                "stage" => set(&mut found.stage, value, 1)?,
                "requestURI" => set(&mut found.request_uri, value, 2)?,
                "verb" => set(&mut found.verb, value, 3)?,
                "user" => set_part(&mut found.user, value, 4),
                "impersonatedUser" => set_part(&mut found.impersonated_user, value, 5),
                "userAgent" => set(&mut found.user_agent, value, 6)?,
                "objectRef" => set_part(&mut found.object_ref, value, 7),
                "responseStatus" => set_part(&mut found.response_status, value, 8),
                "requestObject" => set_part(&mut found.request_object, value, 9),
                "responseObject" => set_part(&mut found.response_object, value, 10),
                "requestReceivedTimestamp" => {
                    set(&mut found.request_received_timestamp, value, 11)?
                }
                "timestamp" => set(&mut found.timestamp, value, 12)?,
                "stageTimestamp" => set(&mut found.stage_timestamp, value, 13)?,
                "annotations" => set_part(&mut found.annotations, value, 14),
                _ => return Some(None),
            }))
        })?;
        Some(found)
    }
}

impl Event<'_> {
    /// Reads an event and hands it to `then`.
    ///
    /// # Errors
    /// When it is no JSON object.
    pub fn read<R>(bytes: &[u8], mut then: impl FnMut(&Event<'_>) -> R) -> Result<R, Unread> {
        read_or_repair(bytes, |bytes| {
            serde_json::from_slice::<Event<'_>>(bytes).map(|it| then(&it))
        })
    }

    /// The annotations, as text.
    #[must_use]
    pub fn annotations(&self) -> BTreeMap<Cow<'_, str>, Text<'_>> {
        part(self.annotations)
    }
}

/// `user`, `impersonatedUser`, and the user of a review.
#[derive(Debug, Deserialize, Default)]
pub struct User<'a> {
    /// Name.
    #[serde(borrow, default, alias = "user")]
    pub username: Text<'a>,
    /// UID.
    #[serde(borrow, default)]
    pub uid: Text<'a>,
    /// Groups.
    #[serde(borrow, default)]
    pub groups: Part<'a>,
    /// Lists by key.
    #[serde(borrow, default)]
    pub extra: Part<'a>,
}

/// `objectRef`
#[derive(Debug, Deserialize, Default)]
#[serde(rename_all = "camelCase")]
pub struct ObjectRef<'a> {
    /// Absent for core.
    #[serde(borrow, default)]
    pub api_group: Text<'a>,
    /// Plural.
    #[serde(borrow, default)]
    pub resource: Text<'a>,
    /// `log`, `exec`, …
    #[serde(borrow, default)]
    pub subresource: Text<'a>,
    /// Namespace.
    #[serde(borrow, default)]
    pub namespace: Text<'a>,
    /// Name, also filled from the body of a create.
    #[serde(borrow, default)]
    pub name: Text<'a>,
}

impl<'a> ObjectRef<'a> {
    /// Reads it, without a parser where that can be.
    #[must_use]
    pub fn of(raw: Part<'a>, members: &mut Members) -> Self {
        part_by(raw, members, |object: &mut Self, key, value| {
            Some(Some(match key {
                "apiGroup" => set(&mut object.api_group, value, 0)?,
                "resource" => set(&mut object.resource, value, 1)?,
                "subresource" => set(&mut object.subresource, value, 2)?,
                "namespace" => set(&mut object.namespace, value, 3)?,
                "name" => set(&mut object.name, value, 4)?,
                _ => return Some(None),
            }))
        })
    }
}

impl<'a> ResponseStatus<'a> {
    /// Reads it, without a parser where that can be.
    #[must_use]
    pub fn of(raw: Part<'a>, members: &mut Members) -> Self {
        part_by(raw, members, |status: &mut Self, key, value| {
            Some(Some(match key {
                "code" => set(&mut status.code, value, 0)?,
                "message" => set(&mut status.message, value, 1)?,
                _ => return Some(None),
            }))
        })
    }
}

/// `responseStatus`
#[derive(Debug, Deserialize, Default)]
pub struct ResponseStatus<'a> {
    /// HTTP status.
    #[serde(borrow, default)]
    pub code: Text<'a>,
    /// Why, in the API server's words.
    #[serde(borrow, default)]
    pub message: Text<'a>,
}

/// A SubjectAccessReview, of which the request holds `spec` and the answer both.
#[derive(Debug, Deserialize, Default)]
pub struct Review<'a> {
    /// Who and what.
    #[serde(borrow, default)]
    pub spec: Part<'a>,
    /// The answer.
    #[serde(borrow, default)]
    pub status: Part<'a>,
}

/// `spec` of a review.
#[derive(Debug, Deserialize, Default)]
#[serde(rename_all = "camelCase")]
pub struct ReviewSpec<'a> {
    /// What, on a resource.
    #[serde(borrow, default)]
    pub resource_attributes: Part<'a>,
    /// What, on a path.
    #[serde(borrow, default)]
    pub non_resource_attributes: Part<'a>,
}

/// `resourceAttributes`
#[derive(Debug, Deserialize, Default)]
pub struct ResourceAttributes<'a> {
    /// Group.
    #[serde(borrow, default)]
    pub group: Text<'a>,
    /// Resource.
    #[serde(borrow, default)]
    pub resource: Text<'a>,
    /// Subresource.
    #[serde(borrow, default)]
    pub subresource: Text<'a>,
    /// Verb.
    #[serde(borrow, default)]
    pub verb: Text<'a>,
    /// Namespace.
    #[serde(borrow, default)]
    pub namespace: Text<'a>,
    /// Name.
    #[serde(borrow, default)]
    pub name: Text<'a>,
}

/// `nonResourceAttributes`
#[derive(Debug, Deserialize, Default)]
pub struct NonResourceAttributes<'a> {
    /// Path.
    #[serde(borrow, default)]
    pub path: Text<'a>,
    /// Verb.
    #[serde(borrow, default)]
    pub verb: Text<'a>,
}

/// `spec` of a TokenRequest.
#[derive(Debug, Deserialize, Default)]
#[serde(rename_all = "camelCase")]
pub struct TokenSpec<'a> {
    /// Whom it is for.
    #[serde(borrow, default)]
    pub audiences: Part<'a>,
    /// How long it lives.
    #[serde(borrow, default)]
    pub expiration_seconds: Text<'a>,
}

/// A binding or a role, as sent or answered.
#[derive(Debug, Deserialize, Default)]
#[serde(rename_all = "camelCase")]
pub struct RbacBody<'a> {
    /// `{"kind":…,"name":…}`
    #[serde(borrow, default)]
    pub role_ref: Part<'a>,
    /// `[{"kind":…,"namespace":…,"name":…}]`
    #[serde(borrow, default)]
    pub subjects: Part<'a>,
    /// Name and namespace.
    #[serde(borrow, default)]
    pub metadata: Part<'a>,
    /// Of a Role or ClusterRole.
    #[serde(borrow, default)]
    pub rules: Part<'a>,
    /// Of a ConfigMap.
    #[serde(borrow, default)]
    pub data: Part<'a>,
}

/// `metadata` of a ServiceAccount.
#[derive(Debug, Deserialize, Default)]
pub struct Annotated<'a> {
    #[serde(borrow, default)]
    annotations: Part<'a>,
}

impl Annotated<'_> {
    /// The IAM role that the webhook hands to its pods; empty where there is none.
    #[must_use]
    pub fn role_arn(&self) -> String {
        let all: BTreeMap<String, Text<'_>> = part(self.annotations);
        all.get("eks.amazonaws.com/role-arn").map(Text::to_owned).unwrap_or_default()
    }
}

/// `data` of aws-auth: YAML in texts.
#[derive(Debug, Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
pub struct AwsAuthData<'a> {
    /// Roles.
    #[serde(borrow)]
    pub map_roles: Cow<'a, str>,
    /// Users.
    #[serde(borrow)]
    pub map_users: Cow<'a, str>,
}

/// A reference to a role or a subject, and `metadata`.
#[derive(Debug, Deserialize, Default)]
pub struct Named<'a> {
    /// `ClusterRole`, `Group`, …
    #[serde(borrow, default)]
    pub kind: Text<'a>,
    /// Namespace.
    #[serde(borrow, default)]
    pub namespace: Text<'a>,
    /// Name.
    #[serde(borrow, default)]
    pub name: Text<'a>,
}

/// `status` of a review.
#[derive(Debug, Deserialize, Default)]
pub struct ReviewStatus<'a> {
    /// `true` or `false`.
    #[serde(borrow, default)]
    pub allowed: Text<'a>,
    /// The authorizer's words.
    #[serde(borrow, default)]
    pub reason: Text<'a>,
}
