//! Segments of bytes that nobody wrote.

use super::{Input, Watch};
use crate::bytes::uint_at;
use crate::entry::{Below, Entry, Extent, INLINE_VALUE_MAX, ValueRef, ValueWidth};
use crate::segment::exercise::{exercise, reopened};
use crate::segment::{CodecChoice, SegmentBuilder};
use crate::segment::{announced_extents, field_offsets, reseal};
use bumpalo::Bump;
use std::collections::BTreeSet;

/// Extents that are supplied at most; an image that announces more is refused.
const EXTENTS: u32 = 64;

/// Keys that a segment is asked for.
const PROBES: usize = 12;

/// Opens and reads an image: the bytes of `data` themselves, or an image of our own with a few
/// forged fields; its checksums are made right if `data` says so. Whether it opened.
pub(crate) fn run(data: &[u8], watch: Watch<'_>) -> bool {
    let mut input = Input::new(data);
    let width = input.width();
    let mode = input.byte();
    let probes: Vec<Vec<u8>> = (0..PROBES).map(|_| input.key()).collect();
    let mut image = if mode & 1 == 0 {
        input.rest().to_vec()
    } else {
        let mut image = built(&mut input, width);
        forge(&mut input, &mut image, field_offsets);
        image
    };
    if mode & 6 != 0 {
        reseal(&mut image);
    }
    let extents = announced_extents(&image).min(EXTENTS);
    let extents: Vec<Extent> = (0..extents).map(|i| [i as u8; 1500].as_slice().into()).collect();
    let mut is_open = false;
    watch(image.len(), &mut || {
        let opened = reopened(&image, &extents, width);
        if let Ok(segment) = &opened {
            exercise(segment, &probes);
        }
        is_open = opened.is_ok();
    });
    is_open
}

/// An input that is the whole image of a sound segment.
#[cfg(test)]
pub(super) fn sound_input(seed: u64) -> Vec<u8> {
    let bytes = crate::testing::rng::Rng::new(seed).bytes(300);
    let width = [seed as u8];
    let image = built(&mut Input::new(&bytes), Input::new(&width).width());
    // No mode, and the tags of probes that are empty keys.
    [&width[..], &[0], &[0; PROBES], &image].concat()
}

/// The image of a sound segment.
pub(super) fn built(input: &mut Input<'_>, width: ValueWidth) -> Vec<u8> {
    let choice = input.pick(&[
        CodecChoice::Fst,
        CodecChoice::Plain,
        CodecChoice::Automatic,
        CodecChoice::Front,
        CodecChoice::Int,
        CodecChoice::Smallest,
        CodecChoice::Symbols,
        CodecChoice::Direct,
        CodecChoice::DirectSymbols,
        CodecChoice::Wide,
    ]);
    let mut keys: BTreeSet<Vec<u8>> = (0..input.byte() % 64).map(|_| input.key()).collect();
    keys.extend(input.fan());
    if choice == CodecChoice::Int {
        let len = usize::from(input.byte() % 8) + 1;
        keys = keys.into_iter().map(|key| resized(key, len)).collect();
    }
    if choice == CodecChoice::Wide {
        // Shorter keys would most often begin with the same bytes: they end with what they have.
        let len = usize::from(input.byte() % 40) + 9;
        let reversed = |mut key: Vec<u8>| {
            key.reverse();
            resized(key, len)
        };
        keys = keys.into_iter().map(reversed).collect();
    }
    let bump = Bump::new();
    let mut builder = SegmentBuilder::new(width, &bump, choice).expect("memory");
    for key in keys {
        let tag = input.byte();
        let below = if tag & 1 == 0 { Below::Absent } else { Below::Live };
        let value = input.value(width);
        let extent: Extent;
        let entry = if tag & 6 == 6 {
            Entry::tombstone(below)
        } else if width == ValueWidth::Bytes && value.len() > INLINE_VALUE_MAX {
            extent = value.as_slice().into();
            Entry::value(ValueRef::extent(&extent), below)
        } else {
            Entry::value(ValueRef::Inline(&value), below)
        };
        builder.push(&key, entry).expect("sorted");
    }
    let segment = builder.finish().expect("memory");
    segment.image().all().expect("just built").to_vec()
}

fn resized(mut key: Vec<u8>, len: usize) -> Vec<u8> {
    key.resize(len, 0);
    key
}

/// Writes what a forger would write to where a forger would: the fields that `fields` finds, and
/// any place.
pub(super) fn forge(
    input: &mut Input<'_>,
    image: &mut Vec<u8>,
    fields: impl Fn(&[u8]) -> Vec<usize>,
) {
    for _ in 0..=input.byte() % 8 {
        let fields = fields(image);
        let (is_field, place) = (input.byte().is_multiple_of(3), input.number());
        let at = if is_field { fields[place % fields.len()] } else { place % image.len().max(1) };
        let size = input.pick(&[1, 2, 4, 8]);
        let Some(old) = uint_at(image, at, size) else { continue };
        let len = image.len() as u64;
        let new = match input.byte() % 16 {
            0 => 0,
            1 => u64::MAX,
            2 => u64::MAX >> 1,
            3 => old.wrapping_add(1),
            4 => old.wrapping_sub(1),
            5 => old.wrapping_mul(2),
            6 => old.wrapping_neg(),
            7 => len,
            8 => len.wrapping_sub(1),
            9 => at as u64,
            10 => len.wrapping_sub(at as u64),
            11 => 1 << (input.byte() % 64),
            12 => uint_at(image, input.number() % image.len(), size).unwrap_or(7),
            13 => old.wrapping_add(u64::from(input.byte())),
            14 => old.wrapping_sub(u64::from(input.byte())),
            _ => u64::from(input.byte()),
        };
        image[at..at + size].copy_from_slice(&new.to_le_bytes()[..size]);
    }
    match input.byte() {
        0xfe => image.truncate(input.number() % (image.len() + 1)),
        0xff => image.resize(image.len() + input.number(), 0),
        _ => {}
    }
}
