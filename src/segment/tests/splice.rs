//! Segments put together from others, against the same made anew.

use super::super::exercise::{exercise, reopened};
use super::super::format::reseal;
use super::*;
use crate::bytes::common_prefix;
use crate::columns::{Columns, LIVE_BELOW, TOMBSTONE};
use crate::testing::keys::{self, Alphabet};
use crate::testing::rng::Rng;

/// A base that was put together whole.
struct Whole {
    segment: Option<Arc<Segment>>,
    new_bulk: u64,
    gone_bulk: u64,
    changed_keys: u64,
    copied: u64,
}

fn spliced(base: &Segment, newer: &Segment) -> Option<Whole> {
    let Spliced { mut pieces, new_bulk, gone_bulk, changed_keys, .. } = divided(base, newer, None)?;
    let piece = pieces.pop();
    assert!(pieces.is_empty());
    let copied = piece.as_ref().map_or(0, |piece| piece.copied);
    let segment = piece.map(|piece| piece.segment);
    Some(Whole { segment, new_bulk, gone_bulk, changed_keys, copied })
}

/// In pieces that end at these limits.
fn divided(base: &Segment, newer: &Segment, limits: Option<Room>) -> Option<Spliced> {
    match splice(base, &mut SegmentCursor::new(newer), limits, &|| true).expect("a sound segment") {
        Outcome::Spliced(spliced) => Some(spliced),
        Outcome::Refused => None,
        Outcome::Cancelled => panic!("it was told to go on"),
    }
}

/// What entries count for where partitions end.
fn bulk_of(model: &Model, width: ValueWidth) -> u64 {
    let value_len = |value: &Option<Vec<u8>>| match value.as_ref().map(Vec::len) {
        Some(len) if width == ValueWidth::Bytes && len > 1024 => 0,
        len => len.unwrap_or(0),
    };
    let of_key = |len: usize| match len {
        0..=16 => 8 * len,
        17..=112 => 128 + (len - 16) / 2,
        _ => 128 + 48 + 8 * (len - 112),
    };
    let bulk = |(key, owned): (&Vec<u8>, &Owned)| of_key(key.len()) + value_len(&owned.value);
    model.iter().map(bulk).sum::<usize>() as u64
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
    let (mut by_text, mut by_codes) = (0, 0);
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
            if base.is_empty() || newer.is_empty() {
                continue;
            }
            let expected = together(&base, &newer);
            let newer_segment = built(&newer, width, CodecChoice::Plain);
            for choice in [CodecChoice::Front, CodecChoice::Symbols] {
                let old = built(&base, width, choice);
                let Some(spliced) = spliced(&old, &newer_segment) else {
                    // Symbols would make the new ones longer, or there is no room for their codes; or all
                    // are numbers now.
                    let len = expected.keys().next().map_or(0, Vec::len);
                    let is_numbers = len <= 8 && expected.keys().all(|key| key.len() == len);
                    assert!(choice == CodecChoice::Symbols || is_numbers, "{}", set.name);
                    continue;
                };
                let Whole { segment, new_bulk, gone_bulk, changed_keys, copied } = spliced;
                let raw = |model: &Model| bulk_of(model, width);
                assert_eq!(raw(&base) + new_bulk, raw(&expected) + gone_bulk);
                let differing = base.keys().filter(|key| !expected.contains_key(*key)).count()
                    + expected.keys().filter(|key| !base.contains_key(*key)).count();
                // And one for a prefix that is shorter than it was.
                assert!((differing as u64..=differing as u64 + 1).contains(&changed_keys));
                let Some(segment) = segment else {
                    assert!(expected.is_empty());
                    continue;
                };
                assert!(copied <= segment.len());
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
                } else if choice == CodecChoice::Symbols {
                    by_codes += 1;
                }
            }
        }
    }
    assert!(by_text > 20 && by_codes > 20, "{by_text} {by_codes}");
}

