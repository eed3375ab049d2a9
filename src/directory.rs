//! The sorted boundaries of a map's partitions, and the partitions. Immutable; replaced as a whole.
//!
//! What holds here (I4): the partitions cover all keys and do not overlap. The first has no lower
//! bound; each other one begins at its bound and ends below the next one's.

use crate::partition::Partition;
use crate::sync::Arc;
use std::ops::Range;

/// Partitions in the order of their keys.
pub(crate) struct Directory {
    partitions: Box<[Arc<Partition>]>,
    /// All bounds, one behind the other.
    bytes: Box<[u8]>,
    /// Where the bound of each partition but the first ends in them.
    ends: Box<[usize]>,
    /// Length of what all bounds begin with.
    common: usize,
    /// The eight bytes behind that of each bound, as numbers in key order.
    heads: Box<[u64]>,
}

impl Directory {
    /// Partitions with their bounds, in ascending order; that of the first is not looked at.
    pub(crate) fn new(partitions: Vec<(Box<[u8]>, Arc<Partition>)>) -> Self {
        let bounds = || partitions.iter().skip(1).map(|(bound, _)| &**bound);
        debug_assert!(bounds().is_sorted_by(|a, b| a < b), "bounds ascend (I4)");
        // They are sorted: what the first and the last share, all share.
        let common = match (bounds().next(), bounds().next_back()) {
            (Some(first), Some(last)) => first.iter().zip(last).take_while(|(a, b)| a == b).count(),
            _ => 0,
        };
        let mut end = 0;
        let ends = bounds().map(|bound| {
            end += bound.len();
            end
        });
        Self {
            ends: ends.collect(),
            heads: bounds().map(|bound| head(&bound[common..])).collect(),
            bytes: bounds().flatten().copied().collect(),
            common,
            partitions: partitions.into_iter().map(|(_, partition)| partition).collect(),
        }
    }

    /// The same with others in the place of some.
    pub(crate) fn with(
        &self,
        replaced: Range<usize>,
        others: impl IntoIterator<Item = (Box<[u8]>, Arc<Partition>)>,
    ) -> Self {
        let mut rows: Vec<_> = (0..self.len())
            .map(|at| (self.bound(at).into(), self.partitions[at].clone()))
            .collect();
        let first_bound: Box<[u8]> = self.bound(replaced.start).into();
        let start = replaced.start;
        rows.splice(replaced, others);
        // What comes first now begins where what was there began.
        rows[start].0 = first_bound;
        Self::new(rows)
    }

    /// Number of partitions.
    pub(crate) fn len(&self) -> usize {
        self.partitions.len()
    }

    /// All partitions in key order.
    pub(crate) fn partitions(&self) -> &[Arc<Partition>] {
        &self.partitions
    }

    /// The least key that partition number `at` can have; empty for the first.
    pub(crate) fn bound(&self, at: usize) -> &[u8] {
        match at.checked_sub(1) {
            None => &[],
            Some(i) => {
                let start = i.checked_sub(1).map_or(0, |before| self.ends[before]);
                &self.bytes[start..self.ends[i]]
            }
        }
    }

    /// The partition that has `key`, if any has it.
    #[inline]
    pub(crate) fn partition(&self, key: &[u8]) -> &Arc<Partition> {
        &self.partitions[self.position(key)]
    }

    /// Its number.
    #[inline]
    pub(crate) fn position(&self, key: &[u8]) -> usize {
        let common = &self.bytes[..self.common];
        let Some(rest) = key.strip_prefix(common) else {
            // All bounds are on the same side of a key that does not begin as they do.
            return if key > common { self.partitions.len() - 1 } else { 0 };
        };
        let wanted = head(rest);
        let mut at = self.heads.partition_point(|&head| head < wanted);
        // Bounds whose heads tie are compared whole.
        if self.heads.get(at) == Some(&wanted) {
            let ties = self.heads[at..].partition_point(|&head| head == wanted);
            let (mut low, mut high) = (at, at + ties);
            while low < high {
                let middle = low.midpoint(high);
                if self.bound(middle + 1) <= key { low = middle + 1 } else { high = middle }
            }
            at = low;
        }
        at
    }

    /// The number of this partition, if it is one of these.
    pub(crate) fn index_of(&self, partition: &Partition) -> Option<usize> {
        self.partitions.iter().position(|own| std::ptr::eq(&raw const **own, partition))
    }

