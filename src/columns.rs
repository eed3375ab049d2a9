//! Entries whose keys are numbers and whose values have one width, in columns.
//!
//! Folds of numbers read, merge and write their entries a thousand at a time. Through cursors, a merge
//! and a builder each takes hundreds of instructions, in columns some tens: SCRATCHPAD.md section 2.2.

use crate::arena::OutOfMemory;
use crate::entry::{Below, Entry, EntryKind};

/// An entry is a tombstone. Its value is zeros.
pub(crate) const TOMBSTONE: u8 = 1;

/// The key of an entry is live below.
pub(crate) const LIVE_BELOW: u8 = 2;

/// Of a place among the entries that are merged, that it is among the newer ones.
const NEWER: u32 = 1 << 31;

/// Entries that are copied together.
const RUN: usize = 8;

/// Entries in ascending order of their keys, of which the first ones may have been taken.
pub(crate) struct Columns {
    /// Bytes of each value.
    width: usize,
    /// Keys, values one behind the other, and flags: of all entries, and perhaps more than these. What is
    /// written over need not be made zero before.
    keys: Vec<u64>,
    values: Vec<u8>,
    flags: Vec<u8>,
    /// Number of entries.
    end: usize,
    /// How many of them have been taken.
    taken: usize,
    /// Where the entries were before they were merged.
    places: Vec<u32>,
}

impl Columns {
    /// No entries yet, with values of `width` bytes.
    pub(crate) fn new(width: usize) -> Self {
        let (keys, values, flags, places) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        Self { width, keys, values, flags, end: 0, taken: 0, places }
    }

    /// Bytes of each value.
    pub(crate) fn width(&self) -> usize {
        self.width
    }

