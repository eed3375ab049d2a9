//! Saving maps and opening them again, as users do it.
#![allow(clippy::disallowed_methods, reason = "tests look at files from outside")]

use memkv::{Compaction, Error, Key, MemKV, Options, Pod, Residence, Value};
use std::collections::BTreeMap;
use std::fmt::Debug;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

fn folder() -> TempDir {
    tempfile::tempdir().expect("a folder for a test")
}

fn manual() -> Options {
    Options { compaction: Compaction::Manual, ..Options::default() }
}

fn resident() -> Options {
    Options { residence: Residence::Resident, ..Options::default() }
}

fn names_in(folder: &TempDir) -> Vec<String> {
    let entries = fs::read_dir(folder.path()).expect("a folder").flatten();
    let mut names: Vec<String> =
        entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

/// A cheap sequence of numbers without a pattern.
fn scrambled(n: u64) -> u64 {
    let mixed = (n ^ 0x5bf0_3635).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed ^ (mixed >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 20
}

fn text(n: u64) -> (String, String) {
    let len = if n.is_multiple_of(97) { 1_100 + n as usize % 3_000 } else { n as usize % 60 };
    (format!("{:x}/{n}", scrambled(n) % 4_096), "v".repeat(len))
}

/// Saves the entries from every kind of map, and opens the file in every way.
fn round_trip<K, V>(entries: &[(K, V)])
where
    K: Key + Clone + Ord + Debug,
    V: Value + Clone + PartialEq + Debug,
    for<'a> &'a K: memkv::KeyForm<K>,
    for<'a> &'a V: memkv::ValueForm<V>,
{
    let folder = folder();
    let mut sorted = entries.to_vec();
    sorted.sort_by(|a, b| a.0.cmp(&b.0));
    let in_delta: MemKV<K, V> = MemKV::with_options(manual());
    in_delta.extend(entries.iter().map(|(key, value)| (key, value)));
    let in_base = in_delta.clone();
    let mut files = Vec::new();
    for (name, map) in [("delta", in_delta), ("base", in_base)] {
        if name == "base" {
            map.compact().expect("a sound map");
        }
        let path = folder.path().join(name);
        map.save_to(&path).expect("a working disk");
        files.push(fs::read(&path).expect("the file"));
        let opened = [
            MemKV::<K, V>::open_read_only(&path),
            MemKV::<K, V>::open_read_only_with_options(&path, resident()),
            MemKV::<K, V>::open(&path),
        ];
        for opened in opened {
            let opened = opened.expect("a store");
            assert_eq!(opened.len(), sorted.len());
            assert_eq!(opened.iter().collect::<Vec<_>>(), sorted);
            assert!(opened.iter().rev().eq(sorted.iter().rev().cloned()));
            for (key, value) in &sorted {
                assert_eq!(opened.get(key).as_ref(), Some(value));
            }
            opened.verify().expect("a sound file");
        }
    }
    assert_eq!(files[0], files[1], "the file depends on the entries alone");
}

#[test]
fn maps_of_every_kind_come_back_as_they_were() {
    round_trip::<u64, u64>(&[]);
    round_trip::<String, String>(&[]);
    round_trip::<u64, ()>(&[(7, ())]);
    round_trip::<Vec<u8>, Vec<u8>>(&[(vec![], vec![])]);
    round_trip::<u64, u64>(&(0..10_000).map(|n| (scrambled(n), n)).collect::<Vec<_>>());
    round_trip::<i32, ()>(&(-2_000..2_000).map(|n| (n * 3, ())).collect::<Vec<_>>());
    round_trip::<String, String>(&(0..4_000).map(text).collect::<Vec<_>>());
    round_trip::<(String, u64), Pod<[f32; 3]>>(
        &(0..1_000u64)
            .map(|n| ((text(n).0, n), Pod([n as f32, -0.5, f32::MIN])))
            .collect::<Vec<_>>(),
    );
    round_trip::<[u8; 3], [u8; 255]>(
        &(0..300u32).map(|n| ([(n >> 8) as u8, n as u8, 7], [n as u8; 255])).collect::<Vec<_>>(),
    );
}

#[test]
fn hostile_keys_and_large_values_come_back_as_they_were() {
    let mut entries = vec![(vec![], vec![0; 1 << 21]), (vec![0], vec![1; 1_024])];
    for len in [1usize, 2, 255, 256, 4_096, 65_534, 65_535] {
        for (i, byte) in [0u8, 1, 0x7f, 0xff].into_iter().enumerate() {
            let mut key = vec![byte; len];
            key[len / 2] = 2 + i as u8;
            entries.push((key, vec![byte; 1_024 + i]));
        }
    }
    entries.extend((0..1_000usize).map(|n| (vec![b'x'; n + 300], n.to_string().into_bytes())));
    entries.sort();
    entries.dedup_by(|a, b| a.0 == b.0);
    round_trip::<Vec<u8>, Vec<u8>>(&entries);
}

#[test]
fn the_file_depends_on_the_entries_and_not_on_their_history() {
    let folder = folder();
    let path = folder.path().join("map");
    let entries: BTreeMap<String, String> = (0..3_000).map(text).collect();
    let sorted = MemKV::<String, String>::from_sorted(&entries).expect("sorted");
    sorted.save_to(&path).expect("a working disk");
    let expected = fs::read(&path).expect("the file");
    for history in 0..20u64 {
        let compaction = [Compaction::Manual, Compaction::Inline][history as usize % 2];
        let options = Options { compaction, delta_floor_bytes: 16 << 10, ..Options::default() };
        let map = if history % 3 == 0 {
            MemKV::<String, String>::open_with_options(&path, options).expect("a store")
        } else {
            MemKV::with_options(options)
        };
        let mut order: Vec<_> = entries.iter().enumerate().collect();
        order.sort_by_key(|(i, _)| scrambled(*i as u64 + history * 10_000));
        for (step, (_, (key, value))) in order.iter().enumerate() {
            match scrambled(step as u64 + history) % 5 {
                0 => map.put(*key, "another value"),
                1 => map.put(format!("{key} decoy"), "gone later"),
                2 => map.delete(*key),
                _ => {}
            }
            map.put(*key, *value);
            if step % 700 == history as usize * 20 {
                map.compact().expect("a sound map");
            }
        }
        for (_, (key, _)) in &order {
            map.delete(format!("{key} decoy"));
        }
        if history % 4 == 1 {
            map.compact().expect("a sound map");
        }
        drop(order);
        let copy = folder.path().join(format!("copy {history}"));
        map.save_to(&copy).expect("a working disk");
        assert!(fs::read(&copy).expect("the file") == expected, "history {history}");
        if history % 3 == 0 {
            map.save().expect("a working disk");
            assert!(fs::read(&path).expect("the file") == expected, "history {history}");
        }
    }
}

/// Writes to keys of a file, one block of which is damaged, and tells how many keys had a value that nobody can
/// read.
fn write_over_damage<V>(value: impl Fn(u64) -> V, other: &V) -> usize
where
    V: Value + Clone + PartialEq + Debug,
    for<'a> &'a V: memkv::ValueForm<V>,
{
    let folder = folder();
    let path = folder.path().join("map");
    let key = |n| format!("user:{:x}", scrambled(n));
    let map = MemKV::<String, V>::with_options(manual());
    for n in 0..4_000 {
        let value = value(n);
        map.put(key(n), &value);
    }
    map.compact().expect("memory for a test");
    map.save_to(&path).expect("a folder that can be written to");
    drop(map);
    let bytes = fs::read(&path).expect("a file");
    let mut damaged_values = 0;
    for block in 1..bytes.len() / 4096 - 1 {
        let mut damaged = bytes.clone();
        damaged[block * 4096 + 1000] ^= 4;
        fs::write(&path, &damaged).expect("a file");
        let Ok(map) = MemKV::<String, V>::open_with_options(&path, manual()) else { continue };
        for n in 0..4_000 {
            let key = key(n);
            match n % 3 {
                0 if map.try_put(&key, other).is_err() => {
                    assert_ne!(map.try_get(&key), Ok(Some(other.clone())), "it was refused");
                }
                1 if map.try_remove(&key).is_err() && map.try_get(&key) == Ok(None) => {
                    damaged_values += 1;
                }
                2 if map.try_insert(&key, other).is_err()
                    && map.try_get(&key) == Ok(Some(other.clone())) =>
                {
                    damaged_values += 1;
                }
                _ => {}
            }
        }
    }
    damaged_values
}

#[test]
fn a_value_that_is_damaged_is_replaced_and_told_to_who_asks_for_it() {
    assert!(write_over_damage(scrambled, &7) > 0);
    let text = |n| format!("{:x}", scrambled(n));
    assert!(write_over_damage(text, &String::from("other")) > 0);
}

#[test]
fn an_opened_map_agrees_with_its_model_through_writes_folds_and_saves() {
    let folder = folder();
    let path = folder.path().join("map");
    let mut model: BTreeMap<String, String> = (0..2_000).map(text).collect();
    MemKV::<String, String>::from_sorted(&model)
        .and_then(|map| map.save_to(&path))
        .expect("a working disk");
    for round in 0..6u64 {
        let options = Options {
            compaction: Compaction::Inline,
            delta_floor_bytes: 4 << 10,
            residence: [Residence::Mapped, Residence::Resident][round as usize % 2],
            ..Options::default()
        };
        let map = MemKV::<String, String>::open_with_options(&path, options).expect("a store");
        let before = map.iter();
        let expected_before: Vec<_> = model.clone().into_iter().collect();
        for n in 0..1_500u64 {
            let (key, value) = text(scrambled(n + round * 1_500) % 4_000);
            if n % 3 == 0 {
                assert_eq!(map.remove(&key), model.remove(&key));
            } else {
                let value = format!("{round} {value}");
                assert_eq!(map.insert(&key, &value), model.insert(key, value));
            }
            if n == 700 {
                map.save().expect("a working disk");
            }
        }
        assert!(map.stats().folds > 0);
        assert!(map.iter().eq(model.clone()));
        map.save().expect("a working disk");
        assert!(map.iter().eq(model.clone()), "a save changes nothing");
        map.verify().expect("a sound map");
        assert!(before.eq(expected_before), "an iterator reads the file it was made over");
    }
    let reopened = MemKV::<String, String>::open(&path).expect("a store");
    assert!(reopened.iter().eq(model));
}

#[test]
fn two_hundred_thousand_entries_come_back_and_can_be_changed() {
    let folder = folder();
    let path = folder.path().join("map");
    let entries = || (0..200_000u64).map(|n| (format!("{:08}", n * 37), n));
    MemKV::<String, u64>::from_sorted(entries())
        .and_then(|map| map.save_to(&path))
        .expect("a working disk");
    let map = MemKV::<String, u64>::open(&path).expect("a store");
    assert_eq!(map.len(), 200_000);
    assert!(map.iter().eq(entries()));
    for n in (0..200_000u64).step_by(1_000) {
        assert_eq!(map.remove(format!("{:08}", n * 37)), Some(n));
    }
    map.compact().expect("a sound map");
    map.save().expect("a working disk");
    drop(map);
    let map = MemKV::<String, u64>::open(&path).expect("a store");
    assert!(map.iter().eq(entries().filter(|(_, n)| n % 1_000 != 0)));
}

#[test]
fn a_reader_goes_on_reading_the_file_that_it_opened() {
    let folder = folder();
    let path = folder.path().join("map");
    let old: MemKV<u64, u64> = (0..5_000).map(|n| (n, n)).collect();
    old.save_to(&path).expect("a working disk");
    let readers: Vec<MemKV<u64, u64>> =
        (0..3).map(|_| MemKV::open_read_only(&path).expect("a store")).collect();
    let writer: MemKV<u64, u64> = MemKV::open(&path).expect("readers take no lock");
    writer.extend((0..5_000).map(|n| (n, n + 1)));
    writer.save().expect("a working disk");
    writer.clear();
    writer.save().expect("a working disk");
    for reader in &readers {
        assert!(reader.iter().eq((0..5_000).map(|n| (n, n))));
        reader.verify().expect("its file is as it was");
    }
    let late: MemKV<u64, u64> = MemKV::open_read_only(&path).expect("a store");
    assert!(late.is_empty());
}

fn is_locked<T>(outcome: &Result<T, Error>, path: &Path) -> bool {
    matches!(outcome, Err(Error::Locked { path: named }) if named.ends_with(path.file_name().expect("a name")))
}

#[test]
fn a_file_is_open_for_writing_once() {
    let folder = folder();
    let path = folder.path().join("map");
    let other: MemKV<u64, u64> = MemKV::from_iter([(1, 1)]);
    other.save_to(&path).expect("a working disk");
    let map = MemKV::<u64, u64>::open(&path).expect("a store");
    let handle = map.clone();
    let mut entries = map.iter();
    drop(map);
    let second = MemKV::<u64, u64>::open(&path);
    assert!(is_locked(&second, &path), "in the same thread");
    assert!(second.unwrap_err().to_string().contains("in use"));
    assert!(is_locked(&other.save_to(&path), &path), "for a save of another map");
    let elsewhere = path.clone();
    let in_thread = std::thread::spawn(move || MemKV::<u64, u64>::open(elsewhere).map(|_| ()));
    assert!(is_locked(&in_thread.join().expect("no panic"), &path), "in another thread");
    assert_eq!(open_in_other_process(&path), "Locked");
    assert!(MemKV::<u64, u64>::open_read_only(&path).is_ok());
    handle.save_to(&path).expect("its own file");
    drop(handle);
    assert_eq!(open_in_other_process(&path), "opened", "iterators hold no lock");
    assert!(MemKV::<u64, u64>::open(&path).is_ok());
    assert_eq!(entries.next(), Some((1, 1)));
}

const CHILD_PATH: &str = "MEMKV_TEST_CHILD_PATH";

/// What another process says when it opens the file.
fn open_in_other_process(path: &Path) -> String {
    let tests = std::env::current_exe().expect("this program");
    let child = Command::new(tests)
        .args(["--exact", "child_process_opens_the_file_it_is_told", "--nocapture"])
        .env(CHILD_PATH, path)
        .output()
        .expect("another process");
    let said = String::from_utf8_lossy(&child.stdout).into_owned();
    let told = said.lines().find_map(|line| line.split_once("child: "));
    told.expect("the child tells").1.to_owned()
}

/// Does nothing by itself: a part of `a_file_is_open_for_writing_once`.
#[test]
fn child_process_opens_the_file_it_is_told() {
    let Some(path) = std::env::var_os(CHILD_PATH) else { return };
    match MemKV::<u64, u64>::open(PathBuf::from(path)) {
        Ok(_) => println!("\nchild: opened"),
        Err(Error::Locked { .. }) => println!("\nchild: Locked"),
        Err(error) => println!("\nchild: {error}"),
    }
}

#[test]
fn saves_of_one_map_from_many_threads_come_one_after_the_other() {
    let folder = folder();
    let path = folder.path().join("map");
    MemKV::<u64, u64>::new().save_to(&path).expect("a working disk");
    let map = MemKV::<u64, u64>::open(&path).expect("a store");
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let map = &map;
            scope.spawn(move || {
                for n in 0..10 {
                    map.put(thread * 100 + n, n);
                    map.save().expect("another save is waited for");
                }
            });
        }
    });
    map.save().expect("a working disk");
    drop(map);
    assert_eq!(MemKV::<u64, u64>::open(&path).expect("a store").len(), 40);
}

