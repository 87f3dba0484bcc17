//! The ACME service's records: accounts, orders, authorizations.
//!
//! Each act is one frame in the journal, which holds every record that the act
//! changed, whole. Replaying a frame therefore never depends on what was before;
//! the index says in which frame a record lies as it is now.

mod act;
mod codec;
mod decide;
mod error;
mod key;
mod ledger;
mod memory;
mod record;
mod records;
mod scan;
mod status;
mod store;
mod view;

pub use error::AcmeError;
pub use ledger::Retention;
pub use record::{
    Account, AccountKey, AccountOutcome, AccountUpdate, Authorization, Binding, Challenge, Count,
    EabKey, EabKeyState, FinalizeOutcome, KeyChange, Listing, MacKey, NewAccount, NewAuthorization,
    NewOrder, OpenWork, Order, OrderFilter, OrderOutcome, PreAuthorization, Validated, Validation,
};
pub use records::{AcmeRecords, rebuild};
pub use status::{AcmeCounts, AcmeStatus};
pub use store::AcmeStore;

#[cfg(test)]
mod tests;
