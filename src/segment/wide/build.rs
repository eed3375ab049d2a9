//! Collects keys of one length, and makes heads and tails of them if that is worth it.

use super::super::format::{Section, SectionLens};
use super::super::int::{FinishedInts, IntStage};
use super::super::slabs::Column;
use super::pattern::{FRONT_LEN, KeyBytes, LENS, MAX_LEN, Pattern};
use crate::arena::OutOfMemory;
use crate::bytes::{common_prefix, copy_short, u64_at};
use bumpalo::Bump;

/// Heads that are handed on together.
const BATCH: usize = 64;

/// Keys of a block of text, and what such a block takes beside its keys: its row in the tree, and lengths.
const BLOCK_KEYS: usize = 16;
const BLOCK_LEN: usize = 16;

/// Of so many keys one is compared with the one before it.
const SAMPLED_ONE_IN: usize = 8;

/// Keys being collected, as they are: only all of them together say which bytes differ.
pub(in super::super) struct WideStage<'b> {
    /// Bytes of each key.
    key_len: usize,
    bytes: Column<'b>,
}

impl<'b> WideStage<'b> {
    /// Whether keys can be stored in this way that all have so many bytes.
    pub(in super::super) fn takes(key_len: usize) -> bool {
        LENS.contains(&key_len)
    }

    /// No keys yet, for keys of so many bytes.
    pub(in super::super) fn new(bump: &'b Bump, key_len: usize) -> Self {
        Self { key_len, bytes: Column::new(bump) }
    }

    /// Bytes of each key.
    pub(in super::super) fn key_len(&self) -> usize {
        self.key_len
    }

    /// Number of keys.
    fn len(&self) -> usize {
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
        mut take: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        // Of a key that begins in one part and ends in the next one.
        let (mut bytes, mut begun) = ([0; MAX_LEN], 0);
        for mut part in self.bytes.parts() {
            if begun > 0 {
                let rest = part.split_off(..(self.key_len - begun).min(part.len())).unwrap_or(&[]);
                bytes[begun..begun + rest.len()].copy_from_slice(rest);
                begun += rest.len();
                if begun < self.key_len {
                    continue;
                }
                take(&bytes[..self.key_len])?;
            }
            let keys = part.chunks_exact(self.key_len);
            let rest = keys.remainder();
            bytes[..rest.len()].copy_from_slice(rest);
            begun = rest.len();
            for key in keys {
                take(key)?;
            }
        }
        Ok(())
    }

    /// Heads and tails; the keys as they were if two of them have one head, or as text they would likely
    /// take fewer bytes, unless that does not matter.
    pub(in super::super) fn finish(
        self,
        bump: &'b Bump,
        always: bool,
    ) -> Result<Result<FinishedWide<'b>, Self>, OutOfMemory> {
        let survey = self.survey();
        let pattern = Pattern::new(self.key_len, survey.mask());
        let tails_len = tails_len(pattern, &self);
        let text_len = if always { usize::MAX } else { survey.text_len(self.len()) };
        if text_len < tails_len {
            return Ok(Err(self));
        }
        let Some(heads) = self.heads(bump, pattern)? else { return Ok(Err(self)) };
        let len = tails_len + heads.lens().iter().sum::<usize>();
        Ok(if len <= text_len {
            Ok(FinishedWide { keys: self, pattern, heads })
        } else {
            Err(self)
        })
    }

    /// The heads; `None` if two keys have one.
    fn heads(
        &self,
        bump: &'b Bump,
        pattern: Pattern,
    ) -> Result<Option<FinishedInts<'b>>, OutOfMemory> {
        let mut stage = IntStage::new(bump, pattern.head_len());
        let (mut heads, mut count, mut last) = ([0; BATCH], 0, None);
        let taken = self.replay(|key| {
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
        stage.finish().map(Some)
    }

    /// What all keys together say about them.
    fn survey(&self) -> Survey {
        let mut survey = Survey::new(self.key_len);
        let mut number = 0;
        let all = self.replay(|key| {
            survey.see(number, key);
            number += 1;
            Ok::<(), std::convert::Infallible>(())
        });
        let Ok(()) = all;
        survey
    }
}

