//! The signing service's records: signatures with their evidence, time-stamps, the
//! transparency log, and the webhooks' queues.
//!
//! Each act is one frame in the journal, with the records it made; what was once
//! recorded is never rewritten: a signature's request, stage, outcome and
//! withdrawal are records of their own. Documents lie in frames before the one
//! that names them, or in [files of their own](crate::blobs), by their SHA-256:
//! the same document is kept once. The index says where each lies.

mod act;
mod codec;
mod decide;
mod document;
mod error;
mod key;
mod ledger;
mod log;
mod memory;
mod metrics;
mod queue;
mod record;
mod records;
mod scan;
mod status;
mod store;
mod view;

pub use document::{
    Document, DocumentInfo, DocumentKind, DocumentReader, DocumentWriter, Documents, INLINE_MAX,
    StoredContent, StoredDocument,
};
pub use error::SigningStoreError;
pub use ledger::SigningOptions;
pub use metrics::SigningStoreMetrics;
pub use queue::{
    Accepted, Attempt, DeliveryRecord, DeliveryState, EventOutcome, EventRecord, EventState,
    NewDelivery, NewEvent, QueueState,
};
pub use record::{
    Begun, Intended, Listing, LogCheckpoint, NewSignature, NewTimestamp, NewWithdrawal,
    SearchFilter, SignatureAbandonReason, SignatureRecord, SignatureState, Signed, Stage, Staged,
    TimestampIntent, TimestampRecord, TimestampSource, ToBeSigned, Withdrawal, Withdrawn,
};
pub use records::{SigningRecords, rebuild};
pub use status::{SigningCounts, SigningStatus};
pub use store::SigningStore;

#[cfg(test)]
pub(crate) use self::{
    act::{Act, Outcome},
    ledger::SigningLedger,
};

#[cfg(test)]
mod tests;
