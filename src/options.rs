//! How a map is set up: plain data, each field with its default and its effect.

use std::num::NonZeroUsize;
use std::time::Duration;

/// Who folds deltas into segments, and when.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Compaction {
    /// One worker thread for the whole process folds when a fold is due; a writer that runs far
    /// ahead of it folds by itself, beside it. The thread starts with the first fold that will be due.
    #[default]
    Background,
    /// The writer that makes a fold due runs it before its call returns. Deterministic.
    Inline,
    /// Nothing is folded until [`compact`](crate::MemKV::compact) is called.
    Manual,
}

/// Where the bytes of an opened file are while the map is in use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Residence {
    /// In the file, which is mapped: opening takes the same time whatever its length, pages come
    /// into memory when they are first read and are checked then, and the system may drop them.
    #[default]
    Mapped,
    /// Copied into memory, with huge pages where the system has them, and checked completely while
    /// it is opened: reads never wait for the disk afterwards.
    Resident,
}

/// What the segments of a map are made for.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Profile {
    /// Few bytes and quick gets and walks: text in front-coded blocks, numbers packed. Keys of one length of
    /// 9 to 48 bytes, such as UUIDs and hashes, are packed too, all but what they share, unless they are
    /// likely smaller as text, or two of a segment agree in their first eight bytes that differ. What comes again
    /// and again in text is replaced by symbols (FSST) where that spares a seventh of the keys' bytes and
    /// 1.5 bytes for each; folds and bulk loads of such text take up to three times as long.
    #[default]
    Balanced,
    /// Fewest bytes. Text is stored both in larger front-coded blocks, with symbols if these spare
    /// anything, and in a transducer, and the smaller of the two is kept, segment by segment: a
    /// transducer wins where keys share long endings as well as beginnings. Folds and bulk loads of
    /// text take five to ten times as long and about a MiB more memory each, gets up to a third longer,
    /// and walks over a transducer four times as long; more for long keys, whose bytes a transducer
    /// goes through one by one: with an ending of 100 bytes in common, loads took 45 times as long, gets
    /// 1.7 times, walks 19 times. Keys of one length are also packed, and kept so if that is smallest. Numbers
    /// are stored as by [`Balanced`](Self::Balanced).
    Smallest,
    /// Gets of text by a table of hashes, which says where a key is, or that it is nowhere; keys are
    /// stored so that one is read without its neighbours. A get of an absent key took a quarter to a
    /// half of the time that it takes with [`Balanced`](Self::Balanced), one of a present key about as
    /// long as there. The table takes 5 bytes for each key, and what keys do not share with neighbours
    /// any more 2 to 4. Symbols replace what comes again and again where that spares a quarter of all
    /// bytes for keys, as in URLs and paths; a walk over such text takes a quarter longer. Walks and
    /// ranges do not use the table. Numbers, and keys that are
    /// packed, are stored as by [`Balanced`](Self::Balanced).
    Fastest,
}