/// Length of the section of the tails of these keys.
fn tails_len(pattern: Pattern, keys: &WideStage<'_>) -> usize {
    FRONT_LEN + keys.len() * pattern.tail_len()
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

/// What all keys together say about them.
struct Survey {
    key_len: usize,
    first: KeyBytes,
    /// The bits that differ, in at least one key.
    differing: KeyBytes,
    /// The key before those that are looked at.
    last: KeyBytes,
    /// How many of these share so many bytes with the one before.
    sharing: [usize; MAX_LEN],
}

impl Survey {
    fn new(key_len: usize) -> Self {
        let none = [0; MAX_LEN];
        Self { key_len, first: none, last: none, differing: none, sharing: [0; MAX_LEN] }
    }

    /// Looks at the next key.
    #[inline]
    fn see(&mut self, number: usize, key: &[u8]) {
        if number == 0 {
            self.first[..self.key_len].copy_from_slice(key);
        }
        match number % SAMPLED_ONE_IN {
            0 => copy_short(&mut self.last[..self.key_len], key),
            1 => self.sharing[common_prefix(&self.last[..self.key_len], key).min(MAX_LEN - 1)] += 1,
            _ => {}
        }
        // In words; the last one covers what the others leave.
        let last = self.key_len - 8;
        for at in (0..last).step_by(8).chain([last]) {
            let differ = |bytes: &[u8]| u64_at(bytes, at).unwrap_or(0);
            let differing = differ(&self.differing) | differ(&self.first) ^ differ(key);
            self.differing[at..at + 8].copy_from_slice(&differing.to_le_bytes());
        }
    }

    /// A bit for each byte that differs.
    fn mask(&self) -> u64 {
        let bits = self.differing.iter().enumerate();
        bits.fold(0, |mask, (i, differing)| mask | u64::from(*differing != 0) << i)
    }

    /// Bytes that the keys would about take as text.
    ///
    /// Symbols spare half of what is read by people, and nothing of other bytes, of which the highest bit is
    /// what tells them apart.
    fn text_len(&self, keys: usize) -> usize {
        let halves = |i: usize| 1 + usize::from(self.differing[i] >> 7);
        let suffix = |shared: usize| (shared..self.key_len).map(halves).sum::<usize>() / 2;
        let prefix = self.differing.iter().take_while(|differing| **differing == 0).count();
        let blocks = keys.div_ceil(BLOCK_KEYS);
        let sampled = self.sharing.iter().enumerate().map(|(shared, keys)| {
            // The length of what is long has a byte of its own.
            keys * (1 + usize::from(self.key_len - shared.min(self.key_len) > 15) + suffix(shared))
        });
        let samples = self.sharing.iter().sum::<usize>().max(1);
        let suffixes = sampled.sum::<usize>() * (keys - blocks) / samples;
        blocks * (BLOCK_LEN + suffix(prefix)) + suffixes
    }
}

/// Heads and tails, ready to be written.
pub(in super::super) struct FinishedWide<'b> {
    keys: WideStage<'b>,
    pattern: Pattern,
    heads: FinishedInts<'b>,
}

impl<'b> FinishedWide<'b> {
    /// The heads.
    pub(in super::super) fn heads(&self) -> &FinishedInts<'b> {
        &self.heads
    }

    /// Tells the lengths of the sections.
    pub(in super::super) fn plan(&self, lens: &mut SectionLens) {
        self.heads.plan(lens);
        lens.set(Section::Tails, self.tails_len());
    }

    /// Length of the section of the tails.
    pub(super) fn tails_len(&self) -> usize {
        tails_len(self.pattern, &self.keys)
    }

    /// Writes the section of the tails, which is all zeros.
    pub(in super::super) fn write_tails(&self, out: &mut [u8]) {
        let Some((front, tails)) = out.split_at_mut_checked(FRONT_LEN) else { return };
        let (mut at, mut number, len) = (0, 0, self.pattern.tail_len());
        let written = self.keys.replay(|key| {
            if number == 0 {
                self.pattern.write(key, front);
            }
            self.pattern.write_tail(key, &mut tails[at..at + len]);
            (at, number) = (at + len, number + 1);
            Ok::<(), std::convert::Infallible>(())
        });
        let Ok(()) = written;
    }
}
