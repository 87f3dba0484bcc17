//! The writer thread: groups of acts, one sync each.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::queue::{Drained, Queue, Queued, Reply};
use super::{Decision, JournalEnd, Label, Ledger, Shared};
use crate::directory::StoreDirectory;
use crate::error::{Error, Fault, Health};
use crate::index::{Additions, Applied, Checkpoint, Flusher, Index};
use crate::journal::{CommitError, Journal, MAX_PAYLOAD, frame_len};
use crate::metrics::StoreMetrics;

/// Frames after which a checkpoint is due: what a start replays at most, under load.
const CHECKPOINT_FRAMES: u64 = 4096;

/// How long the writer waits for acts before it tidies up.
const TIDY_AFTER: Duration = Duration::from_secs(1);

/// Everything the writer thread owns.
pub(crate) struct Engine<L: Ledger> {
    /// What acts mean.
    pub(crate) ledger: L,
    /// The journal.
    pub(crate) journal: Journal,
    /// The index.
    pub(crate) index: Index,
    /// Brings the index to disk.
    pub(crate) flusher: Flusher,
    /// What callers see.
    pub(crate) shared: Arc<Shared>,
    /// What is counted.
    pub(crate) metrics: StoreMetrics,
    /// Free space to keep, in bytes.
    pub(crate) min_free_bytes: u64,
    /// Number of the next frame at the last checkpoint.
    pub(crate) checkpointed: u64,
    /// The directory, held until everything above is closed.
    pub(crate) directory: Arc<StoreDirectory>,
}

/// A group on its way to disk.
struct Group<O> {
    /// Answers that wait for the sync, in the order of their acts. Refusals wait
    /// too: they may rest on what is not on disk yet.
    replies: Vec<(Reply<O>, Result<O, Error>)>,
    /// How many of them stand for staged frames.
    staged: u64,
    /// Whether the disk has room for something new, once asked.
    has_room: Option<bool>,
    /// When it began.
    began: Instant,
}

impl<O> Group<O> {
    /// Begins an empty group.
    fn begin() -> Self {
        Self {
            replies: Vec::new(),
            staged: 0,
            has_room: None,
            began: Instant::now(),
        }
    }
}

impl<L: Ledger> Engine<L> {
    /// Works until the queue is closed and empty.
    pub(crate) fn run(mut self, queue: &Queue<L::Act, L::Outcome>) {
        let mut payload = Vec::new();
        loop {
            match queue.drain(self.patience()) {
                Drained::Acts(acts) => self.work(acts, &mut payload),
                Drained::Idle => self.tidy(),
                Drained::Closed => break,
            }
            self.metrics
                .queue_depth
                .set(i64::try_from(queue.len()).unwrap_or(i64::MAX));
        }
        if self.fault().is_none() {
            self.checkpoint();
        }
    }

    /// Says how long to wait for acts: for ever, unless something is to be tidied.
    fn patience(&self) -> Option<Duration> {
        let tidy = match self.shared.health() {
            Health::Healthy => self.journal.end().next == self.checkpointed,
            Health::NoSpace => false,
            Health::Failed(_) => true,
        };
        if tidy { None } else { Some(TIDY_AFTER) }
    }

    /// Uses a quiet moment: looks whether a full disk has room again, writes a
    /// checkpoint.
    fn tidy(&mut self) {
        if matches!(self.shared.health(), Health::NoSpace) && self.make_room(0, 0) {
            tracing::info!("the store has room again");
            self.shared.set_health(Health::Healthy);
        }
        if self.journal.end().next != self.checkpointed {
            self.checkpoint();
        }
    }

    /// Decides, records and answers acts, in as few groups as possible.
    fn work(&mut self, acts: VecDeque<Queued<L::Act, L::Outcome>>, payload: &mut Vec<u8>) {
        let mut group = Group::begin();
        for Queued { act, reply } in acts {
            let result = match self.fault() {
                Some(fault) => Err(Error::Failed { fault }),
                None => self.take(&act, payload, &mut group),
            };
            group.replies.push((reply, result));
            if self.journal.is_commit_due() {
                self.finish(std::mem::replace(&mut group, Group::begin()));
            }
        }
        self.finish(group);
        if self.journal.end().next >= self.checkpointed + CHECKPOINT_FRAMES {
            self.checkpoint();
        }
    }

