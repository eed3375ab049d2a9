//! The large values of a segment: on its heap, or in the file that holds its image.
//!
//! In a file a table has one row for each extent, by index: where its bytes start, from the start
//! of the file (8 bytes), how many they are (4), and zeros (4). The extents follow each other
//! without gaps in the order of the table.

use super::values::Place;
use crate::arena::OutOfLine;
use crate::blocks::Blocks;
use crate::bytes::{u32_at, u64_at};
use crate::entry::{Extent, ExtentRef, INLINE_VALUE_MAX};
use crate::error::Corruption;
use crate::sync::Arc;
use std::ops::Range;

// A row of the table, field after field.
const OFFSET_AT: usize = 0;
const LEN_AT: usize = OFFSET_AT + 8;
const ZEROS_AT: usize = LEN_AT + 4;

/// Bytes of a row of the table.
pub(crate) const EXTENT_ROW_LEN: usize = ZEROS_AT + 4;

const PART: &str = "store extent table";

/// The row of an extent of `len` bytes that starts at `offset` in the file.
pub(crate) fn extent_row(offset: u64, len: u32) -> [u8; EXTENT_ROW_LEN] {
    let mut row = [0; EXTENT_ROW_LEN];
    row[OFFSET_AT..LEN_AT].copy_from_slice(&offset.to_le_bytes());
    row[LEN_AT..ZEROS_AT].copy_from_slice(&len.to_le_bytes());
    row
}

/// The large values of a segment, by extent index.
pub(crate) enum Extents {
    /// Held one by one.
    Owned(Vec<Extent>),
    /// In the data of a file.
    Stored {
        /// The file.
        blocks: Arc<Blocks>,
        /// Where its table of extents is.
        table: Range<usize>,
        /// Where all its extents are.
        data: Range<usize>,
    },
}

impl Extents {
    /// How many there are.
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Owned(extents) => extents.len(),
            Self::Stored { table, .. } => table.len() / EXTENT_ROW_LEN,
        }
    }

    /// Checks in constant time that there are `count` extents.
    pub(super) fn check_frame(&self, count: u32) -> Result<(), Corruption> {
        let is_whole = match self {
            Self::Owned(_) => true,
            Self::Stored { table, .. } => table.len().is_multiple_of(EXTENT_ROW_LEN),
        };
        if is_whole && self.len() == count as usize {
            Ok(())
        } else {
            Err(Corruption::new("segment extents", 0, "there are as many as the header says"))
        }
    }

    /// Finds extent `index`, which is below [`len`](Self::len), and checks its bytes.
    pub(super) fn place(&self, index: u32) -> Result<Place, Corruption> {
        match self {
            Self::Owned(_) => Ok(Place::Extent(index)),
            Self::Stored { blocks, table, data } => {
                let row = table.start.saturating_add(index as usize * EXTENT_ROW_LEN);
                let range = span(blocks, row, data)?;
                blocks.get(range.clone())?;
                Ok(Place::Stored(range))
            }
        }
    }

    /// Lends the extent of this index, if extents are held one by one.
    pub(super) fn owned(&self, index: u32) -> Option<ExtentRef<'_>> {
        match self {
            Self::Owned(extents) => extents.get(index as usize).map(ExtentRef::Owned),
            Self::Stored { .. } => None,
        }
    }

    /// Lends an extent of the file from the range that [`place`](Self::place) found.
    pub(super) fn stored(&self, range: &Range<usize>) -> Option<ExtentRef<'_>> {
        match self {
            Self::Owned(_) => None,
            Self::Stored { blocks, .. } => {
                Some(ExtentRef::Stored { blocks, start: range.start, len: range.len() as u32 })
            }
        }
    }

    /// Reads everything: extents are long enough to be some, and stand without gaps.
    pub(super) fn verify(&self) -> Result<(), Corruption> {
        let Self::Stored { blocks, table, data } = self else {
            return Ok(());
        };
        let mut end = data.start;
        for row in table.clone().step_by(EXTENT_ROW_LEN) {
            let range = span(blocks, row, data)?;
            if range.start != end {
                return Err(damaged(row, "extents stand without gaps, in order"));
            }
            if range.len() <= INLINE_VALUE_MAX {
                return Err(damaged(row, "an extent has more than 1,024 bytes"));
            }
            end = range.end;
            blocks.get(range)?;
        }
        if end != data.end {
            return Err(damaged(table.end, "the last extent ends with their bytes"));
        }
        Ok(())
    }

    /// The file that holds extents, if one does. Maps are opened from one file, so those that are
    /// held one by one come from one, too.
    pub(super) fn file(&self) -> Option<&Arc<Blocks>> {
        match self {
            Self::Owned(extents) => extents.iter().find_map(Extent::file),
            Self::Stored { blocks, .. } => Some(blocks),
        }
    }

    /// Heap bytes of the extents themselves.
    pub(super) fn content_bytes(&self) -> usize {
        match self {
            Self::Owned(extents) => extents.iter().map(OutOfLine::heap_bytes).sum(),
            Self::Stored { .. } => 0,
        }
    }

    /// Heap bytes besides the extents themselves.
    pub(super) fn list_bytes(&self) -> usize {
        match self {
            Self::Owned(extents) => extents.capacity() * size_of::<Extent>(),
            Self::Stored { .. } => 0,
        }
    }
}

/// Where the extent of the table's row at `row` is: inside `data`.
fn span(blocks: &Blocks, row: usize, data: &Range<usize>) -> Result<Range<usize>, Corruption> {
    let bytes = blocks.get(row..row.saturating_add(EXTENT_ROW_LEN))?;
    let start = u64_at(bytes, OFFSET_AT).and_then(|offset| usize::try_from(offset).ok());
    let len = u32_at(bytes, LEN_AT).map(|len| len as usize);
    if u32_at(bytes, ZEROS_AT) != Some(0) {
        return Err(damaged(row + ZEROS_AT, "the last bytes of a row are zero"));
    }
    start
        .zip(len)
        .and_then(|(start, len)| Some(start..start.checked_add(len)?))
        .filter(|range| data.start <= range.start && range.end <= data.end)
        .ok_or_else(|| damaged(row, "an extent is inside the bytes of all extents"))
}

#[cold]
fn damaged(offset: usize, rule: &'static str) -> Corruption {
    Corruption::new(PART, offset as u64, rule)
}
