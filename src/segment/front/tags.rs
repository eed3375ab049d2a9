//! The tags of a block, all looked at at once.
//!
//! A block of 16 keys has 15 of them, which fit into two words. What a loop over the keys would add
//! up and compare one by one, with a guess at each, a product and a subtraction do for eight.

use super::block::HALF_MAX;

/// Tags of a block of 16 keys.
pub(super) const TAGS: usize = 15;

/// Bytes of a word.
pub(super) const WORD: usize = 8;

/// A byte of 1 in each place.
const ONES: u64 = u64::MAX / 255;

/// The tags of a block of 16 keys without any 15 in them, taken apart.
pub(super) struct Tags {
    /// What each key shares with the one before it, less `common`.
    shared: [u64; 2],
    /// Where each suffix ends, from the first suffix on.
    ends: [u64; 2],
}

impl Tags {
    /// The tags at `at`. `None` if there are none, or one has a half of 15.
    #[inline]
    pub(super) fn of(bytes: &[u8], at: usize) -> Option<Self> {
        let [low, high] = bytes.get(at..)?.as_chunks::<WORD>().0.first_chunk::<2>()?;
        // After the last tag comes something else.
        let tags = [u64::from_le_bytes(*low), u64::from_le_bytes(*high) & u64::MAX >> 8];
        let shared = tags.map(|tags| tags >> 4 & (ONES * 15));
        let lens = tags.map(|tags| (tags & (ONES * 15)) + ONES);
        let carried = lens[0] | lens[1] | (shared[0] + ONES) | (shared[1] + ONES);
        // A product sums up the bytes from the lowest one on: at most 16 times 15.
        let first = lens[0].wrapping_mul(ONES);
        let second = lens[1].wrapping_mul(ONES).wrapping_add((first >> 56).wrapping_mul(ONES));
        (carried & (ONES * 16) == 0).then_some(Self { shared, ends: [first, second] })
    }

    /// Bytes of all suffixes.
    #[inline]
    pub(super) fn len(&self) -> usize {
        usize::from(self.ends[1].to_le_bytes()[TAGS - 1 - WORD])
    }

    /// The first tag from `from` on whose shared part is at most `most`.
    #[inline]
    pub(super) fn next_not_above(&self, most: usize, from: usize) -> Option<usize> {
        let most = (most.min(HALF_MAX) as u64 | 0x80) * ONES;
        // The top bit of each byte stays if nothing greater is taken away; then all gather above.
        let gather =
            |shared: u64| ((most - shared) >> 7 & ONES).wrapping_mul(0x0102_0408_1020_4080) >> 56;
        let found = gather(self.shared[0]) | gather(self.shared[1]) << WORD;
        let found = found & ((1 << TAGS) - 1) & (u64::MAX << from);
        (found != 0).then(|| found.trailing_zeros() as usize)
    }

    /// Of a tag: the shared part, where its suffix starts, and the suffix's length.
    #[inline]
    pub(super) fn get(&self, i: usize) -> (usize, usize, usize) {
        let byte = |words: &[u64; 2], i: usize| {
            words.get(i / WORD).map_or(0, |word| (word >> (i % WORD * 8) & 0xff) as usize)
        };
        let start = if i == 0 { 0 } else { byte(&self.ends, i - 1) };
        (byte(&self.shared, i), start, byte(&self.ends, i) - start)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::rng::Rng;

    #[test]
    fn tags_say_what_a_loop_over_them_says() {
        let mut rng = Rng::new(9);
        for round in 0..2000 {
            let most = [1, 2, 5, 15][round % 4];
            let halves: Vec<(usize, usize)> =
                (0..TAGS).map(|_| (rng.below(most), rng.below(most))).collect();
            let mut bytes = vec![rng.byte()];
            bytes.extend(halves.iter().map(|(shared, len)| (shared << 4 | len) as u8));
            bytes.push([0, 0x0f, 0xff, rng.byte()][rng.below(4)]);
            let tags = Tags::of(&bytes, 1).expect("no half is 15");
            let mut end = 0;
            for (i, &(shared, len)) in halves.iter().enumerate() {
                assert_eq!(tags.get(i), (shared, end, len + 1), "{halves:?} {i}");
                end += len + 1;
            }
            assert_eq!(tags.len(), end);
            for over in 0..20 {
                for from in 0..=TAGS {
                    let found = (from..TAGS).find(|i| halves[*i].0 <= over);
                    assert_eq!(tags.next_not_above(over, from), found, "{halves:?} {over} {from}");
                }
            }
        }
    }

    #[test]
    fn a_half_of_fifteen_anywhere_is_too_much() {
        for at in 0..TAGS {
            for tag in [0x0f, 0xf0, 0xff] {
                let mut bytes = [0; TAGS + 1];
                bytes[at] = tag;
                assert!(Tags::of(&bytes, 0).is_none(), "{at} {tag:x}");
            }
        }
        assert!(Tags::of(&[0; TAGS], 0).is_none(), "there is no byte behind the last tag");
    }
}
