//! The tree: an arena, a root, and the rules of copy-on-write.
//!
//! What holds here: versions. A pin is a root and an epoch; nodes made at or before a pinned epoch
//! may be reachable from that pin and are copied instead of changed, and what they replace waits
//! in limbo until no pin can reach it. Without a live pin every change is made in place.
//!
//! Epochs: `epoch` is given to every new node. A pin takes the current one; the first write after
//! a pin begins a new one. So a node can be reached by a pin only if its epoch is not newer than
//! the pin's. A leaf says the epoch of its entry only if a pin lived when that was written, which
//! spares most leaves the bytes: any pin that lives later may reach the others. While any pin
//! lives, no leaf is overwritten in place.

use super::node::{Editor, Kind, NodeRef, View};
use super::search::{self, Step};
use crate::arena::{Arena, ArenaError, OutOfMemory, Table};
use crate::entry::{Entry, ValueWidth};
use crate::planted::{Bug, planted};
use crate::stats::NodeCounts;
use crate::sync::Arc;
use std::collections::TryReserveError;

/// Why a write could not be made; the tree holds what it held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TreeError {
    /// No block could be had.
    Arena(ArenaError),
    /// All epochs are used up: this tree takes no more writes.
    EpochsUsedUp,
}

impl From<ArenaError> for TreeError {
    fn from(error: ArenaError) -> Self {
        Self::Arena(error)
    }
}

impl From<OutOfMemory> for TreeError {
    fn from(_: OutOfMemory) -> Self {
        Self::Arena(ArenaError::OutOfMemory)
    }
}

impl From<TryReserveError> for TreeError {
    fn from(_: TryReserveError) -> Self {
        Self::Arena(ArenaError::OutOfMemory)
    }
}

/// A block that left the tree while pins might still reach it.
#[derive(Clone, Copy)]
struct Retired {
    node: NodeRef,
    units: u32,
    /// Pins older than this cannot reach it.
    born: u16,
    /// Pins newer than this cannot reach it.
    until: u16,
    extent: Option<u32>,
}

/// Blocks that wait until no pin reaches them.
struct Limbo {
    blocks: Vec<Retired>,
    units: u64,
    /// Heap bytes of the large values among them.
    extent_bytes: usize,
    /// Swept when there are this many blocks.
    sweep_at: usize,
}

/// An ordered map from byte strings to entries: the mutable delta.
///
/// Lookups and writes cost O(key length); the order of children is the order of keys, so cursors
/// walk it both ways.
pub(crate) struct Tree {
    pub(super) arena: Arena,
    pub(super) root: Option<NodeRef>,
    pub(super) width: ValueWidth,
    epoch: u16,
    /// Whether a pin lives, and that nodes with an epoch up to this may be reachable by one. Set by
    /// `begin_write`, valid for one write: pins are taken only while no write runs. Not an `Option`,
    /// which would leave no room for the next field.
    has_pin: bool,
    newest_pin: u16,
    /// Bytes of every key, if all have as many, from 1 to 8; [`NO_KEY`] or [`OTHERS`].
    key_len: u8,
    /// Made when the first block has to wait for a pin.
    limbo: Option<Box<Limbo>>,
    /// Nodes by kind. A `u32` counts more nodes than an arena has room for.
    counts: [u32; 7],
    /// Steps from the root to the place of the current write.
    pub(super) path: Vec<Step>,
}

/// Nobody knows yet how long keys are. No key that is stored as a number is so long.
const NO_KEY: u8 = 9;

/// Keys have other lengths than from 1 to 8, or not all the same.
const OTHERS: u8 = u8::MAX;

/// Fewest blocks in limbo that are worth a sweep. A model has few blocks and looks at sweeps.
const SWEEP_MIN: usize = if cfg!(memkv_loom) { 2 } else { 64 };

/// Bytes of all blocks that one write makes, but for keys and values: a Node256 at most, headers of
/// others.
const LARGEST_WRITE: usize = 1_280;

/// Blocks that one write gives up at most, besides the nodes of its path.
const GIVEN_UP: usize = 8;

impl Tree {
    /// An empty tree for values of `width`. Allocates no chunk.
    pub(crate) fn new(width: ValueWidth) -> Self {
        Self {
            arena: Arena::new(),
            root: None,
            width,
            epoch: 0,
            has_pin: false,
            newest_pin: 0,
            key_len: NO_KEY,
            limbo: None,
            counts: [0; 7],
            path: Vec::new(),
        }
    }

