//! The shape of the public interface: each call here is one that must compile and work, with the
//! types inferred as written.
#![allow(
    clippy::manual_next_back,
    clippy::manual_string_new,
    clippy::needless_borrows_for_generic_args,
    clippy::redundant_closure_for_method_calls,
    clippy::type_complexity,
    reason = "what users write must compile, whether or not it could be shorter"
)]

use memkv::automaton::{Automaton, Str, Subsequence};
use memkv::{
    CodecName, Compaction, Error, Iter, Key, KeyBuf, KeyError, KeyForm, KeyPosition, KeyRange,
    Keys, MAX_KEY_LEN, MemKV, MemoryUsage, Options, Pod, Residence, SortFault, Stats, Value,
    ValueForm, Values, VerifyProgress,
};
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::marker::PhantomData;
use std::ops::Bound;
use std::path::Path;

type Text = MemKV<String, u64>;

fn fruit() -> Text {
    MemKV::from_iter([("app", 1), ("apple", 2), ("apt", 3), ("b", 4)])
}

fn keys<V: Value>(entries: impl Iterator<Item = (String, V)>) -> Vec<String> {
    entries.map(|(key, _)| key).collect()
}

#[test]
fn text_keys_take_borrowed_and_owned_forms() {
    let kv: MemKV<String, u64> = MemKV::new();
    assert_eq!(kv.insert("apple", 3), None);
    assert_eq!(kv.insert(String::from("pear"), 4), None);
    assert_eq!(kv.insert(&String::from("plum"), &5), None);
    assert_eq!(kv.get("apple"), Some(3));
    assert_eq!(kv.get(&"apple"), Some(3));
    assert_eq!(kv.get(&&String::from("apple")), Some(3));
    let boxed: Box<str> = "apple".into();
    assert_eq!(kv.get(&*boxed), Some(3));
    let old: Option<u64> = kv.remove("pear");
    assert_eq!(old, Some(4));
    kv.put("apple", 7);
    kv.delete("plum");
    kv.delete("plum");
    assert_eq!(kv.iter().collect::<Vec<_>>(), [(String::from("apple"), 7)]);
    assert!(kv.contains_key("apple") && !kv.contains_key("plum"));
}

#[test]
fn integer_literals_infer_the_type_of_the_key_and_value() {
    let ids: MemKV<u64, [u8; 16]> = MemKV::new();
    ids.insert(42, *b"0123456789abcdef");
    assert_eq!(ids.get(42).as_ref(), Some(b"0123456789abcdef"));
    assert_eq!(ids.get(&42).as_ref(), Some(b"0123456789abcdef"));

    let ints: MemKV<i32, i128> = MemKV::new();
    for n in -3..=5 {
        ints.insert(n, i128::from(n) * 10);
    }
    ints.insert(-4, -40);
    assert_eq!(ints.get(-4), Some(-40));
    let values = |entries: Iter<i32, i128>| entries.map(|(_, v)| v).collect::<Vec<_>>();
    assert_eq!(values(ints.range(1..5)), [10, 20, 30, 40]);
    assert_eq!(values(ints.range(-4..-2)), [-40, -30]);
    assert_eq!(values(ints.range(4..=5)), [40, 50]);
    assert_eq!(values(ints.range(5..)), [50]);
    assert_eq!(values(ints.range(..-3)), [-40]);
    assert_eq!(values(ints.range(..=-3)), [-40, -30]);
    assert_eq!(ints.range(..).count(), 10);
}

#[test]
fn every_integer_type_is_a_key_and_a_value() {
    macro_rules! check {
        ($($key:ty, $value:ty;)+) => {$(
            let kv: MemKV<$key, $value> = MemKV::new();
            kv.extend([(<$key>::MAX, <$value>::MIN), (<$key>::MIN, <$value>::MAX), (1, 1)]);
            let model = BTreeMap::from([
                (<$key>::MAX, <$value>::MIN), (<$key>::MIN, <$value>::MAX), (1, 1),
            ]);
            assert!(kv.iter().eq(model.clone()));
            assert!(kv.iter().rev().eq(model.into_iter().rev()));
        )+};
    }
    check! {
        u8, u128; u16, u64; u32, u32; u64, u16;
        i8, i128; i16, i64; i32, i32; i64, i16;
        u8, u8; u8, i8; u128, u8; i128, u16;
    }
}

