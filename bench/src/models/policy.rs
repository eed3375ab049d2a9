//! Policies: which level finds what, and the one that looks at the fit first.

use super::model::{
    Blocks, Hybrid, Hybridization, Learner, Model, ModelOf, Searched, StackedLearner, Whole, Window,
};
use super::pla::Pla;
use super::spline::{Radix, Spline};
use super::tree::Eights;

/// Lines that are found by lines that are found by lines, as far as that pays.
pub(super) type Pgm<const E: usize> =
    Hybrid<Searched<Hybrid<Searched<Hybrid<Searched<Whole>, Pla<4>>>, Pla<4>>>, Pla<E>>;

pub(super) type RadixSpline<const E: usize> = Hybrid<Searched<Radix>, Spline<E>>;

/// A spline over the first keys of blocks.
pub(super) type SplineOverBlocks<const N: usize> = Hybrid<Searched<RadixSpline<4>>, Blocks<N>>;

/// Lines where they are few and a table finds them, else a tree over blocks: the policy to use where
/// nothing is known.
pub(super) struct Fitted<const N: usize, const E: usize>;

type Lines<const E: usize> = Hybrid<Searched<Radix>, Pla<E>>;
type Nodes<const N: usize> = Hybrid<Eights, Blocks<N>>;

/// What was chosen.
pub(super) enum Fit<const N: usize, const E: usize> {
    Lines(ModelOf<Lines<E>>),
    Nodes(ModelOf<Nodes<N>>),
}

/// Keys that a line has to have, in the mean, to pay for its 24 bytes and four or eight in the table.
const LEAST_KEYS: usize = 64;

/// Where blocks are large, and so the tree over them small: so many lines pay instead of a block.
const LINES_OF_BLOCK: usize = 4;

/// Steps of a search between the lines that a table leads to, in the mean over keys, from which on
/// the steps of a tree are fewer.
const MOST_STEPS: usize = 5;

/// Keys after which lines may be given up.
const SOME: usize = 1 << 16;

pub(super) struct FitLearner<const N: usize, const E: usize> {
    /// None, once there are too many.
    lines: Option<<Lines<E> as Hybridization>::Learner>,
    nodes: <Nodes<N> as Hybridization>::Learner,
    keys: usize,
}

impl<const N: usize, const E: usize> Default for FitLearner<N, E> {
    fn default() -> Self {
        Self { lines: Some(StackedLearner::default()), nodes: StackedLearner::default(), keys: 0 }
    }
}

/// Steps of a search between lines, in the sum over keys.
fn steps<const E: usize>(lines: &ModelOf<Lines<E>>) -> usize {
    let firsts = lines.firsts.iter();
    let steps = firsts.zip(lines.level.0.windows(2)).map(|(first, pair)| {
        let Window { from, end } = lines.top.0.window(*first);
        (pair[1].start - pair[0].start) as usize * (end - from + 1).ilog2() as usize
    });
    steps.sum()
}

impl<const N: usize, const E: usize> Learner for FitLearner<N, E> {
    type Model = Fit<N, E>;

    fn push(&mut self, key: u64) {
        self.nodes.push(key);
        self.keys += 1;
        if let Some(lines) = &mut self.lines {
            lines.push(key);
            // What is not learnable is so for long: then its lines are not looked for to the end.
            if lines.parts() * LEAST_KEYS.max(N / LINES_OF_BLOCK) > self.keys + SOME {
                self.lines = None;
            }
        }
    }

    fn finish(self) -> Fit<N, E> {
        let least = LEAST_KEYS.max(N / LINES_OF_BLOCK);
        let are_few = |lines: &StackedLearner<_, _>| lines.parts() * least <= self.keys;
        if let Some(lines) = self.lines.filter(are_few).map(Learner::finish)
            && steps(&lines) <= MOST_STEPS * self.keys
        {
            Fit::Lines(lines)
        } else {
            Fit::Nodes(self.nodes.finish())
        }
    }
}

impl<const N: usize, const E: usize> Model for Fit<N, E> {
    #[inline(always)]
    fn window(&self, key: u64) -> Window {
        match self {
            Self::Lines(model) => model.window(key),
            Self::Nodes(model) => model.window(key),
        }
    }

    fn bytes(&self) -> usize {
        match self {
            Self::Lines(model) => model.bytes(),
            Self::Nodes(model) => model.bytes(),
        }
    }

    fn widest(&self) -> usize {
        match self {
            Self::Lines(model) => model.widest(),
            Self::Nodes(model) => model.widest(),
        }
    }
}

impl<const N: usize, const E: usize> Hybridization for Fitted<N, E> {
    type Learner = FitLearner<N, E>;
}
