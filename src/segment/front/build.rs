//! Builds front-coded blocks in one pass over sorted keys, and the tree over them at the end.
//!
//! What all keys share is known when the last one is. Until then heads are staged whole; nothing
//! else of a block depends on it.

use super::super::format::{Section, SectionLens};
use super::super::points::{PointStage, PointTable};
use super::super::slabs::Column;
use super::block::{BlockStage, MAX_KEYS, Text, len_field, len_len};
use super::cut::REACH;
use super::forms::KeyBlock;
use super::recode::CodedBlocks;
use super::symbols::TABLE_LEN;
use super::tree::{LEVELS, NODE_LEN, Shape, TreeBuilder, TreeSink};
use super::{Form, PREFIX_AT, PREFIX_LEN_AT, SHIFT_AT, front_len, offset_width};
use crate::arena::OutOfMemory;
use bumpalo::Bump;
use std::array;

/// Keys being collected.
pub(in super::super) struct FrontStage<'b> {
    bump: &'b Bump,
    /// Keys of a block, as the power of two.
    shift: u32,
    form: Form,
    block: BlockStage,
    rest: Vec<u8>,
    /// Of each block its head, whole, and what comes after it.
    blocks: Column<'b>,
    /// Of each block the lengths of head and common part, and of what comes after it (two numbers).
    lens: Column<'b>,
    separators: Separators<'b>,
    first_key: Vec<u8>,
    /// What all keys share, if there is one.
    prefix_len: Option<usize>,
    /// For the point index, if there is one.
    points: Option<PointStage<'b>>,
}

impl<'b> FrontStage<'b> {
    /// No keys yet, for blocks of this form and so many keys as this power of two.
    pub(in super::super) fn new(bump: &'b Bump, shift: u32, form: Form) -> Self {
        Self {
            bump,
            shift,
            form,
            block: BlockStage::default(),
            rest: Vec::new(),
            blocks: Column::new(bump),
            lens: Column::new(bump),
            separators: Separators::new(bump),
            first_key: Vec::new(),
            prefix_len: None,
            points: (form == Form::Direct).then(|| PointStage::new(bump)),
        }
    }

    /// Appends a key, of at most 65,535 bytes, whatever follows it, that is greater than the one before it
    /// and shares so many bytes with that.
    pub(in super::super) fn push(
        &mut self,
        (key, len): Text<'_>,
        shared: usize,
    ) -> Result<(), OutOfMemory> {
        if let Some(points) = &mut self.points {
            points.push(&key[..len])?;
        }
        match self.prefix_len {
            None => {
                self.first_key.try_reserve(len)?;
                self.first_key.extend_from_slice(&key[..len]);
                self.prefix_len = Some(len);
            }
            Some(prefix_len) => {
                self.prefix_len = Some(prefix_len.min(shared));
                if self.block.len() >= 1 << self.shift {
                    self.close_block()?;
                    self.separators.push(&key[..=shared])?;
                }
            }
        }
        self.block.push((key, len), shared)
    }

    #[inline(never)]
    fn close_block(&mut self) -> Result<(), OutOfMemory> {
        let Self { block, rest, .. } = self;
        rest.clear();
        let common = block.common();
        let mut head = block.head();
        let mut tags = [0; MAX_KEYS];
        let parts = match self.form {
            Form::Chained => match block.tags(&mut tags) {
                (tags, Some(suffixes)) => [tags, suffixes],
                (tags, None) => {
                    block.put_rest(rest)?;
                    [tags, rest]
                }
            },
            Form::Direct => {
                head = &head[..common];
                block.put_suffixes(rest)?;
                [&[][..], rest]
            }
        };
        self.blocks.append(head)?;
        let mut len = 0;
        for part in parts {
            self.blocks.append(part)?;
            len += part.len() as u32;
        }
        let numbers = [head.len() as u32, common as u32, len, len >> 16];
        let mut bytes = [0; 8];
        for (bytes, number) in bytes.as_chunks_mut().0.iter_mut().zip(numbers) {
            *bytes = (number as u16).to_le_bytes();
        }
        // All four, or none: a slab has room for whole ones.
        self.lens.append(&bytes)?;
        self.block.clear();
        Ok(())
    }

