//! The search in a window.

use std::hint::select_unpredictable;

/// How many of the numbers, from the first on, are as wanted, if none behind another one is.
#[inline(always)]
pub(super) fn count(numbers: &[u64], wanted: impl Fn(u64) -> bool) -> usize {
    count_at(numbers.len(), |i| wanted(numbers.get(i).copied().unwrap_or(0)))
}

/// How many places below `len`, from 0 on, are as wanted, if none behind another one is. Halves
/// without a branch, which nobody could guess.
#[inline(always)]
pub(super) fn count_at(mut len: usize, wanted: impl Fn(usize) -> bool) -> usize {
    let mut passed = 0;
    while len > 1 {
        let half = len / 2;
        passed = select_unpredictable(wanted(passed + half - 1), passed + half, passed);
        len -= half;
    }
    passed + (usize::from(wanted(passed)) & len)
}
