//! The signing ledger: how its acts become frames, keys and memory.

mod collect;
mod keys;

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock, RwLockWriteGuard};
use std::time::Duration;

use model::signing::{DeliveryId, EventId, SignatureId};

use super::act::{Act, Outcome};
use super::codec::{
    self, DeliveryProgressV1, EventProgressV1, Kind, OutcomeV1, QUEUE_WAITING, Record, StageV1,
    TimestampV1, WithdrawalV1,
};
use super::decide::{Memorable, Plan, decide};
use super::document::{Body, Documents};
use super::key::{self, Located};
use super::memory::{Memory, Open};
use super::metrics::SigningStoreMetrics;
use super::view::{Staged, View};
use crate::blobs::Sha256;
use crate::error::{Error, IndexFault};
use crate::index::Additions;
use crate::journal::{Frame, Place, frame_len};
use crate::writer::{Attachment, Decision, Label, Ledger, Sources};

/// Room set aside for the frames of stage and completion besides what they hold.
const FRAMES_ROOM: u64 = 32 * 1024;

/// Room that must be there before anything else is begun.
const BEGIN_ROOM: u64 = 4096;

/// What a signing store may keep, and for how long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SigningOptions {
    /// How long a webhook's sender may repeat a delivery and be told so.
    pub remember_deliveries: Duration,
    /// How long events and deliveries that ended stay readable.
    pub keep_ended: Duration,
    /// Most bytes of documents in files of their own; as many as fit without.
    pub blobs_max_bytes: Option<u64>,
}

impl Default for SigningOptions {
    /// A week, thirty days, and what fits.
    fn default() -> Self {
        Self {
            remember_deliveries: Duration::from_secs(7 * 86_400),
            keep_ended: Duration::from_secs(30 * 86_400),
            blobs_max_bytes: None,
        }
    }
}

/// The ledger of signatures, time-stamps, log and queues.
#[derive(Debug)]
pub(crate) struct SigningLedger {
    /// Index and journal.
    sources: Sources,
    /// What memory holds, shared with readers.
    memory: Arc<RwLock<Memory>>,
    /// What may be kept.
    options: SigningOptions,
    /// What is shown of it.
    metrics: SigningStoreMetrics,
    /// What the act that was decided last comes to.
    plan: RefCell<Option<Plan>>,
    /// What this group changes.
    staged: Staged,
}

impl SigningLedger {
    /// Starts with nothing in memory.
    pub(crate) fn new(
        sources: Sources,
        memory: Arc<RwLock<Memory>>,
        options: SigningOptions,
        metrics: SigningStoreMetrics,
    ) -> Self {
        Self {
            sources,
            memory,
            options,
            metrics,
            plan: RefCell::new(None),
            staged: Staged::default(),
        }
    }

    /// Returns how many signatures are being made.
    pub(crate) fn count_open(&self) -> u64 {
        let memory = self.memory.read().unwrap_or_else(PoisonError::into_inner);
        memory.open.len() as u64
    }

    /// Shows the state with what is staged.
    fn view(&self) -> View<'_> {
        View {
            sources: &self.sources,
            memory: &self.memory,
            staged: Some(&self.staged),
        }
    }

    /// Locks memory for writing.
    fn write(&self) -> RwLockWriteGuard<'_, Memory> {
        self.memory.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns the records of an act, and which act it is.
