//! Models of maps with several partitions: dividing, joining, appending, emptying, and views of all.

use super::{core_with, explore_with, get_core, join, spawn, walk};
use crate::compact::{Base, Core};
use crate::entry::{Below, Entry, ValueRef, ValueWidth};
use crate::options::{Compaction, Options};
use crate::segment::{CodecChoice, SegmentBuilder};
use crate::sync::Arc;
use bumpalo::Bump;

/// Exchanges of partitions have so many steps that each preemption more is minutes.
const PREEMPTIONS: usize = 2;

/// Options of a map that divides a partition of more than twice so many entries, when it is told to.
fn options(partition_entries: usize) -> Options {
    Options {
        compaction: Compaction::Manual,
        delta_floor_bytes: 1,
        partition_entries,
        ..Options::default()
    }
}

/// A base of this key with the value 1.
fn base(key: &[u8]) -> Base {
    let bump = Bump::new();
    let width = ValueWidth::Fixed(1);
    let mut builder = SegmentBuilder::new(width, &bump, CodecChoice::Automatic).expect("memory");
    builder.push(key, Entry::value(ValueRef::Inline(&[1]), Below::Absent)).expect("ascending");
    Base { bound: key.into(), segment: Arc::new(builder.finish().expect("memory")) }
}

/// A map of one partition for each key, each with the value 1.
fn divided(keys: &[&[u8]], partition_entries: usize) -> Arc<Core> {
    let bases = keys.iter().map(|key| base(key)).collect();
    let core = Core::opened(ValueWidth::Fixed(1), options(partition_entries), bases, false);
    let core = Arc::new(core);
    core.add_handle();
    core
}

/// Adds these keys in ascending order, each with the value 1.
fn extend(core: &Arc<Core>, keys: &[&[u8]]) {
    let mut keys = keys.iter();
    let added = Core::extend_sorted(core, &mut |key, value| {
        let Some(next) = keys.next() else { return Ok(false) };
        *key = next.to_vec();
        *value = vec![1];
        Ok(true)
    });
    added.expect("memory");
}

fn put(core: &Arc<Core>, key: &[u8], value: u8) {
    Core::put(core, key, &[value]).expect("room");
}

/// The keys and values of the whole map as of now, which a second walk shows again.
fn look(core: &Core) -> Vec<(Vec<u8>, u8)> {
    let view = core.view_all();
    let found = walk(view.cursor());
    assert_eq!(walk(view.cursor()), found, "a view does not change");
    found
}

/// The value that a view showed.
fn shown(view: &[(Vec<u8>, u8)], key: &[u8]) -> u8 {
    view.iter().find(|(known, _)| known == key).map_or(0, |(_, value)| *value)
}

#[test]
fn a_partition_that_is_divided_hides_nothing_and_loses_no_write() {
    explore_with(PREEMPTIONS, || {
        let core = core_with(options(1));
        for key in [b"a", b"b", b"c", b"d"] {
            put(&core, key, 1);
        }
        let folded = core.clone();
        let compactor = spawn(move || {
            folded.freeze();
            folded.fold_step().expect("memory");
        });
        let read = core.clone();
        let reader = spawn(move || {
            let first = get_core(&read, b"b");
            let again = get_core(&read, b"b");
            assert!(matches!((first, again), (1, 1 | 2) | (2, 2)), "{first}, {again}");
            assert_eq!(get_core(&read, b"a"), 1);
        });
        put(&core, b"b", 2);
        assert_eq!(get_core(&core, b"b"), 2);
        Core::delete(&core, b"c").expect("room");
        assert_eq!(get_core(&core, b"c"), 0);
        join(reader);
        join(compactor);
        let stays = [(b"a", 1), (b"b", 2), (b"d", 1)];
        assert_eq!(look(&core), stays.map(|(key, value)| (key.to_vec(), value)));
        assert_eq!(core.len(), 3);
        assert!(core.stats().partitions > 1);
        core.check();
    });
}

#[test]
fn a_division_does_not_bring_back_what_was_cleared() {
    explore_with(PREEMPTIONS, || {
        let core = core_with(options(1));
        for key in [b"a", b"b", b"c"] {
            put(&core, key, 1);
        }
        let folded = core.clone();
        let compactor = spawn(move || {
            folded.freeze();
            folded.fold_step().expect("memory");
        });
        core.clear().expect("it may be written");
        assert_eq!((core.len(), get_core(&core, b"a")), (0, 0));
        put(&core, b"b", 2);
        join(compactor);
        assert_eq!(look(&core), [(b"b".to_vec(), 2)]);
        assert_eq!(core.len(), 1);
        core.check();
    });
}

#[test]
fn partitions_that_are_joined_hide_nothing_and_lose_no_write() {
    explore_with(PREEMPTIONS, || {
        let core = divided(&[b"a", b"b"], 8);
        put(&core, b"a", 2);
        let folded = core.clone();
        let compactor = spawn(move || folded.compact().expect("memory"));
        let read = core.clone();
        let reader = spawn(move || {
            assert_eq!(get_core(&read, b"a"), 2);
            let found = get_core(&read, b"b");
            assert!(matches!(found, 1 | 3), "{found}");
        });
        put(&core, b"b", 3);
        assert_eq!((get_core(&core, b"a"), get_core(&core, b"b")), (2, 3));
        join(reader);
        join(compactor);
        assert_eq!(look(&core), [(b"a".to_vec(), 2), (b"b".to_vec(), 3)]);
        assert_eq!((core.len(), core.stats().partitions), (2, 1));
        core.check();
    });
}

