//! The checksum tree: where its blocks stand, and how it is written.
//!
//! ```text
//! data blocks | level 1 | level 2 | ... | one block
//! ```
//! A block of a level holds the checksums of up to 1,024 blocks of the level before it, in order,
//! four bytes each (little-endian), and zeros after the last. Levels follow until one has a single
//! block; the checksum of that one is the root. Data of a single block is its own top, data of no
//! block has the checksum of nothing.

use crate::arena::OutOfMemory;
use crate::checksum::{Hasher, checksum};

/// Bytes of a block: what is checked at once.
pub(crate) const BLOCK: usize = 4096;

/// Bytes of a block's checksum in the tree.
pub(super) const SUM_LEN: usize = 4;

/// Blocks whose checksums fit in one.
pub(super) const FANOUT: u64 = (BLOCK / SUM_LEN) as u64;

/// Levels over as many blocks as an offset of 64 bits can address: 52 bits, 10 for each level.
pub(super) const MAX_LEVELS: usize = 6;

/// Where data and tree stand in a file: a function of the length of the data alone.
///
/// The data starts with the file. Zeros fill its last block, then the tree follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TreeShape {
    /// The first block of each level and, after the last level, the first block behind the tree.
    /// Level 0 is the data.
    firsts: [u64; MAX_LEVELS + 2],
    levels: usize,
}

impl TreeShape {
    /// The shape over `data_len` bytes.
    pub(crate) fn of(data_len: u64) -> Self {
        let mut blocks = data_len.div_ceil(BLOCK as u64);
        let mut firsts = [0; MAX_LEVELS + 2];
        firsts[1] = blocks;
        let mut levels = 0;
        while blocks > 1 {
            blocks = blocks.div_ceil(FANOUT);
            levels += 1;
            firsts[levels + 1] = firsts[levels] + blocks;
        }
        Self { firsts, levels }
    }

    /// Number of levels of checksums.
    pub(super) fn levels(&self) -> usize {
        self.levels
    }

    /// Blocks of one level; level 0 is the data.
    pub(super) fn level(&self, level: usize) -> std::ops::Range<u64> {
        self.firsts[level]..self.firsts[level + 1]
    }

    /// Number of blocks of data and tree.
    pub(super) fn blocks(&self) -> u64 {
        self.firsts[self.levels + 1]
    }

    /// The block that holds the checksum of `block`, which is on `level`, and where in it.
    pub(super) fn parent(&self, level: usize, block: u64) -> (u64, usize) {
        let i = block - self.firsts[level];
        (self.firsts[level + 1] + i / FANOUT, (i % FANOUT) as usize * SUM_LEN)
    }

    /// Where the tree starts in the file, and the last block of the data ends.
    pub(crate) fn tree_offset(&self) -> u64 {
        self.firsts[1].saturating_mul(BLOCK as u64)
    }

    /// Where the tree ends in the file. `u64::MAX` for data that leaves no room for it.
    pub(crate) fn tree_end(&self) -> u64 {
        self.blocks().saturating_mul(BLOCK as u64)
    }
}

/// Makes the tree over data that is being written.
///
/// Holds four bytes for each block: a 1,024th of the data.
pub(crate) struct TreeBuilder {
    /// Checksums of the full blocks.
    sums: Vec<u8>,
    /// The block that is not full yet, and how much of it there is.
    hasher: Hasher,
    filled: usize,
}

impl TreeBuilder {
    /// Over no data yet.
    pub(crate) fn new() -> Self {
        Self { sums: Vec::new(), hasher: Hasher::new(), filled: 0 }
    }

    /// Takes the next bytes of the data, in pieces of any size.
    pub(crate) fn push(&mut self, mut bytes: &[u8]) -> Result<(), OutOfMemory> {
        let sums = (self.filled + bytes.len()) / BLOCK;
        self.sums.try_reserve(sums * SUM_LEN).map_err(|_| OutOfMemory)?;
        if self.filled > 0 {
            let (head, rest) = bytes.split_at(bytes.len().min(BLOCK - self.filled));
            self.hasher.update(head);
            self.filled += head.len();
            bytes = rest;
            if self.filled < BLOCK {
                return Ok(());
            }
            self.close_block()?;
        }
        let (blocks, rest) = bytes.as_chunks::<BLOCK>();
        for block in blocks {
            put_sum(&mut self.sums, checksum(block))?;
        }
        self.hasher.update(rest);
        self.filled = rest.len();
        Ok(())
    }

    fn close_block(&mut self) -> Result<(), OutOfMemory> {
        let hasher = std::mem::take(&mut self.hasher);
        self.filled = 0;
        put_sum(&mut self.sums, hasher.finalize())
    }

    /// All blocks of the tree, level 1 first, and the root. They stand in the file at
    /// [`TreeShape::tree_offset`], behind zeros that fill the last block of the data.
    pub(crate) fn finish(mut self) -> Result<(Vec<u8>, u32), OutOfMemory> {
        const ZEROS: [u8; BLOCK] = [0; BLOCK];
        if self.filled > 0 {
            self.hasher.update(&ZEROS[self.filled..]);
            self.close_block()?;
        }
        let mut tree = self.sums;
        if let Some(only) = tree.first_chunk().filter(|_| tree.len() == SUM_LEN) {
            return Ok((Vec::new(), u32::from_le_bytes(*only)));
        }
        // The checksums of one level are the bytes of the next.
        let mut level = 0;
        loop {
            let end = tree.len().next_multiple_of(BLOCK);
            tree.try_reserve(end - tree.len()).map_err(|_| OutOfMemory)?;
            tree.resize(end, 0);
            if end - level <= BLOCK {
                let root = checksum(&tree[level..]);
                return Ok((tree, root));
            }
            for block in (level..end).step_by(BLOCK) {
                let sum = checksum(&tree[block..block + BLOCK]);
                put_sum(&mut tree, sum)?;
            }
            level = end;
        }
    }
}

fn put_sum(sums: &mut Vec<u8>, sum: u32) -> Result<(), OutOfMemory> {
    sums.try_reserve(SUM_LEN).map_err(|_| OutOfMemory)?;
    sums.extend_from_slice(&sum.to_le_bytes());
    Ok(())
}
