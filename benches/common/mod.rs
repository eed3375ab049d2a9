//! What the benches and the measuring example share: keys, peers, probes and the clock.
#![allow(dead_code, reason = "each of them uses a part")]
#![allow(
    clippy::disallowed_methods,
    reason = "measuring needs the clock, and keys come from files"
)]

pub(crate) mod alloc;
pub(crate) mod keys;
pub(crate) mod options;
pub(crate) mod peers;
pub(crate) mod probe;
pub(crate) mod random;
