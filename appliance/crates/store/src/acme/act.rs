//! Acts on the ACME ledger, and what is answered.

use std::sync::Arc;

use model::Timestamp;
use model::acme::{
    AccountEvent, AccountId, AuthorizationId, ChallengeId, EabKeyId, Failure, Finalization,
    IssuedCertificate, OrderId,
};

use super::error::AcmeError;
use super::record::{
    Account, AccountKey, AccountUpdate, Authorization, EabKey, NewAccount, NewOrder, Order,
    PreAuthorization, Validated, Validation,
};
use crate::error::Error;

/// What callers ask for. Each is a method of the store's trait.
#[derive(Debug)]
pub(crate) enum Act {
    /// Make an account.
    CreateAccount(Box<NewAccount>),
    /// Change an account's contacts or terms.
    UpdateAccount {
        /// The account.
        id: AccountId,
        /// What changes.
        update: AccountUpdate,
        /// When.
        at: Timestamp,
    },
    /// Give an account another key.
    ChangeKey {
        /// The account.
        id: AccountId,
        /// Thumbprint of its key.
        old_thumbprint: [u8; 32],
        /// The new key.
        new: AccountKey,
        /// When.
        at: Timestamp,
    },
    /// End an account.
    EndAccount {
        /// The account.
        id: AccountId,
        /// How.
        event: AccountEvent,
        /// When.
        at: Timestamp,
    },
    /// Make an EAB key.
    CreateEabKey(Box<EabKey>),
    /// Take an EAB key back.
    RevokeEabKey {
        /// The key.
        id: EabKeyId,
        /// When.
        at: Timestamp,
    },
    /// Make an order.
    CreateOrder(Box<NewOrder>),
    /// Make an authorization before any order.
    CreateAuthorization(Box<PreAuthorization>),
    /// Note that the client responded.
    BeginChallenge {
        /// The challenge.
        id: ChallengeId,
        /// When.
        at: Timestamp,
    },
    /// Note what an attempt at validation showed.
    Validate {
        /// The challenge.
        id: ChallengeId,
        /// What it showed.
        validation: Validation,
        /// When.
        at: Timestamp,
    },
    /// Deactivate an authorization.
    DeactivateAuthorization {
        /// The authorization.
        id: AuthorizationId,
        /// When.
        at: Timestamp,
    },
    /// Finalize an order.
    Finalize {
        /// The order.
        id: OrderId,
        /// With what.
        finalization: Box<Finalization>,
    },
    /// Note an order's certificate.
    Issue {
        /// The order.
        id: OrderId,
        /// The certificate.
        certificate: Box<IssuedCertificate>,
    },
    /// Note that the CA refused.
    Reject {
        /// The order.
        id: OrderId,
        /// Why.
        error: Failure,
        /// When.
        at: Timestamp,
    },
}

/// What an act did.
#[derive(Debug)]
pub(crate) enum Done {
    /// This account was made or changed.
    Account(Arc<Account>),
    /// The key has this account already.
    AccountExists(Arc<Account>),
    /// The new key is this account's.
    KeyInUse(AccountId),
    /// This EAB key was made or changed.
    EabKey(Arc<EabKey>),
    /// This order was made or changed.
    Order(Arc<Order>),
    /// The act was done before and left this order.
    OrderRepeated(Arc<Order>),
    /// This authorization was made or changed.
    Authorization(Arc<Authorization>),
    /// A challenge was decided.
    Validated(Validated),
}

/// What a caller is told: what was done, or why it was refused.
pub(crate) type Outcome = Result<Done, AcmeError>;

/// States that an act was answered as another one: `decide` never does that.
pub(crate) fn mismatched<T>(done: &Done) -> Result<T, AcmeError> {
    debug_assert!(false, "answered as another act: {done:?}");
    Err(AcmeError::Store(Error::Closed))
}

impl Done {
    /// Takes the account.
    pub(crate) fn account(self) -> Result<Arc<Account>, AcmeError> {
        match self {
            Self::Account(account) => Ok(account),
            other => mismatched(&other),
        }
    }

    /// Takes the EAB key.
    pub(crate) fn eab_key(self) -> Result<Arc<EabKey>, AcmeError> {
        match self {
            Self::EabKey(key) => Ok(key),
            other => mismatched(&other),
        }
    }

    /// Takes the order.
    pub(crate) fn order(self) -> Result<Arc<Order>, AcmeError> {
        match self {
            Self::Order(order) | Self::OrderRepeated(order) => Ok(order),
            other => mismatched(&other),
        }
    }

    /// Takes the authorization.
    pub(crate) fn authorization(self) -> Result<Arc<Authorization>, AcmeError> {
        match self {
            Self::Authorization(authorization) => Ok(authorization),
            other => mismatched(&other),
        }
    }
}
