//! The ACME service's records: accounts, orders, authorizations.
//!
//! Each act is one frame in the journal, which holds every record that the act
//! changed, whole. Replaying a frame therefore never depends on what was before.

mod error;
mod record;
mod status;
mod store;

pub use error::AcmeError;
pub use record::{
    Account, AccountKey, AccountOutcome, AccountUpdate, Authorization, Binding, Challenge, Count,
    EabKey, EabKeyState, FinalizeOutcome, KeyChange, Listing, MacKey, NewAccount, NewAuthorization,
    NewOrder, OpenWork, Order, OrderFilter, OrderOutcome, PreAuthorization, Validated, Validation,
};
pub use status::{AcmeCounts, AcmeStatus};
pub use store::AcmeStore;
