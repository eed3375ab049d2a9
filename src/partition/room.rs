//! Room under a memory limit: what a partition holds, and what a write may need.
//!
//! What holds here: while a write runs, what it may need has been set aside, so that writers that
//! run side by side do not each take the last room there is.

use super::{Partition, Shared, State, WriteError, Writes};
use crate::blocks::Blocks;
use crate::entry::ValueRef;
use crate::stats::MemoryUsage;
use crate::sync::Arc;

/// Heap bytes of a partition without content, and of its place in a directory, without its bound.
const BLANK_BYTES: usize = size_of::<Partition>() + 6 * size_of::<usize>();

/// Bytes that a value out of line takes beside its content.
const EXTENT_BYTES: usize = 64;

/// What a fold into a base could win.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Room {
    /// Bytes of all that a base would take the place of.
    pub(crate) loose: usize,
    /// Bytes of the base.
    pub(crate) base: usize,
}

/// Memory set aside for a write until that has told what it has taken.
pub(super) struct SetAside<'a> {
    /// Several writers draw on this. A map of one partition has one at a time.
    shared: Option<&'a Shared>,
    bytes: usize,
}

impl Drop for SetAside<'_> {
    fn drop(&mut self) {
        if let Some(shared) = self.shared {
            shared.give_back(self.bytes);
        }
    }
}

impl Partition {
    /// Sets aside what a write may need, if there is a limit.
    #[inline]
    pub(super) fn set_aside<'a>(
        &self,
        writes: Writes<'a>,
        state: &State,
        key: &[u8],
        value: ValueRef<'_>,
    ) -> Result<Option<SetAside<'a>>, WriteError> {
        let Some(limit) = writes.limit else { return Ok(None) };
        let bytes = state.growth_bytes(key, value);
        let aside = SetAside { shared: writes.shared, bytes };
        let held = match writes.shared {
            Some(shared) => shared.set_aside(bytes),
            None => self.gauge().load().held.saturating_add(bytes),
        };
        if held > limit { Err(WriteError::OverLimit) } else { Ok(Some(aside)) }
    }

    /// What a fold into a base could win here.
    pub(crate) fn room(&self) -> Room {
        let state = self.state.read();
        let usage = state.usage();
        let layers = usage.delta + usage.frozen + usage.overlay + usage.filter;
        let loose = layers + state.widening_bytes(0);
        Room { loose, base: usage.base }
    }

    /// Heap bytes by part. `counted` is the file that has been counted already.
    pub(crate) fn add_usage(&self, usage: &mut MemoryUsage, counted: &mut Option<Arc<Blocks>>) {
        let state = self.state.read();
        usage.add(&state.usage());
        if let Some(layers) = &state.layers {
            layers.add_file_usage(usage, counted);
        }
    }
}

impl State {
    /// Heap bytes by part, without those of a file.
    fn usage(&self) -> MemoryUsage {
        let mut usage = MemoryUsage::default();
        if let Some(delta) = &self.delta {
            delta.add_usage(&mut usage);
        }
        if let Some(layers) = &self.layers {
            layers.add_usage(&mut usage);
        }
        usage
    }

    /// All that the partition holds.
    pub(super) fn held_bytes(&self) -> usize {
        BLANK_BYTES + self.usage().total() + self.widening_bytes(0)
    }

    /// Bytes that a fold may add to values that are packed, with so many more entries than there are.
    fn widening_bytes(&self, more: u64) -> usize {
        let Some(layers) = &self.layers else { return 0 };
        let delta = self.delta.as_ref().map_or(0, |delta| delta.tree.len());
        layers.widening_bytes(delta + layers.newer_entries() + more)
    }

    /// Bytes that putting this in may take at most, if no pin lives.
    fn growth_bytes(&self, key: &[u8], value: ValueRef<'_>) -> usize {
        let (inline, out_of_line) = match value {
            ValueRef::Inline(bytes) => (bytes.len(), 0),
            ValueRef::Extent(extent) => (0, EXTENT_BYTES + extent.as_slice().len()),
        };
        let put = key.len() + inline;
        let nodes = match &self.delta {
            Some(delta) => delta.tree.growth_bytes(put),
            None => super::Delta::new_bytes(put),
        };
        nodes + out_of_line + (self.widening_bytes(1) - self.widening_bytes(0))
    }
}
