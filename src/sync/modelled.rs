//! `loom`'s locks with the interface of `parking_lot`'s.

use loom::sync as loom_sync;
use loom_sync::atomic::{AtomicBool, Ordering};
use std::ops::{Deref, DerefMut};
use std::sync::PoisonError;
use std::time::Duration;

pub(crate) use loom_sync::{RwLockReadGuard, RwLockWriteGuard};

/// The threads of a model, and the standard library's for what runs outside of one.
pub(crate) mod thread {
    pub(crate) use loom::thread::{Builder, JoinHandle, Thread, park, spawn};
    pub(crate) use std::thread::sleep;

    /// As `park`: a model has no clock.
    pub(crate) fn park_timeout(_limit: super::Duration) {
        park();
    }
}

/// A lock for one.
#[derive(Debug)]
pub(crate) struct Mutex<T>(loom_sync::Mutex<T>);

/// The right to what is behind a [`Mutex`].
pub(crate) struct MutexGuard<'a, T>(Option<loom_sync::MutexGuard<'a, T>>);

impl<T> Mutex<T> {
    /// An open lock.
    pub(crate) fn new(value: T) -> Self {
        Self(loom_sync::Mutex::new(value))
    }

    /// Waits for the lock.
    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        MutexGuard(Some(self.0.lock().unwrap_or_else(PoisonError::into_inner)))
    }
}

impl<T: Default> Default for Mutex<T> {
    fn default() -> Self {
        Self::new(T::default())
    }
}

impl<T> Deref for MutexGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.0.as_deref().expect("a guard that nobody waits with holds its lock")
    }
}

impl<T> DerefMut for MutexGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        self.0.as_deref_mut().expect("a guard that nobody waits with holds its lock")
    }
}

/// A lock for many readers or one writer.
#[derive(Debug)]
pub(crate) struct RwLock<T>(loom_sync::RwLock<T>);

impl<T> RwLock<T> {
    /// An open lock.
    pub(crate) fn new(value: T) -> Self {
        Self(loom_sync::RwLock::new(value))
    }

    /// Waits for the right to read.
    pub(crate) fn read(&self) -> RwLockReadGuard<'_, T> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for the right to write.
    pub(crate) fn write(&self) -> RwLockWriteGuard<'_, T> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T: Default> Default for RwLock<T> {
    fn default() -> Self {
        Self::new(T::default())
    }
}

/// Where threads wait for each other. A model has no clock: a wait with a limit has none.
#[derive(Debug)]
pub(crate) struct Condvar(loom_sync::Condvar);

impl Condvar {
    /// Nobody waits.
    pub(crate) fn new() -> Self {
        Self(loom_sync::Condvar::new())
    }

    /// Lets go of the lock until another thread notifies.
    pub(crate) fn wait<T>(&self, guard: &mut MutexGuard<'_, T>) {
        let held = guard.0.take().expect("a guard that nobody waits with holds its lock");
        guard.0 = Some(self.0.wait(held).unwrap_or_else(PoisonError::into_inner));
    }

    /// As `wait`.
    pub(crate) fn wait_for<T>(&self, guard: &mut MutexGuard<'_, T>, _limit: Duration) -> Waited {
        self.wait(guard);
        Waited
    }

    /// Wakes one thread that waits. Whether there is one is not known.
    pub(crate) fn notify_one(&self) -> bool {
        self.0.notify_one();
        false
    }
}

/// What ended a wait.
pub(crate) struct Waited;

impl Waited {
    /// It has no limit.
    #[expect(clippy::unused_self, reason = "the same call as without a model")]
    pub(crate) fn timed_out(&self) -> bool {
        false
    }
}

/// A value that is set once. Who finds it knows what the one who has set it did before, as with the
/// standard library's, of which the checker knows nothing.
pub(crate) struct SetOnce<T> {
    value: std::sync::OnceLock<T>,
    is_set: AtomicBool,
}

impl<T> SetOnce<T> {
    /// Without a value yet.
    pub(crate) fn new() -> Self {
        Self { value: std::sync::OnceLock::new(), is_set: AtomicBool::new(false) }
    }

    /// The value, if there is one.
    pub(crate) fn get(&self) -> Option<&T> {
        if self.is_set.load(Ordering::Acquire) { self.value.get() } else { None }
    }

    /// Makes this the value, if there is none; else gives it back.
    pub(crate) fn set(&self, value: T) -> Result<(), T> {
        self.value.set(value)?;
        self.is_set.store(true, Ordering::Release);
        Ok(())
    }
}
