//! The index: sled, derived from the journal and never ahead of it.
//!
//! One tree; the first octet of a key says what it is. Three keys belong to the
//! engine, the others to the ledger that the store is of:
//!
//! - `l`: the version of the ledger's keys and values, written before any other;
//! - `m`: the checkpoint: where replay starts, and what cannot be looked up;
//! - `a`: number and hash of the last frame applied, written after what it changed.
//!
//! Between checkpoints keys are only added, one by one: a batch costs sled two
//! buffers and two writes. After a crash some of them may be missing; replay
//! adds them again from the checkpoint on, which is one batch, hence whole.
// Stored on disk: change only by adding a version.

use std::fs::{File, Permissions, TryLockError};
use std::os::unix::fs::PermissionsExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::directory::sync_directory;
use crate::error::{Error, IndexFault};
use crate::journal::{ChainHash, Place, Position};

/// Version of the checkpoint.
const CHECKPOINT: u8 = 1;

/// Key of the version of the ledger's keys and values.
const LAYOUT_KEY: &[u8] = b"l";

/// The version of an index from before there was such a key.
const FIRST_LAYOUT: u8 = 1;

/// Key of the checkpoint.
const CHECKPOINT_KEY: &[u8] = b"m";

/// Key of the last frame applied.
const APPLIED_KEY: &[u8] = b"a";

/// Longest wait for a closed sled to let its file go.
const RELEASE: Duration = Duration::from_secs(10);

/// How often that is looked at.
const RELEASE_POLL: Duration = Duration::from_millis(5);

/// Where replay starts, and the state there that keys do not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Checkpoint {
    /// Replay visits the frames from here on.
    pub(crate) position: Position,
    /// Bytes of frames before it.
    pub(crate) journal_bytes: u64,
    /// The ledger's own summary of what came before.
    pub(crate) summary: Vec<u8>,
}

/// A checkpoint in the index.
#[derive(Serialize, Deserialize)]
struct CheckpointV1 {
    /// Where the next frame starts.
    place: Place,
    /// Its number.
    next: u64,
    /// What it chains to.
    hash: ChainHash,
    /// Bytes of frames before it.
    journal_bytes: u64,
    /// The ledger's summary.
    summary: Vec<u8>,
}

/// The last frame that the index knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Applied {
    /// Its number.
    pub(crate) sequence: u64,
    /// Its hash.
    pub(crate) hash: ChainHash,
}

/// Keys to add to the index.
#[derive(Debug, Default)]
pub(crate) struct Additions {
    /// Keys and their values.
    keys: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Additions {
    /// Adds a key.
    pub(crate) fn insert(&mut self, key: Vec<u8>, value: Vec<u8>) {
        self.keys.push((key, value));
    }
}

/// An open index; clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Index {
    /// The database.
    db: sled::Db,
    /// Its directory, for messages.
    path: Arc<Path>,
}

impl Index {
    /// Opens or makes the index in a directory.
    ///
    /// # Errors
    ///
    /// `Index` if sled cannot use what is there.
    pub(crate) fn open(path: &Path, cache_bytes: u64) -> Result<Self, Error> {
        let config = sled::Config::new()
            .path(path)
            .cache_capacity(cache_bytes)
            .mode(sled::Mode::HighThroughput)
            .flush_every_ms(None);
        let db = open_released(&config).map_err(|fault| Error::Index {
            directory: path.to_owned(),
            fault,
        })?;
        for entry in std::fs::read_dir(path).map_err(Error::io("list", path))? {
            let file = entry.map_err(Error::io("list", path))?.path();
            if file.is_file() {
                std::fs::set_permissions(&file, Permissions::from_mode(0o600))
                    .map_err(Error::io("set the mode of", file))?;
            }
        }
        Ok(Self {
            db,
            path: path.into(),
        })
    }

    /// Says that the index is unusable.
    pub(crate) fn unusable(&self, fault: impl Into<IndexFault>) -> Error {
        Error::Index {
            directory: self.path.to_path_buf(),
            fault: fault.into(),
        }
    }

    /// Reads the version of the ledger's keys and values; none in a new index.
    ///
    /// # Errors
    ///
    /// `Index` if it cannot be read.
    pub(crate) fn layout(&self) -> Result<Option<u8>, Error> {
        if let Some(layout) = self.get(LAYOUT_KEY)? {
            return match layout[..] {
                [layout] => Ok(Some(layout)),
                _ => Err(self.unusable(IndexFault::Entry)),
            };
        }
        let is_new = self.get(APPLIED_KEY)?.is_none() && self.get(CHECKPOINT_KEY)?.is_none();
        Ok(if is_new { None } else { Some(FIRST_LAYOUT) })
    }

