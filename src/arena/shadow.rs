//! What a model knows of an arena's bytes: who has read and written them.
//!
//! A model checker sees locks and atomics, but not plain memory that is reached by address. In a
//! build for one, each place that reads or writes nodes says so here, and an access that nothing
//! orders after a conflicting one fails the model. In other builds this is nothing.

#[cfg(memkv_loom)]
mod cells {
    use super::super::UNIT;
    use loom::cell::UnsafeCell;
    use std::cell::RefCell;
    use std::collections::HashMap;

    /// A cell for each eight bytes that have been touched, by their address.
    #[derive(Default)]
    pub(crate) struct Shadow(RefCell<HashMap<usize, UnsafeCell<()>>>);

    impl Shadow {
        fn for_each(&self, start: *const u8, len: usize, touch: impl Fn(&UnsafeCell<()>)) {
            let (first, end) = (start.addr() / UNIT, (start.addr() + len).div_ceil(UNIT));
            let mut cells = self.0.borrow_mut();
            for unit in first..end {
                touch(cells.entry(unit).or_insert_with(|| UnsafeCell::new(())));
            }
        }

        /// `len` bytes are read.
        pub(crate) fn note_read(&self, start: *const u8, len: usize) {
            self.for_each(start, len, |cell| cell.with(|_| ()));
        }

        /// `len` bytes are written.
        pub(crate) fn note_write(&self, start: *const u8, len: usize) {
            self.for_each(start, len, |cell| cell.with_mut(|_| ()));
        }
    }

    /// All bytes are given back, so that every access must have happened before.
    impl Drop for Shadow {
        fn drop(&mut self) {
            if !std::thread::panicking() {
                self.0.get_mut().values().for_each(|cell| cell.with_mut(|_| ()));
            }
        }
    }
}

#[cfg(not(memkv_loom))]
mod cells {
    /// Nothing.
    #[derive(Default)]
    pub(crate) struct Shadow;

    #[expect(clippy::unused_self, reason = "models only")]
    impl Shadow {
        /// Does nothing outside of models.
        #[inline]
        pub(crate) fn note_read(&self, _start: *const u8, _len: usize) {}

        /// Does nothing outside of models.
        #[inline]
        pub(crate) fn note_write(&self, _start: *const u8, _len: usize) {}
    }
}

pub(super) use cells::Shadow;
