//! A `OnceLock` whose lock ThreadSanitizer sees.

use super::Mutex;

/// A value that is made once. Kept for ever, even if its owner goes.
pub(crate) struct OnceLock<T: 'static>(Mutex<Option<&'static T>>);

impl<T> OnceLock<T> {
    /// Without a value yet.
    pub(crate) const fn new() -> Self {
        Self(Mutex::new(None))
    }

    /// The value, which `make` makes if there is none.
    pub(crate) fn get_or_init(&self, make: impl FnOnce() -> T) -> &'static T {
        self.0.lock().get_or_insert_with(|| Box::leak(Box::new(make())))
    }

    /// The value, if there is one.
    pub(crate) fn get(&self) -> Option<&'static T> {
        *self.0.lock()
    }

    /// Makes this the value, if there is none; else gives it back.
    pub(crate) fn set(&self, value: T) -> Result<(), T> {
        let mut own = self.0.lock();
        if own.is_some() {
            return Err(value);
        }
        *own = Some(Box::leak(Box::new(value)));
        Ok(())
    }
}
