//! Newer entries, put between those that were copied from below them, or in the place of these.

use super::{Batch, LentKeys, MOST_BYTES, NUMBER_LEN, Source, kept, spelled_on};
use crate::range::Direction;
use std::ops::Range;

/// What entries are like that were copied, and have not been changed since.
#[derive(Clone, Copy)]
pub(crate) struct Shape {
    /// Bytes of each value.
    width: usize,
    /// So many newer entries that do not just take the place of one are worth being put among them.
    room: usize,
}

/// For how many of those that were copied one newer entry is put among them at most: each moves those behind it, and
/// where there are many a walk that ends soon would have paid for more than it sees.
const PART: usize = 2;

impl Shape {
    /// How many newer entries that do not just take the place of one are worth being put among those that were copied:
    /// where there are more of them, steps are as good.
    pub(crate) fn room(self) -> usize {
        self.room
    }
}

impl Batch {
    /// What its entries are like.
    #[inline]
    pub(crate) fn shape(&self) -> Shape {
        let values = self.bytes.len() - self.values;
        Shape { width: values.checked_div(self.len).unwrap_or(0), room: self.len.div_ceil(PART) }
    }

    /// The keys of all entries.
    pub(super) fn keys(&self) -> LentKeys<'_> {
        match (self.key_len, &*self.strings.bounds) {
            (0, [start, ends @ ..]) => LentKeys::Strings(&self.strings.bytes, *start, ends),
            (0, []) => LentKeys::Strings(&[], 0, &[]),
            (len, _) if len <= NUMBER_LEN => LentKeys::Numbers(&self.numbers, len),
            (len, _) => LentKeys::Fixed(&self.bytes[..self.values], len),
        }
    }

    /// Has this value in place of the one that was copied for `key`, or beside those that were; or, of a tombstone,
    /// nothing. All entries, which had this shape, are yet to be yielded in this direction. `None`, and all are what
    /// they were, if it is not like them, or its key too long, or there is no memory; else whether it just took
    /// the place of one.
    pub(crate) fn put(
        &mut self,
        direction: Direction,
        shape: Shape,
        key: &[u8],
        value: Option<&[u8]>,
    ) -> Option<bool> {
        let value = value.map(|value| if self.has_values { value } else { &[] });
        if (self.key_len != 0 && key.len() != self.key_len)
            || value.is_some_and(|value| value.len() != shape.width)
            || key.len() > MOST_BYTES
        {
            return None;
        }
        let (at, is_there) = self.find(key);
        self.source = Source::Layers;
        let end = at + usize::from(is_there);
        match value {
            Some(value) if is_there => {
                let start = self.values + at * shape.width;
                self.bytes[start..start + shape.width].copy_from_slice(value);
            }
            Some(value) => {
                self.make_room(key, value)?;
                self.replace(direction, shape, at..end, Some((key, value)));
            }
            None => self.replace(direction, shape, at..end, None),
        }
        Some(is_there && value.is_some())
    }

    /// How many keys are below this one, which is like them, and whether it is there too.
    #[inline]
    fn find(&self, key: &[u8]) -> (usize, bool) {
        if let 1..=NUMBER_LEN = self.key_len {
            let number = spelled_on(0, key);
            let at = self.numbers.partition_point(|other| *other < number);
            return (at, self.numbers.get(at) == Some(&number));
        }
        let keys = self.keys();
        let at = kept(self.len, Direction::Forward, |i| keys.with_key(i, |other| other < key)).end;
        (at, at < self.len && keys.with_key(at, |other| other == key))
    }

    /// Forgets entries from the first one on, in this direction, that `is_in` does not say so of: no longer, once it
    /// does not; answers how many. All are yet to be yielded. If any were copied in vain, the next try waits.
    pub(crate) fn keep_while(
        &mut self,
        direction: Direction,
        shape: Shape,
        is_in: impl Fn(&[u8]) -> bool,
    ) -> usize {
        let keys = self.keys();
        let kept = kept(self.len, direction, |i| keys.with_key(i, &is_in));
        // The others are all on one side.
        let others = if kept.start > 0 { 0..kept.start } else { kept.end..self.len };
        let forgotten = others.len();
        self.source = Source::Layers;
        self.replace(direction, shape, others, None);
        if forgotten > 0 {
            self.rest();
        }
        forgotten
    }

    /// Makes room for one more entry.
    fn make_room(&mut self, key: &[u8], value: &[u8]) -> Option<()> {
        self.bytes.try_reserve(key.len() + value.len()).ok()?;
        match self.key_len {
            0 => self.strings.make_room(key.len()),
            1..=NUMBER_LEN => self.numbers.try_reserve(1).ok(),
            _ => Some(()),
        }
    }

    /// Puts an entry, for which there is room, or none in place of these.
    fn replace(
        &mut self,
        direction: Direction,
        shape: Shape,
        range: Range<usize>,
        with: Option<(&[u8], &[u8])>,
    ) {
        let (key_len, width) = (self.key_len, shape.width);
        let (key, value) = with.unwrap_or_default();
        match key_len {
            0 => self.strings.replace(range.clone(), with.map(|(key, _)| key)),
            1..=NUMBER_LEN => {
                self.numbers.splice(range.clone(), with.map(|(key, _)| spelled_on(0, key)));
            }
            _ => {
                self.bytes.splice(range.start * key_len..range.end * key_len, key.iter().copied());
                self.values = self.values + key.len() - range.len() * key_len;
            }
        }
        let start = self.values + range.start * width;
        let values = start..start + range.len() * width;
        self.bytes.splice(values, value.iter().copied());
        self.len = self.len + usize::from(with.is_some()) - range.len();
        if direction == Direction::Backward {
            (self.next, self.down) = (self.len, self.len);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Lent, LentValues, Widths};
    use super::*;
    use crate::testing::rng::Rng;
    use std::collections::BTreeMap;

    type Model = BTreeMap<Vec<u8>, Vec<u8>>;

    const WIDTH: usize = 3;

    /// Some keys of this length, or of any if that is 0, none of which is another one.
    fn key(rng: &mut Rng, key_len: usize) -> Vec<u8> {
        let len = if key_len == 0 { rng.below(40) } else { key_len };
        (0..len).map(|i| if i + 2 < len { 7 } else { rng.below(12) as u8 }).collect()
    }

    /// A batch of these entries, which are all yet to be yielded.
    fn copied(model: &Model, key_len: usize, direction: Direction, has_values: bool) -> Batch {
        let numbers: Vec<u64> = model.keys().map(|key| spelled_on(0, key)).collect();
        let bytes = model.keys().flatten().copied().collect::<Vec<u8>>();
        let ends = model.keys().scan(0, |end, key| {
            *end += key.len() as u32;
            Some(*end)
        });
        let ends: Vec<u32> = ends.collect();
        let keys = match key_len {
            0 => LentKeys::Strings(&bytes, 0, &ends),
            1..=NUMBER_LEN => LentKeys::Numbers(&numbers, key_len),
            _ => LentKeys::Fixed(&bytes, key_len),
        };
        let values: Vec<u8> = model.values().flatten().copied().collect();
        let mut batch = Batch::new(has_values);
        let lent = Lent::new(keys, LentValues::Bytes(&values), WIDTH);
        assert_eq!(batch.fill(Some(lent), direction), Some(model.len()));
        batch
    }

    #[test]
    fn entries_that_are_put_among_copied_ones_are_those_of_a_model() {
        let mut rng = Rng::new(12);
        for round in 0..2_000 {
            let key_len = [0, 3, 8, 20][round % 4];
            let direction = [Direction::Forward, Direction::Backward][rng.below(2)];
            let has_values = !rng.one_in(4);
            let mut model = Model::new();
            while model.len() < 3 + round % 60 {
                model.insert(key(&mut rng, key_len), rng.bytes(WIDTH));
            }
            let mut batch = copied(&model, key_len, direction, has_values);
            let shape = batch.shape();
            assert_eq!(shape.width, if has_values { WIDTH } else { 0 });
            for _ in 0..rng.below(30) {
                let key = match rng.below(3) {
                    0 => key(&mut rng, key_len),
                    _ => rng.pick(&model.keys().cloned().collect::<Vec<_>>()).clone(),
                };
                let value = (!rng.one_in(3)).then(|| rng.bytes(WIDTH));
                assert!(batch.put(direction, shape, &key, value.as_deref()).is_some());
                match value {
                    Some(value) => model.insert(key, value),
                    None if model.len() > 1 => model.remove(&key),
                    None => {
                        assert!(model.remove(&key).is_none() || batch.is_empty(direction));
                        break;
                    }
                };
            }
            let other = vec![7; key_len + 1];
            let mut put = |key, value| batch.put(direction, shape, key, Some(value));
            assert!(key_len == 0 || put(&other, &[1; WIDTH]).is_none());
            assert!(!has_values || put(&other[1..], &[1; 9]).is_none());
            if rng.one_in(2) {
                let bound = key(&mut rng, key_len);
                let is_in = |key: &[u8]| match direction {
                    Direction::Forward => key < &bound[..],
                    Direction::Backward => key > &bound[..],
                };
                batch.keep_while(direction, shape, is_in);
                model.retain(|key, _| is_in(key));
            }
            let mut expected: Vec<_> = model.into_iter().collect();
            if direction == Direction::Backward {
                expected.reverse();
            }
            assert_eq!(batch.advance(direction.opposite()), None, "not its direction");
            for (at, (key, value)) in expected.iter().enumerate() {
                let i = batch.advance(direction).expect("as many as there are");
                let widths = Widths::new(key_len, has_values.then_some(WIDTH));
                batch.with_entry(i, widths, |our_key, our_value| {
                    assert_eq!(our_key, key);
                    assert!(!has_values || our_value == value);
                });
                let is_last = at + 1 == expected.len();
                assert!(is_last || batch.mark().is_none_or(|mark| mark == *key));
            }
            assert_eq!(batch.advance(direction), None);
            assert_eq!(batch.mark(), None, "none are left");
        }
    }

    #[test]
    fn keys_that_are_too_long_are_not_put_and_all_may_be_forgotten() {
        let model: Model = (0..4).map(|i| (vec![i; 9], vec![i; WIDTH])).collect();
        for key_len in [0, 9] {
            let mut batch = copied(&model, key_len, Direction::Forward, true);
            let shape = batch.shape();
            assert_eq!(shape.room(), model.len() / PART);
            let long = vec![1; MOST_BYTES + 1];
            let mut put = |key: &[u8], value| batch.put(Direction::Forward, shape, key, value);
            assert_eq!(put(&long, Some(&[5; WIDTH])), None);
            assert_eq!(put(&[5; 9], Some(&[5; WIDTH])), Some(false));
            assert_eq!(put(&[5; 9], Some(&[6; WIDTH])), Some(true));
            assert_eq!((put(&[6; 9], None), put(&[2; 9], None)), (Some(false), Some(false)));
            let forgotten = batch.keep_while(Direction::Forward, shape, |_| false);
            assert_eq!(forgotten, model.len());
            assert!(batch.is_empty(Direction::Forward));
        }
    }
}