#[test]
fn maps_without_a_file_and_read_only_maps_say_so() {
    let folder = folder();
    let path = folder.path().join("map");
    let map: MemKV<String, u64> = MemKV::from_iter([("a", 1), ("b", 2)]);
    assert_eq!(map.save(), Err(Error::NotAttached));
    map.save_to(&path).expect("a working disk");
    assert_eq!(map.save(), Err(Error::NotAttached), "saving to a file does not attach to it");
    assert!(map.path().is_none() && !map.is_read_only());
    fs::remove_file(folder.path().join("map.lock")).expect("it is there");

    let map: MemKV<String, u64> = MemKV::open_read_only(&path).expect("a store");
    assert_eq!(names_in(&folder), ["map"], "no lock is made");
    assert!(map.path() == Some(&*real(&path)) && map.is_read_only());
    assert_eq!(map.try_insert("c", 3), Err(Error::ReadOnly));
    assert_eq!(map.try_put("c", 3), Err(Error::ReadOnly));
    assert_eq!(map.try_remove("a"), Err(Error::ReadOnly));
    assert_eq!(map.try_delete("a"), Err(Error::ReadOnly));
    assert_eq!(map.extend_sorted([("c", 3)]), Err(Error::ReadOnly));
    assert_eq!(map.save(), Err(Error::ReadOnly));
    assert_eq!(map.compact(), Ok(()));
    let infallible: [&dyn Fn(); 5] = [
        &|| map.put("c", 3),
        &|| assert_eq!(map.insert("c", 3), None),
        &|| assert_eq!(map.remove("a"), None),
        &|| map.delete("a"),
        &|| map.clear(),
    ];
    for call in infallible {
        let panic = catch_unwind(AssertUnwindSafe(call)).expect_err("the write is refused");
        let text = panic.downcast_ref::<String>().expect("a text");
        assert_eq!(*text, Error::ReadOnly.to_string());
    }
    assert!(map.iter().eq([("a".to_owned(), 1), ("b".to_owned(), 2)]));
    map.save_to(folder.path().join("copy")).expect("a copy can be made");
}

