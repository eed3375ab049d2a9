//! Segments against a `BTreeMap`.

mod choice;
mod conformance;
mod damage;
mod measure;
mod measure_ints;
mod numbers;
mod pass;
mod splice;
mod stored;

use super::*;
use crate::arena::hooks;
use crate::checksum::checksum;
use crate::cursor::Cursor;
use crate::entry::Extent;
use crate::error::{Error, SortFault};
use crate::key::MAX_KEY_LEN;
use bumpalo::Bump;
use std::collections::{BTreeMap, BTreeSet};

/// An entry that owns its value; `None` is a tombstone.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Owned {
    value: Option<Vec<u8>>,
    live_below: bool,
}

type Model = BTreeMap<Vec<u8>, Owned>;

const CODECS: [CodecChoice; 8] = [
    CodecChoice::Plain,
    CodecChoice::Fst,
    CodecChoice::Front,
    CodecChoice::Int,
    CodecChoice::Symbols,
    CodecChoice::Direct,
    CodecChoice::DirectSymbols,
    CodecChoice::Wide,
];

const WIDTHS: [ValueWidth; 5] = [
    ValueWidth::Fixed(0),
    ValueWidth::Fixed(1),
    ValueWidth::Fixed(8),
    ValueWidth::Fixed(255),
    ValueWidth::Bytes,
];

/// A small generator (xorshift); a test names its seed.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % end as u64) as usize
    }
}

/// All bytes of the image.
fn image_of(segment: &Segment) -> &[u8] {
    segment.image().all().expect("a segment of our own")
}

/// A share in each extent.
fn extents_of(segment: &Segment) -> Vec<Extent> {
    let all = 0..segment.extent_count();
    all.map(|index| segment.extent(index).expect("a segment of our own").share()).collect()
}

fn below_of(live: bool) -> Below {
    if live { Below::Live } else { Below::Absent }
}

fn build(model: &Model, width: ValueWidth, choice: CodecChoice) -> Result<Segment, Error> {
    let bump = Bump::new();
    let mut builder = SegmentBuilder::new(width, &bump, choice)?;
    for (key, owned) in model {
        let below = below_of(owned.live_below);
        match &owned.value {
            None => builder.push(key, Entry::tombstone(below))?,
            Some(value) if value.len() > 1024 && width == ValueWidth::Bytes => {
                let extent: Extent = value.as_slice().into();
                builder.push(key, Entry::value(ValueRef::extent(&extent), below))?;
            }
            Some(value) => {
                builder.push(key, Entry::value(ValueRef::Inline(value), below))?;
            }
        }
    }
    builder.finish()
}

fn built(model: &Model, width: ValueWidth, choice: CodecChoice) -> Segment {
    build(model, width, choice).expect("memory for a test")
}

/// Entries for keys, with values, tombstones and flags of all sorts (`mixed`) or plain values.
fn model_of(keys: impl IntoIterator<Item = Vec<u8>>, width: ValueWidth, mixed: bool) -> Model {
    let keys: BTreeSet<Vec<u8>> = keys.into_iter().collect();
    let entries = keys.into_iter().enumerate().map(|(i, key)| {
        let len = match width {
            ValueWidth::Fixed(width) => usize::from(width),
            ValueWidth::Bytes => [0, 1, 7, 1024, 1025, 20, 3000][i % 7],
        };
        let value = (!(mixed && i % 5 == 3)).then(|| (0..len).map(|j| (i + j) as u8).collect());
        let live_below = mixed && i % 3 == 1;
        (key, Owned { value, live_below })
    });
    entries.collect()
}

fn small_keys() -> Vec<Vec<u8>> {
    let words = "a ab abc abd b ba car cars cart carts dart darts \0 \0\0 x/0 x/1 x/2";
    let mut keys: Vec<Vec<u8>> = words.split(' ').map(|w| w.as_bytes().to_vec()).collect();
    keys.extend([vec![], vec![0xff], vec![0xff; 3], vec![0xff; 4], vec![0, 0xff]]);
    keys.extend((0..70).map(|i| vec![b'n', i * 3]));
    keys
}

