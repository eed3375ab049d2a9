//! Segments put together from others, against the same made anew.

use super::*;
use crate::testing::keys;
use crate::testing::rng::Rng;

fn spliced(base: &Segment, newer: &Segment) -> Option<Spliced> {
    match splice(base, &mut SegmentCursor::new(newer), &|| true).expect("a sound segment") {
        Outcome::Spliced(spliced) => Some(spliced),
        Outcome::Refused => None,
        Outcome::Cancelled => panic!("it was told to go on"),
    }
}

/// What both have, of the newer one where both have it.
fn together(base: &Model, newer: &Model) -> Model {
    let mut all = base.clone();
    for (key, owned) in newer {
        all.insert(key.clone(), Owned { value: owned.value.clone(), live_below: false });
    }
    all.retain(|_, owned| owned.value.is_some());
    all
}

/// Keys and values as a walk shows them.
fn contents(segment: &Segment) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut all = vec![];
    let mut cursor = SegmentCursor::new(segment);
    cursor.first();
    while cursor.valid() {
        let value = cursor.entry().live().expect("a base").to_vec();
        all.push((cursor.key().to_vec(), value));
        cursor.next();
    }
    assert_eq!(cursor.status(), Ok(()));
    all
}

#[test]
fn what_is_spliced_is_as_if_made_anew() {
    let mut rng = Rng::new(91);
    let widths = [ValueWidth::Fixed(0), ValueWidth::Fixed(8), ValueWidth::Bytes];
    let mut by_text = 0;
    for set in keys::hostile_sets() {
        for (width, one_in) in widths.into_iter().flat_map(|width| [2, 9, 70].map(|n| (width, n))) {
            let all = model_of(set.keys.iter().cloned(), width, false);
            let (mut base, mut newer) = (Model::new(), Model::new());
            for (i, (key, owned)) in all.into_iter().enumerate() {
                let is_newer = rng.below(one_in) == 0;
                let is_removed = rng.below(3) == 0;
                if !is_newer || rng.below(2) == 0 {
                    base.insert(key.clone(), Owned { live_below: false, ..owned.clone() });
                }
                if is_newer {
                    // Of another length, where that may be.
                    let value = match width {
                        ValueWidth::Bytes => vec![7; [3, 1_030, 0][i % 3]],
                        ValueWidth::Fixed(width) => vec![i as u8; usize::from(width)],
                    };
                    let value = (!is_removed).then_some(value);
                    newer.insert(key, Owned { value, live_below: true });
                }
            }
            if base.is_empty() {
                continue;
            }
            let expected = together(&base, &newer);
            let newer_segment = built(&newer, width, CodecChoice::Plain);
            for choice in [CodecChoice::Front, CodecChoice::Symbols] {
                let old = built(&base, width, choice);
                let Some(spliced) = spliced(&old, &newer_segment) else {
                    let longest = expected.keys().chain(base.keys()).map(Vec::len).max();
                    assert!(longest > Some(MAX_KEY_LEN / 2) && choice == CodecChoice::Symbols);
                    continue;
                };
                let Spliced { segment, new_bytes, gone_bytes, has_other_keys, copied } = spliced;
                let raw = |model: &Model| {
                    let value_len = |value: &Option<Vec<u8>>| match value.as_ref().map(Vec::len) {
                        Some(len) if width == ValueWidth::Bytes && len > 1024 => 0,
                        len => len.unwrap_or(0),
                    };
                    let len =
                        |(key, owned): (&Vec<u8>, &Owned)| key.len() + value_len(&owned.value);
                    model.iter().map(len).sum::<usize>() as u64
                };
                assert_eq!(raw(&base) + new_bytes, raw(&expected) + gone_bytes);
                assert_eq!(has_other_keys, !expected.keys().eq(base.keys()));
                let Some(segment) = segment else {
                    assert!(expected.is_empty());
                    continue;
                };
                assert!(copied < segment.len());
                segment.verify().expect("sound");
                let fresh = built(&expected, width, choice);
                assert_eq!(segment.weight(), fresh.weight());
                assert!(contents(&segment) == contents(&fresh), "{} {width:?}", set.name);
                // Nothing is left out of the prefix, if the first and the last key stay.
                let ends = |model: &Model| {
                    let keys = [model.first_key_value(), model.last_key_value()];
                    keys.map(|entry| entry.map(|(key, _)| key.clone()))
                };
                let spans =
                    ends(&expected) == ends(&base) || newer.values().all(|o| o.value.is_some());
                if choice == CodecChoice::Front && spans {
                    assert!(image_of(&segment) == image_of(&fresh), "{} {width:?}", set.name);
                    by_text += 1;
                }
            }
        }
    }
    assert!(by_text > 20, "{by_text}");
}

