//! One fold: layers in, new layers out. Touches nothing that readers see; publishing is not here.

use super::policy::Target;
use crate::cursor::Cursor;
use crate::entry::{Below, EntryKind, ValueWidth};
use crate::error::{Corruption, Error};
use crate::partition::{Depth, Layers, Pinned};
use crate::planted::{Bug, planted};
use crate::segment::{CodecChoice, Segment, SegmentBuilder};
use crate::sync::Arc;
use bumpalo::Bump;

/// How many entries are written between two looks at whether to go on.
const LOOK_EVERY: u64 = 1_024;

/// Writes the segment that `target` asks for, and answers the layers with it in place of its
/// sources, and how many entries it has. `None` if `go_on` said no.
///
/// A tombstone dies in a base, and in an overlay when nothing below has its key (I3).
pub(super) fn fold(
    layers: &Layers,
    target: Target,
    width: ValueWidth,
    go_on: impl Fn() -> bool,
) -> Result<Option<(Layers, u64)>, Error> {
    let bump = Bump::new();
    let depth = match target {
        Target::Overlay => Depth::Overlay,
        Target::Base => Depth::All,
    };
    let mut builder = SegmentBuilder::new(width, &bump, CodecChoice::Automatic)?;
    let mut cursor = layers.merged(depth);
    cursor.first();
    let mut seen = 0;
    while cursor.valid() {
        if seen % LOOK_EVERY == 0 && !go_on() {
            return Ok(None);
        }
        seen += 1;
        let entry = cursor.entry();
        let dies = match (entry.kind, target) {
            (EntryKind::Value, _) => false,
            (EntryKind::Tombstone, Target::Base) => true,
            (EntryKind::Tombstone, Target::Overlay) => {
                entry.below == Below::Absent || planted(Bug::OverlayFoldDropsTombstones)
            }
        };
        if !dies {
            builder.push(cursor.key(), entry)?;
        }
        cursor.next();
    }
    cursor.status()?;
    let written = builder.len();
    if target == Target::Base && written != layers.live {
        // The count of an opened file is taken at its word until all of it is read.
        return Err(
            Corruption::new("segment", written, "it has as many values as it counts").into()
        );
    }
    let segment = if written == 0 { None } else { Some(Arc::new(builder.finish()?)) };
    let folded = Layers { frozen: None, ..layers.clone() };
    let folded = match target {
        Target::Overlay => Layers { overlay: segment, ..folded },
        Target::Base => Layers { overlay: None, base: segment, ..folded },
    };
    Ok(Some((folded, written)))
}

/// All live entries of a view in one base: its own, if nothing is above that, or a new one. `None`
/// if there are none.
pub(super) fn gather(view: &Pinned, width: ValueWidth) -> Result<Option<Arc<Segment>>, Error> {
    if view.is_base_only() {
        return Ok(view.segments().next().cloned());
    }
    let bump = Bump::new();
    let mut builder = SegmentBuilder::new(width, &bump, CodecChoice::Automatic)?;
    let mut cursor = view.cursor();
    cursor.first();
    while cursor.valid() {
        builder.push(cursor.key(), cursor.entry())?;
        cursor.next();
    }
    cursor.status()?;
    if builder.len() == 0 { Ok(None) } else { Ok(Some(Arc::new(builder.finish()?))) }
}
