//! What can go wrong, by who can do something about it.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use model::{IdempotencyKey, SerialNumber};

use crate::certificates::RevocationRecord;
use crate::journal::FrameFault;

/// Why an act or an opening was refused.
///
/// Cheap to clone: one failed commit is told to every act of its group.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    // The caller's act does not fit what is recorded.
    /// The serial number is already used; draw another.
    #[error("serial {serial} is already recorded; draw another serial number")]
    SerialTaken {
        /// The number.
        serial: SerialNumber,
    },
    /// The idempotency key belongs to a request with other content.
    #[error("idempotency key {key} was used for a different request; use a new key")]
    IdempotencyConflict {
        /// The key.
        key: IdempotencyKey,
    },
    /// No intent was ever recorded under the serial number.
    #[error("no intent is recorded for serial {serial}; nothing may be signed without one")]
    NoIntent {
        /// The number.
        serial: SerialNumber,
    },
    /// The intent was already settled another way.
    #[error("serial {serial} is already settled; its outcome cannot change")]
    AlreadySettled {
        /// The number.
        serial: SerialNumber,
    },
    /// Nothing is recorded under the serial number.
    #[error("serial {serial} is not one of this CA's; check the number")]
    UnknownSerial {
        /// The number.
        serial: SerialNumber,
    },
    /// The serial number is revoked already, and not merely on hold.
    #[error("serial {} is already revoked; the first record stands", record.current.serial)]
    AlreadyRevoked {
        /// What was recorded first.
        record: Box<RevocationRecord>,
    },
    /// The serial number cannot be released from hold.
    #[error("serial {serial} is not on hold; only what is on hold can be released")]
    NotOnHold {
        /// The number.
        serial: SerialNumber,
    },
    /// The public key is blocked.
    #[error("the public key is blocked, since it is or may be known to others; make a new one")]
    KeyBlocked {
        /// SHA-256 of the SubjectPublicKeyInfo.
        public_key_sha256: [u8; 32],
    },
    /// The CRL number is not larger than the last one.
    #[error("CRL number {number} does not go beyond {last}, which is recorded; take the next one")]
    CrlNumberUsed {
        /// The number.
        number: u64,
        /// The largest one recorded.
        last: u64,
    },
    /// The record does not fit into a frame.
    #[error("a record of {len} bytes does not fit; at most {max} bytes are stored")]
    TooLarge {
        /// Its size.
        len: usize,
        /// The largest size.
        max: usize,
    },
    /// A document's file is not what was recorded.
    #[error("{} was changed or cut after it was recorded; restore this file from a backup", path.display())]
    DamagedDocument {
        /// The file.
        path: PathBuf,
    },
    /// A cursor that this store did not make.
    #[error("the cursor is not one of this store; start the listing again without it")]
    BadCursor,

    // Now is not the moment: nothing was recorded, the same act may succeed later.
    /// The writer's queue is full.
    #[error("{capacity} acts already wait for the store; retry shortly")]
    Busy {
        /// Size of the queue.
        capacity: usize,
    },
    /// The disk is full, or fuller than the configured reserve allows.
    #[error("no space left for the store in {}; free some, then retry", directory.display())]
    NoSpace {
        /// The store's directory.
        directory: PathBuf,
    },

    // The store needs its operator.
    /// An earlier write could not be brought to disk; nothing is accepted until
    /// the store is opened again.
    #[error(
        "the store has stopped accepting writes after a fault; see its log, mend the disk and restart the service"
    )]
    Failed {
        /// What happened first.
        #[source]
        fault: Arc<Fault>,
    },
    /// The store is closed or closing.
    #[error("the store is closed")]
    Closed,
    /// Another process holds the directory.
    #[error("{} is in use by another process; stop that one first", directory.display())]
    Locked {
        /// The directory.
        directory: PathBuf,
    },
    /// The operating system refused.
    #[error("could not {action} {}", path.display())]
    Io {
        /// What was tried: "open", "write".
        action: &'static str,
        /// On which file.
        path: PathBuf,
        /// What stopped it.
        #[source]
        source: Arc<io::Error>,
    },
    /// The index cannot be used; the journal can rebuild it.
    #[error("the index in {} cannot be used; run `chancery store rebuild`: it is made anew from the journal", directory.display())]
    Index {
        /// The index's directory.
        directory: PathBuf,
        /// What is wrong with it.
        #[source]
        fault: IndexFault,
    },
    /// The journal was changed or damaged after it was written.
    #[error("the journal is broken at {} offset {offset}; restore this file from a backup", segment.display())]
    BrokenChain {
        /// The segment's file.
        segment: PathBuf,
        /// Where the first bad frame, or the bad header, starts.
        offset: u64,
        /// What is wrong there.
        #[source]
        fault: FrameFault,
    },
    /// A segment is missing from the journal's sequence.
    #[error("journal segment {} is missing; restore it from a backup", segment.display())]
    MissingSegment {
        /// The file that should be there.
        segment: PathBuf,
    },
    /// A frame's chain is sound, its content is not of a kind this version reads.
    #[error(
        "journal record {sequence} (kind {kind}, version {version}) cannot be read; was it written by a newer release?"
    )]
    UnreadableRecord {
        /// Its sequence number.
        sequence: u64,
        /// Its kind.
        kind: u16,
        /// The kind's version.
        version: u16,
    },
    /// A frame contradicts those before it.
    #[error("journal record {sequence} contradicts the records before it")]
    Contradiction {
        /// Its sequence number.
        sequence: u64,
    },
}

