//! Bugs that a test build can switch on, to show that the tests would notice them.
//!
//! The code asks `planted(Bug::X)` at the place where that bug would be made. Outside builds with
//! `--cfg memkv_planted` the answer is a constant, and the question costs nothing; in such a build
//! the environment variable `MEMKV_PLANTED` names the one bug to make. `tests/planted.sh` makes
//! each in turn and counts those that a test catches; it also lists the tests to ask.

/// One planted bug. Each is a mistake that has been made in a real index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bug {
    /// The search of a 16-child node does not mask off the unused slots: a stale byte matches.
    Node16IgnoresCount,
    /// Growing a 16-child node to a 48-child node forgets the last child.
    GrowthDropsLastChild,
    /// Splitting a prefix leaves the byte that became a branch in the lower node's prefix too.
    PrefixSplitKeepsBranchByte,
    /// A leaf matches if the shorter of the two suffixes is a prefix of the longer one.
    LeafIgnoresSuffixLength,
    /// A writer changes nodes in place although a live pin reaches them.
    CopySkippedUnderPin,
    /// A tombstone adds 0 to the weights above it, not -1: `len` and rank are too large.
    TombstoneWeightForgotten,
    /// The filter is not told keys whose encoded length is a multiple of 4.
    FilterForgetsKeys,
    /// Of two layers with the same key, a merge shows the older one.
    MergePrefersOlder,
    /// Entries that a merge lends go beyond the next key of another layer.
    MergeLendsBeyond,
    /// Entries that a merge copies go on behind the next key of another layer, which is not put among them.
    MergeCopiesBeyond,
    /// A fold into an overlay drops tombstones, as only a fold into a base may.
    OverlayFoldDropsTombstones,
    /// A seek in a transducer goes beyond a key that is there.
    FstSeekSkipsExact,
    /// The search of a block goes on behind a key that is above the one it looks for.
    BlockSearchPassesBy,
    /// A tie between separators is settled by their first bytes alone.
    TailsForgotten,
    /// A key behind one that a fold removes keeps the suffix that it had behind that.
    SpliceKeepsSuffix,
    /// A writer learns that the last pin has gone without what its reader did happening before.
    PinsReadRelaxed,
    /// A fold publishes layers without content first, and fills them in afterwards.
    PublishBeforeFill,
    /// A sweep frees a block although a pin between its birth and its end is left.
    SweepIgnoresOlderPins,
}

#[cfg(any(test, memkv_planted))]
impl Bug {
    /// All of them.
    pub(crate) const ALL: [Self; 18] = [
        Self::Node16IgnoresCount,
        Self::GrowthDropsLastChild,
        Self::PrefixSplitKeepsBranchByte,
        Self::LeafIgnoresSuffixLength,
        Self::CopySkippedUnderPin,
        Self::TombstoneWeightForgotten,
        Self::FilterForgetsKeys,
        Self::MergePrefersOlder,
        Self::MergeLendsBeyond,
        Self::MergeCopiesBeyond,
        Self::OverlayFoldDropsTombstones,
        Self::FstSeekSkipsExact,
        Self::BlockSearchPassesBy,
        Self::TailsForgotten,
        Self::SpliceKeepsSuffix,
        Self::PinsReadRelaxed,
        Self::PublishBeforeFill,
        Self::SweepIgnoresOlderPins,
    ];
}

/// Whether to make this bug: never, in this build.
#[cfg(not(memkv_planted))]
#[inline]
pub(crate) const fn planted(_bug: Bug) -> bool {
    false
}

/// Whether to make this bug: if `MEMKV_PLANTED` names it.
#[cfg(memkv_planted)]
pub(crate) fn planted(bug: Bug) -> bool {
    active() == Some(bug)
}

/// The bug that the environment names. Asked for once; what is found is kept without ordering
/// anything between threads, or a race that a bug makes would be hidden by the question.
#[cfg(memkv_planted)]
fn active() -> Option<Bug> {
    // Not those of `sync`: a model of the map has nothing to do with this.
    use std::sync::atomic::{AtomicUsize, Ordering};

    const UNKNOWN: usize = usize::MAX;
    static ACTIVE: AtomicUsize = AtomicUsize::new(UNKNOWN);
    let mut place = ACTIVE.load(Ordering::Relaxed);
    if place == UNKNOWN {
        let place_of = |name: String| {
            let place = Bug::ALL.iter().position(|bug| format!("{bug:?}") == name);
            place.unwrap_or_else(|| panic!("MEMKV_PLANTED names no bug: {name}"))
        };
        place = std::env::var("MEMKV_PLANTED").map_or(Bug::ALL.len(), place_of);
        ACTIVE.store(place, Ordering::Relaxed);
    }
    Bug::ALL.get(place).copied()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    /// The script that plants them.
    const SCRIPT: &str = include_str!("../tests/planted.sh");

    #[test]
    fn the_script_plants_each_bug_once() {
        let (_, table) = SCRIPT.split_once("<<'TABLE'").unwrap();
        let (table, _) = table.split_once("\nTABLE").unwrap();
        let lines = table.lines().filter_map(|line| line.split_once('|'));
        let planted: Vec<String> = lines.map(|(name, _)| name.trim().to_owned()).collect();
        let distinct: BTreeSet<&String> = planted.iter().collect();
        assert_eq!(distinct.len(), planted.len());
        let known = Bug::ALL.map(|bug| format!("{bug:?}"));
        assert_eq!(distinct, known.iter().collect());
    }

    #[cfg(not(memkv_planted))]
    #[test]
    fn ordinary_builds_make_no_planted_bug() {
        assert!(Bug::ALL.iter().all(|&bug| !planted(bug)));
    }
}
