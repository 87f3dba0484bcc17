//! Takes finalized orders from `processing` to `valid` through the CA.
//!
//! An order's name is its idempotency key at the CA. Whatever happens between the
//! CA's signature and the record of it, asking again gets the same certificate:
//! an order is never issued twice, and never lost, since what is `processing` is
//! taken up again at every start.
//!
//! ```text
//! begin_finalize ─▶ queue ─▶ ask the CA ─▶ record ─▶ valid
//!                     ▲        │    └─ final refusal ─▶ invalid
//!                     └────────┘ the CA or its token is away, the store is busy
//! ```
//!
//! A few workers take orders from the queue. While the CA is away one of them asks
//! from time to time and the others wait: see [`pace`].

mod certificate;
mod metrics;
mod pace;
mod verdict;

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use mesh::{CaClient, SignRequest};
use model::acme::{Failure, Finalization, IssuedCertificate, OrderId, OrderState};
use model::{Clock, IdempotencyKey, ProfileName};
use store::acme::{AcmeError, AcmeStore, Order};
use tokio::sync::{Notify, oneshot};
use tokio::task::AbortHandle;
use tokio::time::Instant;
use tracing::{debug, error, info, warn};

pub use self::metrics::FinalizeMetrics;
use self::pace::Pace;
use self::verdict::{Verdict, judge};
use crate::problem::ErrorType;

/// When an order is tried again that met something of its own.
const RETRY: Duration = Duration::from_secs(1);

/// When an order is tried again whose store does not serve.
const STORE_RETRY: Duration = Duration::from_secs(5);

/// How many orders are at the CA at once, and how an outage is sat out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FinalizeSettings {
    /// Orders at the CA at the same time, at least one.
    pub workers: usize,
    /// First pause while the CA is away; doubled each time.
    pub first_pause: Duration,
    /// Longest pause while the CA is away.
    pub longest_pause: Duration,
    /// The CA's name of a profile by the one that clients use; others go as they
    /// are.
    pub profiles: BTreeMap<ProfileName, ProfileName>,
}

impl Default for FinalizeSettings {
    /// As many orders as keep a fast token busy, and pauses of 0.5 to 30 seconds.
    fn default() -> Self {
        Self {
            workers: 64,
            first_pause: Duration::from_millis(500),
            longest_pause: Duration::from_secs(30),
            profiles: BTreeMap::new(),
        }
    }
}

/// Finishes orders. Clones share one; the last one dropped ends the work, which
/// the next start takes up.
#[derive(Debug, Clone)]
pub struct Finalizer {
    /// What the workers share.
    shared: Arc<Shared>,
    /// Ends the workers.
    _workers: Arc<Workers>,
}

/// Ends the workers when dropped.
#[derive(Debug)]
struct Workers(Vec<AbortHandle>);

impl Drop for Workers {
    fn drop(&mut self) {
        for worker in &self.0 {
            worker.abort();
        }
    }
}

/// What the workers share.
struct Shared {
    /// Orders.
    store: Arc<dyn AcmeStore>,
    /// The CA.
    ca: Arc<dyn CaClient>,
    /// The time.
    clock: Arc<dyn Clock>,
    /// Counts.
    metrics: FinalizeMetrics,
    /// The CA's names of profiles.
    profiles: BTreeMap<ProfileName, ProfileName>,
    /// Holds the workers back while the CA is away.
    pace: Pace,
    /// What is to be done.
    queue: Mutex<Queue>,
    /// Wakes a worker.
    wake: Notify,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Finalize")
            .field("pace", &self.pace)
            .field("queued", &self.lock().known.len())
            .finish_non_exhaustive()
    }
}

/// What is to be done, and who waits for it.
#[derive(Default)]
struct Queue {
    /// Orders that no worker has.
    waiting: VecDeque<OrderId>,
    /// Every order that is not done: waiting, at a worker, or pausing.
    known: HashSet<OrderId>,
    /// Who waits for which order.
    callers: HashMap<OrderId, Vec<oneshot::Sender<Arc<Order>>>>,
}

