use super::*;
use proptest::collection::vec;
use proptest::prelude::*;
use std::cmp::{Ordering, Reverse};
use std::fmt::Debug;

fn encoded<K>(form: &(impl KeyForm<K> + ?Sized)) -> Vec<u8> {
    form.with_bytes(<[u8]>::to_vec)
}

fn encoded_at<K>(form: &(impl KeyForm<K> + ?Sized), position: KeyPosition) -> Vec<u8> {
    let mut buf = KeyBuf::new();
    form.encode(position, &mut buf);
    buf.as_slice().to_vec()
}

/// All that a key type promises, for two of its values.
fn check_promises<K: Key + Ord + Debug>(a: &K, b: &K) {
    assert_eq!(encoded::<K>(a).cmp(&encoded::<K>(b)), a.cmp(b), "{a:?} {b:?}");
    let (a_led, b_led) = [a, b].map(|key| encoded_at::<K>(key, KeyPosition::Leading)).into();
    assert_eq!(a_led.cmp(&b_led), a.cmp(b), "{a:?} {b:?} leading");
    assert!(a == b || !b_led.starts_with(&a_led), "{a:?} leads {b:?}");
    assert_eq!(encoded::<K>(a), encoded_at::<K>(a, KeyPosition::Last));
    assert_eq!(K::decode(&encoded::<K>(a)).as_ref(), Ok(a));
    let mut written = K::decode(&encoded::<K>(b)).unwrap();
    assert_eq!((written.decode_into(&encoded::<K>(a)), &written), (Ok(()), a));
    let followed = [a_led.as_slice(), b"\x00\xff\x00rest"].concat();
    let (decoded, rest) = K::decode_leading(&followed).unwrap();
    assert_eq!((&decoded, rest), (a, b"\x00\xff\x00rest".as_slice()));
}

/// Bytes either decode to a key that encodes to the same bytes, or are refused; no panic.
fn check_decoding<K: Key>(bytes: &[u8]) {
    if let Ok(key) = K::decode(bytes) {
        assert_eq!(encoded::<K>(&key), bytes);
    }
    if let Ok((key, rest)) = K::decode_leading(bytes) {
        let again = encoded_at::<K>(&key, KeyPosition::Leading);
        assert_eq!([again.as_slice(), rest].concat(), bytes);
    }
}

/// What bytes of a valid key become in the hands of an enemy: cut, extended, one byte changed.
fn check_decoding_of_damaged<K: Key>(key: &K, at: usize, byte: u8) {
    for position in [KeyPosition::Last, KeyPosition::Leading] {
        let mut bytes = encoded_at::<K>(key, position);
        let at = at % (bytes.len() + 1);
        check_decoding::<K>(&bytes[..at]);
        bytes.insert(at, byte);
        check_decoding::<K>(&bytes);
        if at + 1 < bytes.len() {
            bytes.remove(at + 1);
            check_decoding::<K>(&bytes);
        }
    }
}

/// A float with the order that it has as a key, and equal only to itself.
#[derive(Clone, Copy, Debug)]
struct Total<F>(F);

macro_rules! total_order {
    ($($float:ty)+) => {$(
        impl Ord for Total<$float> {
            fn cmp(&self, other: &Self) -> Ordering {
                self.0.total_cmp(&other.0)
            }
        }

        impl PartialOrd for Total<$float> {
            fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
                Some(self.cmp(other))
            }
        }

        impl PartialEq for Total<$float> {
            fn eq(&self, other: &Self) -> bool {
                self.0.to_bits() == other.0.to_bits()
            }
        }

        impl Eq for Total<$float> {}

        impl KeyForm<Self> for Total<$float> {
            fn encode(&self, position: KeyPosition, out: &mut KeyBuf) {
                self.0.encode(position, out);
            }
        }

        impl Key for Total<$float> {
            fn write_codec(out: &mut CodecName) {
                <$float>::write_codec(out);
            }

            fn decode(bytes: &[u8]) -> Result<Self, KeyError> {
                <$float>::decode(bytes).map(Self)
            }

            fn decode_leading(bytes: &[u8]) -> Result<(Self, &[u8]), KeyError> {
                <$float>::decode_leading(bytes).map(|(float, rest)| (Self(float), rest))
            }
        }
    )+};
}

