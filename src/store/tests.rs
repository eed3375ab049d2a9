//! The file format and the saving protocol, against damage and refusals. What users see of it is
//! tested in `tests/store.rs`.
#![expect(clippy::disallowed_methods, reason = "the files of a test")]

mod forged;
mod names;
mod sweeps;

use super::format::{HEADER_LEN, Header, Row, TRAILER_LEN};
use super::{Access, TypeNames};
use crate::entry::ValueWidth;
use crate::error::Error;
use crate::map::MemKV;
use crate::options::{Compaction, Options, Residence};
use crate::snapshot::ViewCursor;
use crate::storage::testing::Watched;
use crate::testing::conformance::{SortedLayer, check_layer_built_by};
use crate::testing::keys::{self, Model};
use std::fs;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

type Map = MemKV<String, Vec<u8>>;

fn folder() -> TempDir {
    tempfile::tempdir().expect("a folder for a test")
}

/// Entries of which some are extents, and which fill a few blocks.
fn entries(count: usize) -> impl Iterator<Item = (String, Vec<u8>)> {
    (0..count).map(|n| {
        let len = if n % 50 == 7 { 1025 + n } else { n % 40 };
        (format!("key {n:05}"), vec![n as u8; len])
    })
}

fn map(count: usize) -> Map {
    MemKV::from_sorted(entries(count)).expect("sorted entries")
}

fn saved(count: usize, folder: &TempDir) -> PathBuf {
    let path = folder.path().join("map");
    map(count).save_to(&path).expect("a working disk");
    path
}

/// A saved map whose middle byte is another.
fn damaged(count: usize, folder: &TempDir) -> PathBuf {
    let path = saved(count, folder);
    let mut bytes = fs::read(&path).expect("the store");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&path, &bytes).expect("a working disk");
    path
}

fn names_in(folder: &TempDir) -> Vec<String> {
    let entries = fs::read_dir(folder.path()).expect("a folder");
    let name = |entry: std::io::Result<fs::DirEntry>| {
        entry.expect("an entry").file_name().to_string_lossy().into_owned()
    };
    let mut names: Vec<String> = entries.map(name).collect();
    names.sort();
    names
}

/// Opens the file, reads all of it both ways, and answers what came of it.
fn read_all(path: &Path, residence: Residence) -> Result<Vec<(String, Vec<u8>)>, Error> {
    let options = Options { residence, ..Options::default() };
    let map = Map::open_read_only_with_options(path, options)?;
    let found: Result<Vec<_>, Error> = entries(200)
        .map(|(key, _)| map.try_get(&key).map(|value| (key, value)))
        .filter_map(|found| match found {
            Ok((key, Some(value))) => Some(Ok((key, value))),
            Ok((_, None)) => None,
            Err(error) => Some(Err(error)),
        })
        .collect();
    map.verify()?;
    found
}

#[test]
fn every_flipped_byte_is_an_error_and_never_another_answer() {
    let folder = folder();
    let path = saved(200, &folder);
    let sound = fs::read(&path).expect("the store");
    let expected: Vec<_> = entries(200).collect();
    assert_eq!(read_all(&path, Residence::Mapped).as_ref(), Ok(&expected));
    // Every byte at which something is decided, and a sample of the others.
    let is_dense = |at: usize| at < 96 || at >= sound.len() - TRAILER_LEN || at.is_multiple_of(61);
    for at in (0..sound.len()).filter(|&at| is_dense(at)) {
        let mut damaged = sound.clone();
        damaged[at] ^= 1 << (at % 8);
        fs::write(&path, &damaged).expect("a working disk");
        for residence in [Residence::Mapped, Residence::Resident] {
            let error = read_all(&path, residence).expect_err("a flipped byte is noticed");
            let is_expected = match &error {
                Error::NotAStore { .. } => at < 8,
                Error::Version { .. } => (8..12).contains(&at),
                Error::Damaged { path: named, .. } => {
                    assert!(error.to_string().contains("map"), "{error}");
                    named.file_name() == path.file_name()
                }
                _ => false,
            };
            assert!(is_expected, "byte {at}: {error}");
        }
    }
}

