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

/// Lines where they are few and a table finds them, near ones if these too are few, else a tree over
/// blocks: the policy to use where nothing is known.
pub(super) struct Fitted<const N: usize, const E: usize>;

type Lines<const E: usize> = Hybrid<Searched<Radix>, Pla<E>>;
type Nodes<const N: usize> = Hybrid<Eights, Blocks<N>>;

/// How far near lines may be off, in positions: a window has a cache line or two.
const NEAR: usize = 4;

/// What was chosen.
pub(super) enum Fit<const N: usize, const E: usize> {
    Near(ModelOf<Lines<NEAR>>),
    Lines(ModelOf<Lines<E>>),
    Nodes(ModelOf<Nodes<N>>),
}

/// Keys that a line has to have, in the mean, to pay for its 24 bytes and four or eight in the table;
/// and where a larger error would do.
const LEAST_KEYS: usize = 64;
const LEAST_KEYS_NEAR: usize = 256;

/// Instructions, as counted: a level of the tree; a look into the table and along a line; a step of
/// the search between the lines that the table leads to, wrong guesses of their number included.
const LEVEL: usize = 28;
const LINE: usize = 55;
const STEP: usize = 16;

/// Keys after which lines may be given up.
const SOME: usize = 1 << 16;

/// Lines, until there are too many.
struct Candidate<const E: usize> {
    lines: Option<<Lines<E> as Hybridization>::Learner>,
    least_keys: usize,
    keys: usize,
}

impl<const E: usize> Candidate<E> {
    fn new(least_keys: usize) -> Self {
        Self { lines: Some(StackedLearner::default()), least_keys, keys: 0 }
    }

    fn push(&mut self, key: u64) {
        self.keys += 1;
        if let Some(lines) = &mut self.lines {
            lines.push(key);
            // What is not learnable is so for long: then its lines are not looked for to the end.
            if lines.parts() * self.least_keys > self.keys + SOME {
                self.lines = None;
            }
        }
    }

    /// The lines, if they pay instead of a tree over so many blocks.
    fn finish(self, blocks: usize) -> Option<ModelOf<Lines<E>>> {
        let lines = self.lines.filter(|lines| lines.parts() * self.least_keys <= self.keys)?;
        let lines = lines.finish();
        let parts = lines.firsts.iter().zip(lines.level.0.windows(2));
        let steps = parts.map(|(first, pair)| {
            let Window { from, end } = lines.top.0.window(*first);
            (pair[1].start - pair[0].start) as usize * (end - from + 1).ilog2() as usize
        });
        let levels = (blocks.max(2) - 1).ilog2() as usize / 3 + 1;
        let spared = (levels * LEVEL).saturating_sub(LINE) * self.keys;
        (steps.sum::<usize>() * STEP <= spared).then_some(lines)
    }
}

pub(super) struct FitLearner<const N: usize, const E: usize> {
    near: Candidate<NEAR>,
    lines: Candidate<E>,
    nodes: <Nodes<N> as Hybridization>::Learner,
}

impl<const N: usize, const E: usize> Default for FitLearner<N, E> {
    fn default() -> Self {
        // More lines than blocks would take more of the cache than the tree.
        let least_keys = LEAST_KEYS.max(N);
        Self {
            near: Candidate::new(LEAST_KEYS_NEAR.max(least_keys)),
            lines: Candidate::new(least_keys),
            nodes: StackedLearner::default(),
        }
    }
}

impl<const N: usize, const E: usize> Learner for FitLearner<N, E> {
    type Model = Fit<N, E>;

    fn push(&mut self, key: u64) {
        self.near.push(key);
        self.lines.push(key);
        self.nodes.push(key);
    }

    fn finish(self) -> Fit<N, E> {
        let blocks = self.near.keys.div_ceil(N);
        if let Some(lines) = self.near.finish(blocks) {
            return Fit::Near(lines);
        }
        match self.lines.finish(blocks) {
            Some(lines) => Fit::Lines(lines),
            None => Fit::Nodes(self.nodes.finish()),
        }
    }
}

impl<const N: usize, const E: usize> Model for Fit<N, E> {
    #[inline(always)]
    fn window(&self, key: u64) -> Window {
        match self {
            Self::Near(model) => model.window(key),
            Self::Lines(model) => model.window(key),
            Self::Nodes(model) => model.window(key),
        }
    }

    fn bytes(&self) -> usize {
        match self {
            Self::Near(model) => model.bytes(),
            Self::Lines(model) => model.bytes(),
            Self::Nodes(model) => model.bytes(),
        }
    }

    fn widest(&self) -> usize {
        match self {
            Self::Near(model) => model.widest(),
            Self::Lines(model) => model.widest(),
            Self::Nodes(model) => model.widest(),
        }
    }
}

impl<const N: usize, const E: usize> Hybridization for Fitted<N, E> {
    type Learner = FitLearner<N, E>;
}
