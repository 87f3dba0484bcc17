//! Delivering: messages and reports, at least once, with patience; what is given up is a
//! dead letter that an operator may send again.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use hyper::StatusCode;
use jiff::Timestamp;
use mesh::Excerpt;
use model::signing::{DeliveryId, WebhookName};
use rustls::ClientConfig;
use store::signing::{Attempt, DeliveryRecord, NewDelivery, SigningStoreError};
use tokio::time::timeout;
use tracing::{info, warn};

use super::Webhooks;
use super::fetch;
use super::metrics::Queue;
use super::queue::{Backlog, Patience, after};
use crate::outside::{Ask, OutsideError, Target};

/// Most octets of an answer that are read.
const MAX_ANSWER: usize = 4 * 1024 * 1024;

/// Most deliveries under way.
const CAPACITY: usize = 64;

/// Most reports of one webhook under way.
const REPORTS: usize = 4;

/// What came of an attempt: the answer's status.
pub(crate) type Delivered = Result<u16, Undelivered>;

/// Why an attempt came to nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Undelivered {
    /// The reason in words.
    error: String,
    /// Whether another attempt may come to something else.
    again: bool,
    /// When the other side wants to be asked again.
    wanted: Option<Duration>,
}

impl Undelivered {
    /// Fails for good.
    pub(crate) fn for_good(error: impl Into<String>) -> Self {
        Self {
            error: error.into(),
            again: false,
            wanted: None,
        }
    }

    /// Fails for now.
    pub(crate) fn again(error: impl Into<String>, wanted: Option<Duration>) -> Self {
        Self {
            error: error.into(),
            again: true,
            wanted,
        }
    }
}

impl From<OutsideError> for Undelivered {
    fn from(error: OutsideError) -> Self {
        Self {
            error: error.to_string(),
            again: error.is_transient(),
            wanted: None,
        }
    }
}

impl From<SigningStoreError> for Undelivered {
    fn from(error: SigningStoreError) -> Self {
        Self::again(error.to_string(), None)
    }
}

/// A short answer, read whole.
pub(crate) struct Short {
    /// What was asked, fit to be shown.
    shown: String,
    /// The status.
    pub(crate) status: StatusCode,
    /// The body.
    pub(crate) body: Vec<u8>,
    /// When the other side wants to be asked again.
    pub(crate) retry_after: Option<Duration>,
}

impl Short {
    /// Says that this is not what was hoped for.
    pub(crate) fn complaint(&self) -> String {
        let Self {
            shown,
            status,
            body,
            ..
        } = self;
        let status = status.as_u16();
        if body.is_empty() {
            format!("{shown} answered status {status}")
        } else {
            format!("{shown} answered status {status}: {}", Excerpt::of(body))
        }
    }
}

/// The queue of deliveries.
#[derive(Debug)]
pub(crate) struct Deliveries {
    /// The webhooks.
    pub(crate) webhooks: Arc<Webhooks>,
}

#[async_trait]
impl Backlog for Deliveries {
    type Key = DeliveryId;
    type Item = Arc<DeliveryRecord>;

    async fn due(
        &self,
        now: Timestamp,
        limit: usize,
        full: &BTreeSet<WebhookName>,
    ) -> Result<Vec<Self::Item>, SigningStoreError> {
        self.webhooks.store.deliveries_due(now, limit, full).await
    }

    fn next_due(&self) -> Option<Timestamp> {
        self.webhooks.store.next_delivery_due()
    }

    fn key(item: &Self::Item) -> DeliveryId {
        item.id
    }

    fn lane(item: &Self::Item) -> WebhookName {
        item.hook.clone()
    }

    fn width(&self, lane: &WebhookName) -> usize {
        self.webhooks
            .targets
            .get(lane)
            .map_or(REPORTS, |target| target.concurrency)
    }

    fn capacity(&self) -> usize {
        CAPACITY
    }

    async fn work(&self, item: Self::Item) {
        let delivered = self.webhooks.deliver(&item).await;
        if let Err(error) = self.record(&item, delivered).await {
            warn!(
                delivery.id = %item.id,
                "what became of delivery {} cannot be recorded, it is made again: {error}", item.id
            );
            tokio::time::sleep(self.webhooks.config.delivery.retry_pause).await;
        }
    }

