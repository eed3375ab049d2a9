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
///
/// Whoever waits gets it next: a worker that folds again and again would otherwise be back before the
/// writer that waits for it has woken up, many times over.
pub(super) struct FoldSlot {
    /// Number of the process; [`NOBODY`] if it is free, [`WOKEN`] if it is for a thread that has been
    /// woken up.
    holder: Mutex<u32>,
    released: Condvar,
}

/// No process has this number.
const NOBODY: u32 = 0;

/// Nor this one.
const WOKEN: u32 = u32::MAX;

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
        while *holder == process || *holder == WOKEN {
            let waited = self.released.wait_for(&mut holder, LOOK_EVERY);
            // The one that was woken up may not be there: a fork has come in between.
            let is_next = !waited.timed_out() || *holder == WOKEN;
            if is_next && *holder != process {
                break;
            }
        }
        *holder = process;
        Held(self)
    }

    /// Takes the slot, if it is free.
    pub(super) fn try_acquire(&self) -> Option<Held<'_>> {
        let process = std::process::id();
        let mut holder = self.holder.lock();
        if *holder == process || *holder == WOKEN {
            return None;
        }
        *holder = process;
        Some(Held(self))
    }

    /// Whether a thread of this process holds it.
    pub(super) fn is_held(&self) -> bool {
        *self.holder.lock() == std::process::id()
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        let mut holder = self.0.holder.lock();
        *holder = if self.0.released.notify_one() { WOKEN } else { NOBODY };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sync::{Arc, thread};
    use std::time::Duration;

    const ROUNDS: usize = 20;

    #[test]
    fn who_does_not_wait_gets_what_is_free() {
        let slot = FoldSlot::new();
        assert!(!slot.is_held());
        let held = slot.try_acquire().expect("it is free");
        assert!(slot.is_held() && slot.try_acquire().is_none());
        drop(held);
        // As a fork leaves it.
        *slot.holder.lock() = std::process::id() + 1;
        assert!(!slot.is_held() && slot.try_acquire().is_some());
        assert!(!slot.is_held());
    }

    #[test]
    fn whoever_waits_gets_the_slot_before_its_holder_gets_it_again() {
        let slot = Arc::new(FoldSlot::new());
        let (mut handed, mut first) = (0, 0);
        // A thread that is slow to start does not wait by then: such a round says nothing.
        for _ in 0..20 * ROUNDS {
            if handed == ROUNDS {
                break;
            }
            let order = Arc::new(Mutex::new(Vec::new()));
            let held = slot.acquire();
            let waiter = thread::spawn({
                let (slot, order) = (Arc::clone(&slot), Arc::clone(&order));
                move || {
                    let _held = slot.acquire();
                    order.lock().push("waiter");
                }
            });
            std::thread::sleep(Duration::from_millis(5));
            drop(held);
            let is_handed = *slot.holder.lock() == WOKEN;
            let again = slot.acquire();
            order.lock().push("holder");
            drop(again);
            waiter.join().expect("it has not failed");
            handed += usize::from(is_handed);
            first += usize::from(is_handed && order.lock()[0] == "waiter");
        }
        // One that gets no processor for as long as others look after it loses its turn.
        assert!(first > ROUNDS / 2, "{first} of {handed}");
    }

    #[test]
    fn a_slot_that_is_kept_for_a_thread_that_is_not_there_is_taken_in_the_end() {
        let slot = FoldSlot::new();
        *slot.holder.lock() = WOKEN;
        drop(slot.acquire());
        assert_eq!(*slot.holder.lock(), NOBODY);
    }
}
