//! The tree against a `BTreeMap`, checked after every change.

mod conformance;

use super::check::check;
use super::*;
use crate::bytes::bytes_of;
use crate::columns::{Columns, LIVE_BELOW, TOMBSTONE};
use crate::cursor::Cursor;
use crate::entry::{Below, Entry, EntryKind, ValueRef, ValueWidth};
use std::collections::BTreeMap;

type Model = BTreeMap<Vec<u8>, (EntryKind, Below, Vec<u8>)>;

struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % n
    }

    fn key(&mut self, alphabet: u64) -> Vec<u8> {
        match alphabet {
            0 => {
                let len = self.below(12);
                (0..len).map(|_| [0x00, 0x01, 0x7f, 0x80, 0xff][self.below(5) as usize]).collect()
            }
            1 => {
                let len = self.below(3);
                (0..len).map(|_| self.below(256) as u8).collect()
            }
            2 => {
                let stem = vec![b'p'; [0, 3, 5, 9, 300, 700][self.below(6) as usize]];
                let tail: Vec<u8> =
                    (0..self.below(4)).map(|_| self.below(3) as u8 + b'a').collect();
                [stem, tail].concat()
            }
            _ => self.below(3_000).swap_bytes().to_le_bytes().to_vec(),
        }
    }
}

fn put(tree: &mut Tree, key: &[u8], kind: EntryKind, below: Below, value: &[u8]) {
    let plan = tree.plan(key).expect("room");
    let value = match kind {
        EntryKind::Value => Entry::value(ValueRef::Inline(value), below),
        EntryKind::Tombstone => Entry::tombstone(below),
    };
    tree.apply(plan, key, value).expect("room");
}

fn unlink(tree: &mut Tree, key: &[u8]) {
    let plan = tree.plan(key).expect("room");
    tree.unlink(plan).expect("room");
}

fn content(mut cursor: impl Cursor) -> Model {
    let mut all = Model::new();
    cursor.first();
    while cursor.valid() {
        let entry = cursor.entry();
        let value = entry.value.as_slice().to_vec();
        all.insert(cursor.key().to_vec(), (entry.kind, entry.below, value));
        cursor.next();
    }
    all
}

fn run(seed: u64, alphabet: u64, width: ValueWidth, rounds: u32) {
    let mut random = Random(seed);
    let mut tree = Tree::new(width);
    let mut model = Model::new();
    let mut pins: Vec<(Pin, Model)> = Vec::new();
    for round in 0..rounds {
        let key = random.key(alphabet);
        let value: Vec<u8> = match width {
            ValueWidth::Fixed(n) => (0..n).map(|_| random.below(256) as u8).collect(),
            ValueWidth::Bytes => vec![round as u8; random.below(300) as usize],
        };
        // Long phases of growth and of shrinking, so that every shape is passed both ways.
        let grows = round / 1_000 % 2 == 0;
        match random.below(10) {
            0 | 1 if grows => unlink_both(&mut tree, &mut model, &key),
            2..=8 if !grows => {
                let near = model.range(key.clone()..).next().map_or(key, |entry| entry.0.clone());
                unlink_both(&mut tree, &mut model, &near);
            }
            9 => {
                put(&mut tree, &key, EntryKind::Tombstone, Below::Live, &[]);
                model.insert(key, (EntryKind::Tombstone, Below::Live, Vec::new()));
            }
            _ => {
                let below = if random.below(2) == 0 { Below::Live } else { Below::Absent };
                put(&mut tree, &key, EntryKind::Value, below, &value);
                model.insert(key, (EntryKind::Value, below, value));
            }
        }
        if round % 8 == 0 || model.len() < 100 {
            check(&tree);
        }
        assert_eq!(tree.len(), model.len() as u64);
        let probe = random.key(alphabet);
        let got = tree.get(&probe).map(|e| (e.kind, e.below, e.value.as_slice().to_vec()));
        assert_eq!(got, model.get(&probe).cloned());
        if random.below(50) == 0 {
            pins.push((tree.pin(), model.clone()));
        }
        if random.below(60) == 0 && !pins.is_empty() {
            let at = random.below(pins.len() as u64) as usize;
            let (pin, then) = pins.swap_remove(at);
            assert_eq!(content(ArtCursor::new(&pin)), then, "a pin never changes");
        }
        if pins.len() > 8 {
            pins.clear();
        }
        if round % 500 == 0 {
            assert_eq!(content(ArtCursor::new(&tree)), model);
        }
    }
    let weight: i64 =
        model.values().map(|(kind, below, _)| i64::from(crate::entry::weight(*kind, *below))).sum();
    assert_eq!(tree.weight(), weight);
    let keys: Vec<Vec<u8>> = model.keys().cloned().collect();
    for key in keys {
        unlink_both(&mut tree, &mut model, &key);
    }
    check(&tree);
    drop(pins);
    unlink(&mut tree, b"");
    assert_eq!((tree.used_bytes(), tree.limbo_bytes(), tree.len()), (0, 0, 0));
}

