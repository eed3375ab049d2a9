//! Pieces and their tree on sets of numbers made for them, against a sorted list, and with forged
//! fields.

use super::*;
use crate::range::Direction;
use crate::testing::rng::Rng;
use bumpalo::Bump;
use std::collections::BTreeSet;

/// The two sections of a set of keys.
struct Sections {
    index: Vec<u8>,
    pieces: Vec<u8>,
    entries: u64,
}

impl Sections {
    fn of(numbers: &[u64], width: usize) -> Self {
        let bump = Bump::new();
        let mut stage = IntStage::new(&bump, width);
        for number in numbers {
            stage.push(&key(*number, width)).expect("memory for a test");
        }
        let finished = stage.finish().expect("memory for a test");
        let [index, pieces] = finished.lens().map(|len| vec![0; len]);
        let mut sections = Self { index, pieces, entries: numbers.len() as u64 };
        finished.write_index(&mut sections.index);
        finished.write_pieces(&mut sections.pieces);
        sections
    }

    fn keys(&self) -> IntKeys<'_> {
        self.read().expect("our own bytes")
    }

    /// The keys, if their head can be read.
    fn read(&self) -> Result<IntKeys<'_>, Corruption> {
        let (index, pieces) = (Bytes::heap(&self.index), Bytes::heap(&self.pieces));
        let head = IntHead::read(index, self.entries)?;
        Ok(IntKeys::new(head, index, pieces, self.entries))
    }

    fn bytes(&self) -> usize {
        self.index.len() + self.pieces.len()
    }
}

fn key(number: u64, width: usize) -> Vec<u8> {
    bytes_of(number)[MAX_WIDTH - width..].to_vec()
}

/// Whom a search need not tell anything.
struct Nobody;

impl Near for Nobody {
    fn tell(&mut self, _ordinal: u64) {}
}

/// Compares what is found ahead of some keys, and steps from them, with a sorted list of numbers.
fn expect_steps(reader: IntKeys<'_>, list: &[u64], width: usize) {
    let mut rng = Rng::new(list.len() as u64);
    for _ in 0..40 {
        let (mut walk, mut at) = (IntWalk::default(), rng.below(list.len()));
        let landed = walk.seek(reader, &key(list[at], width), &mut Nobody);
        assert_eq!(landed, Ok(Some(at as u64)));
        let mut numbers = Vec::new();
        for _ in 0..12 {
            let direction = [Direction::Forward, Direction::Backward][rng.below(2)];
            let is_up = direction == Direction::Forward;
            if rng.one_in(3) {
                let landed = if is_up { walk.next(reader) } else { walk.prev(reader) };
                let next = if is_up { at + 1 } else { at.wrapping_sub(1) };
                let next = Some(next).filter(|next| *next < list.len());
                assert_eq!(landed, Ok(next.map(|next| next as u64)));
                match next {
                    Some(next) => at = next,
                    None => break,
                }
            } else {
                let most = rng.log_below(600) as u64;
                let Some(ahead) = walk.ahead(reader, direction, most, &mut numbers) else {
                    assert_eq!(at, if is_up { list.len() - 1 } else { 0 });
                    continue;
                };
                let ahead = ahead.expect("our own bytes");
                let range = ahead.start as usize..ahead.end as usize;
                assert_eq!(if is_up { range.start } else { range.end }, at + usize::from(is_up));
                assert_eq!(numbers, list[range.clone()]);
                assert!((1..=most.max(1)).contains(&(numbers.len() as u64)));
                let last = if is_up { range.end - 1 } else { range.start };
                let stood = walk.stand_behind(direction, &ahead, &numbers);
                assert_eq!(stood, Some(last as u64));
                // Some of them were not wanted after all.
                let back = rng.below(range.len() + 1);
                at = if is_up { last - back } else { last + back };
                let other = if is_up { Direction::Backward } else { Direction::Forward };
                assert_eq!(walk.pass(reader, other, back), Ok(Some(at as u64)));
            }
            assert_eq!(walk.key(), key(list[at], width));
        }
    }
}