#[test]
fn floats_are_keys_in_their_total_order_and_values() {
    let kv: MemKV<f64, f32> = MemKV::new();
    kv.extend([(1.5, 1.0), (-0.0, 2.0), (0.0, 3.0), (f64::NAN, 4.0), (-2.0, 5.0)]);
    kv.insert(f64::NEG_INFINITY, f32::INFINITY);
    kv.insert(-f64::NAN, -0.0);
    kv.compact().unwrap();
    assert_eq!(kv.get(0.0), Some(3.0));
    assert_eq!(kv.get(-0.0), Some(2.0));
    assert_eq!(kv.get(f64::NAN), Some(4.0));
    assert_eq!(kv.values().collect::<Vec<_>>(), [-0.0, f32::INFINITY, 5.0, 2.0, 3.0, 1.0, 4.0]);
    assert_eq!(kv.range(0.0..).count(), 3);
    assert_eq!(kv.range(-2.0..=0.0).count(), 3);
    assert!(kv.last_key_value().is_some_and(|(key, _)| key.is_nan()));
    let single: MemKV<f32, f64> = [(2.5, 1e300), (-1.0, f64::MIN_POSITIVE)].into_iter().collect();
    assert_eq!(single.first_key_value(), Some((-1.0, f64::MIN_POSITIVE)));
}

#[test]
fn bools_and_chars_are_keys_and_values() {
    let kv: MemKV<char, bool> = [('b', true), ('a', false), ('é', true)].into_iter().collect();
    assert_eq!(kv.get('b'), Some(true));
    assert_eq!(kv.range('a'..'c').count(), 2);
    assert_eq!(kv.keys().collect::<String>(), "abé");
    assert_eq!(kv.get_with('a', |value: &bool| !value), Some(true));
    let kv: MemKV<bool, char> = [(true, 't'), (false, 'f')].into_iter().collect();
    assert_eq!(kv.values().collect::<String>(), "ft");
}

#[test]
fn triples_and_quadruples_take_forms_and_prefixes() {
    let triples: MemKV<(String, u64, Vec<u8>), i32> = MemKV::new();
    triples.insert(("a", 1, b"x"), 1);
    triples.insert((String::from("a"), 2, vec![b'x']), 2);
    triples.insert(&("b", 1, &b"xy"[..]), 3);
    assert_eq!(triples.get(("a", 1, b"x")), Some(1));
    assert_eq!(triples.prefix(("a",)).count(), 2);
    assert_eq!(triples.prefix(("a", 2)).count(), 1);
    assert_eq!(triples.prefix(("b", 1, b"x")).count(), 1);
    assert_eq!(triples.range(("a", 1, b"z")..).count(), 2);
    assert_eq!(triples.range(("a", 1, b"x")..=("a", 2, b"x")).count(), 2);
    let owned = (String::from("b"), 1, b"xy".to_vec());
    assert_eq!(triples.last_key_value(), Some((owned, 3)));

    let four: MemKV<(u16, String, (i8, char), String), ()> = MemKV::new();
    four.insert((1, "a", (-1, 'c'), "tail"), ());
    four.insert((1, "a", (0, 'c'), "tail"), ());
    four.insert((1, "ab", (-1, 'c'), "tail"), ());
    assert!(four.contains_key((1, "ab", (-1, 'c'), "tail")));
    assert_eq!(four.prefix((1,)).count(), 3);
    assert_eq!(four.prefix((1, "a")).count(), 2);
    assert_eq!(four.prefix((1, "a", (-1, 'c'))).count(), 1);
    assert_eq!(four.prefix((1, "a", (-1, 'c'), "ta")).count(), 1);
    assert_eq!(four.prefix((1, "a", (-1, 'c'), "to")).count(), 0);
}

