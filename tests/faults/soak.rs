//! Plans of faults drawn from seeds; `OVERGRANT_SOAK_PLANS` says how many.

use overgrant::pipeline::PipelineError;
use overgrant::source::SourceError;

use super::{World, actions, counters_partition, never_stronger, same};
use crate::support::faulty_s3::plan::FaultPlan;

fn plans() -> u64 {
    std::env::var("OVERGRANT_SOAK_PLANS").ok().and_then(|n| n.parse().ok()).unwrap_or(20)
}

#[test]
fn any_faults_leave_whole_outputs_and_the_next_run_is_right() {
    let world = World::new();
    let reference = world.reference();
    let (mut whole, mut partial, mut failed) = (0, 0, 0);
    for seed in 0..plans() {
        let plan = FaultPlan::from_seed(seed, &world.keys);
        let why = format!("seed {seed}: {plan:?}");
        world.server.meet(plan);
        match world.run("out") {
            Ok(outcome) => {
                counters_partition(&outcome, &why);
                if outcome.partial {
                    partial += 1;
                    never_stronger(&actions(&world.at("out")), &reference.actions, &why);
                } else {
                    whole += 1;
                    same(&world.bytes("out"), &reference.bytes, &why);
                }
            }
            Err(PipelineError::Source(SourceError::S3 { .. } | SourceError::Fetch { .. })) => {
                failed += 1;
                assert!(!world.at("out/manifest.json").exists(), "{why}");
            }
            Err(error) => panic!("{why}: {error:?}"),
        }
        world.recovers("out", &reference, &why);
        std::fs::remove_dir_all(world.at("out")).unwrap();
    }
    eprintln!("{} plans: {whole} whole, {partial} partial, {failed} failed", plans());
    assert!(plans() < 20 || whole > 0 && partial > 0, "the plans are too much alike");
}
