//! A partition as it was at one moment, read without a lock.

use super::layers::Layers;
use crate::art::{ArtCursor, Pin, Tree};
use crate::batch::{Batch, Lent};
use crate::cursor::Cursor;
use crate::entry::{Entry, ValueBuf, ValueRef};
use crate::error::Corruption;
use crate::merge::{Live, Merge};
use crate::range::Direction;
use crate::segment::{Segment, SegmentCursor};
use crate::sync::Arc;

/// A pin of the delta, and the layers below it.
#[derive(Clone)]
pub(crate) struct Pinned {
    delta: Option<Pin>,
    layers: Option<Arc<Layers>>,
}

impl Pinned {
    pub(super) fn new(delta: Option<Pin>, layers: Option<Arc<Layers>>) -> Self {
        Self { delta, layers }
    }

    /// The live value of `key`. `buf` is where it goes, if it has to be unpacked.
    pub(crate) fn get<'a>(
        &'a self,
        key: &[u8],
        buf: &'a ValueBuf,
    ) -> Result<Option<ValueRef<'a>>, Corruption> {
        let in_delta = self.delta.as_ref().and_then(|delta| delta.get(key));
        let found = match (in_delta, &self.layers) {
            (Some(entry), _) => Some(entry),
            (None, Some(layers)) => layers.find(key, &mut None, buf)?,
            (None, None) => None,
        };
        Ok(found.filter(|entry| entry.live().is_some()).map(|entry| entry.value))
    }

    /// Asks for the memory that a search for `key` in the segments waits for first.
    pub(crate) fn ask(&self, key: &[u8]) {
        self.segments().for_each(|segment| segment.ask_for_bound(key));
    }

    /// Calls `f` with the first key at or above `key`, and its value; whether there is one.
    pub(crate) fn lower_bound(
        &self,
        key: &[u8],
        f: impl FnOnce(&[u8], &[u8]),
    ) -> Result<bool, Corruption> {
        let mut cursor = self.cursor();
        cursor.seek(key);
        cursor.status()?;
        if cursor.valid() {
            f(cursor.key(), cursor.entry().value.as_slice());
        }
        Ok(cursor.valid())
    }

    /// The base, if that is all there is.
    pub(crate) fn base(&self) -> Option<&Arc<Segment>> {
        self.layers.as_ref().filter(|_| self.is_base_only())?.base.as_ref()
    }

    /// Whether all there is, if anything, is a base.
    pub(crate) fn is_base_only(&self) -> bool {
        self.delta.is_none() && self.layers.as_deref().is_none_or(Layers::is_base_only)
    }

    /// Overlay and base, as far as there are any.
    pub(crate) fn segments(&self) -> impl Iterator<Item = &Arc<Segment>> + Clone {
        self.layers.iter().flat_map(|layers| layers.segments())
    }

    /// The layers below the delta.
    pub(crate) fn layers(&self) -> Option<&Layers> {
        self.layers.as_deref()
    }

    /// Whether there is nothing in it, not even a tombstone.
    pub(crate) fn is_blank(&self) -> bool {
        self.delta.is_none() && self.layers.is_none()
    }

    /// A cursor over the live entries.
    #[inline]
    pub(crate) fn cursor(&self) -> LiveCursor {
        match self.base() {
            Some(base) => LiveCursor::over(Arc::clone(base)),
            None => self.merged(),
        }
    }

    /// The same over any layers.
    #[inline(never)]
    fn merged(&self) -> LiveCursor {
        let layers = self.layers.as_ref().map_or(0, |layers| layers.count());
        let mut children = Vec::with_capacity(usize::from(self.delta.is_some()) + layers);
        children.extend(self.delta.clone().map(|pin| LayerCursor::Delta(ArtCursor::new(pin))));
        if let Some(layers) = &self.layers {
            children.extend(layers.cursors(Depth::All));
        }
        LiveCursor::Merged(Live::new(Merge::new(children)))
    }
}

/// A cursor over the live entries of a partition.
pub(crate) enum LiveCursor {
    /// There is nothing but a base.
    Base(Live<SegmentCursor<Arc<Segment>>>),
    Merged(Live<Merge<LayerCursor>>),
}

impl LiveCursor {
    /// A cursor over a base.
    #[inline]
    pub(super) fn over(base: Arc<Segment>) -> Self {
        Self::Base(Live::new(SegmentCursor::new(base)))
    }
}

