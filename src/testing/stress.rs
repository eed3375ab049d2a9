//! Readers, iterators and a compactor beside writers: what they see must have been there.
//!
//! Each writer owns a range of keys and writes them in turn, over and over; the values are
//! generations, and every few generations it deletes instead. So the number of writes it has made
//! determines what all of its keys hold, and a reader that knows how many writes were complete
//! before it looked, and how many had begun after, knows all states it may see. An iterator must
//! show one of those states whole, and a key may never go back to an older generation.

use super::conformance::Pair;
use super::keys;
use super::model::MapUnderTest;
use super::rng::Rng;
use crate::bytes::u64_at;
use crate::entry::ValueWidth;
use crate::range::ByteRange;
use crate::sync::{Arc, AtomicU64, AtomicUsize, Ordering, thread};
use std::ops::RangeInclusive;
use std::panic;
use std::time::Duration;

/// Each so many generations a writer deletes its keys instead of writing them.
const DELETE_EVERY: u64 = 4;

/// Now and then an iterator or the compactor rests for so long, so that others get ahead of it.
const PAUSE: Duration = Duration::from_micros(20);

/// How much a stress test does.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stress {
    /// Threads that write.
    pub(crate) writers: usize,
    /// Threads that get single keys, and as many that iterate.
    pub(crate) readers: usize,
    /// Keys of each writer.
    pub(crate) keys: u64,
    /// Times that each writer goes through its keys.
    pub(crate) generations: u64,
}

/// Writes of each writer, about; fewer where each access is watched.
const WRITES: u64 = if cfg!(miri) {
    50
} else if cfg!(any(memkv_poison, memkv_tsan)) {
    8_000
} else {
    40_000
};

impl Stress {
    /// Two writers, and two readers beside them. Few keys make short walks between
    /// many folds; many keys are written so rarely that all layers hold the newest of some.
    pub(crate) fn of_seed(seed: u64) -> Self {
        const KEYS: [u64; 3] = if cfg!(miri) { [8; 3] } else { [12, 2000, 150] };
        let keys = KEYS[seed as usize % KEYS.len()];
        // At the end the keys are there: the last generation is not one that deletes.
        let generations = WRITES / keys / DELETE_EVERY * DELETE_EVERY + 1;
        Self { writers: 2, readers: 1, keys, generations }
    }

    /// Runs all threads on `map`, which must be empty, and checks what is left at the end.
    ///
    /// # Panics
    /// If any thread saw something that was never there.
    pub(crate) fn run<M>(self, seed: u64, map: M)
    where
        M: MapUnderTest + Send + Sync + 'static,
    {
        let map = Arc::new(map);
        let writers = (0..self.writers).map(|id| Arc::new(Writer::new(id, self)));
        let writers: Vec<Arc<Writer>> = writers.collect();
        let writing = Arc::new(AtomicUsize::new(writers.len()));
        let mut threads = Vec::new();
        // Joined one by one, not scoped: what a scope does at its end is not instrumented.
        let mut spawn = |body: Box<dyn FnOnce() + Send>| threads.push(thread::spawn(body));
        for writer in &writers {
            let (done, writer, map) = (Done(writing.clone()), writer.clone(), map.clone());
            spawn(Box::new(move || {
                let _done = done;
                writer.write_all(&*map);
            }));
        }
        let mut rng = Rng::new(seed);
        for _ in 0..self.readers {
            let (mut gets, mut iterates) = (Rng::new(rng.next_u64()), Rng::new(rng.next_u64()));
            let (all, going, read) = (writers.clone(), writing.clone(), map.clone());
            spawn(Box::new(move || get_while(&going, &mut gets, &all, &*read)));
            let (all, going, read) = (writers.clone(), writing.clone(), map.clone());
            spawn(Box::new(move || iterate_while(&going, &mut iterates, &all, &*read)));
        }
        let (going, folded) = (writing, map.clone());
        spawn(Box::new(move || fold_while(&going, &mut Rng::new(seed ^ 1), &*folded)));
        let outcomes: Vec<_> = threads.into_iter().map(thread::JoinHandle::join).collect();
        if let Some(panic) = outcomes.into_iter().find_map(Result::err) {
            panic::resume_unwind(panic);
        }
        for _ in 0..2 {
            let entries: Vec<Pair> = map.range(&ByteRange::all()).collect();
            let total = self.keys * self.generations;
            let mut live = 0;
            for writer in &writers {
                live += writer.check_cut(&entries, &(total..=total));
            }
            assert_eq!(live, entries.len() as u64, "keys that nobody wrote");
            assert_eq!(map.len(), live, "len at the end");
            map.check();
            map.compact();
        }
    }
}

