//! Walks yield what a model has, from both ends and whatever copies were made ahead.

use super::MemKV;
use super::many_tests::{Made, Model, integers, layered, manual, readings, words};
use crate::error::Error;
use crate::key::{CodecName, Key, KeyBuf, KeyError, KeyForm, KeyPosition};
use crate::options::{Compaction, Options, Residence};
use crate::store::Access;
use crate::testing::driven::tiny;
use crate::testing::keys::{self, big_endian};
use crate::testing::memory_storage::MemoryStorage;
use crate::testing::rng::Rng;
use fst::automaton::AlwaysMatch;
use std::collections::BTreeMap;
use std::ops::Bound;
use std::path::Path;

/// Walks over a range from both ends, a random number of steps from one end and then from the other.
fn check_walk<V: Made>(
    kv: &MemKV<Vec<u8>, V>,
    model: &Model<V>,
    range: (Bound<Vec<u8>>, Bound<Vec<u8>>),
    steps: usize,
    rng: &mut Rng,
) {
    let mut ours = kv.range(range.clone());
    let mut theirs = model.range(range.clone()).map(|(key, value)| (key.clone(), value.clone()));
    let mut from_front = rng.one_in(2);
    loop {
        for _ in 0..rng.within(1..=steps) {
            let (our, their) = if from_front {
                (ours.next(), theirs.next())
            } else {
                (ours.next_back(), theirs.next_back())
            };
            assert!(our == their, "{range:?}, steps of up to {steps}: {our:?} is not {their:?}");
            if our.is_none() {
                assert_eq!((ours.next(), ours.next_back()), (None, None));
                return;
            }
        }
        from_front = !from_front;
    }
}

/// Takes a few steps from both ends, and then all that is left at once, or all but some.
fn check_rest<V: Made>(kv: &MemKV<Vec<u8>, V>, model: &Model<V>, rng: &mut Rng) {
    let most = [3, 40, 1_000][rng.below(3)];
    let mut ours = kv.iter();
    let mut theirs = model.iter().map(|(key, value)| (key.clone(), value.clone()));
    for _ in 0..rng.below(6) {
        let n = rng.below(most);
        let (our, their) = if rng.one_in(2) {
            (ours.nth(n), theirs.nth(n))
        } else {
            (ours.nth_back(n), theirs.nth_back(n))
        };
        assert!(our == their, "{n} further on: {our:?} is not {their:?}");
    }
    match rng.below(4) {
        0 => assert_eq!(ours.count(), theirs.count()),
        1 => assert!(ours.last() == theirs.last(), "last"),
        back => {
            let mut all = Vec::new();
            if back == 2 {
                ours.for_each(|entry| all.push(entry));
            } else {
                ours.rev().for_each(|entry| all.insert(0, entry));
            }
            assert!(theirs.eq(all), "all that is left");
        }
    }
    let mut keys = Vec::new();
    kv.keys().for_each(|key| keys.push(key));
    assert!(model.keys().eq(&keys), "keys together");
    let mut values = Vec::new();
    kv.values().for_each(|value| values.push(value));
    assert!(model.values().eq(&values), "values together");
}

fn check_walks<V: Made>(kv: &MemKV<Vec<u8>, V>, model: &Model<V>, keys: &[Vec<u8>]) {
    let mut rng = Rng::new(keys.len() as u64);
    for i in 0..24 {
        let mut bound = || match (rng.below(4), keys.is_empty()) {
            (0, _) | (_, true) => Bound::Unbounded,
            (1, _) => Bound::Included(rng.pick(keys).clone()),
            _ => Bound::Excluded(rng.pick(keys).clone()),
        };
        let range = match (bound(), bound()) {
            (Bound::Included(a) | Bound::Excluded(a), Bound::Included(b) | Bound::Excluded(b))
                if a > b =>
            {
                (Bound::Included(b), Bound::Included(a))
            }
            (Bound::Excluded(a), Bound::Excluded(b)) if a == b => {
                (Bound::Included(a), Bound::Included(b))
            }
            range => range,
        };
        check_walk(kv, model, range, [1, 3, 40, 100_000][i % 4], &mut rng);
    }
    for _ in 0..12 {
        check_rest(kv, model, &mut rng);
    }
    let (mut lent, mut theirs) = (kv.iter().lending(), model.iter());
    loop {
        let (our, their) = if rng.one_in(3) {
            (lent.next_back_ref(), theirs.next_back())
        } else {
            (lent.next_ref(), theirs.next())
        };
        assert!(our == their, "lent {our:?}, not {their:?}");
        if their.is_none() {
            break;
        }
    }
    assert!(kv.keys().eq(model.keys().cloned()), "keys");
    assert!(kv.values().rev().eq(model.values().rev().cloned()), "values");
}

