//! A CloudTrail record, the fields we read.
//!
//! Parameters and answers stay raw until the event source is known: only sts, eks, eks-auth and
//! rolesanywhere are looked into. Source:
//! <https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-event-reference-record-contents.html>.

use serde::Deserialize;

use super::find::{Found, Members};
use super::lenient::{Part, Raw, Text, Unread, part, read_or_repair};
use crate::model::fact::AwsCaller;
use crate::model::time::Micros;

/// One record. Absent fields are empty.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Record<'a> {
    /// Who.
    #[serde(borrow, default)]
    pub user_identity: Part<'a>,
    /// When, to the second.
    #[serde(borrow, default)]
    pub event_time: Text<'a>,
    /// `sts.amazonaws.com`
    #[serde(borrow, default)]
    pub event_source: Text<'a>,
    /// `AssumeRole`
    #[serde(borrow, default)]
    pub event_name: Text<'a>,
    /// `us-west-2`
    #[serde(borrow, default)]
    pub aws_region: Text<'a>,
    /// Address, or the name of a service.
    #[serde(borrow, default, rename = "sourceIPAddress")]
    pub source_ip_address: Text<'a>,
    /// Client.
    #[serde(borrow, default)]
    pub user_agent: Text<'a>,
    /// Set when the call failed.
    #[serde(borrow, default)]
    pub error_code: Text<'a>,
    /// Read by source.
    #[serde(borrow, default)]
    pub request_parameters: Part<'a>,
    /// Read by source.
    #[serde(borrow, default)]
    pub response_elements: Part<'a>,
    /// Unique per account.
    #[serde(borrow, default, rename = "eventID")]
    pub event_id: Text<'a>,
    /// `AwsApiCall`, …
    #[serde(borrow, default)]
    pub event_type: Text<'a>,
    /// `Management`, `Data`, `Insight`, …
    #[serde(borrow, default)]
    pub event_category: Text<'a>,
    /// Account that the record was delivered to.
    #[serde(borrow, default)]
    pub recipient_account_id: Text<'a>,
    /// Equal in the records that two accounts got of one call.
    #[serde(borrow, default, rename = "sharedEventID")]
    pub shared_event_id: Text<'a>,
    /// Set on a corrected copy.
    #[serde(borrow, default)]
    pub addendum: Part<'a>,
}

impl<'a> Record<'a> {
    /// A record that was found. `None` for one that must be parsed: a text that has an escape
    /// or is a number, a member twice, bytes that are no text.
    #[must_use]
    pub fn from_found(one: &Found, file: &'a [u8], members: &mut Members) -> Option<Self> {
        let text = simdutf8::basic::from_utf8(one.bytes(file)).ok().filter(|_| !one.odd)?;
        if !members.find(text.as_bytes()) {
            return None;
        }
        let mut record = Record::default();
        let mut seen = 0_u32;
        for member in members.of(text) {
            let (key, value) = member?;
            let (n, slot) = match key.as_bytes() {
                b"userIdentity" => (0, Slot::Part(&mut record.user_identity)),
                b"eventTime" => (1, Slot::Text(&mut record.event_time)),
                b"eventSource" => (2, Slot::Text(&mut record.event_source)),
                b"eventName" => (3, Slot::Text(&mut record.event_name)),
                b"awsRegion" => (4, Slot::Text(&mut record.aws_region)),
                b"sourceIPAddress" => (5, Slot::Text(&mut record.source_ip_address)),
                b"userAgent" => (6, Slot::Text(&mut record.user_agent)),
                b"errorCode" => (7, Slot::Text(&mut record.error_code)),
                b"requestParameters" => (8, Slot::Part(&mut record.request_parameters)),
                b"responseElements" => (9, Slot::Part(&mut record.response_elements)),
                b"eventID" => (10, Slot::Text(&mut record.event_id)),
                b"eventType" => (11, Slot::Text(&mut record.event_type)),
                b"eventCategory" => (12, Slot::Text(&mut record.event_category)),
                b"recipientAccountId" => (13, Slot::Text(&mut record.recipient_account_id)),
                b"sharedEventID" => (14, Slot::Text(&mut record.shared_event_id)),
                b"addendum" => (15, Slot::Part(&mut record.addendum)),
                _ => continue,
            };
            if seen & 1 << n != 0 {
                return None;
            }
            seen |= 1 << n;
            match slot {
                Slot::Part(part) => *part = Raw::part(value),
                Slot::Text(_) if value == "null" => {}
                Slot::Text(text) => *text = Text::plain(value)?,
            }
        }
        Some(record)
    }
}

/// Where a member goes.
enum Slot<'r, 'a> {
    Text(&'r mut Text<'a>),
    Part(&'r mut Part<'a>),
}