total_order! { f32 f64 }

/// Any bits, and those where something changes.
fn hostile_float() -> impl Strategy<Value = Total<f64>> {
    let edge = prop_oneof![
        Just(0.0),
        Just(f64::MIN_POSITIVE / 4.0),
        Just(1.0),
        Just(f64::MAX),
        Just(f64::INFINITY),
        Just(f64::NAN),
        Just(f64::from_bits(f64::INFINITY.to_bits() + 1)),
        any::<u64>().prop_map(f64::from_bits),
    ];
    (edge, any::<bool>()).prop_map(|(edge, negate)| Total(if negate { -edge } else { edge }))
}

/// The nearest single float, by bits: a NaN stays one, with any payload.
fn single(float: Total<f64>) -> Total<f32> {
    Total(f32::from_bits((float.0.to_bits() >> 32) as u32))
}

/// Byte strings over the bytes that escaping cares about, and any others.
fn hostile_bytes() -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![Just(0x00), Just(0x01), Just(0xff), Just(b'a'), any::<u8>()];
    vec(byte, 0..8)
}

fn hostile_text() -> impl Strategy<Value = String> {
    let char = prop_oneof![Just('\0'), Just('\u{1}'), Just('a'), Just('\u{ff}'), any::<char>()];
    vec(char, 0..6).prop_map(|chars| chars.into_iter().collect())
}

