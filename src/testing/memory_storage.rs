//! Files in memory: a [`Storage`] that can refuse calls, be damaged, and lose power.
//!
//! A file's bytes are shared with whoever has mapped them, so that a sweep over all of them copies
//! nothing. What a crash may take back is remembered: bytes that were not synced, and names whose
//! folder was not.

use crate::arena::Buffer;
use crate::mmap::Mapping;
use crate::storage::{FileKind, Lock, OpenFile, Storage, StoredFile};
use crate::sync::{Arc, Mutex};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc as Shared;

/// A file.
#[derive(Clone, Default)]
struct Content {
    bytes: Shared<[u8]>,
    /// Length of the file: so many of the bytes.
    len: usize,
    /// So many of them are durable.
    synced: usize,
}

impl Content {
    fn durable(bytes: &[u8]) -> Self {
        Self { bytes: bytes.into(), len: bytes.len(), synced: bytes.len() }
    }
}

/// Names, and the files they stand for.
type Names = BTreeMap<PathBuf, u64>;

/// What a crash does to what was not made durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Loss {
    /// Whether names that were not synced are taken back.
    pub(crate) names: bool,
    /// What has become of bytes that were not synced.
    pub(crate) bytes: Unsynced,
}

/// What becomes of bytes that were not synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unsynced {
    /// They are there all the same.
    Kept,
    /// The file ends before them.
    Gone,
    /// Half of them are there.
    Torn,
    /// Their length is there, their content is zeros.
    Zeros,
}

impl Loss {
    /// Every kind of loss.
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        let kinds = [Unsynced::Kept, Unsynced::Gone, Unsynced::Torn, Unsynced::Zeros];
        let both = |bytes| [true, false].map(|names| Self { names, bytes });
        kinds.into_iter().flat_map(both)
    }
}

/// Which calls are refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// Only the one with this number, counted from 0.
    Once(usize),
    /// That one and all after it.
    From(usize),
}

/// What goes wrong with a call that is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It fails. A write leaves half of its bytes behind, as on a full disk, unless it was
    /// interrupted.
    Error(io::ErrorKind),
    /// A write takes half of its bytes and says so. Other calls do what they should.
    Short,
}

/// Everything.
#[derive(Default)]
struct State {
    files: BTreeMap<u64, Content>,
    names: Names,
    durable_names: Names,
    locked: BTreeSet<PathBuf>,
    next: u64,
    calls: usize,
    refusal: Option<(Refusal, Fault)>,
    #[cfg(all(test, unix))]
    guard: Option<crate::mmap::guarded::Flush>,
}

impl State {
    fn file(&mut self, path: &Path) -> io::Result<&mut Content> {
        let file = self.names.get(path).ok_or(io::ErrorKind::NotFound)?;
        Ok(self.files.get_mut(file).expect("a name stands for a file"))
    }
}

/// A storage in memory; a clone is the same one.
#[derive(Clone, Default)]
pub(crate) struct MemoryStorage(Arc<Mutex<State>>);

impl MemoryStorage {
    /// The bytes of a file.
    pub(crate) fn read(&self, path: &Path) -> Option<Shared<[u8]>> {
        let mut state = self.0.lock();
        state.file(path).ok().map(|file| Shared::clone(&file.bytes))
    }

    /// Gives a file these bytes, durably.
    pub(crate) fn write(&self, path: &Path, bytes: &[u8]) {
        let mut state = self.0.lock();
        let file = state.next;
        state.next += 1;
        state.files.insert(file, Content::durable(bytes));
        state.names.insert(path.into(), file);
        state.durable_names.insert(path.into(), file);
    }

    /// Changes the bytes of a file where they are. Nobody may have it mapped.
    pub(crate) fn change(&self, path: &Path, change: impl FnOnce(&mut [u8])) {
        let mut state = self.0.lock();
        let file = state.file(path).expect("the file is there");
        change(Shared::get_mut(&mut file.bytes).expect("nobody has it mapped"));
    }

    /// Gives a file this length, of no more bytes than it was written with.
    pub(crate) fn set_len(&self, path: &Path, len: usize) {
        self.0.lock().file(path).expect("the file is there").len = len;
    }

    /// Maps files from now on so that an end of their bytes touches a page that nobody may touch.
    #[cfg(all(test, unix))]
    pub(crate) fn guard(&self, flush: crate::mmap::guarded::Flush) {
        self.0.lock().guard = Some(flush);
    }

    /// The names of all files.
    pub(crate) fn names(&self) -> Vec<PathBuf> {
        self.0.lock().names.keys().cloned().collect()
    }

    /// Refuses calls from now on, counted from now on; `None` refuses none. Answers how many calls
    /// there were since the last time.
    pub(crate) fn refuse(&self, refusal: Option<(Refusal, Fault)>) -> usize {
        let mut state = self.0.lock();
        state.refusal = refusal;
        std::mem::take(&mut state.calls)
    }

    /// The storage as a crash of the system leaves it, with what was not synced lost.
    pub(crate) fn after_crash(&self, loss: Loss) -> Self {
        let state = self.0.lock();
        let names = if loss.names { &state.durable_names } else { &state.names };
        let survivor = Self::default();
        for (name, file) in names {
            let content = &state.files[file];
            let (synced, lost) = content.bytes[..content.len].split_at(content.synced);
            let kept = match loss.bytes {
                Unsynced::Kept => lost.to_vec(),
                Unsynced::Gone => Vec::new(),
                Unsynced::Torn => lost[..lost.len() / 2].to_vec(),
                Unsynced::Zeros => vec![0; lost.len()],
            };
            survivor.write(name, &[synced, &kept].concat());
        }
        survivor
    }

