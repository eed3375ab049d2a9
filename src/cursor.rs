//! The one contract between layers: a positioned cursor over sorted entries.
//!
//! The idea is LevelDB's iterator (`include/leveldb/iterator.h`): every sorted thing, from a radix
//! tree to the whole map, can be walked by the same few methods, so that merging, folding, ranges
//! and tests are written once. A positioned cursor lends its key and value from itself; no
//! lending-iterator trait and no boxed item is needed.

use crate::batch::Lent;
use crate::entry::{Entry, EntryKind};
use crate::error::Corruption;
use crate::range::Direction;

/// A position in a sorted sequence of entries with distinct keys, or no position.
///
/// A new cursor has no position. A move that finds no entry leaves it with no position; `next` and
/// `prev` without a position do nothing. Damage in stored bytes also leaves it without a position
/// and is then told by [`status`](Cursor::status).
pub(crate) trait Cursor {
    /// Moves to the smallest key.
    fn first(&mut self);
    /// Moves to the largest key.
    fn last(&mut self);
    /// Moves to the smallest key that is not below `key`.
    fn seek(&mut self, key: &[u8]);
    /// Moves to the largest key that is not above `key`.
    fn seek_for_prev(&mut self, key: &[u8]);
    /// Moves to the next larger key.
    fn next(&mut self);
    /// Moves to the next smaller key.
    fn prev(&mut self);
    /// Whether the cursor stands on an entry.
    fn valid(&self) -> bool;
    /// The key it stands on.
    ///
    /// # Panics
    /// May panic or return stale bytes without a position.
    fn key(&self) -> &[u8];
    /// The entry it stands on.
    ///
    /// # Panics
    /// May panic without a position.
    fn entry(&self) -> Entry<'_>;
    /// Whether that is a tombstone.
    ///
    /// # Panics
    /// As [`entry`](Self::entry).
    #[inline]
    fn is_tombstone(&self) -> bool {
        self.entry().kind == EntryKind::Tombstone
    }
    /// Whether the last move ended at damage instead of at an entry or at the end.
    fn status(&self) -> Result<(), Corruption> {
        Ok(())
    }
    /// The entry it stands on, and those that come next in this direction, as far as they are at hand;
    /// in ascending order. `None` if there are none at hand, which says nothing about what is there.
    fn lend(&self, _direction: Direction) -> Option<Lent<'_>> {
        None
    }
    /// Moves so many entries on in this direction, of those that it lends beside the one it stands
    /// on.
    fn pass(&mut self, direction: Direction, count: usize) {
        for _ in 0..count {
            match direction {
                Direction::Forward => self.next(),
                Direction::Backward => self.prev(),
            }
        }
    }
}