#[test]
fn reversed_keys_come_in_descending_order() {
    let newest_first: MemKV<(String, Reverse<u64>), u64> = MemKV::new();
    newest_first.extend([
        (("a", Reverse(1)), 10),
        (("a", Reverse(3)), 30),
        (("b", Reverse(2)), 20),
    ]);
    assert_eq!(newest_first.values().collect::<Vec<_>>(), [30, 10, 20]);
    assert_eq!(newest_first.prefix(("a",)).count(), 2);
    assert_eq!(newest_first.range(("a", Reverse(2))..).count(), 2);

    let text: MemKV<Reverse<String>, ()> = MemKV::new();
    for word in ["app", "apple", "b", "", "app\0"] {
        text.insert(Reverse(word), ());
    }
    text.insert(Reverse(String::from("c")), ());
    assert!(text.contains_key(Reverse("apple")));
    let words: Vec<String> = text.keys().map(|Reverse(word)| word).collect();
    assert_eq!(words, ["c", "b", "apple", "app\0", "app", ""]);
    assert_eq!(text.range(Reverse("b")..Reverse("app")).count(), 3);
}

#[test]
fn optional_keys_come_after_none() {
    let kv: MemKV<(Option<String>, u8), u64> = MemKV::new();
    kv.insert((Some("a"), 1), 1);
    kv.insert((None::<&str>, 2), 2);
    kv.insert((Some(""), 3), 3);
    assert_eq!(kv.get((Some("a"), 1)), Some(1));
    assert_eq!(kv.get((None::<String>, 2)), Some(2));
    assert_eq!(kv.values().collect::<Vec<_>>(), [2, 3, 1]);
    assert_eq!(kv.prefix((Some("a"),)).count(), 1);
    let kv: MemKV<Option<i32>, ()> = [(Some(-1), ()), (None, ())].into_iter().collect();
    assert_eq!(kv.keys().collect::<Vec<_>>(), [None, Some(-1)]);
    assert_eq!(kv.range(Some(i32::MIN)..).count(), 1);
}

#[test]
fn byte_keys_and_values_take_literals_and_lend_without_copying() {
    let raw: MemKV<Vec<u8>, Vec<u8>> = MemKV::new();
    raw.insert(b"k", b"v");
    raw.insert(vec![1, 2], vec![3]);
    raw.insert(&[9_u8][..], &b"slice"[..]);
    raw.insert([7, 8], [9]);
    let length = raw.get_with(b"k", |v: &[u8]| v.len());
    assert_eq!(length, Some(1));
    assert_eq!(raw.get_with([9], |v| v.len()), Some(5));
    assert_eq!(raw.get(b"k").as_deref(), Some(&b"v"[..]));
    assert_eq!(raw.prefix(b"\x01").count(), 1);
    assert_eq!(raw.prefix([7]).count(), 1);
    assert_eq!(raw.prefix(vec![7]).count(), 1);
    assert_eq!(raw.range(&b"a"[..]..).count(), 1);
    assert_eq!(raw.range(*b"a"..*b"z").count(), 1);
    assert_eq!(raw.range(vec![0]..=vec![9]).count(), 3);
}

#[test]
fn get_with_lends_each_kind_of_value_and_may_use_the_map() {
    let text: MemKV<u8, String> = MemKV::new();
    text.insert(1, "one");
    let seen = text.get_with(1, |value: &str| {
        text.insert(1, "uno");
        text.compact().unwrap();
        value.to_owned()
    });
    assert_eq!(seen.as_deref(), Some("one"));
    assert_eq!(text.get(1).as_deref(), Some("uno"));
    assert_eq!(text.get_with(2, str::len), None);

    let numbers: MemKV<u8, u32> = MemKV::new();
    numbers.insert(1, 5);
    assert_eq!(numbers.get_with(1, |n: &u32| numbers.insert(1, n + 1)), Some(Some(5)));
    assert_eq!(numbers.get(1), Some(6));

    let plain: MemKV<u8, Pod<[f64; 2]>> = MemKV::new();
    plain.insert(1, Pod([0.5, 1.5]));
    assert_eq!(plain.get_with(1, |xy: &[f64; 2]| xy[0] + xy[1]), Some(2.0));
    assert_eq!(plain.get(1), Some(Pod([0.5, 1.5])));
}

