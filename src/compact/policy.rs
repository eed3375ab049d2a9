//! When to fold and into what: pure functions from numbers to choices.

use crate::options::Options;
use crate::partition::Fill;

/// A delta smaller than this is not folded for its age: the fold would save next to nothing.
pub(super) const MIN_AGED_BYTES: usize = 16 << 10;

/// How much further than its budget a delta may grow before writers fold it themselves.
const BACK_PRESSURE: f64 = 2.0;

/// What pins may keep of a delta, in bytes for each entry that its budget lets it have.
const KEPT_BYTES_PER_ENTRY: f64 = 64.0;

/// Whether a delta is over its budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Pressure {
    /// Within it.
    None,
    /// Over it: a fold is due.
    Due,
    /// Far over it: whoever writes must wait for a fold.
    Overdue,
}

/// How a delta stands against its budget: a share of all live keys, and a floor in bytes.
///
/// Pins have a budget of their own. While one lives, each overwrite of the same few keys leaves
/// something behind, however few entries there are; no pin keeps what the next delta replaces.
pub(super) fn pressure(fill: Fill, options: &Options) -> Pressure {
    let floor = options.delta_floor_bytes as f64;
    let share = options.delta_percent / 100.0 * fill.live as f64;
    let kept = floor + KEPT_BYTES_PER_ENTRY * share;
    let over = |times: f64| {
        fill.bytes as f64 >= times * floor && fill.entries as f64 >= times * share
            || fill.kept_for_pins > 0 && fill.kept_for_pins as f64 >= times * kept
    };
    if over(BACK_PRESSURE) {
        Pressure::Overdue
    } else if over(1.0) {
        Pressure::Due
    } else {
        Pressure::None
    }
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

/// The overlay while it stays within its share of the base, else the base.
pub(super) fn target(sizes: Sizes, options: &Options) -> Target {
    let overlay = (sizes.frozen + sizes.overlay) as f64;
    let limit = options.overlay_percent / 100.0 * sizes.base as f64;
    if sizes.base > 0 && overlay <= limit { Target::Overlay } else { Target::Base }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fold_is_due_over_share_and_floor_and_overdue_at_twice_both() {
        let options = Options::default();
        let at = |bytes, entries| {
            pressure(Fill { bytes, entries, live: 100_000, ..Fill::default() }, &options)
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
        let at = |kept_for_pins| {
            pressure(Fill { kept_for_pins, entries: 1, live: 100_000, ..Fill::default() }, &options)
        };
        let budget = options.delta_floor_bytes + 2_000 * 64;
        assert_eq!(at(budget - 1), Pressure::None);
        assert_eq!(at(budget), Pressure::Due);
        assert_eq!(at(2 * budget), Pressure::Overdue);
    }

    #[test]
    fn folds_go_to_the_overlay_up_to_a_fifth_of_the_base() {
        let options = Options::default();
        let to = |frozen, overlay, base| target(Sizes { frozen, overlay, base }, &options);
        assert_eq!(to(10, 0, 0), Target::Base);
        assert_eq!(to(10, 0, 100), Target::Overlay);
        assert_eq!(to(10, 10, 100), Target::Overlay);
        assert_eq!(to(11, 10, 100), Target::Base);
        let none = Options { overlay_percent: 0.0, ..Options::default() };
        assert_eq!(target(Sizes { frozen: 1, overlay: 0, base: 1_000 }, &none), Target::Base);
    }
}
