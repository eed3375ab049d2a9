//! Proves front-coded keys right: they ascend, and all bytes are those that we would write, but that codes of
//! chained blocks may be others for the same text, as they are where bases are put together from others.

use super::super::points::{PointHash, PointTable};
use super::block::{Block, BlockStage, MAX_KEYS};
use super::cut::{Codes, REACH};
use super::encode::Encoder;
use super::forms::KeyBlock;
use super::recode::{put_chained, recode};
use super::symbols::Piece;
use super::tree::{FAN, LEVELS, NODE_LEN, TreeBuilder, TreeSink};
use super::{
    ALIGN, BLOCK_SHIFT, BLOCKS, DirectKeys, Form, Front, FrontKeys, INDEX, PREFIX_AT, TAILS,
    ZEROS_AT, damaged, direct, no_block,
};
use crate::arena::{OutOfMemory, replace};
use crate::bytes::common_prefix;
use crate::error::{Corruption, Error};
use crate::strings::Strings;

impl FrontKeys<'_> {
    /// Reads everything: decodes each block, writes it again, and the tree over all of them too.
    pub(in super::super) fn verify(self) -> Result<(), Error> {
        self.verify_with(|_| ())
    }

    /// As [`verify`](Self::verify); tells `note` of each key, in order.
    fn verify_with(self, mut note: impl FnMut(&[u8])) -> Result<(), Error> {
        let front = self.front()?;
        let head = self.index.get(0..front.tree.shape.front)?;
        let zeros = head[ZEROS_AT..PREFIX_AT].iter().chain(&head[PREFIX_AT + front.prefix.len()..]);
        if zeros.copied().any(|byte| byte != 0) {
            return Err(damaged(INDEX, ZEROS_AT, "what nobody uses is zero").into());
        }
        const { assert!(ALIGN > PREFIX_AT) };
        if self.entries == 0 {
            let is_empty = front.prefix.is_empty();
            return if is_empty { Ok(()) } else { Err(damaged(INDEX, 0, PREFIX).into()) };
        }
        // Of a base that was put together from another one: what all keys share beyond the prefix may be left in
        // them, and codes may be others than the text would be cut into at once.
        let may_be_spliced = front.form == Form::Chained && front.shift == BLOCK_SHIFT;
        let symbols = self.symbol_list()?.filter(|_| !may_be_spliced);
        let encoder = symbols.map(|list| Encoder::new(list.as_slice())).transpose()?;
        let (mut codes, mut coded) = (Codes::default(), Vec::new());
        let mut expected = Expected { keys: self, front, nodes: [0; LEVELS], tails: 0 };
        let mut tree = TreeBuilder::new();
        let (mut keys, mut last) = (Strings::default(), Vec::new());
        let (mut stage, mut written) = (BlockStage::default(), Vec::new());
        let (mut end, mut shortest) = (0, usize::MAX);
        for number in 0..front.tree.shape.blocks {
            if front.tree.offset(number)? != end {
                return Err(damaged(INDEX, number as usize, "blocks follow each other").into());
            }
            let stored = self.block(&front, number)?;
            let room = stored.room(front.prefix.len());
            keys.try_reserve_keys(room.ok_or_else(|| no_block(number))?)?;
            stored.decode(front.prefix, &mut keys, |_| ()).ok_or_else(|| no_block(number))?;
            if number > 0 {
                let first = keys.get(0);
                let shared = common_prefix(&last, first);
                if *last >= *first {
                    return Err(no_block(number).into());
                }
                let separator = first.get(front.prefix.len()..=shared);
                let separator = separator.ok_or_else(|| no_block(number))?;
                tree.push(separator, &mut expected)?;
                shortest = shortest.min(shared);
            }
            rewrite(front, &keys, &mut stage, &mut written)?;
            let mut block = &written;
            if let Some(encoder) = &encoder {
                let len = written.len();
                written.try_reserve(REACH).map_err(|_| OutOfMemory)?;
                written.extend_from_slice(&[0; REACH]);
                let text = KeyBlock::parse(front.form, &written, len, keys.len(), None);
                let text = text.ok_or_else(|| no_block(number))?;
                if !recode(&text, encoder, &mut codes, &mut coded)? {
                    return Err(no_block(number).into());
                }
                block = &coded;
            } else if let KeyBlock::Chained(stored) = &stored
                && stored.symbols.is_some()
            {
                if !rewrite_codes(stored, &stage, front.prefix.len(), &mut coded)? {
                    return Err(no_block(number).into());
                }
                block = &coded;
            }
            let bytes = self.blocks.get(end as usize..self.blocks.len())?;
            if !bytes.starts_with(block) {
                let rule = "a block is what its keys make it";
                return Err(damaged(BLOCKS, number as usize, rule).into());
            }
            shortest = shortest.min(stage.common());
            keys.iter().for_each(&mut note);
            end += block.len() as u64;
            let key = keys.iter().last().unwrap_or(&[]);
            replace(&mut last, key)?;
        }
        tree.finish(&mut expected)?;
        if shortest < front.prefix.len() || shortest > front.prefix.len() && !may_be_spliced {
            return Err(damaged(INDEX, 0, PREFIX).into());
        }
        if end != self.blocks.len() as u64 || expected.tails != self.tails.len() {
            return Err(damaged(BLOCKS, end as usize, "sections end with their content").into());
        }
        Ok(verify_unused_offsets(front)?)
    }
}

