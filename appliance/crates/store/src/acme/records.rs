//! The ACME store over one directory.

use std::sync::{Arc, PoisonError, RwLock};

use async_trait::async_trait;
use model::acme::{
    AccountEvent, AccountId, AuthorizationId, ChallengeId, EabKeyId, Failure, Finalization,
    Identifier, IssuedCertificate, OrderId, OrderState,
};
use model::{SerialNumber, Timestamp};

use super::act::{Act, Done, mismatched};
use super::error::AcmeError;
use super::ledger::{AcmeLedger, Retention};
use super::memory::Memory;
use super::record::{
    Account, AccountKey, AccountOutcome, AccountUpdate, Authorization, Count, EabKey,
    FinalizeOutcome, KeyChange, Listing, NewAccount, NewOrder, OpenWork, Order, OrderFilter,
    OrderOutcome, PreAuthorization, Validated, Validation,
};
use super::scan;
use super::status::AcmeStatus;
use super::store::AcmeStore;
use super::view::View;
use crate::config::StoreConfig;
use crate::directory::StoreDirectory;
use crate::error::Error;
use crate::metrics::StoreMetrics;
use crate::writer::{self, Recovered, Sources, Writer};

/// The ACME store over one directory.
///
/// Its fields are dropped in order: the writer ends, the index closes, and only
/// then is the directory free for another process.
#[derive(Debug)]
pub struct AcmeRecords {
    /// Records acts.
    writer: Writer<AcmeLedger>,
    /// Reads records.
    sources: Sources,
    /// What memory holds.
    memory: Arc<RwLock<Memory>>,
    /// The locked directory.
    _directory: Arc<StoreDirectory>,
}

/// Makes the ledger once journal and index are open.
type MakeLedger<'a> = Box<dyn FnOnce(Sources) -> AcmeLedger + 'a>;

impl AcmeRecords {
    /// Opens the store, making the directory when missing, and brings the index
    /// up to date. Blocks; call it before serving.
    ///
    /// # Errors
    ///
    /// As [`Certificates::open`](crate::Certificates::open).
    pub fn open(
        config: &StoreConfig,
        metrics: StoreMetrics,
        retention: Retention,
    ) -> Result<Self, Error> {
        Self::start(retention, |make_ledger| {
            writer::open(config, metrics, make_ledger, AcmeLedger::count_open)
        })
    }

    /// Opens by `open`, which is given how to make the ledger.
    fn start(
        retention: Retention,
        open: impl FnOnce(MakeLedger<'_>) -> Result<Writer<AcmeLedger>, Error>,
    ) -> Result<Self, Error> {
        let memory = Arc::new(RwLock::new(Memory::default()));
        let mut opened = None;
        let writer = open(Box::new(|sources: Sources| {
            opened = Some(sources.clone());
            AcmeLedger::new(sources, Arc::clone(&memory), retention)
        }))?;
        Ok(Self {
            sources: opened.ok_or(Error::Closed)?,
            _directory: writer.directory(),
            writer,
            memory,
        })
    }

    /// Finishes what is queued, brings the index to disk and lets the directory
    /// go. Blocks. Dropping the store does the same.
    pub fn close(self) {}

    /// Says what opening had to mend.
    #[must_use]
    pub fn recovered(&self) -> &Recovered {
        self.writer.recovered()
    }

    /// Has an act recorded.
    async fn submit(&self, act: Act) -> Result<Done, AcmeError> {
        self.writer.submit(act).await?
    }

    /// Shows the settled state. A read is one or two short ones, nearly always from
    /// memory: a thread hop would cost more.
    fn view(&self) -> View<'_> {
        View {
            sources: &self.sources,
            memory: &self.memory,
            staged: None,
        }
    }

    /// Runs a search where blocking is allowed.
    async fn search<T: Send + 'static>(
        &self,
        search: impl FnOnce(View<'_>) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, AcmeError> {
        let (sources, memory) = (self.sources.clone(), Arc::clone(&self.memory));
        let searched = tokio::task::spawn_blocking(move || {
            search(View {
                sources: &sources,
                memory: &memory,
                staged: None,
            })
        });
        // Only a runtime that shuts down cancels it.
        Ok(searched.await.unwrap_or(Err(Error::Closed))?)
    }
}

#[async_trait]
impl AcmeStore for AcmeRecords {
    async fn create_account(&self, new: NewAccount) -> Result<AccountOutcome, AcmeError> {
        match self.submit(Act::CreateAccount(Box::new(new))).await? {
            Done::Account(account) => Ok(AccountOutcome::Created(account)),
            Done::AccountExists(account) => Ok(AccountOutcome::Existing(account)),
            other => mismatched(&other),
        }
    }