/// Some numbers of three bytes: in clusters, and at an even pace.
fn small_numbers() -> Vec<Vec<u8>> {
    let clusters = (0..80u32).map(|i| (i % 4 * 40_000) + i * i);
    let steps = (0..70u32).map(|i| 0xff_0000 + i * 900);
    clusters
        .chain(steps)
        .map(|number| number.to_le_bytes()[..3].iter().rev().copied().collect())
        .collect()
}

/// Some keys of 18 bytes, of which a few are the same in all of them.
fn small_wide_keys() -> Vec<Vec<u8>> {
    let key = |i: u64| {
        let [a, b] = [i / 8 * 5000, i * i * 0x0101_0101].map(u64::to_le_bytes);
        let parts = [&[7, a[2], a[1], 9, a[0]], &b[..], &[b[0] ^ 1, 3, i as u8, 0, 8]];
        parts.concat()
    };
    (0..130).map(key).collect()
}

/// Small keys for each way to store them.
fn keys_for(choice: CodecChoice) -> Vec<Vec<u8>> {
    match choice {
        CodecChoice::Int => small_numbers(),
        CodecChoice::Wide => small_wide_keys(),
        _ => small_keys(),
    }
}

/// The key itself and its neighbours.
fn probes(key: &[u8]) -> Vec<Vec<u8>> {
    let mut probes = vec![key.to_vec(), [key, b"\0"].concat(), [key, b"\xff"].concat()];
    if let Some((&last, rest)) = key.split_last() {
        probes.push(rest.to_vec());
        probes.push([rest, &[last.wrapping_add(1)]].concat());
        probes.push([rest, &[last.wrapping_sub(1)]].concat());
        probes.push([rest, &[last.wrapping_sub(1), 0xff]].concat());
    }
    probes
}

fn owned(entry: Entry<'_>) -> Owned {
    Owned { value: entry.live().map(<[u8]>::to_vec), live_below: entry.below == Below::Live }
}

fn standing<C: Cursor>(cursor: &C) -> Option<(Vec<u8>, Owned)> {
    assert_eq!(cursor.status(), Ok(()));
    cursor.valid().then(|| (cursor.key().to_vec(), owned(cursor.entry())))
}

/// Compares everything a segment answers with a model, with probes near every `step`-th key.
fn check(segment: &Segment, model: &Model, step: usize) {
    segment.verify().expect("a segment of our own");
    let list: Vec<(&Vec<u8>, &Owned)> = model.iter().collect();
    assert_eq!(segment.len(), list.len() as u64);
    let mut weight = 0;
    for (i, (key, expected)) in list.iter().enumerate() {
        let ordinal = Ordinal(i as u64);
        let buf = ValueBuf::default();
        let entry = segment.entry(ordinal, &buf).expect("an entry");
        assert_eq!(&owned(entry), *expected);
        assert_eq!(segment.weight_before(ordinal), Ok(weight));
        weight += i64::from(entry.weight());
        if i % step == 0 {
            assert_eq!(segment.find(key), Ok(Some(ordinal)));
            let mut found = vec![];
            segment.key_at(ordinal, &mut found).expect("a key");
            assert_eq!(&found, *key);
        }
    }
    assert_eq!(segment.weight(), weight);
    assert!(segment.entry(Ordinal(list.len() as u64), &ValueBuf::default()).is_err());
    check_walks(segment, &list);
    for (key, _) in list.iter().step_by(step) {
        for probe in probes(key) {
            check_probe(segment, &list, &probe);
        }
    }
    check_probe(segment, &list, b"");
    check_probe(segment, &list, &[0xff; 70]);
    check_random_walk(segment, &list);
}

fn check_walks(segment: &Segment, list: &[(&Vec<u8>, &Owned)]) {
    let mut cursor = SegmentCursor::new(segment);
    assert_eq!(standing(&cursor), None);
    cursor.next();
    cursor.prev();
    assert_eq!(standing(&cursor), None);
    cursor.first();
    for (i, (key, _)) in list.iter().enumerate() {
        assert!(cursor.valid());
        assert_eq!((cursor.key(), cursor.ordinal()), (key.as_slice(), Some(Ordinal(i as u64))));
        cursor.next();
    }
    assert_eq!(standing(&cursor), None);
    cursor.last();
    for (key, _) in list.iter().rev() {
        assert!(cursor.valid());
        assert_eq!(cursor.key(), key.as_slice());
        cursor.prev();
    }
    assert_eq!(standing(&cursor), None);
}

