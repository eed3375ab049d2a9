//! What is below a delta: frozen delta, overlay and base, published together as one thing.

use super::Delta;
use crate::arena::prefetch_value;
use crate::art::Tree;
use crate::blocks::Blocks;
use crate::entry::{Below, Entry, ValueBuf};
use crate::error::Corruption;
use crate::filter::{Filter, KeyHash};
use crate::numbers::{GROUP, MAX_NUMBER};
use crate::segment::{Lookup, Ordinal, Segment, Soon, SoonPlace, SoonSearch};
use crate::stats::MemoryUsage;
use crate::sync::Arc;

/// Heap bytes of the counts of an `Arc`.
const COUNTS: usize = 2 * size_of::<usize>();

/// A delta that takes no more writes and waits to be folded.
pub(crate) struct Frozen {
    /// Its entries. Shared, so that a cursor can own it.
    pub(crate) tree: Arc<Tree>,
    filter: Option<Box<Filter>>,
}

/// The newer, smaller segment behind a filter; it may hold tombstones.
pub(crate) struct Overlay {
    segment: Arc<Segment>,
    /// Knows all its keys (I6).
    filter: Option<Filter>,
}

impl Frozen {
    #[inline]
    pub(super) fn filter(&self) -> Option<&Filter> {
        self.filter.as_deref()
    }
}

impl Overlay {
    #[inline]
    pub(super) fn filter(&self) -> Option<&Filter> {
        self.filter.as_ref()
    }

    /// Behind a filter that knows all its keys, or none.
    pub(crate) fn new(segment: Segment, filter: Option<Filter>) -> Self {
        Self { segment: Arc::new(segment), filter }
    }
}

/// A search of a base that was begun before anybody knows whether it will be needed.
pub(super) struct Begun<'l, 'k> {
    soon: Option<SoonSearch<'l>>,
    /// In steps, if it was begun so.
    steps: Lookup<'l, 'k>,
    has_steps: bool,
}

/// What a search has found.
#[derive(Clone, Copy)]
pub(super) enum FoundBelow<'l> {
    Nothing,
    Entry(Entry<'l>),
    /// A value of the base, which has been asked for: it will be there later.
    Later(Ordinal),
}

impl FoundBelow<'_> {
    /// Whether the key is live.
    #[inline]
    pub(super) fn below(&self) -> Below {
        match self {
            Self::Nothing => Below::Absent,
            Self::Entry(entry) if entry.live().is_none() => Below::Absent,
            Self::Entry(_) | Self::Later(_) => Below::Live,
        }
    }
}

impl Begun<'_, '_> {
    /// Nothing yet.
    #[inline]
    pub(super) fn none() -> Self {
        Self { soon: None, steps: Lookup::none(), has_steps: false }
    }

    /// Asks for what is read last, as far as that is known.
    #[inline]
    pub(super) fn hasten(&mut self) {
        match &self.soon {
            Some(search) => search.hasten(),
            None if self.has_steps => self.steps.hasten(),
            None => {}
        }
    }
}

/// One generation of the layers of a partition. Immutable.
#[derive(Clone, Default)]
pub(crate) struct Layers {
    /// The delta being folded.
    pub(crate) frozen: Option<Arc<Frozen>>,
    /// What is newer than the base, but for the frozen delta.
    pub(crate) overlay: Option<Arc<Overlay>>,
    /// The large segment; values only.
    pub(crate) base: Option<Arc<Segment>>,
    /// Live keys in all of them together.
    pub(crate) live: u64,
    /// What the entries of the base count for where partitions end, as it was when it was built;
    /// `None` if it is from a file, or not there.
    pub(crate) bulk: Option<u64>,
    /// Keys of the base that were copied, as they are stored, from the one before.
    pub(crate) copied: u64,
    /// Keys that have come to the base or gone since all of it was written at once, or its share of those of
    /// a base that was divided. If there are any, it may be another image than what is made of its entries.
    pub(crate) changed_keys: u64,
}

impl Layers {
    /// Nothing but a base, from a file.
    pub(crate) fn with_base(base: Arc<Segment>) -> Self {
        Self { live: base.len(), base: Some(base), ..Self::default() }
    }

    /// `below` with a delta frozen on top.
    pub(super) fn with_frozen(below: Option<&Self>, delta: Delta) -> Self {
        let below = below.cloned().unwrap_or_default();
        Self {
            live: below.live.saturating_add_signed(delta.tree.weight()),
            frozen: Some(Arc::new(Frozen { tree: Arc::new(delta.tree), filter: delta.filter })),
            ..below
        }
    }

    /// Number of layers.
    pub(super) fn count(&self) -> usize {
        let layers = [self.frozen.is_some(), self.overlay.is_some(), self.base.is_some()];
        layers.into_iter().map(usize::from).sum()
    }