fn check_layers<V: Made>() {
    for keys in [words(4_000), integers(4_000), readings(4_000)] {
        for options in [manual(), Options { partition_entries: 40, ..manual() }] {
            let (kv, model) = layered::<V>(options, &keys, &mut Rng::new(1));
            check_walks(&kv, &model, &keys);
            kv.compact().expect("memory for a test");
            check_walks(&kv, &model, &keys);
        }
    }
}

/// What is above a base may be of any kind: keys of other lengths than all of it have, more of them between two of its
/// keys than are taken at once, and tombstones of all that it has for a while.
#[test]
fn walks_go_through_whatever_stands_above_a_base() {
    let mut rng = Rng::new(71);
    for len in [8, 12, 0] {
        let key = |number: u64| match len {
            8 => big_endian(number),
            0 => format!("{:x}", number * number).into_bytes(),
            _ => format!("{number:012}").into_bytes(),
        };
        let (kv, mut model) = (MemKV::<Vec<u8>, [u8; 8]>::with_options(manual()), Model::new());
        let mut keys: Vec<Vec<u8>> = (0..3_000).map(|number| key(number * 40_000)).collect();
        for key in &keys {
            let value = Made::made(&mut rng);
            kv.insert(&key[..], value);
            model.insert(key.clone(), value);
        }
        kv.compact().expect("memory for a test");
        for number in 0..8_000 {
            let key = match rng.below(40) {
                0 => [&key(rng.below(1 << 27) as u64)[..], &[7; 5]].concat(),
                1 => key(rng.below(1 << 27) as u64),
                2 => rng.pick(&keys).clone(),
                _ => key(40_000 * 1_000 + number * 2),
            };
            let value = Made::made(&mut rng);
            kv.insert(&key[..], value);
            model.insert(key.clone(), value);
            keys.push(key);
        }
        for removed in &keys[2_000..2_400] {
            kv.remove(&removed[..]);
            model.remove(removed);
        }
        keys.sort_unstable();
        check_walks(&kv, &model, &keys);
    }
}

/// Walks over every third key of these, which have been folded, yield what a model has.
fn walks_yield<K: Key + KeyForm<K> + Ord + Clone + std::fmt::Debug>(keys: impl Iterator<Item = K>) {
    let model: BTreeMap<K, u32> = keys.step_by(3).zip(0..).collect();
    let map: MemKV<K, u32> = MemKV::new();
    for (key, value) in &model {
        map.insert(key, *value);
    }
    map.compact().expect("memory");
    let expected: Vec<(K, u32)> = model.into_iter().collect();
    assert!(expected.len() > 300, "there are batches");
    assert!(map.iter().eq(expected.iter().cloned()));
    assert!(map.iter().rev().eq(expected.iter().rev().cloned()));
    assert!(map.keys().eq(expected.iter().map(|(key, _)| key.clone())));
    assert!(map.values().rev().eq(expected.iter().rev().map(|(_, value)| *value)));
    let mut folded = Vec::new();
    map.iter().for_each(|entry| folded.push(entry));
    assert_eq!(folded, expected);
}

#[test]
fn walks_over_keys_of_any_width_yield_them() {
    // Their types have as many bytes as they are stored in, or more.
    walks_yield(0..=u16::MAX >> 5);
    walks_yield(-1000..1000i32);
    walks_yield('a'..'\u{900}');
    walks_yield((0..4u8).flat_map(|a| (0..1000u32).map(move |b| (a, b << 20))));
    walks_yield((0..2000u16).map(|a| [0, (a >> 8) as u8, a as u8]));
    walks_yield((0..2000u64).map(|a| a << 50 | a));
}

#[test]
fn walks_from_both_ends_yield_what_any_layer_has() {
    check_layers::<[u8; 8]>();
    check_layers::<()>();
    check_layers::<Vec<u8>>();
}

#[test]
fn walks_over_hostile_keys_yield_them() {
    for set in keys::hostile_sets() {
        let mut rng = Rng::new(set.keys.len() as u64);
        let (kv, model) = layered::<[u8; 8]>(tiny(Compaction::Manual, 30), &set.keys, &mut rng);
        check_walks(&kv, &model, &set.keys);
        kv.compact().expect("memory for a test");
        check_walks(&kv, &model, &set.keys);
    }
}

#[test]
fn a_walk_sees_what_was_there_when_it_began_also_behind_what_it_copied() {
    let kv: MemKV<u64, u64> = (0..1_000).map(|n| (n, n)).collect();
    kv.compact().expect("memory for a test");
    let (mut up, mut down) = (kv.iter(), kv.iter().rev());
    assert!(up.by_ref().take(10).eq((0..10).map(|n| (n, n))));
    assert!(down.by_ref().take(10).eq((990..1_000).rev().map(|n| (n, n))));
    for n in 0..1_000 {
        kv.put(n, 0);
        kv.delete(n / 2);
    }
    kv.compact().expect("memory for a test");
    assert!(up.eq((10..1_000).map(|n| (n, n))));
    assert!(down.eq((0..990).rev().map(|n| (n, n))));
}

