//! The ACME store: its trait, and the one over journal and index.

use std::sync::Arc;

use async_trait::async_trait;
use model::SerialNumber;
use model::Timestamp;
use model::acme::{
    AccountEvent, AccountId, AuthorizationId, ChallengeId, EabKeyId, Failure, Finalization,
    Identifier, IssuedCertificate, OrderId,
};

use super::error::AcmeError;
use super::record::{
    Account, AccountKey, AccountOutcome, AccountUpdate, Authorization, Count, EabKey,
    FinalizeOutcome, KeyChange, Listing, NewAccount, NewOrder, OpenWork, Order, OrderFilter,
    OrderOutcome, PreAuthorization, Validated, Validation,
};
use super::status::AcmeStatus;

/// Records accounts, orders and authorizations.
///
/// Every act reads, checks and writes in one: no two see the same state. Every
/// acknowledged write is on disk. A dropped future does not undo its act. An act
/// repeated after a lost answer gets the same answer and changes nothing.
///
/// Reads show records as they are at the time given: pending and ready orders,
/// pending and valid authorizations whose time is over come as expired.
#[async_trait]
pub trait AcmeStore: Send + Sync + std::fmt::Debug {
    // Accounts.

    /// Makes an account unless its key has one, using its EAB key up.
    ///
    /// # Errors
    ///
    /// `NoEabKey`, `EabKeySpent` or `EabKeyExpired` if the binding's key does not
    /// serve; `Store` when it was not recorded.
    async fn create_account(&self, new: NewAccount) -> Result<AccountOutcome, AcmeError>;

    /// Finds an account.
    ///
    /// # Errors
    ///
    /// `Store` when it cannot be read.
    async fn account(&self, id: &AccountId) -> Result<Option<Arc<Account>>, AcmeError>;

    /// Finds the account that has a key.
    ///
    /// # Errors
    ///
    /// `Store` when it cannot be read.
    async fn account_by_key(
        &self,
        thumbprint: &[u8; 32],
    ) -> Result<Option<Arc<Account>>, AcmeError>;

    /// Changes contacts or terms of a valid account.
    ///
    /// # Errors
    ///
    /// `NoAccount`, `AccountNotValid`; `Store` when it was not recorded.
    async fn update_account(
        &self,
        id: &AccountId,
        update: AccountUpdate,
        at: Timestamp,
    ) -> Result<Arc<Account>, AcmeError>;

    /// Gives a valid account another key (RFC 8555, 7.3.5).
    ///
    /// # Errors
    ///
    /// `NoAccount`, `AccountNotValid`; `KeyChanged` if the account's key is
    /// neither `old_thumbprint`'s nor the new one any more; `Store`.
    async fn change_account_key(
        &self,
        id: &AccountId,
        old_thumbprint: &[u8; 32],
        new: AccountKey,
        at: Timestamp,
    ) -> Result<KeyChange, AcmeError>;

    /// Deactivates or revokes an account. What it began stays readable.
    ///
    /// # Errors
    ///
    /// `NoAccount`; `Refused` if it ended otherwise before; `Store`.
    async fn end_account(
        &self,
        id: &AccountId,
        event: AccountEvent,
        at: Timestamp,
    ) -> Result<Arc<Account>, AcmeError>;

    /// Lists accounts, newest first, at most `limit` (1 to 1,000).
    ///
    /// # Errors
    ///
    /// `Store` when they cannot be read.
    async fn accounts(
        &self,
        after: Option<AccountId>,
        limit: usize,
    ) -> Result<Listing<Arc<Account>, AccountId>, AcmeError>;

    // Keys of external account binding.

    /// Records a key that may bind one account.
    ///
    /// # Errors
    ///
    /// `EabKeyTaken` if another has the name; `Store`.
    async fn create_eab_key(&self, key: EabKey) -> Result<Arc<EabKey>, AcmeError>;

    /// Takes a key back; again changes nothing. Accounts bound by it stand.
    ///
    /// # Errors
    ///
    /// `NoEabKey`; `Store`.
    async fn revoke_eab_key(&self, id: &EabKeyId, at: Timestamp) -> Result<Arc<EabKey>, AcmeError>;

    /// Finds a key.
    ///
    /// # Errors
    ///
    /// `Store` when it cannot be read.
    async fn eab_key(&self, id: &EabKeyId) -> Result<Option<Arc<EabKey>>, AcmeError>;

    /// Lists keys by name, at most `limit` (1 to 1,000).
    ///
    /// # Errors
    ///
    /// `Store` when they cannot be read.
    async fn eab_keys(
        &self,
        after: Option<EabKeyId>,
        limit: usize,
    ) -> Result<Listing<Arc<EabKey>, EabKeyId>, AcmeError>;

    // Orders and authorizations.

    /// Makes an order and the authorizations it lacks, in one act.
    ///
    /// # Errors
    ///
    /// `NoAccount`, `AccountNotValid`; `AlreadyReplaced` if another order that is
    /// not invalid replaces the certificate (RFC 9773, 5); `Store`.
    async fn create_order(&self, new: NewOrder) -> Result<OrderOutcome, AcmeError>;

    /// Makes an authorization before any order, or answers a valid one.
    ///
    /// # Errors
    ///
    /// `NoAccount`, `AccountNotValid`; `Store`.
    async fn create_authorization(
        &self,
        new: PreAuthorization,
    ) -> Result<Arc<Authorization>, AcmeError>;

