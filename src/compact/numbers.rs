//! Folding layers whose keys are numbers and whose values have one width: in columns.
//!
//! What an entry costs is a few tens of instructions for each layer that it comes through, a tenth of
//! what it takes through cursors. SCRATCHPAD.md section 2.2.

use super::fold::has_effect;
use crate::art::{ArtCursor, Tree};
use crate::bytes::bytes_of;
use crate::columns::{Columns, LIVE_BELOW, TOMBSTONE};
use crate::cursor::Cursor;
use crate::entry::ValueWidth;
use crate::error::Error;
use crate::partition::{Depth, Layers};
use crate::segment::{NumberPieces, Room, Segment, SegmentBuilder};
use crate::sync::Arc;

/// Entries that are read of a tree at once, at most, and their bytes.
const GATHERED: usize = 512;
const GATHERED_BYTES: usize = 64 << 10;

/// With fewer newer entries than one in so many, what stands between two of them is soonest passed on as it
/// is, by steps. SCRATCHPAD.md section 2.2.
const SCATTERED: u64 = 50;

/// The entries of layers, as a segment in place of the lowest of them has them.
pub(super) struct Numbers<'a> {
    /// Bytes of each key.
    key_width: usize,
    feed: Feed<'a>,
    go_on: &'a dyn Fn() -> bool,
    /// It ended because `go_on` said no.
    is_cancelled: bool,
}

impl<'a> Numbers<'a> {
    /// The entries of these layers down to a depth, which is not that of a delta; `None` if they are not
    /// all of this kind.
    pub(super) fn new(
        layers: &'a Layers,
        depth: Depth,
        width: ValueWidth,
        go_on: &'a dyn Fn() -> bool,
    ) -> Option<Self> {
        let ValueWidth::Fixed(width) = width else { return None };
        let base = layers.base.as_ref().filter(|_| depth == Depth::All);
        if base.is_some_and(|base| layers.newer_entries() < base.len() / SCATTERED) {
            return None;
        }
        let feed = |source| Feed { source, columns: Columns::new(width.into()) };
        let (tree, tree_width) = match &layers.frozen {
            None => (Source::Nothing, None),
            Some(frozen) => {
                let mut cursor = ArtCursor::new(Arc::clone(&frozen.tree));
                cursor.first();
                let most = GATHERED_BYTES / (size_of::<u64>() + 1 + usize::from(width));
                let all = usize::try_from(frozen.tree.len()).unwrap_or(usize::MAX);
                (Source::Tree(cursor, most.min(GATHERED).min(all)), Some(frozen.tree.key_len()?))
            }
        };
        let (overlay, overlay_width) = segment(layers.overlay(), false)?;
        let (base, base_width) = segment(base, true)?;
        let mut key_widths = [tree_width, overlay_width, base_width].into_iter().flatten();
        let key_width = key_widths.next()?;
        if key_widths.any(|other| other != key_width) {
            return None;
        }
        let woven =
            |newer, older, depth| feed(Source::Woven(Box::new(Woven { newer, older, depth })));
        let mut all = woven(feed(tree), feed(overlay), Depth::Overlay);
        if depth == Depth::All {
            all = woven(all, feed(base), depth);
        }
        Some(Self { key_width, feed: all, go_on, is_cancelled: false })
    }

    /// Sees to it that the next entry is there, if any is left, or finds that it is cancelled.
    pub(super) fn settle(&mut self) -> Result<(), Error> {
        self.is_cancelled = !self.feed.fill(self.go_on)?;
        Ok(())
    }

    /// Whether it has ended before all entries were taken.
    pub(super) fn is_cancelled(&self) -> bool {
        self.is_cancelled
    }

    /// Whether nothing is left.
    pub(super) fn is_done(&self) -> bool {
        self.feed.columns.len() == 0
    }

    /// Makes `key`, which is empty, the least key that is left, of which there is one.
    pub(super) fn key(&self, key: &mut Vec<u8>) {
        if let Some(number) = self.feed.columns.left_keys().first() {
            key.extend_from_slice(&bytes_of(*number)[8 - self.key_width..]);
        }
    }

