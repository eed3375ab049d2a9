//! The point index: which ordinal a key may have, from a hash of the key alone.
//!
//! A table of buckets of a cache line, with an entry for each key: a piece of its hash, and its
//! ordinal. A key is in the bucket that its hash names or, where that was full, in one of the next
//! ones. So a get reads one line, and most often knows then that the key is absent, or where it is.
//!
//! ```text
//! bucket (64): 16 entries of 4 bytes, used ones first; unused ones are all ones
//! entry: ordinal in as many low bits as the number of keys has; low bits of the hash above them
//! ```
//! Keys take their places in ascending order. One that finds so many full buckets that nobody would
//! go on looking is left out, and so are all keys of segments that would leave no bits for hashes. Who
//! sees only full buckets, or too many keys of the same hash, has to look for the key in another way:
//! there are no keys that make work without bounds.

use super::format::Section;
use super::slabs::Column;
use crate::arena::{OutOfMemory, prefetch};
use crate::blocks::Bytes;
use crate::bytes::{u32_at, u64_at};
use crate::error::Corruption;

/// Entries of a bucket.
const SLOTS: usize = 16;

/// Bytes of an entry.
const ENTRY_LEN: usize = 4;

/// Bytes of a bucket: a cache line.
const BUCKET_LEN: usize = SLOTS * ENTRY_LEN;

/// Bytes of the table for each key, if none were lost to rounding: four fifths of the slots are used.
const BYTES_PER_KEY: u64 = 5;

/// Segments of more entries have no table: it would tell keys apart by less than six bits.
const MAX_ENTRIES: u64 = (1 << 26) - 1;

/// Buckets that a key may be in, from the one on that its hash names.
const REACH: usize = 8;

/// Keys of the same hash that are looked at before another way is taken.
const MAX_TRIES: u32 = 8;

/// An entry of no key. Ordinals have fewer ones.
const UNUSED: u32 = u32::MAX;

/// Odd numbers without a pattern: the first hexadecimal digits of pi.
pub(super) const MIX: [u64; 3] =
    [0x243f_6a88_85a3_08d3, 0x1319_8a2e_0370_7345, 0xa409_3822_299f_31d1];

/// The hash of a key, as the format has it: it never changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct PointHash(u64);

impl PointHash {
    /// Hashes a key: 16 bytes at a time while there are more, then what is left in two words, which
    /// overlap unless it is 16 bytes.
    #[inline]
    pub(super) fn of(key: &[u8]) -> Self {
        let mut state = MIX[0];
        let mut rest = key;
        while rest.len() > 16 {
            let word = |at: usize| u64_at(rest, at).unwrap_or(0);
            state = fold(word(0) ^ state, word(8) ^ MIX[1]);
            rest = &rest[16..];
        }
        let (first, last) = match rest.len() {
            len @ 8.. => (u64_at(rest, 0).unwrap_or(0), u64_at(rest, len - 8).unwrap_or(0)),
            len @ 4.. => {
                let word = |at: usize| u64::from(u32_at(rest, at).unwrap_or(0));
                (word(0), word(len - 4))
            }
            0 => (0, 0),
            len => {
                let byte = |at: usize| u64::from(rest[at]);
                (byte(0) | byte(len / 2) << 8 | byte(len - 1) << 16, 0)
            }
        };
        let state = fold(first ^ state, last ^ MIX[1]);
        Self(fold(state ^ MIX[2], MIX[0] ^ key.len() as u64))
    }
}

/// Both halves of a product.
#[inline]
fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    product as u64 ^ (product >> 64) as u64
}

/// What follows from the number of keys.
#[derive(Clone, Copy)]
struct Shape {
    buckets: usize,
    ordinal_bits: u32,
}

impl Shape {
    /// `None` if there is no table.
    #[inline]
    fn of(entries: u64) -> Option<Self> {
        if entries == 0 || entries > MAX_ENTRIES {
            return None;
        }
        let buckets = (entries * BYTES_PER_KEY).div_ceil(BUCKET_LEN as u64) as usize;
        Some(Self { buckets, ordinal_bits: u64::BITS - entries.leading_zeros() })
    }

    /// The first bucket that a key may be in.
    #[inline]
    fn bucket(self, hash: PointHash) -> usize {
        ((u128::from(hash.0) * self.buckets as u128) >> 64) as usize
    }

