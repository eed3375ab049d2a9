//! The public map: a generic shell that turns typed keys and values into bytes and back, over one
//! untyped core.
//!
//! Keys are encoded, and closures of the caller run, before a lock is taken or after it is
//! released; under the read lock runs only the decoding of values, which is code of this crate.

mod bulk;
#[cfg(test)]
mod callback_tests;
#[cfg(test)]
mod divided_tests;
#[cfg(test)]
mod fork_tests;
#[cfg(test)]
mod limit_tests;
#[cfg(test)]
mod load_tests;
mod many;
#[cfg(test)]
mod many_tests;
mod ordered;
mod point;
#[cfg(test)]
mod profile_tests;
#[cfg(test)]
mod search_tests;
mod store;
#[cfg(test)]
mod tests;
mod upkeep;
#[cfg(test)]
mod walk_tests;

use crate::compact::Core;
use crate::error::Error;
use crate::key::Key;
use crate::options::Options;
use crate::store::Attached;
use crate::sync::Arc;
use crate::value::{Value, width_of};
use std::fmt;
use std::marker::PhantomData;

/// A shared, ordered map from `K` to `V` that keeps its entries compressed.
///
/// Everything takes `&self`. A clone is another handle to the *same* map; the map is freed with
/// its last handle (and the last iterator over it). Handles can be sent to and shared between
/// threads, and no lock is ever visible: calls take what they need and release it before they
/// return, and no closure of yours runs under a lock.
///
/// Keys and values are stored as bytes, so what is read back is a fresh `K` or `V`;
/// [`get_with`](Self::get_with) lends long values without copying them.
///
/// ```
/// use memkv::MemKV;
///
/// let kv: MemKV<String, u64> = MemKV::new();
/// kv.insert("apple", 3);
/// kv.insert(String::from("pear"), 4);
/// assert_eq!(kv.get("apple"), Some(3));
///
/// let shared = kv.clone();
/// std::thread::spawn(move || shared.insert("plum", 5)).join().unwrap();
/// assert_eq!(kv.keys().collect::<Vec<_>>(), ["apple", "pear", "plum"]);
/// ```
///
/// # Complexity
/// In the text of the methods, *n* is the number of entries and *k* the length of the encoded
/// key.
pub struct MemKV<K, V> {
    handle: Handle,
    types: PhantomData<fn() -> (K, V)>,
}

/// One counted handle: the core learns when the last of them goes, and the file is unlocked then.
struct Handle {
    core: Arc<Core>,
    /// The file that the map was opened from. Iterators have no share in it.
    attached: Option<Arc<Attached>>,
}

impl Handle {
    fn new(core: Core, attached: Option<Arc<Attached>>) -> Self {
        core.add_handle();
        Self { core: Arc::new(core), attached }
    }
}

impl Clone for Handle {
    fn clone(&self) -> Self {
        self.core.add_handle();
        Self { core: Arc::clone(&self.core), attached: self.attached.clone() }
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.core.drop_handle();
    }
}

/// Making maps.
impl<K: Key, V: Value> MemKV<K, V> {
    /// An empty map with default [`Options`].
    ///
    /// An empty map costs at most 256 bytes of heap and starts no thread.
    ///
    /// # Complexity
    /// O(1), one allocation.
    ///
    /// # Example
    /// ```
    /// use memkv::MemKV;
    /// let kv: MemKV<u64, String> = MemKV::new();
    /// assert!(kv.is_empty());
    /// ```
    pub fn new() -> Self {
        Self::with_options(Options::default())
    }

    /// An empty map that folds as `options` say.
    ///
    /// # Complexity
    /// O(1), one allocation.
    ///
    /// # Example
    /// ```
    /// use memkv::{Compaction, MemKV, Options};
    /// let kv: MemKV<u64, u64> = MemKV::with_options(Options {
    ///     compaction: Compaction::Inline,
    ///     ..Options::default()
    /// });
    /// kv.insert(1, 1);
    /// ```
    pub fn with_options(options: Options) -> Self {
        let core = Core::new(width_of::<V>(), options);
        Self { handle: Handle::new(core, None), types: PhantomData }
    }

    #[inline]
    pub(crate) fn core(&self) -> &Arc<Core> {
        &self.handle.core
    }

    /// An error as the caller sees it: damage names the file that the map was opened from.
    #[cold]
    fn named(&self, error: Error) -> Error {
        match (error, &self.handle.attached) {
            (Error::Corrupted(corruption), Some(attached)) => {
                Error::damaged(attached.path(), corruption)
            }
            (error, _) => error,
        }
    }
}

/// Another handle to the same map; nothing is copied.
impl<K, V> Clone for MemKV<K, V> {
    fn clone(&self) -> Self {
        Self { handle: self.handle.clone(), types: PhantomData }
    }
}

impl<K: Key, V: Value> Default for MemKV<K, V> {
    fn default() -> Self {
        Self::new()
    }
}

/// Shows all entries, as of one moment.
impl<K: Key + fmt::Debug, V: Value + fmt::Debug> fmt::Debug for MemKV<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

/// Ends a call that has no way to return the error it met.
#[cold]
#[track_caller]
fn refuse(error: &Error) -> ! {
    panic!("{error}")
}