    /// Counts a call, and answers what goes wrong with it.
    fn fault(&self) -> Option<Fault> {
        let mut state = self.0.lock();
        let call = state.calls;
        state.calls += 1;
        match state.refusal {
            Some((Refusal::Once(refused), fault)) if call == refused => Some(fault),
            Some((Refusal::From(first), fault)) if call >= first => Some(fault),
            _ => None,
        }
    }

    fn call(&self) -> io::Result<()> {
        match self.fault() {
            Some(Fault::Error(kind)) => Err(kind.into()),
            Some(Fault::Short) | None => Ok(()),
        }
    }
}

impl Storage for MemoryStorage {
    fn resolve(&self, path: &Path) -> io::Result<PathBuf> {
        self.call()?;
        Ok(path.into())
    }

    fn kind(&self, path: &Path) -> io::Result<FileKind> {
        self.call()?;
        let is_there = self.0.lock().names.contains_key(path);
        Ok(if is_there { FileKind::Regular } else { FileKind::Missing })
    }

    fn create_new(&self, path: &Path) -> io::Result<Box<dyn StoredFile>> {
        self.call()?;
        let mut state = self.0.lock();
        if state.names.contains_key(path) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let file = state.next;
        state.next += 1;
        state.files.insert(file, Content::default());
        state.names.insert(path.into(), file);
        Ok(Box::new(Writing { storage: self.clone(), file, bytes: Vec::new() }))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn OpenFile>> {
        self.call()?;
        let mut state = self.0.lock();
        let Content { bytes, len, .. } = state.file(path)?.clone();
        Ok(Box::new(Reading { storage: self.clone(), bytes, len }))
    }

    fn lock(&self, path: &Path, _: &Path) -> io::Result<Option<Box<dyn Lock>>> {
        self.call()?;
        let mut state = self.0.lock();
        let is_free = state.locked.insert(path.into());
        let held = Held { storage: self.clone(), path: path.into() };
        Ok(is_free.then(|| Box::new(held) as Box<dyn Lock>))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.call()?;
        let mut state = self.0.lock();
        let file = state.names.remove(from).ok_or(io::ErrorKind::NotFound)?;
        state.names.insert(to.into(), file);
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.call()?;
        let removed = self.0.lock().names.remove(path);
        removed.map(|_| ()).ok_or(io::ErrorKind::NotFound.into())
    }

    fn sync_folder(&self, _: &Path) -> io::Result<()> {
        self.call()?;
        let mut state = self.0.lock();
        state.durable_names = state.names.clone();
        Ok(())
    }
}

/// A file being written.
struct Writing {
    storage: MemoryStorage,
    file: u64,
    bytes: Vec<u8>,
}

impl StoredFile for Writing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let (written, done) = match self.storage.fault() {
            None => (bytes.len(), Ok(bytes.len())),
            Some(Fault::Short) => (bytes.len().div_ceil(2), Ok(bytes.len().div_ceil(2))),
            Some(Fault::Error(io::ErrorKind::Interrupted)) => {
                (0, Err(io::ErrorKind::Interrupted.into()))
            }
            Some(Fault::Error(kind)) => (bytes.len() / 2, Err(kind.into())),
        };
        self.bytes.extend_from_slice(&bytes[..written]);
        let mut state = self.storage.0.lock();
        let content = state.files.get_mut(&self.file).expect("files are never forgotten");
        content.bytes = self.bytes.as_slice().into();
        content.len = self.bytes.len();
        done
    }

    fn copy_permissions(&mut self, _: &Path) -> io::Result<()> {
        self.storage.call()
    }

    fn sync(&mut self) -> io::Result<()> {
        self.storage.call()?;
        let mut state = self.storage.0.lock();
        let content = state.files.get_mut(&self.file).expect("files are never forgotten");
        content.synced = self.bytes.len();
        Ok(())
    }
}

/// A file being read.
struct Reading {
    storage: MemoryStorage,
    bytes: Shared<[u8]>,
    len: usize,
}

impl OpenFile for Reading {
    fn map(&self) -> io::Result<Mapping> {
        self.storage.call()?;
        #[cfg(all(test, unix))]
        if let Some(flush) = self.storage.0.lock().guard {
            return Ok(Mapping::guarded(&self.bytes[..self.len], flush));
        }
        Ok(Mapping::shared(Shared::clone(&self.bytes), self.len))
    }

    fn head(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        self.storage.call()?;
        let len = self.len.min(bytes.len());
        bytes[..len].copy_from_slice(&self.bytes[..len]);
        Ok(len)
    }

    fn read(&mut self) -> io::Result<Buffer> {
        self.storage.call()?;
        let buffer = Buffer::zeroed(self.len);
        let mut buffer = buffer.map_err(|_| io::Error::from(io::ErrorKind::OutOfMemory))?;
        buffer.as_mut_slice().copy_from_slice(&self.bytes[..self.len]);
        Ok(buffer)
    }
}

/// A lock that is held.
struct Held {
    storage: MemoryStorage,
    path: PathBuf,
}

impl Lock for Held {
    fn hold(&self) -> io::Result<bool> {
        Ok(true)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.storage.0.lock().locked.remove(&self.path);
    }
}
