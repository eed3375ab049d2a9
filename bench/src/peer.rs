//! What a map has to be able to do to be measured. One file in `peers` for each.

use crate::kind::{KeyList, Kind};
use crate::random::mix;
use std::path::Path;

/// The entries a map is loaded with: keys in random order, and where each stands when sorted.
pub(crate) struct Entries<K: Kind + ?Sized> {
    pub(crate) keys: K::List,
    pub(crate) sorted: Vec<u32>,
    /// Values are below this; 0 for any 64-bit number.
    pub(crate) value_bound: u64,
}

impl<K: Kind + ?Sized> Entries<K> {
    pub(crate) fn len(&self) -> usize {
        self.keys.len()
    }

    pub(crate) fn key(&self, index: usize) -> &K {
        self.keys.key(index)
    }

    pub(crate) fn value(&self, index: usize) -> u64 {
        let value = mix(index as u64 ^ 0x5eed_0000_0000_0000);
        if self.value_bound == 0 { value } else { value % self.value_bound }
    }

    /// Keys and values in ascending order of the keys.
    pub(crate) fn ascending(&self) -> impl Iterator<Item = (&K, u64)> {
        let at = |&index: &u32| (self.key(index as usize), self.value(index as usize));
        self.sorted.iter().map(at)
    }
}

/// What a pass of gets answered: equal for any two maps that answer alike.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Answers {
    pub(crate) found: u64,
    pub(crate) sum: u64,
}

impl Answers {
    #[inline]
    pub(crate) fn add(&mut self, position: usize, answer: Option<u64>) {
        if let Some(value) = answer {
            self.found += 1;
            self.sum = self.sum.wrapping_add(value.rotate_left(position as u32 % 64));
        }
    }
}

/// What a walk saw, in order: a map that skips, repeats or swaps entries gets another sum.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Walk {
    pub(crate) entries: u64,
    pub(crate) sum: u64,
}

impl Walk {
    #[inline]
    pub(crate) fn add(&mut self, weight: u64, value: u64) {
        self.entries += 1;
        self.sum = self.sum.rotate_left(5).wrapping_add(weight ^ value);
    }
}

/// Gets of which none waits for another's answer.
#[inline]
pub(crate) fn each<K: Kind + ?Sized>(probes: &K::List, get: impl Fn(&K) -> Option<u64>) -> Answers {
    let mut answers = Answers::default();
    for position in 0..probes.len() {
        answers.add(position, get(probes.key(position)));
    }
    answers
}

/// Gets of which each needs the answer of the one before.
#[inline]
pub(crate) fn chain<K: Kind + ?Sized>(
    probes: &K::List,
    get: impl Fn(&K) -> Option<u64>,
) -> Answers {
    // Zero, but the compiler cannot know: the next position waits for this answer.
    let zero = std::hint::black_box(0_u64);
    let mut answers = Answers::default();
    let mut position = 0;
    while position < probes.len() {
        let answer = get(probes.key(position));
        answers.add(position, answer);
        position += 1 + (answer.unwrap_or(1) & zero) as usize;
    }
    answers
}

/// A number about a map that only the map itself can tell.
pub(crate) type Fact = (&'static str, f64);

/// A map under measurement. The loops are compiled for each type, since a provided method is; only
/// the call that starts a pass goes through a table.
pub(crate) trait Peer<K: Kind + ?Sized> {
    fn get(&self, key: &K) -> Option<u64>;

    /// Inserts or overwrites. Not called on maps that are built whole.
    fn insert(&mut self, _key: &K, _value: u64) {}

    /// Whether the key was there.
    fn remove(&mut self, _key: &K) -> bool {
        false
    }

    /// Ascending from the first key not below `from`. Not called on maps without order.
    fn walk(&self, _from: Option<&K>, _limit: usize, _walk: &mut Walk) {}

    /// Descending from the last key.
    fn walk_back(&self, _walk: &mut Walk) {}

    /// One handle for each of several threads; none if the map is for one thread.
    fn share(&self, _threads: usize) -> Vec<Box<dyn Shared<K> + Send + '_>> {
        Vec::new()
    }

    /// After loading: whatever the map does to come to rest.
    fn settle(&mut self) {}

    /// Bytes that were reserved and never written, which are not counted.
    fn untouched_bytes(&self) -> usize {
        0
    }

    /// Memory by part, write amplification, and the like.
    fn facts(&self) -> Vec<Fact> {
        Vec::new()
    }

    /// Overwrites as many entries as there are, drawn uniformly, and tells what that does to a map
    /// that folds.
    fn overwrite_steadily(&mut self, _entries: &Entries<K>) -> Vec<Fact> {
        Vec::new()
    }

    /// Writes the map to a file; `None` if it cannot.
    fn save(&self, _path: &Path) -> Option<Result<(), String>> {
        None
    }

    fn get_each(&self, probes: &K::List) -> Answers {
        each(probes, |key| self.get(key))
    }

    fn get_chain(&self, probes: &K::List) -> Answers {
        chain(probes, |key| self.get(key))
    }

    /// Gets in batches of `batch`; `None` if the map has no call for that.
    fn get_batches(&self, _probes: &K::List, _batch: usize) -> Option<Answers> {
        None
    }

    /// Walks of at most `limit` entries, one from each probe.
    fn walk_each(&self, probes: &K::List, limit: usize) -> Walk {
        let mut walk = Walk::default();
        for position in 0..probes.len() {
            self.walk(Some(probes.key(position)), limit, &mut walk);
        }
        walk
    }

    /// Inserts all entries in random order.
    fn load(&mut self, entries: &Entries<K>) {
        for index in 0..entries.len() {
            self.insert(entries.key(index), entries.value(index));
        }
    }

    /// Inserts all entries in ascending order.
    fn load_sorted(&mut self, entries: &Entries<K>) {
        for (key, value) in entries.ascending() {
            self.insert(key, value);
        }
    }

    /// Removes these keys; how many were there.
    fn remove_each(&mut self, probes: &K::List) -> u64 {
        let mut removed = 0;
        for position in 0..probes.len() {
            removed += u64::from(self.remove(probes.key(position)));
        }
        removed
    }
}

