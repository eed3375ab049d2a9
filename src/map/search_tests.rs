//! Searches yield what their automaton accepts of the entries of a model.

use super::MemKV;
use super::many_tests::{Made, Model, integers, layered, manual, words};
use crate::error::Error;
use crate::options::{Compaction, Options, Profile, Residence};
use crate::store::{Access, reseal};
use crate::testing::driven::tiny;
use crate::testing::keys;
use crate::testing::memory_storage::MemoryStorage;
use crate::testing::rng::{Rng, for_seeds};
use fst::Automaton;
use fst::automaton::{AlwaysMatch, Str, Subsequence};
use std::cell::Cell;
use std::ops::Bound;
use std::path::Path;

/// An automaton of a few states, made at random, that counts the bytes it reads.
struct Table {
    /// The state after each state and kind of byte.
    next: Vec<[usize; KINDS]>,
    matches: Vec<bool>,
    /// At the end of a key, whether it matches, if that is another matter.
    at_end: Option<Vec<bool>>,
    can_match: Vec<bool>,
    always: Vec<bool>,
    read: Cell<usize>,
}

const KINDS: usize = 5;

impl Table {
    fn made(rng: &mut Rng) -> Self {
        let len = rng.within(1..=7);
        // Some come to a state that they never leave.
        let is_sink = |state: usize, rng: &mut Rng| state + 2 >= len && rng.one_in(2);
        let next: Vec<[usize; KINDS]> = (0..len)
            .map(|state| {
                let is_sink = is_sink(state, rng);
                std::array::from_fn(|_| if is_sink { state } else { rng.below(len) })
            })
            .collect();
        let flags = |rng: &mut Rng| -> Vec<bool> { (0..len).map(|_| rng.one_in(3)).collect() };
        let (matches, ends) = (flags(rng), flags(rng));
        let at_end = rng.one_in(3).then_some(ends);
        // What it says early is what is true, or nothing.
        let reached = |wanted: bool| -> Vec<bool> {
            let accepted = at_end.as_ref().unwrap_or(&matches);
            let mut reaches: Vec<bool> = accepted.iter().map(|is| *is == wanted).collect();
            for _ in 0..len {
                reaches = (0..len)
                    .map(|state| reaches[state] || next[state].iter().any(|next| reaches[*next]))
                    .collect();
            }
            reaches
        };
        let (some, other) = (reached(true), reached(false));
        let (tells, knows) = (!rng.one_in(4), rng.one_in(2));
        Self {
            can_match: some.iter().map(|some| *some || !tells).collect(),
            always: other.iter().map(|other| !other && knows).collect(),
            read: Cell::new(0),
            next,
            matches,
            at_end,
        }
    }
}

impl Automaton for Table {
    /// A state, or whether it matches at the end.
    type State = Result<usize, bool>;

    fn start(&self) -> Self::State {
        Ok(0)
    }

    fn is_match(&self, state: &Self::State) -> bool {
        state.map_or_else(|is_match| is_match, |state| self.matches[state])
    }

    fn can_match(&self, state: &Self::State) -> bool {
        state.is_ok_and(|state| self.can_match[state])
    }

    fn will_always_match(&self, state: &Self::State) -> bool {
        state.is_ok_and(|state| self.always[state])
    }

    fn accept(&self, state: &Self::State, byte: u8) -> Self::State {
        self.read.set(self.read.get() + 1);
        state.map(|state| self.next[state][usize::from(byte) % KINDS])
    }

    fn accept_eof(&self, state: &Self::State) -> Option<Self::State> {
        let at_end = self.at_end.as_ref()?;
        Some(Err(state.is_ok_and(|state| at_end[state])))
    }
}

/// Whether it accepts a key that it reads to the end.
fn accepts(automaton: &impl Automaton, key: &[u8]) -> bool {
    let last = key.iter().fold(automaton.start(), |state, byte| automaton.accept(&state, *byte));
    match automaton.accept_eof(&last) {
        Some(end) => automaton.is_match(&end),
        None => automaton.is_match(&last),
    }
}