    /// The entry of `key`.
    #[inline]
    pub(crate) fn get(&self, key: &[u8]) -> Option<Entry<'_>> {
        search::get(self.view(), self.root, key)
    }

    /// Asks for what a way down reads first.
    #[inline]
    pub(crate) fn ask(&self) {
        if let Some(root) = self.root {
            self.view().ask(root);
        }
    }

    /// Asks for all of it, or for so many bytes of it: entries lie in the order in which they were written,
    /// so that each would be waited for by whoever reads them by their keys.
    pub(crate) fn ask_for_all(&self, most: usize) {
        self.arena.table().ask_for_all(most);
    }

    /// Bytes of each key, if all that were ever put in have the same few, from 1 to 8.
    pub(crate) fn key_len(&self) -> Option<usize> {
        (self.key_len < NO_KEY).then_some(self.key_len.into())
    }

    /// Learns how long a key is that is put in.
    #[inline]
    pub(super) fn note_len(&mut self, key: &[u8]) {
        let len = u8::try_from(key.len()).ok().filter(|len| (1..NO_KEY).contains(len));
        if self.key_len != len.unwrap_or(OTHERS) {
            self.key_len = len.filter(|_| self.key_len == NO_KEY).unwrap_or(OTHERS);
        }
    }

    /// Number of entries, tombstones included.
    pub(crate) fn len(&self) -> u64 {
        u64::from(self.counts[Kind::Leaf as usize])
    }

    /// How many live keys the tree adds to the layers below it.
    pub(crate) fn weight(&self) -> i64 {
        self.root.map_or(0, |root| i64::from(self.view().node(root).weight()))
    }

    /// Bytes in nodes of the current tree.
    pub(crate) fn used_bytes(&self) -> usize {
        self.arena.used_bytes() - self.limbo_bytes()
    }

    /// Bytes in nodes that only pins reach.
    pub(crate) fn limbo_bytes(&self) -> usize {
        self.limbo.as_ref().map_or(0, |limbo| limbo.units as usize * crate::arena::UNIT)
    }

    /// Bytes of large values that only pins reach.
    pub(crate) fn limbo_extent_bytes(&self) -> usize {
        self.limbo.as_ref().map_or(0, |limbo| limbo.extent_bytes)
    }

    /// Bytes of the arena's chunks.
    pub(crate) fn chunk_bytes(&self) -> usize {
        self.arena.chunk_bytes()
    }

    /// Bytes that the arena may grow by when a key and a value of `bytes` together are put in, if
    /// no pin lives.
    pub(crate) fn growth_bytes(&self, bytes: usize) -> usize {
        self.arena.growth_bytes(Self::write_bytes(bytes))
    }

    /// Bytes of all blocks that putting in a key and a value of `bytes` together makes, at most.
    pub(crate) fn write_bytes(bytes: usize) -> usize {
        // The leaf, a node that grows, and a forked prefix, in nodes of up to 255 of its bytes.
        2 * bytes + LARGEST_WRITE
    }

    /// Heap bytes beside chunks and extents.
    pub(crate) fn overhead_bytes(&self) -> usize {
        self.arena.overhead_bytes()
            + self.limbo.as_ref().map_or(0, |limbo| {
                size_of::<Limbo>() + limbo.blocks.capacity() * size_of::<Retired>()
            })
            + self.path.capacity() * size_of::<Step>()
    }

    /// Heap bytes of large values.
    pub(crate) fn extent_bytes(&self) -> usize {
        self.arena.table().memory().extent_bytes()
    }

    /// Nodes by kind.
    pub(crate) fn counts(&self) -> NodeCounts {
        let count = |kind: Kind| u64::from(self.counts[kind as usize]);
        NodeCounts {
            leaf: count(Kind::Leaf),
            node4: count(Kind::Node4),
            node16_short: count(Kind::Node16Short),
            node16: count(Kind::Node16),
            node48: count(Kind::Node48),
            node256: count(Kind::Node256),
            prefix: count(Kind::Prefix),
        }
    }

    /// A consistent view of the tree as it is, at O(1) cost.
    ///
    /// Must not run beside a write: the partition's lock sees to that. Later writes leave what the
    /// pin reaches alone, so it is read without a lock.
    pub(crate) fn pin(&self) -> Pin {
        self.arena.table().memory().pin(self.epoch);
        Pin {
            table: Arc::clone(self.arena.table()),
            root: self.root,
            width: self.width,
            epoch: self.epoch,
        }
    }

    #[inline]
    pub(super) fn view(&self) -> View<'_> {
        View::new(self.arena.table(), self.width)
    }

    #[inline]
    pub(super) fn editor(&mut self) -> Editor<'_> {
        Editor::new(&mut self.arena, self.width, self.epoch)
    }

    /// Whether a leaf may be overwritten where it is.
    #[inline]
    pub(super) fn is_unpinned(&self) -> bool {
        !self.has_pin
    }

    /// The newest epoch that a pin may reach, if a pin lives.
    #[inline]
    fn pinned(&self) -> Option<u16> {
        self.has_pin.then_some(self.newest_pin)
    }

    /// The epoch that a leaf written now has to say.
    #[inline]
    pub(super) fn leaf_epoch(&self) -> Option<u16> {
        self.has_pin.then_some(self.epoch)
    }

    /// Opens a write: finds out which nodes pins may reach.
    #[inline]
    pub(super) fn begin_write(&mut self) -> Result<(), TreeError> {
        let pinned = self.arena.table().memory().newest_pin();
        (self.has_pin, self.newest_pin) = (pinned.is_some(), pinned.unwrap_or(0));
        if let Some(newest) = pinned
            && newest == self.epoch
        {
            self.epoch = self.epoch.checked_add(1).ok_or(TreeError::EpochsUsedUp)?;
        }
        if let Some(limbo) = &self.limbo
            && !limbo.blocks.is_empty()
            && (!self.has_pin || limbo.blocks.len() >= limbo.sweep_at)
        {
            self.sweep();
        }
        Ok(())
    }

    /// Returns to the arena what no pin reaches any more.
    #[cold]
    fn sweep(&mut self) {
        // Without memory for a list of them, the blocks wait for the next sweep.
        let Ok(mut pinned) = self.arena.table().memory().pinned_epochs() else { return };
        if planted(Bug::SweepIgnoresOlderPins) {
            pinned.drain(..pinned.len().saturating_sub(1));
        }
        let Some(mut limbo) = self.limbo.take() else { return };
        limbo.blocks.retain(|block| {
            let first = pinned.partition_point(|&epoch| epoch < block.born);
            let is_reached = pinned.get(first).is_some_and(|&epoch| epoch <= block.until);
            if !is_reached {
                limbo.units -= u64::from(block.units);
                limbo.extent_bytes -= self.extent_bytes_in(block.extent);
                self.release(block.node, block.units, block.extent);
            }
            is_reached
        });
        limbo.sweep_at = (2 * limbo.blocks.len()).max(SWEEP_MIN);
        limbo.blocks.shrink_to(limbo.sweep_at);
        self.limbo = Some(limbo);
    }

    /// Makes every inner node on the path one that may be changed, copying those that pins may
    /// reach. Readers of the tree see no difference.
    #[inline]
    pub(super) fn own_path(&mut self) -> Result<(), TreeError> {
        if self.has_pin { self.copy_path() } else { Ok(()) }
    }

    #[cold]
    fn copy_path(&mut self) -> Result<(), TreeError> {
        // What a write gives up: copied nodes, a rebuilt one, one or two leaves, a joined prefix.
        let given_up = self.path.len() + GIVEN_UP;
        self.open_limbo().blocks.try_reserve(given_up)?;
        for i in 0..self.path.len() {
            let node = self.path[i].node;
            let owned = self.own(node)?;
            if owned != node {
                self.path[i].node = owned;
                self.link(i, Some(owned));
            }
        }
        Ok(())
    }

    /// The inner node itself if it may be changed, else a copy of it that has taken its place in
    /// the counts; the caller links it.
    pub(super) fn own(&mut self, node: NodeRef) -> Result<NodeRef, TreeError> {
        let view = self.view().node(node);
        let (epoch, units) = (view.epoch(), view.units());
        let skip = planted(Bug::CopySkippedUnderPin);
        if self.pinned().is_none_or(|newest| epoch > newest) || skip {
            return Ok(node);
        }
        self.arena.reserve(units)?;
        let copy = self.editor().copy_inner(node);
        self.count(copy, 1);
        self.retire_inner(node);
        Ok(copy)
    }

    /// Hangs `child` where step `depth` of the path begins: below the step before it, or as root.
    pub(super) fn link(&mut self, depth: usize, child: Option<NodeRef>) {
        match depth.checked_sub(1).map(|above| self.path[above]) {
            None => self.root = child,
            Some(step) => {
                let child = child.expect("only the root can become empty");
                self.editor().set_child(step.node, usize::from(step.slot), child);
            }
        }
    }

    /// Adds to the weights of the first `depth` nodes of the path.
    #[inline]
    pub(super) fn add_weight(&mut self, depth: usize, change: i32) {
        if change == 0 {
            return;
        }
        for i in 0..depth {
            let node = self.path[i].node;
            self.editor().add_weight(node, change);
        }
    }

    /// Takes a node that `Editor` made into the counts (`change` 1), or one out of them (-1).
    #[inline]
    pub(super) fn count(&mut self, node: NodeRef, change: i32) {
        let kind = View::new(self.arena.table(), self.width).node(node).kind();
        let count = &mut self.counts[kind as usize];
        *count = count.wrapping_add_signed(change);
    }

    /// Gives up an inner node that the tree no longer reaches.
    pub(super) fn retire_inner(&mut self, node: NodeRef) {
        self.count(node, -1);
        let view = self.view().node(node);
        let (units, born) = (view.units(), view.epoch());
        self.retire(node, units, born, None);
    }

    /// Gives up a leaf that the tree no longer reaches, and with it its extent unless a new leaf
    /// has taken that over.
    pub(super) fn retire_leaf(&mut self, leaf: NodeRef, extent: Option<u32>) {
        self.count(leaf, -1);
        // A leaf that was moved has its entry's epoch, and so an extent's too: extents move along.
        let view = self.view().node(leaf);
        let (units, born) = (view.units(), view.epoch());
        self.retire(leaf, units, born, extent);
    }

    fn retire(&mut self, node: NodeRef, units: u32, born: u16, extent: Option<u32>) {
        match self.pinned() {
            Some(until) if born <= until => {
                let extent_bytes = self.extent_bytes_in(extent);
                let limbo = self.open_limbo();
                limbo.units += u64::from(units);
                limbo.extent_bytes += extent_bytes;
                limbo.blocks.push(Retired { node, units, born, until, extent });
            }
            _ => self.release(node, units, extent),
        }
    }

    /// Where blocks wait for pins.
    fn open_limbo(&mut self) -> &mut Limbo {
        self.limbo.get_or_insert_with(|| {
            let (blocks, sweep_at) = (Vec::new(), SWEEP_MIN);
            Box::new(Limbo { blocks, units: 0, extent_bytes: 0, sweep_at })
        })
    }

    fn extent_bytes_in(&self, extent: Option<u32>) -> usize {
        extent.map_or(0, |slot| self.arena.table().memory().extent_bytes_in(slot))
    }

    fn release(&mut self, node: NodeRef, units: u32, extent: Option<u32>) {
        if let Some(slot) = extent {
            self.arena.table().memory().remove_extent(slot);
        }
        self.editor().free(node, units);
    }

    #[cfg(any(test, fuzzing))]
    pub(crate) fn set_epoch(&mut self, epoch: u16) {
        self.epoch = epoch;
    }

    #[cfg(any(test, fuzzing))]
    pub(super) fn limbo_units(&self) -> u64 {
        let blocks = self.limbo.as_ref().map_or(&[][..], |limbo| &limbo.blocks);
        blocks.iter().map(|block| u64::from(block.units)).sum()
    }
}

/// An immutable view of a tree at one moment, read without a lock. Keeps the arena alive.
pub(crate) struct Pin {
    table: Arc<Table>,
    pub(super) root: Option<NodeRef>,
    width: ValueWidth,
    epoch: u16,
}

impl Pin {
    /// The entry of `key`.
    pub(crate) fn get(&self, key: &[u8]) -> Option<Entry<'_>> {
        search::get(self.view(), self.root, key)
    }

    #[inline]
    pub(super) fn view(&self) -> View<'_> {
        View::new(&self.table, self.width)
    }
}

impl Clone for Pin {
    fn clone(&self) -> Self {
        self.table.memory().pin_again(self.epoch);
        Self { table: Arc::clone(&self.table), ..*self }
    }
}

impl Drop for Pin {
    fn drop(&mut self) {
        self.table.memory().unpin(self.epoch);
    }
}
