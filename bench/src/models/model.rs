//! The one interface of all models, and how two levels make one.

use super::search::count;
use std::marker::PhantomData;

/// Where the answer is: the number of keys below a probe is in `from..=end`, so that only the keys
/// `from..end` have to be looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Window {
    pub(super) from: usize,
    pub(super) end: usize,
}

/// Predicts where a number is among ascending ones, which it does not hold.
pub(super) trait Model {
    /// The window of any number, one of the keys or not.
    fn window(&self, key: u64) -> Window;

    /// Bytes of the model.
    fn bytes(&self) -> usize;

    /// The most keys that a window has.
    fn widest(&self) -> usize;
}

/// Makes a model of ascending keys in one pass.
pub(super) trait Learner: Default {
    type Model: Model;

    /// Takes the next key, which is above all before.
    fn push(&mut self, key: u64);

    fn finish(self) -> Self::Model;
}

/// What a model consists of, level by level: a type without a value, from which the compiler makes
/// one search without a choice left in it.
pub(super) trait Hybridization {
    type Learner: Learner;
}

/// The model that a policy makes of some keys.
pub(super) type ModelOf<H> = <<H as Hybridization>::Learner as Learner>::Model;

pub(super) fn learn<H: Hybridization>(keys: impl IntoIterator<Item = u64>) -> ModelOf<H> {
    let mut learner = H::Learner::default();
    keys.into_iter().for_each(|key| learner.push(key));
    learner.finish()
}

/// Where a part begins: at the key `first`, the one before which is `below`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cut {
    pub(super) below: u64,
    pub(super) first: u64,
}

/// Cuts keys into parts, and predicts inside each.
pub(super) trait Level {
    type Learner: LevelLearner<Level = Self>;

    /// A prediction needs the first key of its part.
    const NEEDS_FIRSTS: bool;

    /// The window of a key that is not below the part, or below all, and below the next part.
    fn window(&self, firsts: &[u64], part: usize, key: u64) -> Window;

    /// Bytes beside the first keys.
    fn bytes(&self) -> usize;

    fn widest(&self) -> usize;
}

pub(super) trait LevelLearner: Default {
    type Level: Level;

    /// Takes the next key. Tells of the part that begins with it or with the one before.
    fn push(&mut self, key: u64) -> Option<Cut>;

    /// The level, and a last part, if there is one to be told of.
    fn finish(self) -> (Self::Level, Option<Cut>);
}

/// Finds the part that a key belongs to.
pub(super) trait Top: Sized {
    type Learner: Default;

    /// It looks at the first keys of parts.
    const NEEDS_FIRSTS: bool;

    /// Takes the next part.
    fn push(learner: &mut Self::Learner, cut: Cut);

    fn finish(learner: Self::Learner, firsts: &[u64]) -> Self;

    /// The last part that begins at `key` or before it; part 0 if none does. If `key` lies between the
    /// last key of a part and the first of the next one, either of the two.
    fn part(&self, firsts: &[u64], key: u64) -> usize;

    /// Bytes beside the first keys.
    fn bytes(&self) -> usize;
}

/// A level, and what finds its parts.
pub(super) struct Stacked<T, L> {
    pub(super) top: T,
    pub(super) firsts: Vec<u64>,
    pub(super) level: L,
}

impl<T: Top, L: Level> Model for Stacked<T, L> {
    #[inline(always)]
    fn window(&self, key: u64) -> Window {
        let part = self.top.part(&self.firsts, key);
        self.level.window(&self.firsts, part, key)
    }

    fn bytes(&self) -> usize {
        self.top.bytes() + self.firsts.len() * 8 + self.level.bytes()
    }

    fn widest(&self) -> usize {
        self.level.widest()
    }
}

pub(super) struct StackedLearner<T: Top, L: Level> {
    top: T::Learner,
    firsts: Vec<u64>,
    level: L::Learner,
}

impl<T: Top, L: Level> Default for StackedLearner<T, L> {
    fn default() -> Self {
        Self { top: T::Learner::default(), firsts: Vec::new(), level: L::Learner::default() }
    }
}

