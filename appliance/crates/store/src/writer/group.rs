//! The writer thread: groups of acts, one sync each.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::queue::{Drained, Queue, Queued, Reply};
use super::{Attachment, Decision, JournalEnd, Label, Ledger, Shared};
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
                // Whoever waits was told.
                let _ = self.finish(std::mem::replace(&mut group, Group::begin()));
            }
        }
        let _ = self.finish(group);
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
        loop {
            let outcome = match self.ledger.decide(act)? {
                Decision::Answer(outcome) => return Ok(outcome),
                Decision::Record(outcome) => outcome,
                Decision::AfterCommit => {
                    self.start_over(group, 0)?;
                    continue;
                }
            };
            let label = self.encode(act, payload)?;
            let attachments = self.ledger.attachments(act);
            self.check_room(act, payload.len(), &attachments, group)?;
            if let Some(sequence) = self.stage(act, &label, payload, attachments, group)? {
                debug_assert!(sequence < self.journal.next(), "staged behind the end");
                return Ok(outcome);
            }
        }
    }

    /// Checks that there is room for an act's frames and for what it begins.
    ///
    /// # Errors
    ///
    /// `NoSpace` if there is not.
    fn check_room(
        &mut self,
        act: &L::Act,
        payload: usize,
        attachments: &[Attachment],
        group: &mut Group<L::Outcome>,
    ) -> Result<(), Error> {
        let attached = attachments.iter().map(|own| frame_len(own.payload.len()));
        let attached = attached.sum::<usize>() as u64;
        let promise = self.ledger.promise(act);
        if promise > 0 {
            let asked = group.has_room;
            let roomy = asked.unwrap_or_else(|| self.has_min_free());
            group.has_room = Some(roomy);
            if !roomy || !self.make_room(attached + payload as u64 + promise, promise) {
                return Err(self.no_space());
            }
            if matches!(self.shared.health(), Health::NoSpace) {
                self.shared.set_health(Health::Healthy);
            }
        } else if !self.ledger.is_covered(act) {
            let bytes = self.ledger.promised() + attached + frame_len(payload) as u64;
            if !self.set_aside(bytes) {
                return Err(self.no_space());
            }
        }
        Ok(())
    }

    /// Stages an act's frames, those it names before its own, and returns the
    /// number of that one. None if the group had to end first: the act is to be
    /// decided anew, since its decision may rest on what the group recorded, or
    /// failed to. What it attached by then lies in the journal and is found again.
    ///
    /// # Errors
    ///
    /// `NoSpace` if there is no further segment, `Failed`.
    fn stage(
        &mut self,
        act: &L::Act,
        label: &Label,
        payload: &[u8],
        attachments: Vec<Attachment>,
        group: &mut Group<L::Outcome>,
    ) -> Result<Option<u64>, Error> {
        let mut attached = 0;
        for (number, Attachment { label, payload }) in attachments.into_iter().enumerate() {
            if !self.make_way(payload.len(), group, attached)? {
                return Ok(None);
            }
            let place = self
                .journal
                .stage(label.time, label.kind, label.version, &payload);
            self.ledger.stage_attachment(number, place);
            group.staged += 1;
            attached += 1;
        }
        if !self.make_way(payload.len(), group, attached)? {
            return Ok(None);
        }
        let sequence = self.journal.next();
        let place = self
            .journal
            .stage(label.time, label.kind, label.version, payload);
        self.ledger.stage(act, sequence, place);
        group.staged += 1;
        Ok(Some(sequence))
    }

    /// Makes way for a frame: whether it can be staged now. If not, the group was
    /// finished. `attached` frames of it belong to the act itself.
    ///
    /// # Errors
    ///
    /// As [`stage`](Self::stage).
    fn make_way(
        &mut self,
        payload: usize,
        group: &mut Group<L::Outcome>,
        attached: u64,
    ) -> Result<bool, Error> {
        let fits = self.journal.fits(payload);
        if fits && (attached == 0 || !self.journal.is_commit_due()) {
            return Ok(true);
        }
        if group.staged > 0 {
            // A group ends with its segment.
            self.start_over(group, attached)?;
            return Ok(false);
        }
        if !fits {
            self.journal.roll().map_err(|error| self.refuse(error))?;
        }
        Ok(true)
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
    /// `Failed` if the store failed over it. What else the group met, if some of
    /// its frames belong to the act at hand, which would meet it again.
    fn start_over(&mut self, group: &mut Group<L::Outcome>, own: u64) -> Result<(), Error> {
        let finished = self.finish(std::mem::replace(group, Group::begin()));
        if let Some(fault) = self.fault() {
            return Err(Error::Failed { fault });
        }
        if own > 0 { finished } else { Ok(()) }
    }

    /// Brings a group to disk and answers it.
    ///
    /// # Errors
    ///
    /// What its acts were refused with.
    fn finish(&mut self, group: Group<L::Outcome>) -> Result<(), Error> {
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
        refusal.map_or(Ok(()), Err)
    }

    /// Brings what is staged to disk, then into the index and into memory.
    fn commit(&mut self, group: &Group<L::Outcome>) -> Result<(), Error> {
        if let Err(error) = self.journal.commit() {
            if matches!(error, CommitError::Fault(_)) {
                self.ledger.doubt();
            }
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
            self.ledger.doubt();
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
