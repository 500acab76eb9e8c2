//! The program itself, killed and interrupted at any moment.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::{World, logs};
use crate::support::project;

fn start(world: &World) -> Child {
    let text = |path: std::path::PathBuf| path.display().to_string();
    Command::new(env!("CARGO_BIN_EXE_overgrant"))
        .args(["audit", &text(world.at("logs")), "--inventory"])
        .args([&text(project("samples/inventory")), "--since", "21d", "--out"])
        .args([&text(world.at("out")), "--threads", "1"])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

fn signal(child: &Child, name: &str) {
    let pid = child.id().to_string();
    assert!(Command::new("kill").args([name, &pid]).status().unwrap().success());
}

/// How often a run is killed; more with `OVERGRANT_SOAK_KILLS`.
fn kills() -> u64 {
    std::env::var("OVERGRANT_SOAK_KILLS").ok().and_then(|n| n.parse().ok()).unwrap_or(8)
}

#[test]
fn a_run_that_is_killed_leaves_a_whole_report_and_the_next_one_is_right() {
    let world = World::new();
    let logs = logs();
    let kills = kills();
    let mut added = 0;
    let mut whole = None;
    for n in 0..kills {
        let upto = logs.len() * usize::try_from(n + 1).unwrap() / usize::try_from(kills).unwrap();
        world.add_all(&logs[added..upto]);
        added = upto;
        let mut child = start(&world);
        // Over the whole of a run, the last moments closer together.
        std::thread::sleep(Duration::from_millis(40 + (n * 997) % 1600));
        child.kill().ok();
        child.wait().unwrap();
        // Whoever reads sees the report of some run, whole.
        if world.at("out/manifest.json").exists() {
            check_manifest(&world);
            whole = Some(n);
        } else {
            assert_eq!(whole, None, "the report is gone");
        }
    }
    world.run("out");
    world.check("out", "after the kills");
}

/// Every file that the manifest names is there, with its bytes.
fn check_manifest(world: &World) {
    let manifest = std::fs::read(world.at("out/manifest.json")).unwrap();
    let manifest: serde_json::Value = serde_json::from_slice(&manifest).unwrap();
    for file in manifest["files"].as_array().unwrap() {
        let path = file["path"].as_str().unwrap();
        let bytes = std::fs::read(world.at("out").join(path)).unwrap();
        let digest = overgrant::model::digest::of_bytes(&bytes);
        assert_eq!(overgrant::model::digest::hex(&digest, 64), file["sha256"], "{path}");
    }
}

#[test]
fn signals_end_a_run_with_130_and_the_next_one_is_right() {
    let world = World::new();
    world.add_all(&logs());
    let mut codes = Vec::new();
    for (name, wait) in [("-INT", 200), ("-TERM", 600), ("-INT", 900)] {
        let child = start(&world);
        std::thread::sleep(Duration::from_millis(wait));
        signal(&child, name);
        let ended = child.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&ended.stderr).into_owned();
        // A run may be done before it hears.
        match ended.status.code() {
            Some(130) => assert!(said.contains("interrupted"), "{said}"),
            Some(0 | 3) => {}
            code => panic!("{code:?}: {said}"),
        }
        codes.push(ended.status.code());
    }
    assert!(codes.contains(&Some(130)), "{codes:?}");
    world.run("out");
    world.check("out", "after the signals");
}