#[test]
fn keys_of_each_width_are_walked() {
    for width in 1..=8 {
        let keys = (0..200u64).map(|n| big_endian(n)[8 - width..].to_vec());
        let model: Model<[u8; 8]> = keys.map(|key| (key, [7; 8])).collect();
        let kv = MemKV::from_sorted(model.clone()).expect("sorted");
        let keys: Vec<Vec<u8>> = model.keys().cloned().collect();
        check_walks(&kv, &model, &keys);
    }
}

/// A number; 10 is written but not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Picky(u64);

impl KeyForm<Self> for Picky {
    fn encode(&self, position: KeyPosition, out: &mut KeyBuf) {
        self.0.encode(position, out);
    }
}

impl Key for Picky {
    fn write_codec(out: &mut CodecName) {
        out.push("picky");
    }

    fn decode(bytes: &[u8]) -> Result<Self, KeyError> {
        match u64::decode(bytes)? {
            10 => Err(KeyError::new("10 is refused")),
            number => Ok(Self(number)),
        }
    }

    fn decode_leading(_: &[u8]) -> Result<(Self, &[u8]), KeyError> {
        Err(KeyError::new("it stands alone"))
    }
}

#[test]
fn a_walk_ends_with_its_first_error_whatever_was_copied() {
    let numbers = (0..5_000).chain(5_001..9_000);
    let kv: MemKV<Picky, u64> = MemKV::from_sorted(numbers.map(|n| (Picky(n), n))).expect("sorted");
    let mut walk = kv.iter().fallible();
    assert!((0..10).all(|n| walk.next().is_some_and(|entry| entry.is_ok_and(|e| e.1 == n))));
    assert!(matches!(walk.next(), Some(Err(Error::Corrupted(_)))));
    assert!(walk.next().is_none() && walk.next_back().is_none());
    let mut lent = kv.iter().lending();
    for n in (11..9_000).rev().filter(|n| *n != 5_000) {
        assert_eq!(lent.try_next_back_ref().expect("readable"), Some((&Picky(n), &n)));
    }
    assert!(lent.try_next_back_ref().is_err());
    assert_eq!(lent.try_next_ref().expect("the end"), None);
}

/// Whether a walk ends with an error, before which it yields what comes first of these entries.
fn meets_damage(
    walk: impl Iterator<Item = Result<(u64, u64), Error>>,
    right: impl Iterator<Item = (u64, u64)>,
) -> bool {
    let (mut walk, mut right) = (walk, right);
    loop {
        match (walk.next(), right.next()) {
            (Some(Ok(entry)), right) => assert_eq!(Some(entry), right),
            (Some(Err(_)), _) => {
                assert!(walk.next().is_none());
                return true;
            }
            (None, right) => {
                assert_eq!(right, None);
                return false;
            }
        }
    }
}

#[test]
fn what_damage_keeps_from_being_copied_is_an_error_and_nothing_else() {
    const STEP: usize = 1 << 12;
    let (storage, path) = (MemoryStorage::default(), Path::new("map"));
    let mut rng = Rng::new(5);
    // Values that are packed: of those that are lent together, some can be read and others cannot.
    let entries: Vec<(u64, u64)> = (0..9_000).map(|n| (n * 7, rng.next_u64() >> 44)).collect();
    let kv: MemKV<u64, u64> = MemKV::from_sorted(entries.clone()).expect("sorted");
    kv.save_in(&storage, path).expect("a store in memory");
    let len = storage.read(path).expect("it was saved").len();
    let mut met = 0;
    for at in (STEP / 2..len).step_by(STEP) {
        storage.change(path, |bytes| bytes[at] ^= 1);
        let options = Options { residence: Residence::Mapped, ..manual() };
        let copy = Box::new(storage.clone());
        if let Ok(kv) = MemKV::<u64, u64>::open_in(copy, path, options, Access::ReadOnly) {
            met += usize::from(meets_damage(kv.iter().fallible(), entries.iter().copied()));
            let down = kv.iter().fallible().rev();
            met += usize::from(meets_damage(down, entries.iter().rev().copied()));
            let found = kv.iter().search(AlwaysMatch).fallible();
            met += usize::from(meets_damage(found, entries.iter().copied()));
        }
        storage.change(path, |bytes| bytes[at] ^= 1);
    }
    assert!(met > 12, "{met}");
}
