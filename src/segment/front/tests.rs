//! Blocks and tree on key sets made for them, against a sorted list, and with forged fields.

use super::*;
use crate::bytes::common_prefix;
use crate::key::MAX_KEY_LEN;
use crate::range::Direction;
use crate::strings::Strings;
use crate::testing::rng::Rng;
use bumpalo::Bump;
use std::collections::BTreeSet;
use std::ops::Range;

/// The three sections of a set of keys.
struct Sections {
    index: Vec<u8>,
    tails: Vec<u8>,
    blocks: Vec<u8>,
    symbols: Vec<u8>,
    entries: u64,
    form: Form,
}

impl Sections {
    fn of(keys: &BTreeSet<Vec<u8>>, shift: u32, form: Form, coding: Option<Coding>) -> Self {
        let bump = Bump::new();
        let mut stage = FrontStage::new(&bump, shift, form);
        let mut last: &[u8] = &[];
        for key in keys {
            stage.push((key, key.len()), common_prefix(last, key)).expect("memory for a test");
            last = key;
        }
        let mut finished = stage.finish().expect("memory for a test");
        if let Some(coding) = coding {
            finished = finished.code(&bump, coding).expect("memory for a test");
        }
        let lens = finished.lens().expect("a small set");
        let [index, tails, blocks, symbols] = lens.map(|len| vec![0; len]);
        let mut sections = Self { index, tails, blocks, symbols, entries: keys.len() as u64, form };
        finished.write_index(&mut sections.index);
        finished.write_tails(&mut sections.tails);
        finished.write_blocks(&mut sections.blocks);
        finished.write_symbols(&mut sections.symbols);
        sections
    }

    fn keys(&self) -> FrontKeys<'_> {
        self.read().expect("our own bytes")
    }

    /// The keys, if their head can be read and their frame is sound.
    fn read(&self) -> Result<FrontKeys<'_>, Corruption> {
        let sections =
            [&self.index, &self.tails, &self.blocks, &self.symbols].map(|b| Bytes::heap(b));
        let head = FrontHead::read(sections[0], self.blocks.len(), self.entries, self.form)?;
        let keys = FrontKeys::new(head, sections, self.entries);
        keys.check_frame().map(|()| keys)
    }

    fn levels(&self) -> u32 {
        self.keys().front().expect("sound").tree.shape.levels()
    }
}

/// Compares searches with those of the list, on keys and on what is next to them, in blocks of
/// both forms, of text and of codes.
fn expect_all(keys: &BTreeSet<Vec<u8>>, shift: u32) -> Sections {
    expect_keys(keys, shift, Form::Direct, None);
    expect_keys(keys, shift, Form::Direct, Some(Coding::Always));
    expect_keys(keys, shift, Form::Chained, Some(Coding::Always));
    expect_keys(keys, shift, Form::Chained, None)
}

fn expect_keys(
    keys: &BTreeSet<Vec<u8>>,
    shift: u32,
    form: Form,
    coding: Option<Coding>,
) -> Sections {
    let sections = Sections::of(keys, shift, form, coding);
    let reader = sections.keys();
    reader.verify().expect("our own bytes");
    let list: Vec<&Vec<u8>> = keys.iter().collect();
    let mut key = vec![];
    for (ordinal, expected) in list.iter().enumerate() {
        key.clear();
        reader.key_at(ordinal as u64, &mut key).expect("our own bytes");
        assert_eq!(&key, *expected);
        let mut probes = vec![key.clone(), [&key[..], &[0]].concat(), [&key[..], &[0xff]].concat()];
        for at in [0, key.len() / 2, key.len().saturating_sub(1)] {
            probes.push(key[..at].to_vec());
            if let Some(byte) = key.get(at) {
                let changed = [byte.wrapping_add(1), byte.wrapping_sub(1)];
                probes.extend(changed.map(|byte| [&key[..at], &[byte]].concat()));
            }
        }
        for probe in probes {
            let expected = list.binary_search(&&probe).map(|at| at as u64).map_err(|at| at as u64);
            assert_eq!(reader.search(&probe, |_| ()), Ok(expected), "{probe:?}");
        }
    }
    sections
}

#[test]
fn trees_of_every_height_and_blocks_of_every_size_lead_to_each_key() {
    for (count, shift, levels) in [
        (0, 4, 0),
        (1, 4, 1),
        (16, 4, 1),
        (17, 4, 1),
        (256, 4, 1),
        (257, 4, 2),
        (4096, 4, 2),
        (4097, 4, 3),
        (40_000, 3, 4),
        (40_000, 5, 3),
    ] {
        let keys = (0..count).map(|i: u32| format!("{:x}", i.wrapping_mul(0x9e37_79b9)));
        let sections = expect_all(&keys.map(String::into_bytes).collect(), shift);
        assert_eq!(sections.levels(), levels, "{count} keys");
    }
}

