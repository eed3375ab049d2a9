//! Typed values: how a value becomes bytes, and bytes a value again.
//!
//! The traits are sealed: decoding can run while the map's read lock is held, so it must be code
//! of this crate, and every form of a fixed-width value must have exactly that width.

use crate::entry::ValueWidth;
use crate::error::Corruption;
use crate::key::CodecName;

mod sealed {
    use super::{CodecName, Corruption};

    /// What a map needs to know about its values, and nobody else.
    pub trait Codec: Sized {
        /// Bytes of every value, or `None` for byte strings of any length.
        const FIXED_LEN: Option<u8>;

        /// Appends the name of the way these values are stored, which saved maps carry.
        fn write_codec(out: &mut CodecName);

        /// The value that these bytes encode. May run under a read lock.
        fn decode(bytes: &[u8]) -> Result<Self, Corruption>;

        /// Replaces this value by the one that these bytes encode, in its own memory if it has some.
        #[inline]
        fn decode_into(&mut self, bytes: &[u8]) -> Result<(), Corruption> {
            *self = Self::decode(bytes)?;
            Ok(())
        }
    }

    /// A type that this crate knows as a form of a value.
    pub trait Form {}

    impl<W: Form + ?Sized> Form for &W {}
}

pub(crate) use sealed::Codec;

/// How the values of a map are stored.
#[inline]
pub(crate) const fn width_of<V: Codec>() -> ValueWidth {
    match V::FIXED_LEN {
        Some(len) => ValueWidth::Fixed(len),
        None => ValueWidth::Bytes,
    }
}

/// A type that can be the value of a [`MemKV`](crate::MemKV).
///
/// | type | stored as |
/// |---|---|
/// | `u8` to `u128`, `i8` to `i128`, `f32`, `f64` | their bytes, little-endian |
/// | `bool`, `char` | 0 or 1 in one byte; four bytes, little-endian |
/// | `[u8; N]` with `N` up to 255 | their bytes |
/// | `()` | nothing: the map is a set |
/// | [`Pod<T>`] with `T` up to 255 bytes | the bytes of `T` in memory |
/// | [`String`], [`Vec<u8>`] | a byte string of any length up to [`MAX_VALUE_LEN`](crate::MAX_VALUE_LEN) |
///
/// The trait is sealed; wrap other plain types in [`Pod`] and others in bytes.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the value of a map",
    note = "values are numbers, `bool`, `char`, `[u8; N]`, `()`, `String`, `Vec<u8>`, and any other \
            plain data in `Pod<T>`"
)]
pub trait Value: ValueForm<Self> + Codec {
    /// What [`get_with`](crate::MemKV::get_with) lends: `str` for [`String`], `[u8]` for
    /// [`Vec<u8>`], `T` for [`Pod<T>`], and the value itself for all others.
    type Borrowed: ?Sized;

    /// The value as [`get_with`](crate::MemKV::get_with) lends it.
    #[doc(hidden)]
    fn borrowed(&self) -> &Self::Borrowed;

    /// Calls `f` with the value that these bytes encode; strings lend the bytes themselves.
    #[doc(hidden)]
    #[inline]
    fn with_borrowed<R>(
        bytes: &[u8],
        f: impl FnOnce(&Self::Borrowed) -> R,
    ) -> Result<R, Corruption> {
        Self::decode(bytes).map(|value| f(value.borrowed()))
    }
}

/// What may stand for a `V` in a call: the value itself, a reference to it, `&str` for a
/// [`String`], `&[u8]` and byte-string literals for a [`Vec<u8>`].
///
/// ```
/// use memkv::MemKV;
/// let kv: MemKV<u64, String> = MemKV::new();
/// kv.insert(1, "one");
/// kv.insert(2, String::from("two"));
/// assert_eq!(kv.get(1).as_deref(), Some("one"));
/// ```
///
/// ```compile_fail
/// let kv: memkv::MemKV<u64, u64> = memkv::MemKV::new();
/// kv.insert(1, "one");
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot stand for a value of type `{V}`",
    label = "not a form of the map's value"
)]
pub trait ValueForm<V>: sealed::Form {
    /// Calls `f` with the value's bytes. Nothing is allocated.
    fn with_bytes<R>(&self, f: impl FnOnce(&[u8]) -> R) -> R;
}

impl<V, W: ValueForm<V> + ?Sized> ValueForm<V> for &W {
    #[inline]
    fn with_bytes<R>(&self, f: impl FnOnce(&[u8]) -> R) -> R {
        (**self).with_bytes(f)
    }
}

/// Widest fixed-width value.
const MAX_FIXED_LEN: usize = 255;

/// The width of a type of `len` bytes.
const fn fixed(len: usize) -> u8 {
    assert!(
        len <= MAX_FIXED_LEN,
        "a fixed-width value has at most 255 bytes; use Vec<u8> for longer ones"
    );
    len as u8
}