fn check_probe(segment: &Segment, list: &[(&Vec<u8>, &Owned)], probe: &[u8]) {
    let at = list.partition_point(|(key, _)| key.as_slice() < probe);
    let is_there = list.get(at).is_some_and(|(key, _)| key.as_slice() == probe);
    let ordinal = Ordinal(at as u64);
    assert_eq!(segment.find(probe), Ok(is_there.then_some(ordinal)));
    assert_eq!(segment.lower_bound(probe), Ok(ordinal));
    let expected = |i: Option<usize>| {
        i.and_then(|i| list.get(i)).map(|(key, owned)| ((*key).clone(), (*owned).clone()))
    };
    let mut cursor = SegmentCursor::new(segment);
    cursor.seek(probe);
    assert_eq!(standing(&cursor), expected(Some(at)));
    if cursor.valid() {
        cursor.prev();
        assert_eq!(standing(&cursor), expected(at.checked_sub(1)));
    }
    cursor.seek_for_prev(probe);
    let before = if is_there { Some(at) } else { at.checked_sub(1) };
    assert_eq!(standing(&cursor), expected(before));
    if cursor.valid() {
        cursor.next();
        assert_eq!(standing(&cursor), expected(before.map(|i| i + 1)));
    }
}

fn check_random_walk(segment: &Segment, list: &[(&Vec<u8>, &Owned)]) {
    if list.is_empty() {
        return;
    }
    let mut random = Random(0x9e37_79b9);
    let mut cursor = SegmentCursor::new(segment);
    let mut at = None;
    for _ in 0..300 {
        match random.below(8) {
            0 => {
                at = Some(random.below(list.len()));
                cursor.seek(at.map_or(b"", |i| list[i].0));
            }
            1 => {
                at = Some(random.below(list.len()));
                cursor.seek_for_prev(at.map_or(b"", |i| list[i].0));
            }
            2..5 => {
                at = at.map(|i| i + 1).filter(|i| *i < list.len());
                cursor.next();
            }
            _ => {
                at = at.and_then(|i| i.checked_sub(1));
                cursor.prev();
            }
        }
        assert_eq!(cursor.valid(), at.is_some());
        if let Some(i) = at {
            assert_eq!(cursor.key(), list[i].0.as_slice());
        }
    }
}

#[test]
fn segments_agree_with_a_map_for_every_width_and_codec() {
    for width in WIDTHS {
        for mixed in [false, true] {
            for choice in CODECS {
                let model = model_of(keys_for(choice), width, mixed);
                check(&built(&model, width, choice), &model, 1);
            }
        }
    }
}

#[test]
fn an_empty_segment_has_nothing_to_find() {
    for width in WIDTHS {
        for choice in CODECS.into_iter().chain([CodecChoice::Automatic]) {
            let segment = built(&Model::new(), width, choice);
            check(&segment, &Model::new(), 1);
            assert_eq!(segment.lower_bound(b"x"), Ok(Ordinal(0)));
            assert!(segment.key_at(Ordinal(0), &mut vec![]).is_err());
        }
    }
}

#[test]
fn every_set_of_short_keys_over_the_extreme_bytes_is_kept() {
    let mut all = vec![vec![]];
    for len in 1..=3usize {
        for bits in 0..1usize << len {
            all.push((0..len).map(|i| if bits >> i & 1 == 0 { 0 } else { 0xff }).collect());
        }
    }
    assert_eq!(all.len(), 15);
    let width = ValueWidth::Fixed(1);
    // All subsets of the 7 shortest keys with all of their probes, a sample of the others.
    for set in (0..128usize).chain((128..1 << 15).step_by(37)) {
        let keys = all.iter().enumerate().filter(|(i, _)| set >> i & 1 == 1);
        let model = model_of(keys.map(|(_, key)| key.clone()), width, true);
        for choice in CODECS {
            let segment = built(&model, width, choice);
            check(&segment, &model, 1);
            let list: Vec<_> = model.iter().collect();
            for probe in &all {
                check_probe(&segment, &list, probe);
            }
        }
    }
}