#[test]
fn most_keys_are_copied_if_few_change_and_all_if_only_values_do() {
    let words = |salt: u32| {
        (0..20_000u32).map(move |i| {
            let number = i.wrapping_mul(0x9e37_79b1) ^ salt;
            format!("https://example.org/{}/page-{number:08x}", number % 97).into_bytes()
        })
    };
    let width = ValueWidth::Fixed(8);
    let base = model_of(words(0), width, false);
    let old = built(&base, width, CodecChoice::Automatic);
    assert_eq!(old.stats().codec, "fsst");
    // A fiftieth is new.
    let newer = model_of(words(1 << 31).take(400), width, false);
    let splice = |newer: &Model| {
        let newer = built(newer, width, CodecChoice::Plain);
        spliced(&old, &newer).expect("short keys")
    };
    let Spliced { segment, copied, .. } = splice(&newer);
    let segment = segment.expect("keys");
    segment.verify().expect("sound");
    assert_eq!(segment.len(), 20_400);
    assert_eq!(segment.stats().codec, "fsst");
    // But for the heads of blocks, of the old ones and the new ones, and what comes behind new keys.
    let at_most = 2 * 20_400 / 16 + 3 * 400;
    assert!(copied > 20_400 - at_most && copied * 10 > 20_400 * 8, "{copied}");
    // The same keys with other values: only heads are looked at.
    let newer = base.clone().into_iter().step_by(50).map(|(key, mut owned)| {
        owned.value = Some(vec![0xab; 8]);
        (key, owned)
    });
    let newer: Model = newer.collect();
    let Spliced { segment, copied, has_other_keys, .. } = splice(&newer);
    assert!(!has_other_keys);
    let segment = segment.expect("keys");
    assert_eq!((segment.len(), copied), (20_000, 20_000 - 20_000 / 16));
    let fresh = built(&together(&base, &newer), width, CodecChoice::Automatic);
    assert!(image_of(&segment) == image_of(&fresh), "as if made anew");
}

#[test]
fn what_is_not_spliced_is_refused() {
    let newer = built(
        &model_of([b"x".to_vec()], ValueWidth::Fixed(8), false),
        ValueWidth::Fixed(8),
        CodecChoice::Plain,
    );
    for choice in CODECS {
        for is_mixed in [false, true] {
            let model = model_of(keys_for(choice), ValueWidth::Fixed(8), is_mixed);
            let base = built(&model, ValueWidth::Fixed(8), choice);
            let has_blocks = matches!(choice, CodecChoice::Front | CodecChoice::Symbols);
            assert_eq!(spliced(&base, &newer).is_some(), has_blocks && !is_mixed, "{choice:?}");
        }
    }
    let model = model_of(keys_for(CodecChoice::Front), ValueWidth::Fixed(8), false);
    let many =
        model_of((0..3_000u32).map(|i| i.to_le_bytes().to_vec()), ValueWidth::Fixed(8), false);
    for (model, is_asked) in [(model, false), (many, true)] {
        let base = built(&model, ValueWidth::Fixed(8), CodecChoice::Front);
        let outcome = splice(&base, &mut SegmentCursor::new(&newer), &|| false).expect("sound");
        assert_eq!(matches!(outcome, Outcome::Cancelled), is_asked);
    }
}

#[test]
fn numbers_are_woven_as_if_pushed_one_by_one() {
    let mut rng = Rng::new(17);
    for (width, value_width) in [(1, 8), (3, 0), (8, 8), (8, 3), (5, 20)] {
        for one_in in [2, 5, 60] {
            let mut number = 0u64;
            let mut next = || {
                number +=
                    1 + rng.next_u64() % [1, 40, 1 << 20][rng.below(if width > 4 { 3 } else { 2 })];
                number.to_le_bytes()[..width].iter().rev().copied().collect()
            };
            let count = if width == 1 { 12 } else { 9_000 };
            let keys: Vec<Vec<u8>> = (0..count).map(|_| next()).collect();
            let values = ValueWidth::Fixed(value_width);
            let all = model_of(keys, values, false);
            let (mut base, mut newer) = (Model::new(), Model::new());
            for (key, owned) in all {
                let is_newer = rng.below(one_in) == 0;
                if !is_newer || rng.below(2) == 0 {
                    base.insert(key.clone(), owned.clone());
                }
                if is_newer {
                    let value = (rng.below(4) > 0).then(|| vec![9; usize::from(value_width)]);
                    newer.insert(key, Owned { value, live_below: true });
                }
            }
            if base.is_empty() {
                continue;
            }
            let old = built(&base, values, CodecChoice::Int);
            let newer_segment = built(&newer, values, CodecChoice::Plain);
            let bump = Bump::new();
            let mut builder = SegmentBuilder::new(values, &bump, CodecChoice::Int).expect("memory");
            let mut pass = Pass::new(&old).expect("sound").expect("numbers");
            let mut cursor = SegmentCursor::new(&newer_segment);
            cursor.first();
            let mut woven = 0;
            loop {
                let room = Room {
                    entries: builder.len() + 1 + rng.below(700) as u64,
                    raw_bytes: builder.raw_bytes() + 1 + rng.below(9_000) as u64,
                };
                let before = builder.len();
                if pass.weave(&mut cursor, &mut builder, room).expect("in order") {
                    assert!(builder.len() <= room.entries);
                    assert!(builder.raw_bytes() < room.raw_bytes + 28);
                    woven += builder.len() - before;
                    continue;
                }
                // As a fold goes on.
                if !cursor.valid() {
                    while !pass
                        .pass_below(
                            None,
                            &mut builder,
                            Room { entries: u64::MAX, raw_bytes: u64::MAX },
                        )
                        .expect("in order")
                    {}
                    break;
                }
                let key = cursor.key().to_vec();
                let all = Room { entries: u64::MAX, raw_bytes: u64::MAX };
                assert!(pass.pass_below(Some(&key), &mut builder, all).expect("in order"));
                pass.skip(&key).expect("sound");
                if cursor.entry().live().is_some() {
                    builder
                        .push(&key, Entry { below: Below::Absent, ..cursor.entry() })
                        .expect("in order");
                }
                cursor.next();
            }
            let expected = together(&base, &newer);
            let fresh = built(&expected, values, CodecChoice::Int);
            let segment = builder.finish().expect("memory");
            assert!(image_of(&segment) == image_of(&fresh), "{width} {value_width} {one_in}");
            assert_eq!(segment.weight(), fresh.weight());
            assert!(width == 1 || woven * 2 > fresh.len(), "{woven} of {}", fresh.len());
        }
    }
}
