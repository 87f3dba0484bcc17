//! The certificate store: its trait, and the one over journal and index.

use std::sync::{Arc, PoisonError, RwLock};

use async_trait::async_trait;
use model::{SerialNumber, Timestamp};

use super::ledger::{Act, CertificateLedger, Outcome, Settled};
use super::list::{CertificateFilter, Cursor, Page};
use super::record::{AbandonReason, CertificateRecord, Intent, IntentOutcome, OpenIntent};
use super::scan;
use super::timestamp::TimestampRecord;
use crate::config::StoreConfig;
use crate::directory::StoreDirectory;
use crate::error::Error;
use crate::metrics::StoreMetrics;
use crate::writer::{self, Recovered, Sources, Status, Writer};

/// Records what the CA signs, before and after.
///
/// Every acknowledged write is on disk. A dropped future does not undo its
/// act: once queued it is recorded, and start-up or a retry settles it.
#[async_trait]
pub trait CertificateStore: Send + Sync + std::fmt::Debug {
    /// Records what is about to be signed; only after `Recorded` may it be.
    ///
    /// # Errors
    ///
    /// `SerialTaken` or `IdempotencyConflict` when the intent meets an earlier
    /// one; `KeyBlocked` when its key is; `NoSpace` or `Busy` for now; `TooLarge`; `Failed` until the store is
    /// opened again. Nothing was recorded.
    async fn record_intent(&self, intent: Intent) -> Result<IntentOutcome, Error>;

    /// Records the certificate; only then may it be handed out. Again with the
    /// same certificate changes nothing.
    ///
    /// # Errors
    ///
    /// `NoIntent` without one, `AlreadySettled` when it was abandoned or issued
    /// otherwise; `Busy`, `TooLarge`, `Failed`. `NoSpace` only if the disk lost
    /// what was set aside when the intent was recorded.
    async fn record_issued(
        &self,
        serial: &SerialNumber,
        certificate_der: Vec<u8>,
        at: Timestamp,
    ) -> Result<(), Error>;

    /// Records that nothing is handed out for an intent. Again changes nothing.
    ///
    /// # Errors
    ///
    /// As [`CertificateStore::record_issued`].
    async fn abandon_intent(
        &self,
        serial: &SerialNumber,
        why: AbandonReason,
        at: Timestamp,
    ) -> Result<(), Error>;

    /// Records a certificate timestamp that is about to be signed; only then may it be.
    ///
    /// # Errors
    ///
    /// `NoSpace` or `Busy` for now; `TooLarge`; `Failed` until the store is opened
    /// again. Nothing was recorded.
    async fn record_timestamp(&self, record: TimestampRecord) -> Result<(), Error>;

    /// Finds what is recorded about a serial number.
    ///
    /// # Errors
    ///
    /// `Io`, `Index` or `BrokenChain` when it cannot be read.
    async fn certificate(&self, serial: &SerialNumber) -> Result<Option<CertificateRecord>, Error>;

    /// Lists records, at most `limit` (1 to 1,000) a page.
    ///
    /// # Errors
    ///
    /// `BadCursor` for a cursor of another order; else as
    /// [`CertificateStore::certificate`].
    async fn certificates(
        &self,
        filter: CertificateFilter,
        cursor: Option<Cursor>,
        limit: usize,
    ) -> Result<Page, Error>;

    /// Lists every intent that is not settled, oldest first.
    ///
    /// # Errors
    ///
    /// As [`CertificateStore::certificate`].
    async fn open_intents(&self) -> Result<Vec<OpenIntent>, Error>;

    /// Says how the store is. Never waits for the disk.
    fn status(&self) -> Status;
}

/// The certificate store over one directory.
///
/// Its fields are dropped in order: the writer ends, the index closes, and only
/// then is the directory free for another process.
#[derive(Debug)]
pub struct Certificates {
    /// Records acts.
    pub(super) writer: Writer<CertificateLedger>,
    /// Reads records.
    pub(super) sources: Sources,
    /// What memory holds.
    pub(super) settled: Arc<RwLock<Settled>>,
    /// The locked directory.
    _directory: Arc<StoreDirectory>,
}

impl Certificates {
    /// Opens the store, making the directory when missing, and brings the index
    /// up to date. Blocks; call it before serving.
    ///
    /// # Errors
    ///
    /// `Locked` if another process has it, `Index` if the index is unusable
    /// (`chancery store rebuild` mends that), `BrokenChain`, `MissingSegment`,
    /// `UnreadableRecord` or `Contradiction` if the journal is damaged, `NoSpace`
    /// if a new journal does not fit, `Io`.
    pub fn open(config: &StoreConfig, metrics: StoreMetrics) -> Result<Self, Error> {
        Self::start(|make_ledger| {
            writer::open(config, metrics, make_ledger, CertificateLedger::count_open)
        })
    }

