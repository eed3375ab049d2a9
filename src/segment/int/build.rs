//! Collects keys of one length and packs them, piece after piece.

use super::super::format::{Section, SectionLens};
use super::super::slabs::Column;
use super::index::{FAN, NODE_LEN, Shape, WORD};
use super::piece::{Descriptor, Unread, WINDOW, best_shift, encode};
use super::{FRONT_LEN, MAX_WIDTH, PIECE_SHIFTS, SHIFT_AT, WIDTH_AT, bytes_of, number_not_below};
use crate::arena::OutOfMemory;
use crate::packed::SLACK;
use bumpalo::Bump;

/// Keys being collected.
pub(in super::super) struct IntStage<'b> {
    /// Bytes of each key.
    width: usize,
    /// Keys of a piece, as the power of two, once enough keys are there to decide on it.
    shift: Option<u32>,
    /// Keys that are not packed yet.
    pending: Vec<u64>,
    packed: PackedPieces<'b>,
    /// A piece on its way.
    scratch: Vec<u8>,
}

/// Pieces, and what the index will say of them.
struct PackedPieces<'b> {
    count: usize,
    firsts: Column<'b>,
    descriptors: Column<'b>,
    bytes: Column<'b>,
}

impl<'b> IntStage<'b> {
    /// Whether keys can be stored in this way that all have so many bytes.
    pub(in super::super) fn takes(width: usize) -> bool {
        (1..=MAX_WIDTH).contains(&width)
    }

    /// No keys yet, for keys of so many bytes.
    pub(in super::super) fn new(bump: &'b Bump, width: usize) -> Self {
        let packed = PackedPieces {
            count: 0,
            firsts: Column::new(bump),
            descriptors: Column::new(bump),
            bytes: Column::new(bump),
        };
        Self { width, shift: None, pending: Vec::new(), packed, scratch: Vec::new() }
    }

    /// Bytes of each key.
    pub(in super::super) fn width(&self) -> usize {
        self.width
    }

    /// Appends a key, of just so many bytes as it should have, that is greater than the one before.
    pub(in super::super) fn push(&mut self, key: &[u8]) -> Result<(), OutOfMemory> {
        self.make_room()?;
        let number = number_not_below(key, self.width).map_or(u64::MAX, |(number, _)| number);
        if self.pending.len() == self.pending.capacity() {
            self.pending.try_reserve(1)?;
        }
        self.pending.push(number);
        Ok(())
    }

    /// Appends ascending keys, the first of which is greater than the one before.
    pub(in super::super) fn extend(&mut self, mut keys: &[u64]) -> Result<(), OutOfMemory> {
        while !keys.is_empty() {
            let room = self.make_room()?;
            let (now, later) = keys.split_at(keys.len().min(room));
            self.pending.try_reserve(now.len())?;
            self.pending.extend_from_slice(now);
            keys = later;
        }
        Ok(())
    }

    /// Packs what is pending, if it is enough; answers how many may be added then.
    #[inline]
    fn make_room(&mut self) -> Result<usize, OutOfMemory> {
        let most = |shift: Option<u32>| shift.map_or(WINDOW, |shift| 1 << shift);
        if self.pending.len() >= most(self.shift) {
            self.pack_all()?;
        }
        Ok(most(self.shift) - self.pending.len())
    }

    /// Packs all keys that are not packed yet; the last piece may have few.
    fn pack_all(&mut self) -> Result<(), OutOfMemory> {
        let shift = *self.shift.get_or_insert_with(|| best_shift(&self.pending));
        for keys in self.pending.chunks(1 << shift) {
            self.packed.push(keys, &mut self.scratch)?;
        }
        self.pending.clear();
        Ok(())
    }