/// Compares searches and walks with those of a sorted list of numbers, on keys and beside them.
fn expect_all(numbers: &BTreeSet<u64>, width: usize) -> Sections {
    let list: Vec<u64> = numbers.iter().copied().collect();
    let sections = Sections::of(&list, width);
    let reader = sections.keys();
    reader.verify().expect("our own bytes");
    let most = number_of([0xff; 8]) >> (64 - 8 * width);
    let expect = |probe: u64| {
        let sought = key(probe, width);
        let place = list.binary_search(&probe);
        let found = reader.search(&sought, |_| ());
        assert_eq!(found, Ok(place.map(|at| at as u64).map_err(|at| at as u64)));
        let (Ok(at) | Err(at)) = place;
        let first = list.get(at).map(|number| (at as u64, *number));
        assert_eq!(reader.seek(&sought, &mut Nobody), Ok(first));
        if let Some(mut search) = reader.begin(&sought).expect("our own bytes") {
            search.narrow().expect("our own bytes");
            assert_eq!(reader.settle(&search), Ok(first));
        }
    };
    for (ordinal, number) in list.iter().enumerate() {
        let mut found = vec![];
        reader.key_at(ordinal as u64, &mut found).expect("our own bytes");
        assert_eq!(found, key(*number, width));
        let probes = [*number, number.wrapping_add(1), number.wrapping_sub(1), number ^ 0x80];
        let gap = list.get(ordinal + 1).map(|next| number + (next - number) / 2);
        probes.into_iter().chain(gap).for_each(|probe| expect(probe & most));
    }
    for bits in 0..8 * width {
        [1 << bits, (1 << bits) - 1, most >> bits, most - (most >> bits)]
            .into_iter()
            .for_each(expect);
    }
    expect_steps(reader, &list, width);
    let mut walk = IntWalk::default();
    let mut landed = walk.go_to(reader, Some(0), Direction::Forward).expect("our own bytes");
    for (ordinal, number) in list.iter().enumerate() {
        assert_eq!((landed, walk.key()), (Some(ordinal as u64), &key(*number, width)[..]));
        landed = walk.next(reader).expect("our own bytes");
    }
    assert_eq!(landed, None);
    let mut landed = walk
        .go_to(reader, Some(list.len() as u64 - 1), Direction::Backward)
        .expect("our own bytes");
    for (ordinal, number) in list.iter().enumerate().rev() {
        assert_eq!((landed, walk.key()), (Some(ordinal as u64), &key(*number, width)[..]));
        landed = walk.prev(reader).expect("our own bytes");
    }
    assert_eq!(landed, None);
    sections
}

#[test]
fn few_keys_at_the_ends_of_all_widths_are_kept() {
    for width in 1..=8 {
        let most = u64::MAX >> (64 - 8 * width);
        let ends = [0, 1, most / 2, most / 2 + 1, most - 1, most];
        for set in 1..1u32 << ends.len() {
            let chosen = ends.iter().enumerate().filter(|(i, _)| set >> i & 1 == 1);
            expect_all(&chosen.map(|(_, end)| *end).collect(), width);
        }
    }
}

#[test]
fn every_number_of_one_and_two_bytes_is_kept() {
    expect_all(&(0..=0xff).collect(), 1);
    expect_all(&(0..=0xffff).collect(), 2);
}

#[test]
fn random_sets_of_every_size_and_width_are_kept() {
    let mut rng = Rng::new(7);
    for round in 0..240 {
        let width = 1 + round % 8;
        let most = u64::MAX >> (64 - 8 * width);
        let bits = rng.within(1..=8 * width) as u32;
        let len = rng.log_below(9000) + 1;
        let origin = rng.next_u64() & most;
        let numbers = (0..len).map(|_| {
            let distance = rng.next_u64() >> (64 - bits);
            // Around an origin, round the end of the numbers if need be.
            origin.wrapping_add(distance) & most
        });
        expect_all(&numbers.collect(), width);
    }
}

