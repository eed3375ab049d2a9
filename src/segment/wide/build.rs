//! Collects keys of one length, and makes heads and tails of them if that is worth it.

use super::super::format::{Section, SectionLens};
use super::super::int::{FinishedInts, IntStage};
use super::super::slabs::Column;
use super::pattern::{FRONT_LEN, KeyBytes, LENS, MAX_LEN, Pattern};
use crate::arena::OutOfMemory;
use crate::bytes::{common_prefix, copy_short, spelled_on, u64_at};
use bumpalo::Bump;
use std::convert::Infallible;

/// Heads that are handed on together.
const BATCH: usize = 64;

/// Keys of a block of text, and what such a block takes beside its keys: its row in the tree, and lengths.
const BLOCK_KEYS: usize = 16;
const BLOCK_LEN: usize = 16;

/// Of so many keys one is compared with the one before it.
const SAMPLED_ONE_IN: usize = 8;

/// Keys whose words are counted, at least, of more keys.
const SAMPLE: usize = 512;

/// Symbols of a table, and different words at a place at most for each to be taken for one.
const SYMBOLS: usize = 255;
const FEW_WORDS: usize = 64;

/// Keys that are looked at before all are there.
const LOOKED_AT: usize = 1024;

/// Keys being collected, as they are: only all of them together say which bytes differ.
pub(in super::super) struct WideStage<'b> {
    /// Bytes of each key.
    key_len: usize,
    bytes: Column<'b>,
    /// The first ones have been asked whether they are text.
    is_looked_at: bool,
}

impl<'b> WideStage<'b> {
    /// Whether keys can be stored in this way that all have so many bytes.
    pub(in super::super) fn takes(key_len: usize) -> bool {
        LENS.contains(&key_len)
    }

    /// No keys yet, for keys of so many bytes.
    pub(in super::super) fn new(bump: &'b Bump, key_len: usize) -> Self {
        Self { key_len, bytes: Column::new(bump), is_looked_at: false }
    }

    /// Bytes of each key.
    pub(in super::super) fn key_len(&self) -> usize {
        self.key_len
    }

    /// Number of keys.
    pub(in super::super) fn len(&self) -> usize {
        self.bytes.len() / self.key_len
    }

    /// Appends ascending keys, one after the other, the first of which is greater than the one before.
    #[inline]
    pub(in super::super) fn extend(&mut self, keys: &[u8]) -> Result<(), OutOfMemory> {
        self.bytes.append(keys)
    }

    /// Hands all keys in order to `take`.
    pub(in super::super) fn replay<E>(
        &self,
        take: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        self.replay_first(self.len(), take)
    }

    /// The same with so many keys, of which there are enough.
    fn replay_first<E>(
        &self,
        keys: usize,
        mut take: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut left = keys;
        // Of a key that begins in one part and ends in the next one.
        let (mut bytes, mut begun) = ([0; MAX_LEN], 0);
        for mut part in self.bytes.parts() {
            if begun > 0 && left > 0 {
                let rest = part.split_off(..(self.key_len - begun).min(part.len())).unwrap_or(&[]);
                bytes[begun..begun + rest.len()].copy_from_slice(rest);
                begun += rest.len();
                if begun < self.key_len {
                    continue;
                }
                take(&bytes[..self.key_len])?;
                left -= 1;
            }
            let keys = part.chunks_exact(self.key_len);
            let rest = keys.remainder();
            bytes[..rest.len()].copy_from_slice(rest);
            begun = rest.len();
            for key in keys.take(left) {
                take(key)?;
                left -= 1;
            }
        }
        Ok(())
    }

    /// Whether the first keys say that these are better off as text, which they are asked once, as soon as
    /// there are more of them: two have one head, or, unless that does not matter, text would take much
    /// less.
    ///
    /// A tie stays one with more keys: what differs between them too only takes other bytes out of a head.
    pub(in super::super) fn is_text(&mut self, always: bool) -> Result<bool, OutOfMemory> {
        if self.is_looked_at || self.len() <= LOOKED_AT {
            return Ok(false);
        }
        self.is_looked_at = true;
        let survey = self.survey(LOOKED_AT)?;
        let bump = Bump::new();
        let Some(wide) = self.heads(LOOKED_AT, &bump, survey.pattern())? else { return Ok(true) };
        Ok(!always && survey.text_len()? < wide.len(LOOKED_AT) / 4 * 3)
    }

