//! Saving a store: written beside its place from the first byte to the last, then given its name.

use super::Content;
use super::attach::{LOCK_SUFFIX, kind, not_a_file, sibling};
use super::format::{self, HEADER_LEN, Header, IMAGE_ALIGN, ROW_LEN, Row};
use super::format::{TABLE_ALIGN, TRAILER_LEN};
use crate::arena::OutOfMemory;
use crate::blocks::{TreeBuilder, TreeShape};
use crate::compact::Base;
use crate::entry::ExtentRef;
use crate::error::{Corruption, Error};
use crate::segment::{EXTENT_ROW_LEN, Segment, extent_row};
use crate::storage::{FileKind, Storage, StoredFile, append, uninterrupted};
use std::io;
use std::path::Path;

/// What is appended to a store's name while it is being written.
const TEMPORARY_SUFFIX: &str = ".tmp";

/// Bytes that are written in one call.
const PIECE: usize = 1 << 20;

/// Puts a store with this content in place of what is at `path`, whose lock the caller holds.
///
/// Until the last step but one, an error leaves what is there untouched, and nothing behind. If
/// only the last step fails, the new store is in place, but after a crash of the system the old
/// one may be back.
pub(super) fn replace(storage: &dyn Storage, path: &Path, content: &Content) -> Result<(), Error> {
    let temporary = sibling(path, TEMPORARY_SUFFIX);
    remove_stale(storage, &temporary)?;
    let refused = |action| move |error: io::Error| Error::io(path, action, &error);
    let file = uninterrupted(|| storage.create_new(&temporary));
    let mut file = file.map_err(|error| Error::io(&temporary, "create", &error))?;
    let written = write(&mut *file, path, content).and_then(|()| {
        if kind(storage, path)? == FileKind::Regular {
            // Where there are no permissions, it stays its owner's.
            let _ = uninterrupted(|| file.copy_permissions(path));
        }
        // What a failed sync has not written may never be: the file is given up, not synced again.
        uninterrupted(|| file.sync()).map_err(refused("sync"))
    });
    drop(file);
    let named = written.and_then(|()| {
        uninterrupted(|| storage.rename(&temporary, path)).map_err(refused("replace"))
    });
    if let Err(error) = named {
        // If this is refused too, the next writer removes it.
        let _ = uninterrupted(|| storage.remove(&temporary));
        return Err(error);
    }
    let folder = path.parent().unwrap_or(Path::new("/"));
    uninterrupted(|| storage.sync_folder(folder)).map_err(|error| Error::io(folder, "sync", &error))
}

/// Removes what a writer that was killed has left behind: nobody else writes while the lock is
/// held. A file that no writer could have left is somebody's, and stays.
fn remove_stale(storage: &dyn Storage, temporary: &Path) -> Result<(), Error> {
    match kind(storage, temporary)? {
        FileKind::Missing => return Ok(()),
        FileKind::Regular => {}
        other => return Err(not_a_file(temporary, "create", other)),
    }
    if looks_left_behind(storage, temporary)? {
        let removed = uninterrupted(|| storage.remove(temporary));
        removed.map_err(|error| Error::io(temporary, "remove", &error))
    } else {
        Err(Error::io(temporary, "create", &io::ErrorKind::AlreadyExists.into()))
    }
}

/// Whether a file begins as one that a writer has not finished, and is no store of its own: what
/// was saved under this very name has a lock beside it.
fn looks_left_behind(storage: &dyn Storage, temporary: &Path) -> Result<bool, Error> {
    if kind(storage, &sibling(temporary, LOCK_SUFFIX))? != FileKind::Missing {
        return Ok(false);
    }
    let mut head = [0; format::MAGIC.len()];
    let file = uninterrupted(|| storage.open(temporary));
    let len = file.and_then(|mut file| uninterrupted(|| file.head(&mut head)));
    let len = len.map_err(|error| Error::io(temporary, "look at", &error))?;
    let head = &head[..len];
    // A file system may have kept a length without its bytes.
    Ok(format::MAGIC.starts_with(head) || head.iter().all(|&byte| byte == 0))
}

/// Where everything will be.
struct Plan {
    header: Header,
    /// One for each base; one of a partition without entries if there is none.
    rows: Vec<Row>,
}

impl Plan {
    fn of(content: &Content) -> Result<Self, Error> {
        let mut rows = Vec::new();
        let mut end = HEADER_LEN as u64;
        let count = content.bases.len().max(1);
        rows.try_reserve_exact(count).map_err(|_| OutOfMemory)?;
        for Base { segment, .. } in &content.bases {
            let mut row = Row::default();
            let image_at = end.next_multiple_of(IMAGE_ALIGN);
            row.image = image_at..image_at + segment.image().len() as u64;
            let table_at = row.image.end.next_multiple_of(TABLE_ALIGN);
            let table_len = u64::from(segment.extent_count()) * EXTENT_ROW_LEN as u64;
            row.extent_table = table_at..table_at + table_len;
            end = row.extent_table.end;
            let mut distinct = Distinct::default();
            for index in 0..segment.extent_count() {
                let extent = segment.extent(index)?;
                distinct.check(extent)?;
                end += extent.as_slice().len() as u64;
            }
            row.extent_bytes = row.extent_table.end..end;
            row.live = segment.len();
            rows.push(row);
        }
        rows.resize_with(count, Row::default);
        let directory_at = end.next_multiple_of(TABLE_ALIGN);
        // The bounds stand behind the rows.
        let mut data_len = directory_at + count as u64 * ROW_LEN as u64;
        for (row, base) in rows.iter_mut().zip(&content.bases).skip(1) {
            let bound_at = data_len;
            data_len += base.bound.len() as u64;
            row.bound = bound_at..data_len;
        }
        let header = Header {
            total: TreeShape::of(data_len).tree_end() + TRAILER_LEN as u64,
            data_len,
            entries: rows.iter().map(|row| row.live).sum(),
            directory: directory_at..data_len,
            partitions: u32::try_from(count).map_err(|_| OutOfMemory)?,
            width: content.width,
            names: content.names.clone(),
        };
        Ok(Self { header, rows })
    }
}