/// What an attempt came to.
enum Attempt {
    /// The order is final.
    Done(Arc<Order>),
    /// There is no such order.
    Gone,
    /// It is to be tried again after a pause of its own.
    Again(Duration),
}

impl Finalizer {
    /// Starts the workers on the current runtime.
    #[must_use]
    pub fn start(
        store: Arc<dyn AcmeStore>,
        ca: Arc<dyn CaClient>,
        clock: Arc<dyn Clock>,
        settings: &FinalizeSettings,
        metrics: FinalizeMetrics,
    ) -> Self {
        let shared = Arc::new(Shared {
            store,
            ca,
            clock,
            pace: Pace::new(
                settings.first_pause,
                settings.longest_pause,
                metrics.away.clone(),
            ),
            metrics,
            profiles: settings.profiles.clone(),
            queue: Mutex::default(),
            wake: Notify::new(),
        });
        let workers = (0..settings.workers.max(1))
            .map(|_| tokio::spawn(work(Arc::clone(&shared))).abort_handle())
            .collect();
        Self {
            shared,
            _workers: Arc::new(Workers(workers)),
        }
    }

    /// Takes up every order that is `processing`; returns how many. To be called
    /// once, at the start.
    ///
    /// # Errors
    ///
    /// `Store` when they cannot be read.
    pub async fn resume(&self) -> Result<usize, AcmeError> {
        let orders = self.shared.store.open_work().await?.orders;
        for id in &orders {
            self.shared.push(*id);
        }
        if !orders.is_empty() {
            info!(
                orders = orders.len(),
                "taking up orders that were being issued"
            );
        }
        Ok(orders.len())
    }

    /// Has an order finished that was taken to `processing`, and waits for it, at
    /// most `patience`: so that most clients see `valid` at once. Returns the order
    /// as it is then; the work goes on.
    ///
    /// # Errors
    ///
    /// `NoOrder`; `Store` when it cannot be read.
    pub async fn finish(&self, id: OrderId, patience: Duration) -> Result<Arc<Order>, AcmeError> {
        let done = self.shared.wait_for(id);
        if let Ok(Ok(order)) = tokio::time::timeout(patience, done).await {
            return Ok(order);
        }
        let now = self.shared.clock.now();
        let order = self.shared.store.order(&id, now).await?;
        order.ok_or(AcmeError::NoOrder { id })
    }

    /// Returns how many orders are not done.
    #[must_use]
    pub fn open(&self) -> usize {
        self.shared.lock().known.len()
    }

    /// Tells whether the CA has been away since the last time it was asked.
    #[must_use]
    pub fn is_ca_away(&self) -> bool {
        self.shared.pace.is_away()
    }
}

/// Finishes one order after another until aborted.
async fn work(shared: Arc<Shared>) {
    loop {
        let id = shared.next().await;
        match shared.attempt(id).await {
            Attempt::Done(order) => shared.settle(id, Some(order)),
            Attempt::Gone => shared.settle(id, None),
            Attempt::Again(pause) => again(&shared, id, pause),
        }
    }
}

/// Queues an order again after a pause.
fn again(shared: &Arc<Shared>, id: OrderId, pause: Duration) {
    let shared: Weak<Shared> = Arc::downgrade(shared);
    tokio::spawn(async move {
        tokio::time::sleep(pause).await;
        if let Some(shared) = shared.upgrade() {
            shared.lock().waiting.push_back(id);
            shared.wake.notify_one();
        }
    });
}

impl Shared {
    /// Locks the queue; a panic elsewhere leaves it whole.
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Queues an order unless it is known.
    fn push(&self, id: OrderId) {
        let mut queue = self.lock();
        queue.push(id);
        self.metrics.open(queue.known.len());
        drop(queue);
        self.wake.notify_one();
    }

