//! Putting partitions in the place of others: dividing, joining, emptying, filling.
//!
//! Successors are made of what a fold has written, while the old partitions go on taking writes.
//! Then, under the locks of the old ones, what has come to their deltas since is put into the
//! successors', and they are retired. Whoever finds a retired partition waits until the directory
//! has been replaced. So no write is lost, and none is seen by some and not by others.

use super::aside::Aside;
use super::bulk::Base;
use super::pieces::{PIECE_BYTES, Piece};
use super::{Core, Many, fold, policy};
use crate::cursor::Cursor;
use crate::directory::Directory;
use crate::error::{Corruption, Error};
use crate::partition::{Depth, Layers, Load, Partition, Retiring, Shared, WriteError};
use crate::segment::SegmentCursor;
use crate::sync::{Arc, AtomicU64, Mutex, Ordering, Striped};
use std::ops::Range;

/// A partition and its layers when a fold read them.
type Read<'a> = (&'a Partition, Option<&'a Arc<Layers>>);

impl Core {
    /// Puts partitions with this content in the place of neighbours, in key order, whose content it
    /// was. Answers `false`, and does nothing, if they are not there any more.
    pub(super) fn replace(&self, old: &[Read<'_>], pieces: &[Piece]) -> Result<bool, Error> {
        let stands = |retiring: &mut [Retiring<'_>]| {
            old.iter().zip(retiring).all(|((_, layers), own)| own.stands_on(*layers))
        };
        let partitions: Vec<&Partition> = old.iter().map(|(partition, _)| *partition).collect();
        self.exchange(&partitions, pieces, stands)
    }

    /// Joins a partition with the smaller of its neighbours, if they are not too large together.
    /// The slot is held.
    pub(super) fn join(&self, partition: &Partition) -> Result<(), Error> {
        let Some(many) = self.many.get() else { return Ok(()) };
        let directory = Arc::clone(&many.routes.read());
        let Some(at) = directory.index_of(partition) else { return Ok(()) };
        let neighbours = [at.checked_sub(1), Some(at + 1).filter(|next| *next < directory.len())];
        let live = |at: &usize| directory.partitions()[*at].gauge().load().live;
        let Some(other) = neighbours.into_iter().flatten().min_by_key(live) else { return Ok(()) };
        let pair = [at.min(other), at.max(other)].map(|at| &*directory.partitions()[at]);
        let live = pair.iter().filter_map(|partition| partition.len()).sum();
        let layers = pair.map(Partition::layers);
        if let [Some(rest), None] | [None, Some(rest)] = &layers {
            // Nothing below one of the deltas: the other one's layers do for both, as they are.
            let piece = Piece { bound: Box::default(), layers: (**rest).clone() };
            let [first, second] = &layers;
            self.replace(&[(pair[0], first.as_ref()), (pair[1], second.as_ref())], &[piece])?;
            return Ok(());
        }
        let layers = layers.iter().flatten();
        let bytes = layers.map(|layers| fold::about_bytes(layers)).sum();
        if !policy::should_join(live, bytes, &self.options) {
            return Ok(());
        }
        let layers = pair.map(|partition| partition.freeze(Some(&many.shared)));
        let known: Vec<&Layers> = layers.iter().flatten().map(|layers| &**layers).collect();
        let go_on = || self.handles.load(Ordering::Relaxed) > 0;
        let folded = fold::bases(&known, partition.width(), &self.options, &go_on)?;
        if let Some(fold::Folded { pieces, encoded }) = folded {
            self.entries_encoded.fetch_add(encoded, Ordering::Relaxed);
            let [first, second] = &layers;
            self.replace(&[(pair[0], first.as_ref()), (pair[1], second.as_ref())], &pieces)?;
        }
        Ok(())
    }

    /// Removes everything.
    pub(crate) fn clear(&self) -> Result<(), Error> {
        if self.is_read_only {
            return Err(Error::ReadOnly);
        }
        let publishing = self.publishing.write();
        let Some(many) = self.many.get() else {
            self.first.clear();
            return Ok(());
        };
        let old = Arc::clone(&many.routes.read());
        let partitions: Vec<&Partition> = old.partitions().iter().map(|own| &**own).collect();
        let shared = Some(&many.shared);
        let blank = Arc::new(Partition::with_layers(self.width(), shared, Layers::default()));
        let directory = Arc::new(Directory::new(vec![(Box::default(), blank)]));
        let _ = Partition::retire_all(&partitions, shared, |_| Ok::<_, Error>(Some(())))?;
        many.routes.replace(&directory);
        drop(publishing);
        // Freed without the lock.
        drop(partitions);
        drop(old);
        Ok(())
    }

    /// Makes partitions of this content, if the map is blank, or puts them behind its last one, if
    /// all its keys are below. Else gives them back.
    pub(super) fn adopt(&self, mut pieces: Vec<Piece>) -> Result<Result<(), Vec<Piece>>, Error> {
        if pieces.len() == 1 && self.many.get().is_none() {
            let layers = pieces.pop().map(|piece| piece.layers).unwrap_or_default();
            match self.first.adopt(layers) {
                Ok(()) => return Ok(Ok(())),
                Err(layers) => pieces.push(Piece { bound: Box::default(), layers }),
            }
        }
        let partitions = self.partitions();
        if partitions.iter().all(|partition| partition.is_blank()) {
            let partitions: Vec<&Partition> = partitions.iter().map(|own| &**own).collect();
            let are_blank = |retiring: &mut [Retiring<'_>]| retiring.iter().all(Retiring::is_blank);
            if self.exchange(&partitions, &pieces, are_blank)? {
                return Ok(Ok(()));
            }
        } else if let Some(last) = partitions.last()
            && self.are_enough(&pieces)
            && let layers = last.layers()
            && let Some(bound) = bound_behind(layers.as_deref(), &pieces)?
            && *bound > *self.last_bound()
        {
            let own = layers.as_deref().cloned().unwrap_or_default();
            let mut all = pieces.clone();
            all[0].bound.clone_from(&bound);
            all.insert(0, Piece { bound: Box::default(), layers: own });
            let is_below = |retiring: &mut [Retiring<'_>]| {
                retiring.iter().all(|own| {
                    own.stands_on(layers.as_ref())
                        && own.delta().is_none_or(|mut delta| {
                            delta.last();
                            !delta.valid() || delta.key() < &*bound
                        })
                })
            };
            if self.exchange(&[&**last], &all, is_below)? {
                return Ok(Ok(()));
            }
        }
        Ok(Err(pieces))
    }

    /// Whether pieces are large enough for partitions of their own.
    fn are_enough(&self, pieces: &[Piece]) -> bool {
        let live: u64 = pieces.iter().map(|piece| piece.layers.live).sum();
        let bytes: u64 = pieces.iter().map(|piece| fold::about_bytes(&piece.layers)).sum();
        live >= policy::partition_entries(&self.options).div_ceil(2) || bytes >= PIECE_BYTES / 2
    }

    /// The least key that the last partition can have.
    fn last_bound(&self) -> Box<[u8]> {
        let Some(many) = self.many.get() else { return Box::default() };
        let directory = many.routes.read();
        directory.bound(directory.len() - 1).into()
    }

    /// How values are stored.
    pub(super) fn width(&self) -> crate::entry::ValueWidth {
        self.first.width()
    }

    /// Puts partitions with this content in the place of neighbours, if `is_right` says so when it
    /// sees them locked.
    fn exchange(
        &self,
        old: &[&Partition],
        pieces: &[Piece],
        is_right: impl FnOnce(&mut [Retiring<'_>]) -> bool,
    ) -> Result<bool, Error> {
        let _publishing = self.publishing.write();
        let many = self.many.get();
        let directory = many.map(|many| Arc::clone(&many.routes.read()));
        let replaced = match &directory {
            None => 0..1,
            Some(directory) => match directory.range_of(old) {
                Some(range) => range,
                None => return Ok(false),
            },
        };
        check_bounds(directory.as_deref(), &replaced, pieces)?;
        // The first division makes what the partitions will share.
        let new_shared = if many.is_none() { Some(Shared::new()) } else { None };
        let shared = many.map(|many| &many.shared);
        let successors = replaced.start..replaced.start + pieces.len();
        let rows = pieces.iter().map(|Piece { bound, layers }| {
            let shared = shared.or(new_shared.as_ref());
            let partition = Partition::with_layers(self.width(), shared, layers.clone());
            (bound.clone(), Arc::new(partition))
        });
        let new = Arc::new(match &directory {
            None => Directory::new(rows.collect()),
            Some(directory) => directory.with(replaced, rows),
        });
        let exchanged = Partition::retire_all(old, shared, |retiring| {
            if !is_right(retiring) {
                return Ok(None);
            }
            hand_over(retiring, &new, successors.clone())?;
            Ok::<_, Error>(Some(()))
        })?;
        if exchanged.is_none() {
            return Ok(false);
        }
        #[cfg(test)]
        for retired in old {
            new.partitions()[successors.start].take_hits_of(retired);
        }
        // Before anybody can find them, so that the sums never miss what they hold.
        let told = shared.or(new_shared.as_ref());
        for partition in &new.partitions()[successors] {
            partition.announce(told);
        }
        match new_shared {
            None => {
                if let Some(many) = many {
                    many.routes.replace(&new);
                }
            }
            Some(shared) => {
                self.divide(&new, shared);
            }
        }
        if let Some(many) = self.many.get() {
            many.exchanges.fetch_add(1, Ordering::Relaxed);
        }
        Ok(true)
    }

    /// Makes the map one of many partitions, which it was not yet.
    fn divide(&self, directory: &Arc<Directory>, shared: Shared) {
        let exchanges = AtomicU64::new(0);
        let waiting = Mutex::default();
        let (routes, aside) = (Striped::new(directory), Aside::new());
        let many = Box::new(Many { routes, shared, exchanges, waiting, aside });
        assert!(self.many.set(many).is_ok(), "set under `publishing`, or by who makes the map");
    }

    /// Begins a new map, which nobody else has yet, with the partitions of a file, of which there are
    /// at least two. Their bounds ascend.
    pub(super) fn begin_divided(&self, bases: Vec<Base>) {
        let shared = Shared::new();
        let live = bases.iter().map(|base| base.segment.len()).sum();
        shared.add(Load { live, ..Load::default() }, Load::default());
        let rows = bases.into_iter().map(|Base { bound, segment }| {
            (bound, Arc::new(Partition::with_base(self.width(), &shared, segment)))
        });
        let directory = Arc::new(Directory::new(rows.collect()));
        self.divide(&directory, shared);
    }
}

/// Checks that pieces in the place of these partitions begin one behind the other, between where
/// the partitions begin and end. Only with a damaged file they do not.
fn check_bounds(
    directory: Option<&Directory>,
    replaced: &Range<usize>,
    pieces: &[Piece],
) -> Result<(), Corruption> {
    let start = directory.map_or(&[][..], |directory| directory.bound(replaced.start));
    let end = directory.filter(|directory| replaced.end < directory.len());
    let end = end.map(|directory| directory.bound(replaced.end));
    let bounds = || pieces.iter().skip(1).map(|piece| &*piece.bound);
    let ascends = bounds().is_sorted_by(|a, b| a < b)
        && bounds().next().is_none_or(|first| start < first)
        && bounds().next_back().zip(end).is_none_or(|(last, end)| last < end);
    let rule = "its keys are inside the bounds of its partition";
    if ascends { Ok(()) } else { Err(Corruption::new("segment", 0, rule)) }
}

/// A bound between all entries of `layers`, tombstones included, and those of pieces, if there is
/// one.
fn bound_behind(layers: Option<&Layers>, pieces: &[Piece]) -> Result<Option<Box<[u8]>>, Error> {
    let Some(base) = pieces.first().and_then(|piece| piece.layers.base.as_ref()) else {
        return Ok(None);
    };
    let mut start = SegmentCursor::new(Arc::clone(base));
    start.first();
    start.status()?;
    let Some(layers) = layers else { return Ok(Some(start.key().into())) };
    let mut end = layers.merged(Depth::All);
    end.last();
    end.status()?;
    let is_behind = start.valid() && (!end.valid() || end.key() < start.key());
    Ok(is_behind.then(|| start.key().into()))
}

/// Puts what is in the deltas of old partitions into those of their successors, which have these
/// numbers in the new directory.
fn hand_over(
    retiring: &[Retiring<'_>],
    new: &Directory,
    successors: Range<usize>,
) -> Result<(), Error> {
    for old in retiring {
        let Some(mut entries) = old.delta() else { continue };
        entries.first();
        for at in successors.clone() {
            let end = (at + 1 < successors.end).then(|| new.bound(at + 1));
            new.partitions()[at].inherit(&mut entries, end).map_err(WriteError::at_rest)?;
        }
    }
    Ok(())
}