#[test]
fn a_store_of_every_shorter_length_is_truncated_or_no_store() {
    let folder = folder();
    let path = saved(60, &folder);
    let sound = fs::read(&path).expect("the store");
    let lens = (0..sound.len()).filter(|len| len % 97 == 0 || *len < 20 || sound.len() - len < 40);
    for len in lens {
        fs::write(&path, &sound[..len]).expect("a working disk");
        let found = len as u64;
        let expected = match len {
            ..8 => None,
            8..HEADER_LEN => Some(HEADER_LEN as u64),
            _ => Some(sound.len() as u64),
        };
        match (Map::open(&path).expect_err("it is cut off"), expected) {
            (Error::NotAStore { .. }, None) => {}
            (Error::Truncated { expected, found: told, .. }, Some(whole)) => {
                assert_eq!((expected, told), (whole, found));
            }
            (error, _) => panic!("{len}: {error}"),
        }
        assert_eq!(names_in(&folder), ["map", "map.lock"], "the lock is the saving map's");
    }
    let longer = [&sound[..], &[0]].concat();
    fs::write(&path, longer).expect("a working disk");
    assert!(matches!(Map::open(&path), Err(Error::Damaged { .. })));
}

#[test]
fn a_refusal_at_any_step_leaves_the_old_store_or_the_new_one() {
    let folder = folder();
    let path = folder.path().join("map");
    let new = map(120);
    let before_rename = |calls: &[&str]| !calls.contains(&"rename");
    let mut refused = 0;
    loop {
        map(3).save_to(&path).expect("a working disk");
        let old = fs::read(&path).expect("the store");
        let storage = Watched::refusing(refused);
        let outcome = new.save_in(&storage, &path);
        let calls = storage.calls();
        if calls.len() <= refused {
            assert_eq!(outcome, Ok(()));
            break;
        }
        match calls[refused] {
            // Permissions are a wish, the rest is not.
            "copy permissions" => assert_eq!(outcome, Ok(())),
            step => assert!(matches!(outcome, Err(Error::Io { .. })), "{step}: {outcome:?}"),
        }
        let is_old = fs::read(&path).expect("the store") == old;
        let is_untouched = before_rename(&calls) || calls[refused] == "rename";
        assert_eq!(is_old, is_untouched, "{calls:?}");
        let reopened = Map::open(&path).expect("a whole store");
        assert_eq!(reopened.len(), if is_old { 3 } else { 120 });
        assert_eq!(names_in(&folder), ["map", "map.lock"], "after {calls:?}");
        refused += 1;
    }
    assert!(refused > 10, "all steps were refused once");
}

#[test]
fn a_save_syncs_the_file_before_its_name_and_the_folder_after() {
    let folder = folder();
    let storage = Watched::default();
    map(10).save_in(&storage, &folder.path().join("map")).expect("a working disk");
    let calls = storage.calls();
    let at = |call| calls.iter().position(|known| *known == call).expect("it was called");
    let last_append = calls.iter().rposition(|call| *call == "write").expect("it was called");
    assert!(at("lock") < at("create"), "{calls:?}");
    assert!(last_append < at("sync"), "{calls:?}");
    assert!(at("sync") < at("rename"), "{calls:?}");
    assert!(at("rename") < at("sync folder"), "{calls:?}");
    assert_eq!(calls.iter().filter(|call| **call == "sync").count(), 1, "{calls:?}");
}

#[test]
fn opening_refused_at_any_step_is_an_error_and_frees_the_lock() {
    let folder = folder();
    let path = saved(100, &folder);
    let before = fs::read(&path).expect("the store");
    for residence in [Residence::Mapped, Residence::Resident] {
        let options = Options { residence, ..Options::default() };
        for refused in 0.. {
            let storage = Watched::refusing(refused);
            let opened =
                Map::open_in(Box::new(storage.clone()), &path, options.clone(), Access::ReadWrite);
            if storage.calls().len() <= refused {
                assert!(opened.is_ok());
                break;
            }
            assert!(matches!(opened, Err(Error::Io { .. })), "{:?}", storage.calls());
            assert!(Map::open(&path).is_ok(), "nobody holds the lock");
        }
    }
    assert_eq!(fs::read(&path).expect("the store"), before);
}

