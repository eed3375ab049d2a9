//! What two policies come to when they are written out by hand, to be counted beside them.

use super::model::{Blocks, ModelOf, Stacked, Window};
use super::model::{Hybrid, Model, Searched};
use super::pla::{Line, Pla, rise};
use super::spline::Radix;
use super::tree::{Eights, FAN};
use std::hint::select_unpredictable;

/// `Hybrid<Searched<Radix>, Pla<E>>`.
pub(super) struct RadixLines {
    least: u64,
    shift: u32,
    table: Vec<u32>,
    firsts: Vec<u64>,
    lines: Vec<Line>,
    widest: usize,
}

impl RadixLines {
    pub(super) fn of<const E: usize>(model: ModelOf<Hybrid<Searched<Radix>, Pla<E>>>) -> Self {
        let widest = model.widest();
        let Stacked { top: Searched(Radix { least, shift, table, .. }), firsts, level } = model;
        Self { least, shift, table, firsts, lines: level.0, widest }
    }
}

impl Model for RadixLines {
    #[inline(always)]
    fn window(&self, key: u64) -> Window {
        let last = self.table.len().saturating_sub(2);
        let front = ((key.saturating_sub(self.least) >> self.shift) as usize).min(last);
        let Some([from, end]) = self.table.get(front..).and_then(<[u32]>::first_chunk) else {
            return Window { from: 0, end: 0 };
        };
        let (from, end) = (*from as usize, *end as usize + 1);
        let Some(some) = self.firsts.get(from..end.min(self.firsts.len())) else {
            return Window { from: 0, end: 0 };
        };
        let (mut passed, mut len) = (0, some.len());
        let is_passed = |i: usize| some.get(i).copied().unwrap_or(0) <= key;
        while len > 1 {
            let half = len / 2;
            passed = select_unpredictable(is_passed(passed + half - 1), passed + half, passed);
            len -= half;
        }
        passed += usize::from(is_passed(passed)) & len;
        let part = (from + passed).saturating_sub(1);
        let (Some([line, next]), Some(first)) =
            (self.lines.get(part..).and_then(<[Line]>::first_chunk), self.firsts.get(part))
        else {
            return Window { from: 0, end: 0 };
        };
        let (start, stop) = (i64::from(line.start), i64::from(next.start));
        let from = start + i64::from(line.lowest) + rise(line.slope, key.saturating_sub(*first));
        let end = (from + i64::from(line.width)).min(stop);
        Window { from: from.clamp(start, stop) as usize, end: end as usize }
    }

    fn bytes(&self) -> usize {
        self.table.len() * 4 + self.firsts.len() * 8 + self.lines.len() * size_of::<Line>()
    }

    fn widest(&self) -> usize {
        self.widest
    }
}

/// `Hybrid<Eights, Blocks<N>>`.
pub(super) struct EightsBlocks<const N: usize> {
    levels: Vec<Vec<u64>>,
    firsts: Vec<u64>,
    keys: usize,
}

impl<const N: usize> EightsBlocks<N> {
    pub(super) fn of(model: ModelOf<Hybrid<Eights, Blocks<N>>>) -> Self {
        let Stacked { top: Eights { levels }, firsts, level } = model;
        Self { levels, firsts, keys: level.keys }
    }
}

impl<const N: usize> Model for EightsBlocks<N> {
    #[inline(always)]
    fn window(&self, key: u64) -> Window {
        let mut node = 0;
        for level in self.levels.iter().rev() {
            node = step(level, node, key);
        }
        let from = step(&self.firsts, node, key) * N;
        Window { from, end: (from + N).min(self.keys) }
    }

    fn bytes(&self) -> usize {
        self.levels.iter().map(|level| level.len() * 8).sum::<usize>() + self.firsts.len() * 8
    }

    fn widest(&self) -> usize {
        N.min(self.keys)
    }
}

#[inline(always)]
fn step(level: &[u64], node: usize, key: u64) -> usize {
    let at = node * FAN;
    let keys = level.get(at..(at + FAN).min(level.len())).unwrap_or(&[]);
    let passed = |slot: usize| usize::from(keys.get(slot).is_some_and(|first| *first <= key));
    let mut slot = passed(4) * 4;
    slot += passed(slot + 2) * 2;
    at + slot + passed(slot + 1)
}
