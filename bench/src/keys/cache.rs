//! Prepared key sets in files: made once, read by each measuring process.

use super::{Files, KeySet, Set, Source};
use crate::kind::{ByteList, KeyList, Kind};
use crate::peer::Entries;
use crate::random::Random;
use std::borrow::Borrow;
use std::fs::File;
use std::io::{BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

/// Changes whenever a generator does, so that no old file is taken for a new one.
const GENERATION: u32 = 1;
/// Probes of one kind, at most.
const MOST_PROBES: usize = 200_000;

/// `$XDG_CACHE_HOME/memkv-bench`, or the same below `~/.cache`, or in the system's scratch folder.
pub(crate) fn folder() -> PathBuf {
    let given = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from).filter(|p| p.is_absolute());
    let home = || std::env::home_dir().map(|home| home.join(".cache"));
    given.or_else(home).unwrap_or_else(std::env::temp_dir).join("memkv-bench")
}

/// How a list of keys stands in a file.
trait Stored: Kind {
    fn write(list: &Self::List, file: &mut impl Write) -> std::io::Result<()>;
    fn read(file: &mut impl Read) -> std::io::Result<Self::List>;
    /// A key that differs from this one in one place near its end.
    fn neighbour(&self, random: &mut Random) -> Self::Owned;
    /// A key of the same shape without anything else in common.
    fn stranger(&self, random: &mut Random) -> Self::Owned;
}

fn write_numbers(numbers: &[u64], file: &mut impl Write) -> std::io::Result<()> {
    file.write_all(&(numbers.len() as u64).to_le_bytes())?;
    numbers.iter().try_for_each(|number| file.write_all(&number.to_le_bytes()))
}

fn read_bytes(file: &mut impl Read, width: usize) -> std::io::Result<Vec<u8>> {
    let mut count = [0; 8];
    file.read_exact(&mut count)?;
    let mut bytes = vec![0; u64::from_le_bytes(count) as usize * width];
    file.read_exact(&mut bytes)?;
    Ok(bytes)
}

fn read_numbers(file: &mut impl Read) -> std::io::Result<Vec<u64>> {
    let bytes = read_bytes(file, 8)?;
    Ok(bytes.as_chunks::<8>().0.iter().map(|word| u64::from_le_bytes(*word)).collect())
}

impl Stored for [u8] {
    fn write(list: &ByteList, file: &mut impl Write) -> std::io::Result<()> {
        file.write_all(&(list.bytes.len() as u64).to_le_bytes())?;
        file.write_all(&list.bytes)?;
        write_numbers(&list.ends, file)
    }

    fn read(file: &mut impl Read) -> std::io::Result<ByteList> {
        Ok(ByteList { bytes: read_bytes(file, 1)?, ends: read_numbers(file)? })
    }

    fn neighbour(&self, random: &mut Random) -> Vec<u8> {
        let mut near = self.to_vec();
        match random.below(3) {
            0 if !near.is_empty() => {
                let last = near.len() - 1;
                near[last] = near[last].wrapping_add(1 + random.below(8) as u8);
            }
            1 if near.len() > 1 => near.truncate(near.len() - 1),
            _ => near.push(b'a' + random.below(26) as u8),
        }
        near
    }

    fn stranger(&self, random: &mut Random) -> Vec<u8> {
        (0..self.len().max(4)).map(|_| b'!' + random.below(94) as u8).collect()
    }
}

impl Stored for u64 {
    fn write(list: &Vec<u64>, file: &mut impl Write) -> std::io::Result<()> {
        write_numbers(list, file)
    }

    fn read(file: &mut impl Read) -> std::io::Result<Vec<u64>> {
        read_numbers(file)
    }

    fn neighbour(&self, random: &mut Random) -> u64 {
        // Dense keys have no free neighbour in their low bits, so one draw in four goes further.
        let reach = if random.below(4) == 0 { 64 } else { 8 };
        self ^ (1 << random.below(reach))
    }

    fn stranger(&self, random: &mut Random) -> u64 {
        random.word()
    }
}

fn sorted_positions<K: Kind + ?Sized>(keys: &K::List) -> Vec<u32> {
    let mut positions: Vec<u32> = (0..keys.len() as u32).collect();
    positions.sort_unstable_by(|&a, &b| keys.key(a as usize).cmp(keys.key(b as usize)));
    positions
}

/// A set of `size` distinct keys in random order, with everything that is asked of it.
fn arrange<K: Stored + ?Sized>(
    drawn: &K::List,
    size: usize,
    value_bound: u64,
    random: &mut Random,
) -> Result<KeySet<K>, String> {
    let mut distinct = sorted_positions::<K>(drawn);
    distinct.dedup_by(|a, b| drawn.key(*a as usize) == drawn.key(*b as usize));
    random.shuffle(&mut distinct);
    if distinct.len() < size {
        return Err(format!("there are only {} distinct keys, not {size}", distinct.len()));
    }
    let (members, rest) = distinct.split_at(size);
    let keys = drawn.gather(members.iter().map(|&position| position as usize));
    let fresh = drawn.gather(rest.iter().take(MOST_PROBES).map(|&position| position as usize));
    let sorted = sorted_positions::<K>(&keys);
    let contains =
        |key: &K| sorted.binary_search_by(|&position| keys.key(position as usize).cmp(key)).is_ok();
    let probes = size.min(MOST_PROBES);
    let mut misses = |change: fn(&K, &mut Random) -> K::Owned| {
        let mut misses = K::List::default();
        let mut tries = 0;
        while misses.len() < probes && tries < 100 * probes {
            tries += 1;
            let key = change(keys.key(random.below(size)), random);
            if !contains(key.borrow()) {
                misses.push(key.borrow());
            }
        }
        misses
    };
    let (near, far) = (misses(K::neighbour), misses(K::stranger));
    Ok(KeySet { entries: Entries { keys, sorted, value_bound }, near, far, fresh })
}