    /// The numbers of these neighbours, if they are there, one behind the other.
    pub(crate) fn range_of(&self, neighbours: &[&Partition]) -> Option<Range<usize>> {
        let start = self.index_of(neighbours.first()?)?;
        let own = self.partitions.get(start..start + neighbours.len())?;
        let are_these =
            own.iter().zip(neighbours).all(|(own, one)| std::ptr::eq(&raw const **own, *one));
        are_these.then_some(start..start + neighbours.len())
    }

    /// Heap bytes, partitions included but for what they hold.
    pub(crate) fn heap_bytes(&self) -> usize {
        const COUNTS: usize = 2 * size_of::<usize>();
        let each = size_of::<Arc<Partition>>() + COUNTS + size_of::<Partition>();
        let bounds = size_of_val(&*self.ends) + size_of_val(&*self.heads) + self.bytes.len();
        COUNTS + size_of::<Self>() + self.len() * each + bounds
    }
}

/// The first eight bytes, filled up with zeros, as a number that sorts as they do.
#[inline]
fn head(bytes: &[u8]) -> u64 {
    // The first byte of a key weighs most.
    if let Some(whole) = bytes.first_chunk() {
        return u64::from_le_bytes(*whole).swap_bytes();
    }
    let mut head = [0; 8];
    head[..bytes.len()].copy_from_slice(bytes);
    u64::from_le_bytes(head).swap_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entry::ValueWidth;
    use crate::testing::keys::{self, Alphabet};
    use crate::testing::rng::{Rng, for_seeds};

    fn directory(bounds: &[Vec<u8>]) -> Directory {
        let blank = || Arc::new(Partition::new(ValueWidth::Bytes));
        let rest = bounds.iter().map(|bound| (bound.as_slice().into(), blank()));
        Directory::new([(Box::default(), blank())].into_iter().chain(rest).collect())
    }

    fn check(bounds: &[Vec<u8>], probes: &[Vec<u8>]) {
        let directory = directory(bounds);
        for probe in probes {
            let expected = bounds.iter().filter(|bound| *bound <= probe).count();
            assert_eq!(directory.position(probe), expected, "{probe:?} among {bounds:?}");
            assert!(directory.bound(expected) <= probe);
        }
    }

    #[test]
    fn each_key_has_the_last_partition_whose_bound_is_not_above_it() {
        for_seeds(1, 40, |seed| {
            let alphabet = Alphabet::ALL[seed as usize % Alphabet::ALL.len()];
            let mut rng = Rng::new(seed);
            let mut bounds: Vec<Vec<u8>> = (0..60).map(|_| alphabet.key(&mut rng)).collect();
            bounds.retain(|bound| !bound.is_empty());
            bounds.sort();
            bounds.dedup();
            let mut probes: Vec<Vec<u8>> = (0..60).map(|_| alphabet.key(&mut rng)).collect();
            probes.extend(bounds.iter().flat_map(|bound| keys::near_misses(bound)));
            probes.extend_from_slice(&bounds);
            check(&bounds, &probes);
        });
    }

    #[test]
    fn bounds_that_share_a_long_prefix_are_told_apart_behind_it() {
        let key = |n: u16| [vec![b'p'; 1024], keys::big_endian(n.into())].concat();
        let bounds: Vec<Vec<u8>> = (1..200).map(|n| key(n * 3)).collect();
        let mut probes: Vec<Vec<u8>> = (0..700).map(key).collect();
        probes.extend([vec![], vec![b'p'; 1000], vec![b'p'; 1024], vec![b'q'], vec![b'a'; 2000]]);
        check(&bounds, &probes);
    }

    #[test]
    fn what_replaces_partitions_begins_where_they_began() {
        let bounds: Vec<Vec<u8>> = [b"b", b"d", b"f"].map(|bound| bound.to_vec()).to_vec();
        let old = directory(&bounds);
        let blank = || Arc::new(Partition::new(ValueWidth::Bytes));
        let others = [(Box::from(&b"x"[..]), blank()), (Box::from(&b"e"[..]), blank())];
        let new = old.with(1..3, others);
        let found: Vec<&[u8]> = (0..new.len()).map(|at| new.bound(at)).collect();
        assert_eq!(found, [&b""[..], b"b", b"e", b"f"]);
        assert_eq!(new.index_of(&old.partitions()[3]), Some(3));
        assert_eq!(new.index_of(&old.partitions()[1]), None);
        let ranges = |at: &[usize]| {
            old.range_of(&at.iter().map(|&at| &*old.partitions()[at]).collect::<Vec<_>>())
        };
        assert_eq!((ranges(&[1, 2]), ranges(&[1, 3]), ranges(&[2, 1])), (Some(1..3), None, None));
    }
}
