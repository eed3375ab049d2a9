//! When to fold and into what: pure functions from numbers to choices.

use crate::options::{Compaction, Options, Profile};
use crate::partition::{Load, Room};
use crate::segment::{CodecChoice, Segment};

/// A delta smaller than this is not folded for its age: the fold would save next to nothing.
pub(super) const MIN_AGED_BYTES: usize = 16 << 10;

/// Looks at a delta in the time after which it is too old.
pub(super) const SWEEPS: u32 = 4;

/// Bytes that a delta grows by before it tells the map: a part of the floor, and at most so many.
const MAX_GRAIN: usize = 4 << 10;

/// How much further than its budget a delta may grow before writers fold it themselves.
const BACK_PRESSURE: f64 = 2.0;

/// What pins may keep of a delta, in bytes for each entry that its budget lets it have.
const KEPT_BYTES_PER_ENTRY: f64 = 64.0;

/// Whether the deltas are over their budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Pressure {
    /// Within it.
    None,
    /// Over it: a fold is due.
    Due,
    /// Far over it: whoever writes must wait for a fold.
    Overdue,
}

/// Bytes that a delta grows by before it tells the map.
pub(super) fn grain(options: &Options) -> usize {
    match options.compaction {
        Compaction::Manual => usize::MAX,
        Compaction::Inline | Compaction::Background => {
            (options.delta_floor_bytes / 32).clamp(1, MAX_GRAIN)
        }
    }
}

/// How all deltas together stand against their budget: a share of all live keys, and a floor in
/// bytes.
///
/// Pins have a budget of their own. While one lives, each overwrite of the same few keys leaves
/// something behind, however few entries there are; no pin keeps what the next delta replaces.
pub(super) fn pressure(load: Load, options: &Options) -> Pressure {
    let floor = options.delta_floor_bytes as f64;
    let share = options.delta_percent / 100.0 * load.live as f64;
    let kept = floor + KEPT_BYTES_PER_ENTRY * share;
    let over = |times: f64| {
        load.bytes as f64 >= times * floor && load.entries as f64 >= times * share
            || load.kept > 0 && load.kept as f64 >= times * kept
    };
    if over(BACK_PRESSURE) {
        Pressure::Overdue
    } else if over(1.0) {
        Pressure::Due
    } else {
        Pressure::None
    }
}

/// What the choice of a partition to fold looks at.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Dirt {
    /// What its delta told last.
    pub(super) load: Load,
    /// Entries that all deltas have got since this one got its first.
    pub(super) age: u64,
}

impl Dirt {
    /// Entries of the delta, what pins keep of it included.
    pub(super) fn entries(&self) -> f64 {
        self.load.entries as f64 + self.load.kept as f64 / KEPT_BYTES_PER_ENTRY
    }
}

/// Whether there is anything in a delta.
pub(super) fn is_filled(load: Load) -> bool {
    load.entries > 0 || load.kept > 0
}

/// Which of these deltas to fold: those with the largest gain for their cost, the best one first; the
/// number of each, and its load. None without anything in it; `most` at most, and `later` more that have at
/// least half the gain of the best.
///
/// Folding costs the size of the partition, and is paid again when as much has gathered. If new
/// entries come to a partition at a constant rate, the cost of all folds is least when what is in
/// each delta is proportional to the square root of rate times size; so the one furthest above that
/// goes first. (The Lagrange condition of the least sum of rate·size/delta for a given sum of
/// deltas.)
pub(super) fn choose(
    deltas: impl Iterator<Item = Dirt>,
    most: usize,
    later: usize,
) -> Vec<(usize, Load)> {
    #[cfg(test)]
    let score = super::tests::rule().unwrap_or(gain);
    #[cfg(not(test))]
    let score = gain;
    let filled = deltas.enumerate().filter(|(_, dirt)| is_filled(dirt.load));
    let mut scored: Vec<_> = filled.map(|(i, dirt)| (score(&dirt), i, dirt.load)).collect();
    let is_better = |(a, ..): &(f64, usize, Load), (b, ..): &(f64, usize, Load)| b.total_cmp(a);
    let all = most.saturating_add(later);
    if scored.len() > all {
        scored.select_nth_unstable_by(all, is_better);
        scored.truncate(all);
    }
    scored.sort_unstable_by(is_better);
    let half = scored.first().map_or(0.0, |(best, ..)| best / 2.0);
    let worth_it = scored.partition_point(|(score, ..)| *score >= half);
    scored.truncate(worth_it.max(most));
    scored.into_iter().map(|(_, i, load)| (i, load)).collect()
}