/// Counts a writer off when it ends, in whichever way.
struct Done(Arc<AtomicUsize>);

impl Drop for Done {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Release);
    }
}

/// One writer: its keys, and how far it is.
struct Writer {
    id: usize,
    keys: u64,
    generations: u64,
    /// Writes begun. Stored before each write; a reader loads it after it has looked.
    begun: AtomicU64,
    /// Writes complete. Stored after each write; a reader loads it before it looks.
    complete: AtomicU64,
}

impl Writer {
    fn new(id: usize, stress: Stress) -> Self {
        Self {
            id,
            keys: stress.keys,
            generations: stress.generations,
            begun: AtomicU64::new(0),
            complete: AtomicU64::new(0),
        }
    }

    /// One of the writer's keys. They lie between those of the others, some close together.
    fn key(&self, index: u64) -> Vec<u8> {
        keys::big_endian(((index / 3) << 32) | ((self.id as u64) << 16) | (index % 3))
    }

    /// The index of a key, if it is this writer's.
    fn index(&self, key: &[u8]) -> Option<u64> {
        let number = keys::from_big_endian(key)?;
        let index = (number >> 32) * 3 + (number & 0xffff);
        (index < self.keys && self.key(index) == key).then_some(index)
    }

    fn write_all<M: MapUnderTest>(&self, map: &M) {
        for write in 0..self.keys * self.generations {
            let (index, generation) = (write % self.keys, write / self.keys + 1);
            let key = self.key(index);
            let old = value_of::<M>(index, generation - 1);
            self.begun.store(write + 1, Ordering::SeqCst);
            match (value_of::<M>(index, generation), index % 2) {
                (Some(value), 0) => map.put(&key, &value),
                (Some(value), _) => assert_eq!(map.insert(&key, &value), old, "old value"),
                (None, 0) => map.delete(&key),
                (None, _) => assert_eq!(map.remove(&key), old, "removed value"),
            }
            self.complete.store(write + 1, Ordering::SeqCst);
        }
    }

    /// The generation of a key after so many writes; 0 if it was never written.
    fn generation(&self, index: u64, writes: u64) -> u64 {
        writes / self.keys + u64::from(index < writes % self.keys)
    }

    /// What is left of `entries` for this writer must be its state after one of the `cuts`.
    /// Returns the number of its keys.
    fn check_cut(&self, entries: &[Pair], cuts: &RangeInclusive<u64>) -> u64 {
        let mut seen: Vec<u64> = vec![0; self.keys as usize];
        let mut live = 0;
        for (key, value) in entries {
            if let Some(index) = self.index(key) {
                seen[index as usize] = generation_of(value);
                live += 1;
            }
        }
        let shows_key = |cut: u64, index: u64| {
            let generation = self.generation(index, cut);
            let shown = if is_deletion(generation) { 0 } else { generation };
            seen[index as usize] == shown
        };
        // The two keys beside the cut rule out nearly all wrong ones.
        let shows = |cut: u64| {
            shows_key(cut, cut % self.keys)
                && shows_key(cut, (cut + self.keys - 1) % self.keys)
                && (0..self.keys).all(|index| shows_key(cut, index))
        };
        assert!(
            cuts.clone().any(shows),
            "writer {} was never in the state that an iterator shows, between {cuts:?} writes: \
             generations by key {seen:?}",
            self.id
        );
        live
    }
}

/// Whether this generation deletes its keys; 0, before the first write, counts as one.
fn is_deletion(generation: u64) -> bool {
    generation.is_multiple_of(DELETE_EVERY)
}

/// What the key with this index holds in this generation.
fn value_of<M: MapUnderTest>(index: u64, generation: u64) -> Option<Vec<u8>> {
    if is_deletion(generation) {
        return None;
    }
    let mut value = generation.to_le_bytes().to_vec();
    match M::VALUES {
        ValueWidth::Fixed(8) => {}
        ValueWidth::Fixed(width) => panic!("values of {width} bytes hold no generation"),
        ValueWidth::Bytes => {
            // A few values are long enough for an extent.
            let padding = if index.is_multiple_of(16) { 1500 } else { index % 16 };
            value.resize(8 + padding as usize, generation as u8);
        }
    }
    Some(value)
}

