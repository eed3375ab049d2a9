//! Segments in files: the same answers as on the heap, and never one from a damaged block.

use super::*;
use crate::blocks::{BLOCK, Blocks, FileBytes, TreeBuilder, TreeShape};
use crate::mmap::Mapping;
use std::io::Write;

/// Where the parts of a segment are in a file.
#[derive(Clone)]
struct Parts {
    image: Range<usize>,
    table: Range<usize>,
    data: Range<usize>,
}

/// A file with a segment in it, and its tree's root. `front` bytes stand before the image.
pub(super) struct Stored {
    pub(super) file: Vec<u8>,
    data_len: u64,
    root: u32,
    parts: Parts,
    width: ValueWidth,
}

impl Stored {
    pub(super) fn new(segment: &Segment, width: ValueWidth, front: usize) -> Self {
        let mut file = vec![b'x'; front];
        file.extend_from_slice(image_of(segment));
        let image = front..file.len();
        let extents = extents_of(segment);
        let mut at = file.len() + extents.len() * EXTENT_ROW_LEN;
        let table = file.len()..at;
        let data_start = at;
        for extent in &extents {
            let len = extent.as_slice().len();
            file.extend(extent_row(at as u64, len as u32));
            at += len;
        }
        for extent in &extents {
            file.extend_from_slice(extent.as_slice());
        }
        let data_len = file.len() as u64;
        let mut stored = Self {
            file,
            data_len,
            root: 0,
            parts: Parts { image, table, data: data_start..at },
            width,
        };
        stored.seal();
        stored
    }

    /// Writes the tree over the data as it is now.
    pub(super) fn seal(&mut self) {
        self.file.truncate(self.data_len as usize);
        let mut builder = TreeBuilder::new();
        builder.push(&self.file).expect("memory for a test");
        let (tree, root) = builder.finish().expect("memory for a test");
        self.file.resize(TreeShape::of(self.data_len).tree_offset() as usize, 0);
        self.file.extend(tree);
        self.root = root;
    }

    pub(super) fn mapped(&self) -> Arc<Blocks> {
        let mut file = tempfile::tempfile().expect("a file for a test");
        file.write_all(&self.file).expect("space for a test");
        let mapping = Mapping::open(&file).expect("a mappable file");
        Arc::new(
            Blocks::open(FileBytes::Mapped(mapping), self.data_len, self.root).expect("its length"),
        )
    }

    fn resident(&self) -> Result<Arc<Blocks>, Error> {
        let mut buffer = Buffer::zeroed(self.file.len()).expect("memory for a test");
        buffer.as_mut_slice().copy_from_slice(&self.file);
        Blocks::open(FileBytes::Resident(buffer), self.data_len, self.root).map(Arc::new)
    }

    pub(super) fn open(&self, blocks: &Arc<Blocks>) -> Result<Segment, Corruption> {
        let Parts { image, table, data } = &self.parts;
        let image = Image::Stored(Arc::clone(blocks), image.clone());
        let (table, data) = (table.clone(), data.clone());
        let extents = Extents::Stored { blocks: Arc::clone(blocks), table, data };
        Segment::open(image, extents, self.width)
    }
}

#[test]
fn a_stored_segment_is_the_same_as_one_on_the_heap() {
    for width in WIDTHS {
        for choice in CODECS {
            let model = model_of(keys_for(choice), width, true);
            let heap = built(&model, width, choice);
            // Not at the start of a block, and not even aligned: nothing may depend on that.
            let stored = Stored::new(&heap, width, 3);
            for blocks in [stored.mapped(), stored.resident().expect("its own bytes")] {
                let segment = stored.open(&blocks).expect("its own bytes");
                assert_eq!(segment.heap_bytes(), 0);
                assert_eq!(segment.extent_bytes(), 0);
                check(&segment, &model, 1);
                assert_eq!(image_of(&segment), image_of(&heap));
                blocks.verify(&mut |_, _| {}).expect("its own bytes");
                for range in [0..0, 4..blocks.len(), 3..usize::MAX] {
                    let image = Image::Stored(Arc::clone(&blocks), range);
                    let extents = Extents::Owned(extents_of(&heap));
                    assert!(Segment::open(image, extents, width).is_err());
                }
            }
        }
    }
}