#[test]
fn what_is_spliced_in_pieces_is_what_it_is_whole() {
    let mut rng = Rng::new(92);
    let width = ValueWidth::Fixed(8);
    let mut compared = 0;
    for set in keys::hostile_sets() {
        let all = model_of(set.keys.iter().cloned(), width, false);
        let (mut base, mut newer) = (Model::new(), Model::new());
        for (key, owned) in all {
            let is_newer = rng.below(7) == 0;
            if !is_newer || rng.below(2) == 0 {
                base.insert(key.clone(), Owned { live_below: false, ..owned.clone() });
            }
            if is_newer {
                let value = (rng.below(3) > 0).then(|| vec![9; 8]);
                newer.insert(key, Owned { value, live_below: true });
            }
        }
        let expected = together(&base, &newer);
        if base.is_empty() || expected.is_empty() {
            continue;
        }
        let newer_segment = built(&newer, width, CodecChoice::Plain);
        for choice in [CodecChoice::Front, CodecChoice::Symbols] {
            let old = built(&base, width, choice);
            for (entries, bulk) in [
                (1, u64::MAX),
                (15, u64::MAX),
                (16, 3_000),
                (17, 900),
                (1 + rng.below(400) as u64, 1 + rng.below(90_000) as u64),
                (expected.len() as u64, u64::MAX),
                (u64::MAX, 1 + bulk_of(&expected, width) / 3),
            ] {
                if expected.len() as u64 / entries > 200 {
                    continue;
                }
                let limits = Some(Room { entries, bulk });
                let Some(spliced) = divided(&old, &newer_segment, limits) else { continue };
                let mut rest = expected.iter().peekable();
                let mut before: Option<Vec<u8>> = None;
                for piece in &spliced.pieces {
                    piece.segment.verify().expect("sound");
                    // It ends with the entry that reaches a limit.
                    let mut model = Model::new();
                    while (model.len() as u64) < entries
                        && bulk_of(&model, width) < bulk
                        && let Some((key, owned)) = rest.next()
                    {
                        model.insert(key.clone(), owned.clone());
                    }
                    let fresh = built(&model, width, CodecChoice::Plain);
                    assert!(contents(&piece.segment) == contents(&fresh), "{}", set.name);
                    assert_eq!(piece.bulk, Some(bulk_of(&model, width)));
                    let first = model.keys().next().expect("not empty");
                    match before {
                        None => assert!(piece.bound.is_empty()),
                        Some(last) => {
                            assert!(last[..] < piece.bound[..] && piece.bound[..] <= first[..]);
                        }
                    }
                    before = model.keys().next_back().cloned();
                    compared += 1;
                }
                assert!(rest.next().is_none());
            }
        }
    }
    assert!(compared > 500, "{compared}");
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
    let Whole { segment, copied, .. } = splice(&newer);
    let segment = segment.expect("keys");
    segment.verify().expect("sound");
    assert_eq!(segment.len(), 20_400);
    assert_eq!(segment.stats().codec, "fsst");
    // But for the heads of blocks, of the old ones and the new ones, and what comes behind new keys.
    let at_most = 2 * 20_400 / 16 + 3 * 400;
    assert!(copied > 20_400 - at_most && copied * 10 > 20_400 * 8, "{copied}");
    // The same keys with other values: all blocks are.
    let newer = base.clone().into_iter().step_by(50).map(|(key, mut owned)| {
        owned.value = Some(vec![0xab; 8]);
        (key, owned)
    });
    let newer: Model = newer.collect();
    let Whole { segment, copied, changed_keys, .. } = splice(&newer);
    assert_eq!(changed_keys, 0);
    let segment = segment.expect("keys");
    assert_eq!((segment.len(), copied), (20_000, 20_000));
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
            let newer = model.clone().into_iter().filter(|(_, owned)| owned.value.is_some());
            let newer = built(&newer.take(1).collect(), ValueWidth::Fixed(8), CodecChoice::Plain);
            let base = built(&model, ValueWidth::Fixed(8), choice);
            let is_spliced = spliced(&base, &newer).is_some();
            match choice {
                CodecChoice::Front => assert_eq!(is_spliced, !is_mixed),
                // Symbols may make more of these keys.
                CodecChoice::Symbols => assert!(!is_mixed || !is_spliced),
                _ => assert!(!is_spliced, "{choice:?}"),
            }
        }
    }
    let model = model_of(keys_for(CodecChoice::Front), ValueWidth::Fixed(8), false);
    let many =
        model_of((0..3_000u32).map(|i| i.to_le_bytes().to_vec()), ValueWidth::Fixed(8), false);
    // There are too many codes of a key, which is told when a piece is full.
    let few = model_of([b"pa".to_vec(), b"pd".to_vec()], ValueWidth::Fixed(8), false);
    let few = built(&few, ValueWidth::Fixed(8), CodecChoice::Symbols);
    let mut rng = Rng::new(94);
    let long = [b"pc".to_vec(), (0..MAX_KEY_LEN - 2).map(|_| 0x80 | rng.byte()).collect()].concat();
    let long = model_of([long, b"pcd".to_vec()], ValueWidth::Fixed(8), false);
    let long = built(&long, ValueWidth::Fixed(8), CodecChoice::Plain);
    for entries in [1, 2, u64::MAX] {
        assert!(divided(&few, &long, Some(Room { entries, bulk: u64::MAX })).is_none());
    }
    // At the start, and between blocks.
    for (model, asked_first) in [(&model, false), (&many, false), (&many, true)] {
        let base = built(model, ValueWidth::Fixed(8), CodecChoice::Front);
        let answers = std::cell::Cell::new(asked_first);
        let go_on = || answers.replace(false);
        let outcome = splice(&base, &mut SegmentCursor::new(&newer), None, &go_on).expect("sound");
        assert!(matches!(outcome, Outcome::Cancelled));
    }
}

