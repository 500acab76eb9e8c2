//! A CloudTrail record, the fields we read.
//!
//! Parameters and answers stay raw until the event source is known: only sts, eks, eks-auth and
//! rolesanywhere are looked into. Source:
//! <https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-event-reference-record-contents.html>.

use serde::Deserialize;

use super::find::{Found, Members};
use super::lenient::{Part, Text, Unread, part, part_by, read_or_repair, set, set_part};
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
    /// A record that was found. `None` for one that must be parsed: with a member twice, or bytes that are
    /// no text.
    #[must_use]
    pub fn from_found(one: &Found, file: &'a [u8], members: &mut Members) -> Option<Self> {
        let text = simdutf8::basic::from_utf8(one.bytes(file)).ok().filter(|_| !one.odd)?;
        let mut record = Record::default();
        members.each(text, |key, value| {
            Some(Some(match key {
                "userIdentity" => set_part(&mut record.user_identity, value, 0),
                "eventTime" => set(&mut record.event_time, value, 1)?,
                "eventSource" => set(&mut record.event_source, value, 2)?,
                "eventName" => set(&mut record.event_name, value, 3)?,
                "awsRegion" => set(&mut record.aws_region, value, 4)?,
                "sourceIPAddress" => set(&mut record.source_ip_address, value, 5)?,
                "userAgent" => set(&mut record.user_agent, value, 6)?,
                "errorCode" => set(&mut record.error_code, value, 7)?,
                "requestParameters" => set_part(&mut record.request_parameters, value, 8),
                "responseElements" => set_part(&mut record.response_elements, value, 9),
                "eventID" => set(&mut record.event_id, value, 10)?,
                "eventType" => set(&mut record.event_type, value, 11)?,
                "eventCategory" => set(&mut record.event_category, value, 12)?,
                "recipientAccountId" => set(&mut record.recipient_account_id, value, 13)?,
                "sharedEventID" => set(&mut record.shared_event_id, value, 14)?,
                "addendum" => set_part(&mut record.addendum, value, 15),
                _ => return Some(None),
            }))
        })?;
        Some(record)
    }
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
        part_by(raw, members, |all: &mut Self, key, value| {
            Some(Some(match key {
                "roleArn" => set(&mut all.role_arn, value, 0)?,
                "roleSessionName" => set(&mut all.role_session_name, value, 1)?,
                "name" => set(&mut all.name, value, 2)?,
                "sourceIdentity" => set(&mut all.source_identity, value, 3)?,
                "principalArn" => set(&mut all.principal_arn, value, 4)?,
                "tags" => set_part(&mut all.tags, value, 5),
                "principalTags" => set_part(&mut all.principal_tags, value, 6),
                "transitiveTagKeys" => set_part(&mut all.transitive_tag_keys, value, 7),
                _ => return Some(None),
            }))
        })
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
        part_by(raw, members, |all: &mut Self, key, value| {
            Some(Some(match key {
                "credentials" => set_part(&mut all.credentials, value, 0),
                "assumedRoleUser" => set_part(&mut all.assumed_role_user, value, 1),
                "federatedUser" => set_part(&mut all.federated_user, value, 2),
                "credentialSet" => set_part(&mut all.credential_set, value, 3),
                "subjectFromWebIdentityToken" => {
                    set(&mut all.subject_from_web_identity_token, value, 4)?
                }
                "subject" => set(&mut all.subject, value, 5)?,
                "provider" => set(&mut all.provider, value, 6)?,
                "roleArn" => set(&mut all.role_arn, value, 7)?,
                "sourceIdentity" => set(&mut all.source_identity, value, 8)?,
                _ => return Some(None),
            }))
        })
    }
}

impl<'a> Credentials<'a> {
    /// Of what a record holds, without a parser where that can be.
    #[must_use]
    pub fn of(raw: Part<'a>, members: &mut Members) -> Self {
        part_by(raw, members, |all: &mut Self, key, value| {
            Some(Some(match key {
                "accessKeyId" => set(&mut all.access_key_id, value, 0)?,
                "expiration" => set(&mut all.expiration, value, 1)?,
                _ => return Some(None),
            }))
        })
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