#[test]
fn longest_keys_and_chains_of_prefixes_are_kept() {
    let long = |byte, last| {
        let mut key = vec![byte; MAX_KEY_LEN];
        key[MAX_KEY_LEN - 1] = last;
        key
    };
    let mut keys = vec![long(0, 0), long(0, 1), long(0xff, 0), long(0xff, 0xff), long(b'e', b'x')];
    keys.extend([1, 2, 100, 65_534].map(|len| vec![0xff; len]));
    // Every prefix of one key: a node that ends a key at each depth.
    keys.extend((0..600).map(|len| vec![b'p'; len]));
    let model = model_of(keys, ValueWidth::Bytes, true);
    for choice in CODECS {
        check(&built(&model, ValueWidth::Bytes, choice), &model, 60);
    }
}

#[test]
fn ten_thousand_keys_with_a_common_kilobyte_are_kept() {
    let keys = (0..10_000u32).map(|i| {
        let mut key = vec![b'k'; 1024];
        key.extend(format!("{:05}", i.wrapping_mul(7919) % 100_000).bytes());
        key
    });
    let model = model_of(keys, ValueWidth::Fixed(8), true);
    for choice in CODECS {
        check(&built(&model, ValueWidth::Fixed(8), choice), &model, 97);
    }
}

#[test]
fn random_binary_keys_are_kept() {
    let mut random = Random(77);
    for round in 0..30usize {
        let (alphabet, max_len) = ([2, 5, 256][round % 3], [3, 8, 30][round / 3 % 3]);
        let keys: Vec<Vec<u8>> = (0..600)
            .map(|_| {
                let len = random.below(max_len + 1);
                (0..len).map(|_| random.below(alphabet) as u8).collect()
            })
            .collect();
        let width = WIDTHS[round % WIDTHS.len()];
        let model = model_of(keys, width, round % 2 == 0);
        for choice in CODECS {
            check(&built(&model, width, choice), &model, 7);
        }
    }
}

#[test]
fn the_builder_makes_blocks_from_256_keys_on() {
    let width = ValueWidth::Fixed(8);
    for (entries, codec) in [(255, "plain"), (256, "front"), (257, "front")] {
        let keys = (0..entries).map(|i| format!("key {i:05}").into_bytes());
        let model = model_of(keys, width, true);
        let segment = built(&model, width, CodecChoice::Automatic);
        assert_eq!(segment.stats().codec, codec);
        let forced = if codec == "plain" { CodecChoice::Plain } else { CodecChoice::Front };
        let same = built(&model, width, forced);
        assert_eq!(image_of(&segment), image_of(&same));
        check(&segment, &model, 1);
    }
}

const ALL: [Profile; 3] = [Profile::Smallest, Profile::Balanced, Profile::Fastest];

/// The profiles for which a segment is stored as it is.
fn suited(segment: &Segment) -> Vec<Profile> {
    ALL.into_iter().filter(|profile| segment.suits(*profile)).collect()
}

/// Words with endings in common, and numbers in text.
fn text(entries: u32) -> impl Iterator<Item = Vec<u8>> {
    (0..entries)
        .map(|i| format!("{:04}{}", i / 4, ["s", "ing", "ed", "ers"][i as usize % 4]).into())
}

#[test]
fn the_smaller_of_blocks_and_transducer_is_kept_if_bytes_matter() {
    let width = ValueWidth::Fixed(8);
    let mut rng = Random(7);
    let mut noise = || (0..12 + rng.below(3)).map(|_| rng.below(256) as u8).collect::<Vec<u8>>();
    let noise: Vec<Vec<u8>> = (0..3000).map(|_| noise()).collect();
    for (keys, codec) in [
        (text(255).collect(), "plain"),
        (text(256).collect(), "fst"),
        (text(3000).collect(), "fst"),
        (noise, "front"),
        (small_numbers().into_iter().chain(text(400)).collect(), "fst"),
        ((0..3000).map(|i| format!("user:{i:08}:profile").into_bytes()).collect(), "fst"),
    ] {
        let keys: Vec<Vec<u8>> = keys;
        let model = model_of(keys, width, true);
        let segment = built(&model, width, CodecChoice::Smallest);
        assert_eq!(segment.stats().codec, codec);
        assert_eq!(suited(&segment), if codec == "plain" { &ALL[..] } else { &ALL[..1] });
        check(&segment, &model, 1);
        let others =
            [CodecChoice::Front, CodecChoice::Fst].map(|choice| built(&model, width, choice));
        assert!(others.iter().all(|other| suited(other) == ALL[1..2]));
        if codec != "plain" {
            let least = others.iter().map(|other| other.stats().key_bytes).min();
            assert!(Some(segment.stats().key_bytes) <= least);
        }
    }
}

