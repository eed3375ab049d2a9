//! The one door to files: every operation on one goes through [`Storage`].
//!
//! A trait, so that tests can fail the k-th call, drop what was not synced, and count syncs, with
//! a small type. The whole protocol of a safe save is in these calls: lock, create a new file,
//! write, sync it, rename it into place, sync the folder.

use crate::arena::Buffer;
use crate::mmap::Mapping;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};

/// Links that are followed to a file that is not there yet.
const MAX_LINKS: usize = 40;

/// Bytes that are read in one call.
const READ_PIECE: usize = 1 << 20;

/// File operations, as the store needs them.
pub(crate) trait Storage: Send + Sync {
    /// The path of the file that `path` leads to, without links; the file need not exist, its
    /// folder must.
    fn resolve(&self, path: &Path) -> io::Result<PathBuf>;
    /// What has this name. Links are not followed.
    fn kind(&self, path: &Path) -> io::Result<FileKind>;
    /// Creates a file that must not exist, for its owner only.
    fn create_new(&self, path: &Path) -> io::Result<Box<dyn StoredFile>>;
    /// Opens a file for reading.
    fn open(&self, path: &Path) -> io::Result<Box<dyn OpenFile>>;
    /// Takes the lock that a file stands for, which is created if it is not there; `None` if
    /// somebody has it. It is released when it is dropped, and when the process ends.
    fn lock(&self, path: &Path) -> io::Result<Option<Box<dyn Lock>>>;
    /// Gives a file another name, replacing what has it.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Gives a file the permissions of another.
    fn copy_permissions(&self, from: &Path, to: &Path) -> io::Result<()>;
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

/// A file being read: the same one in every call, whatever has its name by then.
pub(crate) trait OpenFile {
    /// Maps all of it.
    fn map(&self) -> io::Result<Mapping>;
    /// Reads all of it into memory, from the start.
    fn read(&mut self) -> io::Result<Buffer>;
}

/// A lock until dropped.
pub(crate) trait Lock: Send + Sync {}

/// What a name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FileKind {
    /// Nothing has the name.
    Missing,
    /// A regular file.
    Regular,
    /// A folder.
    Folder,
    /// A link, a device or the like.
    Other,
}

/// The file system.
pub(crate) struct FileSystem;

#[expect(clippy::disallowed_methods, reason = "this module is the home of file operations")]
impl Storage for FileSystem {
    fn resolve(&self, path: &Path) -> io::Result<PathBuf> {
        match fs::canonicalize(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            resolved => return resolved,
        }
        // Nothing is there, but `path` may be a link to where a file would be.
        let mut path = path.to_path_buf();
        for _ in 0..MAX_LINKS {
            let Some(name) = path.file_name() else { break };
            let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
            let folder = fs::canonicalize(folder.unwrap_or(Path::new(".")))?;
            let unlinked = folder.join(name);
            match fs::read_link(&unlinked) {
                Ok(target) => path = folder.join(target),
                Err(_) => return Ok(unlinked),
            }
        }
        Err(io::Error::new(io::ErrorKind::InvalidInput, "it does not lead to a file"))
    }

    fn kind(&self, path: &Path) -> io::Result<FileKind> {
        match fs::symlink_metadata(path) {
            Ok(data) if data.is_file() => Ok(FileKind::Regular),
            Ok(data) if data.is_dir() => Ok(FileKind::Folder),
            Ok(_) => Ok(FileKind::Other),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(FileKind::Missing),
            Err(error) => Err(error),
        }
    }

    fn create_new(&self, path: &Path) -> io::Result<Box<dyn StoredFile>> {
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        for_owner_only(&mut options);
        Ok(Box::new(options.open(path)?))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn OpenFile>> {
        Ok(Box::new(File::open(path)?))
    }

    fn lock(&self, path: &Path) -> io::Result<Option<Box<dyn Lock>>> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        for_owner_only(&mut options);
        // A link that somebody has put there must not create a file where it leads.
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::custom_flags(&mut options, libc::O_NOFOLLOW);
        let file = options.open(path)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Box::new(file))),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn copy_permissions(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::set_permissions(to, fs::metadata(from)?.permissions())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        // Windows has no handle to a folder that could be synced.
        if cfg!(unix) { File::open(folder)?.sync_all() } else { Ok(()) }
    }
}

