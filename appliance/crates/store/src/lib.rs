//! What must survive: narrow store traits, and the engine behind them.
//!
//! Every store directory holds a *journal* and an *index*:
//!
//! - the journal is the truth: append-only segments of hash-chained frames, one
//!   frame for each act, on disk before the act is acknowledged;
//! - the index is sled, derived from the journal and never ahead of it: it says
//!   where in the journal a record lies. It can always be rebuilt ([`rebuild`]).
//!
//! One writer thread per directory takes acts from a bounded queue, decides each
//! against the current state, appends those that change something, syncs once
//! for all of them, brings the index up to date and only then answers.
//! `docs/storage.md` describes the files to operators and auditors.

pub mod acme;
mod blobs;
mod certificates;
mod config;
mod directory;
mod error;
mod index;
mod journal;
mod metrics;
pub mod signing;
mod writer;

pub use certificates::{
    AbandonReason, BlockedKey, CertificateFilter, CertificateRecord, CertificateState,
    CertificateStore, Certificates, CrlRecord, CrlScope, Cursor, ForeignRevocation, Idempotency,
    Intent, IntentOutcome, IssuedFrom, IssuedSerial, LastCrls, MAX_BATCH, OpenIntent, Page,
    Revocation, RevocationRecord, RevocationStep, RevocationStore, Revoked, StateFilter,
    TimestampRecord, rebuild,
};
pub use config::StoreConfig;
pub use error::{Error, Fault, Health, IndexFault};
pub use journal::{FrameFault, Verified, verify};
pub use metrics::StoreMetrics;
pub use writer::{Recovered, Status};