    #[inline]
    fn after(self, bucket: usize) -> usize {
        if bucket + 1 < self.buckets { bucket + 1 } else { 0 }
    }

    /// The entry of a key without its ordinal.
    #[inline]
    fn tag(self, hash: PointHash) -> u32 {
        (hash.0 as u32) << self.ordinal_bits
    }

    /// The bits of an entry that are not the ordinal's.
    #[inline]
    fn tag_bits(self) -> u32 {
        u32::MAX << self.ordinal_bits
    }

    fn len(self) -> usize {
        self.buckets * BUCKET_LEN
    }
}

/// The table in its section.
#[derive(Clone, Copy)]
pub(super) struct Points<'a> {
    table: Bytes<'a>,
    entries: u64,
}

impl<'a> Points<'a> {
    /// The table of so many entries in its section.
    #[inline]
    pub(super) fn new(table: Bytes<'a>, entries: u64) -> Self {
        Self { table, entries }
    }

    /// Checks in constant time that the section is as long as the entries need.
    pub(super) fn check_frame(self) -> Result<(), Corruption> {
        if self.table.len() == Shape::of(self.entries).map_or(0, Shape::len) {
            Ok(())
        } else {
            Err(damaged(0, "its length follows from the entries"))
        }
    }

    /// What the first bucket of a key says, if it says anything: most often all there is to know, and
    /// then nothing is made for a longer search.
    #[inline]
    pub(super) fn first(self, hash: PointHash) -> Result<Option<Point>, Corruption> {
        let Some(shape) = Shape::of(self.entries) else { return Ok(None) };
        let words = bucket_at(self.table, shape.bucket(hash) * BUCKET_LEN)?;
        let (tag, bits) = (shape.tag(hash), shape.tag_bits());
        let word = |slot: usize| u32::from_le_bytes(words[slot % SLOTS]);
        let hits = hits(words, tag, bits);
        if hits != 0 {
            let ordinal = u64::from(word(hits.trailing_zeros() as usize - 1) & !bits);
            return Ok((ordinal < self.entries).then_some(Point::At(ordinal)));
        }
        Ok((word(SLOTS - 1) == UNUSED).then_some(Point::Absent))
    }

    /// Begins to look for a key; `None` if there is no table.
    #[inline]
    pub(super) fn probe(self, hash: PointHash) -> Option<Probe<'a>> {
        let shape = Shape::of(self.entries)?;
        let Self { table, entries } = self;
        let (bucket, tag) = (shape.bucket(hash), shape.tag(hash));
        Some(Probe { table, entries, shape, tag, bucket, seen: 0, tries: 0, hits: 0, words: &[] })
    }

    /// Compares all bytes with those of the table of these keys.
    pub(super) fn verify(self, expected: Option<&PointTable>) -> Result<(), Corruption> {
        let words = expected.map_or(&[][..], |table| &table.words);
        let stored = self.table.all()?.as_chunks::<ENTRY_LEN>().0;
        let differing = stored
            .iter()
            .zip(words)
            .position(|(stored, word)| u32::from_le_bytes(*stored) != *word);
        match differing {
            Some(slot) => Err(damaged(slot * ENTRY_LEN, "entries are what the keys make them")),
            None => self.check_frame(),
        }
    }
}

/// A key being looked for.
#[derive(Clone, Copy)]
pub(super) struct Probe<'a> {
    table: Bytes<'a>,
    entries: u64,
    shape: Shape,
    tag: u32,
    /// The bucket that is read next.
    bucket: usize,
    /// Buckets that were read.
    seen: usize,
    /// Ordinals that were told.
    tries: u32,
    /// A bit for each entry of the bucket read last, from the second bit on: 1 if it may be the key's
    /// and was not told.
    hits: u32,
    /// These entries.
    words: &'a [[u8; ENTRY_LEN]],
}

/// What is known of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Point {
    /// It may have this ordinal, which is one of the segment's.
    At(u64),
    /// It is not there.
    Absent,
    /// Nothing: it has to be found in another way.
    Unknown,
}

