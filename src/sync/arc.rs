//! `Arc` and `Weak` for builds in which a tool watches the crate's atomics.
//!
//! The standard library's own are compiled beforehand, so that ThreadSanitizer does not see what
//! their last drop waits for, and they use a fence there, which it does not model. These count with
//! this crate's atomics, and each drop is one acquire-release operation. They have what the crate
//! uses of the originals, and cost a second allocation.
#![allow(unsafe_code, reason = "an object with several owners is freed by the last of them")]

use super::{AtomicUsize, Ordering};
use std::cell::UnsafeCell;
use std::fmt;
use std::marker::PhantomData;
use std::ops::Deref;
use std::ptr::NonNull;

/// What owners share.
struct Shared<T: ?Sized> {
    strong: AtomicUsize,
    /// Weak references, and one more for all strong ones together.
    weak: AtomicUsize,
    /// There until the last strong reference goes.
    value: UnsafeCell<Option<Box<T>>>,
}

/// A counted reference.
pub(crate) struct Arc<T: ?Sized> {
    shared: NonNull<Shared<T>>,
    owns: PhantomData<T>,
}

/// A reference that does not keep the value.
pub(crate) struct Weak<T: ?Sized> {
    shared: NonNull<Shared<T>>,
    owns: PhantomData<T>,
}

// SAFETY: as for the original: owners on several threads get shared references to the value, and
// the last of them, on any thread, drops it.
unsafe impl<T: ?Sized + Send + Sync> Send for Arc<T> {}
// SAFETY: as above; a shared `Arc` can be cloned.
unsafe impl<T: ?Sized + Send + Sync> Sync for Arc<T> {}
// SAFETY: as for `Arc`, which a `Weak` can become.
unsafe impl<T: ?Sized + Send + Sync> Send for Weak<T> {}
// SAFETY: as for `Arc`, which a `Weak` can become.
unsafe impl<T: ?Sized + Send + Sync> Sync for Weak<T> {}

impl<T> Arc<T> {
    /// The first reference to `value`.
    pub(crate) fn new(value: T) -> Self {
        Self::from_box(Box::new(value))
    }
}

impl<T: ?Sized> Arc<T> {
    fn from_box(value: Box<T>) -> Self {
        let shared = Box::new(Shared {
            strong: AtomicUsize::new(1),
            weak: AtomicUsize::new(1),
            value: UnsafeCell::new(Some(value)),
        });
        Self { shared: NonNull::from(Box::leak(shared)), owns: PhantomData }
    }

    fn shared(&self) -> &Shared<T> {
        // SAFETY: the strong references together hold a weak one, which keeps the counts.
        unsafe { self.shared.as_ref() }
    }

    /// Whether both refer to the same value.
    pub(crate) fn ptr_eq(this: &Self, other: &Self) -> bool {
        std::ptr::eq(this.shared.as_ptr(), other.shared.as_ptr())
    }

    /// A weak reference to the same value.
    pub(crate) fn downgrade(this: &Self) -> Weak<T> {
        this.shared().weak.fetch_add(1, Ordering::Relaxed);
        Weak { shared: this.shared, owns: PhantomData }
    }

    /// Number of strong references.
    #[cfg(test)]
    pub(crate) fn strong_count(this: &Self) -> usize {
        this.shared().strong.load(Ordering::Acquire)
    }
}

#[cfg(test)]
impl<T: Clone> Arc<T> {
    /// The value, to be changed: this one if it has no other owner, else a copy that has none.
    pub(crate) fn make_mut(this: &mut Self) -> &mut T {
        let is_shared = this.shared().strong.load(Ordering::Acquire) > 1
            || this.shared().weak.load(Ordering::Acquire) > 1;
        if is_shared {
            *this = Self::new((**this).clone());
        }
        // SAFETY: there is no other reference, weak or strong, and `&mut` keeps it so.
        let value = unsafe { &mut *this.shared().value.get() };
        value.as_mut().expect("a strong reference keeps the value")
    }
}

impl<T: ?Sized> Deref for Arc<T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: a strong reference keeps the value, and nobody changes it.
        let value = unsafe { &*self.shared().value.get() };
        value.as_deref().expect("a strong reference keeps the value")
    }
}

impl<T: ?Sized> Clone for Arc<T> {
    fn clone(&self) -> Self {
        self.shared().strong.fetch_add(1, Ordering::Relaxed);
        Self { shared: self.shared, owns: PhantomData }
    }
}

