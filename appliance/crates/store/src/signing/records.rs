//! The signing store over one directory.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::{Arc, PoisonError, RwLock};

use async_trait::async_trait;
use bytes::Bytes;
use model::signing::{ArtifactDigest, DeliveryId, EventId, MediaType, SignatureId, WebhookName};
use model::{SerialNumber, Timestamp};

use super::act::{Act, Done};
use super::document::{
    Body, Document, DocumentKind, DocumentReader, DocumentWriter, Documents, Piece, StoredContent,
    StoredDocument, blocking,
};
use super::error::SigningStoreError;
use super::ledger::{SigningLedger, SigningOptions};
use super::memory::Memory;
use super::metrics::SigningStoreMetrics;
use super::queue::{
    Accepted, Attempt, DeliveryRecord, EventOutcome, EventRecord, NewDelivery, NewEvent, QueueState,
};
use super::record::{
    Begun, Listing, LogCheckpoint, NewSignature, NewTimestamp, NewWithdrawal, SearchFilter,
    SignatureAbandonReason, SignatureRecord, Signed, Stage, Staged, TimestampRecord, Withdrawn,
};
use super::scan;
use super::status::SigningStatus;
use super::store::SigningStore;
use super::view::View;
use crate::blobs::Blobs;
use crate::config::StoreConfig;
use crate::directory::StoreDirectory;
use crate::error::Error;
use crate::writer::{self, Recovered, Sources, Writer};

/// The signing store over one directory.
///
/// Its fields are dropped in order: the writer ends, the index closes, and only
/// then is the directory free for another process.
#[derive(Debug)]
pub struct SigningRecords {
    /// Records acts.
    writer: Writer<SigningLedger>,
    /// Reads records.
    sources: Sources,
    /// What memory holds.
    memory: Arc<RwLock<Memory>>,
    /// Long documents.
    blobs: Arc<Blobs>,
    /// What is shown.
    metrics: SigningStoreMetrics,
    /// The locked directory.
    _directory: Arc<StoreDirectory>,
}

/// Makes the ledger once journal and index are open.
type MakeLedger<'a> = Box<dyn FnOnce(Sources) -> SigningLedger + 'a>;

impl SigningRecords {
    /// Opens the store, making the directory when missing, brings the index up to
    /// date, and removes documents that no record names. Blocks; call it before
    /// serving.
    ///
    /// # Errors
    ///
    /// As [`Certificates::open`](crate::Certificates::open).
    pub fn open(
        config: &StoreConfig,
        options: SigningOptions,
        metrics: SigningStoreMetrics,
    ) -> Result<Self, Error> {
        let own = metrics.store.clone();
        Self::start(config, options, metrics, |make_ledger| {
            writer::open(config, own, make_ledger, SigningLedger::count_open)
        })
    }

    /// Opens by `open`, which is given how to make the ledger.
    fn start(
        config: &StoreConfig,
        options: SigningOptions,
        metrics: SigningStoreMetrics,
        open: impl FnOnce(MakeLedger<'_>) -> Result<Writer<SigningLedger>, Error>,
    ) -> Result<Self, Error> {
        let memory = Arc::new(RwLock::new(Memory::default()));
        let max_bytes = options.blobs_max_bytes.unwrap_or(u64::MAX);
        let mut opened = None;
        let writer = open(Box::new(|sources: Sources| {
            opened = Some(sources.clone());
            SigningLedger::new(sources, Arc::clone(&memory), options, metrics.clone())
        }))?;
        let sources = opened.ok_or(Error::Closed)?;
        let (blobs, swept) = Blobs::open(
            &config.directory,
            config.min_free_bytes(),
            max_bytes,
            scan::recorded_blobs(&sources)?,
        )?;
        if swept.orphans > 0 {
            tracing::info!(
                documents = swept.orphans,
                "removed documents that an interrupted request left behind"
            );
        }
        metrics
            .blob_bytes
            .set(i64::try_from(blobs.bytes()).unwrap_or(i64::MAX));
        Ok(Self {
            sources,
            _directory: writer.directory(),
            writer,
            memory,
            blobs,
            metrics,
        })
    }

    /// Finishes what is queued, brings the index to disk and lets the directory
    /// go. Blocks. Dropping the store does the same.
    pub fn close(self) {}

    /// Says what opening had to mend.
    #[must_use]
    pub fn recovered(&self) -> &Recovered {
        self.writer.recovered()
    }

    /// Returns what is read from.
    #[cfg(test)]
    pub(crate) const fn sources_of_test(&self) -> &Sources {
        &self.sources
    }

    /// Has an act recorded.
    async fn submit(&self, act: Act) -> Result<Done, SigningStoreError> {
        self.writer.submit(act).await?
    }

    /// Shows the settled state. A read is one or two short ones: a thread hop would
    /// cost more.
    fn view(&self) -> View<'_> {
        View {
            sources: &self.sources,
            memory: &self.memory,
            staged: None,
        }
    }

