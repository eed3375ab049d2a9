//! Where keys come from, and how they travel to a child process.

use crate::arguments::{Options, Source, Spread};
use crate::common::keys::{ByteKeys, IntegerKeys, KeyList, Keys, random_integers, shipped_words};
use crate::common::random::{Random, Values};
use std::collections::TryReserveError;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

/// Keys of either type.
pub(crate) enum KeySet {
    Bytes(ByteKeys),
    Integers(IntegerKeys),
}

/// What is worth saying about a set of keys.
pub(crate) struct About {
    pub(crate) name: String,
    /// Notes about what was left out.
    pub(crate) notes: Vec<String>,
    /// The ratios to `BTreeMap` and the bytes that this kind of keys is asked to reach.
    pub(crate) asked: Asked,
}

/// The goals for a set of keys.
#[derive(Clone, Copy, Default)]
pub(crate) struct Asked {
    pub(crate) ratio: Option<f64>,
    pub(crate) delta_ratio: Option<f64>,
    pub(crate) delta_bytes: Option<f64>,
}

const ASKED_OF_WORDS: Asked =
    Asked { ratio: Some(0.25), delta_ratio: Some(0.60), delta_bytes: None };
const ASKED_OF_UNIFORM: Asked = Asked { ratio: None, delta_ratio: None, delta_bytes: Some(28.0) };

/// Loads the keys that were asked for: each once, in random order.
pub(crate) fn load(options: &Options, random: &mut Random) -> Result<(KeySet, About), String> {
    let mut about = About { name: String::new(), notes: Vec::new(), asked: Asked::default() };
    let keys = match &options.source {
        Source::ShippedWords => {
            "the shipped word list".clone_into(&mut about.name);
            about.asked = ASKED_OF_WORDS;
            shipped_words()
        }
        Source::File(path) => {
            about.name = format!("lines of {}", path.display());
            let text = std::fs::read(path)
                .map_err(|error| format!("cannot read {}: {error}", path.display()))?;
            ByteKeys::from_lines(&text)
        }
        Source::Folder(folder) => {
            about.name = format!("paths below {}", folder.display());
            let (keys, unreadable) = paths_below(folder)?;
            if unreadable > 0 {
                about.notes.push(format!("{unreadable} folders could not be read"));
            }
            keys
        }
        Source::Integers { count, spread } => {
            about.name = format!("--integers {count} {spread:?}").to_lowercase();
            if matches!(spread, Spread::Uniform) {
                about.asked = ASKED_OF_UNIFORM;
            }
            let keys = integers(*count, *spread, random)?;
            let (keys, repeated) = keys.distinct_shuffled(options.limit, random);
            about.note_repetitions(repeated);
            return Ok((KeySet::Integers(keys), about));
        }
    };
    let (keys, too_long) = keys.without_longer_than(memkv::MAX_KEY_LEN);
    if too_long > 0 {
        about
            .notes
            .push(format!("{too_long} keys above {} bytes were left out", memkv::MAX_KEY_LEN));
    }
    let (keys, repeated) = keys.distinct_shuffled(options.limit, random);
    about.note_repetitions(repeated);
    Ok((KeySet::Bytes(keys), about))
}

impl About {
    fn note_repetitions(&mut self, repeated: usize) {
        if repeated > 0 {
            self.notes.push(format!("{repeated} repeated keys were removed"));
        }
    }
}

/// The path of every file and folder below `root`, symbolic links included but not followed; and
/// how many folders could not be read.
fn paths_below(root: &Path) -> Result<(ByteKeys, usize), String> {
    std::fs::read_dir(root)
        .map_err(|error| format!("cannot read the folder {}: {error}", root.display()))?;
    let mut keys = ByteKeys::default();
    let mut unreadable = 0;
    let mut folders: Vec<PathBuf> = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = std::fs::read_dir(&folder) else {
            unreadable += 1;
            continue;
        };
        for entry in entries.flatten() {
            let path = entry.path();
            keys.push(path.as_os_str().as_encoded_bytes());
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                folders.push(path);
            }
        }
    }
    Ok((keys, unreadable))
}

