//! The frame of a store file: header, directory, trailer. All offsets live here.
//!
//! ```text
//! header (4,096) | for each partition: image, extent rows, extent bytes | directory
//!                | checksum tree | trailer (16)
//! ```
//! All integers are little-endian, everything between the parts is zeros. The file is written from
//! its first byte to its last, so the one thing that is not known before the rest has been
//! written, the root of the checksum tree, stands at its end.

use crate::bytes::{u32_at, u64_at};
use crate::checksum::checksum;
use crate::entry::ValueWidth;
use crate::error::Corruption;
use crate::segment::EXTENT_ROW_LEN;
use std::ops::Range;

/// The version that is written, and the newest that is read.
pub(super) const VERSION: u32 = 1;

/// First bytes of every store.
pub(super) const MAGIC: [u8; 8] = *b"MemKVmap";

/// Last bytes of every store.
const END_MAGIC: [u8; 8] = *b"MemKVend";

// The header, field after field.
const MAGIC_AT: usize = 0;
const VERSION_AT: usize = MAGIC_AT + 8;
const FLAGS_AT: usize = VERSION_AT + 4;
const TOTAL_AT: usize = FLAGS_AT + 4;
const DATA_LEN_AT: usize = TOTAL_AT + 8;
const ENTRIES_AT: usize = DATA_LEN_AT + 8;
const DIRECTORY_AT: usize = ENTRIES_AT + 8;
const DIRECTORY_LEN_AT: usize = DIRECTORY_AT + 8;
const PARTITIONS_AT: usize = DIRECTORY_LEN_AT + 8;
const CLASS_AT: usize = PARTITIONS_AT + 4;
const WIDTH_AT: usize = CLASS_AT + 1;
const KEY_NAME_LEN_AT: usize = WIDTH_AT + 1;
const VALUE_NAME_LEN_AT: usize = KEY_NAME_LEN_AT + 1;
const KEY_NAME_AT: usize = VALUE_NAME_LEN_AT + 1;
const VALUE_NAME_AT: usize = KEY_NAME_AT + NAME_ROOM;
const RESERVED_AT: usize = VALUE_NAME_AT + NAME_ROOM;
const CHECKSUM_AT: usize = HEADER_LEN - 4;

/// Length of the header.
pub(super) const HEADER_LEN: usize = 4096;

/// Bytes that a codec's name has in the header.
const NAME_ROOM: usize = 256;

/// Longest name of a codec.
pub(super) const MAX_NAME_LEN: usize = 255;

// One row of the directory, field after field.
const IMAGE_AT: usize = 0;
const IMAGE_LEN_AT: usize = IMAGE_AT + 8;
const EXTENT_TABLE_AT: usize = IMAGE_LEN_AT + 8;
const EXTENT_BYTES_LEN_AT: usize = EXTENT_TABLE_AT + 8;
const EXTENT_COUNT_AT: usize = EXTENT_BYTES_LEN_AT + 8;
const BOUND_LEN_AT: usize = EXTENT_COUNT_AT + 4;
const BOUND_AT: usize = BOUND_LEN_AT + 4;
const LIVE_AT: usize = BOUND_AT + 8;
const ROW_RESERVED_AT: usize = LIVE_AT + 8;

/// Length of a row of the directory.
pub(super) const ROW_LEN: usize = ROW_RESERVED_AT + 8;

// The trailer, field after field.
const ROOT_AT: usize = 0;
const HEADER_CHECKSUM_AT: usize = ROOT_AT + 4;
const END_MAGIC_AT: usize = HEADER_CHECKSUM_AT + 4;

/// Length of the trailer.
pub(super) const TRAILER_LEN: usize = END_MAGIC_AT + 8;

/// Images start at multiples of this.
pub(super) const IMAGE_ALIGN: u64 = 4096;

/// Extent tables and the directory start at multiples of this.
pub(super) const TABLE_ALIGN: u64 = 64;

/// Value class codes.
const CLASS_FIXED: u8 = 0;
const CLASS_BYTES: u8 = 1;