fn unlink_both(tree: &mut Tree, model: &mut Model, key: &[u8]) {
    unlink(tree, key);
    model.remove(key);
}

#[test]
fn random_changes_match_a_model_and_pins_stay_as_they_were() {
    for alphabet in 0..4 {
        for (seed, width) in
            [ValueWidth::Fixed(8), ValueWidth::Fixed(0), ValueWidth::Bytes].into_iter().enumerate()
        {
            run(seed as u64 * 77 + alphabet, alphabet, width, 8_000);
        }
    }
}

#[test]
fn extents_are_kept_for_pins_and_freed_with_the_last_reader() {
    let mut tree = Tree::new(ValueWidth::Bytes);
    let extent: crate::entry::Extent = [7; 5_000].as_slice().into();
    for key in [b"a".as_slice(), b"ab", b"b"] {
        let plan = tree.plan(key).expect("room");
        tree.apply(plan, key, Entry::value(ValueRef::extent(&extent), Below::Absent))
            .expect("room");
    }
    assert_eq!(extent.owners(), 4);
    let pin = tree.pin();
    unlink(&mut tree, b"a");
    put(&mut tree, b"b", EntryKind::Value, Below::Absent, b"small");
    check(&tree);
    assert_eq!(extent.owners(), 4, "the pin still reads them");
    let value = pin.get(b"a").and_then(Entry::live).map(<[u8]>::len);
    assert_eq!(value, Some(5_000));
    drop(pin);
    unlink(&mut tree, b"zzz");
    assert_eq!(extent.owners(), 2);
    let pin = tree.pin();
    drop(tree);
    assert_eq!(pin.get(b"ab").and_then(Entry::live).map(<[u8]>::len), Some(5_000));
    drop(pin);
    assert_eq!(extent.owners(), 1);
}

#[test]
fn epochs_that_run_out_refuse_the_write_and_lose_nothing() {
    let mut tree = Tree::new(ValueWidth::Fixed(8));
    put(&mut tree, b"k", EntryKind::Value, Below::Absent, &[1; 8]);
    tree.set_epoch(u16::MAX);
    let pin = tree.pin();
    assert_eq!(tree.plan(b"l").err(), Some(TreeError::EpochsUsedUp));
    assert_eq!(tree.get(b"k").and_then(Entry::live), Some([1; 8].as_slice()));
    drop(pin);
    put(&mut tree, b"l", EntryKind::Value, Below::Absent, &[2; 8]);
    check(&tree);
}

#[test]
fn every_failed_allocation_leaves_the_tree_as_it_was() {
    use crate::arena::hooks;
    let mut random = Random(5);
    let mut tree = Tree::new(ValueWidth::Fixed(8));
    let mut model = Model::new();
    let mut failures = 0;
    for round in 0..4_000u32 {
        let pin = (round % 3 == 0).then(|| tree.pin());
        let key = random.key(u64::from(round) % 4);
        hooks::fail_allocation(Some(0));
        let removes = random.below(4) == 0;
        let value = [round as u8; 8];
        let entry = Entry::value(ValueRef::Inline(&value), Below::Absent);
        let mut attempt = || {
            let plan = tree.plan(&key)?;
            if removes { tree.unlink(plan) } else { tree.apply(plan, &key, entry) }
        };
        if attempt().is_err() {
            failures += 1;
            check(&tree);
            hooks::fail_allocation(None);
            assert_eq!(content(ArtCursor::new(&tree)), model);
            let plan = tree.plan(&key).expect("room");
            let retried = if removes { tree.unlink(plan) } else { tree.apply(plan, &key, entry) };
            retried.expect("memory is back");
        }
        hooks::fail_allocation(None);
        if removes {
            model.remove(&key);
        } else {
            model.insert(key, (EntryKind::Value, Below::Absent, vec![round as u8; 8]));
        }
        drop(pin);
    }
    check(&tree);
    assert_eq!(content(ArtCursor::new(&tree)), model);
    assert!(failures > 20, "{failures} failures");
}

