//! Keys for tests: hostile sets that break radix trees and front coding, and random alphabets.
//!
//! Every set is sorted and free of duplicates, and is the same in each run.

use super::rng::{self, Rng};
use crate::key::MAX_KEY_LEN;
use std::collections::{BTreeMap, BTreeSet};

/// Keys and values of a test, in order.
pub(crate) type Model = BTreeMap<Vec<u8>, Vec<u8>>;

/// Keys of the set that share a long prefix.
pub(crate) const SHARED_PREFIX_KEYS: usize = if cfg!(miri) { 50 } else { 10_000 };

/// Length of that prefix in bytes.
pub(crate) const SHARED_PREFIX_LEN: usize = 1024;

/// Length of the longest keys in the sets.
pub(crate) const LONGEST_KEY_LEN: usize = if cfg!(miri) { 600 } else { MAX_KEY_LEN };

/// Length of the longest key of a chain in which each key is a prefix of the next.
pub(crate) const CHAIN_LEN: usize = if cfg!(miri) { 40 } else { 1000 };

/// Keys of each random set.
pub(crate) const RANDOM_SET_KEYS: usize = if cfg!(miri) { 60 } else { 2000 };

/// Longest key of which all small subsets are tried; there are 2^(n+1) - 1 keys up to length n.
pub(crate) const SUBSET_KEY_LEN: usize = if cfg!(miri) { 2 } else { 4 };

/// Largest of those subsets.
pub(crate) const SUBSET_SIZE: usize = if cfg!(miri) { 2 } else { 3 };

/// Numbers of children just below, at and above each node kind's capacity.
pub(crate) const FAN_OUTS: [usize; 16] =
    [1, 2, 3, 4, 5, 9, 10, 11, 15, 16, 17, 32, 47, 48, 49, 256];

/// A named set of keys.
pub(crate) struct KeySet {
    /// What is hostile about it.
    pub(crate) name: &'static str,
    /// The keys, ascending.
    pub(crate) keys: Vec<Vec<u8>>,
}

impl KeySet {
    fn new(name: &'static str, keys: impl IntoIterator<Item = Vec<u8>>) -> Self {
        let keys: BTreeSet<Vec<u8>> = keys.into_iter().collect();
        let keys = keys.into_iter().collect();
        Self { name, keys }
    }
}

/// All sets that a sorted layer must hold, small ones first.
pub(crate) fn hostile_sets() -> Vec<KeySet> {
    let mut sets = vec![
        KeySet::new("no key at all", []),
        KeySet::new("only the empty key", [vec![]]),
        KeySet::new("only one NUL", [vec![0]]),
        KeySet::new("the empty key and its neighbours", neighbours_of_empty()),
        KeySet::new("runs of NUL", runs_of(0x00, 0x01)),
        KeySet::new("runs of 0xff", runs_of(0xff, 0xfe)),
        KeySet::new("NUL inside words", nul_inside_words()),
        KeySet::new("all short keys over 00 and ff", short_keys(6)),
        KeySet::new("every single byte", (0..=255).map(|byte| vec![byte])),
        KeySet::new("every byte, then four more", two_levels()),
        KeySet::new("fan-outs around each node size", fan_outs()),
        KeySet::new("long paths that part at each depth", parting_paths()),
        KeySet::new("each key a prefix of the next", prefix_chain(b"abc")),
        KeySet::new("a prefix chain of 0xff", prefix_chain(&[0xff])),
        KeySet::new("keys of the greatest length", longest_keys()),
        KeySet::new("many keys behind one long prefix", long_shared_prefix()),
        KeySet::new("pairs of numbers with zeros before", pairs_of_numbers()),
        KeySet::new("random keys of 20 bytes", random_keys_of_one_length()),
    ];
    sets.extend(Alphabet::ALL.map(|alphabet| {
        let mut rng = Rng::new(alphabet as u64);
        let keys = (0..RANDOM_SET_KEYS).map(|_| alphabet.key(&mut rng));
        KeySet::new(alphabet.name(), keys)
    }));
    sets
}

/// A map with these keys and distinct values of 8 bytes.
pub(crate) fn model_of(keys: &[Vec<u8>]) -> Model {
    let values = (1u64..).map(|i| rng::mix(i).to_le_bytes().to_vec());
    keys.iter().cloned().zip(values).collect()
}