/// Settings of one map; see the fields for defaults.
///
/// ```
/// use memkv::{Compaction, MemKV, Options};
/// let options = Options { compaction: Compaction::Manual, ..Options::default() };
/// let kv: MemKV<String, u64> = MemKV::with_options(options);
/// assert!(kv.is_empty());
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// Who folds, and when. Default: [`Compaction::Background`].
    pub compaction: Compaction,
    /// Entries of a partition, the key range that is folded at once: a fold that would write more
    /// than twice as many divides it, and one that leaves less than a quarter joins it with a
    /// neighbour, if both have at most half as many. Partitions of larger keys and values are divided
    /// before that: at 7 MiB, where a byte of a key counts for eight, but for those behind the first 16
    /// and before the 113th, each of which counts for half a byte (101,945 entries of `u64` both, 43,000
    /// of 85 bytes of text), so that folds take some milliseconds each. A saved file depends on this, on
    /// the profiles that its segments were made for, and on the entries, on nothing else. At least 1.
    /// Default: 65,536.
    pub partition_entries: usize,
    /// What segments are made for. Those of an opened file stay as they were saved until a fold has to
    /// write them; [`compact`](crate::MemKV::compact) writes text anew that was made for something else,
    /// except into limited memory from a file that is mapped. Default: [`Profile::Balanced`].
    ///
    /// ```
    /// use memkv::{MemKV, Options, Profile};
    /// let words: Vec<String> = (0..5_000).map(|n| format!("{n:05}-ending")).collect();
    /// let bytes = |profile| {
    ///     let kv = MemKV::with_options(Options { profile, ..Options::default() });
    ///     kv.extend_sorted(words.iter().map(|word| (word.as_str(), ()))).unwrap();
    ///     (kv.memory_usage().total(), kv) as (usize, MemKV<String, ()>)
    /// };
    /// let (balanced, smallest) = (bytes(Profile::Balanced), bytes(Profile::Smallest));
    /// assert!(smallest.0 < balanced.0);
    /// assert!(smallest.1.iter().eq(balanced.1.iter()));
    /// ```
    pub profile: Profile,
    /// Share of all entries, in percent, that may sit in the deltas of all partitions together
    /// before a fold is due. What open iterators keep of replaced entries has a budget of its own,
    /// of the floor below and 64 bytes for each entry of the share. Default: 2.
    pub delta_percent: f64,
    /// While the deltas of all partitions together take fewer bytes than this, large values not
    /// counted, nothing is folded for its size. Default: 256 KiB.
    pub delta_floor_bytes: usize,
    /// With [`Compaction::Background`], a delta older than this, or a quarter more, is folded
    /// whatever its size (but for deltas of a few KiB: the fold would save next to nothing).
    /// Default: 60 s. `None`: age does not matter.
    pub delta_max_age: Option<Duration>,
    /// An overlay of more than this share of its base, in percent of entries, is merged into the
    /// base by the next fold; half of this share, if that is text of which a fold copies most. 0 writes
    /// no overlays. Default: 20.
    pub overlay_percent: f64,
    /// Threads that calls which build many segments start besides the caller's, and wait for:
    /// [`from_sorted`](crate::MemKV::from_sorted) and
    /// [`extend_sorted`](crate::MemKV::extend_sorted), whose entries the caller's reads while the
    /// others build, and [`compact`](crate::MemKV::compact). Where writes are so quick that several
    /// partitions are to be folded, whoever folds them, a writer too, does so with as many threads
    /// more. Each needs memory for the entries of a partition, as they are and once more as they are
    /// compressed. What is in the map is the same.
    /// On two processors, two of them made loads of text 1.7 times as fast, and 2.3 times with
    /// [`Profile::Smallest`]; numbers are compressed about as fast as they are read, so that loads of
    /// them gain nothing. Default: 0, the caller does it all.
    pub threads: u32,
    /// Bytes of heap that the map may hold, as [`memory_usage`](crate::MemKV::memory_usage) counts
    /// them. A write that may need more than is left folds what is in deltas, except with
    /// [`Compaction::Manual`], and is refused with [`Error::MemoryLimit`](crate::Error::MemoryLimit)
    /// if that makes too little room. Removals are never refused: their tombstones may pass the
    /// limit by what deltas may take before a fold is due. Not counted are some 150 bytes for each
    /// partition, what only iterators keep alive, and what a fold takes while it runs, up to three
    /// times one partition with its values as they are, four where symbols are found for text (with [`Profile::Smallest`] or
    /// [`Profile::Fastest`] a MiB more, and all that for each of the [`threads`](Self::threads), or
    /// twice where a writer folds beside the worker); what
    /// is copied because an iterator is open, and tables that grow with a delta, can pass the limit by
    /// some KiB for each thread; a fold that finds less to compress than the one before it, as other
    /// entries come together, adds what that is. Default: `None`, no limit.
    ///
    /// ```
    /// use memkv::{Error, MemKV, Options};
    /// use std::num::NonZeroUsize;
    /// let options =
    ///     Options { memory_limit_bytes: NonZeroUsize::new(64 << 10), ..Options::default() };
    /// let kv: MemKV<u64, [u8; 32]> = MemKV::with_options(options);
    /// let refused = (0..).find_map(|n: u64| kv.try_put(n, [n as u8; 32]).err());
    /// assert!(matches!(refused, Some(Error::MemoryLimit { .. })));
    /// assert!(kv.memory_usage().total() <= 64 << 10);
    /// ```
    pub memory_limit_bytes: Option<NonZeroUsize>,
    /// Where the bytes of an opened file are. No effect on maps that are not opened from a file.
    /// Default: [`Residence::Mapped`].
    pub residence: Residence,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            compaction: Compaction::Background,
            partition_entries: 1 << 16,
            profile: Profile::Balanced,
            delta_percent: 2.0,
            delta_floor_bytes: 256 << 10,
            delta_max_age: Some(Duration::from_mins(1)),
            overlay_percent: 20.0,
            threads: 0,
            memory_limit_bytes: None,
            residence: Residence::Mapped,
        }
    }
}