#[cold]
fn wrong_width() -> Corruption {
    Corruption::new("value", 0, "a fixed-width value has the width of its type")
}

/// Values that are kept as a number, little-endian: how to become one, and the value again.
macro_rules! number_value {
    ($($value:ty as $number:ty, $raise:expr;)+) => {$(
        impl sealed::Form for $value {}

        impl ValueForm<$value> for $value {
            #[inline]
            fn with_bytes<R>(&self, f: impl FnOnce(&[u8]) -> R) -> R {
                f(&<$number>::from(*self).to_le_bytes())
            }
        }

        impl Codec for $value {
            const FIXED_LEN: Option<u8> = Some(fixed(size_of::<$number>()));

            fn write_codec(out: &mut CodecName) {
                out.push(stringify!($value));
            }

            #[inline]
            fn decode(bytes: &[u8]) -> Result<Self, Corruption> {
                let bytes = bytes.try_into().map_err(|_| wrong_width())?;
                $raise(<$number>::from_le_bytes(bytes))
            }
        }

        impl Value for $value {
            type Borrowed = Self;

            #[inline]
            fn borrowed(&self) -> &Self {
                self
            }
        }
    )+};
}

number_value! {
    u8 as u8, Ok;
    u16 as u16, Ok;
    u32 as u32, Ok;
    u64 as u64, Ok;
    u128 as u128, Ok;
    i8 as i8, Ok;
    i16 as i16, Ok;
    i32 as i32, Ok;
    i64 as i64, Ok;
    i128 as i128, Ok;
    f32 as f32, Ok;
    f64 as f64, Ok;
    bool as u8, raise_bool;
    char as u32, raise_char;
}

fn raise_bool(number: u8) -> Result<bool, Corruption> {
    match number {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(Corruption::new("value", 0, "a bool value is 0 or 1")),
    }
}

fn raise_char(number: u32) -> Result<char, Corruption> {
    let rule = "a char value is a Unicode scalar value";
    char::try_from(number).map_err(|_| Corruption::new("value", 0, rule))
}

impl sealed::Form for () {}

impl ValueForm<()> for () {
    #[inline]
    fn with_bytes<R>(&self, f: impl FnOnce(&[u8]) -> R) -> R {
        f(&[])
    }
}

impl Codec for () {
    const FIXED_LEN: Option<u8> = Some(fixed(0));

    fn write_codec(out: &mut CodecName) {
        out.push("()");
    }

    #[inline]
    fn decode(bytes: &[u8]) -> Result<Self, Corruption> {
        if bytes.is_empty() { Ok(()) } else { Err(wrong_width()) }
    }
}

impl Value for () {
    type Borrowed = Self;

    #[inline]
    fn borrowed(&self) -> &Self {
        self
    }
}

impl<const N: usize> sealed::Form for [u8; N] {}

impl<const N: usize> ValueForm<[u8; N]> for [u8; N] {
    #[inline]
    fn with_bytes<R>(&self, f: impl FnOnce(&[u8]) -> R) -> R {
        f(self)
    }
}

impl<const N: usize> Codec for [u8; N] {
    const FIXED_LEN: Option<u8> = Some(fixed(N));

    fn write_codec(out: &mut CodecName) {
        out.push(format_args!("[u8; {N}]"));
    }

    #[inline]
    fn decode(bytes: &[u8]) -> Result<Self, Corruption> {
        bytes.try_into().map_err(|_| wrong_width())
    }
}

impl<const N: usize> Value for [u8; N] {
    type Borrowed = Self;

    #[inline]
    fn borrowed(&self) -> &Self {
        self
    }
}

/// Plain data as a value: any `T` for which every bit pattern is a value and that has no padding,
/// which is what [`bytemuck::Pod`] says.
///
/// The bytes are those of `T` in memory, so they depend on the machine's byte order; use integers
/// or arrays of bytes for data that moves between machines. A saved map knows of `T` only size and
/// alignment: it opens with any other `T` that has the same, and what that makes of the bytes. A `T`
/// of more than 255 bytes does not compile:
///
/// ```
/// use memkv::{MemKV, Pod};
/// let positions: MemKV<u32, Pod<[f32; 3]>> = MemKV::new();
/// positions.insert(7, Pod([1.0, 2.0, 3.0]));
/// assert_eq!(positions.get(7), Some(Pod([1.0, 2.0, 3.0])));
/// assert_eq!(positions.get_with(7, |xyz: &[f32; 3]| xyz[1]), Some(2.0));
/// ```
///
/// ```compile_fail
/// use memkv::{MemKV, Pod};
/// let too_wide: MemKV<u32, Pod<[u64; 32]>> = MemKV::new();
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pod<T>(
    /// The plain data.
    pub T,
);

