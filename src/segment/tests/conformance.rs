//! The suite that every layer passes, over each codec.

use super::stored::Stored;
use crate::cursor::Cursor;
use crate::entry::{Below, Entry, ValueBuf, ValueRef, ValueWidth};
use crate::error::Corruption;
use crate::segment::{
    CodecChoice, Segment, SegmentBuilder, SegmentCursor, Soon, TextBegun, TextSearch,
};
use crate::testing::conformance::{SortedLayer, check_layer};
use crate::testing::keys;
use bumpalo::Bump;

/// How keys are stored: 0 plain, 1 transducer, 2 blocks, 3 packed numbers where keys allow it, 4 the
/// smallest of them, 5 blocks of codes, 6 and 7 blocks with a point index, 8 heads and tails where keys
/// allow it.
const CHOICES: [CodecChoice; 9] = [
    CodecChoice::Plain,
    CodecChoice::Fst,
    CodecChoice::Front,
    CodecChoice::Int,
    CodecChoice::Smallest,
    CodecChoice::Symbols,
    CodecChoice::Direct,
    CodecChoice::DirectSymbols,
    CodecChoice::Wide,
];

/// A segment whose keys are stored as `CHOICES[CODEC]` says.
struct Coded<const CODEC: u8>(Segment);

impl<const CODEC: u8> SortedLayer for Coded<CODEC> {
    type Cursor<'a> = SegmentCursor<&'a Segment>;

    fn build(model: &keys::Model) -> Self {
        let bump = Bump::new();
        let choice = CHOICES[usize::from(CODEC)];
        let mut builder = SegmentBuilder::new(ValueWidth::Fixed(8), &bump, choice).expect("memory");
        for (key, value) in model {
            let entry = Entry::value(ValueRef::Inline(value), Below::Absent);
            builder.push(key, entry).expect("sorted");
        }
        let segment = builder.finish().expect("memory");
        segment.verify().expect("just built");
        // Others may be blocks of text too, where keys do not allow what they ask for.
        let is_text = matches!(choice, CodecChoice::Front | CodecChoice::Symbols);
        assert!(segment.has_text() || !is_text);
        Self(segment)
    }

    fn get(&self, key: &[u8]) -> Option<Vec<u8>> {
        let ordinal = self.0.find(key).expect("sound")?;
        let mut back = Vec::new();
        self.0.key_at(ordinal, &mut back).expect("sound");
        assert_eq!(back, key, "key to ordinal and back");
        let bufs = [ValueBuf::default(), ValueBuf::default()];
        let value = self.0.entry(ordinal, &bufs[0]).expect("sound").live();
        assert_eq!(self.0.get(key, &bufs[1]).expect("sound").map(Entry::live), Some(value));
        let mut search = TextSearch::none();
        if search.begin(&self.0, key) == TextBegun::UnderWay {
            search.narrow();
            let (Soon::Value(said), 8) = search.settle() else { panic!("{key:?} is there") };
            assert_eq!(value, Some(said.to_le_bytes().as_slice()));
        } else {
            assert!(!self.0.has_text(), "{key:?} is there");
        }
        value.map(<[u8]>::to_vec)
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

/// A segment in a file whose keys are stored as `CHOICES[CODEC]` says, with an extent for each value.
struct CodedInFile<const CODEC: u8>(Segment);

/// Bytes of a value made into an extent: the 8 bytes it had, again and again.
const EXTENT_LEN: usize = 1200;

impl<const CODEC: u8> SortedLayer for CodedInFile<CODEC> {
    type Cursor<'a> = Shortening<'a>;

    fn build(model: &keys::Model) -> Self {
        let bump = Bump::new();
        let choice = CHOICES[usize::from(CODEC)];
        let mut builder = SegmentBuilder::new(ValueWidth::Bytes, &bump, choice).expect("memory");
        for (key, value) in model {
            let value = value.repeat(EXTENT_LEN / value.len());
            let entry = Entry::value(ValueRef::Inline(&value), Below::Absent);
            builder.push(key, entry).expect("sorted");
        }
        let segment = builder.finish().expect("memory");
        let stored = Stored::new(&segment, ValueWidth::Bytes, 5);
        Self(stored.open(&stored.mapped()).expect("just written"))
    }

    fn get(&self, key: &[u8]) -> Option<Vec<u8>> {
        let buf = ValueBuf::default();
        self.0.get(key, &buf).expect("sound")?.live().map(|value| value[..8].to_vec())
    }

    fn cursor(&self) -> Self::Cursor<'_> {
        Shortening(SegmentCursor::new(&self.0))
    }

    fn len(&self) -> u64 {
        self.0.len()
    }
}

/// Shows the first 8 bytes of each value.
struct Shortening<'a>(SegmentCursor<&'a Segment>);

impl Cursor for Shortening<'_> {
    fn first(&mut self) {
        self.0.first();
    }

    fn last(&mut self) {
        self.0.last();
    }

    fn seek(&mut self, key: &[u8]) {
        self.0.seek(key);
    }

    fn seek_for_prev(&mut self, key: &[u8]) {
        self.0.seek_for_prev(key);
    }

    fn next(&mut self) {
        self.0.next();
    }

    fn prev(&mut self) {
        self.0.prev();
    }

    fn valid(&self) -> bool {
        self.0.valid()
    }

    fn key(&self) -> &[u8] {
        self.0.key()
    }

    fn entry(&self) -> Entry<'_> {
        let Entry { kind, below, value } = self.0.entry();
        let value = value.as_slice();
        assert!(value.chunks(8).all(|part| part == &value[..8]), "the whole extent");
        Entry { kind, below, value: ValueRef::Inline(&value[..8]) }
    }

    fn status(&self) -> Result<(), Corruption> {
        self.0.status()
    }
}

#[test]
fn plain_segments_in_files_conform() {
    check_layer::<CodedInFile<0>>();
}

#[test]
fn transducer_segments_in_files_conform() {
    check_layer::<CodedInFile<1>>();
}

#[test]
fn front_coded_segments_in_files_conform() {
    check_layer::<CodedInFile<2>>();
}

#[test]
fn front_coded_segments_conform() {
    check_layer::<Coded<2>>();
}

#[test]
fn segments_of_codes_in_files_conform() {
    check_layer::<CodedInFile<5>>();
}

#[test]
fn segments_of_codes_conform() {
    check_layer::<Coded<5>>();
}

#[test]
fn segments_made_small_conform() {
    check_layer::<Coded<4>>();
}

#[test]
fn segments_with_a_point_index_conform() {
    check_layer::<Coded<6>>();
}

#[test]
fn segments_of_codes_with_a_point_index_conform() {
    check_layer::<Coded<7>>();
}

#[test]
fn segments_of_codes_with_a_point_index_in_files_conform() {
    check_layer::<CodedInFile<7>>();
}

#[test]
fn segments_with_a_point_index_in_files_conform() {
    check_layer::<CodedInFile<6>>();
}

#[test]
fn segments_of_heads_and_tails_in_files_conform() {
    check_layer::<CodedInFile<8>>();
}

#[test]
fn segments_of_heads_and_tails_conform() {
    check_layer::<Coded<8>>();
}

#[test]
fn plain_segments_conform() {
    check_layer::<Coded<0>>();
}

#[test]
fn transducer_segments_conform() {
    check_layer::<Coded<1>>();
}

#[test]
fn segments_of_numbers_in_files_conform() {
    check_layer::<CodedInFile<3>>();
}

#[test]
fn segments_of_numbers_conform() {
    check_layer::<Coded<3>>();
}