proptest! {
    #[test]
    fn integers_keep_their_order(a in any::<u64>(), b in any::<u64>(), shift in 0u32..64) {
        let (a, b) = (a >> shift, b >> shift);
        check_promises(&(a as u8), &(b as u8));
        check_promises(&(a as u16), &(b as u16));
        check_promises(&(a as u32), &(b as u32));
        check_promises(&a, &b);
        check_promises(&(a as i8), &(b as i8));
        check_promises(&(a as i16), &(b as i16));
        check_promises(&(a as i32), &(b as i32));
        check_promises(&(a as i64), &(b as i64));
        let (wide_a, wide_b) = (u128::from(a) << shift, u128::from(b));
        check_promises(&wide_a, &wide_b);
        check_promises(&!wide_a, &wide_b);
        check_promises(&(wide_a as i128), &(wide_b as i128));
        check_promises(&!(wide_a as i128), &(wide_b as i128));
    }

    #[test]
    fn floats_are_ordered_totally_and_keep_every_bit(a in hostile_float(), b in hostile_float()) {
        check_promises(&a, &b);
        check_promises(&single(a), &single(b));
        check_promises(&(a, single(b)), &(b, single(a)));
        let bits = |bytes: &[u8]| f64::decode(bytes).map(f64::to_bits);
        prop_assert_eq!(bits(&encoded::<f64>(&a.0)), Ok(a.0.to_bits()));
    }

    #[test]
    fn bools_and_chars_keep_their_order(
        a in any::<char>(), b in any::<char>(), c in any::<bool>(), d in any::<bool>(),
    ) {
        check_promises(&a, &b);
        check_promises(&c, &d);
        check_promises(&(c, a), &(d, b));
        check_promises(&(a, c), &(b, d));
    }

    #[test]
    fn arrays_keep_the_order_of_their_elements(
        a in any::<[u16; 3]>(), b in any::<[u16; 3]>(), c in any::<[i128; 2]>(),
        d in any::<[i128; 2]>(), e in any::<[char; 2]>(), shared in 0usize..3,
    ) {
        let mut b = b;
        b[..shared].copy_from_slice(&a[..shared]);
        check_promises(&a, &b);
        check_promises(&a.map(|n| n as i8), &b.map(|n| n as i8));
        check_promises(&a.map(u32::from), &b.map(u32::from));
        check_promises(&a.map(i64::from), &b.map(i64::from));
        check_promises(&a.map(|n| n & 1 == 0), &b.map(|n| n & 1 == 0));
        check_promises(&c, &d);
        check_promises(&(e, [a[0]; 0], a), &(e, [], b));
        let floats = a.map(f32::from);
        prop_assert_eq!(<[f32; 3]>::decode(&encoded::<[f32; 3]>(&floats)), Ok(floats));
    }

    #[test]
    fn strings_and_arrays_keep_their_order(
        a in hostile_bytes(), b in hostile_bytes(), s in hostile_text(), t in hostile_text(),
        x in any::<[u8; 5]>(), y in any::<[u8; 5]>(),
    ) {
        check_promises(&a, &b);
        check_promises(&s, &t);
        check_promises(&x, &y);
    }

    #[test]
    fn pairs_keep_their_order(
        a in (hostile_text(), hostile_text()), b in (hostile_text(), hostile_text()),
        m in any::<i8>(), n in any::<i8>(),
    ) {
        check_promises(&a, &b);
        check_promises(&(m, a.0.clone()), &(n, b.0.clone()));
        check_promises(&(a.0, m), &(b.0, n));
    }

    #[test]
    fn nested_pairs_keep_their_order(
        a in (hostile_bytes(), hostile_bytes(), hostile_text(), any::<i16>()),
        b in (hostile_bytes(), hostile_bytes(), hostile_text(), any::<i16>()),
        shared in 0usize..4,
    ) {
        let mut b = b;
        if shared > 0 { b.0.clone_from(&a.0); }
        if shared > 1 { b.1.clone_from(&a.1); }
        if shared > 2 { b.2.clone_from(&a.2); }
        let left = |k: &(Vec<u8>, Vec<u8>, String, i16)| {
            (((k.0.clone(), k.1.clone()), k.2.clone()), k.3)
        };
        let right = |k: &(Vec<u8>, Vec<u8>, String, i16)| {
            (k.0.clone(), (k.1.clone(), (k.2.clone(), k.3)))
        };
        let even = |k: &(Vec<u8>, Vec<u8>, String, i16)| {
            ((k.3, k.0.clone()), (k.2.clone(), k.1.clone()))
        };
        check_promises(&left(&a), &left(&b));
        check_promises(&right(&a), &right(&b));
        check_promises(&even(&a), &even(&b));
    }

    #[test]
    fn tuples_keep_their_order(
        a in (hostile_bytes(), hostile_text(), any::<i16>(), hostile_bytes()),
        b in (hostile_bytes(), hostile_text(), any::<i16>(), hostile_bytes()),
        shared in 0usize..4,
    ) {
        let mut b = b;
        if shared > 0 { b.0.clone_from(&a.0); }
        if shared > 1 { b.1.clone_from(&a.1); }
        if shared > 2 { b.2 = a.2; }
        check_promises(&a, &b);
        check_promises(&(a.2, a.3.clone(), a.1.clone()), &(b.2, b.3.clone(), b.1.clone()));
        check_promises(&((a.2, a.1), (a.0, a.2, a.3)), &((b.2, b.1), (b.0, b.2, b.3)));
    }

    #[test]
    fn options_come_after_none(
        a in proptest::option::of(hostile_text()), b in proptest::option::of(hostile_text()),
        m in proptest::option::of(any::<i8>()), n in proptest::option::of(any::<i8>()),
    ) {
        check_promises(&a, &b);
        check_promises(&m, &n);
        check_promises(&(m, a.clone()), &(n, b.clone()));
        check_promises(&(a.clone(), m), &(b.clone(), n));
        check_promises(&Some((m, a)), &Some((n, b)));
    }

    #[test]
    fn reversed_keys_descend_in_any_position(
        a in hostile_bytes(), b in hostile_bytes(), m in any::<i16>(), n in any::<i16>(),
        s in proptest::option::of(hostile_text()), t in proptest::option::of(hostile_text()),
        same_first in any::<bool>(),
    ) {
        let mut b = b;
        if same_first { b.clone_from(&a); }
        let (x, y) = (Reverse(a), Reverse(b));
        check_promises(&Reverse(m), &Reverse(n));
        check_promises(&x, &y);
        check_promises(&Reverse(x.clone()), &Reverse(y.clone()));
        check_promises(&Reverse(s.clone()), &Reverse(t.clone()));
        check_promises(&s.clone().map(Reverse), &t.clone().map(Reverse));
        check_promises(&(x.clone(), m), &(y.clone(), n));
        check_promises(&(m, x.clone()), &(n, y.clone()));
        check_promises(&(x.clone(), s.clone()), &(y.clone(), t.clone()));
        check_promises(
            &Reverse((x.clone(), s.clone(), Reverse(m))),
            &Reverse((y.clone(), t.clone(), Reverse(n))),
        );
        check_promises(&(Reverse((m, x)), s), &(Reverse((n, y)), t));
    }

    #[test]
    fn damaged_keys_are_refused_or_are_other_keys(
        a in hostile_bytes(), s in proptest::option::of(hostile_text()), c in any::<char>(),
        n in any::<i16>(), flag in any::<bool>(), float in hostile_float(), at in any::<usize>(),
        byte in prop_oneof![Just(0x00), Just(0x01), Just(0xff), Just(0xd8), any::<u8>()],
    ) {
        check_decoding_of_damaged(&a, at, byte);
        check_decoding_of_damaged(&s, at, byte);
        check_decoding_of_damaged(&(c, flag), at, byte);
        check_decoding_of_damaged(&[c, c], at, byte);
        check_decoding_of_damaged(&(float.0, s.clone(), n), at, byte);
        check_decoding_of_damaged(&(s.clone(), a.clone(), flag, c), at, byte);
        check_decoding_of_damaged(&Reverse(s.clone()), at, byte);
        check_decoding_of_damaged(&(Reverse(a), Reverse((n, s)), flag), at, byte);
    }

    #[test]
    fn no_bytes_make_decoding_panic(bytes in vec(prop_oneof![Just(0), Just(0xff), any::<u8>()], 0..24)) {
        check_decoding::<u8>(&bytes);
        check_decoding::<u16>(&bytes);
        check_decoding::<u32>(&bytes);
        check_decoding::<u64>(&bytes);
        check_decoding::<i8>(&bytes);
        check_decoding::<i16>(&bytes);
        check_decoding::<i32>(&bytes);
        check_decoding::<i64>(&bytes);
        check_decoding::<String>(&bytes);
        check_decoding::<Vec<u8>>(&bytes);
        check_decoding::<[u8; 0]>(&bytes);
        check_decoding::<[u8; 7]>(&bytes);
        check_decoding::<(String, String)>(&bytes);
        check_decoding::<((Vec<u8>, u16), (String, i8))>(&bytes);
        check_decoding::<u128>(&bytes);
        check_decoding::<i128>(&bytes);
        check_decoding::<f32>(&bytes);
        check_decoding::<f64>(&bytes);
        check_decoding::<bool>(&bytes);
        check_decoding::<char>(&bytes);
        check_decoding::<[u16; 3]>(&bytes);
        check_decoding::<[bool; 2]>(&bytes);
        check_decoding::<(bool, Vec<u8>, u8)>(&bytes);
        check_decoding::<(u8, Vec<u8>, bool, Vec<u8>)>(&bytes);
        check_decoding::<Option<Option<u8>>>(&bytes);
        check_decoding::<Option<Vec<u8>>>(&bytes);
        check_decoding::<Reverse<Vec<u8>>>(&bytes);
        check_decoding::<Reverse<(Option<bool>, Reverse<Vec<u8>>)>>(&bytes);
    }

    #[test]
    fn a_prefix_covers_just_the_keys_that_start_with_it(
        a in (hostile_bytes(), hostile_bytes()), b in (hostile_bytes(), hostile_bytes()),
        same_first in any::<bool>(),
    ) {
        let mut b = b;
        if same_first { b.0.clone_from(&a.0); }
        let mut first = KeyBuf::new();
        KeyPrefix::<(Vec<u8>, Vec<u8>)>::encode_prefix(&(&a.0,), &mut first);
        let key = encoded::<(Vec<u8>, Vec<u8>)>(&b);
        prop_assert_eq!(key.starts_with(first.as_slice()), a.0 == b.0);
        let mut both = KeyBuf::new();
        KeyPrefix::<(Vec<u8>, Vec<u8>)>::encode_prefix(&(&a.0, &a.1), &mut both);
        prop_assert_eq!(
            key.starts_with(both.as_slice()),
            a.0 == b.0 && b.1.starts_with(&a.1)
        );
    }

    #[test]
    fn a_prefix_of_a_tuple_covers_just_the_keys_that_begin_with_its_components(
        a in (hostile_bytes(), any::<u8>(), hostile_bytes(), hostile_bytes()),
        b in (hostile_bytes(), any::<u8>(), hostile_bytes(), hostile_bytes()),
        shared in 0usize..4,
    ) {
        type Four = (Vec<u8>, u8, Vec<u8>, Vec<u8>);
        let mut b = b;
        if shared > 0 { b.0.clone_from(&a.0); }
        if shared > 1 { b.1 = a.1; }
        if shared > 2 { b.2.clone_from(&a.2); }
        let key = encoded::<Four>(&b);
        let covers = |prefix: &dyn Fn(&mut KeyBuf)| {
            let mut buf = KeyBuf::new();
            prefix(&mut buf);
            key.starts_with(buf.as_slice())
        };
        let one = (&a.0,);
        prop_assert_eq!(covers(&|out| KeyPrefix::<Four>::encode_prefix(&one, out)), a.0 == b.0);
        let two = (&a.0, a.1);
        let is_two = a.0 == b.0 && a.1 == b.1;
        prop_assert_eq!(covers(&|out| KeyPrefix::<Four>::encode_prefix(&two, out)), is_two);
        let three = (&a.0, a.1, &a.2);
        let is_three = is_two && a.2 == b.2;
        prop_assert_eq!(covers(&|out| KeyPrefix::<Four>::encode_prefix(&three, out)), is_three);
        let four = (&a.0, a.1, &a.2, &a.3);
        let is_four = is_three && b.3.starts_with(&a.3);
        prop_assert_eq!(covers(&|out| KeyPrefix::<Four>::encode_prefix(&four, out)), is_four);
    }
}

