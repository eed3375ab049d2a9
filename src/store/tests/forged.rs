//! Files that somebody made on purpose: their checksums are right, their content is not.

use super::super::format::reseal;
use super::*;
use crate::blocks::TreeShape;
use crate::bytes::u64_at;
use crate::segment::{EXTENT_ROW_LEN, extent_row};
use crate::testing::keys::big_endian;
use crate::testing::rng::Rng;
use std::ops::Range;

/// The parts of a file of one partition.
fn parts(file: &[u8]) -> (Header, Row) {
    let header = Header::decode(file).expect("a sound header");
    let row = file[header.directory.start as usize..].first_chunk().expect("a row");
    let row = Row::decode(row, 0, &header).expect("a sound row");
    (header, row)
}

/// A saved map whose bytes were changed by `forge`, with its checksums made right.
fn forged(folder: &TempDir, forge: impl FnOnce(&mut Vec<u8>, &Row)) -> PathBuf {
    let path = saved(200, folder);
    let mut file = fs::read(&path).expect("the store");
    let (_, row) = parts(&file);
    forge(&mut file, &row);
    reseal(&mut file);
    fs::write(&path, &file).expect("a working disk");
    path
}

#[test]
fn large_values_that_share_their_bytes_are_not_saved_again_and_again() {
    let folder = folder();
    // Each row says that its value is all bytes of all values.
    let path = forged(&folder, |file, row| {
        let all = extent_row(
            row.extent_bytes.start,
            (row.extent_bytes.end - row.extent_bytes.start) as u32,
        );
        let table = row.extent_table.start as usize..row.extent_table.end as usize;
        for row in file[table].chunks_mut(all.len()) {
            row.copy_from_slice(&all);
        }
    });
    let before = fs::read(&path).expect("the store");
    let map = Map::open(&path).expect("rows are looked at when they are read");
    assert!(matches!(map.verify(), Err(Error::Damaged { .. })));
    for is_merged in [false, true] {
        if is_merged {
            map.put("another key", b"value");
        }
        let refused = map.save_to(folder.path().join("copy"));
        assert!(matches!(refused, Err(Error::Damaged { .. })), "{refused:?}");
        assert!(matches!(map.save(), Err(Error::Damaged { .. })));
        assert_eq!(names_in(&folder), ["copy.lock", "map", "map.lock"]);
    }
    assert_eq!(fs::read(&path).expect("the store"), before);
}

#[test]
fn entries_that_share_a_large_value_are_not_saved_again_and_again() {
    let folder = folder();
    let path = folder.path().join("map");
    let sound = Map::from_iter(["a", "b", "c"].map(|key| (key, vec![7; 2000])));
    sound.save_to(&path).expect("a working disk");
    let mut file = fs::read(&path).expect("the store");
    // The items of large values are their indices, as are, before them, the offsets of these keys;
    // now all are the first one's.
    let items: Vec<u8> = (0..3u32).flat_map(u32::to_le_bytes).collect();
    let at = file.windows(items.len()).rposition(|bytes| bytes == items).expect("the items");
    file[at..at + items.len()].fill(0);
    reseal(&mut file);
    fs::write(&path, &file).expect("a working disk");
    let map = Map::open(&path).expect("items are looked at when they are read");
    assert!(matches!(map.verify(), Err(Error::Damaged { .. })));
    map.put("another key", b"value");
    let refused = map.save();
    assert!(matches!(refused, Err(Error::Damaged { .. })), "{refused:?}");
}

#[test]
fn verify_finds_bytes_between_the_parts_of_a_file() {
    let folder = folder();
    let gaps: [fn(&Header, &Row) -> Range<u64>; 2] = [
        |_, row| row.image.end..row.extent_table.start,
        |header, row| row.extent_bytes.end..header.directory.start,
    ];
    let sound = fs::read(saved(200, &folder)).expect("the store");
    let (header, row) = parts(&sound);
    for gap in gaps {
        let gap = gap(&header, &row);
        assert!(!gap.is_empty(), "this content leaves a gap");
        for at in gap {
            let path = forged(&folder, |file, _| file[at as usize] = 1);
            let map = Map::open(&path).expect("gaps are not looked at");
            let error = map.verify().expect_err("a gap has zeros");
            let Error::Damaged { corruption, .. } = error else { panic!("{error}") };
            assert_eq!((corruption.part, corruption.offset), ("store", at));
        }
    }
}

