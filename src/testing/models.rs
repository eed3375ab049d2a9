//! Models: small programs of two or three threads that are run in every order that matters.
//!
//! The code is the map's own, over `loom`'s locks and atomics, with as little content as shows the
//! protocol. `loom` tries all schedules with a few preemptions, and all values that the orderings
//! of atomics allow a load to see; the arena tells it which bytes of nodes are touched
//! (see `arena/shadow.rs`). Everything else that threads share is behind the types of `sync`, and a
//! race there would not compile; what is left to go wrong is what a thread *finds*, so that each
//! model says what that may be.
//!
//! Not modelled: the worker's queue, which outlives a run of a model. Its part is played by a
//! thread that folds.

mod partitions;

use crate::compact::Core;
use crate::compact::testing::fold;
use crate::cursor::Cursor;
use crate::entry::{ValueBuf, ValueWidth};
use crate::options::{Compaction, Options};
use crate::partition::{Partition, Pinned, Writes};
use crate::sync::{Arc, thread};
use std::sync::atomic::{AtomicUsize, Ordering};

/// Stack of a modelled thread, in words.
const STACK_WORDS: usize = 1 << 16;

/// Times that a schedule stops a thread which could go on; `LOOM_MAX_PREEMPTIONS` asks for others.
const PREEMPTIONS: usize = 3;

/// Runs `body` in all schedules, on a thread with enough stack to fold.
fn explore(body: impl Fn() + Send + Sync + 'static) {
    explore_with(PREEMPTIONS, body);
}

/// As [`explore`], with so many preemptions.
fn explore_with(preemptions: usize, body: impl Fn() + Send + Sync + 'static) {
    let body = std::sync::Arc::new(body);
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound.get_or_insert(preemptions);
    builder.max_branches = 100_000;
    let schedules = std::sync::Arc::new(AtomicUsize::new(0));
    let count = std::sync::Arc::clone(&schedules);
    builder.check(move || {
        count.fetch_add(1, Ordering::Relaxed);
        let body = std::sync::Arc::clone(&body);
        join(spawn(move || body()));
    });
    println!("{} schedules", schedules.load(Ordering::Relaxed));
}

fn spawn<R: Send + 'static>(body: impl FnOnce() -> R + Send + 'static) -> thread::JoinHandle<R> {
    thread::Builder::new().stack_size(STACK_WORDS).spawn(body).expect("models have few threads")
}

fn join<R>(thread: thread::JoinHandle<R>) -> R {
    thread.join().expect("a thread that fails fails the model")
}

fn set(partition: &Partition, key: &[u8], value: u8) {
    partition.put(Writes::ALONE, key, &[value], |_| ()).expect("room");
}

fn value(found: Option<&[u8]>) -> u8 {
    found.map_or(0, |bytes| bytes[0])
}

fn get(partition: &Partition, key: &[u8]) -> u8 {
    partition.get(key, |bytes| bytes[0]).expect("not retired").expect("sound").unwrap_or(0)
}

fn get_pinned(pinned: &Pinned, key: &[u8]) -> u8 {
    let buf = ValueBuf::default();
    value(pinned.get(key, &buf).expect("sound").map(|value| value.as_slice()))
}

/// A partition whose delta has these keys with the value 1.
fn partition(keys: &[&[u8]]) -> Arc<Partition> {
    let partition = Arc::new(Partition::new(ValueWidth::Fixed(1)));
    keys.iter().for_each(|key| set(&partition, key, 1));
    partition
}

/// A map that folds when it is told to, with a handle that nobody drops.
fn core(compaction: Compaction) -> Arc<Core> {
    core_with(Options { compaction, delta_floor_bytes: 1, ..Options::default() })
}

/// An empty map with these options, with a handle that nobody drops.
fn core_with(options: Options) -> Arc<Core> {
    let core = Arc::new(Core::new(ValueWidth::Fixed(1), options));
    core.add_handle();
    core
}

fn get_core(core: &Core, key: &[u8]) -> u8 {
    core.get(key, |bytes| bytes[0]).expect("sound").unwrap_or(0)
}

/// The keys and values that a cursor shows, first to last.
fn walk(mut cursor: impl Cursor) -> Vec<(Vec<u8>, u8)> {
    let mut found = Vec::new();
    cursor.first();
    while cursor.valid() {
        found.push((cursor.key().to_vec(), value(cursor.entry().live())));
        cursor.next();
    }
    assert_eq!(cursor.status(), Ok(()));
    found
}

#[test]
fn what_a_pin_reads_is_not_written_until_it_has_gone() {
    explore(|| {
        let partition = partition(&[b"a", b"b"]);
        let pinned = partition.pin().expect("not retired");
        let reader = spawn(move || {
            assert_eq!((get_pinned(&pinned, b"a"), get_pinned(&pinned, b"b")), (1, 1));
        });
        // Copies while the pin is there, and in place as soon as it has gone.
        set(&partition, b"a", 2);
        set(&partition, b"b", 2);
        assert_eq!((get(&partition, b"a"), get(&partition, b"b")), (2, 2));
        join(reader);
    });
}

