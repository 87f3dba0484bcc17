//! The one writer of a store directory.
//!
//! ```text
//! acts ──queue──▶ decide ▶ stage ▶ append + sync ▶ index ▶ answer
//!                 └──── a whole group at a time ────┘
//! ```
//!
//! A [`Ledger`] says what acts mean; everything that makes them last is here.

mod group;
mod open;
mod queue;

use std::sync::{Arc, PoisonError, RwLock};
use std::thread::JoinHandle;

pub(crate) use open::{open, rebuild};
pub(crate) use queue::Queue;

use crate::directory::StoreDirectory;
use crate::error::{Error, Fault, Health};
use crate::index::{Additions, Index};
use crate::journal::{Frame, JournalReader, Place};

/// What opening a store had to mend.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Recovered {
    /// Frames applied to the index from the journal.
    pub frames_replayed: u64,
    /// Bytes of a torn, never acknowledged write cut off the journal's end.
    pub torn_bytes: u64,
    /// Intents found open.
    pub open_intents: u64,
}

/// How a store is.
#[derive(Debug, Clone)]
pub struct Status {
    /// Whether it takes acts.
    pub health: Health,
    /// Sequence number of the last frame on disk; 0 before the first.
    pub sequence: u64,
    /// The hash that the journal ends with.
    pub chain_hash: [u8; 32],
    /// Bytes of frames in the journal.
    pub journal_bytes: u64,
    /// Segments of the journal.
    pub segments: u32,
    /// Acts waiting for the writer.
    pub queue_depth: usize,
    /// Intents not settled.
    pub pending: u64,
    /// Certificates issued.
    pub issued: u64,
    /// Intents of which nothing came.
    pub abandoned: u64,
    /// Serial numbers revoked or on hold, those taken over from elsewhere included.
    pub revoked: u64,
    /// Public keys that are never certified again.
    pub blocked_keys: u64,
    /// What the last opening had to mend.
    pub recovered: Recovered,
}

/// What a ledger says about an act.
pub(crate) enum Decision<O> {
    /// Nothing has to change: this is the answer.
    Answer(O),
    /// It has to be recorded, then this is the answer.
    Record(O),
    /// It depends on a record of this group: ask again once that is on disk.
    AfterCommit,
}

/// How an act's payload is labelled.
pub(crate) struct Label {
    /// What the payload is.
    pub(crate) kind: u16,
    /// In which version of its kind.
    pub(crate) version: u16,
    /// When the act happened, in microseconds since the epoch.
    pub(crate) time: i64,
}

/// A frame that goes before an act's own.
pub(crate) struct Attachment {
    /// How it is labelled.
    pub(crate) label: Label,
    /// What it holds, at most `MAX_PAYLOAD` octets.
    pub(crate) payload: Vec<u8>,
}

/// What acts mean to one kind of store. Acts may be refused, what is recorded
/// may not.
///
/// State has three layers: staged (this group, not on disk yet), settled in
/// memory, and the index. Only the writer sees the first.
pub(crate) trait Ledger: Send + 'static {
    /// What callers ask for.
    type Act: Send + 'static;
    /// What they are told.
    type Outcome: Send + 'static;

    /// Version of the ledger's keys and values in the index. An index of an older
    /// version is set aside and made anew from the journal when the store opens.
    const LAYOUT: u8 = 1;

    /// Decides an act against all layers. Changes nothing.
    ///
    /// # Errors
    ///
    /// Why the act is refused, or why state could not be read.
    fn decide(&self, act: &Self::Act) -> Result<Decision<Self::Outcome>, Error>;

    /// Appends the act's payload to `payload`.
    fn encode(&self, act: &Self::Act, payload: &mut Vec<u8>) -> Label;

    /// Returns frames that must lie before the act's own, since that one names what
    /// they hold, and that are not there yet. Each stands by itself: found without
    /// the act's own frame after a crash it changes nothing.
    fn attachments(&self, _act: &Self::Act) -> Vec<Attachment> {
        Vec::new()
    }

    /// Stages one of the attachments, by its number among them.
    fn stage_attachment(&mut self, _number: usize, _place: Place) {}

    /// Returns the journal bytes that must be set aside before this act may be
    /// recorded, so that what it begins can be finished on a full disk. Zero for
    /// an act that begins nothing.
    fn promise(&self, act: &Self::Act) -> u64;

    /// Whether room for the act's own frame was promised by an earlier act. One
    /// that promises nothing and is not covered is recorded as long as there is
    /// room beyond all that is promised: free space to keep does not stop it.
    fn is_covered(&self, act: &Self::Act) -> bool {
        self.promise(act) == 0
    }

    /// Returns the bytes promised to everything begun, staged included.
    fn promised(&self) -> u64;

    /// Stages an act that was decided to be recorded.
    fn stage(&mut self, act: &Self::Act, sequence: u64, place: Place);

    /// Adds the keys that the staged acts bring to the index.
    fn index(&self, additions: &mut Additions);

    /// Moves what is staged into the settled layer: it is on disk and indexed.
    fn settle(&mut self);

    /// Forgets what is staged.
    fn discard(&mut self);

    /// Told before [`discard`](Self::discard) that what is staged may be on disk all
    /// the same: files that it names must stay.
    fn doubt(&mut self) {}

    /// Stages a frame found in the journal behind the checkpoint. The index may
    /// have its keys already, or some of them.
    ///
    /// # Errors
    ///
    /// `UnreadableRecord`, `Contradiction`, or why the index could not be read.
    fn replay(&mut self, frame: &Frame<'_>, place: Place) -> Result<(), Error>;

    /// Takes up the state at a checkpoint from its summary and the index.
    ///
    /// # Errors
    ///
    /// `Index` if either cannot be read.
    fn load(&mut self, summary: &[u8]) -> Result<(), Error>;

    /// Returns a summary of the settled layer and adds to `batch` the rest that
    /// replay from here on could not know.
    fn checkpoint(&mut self, batch: &mut sled::Batch) -> Vec<u8>;
}

