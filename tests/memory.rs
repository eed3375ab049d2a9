//! What a map costs: `memory_usage` against a counting allocator, the number of heap blocks, and
//! the price of small maps.
#![allow(unsafe_code, reason = "a global allocator is an unsafe trait")]

use memkv::{Compaction, MemKV, Options};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

/// Counts the bytes and blocks that this thread has requested and not freed. Per thread, so that
/// tests that run side by side do not disturb each other; the maps here do not use the worker.
struct Counting;

thread_local! {
    static LIVE: Cell<isize> = const { Cell::new(0) };
    static BLOCKS: Cell<isize> = const { Cell::new(0) };
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

fn count(blocks: isize, bytes: isize) {
    // A thread that is ending has no counter any more, and nothing to measure.
    let _ = LIVE.try_with(|live| live.set(live.get() + bytes));
    let _ = BLOCKS.try_with(|live| live.set(live.get() + blocks));
}

// SAFETY: every call is passed on to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(1, layout.size() as isize);
        let _ = ALLOCATIONS.try_with(|made| made.set(made.get() + 1));
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, start: *mut u8, layout: Layout) {
        count(-1, -(layout.size() as isize));
        // SAFETY: the caller keeps the contract of `dealloc`.
        unsafe { System.dealloc(start, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn live() -> isize {
    LIVE.get()
}

fn manual() -> Options {
    Options { compaction: Compaction::Manual, ..Options::default() }
}

/// Compares what a map says of itself with what the allocator saw since `before`.
fn assert_accounted<K: memkv::Key, V: memkv::Value>(kv: &MemKV<K, V>, before: isize, when: &str) {
    let seen = (live() - before) as f64;
    let said = kv.memory_usage().total() as f64;
    let off = (said - seen).abs();
    let allowed = if seen > 1_048_576.0 { 0.02 * seen } else { 4_096.0 };
    assert!(off <= allowed, "{when}: says {said}, allocated {seen}: {:?}", kv.memory_usage());
}

#[test]
fn an_empty_map_costs_at_most_256_bytes() {
    let before = live();
    let kv: MemKV<u64, u64> = MemKV::new();
    let cost = live() - before;
    assert!(cost <= 256, "{cost} bytes");
    assert_accounted(&kv, before, "empty");
}

#[test]
fn ten_integers_cost_at_most_a_kibibyte() {
    let dense: Vec<u64> = (0..10).collect();
    let spread: Vec<u64> = (0..10).map(|n| n * 0x1234_5678_9abc_def1).collect();
    for keys in [dense, spread] {
        let before = live();
        let kv: MemKV<u64, u64> = MemKV::new();
        for &key in &keys {
            kv.insert(key, key);
        }
        let cost = live() - before;
        assert!(cost <= 1_024, "{cost} bytes for {keys:?}");
        assert_accounted(&kv, before, "ten entries");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn ten_thousand_small_maps_start_no_thread() {
    let compactors = || {
        let tasks = std::fs::read_dir("/proc/self/task").expect("proc is mounted");
        let names = tasks.filter_map(|task| {
            std::fs::read_to_string(task.expect("a task").path().join("comm")).ok()
        });
        names.filter(|name| name.starts_with("memkv")).count()
    };
    let maps: Vec<MemKV<u64, u64>> = (0..10_000).map(|_| MemKV::new()).collect();
    for kv in &maps {
        for n in 0..10 {
            kv.insert(n, n);
        }
    }
    assert_eq!(compactors(), 0);
}

#[test]
fn memory_usage_is_what_the_allocator_saw_in_every_state() {
    let word = |n: u64| format!("{:x}/{}", n.wrapping_mul(0x9e37_79b9_7f4a_7c15), n % 97);
    for count in [1, 100, 3_000, 60_000] {
        let before = live();
        let kv: MemKV<String, u64> = MemKV::with_options(manual());
        for n in 0..count {
            kv.put(word(n), n);
        }
        assert_accounted(&kv, before, "delta alone");
        kv.compact().expect("memory");
        assert_accounted(&kv, before, "base alone");
        for n in 0..count / 10 {
            kv.put(word(n * 3), n);
            kv.delete(word(n * 5));
        }
        assert_accounted(&kv, before, "base with a filtered delta");
        let open = kv.iter();
        for n in 0..count / 10 {
            kv.put(word(n * 7), n);
        }
        drop(open);
        assert_accounted(&kv, before, "after an iterator");
        kv.clear();
        assert_accounted(&kv, before, "cleared");
    }
}

/// Few and big: a profile of the heap shows a map as a handful of blocks, and an allocator with
/// slack in each block loses next to nothing.
#[test]
fn a_compacted_map_of_one_partition_owns_four_heap_blocks() {
    for count in [1, 1_000, 50_000] {
        let before = BLOCKS.get();
        let kv: MemKV<String, u64> = MemKV::with_options(manual());
        for n in 0..count {
            kv.put(format!("{:x}/{}", n * 0x9e37_79b9 % 0xffff_fffb, n % 97), n);
        }
        kv.compact().expect("memory");
        assert_eq!(kv.stats().delta_entries, 0);
        let blocks = BLOCKS.get() - before;
        // The map itself; the layers; the base; and the base's bytes, keys and values in one.
        assert!(blocks <= 4, "{blocks} blocks for {count} entries");
    }
}

#[test]
fn a_delta_owns_a_few_chunks_whatever_the_number_of_its_entries() {
    /// The map itself; the delta; the list of free blocks and the path of the last write; the
    /// arena's table of chunks and its addresses; what tables share, and its list of chunks.
    const BESIDE_CHUNKS: isize = 8;
    /// A new chunk, and the table and addresses that replace those without it.
    const FOR_EACH_CHUNK: u64 = 3;
    /// A list that grows to `n` items one doubling at a time is moved less often than this.
    const MOVES: u64 = 64;
    // Sixteen chunks make the first 6 KiB; then each adds a sixteenth, so that twelve double the
    // arena. It may have begun one chunk more than its bytes fill.
    let chunks_of = |bytes: usize| {
        let doublings = bytes.div_ceil(6 << 10).next_power_of_two().ilog2();
        16 + 12 * doublings as isize + 1
    };
    for count in [10, 1_000, 100_000] {
        let (before, made) = (BLOCKS.get(), ALLOCATIONS.get());
        let kv: MemKV<u64, u64> = MemKV::with_options(manual());
        for n in 0..count {
            kv.put(n * 0x9e37_79b9 % 0xffff_fffb, n);
        }
        let (blocks, made) = (BLOCKS.get() - before, ALLOCATIONS.get() - made);
        let chunks = chunks_of(kv.memory_usage().total());
        assert!(blocks <= BESIDE_CHUNKS + chunks, "{blocks} blocks, {chunks} chunks at most");
        let allowed = BESIDE_CHUNKS as u64 + FOR_EACH_CHUNK * chunks as u64 + MOVES;
        assert!(made <= allowed, "{made} allocations for {count} entries, {allowed} allowed");
    }
}

#[test]
fn large_values_are_accounted_once() {
    let before = live();
    let kv: MemKV<u64, Vec<u8>> = MemKV::with_options(manual());
    for n in 0..400u64 {
        kv.put(n, vec![1; 10 * n as usize]);
    }
    assert_accounted(&kv, before, "values in the delta");
    kv.compact().expect("memory");
    assert_accounted(&kv, before, "values in the base");
    for n in 0..400u64 {
        kv.delete(n);
    }
    kv.compact().expect("memory");
    assert_accounted(&kv, before, "all removed");
}

#[test]
fn lending_a_value_allocates_nothing_whichever_layer_has_it() {
    let kv: MemKV<u64, Vec<u8>> = MemKV::with_options(manual());
    for n in 0..1_000u64 {
        kv.put(n, vec![1; n as usize]);
    }
    kv.compact().expect("memory");
    for n in 500..1_500u64 {
        kv.put(n, vec![2; n as usize]);
    }
    // The first pin of a delta makes the list of its pins.
    assert_eq!(kv.get_with(0, <[u8]>::len), Some(0));
    let before = ALLOCATIONS.get();
    for n in 0..1_500u64 {
        assert_eq!(kv.get_with(n, <[u8]>::len), Some(n as usize));
    }
    assert_eq!(ALLOCATIONS.get() - before, 0);
}

#[test]
fn inline_folding_is_accounted_too() {
    let before = live();
    let options = Options {
        compaction: Compaction::Inline,
        delta_floor_bytes: 32 << 10,
        ..Options::default()
    };
    let kv: MemKV<u64, u64> = MemKV::with_options(options);
    for n in 0..200_000u64 {
        kv.put(n.wrapping_mul(0x9e37_79b9_7f4a_7c15), n);
    }
    assert!(kv.stats().folds > 10 && kv.stats().base.is_some());
    assert_accounted(&kv, before, "after many folds");
    drop(kv);
    assert!(live() - before < 1_024, "{} bytes are left", live() - before);
}

#[test]
fn maps_that_are_filled_and_emptied_again_and_again_leave_nothing_behind() {
    let before = live();
    let options = Options {
        compaction: Compaction::Inline,
        partition_entries: 300,
        delta_floor_bytes: 8 << 10,
        ..Options::default()
    };
    let kv: MemKV<String, Vec<u8>> = MemKV::with_options(options);
    let mut after_clear = None;
    for cycle in 0..100u64 {
        for n in 0..2_000u64 {
            let key =
                format!("{:x}", n.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(cycle as u32));
            kv.put(key, vec![n as u8; if n % 500 == 0 { 5_000 } else { 12 }]);
        }
        assert!(kv.stats().partitions > 2);
        let walk = kv.iter();
        kv.clear();
        assert_eq!(walk.count(), 2_000, "an iterator outlives a clear");
        // What a first division makes stays; nothing may be added to it.
        let left = live() - before;
        assert!(left <= *after_clear.get_or_insert(left), "cycle {cycle}: {left} bytes left");
    }
    drop(kv);
    // Threads keep a small table of the maps they have read.
    let left = live() - before;
    assert!(left <= 4_096, "{left} bytes left");
}

#[test]
fn ten_thousand_divided_maps_can_be_made_and_dropped() {
    let before = live();
    let options =
        || Options { compaction: Compaction::Inline, partition_entries: 8, ..Options::default() };
    let maps: Vec<MemKV<u64, u64>> = (0..10_000u64)
        .map(|map| {
            let entries = (0..30).map(|n| (n * 7, n ^ map));
            MemKV::from_sorted_with_options(entries, options()).expect("memory")
        })
        .collect();
    for (map, kv) in maps.iter().enumerate() {
        assert!(kv.stats().partitions > 1);
        assert_eq!(kv.get(21), Some(3 ^ map as u64));
    }
    drop(maps);
    let left = live() - before;
    assert!(left <= 4_096, "{left} bytes left");
}
