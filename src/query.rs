//! Searches: the entries of a walk whose keys an automaton accepts.
//!
//! A walk is in key order, so that neighbouring keys share prefixes. The states that led to a key are
//! kept, and the next key goes on behind what both share. Once a state cannot lead to a match, no key
//! that begins alike can match: these are passed over, the first few one by one, all others by one
//! search for what comes behind them. That works over any layer and any codec.

use crate::bytes::common_prefix;
use crate::error::Error;
use crate::iter::{Iter, Looked, passed};
use crate::key::Key;
use crate::range::prefix_successor;
use crate::value::Value;
use fst::Automaton;
use std::fmt;
use std::iter::FusedIterator;

/// Keys that are passed over one by one before those behind them are searched for, which takes as long as
/// some twenty steps. SCRATCHPAD.md section 3.5.
const PATIENCE: usize = 8;

/// What is known of keys that begin alike.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// None is accepted.
    Dead,
    /// All are accepted.
    Accepted,
}

/// What an automaton makes of keys in ascending order.
struct Run<A: Automaton> {
    automaton: A,
    /// The last key that it was run over.
    key: Vec<u8>,
    /// Its state after each byte of that key, the first before all of them, as far as it went.
    states: Vec<A::State>,
    /// Where it knew enough, if it did: after the last of these states.
    fate: Option<Fate>,
    /// Keys that have been dead for the same reason, one after the other.
    passed: usize,
}

impl<A: Automaton> Run<A> {
    fn new(automaton: A) -> Self {
        let start = automaton.start();
        let mut run = Self { automaton, key: vec![], states: vec![start], fate: None, passed: 0 };
        run.settle();
        run
    }

    /// Bytes of the last key that the automaton has read.
    fn depth(&self) -> usize {
        self.states.len() - 1
    }

    /// Whether it accepts `key`, which is greater than all before it.
    fn accepts(&mut self, key: &[u8]) -> bool {
        let shared = common_prefix(&self.key, key);
        if shared >= self.depth()
            && let Some(fate) = self.fate
        {
            self.passed += usize::from(fate == Fate::Dead);
            return fate == Fate::Accepted;
        }
        self.states.truncate(shared + 1);
        self.key.truncate(shared);
        self.key.extend_from_slice(&key[shared..]);
        (self.fate, self.passed) = (None, 0);
        self.settle();
        while self.fate.is_none()
            && let Some(byte) = self.key.get(self.depth())
        {
            let next = self.automaton.accept(&self.states[self.depth()], *byte);
            self.states.push(next);
            self.settle();
        }
        if let Some(fate) = self.fate {
            return fate == Fate::Accepted;
        }
        let last = &self.states[self.depth()];
        match self.automaton.accept_eof(last) {
            Some(end) => self.automaton.is_match(&end),
            None => self.automaton.is_match(last),
        }
    }

    /// Looks whether the last state says enough of all keys that begin alike.
    fn settle(&mut self) {
        let state = &self.states[self.depth()];
        self.fate = if !self.automaton.can_match(state) {
            Some(Fate::Dead)
        } else if self.automaton.will_always_match(state) {
            Some(Fate::Accepted)
        } else {
            None
        };
    }

    /// What all keys begin with that are dead, if so many of them came one after the other that it is
    /// time to look for others.
    fn dead(&self) -> Option<&[u8]> {
        let is_due =
            self.fate == Some(Fate::Dead) && (self.passed >= PATIENCE || self.depth() == 0);
        is_due.then(|| &self.key[..self.depth()])
    }
}

/// The entries of a walk whose keys an automaton accepts, in key order; made by
/// [`Iter::search`](crate::Iter::search).
///
/// # Panics
/// If stored bytes turn out to be damaged; see [`fallible`](Self::fallible).
#[must_use = "iterators are lazy and do nothing unless consumed"]
pub struct Search<K, V, A: Automaton> {
    entries: Iter<K, V>,
    run: Run<A>,
}

impl<K: Key, V: Value, A: Automaton> Search<K, V, A> {
    pub(crate) fn new(entries: Iter<K, V>, automaton: A) -> Self {
        Self { entries, run: Run::new(automaton) }
    }

    /// The same entries, each as a `Result`: for maps whose file may be damaged.
    pub fn fallible(self) -> TrySearch<K, V, A> {
        TrySearch { search: self }
    }

    fn step(&mut self) -> Result<Option<(K, V)>, Error> {
        let Self { entries, run } = self;
        loop {
            if let Some(prefix) = run.dead() {
                match prefix_successor(prefix) {
                    Some(behind) => entries.jump(&behind),
                    None => entries.end(),
                }
            }
            match entries.look_at(|key| run.accepts(key))? {
                Looked::Wanted(entry) => return Ok(Some(entry)),
                Looked::Other => {}
                Looked::End => return Ok(None),
            }
        }
    }
}

impl<K: Key, V: Value, A: Automaton> Iterator for Search<K, V, A> {
    type Item = (K, V);

    #[track_caller]
    fn next(&mut self) -> Option<Self::Item> {
        passed(self.step())
    }
}

impl<K: Key, V: Value, A: Automaton> FusedIterator for Search<K, V, A> {}

impl<K, V, A: Automaton> fmt::Debug for Search<K, V, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Search").finish_non_exhaustive()
    }
}

/// The entries of a walk whose keys an automaton accepts, or why they cannot be read; made by
/// [`Search::fallible`]. After an error there are no more items.
#[must_use = "iterators are lazy and do nothing unless consumed"]
pub struct TrySearch<K, V, A: Automaton> {
    search: Search<K, V, A>,
}

impl<K: Key, V: Value, A: Automaton> Iterator for TrySearch<K, V, A> {
    type Item = Result<(K, V), Error>;

    fn next(&mut self) -> Option<Self::Item> {
        self.search.step().transpose()
    }
}

impl<K: Key, V: Value, A: Automaton> FusedIterator for TrySearch<K, V, A> {}

impl<K, V, A: Automaton> fmt::Debug for TrySearch<K, V, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TrySearch").finish_non_exhaustive()
    }
}
