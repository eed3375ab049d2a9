//! Who may write a store: one map at a time, which holds the lock beside the file.

use super::{Content, TypeNames, read, write};
use crate::compact::Base;
use crate::entry::ValueWidth;
use crate::error::Error;
use crate::options::Residence;
use crate::storage::{FileKind, Lock, Storage, uninterrupted};
use crate::sync::{Arc, Mutex};
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

/// What is appended to a store's name for the name of its lock.
pub(super) const LOCK_SUFFIX: &str = ".lock";

/// What a map that is opened will be allowed to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    /// Everything; no other map may write the file meanwhile.
    ReadWrite,
    /// The same, of a file that is made, without entries, if it is not there.
    Create,
    /// Nothing that changes the map.
    ReadOnly,
}

/// A map's tie to the file it was opened from.
pub(crate) struct Attached {
    path: Arc<Path>,
    storage: Box<dyn Storage>,
    /// Held while the map may be saved to the file; the mutex lets one thread save at a time.
    lock: Option<Mutex<Box<dyn Lock>>>,
}

impl Attached {
    /// Opens a store, and answers what is in it.
    ///
    /// One that is made is there, saved and synced, before it is opened. Whether it still has to be
    /// is asked again under the lock: two maps that open the same new file do not both make it.
    pub(crate) fn open(
        storage: Box<dyn Storage>,
        path: &Path,
        asked: &TypeNames,
        width: ValueWidth,
        residence: Residence,
        access: Access,
    ) -> Result<(Self, Vec<Base>), Error> {
        let resolved = uninterrupted(|| storage.resolve(path));
        let path = resolved.map_err(|error| Error::io(path, "open", &error))?;
        let lock = match (kind(&*storage, &path)?, access) {
            (FileKind::Regular, Access::ReadOnly) => None,
            (FileKind::Regular, Access::ReadWrite | Access::Create) => {
                // Before the lock, so that none is left beside a file that is not a store.
                read::check(&*storage, &path, asked, width)?;
                Some(Mutex::new(lock(&*storage, &path)?))
            }
            (FileKind::Missing, Access::Create) => {
                let lock = lock(&*storage, &path)?;
                if kind(&*storage, &path)? == FileKind::Missing {
                    let content = Content { bases: Vec::new(), width, names: asked.clone() };
                    write::replace(&*storage, &path, &content)?;
                }
                Some(Mutex::new(lock))
            }
            (FileKind::Missing, Access::ReadWrite | Access::ReadOnly) => {
                return Err(Error::io(&path, "open", &io::ErrorKind::NotFound.into()));
            }
            (other, _) => return Err(not_a_file(&path, "open", other)),
        };
        let bases = read::read(&*storage, &path, asked, width, residence)?;
        Ok((Self { path: Arc::from(path.into_boxed_path()), storage, lock }, bases))
    }

    /// The file.
    pub(crate) fn path(&self) -> &Arc<Path> {
        &self.path
    }

    /// Whether the map may not be saved to it.
    pub(crate) fn is_read_only(&self) -> bool {
        self.lock.is_none()
    }

    /// Heap bytes of the tie.
    pub(crate) fn heap_bytes(&self) -> usize {
        const COUNTS: usize = 2 * size_of::<usize>();
        let lock = if self.lock.is_some() { size_of::<std::fs::File>() } else { 0 };
        COUNTS + size_of::<Self>() + self.path.as_os_str().len() + lock
    }

    /// Replaces the file by one with this content, which is made when nobody else is saving.
    pub(crate) fn save(
        &self,
        content: impl FnOnce() -> Result<Content, Error>,
    ) -> Result<(), Error> {
        let Some(lock) = &self.lock else { return Err(Error::ReadOnly) };
        let lock = lock.lock();
        // Only in a forked child it may be lost.
        match uninterrupted(|| lock.hold()) {
            Ok(true) => {}
            Ok(false) => return Err(Error::Locked { path: self.path.to_path_buf() }),
            Err(error) => return Err(Error::io(&self.path, "lock", &error)),
        }
        write::replace(&*self.storage, &self.path, &content()?)
    }
}

/// Writes a store at `path`, in place of what is there. `attached` is the file that the map which
/// is being saved holds the lock of.
pub(crate) fn export(
    storage: &dyn Storage,
    path: &Path,
    attached: Option<&Attached>,
    content: impl FnOnce() -> Result<Content, Error>,
) -> Result<(), Error> {
    let resolved = uninterrupted(|| storage.resolve(path));
    let path = resolved.map_err(|error| Error::io(path, "save to", &error))?;
    if let Some(attached) = attached.filter(|own| own.lock.is_some() && *own.path == *path) {
        return attached.save(content);
    }
    match kind(storage, &path)? {
        FileKind::Missing | FileKind::Regular => {}
        other => return Err(not_a_file(&path, "save to", other)),
    }
    let content = content()?;
    let _lock = lock(storage, &path)?;
    write::replace(storage, &path, &content)
}

/// Takes the lock of a store. A store has no name that the lock of another could have: it would be
/// written in its place.
fn lock(storage: &dyn Storage, path: &Path) -> Result<Box<dyn Lock>, Error> {
    let name = path.as_os_str().as_encoded_bytes();
    if name.to_ascii_lowercase().ends_with(LOCK_SUFFIX.as_bytes()) {
        let text = "names that end with .lock are those of locks";
        let error = io::Error::new(io::ErrorKind::InvalidInput, text);
        return Err(Error::io(path, "lock", &error));
    }
    let lock_path = sibling(path, LOCK_SUFFIX);
    match uninterrupted(|| storage.lock(&lock_path, path)) {
        Ok(Some(lock)) => Ok(lock),
        Ok(None) => Err(Error::Locked { path: path.into() }),
        Err(error) => Err(Error::io(&lock_path, "lock", &error)),
    }
}

/// What has this name.
pub(super) fn kind(storage: &dyn Storage, path: &Path) -> Result<FileKind, Error> {
    uninterrupted(|| storage.kind(path)).map_err(|error| Error::io(path, "look at", &error))
}

/// The error for a name that something else than a file has.
pub(super) fn not_a_file(path: &Path, action: &'static str, kind: FileKind) -> Error {
    let error = match kind {
        FileKind::Folder => io::ErrorKind::IsADirectory.into(),
        _ => io::Error::new(io::ErrorKind::AlreadyExists, "it is not a regular file"),
    };
    Error::io(path, action, &error)
}

/// The name of a file that belongs to `path`.
pub(super) fn sibling(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    name.into()
}