    /// Reads where blocking is allowed.
    async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(View<'_>) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, SigningStoreError> {
        let (sources, memory) = (self.sources.clone(), Arc::clone(&self.memory));
        blocking(move || {
            read(View {
                sources: &sources,
                memory: &memory,
                staged: None,
            })
        })
        .await
    }

    /// Gives documents that are too long for the journal files of their own.
    async fn settle_documents(&self, documents: &mut Documents) -> Result<(), SigningStoreError> {
        for document in documents.values_mut() {
            if !document.needs_file() {
                continue;
            }
            let (blobs, own) = (Arc::clone(&self.blobs), document.clone());
            *document = blocking(move || {
                let Some(octets) = own.octets() else {
                    return Ok(own);
                };
                let mut incoming = blobs.receive(own.len())?;
                for part in octets.chunks(1 << 20) {
                    incoming.write(part)?;
                }
                let blob = incoming.finish()?;
                Ok(Document::from_blob(own.media_type().clone(), blob))
            })
            .await?;
        }
        if documents
            .values()
            .any(|document| matches!(document.body, Body::Blob(_)))
        {
            let bytes = i64::try_from(self.blobs.bytes()).unwrap_or(i64::MAX);
            self.metrics.blob_bytes.set(bytes);
        }
        Ok(())
    }

    /// Reads a signature that an act named.
    fn named(&self, id: &SignatureId) -> Result<Arc<SignatureRecord>, SigningStoreError> {
        match self.view().signature(id)? {
            Some(record) => Ok(Arc::new(record)),
            None => Err(SigningStoreError::NoSignature { id: *id }),
        }
    }

    /// Reads an event that an act named.
    fn named_event(&self, id: &EventId) -> Result<Arc<EventRecord>, SigningStoreError> {
        match self.view().event(id)? {
            Some(record) => Ok(Arc::new(record)),
            None => Err(SigningStoreError::NoEvent { id: *id }),
        }
    }

    /// Reads a delivery that an act named.
    fn named_delivery(&self, id: &DeliveryId) -> Result<Arc<DeliveryRecord>, SigningStoreError> {
        match self.view().delivery(id)? {
            Some(record) => Ok(Arc::new(record)),
            None => Err(SigningStoreError::NoDelivery { id: *id }),
        }
    }
}

/// Returns a time in memory as one.
fn time(microsecond: i64) -> Timestamp {
    Timestamp::from_microsecond(microsecond).unwrap_or(Timestamp::MAX)
}

/// States that an act was answered as another one: `decide` never does that.
fn mismatched<T>(done: &Done) -> Result<T, SigningStoreError> {
    debug_assert!(false, "answered as another act: {done:?}");
    Err(SigningStoreError::Store(Error::Closed))
}

