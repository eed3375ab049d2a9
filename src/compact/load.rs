//! Bulk loads on several threads: one reads the entries, the others build segments of them.

use super::bulk::Sorted;
use super::pieces::{self, Limits, Piece, Source};
use crate::arena::OutOfMemory;
use crate::entry::{Below, Entry, Extent, ValueRef, ValueWidth};
use crate::error::Error;
use crate::key::MAX_KEY_LEN;
use crate::segment::{CodecChoice, SegmentBuilder, entry_bulk};
use crate::sync::{Arc, join_scoped, spawn_scoped};
use std::collections::VecDeque;
use std::thread;

/// What [`pieces::cut`] makes of the entries, made by `builders` threads, at least one, beside this
/// one. If no thread can be started, this one builds too.
///
/// Each piece is read into a chunk and built from it; so in memory there is a chunk more than there
/// are builders, and what each of them collects. SCRATCHPAD.md section 2.3.
pub(super) fn cut(
    sorted: &mut Sorted<'_>,
    limits: Limits,
    width: ValueWidth,
    choice: CodecChoice,
    builders: u32,
) -> Result<Vec<Piece>, Error> {
    // A chunk is a piece.
    let build = move |chunk: &Chunk| pieces::cut(&mut Unread::new(chunk), limits, width, choice);
    thread::scope(|scope| {
        let mut pieces = Vec::new();
        let mut heap = 0;
        let mut take = |built: Result<Vec<Piece>, Error>, bound: Box<[u8]>| {
            for mut piece in built? {
                piece.bound.clone_from(&bound);
                heap += piece.layers.heap_bytes();
                pieces.push(piece);
            }
            Ok::<bool, Error>(heap <= limits.heap)
        };
        let mut building = VecDeque::new();
        let mut is_room = true;
        let mut bound = Box::default();
        while is_room && !sorted.is_done() {
            let chunk = Arc::new(Chunk::read(sorted, limits)?);
            if building.len() >= builders as usize
                && let Some((bound, thread)) = building.pop_front()
            {
                is_room = take(join_scoped(thread), bound)?;
            }
            let shared = Arc::clone(&chunk);
            if let Ok(thread) = spawn_scoped(scope, move || build(&shared)) {
                building.push_back((bound, thread));
            } else {
                for (bound, thread) in building.drain(..) {
                    take(join_scoped(thread), bound)?;
                }
                is_room = take(build(&chunk), bound)?;
            }
            bound = if sorted.is_done() { Box::default() } else { sorted.separator() };
        }
        for (bound, thread) in building {
            take(join_scoped(thread), bound)?;
        }
        Ok(pieces)
    })
}

/// Entries of one piece.
#[derive(Default)]
struct Chunk {
    keys: Vec<u8>,
    values: Vec<u8>,
    extents: Vec<Extent>,
    rows: Vec<Row>,
}

/// An entry, after the one before it.
struct Row {
    key_len: u16,
    /// Bytes of the value; `None` if it is the next extent.
    value_len: Option<u16>,
}

impl Chunk {
    /// Reads entries until a limit is reached; there is at least one.
    fn read(sorted: &mut Sorted<'_>, limits: Limits) -> Result<Self, Error> {
        let mut chunk = Self::default();
        let mut bulk = 0;
        while !sorted.is_done() && !limits.are_reached(chunk.rows.len() as u64, bulk) {
            let (key, entry) = sorted.current();
            if key.len() > MAX_KEY_LEN {
                return Err(Error::KeyTooLong { len: key.len() });
            }
            bulk += entry_bulk(key, entry);
            chunk.push(key, entry.value)?;
            sorted.advance()?;
        }
        Ok(chunk)
    }

    fn push(&mut self, key: &[u8], value: ValueRef<'_>) -> Result<(), OutOfMemory> {
        self.rows.try_reserve(1)?;
        self.keys.try_reserve(key.len())?;
        self.keys.extend_from_slice(key);
        let value_len = match value {
            ValueRef::Inline(bytes) => {
                self.values.try_reserve(bytes.len())?;
                self.values.extend_from_slice(bytes);
                Some(bytes.len() as u16)
            }
            ValueRef::Extent(extent) => {
                self.extents.try_reserve(1)?;
                self.extents.push(extent.share());
                None
            }
        };
        // Neither keys nor values that are no extents are longer than 65,535 bytes.
        self.rows.push(Row { key_len: key.len() as u16, value_len });
        Ok(())
    }
}

/// Entries of a chunk that are to be passed on.
struct Unread<'a> {
    rows: std::slice::Iter<'a, Row>,
    keys: &'a [u8],
    values: &'a [u8],
    extents: std::slice::Iter<'a, Extent>,
}

impl<'a> Unread<'a> {
    fn new(chunk: &'a Chunk) -> Self {
        let Chunk { keys, values, extents, rows } = chunk;
        Self { rows: rows.iter(), keys, values, extents: extents.iter() }
    }
}

impl Source for Unread<'_> {
    fn is_done(&self) -> bool {
        self.rows.as_slice().is_empty()
    }

    fn key(&self, key: &mut Vec<u8>) -> Result<(), Error> {
        let len = self.rows.as_slice().first().map_or(0, |row| usize::from(row.key_len));
        key.extend_from_slice(&self.keys[..len]);
        Ok(())
    }

    fn take(&mut self, builder: &mut SegmentBuilder<'_>, _: Limits) -> Result<(), Error> {
        let Some(row) = self.rows.next() else { return Ok(()) };
        let (key, keys) = self.keys.split_at(usize::from(row.key_len));
        self.keys = keys;
        let value = match (row.value_len, self.extents.as_slice()) {
            (None, [extent, ..]) => {
                self.extents.next();
                ValueRef::extent(extent)
            }
            (len, _) => {
                let (value, values) = self.values.split_at(usize::from(len.unwrap_or(0)));
                self.values = values;
                ValueRef::Inline(value)
            }
        };
        builder.push(key, Entry::value(value, Below::Absent))
    }
}
