//! `fst`: an immutable transducer.

use crate::kind::Kind;
use crate::peer::{Abilities, Entrant, Entries, Made, Maker, Peer, Walk};
use fst::{IntoStreamer, Streamer};
use std::marker::PhantomData;

struct Fst<K: ?Sized>(fst::Map<Vec<u8>>, PhantomData<K>);

impl<K: Kind + ?Sized> Peer<K> for Fst<K> {
    fn get(&self, key: &K) -> Option<u64> {
        key.with_bytes(|key| self.0.get(key))
    }

    fn walk(&self, from: Option<&K>, limit: usize, walk: &mut Walk) {
        let range = self.0.range();
        let range = match from {
            Some(from) => from.with_bytes(|from| range.ge(from)),
            None => range,
        };
        let mut stream = range.into_stream();
        let mut left = limit;
        while left > 0
            && let Some((key, value)) = stream.next()
        {
            walk.add(K::encoded_weight(key), value);
            left -= 1;
        }
    }
}

fn bulk<K: Kind + ?Sized>(entries: &Entries<K>) -> Made<K> {
    let mut builder = fst::MapBuilder::memory();
    for (key, value) in entries.ascending() {
        key.with_bytes(|key| builder.insert(key, value)).map_err(|error| error.to_string())?;
    }
    let mut bytes = builder.into_inner().map_err(|error| error.to_string())?;
    bytes.shrink_to_fit();
    let map = fst::Map::new(bytes).map_err(|error| error.to_string())?;
    Ok(Box::new(Fst(map, PhantomData)))
}

pub(super) const ENTRANT: Entrant = Entrant {
    name: "fst",
    package: "fst",
    note: "immutable; cannot be walked backwards",
    abilities: Abilities { walk_back: false, ..Abilities::BUILT },
    bytes: Some(Maker::bulk(bulk)),
    integers: Some(Maker::bulk(bulk)),
};
