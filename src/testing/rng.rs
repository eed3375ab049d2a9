//! Random numbers for tests: one seed replays a run.
//!
//! The generator is SplitMix64: a counter that steps by the golden ratio, put through a mixing
//! function. Its state is one word, so that a seed is a whole state and neighbouring seeds give
//! unrelated runs.

use std::ops::RangeInclusive;

/// The environment variable that replaces the seeds of all randomised tests.
pub(crate) const SEED_VARIABLE: &str = "MEMKV_SEED";

/// Step of the counter: 2^64 divided by the golden ratio, made odd.
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// Spreads the bits of `x` over the whole word; a bijection.
pub(crate) fn mix(mut x: u64) -> u64 {
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// A seeded generator of random numbers, good enough for tests and nothing else.
#[derive(Clone, Debug)]
pub(crate) struct Rng {
    state: u64,
}

impl Rng {
    /// A generator that this seed determines.
    pub(crate) fn new(seed: u64) -> Self {
        Self { state: mix(seed) }
    }

    /// The next 64 random bits.
    pub(crate) fn next_u64(&mut self) -> u64 {
        self.state = self.state.wrapping_add(GOLDEN);
        mix(self.state)
    }

    /// A number below `bound`, which must not be 0.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        // The high half of a product is uniform but for a bias of bound / 2^64.
        ((u128::from(self.next_u64()) * bound as u128) >> 64) as usize
    }

    /// A number from the range.
    pub(crate) fn within(&mut self, range: RangeInclusive<usize>) -> usize {
        range.start() + self.below(range.end() - range.start() + 1)
    }

    /// A number below `bound` whose logarithm is uniform: small ones are likely, all possible.
    pub(crate) fn log_below(&mut self, bound: usize) -> usize {
        let doublings = usize::BITS - bound.leading_zeros();
        let ceiling = 1 << self.below(doublings as usize + 1);
        self.below(bound.min(ceiling))
    }

    /// True once in `n` times.
    pub(crate) fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    /// A byte.
    pub(crate) fn byte(&mut self) -> u8 {
        self.next_u64() as u8
    }

    /// So many bytes.
    pub(crate) fn bytes(&mut self, len: usize) -> Vec<u8> {
        (0..len).map(|_| self.byte()).collect()
    }

    /// One of the items, of which there must be some.
    pub(crate) fn pick<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        &items[self.below(items.len())]
    }

    /// Puts the items into random order.
    pub(crate) fn shuffle<T>(&mut self, items: &mut [T]) {
        for i in (1..items.len()).rev() {
            items.swap(i, self.below(i + 1));
        }
    }
}

/// Runs `body` with seeds `first`, `first + 1`, and so on; with only the one in `MEMKV_SEED` if
/// that is set. A body that panics has its seed printed.
pub(crate) fn for_seeds(first: u64, runs: u64, mut body: impl FnMut(u64)) {
    let seeds = match seed_from_environment() {
        Some(seed) => seed..seed + 1,
        None => first..first + runs,
    };
    for seed in seeds {
        let _note = SeedNote(seed);
        body(seed);
    }
}

/// The seed that the user asks for.
fn seed_from_environment() -> Option<u64> {
    let text = std::env::var(SEED_VARIABLE).ok()?;
    let seed = match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16),
        None => text.parse(),
    };
    Some(seed.expect("MEMKV_SEED is a decimal number, or a hexadecimal one after 0x"))
}

/// Tells the seed if it is dropped by a panic.
struct SeedNote(u64);

impl Drop for SeedNote {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("replay with {SEED_VARIABLE}={}", self.0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_seeds_give_equal_runs_and_neighbours_differ() {
        let run = |seed| {
            let mut rng = Rng::new(seed);
            [(); 8].map(|()| rng.next_u64())
        };
        assert_eq!(run(7), run(7));
        let (a, b) = (run(7), run(8));
        assert!(a.iter().all(|x| !b.contains(x)));
    }

    #[test]
    fn bounded_numbers_reach_both_ends_and_stay_inside() {
        let mut rng = Rng::new(1);
        let (mut uniform, mut logarithmic) = ([0; 5], [0; 5]);
        for _ in 0..5_000 {
            uniform[rng.below(5)] += 1;
            logarithmic[rng.log_below(5)] += 1;
            assert!((3..=4).contains(&rng.within(3..=4)));
        }
        assert!(uniform.iter().all(|&n| n > 800), "{uniform:?}");
        assert!(logarithmic[0] > logarithmic[4] && logarithmic[4] > 0);
    }

    #[test]
    fn shuffling_keeps_the_items() {
        let mut items: Vec<u32> = (0..100).collect();
        Rng::new(3).shuffle(&mut items);
        assert!(!items.is_sorted());
        items.sort_unstable();
        assert!(items.into_iter().eq(0..100));
    }
}