#[test]
fn verify_finds_room_between_the_parts_of_a_file() {
    let folder = folder();
    let path = saved(200, &folder);
    let sound = fs::read(&path).expect("the store");
    let (header, row) = parts(&sound);
    // The directory, or extents and directory, 64 bytes later than they have to be.
    for from in [header.directory.start, row.extent_table.start] {
        const LATER: u64 = 64;
        let shift = |range: Range<u64>| range.start + LATER..range.end + LATER;
        let mut file = sound.clone();
        file.splice(from as usize..from as usize, [0; LATER as usize]);
        let mut row = row.clone();
        if from == row.extent_table.start {
            let rows = row.extent_table.clone().step_by(EXTENT_ROW_LEN);
            (row.extent_table, row.extent_bytes) =
                (shift(row.extent_table), shift(row.extent_bytes));
            for at in rows.map(|at| (at + LATER) as usize) {
                let offset = u64_at(&file, at).expect("a row") + LATER;
                file[at..at + 8].copy_from_slice(&offset.to_le_bytes());
            }
        }
        let directory = shift(header.directory.clone());
        let data_len = header.data_len + LATER;
        let total = TreeShape::of(data_len).tree_end() + TRAILER_LEN as u64;
        let header = Header { directory: directory.clone(), data_len, total, ..header.clone() };
        file[..HEADER_LEN].copy_from_slice(&header.encode());
        file[directory.start as usize..directory.end as usize].copy_from_slice(&row.encode());
        reseal(&mut file);
        fs::write(&path, &file).expect("a working disk");
        let map = Map::open(&path).expect("all parts are where the file says");
        assert!(map.iter().eq(entries(200)));
        let error = map.verify().expect_err("parts stand close");
        assert!(error.to_string().contains("room between them"), "{error}");
    }
}

/// Takes what is left of a walk from both ends in turns, of which none must have too many.
fn exhaust(
    map: &MemKV<Vec<u8>, [u8; 8]>,
    mut turn: impl FnMut(usize) -> bool,
    most: usize,
) -> bool {
    let mut walk = map.iter().fallible();
    let mut taken = 0;
    while let Some(entry) = if turn(taken) { walk.next() } else { walk.next_back() } {
        if entry.is_err() {
            return true;
        }
        taken += 1;
        assert!(taken < most, "a walk of {most} entries over {}", map.len());
    }
    false
}

#[test]
fn walks_with_newer_entries_over_forged_keys_end() {
    const ENTRIES: u64 = 1_500;
    let folder = folder();
    let path = folder.path().join("map");
    let options = Options {
        compaction: Compaction::Manual,
        residence: Residence::Mapped,
        ..Options::default()
    };
    // One of the seeds with which a walk went round without an end while copies that are cut short
    // were put back by key.
    let mut rng = Rng::new(20);
    let mut damages = 0;
    for key in [
        |n: u64| big_endian(n * 16),
        |n: u64| format!("{:012}", n * 16).into_bytes(),
        |n: u64| format!("key/{:x}", n * n).into_bytes(),
    ] {
        let sound: MemKV<Vec<u8>, [u8; 8]> = (0..ENTRIES).map(|n| (key(n), [7; 8])).collect();
        sound.save_to(&path).expect("a working disk");
        let sound = fs::read(&path).expect("the store");
        for _ in 0..300 {
            let mut file = sound.clone();
            file[HEADER_LEN + rng.below(sound.len() - HEADER_LEN)] ^= 1 << rng.below(8);
            reseal(&mut file);
            fs::write(&path, &file).expect("a working disk");
            let Ok(map) = MemKV::<Vec<u8>, [u8; 8]>::open_with_options(&path, options.clone())
            else {
                continue;
            };
            // Some are like those of the file, and some are not.
            for n in (0..ENTRIES).step_by(37) {
                let mut newer = key(n);
                if rng.one_in(2) {
                    newer.extend([7; 5]);
                }
                let _ = map.try_put(&newer, [9; 8]);
            }
            let most = 20 * ENTRIES as usize;
            let turns = rng.below(40) + 1;
            damages += usize::from(exhaust(&map, |_| true, most))
                + usize::from(exhaust(&map, |_| false, most))
                + usize::from(exhaust(&map, |taken| (taken / turns).is_multiple_of(2), most));
        }
    }
    assert!(damages > 100, "{damages}");
}
