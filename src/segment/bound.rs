//! Lower bounds of numbers in few steps, where a segment is as most are, beside others.

use super::Segment;
use super::int::{IntKeys, IntSearch, MAX_WIDTH, Near, spelled};
use super::soon::{Column, Soon};

/// A search for the first entry that is not below a key. Between two steps, what the next one reads has
/// time to arrive.
pub(crate) struct BoundSearch<'s> {
    keys: IntKeys<'s>,
    search: IntSearch<'s>,
    values: Column<'s>,
}

impl Segment {
    /// Begins to look for the first entry that is not below `key`, if that takes few steps. What it makes
    /// stays where it is made.
    pub(crate) fn begin_bound<'s>(&'s self, key: &[u8], begun: &mut Option<BoundSearch<'s>>) {
        if let Some((keys, values)) = self.numbers()
            && let Ok(Some(search)) = keys.begin(key)
        {
            *begun = Some(BoundSearch { keys, search, values });
        }
    }
}

impl BoundSearch<'_> {
    /// The first step.
    #[inline]
    pub(crate) fn narrow(&mut self) {
        // Damage is met again in the next one.
        if let Ok(near) = self.search.narrow() {
            self.values.tell(near);
        }
    }

    /// The second and last one: what `f` makes of the entry's key and value. `None` if the segment has
    /// none, or it takes more steps to tell.
    #[inline]
    pub(crate) fn settle<R>(&self, f: impl FnOnce(&[u8], &[u8]) -> R) -> Option<R> {
        let (ordinal, number) = self.keys.settle(&self.search).ok()??;
        let Soon::Value(value) = self.values.get(ordinal) else { return None };
        let mut key = [0; MAX_WIDTH];
        let key = spelled(number, self.keys.width(), &mut key);
        Some(f(key, &value.to_le_bytes()[..self.values.width]))
    }
}
