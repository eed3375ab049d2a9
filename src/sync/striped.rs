//! A value that is read all the time and replaced seldom.

use super::{Arc, RwLock};
use std::cell::Cell;
use std::ops::Deref;

/// Copies of a shared pointer; threads are spread over them.
const STRIPES: usize = if cfg!(memkv_loom) { 1 } else { 16 };

/// A value behind several locks, of which a reader takes the one of its thread and a writer all,
/// one after the other. Readers on different processors then do not write to the same cache line,
/// which the lock that all of them share would be.
///
/// While [`replace`](Self::replace) runs, some readers find the old value and some the new one.
pub(crate) struct Striped<T>(Box<[Stripe<T>; STRIPES]>);

/// On cache lines of its own.
#[repr(align(128))]
struct Stripe<T>(RwLock<Arc<T>>);

impl<T> Striped<T> {
    /// A value that everybody reads.
    pub(crate) fn new(value: &Arc<T>) -> Self {
        Self(Box::new(std::array::from_fn(|_| Stripe(RwLock::new(Arc::clone(value))))))
    }

    /// The value. It must not be asked for again by a thread that holds it.
    #[inline]
    pub(crate) fn read(&self) -> impl Deref<Target = Arc<T>> + '_ {
        self.0[stripe() % STRIPES].0.read()
    }

    /// Gives all readers another value.
    pub(crate) fn replace(&self, value: &Arc<T>) {
        for stripe in &*self.0 {
            let old = std::mem::replace(&mut *stripe.0.write(), Arc::clone(value));
            drop(old);
        }
    }

    /// Heap bytes, without those of the value.
    pub(crate) fn heap_bytes(&self) -> usize {
        size_of_val(&*self.0)
    }
}

/// A number for this thread.
#[inline]
fn stripe() -> usize {
    /// Threads that have asked.
    static THREADS: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);
    thread_local! {
        static OWN: Cell<usize> = const { Cell::new(usize::MAX) };
    }
    OWN.with(|own| {
        if own.get() == usize::MAX {
            own.set(THREADS.fetch_add(1, std::sync::atomic::Ordering::Relaxed));
        }
        own.get()
    })
}
