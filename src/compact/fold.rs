//! One fold: layers in, new layers out. Touches nothing that readers see; publishing is not here.

use super::policy::Target;
use crate::cursor::Cursor;
use crate::entry::{Below, EntryKind, ValueWidth};
use crate::error::Error;
use crate::partition::{Depth, Layers};
use crate::planted::{Bug, planted};
use crate::segment::{CodecChoice, SegmentBuilder};
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
    let segment = if written == 0 { None } else { Some(Arc::new(builder.finish()?)) };
    let folded = Layers { frozen: None, ..layers.clone() };
    let folded = match target {
        Target::Overlay => Layers { overlay: segment, ..folded },
        Target::Base => Layers { overlay: None, base: segment, ..folded },
    };
    Ok(Some((folded, written)))
}
