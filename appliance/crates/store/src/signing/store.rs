//! The signing store: its trait, and the one over journal and index.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use model::signing::{ArtifactDigest, DeliveryId, EventId, MediaType, SignatureId, WebhookName};
use model::{SerialNumber, Timestamp};

use super::document::{DocumentKind, DocumentWriter, StoredDocument};
use super::error::SigningStoreError;
use super::queue::{
    Accepted, Attempt, DeliveryRecord, EventOutcome, EventRecord, NewDelivery, NewEvent, QueueState,
};
use super::record::{
    Begun, Listing, LogCheckpoint, NewSignature, NewTimestamp, NewWithdrawal, SearchFilter,
    SignatureAbandonReason, SignatureRecord, Signed, Stage, Staged, TimestampRecord, Withdrawn,
};
use super::status::SigningStatus;

/// Records signatures with their evidence, time-stamps, the transparency log and
/// the webhooks' queues.
///
/// Every act reads, checks and writes in one: no two see the same state. Every
/// acknowledged write is on disk. A dropped future does not undo its act.
#[async_trait]
pub trait SigningStore: Send + Sync + std::fmt::Debug {
    // Signatures.

    /// Begins a signature: what was asked for, and everything that will be signed
    /// first, is on disk before a token is asked. A request whose idempotency key
    /// was used before begins nothing, unless nothing came of that one.
    ///
    /// # Errors
    ///
    /// `IdTaken`; `TooLong`, `NoLine`; `Store` when it was not recorded.
    async fn begin(&self, new: NewSignature) -> Result<Begun, SigningStoreError>;

    /// Records what the second stage will sign: time-stamps with serial numbers
    /// that were never used, and leaves, which are in the log from then on.
    ///
    /// # Errors
    ///
    /// `NoSignature`, `NotOpen`; `SerialTaken`: nothing was recorded, draw another;
    /// `TooLong`; `Store`.
    async fn record_stage(
        &self,
        id: &SignatureId,
        stage: Stage,
    ) -> Result<Staged, SigningStoreError>;

    /// Records what was made, and the deliveries that tell of it, in one act. Once
    /// made it stays so: again changes nothing and answers the first.
    ///
    /// # Errors
    ///
    /// `NoSignature`, `NotOpen` if it was abandoned; `IdTaken`; `TooLong`, `NoLine`;
    /// `Store`.
    async fn complete(
        &self,
        id: &SignatureId,
        signed: Signed,
    ) -> Result<Arc<SignatureRecord>, SigningStoreError>;

    /// Records that nothing will come of a signature. Again changes nothing.
    ///
    /// # Errors
    ///
    /// `NoSignature`, `NotOpen` if it is made; `Store`.
    async fn abandon(
        &self,
        id: &SignatureId,
        reason: SignatureAbandonReason,
        at: Timestamp,
    ) -> Result<(), SigningStoreError>;

    /// Returns what was begun and neither made nor abandoned: what a start settles.
    ///
    /// # Errors
    ///
    /// `Store` when it cannot be read.
    async fn open_work(&self) -> Result<Vec<Arc<SignatureRecord>>, SigningStoreError>;

    /// Finds a signature. Reads no document.
    ///
    /// # Errors
    ///
    /// `Store` when it cannot be read.
    async fn signature(
        &self,
        id: &SignatureId,
    ) -> Result<Option<Arc<SignatureRecord>>, SigningStoreError>;

    /// Finds a document of a signature, byte for byte as it was recorded.
    ///
    /// # Errors
    ///
    /// `Store` when it cannot be read, or is not what was recorded.
    async fn document(
        &self,
        id: &SignatureId,
        kind: DocumentKind,
    ) -> Result<Option<StoredDocument>, SigningStoreError>;

    /// Finds the signatures of an artifact, newest first, at most `limit` (1 to
    /// 1,000).
    ///
    /// # Errors
    ///
    /// `Store` when they cannot be read.
    async fn by_artifact(
        &self,
        digest: &ArtifactDigest,
        after: Option<SignatureId>,
        limit: usize,
    ) -> Result<Listing<Arc<SignatureRecord>, SignatureId>, SigningStoreError>;

