//! The frame of a segment image: header, section table, where sections lie. All offsets live here.
//!
//! ```text
//! header (64) | section table (24 each) | zeros to 64 | section | zeros to 64 | ... | section
//! ```
//! All integers are little-endian. An image is canonical: sections in ascending id, each at the
//! first multiple of 64 after its predecessor, none empty, zeros between, nothing after the last.

use crate::blocks::Bytes;
use crate::bytes::{u16_at, u32_at, u64_at};
use crate::checksum::{checksum, checksum_of_parts};
use crate::entry::ValueWidth;
use crate::error::Corruption;
use std::ops::Range;

const MAGIC: [u8; 8] = *b"MemKVseg";
const VERSION: u16 = 1;

// The header, field after field.
const MAGIC_AT: usize = 0;
const VERSION_AT: usize = MAGIC_AT + 8;
const CODEC_AT: usize = VERSION_AT + 2;
const CLASS_AT: usize = CODEC_AT + 1;
const WIDTH_AT: usize = CLASS_AT + 1;
const SECTIONS_AT: usize = WIDTH_AT + 1;
const FLAGS_AT: usize = SECTIONS_AT + 1;
const ENTRIES_AT: usize = FLAGS_AT + 2;
const WEIGHT_AT: usize = ENTRIES_AT + 8;
const TOTAL_AT: usize = WEIGHT_AT + 8;
const EXTENTS_AT: usize = TOTAL_AT + 8;
const RESERVED_AT: usize = EXTENTS_AT + 4;
const CHECKSUM_AT: usize = RESERVED_AT + 16;
const HEADER_LEN: usize = CHECKSUM_AT + 4;

// One row of the section table, field after field.
const ROW_ID_AT: usize = 0;
const ROW_CHECKSUM_AT: usize = ROW_ID_AT + 4;
const ROW_OFFSET_AT: usize = ROW_CHECKSUM_AT + 4;
const ROW_LEN_AT: usize = ROW_OFFSET_AT + 8;
const ROW_LEN: usize = ROW_LEN_AT + 8;

/// Sections start at multiples of this.
const ALIGN: usize = 64;

/// Flags: the builder was told to make the image small; values are packed numbers.
const FLAG_SMALLEST: u16 = 1;
const FLAG_NUMBERS: u16 = 2;

/// Value class codes.
const CLASS_FIXED: u8 = 0;
const CLASS_BYTES: u8 = 1;

const HEADER: &str = "segment header";
const TABLE: &str = "segment section table";
const IMAGE: &str = "segment image";

/// How keys are stored. Persisted: never renumber.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Codec {
    /// Sorted arrays.
    Plain = 0,
    /// One transducer for all keys.
    Fst = 1,
    /// Front-coded blocks, found through a tree.
    Front = 2,
    /// Packed numbers, found through a tree.
    Int = 3,
    /// Blocks whose keys can be read one without the others, found through a tree, and a point index.
    Direct = 4,
    /// Packed numbers, found through a tree, and what keys have behind them.
    Wide = 5,
}

impl Codec {
    fn from_byte(byte: u8) -> Option<Self> {
        match byte {
            0 => Some(Self::Plain),
            1 => Some(Self::Fst),
            2 => Some(Self::Front),
            3 => Some(Self::Int),
            4 => Some(Self::Direct),
            5 => Some(Self::Wide),
            _ => None,
        }
    }

    /// The codec's name in statistics.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Fst => "fst",
            Self::Front => "front",
            Self::Int => "int",
            Self::Direct => "direct",
            Self::Wide => "wide",
        }
    }
}

/// A part of an image with a checksum of its own. Persisted: never renumber.
///
/// 8 is reserved for the high bit of the entry kinds (operand, expiring) and refused until then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Section {
    /// Plain: where each key starts in the key bytes, and where the last one ends.
    KeyOffsets = 1,
    /// Plain: the keys, one after the other.
    KeyBytes = 2,
    /// Fst: the transducer.
    Transducer = 3,
    /// Fixed width: the values by ordinal. Byte strings: the heap of items.
    Values = 4,
    /// Byte strings: where each item starts in the heap, and where the last one ends.
    ValueOffsets = 5,
    /// A bit for each entry: the low bit of its kind, which is set for a tombstone.
    Tombstones = 6,
    /// A bit for each entry: set if the key was live below it.
    LiveBelow = 7,
    /// Front and direct: what all keys share, and the tree over the blocks.
    HeadIndex = 9,
    /// Front and direct: ends of the tree's separators.
    HeadTails = 10,
    /// Front and direct: the blocks.
    KeyBlocks = 11,
    /// Int and wide: the tree over the pieces.
    PieceIndex = 12,
    /// Int and wide: the pieces.
    Pieces = 13,
    /// Direct: the point index.
    PointIndex = 14,
    /// Front and direct: what the bytes of heads and suffixes stand for, unless for themselves.
    Symbols = 15,
    /// Wide: what keys have behind the numbers, and what all share.
    Tails = 16,
}