    /// Marks a new index with the version of what it will hold, and brings the
    /// mark to disk before anything else.
    ///
    /// # Errors
    ///
    /// `Index` if sled fails.
    pub(crate) fn set_layout(&self, layout: u8) -> Result<(), Error> {
        self.db
            .insert(LAYOUT_KEY, &[layout])
            .map_err(|error| self.unusable(error))?;
        flush(self).map_err(|fault| self.unusable(fault))
    }

    /// Closes the index and waits until its files are let go. No clone may be left.
    ///
    /// # Errors
    ///
    /// `Io` if they are not in time.
    pub(crate) fn close(self) -> Result<(), Error> {
        let file = self.path.join("db");
        drop(self.db);
        let file_of = File::open(&file).map_err(Error::io("open", &file))?;
        let give_up = Instant::now() + RELEASE;
        loop {
            match file_of.try_lock() {
                Ok(()) => return Ok(()),
                Err(TryLockError::WouldBlock) if Instant::now() < give_up => {
                    std::thread::sleep(RELEASE_POLL);
                }
                Err(error) => return Err(Error::io("close", file)(error.into())),
            }
        }
    }

    /// Looks a key up.
    ///
    /// # Errors
    ///
    /// `Index` if sled fails.
    pub(crate) fn get(&self, key: &[u8]) -> Result<Option<sled::IVec>, Error> {
        self.db.get(key).map_err(|error| self.unusable(error))
    }

    /// Walks the keys in a range, in either direction.
    pub(crate) fn range(
        &self,
        range: std::ops::Range<Vec<u8>>,
    ) -> impl DoubleEndedIterator<Item = Result<(sled::IVec, sled::IVec), Error>> + '_ {
        self.db
            .range(range)
            .map(|item| item.map_err(|error| self.unusable(error)))
    }

    /// Adds the keys of a group of frames, then the mark that it did.
    ///
    /// # Errors
    ///
    /// What sled answers.
    pub(crate) fn apply(&self, additions: Additions, applied: &Applied) -> Result<(), IndexFault> {
        for (key, value) in additions.keys {
            self.db.insert(key, value)?;
        }
        let mut mark = [0; 40];
        mark[..8].copy_from_slice(&applied.sequence.to_be_bytes());
        mark[8..].copy_from_slice(&applied.hash);
        self.db.insert(APPLIED_KEY, &mark[..])?;
        Ok(())
    }

    /// Reads the mark of the last frame applied.
    ///
    /// # Errors
    ///
    /// `Index` if it cannot be read.
    pub(crate) fn applied(&self) -> Result<Option<Applied>, Error> {
        let Some(mark) = self.get(APPLIED_KEY)? else {
            return Ok(None);
        };
        let parts = mark
            .split_first_chunk()
            .and_then(|(sequence, hash)| Some((sequence, hash.try_into().ok()?)));
        let (sequence, hash) = parts.ok_or_else(|| self.unusable(IndexFault::Entry))?;
        Ok(Some(Applied {
            sequence: u64::from_be_bytes(*sequence),
            hash,
        }))
    }

    /// Writes a checkpoint together with what the ledger adds to it.
    ///
    /// # Errors
    ///
    /// What sled answers.
    pub(crate) fn write_checkpoint(
        &self,
        mut batch: sled::Batch,
        checkpoint: Checkpoint,
    ) -> Result<(), IndexFault> {
        let record = CheckpointV1 {
            place: checkpoint.position.place,
            next: checkpoint.position.next,
            hash: checkpoint.position.hash,
            journal_bytes: checkpoint.journal_bytes,
            summary: checkpoint.summary,
        };
        let value =
            postcard::to_extend(&record, vec![CHECKPOINT]).map_err(|_| IndexFault::Entry)?;
        batch.insert(CHECKPOINT_KEY, value);
        Ok(self.db.apply_batch(batch)?)
    }

    /// Reads the checkpoint; none in a new index.
    ///
    /// # Errors
    ///
    /// `Index` if it is of another layout or cannot be read.
    pub(crate) fn checkpoint(&self) -> Result<Option<Checkpoint>, Error> {
        let Some(value) = self.get(CHECKPOINT_KEY)? else {
            return Ok(None);
        };
        let (layout, record) = value
            .split_first()
            .ok_or_else(|| self.unusable(IndexFault::Entry))?;
        if *layout != CHECKPOINT {
            return Err(self.unusable(IndexFault::Layout {
                found: *layout,
                expected: CHECKPOINT,
            }));
        }
        let record: CheckpointV1 =
            postcard::from_bytes(record).map_err(|_| self.unusable(IndexFault::Entry))?;
        Ok(Some(Checkpoint {
            position: Position {
                place: record.place,
                next: record.next,
                hash: record.hash,
            },
            journal_bytes: record.journal_bytes,
            summary: record.summary,
        }))
    }
}