fn check<V: Made>(kv: &MemKV<Vec<u8>, V>, model: &Model<V>, automaton: &impl Automaton) -> usize {
    let right: Vec<(Vec<u8>, V)> = model
        .iter()
        .filter(|(key, _)| accepts(automaton, key))
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    assert!(kv.iter().search(automaton).eq(right.iter().cloned()));
    let found: Result<Vec<_>, Error> = kv.iter().search(automaton).fallible().collect();
    assert!(found.expect("a sound map") == right);
    // What is left of a range that was begun from both ends.
    if let (Some((low, _)), Some((high, _))) = (model.iter().nth(2), model.iter().nth_back(3))
        && low < high
    {
        let mut rest = kv.range((Bound::Excluded(low.clone()), Bound::Unbounded));
        let backs: Vec<_> = rest.by_ref().rev().take(3).map(|(key, _)| key).collect();
        let first = rest.next();
        let begun = first.map_or(low.clone(), |(key, _)| key);
        let right = right
            .iter()
            .filter(|(key, _)| *key > begun && backs.last().is_none_or(|back| key < back));
        assert!(rest.search(automaton).eq(right.cloned()));
    }
    right.len()
}

fn check_all<V: Made>(kv: &MemKV<Vec<u8>, V>, model: &Model<V>, rng: &mut Rng) {
    let mut found = 0;
    for _ in 0..40 {
        found += check(kv, model, &Table::made(rng));
    }
    assert!(found > 0 || model.len() < 4);
    check(kv, model, &AlwaysMatch);
    check(kv, model, &AlwaysMatch.complement());
    check(kv, model, &Subsequence::new("a1"));
    check(kv, model, &Str::new("\u{7f}").starts_with().complement());
    if let Some(text) = model.keys().find_map(|key| std::str::from_utf8(key).ok()) {
        assert_eq!(check(kv, model, &Str::new(text)), 1);
        let start = &text[..text.floor_char_boundary(2)];
        check(kv, model, &Str::new(start).starts_with());
        check(kv, model, &Str::new(start).starts_with().union(Subsequence::new("0")));
    }
}

#[test]
fn searches_yield_what_is_accepted_whatever_layer_has_it() {
    for keys in [words(3_000), integers(3_000), words(50)] {
        for options in [
            manual(),
            Options { partition_entries: 40, ..manual() },
            Options { profile: Profile::Smallest, ..manual() },
            Options { profile: Profile::Fastest, ..manual() },
        ] {
            for_seeds(1, 1, |seed| {
                let mut rng = Rng::new(seed);
                let (kv, model) = layered::<[u8; 8]>(options.clone(), &keys, &mut rng);
                check_all(&kv, &model, &mut rng);
            });
        }
    }
    let (kv, model) = layered::<Vec<u8>>(manual(), &words(300), &mut Rng::new(3));
    check_all(&kv, &model, &mut Rng::new(4));
    check_all(&MemKV::<Vec<u8>, Vec<u8>>::new(), &Model::new(), &mut Rng::new(5));
}

#[test]
fn searches_over_hostile_keys_yield_what_is_accepted() {
    for (set, keys::KeySet { keys, .. }) in keys::hostile_sets().into_iter().enumerate() {
        let mut rng = Rng::new(set as u64);
        let (kv, model) = layered::<()>(tiny(Compaction::Manual, 100), &keys, &mut rng);
        for _ in 0..6 {
            check(&kv, &model, &Table::made(&mut rng));
        }
        check(&kv, &model, &AlwaysMatch);
    }
}