    /// Finds an order.
    ///
    /// # Errors
    ///
    /// `Store` when it cannot be read.
    async fn order(&self, id: &OrderId, now: Timestamp) -> Result<Option<Arc<Order>>, AcmeError>;

    /// Finds an authorization.
    ///
    /// # Errors
    ///
    /// `Store` when it cannot be read.
    async fn authorization(
        &self,
        id: &AuthorizationId,
        now: Timestamp,
    ) -> Result<Option<Arc<Authorization>>, AcmeError>;

    /// Finds the account's valid authorization for an identifier, a wildcard's for
    /// a wildcard.
    ///
    /// # Errors
    ///
    /// `Store` when it cannot be read.
    async fn valid_authorization(
        &self,
        account: &AccountId,
        identifier: &Identifier,
        now: Timestamp,
    ) -> Result<Option<Arc<Authorization>>, AcmeError>;

    /// Lists orders, newest first, at most `limit` (1 to 1,000).
    ///
    /// # Errors
    ///
    /// `Store` when they cannot be read.
    async fn orders(
        &self,
        filter: OrderFilter,
        after: Option<OrderId>,
        limit: usize,
        now: Timestamp,
    ) -> Result<Listing<Arc<Order>, OrderId>, AcmeError>;

    /// Finds the order whose certificate has a serial number.
    ///
    /// # Errors
    ///
    /// `Store` when it cannot be read.
    async fn order_of_certificate(
        &self,
        serial: &SerialNumber,
    ) -> Result<Option<Arc<Order>>, AcmeError>;

    /// Finds the order, not invalid, that replaces a certificate (RFC 9773, 5).
    ///
    /// # Errors
    ///
    /// `Store` when it cannot be read.
    async fn order_that_replaces(
        &self,
        serial: &SerialNumber,
        now: Timestamp,
    ) -> Result<Option<Arc<Order>>, AcmeError>;

    // Challenges.

    /// Records that the client responded: the challenge is `processing`, and is
    /// among [`open_work`](Self::open_work) until it is decided. Again changes
    /// nothing; nor does it once the challenge is decided.
    ///
    /// # Errors
    ///
    /// `NoChallenge`; `AuthorizationNotPending` if the authorization ended without
    /// this challenge; `Store`.
    async fn begin_challenge(
        &self,
        id: &ChallengeId,
        at: Timestamp,
    ) -> Result<Arc<Authorization>, AcmeError>;

    /// Records what an attempt at validation showed, for challenge, authorization
    /// and order in one act. A challenge that is still `pending` goes through
    /// `processing`, so that the response need not be recorded by itself. Decided
    /// before, it stays as it is.
    ///
    /// # Errors
    ///
    /// As [`begin_challenge`](Self::begin_challenge).
    async fn record_validation(
        &self,
        id: &ChallengeId,
        validation: Validation,
        at: Timestamp,
    ) -> Result<Validated, AcmeError>;

    /// Deactivates an authorization (RFC 8555, 7.5.2); orders that depend on it
    /// and are not finalized become invalid. Again changes nothing.
    ///
    /// # Errors
    ///
    /// `NoAuthorization`; `Refused` if it is invalid, expired or revoked; `Store`.
    async fn deactivate_authorization(
        &self,
        id: &AuthorizationId,
        at: Timestamp,
    ) -> Result<Arc<Authorization>, AcmeError>;

    // Issuance.

    /// Takes a `ready` order to `processing`, with its certificate request: on
    /// disk before anything is asked of the CA. The same request again answers the
    /// order as it is.
    ///
    /// # Errors
    ///
    /// `NoOrder`; `OrderNotReady` with its state (RFC 8555, 7.4: 403
    /// `orderNotReady`); `Store`.
    async fn begin_finalize(
        &self,
        id: &OrderId,
        finalization: Finalization,
    ) -> Result<FinalizeOutcome, AcmeError>;

    /// Takes a `processing` order to `valid`. The same certificate again changes
    /// nothing.
    ///
    /// # Errors
    ///
    /// `NoOrder`; `Refused` if it is not processing; `Store`.
    async fn record_certificate(
        &self,
        id: &OrderId,
        certificate: IssuedCertificate,
    ) -> Result<Arc<Order>, AcmeError>;

    /// Takes a `processing` order to `invalid`: the CA refused for good. Again
    /// changes nothing.
    ///
    /// # Errors
    ///
    /// `NoOrder`; `Refused` if it is not processing; `Store`.
    async fn reject_order(
        &self,
        id: &OrderId,
        error: Failure,
        at: Timestamp,
    ) -> Result<Arc<Order>, AcmeError>;

    /// Tells what is under way: what a start has to take up again.
    ///
    /// # Errors
    ///
    /// `Store` when it cannot be read.
    async fn open_work(&self) -> Result<OpenWork, AcmeError>;

    // Limits.

    /// Counts the orders an account made since a time, at most `most` of them, the
    /// newest first.
    ///
    /// # Errors
    ///
    /// `Store` when they cannot be read.
    async fn count_orders(
        &self,
        account: &AccountId,
        since: Timestamp,
        most: usize,
    ) -> Result<Count, AcmeError>;

    /// Counts the certificates issued for exactly this identifier since a time, at
    /// most `most` of them, the newest first.
    ///
    /// # Errors
    ///
    /// `Store` when they cannot be read.
    async fn count_certificates(
        &self,
        identifier: &Identifier,
        since: Timestamp,
        most: usize,
    ) -> Result<Count, AcmeError>;

    /// Says how the store is. Never waits for the disk.
    fn status(&self) -> AcmeStatus;
}