impl DirectKeys<'_> {
    /// Reads everything: blocks and tree, and makes the point index again.
    pub(in super::super) fn verify(self) -> Result<(), Error> {
        let mut table = PointTable::new(self.front.len())?;
        self.front.verify_with(|key| {
            if let Some(table) = &mut table {
                table.push(PointHash::of(key));
            }
        })?;
        Ok(self.points.verify(table.as_ref())?)
    }
}

/// Writes a block again.
fn rewrite(
    front: Front<'_>,
    keys: &Strings,
    stage: &mut BlockStage,
    written: &mut Vec<u8>,
) -> Result<(), OutOfMemory> {
    stage.clear();
    let mut before: &[u8] = &[];
    for key in keys.iter() {
        stage.push((key, key.len()), common_prefix(before, key))?;
        before = key;
    }
    written.clear();
    if front.form == Form::Direct {
        written.try_reserve(3 + stage.common())?;
        direct::put_common(&stage.head()[..stage.common()], front.prefix.len(), written);
        return stage.put_suffixes(written);
    }
    stage.put_whole(front.prefix.len(), written)
}

/// Writes a block of codes again, of keys that are in `stage`, with the codes that it has; false if one of these has no
/// symbol.
fn rewrite_codes(
    block: &Block<'_>,
    stage: &BlockStage,
    prefix_len: usize,
    written: &mut Vec<u8>,
) -> Result<bool, OutOfMemory> {
    let (mut shared, mut stored) = ([0; MAX_KEYS], [(&[][..], 0); MAX_KEYS]);
    stored[0] = block.start().1;
    let mut count = 1;
    for ((_, suffix), (met, _)) in block.steps().zip(stage.steps()) {
        (stored[count], shared[count]) = (suffix, met as u16);
        count += 1;
    }
    let stored = &stored[..count];
    let is_whole = |&(codes, len)| match Piece::new(codes, len, block.symbols).plain() {
        Ok(_) => true,
        Err(coded) => coded.is_whole(),
    };
    if !stored.iter().all(is_whole) {
        return Ok(false);
    }
    let common = stage.common();
    put_chained(common - prefix_len, (&shared[..count], common), stored, written)
}

/// The last leaf has zeros for the blocks that it does not have.
fn verify_unused_offsets(front: Front<'_>) -> Result<(), Corruption> {
    let shape = front.tree.shape;
    for block in shape.blocks..shape.blocks.next_multiple_of(FAN as u64) {
        if front.tree.offset(block)? != 0 {
            return Err(damaged(INDEX, block as usize, "offsets of no block are zero"));
        }
    }
    Ok(())
}

const PREFIX: &str = "the prefix is what all keys share, or less where keys were copied";

/// Compares nodes and tails with the stored ones.
struct Expected<'a> {
    keys: FrontKeys<'a>,
    front: Front<'a>,
    /// Nodes of each level so far.
    nodes: [usize; LEVELS],
    /// Bytes of tails so far.
    tails: usize,
}

impl TreeSink for Expected<'_> {
    type Error = Error;

    fn node(&mut self, level: u32, node: &[u8; NODE_LEN]) -> Result<(), Error> {
        let shape = self.front.tree.shape;
        let stride = if level == 0 { shape.leaf_len() } else { NODE_LEN };
        let count = &mut self.nodes[level as usize];
        let at = shape.level_start(level) + *count * stride;
        *count += 1;
        if self.keys.index.get(at..at + NODE_LEN)? != node {
            return Err(damaged(INDEX, at, "a node is what its separators make it").into());
        }
        Ok(())
    }

    fn tails(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let at = self.tails;
        self.tails += bytes.len();
        if self.keys.tails.get(at..self.tails)? != bytes {
            return Err(damaged(TAILS, at, "tails are the ends of the separators").into());
        }
        Ok(())
    }

    fn reserve(&mut self, bytes: &mut Vec<u8>, additional: usize) -> Result<(), Error> {
        Ok(bytes.try_reserve(additional).map_err(|_| OutOfMemory)?)
    }
}
