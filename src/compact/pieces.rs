//! Cutting sorted entries into bases: one for each partition that they will be.

use crate::cursor::Cursor;
use crate::entry::ValueWidth;
use crate::error::{Corruption, Error};
use crate::partition::Layers;
use crate::segment::{CodecChoice, SegmentBuilder};
use crate::sync::Arc;
use bumpalo::Bump;

/// What the entries of a partition are meant to count for at most: the bytes of their values, without
/// large ones, and eight times those of their keys, of long ones less. A fold of so many takes some
/// milliseconds.
pub(super) const PIECE_BYTES: u64 = 7 << 19;

/// Where a piece ends: with the entry that brings it to one of these.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) entries: u64,
    /// What entries count for together.
    pub(super) bytes: u64,
    /// Heap bytes of all pieces together, above which no more are made.
    pub(super) heap: u64,
}

impl Limits {
    /// Whether a piece of this size has reached one.
    pub(super) fn are_reached(self, entries: u64, bytes: u64) -> bool {
        entries >= self.entries || bytes >= self.bytes
    }
}

/// The entries of one partition to be.
#[derive(Clone)]
pub(super) struct Piece {
    /// The least key that it may have; that of the first piece is not looked at.
    pub(super) bound: Box<[u8]>,
    pub(super) layers: Layers,
}

/// Entries in ascending order.
pub(super) trait Source {
    /// Whether there is none left. If not, what is left may turn out to be none.
    fn is_done(&self) -> bool;

    /// Makes `key`, which is empty, the key of the next one, or another between the one before and it.
    fn key(&self, key: &mut Vec<u8>) -> Result<(), Error>;

    /// Appends the next one to `builder`, whose limits are not reached, or several, the last of which
    /// may reach them; or none, on the way to them.
    fn take(&mut self, builder: &mut SegmentBuilder<'_>, limits: Limits) -> Result<(), Error>;
}

/// Entries of a cursor that stands on the first of them.
pub(super) struct Walked<C>(pub(super) C);

impl<C: Cursor> Source for Walked<C> {
    fn is_done(&self) -> bool {
        !self.0.valid()
    }

    fn key(&self, key: &mut Vec<u8>) -> Result<(), Error> {
        key.extend_from_slice(self.0.key());
        Ok(())
    }

    fn take(&mut self, builder: &mut SegmentBuilder<'_>, _: Limits) -> Result<(), Error> {
        builder.push(self.0.key(), self.0.entry())?;
        self.0.next();
        Ok(self.0.status()?)
    }
}

/// Builds bases of all entries, which are values. Where they end depends on nothing else. Stops
/// early if they have come to take more memory than they may.
pub(super) fn cut(
    source: &mut dyn Source,
    limits: Limits,
    width: ValueWidth,
    choice: CodecChoice,
) -> Result<Vec<Piece>, Error> {
    let mut pieces = Vec::new();
    let mut bound = Box::default();
    let mut heap = 0;
    let mut key = Vec::new();
    while !source.is_done() && heap <= limits.heap {
        let bump = Bump::new();
        let mut builder = SegmentBuilder::new(width, &bump, choice)?;
        while !source.is_done() && !limits.are_reached(builder.len(), builder.bulk()) {
            source.take(&mut builder, limits)?;
        }
        if builder.len() == 0 {
            break;
        }
        let mut next = None;
        if !source.is_done() {
            key.clear();
            source.key(&mut key)?;
            if key.as_slice() <= builder.last_key() {
                // Only a damaged file has partitions whose keys overlap.
                let rule = "the keys of a partition are above those of the one before";
                return Err(Corruption::new("segment", 0, rule).into());
            }
            next = Some(separator(builder.last_key(), &key));
        }
        let (live, bulk) = (builder.len(), builder.bulk());
        let base = Some(Arc::new(builder.finish()?));
        let layers = Layers { base, live, bulk: Some(bulk), ..Layers::default() };
        heap += layers.heap_bytes();
        pieces.push(Piece { bound, layers });
        bound = next.unwrap_or_default();
    }
    Ok(pieces)
}

/// The shortest key that is above `low` and not above `high`, which is above `low`.
pub(super) fn separator(low: &[u8], high: &[u8]) -> Box<[u8]> {
    let shared = low.iter().zip(high).take_while(|(a, b)| a == b).count();
    high[..=shared].into()
}

#[cfg(test)]
mod tests {
    use super::super::Core;
    use super::*;
    use crate::options::{Compaction, Options};
    use crate::testing::conformance::SortedLayer;
    use crate::testing::keys;
    use crate::testing::rng::Rng;
    use crate::testing::vec_layer::VecLayer;

