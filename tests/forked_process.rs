//! A process that is forked while its worker has folds to do: the child has the map, and not the thread.
//!
//! The fork waits until the worker is between two folds, so whatever it was at, the child can go on.
#![cfg(unix)]
#![allow(unsafe_code, reason = "forking and waiting are system calls")]

use memkv::{MemKV, Options};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Entries at the beginning: without overlays, so that a fold rewrites a partition.
const ENTRIES: u64 = 400_000;

/// A child that takes longer hangs.
const CHILD_SECONDS: u32 = 60;

fn value(n: u64) -> u64 {
    n.wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

/// Reads and writes the map that the parent had, so much that it has to be folded several times.
fn live_on(kv: &MemKV<u64, u64>, count: u64) {
    let written = kv.len() as u64;
    assert!(written >= count);
    assert!((0..written).step_by(7).all(|n| kv.get(n) == Some(value(n))));
    for n in written..written + ENTRIES / 4 {
        kv.put(n, value(n));
    }
    (0..100).for_each(|n| kv.delete(n));
    assert!(kv.iter().eq((100..written + ENTRIES / 4).map(|n| (n, value(n)))));
    kv.compact().expect("memory");
    assert_eq!(kv.stats().delta_entries + kv.stats().frozen_entries, 0);
    assert!(kv.keys().eq(100..written + ENTRIES / 4));
}

#[test]
fn a_child_forked_during_a_fold_reads_and_writes_its_map() {
    let options =
        Options { partition_entries: 1 << 30, overlay_percent: 0.0, ..Options::default() };
    let entries = (0..ENTRIES).map(|n| (n, value(n)));
    let kv: MemKV<u64, u64> = MemKV::from_sorted_with_options(entries, options).expect("sorted");
    let mut count = ENTRIES;
    for round in 0..4 {
        // Until the worker has frozen a delta: from then on it merges and publishes.
        while kv.stats().frozen_entries == 0 {
            for n in count..count + 50 {
                kv.put(n, value(n));
            }
            count += 50;
        }
        // SAFETY: the child uses the map and memory, whose locks nobody holds now: the worker is kept
        // from it. It ends without running anything of the parent's.
        let child = unsafe { libc::fork() };
        if child == 0 {
            // SAFETY: it has no preconditions.
            unsafe { libc::alarm(CHILD_SECONDS) };
            let lived = catch_unwind(AssertUnwindSafe(|| {
                let stats = kv.stats();
                assert_eq!(stats.frozen_entries, 0, "the worker was between two folds");
                live_on(&kv, count);
            }));
            // SAFETY: it has no preconditions.
            unsafe { libc::_exit(i32::from(lived.is_err())) };
        }
        assert!(child > 0, "a second process");
        let mut status = 0;
        // SAFETY: the status is ours to be written.
        let ended = unsafe { libc::waitpid(child, &raw mut status, 0) };
        assert_eq!(ended, child);
        assert_eq!(status, 0, "round {round}: the child has exited with 0");
    }
    assert!(kv.iter().eq((0..count).map(|n| (n, value(n)))), "nothing of the children");
    kv.compact().expect("memory");
    assert_eq!(kv.len() as u64, count);
}