/// The entries of `model` in random order, for layers whose shape depends on it.
pub(crate) fn shuffled(model: &Model, seed: u64) -> Vec<(&[u8], &[u8])> {
    let entries = model.iter().map(|(key, value)| (&key[..], &value[..]));
    let mut entries: Vec<_> = entries.collect();
    Rng::new(seed).shuffle(&mut entries);
    entries
}

/// Keys beside those of `model` and not in it: for layers to insert and to delete again.
pub(crate) fn decoys(model: &Model, limit: usize) -> Vec<Vec<u8>> {
    let step = (model.len() / limit.max(1)).max(1);
    let beside = model.keys().step_by(step).flat_map(|key| near_misses(key));
    let absent: BTreeSet<Vec<u8>> = beside.filter(|key| !model.contains_key(key)).collect();
    let mut absent: Vec<Vec<u8>> = absent.into_iter().collect();
    Rng::new(model.len() as u64).shuffle(&mut absent);
    absent.truncate(limit);
    absent
}

/// Keys just beside `key`: a byte less, a byte more, the last byte one lower or higher.
pub(crate) fn near_misses(key: &[u8]) -> Vec<Vec<u8>> {
    let mut misses = Vec::with_capacity(6);
    if key.len() < MAX_KEY_LEN {
        misses.push([key, &[0x00]].concat());
        misses.push([key, &[0xff]].concat());
    }
    if let Some((&last, rest)) = key.split_last() {
        misses.push(rest.to_vec());
        let neighbours = [last.checked_sub(1), last.checked_add(1)];
        misses.extend(neighbours.into_iter().flatten().map(|byte| [rest, &[byte]].concat()));
        let mut middle = key.to_vec();
        middle[key.len() / 2] ^= 0x80;
        misses.push(middle);
    }
    misses
}

/// All keys of length 0 to `max_len` over the bytes 00 and ff, ascending.
pub(crate) fn short_keys(max_len: usize) -> Vec<Vec<u8>> {
    let mut keys: BTreeSet<Vec<u8>> = BTreeSet::from([vec![]]);
    for len in 1..=max_len {
        for bits in 0..1u32 << len {
            let byte = |i| if bits >> i & 1 == 1 { 0xff } else { 0x00 };
            keys.insert((0..len).map(byte).collect());
        }
    }
    keys.into_iter().collect()
}

/// Calls `visit` with each subset of at most `max_size` of the `keys`, each in ascending order.
pub(crate) fn for_each_subset(
    keys: &[Vec<u8>],
    max_size: usize,
    visit: &mut impl FnMut(&[Vec<u8>]),
) {
    fn extend(
        chosen: &mut Vec<Vec<u8>>,
        rest: &[Vec<u8>],
        room: usize,
        visit: &mut impl FnMut(&[Vec<u8>]),
    ) {
        visit(chosen);
        if room == 0 {
            return;
        }
        for (i, key) in rest.iter().enumerate() {
            chosen.push(key.clone());
            extend(chosen, &rest[i + 1..], room - 1, visit);
            chosen.pop();
        }
    }
    extend(&mut Vec::new(), keys, max_size, visit);
}

fn neighbours_of_empty() -> Vec<Vec<u8>> {
    let keys: [&[u8]; 8] = [b"", b"\0", b"\0\0", b"\x01", b"\x7f", b"\x80", b"\xfe", b"\xff"];
    keys.map(<[u8]>::to_vec).to_vec()
}

/// Runs of one byte of each length up to 40, and of some of them with another byte at the end.
fn runs_of(byte: u8, end: u8) -> Vec<Vec<u8>> {
    let run = |len| vec![byte; len];
    let ended = |len| [run(len), vec![end]].concat();
    let lengths = (0..=40).chain([63, 64, 65, 127, 128, 129, 255, 256, 257]);
    lengths.clone().map(run).chain(lengths.step_by(3).map(ended)).collect()
}

/// Keys of 16 bytes: two numbers, each behind zeros, of which no two have the same eight bytes that differ.
pub(crate) fn pairs_of_numbers() -> Vec<Vec<u8>> {
    let pair = |i: u64| [i / 20 * 77, i % 20 * 3000 + i / 7].map(big_endian).concat();
    (0..400).map(pair).collect()
}

fn random_keys_of_one_length() -> Vec<Vec<u8>> {
    let mut rng = Rng::new(20);
    (0..300).map(|_| rng.bytes(20)).collect()
}