#[test]
fn numbers_are_woven_as_if_pushed_one_by_one() {
    let mut rng = Rng::new(17);
    let widths = [(1, 8), (3, 0), (8, 8), (8, 3), (5, 20)];
    let cases = widths.into_iter().flat_map(|widths| [2, 5, 60].map(|one_in| (widths, one_in)));
    for ((width, value_width), one_in) in cases {
        // Into a base, and into an overlay, where tombstones stay if they hide something.
        for is_overlay in [false, true] {
            let mut number = 0u64;
            let mut next = || {
                number +=
                    1 + rng.next_u64() % [1, 40, 1 << 20][rng.below(if width > 4 { 3 } else { 2 })];
                number.to_le_bytes()[..width].iter().rev().copied().collect()
            };
            let count = if width == 1 { 12 } else { 9_000 };
            let keys: Vec<Vec<u8>> = (0..count).map(|_| next()).collect();
            let values = ValueWidth::Fixed(value_width);
            let all = model_of(keys, values, is_overlay);
            let (mut base, mut newer) = (Model::new(), Model::new());
            for (key, owned) in all {
                let is_newer = rng.below(one_in) == 0;
                if !is_newer || rng.below(2) == 0 {
                    base.insert(key.clone(), owned.clone());
                }
                if is_newer {
                    let value = (rng.below(4) > 0).then(|| vec![9; usize::from(value_width)]);
                    // What replaces an entry says of those below what this one does.
                    let live_below = base.contains_key(&key) || is_overlay && rng.below(3) > 0;
                    newer.insert(key, Owned { value, live_below });
                }
            }
            if base.is_empty() || newer.is_empty() {
                continue;
            }
            let old = built(&base, values, CodecChoice::Int);
            let newer_segment = built(&newer, values, CodecChoice::Int);
            let bump = Bump::new();
            let mut builder = SegmentBuilder::new(values, &bump, CodecChoice::Int).expect("memory");
            let kept = |flags: u8| flags & TOMBSTONE == 0 || is_overlay && flags & LIVE_BELOW != 0;
            let pieces = |segment| NumberPieces::new(segment).expect("sound").expect("numbers");
            let (mut old_pieces, mut new_pieces) = (pieces(&old), pieces(&newer_segment));
            assert_eq!(old_pieces.is_base(), !base.values().any(|owned| owned.live_below));
            assert_eq!(old_pieces.key_width(), width);
            let [mut older, mut new, mut woven] =
                [(); 3].map(|()| Columns::new(value_width.into()));
            loop {
                for (pieces, columns) in
                    [(&mut old_pieces, &mut older), (&mut new_pieces, &mut new)]
                {
                    if columns.len() == 0 && !pieces.is_done() {
                        pieces.read(columns).expect("in order");
                    }
                }
                match (older.len(), new.len()) {
                    (0, 0) => break,
                    (0, _) => std::mem::swap(&mut woven, &mut new),
                    (_, 0) => std::mem::swap(&mut woven, &mut older),
                    _ => woven.weave(&mut new, &mut older, kept).expect("memory"),
                }
                woven.retain(kept);
                while woven.len() > 0 {
                    let room = Room {
                        entries: builder.len() + 1 + rng.below(700) as u64,
                        bulk: builder.bulk() + 1 + rng.below(50_000) as u64,
                    };
                    builder.push_columns(width, &mut woven, room).expect("in order");
                    assert!(builder.len() <= room.entries);
                    assert!(builder.bulk() < room.bulk + 8 * 8 + 20);
                }
            }
            let mut expected = base.clone();
            for (key, Owned { value, live_below }) in &newer {
                let live_below = base.get(key).map_or(*live_below, |old| old.live_below);
                expected.insert(key.clone(), Owned { value: value.clone(), live_below });
            }
            expected.retain(|_, owned| owned.value.is_some() || is_overlay && owned.live_below);
            let fresh = built(&expected, values, CodecChoice::Int);
            let segment = builder.finish().expect("memory");
            assert!(image_of(&segment) == image_of(&fresh), "{width} {value_width} {one_in}");
            assert_eq!(segment.weight(), fresh.weight());
        }
    }
}

