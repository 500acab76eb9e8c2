//! How the AWS APIs are reached: whose credentials, which region, how often a call is tried.
//!
//! Roles are one per account: what is asked of an account is asked as its role, and as the caller
//! himself where there is none. The first call of a role is made at once, so that a refusal is told
//! as what it is. Each throttled call waits by itself, longer each time. The SDK's adaptive mode is for
//! the event history alone, which has a budget of two calls a second: elsewhere one early refusal
//! holds a client to half a call a second (a snapshot of the samples then takes over a minute instead
//! of seconds). Source:
//! <https://docs.aws.amazon.com/sdkref/latest/guide/feature-retry-behavior.html>.

use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_config::sts::AssumeRoleProvider;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};

use super::answer::why;
use crate::model::arn::Arn;
use crate::model::needs::statement;

/// Attempts of one call; a cluster with thousands of entries is throttled for a while.
const MAX_ATTEMPTS: u32 = 8;
/// Longest wait for one attempt.
const ATTEMPT: Duration = Duration::from_secs(30);
/// Name of the sessions, as CloudTrail shows it.
const SESSION: &str = "overgrant";

/// How to reach AWS; empty means the default chain.
#[derive(Debug, Clone, Default)]
pub struct Reach {
    /// Roles to take, one per account.
    pub roles: Vec<String>,
    /// What their trust policies ask for.
    pub external_id: Option<String>,
    /// Endpoint of the AWS APIs, if not AWS's own.
    pub endpoint: Option<String>,
    /// Access key and secret, if not those of the default chain.
    pub credentials: Option<(String, String)>,
}

impl Reach {
    /// The role of an account.
    pub(super) fn role_of(&self, account: &str) -> Option<&str> {
        let of = |role: &&String| Arn::parse(role).is_some_and(|arn| arn.account == account);
        self.roles.iter().find(of).map(String::as_str)
    }

    /// As whom to look for something of which only the name is known: as every role, or as oneself.
    pub(super) fn everybody(&self) -> Vec<Option<&str>> {
        if self.roles.is_empty() {
            return vec![None];
        }
        self.roles.iter().map(|role| Some(role.as_str())).collect()
    }

    /// A configuration for one region as one role.
    pub(super) async fn config(
        &self,
        region: Option<String>,
        role: Option<&str>,
    ) -> Result<SdkConfig, String> {
        let retry = RetryConfig::standard().with_max_attempts(MAX_ATTEMPTS);
        let timeouts = TimeoutConfig::builder().operation_attempt_timeout(ATTEMPT).build();
        let mut loader = aws_config::defaults(BehaviorVersion::latest())
            .retry_config(retry)
            .timeout_config(timeouts);
        if let Some(region) = region {
            loader = loader.region(Region::new(region));
        }
        if let Some(endpoint) = &self.endpoint {
            loader = loader.endpoint_url(endpoint);
        }
        if let Some((key, secret)) = &self.credentials {
            loader =
                loader.credentials_provider(Credentials::new(key, secret, None, None, "given"));
        }
        let own = loader.load().await;
        let Some(role) = role else { return Ok(own) };
        let mut builder = AssumeRoleProvider::builder(role).session_name(SESSION).configure(&own);
        if let Some(id) = &self.external_id {
            builder = builder.external_id(id);
        }
        let provider = builder.build().await;
        provider.provide_credentials().await.map_err(|error| {
            format!(
                "sts:AssumeRole failed on {role}: {}; its trust policy must name this identity, and \
                 this identity needs {}",
                causes(&error),
                statement("sts:AssumeRole", role)
            )
        })?;
        let provider = SharedCredentialsProvider::new(provider);
        Ok(own.into_builder().credentials_provider(provider).build())
    }

    /// The account whose credentials these are.
    pub(super) async fn account(config: &SdkConfig) -> Result<String, String> {
        let asked = aws_sdk_sts::Client::new(config).get_caller_identity().send().await;
        let said = asked.map_err(|error| why("sts:GetCallerIdentity", "*", &error))?;
        said.account.ok_or_else(|| "sts:GetCallerIdentity answered without an account".to_owned())
    }
}

/// What AWS said, of an error that wraps it: the last cause says it.
fn causes(error: &dyn std::error::Error) -> String {
    let mut last = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        last = cause.to_string();
        source = cause.source();
    }
    last
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_account_has_its_role() {
        let roles = ["arn:aws:iam::1:role/a", "arn:aws:iam::2:role/b"];
        let reach = Reach { roles: roles.map(str::to_owned).to_vec(), ..Reach::default() };
        assert_eq!(reach.role_of("2"), Some(roles[1]));
        assert_eq!(reach.role_of("3"), None);
        assert_eq!(reach.everybody(), [Some(roles[0]), Some(roles[1])]);
        assert_eq!(Reach::default().everybody(), [None]);
    }
}
