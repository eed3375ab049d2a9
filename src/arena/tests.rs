//! Blocks do not overlap, come back, are split, and end at the address limit with an error.

use super::*;
use std::collections::BTreeMap;

/// A small generator, good enough to vary sizes.
fn step(state: &mut u64) -> u64 {
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    *state >> 33
}

#[test]
fn blocks_never_overlap_and_used_bytes_are_exact() {
    let mut arena = Arena::new();
    let mut live: BTreeMap<u32, u32> = BTreeMap::new();
    let mut state = 7;
    for round in 0..200_000u64 {
        let size = match step(&mut state) % 20 {
            0 => 129,
            1 => step(&mut state) as u32 % 9_000 + 1,
            _ => step(&mut state) as u32 % 34 + 1,
        };
        if step(&mut state) % 5 < 3 || live.is_empty() {
            arena.reserve(size).expect("memory for a test");
            let unit = arena.allocate(size);
            if let Some((&before, &len)) = live.range(..=unit).next_back() {
                assert!(before + len <= unit, "round {round}");
            }
            if let Some((&after, _)) = live.range(unit..).next() {
                assert!(unit + size <= after, "round {round}");
            }
            live.insert(unit, size);
        } else {
            let pick = step(&mut state) as u32;
            let unit = live.range(pick % 4_096..).next().or(live.iter().next()).map(|e| *e.0);
            let unit = unit.expect("not empty");
            let size = live.remove(&unit).expect("it was there");
            arena.free(unit, size);
        }
        if round % 64 == 0 {
            let used: u64 = live.values().map(|&len| u64::from(len)).sum();
            assert_eq!(arena.used_bytes() as u64, used * UNIT as u64);
        }
    }
}

#[test]
fn freed_blocks_are_used_again_before_new_memory() {
    let mut arena = Arena::new();
    let mut blocks = Vec::new();
    for _ in 0..10_000 {
        arena.reserve(4).expect("memory for a test");
        blocks.push(arena.allocate(4));
    }
    let before = arena.chunk_bytes();
    for unit in blocks {
        arena.free(unit, 4);
    }
    for _ in 0..20_000 {
        arena.reserve(2).expect("memory for a test");
        arena.allocate(2);
    }
    assert_eq!(arena.chunk_bytes(), before, "split blocks serve the smaller ones");
}

#[test]
fn blocks_of_any_length_that_come_and_go_take_no_new_memory() {
    for size in [33, 63, 64, 129, 1_000, 8_194, 9_000] {
        let mut arena = Arena::new();
        let mut blocks = Vec::new();
        for round in 0..1_000u32 {
            let size = size + round % 7;
            arena.reserve(2 * size).expect("memory for a test");
            blocks.push((arena.allocate(size), size));
            blocks.push((arena.allocate(size), size));
            if round >= 8 {
                for _ in 0..2 {
                    let (unit, size) = blocks.remove(0);
                    arena.free(unit, size);
                }
            }
        }
        let live = arena.used_bytes();
        assert!(arena.chunk_bytes() < 4 * live, "{} for {live}", arena.chunk_bytes());
    }
}

#[test]
fn slack_is_at_most_an_eighth_above_four_kib() {
    let mut arena = Arena::new();
    for _ in 0..200_000 {
        arena.reserve(3).expect("memory for a test");
        arena.allocate(3);
        let used = arena.used_bytes();
        if used > 8_192 {
            assert!(
                arena.chunk_bytes() <= used + used / 8 + 4096,
                "{} for {used}",
                arena.chunk_bytes()
            );
        }
    }
}

#[test]
fn the_end_of_the_address_space_is_an_error_and_not_a_wrap() {
    hooks::start_arenas_at((1 << UNIT_BITS) - 65_536);
    let mut arena = Arena::new();
    hooks::start_arenas_at(0);
    arena.reserve(58_000).expect("memory for a test");
    let mut last = 0;
    let error = loop {
        match arena.reserve(100) {
            Ok(()) => {
                let unit = arena.allocate(100);
                assert!(unit > last);
                last = unit;
            }
            Err(error) => break error,
        }
    };
    assert_eq!(error, ArenaError::Full);
    assert!(last > (1 << UNIT_BITS) - 6_000);
    assert_eq!(arena.reserve(100), Err(ArenaError::Full));
}

#[test]
fn a_refused_allocation_leaves_the_arena_as_it_was() {
    let mut arena = Arena::new();
    hooks::fail_allocation(Some(0));
    assert_eq!(arena.reserve(10), Err(ArenaError::OutOfMemory));
    hooks::fail_allocation(None);
    assert_eq!((arena.used_bytes(), arena.chunk_bytes()), (0, 0));
    arena.reserve(10).expect("memory for a test");
    arena.allocate(10);
    assert_eq!(arena.used_bytes(), 80);
}

/// Shows that the poisoned build works: without it, a green sanitizer run would prove nothing.
#[cfg(memkv_poison)]
#[test]
fn a_read_of_a_freed_block_is_reported() {
    // The child reads a freed block and dies of it; the parent looks at how.
    const ROLE: &str = "MEMKV_READS_FREED_BLOCK";
    if std::env::var_os(ROLE).is_some() {
        let mut arena = Arena::new();
        arena.reserve(8).expect("memory for a test");
        let unit = arena.allocate(8);
        let address = arena.table().address(unit).wrapping_add(16);
        arena.free(unit, 8);
        #[expect(unsafe_code, reason = "the bug that the sanitizer has to see")]
        // SAFETY: there is none; the process is meant to be stopped here.
        let byte = unsafe { address.read_volatile() };
        println!("read {byte} unnoticed");
        return;
    }
    let tests = std::env::current_exe().expect("a path");
    let name = "arena::tests::a_read_of_a_freed_block_is_reported";
    let child = std::process::Command::new(tests).args([name, "--exact"]).env(ROLE, "1").output();
    let output = child.expect("a child");
    let report = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && report.contains("use-after-poison"), "{report}");
}

#[test]
fn large_blocks_that_come_and_go_take_no_new_memory() {
    let mut arena = Arena::new();
    let mut live: Vec<u32> = Vec::new();
    let mut after_warm_up = 0;
    for round in 0..20_000 {
        // Two generations of the largest inner node and of a small one, as copy-on-write makes
        // them.
        for size in [129, 130, 11] {
            arena.reserve(size).expect("memory for a test");
            live.push(arena.allocate(size));
        }
        if live.len() > 6 {
            let sizes = [129, 130, 11];
            for (unit, size) in live.drain(..3).zip(sizes) {
                arena.free(unit, size);
            }
        }
        if round == 100 {
            after_warm_up = arena.chunk_bytes();
        }
    }
    let grown = arena.chunk_bytes();
    assert!(grown <= 2 * after_warm_up, "{after_warm_up} bytes grew to {grown}");
}
