//! What is not measured, and why. What goes wrong in a run is reported by the run itself.

/// A map, or a map for one kind of keys, that cannot take part.
pub(crate) struct Absent {
    pub(crate) name: &'static str,
    pub(crate) what: &'static str,
    pub(crate) reason: &'static str,
}

pub(crate) const ABSENT: &[Absent] = &[
    Absent {
        name: "congee",
        what: "byte strings",
        reason: "takes 64-bit keys only: `insert(&self, key: u64, val: V, guard: &epoch::Guard)`",
    },
    Absent {
        name: "pgm-extra, pgm_index",
        what: "byte strings",
        reason: "models of numbers: a string is indexed by its first bytes only, or not at all",
    },
];
