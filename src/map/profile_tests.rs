//! Maps made for the fewest bytes, and what becomes of files made for something else.

use crate::options::{Compaction, Options, Profile};
use crate::testing::rng::Rng;
use crate::{MemKV, SegmentStats};
use std::collections::BTreeMap;

type Map = MemKV<String, u64>;

fn options(profile: Profile) -> Options {
    let compaction = Compaction::Manual;
    Options { profile, compaction, partition_entries: 1_000, ..Options::default() }
}

fn key(number: u64) -> String {
    let endings = ["", "s", "ing", "ings", "ed"];
    format!("{:05}{}", number / 5, endings[(number % 5) as usize])
}

fn base(kv: &Map) -> SegmentStats {
    kv.stats().base.expect("it has been folded")
}

fn check(kv: &Map, model: &BTreeMap<String, u64>) {
    assert!(kv.iter().eq(model.iter().map(|(key, value)| (key.clone(), *value))));
    assert!(kv.iter().rev().eq(model.iter().rev().map(|(key, value)| (key.clone(), *value))));
    for number in 0..5_200 {
        assert_eq!(kv.get(key(number)), model.get(&key(number)).copied());
    }
    let from = key(1_234);
    let expected = model.range(from.clone()..).take(50).map(|(key, _)| key.clone());
    assert!(kv.range(from..).take(50).map(|(key, _)| key).eq(expected));
}

#[test]
fn maps_made_small_or_fast_answer_as_a_model() {
    for (profile, codec) in [(Profile::Smallest, "fst"), (Profile::Fastest, "direct")] {
        expect_answers(profile, codec);
    }
}

fn expect_answers(profile: Profile, codec: &str) {
    let kv = Map::with_options(options(profile));
    let mut model = BTreeMap::new();
    let mut rng = Rng::new(3);
    for round in 0..4 {
        for _ in 0..2_000 {
            let number = rng.below(5_000) as u64;
            if rng.below(4) == 0 {
                assert_eq!(kv.remove(key(number)), model.remove(&key(number)));
            } else {
                let value = rng.below(1 << 30) as u64;
                assert_eq!(kv.insert(key(number), value), model.insert(key(number), value));
            }
        }
        check(&kv, &model);
        if round % 2 == 0 {
            kv.compact().expect("memory");
            check(&kv, &model);
            assert_eq!(base(&kv).codec, codec);
        }
        let keys: Vec<String> = (0..5_200).map(key).collect();
        let values = keys.iter().map(|key| model.get(key).copied());
        assert!(kv.multi_get(&keys).into_iter().eq(values));
    }
}

/// A key that shares its first bytes with few others, and its last ones with many.
fn page(number: u64) -> String {
    let page = ["overview", "settings", "members", "history"][number as usize % 4];
    format!("{:06x}/projects/{page}/index.html", number.wrapping_mul(0x9e_3779) & 0xff_ffff)
}

#[test]
fn text_made_of_symbols_is_folded_saved_and_read_as_any_other() {
    for (profile, codec) in [(Profile::Balanced, "fsst"), (Profile::Fastest, "direct-fsst")] {
        expect_symbols(profile, codec);
    }
}

fn expect_symbols(profile: Profile, codec: &str) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("map");
    let kv = Map::with_options(options(profile));
    let mut model = BTreeMap::new();
    let mut rng = Rng::new(8);
    let check = |kv: &Map, model: &BTreeMap<String, u64>| {
        assert!(kv.iter().eq(model.iter().map(|(key, value)| (key.clone(), *value))));
        assert!(kv.iter().rev().eq(model.iter().rev().map(|(key, value)| (key.clone(), *value))));
        for number in 0..5_200 {
            assert_eq!(kv.get(page(number)), model.get(&page(number)).copied());
        }
        let keys: Vec<String> = (0..5_200).map(page).collect();
        let expected: Vec<Option<u64>> = keys.iter().map(|key| model.get(key).copied()).collect();
        assert_eq!(kv.multi_get(&keys), expected);
    };
    for _ in 0..3 {
        for _ in 0..4_000 {
            let number = rng.below(5_000) as u64;
            if rng.below(4) == 0 {
                assert_eq!(kv.remove(page(number)), model.remove(&page(number)));
            } else {
                assert_eq!(kv.insert(page(number), number), model.insert(page(number), number));
            }
        }
        kv.compact().expect("memory");
        assert_eq!(base(&kv).codec, codec);
        check(&kv, &model);
        kv.verify().expect("sound");
    }
    kv.save_to(&path).expect("room on the disk");
    let opened = Map::open(&path).expect("sound");
    assert_eq!(base(&opened).codec, codec);
    check(&opened, &model);
    opened.verify().expect("sound");
}

