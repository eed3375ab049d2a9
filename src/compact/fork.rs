//! A second map with the same content, which shares what does not change.

use super::pieces::Piece;
use super::{Core, policy};
use crate::art::ArtCursor;
use crate::cursor::Cursor;
use crate::error::Error;
use crate::options::Compaction;
use crate::partition::{Part, Partition, WriteError};
use crate::sync::{Arc, Weak};

impl Core {
    /// A map with the content that this one has now, in the same partitions: the layers of each are
    /// those that it has here. A delta that cannot be shared, because another one is frozen
    /// already, is copied when no lock is held any more.
    pub(crate) fn fork(&self) -> Result<Self, Error> {
        // No partition is divided or joined before all are locked.
        let unchanged = self.publishing.read();
        let directory = self.many.get().map(|many| Arc::clone(&many.routes.read()));
        let own: Vec<&Partition> = match &directory {
            None => vec![&self.first],
            Some(directory) => directory.partitions().iter().map(|own| &**own).collect(),
        };
        let parts = Partition::part_all(&own, self.shared());
        drop(unchanged);
        let bound = |at| directory.as_ref().map_or(&[][..], |directory| directory.bound(at));
        let piece = |(at, part): (usize, &Part)| Piece {
            bound: bound(at).into(),
            layers: part.layers.as_deref().cloned().unwrap_or_default(),
        };
        let file = self.file.as_ref().and_then(Weak::upgrade);
        let file = file.as_ref().map(Arc::downgrade);
        let fork = Self { file, ..Self::new(self.width(), self.options.clone()) };
        let adopted = fork.adopt(parts.iter().enumerate().map(piece).collect())?;
        assert!(adopted.is_ok(), "a new map is blank");
        for (partition, part) in fork.partitions().iter().zip(&parts) {
            let Some(delta) = &part.delta else { continue };
            let mut entries = ArtCursor::new(delta);
            entries.first();
            partition.inherit(&mut entries, None).map_err(WriteError::at_rest)?;
            partition.announce(fork.shared());
        }
        Ok(fork)
    }

    /// Has the worker look at what a new map has in its deltas, as if it had been written there.
    pub(crate) fn look_after(core: &Arc<Self>) {
        let is_watched = core.options.compaction == Compaction::Background;
        if is_watched && core.load().bytes >= policy::MIN_AGED_BYTES {
            Self::watch(core);
        }
    }
}