    /// Opens by `open`, which is given how to make the ledger.
    fn start(
        open: impl FnOnce(MakeLedger<'_>) -> Result<Writer<CertificateLedger>, Error>,
    ) -> Result<Self, Error> {
        let settled = Arc::new(RwLock::new(Settled::default()));
        let mut opened = None;
        let writer = open(Box::new(|sources: Sources| {
            opened = Some(sources.clone());
            CertificateLedger::new(sources, Arc::clone(&settled))
        }))?;
        Ok(Self {
            sources: opened.ok_or(Error::Closed)?,
            _directory: writer.directory(),
            writer,
            settled,
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

    /// Runs a search where blocking is allowed.
    pub(super) async fn search<T: Send + 'static>(
        &self,
        search: impl FnOnce(&Sources, &RwLock<Settled>) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let (sources, settled) = (self.sources.clone(), Arc::clone(&self.settled));
        tokio::task::spawn_blocking(move || search(&sources, &settled))
            .await
            // Only a runtime that shuts down cancels it.
            .unwrap_or(Err(Error::Closed))
    }
}

/// Makes the ledger once journal and index are open.
type MakeLedger<'a> = Box<dyn FnOnce(Sources) -> CertificateLedger + 'a>;

#[async_trait]
impl CertificateStore for Certificates {
    async fn record_intent(&self, intent: Intent) -> Result<IntentOutcome, Error> {
        let serial = intent.serial.clone();
        match self.writer.submit(Act::Intend(Box::new(intent))).await? {
            Outcome::Done => Ok(IntentOutcome::Recorded),
            Outcome::Replay(located) => {
                let record = scan::read_settled(&self.sources, &located)?;
                Ok(IntentOutcome::Replayed(Box::new(record)))
            }
            // Answers to other acts; in any case it may not be signed.
            Outcome::Already | Outcome::Known => Err(Error::SerialTaken { serial }),
            Outcome::InProgress(place) => Ok(IntentOutcome::InProgress {
                serial: scan::read_intent(&self.sources, place)?.serial,
            }),
        }
    }

    async fn record_issued(
        &self,
        serial: &SerialNumber,
        certificate_der: Vec<u8>,
        at: Timestamp,
    ) -> Result<(), Error> {
        let act = Act::Issue {
            serial: serial.clone(),
            certificate_der,
            at,
        };
        self.writer.submit(act).await.map(drop)
    }

    async fn abandon_intent(
        &self,
        serial: &SerialNumber,
        why: AbandonReason,
        at: Timestamp,
    ) -> Result<(), Error> {
        let act = Act::Abandon {
            serial: serial.clone(),
            why,
            at,
        };
        self.writer.submit(act).await.map(drop)
    }

    async fn record_timestamp(&self, record: TimestampRecord) -> Result<(), Error> {
        let act = Act::PlanTimestamp(Box::new(record));
        self.writer.submit(act).await.map(drop)
    }

    async fn certificate(&self, serial: &SerialNumber) -> Result<Option<CertificateRecord>, Error> {
        // Two short reads, nearly always from memory: a thread hop costs more.
        scan::find(&self.sources, &self.settled, serial)
    }

    async fn certificates(
        &self,
        filter: CertificateFilter,
        cursor: Option<Cursor>,
        limit: usize,
    ) -> Result<Page, Error> {
        self.search(move |sources, settled| scan::page(sources, settled, &filter, cursor, limit))
            .await
    }

    async fn open_intents(&self) -> Result<Vec<OpenIntent>, Error> {
        self.search(scan::open_intents).await
    }

    fn status(&self) -> Status {
        let end = self.writer.shared().end();
        let (pending, counts) = {
            let settled = self.settled.read().unwrap_or_else(PoisonError::into_inner);
            (settled.open.len() as u64, settled.counts)
        };
        Status {
            health: self.writer.shared().health(),
            sequence: end.sequence,
            chain_hash: end.chain_hash,
            journal_bytes: end.bytes,
            segments: end.segments,
            queue_depth: self.writer.queue_depth(),
            pending,
            issued: counts.issued,
            abandoned: counts.abandoned,
            revoked: counts.revoked,
            blocked_keys: counts.blocked,
            recovered: *self.writer.recovered(),
        }
    }
}

/// Makes the index anew from the journal. The old one is moved aside, never
/// deleted. The store must be closed; it is closed again when this returns.
///
/// # Errors
///
/// `Locked`, `Io`, and what [`Certificates::open`] says about the journal.
pub fn rebuild(config: &StoreConfig) -> Result<Recovered, Error> {
    let store = Certificates::start(|make_ledger| {
        writer::rebuild(config, make_ledger, CertificateLedger::count_open)
    })?;
    Ok(*store.recovered())
}