    /// Finds signatures that were made, newest first, at most `limit` (1 to 1,000).
    ///
    /// # Errors
    ///
    /// `Store` when they cannot be read.
    async fn search(
        &self,
        filter: SearchFilter,
        after: Option<SignatureId>,
        limit: usize,
    ) -> Result<Listing<Arc<SignatureRecord>, SignatureId>, SigningStoreError>;

    /// Withdraws a signature, once, with the deliveries that tell of it.
    ///
    /// # Errors
    ///
    /// `NoSignature`, `NotSigned`; `IdTaken`, `TooLong`; `Store`.
    async fn withdraw(
        &self,
        id: &SignatureId,
        new: NewWithdrawal,
    ) -> Result<Withdrawn, SigningStoreError>;

    /// Begins to receive a document of at most `max` octets.
    fn document_writer(&self, media_type: MediaType, max: u64) -> DocumentWriter;

    // Time-stamps.

    /// Records a time-stamp before it is signed.
    ///
    /// # Errors
    ///
    /// `SerialTaken`: draw another; `TooLong`; `Store`.
    async fn begin_timestamp(&self, new: NewTimestamp) -> Result<(), SigningStoreError>;

    /// Finds a time-stamp, those of signatures included.
    ///
    /// # Errors
    ///
    /// `Store` when it cannot be read.
    async fn timestamp(
        &self,
        serial: &SerialNumber,
    ) -> Result<Option<TimestampRecord>, SigningStoreError>;

    // The transparency log.

    /// Adds leaves, at most 1,000 of 384 KiB together, and returns where they are.
    ///
    /// # Errors
    ///
    /// `TooLong`; `Store`.
    async fn append_leaves(
        &self,
        leaves: Vec<Bytes>,
        at: Timestamp,
    ) -> Result<Range<u64>, SigningStoreError>;

    /// Returns how many leaves are in the log, on disk.
    fn log_size(&self) -> u64;

    /// Finds a leaf.
    ///
    /// # Errors
    ///
    /// `Store` when it cannot be read.
    async fn log_leaf(&self, index: u64) -> Result<Option<Bytes>, SigningStoreError>;

    /// Reads leaves: up to 1,000, or some 8 MiB, fewer at the log's end.
    ///
    /// # Errors
    ///
    /// `Store` when they cannot be read.
    async fn log_leaves(&self, range: Range<u64>) -> Result<Vec<Bytes>, SigningStoreError>;

    /// Returns the hash of a complete subtree (RFC 6962, 2.1): level 0 is leaves. A
    /// short read of the index.
    ///
    /// # Errors
    ///
    /// `Store` when it cannot be read.
    fn log_node(&self, level: u8, index: u64) -> Result<Option<[u8; 32]>, SigningStoreError>;

    /// Records the log's signed state. Its root is checked against the log.
    ///
    /// # Errors
    ///
    /// `CheckpointAhead`, `CheckpointBehind`, `CheckpointDiffers`; `TooLong`;
    /// `Store`.
    async fn record_checkpoint(&self, checkpoint: LogCheckpoint) -> Result<(), SigningStoreError>;

    /// Returns the last checkpoint.
    ///
    /// # Errors
    ///
    /// `Store` when it cannot be read.
    async fn latest_checkpoint(&self) -> Result<Option<LogCheckpoint>, SigningStoreError>;

    // Webhooks in.

    /// Queues an event, unless its sender's delivery came before within the time
    /// that those are remembered.
    ///
    /// # Errors
    ///
    /// `IdTaken`, `TooLong`; `Store`.
    async fn accept_event(&self, new: NewEvent) -> Result<Accepted, SigningStoreError>;

    /// Finds an event.
    ///
    /// # Errors
    ///
    /// `Store` when it cannot be read.
    async fn event(&self, id: &EventId) -> Result<Option<Arc<EventRecord>>, SigningStoreError>;