#[test]
fn a_chain_of_splices_is_what_a_map_would_be() {
    let mut rng = Rng::new(77);
    let (mut done, mut refused) = (0, 0);
    for round in 0..120 {
        let alphabet =
            [Alphabet::Edges, Alphabet::Words, Alphabet::AnyBytes, Alphabet::DenseIntegers]
                [round % 4];
        let stem = vec![b'p'; [0, 3, 300][rng.below(3)]];
        let key = |rng: &mut Rng| [stem.clone(), alphabet.key(rng)].concat();
        let width = [ValueWidth::Fixed(0), ValueWidth::Fixed(8), ValueWidth::Bytes][rng.below(3)];
        let choice = [CodecChoice::Front, CodecChoice::Symbols][rng.below(2)];
        let count = 1 + rng.below(400);
        let mut model = model_of((0..count).map(|_| key(&mut rng)), width, false);
        let mut base = Arc::new(built(&model, width, choice));
        for _ in 0..8 {
            let mut newer = Model::new();
            let each = [1, 3, 20, 200][rng.below(4)];
            for _ in 0..each {
                let key = if rng.below(3) > 0 {
                    let at = rng.below(model.len());
                    model.keys().nth(at).cloned().expect("some")
                } else {
                    match rng.below(12) {
                        0 => vec![],
                        1 => vec![0xff; 3],
                        2 => stem[..rng.below(stem.len() + 1)].to_vec(),
                        _ => key(&mut rng),
                    }
                };
                let len = match width {
                    ValueWidth::Fixed(width) => usize::from(width),
                    ValueWidth::Bytes => [0, 4, 1_024, 1_025][rng.below(4)],
                };
                let value = (rng.below(3) > 0).then(|| vec![rng.below(256) as u8; len]);
                newer.insert(key, Owned { value, live_below: true });
            }
            let newer_segment = built(&newer, width, CodecChoice::Plain);
            let expected = together(&model, &newer);
            let Some(Whole { segment, new_bulk, gone_bulk, copied, .. }) =
                spliced(&base, &newer_segment)
            else {
                refused += 1;
                break;
            };
            let raw = |model: &Model| bulk_of(model, width);
            assert_eq!(raw(&model) + new_bulk, raw(&expected) + gone_bulk);
            let Some(segment) = segment else {
                assert!(expected.is_empty());
                break;
            };
            assert!(copied <= segment.len());
            segment.verify().expect("sound");
            let fresh = built(&expected, width, choice);
            assert_eq!(segment.weight(), fresh.weight());
            assert!(contents(&segment) == contents(&fresh), "{round}");
            for key in expected.keys() {
                assert!(segment.find(key).expect("sound").is_some());
            }
            done += 1;
            model = expected;
            base = segment;
        }
    }
    assert!(done > 500 && refused < 80, "{done} splices, {refused} refused");
}

/// A key near another one, with which it shares much, little or all.
fn beside(key: &[u8], rng: &mut Rng) -> Vec<u8> {
    let cut = rng.below(key.len() + 1);
    let byte = [0, b'a', 0xff, rng.byte()][rng.below(4)];
    let mut beside = match rng.below(4) {
        0 => key[..cut].to_vec(),
        1 => [&key[..cut], &[byte]].concat(),
        2 => [key, &[byte]].concat(),
        _ => [key, &vec![byte; [1, 14, 15, 16, 254, 255, 270, 271][rng.below(8)]]].concat(),
    };
    beside.truncate(MAX_KEY_LEN);
    beside
}