    /// Queues an order and returns where it will come when it is done.
    fn wait_for(&self, id: OrderId) -> oneshot::Receiver<Arc<Order>> {
        let (caller, done) = oneshot::channel();
        let mut queue = self.lock();
        let callers = queue.callers.entry(id).or_default();
        callers.retain(|caller| !caller.is_closed());
        callers.push(caller);
        queue.push(id);
        self.metrics.open(queue.known.len());
        drop(queue);
        self.wake.notify_one();
        done
    }

    /// Takes the next order, waiting for one.
    async fn next(&self) -> OrderId {
        loop {
            let taken = {
                let mut queue = self.lock();
                queue
                    .waiting
                    .pop_front()
                    .map(|id| (id, queue.waiting.is_empty()))
            };
            if let Some((id, is_last)) = taken {
                if !is_last {
                    // One call wakes one worker; there is work for more.
                    self.wake.notify_one();
                }
                return id;
            }
            self.wake.notified().await;
        }
    }

    /// Forgets an order that is done and tells who waits for it.
    fn settle(&self, id: OrderId, order: Option<Arc<Order>>) {
        let mut queue = self.lock();
        queue.known.remove(&id);
        let callers = queue.callers.remove(&id).unwrap_or_default();
        self.metrics.open(queue.known.len());
        drop(queue);
        for (caller, order) in callers.into_iter().zip(std::iter::repeat(order)) {
            // A caller without patience has gone; one without an order looks itself.
            if let Some(order) = order {
                let _ = caller.send(order);
            }
        }
    }

    /// Tries to finish an order.
    async fn attempt(&self, id: OrderId) -> Attempt {
        let order = match self.store.order(&id, self.clock.now()).await {
            Ok(Some(order)) => order,
            Ok(None) => return Attempt::Gone,
            Err(error) => return self.store_away(&id, &error),
        };
        let OrderState::Processing(finalization) = &order.state else {
            return Attempt::Done(order);
        };
        match self.ask(&order, finalization).await {
            Ok(certificate) => self.record(&id, certificate).await,
            Err(Verdict::Final(failure)) => self.reject(&id, failure).await,
            Err(Verdict::Again) => Attempt::Again(RETRY),
            // The pace holds every worker back.
            Err(Verdict::Away) => Attempt::Again(Duration::ZERO),
        }
    }

    /// Asks the CA for an order's certificate.
    async fn ask(
        &self,
        order: &Order,
        finalization: &Finalization,
    ) -> Result<IssuedCertificate, Verdict> {
        let turn = self.pace.turn().await;
        let mut request = sign_request(order, finalization).map_err(Verdict::Final)?;
        let renamed = request
            .profile
            .as_ref()
            .and_then(|name| self.profiles.get(name));
        request.profile = renamed.cloned().or(request.profile);
        let began = Instant::now();
        let signed = match self.ca.sign(request).await {
            Ok(signed) => signed,
            Err(refusal) => {
                let verdict = judge(&refusal);
                match &verdict {
                    Verdict::Final(_) | Verdict::Again => turn.answered(),
                    Verdict::Away => {
                        turn.away(verdict::retry_after(&refusal), &refusal);
                        self.metrics.attempted("away", began.elapsed());
                    }
                }
                match &verdict {
                    Verdict::Final(failure) => {
                        self.metrics.attempted("refused", began.elapsed());
                        log_refusal(order, finalization, failure, &refusal);
                    }
                    Verdict::Again => self.metrics.attempted("again", began.elapsed()),
                    Verdict::Away => {}
                }
                return Err(verdict);
            }
        };
        turn.answered();
        let checked = certificate::read(order, finalization, &signed, self.clock.now());
        let result = if checked.is_ok() {
            "issued"
        } else {
            "unusable"
        };
        self.metrics.attempted(result, began.elapsed());
        checked.map_err(|fault| {
            // Nothing that asking again would mend: the answer is kept by the CA.
            error!(
                acme.order = %order.id,
                cert.serial = %signed.serial,
                error = &fault as &dyn std::error::Error,
                "the CA's certificate {} is not the one that order {} is for; revoke it and find out why",
                signed.serial,
                order.id
            );
            Verdict::Final(Failure::new(
                ErrorType::ServerInternal.as_str(),
                "the CA's certificate is not the one asked for; the operator finds the reason in the log",
            ))
        })
    }