/// Brings the index to disk from a thread of its own, so that no act waits.
///
/// The index may lose what was not flushed: the journal has it. Flushing bounds
/// how much a start has to replay.
#[derive(Debug)]
pub(crate) struct Flusher {
    /// Asks for a flush; dropped to end the thread.
    ask: Option<SyncSender<()>>,
    /// The thread.
    thread: Option<JoinHandle<()>>,
    /// What stopped a flush.
    fault: Arc<Mutex<Option<IndexFault>>>,
}

impl Flusher {
    /// Starts the thread.
    ///
    /// # Errors
    ///
    /// `Io` if the system has no thread to give.
    pub(crate) fn start(index: &Index) -> Result<Self, Error> {
        let (ask, asked) = sync_channel(1);
        let fault = Arc::new(Mutex::new(None));
        let (flushed, slot) = (index.clone(), Arc::clone(&fault));
        let thread = std::thread::Builder::new()
            .name("store-flush".into())
            .spawn(move || flush_when_asked(&flushed, &asked, &slot))
            .map_err(Error::io("start the flush thread of", &*index.path))?;
        Ok(Self {
            ask: Some(ask),
            thread: Some(thread),
            fault,
        })
    }

    /// Asks for a flush; returns what stopped an earlier one.
    ///
    /// # Errors
    ///
    /// The first fault met.
    pub(crate) fn flush_soon(&self) -> Result<(), IndexFault> {
        if let Some(fault) = self.first_fault() {
            return Err(fault);
        }
        match self.ask.as_ref().map(|ask| ask.try_send(())) {
            // A flush that is already asked for covers this one too.
            Some(Ok(()) | Err(TrySendError::Full(()) | TrySendError::Disconnected(()))) | None => {
                Ok(())
            }
        }
    }

    /// Returns the first fault met.
    fn first_fault(&self) -> Option<IndexFault> {
        self.fault
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

impl Drop for Flusher {
    /// Flushes what was asked for and ends the thread.
    fn drop(&mut self) {
        drop(self.ask.take());
        if let Some(thread) = self.thread.take() {
            // A panic there was reported by the panic hook.
            let _ = thread.join();
        }
    }
}

/// Flushes each time it is asked, until nobody can ask any more.
fn flush_when_asked(index: &Index, asked: &Receiver<()>, fault: &Mutex<Option<IndexFault>>) {
    while asked.recv().is_ok() {
        if let Err(error) = flush(index) {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "could not bring the index to disk"
            );
            *fault.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
            return;
        }
    }
}

/// Writes sled's buffers out, then syncs its file: sled itself stops at
/// `sync_file_range`, which does not flush the disk's cache.
fn flush(index: &Index) -> Result<(), IndexFault> {
    index.db.flush()?;
    let path: PathBuf = index.path.join("db");
    File::open(path)
        .and_then(|file| file.sync_data())
        .and_then(|()| sync_directory(&index.path))
        .map_err(|error| IndexFault::Database(error.into()))
}

/// Opens sled, waiting for one that was just closed.
///
/// The directory's lock is ours already, so a locked file is that of a sled of
/// this process: its threads let go of the file a moment after it was dropped.
fn open_released(config: &sled::Config) -> Result<sled::Db, IndexFault> {
    let give_up = Instant::now() + RELEASE;
    loop {
        // sled may panic over damaged files; that is a reason to rebuild, not to die.
        let opened =
            catch_unwind(AssertUnwindSafe(|| config.open())).map_err(|_| IndexFault::Panicked)?;
        match opened {
            Err(sled::Error::Io(error)) if is_locked(&error) && Instant::now() < give_up => {
                std::thread::sleep(RELEASE_POLL);
            }
            opened => return opened.map_err(IndexFault::from),
        }
    }
}

/// Tells whether sled found its file locked; it has no error of its own for that.
fn is_locked(error: &std::io::Error) -> bool {
    error.to_string().contains("could not acquire lock")
}