#[test]
fn overwriting_under_an_old_pin_keeps_only_what_the_pin_reaches() {
    let mut tree = Tree::new(ValueWidth::Bytes);
    let extent: crate::entry::Extent = [7; 5_000].as_slice().into();
    for key in [b"a".as_slice(), b"ab", b"b"] {
        put(&mut tree, key, EntryKind::Value, Below::Absent, b"first");
    }
    let pin = tree.pin();
    for round in 0..10_000u32 {
        if round % 2 == 0 {
            put(&mut tree, b"a", EntryKind::Value, Below::Absent, &round.to_le_bytes());
        } else {
            let plan = tree.plan(b"a").expect("room");
            tree.apply(plan, b"a", Entry::value(ValueRef::extent(&extent), Below::Absent))
                .expect("room");
        }
        unlink(&mut tree, b"b");
        put(&mut tree, b"b", EntryKind::Value, Below::Absent, b"again");
    }
    check(&tree);
    assert!(tree.limbo_bytes() < 1_000, "{}", tree.limbo_bytes());
    assert!(extent.owners() <= 2);
    assert_eq!(pin.get(b"a").and_then(Entry::live), Some(b"first".as_slice()));
    assert_eq!(pin.get(b"b").and_then(Entry::live), Some(b"first".as_slice()));
}

#[test]
fn keys_have_one_length_until_one_has_another() {
    let tree = |keys: &[&[u8]]| {
        let mut tree = Tree::new(ValueWidth::Fixed(0));
        for key in keys {
            put(&mut tree, key, EntryKind::Value, Below::Absent, b"");
        }
        tree.key_len()
    };
    assert_eq!(tree(&[]), None);
    assert_eq!(tree(&[b"a"]), Some(1));
    assert_eq!(tree(&[b"12345678", b"abcdefgh", b"12345678"]), Some(8));
    assert_eq!(tree(&[b""]), None);
    assert_eq!(tree(&[b"", b"abc"]), None);
    assert_eq!(tree(&[b"abc", b"", b"abc"]), None);
    assert_eq!(tree(&[b"abc", b"ab", b"abc"]), None);
    assert_eq!(tree(&[b"123456789"]), None);
    assert_eq!(tree(&[b"123456789", b"abc", &[b'a'; 300]]), None);
}

#[test]
fn entries_are_gathered_as_a_walk_finds_them() {
    let mut random = Random(5);
    for round in 0..120 {
        let width = [8, 0, 3][round % 3];
        let key_len = 1 + random.below(8) as usize;
        // Full nodes of all kinds, and paths of one child.
        let spread = [1, 3, 60, 256, 1 << 20, u64::MAX >> 40][random.below(6) as usize];
        let mut tree = Tree::new(ValueWidth::Fixed(width));
        for _ in 0..random.below(3_000) {
            let number = random.below(1 << 30).wrapping_mul(spread) % [300, u64::MAX][round % 2];
            let kind = [EntryKind::Value, EntryKind::Tombstone][usize::from(random.below(5) == 0)];
            let below = [Below::Absent, Below::Live][random.below(2) as usize];
            let value: Vec<u8> = (0..width).map(|_| random.below(256) as u8).collect();
            put(&mut tree, &bytes_of(number)[8 - key_len..], kind, below, &value);
        }
        let mut cursor = ArtCursor::new(&tree);
        cursor.first();
        let mut columns = Columns::new(width.into());
        let mut gathered = Model::new();
        while cursor.valid() {
            assert_eq!(tree.key_len(), Some(key_len));
            let most = 1 + random.below(700) as usize;
            columns.clear();
            cursor.gather(most, &mut columns).expect("memory for a test");
            assert!(columns.len() == most || columns.len() < most && !cursor.valid());
            let values = columns.left_values();
            for (i, number) in columns.left_keys().iter().enumerate() {
                let flags = columns.left_flags()[i];
                let below = if flags & LIVE_BELOW == 0 { Below::Absent } else { Below::Live };
                let width = usize::from(width);
                let (kind, value) = match flags & TOMBSTONE {
                    0 => (EntryKind::Value, values[i * width..(i + 1) * width].to_vec()),
                    _ => (EntryKind::Tombstone, Vec::new()),
                };
                let key = bytes_of(*number)[8 - key_len..].to_vec();
                assert!(gathered.last_key_value().is_none_or(|(last, _)| *last < key));
                gathered.insert(key, (kind, below, value));
            }
        }
        assert_eq!(gathered, content(ArtCursor::new(&tree)), "{round}");
    }
}