impl Record<'_> {
    /// Reads a record and hands it to `then`.
    ///
    /// # Errors
    /// When it is no JSON object.
    pub fn read<R>(bytes: &[u8], mut then: impl FnMut(&Record<'_>) -> R) -> Result<R, Unread> {
        read_or_repair(bytes, |bytes| {
            serde_json::from_slice::<Record<'_>>(bytes).map(|it| then(&it))
        })
    }
}

/// The caller that a `userIdentity` names.
#[must_use]
pub fn caller_of(identity: Part<'_>) -> AwsCaller {
    part::<UserIdentity<'_>>(identity).into_caller()
}

#[derive(Debug, Deserialize, Default)]
#[serde(rename_all = "camelCase")]
struct UserIdentity<'a> {
    #[serde(borrow, default, rename = "type")]
    kind: Text<'a>,
    #[serde(borrow, default)]
    principal_id: Text<'a>,
    #[serde(borrow, default)]
    arn: Text<'a>,
    #[serde(borrow, default)]
    account_id: Text<'a>,
    #[serde(borrow, default)]
    access_key_id: Text<'a>,
    #[serde(borrow, default)]
    user_name: Text<'a>,
    #[serde(borrow, default)]
    invoked_by: Text<'a>,
    #[serde(borrow, default)]
    session_context: Part<'a>,
    #[serde(borrow, default)]
    on_behalf_of: Part<'a>,
}

#[derive(Debug, Deserialize, Default)]
#[serde(rename_all = "camelCase")]
struct OnBehalfOf<'a> {
    #[serde(borrow, default)]
    user_id: Text<'a>,
}

#[derive(Debug, Deserialize, Default)]
#[serde(rename_all = "camelCase")]
struct SessionContext<'a> {
    #[serde(borrow, default)]
    session_issuer: Part<'a>,
    #[serde(borrow, default)]
    attributes: Part<'a>,
    #[serde(borrow, default)]
    source_identity: Text<'a>,
}

#[derive(Debug, Deserialize, Default)]
#[serde(rename_all = "camelCase")]
struct SessionIssuer<'a> {
    #[serde(borrow, default)]
    principal_id: Text<'a>,
    #[serde(borrow, default)]
    arn: Text<'a>,
    #[serde(borrow, default)]
    user_name: Text<'a>,
}

#[derive(Debug, Deserialize, Default)]
#[serde(rename_all = "camelCase")]
struct Attributes<'a> {
    #[serde(borrow, default)]
    creation_date: Text<'a>,
}

impl UserIdentity<'_> {
    fn into_caller(self) -> AwsCaller {
        let context: SessionContext<'_> = part(self.session_context);
        let issuer: SessionIssuer<'_> = part(context.session_issuer);
        let attributes: Attributes<'_> = part(context.attributes);
        let person: OnBehalfOf<'_> = part(self.on_behalf_of);
        AwsCaller {
            kind: self.kind.to_owned(),
            principal_id: self.principal_id.to_owned(),
            arn: self.arn.to_owned(),
            account: self.account_id.to_owned(),
            access_key_id: self.access_key_id.to_owned(),
            issuer_arn: issuer.arn.to_owned(),
            issuer_id: issuer.principal_id.to_owned(),
            issuer_name: issuer.user_name.to_owned(),
            created_at: Micros::parse(attributes.creation_date.as_str()),
            source_identity: context.source_identity.to_owned(),
            invoked_by: self.invoked_by.to_owned(),
            user_name: self.user_name.to_owned(),
            on_behalf_of: person.user_id.to_owned(),
        }
    }
}

/// `requestParameters` of the STS calls that issue credentials.
#[derive(Debug, Deserialize, Default)]
#[serde(rename_all = "camelCase")]
pub struct AssumeRoleRequest<'a> {
    /// May be percent-encoded.
    #[serde(borrow, default)]
    pub role_arn: Text<'a>,
    /// Session name.
    #[serde(borrow, default)]
    pub role_session_name: Text<'a>,
    /// Name of a federation token.
    #[serde(borrow, default)]
    pub name: Text<'a>,
    /// `sourceIdentity`
    #[serde(borrow, default)]
    pub source_identity: Text<'a>,
    /// `[{"key":…,"value":…}]`
    #[serde(borrow, default)]
    pub tags: Part<'a>,
    /// `{"key":"value"}`: with SAML and web identity.
    #[serde(borrow, default)]
    pub principal_tags: Part<'a>,
    /// Keys that pass on.
    #[serde(borrow, default)]
    pub transitive_tag_keys: Part<'a>,
    /// SAML provider.
    #[serde(borrow, default)]
    pub principal_arn: Text<'a>,
}

