//! The right to fold: held by one thread at a time, and not lost in a fork.

use crate::sync::{Condvar, Mutex};
use std::time::Duration;

/// How often a waiting thread looks whether the holder's process is its own.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// A lock that remembers which process holds it.
///
/// A process forked while a fold runs gets a copy of the map in which the slot is held by a thread
/// that does not exist there. Whoever wants the slot sees that the holder was another process and
/// takes it over: that fold will never publish here, and its input is where it was.
pub(super) struct FoldSlot {
    /// Number of the process; [`NOBODY`] if it is free.
    holder: Mutex<u32>,
    released: Condvar,
}

/// No process has this number.
const NOBODY: u32 = 0;

/// The slot, until dropped.
pub(super) struct Held<'a>(&'a FoldSlot);

impl FoldSlot {
    /// A slot that nobody holds.
    pub(super) fn new() -> Self {
        Self { holder: Mutex::new(NOBODY), released: Condvar::new() }
    }

    /// Waits until the slot is free and takes it.
    pub(super) fn acquire(&self) -> Held<'_> {
        let process = std::process::id();
        let mut holder = self.holder.lock();
        while *holder == process {
            self.released.wait_for(&mut holder, LOOK_EVERY);
        }
        *holder = process;
        Held(self)
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        *self.0.holder.lock() = NOBODY;
        self.0.released.notify_one();
    }
}
