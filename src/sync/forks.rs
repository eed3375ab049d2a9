//! Forks of the process that wait until the worker holds no lock.
//!
//! A forked child has the locks of its parent as they were, and one thread: what another one held will
//! never be released there. What a program's own threads do while it forks is its own business; of
//! the worker it knows nothing, so a fork waits until the worker is between two folds.
#![allow(unsafe_code, reason = "who is told of forks registers with the system's C library")]

use std::cell::Cell;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

/// Whether a thread is busy, and from [`FORK`] on, how many are about to fork.
static STATE: AtomicUsize = AtomicUsize::new(0);

/// Counts the forks between the first process and this one: from one to 255, and then from one again.
static GENERATION: AtomicU8 = AtomicU8::new(1);

/// One fork in the count of them.
const FORK: usize = 1 << 16;

/// How long to sleep before another look. It is a look, since whoever sleeps in a queue when the
/// process is forked stands in the child's copy of the queue, without being there.
const PAUSE: Duration = Duration::from_micros(50);

thread_local! {
    /// What this thread adds to [`STATE`] at most. A signal handler may fork on it, which then waits
    /// for the others only.
    static OWN: Cell<usize> = const { Cell::new(0) };
}

/// The right to hold locks, until dropped; no other thread forks meanwhile. One for each thread.
pub(crate) struct Busy(());

impl Busy {
    /// Waits for forks that are under way.
    pub(crate) fn begin() -> Self {
        OWN.set(1);
        while STATE.fetch_add(1, Ordering::Acquire) >= FORK {
            STATE.fetch_sub(1, Ordering::Release);
            while STATE.load(Ordering::Relaxed) >= FORK {
                thread::sleep(PAUSE);
            }
        }
        Self(())
    }

    /// Lets those fork who wait to. No lock is held.
    pub(crate) fn pause(self) -> Self {
        drop(self);
        Self::begin()
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        STATE.fetch_sub(1, Ordering::Release);
        OWN.set(0);
    }
}

/// From now on, forks wait for who is busy; on other systems than these they do not.
///
/// What a program registers later is called before that: it must not take a lock that an allocation needs.
pub(crate) fn await_busy_threads() {
    #[cfg(any(target_os = "linux", target_os = "android", target_vendor = "apple"))]
    {
        static ONCE: std::sync::Once = std::sync::Once::new();
        ONCE.call_once(|| {
            // SAFETY: the three functions are sound to call at any time, from any thread: they use two
            // atomic numbers and one of the thread's own, and sleep. Without memory to register them,
            // forks do not wait.
            let _ = unsafe { libc::pthread_atfork(Some(before), Some(in_parent), Some(in_child)) };
        });
    }
}

/// Another number than in the process that this one was forked from, and than in the 253 before that:
/// from the first call of [`await_busy_threads`] on, and where that has an effect.
pub(crate) fn generation() -> u8 {
    GENERATION.load(Ordering::Relaxed)
}

/// What the system calls in who is about to fork.
extern "C" fn before() {
    STATE.fetch_add(FORK, Ordering::AcqRel);
    let own = OWN.get();
    while STATE.load(Ordering::Acquire) % FORK > own {
        thread::sleep(PAUSE);
    }
}

/// What it calls there when it has forked.
extern "C" fn in_parent() {
    STATE.fetch_sub(FORK, Ordering::Release);
}

/// And in the child, where there is nobody else.
extern "C" fn in_child() {
    let generation = GENERATION.load(Ordering::Relaxed);
    GENERATION.store(generation % u8::MAX + 1, Ordering::Relaxed);
    let busy = STATE.load(Ordering::Relaxed) % FORK;
    STATE.store(busy.min(OWN.get()), Ordering::Release);
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicBool;

    /// The only test that forks, or seems to: the count is one for the process.
    #[test]
    fn a_fork_waits_for_who_is_busy_and_who_begins_waits_for_the_fork() {
        static HAS_FORKED: AtomicBool = AtomicBool::new(false);
        static HAS_BEGUN: AtomicBool = AtomicBool::new(false);
        let busy = Busy::begin();
        let forking = thread::spawn(|| {
            before();
            HAS_FORKED.store(true, Ordering::Release);
            let beginning = thread::spawn(|| {
                drop(Busy::begin().pause());
                HAS_BEGUN.store(true, Ordering::Release);
            });
            thread::sleep(PAUSE * 100);
            assert!(!HAS_BEGUN.load(Ordering::Acquire), "a fork is under way");
            in_parent();
            beginning.join().expect("it has not failed");
        });
        thread::sleep(PAUSE * 100);
        assert!(!HAS_FORKED.load(Ordering::Acquire), "a thread is busy");
        // As in a signal handler here: it would never get anywhere if it waited for this thread.
        before();
        in_parent();
        drop(busy);
        forking.join().expect("it has not failed");
        assert!(HAS_BEGUN.load(Ordering::Acquire));
    }
}
