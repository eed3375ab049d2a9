//! Every lock, atomic, `Arc` and thread of the crate, named in one place.
//!
//! Model checkers and ThreadSanitizer cannot see through the standard library's own primitives; a
//! build for one of them swaps the names here and nowhere else. Locks are `parking_lot`'s: one
//! byte to one word each, no poisoning, compiled (and so instrumented) with this crate.
//!
//! | build | locks | atomics, threads | `Arc`, `Weak` | `OnceLock` | `SetOnce` |
//! | --- | --- | --- | --- | --- | --- |
//! | ordinary | `parking_lot` | `std` | `std` | `std` | `std` |
//! | `--cfg memkv_tsan` | `parking_lot` | `std` | `arc` | `once` | `once` |
//! | `--cfg memkv_loom` | `modelled`, over `loom` | `loom` | `arc` | `std` | `modelled` |

#[cfg(any(memkv_loom, memkv_tsan))]
mod arc;
pub(crate) mod forks;
#[cfg(memkv_loom)]
mod modelled;
#[cfg(memkv_tsan)]
mod once;
mod striped;

#[cfg(not(memkv_loom))]
pub(crate) use parking_lot::{Condvar, Mutex, RwLock};
#[cfg(all(test, not(memkv_loom)))]
pub(crate) use std::sync::atomic::AtomicBool;
#[cfg(not(memkv_loom))]
pub(crate) use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering};
#[cfg(not(memkv_loom))]
pub(crate) use std::thread;

#[cfg(all(test, memkv_loom))]
pub(crate) use loom::sync::atomic::AtomicBool;
#[cfg(memkv_loom)]
pub(crate) use loom::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering};
#[cfg(memkv_loom)]
pub(crate) use modelled::{Condvar, Mutex, RwLock, SetOnce, thread};

#[cfg(not(any(memkv_loom, memkv_tsan)))]
pub(crate) use std::sync::{Arc, Weak};

#[cfg(any(memkv_loom, memkv_tsan))]
pub(crate) use arc::{Arc, Weak};

pub(crate) use striped::Striped;

use std::ops::{Deref, DerefMut};

/// How often a thread looks again for a lock before it goes to sleep: for about a microsecond, which is
/// longer than most hold it, and shorter than it takes to be woken. SCRATCHPAD.md section 8.
#[cfg(not(memkv_loom))]
const LOOKS: u32 = 40;

/// Takes a lock that is held for moments only.
#[inline]
pub(crate) fn read_soon<T>(lock: &RwLock<T>) -> impl Deref<Target = T> + '_ {
    #[cfg(not(memkv_loom))]
    for _ in 0..LOOKS {
        if let Some(guard) = lock.try_read() {
            return guard;
        }
        std::hint::spin_loop();
    }
    lock.read()
}

/// Takes a lock that is held for moments only, to write.
#[inline]
pub(crate) fn write_soon<T>(lock: &RwLock<T>) -> impl DerefMut<Target = T> + '_ {
    #[cfg(not(memkv_loom))]
    for _ in 0..LOOKS {
        if let Some(guard) = lock.try_write() {
            return guard;
        }
        std::hint::spin_loop();
    }
    lock.write()
}

/// Starts a thread that ends before `scope` does. The model checker knows nothing of it, nor does it
/// need to: it reads and writes nothing that others do meanwhile.
pub(crate) fn spawn_scoped<'scope, T: Send + 'scope>(
    scope: &'scope std::thread::Scope<'scope, '_>,
    body: impl FnOnce() -> T + Send + 'scope,
) -> std::io::Result<std::thread::ScopedJoinHandle<'scope, T>> {
    std::thread::Builder::new().name("memkv-builder".into()).spawn_scoped(scope, body)
}

/// What a thread has made. If it panicked, so does this one.
pub(crate) fn join_scoped<T>(thread: std::thread::ScopedJoinHandle<'_, T>) -> T {
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

#[cfg(memkv_tsan)]
pub(crate) use once::OnceLock;
#[cfg(not(memkv_tsan))]
pub(crate) use std::sync::OnceLock;

/// A [`OnceLock`] that is not static, and set by one thread: models know what it orders.
#[cfg(not(memkv_loom))]
pub(crate) use OnceLock as SetOnce;
