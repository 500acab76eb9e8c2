//! The fuzz targets on stable and without a fuzzer: their corpus, the hostile objects, and mutations
//! of both. `tests/fuzz/README.md` says how to let them run for longer.

mod targets;

use std::path::PathBuf;

use overgrant::{decode, extract, model};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use crate::hostile::corpus;
use crate::support::{files_below, project};
use targets::{TARGETS, Target, gzip};

/// Long runs are the fuzzer's.
const CASES: u32 = 300;
/// Larger seeds are a matter of size, which `hostile` tests.
const MAX_SEED: usize = 64 << 10;

/// The committed seeds of a target and all hostile objects.
fn seeds(name: &str) -> Vec<Vec<u8>> {
    let folder = project("tests/fuzz/corpus").join(name);
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(!files.is_empty(), "{name} has seeds");
    let files = files.iter().map(|path| std::fs::read(path).unwrap());
    let hostile = corpus::cases().into_iter().map(|case| case.bytes);
    files.chain(hostile.filter(|bytes| bytes.len() <= MAX_SEED)).collect()
}

/// How a seed is damaged.
#[derive(Debug, Clone)]
enum Damage {
    Cut(prop::sample::Index),
    Flip(prop::sample::Index, u8),
    Insert(prop::sample::Index, &'static str),
    Repeat(prop::sample::Index, prop::sample::Index),
    Compress,
}

fn damage() -> impl Strategy<Value = Damage> {
    const TOKENS: &[&str] = &[
        "\"",
        "\\",
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        "\n",
        "\r\n",
        "\0",
        " ",
        "null",
        "1e999",
        "-",
        "\\u0000",
        "\\ud800",
        "{\"Records\":[",
        "\"auditID\":\"x\",",
        "\u{feff}",
        "time=",
        "- ",
        "*a",
    ];
    let at = any::<prop::sample::Index>;
    prop_oneof![
        at().prop_map(Damage::Cut),
        (at(), any::<u8>()).prop_map(|(at, byte)| Damage::Flip(at, byte)),
        (at(), prop::sample::select(TOKENS)).prop_map(|(at, token)| Damage::Insert(at, token)),
        (at(), at()).prop_map(|(from, to)| Damage::Repeat(from, to)),
        Just(Damage::Compress),
    ]
}

fn damaged(mut bytes: Vec<u8>, damages: &[Damage]) -> Vec<u8> {
    for damage in damages {
        let at = |index: &prop::sample::Index| index.index(bytes.len() + 1);
        match damage {
            Damage::Cut(index) => bytes.truncate(at(index)),
            Damage::Flip(index, byte) => {
                let at = at(index);
                if let Some(old) = bytes.get_mut(at) {
                    *old ^= byte;
                }
            }
            Damage::Insert(index, token) => {
                let at = at(index);
                bytes.splice(at..at, token.bytes());
            }
            Damage::Repeat(from, to) => {
                let (from, to) = (at(from), at(to));
                let part = bytes.get(from.min(to)..from.max(to)).unwrap_or_default().to_vec();
                bytes.splice(from..from, part);
            }
            Damage::Compress => bytes = gzip(&bytes),
        }
    }
    bytes
}

fn holds(name: &str, target: Target) {
    let seeds = seeds(name);
    for seed in &seeds {
        target(seed);
    }
    let mutated = (prop::sample::select(seeds), prop::collection::vec(damage(), 1..5))
        .prop_map(|(seed, damages)| damaged(seed, &damages));
    let mut runner =
        TestRunner::new(Config { cases: CASES, failure_persistence: None, ..Config::default() });
    runner
        .run(&mutated, |bytes| {
            target(&bytes);
            Ok(())
        })
        .unwrap_or_else(|error| panic!("{name}: {error}"));
}

#[test]
fn every_decoder_holds_on_its_corpus_and_mutations_of_it() {
    for (name, target) in TARGETS {
        holds(name, target);
    }
}

/// A decoder without a target would be silent about it.
#[test]
fn every_decoder_has_a_target() {
    let decoders = std::fs::read_dir(project("src/decode")).unwrap();
    for decoder in decoders {
        let path = decoder.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap();
        // What is unsafe decodes nothing by itself: gunzip and find go through it.
        assert!(
            ["mod", "audited"].contains(&name) || TARGETS.iter().any(|(target, _)| *target == name),
            "{name}"
        );
    }
}

/// It is built by hand, so nothing else would tell that a crate is missing.
#[test]
fn the_fuzzer_has_all_crates_that_its_rooms_use() {
    let manifest = |path: &str| std::fs::read_to_string(project(path)).unwrap();
    let (all, fuzz) = (manifest("Cargo.toml"), manifest("tests/fuzz/Cargo.toml"));
    let named = |manifest: &str| -> Vec<String> {
        let names =
            manifest.lines().filter_map(|line| line.split_once(" = ")).map(|(name, _)| name);
        names.map(|name| name.trim().replace('-', "_")).collect()
    };
    let has = named(&fuzz);
    let rooms = ["decode", "extract", "model"].map(|room| project("src").join(room));
    for path in rooms.iter().flat_map(|room| files_below(room)) {
        let code = std::fs::read_to_string(&path).unwrap();
        // What only tests use is not built there.
        let code = code.split("#[cfg(test)]").next().unwrap_or_default();
        let is_test = path.components().any(|part| part.as_os_str() == "tests")
            || path.file_name().is_some_and(|name| name == "tests.rs");
        for name in named(&all).iter().filter(|_| !is_test) {
            let uses = code.contains(&format!(" {name}::")) || code.contains(&format!("({name}::"));
            assert!(!uses || has.contains(name), "{}: {name}", path.display());
        }
    }
}