    async fn account(&self, id: &AccountId) -> Result<Option<Arc<Account>>, AcmeError> {
        Ok(self.view().account(id)?)
    }

    async fn account_by_key(
        &self,
        thumbprint: &[u8; 32],
    ) -> Result<Option<Arc<Account>>, AcmeError> {
        Ok(self.view().account_by_key(thumbprint)?)
    }

    async fn update_account(
        &self,
        id: &AccountId,
        update: AccountUpdate,
        at: Timestamp,
    ) -> Result<Arc<Account>, AcmeError> {
        let id = *id;
        self.submit(Act::UpdateAccount { id, update, at })
            .await?
            .account()
    }

    async fn change_account_key(
        &self,
        id: &AccountId,
        old_thumbprint: &[u8; 32],
        new: AccountKey,
        at: Timestamp,
    ) -> Result<KeyChange, AcmeError> {
        let act = Act::ChangeKey {
            id: *id,
            old_thumbprint: *old_thumbprint,
            new,
            at,
        };
        match self.submit(act).await? {
            Done::Account(account) => Ok(KeyChange::Changed(account)),
            Done::KeyInUse(other) => Ok(KeyChange::InUse(other)),
            other => mismatched(&other),
        }
    }

    async fn end_account(
        &self,
        id: &AccountId,
        event: AccountEvent,
        at: Timestamp,
    ) -> Result<Arc<Account>, AcmeError> {
        let id = *id;
        self.submit(Act::EndAccount { id, event, at })
            .await?
            .account()
    }

    async fn accounts(
        &self,
        after: Option<AccountId>,
        limit: usize,
    ) -> Result<Listing<Arc<Account>, AccountId>, AcmeError> {
        self.search(move |view| scan::accounts(view, after, limit))
            .await
    }

    async fn create_eab_key(&self, key: EabKey) -> Result<Arc<EabKey>, AcmeError> {
        self.submit(Act::CreateEabKey(Box::new(key)))
            .await?
            .eab_key()
    }

    async fn revoke_eab_key(&self, id: &EabKeyId, at: Timestamp) -> Result<Arc<EabKey>, AcmeError> {
        let id = id.clone();
        self.submit(Act::RevokeEabKey { id, at }).await?.eab_key()
    }

    async fn eab_key(&self, id: &EabKeyId) -> Result<Option<Arc<EabKey>>, AcmeError> {
        Ok(self.view().eab_key(id)?)
    }

    async fn eab_keys(
        &self,
        after: Option<EabKeyId>,
        limit: usize,
    ) -> Result<Listing<Arc<EabKey>, EabKeyId>, AcmeError> {
        self.search(move |view| scan::eab_keys(view, after, limit))
            .await
    }

    async fn create_order(&self, new: NewOrder) -> Result<OrderOutcome, AcmeError> {
        match self.submit(Act::CreateOrder(Box::new(new))).await? {
            Done::Order(order) => Ok(OrderOutcome::Created(order)),
            Done::OrderRepeated(order) => Ok(OrderOutcome::Repeated(order)),
            other => mismatched(&other),
        }
    }

    async fn create_authorization(
        &self,
        new: PreAuthorization,
    ) -> Result<Arc<Authorization>, AcmeError> {
        self.submit(Act::CreateAuthorization(Box::new(new)))
            .await?
            .authorization()
    }

    async fn order(&self, id: &OrderId, now: Timestamp) -> Result<Option<Arc<Order>>, AcmeError> {
        Ok(self.view().order(id)?.map(|order| order.at(now)))
    }

    async fn authorization(
        &self,
        id: &AuthorizationId,
        now: Timestamp,
    ) -> Result<Option<Arc<Authorization>>, AcmeError> {
        Ok(self.view().authorization(id)?.map(|own| own.at(now)))
    }

    async fn valid_authorization(
        &self,
        account: &AccountId,
        identifier: &Identifier,
        now: Timestamp,
    ) -> Result<Option<Arc<Authorization>>, AcmeError> {
        Ok(self.view().valid_authorization(account, identifier, now)?)
    }

    async fn orders(
        &self,
        filter: OrderFilter,
        after: Option<OrderId>,
        limit: usize,
        now: Timestamp,
    ) -> Result<Listing<Arc<Order>, OrderId>, AcmeError> {
        self.search(move |view| scan::orders(view, filter, after, limit, now))
            .await
    }

