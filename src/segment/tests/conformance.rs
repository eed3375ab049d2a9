//! The suite that every layer passes, over each codec.

use crate::cursor::Cursor;
use crate::entry::{Below, Entry, ValueRef, ValueWidth};
use crate::segment::{CodecChoice, Segment, SegmentBuilder, SegmentCursor};
use crate::testing::conformance::{SortedLayer, check_layer};
use crate::testing::keys;
use bumpalo::Bump;

/// A segment whose keys are stored as `CODEC` says: 0 plain, 1 transducer.
struct Coded<const CODEC: u8>(Segment);

impl<const CODEC: u8> SortedLayer for Coded<CODEC> {
    type Cursor<'a> = SegmentCursor<&'a Segment>;

    fn build(model: &keys::Model) -> Self {
        let bump = Bump::new();
        let choice = [CodecChoice::Plain, CodecChoice::Fst][usize::from(CODEC)];
        let mut builder = SegmentBuilder::new(ValueWidth::Fixed(8), &bump, choice).expect("memory");
        for (key, value) in model {
            let entry = Entry::value(ValueRef::Inline(value), Below::Absent);
            builder.push(key, entry).expect("sorted");
        }
        let segment = builder.finish().expect("memory");
        segment.verify().expect("just built");
        Self(segment)
    }

    fn get(&self, key: &[u8]) -> Option<Vec<u8>> {
        let ordinal = self.0.find(key).expect("sound")?;
        let mut back = Vec::new();
        self.0.key_at(ordinal, &mut back).expect("sound");
        assert_eq!(back, key, "key to ordinal and back");
        self.0.entry(ordinal).expect("sound").live().map(<[u8]>::to_vec)
    }

    fn cursor(&self) -> Self::Cursor<'_> {
        let cursor = SegmentCursor::new(&self.0);
        assert_eq!(cursor.status(), Ok(()));
        cursor
    }

    fn len(&self) -> u64 {
        self.0.len()
    }
}

#[test]
fn plain_segments_conform() {
    check_layer::<Coded<0>>();
}

#[test]
fn transducer_segments_conform() {
    check_layer::<Coded<1>>();
}
