//! The real store, with switches at the acts whose order matters.

use std::collections::{BTreeSet, HashMap};
use std::ops::Range;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use model::signing::{ArtifactDigest, DeliveryId, EventId, MediaType, SignatureId, WebhookName};
use model::{SerialNumber, Timestamp};
use store::signing::{
    Accepted, Attempt, Begun, DeliveryRecord, DocumentKind, DocumentWriter, EventOutcome,
    EventRecord, Listing, LogCheckpoint, NewDelivery, NewEvent, NewSignature, NewTimestamp,
    NewWithdrawal, QueueState, SearchFilter, SignatureAbandonReason, SignatureRecord, Signed,
    SigningStatus, SigningStore, SigningStoreError, Stage, Staged, StoredDocument, TimestampRecord,
    Withdrawn,
};
use tokio::sync::Notify;

/// An act that can be stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Act {
    /// A signature is begun.
    Begin,
    /// Its time-stamps are recorded.
    Stage,
    /// It is recorded.
    Complete,
    /// A time-stamp on request is recorded.
    Stamp,
    /// A signature is withdrawn.
    Withdraw,
    /// A document is read.
    Read,
}

/// What becomes of an act.
#[derive(Debug, Clone)]
pub(super) enum Acting {
    /// It fails, nothing being recorded.
    Fails(SigningStoreError),
    /// It is never begun: as if the process stopped before it.
    Stops,
}

/// The store.
#[derive(Debug)]
pub(super) struct FaultyStore {
    /// The real one.
    inner: Arc<dyn SigningStore>,
    /// What is switched.
    switches: Mutex<HashMap<Act, Acting>>,
    /// Told whenever an act is stopped.
    stopped: Notify,
}

impl FaultyStore {
    /// Puts switches on a store.
    pub(super) fn new(inner: Arc<dyn SigningStore>) -> Arc<Self> {
        Arc::new(Self {
            inner,
            switches: Mutex::default(),
            stopped: Notify::new(),
        })
    }

    /// Says what becomes of an act from now on.
    pub(super) fn set(&self, act: Act, acting: Option<Acting>) {
        let mut switches = self.switches.lock().unwrap();
        match acting {
            Some(acting) => switches.insert(act, acting),
            None => switches.remove(&act),
        };
    }

    /// Waits until an act is stopped.
    pub(super) async fn stops(&self) {
        self.stopped.notified().await;
    }

    /// Comes to an act.
    async fn reach(&self, act: Act) -> Result<(), SigningStoreError> {
        let acting = self.switches.lock().unwrap().get(&act).cloned();
        match acting {
            None => Ok(()),
            Some(Acting::Fails(error)) => Err(error),
            Some(Acting::Stops) => {
                self.stopped.notify_one();
                std::future::pending().await
            }
        }
    }
}

#[async_trait]
impl SigningStore for FaultyStore {
    async fn begin(&self, new: NewSignature) -> Result<Begun, SigningStoreError> {
        self.reach(Act::Begin).await?;
        self.inner.begin(new).await
    }

    async fn record_stage(
        &self,
        id: &SignatureId,
        stage: Stage,
    ) -> Result<Staged, SigningStoreError> {
        self.reach(Act::Stage).await?;
        self.inner.record_stage(id, stage).await
    }

    async fn complete(
        &self,
        id: &SignatureId,
        signed: Signed,
    ) -> Result<Arc<SignatureRecord>, SigningStoreError> {
        self.reach(Act::Complete).await?;
        self.inner.complete(id, signed).await
    }

    async fn abandon(
        &self,
        id: &SignatureId,
        reason: SignatureAbandonReason,
        at: Timestamp,
    ) -> Result<(), SigningStoreError> {
        self.inner.abandon(id, reason, at).await
    }

    async fn open_work(&self) -> Result<Vec<Arc<SignatureRecord>>, SigningStoreError> {
        self.inner.open_work().await
    }

    async fn signature(
        &self,
        id: &SignatureId,
    ) -> Result<Option<Arc<SignatureRecord>>, SigningStoreError> {
        self.inner.signature(id).await
    }

    async fn document(
        &self,
        id: &SignatureId,
        kind: DocumentKind,
    ) -> Result<Option<StoredDocument>, SigningStoreError> {
        self.reach(Act::Read).await?;
        self.inner.document(id, kind).await
    }

    async fn by_artifact(
        &self,
        digest: &ArtifactDigest,
        after: Option<SignatureId>,
        limit: usize,
    ) -> Result<Listing<Arc<SignatureRecord>, SignatureId>, SigningStoreError> {
        self.inner.by_artifact(digest, after, limit).await
    }

    async fn search(
        &self,
        filter: SearchFilter,
        after: Option<SignatureId>,
        limit: usize,
    ) -> Result<Listing<Arc<SignatureRecord>, SignatureId>, SigningStoreError> {
        self.inner.search(filter, after, limit).await
    }

