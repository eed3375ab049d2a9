//! Segments in files: the same answers as on the heap, and never one from a damaged block.

use super::*;
use crate::blocks::{Blocks, FileBytes, TreeBuilder, TreeShape};
use crate::mmap::Mapping;
use std::io::Write;

/// Where the parts of a segment are in a file.
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
        let model = model_of(small_keys(), width, true);
        for choice in CODECS {
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