impl LiveCursor {
    /// Copies entries that come next in this direction and are in a range, as [`SegmentCursor::copy_next`] and
    /// [`Merge::copy_next`] do.
    #[inline]
    pub(crate) fn copy_next(
        &mut self,
        direction: Direction,
        batch: &mut Batch,
        is_in: impl Fn(&[u8]) -> bool,
    ) -> Option<Result<bool, Corruption>> {
        match self {
            Self::Base(base) => base.inner().copy_next(direction, batch, is_in),
            Self::Merged(merged) => {
                merged.inner().copy_next(direction, batch, |oldest, batch| match oldest {
                    LayerCursor::Segment(base) => base.copy_next(direction, batch, is_in),
                    LayerCursor::Delta(_) | LayerCursor::Frozen(_) => None,
                })
            }
        }
    }
}

/// How far down a cursor over layers reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Depth {
    /// The frozen delta alone.
    Delta,
    /// Frozen delta and overlay: what a fold into an overlay reads.
    Overlay,
    /// The base too.
    All,
}

impl Layers {
    /// A cursor for each layer, newest first.
    fn cursors(&self, depth: Depth) -> impl Iterator<Item = LayerCursor> {
        let frozen = self.frozen.as_ref().map(|frozen| Arc::clone(&frozen.tree));
        let base = self.base.clone().filter(|_| depth == Depth::All);
        let overlay = self.overlay().cloned().filter(|_| depth != Depth::Delta);
        let segments = overlay.into_iter().chain(base);
        let frozen = frozen.map(|tree| LayerCursor::Frozen(ArtCursor::new(tree)));
        let segments = segments.map(|segment| LayerCursor::Segment(SegmentCursor::new(segment)));
        frozen.into_iter().chain(segments)
    }

    /// All entries of these layers in one walk, tombstones included.
    pub(crate) fn merged(&self, depth: Depth) -> Merge<LayerCursor> {
        Merge::new(self.cursors(depth).collect())
    }
}

/// A cursor over one layer of any kind.
pub(crate) enum LayerCursor {
    Delta(ArtCursor<Pin>),
    Frozen(ArtCursor<Arc<Tree>>),
    Segment(SegmentCursor<Arc<Segment>>),
}

/// Calls a method of whichever cursor it is, of those of this type.
macro_rules! each {
    ($cursor:expr, $type:ident: $($kind:ident)|+, $inner:ident => $call:expr) => {
        match $cursor {
            $($type::$kind($inner) => $call,)+
        }
    };
}

/// Has an enum of cursors move and lend as the one that it is.
macro_rules! either {
    ($type:ident: $($kind:ident)|+) => {
        impl Cursor for $type {
            fn first(&mut self) {
                each!(self, $type: $($kind)|+, inner => inner.first());
            }

            fn last(&mut self) {
                each!(self, $type: $($kind)|+, inner => inner.last());
            }

            fn seek(&mut self, key: &[u8]) {
                each!(self, $type: $($kind)|+, inner => inner.seek(key));
            }

            fn seek_for_prev(&mut self, key: &[u8]) {
                each!(self, $type: $($kind)|+, inner => inner.seek_for_prev(key));
            }

            #[inline]
            fn next(&mut self) {
                each!(self, $type: $($kind)|+, inner => inner.next());
            }

            #[inline]
            fn prev(&mut self) {
                each!(self, $type: $($kind)|+, inner => inner.prev());
            }

            #[inline]
            fn valid(&self) -> bool {
                each!(self, $type: $($kind)|+, inner => inner.valid())
            }

            #[inline]
            fn key(&self) -> &[u8] {
                each!(self, $type: $($kind)|+, inner => inner.key())
            }

            #[inline]
            fn entry(&self) -> Entry<'_> {
                each!(self, $type: $($kind)|+, inner => inner.entry())
            }

            #[inline]
            fn is_tombstone(&self) -> bool {
                each!(self, $type: $($kind)|+, inner => inner.is_tombstone())
            }

            fn status(&self) -> Result<(), Corruption> {
                each!(self, $type: $($kind)|+, inner => inner.status())
            }

            fn lend(&self, direction: Direction) -> Option<Lent<'_>> {
                each!(self, $type: $($kind)|+, inner => inner.lend(direction))
            }

            fn pass(&mut self, direction: Direction, count: usize) {
                each!(self, $type: $($kind)|+, inner => inner.pass(direction, count));
            }
        }
    };
}

either!(LiveCursor: Base | Merged);
either!(LayerCursor: Delta | Frozen | Segment);