#[test]
fn a_pin_taken_beside_writes_shows_one_moment() {
    explore(|| {
        let partition = partition(&[b"a", b"b"]);
        let shared = partition.clone();
        let reader = spawn(move || {
            let pinned = shared.pin().expect("not retired");
            let first = (get_pinned(&pinned, b"a"), get_pinned(&pinned, b"b"));
            assert!([(1, 1), (2, 1), (2, 0)].contains(&first), "{first:?}");
            let again = (get_pinned(&pinned, b"a"), get_pinned(&pinned, b"b"));
            assert_eq!(first, again);
        });
        set(&partition, b"a", 2);
        partition.remove(Writes::ALONE, b"b", |_| ()).expect("room");
        join(reader);
        assert_eq!(partition.len(), Some(1));
    });
}

#[test]
fn blocks_in_limbo_wait_for_the_pins_between_birth_and_end() {
    explore(|| {
        let partition = partition(&[b"a", b"b"]);
        let old = partition.pin().expect("not retired");
        set(&partition, b"a", 2);
        let new = partition.pin().expect("not retired");
        let old_reader = spawn(move || {
            assert_eq!((get_pinned(&old, b"a"), get_pinned(&old, b"b")), (1, 1));
        });
        let new_reader = spawn(move || assert_eq!(get_pinned(&new, b"a"), 2));
        // Each write retires blocks, sweeps those that no pin reaches, and uses them again.
        for round in 3..6 {
            set(&partition, b"a", round);
        }
        join(old_reader);
        join(new_reader);
        set(&partition, b"b", 9);
        assert_eq!((get(&partition, b"a"), get(&partition, b"b")), (5, 9));
    });
}

#[test]
fn large_values_outlive_their_keys_while_a_pin_reads_them() {
    explore(|| {
        let partition = Arc::new(Partition::new(ValueWidth::Bytes));
        let large = |byte| vec![byte; crate::entry::INLINE_VALUE_MAX + 1];
        partition.put(Writes::ALONE, b"a", &large(1), |_| ()).expect("room");
        let pinned = partition.pin().expect("not retired");
        let reader = spawn(move || {
            let buf = ValueBuf::default();
            let found =
                pinned.get(b"a", &buf).expect("sound").map(|value| value.as_slice().to_vec());
            assert_eq!(found, Some(large(1)));
        });
        partition.put(Writes::ALONE, b"a", &large(2), |_| ()).expect("room");
        partition.remove(Writes::ALONE, b"a", |_| ()).expect("room");
        join(reader);
        assert_eq!(partition.len(), Some(0));
    });
}

#[test]
fn reads_and_writes_beside_a_fold_find_every_key() {
    explore(|| {
        let core = core(Compaction::Manual);
        for key in [b"a", b"b"] {
            Core::put(&core, key, &[1]).expect("room");
        }
        let folded = core.clone();
        let compactor = spawn(move || folded.compact().expect("memory"));
        assert_eq!(get_core(&core, b"a"), 1);
        Core::put(&core, b"a", &[2]).expect("room");
        assert_eq!((get_core(&core, b"a"), get_core(&core, b"b")), (2, 1));
        assert_eq!(core.len(), 2);
        join(compactor);
        assert_eq!((get_core(&core, b"a"), get_core(&core, b"b")), (2, 1));
    });
}

#[test]
fn a_view_pinned_beside_a_fold_is_whole_and_outlives_its_layers() {
    explore(|| {
        let core = core(Compaction::Manual);
        Core::put(&core, b"a", &[1]).expect("room");
        core.compact().expect("memory");
        Core::put(&core, b"b", &[1]).expect("room");
        let pinned = core.clone();
        let reader = spawn(move || {
            let view = pinned.pin(b"a");
            drop(pinned);
            let both = [(b"a".to_vec(), 1), (b"b".to_vec(), 1)];
            assert_eq!(walk(view.cursor()), both);
            assert_eq!(walk(view.cursor()), both, "the layers it was taken with have not changed");
        });
        core.compact().expect("memory");
        join(reader);
        assert_eq!(core.len(), 2);
    });
}

#[test]
fn the_last_user_of_old_layers_frees_them_whoever_it_is() {
    explore(|| {
        let partition = partition(&[b"a"]);
        fold(&partition, true);
        set(&partition, b"b", 1);
        let view = partition.pin().expect("not retired");
        let reader = spawn(move || {
            assert_eq!(get_pinned(&view, b"b"), 1);
            drop(view);
        });
        fold(&partition, true);
        assert_eq!((get(&partition, b"a"), get(&partition, b"b")), (1, 1));
        join(reader);
    });
}

#[test]
fn a_fold_does_not_bring_back_what_was_cleared() {
    explore(|| {
        let core = core(Compaction::Manual);
        Core::put(&core, b"a", &[1]).expect("room");
        let folded = core.clone();
        let compactor = spawn(move || folded.compact().expect("memory"));
        core.clear().expect("it may be written");
        assert_eq!((core.len(), get_core(&core, b"a")), (0, 0));
        Core::put(&core, b"b", &[2]).expect("room");
        join(compactor);
        assert_eq!((core.len(), get_core(&core, b"a"), get_core(&core, b"b")), (1, 0, 2));
    });
}

#[test]
fn writers_that_fold_take_turns() {
    // Two whole folds have so many steps that a third preemption takes a minute and more.
    explore_with(PREEMPTIONS - 1, || {
        let core = core(Compaction::Inline);
        let other = core.clone();
        let writer = spawn(move || Core::put(&other, b"a", &[1]).expect("room"));
        Core::put(&core, b"b", &[2]).expect("room");
        join(writer);
        assert_eq!((core.len(), get_core(&core, b"a"), get_core(&core, b"b")), (2, 1, 2));
        assert_eq!(core.stats().failed_folds, 0);
    });
}
