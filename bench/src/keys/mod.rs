//! Key sets: made by a fixed seed or read from files, and kept in a cache outside the repository.

mod cache;
mod integers;
mod texts;

pub(crate) use cache::{Loaded, folder as cache_folder, load, prepare};

use crate::kind::{KeyList, Kind};
use crate::peer::Entries;
use crate::random::{Random, Zipf};
use std::path::PathBuf;

/// A key set that can be asked for by name.
pub(crate) struct Set {
    pub(crate) name: &'static str,
    pub(crate) title: &'static str,
    pub(crate) source: Source,
    /// Values are below this; 0 for any 64-bit number.
    pub(crate) value_bound: u64,
}

#[derive(Clone, Copy)]
pub(crate) enum Source {
    Texts(fn(usize, &mut Random, &Files) -> Result<crate::kind::ByteList, String>),
    Integers(fn(usize, &mut Random, &Files) -> Result<Vec<u64>, String>),
}

/// Files that the user named.
#[derive(Clone, Debug, Default)]
pub(crate) struct Files {
    /// One word a line.
    pub(crate) words: Option<PathBuf>,
    /// The folder whose paths are the keys.
    pub(crate) walk: Option<PathBuf>,
    /// Binary: a count, then so many little-endian 64-bit keys.
    pub(crate) sosd: Option<PathBuf>,
}

/// Timestamps carry small values, as counters and measurements do.
const SMALL_VALUES: u64 = 1_000;

macro_rules! set {
    ($name:literal, $title:literal, $kind:ident, $make:path) => {
        Set { name: $name, title: $title, source: Source::$kind($make), value_bound: 0 }
    };
}

pub(crate) const SETS: &[Set] = &[
    set!("words", "English words; where the list ends, pairs of them", Texts, texts::words),
    set!("paths", "paths of files", Texts, texts::paths),
    set!("urls", "URLs: hosts by Zipf's law, paths by a small grammar", Texts, texts::urls),
    set!("composite", "`user:0000:post:0000`", Texts, texts::composite),
    set!("uuids", "random UUIDs as text", Texts, texts::uuids),
    set!("hashes", "32 random bytes", Texts, texts::hashes),
    set!("domains", "domain names with their parts reversed", Texts, texts::domains),
    set!("dense", "consecutive integers", Integers, integers::dense),
    set!("uniform", "uniform random integers", Integers, integers::uniform),
    set!("lognormal", "integers by a lognormal law", Integers, integers::lognormal),
    set!("cells", "clustered map cells along a Hilbert curve", Integers, integers::cells),
    Set {
        name: "timestamps",
        title: "microseconds that come in bursts, with values below 1,000",
        source: Source::Integers(integers::timestamps),
        value_bound: SMALL_VALUES,
    },
    set!("gaps", "integers whose gaps follow Zipf's law", Integers, integers::gaps),
    set!("sosd", "the integers of a file given with `--sosd`", Integers, integers::sosd),
];

pub(crate) fn find(name: &str) -> Option<&'static Set> {
    SETS.iter().find(|set| set.name == name)
}

/// Everything that a measurement asks a map, ready to be read in order.
pub(crate) struct KeySet<K: Kind + ?Sized> {
    pub(crate) entries: Entries<K>,
    /// Keys one edit away from one in the set.
    pub(crate) near: K::List,
    /// Keys that have nothing to do with the set.
    pub(crate) far: K::List,
    /// Keys like those in the set, for inserts of new ones.
    pub(crate) fresh: K::List,
}

impl<K: Kind + ?Sized> KeySet<K> {
    /// Positions of `count` keys, each equally likely, without repetition as far as they go.
    pub(crate) fn uniform_hits(&self, count: usize, random: &mut Random) -> Vec<usize> {
        let mut positions: Vec<usize> = (0..self.entries.len()).collect();
        random.shuffle(&mut positions);
        positions.truncate(count);
        positions
    }

    /// Positions of `count` keys, few of them most of the time. Which these are has nothing to do
    /// with the order of insertion.
    pub(crate) fn zipf_hits(&self, count: usize, random: &mut Random) -> Vec<usize> {
        let zipf = Zipf::new(self.entries.len(), 0.99);
        let scatter = |rank: usize| crate::random::mix(rank as u64) as usize % self.entries.len();
        (0..count).map(|_| scatter(zipf.rank(random))).collect()
    }

    pub(crate) fn probes(&self, positions: &[usize]) -> K::List {
        self.entries.keys.gather(positions.iter().copied())
    }
}

#[cfg(test)]
mod tests {
    use super::{Files, SETS, Source};
    use crate::random::Random;
    use std::collections::HashSet;

    #[test]
    fn every_set_gives_the_same_keys_for_the_same_seed() {
        let files = Files { walk: Some(env!("CARGO_MANIFEST_DIR").into()), ..Files::default() };
        for set in SETS.iter().filter(|set| set.name != "sosd") {
            match set.source {
                Source::Texts(make) => {
                    let draw = |seed| make(200, &mut Random::new(seed), &files).unwrap();
                    assert_eq!(draw(1).bytes, draw(1).bytes, "{}", set.name);
                }
                Source::Integers(make) => {
                    let draw = |seed| make(200, &mut Random::new(seed), &files).unwrap();
                    assert_eq!(draw(1), draw(1), "{}", set.name);
                }
            }
        }
    }

    #[test]
    fn names_are_unique() {
        let names: HashSet<_> = SETS.iter().map(|set| set.name).collect();
        assert_eq!(names.len(), SETS.len());
    }
}