impl<'a> AssumeRoleRequest<'a> {
    /// Of what a record holds, without a parser where that can be.
    #[must_use]
    pub fn of(raw: Part<'a>, members: &mut Members) -> Self {
        let found = raw.and_then(|raw| {
            let mut all = Self::default();
            let keys = [
                "roleArn",
                "roleSessionName",
                "name",
                "sourceIdentity",
                "principalArn",
                "tags",
                "principalTags",
                "transitiveTagKeys",
            ];
            members.each(raw.get(), &keys, |n, value| {
                match n {
                    0 => all.role_arn = Text::read(value)?,
                    1 => all.role_session_name = Text::read(value)?,
                    2 => all.name = Text::read(value)?,
                    3 => all.source_identity = Text::read(value)?,
                    4 => all.principal_arn = Text::read(value)?,
                    5 => all.tags = Raw::part(value),
                    6 => all.principal_tags = Raw::part(value),
                    _ => all.transitive_tag_keys = Raw::part(value),
                }
                Some(())
            })?;
            Some(all)
        });
        found.unwrap_or_else(|| part(raw))
    }
}

/// One element of `tags`.
#[derive(Debug, Deserialize, Default)]
pub struct Tag<'a> {
    /// Key.
    #[serde(borrow, default, alias = "Key")]
    pub key: Text<'a>,
    /// Value.
    #[serde(borrow, default, alias = "Value")]
    pub value: Text<'a>,
}

/// `responseElements` of the same calls.
#[derive(Debug, Deserialize, Default)]
#[serde(rename_all = "camelCase")]
pub struct AssumeRoleAnswer<'a> {
    /// The issued credentials.
    #[serde(borrow, default)]
    pub credentials: Part<'a>,
    /// Absent when ec2, lambda or ecs assumed the role.
    #[serde(borrow, default)]
    pub assumed_role_user: Part<'a>,
    /// Web identity.
    #[serde(borrow, default)]
    pub subject_from_web_identity_token: Text<'a>,
    /// SAML subject.
    #[serde(borrow, default)]
    pub subject: Text<'a>,
    /// Web identity provider.
    #[serde(borrow, default)]
    pub provider: Text<'a>,
    /// `GetFederationToken`.
    #[serde(borrow, default)]
    pub federated_user: Part<'a>,
    /// Roles Anywhere: a list of answers.
    #[serde(borrow, default)]
    pub credential_set: Part<'a>,
    /// Roles Anywhere.
    #[serde(borrow, default)]
    pub role_arn: Text<'a>,
    /// Roles Anywhere.
    #[serde(borrow, default)]
    pub source_identity: Text<'a>,
}

impl<'a> AssumeRoleAnswer<'a> {
    /// Of what a record holds, without a parser where that can be.
    #[must_use]
    pub fn of(raw: Part<'a>, members: &mut Members) -> Self {
        let found = raw.and_then(|raw| {
            let mut all = Self::default();
            let keys = [
                "credentials",
                "assumedRoleUser",
                "federatedUser",
                "credentialSet",
                "subjectFromWebIdentityToken",
                "subject",
                "provider",
                "roleArn",
                "sourceIdentity",
            ];
            members.each(raw.get(), &keys, |n, value| {
                match n {
                    0 => all.credentials = Raw::part(value),
                    1 => all.assumed_role_user = Raw::part(value),
                    2 => all.federated_user = Raw::part(value),
                    3 => all.credential_set = Raw::part(value),
                    4 => all.subject_from_web_identity_token = Text::read(value)?,
                    5 => all.subject = Text::read(value)?,
                    6 => all.provider = Text::read(value)?,
                    7 => all.role_arn = Text::read(value)?,
                    _ => all.source_identity = Text::read(value)?,
                }
                Some(())
            })?;
            Some(all)
        });
        found.unwrap_or_else(|| part(raw))
    }
}

impl<'a> Credentials<'a> {
    /// Of what an answer holds, without a parser where that can be.
    #[must_use]
    pub fn of(raw: Part<'a>, members: &mut Members) -> Self {
        let found = raw.and_then(|raw| {
            let mut all = Self::default();
            members.each(raw.get(), &["accessKeyId", "expiration"], |n, value| {
                let text = if n == 0 { &mut all.access_key_id } else { &mut all.expiration };
                *text = Text::read(value)?;
                Some(())
            })?;
            Some(all)
        });
        found.unwrap_or_else(|| part(raw))
    }
}

/// `federatedUser`
#[derive(Debug, Deserialize, Default)]
#[serde(rename_all = "camelCase")]
pub struct FederatedUser<'a> {
    /// `ACCOUNT:name`
    #[serde(borrow, default)]
    pub federated_user_id: Text<'a>,
    /// `arn:aws:sts::ACCOUNT:federated-user/name`
    #[serde(borrow, default)]
    pub arn: Text<'a>,
}