fn records<'a>(act: &'a Act, plan: &Plan) -> (Kind, Vec<Record<'a>>) {
    let range = plan.first_leaf..plan.first_leaf + plan.leaves;
    let range = Some(range).filter(|range| !range.is_empty());
    match act {
        Act::Begin(new) => (Kind::Begun, vec![Record::Request((&**new).into())]),
        Act::Stage { id, stage } => {
            let mut records = vec![Record::Stage(StageV1::new(id, range.as_ref()))];
            let timestamps = stage.timestamps.iter();
            records.extend(
                timestamps.map(|intent| {
                    Record::Timestamp(TimestampV1::of_signature(id, intent, stage.at))
                }),
            );
            let leaves = (plan.first_leaf..).zip(&stage.leaves);
            records.extend(leaves.map(|(index, leaf)| Record::Leaf(index, leaf)));
            (Kind::Staged, records)
        }
        Act::Complete { id, signed } => {
            let outcome = OutcomeV1::signed(id, signed, range.as_ref());
            let mut records = vec![Record::Outcome(outcome)];
            let deliveries = signed.deliveries.iter();
            records.extend(deliveries.map(|delivery| Record::Delivery(delivery.into())));
            (Kind::Completed, records)
        }
        Act::Abandon { id, reason, at } => {
            let outcome = OutcomeV1::abandoned(id, *reason, *at);
            (Kind::Abandoned, vec![Record::Outcome(outcome)])
        }
        Act::Withdraw { id, withdrawal } => {
            let mut records = vec![Record::Withdrawal(WithdrawalV1::new(id, withdrawal))];
            let deliveries = withdrawal.deliveries.iter();
            records.extend(deliveries.map(|delivery| Record::Delivery(delivery.into())));
            (Kind::Withdrawn, records)
        }
        Act::Timestamp(new) => (Kind::Timestamp, vec![Record::Timestamp((&**new).into())]),
        Act::Leaves { leaves, .. } => {
            let leaves = (plan.first_leaf..).zip(leaves);
            let records = leaves.map(|(index, leaf)| Record::Leaf(index, leaf));
            (Kind::Leaves, records.collect())
        }
        Act::Checkpoint(checkpoint) => (
            Kind::Checkpoint,
            vec![Record::Checkpoint(checkpoint.into())],
        ),
        Act::Accept(new) => (Kind::EventAccepted, vec![Record::Event((&**new).into())]),
        Act::RetryEvent { id, due, error, at } => {
            let progress = EventProgressV1::retry(id, plan.attempts, *due, error, *at);
            (Kind::EventProgress, vec![Record::EventProgress(progress)])
        }
        Act::FinishEvent { id, outcome, at } => {
            let progress = EventProgressV1::finish(id, plan.attempts, outcome, *at);
            (Kind::EventProgress, vec![Record::EventProgress(progress)])
        }
        Act::Enqueue(deliveries) => {
            let new = deliveries.iter();
            let new = new.filter(|own| !plan.queued.contains(&own.id));
            let records = new.map(|own| Record::Delivery(own.into()));
            (Kind::DeliveriesQueued, records.collect())
        }
        Act::Attempted { id, attempt, at } => {
            let progress =
                DeliveryProgressV1::attempt(id, (plan.attempts, plan.since), attempt, *at);
            let record = Record::DeliveryProgress(progress);
            (Kind::DeliveryProgress, vec![record])
        }
        Act::Resend { id, due, at } => {
            let progress = DeliveryProgressV1::resend(id, *due, *at);
            let record = Record::DeliveryProgress(progress);
            (Kind::DeliveryProgress, vec![record])
        }
    }
}

/// Finds the octets of documents by their hash.
fn octets_of(documents: &Documents) -> HashMap<&Sha256, &[u8]> {
    let here = documents.values();
    here.filter_map(|document| Some((document.sha256(), &**document.octets()?)))
        .collect()
}

impl Ledger for SigningLedger {
    type Act = Act;
    type Outcome = Outcome;

    fn decide(&self, act: &Act) -> Result<Decision<Outcome>, Error> {
        let remember = Memorable(keys::micros(self.options.remember_deliveries));
        let (plan, outcome) = decide(self.view(), act, remember)?;
        let decision = match plan {
            Some(_) => Decision::Record(outcome),
            None => Decision::Answer(outcome),
        };
        self.plan.replace(plan);
        Ok(decision)
    }

    fn encode(&self, act: &Act, payload: &mut Vec<u8>) -> Label {
        let plan = self.plan.borrow();
        // The engine encodes what was decided to be recorded.
        debug_assert!(plan.is_some(), "encoded an act that was not decided");
        let none = Plan::default();
        let (kind, records) = records(act, plan.as_ref().unwrap_or(&none));
        codec::encode(&records, payload);
        Label {
            kind: kind.code(),
            version: codec::VERSION,
            time: act.at().as_microsecond(),
        }
    }

    fn attachments(&self, act: &Act) -> Vec<Attachment> {
        let plan = self.plan.borrow();
        let (Some(plan), Some(documents)) = (&*plan, act.documents()) else {
            return Vec::new();
        };
        let octets = octets_of(documents);
        let attachments = plan.packs.iter().map(|pack| {
            let found = pack
                .iter()
                .filter_map(|sha256| Some(Record::Document(*sha256, octets.get(sha256)?)));
            let records: Vec<_> = found.collect();
            let mut payload = Vec::new();
            codec::encode(&records, &mut payload);
            Attachment {
                label: Label {
                    kind: Kind::Documents.code(),
                    version: codec::VERSION,
                    time: act.at().as_microsecond(),
                },
                payload,
            }
        });
        attachments.collect()
    }

    fn promise(&self, act: &Act) -> u64 {
        match act {
            Act::Begin(new) => promise(new.room),
            Act::Accept(_) => BEGIN_ROOM,
            Act::Timestamp(_) | Act::Leaves { .. } | Act::Enqueue(_) => BEGIN_ROOM,
            Act::Stage { .. }
            | Act::Complete { .. }
            | Act::Abandon { .. }
            | Act::Withdraw { .. }
            | Act::Checkpoint(_)
            | Act::RetryEvent { .. }
            | Act::FinishEvent { .. }
            | Act::Attempted { .. }
            | Act::Resend { .. } => 0,
        }
    }

    fn is_covered(&self, act: &Act) -> bool {
        matches!(
            act,
            Act::Stage { .. } | Act::Complete { .. } | Act::Abandon { .. }
        )
    }

    fn promised(&self) -> u64 {
        let memory = self.memory.read().unwrap_or_else(PoisonError::into_inner);
        memory.promised.saturating_add(self.staged.promised)
    }

