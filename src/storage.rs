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
use std::process;

/// Links that are followed to a file that is not there yet.
const MAX_LINKS: usize = 40;

/// Times that signals may interrupt one call before it is given up.
const MAX_INTERRUPTIONS: usize = 100;

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
    /// Opens a regular file for reading. A link is not followed.
    fn open(&self, path: &Path) -> io::Result<Box<dyn OpenFile>>;
    /// Takes the lock that a file stands for, which is created if it is not there; `None` if
    /// somebody has it. It is released when it is dropped, and when the process ends. Who may write
    /// `store` may take the lock.
    fn lock(&self, path: &Path, store: &Path) -> io::Result<Option<Box<dyn Lock>>>;
    /// Gives a file another name, replacing what has it.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file.
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Makes names in a folder durable.
    fn sync_folder(&self, folder: &Path) -> io::Result<()>;
}

/// A file being written.
pub(crate) trait StoredFile: Send {
    /// Appends the first of these bytes, and tells how many.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize>;
    /// Gives it the permissions of another file.
    fn copy_permissions(&mut self, from: &Path) -> io::Result<()>;
    /// Makes what was appended durable.
    fn sync(&mut self) -> io::Result<()>;
}

/// A file being read: the same one in every call, whatever has its name by then.
pub(crate) trait OpenFile {
    /// Maps all of it.
    fn map(&self) -> io::Result<Mapping>;
    /// Reads its first bytes, as many as there are and fit, and tells how many.
    fn head(&mut self, bytes: &mut [u8]) -> io::Result<usize>;
    /// Reads all of it into memory, from the start.
    fn read(&mut self) -> io::Result<Buffer>;
}

/// Repeats a call that signals interrupt, but not for ever.
pub(crate) fn uninterrupted<T>(mut call: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    for _ in 0..MAX_INTERRUPTIONS {
        match call() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            done => return done,
        }
    }
    call()
}

/// Appends all bytes to a file, in as many calls as it takes.
pub(crate) fn append(file: &mut dyn StoredFile, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match uninterrupted(|| file.write(bytes))? {
            0 => return Err(io::ErrorKind::WriteZero.into()),
            written => bytes = &bytes[written..],
        }
    }
    Ok(())
}

/// A lock until dropped.
pub(crate) trait Lock: Send + Sync {
    /// Whether it still is one. A forked child shares the lock of its parent, who may have dropped
    /// it; it is taken again then, unless somebody else has it.
    fn hold(&self) -> io::Result<bool>;
}

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
        let no_file = |text| Err(io::Error::new(io::ErrorKind::InvalidInput, text));
        // Nothing is there, but `path` may be a link to where a file would be.
        let mut path = path.to_path_buf();
        for _ in 0..MAX_LINKS {
            if asks_for_a_folder(&path) {
                return no_file("it is the path of a folder");
            }
            let Some(name) = path.file_name() else { break };
            let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
            let folder = fs::canonicalize(folder.unwrap_or(Path::new(".")))?;
            let unlinked = folder.join(name);
            match fs::read_link(&unlinked) {
                Ok(target) => path = folder.join(target),
                Err(_) => return Ok(unlinked),
            }
        }
        no_file("it does not lead to a file")
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
        let mut options = OpenOptions::new();
        options.read(true);
        // What has taken the name since its kind was looked at is neither followed nor waited for.
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::custom_flags(
            &mut options,
            libc::O_NOFOLLOW | libc::O_NONBLOCK,
        );
        let file = options.open(path)?;
        if !file.metadata()?.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file"));
        }
        Ok(Box::new(file))
    }

    fn lock(&self, path: &Path, store: &Path) -> io::Result<Option<Box<dyn Lock>>> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        for_owner_only(&mut options);
        // A link that somebody has put there must not create a file where it leads.
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::custom_flags(&mut options, libc::O_NOFOLLOW);
        let file = options.open(path)?;
        // A wish: only its owner can do it.
        #[cfg(unix)]
        let _ = share_with_writers(&file, store);
        #[cfg(not(unix))]
        let _ = store;
        match file.try_lock() {
            Ok(()) => Ok(Some(Box::new(FileLock { file, owner: process::id() }))),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
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

/// Lets nobody but its owner read or write a file that is about to be created.
fn for_owner_only(options: &mut OpenOptions) {
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(options, 0o600);
    #[cfg(not(unix))]
    let _ = options;
}

/// Whether a path can only be that of a folder: its end is dropped where names are taken apart.
fn asks_for_a_folder(path: &Path) -> bool {
    let is_separator = |byte: &u8| std::path::is_separator(char::from(*byte));
    match path.as_os_str().as_encoded_bytes() {
        [.., last] if is_separator(last) => true,
        [.., before, b'.'] => is_separator(before),
        _ => false,
    }
}

/// Lets those open a lock who may write the store it stands beside.
#[cfg(unix)]
fn share_with_writers(lock: &File, store: &Path) -> io::Result<()> {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    let (own, store) = (lock.metadata()?, fs::symlink_metadata(store)?);
    // Nothing else of the owner's that somebody has given the lock's name.
    let is_lock = own.is_file() && own.len() == 0 && own.nlink() == 1 && own.uid() == store.uid();
    let writers = store.mode() & 0o222;
    let readers_and_writers = writers | writers << 1;
    if !store.is_file() || !is_lock || own.mode() & readers_and_writers == readers_and_writers {
        return Ok(());
    }
    let mode = own.mode() & 0o777 | readers_and_writers;
    lock.set_permissions(fs::Permissions::from_mode(mode))
}

impl StoredFile for File {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Write::write(self, bytes)
    }

    fn copy_permissions(&mut self, from: &Path) -> io::Result<()> {
        let data = fs::symlink_metadata(from)?;
        if data.is_file() { self.set_permissions(data.permissions()) } else { Ok(()) }
    }

    fn sync(&mut self) -> io::Result<()> {
        self.sync_all()
    }
}