/// Keys of which most bytes come again and again.
fn addresses(entries: u32) -> impl Iterator<Item = Vec<u8>> {
    let words = ["alpha", "bravo", "charlie", "delta", "echo", "foxtrot", "golf", "hotel"];
    let word = move |i: u32| words[i as usize % 8];
    (0..entries).map(move |i| {
        let i = i.wrapping_mul(0x9e37_79b1);
        let [a, b, c] = [i >> 29, i >> 26, i >> 23].map(word);
        format!("https://{a}.example/{b}/{c}/item-{:06}.html", i % 1_000_000).into_bytes()
    })
}

#[test]
fn the_builder_uses_symbols_where_they_pay() {
    let width = ValueWidth::Fixed(8);
    let mut rng = Random(11);
    let mut noise = || (0..40 + rng.below(3)).map(|_| rng.below(256) as u8).collect::<Vec<u8>>();
    let noise: Vec<Vec<u8>> = (0..3000).map(|_| noise()).collect();
    for (keys, codec) in [
        (addresses(20_000).collect(), "fsst"),
        (addresses(300).collect(), "fsst"),
        // Nothing comes again, and their lengths differ.
        (noise, "front"),
        // A byte for each key is not enough.
        (text(20_000).collect(), "front"),
    ] {
        let keys: Vec<Vec<u8>> = keys;
        let model = model_of(keys, width, true);
        let segment = built(&model, width, CodecChoice::Automatic);
        assert_eq!(segment.stats().codec, codec);
        let [text, codes] =
            [CodecChoice::Front, CodecChoice::Symbols].map(|choice| built(&model, width, choice));
        let same = if codec == "front" { &text } else { &codes };
        assert_eq!(image_of(&segment), image_of(same));
        let [text, codes] = [text, codes].map(|segment| segment.stats().key_bytes as f64);
        let spared = text - codes;
        let is_worth = spared > 0.15 * text && spared > 1.5 * model.len() as f64;
        assert_eq!(is_worth, codec == "fsst", "{text} {codes}");
        check(&segment, &model, 97);
    }
}

#[test]
fn symbols_that_only_a_sample_gains_from_are_not_used() {
    let width = ValueWidth::Fixed(8);
    let mut rng = Random(9);
    // What is looked at of each key is the same letters, and what is not are bytes of all sorts.
    let keys = (0..300).map(|i| {
        let noise = (0..4096).map(|_| rng.below(256) as u8);
        format!("{i:06}").into_bytes().into_iter().chain([b'a'; 506]).chain(noise).collect()
    });
    let model = model_of(keys, width, false);
    let text = built(&model, width, CodecChoice::Front);
    for choice in [CodecChoice::Automatic, CodecChoice::Smallest] {
        let segment = built(&model, width, choice);
        assert!(image_of(&segment).len() <= image_of(&text).len(), "{choice:?}");
        check(&segment, &model, 60);
    }
}

#[test]
fn text_has_a_point_index_from_256_keys_on_if_speed_matters() {
    let width = ValueWidth::Fixed(8);
    for (keys, codec) in [
        (text(255).collect(), "plain"),
        (text(256).collect(), "direct"),
        (text(3000).collect(), "direct"),
        (small_numbers().into_iter().chain(text(400)).collect(), "direct"),
        ((0..300u16).map(|i| vec![(i / 256) as u8, i as u8]).collect(), "int"),
    ] {
        let keys: Vec<Vec<u8>> = keys;
        let model = model_of(keys, width, true);
        let segment = built(&model, width, CodecChoice::Fastest);
        assert_eq!(segment.stats().codec, codec);
        assert_eq!(suited(&segment), if codec == "direct" { &ALL[2..] } else { &ALL[..] });
        check(&segment, &model, 1);
        if codec == "direct" {
            let same = built(&model, width, CodecChoice::Direct);
            assert_eq!(image_of(&segment), image_of(&same));
        }
    }
}