const HEADER: &str = "store header";
const DIRECTORY: &str = "store directory";
const TRAILER: &str = "store trailer";

/// What is stored, in words: names of the key and the value codec.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TypeNames {
    /// How keys are encoded, such as `u64` or `(str, u64)`.
    pub(crate) key: Box<str>,
    /// How values are.
    pub(crate) value: Box<str>,
}

impl TypeNames {
    /// The names in one phrase, for errors: fit for a terminal, whatever bytes a file has.
    pub(super) fn phrase(&self) -> String {
        format!("{} to {}", self.key.escape_debug(), self.value.escape_debug())
    }
}

/// What the header says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Header {
    /// Length of the whole file.
    pub(super) total: u64,
    /// Length of what the checksum tree covers: header, partitions and directory.
    pub(super) data_len: u64,
    /// Live entries of all partitions.
    pub(super) entries: u64,
    /// Where the directory is.
    pub(super) directory: Range<u64>,
    /// Number of its rows.
    pub(super) partitions: u32,
    /// How values are stored.
    pub(super) width: ValueWidth,
    /// How keys and values are encoded.
    pub(super) names: TypeNames,
}

/// Why a header could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum HeaderFault {
    /// It does not start as a store does.
    NotAStore,
    /// Its format has this version.
    Version(u32),
    /// It is cut off.
    Short,
    /// It breaks a rule.
    Damaged(Corruption),
}

impl Header {
    /// The header's bytes.
    pub(super) fn encode(&self) -> [u8; HEADER_LEN] {
        let mut bytes = [0; HEADER_LEN];
        let (class, width) = match self.width {
            ValueWidth::Fixed(width) => (CLASS_FIXED, width),
            ValueWidth::Bytes => (CLASS_BYTES, 0),
        };
        put(&mut bytes, MAGIC_AT, &MAGIC);
        put(&mut bytes, VERSION_AT, &VERSION.to_le_bytes());
        put(&mut bytes, TOTAL_AT, &self.total.to_le_bytes());
        put(&mut bytes, DATA_LEN_AT, &self.data_len.to_le_bytes());
        put(&mut bytes, ENTRIES_AT, &self.entries.to_le_bytes());
        put(&mut bytes, DIRECTORY_AT, &self.directory.start.to_le_bytes());
        let directory_len = self.directory.end - self.directory.start;
        put(&mut bytes, DIRECTORY_LEN_AT, &directory_len.to_le_bytes());
        put(&mut bytes, PARTITIONS_AT, &self.partitions.to_le_bytes());
        bytes[CLASS_AT] = class;
        bytes[WIDTH_AT] = width;
        for (name, len_at, at) in [
            (&self.names.key, KEY_NAME_LEN_AT, KEY_NAME_AT),
            (&self.names.value, VALUE_NAME_LEN_AT, VALUE_NAME_AT),
        ] {
            assert!(name.len() <= MAX_NAME_LEN, "names are bounded where they are made");
            bytes[len_at] = name.len() as u8;
            put(&mut bytes, at, name.as_bytes());
        }
        let crc = checksum(&bytes[..CHECKSUM_AT]);
        put(&mut bytes, CHECKSUM_AT, &crc.to_le_bytes());
        bytes
    }

    /// Reads the header of a file. Only what is in it is checked, not that the file fits it.
    pub(super) fn decode(file: &[u8]) -> Result<Self, HeaderFault> {
        if file.get(..MAGIC.len()) != Some(&MAGIC) {
            return Err(HeaderFault::NotAStore);
        }
        let version = u32_at(file, VERSION_AT).ok_or(HeaderFault::Short)?;
        if version != VERSION {
            return Err(HeaderFault::Version(version));
        }
        let bytes = file.get(..HEADER_LEN).ok_or(HeaderFault::Short)?;
        Self::decode_fields(bytes).map_err(HeaderFault::Damaged)
    }