/// What callers may see of the engine without asking the writer.
#[derive(Debug)]
pub(crate) struct Shared {
    /// Whether acts are taken.
    health: RwLock<Health>,
    /// The journal's end.
    end: RwLock<JournalEnd>,
}

/// The journal's end as last synced.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct JournalEnd {
    /// Number of the last frame; 0 before the first.
    pub(crate) sequence: u64,
    /// The hash it ends with.
    pub(crate) chain_hash: [u8; 32],
    /// Bytes of frames.
    pub(crate) bytes: u64,
    /// Segments.
    pub(crate) segments: u32,
}

impl Shared {
    /// Starts out healthy.
    fn new(end: JournalEnd) -> Self {
        Self {
            health: RwLock::new(Health::Healthy),
            end: RwLock::new(end),
        }
    }

    /// Returns whether acts are taken.
    pub(crate) fn health(&self) -> Health {
        self.health
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Returns the journal's end.
    pub(crate) fn end(&self) -> JournalEnd {
        *self.end.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the health.
    fn set_health(&self, health: Health) {
        *self.health.write().unwrap_or_else(PoisonError::into_inner) = health;
    }

    /// Changes the journal's end.
    fn set_end(&self, end: JournalEnd) {
        *self.end.write().unwrap_or_else(PoisonError::into_inner) = end;
    }
}

/// The callers' side of a running writer.
pub(crate) struct Writer<L: Ledger> {
    /// Where acts wait.
    queue: Arc<Queue<L::Act, L::Outcome>>,
    /// What the writer shows.
    shared: Arc<Shared>,
    /// What opening had to mend.
    recovered: Recovered,
    /// The locked directory.
    directory: Arc<StoreDirectory>,
    /// The thread; gone once joined.
    thread: Option<JoinHandle<()>>,
}

impl<L: Ledger> std::fmt::Debug for Writer<L> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Writer")
            .field("shared", &self.shared)
            .field("recovered", &self.recovered)
            .finish_non_exhaustive()
    }
}

impl<L: Ledger> Writer<L> {
    /// Has an act recorded and returns its outcome, once on disk.
    ///
    /// # Errors
    ///
    /// `Busy`, `Closed`, `Failed`, `NoSpace`, or what the ledger refuses.
    pub(crate) async fn submit(&self, act: L::Act) -> Result<L::Outcome, Error> {
        let answer = self.queue.push(act)?;
        answer.await.unwrap_or_else(|_| {
            // The writer answers everything it takes, unless it panicked.
            let fault = match self.shared.health() {
                Health::Failed(fault) => fault,
                Health::Healthy | Health::NoSpace => {
                    let fault = Arc::new(Fault::WriterGone);
                    self.shared.set_health(Health::Failed(Arc::clone(&fault)));
                    fault
                }
            };
            Err(Error::Failed { fault })
        })
    }

    /// Returns what the writer shows.
    pub(crate) fn shared(&self) -> &Shared {
        &self.shared
    }

    /// Returns the locked directory, for whoever keeps files of it open.
    pub(crate) fn directory(&self) -> Arc<StoreDirectory> {
        Arc::clone(&self.directory)
    }

    /// Returns how many acts wait.
    pub(crate) fn queue_depth(&self) -> usize {
        self.queue.len()
    }

    /// Returns what opening had to mend.
    pub(crate) const fn recovered(&self) -> &Recovered {
        &self.recovered
    }
}

impl<L: Ledger> Drop for Writer<L> {
    /// Finishes what is queued, brings the index to disk and ends the thread.
    fn drop(&mut self) {
        self.queue.close();
        if let Some(thread) = self.thread.take() {
            // A panic there was reported by the panic hook.
            let _ = thread.join();
        }
    }
}

/// What a ledger reads from: index and journal of an open store.
#[derive(Debug, Clone)]
pub(crate) struct Sources {
    /// Where records lie.
    pub(crate) index: Index,
    /// The records.
    pub(crate) journal: Arc<JournalReader>,
}