#[test]
fn numbers_of_every_rhythm_are_kept() {
    let mut rng = Rng::new(8);
    let mut fibonacci = (1u64, 2u64);
    let sets: Vec<(&str, BTreeSet<u64>)> = vec![
        ("steps", (0..9000u64).map(|i| ((i / 100) << 40) + i % 100 * 3).collect()),
        ("squares", (0..9000u64).map(|i| i * i * 1_000_003).collect()),
        ("cubes", (0..9000u64).map(|i| i * i * i * 25_000_000).collect()),
        (
            "Fibonacci",
            (0..90)
                .map(|_| {
                    fibonacci = (fibonacci.1, fibonacci.0 + fibonacci.1);
                    fibonacci.0
                })
                .collect(),
        ),
        ("powers of two", (0..64).flat_map(|i| [1 << i, (1 << i) - 1]).collect()),
        ("equal gaps", (0..9000u64).map(|i| 77 + i * 1000).collect()),
        ("the greatest equal gaps", (0..9000).map(|i| i * (u64::MAX / 8999)).collect()),
        ("huge gaps", (0..9000u64).map(|i| (i << 50) + i * i % 1000).collect()),
        ("jitter", (0..9000u64).map(|i| i * 1_000_000 + rng.below(999) as u64).collect()),
        ("bursts", (0..9000u64).map(|i| (i / 500).pow(5) * 1_000_000_000 + i % 500 * 7).collect()),
        (
            "clusters",
            (0..9000)
                .map(|_| (rng.below(40) as u64) << 57 | rng.log_below(1 << 40) as u64)
                .collect(),
        ),
        ("dense with holes", (0..20_000).filter(|i| i % 7 != 3 && i % 11 != 5).collect()),
        ("the end of the numbers", (0..9000).map(|i| u64::MAX - i * 3).collect()),
        ("one far away", (0..9000).chain([u64::MAX]).collect()),
        ("all but one far away", (0..9000).map(|i| u64::MAX - i).chain([0]).collect()),
    ];
    for (name, numbers) in sets {
        let sections = expect_all(&numbers, 8);
        let bytes = sections.bytes() as f64 / numbers.len() as f64;
        println!("{name}: {bytes:.2} bytes a key");
    }
}

#[test]
fn sets_of_more_keys_than_decide_on_pieces_are_kept() {
    let mut rng = Rng::new(11);
    for spread in [8, 40] {
        let numbers = (0..70_000).map(|i| (i << spread) + rng.below(200) as u64);
        expect_all(&numbers.collect(), 8);
    }
}

#[test]
fn pieces_are_small_where_keys_come_in_clusters() {
    let mut rng = Rng::new(12);
    let uniform: BTreeSet<u64> = (0..9000).map(|_| rng.next_u64()).collect();
    let clusters = (0..9000).map(|i| (i / 300) * (1 << 58) + i * 1000 + rng.below(999) as u64);
    let shifts = [uniform, clusters.collect()].map(|numbers| {
        let sections = expect_all(&numbers, 8);
        u32::from(sections.index[SHIFT_AT])
    });
    assert_eq!(shifts, [10, 7]);
}

#[test]
fn a_few_keys_far_apart_are_found_and_nothing_behind_them() {
    for gap in 50..63 {
        for keys in 1..=1u64 << (63 - gap).min(6) {
            expect_all(&(0..keys).map(|i| i << gap).collect(), 8);
        }
    }
}

