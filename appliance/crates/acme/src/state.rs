//! The state machines of RFC 8555, 7.1.6: pure transitions.
//!
//! | object | states | drawn at |
//! |---|---|---|
//! | account | valid, deactivated, revoked | [`AccountState`] |
//! | order | pending, ready, processing, valid, invalid | [`OrderState`] |
//! | authorization | pending, valid, invalid, deactivated, expired, revoked | [`AuthorizationState`] |
//! | challenge | pending, processing, valid, invalid | [`ChallengeState`] |
//!
//! They live in `model`, since the store decides every act with them: a state
//! comes from another by `apply` alone, which refuses what the diagrams do not
//! draw, and the store writes nothing that `apply` did not give. A state holds
//! what belongs to it and to no other, so an order without its certificate cannot
//! be valid.

pub use model::acme::{
    AccountEvent, AccountState, AuthorizationEvent, AuthorizationState, ChallengeEvent,
    ChallengeState, OrderEvent, OrderState, Refused,
};

#[cfg(test)]
mod tests;
