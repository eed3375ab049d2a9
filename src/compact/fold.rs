//! One fold: layers in, new layers out. Touches nothing that readers see; publishing is not here.

use super::numbers::Numbers;
use super::pieces::{self, Limits, PIECE_BYTES, Piece, Source};
use super::policy::{self, Target};
use crate::arena::OutOfMemory;
use crate::art::ArtCursor;
use crate::cursor::Cursor;
use crate::entry::{Below, EntryKind, ValueWidth};
use crate::error::{Corruption, Error};
use crate::filter::Filter;
use crate::merge::Merge;
use crate::options::Options;
use crate::partition::{Depth, FILTER_FROM, LayerCursor, Layers, Overlay};
use crate::planted::{Bug, planted};
use crate::segment::{
    CodecChoice, Outcome, Pass, Room, Segment, SegmentBuilder, SegmentCursor, Spliced,
    SplicedPiece, splice,
};
use crate::sync::Arc;
use bumpalo::Bump;

/// Bytes of a frozen delta that are asked for before they are read: as many as a cache holds for long enough.
const ASKED_BYTES: usize = 256 << 10;

/// How many entries are written between two looks at whether to go on.
const LOOK_EVERY: u64 = 1_024;

/// What a fold has made.
pub(super) struct Folded {
    /// What the partition is to be: itself, or several.
    pub(super) pieces: Vec<Piece>,
    /// Entries written, but for those whose keys were copied.
    pub(super) encoded: u64,
}

/// Writes the segment that `target` asks for, and answers the layers with it in place of its
/// sources. `None` if `go_on` said no.
///
/// A tombstone dies in a base, and in an overlay when nothing below has its key (I3).
pub(super) fn fold(
    layers: &Layers,
    target: Target,
    width: ValueWidth,
    options: &Options,
    go_on: &dyn Fn() -> bool,
) -> Result<Option<Folded>, Error> {
    if let Some(frozen) = &layers.frozen {
        frozen.tree.ask_for_all(ASKED_BYTES);
    }
    match target {
        Target::Overlay => overlay(layers, width, go_on),
        Target::Base => {
            if let Some(Appended { old, new, bound }) = appended(layers, options)? {
                let folded = bases(&[&new], width, options, go_on)?;
                return Ok(folded.map(|mut folded| {
                    folded.pieces[0].bound = bound;
                    folded.pieces.insert(0, Piece { bound: Box::default(), layers: old });
                    folded
                }));
            }
            bases(&[layers], width, options, go_on)
        }
    }
}

/// One new overlay, from the frozen delta and the old overlay.
fn overlay(
    layers: &Layers,
    width: ValueWidth,
    go_on: &dyn Fn() -> bool,
) -> Result<Option<Folded>, Error> {
    let bump = Bump::new();
    let most = layers.frozen.as_ref().map_or(0, |frozen| frozen.tree.len())
        + layers.overlay().map_or(0, |overlay| overlay.len());
    let mut filter = match usize::try_from(most) {
        Ok(keys) if most >= FILTER_FROM => Filter::new(keys).ok(),
        _ => None,
    };
    let mut builder = SegmentBuilder::new(width, &bump, CodecChoice::Quick)?;
    builder.tell(filter.as_mut());
    let mut source = Folding::new(&[layers], Depth::Overlay, width, go_on)?;
    let limits = Limits { entries: u64::MAX, bytes: u64::MAX, heap: u64::MAX };
    while !source.is_done() {
        source.take(&mut builder, limits)?;
    }
    if source.is_cancelled {
        return Ok(None);
    }
    let written = builder.len();
    let overlay = if written == 0 {
        None
    } else {
        let segment = builder.finish()?;
        Some(Arc::new(Overlay::new(segment, filter)))
    };
    let layers = Layers { frozen: None, overlay, ..layers.clone() };
    Ok(Some(Folded { pieces: vec![Piece { bound: Box::default(), layers }], encoded: written }))
}

