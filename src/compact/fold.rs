//! One fold: layers in, new layers out. Touches nothing that readers see; publishing is not here.

use super::pieces::{self, Limits, PIECE_BYTES, Piece, Source};
use super::policy::Target;
use crate::art::ArtCursor;
use crate::cursor::Cursor;
use crate::entry::{Below, Entry, EntryKind, ValueWidth};
use crate::error::{Corruption, Error};
use crate::merge::Merge;
use crate::partition::{Depth, LayerCursor, Layers};
use crate::planted::{Bug, planted};
use crate::segment::{CodecChoice, SegmentBuilder, SegmentCursor};
use crate::sync::Arc;
use bumpalo::Bump;

/// How many entries are written between two looks at whether to go on.
const LOOK_EVERY: u64 = 1_024;

/// What a fold has made.
pub(super) struct Folded {
    /// What the partition is to be: itself, or several.
    pub(super) pieces: Vec<Piece>,
    /// Entries written.
    pub(super) written: u64,
}

/// Writes the segment that `target` asks for, and answers the layers with it in place of its
/// sources. `None` if `go_on` said no.
///
/// A tombstone dies in a base, and in an overlay when nothing below has its key (I3).
pub(super) fn fold(
    layers: &Layers,
    target: Target,
    width: ValueWidth,
    partition_entries: u64,
    go_on: &dyn Fn() -> bool,
) -> Result<Option<Folded>, Error> {
    match target {
        Target::Overlay => overlay(layers, width, go_on),
        Target::Base => {
            if let Some(Appended { old, new, bound }) = appended(layers, partition_entries)? {
                let folded = bases(&[&new], width, partition_entries, go_on)?;
                return Ok(folded.map(|mut folded| {
                    folded.pieces[0].bound = bound;
                    folded.pieces.insert(0, Piece { bound: Box::default(), layers: old });
                    folded
                }));
            }
            bases(&[layers], width, partition_entries, go_on)
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
    let mut builder = SegmentBuilder::new(width, &bump, CodecChoice::Automatic)?;
    let mut cursor = layers.merged(Depth::Overlay);
    cursor.first();
    let mut seen = 0;
    while cursor.valid() {
        if u64::is_multiple_of(seen, LOOK_EVERY) && !go_on() {
            return Ok(None);
        }
        seen += 1;
        let entry = cursor.entry();
        let dies = entry.kind == EntryKind::Tombstone
            && (entry.below == Below::Absent || planted(Bug::OverlayFoldDropsTombstones));
        if !dies {
            builder.push(cursor.key(), entry)?;
        }
        cursor.next();
    }
    cursor.status()?;
    let written = builder.len();
    let overlay = if written == 0 { None } else { Some(Arc::new(builder.finish()?)) };
    let layers = Layers { frozen: None, overlay, ..layers.clone() };
    Ok(Some(Folded { pieces: vec![Piece { bound: Box::default(), layers }], written }))
}

/// New bases of all that neighbouring partitions have. One if that is not too much.
pub(super) fn bases(
    layers: &[&Layers],
    width: ValueWidth,
    partition_entries: u64,
    go_on: &dyn Fn() -> bool,
) -> Result<Option<Folded>, Error> {
    let live = layers.iter().map(|layers| layers.live).sum();
    let bytes = layers.iter().map(|layers| about_bytes(layers)).sum();
    let limits = Limits {
        entries: even_share(live, partition_entries),
        bytes: even_share(bytes, PIECE_BYTES).min(2 * PIECE_BYTES),
        heap: u64::MAX,
    };
    let cursors = layers.iter().map(|layers| layers.merged(Depth::All)).collect();
    let mut source = Surviving { cursors, at: 0, seen: 0, go_on, is_cancelled: false };
    source.start()?;
    let pieces = pieces::cut(&mut source, limits, width)?;
    if source.is_cancelled {
        return Ok(None);
    }
    let written = pieces.iter().map(|piece| piece.layers.live).sum();
    if written != live {
        // The count of an opened file is taken at its word until all of it is read.
        let rule = "it has as many values as it counts";
        return Err(Corruption::new("segment", written, rule).into());
    }
    let mut pieces = pieces;
    if pieces.is_empty() {
        pieces.push(Piece { bound: Box::default(), layers: Layers::default() });
    }
    Ok(Some(Folded { pieces, written }))
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
fn appended(layers: &Layers, partition_entries: u64) -> Result<Option<Appended>, Error> {
    let Layers { frozen: Some(frozen), overlay: None, base: Some(base), .. } = layers else {
        return Ok(None);
    };
    if base.len() < partition_entries.div_ceil(2) {
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

/// Bytes of keys and values in these layers, about.
pub(super) fn about_bytes(layers: &Layers) -> u64 {
    let image = layers.base.as_ref().map_or(0, |base| base.image().len() as u64);
    let frozen = layers.frozen.as_ref().map_or(0, |frozen| frozen.tree.used_bytes() as u64);
    layers.raw_bytes.unwrap_or(image) + frozen
}

/// How much of `all` each piece gets if they are about `each`, and a piece of twice that is none
/// too many.
fn even_share(all: u64, each: u64) -> u64 {
    let each = each.max(1);
    let twice = each.saturating_mul(2);
    if all > twice { all.div_ceil(all.div_ceil(each)) } else { twice }
}

/// The live entries of one merge after the other.
struct Surviving<'a> {
    cursors: Vec<Merge<LayerCursor>>,
    at: usize,
    seen: u64,
    go_on: &'a dyn Fn() -> bool,
    /// It ended because `go_on` said no.
    is_cancelled: bool,
}

impl Surviving<'_> {
    fn start(&mut self) -> Result<(), Error> {
        match self.cursors.first_mut() {
            Some(first) => first.first(),
            None => return Ok(()),
        }
        self.settle()
    }

    /// Goes to the next value, which may be where it stands.
    fn settle(&mut self) -> Result<(), Error> {
        loop {
            if self.seen.is_multiple_of(LOOK_EVERY) && !(self.go_on)() {
                self.is_cancelled = true;
                return Ok(());
            }
            self.seen += 1;
            let Some(cursor) = self.cursors.get_mut(self.at) else { return Ok(()) };
            if !cursor.valid() {
                cursor.status()?;
                self.at += 1;
                if let Some(next) = self.cursors.get_mut(self.at) {
                    next.first();
                }
            } else if cursor.entry().kind == EntryKind::Tombstone {
                cursor.next();
            } else {
                return Ok(());
            }
        }
    }
}

impl Source for Surviving<'_> {
    fn peek(&self) -> Option<(&[u8], Entry<'_>)> {
        let cursor = self.cursors.get(self.at).filter(|cursor| cursor.valid());
        let cursor = cursor.filter(|_| !self.is_cancelled)?;
        Some((cursor.key(), cursor.entry()))
    }

    fn advance(&mut self) -> Result<(), Error> {
        if let Some(cursor) = self.cursors.get_mut(self.at) {
            cursor.next();
        }
        self.settle()
    }
}