    /// Appends some entries to `builder`, which has room.
    pub(super) fn take(
        &mut self,
        builder: &mut SegmentBuilder<'_>,
        room: Room,
    ) -> Result<(), Error> {
        builder.push_columns(self.key_width, &mut self.feed.columns, room)?;
        self.settle()
    }
}

/// Entries in ascending order, some of which are in columns.
struct Feed<'a> {
    source: Source<'a>,
    columns: Columns,
}

/// Where the entries behind those in columns come from.
enum Source<'a> {
    Nothing,
    /// And how many are read at once.
    Tree(ArtCursor<Arc<Tree>>, usize),
    Segment(NumberPieces<'a>),
    Woven(Box<Woven<'a>>),
}

/// Two sources as one.
struct Woven<'a> {
    newer: Feed<'a>,
    older: Feed<'a>,
    /// That of the segment that this is to be.
    depth: Depth,
}

/// The entries of a segment, and the bytes of each key, if there is a segment; `None` if they cannot be
/// read in columns. Damage is told by a walk. So is what only damage puts into a base.
fn segment(segment: Option<&Arc<Segment>>, is_base: bool) -> Option<(Source<'_>, Option<usize>)> {
    let Some(segment) = segment else { return Some((Source::Nothing, None)) };
    let pieces = NumberPieces::new(segment).ok().flatten()?;
    let key_width = Some(pieces.key_width());
    (pieces.is_base() || !is_base).then_some((Source::Segment(pieces), key_width))
}

impl Feed<'_> {
    /// Sees to it that there are entries in columns, if any is left. Answers whether it came to that before
    /// `go_on` said no.
    fn fill(&mut self, go_on: &dyn Fn() -> bool) -> Result<bool, Error> {
        if self.columns.len() > 0 {
            return Ok(true);
        }
        self.columns.clear();
        match &mut self.source {
            Source::Nothing => {}
            Source::Tree(cursor, most) => cursor.gather(*most, &mut self.columns)?,
            Source::Segment(pieces) if pieces.is_done() => {}
            Source::Segment(pieces) => pieces.read(&mut self.columns)?,
            Source::Woven(woven) => return woven.fill(&mut self.columns, go_on),
        }
        Ok(true)
    }
}

impl Woven<'_> {
    fn fill(&mut self, columns: &mut Columns, go_on: &dyn Fn() -> bool) -> Result<bool, Error> {
        let depth = self.depth;
        let kept = |flags: u8| has_effect(flags & TOMBSTONE != 0, flags & LIVE_BELOW != 0, depth);
        // Most often once. All that is taken may be without effect, so each time it is asked.
        while columns.len() == 0 {
            if !(go_on() && self.newer.fill(go_on)? && self.older.fill(go_on)?) {
                return Ok(false);
            }
            let (newer, older) = (&mut self.newer.columns, &mut self.older.columns);
            // What stands before all that is newer is handed on as it is.
            let alone = match (newer.left_keys().first(), older.left_keys().last()) {
                (None, None) => return Ok(true),
                (Some(_), None) => newer,
                (Some(first), Some(last)) if last >= first => {
                    columns.weave(newer, older, kept)?;
                    continue;
                }
                (_, Some(_)) => older,
            };
            std::mem::swap(columns, alone);
            columns.retain(kept);
        }
        Ok(true)
    }
}

