//! Typed 32-bit references into an arena.

use std::fmt;
use std::marker::PhantomData;
use std::num::NonZeroU32;

/// A reference to a `T` of one arena: a unit's number, with three bits more for what the user of
/// the arena wants to know beforehand. Never zero, so that an `Option` of it has four bytes too.
///
/// Invariant I1: a reference handed out by an arena points to an initialised `T` of that arena
/// until the arena is dropped or the block is returned to it. References never leave the tree
/// whose arena made them.
pub(crate) struct Ref<T> {
    unit: NonZeroU32,
    target: PhantomData<fn() -> T>,
}

impl<T> Ref<T> {
    /// The reference stored as `raw`; 0 is none.
    #[inline]
    pub(crate) fn from_raw(raw: u32) -> Option<Self> {
        NonZeroU32::new(raw).map(|unit| Self { unit, target: PhantomData })
    }

    /// The number to store.
    #[inline]
    pub(crate) fn raw(self) -> u32 {
        self.unit.get()
    }
}

impl<T> Clone for Ref<T> {
    #[inline]
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Ref<T> {}

impl<T> PartialEq for Ref<T> {
    fn eq(&self, other: &Self) -> bool {
        self.unit == other.unit
    }
}

impl<T> Eq for Ref<T> {}

impl<T> fmt::Debug for Ref<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "@{:x}", self.unit)
    }
}