#[test]
fn saving_through_an_attached_map_uses_the_storage_it_was_opened_with() {
    let folder = folder();
    let path = saved(10, &folder);
    let storage = Watched::default();
    let options = Options::default();
    let map = Map::open_in(Box::new(storage.clone()), &path, options, Access::ReadWrite);
    let map = map.expect("a store");
    map.save().expect("a working disk");
    assert_eq!(storage.calls().iter().filter(|call| **call == "rename").count(), 1);
    assert_eq!(storage.calls().iter().filter(|call| **call == "lock").count(), 1, "held all along");
}

#[test]
fn what_a_killed_writer_left_is_removed_and_what_is_not_ours_is_not() {
    let folder = folder();
    let path = folder.path().join("map");
    let temporary = folder.path().join("map.tmp");
    let sound = fs::read(saved(60, &folder)).expect("the store");
    for left in [&b""[..], &sound[..5000], &sound[..1], &sound[..7], &[0; 100], &[0; 3]] {
        fs::write(&temporary, left).expect("a working disk");
        map(5).save_to(&path).expect("it takes the place of what was left");
        assert_eq!(names_in(&folder), ["map", "map.lock"]);
    }
    for foreign in [&b"short"[..], b"MemKVm.", b"MemKV\0\0\0", b"notes of somebody else"] {
        fs::write(&temporary, foreign).expect("a working disk");
        let refused = map(5).save_to(&path).expect_err("it would have to be removed");
        assert!(matches!(refused, Error::Io { action: "create", .. }), "{refused}");
        assert_eq!(fs::read(&temporary).expect("it is there"), foreign);
    }
}

#[test]
fn the_first_row_of_a_directory_has_no_bound() {
    let header = Header {
        total: 0,
        data_len: 0,
        entries: 0,
        directory: 4096..4160,
        partitions: 1,
        width: ValueWidth::Bytes,
        names: TypeNames { key: "str".into(), value: "bytes".into() },
    };
    let sound = Row::default().encode();
    assert_eq!(Row::decode(&sound, 0, &header), Ok(Row::default()));
    for at in 36..48 {
        let mut forged = sound;
        forged[at] = 1;
        assert!(Row::decode(&forged, 0, &header).is_err(), "byte {at}");
    }
}

#[test]
fn a_store_of_its_own_under_the_temporary_name_is_not_removed() {
    let folder = folder();
    let temporary = folder.path().join("map.tmp");
    map(7).save_to(&temporary).expect("a working disk");
    let before = fs::read(&temporary).expect("the store");
    let refused = map(5).save_to(folder.path().join("map")).expect_err("it would have to go");
    let is_expected = matches!(
        refused,
        Error::Io { action: "create", kind: std::io::ErrorKind::AlreadyExists, .. }
    );
    assert!(is_expected, "{refused}");
    assert_eq!(fs::read(&temporary).expect("it is there"), before);
    assert_eq!(names_in(&folder), ["map.lock", "map.tmp", "map.tmp.lock"]);
}

#[test]
fn folds_that_meet_damage_are_tried_again_at_twice_the_delta_only() {
    let folder = folder();
    let path = damaged(3_000, &folder);
    for compaction in [Compaction::Inline, Compaction::Background] {
        let options = Options {
            compaction,
            delta_floor_bytes: 4 << 10,
            overlay_percent: 0.0,
            ..Options::default()
        };
        let map = Map::open_with_options(&path, options).expect("a store");
        for n in 0..3_000 {
            map.try_put(format!("new {n}"), [1; 20]).expect("nothing near it is damaged");
        }
        let failed = map.stats().failed_folds;
        assert!((1..=12).contains(&failed), "{compaction:?}: {failed} failed folds");
        assert!(matches!(map.compact(), Err(Error::Damaged { .. })));
    }
}

