//! Keys around another key: `Option`, and `Reverse` for descending order.

use super::{CodecName, Key, KeyBuf, KeyError, KeyForm, KeyPosition, scalar::whole};
use std::cmp::Reverse;

const NONE: u8 = 0;
const SOME: u8 = 1;

/// A byte that says which, and the key if there is one: `None` comes before all others.
impl<K: Key, Q: KeyForm<K>> KeyForm<Option<K>> for Option<Q> {
    #[inline]
    fn encode(&self, position: KeyPosition, out: &mut KeyBuf) {
        match self {
            None => out.push(NONE),
            Some(key) => {
                out.push(SOME);
                key.encode(position, out);
            }
        }
    }
}

impl<K: Key> Key for Option<K> {
    fn write_codec(out: &mut CodecName) {
        out.push("option<");
        K::write_codec(out);
        out.push(">");
    }

    fn decode(bytes: &[u8]) -> Result<Self, KeyError> {
        match bytes {
            [NONE] => Ok(None),
            [SOME, key @ ..] => K::decode(key).map(Some),
            [NONE, ..] => Err(KeyError::new("a key that is None has 1 byte")),
            _ => Err(KeyError::new(TAG_RULE)),
        }
    }

    fn decode_leading(bytes: &[u8]) -> Result<(Self, &[u8]), KeyError> {
        match bytes {
            [NONE, rest @ ..] => Ok((None, rest)),
            [SOME, rest @ ..] => {
                let (key, rest) = K::decode_leading(rest)?;
                Ok((Some(key), rest))
            }
            _ => Err(KeyError::new(TAG_RULE)),
        }
    }
}

const TAG_RULE: &str = "an Option key starts with 0 or 1";

/// The complement of the key's bytes in leading position, in any position: no such bytes are the
/// beginning of others, so two keys differ in a byte, and there the complement turns the order
/// around.
impl<K: Key, Q: KeyForm<K>> KeyForm<Reverse<K>> for Reverse<Q> {
    #[inline]
    fn encode(&self, _: KeyPosition, out: &mut KeyBuf) {
        let start = out.as_slice().len();
        self.0.encode(KeyPosition::Leading, out);
        out.complement_from(start);
    }
}

impl<K: Key> Key for Reverse<K> {
    fn write_codec(out: &mut CodecName) {
        out.push("reverse<");
        K::write_codec(out);
        out.push(">");
    }

    fn decode(bytes: &[u8]) -> Result<Self, KeyError> {
        whole(Self::decode_leading(bytes), "nothing follows a Reverse key in last position")
    }

    fn decode_leading(bytes: &[u8]) -> Result<(Self, &[u8]), KeyError> {
        // How much of it is the key's, only the key knows.
        let mut upright = KeyBuf::new();
        upright.extend_from_slice(bytes);
        upright.complement_from(0);
        let (key, left_over) = K::decode_leading(upright.as_slice())?;
        let rest = bytes.len().checked_sub(left_over.len()).and_then(|used| bytes.get(used..));
        let rest = rest.ok_or(KeyError::new("a key takes bytes that are there"))?;
        Ok((Self(key), rest))
    }
}
