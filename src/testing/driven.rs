//! The public map as the drivers see it: [`MapUnderTest`] over a [`MemKV`] of byte strings.

use super::conformance::Pair;
use super::memory_storage::MemoryStorage;
use super::model::{Entries, MapUnderTest};
use crate::error::Error;
use crate::map::MemKV;
use crate::options::{Compaction, Options, Residence};
use crate::range::ByteRange;
use crate::store::Access;
use crate::value::Value;
use std::path::Path;

/// How a value of the model becomes one of the map.
pub(crate) trait Modelled: Value + Send + Sync + 'static {
    fn from_model(bytes: &[u8]) -> Self;
    fn to_model(&self) -> Vec<u8>;
}

impl Modelled for Vec<u8> {
    fn from_model(bytes: &[u8]) -> Self {
        bytes.to_vec()
    }

    fn to_model(&self) -> Vec<u8> {
        self.clone()
    }
}

impl Modelled for [u8; 8] {
    fn from_model(bytes: &[u8]) -> Self {
        *bytes.first_chunk().expect("eight bytes")
    }

    fn to_model(&self) -> Vec<u8> {
        self.to_vec()
    }
}

impl Modelled for () {
    fn from_model(_: &[u8]) -> Self {}

    fn to_model(&self) -> Vec<u8> {
        Vec::new()
    }
}

/// Options with a budget so small that folds happen all the time.
pub(crate) fn eager(compaction: Compaction) -> Options {
    Options { compaction, delta_floor_bytes: 4 << 10, delta_percent: 5.0, ..Options::default() }
}

/// The same, with partitions of so few entries that they are divided and joined all the time.
pub(crate) fn tiny(compaction: Compaction, partition_entries: usize) -> Options {
    Options { partition_entries, delta_floor_bytes: 512, ..eager(compaction) }
}

/// A map as the drivers see it; `REOPENS` lets scripts save and open it. Folds of its own only if
/// asked for.
pub(crate) struct Driven<V, const REOPENS: bool = false>(
    pub(crate) MemKV<Vec<u8>, V>,
    MemoryStorage,
);

impl<V: Modelled, const REOPENS: bool> Driven<V, REOPENS> {
    /// An empty map that folds all the time.
    pub(crate) fn new(compaction: Compaction) -> Self {
        Self::with_options(eager(compaction))
    }

    /// An empty map with these options.
    pub(crate) fn with_options(options: Options) -> Self {
        Self(MemKV::with_options(options), MemoryStorage::default())
    }
}

impl<V: Modelled, const REOPENS: bool> MapUnderTest for Driven<V, REOPENS> {
    const VALUES: crate::entry::ValueWidth = crate::value::width_of::<V>();
    const REOPENS: bool = REOPENS;

    fn get(&self, key: &[u8]) -> Option<Vec<u8>> {
        self.0.get(key).map(|value| value.to_model())
    }

    fn get_many(&self, keys: &[&[u8]]) -> Option<Vec<Option<Vec<u8>>>> {
        let values = self.0.multi_get(keys).into_iter();
        Some(values.map(|value| value.map(|value| value.to_model())).collect())
    }

    fn contains(&self, key: &[u8]) -> bool {
        self.0.contains_key(key)
    }

    fn insert(&self, key: &[u8], value: &[u8]) -> Option<Vec<u8>> {
        self.0.insert(key, V::from_model(value)).map(|value| value.to_model())
    }

    fn put(&self, key: &[u8], value: &[u8]) {
        self.0.put(key, V::from_model(value));
    }

    fn remove(&self, key: &[u8]) -> Option<Vec<u8>> {
        self.0.remove(key).map(|value| value.to_model())
    }

    fn delete(&self, key: &[u8]) {
        self.0.delete(key);
    }

    fn len(&self) -> u64 {
        self.0.len() as u64
    }

    fn first(&self) -> Option<Pair> {
        self.0.first_key_value().map(|(key, value)| (key, value.to_model()))
    }

    fn last(&self) -> Option<Pair> {
        self.0.last_key_value().map(|(key, value)| (key, value.to_model()))
    }

    fn range(&self, range: &ByteRange) -> Entries {
        let range = (range.lower.clone(), range.upper.clone());
        Box::new(self.0.range(range).map(|(key, value)| (key, value.to_model())))
    }

    fn prefix(&self, prefix: &[u8]) -> Entries {
        Box::new(self.0.prefix(prefix).map(|(key, value)| (key, value.to_model())))
    }

    fn clear(&self) {
        self.0.clear();
    }

    fn compact(&self) {
        self.0.compact().expect("a sound map");
    }

    fn extend_sorted(&self, pairs: &[Pair]) {
        let pairs = pairs.iter().map(|(key, value)| (key.as_slice(), V::from_model(value)));
        self.0.extend_sorted(pairs).expect("sorted");
    }

    fn freeze(&self) {
        self.0.core().freeze();
    }

    fn fold_step(&self) {
        self.0.core().fold_step().expect("a sound map");
    }

    fn reopen(&mut self, residence: Residence) {
        let (storage, path) = (self.1.clone(), Path::new("map"));
        let saved = match self.0.save() {
            Err(Error::NotAttached) => self.0.save_in(&storage, path),
            saved => saved,
        };
        saved.expect("a sound map");
        let options = Options { residence, ..self.0.core().options().clone() };
        // The old one goes first: it may have the lock.
        self.0 = MemKV::new();
        let opened = MemKV::open_in(Box::new(storage), path, options, Access::ReadWrite);
        self.0 = opened.expect("a sound file");
    }

    fn check(&self) {
        self.0.core().check();
    }

    fn hits_by_layer(&self) -> Option<[u64; 4]> {
        // A map that was opened starts to count again.
        (!REOPENS).then(|| self.0.stats().hits_by_layer)
    }
}