/// New bases of all that neighbouring partitions have. One if that is not too much.
pub(super) fn bases(
    layers: &[&Layers],
    width: ValueWidth,
    options: &Options,
    go_on: &dyn Fn() -> bool,
) -> Result<Option<Folded>, Error> {
    let live = layers.iter().map(|layers| layers.live).sum();
    let bytes = layers.iter().map(|layers| about_bytes(layers)).sum();
    let limits = Limits {
        entries: even_share(live, policy::partition_entries(options)),
        bytes: even_share(bytes, PIECE_BYTES).min(2 * PIECE_BYTES),
        heap: u64::MAX,
    };
    bases_within(layers, limits, width, options, go_on)
}

/// As [`bases`], cut at these limits.
pub(super) fn bases_within(
    layers: &[&Layers],
    limits: Limits,
    width: ValueWidth,
    options: &Options,
    go_on: &dyn Fn() -> bool,
) -> Result<Option<Folded>, Error> {
    let live = layers.iter().map(|layers| layers.live).sum::<u64>();
    if let [layers] = layers
        && let Some(spliced) = spliced(layers, limits, options, go_on)?
    {
        return Ok(spliced);
    }
    let mut source = Folding::new(layers, Depth::All, width, go_on)?;
    let pieces = pieces::cut(&mut source, limits, width, policy::codec(options))?;
    if source.is_cancelled {
        return Ok(None);
    }
    let written = pieces.iter().map(|piece| piece.layers.live).sum();
    if written != live {
        return Err(miscounted(written));
    }
    Ok(Some(Folded { pieces: or_blank(pieces), encoded: written }))
}

/// The count of an opened file is taken at its word until all of it is read.
fn miscounted(written: u64) -> Error {
    Corruption::new("segment", written, "it has as many values as it counts").into()
}

/// Whether a fold into the base copies most of it: if that is text, stored as it would be now, which has not
/// got or lost as many keys as it has since all of it was written at once. What was chosen then goes on.
pub(super) fn is_copied(layers: &Layers, options: &Options) -> bool {
    copied(layers, options).is_some()
}

/// The base that [is copied](is_copied), and its bulk.
fn copied<'l>(layers: &'l Layers, options: &Options) -> Option<(&'l Segment, u64)> {
    // Where a file ends a partition hangs on its bulk, which is counted from that of the base.
    let (base, bulk) = (layers.base.as_deref()?, layers.bulk?);
    let is_copied = policy::codec(options) == CodecChoice::Automatic
        && policy::suits(base, options)
        && base.is_chained()
        && layers.changed_keys + layers.newer_entries() <= base.len();
    is_copied.then_some((base, bulk))
}

/// One base, of what stays of the old one and what is newer, if that [is copied](is_copied). Several bases
/// if it would pass a limit. If two thirds of their keys are new, the next fold of each writes all of it: then
/// it is smallest.
#[expect(clippy::option_option, reason = "not this way, or not at all")]
fn spliced(
    layers: &Layers,
    limits: Limits,
    options: &Options,
    go_on: &dyn Fn() -> bool,
) -> Result<Option<Option<Folded>>, Error> {
    let Some((base, old_bulk)) = copied(layers, options) else { return Ok(None) };
    let parts = Room { entries: limits.entries, bulk: limits.bytes };
    let is_large = layers.live > limits.entries || about_bytes(layers) > limits.bytes;
    let mut parts = is_large.then_some(parts);
    let (spliced, all_bulk) = loop {
        let mut newer = layers.merged(Depth::Overlay);
        let spliced = match splice(base, &mut newer, parts, go_on) {
            Ok(Outcome::Refused) => return Ok(None),
            Ok(Outcome::Cancelled) => return Ok(Some(None)),
            Ok(Outcome::Spliced(spliced)) => spliced,
            Err(error) => return Err(in_order(error)),
        };
        let all_bulk = (old_bulk + spliced.new_bulk).saturating_sub(spliced.gone_bulk);
        if parts.is_some() || all_bulk <= limits.bytes {
            break (spliced, all_bulk);
        }
        // Some of the keys are much longer than others, and what is newer was taken for less than it is.
        let bulk = even_share(all_bulk, PIECE_BYTES).min(limits.bytes);
        parts = Some(Room { entries: limits.entries, bulk });
    };
    let Spliced { pieces, changed_keys, worn_keys, .. } = spliced;
    let written = pieces.iter().map(|piece| piece.segment.len()).sum();
    if written != layers.live {
        return Err(miscounted(written));
    }
    let copied: u64 = pieces.iter().map(|piece| piece.copied).sum();
    let changed_keys = layers.changed_keys + changed_keys + worn_keys;
    let is_divided = pieces.len() > 1;
    let pieces = pieces.into_iter().map(|SplicedPiece { bound, segment, bulk, copied }| {
        let live = segment.len();
        let layers = Layers {
            base: Some(segment),
            live,
            bulk: Some(bulk.unwrap_or(all_bulk)),
            copied,
            changed_keys: match is_divided {
                // What goes on was chosen for other keys, and now a fold of all of them takes least.
                true if written.saturating_sub(changed_keys) < written / 3 => live,
                true => share(changed_keys, live, written).max(1),
                false => changed_keys,
            },
            ..Layers::default()
        };
        Piece { bound, layers }
    });
    let folded = Folded { pieces: or_blank(pieces.collect()), encoded: written - copied };
    Ok(Some(Some(folded)))
}

