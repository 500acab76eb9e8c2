//! Random faults, the same for the same seed. `OVERGRANT_SOAK_PLANS=1000` for a long night,
//! `OVERGRANT_SOAK_FROM` for where to begin.

use overgrant::model::tally::Counts;

use super::{Scene, advice, lowered, no_stronger};
use crate::support::faulty_s3::plan::FaultPlan;

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|n| n.parse().ok()).unwrap_or(default)
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
                        let plan = FaultPlan::from_seed(seed, &scene.keys);
                        let why = format!("seed {seed}: {plan:?}");
                        scene.server.meet(plan);
                        let out = format!("seed-{seed}");
                        match scene.run(&out) {
                            Ok(outcome) => {
                                let got = advice(&scene.at(&out));
                                no_stronger(&got, &clean.advice, &why);
                                let counters = &outcome.summary.counters;
                                let whole = counters.values().all(Counts::partitions);
                                assert!(whole, "{why}: {counters:?}");
                                partial += u64::from(lowered(&got) > lowered(&clean.advice));
                            }
                            Err(error) => {
                                // Only a listing that cannot be had ends a run.
                                assert!(
                                    error.to_string().contains("ListObjectsV2"),
                                    "{why}: {error}"
                                );
                                ended += 1;
                            }
                        }
                        met += scene.server.injected();
                        scene.next_run_is_right(&out, &clean, &why);
                        std::fs::remove_dir_all(scene.at(&out)).unwrap();
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
