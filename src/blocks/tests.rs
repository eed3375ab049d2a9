//! Files of all lengths, whole and damaged.

use super::tree::FANOUT;
use super::*;
use crate::sync::{Arc, thread};
use std::io::Write;

/// Data, the zeros behind it, and its tree.
fn file_of(data: &[u8]) -> (Vec<u8>, u32) {
    let mut builder = TreeBuilder::new();
    builder.push(data).expect("memory for a test");
    let (tree, root) = builder.finish().expect("memory for a test");
    let mut file = data.to_vec();
    file.resize(TreeShape::of(data.len() as u64).tree_offset() as usize, 0);
    file.extend(tree);
    (file, root)
}

fn open_mapped(file: &[u8], data_len: usize, root: u32) -> Result<Blocks, Error> {
    let mut stored = tempfile::tempfile().expect("a file for a test");
    stored.write_all(file).expect("space for a test");
    let mapping = Mapping::open(&stored).expect("a mappable file");
    Blocks::open(FileBytes::Mapped(mapping), data_len as u64, root)
}

fn open_resident(file: &[u8], data_len: usize, root: u32) -> Result<Blocks, Error> {
    let mut buffer = Buffer::zeroed(file.len()).expect("memory for a test");
    buffer.as_mut_slice().copy_from_slice(file);
    Blocks::open(FileBytes::Resident(buffer), data_len as u64, root)
}

fn data_of(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i * 31 + i / 251) as u8).collect()
}

#[test]
fn shapes_follow_from_the_length() {
    let block = BLOCK as u64;
    let level_1 = block * FANOUT;
    let level_2 = level_1 * FANOUT;
    for (data_len, data_blocks, levels) in [
        (0, 0, &[][..]),
        (1, 1, &[]),
        (block, 1, &[]),
        (block + 1, 2, &[1]),
        (level_1 - 1, 1024, &[1]),
        (level_1, 1024, &[1]),
        (level_1 + 1, 1025, &[2, 1]),
        (level_2, 1 << 20, &[1024, 1]),
        (level_2 + 1, (1 << 20) + 1, &[1025, 2, 1]),
        (u64::MAX, 1 << 52, &[1 << 42, 1 << 32, 1 << 22, 1 << 12, 4, 1]),
    ] {
        let shape = TreeShape::of(data_len);
        let levels_of = |i| shape.level(i).end - shape.level(i).start;
        let found: Vec<u64> = (0..=shape.levels()).map(levels_of).collect();
        assert_eq!(found[0], data_blocks);
        assert_eq!(&found[1..], levels);
        assert_eq!(shape.tree_offset(), data_blocks.saturating_mul(block));
        let all = data_blocks + levels.iter().sum::<u64>();
        assert_eq!(shape.tree_end(), all.saturating_mul(block));
    }
}

#[test]
fn every_length_is_read_back() {
    let one_level = BLOCK * FANOUT as usize;
    let lens = [0, 1, 4095, 4096, 4097, 3 * BLOCK, one_level - 1, one_level, one_level + 1];
    for len in lens.into_iter().chain([one_level + 3 * BLOCK + 7]) {
        let data = data_of(len);
        let (file, root) = file_of(&data);
        assert_eq!(file.len() as u64, TreeShape::of(len as u64).tree_end());
        for open in [open_mapped, open_resident] {
            let blocks = open(&file, len, root).expect("its own bytes");
            assert_eq!((blocks.len(), blocks.get(0..len)), (len, Ok(&data[..])));
            for start in (0..len).step_by(97_001) {
                let range = start..(start + 5000).min(len);
                assert_eq!(blocks.get(range.clone()), Ok(&data[range]));
            }
            let mut told = Vec::new();
            blocks.verify(&mut |done, total| told.push((done, total))).expect("its own bytes");
            assert_eq!(told.last(), Some(&(file.len() as u64, file.len() as u64)));
            assert!(told.is_sorted());
        }
    }
}

