//! Sweeps: each byte flipped, each length, each call refused, each moment of a crash.
//!
//! In an ordinary run the byte sweeps look at a sample; `MEMKV_SWEEPS=complete`, best with
//! `--release`, looks at every byte:
//!
//! ```sh
//! MEMKV_SWEEPS=complete cargo test --release --lib store::tests::sweeps -- --nocapture
//! ```

use super::super::Access;
use crate::blocks::BLOCK;
use crate::cursor::Cursor;
use crate::error::Error;
use crate::map::MemKV;
use crate::mmap::guarded::Flush;
use crate::options::{Compaction, Options, Residence};
use crate::storage::Storage;
use crate::testing::memory_storage::{Fault, Loss, MemoryStorage, Refusal};
use crate::testing::tally::Tally;
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

type Map = MemKV<Vec<u8>, Vec<u8>>;

type Model = BTreeMap<Vec<u8>, Vec<u8>>;

/// The variable that asks for every byte.
const SWEEPS_VARIABLE: &str = "MEMKV_SWEEPS";

/// What is done to a byte.
const FLIPS: [u8; 3] = [0x01, 0x80, 0xff];

/// Bytes from one flipped byte of the small store to the next in an ordinary run. A prime, so that
/// all places in a block, a row and a node have their turn.
const SMALL_STRIDE: usize = 61;

/// The same for the large store.
const LARGE_STRIDE: usize = 211;

/// So many times fewer cases where each costs ten times as much.
const FEWER: usize = if cfg!(memkv_poison) { 11 } else { 1 };

/// Entries of a store of about 64 KiB, and of about 1 MiB.
const SMALL_ENTRIES: u32 = 1_000;
const LARGE_ENTRIES: u32 = 20_000;

/// Keys of the large store that each flip is tried with.
const SAMPLED_KEYS: usize = 6;

/// Every so many cases the map is also folded.
const FOLD_EVERY: usize = 8;

fn path() -> &'static Path {
    Path::new("folder/map")
}

fn stride(ordinary: usize) -> usize {
    let is_complete = std::env::var(SWEEPS_VARIABLE).is_ok_and(|value| value == "complete");
    if is_complete { 1 } else { ordinary * FEWER }
}

/// Words with shared beginnings; values of all lengths, some of them extents.
fn model(entries: u32) -> Model {
    let entry = |n: u32| {
        let key = format!("{}/{:04x}", ["usr/lib", "usr/share", "var"][n as usize % 3], n * 7);
        let len = if n % 40 == 7 { 1025 + n as usize % 300 } else { n as usize % 43 };
        (key.into_bytes(), vec![n as u8; len])
    };
    (0..entries).map(entry).collect()
}

fn manual(residence: Residence) -> Options {
    Options { compaction: Compaction::Manual, residence, ..Options::default() }
}

fn map_of(model: &Model) -> Map {
    let entries = model.iter().map(|(key, value)| (key.as_slice(), value.as_slice()));
    Map::from_sorted_with_options(entries, manual(Residence::Mapped)).expect("sorted entries")
}

fn saved(model: &Model) -> MemoryStorage {
    let storage = MemoryStorage::default();
    map_of(model).save_in(&storage, path()).expect("a sound map");
    storage
}

fn open(storage: &MemoryStorage, residence: Residence, access: Access) -> Result<Map, Error> {
    Map::open_in(Box::new(storage.clone()), path(), manual(residence), access)
}

/// Whether the error is one that says that a file is not what it should be.
fn says_damaged(error: &Error) -> bool {
    matches!(
        error,
        Error::Damaged { .. }
            | Error::NotAStore { .. }
            | Error::Version { .. }
            | Error::TypeMismatch { .. }
            | Error::Truncated { .. }
    )
}

/// What must be right is right; what cannot be told is a typed error. Answers whether there was
/// one.
fn is_refused<T: PartialEq + std::fmt::Debug>(found: Result<T, Error>, expected: &T) -> bool {
    match found {
        Ok(found) => {
            assert_eq!(&found, expected, "a wrong answer");
            false
        }
        Err(error) => {
            assert!(says_damaged(&error), "{error}");
            true
        }
    }
}

