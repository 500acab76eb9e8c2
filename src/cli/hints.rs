//! What to do next, for every error that does not say it by itself.

use std::error::Error;

use crate::live::LiveError;
use crate::pipeline::PipelineError;
use crate::pipeline::inputs::InputError;
use crate::publish::PublishError;
use crate::remedy::RemedyError;
use crate::report::ReportError;
use crate::source::{FetchError, SourceError};

const OF_PLACES: &str = "check the path; logs may also be s3://bucket/prefix";
const OF_BUCKETS: &str =
    "check credentials (AWS_PROFILE), region (--region) and the bucket's policy";
const OF_THE_DISK: &str = "check that --out can be written and the disk is not full";
const OF_MISTAKES: &str =
    "this is a mistake of overgrant: report it with what `overgrant --version` prints";

/// What to do about an error; nothing where its own words say it.
pub(super) fn hint(error: &PipelineError) -> Option<&'static str> {
    match error {
        PipelineError::Source(error) | PipelineError::Publish(PublishError::Source(error)) => {
            Some(of_source(error))
        }
        PipelineError::NoLogs { .. } => Some(
            "give the folder or prefix that holds AWSLogs/ or the audit log objects; --since and --until prune by delivery day",
        ),
        PipelineError::EmptyWindow { .. } => Some(
            "give a --since before --until; without --until the window ends when the newest inventory was taken",
        ),
        PipelineError::Policies { .. } => Some(
            "a table is {\"version\": DATE, \"policies\": [{\"name\": …, \"rules\": […]}]}; without --access-policies the one that ships is used",
        ),
        PipelineError::Start(_) => Some(
            "check that --out and the folder for temporary files (TMPDIR) can be written, and the limits of threads and memory (ulimit -a)",
        ),
        PipelineError::NoRun { .. } => {
            Some("give --from what was --out of a finished `overgrant audit`")
        }
        PipelineError::Remedy(RemedyError::UnknownGrant { .. }) => {
            Some("take grant_id from tables/verdicts of the same run")
        }
        PipelineError::PublicKeys { .. } => Some(
            "make the file with `aws cloudtrail list-public-keys --start-time … > FILE`, or leave --public-keys out to ask CloudTrail",
        ),
        PipelineError::Input(error) => of_input(error),
        PipelineError::Report(ReportError::Query { .. }) => {
            Some("give SQL more room with --memory, or judge a shorter window with --since")
        }
        error if error.is_of_writing() || is_of_the_disk(error) => Some(OF_THE_DISK),
        PipelineError::Facts(_) => Some(
            "facts or spill files were changed by someone else: run again, and with --rescan if that does not help",
        ),
        PipelineError::Worker
        | PipelineError::Remedy(RemedyError::Yaml(_))
        | PipelineError::Report(ReportError::Manifest(_)) => Some(OF_MISTAKES),
        // Their words say what to do.
        PipelineError::Report(_)
        | PipelineError::Publish(_)
        | PipelineError::Codec(_)
        | PipelineError::Ledger(_)
        | PipelineError::Expired { .. }
        | PipelineError::Named { .. }
        | PipelineError::Interrupted { .. } => None,
    }
}

fn of_source(error: &SourceError) -> &'static str {
    match error {
        SourceError::BadLocation { .. } | SourceError::Local { .. } => OF_PLACES,
        SourceError::S3 { .. } => OF_BUCKETS,
        SourceError::FileTooLarge { .. } => {
            "give --inventory a folder of snapshots and nothing else; logs go before the options"
        }
        SourceError::Fetch { source, .. } => match source {
            FetchError::Gone | FetchError::Changed => {
                "something else writes there: run again when it is done"
            }
            FetchError::Denied { .. } => {
                "add the statement, to the key's policy where it is kms:Decrypt"
            }
            FetchError::Expired { .. } => "renew the credentials and run again",
            FetchError::Failed { .. } => OF_BUCKETS,
        },
    }
}

fn of_input(error: &InputError) -> Option<&'static str> {
    match error {
        InputError::Trail { .. } => Some(
            "check the name and --region, or give trail:ARN; a trail of another account takes --role-arn",
        ),
        InputError::Lookup { .. } => Some(
            "check credentials (AWS_PROFILE) and --role-arn; what is kept is not asked for again",
        ),
        InputError::Cluster(LiveError::NotFound { .. }) => Some(
            "see `aws eks list-clusters`; another region takes --region, another account --role-arn",
        ),
        InputError::Cluster(LiveError::Describe { .. }) => Some(
            "check credentials (AWS_PROFILE) and --role-arn; see samples/deploy/iam-policy.json",
        ),
        InputError::Cluster(LiveError::NoRegion { .. })
        | InputError::Stopped { .. }
        | InputError::StoppedClusters => None,
    }
}

/// True when what the system said of a file is at the bottom of it.
fn is_of_the_disk(error: &PipelineError) -> bool {
    let mut cause: Option<&dyn Error> = Some(error);
    while let Some(error) = cause {
        if error.is::<std::io::Error>() {
            return true;
        }
        cause = error.source();
    }
    false
}
