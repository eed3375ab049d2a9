//! Saving a map to a file, and opening it again.

use super::{Handle, MemKV};
use crate::compact::Core;
use crate::error::Error;
use crate::key::{CodecName, Key};
use crate::options::Options;
use crate::stats::VerifyProgress;
use crate::storage::{FileSystem, Storage};
use crate::store::{self, Access, Attached, Content, TypeNames};
use crate::sync::Arc;
use crate::value::{Value, width_of};
use std::marker::PhantomData;
use std::path::Path;

/// Files.
///
/// A saved map is one file, read in place: opening takes the same time whatever its length. It is
/// replaced as a whole and never changed, so whoever has it open goes on reading what it opened.
/// A map that was opened for writing holds a lock on `path.lock`, an empty file that stays beside
/// it, until its last handle is dropped. Whoever may write the file may take the lock, from the
/// next time on that its owner has taken it.
///
/// While a file is open nobody may write to it or cut it off by other means than this library:
/// what is read then may be wrong, or the process may be ended by the system, as it may by a disk
/// that cannot be read any more. [`Residence::Resident`](crate::Residence::Resident) keeps away
/// from both. To replace the file, give another one its name.
impl<K: Key, V: Value> MemKV<K, V> {
    /// Saves all entries, as of one moment, to a file, in place of what is there.
    ///
    /// The new file is written to `path` with `.tmp` appended, synced, and given its name in one
    /// step, so that a crash at any moment leaves the old file or the new one. Other threads read
    /// and write the map meanwhile. The file depends on the entries, and on
    /// [`partition_entries`](crate::Options::partition_entries), alone, not on how they came into
    /// the map. Links are followed: the file they lead to is replaced. The new one belongs to
    /// whoever saves and has the permissions of the old one; where there is none, only its owner
    /// may read it.
    ///
    /// What a killed process has left under the temporary name is removed; anything else under it
    /// is an error, as is a path that ends in a separator, or in `.lock`, which would be a lock's
    /// name.
    ///
    /// The map is not attached to the file by this; see [`open`](Self::open). On a map that was
    /// opened from this very file it is the same as [`save`](Self::save).
    ///
    /// # Complexity
    /// O(bytes of the map). From the first partition on that has entries which have not been folded
    /// into its base, or that does not end where the file's would, all is encoded anew, which takes
    /// up to the memory of the map once more meanwhile; before it, partitions of text are that keys have
    /// come to or gone from. For a map that was loaded sorted or opened
    /// and not changed it takes 1 MiB and up to two thousandths of the file.
    ///
    /// # Errors
    /// [`Error::Locked`] if another map is attached to the file or saving to it, [`Error::Io`],
    /// [`Error::OutOfMemory`], and [`Error::Corrupted`] or [`Error::Damaged`] if bytes of this map
    /// are damaged. What was at `path` is then untouched and nothing but the lock is left behind,
    /// unless only the last step failed, the syncing of the folder: then the new file is in place,
    /// but a crash of the system may bring the old one back.
    ///
    /// # Example
    /// ```
    /// use memkv::MemKV;
    /// # let folder = tempfile::tempdir().unwrap();
    /// # let path = folder.path().join("fruit.memkv");
    /// let kv: MemKV<String, u64> = MemKV::from_iter([("apple", 3), ("pear", 4)]);
    /// kv.save_to(&path)?;
    /// let copy: MemKV<String, u64> = MemKV::open_read_only(&path)?;
    /// assert_eq!(copy.get("pear"), Some(4));
    /// # Ok::<(), memkv::Error>(())
    /// ```
    pub fn save_to(&self, path: impl AsRef<Path>) -> Result<(), Error> {
        self.save_in(&FileSystem, path.as_ref())
    }

    /// Saves all entries to the file that the map was opened from.
    ///
    /// As [`save_to`](Self::save_to) in all else. Of several threads that call it at once, one
    /// saves after the other.
    ///
    /// # Complexity
    /// As [`save_to`](Self::save_to).
    ///
    /// # Errors
    /// [`Error::NotAttached`] if the map was not opened from a file, [`Error::ReadOnly`] if it was
    /// opened read-only; else as [`save_to`](Self::save_to).
    ///
    /// # Example
    /// ```
    /// use memkv::{Error, MemKV};
    /// # let folder = tempfile::tempdir().unwrap();
    /// # let path = folder.path().join("fruit.memkv");
    /// let new: MemKV<String, u64> = MemKV::new();
    /// assert_eq!(new.save(), Err(Error::NotAttached));
    /// new.save_to(&path)?;
    ///
    /// let kv: MemKV<String, u64> = MemKV::open(&path)?;
    /// kv.insert("apple", 3);
    /// kv.save()?;
    /// # Ok::<(), memkv::Error>(())
    /// ```
    pub fn save(&self) -> Result<(), Error> {
        let attached = self.handle.attached.as_ref().ok_or(Error::NotAttached)?;
        attached.save(|| self.content()).map_err(|error| self.named(error))
    }