/// `requestParameters` of the EKS calls that change who may do what. Path parameters may be
/// percent-encoded; the cluster is `name`, in newer models perhaps `clusterName`.
/// Source: <https://docs.aws.amazon.com/eks/latest/APIReference/API_Operations.html>.
#[derive(Debug, Deserialize, Default)]
#[serde(rename_all = "camelCase")]
pub struct EksRequest<'a> {
    /// Cluster.
    #[serde(borrow, default)]
    pub name: Text<'a>,
    /// Cluster.
    #[serde(borrow, default)]
    pub cluster_name: Text<'a>,
    /// IAM ARN of an entry.
    #[serde(borrow, default)]
    pub principal_arn: Text<'a>,
    /// Groups of an entry.
    #[serde(borrow, default)]
    pub kubernetes_groups: Part<'a>,
    /// Username of an entry.
    #[serde(borrow, default)]
    pub username: Text<'a>,
    /// Type of an entry.
    #[serde(borrow, default, rename = "type")]
    pub entry_type: Text<'a>,
    /// Access policy.
    #[serde(borrow, default)]
    pub policy_arn: Text<'a>,
    /// `{"type":…,"namespaces":[…]}`
    #[serde(borrow, default)]
    pub access_scope: Part<'a>,
    /// Of a ServiceAccount.
    #[serde(borrow, default)]
    pub namespace: Text<'a>,
    /// ServiceAccount.
    #[serde(borrow, default)]
    pub service_account: Text<'a>,
    /// Role of an association.
    #[serde(borrow, default)]
    pub role_arn: Text<'a>,
    /// Role that the first one assumes for the pod.
    #[serde(borrow, default)]
    pub target_role_arn: Text<'a>,
    /// `a-…`
    #[serde(borrow, default)]
    pub association_id: Text<'a>,
    /// `{"authenticationMode":…}`
    #[serde(borrow, default)]
    pub access_config: Part<'a>,
    /// `{"identityProviderConfigName":…}`
    #[serde(borrow, default)]
    pub oidc: Part<'a>,
    /// `{"name":…}`
    #[serde(borrow, default)]
    pub identity_provider_config: Part<'a>,
}

/// `responseElements` of the same calls.
#[derive(Debug, Deserialize, Default)]
#[serde(rename_all = "camelCase")]
pub struct EksAnswer<'a> {
    /// What is now.
    #[serde(borrow, default)]
    pub access_entry: Part<'a>,
    /// What is now, or was.
    #[serde(borrow, default)]
    pub association: Part<'a>,
    /// What is now.
    #[serde(borrow, default)]
    pub associated_access_policy: Part<'a>,
    /// A new cluster.
    #[serde(borrow, default)]
    pub cluster: Part<'a>,
    /// IAM ARN of an entry.
    #[serde(borrow, default)]
    pub principal_arn: Text<'a>,
}

/// `accessScope`
#[derive(Debug, Deserialize, Default)]
pub struct AccessScope<'a> {
    /// Globs.
    #[serde(borrow, default)]
    pub namespaces: Part<'a>,
}

/// `accessConfig`, `oidc`, `identityProviderConfig`, `cluster`: one or two texts of each.
#[derive(Debug, Deserialize, Default)]
#[serde(rename_all = "camelCase")]
pub struct EksDetail<'a> {
    /// `CONFIG_MAP`, `API_AND_CONFIG_MAP`, `API`.
    #[serde(borrow, default)]
    pub authentication_mode: Text<'a>,
    /// Of an OIDC provider.
    #[serde(borrow, default)]
    pub identity_provider_config_name: Text<'a>,
    /// Of a provider that goes.
    #[serde(borrow, default)]
    pub name: Text<'a>,
    /// Of a new cluster.
    #[serde(borrow, default)]
    pub arn: Text<'a>,
    /// Of a new cluster.
    #[serde(borrow, default)]
    pub access_config: Part<'a>,
}

/// `credentials`
#[derive(Debug, Deserialize, Default)]
#[serde(rename_all = "camelCase")]
pub struct Credentials<'a> {
    /// `ASIA…`
    #[serde(borrow, default)]
    pub access_key_id: Text<'a>,
    /// `Apr 16, 2024, 3:20:04 PM`, not ISO.
    #[serde(borrow, default)]
    pub expiration: Text<'a>,
}

/// `assumedRoleUser`
#[derive(Debug, Deserialize, Default)]
#[serde(rename_all = "camelCase")]
pub struct AssumedRoleUser<'a> {
    /// `AROA…:session`
    #[serde(borrow, default)]
    pub assumed_role_id: Text<'a>,
}
