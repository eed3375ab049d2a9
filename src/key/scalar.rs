//! Keys of fixed width: integers, what lowers to an integer, and arrays of both. They end where
//! their width says, in any position.

use super::{CodecName, Key, KeyBuf, KeyError, KeyForm, KeyPosition};

/// Integers are big-endian, so that bytes compare as the numbers do; flipping the sign bit (all
/// that `^ MIN` does, and nothing for an unsigned type) puts negative numbers first.
macro_rules! integer_key {
    ($($int:ty, $rule:literal;)+) => {$(
        impl KeyForm<$int> for $int {
            #[inline]
            fn encode(&self, _: KeyPosition, out: &mut KeyBuf) {
                self.with_bytes(|bytes| out.extend_from_slice(bytes));
            }

            #[inline]
            #[allow(clippy::big_endian_bytes, reason = "byte order must be number order")]
            fn with_bytes<R>(&self, f: impl FnOnce(&[u8]) -> R) -> R {
                f(&(*self ^ <$int>::MIN).to_be_bytes())
            }
        }

        impl Key for $int {
            fn write_codec(out: &mut CodecName) {
                out.push(stringify!($int));
            }

            #[inline]
            fn decode(bytes: &[u8]) -> Result<Self, KeyError> {
                whole(Self::decode_leading(bytes), $rule)
            }

            #[inline]
            #[allow(clippy::big_endian_bytes, reason = "byte order must be number order")]
            fn decode_leading(bytes: &[u8]) -> Result<(Self, &[u8]), KeyError> {
                let (chunk, rest) = bytes.split_first_chunk().ok_or(KeyError::new($rule))?;
                Ok((<$int>::from_be_bytes(*chunk) ^ <$int>::MIN, rest))
            }
        }
    )+};
}

integer_key! {
    u8, "a u8 key has 1 byte";
    u16, "a u16 key has 2 bytes";
    u32, "a u32 key has 4 bytes";
    u64, "a u64 key has 8 bytes";
    u128, "a u128 key has 16 bytes";
    i8, "an i8 key has 1 byte";
    i16, "an i16 key has 2 bytes";
    i32, "an i32 key has 4 bytes";
    i64, "an i64 key has 8 bytes";
    i128, "an i128 key has 16 bytes";
}

/// Keys that are an integer in another dress: how to become one, and the key again.
macro_rules! lowered_key {
    ($($key:ty, $name:literal, $int:ty, $lower:expr, $raise:expr;)+) => {$(
        impl KeyForm<$key> for $key {
            #[inline]
            fn encode(&self, position: KeyPosition, out: &mut KeyBuf) {
                $lower(*self).encode(position, out);
            }

            #[inline]
            fn with_bytes<R>(&self, f: impl FnOnce(&[u8]) -> R) -> R {
                $lower(*self).with_bytes(f)
            }
        }

        impl Key for $key {
            fn write_codec(out: &mut CodecName) {
                out.push($name);
            }

            #[inline]
            fn decode(bytes: &[u8]) -> Result<Self, KeyError> {
                $raise(<$int>::decode(bytes)?)
            }

            #[inline]
            fn decode_leading(bytes: &[u8]) -> Result<(Self, &[u8]), KeyError> {
                let (lowered, rest) = <$int>::decode_leading(bytes)?;
                Ok(($raise(lowered)?, rest))
            }
        }
    )+};
}

lowered_key! {
    bool, "bool", u8, u8::from, raise_bool;
    char, "char", u32, u32::from, raise_char;
    f32, "f32", i32, lower_f32, raise_f32;
    f64, "f64", i64, lower_f64, raise_f64;
}

fn raise_bool(number: u8) -> Result<bool, KeyError> {
    match number {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(KeyError::new("a bool key is 0 or 1")),
    }
}

fn raise_char(number: u32) -> Result<char, KeyError> {
    char::try_from(number).map_err(|_| KeyError::new("a char key is a Unicode scalar value"))
}

