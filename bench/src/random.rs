//! Repeatable randomness: one seed gives one sequence, on any machine.

/// A 64-bit counter-based generator: each draw mixes the next multiple of an odd constant.
#[derive(Clone)]
pub(crate) struct Random {
    state: u64,
}

const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

/// Spreads the bits of `x` over the whole word.
pub(crate) fn mix(mut x: u64) -> u64 {
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
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

    /// A number in [0, 1).
    pub(crate) fn unit(&mut self) -> f64 {
        (self.word() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// A draw from the normal distribution around 0 with deviation 1.
    pub(crate) fn normal(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - self.unit()).ln()).sqrt();
        radius * (std::f64::consts::TAU * self.unit()).cos()
    }

    pub(crate) fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last + 1));
        }
    }
}

/// Ranks below a bound, rank 0 most often, by Zipf's law; the method is that of YCSB.
pub(crate) struct Zipf {
    bound: f64,
    exponent: f64,
    zeta: f64,
    eta: f64,
}

/// Terms of a zeta sum that are added one by one; the rest is an integral.
const EXACT_TERMS: usize = 100_000;

fn zeta(bound: usize, exponent: f64) -> f64 {
    let exact = bound.min(EXACT_TERMS);
    let head: f64 = (1..=exact).map(|rank| (rank as f64).powf(-exponent)).sum();
    let power = 1.0 - exponent;
    let integral = |x: f64| x.powf(power) / power;
    head + integral(bound as f64 + 0.5) - integral(exact as f64 + 0.5)
}

impl Zipf {
    /// `exponent` is below 1; `bound` is not 0.
    pub(crate) fn new(bound: usize, exponent: f64) -> Self {
        let zeta_all = zeta(bound, exponent);
        let zeta_two = 1.0 + 0.5_f64.powf(exponent);
        let eta = (1.0 - (2.0 / bound as f64).powf(1.0 - exponent)) / (1.0 - zeta_two / zeta_all);
        Self { bound: bound as f64, exponent, zeta: zeta_all, eta }
    }

    pub(crate) fn rank(&self, random: &mut Random) -> usize {
        let draw = random.unit();
        let scaled = draw * self.zeta;
        if scaled < 1.0 || self.bound < 2.0 {
            return 0;
        }
        if scaled < 1.0 + 0.5_f64.powf(self.exponent) {
            return 1;
        }
        let power = 1.0 / (1.0 - self.exponent);
        let rank = self.bound * (self.eta * draw - self.eta + 1.0).powf(power);
        (rank as usize).min(self.bound as usize - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::{Random, Zipf};

    #[test]
    fn one_seed_gives_one_sequence() {
        let draw = |seed| Random::new(seed).word();
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
    }

    #[test]
    fn normal_draws_have_mean_0_and_deviation_1() {
        let mut random = Random::new(5);
        let draws: Vec<f64> = (0..20_000).map(|_| random.normal()).collect();
        let mean = draws.iter().sum::<f64>() / draws.len() as f64;
        let variance = draws.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / draws.len() as f64;
        assert!(mean.abs() < 0.05 && (variance - 1.0).abs() < 0.05, "{mean} {variance}");
    }

    #[test]
    fn zipf_ranks_stay_below_the_bound_and_favour_the_first() {
        let mut random = Random::new(7);
        let zipf = Zipf::new(1_000, 0.99);
        let mut counts = vec![0_u32; 1_000];
        (0..100_000).for_each(|_| counts[zipf.rank(&mut random)] += 1);
        // 1 / zeta(1000, 0.99) is 0.1282.
        assert!((12_000..14_000).contains(&counts[0]), "{}", counts[0]);
        assert!(counts[0] > counts[9] && counts[9] > counts[500]);
        assert_eq!(Zipf::new(1, 0.99).rank(&mut random), 0);
    }
}