    /// Entries that are left.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.end - self.taken
    }

    /// Drops all entries.
    pub(crate) fn clear(&mut self) {
        (self.end, self.taken) = (0, 0);
    }

    /// Makes room for so many entries behind those that there are.
    pub(crate) fn reserve(&mut self, count: usize) -> Result<(), OutOfMemory> {
        let end = self.end.checked_add(count).ok_or(OutOfMemory)?;
        grow(&mut self.keys, end)?;
        grow(&mut self.flags, end)?;
        grow(&mut self.values, end.checked_mul(self.width).ok_or(OutOfMemory)?)
    }

    /// Appends an entry with a value of the width, or a tombstone, for which there is room.
    #[inline]
    pub(crate) fn push(&mut self, key: u64, entry: Entry<'_>) {
        let tombstone = if entry.kind == EntryKind::Tombstone { TOMBSTONE } else { 0 };
        let live_below = if entry.below == Below::Live { LIVE_BELOW } else { 0 };
        self.keys[self.end] = key;
        self.flags[self.end] = tombstone | live_below;
        let value = &mut self.values[self.end * self.width..][..self.width];
        match (entry.live(), value.first_chunk_mut::<8>()) {
            (None, _) => value.fill(0),
            // The most frequent width, without a call.
            (Some(live), Some(value)) if live.len() == 8 => {
                *value = live.first_chunk().copied().unwrap_or_default();
            }
            (Some(live), _) => value.copy_from_slice(live),
        }
        self.end += 1;
    }

    /// Makes the entries those that `read` writes: keys to the first vector, which it may make as long as
    /// it likes, and as many values and flags to the others.
    pub(crate) fn replace<E: From<OutOfMemory>>(
        &mut self,
        read: impl FnOnce(&mut Vec<u64>, &mut Vec<u8>, &mut Vec<u8>) -> Result<(), E>,
    ) -> Result<(), E> {
        self.clear();
        read(&mut self.keys, &mut self.values, &mut self.flags)?;
        let (count, width) = (self.keys.len(), self.width);
        // Whatever was written, there is room for all keys say.
        self.reserve(count)?;
        debug_assert!(self.flags.len() >= count && self.values.len() >= count * width);
        self.end = count;
        Ok(())
    }

    /// The keys that are left.
    #[inline]
    pub(crate) fn left_keys(&self) -> &[u64] {
        &self.keys[self.taken..self.end]
    }

    /// Their values.
    pub(crate) fn left_values(&self) -> &[u8] {
        &self.values[self.taken * self.width..self.end * self.width]
    }

    /// Their flags.
    pub(crate) fn left_flags(&self) -> &[u8] {
        &self.flags[self.taken..self.end]
    }

    /// Takes so many, of which there are as many.
    pub(crate) fn take(&mut self, count: usize) {
        self.taken += count;
    }

    /// Whether the keys ascend, and are above `before`.
    pub(crate) fn ascend(&self, before: Option<u64>) -> bool {
        let keys = self.left_keys();
        let is_above = before.is_none_or(|before| keys.first().is_none_or(|key| *key > before));
        // Without an early end, several pairs are compared at once.
        let falls: usize = keys.windows(2).map(|pair| usize::from(pair[0] >= pair[1])).sum();
        is_above && falls == 0
    }

    /// Drops entries that are not `kept`, by their flags, of those that are left.
    pub(crate) fn retain(&mut self, kept: impl Fn(u8) -> bool) {
        if self.left_flags().iter().all(|flags| kept(*flags)) {
            return;
        }
        let mut end = self.taken;
        for at in self.taken..self.end {
            if kept(self.flags[at]) {
                self.keys[end] = self.keys[at];
                self.flags[end] = self.flags[at];
                self.values.copy_within(at * self.width..(at + 1) * self.width, end * self.width);
                end += 1;
            }
        }
        self.end = end;
    }

    /// Takes the first entries of both, up to the lower of both last keys, and makes of them what a merge
    /// does: of two entries with one key the newer one stays, with what the older one says of those
    /// below. Only entries that are `kept`, by their flags, stay. Both have some.
    ///
    /// Costs some 30 instructions for each entry that is taken; for each newer one some 60, where these are
    /// few.
    pub(crate) fn weave(
        &mut self,
        newer: &mut Self,
        older: &mut Self,
        kept: impl Fn(u8) -> bool,
    ) -> Result<(), OutOfMemory> {
        self.clear();
        // What stands behind the last key of the other is not taken.
        let last = newer.left_keys().last().min(older.left_keys().last()).copied().unwrap_or(0);
        let taken = |columns: &Self| columns.left_keys().partition_point(|key| *key <= last);
        let (new, old) = (taken(newer), taken(older));
        self.reserve(new + old + RUN)?;
        let are_few = new <= old / 2;
        if are_few && older.flags[older.taken..][..old].iter().all(|flags| kept(*flags)) {
            match self.width {
                4 => self.weave_runs::<4>((newer, new), (older, old), &kept),
                8 => self.weave_runs::<8>((newer, new), (older, old), &kept),
                16 => self.weave_runs::<16>((newer, new), (older, old), &kept),
                _ => self.weave_each(newer, older, new + old, &kept)?,
            }
        } else {
            self.weave_each(newer, older, new + old, &kept)?;
        }
        newer.take(new);
        older.take(old);
        Ok(())
    }

    /// Weaves the first newer entries, so many, with so many older ones, all of which are kept: what stands
    /// before a newer one is copied together, [`RUN`] at a time, and what that is too much is written over.
    fn weave_runs<const W: usize>(
        &mut self,
        (newer, new): (&Self, usize),
        (older, old): (&Self, usize),
        kept: impl Fn(u8) -> bool,
    ) {
        let new_keys = &newer.left_keys()[..new];
        let new_values = newer.left_values().as_chunks::<W>().0;
        let new_flags = newer.left_flags();
        let old_keys = &older.left_keys()[..old];
        let old_values = &older.left_values().as_chunks::<W>().0[..old];
        let old_flags = &older.left_flags()[..old];
        let keys = self.keys.as_mut_slice();
        let values = self.values.as_chunks_mut::<W>().0;
        let flags = self.flags.as_mut_slice();
        let (mut i, mut end) = (0, 0);
        let entries = new_keys.iter().zip(new_values).zip(new_flags);
        for ((key, value), newest) in entries {
            loop {
                let Some(run) = old_keys[i..].first_chunk::<RUN>() else {
                    while i < old && old_keys[i] < *key {
                        keys[end] = old_keys[i];
                        values[end] = old_values[i];
                        flags[end] = old_flags[i];
                        (i, end) = (i + 1, end + 1);
                    }
                    break;
                };
                // All are compared: how many are below is what nobody could guess.
                let below = run.iter().map(|old| usize::from(old < key)).sum::<usize>();
                keys[end..end + RUN].copy_from_slice(run);
                values[end..end + RUN].copy_from_slice(&old_values[i..i + RUN]);
                flags[end..end + RUN].copy_from_slice(&old_flags[i..i + RUN]);
                (i, end) = (i + below, end + below);
                if below < RUN {
                    break;
                }
            }
            let is_same = old_keys.get(i) == Some(key);
            let below = if is_same { old_flags[i] } else { *newest } & LIVE_BELOW;
            let flag = newest & TOMBSTONE | below;
            keys[end] = *key;
            values[end] = *value;
            flags[end] = flag;
            i += usize::from(is_same);
            end += usize::from(kept(flag));
        }
        let rest = end..end + (old - i);
        keys[rest.clone()].copy_from_slice(&old_keys[i..]);
        values[rest.clone()].copy_from_slice(&old_values[i..]);
        flags[rest.clone()].copy_from_slice(&old_flags[i..]);
        self.end = rest.end;
    }

    /// Weaves `most` entries of both one by one.
    fn weave_each(
        &mut self,
        newer: &Self,
        older: &Self,
        most: usize,
        kept: impl Fn(u8) -> bool,
    ) -> Result<(), OutOfMemory> {
        grow(&mut self.places, most)?;
        let (new, old) = (newer.left_keys(), older.left_keys());
        let (new_flags, old_flags) =
            (&newer.left_flags()[..new.len()], &older.left_flags()[..old.len()]);
        let keys = &mut self.keys[..most];
        let (flags, places) = (&mut self.flags[..most], &mut self.places[..most]);
        let (mut i, mut j, mut end) = (0, 0, 0);
        // All of it is computed, and what does not count is written over: branches would be guesses.
        while i < old.len() && j < new.len() && end < most {
            let (a, b) = (old[i], new[j]);
            let (is_older, is_same) = (a < b, a == b);
            let below = if is_same { old_flags[i] } else { new_flags[j] } & LIVE_BELOW;
            let newest = new_flags[j] & TOMBSTONE | below;
            let flag = if is_older { old_flags[i] } else { newest };
            keys[end] = a.min(b);
            flags[end] = flag;
            places[end] = if is_older { i as u32 } else { j as u32 | NEWER };
            i += usize::from(is_older | is_same);
            j += usize::from(!is_older);
            end += usize::from(kept(flag));
        }
        self.end = end;
        let (places, values) = (&self.places[..end], &mut self.values[..end * self.width]);
        let (new, old) = (newer.left_values(), older.left_values());
        match self.width {
            0 => {}
            4 => pick::<4>(values, places, new, old),
            8 => pick::<8>(values, places, new, old),
            16 => pick::<16>(values, places, new, old),
            width => {
                for (value, place) in values.chunks_exact_mut(width).zip(places) {
                    let from = if place & NEWER == 0 { old } else { new };
                    let start = (place & !NEWER) as usize * width;
                    value.copy_from_slice(&from[start..start + width]);
                }
            }
        }
        Ok(())
    }
}