    /// Heads and tails; `None` if two keys have one head, or as text they would likely take fewer bytes,
    /// unless that does not matter.
    pub(in super::super) fn heads_and_tails(
        &self,
        bump: &'b Bump,
        always: bool,
    ) -> Result<Option<Heads<'b>>, OutOfMemory> {
        let survey = self.survey(self.len())?;
        let pattern = survey.pattern();
        let text_len = if always { usize::MAX } else { survey.text_len()? };
        if text_len < tails_len(pattern, self.len()) {
            return Ok(None);
        }
        let heads = self.heads(self.len(), bump, pattern)?;
        Ok(heads.filter(|heads| heads.len(self.len()) <= text_len))
    }

    /// The heads of so many keys, which differ by this pattern; `None` if two of them have one.
    fn heads<'h>(
        &self,
        keys: usize,
        bump: &'h Bump,
        pattern: Pattern,
    ) -> Result<Option<Heads<'h>>, OutOfMemory> {
        let mut stage = IntStage::new(bump, pattern.head_len());
        let (mut heads, mut count, mut last) = ([0; BATCH], 0, None);
        let taken = self.replay_first(keys, |key| {
            let head = pattern.head(key);
            if last.is_some_and(|last| last >= head) {
                return Err(Untaken::Tie);
            }
            last = Some(head);
            heads[count % BATCH] = head;
            count += 1;
            if count.is_multiple_of(BATCH) { Ok(stage.extend(&heads)?) } else { Ok(()) }
        });
        match taken {
            Ok(()) => stage.extend(&heads[..count % BATCH])?,
            Err(Untaken::Tie) => return Ok(None),
            Err(Untaken::OutOfMemory) => return Err(OutOfMemory),
        }
        Ok(Some(Heads { pattern, ints: stage.finish()? }))
    }

    /// What so many keys together say about them.
    fn survey(&self, keys: usize) -> Result<Survey, OutOfMemory> {
        let mut survey = Survey::new(self.key_len, keys)?;
        let all = self.replay_first(keys, |key| {
            survey.see(key);
            Ok::<(), Infallible>(())
        });
        let Ok(()) = all;
        Ok(survey)
    }
}

/// Heads, and how they were cut off.
pub(in super::super) struct Heads<'b> {
    pattern: Pattern,
    ints: FinishedInts<'b>,
}

impl Heads<'_> {
    /// Bytes of so many heads and tails.
    pub(in super::super) fn len(&self, keys: usize) -> usize {
        tails_len(self.pattern, keys) + self.ints.lens().iter().sum::<usize>()
    }
}

/// Length of the section of so many tails.
fn tails_len(pattern: Pattern, keys: usize) -> usize {
    FRONT_LEN + keys * pattern.tail_len()
}

/// Why heads are not taken.
enum Untaken {
    Tie,
    OutOfMemory,
}

impl From<OutOfMemory> for Untaken {
    fn from(OutOfMemory: OutOfMemory) -> Self {
        Self::OutOfMemory
    }
}

/// What keys together say about them.
struct Survey {
    key_len: usize,
    keys: usize,
    /// Keys that it has seen.
    seen: usize,
    first: KeyBytes,
    /// The bits that differ, in at least one key.
    differing: KeyBytes,
    /// The key before those that are looked at.
    last: KeyBytes,
    /// How many of these share so many bytes with the one before.
    sharing: [usize; MAX_LEN],
    /// Some keys, one after the other.
    sample: Vec<u8>,
}

impl Survey {
    /// No keys yet of so many.
    fn new(key_len: usize, keys: usize) -> Result<Self, OutOfMemory> {
        let mut sample = Vec::new();
        sample.try_reserve_exact(key_len * keys.min(2 * SAMPLE))?;
        let none = [0; MAX_LEN];
        let (first, differing, last) = (none, none, none);
        let sharing = [0; MAX_LEN];
        Ok(Self { key_len, keys, seen: 0, first, differing, last, sharing, sample })
    }

    /// Looks at the next key.
    #[inline]
    fn see(&mut self, key: &[u8]) {
        if self.seen == 0 {
            self.first[..self.key_len].copy_from_slice(key);
        }
        match self.seen % SAMPLED_ONE_IN {
            0 => copy_short(&mut self.last[..self.key_len], key),
            1 => self.sharing[common_prefix(&self.last[..self.key_len], key).min(MAX_LEN - 1)] += 1,
            _ => {}
        }
        if self.seen.is_multiple_of((self.keys / SAMPLE).max(1)) {
            self.sample.extend_from_slice(key);
        }
        self.seen += 1;
        // In words; the last one covers what the others leave.
        let last = self.key_len - 8;
        for at in (0..last).step_by(8).chain([last]) {
            let differ = |bytes: &[u8]| u64_at(bytes, at).unwrap_or(0);
            let differing = differ(&self.differing) | differ(&self.first) ^ differ(key);
            self.differing[at..at + 8].copy_from_slice(&differing.to_le_bytes());
        }
    }