#[test]
fn borrowed_forms_give_the_bytes_of_the_owned_key() {
    assert_eq!(encoded::<String>("a\0"), b"a\0");
    assert_eq!(encoded::<String>(&&"a\0"), encoded::<String>(&String::from("a\0")));
    assert_eq!(encoded::<Vec<u8>>(b"a\0"), b"a\0");
    assert_eq!(encoded::<Vec<u8>>(&[1u8, 2][..]), [1, 2]);
    assert_eq!(encoded::<(String, u16)>(&("a\0", 2)), b"a\0\xff\0\0\0\x02");
    let nested = (("a", b"b"), &&"c");
    let owned = ((String::from("a"), b"b".to_vec()), String::from("c"));
    assert_eq!(
        encoded::<((String, Vec<u8>), String)>(&nested),
        encoded::<((String, Vec<u8>), String)>(&owned)
    );
    assert_eq!(encoded::<(String, u8, Vec<u8>)>(&("a", 1, b"x")), b"a\0\0\x01x");
    assert_eq!(encoded::<(u8, String, i8, String)>(&(1, "a", 0, "b")), b"\x01a\0\0\x80b");
    assert_eq!(encoded::<Option<String>>(&Some("a")), b"\x01a");
    assert_eq!(encoded::<Option<String>>(&None::<&str>), b"\0");
    assert_eq!(encoded::<Reverse<Vec<u8>>>(&Reverse(b"\x0f\0")), b"\xf0\xff\0\xff\xff");
}