    fn cut_model(model: &keys::Model, entries: u64, bytes: u64) -> Vec<Piece> {
        let layer = VecLayer::build(model);
        let mut cursor = layer.cursor();
        cursor.first();
        let limits = Limits { entries, bytes, heap: u64::MAX };
        cut(&mut Walked(cursor), limits, ValueWidth::Fixed(8), CodecChoice::Automatic)
            .expect("memory")
    }

    #[test]
    fn pieces_end_at_the_limits_and_their_bounds_tell_them_apart() {
        let keys: Vec<Vec<u8>> = (0..100u8).map(|n| vec![b'k'; 1 + usize::from(n)]).collect();
        let model = keys::model_of(&keys);
        for (entries, bytes) in
            [(7, u64::MAX), (u64::MAX, 2_000), (7, 2_000), (1, 1), (1_000, 1 << 20)]
        {
            let pieces = cut_model(&model, entries, bytes);
            let lens = pieces.iter().map(|piece| piece.layers.live);
            assert_eq!(lens.clone().sum::<u64>(), 100);
            assert!(lens.clone().all(|len| len <= entries));
            for (i, piece) in pieces.iter().enumerate() {
                let Layers { bulk, live, .. } = piece.layers;
                let bulk = bulk.expect("it has been built");
                let is_full = Limits { entries, bytes, heap: 0 }.are_reached(live, bulk);
                assert!(is_full || i + 1 == pieces.len());
                assert!(bulk < bytes.saturating_add(8 + 8 * 100), "at most one entry over it");
            }
            let mut start = 0;
            for piece in &pieces {
                assert!(*piece.bound <= *keys[start], "not above its first key");
                assert!(start == 0 || *piece.bound > *keys[start - 1], "above the key before");
                start += piece.layers.live as usize;
            }
        }
        assert!(cut_model(&keys::Model::new(), 10, 10).is_empty());
    }

    #[test]
    fn separators_are_short() {
        for (low, high, expected) in [
            ("apple", "banana", "b"),
            ("ab", "abc", "abc"),
            ("", "xyz", "x"),
            ("abc", "abd", "abd"),
        ] {
            assert_eq!(&*separator(low.as_bytes(), high.as_bytes()), expected.as_bytes());
        }
    }

    #[test]
    fn partitions_of_keys_of_very_different_lengths_are_divided_by_what_they_count_for() {
        let options = Options { compaction: Compaction::Manual, ..Options::default() };
        let core = Arc::new(Core::new(ValueWidth::Fixed(8), options));
        core.add_handle();
        let mut rng = Rng::new(8);
        let mut random = |first: u8, len: usize| {
            let mut key = vec![first];
            key.extend((0..len).map(|_| rng.next_u64() as u8));
            key
        };
        let put = |key: &[u8]| Core::put(&core, key, &[7; 8]).expect("memory");
        (0..40_000).for_each(|i| put(&random(b'a', 9 + i % 2)));
        core.compact().expect("memory");
        for round in 0..10 {
            let before = core.stats().entries_encoded;
            for i in 0..1_400 {
                put(&if round < 6 { random(b'b', 1_500) } else { random(b'a', 9 + i % 2) });
            }
            core.freeze();
            core.fold_step().expect("memory");
            if round > 4 {
                core.compact().expect("memory");
            }
            for partition in core.partitions() {
                let layers = partition.layers();
                let bytes = layers.and_then(|layers| layers.bulk).unwrap_or(0);
                assert!(bytes <= 2 * PIECE_BYTES + 8 * 1_501 + 8, "{bytes} in round {round}");
            }
            if round > 6 {
                let encoded = core.stats().entries_encoded - before;
                assert!(encoded <= 30_000, "{encoded} in round {round}");
            }
        }
        core.check();
    }
}
