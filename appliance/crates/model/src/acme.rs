//! What an ACME server keeps, as RFC 8555 names it: identifiers of its objects,
//! and the state machine of each.
//!
//! A state holds what belongs to it and to no other: only a valid order has a
//! certificate. States change through `apply` alone, which takes an event or
//! refuses it; nothing else makes a new state out of an old one.

mod account;
mod authorization;
mod certificate;
mod challenge;
mod failure;
mod id;
mod identifier;
mod order;

pub use account::{AccountEvent, AccountState};
pub use authorization::{AuthorizationEvent, AuthorizationState};
pub use certificate::{CertificateId, InvalidCertificateId};
pub use challenge::{ChallengeEvent, ChallengeKind, ChallengeState, UnknownChallengeKind};
pub use failure::{Failure, FailurePart};
pub use id::{AccountId, AuthorizationId, ChallengeId, EabKeyId, InvalidId, OrderId};
pub use identifier::{Identifier, InvalidIdentifier};
pub use order::{Finalization, IssuedCertificate, OrderEvent, OrderState};

/// An event that a state does not take; the state stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{object} that is {state} cannot become {event}")]
pub struct Refused {
    /// What was to change: "an order".
    pub object: &'static str,
    /// Its state, as the protocol spells it.
    pub state: &'static str,
    /// What was to happen.
    pub event: &'static str,
}
