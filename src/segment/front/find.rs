//! Gets through the point index: bucket, offset of the block, key.

use super::super::points::{Point, PointHash, Points, Probe};
use super::direct::DirectBlock;
use super::{Front, FrontKeys, Span, no_block};
use crate::arena::prefetch;
use crate::error::Corruption;

/// Keys in blocks of the direct form, and the point index over them.
#[derive(Clone, Copy)]
pub(in super::super) struct DirectKeys<'a> {
    /// The keys without the index.
    pub(in super::super) front: FrontKeys<'a>,
    pub(super) points: Points<'a>,
}

impl<'a> DirectKeys<'a> {
    /// Keys and index.
    #[inline]
    pub(in super::super) fn new(front: FrontKeys<'a>, points: Points<'a>) -> Self {
        Self { front, points }
    }

    /// Checks in constant time what is not checked with the head.
    pub(in super::super) fn check_frame(self) -> Result<(), Corruption> {
        self.front.check_frame()?;
        self.points.check_frame()
    }

    /// The ordinal of `key`, if it is there. `expect` is told early of those that it may be.
    #[inline]
    pub(in super::super) fn find(
        self,
        key: &[u8],
        expect: impl FnMut(u64),
    ) -> Result<Option<u64>, Corruption> {
        find(self.points, || self.front, key, expect)
    }

    /// Begins a search that asks for memory a step before it reads it.
    #[inline]
    pub(in super::super) fn begin(self, key: &[u8]) -> DirectSearch<'a, '_> {
        let at = self.points.probe(PointHash::of(key)).map_or(At::Whole, |probe| {
            probe.ask();
            At::Bucket(probe)
        });
        DirectSearch { keys: self, key, at }
    }
}

/// The ordinal of `key`, if it is there, by a point index and the keys that it is of: these are called
/// for if it does not say that the key is absent. `expect` is told early of what it may be.
#[inline]
pub(in super::super) fn find<'a>(
    points: Points<'a>,
    front: impl Fn() -> FrontKeys<'a>,
    key: &[u8],
    mut expect: impl FnMut(u64),
) -> Result<Option<u64>, Corruption> {
    let hash = PointHash::of(key);
    match points.first(hash)? {
        Some(Point::Absent) => return Ok(None),
        Some(Point::At(ordinal)) => {
            if let Some(found) = try_key(&front(), ordinal, key, &mut expect)? {
                return Ok(Some(found));
            }
        }
        Some(Point::Unknown) | None => {}
    }
    find_further(points, hash, front, key, expect)
}

/// As [`find`], of a key that its first bucket does not tell all about: one in ten.
#[inline(never)]
fn find_further<'a>(
    points: Points<'a>,
    hash: PointHash,
    front: impl Fn() -> FrontKeys<'a>,
    key: &[u8],
    expect: impl FnMut(u64),
) -> Result<Option<u64>, Corruption> {
    match points.probe(hash) {
        Some(mut probe) => go_on(&mut probe, front, key, expect),
        None => front().find_in_tree(key, expect),
    }
}

/// The ordinal, if the key there is this one. `expect` is told of it early.
#[inline]
fn try_key(
    keys: &FrontKeys<'_>,
    ordinal: u64,
    key: &[u8],
    expect: &mut impl FnMut(u64),
) -> Result<Option<u64>, Corruption> {
    let front = keys.front()?;
    let place = keys.locate(&front, ordinal)?;
    // Later, since nothing waits for a value but its reader.
    expect(ordinal);
    Ok(keys.holds(&front, place, key)?.then_some(ordinal))
}

/// As [`find`], if the key has none of the ordinals that were told before.
fn go_on<'a>(
    probe: &mut Probe<'a>,
    front: impl Fn() -> FrontKeys<'a>,
    key: &[u8],
    mut expect: impl FnMut(u64),
) -> Result<Option<u64>, Corruption> {
    loop {
        match probe.next()? {
            Point::At(ordinal) => {
                if let Some(found) = try_key(&front(), ordinal, key, &mut expect)? {
                    return Ok(Some(found));
                }
            }
            Point::Absent => return Ok(None),
            Point::Unknown => return front().find_in_tree(key, expect),
        }
    }
}