/// The bytes are in files: none of them may ever change.
#[test]
fn encodings_are_those_that_files_carry() {
    assert_eq!(encoded::<u128>(&1), [[0; 15].as_slice(), &[1]].concat());
    assert_eq!(encoded::<i128>(&-1), [[0x7f].as_slice(), &[0xff; 15]].concat());
    assert_eq!(encoded::<f32>(&1.0), [0xbf, 0x80, 0, 0]);
    assert_eq!(encoded::<f32>(&-1.0), [0x40, 0x7f, 0xff, 0xff]);
    assert_eq!(encoded::<f64>(&0.0), [0x80, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(encoded::<f64>(&-0.0), [0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]);
    assert_eq!(encoded::<bool>(&true), [1]);
    assert_eq!(encoded::<char>(&'é'), [0, 0, 0, 0xe9]);
    assert_eq!(encoded::<[u16; 2]>(&[1, 0x203]), [0, 1, 2, 3]);
}

#[test]
fn malformed_keys_are_refused_with_the_rule_they_break() {
    assert_eq!(u32::decode(b"abc"), Err(KeyError::new("a u32 key has 4 bytes")));
    assert_eq!(u32::decode(b"abcde"), Err(KeyError::new("a u32 key has 4 bytes")));
    assert_eq!(String::decode(b"\xff"), Err(KeyError::new("a String key is UTF-8")));
    for bytes in [b"".as_slice(), b"a", b"a\0", b"a\0\x01", b"\xff\0\0"] {
        assert!(<(String, String)>::decode(bytes).is_err(), "{bytes:?}");
    }
    assert_eq!(bool::decode(&[2]), Err(KeyError::new("a bool key is 0 or 1")));
    for number in [0xd800_u32, 0xdfff, 0x11_0000, u32::MAX] {
        let refused = KeyError::new("a char key is a Unicode scalar value");
        assert_eq!(char::decode(&encoded::<u32>(&number)), Err(refused));
    }
    let refused = KeyError::new("a key that is None has 1 byte");
    assert_eq!(Option::<String>::decode(b"\0a"), Err(refused));
    for bytes in [b"".as_slice(), b"\x02", b"\xff"] {
        let refused = KeyError::new("an Option key starts with 0 or 1");
        assert_eq!(Option::<String>::decode(bytes), Err(refused), "{bytes:?}");
    }
    let refused = KeyError::new("nothing follows a Reverse key in last position");
    assert_eq!(Reverse::<u8>::decode(&[1, 2]), Err(refused));
    for bytes in [b"".as_slice(), b"a", b"a\xff", b"a\xff\xfe", b"a\xff\xffb"] {
        assert!(Reverse::<Vec<u8>>::decode(bytes).is_err(), "{bytes:?}");
    }
    for bytes in [b"".as_slice(), b"\0", b"\0\x01\0", b"\0\x01\0\x02\0"] {
        assert!(<[u16; 2]>::decode(bytes).is_err(), "{bytes:?}");
    }
    let corruption = Corruption::from(KeyError::new("a String key is UTF-8"));
    assert_eq!(corruption.to_string(), "corrupted key at byte 0: a String key is UTF-8");
}

/// Files carry these names: none of them may ever change.
#[test]
fn codec_names_are_those_that_files_carry() {
    fn check<K: Key>(name: &str) {
        assert_eq!(CodecName::of::<K>().to_string(), name);
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
    check::<String>("str");
    check::<Vec<u8>>("bytes");
    check::<[u8; 16]>("[u8; 16]");
    check::<(String, u64)>("(str, u64)");
    check::<((Vec<u8>, i8), [u8; 0])>("((bytes, i8), [u8; 0])");
    check::<(u8, i16, f32)>("(u8, i16, f32)");
    check::<(u8, bool, char, String)>("(u8, bool, char, str)");
    check::<[u16; 3]>("[u16; 3]");
    check::<[f64; 2]>("[f64; 2]");
    check::<Option<String>>("option<str>");
    check::<Reverse<(String, Option<u64>)>>("reverse<(str, option<u64>)>");
}