/// Looks that large values which are in a file have bytes of their own there: else a small damaged
/// file would be saved as one of any length. They stand in the order of their keys, as they were
/// written.
#[derive(Default)]
struct Distinct {
    /// Where the last one ends.
    end: usize,
}

impl Distinct {
    fn check(&mut self, extent: ExtentRef<'_>) -> Result<(), Corruption> {
        let Some(range) = extent.stored_range() else { return Ok(()) };
        if range.start < self.end {
            let rule = "large values have bytes of their own, in the order of their keys";
            return Err(Corruption::new("store extents", range.start as u64, rule));
        }
        self.end = range.end;
        Ok(())
    }
}

/// Writes a whole store into an empty file.
fn write(file: &mut dyn StoredFile, path: &Path, content: &Content) -> Result<(), Error> {
    let Plan { header, rows } = Plan::of(content)?;
    let mut sink = Sink::new(file, path)?;
    let head = header.encode();
    sink.put(&head)?;
    for (row, Base { segment, .. }) in rows.iter().zip(&content.bases) {
        sink.fill_to(row.image.start)?;
        put_image(&mut sink, segment)?;
        sink.fill_to(row.extent_table.start)?;
        put_extents(&mut sink, segment, row)?;
    }
    sink.fill_to(header.directory.start)?;
    for row in &rows {
        sink.put(&row.encode())?;
    }
    for base in content.bases.iter().skip(1) {
        sink.put(&base.bound)?;
    }
    sink.finish(&head)
}

fn put_image(sink: &mut Sink<'_>, segment: &Segment) -> Result<(), Error> {
    let image = segment.image();
    let mut at = 0;
    while at < image.len() {
        let end = image.len().min(at + PIECE);
        sink.put(image.get(at..end)?)?;
        at = end;
    }
    Ok(())
}

fn put_extents(sink: &mut Sink<'_>, segment: &Segment, row: &Row) -> Result<(), Error> {
    let mut at = row.extent_bytes.start;
    for index in 0..segment.extent_count() {
        let len = segment.extent(index)?.as_slice().len();
        sink.put(&extent_row(at, len as u32))?;
        at += len as u64;
    }
    for index in 0..segment.extent_count() {
        sink.put(segment.extent(index)?.as_slice())?;
    }
    Ok(())
}

/// A file being written in large pieces, with the checksums of its blocks.
struct Sink<'a> {
    file: &'a mut dyn StoredFile,
    path: &'a Path,
    tree: TreeBuilder,
    /// What has not been written yet; less than [`PIECE`].
    waiting: Vec<u8>,
    /// Bytes so far.
    at: u64,
}

impl<'a> Sink<'a> {
    fn new(file: &'a mut dyn StoredFile, path: &'a Path) -> Result<Self, Error> {
        let mut waiting = Vec::new();
        waiting.try_reserve_exact(PIECE).map_err(|_| OutOfMemory)?;
        Ok(Self { file, path, tree: TreeBuilder::new(), waiting, at: 0 })
    }

    /// Appends data.
    fn put(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.tree.push(bytes)?;
        self.put_uncovered(bytes)
    }

    /// Appends zeros up to this offset, less than a block of them.
    fn fill_to(&mut self, offset: u64) -> Result<(), Error> {
        const ZEROS: [u8; IMAGE_ALIGN as usize] = [0; IMAGE_ALIGN as usize];
        self.put(&ZEROS[..(offset - self.at) as usize])
    }

    /// Appends the checksum tree and the trailer.
    fn finish(mut self, header: &[u8; HEADER_LEN]) -> Result<(), Error> {
        let tree_at = TreeShape::of(self.at).tree_offset();
        self.fill_to(tree_at)?;
        let (tree, root) = std::mem::replace(&mut self.tree, TreeBuilder::new()).finish()?;
        self.put_uncovered(&tree)?;
        self.put_uncovered(&format::encode_trailer(root, header))?;
        let waiting = std::mem::take(&mut self.waiting);
        self.append(&waiting)
    }

    /// Appends what the checksum tree does not cover. Whole pieces are not copied.
    fn put_uncovered(&mut self, mut bytes: &[u8]) -> Result<(), Error> {
        self.at += bytes.len() as u64;
        if !self.waiting.is_empty() {
            let (now, later) = bytes.split_at(bytes.len().min(PIECE - self.waiting.len()));
            self.waiting.extend_from_slice(now);
            bytes = later;
            if self.waiting.len() < PIECE {
                return Ok(());
            }
            let full = std::mem::take(&mut self.waiting);
            self.append(&full)?;
            self.waiting = full;
            self.waiting.clear();
        }
        let (pieces, rest) = bytes.as_chunks::<PIECE>();
        for piece in pieces {
            self.append(piece)?;
        }
        self.waiting.extend_from_slice(rest);
        Ok(())
    }

    fn append(&mut self, bytes: &[u8]) -> Result<(), Error> {
        append(self.file, bytes).map_err(|error| Error::io(self.path, "write", &error))
    }
}