    /// Which bytes differ.
    fn pattern(&self) -> Pattern {
        let bits = self.differing.iter().enumerate();
        let mask = bits.fold(0, |mask, (i, differing)| mask | u64::from(*differing != 0) << i);
        Pattern::new(self.key_len, mask)
    }

    /// Bytes that the keys would about take as text.
    fn text_len(&self) -> Result<usize, OutOfMemory> {
        let halves = self.halves()?;
        let suffix = |shared: usize| {
            halves[shared.min(self.key_len)..self.key_len].iter().sum::<usize>() / 2
        };
        let prefix = self.differing.iter().take_while(|differing| **differing == 0).count();
        let blocks = self.keys.div_ceil(BLOCK_KEYS);
        let sampled = self.sharing.iter().enumerate().map(|(shared, keys)| {
            // The length of what is long has a byte of its own.
            keys * (1 + usize::from(suffix(shared) > 15) + suffix(shared))
        });
        let samples = self.sharing.iter().sum::<usize>().max(1);
        let suffixes = sampled.sum::<usize>() * (self.keys - blocks) / samples;
        Ok(blocks * (BLOCK_LEN + suffix(prefix)) + suffixes)
    }

    /// What each byte of a key would about take as text, in halves of a byte.
    ///
    /// Symbols spare half of what is read by people, and nothing of other bytes, of which the highest bit is
    /// what tells them apart. But of words that come again and again each is one symbol, whatever it is; words are
    /// looked for where numbers and ids at the end of keys would have them.
    fn halves(&self) -> Result<[usize; MAX_LEN], OutOfMemory> {
        let mut halves = self.differing.map(|differing| 1 + usize::from(differing >> 7));
        let mut room = SYMBOLS;
        let mut words = Vec::new();
        words.try_reserve_exact(self.sample.len() / self.key_len)?;
        let mut is_few = |at: usize, len: usize| {
            words.clear();
            let keys = self.sample.chunks_exact(self.key_len);
            words.extend(keys.map(|key| spelled_on(0, &key[at..at + len])));
            words.sort_unstable();
            words.dedup();
            let is_few = words.len() <= room.min(FEW_WORDS);
            room -= if is_few { words.len() } else { 0 };
            is_few
        };
        for end in (8..=self.key_len).rev().step_by(8) {
            if is_few(end - 8, 8) {
                halves[end - 8..end].copy_from_slice(&[2, 0, 0, 0, 0, 0, 0, 0]);
                continue;
            }
            for end in [end, end - 4] {
                if is_few(end - 4, 4) {
                    halves[end - 4..end].copy_from_slice(&[2, 0, 0, 0]);
                }
            }
        }
        Ok(halves)
    }
}

/// Heads and tails, ready to be written.
pub(in super::super) struct FinishedWide<'b> {
    keys: WideStage<'b>,
    heads: Heads<'b>,
}

impl<'b> FinishedWide<'b> {
    /// Those of these keys.
    pub(in super::super) fn new(keys: WideStage<'b>, heads: Heads<'b>) -> Self {
        Self { keys, heads }
    }

    /// The heads.
    pub(in super::super) fn heads(&self) -> &FinishedInts<'b> {
        &self.heads.ints
    }

    /// Tells the lengths of the sections.
    pub(in super::super) fn plan(&self, lens: &mut SectionLens) {
        self.heads.ints.plan(lens);
        lens.set(Section::Tails, self.tails_len());
    }

    /// Length of the section of the tails.
    pub(super) fn tails_len(&self) -> usize {
        tails_len(self.heads.pattern, self.keys.len())
    }

    /// Writes the section of the tails, which is all zeros.
    pub(in super::super) fn write_tails(&self, out: &mut [u8]) {
        let Some((front, tails)) = out.split_at_mut_checked(FRONT_LEN) else { return };
        let (mut at, mut number, len) = (0, 0, self.heads.pattern.tail_len());
        let written = self.keys.replay(|key| {
            if number == 0 {
                self.heads.pattern.write(key, front);
            }
            self.heads.pattern.write_tail(key, &mut tails[at..at + len]);
            (at, number) = (at + len, number + 1);
            Ok::<(), Infallible>(())
        });
        let Ok(()) = written;
    }
}