    fn decode_fields(bytes: &[u8]) -> Result<Self, Corruption> {
        let damaged = |at: usize, rule| Corruption::new(HEADER, at as u64, rule);
        if u32_at(bytes, CHECKSUM_AT) != Some(checksum(&bytes[..CHECKSUM_AT])) {
            return Err(damaged(CHECKSUM_AT, "the checksum matches the header"));
        }
        let is_zero = |range: Range<usize>| bytes[range].iter().all(|&byte| byte == 0);
        if !is_zero(FLAGS_AT..TOTAL_AT) || !is_zero(RESERVED_AT..CHECKSUM_AT) {
            return Err(damaged(FLAGS_AT, "flags and reserved bytes are zero"));
        }
        let field = |at| u64_at(bytes, at).unwrap_or(0);
        let width = match (bytes[CLASS_AT], bytes[WIDTH_AT]) {
            (CLASS_FIXED, width) => ValueWidth::Fixed(width),
            (CLASS_BYTES, 0) => ValueWidth::Bytes,
            _ => return Err(damaged(CLASS_AT, "values are of fixed width or byte strings")),
        };
        let name = |len_at: usize, at: usize| {
            let room = &bytes[at..at + NAME_ROOM];
            let (name, rest) = room.split_at(usize::from(bytes[len_at]));
            let text = str::from_utf8(name).ok().filter(|_| rest.iter().all(|&byte| byte == 0));
            text.map(Box::from)
                .ok_or_else(|| damaged(at, "the name of a codec is text, then zeros"))
        };
        let directory_at = field(DIRECTORY_AT);
        let directory_end = directory_at.checked_add(field(DIRECTORY_LEN_AT));
        let header = Self {
            total: field(TOTAL_AT),
            data_len: field(DATA_LEN_AT),
            entries: field(ENTRIES_AT),
            directory: directory_at..directory_end.unwrap_or(0),
            partitions: u32_at(bytes, PARTITIONS_AT).unwrap_or(0),
            width,
            names: TypeNames {
                key: name(KEY_NAME_LEN_AT, KEY_NAME_AT)?,
                value: name(VALUE_NAME_LEN_AT, VALUE_NAME_AT)?,
            },
        };
        let rows_len = u64::from(header.partitions) * ROW_LEN as u64;
        let least_end = directory_at.checked_add(rows_len);
        let is_inside = directory_at >= HEADER_LEN as u64
            && least_end.is_some_and(|end| end <= header.directory.end);
        if !is_inside || header.directory.end != header.data_len {
            return Err(damaged(DIRECTORY_AT, "the directory follows the partitions"));
        }
        Ok(header)
    }
}

/// Where a partition's parts are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Row {
    /// The image of its segment; empty if it has no entries, and so are the next two.
    pub(super) image: Range<u64>,
    /// The table of its extents.
    pub(super) extent_table: Range<u64>,
    /// The bytes of its extents, which follow the table.
    pub(super) extent_bytes: Range<u64>,
    /// The smallest key that belongs to it; empty for the first partition.
    pub(super) bound: Range<u64>,
    /// Live entries.
    pub(super) live: u64,
}

impl Row {
    /// The row's bytes.
    pub(super) fn encode(&self) -> [u8; ROW_LEN] {
        let len = |range: &Range<u64>| range.end - range.start;
        let extent_count = len(&self.extent_table) / EXTENT_ROW_LEN as u64;
        let mut bytes = [0; ROW_LEN];
        put(&mut bytes, IMAGE_AT, &self.image.start.to_le_bytes());
        put(&mut bytes, IMAGE_LEN_AT, &len(&self.image).to_le_bytes());
        put(&mut bytes, EXTENT_TABLE_AT, &self.extent_table.start.to_le_bytes());
        put(&mut bytes, EXTENT_BYTES_LEN_AT, &len(&self.extent_bytes).to_le_bytes());
        put(&mut bytes, EXTENT_COUNT_AT, &(extent_count as u32).to_le_bytes());
        put(&mut bytes, BOUND_LEN_AT, &(len(&self.bound) as u32).to_le_bytes());
        put(&mut bytes, BOUND_AT, &self.bound.start.to_le_bytes());
        put(&mut bytes, LIVE_AT, &self.live.to_le_bytes());
        bytes
    }

