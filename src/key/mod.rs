//! Typed keys: traits that turn a key, or anything that may stand for one, into bytes whose
//! bytewise order is the key's own order, and back.
//!
//! The one invariant of this folder: for all keys `a` and `b` of one type, `a < b` exactly when
//! `bytes(a) < bytes(b)`; every form of a key gives the bytes of the key itself; and `decode`
//! undoes `encode`, or says why it cannot. Everything below works on bytes alone.

mod buf;
mod codec;
mod range;
mod scalar;
mod text;
mod tuple;
mod wrapper;

// A fifth of the unit tests' code, and without threads, raw memory or a bug to plant.
#[cfg(test)]
#[cfg(not(any(memkv_loom, memkv_planted, memkv_poison)))]
mod tests;

pub use buf::KeyBuf;
pub use codec::CodecName;
pub use range::{KeyPrefix, KeyRange};

use crate::error::Corruption;
use std::fmt;

/// Longest encoded key, in bytes.
pub const MAX_KEY_LEN: usize = 65_535;

/// Where a key stands in the encoding: alone or at the end, or with more bytes after it.
///
/// In the [last](KeyPosition::Last) position the end of the bytes ends the key. A
/// [leading](KeyPosition::Leading) component of a tuple must tell by itself where it ends, without
/// disturbing the order; byte strings are escaped and terminated for that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyPosition {
    /// Other components follow.
    Leading,
    /// Nothing follows.
    Last,
}

/// A type that can be the key of a [`MemKV`](crate::MemKV).
///
/// | type | order | bytes |
/// |---|---|---|
/// | `u8` to `u128`, `i8` to `i128` | by value | 1 to 16 |
/// | `f32`, `f64` | `total_cmp`: -0.0 before 0.0, a NaN beyond infinity of its sign | 4, 8 |
/// | `bool`, `char` | as in Rust | 1, 4 |
/// | [`String`], [`Vec<u8>`] | byte by byte | their own; before another component 2 more, and 1 more for each zero byte |
/// | `[T; N]` of any number, `bool` or `char` | element by element | `N` times |
/// | tuples of 2, 3 or 4 keys | component by component | the sum |
/// | `Option<K>` | `None` first | 1 more |
/// | [`Reverse<K>`](std::cmp::Reverse) | descending | as before another component |
///
/// They nest as deep as you like. `usize` and `isize` are left out on purpose: their width depends
/// on the machine.
///
/// The trait is open. The usual way to make a key of one's own is to lower it to a type that is
/// one already:
///
/// ```
/// use memkv::{CodecName, Key, KeyBuf, KeyError, KeyForm, KeyPosition, MemKV};
///
/// #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
/// struct UserId(u64);
///
/// impl KeyForm<UserId> for UserId {
///     fn encode(&self, position: KeyPosition, out: &mut KeyBuf) {
///         self.0.encode(position, out);
///     }
/// }
///
/// impl Key for UserId {
///     fn write_codec(out: &mut CodecName) {
///         u64::write_codec(out);
///     }
///     fn decode(bytes: &[u8]) -> Result<Self, KeyError> {
///         u64::decode(bytes).map(UserId)
///     }
///     fn decode_leading(bytes: &[u8]) -> Result<(Self, &[u8]), KeyError> {
///         u64::decode_leading(bytes).map(|(id, rest)| (UserId(id), rest))
///     }
/// }
///
/// let names: MemKV<UserId, String> = MemKV::new();
/// names.insert(UserId(7), "Ada");
/// assert_eq!(names.get(UserId(7)).as_deref(), Some("Ada"));
/// ```
///
/// # What an implementation promises
/// - The order of the encoded bytes is the order that users of the map should see.
/// - `decode` gives back what was encoded in [last](KeyPosition::Last) position,
///   `decode_leading` what was encoded in [leading](KeyPosition::Leading) position, with the
///   bytes after it.
/// - `decode_into`, if there is one, makes what `decode` gives.
/// - `write_codec` always gives the same name, and types of the same name have the same bytes in
///   the same order.
/// - In leading position no key's bytes are the beginning of another key's bytes.
/// - No bytes make decoding panic.
///
/// A broken promise gives wrong answers, never undefined behaviour: all of this code runs outside
/// the map's locks.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the key of a map",
    note = "keys are numbers of fixed width, `bool`, `char`, `String`, `Vec<u8>`, arrays of \
            numbers, and tuples, `Option` and `Reverse` of keys; implement `Key` for a type of \
            your own"
)]
pub trait Key: Sized + KeyForm<Self> {
    /// Appends the name of the way these keys are stored, which saved maps carry.
    ///
    /// A key that lowers to another type passes the call on to it. One with an encoding of its own
    /// pushes a name of its own, which then must not change as long as there are files.
    fn write_codec(out: &mut CodecName);