impl Probe<'_> {
    /// Asks for the memory of what is read first.
    #[inline]
    pub(super) fn ask(&self) {
        prefetch(self.table.admitted(), self.bucket * BUCKET_LEN);
    }

    /// What is known, if the key has none of the ordinals told before.
    #[inline]
    pub(super) fn next(&mut self) -> Result<Point, Corruption> {
        loop {
            if self.hits != 0 {
                let slot = self.hits.trailing_zeros() as usize - 1;
                self.hits &= self.hits - 1;
                if self.tries == MAX_TRIES {
                    return Ok(Point::Unknown);
                }
                self.tries += 1;
                let ordinal = self.word(slot) & !self.shape.tag_bits();
                // Others are in no table of ours, but for those of unused entries.
                if u64::from(ordinal) < self.entries {
                    return Ok(Point::At(u64::from(ordinal)));
                }
                continue;
            }
            if self.seen > 0 && self.word(SLOTS - 1) == UNUSED {
                return Ok(Point::Absent);
            }
            if self.seen == REACH {
                return Ok(Point::Unknown);
            }
            self.read_bucket()?;
        }
    }

    #[inline]
    fn word(&self, slot: usize) -> u32 {
        self.words.get(slot).map_or(UNUSED, |word| u32::from_le_bytes(*word))
    }

    #[inline]
    fn read_bucket(&mut self) -> Result<(), Corruption> {
        let words = bucket_at(self.table, self.bucket * BUCKET_LEN)?;
        self.hits = hits(words, self.tag, self.shape.tag_bits());
        self.words = words;
        self.seen += 1;
        self.bucket = self.shape.after(self.bucket);
        Ok(())
    }
}

/// The entries of the bucket at `at`.
#[inline]
fn bucket_at(table: Bytes<'_>, at: usize) -> Result<&[[u8; ENTRY_LEN]; SLOTS], Corruption> {
    let words = table.get(at..at + BUCKET_LEN)?.as_chunks::<ENTRY_LEN>().0;
    words.first_chunk().ok_or_else(|| damaged(at, "a bucket has 64 bytes"))
}

/// A bit for each entry, from the second bit on: 1 if those of its bits are `tag`.
///
/// All are looked at at once, which the compiler makes of a loop over numbers that does nothing else.
/// With bits from the first one on it makes three times as many instructions.
#[inline]
fn hits(words: &[[u8; ENTRY_LEN]; SLOTS], tag: u32, bits: u32) -> u32 {
    let hit = |slot: usize| u32::from_le_bytes(words[slot]) & bits == tag;
    (0..SLOTS).fold(0, |hits, slot| hits | if hit(slot) { 2 << slot } else { 0 })
}

/// Hashes being collected, in the order of their keys.
pub(super) struct PointStage<'b>(Column<'b>);

impl<'b> PointStage<'b> {
    /// No keys yet.
    pub(super) fn new(bump: &'b bumpalo::Bump) -> Self {
        Self(Column::new(bump))
    }

    /// Appends the next key.
    pub(super) fn push(&mut self, key: &[u8]) -> Result<(), OutOfMemory> {
        self.0.append(&PointHash::of(key).0.to_le_bytes())
    }

    /// The table of all keys; `None` if there is none.
    pub(super) fn finish(self) -> Result<Option<PointTable>, OutOfMemory> {
        let mut table = PointTable::new(self.0.len() as u64 / 8)?;
        if let Some(table) = &mut table {
            // Slabs are cut at multiples of 8.
            for hash in self.0.parts().flat_map(|part| part.as_chunks::<8>().0) {
                table.push(PointHash(u64::from_le_bytes(*hash)));
            }
        }
        Ok(table)
    }
}

/// A table being filled.
pub(super) struct PointTable {
    shape: Shape,
    words: Vec<u32>,
    /// The ordinal of the next key.
    next: u32,
}

impl PointTable {
    /// For so many entries; `None` if they have no table.
    pub(super) fn new(entries: u64) -> Result<Option<Self>, OutOfMemory> {
        let Some(shape) = Shape::of(entries) else { return Ok(None) };
        let mut words = Vec::new();
        words.try_reserve_exact(shape.buckets * SLOTS)?;
        words.resize(shape.buckets * SLOTS, UNUSED);
        Ok(Some(Self { shape, words, next: 0 }))
    }

