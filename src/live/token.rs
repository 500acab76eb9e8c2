//! The bearer token that the EKS authenticator takes: a presigned `GetCallerIdentity`.
//!
//! Input: credentials, a region and the cluster's name. Output: `k8s-aws-v1.` and the URL in base64
//! without padding. Minting is local; whoever redeems it is logged by CloudTrail in the caller's own
//! account. Source: <https://github.com/kubernetes-sigs/aws-iam-authenticator#api-authorization-from-outside-a-cluster>.

use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{
    SignableBody, SignableRequest, SignatureLocation, SigningError, SigningSettings, sign,
};
use aws_sigv4::sign::v4;
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;

use crate::model::arn::partition_of_region;
use crate::model::time::Micros;

const PREFIX: &str = "k8s-aws-v1.";
/// The header that binds a token to a cluster.
const CLUSTER_HEADER: &str = "x-k8s-aws-id";
/// The authenticator refuses longer ones.
const EXPIRES: Duration = Duration::from_mins(1);

/// Why no token can be made.
#[derive(Debug, thiserror::Error)]
pub(super) enum TokenError {
    /// The request does not sign.
    #[error("the token does not sign")]
    Sign(#[from] SigningError),
    /// Something that the signature needs is missing.
    #[error("the token cannot be built: {0}")]
    Build(#[from] v4::signing_params::BuildError),
    /// The URL does not read.
    #[error("the token's URL does not read")]
    Url(#[from] http::Error),
}

/// A token for `cluster`.
pub(super) fn bearer(
    credentials: &Credentials,
    region: &str,
    cluster: &str,
    now: Micros,
) -> Result<String, TokenError> {
    let url = format!(
        "https://sts.{region}.{}/?Action=GetCallerIdentity&Version=2011-06-15",
        domain_of(region)
    );
    let mut settings = SigningSettings::default();
    settings.signature_location = SignatureLocation::QueryParams;
    settings.expires_in = Some(EXPIRES);
    let since_epoch = Duration::from_micros(u64::try_from(now.0).unwrap_or(0));
    let identity = credentials.clone().into();
    let params = v4::SigningParams::builder()
        .identity(&identity)
        .region(region)
        .name("sts")
        .time(SystemTime::UNIX_EPOCH + since_epoch)
        .settings(settings)
        .build()?
        .into();
    let headers = std::iter::once((CLUSTER_HEADER, cluster));
    let request = SignableRequest::new("GET", &url, headers, SignableBody::Bytes(&[]))?;
    let (instructions, _) = sign(request, &params)?.into_parts();
    let mut signed = http::Request::get(&url).body(())?;
    instructions.apply_to_request_http1x(&mut signed);
    Ok(format!("{PREFIX}{}", BASE64_URL_SAFE_NO_PAD.encode(signed.uri().to_string())))
}

/// Source: <https://docs.aws.amazon.com/general/latest/gr/sts.html>.
fn domain_of(region: &str) -> &'static str {
    match partition_of_region(region) {
        "aws-cn" => "amazonaws.com.cn",
        "aws-eusc" => "amazonaws.eu",
        "aws-iso" => "c2s.ic.gov",
        "aws-iso-b" => "sc2s.sgov.gov",
        _ => "amazonaws.com",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_a_presigned_call() {
        let credentials =
            Credentials::new("AKIDEXAMPLE", "secret", Some("session".to_owned()), None, "test");
        let now = Micros::parse("2026-11-24T09:10:11Z").unwrap();
        let token = bearer(&credentials, "us-west-2", "prod", now).unwrap();
        let encoded = token.strip_prefix("k8s-aws-v1.").unwrap();
        assert!(!encoded.contains('='));
        let url = String::from_utf8(BASE64_URL_SAFE_NO_PAD.decode(encoded).unwrap()).unwrap();
        let (place, query) = url.split_once('?').unwrap();
        assert_eq!(place, "https://sts.us-west-2.amazonaws.com/");
        for part in [
            "Action=GetCallerIdentity",
            "Version=2011-06-15",
            "X-Amz-Algorithm=AWS4-HMAC-SHA256",
            "X-Amz-Credential=AKIDEXAMPLE%2F20261124%2Fus-west-2%2Fsts%2Faws4_request",
            "X-Amz-Date=20261124T091011Z",
            "X-Amz-Expires=60",
            "X-Amz-SignedHeaders=host%3Bx-k8s-aws-id",
            "X-Amz-Security-Token=session",
        ] {
            assert!(query.split('&').any(|found| found == part), "{part} in {query}");
        }
        assert!(query.contains("X-Amz-Signature="));
        // Another cluster needs another signature.
        assert_ne!(token, bearer(&credentials, "us-west-2", "dev", now).unwrap());
        assert_eq!(domain_of("cn-north-1"), "amazonaws.com.cn");
        assert_eq!(domain_of("us-gov-west-1"), "amazonaws.com");
    }
}
