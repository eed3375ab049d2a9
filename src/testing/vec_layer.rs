//! The simplest sorted layer, a vector, right or broken in one way: it tests the conformance suite.

use super::conformance::{Pair, SortedLayer, walk};
use super::keys::Model;
use crate::cursor::Cursor;
use crate::entry::{Below, Entry, ValueRef};
use crate::range::{ByteRange, Direction};
use std::cmp::Ordering;
use std::ops::Bound;

/// One way in which a layer can be wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// `seek` goes beyond a key that is there.
    SeekSkipsExact,
    /// `seek_for_prev` goes before a key that is there.
    SeekForPrevSkipsExact,
    /// `seek_for_prev` beyond the last key finds nothing.
    SeekForPrevLosesEnd,
    /// The first `prev` after a seek stays where it is.
    PrevAfterSeekStays,
    /// The first `next` after a `prev` stays where it is.
    TurningBackStays,
    /// `last` finds the last key but one.
    LastOffByOne,
    /// A new cursor stands on the first key.
    NewCursorHasPosition,
    /// `next` without a position goes to the first key.
    NextWrapsAround,
    /// Bytes above 7f sort below the others.
    SignedBytes,
    /// Keys count as equal if they share their first 1 KiB.
    LongKeysCutOff,
    /// `get` takes a longer key for one that is a prefix of it.
    GetIgnoresTail,
    /// Keys that start with ff are not shown.
    HighByteLost,
    /// The empty key is not shown.
    EmptyKeyLost,
    /// The cursor shows the value of the next key.
    ValueOfNeighbour,
    /// One entry too many is counted.
    LenOffByOne,
    /// A range holds its excluded upper bound.
    RangeEndIncluded,
    /// A backward walk misses the included lower bound.
    BackwardRangeLosesStart,
}

impl Fault {
    /// All of them.
    pub(crate) const ALL: [Self; 17] = [
        Self::SeekSkipsExact,
        Self::SeekForPrevSkipsExact,
        Self::SeekForPrevLosesEnd,
        Self::PrevAfterSeekStays,
        Self::TurningBackStays,
        Self::LastOffByOne,
        Self::NewCursorHasPosition,
        Self::NextWrapsAround,
        Self::SignedBytes,
        Self::LongKeysCutOff,
        Self::GetIgnoresTail,
        Self::HighByteLost,
        Self::EmptyKeyLost,
        Self::ValueOfNeighbour,
        Self::LenOffByOne,
        Self::RangeEndIncluded,
        Self::BackwardRangeLosesStart,
    ];
}

/// A sorted vector of entries.
pub(crate) struct VecLayer {
    entries: Vec<Pair>,
    fault: Option<Fault>,
}

impl VecLayer {
    /// A layer with this fault.
    pub(crate) fn broken(model: &Model, fault: Fault) -> Self {
        let shown = |key: &[u8]| match fault {
            Fault::HighByteLost => !key.starts_with(&[0xff]),
            Fault::EmptyKeyLost => !key.is_empty(),
            _ => true,
        };
        let entries = model.iter().filter(|(key, _)| shown(key));
        let entries = entries.map(|(key, value)| (key.clone(), value.clone())).collect();
        Self { entries, fault: Some(fault) }
    }

    fn compare(&self, a: &[u8], b: &[u8]) -> Ordering {
        match self.fault {
            Some(Fault::SignedBytes) => {
                let signed = |key: &[u8]| key.iter().map(|&byte| byte as i8).collect::<Vec<i8>>();
                signed(a).cmp(&signed(b))
            }
            Some(Fault::LongKeysCutOff) => a[..a.len().min(1024)].cmp(&b[..b.len().min(1024)]),
            _ => a.cmp(b),
        }
    }

    /// Position of `key`, or of the first key above it.
    fn search(&self, key: &[u8]) -> Result<usize, usize> {
        self.entries.binary_search_by(|(at, _)| self.compare(at, key))
    }
}

impl SortedLayer for VecLayer {
    type Cursor<'a> = VecCursor<'a>;

    fn build(model: &Model) -> Self {
        let entries = model.iter().map(|(key, value)| (key.clone(), value.clone()));
        Self { entries: entries.collect(), fault: None }
    }

