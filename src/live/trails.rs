//! Trails: which record the cluster's account, where one leaves its files, and what it leaves out.
//!
//! Output: `describe-trails` as the AWS CLI prints it, organisation trails among them; for one trail,
//! its bucket, the prefix of its files and what to know before trusting its silence. Sources:
//! <https://docs.aws.amazon.com/awscloudtrail/latest/APIReference/API_DescribeTrails.html>,
//! <https://docs.aws.amazon.com/awscloudtrail/latest/APIReference/API_GetEventSelectors.html>,
//! <https://docs.aws.amazon.com/awscloudtrail/latest/userguide/get-and-view-cloudtrail-log-files.html>.

use std::collections::BTreeSet;

use aws_sdk_cloudtrail::Client;
use aws_sdk_cloudtrail::operation::get_event_selectors::GetEventSelectorsOutput;
use aws_sdk_cloudtrail::types::{ReadWriteType, Trail};
use serde_json::{Value, json};

use super::Reach;
use super::answer::{sorted, why, without_nulls};
use crate::model::arn::Arn;

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

/// A trail, found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrailFiles {
    /// Trail ARN.
    pub arn: String,
    /// Bucket name.
    pub bucket: String,
    /// Prefix of the keys, `[prefix/]AWSLogs/…`.
    pub prefix: String,
    /// Where the trail was made.
    pub home_region: String,
    /// True when it records the accounts of an organisation.
    pub organization: bool,
    /// What to know before trusting its silence.
    pub warnings: Vec<String>,
}

/// Finds a trail by name or ARN: a name in `region` or that of the environment, as every role; an ARN
/// in its own region, as the role of its account.
///
/// # Errors
/// When there is none, or it cannot be described; in words.
pub async fn locate(
    reach: &Reach,
    trail: &str,
    region: Option<&str>,
) -> Result<TrailFiles, String> {
    let arn = Arn::parse(trail).filter(|arn| arn.service == "cloudtrail");
    let roles = arn.map_or_else(|| reach.everybody(), |arn| vec![reach.role_of(arn.account)]);
    let region = arn.map(|arn| arn.region).or(region).map(str::to_owned);
    let mut tried = BTreeSet::new();
    for role in roles {
        let config = reach.config(region.clone(), role).await?;
        let Some(asked) = config.region().map(|region| region.as_ref().to_owned()) else {
            return Err("no region is given; add --region or set AWS_REGION".to_owned());
        };
        let answer = Client::new(&config)
            .describe_trails()
            .trail_name_list(trail)
            .include_shadow_trails(true)
            .send()
            .await
            .map_err(|error| why("cloudtrail:DescribeTrails", "*", &error))?;
        let Some(found) = answer.trail_list().first() else {
            tried.insert(asked);
            continue;
        };
        let mut files = files_of(found)?;
        // Status and selectors are known where the trail was made.
        let config = if files.home_region == asked {
            config
        } else {
            reach.config(Some(files.home_region.clone()), role).await?
        };
        doubts(&Client::new(&config), found, &mut files).await;
        return Ok(files);
    }
    let tried = tried.into_iter().collect::<Vec<_>>().join(", ");
    Err(format!("no such trail in {tried}; a trail of one region is found by its ARN, or --region"))
}

fn files_of(trail: &Trail) -> Result<TrailFiles, String> {
    let text = |text: Option<&str>| text.unwrap_or_default().to_owned();
    let (arn, bucket) = (text(trail.trail_arn()), text(trail.s3_bucket_name()));
    let account = Arn::parse(&arn).map(|arn| arn.account.to_owned());
    let Some(account) = account.filter(|_| !bucket.is_empty()) else {
        return Err("cloudtrail:DescribeTrails answered without a bucket".to_owned());
    };
    let organization = trail.is_organization_trail() == Some(true);
    let base = match trail.s3_key_prefix().map(|prefix| prefix.trim_end_matches('/')) {
        Some(prefix) if !prefix.is_empty() => format!("{prefix}/AWSLogs"),
        _ => "AWSLogs".to_owned(),
    };
    // The organisation's id is in no answer, but every such id begins so.
    let prefix = if organization { format!("{base}/o-") } else { format!("{base}/{account}/") };
    let home_region = text(trail.home_region());
    Ok(TrailFiles { arn, bucket, prefix, home_region, organization, warnings: Vec::new() })
}

