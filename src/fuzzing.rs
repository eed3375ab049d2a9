//! One function for each fuzz target. They panic if something is wrong, and only then.

use crate::testing::fuzz;

/// Reads a file of so many bytes by calling what it is given, once, and watches what that costs.
pub type Watch<'w> = &'w mut dyn FnMut(usize, &mut dyn FnMut());

/// The delta's tree against a `BTreeMap`, its structure checked after each operation.
pub fn art_ops(data: &[u8]) {
    fuzz::art::run(data);
}

/// All operations of the public map against a `BTreeMap`.
pub fn map_ops(data: &[u8]) {
    fuzz::map::run(data);
}

/// Store files of bytes that nobody wrote, with right checksums and wrong ones.
pub fn store_bytes(data: &[u8], watch: Watch<'_>) {
    let _ = fuzz::store::run(data, watch);
}

/// Segments of bytes that nobody wrote, with right checksums and wrong ones.
pub fn segment_bytes(data: &[u8], watch: Watch<'_>) {
    let _ = fuzz::segment::run(data, watch);
}