    /// Whether any layer has an entry, live or not.
    pub(super) fn has_entries(&self) -> bool {
        self.frozen.is_some() || self.overlay.is_some() || self.base.is_some()
    }

    /// The newest entry of `key`. `hash` is the key's, if it was made. `buf` is where its value goes, if
    /// it has to be unpacked.
    pub(super) fn find<'a>(
        &'a self,
        key: &[u8],
        hash: &mut Option<KeyHash>,
        buf: &'a ValueBuf,
    ) -> Result<Option<Entry<'a>>, Corruption> {
        // One of these lines, and the filter's, arrive while another is waited for.
        if let Some(base) = &self.base {
            prefetch_value(&**base);
        }
        if let Some(entry) = self.find_frozen(key, hash) {
            return Ok(Some(entry));
        }
        if let Some(overlay) = self.overlay_of(key, hash)
            && let Some(entry) = overlay.get(key, buf)?
        {
            return Ok(Some(entry));
        }
        match &self.base {
            Some(base) => base.get(key, buf),
            None => Ok(None),
        }
    }

    /// Asks for what the filters will be asked for.
    #[inline]
    pub(super) fn ask_for_filters(&self, hash: KeyHash) {
        let frozen = self.frozen.as_ref().and_then(|frozen| frozen.filter());
        let overlay = self.overlay.as_ref().and_then(|overlay| overlay.filter());
        for filter in [frozen, overlay].into_iter().flatten() {
            filter.ask(hash);
        }
    }

    /// Begins to look for `key` in the base. What is begun stays where it is made.
    #[inline]
    pub(super) fn begin<'l, 'k>(&'l self, key: &'k [u8], begun: &mut Begun<'l, 'k>) {
        let Some(base) = &self.base else { return };
        base.begin_soon(key, &mut begun.soon);
        // Of a file, what the key turns out not to need would be read too.
        if begun.soon.is_none() && base.is_at_hand() {
            begun.has_steps = begun.steps.begin_find(base, key);
        }
    }

    /// Asks for what the overlay's filter will be asked for.
    #[inline]
    pub(super) fn ask_for_overlay(&self, hash: KeyHash) {
        if let Some(filter) = self.overlay.as_ref().and_then(|overlay| overlay.filter.as_ref()) {
            filter.ask(hash);
        }
    }

    /// As [`find`](Self::find), of a key that was begun to be looked for, or not.
    #[expect(clippy::inline_always, reason = "what it answers is not copied then")]
    #[inline(always)]
    pub(super) fn find_begun<'a, 'k>(
        &'a self,
        key: &'k [u8],
        hash: &mut Option<KeyHash>,
        begun: &mut Begun<'a, 'k>,
        buf: &'a ValueBuf,
    ) -> Result<FoundBelow<'a>, Corruption> {
        if let Some(search) = &mut begun.soon {
            search.narrow_keys();
        }
        if let Some(entry) = self.find_frozen(key, hash) {
            return Ok(FoundBelow::Entry(entry));
        }
        if let Some(overlay) = self.overlay_of(key, hash)
            && let Some(entry) = overlay.get(key, buf)?
        {
            return Ok(FoundBelow::Entry(entry));
        }
        let found = |entry: Option<Entry<'a>>| entry.map_or(FoundBelow::Nothing, FoundBelow::Entry);
        let Some(base) = &self.base else { return Ok(FoundBelow::Nothing) };
        match begun.soon.as_mut().map(SoonSearch::place) {
            Some(SoonPlace::At(ordinal)) => return Ok(FoundBelow::Later(Ordinal(ordinal))),
            Some(SoonPlace::Absent) => return Ok(FoundBelow::Nothing),
            Some(SoonPlace::Unknown) => return base.get(key, buf).map(found),
            None => {}
        }
        if !begun.has_steps && !begun.steps.begin_find(base, key) {
            return base.get(key, buf).map(found);
        }
        Ok(begun.steps.find()?.map_or(FoundBelow::Nothing, FoundBelow::Later))
    }

    /// Calls `f` with the value that was found, or why it cannot be read, if it is live.
    #[inline]
    pub(super) fn with_found(
        &self,
        found: FoundBelow<'_>,
        begun: &Begun<'_, '_>,
        f: impl FnOnce(Result<&[u8], Corruption>),
    ) {
        let ordinal = match found {
            FoundBelow::Nothing => return,
            FoundBelow::Entry(entry) => {
                if let Some(value) = entry.live() {
                    f(Ok(value));
                }
                return;
            }
            FoundBelow::Later(ordinal) => ordinal,
        };
        if let Some(search) = &begun.soon
            && let Soon::Value(value) = search.value(ordinal.0)
            && let Some(value) = value.to_le_bytes().get(..search.width())
        {
            return f(Ok(value));
        }
        let Some(base) = &self.base else { return };
        let buf = ValueBuf::default();
        match base.entry(ordinal, &buf) {
            Ok(entry) => {
                if let Some(value) = entry.live() {
                    f(Ok(value));
                }
            }
            Err(damage) => f(Err(damage)),
        }
    }

    /// The frozen delta's entry of `key`. `hash` is the key's, if it was made.
    #[inline]
    pub(super) fn find_frozen(&self, key: &[u8], hash: &mut Option<KeyHash>) -> Option<Entry<'_>> {
        let frozen = self.frozen.as_ref()?;
        let may_hold = frozen
            .filter
            .as_ref()
            .is_none_or(|filter| filter.may_contain(*hash.get_or_insert_with(|| KeyHash::of(key))));
        if may_hold { frozen.tree.get(key) } else { None }
    }

    /// Whether nothing is above the base.
    #[inline]
    pub(crate) fn is_base_only(&self) -> bool {
        self.frozen.is_none() && self.overlay.is_none()
    }

    /// The segment of the overlay, if it may hold `key`. `hash` is the key's, if it was made.
    #[inline]
    pub(super) fn overlay_of(&self, key: &[u8], hash: &mut Option<KeyHash>) -> Option<&Segment> {
        let overlay = self.overlay.as_ref()?;
        if let Some(filter) = &overlay.filter
            && !filter.may_contain(*hash.get_or_insert_with(|| KeyHash::of(key)))
        {
            return None;
        }
        Some(&overlay.segment)
    }

    /// The segment of the overlay, if there is one.
    #[inline]
    pub(crate) fn overlay(&self) -> Option<&Arc<Segment>> {
        self.overlay.as_ref().map(|overlay| &overlay.segment)
    }

    /// Overlay and base, as far as there are any.
    pub(crate) fn segments(&self) -> impl Iterator<Item = &Arc<Segment>> + Clone {
        self.overlay().into_iter().chain(&self.base)
    }

    /// Bytes that packed values may take more after a fold, if so many entries come to them from above:
    /// one alone may make a whole group wide.
    pub(super) fn widening_bytes(&self, newer: u64) -> usize {
        let spared = self.segments().map(|segment| segment.spared_bytes()).sum::<usize>();
        let newer = usize::try_from(newer).unwrap_or(usize::MAX);
        spared.min(newer.saturating_mul(GROUP * MAX_NUMBER))
    }

    /// Entries above the base.
    pub(crate) fn newer_entries(&self) -> u64 {
        let frozen = self.frozen.as_ref().map_or(0, |frozen| frozen.tree.len());
        frozen + self.overlay().map_or(0, |overlay| overlay.len())
    }

    /// Heap bytes of all layers, without those of files.
    pub(crate) fn heap_bytes(&self) -> u64 {
        let mut usage = MemoryUsage::default();
        self.add_usage(&mut usage);
        usage.total() as u64
    }

    /// Heap bytes by part, without those of files.
    pub(crate) fn add_usage(&self, usage: &mut MemoryUsage) {
        usage.overhead += COUNTS + size_of::<Self>();
        if let Some(frozen) = &self.frozen {
            usage.frozen += frozen.tree.chunk_bytes();
            usage.extents += frozen.tree.extent_bytes();
            usage.filter += frozen.filter.as_deref().map_or(0, Filter::heap_bytes);
            usage.overhead +=
                2 * COUNTS + size_of::<Frozen>() + size_of::<Tree>() + frozen.tree.overhead_bytes();
        }
        if let Some(overlay) = &self.overlay {
            usage.filter += overlay.filter.as_ref().map_or(0, Filter::heap_bytes);
            usage.overhead += COUNTS + size_of::<Overlay>();
        }
        for (segment, part) in
            [(self.overlay(), &mut usage.overlay), (self.base.as_ref(), &mut usage.base)]
        {
            if let Some(segment) = segment {
                *part += segment.heap_bytes();
                usage.overhead += COUNTS + size_of::<Segment>();
                usage.extents += segment.extent_bytes();
            }
        }
    }

    /// Heap bytes of the file that segments are read from. `counted` is the one that has been
    /// counted already: all segments may be of one.
    pub(super) fn add_file_usage(
        &self,
        usage: &mut MemoryUsage,
        counted: &mut Option<Arc<Blocks>>,
    ) {
        for (segment, part) in
            [(self.overlay(), &mut usage.overlay), (self.base.as_ref(), &mut usage.base)]
        {
            if let Some(file) = segment.and_then(|segment| segment.file())
                && !counted.as_ref().is_some_and(|counted| Arc::ptr_eq(counted, file))
            {
                *part += file.heap_bytes();
                usage.overhead += COUNTS + size_of::<Blocks>();
                *counted = Some(Arc::clone(file));
            }
        }
    }
}