#[test]
fn symbols_are_used_beside_a_point_index_where_they_spare_a_quarter() {
    let width = ValueWidth::Fixed(8);
    for (keys, codec) in [
        (addresses(20_000).collect(), "direct-fsst"),
        // They spare less.
        (text(20_000).collect(), "direct"),
    ] {
        let keys: Vec<Vec<u8>> = keys;
        let model = model_of(keys, width, true);
        let segment = built(&model, width, CodecChoice::Fastest);
        assert_eq!(segment.stats().codec, codec);
        assert_eq!(suited(&segment), ALL[2..]);
        let [text, codes] = [CodecChoice::Direct, CodecChoice::DirectSymbols]
            .map(|choice| built(&model, width, choice));
        let is_coded = codec == "direct-fsst";
        assert_eq!(image_of(&segment), image_of(if is_coded { &codes } else { &text }));
        let [text, codes] = [text, codes].map(|segment| segment.stats().key_bytes);
        assert_eq!(codes < text / 4 * 3, is_coded, "{text} {codes}");
        check(&segment, &model, 97);
    }
}

#[test]
fn keys_of_one_hash_are_found_without_the_point_index() {
    let mut rng = Random(11);
    // What the second word makes zero, the first one does not change.
    let colliding = || {
        let noise = (0..8).map(|_| rng.below(256) as u8).collect::<Vec<u8>>();
        [&noise, &points::MIX[1].to_le_bytes()[..], b"-colliding"].concat()
    };
    let mut all: Vec<Vec<u8>> = std::iter::repeat_with(colliding).take(3000).collect();
    let absent = all.split_off(2500);
    assert_eq!(all.iter().map(|key| points::PointHash::of(key)).collect::<BTreeSet<_>>().len(), 1);
    all.extend(text(500));
    let model = model_of(all, ValueWidth::Fixed(8), true);
    let segment = built(&model, ValueWidth::Fixed(8), CodecChoice::Direct);
    check(&segment, &model, 1);
    exercise::exercise(&segment, &absent);
    assert!(absent.iter().all(|key| segment.find(key) == Ok(None)));
}

#[test]
fn a_point_index_that_leads_elsewhere_is_found_by_verify() {
    let model = model_of(text(300), ValueWidth::Fixed(0), false);
    let good = built(&model, ValueWidth::Fixed(0), CodecChoice::Direct);
    let span = good.layout().expect("sound").span(Section::PointIndex);
    assert!(span.len() >= 300 * 5);
    for at in span {
        let mut bad = image_of(&good).to_vec();
        bad[at] ^= 1 << (at % 8);
        format::reseal(&mut bad);
        let bad = exercise::reopened(&bad, &[], ValueWidth::Fixed(0)).expect("a sound frame");
        assert!(bad.verify().is_err(), "byte {at}");
        exercise::exercise(&bad, &[]);
    }
}

#[test]
fn the_builder_packs_numbers_of_one_length_from_256_on() {
    let width = ValueWidth::Fixed(8);
    for (entries, len, codec) in [
        (255u64, 8, "plain"),
        (256, 8, "int"),
        (3000, 8, "int"),
        (3000, 3, "int"),
        (3000, 9, "wide"),
    ] {
        let key = |i: u64| {
            let bytes = (i * 5).to_le_bytes();
            (0..len).rev().map(|at| bytes.get(at).copied().unwrap_or(7)).collect::<Vec<u8>>()
        };
        let model = model_of((0..entries).map(key), width, true);
        let segment = built(&model, width, CodecChoice::Automatic);
        assert_eq!(segment.stats().codec, codec);
        check(&segment, &model, 1);
    }
}

#[test]
fn a_key_of_another_length_puts_numbers_into_blocks() {
    let width = ValueWidth::Fixed(8);
    // Where keys are not numbers yet, where they are not packed yet, and in and between pieces.
    for entries in [0, 1, 254, 255, 256, 2500, 65_536, 65_537, 66_560, 66_561, 70_000] {
        for other in [&[0xff; 4][..], &[0xff; 9], &[0xff; 2]] {
            let keys = (0..entries).map(|i: u32| {
                let [low, middle, high, _] = (i * 3).to_le_bytes();
                vec![high, middle, low]
            });
            let keys: Vec<Vec<u8>> = keys.chain([other.to_vec()]).collect();
            for (choice, plain_below) in [(CodecChoice::Automatic, 256), (CodecChoice::Int, 0)] {
                let model = model_of(keys.clone(), width, true);
                let segment = built(&model, width, choice);
                let codec = match keys.len() {
                    1 if choice == CodecChoice::Int && other.len() < 9 => "int",
                    len if len < plain_below => "plain",
                    _ => "front",
                };
                assert_eq!(segment.stats().codec, codec, "{entries} {other:?} {choice:?}");
                check(&segment, &model, 997);
            }
        }
    }
}