#[test]
fn pairs_take_pairs_of_forms_and_order_by_component() {
    let pairs: MemKV<(String, String), u64> = MemKV::new();
    assert_eq!(pairs.get(("a", "b")), None);
    pairs.insert(("a", "b"), 1);
    pairs.insert((String::from("a"), "c"), 2);
    pairs.insert(("a\0", String::from("")), 3);
    pairs.insert(&("b", "a"), 4);
    assert_eq!(pairs.get(("a", "b")), Some(1));
    assert_eq!(pairs.values().collect::<Vec<_>>(), [1, 2, 3, 4]);
    assert_eq!(pairs.range(("a", "c")..("b", "a")).count(), 2);
    assert_eq!(pairs.prefix(("a",)).count(), 2);
    assert_eq!(pairs.prefix(("a", "c")).count(), 1);

    let nested: MemKV<((u16, String), (Vec<u8>, i8)), ()> = MemKV::new();
    nested.put(((1, "x"), (b"y", -1)), ());
    assert!(nested.contains_key(((1, "x"), (b"y", -1))));
    assert_eq!(nested.prefix(((1, "x"),)).count(), 1);
    assert_eq!(nested.prefix(((1, "x"), (b"y",))).count(), 1);
    assert_eq!(nested.first_key_value(), Some((((1, "x".into()), (b"y".to_vec(), -1)), ())));
}

#[test]
fn a_map_to_unit_is_a_set() {
    let set: MemKV<u64, ()> = MemKV::new();
    assert_eq!(set.insert(1, ()), None);
    assert_eq!(set.insert(1, ()), Some(()));
    assert_eq!(set.get(1), Some(()));
    assert_eq!(set.len(), 1);
}

#[test]
fn arrays_are_keys() {
    let kv: MemKV<[u8; 3], u8> = MemKV::new();
    kv.insert(*b"abc", 1);
    kv.insert(b"abd", 2);
    assert_eq!(kv.get(b"abc"), Some(1));
    assert_eq!(kv.prefix(b"ab").count(), 2);
    assert_eq!(kv.prefix(&b"abd"[..]).count(), 1);

    let points: MemKV<[i32; 2], u8> = MemKV::new();
    points.extend([([1, -1], 1), ([-1, 5], 2), ([1, -2], 3)]);
    assert_eq!(points.get([1, -1]), Some(1));
    assert_eq!(points.values().collect::<Vec<_>>(), [2, 3, 1]);
    assert_eq!(points.range([0, 0]..).next(), Some(([1, -2], 3)));
    let floats: MemKV<[f64; 2], ()> = [([0.5, f64::NAN], ())].into_iter().collect();
    assert!(floats.contains_key([0.5, f64::NAN]));
}

#[test]
fn ranges_of_text_take_every_kind_of_bound() {
    let kv = fruit();
    for (key, value) in kv.range("a".."b").rev() {
        assert_eq!(kv.get(key), Some(value));
    }
    assert_eq!(keys(kv.range("a".."b").rev()), ["apt", "apple", "app"]);
    let (a, b) = (String::from("apple"), String::from("b"));
    assert_eq!(keys(kv.range(&a..&b)), ["apple", "apt"]);
    assert_eq!(keys(kv.range(&a..=&b)), ["apple", "apt", "b"]);
    assert_eq!(keys(kv.range(a.clone()..)), ["apple", "apt", "b"]);
    assert_eq!(kv.range(..).count(), 4);
    assert_eq!(keys(kv.range((Bound::Excluded("apple"), Bound::Unbounded))), ["apt", "b"]);
    assert_eq!(keys(kv.range((Bound::Unbounded, Bound::Included(&a)))), ["app", "apple"]);
    assert_eq!(keys(kv.range((Bound::Included("apt"), Bound::Excluded("b")))), ["apt"]);
    for (key, _) in kv.prefix("app") {
        assert!(key.starts_with("app"));
    }
    assert_eq!(keys(kv.prefix("app")), ["app", "apple"]);
    assert_eq!(keys(kv.prefix(String::from("apt")).rev()), ["apt"]);
    assert_eq!(kv.prefix("").count(), 4);
}