    /// Lists events, newest first, at most `limit` (1 to 1,000).
    ///
    /// # Errors
    ///
    /// `Store` when they cannot be read.
    async fn events(
        &self,
        state: Option<QueueState>,
        after: Option<EventId>,
        limit: usize,
    ) -> Result<Listing<Arc<EventRecord>, EventId>, SigningStoreError>;

    /// Returns events that are due, the longest first.
    ///
    /// # Errors
    ///
    /// `Store` when they cannot be read.
    async fn events_due(
        &self,
        now: Timestamp,
        limit: usize,
    ) -> Result<Vec<Arc<EventRecord>>, SigningStoreError>;

    /// Returns when the next event is due.
    fn next_event_due(&self) -> Option<Timestamp>;

    /// Records that an attempt at an event failed, and when the next will be.
    ///
    /// # Errors
    ///
    /// `NoEvent`, `EventEnded`; `Store`.
    async fn retry_event(
        &self,
        id: &EventId,
        due: Timestamp,
        error: &str,
        at: Timestamp,
    ) -> Result<Arc<EventRecord>, SigningStoreError>;

    /// Records how an event ended. The same end again changes nothing.
    ///
    /// # Errors
    ///
    /// `NoEvent`, `EventEnded` if it ended otherwise; `TooLong`; `Store`.
    async fn finish_event(
        &self,
        id: &EventId,
        outcome: EventOutcome,
        at: Timestamp,
    ) -> Result<Arc<EventRecord>, SigningStoreError>;

    // Webhooks out.

    /// Queues deliveries that belong to no signature; those queued before stay as
    /// they are.
    ///
    /// # Errors
    ///
    /// `IdTaken` if two of them have one name; `TooLong`; `Store`.
    async fn enqueue_deliveries(
        &self,
        deliveries: Vec<NewDelivery>,
    ) -> Result<(), SigningStoreError>;

    /// Finds a delivery.
    ///
    /// # Errors
    ///
    /// `Store` when it cannot be read.
    async fn delivery(
        &self,
        id: &DeliveryId,
    ) -> Result<Option<Arc<DeliveryRecord>>, SigningStoreError>;

    /// Lists deliveries, newest first, at most `limit` (1 to 1,000).
    ///
    /// # Errors
    ///
    /// `Store` when they cannot be read.
    async fn deliveries(
        &self,
        state: Option<QueueState>,
        after: Option<DeliveryId>,
        limit: usize,
    ) -> Result<Listing<Arc<DeliveryRecord>, DeliveryId>, SigningStoreError>;

    /// Returns deliveries that are due, the longest first, but to webhooks that are
    /// `busy`: a slow one does not hold up the others. One that was sent and
    /// whose attempt was not recorded is due again: delivery is at least once.
    ///
    /// # Errors
    ///
    /// `Store` when they cannot be read.
    async fn deliveries_due(
        &self,
        now: Timestamp,
        limit: usize,
        busy: &BTreeSet<WebhookName>,
    ) -> Result<Vec<Arc<DeliveryRecord>>, SigningStoreError>;

    /// Returns when the next delivery is due.
    fn next_delivery_due(&self) -> Option<Timestamp>;

    /// Records how an attempt to deliver ended.
    ///
    /// # Errors
    ///
    /// `NoDelivery`, `DeliveryEnded`; `Store`.
    async fn record_attempt(
        &self,
        id: &DeliveryId,
        attempt: Attempt,
        at: Timestamp,
    ) -> Result<Arc<DeliveryRecord>, SigningStoreError>;

    /// Has a delivery that ended sent again, with attempts counted anew. One that
    /// waits still waits as it did.
    ///
    /// # Errors
    ///
    /// `NoDelivery`; `Store`.
    async fn resend(
        &self,
        id: &DeliveryId,
        due: Timestamp,
        at: Timestamp,
    ) -> Result<Arc<DeliveryRecord>, SigningStoreError>;

    /// Says how the store is. Never waits for the disk.
    fn status(&self) -> SigningStatus;
}
