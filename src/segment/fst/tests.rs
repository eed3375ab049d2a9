//! The node reader against the crate that writes the nodes, and against bytes nobody wrote.

use super::super::slabs::Column;
use super::*;
use bumpalo::Bump;
use std::collections::BTreeSet;

fn bytes_of(keys: &BTreeSet<Vec<u8>>) -> Vec<u8> {
    let bump = Bump::new();
    let mut stage = FstStage::new(&bump).expect("memory for a test");
    for (ordinal, key) in keys.iter().enumerate() {
        stage.push(key, ordinal as u64).expect("ascending keys");
    }
    let column: Column<'_> = stage.finish().expect("memory for a test");
    let mut bytes = vec![0; column.len()];
    column.copy_to(&mut bytes);
    bytes
}

fn expect_all(keys: &BTreeSet<Vec<u8>>) {
    let bytes = bytes_of(keys);
    let reader = FstKeys::new(Bytes::heap(&bytes), keys.len() as u64);
    reader.check_frame().expect("the crate's own bytes");
    reader.verify().expect("the crate's own bytes");
    let theirs = fst::raw::Fst::new(&bytes).expect("the crate's own bytes");
    for (ordinal, key) in keys.iter().enumerate() {
        assert_eq!(theirs.get(key).map(fst::raw::Output::value), Some(ordinal as u64));
        assert_eq!(reader.find(key), Ok(Some(ordinal as u64)));
        let mut named = vec![];
        reader.key_at(ordinal as u64, &mut named).expect("a key");
        assert_eq!(&named, key);
    }
}

#[test]
fn every_input_is_read_in_nodes_of_one_edge() {
    // One key each: chains of nodes that lead to the node before them.
    for byte in 0..=u8::MAX {
        expect_all(&BTreeSet::from([vec![byte]]));
        expect_all(&BTreeSet::from([vec![byte, byte, b'a', byte]]));
    }
    // Two keys with a shared end: nodes of one edge that lead elsewhere.
    for byte in 0..=u8::MAX {
        let keys = [b"a_tail_", b"b_other", b"c_tail_"].map(|key| {
            let mut key = key.to_vec();
            key.insert(1, byte);
            key.push(byte);
            key
        });
        expect_all(&BTreeSet::from(keys));
    }
}

#[test]
fn nodes_of_every_number_of_edges_are_read() {
    for edges in 1..=256usize {
        for is_final in [false, true] {
            let mut keys: BTreeSet<Vec<u8>> =
                (0..edges).map(|i| vec![b'x', (255 - i) as u8]).collect();
            if is_final {
                keys.insert(b"x".to_vec());
            }
            expect_all(&keys);
            let bytes = bytes_of(&keys);
            let reader = FstKeys::new(Bytes::heap(&bytes), keys.len() as u64);
            for i in edges..256 {
                assert_eq!(reader.find(&[b'x', (255 - i) as u8]), Ok(None));
            }
        }
    }
}

#[test]
fn outputs_of_every_width_are_read() {
    let keys: BTreeSet<Vec<u8>> =
        (0..70_000u32).map(|i| i.to_le_bytes()[..3].iter().rev().copied().collect()).collect();
    let bytes = bytes_of(&keys);
    let reader = FstKeys::new(Bytes::heap(&bytes), keys.len() as u64);
    reader.verify().expect("the crate's own bytes");
    assert!(bytes.len() < 4000, "shared nodes, {} bytes", bytes.len());
    for (ordinal, key) in keys.iter().enumerate().step_by(11) {
        assert_eq!(reader.find(key), Ok(Some(ordinal as u64)));
        assert_eq!(reader.lower_bound(key), Ok(ordinal as u64));
    }
}

#[test]
fn shared_nodes_stand_for_more_keys_than_could_be_listed() {
    // Seven levels of 256 equal edges each, by hand: the builder would want all 2^56 keys.
    const LEVELS: usize = 7;
    let mut bytes = vec![3, 0, 0, 0, 0, 0, 0, 0];
    bytes.extend([0; 8]);
    let (mut keys, mut child) = (1u128, 0usize);
    for _ in 0..LEVELS {
        let start = bytes.len();
        for edge in (0..256u128).rev() {
            bytes.extend(&(edge * keys).to_le_bytes()[..8]);
        }
        let delta = if child == 0 { 0 } else { start - child };
        for _ in 0..256 {
            bytes.extend(&(delta as u16).to_le_bytes());
        }
        bytes.extend((0..=255u8).rev());
        bytes.extend(0..=255u8);
        bytes.extend([0x28, 1, 0]);
        child = bytes.len() - 1;
        keys *= 256;
    }
    bytes.extend((keys as u64).to_le_bytes());
    bytes.extend((child as u64).to_le_bytes());
    bytes.extend([0; 4]);
    let reader = FstKeys::new(Bytes::heap(&bytes), keys as u64);
    reader.check_frame().expect("a transducer");
    reader.verify().expect("56-bit ordinals are dense");
    let key = [1, 2, 3, 4, 5, 6, 7];
    let ordinal = 0x0001_0203_0405_0607;
    assert_eq!(reader.find(&key), Ok(Some(ordinal)));
    let mut named = vec![];
    reader.key_at(ordinal, &mut named).expect("a key");
    assert_eq!(named, key);
    let mut walk = FstWalk::default();
    assert_eq!(walk.seek(reader, &key), Ok(Some(ordinal)));
    assert_eq!(walk.prev(reader), Ok(Some(ordinal - 1)));
    assert_eq!(walk.last(reader), Ok(Some(keys as u64 - 1)));
}

#[test]
fn bytes_nobody_wrote_give_answers_or_errors() {
    let mut state = 99u64;
    let mut random = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    for round in 0..20_000u64 {
        let len = 36 + (random() % 400) as usize;
        let mut bytes: Vec<u8> = (0..len).map(|_| random() as u8).collect();
        if round % 2 == 0 {
            // Mostly nodes of one edge, so that walks get long.
            for byte in &mut bytes {
                *byte |= 0x80;
            }
        }
        bytes[..16].copy_from_slice(&[3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        let entries = random() >> (random() % 64);
        let reader = FstKeys::new(Bytes::heap(&bytes), entries);
        let _ = reader.check_frame();
        assert!(reader.verify().is_err() || entries < 400);
        let mut walk = FstWalk::default();
        let mut key = vec![];
        for _ in 0..8 {
            key.push(random() as u8);
            let _ = (reader.find(&key), reader.lower_bound(&key));
            if walk.seek(reader, &key).is_ok_and(|landed| landed.is_some()) {
                let _ = walk.next(reader);
            }
            if walk.seek_for_prev(reader, &key).is_ok_and(|landed| landed.is_some()) {
                let _ = walk.prev(reader);
            }
            let _ = reader.key_at(random() >> (random() % 64), &mut vec![]);
        }
        let _ = (walk.first(reader), walk.last(reader));
    }
}
