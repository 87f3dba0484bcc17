//! Documents too long for the journal: one file each, named by its SHA-256.
//!
//! ```text
//! <directory>/blobs/
//!   <64 hexadecimal digits>    a document, whole and synced
//!   incoming/<number>          one that is being received
//! ```
//!
//! A document is written while it comes, synced, and only then gets its name; the
//! record that names it is written after that. Whoever holds a [`Blob`] keeps its
//! file; when the last holder lets go of one that no record names, the file is
//! removed. What a crash left without a record is removed at the next opening.

mod read;
mod write;

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub(crate) use read::BlobReader;
pub(crate) use write::Incoming;

use crate::directory::{make_private, sync_directory};
use crate::error::Error;

/// A SHA-256.
pub(crate) type Sha256 = [u8; 32];

/// The blobs of one store directory.
#[derive(Debug)]
pub(crate) struct Blobs {
    /// Where they lie.
    directory: PathBuf,
    /// Free space to keep, in bytes.
    min_free_bytes: u64,
    /// Most bytes of all of them.
    max_bytes: u64,
    /// Number of the next incoming one.
    next: AtomicU64,
    /// What is known of them.
    known: Mutex<Known>,
}

/// What is known of the files.
#[derive(Debug, Default)]
struct Known {
    /// Those that a record names.
    recorded: HashSet<Sha256>,
    /// How often each is held.
    holders: HashMap<Sha256, usize>,
    /// Bytes of all files, those being received included.
    bytes: u64,
}

/// What an opening found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Swept {
    /// Files that no record named, removed.
    pub(crate) orphans: u64,
    /// Records whose file is not there.
    pub(crate) missing: u64,
}

impl Blobs {
    /// Opens the blobs of a locked store directory: removes what no record names.
    ///
    /// `recorded` are all that records name, with their lengths.
    ///
    /// # Errors
    ///
    /// `Io`.
    pub(crate) fn open(
        store: &Path,
        min_free_bytes: u64,
        max_bytes: u64,
        recorded: HashMap<Sha256, u64>,
    ) -> Result<(Arc<Self>, Swept), Error> {
        let directory = store.join("blobs");
        make_private(&directory)?;
        make_private(&directory.join("incoming"))?;
        let mut swept = Swept::default();
        let mut found = HashSet::new();
        let mut bytes = 0;
        for path in files(&directory)? {
            let name = path.file_name().and_then(|name| name.to_str());
            let mut sha256 = [0; 32];
            let is_name = name.is_some_and(|name| hex::decode_to_slice(name, &mut sha256).is_ok());
            if is_name && recorded.contains_key(&sha256) {
                found.insert(sha256);
                bytes += path.metadata().map_err(Error::io("inspect", &path))?.len();
            } else {
                std::fs::remove_file(&path).map_err(Error::io("remove", &path))?;
                swept.orphans += 1;
            }
        }
        for path in files(&directory.join("incoming"))? {
            std::fs::remove_file(&path).map_err(Error::io("remove", &path))?;
            swept.orphans += 1;
        }
        for sha256 in recorded.keys().filter(|sha256| !found.contains(*sha256)) {
            swept.missing += 1;
            tracing::error!(
                path = %directory.join(hex::encode(sha256)).display(),
                "a document that a record names is missing: restore its file from a backup"
            );
        }
        let blobs = Self {
            directory,
            min_free_bytes,
            max_bytes,
            next: AtomicU64::new(0),
            known: Mutex::new(Known {
                recorded: recorded.into_keys().collect(),
                holders: HashMap::new(),
                bytes,
            }),
        };
        Ok((Arc::new(blobs), swept))
    }

    /// Returns the bytes of all files.
    pub(crate) fn bytes(&self) -> u64 {
        self.lock().bytes
    }

    /// Returns where a blob lies.
    fn path(&self, sha256: &Sha256) -> PathBuf {
        self.directory.join(hex::encode(sha256))
    }

    /// Returns the path of an incoming file that nothing else has.
    fn incoming_path(&self) -> PathBuf {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        self.directory.join("incoming").join(number.to_string())
    }

    /// Begins to receive a document of at most `max` bytes.
    ///
    /// # Errors
    ///
    /// `NoSpace`, `Io`.
    pub(crate) fn receive(self: &Arc<Self>, max: u64) -> Result<Incoming, Error> {
        Incoming::begin(Arc::clone(self), max)
    }

