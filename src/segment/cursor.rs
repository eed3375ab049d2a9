//! The cursor over a segment.

use super::front::FrontWalk;
use super::fst::FstWalk;
use super::int::IntWalk;
use super::plain::PlainWalk;
use super::{Keys, Located, Ordinal, Segment};
use crate::cursor::Cursor;
use crate::entry::Entry;
use crate::error::Corruption;
use std::ops::Deref;

/// A position among the keys of one codec.
enum Walk {
    Plain(PlainWalk),
    /// In a box, so that those who keep several cursors need not keep much.
    Front(Box<FrontWalk>),
    Int(Box<IntWalk>),
    Fst(FstWalk),
}

/// A way to move.
#[derive(Clone, Copy)]
enum Move<'k> {
    First,
    Last,
    Seek(&'k [u8]),
    SeekForPrev(&'k [u8]),
    Next,
    Prev,
}

/// Where a cursor stands: the entry is decoded by the move, so that reading it cannot fail.
struct Standing {
    ordinal: Ordinal,
    entry: Located,
}

/// A cursor over a segment, which it borrows or shares.
pub(crate) struct SegmentCursor<S> {
    segment: S,
    walk: Walk,
    standing: Option<Standing>,
    status: Result<(), Corruption>,
}

impl<S: Deref<Target = Segment>> SegmentCursor<S> {
    /// A cursor without a position. Allocates at most a few hundred bytes yet.
    pub(crate) fn new(segment: S) -> Self {
        // Of a damaged segment no entry is found, whatever walks there.
        let walk = match segment.keys() {
            Ok(Keys::Fst(_)) => Walk::Fst(FstWalk::default()),
            Ok(Keys::Front(_)) => Walk::Front(Box::default()),
            Ok(Keys::Int(_)) => Walk::Int(Box::default()),
            Ok(Keys::Plain(_)) | Err(_) => Walk::Plain(PlainWalk::default()),
        };
        Self { segment, walk, standing: None, status: Ok(()) }
    }

    /// The ordinal of the entry it stands on.
    pub(crate) fn ordinal(&self) -> Option<Ordinal> {
        self.standing.as_ref().map(|standing| standing.ordinal)
    }

    fn go(&mut self, way: Move<'_>) {
        self.standing = None;
        match self.walk_and_locate(way) {
            Ok(standing) => {
                self.standing = standing;
                self.status = Ok(());
            }
            Err(corruption) => self.status = Err(corruption),
        }
    }

    fn walk_and_locate(&mut self, way: Move<'_>) -> Result<Option<Standing>, Corruption> {
        let segment: &Segment = &self.segment;
        let landed = self.walk.go(segment.keys()?, way)?.map(Ordinal);
        landed
            .map(|ordinal| {
                let entry = segment.locate(ordinal)?;
                Ok(Standing { ordinal, entry })
            })
            .transpose()
    }
}

impl Walk {
    fn go(&mut self, keys: Keys<'_>, way: Move<'_>) -> Result<Option<u64>, Corruption> {
        match (self, keys) {
            (Self::Plain(walk), Keys::Plain(keys)) => match way {
                Move::First => walk.go_to(keys, Some(0)),
                Move::Last => walk.go_to(keys, keys.len().checked_sub(1)),
                Move::Seek(key) => {
                    let (Ok(ordinal) | Err(ordinal)) = keys.search(key)?;
                    walk.go_to(keys, Some(ordinal))
                }
                Move::SeekForPrev(key) => match keys.search(key)? {
                    Ok(ordinal) => walk.go_to(keys, Some(ordinal)),
                    Err(above) => walk.go_to(keys, above.checked_sub(1)),
                },
                Move::Next => walk.next(keys),
                Move::Prev => walk.prev(keys),
            },
            (Self::Front(walk), Keys::Front(keys)) => match way {
                Move::First => walk.go_to(keys, Some(0)),
                Move::Last => walk.go_to(keys, keys.len().checked_sub(1)),
                Move::Seek(key) => {
                    let (Ok(ordinal) | Err(ordinal)) = keys.search(key)?;
                    walk.go_to(keys, Some(ordinal))
                }
                Move::SeekForPrev(key) => match keys.search(key)? {
                    Ok(ordinal) => walk.go_to(keys, Some(ordinal)),
                    Err(above) => walk.go_to(keys, above.checked_sub(1)),
                },
                Move::Next => walk.next(keys),
                Move::Prev => walk.prev(keys),
            },
            (Self::Int(walk), Keys::Int(keys)) => match way {
                Move::First => walk.go_to(keys, Some(0)),
                Move::Last => walk.go_to(keys, keys.len().checked_sub(1)),
                Move::Seek(key) => {
                    let (Ok(ordinal) | Err(ordinal)) = keys.search(key, |_| ())?;
                    walk.go_to(keys, Some(ordinal))
                }
                Move::SeekForPrev(key) => match keys.search(key, |_| ())? {
                    Ok(ordinal) => walk.go_to(keys, Some(ordinal)),
                    Err(above) => walk.go_to(keys, above.checked_sub(1)),
                },
                Move::Next => walk.next(keys),
                Move::Prev => walk.prev(keys),
            },
            (Self::Fst(walk), Keys::Fst(keys)) => match way {
                Move::First => walk.first(keys),
                Move::Last => walk.last(keys),
                Move::Seek(key) => walk.seek(keys, key),
                Move::SeekForPrev(key) => walk.seek_for_prev(keys, key),
                Move::Next => walk.next(keys),
                Move::Prev => walk.prev(keys),
            },
            // Only if the segment could not be read when the cursor was made.
            (Self::Plain(_) | Self::Front(_) | Self::Int(_) | Self::Fst(_), _) => {
                Err(Corruption::new("segment header", 0, "it reads the same each time"))
            }
        }
    }
}

impl<S: Deref<Target = Segment>> Cursor for SegmentCursor<S> {
    fn first(&mut self) {
        self.go(Move::First);
    }

    fn last(&mut self) {
        self.go(Move::Last);
    }

    fn seek(&mut self, key: &[u8]) {
        self.go(Move::Seek(key));
    }

    fn seek_for_prev(&mut self, key: &[u8]) {
        self.go(Move::SeekForPrev(key));
    }

    fn next(&mut self) {
        if self.standing.is_some() {
            self.go(Move::Next);
        }
    }

    fn prev(&mut self) {
        if self.standing.is_some() {
            self.go(Move::Prev);
        }
    }

    fn valid(&self) -> bool {
        self.standing.is_some()
    }

    fn key(&self) -> &[u8] {
        match (&self.walk, self.segment.keys()) {
            (Walk::Fst(walk), _) => walk.key(),
            (Walk::Front(walk), _) => walk.key(),
            (Walk::Int(walk), _) => walk.key(),
            (Walk::Plain(walk), Ok(Keys::Plain(keys))) => walk.key(keys),
            (Walk::Plain(_), _) => &[],
        }
    }

    fn entry(&self) -> Entry<'_> {
        let standing = self.standing.as_ref();
        let standing = standing.expect("a cursor's entry is read only where it stands on one");
        self.segment.lend(&standing.entry)
    }

    fn status(&self) -> Result<(), Corruption> {
        self.status
    }
}
