//! The order of `overgrant verify`: digests, then every log, then what is not there.

use std::collections::BTreeMap;

use super::fan_out::{Feed, fan_out};
use super::scan::Pick;
use super::trust::{self, Trust, Verify, is_signed_kind};
use super::{Events, PipelineError, Stop, scan};
use crate::decode::gunzip::Limits;
use crate::integrity::chain::chain_of;
use crate::integrity::{Finding, Status, name_of};
use crate::model::time::Window;
use crate::source::{Location, S3Options};

/// Compressed bytes in flight.
const IN_FLIGHT: u64 = 64 << 20;

/// What to verify.
#[derive(Debug, Clone)]
pub struct VerifyPlan {
    /// Where logs and digests are.
    pub logs: Vec<Location>,
    /// Deliveries of this window.
    pub window: Window,
    /// Keys.
    pub verify: Verify,
    /// How to reach S3.
    pub s3: S3Options,
    /// Threads that hash.
    pub threads: usize,
    /// Caps of decoding.
    pub limits: Limits,
}

/// What came of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Verified {
    /// Digests, by what is known of them.
    pub digests: BTreeMap<Status, u64>,
    /// Logs of CloudTrail, by what is known of them.
    pub logs: BTreeMap<Status, u64>,
    /// Objects that carry no digest.
    pub others: u64,
    /// Chains that were walked.
    pub chains: usize,
    /// All but what is valid, by object.
    pub findings: Vec<Finding>,
    /// For people.
    pub notes: Vec<String>,
}

impl Verified {
    /// True when something was changed, taken away or put there.
    #[must_use]
    pub fn tampered(&self) -> bool {
        [Status::Invalid, Status::Missing, Status::Unsigned]
            .iter()
            .any(|status| self.digests.contains_key(status) || self.logs.contains_key(status))
    }

    /// True when something that a digest could vouch for was not checked, or there is no such thing.
    #[must_use]
    pub fn incomplete(&self) -> bool {
        self.digests.contains_key(&Status::NotChecked)
            || self.logs.contains_key(&Status::NotChecked)
            || self.logs.is_empty()
    }
}

/// Verifies everything.
///
/// # Errors
/// When a location or the keys cannot be read.
pub fn verify(plan: &VerifyPlan, events: &mut dyn Events) -> Result<Verified, PipelineError> {
    let runtime = super::runtime()?;
    events.stage("list");
    let work = scan::list(&plan.logs, &plan.s3, plan.window, &runtime)?;
    scan::some_logs(&work, &plan.logs)?;
    events.stage("digests");
    let trust = trust::establish(&plan.verify, &work, plan.window, &runtime)?;
    let mut verified = Verified { chains: trust.chains, ..Verified::default() };
    for finding in &trust.findings {
        *verified.digests.entry(finding.status).or_default() += 1;
    }
    verified.findings.extend(trust.findings.iter().cloned());
    verified.notes.extend(trust.warnings.iter().chain(&trust.gaps).cloned());
    if trust.chains == 0 {
        verified.notes.push(
            "no digests were found: log file validation is off, or they lie under another prefix"
                .to_owned(),
        );
    }

    events.stage("verify");
    let mut logs = Vec::new();
    for (at, item) in (0_u32..).zip(work.objects.iter()) {
        let item = item?;
        if is_signed_kind(&item.object.key) {
            logs.push(Pick { day: item.day(), at, size: item.object.size });
        } else if chain_of(&item.object.key).is_none() {
            verified.others += 1;
        }
    }
    let load = work.load(logs, plan.threads.max(1), IN_FLIGHT);
    let read = |feed: &Feed<'_>| Ok::<_, PipelineError>(read_logs(plan, &trust, feed));
    let parts = fan_out(load, &Stop::default(), &runtime, events, read)?;
    let mut found: Vec<Finding> = parts.into_iter().flatten().collect();
    found.extend(trust::missing(&trust, &work, plan.window)?);
    for finding in &found {
        *verified.logs.entry(finding.status).or_default() += 1;
    }
    verified.findings.extend(found);
    verified.findings.retain(|finding| finding.status != Status::Valid);
    verified.findings.sort();
    for (folder, why) in work.unlisted.iter().chain(&work.unreadable) {
        verified.notes.push(format!("{folder} cannot be read: {why}"));
    }
    Ok(verified)
}

fn read_logs(plan: &VerifyPlan, trust: &Trust, feed: &Feed<'_>) -> Vec<Finding> {
    let mut found = Vec::new();
    while let Some(fetched) = feed.next() {
        let (bucket, key) = (fetched.store.name(), &fetched.object.key);
        let (status, why) = match &fetched.bytes {
            Ok(bytes) => {
                let (status, why, _) = trust.of(bucket, key, bytes, plan.limits);
                (status, why.to_owned())
            }
            Err(error) => (Status::NotChecked, error.to_string()),
        };
        found.push(Finding { object: name_of(bucket, key), status, why });
        feed.done(&fetched.object, 0, 0);
    }
    found
}
