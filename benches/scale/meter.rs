//! What a stage costs: wall time, the peak of resident memory, the most that lay in the spill folder.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

const MEGA: u64 = 1 << 20;

/// Peak resident memory of this process in bytes since the last [`forget_peak`]; `None` where
/// the system does not say.
fn peak_memory() -> Option<u64> {
    status("VmHWM:")
}

/// Resident memory in bytes.
pub(crate) fn resident_memory() -> Option<u64> {
    status("VmRSS:")
}

fn status(name: &str) -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kilobytes << 10)
}

/// Starts the peak anew, where the system lets it.
fn forget_peak() {
    // A refusal leaves the peak of all stages so far: larger, never smaller than the truth.
    std::fs::write("/proc/self/clear_refs", "5").ok();
}

/// Watches a folder from the side.
pub(crate) struct FolderPeak {
    stop: Arc<AtomicBool>,
    peak: Arc<AtomicU64>,
    watcher: JoinHandle<()>,
}

impl FolderPeak {
    pub(crate) fn watch(folder: &Path) -> Self {
        let (stop, peak) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let (folder, stopped, seen) = (folder.to_owned(), Arc::clone(&stop), Arc::clone(&peak));
        let watcher = std::thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                seen.fetch_max(bytes_below(&folder), Ordering::Relaxed);
                std::thread::sleep(Duration::from_millis(200));
            }
        });
        FolderPeak { stop, peak, watcher }
    }

    pub(crate) fn end(self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        self.watcher.join().ok();
        self.peak.load(Ordering::Relaxed)
    }
}

/// Bytes of all files below a folder.
pub(crate) fn bytes_below(folder: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(folder) else { return 0 };
    let size = |path: PathBuf| match std::fs::metadata(&path) {
        Ok(meta) if meta.is_dir() => bytes_below(&path),
        Ok(meta) => meta.len(),
        Err(_) => 0,
    };
    entries.flatten().map(|entry| size(entry.path())).sum()
}

/// Stages one after the other.
#[derive(Default)]
pub(crate) struct Meter {
    peak: u64,
}

impl Meter {
    /// Runs a stage and prints what it cost, over `count` of `unit`.
    pub(crate) fn stage<T>(
        &mut self,
        name: &str,
        (count, unit): (u64, &str),
        work: impl FnOnce() -> T,
    ) -> T {
        forget_peak();
        let start = Instant::now();
        let done = work();
        let took = start.elapsed();
        let peak = peak_memory().unwrap_or(0);
        self.peak = self.peak.max(peak);
        println!(
            "  {name:<22} {:>8.1} s  {:>9} {unit}/s  peak {:>5} MB",
            took.as_secs_f64(),
            per_second(count, took),
            peak / MEGA
        );
        done
    }

    /// Prints the peak over all stages; false when it passes `bound` megabytes.
    pub(crate) fn within(&self, bound: u64) -> bool {
        let peak = self.peak.div_ceil(MEGA);
        println!("  peak of all stages     {peak} MB, at most {bound} MB wanted");
        peak <= bound
    }
}

/// `count` per second.
pub(crate) fn per_second(count: u64, took: Duration) -> u64 {
    u64::try_from(u128::from(count) * 1_000_000 / took.as_micros().max(1)).unwrap_or(u64::MAX)
}

/// For printing.
pub(crate) fn mega(bytes: u64) -> u64 {
    bytes / MEGA
}
