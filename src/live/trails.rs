//! The trails that record the cluster's account: whether silence in a region proves anything.
//!
//! Output: `describe-trails` as the AWS CLI prints it, organisation trails among them. Source:
//! <https://docs.aws.amazon.com/awscloudtrail/latest/APIReference/API_DescribeTrails.html>.

use aws_sdk_cloudtrail::Client;
use serde_json::{Value, json};

use super::answer::{sorted, why, without_nulls};

/// Describes the trails.
pub(super) async fn read(client: &Client) -> Result<Value, String> {
    let answer = client
        .describe_trails()
        .include_shadow_trails(true)
        .send()
        .await
        .map_err(|error| why("cloudtrail:DescribeTrails", "*", &error))?;
    let trails = answer.trail_list().iter().map(|trail| {
        without_nulls(json!({
            "Name": trail.name(),
            "S3BucketName": trail.s3_bucket_name(),
            "S3KeyPrefix": trail.s3_key_prefix(),
            "IncludeGlobalServiceEvents": trail.include_global_service_events(),
            "IsMultiRegionTrail": trail.is_multi_region_trail(),
            "HomeRegion": trail.home_region(),
            "TrailARN": trail.trail_arn(),
            "LogFileValidationEnabled": trail.log_file_validation_enabled(),
            "IsOrganizationTrail": trail.is_organization_trail(),
        }))
    });
    Ok(json!({ "trailList": sorted(trails.collect()) }))
}
