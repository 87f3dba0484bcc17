//! What webhooks count.

use std::fmt;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use jiff::Timestamp;
use model::Clock;
use model::signing::WebhookName;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::registry::Registry;

/// The metrics of webhooks; clones share their values.
#[derive(Debug, Clone, Default)]
pub struct HookMetrics {
    /// Messages that came in, by webhook and outcome.
    received: Family<HookLabels, Counter>,
    /// Events worked on to their end, by webhook and outcome.
    events: Family<HookLabels, Counter>,
    /// Attempts at events that will be made again, by webhook.
    event_retries: Family<NameLabels, Counter>,
    /// Attempts to deliver, by target and outcome.
    deliveries: Family<TargetLabels, Counter>,
    /// Octets fetched.
    pub(crate) fetched: Counter,
    /// The length of the queues.
    queued: Family<QueueLabels, Gauge>,
    /// What the ages of the oldest are told by.
    oldest: Arc<Oldest>,
}

/// Labels a count by webhook and outcome.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct HookLabels {
    /// The webhook.
    webhook: String,
    /// What became of it.
    outcome: &'static str,
}

/// Labels a count by webhook.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct NameLabels {
    /// The webhook.
    webhook: String,
}

/// Labels a count by target and outcome.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct TargetLabels {
    /// The target, or the webhook whose report it is.
    target: String,
    /// What became of it.
    outcome: &'static str,
}

/// Labels a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelSet)]
struct QueueLabels {
    /// `events` or `deliveries`.
    queue: &'static str,
}

/// A queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Queue {
    /// What came in.
    Events,
    /// What goes out.
    Deliveries,
}

impl Queue {
    /// Returns its name.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Events => "events",
            Self::Deliveries => "deliveries",
        }
    }
}

/// Since when the oldest of each queue waits.
#[derive(Debug, Default)]
struct Oldest {
    /// Events.
    events: Mutex<Option<Timestamp>>,
    /// Deliveries.
    deliveries: Mutex<Option<Timestamp>>,
    /// Tells how long ago that is.
    clock: OnceLock<Arc<dyn Clock>>,
}

impl Oldest {
    /// Returns the place of a queue.
    fn of(&self, queue: Queue) -> &Mutex<Option<Timestamp>> {
        match queue {
            Queue::Events => &self.events,
            Queue::Deliveries => &self.deliveries,
        }
    }

    /// Returns how long the oldest of a queue waits; nought if none does.
    fn age(&self, queue: Queue) -> f64 {
        let since = *self
            .of(queue)
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        match (since, self.clock.get()) {
            (Some(since), Some(clock)) => clock.now().duration_since(since).as_secs_f64().max(0.0),
            _ => 0.0,
        }
    }
}

/// Works the ages out when they are asked for.
struct Ages(Arc<Oldest>);

impl fmt::Debug for Ages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Ages")
    }
}

impl Collector for Ages {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let name = "chancery_signing_webhook_queue_oldest_seconds";
        let help = "How long the oldest of a queue of webhooks waits";
        let mut family = encoder.encode_descriptor(
            name,
            help,
            None,
            prometheus_client::metrics::MetricType::Gauge,
        )?;
        for queue in [Queue::Events, Queue::Deliveries] {
            let labels = QueueLabels {
                queue: queue.as_str(),
            };
            let gauge = ConstGauge::new(self.0.age(queue));
            gauge.encode(family.encode_family(&labels)?)?;
        }
        Ok(())
    }
}

impl HookMetrics {
    /// Registers the metrics.
    pub fn register(&self, registry: &mut Registry) {
        let hooks = registry.sub_registry_with_prefix("chancery_signing");
        hooks.register(
            "webhooks_received",
            "Messages that came in by webhooks, by outcome",
            self.received.clone(),
        );
        hooks.register(
            "webhook_events_finished",
            "Events of webhooks that were worked on to their end, by outcome",
            self.events.clone(),
        );
        hooks.register(
            "webhook_event_retries",
            "Attempts at events of webhooks that will be made again",
            self.event_retries.clone(),
        );
        hooks.register(
            "webhook_deliveries",
            "Attempts to deliver messages and reports, by outcome",
            self.deliveries.clone(),
        );
        hooks.register(
            "webhook_fetched_bytes",
            "Octets fetched from the hosts of artifacts",
            self.fetched.clone(),
        );
        hooks.register(
            "webhook_queue",
            "How many events and deliveries wait",
            self.queued.clone(),
        );
        registry.register_collector(Box::new(Ages(Arc::clone(&self.oldest))));
    }

    /// Tells ages by a clock.
    pub(crate) fn tell_ages_by(&self, clock: &Arc<dyn Clock>) {
        // Another one that was there before tells the same time.
        let _ = self.oldest.clock.set(Arc::clone(clock));
    }

    /// Counts a message that came in.
    pub(crate) fn received(&self, webhook: &str, outcome: &'static str) {
        self.received
            .get_or_create(&HookLabels {
                webhook: webhook.to_owned(),
                outcome,
            })
            .inc();
    }

    /// Counts an event that ended.
    pub(crate) fn event_ended(&self, webhook: &WebhookName, outcome: &'static str) {
        self.events
            .get_or_create(&HookLabels {
                webhook: webhook.to_string(),
                outcome,
            })
            .inc();
    }

    /// Counts an attempt at an event that will be made again.
    pub(crate) fn event_retried(&self, webhook: &WebhookName) {
        self.event_retries
            .get_or_create(&NameLabels {
                webhook: webhook.to_string(),
            })
            .inc();
    }

    /// Counts an attempt to deliver.
    pub(crate) fn delivery(&self, target: &WebhookName, outcome: &'static str) {
        self.deliveries
            .get_or_create(&TargetLabels {
                target: target.to_string(),
                outcome,
            })
            .inc();
    }

    /// Notes how long a queue is, and since when its oldest waits.
    pub(crate) fn queue(&self, queue: Queue, len: u64, oldest: Option<Timestamp>) {
        self.queued
            .get_or_create(&QueueLabels {
                queue: queue.as_str(),
            })
            .set(i64::try_from(len).unwrap_or(i64::MAX));
        *self
            .oldest
            .of(queue)
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = oldest;
    }
}