#[test]
fn a_file_that_is_not_there_is_made_when_it_is_asked_for() {
    type Map = MemKV<String, u64>;
    let folder = folder();
    let path = folder.path().join("map");
    let map = Map::open_or_create(&path).expect("a working disk");
    assert_eq!(names_in(&folder), ["map", "map.lock"]);
    assert_eq!(map.path(), Some(&*real(&path)));
    assert!(map.is_empty() && !map.is_read_only());
    assert!(is_locked(&Map::open_or_create(&path), &real(&path)));
    assert_eq!(Map::open_read_only(&path).map(|map| map.len()), Ok(0));
    map.insert("a", 1);
    map.save().expect("a working disk");
    drop(map);

    let map = Map::open_or_create_with_options(&path, resident()).expect("it is there");
    assert_eq!(map.get("a"), Some(1));
    drop(map);
    let other = MemKV::<u64, u64>::open_or_create(&path);
    assert!(matches!(other, Err(Error::TypeMismatch { .. })));
    fs::write(&path, b"something else").expect("a working disk");
    assert!(matches!(Map::open_or_create(&path), Err(Error::NotAStore { .. })));
    let no_folder = folder.path().join("missing").join("map");
    assert!(matches!(Map::open_or_create(no_folder), Err(Error::Io { .. })));
    assert!(matches!(Map::open_or_create(folder.path()), Err(Error::Io { .. })));
    assert!(matches!(Map::open_or_create(folder.path().join("x.lock")), Err(Error::Io { .. })));
    assert_eq!(names_in(&folder), ["map", "map.lock"]);
}