#[test]
fn empty_and_inverted_ranges_yield_nothing_from_either_end() {
    let kv = fruit();
    for range in [
        (Bound::Included("b"), Bound::Included("a")),
        (Bound::Excluded("app"), Bound::Excluded("app")),
        (Bound::Included("app"), Bound::Excluded("app")),
        (Bound::Excluded("app"), Bound::Included("app")),
        (Bound::Excluded("app"), Bound::Excluded("app\0")),
        (Bound::Unbounded, Bound::Excluded("")),
        (Bound::Excluded("b"), Bound::Unbounded),
    ] {
        assert_eq!(kv.range(range).next(), None, "{range:?}");
        assert_eq!(kv.range(range).next_back(), None, "{range:?}");
    }
    #[allow(clippy::reversed_empty_ranges, reason = "that is what is tested")]
    let inverted = MemKV::<u64, u64>::from_iter([(1, 1)]).range(5..1).count();
    assert_eq!(inverted, 0);
}

/// Every range over a few keys, taken apart from both ends in every order.
#[test]
fn ends_meet_in_the_middle_as_those_of_a_btree_map() {
    let model: BTreeMap<u8, u8> = [2, 4, 6, 8].map(|n| (n, n)).into();
    let kv: MemKV<u8, u8> = model.clone().into_iter().collect();
    let bounds =
        (0..=9).flat_map(|n| [Bound::Included(n), Bound::Excluded(n)]).chain([Bound::Unbounded]);
    for lower in bounds.clone() {
        for upper in bounds.clone() {
            for order in 0_u32..64 {
                let range = (lower, upper);
                let mut ours = kv.range(range);
                let within =
                    model.iter().filter(|(key, _)| std::ops::RangeBounds::contains(&range, *key));
                let mut theirs = within.map(|(&k, &v)| (k, v));
                for step in 0..6 {
                    if order >> step & 1 == 0 {
                        assert_eq!(ours.next(), theirs.next(), "{range:?} {order:b} {step}");
                    } else {
                        assert_eq!(ours.next_back(), theirs.next_back(), "{range:?} {order:b}");
                    }
                }
                assert_eq!((ours.next(), ours.next_back()), (None, None));
            }
        }
    }
}

#[test]
fn searches_take_automata_by_value_or_reference_over_any_walk() {
    let kv = fruit();
    let letters = Subsequence::new("ae");
    assert_eq!(keys(kv.iter().search(&letters)), ["apple"]);
    assert_eq!(keys(kv.prefix("ap").search(letters.complement())), ["app", "apt"]);
    let either = Str::new("b").union(Str::new("app"));
    assert_eq!(keys(kv.range("app"..="apple").search(&either)), ["app"]);
    let found: Result<Vec<(String, u64)>, Error> = kv.iter().search(either).fallible().collect();
    assert_eq!(keys(found.expect("a sound map").into_iter()), ["app", "b"]);
}

#[test]
fn an_iterator_sees_the_map_as_it_was() {
    let kv = fruit();
    let mut before = kv.iter();
    assert_eq!(before.next(), Some(("app".into(), 1)));
    kv.insert("aaa", 0);
    kv.insert("apple", 20);
    kv.remove("apt");
    kv.compact().unwrap();
    kv.insert("c", 5);
    assert_eq!(before.next_back(), Some(("b".into(), 4)));
    let rest: Vec<_> = before.collect();
    assert_eq!(rest, [("apple".into(), 2), ("apt".into(), 3)]);
    assert_eq!(keys(kv.iter()), ["aaa", "app", "apple", "b", "c"]);
    assert_eq!(kv.iter().last(), Some(("c".into(), 5)));
}