    /// Enters the next key.
    pub(super) fn push(&mut self, hash: PointHash) {
        let entry = self.shape.tag(hash) | self.next;
        self.next += 1;
        let mut bucket = self.shape.bucket(hash);
        for _ in 0..REACH.min(self.shape.buckets) {
            let slots = &mut self.words[bucket * SLOTS..][..SLOTS];
            if let Some(slot) = slots.iter_mut().find(|slot| **slot == UNUSED) {
                *slot = entry;
                return;
            }
            bucket = self.shape.after(bucket);
        }
    }

    /// Bytes of the section.
    pub(super) fn len(&self) -> usize {
        self.shape.len()
    }

    /// Writes the section.
    pub(super) fn write_to(&self, out: &mut [u8]) {
        for (out, word) in out.as_chunks_mut::<ENTRY_LEN>().0.iter_mut().zip(&self.words) {
            *out = word.to_le_bytes();
        }
    }
}

#[cold]
fn damaged(at: usize, rule: &'static str) -> Corruption {
    Corruption::new(Section::PointIndex.part(), at as u64, rule)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn hashes_are_those_of_format_version_1() {
        let key: Vec<u8> = (1..=100).collect();
        let hashes = [0, 1, 3, 4, 8, 16, 17, 33, 100].map(|len| PointHash::of(&key[..len]).0);
        let expected = [
            0xb7d8_5e97_90c8_957f,
            0x378b_c6cd_c1ca_6551,
            0x3788_80af_3a5d_a1e8,
            0x4ef0_50bd_a80c_a0f6,
            0xef90_a0da_d384_344d,
            0x8930_c336_4fc3_8259,
            0xf849_4332_ca6c_5368,
            0x3979_ce51_3a74_362b,
            0x8b46_2e9c_cc3f_66a1,
        ];
        assert_eq!(hashes, expected);
    }

    #[test]
    fn every_byte_and_the_length_change_the_hash() {
        let mut hashes = BTreeSet::new();
        let mut count = 0;
        for len in 0..60 {
            let mut key = vec![0; len];
            hashes.insert(PointHash::of(&key));
            count += 1;
            for at in 0..len {
                key[at] = 1;
                hashes.insert(PointHash::of(&key));
                count += 1;
                key[at] = 0;
            }
        }
        assert_eq!(hashes.len(), count);
    }

    #[test]
    fn keys_are_where_they_were_put_and_others_are_absent() {
        for entries in [1, 2, 12, 13, 255, 256, 5_000, 65_535, 65_536] {
            let mut table = PointTable::new(entries).expect("memory").expect("few enough");
            let hash = |i: u64| PointHash::of(&i.to_le_bytes());
            (0..entries).for_each(|i| table.push(hash(i)));
            let mut bytes = vec![0; table.len()];
            table.write_to(&mut bytes);
            let points = Points::new(Bytes::heap(&bytes), entries);
            points.check_frame().expect("its length");
            points.verify(Some(&table)).expect("its bytes");
            let (mut unknown, mut wrong) = (0, 0);
            for i in 0..2 * entries {
                let mut probe = points.probe(hash(i)).expect("a table");
                loop {
                    match probe.next().expect("whole buckets") {
                        Point::At(ordinal) if ordinal == i => break,
                        Point::At(_) => wrong += 1,
                        Point::Absent => {
                            assert!(i >= entries);
                            break;
                        }
                        Point::Unknown => {
                            unknown += 1;
                            break;
                        }
                    }
                }
            }
            assert!(unknown <= entries / 50 + 5, "{unknown} of {entries}");
            assert!(wrong <= entries / 500 + 5, "{wrong} of {entries}");
        }
    }

    #[test]
    fn entries_leave_six_bits_for_hashes_or_there_is_no_table() {
        assert!(Shape::of(0).is_none() && Shape::of(MAX_ENTRIES + 1).is_none());
        let shape = Shape::of(MAX_ENTRIES).expect("a table");
        assert_eq!(u32::BITS - shape.ordinal_bits, 6);
        assert!(PointTable::new(u64::MAX).expect("nothing is needed").is_none());
        let (ordinals, empty) = (MAX_ENTRIES as u32, UNUSED & !shape.tag_bits());
        assert!(empty >= ordinals, "no ordinal is that of an unused entry");
    }
}