    /// Opens a saved map, to read and to change it.
    ///
    /// The map is attached to the file: no other one can be, in this process or another, until the
    /// last handle to it is dropped (iterators do not count). Changes stay in memory until
    /// [`save`](Self::save) is called; nothing is saved by itself.
    ///
    /// Bytes are checked when they are first read, against checksums of blocks of 4,096 bytes, so a
    /// damaged file may open and be refused by a read; [`verify`](Self::verify) reads everything.
    ///
    /// Of a file that somebody else made, note that a set (values without bytes) may have far more
    /// entries than its file has bytes. Opening, verifying and single reads do not take longer for
    /// it, but iterating, [`compact`](Self::compact) and saving do: look at [`len`](Self::len).
    ///
    /// # Complexity
    /// O(number of partitions): 64 bytes and a key are read for each of them, which is some 65,000
    /// entries, and one bit is allocated for each block of the file.
    ///
    /// # Errors
    /// [`Error::Locked`], [`Error::NotAStore`], [`Error::Version`], [`Error::TypeMismatch`] if the
    /// map was saved with other types of keys or values, [`Error::Truncated`], [`Error::Damaged`],
    /// [`Error::Io`] and [`Error::OutOfMemory`]. A file that is not a saved map is not touched.
    ///
    /// # Example
    /// ```
    /// use memkv::{Error, MemKV};
    /// # let folder = tempfile::tempdir().unwrap();
    /// # let path = folder.path().join("fruit.memkv");
    /// # MemKV::<String, u64>::from_iter([("pear", 4)]).save_to(&path)?;
    /// let kv: MemKV<String, u64> = MemKV::open(&path)?;
    /// assert_eq!(kv.get("pear"), Some(4));
    /// assert!(matches!(MemKV::<String, u64>::open(&path), Err(Error::Locked { .. })));
    /// assert!(matches!(MemKV::<u64, u64>::open_read_only(&path), Err(Error::TypeMismatch { ..
    /// })));
    /// # Ok::<(), memkv::Error>(())
    /// ```
    pub fn open(path: impl AsRef<Path>) -> Result<Self, Error> {
        Self::open_with_options(path, Options::default())
    }

    /// [`open`](Self::open) with options, of which
    /// [`residence`](Options::residence) says where the file's bytes will be.
    ///
    /// # Complexity
    /// As [`open`](Self::open); O(bytes of the file) with
    /// [`Residence::Resident`](crate::Residence::Resident).
    ///
    /// # Errors
    /// As [`open`](Self::open).
    ///
    /// # Example
    /// ```
    /// use memkv::{MemKV, Options, Residence};
    /// # let folder = tempfile::tempdir().unwrap();
    /// # let path = folder.path().join("fruit.memkv");
    /// # MemKV::<String, u64>::from_iter([("pear", 4)]).save_to(&path)?;
    /// let options = Options { residence: Residence::Resident, ..Options::default() };
    /// let kv: MemKV<String, u64> = MemKV::open_with_options(&path, options)?;
    /// assert_eq!(kv.get("pear"), Some(4));
    /// # Ok::<(), memkv::Error>(())
    /// ```
    pub fn open_with_options(path: impl AsRef<Path>, options: Options) -> Result<Self, Error> {
        Self::open_in(Box::new(FileSystem), path.as_ref(), options, Access::ReadWrite)
    }

    /// Opens a saved map as [`open`](Self::open) does, or a new one if there is no file: it is made
    /// at once, without entries, with the lock held.
    ///
    /// Of several maps that call it at once, one makes the file and is attached to it, the others
    /// find it locked.
    ///
    /// # Complexity
    /// As [`open`](Self::open).
    ///
    /// # Errors
    /// As [`open`](Self::open) and [`save_to`](Self::save_to); the folder of the file has to be
    /// there. If the new file cannot be read after it was made, it stays.
    ///
    /// # Example
    /// ```
    /// use memkv::MemKV;
    /// # let folder = tempfile::tempdir().unwrap();
    /// # let path = folder.path().join("visits.memkv");
    /// for visits in 1..=3 {
    ///     let kv: MemKV<String, u64> = MemKV::open_or_create(&path)?;
    ///     kv.insert("home", kv.get("home").unwrap_or(0) + 1);
    ///     kv.save()?;
    ///     assert_eq!(kv.get("home"), Some(visits));
    /// }
    /// # Ok::<(), memkv::Error>(())
    /// ```
    pub fn open_or_create(path: impl AsRef<Path>) -> Result<Self, Error> {
        Self::open_or_create_with_options(path, Options::default())
    }