/// The generation that a value holds. Checks that the value is whole.
fn generation_of(value: &[u8]) -> u64 {
    let generation = u64_at(value, 0).expect("values start with a generation");
    let padding = &value[8..];
    assert!(padding.iter().all(|&byte| byte == generation as u8), "a torn value: {value:?}");
    generation
}

/// Freezes, folds and compacts until the writers are done.
fn fold_while<M: MapUnderTest>(writing: &AtomicUsize, rng: &mut Rng, map: &M) {
    while writing.load(Ordering::Acquire) > 0 {
        match rng.below(8) {
            0 => map.compact(),
            1..4 => map.fold_step(),
            _ => map.freeze(),
        }
        if rng.one_in(8) {
            thread::sleep(PAUSE);
        }
    }
}

/// Gets random keys until the writers are done.
fn get_while<M: MapUnderTest>(
    writing: &AtomicUsize,
    rng: &mut Rng,
    writers: &[Arc<Writer>],
    map: &M,
) {
    // The oldest generation that each key may still show.
    let mut least: Vec<Vec<u64>> =
        writers.iter().map(|writer| vec![0; writer.keys as usize]).collect();
    while writing.load(Ordering::Acquire) > 0 {
        let writer = rng.pick(writers);
        let index = rng.below(writer.keys as usize) as u64;
        let complete = writer.complete.load(Ordering::SeqCst);
        let found = map.get(&writer.key(index));
        let begun = writer.begun.load(Ordering::SeqCst);
        let least = &mut least[writer.id][index as usize];
        let oldest = writer.generation(index, complete).max(*least);
        let newest = writer.generation(index, begun);
        let shown = (oldest..=newest).find(|&generation| match &found {
            Some(value) => generation_of(value) == generation,
            None => is_deletion(generation),
        });
        let Some(shown) = shown else {
            let found = found.as_deref().map(generation_of);
            panic!("generation {found:?}, but must be within {oldest} to {newest}");
        };
        *least = shown;
    }
}

/// Opens iterators and walks them both ways until the writers are done.
fn iterate_while<M: MapUnderTest>(
    writing: &AtomicUsize,
    rng: &mut Rng,
    writers: &[Arc<Writer>],
    map: &M,
) {
    while writing.load(Ordering::Acquire) > 0 {
        let load = |of: fn(&Writer) -> &AtomicU64| -> Vec<u64> {
            writers.iter().map(|writer| of(writer).load(Ordering::SeqCst)).collect()
        };
        let complete = load(|writer| &writer.complete);
        let mut entries = map.range(&ByteRange::all());
        let begun = load(|writer| &writer.begun);
        let (mut front, mut back) = (Vec::new(), Vec::new());
        loop {
            let from_front = rng.one_in(2);
            let entry = if from_front { entries.next() } else { entries.next_back() };
            match entry {
                Some(entry) if from_front => front.push(entry),
                Some(entry) => back.push(entry),
                None => break,
            }
            if rng.one_in(200) {
                thread::sleep(PAUSE);
            }
        }
        front.extend(back.into_iter().rev());
        assert!(front.is_sorted_by(|(a, _), (b, _)| a < b), "keys of an iterator do not ascend");
        for (writer, (complete, begun)) in writers.iter().zip(complete.into_iter().zip(begun)) {
            writer.check_cut(&front, &(complete..=begun));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::layered_map::{Fault, LayeredMap};
    use crate::testing::rng::for_seeds;

    /// Tries in which a fault must show: threads do not meet in the same way twice, and on
    /// one processor they seldom meet.
    const TRIES: u64 = 60;

    #[test]
    fn readers_beside_writers_accept_a_layered_map() {
        for_seeds(1, 3, |seed| {
            Stress::of_seed(seed).run(seed, LayeredMap::new());
        });
    }

    #[test]
    fn readers_beside_writers_reject_each_broken_map() {
        for fault in Fault::CONCURRENT {
            let accepts = |seed| {
                let run = || Stress::of_seed(seed).run(seed, LayeredMap::broken(fault));
                panic::catch_unwind(run).is_ok()
            };
            assert!(!(0..TRIES).all(accepts), "{fault:?} was accepted {TRIES} times");
        }
    }
}