// Boxes and lists of a few are not asked whether there is memory.
const _: () = assert!(size_of::<Woven<'_>>() < 640);

#[cfg(test)]
mod tests {
    use super::super::Core;
    use super::super::fold::{Steps, Updated};
    use super::*;
    use crate::entry::ValueWidth;
    use crate::options::{Compaction, Options};
    use crate::segment::CodecChoice;
    use crate::testing::rng::Rng;
    use bumpalo::Bump;

    /// The image of what is appended in steps of varying size, and its weight.
    fn image(mut source: Updated<'_>, width: ValueWidth, rng: &mut Rng) -> (Vec<u8>, i64) {
        let bump = Bump::new();
        let mut builder = SegmentBuilder::new(width, &bump, CodecChoice::Quick).expect("memory");
        source.start().expect("sound layers");
        let mut key = Vec::new();
        while !source.is_done() {
            key.clear();
            source.key(&mut key).expect("sound layers");
            assert!(builder.len() == 0 || key.as_slice() > builder.last_key());
            let (entries, bulk) = (builder.len(), builder.bulk());
            let room = Room {
                entries: entries + 1 + rng.below(700) as u64,
                bulk: bulk + 1 + rng.below(50_000) as u64,
            };
            source.take(&mut builder, room).expect("sound layers");
            assert!(builder.len() <= room.entries && builder.bulk() < room.bulk + 8 * 8 + 20);
            assert!(builder.len() == entries || builder.last_key() >= key.as_slice());
        }
        if builder.len() == 0 {
            return (Vec::new(), 0);
        }
        let segment = builder.finish().expect("memory");
        (segment.image().all().expect("our own").to_vec(), segment.weight())
    }

    #[test]
    fn entries_without_effect_do_not_keep_it_from_being_cancelled() {
        let width = ValueWidth::Fixed(8);
        let options = Options { compaction: Compaction::Manual, ..Options::default() };
        let core = Arc::new(Core::new(width, options));
        core.add_handle();
        let keys = (0..20_000u64).map(|number| bytes_of(number << 20));
        keys.clone().for_each(|key| Core::put(&core, &key, &[1; 8]).expect("memory"));
        core.compact().expect("memory");
        keys.clone().for_each(|key| Core::delete(&core, &key).expect("memory"));
        core.freeze();
        let layers = core.first.layers().expect("a base");
        for asked in [0, 1, 7, 1_000] {
            let left = std::cell::Cell::new(asked);
            let go_on = || {
                left.set(left.get() - 1);
                left.get() > 0
            };
            let mut numbers = Numbers::new(&layers, Depth::All, width, &go_on).expect("numbers");
            left.set(asked + 1);
            numbers.settle().expect("sound layers");
            assert!(numbers.is_done());
            assert_eq!(numbers.is_cancelled(), asked < 1_000);
            assert!(asked < 1_000 || left.get() < 1_000 - 20, "asked for each piece");
        }
    }

    #[test]
    fn columns_make_what_steps_make() {
        let mut rng = Rng::new(31);
        let (mut in_columns, mut other) = (0, 0);
        for round in 0..60 {
            let value_width = [8, 0, 3, 4, 16][round % 5];
            let key_width = [8, 8, 1, 3, 5][round / 5 % 5];
            let width = ValueWidth::Fixed(value_width);
            let options = Options { compaction: Compaction::Manual, ..Options::default() };
            let core = Arc::new(Core::new(width, options));
            core.add_handle();
            // Dense, so that keys meet, or far apart.
            let gap = [1, 1_000, u64::MAX / 20_000][rng.below(3)];
            let removals = [0, 3, 50][rng.below(3)];
            for _ in 0..8 {
                let (first, span) = (rng.below(4) as u64 * 2_000, 1 + rng.below(9_000));
                for _ in 0..rng.below(4_000) {
                    let number = (first + rng.below(span) as u64).wrapping_mul(gap);
                    let key = &bytes_of(number)[8 - key_width..];
                    if rng.below(100) < removals {
                        Core::delete(&core, key).expect("memory");
                    } else {
                        let value = rng.bytes(usize::from(value_width));
                        Core::put(&core, key, &value).expect("memory");
                    }
                }
                if rng.below(20) == 0 {
                    // A key that is none of the numbers.
                    Core::put(&core, b"another key", &rng.bytes(value_width.into()))
                        .expect("memory");
                }
                core.freeze();
                let Some(layers) = core.first.layers() else { continue };
                for depth in [Depth::Overlay, Depth::All] {
                    let Some(numbers) = Numbers::new(&layers, depth, width, &|| true) else {
                        other += 1;
                        continue;
                    };
                    in_columns += 1;
                    let columns = image(Updated::Numbers(numbers), width, &mut rng);
                    let steps = Updated::Steps(Steps::new(&layers, depth));
                    assert!(columns == image(steps, width, &mut rng), "{round} {depth:?}");
                }
                core.fold_step().expect("memory");
            }
            core.check();
        }
        assert!(in_columns > 400 && other > 20, "{in_columns} {other}");
    }
}
