//! Writing files so that a crash leaves the old one or the new one, whole.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::{CWD, RenameFlags};

use super::file_error;
use crate::error::Error;

/// Ends the names of files that are not whole yet.
const UNFINISHED: &str = ".unfinished";

/// Writes a file that is not there yet.
///
/// # Errors
///
/// `AlreadyExists` when it is there; nothing was changed then.
pub(super) fn create(path: &Path, content: &[u8], mode: u32) -> io::Result<()> {
    let unfinished = write_beside(path, content, mode)?;
    let renamed = rustix::fs::renameat_with(CWD, &unfinished, CWD, path, RenameFlags::NOREPLACE);
    settle(path, &unfinished, renamed.map_err(io::Error::from))
}

/// Writes a file in place of the one before, if there is one.
///
/// # Errors
///
/// When it cannot be written; the one before stays.
pub(super) fn replace(path: &Path, content: &[u8], mode: u32) -> io::Result<()> {
    let unfinished = write_beside(path, content, mode)?;
    let renamed = fs::rename(&unfinished, path);
    settle(path, &unfinished, renamed)
}

/// Removes what a crash left of files that never became whole.
///
/// # Errors
///
/// `File` when the directory cannot be read.
pub(super) fn clear_leftovers(directory: &Path) -> Result<(), Error> {
    let failed = file_error("list", directory);
    for entry in fs::read_dir(directory).map_err(&failed)? {
        let entry = entry.map_err(&failed)?;
        let name = entry.file_name();
        let writer = name
            .to_str()
            .and_then(|name| name.strip_suffix(UNFINISHED))
            .and_then(|name| name.rsplit('.').nth(1))
            .and_then(|pid| pid.parse::<u32>().ok());
        // Another process may be writing now: what it writes stays.
        if let Some(pid) = writer
            && !Path::new(&format!("/proc/{pid}")).exists()
        {
            let path = entry.path();
            fs::remove_file(&path).map_err(file_error("remove", &path))?;
        }
    }
    Ok(())
}

/// Writes a whole file under a name of its own in the same directory, on disk.
fn write_beside(path: &Path, content: &[u8], mode: u32) -> io::Result<PathBuf> {
    /// Tells this process's unfinished files apart.
    static WRITTEN: AtomicU64 = AtomicU64::new(0);
    let number = WRITTEN.fetch_add(1, Ordering::Relaxed);
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let unfinished = path.with_file_name(format!(".{name}.{}.{number}{UNFINISHED}", process::id()));
    let written = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&unfinished)
        .and_then(|mut file| {
            file.write_all(content)?;
            file.set_permissions(Permissions::from_mode(mode))?;
            file.sync_all()
        });
    match written {
        Ok(()) => Ok(unfinished),
        Err(error) => {
            // The first error is the one to tell.
            let _ = fs::remove_file(&unfinished);
            Err(error)
        }
    }
}

/// Puts the new name on disk, or takes the unfinished file away.
fn settle(path: &Path, unfinished: &Path, renamed: io::Result<()>) -> io::Result<()> {
    if let Err(error) = renamed {
        // The first error is the one to tell.
        let _ = fs::remove_file(unfinished);
        return Err(error);
    }
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    File::open(directory)?.sync_all()
}