fn nul_inside_words() -> Vec<Vec<u8>> {
    let mut keys = Vec::new();
    for stem in [&b"a"[..], b"ab", b"abcdefgh", b"abcdefghi"] {
        for tail in [&b""[..], b"\0", b"\0\0", b"\0a", b"\0\0a", b"a\0", b"\x01", b"\xff\0"] {
            keys.push([stem, tail].concat());
            keys.push([stem, b"\0", stem, tail].concat());
        }
    }
    keys
}

/// 256 children, each with a value and four children.
fn two_levels() -> Vec<Vec<u8>> {
    let mut keys = Vec::new();
    for byte in 0..=255 {
        keys.push(vec![byte]);
        keys.extend([0x00, 0x7f, 0x80, 0xff].map(|second| vec![byte, second]));
    }
    keys
}

/// For each fan-out a node whose children are spread over all bytes and one whose children lie
/// side by side around 0x80, with and without a value of its own.
fn fan_outs() -> Vec<Vec<u8>> {
    let mut keys = Vec::new();
    for (i, fan_out) in FAN_OUTS.into_iter().enumerate() {
        for child in 0..fan_out {
            let spread = (child * 255 / (fan_out - 1).max(1)) as u8;
            let adjacent = (256 + 0x80 - fan_out / 2 + child) as u8;
            keys.push(vec![b's', i as u8, spread, b'x']);
            keys.push(vec![b'a', i as u8, adjacent]);
            keys.push(vec![b'v', i as u8, adjacent]);
        }
        keys.push(vec![b'v', i as u8]);
    }
    keys
}

/// One long path and, at each depth, a key that leaves it: prefixes of all lengths get split.
fn parting_paths() -> Vec<Vec<u8>> {
    let path: Vec<u8> = (0..120).map(|i| b'a' + i % 26).collect();
    let parting = (0..path.len()).map(|at| [&path[..at], b"~tail"].concat());
    parting.chain([path.clone()]).collect()
}

/// The prefixes of a repeated pattern: all short ones, then each seventh.
fn prefix_chain(pattern: &[u8]) -> Vec<Vec<u8>> {
    let whole: Vec<u8> = pattern.iter().copied().cycle().take(CHAIN_LEN).collect();
    let lengths = (0..=300).chain((301..=CHAIN_LEN).step_by(7));
    lengths.map(|len| whole[..len.min(CHAIN_LEN)].to_vec()).collect()
}

/// Keys of the greatest length that differ early, in the middle, late, and only in length.
fn longest_keys() -> Vec<Vec<u8>> {
    let len = LONGEST_KEY_LEN;
    let mut keys = vec![vec![0; len], vec![0xff; len], vec![b'k'; len], vec![b'k'; len - 1]];
    for at in [0, 1, len / 2, len - 2, len - 1] {
        for byte in [0x00, 0xff] {
            let mut key = vec![b'k'; len];
            key[at] = byte;
            keys.push(key);
        }
    }
    keys.push(vec![b'k'; len / 2]);
    keys.push(vec![]);
    keys
}

fn long_shared_prefix() -> Vec<Vec<u8>> {
    let mut rng = Rng::new(1);
    let prefix: Vec<u8> = rng.bytes(SHARED_PREFIX_LEN);
    let tail = |i: usize| format!("{:x}", rng::mix(i as u64) % 0x10_0000).into_bytes();
    let keys = (0..SHARED_PREFIX_KEYS).map(|i| [prefix.clone(), tail(i)].concat());
    keys.chain([prefix.clone()]).collect()
}

/// A source of random keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Alphabet {
    /// Length 0 to 20 over 00, 01, 7f, 80 and ff: sign errors, NULs, keys that are prefixes.
    Edges,
    /// Stems, affixes and endings in ASCII: long shared prefixes, as in word lists and paths.
    Words,
    /// Big-endian integers, uniform.
    RandomIntegers,
    /// Big-endian integers from a small range: full nodes, long shared prefixes.
    DenseIntegers,
    /// Length 0 to 20 over all bytes.
    AnyBytes,
}

impl Alphabet {
    /// All of them.
    pub(crate) const ALL: [Self; 5] =
        [Self::Edges, Self::Words, Self::RandomIntegers, Self::DenseIntegers, Self::AnyBytes];

