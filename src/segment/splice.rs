//! A base with a few entries more, less or other than another one: what stays is copied as it is.
//!
//! A fold meets a tenth of a base's keys, and what was in the delta. To unpack the others, and with symbols
//! to write them again, was most of what it took. SCRATCHPAD.md sections 2.2 and 2.8.

use super::build::{SegmentBuilder, bulk_of, entry_bulk, key_bulk, shared_with};
use super::front::{Behind, FrontKeys, KeyBuffer, Slot, SourceBlocks, SpliceStage};
use super::{CodecChoice, Keys, Known, Ordinal, Room, Segment};
use crate::arena::{OutOfMemory, replace};
use crate::bytes::common_prefix;
use crate::cursor::Cursor;
use crate::entry::{ValueBuf, ValueWidth};
use crate::error::{Corruption, Error};
use crate::key::MAX_KEY_LEN;
use crate::planted::{Bug, planted};
use crate::sync::Arc;
use bumpalo::Bump;
use std::mem;
use std::ops::Range;

/// Blocks between two looks at whether to go on.
const LOOK_EVERY: u64 = 64;

/// A base that was put together, or several in its place.
pub(crate) struct Spliced {
    /// None if no entry is left.
    pub(crate) pieces: Vec<SplicedPiece>,
    /// What entries count for that are new, and of those that are not there any more.
    pub(crate) new_bulk: u64,
    pub(crate) gone_bulk: u64,
    /// Keys that are new or gone. If there are any, written at once it might be another image.
    pub(crate) changed_keys: u64,
    /// For how many more it counts that symbols were cut.
    pub(crate) worn_keys: u64,
}

