//! Several sorted layers walked as one: newest wins.
//!
//! The merged entry of a key has the kind and value of the newest layer that has the key, and the
//! `below` of the *oldest* one: what the merged layers together hide or add is what their oldest
//! entry found below. So a merge of layers is again a layer, with the right weights.

use crate::batch::Lent;
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
    use crate::testing::conformance::{SortedLayer, check_layer};
    use crate::testing::keys;
    use crate::testing::vec_layer::{VecCursor, VecLayer};

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

    #[test]
    fn a_merge_of_three_layers_conforms() {
        check_layer::<Merged>();
    }
}