impl<T: ?Sized> Drop for Arc<T> {
    fn drop(&mut self) {
        if self.shared().strong.fetch_sub(1, Ordering::AcqRel) == 1 {
            // SAFETY: all other owners' last operation on the count happened before this one's,
            // which makes this the only access to the value.
            drop(unsafe { (*self.shared().value.get()).take() });
            drop(Weak { shared: self.shared, owns: PhantomData });
        }
    }
}

impl<T: ?Sized> Weak<T> {
    fn shared(&self) -> &Shared<T> {
        // SAFETY: a weak reference keeps the counts.
        unsafe { self.shared.as_ref() }
    }

    /// A strong reference, if there still is one.
    pub(crate) fn upgrade(&self) -> Option<Arc<T>> {
        let strong = &self.shared().strong;
        let mut count = strong.load(Ordering::Relaxed);
        while count > 0 {
            let next = count + 1;
            match strong.compare_exchange(count, next, Ordering::Acquire, Ordering::Relaxed) {
                Ok(_) => return Some(Arc { shared: self.shared, owns: PhantomData }),
                Err(changed) => count = changed,
            }
        }
        None
    }

    /// Whether both refer to the same value.
    pub(crate) fn ptr_eq(&self, other: &Self) -> bool {
        std::ptr::eq(self.shared.as_ptr(), other.shared.as_ptr())
    }

    /// Number of strong references.
    pub(crate) fn strong_count(&self) -> usize {
        self.shared().strong.load(Ordering::Acquire)
    }
}

impl<T: ?Sized> Drop for Weak<T> {
    fn drop(&mut self) {
        if self.shared().weak.fetch_sub(1, Ordering::AcqRel) == 1 {
            // SAFETY: it came from a leaked box, and this was the last reference of any kind.
            drop(unsafe { Box::from_raw(self.shared.as_ptr()) });
        }
    }
}

impl<T: Clone> From<&[T]> for Arc<[T]> {
    fn from(values: &[T]) -> Self {
        Self::from_box(values.into())
    }
}

impl<T: ?Sized> From<Box<T>> for Arc<T> {
    fn from(value: Box<T>) -> Self {
        Self::from_box(value)
    }
}

impl<T> From<Vec<T>> for Arc<[T]> {
    fn from(values: Vec<T>) -> Self {
        Self::from_box(values.into())
    }
}

impl<T: Default> Default for Arc<T> {
    fn default() -> Self {
        Self::new(T::default())
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for Arc<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

#[cfg(all(test, memkv_tsan))]
mod tests {
    use super::*;
    use crate::sync::thread;

    #[test]
    fn the_last_owner_drops_the_value_and_weak_references_see_it() {
        let witness = Arc::new(());
        let value: Arc<Arc<()>> = Arc::new(witness.clone());
        let weak = Arc::downgrade(&value);
        assert_eq!((weak.strong_count(), Arc::strong_count(&witness)), (1, 2));
        let upgraded = weak.upgrade().expect("it is owned");
        assert!(Arc::ptr_eq(&upgraded, &value) && weak.ptr_eq(&Arc::downgrade(&value)));
        drop(value);
        assert_eq!(Arc::strong_count(&witness), 2);
        drop(upgraded);
        assert_eq!(Arc::strong_count(&witness), 1);
        assert!(weak.upgrade().is_none());
    }

    #[test]
    fn slices_and_copies_on_write_keep_their_values() {
        let slice: Arc<[u8]> = Arc::from(&[1u8, 2, 3][..]);
        assert_eq!(&*slice.clone(), [1, 2, 3]);
        let mut mine = Arc::new(1);
        let other = mine.clone();
        *Arc::make_mut(&mut mine) += 1;
        assert_eq!((*mine, *other), (2, 1));
    }

    #[test]
    fn what_an_owner_did_happened_before_the_drop() {
        struct Counted(AtomicUsize, Arc<AtomicUsize>);
        impl Drop for Counted {
            fn drop(&mut self) {
                self.1.fetch_add(self.0.load(Ordering::Relaxed), Ordering::Relaxed);
            }
        }
        let total = Arc::new(AtomicUsize::new(0));
        let shared = Arc::new(Counted(AtomicUsize::new(0), total.clone()));
        let owners: Vec<Arc<Counted>> = (0..4).map(|_| shared.clone()).collect();
        drop(shared);
        let work = |owner: Arc<Counted>| {
            move || {
                owner.0.fetch_add(1, Ordering::Relaxed);
            }
        };
        let threads: Vec<_> = owners.into_iter().map(|owner| thread::spawn(work(owner))).collect();
        threads.into_iter().for_each(|thread| thread.join().expect("no panic"));
        assert_eq!(total.load(Ordering::Relaxed), 4);
    }
}
