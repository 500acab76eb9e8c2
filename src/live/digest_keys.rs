//! The public keys with which CloudTrail signs digests: `ListPublicKeys`, one list per region.
//!
//! Source: <https://docs.aws.amazon.com/awscloudtrail/latest/APIReference/API_ListPublicKeys.html>.

use aws_sdk_cloudtrail::Client;
use aws_sdk_cloudtrail::primitives::DateTime;

use super::Reach;
use super::answer::why;
use crate::model::time::{MICROS_PER_SECOND, Micros};

/// Fingerprint and DER bytes of the keys that were in use between two instants.
///
/// # Errors
/// What AWS said, with the permission that it takes.
pub async fn of_region(
    reach: &Reach,
    region: &str,
    (since, until): (Micros, Micros),
) -> Result<Vec<(String, Vec<u8>)>, String> {
    let config = reach.config(Some(region.to_owned()), None).await?;
    let client = Client::new(&config);
    let at = |at: Micros| DateTime::from_secs(at.0.div_euclid(MICROS_PER_SECOND));
    let mut keys = Vec::new();
    let mut next: Option<String> = None;
    loop {
        let answer = client
            .list_public_keys()
            .start_time(at(since))
            .end_time(at(until))
            .set_next_token(next.clone())
            .send()
            .await
            .map_err(|error| why("cloudtrail:ListPublicKeys", "*", &error))?;
        for key in answer.public_key_list() {
            if let (Some(name), Some(value)) = (key.fingerprint(), key.value()) {
                keys.push((name.to_owned(), value.as_ref().to_vec()));
            }
        }
        let more = answer.next_token().map(str::to_owned);
        if more.is_none() || more == next {
            return Ok(keys);
        }
        next = more;
    }
}