/// One of the bases.
pub(crate) struct SplicedPiece {
    /// Above all keys of the one before, and not above its own; that of the first is empty.
    pub(crate) bound: Box<[u8]>,
    pub(crate) segment: Arc<Segment>,
    /// What its entries count for, if they are not all that there are.
    pub(crate) bulk: Option<u64>,
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
///
/// Several bases, each of which ends where it has reached one of `limits`, if there are any: of values of
/// one width.
pub(crate) fn splice(
    base: &Segment,
    newer: &mut impl Cursor,
    limits: Option<Room>,
    go_on: &dyn Fn() -> bool,
) -> Result<Outcome, Error> {
    let known = base.known()?;
    let Keys::Front(keys) = base.keys_of(known) else { return Ok(Outcome::Refused) };
    let divided = match (base.width, limits) {
        (_, None) => None,
        (ValueWidth::Fixed(width), Some(limits)) => Some(Divided { limits, width: width.into() }),
        (ValueWidth::Bytes, Some(_)) => return Ok(Outcome::Refused),
    };
    if !known.layout.is_base() {
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
    let stage = SpliceStage::new(&bump, keys, &prefix)?;
    let mut splice = Splice {
        bump: &bump,
        base,
        known,
        keys,
        prefix,
        source,
        stage,
        rest: SegmentBuilder::new(base.width, &bump, CodecChoice::Plain)?,
        divided,
        pieces: Vec::new(),
        bound: Box::default(),
        ended: 0,
        key_bulk: 0,
        last: Last::Told,
        last_key: KeyBuffer::default(),
        passed_key: KeyBuffer::default(),
        is_refused: false,
        is_waiting: false,
        new_bulk: 0,
        gone_bulk: 0,
        changed_keys,
        worn_keys: 0,
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
        splice.take(newer, Slot::default())?;
        if splice.changed_keys.is_multiple_of(16 * LOOK_EVERY) && !go_on() {
            return Ok(Outcome::Cancelled);
        }
    }
    newer.status()?;
    if splice.is_refused {
        return Ok(Outcome::Refused);
    }
    let bulk = splice.bulk(0);
    let Splice { stage, rest, mut pieces, bound, copied, gone_bulk, changed_keys, .. } = splice;
    let (new_bulk, mut worn_keys) = (splice.new_bulk + rest.bulk(), splice.worn_keys);
    if rest.len() > 0 {
        worn_keys += stage.worn_keys(rest.len());
        let Some(keys) = stage.finish()? else { return Ok(Outcome::Refused) };
        let segment = Arc::new(rest.finish_with(keys)?);
        pieces.try_reserve(1).map_err(|_| OutOfMemory)?;
        pieces.push(SplicedPiece { bound, segment, bulk, copied });
    }
    Ok(Outcome::Spliced(Spliced { pieces, new_bulk, gone_bulk, changed_keys, worn_keys }))
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
    /// A newer one, which is put together, before that of a slot, with which it shares so many bytes.
    Newer(usize, usize),
}

/// How several pieces are told apart.
#[derive(Clone, Copy)]
struct Divided {
    limits: Room,
    /// Bytes of a value.
    width: u64,
}

struct Splice<'s, 'b> {
    bump: &'b Bump,
    base: &'s Segment,
    known: &'s Known,
    keys: FrontKeys<'s>,
    /// What all keys share.
    prefix: Vec<u8>,
    source: SourceBlocks<'s>,
    /// The piece on its way: its keys, and everything else.
    stage: SpliceStage<'s, 'b>,
    rest: SegmentBuilder<'b>,
    /// If there are to be several.
    divided: Option<Divided>,
    pieces: Vec<SplicedPiece>,
    /// That of the piece on its way.
    bound: Box<[u8]>,
    /// Entries of those that have ended.
    ended: u64,
    /// What the keys of the piece on its way count for, if there are to be several.
    key_bulk: u64,
    last: Last,
    last_key: KeyBuffer,
    /// The newer key that was looked at last, if it was not appended.
    passed_key: KeyBuffer,
    is_refused: bool,
    /// Keys of the block that is read are not passed on before it is known whether all of them stay.
    is_waiting: bool,
    new_bulk: u64,
    gone_bulk: u64,
    changed_keys: u64,
    worn_keys: u64,
    /// Of the piece on its way.
    copied: u64,
}

impl Splice<'_, '_> {
    /// What the entries of the piece count for, if there are to be several; so many of them have only
    /// keys yet.
    #[inline]
    fn bulk(&self, keys: u64) -> Option<u64> {
        let Divided { width, .. } = self.divided?;
        Some(self.key_bulk + (self.rest.len() + keys) * width)
    }

    /// Whether the piece takes another entry; so many of its entries have only keys yet.
    #[inline]
    fn has_room(&self, keys: u64) -> bool {
        let Some(Divided { limits, .. }) = self.divided else { return true };
        let entries = self.rest.len() + keys;
        let is_below = self.bulk(keys).is_none_or(|bytes| bytes < limits.bulk);
        entries == 0 || entries < limits.entries && is_below
    }

    /// Ends a piece that takes no more, before another entry is appended.
    fn make_room(&mut self) -> Result<(), Error> {
        if self.has_room(0) { Ok(()) } else { self.end_piece() }
    }

    /// Ends the piece, which has entries.
    fn end_piece(&mut self) -> Result<(), Error> {
        // The next one begins with what its first key does not share with it.
        self.tell_last()?;
        let stage = SpliceStage::new(self.bump, self.keys, &self.prefix)?;
        let stage = mem::replace(&mut self.stage, stage);
        let rest = SegmentBuilder::new(self.base.width, self.bump, CodecChoice::Plain)?;
        let bulk = self.bulk(0);
        self.worn_keys += stage.worn_keys(self.rest.len());
        let rest = mem::replace(&mut self.rest, rest);
        let Some(keys) = stage.finish()? else {
            self.is_refused = true;
            return Ok(());
        };
        self.ended += rest.len();
        self.new_bulk += rest.bulk();
        self.pieces.try_reserve(1).map_err(|_| OutOfMemory)?;
        self.pieces.push(SplicedPiece {
            bound: mem::take(&mut self.bound),
            segment: Arc::new(rest.finish_with(keys)?),
            bulk,
            copied: mem::take(&mut self.copied),
        });
        self.key_bulk = 0;
        Ok(())
    }

    /// Appends the keys of a block, and what is newer and belongs before or between them.
    fn block(&mut self, newer: &mut impl Cursor) -> Result<(), Error> {
        let (mut at, len) = (0, self.source.len());
        self.is_waiting = self.divided.is_none()
            && self.stage.is_at_start()
            && self.source.is_full()
            && self.source.prefix() == self.prefix;
        let mut behind = None;
        while at < len && newer.valid() && !self.is_refused {
            let found = self.source.search(newer.key(), behind);
            if found.at < at {
                return Err(self.source.damaged().into());
            }
            self.pass(at..found.at)?;
            at = found.at;
            if at == len || self.is_refused {
                break;
            }
            let is_taken = newer.entry().live().is_some() && !found.is_there;
            if !is_taken {
                self.passed_key.set(newer.key())?;
            }
            if found.is_there {
                self.replace(newer, at)?;
                at += 1;
            } else {
                self.take(newer, found)?;
            }
            behind = None;
            if newer.valid() && at > 0 {
                // Of three ascending keys, the outer two share what both pairs of neighbours do.
                let before = if is_taken { &self.last_key } else { &self.passed_key };
                let shared = common_prefix(before.as_slice(), newer.key());
                let met = if found.is_there { usize::MAX } else { found.shared.0 };
                behind = Some(Behind { at, shared: shared.min(met) });
            }
        }
        self.pass(at..len)?;
        if mem::take(&mut self.is_waiting) && !self.is_refused {
            self.pass_block()?;
        }
        // The head of the next block is compared with it.
        self.tell_last()?;
        Ok(newer.status()?)
    }

    /// Appends the keys of the block, before that of a slot, that have waited for the block to stay as it is: it
    /// does not.
    fn stop_waiting(&mut self, end: usize) -> Result<(), Error> {
        if mem::take(&mut self.is_waiting) { self.pass_keys(&mut (0..end)) } else { Ok(()) }
    }

    /// Appends the keys of the block, as it is.
    fn pass_block(&mut self) -> Result<(), Error> {
        let shared = self.tell(0, None)?;
        // The first key of all may be empty, and needs none.
        let separator = self.source.told().get(..=shared).unwrap_or(&[]);
        self.stage.pass_block(&self.source, separator)?;
        let len = self.source.len();
        self.copied += len as u64;
        self.last = Last::Slot(len - 1);
        Ok(())
    }

    /// Appends a newer entry in the place of one of the block, or leaves that out.
    fn replace(&mut self, newer: &mut impl Cursor, slot: usize) -> Result<(), Error> {
        let entry = newer.entry();
        self.gone_bulk += self.entry_bulk(slot, newer.key())?;
        if entry.live().is_some() {
            // The key stays.
            if !self.is_waiting {
                self.make_room()?;
                self.pass_key(slot)?;
            }
            self.rest.push_value(newer.key(), entry)?;
        } else {
            self.stop_waiting(slot)?;
            self.changed_keys += 1;
        }
        newer.next();
        Ok(newer.status()?)
    }

    /// Appends a newer entry, unless it is without effect.
    fn take(&mut self, newer: &mut impl Cursor, found: Slot) -> Result<(), Error> {
        let entry = newer.entry();
        if entry.live().is_some() {
            let key = newer.key();
            if key.len() > MAX_KEY_LEN {
                return Err(Error::KeyTooLong { len: key.len() });
            }
            if !self.stage.takes(key) {
                // It is not between the first and the last one.
                return Err(self.source.damaged().into());
            }
            self.stop_waiting(found.at)?;
            self.make_room()?;
            self.changed_keys += 1;
            let shared = match self.last {
                Last::Slot(before) => {
                    found.shared.0.min(self.source.least_shared(before + 1, found.at))
                }
                Last::Told | Last::Newer(..) => {
                    let index = self.ended + self.rest.len();
                    shared_with(self.last_key.as_slice(), key, index)?
                }
            };
            if shared >= key.len() && self.ended + self.rest.len() > 0 {
                return Err(self.source.damaged().into());
            }
            if self.stage.is_empty() && self.ended > 0 {
                self.bound = key[..=shared].into();
            }
            self.key_bulk += key_bulk(key.len() as u64);
            self.stage.push(key, shared)?;
            self.rest.push_value(key, entry)?;
            self.last_key.set(key)?;
            self.last = Last::Newer(found.at, found.shared.1);
        }
        newer.next();
        Ok(newer.status()?)
    }

    /// Appends entries of the block.
    fn pass(&mut self, slots: Range<usize>) -> Result<(), Error> {
        let (first, mut slots) = (self.source.first(), slots);
        while !slots.is_empty() && !self.is_refused {
            let start = slots.start;
            if self.is_waiting {
                slots.start = slots.end;
            } else {
                self.make_room()?;
                self.pass_keys(&mut slots)?;
            }
            let ordinals = first + start as u64..first + slots.start as u64;
            self.rest.pass_values(self.base, &self.known.layout, ordinals)?;
        }
        Ok(())
    }

    /// Appends keys of the block, as many as there is room for, and takes them away from `slots`.
    fn pass_keys(&mut self, slots: &mut Range<usize>) -> Result<(), Error> {
        let start = slots.start;
        while slots.start < slots.end && self.has_room((slots.start - start) as u64) {
            if slots.start > start && self.divided.is_none() && !self.stage.is_at_start() {
                let count = self.stage.pass_run(&self.source, slots.clone());
                self.copied += count as u64;
                slots.start += count;
                self.last = Last::Slot(slots.start - 1);
            } else {
                self.pass_key(slots.start)?;
                slots.start += 1;
            }
        }
        Ok(())
    }

    /// What the entry at a slot counts for, which has this key.
    fn entry_bulk(&self, slot: usize, key: &[u8]) -> Result<u64, Corruption> {
        if let ValueWidth::Fixed(width) = self.base.width {
            return Ok(bulk_of(key.len() as u64, u64::from(width)));
        }
        let (layout, buf) = (&self.known.layout, ValueBuf::default());
        let ordinal = Ordinal(self.source.first() + slot as u64);
        Ok(entry_bulk(key, self.base.entry_of(layout, self.base.values(layout), ordinal, &buf)?))
    }

    /// Appends a key of the block.
    #[inline]
    fn pass_key(&mut self, slot: usize) -> Result<(), Error> {
        let (shared, known) = (self.source.shared(slot), self.shared_with_last(slot));
        if !self.stage.is_at_start()
            && let Some(known) = known
            && known >= shared
        {
            if known == shared {
                self.copied += self.stage.pass_run(&self.source, slot..slot + 1) as u64;
            } else {
                self.pass_rest(slot, known)?;
            }
            self.last = Last::Slot(slot);
            if self.divided.is_some() {
                self.key_bulk += key_bulk(self.source.key_len(slot));
            }
            return Ok(());
        }
        self.pass_whole(slot, known)
    }

    /// Appends a key of the block, which shares more with the newer one before it than with the one before
    /// that.
    fn pass_rest(&mut self, slot: usize, shared: usize) -> Result<(), Error> {
        self.stage
            .pass_rest(&self.source, slot, shared)?
            .ok_or_else(|| self.source.damaged().into())
    }

    /// Appends a key of the block, which is put together for that. It shares `known` bytes with the last one,
    /// if that can be told.
    fn pass_whole(&mut self, slot: usize, known: Option<usize>) -> Result<(), Error> {
        let shared = self.tell(slot, known)?;
        let key = self.source.told();
        if self.stage.is_empty() && self.ended > 0 {
            self.bound = key[..=shared].into();
        }
        self.key_bulk += key_bulk(key.len() as u64);
        self.last = Last::Slot(slot);
        self.stage
            .pass_key(&self.source, slot, key, shared)?
            .ok_or_else(|| self.source.damaged().into())
    }

    /// Puts the key of a slot together, which comes next. Answers what it shares with the last one, `known` if
    /// that can be told.
    fn tell(&mut self, slot: usize, known: Option<usize>) -> Result<usize, Error> {
        if known.is_none() {
            self.tell_last()?;
        }
        let is_first = self.stage.is_empty() && self.ended == 0;
        let damaged = self.source.damaged();
        let key = self.source.key(slot)?;
        let last = self.last_key.as_slice();
        let shared = known.unwrap_or_else(|| common_prefix(last, key));
        let is_above = match key.get(shared) {
            None => false,
            Some(byte) => known.is_some() || last.get(shared).is_none_or(|last| last < byte),
        };
        if is_above || is_first { Ok(shared) } else { Err(damaged.into()) }
    }

    /// What the key of a slot shares with the last one, if that can be told without either: the least of
    /// what those from there on share with the one before them.
    #[inline]
    fn shared_with_last(&self, slot: usize) -> Option<usize> {
        let (from, met) = match self.last {
            Last::Told => return None,
            Last::Slot(before) => (before + 1, usize::MAX),
            Last::Newer(before, met) => (before + 1, met),
        };
        if planted(Bug::SpliceKeepsSuffix) {
            return Some(self.source.shared(slot));
        }
        Some(met.min(self.source.least_shared(from, slot + 1)))
    }

    /// Sees to it that the last key is put together.
    fn tell_last(&mut self) -> Result<(), Error> {
        if let Last::Slot(slot) = self.last {
            self.last_key.set(self.source.key(slot)?)?;
        }
        self.last = Last::Told;
        Ok(())
    }
}