#[test]
fn what_cannot_match_is_passed_over() {
    struct Counted<A>(A, Cell<usize>);
    impl<A: Automaton> Automaton for Counted<A> {
        type State = A::State;
        fn start(&self) -> A::State {
            self.0.start()
        }
        fn is_match(&self, state: &A::State) -> bool {
            self.0.is_match(state)
        }
        fn can_match(&self, state: &A::State) -> bool {
            self.0.can_match(state)
        }
        fn accept(&self, state: &A::State, byte: u8) -> A::State {
            self.1.set(self.1.get() + 1);
            self.0.accept(state, byte)
        }
    }
    let entries = (0..200_000u32).map(|n| (format!("{:02}/{n:06}/page", n % 50), n));
    let mut sorted: Vec<(String, u32)> = entries.collect();
    sorted.sort_unstable();
    let kv: MemKV<String, u32> = MemKV::from_sorted(sorted).expect("sorted");
    let counted = Counted(Str::new("17/1000").starts_with(), Cell::new(0));
    let mut looked = 0;
    let mut search = kv.iter().search(&counted);
    while search.next().is_some() {
        looked += 1;
    }
    assert_eq!(looked, 2, "100017 and 100067");
    assert!(counted.1.get() < 500, "{} bytes were read", counted.1.get());
}

#[test]
fn damage_is_an_error_for_the_search_that_meets_it_and_no_other() {
    let (storage, path) = (MemoryStorage::default(), Path::new("map"));
    let entries = (0..20_000u32).map(|n| (format!("key {n:07}"), n));
    let kv: MemKV<String, u32> = MemKV::from_sorted(entries).expect("sorted");
    kv.save_in(&storage, path).expect("a store in memory");
    let middle = storage.read(path).expect("it was saved").len() / 2;
    storage.change(path, |bytes| bytes[middle] ^= 1);
    let options = Options { residence: Residence::Mapped, ..manual() };
    let opened = MemKV::<String, u32>::open_in(Box::new(storage), path, options, Access::ReadOnly);
    let kv = opened.expect("damage is found where it is read");
    let mut search = kv.iter().search(Subsequence::new("k7")).fallible();
    let error = search.by_ref().find_map(Result::err).expect("it comes to the damage");
    assert!(matches!(error, Error::Damaged { .. }), "{error}");
    assert!(search.next().is_none());
    // What is passed over is not read.
    let last = kv.iter().search(Str::new("key 0019999")).next();
    assert_eq!(last, Some((String::from("key 0019999"), 19_999)));
}

#[test]
fn searches_of_forged_files_get_ahead_and_end() {
    /// Passes over each second hundred.
    struct Hundreds;
    impl Automaton for Hundreds {
        type State = Option<usize>;
        fn start(&self) -> Self::State {
            Some(0)
        }
        fn is_match(&self, state: &Self::State) -> bool {
            state.is_some()
        }
        fn can_match(&self, state: &Self::State) -> bool {
            state.is_some()
        }
        fn accept(&self, state: &Self::State, byte: u8) -> Self::State {
            state.filter(|at| *at != 8 || byte.is_multiple_of(2)).map(|at| at + 1)
        }
    }
    let path = Path::new("map");
    let (mut ended, mut refused) = (0, 0);
    for_seeds(1, 1_500, |seed| {
        let mut rng = Rng::new(seed);
        let storage = MemoryStorage::default();
        let profile = *rng.pick(&[Profile::Balanced, Profile::Fastest, Profile::Smallest]);
        let options = Options { profile, ..manual() };
        let entries = (0..3_000u32).map(|n| (format!("key {n:07}"), n));
        let kv: MemKV<String, u32> =
            MemKV::from_sorted_with_options(entries, options.clone()).expect("sorted");
        kv.save_in(&storage, path).expect("a store in memory");
        let mut file = storage.read(path).expect("it was saved").to_vec();
        for _ in 0..rng.within(1..=40) {
            let at = rng.below(file.len());
            file[at] = rng.byte();
        }
        reseal(&mut file);
        storage.write(path, &file);
        let opened =
            MemKV::<String, u32>::open_in(Box::new(storage), path, options, Access::ReadOnly);
        let Ok(kv) = opened else { return };
        let mut last = None;
        for found in kv.iter().search(Hundreds).fallible() {
            let Ok((key, _)) = found else {
                refused += 1;
                return;
            };
            assert!(last < Some(key.clone()), "{key} after {last:?}");
            last = Some(key);
        }
        ended += 1;
    });
    assert!(ended > 20 && refused > 20, "{ended} ended, {refused} refused");
}
