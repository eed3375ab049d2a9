//! `redb` with its memory back end: a copy-on-write B-tree with transactions.

use crate::kind::Kind;
use crate::peer::{Abilities, Answers, Entrant, Entries, Made, Maker, Peer, Walk, chain, each};
use redb::backends::InMemoryBackend;
use redb::{
    Database, Durability, ReadOnlyTable, ReadableDatabase, ReadableTable, TableDefinition,
    WriteTransaction,
};
use std::marker::PhantomData;

struct Redb<K: ?Sized>(Database, PhantomData<K>);

const TABLE: TableDefinition<'static, &'static [u8], u64> = TableDefinition::new("entries");
const SOUND: &str = "memory does not fail";

impl<K: Kind + ?Sized> Redb<K> {
    fn table(&self) -> ReadOnlyTable<&'static [u8], u64> {
        self.0.begin_read().expect(SOUND).open_table(TABLE).expect(SOUND)
    }

    /// One transaction around many writes.
    fn write<R>(&self, work: impl FnOnce(&mut redb::Table<'_, &'static [u8], u64>) -> R) -> R {
        let mut transaction: WriteTransaction = self.0.begin_write().expect(SOUND);
        transaction.set_durability(Durability::None).expect(SOUND);
        let result = work(&mut transaction.open_table(TABLE).expect(SOUND));
        transaction.commit().expect(SOUND);
        result
    }
}

fn get<K: Kind + ?Sized>(table: &ReadOnlyTable<&'static [u8], u64>, key: &K) -> Option<u64> {
    key.with_bytes(|key| table.get(key).expect(SOUND).map(|value| value.value()))
}

impl<K: Kind + ?Sized> Peer<K> for Redb<K> {
    fn get(&self, key: &K) -> Option<u64> {
        get(&self.table(), key)
    }

    fn insert(&mut self, key: &K, value: u64) {
        self.write(|table| key.with_bytes(|key| drop(table.insert(key, value).expect(SOUND))));
    }

    fn remove(&mut self, key: &K) -> bool {
        self.write(|table| key.with_bytes(|key| table.remove(key).expect(SOUND).is_some()))
    }

    fn walk(&self, from: Option<&K>, limit: usize, walk: &mut Walk) {
        let table = self.table();
        let mut add = |from: &[u8]| {
            for entry in table.range(from..).expect(SOUND).take(limit) {
                let (key, value) = entry.expect(SOUND);
                walk.add(K::encoded_weight(key.value()), value.value());
            }
        };
        match from {
            Some(from) => from.with_bytes(add),
            None => add(&[]),
        }
    }

    fn walk_back(&self, walk: &mut Walk) {
        for entry in self.table().iter().expect(SOUND).rev() {
            let (key, value) = entry.expect(SOUND);
            walk.add(K::encoded_weight(key.value()), value.value());
        }
    }

    fn get_each(&self, probes: &K::List) -> Answers {
        let table = self.table();
        each(probes, |key: &K| get(&table, key))
    }

    fn get_chain(&self, probes: &K::List) -> Answers {
        let table = self.table();
        chain(probes, |key: &K| get(&table, key))
    }

    fn load(&mut self, entries: &Entries<K>) {
        self.write(|table| {
            for index in 0..entries.len() {
                let value = entries.value(index);
                entries.key(index).with_bytes(|key| drop(table.insert(key, value).expect(SOUND)));
            }
        });
    }

    fn load_sorted(&mut self, entries: &Entries<K>) {
        self.write(|table| {
            for (key, value) in entries.ascending() {
                key.with_bytes(|key| drop(table.insert(key, value).expect(SOUND)));
            }
        });
    }
}

fn empty<K: Kind + ?Sized>(_: &Entries<K>) -> Made<K> {
    let database = Database::builder()
        .create_with_backend(InMemoryBackend::new())
        .map_err(|error| error.to_string())?;
    let redb = Redb(database, PhantomData);
    redb.write(|_| ());
    Ok(Box::new(redb))
}

pub(super) const ENTRANT: Entrant = Entrant {
    name: "redb",
    package: "redb",
    note: "in memory; one transaction for each load or pass, one for each single write",
    abilities: Abilities::ORDERED,
    bytes: Some(Maker::empty(empty)),
    integers: Some(Maker::empty(empty)),
};