impl OpenFile for File {
    fn map(&self) -> io::Result<Mapping> {
        Mapping::open(self)
    }

    fn head(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        self.rewind()?;
        let mut filled = 0;
        while filled < bytes.len() {
            match uninterrupted(|| Read::read(self, &mut bytes[filled..]))? {
                0 => break,
                len => filled += len,
            }
        }
        Ok(filled)
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

/// The lock of an open file, which its copies in other processes share.
struct FileLock {
    file: File,
    /// The process that took it.
    owner: u32,
}

impl Lock for FileLock {
    fn hold(&self) -> io::Result<bool> {
        if self.owner == process::id() {
            return Ok(true);
        }
        match self.file.try_lock() {
            Ok(()) => Ok(true),
            Err(TryLockError::WouldBlock) => Ok(false),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }
}

impl Drop for FileLock {
    /// Releases it, which closing the file would not as long as a child has a copy of it: any
    /// child that another thread is starting has one for a moment. But a child must not release
    /// the lock of its parent.
    fn drop(&mut self) {
        if self.owner == process::id() {
            // If that fails, closing the file is what is left.
            let _ = self.file.unlock();
        }
    }
}

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
        let take = || FileSystem.lock(&path, &path).expect("a file that can be locked");
        let held = take();
        assert!(held.is_some());
        assert!(take().is_none(), "in the same process too");
        drop(held);
        assert!(take().is_some());
    }

    #[test]
    fn a_lock_ends_with_its_handle_though_a_child_has_the_file() {
        let named = tempfile::NamedTempFile::new().expect("a new file");
        let (file, path) = named.into_parts();
        file.try_lock().expect("nobody has it");
        let inherited = file.try_clone().expect("a copy as a child has it");
        let take = || FileSystem.lock(&path, &path).expect("a file that can be locked");
        drop(FileLock { file, owner: process::id() + 1 });
        assert!(take().is_none(), "a child's handle leaves the parent its lock");
        drop(FileLock { file: inherited.try_clone().expect("a copy"), owner: process::id() });
        let other = take().expect("it has been released");
        let child = FileLock { file: inherited, owner: process::id() + 1 };
        assert!(!child.hold().expect("a file that can be locked"));
        drop(other);
        assert!(child.hold().expect("a file that can be locked"));
        assert!(take().is_none());
    }

    #[test]
    fn reading_and_mapping_give_the_same_bytes() {
        let folder = tempfile::tempdir().expect("a folder");
        for len in [0, 1, READ_PIECE - 1, READ_PIECE, 2 * READ_PIECE + 1] {
            let path = folder.path().join(len.to_string());
            let bytes: Vec<u8> = (0..len).map(|i| (i % 251) as u8).collect();
            let file = FileSystem.create_new(&path);
            file.and_then(|mut file| append(&mut *file, &bytes)).expect("a file");
            let mut file = FileSystem.open(&path).expect("a file");
            let mut head = [0; 8];
            assert_eq!(file.head(&mut head).expect("a file"), len.min(8));
            assert_eq!(head[..len.min(8)], bytes[..len.min(8)]);
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
        assert!(FileSystem.lock(&dangling, &file).is_err());
        assert!(FileSystem.open(&link).is_err() && FileSystem.open(&folder).is_err());
        assert!(FileSystem.create_new(&dangling).is_err());
        assert!(!folder.join("missing").exists());
        assert_eq!(FileSystem.kind(&link).ok(), Some(FileKind::Other));
        assert_eq!(FileSystem.kind(&folder).ok(), Some(FileKind::Folder));
        assert_eq!(FileSystem.kind(&file).ok(), Some(FileKind::Regular));
        assert_eq!(FileSystem.kind(&folder.join("missing")).ok(), Some(FileKind::Missing));
    }

    #[test]
    fn a_path_that_can_only_be_a_folder_does_not_resolve_to_a_file() {
        let folder = tempfile::tempdir().expect("a folder");
        for name in ["new/", "new//", "new/.", "new/..", "new/./"] {
            let resolved = FileSystem.resolve(&folder.path().join(name));
            assert!(resolved.is_err(), "{name}: {resolved:?}");
        }
        for name in ["new", "new.", "..new", "."] {
            assert!(FileSystem.resolve(&folder.path().join(name)).is_ok(), "{name}");
        }
    }

    #[test]
    fn a_call_that_signals_interrupt_is_repeated_but_not_for_ever() {
        let mut calls = 0;
        let done = uninterrupted(|| {
            calls += 1;
            if calls < 3 { Err(io::ErrorKind::Interrupted.into()) } else { Ok(calls) }
        });
        assert_eq!(done.ok(), Some(3));
        let given_up = uninterrupted(|| Err::<(), _>(io::ErrorKind::Interrupted.into()));
        assert_eq!(given_up.map_err(|error| error.kind()), Err(io::ErrorKind::Interrupted));
    }

    /// Takes no more than so many bytes in a call.
    struct Narrow(usize, Vec<u8>);

    impl StoredFile for Narrow {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let len = self.0.min(bytes.len());
            self.1.extend_from_slice(&bytes[..len]);
            Ok(len)
        }

        fn copy_permissions(&mut self, _: &Path) -> io::Result<()> {
            Ok(())
        }

        fn sync(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn all_bytes_are_appended_in_as_many_calls_as_it_takes() {
        for room in [1, 7, 100, 1000] {
            let mut file = Narrow(room, Vec::new());
            append(&mut file, &[3; 100]).expect("it takes some");
            assert_eq!(file.1, [3; 100]);
        }
        let full = append(&mut Narrow(0, Vec::new()), b"x").map_err(|error| error.kind());
        assert_eq!(full, Err(io::ErrorKind::WriteZero));
    }

    #[test]
    #[cfg(unix)]
    #[expect(clippy::disallowed_methods, reason = "the files of a test")]
    fn who_may_write_a_store_may_lock_it() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().expect("a folder");
        let (store, lock) = (folder.path().join("map"), folder.path().join("map.lock"));
        let mode = |path: &Path| fs::metadata(path).expect("a file").permissions().mode() & 0o777;
        let take = || drop(FileSystem.lock(&lock, &store).expect("a file that can be locked"));
        take();
        assert_eq!(mode(&lock), 0o600, "there is no store yet");
        fs::write(&store, b"").expect("a file");
        for (of_store, of_lock) in
            [(0o644, 0o600), (0o400, 0o600), (0o640, 0o600), (0o660, 0o660), (0o666, 0o666)]
        {
            fs::set_permissions(&store, fs::Permissions::from_mode(of_store)).expect("our file");
            take();
            assert_eq!(mode(&lock), of_lock, "beside {of_store:o}");
        }
        // What is no lock keeps its permissions.
        fs::remove_file(&lock).expect("it is there");
        let other = folder.path().join("other");
        for content in [&b""[..], b"of somebody"] {
            fs::write(&other, content).expect("a file");
            fs::set_permissions(&other, fs::Permissions::from_mode(0o600)).expect("our file");
            fs::hard_link(&other, &lock).expect("a second name");
            take();
            assert_eq!(mode(&other), 0o600);
            fs::remove_file(&lock).expect("it is there");
        }
    }
}