/// Reads every key and some that are not there, walks all entries both ways, writes, and verifies
/// a map that was opened from a damaged file, whose damage must show at least in the last of these.
fn use_all(map: &Map, model: &Model, folds: bool) {
    for (key, value) in model {
        is_refused(map.try_get(key), &Some(value.clone()));
    }
    for absent in [&b""[..], b"usr/", b"usr/lib/0", b"zzz"] {
        is_refused(map.try_get(absent), &None);
    }
    let keys: Vec<&[u8]> = model.keys().map(Vec::as_slice).collect();
    for keys in keys.chunks(48) {
        let right = keys.iter().map(|key| model.get(*key).cloned()).collect();
        is_refused(map.try_multi_get(keys), &right);
    }
    walk_both_ways(map, model);
    assert!(is_refused(map.verify(), &()), "verify must find the damage");
    if let Ok(old) = map.try_insert(b"usr/new", b"new") {
        assert_eq!(old, None);
        assert_eq!(map.try_get(b"usr/new").ok(), Some(Some(b"new".to_vec())));
        let is_folded = folds && !is_refused(map.compact(), &());
        assert!(!is_folded, "a fold reads all of the base, and so the damage");
    }
}

/// What a cursor shows is a prefix of what is there, from either end, and all of it unless there
/// is damage.
fn walk_both_ways(map: &Map, model: &Model) {
    let mut cursor = map.core().view_all().cursor();
    let mut entries = model.iter();
    cursor.first();
    while cursor.valid() {
        let entry = cursor.entry().live().expect("live entries");
        let (key, value) = entries.next().expect("no more entries than there are");
        assert_eq!((cursor.key(), entry), (key.as_slice(), value.as_slice()));
        cursor.next();
    }
    assert!(cursor.status().is_err() || entries.next().is_none(), "entries are missing");
    let mut entries = model.iter().rev();
    cursor.last();
    while cursor.valid() {
        let (key, _) = entries.next().expect("no more entries than there are");
        assert_eq!(cursor.key(), key.as_slice());
        cursor.prev();
    }
    assert!(cursor.status().is_err() || entries.next().is_none(), "entries are missing");
}

fn flip(storage: &MemoryStorage, at: usize, flip: u8) {
    storage.change(path(), |bytes| bytes[at] ^= flip);
}

#[test]
fn every_flipped_byte_of_a_small_store_is_a_typed_error_and_no_wrong_answer() {
    let model = model(SMALL_ENTRIES);
    let storage = saved(&model);
    let len = storage.read(path()).expect("it was saved").len();
    assert!((60 << 10..80 << 10).contains(&len), "{len} bytes");
    let mut tally = Tally::new("flips of a store of 64 KiB");
    for (case, at) in (0..len).step_by(stride(SMALL_STRIDE)).enumerate() {
        for bits in FLIPS {
            flip(&storage, at, bits);
            tally.case(format_args!("byte {at} ^ {bits:#04x}"), || {
                match open(&storage, Residence::Mapped, Access::ReadWrite) {
                    Ok(map) => use_all(&map, &model, case % FOLD_EVERY == 0),
                    Err(error) => assert!(says_damaged(&error), "{error}"),
                }
                let resident = open(&storage, Residence::Resident, Access::ReadOnly);
                let error = resident.expect_err("all of it is checked while it is loaded");
                assert!(says_damaged(&error), "{error}");
            });
            flip(&storage, at, bits);
        }
    }
    tally.finish(3_000 / FEWER as u64);
    assert_eq!(
        open(&storage, Residence::Resident, Access::ReadOnly).map(|map| map.len()),
        Ok(model.len())
    );
}

