//! The one door to files: every operation on one goes through [`Storage`].
//!
//! A trait, so that tests can fail the k-th call, drop what was not synced, and count syncs, with
//! a type of twenty lines. The whole protocol of a safe save is in these calls: create a new file,
//! write, sync it, rename it into place, sync the folder.

use crate::mmap::Mapping;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;

/// File operations, as the store needs them.
pub(crate) trait Storage: Send + Sync {
    /// Creates a file that must not exist, for its owner only.
    fn create_new(&self, path: &Path) -> io::Result<Box<dyn StoredFile>>;
    /// Maps a whole file for reading.
    fn map(&self, path: &Path) -> io::Result<Mapping>;
    /// Gives a file another name, replacing what has it.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file.
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Makes names in a folder durable.
    fn sync_folder(&self, folder: &Path) -> io::Result<()>;
}

/// A file being written.
pub(crate) trait StoredFile: Send {
    /// Appends all bytes.
    fn append(&mut self, bytes: &[u8]) -> io::Result<()>;
    /// Makes what was appended durable.
    fn sync(&mut self) -> io::Result<()>;
}

/// The file system.
pub(crate) struct FileSystem;

#[expect(clippy::disallowed_methods, reason = "this module is the home of file operations")]
impl Storage for FileSystem {
    fn create_new(&self, path: &Path) -> io::Result<Box<dyn StoredFile>> {
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        Ok(Box::new(options.open(path)?))
    }

    fn map(&self, path: &Path) -> io::Result<Mapping> {
        Mapping::open(&File::open(path)?)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        // Windows has no handle to a folder that could be synced.
        if cfg!(unix) { File::open(folder)?.sync_all() } else { Ok(()) }
    }
}

impl StoredFile for File {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.write_all(bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.sync_all()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;
    use std::sync::atomic::{AtomicUsize, Ordering};

    /// Refuses the n-th call.
    struct Failing {
        calls: AtomicUsize,
        refused: usize,
    }

    impl Failing {
        fn call(&self) -> io::Result<()> {
            if self.calls.fetch_add(1, Ordering::Relaxed) == self.refused {
                return Err(io::Error::other("refused"));
            }
            Ok(())
        }
    }

    impl Storage for Failing {
        fn create_new(&self, path: &Path) -> io::Result<Box<dyn StoredFile>> {
            self.call()?;
            FileSystem.create_new(path)
        }

        fn map(&self, path: &Path) -> io::Result<Mapping> {
            self.call()?;
            FileSystem.map(path)
        }

        fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
            self.call()?;
            FileSystem.rename(from, to)
        }

        fn remove(&self, path: &Path) -> io::Result<()> {
            self.call()?;
            FileSystem.remove(path)
        }

        fn sync_folder(&self, folder: &Path) -> io::Result<()> {
            self.call()?;
            FileSystem.sync_folder(folder)
        }
    }

    fn replace(storage: &dyn Storage, folder: &Path, content: &[u8]) -> io::Result<()> {
        let (new, name) = (folder.join("new"), folder.join("name"));
        let written = storage.create_new(&new).and_then(|mut file| {
            file.append(content)?;
            file.sync()
        });
        let placed = written.and_then(|()| storage.rename(&new, &name));
        if placed.is_err() {
            let _ = storage.remove(&new);
        }
        placed.and_then(|()| storage.sync_folder(folder))
    }

    #[test]
    fn a_file_is_replaced_whole_or_not_at_all() {
        let folder = tempfile::tempdir().expect("a folder");
        replace(&FileSystem, folder.path(), b"old").expect("a working disk");
        let failures = Cell::new(0);
        for refused in 0..4 {
            let storage = Failing { calls: AtomicUsize::new(0), refused };
            let outcome = replace(&storage, folder.path(), b"new");
            failures.set(failures.get() + usize::from(outcome.is_err()));
            let mapped = FileSystem.map(&folder.path().join("name")).expect("a file");
            assert!([b"old", b"new"].contains(&mapped.as_slice().first_chunk().expect("3 bytes")));
            assert!(!folder.path().join("new").exists(), "no file is left over");
        }
        assert_eq!(failures.get(), 3, "create, rename and the folder's sync were refused in turn");
    }

    #[test]
    fn a_file_that_exists_is_not_created_again() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("file");
        FileSystem.create_new(&path).expect("a new file");
        let error = FileSystem.create_new(&path).err().expect("it exists");
        assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
    }
}