#[test]
fn a_search_tells_of_keys_near_the_one_it_finds() {
    let mut rng = Rng::new(13);
    let uniform = (0..9000).map(|_| rng.next_u64()).collect::<BTreeSet<_>>();
    let steps = (0..9000).map(|i| i * 1000).collect::<BTreeSet<_>>();
    for numbers in [uniform, steps] {
        let list: Vec<u64> = numbers.into_iter().collect();
        let sections = Sections::of(&list, 8);
        for (ordinal, number) in (0..).zip(&list) {
            let mut told = None;
            let found = sections.keys().search(&key(*number, 8), |near| told = Some(near));
            assert_eq!(found, Ok(Ok(ordinal)));
            let told = told.expect("a key that is there");
            assert!(told <= ordinal && ordinal - told < 16, "{told} {ordinal}");
        }
    }
}

#[test]
fn progressions_cost_next_to_nothing_and_random_keys_what_they_must() {
    let bytes = |numbers: &[u64]| Sections::of(numbers, 8).bytes() as f64 / numbers.len() as f64;
    let progression: Vec<u64> = (0..65_536).map(|i| 1_600_000_000_000 + i * 1000).collect();
    assert!(bytes(&progression) < 0.1);
    let mut rng = Rng::new(9);
    // As close as those of ten millions.
    let mut random: Vec<u64> = (0..65_536).map(|_| rng.next_u64() >> 7).collect();
    random.sort_unstable();
    let bytes = bytes(&random);
    assert!((5.2..5.5).contains(&bytes), "{bytes}");
}

#[test]
fn keys_of_other_lengths_stand_where_they_sort() {
    let list: Vec<u64> = (0..2000).map(|i| i * 0x0001_0001).collect();
    let sections = Sections::of(&list, 4);
    let reader = sections.keys();
    let keys: Vec<Vec<u8>> = list.iter().map(|number| key(*number, 4)).collect();
    for whole in keys.iter().step_by(31).chain([&vec![0xff; 4], &vec![0; 4]]) {
        for len in 0..=9 {
            for fill in [0, 1, 0xff] {
                let mut probe = whole.clone();
                probe.resize(len, fill);
                let at = keys.partition_point(|key| *key < probe) as u64;
                let is_there = keys.get(at as usize) == Some(&probe);
                let expected = if is_there { Ok(at) } else { Err(at) };
                assert_eq!(reader.search(&probe, |_| ()), Ok(expected), "{probe:?}");
            }
        }
    }
    let end = Sections::of(&[3, u64::MAX], 8);
    assert_eq!(end.keys().search(&[0xff; 8], |_| ()), Ok(Ok(1)));
    assert_eq!(end.keys().search(&[0xff; 9], |_| ()), Ok(Err(2)));
}

#[test]
fn floats_keep_the_order_of_their_bits() {
    use crate::key::{KeyBuf, KeyForm, KeyPosition};
    let mut floats = vec![
        -f64::NAN,
        f64::NEG_INFINITY,
        f64::MIN,
        -1.0,
        -f64::MIN_POSITIVE,
        -0.0,
        0.0,
        f64::MIN_POSITIVE,
        1.0,
        f64::MAX,
        f64::INFINITY,
        f64::NAN,
    ];
    let mut rng = Rng::new(10);
    floats.extend((0..3000).map(|_| f64::from_bits(rng.next_u64())));
    floats.sort_unstable_by(f64::total_cmp);
    floats.dedup_by(|a, b| a.to_bits() == b.to_bits());
    let keys: Vec<Vec<u8>> = floats
        .iter()
        .map(|float| {
            let mut key = KeyBuf::new();
            float.encode(KeyPosition::Last, &mut key);
            key.as_slice().to_vec()
        })
        .collect();
    let numbers: Vec<u64> =
        keys.iter().map(|key| number_of(key.as_slice().try_into().expect("8 bytes"))).collect();
    assert!(numbers.is_sorted_by(|a, b| a < b));
    let sections = expect_all(&numbers.into_iter().collect(), 8);
    for (ordinal, key) in keys.iter().enumerate() {
        assert_eq!(sections.keys().search(key, |_| ()), Ok(Ok(ordinal as u64)));
    }
}