#[async_trait]
impl SigningStore for SigningRecords {
    async fn begin(&self, mut new: NewSignature) -> Result<Begun, SigningStoreError> {
        self.settle_documents(&mut new.documents).await?;
        match self.submit(Act::Begin(Box::new(new))).await? {
            Done::Recorded => Ok(Begun::New),
            Done::Answered(id) => Ok(Begun::Repeated(self.named(&id)?)),
            Done::Running(id) => Ok(Begun::Running(id)),
            Done::Conflict(id) => Ok(Begun::Conflict(id)),
            other => mismatched(&other),
        }
    }

    async fn record_stage(
        &self,
        id: &SignatureId,
        stage: Stage,
    ) -> Result<Staged, SigningStoreError> {
        let id = *id;
        match self.submit(Act::Stage { id, stage }).await? {
            Done::Logged(log_index) => Ok(Staged { log_index }),
            other => mismatched(&other),
        }
    }

    async fn complete(
        &self,
        id: &SignatureId,
        mut signed: Signed,
    ) -> Result<Arc<SignatureRecord>, SigningStoreError> {
        self.settle_documents(&mut signed.documents).await?;
        let act = Act::Complete {
            id: *id,
            signed: Box::new(signed),
        };
        self.submit(act).await?;
        self.named(id)
    }

    async fn abandon(
        &self,
        id: &SignatureId,
        reason: SignatureAbandonReason,
        at: Timestamp,
    ) -> Result<(), SigningStoreError> {
        let id = *id;
        self.submit(Act::Abandon { id, reason, at }).await?;
        Ok(())
    }

    async fn open_work(&self) -> Result<Vec<Arc<SignatureRecord>>, SigningStoreError> {
        self.read(|view| {
            let open: Vec<SignatureId> = view.memory().open.keys().copied().collect();
            let records = open.iter().map(|id| view.signature(id));
            let records = records.filter_map(Result::transpose);
            records.map(|record| record.map(Arc::new)).collect()
        })
        .await
    }

    async fn signature(
        &self,
        id: &SignatureId,
    ) -> Result<Option<Arc<SignatureRecord>>, SigningStoreError> {
        Ok(self.view().signature(id)?.map(Arc::new))
    }

    async fn document(
        &self,
        id: &SignatureId,
        kind: DocumentKind,
    ) -> Result<Option<StoredDocument>, SigningStoreError> {
        let (id, blobs) = (*id, Arc::clone(&self.blobs));
        self.read(move |view| {
            let Some(mut record) = view.signature(&id)? else {
                return Ok(None);
            };
            let Some(info) = record.documents.remove(&kind) else {
                return Ok(None);
            };
            let mut pieces = view.pieces(&blobs, &record, &info)?;
            let content = match (pieces.pop(), pieces.is_empty()) {
                (Some(Piece::Octets(octets)), true) => StoredContent::Octets(octets),
                (last, _) => {
                    pieces.extend(last);
                    StoredContent::Stream(DocumentReader::new(pieces))
                }
            };
            Ok(Some(StoredDocument { info, content }))
        })
        .await
    }

    async fn by_artifact(
        &self,
        digest: &ArtifactDigest,
        after: Option<SignatureId>,
        limit: usize,
    ) -> Result<Listing<Arc<SignatureRecord>, SignatureId>, SigningStoreError> {
        let filter = SearchFilter {
            artifact: Some(*digest),
            ..SearchFilter::default()
        };
        self.search(filter, after, limit).await
    }

    async fn search(
        &self,
        filter: SearchFilter,
        after: Option<SignatureId>,
        limit: usize,
    ) -> Result<Listing<Arc<SignatureRecord>, SignatureId>, SigningStoreError> {
        self.read(move |view| scan::signatures(view, &filter, after, limit))
            .await
    }