    /// The key that these bytes, all of them, encode.
    ///
    /// # Errors
    /// The bytes encode no key of this type.
    fn decode(bytes: &[u8]) -> Result<Self, KeyError>;

    /// Replaces this key by the one that these bytes, all of them, encode. Keys on the heap keep their
    /// memory; the usual way is `decode`.
    ///
    /// # Errors
    /// The bytes encode no key of this type. The key is any one then.
    #[inline]
    fn decode_into(&mut self, bytes: &[u8]) -> Result<(), KeyError> {
        *self = Self::decode(bytes)?;
        Ok(())
    }

    /// As [`decode_into`](Self::decode_into), from the first `len` of these bytes, which are as many at least.
    /// What follows them means nothing, but may be copied too, where that is simpler than to end in time.
    ///
    /// # Errors
    /// The same.
    #[doc(hidden)]
    #[inline]
    fn decode_start_into(&mut self, bytes: &[u8], len: usize) -> Result<(), KeyError> {
        self.decode_into(bytes.get(..len).unwrap_or(bytes))
    }

    /// The key at the start of these bytes, and the bytes after it.
    ///
    /// # Errors
    /// The bytes start with no key of this type in leading position.
    fn decode_leading(bytes: &[u8]) -> Result<(Self, &[u8]), KeyError>;
}

/// What may stand for a `K` in a call.
///
/// A map with `String` keys takes `&str`, `String` and `&String` alike; one with `Vec<u8>` keys
/// takes `&[u8]` and `b"literals"`; one with `(String, u64)` keys takes `("a", 1)`, one with
/// `Reverse<String>` keys `Reverse("a")`, one with `Option<String>` keys `Some("a")` and
/// `None::<&str>`; and each takes references of any depth. A borrowed key is never cloned into an
/// owned one first.
///
/// ```
/// use memkv::MemKV;
/// let kv: MemKV<String, u64> = MemKV::new();
/// kv.insert("a", 1);
/// let owned = String::from("a");
/// assert_eq!(kv.get(&owned), kv.get("a"));
/// ```
///
/// A form of the wrong type is refused by the compiler:
///
/// ```compile_fail
/// let kv: memkv::MemKV<String, u64> = memkv::MemKV::new();
/// kv.get(7);
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot stand for a key of type `{K}`",
    label = "not a form of the map's key"
)]
pub trait KeyForm<K> {
    /// Appends the key's bytes, exactly those of the `K` that `self` stands for.
    fn encode(&self, position: KeyPosition, out: &mut KeyBuf);

    /// Calls `f` with the key's bytes in last position.
    ///
    /// Text and byte strings lend their own bytes; integers and short compound keys are encoded
    /// on the stack.
    #[inline]
    fn with_bytes<R>(&self, f: impl FnOnce(&[u8]) -> R) -> R {
        let mut buf = KeyBuf::new();
        self.encode(KeyPosition::Last, &mut buf);
        f(buf.as_slice())
    }
}

impl<K, Q: KeyForm<K> + ?Sized> KeyForm<K> for &Q {
    #[inline]
    fn encode(&self, position: KeyPosition, out: &mut KeyBuf) {
        (**self).encode(position, out);
    }

    #[inline]
    fn with_bytes<R>(&self, f: impl FnOnce(&[u8]) -> R) -> R {
        (**self).with_bytes(f)
    }
}

/// Bytes that encode no key of the asked type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyError {
    rule: &'static str,
}

impl KeyError {
    /// An error that names the rule the bytes break, such as `"an id has 12 bytes"`.
    pub const fn new(rule: &'static str) -> Self {
        Self { rule }
    }

    /// The rule that the bytes break.
    pub const fn rule(self) -> &'static str {
        self.rule
    }
}

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the bytes are no key of this type: {}", self.rule)
    }
}

impl std::error::Error for KeyError {}

impl From<KeyError> for Corruption {
    fn from(error: KeyError) -> Self {
        Self::new("key", 0, error.rule)
    }
}
