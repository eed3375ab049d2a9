//! A base with a few entries more, less or other than another one: what stays is copied as it is.
//!
//! A fold meets a fifth of a base's keys at most. To unpack the others, and with symbols to write them
//! again, was most of what it took. SCRATCHPAD.md section 2.2.

use super::build::{SegmentBuilder, raw_len, shared_with};
use super::format::Section;
use super::front::{KeyBuffer, SourceBlocks, SpliceStage};
use super::{CodecChoice, Keys, Known, Ordinal, Segment};
use crate::arena::replace;
use crate::bytes::common_prefix;
use crate::cursor::Cursor;
use crate::entry::{ValueBuf, ValueWidth};
use crate::error::{Corruption, Error};
use crate::planted::{Bug, planted};
use crate::sync::Arc;
use bumpalo::Bump;
use std::ops::Range;

/// Blocks between two looks at whether to go on.
const LOOK_EVERY: u64 = 64;

/// A base that was put together.
pub(crate) struct Spliced {
    /// `None` if no entry is left.
    pub(crate) segment: Option<Arc<Segment>>,
    /// Raw bytes of entries that are new, and of those that are not there any more.
    pub(crate) new_bytes: u64,
    pub(crate) gone_bytes: u64,
    /// Keys that are new or gone. If there are any, written at once it might be another image.
    pub(crate) changed_keys: u64,
    /// Keys that were copied as they are stored.
    pub(crate) copied: u64,
}

/// What came of an attempt.
pub(crate) enum Outcome {
    Spliced(Spliced),
    /// It has to be written afresh.
    Refused,
    /// It was told not to go on.
    Cancelled,
}

/// A base of the entries of `base`, which is one, and those of `newer`, which take the place of those
/// with the same key. Refused if `base` has no blocks of text or codes, or is none after all, and if its
/// keys would be stored in another way by now.
pub(crate) fn splice(
    base: &Segment,
    newer: &mut impl Cursor,
    go_on: &dyn Fn() -> bool,
) -> Result<Outcome, Error> {
    let known = base.known()?;
    let is_left_out = |section| known.layout.span(section).is_empty();
    let is_base = is_left_out(Section::Tombstones) && is_left_out(Section::LiveBelow);
    let Keys::Front(keys) = base.keys_of(known) else { return Ok(Outcome::Refused) };
    if !is_base {
        return Ok(Outcome::Refused);
    }
    let Some(source) = SourceBlocks::new(keys)? else { return Ok(Outcome::Refused) };
    if !go_on() {
        return Ok(Outcome::Cancelled);
    }
    let mut prefix = Vec::new();
    replace(&mut prefix, source.prefix())?;
    shared_prefix(newer, &mut prefix)?;
    // Of keys that come to nothing too: they make it shorter.
    let changed_keys = u64::from(prefix.len() < source.prefix().len());
    let bump = Bump::new();
    let stage = SpliceStage::new(&bump, keys, prefix)?;
    let mut splice = Splice {
        base,
        known,
        source,
        longest: stage.longest(),
        stage,
        rest: SegmentBuilder::new(base.width, &bump, CodecChoice::Plain)?,
        last: Last::Told,
        last_key: KeyBuffer::default(),
        text: KeyBuffer::default(),
        is_refused: false,
        gone_bytes: 0,
        changed_keys,
        copied: 0,
    };
    newer.first();
    let mut blocks = 0;
    loop {
        splice.block(newer)?;
        blocks += 1;
        if splice.is_refused {
            return Ok(Outcome::Refused);
        }
        if blocks % LOOK_EVERY == 0 && !go_on() {
            return Ok(Outcome::Cancelled);
        }
        if !splice.source.next()? {
            break;
        }
    }
    while newer.valid() && !splice.is_refused {
        splice.take(newer)?;
        if splice.changed_keys.is_multiple_of(16 * LOOK_EVERY) && !go_on() {
            return Ok(Outcome::Cancelled);
        }
    }
    newer.status()?;
    let Splice { stage, rest, gone_bytes, changed_keys, copied, is_refused, .. } = splice;
    if is_refused || !stage.is_worth_it() {
        return Ok(Outcome::Refused);
    }
    let new_bytes = rest.raw_bytes();
    let segment = match rest.len() {
        0 => None,
        _ => Some(Arc::new(rest.finish_with(stage.finish()?)?)),
    };
    Ok(Outcome::Spliced(Spliced { segment, new_bytes, gone_bytes, changed_keys, copied }))
}

/// Makes `prefix`, which is what the stored keys share, what newer ones share too.
fn shared_prefix(newer: &mut impl Cursor, prefix: &mut Vec<u8>) -> Result<(), Error> {
    newer.last();
    if newer.valid() {
        prefix.truncate(common_prefix(prefix, newer.key()));
        newer.first();
        prefix.truncate(common_prefix(prefix, newer.key()));
    }
    Ok(newer.status()?)
}

/// Which key was appended last.
#[derive(Clone, Copy)]
enum Last {
    /// The one that is put together, if there is one.
    Told,
    /// That of a slot of the block that is read.
    Slot(usize),
    /// A newer one, which is put together, behind that of a slot, with which it shares so many bytes.
    Behind(usize, usize),
}

struct Splice<'s, 'b> {
    base: &'s Segment,
    known: &'s Known,
    source: SourceBlocks<'s>,
    stage: SpliceStage<'b>,
    /// Everything but the keys.
    rest: SegmentBuilder<'b>,
    last: Last,
    last_key: KeyBuffer,
    /// Another key that is put together.
    text: KeyBuffer,
    /// Bytes of a key at most, so that there is room for its codes.
    longest: usize,
    is_refused: bool,
    gone_bytes: u64,
    changed_keys: u64,
    copied: u64,
}

