//! Code of the caller that panics, at each of its calls in turn.
//!
//! Keys, closures and iterators share a fuse: so many calls from now, one panics. Each operation is
//! made with a longer and longer fuse until it goes through. After each panic the map must be
//! sound, hold what it held before or after the operation (or, where entries arrive one by one, so
//! many of them), and take part in the next operation, so that no lock was left behind.

use super::MemKV;
use crate::key::{CodecName, Key, KeyBuf, KeyError, KeyForm, KeyPosition};
use crate::options::{Compaction, Options};
use crate::testing::rng::{Rng, for_seeds};
use std::cell::Cell;
use std::collections::BTreeMap;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

thread_local! {
    /// Calls until one panics.
    static FUSE: Cell<Option<u64>> = const { Cell::new(None) };
}

/// What a burnt fuse panics with.
struct Burnt;

/// A call of the user's code. Unwinds without the hook, which would print each time.
fn burn() {
    match FUSE.get() {
        Some(0) => {
            FUSE.set(None);
            resume_unwind(Box::new(Burnt));
        }
        Some(left) => FUSE.set(Some(left - 1)),
        None => {}
    }
}

/// A key whose every method may panic.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Fused(String);

impl KeyForm<Fused> for Fused {
    fn encode(&self, position: KeyPosition, out: &mut KeyBuf) {
        burn();
        KeyForm::<String>::encode(&self.0, position, out);
        burn();
    }
}

impl Key for Fused {
    fn write_codec(out: &mut CodecName) {
        String::write_codec(out);
    }

    fn decode(bytes: &[u8]) -> Result<Self, KeyError> {
        burn();
        String::decode(bytes).map(Fused)
    }

    fn decode_leading(bytes: &[u8]) -> Result<(Self, &[u8]), KeyError> {
        burn();
        String::decode_leading(bytes).map(|(key, rest)| (Self(key), rest))
    }
}

impl fmt::Debug for Fused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        burn();
        f.write_str(&self.0)
    }
}

type Map = MemKV<Fused, String>;
type Model = BTreeMap<Fused, String>;
type Pair = (Fused, String);

/// Entries that a user's iterator gives.
fn given(entries: &[Pair]) -> impl Iterator<Item = Pair> {
    entries.iter().inspect(|_| burn()).cloned()
}

/// One operation, which is made again and again until it does not panic.
enum Operation {
    Get(Fused),
    GetWith(Fused),
    MultiGet(Vec<Fused>),
    Insert(Fused, String),
    Remove(Fused),
    Extend(Vec<Pair>),
    ExtendSorted(Vec<Pair>),
    FromSorted(Vec<Pair>),
    Range(Fused, Fused),
    Show,
}

impl Operation {
    fn random(rng: &mut Rng) -> Self {
        let key = |rng: &mut Rng| Fused(format!("{:x}", rng.below(100)));
        let value = |rng: &mut Rng| {
            let len = *rng.pick(&[0, 3, 40, 1_500]);
            String::from_utf8(vec![b'a' + rng.below(26) as u8; len]).expect("letters")
        };
        let pair = |rng: &mut Rng| (key(rng), value(rng));
        let pairs = |rng: &mut Rng| (0..rng.below(8)).map(|_| pair(rng)).collect::<Vec<_>>();
        let sorted = |rng: &mut Rng| Model::from_iter(pairs(rng)).into_iter().collect();
        match rng.below(13) {
            0 => Self::Get(key(rng)),
            1 => Self::GetWith(key(rng)),
            2..5 => Self::Insert(key(rng), value(rng)),
            5..7 => Self::Remove(key(rng)),
            7 => Self::Extend(pairs(rng)),
            8 => Self::ExtendSorted(sorted(rng)),
            9 => Self::FromSorted(sorted(rng)),
            10 => Self::Range(key(rng), key(rng)),
            11 => Self::MultiGet((0..rng.below(20)).map(|_| key(rng)).collect()),
            _ => Self::Show,
        }
    }

