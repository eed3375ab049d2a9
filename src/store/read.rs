//! Opening a store: header, trailer and directory are looked at, nothing else. A segment is, when
//! its first entry is asked for.

use super::format::{self, HEADER_LEN, Header, HeaderFault, ROW_LEN, Row};
use super::format::{TRAILER_LEN, TypeNames};
use crate::blocks::{Blocks, FileBytes, TreeShape};
use crate::compact::Base;
use crate::entry::ValueWidth;
use crate::error::{Corruption, Error};
use crate::key::MAX_KEY_LEN;
use crate::mmap::Mapping;
use crate::options::Residence;
use crate::segment::{Extents, Image, Segment};
use crate::storage::{OpenFile, Storage, uninterrupted};
use crate::sync::Arc;
use std::ops::Range;
use std::path::Path;

/// Looks whether the file is a whole store of these types, and at nothing behind its header but
/// the trailer.
pub(super) fn check(
    storage: &dyn Storage,
    path: &Path,
    asked: &TypeNames,
    width: ValueWidth,
) -> Result<(), Error> {
    let (_, mapping) = mapped(storage, path)?;
    check_frame(mapping.as_slice(), path, asked, width).map(|_| ())
}

/// Opens a file and maps it.
fn mapped(storage: &dyn Storage, path: &Path) -> Result<(Box<dyn OpenFile>, Mapping), Error> {
    let file = uninterrupted(|| storage.open(path));
    let file = file.map_err(|error| Error::io(path, "open", &error))?;
    let mapping = uninterrupted(|| file.map());
    let mapping = mapping.map_err(|error| Error::io(path, "map", &error))?;
    Ok((file, mapping))
}

/// Opens a store, and answers its entries.
pub(super) fn read(
    storage: &dyn Storage,
    path: &Path,
    asked: &TypeNames,
    width: ValueWidth,
    residence: Residence,
) -> Result<Vec<Base>, Error> {
    let (mut file, mapping) = mapped(storage, path)?;
    let mut frame = check_frame(mapping.as_slice(), path, asked, width)?;
    let bytes = match residence {
        Residence::Mapped => FileBytes::Mapped(mapping),
        Residence::Resident => {
            let buffer =
                uninterrupted(|| file.read()).map_err(|error| Error::io(path, "read", &error))?;
            frame = check_frame(buffer.as_slice(), path, asked, width)?;
            FileBytes::Resident(buffer)
        }
    };
    let named = |error| match error {
        Error::Corrupted(corruption) => Error::damaged(path, corruption),
        other => other,
    };
    let Frame { header, root } = frame;
    let blocks = Arc::new(Blocks::open(bytes, header.data_len, root).map_err(named)?);
    read_partitions(&blocks, &header, width).map_err(|corruption| Error::damaged(path, corruption))
}

/// What surrounds the data.
struct Frame {
    header: Header,
    /// Root of the checksum tree.
    root: u32,
}

fn check_frame(
    file: &[u8],
    path: &Path,
    asked: &TypeNames,
    width: ValueWidth,
) -> Result<Frame, Error> {
    let found = file.len() as u64;
    let truncated = |expected| Error::Truncated { path: path.into(), expected, found };
    let damaged = |corruption| Error::damaged(path, corruption);
    let header = Header::decode(file).map_err(|fault| match fault {
        HeaderFault::NotAStore => Error::NotAStore { path: path.into() },
        HeaderFault::Version(found) => {
            Error::Version { path: path.into(), found, supported: format::VERSION }
        }
        HeaderFault::Short => truncated(HEADER_LEN as u64),
        HeaderFault::Damaged(corruption) => damaged(corruption),
    })?;
    if header.names != *asked {
        let (stored, asked) = (header.names.phrase(), asked.phrase());
        return Err(Error::TypeMismatch { path: path.into(), stored, asked });
    }
    let rule = |rule| damaged(Corruption::new("store", header.total, rule));
    if header.width != width {
        return Err(rule("values are as wide as their type says"));
    }
    if found < header.total {
        return Err(truncated(header.total));
    }
    let tree_end = TreeShape::of(header.data_len).tree_end();
    if found > header.total || tree_end.checked_add(TRAILER_LEN as u64) != Some(found) {
        return Err(rule("the file ends with the trailer behind the checksum tree"));
    }
    let root = format::decode_trailer(file).map_err(damaged)?;
    Ok(Frame { header, root })
}

/// Reads the directory of a store, in time proportional to the number of its partitions.
fn read_partitions(
    blocks: &Arc<Blocks>,
    header: &Header,
    width: ValueWidth,
) -> Result<Vec<Base>, Corruption> {
    let rule = |rule| Corruption::new("store directory", 0, rule);
    let directory = usable(&header.directory)?;
    let mut bases: Vec<Base> = Vec::new();
    let (mut entries, mut end, mut bounds_end) = (0u64, 0, 0);
    for number in 0..header.partitions {
        let at = directory.start + number as usize * ROW_LEN;
        let bytes = blocks.get(at..at + ROW_LEN)?;
        let bytes = bytes.first_chunk().ok_or_else(|| rule("rows have 64 bytes"))?;
        let row = Row::decode(bytes, number, header)?;
        if row.image.is_empty() {
            // A map without entries.
            return if header.partitions == 1 && header.entries == 0 {
                Ok(bases)
            } else {
                Err(rule("each partition has entries"))
            };
        }
        // Each has bytes of its own too.
        if number > 0
            && (row.bound.start < bounds_end
                || row.bound.end - row.bound.start > MAX_KEY_LEN as u64)
        {
            return Err(rule("bounds are keys, one behind the other"));
        }
        bounds_end = row.bound.end;
        let bound: Box<[u8]> = blocks.get(usable(&row.bound)?)?.into();
        // Else a small damaged file would be saved as one of any length.
        if row.image.start < end {
            return Err(rule("partitions have bytes of their own, in the order of their keys"));
        }
        end = row.extent_bytes.end;
        if number > 0 && bases.last().is_none_or(|before| before.bound >= bound) {
            return Err(rule("the bounds of partitions ascend"));
        }
        let image = Image::Stored(Arc::clone(blocks), usable(&row.image)?);
        let (table, data) = (usable(&row.extent_table)?, usable(&row.extent_bytes)?);
        let extents = Extents::Stored { blocks: Arc::clone(blocks), table, data };
        // What lies under a delta has values only, and at least one.
        if row.live == 0 {
            return Err(rule("each partition has entries"));
        }
        entries = entries.saturating_add(row.live);
        let segment = Segment::unread(image, extents, width, row.live);
        bases.push(Base { bound, segment: Arc::new(segment) });
    }
    // Sums of entries, and differences of them, are computed without looking for an overflow.
    if entries != header.entries || bases.is_empty() || i64::try_from(entries).is_err() {
        return Err(rule("the partitions together have all entries"));
    }
    Ok(bases)
}

/// A range of the file as offsets in memory.
fn usable(range: &Range<u64>) -> Result<Range<usize>, Corruption> {
    let (start, end) = (usize::try_from(range.start), usize::try_from(range.end));
    match (start, end) {
        (Ok(start), Ok(end)) => Ok(start..end),
        _ => Err(Corruption::new("store", range.end, "the file can be addressed")),
    }
}
