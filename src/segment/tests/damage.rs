//! Segments of bytes nobody wrote: every read gives an answer or an error.

use super::super::exercise::{exercise, reopened};
use super::super::format::{Section, reseal};
use super::*;
use crate::error::Error;

#[test]
fn every_flipped_byte_is_found_and_survived() {
    for width in WIDTHS {
        for choice in CODECS {
            let keys = keys_for(choice);
            let model = model_of(keys.clone(), width, true);
            let good = built(&model, width, choice);
            let image = image_of(&good);
            for at in 0..image.len() {
                // The wide arrays of values are all alike: a sample of their bytes will do.
                if image.len() > 8000 && at > 3000 && at % 13 != 0 {
                    continue;
                }
                let mut bad = image.to_vec();
                bad[at] ^= [0x01, 0x80, 0xff][at % 3];
                let found = reopened(&bad, &extents_of(&good), width)
                    .map_err(Error::from)
                    .and_then(|segment| segment.verify());
                assert!(found.is_err(), "byte {at} of {choice:?} {width:?}");
                // Behind the checksums, nothing may break either.
                reseal(&mut bad);
                if let Ok(segment) = reopened(&bad, &extents_of(&good), width) {
                    exercise(&segment, &keys[..24]);
                }
            }
        }
    }
}

#[test]
fn every_shortened_or_lengthened_image_is_refused() {
    for width in [ValueWidth::Fixed(8), ValueWidth::Bytes] {
        for choice in CODECS {
            let model = model_of(keys_for(choice), width, true);
            let good = built(&model, width, choice);
            let image = image_of(&good);
            for len in 0..image.len() {
                assert!(reopened(&image[..len], &extents_of(&good), width).is_err());
                let mut resealed = image[..len].to_vec();
                reseal(&mut resealed);
                assert!(reopened(&resealed, &extents_of(&good), width).is_err());
            }
            assert!(reopened(&[image, &[0]].concat(), &extents_of(&good), width).is_err());
        }
    }
}

#[test]
fn an_image_opens_only_as_what_it_is() {
    for width in WIDTHS {
        let good = built(&model_of(small_keys(), width, true), width, CodecChoice::Fst);
        for other in WIDTHS {
            let opened = reopened(image_of(&good), &extents_of(&good), other);
            assert_eq!(opened.is_ok(), other == width);
        }
        let extent: Extent = [1].as_slice().into();
        let extents = [extents_of(&good), vec![extent]].concat();
        assert!(reopened(image_of(&good), &extents, width).is_err());
    }
}

#[test]
fn random_damage_behind_right_checksums_is_survived() {
    let mut random = Random(4242);
    for width in [ValueWidth::Fixed(0), ValueWidth::Fixed(8), ValueWidth::Bytes] {
        for choice in CODECS {
            let keys = keys_for(choice);
            let model = model_of(keys.clone(), width, true);
            let good = built(&model, width, choice);
            for _ in 0..1500 {
                let mut bad = image_of(&good).to_vec();
                for _ in 0..=random.below(6) {
                    // Behind the header, where the checks of `open` would stop most of it.
                    let at = 64 + random.below(bad.len() - 64);
                    bad[at] = match random.below(4) {
                        0 => 0,
                        1 => 0xff,
                        2 => bad[64 + random.below(bad.len() - 64)],
                        _ => random.below(256) as u8,
                    };
                }
                reseal(&mut bad);
                if let Ok(segment) = reopened(&bad, &extents_of(&good), width) {
                    exercise(&segment, &keys[..16]);
                }
            }
        }
    }
}

#[test]
fn symbols_of_any_length_are_survived() {
    // The last block has two keys: one that nearly fills the room for keys, and one of two symbols.
    let texts = (0..320).map(|i| format!("users/{i:03}/session/{}", i * i).into_bytes());
    let keys: Vec<Vec<u8>> = texts.chain([vec![b'y'; 1_940], b"zusers/".to_vec()]).collect();
    let width = ValueWidth::Fixed(8);
    let good = built(&model_of(keys.clone(), width, false), width, CodecChoice::Symbols);
    let table = good.layout().expect("sound").span(Section::Symbols);
    assert!(!table.is_empty());
    let lens = table.end - 256;
    for code in (0..256).filter(|code| image_of(&good)[lens + code] > 0) {
        for len in [0, 9, 255] {
            let mut bad = image_of(&good).to_vec();
            bad[lens + code] = len;
            reseal(&mut bad);
            let segment = reopened(&bad, &[], width).expect("symbols are looked at when read");
            assert!(segment.verify().is_err());
            exercise(&segment, &keys[310..]);
        }
    }
}

#[test]
fn many_codes_without_text_are_survived() {
    let mut random = Random(7);
    let long: Vec<u8> = (0..3_000).map(|_| b'a' + random.below(4) as u8).collect();
    let keys = vec![b"k".to_vec(), [b"k", long.as_slice()].concat()];
    let width = ValueWidth::Fixed(8);
    let good = built(&model_of(keys.clone(), width, false), width, CodecChoice::Symbols);
    let layout = good.layout().expect("sound");
    let (table, blocks) = (layout.span(Section::Symbols), layout.span(Section::KeyBlocks));
    // The second key adds many codes to the first: an empty head, a tag, and a length come before them.
    let suffix = blocks.start + 6..blocks.end;
    assert!(suffix.len() > 512 && image_of(&good)[table.end - 2] == 0);
    let mut bad = image_of(&good).to_vec();
    bad[suffix].fill(254);
    reseal(&mut bad);
    let segment = reopened(&bad, &[], width).expect("blocks are looked at when read");
    assert!(segment.verify().is_err());
    exercise(&segment, &keys);
}