#[test]
fn keys_beside_others_are_spliced_again_and_again_whole_and_in_pieces() {
    let mut rng = Rng::new(93);
    let width = ValueWidth::Fixed(8);
    let entry = |value: Option<u8>| Owned { value: value.map(|v| vec![v; 8]), live_below: false };
    let (mut done, mut refused, mut pieces) = (0, 0, 0);
    for round in 0..400 {
        let choice = [CodecChoice::Front, CodecChoice::Symbols][round % 2];
        let stem =
            [0, 0, 3, 8, 15, 255, 270, 40_000][rng.below(if round % 20 < 2 { 8 } else { 7 })];
        let mut keys = vec![vec![b's'; stem]];
        for _ in 0..rng.below(150) {
            let key = beside(&keys[rng.below(keys.len())], &mut rng);
            keys.push(key);
        }
        let mut model: Model = keys.into_iter().map(|key| (key, entry(Some(1)))).collect();
        let mut base = Arc::new(built(&model, width, choice));
        for generation in 2..5 {
            let keys: Vec<&Vec<u8>> = model.keys().collect();
            let count = 1 + keys.len() * [1, 10, 50, 90][rng.below(4)] / 100;
            let mut newer = Model::new();
            for _ in 0..count {
                let key = keys[rng.below(keys.len())];
                let key = if rng.below(3) > 0 { beside(key, &mut rng) } else { key.clone() };
                newer.insert(key, entry((rng.below(3) > 0).then_some(generation)));
            }
            let newer_segment = built(&newer, width, CodecChoice::Plain);
            let expected = together(&model, &newer);
            let limits = Room {
                entries: 1 + rng.below(40) as u64,
                bulk: [u64::MAX, 1 + bulk_of(&expected, width) / 3][rng.below(2)],
            };
            if let Some(spliced) = divided(&base, &newer_segment, Some(limits)) {
                let (mut all, mut last) = (vec![], None::<Vec<u8>>);
                for SplicedPiece { bound, segment, .. } in spliced.pieces {
                    segment.verify().expect("sound");
                    let keys = contents(&segment);
                    let first = &keys[0].0;
                    let shared = last.map(|last| common_prefix(&last, first));
                    assert!(bound[..] == first[..shared.map_or(0, |shared| shared + 1)]);
                    last = keys.last().map(|(key, _)| key.clone());
                    all.extend(keys);
                    pieces += 1;
                }
                assert!(all == contents(&built(&expected, width, choice)), "{round}");
            }
            let Some(whole) = spliced(&base, &newer_segment) else {
                // Only codes may be more than text is; of keys of one length a base has numbers.
                let len = expected.keys().next().map_or(0, Vec::len);
                let is_numbers = len <= 8 && expected.keys().all(|key| key.len() == len);
                assert!(choice == CodecChoice::Symbols || is_numbers, "{round}");
                refused += 1;
                break;
            };
            let gone = model.keys().filter(|key| !expected.contains_key(*key)).count();
            let new = expected.keys().filter(|key| !model.contains_key(*key)).count();
            let changed = (gone + new) as u64;
            assert!((changed..=changed + 1).contains(&whole.changed_keys), "{round}");
            let Some(segment) = whole.segment else { break };
            segment.verify().expect("sound");
            assert!(contents(&segment) == contents(&built(&expected, width, choice)), "{round}");
            done += 1;
            (model, base) = (expected, segment);
        }
    }
    assert!(done > 700 && refused < 150 && pieces > 3_000, "{done}, {refused}, {pieces}");
}