    fn stage_attachment(&mut self, number: usize, place: Place) {
        let plan = self.plan.borrow();
        let pack = plan.as_ref().and_then(|plan| plan.packs.get(number));
        for (part, sha256) in (0..).zip(pack.into_iter().flatten()) {
            let located = Located::at(place, part).encode();
            self.staged.keys.insert(key::sha256(b'B', sha256), located);
        }
    }

    fn stage(&mut self, act: &Act, _sequence: u64, place: Place) {
        let plan = self.plan.take();
        debug_assert!(plan.is_some(), "staged an act that was not decided");
        if let Some(plan) = plan {
            let (kind, records) = records(act, &plan);
            self.stage_records(kind, act.at().as_microsecond(), &records, place);
            let documents = act.documents().into_iter().flat_map(|own| own.values());
            for document in documents {
                if let Body::Blob(blob) = &document.body {
                    self.staged.blobs.push(blob.clone());
                }
            }
        }
    }

    fn index(&self, additions: &mut Additions) {
        // In the order of keys: those by which a record is found may come before it,
        // and lead nowhere until it is there.
        for (key, value) in &self.staged.keys {
            additions.insert(key.clone(), value.clone());
        }
    }

    fn settle(&mut self) {
        let staged = std::mem::take(&mut self.staged);
        for blob in &staged.blobs {
            blob.record();
        }
        let mut memory = self.write();
        for change in staged.changes {
            memory.change(change);
        }
        if let Some(log) = staged.log {
            memory.log = log;
        }
        if staged.checkpoint.is_some() {
            memory.checkpoint = staged.checkpoint;
        }
        if let Some(counts) = staged.counts {
            memory.counts = counts;
        }
        if let Some(time) = staged.time {
            memory.time = time;
        }
        self.metrics.show(&memory);
        drop(memory);
        self.discard();
    }

    fn discard(&mut self) {
        self.plan.take();
        self.staged = Staged::default();
    }

    fn doubt(&mut self) {
        // The next opening knows whether a record names them.
        for blob in &self.staged.blobs {
            blob.record();
        }
    }

    fn replay(&mut self, frame: &Frame<'_>, place: Place) -> Result<(), Error> {
        let (kind, records) = codec::decode(frame)?;
        let size = self.view().log().size;
        let mut leaves = records.iter().filter_map(|record| match record {
            Record::Leaf(index, _) => Some(*index),
            _ => None,
        });
        if leaves.next().is_some_and(|first| first != size) {
            return Err(Error::Contradiction {
                sequence: frame.header.sequence,
            });
        }
        self.stage_records(kind, frame.header.time, &records, place);
        Ok(())
    }

    fn load(&mut self, summary: &[u8]) -> Result<(), Error> {
        let unreadable = || self.sources.index.unusable(IndexFault::Entry);
        let mut memory = Memory::at(postcard::from_bytes(summary).map_err(|_| unreadable())?);
        let view = View {
            staged: None,
            ..self.view()
        };
        let id_of = |key: &[u8]| key::trailing(key).ok_or_else(unreadable);
        // The index may be ahead of its checkpoint: what ended since is not open.
        for key in view.keys(key::prefixed(vec![b'o']), usize::MAX)? {
            let id = SignatureId::from_octets(id_of(&key)?);
            let room = match view.has(&key::tagged(b'O', id.octets()))? {
                true => None,
                false => view.room(&id)?,
            };
            match room {
                Some(room) => {
                    let open = Open {
                        promise: promise(room),
                        stage: view.stage(&id)?,
                    };
                    memory.open(id, open);
                }
                None => {
                    memory.removals.insert(key);
                }
            }
        }
        for key in view.keys(key::prefixed(vec![b'q']), usize::MAX)? {
            let id = id_of(&key)?;
            match view.located(&key::tagged(b'e', &id))? {
                Some(own) if own.code == QUEUE_WAITING => {
                    memory.events.insert(EventId::from_octets(id), own.time);
                }
                Some(_) | None => {
                    memory.removals.insert(key);
                }
            }
        }
        for key in view.keys(key::prefixed(vec![b'k']), usize::MAX)? {
            let id = id_of(&key)?;
            match view.located(&key::tagged(b'd', &id))? {
                Some(own) if own.code == QUEUE_WAITING => {
                    let id = DeliveryId::from_octets(id);
                    memory.deliveries.insert(id, own.time);
                }
                Some(_) | None => {
                    memory.removals.insert(key);
                }
            }
        }
        self.metrics.show(&memory);
        *self.write() = memory;
        Ok(())
    }

    fn checkpoint(&mut self, batch: &mut sled::Batch) -> Vec<u8> {
        if let Err(error) = self.collect(batch) {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "could not take all that is over out of the signing index; the next checkpoint tries again"
            );
        }
        let mut memory = self.write();
        for key in std::mem::take(&mut memory.removals) {
            batch.remove(key);
        }
        let summary = postcard::to_stdvec(&memory.summary());
        debug_assert!(summary.is_ok(), "postcard refused a plain record");
        summary.unwrap_or_default()
    }
}

/// Returns the journal bytes to set aside for stage and completion.
const fn promise(room: u64) -> u64 {
    room.saturating_add(FRAMES_ROOM + frame_len(0) as u64)
}
