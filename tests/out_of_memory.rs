//! Every allocation of the fallible calls refused in turn: a typed error and an unchanged map, or
//! success; and success when it is tried again.
//!
//! Refused are allocations of at least [`LEAST_BYTES`]: all that grow with a map's content. Smaller
//! ones are fixed parts of a call (a counted pointer, a step of a path); where one of those is
//! refused there is nothing left to go on with, and the process ends as Rust programs do.
#![allow(unsafe_code, reason = "a global allocator is an unsafe trait")]

#[path = "../src/testing/tally.rs"]
mod tally;

use memkv::{Compaction, Error, MemKV, Options, Residence};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use tally::Tally;

/// Smallest allocation that is refused.
const LEAST_BYTES: usize = 640;

/// Refuses allocations of the thread that asks for it.
struct Refusing;

/// Which allocations are refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Refusal {
    /// The one after so many.
    Once(u64),
    /// That one and all after it.
    From(u64),
    /// All of at least so many bytes, and of fewer than so many.
    Between(usize, usize),
}

thread_local! {
    static REFUSAL: Cell<Option<Refusal>> = const { Cell::new(None) };
    /// Allocations that were refused.
    static REFUSED: Cell<u64> = const { Cell::new(0) };
}

/// Whether this allocation is refused.
fn is_refused(bytes: usize) -> bool {
    let refuse = |refusal: &Cell<Option<Refusal>>| {
        let (next, is_refused) = match refusal.get() {
            None => return false,
            Some(_) if bytes < LEAST_BYTES => return false,
            Some(Refusal::Between(least, most)) => {
                (Some(Refusal::Between(least, most)), (least..most).contains(&bytes))
            }
            Some(Refusal::Once(0)) => (None, true),
            Some(Refusal::From(0)) => (Some(Refusal::From(0)), true),
            Some(Refusal::Once(left)) => (Some(Refusal::Once(left - 1)), false),
            Some(Refusal::From(left)) => (Some(Refusal::From(left - 1)), false),
        };
        refusal.set(next);
        is_refused
    };
    // A thread that is ending has no countdown any more.
    let is_refused = REFUSAL.try_with(refuse).unwrap_or(false);
    if is_refused {
        REFUSED.set(REFUSED.get() + 1);
    }
    is_refused
}

// SAFETY: every call is refused, as the contract allows, or passed on to the system's allocator.
unsafe impl GlobalAlloc for Refusing {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if is_refused(layout.size()) {
            return std::ptr::null_mut();
        }
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn realloc(&self, start: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        // A block that gets smaller stays where it is.
        if new_size > layout.size() && is_refused(new_size) {
            return std::ptr::null_mut();
        }
        // SAFETY: the caller keeps the contract of `realloc`.
        unsafe { System.realloc(start, layout, new_size) }
    }