#[test]
fn ends_keys_and_values_of_a_map() {
    let kv = fruit();
    assert_eq!(kv.first_key_value(), Some(("app".into(), 1)));
    assert_eq!(kv.last_key_value(), Some(("b".into(), 4)));
    assert_eq!(kv.keys().rev().next().as_deref(), Some("b"));
    assert_eq!(kv.values().rev().collect::<Vec<_>>(), [4, 3, 2, 1]);
    assert_eq!(format!("{:?}", fruit()), r#"{"app": 1, "apple": 2, "apt": 3, "b": 4}"#);
    kv.clear();
    assert_eq!((kv.first_key_value(), kv.last_key_value()), (None, None));
    assert_eq!((kv.len(), kv.is_empty()), (0, true));
}

#[test]
fn maps_are_collected_extended_and_built_from_sorted_entries() {
    let mut kv: MemKV<String, u64> = [("a", 1), ("b", 2)].into_iter().collect();
    kv.extend([("c", 3)]);
    kv.extend([(String::from("d"), 4)]);
    let mut handle = &kv;
    Extend::extend(&mut handle, [("e", 5)]);
    Extend::extend(&mut kv, BTreeMap::from([("f", 6)]));
    assert_eq!(kv.len(), 6);

    let sorted: MemKV<String, u64> = MemKV::from_sorted([("a", 1), ("b", 2)]).unwrap();
    assert_eq!(sorted.get("b"), Some(2));
    assert_eq!(sorted.extend_sorted(&BTreeMap::from([("b", 3), ("c", 4)])).unwrap(), 2);
    assert_eq!(sorted.values().collect::<Vec<_>>(), [1, 3, 4]);

    let fault = |index, order| Error::OutOfOrder { index, order };
    assert_eq!(
        sorted.extend_sorted([("x", 1), ("y", 2), ("y", 3)]),
        Err(fault(2, SortFault::Duplicate))
    );
    assert_eq!(sorted.extend_sorted([("x", 1), ("w", 2)]), Err(fault(1, SortFault::Descending)));
    let long = "x".repeat(MAX_KEY_LEN + 1);
    assert_eq!(
        sorted.extend_sorted([("x", 1), (&long, 2)]),
        Err(Error::KeyTooLong { len: MAX_KEY_LEN + 1 })
    );
    assert_eq!(sorted.values().collect::<Vec<_>>(), [1, 3, 4]);
    assert_eq!(
        MemKV::<u64, u64>::from_sorted([(1, 1), (1, 1)]).unwrap_err(),
        fault(1, SortFault::Duplicate)
    );
    let options = Options { compaction: Compaction::Manual, ..Options::default() };
    let empty = Text::from_sorted_with_options([("", 0); 0], options).unwrap();
    assert!(empty.is_empty());
}

#[test]
fn iterators_that_feed_a_map_may_use_it() {
    let kv = fruit();
    kv.extend(kv.iter().map(|(key, value)| {
        kv.insert("while extending", value);
        (key + "!", value)
    }));
    assert_eq!(kv.len(), 9);
    let entries = ["x", "y"].into_iter().map(|key| {
        assert_eq!(kv.get("app"), Some(1));
        kv.put("while sorting", 1);
        (key, kv.iter().count() as u64)
    });
    assert_eq!(kv.extend_sorted(entries), Ok(2));
    assert_eq!((kv.get("x"), kv.get("while sorting")), (Some(10), Some(1)));
}

#[test]
fn keys_over_the_limit_are_refused_or_absent() {
    let kv: MemKV<Vec<u8>, u64> = MemKV::new();
    let longest = vec![b'k'; MAX_KEY_LEN];
    let too_long = vec![b'k'; MAX_KEY_LEN + 1];
    let huge = vec![b'k'; 1 << 20];
    kv.insert(&longest, 1);
    let refused = Error::KeyTooLong { len: MAX_KEY_LEN + 1 };
    assert_eq!(kv.try_insert(&too_long, 2), Err(refused.clone()));
    assert_eq!(kv.try_put(&too_long, 2), Err(refused));
    assert_eq!(kv.try_insert(&huge, 2), Err(Error::KeyTooLong { len: 1 << 20 }));
    for absent in [&too_long, &huge] {
        assert_eq!(kv.get(absent), None);
        assert_eq!(kv.try_get(absent), Ok(None));
        assert_eq!(kv.get_with(absent, |_| ()), None);
        assert!(!kv.contains_key(absent));
        assert_eq!(kv.remove(absent), None);
        kv.delete(absent);
        assert_eq!(kv.range(absent..).count(), 0);
        assert_eq!(kv.range(..absent).count(), 1);
        assert_eq!(kv.range(..=absent).next_back(), Some((longest.clone(), 1)));
        assert_eq!(kv.prefix(absent).count(), 0);
    }
    assert_eq!(kv.prefix(&longest).count(), 1);
    let raw: MemKV<Vec<u8>, Vec<u8>> = MemKV::new();
    assert_eq!(raw.get_with(&huge, |_| ()), None);
    // An escaped NUL takes two bytes: it is the encoded length that counts.
    let pairs: MemKV<(Vec<u8>, Vec<u8>), u64> = MemKV::new();
    let nuls = vec![0; MAX_KEY_LEN / 2];
    assert_eq!(
        pairs.try_insert((&nuls, b""), 1),
        Err(Error::KeyTooLong { len: 2 * nuls.len() + 2 })
    );
    assert_eq!(pairs.try_insert((b"", &nuls), 1), Ok(None));
}

#[test]
#[should_panic(expected = "the key is 65536 bytes long")]
fn insert_of_a_key_over_the_limit_panics() {
    MemKV::<Vec<u8>, u64>::new().insert(vec![0; MAX_KEY_LEN + 1], 1);
}

#[test]
fn fallible_calls_give_plain_results() {
    let kv: Text = MemKV::default();
    assert_eq!(kv.try_insert("a", 1), Ok(None));
    assert_eq!(kv.try_put("b", 2), Ok(()));
    assert_eq!(kv.try_get("a"), Ok(Some(1)));
    assert_eq!(kv.try_remove("a"), Ok(Some(1)));
    assert_eq!(kv.try_delete("b"), Ok(()));
    let _: MemoryUsage = kv.memory_usage();
    let stats: Stats = kv.stats();
    assert_eq!(stats.entries, 0);
}

#[test]
fn maps_are_saved_and_opened_by_any_form_of_a_path() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("map");
    let text = path.to_str().expect("a path of text");
    let options = || Options { residence: Residence::Resident, ..Options::default() };
    assert_eq!(fruit().save_to(text), Ok(()));
    assert_eq!(fruit().save_to(&path), Ok(()));
    let kv = Text::open(text).expect("a store");
    assert_eq!(kv.save(), Ok(()));
    assert_eq!(kv.verify(), Ok(()));
    assert_eq!(kv.verify_with(|progress: VerifyProgress| _ = progress.done_bytes), Ok(()));
    let found: Option<&Path> = kv.path();
    assert!(found.is_some() && !kv.is_read_only());
    assert!(matches!(Text::open(&path), Err(Error::Locked { path: _ })));
    drop(kv);
    let opened: [Result<Text, Error>; 4] = [
        Text::open_with_options(path.clone(), options()),
        Text::open_read_only(&path),
        Text::open_read_only_with_options(text, options()),
        Text::open_or_create(folder.path().join("new")),
    ];
    assert!(opened.iter().all(Result::is_ok));
    drop(opened);
    assert!(Text::open_or_create_with_options(String::from(text), options()).is_ok());
}

