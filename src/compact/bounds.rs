//! Lower bounds of many keys at once.

use super::Core;
use crate::cursor::Cursor;
use crate::error::Corruption;
use crate::partition::{BATCH, Pinned};
use crate::range::ByteRange;
use crate::segment::BoundSearch;
use std::ops::Bound;

impl Core {
    /// Calls `answer` with the number of each key that is not above all others, and with the first key at
    /// or above it, and its value. There are at most [`BATCH`] of them.
    ///
    /// Each is looked for at a moment of its own. What their searches wait for first is asked for together.
    pub(crate) fn lower_bounds(
        &self,
        keys: &[&[u8]],
        mut answer: impl FnMut(usize, &[u8], &[u8]),
    ) -> Result<(), Corruption> {
        let mut pinned: [Option<Pinned>; BATCH] = [const { None }; BATCH];
        // Not copies of a constant: these would be copied whole.
        let mut searches: [Option<BoundSearch<'_>>; BATCH] = std::array::from_fn(|_| None);
        for (pinned, key) in pinned.iter_mut().zip(keys) {
            *pinned = Some(self.pin(key));
        }
        for ((pinned, key), search) in pinned.iter().zip(keys).zip(&mut searches) {
            let Some(pinned) = pinned else { continue };
            if let Some(base) = pinned.base() {
                base.begin_bound(key, search);
            }
            if search.is_none() {
                pinned.ask(key);
            }
        }
        searches.iter_mut().flatten().for_each(BoundSearch::narrow);
        for (number, ((pinned, key), search)) in pinned.iter().zip(keys).zip(&searches).enumerate()
        {
            let soon = search
                .as_ref()
                .and_then(|search| search.settle(|key, value| answer(number, key, value)));
            if soon.is_some() {
                continue;
            }
            let here = pinned
                .as_ref()
                .map(|pinned| pinned.lower_bound(key, |key, value| answer(number, key, value)));
            if here.transpose()? == Some(true) {
                continue;
            }
            // The partition has no such key: one behind it may.
            let range = ByteRange::new(Bound::Included(key), Bound::Unbounded);
            let mut cursor = self.view(&range).cursor();
            cursor.seek(key);
            cursor.status()?;
            if cursor.valid() {
                answer(number, cursor.key(), cursor.entry().value.as_slice());
            }
        }
        Ok(())
    }
}