/// As much of `amount` as `part` is of `all`.
fn share(amount: u64, part: u64, all: u64) -> u64 {
    let share = u128::from(amount) * u128::from(part) / u128::from(all.max(1));
    u64::try_from(share).unwrap_or(u64::MAX)
}

/// The pieces, or a blank one if there are none.
fn or_blank(mut pieces: Vec<Piece>) -> Vec<Piece> {
    if pieces.is_empty() {
        pieces.push(Piece { bound: Box::default(), layers: Layers::default() });
    }
    pieces
}

/// Keys that are not in order are damage where nobody but a file can have brought them.
fn in_order(error: Error) -> Error {
    match error {
        Error::OutOfOrder { index, .. } => {
            Corruption::new("segment", index, "keys are strictly ascending").into()
        }
        error => error,
    }
}

/// What grows at its end.
struct Appended {
    /// The base as it is.
    old: Layers,
    /// What is frozen, all of it behind that.
    new: Layers,
    /// Between them.
    bound: Box<[u8]>,
}

/// Takes what is frozen and the base apart, if all of it lies behind the base and that is large
/// enough for a partition: then nothing of it has to be written again.
fn appended(layers: &Layers, options: &Options) -> Result<Option<Appended>, Error> {
    let Layers { frozen: Some(frozen), overlay: None, base: Some(base), .. } = layers else {
        return Ok(None);
    };
    let is_enough = base.len() >= policy::partition_entries(options).div_ceil(2)
        || layers.bulk.is_some_and(|bytes| bytes >= PIECE_BYTES / 2);
    if !is_enough || !policy::suits(base, options) {
        return Ok(None);
    }
    let mut end = SegmentCursor::new(&**base);
    end.last();
    end.status()?;
    let mut start = ArtCursor::new(&*frozen.tree);
    start.first();
    if !start.valid() || !end.valid() || start.key() <= end.key() {
        return Ok(None);
    }
    let live = layers.live.saturating_sub(base.len());
    Ok(Some(Appended {
        bound: pieces::separator(end.key(), start.key()),
        old: Layers { frozen: None, live: base.len(), ..layers.clone() },
        new: Layers { frozen: Some(Arc::clone(frozen)), live, ..Layers::default() },
    }))
}

/// What the entries of these layers count for, about: those above the base as much each as those of it,
/// or their bytes, if these are more.
pub(super) fn about_bytes(layers: &Layers) -> u64 {
    let image_len = |segment: &Arc<Segment>| segment.image().len() as u64;
    let base = layers.bulk.unwrap_or_else(|| layers.base.as_ref().map_or(0, image_len));
    let frozen = layers.frozen.as_ref().map_or(0, |frozen| frozen.tree.used_bytes() as u64);
    let newer = layers.overlay().map_or(0, image_len) + frozen;
    let base_len = layers.base.as_ref().map_or(0, |segment| segment.len());
    base + newer.max(layers.newer_entries().saturating_mul(base.checked_div(base_len).unwrap_or(0)))
}