    /// The finished blocks and the tree over them.
    pub(in super::super) fn finish(mut self) -> Result<FinishedFront<'b>, OutOfMemory> {
        let keys_of_last = self.block.len();
        if keys_of_last > 0 {
            self.close_block()?;
        }
        let mut prefix = self.first_key;
        prefix.truncate(self.prefix_len.unwrap_or(0));
        let mut finished = FinishedFront {
            tree: TreeStage::new(self.bump),
            blocks: self.blocks,
            lens: self.lens,
            coded: None,
            keys_of_last,
            count: 0,
            blocks_len: 0,
            shift: self.shift,
            form: self.form,
            prefix,
            points: self.points.map(PointStage::finish).transpose()?.flatten(),
        };
        let (mut count, mut len) = (0, 0);
        for block in finished.stored_lens() {
            count += 1;
            len += block;
        }
        (finished.count, finished.blocks_len) = (count, len);
        if count > 0 {
            finished.plant(&self.separators, &mut self.rest)?;
        }
        Ok(finished)
    }
}

/// What separates each block from the one before it.
pub(super) struct Separators<'b> {
    bytes: Column<'b>,
    lens: Column<'b>,
}

impl<'b> Separators<'b> {
    /// None yet.
    pub(super) fn new(bump: &'b Bump) -> Self {
        Self { bytes: Column::new(bump), lens: Column::new(bump) }
    }

    /// Appends the next one, which has at most 65,535 bytes.
    pub(super) fn push(&mut self, separator: &[u8]) -> Result<(), OutOfMemory> {
        self.bytes.append(separator)?;
        self.lens.append_u16(separator.len() as u16)
    }
}

/// Lengths of the parts of a block.
struct BlockLens {
    head: usize,
    common: usize,
    rest: usize,
    prefix: usize,
    form: Form,
}

impl BlockLens {
    /// The lengths that the block begins with.
    fn fields(&self) -> impl Iterator<Item = usize> + use<> {
        // In a block of the direct form, the common part stands in the place of a head.
        let fields = if self.form == Form::Direct { 1 } else { 2 };
        let prefix = self.prefix;
        [self.head, self.common].into_iter().take(fields).map(move |len| len - prefix)
    }

    /// Bytes of the block.
    fn len(&self) -> usize {
        let lens: usize = self.fields().map(len_len).sum();
        lens + self.head - self.prefix + self.rest
    }
}

/// Blocks and tree, ready to be written.
pub(in super::super) struct FinishedFront<'b> {
    tree: TreeStage<'b>,
    blocks: Column<'b>,
    lens: Column<'b>,
    /// What is written instead of them, if they become codes.
    coded: Option<CodedBlocks<'b>>,
    /// Keys of the last block.
    keys_of_last: usize,
    /// Number of blocks.
    count: u64,
    /// Bytes of the blocks as they are written.
    blocks_len: usize,
    shift: u32,
    form: Form,
    prefix: Vec<u8>,
    points: Option<PointTable>,
}

impl<'b> FinishedFront<'b> {
    /// Blocks that are stored as these are, of which there is one at least, of keys that begin with
    /// `prefix`; the last one has so many.
    pub(super) fn of_stored(
        bump: &'b Bump,
        stored: CodedBlocks<'b>,
        separators: &Separators<'b>,
        shift: u32,
        prefix: Vec<u8>,
        keys_of_last: usize,
    ) -> Result<Self, OutOfMemory> {
        let mut finished = Self {
            tree: TreeStage::new(bump),
            blocks: Column::new(bump),
            lens: Column::new(bump),
            count: (stored.lens.len() / 4) as u64,
            blocks_len: stored.blocks.len(),
            coded: Some(stored),
            keys_of_last,
            shift,
            form: Form::Chained,
            prefix,
            points: None,
        };
        finished.plant(separators, &mut Vec::new())?;
        Ok(finished)
    }