/// The bits of a float as an integer, those of a negative one (but for its sign) inverted, since
/// they grow as it falls. This is the order of `total_cmp`, and every bit is kept. Done twice, it
/// is undone.
macro_rules! float_order {
    ($float:ty, $int:ty, $unsigned:ty, $lower:ident, $raise:ident, $flip:ident) => {
        const fn $flip(bits: $int) -> $int {
            bits ^ ((bits >> (<$int>::BITS - 1)) as $unsigned >> 1) as $int
        }

        const fn $lower(float: $float) -> $int {
            $flip(float.to_bits() as $int)
        }

        #[allow(clippy::unnecessary_wraps, reason = "other types refuse some integers")]
        const fn $raise(number: $int) -> Result<$float, KeyError> {
            Ok(<$float>::from_bits($flip(number) as $unsigned))
        }
    };
}

float_order! { f32, i32, u32, lower_f32, raise_f32, flip_i32 }
float_order! { f64, i64, u64, lower_f64, raise_f64, flip_i64 }

const ARRAY_RULE: &str = "an array key has exactly as many bytes as its type";

impl<const N: usize> KeyForm<[u8; N]> for [u8; N] {
    #[inline]
    fn encode(&self, _: KeyPosition, out: &mut KeyBuf) {
        out.extend_from_slice(self);
    }

    #[inline]
    fn with_bytes<R>(&self, f: impl FnOnce(&[u8]) -> R) -> R {
        f(self)
    }
}

impl<const N: usize> Key for [u8; N] {
    fn write_codec(out: &mut CodecName) {
        out.push(format_args!("[u8; {N}]"));
    }

    #[inline]
    fn decode(bytes: &[u8]) -> Result<Self, KeyError> {
        whole(Self::decode_leading(bytes), ARRAY_RULE)
    }

    #[inline]
    fn decode_leading(bytes: &[u8]) -> Result<(Self, &[u8]), KeyError> {
        match bytes.split_first_chunk() {
            Some((chunk, rest)) => Ok((*chunk, rest)),
            None => Err(KeyError::new(ARRAY_RULE)),
        }
    }
}

mod sealed {
    use super::Key;

    /// What arrays other than byte arrays are made of. These are apart because they lend their
    /// bytes as they are.
    pub trait Element: Key + Copy + Default {}
}

macro_rules! elements {
    ($($element:ty)+) => {$(
        impl sealed::Element for $element {}
    )+};
}

elements! { u16 u32 u64 u128 i8 i16 i32 i64 i128 bool char f32 f64 }

impl<T: sealed::Element, const N: usize> KeyForm<[T; N]> for [T; N] {
    #[inline]
    fn encode(&self, position: KeyPosition, out: &mut KeyBuf) {
        for element in self {
            element.encode(position, out);
        }
    }
}

impl<T: sealed::Element, const N: usize> Key for [T; N] {
    fn write_codec(out: &mut CodecName) {
        out.push("[");
        T::write_codec(out);
        out.push(format_args!("; {N}]"));
    }

    #[inline]
    fn decode(bytes: &[u8]) -> Result<Self, KeyError> {
        whole(Self::decode_leading(bytes), ARRAY_RULE)
    }

    #[inline]
    fn decode_leading(mut bytes: &[u8]) -> Result<(Self, &[u8]), KeyError> {
        let mut array = [T::default(); N];
        for element in &mut array {
            (*element, bytes) = T::decode_leading(bytes)?;
        }
        Ok((array, bytes))
    }
}

/// The key, if nothing is left over behind it.
#[inline]
pub(super) fn whole<K>(
    decoded: Result<(K, &[u8]), KeyError>,
    rule: &'static str,
) -> Result<K, KeyError> {
    match decoded? {
        (key, []) => Ok(key),
        _ => Err(KeyError::new(rule)),
    }
}