    /// [`open_or_create`](Self::open_or_create) with options, of which
    /// [`residence`](Options::residence) says where the file's bytes will be.
    ///
    /// # Complexity
    /// As [`open_with_options`](Self::open_with_options).
    ///
    /// # Errors
    /// As [`open_or_create`](Self::open_or_create).
    ///
    /// # Example
    /// ```
    /// use memkv::{Compaction, MemKV, Options};
    /// # let folder = tempfile::tempdir().unwrap();
    /// # let path = folder.path().join("visits.memkv");
    /// let options = Options { compaction: Compaction::Inline, ..Options::default() };
    /// let kv: MemKV<String, u64> = MemKV::open_or_create_with_options(&path, options)?;
    /// assert!(kv.is_empty());
    /// # Ok::<(), memkv::Error>(())
    /// ```
    pub fn open_or_create_with_options(
        path: impl AsRef<Path>,
        options: Options,
    ) -> Result<Self, Error> {
        Self::open_in(Box::new(FileSystem), path.as_ref(), options, Access::Create)
    }

    /// Opens a saved map to read it. Any number of maps and processes can, beside one that has it
    /// open for writing, whose saves this one does not see.
    ///
    /// Writes are refused: [`try_insert`](Self::try_insert) and the like return
    /// [`Error::ReadOnly`], and [`insert`](Self::insert) and the like panic with its text. Nothing
    /// is ever folded. No lock is taken and nothing is written anywhere.
    ///
    /// # Complexity
    /// As [`open`](Self::open).
    ///
    /// # Errors
    /// As [`open`](Self::open), but for [`Error::Locked`].
    ///
    /// # Example
    /// ```
    /// use memkv::{Error, MemKV};
    /// # let folder = tempfile::tempdir().unwrap();
    /// # let path = folder.path().join("fruit.memkv");
    /// # MemKV::<String, u64>::from_iter([("pear", 4)]).save_to(&path)?;
    /// let kv: MemKV<String, u64> = MemKV::open_read_only(&path)?;
    /// assert_eq!(kv.get("pear"), Some(4));
    /// assert_eq!(kv.try_insert("plum", 5), Err(Error::ReadOnly));
    /// # Ok::<(), memkv::Error>(())
    /// ```
    pub fn open_read_only(path: impl AsRef<Path>) -> Result<Self, Error> {
        Self::open_read_only_with_options(path, Options::default())
    }

    /// [`open_read_only`](Self::open_read_only) with options, of which
    /// [`residence`](Options::residence) says where the file's bytes will be.
    ///
    /// # Complexity
    /// As [`open_with_options`](Self::open_with_options).
    ///
    /// # Errors
    /// As [`open_read_only`](Self::open_read_only).
    ///
    /// # Example
    /// ```
    /// use memkv::{MemKV, Options, Residence};
    /// # let folder = tempfile::tempdir().unwrap();
    /// # let path = folder.path().join("fruit.memkv");
    /// # MemKV::<String, u64>::from_iter([("pear", 4)]).save_to(&path)?;
    /// let options = Options { residence: Residence::Resident, ..Options::default() };
    /// let kv: MemKV<String, u64> = MemKV::open_read_only_with_options(&path, options)?;
    /// assert_eq!(kv.len(), 1);
    /// # Ok::<(), memkv::Error>(())
    /// ```
    pub fn open_read_only_with_options(
        path: impl AsRef<Path>,
        options: Options,
    ) -> Result<Self, Error> {
        Self::open_in(Box::new(FileSystem), path.as_ref(), options, Access::ReadOnly)
    }

    /// The file that the map was opened from, as an absolute path without links. `None` for a map
    /// that was not opened from one; saving to a file does not change that.
    ///
    /// # Complexity
    /// O(1).
    ///
    /// # Example
    /// ```
    /// use memkv::MemKV;
    /// # let folder = tempfile::tempdir().unwrap();
    /// # let path = folder.path().join("fruit.memkv");
    /// let new: MemKV<String, u64> = MemKV::new();
    /// new.save_to(&path)?;
    /// assert_eq!(new.path(), None);
    ///
    /// let kv: MemKV<String, u64> = MemKV::open_read_only(&path)?;
    /// assert!(kv.path().unwrap().ends_with("fruit.memkv"));
    /// # Ok::<(), memkv::Error>(())
    /// ```
    pub fn path(&self) -> Option<&Path> {
        self.handle.attached.as_deref().map(|attached| &**attached.path())
    }

