//! Adds entries up for a window: counters, deliveries, rejects.

use std::collections::BTreeSet;

use super::LedgerError;
use super::entries::Entries;
use crate::model::coverage::Deliveries;
use crate::model::digest;
use crate::model::outcome::Outcome;
use crate::model::tally::{Filter, Tally};
use crate::model::time::{MICROS_PER_HOUR, Micros, Window};

/// Sums over the objects of a window.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Totals {
    /// Counters and rejects.
    pub tally: Tally,
    /// Who delivered when.
    pub deliveries: Deliveries,
    /// Objects.
    pub objects: u64,
    /// SHA-256 over the sorted keys and sizes of all objects.
    pub digest: String,
}

/// Adds up all entries.
///
/// # Errors
/// When the ledger was changed by someone else.
pub fn totals(
    entries: &Entries,
    window: Window,
    accounts: &BTreeSet<String>,
) -> Result<Totals, LedgerError> {
    let mut totals = Totals::default();
    for entry in entries.iter() {
        let (_, entry) = entry?;
        totals.objects += 1;
        totals.add(&entry.listed.name.1, entry.outcome()?, window, accounts);
    }
    totals.digest = digest_of(entries)?;
    Ok(totals)
}

fn digest_of(entries: &Entries) -> Result<String, LedgerError> {
    let mut parts = digest::Parts::default();
    // Objects of one key in several buckets are ordered by their size.
    let (mut key, mut sizes): (String, Vec<u64>) = Default::default();
    let mut add = |key: &str, sizes: &mut Vec<u64>| {
        sizes.sort_unstable();
        for size in sizes.drain(..) {
            parts.add(key.as_bytes());
            parts.add(&size.to_be_bytes());
        }
    };
    for next in entries.keys()? {
        let (next, size) = next?;
        if next != key {
            add(&key, &mut sizes);
            key = next;
        }
        sizes.push(size);
    }
    add(&key, &mut sizes);
    Ok(digest::hex(&parts.finish(), 64))
}

impl Totals {
    fn add(&mut self, key: &str, outcome: Outcome, window: Window, accounts: &BTreeSet<String>) {
        let mut tally = Tally {
            bytes_in: outcome.bytes_in,
            bytes_inflated: outcome.bytes_inflated,
            streams: outcome.streams,
            ..Tally::default()
        };
        for ((kept, hour), count) in outcome.kept {
            if !kept.span(window).contains(hour.start())
                && let Some(counts) = tally.streams.get_mut(&kept.stream())
            {
                counts.kept -= count.records.min(counts.kept);
                counts.salvaged -= count.salvaged.min(counts.salvaged);
                *counts.filtered.entry(Filter::OutsideWindow).or_default() += count.records;
            }
        }
        if outcome.damaged {
            tally.damage(key);
        }
        for (why, reject) in outcome.rejects {
            tally.rejects.insert((key.to_owned(), why), reject);
        }
        self.tally.merge(tally);
        // Silence is judged by what came before and after: a day around the window.
        let around = Window {
            since: Micros(window.since.0.saturating_sub(24 * MICROS_PER_HOUR)),
            until: Micros(window.until.0.saturating_add(24 * MICROS_PER_HOUR)),
        };
        for ((stream, hour), proof) in outcome.proofs {
            if !around.contains(hour.start()) || !stream.is_of(accounts) {
                continue;
            }
            if proof.issues
                && let crate::model::coverage::LogStream::CloudTrail { account, .. } = &stream
                && !self.deliveries.issuing.contains(account)
            {
                self.deliveries.issuing.insert(account.clone());
            }
            let delivered = self.deliveries.by_hour.entry((stream, hour)).or_default();
            delivered.objects += 1;
            delivered.events += proof.events;
            delivered.rejected += proof.rejected;
        }
        self.deliveries.ambiguous.extend(outcome.ambiguous);
    }
}
