//! Heads and tails of random patterns, against a sorted list, and with forged fields.

use super::pattern::{LENS, MAX_HEAD};
use super::*;
use crate::range::Direction;
use crate::testing::rng::Rng;
use bumpalo::Bump;
use std::collections::BTreeMap;

/// The three sections of a set of keys.
#[derive(Clone)]
struct Sections {
    index: Vec<u8>,
    pieces: Vec<u8>,
    tails: Vec<u8>,
    entries: u64,
}

impl Sections {
    /// Heads and tails of ascending keys, if they are taken.
    fn of(keys: &[Vec<u8>], always: bool) -> Option<Self> {
        let bump = Bump::new();
        let mut stage = WideStage::new(&bump, keys[0].len());
        for key in keys {
            stage.extend(key).expect("memory for a test");
        }
        if stage.is_text(always).expect("memory for a test") {
            return None;
        }
        let heads = stage.heads_and_tails(&bump, always).expect("memory for a test")?;
        let finished = FinishedWide::new(stage, heads);
        let [index, pieces] = finished.heads().lens().map(|len| vec![0; len]);
        let tails = vec![0; finished.tails_len()];
        let mut sections = Self { index, pieces, tails, entries: keys.len() as u64 };
        finished.heads().write_index(&mut sections.index);
        finished.heads().write_pieces(&mut sections.pieces);
        finished.write_tails(&mut sections.tails);
        Some(sections)
    }

    /// The keys, if their head can be read.
    fn read(&self) -> Result<WideKeys<'_>, Corruption> {
        let [index, pieces, tails] =
            [&self.index, &self.pieces, &self.tails].map(|bytes| Bytes::heap(bytes));
        let head = WideHead::read(index, tails, self.entries)?;
        let section = |section| match section {
            Section::PieceIndex => index,
            Section::Pieces => pieces,
            _ => tails,
        };
        Ok(WideKeys::new(head, section, self.entries))
    }

    fn parts(&mut self) -> [&mut Vec<u8>; 3] {
        [&mut self.index, &mut self.pieces, &mut self.tails]
    }
}

/// Keys of `len` bytes of which the bytes of `mask` differ, no two with the same first eight of these.
fn keys_of(len: usize, mask: u64, count: usize, rng: &mut Rng) -> Vec<Vec<u8>> {
    let shared = rng.bytes(len);
    let keys = (0..count).map(|_| {
        let mut key = shared.clone();
        let differing = key.iter_mut().enumerate().filter(|(i, _)| mask >> i & 1 == 1);
        // Some bytes at both ends, and few of them for a start: so neighbours are close.
        let pick = |byte: &mut u8| *byte = [0, 0xff, rng.byte(), rng.byte() & 3][rng.below(4)];
        differing.map(|(_, byte)| byte).for_each(pick);
        let differing = (0..len).filter(|i| mask >> i & 1 == 1).take(MAX_HEAD);
        (differing.map(|i| key[i]).collect::<Vec<u8>>(), key)
    });
    keys.collect::<BTreeMap<_, _>>().into_values().collect()
}

/// Whom a search need not tell anything.
struct Nobody;

impl Near for Nobody {
    fn tell(&mut self, _ordinal: u64) {}
}

/// Probes at and beside a key: other bytes at each place, shorter and longer ones.
fn probes_of(key: &[u8], rng: &mut Rng) -> Vec<Vec<u8>> {
    let mut probes = vec![key.to_vec(), key[..rng.below(key.len())].to_vec()];
    probes.extend([[key, &[0]].concat(), [key, &[0xff]].concat(), [key, key].concat()]);
    for _ in 0..6 {
        let mut probe = key.to_vec();
        let at = rng.below(key.len());
        probe[at] = probe[at].wrapping_add([1, 0xff, rng.byte()][rng.below(3)]);
        if rng.one_in(4) {
            probe.truncate(rng.within(at..=key.len()));
        }
        probes.push(probe);
    }
    probes
}