    async fn order_of_certificate(
        &self,
        serial: &SerialNumber,
    ) -> Result<Option<Arc<Order>>, AcmeError> {
        Ok(self.view().order_of_certificate(serial)?)
    }

    async fn order_that_replaces(
        &self,
        serial: &SerialNumber,
        now: Timestamp,
    ) -> Result<Option<Arc<Order>>, AcmeError> {
        let order = self.view().order_that_replaces(serial)?;
        Ok(order
            .map(|order| order.at(now))
            .filter(|order| !matches!(order.state, OrderState::Invalid { .. })))
    }

    async fn begin_challenge(
        &self,
        id: &ChallengeId,
        at: Timestamp,
    ) -> Result<Arc<Authorization>, AcmeError> {
        let id = *id;
        self.submit(Act::BeginChallenge { id, at })
            .await?
            .authorization()
    }

    async fn record_validation(
        &self,
        id: &ChallengeId,
        validation: Validation,
        at: Timestamp,
    ) -> Result<Validated, AcmeError> {
        let act = Act::Validate {
            id: *id,
            validation,
            at,
        };
        match self.submit(act).await? {
            Done::Validated(validated) => Ok(validated),
            other => mismatched(&other),
        }
    }

    async fn deactivate_authorization(
        &self,
        id: &AuthorizationId,
        at: Timestamp,
    ) -> Result<Arc<Authorization>, AcmeError> {
        let id = *id;
        self.submit(Act::DeactivateAuthorization { id, at })
            .await?
            .authorization()
    }

    async fn begin_finalize(
        &self,
        id: &OrderId,
        finalization: Finalization,
    ) -> Result<FinalizeOutcome, AcmeError> {
        let act = Act::Finalize {
            id: *id,
            finalization: Box::new(finalization),
        };
        match self.submit(act).await? {
            Done::Order(order) => Ok(FinalizeOutcome::Begun(order)),
            Done::OrderRepeated(order) => Ok(FinalizeOutcome::Repeated(order)),
            other => mismatched(&other),
        }
    }

    async fn record_certificate(
        &self,
        id: &OrderId,
        certificate: IssuedCertificate,
    ) -> Result<Arc<Order>, AcmeError> {
        let act = Act::Issue {
            id: *id,
            certificate: Box::new(certificate),
        };
        self.submit(act).await?.order()
    }

    async fn reject_order(
        &self,
        id: &OrderId,
        error: Failure,
        at: Timestamp,
    ) -> Result<Arc<Order>, AcmeError> {
        let id = *id;
        self.submit(Act::Reject { id, error, at }).await?.order()
    }

    async fn open_work(&self) -> Result<OpenWork, AcmeError> {
        let memory = self.memory.read().unwrap_or_else(PoisonError::into_inner);
        Ok(OpenWork {
            orders: memory.processing.iter().copied().collect(),
            challenges: memory.validating.iter().copied().collect(),
        })
    }

    async fn count_orders(
        &self,
        account: &AccountId,
        since: Timestamp,
        most: usize,
    ) -> Result<Count, AcmeError> {
        Ok(scan::count_orders(self.view(), account, since, most)?)
    }

    async fn count_certificates(
        &self,
        identifier: &Identifier,
        since: Timestamp,
        most: usize,
    ) -> Result<Count, AcmeError> {
        Ok(scan::count_certificates(
            self.view(),
            identifier,
            since,
            most,
        )?)
    }

    fn status(&self) -> AcmeStatus {
        let end = self.writer.shared().end();
        let memory = self.memory.read().unwrap_or_else(PoisonError::into_inner);
        AcmeStatus {
            health: self.writer.shared().health(),
            sequence: end.sequence,
            chain_hash: end.chain_hash,
            journal_bytes: end.bytes,
            segments: end.segments,
            queue_depth: self.writer.queue_depth(),
            processing: memory.processing.len() as u64,
            validating: memory.validating.len() as u64,
            counts: memory.summary.counts,
            recovered: *self.writer.recovered(),
        }
    }
}

/// Makes the index anew from the journal. The old one is moved aside, never
/// deleted. The store must be closed; it is closed again when this returns.
///
/// # Errors
///
/// `Locked`, `Io`, and what [`AcmeRecords::open`] says about the journal.
pub fn rebuild(config: &StoreConfig, retention: Retention) -> Result<Recovered, Error> {
    let store = AcmeRecords::start(retention, |make_ledger| {
        writer::rebuild(config, make_ledger, AcmeLedger::count_open)
    })?;
    Ok(*store.recovered())
}