    fn get(&self, key: &[u8]) -> Option<Vec<u8>> {
        let at = match self.search(key) {
            Ok(at) => at,
            Err(above) => {
                let below = above.checked_sub(1)?;
                let lax = self.fault == Some(Fault::GetIgnoresTail);
                if !(lax && key.starts_with(&self.entries[below].0)) {
                    return None;
                }
                below
            }
        };
        Some(self.entries[at].1.clone())
    }

    fn cursor(&self) -> VecCursor<'_> {
        let stands = self.fault == Some(Fault::NewCursorHasPosition) && !self.entries.is_empty();
        VecCursor { layer: self, at: stands.then_some(0), last_move: LastMove::Other }
    }

    fn len(&self) -> u64 {
        let surplus = self.fault == Some(Fault::LenOffByOne);
        self.entries.len() as u64 + u64::from(surplus)
    }

    fn range(&self, range: &ByteRange, direction: Direction, limit: usize) -> Vec<Pair> {
        let mut range = range.clone();
        match (self.fault, direction, &range) {
            (Some(Fault::RangeEndIncluded), _, ByteRange { upper: Bound::Excluded(key), .. }) => {
                range.upper = Bound::Included(key.clone());
            }
            (
                Some(Fault::BackwardRangeLosesStart),
                Direction::Backward,
                ByteRange { lower: Bound::Included(key), .. },
            ) => range.lower = Bound::Excluded(key.clone()),
            _ => {}
        }
        walk(&mut self.cursor(), &range, direction, limit)
    }
}

/// What a cursor did last, as far as a fault depends on it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum LastMove {
    Seek,
    Prev,
    Other,
}

/// A position in a [`VecLayer`].
pub(crate) struct VecCursor<'a> {
    layer: &'a VecLayer,
    at: Option<usize>,
    last_move: LastMove,
}

impl VecCursor<'_> {
    fn has(&self, fault: Fault) -> bool {
        self.layer.fault == Some(fault)
    }

    /// Stands at `at` if there is such an entry.
    fn stand(&mut self, at: Option<usize>, after: LastMove) {
        self.at = at.filter(|&at| at < self.layer.entries.len());
        self.last_move = after;
    }
}

impl Cursor for VecCursor<'_> {
    fn first(&mut self) {
        self.stand(Some(0), LastMove::Other);
    }

    fn last(&mut self) {
        let from_end = 1 + usize::from(self.has(Fault::LastOffByOne));
        self.stand(self.layer.entries.len().checked_sub(from_end), LastMove::Other);
    }

    fn seek(&mut self, key: &[u8]) {
        let at = match self.layer.search(key) {
            Ok(at) => at + usize::from(self.has(Fault::SeekSkipsExact)),
            Err(above) => above,
        };
        self.stand(Some(at), LastMove::Seek);
    }

    fn seek_for_prev(&mut self, key: &[u8]) {
        let at = match self.layer.search(key) {
            Ok(at) => at.checked_sub(usize::from(self.has(Fault::SeekForPrevSkipsExact))),
            Err(above)
                if self.has(Fault::SeekForPrevLosesEnd) && above == self.layer.entries.len() =>
            {
                None
            }
            Err(above) => above.checked_sub(1),
        };
        self.stand(at, LastMove::Seek);
    }

    fn next(&mut self) {
        let at = match self.at {
            Some(at) if self.has(Fault::TurningBackStays) && self.last_move == LastMove::Prev => {
                Some(at)
            }
            Some(at) => Some(at + 1),
            None => self.has(Fault::NextWrapsAround).then_some(0),
        };
        self.stand(at, LastMove::Other);
    }

    fn prev(&mut self) {
        let stays = self.has(Fault::PrevAfterSeekStays) && self.last_move == LastMove::Seek;
        let at = self.at.and_then(|at| at.checked_sub(usize::from(!stays)));
        self.stand(at, LastMove::Prev);
    }

    fn valid(&self) -> bool {
        self.at.is_some()
    }

    fn key(&self) -> &[u8] {
        &self.layer.entries[self.at.expect("a position")].0
    }

    fn entry(&self) -> Entry<'_> {
        let entries = &self.layer.entries;
        let mut at = self.at.expect("a position");
        if self.has(Fault::ValueOfNeighbour) {
            at = (at + 1) % entries.len();
        }
        Entry::value(ValueRef::Inline(&entries[at].1), Below::Absent)
    }
}
