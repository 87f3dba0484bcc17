//! What the ACME store keeps, and what it is asked to keep.

use std::fmt;
use std::sync::Arc;

use model::acme::{
    AccountId, AccountState, AuthorizationId, AuthorizationState, CertificateId, ChallengeId,
    ChallengeKind, ChallengeState, EabKeyId, Failure, Identifier, OrderEvent, OrderId, OrderState,
};
use model::{Identity, ProfileName, Timestamp};
use zeroize::Zeroizing;

/// An account's public key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountKey {
    /// SHA-256 thumbprint (RFC 7638): no two accounts share one.
    pub thumbprint: [u8; 32],
    /// The key as a JWK in JSON, its required members alone (RFC 7638, 3).
    pub jwk_json: Box<str>,
}

/// An account (RFC 8555, 7.1.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// Its name.
    pub id: AccountId,
    /// Its state.
    pub state: AccountState,
    /// Its key.
    pub key: AccountKey,
    /// Contact URLs.
    pub contacts: Vec<Box<str>>,
    /// The terms of service that its holder agreed to.
    pub terms_agreed: Option<Box<str>>,
    /// The external account it is bound to.
    pub binding: Option<Binding>,
    /// The peer that made it over mutual TLS.
    pub peer: Option<Identity>,
    /// When it was made.
    pub created_at: Timestamp,
}

/// An account's tie to an external one (RFC 8555, 7.3.4).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binding {
    /// The key whose MAC proved it.
    pub key: EabKeyId,
    /// The `externalAccountBinding` object as the client sent it, in JSON.
    pub jws_json: Box<str>,
}

/// A key that binds one new account to an external one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EabKey {
    /// Its `kid`.
    pub id: EabKeyId,
    /// The MAC key.
    pub secret: MacKey,
    /// What the operator calls it.
    pub label: Box<str>,
    /// The policy that accounts bound by it fall under; the default where absent.
    pub policy: Option<Box<str>>,
    /// When it was made.
    pub created_at: Timestamp,
    /// Until when it may be used.
    pub expires_at: Option<Timestamp>,
    /// Whether it may be used.
    pub state: EabKeyState,
}

/// Whether a key may bind an account.
///
/// ```text
///  unused --account--> bound
///     \------operator------> revoked <- also from bound
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EabKeyState {
    /// It may bind one account.
    Unused,
    /// It has.
    Bound {
        /// The account.
        account: AccountId,
        /// When.
        at: Timestamp,
    },
    /// The operator took it back; an account bound by it stands.
    Revoked,
}

impl EabKeyState {
    /// Returns the state as listings spell it.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Unused => "unused",
            Self::Bound { .. } => "bound",
            Self::Revoked => "revoked",
        }
    }
}

/// A MAC key: wiped when dropped, silent in `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct MacKey(Zeroizing<Box<[u8]>>);

impl MacKey {
    /// Takes a key's octets.
    #[must_use]
    pub fn new(octets: impl Into<Box<[u8]>>) -> Self {
        Self(Zeroizing::new(octets.into()))
    }

    /// Returns its octets.
    #[must_use]
    pub fn octets(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for MacKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MacKey(…)")
    }
}

/// An order (RFC 8555, 7.1.3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    /// Its name; also the idempotency key of its certificate at the CA.
    pub id: OrderId,
    /// Whose it is.
    pub account: AccountId,
    /// Its state.
    pub state: OrderState,
    /// What it is for, in the order asked; no two are equal.
    pub identifiers: Vec<Identifier>,
    /// The authorization of each identifier, in the same order.
    pub authorizations: Vec<AuthorizationId>,
    /// The profile; the server's default where absent.
    pub profile: Option<ProfileName>,
    /// The start of validity asked for.
    pub not_before: Option<Timestamp>,
    /// The end of validity asked for.
    pub not_after: Option<Timestamp>,
    /// The certificate that its own is to replace (RFC 9773, 5).
    pub replaces: Option<CertificateId>,
    /// When it was made.
    pub created_at: Timestamp,
    /// Until when it may be finalized; when made, not after any of its authorizations.
    pub expires_at: Timestamp,
}

