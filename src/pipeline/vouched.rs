//! What digests say of the hours of a window: per account, region and hour the worst of its logs.

use std::collections::{BTreeMap, BTreeSet};

use super::PipelineError;
use super::scan::Work;
use super::trust::{self, Trust, is_signed_kind};
use crate::integrity::Status;
use crate::integrity::index::delivered;
use crate::ledger::entries::Entries;
use crate::model::coverage::LogStream;
use crate::model::time::{Hour, Window};

/// What is known of hours.
#[derive(Debug, Default)]
pub(super) struct Vouched {
    /// By account, region and hour.
    hours: BTreeMap<(String, String, Hour), Status>,
    /// Account and hour in which every log of every region is what CloudTrail wrote.
    verified: BTreeSet<(String, Hour)>,
    /// Hours of an account of which logs are missing.
    pub(super) missing: BTreeMap<String, BTreeSet<Hour>>,
}

impl Vouched {
    /// What is known of an hour of a stream; audit logs are signed by nobody.
    pub(super) fn of(&self, account: &str, region: &str, hour: Hour) -> Status {
        let key = (account.to_owned(), region.to_owned(), hour);
        self.hours.get(&key).copied().unwrap_or(Status::NotChecked)
    }

    /// True when a session that was issued then and there is in verified logs.
    pub(super) fn verified(&self, account: &str, hour: Hour) -> bool {
        !self.verified.is_empty() && self.verified.contains(&(account.to_owned(), hour))
    }
}

/// Of what is known, the worst counts.
fn worsen<K: Ord>(known: &mut BTreeMap<K, Status>, of: K, status: Status) {
    let worst = known.entry(of).or_insert(status);
    *worst = (*worst).max(status);
}

pub(super) fn of(
    trust: &Trust,
    entries: &Entries,
    work: &Work,
    window: Window,
    warnings: &mut Vec<String>,
) -> Result<Vouched, PipelineError> {
    let mut vouched = Vouched::default();
    let mut counts: BTreeMap<Status, u64> = BTreeMap::new();
    for entry in entries.iter() {
        let (_, entry) = entry?;
        let key = &entry.listed.name.1;
        if !is_signed_kind(key) {
            continue;
        }
        let outcome = entry.outcome()?;
        let status = trust.of_entry(&entry, outcome.hash);
        *counts.entry(status).or_default() += 1;
        let mut note = |account: &str, region: &str, hour: Hour| {
            let key = (account.to_owned(), region.to_owned(), hour);
            worsen(&mut vouched.hours, key, status);
        };
        for (stream, hour) in outcome.proofs.keys() {
            if let LogStream::CloudTrail { account, region } = stream {
                note(account, region, *hour);
            }
        }
        // Of a log that was not used nobody knows the hours: that of its delivery is one.
        if status == Status::Invalid
            && let Some((account, region, at)) = delivered(key)
        {
            note(&account, &region, at.hour());
        }
    }
    let missing = trust::missing(trust, work, window)?;
    if !missing.is_empty() {
        *counts.entry(Status::Missing).or_default() += u64::try_from(missing.len()).unwrap_or(0);
    }
    for finding in &missing {
        let Some((account, region, at)) = delivered(&finding.object) else { continue };
        // Delivery follows the event by minutes: the hour before may be in it too.
        for hour in [Hour(at.hour().0 - 1), at.hour()] {
            let key = (account.clone(), region.clone(), hour);
            worsen(&mut vouched.hours, key, Status::Missing);
            vouched.missing.entry(account.clone()).or_default().insert(hour);
        }
    }
    let mut worst: BTreeMap<(&str, Hour), Status> = BTreeMap::new();
    for ((account, _, hour), status) in &vouched.hours {
        worsen(&mut worst, (account, *hour), *status);
    }
    vouched.verified = worst
        .into_iter()
        .filter(|(_, status)| *status == Status::Valid)
        .map(|((account, hour), _)| (account.to_owned(), hour))
        .collect();
    let invalid = trust.findings.iter().filter(|found| found.status == Status::Invalid).count();
    if invalid > 0 {
        warnings.push(format!(
            "{invalid} digests are not what CloudTrail wrote: overgrant verify names them"
        ));
    }
    let bad = |status| counts.get(&status).copied().unwrap_or(0);
    for (status, what) in [
        (Status::Invalid, "are not what CloudTrail wrote"),
        (Status::Missing, "are named by digests and not there"),
        (Status::Unsigned, "lie in hours that digests cover, and none names them"),
        (Status::NotChecked, "are not checked: no digest covers them"),
    ] {
        if bad(status) > 0 {
            warnings.push(format!(
                "{} CloudTrail logs {what}: overgrant verify says more",
                bad(status)
            ));
        }
    }
    Ok(vouched)
}