#[test]
fn separators_that_differ_late_are_told_apart_by_their_tails() {
    for (shared, alphabet) in [(0, 2), (9, 2), (40, 3), (300, 2), (2000, 2)] {
        let mut rng = Rng::new(shared as u64 + 1);
        // Stems that only their last bytes tell apart, far beyond the 8 that a node holds.
        let stems: Vec<Vec<u8>> = (0..40)
            .map(|_| {
                let end = (0..12).map(|_| rng.below(alphabet) as u8);
                [vec![b's'; shared], end.collect()].concat()
            })
            .collect();
        let keys = (0..3000).map(|_| {
            let mut key = stems[rng.below(stems.len())].clone();
            key.extend((0..rng.below(14)).map(|_| rng.below(alphabet) as u8));
            key
        });
        let sections = expect_all(&keys.collect(), 4);
        assert!(!sections.tails.is_empty());
    }
}

#[test]
fn separators_that_end_with_zeros_are_not_taken_for_shorter_ones() {
    // Every key of up to 11 bytes over one letter, with zeros after it: slices look alike.
    let mut keys = BTreeSet::new();
    for letters in 0..6usize {
        for zeros in 0..60usize {
            keys.insert([vec![b'a'; letters], vec![0; zeros]].concat());
        }
    }
    for shift in BLOCK_SHIFTS {
        expect_all(&keys, shift);
    }
}

#[test]
fn lengths_beyond_a_tag_and_beyond_a_byte_are_kept() {
    // Shared parts and suffixes on both sides of what half a tag and what a byte can say.
    let mut keys = BTreeSet::new();
    for shared in [0, 13, 14, 15, 16, 268, 269, 270, 271, 600, 65_000] {
        for len in [1, 14, 15, 16, 17, 269, 270, 271, 272, 500] {
            keys.insert([vec![b'm'; shared], vec![b'n'; len]].concat());
            keys.insert([vec![b'm'; shared], vec![b'l'; len]].concat());
        }
    }
    for shift in BLOCK_SHIFTS {
        expect_all(&keys, shift);
    }
}

#[test]
fn forged_fields_give_answers_or_errors() {
    let mut rng = Rng::new(5);
    let words: BTreeSet<Vec<u8>> = (0..3000)
        .map(|_| {
            let len = rng.below(30);
            (0..len).map(|_| b'a' + rng.below(3) as u8).collect()
        })
        .collect();
    let probes: Vec<&Vec<u8>> = words.iter().step_by(97).collect();
    let text = Sections::of(&words, 4, Form::Chained, None);
    let codes = Sections::of(&words, 4, Form::Chained, Some(Coding::Always));
    let direct = Sections::of(&words, 4, Form::Direct, None);
    let direct_codes = Sections::of(&words, 4, Form::Direct, Some(Coding::Always));
    assert_eq!(codes.symbols.len(), TABLE_LEN);
    for round in 0..12_000 {
        let good = [&text, &codes, &direct, &direct_codes][round / 3000];
        let mut bad = Sections {
            index: good.index.clone(),
            tails: good.tails.clone(),
            blocks: good.blocks.clone(),
            symbols: good.symbols.clone(),
            entries: good.entries,
            form: good.form,
        };
        for _ in 0..=rng.below(8) {
            let section = match rng.below(5) {
                0 => &mut bad.tails,
                1 => &mut bad.blocks,
                2 if !bad.symbols.is_empty() => &mut bad.symbols,
                _ => &mut bad.index,
            };
            let at = rng.below(section.len());
            section[at] = [0, 0xff, 0x7f, rng.byte()][rng.below(4)];
        }
        if round % 3 == 0 {
            bad.entries = bad.entries.wrapping_add(rng.log_below(1 << 20) as u64);
        }
        let Ok(reader) = bad.read() else { continue };
        let is_sound = reader.verify().is_ok();
        let mut walk = FrontWalk::default();
        for probe in &probes {
            let found = reader.search(probe, |_| ());
            if let Ok(Ok(at) | Err(at)) = found
                && walk.go_to(&reader, Some(at)).is_ok_and(|landed| landed.is_some())
            {
                let _ = walk.next(&reader);
                let _ = walk.prev(&reader);
            }
            // A changed letter may make other keys, which are as good.
            assert!(!is_sound || found.is_ok());
        }
        let _ = reader.key_at(rng.below(bad.entries as usize) as u64, &mut vec![]);
    }
}