/// `entries / sqrt(entries / age * size)`, squared.
fn gain(dirt: &Dirt) -> f64 {
    let entries = dirt.entries();
    entries * dirt.age.max(1) as f64 / (dirt.load.live as f64 + entries)
}

/// What a base of its own has to be worth before room is made for a write: folding for less costs
/// more than refusing. The part of all there is, as its divisor.
const LEAST_ROOM: usize = 16;

/// In which of these a fold into the base makes most room, by its number; `None` if a fold would
/// write again and again what it has little to add to.
pub(super) fn roomiest(rooms: impl Iterator<Item = Room>) -> Option<usize> {
    let is_worth_it = |room: &Room| room.loose > room.base / (LEAST_ROOM - 1);
    let worth_it = rooms.enumerate().filter(|(_, room)| is_worth_it(room));
    worth_it.max_by_key(|(_, room)| room.loose).map(|(i, _)| i)
}

/// Whether two neighbours that have so many live entries and bytes together should be one.
pub(super) fn should_join(live: u64, bytes: u64, options: &Options) -> bool {
    live <= partition_entries(options) / 2 && bytes <= super::pieces::PIECE_BYTES / 2
}

/// Whether a partition of so many live entries looks for a neighbour to be joined with.
pub(super) fn is_small(live: u64, options: &Options) -> bool {
    live < partition_entries(options).div_ceil(4)
}

/// Entries that a partition is meant to have.
pub(super) fn partition_entries(options: &Options) -> u64 {
    options.partition_entries.max(1) as u64
}

/// How bases are written.
pub(super) fn codec(options: &Options) -> CodecChoice {
    match options.profile {
        Profile::Balanced => CodecChoice::Automatic,
        Profile::Smallest => CodecChoice::Smallest,
        Profile::Fastest => CodecChoice::Fastest,
    }
}

/// Whether a base was written as it would be now.
pub(super) fn suits(base: &Segment, options: &Options) -> bool {
    base.suits(options.profile)
}

/// Which segment a fold writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Target {
    /// A new overlay, from the frozen delta and the old overlay.
    Overlay,
    /// A new base, from everything.
    Base,
}

/// Entries in the layers that a fold finds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sizes {
    pub(super) frozen: u64,
    pub(super) overlay: u64,
    pub(super) base: u64,
}

/// What the overlay of a base that is copied may have of what others may have: to write it again costs as much
/// as what that spares then. SCRATCHPAD.md section 2.8.
const ABOVE_COPIED: f64 = 0.5;