/// Makes a column as long, if it is shorter.
fn grow<T: Copy + Default>(column: &mut Vec<T>, len: usize) -> Result<(), OutOfMemory> {
    if column.len() < len {
        column.try_reserve(len - column.len())?;
        column.resize(len, T::default());
    }
    Ok(())
}

/// Copies the values at some places, of `W` bytes each.
fn pick<const W: usize>(values: &mut [u8], places: &[u32], new: &[u8], old: &[u8]) {
    let (new, old) = (new.as_chunks::<W>().0, old.as_chunks::<W>().0);
    for (value, place) in values.as_chunks_mut::<W>().0.iter_mut().zip(places) {
        let from = if place & NEWER == 0 { old } else { new };
        *value = from[(place & !NEWER) as usize];
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entry::ValueRef;
    use crate::testing::rng::Rng;
    use std::collections::BTreeMap;

    type Model = BTreeMap<u64, (Option<Vec<u8>>, Below)>;

    fn columns(model: &Model, width: usize) -> Columns {
        let mut columns = Columns::new(width);
        columns.reserve(model.len()).expect("memory for a test");
        for (key, (value, below)) in model {
            columns.push(
                *key,
                match value {
                    Some(value) => Entry::value(ValueRef::Inline(value), *below),
                    None => Entry::tombstone(*below),
                },
            );
        }
        columns
    }

    fn take_all(columns: &mut Columns, into: &mut Model) {
        assert!(columns.ascend(into.last_key_value().map(|(key, _)| *key)));
        let values = columns.left_values();
        for (i, (key, flags)) in columns.left_keys().iter().zip(columns.left_flags()).enumerate() {
            let value = &values[i * columns.width()..(i + 1) * columns.width()];
            let is_tombstone = flags & TOMBSTONE != 0;
            assert!(!is_tombstone || value.iter().all(|byte| *byte == 0));
            let below = if flags & LIVE_BELOW == 0 { Below::Absent } else { Below::Live };
            into.insert(*key, ((!is_tombstone).then(|| value.to_vec()), below));
        }
        columns.take(columns.len());
    }

    /// What columns of both make, woven until one of them has none left, and what is kept of the other.
    fn woven(old: &Model, new: &Model, width: usize, kept: impl Fn(u8) -> bool) -> Model {
        let (mut older, mut newer) = (columns(old, width), columns(new, width));
        let (mut woven, mut made) = (Columns::new(width), Model::new());
        while older.len() > 0 && newer.len() > 0 {
            woven.weave(&mut newer, &mut older, &kept).expect("memory for a test");
            take_all(&mut woven, &mut made);
        }
        for rest in [&mut older, &mut newer] {
            rest.retain(&kept);
            take_all(rest, &mut made);
        }
        made
    }

    #[test]
    fn woven_columns_are_what_a_map_makes_of_their_entries() {
        let mut rng = Rng::new(23);
        for round in 0..300 {
            let width = [0, 1, 4, 8, 16, 20][round % 6];
            let keys = [3, 40, 5_000][rng.below(3)];
            let mut model = |count: usize| -> Model {
                (0..rng.below(count))
                    .map(|_| {
                        let below = if rng.below(3) == 0 { Below::Live } else { Below::Absent };
                        let key = match rng.below(50) {
                            0 => 0,
                            1 => u64::MAX,
                            _ => rng.below(keys) as u64,
                        };
                        (key, ((rng.below(4) > 0).then(|| rng.bytes(width)), below))
                    })
                    .collect()
            };
            let (old, new) = (model(300), model(100));
            let keeps_all = round % 2 == 0;
            let kept = |flags: u8| flags & TOMBSTONE == 0 || keeps_all && flags & LIVE_BELOW != 0;
            let made = woven(&old, &new, width, kept);
            let mut expected = old.clone();
            for (key, (value, below)) in new {
                let below = old.get(&key).map_or(below, |(_, below)| *below);
                expected.insert(key, (value, below));
            }
            expected
                .retain(|_, (value, below)| value.is_some() || keeps_all && *below == Below::Live);
            assert_eq!(made, expected);
        }
    }

    #[test]
    fn few_entries_are_woven_into_many_that_all_stay() {
        let mut rng = Rng::new(47);
        for round in 0..2_000 {
            let width = [4, 8, 16, 5][round % 4];
            let keys = [30, 300, 5_000][rng.below(3)];
            let mut model = |count: usize, tombstones: bool| -> Model {
                (0..rng.below(count))
                    .map(|_| {
                        let key = match rng.below(60) {
                            0 => 0,
                            1 => u64::MAX,
                            _ => rng.below(keys) as u64,
                        };
                        let is_live = !tombstones || rng.below(3) > 0;
                        (key, (is_live.then(|| rng.bytes(width)), Below::Absent))
                    })
                    .collect()
            };
            let (old, new) = (model(200, false), model(40, true));
            let kept = |flags: u8| flags & TOMBSTONE == 0;
            let made = woven(&old, &new, width, kept);
            let mut expected = old;
            expected.extend(new);
            expected.retain(|_, (value, _)| value.is_some());
            assert_eq!(made, expected, "{round}");
        }
    }

    #[test]
    fn keys_that_do_not_ascend_are_told() {
        for (keys, before, ascend) in [
            (&[][..], Some(u64::MAX), true),
            (&[1, 2, 9], None, true),
            (&[1, 2, 9], Some(0), true),
            (&[1, 2, 9], Some(1), false),
            (&[1, 1, 9], None, false),
            (&[1, 3, 2], None, false),
        ] {
            let mut columns = Columns::new(0);
            let read = |all: &mut Vec<u64>, _: &mut Vec<u8>, flags: &mut Vec<u8>| {
                all.extend(keys);
                flags.resize(keys.len(), 0);
                Ok::<(), OutOfMemory>(())
            };
            columns.replace(read).expect("memory for a test");
            assert_eq!(columns.ascend(before), ascend, "{keys:?} {before:?}");
        }
    }
}