    /// Hands all keys in order to `take`.
    pub(in super::super) fn replay<E: From<OutOfMemory>>(
        &self,
        mut take: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut hand = |numbers: &[u64]| {
            let mut numbers = numbers.iter();
            numbers.try_for_each(|number| take(&bytes_of(*number)[MAX_WIDTH - self.width..]))
        };
        let (mut bytes, mut numbers) = (Vec::new(), Vec::new());
        let keys = self.shift.map_or(0, |shift| 1 << shift);
        numbers.try_reserve(keys).map_err(OutOfMemory::from)?;
        numbers.resize(keys, 0);
        let mut pieces = self.packed.bytes.reader();
        for (first, descriptor) in self.packed.rows() {
            let shape = descriptor.shape(keys).ok_or(OutOfMemory)?;
            let len = shape.reach();
            bytes.clear();
            bytes.try_reserve(len).map_err(OutOfMemory::from)?;
            bytes.resize(len, 0);
            pieces.read(&mut bytes[..len - SLACK]);
            let piece = Unread::new(&bytes, first, shape).and_then(Unread::read);
            piece.and_then(|piece| piece.decode(0, None, &mut numbers)).ok_or(OutOfMemory)?;
            hand(&numbers)?;
        }
        hand(&self.pending)
    }

    /// The finished pieces, of which there is at least one.
    pub(in super::super) fn finish(mut self) -> Result<FinishedInts<'b>, OutOfMemory> {
        self.pack_all()?;
        let shift = self.shift.unwrap_or(*PIECE_SHIFTS.end());
        Ok(FinishedInts { width: self.width, shift, packed: self.packed })
    }
}

impl PackedPieces<'_> {
    /// Appends the piece of some keys.
    fn push(&mut self, keys: &[u64], scratch: &mut Vec<u8>) -> Result<(), OutOfMemory> {
        let descriptor = encode(keys, self.bytes.len(), scratch)?.ok_or(OutOfMemory)?;
        self.bytes.append(scratch)?;
        self.firsts.append(&keys.first().copied().unwrap_or(0).to_le_bytes())?;
        self.descriptors.append(&descriptor.0.to_le_bytes())?;
        self.count += 1;
        Ok(())
    }

    fn rows(&self) -> impl Iterator<Item = (u64, Descriptor)> {
        let (mut firsts, mut descriptors) = (self.firsts.reader(), self.descriptors.reader());
        (0..self.count).map(move |_| {
            let (mut first, mut descriptor) = ([0; WORD], [0; WORD]);
            firsts.read(&mut first);
            descriptors.read(&mut descriptor);
            (u64::from_le_bytes(first), Descriptor(u64::from_le_bytes(descriptor)))
        })
    }
}

/// Pieces, ready to be written.
pub(in super::super) struct FinishedInts<'b> {
    width: usize,
    shift: u32,
    packed: PackedPieces<'b>,
}

impl FinishedInts<'_> {
    fn tree(&self) -> Shape {
        Shape::new(self.packed.count, FRONT_LEN)
    }

    /// Tells the lengths of the sections.
    pub(in super::super) fn plan(&self, lens: &mut SectionLens) {
        let [index, pieces] = self.lens();
        lens.set(Section::PieceIndex, index);
        lens.set(Section::Pieces, pieces);
    }

    /// Lengths of index and pieces.
    pub(in super::super) fn lens(&self) -> [usize; 2] {
        [self.tree().end(), self.packed.bytes.len() + SLACK]
    }

    /// Writes the index section, which is all zeros.
    pub(in super::super) fn write_index(&self, out: &mut [u8]) {
        out[WIDTH_AT] = self.width as u8;
        out[SHIFT_AT] = self.shift as u8;
        let tree = self.tree();
        for level in 0..=tree.inner_levels() {
            for place in tree.nodes(level) * FAN - FAN..tree.nodes(level) * FAN {
                out[tree.place(level, place)].copy_from_slice(&u64::MAX.to_le_bytes());
            }
        }
        for (piece, (first, descriptor)) in self.packed.rows().enumerate() {
            let place = tree.place(0, piece);
            out[place.start + NODE_LEN..place.end + NODE_LEN]
                .copy_from_slice(&descriptor.0.to_le_bytes());
            out[place].copy_from_slice(&first.to_le_bytes());
            // The first piece of a node stands for the node in the level above, and so on.
            let (mut child, mut level) = (piece, 0);
            while child.is_multiple_of(FAN) && level < tree.inner_levels() {
                child /= FAN;
                level += 1;
                out[tree.place(level, child)].copy_from_slice(&first.to_le_bytes());
            }
        }
    }

    /// Writes the section of the pieces, which is all zeros.
    pub(in super::super) fn write_pieces(&self, out: &mut [u8]) {
        if let Some(pieces) = out.get_mut(..self.packed.bytes.len()) {
            self.packed.bytes.copy_to(pieces);
        }
    }
}