#[test]
fn one_of_many_that_make_a_file_at_once_is_attached_to_it() {
    let folder = folder();
    let path = real(folder.path()).join("map");
    let start = std::sync::Barrier::new(4);
    let open = || {
        start.wait();
        MemKV::<u64, u64>::open_or_create(&path)
    };
    let opened: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(open)).collect();
        threads.into_iter().map(|thread| thread.join().expect("no panic")).collect()
    });
    assert_eq!(opened.iter().filter(|opened| opened.is_ok()).count(), 1);
    assert_eq!(opened.iter().filter(|opened| is_locked(opened, &path)).count(), 3);
    assert_eq!(names_in(&folder), ["map", "map.lock"]);
}

#[test]
fn a_file_is_opened_with_the_types_it_was_saved_with() {
    let folder = folder();
    let path = folder.path().join("map");
    MemKV::<String, u64>::from_iter([("a", 1)]).save_to(&path).expect("a working disk");
    let mismatch = |outcome: Result<(), Error>, expected: &str| match outcome {
        Err(Error::TypeMismatch { stored, asked, .. }) => {
            assert_eq!((stored.as_str(), asked.as_str()), ("str to u64", expected));
        }
        other => panic!("{other:?}"),
    };
    mismatch(MemKV::<Vec<u8>, u64>::open(&path).map(|_| ()), "bytes to u64");
    mismatch(MemKV::<String, i64>::open(&path).map(|_| ()), "str to i64");
    mismatch(MemKV::<String, String>::open_read_only(&path).map(|_| ()), "str to str");
    mismatch(MemKV::<(String, u8), ()>::open_read_only(&path).map(|_| ()), "(str, u8) to ()");
    assert!(MemKV::<String, u64>::open(&path).is_ok());
}