    async fn crashed(&self, key: DeliveryId) {
        let now = self.webhooks.clock.now();
        let attempt = Attempt::Retry {
            due: after(now, self.webhooks.config.delivery.max_retry_pause),
            error: "the worker failed in a way it should not; the log has the cause".into(),
        };
        if let Err(error) = self.webhooks.store.record_attempt(&key, attempt, now).await {
            warn!(delivery.id = %key, "delivery {key} cannot be put off: {error}");
        }
    }

    fn observe(&self) {
        let status = self.webhooks.store.status();
        self.webhooks.metrics.queue(
            Queue::Deliveries,
            status.deliveries_waiting,
            status.oldest_waiting_delivery,
        );
    }
}

impl Deliveries {
    /// Records what came of an attempt.
    async fn record(
        &self,
        item: &DeliveryRecord,
        delivered: Delivered,
    ) -> Result<(), SigningStoreError> {
        let webhooks = &self.webhooks;
        let now = webhooks.clock.now();
        let (id, target, event) = (&item.id, &item.hook, &item.event);
        let attempt_number = item.attempts + 1;
        let (attempt, outcome) = match delivered {
            Ok(status) => {
                info!(
                    delivery.id = %id,
                    delivery.target = %target,
                    delivery.event = %event,
                    delivery.attempt = attempt_number,
                    "delivered {id} ({event}) to {target}"
                );
                (Attempt::Delivered { status }, "delivered")
            }
            Err(failed) => {
                let config = &webhooks.config.delivery;
                let patience = Patience {
                    pause: config.retry_pause,
                    max_pause: config.max_retry_pause,
                    give_up_after: config.give_up_after,
                };
                let next = failed
                    .again
                    .then(|| patience.next(item.waiting_since, item.attempts, failed.wanted, now))
                    .flatten();
                let error = failed.error;
                match next {
                    Some(due) => {
                        info!(
                            delivery.id = %id,
                            delivery.target = %target,
                            delivery.event = %event,
                            delivery.attempt = attempt_number,
                            delivery.due = %due,
                            "delivery {id} ({event}) to {target} is made again: {error}"
                        );
                        let error = error.into();
                        (Attempt::Retry { due, error }, "retried")
                    }
                    None => {
                        warn!(
                            delivery.id = %id,
                            delivery.target = %target,
                            delivery.event = %event,
                            delivery.attempt = attempt_number,
                            "delivery {id} ({event}) to {target} is a dead letter: {error}"
                        );
                        let error = error.into();
                        (Attempt::Dead { error }, "dead")
                    }
                }
            }
        };
        webhooks.store.record_attempt(id, attempt, now).await?;
        webhooks.metrics.delivery(target, outcome);
        Ok(())
    }
}

impl Webhooks {
    /// Queues deliveries that no other act queues.
    pub(super) async fn queue(
        &self,
        deliveries: Vec<NewDelivery>,
    ) -> Result<(), SigningStoreError> {
        for delivery in deliveries {
            // An attempt before this one queued it and got no further.
            if self.store.delivery(&delivery.id).await?.is_none() {
                self.store.enqueue_deliveries(vec![delivery]).await?;
                self.wake_deliveries.notify_one();
            }
        }
        Ok(())
    }

    /// Makes one attempt.
    async fn deliver(&self, item: &DeliveryRecord) -> Delivered {
        if let Some(target) = self.targets.get(&item.hook) {
            self.tell(target, &item.id, item.body.clone()).await
        } else if self.hooks.contains_key(&item.hook) {
            self.report(item).await
        } else {
            Err(Undelivered::for_good(format!(
                "{} is no longer configured: give it back its section and send this again",
                item.hook
            )))
        }
    }

    /// Asks a server and reads its short answer whole.
    pub(super) async fn call(
        &self,
        tls: &Arc<ClientConfig>,
        target: &Target,
        ask: Ask,
    ) -> Result<Short, Undelivered> {
        let limit = self.config.delivery.timeout;
        let calling = async {
            let mut answer = self.outside.ask(tls, target, ask).await?;
            let retry_after = fetch::retry_after(&answer);
            let body = answer.whole(MAX_ANSWER, limit).await?;
            Ok::<_, OutsideError>(Short {
                shown: target.shown(),
                status: answer.status,
                body,
                retry_after,
            })
        };
        match timeout(limit, calling).await {
            Ok(answer) => Ok(answer?),
            Err(_) => Err(OutsideError::Timeout {
                url: target.shown().into(),
                step: "the call",
                limit,
            }
            .into()),
        }
    }
}