/// What makes an index unusable.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum IndexFault {
    /// sled reports an error.
    #[error(transparent)]
    Database(#[from] sled::Error),
    /// The index knows acts that the journal does not have.
    #[error(
        "it is ahead of the journal: it has applied record {applied}, the journal ends at {end}"
    )]
    Ahead {
        /// Last sequence number in the index.
        applied: u64,
        /// Last sequence number in the journal.
        end: u64,
    },
    /// The index was made from another journal.
    #[error("it was made from another journal: record {sequence} has another hash")]
    ForeignJournal {
        /// Where the two differ.
        sequence: u64,
    },
    /// The index's layout is of another release.
    #[error("its layout is version {found}; this release reads {expected}")]
    Layout {
        /// Version found.
        found: u8,
        /// Version this release writes.
        expected: u8,
    },
    /// sled panicked over it.
    #[error("the database could not make sense of its files")]
    Panicked,
    /// An entry cannot be read.
    #[error("an entry cannot be read")]
    Entry,
}

/// What stopped a store for good.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// The journal could not be written or synced. After a failed sync the
    /// system may have dropped the data it could not write, so a second sync
    /// would prove nothing.
    #[error("could not {action} {}", path.display())]
    Journal {
        /// What was tried.
        action: &'static str,
        /// The segment.
        path: PathBuf,
        /// What stopped it.
        #[source]
        source: io::Error,
    },
    /// The index could not be brought up to date. The journal is whole.
    #[error("could not bring the index up to date")]
    Index(#[source] IndexFault),
    /// The writer thread is gone.
    #[error("the writer thread ended unexpectedly")]
    WriterGone,
}

/// How a store is, for health checks and `/status`.
#[derive(Debug, Clone)]
pub enum Health {
    /// Takes every act.
    Healthy,
    /// Finishes what has begun, begins nothing, until there is room again.
    NoSpace,
    /// Takes nothing until it is opened again.
    Failed(Arc<Fault>),
}

impl Error {
    /// Wraps what the operating system answered.
    pub(crate) fn io(
        action: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io {
            action,
            path,
            source: Arc::new(source),
        }
    }

    /// Whether the same act may succeed later without anyone changing it.
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        matches!(self, Self::Busy { .. } | Self::NoSpace { .. })
    }
}
