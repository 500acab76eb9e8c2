//! The order of `overgrant verify`: digests, then every log, then what is not there.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use tokio::sync::mpsc;

use super::trust::{self, Trust, Verify, is_signed_kind};
use super::{Events, PipelineError, Stop, scan};
use crate::decode::gunzip::Limits;
use crate::integrity::chain::chain_of;
use crate::integrity::{Finding, Status};
use crate::model::time::Window;
use crate::source::budget::ByteBudget;
use crate::source::{Fetched, Location, S3Options, fetch_all};

/// Compressed bytes in flight.
const IN_FLIGHT: u64 = 64 << 20;
/// Requests in flight per thread.
const REQUESTS_PER_THREAD: usize = 32;

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
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(PipelineError::Start)?;
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
    let (logs, others): (Vec<_>, Vec<_>) = work
        .objects()
        .filter(|(_, object)| chain_of(&object.key).is_none())
        .cloned()
        .partition(|(_, object)| is_signed_kind(&object.key));
    verified.others = u64::try_from(others.len()).unwrap_or(u64::MAX);
    let count = u64::try_from(logs.len()).unwrap_or(u64::MAX);
    events.total(count, logs.iter().map(|(_, object)| object.size).sum());
    let mut found = read_logs(plan, &trust, logs, &runtime, events)?;
    found.extend(trust::missing(&trust, &work, plan.window));
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

fn read_logs(
    plan: &VerifyPlan,
    trust: &Trust,
    logs: Vec<(Arc<crate::source::Store>, crate::source::Object)>,
    runtime: &tokio::runtime::Runtime,
    events: &mut dyn Events,
) -> Result<Vec<Finding>, PipelineError> {
    let buckets: Vec<String> = logs.iter().map(|(store, _)| store.name().to_owned()).collect();
    let threads = plan.threads.max(1);
    let (sender, receiver) = mpsc::channel::<Fetched>(threads * 4);
    let receiver = Mutex::new(receiver);
    let (done_sender, done) = std::sync::mpsc::channel::<u64>();
    let budget = ByteBudget::new(IN_FLIGHT);
    let never = Stop::default();
    let in_flight = threads * REQUESTS_PER_THREAD;
    runtime.spawn(fetch_all(Arc::new(logs), budget, in_flight, never.flag(), sender));
    let work = |done: std::sync::mpsc::Sender<u64>| {
        let mut found = Vec::new();
        loop {
            // The lock is held while waiting for an object, never while working on one.
            let next = match receiver.lock() {
                Ok(mut receiver) => receiver.blocking_recv(),
                Err(_) => None,
            };
            let Some(fetched) = next else { break };
            let bucket = buckets.get(fetched.at).map(String::as_str).unwrap_or_default();
            let key = &fetched.object.key;
            let (status, why) = match &fetched.bytes {
                Ok(bytes) => {
                    let (status, why, _) = trust.of(bucket, key, bytes, plan.limits);
                    (status, why.to_owned())
                }
                Err(error) => (Status::NotChecked, error.to_string()),
            };
            let place =
                if bucket.is_empty() { key.clone() } else { format!("s3://{bucket}/{key}") };
            found.push(Finding { object: place, status, why });
            // Progress only: whether anybody listens changes nothing.
            done.send(fetched.object.size).ok();
        }
        found
    };
    std::thread::scope(|scope| {
        let handles: Vec<_> = (0..threads)
            .map(|_| {
                let done = done_sender.clone();
                let work = &work;
                scope.spawn(move || work(done))
            })
            .collect();
        drop(done_sender);
        for bytes in done {
            events.object(bytes);
        }
        let mut all = Vec::new();
        for handle in handles {
            all.extend(handle.join().map_err(|_| PipelineError::Worker)?);
        }
        Ok(all)
    })
}