    /// Whether the map was opened with [`open_read_only`](Self::open_read_only), so that writes are
    /// refused.
    ///
    /// # Complexity
    /// O(1).
    ///
    /// # Example
    /// ```
    /// use memkv::MemKV;
    /// # let folder = tempfile::tempdir().unwrap();
    /// # let path = folder.path().join("fruit.memkv");
    /// let kv: MemKV<String, u64> = MemKV::open_or_create(&path)?;
    /// assert!(!kv.is_read_only());
    /// let shared: MemKV<String, u64> = MemKV::open_read_only(&path)?;
    /// assert!(shared.is_read_only());
    /// # Ok::<(), memkv::Error>(())
    /// ```
    pub fn is_read_only(&self) -> bool {
        self.handle.attached.as_deref().is_some_and(Attached::is_read_only)
    }

    /// Reads everything that is stored and checks it: each block of the file against its checksum,
    /// as if it had never been read, and each segment by every rule of its format. Other threads
    /// read and write meanwhile.
    ///
    /// # Complexity
    /// O(bytes of the map). Takes up to 40 bytes for each node of a transducer meanwhile.
    ///
    /// # Errors
    /// [`Error::Corrupted`], or [`Error::Damaged`] for a map that was opened from a file, and
    /// [`Error::OutOfMemory`].
    ///
    /// # Example
    /// ```
    /// use memkv::MemKV;
    /// let kv: MemKV<u64, u64> = MemKV::from_sorted((0..1000).map(|n| (n, n)))?;
    /// kv.verify()?;
    /// # Ok::<(), memkv::Error>(())
    /// ```
    pub fn verify(&self) -> Result<(), Error> {
        self.verify_with(|_| ())
    }

    /// [`verify`](Self::verify), telling `progress` how far it has come: at the beginning, at the
    /// end, and now and then between. It runs outside any lock and may use the map.
    ///
    /// # Complexity
    /// As [`verify`](Self::verify).
    ///
    /// # Errors
    /// As [`verify`](Self::verify).
    ///
    /// # Example
    /// ```
    /// use memkv::MemKV;
    /// let kv: MemKV<u64, u64> = MemKV::from_sorted((0..1000).map(|n| (n, n)))?;
    /// let mut last = Default::default();
    /// kv.verify_with(|progress| last = progress)?;
    /// assert_eq!(last.done_bytes, last.total_bytes);
    /// # Ok::<(), memkv::Error>(())
    /// ```
    pub fn verify_with(&self, mut progress: impl FnMut(VerifyProgress)) -> Result<(), Error> {
        let view = self.core().view_all();
        let pins: Vec<_> = (0..view.len()).map(|at| view.pinned(at)).collect();
        let mut parts = Vec::new();
        for (at, pinned) in pins.iter().enumerate() {
            let (bound, end) = (view.bound(at), (at + 1 < view.len()).then(|| view.bound(at + 1)));
            parts.extend(pinned.segments().map(|segment| store::Part { segment, bound, end }));
        }
        store::verify(&parts, &mut progress).map_err(|error| self.named(error))
    }

    /// Saves through this storage.
    pub(crate) fn save_in(&self, storage: &dyn Storage, path: &Path) -> Result<(), Error> {
        let attached = self.handle.attached.as_deref();
        store::export(storage, path, attached, || self.content()).map_err(|error| self.named(error))
    }

    /// Opens through this storage, which saves will go through too.
    pub(crate) fn open_in(
        storage: Box<dyn Storage>,
        path: &Path,
        options: Options,
        access: Access,
    ) -> Result<Self, Error> {
        let width = width_of::<V>();
        let (attached, bases) =
            Attached::open(storage, path, &type_names::<K, V>(), width, options.residence, access)?;
        let core = Core::opened(width, options, bases, access == Access::ReadOnly);
        Ok(Self { handle: Handle::new(core, Some(Arc::new(attached))), types: PhantomData })
    }

    /// All entries as of now, to be saved.
    fn content(&self) -> Result<Content, Error> {
        let bases = self.core().gather()?;
        Ok(Content { bases, width: width_of::<V>(), names: type_names::<K, V>() })
    }
}

/// What a store says of its types.
fn type_names<K: Key, V: Value>() -> TypeNames {
    let mut value = CodecName::new();
    V::write_codec(&mut value);
    TypeNames { key: CodecName::of::<K>().to_string().into(), value: value.to_string().into() }
}
