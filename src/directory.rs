//! The sorted boundaries of a map's partitions, and the partitions. Immutable; replaced as a whole.
//!
//! What holds here (I4): the partitions cover all keys and do not overlap. The first has no lower
//! bound; each other one begins at its bound and ends below the next one's.

use crate::bytes::strip_prefix;
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
    /// The eight bytes behind that of each bound.
    heads: Heads,
}

/// Keys of a node.
const FANOUT: usize = 16;

/// Ascending numbers below a static tree. Where something waits for a search, it takes two thirds of
/// one by halving (SCRATCHPAD.md section 7.1).
struct Heads {
    /// The root first. The last level has all numbers; one above it the last number of each node of
    /// the next, but for the last of those. What is left of a level's last node is filled with the
    /// greatest number, which is below none.
    levels: Box<[Box<[Node]>]>,
}

/// On two cache lines.
#[derive(Clone, Copy)]
#[repr(align(64))]
struct Node([u64; FANOUT]);

impl Node {
    /// How many of its numbers are below `wanted`: quarters first, then those of one. Looked at all
    /// at once they would become emulated vectors.
    #[inline]
    fn rank(&self, wanted: u64) -> usize {
        let below = |at: usize| usize::from(self.0[at] < wanted);
        let quarter = 4 * (below(3) + below(7) + below(11));
        quarter + below(quarter) + below(quarter + 1) + below(quarter + 2) + below(quarter + 3)
    }
}

impl Heads {
    /// Of ascending numbers.
    fn new(numbers: Vec<u64>) -> Self {
        let mut levels = Vec::new();
        let mut numbers = numbers;
        while !numbers.is_empty() {
            let nodes = numbers.chunks(FANOUT).map(|chunk| {
                let mut node = [u64::MAX; FANOUT];
                node[..chunk.len()].copy_from_slice(chunk);
                Node(node)
            });
            let nodes: Box<[Node]> = nodes.collect();
            let but_the_last = &nodes[..nodes.len() - 1];
            numbers = but_the_last.iter().map(|node| node.0[FANOUT - 1]).collect();
            levels.push(nodes);
        }
        levels.reverse();
        Self { levels: levels.into() }
    }

    /// How many numbers are below `wanted`.
    #[inline]
    fn rank(&self, wanted: u64) -> usize {
        self.levels.iter().fold(0, |at, level| at * FANOUT + level[at].rank(wanted))
    }

    /// The number of this rank, of which there is one.
    #[inline]
    fn number(&self, rank: usize) -> u64 {
        self.levels[self.levels.len() - 1][rank / FANOUT].0[rank % FANOUT]
    }

    fn heap_bytes(&self) -> usize {
        let levels = self.levels.iter().map(|level| size_of_val(&**level)).sum::<usize>();
        size_of_val(&*self.levels) + levels
    }
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
            heads: Heads::new(bounds().map(|bound| head(&bound[common..])).collect()),
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
        let Some(rest) = strip_prefix(key, common) else {
            // All bounds are on the same side of a key that does not begin as they do.
            return if key > common { self.partitions.len() - 1 } else { 0 };
        };
        let wanted = head(rest);
        let mut at = self.heads.rank(wanted);
        // Bounds whose heads tie are compared whole.
        if at < self.ends.len() && self.heads.number(at) == wanted {
            let behind = wanted.checked_add(1).map(|next| self.heads.rank(next));
            let (mut low, mut high) = (at, behind.unwrap_or(self.ends.len()));
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
        let bounds = size_of_val(&*self.ends) + self.heads.heap_bytes() + self.bytes.len();
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
    fn ranks_are_those_of_a_sorted_list_whatever_fills_the_last_nodes() {
        for len in (0..40).chain([255, 256, 257, 271, 272, 273, 288, 4_096, 4_097, 4_113, 5_000]) {
            let mut numbers: Vec<u64> = (0..len).map(|n| n / 3 * 10).collect();
            if len % 2 == 1 {
                numbers.extend([u64::MAX; 20]);
            }
            let heads = Heads::new(numbers.clone());
            let around =
                numbers.iter().flat_map(|&n| [n.saturating_sub(1), n, n.saturating_add(1)]);
            for wanted in around.chain([0, 1, u64::MAX - 1, u64::MAX]) {
                let expected = numbers.partition_point(|&number| number < wanted);
                assert_eq!(heads.rank(wanted), expected, "{wanted} among {len}");
            }
            for (rank, number) in numbers.iter().enumerate() {
                assert_eq!(heads.number(rank), *number);
            }
        }
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