/// What a flip can reach is the block it is in and, if that is one of checksums, the blocks under
/// it. So it is checked that this block cannot be read any more, or that `verify` fails where it
/// is not a block of data; that a sample of keys is right or refused; and that the map can be
/// written to.
#[test]
fn every_flipped_byte_of_a_large_store_is_a_typed_error_and_no_wrong_answer() {
    let model = model(LARGE_ENTRIES);
    let storage = saved(&model);
    let len = storage.read(path()).expect("it was saved").len();
    assert!((1_000_000..1_300_000).contains(&len), "{len} bytes");
    let keys: Vec<(&Vec<u8>, &Vec<u8>)> = model.iter().collect();
    let mut tally = Tally::new("flips of a store of 1 MiB");
    for at in (0..len).step_by(stride(LARGE_STRIDE)) {
        for bits in FLIPS {
            flip(&storage, at, bits);
            tally.case(format_args!("byte {at} ^ {bits:#04x}"), || {
                let map = match open(&storage, Residence::Mapped, Access::ReadWrite) {
                    Ok(map) => map,
                    Err(error) => return assert!(says_damaged(&error), "{error}"),
                };
                for i in 0..SAMPLED_KEYS {
                    let (key, value) = keys[(at + i * keys.len() / SAMPLED_KEYS) % keys.len()];
                    is_refused(map.try_get(key), &Some(value.clone()));
                }
                let view = map.core().view_all().pinned(0);
                let file = view.segments().find_map(|segment| segment.file());
                let blocks = file.expect("the map reads from it");
                let block = at / BLOCK * BLOCK;
                if at < blocks.len() {
                    assert!(blocks.get(block..blocks.len().min(block + BLOCK)).is_err());
                } else {
                    assert!(is_refused(map.verify(), &()), "verify must find the damage");
                }
                let key = b"\xff".as_slice();
                if !is_refused(map.try_insert(key, b"new"), &None) {
                    assert_eq!(map.try_get(key), Ok(Some(b"new".to_vec())));
                }
            });
            flip(&storage, at, bits);
        }
    }
    tally.finish(10_000 / FEWER as u64);
    assert_eq!(
        open(&storage, Residence::Mapped, Access::ReadOnly).and_then(|map| map.verify()),
        Ok(())
    );
}

#[test]
fn a_store_of_any_other_length_is_refused() {
    const LONGER: usize = 4096;
    for (name, entries, step) in
        [("64 KiB", SMALL_ENTRIES, stride(1)), ("1 MiB", LARGE_ENTRIES, stride(13))]
    {
        let sound = saved(&model(entries)).read(path()).expect("it was saved");
        let mut tally = Tally::new(format!("other lengths of a store of {name}"));
        let refused = |storage: &MemoryStorage| {
            for residence in [Residence::Mapped, Residence::Resident] {
                let error =
                    open(storage, residence, Access::ReadWrite).expect_err("another length");
                assert!(says_damaged(&error), "{error}");
            }
            assert_eq!(storage.names(), [path()], "no lock is left");
        };
        let storage = MemoryStorage::default();
        storage.write(path(), &sound);
        for len in (0..sound.len()).step_by(step) {
            storage.set_len(path(), len);
            tally.case(format_args!("{len} bytes"), || refused(&storage));
        }
        for fill in [0x00, 0xff, 0xa5] {
            storage.write(path(), &[&sound[..], &[fill; LONGER]].concat());
            for longer in (1..=LONGER).step_by(stride(1)) {
                storage.set_len(path(), sound.len() + longer);
                tally.case(format_args!("{longer} bytes of {fill:#04x}"), || refused(&storage));
            }
        }
        tally.finish(70_000 / FEWER as u64);
    }
}

#[cfg(unix)]
#[test]
fn no_read_leaves_the_bytes_of_a_file_at_either_end() {
    let model = model(SMALL_ENTRIES / 4);
    let sound = saved(&model).read(path()).expect("it was saved");
    let mut tally = Tally::new("stores between guard pages");
    for flush in [Flush::Front, Flush::Back] {
        let storage = MemoryStorage::default();
        storage.guard(flush);
        storage.write(path(), &sound);
        tally.case("sound", || {
            let map = open(&storage, Residence::Mapped, Access::ReadWrite).expect("it is sound");
            assert!(model.iter().all(|(key, value)| map.get(key).as_ref() == Some(value)));
            walk_both_ways(&map, &model);
            map.verify().expect("it is sound");
            map.compact().expect("it is sound");
        });
        for len in (0..sound.len()).step_by(37 * FEWER).chain(sound.len() - 64..sound.len()) {
            storage.write(path(), &sound[..len]);
            tally.case(format_args!("{len} bytes, {flush:?}"), || {
                let opened = open(&storage, Residence::Mapped, Access::ReadWrite);
                assert!(says_damaged(&opened.expect_err("it is cut off")));
            });
        }
        for at in (0..sound.len()).step_by(29 * FEWER) {
            let mut bytes = sound.to_vec();
            bytes[at] ^= 0xff;
            storage.write(path(), &bytes);
            tally.case(format_args!("byte {at}, {flush:?}"), || {
                match open(&storage, Residence::Mapped, Access::ReadWrite) {
                    Ok(map) => use_all(&map, &model, true),
                    Err(error) => assert!(says_damaged(&error), "{error}"),
                }
            });
        }
    }
    tally.finish(1_000 / FEWER as u64);
}

