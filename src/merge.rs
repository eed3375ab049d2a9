//! Several sorted layers walked as one: newest wins.
//!
//! The merged entry of a key has the kind and value of the newest layer that has the key, and the
//! `below` of the *oldest* one: what the merged layers together hide or add is what their oldest
//! entry found below. So a merge of layers is again a layer, with the right weights.

use crate::batch::{Batch, Lent};
use crate::bytes::number_of;
use crate::cursor::Cursor;
use crate::entry::Entry;
use crate::error::Corruption;
use crate::planted::{Bug, planted};
use crate::range::Direction;
use std::cmp::Ordering;

/// A cursor over the union of its children, which are given newest first.
pub(crate) struct Merge<C> {
    children: Vec<C>,
    /// The newest and the oldest child that stand on the current key.
    current: Option<(usize, usize)>,
    /// The child that stands on the key that is nearest to the current one, if others stand
    /// elsewhere: as long as the current child has nearer keys, nobody else is looked at.
    runner_up: Option<usize>,
    /// Forward: all children stand at or after the current key; backward: at or before it.
    direction: Direction,
    /// The current key, while children are being moved away from it.
    scratch: Vec<u8>,
}

impl<C: Cursor> Merge<C> {
    /// Merges `children`, newest first.
    pub(crate) fn new(children: Vec<C>) -> Self {
        Self {
            children,
            current: None,
            runner_up: None,
            direction: Direction::Forward,
            scratch: Vec::new(),
        }
    }

    fn start(&mut self, direction: Direction, mut place: impl FnMut(&mut C)) {
        self.direction = direction;
        self.children.iter_mut().for_each(&mut place);
        self.settle();
    }

    /// Finds the nearest key among the children, and the one after it.
    fn settle(&mut self) {
        self.current = None;
        self.runner_up = None;
        if self.children.iter().any(|child| child.status().is_err()) {
            return;
        }
        for (i, child) in self.children.iter().enumerate() {
            if !child.valid() {
                continue;
            }
            let Some((newest, oldest)) = self.current else {
                self.current = Some((i, i));
                continue;
            };
            self.current = match self.order(child, &self.children[newest]) {
                Ordering::Equal if planted(Bug::MergePrefersOlder) => Some((i, i)),
                Ordering::Equal => Some((newest, i)),
                Ordering::Less => {
                    self.runner_up = Some(newest);
                    Some((i, i))
                }
                Ordering::Greater => {
                    if self.runner_up.is_none_or(|other| {
                        self.order(child, &self.children[other]) == Ordering::Less
                    }) {
                        self.runner_up = Some(i);
                    }
                    Some((newest, oldest))
                }
            };
        }
    }

    /// Less if `a` stands on the nearer key.
    #[inline]
    fn order(&self, a: &C, b: &C) -> Ordering {
        order(self.direction, a.key(), b.key())
    }

    #[inline]
    fn step(&mut self, direction: Direction) {
        let Some((newest, oldest)) = self.current else { return };
        // All others are where they must be, unless the direction turns.
        let turns = self.direction != direction && self.children.len() > 1;
        if newest != oldest || turns {
            return self.step_all(newest, direction);
        }
        self.direction = direction;
        let child = &mut self.children[newest];
        match direction {
            Direction::Forward => child.next(),
            Direction::Backward => child.prev(),
        }
        let child = &self.children[newest];
        let is_nearest = child.valid()
            && self
                .runner_up
                .is_none_or(|other| self.order(child, &self.children[other]) == Ordering::Less);
        if !is_nearest {
            self.settle();
        }
    }

    /// As [`step`](Self::step), away from the key that `newest` stands on.
    fn step_all(&mut self, newest: usize, direction: Direction) {
        self.scratch.clear();
        self.scratch.extend_from_slice(self.children[newest].key());
        let turns = self.direction != direction;
        for (i, child) in self.children.iter_mut().enumerate() {
            if turns && i != newest {
                match direction {
                    Direction::Forward => child.seek(&self.scratch),
                    Direction::Backward => child.seek_for_prev(&self.scratch),
                }
            }
            if child.valid() && child.key() == self.scratch {
                match direction {
                    Direction::Forward => child.next(),
                    Direction::Backward => child.prev(),
                }
            }
        }
        self.direction = direction;
        self.settle();
    }
}

