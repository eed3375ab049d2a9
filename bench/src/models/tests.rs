use super::columns::{Column, Elias, Packed, Raw};
use super::model::{Blocks, Hybrid, Hybridization, Model, Searched, Top, Whole, learn};
use super::pla::Pla;
use super::policy::{Fitted, Pgm, RadixSpline, SplineOverBlocks};
use super::sets;
use super::spline::{Radix, Spline};
use super::tree::{Eights, Tree};
use crate::random::Random;

/// Keys, those beside them, those in the middle between two, the ends, and any.
fn probes(keys: &[u64], random: &mut Random) -> Vec<u64> {
    let mut probes = vec![0, 1, u64::MAX - 1, u64::MAX];
    for key in keys {
        probes.extend([*key, key.saturating_sub(1), key.saturating_add(1)]);
    }
    probes.extend(keys.windows(2).map(|pair| pair[0].midpoint(pair[1])));
    probes.extend((0..1000).map(|_| random.word() >> random.below(64)));
    probes
}

fn check<H: Hybridization>(name: &str, keys: &[u64], probes: &[(u64, usize)]) {
    let model = learn::<H>(keys.iter().copied());
    let columns = (Raw::of(keys), Packed::of(keys), Elias::of(keys));
    for (probe, at) in probes {
        let window = model.window(*probe);
        assert!(
            window.from <= *at && *at <= window.end && window.end <= keys.len(),
            "{name}: {probe} is at {at}, not in {window:?}"
        );
        assert!(window.end - window.from <= model.widest(), "{name}: {window:?}");
        let answer = (*at, keys.get(*at) == Some(probe));
        assert_eq!(columns.0.lower_bound(*probe, window), answer, "{name}, raw: {probe}");
        assert_eq!(columns.1.lower_bound(*probe, window), answer, "{name}, packed: {probe}");
        assert_eq!(columns.2.lower_bound(*probe, window), answer, "{name}, Elias-Fano: {probe}");
    }
}

fn check_all(name: &str, keys: &[u64]) {
    let mut random = Random::new(keys.len() as u64);
    let probes: Vec<(u64, usize)> = probes(keys, &mut random)
        .into_iter()
        .map(|probe| (probe, keys.partition_point(|key| *key < probe)))
        .collect();
    macro_rules! check {
        ($($policy:ty),*) => {
            $(check::<$policy>(&format!("{name}, {}", stringify!($policy)), keys, &probes);)*
        };
    }
    check!(
        Whole,
        Radix,
        Hybrid<Eights, Blocks<16>>,
        Hybrid<Tree, Blocks<1>>,
        Hybrid<Tree, Blocks<16>>,
        Hybrid<Tree, Blocks<1024>>,
        Hybrid<Tree, Pla<0>>,
        Hybrid<Tree, Pla<16>>,
        Hybrid<Tree, Spline<16>>,
        Hybrid<Searched<Whole>, Pla<1>>,
        Hybrid<Searched<Radix>, Pla<16>>,
        Pgm<4>,
        Pgm<64>,
        RadixSpline<1>,
        RadixSpline<32>,
        SplineOverBlocks<16>,
        Fitted<16, 16>,
        Fitted<1024, 64>
    );
}

#[test]
fn every_window_has_the_answer_on_every_set() {
    for name in sets::NAMES {
        check_all(name, &sets::make(name, 2_500, 1).unwrap());
    }
}