#[test]
fn the_builder_refuses_keys_out_of_order_and_too_long_and_goes_on() {
    for choice in CODECS {
        let bump = Bump::new();
        let mut builder =
            SegmentBuilder::new(ValueWidth::Fixed(0), &bump, choice).expect("memory for a test");
        let entry = Entry::value(ValueRef::Inline(&[]), Below::Absent);
        assert_eq!(builder.push(b"", entry), Ok(()));
        assert_eq!(builder.push(b"b", entry), Ok(()));
        for (key, order) in [
            (&b"b"[..], SortFault::Duplicate),
            (b"a", SortFault::Descending),
            (b"", SortFault::Descending),
        ] {
            assert_eq!(builder.push(key, entry), Err(Error::OutOfOrder { index: 2, order }));
        }
        let long = vec![b'c'; MAX_KEY_LEN + 1];
        assert_eq!(builder.push(&long, entry), Err(Error::KeyTooLong { len: long.len() }));
        assert_eq!(builder.push(b"c", entry), Ok(()));
        assert_eq!(builder.len(), 3);
        let segment = builder.finish().expect("memory for a test");
        segment.verify().expect("a segment of our own");
        assert_eq!(segment.find(b"c"), Ok(Some(Ordinal(2))));
        assert_eq!(segment.find(&long), Ok(None));
        assert_eq!(segment.lower_bound(&long), Ok(Ordinal(3)));
    }
}

#[test]
fn an_image_is_a_function_of_its_content() {
    let long = vec![7; 2000];
    let extent: Extent = long.as_slice().into();
    let short: Extent = [1, 2, 3].as_slice().into();
    for choice in CODECS {
        let image = |long: ValueRef<'_>, short: ValueRef<'_>| {
            let bump = Bump::new();
            let mut builder =
                SegmentBuilder::new(ValueWidth::Bytes, &bump, choice).expect("memory for a test");
            for (key, value) in [(b"a", long), (b"b", short), (b"c", long)] {
                builder.push(key, Entry::value(value, Below::Absent)).expect("ascending keys");
            }
            let segment = builder.finish().expect("memory for a test");
            segment.verify().expect("a segment of our own");
            assert_eq!(segment.extent_count(), 2);
            image_of(&segment).to_vec()
        };
        // How a value is handed over makes no difference; its length decides.
        let expected = image(ValueRef::extent(&extent), ValueRef::Inline(short.as_slice()));
        assert_eq!(expected, image(ValueRef::Inline(&long), ValueRef::extent(&short)));
    }
}

#[test]
fn images_are_the_bytes_of_format_version_1() {
    // A change of these numbers is a change of the format, and needs a new version.
    let sums = [ValueWidth::Fixed(8), ValueWidth::Bytes].map(|width| {
        CODECS.map(|choice| {
            let model = model_of(keys_for(choice), width, true);
            checksum(image_of(&built(&model, width, choice)))
        })
    });
    let expected = [
        [
            0x683d_c557,
            0x0fae_02cc,
            0x59f9_27af,
            0x6ed3_093e,
            0x844c_480e,
            0xc324_89da,
            0x6c1e_5bfa,
            0x1faa_54d5,
        ],
        [
            0x45fc_7c6b,
            0xd001_6dc0,
            0x3e27_6d7e,
            0x319c_e821,
            0xdd01_eb01,
            0x4eba_7ba5,
            0x1f22_6f29,
            0xd45b_ed65,
        ],
    ];
    assert_eq!(sums, expected);
    let model = model_of(text(400), ValueWidth::Fixed(8), true);
    let smallest = built(&model, ValueWidth::Fixed(8), CodecChoice::Smallest);
    assert_eq!(checksum(image_of(&smallest)), 0x95ab_09b6);
    // With symbols that were found in a part of the keys, without a point index and beside one: how they
    // are found may change, and these two numbers with it.
    let model = model_of(addresses(5000), ValueWidth::Fixed(8), true);
    let coded = [CodecChoice::Automatic, CodecChoice::Fastest]
        .map(|choice| checksum(image_of(&built(&model, ValueWidth::Fixed(8), choice))));
    assert_eq!(coded, [0xbac1_181d, 0xf4be_a66b]);
    // Packed values: of both signs, of 58 bits and more, and of all 64.
    let value_of = |i: u64| match i / 64 {
        0 => (i % 7).wrapping_sub(3),
        1 => i << 52,
        2 => (i * i) << 58,
        _ => 1_000_000 + i,
    };
    let entries = (0..500u32).map(|i| {
        let value = Some(value_of(u64::from(i)).to_le_bytes().to_vec());
        (i.to_le_bytes().into_iter().rev().collect(), Owned { value, live_below: false })
    });
    let packed = built(&entries.collect(), ValueWidth::Fixed(8), CodecChoice::Automatic);
    assert!(packed.layout().expect("sound").has_numbers);
    packed.verify().expect("a segment of our own");
    assert_eq!(checksum(image_of(&packed)), 0x60dd_66ab);
}

