//! Gets of text that wait for memory together, where a segment is as most are: in front-coded blocks on
//! the heap, with short values and no tombstones.
//!
//! [`Lookup`](super::Lookup) does so for any segment. Here what follows from its kind is made once for a
//! key, and there are as many passes as waits: SCRATCHPAD.md section 3.4.

use super::format::Layout;
use super::front::{FrontHead, FrontSearch, Wanted};
use super::int::Near;
use super::soon::{Column, Soon};
use super::{Frame, KeyHead, Segment};

/// A get under way, or nothing yet.
pub(crate) struct TextSearch<'s, 'k> {
    /// What the search goes by.
    wanted: Wanted<'k>,
    /// The search, and what the value is read from.
    under_way: Option<(FrontSearch<'s>, Column<'s>)>,
}

/// What a get begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TextBegun {
    /// There are further steps.
    UnderWay,
    /// There is no entry.
    Absent,
    /// Nothing, nor whether the bytes are sound.
    Unknown,
}

impl Segment {
    /// Whether a [`TextSearch`] says something, unless bytes are damaged.
    #[inline]
    pub(crate) fn has_text(&self) -> bool {
        self.text().is_some()
    }

    /// Head, sections and values, if the segment is of that kind.
    #[inline]
    fn text(&self) -> Option<(FrontHead, &Layout, Column<'_>)> {
        let Frame::Known(known) = &self.frame else { return None };
        let (layout, KeyHead::Front(head)) = (&known.layout, &known.head) else { return None };
        let values = Column::new(self.image.bytes().open()?, layout)?;
        (!layout.has_tombstones()).then_some((*head, layout, values))
    }
}

impl<'s, 'k> TextSearch<'s, 'k> {
    /// Nothing yet.
    #[inline]
    pub(crate) fn none() -> Self {
        Self { wanted: Wanted::none(), under_way: None }
    }

    /// Makes this, which is nothing yet, a get of `key`, if the segment is of that kind, and goes as far as to ask
    /// for what tells its blocks apart. It is made where it stays, being too large to be handed around.
    #[inline]
    pub(crate) fn begin(&mut self, segment: &'s Segment, key: &'k [u8]) -> TextBegun {
        let Some((head, layout, values)) = segment.text() else { return TextBegun::Unknown };
        let search = FrontSearch::new(segment.front_keys(layout, head));
        let (search, _) = self.under_way.insert((search, values));
        match search.begin(key, &mut self.wanted) {
            Ok(true) => TextBegun::UnderWay,
            Ok(false) => TextBegun::Absent,
            Err(_) => TextBegun::Unknown,
        }
    }

    /// The second step: asks for the block and its values.
    #[inline]
    pub(crate) fn narrow(&mut self) {
        if let Some((search, values)) = &mut self.under_way {
            // Damage is met again in the next one, since it is still this one then.
            let _ = search.step(&self.wanted, |first| values.tell(first));
        }
    }

    /// The last one: the value as [`Soon`] has it, lowest byte first, and how many bytes of it count.
    #[inline]
    pub(crate) fn settle(&mut self) -> (Soon, usize) {
        let Some((search, values)) = &mut self.under_way else { return (Soon::Unknown, 0) };
        let soon = match search.step(&self.wanted, |_| ()) {
            Ok(Some(Ok(ordinal))) => values.get(ordinal),
            Ok(Some(Err(_))) => Soon::Absent,
            Ok(None) | Err(_) => Soon::Unknown,
        };
        (soon, values.width)
    }
}
