//! MemKV and the maps it is compared with, behind one small contract.

use super::keys::{ByteKeys, IntegerKeys, Keys};
use fst::Streamer;
use memkv::{Compaction, Key, MemKV, MemoryUsage, Options, Stats};
use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

/// A map from keys to u64 that can be asked.
pub(crate) trait Peer<Q: ?Sized> {
    fn get(&self, key: &Q) -> Option<u64>;

    /// Hands over every entry, in the map's own order.
    fn visit(&self, entry: impl FnMut(&Q, u64));
}

/// A map that can be filled one key at a time.
pub(crate) trait PeerMut<Q: ?Sized>: Peer<Q> {
    fn insert(&mut self, key: &Q, value: u64);
}

/// What only MemKV has.
pub(crate) trait Ours: Sized {
    fn set_up(options: Options) -> Self;

    fn with_compaction(compaction: Compaction) -> Self {
        Self::set_up(Options { compaction, ..Options::default() })
    }

    fn fold_all(&self) -> Result<(), String>;

    /// A map with the same entries, all of them in bases.
    fn copy_folded(&self) -> Result<Self, String>;

    fn numbers(&self) -> Stats;

    fn usage(&self) -> MemoryUsage;

    /// Waits until the compactor has had nothing to do for a while.
    fn wait_for_rest(&self) {
        const REST: Duration = Duration::from_millis(300);
        const POLL: Duration = Duration::from_millis(5);
        let state = || (self.numbers().folds, self.numbers().frozen_entries, self.usage());
        let mut seen = state();
        let mut since = Instant::now();
        while since.elapsed() < REST {
            std::thread::sleep(POLL);
            let now = state();
            if now != seen {
                seen = now;
                since = Instant::now();
            }
        }
    }
}

impl<K: Key> Ours for MemKV<K, u64> {
    fn set_up(options: Options) -> Self {
        Self::with_options(options)
    }

    fn fold_all(&self) -> Result<(), String> {
        self.compact().map_err(|error| format!("compact() failed: {error}"))
    }

    fn copy_folded(&self) -> Result<Self, String> {
        Self::from_sorted(self.iter()).map_err(|error| format!("a copy failed: {error}"))
    }

    fn numbers(&self) -> Stats {
        self.stats()
    }

    fn usage(&self) -> MemoryUsage {
        self.memory_usage()
    }
}

/// The types that are compared, for one type of key.
pub(crate) trait Peers: Keys {
    type MemKV: PeerMut<Self::Key> + Ours + 'static;
    type Tree: PeerMut<Self::Key> + Default + 'static;
    type Hash: PeerMut<Self::Key> + Default + 'static;
    type Fst: Peer<Self::Key> + From<fst::Map<Vec<u8>>> + 'static;

    /// A `BTreeMap` made from sorted entries.
    fn bulk_tree(entries: impl Iterator<Item = (Self::Owned, u64)>) -> Self::Tree;

    fn to_owned_key(key: &Self::Key) -> Self::Owned;

    /// The key as a transducer takes it.
    fn with_fst_bytes<R>(key: &Self::Key, call: impl FnOnce(&[u8]) -> R) -> R;

    /// A transducer over all keys, from their ascending positions.
    fn build_fst(
        &self,
        sorted: &[u32],
        value_at: impl Fn(usize) -> u64,
    ) -> Result<Self::Fst, String> {
        let mut builder = fst::MapBuilder::memory();
        for &position in sorted {
            let position = position as usize;
            Self::with_fst_bytes(self.key(position), |key| builder.insert(key, value_at(position)))
                .map_err(|error| format!("fst refuses a key: {error}"))?;
        }
        let mut bytes = builder.into_inner().map_err(|error| format!("fst fails: {error}"))?;
        bytes.shrink_to_fit();
        let map = fst::Map::new(bytes);
        map.map(Self::Fst::from).map_err(|error| format!("fst cannot read its output: {error}"))
    }
}

impl Peers for ByteKeys {
    type MemKV = MemKV<Vec<u8>, u64>;
    type Tree = BTreeMap<Vec<u8>, u64>;
    type Hash = HashMap<Vec<u8>, u64>;
    type Fst = fst::Map<Vec<u8>>;

