//! Random faults, the same for the same seed. `OVERGRANT_SOAK_PLANS=1000` for a long night,
//! `OVERGRANT_SOAK_FROM` for where to begin.

use std::path::PathBuf;

use overgrant::model::tally::Counts;
use overgrant::pipeline::Plan;
use overgrant::source::Location;

use super::{Scene, advice, lowered, no_stronger};
use crate::support::faulty_s3::plan::FaultPlan;
use crate::support::{audit, report_of, same};

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|n| n.parse().ok()).unwrap_or(default)
}

/// Where a run goes: one of four goes into the bucket that fails.
enum Out {
    Folder(String),
    /// Below `logs-out`.
    Bucket(String),
}

impl Out {
    fn of_seed(seed: u64) -> Self {
        let name = format!("seed-{seed}");
        if (seed / 2).is_multiple_of(4) { Out::Bucket(name) } else { Out::Folder(name) }
    }

    fn plan(&self, scene: &Scene) -> Plan {
        match self {
            Out::Folder(name) => scene.plan(name),
            Out::Bucket(name) => {
                let out = Location::parse(&format!("s3://logs-out/{name}")).unwrap();
                Plan { out, ..scene.plan(name) }
            }
        }
    }

    /// The report in a folder, as readers by name see it.
    fn folder(&self, scene: &Scene) -> PathBuf {
        match self {
            Out::Folder(name) => scene.at(name),
            Out::Bucket(name) => {
                let to = scene.at(name);
                for (path, bytes) in scene.server.objects(&format!("logs-out/{name}/")) {
                    let at = to.join(path);
                    std::fs::create_dir_all(at.parent().unwrap()).unwrap();
                    std::fs::write(at, bytes).unwrap();
                }
                to
            }
        }
    }
}

#[test]
fn any_faults_and_the_next_run_is_right() {
    let (from, plans) = (setting("OVERGRANT_SOAK_FROM", 1), setting("OVERGRANT_SOAK_PLANS", 24));
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get);
    let threads = u64::try_from(threads).unwrap();
    let counts: Vec<(u64, u64, usize)> = std::thread::scope(|scope| {
        let handles: Vec<_> = (0..threads)
            .map(|thread| {
                scope.spawn(move || {
                    let scene = Scene::new();
                    let clean = scene.clean();
                    let (mut ended, mut partial, mut met) = (0, 0, 0);
                    for seed in (from..from + plans).filter(|seed| seed % threads == thread) {
                        let mut faults = FaultPlan::from_seed(seed, &scene.keys);
                        let out = Out::of_seed(seed);
                        if let Out::Bucket(place) = &out {
                            faults = faults.with_output(seed, &format!("{place}/"));
                        }
                        let why = format!("seed {seed}: {faults:?}");
                        scene.server.meet(faults);
                        match audit(&out.plan(&scene)) {
                            Ok(outcome) => {
                                let got = advice(&out.folder(&scene));
                                no_stronger(&got, &clean.advice, &why);
                                let counters = &outcome.summary.counters;
                                let whole = counters.values().all(Counts::partitions);
                                assert!(whole, "{why}: {counters:?}");
                                partial += u64::from(lowered(&got) > lowered(&clean.advice));
                            }
                            Err(error) => {
                                // Only a listing that cannot be had ends a run, or an output that
                                // cannot be read or written.
                                let said = error.to_string();
                                let output = match &out {
                                    Out::Bucket(place) => {
                                        said.contains("PutObject")
                                            || said.contains(&format!("cannot fetch {place}/"))
                                    }
                                    Out::Folder(_) => false,
                                };
                                assert!(output || said.contains("ListObjectsV2"), "{why}: {said}");
                                ended += 1;
                            }
                        }
                        met += scene.server.injected();
                        scene.server.heal();
                        audit(&out.plan(&scene)).unwrap();
                        let folder = out.folder(&scene);
                        same(&report_of(&folder), &clean.bytes, &why);
                        std::fs::remove_dir_all(folder).unwrap();
                    }
                    (ended, partial, met)
                })
            })
            .collect();
        handles.into_iter().map(|handle| handle.join().unwrap()).collect()
    });
    let (ended, partial, met) =
        counts.iter().fold((0, 0, 0), |sum, n| (sum.0 + n.0, sum.1 + n.1, sum.2 + n.2));
    eprintln!("{plans} plans, {met} faults: {ended} runs ended early, {partial} lowered verdicts");
    assert!(u64::try_from(met).unwrap() > plans / 2, "the plans are met");
}
