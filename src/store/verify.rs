//! Reading everything that a map consists of.

use super::format::{self, HEADER_LEN, Header, HeaderFault, ROW_LEN, Row};
use crate::blocks::Blocks;
use crate::cursor::Cursor;
use crate::error::{Corruption, Error};
use crate::segment::{Segment, SegmentCursor};
use crate::stats::VerifyProgress;
use crate::sync::Arc;
use std::ops::Range;

/// A segment, and where the keys of its partition begin and end.
pub(crate) struct Part<'a> {
    pub(crate) segment: &'a Arc<Segment>,
    pub(crate) bound: &'a [u8],
    pub(crate) end: Option<&'a [u8]>,
}

/// Reads and checks the files behind these segments, and then each segment by the rules of its
/// format.
pub(crate) fn verify(
    parts: &[Part<'_>],
    progress: &mut dyn FnMut(VerifyProgress),
) -> Result<(), Error> {
    let segments = parts.iter().map(|part| part.segment);
    let mut files: Vec<&Arc<Blocks>> = segments.clone().filter_map(|s| s.file()).collect();
    files.dedup_by(|a, b| Arc::ptr_eq(a, b));
    let file_bytes: u64 = files.iter().map(|file| file.len() as u64).sum();
    let image_bytes: u64 = segments.clone().map(|segment| segment.image().len() as u64).sum();
    let total_bytes = file_bytes + image_bytes;
    let mut tell = |done_bytes: u64| progress(VerifyProgress { done_bytes, total_bytes });
    let mut done_bytes = 0;
    tell(done_bytes);
    for file in files {
        let len = file.len() as u64;
        // Checksums are read too, but not counted.
        file.verify(&mut |done, _| tell(done_bytes + done.min(len)))?;
        verify_parts(file)?;
        done_bytes += len;
    }
    for Part { segment, bound, end } in parts {
        segment.verify()?;
        check_ends(segment, bound, *end)?;
        done_bytes += segment.image().len() as u64;
        tell(done_bytes);
    }
    Ok(())
}

/// Looks that the parts of a file follow each other as close as the format lets them, with zeros
/// between them, so that no byte is without a rule.
fn verify_parts(file: &Blocks) -> Result<(), Corruption> {
    let header = Header::decode(file.get(0..HEADER_LEN)?).map_err(|fault| match fault {
        HeaderFault::Damaged(corruption) => corruption,
        _ => misplaced(0),
    })?;
    let mut end = HEADER_LEN as u64;
    let mut bounds_end = header.directory.start + u64::from(header.partitions) * ROW_LEN as u64;
    for number in 0..header.partitions {
        let start = header.directory.start + u64::from(number) * ROW_LEN as u64;
        let bytes = file.get(start as usize..start as usize + ROW_LEN)?;
        let bytes = bytes.first_chunk().ok_or_else(|| misplaced(start))?;
        let row = Row::decode(bytes, number, &header)?;
        if !row.image.is_empty() {
            verify_gap(file, end..row.image.start, format::IMAGE_ALIGN)?;
            verify_gap(file, row.image.end..row.extent_table.start, format::TABLE_ALIGN)?;
            end = row.extent_bytes.end;
        }
        if !row.bound.is_empty() {
            verify_gap(file, bounds_end..row.bound.start, 1)?;
            bounds_end = row.bound.end;
        }
    }
    verify_gap(file, end..header.directory.start, format::TABLE_ALIGN)?;
    verify_gap(file, bounds_end..header.directory.end, 1)?;
    if header.directory.end == file.len() as u64 { Ok(()) } else { Err(misplaced(bounds_end)) }
}

/// Looks that a gap ends at the next multiple of `align`, and has only zeros.
fn verify_gap(file: &Blocks, gap: Range<u64>, align: u64) -> Result<(), Corruption> {
    if gap.start.checked_next_multiple_of(align) != Some(gap.end) {
        return Err(misplaced(gap.start));
    }
    // At most a block, and inside the file, which is in memory.
    let zeros = file.get(gap.start as usize..gap.end as usize)?;
    match zeros.iter().position(|&byte| byte != 0) {
        None => Ok(()),
        Some(at) => {
            Err(Corruption::new("store", gap.start + at as u64, "zeros stand between the parts"))
        }
    }
}

#[cold]
fn misplaced(offset: u64) -> Corruption {
    Corruption::new("store", offset, "parts follow each other without room between them")
}

/// Whether all keys of a sound segment are inside these bounds.
fn check_ends(segment: &Segment, bound: &[u8], end: Option<&[u8]>) -> Result<(), Corruption> {
    let mut cursor = SegmentCursor::new(segment);
    cursor.first();
    let mut is_inside = !cursor.valid() || bound <= cursor.key();
    cursor.last();
    is_inside &= !cursor.valid() || end.is_none_or(|end| cursor.key() < end);
    cursor.status()?;
    if is_inside {
        Ok(())
    } else {
        Err(Corruption::new("segment", 0, "its keys are inside the bounds of its partition"))
    }
}
