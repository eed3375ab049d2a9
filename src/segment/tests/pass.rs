//! Entries passed on block by block, against the same appended one by one.

use super::*;
use crate::bytes::bytes_of;
use crate::testing::keys::{self, KeySet};
use crate::testing::rng::Rng;

const WIDTH: ValueWidth = ValueWidth::Fixed(8);

/// Keys of one length, so many that they have several pieces, in clusters and far apart.
fn numbers(width: usize, rng: &mut Rng) -> KeySet {
    let mut number = 0u64;
    let keys = (0..6_000).map(|i| {
        let step = [1, 1, 1, 700, 1 << 20][rng.below(if width > 4 { 5 } else { 3 })];
        number += if i % 1_000 == 0 { 3_000 } else { 1 + rng.next_u64() % step };
        number.to_le_bytes()[..width].iter().rev().copied().collect()
    });
    let keys: BTreeSet<Vec<u8>> = keys.collect();
    KeySet { name: "numbers", keys: keys.into_iter().collect() }
}

/// Keys of one length that is too much for a number, of which no two have the same eight bytes first.
fn wide_keys(len: usize, rng: &mut Rng) -> KeySet {
    let key = |i: u64| [&bytes_of(i * 40_503 % 1_000_003), &rng.bytes(len - 8)[..]].concat();
    let keys: BTreeSet<Vec<u8>> = (0..3_000).map(key).collect();
    KeySet { name: "wide keys", keys: keys.into_iter().collect() }
}

/// The entries of `lower` and `others` together: those of `lower` as many at a time as stand below the
/// next other one, or as there is room for.
fn merged(lower: &Segment, others: &Model, choice: CodecChoice, rng: &mut Rng) -> Segment {
    let bump = Bump::new();
    let width = lower.width;
    let mut builder = SegmentBuilder::new(width, &bump, choice).expect("memory for a test");
    let mut pass = Pass::new(lower).expect("a sound segment").expect("keys in blocks or pieces");
    for other in others.iter().map(Some).chain([None]) {
        loop {
            let some = |most: usize| [u64::MAX, rng.below(most) as u64];
            let [entries, bulk] =
                [300, 3_000].map(some).map(|choices| choices[builder.len() as usize % 2]);
            let room = Room {
                entries: builder.len().saturating_add(entries),
                bulk: builder.bulk().saturating_add(bulk),
            };
            let before = builder.len();
            let bound = other.map(|(key, _)| key.as_slice());
            if pass.pass_below(bound, &mut builder, room).expect("in order") {
                break;
            }
            let is_full = builder.len() >= room.entries || builder.bulk() >= room.bulk;
            assert!(is_full && builder.len() - before <= entries);
        }
        let Some((key, Owned { value, live_below })) = other else { break };
        assert!(pass.skip(&[key, &b"+"[..]].concat()).expect("a sound segment").is_none());
        let below = match pass.skip(key).expect("a sound segment") {
            Some(replaced) => replaced,
            None => below_of(*live_below),
        };
        let Some(value) = value else {
            builder.push(key, Entry::tombstone(below)).expect("in order");
            continue;
        };
        let extent: Extent = value.as_slice().into();
        let is_large = width == ValueWidth::Bytes && value.len() > 1024;
        let value = if is_large { ValueRef::extent(&extent) } else { ValueRef::Inline(value) };
        builder.push(key, Entry::value(value, below)).expect("in order");
    }
    assert!(pass.is_done());
    builder.finish().expect("memory for a test")
}