/// An authorization (RFC 8555, 7.1.4).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authorization {
    /// Its name.
    pub id: AuthorizationId,
    /// Whose it is.
    pub account: AccountId,
    /// The order it was made for; none for a pre-authorization.
    pub order: Option<OrderId>,
    /// What it is for, without a wildcard.
    pub identifier: Identifier,
    /// Whether it is for a wildcard name.
    pub wildcard: bool,
    /// Its state.
    pub state: AuthorizationState,
    /// The token of its challenges (RFC 8555, 8.3).
    pub token: Box<str>,
    /// Its challenges, each of another kind, as they are offered.
    pub challenges: Vec<Challenge>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it ends: pending ones soon, valid ones later.
    pub expires_at: Timestamp,
    /// The key that a device attested, which alone it authorizes: SHA-256 of the
    /// SubjectPublicKeyInfo, DER.
    pub attested_key: Option<[u8; 32]>,
}

/// A challenge (RFC 8555, 7.1.5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Challenge {
    /// How control is to be shown.
    pub kind: ChallengeKind,
    /// Its state.
    pub state: ChallengeState,
}

impl Order {
    /// Shows the order as it is at a time: expired where its time is over.
    #[must_use]
    pub fn at(self: Arc<Self>, now: Timestamp) -> Arc<Self> {
        if now < self.expires_at {
            return self;
        }
        match self.state.apply(&OrderEvent::Expire) {
            Ok(state) => Arc::new(Self {
                state,
                ..Self::clone(&self)
            }),
            // Processing and final orders do not expire.
            Err(_) => self,
        }
    }
}

impl Authorization {
    /// Shows the authorization as it is at a time: expired where its time is over.
    #[must_use]
    pub fn at(self: Arc<Self>, now: Timestamp) -> Arc<Self> {
        if now < self.expires_at {
            return self;
        }
        match self.state.apply(&model::acme::AuthorizationEvent::Expire) {
            Ok(state) => Arc::new(Self {
                state,
                ..Self::clone(&self)
            }),
            Err(_) => self,
        }
    }

    /// Returns the identifier as an order names it: with its wildcard.
    #[must_use]
    pub fn ordered(&self) -> Identifier {
        let wildcard = self.wildcard.then(|| self.identifier.wildcard()).flatten();
        wildcard.unwrap_or_else(|| self.identifier.clone())
    }

    /// Finds the challenge of a kind.
    #[must_use]
    pub fn challenge(&self, kind: ChallengeKind) -> Option<&Challenge> {
        self.challenges.iter().find(|own| own.kind == kind)
    }
}

/// An account to be made.
#[derive(Debug, Clone)]
pub struct NewAccount {
    /// Its name, drawn anew.
    pub id: AccountId,
    /// Its key.
    pub key: AccountKey,
    /// Contact URLs.
    pub contacts: Vec<Box<str>>,
    /// The terms of service agreed to.
    pub terms_agreed: Option<Box<str>>,
    /// The external account it is bound to; its MAC was verified.
    pub binding: Option<Binding>,
    /// The peer that makes it over mutual TLS.
    pub peer: Option<Identity>,
    /// Now.
    pub at: Timestamp,
}

/// What came of [`create_account`](super::AcmeStore::create_account).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AccountOutcome {
    /// It was made.
    Created(Arc<Account>),
    /// The key has an account already, in whatever state.
    Existing(Arc<Account>),
}

/// What changes in an account; absent members stay.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AccountUpdate {
    /// Contact URLs.
    pub contacts: Option<Vec<Box<str>>>,
    /// The terms of service agreed to.
    pub terms_agreed: Option<Box<str>>,
}

/// What came of [`change_account_key`](super::AcmeStore::change_account_key).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyChange {
    /// The account has the new key.
    Changed(Arc<Account>),
    /// The new key is this other account's (RFC 8555, 7.3.5: 409 and its `Location`).
    InUse(AccountId),
}