#[test]
#[expect(clippy::disallowed_methods, reason = "a test may look at a file")]
fn a_compaction_writes_anew_what_was_made_for_another_profile() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("map");
    let model: BTreeMap<String, u64> = (0..5_000).map(|number| (key(number), number)).collect();
    let saved = |profile| {
        let kv = Map::with_options(options(profile));
        let entries = model.iter().map(|(key, value)| (key.as_str(), *value));
        kv.extend_sorted(entries).expect("in order");
        kv.save_to(&path).expect("room on the disk");
        let image = std::fs::read(&path).expect("just written");
        (kv, image)
    };
    let (balanced, balanced_image) = saved(Profile::Balanced);
    assert_eq!(base(&balanced).codec, "front");
    let (smallest, smallest_image) = saved(Profile::Smallest);
    assert_eq!(base(&smallest).codec, "fst");
    assert!(smallest_image.len() < balanced_image.len());

    // Opened for something else, it stays as it is until it is asked for.
    let kv = Map::open_with_options(&path, options(Profile::Balanced)).expect("sound");
    kv.save().expect("room on the disk");
    assert!(std::fs::read(&path).expect("it is there") == smallest_image);
    kv.compact().expect("memory");
    assert_eq!(base(&kv).codec, "front");
    check(&kv, &model);
    kv.save().expect("room on the disk");
    assert!(std::fs::read(&path).expect("it is there") == balanced_image);
    drop(kv);

    let kv = Map::open_with_options(&path, options(Profile::Smallest)).expect("sound");
    // What grows at its end is written anew too.
    let mut model = model.clone();
    for number in 0..900 {
        let key = format!("z{}", key(number));
        kv.insert(&key, number);
        model.insert(key, number);
    }
    kv.compact().expect("memory");
    assert_eq!(base(&kv).codec, "fst");
    check(&kv, &model);
    let folds = kv.stats().folds;
    kv.compact().expect("memory");
    assert_eq!(kv.stats().folds, folds, "nothing is left to be done");
    kv.save().expect("room on the disk");
    drop(kv);

    for (profile, codec) in [(Profile::Fastest, "direct"), (Profile::Smallest, "fst")] {
        let kv = Map::open_with_options(&path, options(profile)).expect("sound");
        kv.compact().expect("memory");
        assert_eq!(base(&kv).codec, codec);
        check(&kv, &model);
        kv.save().expect("room on the disk");
        kv.verify().expect("just written");
    }

    // Nobody writes to it.
    let options = options(Profile::Balanced);
    let kv = Map::open_read_only_with_options(&path, options).expect("sound");
    kv.compact().expect("nothing to do");
    assert_eq!(base(&kv).codec, "fst");
}

#[test]
#[expect(clippy::disallowed_methods, reason = "a test may look at a file")]
fn partitions_that_go_leave_none_made_for_another_profile() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("map");
    let all =
        |from: u64| (from..3_000).map(|number| (key(number), number)).collect::<BTreeMap<_, _>>();
    for threads in [0, 2] {
        let kv = Map::from_sorted_with_options(all(0), options(Profile::Balanced)).expect("sorted");
        kv.save_to(&path).expect("room on the disk");
        let smallest = Options { threads, ..options(Profile::Smallest) };
        let kv = Map::open_with_options(&path, smallest.clone()).expect("sound");
        // A partition without entries is joined with the next one, whose layers stay as they are.
        (0..1_000).for_each(|number| kv.delete(key(number)));
        kv.compact().expect("memory");
        kv.save().expect("room on the disk");
        let image = std::fs::read(&path).expect("it is there");
        drop(kv);
        let fresh = Map::from_sorted_with_options(all(1_000), smallest).expect("sorted");
        fresh.save_to(&path).expect("room on the disk");
        assert!(std::fs::read(&path).expect("it is there") == image, "{threads} threads");
    }
}