#[test]
fn an_empty_partition_that_is_joined_takes_its_neighbours_writes_along() {
    explore_with(PREEMPTIONS, || {
        let core = divided(&[b"a", b"b"], 1);
        Core::delete(&core, b"a").expect("room");
        let folded = core.clone();
        let compactor = spawn(move || folded.compact().expect("memory"));
        put(&core, b"b", 2);
        put(&core, b"a", 3);
        assert_eq!((get_core(&core, b"a"), get_core(&core, b"b")), (3, 2));
        join(compactor);
        assert_eq!(look(&core), [(b"a".to_vec(), 3), (b"b".to_vec(), 2)]);
        core.check();
    });
}

#[test]
fn a_view_of_two_partitions_has_no_write_without_those_that_ended_before() {
    explore_with(PREEMPTIONS, || {
        let core = divided(&[b"a", b"b"], 1);
        let (one, other) = (core.clone(), core.clone());
        let first = spawn(move || put(&one, b"a", 2));
        let second = spawn(move || {
            if get_core(&other, b"a") == 2 {
                put(&other, b"b", 2);
            }
        });
        let seen = look(&core);
        let seen = (shown(&seen, b"a"), shown(&seen, b"b"));
        assert!(matches!(seen, (1, 1) | (2, 1 | 2)), "{seen:?}");
        join(first);
        join(second);
    });
}

#[test]
fn a_view_keeps_what_a_partition_had_when_it_was_divided() {
    explore_with(PREEMPTIONS, || {
        let core = divided(&[b"a", b"b"], 1);
        for key in [b"c", b"d"] {
            put(&core, key, 1);
        }
        let folded = core.clone();
        let compactor = spawn(move || {
            folded.freeze();
            folded.fold_step().expect("memory");
        });
        let view = core.view_all();
        put(&core, b"c", 2);
        let expected = [b"a", b"b", b"c", b"d"].map(|key| (key.to_vec(), 1));
        assert_eq!(walk(view.cursor()), expected);
        join(compactor);
        assert_eq!(walk(view.cursor()), expected);
        assert_eq!(get_core(&core, b"c"), 2);
        core.check();
    });
}

#[test]
fn users_of_a_partition_that_was_set_aside_go_to_the_directory_again() {
    explore_with(PREEMPTIONS, || {
        let core = divided(&[b"a", b"b"], 1);
        let cleared = core.clone();
        let clearer = spawn(move || {
            cleared.clear().expect("it may be written");
            // Neither to what has gone, nor from it.
            put(&cleared, b"c", 3);
            assert_eq!((get_core(&cleared, b"a"), get_core(&cleared, b"c")), (0, 3));
        });
        let read = core.clone();
        let reader = spawn(move || {
            let (first, then) = (get_core(&read, b"b"), get_core(&read, b"a"));
            assert!(first != 0 || then == 0, "what was cleared came back");
        });
        put(&core, b"b", 2);
        let found = get_core(&core, b"b");
        assert!(matches!(found, 0 | 2), "{found}");
        join(clearer);
        join(reader);
        let kept = u64::from(get_core(&core, b"b") == 2);
        assert_eq!((core.len(), get_core(&core, b"c")), (1 + kept, 3));
        core.check();
    });
}

#[test]
fn what_is_appended_comes_at_once_unless_others_write_behind_it() {
    explore_with(PREEMPTIONS, || {
        let core = divided(&[b"a"], 1);
        let extended = core.clone();
        let appender = spawn(move || extend(&extended, &[b"c", b"d"]));
        let written = core.clone();
        let writer = spawn(move || {
            put(&written, b"b", 2);
            put(&written, b"d", 2);
            assert_eq!(get_core(&written, b"b"), 2);
            assert_ne!(get_core(&written, b"d"), 0);
        });
        let seen = look(&core);
        let [a, b, c, d] = [b"a", b"b", b"c", b"d"].map(|key| shown(&seen, key));
        assert!(a == 1 && (d == 2 || c == d) && (d != 2 || b == 2), "{seen:?}");
        join(appender);
        join(writer);
        let [a, b, c, d] = [b"a", b"b", b"c", b"d"].map(|key| get_core(&core, key));
        assert!((a, b, c) == (1, 2, 1) && d != 0, "{a}, {b}, {c}, {d}");
        assert_eq!(core.len(), 4);
        core.check();
    });
}

#[test]
fn a_fork_of_two_partitions_shows_one_moment_and_then_goes_its_own_way() {
    explore_with(PREEMPTIONS, || {
        let core = divided(&[b"a", b"b"], 1);
        let written = core.clone();
        let writer = spawn(move || {
            put(&written, b"a", 2);
            put(&written, b"b", 2);
        });
        let fork = Arc::new(core.fork().expect("memory"));
        let seen = look(&fork);
        let pair = (shown(&seen, b"a"), shown(&seen, b"b"));
        assert!(matches!(pair, (1, 1) | (2, 1 | 2)), "{pair:?}");
        put(&fork, b"b", 9);
        join(writer);
        assert_eq!((get_core(&core, b"a"), get_core(&core, b"b")), (2, 2));
        assert_eq!((get_core(&fork, b"a"), get_core(&fork, b"b")), (pair.0, 9));
    });
}