/// One thread's way into a shared map.
pub(crate) trait Shared<K: Kind + ?Sized> {
    fn get(&mut self, key: &K) -> Option<u64>;
    fn put(&mut self, key: &K, value: u64);
}

/// A thread's way that is two calls.
pub(crate) struct Calls<G, P>(pub(crate) G, pub(crate) P);

impl<K: Kind + ?Sized, G: FnMut(&K) -> Option<u64>, P: FnMut(&K, u64)> Shared<K> for Calls<G, P> {
    fn get(&mut self, key: &K) -> Option<u64> {
        (self.0)(key)
    }

    fn put(&mut self, key: &K, value: u64) {
        (self.1)(key, value);
    }
}

/// What a map can do, which decides what is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Abilities {
    pub(crate) insert: bool,
    pub(crate) remove: bool,
    pub(crate) walk: bool,
    pub(crate) walk_back: bool,
    pub(crate) share: bool,
}

impl Abilities {
    pub(crate) const ALL: Self =
        Self { insert: true, remove: true, walk: true, walk_back: true, share: true };
    /// An ordered map for one thread.
    pub(crate) const ORDERED: Self = Self { share: false, ..Self::ALL };
    /// A map that is built whole from sorted entries.
    pub(crate) const BUILT: Self = Self { insert: false, remove: false, ..Self::ORDERED };
    pub(crate) const UNORDERED: Self = Self { walk: false, walk_back: false, ..Self::ORDERED };
}

pub(crate) type Made<K> = Result<Box<dyn Peer<K>>, String>;

/// Makes a map for or from these entries.
pub(crate) type Make<K> = fn(&Entries<K>) -> Made<K>;

/// How a map for one kind of keys is made.
pub(crate) struct Maker<K: Kind + ?Sized> {
    /// An empty map; the entries are those it is going to hold.
    pub(crate) empty: Option<Make<K>>,
    /// A map from sorted entries, if that is a call of its own.
    pub(crate) bulk: Option<Make<K>>,
    /// A saved map.
    pub(crate) open: Option<fn(&Path) -> Made<K>>,
}

impl<K: Kind + ?Sized> Clone for Maker<K> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<K: Kind + ?Sized> Copy for Maker<K> {}

impl<K: Kind + ?Sized> Maker<K> {
    pub(crate) const fn empty(empty: Make<K>) -> Self {
        Self { empty: Some(empty), bulk: None, open: None }
    }

    pub(crate) const fn bulk(bulk: Make<K>) -> Self {
        Self { empty: None, bulk: Some(bulk), open: None }
    }
}

/// A map as the lists and tables know it.
#[derive(Clone, Copy)]
pub(crate) struct Entrant {
    /// Also its name on the command line.
    pub(crate) name: &'static str,
    /// The package whose version is printed; empty for the standard library.
    pub(crate) package: &'static str,
    /// How it is used, where that is not obvious.
    pub(crate) note: &'static str,
    pub(crate) abilities: Abilities,
    pub(crate) bytes: Option<Maker<[u8]>>,
    pub(crate) integers: Option<Maker<u64>>,
}

impl Entrant {
    pub(crate) fn is_ours(&self) -> bool {
        self.name.starts_with("memkv")
    }
}