#[test]
fn a_cursor_can_share_its_segment() {
    let model = model_of(small_keys(), ValueWidth::Bytes, false);
    let segment = Arc::new(built(&model, ValueWidth::Bytes, CodecChoice::Fst));
    let mut cursor = SegmentCursor::new(segment.clone());
    drop(segment);
    cursor.seek(b"cart");
    assert_eq!(standing(&cursor).map(|(key, _)| key), Some(b"cart".to_vec()));
}

#[test]
fn extents_are_moved_by_reference() {
    let extent: Extent = [7; 5000].as_slice().into();
    let bump = Bump::new();
    let mut builder = SegmentBuilder::new(ValueWidth::Bytes, &bump, CodecChoice::Automatic)
        .expect("memory for a test");
    let entry = Entry::value(ValueRef::extent(&extent), Below::Absent);
    builder.push(b"key", entry).expect("memory for a test");
    let segment = builder.finish().expect("memory for a test");
    assert_eq!(extent.owners(), 2);
    let buf = ValueBuf::default();
    let entry = segment.entry(Ordinal(0), &buf).expect("an entry");
    assert_eq!(entry.value.as_slice().as_ptr(), extent.as_slice().as_ptr());
    assert!(image_of(&segment).len() < 512);
}

#[test]
fn ten_integers_take_less_than_half_a_kilobyte() {
    let keys = (0..10u8).map(|i| vec![0, 0, 0, 0, 0, 0, 0, i]);
    let model = model_of(keys, ValueWidth::Fixed(8), false);
    let segment = built(&model, ValueWidth::Fixed(8), CodecChoice::Automatic);
    assert!(segment.heap_bytes() <= 512, "{} bytes", segment.heap_bytes());
    let stats = segment.stats();
    assert_eq!((stats.entries, stats.tombstones), (10, 0));
    assert_eq!((stats.key_bytes, stats.value_bytes), (124, 80));
}

#[test]
fn every_refused_allocation_is_an_error() {
    let keys = (0..600).map(|i| format!("key {i:05}").into_bytes());
    expect_errors_without_memory(&model_of(keys, ValueWidth::Bytes, true));
    let numbers = (0..3000u16).map(|i| i.to_le_bytes().iter().rev().copied().collect());
    expect_errors_without_memory(&model_of(numbers, ValueWidth::Bytes, true));
    expect_errors_without_memory(&model_of(addresses(600), ValueWidth::Bytes, true));
    let pairs = crate::testing::keys::pairs_of_numbers();
    expect_errors_without_memory(&model_of(pairs, ValueWidth::Bytes, true));
}

fn expect_errors_without_memory(model: &Model) {
    for choice in [CodecChoice::Automatic, CodecChoice::Fastest] {
        expect_errors_of(model, choice);
    }
}

fn expect_errors_of(model: &Model, choice: CodecChoice) {
    let mut failures = 0;
    loop {
        hooks::fail_allocation(Some(failures));
        let outcome = build(model, ValueWidth::Bytes, choice);
        hooks::fail_allocation(None);
        match outcome {
            Ok(segment) => {
                check(&segment, model, 50);
                break;
            }
            Err(error) => assert_eq!(error, Error::OutOfMemory),
        }
        failures += 1;
    }
    assert!(failures > 10, "only {failures} allocations");
}
