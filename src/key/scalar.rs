//! Keys of fixed width: integers and byte arrays. They end where their width says, in any
//! position.

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
    i8, "an i8 key has 1 byte";
    i16, "an i16 key has 2 bytes";
    i32, "an i32 key has 4 bytes";
    i64, "an i64 key has 8 bytes";
}

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

/// The key, if nothing is left over behind it.
#[inline]
fn whole<K>(decoded: Result<(K, &[u8]), KeyError>, rule: &'static str) -> Result<K, KeyError> {
    match decoded? {
        (key, []) => Ok(key),
        _ => Err(KeyError::new(rule)),
    }
}