impl<T> sealed::Form for Pod<T> {}

impl<T: bytemuck::Pod> ValueForm<Self> for Pod<T> {
    #[inline]
    fn with_bytes<R>(&self, f: impl FnOnce(&[u8]) -> R) -> R {
        f(bytemuck::bytes_of(&self.0))
    }
}

impl<T: bytemuck::Pod> Codec for Pod<T> {
    const FIXED_LEN: Option<u8> = Some(fixed(size_of::<T>()));

    fn write_codec(out: &mut CodecName) {
        // Their bytes are those of memory, which another machine may read the other way round.
        let order = if cfg!(target_endian = "little") { "little" } else { "big" };
        out.push(format_args!("pod<{}, align {}, {order}>", size_of::<T>(), align_of::<T>()));
    }

    #[inline]
    fn decode(bytes: &[u8]) -> Result<Self, Corruption> {
        bytemuck::try_pod_read_unaligned(bytes).map(Self).map_err(|_| wrong_width())
    }
}

impl<T: bytemuck::Pod> Value for Pod<T> {
    type Borrowed = T;

    #[inline]
    fn borrowed(&self) -> &T {
        &self.0
    }
}

/// Forms of a byte string, all of which can be seen as plain bytes.
macro_rules! byte_string_form {
    ($($value:ty: $form:ty $([const $n:ident])?;)+) => {$(
        impl $(<const $n: usize>)? ValueForm<$value> for $form {
            #[inline]
            fn with_bytes<R>(&self, f: impl FnOnce(&[u8]) -> R) -> R {
                f(self.as_ref())
            }
        }
    )+};
}

byte_string_form! {
    String: String;
    String: str;
    Vec<u8>: Vec<u8>;
    Vec<u8>: [u8];
    Vec<u8>: [u8; N] [const N];
}

impl sealed::Form for String {}
impl sealed::Form for str {}
impl sealed::Form for Vec<u8> {}
impl sealed::Form for [u8] {}

/// The text in these bytes.
fn text(bytes: &[u8]) -> Result<&str, Corruption> {
    str::from_utf8(bytes).map_err(|error| {
        Corruption::new("value", error.valid_up_to() as u64, "a String value is UTF-8")
    })
}

impl Codec for String {
    const FIXED_LEN: Option<u8> = None;

    fn write_codec(out: &mut CodecName) {
        out.push("str");
    }

    #[inline]
    fn decode(bytes: &[u8]) -> Result<Self, Corruption> {
        text(bytes).map(str::to_owned)
    }

    #[inline]
    fn decode_into(&mut self, bytes: &[u8]) -> Result<(), Corruption> {
        let text = text(bytes)?;
        self.clear();
        self.push_str(text);
        Ok(())
    }
}

impl Value for String {
    type Borrowed = str;

    #[inline]
    fn borrowed(&self) -> &str {
        self
    }

    #[inline]
    fn with_borrowed<R>(bytes: &[u8], f: impl FnOnce(&str) -> R) -> Result<R, Corruption> {
        text(bytes).map(f)
    }
}

impl Codec for Vec<u8> {
    const FIXED_LEN: Option<u8> = None;

    fn write_codec(out: &mut CodecName) {
        out.push("bytes");
    }

    #[inline]
    fn decode(bytes: &[u8]) -> Result<Self, Corruption> {
        Ok(bytes.to_vec())
    }

    #[inline]
    fn decode_into(&mut self, bytes: &[u8]) -> Result<(), Corruption> {
        self.clear();
        self.extend_from_slice(bytes);
        Ok(())
    }
}

impl Value for Vec<u8> {
    type Borrowed = [u8];

    #[inline]
    fn borrowed(&self) -> &[u8] {
        self
    }

    #[inline]
    fn with_borrowed<R>(bytes: &[u8], f: impl FnOnce(&[u8]) -> R) -> Result<R, Corruption> {
        Ok(f(bytes))
    }
}