    /// Makes the tree over all blocks, of which there is one at least.
    fn plant(
        &mut self,
        separators: &Separators<'b>,
        separator: &mut Vec<u8>,
    ) -> Result<(), OutOfMemory> {
        let mut tree = TreeBuilder::new();
        let mut bytes = separators.bytes.reader();
        for len in separators.lens.u16s() {
            separator.clear();
            separator.try_reserve(usize::from(len))?;
            separator.resize(usize::from(len), 0);
            bytes.read(separator);
            tree.push(&separator[self.prefix.len()..], &mut self.tree)?;
        }
        tree.finish(&mut self.tree)
    }

    /// Number of keys.
    pub(super) fn entries(&self) -> u64 {
        (self.count.saturating_sub(1) << self.shift) + self.keys_of_last as u64
    }

    /// Number of blocks.
    pub(super) fn count(&self) -> u64 {
        self.count
    }

    /// Bytes of the blocks as they are written.
    pub(super) fn blocks_len(&self) -> usize {
        self.blocks_len
    }

    /// Has blocks of codes written.
    pub(super) fn replace(&mut self, coded: CodedBlocks<'b>) {
        self.blocks_len = coded.blocks.len();
        self.coded = Some(coded);
    }

    /// Bytes of each block as it is written.
    fn stored_lens(&self) -> impl Iterator<Item = usize> {
        let mut text = self.block_lens().map(|lens| lens.len());
        let mut coded = self.coded.as_ref().map(|coded| coded.lens.u16s().map(usize::from));
        std::iter::from_fn(move || match &mut coded {
            Some(numbers) => Some(numbers.next()? | numbers.next()? << 16),
            None => text.next(),
        })
    }