    /// Records a certificate.
    async fn record(&self, id: &OrderId, certificate: IssuedCertificate) -> Attempt {
        let serial = certificate.serial.clone();
        match self.store.record_certificate(id, certificate).await {
            Ok(order) => {
                info!(
                    acme.order = %id,
                    acme.account = %order.account,
                    cert.serial = %serial,
                    "order {id} has certificate {serial}"
                );
                Attempt::Done(order)
            }
            // The CA keeps the certificate and answers it again.
            Err(error) => self.store_away(id, &error),
        }
    }

    /// Records that an order comes to nothing.
    async fn reject(&self, id: &OrderId, failure: Failure) -> Attempt {
        match self.store.reject_order(id, failure, self.clock.now()).await {
            Ok(order) => Attempt::Done(order),
            Err(error) => self.store_away(id, &error),
        }
    }

    /// Waits for a store that did not read or record.
    fn store_away(&self, id: &OrderId, error: &AcmeError) -> Attempt {
        let transient = matches!(error, AcmeError::Store(store) if store.is_transient());
        if transient {
            debug!(acme.order = %id, "the store did not take order {id}: {error}");
            return Attempt::Again(RETRY);
        }
        warn!(
            acme.order = %id,
            error = error as &dyn std::error::Error,
            "could not finish order {id}; it is tried again"
        );
        Attempt::Again(STORE_RETRY)
    }
}

impl Queue {
    /// Adds an order unless it is known.
    fn push(&mut self, id: OrderId) {
        if self.known.insert(id) {
            self.waiting.push_back(id);
        }
    }
}

/// Puts an order's request to the CA together: the same one each time.
///
/// # Errors
///
/// An error for the client if the validity asked for is over already.
fn sign_request(order: &Order, finalization: &Finalization) -> Result<SignRequest, Failure> {
    let internal = || Failure::new(ErrorType::ServerInternal.as_str(), "the order has no name");
    // 22 characters of base64url, which every key may consist of.
    let idempotency = IdempotencyKey::new(&order.id.to_string()).map_err(|_| internal())?;
    let validity = match order.not_after {
        // Counted from the finalization, which does not move, and not from now.
        Some(end) => {
            let seconds = end.as_second() - finalization.at.as_second();
            if seconds <= 0 {
                return Err(Failure::new(
                    ErrorType::Malformed.as_str(),
                    "the order's notAfter has passed",
                ));
            }
            Some(format!("{seconds}s"))
        }
        None => None,
    };
    Ok(SignRequest {
        forge: None,
        csr_der: finalization.csr_der.clone(),
        profile: order.profile.clone(),
        validity,
        identity: None,
        idempotency,
        request_id: finalization.request_id.clone(),
    })
}

/// Logs that the CA refused for good: loudly where the fault is ours.
fn log_refusal(
    order: &Order,
    finalization: &Finalization,
    failure: &Failure,
    refusal: &mesh::CaClientError,
) {
    let request = finalization
        .request_id
        .as_ref()
        .map(model::RequestId::as_str);
    if *failure.kind == *ErrorType::ServerInternal.as_str() {
        error!(
            acme.order = %order.id,
            acme.request_id = request,
            error = refusal as &dyn std::error::Error,
            "the CA refused order {} for a reason that is not its client's",
            order.id
        );
    } else {
        info!(
            acme.order = %order.id,
            acme.request_id = request,
            problem.r#type = %failure.kind,
            "the CA refused order {}: {refusal}",
            order.id
        );
    }
}

#[cfg(test)]
mod tests;