#[test]
fn every_window_has_the_answer_among_few_keys_and_at_the_ends_of_the_range() {
    let fibonacci: Vec<u64> = {
        let pairs = std::iter::successors(Some((1_u64, 2_u64)), |(a, b)| {
            a.checked_add(*b).map(|sum| (*b, sum))
        });
        pairs.map(|(a, _)| a).collect()
    };
    let powers: Vec<u64> = (0..64).map(|i| 1 << i).collect();
    let from_the_end: Vec<u64> = powers.iter().rev().map(|power| u64::MAX - power + 1).collect();
    let dense = |start: u64, count: u64| (0..count).map(move |i| start + i);
    let both_ends: Vec<u64> = dense(0, 500).chain(dense(u64::MAX - 499, 500)).collect();
    let lone_far: Vec<u64> = dense(7, 3000).chain([u64::MAX]).collect();
    let few: [&[u64]; 9] = [
        &[0],
        &[u64::MAX],
        &[7],
        &[0, u64::MAX],
        &[0, 1],
        &[u64::MAX - 1, u64::MAX],
        &[0, 1 << 63, u64::MAX],
        &[1, 2, 3, 1 << 40, (1 << 40) + 1],
        &[0, 1, 2, 3, u64::MAX - 2, u64::MAX - 1, u64::MAX],
    ];
    for keys in few {
        check_all("few", keys);
    }
    check_all("Fibonacci numbers", &fibonacci);
    check_all("powers", &powers);
    check_all("powers below the end", &from_the_end);
    check_all("both ends", &both_ends);
    check_all("one far away", &lone_far);
    let mut random = Random::new(3);
    for round in 0..8 {
        let mut keys = vec![0, u64::MAX];
        let count = 1 + random.below(1200);
        keys.extend((0..count).map(|_| random.word() >> random.below(50) << random.below(14)));
        keys.sort_unstable();
        keys.dedup();
        check_all(&format!("round {round}"), &keys);
    }
}

#[test]
fn a_line_has_more_keys_than_one_part_keeps() {
    let keys: Vec<u64> = (0..200_000).map(|i| 5 + i * 3).collect();
    let probes: Vec<(u64, usize)> = (0..keys.len()).step_by(97).map(|i| (keys[i], i)).collect();
    check::<Pgm<16>>("line", &keys, &probes);
    check::<RadixSpline<16>>("line", &keys, &probes);
}

#[test]
fn windows_are_no_wider_than_what_was_asked() {
    for name in sets::NAMES {
        let keys = sets::make(name, 50_000, 1).unwrap();
        let widest = learn::<Hybrid<Tree, Pla<16>>>(keys.iter().copied()).widest();
        assert!(widest <= 2 * 16 + 3, "{name}: {widest}");
        let widest = learn::<RadixSpline<16>>(keys.iter().copied()).widest();
        assert!(widest <= 2 * 16 + 3, "{name}: {widest}");
    }
}

#[test]
fn a_line_stays_one_part_and_separators_of_even_keys_take_few_bytes() {
    let keys = sets::make("equal-gaps", 60_000, 1).unwrap();
    let lines = learn::<Hybrid<Searched<Whole>, Pla<16>>>(keys.iter().copied());
    assert_eq!(lines.firsts.len(), 1);
    let keys = sets::make("uniform", 50_000, 1).unwrap();
    let eights = learn::<Hybrid<Eights, Blocks<16>>>(keys.iter().copied());
    let tree = learn::<Hybrid<Tree, Blocks<16>>>(keys.iter().copied());
    assert!(tree.bytes() * 2 < eights.bytes(), "{} {}", tree.bytes(), eights.bytes());
}

#[test]
fn a_top_finds_the_part_that_begins_with_a_key() {
    fn check<T: Top>(keys: &[u64]) {
        let model = learn::<Hybrid<T, Pla<4>>>(keys.iter().copied());
        for (part, first) in model.firsts.iter().enumerate() {
            assert_eq!(model.top.part(&model.firsts, *first), part, "{first}");
        }
    }
    for name in ["uniform", "cells", "huge-gaps"] {
        let keys = sets::make(name, 5_000, 1).unwrap();
        check::<Tree>(&keys);
        check::<Eights>(&keys);
        check::<Searched<Whole>>(&keys);
        check::<Searched<Radix>>(&keys);
        check::<Searched<RadixSpline<4>>>(&keys);
    }
}
