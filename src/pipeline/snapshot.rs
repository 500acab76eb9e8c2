//! Takes live snapshots of clusters and writes them: `overgrant inventory`.
//!
//! Input: a [`SnapshotPlan`]. Output: a folder per cluster and what to tell. A cluster that cannot be
//! taken does not keep the others back.

use std::path::PathBuf;

use super::{Events, PipelineError};
use crate::live::{self, LiveError, LivePlan, Step};
use crate::model::inventory::Hole;
use crate::report::snapshot::{Whose, write};

/// What to take and where to put it.
#[derive(Debug, Clone)]
pub struct SnapshotPlan {
    /// Which clusters and how to reach them.
    pub live: LivePlan,
    /// Folder that gets a folder per cluster.
    pub out: PathBuf,
}

/// A snapshot that was written.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// Cluster ARN.
    pub arn: String,
    /// Where it is.
    pub folder: PathBuf,
    /// What was read: things and how many.
    pub counts: Vec<(&'static str, usize)>,
    /// What could not be read, and why.
    pub holes: Vec<Hole>,
}

/// What came of it.
#[derive(Debug, Default)]
pub struct Snapshots {
    /// In the order asked for.
    pub written: Vec<Snapshot>,
    /// Clusters of which nothing could be taken.
    pub failed: Vec<LiveError>,
}

/// Takes and writes all of them.
///
/// # Errors
/// When no runtime starts or a folder cannot be written.
pub fn snapshot(plan: &SnapshotPlan, events: &mut dyn Events) -> Result<Snapshots, PipelineError> {
    let runtime = super::runtime()?;
    events.stage("clusters");
    let all = runtime.block_on(live::take(&plan.live, &mut |step| match step {
        Step::Total(n) => events.total(n, 0),
        Step::Done => events.object(0),
    }));
    let mut done = Snapshots::default();
    for one in all {
        match one {
            Ok(taken) => {
                let whose = Whose {
                    arn: &taken.arn,
                    name: &taken.name,
                    region: &taken.region,
                    account: &taken.account,
                };
                let folder = write(&plan.out, whose, &taken.files)?;
                let (arn, counts, holes) = (taken.arn, taken.counts, taken.holes);
                done.written.push(Snapshot { arn, folder, counts, holes });
            }
            Err(error) => done.failed.push(error),
        }
    }
    Ok(done)
}