#[test]
#[cfg(unix)]
fn links_in_the_way_are_not_followed() {
    use std::os::unix::fs::symlink;
    let folder = folder();
    let (path, victim) = (folder.path().join("map"), folder.path().join("victim"));
    for planted in ["map.tmp", "map.lock"] {
        for target in ["victim", "nothing"] {
            fs::write(&victim, b"of somebody else").expect("a working disk");
            let link = folder.path().join(planted);
            symlink(folder.path().join(target), &link).expect("a link");
            assert!(matches!(map(5).save_to(&path), Err(Error::Io { .. })), "{planted}");
            assert_eq!(fs::read(&victim).expect("it is there"), b"of somebody else");
            assert!(!folder.path().join("nothing").exists());
            fs::remove_file(&link).expect("it is there");
            let _ = fs::remove_file(folder.path().join("map.lock"));
        }
    }
}

#[test]
fn a_refused_allocation_is_an_error_and_leaves_the_old_store() {
    let folder = folder();
    let path = saved(3, &folder);
    let old = fs::read(&path).expect("the store");
    let in_delta = Map::new();
    in_delta.extend(entries(300));
    for allocation in 0.. {
        crate::arena::hooks::fail_allocation(Some(allocation));
        let outcome = in_delta.save_to(&path);
        crate::arena::hooks::fail_allocation(None);
        if outcome.is_ok() {
            assert!(allocation > 0, "a merge allocates");
            break;
        }
        assert_eq!(outcome, Err(Error::OutOfMemory));
        assert_eq!(fs::read(&path).expect("the store"), old);
        assert_eq!(names_in(&folder), ["map", "map.lock"]);
    }
    crate::arena::hooks::fail_allocation(Some(0));
    let options = Options { residence: Residence::Resident, ..Options::default() };
    let refused = Map::open_with_options(&path, options);
    crate::arena::hooks::fail_allocation(None);
    assert!(matches!(refused, Err(Error::OutOfMemory)));
}

#[test]
fn a_damaged_map_is_not_saved_as_a_sound_one() {
    let folder = folder();
    let path = damaged(3_000, &folder);
    let bytes = fs::read(&path).expect("the store");
    let map = Map::open(&path).expect("damage is found where it is read");
    let copy = folder.path().join("copy");
    let outcome = map.save_to(&copy);
    assert!(matches!(outcome, Err(Error::Damaged { .. })), "{outcome:?}");
    assert!(matches!(map.save(), Err(Error::Damaged { .. })));
    assert!(!copy.exists());
    assert_eq!(fs::read(&path).expect("the store"), bytes);
}

#[test]
fn an_open_reads_a_few_blocks_however_large_the_store() {
    let folder = folder();
    for (count, partitions) in [(3_000, 1), (400_000, 10)] {
        let path = folder.path().join("map");
        let entries = (0..count).map(|n| (format!("key {n:07}"), vec![]));
        let map = Map::from_sorted(entries).expect("memory for a test");
        map.save_to(&path).expect("a working disk");
        let map = Map::open(&path).expect("a store");
        let view = map.core().view_all().pinned(0);
        let blocks = view.segments().find_map(|segment| segment.file());
        let blocks = blocks.expect("the map reads from it");
        let read = blocks.checked_blocks();
        assert!(read <= 4, "{read} blocks of data and tree");
        assert_eq!(map.len(), count);
        assert_eq!(blocks.checked_blocks(), read);
        assert!(map.contains_key("key 0000123"));
        assert!(blocks.checked_blocks() > read, "a segment is read with its first entry");
        assert_eq!(map.stats().partitions, partitions);
    }
}

#[test]
fn a_damaged_segment_is_found_by_its_first_read_and_leaves_the_others() {
    let folder = folder();
    let path = folder.path().join("map");
    let entries = (0..200_000).map(|n| (format!("key {n:07}"), vec![1]));
    let map = Map::from_sorted(entries).expect("memory for a test");
    map.save_to(&path).expect("a working disk");
    let mut bytes = fs::read(&path).expect("the store");
    let headers: Vec<usize> = (0..bytes.len() - 8)
        .step_by(64)
        .filter(|&at| bytes[at..].starts_with(b"MemKVseg"))
        .collect();
    assert!(headers.len() > 2);
    bytes[headers[1]] ^= 1;
    fs::write(&path, &bytes).expect("a working disk");
    let map = Map::open(&path).expect("its frame is sound");
    assert_eq!(map.try_get("key 0000000").expect("the first segment is sound"), Some(vec![1]));
    assert_eq!(map.try_get("key 0199999").expect("so is the last"), Some(vec![1]));
    for _ in 0..2 {
        let outcome = map.try_get("key 0070000");
        assert!(matches!(outcome, Err(Error::Damaged { .. })), "{outcome:?}");
    }
    assert!(matches!(map.verify(), Err(Error::Damaged { .. })));
    assert!(map.stats().base.is_some(), "statistics need not be right, only harmless");
}