#[test]
fn code_that_is_generic_over_keys_needs_only_the_key_bound() {
    fn generic<K: Key>(kv: &MemKV<K, u64>, k: &K) -> Option<u64> {
        kv.get(k)
    }
    fn between<K: Key, V: Value>(kv: &MemKV<K, V>, range: impl KeyRange<K>) -> usize {
        kv.range(range).count()
    }
    fn store<K: Key, V: Value>(kv: &MemKV<K, V>, k: &K, v: impl ValueForm<V>) {
        kv.put(k, v);
    }
    let kv = fruit();
    assert_eq!(generic(&kv, &String::from("apt")), Some(3));
    assert_eq!(between(&kv, "apt"..), 2);
    store(&kv, &String::from("z"), 9);
    assert_eq!(kv.get("z"), Some(9));
}

#[test]
fn clones_are_handles_to_one_map_that_threads_can_share() {
    let kv = fruit();
    let handle = kv.clone();
    std::thread::scope(|scope| {
        scope.spawn(|| kv.insert("scoped", 1));
        let mine = kv.clone();
        scope.spawn(move || mine.insert("moved", 2));
    });
    drop(kv);
    assert_eq!((handle.get("scoped"), handle.get("moved")), (Some(1), Some(2)));
    let walk = handle.iter();
    drop(handle);
    assert_eq!(std::thread::spawn(move || walk.count()).join().unwrap(), 6);
}

