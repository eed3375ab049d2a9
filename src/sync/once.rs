//! A `OnceLock` whose lock ThreadSanitizer sees.

use super::Mutex;

/// A value that is made at the first look. Kept for ever: the crate's are statics.
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
}