    /// Decides one act and stages it if it has to be recorded.
    fn take(
        &mut self,
        act: &L::Act,
        payload: &mut Vec<u8>,
        group: &mut Group<L::Outcome>,
    ) -> Result<L::Outcome, Error> {
        let mut outcome = loop {
            match self.ledger.decide(act)? {
                Decision::Answer(outcome) => return Ok(outcome),
                Decision::Record(outcome) => break outcome,
                Decision::AfterCommit => self.start_over(group)?,
            }
        };
        let mut label = self.encode(act, payload)?;
        let promise = self.ledger.promise(act);
        if promise > 0 {
            let asked = group.has_room;
            let roomy = asked.unwrap_or_else(|| self.has_min_free());
            group.has_room = Some(roomy);
            if !roomy || !self.make_room(payload.len() as u64 + promise, promise) {
                return Err(self.no_space());
            }
            if matches!(self.shared.health(), Health::NoSpace) {
                self.shared.set_health(Health::Healthy);
            }
        } else if !self.ledger.is_covered(act) {
            let bytes = self.ledger.promised() + frame_len(payload.len()) as u64;
            if !self.set_aside(bytes) {
                return Err(self.no_space());
            }
        }
        if !self.journal.fits(payload.len()) {
            // A group ends with its segment. Had it met a full disk, this act's
            // decision would rest on what was not recorded.
            self.start_over(group)?;
            match self.ledger.decide(act)? {
                Decision::Answer(outcome) => return Ok(outcome),
                Decision::Record(anew) => {
                    outcome = anew;
                    label = self.encode(act, payload)?;
                }
                Decision::AfterCommit => {}
            }
            self.journal.roll().map_err(|error| self.refuse(error))?;
        }
        let sequence = self.journal.next();
        let place = self
            .journal
            .stage(label.time, label.kind, label.version, payload);
        self.ledger.stage(act, sequence, place);
        group.staged += 1;
        Ok(outcome)
    }

    /// Writes the payload of an act that was decided to be recorded.
    ///
    /// # Errors
    ///
    /// `TooLarge` if it does not fit into a frame.
    fn encode(&self, act: &L::Act, payload: &mut Vec<u8>) -> Result<Label, Error> {
        payload.clear();
        let label = self.ledger.encode(act, payload);
        if payload.len() > MAX_PAYLOAD {
            return Err(Error::TooLarge {
                len: payload.len(),
                max: MAX_PAYLOAD,
            });
        }
        Ok(label)
    }

    /// Finishes the group and begins the next.
    ///
    /// # Errors
    ///
    /// `Failed` if the store failed over it.
    fn start_over(&mut self, group: &mut Group<L::Outcome>) -> Result<(), Error> {
        self.finish(std::mem::replace(group, Group::begin()));
        match self.fault() {
            Some(fault) => Err(Error::Failed { fault }),
            None => Ok(()),
        }
    }

    /// Brings a group to disk and answers it.
    fn finish(&mut self, group: Group<L::Outcome>) {
        let refusal = if group.staged == 0 {
            None
        } else {
            self.commit(&group).err()
        };
        for (reply, result) in group.replies {
            let result = match &refusal {
                // Refusals too: the acts before them did not happen.
                Some(refusal) => Err(refusal.clone()),
                None => result,
            };
            // Nobody listens any more: the act stands all the same.
            let _ = reply.send(result);
        }
    }