/// How much of `all` each piece gets if they are about `each`, and a piece of twice that is none
/// too many.
fn even_share(all: u64, each: u64) -> u64 {
    let each = each.max(1);
    let twice = each.saturating_mul(2);
    if all <= twice {
        return twice;
    }
    // Of two, the second gets less: `all` may be an estimate, of which nothing should be left over; and partitions of
    // one size would all come to be divided, and have their overlays folded, at the same time.
    let share = all.div_ceil(all / each);
    share + share / 8
}

/// The entries of some layers after those of others.
struct Folding<'a> {
    layers: Vec<Updated<'a>>,
    at: usize,
    go_on: &'a dyn Fn() -> bool,
    /// Entries and attempts since it was last asked.
    seen: u64,
    /// It ended because `go_on` said no.
    is_cancelled: bool,
}

impl<'a> Folding<'a> {
    fn new(
        layers: &[&'a Layers],
        depth: Depth,
        width: ValueWidth,
        go_on: &'a dyn Fn() -> bool,
    ) -> Result<Self, Error> {
        let mut all = Vec::new();
        all.try_reserve_exact(layers.len()).map_err(|_| OutOfMemory)?;
        all.extend(layers.iter().map(|layers| Updated::new(layers, depth, width, go_on)));
        let mut new = Self { layers: all, at: 0, go_on, seen: 0, is_cancelled: !go_on() };
        if let Some(first) = new.layers.first_mut().filter(|_| !new.is_cancelled) {
            first.start()?;
        }
        new.settle()?;
        Ok(new)
    }

    /// Goes to the next layers that have something left.
    fn settle(&mut self) -> Result<(), Error> {
        while let Some(layers) = self.layers.get(self.at) {
            self.is_cancelled |= layers.is_cancelled();
            if self.is_cancelled || !layers.is_done() {
                break;
            }
            self.at += 1;
            if let Some(next) = self.layers.get_mut(self.at) {
                next.start()?;
            }
        }
        Ok(())
    }
}

impl Source for Folding<'_> {
    fn is_done(&self) -> bool {
        self.is_cancelled || self.at >= self.layers.len()
    }

    fn key(&self, key: &mut Vec<u8>) -> Result<(), Error> {
        self.layers[self.at].key(key)
    }

    fn take(&mut self, builder: &mut SegmentBuilder<'_>, limits: Limits) -> Result<(), Error> {
        let before = builder.len();
        let entries = limits.entries.min(before.saturating_add(LOOK_EVERY));
        let room = Room { entries, bulk: limits.bytes };
        self.layers[self.at].take(builder, room).map_err(in_order)?;
        self.seen += 1 + builder.len() - before;
        if self.seen >= LOOK_EVERY {
            self.seen = 0;
            self.is_cancelled = !(self.go_on)();
        }
        self.settle()
    }
}

/// The entries of layers, as a segment in place of the lowest of them has them.
pub(super) enum Updated<'a> {
    Numbers(Numbers<'a>),
    Steps(Steps<'a>),
}

impl<'a> Updated<'a> {
    /// The entries of these layers down to a depth.
    fn new(
        layers: &'a Layers,
        depth: Depth,
        width: ValueWidth,
        go_on: &'a dyn Fn() -> bool,
    ) -> Self {
        match Numbers::new(layers, depth, width, go_on) {
            Some(numbers) => Self::Numbers(numbers),
            None => Self::Steps(Steps::new(layers, depth)),
        }
    }

    /// Goes to the first entry.
    pub(super) fn start(&mut self) -> Result<(), Error> {
        match self {
            Self::Numbers(numbers) => numbers.settle(),
            Self::Steps(steps) => steps.start(),
        }
    }

    /// Whether it has ended because it was told not to go on.
    fn is_cancelled(&self) -> bool {
        match self {
            Self::Numbers(numbers) => numbers.is_cancelled(),
            Self::Steps(_) => false,
        }
    }

    /// Whether nothing is left. What is left of steps may be without effect.
    pub(super) fn is_done(&self) -> bool {
        match self {
            Self::Numbers(numbers) => numbers.is_done(),
            Self::Steps(steps) => steps.is_done(),
        }
    }

    /// Makes `key`, which is empty, the least key that is left, of which there is one.
    pub(super) fn key(&self, key: &mut Vec<u8>) -> Result<(), Error> {
        match self {
            Self::Numbers(numbers) => {
                numbers.key(key);
                Ok(())
            }
            Self::Steps(steps) => steps.key(key),
        }
    }

    /// Appends some entries to `builder`, which has room, or finds that some have no effect.
    pub(super) fn take(
        &mut self,
        builder: &mut SegmentBuilder<'_>,
        room: Room,
    ) -> Result<(), Error> {
        match self {
            Self::Numbers(numbers) => numbers.take(builder, room),
            Self::Steps(steps) => steps.take(builder, room),
        }
    }
}

/// The entries of layers of any kind: what is newer one by
/// one, and what that leaves of the lowest in between.
pub(super) struct Steps<'a> {
    newer: Merge<LayerCursor>,
    /// The lowest layer, unless it is among the newer ones.
    lowest: Option<Pass<'a>>,
    depth: Depth,
    /// All of the lowest that comes before the next newer one has been passed on.
    is_level: bool,
}