#[test]
fn the_tree_does_not_depend_on_the_pieces_of_the_data() {
    let data = data_of(BLOCK * FANOUT as usize + 9000);
    let expected = file_of(&data);
    for piece in [1000, 4095, 4096, 4097, 1 << 20] {
        let mut builder = TreeBuilder::new();
        for piece in data.chunks(piece) {
            builder.push(piece).expect("memory for a test");
            builder.push(&[]).expect("memory for a test");
        }
        let (tree, root) = builder.finish().expect("memory for a test");
        assert_eq!(root, expected.1);
        assert!(expected.0.ends_with(&tree));
    }
}

#[test]
fn ranges_outside_the_data_are_refused() {
    for len in [0, 1, 5000] {
        let (file, root) = file_of(&data_of(len));
        for open in [open_mapped, open_resident] {
            let blocks = open(&file, len, root).expect("its own bytes");
            assert_eq!(blocks.get(len..len), Ok(&[][..]));
            for range in [0..len + 1, len + 1..len + 1, 0..usize::MAX, usize::MAX..usize::MAX] {
                assert!(blocks.get(range.clone()).is_err());
                assert!(blocks.bytes(range).is_empty());
            }
            #[expect(clippy::reversed_empty_ranges, reason = "what a damaged file may ask for")]
            let reversed = 1..0;
            assert!(blocks.get(reversed.clone()).is_err());
            assert!(blocks.bytes(reversed).is_empty());
        }
    }
}

#[test]
fn a_file_too_short_for_data_and_tree_is_refused() {
    let data = data_of(3 * BLOCK);
    let (file, root) = file_of(&data);
    for open in [open_mapped, open_resident] {
        for len in [0, 1, BLOCK, file.len() - 1] {
            assert!(open(&file[..len], data.len(), root).is_err());
        }
        for data_len in [file.len(), file.len() + 1, usize::MAX] {
            assert!(open(&file, data_len, root).is_err());
        }
        let longer = [&file[..], b"trailer"].concat();
        assert!(open(&longer, data.len(), root).is_ok());
    }
}

#[test]
fn every_flipped_byte_of_data_padding_and_tree_is_found() {
    let data = data_of(2 * BLOCK + 100);
    let (good, root) = file_of(&data);
    for at in 0..good.len() {
        let mut file = good.clone();
        file[at] ^= 1 << (at % 8);
        let blocks = open_mapped(&file, data.len(), root).expect("nothing is read yet");
        let bad = at / BLOCK;
        for block in 0..3 {
            let range = block * BLOCK..(block * BLOCK + 10);
            // A damaged tree says nothing about any block; again and again.
            for _ in 0..2 {
                let found = blocks.get(range.clone());
                if bad == 3 || bad == block {
                    let corruption = found.expect_err("damaged");
                    assert_eq!(corruption.part, "store block");
                    assert_eq!(corruption.offset, (bad * BLOCK) as u64);
                } else {
                    assert_eq!(found, Ok(&data[range.clone()]));
                }
            }
        }
        assert!(blocks.get(0..data.len()).is_err());
        assert!(blocks.verify(&mut |_, _| {}).is_err());
        assert!(open_resident(&file, data.len(), root).is_err());
    }
    for wrong in [0, root ^ 1] {
        let blocks = open_mapped(&good, data.len(), wrong).expect("nothing is read yet");
        assert!(blocks.get(0..1).is_err());
        assert!(blocks.verify(&mut |_, _| {}).is_err());
    }
}

#[test]
fn damage_on_the_upper_levels_is_found_below_it() {
    let data = data_of(BLOCK * (FANOUT as usize + 2));
    let (good, root) = file_of(&data);
    let shape = TreeShape::of(data.len() as u64);
    for level in 1..=shape.levels() {
        for bad in shape.level(level) {
            let mut file = good.clone();
            file[bad as usize * BLOCK + 9] ^= 0x10;
            let blocks = open_mapped(&file, data.len(), root).expect("nothing is read yet");
            for block in [0, 1, FANOUT as usize - 1, FANOUT as usize, FANOUT as usize + 1] {
                let under = bad == shape.parent(0, block as u64).0 || level == 2;
                assert_eq!(blocks.get(block * BLOCK..block * BLOCK + 1).is_err(), under);
            }
            assert!(blocks.verify(&mut |_, _| {}).is_err());
        }
    }
}