#[test]
fn what_is_not_a_store_is_refused_and_left_alone() {
    let folder = folder();
    let path = folder.path().join("file");
    let open = |path: &Path| MemKV::<u64, u64>::open(path).map(|_| ());
    for content in [&b""[..], b"M", b"MemKVma", b"MemKVseg", b"notes of somebody else", &[0; 9_000]]
    {
        fs::write(&path, content).expect("a working disk");
        assert_eq!(open(&path), Err(Error::NotAStore { path: real(&path) }));
        assert_eq!(fs::read(&path).expect("it is there"), content);
        assert_eq!(names_in(&folder), ["file"]);
    }
    fs::remove_file(&path).expect("it is there");
    let is_io = |outcome: Result<(), Error>, wanted| {
        assert!(matches!(&outcome, Err(Error::Io { kind, .. }) if *kind == wanted), "{outcome:?}");
    };
    is_io(open(&path), std::io::ErrorKind::NotFound);
    is_io(open(&path.join("below")), std::io::ErrorKind::NotFound);
    is_io(open(folder.path()), std::io::ErrorKind::IsADirectory);
    let map: MemKV<u64, u64> = MemKV::new();
    is_io(map.save_to(folder.path()), std::io::ErrorKind::IsADirectory);
    is_io(map.save_to(path.join("below")), std::io::ErrorKind::NotFound);
    is_io(map.save_to(""), std::io::ErrorKind::InvalidInput);
    assert_eq!(names_in(&folder), [""; 0], "nothing was made");

    map.save_to(&path).expect("a working disk");
    let mut newer = fs::read(&path).expect("the file");
    newer[8] = 9;
    fs::write(&path, newer).expect("a working disk");
    let refused = open(&path);
    assert_eq!(refused, Err(Error::Version { path: real(&path), found: 9, supported: 1 }));
}

