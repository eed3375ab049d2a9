//! What can go wrong, as data: one public enum, and the one kind of damage that bytes can have.

use std::path::{Path, PathBuf};
use std::{fmt, io};

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
    /// The map may hold no more than
    /// [`Options::memory_limit_bytes`](crate::Options::memory_limit_bytes), and folding made too
    /// little room. It can be read, and entries can be removed.
    MemoryLimit {
        /// The limit in bytes.
        limit_bytes: usize,
        /// Bytes that the map held when it refused.
        held_bytes: usize,
    },
    /// Stored bytes are not what this library writes.
    Corrupted(Corruption),
    /// A fold failed; its input is still readable and the next fold starts from it again.
    FoldFailed {
        /// What the fold said when it failed.
        reason: String,
    },
    /// Another map, of this process or another, is attached to the file or is writing it.
    Locked {
        /// The file, not its lock.
        path: PathBuf,
    },
    /// The map was opened read-only.
    ReadOnly,
    /// The map was not opened from a file, so there is none to save it to.
    NotAttached,
    /// The operating system refused an operation on a file.
    Io {
        /// The file that was worked on.
        path: PathBuf,
        /// What was being done, such as `"write"`.
        action: &'static str,
        /// The kind of refusal.
        kind: io::ErrorKind,
        /// The operating system's words.
        message: String,
    },
    /// The file is something else than a saved map.
    NotAStore {
        /// The file.
        path: PathBuf,
    },
    /// The file has a format that this release does not know.
    Version {
        /// The file.
        path: PathBuf,
        /// Version of its format.
        found: u32,
        /// The newest version that this release knows.
        supported: u32,
    },
    /// The file holds a map of other keys or values.
    TypeMismatch {
        /// The file.
        path: PathBuf,
        /// How its keys and values are stored.
        stored: String,
        /// How those of the map that was asked for are.
        asked: String,
    },
    /// The file ends too early.
    Truncated {
        /// The file.
        path: PathBuf,
        /// The length it should have, in bytes.
        expected: u64,
        /// The length it has.
        found: u64,
    },
    /// The bytes of a file are not what this library wrote.
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where and in what.
        corruption: Corruption,
    },
}

impl Error {
    /// The operating system's refusal to do `action` with the file at `path`.
    pub(crate) fn io(path: &Path, action: &'static str, error: &io::Error) -> Self {
        if error.kind() == io::ErrorKind::OutOfMemory {
            return Self::OutOfMemory;
        }
        Self::Io { path: path.into(), action, kind: error.kind(), message: error.to_string() }
    }

    /// Damage in the file at `path`.
    pub(crate) fn damaged(path: &Path, corruption: Corruption) -> Self {
        Self::Damaged { path: path.into(), corruption }
    }

    /// Advice for an error of the operating system.
    fn advice(kind: io::ErrorKind) -> &'static str {
        match kind {
            io::ErrorKind::NotFound => "check the path",
            io::ErrorKind::PermissionDenied => "check the permissions of the file and its folder",
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "free some space",
            io::ErrorKind::AlreadyExists => "move away what has that name",
            io::ErrorKind::IsADirectory | io::ErrorKind::NotADirectory => "choose another path",
            io::ErrorKind::ReadOnlyFilesystem => "choose another place",
            _ => "nothing was lost; try again when the cause is gone",
        }
    }
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
            Self::MemoryLimit { limit_bytes, held_bytes } => write!(
                f,
                "the map holds {held_bytes} of the {limit_bytes} bytes it may have, and the write \
                 needs more than is left; remove entries and call compact(), or raise the limit"
            ),
            Self::Corrupted(corruption) => {
                write!(f, "{corruption}; restore the data from a good copy")
            }
            Self::FoldFailed { reason } => {
                write!(f, "folding failed ({reason}); nothing is lost, the next fold tries again")
            }
            Self::Locked { path } => write!(
                f,
                "{} is in use by another map; drop that one first, or open it read-only",
                path.display()
            ),
            Self::ReadOnly => {
                write!(f, "the map was opened read-only; open it with `open` to change it")
            }
            Self::NotAttached => {
                write!(f, "the map was not opened from a file; save it with `save_to`")
            }
            Self::Io { path, action, kind, message } => {
                let (path, advice) = (path.display(), Self::advice(*kind));
                write!(f, "could not {action} {path}: {message}; {advice}")
            }
            Self::NotAStore { path } => {
                write!(f, "{} is not a saved map; check the path", path.display())
            }
            Self::Version { path, found, supported } => write!(
                f,
                "{} has version {found} of the format, this release knows up to {supported}; use \
                 the release that wrote it, or a newer one",
                path.display()
            ),
            Self::TypeMismatch { path, stored, asked } => write!(
                f,
                "{} holds a map of {stored}, not of {asked}; open it with the types it was saved \
                 with",
                path.display()
            ),
            Self::Truncated { path, expected, found } => write!(
                f,
                "{} ends at byte {found} instead of {expected}; restore it from a good copy",
                path.display()
            ),
            Self::Damaged { path, corruption } => {
                write!(f, "{}: {corruption}; restore it from a good copy", path.display())
            }
        }
    }
}

impl std::error::Error for Corruption {}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Corrupted(corruption) | Self::Damaged { corruption, .. } => Some(corruption),
            _ => None,
        }
    }
}