    async fn withdraw(
        &self,
        id: &SignatureId,
        new: NewWithdrawal,
    ) -> Result<Withdrawn, SigningStoreError> {
        self.reach(Act::Withdraw).await?;
        self.inner.withdraw(id, new).await
    }

    fn document_writer(&self, media_type: MediaType, max: u64) -> DocumentWriter {
        self.inner.document_writer(media_type, max)
    }

    async fn begin_timestamp(&self, new: NewTimestamp) -> Result<(), SigningStoreError> {
        self.reach(Act::Stamp).await?;
        self.inner.begin_timestamp(new).await
    }

    async fn timestamp(
        &self,
        serial: &SerialNumber,
    ) -> Result<Option<TimestampRecord>, SigningStoreError> {
        self.inner.timestamp(serial).await
    }

    async fn append_leaves(
        &self,
        leaves: Vec<Bytes>,
        at: Timestamp,
    ) -> Result<Range<u64>, SigningStoreError> {
        self.inner.append_leaves(leaves, at).await
    }

    fn log_size(&self) -> u64 {
        self.inner.log_size()
    }

    async fn log_leaf(&self, index: u64) -> Result<Option<Bytes>, SigningStoreError> {
        self.inner.log_leaf(index).await
    }

    async fn log_leaves(&self, range: Range<u64>) -> Result<Vec<Bytes>, SigningStoreError> {
        self.inner.log_leaves(range).await
    }

    fn log_node(&self, level: u8, index: u64) -> Result<Option<[u8; 32]>, SigningStoreError> {
        self.inner.log_node(level, index)
    }

    async fn record_checkpoint(&self, checkpoint: LogCheckpoint) -> Result<(), SigningStoreError> {
        self.inner.record_checkpoint(checkpoint).await
    }

    async fn latest_checkpoint(&self) -> Result<Option<LogCheckpoint>, SigningStoreError> {
        self.inner.latest_checkpoint().await
    }

    async fn accept_event(&self, new: NewEvent) -> Result<Accepted, SigningStoreError> {
        self.inner.accept_event(new).await
    }

    async fn event(&self, id: &EventId) -> Result<Option<Arc<EventRecord>>, SigningStoreError> {
        self.inner.event(id).await
    }

    async fn events(
        &self,
        state: Option<QueueState>,
        after: Option<EventId>,
        limit: usize,
    ) -> Result<Listing<Arc<EventRecord>, EventId>, SigningStoreError> {
        self.inner.events(state, after, limit).await
    }

    async fn events_due(
        &self,
        now: Timestamp,
        limit: usize,
    ) -> Result<Vec<Arc<EventRecord>>, SigningStoreError> {
        self.inner.events_due(now, limit).await
    }

    fn next_event_due(&self) -> Option<Timestamp> {
        self.inner.next_event_due()
    }

    async fn retry_event(
        &self,
        id: &EventId,
        due: Timestamp,
        error: &str,
        at: Timestamp,
    ) -> Result<Arc<EventRecord>, SigningStoreError> {
        self.inner.retry_event(id, due, error, at).await
    }

    async fn finish_event(
        &self,
        id: &EventId,
        outcome: EventOutcome,
        at: Timestamp,
    ) -> Result<Arc<EventRecord>, SigningStoreError> {
        self.inner.finish_event(id, outcome, at).await
    }

    async fn enqueue_deliveries(
        &self,
        deliveries: Vec<NewDelivery>,
    ) -> Result<(), SigningStoreError> {
        self.inner.enqueue_deliveries(deliveries).await
    }

    async fn delivery(
        &self,
        id: &DeliveryId,
    ) -> Result<Option<Arc<DeliveryRecord>>, SigningStoreError> {
        self.inner.delivery(id).await
    }

    async fn deliveries(
        &self,
        state: Option<QueueState>,
        after: Option<DeliveryId>,
        limit: usize,
    ) -> Result<Listing<Arc<DeliveryRecord>, DeliveryId>, SigningStoreError> {
        self.inner.deliveries(state, after, limit).await
    }

    async fn deliveries_due(
        &self,
        now: Timestamp,
        limit: usize,
        busy: &BTreeSet<WebhookName>,
    ) -> Result<Vec<Arc<DeliveryRecord>>, SigningStoreError> {
        self.inner.deliveries_due(now, limit, busy).await
    }

    fn next_delivery_due(&self) -> Option<Timestamp> {
        self.inner.next_delivery_due()
    }

    async fn record_attempt(
        &self,
        id: &DeliveryId,
        attempt: Attempt,
        at: Timestamp,
    ) -> Result<Arc<DeliveryRecord>, SigningStoreError> {
        self.inner.record_attempt(id, attempt, at).await
    }

    async fn resend(
        &self,
        id: &DeliveryId,
        due: Timestamp,
        at: Timestamp,
    ) -> Result<Arc<DeliveryRecord>, SigningStoreError> {
        self.inner.resend(id, due, at).await
    }

    fn status(&self) -> SigningStatus {
        self.inner.status()
    }
}