#[test]
fn forged_fields_give_answers_or_errors() {
    let mut rng = Rng::new(5);
    let mut numbers: Vec<u64> = (0..1500).map(|_| rng.next_u64() >> 30).collect();
    numbers.extend((0..2500).map(|i| (1 << 40) + i * 1000 + rng.below(100) as u64));
    numbers.sort_unstable();
    numbers.dedup();
    let probes: Vec<Vec<u8>> = numbers.iter().step_by(97).map(|number| key(*number, 8)).collect();
    let good = Sections::of(&numbers, 8);
    for round in 0..6000 {
        let mut bad = Sections {
            index: good.index.clone(),
            pieces: good.pieces.clone(),
            entries: good.entries,
        };
        for _ in 0..=rng.below(8) {
            let section = if rng.one_in(3) { &mut bad.pieces } else { &mut bad.index };
            let at = rng.below(section.len());
            section[at] = [0, 0xff, 0x7f, rng.byte()][rng.below(4)];
        }
        if round % 3 == 0 {
            bad.entries = bad.entries.wrapping_add(rng.log_below(1 << 12) as u64);
        }
        let Ok(reader) = bad.read() else { continue };
        let is_sound = reader.verify().is_ok();
        let mut walk = IntWalk::default();
        for probe in &probes {
            let found = reader.search(probe, |_| ());
            if let Ok(Ok(at) | Err(at)) = found
                && walk
                    .go_to(reader, Some(at), Direction::Forward)
                    .is_ok_and(|landed| landed.is_some())
            {
                let _ = walk.next(reader);
                let _ = walk.prev(reader);
            }
            if let Ok(Some(_)) = walk.seek(reader, probe, &mut Nobody) {
                let direction = [Direction::Forward, Direction::Backward][rng.below(2)];
                let mut numbers = Vec::new();
                if let Some(Ok(ahead)) = walk.ahead(reader, direction, 100, &mut numbers) {
                    assert!(numbers.is_sorted_by(|a, b| a < b));
                    let _ = walk.stand_behind(direction, &ahead, &numbers);
                    let _ = walk.next(reader);
                }
            }
            // A changed bit may make other keys, which are as good.
            assert!(!is_sound || found.is_ok());
        }
        let _ = reader.key_at(rng.below(bad.entries as usize) as u64, &mut vec![]);
    }
}

#[test]
fn every_changed_byte_is_found() {
    let mut rng = Rng::new(6);
    let mut numbers: Vec<u64> = (0..1100).map(|_| rng.next_u64() >> 44).collect();
    numbers.extend((0..1100).map(|i| (1 << 40) + i * 1000 + rng.below(10) as u64));
    numbers.sort_unstable();
    numbers.dedup();
    let good = Sections::of(&numbers, 8);
    for at in 0..good.bytes() {
        let mut bad = Sections { index: good.index.clone(), pieces: good.pieces.clone(), ..good };
        match at.checked_sub(bad.index.len()) {
            None => bad.index[at] ^= 1 << (at % 8),
            Some(at) => bad.pieces[at] ^= 1 << (at % 8),
        }
        let Ok(reader) = bad.read() else { continue };
        let is_other = reader.verify().is_err()
            // A changed key that is a key as well: then it is no longer the same set.
            || (0..bad.entries).any(|ordinal| {
                let mut found = vec![];
                reader.key_at(ordinal, &mut found).expect("verified");
                found != key(numbers[ordinal as usize], 8)
            });
        assert!(is_other, "byte {at}");
    }
}

#[test]
fn numbers_of_keys_beyond_all_bounds_are_refused() {
    let mut sections = Sections::of(&[1, 2, 3], 8);
    for entries in [0, 2, 4, 65, 1 << 20, 1 << 40, u64::MAX / 16, u64::MAX - 3, u64::MAX] {
        sections.entries = entries;
        let is_refused = sections.read().map_or(true, |keys| keys.verify().is_err());
        assert!(is_refused, "{entries}");
    }
}