    /// Reads the row of this number. Its parts are inside the file, in order, and where they have
    /// to be.
    pub(super) fn decode(
        bytes: &[u8; ROW_LEN],
        number: u32,
        header: &Header,
    ) -> Result<Self, Corruption> {
        let row_at = u64::from(number) * ROW_LEN as u64;
        let damaged = |at: usize, rule| Corruption::new(DIRECTORY, row_at + at as u64, rule);
        let wide = |at| u64_at(bytes, at).unwrap_or(0);
        let short = |at| u64::from(u32_at(bytes, at).unwrap_or(0));
        // A part of this length at `at`, not before `floor` and not beyond `limit`.
        let part = |at: u64, len: u64, floor: u64, limit: u64| {
            let end = at.checked_add(len)?;
            (at >= floor && end <= limit).then_some(at..end)
        };
        if wide(ROW_RESERVED_AT) != 0 {
            return Err(damaged(ROW_RESERVED_AT, "reserved bytes are zero"));
        }
        let bound =
            part(wide(BOUND_AT), short(BOUND_LEN_AT), header.directory.start, header.directory.end);
        let is_unbounded = wide(BOUND_AT) == 0 && short(BOUND_LEN_AT) == 0;
        let bound = if number == 0 { is_unbounded.then_some(0..0) } else { bound };
        let bound = bound.ok_or_else(|| {
            damaged(BOUND_AT, "bounds stand in the directory, the first row has none")
        })?;
        let live = wide(LIVE_AT);
        if wide(IMAGE_LEN_AT) == 0 {
            return if bytes[..BOUND_LEN_AT].iter().all(|&byte| byte == 0) && live == 0 {
                Ok(Self { bound, ..Self::default() })
            } else {
                Err(damaged(IMAGE_AT, "a partition without a segment has nothing"))
            };
        }
        let limit = header.directory.start;
        let image = part(wide(IMAGE_AT), wide(IMAGE_LEN_AT), HEADER_LEN as u64, limit)
            .filter(|image| image.start.is_multiple_of(IMAGE_ALIGN))
            .ok_or_else(|| damaged(IMAGE_AT, "images start at blocks before the directory"))?;
        let table_len = short(EXTENT_COUNT_AT) * EXTENT_ROW_LEN as u64;
        let table = part(wide(EXTENT_TABLE_AT), table_len, image.end, limit);
        let table = table.filter(|table| table.start.is_multiple_of(TABLE_ALIGN));
        let bytes = table
            .as_ref()
            .and_then(|table| part(table.end, wide(EXTENT_BYTES_LEN_AT), table.end, limit));
        match table.zip(bytes) {
            Some((extent_table, extent_bytes)) => {
                Ok(Self { image, extent_table, extent_bytes, bound, live })
            }
            None => Err(damaged(EXTENT_TABLE_AT, "extents stand behind their image")),
        }
    }
}

/// The last bytes of a file with this header and this root of the checksum tree.
pub(super) fn encode_trailer(root: u32, header: &[u8; HEADER_LEN]) -> [u8; TRAILER_LEN] {
    let mut bytes = [0; TRAILER_LEN];
    put(&mut bytes, ROOT_AT, &root.to_le_bytes());
    put(&mut bytes, HEADER_CHECKSUM_AT, &header[CHECKSUM_AT..]);
    put(&mut bytes, END_MAGIC_AT, &END_MAGIC);
    bytes
}

/// Reads the trailer of a file whose header and length were checked; answers the root.
pub(super) fn decode_trailer(file: &[u8]) -> Result<u32, Corruption> {
    let start = file.len().saturating_sub(TRAILER_LEN);
    let bytes = &file[start..];
    let damaged = |at: usize, rule| Corruption::new(TRAILER, at as u64, rule);
    if bytes.get(END_MAGIC_AT..) != Some(&END_MAGIC) {
        return Err(damaged(END_MAGIC_AT, "a store ends with its end mark"));
    }
    if u32_at(bytes, HEADER_CHECKSUM_AT) != u32_at(file, CHECKSUM_AT) {
        return Err(damaged(HEADER_CHECKSUM_AT, "it repeats the checksum of the header"));
    }
    Ok(u32_at(bytes, ROOT_AT).unwrap_or(0))
}