fn real(path: &Path) -> PathBuf {
    fs::canonicalize(path).expect("it is there")
}

#[test]
#[cfg(unix)]
fn the_file_behind_a_link_is_replaced_with_its_permissions() {
    use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
    let folder = folder();
    let (file, link) = (folder.path().join("file"), folder.path().join("link"));
    symlink("file", &link).expect("a link");
    let map: MemKV<u64, u64> = MemKV::from_iter([(1, 1)]);
    map.save_to(&link).expect("a working disk");
    assert_eq!(names_in(&folder), ["file", "file.lock", "link"]);
    let mode = |path| fs::metadata(path).expect("it is there").mode() & 0o777;
    assert_eq!(mode(&file), 0o600, "a new file is its owner's");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).expect("its owner may");
    let attached = MemKV::<u64, u64>::open(&link).expect("a store");
    assert!(is_locked(&MemKV::<u64, u64>::open(&file), &file), "the lock is the file's");
    attached.put(2, 2);
    attached.save().expect("a working disk");
    assert_eq!(mode(&file), 0o644, "who could read it still can");
    assert!(fs::symlink_metadata(&link).expect("it is there").is_symlink());
    assert_eq!(MemKV::<u64, u64>::open_read_only(&link).expect("a store").len(), 2);
}

#[test]
fn progress_of_a_verify_goes_from_nothing_to_everything() {
    let folder = folder();
    let path = folder.path().join("map");
    let entries: BTreeMap<String, String> = (0..20_000).map(text).collect();
    MemKV::<String, String>::from_sorted(&entries)
        .and_then(|map| map.save_to(&path))
        .expect("a working disk");
    let map = MemKV::<String, String>::open(&path).expect("a store");
    let mut told = Vec::new();
    map.verify_with(|progress| told.push((progress.done_bytes, progress.total_bytes)))
        .expect("a sound file");
    assert!(told.is_sorted() && told.len() > 3, "{told:?}");
    assert_eq!(told[0].0, 0);
    assert!(told.iter().all(|(done, total)| done <= total && *total == told[0].1));
    assert_eq!(told.last().map(|last| last.0), Some(told[0].1));
    assert!(told[0].1 > fs::metadata(&path).unwrap().len(), "blocks, and what they mean");
}

#[test]
#[cfg(unix)]
fn damage_names_the_file_wherever_it_is_met() {
    let folder = folder();
    let path = folder.path().join("map");
    let entries: BTreeMap<String, u64> = (0..20_000).map(|n| (text(n).0, n)).collect();
    MemKV::<String, u64>::from_sorted(&entries)
        .and_then(|map| map.save_to(&path))
        .expect("a working disk");
    let mut bytes = fs::read(&path).expect("the file");
    // Keys and values, but for the first ones, and the last blocks of the file, which are read when it
    // is opened.
    let len = bytes.len();
    for byte in &mut bytes[len / 4..len - 8 * 4_096] {
        *byte ^= 0x40;
    }
    fs::write(&path, bytes).expect("a working disk");
    let map = MemKV::<String, u64>::open(&path).expect("damage is found where it is read");
    let key = entries.keys().nth(10_000).expect("there are so many");
    let is_named = |error: Error| match error {
        Error::Damaged { path: named, corruption } => {
            assert_eq!(named, real(&path));
            assert_eq!(corruption.part, "store block");
        }
        other => panic!("{other:?}"),
    };
    is_named(map.try_get(key).unwrap_err());
    is_named(map.try_put(key, 1).unwrap_err());
    is_named(map.try_remove(key).unwrap_err());
    is_named(map.verify().unwrap_err());
    is_named(map.save().unwrap_err());
    let all: Vec<_> = map.iter().fallible().collect();
    let (last, before) = all.split_last().expect("some entries are sound");
    assert!(before.len() < 20_000 && before.iter().all(Result::is_ok));
    is_named(last.clone().expect_err("the walk meets the damage"));
    let mut backward = map.range(""..).fallible();
    let is_err = |entry: &Result<_, _>| entry.is_err();
    is_named(backward.rfind(is_err).and_then(Result::err).expect("from behind too"));
    assert!(backward.next().is_none() && backward.next_back().is_none(), "an error ends it");
    let panics: [&dyn Fn(); 4] = [
        &|| assert_eq!(map.get(key), None),
        &|| assert!(map.contains_key(key)),
        &|| map.iter().for_each(drop),
        &|| map.keys().rev().for_each(drop),
    ];
    for call in panics {
        let panic = catch_unwind(AssertUnwindSafe(call)).expect_err("there is no answer");
        let text = panic.downcast_ref::<String>().expect("a text");
        assert!(text.starts_with(&*real(&path).to_string_lossy()), "{text}");
    }
}