fn integers(count: usize, spread: Spread, random: &mut Random) -> Result<IntegerKeys, String> {
    const START_MICROSECONDS: u64 = 1_700_000_000_000_000;
    const LONGEST_PAUSE: usize = 2_000;
    const CLUSTER_STEPS: usize = 8;
    const CLUSTER_KEYS: usize = 1_000;
    let too_many = |error: TryReserveError| format!("{count} integers are too many: {error}");
    if count >= u32::MAX as usize {
        return Err(format!("{count} integers are too many: the limit is below 2^32"));
    }
    let mut keys = Vec::new();
    keys.try_reserve_exact(count).map_err(too_many)?;
    match spread {
        Spread::Uniform => return Ok(random_integers(count, random)),
        Spread::Dense => keys.extend(0..count as u64),
        Spread::Clustered => {
            let mut next = 0_u64;
            for index in 0..count {
                if index % CLUSTER_KEYS == 0 {
                    next = random.word();
                }
                keys.push(next);
                next = next.wrapping_add(1 + random.below(CLUSTER_STEPS) as u64);
            }
        }
        Spread::Timestamps => {
            let mut now = START_MICROSECONDS;
            for _ in 0..count {
                keys.push(now);
                now += 1 + random.below(LONGEST_PAUSE) as u64;
            }
        }
    }
    Ok(IntegerKeys(keys))
}

const TAG_BYTES: u8 = b'b';
const TAG_INTEGERS: u8 = b'i';

/// Keys that can be sent through a pipe, in their order.
pub(crate) trait Packed {
    fn send(&self, values: Values, pipe: &mut impl Write) -> io::Result<()>;
}

impl Packed for ByteKeys {
    fn send(&self, values: Values, pipe: &mut impl Write) -> io::Result<()> {
        send_head(TAG_BYTES, values, pipe)?;
        for index in 0..self.len() {
            let key = self.key(index);
            pipe.write_all(&(key.len() as u32).to_le_bytes())?;
            pipe.write_all(key)?;
        }
        Ok(())
    }
}

impl Packed for IntegerKeys {
    fn send(&self, values: Values, pipe: &mut impl Write) -> io::Result<()> {
        send_head(TAG_INTEGERS, values, pipe)?;
        self.0.iter().try_for_each(|key| pipe.write_all(&key.to_le_bytes()))
    }
}

fn send_head(tag: u8, values: Values, pipe: &mut impl Write) -> io::Result<()> {
    pipe.write_all(&[tag])?;
    pipe.write_all(&values.seed.to_le_bytes())?;
    pipe.write_all(&values.bits.to_le_bytes())
}

/// Keys and values as [`Packed::send`] wrote them, to the end of the pipe.
pub(crate) fn receive(pipe: &mut impl Read) -> Result<(KeySet, Values), String> {
    const CUT: &str = "the keys on stdin are cut short";
    let mut bytes = Vec::new();
    pipe.read_to_end(&mut bytes).map_err(|error| format!("cannot read keys: {error}"))?;
    let (tag, rest) = bytes.split_first().ok_or(CUT)?;
    let (seed, rest) = rest.split_first_chunk().ok_or(CUT)?;
    let (bits, mut rest) = rest.split_first_chunk().ok_or(CUT)?;
    let keys = match *tag {
        TAG_BYTES => {
            let mut keys = ByteKeys::default();
            while let Some((len, tail)) = rest.split_first_chunk() {
                let (key, tail) =
                    tail.split_at_checked(u32::from_le_bytes(*len) as usize).ok_or(CUT)?;
                keys.push(key);
                rest = tail;
            }
            KeySet::Bytes(keys)
        }
        TAG_INTEGERS => {
            let (words, _) = rest.as_chunks();
            KeySet::Integers(IntegerKeys(words.iter().map(|&b| u64::from_le_bytes(b)).collect()))
        }
        _ => return Err("the keys on stdin are of no known type".to_owned()),
    };
    let (seed, bits) = (u64::from_le_bytes(*seed), u32::from_le_bytes(*bits));
    Ok((keys, Values { seed, bits }))
}