/// Whatever a segment answers is what the model says, or an error.
fn expect_right_or_damaged(segment: &Segment, model: &Model) {
    for (ordinal, (key, expected)) in model.iter().enumerate() {
        let ordinal = Ordinal(ordinal as u64);
        if let Ok(found) = segment.find(key) {
            assert_eq!(found, Some(ordinal));
        }
        let buf = ValueBuf::default();
        if let Ok(entry) = segment.entry(ordinal, &buf) {
            assert_eq!(&owned(entry), expected);
        }
        let mut named = vec![];
        if segment.key_at(ordinal, &mut named).is_ok() {
            assert_eq!(&named, key);
        }
    }
    let mut cursor = SegmentCursor::new(segment);
    cursor.first();
    let mut expected = model.iter();
    while cursor.valid() {
        let entry = expected.next().expect("no more than there are");
        assert_eq!((cursor.key(), &owned(cursor.entry())), (entry.0.as_slice(), entry.1));
        cursor.next();
    }
    assert!(cursor.status().is_err() || expected.next().is_none(), "an end that is none");
}

#[test]
fn a_flipped_byte_anywhere_in_a_file_never_gives_a_wrong_answer() {
    for choice in CODECS {
        let keys = keys_for(choice).into_iter().take(14);
        let model = model_of(keys, ValueWidth::Bytes, true);
        let heap = built(&model, ValueWidth::Bytes, choice);
        let mut stored = Stored::new(&heap, ValueWidth::Bytes, 3);
        for at in 0..stored.file.len() {
            stored.file[at] ^= 1 << (at % 8);
            let blocks = stored.mapped();
            assert!(blocks.verify(&mut |_, _| {}).is_err(), "byte {at}");
            assert!(stored.resident().is_err(), "byte {at}");
            if let Ok(segment) = stored.open(&blocks) {
                expect_right_or_damaged(&segment, &model);
            }
            stored.file[at] ^= 1 << (at % 8);
        }
    }
}

#[test]
fn a_flipped_byte_in_keys_of_many_blocks_never_gives_a_wrong_answer() {
    let mut random = Random(8);
    let keys = (0..3000).map(|_| (0..8).map(|_| random.below(256) as u8).collect::<Vec<u8>>());
    let width = ValueWidth::Fixed(0);
    let model = model_of(keys, width, false);
    // The root of the transducer has more bytes than lie between two of these places, so that it
    // stands across a boundary of blocks once.
    for (choice, front) in
        CODECS.into_iter().flat_map(|codec| [0, 1365, 2730].map(|at| (codec, at)))
    {
        let heap = built(&model, width, choice);
        let mut stored = Stored::new(&heap, width, front);
        assert!(stored.file.len() > 4 * BLOCK, "blocks that opening does not look at");
        for at in (front + random.below(100)..stored.data_len as usize).step_by(331) {
            stored.file[at] ^= 1 << (at % 8);
            let blocks = stored.mapped();
            if let Ok(segment) = stored.open(&blocks) {
                expect_right_or_damaged(&segment, &model);
                let read = segment.image().all();
                assert!(read.is_err_and(|error| error.part == "store block"), "byte {at}");
            }
            stored.file[at] ^= 1 << (at % 8);
        }
    }
}

#[test]
fn random_damage_behind_right_block_checksums_is_survived() {
    let mut random = Random(2077);
    for choice in CODECS {
        let keys = keys_for(choice);
        let model = model_of(keys.clone(), ValueWidth::Bytes, true);
        let heap = built(&model, ValueWidth::Bytes, choice);
        let good = Stored::new(&heap, ValueWidth::Bytes, 0);
        // The extents themselves are anything anyway.
        let end = good.parts.data.start;
        for _ in 0..300 {
            let mut bad = Stored { file: good.file.clone(), parts: good.parts.clone(), ..good };
            for _ in 0..=random.below(6) {
                let at = random.below(end);
                bad.file[at] = [0, 0xff, random.below(256) as u8][random.below(3)];
            }
            super::super::reseal(&mut bad.file[bad.parts.image.clone()]);
            bad.seal();
            if let Ok(segment) = bad.open(&bad.mapped()) {
                super::super::exercise::exercise(&segment, &keys[..16]);
            }
        }
    }
}