/// The maps of the golden files: of many keys and of few, of each value class, with an extent.
fn golden_texts() -> MemKV<String, String> {
    let word = |n: u32| format!("{}{n}", ["over", "under", "be", ""][n as usize % 4]);
    let value = |n: u32| if n == 77 { "extent ".repeat(200) } else { format!("value of {n}") };
    (0..300).map(|n| (word(n), value(n))).collect()
}

fn golden_integers() -> MemKV<i32, u16> {
    (-20..20).map(|n| (n * n * n, (n * n) as u16)).collect()
}

/// The files whose bytes this release writes. `texts-v1` is of an earlier one, which made a
/// transducer of so many keys; it is still read.
const WRITTEN: [&str; 2] = ["texts-blocks-v1.memkv", "integers-v1.memkv"];

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name)
}

/// Copies, because the folder of the sources need not be writable.
fn golden_copy(name: &str, folder: &TempDir) -> PathBuf {
    let copy = folder.path().join(name);
    fs::copy(golden(name), &copy).expect("the golden file");
    copy
}

#[test]
fn files_of_version_1_are_read() {
    let folder = folder();
    for name in ["texts-v1.memkv", WRITTEN[0]] {
        let texts: MemKV<String, String> =
            MemKV::open(golden_copy(name, &folder)).expect("version 1");
        assert!(texts.iter().eq(golden_texts().iter()));
        texts.verify().expect("a sound file");
    }
    let integers: MemKV<i32, u16> = MemKV::open_read_only(golden(WRITTEN[1])).expect("version 1");
    assert!(integers.iter().eq(golden_integers().iter()));
    integers.verify().expect("a sound file");
}

#[test]
fn the_same_entries_give_the_golden_files_of_version_1() {
    let folder = folder();
    let path = folder.path().join("map");
    golden_texts().save_to(&path).expect("a working disk");
    assert!(fs::read(&path).unwrap() == fs::read(golden(WRITTEN[0])).unwrap());
    golden_integers().save_to(&path).expect("a working disk");
    assert!(fs::read(&path).unwrap() == fs::read(golden(WRITTEN[1])).unwrap());
}

fn expect_the_file_of_the_entries(make: impl Fn(&MemKV<String, u64>)) {
    let folder = folder();
    let map = MemKV::<String, u64>::with_options(manual());
    make(&map);
    let entries: BTreeMap<String, u64> = map.iter().collect();
    map.verify().expect("sound");
    map.save_to(folder.path().join("spliced")).expect("disk");
    let fresh = MemKV::<String, u64>::from_sorted(&entries).expect("sorted");
    fresh.save_to(folder.path().join("fresh")).expect("disk");
    let read = |name: &str| fs::read(folder.path().join(name)).expect("file");
    assert!(read("spliced") == read("fresh"), "the file depends on the entries alone");
}

#[test]
fn a_prefix_that_was_cut_off_for_a_time_leaves_no_trace_in_a_file() {
    expect_the_file_of_the_entries(|map| {
        map.put("a", 0);
        (0..1_000).for_each(|n| map.put(format!("prefix/of/all/{:06}", scrambled(n) % 999_983), n));
        map.compact().expect("memory");
        map.delete("a");
        map.compact().expect("memory");
    });
}

#[test]
fn symbols_that_a_fold_goes_on_with_leave_no_trace_in_a_file() {
    let key =
        |n: u64| format!("https://example.org/{}/page-{:08x}", scrambled(n) % 97, scrambled(n));
    expect_the_file_of_the_entries(|map| {
        (0..20_000).for_each(|n| map.put(key(n), n));
        map.compact().expect("memory");
        (20_000..20_400).for_each(|n| map.put(key(n), n));
        map.compact().expect("memory");
    });
}

#[test]
fn keys_that_are_of_one_length_again_leave_no_trace_in_a_file() {
    expect_the_file_of_the_entries(|map| {
        map.put("x", 0);
        (0..4_000).for_each(|n| map.put(format!("{:08x}", scrambled(n) as u32), n));
        map.compact().expect("memory");
        map.delete("x");
        map.compact().expect("memory");
    });
}