fn expect_walk(reader: WideKeys<'_>, keys: &[Vec<u8>], rng: &mut Rng) {
    let mut walk = WideWalk::default();
    let mut landed = walk.go_to(reader, Some(0), Direction::Forward);
    for (ordinal, key) in keys.iter().enumerate() {
        assert_eq!((landed, walk.key()), (Ok(Some(ordinal as u64)), key.as_slice()));
        landed = walk.go(reader, Direction::Forward);
    }
    assert_eq!(landed, Ok(None));
    landed = walk.go_to(reader, Some(keys.len() as u64 - 1), Direction::Backward);
    for (ordinal, key) in keys.iter().enumerate().rev() {
        assert_eq!((landed, walk.key()), (Ok(Some(ordinal as u64)), key.as_slice()));
        landed = walk.go(reader, Direction::Backward);
    }
    assert_eq!(landed, Ok(None));
    let mut at = 0;
    for _ in 0..60 {
        let way = [Direction::Forward, Direction::Backward][rng.below(2)];
        if rng.one_in(4) {
            at = rng.below(keys.len());
            let landed = if rng.one_in(2) {
                walk.seek(reader, &keys[at], &mut Nobody)
            } else {
                walk.go_to(reader, Some(at as u64), way)
            };
            assert_eq!(landed, Ok(Some(at as u64)));
        } else if rng.one_in(2) {
            let (most, mut out) = (rng.log_below(300) as u64, vec![1; 3]);
            let Some(ahead) = walk.ahead(reader, way, most, &mut out) else {
                assert_eq!(at, if way == Direction::Forward { keys.len() - 1 } else { 0 });
                continue;
            };
            let ahead = ahead.expect("our own bytes");
            let range = ahead.start as usize..ahead.end as usize;
            assert!(!range.is_empty() && range.len() as u64 <= most.max(1));
            assert_eq!(out, keys[range.clone()].concat());
            let (last, beside) = match way {
                Direction::Forward => (range.end - 1, range.start - 1),
                Direction::Backward => (range.start, range.end),
            };
            assert_eq!(beside, at);
            assert_eq!(walk.stand_behind(way, &ahead, &out), Some(last as u64));
            // Some of them were not wanted after all.
            let back = rng.below(range.len() + 1);
            let (other, place) = match way {
                Direction::Forward => (Direction::Backward, last - back),
                Direction::Backward => (Direction::Forward, last + back),
            };
            at = place;
            assert_eq!(walk.pass(reader, other, back), Ok(Some(at as u64)));
        } else {
            let is_up = way == Direction::Forward;
            let next = if is_up { at + 1 } else { at.wrapping_sub(1) };
            let next = Some(next).filter(|next| *next < keys.len());
            let landed = walk.go(reader, way);
            assert_eq!(landed, Ok(next.map(|next| next as u64)));
            at = next.unwrap_or(at);
        }
        assert_eq!(walk.key(), keys[at]);
    }
}

#[test]
fn keys_of_every_pattern_are_kept() {
    let mut rng = Rng::new(16);
    for round in 0..400 {
        let len = rng.within(LENS);
        let mask = match round % 4 {
            // Side by side up to the end, as of hashes; any; few; one.
            0 => u64::MAX << rng.below(len),
            1 => rng.next_u64(),
            2 => rng.next_u64() & rng.next_u64() & rng.next_u64(),
            _ => 1 << rng.below(len),
        };
        let count = 1 + rng.log_below(2500);
        let keys = keys_of(len, mask, count, &mut rng);
        let sections = Sections::of(&keys, true).expect("no two have one head");
        let reader = sections.read().expect("our own bytes");
        reader.verify().expect("our own bytes");
        for (ordinal, key) in keys.iter().enumerate() {
            let mut found = vec![];
            reader.key_at(ordinal as u64, &mut found).expect("our own bytes");
            assert_eq!(&found, key);
            if !ordinal.is_multiple_of(1 + keys.len() / 200) {
                continue;
            }
            for probe in probes_of(key, &mut rng) {
                let place = keys.binary_search(&probe);
                let place = place.map(|at| at as u64).map_err(|at| at as u64);
                assert_eq!(reader.search(&probe, |_| ()), Ok(place), "{probe:?}");
                let (Ok(at) | Err(at)) = place;
                let mut walk = WideWalk::default();
                let landed = walk.seek(reader, &probe, &mut Nobody).expect("our own bytes");
                assert_eq!(landed, (at < reader.len()).then_some(at));
                assert!(landed.is_none_or(|at| walk.key() == keys[at as usize]));
                let mut search = reader.begin(&probe).expect("our own bytes");
                let stepped = (0..3).find_map(|_| search.step(|_| ()).expect("our own bytes"));
                assert_eq!(stepped.map(Result::ok), Some(place.ok()));
            }
        }
        expect_walk(reader, &keys, &mut rng);
    }
}

#[test]
fn keys_of_one_head_stay_as_they_are() {
    let key = |i: u8| [&[i / 2, 1, 2, 3, 4, 5, 6, i / 2][..], &[7, i]].concat();
    let mut keys: Vec<Vec<u8>> = (0..200).map(key).collect();
    // Two bytes differ, and one more: that is a head.
    assert!(Sections::of(&keys, true).is_some());
    let mut rng = Rng::new(3);
    for key in &mut keys {
        key.splice(1..7, rng.bytes(6));
    }
    let shared: Vec<Vec<u8>> = keys.iter().step_by(2).cloned().collect();
    assert!(Sections::of(&shared, true).is_some());
    // The tenth byte tells two of them apart, which have the same nine before it.
    let [mut other, last] = [shared[50].clone(), shared[50].clone()];
    other[9] = other[9].wrapping_sub(1).min(last[9]);
    let mut tied = [&shared[..50], &[other, last], &shared[51..]].concat();
    tied.sort();
    tied.dedup();
    assert!(tied.len() > shared.len() && Sections::of(&tied, true).is_none());
}