    fn run(&self, map: &Map) {
        match self {
            Self::Get(key) => drop(map.get(key)),
            Self::GetWith(key) => {
                map.get_with(key, |value: &str| {
                    burn();
                    // The closure may use the map, and what it was lent stays.
                    map.put(Fused("lent".to_owned()), "");
                    map.delete(Fused("lent".to_owned()));
                    assert!(value.len() < 2_000);
                });
            }
            Self::MultiGet(keys) => assert_eq!(map.multi_get(keys).len(), keys.len()),
            Self::Insert(key, value) => drop(map.insert(key, value)),
            Self::Remove(key) => drop(map.remove(key)),
            Self::Extend(pairs) => map.extend(given(pairs)),
            Self::ExtendSorted(pairs) => {
                map.extend_sorted(given(pairs)).expect("sorted");
            }
            Self::FromSorted(pairs) => {
                let made = Map::from_sorted(given(pairs)).expect("sorted");
                assert_eq!(made.len(), pairs.len());
            }
            Self::Range(from, to) => {
                let mut found = map.range(from.min(to)..from.max(to));
                while found.next().is_some() && found.next_back().is_some() {}
            }
            Self::Show => assert!(format!("{map:?}").starts_with('{')),
        }
    }

    /// The states that a map may be in after the operation has panicked; the last is that after
    /// the whole operation.
    fn states(&self, before: &Model) -> Vec<Model> {
        let mut states = vec![before.clone()];
        let mut step = |change: &dyn Fn(&mut Model)| {
            let mut next = states.last().unwrap_or(before).clone();
            change(&mut next);
            states.push(next);
        };
        match self {
            Self::Insert(key, value) => {
                step(&|model| drop(model.insert(key.clone(), value.clone())));
            }
            Self::Remove(key) => step(&|model| drop(model.remove(key))),
            Self::Extend(pairs) => {
                for (key, value) in pairs {
                    step(&|model| drop(model.insert(key.clone(), value.clone())));
                }
            }
            Self::ExtendSorted(pairs) => step(&|model| model.extend(pairs.iter().cloned())),
            Self::GetWith(_) => {
                // A panic may come between the two writes of the closure.
                step(&|model| drop(model.insert(Fused("lent".to_owned()), String::new())));
                step(&|model| drop(model.remove(&Fused("lent".to_owned()))));
            }
            Self::Get(_)
            | Self::MultiGet(_)
            | Self::FromSorted(_)
            | Self::Range(..)
            | Self::Show => {}
        }
        states
    }
}

/// Makes random operations with fuses of all lengths, and answers how many panicked.
fn panics_of(seed: u64, compaction: Compaction, operations: usize) -> u64 {
    let floor = 4 << 10;
    let map =
        Map::with_options(Options { compaction, delta_floor_bytes: floor, ..Options::default() });
    let mut rng = Rng::new(seed);
    let mut model = Model::new();
    let mut panics = 0;
    for _ in 0..operations {
        let operation = Operation::random(&mut rng);
        for fuse in 0.. {
            let states = operation.states(&model);
            FUSE.set(Some(fuse));
            let outcome = catch_unwind(AssertUnwindSafe(|| operation.run(&map)));
            FUSE.set(None);
            let content = Model::from_iter(&map);
            assert_eq!(map.len(), content.len());
            let went_through = match outcome {
                Ok(()) => true,
                Err(panic) if panic.is::<Burnt>() => false,
                Err(panic) => resume_unwind(panic),
            };
            if went_through {
                assert!(states.last() == Some(&content), "the state after the operation");
            } else {
                assert!(states.contains(&content), "a state between before and after");
                panics += 1;
                if panics % 16 == 0 {
                    map.core().check();
                }
            }
            model = content;
            if went_through {
                break;
            }
        }
    }
    map.core().check();
    // No pin was left behind: the next write after them gives all blocks in limbo back.
    map.put(Fused("last".to_owned()), "");
    map.put(Fused("last".to_owned()), "");
    assert_eq!(map.stats().delta_limbo_bytes, 0, "bytes that a forgotten pin would keep");
    panics
}

#[test]
fn a_map_survives_a_panic_at_each_call_of_the_users_code() {
    const OPERATIONS: usize = if cfg!(miri) { 20 } else { 500 };
    let mut panics = 0;
    for compaction in [Compaction::Manual, Compaction::Inline, Compaction::Background] {
        for_seeds(1, 1, |seed| panics += panics_of(seed, compaction, OPERATIONS));
    }
    assert!(panics > 10 * OPERATIONS as u64, "{panics} panics");
}
