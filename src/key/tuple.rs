//! Tuples of two to four keys, ordered by their first component, then by the next.

use super::{CodecName, Key, KeyBuf, KeyError, KeyForm, KeyPosition, KeyPrefix};

/// Each line: type, variable, form and index of every component, the last one apart.
macro_rules! tuple_key {
    ($($(($key:ident $name:ident $form:ident $at:tt))+, ($last:ident $end:ident $tail:tt);)+) => {$(
        impl<$($key: Key, $form: KeyForm<$key>,)+ $last: Key, Z: KeyForm<$last>>
            KeyForm<($($key,)+ $last)> for ($($form,)+ Z)
        {
            #[inline]
            fn encode(&self, position: KeyPosition, out: &mut KeyBuf) {
                $(self.$at.encode(KeyPosition::Leading, out);)+
                self.$tail.encode(position, out);
            }
        }

        impl<$($key: Key,)+ $last: Key> Key for ($($key,)+ $last) {
            fn write_codec(out: &mut CodecName) {
                out.push("(");
                $(
                    $key::write_codec(out);
                    out.push(", ");
                )+
                $last::write_codec(out);
                out.push(")");
            }

            fn decode(bytes: &[u8]) -> Result<Self, KeyError> {
                $(let ($name, bytes) = $key::decode_leading(bytes)?;)+
                Ok(($($name,)+ $last::decode(bytes)?))
            }

            fn decode_leading(bytes: &[u8]) -> Result<(Self, &[u8]), KeyError> {
                $(let ($name, bytes) = $key::decode_leading(bytes)?;)+
                let ($end, bytes) = $last::decode_leading(bytes)?;
                Ok((($($name,)+ $end), bytes))
            }
        }

        impl<$($key: Key, $form: KeyForm<$key>,)+ $last: Key, Z: KeyPrefix<$last>>
            KeyPrefix<($($key,)+ $last)> for ($($form,)+ Z)
        {
            fn encode_prefix(&self, out: &mut KeyBuf) {
                $(self.$at.encode(KeyPosition::Leading, out);)+
                self.$tail.encode_prefix(out);
            }
        }
    )+};
}

tuple_key! {
    (A a P 0), (B b 1);
    (A a P 0) (B b Q 1), (C c 2);
    (A a P 0) (B b Q 1) (C c R 2), (D d 3);
}

/// Each line: the components that a prefix gives in full, then those that it leaves open.
macro_rules! tuple_prefix {
    ($($(($key:ident $form:ident $at:tt))+, $($open:ident)+;)+) => {$(
        impl<$($key: Key, $form: KeyForm<$key>,)+ $($open: Key,)+>
            KeyPrefix<($($key,)+ $($open,)+)> for ($($form,)+)
        {
            fn encode_prefix(&self, out: &mut KeyBuf) {
                $(self.$at.encode(KeyPosition::Leading, out);)+
            }
        }
    )+};
}

tuple_prefix! {
    (A P 0), B;
    (A P 0), B C;
    (A P 0) (B Q 1), C;
    (A P 0), B C D;
    (A P 0) (B Q 1), C D;
    (A P 0) (B Q 1) (C R 2), D;
}
