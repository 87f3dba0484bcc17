//! The CA's records: what was about to be signed, what came of it.
//!
//! ```text
//!  (none) --record_intent--> Pending --record_issued--> Issued
//!                               \-----abandon_intent--> Abandoned
//! ```

mod codec;
mod entry;
mod ledger;
mod list;
mod record;
mod scan;
mod store;

#[cfg(test)]
pub(crate) use ledger::{Act, CertificateLedger, Outcome};
pub use list::{CertificateFilter, Cursor, Page, StateFilter};
pub use record::{
    AbandonReason, CertificateRecord, CertificateState, Idempotency, Intent, IntentOutcome,
    OpenIntent,
};
pub use store::{CertificateStore, Certificates, rebuild};

#[cfg(test)]
mod tests;
