//! Why an act on the ACME store was refused.

use model::acme::{AccountId, AuthorizationId, ChallengeId, EabKeyId, OrderId, Refused};

use crate::error::Error;

/// Why an act was refused. Nothing was recorded.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum AcmeError {
    // What is named is not there, or not any more.
    /// No such account.
    #[error("there is no account {id}")]
    NoAccount {
        /// Its name.
        id: AccountId,
    },
    /// No such EAB key.
    #[error("there is no EAB key {id}")]
    NoEabKey {
        /// Its name.
        id: EabKeyId,
    },
    /// No such order.
    #[error("there is no order {id}")]
    NoOrder {
        /// Its name.
        id: OrderId,
    },
    /// No such authorization.
    #[error("there is no authorization {id}")]
    NoAuthorization {
        /// Its name.
        id: AuthorizationId,
    },
    /// No such challenge.
    #[error("there is no challenge {id}")]
    NoChallenge {
        /// Its name.
        id: ChallengeId,
    },

    // The act does not fit what is recorded.
    /// The account is deactivated or revoked.
    #[error("account {id} is {state}; it can do nothing any more")]
    AccountNotValid {
        /// The account.
        id: AccountId,
        /// Its state.
        state: &'static str,
    },
    /// The account's key is another one meanwhile.
    #[error("account {id} was given another key meanwhile; sign with that one")]
    KeyChanged {
        /// The account.
        id: AccountId,
    },
    /// Another EAB key has the name.
    #[error("an EAB key {id} is there already; choose another name")]
    EabKeyTaken {
        /// The name.
        id: EabKeyId,
    },
    /// The EAB key bound an account already, or was revoked.
    #[error("EAB key {id} is {state}; ask the operator for another")]
    EabKeySpent {
        /// The key.
        id: EabKeyId,
        /// Its state.
        state: &'static str,
    },
    /// The EAB key's time is over.
    #[error("EAB key {id} has expired; ask the operator for another")]
    EabKeyExpired {
        /// The key.
        id: EabKeyId,
    },
    /// Another order, not invalid, replaces the certificate.
    #[error("order {order} replaces the certificate already; a certificate is replaced once")]
    AlreadyReplaced {
        /// That order.
        order: OrderId,
    },
    /// The authorization is decided, and not by this challenge.
    #[error("authorization {id} is {state}; its challenges take no response")]
    AuthorizationNotPending {
        /// The authorization.
        id: AuthorizationId,
        /// Its state.
        state: &'static str,
    },
    /// The order cannot be finalized, or was with another request.
    #[error("order {id} is {state}; only a ready order can be finalized")]
    OrderNotReady {
        /// The order.
        id: OrderId,
        /// Its state.
        state: &'static str,
    },
    /// The state machine has no such transition.
    #[error(transparent)]
    Refused(#[from] Refused),

    // The store did not do it.
    /// Nothing was recorded, or could be read.
    #[error(transparent)]
    Store(#[from] Error),
}