impl<'a> Steps<'a> {
    /// The entries of these layers down to a depth.
    pub(super) fn new(layers: &'a Layers, depth: Depth) -> Self {
        let lowest = match depth {
            Depth::Delta => None,
            Depth::Overlay => layers.overlay().map(|overlay| &**overlay),
            Depth::All => layers.base.as_deref(),
        };
        // Damage is told by a walk. So is what only damage puts into a base.
        let pass = lowest.and_then(|segment| Pass::new(segment).ok().flatten());
        let lowest = pass.filter(|pass| depth != Depth::All || pass.is_base());
        let newer = match (&lowest, depth) {
            (None, _) => depth,
            (Some(_), Depth::All) => Depth::Overlay,
            (Some(_), Depth::Overlay | Depth::Delta) => Depth::Delta,
        };
        Self { newer: layers.merged(newer), lowest, depth, is_level: false }
    }

    fn start(&mut self) -> Result<(), Error> {
        self.newer.first();
        Ok(self.newer.status()?)
    }

    /// Whether nothing is left. What is left may be without effect.
    fn is_done(&self) -> bool {
        !self.newer.valid() && self.lowest.as_ref().is_none_or(Pass::is_done)
    }

    /// Makes `key`, which is empty, the least key that is left, of which there is one.
    fn key(&self, key: &mut Vec<u8>) -> Result<(), Error> {
        if let Some(lowest) = self.lowest.as_ref().filter(|lowest| !lowest.is_done()) {
            lowest.key(key)?;
            if !self.newer.valid() || self.newer.key() > key.as_slice() {
                return Ok(());
            }
            key.clear();
        }
        key.extend_from_slice(self.newer.key());
        Ok(())
    }

    /// Appends some entries to `builder`, which has room, or finds that some have no effect.
    fn take(&mut self, builder: &mut SegmentBuilder<'_>, room: Room) -> Result<(), Error> {
        let depth = self.depth;
        let next = self.newer.valid().then(|| self.newer.key());
        if let Some(lowest) = &mut self.lowest
            && !self.is_level
        {
            self.is_level = lowest.pass_below(next, builder, room)?;
            return Ok(());
        }
        let Some(key) = next else { return Ok(()) };
        let replaced = match &mut self.lowest {
            Some(lowest) => lowest.skip(key)?,
            None => None,
        };
        let mut entry = self.newer.entry();
        if let Some(replaced) = replaced {
            entry.below = replaced;
        }
        let is_tombstone = entry.kind == EntryKind::Tombstone;
        if has_effect(is_tombstone, entry.below == Below::Live, depth) {
            builder.push(key, entry)?;
        }
        self.newer.next();
        self.is_level = false;
        Ok(self.newer.status()?)
    }
}

/// Whether an entry is written into a segment of this depth: a tombstone dies if nothing below has its key
/// (I3), always in a base.
pub(super) fn has_effect(is_tombstone: bool, is_live_below: bool, depth: Depth) -> bool {
    !is_tombstone
        || depth != Depth::All && is_live_below && !planted(Bug::OverlayFoldDropsTombstones)
}
