//! Processes that are killed and disks that are full while a map is saved: what is at the path
//! afterwards is one whole map, no lock lasts, and nothing is left behind.
#![cfg(unix)]

#[path = "../src/testing/tally.rs"]
mod tally;

use memkv::{Compaction, Error, MemKV, Options};
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use tally::Tally;

type Map = MemKV<u64, Vec<u8>>;

/// What a child process is to do, and with which file.
const CHILD_VARIABLE: &str = "MEMKV_CRASH_CHILD";

/// Children that are killed; fewer where each costs ten times as much.
const KILLS: u64 = if cfg!(memkv_poison) { 40 } else { 120 };

/// Held by a test that starts processes, and by one that must not share its locks with them: between
/// the fork and its exec a child has what its parent has open.
#[expect(clippy::disallowed_types, reason = "the library's own names are not for tests of it")]
static STARTS_PROCESSES: std::sync::Mutex<()> = std::sync::Mutex::new(());

/// Keys of the map; all of them have a value of the same generation.
const KEYS: u64 = 400;

/// Saves for which a child lives at most.
const LONGEST_LIFE: u32 = 4;

fn manual() -> Options {
    Options { compaction: Compaction::Manual, ..Options::default() }
}

/// A value of this generation. Some are extents.
fn value(key: u64, generation: u64) -> Vec<u8> {
    let len = if key.is_multiple_of(50) { 3000 } else { 8 };
    generation.to_le_bytes().into_iter().cycle().take(len).collect()
}

/// Sets all keys to a generation.
fn fill(map: &Map, generation: u64) {
    for key in 0..KEYS {
        map.put(key, value(key, generation));
    }
}

/// The one generation of all keys in a sound file.
fn generation(path: &Path) -> u64 {
    let map = Map::open_read_only(path).expect("one whole map");
    map.verify().expect("one whole map");
    assert_eq!(map.len() as u64, KEYS);
    let first = map.get(1).expect("all keys are there");
    let generation = u64::from_le_bytes(*first.first_chunk().expect("eight bytes"));
    for key in 0..KEYS {
        assert_eq!(map.get(key), Some(value(key, generation)), "a map of two saves");
    }
    generation
}

/// This test program again, as a child that does `task`.
fn child(task: &str, path: &Path) -> Child {
    let program = std::env::current_exe().expect("this program has a file");
    Command::new(program)
        .args(["--exact", "--nocapture", "child_of_a_test"])
        .env(CHILD_VARIABLE, format!("{task} {}", path.display()))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("a process can be started")
}

/// The part of a child process; nothing in an ordinary run.
#[test]
fn child_of_a_test() {
    let Ok(task) = std::env::var(CHILD_VARIABLE) else { return };
    let (task, path) = task.split_once(' ').expect("a task and a path");
    let path = PathBuf::from(path);
    assert_eq!(task, "save-for-ever");
    let mut generation = generation(&path);
    let map = Map::open_with_options(&path, manual()).expect("no lock has lasted");
    println!("ready");
    loop {
        generation += 1;
        fill(&map, generation);
        map.save().expect("a working disk");
    }
}

/// Waits until the child has opened the map.
fn wait_until_ready(child: &mut Child) {
    let out = child.stdout.take().expect("it is piped");
    let ready = BufReader::new(out).lines().map_while(Result::ok).any(|line| line == "ready");
    assert!(ready, "the child could not open the map");
}

fn names_in(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("a readable folder");
    let mut names: Vec<String> = entries
        .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

#[test]
fn a_killed_process_leaves_the_old_map_or_the_new_one_and_no_lock() {
    let _alone = STARTS_PROCESSES.lock();
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("map");
    let map = Map::with_options(manual());
    #[expect(clippy::disallowed_methods, reason = "moments are spread over the time of a save")]
    let started = std::time::Instant::now();
    fill(&map, 0);
    map.save_to(&path).expect("a working disk");
    let longest_life = LONGEST_LIFE * started.elapsed();
    drop(map);
    let mut tally = Tally::new("killed processes");
    let (mut last, mut interrupted) = (0, 0);
    for kill in 0..KILLS {
        tally.case(format_args!("kill {kill}"), || {
            let mut child = child("save-for-ever", &path);
            wait_until_ready(&mut child);
            // A different moment each time; neighbours differ by much.
            thread::sleep(longest_life * (kill * 7 % 60) as u32 / 60);
            child.kill().expect("it runs for ever");
            child.wait().expect("it was killed");
            interrupted += u64::from(folder.path().join("map.tmp").exists());
            let generation = generation(&path);
            assert!(generation >= last, "generation {last} was there before {generation}");
            last = generation;
        });
    }
    println!("{last} saves were complete, {interrupted} were interrupted");
    assert!(last > KILLS / 20 && interrupted > KILLS / 20, "the moments were not well spread");
    tally.finish(KILLS);

    let map = Map::open_with_options(&path, manual()).expect("no lock has lasted");
    map.save().expect("a working disk");
    assert_eq!(names_in(folder.path()), ["map", "map.lock"], "a stale file was removed");
}

/// Fills a small file system and saves again and again with less and less room.
#[expect(clippy::disallowed_methods, reason = "a file of the test")]
fn save_without_room(folder: &Path) {
    let path = folder.join("map");
    let map = Map::with_options(manual());
    fill(&map, 1);
    map.save_to(&path).expect("room for one");
    fill(&map, 2);
    let ballast = folder.join("ballast");
    let mut tally = Tally::new("saves to a full file system");
    let mut refused = 0;
    for size in (0..256 << 10).step_by(4 << 10) {
        // What does not fit is cut off by the file system.
        let _ = fs::write(&ballast, vec![1; size]);
        tally.case(format_args!("{size} bytes taken"), || match map.save_to(&path) {
            Ok(()) => assert_eq!(generation(&path), 2),
            Err(error) => {
                assert!(matches!(error, Error::Io { .. }), "{error}");
                refused += 1;
                assert!([1, 2].contains(&generation(&path)));
                assert_eq!(names_in(folder), ["ballast", "map", "map.lock"]);
                assert_eq!(map.len() as u64, KEYS);
            }
        });
        let _ = fs::remove_file(&ballast);
    }
    assert!(refused > 5, "{refused} saves were refused");
    map.save_to(&path).expect("there is room again");
    assert_eq!(generation(&path), 2);
    tally.finish(40);
}

#[test]
fn a_full_file_system_is_a_typed_error_and_leaves_the_old_map() {
    let folder = tempfile::tempdir().expect("a folder");
    let mount = Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=192k", "tmpfs"])
        .arg(folder.path())
        .stderr(Stdio::null())
        .status();
    if !mount.is_ok_and(|status| status.success()) {
        println!("SKIPPED: a small file system cannot be mounted here; that takes root");
        return;
    }
    let outcome = {
        let _alone = STARTS_PROCESSES.lock();
        std::panic::catch_unwind(|| save_without_room(folder.path()))
    };
    let unmounted = Command::new("umount").arg(folder.path()).status();
    assert!(unmounted.is_ok_and(|status| status.success()), "it could be mounted");
    if let Err(panic) = outcome {
        std::panic::resume_unwind(panic);
    }
}