#[test]
fn keys_that_are_smaller_as_text_stay_text() {
    let mut rng = Rng::new(4);
    let digits = |rng: &mut Rng| format!("{:016x}{:08}", rng.next_u64(), 7).into_bytes();
    let mut text: Vec<Vec<u8>> = (0..3000).map(|_| digits(&mut rng)).collect();
    let mut bytes: Vec<Vec<u8>> = (0..3000).map(|_| rng.bytes(24)).collect();
    text.sort();
    bytes.sort();
    assert!(Sections::of(&text, false).is_none() && Sections::of(&text, true).is_some());
    assert!(Sections::of(&bytes, false).is_some());
}

#[test]
fn forged_fields_give_answers_or_errors() {
    let mut rng = Rng::new(5);
    for (len, mask) in [(16, u64::MAX << 2), (20, 0b1010_1111_0000_1101_0011), (9, 0b1_1000_0000)] {
        let keys = keys_of(len, mask, 1500, &mut rng);
        let good = Sections::of(&keys, true).expect("no two have one head");
        for round in 0..2500 {
            let mut bad = good.clone();
            for _ in 0..=rng.below(6) {
                let section = bad.parts().into_iter().nth(rng.below(3)).expect("one of three");
                let end = if rng.one_in(2) { 64 } else { section.len() };
                let at = rng.below(end.min(section.len()));
                section[at] = [0, 0xff, 0x7f, rng.byte()][rng.below(4)];
            }
            if round % 3 == 0 {
                bad.entries = bad.entries.wrapping_add(rng.log_below(1 << 12) as u64);
            }
            let Ok(reader) = bad.read() else { continue };
            let is_sound = reader.verify().is_ok();
            let mut walk = WideWalk::default();
            for probe in keys.iter().step_by(97) {
                let found = reader.search(probe, |_| ());
                if let Ok(mut search) = reader.begin(probe) {
                    while let Ok(None) = search.step(|_| ()) {}
                }
                if let Ok(Ok(at) | Err(at)) = found
                    && walk
                        .go_to(reader, Some(at), Direction::Forward)
                        .is_ok_and(|landed| landed.is_some())
                {
                    let _ = walk.go(reader, Direction::Forward);
                    let before = walk.key().to_vec();
                    if let Ok(Some(_)) = walk.go(reader, Direction::Forward) {
                        assert!(before.as_slice() < walk.key());
                    }
                    let _ = walk.go(reader, Direction::Backward);
                }
                let mut out = Vec::new();
                if let Ok(Some(_)) = walk.seek(reader, probe, &mut Nobody)
                    && let Some(Ok(ahead)) = walk.ahead(reader, Direction::Forward, 100, &mut out)
                {
                    assert!(out.chunks(reader.key_len()).is_sorted_by(|a, b| a < b));
                    let _ = walk.stand_behind(Direction::Forward, &ahead, &out);
                }
                let mut piece = WidePiece::default();
                if piece.load(reader, rng.below(bad.entries as usize) as u64).is_ok() {
                    let all: Vec<&[u8]> = piece.ordinals().map(|i| piece.key(i)).collect();
                    assert!(all.is_sorted_by(|a, b| a < b));
                }
                assert!(!is_sound || found.is_ok());
            }
            let _ = reader.key_at(rng.below(bad.entries as usize) as u64, &mut vec![]);
        }
    }
}

#[test]
fn every_changed_byte_is_found() {
    let mut rng = Rng::new(6);
    for mask in [u64::MAX << 3, 0b1111_0110_1111_0101] {
        let keys = keys_of(16, mask, 700, &mut rng);
        let good = Sections::of(&keys, true).expect("no two have one head");
        for part in 0..3 {
            for at in 0..good.clone().parts()[part].len() {
                let mut bad = good.clone();
                bad.parts()[part][at] ^= 1 << (at % 8);
                let Ok(reader) = bad.read() else { continue };
                let is_other = reader.verify().is_err()
                    // Other keys, which are as good.
                    || keys.iter().enumerate().any(|(ordinal, key)| {
                        let mut found = vec![];
                        reader.key_at(ordinal as u64, &mut found).expect("verified");
                        &found != key
                    });
                assert!(is_other, "byte {at} of part {part}");
            }
        }
    }
}
