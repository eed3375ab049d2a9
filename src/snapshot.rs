//! A map as it was at one moment, read without a lock: one partition, or all of them.

use crate::batch::{Batch, Lent};
use crate::cursor::Cursor;
use crate::directory::Directory;
use crate::entry::Entry;
use crate::error::Corruption;
use crate::partition::{LiveCursor, Moment, Pinned};
use crate::range::Direction;
use crate::sync::Arc;

/// What a walk over a range sees.
#[derive(Clone)]
pub(crate) enum View {
    /// The partition that has the whole range, or that is the whole map.
    One(Pinned),
    /// All partitions, each pinned when the walk comes to it or a writer is about to change it.
    All(Arc<Directory>, Arc<Moment>),
}

impl View {
    /// Number of partitions.
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::One(_) => 1,
            Self::All(directory, _) => directory.len(),
        }
    }

    /// A partition as the view shows it, by its number.
    pub(crate) fn pinned(&self, at: usize) -> Pinned {
        match self {
            Self::One(pinned) => pinned.clone(),
            Self::All(directory, moment) => directory.partitions()[at].pin_for(moment),
        }
    }

    /// The least key that a partition can have, by its number.
    pub(crate) fn bound(&self, at: usize) -> &[u8] {
        match self {
            Self::One(_) => &[],
            Self::All(directory, _) => directory.bound(at),
        }
    }

    /// The number of the partition that has `key`, if any has it.
    fn position(&self, key: &[u8]) -> usize {
        match self {
            Self::One(_) => 0,
            Self::All(directory, _) => directory.position(key),
        }
    }

    /// A cursor over the live entries.
    pub(crate) fn cursor(&self) -> ViewCursor {
        ViewCursor::new(self.clone())
    }
}

/// A cursor over the live entries of a view: a cursor over one partition after the other.
pub(crate) struct ViewCursor {
    view: View,
    /// Number of the partition that `inner` is over.
    at: usize,
    inner: Option<LiveCursor>,
}

impl ViewCursor {
    /// A cursor over the live entries of a view, which it keeps.
    pub(crate) fn new(view: View) -> Self {
        Self { view, at: 0, inner: None }
    }

    /// The view.
    pub(crate) fn view(&self) -> &View {
        &self.view
    }

    /// The cursor over this partition.
    fn enter(&mut self, at: usize) -> &mut LiveCursor {
        if self.at != at {
            self.inner = None;
            self.at = at;
        }
        self.inner.get_or_insert_with(|| match &self.view {
            View::One(pinned) => pinned.cursor(),
            View::All(directory, moment) => directory.partitions()[at].cursor_for(moment),
        })
    }

    /// Copies entries that come next in this direction and are in a range, as [`LiveCursor::copy_next`].
    #[inline]
    pub(crate) fn copy_next(
        &mut self,
        direction: Direction,
        batch: &mut Batch,
        is_in: impl Fn(&[u8]) -> bool,
    ) -> Option<Result<bool, Corruption>> {
        self.inner.as_mut()?.copy_next(direction, batch, is_in)
    }

    /// Whether this partition is at its end, and another may have an entry.
    fn is_used_up(&self) -> bool {
        self.inner.as_ref().is_some_and(|inner| !inner.valid() && inner.status().is_ok())
    }

    /// On to the first entry of the next partitions that have any, if this one is at its end.
    fn go_on(&mut self) {
        while self.is_used_up() && self.at + 1 < self.view.len() {
            self.enter(self.at + 1).first();
        }
    }

    /// Back to the last entry of the partitions before that have any, if this one is at its end.
    fn go_back(&mut self) {
        while self.is_used_up() && self.at > 0 {
            self.enter(self.at - 1).last();
        }
    }
}

impl Cursor for ViewCursor {
    fn first(&mut self) {
        self.enter(0).first();
        self.go_on();
    }

    fn last(&mut self) {
        self.enter(self.view.len() - 1).last();
        self.go_back();
    }

    fn seek(&mut self, key: &[u8]) {
        self.enter(self.view.position(key)).seek(key);
        self.go_on();
    }

    fn seek_for_prev(&mut self, key: &[u8]) {
        self.enter(self.view.position(key)).seek_for_prev(key);
        self.go_back();
    }

    #[inline]
    fn next(&mut self) {
        if let Some(inner) = self.inner.as_mut().filter(|inner| inner.valid()) {
            inner.next();
            if !inner.valid() {
                self.go_on();
            }
        }
    }

    #[inline]
    fn prev(&mut self) {
        if let Some(inner) = self.inner.as_mut().filter(|inner| inner.valid()) {
            inner.prev();
            if !inner.valid() {
                self.go_back();
            }
        }
    }

    #[inline]
    fn valid(&self) -> bool {
        self.inner.as_ref().is_some_and(LiveCursor::valid)
    }

    #[inline]
    fn key(&self) -> &[u8] {
        self.inner.as_ref().map_or(&[], LiveCursor::key)
    }

    #[inline]
    fn entry(&self) -> Entry<'_> {
        let inner = self.inner.as_ref();
        inner.expect("a cursor's entry is read only where it stands on one").entry()
    }

    fn status(&self) -> Result<(), Corruption> {
        self.inner.as_ref().map_or(Ok(()), LiveCursor::status)
    }

    fn lend(&self, direction: Direction) -> Option<Lent<'_>> {
        self.inner.as_ref()?.lend(direction)
    }

    fn pass(&mut self, direction: Direction, count: usize) {
        if let Some(inner) = &mut self.inner {
            inner.pass(direction, count);
        }
    }
}