async fn doubts(client: &Client, trail: &Trail, files: &mut TrailFiles) {
    let arn = files.arn.clone();
    let mut warn = |what: String| files.warnings.push(format!("trail {arn} {what}"));
    if trail.is_multi_region_trail() != Some(true) {
        let home = trail.home_region().unwrap_or_default();
        warn(format!("records {home} alone: what happens in other regions is not seen"));
    }
    if trail.log_file_validation_enabled() != Some(true) {
        warn("has no log file validation: nobody can tell whether its files are whole".to_owned());
    }
    match client.get_trail_status().name(&arn).send().await {
        Ok(status) if status.is_logging() != Some(true) => {
            warn("is not logging: what happens now is not seen".to_owned());
        }
        Ok(status) => {
            if let Some(error) = status.latest_delivery_error().filter(|error| !error.is_empty()) {
                warn(format!("cannot deliver: {error}"));
            }
        }
        Err(error) => {
            let why = why("cloudtrail:GetTrailStatus", &arn, &error);
            warn(format!("may not be logging: {why}"));
        }
    }
    match client.get_event_selectors().trail_name(&arn).send().await {
        Ok(selectors) => left_out(&selectors).into_iter().for_each(warn),
        Err(error) => warn(format!(
            "may leave events out: {}",
            why("cloudtrail:GetEventSelectors", &arn, &error)
        )),
    }
}

/// What the selectors leave out of that which sessions are read from.
fn left_out(selectors: &GetEventSelectorsOutput) -> Vec<String> {
    let advanced = selectors.advanced_event_selectors();
    if advanced.is_empty() {
        let basic = selectors.event_selectors();
        let management: Vec<_> =
            basic.iter().filter(|one| one.include_management_events() == Some(true)).collect();
        // A trail without selectors takes all management events.
        if management.is_empty() && !basic.is_empty() {
            return vec!["takes no management events: no session can be seen".to_owned()];
        }
        let whole = |kind: Option<&ReadWriteType>| matches!(kind, None | Some(ReadWriteType::All));
        if !basic.is_empty() && !management.iter().any(|one| whole(one.read_write_type())) {
            return vec![
                "takes reads or writes alone: sessions are issued by reads, grants change by writes"
                    .to_owned(),
            ];
        }
        return Vec::new();
    }
    let fields_of_management = |selector: &aws_sdk_cloudtrail::types::AdvancedEventSelector| {
        let fields = selector.field_selectors();
        fields
            .iter()
            .any(|one| {
                one.field() == "eventCategory" && one.equals().iter().any(|is| is == "Management")
            })
            .then(|| {
                fields
                    .iter()
                    .filter(|one| one.field() != "eventCategory" && !harmless(one))
                    .map(|one| one.field().to_owned())
                    .collect::<Vec<_>>()
            })
    };
    let management: Vec<Vec<String>> = advanced.iter().filter_map(fields_of_management).collect();
    if management.is_empty() {
        return vec!["takes no management events: no session can be seen".to_owned()];
    }
    if management.iter().any(Vec::is_empty) {
        return Vec::new();
    }
    let fields: BTreeSet<String> = management.into_iter().flatten().collect();
    let fields = fields.into_iter().collect::<Vec<_>>().join(", ");
    vec![format!("selects management events by {fields}: sessions may be missing")]
}

/// Leaving out a service that neither issues credentials nor is EKS costs nothing.
fn harmless(field: &aws_sdk_cloudtrail::types::AdvancedFieldSelector) -> bool {
    let needed = |source: &String| super::lookup::SOURCES.iter().any(|needed| needed == source);
    let only_not_equals = field.equals().is_empty()
        && field.starts_with().is_empty()
        && field.ends_with().is_empty()
        && field.not_starts_with().is_empty()
        && field.not_ends_with().is_empty();
    field.field() == "eventSource" && only_not_equals && !field.not_equals().iter().any(needed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_a_trail_leaves_its_files() {
        let check = |prefix: Option<&str>, organization: bool, expected: &str| {
            let trail = Trail::builder()
                .trail_arn("arn:aws:cloudtrail:us-east-1:111122223333:trail/main")
                .s3_bucket_name("logs")
                .set_s3_key_prefix(prefix.map(str::to_owned))
                .is_organization_trail(organization)
                .home_region("us-east-1")
                .build();
            assert_eq!(files_of(&trail).unwrap().prefix, expected);
        };
        check(None, false, "AWSLogs/111122223333/");
        check(Some("a/b"), false, "a/b/AWSLogs/111122223333/");
        check(Some("a/"), true, "a/AWSLogs/o-");
        assert!(files_of(&Trail::builder().build()).is_err());
    }
}