/// A key that may be the one that is looked for.
#[derive(Clone, Copy)]
struct Place {
    span: Span,
    slot: usize,
}

impl<'a> FrontKeys<'a> {
    /// The ordinal of `key`, if it is there, without a point index.
    #[inline(never)]
    fn find_in_tree(&self, key: &[u8], expect: impl FnMut(u64)) -> Result<Option<u64>, Corruption> {
        Ok(self.search(key, expect)?.ok())
    }

    /// Where the key of an ordinal is. Asks for the memory of it.
    #[expect(clippy::inline_always, reason = "what a get has made for itself is not copied then")]
    #[inline(always)]
    fn locate(&self, front: &Front<'a>, ordinal: u64) -> Result<Place, Corruption> {
        let (number, slot) = front.place(ordinal);
        let span = self.span(front, front.tree.reach(number))?;
        let bytes = self.blocks.admitted();
        prefetch(bytes, span.start);
        // About where the suffix is, as far as one can know.
        prefetch(bytes, span.start + (((span.end - span.start) * (slot + 1)) >> front.shift));
        Ok(Place { span, slot })
    }

    /// Whether a key that was located is `key`.
    #[expect(clippy::inline_always, reason = "what a get has made for itself is not copied then")]
    #[inline(always)]
    fn holds(&self, front: &Front<'a>, place: Place, key: &[u8]) -> Result<bool, Corruption> {
        let Place { span, slot } = place;
        let (tail, keys) = self.tail(front, span)?;
        let block = DirectBlock::parse(tail, span.end - span.start, keys, self.symbols()?);
        let holds = block.and_then(|block| block.holds(slot, front.prefix, key));
        holds.ok_or_else(|| no_block(span.block))
    }
}

/// A search under way.
pub(in super::super) struct DirectSearch<'a, 'k> {
    keys: DirectKeys<'a>,
    key: &'k [u8],
    at: At<'a>,
}

/// Where a search is.
enum At<'a> {
    /// Before its first bucket.
    Bucket(Probe<'a>),
    /// At an ordinal, the offset of whose block has been asked for.
    Ordinal(Probe<'a>, u64),
    /// At a key that has been asked for, and its ordinal.
    Key(Probe<'a>, Place, u64),
    /// Without a point index: before a search in one step.
    Whole,
}

/// There is no such key.
pub(in super::super) struct Absent;

impl DirectSearch<'_, '_> {
    /// Goes on; the answer after the last step. `expect` is told before that of ordinals that it may
    /// be.
    #[inline]
    pub(in super::super) fn step(
        &mut self,
        expect: impl Fn(u64),
    ) -> Result<Option<Result<u64, Absent>>, Corruption> {
        let Self { keys, key, at } = self;
        let over = |found: Option<u64>| Some(found.ok_or(Absent));
        match at {
            At::Bucket(probe) => match probe.next()? {
                Point::At(ordinal) => {
                    expect(ordinal);
                    let front = keys.front.front()?;
                    front.tree.ask_for_offset(front.place(ordinal).0);
                    *at = At::Ordinal(*probe, ordinal);
                    Ok(None)
                }
                Point::Absent => Ok(Some(Err(Absent))),
                Point::Unknown => keys.front.find_in_tree(key, expect).map(over),
            },
            At::Ordinal(probe, ordinal) => {
                let front = keys.front.front()?;
                let place = keys.front.locate(&front, *ordinal)?;
                *at = At::Key(*probe, place, *ordinal);
                Ok(None)
            }
            At::Key(probe, place, ordinal) => {
                if keys.front.holds(&keys.front.front()?, *place, key)? {
                    return Ok(Some(Ok(*ordinal)));
                }
                // One of a few thousand.
                go_on(probe, || keys.front, key, expect).map(over)
            }
            At::Whole => keys.front.find_in_tree(key, expect).map(over),
        }
    }
}