#[test]
fn a_table_of_extents_that_is_wrong_is_refused_by_reads_and_verify() {
    let model = model_of(small_keys(), ValueWidth::Bytes, false);
    let heap = built(&model, ValueWidth::Bytes, CodecChoice::Fst);
    let good = Stored::new(&heap, ValueWidth::Bytes, 0);
    let row = good.parts.table.start + EXTENT_ROW_LEN;
    let with_row = |offset: u64, len: u32, tail: u32| {
        let mut bad = Stored { file: good.file.clone(), parts: good.parts.clone(), ..good };
        let bytes = &mut bad.file[row..row + EXTENT_ROW_LEN];
        bytes.copy_from_slice(&extent_row(offset, len));
        bytes[12..].copy_from_slice(&tail.to_le_bytes());
        bad.seal();
        bad.open(&bad.mapped()).expect("the table is not looked at")
    };
    let start = good.parts.data.start as u64;
    let first = heap.extent(0).expect("sound").as_slice().len() as u64;
    let len = heap.extent(1).expect("sound").as_slice().len() as u32;
    let right = with_row(start + first, len, 0);
    right.verify().expect("the right row");
    assert!(right.extent(1).is_ok());
    assert!(right.extent(right.extent_count()).is_err());
    // Outside of the extents: refused when it is read.
    for (offset, len, tail) in [
        (start - 1, len, 0),
        (0, len, 0),
        (u64::MAX, len, 0),
        (u64::MAX - 5, 6, 0),
        (start + first, u32::MAX, 0),
        (good.parts.data.end as u64 - 1, 2, 0),
        (start + first, len, 1),
    ] {
        let bad = with_row(offset, len, tail);
        let corruption = bad.extent(1).err().expect("outside");
        assert_eq!(corruption.part, "store extent table");
        assert!(bad.verify().is_err());
        assert!(bad.extent(0).is_ok() && bad.extent(2).is_ok());
    }
    // Inside, but not where the format has them: found by verify.
    for (offset, len) in
        [(start + first + 1, len), (start, len), (start + first, len + 1), (start + first, 1024)]
    {
        assert!(with_row(offset, len, 0).verify().is_err());
    }
    let mut short = Stored { file: good.file.clone(), parts: good.parts.clone(), ..good };
    for len in [1, EXTENT_ROW_LEN] {
        short.parts.table.end = good.parts.table.end - len;
        assert!(short.open(&short.mapped()).is_err());
    }
}

#[test]
fn opening_and_finding_touch_few_blocks_of_a_large_file() {
    let keys = (0..40_000u32).map(|i| format!("{:08x}", i.wrapping_mul(0x9e37_79b9)).into_bytes());
    let model = model_of(keys, ValueWidth::Bytes, false);
    for choice in CODECS {
        let heap = built(&model, ValueWidth::Bytes, choice);
        let stored = Stored::new(&heap, ValueWidth::Bytes, 0);
        let blocks = stored.mapped();
        let segment = stored.open(&blocks).expect("its own bytes");
        // Header and table; a transducer's header (the same block) and footer; the tree above.
        let opened = blocks.checked_blocks();
        assert!(opened <= 8, "{opened} blocks for {choice:?}");
        let key = model.keys().nth(20_000).expect("one of many");
        let ordinal = segment.find(key).expect("sound").expect("it is there");
        segment.entry(ordinal, &ValueBuf::default()).expect("sound");
        // 16 steps of a binary search with two blocks each, or 8 nodes; a value and an extent.
        let found = blocks.checked_blocks() - opened;
        assert!(found <= 16 * 2 + 8, "{found} blocks for {choice:?}");
        assert!(stored.file.len() / BLOCK > 6000, "many blocks there are");
    }
}