    unsafe fn dealloc(&self, start: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps the contract of `dealloc`.
        unsafe { System.dealloc(start, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Refusing = Refusing;

/// Calls `body` with allocations refused, and says whether any was.
fn refusing<R>(refusal: Refusal, body: impl FnOnce() -> R) -> (R, bool) {
    let before = REFUSED.get();
    REFUSAL.set(Some(refusal));
    let result = body();
    REFUSAL.set(None);
    (result, REFUSED.get() > before)
}

/// Tries `attempt` with its first allocation refused, then the second, and so on until it
/// succeeds; `check` gets whether it did.
fn sweep<R>(
    tally: &mut Tally,
    what: &str,
    refusal: fn(u64) -> Refusal,
    mut attempt: impl FnMut() -> Result<R, Error>,
    mut check: impl FnMut(bool),
) {
    for refusal in (0..).map(refusal) {
        let mut is_done = true;
        tally.case(format_args!("{what}, {refusal:?}"), || {
            let (outcome, was_refused) = refusing(refusal, &mut attempt);
            is_done = outcome.is_ok();
            assert!(is_done || was_refused, "an error without a refusal");
            assert!(matches!(outcome, Ok(_) | Err(Error::OutOfMemory)));
            check(is_done);
        });
        if is_done {
            break;
        }
    }
}

/// As [`sweep`], but for what can be done from the start again and again: goes on until an attempt
/// came to no refusal, with all allocations refused from some point on and with a single one.
fn sweep_fresh<S, R>(
    tally: &mut Tally,
    what: &str,
    mut start: impl FnMut() -> S,
    mut attempt: impl FnMut(&mut S) -> Result<R, Error>,
    mut check: impl FnMut(S, Result<R, Error>),
) {
    for refusal in MODES {
        for refusal in (0..).map(refusal) {
            let mut is_over = true;
            tally.case(format_args!("{what}, {refusal:?}"), || {
                let mut state = start();
                let (outcome, was_refused) = refusing(refusal, || attempt(&mut state));
                is_over = !was_refused;
                assert!(matches!(outcome, Ok(_) | Err(Error::OutOfMemory)));
                assert!(outcome.is_ok() || was_refused, "an error without a refusal");
                check(state, outcome);
            });
            if is_over {
                break;
            }
        }
    }
}

/// Both kinds of refusal.
const MODES: [fn(u64) -> Refusal; 2] = [Refusal::From, Refusal::Once];

fn manual() -> Options {
    Options { compaction: Compaction::Manual, ..Options::default() }
}

#[test]
fn writes_that_grow_each_kind_of_node_are_made_or_refused_whole() {
    let mut tally = Tally::new("writes without memory");
    for with_iterators in [false, true] {
        for value_len in [3, 900, 5000] {
            let kv: MemKV<Vec<u8>, Vec<u8>> = MemKV::with_options(manual());
            let mut held = Vec::new();
            for byte in 0..=255 {
                let key = [&[b'k'; 70][..], &[byte]].concat();
                let value = vec![byte; value_len];
                let expected = usize::from(byte);
                sweep(
                    &mut tally,
                    "insert",
                    MODES[usize::from(byte) % 2],
                    || kv.try_insert(key.as_slice(), value.as_slice()),
                    |done| {
                        assert_eq!(kv.len(), expected + usize::from(done));
                        assert_eq!(kv.get(key.as_slice()).is_some(), done);
                    },
                );
                if with_iterators {
                    held.push((kv.iter(), kv.len()));
                }
            }
            for (iterator, len) in held {
                assert_eq!(iterator.count(), len);
            }
            for byte in 0..=255 {
                let key = [&[b'k'; 70][..], &[byte]].concat();
                let expected = 256 - usize::from(byte);
                let open = with_iterators.then(|| kv.iter());
                sweep(
                    &mut tally,
                    "remove",
                    MODES[usize::from(byte) % 2],
                    || kv.try_delete(key.as_slice()),
                    |done| assert_eq!(kv.len(), expected - usize::from(done)),
                );
                assert!(open.is_none_or(|open| open.count() == expected));
            }
        }
    }
    tally.finish(500);
}

/// Entries with values of all lengths, some of them extents.
fn entries(count: u32) -> Vec<(Vec<u8>, Vec<u8>)> {
    let entry = |n: u32| {
        let len = if n.is_multiple_of(40) { 2000 } else { n % 50 };
        (format!("some/key/{n:06}").into_bytes(), vec![n as u8; len as usize])
    };
    (0..count).map(entry).collect()
}

fn borrowed(entries: &[(Vec<u8>, Vec<u8>)]) -> impl Iterator<Item = (&[u8], &[u8])> {
    entries.iter().map(|(key, value)| (key.as_slice(), value.as_slice()))
}

fn assert_holds(kv: &MemKV<Vec<u8>, Vec<u8>>, expected: &[(Vec<u8>, Vec<u8>)]) {
    assert_eq!(kv.len(), expected.len());
    assert!(kv.iter().eq(expected.iter().cloned()));
}

#[test]
fn maps_are_built_from_sorted_entries_or_not_at_all() {
    let mut tally = Tally::new("sorted entries without memory");
    for count in [10, SMALL] {
        let entries = entries(count);
        sweep_fresh(
            &mut tally,
            "from_sorted",
            || (),
            |()| MemKV::from_sorted_with_options(borrowed(&entries), manual()),
            |(), kv| drop(kv.map(|kv| assert_holds(&kv, &entries))),
        );
    }
    let entries = entries(SMALL);
    sweep_fresh(
        &mut tally,
        "extend_sorted of an empty map",
        || MemKV::with_options(manual()),
        |kv| kv.extend_sorted(borrowed(&entries)),
        |kv, done| {
            assert_holds(&kv, if done.is_ok() { &entries } else { &[] });
            kv.extend_sorted(borrowed(&entries)).expect("memory is back");
            assert_holds(&kv, &entries);
        },
    );
    tally.finish(60);
}

/// So few entries that a segment of them is plain: what the `fst` crate allocates for itself while
/// it builds a transducer cannot be refused without ending the process.
const SMALL: u32 = 250;

#[test]
fn a_verify_without_memory_says_so() {
    let mut tally = Tally::new("verifying without memory");
    // Keys that differ late, so that a block of them and what separates blocks is long.
    let kv: MemKV<Vec<u8>, u64> = MemKV::with_options(manual());
    let key = |n: u64| [vec![n as u8 % 50; 100], n.to_le_bytes().to_vec()].concat();
    kv.extend((0..5_000).map(|n: u64| (key(n), n)));
    kv.compact().expect("memory");
    for refusal in MODES {
        sweep(&mut tally, "verify", refusal, || kv.verify(), |_| ());
    }
    tally.finish(8);
}

#[test]
fn a_fold_publishes_everything_or_nothing() {
    let mut tally = Tally::new("folds without memory");
    let mut expected = entries(SMALL);
    let layered = || {
        let base = entries(SMALL);
        let kv = MemKV::from_sorted_with_options(borrowed(&base), manual()).expect("sorted");
        for (key, value) in base.iter().step_by(3) {
            kv.put(key.as_slice(), [value.as_slice(), b"+"].concat());
        }
        for (key, _) in &base[200..] {
            kv.delete(key.as_slice());
        }
        kv
    };
    for (_, value) in expected.iter_mut().step_by(3) {
        value.push(b'+');
    }
    expected.truncate(200);
    sweep_fresh(
        &mut tally,
        "compact",
        layered,
        |kv| kv.compact(),
        |kv, _| {
            assert_holds(&kv, &expected);
            kv.compact().expect("memory is back");
            assert_holds(&kv, &expected);
            assert_eq!((kv.stats().delta_entries, kv.stats().frozen_entries), (0, 0));
        },
    );
    tally.finish(10);
}

#[test]
fn writes_above_a_segment_keep_their_filter() {
    let mut tally = Tally::new("writes above a segment without memory");
    let below = entries(2_000);
    let kv = MemKV::from_sorted_with_options(borrowed(&below), manual()).expect("sorted");
    for n in 0..1_500u32 {
        let key = format!("some/new/{n}").into_bytes();
        sweep(
            &mut tally,
            "insert above a segment",
            MODES[n as usize % 2],
            || kv.try_insert(key.as_slice(), b"new".as_slice()),
            |done| {
                assert_eq!(kv.get(key.as_slice()).is_some(), done);
                assert_eq!(kv.len() as u32, 2_000 + n + u32::from(done));
            },
        );
    }
    tally.finish(1_500);
}

#[test]
fn files_are_saved_and_opened_whole_or_not_at_all() {
    let mut tally = Tally::new("files without memory");
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("map");
    let old = entries(100);
    let new = entries(SMALL);
    let open = |residence| {
        let options = Options { residence, ..manual() };
        MemKV::<Vec<u8>, Vec<u8>>::open_with_options(&path, options)
    };
    let save_old = || {
        let kv = MemKV::from_sorted_with_options(borrowed(&old), manual()).expect("sorted");
        kv.save_to(&path).expect("a working disk");
    };
    // With a delta, an overlay's worth of it, and with a base alone.
    for is_folded in [false, true] {
        let start = || {
            save_old();
            let kv = MemKV::with_options(manual());
            for (key, value) in borrowed(&new) {
                kv.put(key, value);
            }
            if is_folded {
                kv.compact().expect("memory");
            }
            kv
        };
        sweep_fresh(
            &mut tally,
            "save_to",
            start,
            |kv| kv.save_to(&path),
            |kv, done| {
                assert_holds(&kv, &new);
                let saved = open(Residence::Mapped).expect("one whole map");
                assert_holds(&saved, if done.is_ok() { &new } else { &old });
                assert!(!folder.path().join("map.tmp").exists());
            },
        );
    }
    save_old();
    for residence in [Residence::Mapped, Residence::Resident] {
        sweep_fresh(
            &mut tally,
            "open",
            || (),
            |()| open(residence),
            |(), kv| {
                drop(kv.map(|kv| assert_holds(&kv, &old)));
                assert_holds(&open(residence).expect("no lock is left, memory is back"), &old);
            },
        );
    }
    tally.finish(20);
}

/// Folds of bases of this codec, of which text is copied for the most part, refused at each large
/// allocation in turn.
fn sweep_folds(codec: &str, count: u64, key: impl Fn(u64) -> Vec<u8>) {
    let mut tally = Tally::new("folds without memory");
    let all: Vec<Vec<u8>> = (0..count).map(&key).collect();
    let layered = || {
        let kv: MemKV<Vec<u8>, u64> = MemKV::with_options(manual());
        kv.extend(
            all.iter().zip(0..).filter(|(_, n)| n % 10 != 3).map(|(key, n)| (key.clone(), n)),
        );
        kv.compact().expect("memory");
        assert_eq!(kv.stats().base.map(|base| base.codec), Some(codec));
        for (n, key) in all.iter().enumerate() {
            match n % 20 {
                3 | 13 => kv.put(key.as_slice(), n as u64),
                4 => kv.delete(key.as_slice()),
                _ => {}
            }
        }
        kv
    };
    let mut copied = 0;
    sweep_fresh(
        &mut tally,
        codec,
        layered,
        |kv| kv.compact(),
        |kv, _| {
            assert_eq!(kv.len() as u64, count - count / 20);
            kv.compact().expect("memory is back");
            kv.verify().expect("sound");
            copied = kv.stats().entries_copied;
            assert_eq!(kv.len() as u64, count - count / 20);
            assert!(
                (0..count)
                    .all(|n| kv.get(all[n as usize].as_slice()) == (n % 20 != 4).then_some(n))
            );
        },
    );
    assert_eq!(copied > 0, ["front", "fsst"].contains(&codec));
    tally.finish(10);
}

#[test]
fn walks_over_keys_of_one_length_yield_everything_without_memory() {
    fn sweep<K: memkv::Key + Clone + Ord + std::fmt::Debug, V: memkv::Value + Clone>(
        tally: &mut Tally,
        keys: impl Iterator<Item = K>,
        value: &V,
    ) {
        let kv: MemKV<K, V> = MemKV::with_options(manual());
        kv.extend(keys.map(|key| (key, value.clone())));
        kv.compact().expect("memory");
        let codec = kv.stats().base.map(|base| base.codec);
        for refusal in MODES.into_iter().flat_map(|mode| (0..12).map(mode)) {
            tally.case(format_args!("{codec:?}, {refusal:?}"), || {
                for is_up in [true, false] {
                    let mut entries = kv.iter();
                    let mut count = 0;
                    let mut next = || if is_up { entries.next() } else { entries.next_back() };
                    refusing(refusal, || {
                        while next().is_some() {
                            count += 1;
                        }
                    });
                    assert_eq!(count, kv.len());
                }
            });
        }
    }
    let mut tally = Tally::new("walks without memory");
    sweep(&mut tally, (0..3000).map(mixed), &7u64);
    sweep(&mut tally, (0..3000).map(mixed), &[7u8; 100]);
    for value in [7u64, 7 << 50] {
        sweep(&mut tally, (0..3000u64).map(|n| (mixed(n), mixed(n + 1))), &value);
    }
    sweep(&mut tally, (0..3000u64).map(|n| (mixed(n), mixed(n + 1))), &[7u8; 100]);
    tally.finish(10);
}

#[test]
fn a_walk_over_text_that_cannot_keep_its_place_goes_on() {
    // Keys are put together without a way to fail; the last one of a block is kept by one that may.
    let long = "x".repeat(3000);
    let key =
        |n: u32| if n % 16 == 15 { format!("key {n:06} {long}") } else { format!("key {n:06}") };
    let kv: MemKV<String, u32> =
        MemKV::from_sorted_with_options((0..1000).map(|n| (key(n), n)), manual()).expect("sorted");
    let mut was_refused = false;
    for is_up in [true, false] {
        let (mut walk, mut count) = (kv.iter().lending(), 0);
        // The key and some room behind it.
        was_refused |= refusing(Refusal::Between(3060, 3100), || {
            let mut next = || if is_up { walk.next_ref() } else { walk.next_back_ref() }.is_some();
            while next() {
                count += 1;
            }
        })
        .1;
        assert_eq!(count, 1000);
    }
    assert!(was_refused);
}

/// A number of eight bytes, of which those of neighbouring `n` have nothing in common.
fn mixed(n: u64) -> [u8; 8] {
    n.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes()
}

#[test]
fn folds_of_numbers_publish_everything_or_nothing() {
    sweep_folds("int", 3_000, |n| mixed(n).to_vec());
}

#[test]
fn folds_of_heads_and_tails_publish_everything_or_nothing() {
    sweep_folds("wide", 2_000, |n| [mixed(n), mixed(n + 1), mixed(n * n)].concat());
}

#[test]
fn folds_that_copy_text_publish_everything_or_nothing() {
    sweep_folds("front", 700, |n| format!("some/key/{n}").into_bytes());
}

#[test]
fn folds_that_copy_codes_publish_everything_or_nothing() {
    sweep_folds("fsst", 1_500, |n| {
        let mixed = u64::from_le_bytes(mixed(n)) >> 20;
        format!("https://example.org/{}/some/longer/page-{mixed:08x}", mixed % 97).into_bytes()
    });
}
