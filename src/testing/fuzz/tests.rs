//! The targets on random bytes and on what is kept in the folder of the fuzzers.

use super::{art, map, segment, store};
use crate::testing::rng::{self, Rng};
use std::fs;
use std::path::Path;

/// Random inputs for each target.
const RUNS: u64 = match (cfg!(miri), cfg!(memkv_poison)) {
    (true, _) => 5,
    (_, true) => 100,
    _ => 500,
};

/// Longest of them.
const LONGEST: usize = 400;

/// A target's name and what it does.
type Target = (&'static str, fn(&[u8]));

const TARGETS: [Target; 4] = [
    ("art_ops", art::run),
    ("map_ops", map::run),
    ("segment_bytes", |data| {
        segment::run(data, &mut |_, read| read());
    }),
    ("store_bytes", |data| {
        store::run(data, &mut |_, read| read());
    }),
];

#[test]
fn random_bytes_find_nothing() {
    for (name, target) in TARGETS {
        rng::for_seeds(1, RUNS, |seed| {
            let mut rng = Rng::new(seed);
            let len = rng.below(LONGEST);
            let data = rng.bytes(len);
            let run = std::panic::catch_unwind(|| target(&data));
            assert!(run.is_ok(), "{name} on seed {seed}");
        });
    }
}

#[test]
fn inputs_that_found_a_bug_once_find_none_now() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/regressions");
    for (name, target) in TARGETS {
        // The folder is not part of the published package.
        let Ok(inputs) = fs::read_dir(folder.join(name)) else { continue };
        for input in inputs {
            let path = input.expect("a readable folder").path();
            #[expect(clippy::disallowed_methods, reason = "a test reads its input")]
            let data = fs::read(&path).expect("a readable file");
            let run = std::panic::catch_unwind(|| target(&data));
            assert!(run.is_ok(), "{}", path.display());
        }
    }
}

/// Where [`seeds_are_written`] writes.
const SEEDS_VARIABLE: &str = "MEMKV_FUZZ_SEEDS";

/// Random inputs among the seeds of each target.
const RANDOM_SEEDS: u64 = 24;

#[test]
#[ignore = "writes files for a fuzzer to start from, into the folder that MEMKV_FUZZ_SEEDS names"]
#[expect(clippy::disallowed_methods, reason = "its output is files")]
fn seeds_are_written() {
    let folder = std::env::var(SEEDS_VARIABLE).expect("MEMKV_FUZZ_SEEDS names a folder");
    for (name, _) in TARGETS {
        let folder = Path::new(&folder).join(name);
        fs::create_dir_all(&folder).expect("a writable folder");
        let mut seeds: Vec<Vec<u8>> = (0..RANDOM_SEEDS)
            .map(|seed| {
                // Short ones: a fuzzer is the better the more it can try.
                Rng::new(seed).bytes(32)
            })
            .collect();
        if name == "segment_bytes" {
            seeds.extend((0..RANDOM_SEEDS).map(segment::sound_input));
        }
        if name == "store_bytes" {
            seeds.extend((0..RANDOM_SEEDS).map(store::sound_input));
        }
        for (i, seed) in seeds.iter().enumerate() {
            fs::write(folder.join(format!("seed-{i}")), seed).expect("a writable folder");
        }
    }
}

#[test]
fn sound_segments_and_stores_are_among_the_seeds() {
    for seed in 0..RANDOM_SEEDS {
        assert!(
            segment::run(&segment::sound_input(seed), &mut |_, read| read()),
            "segment of seed {seed}"
        );
        assert!(
            store::run(&store::sound_input(seed), &mut |_, read| read()),
            "store of seed {seed}"
        );
    }
}
