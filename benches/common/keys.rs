//! Key sets in memory: packed, so that reading the next probe costs next to nothing.

use super::random::Random;
use std::borrow::Borrow;

/// Keys by position.
pub(crate) trait KeyList {
    type Key: ?Sized + Ord;

    fn len(&self) -> usize;

    fn key(&self, index: usize) -> &Self::Key;

    /// A number that cannot be had without reading the key.
    fn weight(key: &Self::Key) -> u64;
}

/// Keys that can be collected, reordered and altered.
pub(crate) trait Keys: KeyList + Default + 'static {
    type Owned: Borrow<Self::Key>;

    fn push(&mut self, key: &Self::Key);

    /// A key that differs from `key` in one place near its end.
    fn neighbour(key: &Self::Key, random: &mut Random) -> Self::Owned;

    /// Bytes of all keys together, nothing else.
    fn key_bytes(&self) -> usize;

    /// The keys at these positions, in this order.
    fn gather(&self, positions: &[u32]) -> Self {
        let mut gathered = Self::default();
        for &position in positions {
            gathered.push(self.key(position as usize));
        }
        gathered
    }

    /// Positions in ascending order of their keys.
    fn sorted_positions(&self) -> Vec<u32> {
        let count = u32::try_from(self.len()).expect("a set has fewer than 2^32 keys");
        let mut positions: Vec<u32> = (0..count).collect();
        positions.sort_unstable_by(|&a, &b| self.key(a as usize).cmp(self.key(b as usize)));
        positions
    }

    /// Each key once, in random order, at most `limit` of them; and how many were repetitions.
    fn distinct_shuffled(&self, limit: Option<usize>, random: &mut Random) -> (Self, usize) {
        let mut positions = self.sorted_positions();
        positions.dedup_by(|a, b| self.key(*a as usize) == self.key(*b as usize));
        let repeated = self.len() - positions.len();
        random.shuffle(&mut positions);
        positions.truncate(limit.unwrap_or(usize::MAX));
        (self.gather(&positions), repeated)
    }

    /// At most `count` keys in a new random order.
    fn hits(&self, count: usize, random: &mut Random) -> Self {
        let mut positions: Vec<u32> = (0..self.len() as u32).collect();
        random.shuffle(&mut positions);
        positions.truncate(count);
        self.gather(&positions)
    }

    /// `count` keys that are not in the set but each close to one that is.
    fn near_misses(&self, count: usize, random: &mut Random) -> Self {
        const TRIES: usize = 1_000;
        let sorted = self.sorted_positions();
        let contains = |key: &Self::Key| {
            let found = sorted.binary_search_by(|&position| self.key(position as usize).cmp(key));
            found.is_ok()
        };
        let mut misses = Self::default();
        let mut tries = 0;
        while misses.len() < count && !sorted.is_empty() && tries < count * TRIES {
            tries += 1;
            let near = Self::neighbour(self.key(random.below(self.len())), random);
            if !contains(near.borrow()) {
                misses.push(near.borrow());
            }
        }
        misses
    }
}

/// Byte strings, one after the other.
#[derive(Default)]
pub(crate) struct ByteKeys {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl ByteKeys {
    /// One key a line; the last line may lack its line feed.
    pub(crate) fn from_lines(text: &[u8]) -> Self {
        let mut keys = Self::default();
        let text = text.strip_suffix(b"\n").unwrap_or(text);
        if !text.is_empty() {
            text.split(|&byte| byte == b'\n').for_each(|line| keys.push(line));
        }
        keys
    }

    pub(crate) fn longest(&self) -> usize {
        (0..self.len()).map(|index| self.key(index).len()).max().unwrap_or(0)
    }

    /// Only the keys of at most `limit` bytes; and how many were longer.
    pub(crate) fn without_longer_than(self, limit: usize) -> (Self, usize) {
        if self.longest() <= limit {
            return (self, 0);
        }
        let mut kept = Self::default();
        (0..self.len())
            .map(|index| self.key(index))
            .filter(|key| key.len() <= limit)
            .for_each(|key| kept.push(key));
        let refused = self.len() - kept.len();
        (kept, refused)
    }
}

impl KeyList for ByteKeys {
    type Key = [u8];

    fn len(&self) -> usize {
        self.ends.len()
    }

    fn key(&self, index: usize) -> &[u8] {
        let start = if index == 0 { 0 } else { self.ends[index - 1] };
        &self.bytes[start..self.ends[index]]
    }

    fn weight(key: &[u8]) -> u64 {
        key.len() as u64 + u64::from(key.first().copied().unwrap_or(0))
    }
}

impl Keys for ByteKeys {
    type Owned = Vec<u8>;

