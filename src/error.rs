//! What can go wrong, as data: one public enum, and the one kind of damage that bytes can have.

use std::fmt;

/// Why an operation was refused. Nothing was changed by it, unless its documentation says
/// otherwise.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    /// The encoded key is longer than [`MAX_KEY_LEN`](crate::MAX_KEY_LEN) bytes.
    KeyTooLong {
        /// Length of the encoded key in bytes.
        len: usize,
    },
    /// The value is longer than [`MAX_VALUE_LEN`](crate::MAX_VALUE_LEN) bytes.
    ValueTooLong {
        /// Length of the value in bytes.
        len: usize,
    },
    /// Input that must be strictly ascending was not.
    OutOfOrder {
        /// Zero-based position of the first offending item.
        index: u64,
        /// Whether that item repeats its predecessor's key or stands before it.
        order: SortFault,
    },
    /// The delta's arena has used up its 4 GiB of addresses; a fold empties it.
    DeltaFull,
    /// The allocator refused memory.
    OutOfMemory,
    /// Stored bytes are not what this library writes.
    Corrupted(Corruption),
    /// A fold failed; its input is still readable and the next fold starts from it again.
    FoldFailed {
        /// What the fold said when it failed.
        reason: String,
    },
}

/// In which way sorted input was out of order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SortFault {
    /// The key equals the one before it.
    Duplicate,
    /// The key is smaller than the one before it.
    Descending,
}

/// Where stored bytes differ from the format, and in what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Corruption {
    /// The part that was being read, such as `"segment header"`.
    pub part: &'static str,
    /// Byte offset from the start of that part.
    pub offset: u64,
    /// The rule that the bytes break.
    pub rule: &'static str,
}

impl Corruption {
    /// Damage in `part` at `offset`, against `rule`.
    pub(crate) fn new(part: &'static str, offset: u64, rule: &'static str) -> Self {
        Self { part, offset, rule }
    }
}

impl From<Corruption> for Error {
    fn from(corruption: Corruption) -> Self {
        Self::Corrupted(corruption)
    }
}

impl fmt::Display for Corruption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { part, offset, rule } = self;
        write!(f, "corrupted {part} at byte {offset}: {rule}")
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::KeyTooLong { len } => {
                write!(f, "the key is {len} bytes long when encoded; the limit is 65,535")
            }
            Self::ValueTooLong { len } => {
                write!(f, "the value is {len} bytes long; the limit is 4,294,967,295")
            }
            Self::OutOfOrder { index, order: SortFault::Duplicate } => {
                write!(
                    f,
                    "item {index} repeats the key before it; input must be strictly ascending"
                )
            }
            Self::OutOfOrder { index, order: SortFault::Descending } => {
                write!(f, "item {index} is smaller than the key before it; sort the input first")
            }
            Self::DeltaFull => {
                write!(f, "the delta has used all of its 4 GiB of addresses; call compact() first")
            }
            Self::OutOfMemory => {
                write!(f, "the allocator has no memory left; free some and try again")
            }
            Self::Corrupted(corruption) => {
                write!(f, "{corruption}; restore the data from a good copy")
            }
            Self::FoldFailed { reason } => {
                write!(f, "folding failed ({reason}); nothing is lost, the next fold tries again")
            }
        }
    }
}

impl std::error::Error for Corruption {}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Corrupted(corruption) => Some(corruption),
            _ => None,
        }
    }
}