#[test]
fn numbers_of_keys_beyond_all_bounds_are_refused() {
    for form in [Form::Chained, Form::Direct] {
        let mut sections = Sections::of(&BTreeSet::from([b"key".to_vec()]), 4, form, None);
        for entries in [0, 2, 17, 1 << 20, 1 << 40, u64::MAX / 16, u64::MAX - 3, u64::MAX] {
            sections.entries = entries;
            let is_refused = sections.read().map_or(true, |keys| keys.verify().is_err());
            assert!(is_refused, "{entries}");
        }
    }
}

/// Keys and their ordinals.
type Decoded = (Range<u64>, Vec<Vec<u8>>);

/// What a walk that stands on a key decodes ahead of it.
fn ahead(
    reader: FrontKeys<'_>,
    at: u64,
    direction: Direction,
    most: usize,
) -> Option<Result<Decoded, Corruption>> {
    let (mut walk, mut strings) = (FrontWalk::default(), Strings::default());
    walk.go_to(&reader, Some(at)).expect("a sound block");
    let ordinals = walk.ahead(&reader, direction, most, &mut strings)?;
    Some(ordinals.map(|ordinals| (ordinals, strings.iter().map(<[u8]>::to_vec).collect())))
}

#[test]
fn keys_of_many_blocks_are_decoded_at_once_as_those_of_each() {
    let mut rng = Rng::new(8);
    let short = (0..600).map(|_| (0..rng.below(12)).map(|_| rng.below(4) as u8).collect());
    let short: BTreeSet<Vec<u8>> = short.collect();
    let long: BTreeSet<Vec<u8>> = (0..200u8)
        .map(|i| [vec![b'a'; usize::from(i) * 7 % 600], vec![i]].concat())
        .chain([vec![b'a'; 3000], vec![b'b'; MAX_KEY_LEN]])
        .collect();
    for (keys, shift) in
        [&short, &long].into_iter().flat_map(|keys| BLOCK_SHIFTS.map(move |s| (keys, s)))
    {
        for (form, coding) in [Form::Chained, Form::Direct]
            .into_iter()
            .flat_map(|form| [(form, None), (form, Some(Coding::Always))])
        {
            let sections = Sections::of(keys, shift, form, coding);
            let list: Vec<&Vec<u8>> = keys.iter().collect();
            let mut longest = 0;
            for (at, most) in
                (0..list.len()).flat_map(|at| [0, 40, 128, 10_000].map(|most| (at, most)))
            {
                for direction in [Direction::Forward, Direction::Backward] {
                    let Some(found) = ahead(sections.keys(), at as u64, direction, most) else {
                        let end = if direction == Direction::Forward { list.len() - 1 } else { 0 };
                        assert_eq!(at, end);
                        continue;
                    };
                    let (ordinals, found) = found.expect("our own bytes");
                    let range = ordinals.start as usize..ordinals.end as usize;
                    assert!(found.iter().eq(list[range.clone()].iter().copied()));
                    assert!(match direction {
                        Direction::Forward => range.start == at + 1,
                        Direction::Backward => range.end == at,
                    });
                    assert!(range.len() <= most.max(1 << shift));
                    longest = longest.max(range.len());
                }
            }
            // Of short keys as many as there is room for, of long ones one block.
            assert_eq!(longest > 128, keys.len() == short.len(), "{longest} at {shift}");
        }
    }
}

#[test]
fn what_stands_before_damage_is_decoded() {
    let keys: BTreeSet<Vec<u8>> = (0..400u32).map(|i| format!("{i:05}").into_bytes()).collect();
    for form in [Form::Chained, Form::Direct] {
        let mut sections = Sections::of(&keys, 4, form, None);
        let front = sections.keys().front().expect("sound");
        let (start, end) = front.tree.span(front.tree.reach(12)).expect("sound");
        let end = end.expect("not the last one") as usize;
        // All keys of the block become alike, but for the first.
        sections.blocks[start as usize + 3..end].fill(0);
        let reader = sections.keys();
        let damaged = 12 * 16..13 * 16;
        for most in [0, 128] {
            let forward = ahead(reader, 11 * 16 - 1, Direction::Forward, most);
            let (ordinals, found) = forward.expect("there are more").expect("not reached yet");
            assert_eq!((ordinals, found.len()), (11 * 16..12 * 16, 16));
            let backward = ahead(reader, 14 * 16, Direction::Backward, most);
            let (ordinals, found) = backward.expect("there are more").expect("not reached yet");
            assert_eq!((ordinals, found.len()), (13 * 16..14 * 16, 16));
            let before = ahead(reader, damaged.start - 1, Direction::Forward, most);
            assert!(before.expect("there are more").is_err());
            assert!(ahead(reader, damaged.end, Direction::Backward, most).expect("more").is_err());
        }
    }
}