#[test]
fn symbols_go_when_the_keys_that_they_were_made_for_do() {
    // A window over keys: text goes, hashes in base 128 come; always 20,000 entries.
    let map = MemKV::<Vec<u8>, u64>::with_options(manual());
    let old =
        |n: u64| format!("https://example.org/{}/page-{:08x}", scrambled(n) % 97, scrambled(n));
    let new = |n: u64| {
        let mut key = vec![b'i'];
        for i in 0..4 {
            key.extend(scrambled(n * 4 + i).to_le_bytes()[..5].iter().map(|byte| byte | 0x80));
        }
        key
    };
    (0..20_000).for_each(|n| map.put(old(n).as_bytes(), n));
    map.compact().expect("memory");
    for from in (0..20_000).step_by(1_000) {
        (from..from + 1_000).for_each(|n| {
            map.delete(old(n).as_bytes());
            map.put(new(n).as_slice(), n);
        });
        map.compact().expect("memory");
    }
    let entries: BTreeMap<Vec<u8>, u64> = map.iter().collect();
    let fresh = MemKV::<Vec<u8>, u64>::from_sorted(&entries).expect("sorted");
    let bytes = |map: &MemKV<Vec<u8>, u64>| map.stats().base.expect("base").key_bytes;
    assert!(bytes(&map) * 10 < bytes(&fresh) * 11, "{} {}", bytes(&map), bytes(&fresh));
}

#[test]
fn symbols_that_do_not_fit_take_no_map_past_its_limit() {
    const LIMIT: usize = 4 << 20;
    let options = Options { memory_limit_bytes: std::num::NonZeroUsize::new(LIMIT), ..manual() };
    let map = MemKV::<Vec<u8>, u64>::with_options(options);
    let old =
        |n: u64| format!("https://example.org/{}/page-{:08x}", scrambled(n) % 97, scrambled(n));
    (0..10_000).for_each(|n| map.put(old(n).as_bytes(), n));
    map.compact().expect("memory");
    let mut n = 0;
    loop {
        let key: Vec<u8> =
            (0..200).flat_map(|i| scrambled(n * 200 + i).to_le_bytes()[..5].to_vec()).collect();
        let key: Vec<u8> = key.iter().map(|byte| byte | 0x80).collect();
        if map.try_put(key.as_slice(), n).is_err() {
            break;
        }
        n += 1;
    }
    map.compact().expect("memory");
    assert!(map.memory_usage().total() <= LIMIT + (8 << 10), "{}", map.memory_usage().total());
}

#[test]
fn a_removal_without_effect_leaves_no_trace_in_a_file() {
    let folder = folder();
    let options = Options {
        compaction: Compaction::Inline,
        delta_floor_bytes: 1 << 10,
        ..Options::default()
    };
    let entries: BTreeMap<String, u64> =
        (0..3_000).map(|n| (format!("prefix/of/all/{n:06}"), n)).collect();
    let fresh = MemKV::<String, u64>::from_sorted(&entries).expect("sorted");
    let map = MemKV::<String, u64>::from_sorted_with_options(&entries, options).expect("sorted");
    map.put("a", 7);
    // Until it is in an overlay.
    for (key, n) in entries.iter().step_by(7) {
        map.put(key, *n);
        if map.stats().overlay.is_some() && map.stats().delta_entries == 0 {
            break;
        }
    }
    assert!(map.stats().overlay.is_some());
    map.delete("a");
    map.compact().expect("memory");
    map.verify().expect("sound");
    map.save_to(folder.path().join("spliced")).expect("disk");
    fresh.save_to(folder.path().join("fresh")).expect("disk");
    let read = |name: &str| fs::read(folder.path().join(name)).expect("file");
    assert!(read("spliced") == read("fresh"), "the file depends on the entries alone");
}

#[test]
fn numbers_are_numbers_again_when_the_odd_key_is_gone() {
    let map = MemKV::<Vec<u8>, u64>::with_options(manual());
    map.put(b"x".as_slice(), 0);
    for n in 0..40_000u64 {
        let bytes: Vec<u8> = (n * 5).to_le_bytes().iter().rev().copied().collect();
        map.put(bytes, n);
    }
    map.compact().expect("memory");
    map.delete(b"x".as_slice());
    map.compact().expect("memory");
    map.compact().expect("memory");
    let entries: BTreeMap<Vec<u8>, u64> = map.iter().collect();
    let fresh = MemKV::<Vec<u8>, u64>::from_sorted(&entries).expect("sorted");
    let bytes = |map: &MemKV<Vec<u8>, u64>| map.stats().base.expect("base").key_bytes;
    assert!(bytes(&map) < 2 * bytes(&fresh), "{} {}", bytes(&map), bytes(&fresh));
}