    async fn withdraw(
        &self,
        id: &SignatureId,
        new: NewWithdrawal,
    ) -> Result<Withdrawn, SigningStoreError> {
        let act = Act::Withdraw {
            id: *id,
            withdrawal: Box::new(new),
        };
        match self.submit(act).await? {
            Done::Recorded => Ok(Withdrawn::New(self.named(id)?)),
            Done::Repeated => Ok(Withdrawn::Repeated(self.named(id)?)),
            other => mismatched(&other),
        }
    }

    fn document_writer(&self, media_type: MediaType, max: u64) -> DocumentWriter {
        DocumentWriter::new(Arc::clone(&self.blobs), media_type, max)
    }

    async fn begin_timestamp(&self, new: NewTimestamp) -> Result<(), SigningStoreError> {
        self.submit(Act::Timestamp(Box::new(new))).await?;
        Ok(())
    }

    async fn timestamp(
        &self,
        serial: &SerialNumber,
    ) -> Result<Option<TimestampRecord>, SigningStoreError> {
        Ok(self.view().timestamp(serial)?)
    }

    async fn append_leaves(
        &self,
        leaves: Vec<Bytes>,
        at: Timestamp,
    ) -> Result<Range<u64>, SigningStoreError> {
        match self.submit(Act::Leaves { leaves, at }).await? {
            Done::Logged(Some(range)) => Ok(range),
            other => mismatched(&other),
        }
    }

    fn log_size(&self) -> u64 {
        self.view().memory().log.size
    }

    async fn log_leaf(&self, index: u64) -> Result<Option<Bytes>, SigningStoreError> {
        Ok(self.view().leaf(index)?)
    }

    async fn log_leaves(&self, range: Range<u64>) -> Result<Vec<Bytes>, SigningStoreError> {
        self.read(move |view| scan::leaves(view, range)).await
    }

    fn log_node(&self, level: u8, index: u64) -> Result<Option<[u8; 32]>, SigningStoreError> {
        Ok(self.view().node(level, index)?)
    }

    async fn record_checkpoint(&self, checkpoint: LogCheckpoint) -> Result<(), SigningStoreError> {
        self.submit(Act::Checkpoint(checkpoint)).await?;
        Ok(())
    }

    async fn latest_checkpoint(&self) -> Result<Option<LogCheckpoint>, SigningStoreError> {
        Ok(self.view().checkpoint()?)
    }

    async fn accept_event(&self, new: NewEvent) -> Result<Accepted, SigningStoreError> {
        let id = new.id;
        match self.submit(Act::Accept(Box::new(new))).await? {
            Done::Recorded => Ok(Accepted::New(id)),
            Done::Duplicate { id, same_body } => Ok(Accepted::Duplicate { id, same_body }),
            other => mismatched(&other),
        }
    }

    async fn event(&self, id: &EventId) -> Result<Option<Arc<EventRecord>>, SigningStoreError> {
        Ok(self.view().event(id)?.map(Arc::new))
    }

    async fn events(
        &self,
        state: Option<QueueState>,
        after: Option<EventId>,
        limit: usize,
    ) -> Result<Listing<Arc<EventRecord>, EventId>, SigningStoreError> {
        self.read(move |view| scan::events(view, state, after, limit))
            .await
    }

    async fn events_due(
        &self,
        now: Timestamp,
        limit: usize,
    ) -> Result<Vec<Arc<EventRecord>>, SigningStoreError> {
        self.read(move |view| {
            let due = view.memory().events.due(now.as_microsecond(), limit);
            let records = due.iter().map(|id| view.event(id));
            let records = records.filter_map(Result::transpose);
            records.map(|record| record.map(Arc::new)).collect()
        })
        .await
    }

    fn next_event_due(&self) -> Option<Timestamp> {
        self.view().memory().events.next_due().map(time)
    }

    async fn retry_event(
        &self,
        id: &EventId,
        due: Timestamp,
        error: &str,
        at: Timestamp,
    ) -> Result<Arc<EventRecord>, SigningStoreError> {
        let act = Act::RetryEvent {
            id: *id,
            due,
            error: error.into(),
            at,
        };
        self.submit(act).await?;
        self.named_event(id)
    }

