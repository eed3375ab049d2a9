//! Store files of bytes that nobody wrote.

use super::segment::forge;
use super::{Input, Watch};
use crate::cursor::Cursor;
use crate::key::{Key, MAX_KEY_LEN};
use crate::map::MemKV;
use crate::options::{Compaction, Options, Residence};
use crate::range::Direction;
use crate::segment::exercise::walk;
use crate::store::{Access, field_offsets, reseal};
use crate::testing::driven::Modelled;
use crate::testing::memory_storage::MemoryStorage;
use std::path::Path;

/// Keys that a map is asked for.
const PROBES: usize = 8;

/// Opens and uses a store: the bytes of `data` themselves, or a store of our own with a few forged
/// fields; its checksums are made right if `data` says so. Whether it opened.
pub(crate) fn run(data: &[u8], watch: Watch<'_>) -> bool {
    let input = &mut Input::new(data);
    match input.byte() % 4 {
        0 => run_as::<Vec<u8>, Vec<u8>>(input, <[u8]>::to_vec, watch),
        1 => run_as::<Vec<u8>, [u8; 8]>(input, <[u8]>::to_vec, watch),
        2 => run_as::<String, ()>(input, text, watch),
        _ => run_as::<String, Vec<u8>>(input, text, watch),
    }
}

/// A key that is text.
fn text(bytes: &[u8]) -> String {
    let mut text = String::from_utf8_lossy(bytes).into_owned();
    // Bytes that are no text are replaced by longer ones.
    text.truncate(text.floor_char_boundary(MAX_KEY_LEN));
    text
}

fn run_as<K: Key, V: Modelled>(
    input: &mut Input<'_>,
    key: fn(&[u8]) -> K,
    watch: Watch<'_>,
) -> bool {
    let mode = input.byte();
    let probes: Vec<K> = (0..PROBES).map(|_| key(&input.key())).collect();
    let mut file = if mode & 1 == 0 {
        input.rest().to_vec()
    } else {
        let mut file = built::<K, V>(input, key);
        forge(input, &mut file, field_offsets);
        file
    };
    if mode & 6 != 0 {
        reseal(&mut file);
    }
    let storage = MemoryStorage::default();
    storage.write(path(), &file);
    let residence = if mode & 8 == 0 { Residence::Mapped } else { Residence::Resident };
    let access = if mode & 16 == 0 { Access::ReadWrite } else { Access::ReadOnly };
    let options = Options { residence, compaction: Compaction::Manual, ..Options::default() };
    let mut is_open = false;
    watch(file.len(), &mut || {
        let (storage, options) = (Box::new(storage.clone()), options.clone());
        let opened = MemKV::<K, V>::open_in(storage, path(), options, access);
        if let Ok(map) = &opened {
            exercise(map, &probes, access);
        }
        is_open = opened.is_ok();
    });
    is_open
}

/// The bytes of a sound store.
fn built<K: Key, V: Modelled>(input: &mut Input<'_>, key: fn(&[u8]) -> K) -> Vec<u8> {
    let options = Options { compaction: Compaction::Manual, ..Options::default() };
    let map = MemKV::<K, V>::with_options(options);
    let width = crate::value::width_of::<V>();
    for _ in 0..input.byte() % 64 {
        let (key, value) = (key(&input.key()), input.value(width));
        map.put(&key, V::from_model(&value));
    }
    for bytes in input.fan() {
        map.put(key(&bytes), V::from_model(&input.value(width)));
    }
    saved(&map)
}

fn saved<K: Key, V: Modelled>(map: &MemKV<K, V>) -> Vec<u8> {
    let storage = MemoryStorage::default();
    // Not the path of a map that was opened: that would be saved where it came from.
    let path = Path::new("saved");
    map.save_in(&storage, path).expect("a sound map");
    storage.read(path).expect("it was saved").to_vec()
}

fn path() -> &'static Path {
    Path::new("map")
}

/// Asks a map everything; what it answers does not matter, that it answers does. Unless `verify`
/// accepts it: then all of it must hold together.
fn exercise<K: Key, V: Modelled>(map: &MemKV<K, V>, probes: &[K], access: Access) {
    let is_sound = map.verify().is_ok();
    let len = map.len();
    let _ = (map.stats(), map.memory_usage());
    for probe in probes {
        assert!(map.try_get(probe).is_ok() || !is_sound);
        let mut cursor = map.core().view_all().cursor();
        probe.with_bytes(|bytes| {
            cursor.seek(bytes);
            cursor.prev();
            cursor.seek_for_prev(bytes);
            cursor.next();
        });
        assert!(cursor.status().is_ok() || !is_sound);
    }
    let mut cursor = map.core().view_all().cursor();
    cursor.first();
    let up = walk(&mut cursor, Direction::Forward, is_sound);
    let is_whole = !cursor.valid();
    cursor.last();
    let down = walk(&mut cursor, Direction::Backward, is_sound);
    assert!(up.is_sorted_by(|a, b| a < b) && down.is_sorted_by(|a, b| a > b));
    if is_sound && is_whole {
        assert!(up.len() == len && up.iter().eq(down.iter().rev()));
        map.core().check();
    }
    if access == Access::ReadOnly || !is_whole {
        return;
    }
    for probe in probes {
        let value = vec![
            7;
            match crate::value::width_of::<V>() {
                crate::entry::ValueWidth::Fixed(width) => usize::from(width),
                crate::entry::ValueWidth::Bytes => 2000,
            }
        ];
        assert!(map.try_insert(probe, V::from_model(&value)).is_ok() || !is_sound);
    }
    let _ = map.try_remove(&probes[0]);
    let folded = map.compact();
    if is_sound {
        assert_eq!(folded, Ok(()));
        map.core().check();
        let _ = saved(map);
    }
}

/// An input that is the whole of a sound store.
#[cfg(test)]
pub(super) fn sound_input(seed: u64) -> Vec<u8> {
    let bytes = crate::testing::rng::Rng::new(seed).bytes(300);
    let file = built::<Vec<u8>, Vec<u8>>(&mut Input::new(&bytes), <[u8]>::to_vec);
    // Byte strings, no mode, and the tags of probes that are empty keys.
    [&[0, 0][..], &[0; PROBES], &file].concat()
}
