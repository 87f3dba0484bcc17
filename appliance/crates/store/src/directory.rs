//! The directory of a store: its modes, its lock and its parts.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::error::Error;

/// Mode of directories: their owner alone.
const DIRECTORY_MODE: u32 = 0o700;

/// Mode of files: their owner alone.
const FILE_MODE: u32 = 0o600;

/// A store directory, held by this process until dropped.
#[derive(Debug)]
pub(crate) struct StoreDirectory {
    /// Its path.
    path: PathBuf,
    /// The locked file.
    lock: File,
}

impl Drop for StoreDirectory {
    /// Lets the directory go at once: closing the file would not, while a process
    /// that is being started from this one still has it.
    fn drop(&mut self) {
        // Closing it, which follows, does the same a moment later.
        let _ = self.lock.unlock();
    }
}

impl StoreDirectory {
    /// Makes the directory when missing, and locks it.
    ///
    /// # Errors
    ///
    /// `Locked` if another process has it, `Io` otherwise.
    pub(crate) fn lock(path: &Path) -> Result<Self, Error> {
        make_private(path)?;
        let lock_path = path.join("lock");
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(FILE_MODE)
            .open(&lock_path)
            .map_err(Error::io("open", &lock_path))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(Error::Locked {
                    directory: path.to_owned(),
                });
            }
            Err(TryLockError::Error(source)) => return Err(Error::io("lock", lock_path)(source)),
        }
        let directory = Self {
            path: path.to_owned(),
            lock,
        };
        make_private(&directory.journal())?;
        directory.make_index()?;
        Ok(directory)
    }

    /// Makes the index's directory when missing.
    ///
    /// # Errors
    ///
    /// `Io`.
    pub(crate) fn make_index(&self) -> Result<(), Error> {
        make_private(&self.index())
    }

    /// Returns its path.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the directory of the journal's segments.
    pub(crate) fn journal(&self) -> PathBuf {
        journal_of(&self.path)
    }

    /// Returns the directory of the index.
    pub(crate) fn index(&self) -> PathBuf {
        self.path.join("index")
    }
}

/// Returns where a store directory keeps its journal.
pub(crate) fn journal_of(store: &Path) -> PathBuf {
    store.join("journal")
}

/// Makes a directory for its owner alone, unless it is there.
pub(crate) fn make_private(path: &Path) -> Result<(), Error> {
    if path.is_dir() {
        return Ok(());
    }
    let made = DirBuilder::new()
        .recursive(true)
        .mode(DIRECTORY_MODE)
        .create(path);
    made.map_err(Error::io("make the directory", path))?;
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => {
            sync_directory(parent).map_err(Error::io("sync", parent))
        }
        Some(_) | None => Ok(()),
    }
}

/// Creates a file for its owner alone, empty, readable and writable.
pub(crate) fn create_private(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .create(true)
        .truncate(true)
        .read(true)
        .write(true)
        .mode(FILE_MODE)
        .open(path)
}

/// Brings a directory's entries to disk.
pub(crate) fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}