#[test]
fn memory_of_a_mapped_store_is_its_bitmap_and_of_a_resident_one_its_bytes() {
    let folder = folder();
    let path = folder.path().join("map");
    let map = Map::from_sorted((0..20_000).map(|n| (format!("key {n:05}"), vec![n as u8; 30])));
    map.and_then(|map| map.save_to(&path)).expect("a working disk");
    let len = fs::metadata(&path).expect("the store").len() as usize;
    let usage = |residence| {
        let options = Options { residence, ..Options::default() };
        let map = Map::open_with_options(&path, options).expect("a store");
        assert!(map.stats().stored_bytes < len && map.stats().stored_bytes > len / 4);
        map.memory_usage()
    };
    let mapped = usage(Residence::Mapped);
    assert!(mapped.total() < 2048 + len / 32_768, "{mapped:?}");
    let resident = usage(Residence::Resident);
    assert!((len..len + 4096).contains(&resident.total()), "{resident:?}");
}

/// An opened map as a sorted layer, over a file that nobody else knows any more.
struct Opened(MemKV<Vec<u8>, [u8; 8]>);

impl Opened {
    /// Opens a file with these entries.
    fn holding(saved: &Model, options: Options) -> Self {
        let folder = folder();
        let path = folder.path().join("map");
        let entries = saved.iter().map(|(key, value)| (key.as_slice(), value_of(value)));
        let map: MemKV<Vec<u8>, [u8; 8]> = MemKV::from_sorted(entries).expect("sorted");
        map.save_in(&Watched::unsynced(), &path).expect("a working disk");
        Self(MemKV::open_with_options(&path, options).expect("a store"))
    }
}

fn value_of(bytes: &[u8]) -> [u8; 8] {
    *bytes.first_chunk().expect("eight bytes")
}

impl SortedLayer for Opened {
    type Cursor<'a> = ViewCursor;

    fn build(model: &Model) -> Self {
        Self::holding(model, Options::default())
    }

    fn get(&self, key: &[u8]) -> Option<Vec<u8>> {
        self.0.get(key).map(|value| value.to_vec())
    }

    fn cursor(&self) -> Self::Cursor<'_> {
        self.0.core().view_all().cursor()
    }

    fn len(&self) -> u64 {
        self.0.len() as u64
    }
}

#[test]
fn an_opened_map_conforms() {
    for residence in [Residence::Mapped, Residence::Resident] {
        let options = Options { residence, ..Options::default() };
        check_layer_built_by(|model| Opened::holding(model, options.clone()));
    }
}

#[test]
fn an_opened_map_that_has_been_written_to_conforms() {
    let options = Options {
        compaction: Compaction::Inline,
        delta_floor_bytes: 4 << 10,
        delta_percent: 5.0,
        ..Options::default()
    };
    check_layer_built_by(|model| {
        let decoys = keys::decoys(model, 100);
        let mut saved = Model::new();
        for (i, (key, value)) in model.iter().enumerate() {
            match i % 4 {
                0 => {}
                1 => drop(saved.insert(key.clone(), vec![0xee; 8])),
                _ => drop(saved.insert(key.clone(), value.clone())),
            }
        }
        saved.extend(decoys.iter().map(|key| (key.clone(), vec![0xdd; 8])));
        let opened = Opened::holding(&saved, options.clone());
        for (i, (key, value)) in model.iter().enumerate().filter(|(i, _)| i % 4 < 2) {
            let old = opened.0.insert(key, value_of(value));
            assert_eq!(old.is_some(), i % 4 == 1);
        }
        for key in &decoys {
            opened.0.delete(key);
        }
        opened
    });
}