    /// What to call it in messages.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Edges => "random keys over 00 01 7f 80 ff",
            Self::Words => "random words with shared stems",
            Self::RandomIntegers => "random integers",
            Self::DenseIntegers => "dense integers",
            Self::AnyBytes => "random keys over all bytes",
        }
    }

    /// Whether all keys are of 8 bytes, so that they can stand for a `u64`.
    pub(crate) fn is_integer(self) -> bool {
        matches!(self, Self::RandomIntegers | Self::DenseIntegers)
    }

    /// A random key.
    pub(crate) fn key(self, rng: &mut Rng) -> Vec<u8> {
        const EDGES: [u8; 5] = [0x00, 0x01, 0x7f, 0x80, 0xff];
        const DENSE: usize = 4000;
        match self {
            Self::Edges => {
                let len = rng.log_below(21);
                (0..len).map(|_| *rng.pick(&EDGES)).collect()
            }
            Self::Words => word(rng),
            Self::RandomIntegers => big_endian(rng.next_u64()),
            Self::DenseIntegers => big_endian(rng.below(DENSE) as u64),
            Self::AnyBytes => {
                let len = rng.below(21);
                rng.bytes(len)
            }
        }
    }
}

/// The bytes of an integer key: their order is the order of the numbers.
#[expect(clippy::big_endian_bytes, reason = "a key codec")]
pub(crate) fn big_endian(number: u64) -> Vec<u8> {
    number.to_be_bytes().to_vec()
}

/// The number behind an integer key, if it is one.
pub(crate) fn from_big_endian(key: &[u8]) -> Option<u64> {
    key.try_into().ok().map(u64::from_be_bytes)
}

fn word(rng: &mut Rng) -> Vec<u8> {
    const STEMS: [&str; 8] = [
        "",
        "inter",
        "international",
        "/usr/share/doc/",
        "/usr/share/doc/lib",
        "un",
        "under",
        "understand",
    ];
    const MIDDLES: [&str; 12] =
        ["", "a", "able", "ac", "act", "b", "ber", "com", "comput", "form", "formal", "z"];
    const ENDINGS: [&str; 10] = ["", "s", "e", "er", "ers", "ing", "ings", "ation", "-1", "-10"];
    let mut word = rng.pick(&STEMS).as_bytes().to_vec();
    for _ in 0..rng.within(1..=2) {
        word.extend_from_slice(rng.pick(&MIDDLES).as_bytes());
    }
    word.extend_from_slice(rng.pick(&ENDINGS).as_bytes());
    word
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_sets_are_sorted_and_within_the_key_limit() {
        for KeySet { name, keys } in hostile_sets() {
            assert!(keys.is_sorted_by(|a, b| a < b), "{name}");
            assert!(keys.iter().all(|key| key.len() <= MAX_KEY_LEN), "{name}");
        }
    }

    #[test]
    fn hostile_sets_hold_what_they_promise() {
        let sets = hostile_sets();
        let set = |name: &str| &sets.iter().find(|set| set.name == name).unwrap().keys;
        assert!(set("many keys behind one long prefix").len() > SHARED_PREFIX_KEYS * 9 / 10);
        assert!(set("keys of the greatest length").iter().any(|key| key.len() == LONGEST_KEY_LEN));
        assert_eq!(set("every single byte").len(), 256);
        let fan_outs = set("fan-outs around each node size");
        for (i, fan_out) in FAN_OUTS.into_iter().enumerate() {
            for kind in [b's', b'a'] {
                let stem = [kind, i as u8];
                let children = fan_outs.iter().filter(|key| key.starts_with(&stem)).count();
                assert_eq!(children, fan_out);
            }
        }
    }

    #[test]
    fn subsets_are_counted_by_binomials() {
        let keys = short_keys(2);
        assert_eq!(keys.len(), 7);
        let mut sizes = [0; 4];
        for_each_subset(&keys, 3, &mut |subset| sizes[subset.len()] += 1);
        assert_eq!(sizes, [1, 7, 21, 35]);
    }

    #[test]
    fn near_misses_never_repeat_their_key() {
        for set in hostile_sets() {
            let mut sample = set.keys.iter().step_by(set.keys.len() / 50 + 1);
            assert!(sample.all(|key| !near_misses(key).contains(key)), "{}", set.name);
        }
    }

    #[test]
    fn decoys_are_absent() {
        for set in hostile_sets() {
            let model = model_of(&set.keys);
            let decoys = decoys(&model, 100);
            assert!(decoys.iter().all(|key| !model.contains_key(key)), "{}", set.name);
            assert!(model.is_empty() || !decoys.is_empty(), "{}", set.name);
        }
    }
}