#[test]
fn forged_trees_under_a_right_root_are_read_within_bounds() {
    let data = data_of(BLOCK * 5);
    let (good, _) = file_of(&data);
    for fill in [0, 1, 0x7f, 0x80, 0xff] {
        let mut file = good.clone();
        file[5 * BLOCK..].fill(fill);
        let root = checksum(&file[5 * BLOCK..]);
        let blocks = open_mapped(&file, data.len(), root).expect("nothing is read yet");
        for block in 0..5 {
            assert!(blocks.get(block * BLOCK..block * BLOCK + 1).is_err());
        }
        assert!(blocks.verify(&mut |_, _| {}).is_err());
    }
}

#[test]
fn bytes_behind_the_last_of_a_level_are_found_by_verify() {
    let data = data_of(BLOCK * 2 + 5);
    for at in [data.len(), 3 * BLOCK - 1] {
        // As data that ends with its block, under a root that knows the byte.
        let mut longer = data.clone();
        longer.resize(3 * BLOCK, 0);
        longer[at] = 1;
        let (file, root) = file_of(&longer);
        let blocks = open_mapped(&file, data.len(), root).expect("nothing is read yet");
        assert_eq!(blocks.get(0..data.len()), Ok(&data[..]));
        assert!(blocks.verify(&mut |_, _| {}).is_err());
        assert!(open_resident(&file, data.len(), root).is_err());
    }
    let (good, _) = file_of(&data);
    for at in [3 * BLOCK + 12, 4 * BLOCK - 1] {
        let mut file = good.clone();
        file[at] = 1;
        let root = checksum(&file[3 * BLOCK..]);
        let blocks = open_mapped(&file, data.len(), root).expect("nothing is read yet");
        assert_eq!(blocks.get(0..data.len()), Ok(&data[..]));
        assert!(blocks.verify(&mut |_, _| {}).is_err());
    }
}

#[test]
fn threads_that_read_first_at_once_see_the_same() {
    let data = data_of(BLOCK * (FANOUT as usize + 40));
    let (mut file, root) = file_of(&data);
    file[7 * BLOCK] ^= 1;
    for _ in 0..20 {
        let blocks = Arc::new(open_mapped(&file, data.len(), root).expect("nothing is read yet"));
        let readers = [0, 1, 2, 3].map(|_| {
            let (blocks, data) = (Arc::clone(&blocks), data.clone());
            thread::spawn(move || {
                for (block, expected) in data.chunks(BLOCK).enumerate() {
                    let found = blocks.get(block * BLOCK..block * BLOCK + expected.len());
                    assert_eq!(found.ok(), Some(expected).filter(|_| block != 7), "{block}");
                }
            })
        });
        for reader in readers {
            reader.join().expect("the right bytes");
        }
    }
}

#[test]
fn a_block_that_goes_bad_after_its_check_is_found_by_verify_and_bad_from_then_on() {
    use std::os::unix::fs::FileExt;
    let data = data_of(BLOCK * 3);
    let (file, root) = file_of(&data);
    let mut stored = tempfile::tempfile().expect("a file for a test");
    stored.write_all(&file).expect("space for a test");
    let mapping = Mapping::open(&stored).expect("a mappable file");
    let blocks = Blocks::open(FileBytes::Mapped(mapping), data.len() as u64, root).expect("whole");
    assert_eq!(blocks.get(0..data.len()), Ok(&data[..]));
    stored.write_all_at(b"!", BLOCK as u64 + 5).expect("space for a test");
    let corruption = blocks.verify(&mut |_, _| {}).expect_err("it was written to");
    assert_eq!(corruption.offset, BLOCK as u64);
    assert!(blocks.get(BLOCK..BLOCK + 1).is_err());
    assert!(blocks.get(0..1).is_ok());
}

#[test]
fn a_mapped_file_costs_a_bit_for_each_block() {
    let data = data_of(BLOCK * 1000);
    let (file, root) = file_of(&data);
    let mapped = open_mapped(&file, data.len(), root).expect("its own bytes");
    assert_eq!(mapped.heap_bytes(), 128);
    let resident = open_resident(&file, data.len(), root).expect("its own bytes");
    assert!((file.len()..file.len() + 64).contains(&resident.heap_bytes()));
}
