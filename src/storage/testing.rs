//! A storage that writes down what is asked of it and refuses one call.

use super::{FileKind, FileSystem, Lock, OpenFile, Storage, StoredFile};
use crate::arena::Buffer;
use crate::mmap::Mapping;
use crate::sync::{Arc, Mutex};
use std::io;
use std::path::{Path, PathBuf};

/// The file system, with the names of all calls so far, of which one may be refused.
#[derive(Clone, Default)]
pub(crate) struct Watched {
    calls: Arc<Mutex<Vec<&'static str>>>,
    refused: Option<usize>,
    /// Syncs are not passed on.
    is_unsynced: bool,
}

impl Watched {
    /// Refuses the call with this number, counted from 0.
    pub(crate) fn refusing(call: usize) -> Self {
        Self { refused: Some(call), ..Self::default() }
    }

    /// Passes no sync on: for tests that save thousands of files.
    pub(crate) fn unsynced() -> Self {
        Self { is_unsynced: true, ..Self::default() }
    }

    /// What was called.
    pub(crate) fn calls(&self) -> Vec<&'static str> {
        self.calls.lock().clone()
    }

    fn call(&self, name: &'static str) -> io::Result<()> {
        let mut calls = self.calls.lock();
        calls.push(name);
        if self.refused == Some(calls.len() - 1) {
            return Err(io::Error::other("refused by the test"));
        }
        Ok(())
    }
}

impl Storage for Watched {
    fn resolve(&self, path: &Path) -> io::Result<PathBuf> {
        self.call("resolve")?;
        FileSystem.resolve(path)
    }

    fn kind(&self, path: &Path) -> io::Result<FileKind> {
        self.call("kind")?;
        FileSystem.kind(path)
    }

    fn create_new(&self, path: &Path) -> io::Result<Box<dyn StoredFile>> {
        self.call("create")?;
        Ok(Box::new(WatchedFile { file: FileSystem.create_new(path)?, storage: self.clone() }))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn OpenFile>> {
        self.call("open")?;
        Ok(Box::new(WatchedRead { file: FileSystem.open(path)?, storage: self.clone() }))
    }

    fn lock(&self, path: &Path, store: &Path) -> io::Result<Option<Box<dyn Lock>>> {
        self.call("lock")?;
        FileSystem.lock(path, store)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.call("rename")?;
        FileSystem.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.call("remove")?;
        FileSystem.remove(path)
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        self.call("sync folder")?;
        if self.is_unsynced { Ok(()) } else { FileSystem.sync_folder(folder) }
    }
}

/// A file of the storage. A refused write leaves half of it behind, as a full disk does.
struct WatchedFile {
    file: Box<dyn StoredFile>,
    storage: Watched,
}

impl StoredFile for WatchedFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if let Err(error) = self.storage.call("write") {
            self.file.write(&bytes[..bytes.len() / 2])?;
            return Err(error);
        }
        self.file.write(bytes)
    }

    fn copy_permissions(&mut self, from: &Path) -> io::Result<()> {
        self.storage.call("copy permissions")?;
        self.file.copy_permissions(from)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.storage.call("sync")?;
        if self.storage.is_unsynced { Ok(()) } else { self.file.sync() }
    }
}

/// A file of the storage that is being read.
struct WatchedRead {
    file: Box<dyn OpenFile>,
    storage: Watched,
}

impl OpenFile for WatchedRead {
    fn map(&self) -> io::Result<Mapping> {
        self.storage.call("map")?;
        self.file.map()
    }

    fn head(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        self.storage.call("head")?;
        self.file.head(bytes)
    }

    fn read(&mut self) -> io::Result<Buffer> {
        self.storage.call("read")?;
        self.file.read()
    }
}
