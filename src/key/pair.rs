//! Pairs of keys, ordered by their first component, then by their second.

use super::{CodecName, Key, KeyBuf, KeyError, KeyForm, KeyPosition};

impl<A: Key, B: Key, P: KeyForm<A>, Q: KeyForm<B>> KeyForm<(A, B)> for (P, Q) {
    #[inline]
    fn encode(&self, position: KeyPosition, out: &mut KeyBuf) {
        self.0.encode(KeyPosition::Leading, out);
        self.1.encode(position, out);
    }
}

impl<A: Key, B: Key> Key for (A, B) {
    fn write_codec(out: &mut CodecName) {
        out.push("(");
        A::write_codec(out);
        out.push(", ");
        B::write_codec(out);
        out.push(")");
    }

    fn decode(bytes: &[u8]) -> Result<Self, KeyError> {
        let (first, rest) = A::decode_leading(bytes)?;
        Ok((first, B::decode(rest)?))
    }

    fn decode_leading(bytes: &[u8]) -> Result<(Self, &[u8]), KeyError> {
        let (first, rest) = A::decode_leading(bytes)?;
        let (second, rest) = B::decode_leading(rest)?;
        Ok(((first, second), rest))
    }
}