impl<C: Cursor> Merge<C> {
    /// Copies entries that come next in this direction: those that `copy` takes from the oldest child, which then
    /// stands on the last of them, with what newer ones have up to there. Stands then on the last of all of these,
    /// perhaps a hidden one, behind which comes what was not copied; whether there are copies. `None` if there is no
    /// short way to those that come next: then it stands where it stood, or behind some that are all hidden.
    ///
    /// What a step takes through all layers is so taken for entries of newer ones alone. Where these are many, a copy
    /// ends at one of them, and steps are as good.
    pub(crate) fn copy_next(
        &mut self,
        direction: Direction,
        batch: &mut Batch,
        copy: impl FnOnce(&mut C, &mut Batch) -> Option<Result<bool, Corruption>>,
    ) -> Option<Result<bool, Corruption>> {
        let Self { children, current, runner_up, scratch, .. } = self;
        let (oldest, newer) = children.split_last_mut()?;
        // The others are where they must be for this direction only.
        if *current != Some((newer.len(), newer.len())) || self.direction != direction {
            return None;
        }
        match copy(oldest, batch)? {
            Ok(true) => {}
            // Newer ones may have some before that.
            Ok(false) => return None,
            Err(corruption) => return Some(Err(corruption)),
        }
        let shape = batch.shape();
        let (mut room, mut taken) = (shape.room(), None);
        while let Some(at) = runner_up.filter(|_| !planted(Bug::MergeCopiesBeyond))
            && let key = newer[at].key()
            && order(direction, oldest.key(), key) != Ordering::Less
        {
            let put = match room {
                0 => None,
                _ => batch.put(direction, shape, key, newer[at].entry().live()),
            };
            let Some(is_in_place) = put else {
                // The oldest one goes back to what it has before that, by as many entries as were copied in vain: a
                // search might find any other place in a file that was made to deceive.
                let dropped = batch.keep_while(direction, shape, |other| {
                    order(direction, other, key) == Ordering::Less
                });
                oldest.pass(direction.opposite(), dropped);
                if let Err(corruption) = oldest.status().and_then(|()| self.bound_by(taken)) {
                    return Some(Err(corruption));
                }
                break;
            };
            (room, taken) = (room - usize::from(!is_in_place), Some(at));
            scratch.clear();
            scratch.extend_from_slice(key);
            // Of older ones that stand there too, nothing is seen.
            let (newest, older) = newer[at..].split_first_mut()?;
            for child in older.iter_mut().filter(|child| child.valid()) {
                if child.key() == newest.key() {
                    step(child, direction);
                }
            }
            step(newest, direction);
            if newer.iter().any(|child| child.status().is_err()) {
                // It is met where it is, by a step from here.
                batch.keep_while(direction, shape, |other| {
                    order(direction, other, scratch) != Ordering::Greater
                });
                batch.rest();
                let key = std::mem::take(scratch);
                self.start(direction, |child| seek(child, direction, &key));
                if self.valid() && self.key() != key {
                    return Some(Err(Corruption::new("keys", 0, FINDS)));
                }
                break;
            }
            *runner_up = nearest(direction, newer, None);
        }
        (!batch.is_empty(direction)).then_some(Ok(true))
    }

    /// Stands on the newer entry that was taken last, by this child, where the oldest one stands before it: whoever
    /// comes from the other end has to stop there.
    fn bound_by(&mut self, taken: Option<usize>) -> Result<(), Corruption> {
        let Some((taken, oldest)) = taken.zip(self.children.len().checked_sub(1)) else {
            return Ok(());
        };
        let Self { children, direction, scratch, .. } = self;
        if order(*direction, children[oldest].key(), scratch) != Ordering::Less {
            return Ok(());
        }
        step(&mut children[oldest], *direction);
        seek(&mut children[taken], *direction, scratch);
        self.status()?;
        let arrived = &self.children[taken];
        if !arrived.valid() || arrived.key() != self.scratch {
            return Err(Corruption::new("keys", 0, FINDS));
        }
        self.current = Some((taken, taken));
        self.runner_up = nearest(self.direction, &self.children, Some(taken));
        Ok(())
    }
}

