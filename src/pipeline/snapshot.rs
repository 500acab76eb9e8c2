//! Takes live snapshots of clusters and writes them: `overgrant inventory`.
//!
//! Input: a [`SnapshotPlan`]. Output: a folder per cluster and what to tell. A cluster that cannot be
//! taken does not keep the others back.

use std::path::PathBuf;

use super::inputs::InputError;
use super::{Events, PipelineError, Stop};
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
    /// Set by whoever wants it to end early.
    pub stop: Stop,
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
/// When no runtime starts, a folder cannot be written, or somebody asks for the end.
pub fn snapshot(plan: &SnapshotPlan, events: &mut dyn Events) -> Result<Snapshots, PipelineError> {
    let runtime = super::runtime()?;
    events.stage("clusters");
    let all = runtime.block_on(async {
        let mut step = |step| match step {
            Step::Total(n) => events.total(n, 0),
            Step::Done => events.object(0),
        };
        tokio::select! {
            all = live::take(&plan.live, &mut step) => Some(all),
            () = plan.stop.asked() => None,
        }
    });
    let all = all.ok_or(InputError::StoppedClusters)?;
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