/// Number of sections an image can have.
const SECTIONS: usize = 15;

impl Section {
    const ALL: [Self; SECTIONS] = [
        Self::KeyOffsets,
        Self::KeyBytes,
        Self::Transducer,
        Self::Values,
        Self::ValueOffsets,
        Self::Tombstones,
        Self::LiveBelow,
        Self::HeadIndex,
        Self::HeadTails,
        Self::KeyBlocks,
        Self::PieceIndex,
        Self::Pieces,
        Self::PointIndex,
        Self::Symbols,
        Self::Tails,
    ];

    /// Place in arrays of one element for each section.
    #[inline]
    fn index(self) -> usize {
        // Nothing has the id 8.
        self as usize - 1 - usize::from(self as usize > 8)
    }

    fn from_id(id: usize) -> Option<Self> {
        Self::ALL.into_iter().find(|section| *section as usize == id)
    }

    /// Whether an image of this codec and value width may have the section.
    fn belongs_to(self, codec: Codec, width: ValueWidth) -> bool {
        match self {
            Self::KeyOffsets | Self::KeyBytes => codec == Codec::Plain,
            Self::Transducer => codec == Codec::Fst,
            Self::HeadIndex | Self::HeadTails | Self::KeyBlocks | Self::Symbols => {
                matches!(codec, Codec::Front | Codec::Direct)
            }
            Self::PieceIndex | Self::Pieces => matches!(codec, Codec::Int | Codec::Wide),
            Self::Tails => codec == Codec::Wide,
            Self::PointIndex => codec == Codec::Direct,
            Self::ValueOffsets => width == ValueWidth::Bytes,
            Self::Values | Self::Tombstones | Self::LiveBelow => true,
        }
    }

    /// The section's name in errors.
    pub(super) fn part(self) -> &'static str {
        match self {
            Self::KeyOffsets => "segment key offsets",
            Self::KeyBytes => "segment key bytes",
            Self::Transducer => "segment transducer",
            Self::Values => "segment values",
            Self::ValueOffsets => "segment value offsets",
            Self::Tombstones => "segment tombstones",
            Self::LiveBelow => "segment live-below bits",
            Self::HeadIndex => "segment head index",
            Self::HeadTails => "segment head tails",
            Self::KeyBlocks => "segment key blocks",
            Self::PieceIndex => "segment piece index",
            Self::Pieces => "segment pieces",
            Self::PointIndex => "segment point index",
            Self::Symbols => "segment symbols",
            Self::Tails => "segment tails",
        }
    }
}

/// Lengths of all sections; 0 for one that is left out.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct SectionLens([usize; SECTIONS]);

impl SectionLens {
    /// Sets the length of one section.
    pub(super) fn set(&mut self, section: Section, len: usize) {
        self.0[section.index()] = len;
    }
}

/// What header and section table say.
#[derive(Clone, Debug)]
pub(super) struct Layout {
    /// How keys are stored.
    pub(super) codec: Codec,
    /// How values are stored.
    pub(super) width: ValueWidth,
    /// Whether it was made for the fewest bytes.
    pub(super) is_smallest: bool,
    /// Whether values of fixed width are packed numbers.
    pub(super) has_numbers: bool,
    /// Number of entries, tombstones included.
    pub(super) entries: u64,
    /// Sum of the entries' weights.
    pub(super) weight: i64,
    /// Number of extents the values refer to.
    pub(super) extents: u32,
    /// Length of the image.
    total: usize,
    /// Where each section lies; empty for one that is left out.
    spans: [Range<usize>; SECTIONS],
}

impl Layout {
    /// Whether all entries are values with nothing live below.
    #[inline]
    pub(super) fn is_base(&self) -> bool {
        !self.has_tombstones() && self.span(Section::LiveBelow).is_empty()
    }

    /// Whether there is a column of tombstones: else all entries are values.
    #[inline]
    pub(super) fn has_tombstones(&self) -> bool {
        !self.span(Section::Tombstones).is_empty()
    }