    /// Reads blocks as text, of those numbers that `is_taken` says, until `visit` answers false.
    pub(super) fn each_block(
        &self,
        is_taken: impl Fn(u64) -> bool,
        mut visit: impl FnMut(KeyBlock<'_>) -> Result<bool, OutOfMemory>,
    ) -> Result<bool, OutOfMemory> {
        let mut staged = self.blocks.reader();
        let mut block = Vec::new();
        for (number, lens) in (0..self.count).zip(self.block_lens()) {
            if !is_taken(number) {
                staged.skip(lens.head + lens.rest);
                continue;
            }
            block.clear();
            // Behind it, bytes that words may reach.
            block.try_reserve(lens.len() + REACH)?;
            for len in lens.fields() {
                block.extend_from_slice(len_field(len, &mut [0; 3]));
            }
            let start = block.len();
            block.resize(lens.len() + REACH, 0);
            staged.skip(lens.prefix);
            staged.read(&mut block[start..lens.len()]);
            let keys = if number + 1 == self.count { self.keys_of_last } else { 1 << self.shift };
            let parsed = KeyBlock::parse(self.form, &block, lens.len(), keys, None);
            if !parsed.map_or(Ok(false), &mut visit)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn shape(&self) -> Shape {
        Shape {
            blocks: self.count,
            offset_width: offset_width(self.blocks_len),
            front: front_len(self.prefix.len()),
        }
    }

    fn block_lens(&self) -> impl Iterator<Item = BlockLens> {
        let mut numbers = self.lens.u16s().map(usize::from);
        let (prefix, form) = (self.prefix.len(), self.form);
        std::iter::from_fn(move || {
            let [head, common, low, high] =
                [numbers.next()?, numbers.next()?, numbers.next()?, numbers.next()?];
            Some(BlockLens { head, common, rest: high << 16 | low, prefix, form })
        })
    }

    /// Tells the lengths of the sections; `None` if they cannot be addressed.
    pub(in super::super) fn plan(&self, lens: &mut SectionLens) -> Option<()> {
        let [index, tails, blocks, symbols] = self.lens()?;
        lens.set(Section::HeadIndex, index);
        lens.set(Section::HeadTails, tails);
        lens.set(Section::KeyBlocks, blocks);
        lens.set(Section::PointIndex, self.points_len());
        lens.set(Section::Symbols, symbols);
        Some(())
    }

    /// Lengths of index, tails, blocks and symbols; `None` if they cannot be addressed.
    pub(in super::super) fn lens(&self) -> Option<[usize; 4]> {
        let has_symbols = self.coded.as_ref().is_some_and(|coded| coded.symbols.is_some());
        let symbols = if has_symbols { TABLE_LEN } else { 0 };
        Some([self.shape().end()?, self.tree.tails.len(), self.blocks_len, symbols])
    }

    /// Bytes of the point index, if there is one.
    pub(super) fn points_len(&self) -> usize {
        self.points.as_ref().map_or(0, PointTable::len)
    }

    /// How its blocks store keys.
    pub(in super::super) fn form(&self) -> Form {
        self.form
    }

    /// Writes the section of the point index, if there is one.
    pub(in super::super) fn write_points(&self, out: &mut [u8]) {
        if let Some(points) = &self.points {
            points.write_to(out);
        }
    }

    /// Writes the index section, which is all zeros.
    pub(in super::super) fn write_index(&self, out: &mut [u8]) {
        // A prefix is part of a key: at most 65,535 bytes.
        let prefix_len = (self.prefix.len() as u16).to_le_bytes();
        out[PREFIX_LEN_AT..PREFIX_LEN_AT + 2].copy_from_slice(&prefix_len);
        out[SHIFT_AT] = self.shift as u8;
        out[PREFIX_AT..PREFIX_AT + self.prefix.len()].copy_from_slice(&self.prefix);
        let shape = self.shape();
        for level in 1..shape.levels() {
            let column = &self.tree.levels[level as usize];
            let start = shape.level_start(level);
            column.copy_to(&mut out[start..start + column.len()]);
        }
        let leaves = out[shape.level_start(0)..].chunks_exact_mut(shape.leaf_len());
        let mut nodes = self.tree.levels[0].reader();
        let (mut offset, mut lens) = (0u64, self.stored_lens());
        for leaf in leaves {
            let (node, offsets) = leaf.split_at_mut(NODE_LEN);
            nodes.read(node);
            for (slot, len) in offsets.chunks_exact_mut(shape.offset_width).zip(lens.by_ref()) {
                slot.copy_from_slice(&offset.to_le_bytes()[..shape.offset_width]);
                offset += len as u64;
            }
        }
    }

    /// Writes the section of the tails.
    pub(in super::super) fn write_tails(&self, out: &mut [u8]) {
        self.tree.tails.copy_to(out);
    }

    /// Writes the section of the blocks.
    pub(in super::super) fn write_blocks(&self, mut out: &mut [u8]) {
        if let Some(coded) = &self.coded {
            return coded.blocks.copy_to(out);
        }
        let mut staged = self.blocks.reader();
        for lens in self.block_lens() {
            for len in lens.fields() {
                let mut field = [0; 3];
                let field = len_field(len, &mut field);
                if let Some(place) = out.split_off_mut(..field.len()) {
                    place.copy_from_slice(field);
                }
            }
            staged.skip(lens.prefix);
            let content = lens.head - lens.prefix + lens.rest;
            if let Some(content) = out.split_off_mut(..content) {
                staged.read(content);
            }
        }
    }

    /// Writes the section of the symbols, which is all zeros.
    pub(in super::super) fn write_symbols(&self, out: &mut [u8]) {
        if let Some(symbols) = self.coded.as_ref().and_then(|coded| coded.symbols.as_ref()) {
            symbols.write(out);
        }
    }
}

/// Nodes and tails in slabs.
struct TreeStage<'b> {
    levels: [Column<'b>; LEVELS],
    tails: Column<'b>,
}

impl<'b> TreeStage<'b> {
    fn new(bump: &'b Bump) -> Self {
        Self { levels: array::from_fn(|_| Column::new(bump)), tails: Column::new(bump) }
    }
}

impl TreeSink for TreeStage<'_> {
    type Error = OutOfMemory;

    fn node(&mut self, level: u32, node: &[u8; NODE_LEN]) -> Result<(), OutOfMemory> {
        self.levels[level as usize].append(node)
    }

    fn tails(&mut self, bytes: &[u8]) -> Result<(), OutOfMemory> {
        self.tails.append(bytes)
    }

    fn reserve(&mut self, bytes: &mut Vec<u8>, additional: usize) -> Result<(), OutOfMemory> {
        Ok(bytes.try_reserve(additional)?)
    }
}
