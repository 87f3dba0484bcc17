//! The vocabulary that every room of Chancery shares: identifiers, serial
//! numbers, time, roles and reasons.
//!
//! Nothing here performs I/O, reads a clock or draws randomness; those arrive
//! as arguments.

pub mod acme;
mod identity;
mod names;
mod reason;
mod serial;
pub mod signing;
mod time;
mod timed_id;

pub use identity::{Identity, InvalidIdentity, Role, TrustDomain};
pub use names::{IdempotencyKey, InvalidName, IssuerId, PeerName, ProfileName, RequestId};
pub use reason::{RevocationReason, UnknownReason};
pub use serial::{InvalidSerial, NodePrefix, NodeTooLarge, SerialNumber};
pub use time::{Clock, ManualClock, Timestamp};