#[test]
fn maps_and_iterators_are_send_and_sync_whatever_the_key() {
    fn shared<T: Send + Sync + Unpin>() {}
    fn sent<T: Send>() {}
    fn of<K: Key, V: Value>() {
        shared::<MemKV<K, V>>();
        sent::<Iter<K, V>>();
        sent::<Keys<K, V>>();
        sent::<Values<K, V>>();
    }
    of::<String, Vec<u8>>();
    of::<Tagged<'static>, ()>();
    shared::<Error>();
    shared::<Options>();
}

/// A key that borrows something and is neither `Send` nor `Sync`.
#[derive(Debug, PartialEq, Eq)]
struct Tagged<'a>(u32, PhantomData<(&'a str, *const u8)>);

impl KeyForm<Self> for Tagged<'_> {
    fn encode(&self, position: KeyPosition, out: &mut KeyBuf) {
        self.0.encode(position, out);
    }
}

impl Key for Tagged<'_> {
    fn write_codec(out: &mut CodecName) {
        u32::write_codec(out);
    }
    fn decode(bytes: &[u8]) -> Result<Self, KeyError> {
        u32::decode(bytes).map(|n| Tagged(n, PhantomData))
    }
    fn decode_leading(bytes: &[u8]) -> Result<(Self, &[u8]), KeyError> {
        u32::decode_leading(bytes).map(|(n, rest)| (Tagged(n, PhantomData), rest))
    }
}

/// A key that can be written but not read back.
struct Opaque;

impl KeyForm<Opaque> for Opaque {
    fn encode(&self, _: KeyPosition, out: &mut KeyBuf) {
        out.push(0);
    }
}

impl Key for Opaque {
    fn write_codec(out: &mut CodecName) {
        out.push("opaque");
    }
    fn decode(_: &[u8]) -> Result<Self, KeyError> {
        Err(KeyError::new("nothing is readable"))
    }
    fn decode_leading(_: &[u8]) -> Result<(Self, &[u8]), KeyError> {
        Err(KeyError::new("nothing is readable"))
    }
}

#[test]
fn only_what_is_asked_for_is_decoded() {
    let kv: MemKV<Opaque, u64> = MemKV::new();
    kv.insert(Opaque, 1);
    assert_eq!(kv.get(Opaque), Some(1));
    assert_eq!(kv.values().collect::<Vec<_>>(), [1]);
    assert_eq!(kv.len(), 1);
}

#[test]
#[should_panic(expected = "corrupted key at byte 0: nothing is readable")]
fn walking_over_a_key_that_does_not_decode_panics_with_the_rule() {
    let kv: MemKV<Opaque, u64> = MemKV::new();
    kv.insert(Opaque, 1);
    kv.iter().next();
}

#[test]
fn keys_need_not_be_static() {
    fn local<'a>(_lifetime: &'a str) -> Option<(Tagged<'a>, u64)> {
        let kv: MemKV<Tagged<'a>, u64> = MemKV::new();
        kv.insert(Tagged(2, PhantomData), 20);
        kv.insert(Tagged(1, PhantomData), 10);
        kv.first_key_value()
    }
    let text = String::from("short-lived");
    assert_eq!(local(&text), Some((Tagged(1, PhantomData), 10)));
}
