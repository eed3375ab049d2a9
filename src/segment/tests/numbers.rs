//! Values that are packed as numbers, against a model.

use super::super::exercise::{exercise, reopened};
use super::super::format::reseal;
use super::stored::Stored;
use super::*;
use crate::testing::rng::Rng;

/// A value from its number and a random number.
type ValueOf = fn(u64, u64) -> u64;

/// Values of all sorts, and whether they leave something to be saved at 8 bytes.
const SORTS: [(&str, ValueOf, bool); 8] = [
    ("all alike", |_, _| 7, true),
    ("small", |_, random| random % 1_000, true),
    ("ascending", |i, _| u64::MAX / 2 + i * 3, true),
    ("about zero", |_, random| (random % 9).wrapping_sub(4), true),
    ("the extremes", |_, random| [u64::MAX, 0, 1][random as usize % 3], true),
    ("of 58 to 63 bits", |i, random| random >> (1 + i / 64 % 6), false),
    ("large ones among small ones", |i, random| random >> (i / 64 % 2 * 60), true),
    ("of any size", |_, random| random, false),
];

fn model_with(
    keys: &[Vec<u8>],
    width: usize,
    value_of: ValueOf,
    is_mixed: bool,
    rng: &mut Rng,
) -> Model {
    let mut keys = keys.to_vec();
    keys.sort_unstable();
    keys.dedup();
    let entries = keys.into_iter().enumerate().map(|(i, key)| {
        let number = value_of(i as u64, rng.next_u64());
        let is_value = !is_mixed || i % 7 != 3;
        let value = is_value.then(|| number.to_le_bytes()[..width].to_vec());
        (key, Owned { value, live_below: is_mixed && i % 3 == 1 })
    });
    entries.collect()
}

/// So many keys that there are several groups, of a length that each codec takes.
fn many_keys() -> Vec<Vec<u8>> {
    (0..333u32).map(|i| (i * i * 31).to_le_bytes().into_iter().rev().collect()).collect()
}

#[test]
fn packed_values_are_those_that_were_put_in() {
    let mut rng = Rng::new(5);
    for (name, value_of, is_packed) in SORTS {
        for (width, is_mixed) in (1..=8).flat_map(|width| [(width, false), (width, true)]) {
            let model = model_with(&many_keys(), width, value_of, is_mixed, &mut rng);
            for choice in CODECS {
                let segment = built(&model, ValueWidth::Fixed(width as u8), choice);
                check(&segment, &model, 40);
                let len = segment.stats().value_bytes;
                if width == 8 && !is_mixed {
                    assert_eq!(len < 8 * model.len(), is_packed, "{name}");
                }
                assert!(len <= width * model.len(), "{name}: packed to more than it was");
            }
        }
    }
}

#[test]
fn runs_of_packed_values_are_as_if_appended_one_by_one() {
    let mut rng = Rng::new(6);
    for (_, value_of, _) in SORTS {
        for (width, is_mixed) in [(1, false), (4, true), (5, false), (8, false), (8, true)] {
            let model = model_with(&many_keys(), width, value_of, is_mixed, &mut rng);
            let width = ValueWidth::Fixed(width as u8);
            for choice in [CodecChoice::Front, CodecChoice::Int] {
                let segment = built(&model, width, choice);
                let bump = Bump::new();
                let mut builder = SegmentBuilder::new(width, &bump, choice).expect("memory");
                let mut pass = Pass::new(&segment).expect("sound").expect("of blocks or pieces");
                let room = Room { entries: u64::MAX, bulk: u64::MAX };
                assert_eq!(pass.pass_below(None, &mut builder, room), Ok(true));
                let passed = builder.finish().expect("memory for a test");
                assert_eq!(image_of(&passed), image_of(&segment));
            }
        }
    }
}

#[test]
fn damaged_packed_values_are_found_and_survived() {
    let mut rng = Rng::new(7);
    for (_, value_of, _) in SORTS {
        let model = model_with(&many_keys()[..150], 8, value_of, true, &mut rng);
        let width = ValueWidth::Fixed(8);
        let good = built(&model, width, CodecChoice::Int);
        let span = good.layout().expect("sound").span(Section::Values);
        let keys: Vec<Vec<u8>> = model.keys().step_by(9).cloned().collect();
        for at in span {
            let flip = 1 + rng.below(255) as u8;
            let mut bad = image_of(&good).to_vec();
            bad[at] ^= flip;
            reseal(&mut bad);
            // Right checksums do not make it right: unless it is what another value is written as.
            if let Ok(segment) = reopened(&bad, &[], width) {
                exercise(&segment, &keys);
                if segment.verify().is_ok() {
                    let again = rebuilt(&segment);
                    assert_eq!(image_of(&again), bad, "byte {at}");
                }
            }
        }
    }
}

/// A segment of the same entries.
fn rebuilt(segment: &Segment) -> Segment {
    let bump = Bump::new();
    let mut builder =
        SegmentBuilder::new(segment.width, &bump, CodecChoice::Int).expect("memory for a test");
    let mut cursor = SegmentCursor::new(segment);
    cursor.first();
    while cursor.valid() {
        builder.push(cursor.key(), cursor.entry()).expect("in order");
        cursor.next();
    }
    builder.finish().expect("memory for a test")
}

#[test]
fn packed_values_of_a_file_are_those_of_the_heap() {
    let mut rng = Rng::new(8);
    for (name, value_of, _) in SORTS {
        let keys: Vec<Vec<u8>> =
            (0..5_000u32).map(|i| (i * 7).to_le_bytes().into_iter().rev().collect()).collect();
        let model = model_with(&keys, 8, value_of, false, &mut rng);
        let heap = built(&model, ValueWidth::Fixed(8), CodecChoice::Int);
        let mut stored = Stored::new(&heap, ValueWidth::Fixed(8), 100);
        let segment = stored.open(&stored.mapped()).expect("a file of our own");
        check(&segment, &model, 500);
        // A block that is damaged gives no value that was not there.
        let at = 100 + heap.layout().expect("sound").span(Section::Values).end - 9;
        stored.file[at] ^= 0x10;
        let blocks = stored.mapped();
        let Ok(segment) = stored.open(&blocks) else { continue };
        let mut refused = 0;
        for (key, owned) in &model {
            match segment.get(key, &ValueBuf::default()) {
                Ok(entry) => assert_eq!(entry.and_then(Entry::live), owned.value.as_deref()),
                Err(_) => refused += 1,
            }
        }
        assert!(refused > 0, "{name}");
    }
}