#[test]
fn what_is_passed_on_is_as_if_appended_one_by_one() {
    let mut rng = Rng::new(77);
    let mut sets = keys::hostile_sets();
    sets.extend([2, 3, 8].map(|width| numbers(width, &mut rng)));
    sets.extend([12, 30].map(|len| wide_keys(len, &mut rng)));
    let widths = [ValueWidth::Fixed(0), ValueWidth::Fixed(8), ValueWidth::Bytes];
    for (set, width) in sets.iter().flat_map(|set| widths.map(|width| (set, width))) {
        let is_mixed = rng.below(2) == 0;
        let model = model_of(set.keys.iter().cloned(), width, is_mixed);
        for one_in in [2, 60] {
            let (others, mut kept): (Model, Model) =
                model.clone().into_iter().partition(|_| rng.below(one_in) == 0);
            // What others replace was of any kind.
            for (key, owned) in others.iter().filter(|_| rng.below(3) == 0) {
                let value = owned.value.clone().filter(|_| !is_mixed);
                kept.insert(key.clone(), Owned { value, live_below: owned.live_below });
            }
            if kept.is_empty() {
                continue;
            }
            for choice in [
                CodecChoice::Front,
                CodecChoice::Int,
                CodecChoice::Automatic,
                CodecChoice::Symbols,
                CodecChoice::Direct,
                CodecChoice::Wide,
            ] {
                let expected = built(&model, width, choice);
                for from in [
                    CodecChoice::Int,
                    CodecChoice::Front,
                    CodecChoice::Symbols,
                    CodecChoice::Direct,
                    CodecChoice::Wide,
                ] {
                    let lower = built(&kept, width, from);
                    let merged = merged(&lower, &others, choice, &mut rng);
                    assert!(image_of(&merged) == image_of(&expected), "{} {width:?}", set.name);
                    assert_eq!(merged.weight(), expected.weight());
                    let [own, expected] = [&merged, &expected].map(extents_of);
                    assert!(
                        own.iter().map(Extent::as_slice).eq(expected.iter().map(Extent::as_slice))
                    );
                }
            }
        }
    }
}

#[test]
fn what_is_not_behind_the_last_entry_is_refused() {
    for choice in CODECS {
        if matches!(choice, CodecChoice::Plain | CodecChoice::Fst) {
            continue;
        }
        let model = model_of(keys_for(choice), ValueWidth::Fixed(8), false);
        let lower = built(&model, ValueWidth::Fixed(8), choice);
        let room = Room { entries: u64::MAX, bulk: u64::MAX };
        for (key, _) in model.iter().skip(1) {
            let bump = Bump::new();
            let builder = SegmentBuilder::new(lower.width, &bump, choice);
            let mut builder = builder.expect("memory for a test");
            let pass = || Pass::new(&lower).expect("a sound segment").expect("blocks or pieces");
            let is_level = pass().pass_below(Some(key), &mut builder, room);
            assert!(matches!(is_level, Ok(true)));
            let again = pass().pass_below(None, &mut builder, room);
            assert!(matches!(again, Err(Error::OutOfOrder { .. })));
        }
    }
}

#[test]
fn keys_in_blocks_or_pieces_are_passed_on_and_bases_are_told() {
    for choice in CODECS {
        for is_mixed in [false, true] {
            let model = model_of(keys_for(choice), ValueWidth::Fixed(8), is_mixed);
            let segment = built(&model, ValueWidth::Fixed(8), choice);
            let pass = Pass::new(&segment).expect("a sound segment");
            let has_blocks = !matches!(choice, CodecChoice::Plain | CodecChoice::Fst);
            assert_eq!(pass.map(|pass| pass.is_base()), has_blocks.then_some(!is_mixed));
        }
    }
}

#[test]
fn blocks_that_overlap_are_damage_also_where_an_entry_was_skipped() {
    let model = model_of((0..32u8).map(|i| vec![b'a' + i / 10, b'0' + i % 10]), WIDTH, false);
    let good = built(&model, WIDTH, CodecChoice::Front);
    let image = image_of(&good);
    let mut found = 0;
    for at in 0..image.len() - 1 {
        // Makes the first key of the second block that of the last one of the first.
        if image[at..at + 2] != *b"b6" {
            continue;
        }
        let mut bad = image.to_vec();
        bad[at + 1] = b'5';
        reseal(&mut bad);
        let bad = exercise::reopened(&bad, &[], WIDTH).expect("all lengths are right");
        let mut pass = Pass::new(&bad).expect("a sound frame").expect("keys in blocks");
        let bump = Bump::new();
        let builder = SegmentBuilder::new(WIDTH, &bump, CodecChoice::Front);
        let mut builder = builder.expect("memory for a test");
        let room = Room { entries: u64::MAX, bulk: u64::MAX };
        assert!(matches!(pass.pass_below(Some(b"b5"), &mut builder, room), Ok(true)));
        if pass.skip(b"b5").is_ok_and(|skipped| skipped.is_some()) {
            assert!(pass.pass_below(None, &mut builder, room).is_err());
            found += 1;
        }
    }
    assert!(found > 0);
}