/// What a file does not keep that was made to deceive.
pub(crate) const FINDS: &str = "a search for a key that is there finds it";

/// One step of a cursor in this direction.
#[inline]
fn step(cursor: &mut impl Cursor, direction: Direction) {
    match direction {
        Direction::Forward => cursor.next(),
        Direction::Backward => cursor.prev(),
    }
}

/// Moves to the nearest key in this direction from this one on.
fn seek(cursor: &mut impl Cursor, direction: Direction, key: &[u8]) {
    match direction {
        Direction::Forward => cursor.seek(key),
        Direction::Backward => cursor.seek_for_prev(key),
    }
}

/// The newest of the children, but for one, that stand on the nearest key.
fn nearest<C: Cursor>(direction: Direction, children: &[C], but: Option<usize>) -> Option<usize> {
    let valid = (0..children.len()).filter(|i| Some(*i) != but && children[*i].valid());
    valid.min_by(|a, b| order(direction, children[*a].key(), children[*b].key()))
}

impl<C: Cursor> Cursor for Merge<C> {
    fn first(&mut self) {
        self.start(Direction::Forward, C::first);
    }

    fn last(&mut self) {
        self.start(Direction::Backward, C::last);
    }

    fn seek(&mut self, key: &[u8]) {
        self.start(Direction::Forward, |child| child.seek(key));
    }

    fn seek_for_prev(&mut self, key: &[u8]) {
        self.start(Direction::Backward, |child| child.seek_for_prev(key));
    }

    #[inline]
    fn next(&mut self) {
        self.step(Direction::Forward);
    }

    #[inline]
    fn prev(&mut self) {
        self.step(Direction::Backward);
    }

    #[inline]
    fn valid(&self) -> bool {
        self.current.is_some()
    }

    #[inline]
    fn key(&self) -> &[u8] {
        self.current.map_or(&[], |(newest, _)| self.children[newest].key())
    }

    #[inline]
    fn entry(&self) -> Entry<'_> {
        let (newest, oldest) = self.current.expect("a cursor without a position has no entry");
        let mut entry = self.children[newest].entry();
        if oldest != newest {
            entry.below = self.children[oldest].entry().below;
        }
        entry
    }

    #[inline]
    fn is_tombstone(&self) -> bool {
        self.current.is_some_and(|(newest, _)| self.children[newest].is_tombstone())
    }

    fn status(&self) -> Result<(), Corruption> {
        self.children.iter().try_for_each(Cursor::status)
    }

    fn lend(&self, direction: Direction) -> Option<Lent<'_>> {
        let (newest, oldest) = self.current?;
        // The others are where they must be for this direction only.
        if newest != oldest || (direction != self.direction && self.children.len() > 1) {
            return None;
        }
        let lent = self.children[newest].lend(direction)?;
        let Some(other) = self.runner_up.filter(|_| !planted(Bug::MergeLendsBeyond)) else {
            return Some(lent);
        };
        let bound = self.children[other].key();
        Some(lent.keep_before(direction, bound))
    }

    fn pass(&mut self, direction: Direction, count: usize) {
        if let Some((newest, _)) = self.current {
            self.children[newest].pass(direction, count);
        }
    }
}

/// Less if `a` is nearer to where a walk in this direction starts.
#[inline]
fn order(direction: Direction, a: &[u8], b: &[u8]) -> Ordering {
    // Most numbers have eight bytes, which need no call.
    let ascending = match (a.try_into(), b.try_into()) {
        (Ok(a), Ok(b)) => number_of(a).cmp(&number_of(b)),
        _ => a.cmp(b),
    };
    match direction {
        Direction::Forward => ascending,
        Direction::Backward => ascending.reverse(),
    }
}

/// A cursor that passes over tombstones.
pub(crate) struct Live<C> {
    inner: C,
}

impl<C: Cursor> Live<C> {
    /// The live entries of `inner`.
    pub(crate) fn new(inner: C) -> Self {
        Self { inner }
    }

    /// All entries, tombstones included.
    pub(crate) fn inner(&mut self) -> &mut C {
        &mut self.inner
    }