    /// Lays out sections of the given lengths; `None` if the image could not be addressed.
    pub(super) fn plan(codec: Codec, width: ValueWidth, lens: &SectionLens) -> Option<Self> {
        let present = lens.0.iter().filter(|len| **len > 0).count();
        let mut end = table_end(present);
        let mut spans = [const { 0..0 }; SECTIONS];
        for (span, &len) in spans.iter_mut().zip(&lens.0) {
            if len > 0 {
                let start = end.checked_next_multiple_of(ALIGN)?;
                end = start.checked_add(len)?;
                *span = start..end;
            }
        }
        let (is_smallest, has_numbers) = (false, false);
        let (entries, weight, extents, total) = (0, 0, 0, end);
        Some(Self {
            codec,
            width,
            is_smallest,
            has_numbers,
            entries,
            weight,
            extents,
            total,
            spans,
        })
    }

    /// Length of the whole image.
    pub(super) fn total(&self) -> usize {
        self.total
    }

    /// Where a section lies; empty if it is left out.
    #[inline]
    pub(super) fn span(&self, section: Section) -> Range<usize> {
        self.spans[section.index()].clone()
    }

    fn present(&self) -> impl Iterator<Item = (Section, &Range<usize>)> {
        Section::ALL.into_iter().zip(&self.spans).filter(|(_, span)| !span.is_empty())
    }

    /// Writes header and section table over an image whose sections are complete.
    pub(super) fn encode(&self, image: &mut [u8]) {
        let mut row = HEADER_LEN;
        for (section, span) in self.present() {
            let crc = checksum(&image[span.clone()]);
            put(image, row + ROW_ID_AT, &u32::from(section as u8).to_le_bytes());
            put(image, row + ROW_CHECKSUM_AT, &crc.to_le_bytes());
            put(image, row + ROW_OFFSET_AT, &(span.start as u64).to_le_bytes());
            put(image, row + ROW_LEN_AT, &(span.len() as u64).to_le_bytes());
            row += ROW_LEN;
        }
        let (class, width) = match self.width {
            ValueWidth::Fixed(width) => (CLASS_FIXED, width),
            ValueWidth::Bytes => (CLASS_BYTES, 0),
        };
        put(image, MAGIC_AT, &MAGIC);
        put(image, VERSION_AT, &VERSION.to_le_bytes());
        image[CODEC_AT] = self.codec as u8;
        image[CLASS_AT] = class;
        image[WIDTH_AT] = width;
        image[SECTIONS_AT] = self.present().count() as u8;
        let flag = |is_set: bool, flag: u16| if is_set { flag } else { 0 };
        let flags = flag(self.is_smallest, FLAG_SMALLEST) | flag(self.has_numbers, FLAG_NUMBERS);
        put(image, FLAGS_AT, &flags.to_le_bytes());
        put(image, ENTRIES_AT, &self.entries.to_le_bytes());
        put(image, WEIGHT_AT, &self.weight.to_le_bytes());
        put(image, TOTAL_AT, &(self.total as u64).to_le_bytes());
        put(image, EXTENTS_AT, &self.extents.to_le_bytes());
        put(image, RESERVED_AT, &[0; CHECKSUM_AT - RESERVED_AT]);
        let crc = header_checksum(&image[..row]);
        put(image, CHECKSUM_AT, &crc.to_le_bytes());
    }