#[test]
fn damaged_bases_are_spliced_without_a_panic() {
    let mut random = Random(99);
    let mut outcomes = [0usize; 4];
    for width in [ValueWidth::Fixed(0), ValueWidth::Fixed(8), ValueWidth::Bytes] {
        for choice in [CodecChoice::Front, CodecChoice::Symbols] {
            for set in 0..3 {
                let stem = vec![b'p'; [0, 5, 400][set]];
                let keys: Vec<Vec<u8>> =
                    small_keys().into_iter().map(|key| [stem.clone(), key].concat()).collect();
                let model = model_of(keys.clone(), width, false);
                let good = built(&model, width, choice);
                let layout = good.layout().expect("sound");
                let blocks = layout.span(Section::KeyBlocks);
                let index = layout.span(Section::HeadIndex);
                for _ in 0..300 {
                    let mut bad = image_of(&good).to_vec();
                    for _ in 0..=random.below(4) {
                        let span = if random.below(4) == 0 { &index } else { &blocks };
                        let at = span.start + random.below(span.len());
                        bad[at] = match random.below(5) {
                            0 => 0,
                            1 => 0xff,
                            2 => bad[span.start + random.below(span.len())],
                            3 => bad[at].wrapping_add(1),
                            _ => random.below(256) as u8,
                        };
                    }
                    reseal(&mut bad);
                    let Ok(segment) = reopened(&bad, &extents_of(&good), width) else { continue };
                    let newer: Vec<Vec<u8>> =
                        (0..6).map(|_| keys[random.below(keys.len())].clone()).collect();
                    let newer = built(&model_of(newer, width, true), width, CodecChoice::Plain);
                    let is_whole = width == ValueWidth::Bytes || random.below(2) == 0;
                    let limits =
                        if is_whole { None } else { Some(Room { entries: 40, bulk: 9_000 }) };
                    let newer = &mut SegmentCursor::new(&newer);
                    let outcome = splice(&segment, newer, limits, &|| true);
                    outcomes[match &outcome {
                        Ok(Outcome::Spliced(_)) => 0,
                        Ok(_) => 1,
                        Err(Error::Corrupted(_)) => 2,
                        Err(_) => 3,
                    }] += 1;
                    if let Ok(Outcome::Spliced(Spliced { pieces, .. })) = outcome {
                        for piece in pieces {
                            let _ = piece.segment.verify();
                        }
                    }
                    exercise(&segment, &keys[..16]);
                }
            }
        }
    }
    assert!(outcomes[0] > 800 && outcomes[2] > 1_000 && outcomes[3] == 0, "{outcomes:?}");
}

#[test]
fn a_forged_key_that_shares_more_with_the_last_than_all_do_is_survived() {
    let width = ValueWidth::Fixed(8);
    let keys = (b'a'..=b'z').flat_map(|c| (0..4).map(move |i| vec![c, c, c, i]));
    let good = built(&model_of(keys, width, false), width, CodecChoice::Front);
    let start = good.layout().expect("sound").span(Section::KeyBlocks).start;
    let mut bad = image_of(&good).to_vec();
    assert_eq!(bad[start..start + 6], [4, 0, b'a', b'a', b'a', 0]);
    bad[start + 2..start + 5].copy_from_slice(b"zzz");
    reseal(&mut bad);
    let bad = reopened(&bad, &[], width).expect("a sound frame");
    let newer = built(&model_of([b"zzz\x07".to_vec()], width, false), width, CodecChoice::Plain);
    let newer = &mut SegmentCursor::new(&newer);
    if let Ok(Outcome::Spliced(Spliced { pieces, .. })) = splice(&bad, newer, None, &|| true) {
        for piece in pieces {
            assert!(piece.segment.verify().is_err());
        }
    }
}

#[test]
fn a_forged_number_beyond_all_that_a_key_may_have_is_found() {
    let width = ValueWidth::Fixed(8);
    let long = [&b"a"[..], &[b'b'; 300]].concat();
    let keys = [b"a".to_vec(), long.clone(), [&long[..], b"c"].concat(), b"ac".to_vec()];
    let good = built(&model_of(keys, width, false), width, CodecChoice::Front);
    let end = good.layout().expect("sound").span(Section::KeyBlocks).end;
    let mut bad = image_of(&good).to_vec();
    // What the last key but one shares with the one before it, less the prefix and 15.
    assert_eq!(bad[end - 5..end], [255, 29, 1, b'c', b'c']);
    bad[end - 4..end - 2].fill(0xff);
    reseal(&mut bad);
    let bad = reopened(&bad, &[], width).expect("a sound frame");
    let newer = built(&model_of([b"a".to_vec()], width, false), width, CodecChoice::Plain);
    let outcome = splice(&bad, &mut SegmentCursor::new(&newer), None, &|| true);
    assert!(matches!(outcome, Err(Error::Corrupted(_))));
}