// As those of keys.
#[cfg(test)]
#[cfg(not(any(memkv_loom, memkv_planted, memkv_poison)))]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;
    use std::fmt::Debug;

    fn encoded<V: Value>(value: &V) -> Vec<u8> {
        value.with_bytes(<[u8]>::to_vec)
    }

    fn check_round_trip<V: Value + PartialEq + Debug>(value: &V) {
        let bytes = encoded(value);
        assert_eq!(V::decode(&bytes).as_ref(), Ok(value));
        if let Some(width) = V::FIXED_LEN {
            assert_eq!(bytes.len(), usize::from(width));
            let longer = [bytes.as_slice(), b"x"].concat();
            assert_eq!(V::decode(&longer), Err(wrong_width()));
            if let Some((_, shorter)) = bytes.split_last() {
                assert_eq!(V::decode(shorter), Err(wrong_width()));
            }
        }
    }

    proptest! {
        #[test]
        fn values_round_trip(wide in any::<u128>(), bytes in vec(any::<u8>(), 0..40), text: String) {
            check_round_trip(&(wide as u8));
            check_round_trip(&(wide as u16));
            check_round_trip(&(wide as u32));
            check_round_trip(&(wide as u64));
            check_round_trip(&wide);
            check_round_trip(&(wide as i8));
            check_round_trip(&(wide as i16));
            check_round_trip(&(wide as i32));
            check_round_trip(&(wide as i64));
            check_round_trip(&(wide as i128));
            check_round_trip(&(wide as u8 > 127));
            check_round_trip(&text.chars().next().unwrap_or_default());
            // Floats are compared by their bits: a NaN is not equal to itself.
            let (single, double) = (f32::from_bits(wide as u32), f64::from_bits(wide as u64));
            prop_assert_eq!(f32::decode(&encoded(&single)).map(f32::to_bits), Ok(wide as u32));
            prop_assert_eq!(f64::decode(&encoded(&double)).map(f64::to_bits), Ok(wide as u64));
            check_round_trip(&Pod([wide as u16, 7, 9]));
            check_round_trip(&wide.to_le_bytes());
            check_round_trip(&());
            check_round_trip(&bytes);
            check_round_trip(&text);
        }

        #[test]
        fn no_bytes_make_decoding_panic(bytes in vec(any::<u8>(), 0..20)) {
            let _ = u8::decode(&bytes);
            let _ = i128::decode(&bytes);
            let _ = f64::decode(&bytes);
            let _ = bool::decode(&bytes);
            let _ = char::decode(&bytes);
            let _ = <()>::decode(&bytes);
            let _ = <[u8; 7]>::decode(&bytes);
            let _ = Pod::<[f32; 2]>::decode(&bytes);
            let lent = String::with_borrowed(&bytes, str::len);
            assert_eq!(lent.ok(), String::decode(&bytes).ok().map(|text| text.len()));
        }
    }

    #[test]
    fn numbers_that_are_no_bool_or_char_are_refused() {
        let no_bool = Corruption::new("value", 0, "a bool value is 0 or 1");
        assert_eq!(bool::decode(&[2]), Err(no_bool));
        assert_eq!(bool::decode(&[]), Err(wrong_width()));
        let no_char = Corruption::new("value", 0, "a char value is a Unicode scalar value");
        for number in [0xd800_u32, 0xdfff, 0x11_0000, u32::MAX] {
            assert_eq!(char::decode(&number.to_le_bytes()), Err(no_char));
        }
        assert_eq!(char::decode(&0x10_ffff_u32.to_le_bytes()), Ok(char::MAX));
        assert_eq!(f64::decode(&[0; 4]), Err(wrong_width()));
    }

    #[test]
    fn text_that_is_not_utf8_is_refused_at_its_first_bad_byte() {
        let refused = Corruption::new("value", 2, "a String value is UTF-8");
        assert_eq!(String::decode(b"ab\xffc"), Err(refused));
        assert_eq!(String::with_borrowed(b"ab\xffc", str::len), Err(refused));
    }

    #[test]
    fn fixed_widths_are_those_of_the_types() {
        assert_eq!(width_of::<()>(), ValueWidth::Fixed(0));
        assert_eq!(width_of::<u128>(), ValueWidth::Fixed(16));
        assert_eq!(width_of::<[u8; 255]>(), ValueWidth::Fixed(255));
        assert_eq!(width_of::<Pod<[f64; 3]>>(), ValueWidth::Fixed(24));
        assert_eq!(width_of::<Vec<u8>>(), ValueWidth::Bytes);
    }

    /// Files carry these names: none of them may ever change.
    #[test]
    fn codec_names_are_those_that_files_carry() {
        fn check<V: Value>(expected: &str) {
            let mut name = CodecName::new();
            V::write_codec(&mut name);
            assert_eq!(name.to_string(), expected);
        }
        check::<u8>("u8");
        check::<u16>("u16");
        check::<u32>("u32");
        check::<u64>("u64");
        check::<u128>("u128");
        check::<i8>("i8");
        check::<i16>("i16");
        check::<i32>("i32");
        check::<i64>("i64");
        check::<i128>("i128");
        check::<f32>("f32");
        check::<f64>("f64");
        check::<bool>("bool");
        check::<char>("char");
        check::<()>("()");
        check::<[u8; 16]>("[u8; 16]");
        check::<Pod<[u64; 2]>>("pod<16, align 8, little>");
        check::<Pod<[f32; 3]>>("pod<12, align 4, little>");
        check::<String>("str");
        check::<Vec<u8>>("bytes");
    }
}
