//! The suite over a partition with all four layers, and what freezing and publishing keep.

use super::check::check;
use super::*;
use crate::compact::testing::fold;
use crate::testing::conformance::{SortedLayer, check_layer};
use crate::testing::keys;

/// A partition whose entries are spread over delta, frozen delta, overlay and base, with stale
/// values and removed keys in between.
struct Spread(Partition);

fn put(partition: &Partition, key: &[u8], value: &[u8]) {
    partition.put(Writes::ALONE, key, value, |_| ()).expect("room");
}

fn stats(partition: &Partition) -> Stats {
    let mut stats = Stats::default();
    partition.add_stats(&mut stats);
    stats
}

fn usage(partition: &Partition) -> MemoryUsage {
    let mut usage = MemoryUsage::default();
    partition.add_usage(&mut usage, &mut None);
    usage
}

fn remove(partition: &Partition, key: &[u8]) -> bool {
    let mut was_there = false;
    partition.remove(Writes::ALONE, key, |_| was_there = true).expect("room");
    was_there
}

impl SortedLayer for Spread {
    type Cursor<'a> = LiveCursor;

    fn build(model: &keys::Model) -> Self {
        let partition = Partition::new(ValueWidth::Fixed(8));
        let decoys = keys::decoys(model, 120);
        let entries = keys::shuffled(model, 5);
        for layer in 0..4 {
            for (i, (key, value)) in entries.iter().enumerate() {
                // Older layers hold stale values of some keys that newer ones set again.
                if i % 4 == layer {
                    put(&partition, key, value);
                } else if i % 4 > layer && i % 3 == 0 {
                    put(&partition, key, &[0xee; 8]);
                }
            }
            for (i, key) in decoys.iter().enumerate() {
                if i % 4 == layer {
                    put(&partition, key, &[0xdd; 8]);
                } else if (i + 1) % 4 == layer || layer == 3 {
                    remove(&partition, key);
                }
            }
            match layer {
                0 => fold(&partition, true),
                1 => fold(&partition, false),
                2 => drop(partition.freeze(None)),
                _ => {}
            }
        }
        for key in &decoys {
            remove(&partition, key);
        }
        check(&partition, &[], None);
        Self(partition)
    }

    fn get(&self, key: &[u8]) -> Option<Vec<u8>> {
        let got = self.0.get(key, <[u8]>::to_vec).expect("not retired").expect("sound");
        let pinned = self.0.pin().expect("not retired");
        let buf = ValueBuf::default();
        let again = pinned.get(key, &buf).expect("sound").map(|value| value.as_slice().to_vec());
        assert_eq!(got, again, "a pin answers as the partition does");
        got
    }

    fn cursor(&self) -> Self::Cursor<'_> {
        self.0.pin().expect("not retired").cursor()
    }

    fn len(&self) -> u64 {
        self.0.len().expect("not retired")
    }
}

#[test]
fn a_partition_of_four_layers_conforms() {
    check_layer::<Spread>();
}

#[test]
fn a_fold_that_finds_the_partition_cleared_changes_nothing() {
    let partition = Partition::new(ValueWidth::Fixed(8));
    put(&partition, b"a", &[1; 8]);
    let layers = partition.freeze(None).expect("a frozen delta");
    partition.clear();
    put(&partition, b"b", &[2; 8]);
    let folded = Layers { frozen: None, ..(*layers).clone() };
    assert!(!partition.publish(None, &layers, folded));
    assert_eq!(partition.len(), Some(1));
    assert_eq!(partition.get(b"a", |_| ()), Some(Ok(None)));
}

#[test]
fn what_a_pin_sees_outlives_freeze_fold_and_clear() {
    let partition = Partition::new(ValueWidth::Bytes);
    for n in 0..500u32 {
        put(&partition, &n.to_le_bytes(), &[n as u8; 2_000]);
    }
    let pinned = partition.pin().expect("not retired");
    fold(&partition, true);
    for n in 0..500u32 {
        assert!(remove(&partition, &n.to_le_bytes()));
    }
    fold(&partition, false);
    partition.clear();
    for n in 0..500u32 {
        let buf = ValueBuf::default();
        let value = pinned.get(&n.to_le_bytes(), &buf).expect("sound").expect("it was there");
        assert_eq!(value.as_slice(), [n as u8; 2_000]);
    }
}

