//! `rart`: an adaptive radix tree for one thread.

use crate::kind::Kind;
use crate::peer::{Abilities, Entrant, Entries, Made, Maker, Peer, Walk};
use rart::{AdaptiveRadixTree, ArrayKey, KeyTrait, OverflowKey};

/// Keys as the tree takes them: strings end with a zero byte, since none may be a prefix of
/// another.
trait Radix: Kind {
    type Key: KeyTrait;
    const END_BYTES: usize;

    fn radix_key(&self) -> Self::Key;
}

impl Radix for [u8] {
    type Key = OverflowKey<32, 8>;
    const END_BYTES: usize = 1;

    fn radix_key(&self) -> Self::Key {
        let mut builder = OverflowKey::builder();
        builder.extend_from_slice(self);
        builder.push(0);
        builder.finish()
    }
}

impl Radix for u64 {
    type Key = ArrayKey<8>;
    const END_BYTES: usize = 0;

    fn radix_key(&self) -> Self::Key {
        (*self).into()
    }
}

struct Tree<K: Radix + ?Sized>(AdaptiveRadixTree<K::Key, u64>);

impl<K: Radix + ?Sized> Peer<K> for Tree<K> {
    fn get(&self, key: &K) -> Option<u64> {
        key.with_terminated(|key| self.0.get_bytes(key).copied())
    }

    fn insert(&mut self, key: &K, value: u64) {
        self.0.insert_k(&key.radix_key(), value);
    }

    fn remove(&mut self, key: &K) -> bool {
        self.0.remove_k(&key.radix_key()).is_some()
    }

    fn walk(&self, from: Option<&K>, limit: usize, walk: &mut Walk) {
        let mut add = |(key, value): (K::Key, &u64)| {
            let bytes = key.as_ref();
            walk.add(K::encoded_weight(&bytes[..bytes.len().saturating_sub(K::END_BYTES)]), *value);
        };
        match from {
            Some(from) => self.0.range(from.radix_key()..).take(limit).for_each(&mut add),
            None => self.0.iter().take(limit).for_each(add),
        }
    }
}

fn empty<K: Radix + ?Sized>(_: &Entries<K>) -> Made<K> {
    Ok(Box::new(Tree::<K>(AdaptiveRadixTree::new())))
}

pub(super) const ENTRANT: Entrant = Entrant {
    name: "rart",
    package: "rart",
    note: "`ArrayKey<8>`, or `OverflowKey<32, 8>` with a zero byte at the end; no walk backwards",
    abilities: Abilities { walk_back: false, ..Abilities::ORDERED },
    bytes: Some(Maker::empty(empty)),
    integers: Some(Maker::empty(empty)),
};