    /// Brings what is staged to disk, then into the index and into memory.
    fn commit(&mut self, group: &Group<L::Outcome>) -> Result<(), Error> {
        if let Err(error) = self.journal.commit() {
            self.ledger.discard();
            return Err(self.refuse(error));
        }
        let end = self.journal.end();
        let mut additions = Additions::default();
        self.ledger.index(&mut additions);
        let applied = Applied {
            sequence: end.next - 1,
            hash: end.hash,
        };
        if let Err(fault) = self.index.apply(additions, &applied) {
            self.ledger.discard();
            return Err(self.fail(Fault::Index(fault)));
        }
        self.ledger.settle();
        self.shared.set_end(JournalEnd {
            sequence: end.next - 1,
            chain_hash: self.journal.chain_hash(),
            bytes: self.journal.bytes(),
            segments: end.place.segment,
        });
        self.metrics.commits.inc();
        self.metrics.acts.inc_by(group.staged);
        self.metrics.acts_per_commit.observe(group.staged as f64);
        self.metrics
            .commit_seconds
            .observe(group.began.elapsed().as_secs_f64());
        self.metrics
            .journal_bytes
            .set(i64::try_from(self.journal.bytes()).unwrap_or(i64::MAX));
        Ok(())
    }

    /// Writes a checkpoint and has the index brought to disk.
    fn checkpoint(&mut self) {
        let mut batch = sled::Batch::default();
        let summary = self.ledger.checkpoint(&mut batch);
        let position = self.journal.end();
        let checkpoint = Checkpoint {
            position,
            journal_bytes: self.journal.bytes(),
            summary,
        };
        let written = self
            .index
            .write_checkpoint(batch, checkpoint)
            .and_then(|()| self.flusher.flush_soon());
        match written {
            Ok(()) => self.checkpointed = position.next,
            Err(fault) => {
                self.fail(Fault::Index(fault));
            }
        }
    }

    /// Sets aside what is promised and `more`; whether there is room for it.
    fn make_room(&mut self, more: u64, promise: u64) -> bool {
        if promise == 0 && !self.has_min_free() {
            return false;
        }
        self.set_aside(self.ledger.promised() + more)
    }

    /// Sets journal space aside; whether the disk had it.
    fn set_aside(&mut self, bytes: u64) -> bool {
        match self.journal.set_aside(bytes) {
            Ok(()) => true,
            Err(source) => {
                tracing::debug!(
                    error = &source as &dyn std::error::Error,
                    "could not set journal space aside"
                );
                false
            }
        }
    }

    /// Whether the file system has the free space that is to be kept.
    fn has_min_free(&self) -> bool {
        match rustix::fs::statvfs(self.directory.path()) {
            Ok(space) => space.f_bavail.saturating_mul(space.f_frsize) >= self.min_free_bytes,
            // Without an answer, the allocation itself will tell.
            Err(_) => true,
        }
    }

    /// Turns what the journal answered into what callers are told.
    fn refuse(&mut self, error: CommitError) -> Error {
        match error {
            CommitError::NoSpace => self.no_space(),
            CommitError::Fault(fault) => self.fail(fault),
        }
    }

    /// Refuses an act for want of space.
    fn no_space(&mut self) -> Error {
        self.metrics.no_space.inc();
        if matches!(self.shared.health(), Health::Healthy) {
            tracing::warn!(
                directory = %self.directory.path().display(),
                "the store has no space left: nothing new is begun until there is room"
            );
            self.shared.set_health(Health::NoSpace);
        }
        let directory: PathBuf = self.directory.path().to_owned();
        Error::NoSpace { directory }
    }

    /// Stops taking acts for good.
    fn fail(&mut self, fault: Fault) -> Error {
        tracing::error!(
            error = &fault as &dyn std::error::Error,
            directory = %self.directory.path().display(),
            "the store takes no more writes until it is opened again"
        );
        let fault = Arc::new(fault);
        self.shared.set_health(Health::Failed(Arc::clone(&fault)));
        self.metrics.failed.set(1);
        Error::Failed { fault }
    }

    /// Returns what stopped the store, if something did.
    fn fault(&self) -> Option<Arc<Fault>> {
        match self.shared.health() {
            Health::Failed(fault) => Some(fault),
            Health::Healthy | Health::NoSpace => None,
        }
    }
}

#[cfg(test)]
mod tests;
