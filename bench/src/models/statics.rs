//! Maps that are made once, from entries in order, with a value of 64 bits each.

use super::columns::{Column, Raw};
use super::measure::{Clock, Probes, Row};
use super::model::{Blocks, Hybrid, Hybridization, Model, ModelOf, learn};
use super::policy::{Fitted, Pgm, RadixSpline};
use super::tree::{Eights, Tree};
use crate::memory::{count, live_bytes};
use memkv::MemKV;
use std::collections::BTreeMap;
use std::hint::black_box;

trait Static: Sized {
    /// Of ascending entries.
    fn of(entries: impl Iterator<Item = (u64, u64)> + Clone) -> Result<Self, String>;

    fn get(&self, key: u64) -> Option<u64>;
}

fn value_of(position: usize) -> u64 {
    crate::random::mix(position as u64 ^ 0x5ca1e)
}

pub(super) const COUNTED: &str = concat!(module_path!(), "::counted_pass_of_map");

#[inline(never)]
fn counted_pass_of_map<S: Static>(map: &S, probes: &[u64]) -> u64 {
    let (mut sum, mut last) = (0_u64, 0);
    for probe in probes {
        // Hardly ever changes the probe, but nobody knows that before the answer is there.
        last = map.get(probe ^ u64::from(last == u64::MAX)).unwrap_or(1);
        sum = sum.wrapping_add(last);
    }
    sum
}

/// Wrong answers among those to every key, and to the numbers beside keys.
fn wrong<S: Static>(map: &S, keys: &[u64], step: usize) -> usize {
    let mut wrong = 0;
    for (at, key) in keys.iter().enumerate().step_by(step) {
        wrong += usize::from(map.get(*key) != Some(value_of(at)));
        let beside = [key.checked_sub(1), key.checked_add(1)];
        let neighbours = [at.checked_sub(1), Some(at + 1)].map(|at| keys.get(at?));
        for (beside, neighbour) in beside.into_iter().zip(neighbours) {
            if let Some(beside) = beside
                && Some(&beside) != neighbour
            {
                wrong += usize::from(map.get(beside).is_some());
            }
        }
    }
    wrong
}

fn measure<S: Static>(
    name: &'static str,
    keys: &[u64],
    probes: &Probes,
    emit: &mut dyn FnMut(Row),
) {
    let entries = keys.iter().enumerate().map(|(at, key)| (*key, value_of(at)));
    count(true);
    let before = live_bytes();
    let clock = Clock::start();
    let map = S::of(entries);
    let build_ns = clock.ns() / keys.len() as f64;
    let bytes = (live_bytes() - before) as f64 / keys.len() as f64;
    count(false);
    let map = match map {
        Ok(map) => map,
        Err(error) => {
            eprintln!("{name}: {error}");
            return;
        }
    };
    // A million answers are enough.
    let wrong = wrong(&map, keys, keys.len().div_ceil(1 << 20));
    black_box(probes.warm.iter().filter(|probe| map.get(**probe).is_some()).count());
    let get_ns = probes.ask(|probes| counted_pass_of_map(&map, probes));
    let note = if wrong > 0 { format!("{wrong} wrong answers") } else { String::new() };
    emit(Row { place: "map", name, bytes, column_bytes: 0.0, widest: 0, build_ns, get_ns, note });
}

impl Static for BTreeMap<u64, u64> {
    fn of(entries: impl Iterator<Item = (u64, u64)>) -> Result<Self, String> {
        Ok(entries.collect())
    }

    fn get(&self, key: u64) -> Option<u64> {
        self.get(&key).copied()
    }
}

impl Static for MemKV<u64, u64> {
    fn of(entries: impl Iterator<Item = (u64, u64)>) -> Result<Self, String> {
        Self::from_sorted(entries).map_err(|error| error.to_string())
    }

    fn get(&self, key: u64) -> Option<u64> {
        self.get(key)
    }
}

struct SortedVec(Vec<(u64, u64)>);

impl Static for SortedVec {
    fn of(entries: impl Iterator<Item = (u64, u64)>) -> Result<Self, String> {
        Ok(Self(entries.collect()))
    }

    fn get(&self, key: u64) -> Option<u64> {
        let at = self.0.binary_search_by_key(&key, |entry| entry.0).ok()?;
        Some(self.0[at].1)
    }
}

/// A model over plain keys, and the values.
struct Modelled<H: Hybridization> {
    model: ModelOf<H>,
    keys: Raw,
    values: Vec<u64>,
}

impl<H: Hybridization> Static for Modelled<H> {
    fn of(entries: impl Iterator<Item = (u64, u64)> + Clone) -> Result<Self, String> {
        let keys: Vec<u64> = entries.clone().map(|entry| entry.0).collect();
        let values = entries.clone().map(|entry| entry.1).collect();
        let model = learn::<H>(entries.map(|entry| entry.0));
        Ok(Self { model, keys: Raw::from(keys), values })
    }

    fn get(&self, key: u64) -> Option<u64> {
        let (at, is_there) = self.keys.lower_bound(key, self.model.window(key));
        if is_there { self.values.get(at).copied() } else { None }
    }
}

#[cfg(feature = "static-peers")]
mod peers {
    use super::Static;

    impl Static for hashbrown::HashMap<u64, u64> {
        fn of(entries: impl Iterator<Item = (u64, u64)>) -> Result<Self, String> {
            Ok(entries.collect())
        }

        fn get(&self, key: u64) -> Option<u64> {
            self.get(&key).copied()
        }
    }

    impl Static for pgm_extra::Map<u64, u64> {
        fn of(entries: impl Iterator<Item = (u64, u64)>) -> Result<Self, String> {
            Self::build(entries, 16, 4).map_err(|error| error.to_string())
        }

        fn get(&self, key: u64) -> Option<u64> {
            self.get(&key).copied()
        }
    }

    pub(super) struct PgmIndex {
        keys: pgm_index::PGMIndex<u64>,
        values: Vec<u64>,
    }

    impl Static for PgmIndex {
        fn of(entries: impl Iterator<Item = (u64, u64)> + Clone) -> Result<Self, String> {
            let keys = entries.clone().map(|entry| entry.0).collect();
            let values = entries.map(|entry| entry.1).collect();
            Ok(Self { keys: pgm_index::PGMIndex::new(keys, 16), values })
        }

        fn get(&self, key: u64) -> Option<u64> {
            self.keys.get(key).and_then(|at| self.values.get(at).copied())
        }
    }
}

pub(super) fn all(keys: &[u64], probes: &Probes, emit: &mut dyn FnMut(Row)) {
    measure::<BTreeMap<u64, u64>>("BTreeMap", keys, probes, emit);
    #[cfg(feature = "static-peers")]
    {
        measure::<hashbrown::HashMap<u64, u64>>("hashbrown", keys, probes, emit);
        measure::<pgm_extra::Map<u64, u64>>("pgm-extra", keys, probes, emit);
        measure::<peers::PgmIndex>("pgm_index", keys, probes, emit);
    }
    measure::<SortedVec>("sorted Vec", keys, probes, emit);
    measure::<Modelled<RadixSpline<16>>>("RadixSpline", keys, probes, emit);
    measure::<Modelled<Pgm<16>>>("PGM", keys, probes, emit);
    measure::<Modelled<Hybrid<Eights, Blocks<16>>>>("tree of 8", keys, probes, emit);
    measure::<Modelled<Hybrid<Tree, Blocks<16>>>>("tree", keys, probes, emit);
    measure::<Modelled<Fitted<16, 16>>>("fitted", keys, probes, emit);
    measure::<MemKV<u64, u64>>("MemKV", keys, probes, emit);
}