    fn bulk_tree(entries: impl Iterator<Item = (Vec<u8>, u64)>) -> Self::Tree {
        entries.collect()
    }

    fn to_owned_key(key: &[u8]) -> Vec<u8> {
        key.to_vec()
    }

    fn with_fst_bytes<R>(key: &[u8], call: impl FnOnce(&[u8]) -> R) -> R {
        call(key)
    }
}

impl Peers for IntegerKeys {
    type MemKV = MemKV<u64, u64>;
    type Tree = BTreeMap<u64, u64>;
    type Hash = HashMap<u64, u64>;
    type Fst = fst::Map<Vec<u8>>;

    fn bulk_tree(entries: impl Iterator<Item = (u64, u64)>) -> Self::Tree {
        entries.collect()
    }

    fn to_owned_key(key: &u64) -> u64 {
        *key
    }

    fn with_fst_bytes<R>(key: &u64, call: impl FnOnce(&[u8]) -> R) -> R {
        call(&ordered_bytes(*key))
    }
}

/// Bytes that sort as the integers do.
pub(crate) fn ordered_bytes(key: u64) -> [u8; 8] {
    #[allow(clippy::big_endian_bytes, reason = "a key codec: only this order sorts")]
    key.to_be_bytes()
}

fn integer_of(bytes: &[u8]) -> u64 {
    let bytes = bytes.try_into().expect("integer keys are eight bytes");
    #[allow(clippy::big_endian_bytes, reason = "a key codec: only this order sorts")]
    u64::from_be_bytes(bytes)
}

impl Peer<[u8]> for MemKV<Vec<u8>, u64> {
    fn get(&self, key: &[u8]) -> Option<u64> {
        self.get(key)
    }

    fn visit(&self, mut entry: impl FnMut(&[u8], u64)) {
        let mut entries = self.iter().lending();
        while let Some((key, value)) = entries.next_ref() {
            entry(key, *value);
        }
    }
}

impl PeerMut<[u8]> for MemKV<Vec<u8>, u64> {
    fn insert(&mut self, key: &[u8], value: u64) {
        MemKV::insert(self, key, value);
    }
}

impl Peer<u64> for MemKV<u64, u64> {
    fn get(&self, key: &u64) -> Option<u64> {
        self.get(key)
    }

    fn visit(&self, mut entry: impl FnMut(&u64, u64)) {
        for (key, value) in self {
            entry(&key, value);
        }
    }
}

impl PeerMut<u64> for MemKV<u64, u64> {
    fn insert(&mut self, key: &u64, value: u64) {
        MemKV::insert(self, key, value);
    }
}

macro_rules! standard_peers {
    ($map:ident, $key:ty, $borrowed:ty, $own:expr) => {
        impl Peer<$borrowed> for $map<$key, u64> {
            fn get(&self, key: &$borrowed) -> Option<u64> {
                self.get(key).copied()
            }

            fn visit(&self, mut entry: impl FnMut(&$borrowed, u64)) {
                for (key, value) in self {
                    entry(key, *value);
                }
            }
        }

        impl PeerMut<$borrowed> for $map<$key, u64> {
            fn insert(&mut self, key: &$borrowed, value: u64) {
                $map::insert(self, $own(key), value);
            }
        }
    };
}
standard_peers!(BTreeMap, Vec<u8>, [u8], <[u8]>::to_vec);
standard_peers!(HashMap, Vec<u8>, [u8], <[u8]>::to_vec);
standard_peers!(BTreeMap, u64, u64, u64::clone);
standard_peers!(HashMap, u64, u64, u64::clone);

impl Peer<[u8]> for fst::Map<Vec<u8>> {
    fn get(&self, key: &[u8]) -> Option<u64> {
        self.get(key)
    }

    fn visit(&self, mut entry: impl FnMut(&[u8], u64)) {
        let mut stream = self.stream();
        while let Some((key, value)) = stream.next() {
            entry(key, value);
        }
    }
}

impl Peer<u64> for fst::Map<Vec<u8>> {
    fn get(&self, key: &u64) -> Option<u64> {
        self.get(ordered_bytes(*key))
    }

    fn visit(&self, mut entry: impl FnMut(&u64, u64)) {
        let mut stream = self.stream();
        while let Some((key, value)) = stream.next() {
            entry(&integer_of(key), value);
        }
    }
}
