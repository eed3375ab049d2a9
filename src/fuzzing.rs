//! One function for each fuzz target. They panic if something is wrong, and only then.

use crate::testing::fuzz;

/// The delta's tree against a `BTreeMap`, its structure checked after each operation.
pub fn art_ops(data: &[u8]) {
    fuzz::art::run(data);
}

/// All operations of the public map against a `BTreeMap`.
pub fn map_ops(data: &[u8]) {
    fuzz::map::run(data);
}

/// Segments of bytes that nobody wrote, with right checksums and wrong ones.
pub fn segment_bytes(data: &[u8]) {
    let _ = fuzz::segment::run(data);
}
