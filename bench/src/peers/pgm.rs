//! Two piecewise linear indexes over sorted integers.

use crate::kind::Kind;
use crate::peer::{Abilities, Entrant, Entries, Made, Maker, Peer, Walk};
use pgm_extra::Map;
use pgm_index::PGMIndex;

/// How far a prediction may be off, in positions: what both projects call a good balance.
const EPSILON: usize = 64;
const EPSILON_RECURSIVE: usize = 4;

struct Extra(Map<u64, u64>);

impl Peer<u64> for Extra {
    fn get(&self, key: &u64) -> Option<u64> {
        self.0.get(key).copied()
    }

    fn walk(&self, from: Option<&u64>, limit: usize, walk: &mut Walk) {
        let from = from.copied().unwrap_or(0);
        self.0.range(from..).take(limit).for_each(|(key, value)| walk.add(key.weight(), *value));
    }

    fn walk_back(&self, walk: &mut Walk) {
        self.0.iter().rev().for_each(|(key, value)| walk.add(key.weight(), *value));
    }
}

/// The index finds positions; the values stand beside it. It has no call for a lower bound.
struct Index {
    keys: PGMIndex<u64>,
    values: Vec<u64>,
}

impl Peer<u64> for Index {
    fn get(&self, key: &u64) -> Option<u64> {
        self.keys.get(*key).map(|position| self.values[position])
    }
}

fn extra(entries: &Entries<u64>) -> Made<u64> {
    let sorted = entries.ascending().map(|(key, value)| (*key, value));
    let map = Map::build(sorted, EPSILON, EPSILON_RECURSIVE).map_err(|error| error.to_string())?;
    Ok(Box::new(Extra(map)))
}

fn index(entries: &Entries<u64>) -> Made<u64> {
    let keys = entries.ascending().map(|(key, _)| *key).collect();
    let values = entries.ascending().map(|(_, value)| value).collect();
    Ok(Box::new(Index { keys: PGMIndex::new(keys, EPSILON), values }))
}

pub(super) const EXTRA: Entrant = Entrant {
    name: "pgm-extra",
    package: "pgm-extra",
    note: "immutable; epsilon 64",
    abilities: Abilities::BUILT,
    bytes: None,
    integers: Some(Maker::bulk(extra)),
};

pub(super) const INDEX: Entrant = Entrant {
    name: "pgm-index",
    package: "pgm_index",
    note: "immutable; epsilon 64; exact gets only",
    abilities: Abilities { walk: false, walk_back: false, ..Abilities::BUILT },
    bytes: None,
    integers: Some(Maker::bulk(index)),
};
