//! How long the stages of a run took, for `run.json` and the metrics.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Durations of the stages: everything that may differ between equal runs.
#[derive(Default)]
pub(super) struct Clock {
    started: Option<Instant>,
    laps: BTreeMap<&'static str, Duration>,
}

impl Clock {
    #[expect(clippy::disallowed_methods, reason = "pipeline times its stages, into run.json")]
    pub(super) fn lap(&mut self, stage: &'static str) {
        let now = Instant::now();
        let since = self.started.replace(now).unwrap_or(now);
        self.laps.insert(stage, now - since);
    }

    pub(super) fn millis(&self) -> BTreeMap<&'static str, u64> {
        let millis = |lap: &Duration| u64::try_from(lap.as_millis()).unwrap_or(u64::MAX);
        self.laps.iter().map(|(stage, lap)| (*stage, millis(lap))).collect()
    }

    pub(super) fn to_json(&self, threads: usize, (read, again, kept): (u64, u64, u64)) -> Vec<u8> {
        let objects = serde_json::json!({ "read": read, "read_again": again, "kept": kept });
        let value = serde_json::json!({ "threads": threads, "milliseconds": self.millis(), "objects": objects });
        let mut bytes = value.to_string().into_bytes();
        bytes.push(b'\n');
        bytes
    }
}
