//! Key sets: those of the other measurements, and some that are easy or hard for straight lines.

use crate::keys::{self, Files, Source};
use crate::random::Random;

/// The names of all sets.
pub(super) const NAMES: [&str; 11] = [
    "dense",
    "uniform",
    "lognormal",
    "cells",
    "timestamps",
    "gaps",
    "steps",
    "squares",
    "fibonacci",
    "equal-gaps",
    "huge-gaps",
];

/// Keys of a run in `steps` and `huge-gaps`.
const RUN: u64 = 1000;

/// About so many ascending keys.
pub(super) fn make(name: &str, count: usize, seed: u64) -> Result<Vec<u64>, String> {
    let numbers = 0..count as u64;
    let mut keys: Vec<u64> = match name {
        // Runs without a gap, each a million numbers behind the one before.
        "steps" => numbers.map(|i| i + i / RUN * 1_000_000).collect(),
        "squares" => numbers.map(|i| i * i).collect(),
        // The gaps are Fibonacci numbers: 1, 2, 3, 5, ..., and from the front again.
        "fibonacci" => {
            const GAPS: usize = 40;
            let mut gaps = [1_u64, 2].to_vec();
            while gaps.len() < GAPS {
                gaps.push(gaps[gaps.len() - 1] + gaps[gaps.len() - 2]);
            }
            numbers
                .scan(0, |key, i| {
                    *key += gaps[i as usize % GAPS];
                    Some(*key)
                })
                .collect()
        }
        "equal-gaps" => numbers.map(|i| 1_000_000_007 + i * 4_321).collect(),
        // As far apart as 64 bits allow.
        "huge-gaps" => {
            let jump = (u64::MAX - count as u64) / (count as u64 / RUN + 1);
            numbers.map(|i| i + i / RUN * jump).collect()
        }
        _ => {
            let set = keys::find(name).filter(|set| matches!(set.source, Source::Integers(_)));
            match set.map(|set| set.source) {
                Some(Source::Integers(make)) => {
                    make(count, &mut Random::new(seed), &Files::default())?
                }
                _ => return Err(format!("there is no set of numbers `{name}`")),
            }
        }
    };
    if !keys.is_sorted_by(|a, b| a < b) {
        keys.sort_unstable();
        keys.dedup();
    }
    Ok(keys)
}
