//! One libFuzzer binary for all targets; `TARGET` picks one.
//!
//! The rooms that touch hostile bytes are compiled in as they are, without the engine and the SDK, so
//! that a build takes a minute. `README.md` says how to run it.
#![no_main]

#[path = "../../src/decode/mod.rs"]
pub mod decode;
#[path = "../../src/extract/mod.rs"]
pub mod extract;
#[path = "../../src/model/mod.rs"]
pub mod model;
mod targets;

use std::sync::OnceLock;

static TARGET: OnceLock<targets::Target> = OnceLock::new();

libfuzzer_sys::fuzz_target!(
    init: {
        let wanted = std::env::var("TARGET").unwrap_or_default();
        let known: Vec<&str> = targets::TARGETS.iter().map(|(name, _)| *name).collect();
        let Some((_, target)) = targets::TARGETS.iter().find(|(name, _)| *name == wanted) else {
            panic!("TARGET={wanted:?} is none of {known:?}");
        };
        TARGET.set(*target).expect("set once");
    },
    |bytes: &[u8]| TARGET.get().expect("set by init")(bytes)
);