/// Something that is done with a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Action {
    SaveToNew,
    SaveToOld,
    SaveAttached,
    Create,
    Open(Residence, Access),
}

impl Action {
    const ALL: [Self; 7] = [
        Self::Create,
        Self::SaveToNew,
        Self::SaveToOld,
        Self::SaveAttached,
        Self::Open(Residence::Mapped, Access::ReadWrite),
        Self::Open(Residence::Mapped, Access::ReadOnly),
        Self::Open(Residence::Resident, Access::ReadWrite),
    ];

    /// What is in the storage before, if anything is.
    fn start(self, old: &Model) -> MemoryStorage {
        let is_new = matches!(self, Self::SaveToNew | Self::Create);
        if is_new { MemoryStorage::default() } else { saved(old) }
    }

    /// What is in the storage when it is done.
    fn outcome(self, old: &Model, new: &Model) -> Model {
        match self {
            Self::SaveToNew | Self::SaveToOld | Self::SaveAttached => new.clone(),
            Self::Create => Model::new(),
            Self::Open(..) => old.clone(),
        }
    }

    /// Does it while `refusal` holds; `new` is what is saved. Answers how many calls there were.
    fn run(
        self,
        storage: &MemoryStorage,
        (old, new): (&Model, &Model),
        refusal: Option<(Refusal, Fault)>,
    ) -> (Result<(), Error>, usize) {
        let (map, content) = match self {
            Self::SaveToNew | Self::SaveToOld => (Some(map_of(new)), new),
            Self::SaveAttached => {
                let map = open(storage, Residence::Mapped, Access::ReadWrite).expect("it is sound");
                for key in old.keys() {
                    map.delete(key);
                }
                for (key, value) in new {
                    map.put(key, value);
                }
                (Some(map), new)
            }
            Self::Create | Self::Open(..) => (None, old),
        };
        storage.refuse(refusal);
        let done = match (self, &map) {
            (Self::SaveToNew | Self::SaveToOld, Some(map)) => map.save_in(storage, path()),
            (Self::SaveAttached, Some(map)) => map.save(),
            (Self::Create, _) => open(storage, Residence::Mapped, Access::Create)
                .map(|map| walk_both_ways(&map, &Model::new())),
            (Self::Open(residence, access), _) => {
                open(storage, residence, access).map(|map| walk_both_ways(&map, old))
            }
            (_, None) => unreachable!("what is saved was made above"),
        };
        let calls = storage.refuse(None);
        if let Some(map) = map {
            assert!(content.iter().all(|(key, value)| map.get(key).as_ref() == Some(value)));
            walk_both_ways(&map, content);
            map.core().check();
        }
        (done, calls)
    }
}

/// The content of a store that must be sound; `None` if there is no file.
fn content(storage: &MemoryStorage) -> Option<Model> {
    storage.read(path())?;
    let map = open(storage, Residence::Mapped, Access::ReadOnly).expect("a sound file");
    map.verify().expect("a sound file");
    Some(map.iter().collect())
}

fn temporary(storage: &MemoryStorage) -> Vec<PathBuf> {
    let mut names = storage.names();
    names.retain(|name| ![path(), Path::new("folder/map.lock")].contains(&name.as_path()));
    names
}

fn old_and_new() -> (Model, Model) {
    let mut new = model(600);
    new.retain(|key, _| key.last() != Some(&b'0'));
    new.insert(b"new".to_vec(), vec![9; 3000]);
    (model(500), new)
}