fn file_name(set: &Set, size: usize, seed: u64) -> PathBuf {
    folder().join(format!("{}-{size}-{seed}-v{GENERATION}.keys", set.name))
}

/// Keys beyond the set's, for inserts of new ones.
fn to_draw(size: usize) -> usize {
    size + (size / 10).clamp(64, MOST_PROBES)
}

fn write<K: Stored + ?Sized>(set: &KeySet<K>, path: &Path) -> std::io::Result<()> {
    let mut file = BufWriter::new(File::create(path)?);
    for list in [&set.entries.keys, &set.near, &set.far, &set.fresh] {
        K::write(list, &mut file)?;
    }
    let sorted: Vec<u64> = set.entries.sorted.iter().map(|&position| position.into()).collect();
    write_numbers(&sorted, &mut file)?;
    file.into_inner()?.sync_all()
}

fn read<K: Stored + ?Sized>(path: &Path, value_bound: u64) -> std::io::Result<KeySet<K>> {
    let mut file = BufReader::with_capacity(1 << 20, File::open(path)?);
    let mut list = || K::read(&mut file);
    let (keys, near, far, fresh) = (list()?, list()?, list()?, list()?);
    let sorted = read_numbers(&mut file)?.into_iter().map(|position| position as u32).collect();
    Ok(KeySet { entries: Entries { keys, sorted, value_bound }, near, far, fresh })
}

fn make<K: Stored + ?Sized>(
    drawn: &K::List,
    set: &Set,
    size: usize,
    seed: u64,
    path: &Path,
) -> Result<(), String> {
    let arranged = arrange::<K>(drawn, size, set.value_bound, &mut Random::new(seed ^ 0x0a11))?;
    // Under another name first: an interrupted run leaves no half of a set behind.
    let part = path.with_extension(format!("{}.part", std::process::id()));
    let written = write(&arranged, &part).and_then(|()| std::fs::rename(&part, path));
    written.map_err(|error| {
        _ = std::fs::remove_file(&part);
        format!("cannot keep the key set in {}: {error}", path.display())
    })
}

/// Makes the file of a set unless it is there already; where it is.
pub(crate) fn prepare(set: &Set, size: usize, seed: u64, files: &Files) -> Result<PathBuf, String> {
    let folder = folder();
    std::fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let path = file_name(set, size, seed);
    // What comes from files that may change is made each time.
    let depends_on_files = match set.name {
        "words" | "sosd" => true,
        "paths" => files.walk.is_some(),
        _ => false,
    };
    if path.exists() && !depends_on_files {
        return Ok(path);
    }
    let random = &mut Random::new(seed);
    match set.source {
        Source::Texts(draw) => {
            make::<[u8]>(&draw(to_draw(size), random, files)?, set, size, seed, &path)?;
        }
        Source::Integers(draw) => {
            make::<u64>(&draw(to_draw(size), random, files)?, set, size, seed, &path)?;
        }
    }
    Ok(path)
}

/// A key set of either kind.
pub(crate) enum Loaded {
    Texts(KeySet<[u8]>),
    Integers(KeySet<u64>),
}

/// Reads what [`prepare`] has written.
pub(crate) fn load(set: &Set, path: &Path) -> Result<Loaded, String> {
    let read = match set.source {
        Source::Texts(_) => read::<[u8]>(path, set.value_bound).map(Loaded::Texts),
        Source::Integers(_) => read::<u64>(path, set.value_bound).map(Loaded::Integers),
    };
    read.map_err(|error| format!("cannot read the key set {}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::{arrange, read, write};
    use crate::keys::{Files, Source, find};
    use crate::kind::KeyList;
    use crate::random::Random;
    use std::collections::BTreeSet;

    #[test]
    fn a_set_comes_back_from_its_file_and_misses_are_misses() {
        let Source::Texts(draw) = find("urls").unwrap().source else { panic!("URLs are texts") };
        let drawn = draw(3_300, &mut Random::new(3), &Files::default()).unwrap();
        let set = arrange::<[u8]>(&drawn, 3_000, 0, &mut Random::new(4)).unwrap();
        let members: BTreeSet<&[u8]> = (0..3_000).map(|at| set.entries.key(at)).collect();
        assert_eq!(members.len(), 3_000);
        let ascending: Vec<&[u8]> = set.entries.ascending().map(|(key, _)| key).collect();
        assert!(ascending.iter().copied().eq(members.iter().copied()));
        for list in [&set.near, &set.far, &set.fresh] {
            assert!(list.len() > 0 && (0..list.len()).all(|at| !members.contains(list.key(at))));
        }
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("set");
        write(&set, &path).unwrap();
        let back = read::<[u8]>(&path, 0).unwrap();
        assert_eq!(back.entries.keys.bytes, set.entries.keys.bytes);
        assert_eq!(back.entries.sorted, set.entries.sorted);
        assert_eq!(back.fresh.ends, set.fresh.ends);
    }

    #[test]
    fn too_few_keys_are_refused_with_their_number() {
        let drawn = vec![1, 2, 2, 3];
        let error = arrange::<u64>(&drawn, 4, 0, &mut Random::new(4)).err().unwrap();
        assert!(error.contains("only 3 distinct keys, not 4"), "{error}");
    }
}
