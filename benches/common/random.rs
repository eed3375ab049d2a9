//! Repeatable randomness: one seed gives one sequence.

/// A 64-bit counter-based generator: each draw mixes the next multiple of an odd constant.
pub(crate) struct Random {
    state: u64,
}

const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

/// Spreads the bits of `x` over the whole word.
fn mix(mut x: u64) -> u64 {
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// Which random values are stored.
#[derive(Clone, Copy)]
pub(crate) struct Values {
    pub(crate) seed: u64,
    /// Bits that they have at most, 1 to 64.
    pub(crate) bits: u32,
}

impl From<u64> for Values {
    /// Values of 64 bits.
    fn from(seed: u64) -> Self {
        Self { seed, bits: u64::BITS }
    }
}

/// The value stored under the `index`-th key of a set.
pub(crate) fn value_of(values: impl Into<Values>, index: usize) -> u64 {
    let Values { seed, bits } = values.into();
    let value = mix(mix(seed ^ 0x5eed).wrapping_add((index as u64).wrapping_mul(STEP)));
    value >> (u64::BITS - bits)
}

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self { state: mix(seed) }
    }

    pub(crate) fn word(&mut self) -> u64 {
        self.state = self.state.wrapping_add(STEP);
        mix(self.state)
    }

    /// A number below `bound`, which must not be 0. The bias is below 2^-32 for 32-bit bounds.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        ((u128::from(self.word()) * bound as u128) >> 64) as usize
    }

    pub(crate) fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last + 1));
        }
    }
}

/// Ranks below a bound, rank 0 most often, by Zipf's law, after the method that YCSB uses.
pub(crate) struct Zipf {
    bound: f64,
    exponent: f64,
    zeta: f64,
    eta: f64,
}

impl Zipf {
    /// `exponent` is below 1, and `bound` is not 0.
    pub(crate) fn new(bound: usize, exponent: f64) -> Self {
        let sum =
            |terms: usize| -> f64 { (1..=terms).map(|rank| (rank as f64).powf(-exponent)).sum() };
        let zeta = sum(bound);
        let eta = (1.0 - (2.0 / bound as f64).powf(1.0 - exponent)) / (1.0 - sum(2) / zeta);
        Self { bound: bound as f64, exponent, zeta, eta }
    }

    pub(crate) fn rank(&self, random: &mut Random) -> usize {
        let draw = random.word() as f64 / u64::MAX as f64;
        let scaled = draw * self.zeta;
        if scaled < 1.0 {
            return 0;
        }
        if scaled < 1.0 + 0.5_f64.powf(self.exponent) {
            return 1.min(self.bound as usize - 1);
        }
        let power = 1.0 / (1.0 - self.exponent);
        let rank = self.bound * (self.eta * draw - self.eta + 1.0).powf(power);
        (rank as usize).min(self.bound as usize - 1)
    }
}