/// The overlay while it stays within its share of the base, else the base, most of which is copied then or
/// not.
pub(super) fn target(sizes: Sizes, is_copied: bool, options: &Options) -> Target {
    let overlay = (sizes.frozen + sizes.overlay) as f64;
    let share = if is_copied { ABOVE_COPIED } else { 1.0 };
    let limit = options.overlay_percent / 100.0 * share * sizes.base as f64;
    if sizes.base > 0 && overlay <= limit { Target::Overlay } else { Target::Base }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fold_is_due_over_share_and_floor_and_overdue_at_twice_both() {
        let options = Options::default();
        let at = |bytes, entries| {
            pressure(Load { bytes, entries, live: 100_000, ..Load::default() }, &options)
        };
        let floor = options.delta_floor_bytes;
        assert_eq!(at(floor - 1, 50_000), Pressure::None);
        assert_eq!(at(10 * floor, 1_999), Pressure::None);
        assert_eq!(at(floor, 2_000), Pressure::Due);
        assert_eq!(at(2 * floor, 3_999), Pressure::Due);
        assert_eq!(at(2 * floor, 4_000), Pressure::Overdue);
    }

    #[test]
    fn a_fold_is_due_for_what_pins_keep_of_few_entries() {
        let options = Options::default();
        let at =
            |kept| pressure(Load { kept, entries: 1, live: 100_000, ..Load::default() }, &options);
        let budget = options.delta_floor_bytes + 2_000 * 64;
        assert_eq!(at(budget - 1), Pressure::None);
        assert_eq!(at(budget), Pressure::Due);
        assert_eq!(at(2 * budget), Pressure::Overdue);
    }

    #[test]
    fn the_delta_furthest_above_its_share_is_folded_first() {
        let dirt = |entries, live, age| Dirt {
            load: Load { bytes: 40 * entries as usize, entries, live, ..Load::default() },
            age,
        };
        let best = |deltas: &[Dirt], most: usize| {
            let best = choose(deltas.iter().copied(), 1, most - 1);
            best.into_iter().map(|(number, _)| number).collect::<Vec<_>>()
        };
        let choose = |deltas: &[Dirt]| best(deltas, 1).first().copied();
        assert_eq!(choose(&[]), None);
        assert_eq!(choose(&[dirt(0, 1_000, 500)]), None);
        // The same rate and size: the fuller one.
        assert_eq!(choose(&[dirt(10, 1_000, 50), dirt(20, 1_000, 100)]), Some(1));
        // As full and as large: the one that fills more slowly.
        assert_eq!(choose(&[dirt(10, 1_000, 200), dirt(10, 1_000, 50)]), Some(0));
        // As full, as fast: the smaller one.
        assert_eq!(choose(&[dirt(10, 1_000, 50), dirt(10, 500, 50)]), Some(1));
        // What pins keep counts.
        let kept = Load { bytes: 1 << 20, kept: 1 << 20, entries: 1, live: 1_000, held: 0 };
        assert_eq!(choose(&[dirt(10, 1_000, 50), Dirt { load: kept, age: 50 }]), Some(1));
        // The best ones first, and none that is empty.
        let deltas = [10, 30, 0, 20, 40].map(|entries| dirt(entries, 1_000, 50));
        assert_eq!(best(&deltas, 2), [4, 1]);
        assert_eq!(best(&deltas, 9), [4, 1, 3], "the last one has less than half the gain");
    }

    #[test]
    fn room_is_made_where_most_is_loose_unless_that_is_little() {
        let roomiest = |rooms: &[(usize, usize)]| {
            roomiest(rooms.iter().map(|&(loose, base)| Room { loose, base }))
        };
        assert_eq!(roomiest(&[(0, 0), (0, 1_000)]), None);
        assert_eq!(roomiest(&[(99, 1_500), (1, 0)]), Some(1));
        assert_eq!(roomiest(&[(101, 1_500), (1, 0), (200, 1_000)]), Some(2));
    }

    #[test]
    fn folds_go_to_the_overlay_up_to_a_fifth_of_the_base_or_a_tenth() {
        let options = Options::default();
        let to = |frozen, overlay, base| target(Sizes { frozen, overlay, base }, false, &options);
        assert_eq!(to(10, 0, 0), Target::Base);
        assert_eq!(to(10, 0, 100), Target::Overlay);
        assert_eq!(to(10, 10, 100), Target::Overlay);
        assert_eq!(to(11, 10, 100), Target::Base);
        let none = Options { overlay_percent: 0.0, ..Options::default() };
        let sizes = Sizes { frozen: 1, overlay: 0, base: 1_000 };
        assert_eq!(target(sizes, false, &none), Target::Base);
        // A tenth of one that is copied.
        let to = |frozen, overlay, base| target(Sizes { frozen, overlay, base }, true, &options);
        assert_eq!(to(5, 5, 100), Target::Overlay);
        assert_eq!(to(6, 5, 100), Target::Base);
    }
}