    /// Opens a recorded blob for reading.
    ///
    /// # Errors
    ///
    /// `Io` if it is not there.
    pub(crate) fn read(&self, sha256: &Sha256, len: u64) -> Result<BlobReader, Error> {
        let path = self.path(sha256);
        let file = File::open(&path).map_err(Error::io("open", &path))?;
        Ok(BlobReader::new(file, path, *sha256, len))
    }

    /// Takes bytes into account before they are written.
    ///
    /// # Errors
    ///
    /// `NoSpace` if they are more than are allowed, or leave too few free.
    fn reserve(&self, bytes: u64) -> Result<(), Error> {
        let free = match rustix::fs::statvfs(&self.directory) {
            Ok(space) => space.f_bavail.saturating_mul(space.f_frsize),
            // Without an answer, writing itself will tell.
            Err(_) => u64::MAX,
        };
        let mut known = self.lock();
        let sum = known.bytes.saturating_add(bytes);
        if sum > self.max_bytes || free < self.min_free_bytes.saturating_add(bytes) {
            return Err(self.no_space());
        }
        known.bytes = sum;
        Ok(())
    }

    /// Gives back bytes that were reserved.
    fn give_back(&self, bytes: u64) {
        let mut known = self.lock();
        known.bytes = known.bytes.saturating_sub(bytes);
    }

    /// Says that there is no room.
    fn no_space(&self) -> Error {
        Error::NoSpace {
            directory: self.directory.clone(),
        }
    }

    /// Gives a synced incoming file its name, unless that document is here already.
    ///
    /// # Errors
    ///
    /// `Io`; then nobody holds it.
    fn settle(self: &Arc<Self>, incoming: &Path, sha256: Sha256, len: u64) -> Result<Blob, Error> {
        {
            let mut known = self.lock();
            let is_here = known.recorded.contains(&sha256) || known.holders.contains_key(&sha256);
            let path = self.path(&sha256);
            // One that was recorded and is missing is mended by whoever sends it again.
            if is_here && path.exists() {
                known.bytes = known.bytes.saturating_sub(len);
                // A file that stays is removed at the next opening.
                let _ = std::fs::remove_file(incoming);
            } else {
                std::fs::rename(incoming, &path).map_err(Error::io("name", &path))?;
            }
            *known.holders.entry(sha256).or_default() += 1;
        }
        Ok(Blob(Arc::new(Hold {
            blobs: Arc::clone(self),
            sha256,
            len,
        })))
    }

    /// Brings the names of the files to disk.
    ///
    /// # Errors
    ///
    /// `Io`.
    fn sync_names(&self) -> Result<(), Error> {
        sync_directory(&self.directory).map_err(Error::io("sync", &self.directory))
    }

    /// Lets go of a blob; removes its file if nobody else needs it.
    fn release(&self, sha256: &Sha256, len: u64) {
        let mut known = self.lock();
        let left = match known.holders.get_mut(sha256) {
            Some(holders) => {
                *holders = holders.saturating_sub(1);
                *holders
            }
            None => 0,
        };
        if left > 0 {
            return;
        }
        known.holders.remove(sha256);
        if !known.recorded.contains(sha256) {
            known.bytes = known.bytes.saturating_sub(len);
            // A file that stays is removed at the next opening.
            let _ = std::fs::remove_file(self.path(sha256));
        }
    }

    /// Locks what is known; a panic elsewhere leaves it whole.
    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A document in a file of its own, kept as long as it is held.
#[derive(Debug, Clone)]
pub(crate) struct Blob(Arc<Hold>);

/// One holder's share.
#[derive(Debug)]
struct Hold {
    /// Where the file is.
    blobs: Arc<Blobs>,
    /// Its name.
    sha256: Sha256,
    /// Its length.
    len: u64,
}

impl Blob {
    /// Returns its hash.
    pub(crate) fn sha256(&self) -> &Sha256 {
        &self.0.sha256
    }

    /// Returns its length.
    pub(crate) fn len(&self) -> u64 {
        self.0.len
    }

    /// Notes that a record on disk names it: the file stays.
    pub(crate) fn record(&self) {
        self.0.blobs.lock().recorded.insert(self.0.sha256);
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.blobs.release(&self.sha256, self.len);
    }
}

/// Lists the files of a directory.
fn files(directory: &Path) -> Result<Vec<PathBuf>, Error> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(directory).map_err(Error::io("list", directory))? {
        let path = entry.map_err(Error::io("list", directory))?.path();
        if path.is_file() {
            files.push(path);
        }
    }
    Ok(files)
}

#[cfg(test)]
mod tests;