    /// Reads header and section table, in time independent of the image's length.
    pub(super) fn decode(image: Bytes<'_>, width: ValueWidth) -> Result<Self, Corruption> {
        if image.len() < HEADER_LEN {
            return Err(Corruption::new(HEADER, 0, "it is 64 bytes long"));
        }
        let header = image.get(0..HEADER_LEN)?;
        let damaged = |offset: usize, rule| Corruption::new(HEADER, offset as u64, rule);
        if header[MAGIC_AT..VERSION_AT] != MAGIC {
            return Err(damaged(MAGIC_AT, "a segment starts with its magic bytes"));
        }
        if u16_at(header, VERSION_AT) != Some(VERSION) {
            return Err(damaged(VERSION_AT, "the format version is one this library knows"));
        }
        let rows = usize::from(header[SECTIONS_AT]);
        if image.len() < table_end(rows) {
            return Err(damaged(SECTIONS_AT, "the section table is inside the image"));
        }
        let table = image.get(0..table_end(rows))?;
        if u32_at(header, CHECKSUM_AT) != Some(header_checksum(table)) {
            return Err(damaged(CHECKSUM_AT, "the checksum matches the header"));
        }
        let reserved = &header[RESERVED_AT..CHECKSUM_AT];
        let flags = u16_at(header, FLAGS_AT).unwrap_or(u16::MAX);
        if flags & !(FLAG_SMALLEST | FLAG_NUMBERS) != 0 || reserved.iter().any(|&byte| byte != 0) {
            return Err(damaged(FLAGS_AT, "unused flags and reserved bytes are zero"));
        }
        let codec = Codec::from_byte(header[CODEC_AT])
            .ok_or_else(|| damaged(CODEC_AT, "the key codec is one of 0 to 5"))?;
        if decode_width(header[CLASS_AT], header[WIDTH_AT]) != Some(width) {
            return Err(damaged(CLASS_AT, "the value width is the one the map was made with"));
        }
        let extents = u32_at(header, EXTENTS_AT).unwrap_or(0);
        if width != ValueWidth::Bytes && extents != 0 {
            return Err(damaged(EXTENTS_AT, "values of fixed width have no extents"));
        }
        let mut layout = Self::decode_table(table, image.len(), codec, width)?;
        if u64_at(header, TOTAL_AT) != Some(layout.total as u64) || layout.total != image.len() {
            return Err(damaged(
                TOTAL_AT,
                "the length is that of the image and ends the last section",
            ));
        }
        layout.is_smallest = flags & FLAG_SMALLEST != 0;
        layout.has_numbers = flags & FLAG_NUMBERS != 0;
        if layout.is_smallest && !matches!(codec, Codec::Front | Codec::Fst | Codec::Wide) {
            return Err(damaged(FLAGS_AT, "what is made small is text, or has heads and tails"));
        }
        if layout.has_numbers && width == ValueWidth::Bytes {
            return Err(damaged(FLAGS_AT, "packed numbers are values of fixed width"));
        }
        layout.entries = u64_at(header, ENTRIES_AT).unwrap_or(0);
        layout.weight = u64_at(header, WEIGHT_AT).unwrap_or(0).cast_signed();
        layout.extents = extents;
        Ok(layout)
    }

    /// Reads the section table, behind the header at the start of `table`, and checks that it is
    /// the one this library lays out in an image of `total` bytes.
    fn decode_table(
        table: &[u8],
        total: usize,
        codec: Codec,
        width: ValueWidth,
    ) -> Result<Self, Corruption> {
        let damaged = |at: usize, rule| Corruption::new(TABLE, (at - HEADER_LEN) as u64, rule);
        let mut lens = SectionLens::default();
        let mut offsets = [0; SECTIONS];
        let mut least = 0;
        for at in (HEADER_LEN..table.len()).step_by(ROW_LEN) {
            let id = u32_at(table, at + ROW_ID_AT).unwrap_or(0) as usize;
            let section = Section::from_id(id)
                .filter(|section| section.belongs_to(codec, width))
                .ok_or_else(|| damaged(at, "each section is one of its codec's"))?;
            if id <= least {
                return Err(damaged(at, "section ids ascend"));
            }
            least = id;
            let len = u64_at(table, at + ROW_LEN_AT).and_then(|len| usize::try_from(len).ok());
            let len = len.filter(|len| (1..=total).contains(len));
            let len = len.ok_or_else(|| {
                damaged(at + ROW_LEN_AT, "a section is not empty and is inside the image")
            })?;
            lens.set(section, len);
            offsets[section.index()] = u64_at(table, at + ROW_OFFSET_AT).unwrap_or(0);
        }
        let layout = Self::plan(codec, width, &lens)
            .ok_or_else(|| damaged(HEADER_LEN, "the sections together are inside the image"))?;
        for (section, span) in layout.present() {
            if offsets[section.index()] != span.start as u64 {
                return Err(damaged(HEADER_LEN, "each section starts at the next multiple of 64"));
            }
        }
        Ok(layout)
    }

    /// Reads the whole image: sections match their checksums, and between them there are zeros.
    pub(super) fn verify(&self, image: Bytes<'_>) -> Result<(), Corruption> {
        let mut row = HEADER_LEN;
        let mut end = table_end(self.present().count());
        for (section, span) in self.present() {
            let padding = image.get(end..span.start)?;
            if let Some(at) = padding.iter().position(|&byte| byte != 0) {
                return Err(Corruption::new(
                    IMAGE,
                    (end + at) as u64,
                    "bytes between sections are zero",
                ));
            }
            let stored = u32_at(image.get(row..row + ROW_LEN)?, ROW_CHECKSUM_AT);
            if stored != Some(checksum(image.get(span.clone())?)) {
                return Err(Corruption::new(section.part(), 0, "the checksum matches the section"));
            }
            row += ROW_LEN;
            end = span.end;
        }
        Ok(())
    }
}

