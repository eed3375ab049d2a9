//! Timed passes over a map, each with a checksum of what it answered.

use super::keys::{KeyList, Keys};
use super::peers::{Peer, PeerMut};
use super::random::{Values, value_of};
use std::hint::black_box;
use std::time::Instant;

/// What a pass saw: equal for any two maps that answer alike.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Answers {
    pub(crate) found: u64,
    pub(crate) sum: u64,
}

/// One pass: nanoseconds for each key, and the answers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Timed {
    pub(crate) ns: f64,
    pub(crate) answers: Answers,
}

/// Nanoseconds per item of `items` that `work` took, with its result.
pub(crate) fn time<R>(items: usize, work: impl FnOnce() -> R) -> (f64, R) {
    let start = Instant::now();
    let result = black_box(work());
    (start.elapsed().as_nanos() as f64 / items.max(1) as f64, result)
}

/// Inserts all keys in list order; nanoseconds for each.
pub(crate) fn load<L: KeyList, P: PeerMut<L::Key>>(
    map: &mut P,
    keys: &L,
    values: impl Into<Values>,
) -> f64 {
    let values = values.into();
    let fill = || (0..keys.len()).for_each(|i| map.insert(keys.key(i), value_of(values, i)));
    time(keys.len(), fill).0
}

/// A filled map, whatever its type. The loops are compiled for each type; only the call that
/// starts a pass goes through the table.
pub(crate) trait Subject<L: KeyList> {
    /// Gets one after the other, none waiting for another's answer.
    fn get_each(&self, probes: &L) -> Timed;

    /// Gets of which each needs the answer of the one before.
    fn get_chained(&self, probes: &L) -> Timed;

    /// A walk over all entries that reads keys and values.
    fn scan(&self) -> Timed;

    /// Compares a walk with the sorted keys, entry by entry.
    fn check_order(&self, keys: &L, sorted: &[u32], values: Values) -> Result<(), String>
    where
        L: Keys;
}

impl<L: KeyList, P: Peer<L::Key>> Subject<L> for P {
    fn get_each(&self, probes: &L) -> Timed {
        let (ns, answers) = time(probes.len(), || {
            let mut answers = Answers::default();
            for i in 0..probes.len() {
                answers.add(i, self.get(probes.key(i)));
            }
            answers
        });
        Timed { ns, answers }
    }

    fn get_chained(&self, probes: &L) -> Timed {
        // Zero, but the compiler cannot know: the next position waits for this answer.
        let zero = black_box(0_u64);
        let (ns, answers) = time(probes.len(), || {
            let mut answers = Answers::default();
            let mut position = 0;
            while position < probes.len() {
                let answer = self.get(probes.key(position));
                answers.add(position, answer);
                position += 1 + (answer.unwrap_or(0) & zero) as usize;
            }
            answers
        });
        Timed { ns, answers }
    }

    fn scan(&self) -> Timed {
        let start = Instant::now();
        let mut answers = Answers::default();
        self.visit(|key, value| {
            answers.found += 1;
            answers.sum = answers.sum.wrapping_add(value ^ L::weight(key));
        });
        let answers = black_box(answers);
        let ns = start.elapsed().as_nanos() as f64 / answers.found.max(1) as f64;
        Timed { ns, answers }
    }

    fn check_order(&self, keys: &L, sorted: &[u32], values: Values) -> Result<(), String>
    where
        L: Keys,
    {
        let mut position = 0;
        let mut first_wrong = None;
        self.visit(|key, value| {
            let right = sorted.get(position).is_some_and(|&index| {
                let index = index as usize;
                keys.key(index) == key && value_of(values, index) == value
            });
            if !right && first_wrong.is_none() {
                first_wrong = Some(position);
            }
            position += 1;
        });
        match first_wrong {
            Some(at) => Err(format!("a walk has a wrong entry at position {at}")),
            None if position != sorted.len() => {
                Err(format!("a walk ends after {position} of {} entries", sorted.len()))
            }
            None => Ok(()),
        }
    }
}

impl Answers {
    fn add(&mut self, position: usize, answer: Option<u64>) {
        if let Some(value) = answer {
            self.found += 1;
            self.sum = self.sum.wrapping_add(value.rotate_left(position as u32 % 64));
        }
    }
}

/// Times of several passes over the same work.
#[derive(Clone, Debug, Default)]
pub(crate) struct Passes(Vec<f64>);

impl Passes {
    pub(crate) fn push(&mut self, ns: f64) {
        self.0.push(ns);
    }

    pub(crate) fn best(&self) -> Option<f64> {
        self.0.iter().copied().min_by(f64::total_cmp)
    }

    pub(crate) fn median(&self) -> Option<f64> {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        sorted.get(sorted.len() / 2).copied()
    }
}
