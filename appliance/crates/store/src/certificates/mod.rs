//! The CA's records: what was about to be signed, what came of it.
//!
//! ```text
//!  (none) --record_intent--> Pending --record_issued--> Issued
//!                               \-----abandon_intent--> Abandoned
//! ```
//!
//! From the intent on, a serial number may be revoked besides; [`RevocationStore`]
//! records that, the keys that are blocked, and the CRLs that tell of it all.

mod blocked;
mod codec;
mod crl;
mod entry;
mod ledger;
mod list;
mod lookup;
mod record;
mod revocation;
mod revoke;
mod scan;
mod store;
mod timestamp;

pub use blocked::BlockedKey;
pub use crl::{CrlRecord, CrlScope, LastCrls};
#[cfg(test)]
pub(crate) use ledger::{Act, CertificateLedger, Outcome};
pub use list::{CertificateFilter, Cursor, Page, StateFilter};
pub use record::{
    AbandonReason, CertificateRecord, CertificateState, Idempotency, Intent, IntentOutcome,
    OpenIntent,
};
#[cfg(test)]
pub(crate) use revocation::RevocationAct;
pub use revocation::{ForeignRevocation, Revocation, RevocationRecord, RevocationStep, Revoked};
pub use revoke::{IssuedFrom, IssuedSerial, MAX_BATCH, RevocationStore};
pub use store::{CertificateStore, Certificates, rebuild};
pub use timestamp::TimestampRecord;

#[cfg(test)]
mod tests;