    fn push(&mut self, key: &[u8]) {
        self.bytes.extend_from_slice(key);
        self.ends.push(self.bytes.len());
    }

    fn neighbour(key: &[u8], random: &mut Random) -> Vec<u8> {
        let mut near = key.to_vec();
        match (random.below(3), near.last_mut()) {
            (0, Some(last)) => *last = last.wrapping_add(1 + random.below(8) as u8),
            (1, Some(_)) => drop(near.pop()),
            _ => near.push(b'a' + random.below(26) as u8),
        }
        near
    }

    fn key_bytes(&self) -> usize {
        self.bytes.len()
    }
}

/// 64-bit integers.
#[derive(Default)]
pub(crate) struct IntegerKeys(pub(crate) Vec<u64>);

impl KeyList for IntegerKeys {
    type Key = u64;

    fn len(&self) -> usize {
        self.0.len()
    }

    fn key(&self, index: usize) -> &u64 {
        &self.0[index]
    }

    fn weight(key: &u64) -> u64 {
        *key
    }
}

impl Keys for IntegerKeys {
    type Owned = u64;

    fn push(&mut self, key: &u64) {
        self.0.push(*key);
    }

    fn neighbour(key: &u64, random: &mut Random) -> u64 {
        // Dense keys have no free neighbour in their low bits, so one draw in four goes further.
        let reach = if random.below(4) == 0 { 64 } else { 8 };
        key ^ (1 << random.below(reach))
    }

    fn key_bytes(&self) -> usize {
        self.0.len() * size_of::<u64>()
    }
}

/// The shipped words, in the order of their file.
pub(crate) fn shipped_words() -> ByteKeys {
    ByteKeys::from_lines(include_bytes!("../data/words.txt"))
}

/// Addresses of pages, about 80 bytes each.
pub(crate) fn urls(count: usize, random: &mut Random) -> Result<ByteKeys, String> {
    let parts = words(20_000, random)?;
    Ok(made(count, random, |random, key| {
        key.extend_from_slice(b"https://www.");
        let host = random.below(2_000) + 1;
        key.extend_from_slice(parts.key(random.below(host)));
        key.extend_from_slice(b".example.com");
        for _ in 0..4 {
            key.push(b'/');
            let limit = random.below(parts.len()) + 1;
            key.extend_from_slice(parts.key(random.below(limit)));
        }
        key.extend_from_slice(format!("?page={}", random.below(1_000_000)).as_bytes());
    }))
}

/// `count` distinct keys in random order.
pub(crate) fn made(
    count: usize,
    random: &mut Random,
    make: impl Fn(&mut Random, &mut Vec<u8>),
) -> ByteKeys {
    let mut keys = ByteKeys::default();
    while keys.len() < count {
        let mut key = Vec::new();
        for _ in 0..count - keys.len() {
            key.clear();
            make(random, &mut key);
            keys.push(&key);
        }
        keys = keys.distinct_shuffled(Some(count), random).0;
    }
    keys
}

/// `count` distinct keys from the shipped words, in random order. Where the list is too short,
/// pairs `word-word` of words of 4 to 8 letters are added, which makes about 14 bytes a key.
pub(crate) fn words(count: usize, random: &mut Random) -> Result<ByteKeys, String> {
    let shipped = shipped_words();
    let mut keys = ByteKeys::default();
    let mut parts = ByteKeys::default();
    for index in 0..shipped.len() {
        let word = shipped.key(index);
        keys.push(word);
        if (4..=8).contains(&word.len()) {
            parts.push(word);
        }
    }
    let distinct = loop {
        let (distinct, _) = keys.distinct_shuffled(None, random);
        if distinct.len() >= count {
            break distinct;
        }
        if parts.len().saturating_mul(parts.len()) / 2 < count {
            return Err(format!("{} words are too few to make {count} keys", shipped.len()));
        }
        // A few more than are missing, for the pairs that repeat.
        let missing = count - distinct.len();
        keys = distinct;
        for _ in 0..missing + missing / 50 + 16 {
            let left = parts.key(random.below(parts.len()));
            let right = parts.key(random.below(parts.len()));
            keys.push(&[left, b"-", right].concat());
        }
    };
    let chosen: Vec<u32> = (0..count as u32).collect();
    Ok(distinct.gather(&chosen))
}

/// `count` distinct random integers, in random order.
pub(crate) fn random_integers(count: usize, random: &mut Random) -> IntegerKeys {
    let mut keys = IntegerKeys::default();
    loop {
        let missing = count - keys.len();
        keys.0.extend((0..missing).map(|_| random.word()));
        keys = keys.distinct_shuffled(None, random).0;
        if keys.len() == count {
            return keys;
        }
    }
}