fn put(bytes: &mut [u8], at: usize, field: &[u8]) {
    bytes[at..at + field.len()].copy_from_slice(field);
}

/// Makes all checksums of a damaged file right again, so that fuzzers reach what lies behind them:
/// of its segment, of its header, and of its blocks. What cannot be found any more stays as it is.
#[cfg(any(test, fuzzing))]
pub(crate) fn reseal(file: &mut Vec<u8>) {
    use crate::blocks::{TreeBuilder, TreeShape};

    if let Some(image) = image_span(file) {
        crate::segment::reseal(&mut file[image]);
    }
    let Some(header) = file.first_chunk::<HEADER_LEN>() else { return };
    let crc = checksum(&header[..CHECKSUM_AT]);
    put(file, CHECKSUM_AT, &crc.to_le_bytes());
    let data_len = u64_at(file, DATA_LEN_AT).and_then(|len| usize::try_from(len).ok());
    let Some(data_len) = data_len.filter(|len| (HEADER_LEN..=file.len()).contains(len)) else {
        return;
    };
    let mut tree = TreeBuilder::new();
    tree.push(&file[..data_len]).expect("memory");
    let (tree, root) = tree.finish().expect("memory");
    file.truncate(data_len);
    file.resize(TreeShape::of(data_len as u64).tree_offset() as usize, 0);
    file.extend_from_slice(&tree);
    let header = *file.first_chunk().expect("it was there above");
    file.extend_from_slice(&encode_trailer(root, &header));
}

/// Where the first partition's image is, according to the directory.
#[cfg(any(test, fuzzing))]
fn image_span(file: &[u8]) -> Option<Range<usize>> {
    let row = usize::try_from(u64_at(file, DIRECTORY_AT)?).ok()?;
    let field = |at| usize::try_from(u64_at(file, row.checked_add(at)?)?).ok();
    let (start, len) = (field(IMAGE_AT)?, field(IMAGE_LEN_AT)?);
    let end = start.checked_add(len)?;
    (start <= end && end <= file.len()).then_some(start..end)
}

/// Where fields begin: what a forger would write to.
#[cfg(any(test, fuzzing))]
pub(crate) fn field_offsets(file: &[u8]) -> Vec<usize> {
    let mut fields = vec![VERSION_AT, FLAGS_AT, TOTAL_AT, DATA_LEN_AT, ENTRIES_AT, DIRECTORY_AT];
    fields.extend([DIRECTORY_LEN_AT, PARTITIONS_AT, CLASS_AT, WIDTH_AT, KEY_NAME_LEN_AT]);
    fields.extend([VALUE_NAME_LEN_AT, KEY_NAME_AT, VALUE_NAME_AT, RESERVED_AT]);
    let directory = u64_at(file, DIRECTORY_AT).and_then(|at| usize::try_from(at).ok());
    let directory = directory.filter(|at| *at < file.len());
    let row = [IMAGE_AT, IMAGE_LEN_AT, EXTENT_TABLE_AT, EXTENT_BYTES_LEN_AT, EXTENT_COUNT_AT];
    let rest = [BOUND_LEN_AT, BOUND_AT, LIVE_AT, ROW_RESERVED_AT];
    let row = directory.map(|at| row.into_iter().chain(rest).map(move |field| at + field));
    fields.extend(row.into_iter().flatten());
    if let Some(image) = image_span(file) {
        let start = image.start;
        let table = image.end.next_multiple_of(TABLE_ALIGN as usize);
        let inner = crate::segment::field_offsets(&file[image]);
        fields.extend(inner.into_iter().filter_map(|at| start.checked_add(at)));
        fields.extend((0..4 * EXTENT_ROW_LEN).step_by(4).map(|at| table + at));
    }
    fields
}