/// An order to be made, with an authorization for each identifier.
#[derive(Debug, Clone)]
pub struct NewOrder {
    /// Its name, drawn anew.
    pub id: OrderId,
    /// Whose it is.
    pub account: AccountId,
    /// What it is for: an identifier and what to make should no valid
    /// authorization be there to use again.
    pub identifiers: Vec<(Identifier, NewAuthorization)>,
    /// The profile; the server's default where absent.
    pub profile: Option<ProfileName>,
    /// The start of validity asked for.
    pub not_before: Option<Timestamp>,
    /// The end of validity asked for.
    pub not_after: Option<Timestamp>,
    /// The certificate that its own is to replace (RFC 9773, 5).
    pub replaces: Option<CertificateId>,
    /// Now.
    pub at: Timestamp,
    /// Until when it may be finalized, at most.
    pub expires_at: Timestamp,
    /// A valid authorization is used again if it does not end before this time;
    /// none never.
    pub reuse_valid_until: Option<Timestamp>,
    /// The same request, made at or after this time and still pending or ready,
    /// is the same order: a client's retry. None never.
    pub repeat_since: Option<Timestamp>,
}

/// An authorization to be made.
#[derive(Debug, Clone)]
pub struct NewAuthorization {
    /// Its name, drawn anew.
    pub id: AuthorizationId,
    /// The token of its challenges, drawn anew: 43 characters of base64url.
    pub token: Box<str>,
    /// The kinds of its challenges, as they are to be offered.
    pub challenges: Vec<ChallengeKind>,
    /// Until when it may stay pending.
    pub expires_at: Timestamp,
}

/// An authorization to be made before any order (RFC 8555, 7.4.1).
#[derive(Debug, Clone)]
pub struct PreAuthorization {
    /// Whose it is.
    pub account: AccountId,
    /// What it is for; a wildcard is refused by the protocol.
    pub identifier: Identifier,
    /// What to make.
    pub new: NewAuthorization,
    /// Now.
    pub at: Timestamp,
    /// A valid authorization is answered instead if it does not end before this
    /// time; none never.
    pub reuse_valid_until: Option<Timestamp>,
}

/// What came of [`create_order`](super::AcmeStore::create_order).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OrderOutcome {
    /// It was made: `pending`, or `ready` if all authorizations were there.
    Created(Arc<Order>),
    /// The same request made this order before.
    Repeated(Arc<Order>),
}

/// What came of [`begin_finalize`](super::AcmeStore::begin_finalize).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FinalizeOutcome {
    /// The order is `processing` from now on.
    Begun(Arc<Order>),
    /// The same certificate request finalized it before: `processing` or `valid`.
    Repeated(Arc<Order>),
}

/// What an attempt at validation showed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Validation {
    /// Control over the identifier.
    Succeeded {
        /// Until when the authorization is valid.
        valid_until: Timestamp,
        /// The key that a device attested: SHA-256 of the SubjectPublicKeyInfo, DER.
        attested_key: Option<[u8; 32]>,
    },
    /// Nothing yet: another attempt will follow.
    Retrying {
        /// What the attempt met.
        error: Failure,
    },
    /// No control; no attempt will follow.
    Failed {
        /// Why.
        error: Failure,
    },
}

/// A challenge with what belongs to it, after an act.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Validated {
    /// Its authorization.
    pub authorization: Arc<Authorization>,
    /// The order that was waiting for it, as it is now.
    pub order: Option<Arc<Order>>,
}

/// How many of something a window of time holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Count {
    /// How many, at most as many as were to be counted.
    pub number: usize,
    /// When the oldest of them was: what a window counts until.
    pub oldest: Option<Timestamp>,
}

/// What was under way when the store was opened or is now.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct OpenWork {
    /// Orders in `processing`, oldest first.
    pub orders: Vec<OrderId>,
    /// Challenges in `processing`, oldest first.
    pub challenges: Vec<ChallengeId>,
}

/// Which orders a listing shows, newest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct OrderFilter {
    /// Only this account's.
    pub account: Option<AccountId>,
    /// Whether invalid ones are left out (RFC 8555, 7.1.2.1).
    pub without_invalid: bool,
}

/// One page of a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listing<T, C> {
    /// What was found, possibly fewer than asked for before the last page.
    pub items: Vec<T>,
    /// What the next page comes after; none after the last.
    pub next: Option<C>,
}