impl Splice<'_, '_> {
    /// Appends the keys of a block, and what is newer and belongs before or between them.
    fn block(&mut self, newer: &mut impl Cursor) -> Result<(), Error> {
        let mut at = 0;
        while at < self.source.len() && !self.is_refused {
            let mut end = self.source.len();
            let mut is_there = false;
            if newer.valid() {
                let found = self.source.search(newer.key())?;
                (end, is_there) = (found.slot, found.is_there);
                if end < at {
                    return Err(self.source.damaged().into());
                }
            }
            self.pass(at..end)?;
            at = end;
            if at == self.source.len() {
                break;
            }
            if !is_there {
                self.take(newer)?;
                continue;
            }
            let entry = newer.entry();
            self.gone_bytes += self.raw_len(at, newer.key())?;
            if entry.live().is_some() {
                // The key stays.
                self.pass_key(at)?;
                self.rest.push_value(newer.key(), entry)?;
            } else {
                self.changed_keys += 1;
            }
            at += 1;
            newer.next();
        }
        // The head of the next block is compared with it.
        self.tell_last()?;
        Ok(newer.status()?)
    }

    /// Appends a newer entry, unless it is without effect.
    fn take(&mut self, newer: &mut impl Cursor) -> Result<(), Error> {
        let entry = newer.entry();
        if entry.live().is_some() {
            if newer.key().len() > self.longest {
                self.is_refused = true;
                return Ok(());
            }
            if !self.stage.takes(newer.key()) {
                // It is not between the first and the last one.
                return Err(self.source.damaged().into());
            }
            let before = self.last;
            self.tell_last()?;
            self.changed_keys += 1;
            let key = newer.key();
            let shared = shared_with(self.last_key.as_slice(), key, self.rest.len())?;
            self.stage.push(key, shared)?;
            self.rest.push_value(key, entry)?;
            self.last_key.set(key)?;
            self.last = match before {
                Last::Told => Last::Told,
                Last::Slot(slot) => Last::Behind(slot, shared),
                // Of three ascending keys, the outer two share what both pairs of neighbours do.
                Last::Behind(slot, met) => Last::Behind(slot, met.min(shared)),
            };
        }
        newer.next();
        Ok(newer.status()?)
    }

    /// Appends entries of the block.
    fn pass(&mut self, slots: Range<usize>) -> Result<(), Error> {
        let first = self.source.first();
        for slot in slots.clone() {
            self.pass_key(slot)?;
        }
        let ordinals = first + slots.start as u64..first + slots.end as u64;
        self.rest.pass_values(self.base, &self.known.layout, ordinals)
    }

    /// Raw bytes of the entry at a slot, which has this key.
    fn raw_len(&self, slot: usize, key: &[u8]) -> Result<u64, Corruption> {
        if let ValueWidth::Fixed(width) = self.base.width {
            return Ok(key.len() as u64 + u64::from(width));
        }
        let (layout, buf) = (&self.known.layout, ValueBuf::default());
        let ordinal = Ordinal(self.source.first() + slot as u64);
        Ok(raw_len(key, self.base.entry_of(layout, self.base.values(layout), ordinal, &buf)?))
    }

    /// Appends a key of the block.
    #[inline]
    fn pass_key(&mut self, slot: usize) -> Result<(), Error> {
        let (shared, suffix) = self.source.step(slot);
        let known = self.shared_with_last(slot);
        if known == Some(shared) && !self.stage.is_at_start() {
            self.copied += 1;
            self.last = Last::Slot(slot);
            return Ok(self.stage.pass(shared, suffix)?);
        }
        if known.is_none() {
            self.tell_last()?;
        }
        self.source.key(slot, &mut self.text)?;
        let (text, last) = (self.text.as_slice(), self.last_key.as_slice());
        if text.len() > self.longest {
            self.is_refused = true;
            return Ok(());
        }
        let shared = known.unwrap_or_else(|| common_prefix(last, text));
        let is_above = match text.get(shared) {
            None => false,
            Some(byte) => known.is_some() || last.get(shared).is_none_or(|last| last < byte),
        };
        if !is_above && self.rest.len() > 0 {
            return Err(self.source.damaged().into());
        }
        self.stage.push(text, shared)?;
        self.last = Last::Slot(slot);
        Ok(())
    }

    /// What the key of a slot shares with the last one, if that can be told without either: of what is
    /// between two keys of a block, the least is what they share. Less than a newer key shares with the
    /// one before it, that is what it shares with the one behind it too.
    #[inline]
    fn shared_with_last(&self, slot: usize) -> Option<usize> {
        let (before, met) = match self.last {
            Last::Told => return None,
            Last::Slot(before) => (before, usize::MAX),
            Last::Behind(before, met) => (before, met),
        };
        if planted(Bug::SpliceKeepsSuffix) {
            return Some(self.source.step(slot).0);
        }
        let least = (before + 1..=slot).map(|slot| self.source.step(slot).0).min()?;
        (least < met).then_some(least)
    }

    /// Sees to it that the last key is put together.
    fn tell_last(&mut self) -> Result<(), Error> {
        if let Last::Slot(slot) = self.last {
            self.source.key(slot, &mut self.last_key)?;
        }
        self.last = Last::Told;
        Ok(())
    }
}