/// Lets nobody but its owner read or write a file that is about to be created.
fn for_owner_only(options: &mut OpenOptions) {
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(options, 0o600);
    #[cfg(not(unix))]
    let _ = options;
}

impl StoredFile for File {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.write_all(bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.sync_all()
    }
}

impl OpenFile for File {
    fn map(&self) -> io::Result<Mapping> {
        Mapping::open(self)
    }

    fn read(&mut self) -> io::Result<Buffer> {
        let len = usize::try_from(self.metadata()?.len());
        let len = len.map_err(|_| io::Error::from(io::ErrorKind::FileTooLarge))?;
        let buffer = Buffer::zeroed(len);
        let mut buffer = buffer.map_err(|_| io::Error::from(io::ErrorKind::OutOfMemory))?;
        self.rewind()?;
        for piece in buffer.as_mut_slice().chunks_mut(READ_PIECE) {
            self.read_exact(piece)?;
        }
        Ok(buffer)
    }
}

/// The lock is the file's own; closing the file releases it.
impl Lock for File {}

#[cfg(test)]
pub(crate) mod testing;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_exists_is_not_created_again() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("file");
        FileSystem.create_new(&path).expect("a new file");
        let error = FileSystem.create_new(&path).err().expect("it exists");
        assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
    }

    #[test]
    fn a_lock_is_held_once_until_it_is_dropped() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("file.lock");
        let take = || FileSystem.lock(&path).expect("a file that can be locked");
        let held = take();
        assert!(held.is_some());
        assert!(take().is_none(), "in the same process too");
        drop(held);
        assert!(take().is_some());
    }

    #[test]
    fn reading_and_mapping_give_the_same_bytes() {
        let folder = tempfile::tempdir().expect("a folder");
        for len in [0, 1, READ_PIECE - 1, READ_PIECE, 2 * READ_PIECE + 1] {
            let path = folder.path().join(len.to_string());
            let bytes: Vec<u8> = (0..len).map(|i| (i % 251) as u8).collect();
            FileSystem.create_new(&path).and_then(|mut file| file.append(&bytes)).expect("a file");
            let mut file = FileSystem.open(&path).expect("a file");
            assert_eq!(file.read().expect("memory").as_slice(), bytes);
            assert_eq!(file.map().expect("a mapping").as_slice(), bytes);
        }
    }

    #[test]
    #[cfg(unix)]
    #[expect(clippy::disallowed_methods, reason = "the files of a test")]
    fn links_are_resolved_and_never_created_through() {
        use std::os::unix::fs::symlink;
        let folder = tempfile::tempdir().expect("a folder");
        let folder = fs::canonicalize(folder.path()).expect("it is there");
        let (file, link, dangling) =
            (folder.join("file"), folder.join("link"), folder.join("dangling"));
        fs::write(&file, b"").expect("a file");
        symlink("file", &link).expect("a link");
        symlink("missing", &dangling).expect("a link");
        let resolve = |path: &Path| FileSystem.resolve(path).expect("it leads to a file");
        assert_eq!(resolve(&file), file);
        assert_eq!(resolve(&link), file);
        assert_eq!(resolve(&dangling), folder.join("missing"));
        assert!(FileSystem.resolve(&folder.join("no such folder/file")).is_err());
        assert!(FileSystem.lock(&dangling).is_err());
        assert!(FileSystem.create_new(&dangling).is_err());
        assert!(!folder.join("missing").exists());
        assert_eq!(FileSystem.kind(&link).ok(), Some(FileKind::Other));
        assert_eq!(FileSystem.kind(&folder).ok(), Some(FileKind::Folder));
        assert_eq!(FileSystem.kind(&file).ok(), Some(FileKind::Regular));
        assert_eq!(FileSystem.kind(&folder.join("missing")).ok(), Some(FileKind::Missing));
    }
}
