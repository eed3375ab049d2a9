//! Plain numbers about a map: memory by part, node counts, what folding did.

/// Heap bytes a map owns, by part. Sums what was requested from the allocator.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MemoryUsage {
    /// The mutable radix tree: whole chunks of its arena, used or not.
    pub delta: usize,
    /// The frozen radix tree, while a fold has not yet published its segment.
    pub frozen: usize,
    /// The newer, smaller segment.
    pub overlay: usize,
    /// The large segment.
    pub base: usize,
    /// Byte values above 1 KiB, shared by all layers.
    pub extents: usize,
    /// Filters in front of the delta.
    pub filter: usize,
    /// Handles, locks and tables.
    pub overhead: usize,
}

impl MemoryUsage {
    /// All parts together, in bytes.
    pub fn total(&self) -> usize {
        let Self { delta, frozen, overlay, base, extents, filter, overhead } = *self;
        delta + frozen + overlay + base + extents + filter + overhead
    }

    /// Adds what something else owns.
    pub(crate) fn add(&mut self, other: &Self) {
        let Self { delta, frozen, overlay, base, extents, filter, overhead } = other;
        self.delta += delta;
        self.frozen += frozen;
        self.overlay += overlay;
        self.base += base;
        self.extents += extents;
        self.filter += filter;
        self.overhead += overhead;
    }
}

/// How many nodes of each kind a radix tree has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NodeCounts {
    /// Leaves: one for each entry, tombstones included.
    pub leaf: u64,
    /// Inner nodes of up to 4 children.
    pub node4: u64,
    /// Inner nodes of up to 10 children, 64 bytes each.
    pub node16_short: u64,
    /// Inner nodes of up to 16 children.
    pub node16: u64,
    /// Inner nodes of up to 48 children (three sizes).
    pub node48: u64,
    /// Inner nodes of up to 256 children.
    pub node256: u64,
    /// Spilled prefixes: nodes with one child and a run of key bytes.
    pub prefix: u64,
}

impl NodeCounts {
    /// Adds the nodes of another tree.
    pub(crate) fn add(&mut self, other: &Self) {
        let Self { leaf, node4, node16_short, node16, node48, node256, prefix } = other;
        self.leaf += leaf;
        self.node4 += node4;
        self.node16_short += node16_short;
        self.node16 += node16;
        self.node48 += node48;
        self.node256 += node256;
        self.prefix += prefix;
    }
}

/// What one segment is, or several together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SegmentStats {
    /// Entries, tombstones included.
    pub entries: u64,
    /// Tombstones among them.
    pub tombstones: u64,
    /// Bytes of the whole image.
    pub bytes: usize,
    /// Bytes of the key index.
    pub key_bytes: usize,
    /// Bytes of the values.
    pub value_bytes: usize,
    /// Name of the codec: `"plain"`, `"front"` (front-coded blocks), `"fsst"` (those with a table of
    /// symbols), `"int"` (packed numbers), `"wide"` (packed heads, and tails), `"fst"` (a transducer),
    /// `"direct"` (blocks with a point index) or `"direct-fsst"` (those with a table of symbols); `"mixed"`
    /// for segments of several.
    pub codec: &'static str,
}

impl SegmentStats {
    /// Adds another segment.
    pub(crate) fn add(&mut self, other: &Self) {
        if self.entries == 0 {
            self.codec = other.codec;
        } else if self.codec != other.codec {
            self.codec = "mixed";
        }
        self.entries += other.entries;
        self.tombstones += other.tombstones;
        self.bytes += other.bytes;
        self.key_bytes += other.key_bytes;
        self.value_bytes += other.value_bytes;
    }
}

/// How far [`verify_with`](crate::MemKV::verify_with) has come.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct VerifyProgress {
    /// Bytes that have been read and found sound. Those of a file count twice: once as blocks, once
    /// for what they mean.
    pub done_bytes: u64,
    /// Bytes to read in all.
    pub total_bytes: u64,
}

/// A map's state in numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Live entries: what `len` answers.
    pub entries: u64,
    /// Partitions: key ranges that are folded one by one.
    pub partitions: usize,
    /// Entries in the deltas, tombstones included.
    pub delta_entries: u64,
    /// Arena bytes of the delta in use by live nodes.
    pub delta_used_bytes: usize,
    /// Arena bytes of the delta that wait for a pin to go before they can be used again.
    pub delta_limbo_bytes: usize,
    /// Nodes of the delta by kind.
    pub nodes: NodeCounts,
    /// Entries in the frozen delta.
    pub frozen_entries: u64,
    /// The overlays of all partitions together, if there is one.
    pub overlay: Option<SegmentStats>,
    /// The bases of all partitions together, if there is one.
    pub base: Option<SegmentStats>,
    /// Bytes of the segment that is read from the file the map was opened from; 0 if there is none.
    pub stored_bytes: usize,
    /// Folds that published a segment.
    pub folds: u64,
    /// Folds that failed and left their input in place.
    pub failed_folds: u64,
    /// Entries written into segments by all folds together, but for those that were copied.
    pub entries_encoded: u64,
    /// Entries of the bases whose keys the last fold copied, as they are stored, from the base before:
    /// the others it wrote anew.
    pub entries_copied: u64,
    /// Times that partitions were put in the place of others: divided, joined with a neighbour, or
    /// added by a bulk load.
    pub exchanges: u64,
    /// Gets answered by the delta, the frozen delta, the overlay and the base, in this order.
    /// Counted in test builds of the library only; zero otherwise.
    pub hits_by_layer: [u64; 4],
}