    #[inline]
    fn skip(&mut self, mut advance: impl FnMut(&mut C)) {
        while self.inner.valid() && self.inner.is_tombstone() {
            advance(&mut self.inner);
        }
    }
}

impl<C: Cursor> Cursor for Live<C> {
    fn first(&mut self) {
        self.inner.first();
        self.skip(C::next);
    }

    fn last(&mut self) {
        self.inner.last();
        self.skip(C::prev);
    }

    fn seek(&mut self, key: &[u8]) {
        self.inner.seek(key);
        self.skip(C::next);
    }

    fn seek_for_prev(&mut self, key: &[u8]) {
        self.inner.seek_for_prev(key);
        self.skip(C::prev);
    }

    #[inline]
    fn next(&mut self) {
        self.inner.next();
        self.skip(C::next);
    }

    #[inline]
    fn prev(&mut self) {
        self.inner.prev();
        self.skip(C::prev);
    }

    #[inline]
    fn valid(&self) -> bool {
        self.inner.valid()
    }

    #[inline]
    fn key(&self) -> &[u8] {
        self.inner.key()
    }

    #[inline]
    fn entry(&self) -> Entry<'_> {
        self.inner.entry()
    }

    fn status(&self) -> Result<(), Corruption> {
        self.inner.status()
    }

    fn lend(&self, direction: Direction) -> Option<Lent<'_>> {
        self.inner.lend(direction)
    }

    fn pass(&mut self, direction: Direction, count: usize) {
        self.inner.pass(direction, count);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::{LentKeys, LentValues, Widths};
    use crate::entry::{Below, EntryKind, ValueRef};
    use crate::testing::conformance::{SortedLayer, check_layer};
    use crate::testing::keys;
    use crate::testing::rng::Rng;
    use crate::testing::vec_layer::{VecCursor, VecLayer};
    use std::collections::BTreeMap;

    /// A model dealt out to three layers, of which the older ones also have stale values.
    struct Merged(Vec<VecLayer>, u64);

    impl SortedLayer for Merged {
        type Cursor<'a> = Merge<VecCursor<'a>>;

        fn build(model: &keys::Model) -> Self {
            let mut layers = [keys::Model::new(), keys::Model::new(), keys::Model::new()];
            for (i, (key, value)) in model.iter().enumerate() {
                let newest = i % 3;
                layers[newest].insert(key.clone(), value.clone());
                for older in &mut layers[newest + 1..] {
                    if i % 2 == 0 {
                        older.insert(key.clone(), vec![0xee; 8]);
                    }
                }
            }
            let len = model.len() as u64;
            Self(layers.iter().map(VecLayer::build).collect(), len)
        }

        fn get(&self, key: &[u8]) -> Option<Vec<u8>> {
            self.0.iter().find_map(|layer| layer.get(key))
        }

        fn cursor(&self) -> Self::Cursor<'_> {
            Merge::new(self.0.iter().map(SortedLayer::cursor).collect())
        }

        fn len(&self) -> u64 {
            self.1
        }
    }

    /// Entries, tombstones among them, the first of which that is damaged ends all walks that come to it.
    #[derive(Clone)]
    struct Dealt<'a> {
        entries: &'a [(Vec<u8>, Option<Vec<u8>>)],
        damaged: Option<usize>,
        at: Option<usize>,
        status: Result<(), Corruption>,
    }

    impl Dealt<'_> {
        fn stand(&mut self, at: Option<usize>) {
            self.at = at.filter(|at| *at < self.entries.len());
            self.status = Ok(());
            if self.at.is_some() && self.at == self.damaged {
                self.at = None;
                self.status = Err(Corruption::new("entries", 0, "they are sound"));
            }
        }
    }

    impl Cursor for Dealt<'_> {
        fn first(&mut self) {
            self.stand(Some(0));
        }

        fn last(&mut self) {
            self.stand(self.entries.len().checked_sub(1));
        }

        fn seek(&mut self, key: &[u8]) {
            self.stand(Some(self.entries.partition_point(|entry| &entry.0[..] < key)));
        }

        fn seek_for_prev(&mut self, key: &[u8]) {
            self.stand(self.entries.partition_point(|entry| &entry.0[..] <= key).checked_sub(1));
        }

        fn next(&mut self) {
            self.stand(self.at.map(|at| at + 1));
        }

        fn prev(&mut self) {
            self.stand(self.at.and_then(|at| at.checked_sub(1)));
        }

        fn valid(&self) -> bool {
            self.at.is_some()
        }

        fn key(&self) -> &[u8] {
            &self.entries[self.at.expect("a position")].0
        }

        fn entry(&self) -> Entry<'_> {
            let value = &self.entries[self.at.expect("a position")].1;
            let kind = if value.is_some() { EntryKind::Value } else { EntryKind::Tombstone };
            let value = ValueRef::Inline(value.as_deref().unwrap_or_default());
            Entry { kind, below: Below::Absent, value }
        }

        fn status(&self) -> Result<(), Corruption> {
            self.status
        }
    }

    /// What a cursor has behind the entry that it stands on: up to so many, none of which is damaged.
    fn copy(
        base: &mut Dealt<'_>,
        direction: Direction,
        batch: &mut Batch,
        most: usize,
    ) -> Option<Result<bool, Corruption>> {
        let at = base.at?;
        let (range, last) = match direction {
            Direction::Forward => {
                let end = base.entries.len().min(at + 1 + most);
                (at + 1..end, end.checked_sub(1)?)
            }
            Direction::Backward => (at.saturating_sub(most)..at, at.saturating_sub(most)),
        };
        let entries = &base.entries[range];
        let bytes: Vec<u8> = entries.iter().flat_map(|entry| &entry.0).copied().collect();
        let mut end = 0;
        let ends = entries.iter().map(|(key, _)| {
            end += key.len() as u32;
            end
        });
        let ends: Vec<u32> = ends.collect();
        let is_fixed = entries.iter().all(|entry| entry.0.len() == 9);
        let keys = match &entries.first()?.0 {
            key if is_fixed => LentKeys::Fixed(&bytes, key.len()),
            _ => LentKeys::Strings(&bytes, 0, &ends),
        };
        let values: Vec<u8> =
            entries.iter().filter_map(|entry| entry.1.clone()).flatten().collect();
        let lent = Lent::new(keys, LentValues::Bytes(&values), 2);
        batch.fill(Some(lent), direction)?;
        base.stand(Some(last));
        Some(Ok(true))
    }

    #[test]
    fn copies_through_layers_show_what_steps_show() {
        let mut rng = Rng::new(31);
        let (mut copies, mut cuts, mut damages) = (0, 0, 0);
        for round in 0..4_000 {
            let mut model = keys::Model::new();
            let len = [9, 0][round % 2];
            let range = [20, 200, 3_000][rng.below(3)];
            let key = |rng: &mut Rng, others: usize| {
                let len = if len == 0 || rng.one_in(others) { rng.below(12) } else { len };
                let number = rng.below(range).to_string();
                format!("{number:0>len$}").into_bytes()
            };
            // Oldest first. In a base are no tombstones.
            let mut layers: Vec<Vec<_>> = vec![];
            for layer in 0..2 + rng.below(2) {
                let count = if layer == 0 { rng.below(80) } else { rng.below(60) };
                let mut entries = BTreeMap::new();
                for _ in 0..count {
                    let key = key(&mut rng, if layer == 0 { usize::MAX } else { 30 });
                    let value = (layer == 0 || !rng.one_in(3)).then(|| rng.bytes(2));
                    entries.insert(key, value);
                }
                for (key, value) in &entries {
                    match value {
                        Some(value) => model.insert(key.clone(), value.clone()),
                        None => model.remove(key),
                    };
                }
                layers.insert(0, entries.into_iter().collect());
            }
            let direction = [Direction::Forward, Direction::Backward][rng.below(2)];
            let damaged =
                (rng.one_in(3) && !layers[0].is_empty()).then(|| rng.below(layers[0].len()));
            let children = layers.iter().enumerate().map(|(i, entries)| Dealt {
                entries,
                damaged: damaged.filter(|_| i == 0),
                at: None,
                status: Ok(()),
            });
            let mut merged = Live::new(Merge::new(children.collect()));
            let mut batch = Batch::new(true);
            let mut found = vec![];
            match direction {
                Direction::Forward => merged.first(),
                Direction::Backward => merged.last(),
            }
            let most = [3, 10, 100][rng.below(3)];
            while merged.valid() {
                if batch.is_empty(direction) {
                    found.push((merged.key().to_vec(), merged.entry().value.as_slice().to_vec()));
                }
                while rng.below(4) > 0
                    && let Some(copied) =
                        merged.inner().copy_next(direction, &mut batch, |base, batch| {
                            copy(base, direction, batch, most)
                        })
                {
                    assert_eq!(copied, Ok(true));
                    copies += 1;
                    cuts += usize::from(!batch.is_of_use());
                    while let Some(i) = batch.advance(direction) {
                        let entry = |key: &[u8], value: &[u8]| (key.to_vec(), value.to_vec());
                        found.push(batch.with_entry(i, Widths::new(9, Some(2)), entry));
                    }
                    // Whoever comes from the other end finds all that were not yielded, and no others.
                    let (at, last) = (merged.key(), &found.last().expect("a copy").0);
                    assert_ne!(order(direction, at, last), Ordering::Less, "round {round}");
                    if damaged.is_none() {
                        let between =
                            model.keys().filter(|key| order(direction, key, last).is_gt());
                        assert!({ between }.all(|key| order(direction, key, at).is_gt()));
                    }
                }
                step(&mut merged, direction);
            }
            let mut expected: Vec<_> = model.into_iter().collect();
            if direction == Direction::Backward {
                expected.reverse();
            }
            if let Some(damaged) = damaged {
                // The step from the last entry of that layer before the damage ends the walk, no other does.
                let last = match direction {
                    Direction::Forward => damaged.checked_sub(1),
                    Direction::Backward => Some(damaged + 1),
                };
                let last = last.and_then(|last| layers[0].get(last));
                expected.retain(|(key, _)| {
                    last.is_some_and(|(last, _)| order(direction, key, last) != Ordering::Greater)
                });
                damages += usize::from(!expected.is_empty());
            }
            assert_eq!(found, expected, "round {round}, {direction:?}");
            assert_eq!(merged.status().is_ok(), damaged.is_none());
        }
        assert!(copies > 1_000 && cuts > 100 && damages > 100, "{copies} {cuts} {damages}");
    }

    #[test]
    fn a_copy_steps_over_a_bounded_number_of_newer_entries() {
        // All but those in the middle stand in the base, and these are all removed.
        let key = |number: usize| format!("{number:09}").into_bytes();
        let base: Vec<_> =
            (0..50).chain(9_950..10_000).map(|n| (key(n), Some(vec![1; 2]))).collect();
        for is_removed in [true, false] {
            let value = (!is_removed).then(|| vec![2; 2]);
            let newer: Vec<_> = (50..9_950).map(|n| (key(n), value.clone())).collect();
            let children = [&newer, &base].map(|entries| Dealt {
                entries,
                damaged: None,
                at: None,
                status: Ok(()),
            });
            for direction in [Direction::Forward, Direction::Backward] {
                let mut merged = Merge::new(children.to_vec());
                match direction {
                    Direction::Forward => merged.first(),
                    Direction::Backward => merged.last(),
                }
                let mut batch = Batch::new(true);
                let copied = merged.copy_next(direction, &mut batch, |base, batch| {
                    copy(base, direction, batch, base.entries.len())
                });
                assert_eq!(copied, Some(Ok(true)));
                let most = base.len() / 2;
                let at = merged.children[0].at.expect("it stands on one");
                let taken = match direction {
                    Direction::Forward => at,
                    Direction::Backward => newer.len() - 1 - at,
                };
                // It stands on the last that was taken, where nothing of the base is between.
                assert_eq!(taken, most - 1);
                assert_eq!(merged.current, Some((0, 0)));
                let left = std::iter::from_fn(|| batch.advance(direction)).count();
                assert_eq!(left, 49 + if is_removed { 0 } else { most });
            }
        }
    }

    #[test]
    fn a_merge_of_three_layers_conforms() {
        check_layer::<Merged>();
    }
}