/// Where the section table ends, and its next row would start, with `rows` rows.
fn table_end(rows: usize) -> usize {
    HEADER_LEN + rows * ROW_LEN
}

/// Checksum of header and section table, without the field that holds it.
fn header_checksum(table: &[u8]) -> u32 {
    checksum_of_parts(&[&table[..CHECKSUM_AT], &table[HEADER_LEN..]])
}

fn decode_width(class: u8, width: u8) -> Option<ValueWidth> {
    match (class, width) {
        (CLASS_FIXED, width) => Some(ValueWidth::Fixed(width)),
        (CLASS_BYTES, 0) => Some(ValueWidth::Bytes),
        _ => None,
    }
}

fn put(image: &mut [u8], at: usize, field: &[u8]) {
    image[at..at + field.len()].copy_from_slice(field);
}

/// Makes all checksums of a damaged image right again, so that tests reach what lies behind them.
#[cfg(any(test, fuzzing))]
pub(crate) fn reseal(image: &mut [u8]) {
    let Some(&rows) = image.get(SECTIONS_AT) else {
        return;
    };
    let rows = usize::from(rows);
    if image.len() < table_end(rows) {
        return;
    }
    for at in (0..rows).map(table_end) {
        let start = u64_at(image, at + ROW_OFFSET_AT).unwrap_or(0) as usize;
        let len = u64_at(image, at + ROW_LEN_AT).unwrap_or(0) as usize;
        if let Some(section) = image.get(start..start.saturating_add(len)) {
            let crc = checksum(section);
            put(image, at + ROW_CHECKSUM_AT, &crc.to_le_bytes());
        }
    }
    let crc = header_checksum(&image[..table_end(rows)]);
    put(image, CHECKSUM_AT, &crc.to_le_bytes());
}

/// Number of extents that an image announces.
#[cfg(any(test, fuzzing))]
pub(crate) fn announced_extents(image: &[u8]) -> u32 {
    u32_at(image, EXTENTS_AT).unwrap_or(0)
}

/// Bytes of a section from its start on, and before its end, that a forger would look at.
#[cfg(any(test, fuzzing))]
const EDGE: usize = 192;

/// Where the fields of the header and of the section table begin, and those of the sections whose
/// fields tell where others are: what a forger would write to.
#[cfg(any(test, fuzzing))]
pub(crate) fn field_offsets(image: &[u8]) -> Vec<usize> {
    let header = [CODEC_AT, CLASS_AT, WIDTH_AT, SECTIONS_AT, FLAGS_AT, ENTRIES_AT, WEIGHT_AT];
    let mut fields = header.to_vec();
    fields.extend([TOTAL_AT, EXTENTS_AT, RESERVED_AT]);
    let rows = image.get(SECTIONS_AT).map_or(0, |&rows| usize::from(rows));
    let row = [ROW_ID_AT, ROW_CHECKSUM_AT, ROW_OFFSET_AT, ROW_LEN_AT];
    fields.extend((0..rows).flat_map(|rows| row.map(|field| table_end(rows) + field)));
    for at in (0..rows).map(table_end) {
        let id = u32_at(image, at + ROW_ID_AT).unwrap_or(0) as usize;
        if !matches!(
            Section::from_id(id),
            Some(
                Section::HeadIndex
                    | Section::HeadTails
                    | Section::PieceIndex
                    | Section::Pieces
                    | Section::PointIndex
                    | Section::Symbols
                    | Section::Tails
                    | Section::Values
            )
        ) {
            continue;
        }
        let start = u64_at(image, at + ROW_OFFSET_AT).unwrap_or(0) as usize;
        let end = start.saturating_add(u64_at(image, at + ROW_LEN_AT).unwrap_or(0) as usize);
        let front = (0..EDGE).step_by(2).map(|field| start.saturating_add(field));
        let back = (0..EDGE).step_by(4).map(|field| end.saturating_sub(EDGE).saturating_add(field));
        // What is outside of the image is written nowhere.
        fields.extend(front.chain(back));
    }
    fields
}