#[test]
fn every_refused_call_is_a_typed_error_and_leaves_a_sound_file() {
    use io::ErrorKind::{Interrupted, Other, PermissionDenied, StorageFull};
    let (old, new) = old_and_new();
    let mut tally = Tally::new("refused calls");
    let errors = [StorageFull, Other, PermissionDenied, Interrupted].map(Fault::Error);
    for action in Action::ALL {
        for fault in errors.into_iter().chain([Fault::Short]) {
            for of_call in [Refusal::Once, Refusal::From] {
                for call in 0.. {
                    let refusal = of_call(call);
                    let mut is_over = false;
                    tally.case(format_args!("{action:?}, {refusal:?} with {fault:?}"), || {
                        let storage = action.start(&old);
                        let before = content(&storage);
                        let refused = Some((refusal, fault));
                        let (done, calls) = action.run(&storage, (&old, &new), refused);
                        is_over = calls <= call;
                        let asked = action.outcome(&old, &new);
                        check_refused(&storage, refusal, &done, before.as_ref(), &asked);
                        assert!(done.is_ok() || !is_over, "an error without a refusal: {done:?}");
                        // What can be tried again is.
                        let is_once = matches!(refusal, Refusal::Once(_));
                        let is_passing = fault == Fault::Error(Interrupted) && is_once;
                        assert!(done.is_ok() || !is_passing && fault != Fault::Short, "{done:?}");
                    });
                    if is_over {
                        break;
                    }
                }
            }
        }
    }
    tally.finish(400);
}

fn check_refused(
    storage: &MemoryStorage,
    refusal: Refusal,
    done: &Result<(), Error>,
    before: Option<&Model>,
    asked: &Model,
) {
    let after = content(storage);
    match done {
        Ok(()) => assert_eq!(after.as_ref(), Some(asked)),
        Err(Error::Io { action: failed, .. }) => {
            // The folder is synced last, when the new file has its name; what was made is opened.
            let is_named = matches!(*failed, "sync" | "open" | "map");
            let is_new = after.as_ref() == Some(asked) && is_named;
            assert!(is_new || after.as_ref() == before, "neither the old file nor the new one");
        }
        Err(error) => panic!("{error}"),
    }
    if matches!(refusal, Refusal::Once(_)) {
        let removal_was_refused = done.is_err() && !temporary(storage).is_empty();
        assert!(!removal_was_refused, "{:?} is left", temporary(storage));
    }
    // What could not be removed is removed by the next save, and the lock is free for it.
    map_of(asked).save_in(storage, path()).expect("nothing is refused any more");
    assert_eq!(temporary(storage), [""; 0].map(PathBuf::from));
    assert_eq!(content(storage).as_ref(), Some(asked));
}

#[test]
fn a_crash_at_any_moment_of_a_save_leaves_the_old_file_or_the_new_one() {
    let (old, new) = old_and_new();
    let mut tally = Tally::new("crashes of the system");
    for action in [Action::SaveToNew, Action::SaveToOld, Action::SaveAttached] {
        for call in 0.. {
            let storage = action.start(&old);
            let before = content(&storage);
            let refusal = Some((Refusal::From(call), Fault::Error(io::ErrorKind::Other)));
            let (done, calls) = action.run(&storage, (&old, &new), refusal);
            for loss in Loss::all() {
                tally.case(format_args!("{action:?} before call {call}, {loss:?}"), || {
                    let survivor = storage.after_crash(loss);
                    let after = content(&survivor);
                    let is_new = after.as_ref() == Some(&new);
                    assert!(is_new || done.is_err(), "what was saved is lost");
                    assert!(is_new || after == before, "neither the old file nor the new one");
                    map_of(&new)
                        .save_in(&survivor, path())
                        .expect("no lock and no file is in the way");
                    assert_eq!(temporary(&survivor), [""; 0].map(PathBuf::from));
                });
            }
            if calls <= call {
                break;
            }
        }
    }
    tally.finish(100);
}

#[test]
fn a_lock_goes_with_a_failed_open() {
    let (old, _) = old_and_new();
    let storage = saved(&old);
    storage.change(path(), |bytes| bytes[BLOCK] ^= 1);
    assert!(open(&storage, Residence::Resident, Access::ReadWrite).is_err());
    let lock = storage.lock(Path::new("folder/map.lock"), path()).expect("memory does not fail");
    assert!(lock.is_some());
}