#[test]
fn a_fold_moves_stored_extents_by_reference_and_keeps_their_file() {
    let model = model_of(small_keys(), ValueWidth::Bytes, true);
    let heap = built(&model, ValueWidth::Bytes, CodecChoice::Fst);
    let stored = Stored::new(&heap, ValueWidth::Bytes, 0);
    let blocks = stored.mapped();
    let segment = stored.open(&blocks).expect("its own bytes");
    let bump = Bump::new();
    let mut builder =
        SegmentBuilder::new(ValueWidth::Bytes, &bump, CodecChoice::Fst).expect("memory for a test");
    let mut cursor = SegmentCursor::new(&segment);
    cursor.first();
    while cursor.valid() {
        builder.push(cursor.key(), cursor.entry()).expect("memory for a test");
        cursor.next();
    }
    let folded = builder.finish().expect("memory for a test");
    assert_eq!(image_of(&folded), image_of(&heap));
    assert!(folded.extent_count() > 5);
    assert_eq!(folded.extent_bytes(), 0, "none is on the heap");
    for index in 0..folded.extent_count() {
        let (ours, theirs) = (folded.extent(index), segment.extent(index));
        let address = |found: Result<ExtentRef<'_>, _>| found.expect("sound").as_slice().as_ptr();
        assert_eq!(address(ours), address(theirs));
    }
    assert!(folded.file().is_some_and(|file| Arc::ptr_eq(file, &blocks)));
    drop((segment, blocks));
    check(&folded, &model, 1);
}

#[test]
fn a_tree_takes_a_stored_extent_by_reference() {
    use crate::art::Tree;
    let model = model_of(small_keys(), ValueWidth::Bytes, false);
    let stored =
        Stored::new(&built(&model, ValueWidth::Bytes, CodecChoice::Fst), ValueWidth::Bytes, 0);
    let blocks = stored.mapped();
    let segment = stored.open(&blocks).expect("its own bytes");
    let extent = segment.extent(3).expect("sound");
    let (address, expected) = (extent.as_slice().as_ptr(), extent.as_slice().to_vec());
    let mut tree = Tree::new(ValueWidth::Bytes);
    let plan = tree.plan(b"key").expect("room");
    let entry = Entry::value(ValueRef::Extent(extent), Below::Absent);
    tree.apply(plan, b"key", entry).expect("room");
    drop((segment, blocks));
    let found = tree.get(b"key").and_then(Entry::live).expect("just written");
    assert_eq!((found.as_ptr(), found), (address, &expected[..]));
    assert!(tree.extent_bytes() < 100, "a box for the reference");
}

#[test]
#[cfg(unix)]
fn segments_between_pages_that_nobody_may_touch_are_read_within_bounds() {
    use crate::mmap::guarded::{Flush, Guarded};
    for width in WIDTHS {
        for choice in CODECS {
            let model = model_of(keys_for(choice), width, true);
            let heap = built(&model, width, choice);
            for flush in [Flush::Front, Flush::Back] {
                let image = Image::Guarded(Guarded::new(image_of(&heap), flush));
                let extents = Extents::Owned(extents_of(&heap));
                check(&Segment::open(image, extents, width).expect("its own bytes"), &model, 1);
            }
        }
    }
}

#[test]
#[cfg(unix)]
fn damaged_segments_between_pages_that_nobody_may_touch_are_read_within_bounds() {
    use crate::mmap::guarded::{Flush, Guarded};
    let mut random = Random(31);
    for width in [ValueWidth::Fixed(8), ValueWidth::Bytes] {
        for choice in CODECS {
            let keys = keys_for(choice);
            let model = model_of(keys.clone(), width, true);
            let heap = built(&model, width, choice);
            for round in 0..300 {
                let mut bad = image_of(&heap).to_vec();
                for _ in 0..=random.below(4) {
                    let at = 64 + random.below(bad.len() - 64);
                    bad[at] = [0, 0xff, random.below(256) as u8][random.below(3)];
                }
                super::super::reseal(&mut bad);
                let flush = [Flush::Front, Flush::Back][round % 2];
                let image = Image::Guarded(Guarded::new(&bad, flush));
                let extents = Extents::Owned(extents_of(&heap));
                if let Ok(segment) = Segment::open(image, extents, width) {
                    super::super::exercise::exercise(&segment, &keys[..16]);
                }
            }
        }
    }
}
