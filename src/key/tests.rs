use super::*;
use proptest::collection::vec;
use proptest::prelude::*;
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
}

#[test]
fn malformed_keys_are_refused_with_the_rule_they_break() {
    assert_eq!(u32::decode(b"abc"), Err(KeyError::new("a u32 key has 4 bytes")));
    assert_eq!(u32::decode(b"abcde"), Err(KeyError::new("a u32 key has 4 bytes")));
    assert_eq!(String::decode(b"\xff"), Err(KeyError::new("a String key is UTF-8")));
    for bytes in [b"".as_slice(), b"a", b"a\0", b"a\0\x01", b"\xff\0\0"] {
        assert!(<(String, String)>::decode(bytes).is_err(), "{bytes:?}");
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
    check::<i8>("i8");
    check::<i16>("i16");
    check::<i32>("i32");
    check::<i64>("i64");
    check::<String>("str");
    check::<Vec<u8>>("bytes");
    check::<[u8; 16]>("[u8; 16]");
    check::<(String, u64)>("(str, u64)");
    check::<((Vec<u8>, i8), [u8; 0])>("((bytes, i8), [u8; 0])");
}