impl<T: Top, L: Level> StackedLearner<T, L> {
    /// Number of parts until now.
    pub(super) fn parts(&self) -> usize {
        self.firsts.len()
    }

    fn cut(&mut self, cut: Cut) {
        T::push(&mut self.top, cut);
        self.firsts.push(cut.first);
    }
}

impl<T: Top, L: Level> Learner for StackedLearner<T, L> {
    type Model = Stacked<T, L>;

    fn push(&mut self, key: u64) {
        if let Some(cut) = self.level.push(key) {
            self.cut(cut);
        }
    }

    fn finish(mut self) -> Stacked<T, L> {
        let (level, last) = std::mem::take(&mut self.level).finish();
        if let Some(cut) = last {
            self.cut(cut);
        }
        let Self { top, mut firsts, .. } = self;
        let top = T::finish(top, &firsts);
        if !(T::NEEDS_FIRSTS || L::NEEDS_FIRSTS) {
            firsts.clear();
        }
        firsts.shrink_to_fit();
        Stacked { top, firsts, level }
    }
}

/// The policy: parts by `L`, found by `T`.
pub(super) struct Hybrid<T, L>(PhantomData<(T, L)>);

impl<T: Top, L: Level> Hybridization for Hybrid<T, L> {
    type Learner = StackedLearner<T, L>;
}

/// Parts of `N` keys each, about which nothing is known beside that.
pub(super) struct Blocks<const N: usize> {
    pub(super) keys: usize,
}

impl<const N: usize> Level for Blocks<N> {
    type Learner = BlockLearner<N>;
    const NEEDS_FIRSTS: bool = false;

    #[inline(always)]
    fn window(&self, _: &[u64], part: usize, _: u64) -> Window {
        let from = part * N;
        Window { from, end: (from + N).min(self.keys) }
    }

    fn bytes(&self) -> usize {
        size_of::<Self>()
    }

    fn widest(&self) -> usize {
        N.min(self.keys)
    }
}

#[derive(Default)]
pub(super) struct BlockLearner<const N: usize> {
    keys: usize,
    last: u64,
}

impl<const N: usize> LevelLearner for BlockLearner<N> {
    type Level = Blocks<N>;

    fn push(&mut self, key: u64) -> Option<Cut> {
        let cut = Cut { below: self.last, first: key };
        self.last = key;
        self.keys += 1;
        (self.keys % N == 1 || N == 1).then_some(cut)
    }

    fn finish(self) -> (Blocks<N>, Option<Cut>) {
        (Blocks { keys: self.keys }, None)
    }
}

/// Finds a part by a model of the first keys, and a search in its window.
pub(super) struct Searched<H: Hybridization>(pub(super) ModelOf<H>);

impl<H: Hybridization> Top for Searched<H> {
    type Learner = H::Learner;
    const NEEDS_FIRSTS: bool = true;

    fn push(learner: &mut H::Learner, cut: Cut) {
        learner.push(cut.first);
    }

    fn finish(learner: H::Learner, _: &[u64]) -> Self {
        Self(learner.finish())
    }

    #[inline(always)]
    fn part(&self, firsts: &[u64], key: u64) -> usize {
        let Window { from, end } = self.0.window(key);
        // The first one that is not below the key may be the key.
        let some = firsts.get(from..(end + 1).min(firsts.len())).unwrap_or(&[]);
        (from + count(some, |first| first <= key)).saturating_sub(1)
    }

    fn bytes(&self) -> usize {
        self.0.bytes()
    }
}

/// Knows nothing: the window is all keys.
#[derive(Default)]
pub(super) struct Whole(usize);

impl Model for Whole {
    #[inline(always)]
    fn window(&self, _: u64) -> Window {
        Window { from: 0, end: self.0 }
    }

    fn bytes(&self) -> usize {
        size_of::<Self>()
    }

    fn widest(&self) -> usize {
        self.0
    }
}

impl Learner for Whole {
    type Model = Self;

    fn push(&mut self, _: u64) {
        self.0 += 1;
    }

    fn finish(self) -> Self {
        self
    }
}

impl Hybridization for Whole {
    type Learner = Self;
}
