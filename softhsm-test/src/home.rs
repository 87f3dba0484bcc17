//! Folders that disappear: with their token, with the process, or when found abandoned.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock, PoisonError};

use tempfile::TempDir;

use crate::error::Error;

/// How the folders of all processes begin.
const PREFIX: &str = "softhsm-test-";
/// How the lock beside a folder ends.
const LOCK: &str = ".lock";

/// This process's folder.
static BASE: OnceLock<Base> = OnceLock::new();

/// A process's folder, and the lock that says the process lives.
#[derive(Debug)]
struct Base {
    /// The folder.
    path: PathBuf,
    /// The lock's file.
    lock_path: PathBuf,
    /// Held, by the kernel's word, until the process ends.
    _lock: File,
    /// The process that may remove the folder: not a fork of it.
    process: u32,
}

/// A folder of one token.
#[derive(Debug)]
pub(crate) struct Home {
    /// Removed when dropped.
    folder: TempDir,
}

impl Home {
    /// Makes an empty folder.
    pub(crate) fn new() -> Result<Self, Error> {
        let base = base()?;
        let folder = tempfile::Builder::new()
            .prefix("token-")
            .tempdir_in(&base.path)
            .map_err(|source| file_error("make a folder in", &base.path, source))?;
        Ok(Self { folder })
    }

    /// Returns the folder's path.
    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }
}

/// Makes an error about a file.
pub(crate) fn file_error(act: &'static str, path: &Path, source: io::Error) -> Error {
    Error::File {
        act,
        path: path.to_owned(),
        source,
    }
}

/// Returns this process's folder, made at the first call.
fn base() -> Result<&'static Base, Error> {
    /// Lets one thread make it.
    static MAKING: Mutex<()> = Mutex::new(());
    let _making = MAKING.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(base) = BASE.get() {
        return Ok(base);
    }
    let parent = std::env::temp_dir();
    sweep(&parent);
    let base = loop {
        if let Some(base) =
            make(&parent).map_err(|source| file_error("make a folder in", &parent, source))?
        {
            break base;
        }
    };
    // SAFETY: the handler is a plain function; registering it can only fail for want of
    // memory, and then the next process sweeps.
    unsafe { libc::atexit(remove_at_exit) };
    Ok(BASE.get_or_init(|| base))
}

/// Makes a folder with its lock; none if a sweep took the lock file for abandoned.
fn make(parent: &Path) -> io::Result<Option<Base>> {
    let process = std::process::id();
    let lock = tempfile::Builder::new()
        .prefix(&format!("{PREFIX}{process}-"))
        .suffix(LOCK)
        .tempfile_in(parent)?;
    let (file, lock_path) = lock.keep().map_err(|error| error.error)?;
    if file.try_lock().is_err() {
        return Ok(None);
    }
    let still_there = fs::metadata(&lock_path)
        .is_ok_and(|named| file.metadata().is_ok_and(|held| named.ino() == held.ino()));
    if !still_there {
        return Ok(None);
    }
    let path = lock_path.with_extension("");
    fs::create_dir(&path)?;
    Ok(Some(Base {
        path,
        lock_path,
        _lock: file,
        process,
    }))
}

/// Removes what processes left that had no time to clean up.
fn sweep(parent: &Path) {
    let Ok(entries) = fs::read_dir(parent) else {
        return;
    };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let Some(name) = name.to_str() else { continue };
        if !name.starts_with(PREFIX) || !name.ends_with(LOCK) {
            continue;
        }
        let lock_path = entry.path();
        let Ok(file) = File::open(&lock_path) else {
            continue;
        };
        if file.try_lock().is_ok() {
            // Another sweep may be faster: what is gone is what was wanted.
            let _gone = fs::remove_dir_all(lock_path.with_extension(""));
            let _gone = fs::remove_file(&lock_path);
        }
    }
}

/// Removes this process's folder, tokens and all.
extern "C" fn remove_at_exit() {
    if let Some(base) = BASE.get()
        && base.process == std::process::id()
    {
        // Nobody is left to tell; the next process sweeps.
        let _gone = fs::remove_dir_all(&base.path);
        let _gone = fs::remove_file(&base.lock_path);
    }
}