#[test]
fn removing_what_is_not_there_costs_no_entry() {
    let partition = Partition::new(ValueWidth::Fixed(0));
    put(&partition, b"a", &[]);
    fold(&partition, true);
    for n in 0..1_000u32 {
        assert!(!remove(&partition, &n.to_le_bytes()));
    }
    assert_eq!(stats(&partition).delta_entries, 0);
    assert!(remove(&partition, b"a"));
    assert!(!remove(&partition, b"a"));
    assert_eq!(stats(&partition).delta_entries, 1, "a tombstone");
    fold(&partition, true);
    assert!(partition.layers().is_none_or(|layers| !layers.has_entries()));
}

#[test]
fn keys_that_come_and_go_do_not_make_the_filter_grow() {
    let partition = Partition::new(ValueWidth::Fixed(8));
    for n in 0..1_000u64 {
        put(&partition, &n.to_le_bytes(), &[1; 8]);
    }
    fold(&partition, true);
    // A queue: new keys at one end, removed at the other.
    for n in 1_000..101_000u64 {
        put(&partition, &n.to_le_bytes(), &[2; 8]);
        if n >= 1_100 {
            assert!(remove(&partition, &(n - 100).to_le_bytes()));
        }
    }
    let used = usage(&partition).filter;
    assert!(0 < used && used < 16 << 10, "{used}");
    for n in (0..1_000).chain(100_900..101_000u64) {
        assert!(
            partition.get(&n.to_le_bytes(), |_| ()).expect("not retired").expect("sound").is_some(),
            "{n}"
        );
    }
    check(&partition, &[], None);
}

#[test]
fn a_filter_learns_keys_written_after_the_last_layer_is_gone() {
    let partition = Partition::new(ValueWidth::Fixed(8));
    put(&partition, b"old", &[1; 8]);
    fold(&partition, true);
    assert!(remove(&partition, b"old"));
    let layers = partition.freeze(None).expect("a base and a tombstone");
    for n in 0..100u32 {
        put(&partition, &n.to_le_bytes(), &[2; 8]);
    }
    // The fold leaves nothing below the delta, which has a filter by now.
    assert!(partition.publish(None, &layers, Layers::default()));
    for n in 100..200u32 {
        put(&partition, &n.to_le_bytes(), &[3; 8]);
    }
    partition.freeze(None);
    for n in 0..200u32 {
        assert!(
            partition.get(&n.to_le_bytes(), |_| ()).expect("not retired").expect("sound").is_some(),
            "{n}"
        );
    }
    check(&partition, &[], None);
}

#[test]
fn a_retired_partition_answers_nobody_and_is_not_retired_again() {
    let partition = Partition::new(ValueWidth::Fixed(8));
    put(&partition, b"a", &[1; 8]);
    let layers = partition.freeze(None).expect("a frozen delta");
    let before = partition.pin().expect("not retired");
    let all = [&partition];
    let retired = Partition::retire_all(&all, None, |retiring| {
        assert!(retiring[0].stands_on(Some(&layers)) && !retiring[0].is_blank());
        Ok::<_, ()>(Some(()))
    });
    assert_eq!(retired, Ok(Some(())));
    assert!(partition.get(b"a", |_| ()).is_none() && partition.pin().is_none());
    assert_eq!(partition.len(), None);
    let refused = partition.put(Writes::ALONE, b"b", &[2; 8], |_| ());
    assert_eq!(refused, Err(WriteError::Retired));
    assert_eq!(partition.remove(Writes::ALONE, b"a", |_| ()), Err(WriteError::Retired));
    assert!(partition.freeze(None).is_none());
    assert!(!partition.publish(None, &layers, Layers { frozen: None, ..(*layers).clone() }));
    // What was made of its layers must not take the place of its successors.
    let again = Partition::retire_all(&all, None, |retiring| {
        assert!(!retiring[0].stands_on(Some(&layers)) && !retiring[0].is_blank());
        Ok::<Option<()>, ()>(None)
    });
    assert_eq!(again, Ok(None));
    assert!(partition.state.read().layers.is_none(), "its content has gone");
    assert!(before.get(b"a", &ValueBuf::default()).expect("sound").is_some(), "a view from before");
}