    async fn finish_event(
        &self,
        id: &EventId,
        outcome: EventOutcome,
        at: Timestamp,
    ) -> Result<Arc<EventRecord>, SigningStoreError> {
        let act = Act::FinishEvent {
            id: *id,
            outcome,
            at,
        };
        self.submit(act).await?;
        self.named_event(id)
    }

    async fn enqueue_deliveries(
        &self,
        deliveries: Vec<NewDelivery>,
    ) -> Result<(), SigningStoreError> {
        self.submit(Act::Enqueue(deliveries)).await?;
        Ok(())
    }

    async fn delivery(
        &self,
        id: &DeliveryId,
    ) -> Result<Option<Arc<DeliveryRecord>>, SigningStoreError> {
        Ok(self.view().delivery(id)?.map(Arc::new))
    }

    async fn deliveries(
        &self,
        state: Option<QueueState>,
        after: Option<DeliveryId>,
        limit: usize,
    ) -> Result<Listing<Arc<DeliveryRecord>, DeliveryId>, SigningStoreError> {
        self.read(move |view| scan::deliveries(view, state, after, limit))
            .await
    }

    async fn deliveries_due(
        &self,
        now: Timestamp,
        limit: usize,
        busy: &BTreeSet<WebhookName>,
    ) -> Result<Vec<Arc<DeliveryRecord>>, SigningStoreError> {
        let busy = busy.clone();
        self.read(move |view| scan::deliveries_due(view, now.as_microsecond(), limit, &busy))
            .await
    }

    fn next_delivery_due(&self) -> Option<Timestamp> {
        self.view().memory().deliveries.next_due().map(time)
    }

    async fn record_attempt(
        &self,
        id: &DeliveryId,
        attempt: Attempt,
        at: Timestamp,
    ) -> Result<Arc<DeliveryRecord>, SigningStoreError> {
        let act = Act::Attempted {
            id: *id,
            attempt,
            at,
        };
        self.submit(act).await?;
        self.named_delivery(id)
    }

    async fn resend(
        &self,
        id: &DeliveryId,
        due: Timestamp,
        at: Timestamp,
    ) -> Result<Arc<DeliveryRecord>, SigningStoreError> {
        let act = Act::Resend { id: *id, due, at };
        self.submit(act).await?;
        self.named_delivery(id)
    }

    fn status(&self) -> SigningStatus {
        let end = self.writer.shared().end();
        let memory = self.memory.read().unwrap_or_else(PoisonError::into_inner);
        SigningStatus {
            health: self.writer.shared().health(),
            sequence: end.sequence,
            chain_hash: end.chain_hash,
            journal_bytes: end.bytes,
            segments: end.segments,
            blob_bytes: self.blobs.bytes(),
            queue_depth: self.writer.queue_depth(),
            open: memory.open.len() as u64,
            events_waiting: memory.events.len() as u64,
            deliveries_waiting: memory.deliveries.len() as u64,
            oldest_waiting_event: memory.events.first().map(|id| id.time()),
            oldest_waiting_delivery: memory.deliveries.first().map(|id| id.time()),
            log_size: memory.log.size,
            counts: memory.counts,
            recovered: *self.writer.recovered(),
        }
    }
}

/// Makes the index anew from the journal. The old one is moved aside, never
/// deleted. The store must be closed; it is closed again when this returns.
///
/// # Errors
///
/// `Locked`, `Io`, and what [`SigningRecords::open`] says about the journal.
pub fn rebuild(config: &StoreConfig, options: SigningOptions) -> Result<Recovered, Error> {
    let metrics = SigningStoreMetrics::default();
    let store = SigningRecords::start(config, options, metrics, |make_ledger| {
        writer::rebuild(config, make_ledger, SigningLedger::count_open)
    })?;
    Ok(*store.recovered())
}
