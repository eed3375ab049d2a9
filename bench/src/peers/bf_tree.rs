//! `bf-tree`: a larger-than-memory range index, here with its pages in memory.

use crate::kind::{KeyList, Kind};
use crate::peer::{Abilities, Calls, Entrant, Entries, Made, Maker, Peer, Shared, Walk};
use bf_tree::{BfTree, Config, LeafReadResult, ScanReturnField};
use std::marker::PhantomData;

struct Bf<K: ?Sized> {
    tree: BfTree,
    longest: usize,
    kind: PhantomData<fn(&K)>,
}

const VALUE_BYTES: usize = size_of::<u64>();

fn read(tree: &BfTree, key: &[u8]) -> Option<u64> {
    let mut value = [0; VALUE_BYTES];
    matches!(tree.read(key, &mut value), LeafReadResult::Found(_))
        .then(|| u64::from_le_bytes(value))
}

impl<K: Kind + ?Sized> Peer<K> for Bf<K> {
    fn get(&self, key: &K) -> Option<u64> {
        key.with_bytes(|key| read(&self.tree, key))
    }

    fn insert(&mut self, key: &K, value: u64) {
        key.with_bytes(|key| self.tree.insert(key, &value.to_le_bytes()));
    }

    fn remove(&mut self, key: &K) -> bool {
        // A delete does not tell whether the key was there.
        key.with_bytes(|key| {
            let was_there = read(&self.tree, key).is_some();
            self.tree.delete(key);
            was_there
        })
    }

    fn walk(&self, from: Option<&K>, limit: usize, walk: &mut Walk) {
        let mut buffer = vec![0; self.longest + VALUE_BYTES];
        let mut scan_from = |from: &[u8]| {
            let scan = self.tree.scan_with_count(from, limit, ScanReturnField::KeyAndValue);
            let Ok(mut scan) = scan else { return };
            while let Some((key_len, value_len)) = scan.next(&mut buffer) {
                let (key, value) = buffer[..key_len + value_len].split_at(key_len);
                let value = value.try_into().map_or(0, u64::from_le_bytes);
                walk.add(K::encoded_weight(key), value);
            }
        };
        match from {
            Some(from) => from.with_bytes(scan_from),
            None => scan_from(&[0]),
        }
    }

    fn share(&self, threads: usize) -> Vec<Box<dyn Shared<K> + Send + '_>> {
        let handle = || -> Box<dyn Shared<K> + Send + '_> {
            Box::new(Calls(
                |key: &K| key.with_bytes(|key| read(&self.tree, key)),
                |key: &K, value: u64| {
                    key.with_bytes(|key| drop(self.tree.insert(key, &value.to_le_bytes())));
                },
            ))
        };
        (0..threads).map(|_| handle()).collect()
    }
}

fn empty<K: Kind + ?Sized>(entries: &Entries<K>) -> Made<K> {
    let lengths = (0..entries.len()).map(|at| entries.key(at).with_bytes(<[u8]>::len));
    // Two more than the set needs: walks also begin at keys that are a little longer.
    let longest = lengths.max().unwrap_or(0).max(VALUE_BYTES) + 2;
    let raw_bytes = entries.keys.key_bytes() + entries.len() * VALUE_BYTES;
    // The cache in front of the pages is a quarter of the data, as the project's paper has it.
    let cache_bytes = (raw_bytes / 4).next_power_of_two().max(1 << 20);
    let mut config = Config::new(":memory:", cache_bytes);
    config.cb_max_key_len(longest).max_fence_len(2 * longest).cb_min_record_size(VALUE_BYTES + 1);
    let record_bytes = longest + VALUE_BYTES;
    config.leaf_page_size(if record_bytes > 512 { 16_384 } else { 4_096 });
    config.cb_max_record_size(record_bytes.max(256));
    let tree = BfTree::with_config(config, None).map_err(|error| format!("{error:?}"))?;
    Ok(Box::new(Bf { tree, longest, kind: PhantomData }))
}

pub(super) const ENTRANT: Entrant = Entrant {
    name: "bf-tree",
    package: "bf-tree",
    note: "pages in memory, a cache of a quarter of the data, and fixed tables of some 25 MB that \
           weigh on small sets; cannot be walked backwards",
    abilities: Abilities { walk_back: false, ..Abilities::ALL },
    bytes: Some(Maker::empty(empty)),
    integers: Some(Maker::empty(empty)),
};
